/*
 * bench_attention.c - attention on the CPU: training and the KV cache
 *
 * bench_attention [THREADS [WHAT [KERNELS]]]: GFLOP/s by the clock of the
 * useful products alone (the half below the diagonal; backward counts five),
 * beside the fused multiply-adds that as many threads do between registers;
 * passes over the cache beside what they read from memory, of so many layers
 * that no cache of the processor's holds them. PEERS=PYTHON times torch between
 * our rounds. WHAT: train, cache, 135M, 1B, or a length.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "compute/compute.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MOST_ROUNDS 15
#define CASE_SECONDS 1.5

static struct compute *c;
static FILE *ask, *answer;
static char peer_name[64] = "-";
static double peak, bandwidth; /* GFLOP/s, GB/s */

static double now(void)
{
    return (double)clock_mono_ns() * 1e-9;
}

/* Chains enough to hide an FMA's latency, all in registers. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double spin_512(size_t n)
{
    __m512 x[16], a = _mm512_set1_ps(.5f);

    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) x[i] =
        _mm512_set1_ps((float)i);
    for (size_t k = 0; k < n; k++)
        _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) x[i] =
            _mm512_fmadd_ps(x[i], a, a);
    _Pragma("GCC unroll 16") for (int i = 1; i < 16; i++) x[0] =
        _mm512_add_ps(x[0], x[i]);
    return (double)_mm512_reduce_add_ps(x[0]);
}

__attribute__((target("avx2,fma"))) static double spin_256(size_t n)
{
    __m256 x[12], a = _mm256_set1_ps(.5f);
    float out[8];

    _Pragma("GCC unroll 16") for (int i = 0; i < 12; i++) x[i] =
        _mm256_set1_ps((float)i);
    for (size_t k = 0; k < n; k++)
        _Pragma("GCC unroll 16") for (int i = 0; i < 12; i++) x[i] =
            _mm256_fmadd_ps(x[i], a, a);
    _Pragma("GCC unroll 16") for (int i = 1; i < 12; i++) x[0] =
        _mm256_add_ps(x[0], x[i]);
    _mm256_storeu_ps(out, x[0]);
    return (double)out[0];
}
#endif

static void *spin(void *arg)
{
    volatile double *sink = arg;

#if defined(__x86_64__)
    if (strncmp(c->kernels, "avx512", 6) == 0)
        *sink = spin_512(5000000);
    else if (__builtin_cpu_supports("fma"))
        *sink = spin_256(5000000);
#else
    *sink = 0;
#endif
    return NULL;
}

/* GFLOP/s of all threads; 0 where there is no loop for this machine. */
static double measure_peak(void)
{
    pthread_t more[256];
    unsigned n = c->threads < 256 ? c->threads : 256;
    double sink[256], best = 0, flop = 0;

#if defined(__x86_64__)
    flop = 5e6 * 2 *
           (strncmp(c->kernels, "avx512", 6) == 0 ? 16 * 16
            : __builtin_cpu_supports("fma")       ? 12 * 8
                                                  : 0);
#endif
    for (int round = 0; round < 7; round++) {
        double start = now(), s;

        for (unsigned i = 1; i < n; i++)
            if (pthread_create(&more[i], NULL, spin, &sink[i]) != 0)
                return 0;
        (void)spin(&sink[0]);
        for (unsigned i = 1; i < n; i++)
            (void)pthread_join(more[i], NULL);
        s = now() - start;
        best = flop * n / s > best ? flop * n / s : best;
    }
    return best * 1e-9;
}

#define READ_FLOATS ((size_t)1 << 24)

static void *read_all(void *arg)
{
    const float *x = *(const float **)arg;
    volatile float sink;
    float sum[64] = { 0 };

    for (size_t i = 0; i < READ_FLOATS; i += 64)
        for (size_t k = 0; k < 64; k++)
            sum[k] += x[i + k];
    sink = sum[0] + sum[63];
    (void)sink;
    return NULL;
}

/* GB/s that all threads read from memory. */
static double measure_bandwidth(void)
{
    pthread_t more[256];
    unsigned n = c->threads < 256 ? c->threads : 256;
    double best = 0;
    float *x[256];

    for (unsigned i = 0; i < n; i++) {
        x[i] = mem_array(READ_FLOATS, sizeof(**x));
        for (size_t k = 0; k < READ_FLOATS; k++)
            x[i][k] = (float)k;
    }
    for (int round = 0; round < 5; round++) {
        double start = now(), rate;

        for (unsigned i = 1; i < n; i++)
            if (pthread_create(&more[i], NULL, read_all, &x[i]) != 0)
                return 0;
        (void)read_all(&x[0]);
        for (unsigned i = 1; i < n; i++)
            (void)pthread_join(more[i], NULL);
        rate = (double)READ_FLOATS * 4e-9 * n / (now() - start);
        best = rate > best ? rate : best;
    }
    for (unsigned i = 0; i < n; i++)
        free(x[i]);
    return best;
}

/* "train", "cache", "1B", "8192": all, a kind, a shape or a length */
static bool wanted(const char *what, const char *kind, const char *shape,
                   size_t len)
{
    char number[24];

    (void)snprintf(number, sizeof(number), "%zu", len);
    return !*what || strcmp(what, kind) == 0 || strcmp(what, shape) == 0 ||
           strcmp(what, number) == 0;
}

static void peer_open(void)
{
    const char *python = getenv("PEERS");
    int in[2], out[2];
    char threads[16];

    (void)snprintf(threads, sizeof(threads), "%u", c->threads);
    if (!python || pipe(in) != 0 || pipe(out) != 0) {
        (void)printf("skip: torch: PEERS names no python that has it\n");
        return;
    }
    if (fork() == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        (void)close(in[1]);
        (void)close(out[0]);
        (void)execl(python, python, "tests/bench/attention_peer.py", threads,
                    (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    ask = fdopen(in[1], "w");
    answer = fdopen(out[0], "r");
    if (!fgets(peer_name, sizeof(peer_name), answer)) {
        (void)printf("skip: torch: %s does not have it\n", python);
        ask = NULL;
        return;
    }
    peer_name[strcspn(peer_name, "\n")] = 0;
}

static void peer_time(const char *line, double s[2])
{
    char reply[128];

    s[0] = s[1] = 0;
    if (!ask)
        return;
    (void)fputs(line, ask);
    (void)fflush(ask);
    if (!fgets(reply, sizeof(reply), answer) ||
        sscanf(reply, "%lf %lf", &s[0], &s[1]) != 2)
        ask = NULL;
}

static struct compute_span noise(size_t n)
{
    static struct rng rng;
    static bool begun;
    struct compute_span s;
    struct err err;
    float *x = mem_array(n, sizeof(*x));

    if (!begun)
        rng_init(&rng, 1);
    begun = true;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_unit(&rng) - .5f;
    if (compute_alloc(c, COMPUTE_F32, n, "bench", &s, &err) < 0)
        exit(1);
    c->ops->upload(c, s, x, n);
    free(x);
    return s;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), by_size);
    return x[n / 2];
}

static void row(const char *path, const char *shape, const char *unit,
                double ours, double peer, double limit)
{
    (void)printf("%-22s %-34s %9.2f %9.2f %-8s", path, shape, ours, peer, unit);
    if (peer > 0)
        (void)printf(" %5.2f x", ours / peer);
    (void)printf(limit > 0 ? " %5.1f %% of the limit\n" : "\n",
                 100 * ours / limit);
    (void)printf("row\t%s\t%s\t%s\t%.4g\t", path, shape, unit, ours);
    if (peer > 0)
        (void)printf("%s\t%.4g\t1\t", peer_name, peer);
    else
        (void)printf("-\t-\t-\t");
    (void)printf(limit > 0 ? "%.4g\n" : "-\n", limit);
    (void)fflush(stdout);
}

struct shape {
    const char *name;
    size_t heads, kv, dim;
};
static const struct shape shapes[] = { { "135M", 9, 3, 64 },
                                       { "1B", 32, 8, 64 } };

/* `docs` documents of `len` rows, or of 64 to 200 where len is 0. */
static const struct {
    size_t docs, len, window;
} trains[] = { { 1, 512, 0 }, { 1, 2048, 0 }, { 1, 8192, 0 }, { 1, 2048, 256 },
               { 8, 64, 0 },  { 4, 128, 0 },  { 3, 200, 0 },  { 4, 0, 0 } };

/* Pairs of a row and a key that it sees. */
static double pairs(const int32_t *starts, size_t docs, size_t window)
{
    double n = 0;

    for (size_t d = 0; d < docs; d++)
        for (int32_t i = 1; i <= starts[d + 1] - starts[d]; i++)
            n += window && (size_t)i > window ? (double)window : i;
    return n;
}

static double time_train(const struct compute_attention_grad *g, bool back)
{
    double start = now();

    if (back)
        c->ops->attention_grad(c, g);
    else
        c->ops->attention(c, &g->fwd);
    return now() - start;
}

static void train_rounds(const struct compute_attention_grad *g,
                         const char *line, double out[4])
{
    double s[4][MOST_ROUNDS], begun = now();
    size_t n = 0;

    (void)time_train(g, false);
    (void)time_train(g, true);
    while (n < MOST_ROUNDS && (n < 5 || now() - begun < CASE_SECONDS) &&
           (n < 1 || now() - begun < 8 * CASE_SECONDS)) {
        double peer[2] = { 0, 0 };

        s[0][n] = time_train(g, false);
        s[1][n] = time_train(g, true);
        if (line)
            peer_time(line, peer);
        s[2][n] = peer[0];
        s[3][n++] = peer[1];
    }
    for (int i = 0; i < 4; i++)
        out[i] = median(s[i], n);
}

static void train(const struct shape *s, size_t docs, size_t len, size_t window)
{
    static const int32_t mixed[] = { 0, 64, 264, 397, 512 };
    int32_t starts[16] = { 0 };
    char name[80], line[80];
    double t[4], flop;
    size_t rows;
    struct compute_attention_grad g;

    for (size_t d = 0; d < docs; d++)
        starts[d + 1] = len ? starts[d] + (int32_t)len : mixed[d + 1];
    rows = (size_t)starts[docs];
    (void)snprintf(name, sizeof(name), len ? "%s %zu x %zu" : "%s %zu packed",
                   s->name, docs, len);
    if (window)
        (void)snprintf(name, sizeof(name), "%s %zu window %zu", s->name, len,
                       window);
    (void)snprintf(line, sizeof(line), "train %zu %zu %zu %zu %zu\n", s->heads,
                   s->kv, s->dim, docs, len);
    g = (struct compute_attention_grad){
        .fwd = { .starts = starts,
                 .docs = docs,
                 .rows = rows,
                 .heads = s->heads,
                 .kv_heads = s->kv,
                 .dim = s->dim,
                 .window = window,
                 .scale = 1 / sqrtf((float)s->dim) }
    };
    g.fwd.q = noise(rows * s->heads * s->dim);
    g.fwd.k = noise(rows * s->kv * s->dim);
    g.fwd.v = noise(rows * s->kv * s->dim);
    g.fwd.o = noise(rows * s->heads * s->dim);
    g.fwd.lse = noise(rows * s->heads);
    g.d_o = noise(rows * s->heads * s->dim);
    g.dq = noise(rows * s->heads * s->dim);
    g.dk = noise(rows * s->kv * s->dim);
    g.dv = noise(rows * s->kv * s->dim);
    train_rounds(&g, len && !window ? line : NULL, t);
    flop = 4e-9 * pairs(starts, docs, window) * (double)(s->heads * s->dim);
    row("attention forward", name, "GFLOP/s", flop / t[0],
        t[2] > 0 ? flop / t[2] : 0, peak);
    flop *= 2.5;
    row("attention backward", name, "GFLOP/s", flop / t[1],
        t[3] > 0 ? flop / t[3] : 0, peak);
    compute_release(c, &g.fwd.q);
    compute_release(c, &g.fwd.k);
    compute_release(c, &g.fwd.v);
    compute_release(c, &g.fwd.o);
    compute_release(c, &g.fwd.lse);
    compute_release(c, &g.d_o);
    compute_release(c, &g.dq);
    compute_release(c, &g.dk);
    compute_release(c, &g.dv);
}

static const struct {
    size_t seqs, keys, rows; /* rows: new ones of each */
} caches[] = { { 1, 512, 1 },  { 1, 2048, 1 },  { 1, 8192, 1 },
               { 32, 512, 1 }, { 32, 2048, 1 }, { 1, 1024, 512 } };
#define MOST_LAYERS 512
#define FAR_BYTES 100e6 /* more than a cache of the processor's */

struct layer {
    struct compute_span keys, values;
};

/* Seconds of a layer, of one pass over all of them. */
static double time_cache(struct compute_attention_cached *a,
                         const struct layer *all, size_t layers)
{
    double start = now();

    for (size_t i = 0; i < layers; i++) {
        a->keys = all[i].keys;
        a->values = all[i].values;
        c->ops->attention_cached(c, a);
    }
    return (now() - start) / (double)layers;
}

static void fill_cache(struct compute_attention_cached *a, size_t keys)
{
    size_t n = a->seqs * keys * a->kv_heads * a->dim;
    struct compute_span k = noise(n), v = noise(n);
    int32_t *starts = mem_array(a->seqs + 1, sizeof(*starts));
    int32_t *past = mem_zalloc(a->seqs * sizeof(*past));
    struct compute_attention_cached all = *a;

    for (size_t i = 0; i <= a->seqs; i++)
        starts[i] = (int32_t)(i * keys);
    all.starts = starts;
    all.past = past;
    c->ops->cache_store(c, &all, k, v);
    free(starts);
    free(past);
    compute_release(c, &k);
    compute_release(c, &v);
}

static void cache_rounds(struct compute_attention_cached *a,
                         const struct layer *all, size_t layers,
                         const char *line, double out[2])
{
    double s[2][MOST_ROUNDS], begun = now();
    size_t n = 0;

    (void)time_cache(a, all, layers);
    while (n < MOST_ROUNDS && (n < 5 || now() - begun < CASE_SECONDS)) {
        double peer[2] = { 0, 0 };

        s[0][n] = time_cache(a, all, layers);
        if (line)
            peer_time(line, peer);
        s[1][n++] = peer[0];
    }
    out[0] = median(s[0], n);
    out[1] = median(s[1], n);
}

static void cache(const struct shape *s, size_t seqs, size_t keys, size_t rows,
                  enum compute_type type)
{
    int32_t starts[33], past[32], slots[32];
    struct compute_attention_cached a = { .starts = starts,
                                          .past = past,
                                          .slots = slots,
                                          .seqs = seqs,
                                          .heads = s->heads,
                                          .kv_heads = s->kv,
                                          .dim = s->dim,
                                          .capacity = keys,
                                          .type = type,
                                          .scale = 1 / sqrtf((float)s->dim) };
    struct layer all[MOST_LAYERS];
    size_t key_count, value_count, layers;
    double bytes = (double)(2 * seqs * keys * s->kv * s->dim *
                            compute_type_size(type)),
           t[2], n;
    char name[80], line[80];
    struct err err;

    layers = (size_t)(FAR_BYTES / bytes) + 1;
    layers = layers < MOST_LAYERS ? layers : MOST_LAYERS;
    for (size_t i = 0; i < seqs; i++) {
        starts[i] = (int32_t)(i * rows);
        past[i] = (int32_t)(keys - rows);
        slots[i] = (int32_t)i;
    }
    starts[seqs] = (int32_t)(seqs * rows);
    a.q = noise(seqs * rows * s->heads * s->dim);
    a.o = noise(seqs * rows * s->heads * s->dim);
    c->ops->cache_size(c, &a, seqs, &key_count, &value_count);
    for (size_t i = 0; i < layers; i++) {
        if (compute_alloc(c, type, key_count, "keys", &all[i].keys, &err) < 0 ||
            compute_alloc(c, type, value_count, "values", &all[i].values,
                          &err) < 0)
            exit(1);
        a.keys = all[i].keys;
        a.values = all[i].values;
        fill_cache(&a, keys);
    }
    (void)snprintf(name, sizeof(name), "%s %s %zu x %zu after %zu", s->name,
                   type == COMPUTE_F32   ? "f32"
                   : type == COMPUTE_F16 ? "f16"
                                         : "int8",
                   seqs, rows, keys - rows);
    (void)snprintf(line, sizeof(line), "decode %zu %zu %zu %zu %zu %zu\n",
                   s->heads, s->kv, s->dim, seqs, keys, layers);
    cache_rounds(&a, all, layers, rows == 1 ? line : NULL, t);
    if (rows == 1) {
        row("attention decode", name, "layers/s", 1 / t[0],
            t[1] > 0 ? 1 / t[1] : 0, bandwidth * 1e9 / bytes);
    } else {
        n = (double)seqs * (double)rows *
            ((double)(keys - rows) + (double)(rows + 1) / 2);
        row("attention prefill", name, "GFLOP/s",
            4e-9 * n * (double)(s->heads * s->dim) / t[0], 0, peak);
    }
    for (size_t i = 0; i < layers; i++) {
        compute_release(c, &all[i].keys);
        compute_release(c, &all[i].values);
    }
    compute_release(c, &a.q);
    compute_release(c, &a.o);
}

int main(int argc, char **argv)
{
    struct compute_options opt = { .threads =
                                       argc > 1 ? (unsigned)atoi(argv[1]) : 2,
                                   .kernels = argc > 3 ? argv[3] : NULL };
    static const enum compute_type types[] = { COMPUTE_F32, COMPUTE_F16,
                                               COMPUTE_I8 };
    const char *what = argc > 2 ? argv[2] : "";
    struct err err;

    if (compute_open(&opt, &c, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    peer_open();
    peak = measure_peak();
    bandwidth = measure_bandwidth();
    (void)printf("%s, %u threads: FMA peak %.1f GFLOP/s, reads %.1f GB/s; "
                 "beside %s\n",
                 c->kernels, c->threads, peak, bandwidth, peer_name);
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sizeof(trains) / sizeof(trains[0]); i++)
            if (wanted(what, "train", shapes[s].name, trains[i].len))
                train(&shapes[s], trains[i].docs, trains[i].len,
                      trains[i].window);
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
            if (wanted(what, "cache", shapes[s].name, caches[i].keys))
                for (size_t t = 0; t < 3; t++)
                    cache(&shapes[s], caches[i].seqs, caches[i].keys,
                          caches[i].rows, types[t]);
    if (ask)
        (void)fclose(ask);
    compute_close(c);
    return 0;
}

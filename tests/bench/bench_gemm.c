/*
 * bench_gemm.c - the linear operation and its gradients beside OpenBLAS
 *
 * Each shape runs by turns as it is, frozen, and in the library, in one
 * process; medians of rounds, CPU time on one thread, the clock on more.
 * Products of one row are compared with reading as many bytes. OpenBLAS is
 * loaded here, with as many threads as we have; absent, it is skipped.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "compute/cpu/cpu.h"
#include "limits.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 7
#define ROUND_S 0.003 /* at least so long */
#define WARM_S 0.04

typedef void blas_sgemm(int order, int ta, int tb, int m, int n, int k,
                        float alpha, const float *a, int lda, const float *b,
                        int ldb, float beta, float *c, int ldc);
typedef void blas_sgemv(int order, int ta, int m, int n, float alpha,
                        const float *a, int lda, const float *x, int step,
                        float beta, float *y, int ystep);
enum { ROWS = 101, AS_IS = 111, TURNED = 112 };

static blas_sgemm *sgemm;
static blas_sgemv *sgemv;
static void (*blas_threads)(int);
static char blas_name[64] = "-";

enum way { Y, DX, DW, BRANCH };
static const char *const ways[] = { "linear", "linear dx", "linear dw",
                                    "linear, branch" };

static const struct shape {
    enum way way;
    size_t m, n, k; /* of y[m,n] = x[m,k] w[n,k]' */
    double goal;
} shapes[] = {
    { Y, 512, 576, 576, 1.0 },      { Y, 512, 1536, 576, 1.0 },
    { Y, 512, 576, 1536, 1.0 },     { Y, 512, 2048, 576, 1.0 },
    { Y, 512, 2048, 2048, 1.0 },    { Y, 512, 49152, 576, 1.0 },
    { Y, 2048, 2048, 2048, 1.0 },   { DX, 512, 576, 576, 1.0 },
    { DX, 512, 1536, 576, 1.0 },    { DX, 512, 576, 1536, 1.0 },
    { DX, 512, 2048, 2048, 1.0 },   { DW, 512, 576, 576, 1.0 },
    { DW, 512, 1536, 576, 1.0 },    { DW, 512, 2048, 2048, 1.0 },
    { Y, 4096, 512, 192, 1.0 },     { Y, 64, 512, 192, 1.0 },
    { Y, 512, 16, 576, 1.5 },       { Y, 512, 16, 2048, 1.5 },
    { Y, 512, 576, 16, 1.5 },       { Y, 512, 2048, 16, 1.5 },
    { DX, 512, 576, 16, 1.5 },      { DX, 512, 2048, 16, 1.5 },
    { DX, 512, 16, 576, 1.5 },      { DX, 512, 16, 2048, 1.5 },
    { DW, 512, 16, 576, 1.5 },      { DW, 512, 16, 2048, 1.5 },
    { DW, 512, 576, 16, 1.5 },      { DW, 512, 2048, 16, 1.5 },
    { BRANCH, 512, 576, 576, 1.0 }, { BRANCH, 512, 2048, 2048, 1.0 },
    { Y, 1, 576, 576, 0.85 },       { Y, 1, 2048, 2048, 0.85 },
    { Y, 1, 16384, 4096, 0.85 },    { Y, 4, 2048, 2048, 1.0 },
    { Y, 16, 2048, 2048, 1.0 },     { Y, 8, 1536, 576, 1.0 },
    { Y, 32, 1536, 576, 1.0 },      { Y, 32, 2048, 2048, 1.0 },
};

static void blas_open(unsigned threads)
{
    static const char *const names[] = { "libopenblas.so.0", "libopenblas.so" };
    char count[16];
    char *(*name)(void);
    void *lib = NULL, *sym;

    (void)snprintf(count, sizeof(count), "%u", threads);
    (void)setenv("OPENBLAS_NUM_THREADS", count, 1);
#if defined(__x86_64__)
    (void)setenv("OPENBLAS_CORETYPE",
                 __builtin_cpu_supports("avx512dq") ? "SkylakeX" : "Haswell",
                 0);
#endif
    for (size_t i = 0; i < 2 && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        (void)printf("skip: OpenBLAS: %s\n", dlerror());
        return;
    }
    sym = dlsym(lib, "cblas_sgemm");
    memcpy(&sgemm, &sym, sizeof(sym));
    sym = dlsym(lib, "cblas_sgemv");
    memcpy(&sgemv, &sym, sizeof(sym));
    sym = dlsym(lib, "openblas_set_num_threads");
    memcpy(&blas_threads, &sym, sizeof(sym));
    sym = dlsym(lib, "openblas_get_corename");
    memcpy(&name, &sym, sizeof(sym));
    (void)snprintf(blas_name, sizeof(blas_name), "OpenBLAS %s", name());
}

struct run {
    struct compute *c;
    struct pool *pool;
    struct compute_linear l;
    enum way way;
    float *y, *x, *w, *x2, *w2; /* the library's */
    unsigned threads;
};

static void run_ours(struct run *r)
{
    const struct compute_ops *ops = r->c->ops;

    (r->way == DX   ? ops->linear_dx
     : r->way == DW ? ops->linear_dw
                    : ops->linear)(r->c, &r->l);
}

static void run_blas(struct run *r)
{
    int m = (int)r->l.m, n = (int)r->l.n, k = (int)r->l.k;

    if (r->way == DX)
        sgemm(ROWS, AS_IS, AS_IS, m, k, n, 1, r->y, n, r->w, k, 0, r->x, k);
    else if (r->way == DW)
        sgemm(ROWS, TURNED, AS_IS, n, k, m, 1, r->y, n, r->x, k, 1, r->w, k);
    else if (m == 1)
        sgemv(ROWS, AS_IS, n, k, 1, r->w, k, r->x, 1, 0, r->y, 1);
    else
        sgemm(ROWS, AS_IS, TURNED, m, n, k, 1, r->x, k, r->w, k, 0, r->y, n);
    if (r->way == BRANCH)
        sgemm(ROWS, AS_IS, TURNED, m, n, 16, 1, r->x2, 16, r->w2, 16, 1, r->y,
              n);
}

/* Sums of pieces of 64 KB, so that no more than reading is done. */
static volatile uint32_t kept;

static void read_piece(void *ctx, size_t task, unsigned worker)
{
    const struct run *r = ctx;
    size_t all = r->l.n * r->l.k * sizeof(float), at = task << 16;
    size_t bytes = all - at < 1 << 16 ? all - at : 1 << 16;
    const struct cpu *c = (const struct cpu *)r->c;

    (void)worker;
    kept = c->k->peak_read((const char *)r->w + at, bytes & ~(size_t)511);
}

static void run_reading(struct run *r)
{
    size_t tasks = (r->l.n * r->l.k * sizeof(float) + 65535) >> 16;

    pool_run(r->pool, tasks, read_piece, r);
}

static double now(const struct run *r)
{
    return r->threads == 1 ? clock_cpu_s() : (double)clock_mono_ns() * 1e-9;
}

enum column { PLAIN, FROZEN, BF16, NF4, BLAS, READING, COLUMNS };
static const char *const heads[] = { "plain", "frozen",   "bf16",
                                     "nf4",   "OpenBLAS", "reading" };

/* The library's threads spin for 2^26 cycles after their work, and a kernel may
 * keep both of ours on one CPU until it has seen them busy for a while. */
static void warm(struct run *r, void (*fn)(struct run *))
{
    double start = now(r);

    do
        fn(r); /* wakes threads, warms caches */
    while (r->threads > 1 && now(r) - start < WARM_S);
}

static double seconds(struct run *r, void (*fn)(struct run *))
{
    double start, spent;
    size_t times = 0;

    warm(r, fn);
    start = now(r);
    do {
        fn(r);
        times++;
        spent = now(r) - start;
    } while (spent < ROUND_S);
    return spent / (double)times;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static float *noise(size_t n)
{
    float *x = NULL;
    void *p;
    struct err err;
    uint32_t s = 1;

    if (mem_try_array(&p, n, sizeof(*x), "numbers", &err) < 0)
        exit(1);
    x = p;
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)s * 0x1p-31f;
    }
    return x;
}

static struct compute_span weights(struct compute *c, const struct run *r,
                                   enum column col)
{
    struct compute_span s;
    struct err err;
    size_t n = r->l.n, k = r->l.k;
    enum compute_type type = col == BF16 ? COMPUTE_BF16 : COMPUTE_F32;
    int rc = compute_alloc(c, type, n * k, "w", &s, &err);

    if (rc == 0 && col == BF16)
        for (size_t i = 0; i < n * k; i += k) {
            uint16_t *row = mem_array(k, sizeof(*row));

            for (size_t j = 0; j < k; j++) {
                uint32_t u;

                memcpy(&u, &r->w[i + j], sizeof(u));
                row[j] = (uint16_t)(u >> 16);
            }
            c->ops->upload(c, compute_at(s, i), row, k);
            free(row);
        }
    else if (rc == 0)
        c->ops->upload(c, s, r->w, n * k);
    if (rc == 0 && col == NF4)
        rc = c->ops->quantise(c, s, n, k, COMPUTE_NF4, &err);
    else if (rc == 0 && col != PLAIN)
        rc = c->ops->freeze(c, s, n, k, false, &err);
    if (rc < 0) {
        (void)fprintf(stderr, "bench_gemm: %s\n", err.msg);
        exit(1);
    }
    return s;
}

static struct compute_span given(struct compute *c, const float *x, size_t n)
{
    struct compute_span s;
    struct err err;

    if (compute_alloc(c, COMPUTE_F32, n, "x", &s, &err) < 0)
        exit(1);
    c->ops->upload(c, s, x, n);
    return s;
}

static bool measured(const struct run *r, enum column col)
{
    if (col == BLAS)
        return sgemm != NULL;
    if (col == READING)
        return r->l.m == 1;
    if (r->threads > 1 && (col == BF16 || col == NF4))
        return false;
    if (r->way == DW || r->way == BRANCH)
        return col == PLAIN || (col == FROZEN && r->way == BRANCH);
    if (r->l.n == 49152)
        return col == FROZEN;
    return true;
}

static void measure(struct run *r, double t[COLUMNS])
{
    double all[COLUMNS][ROUNDS];
    struct compute_span w[BLAS];

    for (int col = 0; col < BLAS; col++)
        if (measured(r, (enum column)col))
            w[col] = weights(r->c, r, (enum column)col);
    for (int round = 0; round < ROUNDS; round++)
        for (int col = 0; col < COLUMNS; col++) {
            if (!measured(r, (enum column)col))
                continue;
            if (col < BLAS)
                r->l.w = w[col];
            all[col][round] = seconds(r, col < BLAS    ? run_ours
                                         : col == BLAS ? run_blas
                                                       : run_reading);
        }
    for (int col = 0; col < COLUMNS; col++) {
        t[col] = 0;
        if (!measured(r, (enum column)col))
            continue;
        qsort(all[col], ROUNDS, sizeof(all[col][0]), order);
        t[col] = all[col][ROUNDS / 2];
        if (col < BLAS)
            compute_release(r->c, &w[col]);
    }
}

static void report(const struct run *r, const struct shape *s, const double *t)
{
    double work = 2e-9 * (double)s->m * (double)s->n *
                  (double)(s->k + (r->way == BRANCH ? 16 : 0));
    char path[64], shape[64];

    if (s->m == 1)
        work = 4e-9 * (double)s->n * (double)s->k;
    (void)snprintf(shape, sizeof(shape), "%zux%zux%zu, %u thread%s", s->m, s->n,
                   s->k, r->threads, r->threads == 1 ? "" : "s");
    (void)printf("%-15s %-26s", ways[s->way], shape);
    for (int col = 0; col < COLUMNS; col++)
        if (t[col] > 0)
            (void)printf(" %8.1f", work / t[col]);
        else
            (void)printf(" %8s", "-");
    (void)printf("\n");
    for (int col = PLAIN; col <= FROZEN; col++) {
        if (!(t[col] > 0))
            continue;
        (void)snprintf(path, sizeof(path), "%s f32 %s",
                       s->m == 1 ? "gemv" : ways[s->way], heads[col]);
        if (s->m == 1)
            limits_row(path, shape, "GB/s", work / t[col], "reading",
                       work / t[READING], s->goal, work / t[READING]);
        else
            limits_row(path, shape, "GFLOP/s", work / t[col], blas_name,
                       t[BLAS] > 0 ? work / t[BLAS] : 0, s->goal, 0);
    }
}

static void run_shape(struct compute *c, struct pool *pool,
                      const struct shape *s)
{
    size_t r2 = s->way == BRANCH ? 16 : 0;
    struct run r = {
        .c = c,
        .pool = pool,
        .way = s->way,
        .threads = c->threads,
        .y = noise(s->m * s->n),
        .x = noise(s->m * s->k),
        .w = noise(s->n * s->k),
        .x2 = noise(s->m * 16),
        .w2 = noise(s->n * 16),
        .l = { .m = s->m, .n = s->n, .k = s->k, .k2 = r2, .alpha = 1 }
    };
    double t[COLUMNS];

    r.l.y = given(c, r.y, s->m * s->n);
    r.l.x = given(c, r.x, s->m * s->k);
    if (r2) {
        r.l.x2 = given(c, r.x2, s->m * r2);
        r.l.w2 = given(c, r.w2, s->n * r2);
    }
    measure(&r, t);
    report(&r, s, t);
    compute_release(c, &r.l.y);
    compute_release(c, &r.l.x);
    if (r2) {
        compute_release(c, &r.l.x2);
        compute_release(c, &r.l.w2);
    }
    free(r.y);
    free(r.x);
    free(r.w);
    free(r.x2);
    free(r.w2);
}

static int run_all(unsigned threads, const char *kernels, const char *only)
{
    struct compute_options opt = { .threads = threads, .kernels = kernels };
    struct compute *c;
    struct pool *pool;
    struct err err;

    if (compute_open(&opt, &c, &err) < 0) {
        (void)fprintf(stderr, "bench_gemm: %s\n", err.msg);
        return 1;
    }
    pool = pool_new(threads);
    if (blas_threads)
        blas_threads((int)threads);
    (void)printf("%s, %u threads, %s: GFLOP/s, one row: GB/s\n%42s", c->kernels,
                 threads, blas_name, "");
    for (int col = 0; col < COLUMNS; col++)
        (void)printf(" %8s", heads[col]);
    (void)printf("\n");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%s %zux%zux%zu",
                       ways[shapes[i].way], shapes[i].m, shapes[i].n,
                       shapes[i].k);
        if (!only || strstr(name, only))
            run_shape(c, pool, &shapes[i]);
    }
    pool_free(pool);
    compute_close(c);
    return 0;
}

/* bench_gemm [THREADS [KERNELS [SHAPE]]]; THREADS 0: one, then two */
int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    const char *kernels = argc > 2 && argv[2][0] ? argv[2] : NULL;
    const char *only = argc > 3 ? argv[3] : NULL;

    blas_open(threads ? threads : 2);
    if (threads)
        return run_all(threads, kernels, only);
    return run_all(1, kernels, only) || run_all(2, kernels, only);
}

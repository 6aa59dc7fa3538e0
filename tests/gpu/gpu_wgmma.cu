/*
 * gpu_wgmma.cu - the Hopper product alone, on a device
 *
 * Without arguments: every crossing, tiling, epilogue and ragged edge against
 * sums in double, with guards around c, and with the same bits in all tilings;
 * a line for each that fails. "quick":
 * of small shapes alone. "time": TFLOP/s of the shapes of 1B and 8B models.
 * Links nothing of the plugin but the product.
 */
#include "compute/cuda/cuda_layout.h"
#include "compute/cuda/cuda_private.cuh"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD -7.5f /* exact in bf16; no sum has it but by chance */
#define REPEATS 20

static bool stopped;

size_t cuda_type_size(enum cuda_type t)
{
    return t == CUDA_BF16 || t == CUDA_F16 ? 2 : 4;
}

bool cuda_check(struct cuda *c, cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return true;
    printf("FAIL %s: %s\n", what, cudaGetErrorString(e));
    c->failed = e;
    stopped = true;
    return false;
}

/* One product at a time has it. */
void *cuda_scratch(struct cuda *c, size_t bytes)
{
    return bytes <= c->scratch_bytes ? c->scratch : NULL;
}

static __device__ float random_at(size_t i, uint32_t seed)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull + seed * 0xbf58476d1ce4e5b9ull;

    x ^= x >> 29;
    x *= 0x94d049bb133111ebull;
    x ^= x >> 32;
    return (float)(uint32_t)(x & 0xffffff) * (2.0f / 16777216) - 1;
}

template <typename T>
static __global__ void random_kernel(T *to, size_t n, uint32_t seed)
{
    size_t step = (size_t)gridDim.x * blockDim.x;

    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        to[i] = (T)random_at(i, seed);
}

template <typename T> static __global__ void guard_kernel(T *to, size_t n)
{
    size_t step = (size_t)gridDim.x * blockDim.x;

    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        to[i] = (T)GUARD;
}

static __device__ double dot(const void *a, const void *b, size_t i, size_t j,
                             size_t k, size_t lda, size_t ldb, bool a_cross,
                             bool b_cross)
{
    const __nv_bfloat16 *x = (const __nv_bfloat16 *)a;
    const __nv_bfloat16 *y = (const __nv_bfloat16 *)b;
    double sum = 0;

    for (size_t l = 0; l < k; l++)
        sum += (double)(float)(a_cross ? x[l * lda + i] : x[i * lda + l]) *
               (double)(float)(b_cross ? y[l * ldb + j] : y[j * ldb + l]);
    return sum;
}

static __device__ double value_at(const void *p, enum cuda_type t, size_t i)
{
    return t == CUDA_BF16 ? (double)(float)((const __nv_bfloat16 *)p)[i]
                          : (double)((const float *)p)[i];
}

/* What c should be, from the addend before the product ran, or h. */
static __global__ void want_kernel(const struct cuda_gemm g, double *want)
{
    size_t j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y;
    double v;

    if (j >= g.n)
        return;
    v = dot(g.a, g.b, i, j, g.k, g.lda, g.ldb, g.a_cross, g.b_cross);
    if (g.k2)
        v += dot(g.a2, g.b2, i, j, g.k2, g.lda2, g.ldb2, g.a_cross, g.b_cross);
    v *= (double)g.alpha;
    if (g.bias)
        v += (double)g.bias[j];
    if (g.addend && g.h)
        v *= value_at(g.addend, g.add_type, i * g.ldadd + j) / (1 + exp(-v));
    else if (g.addend)
        v += value_at(g.addend, g.add_type, i * g.ldadd + j);
    want[i * g.n + j] = v;
}

struct verdict {
    unsigned wrong, touched; /* elements; guards that were written */
    unsigned row, column;    /* one that is wrong */
    unsigned long long bits; /* a sum over c that its bits decide */
};

/* Of c, or of h, which is what c is rounded to through a curve. */
static __global__ void judge_kernel(const struct cuda_gemm g, size_t rows,
                                    const double *want, double limit,
                                    struct verdict *to)
{
    size_t j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y;
    double got, off;

    if (j >= g.ldc || i >= rows)
        return;
    got = value_at(g.h ? g.h : g.c, g.out, i * g.ldc + j);
    if (i >= g.m || j >= g.n) {
        if (got != (double)GUARD)
            atomicAdd(&to->touched, 1u);
        return;
    }
    atomicAdd(&to->bits, (unsigned long long)__double_as_longlong(got) *
                             (2 * (i * g.n + j) + 1));
    off = fabs(got - want[i * g.n + j]);
    if (g.out == CUDA_BF16)
        limit += fabs(want[i * g.n + j]) / (g.h ? 100 : 200) + (g.h ? 1e-3 : 0);
    if (!(off <= limit)) {
        atomicAdd(&to->wrong, 1u);
        to->row = (unsigned)i;
        to->column = (unsigned)j;
    }
}

struct place {
    struct cuda c;
    void *a, *b, *a2, *b2, *out, *add, *beside;
    float *bias;
    double *want;
    struct verdict *verdict;
    unsigned run, failed;
    bool quick;
};

#define QUICK ((size_t)9 << 20) /* multiply-adds of a quick product */

/* Of 256 threads, for n elements. */
static unsigned blocks_for(size_t n)
{
    return n < 1024 * 256 ? (unsigned)(n + 255) / 256 : 1024;
}

static void fill(void *p, enum cuda_type t, size_t n, uint32_t seed)
{
    if (t == CUDA_BF16)
        random_kernel<<<blocks_for(n), 256>>>((__nv_bfloat16 *)p, n, seed);
    else
        random_kernel<<<blocks_for(n), 256>>>((float *)p, n, seed);
}

static size_t round8(size_t n)
{
    return (n + 7) / 8 * 8;
}

enum gate_use { SUM, GATE, GATE_KEPT };

struct variant {
    const char *name;
    enum cuda_type out, add_type;
    bool bias, addend, in_place, pair;
    float alpha;
    size_t skip;        /* c begins so many elements off, its rows too */
    enum gate_use gate; /* the addend is what is up */
};

static const struct variant variants[] = {
    { "f32", CUDA_F32, CUDA_F32, false, false, false, false, 1.0f, 0, SUM },
    { "bf16", CUDA_BF16, CUDA_F32, false, false, false, false, 1.0f, 0, SUM },
    { "f32+=", CUDA_F32, CUDA_F32, false, true, true, true, 0.5f, 0, SUM },
    { "bf16+=", CUDA_BF16, CUDA_BF16, true, true, true, true, -0.5f, 0, SUM },
    { "bf16+f32", CUDA_BF16, CUDA_F32, true, true, false, false, 2.0f, 0, SUM },
    { "f32+bf16", CUDA_F32, CUDA_BF16, true, true, false, true, 1.0f, 0, SUM },
    { "bf16-odd", CUDA_BF16, CUDA_BF16, true, true, true, false, 1.0f, 1, SUM },
    { "f32-odd", CUDA_F32, CUDA_F32, false, true, false, true, 1.0f, 1, SUM },
    { "bf16-gate", CUDA_BF16, CUDA_BF16, false, true, false, true, 1.0f, 0,
      GATE },
    { "bf16-gate-kept", CUDA_BF16, CUDA_BF16, true, true, false, true, 1.0f, 0,
      GATE_KEPT },
    { "f32-gate-kept", CUDA_F32, CUDA_F32, false, true, false, false, 0.5f, 0,
      GATE_KEPT },
    { "bf16-gate-odd", CUDA_BF16, CUDA_BF16, true, true, false, false, 1.0f, 1,
      GATE_KEPT },
};

static const size_t shapes[][4] = {
    { 64, 64, 64, 16 },     { 128, 256, 64, 64 },   { 128, 128, 128, 16 },
    { 256, 512, 512, 64 },  { 200, 264, 136, 16 },  { 1000, 1032, 520, 24 },
    { 257, 383, 100, 8 },   { 384, 320, 1000, 72 }, { 2048, 1024, 192, 16 },
    { 130, 2056, 256, 16 }, { 64, 72, 1600, 24 },   { 130, 72, 968, 8 },
    { 300, 768, 3072, 16 }, { 100, 1100, 4200, 8 }, { 512, 512, 8192, 64 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* What the first tiling left of each case. */
static unsigned long long bits[SHAPES][3][VARIANTS];

/* Operands with rows a little longer than they need. */
static struct cuda_gemm gemm_of(struct place *p, const size_t *s, bool a_cross,
                                bool b_cross, const struct variant *v)
{
    struct cuda_gemm g;

    memset(&g, 0, sizeof(g));
    g.in = CUDA_BF16;
    g.out = v->out;
    g.add_type = v->add_type;
    g.m = s[0];
    g.n = s[1];
    g.k = s[2];
    g.k2 = v->pair ? s[3] : 0;
    g.a_cross = a_cross;
    g.b_cross = b_cross;
    g.a = p->a;
    g.b = p->b;
    g.a2 = p->a2;
    g.b2 = p->b2;
    g.lda = round8(a_cross ? g.m : g.k) + 8;
    g.ldb = round8(b_cross ? g.n : g.k);
    g.lda2 = round8(a_cross ? g.m : g.k2);
    g.ldb2 = round8(b_cross ? g.n : g.k2) + 8;
    g.alpha = v->alpha;
    g.bias = v->bias ? p->bias : NULL;
    g.ldc = round8(g.n) + 8 + v->skip;
    g.c = (char *)p->out + v->skip * cuda_type_size(g.out);
    if (v->addend) {
        g.addend = v->in_place ? g.c : p->add;
        g.ldadd = v->in_place ? g.ldc : round8(g.n);
    }
    if (v->gate == GATE)
        g.h = g.c;
    else if (v->gate == GATE_KEPT)
        g.h = (char *)p->beside + v->skip * cuda_type_size(g.out);
    return g;
}

static void guard(void *to, enum cuda_type t, size_t n)
{
    if (t == CUDA_BF16)
        guard_kernel<<<blocks_for(n), 256>>>((__nv_bfloat16 *)to, n);
    else
        guard_kernel<<<blocks_for(n), 256>>>((float *)to, n);
}

static void c_begin(struct place *p, const struct cuda_gemm *g, size_t rows)
{
    size_t n = (rows + 1) * g->ldc;

    guard(p->out, g->out, n);
    if (g->h && g->h != g->c)
        guard(p->beside, g->out, n);
    for (size_t i = 0; g->addend == g->c && i < g->m; i++)
        fill((char *)g->c + i * g->ldc * cuda_type_size(g->out), g->out, g->n,
             (uint32_t)i + 90);
}

/* The tiles that g will have. */
static struct cuda_tiles tiles_of(const struct place *p,
                                  const struct cuda_gemm *g, unsigned *splits)
{
    uint64_t clocks;

    *splits = cuda_wgmma_splits(g);
    return cuda_tiles_choose(g->m, g->n,
                             cuda_ceil(g->k, CUDA_TILE_DEPTH) +
                                 cuda_ceil(g->k2, CUDA_TILE_DEPTH),
                             *splits, p->c.kernels == CUDA_CLUSTER ? 2 : 1,
                             (uint32_t)p->c.sms, &clocks);
}

/* Runs the product; of a gate that is kept, judges that, too. */
static void run(struct place *p, const struct cuda_gemm *g, size_t rows)
{
    dim3 wide((unsigned)((g->ldc + 127) / 128), (unsigned)rows);
    double limit = 2e-6 * (double)(g->k + g->k2) + 1e-4;
    struct cuda_gemm kept = *g;

    want_kernel<<<dim3(wide.x, (unsigned)g->m), 128>>>(*g, p->want);
    cuda_wgmma_run(&p->c, g);
    judge_kernel<<<wide, 128>>>(*g, rows, p->want, limit, p->verdict);
    if (!g->h || g->h == g->c)
        return;
    kept.h = NULL;
    kept.addend = NULL;
    want_kernel<<<dim3(wide.x, (unsigned)g->m), 128>>>(kept, p->want);
    judge_kernel<<<wide, 128>>>(kept, rows, p->want, limit, p->verdict);
}

/* had: the bits of this case in another tiling; 0: it is the first. */
static void check(struct place *p, const size_t *s, bool a_cross, bool b_cross,
                  const struct variant *v, unsigned long long *had)
{
    struct cuda_gemm g = gemm_of(p, s, a_cross, b_cross, v);
    size_t rows = g.m + 3;
    struct verdict r;
    unsigned splits;
    struct cuda_tiles t = tiles_of(p, &g, &splits);

    c_begin(p, &g, rows);
    (void)cudaMemset(p->verdict, 0, sizeof(r));
    p->run++;
    if (!cuda_wgmma_fits(&p->c, &g)) {
        printf("FAIL does not fit");
        memset(&r, 0, sizeof(r));
    } else {
        run(p, &g, rows);
        if (!cuda_check(
                &p->c,
                cudaMemcpy(&r, p->verdict, sizeof(r), cudaMemcpyDeviceToHost),
                "product"))
            r.wrong = 1;
        *had = *had ? *had : r.bits;
        if (!r.wrong && !r.touched && r.bits == *had)
            return;
        printf("FAIL %u wrong (row %u column %u), %u guards%s", r.wrong, r.row,
               r.column, r.touched, r.bits == *had ? "" : ", other bits");
    }
    printf(": %s%s %zu x %zu x %zu + %zu %s, tiles 128 x %u, cluster %u, "
           "%u parts, %d blocks\n",
           a_cross ? "A" : "a", b_cross ? "B" : "b", g.m, g.n, g.k, g.k2,
           v->name, t.columns, t.cluster, splits, p->c.sms);
    p->failed++;
}

static size_t multiply_adds(const size_t *s)
{
    return s[0] * s[1] * (s[2] + s[3]);
}

static void check_all(struct place *p)
{
    int all = p->c.sms;

    for (int kernels = CUDA_WGMMA; kernels <= CUDA_CLUSTER; kernels++)
        for (size_t s = 0; s < SHAPES; s++)
            for (unsigned cross = 0; cross < 3; cross++)
                for (size_t v = 0; v < VARIANTS; v++)
                    for (int few = 0; few < 2 && !stopped; few++) {
                        if (p->quick && multiply_adds(shapes[s]) > QUICK)
                            continue;
                        if (cross && variants[v].gate)
                            continue;
                        p->c.kernels = (enum cuda_kernels)kernels;
                        p->c.sms = few ? 4 : all;
                        check(p, shapes[s], cross == 2, cross >= 1,
                              &variants[v], &bits[s][cross][v]);
                    }
    p->c.sms = all;
    printf("%u of %u products are right\n", p->run - p->failed, p->run);
}

static double milliseconds(struct place *p, const struct cuda_gemm *g)
{
    cudaEvent_t begin, end;
    float ms = 0;

    (void)cuda_check(&p->c, cudaEventCreate(&begin), "event");
    (void)cuda_check(&p->c, cudaEventCreate(&end), "event");
    for (int i = 0; i < REPEATS + 3; i++) {
        if (i == 3)
            (void)cudaEventRecord(begin, p->c.stream);
        cuda_wgmma_run(&p->c, g);
    }
    (void)cudaEventRecord(end, p->c.stream);
    (void)cuda_check(&p->c, cudaEventSynchronize(end), "timing");
    (void)cudaEventElapsedTime(&ms, begin, end);
    (void)cudaEventDestroy(begin);
    (void)cudaEventDestroy(end);
    return (double)ms / REPEATS;
}

static void time_all(struct place *p)
{
    static const size_t timed[][4] = {
        { 8192, 8192, 8192, 0 },  { 4096, 4096, 4096, 0 },
        { 4096, 4096, 4096, 16 }, { 4096, 14336, 4096, 0 },
        { 4096, 4096, 14336, 0 }, { 4096, 8192, 2048, 0 },
        { 4096, 2048, 8192, 0 },  { 4096, 2048, 2048, 0 },
        { 1024, 2048, 2048, 0 },  { 512, 4096, 4096, 0 },
    };
    static const struct variant plain[] = {
        { "forward", CUDA_BF16, CUDA_F32, 0, 0, 0, true, 1.0f, 0, SUM },
        { "dx", CUDA_BF16, CUDA_F32, 0, 0, 0, true, 1.0f, 0, SUM },
        { "dw", CUDA_F32, CUDA_F32, 0, true, true, false, 1.0f, 0, SUM },
        { "swiglu", CUDA_BF16, CUDA_BF16, 0, true, 0, true, 1.0f, 0, GATE },
    };

    printf("%-24s %8s %10s %10s  TFLOP/s\n", "m x n x k + k2", "", "wgmma",
           "cluster");
    for (size_t s = 0; s < sizeof(timed) / sizeof(timed[0]); s++)
        for (int v = 0; v < 4 && !stopped; v++) {
            struct cuda_gemm g =
                gemm_of(p, timed[s], v == 2, v == 1 || v == 2, &plain[v]);
            char shape[64];

            snprintf(shape, sizeof(shape), "%zu x %zu x %zu + %zu", g.m, g.n,
                     g.k, g.k2);
            printf("%-24s %8s", shape, plain[v].name);
            for (int kernels = CUDA_WGMMA; kernels <= CUDA_CLUSTER; kernels++) {
                p->c.kernels = (enum cuda_kernels)kernels;
                printf(" %10.1f", 2e-9 * (double)g.m * (double)g.n *
                                      (double)(g.k + g.k2) /
                                      milliseconds(p, &g));
            }
            printf("\n");
            fflush(stdout);
        }
}

static void *room(struct place *p, size_t bytes)
{
    void *to = NULL;

    (void)cuda_check(&p->c, cudaMalloc(&to, bytes), "cudaMalloc");
    return to;
}

int main(int argc, char **argv)
{
    static struct place p;
    size_t most = (size_t)15000 * 8300; /* elements of an operand */
    cudaDeviceProp d;

    if (cudaGetDeviceProperties(&d, 0) != cudaSuccess || d.major != 9) {
        printf("skip: no device of compute capability 9.0\n");
        return 0;
    }
    p.quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    if (p.quick)
        most = (size_t)512 * 1024;
    p.c.sms = d.multiProcessorCount;
    p.c.major = d.major;
    p.c.smem_optin = d.sharedMemPerBlockOptin;
    p.a = room(&p, most * 2);
    p.b = room(&p, most * 2);
    p.a2 = room(&p, most / 8);
    p.b2 = room(&p, most / 8);
    p.add = room(&p, most * 4);
    p.out = room(&p, most * 4);
    p.beside = room(&p, (size_t)2100 * 2100 * sizeof(float));
    p.bias = (float *)room(&p, 65536 * sizeof(float));
    p.want = (double *)room(&p, (size_t)2100 * 2100 * sizeof(double));
    p.verdict = (struct verdict *)room(&p, sizeof(*p.verdict));
    p.c.scratch_bytes = p.quick ? (size_t)8 << 20 : (size_t)128 << 20;
    p.c.scratch = (char *)room(&p, p.c.scratch_bytes);
    p.c.arrivals = (uint32_t *)room(&p, CUDA_ARRIVALS * sizeof(*p.c.arrivals));
    if (stopped)
        return 1;
    (void)cudaMemset(p.c.arrivals, 0, CUDA_ARRIVALS * sizeof(*p.c.arrivals));
    fill(p.a, CUDA_BF16, most, 1);
    fill(p.b, CUDA_BF16, most, 2);
    fill(p.a2, CUDA_BF16, most / 16, 3);
    fill(p.b2, CUDA_BF16, most / 16, 4);
    fill(p.add, CUDA_BF16, most * 2, 5);
    fill(p.bias, CUDA_F32, 65536, 6);
    if (argc > 1 && strcmp(argv[1], "time") == 0)
        time_all(&p);
    else
        check_all(&p);
    return stopped || p.failed > 0;
}

/*
 * cpu_check.c - a small product of each family of kernels beside generic
 *
 * For the machine that nobody tested: a hypervisor that hides a feature, a
 * compiler that misread an intrinsic. It takes some microseconds and finds
 * what is wrong throughout, not what is wrong in a corner; corners are the
 * business of tests/unit/test_kernels.c.
 */
#include "compute/cpu/cpu_house.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 37 /* whole vectors and a rest, at every width */
#define DEPTH 23
#define ROWS (CPU_MAX_MR + 3)
#define COLS (CPU_MAX_NR + 5)
#define CLOSE 1e-4f

/* Numbers in [-1, 1] that do not repeat for a while. */
static void fill(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 9) * 0x1p-22f - 1;
    }
}

static bool close_to(const float *a, const float *b, size_t n)
{
    float most = 0, off = 0;

    for (size_t i = 0; i < n; i++) {
        float size = fabsf(b[i]), d = fabsf(a[i] - b[i]);

        if (!(d <= 1e30f)) /* also NaN */
            return false;
        most = size > most ? size : most;
        off = d > off ? d : off;
    }
    return off <= CLOSE * (most + 1e-3f);
}

/* Each family writes what it has to `out`, which has room for OUT. */
#define OUT 1024

static size_t run_product(const struct cpu_kernels *k, float *out)
{
    enum { PANELS = (COLS + 3) / 4 }; /* of the narrowest kernels */
    float a[ROWS * DEPTH], w[COLS * DEPTH];
    float panels[PANELS * 4 * DEPTH * 2 + CPU_MAX_NR * DEPTH];
    struct cpu_block g = { .m = ROWS,
                           .n = COLS,
                           .k = DEPTH,
                           .a = a,
                           .b = panels,
                           .rs = DEPTH,
                           .cs = 1,
                           .panel_stride = k->nr * DEPTH,
                           .c = out,
                           .ldc = COLS,
                           .alpha = 0.5f,
                           .add = true };
    struct cpu_narrow n = { .m = CPU_NARROW,
                            .n = COLS,
                            .k = DEPTH,
                            .depth = DEPTH,
                            .a = a,
                            .rs = DEPTH,
                            .b = panels,
                            .type = COMPUTE_F32,
                            .panel_stride = k->nr * DEPTH,
                            .ldc = COLS,
                            .alpha = 0.5f };

    fill(a, ROWS * DEPTH, 1);
    fill(w, COLS * DEPTH, 2);
    fill(out, ROWS * COLS, 3);
    for (size_t j = 0; j < COLS; j += k->nr)
        k->pack_rows(panels + j * DEPTH, w + j * DEPTH, DEPTH,
                     COLS - j < k->nr ? COLS - j : k->nr, DEPTH);
    k->block(&g);
    n.c = out + ROWS * COLS;
    k->narrow(&n);
    return (ROWS + CPU_NARROW) * COLS;
}

static size_t run_widen(const struct cpu_kernels *k, float *out)
{
    uint16_t h[N];

    for (size_t i = 0; i < N; i++)
        h[i] = (uint16_t)(0x3a00 + 0x77 * i);
    k->widen(out, h, COMPUTE_F16, N);
    k->widen(out + N, h, COMPUTE_BF16, N);
    return 2 * N;
}

static size_t run_rows(const struct cpu_kernels *k, float *out)
{
    float x[N], y[N], stat[2];
    float most = -1e30f;

    fill(x, N, 4);
    fill(y, N, 5);
    memcpy(out, y, sizeof(y));
    k->axpy(out, 0.5f, x, N);
    out[N] = k->dot(x, y, N);
    out[N + 1] = k->rmsnorm(out + N + 3, x, y, N, 1e-5f);
    memcpy(out + 2 * N + 3, x, sizeof(x));
    out[N + 2] = k->softmax_part(out + 2 * N + 3, N, 2, &most);
    k->layernorm(out + 3 * N + 3, x, y, x, N, 1e-5f, stat);
    memcpy(out + 4 * N + 3, x, sizeof(x));
    out[5 * N + 3] = k->cross_entropy(out + 4 * N + 3, N, 7, 0.5f, true);
    return 5 * N + 4;
}

static size_t run_activations(const struct cpu_kernels *k, float *out)
{
    float x[N], y[N];

    fill(x, N, 6);
    fill(y, N, 7);
    k->swiglu(out, x, y, N);
    k->swiglu_grad(out + N, out + 2 * N, y, x, y, N);
    k->activate(COMPUTE_GELU, out + 3 * N, x, N);
    k->softcap(out + 4 * N, x, 3, 2, N);
    return 5 * N;
}

static size_t run_optimizer(const struct cpu_kernels *k, float *out)
{
    static const float constants[ADAMW_CONSTANTS] = { 0.1f, 0.99f, 0.01f,  0.1f,
                                                      0.9f, 1e-8f, 0.999f, 1 };
    float g[N];

    fill(g, N, 8);
    fill(out, 2 * N, 9);
    for (size_t i = 0; i < N; i++)
        out[2 * N + i] = g[i] * g[i];
    k->adamw(out, g, out + N, out + 2 * N, N, constants);
    return 3 * N;
}

static size_t run_states(const struct cpu_kernels *k, float *out)
{
    enum { WIDTH = 3 };
    float s[WIDTH * N], add[N], b[3 * WIDTH];
    const float *in[2] = { s, add };

    fill(s, WIDTH * N, 10);
    fill(add, N, 11);
    fill(b, 3 * WIDTH, 12);
    k->conv_row(out, in, s, add, 2, true, N);
    k->scan_step(out + N, s, 0.9f, add, b, b + WIDTH, out + 4 * N, WIDTH, N);
    k->delta_step(out + 5 * N, s, 0.9f, 0.5f, add, b, b + WIDTH, out + 8 * N,
                  WIDTH, N);
    return 9 * N;
}

/* A tile of m rows by as many panels; returns what it put to out. */
static size_t run_tile(const struct cpu_kernels *k, float *out,
                       enum compute_quant kind, size_t m, size_t panels)
{
    enum { BLOCKS = 2, M = 2, MOST = 4, PAIR = CPU_INT_NR * 34 * BLOCKS };
    float x[M * BLOCKS * CPU_INT_BLOCK];
    uint8_t w[MOST * PAIR];
    size_t columns = panels * CPU_INT_NR, pair = cpu_int_pair_bytes(kind);
    void *rows = mem_zalloc(BLOCKS * m * k->int_bytes(kind));
    struct cpu_int_tile t = { .kind = kind,
                              .m = m,
                              .n = CPU_INT_NR,
                              .blocks = BLOCKS,
                              .panels = panels,
                              .apart = 1,
                              .x = rows,
                              .w = w,
                              .y = out,
                              .ldy = columns,
                              .alpha = 1 };
    bool odd = kind == COMPUTE_Q8_0;

    fill(x, sizeof(x) / sizeof(*x), 13);
    for (size_t j = 0; j < sizeof(w); j++)
        w[j] = (uint8_t)(j * 167 + j / 5) ^ (odd && j % 2 ? k->int_odd : 0);
    for (size_t j = 0; j < BLOCKS * columns; j++) {
        uint16_t scale = (uint16_t)(0x2000 + 31 * (j % 32));

        memcpy(w + j / 32 * pair + cpu_int_scales_at(kind, 0) + 2 * (j % 32),
               &scale, 2);
    }
    k->int_rows(kind, rows, x, BLOCKS * CPU_INT_BLOCK, m, BLOCKS);
    k->int_tile(&t);
    free(rows);
    return m * columns;
}

static size_t run_blocks(const struct cpu_kernels *k, float *out)
{
    static const enum compute_quant kinds[] = { COMPUTE_Q8_0, COMPUTE_Q4_0 };
    size_t n = 0;

    for (size_t i = 0; i < 2; i++)
        for (size_t m = 1; m <= 2; m++) {
            n += run_tile(k, out + n, kinds[i], m, 1);
            n += run_tile(k, out + n, kinds[i], m, cpu_int_at_once(m));
        }
    return n;
}

static const struct {
    const char *name;
    size_t (*run)(const struct cpu_kernels *k, float *out);
} families[] = {
    { "a product", run_product },          { "widening", run_widen },
    { "a row operation", run_rows },       { "an activation", run_activations },
    { "a product of blocks", run_blocks }, { "the optimizer", run_optimizer },
    { "a recurrence", run_states },
};

const char *cpu_check(const struct cpu_kernels *k)
{
    float is[OUT], should[OUT];

    if (k == &cpu_kernels_generic)
        return NULL;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        size_t n = families[i].run(k, is);

        (void)families[i].run(&cpu_kernels_generic, should);
        if (!close_to(is, should, n))
            return families[i].name;
    }
    return NULL;
}

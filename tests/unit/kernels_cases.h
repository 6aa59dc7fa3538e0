/*
 * kernels_cases.h - each entry of struct cpu_kernels on given sizes
 *
 * A case draws its inputs by room(), which ends at a page that cannot be
 * touched, runs one kernel, and hands what came out to take(). The same draws
 * for every set of kernels: results are compared one by one.
 */
#ifndef KERNELS_CASES_H
#define KERNELS_CASES_H

#include <check.h>

#include "base/clock.h"
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 12
#define SLOT_BYTES ((size_t)1 << 18)
#define RESULTS 65536

static char *slots[SLOTS];
static size_t slot;
static float magnitude;
static float results[RESULTS];
static size_t result_count;
/* Spent on inputs and results, not in a kernel. */
static uint64_t aside;

/* Cycles of the time-stamp counter, whose rate is the CPU's nominal one;
 * nanoseconds where there is none. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)clock_mono_ns();
#endif
}

static inline void slots_begin(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < SLOTS; i++) {
        char *p = mmap(NULL, SLOT_BYTES + page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        ck_assert(p != MAP_FAILED);
        ck_assert_int_eq(mprotect(p + SLOT_BYTES, page, PROT_NONE), 0);
        slots[i] = p;
    }
}

/* Bytes of any value; nothing lies behind them. */
static inline void *raw(size_t bytes)
{
    uint64_t began = ticks();
    char *p = slots[slot++] + SLOT_BYTES - bytes;

    ck_assert(slot <= SLOTS && bytes <= SLOT_BYTES);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(i * 167 + slot + i / 7);
    aside += ticks() - began;
    return p;
}

/* n numbers about `magnitude`; nothing lies behind them. */
static inline float *room(size_t n)
{
    float *x = raw(n * sizeof(*x));
    uint32_t seed = (uint32_t)slot * 977;
    uint64_t began = ticks();

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 9) * 0x1p-22f - 1) * magnitude;
    }
    aside += ticks() - began;
    return x;
}

static inline void take(const float *x, size_t n)
{
    uint64_t began = ticks();

    ck_assert(result_count + n <= RESULTS);
    if (n)
        memcpy(results + result_count, x, n * sizeof(*x));
    result_count += n;
    aside += ticks() - began;
}

static inline void take_one(double x)
{
    float f = (float)x;

    take(&f, 1);
}

typedef const struct cpu_kernels *set;

static inline float *packed(set k, const float *w, size_t n, size_t depth)
{
    size_t panels = (n + k->nr - 1) / k->nr;
    float *b = raw(panels * k->nr * depth * sizeof(*b));

    for (size_t j = 0; j < n; j += k->nr)
        k->pack_rows(b + j * depth, w + j * depth, depth,
                     n - j < k->nr ? n - j : k->nr, depth);
    return b;
}

/* Sizes of a product from one number: ragged, several tiles. */
static inline void case_block(set k, size_t s)
{
    size_t m = 1 + s * 5 % 37, n = 1 + s * 7 % 71, depth = 1 + s * 3 % 43;
    float *a = room(m * depth), *b = packed(k, room(n * depth), n, depth);
    float *from = room(m * n), *bias = room(n), *c = room(m * n);
    struct cpu_block g = { .m = m,
                           .n = n,
                           .k = depth,
                           .a = a,
                           .b = b,
                           .rs = depth,
                           .cs = 1,
                           .panel_stride = depth * k->nr,
                           .c = c,
                           .ldc = n,
                           .alpha = 0.5f };

    k->block(&g);
    take(c, m * n);
    g.add = true;
    k->block(&g);
    take(c, m * n);
    g.from = from;
    g.ldf = n;
    g.bias = bias;
    k->block(&g);
    take(c, m * n);
    g.far = true;
    k->block(&g);
    take(c, m * n);
    g.far = false;
    g.b = room(depth * n); /* rows as they are */
    g.ldb = n;
    g.keep = raw(depth * k->nr * sizeof(*g.keep));
    k->block(&g);
    take(c, m * n);
}

static inline void case_pack_strips(set k, size_t s)
{
    size_t m = 1 + s % 35, depth = 1 + s % 27, strips = (m + k->mr - 1) / k->mr;
    float *a = room(m * depth), *w = room(k->nr * depth);
    float *out = raw(strips * k->mr * depth * sizeof(*out));
    float *b = packed(k, w, k->nr, depth), *c = room(m * 8);
    struct cpu_block g = { .m = m,
                           .n = 8,
                           .k = depth,
                           .a = out,
                           .b = b,
                           .rs = 1,
                           .cs = k->mr,
                           .strip = k->mr * depth,
                           .panel_stride = depth * k->nr,
                           .c = c,
                           .ldc = 8,
                           .alpha = 1 };

    for (int by_rows = 0; by_rows < 2; by_rows++) {
        size_t rs = by_rows ? depth : 1, cs = by_rows ? 1 : m;
        bool equal = true;

        k->pack_strips(out, a, rs, cs, m, depth);
        for (size_t i = 0; i < m; i++)
            for (size_t p = 0; p < depth; p++)
                equal &= out[(i / k->mr * depth + p) * k->mr + i % k->mr] ==
                         a[i * rs + p * cs];
        ck_assert(equal);
        k->block(&g); /* columns 0 to 7 depend on w's first rows alone */
        take(c, m * 8);
    }
}

static inline void *halves(const float *x, size_t n, enum compute_type type)
{
    uint16_t *h = raw(n * sizeof(*h));

    if (type == COMPUTE_F16)
        (void)cpu_kernels_generic.thin(h, x, COMPUTE_F16, n);
    for (size_t i = 0; i < n && type == COMPUTE_BF16; i++)
        memcpy(h + i, (const char *)(x + i) + 2, 2);
    return h;
}

static inline void case_narrow(set k, size_t s)
{
    size_t m = 1 + s % CPU_NARROW, n = 1 + s * 7 % 150, depth = 1 + s * 3 % 97;
    float *a = room(m * depth), *b = packed(k, room(n * depth), n, depth);
    float *c = room(m * n), *bias = room(n);
    struct cpu_narrow g = { .m = m,
                            .n = n,
                            .k = depth,
                            .depth = depth / 2 + 1,
                            .a = a,
                            .rs = depth,
                            .b = b,
                            .type = COMPUTE_F32,
                            .panel_stride = depth * k->nr,
                            .c = c,
                            .ldc = n,
                            .alpha = 0.5f };

    k->narrow(&g);
    take(c, m * n);
    g.bias = bias;
    k->narrow(&g);
    take(c, m * n);
    g.from = room(m * n);
    g.ldf = n;
    for (int type = COMPUTE_BF16; type <= COMPUTE_F16; type++) {
        g.type = (enum compute_type)type;
        g.b = halves(b, (n + k->nr - 1) / k->nr * k->nr * depth, g.type);
        k->narrow(&g);
        take(c, m * n);
    }
}

static inline void take_panel(set k, const float *panel, size_t n, size_t depth)
{
    uint64_t began = ticks(), before = aside;
    bool rest_is_zero = true;

    for (size_t p = 0; p < depth; p++)
        for (size_t j = 0; j < k->nr; j++)
            if (j < n && j < 8)
                take(panel + p * k->nr + j, 1);
            else if (j >= n)
                rest_is_zero &= panel[p * k->nr + j] == 0;
    ck_assert(rest_is_zero);
    aside = before + ticks() - began;
}

static inline void case_pack_rows(set k, size_t s)
{
    size_t n = 1 + s % 8, depth = 1 + s * 3 % 43, ld = depth + s % 3;
    float *w = room((n - 1) * ld + depth);
    float *panel = raw(k->nr * depth * sizeof(*panel));

    k->pack_rows(panel, w, ld, n, depth);
    take_panel(k, panel, n, depth);
}

static inline void case_pack_cols(set k, size_t s)
{
    size_t n = 1 + s % 8, depth = 1 + s * 3 % 43, ld = n + s % 3;
    float *w = room((depth - 1) * ld + n);
    float *panel = raw(k->nr * depth * sizeof(*panel));

    k->pack_cols(panel, w, ld, n, depth);
    take_panel(k, panel, n, depth);
}

/* Every finite value of 16 bits, infinities among them, comes by and by. */
static inline void case_widen(set k, size_t n)
{
    uint16_t *h = raw(n * sizeof(*h));
    float *y = room(n);

    for (size_t i = 0; i < n; i++) {
        h[i] = (uint16_t)(i * 59 + n * 977);
        if ((h[i] & 0x7c00) == 0x7c00)
            h[i] &= 0xfc00; /* of f16: infinity rather than NaN */
    }
    k->widen(y, h, COMPUTE_F16, n);
    take(y, n);
    k->widen(y, h, COMPUTE_BF16, n);
    take(y, n);
}

static inline void blocks_run(set k, enum compute_quant kind, size_t s)
{
    size_t m = s % 2 ? 1 + s / 2 % 2 : 1 + s % k->int_mr, blocks = 1 + s % 5;
    size_t panels = s % 2 ? cpu_int_at_once(m) : 1, apart = 1 + s % 3;
    size_t n = panels > 1 ? CPU_INT_NR : 1 + s % CPU_INT_NR;
    size_t all = (panels - 1) * apart + 1; /* panels */
    size_t columns = (all - 1) * CPU_INT_NR + n;
    size_t ld = blocks * CPU_INT_BLOCK;
    float *x = room(m * ld), *y = room(m * columns), *bias = room(columns);
    size_t bytes = (all - 1) * cpu_int_panel_bytes(kind, blocks) +
                   cpu_int_scales_at(kind, blocks - 1) + 2 * CPU_INT_NR;
    uint8_t *w = raw(bytes);
    void *panel = raw(blocks * m * k->int_bytes(kind));
    struct cpu_int_tile t = { .kind = kind,
                              .n = n,
                              .m = m,
                              .blocks = blocks,
                              .panels = panels,
                              .apart = apart,
                              .x = panel,
                              .w = w,
                              .bias = s / 2 % 2 ? bias : NULL,
                              .y = y,
                              .ldy = columns,
                              .alpha = 0.5f,
                              .add = s % 3 == 0 };

    for (size_t i = 1; i < bytes && kind == COMPUTE_Q8_0; i += 2)
        w[i] ^= k->int_odd;
    for (size_t i = 0; i < all * blocks * CPU_INT_NR; i++) {
        uint16_t scale = (uint16_t)(0x2000 + 31 * (i % 64));
        size_t block = i / CPU_INT_NR;

        memcpy(w + block / blocks * cpu_int_panel_bytes(kind, blocks) +
                   cpu_int_scales_at(kind, block % blocks) +
                   2 * (i % CPU_INT_NR),
               &scale, 2);
    }
    k->int_rows(kind, panel, x, ld, m, blocks);
    k->int_tile(&t);
    /* The first row, where how many there are is the set's affair. */
    take(y, s % 2 ? m * columns : columns);
}

static inline void case_int_tile(set k, size_t s)
{
    blocks_run(k, COMPUTE_Q8_0, s);
}

static inline void case_int_rows(set k, size_t s)
{
    blocks_run(k, COMPUTE_Q4_0, s);
}

static inline void case_int_bytes(set k, size_t s)
{
    (void)s;
    ck_assert_uint_gt(k->int_bytes(COMPUTE_Q8_0), CPU_INT_BLOCK);
    ck_assert_uint_gt(k->int_bytes(COMPUTE_Q4_0), CPU_INT_BLOCK);
    ck_assert_uint_ge(k->int_mr, 1);
}

static inline void case_axpy(set k, size_t n)
{
    float *y = room(n), *x = room(n);

    k->axpy(y, 0.7f, x, n);
    take(y, n);
}

static inline void case_add_bias(set k, size_t n)
{
    float *y = room(n), *x = room(n);

    k->add_bias(y, x, n);
    take(y, n);
}

static inline void case_sum_squares(set k, size_t n)
{
    take_one(k->sum_squares(room(n), n));
}

static inline void case_rmsnorm(set k, size_t n)
{
    float *y = room(n), *x = room(n), *w = room(n);

    if (n == 0)
        return;
    take_one((double)(k->rmsnorm(y, x, w, n, 1e-5f) / 300));
    take(y, n);
}

static inline void case_rmsnorm_grad(set k, size_t n)
{
    float *dx = room(n), *dw = room(n), *dy = room(n), *x = room(n);
    float *w = room(n);

    if (n == 0)
        return;
    k->rmsnorm_grad(dx, dw, dy, x, w, 0.7f, n);
    k->rmsnorm_grad(dx, NULL, dy, x, w, 0.7f, n);
    take(dx, n);
    take(dw, n);
}

static inline void case_rope(set k, size_t n)
{
    size_t half = n % 40, dim = 2 * half + n % 3;
    float *x = room(3 * dim), *c = room(half), *s = room(half);

    k->rope(x, c, s, 3, dim, 2 * half, -1);
    take(x, 3 * dim);
}

static inline void case_swiglu(set k, size_t n)
{
    float *h = room(n), *gate = room(n), *up = room(n);

    k->swiglu(h, gate, up, n);
    take(h, n);
}

static inline void case_swiglu_grad(set k, size_t n)
{
    float *dg = room(n), *du = room(n), *dh = room(n), *g = room(n);

    k->swiglu_grad(dg, du, dh, g, room(n), n);
    take(dg, n);
    take(du, n);
}

static inline void case_softmax_part(set k, size_t n)
{
    float *x = room(n), most = -1e30f;

    if (n == 0)
        return;
    take_one((double)k->softmax_part(x, n, 2, &most) / (double)n);
    take_one((double)most);
    take(x, n);
}

static inline void case_softmax_back(set k, size_t n)
{
    float *p = room(n), *dp = room(n);

    k->softmax_back(p, dp, n, 0.5f, magnitude, 0.3f);
    take(p, n);
    take(dp, n);
}

static inline void case_times(set k, size_t n)
{
    float *y = room(n);

    k->times(y, room(n), n);
    take(y, n);
}

static inline void case_block_thin(set k, size_t s)
{
    size_t m = 1 + s * 5 % 37, n = 1 + s * 7 % 71, depth = 1 + s * 3 % 43;
    float *a = room(m * depth), *b = packed(k, room(n * depth), n, depth);
    size_t count = (n + k->nr - 1) / k->nr * k->nr * depth;
    float *c = room(m * n);
    uint16_t *half = raw(count * sizeof(*half));
    int8_t *bytes = raw(count);
    struct cpu_block g = { .m = m,
                           .n = n,
                           .k = depth,
                           .a = a,
                           .rs = depth,
                           .cs = 1,
                           .panel_stride = depth * k->nr,
                           .c = c,
                           .ldc = n,
                           .alpha = 0.5f };

    (void)k->thin(half, b, COMPUTE_F16, count);
    k->block_thin(&g, half, COMPUTE_F16);
    take(c, m * n);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (int8_t)(b[i] / magnitude * 100);
    k->block_thin(&g, bytes, COMPUTE_I8);
    take(c, m * n);
}

static inline void case_thin(set k, size_t n)
{
    float *x = room(n), *y = room(n);
    uint16_t *half = raw(n * sizeof(*half));
    int8_t *bytes = raw(n);

    take_one((double)k->thin(bytes, x, COMPUTE_I8, n));
    for (size_t i = 0; i < n; i++)
        take_one((double)bytes[i]);
    (void)k->thin(half, x, COMPUTE_F16, n);
    cpu_kernels_generic.widen(y, half, COMPUTE_F16, n);
    take(y, n);
}

static inline void case_dot(set k, size_t n)
{
    float *a = room(n);

    take_one((double)k->dot(a, room(n), n));
}

static inline void case_scale(set k, size_t n)
{
    float *y = room(n);

    k->scale(y, -3, n);
    take(y, n);
}

static inline void case_cross_entropy(set k, size_t n)
{
    float *x = room(n);

    if (n == 0)
        return;
    take_one((double)k->cross_entropy(x, n, n / 2, 0.5f, false));
    x = room(n);
    take_one((double)k->cross_entropy(x, n, n / 2, 0.5f, true));
    take(x, n);
}

static inline void case_argmax(set k, size_t n)
{
    float *x = room(n), logp = 0;

    if (n == 0)
        return;
    take_one((double)k->argmax(x, n, NULL));
    take_one((double)k->argmax(x, n, &logp));
    take_one((double)logp);
}

static inline void case_adamw(set k, size_t n)
{
    static const float constants[ADAMW_CONSTANTS] = { 0.1f, 0.99f, 0.01f,  0.1f,
                                                      0.9f, 1e-8f, 0.999f, 1 };
    float *p = room(n), *g = room(n), *m = room(n), *v = room(n);

    for (size_t i = 0; i < n; i++)
        v[i] *= v[i];
    k->adamw(p, g, m, v, n, constants);
    take(p, n);
    take(m, n);
    take(v, n);
}

#define KINDS (COMPUTE_GELU + 1)

static inline void case_activate(set k, size_t n)
{
    float *y = room(n), *x = room(n);

    for (int a = 0; a < KINDS; a++) {
        k->activate((enum compute_activation)a, y, x, n);
        take(y, n);
    }
}

static inline void case_activate_grad(set k, size_t n)
{
    float *dx = room(n), *dy = room(n), *x = room(n);

    for (int a = 0; a < KINDS; a++) {
        k->activate_grad((enum compute_activation)a, dx, dy, x, n);
        take(dx, n);
    }
}

static inline void case_glu(set k, size_t n)
{
    float *h = room(n), *gate = room(n), *up = room(n);

    for (int a = 0; a < KINDS; a++) {
        k->glu((enum compute_activation)a, h, gate, up, n);
        take(h, n);
    }
}

static inline void case_glu_grad(set k, size_t n)
{
    float *dg = room(n), *du = room(n), *dh = room(n), *g = room(n);
    float *up = room(n);

    for (int a = 0; a < KINDS; a++) {
        k->glu_grad((enum compute_activation)a, dg, du, dh, g, up, n);
        take(dg, n);
        take(du, n);
    }
}

static inline void case_softcap(set k, size_t n)
{
    float *y = room(n), *x = room(n);

    k->softcap(y, x, 3, 2, n);
    take(y, n);
}

static inline void case_softcap_grad(set k, size_t n)
{
    float *dx = room(n), *y = room(n);

    k->softcap_grad(dx, y, 2, n);
    take(dx, n);
}

static inline void case_layernorm(set k, size_t n)
{
    float *y = room(n), *x = room(n), *w = room(n), *b = room(n), stat[2];

    if (n == 0)
        return;
    k->layernorm(y, x, w, b, n, 1e-5f, stat);
    take(y, n);
    take(stat, 1);
}

static inline void case_layernorm_grad(set k, size_t n)
{
    static const float stat[2] = { 0.1f, 0.7f };
    float *dx = room(n), *dw = room(n), *db = room(n), *dy = room(n);
    float *x = room(n), *w = room(n);

    if (n == 0)
        return;
    k->layernorm_grad(dx, dw, db, dy, x, w, stat, n);
    k->layernorm_grad(dx, NULL, NULL, dy, x, w, stat, n);
    take(dx, n);
    take(dw, n);
    take(db, n);
}

static inline void case_conv_row(set k, size_t n)
{
    const float *in[4] = { NULL, room(n), room(n), room(n) };
    float *w = room(4 * n), *bias = room(n), *y = room(n);

    k->conv_row(y, in, w, bias, 4, false, n);
    take(y, n);
    k->conv_row(y, in, w, bias, 4, true, n);
    take(y, n);
}

static inline void case_conv_row_grad(set k, size_t n)
{
    const float *in[3] = { NULL, room(n), room(n) };
    float *w = room(3 * n), *bias = room(n), *dy = room(n);
    float *g = room(n), *dw = room(3 * n), *db = room(n);

    k->conv_row_grad(g, dw, db, dy, in, w, bias, 3, true, n);
    take(g, n);
    take(dw, 3 * n);
    take(db, n);
}

#define WIDTH 3

static inline void case_scan_step(set k, size_t n)
{
    float *s = room(WIDTH * n), *from = room(WIDTH * n), *add = room(n);
    float *b = room(WIDTH), *c = room(WIDTH), *y = room(n);

    k->scan_step(s, from, 0.9f, add, b, c, y, WIDTH, n);
    take(y, n);
    k->scan_step(s, s, 0.9f, add, b, c, y, WIDTH, n);
    take(s, WIDTH * n);
    take(y, n);
}

static inline void case_scan_step_grad(set k, size_t n)
{
    float *d = room(2 * WIDTH + 1), *b = room(2 * WIDTH);
    struct cpu_scan_step x = { .ds = room(WIDTH * n),
                               .db = d,
                               .dc = d + WIDTH,
                               .after = room(WIDTH * n),
                               .before = room(WIDTH * n),
                               .b = b,
                               .c = b + WIDTH,
                               .add = room(n),
                               .dy = room(n),
                               .decay = 0.9f,
                               .dadd = room(n),
                               .ddecay = d + 2 * WIDTH,
                               .width = WIDTH,
                               .dim = n };

    k->scan_step_grad(&x);
    take(x.ds, WIDTH * n);
    take(d, 2 * WIDTH + 1);
    take(x.dadd, n);
}

static inline void case_delta_step(set k, size_t n)
{
    float *s = room(WIDTH * n), *from = room(WIDTH * n), *v = room(n);
    float *key = room(WIDTH), *q = room(WIDTH), *o = room(n);

    k->delta_step(s, from, 0.9f, 0.5f, v, key, q, o, WIDTH, n);
    take(o, n);
    k->delta_step(s, s, 0.9f, 0.5f, v, key, q, o, WIDTH, n);
    take(s, WIDTH * n);
    take(o, n);
}

static inline void case_delta_step_grad(set k, size_t n)
{
    float *d = room(2 * WIDTH + 2), *kq = room(2 * WIDTH);
    struct cpu_delta_step x = { .ds = room(WIDTH * n),
                                .dq = d,
                                .dk = d + WIDTH,
                                .after = room(WIDTH * n),
                                .before = room(WIDTH * n),
                                .q = kq,
                                .k = kq + WIDTH,
                                .v = room(n),
                                .d_o = room(n),
                                .decay = 0.9f,
                                .beta = 0.5f,
                                .dv = room(n),
                                .ddecay = d + 2 * WIDTH,
                                .dbeta = d + 2 * WIDTH + 1,
                                .width = WIDTH,
                                .dim = n };

    k->delta_step_grad(&x);
    take(x.ds, WIDTH * n);
    take(d, 2 * WIDTH + 2);
    take(x.dv, n);
}

static inline void case_peak_fma(set k, size_t n)
{
    float sink = 0.5f;

    ck_assert(k->peak_fma(n, &sink) >= 2.0 * (double)n);
    ck_assert(isfinite(sink));
}

static inline void case_peak_int8(set k, size_t n)
{
    int32_t sink = 3;

    ck_assert(k->peak_int8(n, &sink) >= 2.0 * (double)n);
}

static inline void case_peak_read(set k, size_t n)
{
    const unsigned char *p = raw(n * 512);
    uint32_t sum = 0;

    for (size_t i = 0; i < n * 512; i += 4) {
        uint32_t word;

        memcpy(&word, p + i, 4);
        sum += word;
    }
    ck_assert_uint_eq(k->peak_read(p, n * 512), sum);
}

#endif

/*
 * kernels_gemm.h - private: the register-blocked matrix product
 *
 * MR rows by NV vectors of accumulators; A is read in place through two
 * strides (a broadcast costs the same from anywhere in the first-level
 * cache), B from packed panels. Each output is summed over k in ascending
 * order, whatever block it falls into, so that tiling never changes a result.
 */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include "base/half.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/kernels_vec.h"

#if VW == 16
#define MR 14
#define NR 32
#define STEPS 2
#elif VW == 8
#define MR 6
#define NR 16
#define STEPS 4
#elif defined(KERNELS_NEON)
#define MR 8
#define NR 12
#define STEPS 2
#else
#define MR 4
#define NR 8
#define STEPS 1
#endif
#define NV (NR / VW)

#if VW == 4 && !defined(KERNELS_NEON)
INLINE vf v_from_f16(const void *p)
{
    const uint16_t *h = p;
    vf y = { 0 };

    for (int i = 0; i < VW; i++)
        y[i] = half_value(h[i]);
    return y;
}
#endif

static void gemm_pack_cols(float *panel, const float *w, size_t ld, size_t n,
                           size_t k)
{
    if (n == NR) {
        for (size_t p = 0; p < k; p++)
            memcpy(panel + p * NR, w + p * ld, NR * sizeof(*w));
        return;
    }
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < NR; j++)
            panel[p * NR + j] = j < n ? w[p * ld + j] : 0;
}

struct strip {
    const struct cpu_block *g;
    const float *a, *b, *from, *bias; /* from, bias: NULL for none */
    float *c;
    size_t n;          /* columns of this panel */
    const char *ahead; /* NULL, or from where to fetch what comes next, ... */
    size_t ahead_step; /* ... so many bytes for each k */
};

/* What becomes of sums[mr][NR] where the panel has fewer columns. */
static __attribute__((noinline)) void micro_edge(const struct strip *s,
                                                 const float *sums, int mr)
{
    const struct cpu_block *g = s->g;
    vf alpha = v_set(g->alpha);

    for (size_t i = 0; i < (size_t)mr; i++)
        for (size_t j = 0; j < s->n; j += VW) {
            size_t n = s->n - j < VW ? s->n - j : VW;
            vf x = v_load(sums + i * NR + j);

            x = s->from ? v_fma(x, alpha, v_load_n(s->from + i * g->ldf + j, n))
                        : x * alpha;
            if (s->bias)
                x += v_load_n(s->bias + j, n);
            v_store_n(s->c + i * g->ldc + j, x, n);
        }
}

/* One k: mr x nv products. */
INLINE void micro_step(const int mr, const int nv, vf (*acc)[NV],
                       const float *a, size_t rs, const vf *bv)
{
    UNROLL
    for (int i = 0; i < mr; i++) {
        vf av = v_set(a[(size_t)i * rs]);

        UNROLL
        for (int j = 0; j < nv; j++)
            v_fma_to(&acc[i][j], av, bv[j]);
    }
}

/* The same for `steps` of them: where another thread shares the core, what
 * counts the steps takes the place of products. */
INLINE void micro_steps(const int mr, const int nv, const int steps,
                        vf (*acc)[NV], const float **a, size_t rs, size_t cs,
                        const float *b)
{
    UNROLL
    for (int q = 0; q < steps; q++) {
        vf bv[NV];

        UNROLL
        for (int j = 0; j < nv; j++)
            bv[j] = v_load(b + q * NR + j * VW);
        micro_step(mr, nv, acc, *a, rs, bv);
        *a += cs;
        if (!__builtin_constant_p(cs)) /* addresses fill all registers else */
            __asm__("" : "+r"(*a));
    }
}

#define ROWS_AHEAD 32 /* as far as memory is, and more */

/* B is rows as they are and becomes a panel on the way. */
INLINE void micro_gather(vf (*acc)[NV], const struct strip *s)
{
    const struct cpu_block *g = s->g;
    const float *a = s->a, *b = s->b;
    float *keep = g->keep;

    for (size_t p = g->k; p > 0; p--) {
        vf bv[NV];

        UNROLL
        for (int j = 0; j < NV; j++) {
            bv[j] = v_load(b + j * VW);
            v_store(keep + j * VW, bv[j]);
        }
        __builtin_prefetch(b + ROWS_AHEAD * g->ldb, 0, 3);
        micro_step(MR, NV, acc, a, g->rs, bv);
        a += g->cs;
        b += g->ldb;
        keep += NR;
    }
}

INLINE void micro_panel(const int mr, const int nv, const bool fetch,
                        vf (*acc)[NV], const struct strip *s, size_t rs,
                        size_t cs)
{
    const float *a = s->a, *b = s->b;
    const char *ahead = s->ahead;
    const size_t step = s->ahead_step;
    size_t p = s->g->k;

    for (; p >= STEPS; p -= STEPS, b += STEPS * NR) {
        if (fetch) {
            UNROLL
            for (int q = 0; q < STEPS; q++, ahead += step)
                __builtin_prefetch(ahead, 0, 2);
        }
        micro_steps(mr, nv, STEPS, acc, &a, rs, cs, b);
    }
    for (; p > 0; p--, b += NR)
        micro_steps(mr, nv, 1, acc, &a, rs, cs, b);
}

/* mr and nv are constants in every use. */
INLINE void micro(const int mr, const int nv, const bool gather,
                  const struct strip *s)
{
    const struct cpu_block *g = s->g;
    vf acc[MR][NV], va;

    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        acc[i][j] = (vf){ 0 };
    UNROLL
    for (int i = 0; i < mr; i++) /* stores wait one for another */
        __builtin_prefetch(s->c + (size_t)i * g->ldc, 1, 3);
    if (gather)
        micro_gather(acc, s);
    else if (nv == NV && g->cs == 1 && s->ahead)
        micro_panel(mr, nv, true, acc, s, g->rs, 1);
    else if (nv == NV && g->cs == MR && s->ahead)
        micro_panel(mr, nv, true, acc, s, 1, MR);
    else if (g->cs == 1)
        micro_panel(mr, nv, false, acc, s, g->rs, 1);
    else if (g->cs == MR)
        micro_panel(mr, nv, false, acc, s, 1, MR);
    else
        micro_panel(mr, nv, false, acc, s, 1, g->cs);
    va = v_set(g->alpha);
    if (s->n < (size_t)nv * VW) {
        float sums[MR * NR];

        UNROLL
        for (int i = 0; i < mr; i++)
            UNROLL
        for (int j = 0; j < nv; j++)
            v_store(sums + i * NR + j * VW, acc[i][j]);
        micro_edge(s, sums, mr);
        return;
    }
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        if (s->from)
            acc[i][j] = v_fma(acc[i][j], va,
                              v_load(s->from + (size_t)i * g->ldf + j * VW));
        else
            acc[i][j] *= va;
    if (s->bias)
        UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        acc[i][j] += v_load(s->bias + j * VW);
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        v_store(s->c + (size_t)i * g->ldc + j * VW, acc[i][j]);
}

#define STRIP(mr)                                                              \
    static __attribute__((noinline)) void strip_##mr(const struct strip *s)    \
    {                                                                          \
        if (s->n > VW)                                                         \
            micro(mr, NV, false, s);                                           \
        else                                                                   \
            micro(mr, 1, false, s);                                            \
    }

STRIP(1)
STRIP(2)
STRIP(3)
STRIP(4)
#if MR > 4
STRIP(5)
STRIP(6)
#endif
#if MR > 6
STRIP(7)
STRIP(8)
#endif
#if MR > 8
STRIP(9)
STRIP(10)
STRIP(11)
STRIP(12)
STRIP(13)
STRIP(14)
#endif

static void (*const strips[])(const struct strip *) = {
    NULL,    strip_1,  strip_2,  strip_3,  strip_4,
#if MR > 4
    strip_5, strip_6,
#endif
#if MR > 6
    strip_7, strip_8,
#endif
#if MR > 8
    strip_9, strip_10, strip_11, strip_12, strip_13, strip_14,
#endif
};

static __attribute__((noinline)) void strip_gather(const struct strip *s)
{
    micro(MR, NV, true, s);
}

/* Of what comes from afar each strip fetches a part: the panel beside this one,
 * or where a panel passes alone what lies behind. */
static const float *behind(const struct cpu_block *g, size_t j)
{
    if (!g->far || g->ldb || (g->n > NR && j + NR >= g->n))
        return NULL;
    return g->b + (g->n > NR ? (j / NR + 1) * g->panel_stride : g->k * NR);
}

INLINE void block_strip(const struct cpu_block *g, struct strip *s,
                        const float *from, size_t i, size_t j)
{
    size_t strip = g->strip ? g->strip : MR * g->rs;

    s->n = g->n - j < NR ? g->n - j : NR;
    s->bias = g->bias ? g->bias + j : NULL;
    s->a = g->a + i / MR * strip;
    s->c = g->c + i * g->ldc + j;
    s->from = from ? from + i * g->ldf + j : NULL;
}

/* A strip of whole panels whose sums are short: what surrounds them is as much
 * work as they are, so no call is made for each, and nothing is looked up. */
static __attribute__((noinline)) size_t
shallow_strip(const struct cpu_block *g, const float *from, size_t i)
{
    const struct cpu_block block = *g;
    struct strip s = { .g = &block, .b = block.b };
    size_t j = 0;

    block_strip(&block, &s, from, i, 0);
    s.n = NR;
    for (; j + NR <= block.n; j += NR) {
        micro(MR, NV, false, &s);
        s.b += block.panel_stride;
        s.c += NR;
        if (from)
            s.from += NR;
        if (block.bias)
            s.bias += NR;
    }
    return j;
}

/* Where sums are short, what counts is to write C along its rows. */
static void block_shallow(const struct cpu_block *g, struct strip *s,
                          const float *from)
{
    for (size_t i = 0; i < g->m; i += MR) {
        size_t j = g->m - i < MR ? 0 : shallow_strip(g, from, i);

        for (; j < g->n; j += NR) {
            s->b = g->b + j / NR * g->panel_stride;
            block_strip(g, s, from, i, j);
            strips[g->m - i < MR ? g->m - i : MR](s);
        }
    }
}

static void gemm_block(const struct cpu_block *g)
{
    const float *from = !g->add ? NULL : g->from ? g->from : g->c;
    size_t passes = (g->m + MR - 1) / MR;
    struct cpu_block block = *g;
    struct strip s = { .g = &block };

    if (!g->from)
        block.ldf = g->ldc;
    if (g->k <= CPU_SHALLOW && !g->ldb) {
        block_shallow(&block, &s, from);
        return;
    }
    if (passes)
        s.ahead_step = (NR * sizeof(float) + passes - 1) / passes;
    for (size_t j = 0; j < g->n; j += NR) {
        const char *ahead = (const char *)behind(g, j);
        bool whole = g->n - j >= NR, gather = g->ldb && whole && g->m >= MR;

        s.b = g->b + (g->ldb ? j : j / NR * g->panel_stride);
        if (g->ldb && !gather) {
            gemm_pack_cols(g->keep, g->b + j, g->ldb, whole ? NR : g->n - j,
                           g->k);
            s.b = g->keep;
        }
        for (size_t i = 0; i < g->m; i += MR) {
            block_strip(&block, &s, from, i, j);
            s.ahead = ahead ? ahead + i / MR * s.ahead_step * g->k : NULL;
            if (gather && i == 0) {
                strip_gather(&s);
                s.b = g->keep;
            } else {
                strips[g->m - i < MR ? g->m - i : MR](&s);
            }
        }
    }
}

/* Few rows: several panels at once, so that there are sums enough in flight
 * to read as fast as memory gives. The order of every sum is gemm_block's. */
INLINE vf narrow_load(const void *b, size_t at, const enum compute_type type)
{
    if (type == COMPUTE_F32)
        return v_load((const float *)b + at);
    if (type == COMPUTE_BF16)
        return v_from_bf16((const uint16_t *)b + at);
    return v_from_f16((const uint16_t *)b + at);
}

struct narrow {
    const struct cpu_narrow *g;
    const char *b;
    size_t j; /* column */
};

#define NARROW_AHEAD 1024 /* bytes */

INLINE void narrow_store(const int mr, const int np, const struct narrow *s,
                         vf (*sum)[4 * NV])
{
    const struct cpu_narrow *g = s->g;

    for (int i = 0; i < mr; i++)
        for (int j = 0; j < np * NV; j++) {
            size_t at = s->j + (size_t)j * VW;
            vf x = sum[i][j];

            if (at >= g->n)
                continue;
            if (at + VW <= g->n) {
                if (g->bias)
                    x += v_load(g->bias + at);
                v_store(g->c + (size_t)i * g->ldc + at, x);
            } else {
                if (g->bias)
                    x += v_load_n(g->bias + at, g->n - at);
                v_store_n(g->c + (size_t)i * g->ldc + at, x, g->n - at);
            }
        }
}

INLINE void narrow_begin(const int mr, const int np, const struct narrow *s,
                         vf (*sum)[4 * NV])
{
    const struct cpu_narrow *g = s->g;

    for (int i = 0; i < mr; i++)
        for (int j = 0; j < np * NV; j++) {
            size_t at = s->j + (size_t)j * VW;
            const float *from = g->from + (size_t)i * g->ldf + at;

            sum[i][j] = (vf){ 0 };
            if (at + VW <= g->n)
                sum[i][j] = v_load(from);
            else if (at < g->n)
                sum[i][j] = v_load_n(from, g->n - at);
        }
}

/* mr, np (panels) and type are constants in every use. */
INLINE void narrow(const int mr, const int np, const enum compute_type type,
                   const struct narrow *s)
{
    const struct cpu_narrow *g = s->g;
    const size_t size = type == COMPUTE_F32 ? 4 : 2;
    const size_t stride = g->panel_stride * size;
    const vf va = v_set(g->alpha);
    const char *b = s->b;
    vf sum[4][4 * NV];

    if (g->from)
        narrow_begin(mr, np, s, sum);
    for (size_t p = 0; p < g->k; p += g->depth) {
        size_t end = g->k - p < g->depth ? g->k : p + g->depth;
        vf acc[4][4 * NV];

        UNROLL
        for (int i = 0; i < mr; i++)
            UNROLL
        for (int j = 0; j < np * NV; j++)
            acc[i][j] = (vf){ 0 };
        for (size_t q = p; q < end; q++) {
            UNROLL
            for (int t = 0; t < np; t++) {
                const char *panel = b + (size_t)t * stride;

                __builtin_prefetch(panel + NARROW_AHEAD, 0, 3);
                UNROLL
                for (int j = 0; j < NV; j++) {
                    vf w = narrow_load(panel, (size_t)j * VW, type);

                    UNROLL
                    for (int i = 0; i < mr; i++)
                        acc[i][t * NV + j] =
                            v_fma(v_set(g->a[(size_t)i * g->rs + q]), w,
                                  acc[i][t * NV + j]);
                }
            }
            b += NR * size;
        }
        UNROLL
        for (int i = 0; i < mr; i++)
            UNROLL
        for (int j = 0; j < np * NV; j++)
            sum[i][j] = p > 0 || g->from ? v_fma(acc[i][j], va, sum[i][j])
                                         : acc[i][j] * va;
    }
    narrow_store(mr, np, s, sum);
}

#define NARROW(mr, np, type)                                                   \
    static __attribute__((noinline)) void narrow_##mr##_##np##_##type(         \
        const struct narrow *s)                                                \
    {                                                                          \
        narrow(mr, np, COMPUTE_##type, s);                                     \
    }
#define NARROWS(type)                                                          \
    NARROW(1, 4, type)                                                         \
    NARROW(1, 1, type)                                                         \
    NARROW(2, 2, type)                                                         \
    NARROW(2, 1, type)                                                         \
    NARROW(3, 2, type)                                                         \
    NARROW(3, 1, type)                                                         \
    NARROW(4, 1, type)
#define NARROW_ROW(type)                                                       \
    {                                                                          \
        { narrow_1_1_##type, narrow_1_4_##type },                              \
            { narrow_2_1_##type, narrow_2_2_##type },                          \
            { narrow_3_1_##type, narrow_3_2_##type },                          \
            { narrow_4_1_##type, narrow_4_1_##type },                          \
    }

NARROWS(F32)
NARROWS(BF16)
NARROWS(F16)

static void gemm_narrow(const struct cpu_narrow *g)
{
    static void (*const run[3][4][2])(const struct narrow *) = {
        [COMPUTE_F32] = NARROW_ROW(F32),
        [COMPUTE_BF16] = NARROW_ROW(BF16),
        [COMPUTE_F16] = NARROW_ROW(F16),
    };
    static const size_t many[4] = { 4, 2, 2, 1 };
    size_t size = g->type == COMPUTE_F32 ? 4 : 2, step;

    for (size_t j = 0; j < g->n; j += step * NR) {
        struct narrow s = { g, (const char *)g->b, j };

        s.b += j / NR * g->panel_stride * size;
        step = g->n - j > (many[g->m - 1] - 1) * NR ? many[g->m - 1] : 1;
        run[g->type][g->m - 1][step > 1](&s);
    }
}

#if VW >= 8
/* y[q][0..8) = x[0..8)[q], in this order; in the place of rows past n the last
 * one. */
INLINE void turn_eight(float *y, size_t ldy, const float *x, size_t ldx,
                       size_t n)
{
    __m256 a[8], b[8];

    UNROLL
    for (size_t i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(x + (i < n ? i : n - 1) * ldx);
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++)
        _mm256_storeu_ps(y + i * ldy,
                         _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    UNROLL
    for (size_t i = 0; i < 4; i++)
        _mm256_storeu_ps(y + (i + 4) * ldy,
                         _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
}

/* Eight columns of k at a time, of whole groups of eight rows; returns how
 * many columns are done. */
INLINE size_t turn_groups(float *panel, const float *w, size_t ld, size_t n,
                          size_t k)
{
    size_t p = 0;

    for (; p + 16 <= k; p += 16) /* a line of each row before the next row */
        for (size_t j = 0; j + 8 <= n; j += 8) {
            turn_eight(panel + p * NR + j, NR, w + j * ld + p, ld, 8);
            turn_eight(panel + (p + 8) * NR + j, NR, w + j * ld + p + 8, ld, 8);
        }
    for (; p + 8 <= k; p += 8)
        for (size_t j = 0; j + 8 <= n; j += 8)
            turn_eight(panel + p * NR + j, NR, w + j * ld + p, ld, 8);
    return p;
}
#define GROUP 8
#else
INLINE size_t turn_groups(float *panel, const float *w, size_t ld, size_t n,
                          size_t k)
{
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n / VW * VW; j++)
            panel[p * NR + j] = w[j * ld + p];
    return k;
}
#define GROUP VW
#endif

/* panel[p][j] = w[j][p] */
static void gemm_pack_rows(float *panel, const float *w, size_t ld, size_t n,
                           size_t k)
{
    size_t done = turn_groups(panel, w, ld, n, k), whole = n / GROUP * GROUP;

    for (size_t p = 0; p < k; p++)
        for (size_t j = p < done ? whole : 0; j < NR; j++)
            panel[p * NR + j] = j < n ? w[j * ld + p] : 0;
}

/* A strip of n rows a[n][ld]; rows past n repeat the last. Vectors of eight are
 * written over one another's ends, so that the last columns go one by one. */
INLINE void turn_strip(float *out, const float *a, size_t ld, size_t n,
                       size_t k)
{
    size_t p = 0;

#if VW >= 8
    if (n == MR)
        for (; p + 8 < k; p += 8)
            for (size_t i = (MR - 1) / 8 * 8 + 8; i > 0; i -= 8)
                turn_eight(out + p * MR + i - 8, MR, a + (i - 8) * ld + p, ld,
                           i > MR ? 8 - (i - MR) : 8);
#endif
    for (; p < k; p++)
        for (size_t i = 0; i < MR; i++)
            out[p * MR + i] = a[(i < n ? i : n - 1) * ld + p];
}

/* Strips of MR rows, [k][MR] each. Rows past m are whatever lies there. */
static void gemm_pack_strips(float *out, const float *a, size_t rs, size_t cs,
                             size_t m, size_t k)
{
    for (size_t i = 0; i < m; i += MR, out += k * MR) {
        size_t n = m - i < MR ? m - i : MR;

        if (cs == 1)
            turn_strip(out, a + i * rs, rs, n, k);
        else if (n == MR)
            for (size_t p = 0; p < k; p++)
                memcpy(out + p * MR, a + p * cs + i, MR * sizeof(*a));
        else
            for (size_t p = 0; p < k; p++)
                memcpy(out + p * MR, a + p * cs + i, n * sizeof(*a));
    }
}

static void gemm_widen(float *y, const void *x, enum compute_type type,
                       size_t n)
{
    const uint16_t *h = x;
    size_t i = 0;

    if (type == COMPUTE_BF16) {
        for (; i + VW <= n; i += VW)
            v_store(y + i, v_from_bf16(h + i));
        for (; i < n; i++) {
            uint32_t u = (uint32_t)h[i] << 16;

            memcpy(y + i, &u, sizeof(u));
        }
        return;
    }
    for (; i + VW <= n; i += VW)
        v_store(y + i, v_from_f16(h + i));
    for (; i < n; i++)
        y[i] = half_value(h[i]);
}

#endif

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

#include "compute/cpu/cpu.h"
#include "compute/cpu/kernels_vec.h"

#if VW == 16
#define MR 14
#define NR 32
#elif VW == 8
#define MR 6
#define NR 16
#else
#define MR 4
#define NR 8
#endif
#define NV (NR / VW)

INLINE void micro_store(float *c, vf x, size_t n, vf alpha, bool add)
{
    if (n >= VW)
        v_store(c, add ? v_fma(x, alpha, v_load(c)) : x * alpha);
    else
        v_store_n(c, add ? v_fma(x, alpha, v_load_n(c, n)) : x * alpha, n);
}

/* mr and nv are constants in every use. */
INLINE void micro(const int mr, const int nv, size_t k, const float *a,
                  size_t rs, size_t cs, const float *b, float *c, size_t ldc,
                  size_t n, float alpha, bool add)
{
    vf acc[MR][NV];
    vf va = v_set(alpha);

    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        acc[i][j] = (vf){ 0 };
    for (size_t p = 0; p < k; p++) {
        vf bv[NV];

        UNROLL
        for (int j = 0; j < nv; j++)
            bv[j] = v_load(b + j * VW);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf av = v_set(a[(size_t)i * rs]);

            UNROLL
            for (int j = 0; j < nv; j++)
                acc[i][j] = v_fma(av, bv[j], acc[i][j]);
        }
        a += cs;
        b += NR;
    }
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        if (n > (size_t)j * VW)
            micro_store(c + (size_t)i * ldc + (size_t)j * VW, acc[i][j],
                        n - (size_t)j * VW, va, add);
}

struct strip {
    const struct cpu_block *g;
    const float *a, *b;
    float *c;
    size_t n; /* columns of this panel */
};

#define STRIP(mr)                                                              \
    static __attribute__((noinline)) void strip_##mr(const struct strip *s)    \
    {                                                                          \
        const struct cpu_block *g = s->g;                                      \
                                                                               \
        if (s->n > VW)                                                         \
            micro(mr, NV, g->k, s->a, g->rs, g->cs, s->b, s->c, g->ldc, s->n,  \
                  g->alpha, g->add);                                           \
        else                                                                   \
            micro(mr, 1, g->k, s->a, g->rs, g->cs, s->b, s->c, g->ldc, s->n,   \
                  g->alpha, g->add);                                           \
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
STRIP(9)
STRIP(10)
STRIP(11)
STRIP(12)
STRIP(13)
STRIP(14)
#endif

static void (*const strips[])(const struct strip *) = {
    NULL,    strip_1, strip_2, strip_3,  strip_4,
#if MR > 4
    strip_5, strip_6,
#endif
#if MR > 6
    strip_7, strip_8, strip_9, strip_10, strip_11, strip_12, strip_13, strip_14,
#endif
};

static void gemm_block(const struct cpu_block *g)
{
    struct strip s = { .g = g };

    for (size_t j = 0; j < g->n; j += NR) {
        s.n = g->n - j < NR ? g->n - j : NR;
        s.b = g->b + j / NR * g->panel_stride;
        for (size_t i = 0; i < g->m; i += MR) {
            size_t m = g->m - i < MR ? g->m - i : MR;

            s.a = g->a + i * g->rs;
            s.c = g->c + i * g->ldc + j;
            strips[m](&s);
        }
    }
}

/* panel[p][j] = w[j][p]; VW columns of k at a time through a small block. */
static void gemm_pack_rows(float *panel, const float *w, size_t ld, size_t n,
                           size_t k)
{
    size_t p = 0;

    for (; p + VW <= k; p += VW) {
        float t[VW][NR];

        for (size_t j = 0; j < n; j++)
            for (size_t q = 0; q < VW; q++)
                t[q][j] = w[j * ld + p + q];
        for (size_t j = n; j < NR; j++)
            for (size_t q = 0; q < VW; q++)
                t[q][j] = 0;
        memcpy(panel + p * NR, t, sizeof(t));
    }
    for (; p < k; p++)
        for (size_t j = 0; j < NR; j++)
            panel[p * NR + j] = j < n ? w[j * ld + p] : 0;
}

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

static float f16_value(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v;
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t mantissa = h & 0x3ffu;
    unsigned exponent = (h >> 10) & 31;

    if (exponent == 0) {
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    } else if (exponent == 31) {
        v.u = sign | 0x7f800000u | mantissa << 13;
    } else {
        v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    }
    return v.f;
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
#if VW > 4
    for (; i + VW <= n; i += VW)
        v_store(y + i, v_from_f16(h + i));
#endif
    for (; i < n; i++)
        y[i] = f16_value(h[i]);
}

#endif

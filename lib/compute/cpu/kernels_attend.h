/*
 * kernels_attend.h - private: what attention has beyond products and rows
 *
 * Products whose panels are half floats or bytes widen them on the way into
 * the registers, and so have the bits of gemm_block over the widened panels.
 */
#ifndef KERNELS_ATTEND_H
#define KERNELS_ATTEND_H

#include "compute/cpu/kernels_gemm.h"
#include "compute/cpu/kernels_rows.h"

#include <float.h>

INLINE vf v_from_i8(const void *p)
{
#if VW == 16
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif VW == 8
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    const int8_t *b = p;
    vf x = { 0 };

    for (int i = 0; i < VW; i++)
        x[i] = (float)b[i];
    return x;
#endif
}

INLINE vf v_thin(const void *p, const bool bytes)
{
    return bytes ? v_from_i8(p) : v_from_f16(p);
}

INLINE void thin_store(float *c, vf x, size_t n, vf alpha, bool add)
{
    if (n >= VW)
        v_store(c, add ? v_fma(x, alpha, v_load(c)) : x * alpha);
    else
        v_store_n(c, add ? v_fma(x, alpha, v_load_n(c, n)) : x * alpha, n);
}

/* As micro; mr and bytes are constants in every use. */
INLINE void micro_thin(const int mr, const bool bytes,
                       const struct cpu_block *g, const float *a, const char *b,
                       float *c, size_t n)
{
    const size_t width = bytes ? 1 : 2;
    vf acc[MR][NV], va = v_set(g->alpha);

    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < NV; j++)
        acc[i][j] = (vf){ 0 };
    for (size_t p = 0; p < g->k; p++) {
        vf bv[NV];

        UNROLL
        for (int j = 0; j < NV; j++)
            bv[j] = v_thin(b + (size_t)j * VW * width, bytes);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf av = v_set(a[(size_t)i * g->rs]);

            UNROLL
            for (int j = 0; j < NV; j++)
                acc[i][j] = v_fma(av, bv[j], acc[i][j]);
        }
        a += g->cs;
        b += NR * width;
    }
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
    for (int j = 0; j < NV; j++)
        if (n > (size_t)j * VW)
            thin_store(c + (size_t)i * g->ldc + (size_t)j * VW, acc[i][j],
                       n - (size_t)j * VW, va, g->add);
}

#define THIN(mr)                                                               \
    static __attribute__((noinline)) void half_##mr(                           \
        const struct cpu_block *g, const float *a, const char *b, float *c,    \
        size_t n)                                                              \
    {                                                                          \
        micro_thin(mr, false, g, a, b, c, n);                                  \
    }                                                                          \
    static __attribute__((noinline)) void byte_##mr(                           \
        const struct cpu_block *g, const float *a, const char *b, float *c,    \
        size_t n)                                                              \
    {                                                                          \
        micro_thin(mr, true, g, a, b, c, n);                                   \
    }

THIN(1)
THIN(2)
THIN(3)
THIN(4)
#if MR > 4
THIN(5)
THIN(6)
#endif
#if MR > 6
THIN(7)
THIN(8)
#endif
#if MR > 8
THIN(9)
THIN(10)
THIN(11)
THIN(12)
THIN(13)
THIN(14)
#endif

typedef void thin_strip(const struct cpu_block *g, const float *a,
                        const char *b, float *c, size_t n);

static thin_strip *const half_strips[] = {
    NULL,   half_1,  half_2,  half_3,  half_4,
#if MR > 4
    half_5, half_6,
#endif
#if MR > 6
    half_7, half_8,
#endif
#if MR > 8
    half_9, half_10, half_11, half_12, half_13, half_14,
#endif
};

static thin_strip *const byte_strips[] = {
    NULL,   byte_1,  byte_2,  byte_3,  byte_4,
#if MR > 4
    byte_5, byte_6,
#endif
#if MR > 6
    byte_7, byte_8,
#endif
#if MR > 8
    byte_9, byte_10, byte_11, byte_12, byte_13, byte_14,
#endif
};

static void attend_block_thin(const struct cpu_block *g, const void *panels,
                              enum compute_type type)
{
    size_t width = type == COMPUTE_I8 ? 1 : 2;

    for (size_t j = 0; j < g->n; j += NR) {
        const char *b = (const char *)panels + j / NR * g->panel_stride * width;

        for (size_t i = 0; i < g->m; i += MR) {
            size_t m = g->m - i < MR ? g->m - i : MR;

            (type == COMPUTE_I8 ? byte_strips : half_strips)[m](
                g, g->a + i * g->rs, b, g->c + i * g->ldc + j,
                g->n - j < NR ? g->n - j : NR);
        }
    }
}

/* y = x as bytes times the factor that is returned. What is next to nothing
 * becomes nothing, what is not finite makes the factor so. */
static float thin_bytes(int8_t *y, const float *x, size_t n)
{
    int32_t top = 0;
    float most, rate;

    for (size_t i = 0; i < n; i++) {
        int32_t size; /* of x's bits: that of a NaN is larger than any other */

        memcpy(&size, x + i, sizeof(size));
        size &= 0x7fffffff;
        top = size > top ? size : top;
    }
    memcpy(&most, &top, sizeof(most));
    if (!(most >= 1e-30f && most <= FLT_MAX)) {
        memset(y, 0, n);
        return most < 1e-30f ? 0 : most;
    }
    rate = 127 / most;
    for (size_t i = 0; i < n; i++) {
        float code = x[i] * rate;

        code = (code + 12582912.0f) - 12582912.0f; /* to the nearest */
        y[i] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
    }
    return most / 127;
}

/* y = x as f16, or as bytes times the factor that is returned. */
static float attend_thin(void *y, const float *x, enum compute_type type,
                         size_t n)
{
    uint16_t *h = y;
    size_t i = 0;

    if (type != COMPUTE_F16)
        return thin_bytes(y, x, n);
#if VW > 4
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(
            (__m128i *)(void *)(h + i),
            _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++)
        h[i] = half_bits(x[i]);
    return 1;
}

static void attend_times(float *y, const float *x, size_t n)
{
    EACH(i, n)
    {
        row_put(y + i, row_get(y + i, n_) * row_get(x + i, n_), n_);
    }
}

/* p = exp(p scale - lse), dp = p (dp - delta) */
static void attend_back(float *p, float *dp, size_t n, float scale, float lse,
                        float delta)
{
    vf sc = v_set(scale), sh = v_set(-lse), sub = v_set(delta);

    EACH(i, n)
    {
        vf e = v_exp(v_fma(row_get(p + i, n_), sc, sh));

        row_put(p + i, e, n_);
        row_put(dp + i, e * (row_get(dp + i, n_) - sub), n_);
    }
}

#endif

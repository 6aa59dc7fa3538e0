/*
 * kernels_wide.h - the few AVX-512 intrinsics that kernels use, in plain C
 *
 * So that their logic at 16 lanes (tiles, masks, rests) runs on any machine
 * with AVX2; what the intrinsics do is left to the CPUs that have them.
 */
#ifndef KERNELS_WIDE_H
#define KERNELS_WIDE_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define KERNELS_WIDE 1
#define WIDE static inline __attribute__((always_inline, unused))

typedef float wide_f __attribute__((vector_size(64)));
typedef int32_t wide_i __attribute__((vector_size(64)));

/* Lanes that the mask leaves out are not touched, in memory too. */
WIDE wide_f wide_load(uint16_t mask, const float *p)
{
    wide_f x = { 0 };

    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            x[i] = p[i];
    return x;
}
WIDE void wide_store(float *p, uint16_t mask, wide_f x)
{
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            p[i] = x[i];
}
WIDE wide_f wide_halves(__m256 low, __m256 high)
{
    wide_f x;

    memcpy(&x, &low, 32);
    memcpy((char *)&x + 32, &high, 32);
    return x;
}
WIDE __m256 wide_half(wide_f x, int which)
{
    __m256 y;

    memcpy(&y, (const char *)&x + 32 * which, 32);
    return y;
}
WIDE wide_f wide_fma(wide_f a, wide_f b, wide_f c)
{
    return wide_halves(
        _mm256_fmadd_ps(wide_half(a, 0), wide_half(b, 0), wide_half(c, 0)),
        _mm256_fmadd_ps(wide_half(a, 1), wide_half(b, 1), wide_half(c, 1)));
}
WIDE wide_f wide_max(wide_f a, wide_f b)
{
    return wide_halves(_mm256_max_ps(wide_half(a, 0), wide_half(b, 0)),
                       _mm256_max_ps(wide_half(a, 1), wide_half(b, 1)));
}
WIDE wide_f wide_sqrt(wide_f a)
{
    return wide_halves(_mm256_sqrt_ps(wide_half(a, 0)),
                       _mm256_sqrt_ps(wide_half(a, 1)));
}
WIDE wide_f wide_from_f16(__m256i h)
{
    return wide_halves(_mm256_cvtph_ps(_mm256_castsi256_si128(h)),
                       _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1)));
}
WIDE wide_i wide_madd(wide_i a, wide_i b)
{
    __m256i x[2], y[2];

    memcpy(x, &a, 64);
    memcpy(y, &b, 64);
    for (int i = 0; i < 2; i++)
        x[i] = _mm256_madd_epi16(x[i], y[i]);
    memcpy(&a, x, 64);
    return a;
}
WIDE wide_i wide_madd_bytes(wide_i u, wide_i s)
{
    __m256i x[2], y[2];

    memcpy(x, &u, 64);
    memcpy(y, &s, 64);
    for (int i = 0; i < 2; i++)
        x[i] = _mm256_maddubs_epi16(x[i], y[i]);
    memcpy(&u, x, 64);
    return u;
}

WIDE wide_i wide_from_bytes(__m128i x)
{
    wide_i y;
    int8_t b[16];

    memcpy(b, &x, 16);
    for (int i = 0; i < 16; i++)
        y[i] = b[i];
    return y;
}

WIDE int32_t wide_top(wide_i x)
{
    int32_t top = x[0];

    for (int i = 1; i < 16; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}
WIDE __m128i wide_to_bytes(wide_i x)
{
    int8_t b[16];
    __m128i y;

    for (int i = 0; i < 16; i++)
        b[i] = (int8_t)x[i];
    memcpy(&y, b, 16);
    return y;
}

#define __m512i wide_i
#define _mm512_reduce_max_epi32(x) wide_top(x)
#define _mm512_cvtepi32_epi8(x) wide_to_bytes(x)
#define _mm512_cvtepi8_epi32(x) wide_from_bytes(x)
#define _mm512_cvtepi32_ps(x) __builtin_convertvector(x, wide_f)
#define __mmask16 uint16_t
#define _mm512_maskz_loadu_ps(mask, p) wide_load(mask, p)
#define _mm512_mask_storeu_ps(p, mask, x) wide_store(p, mask, x)
#define _mm512_fmadd_ps(a, b, c) wide_fma(a, b, c)
#define _mm512_max_ps(a, b) wide_max(a, b)
#define _mm512_sqrt_ps(a) wide_sqrt(a)
#define _mm512_cvtph_ps(h) wide_from_f16(h)
#define _mm512_castps512_ps256(x) wide_half(x, 0)
#define _mm512_castps_pd(x) (x)
#undef _mm512_extractf64x4_pd /* a macro in clang */
#define _mm512_extractf64x4_pd(x, which) _mm256_castps_pd(wide_half(x, which))
#define _mm512_madd_epi16(a, b) wide_madd(a, b)
#define _mm512_maddubs_epi16(u, s) wide_madd_bytes(u, s)

#endif

/*
 * kernels_peak.h - private: what this instruction set gives at most
 *
 * Loops that do nothing but multiply and add in registers, and one that does
 * nothing but read: the limits that products and decoding are measured by.
 */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

#include "compute/cpu/kernels_vec.h"

#define PEAK_CHAINS 12 /* independent: more than latency times units */

/* Multiplies and adds counted apart, as everywhere. */
static double peak_fma(size_t rounds, float *sink)
{
    vf acc[PEAK_CHAINS], a = v_set(*sink), b = v_set(*sink * 0.5f);

    UNROLL for (int i = 0; i < PEAK_CHAINS; i++) acc[i] = v_set((float)i);
    for (size_t r = 0; r < rounds; r++)
        UNROLL
    for (int i = 0; i < PEAK_CHAINS; i++)
        acc[i] = v_fma(acc[i], a, b);
    UNROLL for (int i = 1; i < PEAK_CHAINS; i++) acc[0] += acc[i];
    *sink = v_sum(acc[0]);
    return 2.0 * VW * PEAK_CHAINS * (double)rounds;
}

#if defined(__AVX2__)
#if defined(__AVX512VNNI__)
typedef __m512i peak_int;
#define PEAK_INT_SET(x) _mm512_set1_epi32(x)
#define PEAK_INT_ADD(a, b) _mm512_add_epi32(a, b)
#define PEAK_INT_STEP(acc, u, s) _mm512_dpbusd_epi32(acc, u, s)
#elif defined(__AVX512BW__)
typedef __m512i peak_int;
#define PEAK_INT_SET(x) _mm512_set1_epi32(x)
#define PEAK_INT_ADD(a, b) _mm512_add_epi32(a, b)
#define PEAK_INT_STEP(acc, u, s)                                               \
    _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(u, s),        \
                                            _mm512_set1_epi16(1)))
#else
typedef __m256i peak_int;
#define PEAK_INT_SET(x) _mm256_set1_epi32(x)
#define PEAK_INT_ADD(a, b) _mm256_add_epi32(a, b)
#if defined(__AVXVNNI__)
#define PEAK_INT_STEP(acc, u, s) _mm256_dpbusd_avx_epi32(acc, u, s)
#else
#define PEAK_INT_STEP(acc, u, s)                                               \
    _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s),        \
                                            _mm256_set1_epi16(1)))
#endif
#endif
#define PEAK_INT_CHAINS 8

/* Bytes times bytes into sums of 32 bits, by the best instruction there is. */
static double peak_int8(size_t rounds, int32_t *sink)
{
    peak_int acc[PEAK_INT_CHAINS], u = PEAK_INT_SET(*sink), s = u;
    int32_t out;

    UNROLL for (int i = 0; i < PEAK_INT_CHAINS; i++) acc[i] = PEAK_INT_SET(i);
    for (size_t r = 0; r < rounds; r++)
        UNROLL
    for (int i = 0; i < PEAK_INT_CHAINS; i++) {
        __asm__ volatile("" : "+v"(u)); /* or the product is made once */
        acc[i] = PEAK_INT_STEP(acc[i], u, s);
    }
    UNROLL for (int i = 1; i < PEAK_INT_CHAINS; i++) acc[0] =
        PEAK_INT_ADD(acc[0], acc[i]);
    memcpy(&out, &acc[0], sizeof(out));
    *sink = out;
    return 2.0 * sizeof(peak_int) * PEAK_INT_CHAINS * (double)rounds;
}
#else
static double peak_int8(size_t rounds, int32_t *sink)
{
    int8_t a[1024], b[1024];
    uint32_t sum = 0; /* goes round */

    for (size_t i = 0; i < sizeof(a); i++) {
        a[i] = (int8_t)((uint32_t)*sink + i);
        b[i] = (int8_t)((uint32_t)*sink - i);
    }
    for (size_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
        for (size_t i = 0; i < sizeof(a); i++)
            sum += (uint32_t)(a[i] * b[i]);
    }
    *sink = (int32_t)sum;
    return 2.0 * sizeof(a) * (double)rounds;
}
#endif

/* Reads n bytes, a multiple of 512, and adds them up as words of 32 bits. */
static uint32_t peak_read(const void *data, size_t n)
{
    typedef uint32_t words
        __attribute__((vector_size(VW * 4), aligned(4), may_alias));
    const words *p = data;
    words acc[8] = { { 0 } };
    uint32_t sum = 0;

    for (size_t i = 0; i < n / sizeof(words); i += 8)
        UNROLL
    for (size_t j = 0; j < 8; j++)
        acc[j] += p[i + j];
    for (size_t j = 0; j < 8; j++)
        for (size_t k = 0; k < VW; k++)
            sum += acc[j][k];
    return sum;
}

#endif

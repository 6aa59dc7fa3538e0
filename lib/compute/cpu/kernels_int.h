/*
 * kernels_int.h - private: products of 8-bit activations with weights that
 * are blocks of 32 codes of 8 or 4 bits
 *
 * Sums within a block are integers and exact, blocks are added in ascending
 * order without fused operations: every instruction set gives the same bits.
 * Codes of weights are unsigned (+128, +8) in panels of 16 columns; what that
 * adds is taken off where a sum starts. The form for any machine stands here;
 * vectors have kernels_int_vec.h.
 */
#ifndef KERNELS_INT_H
#define KERNELS_INT_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/kernels_gemm.h"
#include "compute/cpu/kernels_vec.h"

#include <float.h>

#define IGROUPS (CPU_INT_BLOCK / 4)

/* INT_DOT: the machine multiplies u8 by s8 and adds four products to an i32
 * (VNNI). INT_MADD: to an i16 two, and two of i16 to an i32. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(INT_EMULATED)
#define INT_DOT 1
#elif VW >= 8
#define INT_MADD 1
#endif

#if VW == 16
#define IMR 14
#elif VW == 8
#define IMR 6
#else
#define IMR 4
#endif

/* In INT_MADD, codes u and s of 8 bits side by side, s with its sign, are a
 * number of 16 bits: u x + s y = (u + 256 s) x + s (y - 256 x), where nothing
 * has to be cut off. */
#ifdef INT_MADD
#define INT_ODD 0x80
#else
#define INT_ODD 0
#endif

/* Bytes of a group of 4 codes x0..x3 of a row: codes of 8 bits meet i16 in
 * INT_MADD, as x0, x2, x1 - 256 x0, x3 - 256 x2. */
INLINE size_t int_group(enum compute_quant kind)
{
#ifdef INT_MADD
    return kind == COMPUTE_Q8_0 ? 8 : 4;
#else
    (void)kind;
    return 4;
#endif
}

/* A block of a panel of m rows: unit[m], start[m], then groups of codes
 * [8][m][4]. Bytes for each row: */
static size_t int_bytes(enum compute_quant kind)
{
    return 8 + IGROUPS * int_group(kind);
}

/* The largest lane; codes in 8 bits; the sums of codes 0 and 1, 2 and 3 of
 * groups, each times `by`, two of 8 bits; a group as 16 bits. */
#if VW >= 8
INLINE int32_t int_top(vi x)
{
#if VW == 16
    return _mm512_reduce_max_epi32((__m512i)x);
#else
    __m128i y = _mm_max_epi32(_mm256_castsi256_si128((__m256i)x),
                              _mm256_extracti128_si256((__m256i)x, 1));

    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0x4e));
    y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0xb1));
    return _mm_cvtsi128_si32(y);
#endif
}
INLINE void int_narrow(int8_t *q, const vi *wide)
{
#if VW == 16
    _mm_storeu_si128((__m128i *)(void *)q,
                     _mm512_cvtepi32_epi8((__m512i)wide[0]));
    _mm_storeu_si128((__m128i *)(void *)(q + 16),
                     _mm512_cvtepi32_epi8((__m512i)wide[1]));
#else
    __m256i low = _mm256_packs_epi32((__m256i)wide[0], (__m256i)wide[1]);
    __m256i high = _mm256_packs_epi32((__m256i)wide[2], (__m256i)wide[3]);
    __m256i all = _mm256_packs_epi16(low, high);

    all = _mm256_permutevar8x32_epi32(
        all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)q, all);
#endif
}
INLINE void int_pairs(int32_t *pairs, const int8_t *q, int16_t by)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)q);
    __m256i s = _mm256_maddubs_epi16(_mm256_set1_epi16(by), x);
    __m128i y = _mm_add_epi16(_mm256_castsi256_si128(s),
                              _mm256_extracti128_si256(s, 1));

    y = _mm_add_epi16(y, _mm_shuffle_epi32(y, 0x4e));
    y = _mm_add_epi16(y, _mm_shuffle_epi32(y, 0xb1));
    pairs[0] = (int16_t)_mm_extract_epi16(y, 0);
    pairs[1] = (int16_t)_mm_extract_epi16(y, 1);
}
INLINE void int_spread(char *to, const int8_t *q)
{
    int32_t four;
    __m128i x, even;

    memcpy(&four, q, sizeof(four));
    x = _mm_cvtepi8_epi16(_mm_cvtsi32_si128(four));
    even = _mm_slli_epi16(_mm_shufflelo_epi16(x, 0x88), 8);
    even = _mm_and_si128(even, _mm_setr_epi32(0, -1, 0, 0));
    x = _mm_sub_epi16(_mm_shufflelo_epi16(x, 0xd8), even);
    _mm_storel_epi64((__m128i *)(void *)to, x);
}
#else
INLINE int32_t int_top(vi x)
{
    int32_t most = 0;

    for (int i = 0; i < VW; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}
INLINE void int_narrow(int8_t *q, const vi *wide)
{
    for (int i = 0; i < CPU_INT_BLOCK; i++)
        q[i] = (int8_t)wide[i / VW][i % VW];
}
INLINE void int_pairs(int32_t *pairs, const int8_t *q, int16_t by)
{
    for (int i = 0; i < CPU_INT_BLOCK; i++)
        pairs[i / 2 % 2] += q[i] * (i % 2 ? by >> 8 : by & 255);
}
INLINE void int_spread(char *to, const int8_t *q)
{
    (void)to; /* INT_MADD's, which has vectors */
    (void)q;
}
#endif

/* The largest |x| of a block; infinite or NaN where one is. */
INLINE float int_largest(const float *x)
{
    vi top = { 0 };
    int32_t most;
    float f;

    for (int i = 0; i < CPU_INT_BLOCK; i += VW) {
        vi size = (vi)v_load(x + i) & 0x7fffffff;
        vi more = size > top;

        top = (size & more) | (top & ~more);
    }
    most = int_top(top);
    memcpy(&f, &most, sizeof(f));
    return f;
}

/* Codes of a block, at most 127 in size; returns their unit. What is not
 * finite makes the unit so, and with it the product. */
INLINE float int_codes(int8_t *q, const float *x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to integer */
    const int32_t zero = 0x4b400000; /* its bits */
    float top = int_largest(x);
    vf by = v_set(top >= 1e-30f && top <= FLT_MAX ? 127 / top : 0);
    vi wide[CPU_INT_BLOCK / VW];

    for (int i = 0; i < CPU_INT_BLOCK / VW; i++)
        wide[i] = (vi)(v_load(x + i * VW) * by + magic) - zero;
    int_narrow(q, wide);
    return top < 1e-30f ? 0 : top / 127;
}

/* What a sum starts with: less the codes' excess. */
INLINE int32_t int_start(enum compute_quant kind, const int8_t *q)
{
    int32_t pairs[2] = { 0 }; /* sums of codes 0 and 1, 2 and 3 of groups */

#ifdef INT_MADD
    int_pairs(pairs, q, kind == COMPUTE_Q8_0 ? 0x0001 : 0x0101);
    if (kind == COMPUTE_Q4_0) /* two sums of 16 bits */
        return (int32_t)((uint32_t)(-8 * pairs[1]) << 16 |
                         ((uint32_t)(-8 * pairs[0]) & 0xffff));
#else
    int_pairs(pairs, q, 0x0101);
#endif
    return (pairs[0] + pairs[1]) * (kind == COMPUTE_Q8_0 ? -128 : -8);
}

INLINE void int_put(enum compute_quant kind, char *to, size_t step,
                    const int8_t *q)
{
    for (int g = 0; g < IGROUPS; g++)
        if (int_group(kind) == 4)
            memcpy(to + (size_t)g * step, q + 4 * g, 4);
        else
            int_spread(to + (size_t)g * step, q + 4 * g);
}

static void int_rows(enum compute_quant kind, void *panel, const float *x,
                     size_t ld, size_t m, size_t blocks)
{
    const size_t bytes = m * int_bytes(kind), group = int_group(kind);

    for (size_t i = 0; i < m; i++)
        for (size_t b = 0; b < blocks; b++) {
            char *to = (char *)panel + b * bytes;
            int8_t q[CPU_INT_BLOCK];
            float unit = int_codes(q, x + i * ld + b * CPU_INT_BLOCK);
            int32_t start = int_start(kind, q);

            memcpy(to + i * 4, &unit, 4);
            memcpy(to + (m + i) * 4, &start, 4);
            int_put(kind, to + m * 8 + i * group, m * group, q);
        }
}

#if defined(INT_DOT) || defined(INT_MADD)
#include "compute/cpu/kernels_int_vec.h"
#else

/* The code of 4 bits: groups 2p and 2p + 1 share a byte. */
INLINE int32_t int_code(const uint8_t *codes, bool four, size_t group, size_t i)
{
    const size_t width = CPU_INT_NR * 4;

    if (!four)
        return codes[group * width + i];
    return codes[group / 2 * width + i] >> (group % 2 ? 4 : 0) & 15;
}

static void int_panel(const struct cpu_int_tile *t)
{
    const bool four = t->kind == COMPUTE_Q4_0;
    const size_t bytes = t->m * int_bytes(t->kind);

    for (size_t i = 0; i < t->m; i++) {
        float sums[CPU_INT_NR] = { 0 }, *y = t->y + i * t->ldy;

        for (size_t b = 0; b < t->blocks; b++) {
            const char *x = (const char *)t->x + b * bytes;
            const uint8_t *codes = t->w + cpu_int_codes_at(t->kind, b);
            const uint8_t *scales = t->w + cpu_int_scales_at(t->kind, b);
            const int8_t *q = (const int8_t *)x + t->m * 8 + i * 4;
            int32_t start, acc[CPU_INT_NR];
            float unit;

            memcpy(&unit, x + i * 4, 4);
            memcpy(&start, x + (t->m + i) * 4, 4);
            for (size_t j = 0; j < CPU_INT_NR; j++)
                acc[j] = start;
            for (size_t g = 0; g < IGROUPS; g++)
                for (size_t j = 0; j < CPU_INT_NR; j++)
                    for (size_t p = 0; p < 4; p++)
                        acc[j] += int_code(codes, four, g, 4 * j + p) *
                                  q[g * t->m * 4 + p];
            for (size_t j = 0; j < CPU_INT_NR; j++) {
                uint16_t scale;

                memcpy(&scale, scales + 2 * j, 2);
                sums[j] += (float)acc[j] * (half_value(scale) * unit);
            }
        }
        for (size_t j = 0; j < t->n; j++) {
            float v = sums[j] * t->alpha;

            if (t->add)
                v += y[j];
            y[j] = t->bias ? v + t->bias[j] : v;
        }
    }
}

static void int_tile(const struct cpu_int_tile *t)
{
    struct cpu_int_tile one = *t;

    for (size_t p = 0; p < t->panels; p++) {
        int_panel(&one);
        one.w += t->apart * cpu_int_panel_bytes(t->kind, t->blocks);
        one.y += t->apart * CPU_INT_NR;
        one.bias = t->bias ? one.bias + t->apart * CPU_INT_NR : NULL;
    }
}

#endif
#endif

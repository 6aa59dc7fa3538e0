/*
 * kernels_int_vec.h - private: the integer products in vectors
 *
 * IMR rows by 16 columns of integer sums stay in registers for a block; then
 * they are scaled and added to floats in the first-level cache. One or two rows
 * go by several such panels at once. Only the five operations at the top differ
 * between instruction sets.
 */
#ifndef KERNELS_INT_VEC_H
#define KERNELS_INT_VEC_H

#include "compute/cpu/kernels_int.h"

#if defined(INT_DOT) || defined(INT_MADD)

#define INV (CPU_INT_NR / VW)

typedef int32_t vi_mem
    __attribute__((vector_size(VW * 4), aligned(4), may_alias));
typedef int16_t vs __attribute__((vector_size(VW * 4)));
typedef uint16_t vu __attribute__((vector_size(VW * 4)));

INLINE vi i_load(const void *p)
{
    return *(const vi_mem *)p;
}

/* Four bytes, in all lanes. */
INLINE vi i_set(const void *p)
{
    int32_t x;

    memcpy(&x, p, sizeof(x));
    return x - (vi){ 0 };
}

#if defined(INT_EMULATED)
/* acc + four products of u8 and s8 in each lane */
INLINE vi i_dot(vi acc, vi u, vi s)
{
    uint8_t a[VW * 4];
    int8_t b[VW * 4];

    memcpy(a, &u, sizeof(a));
    memcpy(b, &s, sizeof(b));
    for (int i = 0; i < VW * 4; i++)
        acc[i / 4] += a[i] * b[i];
    return acc;
}
INLINE vf i_scales(const uint16_t *p)
{
    vf y;

    for (int i = 0; i < VW; i++)
        y[i] = half_value(p[i]);
    return y;
}
#else
INLINE vf i_scales(const uint16_t *p)
{
    return v_from_f16(p);
}
#endif
#if defined(INT_DOT) && !defined(INT_EMULATED)
INLINE vi i_dot(vi acc, vi u, vi s)
{
#if VW == 16
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)u, (__m512i)s);
#elif defined(__AVXVNNI__)
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)u, (__m256i)s);
#endif
}
#endif
#ifdef INT_MADD
/* Two products of i16 in each lane */
INLINE vi i_madd(vi a, vi b)
{
#if VW == 16
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#else
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#endif
}
/* Two products of u8 and s8 in each half of a lane */
INLINE vi i_madd_bytes(vi u, vi s)
{
#if VW == 16
    return (vi)_mm512_maddubs_epi16((__m512i)u, (__m512i)s);
#else
    return (vi)_mm256_maddubs_epi16((__m256i)u, (__m256i)s);
#endif
}
#endif

/* Keeps the order that registers suffice for: compilers would make all the
 * products first and spill them, and keep the floats in registers. */
#if defined(KERNELS_WIDE)
#define INT_PIN(x) (void)0
#elif VW == 16
#define INT_PIN(x) __asm__ volatile("" : "+v"(x))
#elif VW == 8
#define INT_PIN(x) __asm__ volatile("" : "+x"(x))
#else
#define INT_PIN(x) (void)0
#endif
/* Products and their sums side by side in 16 registers: compilers move sums
 * about, and would need 17. */
#if VW == 8 && !defined(KERNELS_WIDE)
#define INT_PAIR(mul, add, acc, w, x)                                          \
    do {                                                                       \
        vi t_;                                                                 \
        __asm__ volatile(mul " %3, %4, %2\n\t" mul " %3, %5, %3\n\t" add       \
                             " %2, %0, %0\n\t" add " %3, %1, %1"               \
                         : "+x"((acc)[0]), "+x"((acc)[1]), "=&x"(t_), "+x"(x)  \
                         : "x"((w)[0]), "x"((w)[1]));                          \
    } while (0)
#endif
#define INT_IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

/* Codes of 4 bits: the first of two groups, and the second. */
INLINE vi i_low(vi x)
{
    return x & 0x0f0f0f0f;
}

INLINE vi i_high(vi x)
{
    return (vi)((vu)x >> 4) & 0x0f0f0f0f;
}

#define INT_EACH(i, n)                                                         \
    UNROLL                                                                     \
    for (int i = 0; i < (n); i++)

/* A row's sums of one group of 4-bit codes, or of 8-bit ones with VNNI. */
INLINE void int_row_bytes(vi acc[INV], const vi w[INV], const char *x)
{
    vi xi = i_set(x);

#if defined(INT_PAIR)
    INT_PAIR("vpmaddubsw", "vpaddw", acc, w, xi);
#elif defined(INT_MADD)
    INT_EACH(j, INV)
    acc[j] = (vi)((vs)acc[j] + (vs)i_madd_bytes(w[j], xi));
#else
    INT_EACH(j, INV) acc[j] = i_dot(acc[j], w[j], xi);
#endif
    INT_EACH(j, INV) INT_PIN(acc[j]);
}

INLINE void int_bytes_step(const int mr, vi acc[IMR][INV], const vi w[INV],
                           const char *x)
{
    INT_EACH(i, mr) int_row_bytes(acc[i], w, x + 4 * i);
}

INLINE void int_four(const int mr, vi acc[IMR][INV], const uint8_t *codes,
                     const char *x)
{
    for (int g = 0; g < IGROUPS; g += 2) {
        vi w[INV];

        INT_EACH(j, INV) w[j] = i_low(i_load(codes + 4 * VW * j));
        int_bytes_step(mr, acc, w, x);
        x += 4 * mr;
        INT_EACH(j, INV) w[j] = i_high(i_load(codes + 4 * VW * j));
        int_bytes_step(mr, acc, w, x);
        x += 4 * mr;
        codes += 4 * CPU_INT_NR;
    }
#ifdef INT_MADD
    INT_EACH(i, mr)
    INT_EACH(j, INV) acc[i][j] = i_madd(acc[i][j], (vi){ 0 } + 0x00010001);
#endif
}

#ifdef INT_MADD
INLINE void int_row_words(vi acc[INV], const vi w[INV], const char *x)
{
    vi xi = i_set(x);

#if defined(INT_PAIR)
    INT_PAIR("vpmaddwd", "vpaddd", acc, w, xi);
#else
    INT_EACH(j, INV) acc[j] += i_madd(w[j], xi);
    INT_EACH(j, INV) INT_PIN(acc[j]);
#endif
}

INLINE void int_words_step(const int mr, vi acc[IMR][INV], const vi w[INV],
                           const char *x)
{
    INT_EACH(i, mr) int_row_words(acc[i], w, x + 8 * i);
}

/* Two codes as one number: u + 256 s, the other one s again. */
INLINE void int_eight(const int mr, vi acc[IMR][INV], const uint8_t *codes,
                      const char *x)
{
    for (int g = 0; g < IGROUPS; g++) {
        vi w[INV];

        INT_EACH(j, INV) w[j] = i_load(codes + 4 * VW * j);
        int_words_step(mr, acc, w, x);
        INT_EACH(j, INV) w[j] = (vi)((vs)w[j] >> 8);
        int_words_step(mr, acc, w, x + 4);
        x += 8 * mr;
        codes += 4 * CPU_INT_NR;
    }
}
#else
INLINE void int_eight(const int mr, vi acc[IMR][INV], const uint8_t *codes,
                      const char *x)
{
    for (int g = 0; g < IGROUPS; g++) {
        vi w[INV];

        INT_EACH(j, INV) w[j] = i_load(codes + 4 * VW * j);
        int_bytes_step(mr, acc, w, x);
        x += 4 * mr;
        codes += 4 * CPU_INT_NR;
    }
}
#endif

/* A row's sums of a block, scaled. */
INLINE void int_flush_row(float *sums, const vi acc[INV], const vf scale[INV],
                          const char *x)
{
    vf unit = (vf)i_set(x);

    INT_EACH(j, INV)
    {
        vf part = __builtin_convertvector(acc[j], vf) * (scale[j] * unit);

        v_store(sums + VW * j, v_load(sums + VW * j) + part);
    }
}

INLINE void int_flush(const int mr, float sums[IMR][CPU_INT_NR],
                      vi acc[IMR][INV], const uint16_t *scales, const char *x)
{
    vf scale[INV];

    INT_EACH(j, INV) scale[j] = i_scales(scales + VW * j);
    INT_EACH(i, mr) int_flush_row(sums[i], acc[i], scale, x + 4 * i);
}

INLINE void int_end(const struct cpu_int_tile *t, const float *sums,
                    const float *bias, float *y)
{
    for (size_t j = 0; j < t->n; j += VW) {
        size_t n = t->n - j < VW ? t->n - j : VW;
        bool whole = n == VW;
        vf v = v_load(sums + j) * t->alpha;

        if (t->add)
            v += whole ? v_load(y + j) : v_load_n(y + j, n);
        if (bias)
            v += whole ? v_load(bias + j) : v_load_n(bias + j, n);
        if (whole)
            v_store(y + j, v);
        else
            v_store_n(y + j, v, n);
    }
}

/* Few rows are as fast as memory: its next lines are asked for. */
#define INT_AHEAD 4096

/* mr and kind are constants in every use. */
INLINE void int_micro(const int mr, const enum compute_quant kind,
                      const struct cpu_int_tile *t)
{
    const size_t bytes = mr * int_bytes(kind), step = cpu_int_code_bytes(kind);
    float sums[IMR][CPU_INT_NR] __attribute__((aligned(64)));
    const char *x = t->x;
    const uint8_t *codes = t->w;

    INT_EACH(i, mr)
    INT_EACH(j, INV) v_store(sums[i] + VW * j, (vf){ 0 });
    for (size_t b = 0; b < t->blocks; b++) {
        const void *scales = t->w + cpu_int_scales_at(kind, b);
        vi acc[IMR][INV];

        if (mr <= 4)
            for (size_t i = 0; i < step + b % 2 * 64; i += 64)
                __builtin_prefetch(codes + INT_AHEAD + i);
        INT_EACH(i, mr)
        INT_EACH(j, INV) acc[i][j] = i_set(x + 4 * (mr + i));
        if (kind == COMPUTE_Q8_0)
            int_eight(mr, acc, codes, x + 8 * mr);
        else
            int_four(mr, acc, codes, x + 8 * mr);
        if (mr > 2)
            INT_IN_MEMORY(sums);
        int_flush(mr, sums, acc, scales, x);
        x += bytes;
        codes += step + b % 2 * (cpu_int_pair_bytes(kind) - 2 * step);
    }
    for (int i = 0; i < mr; i++)
        int_end(t, sums[i], t->bias, t->y + (size_t)i * t->ldy);
}

/* Few rows by several panels, a block's sums in registers: a group of a row's
 * codes is fetched once for all of them, and memory is read in as many streams,
 * which the machine follows by itself and gets more out of than of one. Only
 * the scales, which it meets before the codes in front of them, are asked for.
 */
#define ACROSS_ROWS 2
#define ACROSS 4 /* panels */

INLINE vi i_add_bytes(vi acc, vi u, vi s)
{
#if defined(INT_MADD)
    return (vi)((vs)acc + (vs)i_madd_bytes(u, s));
#else
    return i_dot(acc, u, s);
#endif
}

INLINE vi i_add_eight(vi acc, vi w, const vi x[2])
{
#if defined(INT_MADD)
    acc += i_madd(w, x[0]);
    return acc + i_madd((vi)((vs)w >> 8), x[1]);
#else
    return i_dot(acc, w, x[0]);
#endif
}

INLINE vi i_add_four(vi acc, vi w, const vi x[2])
{
    return i_add_bytes(i_add_bytes(acc, i_low(w), x[0]), i_high(w), x[1]);
}

/* mr, np and kind are constants in every use. */
INLINE void int_across_block(const int mr, const int np,
                             const enum compute_quant kind,
                             vi acc[ACROSS_ROWS][ACROSS][INV],
                             const uint8_t *codes, size_t stride, const char *x)
{
    const bool eight = kind == COMPUTE_Q8_0;
    const size_t row = int_group(kind), half = eight ? 4 : (size_t)mr * 4;

    for (int g = 0; g < IGROUPS; g += eight ? 1 : 2) {
        vi xs[ACROSS_ROWS][2];

        INT_EACH(i, mr)
        {
            xs[i][0] = i_set(x + (size_t)i * row);
            if (!eight || row == 8)
                xs[i][1] = i_set(x + (size_t)i * row + half);
        }
        INT_EACH(p, np)
        {
            const uint8_t *from = codes + (size_t)p * stride;

            INT_EACH(j, INV)
            {
                vi w = i_load(from + 4 * VW * j);

                INT_PIN(w); /* or it is loaded for each use */
                INT_EACH(i, mr)
                {
                    acc[i][p][j] = eight ? i_add_eight(acc[i][p][j], w, xs[i])
                                         : i_add_four(acc[i][p][j], w, xs[i]);
                    INT_PIN(acc[i][p][j]);
                }
            }
        }
        x += (size_t)mr * (eight ? row : 8);
        codes += 4 * CPU_INT_NR;
    }
#ifdef INT_MADD
    if (!eight) {
        INT_EACH(i, mr)
        INT_EACH(p, np)
        INT_EACH(j, INV)
        acc[i][p][j] = i_madd(acc[i][p][j], (vi){ 0 } + 0x00010001);
    }
#endif
}

INLINE void int_across(const int mr, const int np,
                       const enum compute_quant kind,
                       const struct cpu_int_tile *t)
{
    const size_t bytes = mr * int_bytes(kind);
    const size_t stride = t->apart * cpu_int_panel_bytes(kind, t->blocks);
    float sums[ACROSS_ROWS][ACROSS][CPU_INT_NR] __attribute__((aligned(64)));
    const char *x = t->x;

    INT_EACH(i, mr)
    INT_EACH(p, np)
    INT_EACH(j, INV) v_store(sums[i][p] + VW * j, (vf){ 0 });
    for (size_t b = 0; b < t->blocks; b++, x += bytes) {
        const uint8_t *scales = t->w + cpu_int_scales_at(kind, b);
        vi acc[ACROSS_ROWS][ACROSS][INV];

        if (b % 2 == 0) {
            INT_EACH(p, np)
            __builtin_prefetch(scales + (size_t)p * stride +
                               cpu_int_pair_bytes(kind));
        }
        INT_EACH(i, mr)
        INT_EACH(p, np)
        INT_EACH(j, INV) acc[i][p][j] = i_set(x + 4 * (mr + i));
        int_across_block(mr, np, kind, acc, t->w + cpu_int_codes_at(kind, b),
                         stride, x + 8 * mr);
        INT_EACH(p, np)
        {
            const void *from = scales + (size_t)p * stride;
            vf scale[INV];

            INT_EACH(j, INV)
            scale[j] = i_scales((const uint16_t *)from + VW * j);
            INT_EACH(i, mr)
            int_flush_row(sums[i][p], acc[i][p], scale, x + 4 * i);
        }
    }
    for (int p = 0; p < np; p++)
        for (int i = 0; i < mr; i++) {
            size_t at = (size_t)p * t->apart * CPU_INT_NR;

            int_end(t, sums[i][p], t->bias ? t->bias + at : NULL,
                    t->y + (size_t)i * t->ldy + at);
        }
}

#define INT_ACROSS(mr, np)                                                     \
    static __attribute__((noinline)) void across_eight_##mr(                   \
        const struct cpu_int_tile *t)                                          \
    {                                                                          \
        int_across(mr, np, COMPUTE_Q8_0, t);                                   \
    }                                                                          \
    static __attribute__((noinline)) void across_four_##mr(                    \
        const struct cpu_int_tile *t)                                          \
    {                                                                          \
        int_across(mr, np, COMPUTE_Q4_0, t);                                   \
    }

INT_ACROSS(1, 4)
INT_ACROSS(2, 2)

#define INT_TILE(mr)                                                           \
    static __attribute__((noinline)) void int_eight_##mr(                      \
        const struct cpu_int_tile *t)                                          \
    {                                                                          \
        int_micro(mr, COMPUTE_Q8_0, t);                                        \
    }                                                                          \
    static __attribute__((noinline)) void int_four_##mr(                       \
        const struct cpu_int_tile *t)                                          \
    {                                                                          \
        int_micro(mr, COMPUTE_Q4_0, t);                                        \
    }

INT_TILE(1)
INT_TILE(2)
INT_TILE(3)
INT_TILE(4)
#if IMR > 4
INT_TILE(5)
INT_TILE(6)
#endif
#if IMR > 6
INT_TILE(7)
INT_TILE(8)
INT_TILE(9)
INT_TILE(10)
INT_TILE(11)
INT_TILE(12)
INT_TILE(13)
INT_TILE(14)
#endif

static void int_tile(const struct cpu_int_tile *t)
{
    static void (*const tiles[][2])(const struct cpu_int_tile *) = {
#define BOTH(mr) { int_eight_##mr, int_four_##mr }
        BOTH(1),
        BOTH(2),
        BOTH(3),
        BOTH(4),
#if IMR > 4
        BOTH(5),
        BOTH(6),
#endif
#if IMR > 6
        BOTH(7),
        BOTH(8),
        BOTH(9),
        BOTH(10),
        BOTH(11),
        BOTH(12),
        BOTH(13),
        BOTH(14),
#endif
    };

    static void (*const across[][2])(const struct cpu_int_tile *) = {
        { across_eight_1, across_four_1 }, { across_eight_2, across_four_2 }
    };

    if (t->panels > 1)
        across[t->m - 1][t->kind == COMPUTE_Q4_0](t);
    else
        tiles[t->m - 1][t->kind == COMPUTE_Q4_0](t);
}

#endif
#endif

/*
 * kernels_int.h - private: products of 8-bit activations with weights that
 * are blocks of 32 codes of 8 or 4 bits
 *
 * Sums within a block are integers and exact, blocks are added in ascending
 * order without fused operations: every instruction set gives the same bits.
 * Codes of weights are unsigned (+128, +8) in panels of 16 columns; what that
 * adds is taken off where a sum starts. This is the form for any machine.
 */
#ifndef KERNELS_INT_H
#define KERNELS_INT_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/kernels_gemm.h"
#include "compute/cpu/kernels_vec.h"

#include <float.h>

#define IMR 4
#define IGROUPS (CPU_INT_BLOCK / 4)

/* A block of a panel of rows: scale[IMR], start[IMR], then groups of 4 codes
 * [8][IMR][4]. */
#define IBYTES (IMR * (8 + 4 * IGROUPS))

static size_t int_bytes(enum compute_quant kind)
{
    (void)kind;
    return IBYTES;
}

/* The largest |x| of a block; infinite or NaN where one is. */
INLINE float int_largest(const float *x)
{
    vi top = { 0 };
    int32_t lanes[VW], most = 0;
    float f;

    for (int i = 0; i < CPU_INT_BLOCK; i += VW) {
        vi size = (vi)v_load(x + i) & 0x7fffffff;
        vi more = size > top;

        top = (size & more) | (top & ~more);
    }
    memcpy(lanes, &top, sizeof(lanes));
    for (int i = 0; i < VW; i++)
        most = lanes[i] > most ? lanes[i] : most;
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

    for (int i = 0; i < CPU_INT_BLOCK; i += VW) {
        vi rounded = (vi)(v_load(x + i) * by + magic) - zero;
        int32_t lanes[VW];

        memcpy(lanes, &rounded, sizeof(lanes));
        for (int j = 0; j < VW; j++)
            q[i + j] = (int8_t)lanes[j];
    }
    return top < 1e-30f ? 0 : top / 127;
}

static void int_rows(enum compute_quant kind, void *panel, const float *x,
                     size_t ld, size_t m, size_t blocks)
{
    const int32_t excess = kind == COMPUTE_Q8_0 ? -128 : -8;

    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < m; i++) {
            char *to = (char *)panel + b * IBYTES;
            int8_t q[CPU_INT_BLOCK];
            float unit = int_codes(q, x + i * ld + b * CPU_INT_BLOCK);
            int32_t sum = 0;

            for (int j = 0; j < CPU_INT_BLOCK; j++)
                sum += q[j];
            sum *= excess;
            memcpy(to + i * 4, &unit, 4);
            memcpy(to + (IMR + i) * 4, &sum, 4);
            to += IMR * 8;
            for (size_t g = 0; g < IGROUPS; g++)
                memcpy(to + (g * IMR + i) * 4, q + 4 * g, 4);
        }
}

/* The code of 4 bits: groups 2p and 2p + 1 share a byte. */
INLINE int32_t int_code(const uint8_t *codes, bool four, size_t group, size_t i)
{
    const size_t width = CPU_INT_NR * 4;

    if (!four)
        return codes[group * width + i];
    return codes[group / 2 * width + i] >> (group % 2 ? 4 : 0) & 15;
}

static void int_tile(const struct cpu_int_tile *t)
{
    const bool four = t->kind == COMPUTE_Q4_0;
    const size_t step = cpu_int_code_bytes(t->kind);

    for (size_t i = 0; i < t->m; i++) {
        float sums[CPU_INT_NR] = { 0 }, *y = t->y + i * t->ldy;

        for (size_t b = 0; b < t->blocks; b++) {
            const char *x = (const char *)t->x + b * IBYTES;
            const uint8_t *codes = t->codes + b * step;
            const int8_t *q = (const int8_t *)x + IMR * 8 + i * 4;
            int32_t start, acc[CPU_INT_NR];
            float unit;

            memcpy(&unit, x + i * 4, 4);
            memcpy(&start, x + (IMR + i) * 4, 4);
            for (size_t j = 0; j < CPU_INT_NR; j++)
                acc[j] = start;
            for (size_t g = 0; g < IGROUPS; g++)
                for (size_t j = 0; j < CPU_INT_NR; j++)
                    for (size_t p = 0; p < 4; p++)
                        acc[j] += int_code(codes, four, g, 4 * j + p) *
                                  q[g * IMR * 4 + p];
            for (size_t j = 0; j < CPU_INT_NR; j++)
                sums[j] += (float)acc[j] *
                           (f16_value(t->scales[b * CPU_INT_NR + j]) * unit);
        }
        for (size_t j = 0; j < t->n; j++) {
            float v = sums[j] * t->alpha;

            v += t->add ? y[j] : 0;
            y[j] = t->bias ? v + t->bias[j] : v;
        }
    }
}

#endif

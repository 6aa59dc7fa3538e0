/*
 * weights_nf4.c - the 4-bit type of bitsandbytes
 *
 * Sixteen codes, the quantiles of a normal distribution, times a scale for
 * each 64 elements; scales may themselves be bytes with scales ("double
 * quantised"). Results are rounded to the type that the checkpoint names.
 */
#include "weights/weights_internal.h"

#include <math.h>
#include <string.h>

const float weights_nf4_code[16] = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

static float float_at(const void *p, size_t i)
{
    float x;

    memcpy(&x, (const char *)p + 4 * i, sizeof(x));
    return x;
}

float weights_nf4_scale(const struct weights_nf4 *q, size_t block)
{
    unsigned char byte;

    if (!q->nested_block)
        return float_at(q->scales, block);
    byte = ((const unsigned char *)q->scales)[block];
    return q->nested_code[byte] * float_at(q->nested, block / q->nested_block) +
           q->offset;
}

static float rounded(float x, enum weights_type type)
{
    uint32_t bits;

    if (type == WEIGHTS_F16)
        return half_value(half_bits(x));
    if (type != WEIGHTS_BF16)
        return x;
    bits = (uint32_t)weights_bf16_from_f32(x) << 16;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

void weights_nf4_dequantise(const struct weights_tensor *t, float *out)
{
    const unsigned char *packed = t->data;
    const struct weights_nf4 *q = t->nf4;
    size_t n = (size_t)weights_elements(t);
    float scale = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned nibble = i % 2 ? packed[i / 2] & 15u : packed[i / 2] >> 4;

        if (i % q->block == 0)
            scale = weights_nf4_scale(q, i / q->block);
        out[i] = rounded(q->code[nibble] * scale, q->type);
    }
}

/* The code whose value is nearest to x, of two as near the smaller; in double,
 * where products of two floats are exact. */
static unsigned nearest(float x, const double *middles)
{
    unsigned low = 0, high = 15;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if ((double)x > middles[mid])
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void weights_nf4_quantise(const float *x, size_t n, size_t block,
                          unsigned char *packed, float *scales)
{
    memset(packed, 0, (n + 1) / 2);
    for (size_t from = 0; from < n; from += block) {
        size_t end = n - from < block ? n : from + block;
        double middles[15];
        float top = 0;

        for (size_t i = from; i < end; i++)
            top = fmaxf(top, fabsf(x[i]));
        scales[from / block] = top;
        for (size_t i = 0; i < 15; i++)
            middles[i] = ((double)weights_nf4_code[i] +
                          (double)weights_nf4_code[i + 1]) /
                         2 * (double)top;
        for (size_t i = from; i < end; i++) {
            unsigned q = top > 0 ? nearest(x[i], middles) : 7;

            packed[i / 2] |= (unsigned char)(i % 2 ? q : q << 4);
        }
    }
}

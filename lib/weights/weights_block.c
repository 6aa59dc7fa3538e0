/*
 * weights_block.c - block types: a table of their sizes, and their values
 *
 * A block holds a scale or two and small integers. Layouts are those of GGUF
 * (ggml-org/ggml, docs/gguf.md); each value is computed in f32 in the order
 * that the reference has, so that results are equal to the bit.
 */
#include "weights/weights_internal.h"

#include <string.h>

static float half_at(const unsigned char *p)
{
    return half_value((uint16_t)(p[0] | p[1] << 8));
}

static void q4_0(const unsigned char *p, float *out)
{
    float d = half_at(p);

    for (unsigned i = 0; i < 16; i++) {
        out[i] = d * (float)((p[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((p[2 + i] >> 4) - 8);
    }
}

static void q4_1(const unsigned char *p, float *out)
{
    float d = half_at(p), m = half_at(p + 2);

    for (unsigned i = 0; i < 16; i++) {
        out[i] = d * (float)(p[4 + i] & 15) + m;
        out[i + 16] = d * (float)(p[4 + i] >> 4) + m;
    }
}

/* Element i of 5 bits: a nibble and a bit of the four bytes before them. */
static int five_bits(const unsigned char *high, unsigned i)
{
    const unsigned char *low = high + 4;
    unsigned nibble = i < 16 ? low[i] & 15u : (unsigned)low[i - 16] >> 4;

    return (int)(nibble | (high[i / 8] >> i % 8 & 1u) << 4);
}

static void q5_0(const unsigned char *p, float *out)
{
    float d = half_at(p);

    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(five_bits(p + 2, i) - 16);
}

static void q5_1(const unsigned char *p, float *out)
{
    float d = half_at(p), m = half_at(p + 2);

    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)five_bits(p + 4, i) + m;
}

static void q8_0(const unsigned char *p, float *out)
{
    float d = half_at(p);

    for (unsigned i = 0; i < 32; i++)
        out[i] = d * (float)(signed char)p[2 + i];
}

/* 16 scale bytes (scale low, minimum high), 64 bytes of four values. */
static void q2_k(const unsigned char *p, float *out)
{
    float d = half_at(p + 80), dmin = half_at(p + 82);

    for (unsigned i = 0; i < 256; i++) {
        unsigned char scale = p[i / 16];
        unsigned q = p[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3u;

        out[i] =
            d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
    }
}

/* 32 bytes of high bits, 64 of low ones, 12 of 6-bit scales. */
static void q3_k(const unsigned char *p, float *out)
{
    const unsigned char *low = p + 32, *packed = p + 96;
    float d = half_at(p + 108), scales[16];

    for (unsigned j = 0; j < 16; j++) {
        unsigned s = j < 8 ? packed[j] & 15u : (unsigned)packed[j - 8] >> 4;

        s |= (packed[8 + j % 4] >> j / 4 * 2 & 3u) << 4;
        scales[j] = d * (float)((int)s - 32);
    }
    for (unsigned i = 0; i < 256; i++) {
        int q = low[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;

        if (!(p[i % 32] >> i / 32 & 1))
            q -= 4;
        out[i] = scales[i / 16] * (float)q;
    }
}

/* Scale and minimum j of the twelve bytes that Q4_K and Q5_K have. */
static void scale_and_min(const unsigned char *p, unsigned j, float *scale,
                          float *min)
{
    unsigned s, m;

    if (j < 4) {
        s = p[j] & 63u;
        m = p[j + 4] & 63u;
    } else {
        s = (p[j + 4] & 15u) | (unsigned)(p[j - 4] >> 6) << 4;
        m = (unsigned)p[j + 4] >> 4 | (unsigned)(p[j] >> 6) << 4;
    }
    *scale = (float)s;
    *min = (float)m;
}

static void q4_k(const unsigned char *p, float *out)
{
    float d = half_at(p), dmin = half_at(p + 2);

    for (unsigned j = 0; j < 8; j++) {
        const unsigned char *q = p + 16 + j / 2 * 32;
        float scale, min;

        scale_and_min(p + 4, j, &scale, &min);
        scale *= d;
        min *= dmin;
        for (unsigned i = 0; i < 32; i++)
            out[32 * j + i] = scale * (float)(q[i] >> j % 2 * 4 & 15) - min;
    }
}

static void q5_k(const unsigned char *p, float *out)
{
    float d = half_at(p), dmin = half_at(p + 2);

    for (unsigned j = 0; j < 8; j++) {
        const unsigned char *high = p + 16, *q = p + 48 + j / 2 * 32;
        float scale, min;

        scale_and_min(p + 4, j, &scale, &min);
        scale *= d;
        min *= dmin;
        for (unsigned i = 0; i < 32; i++) {
            int v = (q[i] >> j % 2 * 4 & 15) | (high[i] >> j & 1) << 4;

            out[32 * j + i] = scale * (float)v - min;
        }
    }
}

/* 128 bytes of low nibbles, 64 of high pairs, 16 signed scales, the scale. */
static void q6_k(const unsigned char *p, float *out)
{
    float d = half_at(p + 208);

    for (unsigned i = 0; i < 256; i++) {
        unsigned half = i / 128, quarter = i % 128 / 32, l = i % 32;
        unsigned low = p[half * 64 + quarter % 2 * 32 + l] >> quarter / 2 * 4;
        unsigned high = p[128 + half * 32 + l] >> 2 * quarter;
        int q = (int)((low & 15) | (high & 3) << 4) - 32;

        out[i] = d * (float)(signed char)p[192 + i / 16] * (float)q;
    }
}

static const float iq4_values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
};

static void iq4_nl(const unsigned char *p, float *out)
{
    float d = half_at(p);

    for (unsigned i = 0; i < 16; i++) {
        out[i] = d * iq4_values[p[2 + i] & 15];
        out[i + 16] = d * iq4_values[p[2 + i] >> 4];
    }
}

static void iq4_xs(const unsigned char *p, float *out)
{
    unsigned high = p[2] | (unsigned)p[3] << 8;
    float d = half_at(p);

    for (unsigned j = 0; j < 8; j++) {
        const unsigned char *q = p + 8 + 16 * j;
        unsigned s = p[4 + j / 2] >> j % 2 * 4 & 15u;
        float scale = d * (float)((int)(s | (high >> 2 * j & 3) << 4) - 32);

        for (unsigned i = 0; i < 16; i++) {
            out[32 * j + i] = scale * iq4_values[q[i] & 15];
            out[32 * j + i + 16] = scale * iq4_values[q[i] >> 4];
        }
    }
}

const struct weights_block weights_blocks[] = {
    { "Q4_0", WEIGHTS_Q4_0, 2, 32, 18, q4_0 },
    { "Q4_1", WEIGHTS_Q4_1, 3, 32, 20, q4_1 },
    { "Q5_0", WEIGHTS_Q5_0, 6, 32, 22, q5_0 },
    { "Q5_1", WEIGHTS_Q5_1, 7, 32, 24, q5_1 },
    { "Q8_0", WEIGHTS_Q8_0, 8, 32, 34, q8_0 },
    { "Q2_K", WEIGHTS_Q2_K, 10, 256, 84, q2_k },
    { "Q3_K", WEIGHTS_Q3_K, 11, 256, 110, q3_k },
    { "Q4_K", WEIGHTS_Q4_K, 12, 256, 144, q4_k },
    { "Q5_K", WEIGHTS_Q5_K, 13, 256, 176, q5_k },
    { "Q6_K", WEIGHTS_Q6_K, 14, 256, 210, q6_k },
    { "IQ4_NL", WEIGHTS_IQ4_NL, 20, 32, 18, iq4_nl },
    { "IQ4_XS", WEIGHTS_IQ4_XS, 23, 256, 136, iq4_xs },
};
const size_t weights_block_count =
    sizeof(weights_blocks) / sizeof(weights_blocks[0]);

const struct weights_block *weights_block_of(enum weights_type type)
{
    for (size_t i = 0; i < weights_block_count; i++)
        if (weights_blocks[i].type == type)
            return &weights_blocks[i];
    return NULL;
}

bool weights_type_block(enum weights_type t, unsigned *elements,
                        unsigned *bytes)
{
    const struct weights_block *b = weights_block_of(t);

    if (!b)
        return false;
    *elements = b->elements;
    *bytes = b->bytes;
    return true;
}

/*
 * weights_convert.c - element types: names, sizes, widening, rounding
 *
 * Portable integer arithmetic, so that a conversion gives the same bits on
 * every machine; the fast paths of training live in compute.
 */
#include "weights/weights_internal.h"

#include <string.h>

/* Ranks follow the reference writer, which puts wide types first. */
static const struct weights_dtype dtypes[] = {
    { "F32", "float32", 32, WEIGHTS_F32, 19 },
    { "F16", "float16", 16, WEIGHTS_F16, 15 },
    { "BF16", "bfloat16", 16, WEIGHTS_BF16, 16 },
    { "F64", "float64", 64, WEIGHTS_F64, 21 },
    { "I64", NULL, 64, WEIGHTS_I64, 22 },
    { "I32", NULL, 32, WEIGHTS_I32, 17 },
    { "I16", NULL, 16, WEIGHTS_I16, 13 },
    { "I8", NULL, 8, WEIGHTS_I8, 6 },
    { "U8", NULL, 8, WEIGHTS_U8, 5 },
    { "BOOL", NULL, 8, WEIGHTS_BOOL, 1 },
    { "U16", NULL, 16, WEIGHTS_OTHER, 14 },
    { "U32", NULL, 32, WEIGHTS_OTHER, 18 },
    { "U64", NULL, 64, WEIGHTS_OTHER, 23 },
    { "C64", NULL, 64, WEIGHTS_OTHER, 20 },
    { "F8_E4M3", NULL, 8, WEIGHTS_OTHER, 8 },
    { "F8_E5M2", NULL, 8, WEIGHTS_OTHER, 7 },
    { "F8_E4M3FNUZ", NULL, 8, WEIGHTS_OTHER, 10 },
    { "F8_E5M2FNUZ", NULL, 8, WEIGHTS_OTHER, 11 },
    { "F8_E8M0", NULL, 8, WEIGHTS_OTHER, 9 },
    { "F6_E2M3", NULL, 6, WEIGHTS_OTHER, 3 },
    { "F6_E3M2", NULL, 6, WEIGHTS_OTHER, 4 },
    { "F4", NULL, 4, WEIGHTS_OTHER, 2 },
};
#define DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

const struct weights_dtype *weights_dtype_find(struct slice name)
{
    for (size_t i = 0; i < DTYPES; i++)
        if (slice_is(name, dtypes[i].name))
            return &dtypes[i];
    return NULL;
}

const struct weights_dtype *weights_dtype_of(enum weights_type type)
{
    for (size_t i = 0; i < DTYPES && type != WEIGHTS_OTHER; i++)
        if (dtypes[i].type == type)
            return &dtypes[i];
    return NULL;
}

bool weights_type_parse(const char *name, enum weights_type *out)
{
    *out = WEIGHTS_OTHER;
    for (size_t i = 0; i < DTYPES; i++) {
        const struct weights_dtype *d = &dtypes[i];

        if (strcmp(d->name, name) == 0 ||
            (d->config && strcmp(d->config, name) == 0)) {
            *out = d->type;
            return d->type != WEIGHTS_OTHER;
        }
    }
    return false;
}

const char *weights_type_name(enum weights_type t)
{
    const struct weights_dtype *d = weights_dtype_of(t);
    const struct weights_block *b = weights_block_of(t);

    return d ? d->name : b ? b->name : t == WEIGHTS_NF4 ? "NF4" : "other";
}

size_t weights_type_size(enum weights_type t)
{
    const struct weights_dtype *d = weights_dtype_of(t);

    return d ? d->bits / 8 : 0;
}

int64_t weights_elements(const struct weights_tensor *t)
{
    int64_t n = 1;

    for (unsigned d = 0; d < t->dims; d++)
        n *= t->shape[d];
    return n;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

uint16_t weights_bf16_from_f32(float x)
{
    uint32_t u = bits_of(x);

    if ((u & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(u >> 16 | 0x40); /* keep a NaN a NaN */
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1)) >> 16);
}

static void widen_f16(const unsigned char *p, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, p + 2 * i, 2);
        out[i] = half_value(h);
    }
}

static void widen_bf16(const unsigned char *p, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;

        memcpy(&h, p + 2 * i, 2);
        out[i] = float_of((uint32_t)h << 16);
    }
}

static void narrow_f64(const unsigned char *p, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x;

        memcpy(&x, p + 8 * i, 8);
        out[i] = (float)x;
    }
}

static void widen_blocks(const struct weights_block *b, const unsigned char *p,
                         float *out, size_t n)
{
    for (size_t i = 0; i < n; i += b->elements, p += b->bytes)
        b->dequantise(p, out + i);
}

int weights_to_f32(const struct weights_tensor *t, float *out, struct err *err)
{
    const struct weights_block *block = weights_block_of(t->type);
    size_t n = (size_t)weights_elements(t);

    if (block) {
        widen_blocks(block, t->data, out, n);
        return ERR_OK;
    }
    switch (t->type) {
    case WEIGHTS_F32:
        if (n)
            memcpy(out, t->data, n * sizeof(float));
        return ERR_OK;
    case WEIGHTS_F16: widen_f16(t->data, out, n); return ERR_OK;
    case WEIGHTS_BF16: widen_bf16(t->data, out, n); return ERR_OK;
    case WEIGHTS_F64: narrow_f64(t->data, out, n); return ERR_OK;
    case WEIGHTS_NF4: weights_nf4_dequantise(t, out); return ERR_OK;
    default:
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\" is %s, not F32, F16, BF16 or F64",
                       t->name, weights_type_name(t->type));
    }
}

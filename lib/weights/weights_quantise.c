/*
 * weights_quantise.c - floats into blocks of 32 with one scale
 *
 * The scale is looked for: of some candidates, each rounded to f16 first and
 * then given its nearest integers, the one with the least squared error is
 * taken. Types with two levels of scales have their own file.
 */
#include "weights/weights_fit.h"
#include "weights/weights_internal.h"

#include <math.h>
#include <string.h>

static void put_half(unsigned char *p, uint16_t h)
{
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

/* The element of 32 with the largest magnitude, with its sign. */
static float extreme(const float *x)
{
    float top = 0;

    for (unsigned i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    return top;
}

static int nearest(float x, float d, int low, int high)
{
    float q = d != 0 ? x / d : 0;

    if (!(q > (float)low))
        return low;
    return q >= (float)high ? high : (int)(q < 0 ? q - 0.5F : q + 0.5F);
}

/* nearest() of four elements, -127..127. */
static fit_mask nearest_vec(fit_vec x, float d)
{
    fit_vec half = fit_all(0.5F), low = fit_all(-127), high = fit_all(127);
    fit_vec q = fit_all(0);

    if (d != 0)
        q = x / fit_all(d);
    q = fit_choose(q > low, q, low);
    q = fit_choose(q < high, q, high);
    return __builtin_convertvector(q + fit_choose(q < fit_all(0), -half, half),
                                   fit_mask);
}

static void q8_0(const float *x, unsigned char *out)
{
    uint16_t h = half_bits(fabsf(extreme(x)) / 127);
    float d = half_value(h);

    put_half(out, h);
    for (unsigned i = 0; i < 32; i += FIT_LANES) {
        fit_mask q = nearest_vec(*(const fit_vec *)(const void *)(x + i), d);

        for (unsigned k = 0; k < FIT_LANES; k++)
            out[2 + i + k] = (unsigned char)q[k];
    }
}

static float q4_0_error(const float *x, uint16_t h)
{
    return fit_pass(x, 32, half_value(h), 0, -8, 7).rr;
}

/* The half that, as a scale of integers -8..7, leaves least. The extreme goes
 * to the end that reaches further: with the other sign a scale was never found
 * to leave less. */
static uint16_t best_q4_0(const float *x)
{
    float top = extreme(x), least;
    uint16_t best = half_bits(top / -8);

    least = q4_0_error(x, best);
    for (float by = 6.5F; by < 9.25F && least > 0; by += 0.25F) {
        float s = top / -by, ds, e;
        struct fit_sums f = fit_pass(x, 32, s, 0, -8, 7);
        uint16_t h;

        if (!(fit_scale(&f, &ds) < least))
            continue;
        h = half_bits(s + ds);
        e = q4_0_error(x, h);
        if (e < least) {
            least = e;
            best = h;
        }
    }
    return best;
}

static void q4_0(const float *x, unsigned char *out)
{
    uint16_t h = best_q4_0(x);
    float d = half_value(h);

    put_half(out, h);
    for (unsigned i = 0; i < 16; i++) {
        unsigned low = (unsigned)(nearest(x[i], d, -8, 7) + 8);
        unsigned high = (unsigned)(nearest(x[i + 16], d, -8, 7) + 8);

        out[2 + i] = (unsigned char)(low | high << 4);
    }
}

static void narrow(const float *x, size_t n, bool bf16, unsigned char *out)
{
    for (size_t i = 0; i < n; i++)
        put_half(out + 2 * i,
                 bf16 ? weights_bf16_from_f32(x[i]) : half_bits(x[i]));
}

static const struct quantiser {
    enum weights_type type;
    void (*run)(const float *x, unsigned char *out);
} quantisers[] = {
    { WEIGHTS_Q8_0, q8_0 },
    { WEIGHTS_Q4_0, q4_0 },
    { WEIGHTS_Q4_K, weights_quantise_q4_k },
    { WEIGHTS_Q6_K, weights_quantise_q6_k },
};

static const struct quantiser *quantiser_of(enum weights_type type)
{
    for (size_t k = 0; k < sizeof(quantisers) / sizeof(quantisers[0]); k++)
        if (quantisers[k].type == type)
            return &quantisers[k];
    return NULL;
}

void weights_quantise_into(enum weights_type type, const float *x, size_t n,
                           unsigned char *out)
{
    const struct weights_block *b = weights_block_of(type);

    if (type == WEIGHTS_F32) {
        memcpy(out, x, n * sizeof(*x));
        return;
    }
    if (!b) {
        narrow(x, n, type == WEIGHTS_BF16, out);
        return;
    }
    for (size_t i = 0; i < n; i += b->elements, out += b->bytes)
        quantiser_of(type)->run(x + i, out);
}

int weights_quantise(enum weights_type type, const float *x, size_t n,
                     struct buf *out, struct err *err)
{
    const struct weights_block *b = weights_block_of(type);
    size_t bytes = b ? n / b->elements * b->bytes : n * weights_type_size(type);
    unsigned char *to;

    if (type > WEIGHTS_BF16 && !quantiser_of(type))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s cannot be written; known: F32 F16 BF16 Q8_0 Q4_0 "
                       "Q4_K Q6_K",
                       weights_type_name(type));
    if (b && n % b->elements)
        return err_set(err, ERR_UNSUPPORTED,
                       "%zu elements are no whole %s "
                       "blocks of %u",
                       n, b->name, b->elements);
    to = (unsigned char *)buf_reserve(out, bytes);
    if (!to)
        return err_set(err, ERR_LIMIT, "no room for %zu bytes", bytes);
    weights_quantise_into(type, x, n, to);
    out->len += bytes;
    return ERR_OK;
}

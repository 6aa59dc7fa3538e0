/*
 * weights_kquant.c - floats into Q4_K and Q6_K
 *
 * 256 elements in parts, each with a small integer scale (Q4_K: and minimum)
 * that multiplies the block's. A part's own best scale is found first, then
 * the block's, then each part's integers beside their neighbours, by the
 * squared error that remains; the block's scales are fitted to these once
 * more and the better of the two is kept.
 */
#include "weights/weights_fit.h"
#include "weights/weights_internal.h"

#include <math.h>
#include <string.h>

#define ROUNDS 3 /* of fitting the block's scales to its parts' integers */

static void put_half(unsigned char *p, uint16_t h)
{
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

static float half(float x)
{
    return half_value(half_bits(x));
}

/* Values s * q - m with q in 0..15. */
struct affine {
    float s, m, error;
};

static struct fit_sums affine_pass(const float *x, float s, float m)
{
    return fit_pass(x, 32, s, m, 0, 15);
}

/* Better s and m >= 0 for the integers that s and m give. */
static struct affine affine_refit(const float *x, float s, float m)
{
    struct fit_sums f = affine_pass(x, s, m);
    struct affine out;
    float ds, dm;

    out.error = fit_affine(&f, &ds, &dm);
    out.s = s + ds;
    out.m = m + dm;
    if (out.m < 0) { /* then without it: sum of x q is known from the rest */
        float xq = f.rq + s * f.qq - m * f.q;

        out.m = 0;
        out.s = f.qq > 0 ? xq / f.qq : 0;
        f = affine_pass(x, out.s, 0);
        out.error = f.rr;
    }
    if (!(out.s > 0))
        out.s = 0;
    return out;
}

static struct affine affine_fit(const float *x)
{
    float low = 0, high = x[0];
    struct affine best;

    for (unsigned i = 0; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (!(high > low))
        return (struct affine){ 0, -low, 0 };
    best = (struct affine){ (high - low) / 15, -low, HUGE_VALF };
    for (float top = 11; top < 19; top += 0.5F) {
        struct affine a = affine_refit(x, (high - low) / top, -low);

        if (a.error < best.error)
            best = a;
    }
    for (unsigned round = 0; round < 2; round++) {
        struct affine a = affine_refit(x, best.s, best.m);

        if (a.error < best.error)
            best = a;
    }
    return best;
}

/* A block of Q4_K before it is packed. */
struct q4k {
    float d, dmin, error;
    unsigned s[8], m[8];
};

static int steps(float x, float step, int most)
{
    return step > 0 ? (int)fit_nearest(x / step, 0, (float)most) : 0;
}

/* The pair of 6-bit integers near the wish whose result errs least; for each
 * scale the minimum that its integers want. */
static float affine_integers(const float *x, const struct affine *wish,
                             const struct q4k *b, unsigned *s, unsigned *m)
{
    int s0 = steps(wish->s, b->d, 63);
    float least = HUGE_VALF;

    *s = *m = 0;
    for (int i = s0 > 0 ? s0 - 1 : 0; i <= s0 + 1 && i <= 63; i++) {
        float scale = b->d * (float)i;
        struct fit_sums f = affine_pass(x, scale, wish->m);
        int m0 = steps(wish->m - f.r / 32, b->dmin, 63);

        for (int k = m0 > 0 ? m0 - 1 : 0; k <= m0 + 1 && k <= 63; k++) {
            f = affine_pass(x, scale, b->dmin * (float)k);
            if (f.rr < least) {
                least = f.rr;
                *s = (unsigned)i;
                *m = (unsigned)k;
            }
        }
    }
    return least < HUGE_VALF ? least : 0;
}

/* Integers of all parts for the scales that b has. */
static void choose_integers(const float *x, const struct affine *fit,
                            struct q4k *b)
{
    b->error = 0;
    for (unsigned j = 0; j < 8; j++)
        b->error += affine_integers(x + 32 * j, &fit[j], b, &b->s[j], &b->m[j]);
}

/* The scales that fit all parts' integers best, as changes of b's. */
static void refit_block(const float *x, const struct q4k *b, float *d,
                        float *dmin)
{
    double uu = 0, uv = 0, vv = 0, ru = 0, rv = 0, det;

    for (unsigned j = 0; j < 8; j++) {
        double s = b->s[j], m = b->m[j];
        struct fit_sums f = affine_pass(x + 32 * j, b->d * (float)b->s[j],
                                        b->dmin * (float)b->m[j]);

        uu += s * s * (double)f.qq;
        uv += s * m * (double)f.q;
        vv += 32 * m * m;
        ru += s * (double)f.rq;
        rv += m * (double)f.r;
    }
    det = uu * vv - uv * uv;
    *d = b->d;
    *dmin = b->dmin;
    if (det > 1e-9 * uu * vv) {
        *d += (float)((vv * ru - uv * rv) / det);
        *dmin += (float)((uv * ru - uu * rv) / det);
    } else if (uu > 0) {
        *d += (float)(ru / uu);
    }
}

/* Scale and minimum j into the twelve bytes; p is zero before. */
static void put_scale_and_min(unsigned char *p, unsigned j, unsigned s,
                              unsigned m)
{
    if (j < 4) {
        p[j] |= (unsigned char)s;
        p[j + 4] |= (unsigned char)m;
        return;
    }
    p[j + 4] = (unsigned char)((s & 15) | m << 4);
    p[j - 4] |= (unsigned char)(s >> 4 << 6);
    p[j] |= (unsigned char)(m >> 4 << 6);
}

static void pack_q4k(const float *x, const struct q4k *b, unsigned char *out)
{
    memset(out, 0, 144);
    put_half(out, half_bits(b->d));
    put_half(out + 2, half_bits(b->dmin));
    for (unsigned j = 0; j < 8; j++) {
        float s = b->d * (float)b->s[j], m = b->dmin * (float)b->m[j];
        float inverse = s > 0 ? 1 / s : 0;

        put_scale_and_min(out + 4, j, b->s[j], b->m[j]);
        for (unsigned i = 0; i < 32; i++) {
            float q = fit_nearest((x[32 * j + i] + m) * inverse, 0, 15);

            out[16 + j / 2 * 32 + i] |=
                (unsigned char)((unsigned)q << j % 2 * 4);
        }
    }
}

void weights_quantise_q4_k(const float *x, unsigned char *out)
{
    struct affine fit[8];
    struct q4k best = { 0 }, b = { 0 };

    for (unsigned j = 0; j < 8; j++) {
        fit[j] = affine_fit(x + 32 * j);
        b.d = fit[j].s > b.d ? fit[j].s : b.d;
        b.dmin = fit[j].m > b.dmin ? fit[j].m : b.dmin;
    }
    b.d = half(b.d / 63);
    b.dmin = half(b.dmin / 63);
    choose_integers(x, fit, &b);
    best = b;
    for (unsigned round = 0; round < ROUNDS; round++) {
        float d, dmin;

        refit_block(x, &best, &d, &dmin);
        b.d = half(d);
        b.dmin = half(dmin);
        if (!(b.d >= 0 && b.dmin >= 0))
            break;
        choose_integers(x, fit, &b);
        if (!(b.error < best.error))
            break;
        best = b;
    }
    pack_q4k(x, &best, out);
}

static struct fit_sums scaled_pass(const float *x, float s)
{
    return fit_pass(x, 16, s, 0, -32, 31);
}

struct scaled {
    float s, error;
};

static struct scaled scaled_refit(const float *x, float s)
{
    struct fit_sums f = scaled_pass(x, s);
    struct scaled out;
    float ds;

    out.error = fit_scale(&f, &ds);
    out.s = s + ds;
    return out;
}

static struct scaled scaled_fit(const float *x)
{
    struct scaled best;
    float top = 0;

    for (unsigned i = 0; i < 16; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    if (top == 0)
        return (struct scaled){ 0, 0 };
    best = scaled_refit(x, top / -32);
    for (float by = 29; by < 35; by += 0.25F) {
        struct scaled a = scaled_refit(x, top / -by);

        if (a.error < best.error)
            best = a;
    }
    return best;
}

struct q6k {
    float d, error;
    int s[16];
};

static void choose_scales(const float *x, const struct scaled *fit,
                          struct q6k *b)
{
    b->error = 0;
    for (unsigned j = 0; j < 16; j++) {
        float wish = b->d != 0 ? fit[j].s / b->d : 0, least = HUGE_VALF;
        int s0 = (int)fit_nearest(wish, -128, 127);

        b->s[j] = s0;
        for (int s = s0 - 1; s <= s0 + 1; s++) {
            struct fit_sums f;

            if (s < -128 || s > 127)
                continue;
            f = scaled_pass(x + 16 * j, b->d * (float)s);
            if (f.rr < least) {
                least = f.rr;
                b->s[j] = s;
            }
        }
        b->error += least < HUGE_VALF ? least : 0;
    }
}

static float refit_scale(const float *x, const struct q6k *b)
{
    double uu = 0, ru = 0;

    for (unsigned j = 0; j < 16; j++) {
        double s = b->s[j];
        struct fit_sums f = scaled_pass(x + 16 * j, b->d * (float)b->s[j]);

        uu += s * s * (double)f.qq;
        ru += s * (double)f.rq;
    }
    return b->d + (uu > 0 ? (float)(ru / uu) : 0);
}

static void put_six_bits(unsigned char *out, unsigned i, unsigned q)
{
    unsigned half = i / 128, quarter = i % 128 / 32, l = i % 32;

    out[half * 64 + quarter % 2 * 32 + l] |=
        (unsigned char)((q & 15) << quarter / 2 * 4);
    out[128 + half * 32 + l] |= (unsigned char)(q >> 4 << 2 * quarter);
}

static void pack_q6k(const float *x, const struct q6k *b, unsigned char *out)
{
    memset(out, 0, 210);
    put_half(out + 208, half_bits(b->d));
    for (unsigned j = 0; j < 16; j++) {
        float s = b->d * (float)b->s[j], inverse = s != 0 ? 1 / s : 0;

        out[192 + j] = (unsigned char)b->s[j];
        for (unsigned i = 16 * j; i < 16 * j + 16; i++)
            put_six_bits(out, i,
                         (unsigned)(fit_nearest(x[i] * inverse, -32, 31) + 32));
    }
}

void weights_quantise_q6_k(const float *x, unsigned char *out)
{
    struct scaled fit[16];
    struct q6k best, b = { 0 };
    float top = 0;

    for (unsigned j = 0; j < 16; j++) {
        fit[j] = scaled_fit(x + 16 * j);
        if (fabsf(fit[j].s) > fabsf(top))
            top = fit[j].s;
    }
    b.d = half(top / -128);
    choose_scales(x, fit, &b);
    best = b;
    for (unsigned round = 0; round < ROUNDS; round++) {
        b.d = half(refit_scale(x, &best));
        choose_scales(x, fit, &b);
        if (!(b.error < best.error))
            break;
        best = b;
    }
    pack_q6k(x, &best, out);
}

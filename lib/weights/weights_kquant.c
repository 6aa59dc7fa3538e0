/*
 * weights_kquant.c - floats into Q4_K and Q6_K
 *
 * 256 elements in parts, each with a small integer scale (Q4_K: and minimum)
 * that multiplies the block's. A part's own best scale is found first, then
 * the block's, then each part's integers again beside their neighbours, by
 * the squared error that remains.
 */
#include "weights/weights_internal.h"

#include <math.h>
#include <string.h>

#define STEPS 20 /* candidates for a part's scale */

static void put_half(unsigned char *p, uint16_t h)
{
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

static int clamped(double x, int low, int high)
{
    if (!(x > low))
        return low;
    return x >= high ? high : (int)(x < 0 ? x - 0.5 : x + 0.5);
}

/* Values s * q - m with q in 0..15. */
struct affine {
    double s, m;
};

static double affine_error(const float *x, struct affine a)
{
    double sum = 0, inverse = a.s > 0 ? 1 / a.s : 0;

    for (unsigned i = 0; i < 32; i++) {
        int q = clamped(((double)x[i] + a.m) * inverse, 0, 15);
        double off = (double)x[i] - (a.s * q - a.m);

        sum += off * off;
    }
    return sum;
}

/* Least squares of s and m for the integers that a gives; m >= 0. */
static struct affine affine_refit(const float *x, struct affine a)
{
    double sx = 0, sq = 0, sqq = 0, sxq = 0, det;
    double inverse = a.s > 0 ? 1 / a.s : 0;
    struct affine out = a;

    for (unsigned i = 0; i < 32; i++) {
        int q = clamped(((double)x[i] + a.m) * inverse, 0, 15);

        sx += (double)x[i];
        sq += q;
        sqq += (double)q * q;
        sxq += (double)x[i] * q;
    }
    det = 32 * sqq - sq * sq;
    if (det <= 0)
        return a;
    out.s = (32 * sxq - sx * sq) / det;
    out.m = (sq * sxq - sqq * sx) / det;
    if (out.m < 0) {
        out.m = 0;
        out.s = sqq > 0 ? sxq / sqq : 0;
    }
    if (out.s < 0)
        out.s = 0;
    return out;
}

static struct affine affine_fit(const float *x)
{
    double low = 0, high = (double)x[0], least;
    struct affine best;

    for (unsigned i = 0; i < 32; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    best = (struct affine){ (high - low) / 15, -low };
    if (high <= low)
        return (struct affine){ 0, -low };
    least = affine_error(x, best);
    for (int step = 0; step <= STEPS; step++) {
        double top = 13.5 + 0.1 * step;
        struct affine a =
            affine_refit(x, (struct affine){ (high - low) / top, -low });
        double e = affine_error(x, a);

        if (e < least) {
            least = e;
            best = a;
        }
    }
    return best;
}

/* The pair of 6-bit integers near the wish whose result errs least. */
static void affine_integers(const float *x, struct affine wish, double d,
                            double dmin, unsigned *s, unsigned *m)
{
    int s0 = d > 0 ? clamped(wish.s / d, 0, 63) : 0;
    int m0 = dmin > 0 ? clamped(wish.m / dmin, 0, 63) : 0;
    double least = HUGE_VAL;

    for (int i = s0 - 1; i <= s0 + 1; i++)
        for (int k = m0 - 1; k <= m0 + 1; k++) {
            double e;

            if (i < 0 || i > 63 || k < 0 || k > 63)
                continue;
            e = affine_error(x, (struct affine){ d * i, dmin * k });
            if (e < least) {
                least = e;
                *s = (unsigned)i;
                *m = (unsigned)k;
            }
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

void weights_quantise_q4_k(const float *x, unsigned char *out)
{
    struct affine fit[8];
    double top_s = 0, top_m = 0, d, dmin;

    memset(out, 0, 144);
    for (unsigned j = 0; j < 8; j++) {
        fit[j] = affine_fit(x + 32 * j);
        top_s = fmax(top_s, fit[j].s);
        top_m = fmax(top_m, fit[j].m);
    }
    put_half(out, weights_f16_from_f32((float)(top_s / 63)));
    put_half(out + 2, weights_f16_from_f32((float)(top_m / 63)));
    d = (double)weights_f32_from_f16((uint16_t)(out[0] | out[1] << 8));
    dmin = (double)weights_f32_from_f16((uint16_t)(out[2] | out[3] << 8));
    for (unsigned j = 0; j < 8; j++) {
        unsigned s = 0, m = 0;

        affine_integers(x + 32 * j, fit[j], d, dmin, &s, &m);
        put_scale_and_min(out + 4, j, s, m);
        for (unsigned i = 0; i < 32 && s; i++) {
            double v = ((double)x[32 * j + i] + dmin * m) / (d * s);
            int q = isfinite(v) ? clamped(v, 0, 15) : 0;

            out[16 + j / 2 * 32 + i] |= (unsigned char)(q << j % 2 * 4);
        }
    }
}

static double scaled_error(const float *x, double s)
{
    double sum = 0, inverse = s != 0 ? 1 / s : 0;

    for (unsigned i = 0; i < 16; i++) {
        int q = clamped((double)x[i] * inverse, -32, 31);
        double off = (double)x[i] - s * q;

        sum += off * off;
    }
    return sum;
}

static double scaled_fit(const float *x)
{
    double top = 0, best, least;

    for (unsigned i = 0; i < 16; i++)
        if (fabs((double)x[i]) > fabs(top))
            top = (double)x[i];
    best = top / -32;
    least = scaled_error(x, best);
    for (int step = 0; step <= STEPS && least > 0; step++) {
        double xq = 0, qq = 0, s = top / -(31 + 0.1 * step), e;
        double inverse = 1 / s;

        for (unsigned i = 0; i < 16; i++) {
            int q = clamped((double)x[i] * inverse, -32, 31);

            xq += (double)x[i] * q;
            qq += (double)q * q;
        }
        s = qq > 0 ? xq / qq : s;
        e = scaled_error(x, s);
        if (e < least) {
            least = e;
            best = s;
        }
    }
    return best;
}

static int scaled_integer(const float *x, double wish, double d)
{
    int s0 = d != 0 ? clamped(wish / d, -128, 127) : 0, best = s0;
    double least = HUGE_VAL;

    for (int s = s0 - 1; s <= s0 + 1; s++) {
        double e = s < -128 || s > 127 ? HUGE_VAL : scaled_error(x, d * s);

        if (e < least) {
            least = e;
            best = s;
        }
    }
    return best;
}

static void put_six_bits(unsigned char *out, unsigned i, unsigned q)
{
    unsigned half = i / 128, quarter = i % 128 / 32, l = i % 32;

    out[half * 64 + quarter % 2 * 32 + l] |=
        (unsigned char)((q & 15) << quarter / 2 * 4);
    out[128 + half * 32 + l] |= (unsigned char)(q >> 4 << 2 * quarter);
}

void weights_quantise_q6_k(const float *x, unsigned char *out)
{
    double fit[16], top = 0, d;

    memset(out, 0, 210);
    for (unsigned j = 0; j < 16; j++) {
        fit[j] = scaled_fit(x + 16 * j);
        if (fabs(fit[j]) > fabs(top))
            top = fit[j];
    }
    put_half(out + 208, weights_f16_from_f32((float)(top / -128)));
    d = (double)weights_f32_from_f16((uint16_t)(out[208] | out[209] << 8));
    for (unsigned j = 0; j < 16; j++) {
        int s = scaled_integer(x + 16 * j, fit[j], d);

        out[192 + j] = (unsigned char)s;
        for (unsigned i = 16 * j; i < 16 * j + 16; i++) {
            double v = s ? (double)x[i] / (d * s) : 0;
            int q = isfinite(v) ? clamped(v, -32, 31) : 0;

            put_six_bits(out, i, (unsigned)(q + 32));
        }
    }
}

/*
 * weights_fit.h - what a scale leaves of some numbers, in one pass
 *
 * Numbers become integers low..high times s, minus m. The remainders r and
 * the integers q are summed in four lanes, as every vector unit has them;
 * from the sums follow the s and m that fit these integers best, and what
 * they leave, without another pass.
 */
#ifndef WEIGHTS_FIT_H
#define WEIGHTS_FIT_H

#include <stdint.h>

#define FIT_LANES 4

typedef float fit_vec
    __attribute__((vector_size(4 * FIT_LANES), aligned(4), may_alias));
typedef int32_t fit_mask __attribute__((vector_size(4 * FIT_LANES)));

/* (v + it) - it is v rounded to an integer, for |v| < 2^22. */
#define FIT_ROUND 12582912.0F

struct fit_sums {
    float n, rr, r, rq, q, qq;
};

/* v to the nearest of low..high; low for no number. */
static inline float fit_nearest(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (v + FIT_ROUND) - FIT_ROUND;
}

static inline fit_vec fit_all(float x)
{
    return (fit_vec){ x, x, x, x };
}

static inline fit_vec fit_choose(fit_mask first, fit_vec a, fit_vec b)
{
    return (fit_vec)((first & (fit_mask)a) | (~first & (fit_mask)b));
}

static inline fit_vec fit_nearest_vec(fit_vec v, fit_vec low, fit_vec high)
{
    v = fit_choose(v > low, v, low);
    v = fit_choose(v < high, v, high);
    return (v + FIT_ROUND) - FIT_ROUND;
}

static inline float fit_lanes(fit_vec x)
{
    return (x[0] + x[1]) + (x[2] + x[3]);
}

/* n: a multiple of FIT_LANES. */
static inline struct fit_sums fit_pass(const float *x, unsigned n, float s,
                                       float m, float low, float high)
{
    fit_vec zero = fit_all(0), rr = zero, r = zero, rq = zero, q = zero;
    fit_vec qq = zero, by = fit_all(s != 0 ? 1 / s : 0);
    fit_vec scale = fit_all(s), less = fit_all(m);
    fit_vec from = fit_all(low), to = fit_all(high);

    for (unsigned i = 0; i < n; i += FIT_LANES) {
        fit_vec v = *(const fit_vec *)(const void *)(x + i);
        fit_vec a = fit_nearest_vec((v + less) * by, from, to);
        fit_vec d = v - (scale * a - less);

        rr += d * d;
        r += d;
        rq += d * a;
        q += a;
        qq += a * a;
    }
    return (struct fit_sums){ (float)n,      fit_lanes(rr), fit_lanes(r),
                              fit_lanes(rq), fit_lanes(q),  fit_lanes(qq) };
}

/* Rounding may take a remainder of nothing below it. */
static inline float fit_not_negative(float x)
{
    return x > 0 ? x : 0;
}

/* Error left by the best change of s, which is stored, for these integers. */
static inline float fit_scale(const struct fit_sums *f, float *change)
{
    *change = f->qq > 0 ? f->rq / f->qq : 0;
    return fit_not_negative(f->rr - *change * f->rq);
}

/* The same of s and m together. */
static inline float fit_affine(const struct fit_sums *f, float *s, float *m)
{
    float det = f->n * f->qq - f->q * f->q;

    if (!(det > 0)) {
        *s = 0;
        *m = -f->r / f->n;
        return fit_not_negative(f->rr - f->r * f->r / f->n);
    }
    *s = (f->n * f->rq - f->q * f->r) / det;
    *m = (f->q * f->rq - f->qq * f->r) / det;
    return fit_not_negative(f->rr - *s * f->rq + *m * f->r);
}

#endif

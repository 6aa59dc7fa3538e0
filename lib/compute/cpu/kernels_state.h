/*
 * kernels_state.h - private: convolutions and recurrences, one row at a time
 *
 * A state is kept so that the inner loops run along its rows, each of which
 * goes on alone: what a step does to a row needs no other row of the state.
 */
#ifndef KERNELS_STATE_H
#define KERNELS_STATE_H

#include "compute/cpu/kernels_rows.h"

INLINE vf conv_sum(const float *const *in, const float *w, const float *bias,
                   size_t taps, size_t i, size_t n, size_t n_)
{
    vf sum = row_get(bias + i, n_);

    for (size_t j = 0; j < taps; j++)
        if (in[j])
            sum =
                v_fma(row_get(w + j * n + i, n_), row_get(in[j] + i, n_), sum);
    return sum;
}

static void state_conv(float *y, const float *const *in, const float *w,
                       const float *bias, size_t taps, bool silu, size_t n)
{
    EACH(i, n)
    {
        vf x = conv_sum(in, w, bias, taps, i, n, n_);

        row_put(y + i, silu ? x * v_sigmoid(x) : x, n_);
    }
}

static void state_conv_grad(float *g, float *dw, float *dbias, const float *dy,
                            const float *const *in, const float *w,
                            const float *bias, size_t taps, bool silu, size_t n)
{
    EACH(i, n)
    {
        vf d = row_get(dy + i, n_);

        if (silu) {
            vf x = conv_sum(in, w, bias, taps, i, n, n_), s = v_sigmoid(x);

            d = d * s * (1.0f + x * (1.0f - s));
        }
        row_put(g + i, d, n_);
        row_put(dbias + i, row_get(dbias + i, n_) + d, n_);
        for (size_t j = 0; j < taps; j++)
            if (in[j])
                row_put(dw + j * n + i,
                        v_fma(d, row_get(in[j] + i, n_),
                              row_get(dw + j * n + i, n_)),
                        n_);
    }
}

static float state_scan(float *s, float decay, float add, const float *b,
                        const float *c, size_t n)
{
    vf sum = { 0 };

    EACH(i, n)
    {
        vf x = row_get(s + i, n_) * decay;

        x = v_fma(v_set(add), row_get(b + i, n_), x);
        row_put(s + i, x, n_);
        sum = v_fma(x, row_get(c + i, n_), sum);
    }
    return v_sum(sum);
}

static void state_scan_grad(const struct cpu_scan_step *x)
{
    vf ddecay = { 0 }, dadd = { 0 }, dy = v_set(x->dy), add = v_set(x->add);

    EACH(i, x->n)
    {
        vf b = row_get(x->b + i, n_), c = row_get(x->c + i, n_);
        vf g = v_fma(dy, c, row_get(x->ds + i, n_));

        row_put(x->dc + i,
                v_fma(dy, row_get(x->after + i, n_), row_get(x->dc + i, n_)),
                n_);
        row_put(x->db + i, v_fma(add, g, row_get(x->db + i, n_)), n_);
        ddecay = v_fma(g, row_get(x->before + i, n_), ddecay);
        dadd = v_fma(g, b, dadd);
        row_put(x->ds + i, g * x->decay, n_);
    }
    *x->ddecay += v_sum(ddecay);
    *x->dadd += v_sum(dadd);
}

static float state_delta(float *s, float decay, float beta, float v,
                         const float *k, const float *q, size_t n)
{
    vf found = { 0 }, sum = { 0 }, change;

    EACH(i, n)
    {
        vf x = row_get(s + i, n_) * decay;

        row_put(s + i, x, n_);
        found = v_fma(x, row_get(k + i, n_), found);
    }
    change = v_set(beta * (v - v_sum(found)));
    EACH(i, n)
    {
        vf x = v_fma(change, row_get(k + i, n_), row_get(s + i, n_));

        row_put(s + i, x, n_);
        sum = v_fma(x, row_get(q + i, n_), sum);
    }
    return v_sum(sum);
}

/* With g the state's gradient after the step, S' the decayed state before it:
 * the change u = beta (v - S'k) has gradient g.k, which reaches S' and k. */
static void state_delta_grad(const struct cpu_delta_step *x)
{
    vf found = { 0 }, du = { 0 }, ddecay = { 0 }, d_o = v_set(x->d_o);
    float miss, slope;

    EACH(i, x->n)
    {
        vf k = row_get(x->k + i, n_);
        vf g = v_fma(d_o, row_get(x->q + i, n_), row_get(x->ds + i, n_));

        row_put(x->ds + i, g, n_);
        du = v_fma(g, k, du);
        found = v_fma(row_get(x->before + i, n_) * x->decay, k, found);
    }
    miss = x->v - v_sum(found);
    slope = v_sum(du);
    *x->dbeta += slope * miss;
    *x->dv = slope *= x->beta;
    EACH(i, x->n)
    {
        vf g = row_get(x->ds + i, n_), k = row_get(x->k + i, n_);
        vf before = row_get(x->before + i, n_), h = g - k * slope;
        vf dk = g * (x->beta * miss) - before * (x->decay * slope);

        row_put(x->dq + i,
                v_fma(d_o, row_get(x->after + i, n_), row_get(x->dq + i, n_)),
                n_);
        row_put(x->dk + i, row_get(x->dk + i, n_) + dk, n_);
        ddecay = v_fma(h, before, ddecay);
        row_put(x->ds + i, h * x->decay, n_);
    }
    *x->ddecay += v_sum(ddecay);
}

#endif

/*
 * kernels_rows.h - private: everything that works row by row
 *
 * Norms, rotations, activations, softmax, the optimizer. Formulas are in
 * compute.h; each loop runs over whole vectors and then the rest, in one
 * fixed order.
 */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include "compute/cpu/cpu.h"
#include "compute/cpu/kernels_vec.h"

#include <math.h>

/* For i over whole vectors with n_ = VW, then once more with the rest. */
#define EACH(i, n)                                                             \
    for (size_t i = 0, n_ = VW;                                                \
         i < (n) && ((n_ = (n)-i < VW ? (n)-i : VW), 1); i += VW)

INLINE vf row_get(const float *p, size_t n)
{
    return n == VW ? v_load(p) : v_load_n(p, n);
}

INLINE void row_put(float *p, vf x, size_t n)
{
    if (n == VW)
        v_store(p, x);
    else
        v_store_n(p, x, n);
}

static void row_axpy(float *y, float alpha, const float *x, size_t n)
{
    vf a = v_set(alpha);

    EACH(i, n)
    {
        row_put(y + i, v_fma(a, row_get(x + i, n_), row_get(y + i, n_)), n_);
    }
}

static void row_add_bias(float *y, const float *bias, size_t n)
{
    EACH(i, n)
    {
        row_put(y + i, row_get(y + i, n_) + row_get(bias + i, n_), n_);
    }
}

static void row_scale(float *y, float alpha, size_t n)
{
    EACH(i, n)
    {
        row_put(y + i, row_get(y + i, n_) * alpha, n_);
    }
}

static float row_dot(const float *a, const float *b, size_t n)
{
    vf s = { 0 };

    EACH(i, n)
    {
        s = v_fma(row_get(a + i, n_), row_get(b + i, n_), s);
    }
    return v_sum(s);
}

/* Short runs in float, their sums in double. */
static double row_sum_squares(const float *x, size_t n)
{
    double total = 0;

    for (size_t i = 0; i < n; i += 256)
        total += (double)row_dot(x + i, x + i, n - i < 256 ? n - i : 256);
    return total;
}

static float row_rmsnorm(float *y, const float *x, const float *w, size_t n,
                         float eps)
{
    float rstd = 1.0f / sqrtf(row_dot(x, x, n) / (float)n + eps);
    vf r = v_set(rstd);

    EACH(i, n)
    {
        row_put(y + i, row_get(x + i, n_) * r * row_get(w + i, n_), n_);
    }
    return rstd;
}

static void row_rmsnorm_grad(float *dx, float *dw, const float *dy,
                             const float *x, const float *w, float rstd,
                             size_t n)
{
    vf s = { 0 };
    vf r = v_set(rstd), mean;

    EACH(i, n)
    {
        s = v_fma(row_get(dy + i, n_) * row_get(w + i, n_), row_get(x + i, n_),
                  s);
    }
    mean = v_set(v_sum(s) * rstd * rstd / (float)n);
    EACH(i, n)
    {
        vf xv = row_get(x + i, n_), dyv = row_get(dy + i, n_);
        vf g = (dyv * row_get(w + i, n_) - xv * mean) * r;

        row_put(dx + i, row_get(dx + i, n_) + g, n_);
        if (dw)
            row_put(dw + i, v_fma(dyv, xv * r, row_get(dw + i, n_)), n_);
    }
}

static void row_rope(float *x, const float *cosine, const float *sine,
                     size_t heads, size_t dim, size_t rotary, float sign)
{
    size_t half = rotary / 2;

    for (size_t h = 0; h < heads; h++, x += dim) {
        EACH(i, half)
        {
            vf a = row_get(x + i, n_), b = row_get(x + half + i, n_);
            vf c = row_get(cosine + i, n_), s = row_get(sine + i, n_) * sign;

            row_put(x + i, a * c - b * s, n_);
            row_put(x + half + i, b * c + a * s, n_);
        }
    }
}

static void row_swiglu(float *h, const float *gate, const float *up, size_t n)
{
    EACH(i, n)
    {
        vf g = row_get(gate + i, n_);

        row_put(h + i, g * v_sigmoid(g) * row_get(up + i, n_), n_);
    }
}

static void row_swiglu_grad(float *dgate, float *dup, const float *dh,
                            const float *gate, const float *up, size_t n)
{
    EACH(i, n)
    {
        vf g = row_get(gate + i, n_), u = row_get(up + i, n_);
        vf d = row_get(dh + i, n_), s = v_sigmoid(g);

        row_put(dup + i, d * g * s, n_);
        row_put(dgate + i, d * u * s * (1.0f + g * (1.0f - s)), n_);
    }
}

static float row_max(const float *x, size_t n)
{
    vf top = v_set(x[0]);
    size_t i = 0;
    float best;

    for (; i + VW <= n; i += VW)
        top = v_max(top, v_load(x + i));
    best = v_top(top);
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

static float row_exp(float *x, size_t n, float scale, float shift)
{
    vf sum = { 0 }, sc = v_set(scale), sh = v_set(-shift);
    size_t i = 0;
    float rest = 0;

    for (; i + VW <= n; i += VW) {
        vf e = v_exp(v_fma(v_load(x + i), sc, sh));

        v_store(x + i, e);
        sum += e;
    }
    if (i < n) {
        v_store_n(x + i, v_exp(v_fma(v_load_n(x + i, n - i), sc, sh)), n - i);
        for (; i < n; i++)
            rest += x[i];
    }
    return v_sum(sum) + rest;
}

static float row_softmax_part(float *x, size_t n, float scale, float *max_io)
{
    float top = row_max(x, n) * scale;

    if (top > *max_io)
        *max_io = top;
    return row_exp(x, n, scale, *max_io);
}

static float row_cross_entropy(float *x, size_t n, size_t label, float scale,
                               bool grad)
{
    float top = row_max(x, n), at = x[label], sum;

    sum = row_exp(x, n, 1, top);
    if (grad) {
        row_scale(x, scale / sum, n);
        x[label] -= scale;
    }
    return logf(sum) + top - at;
}

static size_t row_argmax(const float *x, size_t n, float *logp)
{
    float top = row_max(x, n), sum = 0;
    size_t best = 0, i = 0;
    vf sums = { 0 };

    while (best + 1 < n && !(x[best] >= top))
        best++;
    if (!logp)
        return best;
    for (; i + VW <= n; i += VW)
        sums += v_exp(v_load(x + i) - top);
    if (i < n) {
        float t[VW];

        v_store(t, v_exp(v_load_n(x + i, n - i) - top));
        for (size_t j = 0; i + j < n; j++)
            sum += t[j];
    }
    sum += v_sum(sums);
    *logp = -logf(sum);
    return best;
}

/* The constants are computed in double by the caller. */
static void row_adamw(float *p, const float *g, float *m, float *v, size_t n,
                      const float *c)
{
    EACH(i, n)
    {
        vf gv = row_get(g + i, n_) * c[ADAMW_GSCALE], pv = row_get(p + i, n_);
        vf mv = row_get(m + i, n_), vv = row_get(v + i, n_);

        mv = mv + (gv - mv) * c[ADAMW_NOT_B1];
        vv = vv * c[ADAMW_B2] + gv * gv * c[ADAMW_NOT_B2];
        pv = pv * c[ADAMW_DECAY];
        pv =
            pv - mv * c[ADAMW_RATE] / (v_sqrt(vv) * c[ADAMW_C2] + c[ADAMW_EPS]);
        row_put(p + i, pv, n_);
        row_put(m + i, mv, n_);
        row_put(v + i, vv, n_);
    }
}

#endif

/*
 * kernels_act.h - private: activation functions and what other families add
 *
 * Each function is written once for a vector and instantiated for each kind,
 * so that no loop asks which it is.
 */
#ifndef KERNELS_ACT_H
#define KERNELS_ACT_H

#include "compute/cpu/kernels_rows.h"

#define GELU_RATE 1.5957691216f /* 2 sqrt(2/pi): tanh as a sigmoid */
#define GELU_CUBE 0.044715f

/* Odd polynomial near 0, where 1 - 2/(e^2x + 1) would lose its digits. */
INLINE vf v_tanh(vf x)
{
    vf s = x * x, p = v_set(62.0f / 2835);
    vi small = s < 0.0625f;

    p = v_fma(p, s, v_set(-17.0f / 315));
    p = v_fma(p, s, v_set(2.0f / 15));
    p = v_fma(p, s, v_set(-1.0f / 3));
    p = v_fma(p * s, x, x);
    return v_select(small, p, 1.0f - 2.0f / (v_exp(x + x) + 1.0f));
}

/* The normal distribution function, *density = exp(-x^2/2) / sqrt(2 pi): the
 * tail by Abramowitz & Stegun 7.1.26, off by 7.5e-8 at most. */
INLINE vf v_normal(vf x, vf *density)
{
    vf low = v_set(-80), size = v_max(x, -x), e, t, p;

    e = v_exp(v_max(-0.5f * x * x, low));
    t = 1.0f / (0.3275911f * 0.70710678f * size + 1.0f);
    p = v_fma(v_set(1.061405429f), t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    p = 0.5f * p * t * e;
    *density = 0.39894228f * e;
    return v_select(x < 0.0f, p, 1.0f - p);
}

/* f(x), and with *slope its derivative. kind is a constant to the compiler. */
INLINE vf v_activate(enum compute_activation kind, vf x, vf *slope)
{
    vf one = v_set(1), s;

    switch (kind) {
    case COMPUTE_SIGMOID:
        s = v_sigmoid(x);
        *slope = s * (one - s);
        return s;
    case COMPUTE_SILU:
        s = v_sigmoid(x);
        *slope = s * (one + x * (one - s));
        return x * s;
    case COMPUTE_GELU_TANH:
        s = v_sigmoid(x * (GELU_CUBE * x * x + one) * GELU_RATE);
        *slope = s + x * s * (one - s) * GELU_RATE *
                         (3.0f * GELU_CUBE * x * x + one);
        return x * s;
    case COMPUTE_RELU2:
        s = v_max(x, v_set(0));
        *slope = s + s;
        return s * s;
    case COMPUTE_GELU: {
        vf density;

        s = v_normal(x, &density);
        *slope = s + x * density;
        return x * s;
    }
    case COMPUTE_IDENTITY: break;
    }
    *slope = one;
    return x;
}

INLINE void act_run(enum compute_activation kind, float *y, const float *x,
                    size_t n)
{
    EACH(i, n)
    {
        vf slope;

        row_put(y + i, v_activate(kind, row_get(x + i, n_), &slope), n_);
    }
}

INLINE void act_run_grad(enum compute_activation kind, float *dx,
                         const float *dy, const float *x, size_t n)
{
    EACH(i, n)
    {
        vf slope;

        (void)v_activate(kind, row_get(x + i, n_), &slope);
        row_put(dx + i, row_get(dy + i, n_) * slope, n_);
    }
}

INLINE void act_glu(enum compute_activation kind, float *h, const float *gate,
                    const float *up, size_t n)
{
    EACH(i, n)
    {
        vf slope, f = v_activate(kind, row_get(gate + i, n_), &slope);

        row_put(h + i, f * row_get(up + i, n_), n_);
    }
}

INLINE void act_glu_grad(enum compute_activation kind, float *dgate, float *dup,
                         const float *dh, const float *gate, const float *up,
                         size_t n)
{
    EACH(i, n)
    {
        vf slope, u = row_get(up + i, n_), d = row_get(dh + i, n_);
        vf f = v_activate(kind, row_get(gate + i, n_), &slope);

        row_put(dup + i, d * f, n_);
        row_put(dgate + i, d * u * slope, n_);
    }
}

#define ACT_EACH(call)                                                         \
    switch (kind) {                                                            \
    case COMPUTE_IDENTITY: call(COMPUTE_IDENTITY); break;                      \
    case COMPUTE_SIGMOID: call(COMPUTE_SIGMOID); break;                        \
    case COMPUTE_SILU: call(COMPUTE_SILU); break;                              \
    case COMPUTE_GELU_TANH: call(COMPUTE_GELU_TANH); break;                    \
    case COMPUTE_RELU2: call(COMPUTE_RELU2); break;                            \
    case COMPUTE_GELU: call(COMPUTE_GELU); break;                              \
    }

static void row_activate(enum compute_activation kind, float *y, const float *x,
                         size_t n)
{
#define CALL(k) act_run(k, y, x, n)
    ACT_EACH(CALL)
#undef CALL
}

static void row_activate_grad(enum compute_activation kind, float *dx,
                              const float *dy, const float *x, size_t n)
{
#define CALL(k) act_run_grad(k, dx, dy, x, n)
    ACT_EACH(CALL)
#undef CALL
}

static void row_glu(enum compute_activation kind, float *h, const float *gate,
                    const float *up, size_t n)
{
#define CALL(k) act_glu(k, h, gate, up, n)
    ACT_EACH(CALL)
#undef CALL
}

static void row_glu_grad(enum compute_activation kind, float *dgate, float *dup,
                         const float *dh, const float *gate, const float *up,
                         size_t n)
{
#define CALL(k) act_glu_grad(k, dgate, dup, dh, gate, up, n)
    ACT_EACH(CALL)
#undef CALL
}

static void row_softcap(float *y, const float *x, float scale, float cap,
                        size_t n)
{
    float rate = scale / cap;

    EACH(i, n)
    {
        row_put(y + i, v_tanh(row_get(x + i, n_) * rate) * cap, n_);
    }
}

static void row_softcap_grad(float *dx, const float *y, float cap, size_t n)
{
    float rate = 1 / cap;

    EACH(i, n)
    {
        vf t = row_get(y + i, n_) * rate;

        row_put(dx + i, row_get(dx + i, n_) * (1.0f - t * t), n_);
    }
}

/* Mean first, then the deviations: no cancellation. */
static void row_layernorm(float *y, const float *x, const float *w,
                          const float *b, size_t n, float eps, float stat[2])
{
    vf sum = { 0 }, squares = { 0 }, mean, rstd;

    EACH(i, n)
    {
        sum += row_get(x + i, n_);
    }
    stat[0] = v_sum(sum) / (float)n;
    mean = v_set(stat[0]);
    for (size_t i = 0; i + VW <= n; i += VW) {
        vf d = v_load(x + i) - mean;

        squares = v_fma(d, d, squares);
    }
    stat[1] = v_sum(squares);
    for (size_t i = n / VW * VW; i < n; i++)
        stat[1] += (x[i] - stat[0]) * (x[i] - stat[0]);
    stat[1] = 1 / sqrtf(stat[1] / (float)n + eps);
    rstd = v_set(stat[1]);
    EACH(i, n)
    {
        vf d = (row_get(x + i, n_) - mean) * rstd;

        row_put(y + i, v_fma(d, row_get(w + i, n_), row_get(b + i, n_)), n_);
    }
}

/* dx += rstd (g - mean(g) - xhat mean(g xhat)), g = dy w */
static void row_layernorm_grad(float *dx, float *dw, float *db, const float *dy,
                               const float *x, const float *w,
                               const float stat[2], size_t n)
{
    vf sum = { 0 }, dot = { 0 }, mean = v_set(stat[0]), rstd = v_set(stat[1]);

    EACH(i, n)
    {
        vf g = row_get(dy + i, n_) * row_get(w + i, n_);

        sum += g;
        dot = v_fma(g, (row_get(x + i, n_) - mean) * rstd, dot);
    }
    sum = v_set(v_sum(sum) / (float)n);
    dot = v_set(v_sum(dot) / (float)n);
    EACH(i, n)
    {
        vf d = row_get(dy + i, n_), hat = (row_get(x + i, n_) - mean) * rstd;
        vf g = (d * row_get(w + i, n_) - sum - hat * dot) * rstd;

        row_put(dx + i, row_get(dx + i, n_) + g, n_);
        if (dw) {
            row_put(dw + i, v_fma(d, hat, row_get(dw + i, n_)), n_);
            row_put(db + i, row_get(db + i, n_) + d, n_);
        }
    }
}

#endif

/*
 * kernels_state.h - private: convolutions and recurrences, one row at a time
 *
 * A state [width, dim] is kept so that vectors run along what goes on alone:
 * its columns need each other's values nowhere, and sums over a column stay in
 * registers.
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

/* Columns p.. of a state, as nv vectors (a constant to the compiler) of n_
 * columns each; then the rest one by one. */
#define STATE_VECTORS 4
#define STATE_BLOCKS(dim, call)                                                \
    do {                                                                       \
        size_t p_ = 0, wide_ = STATE_VECTORS * VW;                             \
                                                                               \
        for (; p_ + wide_ <= (dim); p_ += wide_)                               \
            call(p_, STATE_VECTORS, VW);                                       \
        for (; p_ < (dim); p_ += VW)                                           \
            call(p_, 1, (dim)-p_ < VW ? (dim)-p_ : VW);                        \
    } while (0)

INLINE void scan_block(float *s, const float *from, float decay,
                       const float *add, const float *b, const float *c,
                       float *y, size_t width, size_t dim, size_t p,
                       const size_t nv, size_t n_)
{
    vf x[STATE_VECTORS], sum[STATE_VECTORS];

    UNROLL for (size_t v = 0; v < nv; v++)
    {
        x[v] = row_get(add + p + v * VW, n_);
        sum[v] = v_set(0);
    }
    for (size_t k = 0; k < width; k++) {
        vf bk = v_set(b[k]), ck = v_set(c[k]);

        UNROLL for (size_t v = 0; v < nv; v++)
        {
            size_t at = k * dim + p + v * VW;
            vf t = v_fma(bk, x[v], row_get(from + at, n_) * decay);

            row_put(s + at, t, n_);
            sum[v] = v_fma(ck, t, sum[v]);
        }
    }
    UNROLL for (size_t v = 0; v < nv; v++) row_put(y + p + v * VW, sum[v], n_);
}

static void state_scan(float *s, const float *from, float decay,
                       const float *add, const float *b, const float *c,
                       float *y, size_t width, size_t dim)
{
#define CALL(p, nv, n)                                                         \
    scan_block(s, from, decay, add, b, c, y, width, dim, p, nv, n)
    STATE_BLOCKS(dim, CALL);
#undef CALL
}

INLINE void scan_grad_block(const struct cpu_scan_step *x, size_t p,
                            const size_t nv, size_t n_)
{
    vf add[STATE_VECTORS], dy[STATE_VECTORS], dadd[STATE_VECTORS];
    vf ddecay = { 0 };

    UNROLL for (size_t v = 0; v < nv; v++)
    {
        add[v] = row_get(x->add + p + v * VW, n_);
        dy[v] = row_get(x->dy + p + v * VW, n_);
        dadd[v] = v_set(0);
    }
    for (size_t k = 0; k < x->width; k++) {
        vf bk = v_set(x->b[k]), ck = v_set(x->c[k]), db = { 0 }, dc = { 0 };

        UNROLL for (size_t v = 0; v < nv; v++)
        {
            size_t at = k * x->dim + p + v * VW;
            vf g = v_fma(ck, dy[v], row_get(x->ds + at, n_));

            dc = v_fma(dy[v], row_get(x->after + at, n_), dc);
            db = v_fma(add[v], g, db);
            dadd[v] = v_fma(bk, g, dadd[v]);
            ddecay = v_fma(g, row_get(x->before + at, n_), ddecay);
            row_put(x->ds + at, g * x->decay, n_);
        }
        x->db[k] += v_sum(db);
        x->dc[k] += v_sum(dc);
    }
    UNROLL for (size_t v = 0; v < nv; v++)
        row_put(x->dadd + p + v * VW, dadd[v], n_);
    *x->ddecay += v_sum(ddecay);
}

static void state_scan_grad(const struct cpu_scan_step *x)
{
#define CALL(p, nv, n) scan_grad_block(x, p, nv, n)
    STATE_BLOCKS(x->dim, CALL);
#undef CALL
}

INLINE void delta_block(float *s, const float *from, float decay, float beta,
                        const float *value, const float *key, const float *q,
                        float *o, size_t width, size_t dim, size_t p,
                        const size_t nv, size_t n_)
{
    vf change[STATE_VECTORS], sum[STATE_VECTORS];

    UNROLL for (size_t v = 0; v < nv; v++) change[v] = sum[v] = v_set(0);
    for (size_t k = 0; k < width; k++) {
        vf kk = v_set(key[k]);

        UNROLL for (size_t v = 0; v < nv; v++) change[v] = v_fma(
            kk, row_get(from + k * dim + p + v * VW, n_) * decay, change[v]);
    }
    UNROLL for (size_t v = 0; v < nv; v++) change[v] =
        (row_get(value + p + v * VW, n_) - change[v]) * beta;
    for (size_t k = 0; k < width; k++) {
        vf kk = v_set(key[k]), qk = v_set(q[k]);

        UNROLL for (size_t v = 0; v < nv; v++)
        {
            size_t at = k * dim + p + v * VW;
            vf t = v_fma(kk, change[v], row_get(from + at, n_) * decay);

            row_put(s + at, t, n_);
            sum[v] = v_fma(qk, t, sum[v]);
        }
    }
    UNROLL for (size_t v = 0; v < nv; v++) row_put(o + p + v * VW, sum[v], n_);
}

static void state_delta(float *s, const float *from, float decay, float beta,
                        const float *value, const float *key, const float *q,
                        float *o, size_t width, size_t dim)
{
#define CALL(p, nv, n)                                                         \
    delta_block(s, from, decay, beta, value, key, q, o, width, dim, p, nv, n)
    STATE_BLOCKS(dim, CALL);
#undef CALL
}

/* With g the state's gradient after the step, S' the decayed state before it:
 * the change u = beta (v - S'k) has gradient g.k, which reaches S' and k. */
INLINE void delta_grad_block(const struct cpu_delta_step *x, size_t p,
                             const size_t nv, size_t n_)
{
    vf miss[STATE_VECTORS], slope[STATE_VECTORS], d_o[STATE_VECTORS];
    vf dbeta = { 0 }, ddecay = { 0 };

    UNROLL for (size_t v = 0; v < nv; v++)
    {
        miss[v] = slope[v] = v_set(0);
        d_o[v] = row_get(x->d_o + p + v * VW, n_);
    }
    for (size_t k = 0; k < x->width; k++) {
        vf kk = v_set(x->k[k]), qk = v_set(x->q[k]);

        UNROLL for (size_t v = 0; v < nv; v++)
        {
            size_t at = k * x->dim + p + v * VW;
            vf g = v_fma(qk, d_o[v], row_get(x->ds + at, n_));

            row_put(x->ds + at, g, n_);
            slope[v] = v_fma(kk, g, slope[v]);
            miss[v] =
                v_fma(kk, row_get(x->before + at, n_) * x->decay, miss[v]);
        }
    }
    UNROLL for (size_t v = 0; v < nv; v++)
    {
        miss[v] = row_get(x->v + p + v * VW, n_) - miss[v];
        dbeta = v_fma(slope[v], miss[v], dbeta);
        slope[v] = slope[v] * x->beta;
        row_put(x->dv + p + v * VW, slope[v], n_);
        miss[v] = miss[v] * x->beta;
    }
    for (size_t k = 0; k < x->width; k++) {
        vf kk = v_set(x->k[k]), dq = { 0 }, dk = { 0 };

        UNROLL for (size_t v = 0; v < nv; v++)
        {
            size_t at = k * x->dim + p + v * VW;
            vf g = row_get(x->ds + at, n_),
               before = row_get(x->before + at, n_);
            vf h = g - kk * slope[v];

            dq = v_fma(d_o[v], row_get(x->after + at, n_), dq);
            dk += g * miss[v] - before * x->decay * slope[v];
            ddecay = v_fma(h, before, ddecay);
            row_put(x->ds + at, h * x->decay, n_);
        }
        x->dq[k] += v_sum(dq);
        x->dk[k] += v_sum(dk);
    }
    *x->dbeta += v_sum(dbeta);
    *x->ddecay += v_sum(ddecay);
}

static void state_delta_grad(const struct cpu_delta_step *x)
{
#define CALL(p, nv, n) delta_grad_block(x, p, nv, n)
    STATE_BLOCKS(x->dim, CALL);
#undef CALL
}

#endif

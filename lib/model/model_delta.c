/*
 * model_delta.c - the gated delta net of Qwen3.5
 */
#include "model/model_mixer.h"

#define UNIT_EPS 1e-6f /* under the root of |q|^2 and |k|^2 */

struct delta {
    struct model_mixer base;
    struct model_linear qkv, z, b, a, out;
    struct compute_span kernel, a_log, dt_bias, norm;
    struct compute_span dkernel, da_log, ddt_bias, dnorm;
    size_t key_heads, value_heads, key_dim, value_dim, taps;
    size_t keys, values, mixed; /* columns: of k; of v; of q, k, v */
    /* Kept: what the projections gave, q, k, v after the convolution, the
     * rule's result and its states. */
    struct compute_span raw, qkvs, zs, bs, as, os, states;
    struct compute_span normed;
    struct compute_span draw, dqkvs, dz, d_o, da, db;
};

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct delta *d = (struct delta *)x;
    size_t chunks = p->rows / COMPUTE_CHUNK + p->docs;
    size_t mixed = p->rows * d->mixed, values = p->rows * d->values;
    size_t heads = p->rows * d->value_heads;

    model_want(p, &d->raw, MODEL_KEPT, COMPUTE_ACT, mixed);
    model_want(p, &d->qkvs, MODEL_KEPT, COMPUTE_ACT, mixed);
    model_want(p, &d->zs, MODEL_KEPT, COMPUTE_ACT, values);
    model_want(p, &d->os, MODEL_KEPT, COMPUTE_ACT, values);
    model_want(p, &d->as, MODEL_KEPT, COMPUTE_F32, heads);
    model_want(p, &d->bs, MODEL_KEPT, COMPUTE_F32, heads);
    if (p->saved)
        model_want(p, &d->states, MODEL_KEPT, COMPUTE_F32,
                   chunks * d->values * d->key_dim);
    model_want(p, &d->normed, MODEL_SCRATCH, COMPUTE_ACT, values);
    model_want(p, &d->draw, MODEL_BACKWARD, COMPUTE_ACT, mixed);
    model_want(p, &d->dqkvs, MODEL_BACKWARD, COMPUTE_ACT, mixed);
    model_want(p, &d->dz, MODEL_BACKWARD, COMPUTE_ACT, values);
    model_want(p, &d->d_o, MODEL_BACKWARD, COMPUTE_ACT, values);
    model_want(p, &d->da, MODEL_BACKWARD, COMPUTE_F32, heads);
    model_want(p, &d->db, MODEL_BACKWARD, COMPUTE_F32, heads);
}

static struct compute_conv convolution(const struct delta *d,
                                       const struct model_pass *p)
{
    return (struct compute_conv){ .s = model_mixer_rows(&d->base, p, 0),
                                  .y = d->qkvs,
                                  .x = d->raw,
                                  .w = d->kernel,
                                  .x_stride = d->mixed,
                                  .channels = d->mixed,
                                  .taps = d->taps,
                                  .kind = COMPUTE_SILU };
}

static struct compute_delta rule(const struct delta *d,
                                 const struct model_pass *p)
{
    return (struct compute_delta){ .s = model_mixer_rows(&d->base, p, 1),
                                   .o = d->os,
                                   .q = d->qkvs,
                                   .k = compute_at(d->qkvs, d->keys),
                                   .v = compute_at(d->qkvs, 2 * d->keys),
                                   .a = d->as,
                                   .b = d->bs,
                                   .a_log = d->a_log,
                                   .dt_bias = d->dt_bias,
                                   .stride = d->mixed,
                                   .key_heads = d->key_heads,
                                   .value_heads = d->value_heads,
                                   .key_dim = d->key_dim,
                                   .value_dim = d->value_dim,
                                   .eps = UNIT_EPS,
                                   .kept = d->states };
}

static struct compute_gated_norm gate(const struct delta *d,
                                      const struct model_pass *p)
{
    return (struct compute_gated_norm){ .y = d->normed,
                                        .x = d->os,
                                        .gate = d->zs,
                                        .w = d->norm,
                                        .rows = p->rows,
                                        .dim = d->values,
                                        .group = d->value_dim,
                                        .w_dim = d->value_dim,
                                        .gate_stride = d->values,
                                        .eps = (float)p->m->config.norm_eps };
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct delta *d = (struct delta *)x;
    struct compute *c = p->m->compute;
    struct compute_conv conv = convolution(d, p);
    struct compute_delta r = rule(d, p);
    struct compute_gated_norm g = gate(d, p);
    struct compute_span none = { 0 };

    model_linear_run(p->m, &d->qkv, d->raw, in, p->rows, none);
    model_linear_run(p->m, &d->z, d->zs, in, p->rows, none);
    model_linear_run(p->m, &d->b, d->bs, in, p->rows, none);
    model_linear_run(p->m, &d->a, d->as, in, p->rows, none);
    c->ops->conv(c, &conv);
    c->ops->delta(c, &r);
    c->ops->gated_norm(c, &g);
    model_linear_run(p->m, &d->out, y, d->normed, p->rows, addend);
}

static void grad_inner(const struct delta *d, const struct model_pass *p)
{
    struct compute *c = p->m->compute;
    struct compute_gated_norm_grad g = { .fwd = gate(d, p),
                                         .dy = d->d_o,
                                         .dx = d->d_o,
                                         .dgate = d->dz,
                                         .dw = d->dnorm };
    struct compute_delta_grad r = { .fwd = rule(d, p),
                                    .d_o = d->d_o,
                                    .dq = d->dqkvs,
                                    .dk = compute_at(d->dqkvs, d->keys),
                                    .dv = compute_at(d->dqkvs, 2 * d->keys),
                                    .da = d->da,
                                    .db = d->db,
                                    .da_log = d->da_log,
                                    .ddt_bias = d->ddt_bias };
    struct compute_conv_grad conv = { .fwd = convolution(d, p),
                                      .dy = d->dqkvs,
                                      .dx = d->draw,
                                      .dw = d->dkernel };

    c->ops->gated_norm_grad(c, &g);
    c->ops->delta_grad(c, &r);
    c->ops->conv_grad(c, &conv);
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct delta *d = (struct delta *)x;
    struct compute_gated_norm g = gate(d, p);
    struct compute_span none = { 0 };

    p->m->compute->ops->gated_norm(p->m->compute, &g);
    model_linear_grad(p->m, &d->out, d->d_o, dy, d->normed, p->rows, none);
    grad_inner(d, p);
    model_linear_grad(p->m, &d->qkv, dx, d->draw, in, p->rows, addend);
    model_linear_grad(p->m, &d->z, dx, d->dz, in, p->rows, dx);
    model_linear_grad(p->m, &d->b, dx, d->db, in, p->rows, dx);
    model_linear_grad(p->m, &d->a, dx, d->da, in, p->rows, dx);
}

static void states(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES])
{
    const struct delta *d = (const struct delta *)x;

    elements[0] = c->slot_count * (d->taps - 1) * d->mixed;
    elements[1] = c->slot_count * d->values * d->key_dim;
}

static const struct model_mixer_ops ops = { .name = "delta",
                                            .want = want,
                                            .forward = forward,
                                            .grad = grad,
                                            .states = states };

/* A new model's states fade by about a tenth a row. */
#define NEW_DT_BIAS -2.0f

static void add_weights(struct delta *d, int64_t hidden)
{
    struct model_mixer *x = &d->base;
    int64_t heads = (int64_t)d->value_heads, mixed = (int64_t)d->mixed;
    int64_t values = (int64_t)d->values;

    model_mixer_weight(x, &d->a_log, &d->da_log, "A_log", heads, 0);
    model_mixer_fill(x, 0);
    model_mixer_weight(x, &d->dt_bias, &d->ddt_bias, "dt_bias", heads, 0);
    model_mixer_fill(x, NEW_DT_BIAS);
    model_mixer_kernel(x, &d->kernel, &d->dkernel, "conv1d.weight", mixed,
                       (int64_t)d->taps);
    model_mixer_weight(x, &d->norm, &d->dnorm, "norm.weight",
                       (int64_t)d->value_dim, 0);
    model_mixer_linear(x, &d->qkv, "in_proj_qkv", mixed, hidden, false);
    model_mixer_linear(x, &d->z, "in_proj_z", values, hidden, false);
    model_mixer_linear(x, &d->b, "in_proj_b", heads, hidden, false);
    model_mixer_linear(x, &d->a, "in_proj_a", heads, hidden, false);
    model_mixer_linear(x, &d->out, "out_proj", hidden, values, false);
}

struct model_mixer *model_delta_new(struct model *m, size_t layer,
                                    const char *module)
{
    const struct model_delta_config *c = &m->config.delta;
    struct delta *d = model_mixer_new(m, &ops, sizeof(*d), layer, module);

    d->key_heads = (size_t)c->key_heads;
    d->value_heads = (size_t)c->value_heads;
    d->key_dim = (size_t)c->key_dim;
    d->value_dim = (size_t)c->value_dim;
    d->taps = (size_t)c->conv;
    d->keys = d->key_heads * d->key_dim;
    d->values = d->value_heads * d->value_dim;
    d->mixed = 2 * d->keys + d->values;
    add_weights(d, m->config.hidden);
    return &d->base;
}

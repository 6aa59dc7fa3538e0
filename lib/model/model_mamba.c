/*
 * model_mamba.c - the Mamba-2 mixer
 *
 * One projection gives gate z, x, B, C and the time steps side by side; they
 * stay there, and the operations read and write columns of it. Multipliers of
 * the projections are applied to what goes in or comes out of them, which is
 * the same where they have no bias.
 */
#include "model/model_mixer.h"

struct mamba {
    struct model_mixer base;
    struct model_linear in, out;
    struct compute_span kernel, bias, a_log, d, dt_bias, norm;
    struct compute_span dkernel, dbias, da_log, dd, ddt_bias, dnorm;
    size_t heads, dim, groups, width, taps;
    size_t inner, mixed, all; /* columns: of z; of x, B, C; of everything */
    /* Kept: the projection, x, B, C after the convolution, the scan's result
     * and its states. */
    struct compute_span proj, xbc, ys, states;
    struct compute_span normed;
    struct compute_span dproj, dxbc, dnormed;
};

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct mamba *a = (struct mamba *)x;
    size_t chunks = p->rows / COMPUTE_CHUNK + p->docs;

    model_want(p, &a->proj, MODEL_KEPT, COMPUTE_ACT, p->rows * a->all);
    model_want(p, &a->xbc, MODEL_KEPT, COMPUTE_ACT, p->rows * a->mixed);
    model_want(p, &a->ys, MODEL_KEPT, COMPUTE_ACT, p->rows * a->inner);
    if (p->saved)
        model_want(p, &a->states, MODEL_KEPT, COMPUTE_F32,
                   chunks * a->inner * a->width);
    model_want(p, &a->normed, MODEL_SCRATCH, COMPUTE_ACT, p->rows * a->inner);
    model_want(p, &a->dproj, MODEL_BACKWARD, COMPUTE_ACT, p->rows * a->all);
    model_want(p, &a->dxbc, MODEL_BACKWARD, COMPUTE_ACT, p->rows * a->mixed);
    model_want(p, &a->dnormed, MODEL_BACKWARD, COMPUTE_ACT, p->rows * a->inner);
}

static struct compute_conv convolution(const struct mamba *a,
                                       const struct model_pass *p)
{
    return (struct compute_conv){ .s = model_mixer_rows(&a->base, p, 0),
                                  .y = a->xbc,
                                  .x = compute_at(a->proj, a->inner),
                                  .w = a->kernel,
                                  .bias = a->bias,
                                  .x_stride = a->all,
                                  .channels = a->mixed,
                                  .taps = a->taps,
                                  .kind = COMPUTE_SILU };
}

static struct compute_scan scan(const struct mamba *a,
                                const struct model_pass *p)
{
    const struct model_mamba_config *c = &a->base.m->config.mamba;

    return (struct compute_scan){
        .s = model_mixer_rows(&a->base, p, 1),
        .y = a->ys,
        .x = a->xbc,
        .b = compute_at(a->xbc, a->inner),
        .c = compute_at(a->xbc, a->inner + a->groups * a->width),
        .dt = compute_at(a->proj, a->inner + a->mixed),
        .a_log = a->a_log,
        .dt_bias = a->dt_bias,
        .d = a->d,
        .stride = a->mixed,
        .dt_stride = a->all,
        .heads = a->heads,
        .groups = a->groups,
        .dim = a->dim,
        .width = a->width,
        .dt_min = (float)c->dt_min,
        .dt_max = (float)c->dt_max,
        .kept = a->states,
    };
}

static struct compute_gated_norm gate(const struct mamba *a,
                                      const struct model_pass *p)
{
    const struct model_config *c = &a->base.m->config;

    return (struct compute_gated_norm){
        .y = a->normed,
        .x = a->ys,
        .gate = a->proj,
        .w = a->norm,
        .rows = p->rows,
        .dim = a->inner,
        .group = c->mamba.norm ? a->inner / a->groups : 0,
        .w_dim = a->inner,
        .gate_stride = a->all,
        .eps = (float)c->norm_eps,
        .gate_first = !c->mamba.norm_first,
    };
}

/* Multiplies the columns of z, x, B, C and dt, or of their gradients. */
static void scale_parts(const struct mamba *a, struct compute_span proj,
                        size_t rows)
{
    const struct model_mamba_config *c = &a->base.m->config.mamba;
    struct compute *compute = a->base.m->compute;
    size_t n[] = { a->inner, a->inner, a->groups * a->width,
                   a->groups * a->width, a->heads };

    for (size_t i = 0, at = 0; i < sizeof(n) / sizeof(n[0]); at += n[i++]) {
        double by = (c->scales[i] > 0 ? c->scales[i] : 1) *
                    (c->in_scale > 0 ? c->in_scale : 1);

        if (by < 1 || by > 1)
            compute->ops->scale_columns(compute, compute_at(proj, at), a->all,
                                        rows, n[i], (float)by);
    }
}

/* What the output projection reads, into normed. */
static void finish(const struct mamba *a, const struct model_pass *p)
{
    struct compute_gated_norm g = gate(a, p);

    p->m->compute->ops->gated_norm(p->m->compute, &g);
    model_scale(p->m, a->normed, p->m->config.mamba.out_scale,
                p->rows * a->inner);
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct mamba *a = (struct mamba *)x;
    struct compute *c = p->m->compute;
    struct compute_conv conv = convolution(a, p);
    struct compute_scan s = scan(a, p);
    struct compute_span none = { 0 };

    model_linear_run(p->m, &a->in, a->proj, in, p->rows, none);
    scale_parts(a, a->proj, p->rows);
    c->ops->conv(c, &conv);
    c->ops->scan(c, &s);
    finish(a, p);
    model_linear_run(p->m, &a->out, y, a->normed, p->rows, addend);
}

static void grad_inner(const struct mamba *a, const struct model_pass *p)
{
    struct compute *c = p->m->compute;
    struct compute_span dxbc = a->dxbc;
    struct compute_gated_norm_grad gated = { .fwd = gate(a, p),
                                             .dy = a->dnormed,
                                             .dx = a->dnormed,
                                             .dgate = a->dproj,
                                             .dw = a->dnorm };
    struct compute_scan_grad s = {
        .fwd = scan(a, p),
        .dy = a->dnormed,
        .dx = dxbc,
        .db = compute_at(dxbc, a->inner),
        .dc = compute_at(dxbc, a->inner + a->groups * a->width),
        .ddt = compute_at(a->dproj, a->inner + a->mixed),
        .da_log = a->da_log,
        .ddt_bias = a->ddt_bias,
        .dd = a->dd,
    };
    struct compute_conv_grad conv = { .fwd = convolution(a, p),
                                      .dy = dxbc,
                                      .dx = compute_at(a->dproj, a->inner),
                                      .dw = a->dkernel,
                                      .dbias = a->dbias };

    c->ops->gated_norm_grad(c, &gated);
    c->ops->scan_grad(c, &s);
    c->ops->conv_grad(c, &conv);
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct mamba *a = (struct mamba *)x;
    struct compute_span none = { 0 };

    finish(a, p);
    model_linear_grad(p->m, &a->out, a->dnormed, dy, a->normed, p->rows, none);
    model_scale(p->m, a->dnormed, p->m->config.mamba.out_scale,
                p->rows * a->inner);
    grad_inner(a, p);
    scale_parts(a, a->dproj, p->rows);
    model_linear_grad(p->m, &a->in, dx, a->dproj, in, p->rows, addend);
}

static void states(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES])
{
    const struct mamba *a = (const struct mamba *)x;

    elements[0] = c->slot_count * (a->taps - 1) * a->mixed;
    elements[1] = c->slot_count * a->inner * a->width;
}

static const struct model_mixer_ops ops = { .name = "mamba",
                                            .want = want,
                                            .forward = forward,
                                            .grad = grad,
                                            .states = states };

/* A new model's states fade by about a tenth a row. */
#define NEW_DT_BIAS -2.0f

static void add_weights(struct mamba *a, const struct model_config *c)
{
    struct model_mixer *x = &a->base;
    int64_t heads = (int64_t)a->heads, mixed = (int64_t)a->mixed;

    model_mixer_weight(x, &a->a_log, &a->da_log, "A_log", heads, 0);
    model_mixer_fill(x, 0);
    model_mixer_weight(x, &a->d, &a->dd, "D", heads, 0);
    if (c->mamba.conv_bias)
        model_mixer_weight(x, &a->bias, &a->dbias, "conv1d.bias", mixed, 0);
    model_mixer_kernel(x, &a->kernel, &a->dkernel, "conv1d.weight", mixed,
                       c->mamba.conv);
    model_mixer_weight(x, &a->dt_bias, &a->ddt_bias, "dt_bias", heads, 0);
    model_mixer_fill(x, NEW_DT_BIAS);
    model_mixer_linear(x, &a->in, "in_proj", (int64_t)a->all, c->hidden,
                       c->mamba.proj_bias);
    if (c->mamba.norm)
        model_mixer_weight(x, &a->norm, &a->dnorm, "norm.weight",
                           (int64_t)a->inner, 0);
    model_mixer_linear(x, &a->out, "out_proj", c->hidden, (int64_t)a->inner,
                       c->mamba.out_bias);
    a->out.fixed = true;
}

struct model_mixer *model_mamba_new(struct model *m, size_t layer,
                                    const char *module)
{
    const struct model_mamba_config *c = &m->config.mamba;
    struct mamba *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);

    a->heads = (size_t)c->heads;
    a->dim = (size_t)c->head_dim;
    a->groups = (size_t)c->groups;
    a->width = (size_t)c->state;
    a->taps = (size_t)c->conv;
    a->inner = a->heads * a->dim;
    a->mixed = a->inner + 2 * a->groups * a->width;
    a->all = a->inner + a->mixed + a->heads;
    add_weights(a, &m->config);
    return &a->base;
}

/*
 * model_mlp.c - the MLP mixer
 *
 * What the down projection reads is not kept: the backward pass computes it
 * again from what it is made of.
 */
#include "model/model_mixer.h"

struct mlp {
    struct model_mixer base;
    struct model_linear gate, up, down;
    size_t ffn;
    struct compute_span gates, ups; /* kept */
    struct compute_span hidden, dhidden;
};

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct mlp *a = (struct mlp *)x;
    size_t n = p->rows * a->ffn;

    model_want(p, &a->gates, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->ups, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->hidden, MODEL_SCRATCH, COMPUTE_ACT, n);
    model_want(p, &a->dhidden, MODEL_BACKWARD, COMPUTE_ACT, n);
}

static void activate(const struct mlp *a, size_t rows)
{
    struct compute *c = a->base.m->compute;

    c->ops->swiglu(c, a->hidden, a->gates, a->ups, rows * a->ffn);
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct mlp *a = (struct mlp *)x;
    struct compute_span none = { 0 };

    model_linear_run(p->m, &a->gate, a->gates, in, p->rows, none);
    model_linear_run(p->m, &a->up, a->ups, in, p->rows, none);
    activate(a, p->rows);
    model_linear_run(p->m, &a->down, y, a->hidden, p->rows, addend);
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct mlp *a = (struct mlp *)x;
    struct compute *c = p->m->compute;
    struct compute_span none = { 0 };

    activate(a, p->rows);
    model_linear_grad(p->m, &a->down, a->dhidden, dy, a->hidden, p->rows, none);
    c->ops->swiglu_grad(c, a->gates, a->ups, a->dhidden, a->gates, a->ups,
                        p->rows * a->ffn);
    model_linear_grad(p->m, &a->gate, dx, a->gates, in, p->rows, addend);
    model_linear_grad(p->m, &a->up, dx, a->ups, in, p->rows, dx);
}

static const struct model_mixer_ops ops = {
    .name = "mlp", .want = want, .forward = forward, .grad = grad
};

struct model_mixer *model_mlp_new(struct model *m, size_t layer,
                                  const char *module)
{
    const struct model_config *c = &m->config;
    struct mlp *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);

    a->ffn = (size_t)c->ffn;
    model_mixer_linear(&a->base, &a->gate, "gate_proj", c->ffn, c->hidden,
                       c->mlp_bias);
    model_mixer_linear(&a->base, &a->up, "up_proj", c->ffn, c->hidden,
                       c->mlp_bias);
    model_mixer_linear(&a->base, &a->down, "down_proj", c->hidden, c->ffn,
                       c->mlp_bias);
    return &a->base;
}

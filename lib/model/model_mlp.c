/*
 * model_mlp.c - the MLP mixer
 *
 * What the down projection reads is not kept: the backward pass computes it
 * again from what it is made of. Where there is none, nor is a gate.
 */
#include "model/model_family.h"

struct mlp {
    struct model_mixer base;
    struct model_linear gate, up, down; /* up: gate and up if fused */
    size_t ffn;
    bool fused, gated;
    enum compute_activation act;
    struct compute_span gates, ups; /* kept */
    struct compute_span hidden, wide, dhidden;
};

static bool is_factor(double x)
{
    return x > 0 && (x < 1 || x > 1);
}

/* Whether what the projections give goes into the activation as it is, so that
 * a device may do that in the same pass. */
static bool is_swiglu(const struct mlp *a)
{
    const struct model_config *c = &a->base.m->config;

    return a->gated && !a->fused && a->act == COMPUTE_SILU &&
           !is_factor(c->gate_scale) && !is_factor(c->up_scale);
}

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct mlp *a = (struct mlp *)x;
    size_t n = p->rows * a->ffn;

    if (a->fused)
        model_want(p, &a->wide, MODEL_SCRATCH, COMPUTE_ACT, 2 * n);
    if (a->gated && (p->saved || !is_swiglu(a)))
        model_want(p, &a->gates, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->ups, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->hidden, MODEL_SCRATCH, COMPUTE_ACT, n);
    model_want(p, &a->dhidden, MODEL_BACKWARD, COMPUTE_ACT, n);
}

static void activate(const struct mlp *a, size_t rows)
{
    struct compute *c = a->base.m->compute;
    size_t n = rows * a->ffn;

    if (!a->gated)
        c->ops->activate(c, a->act, a->hidden, a->ups, n);
    else if (a->act == COMPUTE_SILU)
        c->ops->swiglu(c, a->hidden, a->gates, a->ups, n);
    else
        c->ops->glu(c, a->act, a->hidden, a->gates, a->ups, n);
}

/* dhidden to the gradients of gates and ups, in their place. */
static void activate_grad(const struct mlp *a, size_t rows)
{
    struct compute *c = a->base.m->compute;
    size_t n = rows * a->ffn;

    if (!a->gated)
        c->ops->activate_grad(c, a->act, a->ups, a->dhidden, a->ups, n);
    else if (a->act == COMPUTE_SILU)
        c->ops->swiglu_grad(c, a->gates, a->ups, a->dhidden, a->gates, a->ups,
                            n);
    else
        c->ops->glu_grad(c, a->act, a->gates, a->ups, a->dhidden, a->gates,
                         a->ups, n);
}

/* What the projections gave, or their gradients. */
static void scale_all(const struct mlp *a, size_t rows)
{
    struct model *m = a->base.m;

    if (a->gated)
        model_scale(m, a->gates, m->config.gate_scale, rows * a->ffn);
    model_scale(m, a->ups, m->config.up_scale, rows * a->ffn);
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct mlp *a = (struct mlp *)x;
    struct compute *c = p->m->compute;
    const struct model_linear *const linears[] = { &a->up, &a->gate };
    bool joined = is_swiglu(a);
    const struct compute_span ys[] = {
        a->fused ? a->wide : a->ups,
        joined && !p->m->work.saved ? a->hidden : a->gates,
    };

    if (joined) {
        model_linears_swiglu(p->m, linears, ys, a->hidden, in, p->rows);
        model_linear_run(p->m, &a->down, y, a->hidden, p->rows, addend);
        return;
    }
    model_linears_run(p->m, linears, ys, a->gated && !a->fused ? 2 : 1, in,
                      p->rows);
    if (a->fused) {
        c->ops->copy_columns(c, a->gates, a->ffn, a->wide, 2 * a->ffn, p->rows,
                             a->ffn);
        c->ops->copy_columns(c, a->ups, a->ffn, compute_at(a->wide, a->ffn),
                             2 * a->ffn, p->rows, a->ffn);
    }
    scale_all(a, p->rows);
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
    activate_grad(a, p->rows);
    scale_all(a, p->rows);
    if (a->fused) {
        c->ops->copy_columns(c, a->wide, 2 * a->ffn, a->gates, a->ffn, p->rows,
                             a->ffn);
        c->ops->copy_columns(c, compute_at(a->wide, a->ffn), 2 * a->ffn, a->ups,
                             a->ffn, p->rows, a->ffn);
    } else if (a->gated) {
        model_linear_grad(p->m, &a->gate, dx, a->gates, in, p->rows, addend);
        addend = dx;
    }
    model_linear_grad(p->m, &a->up, dx, a->fused ? a->wide : a->ups, in,
                      p->rows, addend);
}

static const struct model_mixer_ops ops = {
    .name = "mlp", .want = want, .forward = forward, .grad = grad
};

static void add_inputs(struct mlp *a, const struct model_config *c,
                       const struct model_names *n)
{
    if (a->fused) {
        model_mixer_linear(&a->base, &a->up, n->gate_up, 2 * c->ffn, c->hidden,
                           c->mlp_bias);
        return;
    }
    if (a->gated)
        model_mixer_linear(&a->base, &a->gate, n->gate, c->ffn, c->hidden,
                           c->mlp_bias);
    model_mixer_linear(&a->base, &a->up, n->up, c->ffn, c->hidden, c->mlp_bias);
}

struct model_mixer *model_mlp_new(struct model *m, size_t layer,
                                  const char *module)
{
    const struct model_config *c = &m->config;
    const struct model_names *n = &m->family->names;
    struct mlp *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);

    a->ffn = (size_t)c->ffn;
    a->fused = n->gate_up != NULL;
    a->gated = n->gate || n->gate_up;
    a->act = c->act == MODEL_ACT_SILU        ? COMPUTE_SILU
             : c->act == MODEL_ACT_GELU_TANH ? COMPUTE_GELU_TANH
             : c->act == MODEL_ACT_GELU      ? COMPUTE_GELU
                                             : COMPUTE_RELU2;
    add_inputs(a, c, n);
    model_mixer_linear(&a->base, &a->down, n->down, c->hidden, c->ffn,
                       c->mlp_bias);
    return &a->base;
}

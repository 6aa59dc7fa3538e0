/*
 * model_conv.c - the gated short convolution of LFM2
 *
 * The projection gives B, C and x; out = W (C * conv(B * x)).
 */
#include "model/model_mixer.h"

struct short_conv {
    struct model_mixer base;
    struct model_linear in, out;
    struct compute_span kernel, bias, dkernel, dbias;
    size_t dim, taps;
    struct compute_span b, c, x, v; /* kept; v: what the convolution gave */
    struct compute_span wide, bx;   /* bx: B * x, then C * v */
    struct compute_span dhidden;
};

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct short_conv *a = (struct short_conv *)x;
    size_t n = p->rows * a->dim;

    model_want(p, &a->wide, MODEL_SCRATCH, COMPUTE_ACT, 3 * n);
    model_want(p, &a->b, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->c, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->x, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->v, MODEL_KEPT, COMPUTE_ACT, n);
    model_want(p, &a->bx, MODEL_SCRATCH, COMPUTE_ACT, n);
    model_want(p, &a->dhidden, MODEL_BACKWARD, COMPUTE_ACT, n);
}

static struct compute_conv convolution(const struct short_conv *a,
                                       const struct model_pass *p)
{
    return (struct compute_conv){ .s = model_mixer_rows(&a->base, p, 0),
                                  .y = a->v,
                                  .x = a->bx,
                                  .w = a->kernel,
                                  .bias = a->bias,
                                  .x_stride = a->dim,
                                  .channels = a->dim,
                                  .taps = a->taps,
                                  .kind = COMPUTE_IDENTITY };
}

static void multiply(const struct short_conv *a, struct compute_span y,
                     struct compute_span u, struct compute_span v, size_t rows)
{
    struct compute *c = a->base.m->compute;

    c->ops->glu(c, COMPUTE_IDENTITY, y, u, v, rows * a->dim);
}

/* u and v become the gradients of the factors of u * v. */
static void multiply_grad(const struct short_conv *a, struct compute_span dy,
                          struct compute_span u, struct compute_span v,
                          size_t rows)
{
    struct compute *c = a->base.m->compute;

    c->ops->glu_grad(c, COMPUTE_IDENTITY, u, v, dy, u, v, rows * a->dim);
}

static void cut(const struct short_conv *a, size_t rows, bool back)
{
    struct compute *c = a->base.m->compute;
    struct compute_span part[] = { a->b, a->c, a->x };

    for (size_t i = 0; i < 3; i++) {
        struct compute_span wide = compute_at(a->wide, i * a->dim);

        if (back)
            c->ops->copy_columns(c, wide, 3 * a->dim, part[i], a->dim, rows,
                                 a->dim);
        else
            c->ops->copy_columns(c, part[i], a->dim, wide, 3 * a->dim, rows,
                                 a->dim);
    }
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct short_conv *a = (struct short_conv *)x;
    struct compute_conv conv = convolution(a, p);
    struct compute_span none = { 0 };

    model_linear_run(p->m, &a->in, a->wide, in, p->rows, none);
    cut(a, p->rows, false);
    multiply(a, a->bx, a->b, a->x, p->rows);
    p->m->compute->ops->conv(p->m->compute, &conv);
    multiply(a, a->bx, a->c, a->v, p->rows);
    model_linear_run(p->m, &a->out, y, a->bx, p->rows, addend);
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct short_conv *a = (struct short_conv *)x;
    struct compute_conv_grad conv = { .fwd = convolution(a, p),
                                      .dy = a->v,
                                      .dx = a->dhidden,
                                      .dw = a->dkernel,
                                      .dbias = a->dbias };
    struct compute_span none = { 0 };

    multiply(a, a->bx, a->c, a->v, p->rows);
    model_linear_grad(p->m, &a->out, a->dhidden, dy, a->bx, p->rows, none);
    multiply_grad(a, a->dhidden, a->c, a->v, p->rows);
    multiply(a, a->bx, a->b, a->x, p->rows);
    p->m->compute->ops->conv_grad(p->m->compute, &conv);
    multiply_grad(a, a->dhidden, a->b, a->x, p->rows);
    cut(a, p->rows, true);
    model_linear_grad(p->m, &a->in, dx, a->wide, in, p->rows, addend);
}

static void states(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES])
{
    const struct short_conv *a = (const struct short_conv *)x;

    elements[0] = c->slot_count * (a->taps - 1) * a->dim;
}

static const struct model_mixer_ops ops = { .name = "conv",
                                            .want = want,
                                            .forward = forward,
                                            .grad = grad,
                                            .states = states };

struct model_mixer *model_conv_new(struct model *m, size_t layer,
                                   const char *module)
{
    const struct model_config *c = &m->config;
    struct short_conv *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);

    a->dim = (size_t)c->hidden;
    a->taps = (size_t)c->conv.length;
    model_mixer_kernel(&a->base, &a->kernel, &a->dkernel, "conv.weight",
                       c->hidden, c->conv.length);
    if (c->conv.bias)
        model_mixer_weight(&a->base, &a->bias, &a->dbias, "conv.bias",
                           c->hidden, 0);
    model_mixer_linear(&a->base, &a->in, "in_proj", 3 * c->hidden, c->hidden,
                       c->conv.bias);
    model_mixer_linear(&a->base, &a->out, "out_proj", c->hidden, c->hidden,
                       c->conv.bias);
    return &a->base;
}

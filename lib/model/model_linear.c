/*
 * model_linear.c - a linear layer with its adapter, forward and backward
 *
 * y = W x + b + scale B (A x). The adapter's branch goes into the same product
 * as W, as further columns.
 */
#include "model/model_private.h"

void model_linear_run(struct model *m, const struct model_linear *l,
                      struct compute_span y, struct compute_span x, size_t rows,
                      struct compute_span addend)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear run = {
        .y = y,
        .x = x,
        .w = l->w,
        .bias = l->bias,
        .addend = addend,
        .m = rows,
        .n = l->n,
        .k = l->k,
        .alpha = 1,
    };

    if (l->rank > 0) {
        ops->linear(m->compute, &(struct compute_linear){ .y = m->work.low,
                                                          .x = x,
                                                          .w = l->a,
                                                          .m = rows,
                                                          .n = l->rank,
                                                          .k = l->k,
                                                          .alpha = l->scale });
        run.x2 = m->work.low;
        run.w2 = l->b;
        run.k2 = l->rank;
    }
    ops->linear(m->compute, &run);
}

/* Gradients of an adapter's A and B from dy; leaves scale dy B in work.low. */
static void adapter_grad(struct model *m, const struct model_linear *l,
                         struct compute_span dy, struct compute_span x,
                         size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear a = { .y = m->work.low,
                                .x = x,
                                .w = l->a,
                                .m = rows,
                                .n = l->rank,
                                .k = l->k,
                                .alpha = l->scale };
    struct compute_linear b = { .y = dy,
                                .x = m->work.low,
                                .w = l->db,
                                .m = rows,
                                .n = l->n,
                                .k = l->rank,
                                .alpha = 1 };

    ops->linear(m->compute, &a); /* scale x A' */
    ops->linear_dw(m->compute, &b);
    b.w = l->b;
    b.alpha = l->scale;
    ops->linear_dx(m->compute, &b); /* scale dy B */
    a.w = l->da;
    a.alpha = 1;
    ops->linear_dw(m->compute, &a);
}

void model_linear_grad(struct model *m, const struct model_linear *l,
                       struct compute_span dx, struct compute_span dy,
                       struct compute_span x, size_t rows,
                       struct compute_span addend)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear g = { .y = dy,
                                .x = x,
                                .w = l->dw,
                                .bias = l->dbias,
                                .m = rows,
                                .n = l->n,
                                .k = l->k,
                                .alpha = 1 };

    if (l->dw.buf)
        ops->linear_dw(m->compute, &g);
    if (l->rank > 0)
        adapter_grad(m, l, dy, x, rows);
    if (!dx.buf)
        return;
    g.x = dx;
    g.w = l->w;
    g.addend = addend;
    if (l->rank > 0) {
        g.x2 = m->work.low;
        g.w2 = l->a;
        g.k2 = l->rank;
    }
    ops->linear_dx(m->compute, &g);
}

int model_linear_freeze(struct model *m, struct model_linear *l,
                        bool forward_only, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    int rc = ops->freeze(m->compute, l->w, l->n, l->k, forward_only, err);

    if (rc < 0 || l->rank == 0)
        return rc;
    rc = ops->freeze(m->compute, l->a, l->rank, l->k, true, err);
    if (rc < 0)
        return rc;
    return ops->freeze(m->compute, l->b, l->n, l->rank, true, err);
}

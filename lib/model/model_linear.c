/*
 * model_linear.c - a linear layer with its adapter, forward and backward
 *
 * y = W x + b + scale B (A x), with DoRA y = gain (W x + scale B (A x)) + b.
 * The adapter's branch goes into the same product as W, as further columns.
 * With several adapters in one pass W is multiplied once, and each adapter's
 * rows get their branch added in place: on the CPU the same sums in the same
 * order, hence the same bits.
 */
#include "model/model_session.h"

#include <assert.h>

static bool is_adapted(const struct model *m, const struct model_linear *l)
{
    return l->rank > 0 && !m->adapter_off;
}

static bool is_scaled(const struct model *m, const struct model_linear *l)
{
    return l->magnitude.buf && !m->adapter_off;
}

void model_linear_gains(struct model *m)
{
    const struct compute_ops *ops = m->compute->ops;

    if (m->adapter_off || (m->gains_ready && !m->trained.count))
        return;
    for (size_t i = 0; i < m->linear_count; i++) {
        struct model_linear *l = m->linears[i];
        const struct compute_span weights[3] = { l->w, l->b, l->a };
        struct compute_span none = { 0 };

        if (!l->magnitude.buf)
            continue;
        ops->inverse_norms(m->compute, l->inverse, weights, l->n, l->k, l->rank,
                           l->scale);
        ops->gain_columns(m->compute, l->gain, l->inverse, l->magnitude, none,
                          none, 1, l->n);
    }
    m->gains_ready = true;
}

/* Rows from `row` on of width elements. */
static struct compute_span rows_at(struct compute_span x, size_t row,
                                   size_t width)
{
    return x.buf ? compute_at(x, row * width) : x;
}

/* y = W x + bias + addend */
static void base_product(struct model *m, const struct model_linear *l,
                         struct compute_span y, struct compute_span x,
                         size_t rows, struct compute_span bias,
                         struct compute_span addend)
{
    m->compute->ops->linear(m->compute,
                            &(struct compute_linear){ .y = y,
                                                      .x = x,
                                                      .w = l->w,
                                                      .bias = bias,
                                                      .addend = addend,
                                                      .m = rows,
                                                      .n = l->n,
                                                      .k = l->k,
                                                      .alpha = 1 });
}

/* y += scale B (A x) */
static void add_branch(struct model *m, const struct model_linear *l,
                       const struct model_bank_part *part,
                       struct compute_span y, struct compute_span x,
                       size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;

    ops->linear(m->compute, &(struct compute_linear){ .y = m->work.low,
                                                      .x = x,
                                                      .w = part->a,
                                                      .m = rows,
                                                      .n = part->rank,
                                                      .k = l->k,
                                                      .alpha = part->scale });
    ops->linear(m->compute, &(struct compute_linear){ .y = y,
                                                      .x = m->work.low,
                                                      .w = part->b,
                                                      .addend = y,
                                                      .m = rows,
                                                      .n = l->n,
                                                      .k = part->rank,
                                                      .alpha = 1 });
}

/* One adapter's rows where some adapter of the pass has a gain. */
static void run_gained(struct model *m, const struct model_linear *l,
                       const struct model_bank_part *part,
                       struct compute_span y, struct compute_span x,
                       size_t rows, struct compute_span addend)
{
    struct compute_span none = { 0 }, wide = m->work.wide;

    if (!part || !part->gain.buf) {
        base_product(m, l, y, x, rows, l->bias, addend);
        if (part && part->rank > 0)
            add_branch(m, l, part, y, x, rows);
        return;
    }
    base_product(m, l, wide, x, rows, none, none);
    add_branch(m, l, part, wide, x, rows);
    m->compute->ops->gain_columns(m->compute, y, wide, part->gain, l->bias,
                                  addend, rows, l->n);
}

static const struct model_bank_part *
part_of(const struct model_groups *g, size_t i, const struct model_linear *l)
{
    return g->parts[i] ? &g->parts[i][l->number - 1] : NULL;
}

/* What all adapters of the pass add to y at once, on a device that can. */
static void add_branches(struct model *m, const struct model_linear *l,
                         struct compute_span y, struct compute_span x)
{
    const struct model_groups *g = m->groups;
    struct compute_branch each[MODEL_BANK_IN_PASS];
    struct compute_branches b = {
        .y = y, .x = x, .low = m->work.low, .n = l->n, .k = l->k, .each = each
    };

    for (size_t i = 0; i < g->count; i++) {
        const struct model_bank_part *part = part_of(g, i, l);
        size_t rows = g->starts[i + 1] - g->starts[i];

        if (part && part->rank > 0 && rows > 0)
            each[b.count++] = (struct compute_branch){ .from = g->starts[i],
                                                       .rows = rows,
                                                       .rank = part->rank,
                                                       .scale = part->scale,
                                                       .a = part->a,
                                                       .b = part->b };
    }
    if (b.count > 0)
        m->compute->ops->branches(m->compute, &b);
}

/* Rows of several adapters. */
static void run_groups(struct model *m, const struct model_linear *l,
                       struct compute_span y, struct compute_span x,
                       size_t rows, struct compute_span addend)
{
    const struct model_groups *g = m->groups;
    bool gains = false;

    assert(g->starts[g->count] == rows);
    for (size_t i = 0; i < g->count; i++) {
        const struct model_bank_part *part = part_of(g, i, l);

        gains |= part && part->gain.buf;
    }
    if (!gains)
        base_product(m, l, y, x, rows, l->bias, addend);
    if (!gains && m->compute->ops->branches) {
        add_branches(m, l, y, x);
        return;
    }
    for (size_t i = 0; i < g->count; i++) {
        const struct model_bank_part *part = part_of(g, i, l);
        size_t from = g->starts[i], n = g->starts[i + 1] - from;
        struct compute_span ys = rows_at(y, from, l->n);
        struct compute_span xs = rows_at(x, from, l->k);

        if (n > 0 && gains)
            run_gained(m, l, part, ys, xs, n, rows_at(addend, from, l->n));
        else if (n > 0 && part && part->rank > 0)
            add_branch(m, l, part, ys, xs, n);
    }
}

/* scale A x to where the backward pass finds it, if there is one, else to part
 * `turn` of work.low */
static struct compute_linear branch_low(struct model *m,
                                        const struct model_linear *l,
                                        struct compute_span x, size_t rows,
                                        size_t turn)
{
    struct compute_span low = m->work.low;

    if (l->low.buf)
        low = l->low;
    else if (turn > 0)
        low = compute_at(low, turn * rows * m->work.low_rank);
    return (struct compute_linear){ .y = low,
                                    .x = x,
                                    .w = l->a,
                                    .m = rows,
                                    .n = l->rank,
                                    .k = l->k,
                                    .alpha = l->scale };
}

/* y = W x + scale B (A x) + bias + addend */
static void product(struct model *m, const struct model_linear *l,
                    struct compute_span y, struct compute_span x, size_t rows,
                    struct compute_span bias, struct compute_span addend)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear run = {
        .y = y,
        .x = x,
        .w = l->w,
        .bias = bias,
        .addend = addend,
        .m = rows,
        .n = l->n,
        .k = l->k,
        .alpha = 1,
    };

    if (is_adapted(m, l)) {
        struct compute_linear low = branch_low(m, l, x, rows, 0);

        ops->linear(m->compute, &low);
        run.x2 = low.y;
        run.w2 = l->b;
        run.k2 = l->rank;
    }
    ops->linear(m->compute, &run);
}

void model_linear_run(struct model *m, const struct model_linear *l,
                      struct compute_span y, struct compute_span x, size_t rows,
                      struct compute_span addend)
{
    struct compute_span none = { 0 };

    if (m->groups && l->number > 0) {
        run_groups(m, l, y, x, rows, addend);
        return;
    }
    if (!is_scaled(m, l)) {
        product(m, l, y, x, rows, l->bias, addend);
        return;
    }
    product(m, l, m->work.wide, x, rows, none, none);
    m->compute->ops->gain_columns(m->compute, y, m->work.wide, l->gain, l->bias,
                                  addend, rows, l->n);
}

/* What is to be done for several layers of one x after their adapters' first
 * halves, which are done; false: each by itself. */
static bool linears_begin(struct model *m, struct compute_linear *run,
                          const struct model_linear *const *l,
                          const struct compute_span *y, size_t count,
                          struct compute_span x, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear low[COMPUTE_LINEARS];
    size_t lows = 0;

    assert(count <= COMPUTE_LINEARS);
    if (!ops->linears || m->groups)
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_scaled(m, l[i]))
            return false;
    for (size_t i = 0; i < count; i++) {
        run[i] = (struct compute_linear){ .y = y[i],
                                          .x = x,
                                          .w = l[i]->w,
                                          .bias = l[i]->bias,
                                          .m = rows,
                                          .n = l[i]->n,
                                          .k = l[i]->k,
                                          .alpha = 1 };
        if (!is_adapted(m, l[i]))
            continue;
        low[lows] = branch_low(m, l[i], x, rows, lows);
        run[i].x2 = low[lows++].y;
        run[i].w2 = l[i]->b;
        run[i].k2 = l[i]->rank;
    }
    if (lows > 0)
        ops->linears(m->compute, low, lows);
    return true;
}

void model_linears_run(struct model *m, const struct model_linear *const *l,
                       const struct compute_span *y, size_t count,
                       struct compute_span x, size_t rows)
{
    struct compute_linear run[COMPUTE_LINEARS];
    struct compute_span none = { 0 };

    if (linears_begin(m, run, l, y, count, x, rows)) {
        m->compute->ops->linears(m->compute, run, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        model_linear_run(m, l[i], y[i], x, rows, none);
}

void model_linears_swiglu(struct model *m, const struct model_linear *const *l,
                          const struct compute_span *y, struct compute_span h,
                          struct compute_span x, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear run[COMPUTE_LINEARS];

    if (ops->linear_swiglu && linears_begin(m, run, l, y, 2, x, rows)) {
        ops->linear_swiglu(m->compute, &run[0], &run[1], h);
        return;
    }
    model_linears_run(m, l, y, 2, x, rows);
    ops->swiglu(m->compute, h, y[1], y[0], rows * l[0]->n);
}

/* Gradients of an adapter's A and B from dy; leaves scale dy B in work.low. */
static void adapter_grad(struct model *m, const struct model_linear *l,
                         struct compute_span dy, struct compute_span x,
                         size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear a = { .y = m->work.low,
                                .x = x,
                                .w = l->da,
                                .m = rows,
                                .n = l->rank,
                                .k = l->k,
                                .alpha = 1 };
    struct compute_linear b = { .y = dy,
                                .x = l->low,
                                .w = l->db,
                                .m = rows,
                                .n = l->n,
                                .k = l->rank,
                                .alpha = 1 };

    ops->linear_dw(m->compute, &b);
    b.x = m->work.low;
    b.w = l->b;
    b.alpha = l->scale;
    ops->linear_dx(m->compute, &b); /* scale dy B */
    ops->linear_dw(m->compute, &a);
}

/* The magnitudes' gradient; returns that of the product before its gain, in
 * work.wide. The lengths are constants, as PEFT has them. */
static struct compute_span gain_grad(struct model *m,
                                     const struct model_linear *l,
                                     struct compute_span dy,
                                     struct compute_span x, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_span wide = m->work.wide, none = { 0 };

    product(m, l, wide, x, rows, none, none);
    ops->gain_columns(m->compute, wide, wide, l->inverse, none, none, rows,
                      l->n);
    ops->column_dots(m->compute, l->dmagnitude, dy, wide, rows, l->n);
    ops->gain_columns(m->compute, wide, dy, l->gain, none, none, rows, l->n);
    return wide;
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
    if (l->magnitude.buf)
        g.y = dy = gain_grad(m, l, dy, x, rows);
    if (l->rank > 0 && dy.buf == m->work.dx.buf && m->work.narrow.buf) {
        /* Three products round it to the same: once is enough. */
        ops->copy(m->compute, m->work.narrow, dy, rows * l->n);
        g.y = dy = m->work.narrow;
    }
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

int model_linear_freeze_base(struct model *m, struct model_linear *l,
                             struct err *err)
{
    return m->compute->ops->freeze(m->compute, l->w, l->n, l->k, false, err);
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

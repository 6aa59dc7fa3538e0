/*
 * parity_rows.c - the operations that move, scale or normalize rows
 *
 * Activations come as f32 and in the device's own type, in mixtures, at
 * aligned and odd offsets, with what may lie in place lying in place.
 */
#include "parity.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT

static const size_t lengths[] = { 1, 7, 64, 1000, 4099, 100003 };
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static const size_t rows_of[][2] = { { 1, 64 },     { 3, 37 },   { 77, 576 },
                                     { 300, 2048 }, { 5, 8192 }, { 513, 96 },
                                     { 130, 100 },  { 2, 16384 } };
#define ROWS (sizeof(rows_of) / sizeof(rows_of[0]))

static enum compute_type side(int bit)
{
    return bit ? F32 : ACT;
}

static void flat_cases(struct parity *p, size_t n, int mix)
{
    enum compute_type to = side(mix & 1), from = side(mix & 2);
    const char *t = parity_type(to), *f = parity_type(from);
    size_t odd = mix & 4 ? 1 : 0;
    struct parity_array *x, *y;

    if (!(mix & 2) &&
        parity_case(p, (double)n, "fill-%zu-%s%s", n, t, odd ? "-odd" : "")) {
        p->odd = odd;
        y = parity_output(p, "y", to, n);
        while (parity_next(p))
            p->c->ops->fill(p->c, y->s, 1.5f, n);
        parity_done(p);
    }
    if (parity_case(p, (double)n, "copy-%zu-%s-%s%s", n, t, f,
                    odd ? "-odd" : "")) {
        x = parity_noise(p, "x", from, n, 1);
        p->odd = odd;
        y = parity_output(p, "y", to, n);
        while (parity_next(p))
            p->c->ops->copy(p->c, y->s, x->s, n);
        parity_done(p);
    }
    if (parity_case(p, (double)n, "axpy-%zu-%s-%s%s", n, t, f,
                    odd ? "-odd" : "")) {
        x = parity_noise(p, "x", from, n, 1);
        p->odd = odd;
        y = parity_inout(p, "y", to, n, 1);
        while (parity_next(p))
            p->c->ops->axpy(p->c, y->s, -0.75f, x->s, n);
        parity_done(p);
    }
}

static void squares(struct parity *p, size_t n, enum compute_type type)
{
    struct parity_array *x, *sum;

    if (!parity_case(p, (double)n, "squares-%zu-%s", n, parity_type(type)))
        return;
    p->odd = n % 2;
    x = parity_noise(p, "x", type, n, 1);
    sum = parity_output(p, "sum", F32, 1);
    while (parity_next(p))
        parity_number(p, sum, p->c->ops->sum_squares(p->c, x->s, n));
    parity_done(p);
}

/* Two sums into one number on the device. */
static void accumulate(struct parity *p, size_t n, bool squares)
{
    struct parity_array *x, *sum;

    if (!parity_case(p, (double)n, "accumulate-%zu-%s", n,
                     squares ? "squares" : "plain"))
        return;
    p->odd = n % 2;
    x = parity_noise(p, "x", F32, n, 1);
    for (size_t i = 0; i < n; i++)
        x->x[i] = fabsf(x->x[i]); /* a sum that has digits */
    sum = parity_output(p, "sum", F32, 1);
    while (parity_next(p)) {
        const struct compute_ops *o = p->c->ops;
        struct compute_span y;
        struct err err;
        double got = 0;

        if (compute_alloc(p->c, COMPUTE_F64, 3, "sum", &y, &err) < 0) {
            parity_fail(p, "%s", err.msg);
            continue;
        }
        o->fill(p->c, y, 0, 3);
        o->accumulate(p->c, compute_at(y, 1), x->s, n, squares);
        o->accumulate(p->c, compute_at(y, 1), x->s, n / 2, !squares);
        o->download(p->c, &got, compute_at(y, 1), 1);
        compute_release(p->c, &y);
        parity_number(p, sum, got);
    }
    parity_done(p);
}

static void swiglu(struct parity *p, size_t n, int mix)
{
    enum compute_type h_type = side(mix & 1), type = side(mix & 2);
    struct parity_array *h, *gate, *up, *dh, *dgate, *dup;

    if (parity_case(p, (double)n, "swiglu-%zu-%s-%s", n, parity_type(h_type),
                    parity_type(type))) {
        p->odd = mix & 4 ? 1 : 0;
        gate = parity_noise(p, "gate", type, n, 2);
        up = parity_noise(p, "up", type, n, 1);
        h = parity_output(p, "h", h_type, n);
        while (parity_next(p))
            p->c->ops->swiglu(p->c, h->s, gate->s, up->s, n);
        parity_done(p);
    }
    if (parity_case(p, (double)n, "swiglu_grad-%zu-%s-%s", n,
                    parity_type(h_type), parity_type(type))) {
        gate = parity_noise(p, "gate", type, n, 2);
        up = parity_noise(p, "up", type, n, 1);
        dh = parity_noise(p, "dh", h_type, n, 1);
        dgate = parity_output(p, "dgate", h_type, n);
        dup = parity_output(p, "dup", type, n);
        while (parity_next(p))
            p->c->ops->swiglu_grad(p->c, dgate->s, dup->s, dh->s, gate->s,
                                   up->s, n);
        parity_done(p);
    }
    if (parity_case(p, (double)n, "swiglu_grad-%zu-%s-%s-in-place", n,
                    parity_type(h_type), parity_type(type))) {
        p->odd = mix & 4 ? 1 : 0;
        gate = parity_inout(p, "gate", type, n, 2);
        up = parity_inout(p, "up", type, n, 1);
        dh = parity_noise(p, "dh", h_type, n, 1);
        while (parity_next(p))
            p->c->ops->swiglu_grad(p->c, gate->s, up->s, dh->s, gate->s, up->s,
                                   n);
        parity_done(p);
    }
}

static void rmsnorm(struct parity *p, size_t rows, size_t dim, int mix)
{
    enum compute_type y_type = side(mix & 1), x_type = side(mix & 2);
    bool in_place = mix == 3, without = mix == 0;
    struct parity_array *x, *y, *w, *rstd;

    if (!parity_case(p, (double)(rows * dim), "rmsnorm-%zux%zu-%s-%s", rows,
                     dim, parity_type(y_type), parity_type(x_type)))
        return;
    p->odd = mix == 2 ? 1 : 0;
    x = in_place ? parity_inout(p, "x", x_type, rows * dim, 3)
                 : parity_noise(p, "x", x_type, rows * dim, 3);
    y = in_place ? x : parity_output(p, "y", y_type, rows * dim);
    w = parity_noise(p, "w", F32, dim, 1);
    rstd = parity_output(p, "rstd", F32, without ? 0 : rows);
    while (parity_next(p))
        p->c->ops->rmsnorm(p->c, y->s, x->s, w->s,
                           without ? (struct compute_span){ 0 } : rstd->s, rows,
                           dim, 1e-5f);
    parity_done(p);
}

static void rmsnorm_grad(struct parity *p, size_t rows, size_t dim, int mix)
{
    enum compute_type dy_type = side(mix & 1), x_type = side(mix & 2);
    bool with_dw = mix & 4;
    struct parity_array *x, *y, *w, *rstd, *dx, *dy, *dw;

    if (!parity_case(p, (double)(rows * dim), "rmsnorm_grad-%zux%zu-%s-%s%s",
                     rows, dim, parity_type(dy_type), parity_type(x_type),
                     with_dw ? "-dw" : ""))
        return;
    parity_limit(p, PARITY_ELEMENTS, rows + dim);
    x = parity_noise(p, "x", x_type, rows * dim, 1);
    y = parity_output(p, "y", ACT, rows * dim);
    w = parity_noise(p, "w", F32, dim, 1);
    rstd = parity_output(p, "rstd", F32, rows);
    dy = parity_noise(p, "dy", dy_type, rows * dim, 1);
    dx = parity_inout(p, "dx", x_type, rows * dim, 0.5);
    dw = parity_inout(p, "dw", F32, dim, 1);
    while (parity_next(p)) {
        p->c->ops->rmsnorm(p->c, y->s, x->s, w->s, rstd->s, rows, dim, 1e-5f);
        p->c->ops->rmsnorm_grad(p->c, dx->s,
                                with_dw ? dw->s : (struct compute_span){ 0 },
                                dy->s, x->s, w->s, rstd->s, rows, dim);
    }
    parity_done(p);
}

static void rope(struct parity *p, size_t rows, size_t heads, size_t dim,
                 int mix)
{
    size_t positions = 500;
    struct parity_array *x, *at, *cosine, *sine;

    if (!parity_case(p, (double)(rows * heads * dim), "rope-%zux%zux%zu-%s%s",
                     rows, heads, dim, parity_type(side(mix & 1)),
                     mix & 2 ? "-inverse" : ""))
        return;
    x = parity_inout(p, "x", side(mix & 1), rows * heads * dim, 1);
    at = parity_ids(p, "position", rows, positions);
    cosine = parity_noise(p, "cosine", F32, positions * dim / 2, 1);
    sine = parity_noise(p, "sine", F32, positions * dim / 2, 1);
    while (parity_next(p))
        p->c->ops->rope(p->c, x->s, at->s, cosine->s, sine->s, rows, heads, dim,
                        mix & 2);
    parity_done(p);
}

void parity_rows(struct parity *p)
{
    static const size_t shapes[][3] = { { 1, 1, 64 },     { 77, 9, 64 },
                                        { 130, 32, 128 }, { 33, 8, 80 },
                                        { 5, 3, 2 },      { 300, 4, 32 },
                                        { 9, 2, 96 } };

    for (size_t i = 0; i < ROWS; i++) {
        for (int mix = 0; mix < 4; mix++)
            rmsnorm(p, rows_of[i][0], rows_of[i][1], mix);
        for (int mix = 0; mix < 8; mix++)
            rmsnorm_grad(p, rows_of[i][0], rows_of[i][1], mix);
    }
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (int mix = 0; mix < 4; mix++)
            rope(p, shapes[i][0], shapes[i][1], shapes[i][2], mix);
    for (size_t i = 0; i < LENGTHS; i++)
        for (int mix = 0; mix < 4; mix++)
            swiglu(p, lengths[i], mix + (i % 2 ? 4 : 0));
}

static void embed(struct parity *p, size_t rows, size_t dim,
                  enum compute_type type)
{
    static const enum compute_type tables[] = { COMPUTE_F32, COMPUTE_BF16,
                                                COMPUTE_F16 };

    for (int i = 0; i < 3; i++) {
        struct parity_array *y, *table, *ids;

        if (!parity_case(p, (double)(rows * dim), "embed-%zux%zu-%s-%s", rows,
                         dim, parity_type(type), parity_type(tables[i])))
            continue;
        y = parity_output(p, "y", type, rows * dim);
        table = parity_noise(p, "table", tables[i], 501 * dim, 1);
        ids = parity_ids(p, "ids", rows, 501);
        while (parity_next(p))
            p->c->ops->embed(p->c, y->s, table->s, ids->s, rows, dim);
        parity_done(p);
    }
}

static void embed_grad(struct parity *p, size_t rows, size_t dim, size_t vocab)
{
    for (int i = 0; i < 2; i++) {
        struct parity_array *dtable, *dy, *ids;

        if (!parity_case(p, (double)(rows * dim), "embed_grad-%zux%zu-%zu-%s",
                         rows, dim, vocab, parity_type(side(i))))
            continue;
        parity_limit(p, PARITY_ELEMENTS, rows);
        dtable = parity_inout(p, "dtable", F32, vocab * dim, 1);
        dy = parity_noise(p, "dy", side(i), rows * dim, 1);
        ids = parity_ids(p, "ids", rows, vocab);
        while (parity_next(p))
            p->c->ops->embed_grad(p->c, dtable->s, dy->s, ids->s, rows, dim);
        parity_done(p);
    }
}

/* Distinct rows of `of`, in random order. */
static void make_distinct(struct parity *p, struct parity_array *index,
                          size_t of)
{
    size_t *all = mem_array(of, sizeof(*all));

    for (size_t i = 0; i < of; i++)
        all[i] = i;
    rng_shuffle(&p->rng, all, of);
    for (size_t i = 0; i < index->n; i++)
        index->ids[i] = (int32_t)all[i];
    free(all);
}

static void gather(struct parity *p, size_t rows, size_t dim, int mix)
{
    size_t of = 2 * rows + 3;
    enum compute_type to = side(mix & 1), from = side(mix & 2);
    struct parity_array *x, *y, *index;

    if (parity_case(p, (double)(rows * dim), "gather-%zux%zu-%s-%s", rows, dim,
                    parity_type(to), parity_type(from))) {
        x = parity_noise(p, "x", from, of * dim, 1);
        y = parity_output(p, "y", to, rows * dim);
        index = parity_ids(p, "index", rows, of);
        while (parity_next(p))
            p->c->ops->gather(p->c, y->s, x->s, index->s, rows, dim);
        parity_done(p);
    }
    if (parity_case(p, (double)(rows * dim), "scatter-%zux%zu-%s-%s", rows, dim,
                    parity_type(to), parity_type(from))) {
        x = parity_noise(p, "x", from, rows * dim, 1);
        y = parity_inout(p, "y", to, of * dim, 1);
        index = parity_ids(p, "index", rows, of);
        make_distinct(p, index, of);
        while (parity_next(p))
            p->c->ops->scatter(p->c, y->s, x->s, index->s, rows, dim);
        parity_done(p);
    }
}

static void no_rows(struct parity *p)
{
    struct parity_array *x, *y, *w, *ids;

    if (!parity_case(p, 1, "rows-none"))
        return;
    x = parity_inout(p, "x", ACT, 64, 1);
    y = parity_inout(p, "y", F32, 64, 1);
    w = parity_inout(p, "w", F32, 64, 1);
    ids = parity_ids(p, "ids", 1, 1);
    while (parity_next(p)) {
        const struct compute_ops *o = p->c->ops;

        o->fill(p->c, x->s, 0, 0);
        o->copy(p->c, y->s, x->s, 0);
        o->axpy(p->c, y->s, 1, x->s, 0);
        o->embed(p->c, y->s, w->s, ids->s, 0, 64);
        o->embed_grad(p->c, w->s, y->s, ids->s, 0, 64);
        o->gather(p->c, y->s, x->s, ids->s, 0, 64);
        o->scatter(p->c, y->s, x->s, ids->s, 0, 64);
        o->rmsnorm(p->c, y->s, x->s, w->s, (struct compute_span){ 0 }, 0, 64,
                   1e-5f);
        o->rope(p->c, x->s, ids->s, w->s, w->s, 0, 1, 64, false);
        o->swiglu(p->c, y->s, x->s, x->s, 0);
        if (o->sum_squares(p->c, x->s, 0) > 0)
            parity_fail(p, "the sum of no squares is not 0");
    }
    parity_done(p);
}

void parity_moves(struct parity *p)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        for (int mix = 0; mix < 8; mix++)
            flat_cases(p, lengths[i], mix);
        squares(p, lengths[i], F32);
        squares(p, lengths[i], ACT);
        accumulate(p, lengths[i], true);
        accumulate(p, lengths[i], false);
    }
    squares(p, 3000001, F32);
    for (size_t i = 0; i < ROWS; i++)
        for (int mix = 0; mix < 4; mix++) {
            gather(p, rows_of[i][0], rows_of[i][1], mix);
            if (mix < 2)
                embed(p, rows_of[i][0], rows_of[i][1], side(mix));
        }
    embed_grad(p, 500, 64, 7);
    embed_grad(p, 1000, 64, 50000);
    embed_grad(p, 2048, 37, 1);
    embed_grad(p, 3000, 576, 300);
    embed_grad(p, 1, 64, 5);
    no_rows(p);
}

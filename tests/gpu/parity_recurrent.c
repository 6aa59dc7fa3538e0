/*
 * parity_recurrent.c - convolutions, selective scans and delta rules
 *
 * Documents of lengths around a chunk's, gradients, and sequences that go on
 * from their slots in pieces of all sizes. A device may leave them out.
 */
#include "parity.h"

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t ragged[] = { 0, 1, 64, 128, 193, 393 };
static const int32_t chunks[] = { 0, 130, 195 };
static const int32_t single[] = { 0, 64 };

/* Documents of a case. */
struct documents {
    const char *name;
    const int32_t *starts;
    size_t docs;
};
static const struct documents packs[] = {
    { "ragged", ragged, COUNT(ragged) - 1 },
    { "chunks", chunks, COUNT(chunks) - 1 },
    { "single", single, COUNT(single) - 1 },
};

static struct compute_sequences packed(const struct documents *d)
{
    return (struct compute_sequences){ .starts = d->starts,
                                       .docs = d->docs,
                                       .rows = (size_t)d->starts[d->docs] };
}

/* Three sequences in four slots, continued twice: most pieces in one row, some
 * in several chunks. */
#define SLOTS 4
#define PIECES 4
#define PIECE_ROWS 238 /* of all pieces */
static const int32_t pieces[PIECES][4] = {
    { 0, 70, 71, 91 }, { 0, 1, 2, 3 }, { 0, 17, 18, 83 }, { 0, 1, 2, 61 }
};
static const int32_t behind[PIECES][3] = {
    { 0, 0, 0 }, { 70, 1, 20 }, { 71, 2, 21 }, { 88, 0, 86 }
};
static const int32_t slots[] = { 2, 0, 3 };

/* Piece i from row *at on, which is moved behind it. */
static struct compute_sequences piece(size_t i, struct compute_span state,
                                      size_t *at)
{
    struct compute_sequences s = { .starts = pieces[i],
                                   .docs = 3,
                                   .rows = (size_t)pieces[i][3],
                                   .state = state,
                                   .past = behind[i],
                                   .slots = slots };

    *at += s.rows;
    return s;
}

static enum compute_type side(int bit)
{
    return bit ? F32 : ACT;
}

/* ---- convolutions ---- */

struct conv_shape {
    size_t channels, taps, stride;
    bool bias, silu;
};
/* Of the models in the fixtures, then what is odd, wide or long. */
static const struct conv_shape convs[] = {
    { 136, 4, 214, true, true },  { 72, 3, 72, false, false },
    { 96, 4, 96, false, true },   { 70, 4, 73, true, true },
    { 300, 2, 300, true, false }, { 5, 1, 5, true, true },
    { 33, 16, 40, false, true },  { 64, 7, 64, true, false },
};

static struct compute_conv conv_of(const struct conv_shape *s,
                                   struct compute_sequences rows)
{
    return (struct compute_conv){ .s = rows,
                                  .x_stride = s->stride,
                                  .channels = s->channels,
                                  .taps = s->taps,
                                  .kind = s->silu ? COMPUTE_SILU
                                                  : COMPUTE_IDENTITY };
}

static void conv(struct parity *p, const struct conv_shape *s,
                 const struct documents *d, int mix)
{
    struct compute_sequences rows = packed(d);
    size_t n = rows.rows;
    struct parity_array *x, *y, *w, *b, *dx, *dy, *dw, *db;

    if (!p->list && (!p->device->ops->conv || !p->device->ops->conv_grad))
        return;
    if (!parity_case(p, (double)(n * s->channels * s->taps),
                     "conv-%zux%zu-%s-%s-%s", s->channels, s->taps, d->name,
                     parity_type(side(mix & 1)), parity_type(side(mix & 2))))
        return;
    parity_limit(p, PARITY_ELEMENTS, n);
    p->odd = s->channels % 2;
    x = parity_noise(p, "x", side(mix & 2), n * s->stride, 1);
    y = parity_output(p, "y", side(mix & 1), n * s->channels);
    w = parity_noise(p, "w", F32, s->channels * s->taps, 1);
    b = parity_noise(p, "bias", F32, s->channels, 1);
    dy = parity_noise(p, "dy", side(mix & 1), n * s->channels, 1);
    dx = parity_inout(p, "dx", side(mix & 2), n * s->stride, 1);
    dw = parity_inout(p, "dw", F32, s->channels * s->taps, 1);
    db = parity_inout(p, "dbias", F32, s->channels, 1);
    while (parity_next(p)) {
        struct compute_conv_grad g = { .fwd = conv_of(s, rows) };

        g.fwd.x = x->s;
        g.fwd.y = y->s;
        g.fwd.w = w->s;
        if (s->bias)
            g.fwd.bias = b->s;
        p->c->ops->conv(p->c, &g.fwd);
        g.dy = dy->s;
        g.dx = dx->s;
        g.dw = dw->s;
        if (s->bias)
            g.dbias = db->s;
        p->c->ops->conv_grad(p->c, &g);
    }
    parity_done(p);
}

static void conv_on(struct parity *p, const struct conv_shape *s, int mix)
{
    struct parity_array *x, *y, *w, *b, *state;

    if ((!p->list && !p->device->ops->conv) ||
        !parity_case(p, (double)(PIECE_ROWS * s->channels * s->taps),
                     "conv-on-%zux%zu-%s", s->channels, s->taps,
                     parity_type(side(mix))))
        return;
    x = parity_noise(p, "x", side(mix), PIECE_ROWS * s->stride, 1);
    y = parity_output(p, "y", side(mix), PIECE_ROWS * s->channels);
    w = parity_noise(p, "w", F32, s->channels * s->taps, 1);
    b = parity_noise(p, "bias", F32, s->channels, 1);
    state = parity_inout(p, "state", F32,
                         SLOTS * (s->taps - 1) * s->channels + 1, 1);
    while (parity_next(p))
        for (size_t i = 0, at = 0; i < PIECES; i++) {
            struct compute_conv v = conv_of(s, (struct compute_sequences){ 0 });

            v.x = compute_at(x->s, at * s->stride);
            v.y = compute_at(y->s, at * s->channels);
            v.w = w->s;
            if (s->bias)
                v.bias = b->s;
            v.s = piece(i, state->s, &at);
            p->c->ops->conv(p->c, &v);
        }
    parity_done(p);
}

/* ---- scans ---- */

struct scan_shape {
    size_t heads, groups, dim, width;
    float dt_min, dt_max;
};
static const struct scan_shape scans[] = {
    { 6, 2, 12, 16, 0, 1e30f },  { 6, 2, 24, 16, 0, 1e30f },
    { 4, 1, 64, 128, 0, 1e30f }, { 18, 2, 5, 7, 0.3f, 1.5f },
    { 2, 2, 70, 130, 0, 1e30f },
};

/* Arrays of a scan: x, b and c side by side with a column between rows, the
 * steps among other columns. */
struct scan_arrays {
    size_t stride, dt_stride, inner, mixed;
    struct parity_array *xbc, *dt, *a_log, *dt_bias, *d, *y;
};

static struct scan_arrays scan_new(struct parity *p, const struct scan_shape *s,
                                   size_t rows, int mix)
{
    size_t inner = s->heads * s->dim, mixed = inner + 2 * s->groups * s->width;
    struct scan_arrays a = { .stride = mixed + (mix & 2 ? 3 : 0),
                             .dt_stride = s->heads + 2,
                             .inner = inner,
                             .mixed = mixed };

    a.xbc = parity_noise(p, "xbc", side(mix & 1), rows * a.stride, 1);
    a.dt = parity_noise(p, "dt", side(mix & 1), rows * a.dt_stride, 1);
    a.a_log = parity_noise(p, "a_log", F32, s->heads, 1);
    a.dt_bias = parity_noise(p, "dt_bias", F32, s->heads, 1);
    a.d = parity_noise(p, "d", F32, s->heads, 1);
    a.y = parity_output(p, "y", side(mix & 1), rows * inner);
    return a;
}

static struct compute_scan scan_of(const struct scan_shape *s,
                                   const struct scan_arrays *a, size_t at)
{
    struct compute_span x = compute_at(a->xbc->s, at * a->stride);

    return (struct compute_scan){
        .y = compute_at(a->y->s, at * a->inner),
        .x = x,
        .b = compute_at(x, a->inner),
        .c = compute_at(x, a->inner + s->groups * s->width),
        .dt = compute_at(a->dt->s, at * a->dt_stride + 1),
        .a_log = a->a_log->s,
        .dt_bias = a->dt_bias->s,
        .d = a->d->s,
        .stride = a->stride,
        .dt_stride = a->dt_stride,
        .heads = s->heads,
        .groups = s->groups,
        .dim = s->dim,
        .width = s->width,
        .dt_min = s->dt_min,
        .dt_max = s->dt_max,
    };
}

static void scan(struct parity *p, const struct scan_shape *s,
                 const struct documents *d, int mix)
{
    struct compute_sequences rows = packed(d);
    struct scan_arrays a;

    if ((!p->list && !p->device->ops->scan) ||
        !parity_case(p, (double)(rows.rows * s->heads * s->dim * s->width),
                     "scan-%zux%zux%zux%zu-%s-%s%s", s->heads, s->groups,
                     s->dim, s->width, d->name, parity_type(side(mix & 1)),
                     mix & 2 ? "-wide" : ""))
        return;
    parity_limit(p, PARITY_ATTENTION, s->width + COMPUTE_CHUNK);
    a = scan_new(p, s, rows.rows, mix);
    while (parity_next(p)) {
        struct compute_scan v = scan_of(s, &a, 0);

        v.s = rows;
        p->c->ops->scan(p->c, &v);
    }
    parity_done(p);
}

static void scan_grad(struct parity *p, const struct scan_shape *s,
                      const struct documents *d, int mix)
{
    struct compute_sequences rows = packed(d);
    size_t n = rows.rows, states = (n / COMPUTE_CHUNK + rows.docs) * s->heads;
    struct parity_array *kept, *dy, *dxbc, *ddt, *da_log, *ddt_bias, *dd;
    struct scan_arrays a;

    if ((!p->list && !p->device->ops->scan_grad) ||
        !parity_case(p, 5 * (double)(n * s->heads * s->dim * s->width),
                     "scan_grad-%zux%zux%zux%zu-%s-%s%s", s->heads, s->groups,
                     s->dim, s->width, d->name, parity_type(side(mix & 1)),
                     mix & 2 ? "-wide" : ""))
        return;
    parity_limit(p, PARITY_ATTENTION_GRAD, n);
    a = scan_new(p, s, n, mix);
    kept = parity_noise(p, "kept", F32, states * s->dim * s->width, 1);
    dy = parity_noise(p, "dy", side(mix & 1), n * a.inner, 1);
    dxbc = parity_inout(p, "dxbc", side(mix & 1), n * a.stride, 1);
    ddt = parity_inout(p, "ddt", side(mix & 1), n * a.dt_stride, 1);
    da_log = parity_inout(p, "da_log", F32, s->heads, 1);
    ddt_bias = parity_inout(p, "ddt_bias", F32, s->heads, 1);
    dd = parity_inout(p, "dd", F32, s->heads, 1);
    while (parity_next(p)) {
        struct compute_scan_grad g = {
            .fwd = scan_of(s, &a, 0),
            .dy = dy->s,
            .dx = dxbc->s,
            .db = compute_at(dxbc->s, a.inner),
            .dc = compute_at(dxbc->s, a.inner + s->groups * s->width),
            .ddt = compute_at(ddt->s, 1),
            .da_log = da_log->s,
            .ddt_bias = ddt_bias->s,
            .dd = dd->s,
        };

        g.fwd.s = rows;
        g.fwd.kept = kept->s;
        p->c->ops->scan(p->c, &g.fwd);
        p->c->ops->scan_grad(p->c, &g);
    }
    parity_done(p);
}

static void scan_on(struct parity *p, const struct scan_shape *s, int mix)
{
    struct parity_array *state;
    struct scan_arrays a;

    if ((!p->list && !p->device->ops->scan) ||
        !parity_case(p, (double)(PIECE_ROWS * s->heads * s->dim * s->width),
                     "scan-on-%zux%zux%zux%zu-%s", s->heads, s->groups, s->dim,
                     s->width, parity_type(side(mix))))
        return;
    parity_limit(p, PARITY_ATTENTION, s->width + COMPUTE_CHUNK);
    a = scan_new(p, s, PIECE_ROWS, mix);
    state = parity_inout(p, "state", F32, SLOTS * a.inner * s->width, 1);
    while (parity_next(p))
        for (size_t i = 0, at = 0; i < PIECES; i++) {
            struct compute_scan v = scan_of(s, &a, at);

            v.s = piece(i, state->s, &at);
            p->c->ops->scan(p->c, &v);
        }
    parity_done(p);
}

/* ---- delta rules ---- */

struct delta_shape {
    size_t key_heads, value_heads, key_dim, value_dim;
};
static const struct delta_shape deltas[] = {
    { 2, 4, 12, 12 }, { 1, 2, 128, 128 }, { 1, 10, 8, 6 }, { 2, 2, 70, 40 }
};

struct delta_arrays {
    size_t stride, keys, values;
    struct parity_array *qkv, *a, *b, *a_log, *dt_bias, *o;
};

static struct delta_arrays
delta_new(struct parity *p, const struct delta_shape *s, size_t rows, int mix)
{
    size_t keys = s->key_heads * s->key_dim;
    size_t values = s->value_heads * s->value_dim;
    struct delta_arrays d = { .stride = 2 * keys + values + (mix & 2 ? 3 : 0),
                              .keys = keys,
                              .values = values };

    d.qkv = parity_noise(p, "qkv", side(mix & 1), rows * d.stride, 1);
    d.a = parity_noise(p, "a", F32, rows * s->value_heads, 1);
    d.b = parity_noise(p, "b", side(mix & 1), rows * s->value_heads, 1);
    d.a_log = parity_noise(p, "a_log", F32, s->value_heads, 1);
    d.dt_bias = parity_noise(p, "dt_bias", F32, s->value_heads, 1);
    d.o = parity_output(p, "o", side(mix & 1), rows * values);
    return d;
}

static struct compute_delta delta_of(const struct delta_shape *s,
                                     const struct delta_arrays *d, size_t at)
{
    struct compute_span q = compute_at(d->qkv->s, at * d->stride);

    return (struct compute_delta){
        .o = compute_at(d->o->s, at * d->values),
        .q = q,
        .k = compute_at(q, d->keys),
        .v = compute_at(q, 2 * d->keys),
        .a = compute_at(d->a->s, at * s->value_heads),
        .b = compute_at(d->b->s, at * s->value_heads),
        .a_log = d->a_log->s,
        .dt_bias = d->dt_bias->s,
        .stride = d->stride,
        .key_heads = s->key_heads,
        .value_heads = s->value_heads,
        .key_dim = s->key_dim,
        .value_dim = s->value_dim,
        .eps = 1e-6f,
    };
}

static double delta_work(const struct delta_shape *s, size_t rows)
{
    return (double)(rows * s->value_heads * s->value_dim * s->key_dim);
}

static void delta(struct parity *p, const struct delta_shape *s,
                  const struct documents *d, int mix)
{
    struct compute_sequences rows = packed(d);
    struct delta_arrays a;

    if ((!p->list && !p->device->ops->delta) ||
        !parity_case(p, delta_work(s, rows.rows),
                     "delta-%zux%zux%zux%zu-%s-%s%s", s->key_heads,
                     s->value_heads, s->key_dim, s->value_dim, d->name,
                     parity_type(side(mix & 1)), mix & 2 ? "-wide" : ""))
        return;
    parity_limit(p, PARITY_ATTENTION, s->key_dim + COMPUTE_CHUNK);
    a = delta_new(p, s, rows.rows, mix);
    while (parity_next(p)) {
        struct compute_delta v = delta_of(s, &a, 0);

        v.s = rows;
        p->c->ops->delta(p->c, &v);
    }
    parity_done(p);
}

static void delta_grad(struct parity *p, const struct delta_shape *s,
                       const struct documents *d, int mix)
{
    struct compute_sequences rows = packed(d);
    size_t n = rows.rows, heads = s->value_heads;
    size_t states = (n / COMPUTE_CHUNK + rows.docs) * heads;
    struct parity_array *kept, *d_o, *dqkv, *da, *db, *da_log, *ddt_bias;
    struct delta_arrays a;

    if ((!p->list && !p->device->ops->delta_grad) ||
        !parity_case(p, 5 * delta_work(s, n),
                     "delta_grad-%zux%zux%zux%zu-%s-%s%s", s->key_heads, heads,
                     s->key_dim, s->value_dim, d->name,
                     parity_type(side(mix & 1)), mix & 2 ? "-wide" : ""))
        return;
    parity_limit(p, PARITY_ATTENTION_GRAD, n);
    a = delta_new(p, s, n, mix);
    kept = parity_noise(p, "kept", F32, states * s->key_dim * s->value_dim, 1);
    d_o = parity_noise(p, "d_o", side(mix & 1), n * a.values, 1);
    dqkv = parity_inout(p, "dqkv", side(mix & 1), n * a.stride, 1);
    da = parity_output(p, "da", F32, n * heads);
    db = parity_output(p, "db", side(mix & 1), n * heads);
    da_log = parity_inout(p, "da_log", F32, heads, 1);
    ddt_bias = parity_inout(p, "ddt_bias", F32, heads, 1);
    while (parity_next(p)) {
        struct compute_delta_grad g = {
            .fwd = delta_of(s, &a, 0),
            .d_o = d_o->s,
            .dq = dqkv->s,
            .dk = compute_at(dqkv->s, a.keys),
            .dv = compute_at(dqkv->s, 2 * a.keys),
            .da = da->s,
            .db = db->s,
            .da_log = da_log->s,
            .ddt_bias = ddt_bias->s,
        };

        g.fwd.s = rows;
        g.fwd.kept = kept->s;
        p->c->ops->delta(p->c, &g.fwd);
        p->c->ops->delta_grad(p->c, &g);
    }
    parity_done(p);
}

static void delta_on(struct parity *p, const struct delta_shape *s, int mix)
{
    struct parity_array *state;
    struct delta_arrays a;

    if ((!p->list && !p->device->ops->delta) ||
        !parity_case(p, delta_work(s, PIECE_ROWS),
                     "delta-on-%zux%zux%zux%zu-%s", s->key_heads,
                     s->value_heads, s->key_dim, s->value_dim,
                     parity_type(side(mix))))
        return;
    parity_limit(p, PARITY_ATTENTION, s->key_dim + COMPUTE_CHUNK);
    a = delta_new(p, s, PIECE_ROWS, mix);
    state = parity_inout(p, "state", F32, SLOTS * a.values * s->key_dim, 1);
    while (parity_next(p))
        for (size_t i = 0, at = 0; i < PIECES; i++) {
            struct compute_delta v = delta_of(s, &a, at);

            v.s = piece(i, state->s, &at);
            p->c->ops->delta(p->c, &v);
        }
    parity_done(p);
}

void parity_recurrent(struct parity *p)
{
    for (size_t i = 0; i < COUNT(convs); i++) {
        for (size_t d = 0; d < COUNT(packs); d++)
            for (int mix = 0; mix < 4; mix++)
                conv(p, &convs[i], &packs[d], mix);
        conv_on(p, &convs[i], 0);
        conv_on(p, &convs[i], 1);
    }
    for (size_t i = 0; i < COUNT(scans); i++) {
        for (size_t d = 0; d < COUNT(packs); d++)
            for (int mix = 0; mix < 4; mix++) {
                scan(p, &scans[i], &packs[d], mix);
                scan_grad(p, &scans[i], &packs[d], mix);
            }
        scan_on(p, &scans[i], 0);
        scan_on(p, &scans[i], 1);
    }
    for (size_t i = 0; i < COUNT(deltas); i++) {
        for (size_t d = 0; d < COUNT(packs); d++)
            for (int mix = 0; mix < 4; mix++) {
                delta(p, &deltas[i], &packs[d], mix);
                delta_grad(p, &deltas[i], &packs[d], mix);
            }
        delta_on(p, &deltas[i], 0);
        delta_on(p, &deltas[i], 1);
    }
}

/*
 * parity_quant.c - weights as blocks, and banks of adapters
 *
 * What blocks say must be the CPU's to the bit; products with them are held to
 * the limits of other products.
 */
#include "parity.h"

#include <math.h>
#include <string.h>

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT
#define BF16 COMPUTE_BF16
#define F16 COMPUTE_F16

static const char *const kinds[] = { [COMPUTE_NF4] = "nf4",
                                     [COMPUTE_INT8] = "int8",
                                     [COMPUTE_Q8_0] = "q8_0",
                                     [COMPUTE_Q4_0] = "q4_0" };
#define KINDS 4

static bool in_halves(enum compute_quant kind)
{
    return kind == COMPUTE_Q8_0 || kind == COMPUTE_Q4_0;
}

/* Whether the device takes such blocks, of rows of k. */
static bool takes(const struct parity *p, enum compute_quant kind, size_t k)
{
    return HAS(p, quantise) &&
           (!in_halves(kind) ||
            (k % 32 == 0 && parity_has(p, COMPUTE_HAS_BLOCKS)));
}

/* In a run. */
static void quantise(struct parity *p, struct parity_array *w, size_t n,
                     size_t k, enum compute_quant kind)
{
    struct err err;

    if (p->c->ops->quantise(p->c, w->s, n, k, kind, &err) < 0)
        parity_fail(p, "quantise: %s", err.msg);
}

/* Weights that another program had as NF4, in the array's type. */
static void make_nf4(struct parity *p, struct parity_array *w)
{
    static const float code[16] = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f,
    };
    float size = 0;

    for (size_t i = 0; i < w->n; i++) {
        if (i % 64 == 0)
            size = (float)(0.02 * (1 + fabs(rng_normal(&p->rng))));
        w->x[i] =
            parity_rounded(p, w->type, code[rng_below(&p->rng, 16)] * size);
    }
}

/* A block of zeros, one of tiny values, and one with a large value. */
static void make_odd(const struct parity *p, struct parity_array *w)
{
    for (size_t i = 0; i < w->n && i < 64; i++)
        w->x[i] = 0;
    for (size_t i = 64; i < w->n && i < 128; i++)
        w->x[i] = parity_rounded(p, w->type, w->x[i] * 0x1p-7f);
    if (w->n > 200)
        w->x[200] = 50;
}

/* how 0: any weights, 1: odd ones, 2: NF4's */
static void values(struct parity *p, enum compute_quant kind, size_t n,
                   size_t k, enum compute_type type, int how)
{
    static const char *const names[] = { "", "-odd", "-again" };
    struct parity_array *w;

    if (!takes(p, kind, k) ||
        !parity_case(p, (double)(n * k), "quantise-%s-%zux%zu-%s%s",
                     kinds[kind], n, k, parity_type(type), names[how]))
        return;
    parity_limit(p, PARITY_SAME, 1);
    w = parity_inout(p, "w", type, n * k, 0.02);
    parity_whole(w);
    if (how == 1)
        make_odd(p, w);
    if (how == 2)
        make_nf4(p, w);
    while (parity_next(p))
        quantise(p, w, n, k, kind);
    parity_done(p);
}

static void embed(struct parity *p, enum compute_quant kind, size_t dim,
                  enum compute_type type)
{
    size_t vocab = 90, rows = 37;
    struct parity_array *w, *ids, *y, *z;

    if (!takes(p, kind, dim) ||
        !parity_case(p, (double)(rows * dim), "embed-%s-%zu-%s", kinds[kind],
                     dim, parity_type(type)))
        return;
    parity_limit(p, PARITY_ELEMENTS, 1);
    w = parity_noise(p, "w", BF16, vocab * dim, 0.02);
    ids = parity_ids(p, "ids", rows, vocab);
    y = parity_output(p, "y", type, rows * dim);
    z = parity_output(p, "z", F32, rows * dim);
    parity_whole(w);
    while (parity_next(p)) {
        quantise(p, w, vocab, dim, kind);
        p->c->ops->embed(p->c, y->s, w->s, ids->s, rows, dim);
        p->c->ops->gather(p->c, z->s, w->s, ids->s, rows, dim);
    }
    parity_done(p);
}

struct variant {
    const char *name;
    enum compute_type x, y;
    bool bias, addend, same; /* same: the addend is the output */
    size_t rank;
    float alpha;
    bool freeze;
};

static const struct variant variants[] = {
    { "plain", ACT, ACT, .alpha = 1 },
    { "bias", ACT, ACT, .bias = true, .alpha = 0.5f },
    { "residual", ACT, F32, .addend = true, .same = true, .alpha = 1,
      .freeze = true },
    { "mixed", F32, ACT, .addend = true, .alpha = 1 },
    { "rank8", ACT, ACT, .addend = true, .same = true, .rank = 8, .alpha = 1,
      .freeze = true },
    { "rank4-scaled", ACT, F32, .rank = 4, .alpha = 2 },
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct product {
    struct parity_array *x, *y, *w, *bias, *addend, *x2, *w2;
    struct compute_linear l;
};

static struct compute_span span(const struct parity_array *a)
{
    return a ? a->s : (struct compute_span){ 0 };
}

static struct compute_linear linear_of(const struct product *r)
{
    struct compute_linear l = r->l;

    l.x = span(r->x);
    l.y = span(r->y);
    l.w = span(r->w);
    l.bias = span(r->bias);
    l.addend = span(r->addend);
    l.x2 = span(r->x2);
    l.w2 = span(r->w2);
    return l;
}

/* Everything but x and y; cols: of the output. */
static void attach(struct parity *p, struct product *r, const struct variant *v,
                   struct parity_array *out, size_t cols)
{
    size_t m = r->l.m;

    r->l.alpha = v->alpha;
    r->w = parity_noise(p, "w", BF16, r->l.n * r->l.k, 1);
    parity_whole(r->w);
    if (v->addend)
        r->addend = v->same ? out : parity_noise(p, "add", v->y, m * cols, 1);
    if (v->rank > 0) {
        r->l.k2 = v->rank;
        r->x2 = parity_noise(p, "x2", ACT, m * v->rank, 1);
        r->w2 = parity_noise(p, "w2", F32, cols * v->rank, 0.3);
    }
}

static struct parity_array *out_array(struct parity *p, const struct variant *v,
                                      const char *name, size_t n)
{
    return v->same ? parity_inout(p, name, v->y, n, 1)
                   : parity_output(p, name, v->y, n);
}

static void begin_weights(struct parity *p, const struct product *r,
                          const struct variant *v, enum compute_quant kind)
{
    quantise(p, r->w, r->l.n, r->l.k, kind);
    if (v->freeze)
        parity_freeze(p, r->w, r->l.n, r->l.k, false);
}

static void run_linear(struct parity *p, enum compute_quant kind,
                       struct product r, const struct variant *v)
{
    parity_limit(p, PARITY_PRODUCT, r.l.k);
    r.x = parity_noise(p, "x", v->x, r.l.m * r.l.k, 1);
    r.y = out_array(p, v, "y", r.l.m * r.l.n);
    if (v->bias)
        r.bias = parity_noise(p, "bias", F32, r.l.n, 1);
    attach(p, &r, v, r.y, r.l.n);
    while (parity_next(p)) {
        struct compute_linear l;

        begin_weights(p, &r, v, kind);
        l = linear_of(&r);
        p->c->ops->linear(p->c, &l);
    }
    parity_done(p);
}

static void run_dx(struct parity *p, enum compute_quant kind, struct product r,
                   const struct variant *v)
{
    parity_limit(p, PARITY_PRODUCT, r.l.n);
    r.y = parity_noise(p, "dy", v->x, r.l.m * r.l.n, 1);
    r.x = out_array(p, v, "dx", r.l.m * r.l.k);
    attach(p, &r, v, r.x, r.l.k);
    while (parity_next(p)) {
        struct compute_linear l;

        begin_weights(p, &r, v, kind);
        l = linear_of(&r);
        p->c->ops->linear_dx(p->c, &l);
    }
    parity_done(p);
}

/* Every second variant of each shape: `turn` says which. */
static void products(struct parity *p, enum compute_quant kind, size_t m,
                     size_t n, size_t k, size_t turn)
{
    double work = (double)m * (double)n * (double)k;
    struct product r = { .l = { .m = m, .n = n, .k = k } };

    if (!takes(p, kind, k))
        return;
    for (size_t i = turn % 2; i < VARIANTS; i += 2) {
        if (parity_case(p, work, "linear-%s-%zux%zux%zu-%s", kinds[kind], m, n,
                        k, variants[i].name))
            run_linear(p, kind, r, &variants[i]);
        if (!in_halves(kind) && !variants[i].bias &&
            parity_case(p, work, "dx-%s-%zux%zux%zu-%s", kinds[kind], m, n, k,
                        variants[i].name))
            run_dx(p, kind, r, &variants[i]);
    }
}

/* A row's bits do not depend on the rows beside it. */
static void alone(struct parity *p, enum compute_quant kind, size_t m)
{
    size_t n = 70, k = 576;
    struct parity_array *x, *w, *y, *z;

    if (!takes(p, kind, k) ||
        !parity_case(p, (double)(2 * m * n * k), "linear-%s-%zu-alone",
                     kinds[kind], m))
        return;
    parity_limit(p, PARITY_PRODUCT, k);
    x = parity_noise(p, "x", ACT, m * k, 1);
    w = parity_noise(p, "w", F16, n * k, 1);
    y = parity_output(p, "y", F32, m * n);
    z = parity_output(p, "z", F32, m * n);
    parity_whole(w);
    while (parity_next(p)) {
        struct compute_linear l = {
            .y = y->s, .x = x->s, .w = w->s, .m = m, .n = n, .k = k, .alpha = 1
        };

        quantise(p, w, n, k, kind);
        p->c->ops->linear(p->c, &l);
        l.m = 1;
        for (size_t i = 0; i < m; i++) {
            l.y = compute_at(z->s, i * n);
            l.x = compute_at(x->s, i * k);
            p->c->ops->linear(p->c, &l);
        }
    }
    if (memcmp(y->result[1], z->result[1], m * n * sizeof(float)) != 0)
        parity_fail(p, "rows alone have other bits");
    parity_done(p);
}

/* Blocks as a file has them: sizes that quantising would not have chosen. */
static void from_file(struct parity *p, enum compute_quant kind, size_t n,
                      size_t k)
{
    size_t each = kind == COMPUTE_Q8_0 ? 34 : 18, bytes = n * k / 32 * each;
    unsigned char file[34 * 500];
    struct parity_array *w;

    if (!takes(p, kind, k) || bytes > sizeof(file) ||
        !parity_case(p, (double)(n * k), "quantise_blocks-%s-%zux%zu",
                     kinds[kind], n, k))
        return;
    parity_limit(p, PARITY_SAME, 1);
    for (size_t i = 0; i < bytes; i++)
        file[i] = (unsigned char)rng_below(&p->rng, 256);
    for (size_t i = 0; i < bytes; i += each)
        file[i + 1] &= 0xbf; /* finite */
    w = parity_inout(p, "w", F16, n * k, 1);
    parity_whole(w);
    while (parity_next(p)) {
        struct err err;

        if (p->c->ops->quantise_blocks(p->c, w->s, n, k, kind, file, &err) < 0)
            parity_fail(p, "quantise_blocks: %s", err.msg);
    }
    parity_done(p);
}

/* Layers that share x. */
static void together(struct parity *p, enum compute_quant kind, size_t m)
{
    size_t n[] = { 64, 33, 20 }, k = 256;
    struct parity_array *x, *w[3], *y[3];

    if (!HAS(p, linears) || !takes(p, kind, k) ||
        !parity_case(p, (double)(m * 117 * k), "linears-%s-%zu", kinds[kind],
                     m))
        return;
    parity_limit(p, PARITY_PRODUCT, k);
    x = parity_noise(p, "x", ACT, m * k, 1);
    for (size_t i = 0; i < 3; i++) {
        w[i] = parity_noise(p, "w", BF16, n[i] * k, 1);
        y[i] = parity_output(p, "y", ACT, m * n[i]);
        parity_whole(w[i]);
    }
    while (parity_next(p)) {
        struct compute_linear l[3] = { 0 };

        for (size_t i = 0; i < 3; i++) {
            quantise(p, w[i], n[i], k, kind);
            l[i] = (struct compute_linear){ .y = y[i]->s,
                                            .x = x->s,
                                            .w = w[i]->s,
                                            .m = m,
                                            .n = n[i],
                                            .k = k,
                                            .alpha = 1 };
        }
        p->c->ops->linears(p->c, l, 3);
    }
    parity_done(p);
}

#define BRANCHES 5

/* A bank's adapters over some of the rows, frozen or not. */
static void branches(struct parity *p, size_t rows, size_t n, size_t k,
                     enum compute_type type, bool frozen)
{
    static const size_t ranks[BRANCHES] = { 8, 16, 4, 64, 1 };
    struct parity_array *x, *y, *low, *a[BRANCHES], *b[BRANCHES];

    if (!HAS(p, branches) ||
        !parity_case(p, (double)(BRANCHES * rows * 16 * (n + k)),
                     "branches-%zux%zux%zu-%s%s", rows, n, k, parity_type(type),
                     frozen ? "-frozen" : ""))
        return;
    parity_limit(p, PARITY_PRODUCT, k);
    p->limit *= 2; /* two products, one after the other */
    x = parity_noise(p, "x", ACT, (BRANCHES + 1) * rows * k, 1);
    y = parity_inout(p, "y", type, (BRANCHES + 1) * rows * n, 1);
    low = parity_noise(p, "low", ACT, (BRANCHES + 1) * rows * 64, 1);
    for (size_t i = 0; i < BRANCHES; i++) {
        a[i] = parity_noise(p, "a", F32, ranks[i] * k, 0.05);
        b[i] = parity_noise(p, "b", F32, n * ranks[i], 0.5);
        parity_whole(a[i]);
        parity_whole(b[i]);
    }
    while (parity_next(p)) {
        struct compute_branch each[BRANCHES];
        struct compute_branches all = {
            .y = y->s, .x = x->s, .low = low->s, .n = n, .k = k, .each = each
        };

        for (size_t i = 0; i < BRANCHES; i++) {
            if (frozen) {
                parity_freeze(p, a[i], ranks[i], k, true);
                parity_freeze(p, b[i], n, ranks[i], true);
            }
            /* The first rows have none, the third branch has one row. */
            each[all.count++] =
                (struct compute_branch){ .from = (i + 1) * rows,
                                         .rows = i == 2 ? 1 : rows,
                                         .rank = ranks[i],
                                         .scale = 0.5f + (float)i,
                                         .a = a[i]->s,
                                         .b = b[i]->s };
        }
        p->c->ops->branches(p->c, &all);
    }
    parity_done(p);
}

static const size_t rows[] = { 1, 2, 5, 8, 9, 17, 33, 64, 200 };
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void of_kind(struct parity *p, enum compute_quant kind)
{
    static const size_t shapes[][2] = { { 1, 1 },    { 1, 64 }, { 3, 37 },
                                        { 33, 130 }, { 6, 96 }, { 70, 576 } };
    static const enum compute_type types[] = { F32, BF16, F16 };
    static const size_t layers[][2] = {
        { 48, 64 }, { 33, 130 }, { 100, 256 }, { 30, 96 }, { 300, 576 }
    };

    for (size_t i = 0; i < 6; i++)
        for (size_t t = 0; t < 3; t++)
            for (int how = 0; how < 3; how++)
                values(p, kind, shapes[i][0], shapes[i][1], types[t], how);
    for (size_t i = 0; i < 5; i++) {
        embed(p, kind, layers[i][1], ACT);
        embed(p, kind, layers[i][1], F32);
        for (size_t j = 0; j < ROWS; j++)
            products(p, kind, rows[j], layers[i][0], layers[i][1], i + j);
    }
    together(p, kind, 1);
    together(p, kind, 20);
}

void parity_quant(struct parity *p)
{
    for (int kind = 0; kind < KINDS; kind++)
        of_kind(p, (enum compute_quant)kind);
    for (int kind = COMPUTE_Q8_0; kind <= COMPUTE_Q4_0; kind++) {
        alone(p, (enum compute_quant)kind, 7);
        alone(p, (enum compute_quant)kind, 45);
        from_file(p, (enum compute_quant)kind, 1, 32);
        from_file(p, (enum compute_quant)kind, 7, 160);
        from_file(p, (enum compute_quant)kind, 20, 800);
    }
    for (int i = 0; i < 4; i++) {
        branches(p, 1, 300, 256, i % 2 ? F32 : ACT, i / 2);
        branches(p, 9, 130, 72, i % 2 ? F32 : ACT, i / 2);
        branches(p, 40, 64, 37, i % 2 ? F32 : ACT, i / 2);
        branches(p, 3, 33, 1024, i % 2 ? F32 : ACT, i / 2);
    }
}

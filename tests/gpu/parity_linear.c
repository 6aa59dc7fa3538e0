/*
 * parity_linear.c - matrix products: shapes times what may be attached
 *
 * Shapes are tiny, ragged, tall, wide, of an adapter's rank, of layers, and so
 * that a large tile's sum is cut in parts, forward and in both gradients;
 * each is run with each variant of types, freezing, bias, addend and pair.
 * What one operation does with several products must have the bits of the
 * operations it stands for.
 */
#include "parity.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT
#define BF16 COMPUTE_BF16
#define F16 COMPUTE_F16

enum addend { NONE, OTHER, SAME };
enum frozen { LOOSE, FROZEN, FORWARD_ONLY };

struct shape {
    size_t m, n, k;
};

static const struct shape shapes[] = {
    { 1, 1, 1 },        { 1, 64, 64 },      { 2, 3, 5 },
    { 7, 33, 17 },      { 16, 16, 16 },     { 33, 65, 129 },
    { 64, 64, 64 },     { 128, 128, 128 },  { 127, 129, 131 },
    { 129, 136, 200 },  { 256, 512, 384 },  { 300, 1000, 72 },
    { 3, 2048, 96 },    { 2048, 8, 96 },    { 1, 2048, 2048 },
    { 4, 3000, 512 },   { 8, 576, 1536 },   { 64, 1536, 576 },
    { 513, 257, 264 },  { 384, 768, 256 },  { 17, 1024, 2048 },
    { 300, 4, 512 },    { 300, 8, 576 },    { 300, 16, 2048 },
    { 257, 64, 1024 },  { 300, 2048, 16 },  { 260, 576, 8 },
    { 1024, 512, 512 }, { 1, 4099, 1024 },  { 2, 1024, 4096 },
    { 260, 384, 4096 }, { 260, 4096, 384 }, { 4096, 256, 384 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct variant {
    const char *name;
    enum compute_type x, y, w;
    enum frozen frozen;
    bool bias;
    enum addend addend;
    enum compute_type addend_type;
    size_t rank, odd;
    float alpha;
};

static const struct variant variants[] = {
    { "plain", ACT, ACT, F32, LOOSE, .alpha = 1 },
    { "bias", ACT, ACT, BF16, FROZEN, .bias = true, .alpha = 0.5f },
    { "add", ACT, ACT, BF16, LOOSE, .addend = OTHER, .addend_type = ACT,
      .alpha = 1 },
    { "residual", ACT, F32, F16, FROZEN, .addend = SAME, .alpha = 1 },
    { "mixed", F32, ACT, F32, FROZEN, .bias = true, .addend = OTHER,
      .addend_type = F32, .alpha = 1 },
    { "wide", F32, F32, F32, LOOSE, .bias = true, .rank = 16, .alpha = 1 },
    { "rank8", ACT, ACT, BF16, FROZEN, .addend = SAME, .rank = 8, .alpha = 1 },
    { "rank64", ACT, ACT, BF16, FROZEN, .bias = true, .addend = OTHER,
      .addend_type = F32, .rank = 64, .alpha = 1 },
    { "rank16", ACT, F32, BF16, LOOSE, .addend = SAME, .rank = 16, .alpha = 1 },
    { "rank4-odd", ACT, ACT, F32, LOOSE, .rank = 4, .odd = 1, .alpha = 2 },
    { "odd", ACT, ACT, BF16, LOOSE, .bias = true, .odd = 3, .alpha = 1 },
    { "half", ACT, ACT, F16, LOOSE, .alpha = 1 },
    { "forward", ACT, ACT, BF16, FORWARD_ONLY, .bias = true, .rank = 16,
      .alpha = 1 },
    { "logits", ACT, F32, F32, FORWARD_ONLY, .alpha = 1 },
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

/* What forward and the input's gradient share; n2: columns of the pair. */
static void attach(struct parity *p, const struct variant *v, struct product *r,
                   struct parity_array *out, size_t n2)
{
    size_t m = r->l.m;

    r->l.alpha = v->alpha;
    if (v->addend == OTHER)
        r->addend = parity_noise(p, "addend", v->addend_type, m * n2, 1);
    if (v->addend == SAME)
        r->addend = out;
    if (v->rank > 0) {
        r->l.k2 = v->rank;
        r->x2 = parity_noise(p, "x2", ACT, m * v->rank, 1);
        r->w2 = parity_noise(p, "w2", F32, n2 * v->rank, 0.3);
    }
    if (v->frozen != LOOSE)
        parity_whole(r->w);
    p->odd = 0;
}

static struct parity_array *out_array(struct parity *p, const struct variant *v,
                                      const char *name, enum compute_type type,
                                      size_t n)
{
    return v->addend == SAME ? parity_inout(p, name, type, n, 1)
                             : parity_output(p, name, type, n);
}

static void run_linear(struct parity *p, const struct shape *s,
                       const struct variant *v)
{
    struct product r = { .l = { .m = s->m, .n = s->n, .k = s->k } };

    p->odd = v->odd;
    parity_limit(p, PARITY_PRODUCT, s->k);
    r.x = parity_noise(p, "x", v->x, s->m * s->k, 1);
    r.w = parity_noise(p, "w", v->w, s->n * s->k, 1);
    if (v->bias)
        r.bias = parity_noise(p, "bias", F32, s->n, 1);
    r.y = out_array(p, v, "y", v->y, s->m * s->n);
    attach(p, v, &r, r.y, s->n);
    while (parity_next(p)) {
        struct compute_linear l = linear_of(&r);

        if (v->frozen != LOOSE)
            parity_freeze(p, r.w, s->n, s->k, v->frozen == FORWARD_ONLY);
        l.w = r.w->s;
        p->c->ops->linear(p->c, &l);
    }
    parity_done(p);
}

static void run_dx(struct parity *p, const struct shape *s,
                   const struct variant *v)
{
    struct product r = { .l = { .m = s->m, .n = s->n, .k = s->k } };

    p->odd = v->odd;
    parity_limit(p, PARITY_PRODUCT, s->n);
    r.y = parity_noise(p, "y", v->x, s->m * s->n, 1);
    r.w = parity_noise(p, "w", v->w, s->n * s->k, 1);
    r.x = out_array(p, v, "x", v->y, s->m * s->k);
    attach(p, v, &r, r.x, s->k);
    while (parity_next(p)) {
        struct compute_linear l = linear_of(&r);

        if (v->frozen != LOOSE)
            parity_freeze(p, r.w, s->n, s->k, false);
        l.w = r.w->s;
        p->c->ops->linear_dx(p->c, &l);
    }
    parity_done(p);
}

static void run_dw(struct parity *p, const struct shape *s,
                   enum compute_type type, bool bias, size_t odd)
{
    struct product r = { .l = { .m = s->m, .n = s->n, .k = s->k } };

    p->odd = odd;
    parity_limit(p, PARITY_PRODUCT, s->m);
    r.l.alpha = bias ? 0.5f : 1;
    r.y = parity_noise(p, "y", type, s->m * s->n, 1);
    r.x = parity_noise(p, "x", bias ? ACT : type, s->m * s->k, 1);
    r.w = parity_inout(p, "w", F32, s->n * s->k, 1);
    if (bias)
        r.bias = parity_inout(p, "bias", F32, s->n, 1);
    while (parity_next(p)) {
        struct compute_linear l = linear_of(&r);

        p->c->ops->linear_dw(p->c, &l);
    }
    parity_done(p);
}

static void shape_cases(struct parity *p, const struct shape *s)
{
    double work = (double)s->m * (double)s->n * (double)s->k;

    for (size_t i = 0; i < VARIANTS; i++)
        if (parity_case(p, work, "linear-%zux%zux%zu-%s", s->m, s->n, s->k,
                        variants[i].name))
            run_linear(p, s, &variants[i]);
    for (size_t i = 0; i < VARIANTS; i++)
        if (!variants[i].bias && variants[i].frozen != FORWARD_ONLY &&
            parity_case(p, work, "dx-%zux%zux%zu-%s", s->m, s->n, s->k,
                        variants[i].name))
            run_dx(p, s, &variants[i]);
    for (int i = 0; i < 4; i++) {
        enum compute_type type = i % 2 ? F32 : ACT;
        bool bias = i >= 2;

        if (parity_case(p, work, "dw-%zux%zux%zu-%s%s", s->m, s->n, s->k,
                        parity_type(type), bias ? "-bias" : ""))
            run_dw(p, s, type, bias, 0);
    }
    if (parity_case(p, work, "dw-%zux%zux%zu-odd", s->m, s->n, s->k))
        run_dw(p, s, ACT, true, 1);
}

/* Both weights of an adapter's branch frozen, as in generation. */
static void run_frozen_pair(struct parity *p, size_t m)
{
    size_t n = 1536, k = 2048, rank = 16;
    struct product low = { .l = { .m = m, .n = rank, .k = k, .alpha = 2 } };
    struct product r = { .l = {
                             .m = m, .n = n, .k = k, .k2 = rank, .alpha = 1 } };

    parity_limit(p, PARITY_PRODUCT, k);
    p->limit *= 2; /* two products, one after the other */
    low.x = r.x = parity_noise(p, "x", ACT, m * k, 1);
    low.w = parity_noise(p, "a", F32, rank * k, 0.02);
    low.y = r.x2 = parity_output(p, "low", ACT, m * rank);
    r.w = parity_noise(p, "w", BF16, n * k, 1);
    r.w2 = parity_noise(p, "b", F32, n * rank, 1);
    r.y = parity_output(p, "y", ACT, m * n);
    parity_whole(low.w);
    parity_whole(r.w);
    parity_whole(r.w2);
    while (parity_next(p)) {
        struct compute_linear first = linear_of(&low), l = linear_of(&r);

        parity_freeze(p, low.w, rank, k, true);
        parity_freeze(p, r.w, n, k, true);
        parity_freeze(p, r.w2, n, rank, true);
        p->c->ops->linear(p->c, &first);
        p->c->ops->linear(p->c, &l);
    }
    parity_done(p);
}

/* Weights that are kept narrow, read again after everything that changes them:
 * an operation for each row of y, and nothing before the first. */
enum { NARROW_M = 24, NARROW_N = 48, NARROW_K = 32, NARROW_STEPS = 8 };

static void narrow_change(struct parity *p, int step, struct compute_span w,
                          struct compute_span other, struct compute_span m,
                          struct compute_span v)
{
    const struct compute_ops *o = p->c->ops;
    size_t n = NARROW_N * NARROW_K, part = NARROW_K * 8;
    struct compute_adamw a = { .p = w,
                               .g = other,
                               .m = m,
                               .v = v,
                               .n = n,
                               .lr = 0.1,
                               .beta1 = 0.9,
                               .beta2 = 0.99,
                               .eps = 1e-8,
                               .grad_scale = 1,
                               .step = 1 };
    struct compute_linear dw = { .y = other,
                                 .x = compute_at(other, n / 2),
                                 .w = compute_at(w, part),
                                 .m = 4,
                                 .n = 8,
                                 .k = NARROW_K,
                                 .alpha = 1 };
    struct compute_linear own = { .y = compute_at(w, n - part),
                                  .x = other,
                                  .w = w,
                                  .m = 8,
                                  .n = NARROW_K,
                                  .k = NARROW_K,
                                  .alpha = 1 };
    float *x;

    switch (step) {
    case 1: o->axpy(p->c, compute_at(w, part), 0.5f, other, part); break;
    case 2: o->adamw(p->c, &a); break;
    case 3: o->linear_dw(p->c, &dw); break;
    case 4: o->copy(p->c, w, other, part); break;
    case 5: o->fill(p->c, compute_at(w, part), 0.25f, part); break;
    case 6:
        x = mem_array(part, sizeof(*x));
        o->download(p->c, x, compute_at(other, part), part);
        o->upload(p->c, compute_at(w, n - part), x, part);
        free(x);
        break;
    case 7: o->linear(p->c, &own); break;
    default: break;
    }
}

static void run_narrow(struct parity *p)
{
    size_t n = NARROW_N * NARROW_K, out = NARROW_M * NARROW_N;
    struct product r = {
        .l = { .m = NARROW_M, .n = NARROW_N, .k = NARROW_K, .alpha = 1 }
    };
    struct parity_array *other, *m, *v;

    parity_limit(p, PARITY_PRODUCT, NARROW_K);
    p->limit *= 2; /* the weights are results, too */
    r.x = parity_noise(p, "x", ACT, NARROW_M * NARROW_K, 1);
    r.w = parity_noise(p, "w", F32, n, 1);
    parity_whole(r.w);
    other = parity_noise(p, "other", F32, n, 0.5);
    m = parity_inout(p, "m", F32, n, 0.1);
    v = parity_output(p, "v", F32, n);
    r.y = parity_output(p, "y", F32, NARROW_STEPS * out);
    while (parity_next(p)) {
        struct compute_linear l = linear_of(&r);
        struct err err;

        if (p->c->ops->keep_narrow &&
            p->c->ops->keep_narrow(p->c, r.w->s, &err) < 0)
            parity_fail(p, "%s", err.msg);
        p->c->ops->fill(p->c, v->s, 1, n);
        for (int i = 0; i < NARROW_STEPS; i++) {
            narrow_change(p, i, r.w->s, other->s, m->s, v->s);
            l.y = compute_at(r.y->s, (size_t)i * out);
            p->c->ops->linear(p->c, &l);
        }
    }
    parity_done(p);
}

/* Layers of one x, as one operation and by themselves. */
struct joint {
    size_t m, n, k, rank, odd;
    enum compute_type type;
    bool bias, thin; /* thin: the gate is not kept */
};

enum { JOINT = 3 };

struct joint_arrays {
    struct product r[JOINT];
    struct parity_array *alone[JOINT]; /* y by itself */
};

static void joint_layer(struct parity *p, const struct joint *s,
                        struct joint_arrays *a, size_t i, size_t n)
{
    struct product *r = &a->r[i];

    *r = (struct product){
        .l = { .m = s->m, .n = n, .k = s->k, .k2 = s->rank, .alpha = 1 }
    };
    r->x = i ? a->r[0].x : parity_noise(p, "x", s->type, s->m * s->k, 1);
    r->w = parity_noise(p, "w", F32, n * s->k, 1);
    if (s->bias)
        r->bias = parity_noise(p, "bias", F32, n, 1);
    if (s->rank > 0) {
        r->x2 = parity_noise(p, "x2", s->type, s->m * s->rank, 1);
        r->w2 = parity_noise(p, "w2", F32, n * s->rank, 0.3);
        parity_whole(r->w2);
    }
    r->y = parity_output(p, "y", s->type, s->m * n);
    a->alone[i] = parity_output(p, "alone", s->type, s->m * n);
    parity_whole(r->w);
}

static void joint_freeze(struct parity *p, const struct joint *s,
                         const struct product *r)
{
    parity_freeze(p, r->w, r->l.n, s->k, true);
    if (s->rank > 0)
        parity_freeze(p, r->w2, r->l.n, s->rank, true);
}

static void same_bits(struct parity *p, const struct parity_array *one,
                      const struct parity_array *other, size_t n)
{
    float *u = mem_array(n, sizeof(*u)), *v = mem_array(n, sizeof(*v));

    p->c->ops->download(p->c, u, one->s, n);
    p->c->ops->download(p->c, v, other->s, n);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&u[i], &v[i], sizeof(*u)) != 0) {
            parity_fail(p, "element %zu: %.9g, and %.9g by itself", i,
                        (double)u[i], (double)v[i]);
            break;
        }
    free(u);
    free(v);
}

static void run_linears(struct parity *p, const struct joint *s)
{
    struct joint_arrays a;

    p->odd = s->odd;
    parity_limit(p, PARITY_PRODUCT, s->k);
    for (size_t i = 0; i < JOINT; i++)
        joint_layer(p, s, &a, i, i ? s->n / 4 + i : s->n);
    while (parity_next(p)) {
        struct compute_linear l[JOINT];

        for (size_t i = 0; i < JOINT; i++) {
            joint_freeze(p, s, &a.r[i]);
            l[i] = linear_of(&a.r[i]);
        }
        p->c->ops->linears(p->c, l, JOINT);
        for (size_t i = 0; i < JOINT; i++) {
            l[i].y = a.alone[i]->s;
            p->c->ops->linear(p->c, &l[i]);
            same_bits(p, a.r[i].y, a.alone[i], s->m * l[i].n);
        }
    }
    parity_done(p);
}

static void run_linear_swiglu(struct parity *p, const struct joint *s)
{
    size_t n = s->m * s->n;
    struct parity_array *h, *apart;
    struct joint_arrays a;

    p->odd = s->odd;
    parity_limit(p, PARITY_PRODUCT, s->k);
    joint_layer(p, s, &a, 0, s->n);
    joint_layer(p, s, &a, 1, s->n);
    h = parity_output(p, "h", s->type, n);
    apart = parity_output(p, "apart", s->type, n);
    p->limit *= 2; /* a product of two sums */
    while (parity_next(p)) {
        const struct compute_ops *o = p->c->ops;
        struct compute_linear l[2];

        for (size_t i = 0; i < 2; i++) {
            joint_freeze(p, s, &a.r[i]);
            l[i] = linear_of(&a.r[i]);
            l[i].y = a.alone[i]->s;
            o->linear(p->c, &l[i]);
        }
        o->swiglu(p->c, apart->s, l[1].y, l[0].y, n);
        if (s->thin)
            o->copy(p->c, a.r[1].y->s, l[1].y, n);
        l[0].y = a.r[0].y->s;
        l[1].y = s->thin ? h->s : a.r[1].y->s;
        if (o->linear_swiglu) {
            o->linear_swiglu(p->c, &l[0], &l[1], h->s);
        } else {
            o->linears(p->c, l, 2);
            o->swiglu(p->c, h->s, l[1].y, l[0].y, n);
        }
        same_bits(p, h, apart, n);
        same_bits(p, a.r[0].y, a.alone[0], n);
        same_bits(p, a.r[1].y, a.alone[1], n);
    }
    parity_done(p);
}

static void joint_cases(struct parity *p)
{
    static const struct joint each[] = {
        { 1, 2048, 256, 0, 0, ACT, false, true },
        { 2, 520, 512, 16, 0, ACT, true, false },
        { 3, 130, 64, 16, 0, ACT, false, true },
        { 5, 4100, 64, 8, 0, ACT, false, true },
        { 8, 72, 2048, 0, 0, ACT, true, true },
        { 1, 64, 256, 4, 1, ACT, false, false },
        { 4, 96, 128, 0, 0, F32, true, true },
        { 20, 200, 96, 8, 0, ACT, false, true },
        { 70, 264, 520, 16, 0, ACT, true, false },
        { 300, 136, 64, 0, 0, F32, false, true },
        { 1000, 776, 72, 16, 0, ACT, false, true },
        { 1000, 776, 72, 0, 0, ACT, true, false },
        { 900, 1026, 64, 0, 1, ACT, false, false },
        { 200, 1024, 1024, 0, 0, ACT, false, true },
    };

    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
        const struct joint *s = &each[i];
        double work = 6 * (double)s->m * (double)s->n * (double)s->k;

        if (HAS(p, linears) &&
            parity_case(p, work, "linears-%zux%zux%zu-%zu-%s%s", s->m, s->n,
                        s->k, s->rank, parity_type(s->type),
                        s->odd ? "-odd" : ""))
            run_linears(p, s);
        if (parity_case(p, work, "linear_swiglu-%zux%zux%zu-%zu-%s%s%s", s->m,
                        s->n, s->k, s->rank, parity_type(s->type),
                        s->thin ? "-thin" : "", s->odd ? "-odd" : ""))
            run_linear_swiglu(p, s);
    }
}

static void no_rows(struct parity *p)
{
    struct product r = { .l = { .n = 64, .k = 64, .alpha = 1 } };

    r.x = parity_noise(p, "x", ACT, 64, 1);
    r.y = parity_inout(p, "y", ACT, 64, 1);
    r.w = parity_inout(p, "w", F32, 64 * 64, 1);
    while (parity_next(p)) {
        struct compute_linear l = linear_of(&r);

        p->c->ops->linear(p->c, &l);
        p->c->ops->linear_dx(p->c, &l);
        p->c->ops->linear_dw(p->c, &l);
    }
    parity_done(p);
}

void parity_linear(struct parity *p)
{
    static const size_t rows[] = { 1, 5, 64, 130 };

    for (size_t i = 0; i < SHAPES; i++)
        shape_cases(p, &shapes[i]);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (parity_case(p, 3e6 * (double)rows[i], "linear-%zu-frozen-pair",
                        rows[i]))
            run_frozen_pair(p, rows[i]);
    joint_cases(p);
    if (parity_case(p, 3e5, "linear-narrow"))
        run_narrow(p);
    if (parity_case(p, 1, "linear-no-rows"))
        no_rows(p);
}

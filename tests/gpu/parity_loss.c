/*
 * parity_loss.c - cross entropy, teachers, the largest logit, draws, the
 * optimizer
 */
#include "parity.h"

#include "base/mem.h"

#include "model/model_sample.h"

#include <math.h>
#include <stdlib.h>

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT

static enum compute_type side(int bit)
{
    return bit ? F32 : ACT;
}

struct loss {
    size_t rows, vocab, k;
    enum compute_type x, w;
    bool dx, dw, frozen, forward_only, bias;
    float softcap;
};

static void run_loss(struct parity *p, const struct loss *s)
{
    struct parity_array *x, *w, *labels, *nll, *dx = NULL, *dw = NULL;
    struct parity_array *bias = NULL, *dbias = NULL;

    parity_limit(p, PARITY_PRODUCT, s->k + s->vocab);
    x = parity_noise(p, "x", s->x, s->rows * s->k, 1);
    w = parity_noise(p, "w", s->w, s->vocab * s->k, 2 / sqrt((double)s->k));
    if (s->frozen)
        parity_whole(w);
    labels = parity_ids(p, "labels", s->rows, s->vocab);
    nll = parity_output(p, "nll", F32, s->rows);
    if (s->dx)
        dx = parity_output(p, "dx", s->x, s->rows * s->k);
    if (s->dw)
        dw = parity_inout(p, "dw", F32, s->vocab * s->k, 1e-3);
    if (s->bias) {
        bias = parity_noise(p, "bias", F32, s->vocab, 1);
        dbias = parity_inout(p, "dbias", F32, s->vocab, 1e-3);
    }
    while (parity_next(p)) {
        struct compute_cross_entropy e = { .x = x->s,
                                           .labels = labels->s,
                                           .nll = nll->s,
                                           .rows = s->rows,
                                           .vocab = s->vocab,
                                           .k = s->k,
                                           .scale = 1 / (float)s->rows,
                                           .softcap = s->softcap };

        if (s->frozen)
            parity_freeze(p, w, s->vocab, s->k, s->forward_only);
        e.w = w->s;
        if (dx)
            e.dx = dx->s;
        if (dw)
            e.dw = dw->s;
        if (bias) {
            e.bias = bias->s;
            e.dbias = dbias->s;
        }
        p->c->ops->cross_entropy(p->c, &e);
    }
    parity_done(p);
}

static void loss_cases(struct parity *p, size_t rows, size_t vocab, size_t k)
{
    static const struct loss kinds[] = {
        { .x = ACT, .w = COMPUTE_F32, .dx = true },
        { .x = ACT, .w = COMPUTE_BF16, .dx = true, .frozen = true },
        { .x = ACT, .w = COMPUTE_F16, .frozen = true, .forward_only = true },
        { .x = F32, .w = COMPUTE_F32, .dx = true, .dw = true },
        { .x = ACT, .w = COMPUTE_F32, .dx = true, .dw = true },
        { .x = ACT, .w = COMPUTE_BF16 },
        { .x = ACT, .w = COMPUTE_F32, .dx = true, .dw = true, .bias = true },
        { .x = ACT, .w = COMPUTE_BF16, .dx = true, .softcap = 3 },
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct loss s = kinds[i];

        if ((s.bias && !parity_has(p, COMPUTE_HAS_HEAD_BIAS)) ||
            (s.softcap > 0 && !parity_has(p, COMPUTE_HAS_SOFTCAP)))
            continue;
        s.rows = rows;
        s.vocab = vocab;
        s.k = k;
        if (parity_case(p, (double)rows * (double)(vocab * k),
                        "cross_entropy-%zux%zux%zu-%s-%s%s%s%s%s%s", rows,
                        vocab, k, parity_type(s.x), parity_type(s.w),
                        s.dx ? "-dx" : "", s.dw ? "-dw" : "",
                        s.frozen ? "-frozen" : "", s.bias ? "-bias" : "",
                        s.softcap > 0 ? "-cap" : ""))
            run_loss(p, &s);
    }
}

struct distill {
    size_t rows, vocab, k, tk, top; /* tk or top */
    enum compute_type w;
    bool wide, dx, dw, bias, frozen; /* wide: x is f32 */
    float softcap, temperature, mix;
};

/* Lists of different ids with nine tenths of the mass; one row has none, some
 * are short, and some have the label. */
static void make_lists(struct parity *p, const struct distill *s,
                       struct parity_array *labels, struct parity_array *ids,
                       struct parity_array *logp)
{
    for (size_t r = 0; r < s->rows; r++) {
        int32_t *id = ids->ids + r * s->top;
        float *lp = logp->x + r * s->top;
        size_t from = rng_below(&p->rng, s->vocab);
        size_t n = r % 7 == 3 ? 0 : r % 5 == 4 ? s->top / 2 : s->top;
        double sum = 0;

        for (size_t i = 0; i < s->top; i++) {
            id[i] = i < n ? (int32_t)((from + 3 * i) % s->vocab) : -1;
            sum += i < n ? exp((double)lp[i]) : 0;
        }
        for (size_t i = 0; i < n; i++)
            lp[i] = (float)((double)lp[i] - log(sum / 0.9));
        if (r % 2 && n > 0)
            labels->ids[r] = id[n / 2];
    }
}

static void run_distill(struct parity *p, const struct distill *s)
{
    struct parity_array *x, *w, *labels, *nll, *loss, *dx = NULL, *dw = NULL;
    struct parity_array *bias = NULL, *dbias = NULL, *tx = NULL, *tw = NULL;
    struct parity_array *ids = NULL, *logp = NULL;

    parity_limit(p, PARITY_PRODUCT, s->k + s->vocab);
    x = parity_noise(p, "x", side(s->wide), s->rows * s->k, 1);
    w = parity_noise(p, "w", s->w, s->vocab * s->k, 2 / sqrt((double)s->k));
    if (s->frozen)
        parity_whole(w);
    labels = parity_ids(p, "labels", s->rows, s->vocab);
    nll = parity_output(p, "nll", F32, s->rows);
    loss = parity_output(p, "loss", F32, s->rows);
    if (s->dx)
        dx = parity_output(p, "dx", side(s->wide), s->rows * s->k);
    if (s->dw)
        dw = parity_inout(p, "dw", F32, s->vocab * s->k, 1e-3);
    if (s->bias) {
        bias = parity_noise(p, "bias", F32, s->vocab, 1);
        dbias = parity_inout(p, "dbias", F32, s->vocab, 1e-3);
    }
    if (s->tk) {
        tx = parity_noise(p, "tx", side(s->wide), s->rows * s->tk, 1);
        tw = parity_noise(p, "tw", s->w, s->vocab * s->tk,
                          2 / sqrt((double)s->tk));
    } else {
        ids = parity_ids(p, "top_ids", s->rows * s->top, 1);
        logp = parity_noise(p, "top_logp", F32, s->rows * s->top, 2);
        make_lists(p, s, labels, ids, logp);
    }
    while (parity_next(p)) {
        struct compute_distill d = { .head = { .x = x->s,
                                               .labels = labels->s,
                                               .nll = nll->s,
                                               .rows = s->rows,
                                               .vocab = s->vocab,
                                               .k = s->k,
                                               .scale = 1 / (float)s->rows,
                                               .softcap = s->softcap },
                                     .loss = loss->s,
                                     .temperature = s->temperature,
                                     .mix = s->mix,
                                     .tk = s->tk,
                                     .tsoftcap = s->tk ? s->softcap : 0,
                                     .top = s->top };

        if (s->frozen)
            parity_freeze(p, w, s->vocab, s->k, false);
        d.head.w = w->s;
        if (dx)
            d.head.dx = dx->s;
        if (dw)
            d.head.dw = dw->s;
        if (bias) {
            d.head.bias = bias->s;
            d.head.dbias = dbias->s;
        }
        if (tx) {
            d.tx = tx->s;
            d.tw = tw->s;
            if (bias)
                d.tbias = bias->s;
        } else {
            d.top_ids = ids->s;
            d.top_logp = logp->s;
        }
        p->c->ops->distill(p->c, &d);
    }
    parity_done(p);
}

static void distill_cases(struct parity *p, size_t rows, size_t vocab, size_t k)
{
    static const struct distill kinds[] = {
        { .tk = 48, .dx = true, .temperature = 1, .mix = 1 },
        { .tk = 32,
          .w = COMPUTE_BF16,
          .dx = true,
          .frozen = true,
          .temperature = 2,
          .mix = 0.7f },
        { .tk = 64,
          .dx = true,
          .dw = true,
          .bias = true,
          .temperature = 2.5f,
          .mix = 0.3f },
        { .tk = 40,
          .wide = true,
          .dx = true,
          .softcap = 3,
          .temperature = 1.5f,
          .mix = 0.5f },
        { .tk = 24, .temperature = 2, .mix = 0.9f },
        { .top = 20, .dx = true, .temperature = 1, .mix = 0.8f },
        { .top = 64,
          .dx = true,
          .dw = true,
          .bias = true,
          .temperature = 1,
          .mix = 0.5f },
        { .top = 3,
          .wide = true,
          .dx = true,
          .softcap = 4,
          .temperature = 1,
          .mix = 1 },
        { .top = 700, .w = COMPUTE_BF16, .temperature = 1, .mix = 0.4f }
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct distill s = kinds[i];

        if (!(p->list || p->device->ops->distill) || s.top > vocab ||
            (s.bias && !parity_has(p, COMPUTE_HAS_HEAD_BIAS)) ||
            (s.softcap > 0 && !parity_has(p, COMPUTE_HAS_SOFTCAP)))
            continue;
        s.rows = rows;
        s.vocab = vocab;
        s.k = k;
        if (parity_case(p, (double)rows * (double)(vocab * (k + s.tk)),
                        "distill-%zux%zux%zu-%s%zu-%s-%s%s%s%s%s%s", rows,
                        vocab, k, s.tk ? "head" : "top", s.tk ? s.tk : s.top,
                        parity_type(side(s.wide)), parity_type(s.w),
                        s.dx ? "-dx" : "", s.dw ? "-dw" : "",
                        s.frozen ? "-frozen" : "", s.bias ? "-bias" : "",
                        s.softcap > 0 ? "-cap" : ""))
            run_distill(p, &s);
    }
}

static void no_labels(struct parity *p)
{
    struct parity_array *x, *w, *labels, *nll;

    x = parity_inout(p, "x", ACT, 64, 1);
    w = parity_inout(p, "w", F32, 64 * 64, 1);
    labels = parity_ids(p, "labels", 1, 1);
    nll = parity_inout(p, "nll", F32, 1, 1);
    while (parity_next(p)) {
        struct compute_cross_entropy e = { .x = x->s,
                                           .w = w->s,
                                           .labels = labels->s,
                                           .nll = nll->s,
                                           .dx = x->s,
                                           .vocab = 64,
                                           .k = 64,
                                           .scale = 1 };

        p->c->ops->cross_entropy(p->c, &e);
    }
    parity_done(p);
}

/* Few distinct values: nearly every row has equals. */
static void make_ties(struct parity_array *x)
{
    for (size_t i = 0; i < x->n; i++)
        x->x[i] = roundf(2 * x->x[i]) / 2;
}

static void argmax(struct parity *p, size_t rows, size_t vocab,
                   enum compute_type type, bool ties)
{
    struct parity_array *x, *ids, *logp;

    if (!parity_case(p, (double)(rows * vocab), "argmax-%zux%zu-%s%s", rows,
                     vocab, parity_type(type), ties ? "-ties" : ""))
        return;
    p->odd = vocab % 2;
    x = parity_noise(p, "logits", type, rows * vocab, 3);
    if (ties)
        make_ties(x);
    p->odd = 0;
    ids = parity_output(p, "ids", COMPUTE_I32, rows);
    logp = parity_output(p, "logp", F32, ties ? 0 : rows);
    parity_limit(p, PARITY_ELEMENTS, vocab);
    p->limit = 1e-5 + 1e-7 * sqrt((double)vocab);
    while (parity_next(p))
        p->c->ops->argmax(p->c, ids->s,
                          ties ? (struct compute_span){ 0 } : logp->s, x->s,
                          rows, vocab);
    parity_done(p);
}

/* As a step of training clips: by sums that stay on the device. loss: what is
 * among them besides; where it is not finite nothing may change. */
static void adamw_clipped(struct parity *p, size_t n, double clip, float loss)
{
    struct parity_array *w, *g, *m, *v, *l;

    if (!parity_case(p, (double)n, "adamw-%zu-clip-%g-%s", n, clip,
                     isfinite(loss) ? "finite" : "not"))
        return;
    p->limit = isfinite(loss) ? 1e-5 : 0;
    p->odd = n % 2;
    w = parity_inout(p, "p", F32, n, 1);
    g = parity_noise(p, "g", F32, n, 0.1);
    m = parity_inout(p, "m", F32, n, 0.1);
    v = parity_inout(p, "v", F32, n, 0.1);
    l = parity_noise(p, "l", F32, 100, 1);
    l->x[77] = loss;
    for (size_t i = 0; i < n; i++)
        v->x[i] *= v->x[i];
    while (parity_next(p)) {
        const struct compute_ops *o = p->c->ops;
        struct compute_span sums;
        struct err err;
        struct compute_adamw a = { .p = w->s,
                                   .g = g->s,
                                   .m = m->s,
                                   .v = v->s,
                                   .n = n,
                                   .lr = 1e-2,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .decay = 0.01,
                                   .step = 7,
                                   .sum_count = 2,
                                   .clip = clip };

        if (compute_alloc(p->c, COMPUTE_F64, 2, "sums", &sums, &err) < 0) {
            parity_fail(p, "%s", err.msg);
            continue;
        }
        o->fill(p->c, sums, 0, 2);
        o->accumulate(p->c, sums, g->s, n, true);
        o->accumulate(p->c, compute_at(sums, 1), l->s, 100, false);
        a.sums = sums;
        o->adamw(p->c, &a);
        compute_release(p->c, &sums);
    }
    parity_done(p);
}

/* docs of n rows, some of them without any. */
static void preference(struct parity *p, size_t docs, size_t n, bool factors)
{
    int32_t *starts = mem_array(docs + 1, sizeof(*starts));
    struct parity_array *own, *reference, *loss, *right, *f = NULL;
    size_t rows;

    starts[0] = 0;
    for (size_t d = 0; d < docs; d++)
        starts[d + 1] = starts[d] + (int32_t)(d % 5 == 3 ? 0 : n + d % 3);
    rows = (size_t)starts[docs];
    if (!parity_case(p, (double)rows, "preference-%zux%zu%s", docs, n,
                     factors ? "" : "-no-factors")) {
        free(starts);
        return;
    }
    own = parity_noise(p, "own", F32, rows, 1);
    reference = parity_noise(p, "reference", F32, rows, 1);
    loss = parity_output(p, "loss", F32, 1);
    right = parity_output(p, "right", F32, 1);
    if (factors)
        f = parity_output(p, "factors", F32, rows);
    while (parity_next(p)) {
        struct compute_preference x = { .own = own->s,
                                        .reference = reference->s,
                                        .starts = starts,
                                        .docs = docs,
                                        .beta = 0.3,
                                        .scale = 0.25 };
        double got[2] = { 0 };
        struct err err;

        if (f)
            x.factors = f->s;
        if (compute_alloc(p->c, COMPUTE_F64, 2, "sums", &x.sums, &err) < 0) {
            parity_fail(p, "%s", err.msg);
            continue;
        }
        p->c->ops->fill(p->c, x.sums, 0, 2);
        p->c->ops->preference(p->c, &x);
        p->c->ops->preference(p->c, &x); /* they are added to */
        p->c->ops->download(p->c, got, x.sums, 2);
        compute_release(p->c, &x.sums);
        parity_number(p, loss, got[0]);
        parity_number(p, right, got[1]);
    }
    parity_done(p);
    free(starts);
}

#define SETTINGS 13

static const struct model_sampling settings[SETTINGS] = {
    { .temperature = 1 },
    { .temperature = 0.7, .top_k = 40 },
    { .temperature = 1.5, .top_p = 0.9 },
    { .temperature = 1, .min_p = 0.02 },
    { .temperature = 0 },
    { .temperature = 0.8, .top_k = 60, .top_p = 0.8, .min_p = 0.1 },
    { .temperature = 20 },
    { .temperature = 1, .top_p = 1e-9 },
    { .temperature = 3, .top_k = 1 },
    { .temperature = 1, .min_p = 3 },
    { .temperature = 2, .top_k = 1000000, .top_p = 0.5 },
    { .temperature = 1e-4, .top_p = 1 },
    { .temperature = 2, .top_k = 5000, .min_p = 1e-3 }
};

enum logits {
    LOGITS_NOISE,
    LOGITS_TIES,
    LOGITS_ONE,
    LOGITS_FLAT,
    LOGITS_EDGES
};
#define LOGITS (LOGITS_EDGES + 1)

/* Rows of a kind: some impossible and many equal; all weight on one; all
 * equal; the largest ones equal, on both sides of where blocks may be cut. */
static void make_logits(struct parity_array *x, size_t vocab, enum logits kind)
{
    if (kind == LOGITS_TIES)
        make_ties(x);
    for (size_t i = 0; kind == LOGITS_TIES && i < x->n; i += 1 + i % 5)
        if (i % vocab != 0)
            x->x[i] = -INFINITY;
    for (size_t i = 0; i < x->n; i++) {
        size_t id = i % vocab;

        if (kind == LOGITS_ONE && id == vocab / 3)
            x->x[i] = 200;
        else if (kind == LOGITS_FLAT)
            x->x[i] = 1.5F;
        else if (kind == LOGITS_EDGES && (id % 32 == 0 || id % 32 == 31))
            x->x[i] = 9;
    }
}

/* What the host draws. */
static void sample_here(struct parity *p, const struct parity_array *x,
                        struct parity_array *ids, struct parity_array *logp,
                        size_t rows, size_t vocab, size_t first)
{
    for (size_t r = 0; r < rows; r++) {
        const float *row = x->x + r * vocab;
        int32_t id =
            model_sample(row, vocab, &settings[(first + r) % SETTINGS], r, 7);
        double sum = 0;
        float lp;

        for (size_t i = 0; i < vocab; i++)
            sum += exp((double)row[i]);
        lp = (float)((double)row[id] - log(sum));
        p->c->ops->upload(p->c, compute_at(ids->s, r), &id, 1);
        p->c->ops->upload(p->c, compute_at(logp->s, r), &lp, 1);
    }
}

/* Rows, which are read about five times, with settings from `first` on. */
static void sample(struct parity *p, size_t rows, size_t vocab, size_t first,
                   enum logits kind)
{
    static const char *const kinds[LOGITS] = { "", "-ties", "-one", "-flat",
                                               "-edges" };
    struct parity_array *x, *ids, *logp;
    struct compute_draw each[2 * SETTINGS * SETTINGS];

    if (!(p->list || p->device->ops->sample) ||
        !parity_case(p, 5 * (double)(rows * vocab), "sample-%zux%zu-%zu%s",
                     rows, vocab, first, kinds[kind]))
        return;
    p->odd = vocab % 2;
    x = parity_noise(p, "logits", F32, rows * vocab, 3);
    make_logits(x, vocab, kind);
    p->odd = 0;
    ids = parity_output(p, "ids", COMPUTE_I32, rows);
    logp = parity_output(p, "logp", F32, rows);
    p->limit = 1e-5 + 1e-7 * sqrt((double)vocab);
    for (size_t r = 0; r < rows; r++) {
        const struct model_sampling *s = &settings[(first + r) % SETTINGS];

        each[r] = (struct compute_draw){ .unit = model_sample_unit(s, r, 7),
                                         .temperature = s->temperature,
                                         .top_p = s->top_p,
                                         .min_p = s->min_p,
                                         .top_k = s->top_k };
    }
    while (parity_next(p))
        if (p->c->ops->sample)
            p->c->ops->sample(p->c, ids->s, logp->s, x->s, each, rows, vocab);
        else
            sample_here(p, x, ids, logp, rows, vocab, first);
    parity_done(p);
}

static void adamw(struct parity *p, size_t n, uint64_t step)
{
    struct parity_array *w, *g, *m, *v;

    if (!parity_case(p, (double)n, "adamw-%zu-%d", n, (int)step))
        return;
    p->limit = 1e-5; /* f32 in every precision */
    p->odd = n % 2;
    w = parity_inout(p, "p", F32, n, 1);
    g = parity_noise(p, "g", F32, n, 0.1);
    m = parity_inout(p, "m", F32, n, step > 1 ? 0.1 : 0);
    v = parity_inout(p, "v", F32, n, step > 1 ? 0.1 : 0);
    for (size_t i = 0; i < n; i++)
        v->x[i] *= v->x[i];
    while (parity_next(p)) {
        struct compute_adamw a = { .p = w->s,
                                   .g = g->s,
                                   .m = m->s,
                                   .v = v->s,
                                   .n = n,
                                   .lr = 1e-2,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .decay = 0.01,
                                   .grad_scale = 0.5,
                                   .step = step };

        p->c->ops->adamw(p->c, &a);
    }
    parity_done(p);
}

void parity_loss(struct parity *p)
{
    static const size_t lengths[] = { 1, 77, 4096, 100003 };

    loss_cases(p, 1, 257, 64);
    loss_cases(p, 63, 257, 40);
    loss_cases(p, 700, 257, 96);
    loss_cases(p, 65, 32003, 64);
    loss_cases(p, 1100, 2000, 64);
    loss_cases(p, 40, 128256, 32);
    distill_cases(p, 1, 257, 64);
    distill_cases(p, 70, 257, 40);
    distill_cases(p, 33, 4003, 64);
    distill_cases(p, 300, 2000, 32);
    if (parity_case(p, 1, "cross_entropy-no-rows"))
        no_labels(p);
    for (int i = 0; i < 4; i++) {
        enum compute_type type = i & 1 ? F32 : ACT;

        argmax(p, 1, 1, type, i & 2);
        argmax(p, 3, 257, type, i & 2);
        argmax(p, 64, 32003, type, i & 2);
        argmax(p, 5, 128256, type, i & 2);
        argmax(p, 300, 100, type, i & 2);
    }
    for (int with = 0; with < 2; with++) {
        preference(p, 2, 1, with);
        preference(p, 6, 33, with);
        preference(p, 64, 300, with);
        preference(p, 2, 5000, with);
    }
    for (int i = 0; i < LOGITS; i++) {
        enum logits kind = (enum logits)i;

        sample(p, 1, 1, 0, kind);
        sample(p, SETTINGS, 257, 0, kind);
        sample(p, 12 * SETTINGS, 100, 0, kind);
        sample(p, 1, 128256, 5, kind);
        sample(p, 3, 151936, 11, kind);
        if (kind > LOGITS_TIES)
            continue;
        sample(p, 3, 128256, 1, kind);
        sample(p, SETTINGS, 32003, 0, kind);
        sample(p, 64, 20000, 0, kind);
        sample(p, 64, 128256, 0, kind);
    }
    for (size_t i = 0; i < 4; i++) {
        adamw(p, lengths[i], 1);
        adamw(p, lengths[i], 1000);
        adamw_clipped(p, lengths[i], 1e-2, 1);
        adamw_clipped(p, lengths[i], 1e3, 1);
        adamw_clipped(p, lengths[i], 1, INFINITY);
    }
}

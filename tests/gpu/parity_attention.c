/*
 * parity_attention.c - packed and cached attention
 *
 * Documents of one row to thousands, heads that share keys and heads that do
 * not, dimensions that fill a tile and ones that do not.
 */
#include "parity.h"

#include <math.h>

#define F32 COMPUTE_F32
#define ACT COMPUTE_ACT
#define DOCS 12

struct packing {
    const char *name;
    size_t docs, lengths[DOCS];
};

static const struct packing packings[] = {
    { "one", 1, { 1 } },
    { "singles", 5, { 1, 1, 1, 2, 3 } },
    { "tile", 1, { 64 } },
    { "ragged", 3, { 65, 1, 128 } },
    { "long", 1, { 300 } },
    { "four", 4, { 17, 200, 33, 64 } },
    { "many", 12, { 5, 63, 64, 65, 1, 31, 127, 129, 2, 90, 16, 7 } },
    { "tail", 2, { 1000, 24 } },
    { "power", 3, { 128, 256, 128 } },
};
#define PACKINGS (sizeof(packings) / sizeof(packings[0]))

static const struct packing thousands = { "3000", 1, { 3000 } };
static const size_t dims[] = { 32, 64, 80, 96, 128 };
static const size_t wide = 256; /* Gemma's */
static const size_t heads_of[][2] = { { 2, 2 }, { 9, 3 }, { 8, 2 }, { 8, 1 } };

struct attention {
    struct compute_attention a;
    int32_t starts[DOCS + 1], seen[DOCS];
    enum compute_type type, o_type;
    size_t longest, odd;
    bool encoder;
};

static double pack(struct attention *t, const struct packing *g, size_t heads,
                   size_t kv_heads, size_t dim)
{
    double pairs = 0;

    *t = (struct attention){ .a = { .docs = g->docs,
                                    .heads = heads,
                                    .kv_heads = kv_heads,
                                    .dim = dim,
                                    .scale = 1 / sqrtf((float)dim) },
                             .type = ACT,
                             .o_type = ACT };
    for (size_t d = 0; d < g->docs; d++) {
        size_t n = g->lengths[d];

        t->starts[d + 1] = t->starts[d] + (int32_t)n;
        t->longest = n > t->longest ? n : t->longest;
        t->seen[d] = (int32_t)(d % 3 == 1 ? (n + 1) / 2 : n);
        pairs += (double)n * (double)(n + 1) / 2;
    }
    t->a.rows = (size_t)t->starts[g->docs];
    return pairs * 2 * (double)(heads * dim);
}

static struct compute_attention fill_in(const struct attention *t,
                                        struct parity_array *const *x)
{
    struct compute_attention a = t->a;

    a.starts = t->starts;
    a.seen = t->encoder ? t->seen : NULL;
    a.q = x[0]->s;
    a.k = x[1]->s;
    a.v = x[2]->s;
    a.o = x[3]->s;
    a.lse = x[4]->s;
    return a;
}

static void inputs(struct parity *p, const struct attention *t,
                   struct parity_array **x)
{
    size_t q = t->a.rows * t->a.heads * t->a.dim;
    size_t kv = t->a.rows * t->a.kv_heads * t->a.dim;

    p->odd = t->odd;
    x[0] = parity_noise(p, "q", t->type, q, 1);
    x[1] = parity_noise(p, "k", t->type, kv, 1);
    x[2] = parity_noise(p, "v", t->type, kv, 1);
    x[3] = parity_output(p, "o", t->o_type, q);
    x[4] = parity_output(p, "lse", F32, t->a.rows * t->a.heads);
}

static void forward(struct parity *p, const struct attention *t)
{
    struct parity_array *x[5];

    parity_limit(p, PARITY_ATTENTION, t->longest + t->a.dim);
    inputs(p, t, x);
    /* log of one term is the score itself, and may be near 0 */
    x[4]->floor = 1;
    while (parity_next(p)) {
        struct compute_attention a = fill_in(t, x);

        p->c->ops->attention(p->c, &a);
    }
    parity_done(p);
}

static void backward(struct parity *p, const struct attention *t)
{
    size_t q = t->a.rows * t->a.heads * t->a.dim;
    size_t kv = t->a.rows * t->a.kv_heads * t->a.dim;
    struct parity_array *x[5], *d_o, *dq, *dk, *dv;

    parity_limit(p, PARITY_ATTENTION_GRAD, t->longest + t->a.dim);
    inputs(p, t, x);
    x[4]->floor = 1;
    d_o = parity_noise(p, "d_o", t->o_type, q, 1);
    dq = parity_output(p, "dq", t->type, q);
    dk = parity_output(p, "dk", t->type, kv);
    dv = parity_output(p, "dv", t->type, kv);
    /* Of a row alone, d_o v - d_o o is nothing but rounding. */
    if (t->longest <= 3)
        dq->floor = dk->floor = 1;
    while (parity_next(p)) {
        struct compute_attention_grad g = { fill_in(t, x), d_o->s, dq->s, dk->s,
                                            dv->s };

        p->c->ops->attention(p->c, &g.fwd);
        p->c->ops->attention_grad(p->c, &g);
    }
    parity_done(p);
}

/* Window and softcap, where the device has them. */
static void limited(struct parity *p, const struct packing *g, size_t heads,
                    size_t kv_heads, size_t dim, size_t window, float softcap)
{
    struct attention t;
    double work = pack(&t, g, heads, kv_heads, dim);

    if ((window && !parity_has(p, COMPUTE_HAS_WINDOW)) ||
        (softcap > 0 && !parity_has(p, COMPUTE_HAS_SOFTCAP)))
        return;
    t.a.window = window;
    t.a.softcap = softcap;
    if (parity_case(p, work, "attention-%s-%zu/%zux%zu-window%zu-cap%.0f",
                    g->name, heads, kv_heads, dim, window, (double)softcap))
        forward(p, &t);
    if (parity_case(p, 3 * work,
                    "attention_grad-%s-%zu/%zux%zu-window%zu-cap%.0f", g->name,
                    heads, kv_heads, dim, window, (double)softcap))
        backward(p, &t);
}

/* All rows of a document see its first ones. */
static void encoder(struct parity *p, const struct packing *g, size_t heads,
                    size_t kv_heads, size_t dim, float softcap, int mix)
{
    struct attention t;
    double work = 2 * pack(&t, g, heads, kv_heads, dim);

    if (!parity_has(p, COMPUTE_HAS_ENCODER) ||
        (softcap > 0 && !parity_has(p, COMPUTE_HAS_SOFTCAP)))
        return;
    t.encoder = true;
    t.a.softcap = softcap;
    t.type = mix & 1 ? F32 : ACT;
    t.o_type = mix & 2 ? F32 : ACT;
    if (parity_case(p, work, "attention-%s-%zu/%zux%zu-encoder-cap%.0f-%s-%s",
                    g->name, heads, kv_heads, dim, (double)softcap,
                    parity_type(t.type), parity_type(t.o_type)))
        forward(p, &t);
}

static void both(struct parity *p, const struct packing *g, size_t heads,
                 size_t kv_heads, size_t dim, int mix)
{
    struct attention t;
    double work = pack(&t, g, heads, kv_heads, dim);

    t.type = mix & 1 ? F32 : ACT;
    t.o_type = mix & 2 ? F32 : ACT;
    t.odd = mix & 4 ? 1 : 0;
    if (parity_case(p, work, "attention-%s-%zu/%zux%zu-%s-%s%s", g->name, heads,
                    kv_heads, dim, parity_type(t.type), parity_type(t.o_type),
                    t.odd ? "-odd" : ""))
        forward(p, &t);
    if (parity_case(p, 3 * work, "attention_grad-%s-%zu/%zux%zu-%s-%s%s",
                    g->name, heads, kv_heads, dim, parity_type(t.type),
                    parity_type(t.o_type), t.odd ? "-odd" : ""))
        backward(p, &t);
}

static void no_docs(struct parity *p)
{
    struct attention t = { .type = ACT };
    struct parity_array *x[5];

    t.a = (struct compute_attention){
        .heads = 2, .kv_heads = 1, .dim = 64, .scale = 1
    };
    inputs(p, &t, x);
    while (parity_next(p)) {
        struct compute_attention a = fill_in(&t, x);
        struct compute_attention_grad g = { a, x[0]->s, x[3]->s, x[1]->s,
                                            x[2]->s };

        p->c->ops->attention(p->c, &a);
        p->c->ops->attention_grad(p->c, &g);
    }
    parity_done(p);
}

void parity_attention(struct parity *p)
{
    static const size_t windows[] = { 1, 31, 64, 65, 128, 129, 192, 256, 1025 };

    for (size_t i = 0; i < PACKINGS; i++)
        for (size_t d = 0; d < 5; d++) {
            size_t h = (i + d) % 4;

            both(p, &packings[i], heads_of[h][0], heads_of[h][1], dims[d], 0);
        }
    for (size_t h = 0; h < 4; h++)
        for (size_t d = 0; d < 5; d++)
            both(p, &packings[5], heads_of[h][0], heads_of[h][1], dims[d],
                 (int)(h + d) % 3 + 1);
    both(p, &packings[6], 4, 2, 64, 4);
    both(p, &packings[6], 4, 2, 128, 5);
    both(p, &packings[3], 6, 3, 36, 0);
    both(p, &packings[3], 2, 1, 8, 0);
    both(p, &thousands, 4, 1, 64, 0);
    both(p, &thousands, 4, 2, 128, 0);
    for (size_t d = 0; d < 5; d++) {
        limited(p, &packings[6], 4, 2, dims[d], 0, 5);
        limited(p, &packings[6], 4, 2, dims[d], 16, 0);
        limited(p, &packings[7], 4, 1, dims[d], 100, 20);
        limited(p, &packings[5], 2, 2, dims[d], 0, 20);
        limited(p, &packings[3], 8, 2, dims[d], 64, 10);
    }
    both(p, &packings[5], 4, 2, wide, 0);
    both(p, &packings[6], 4, 1, wide, 1);
    /* Windows within a tile, at the edges of tiles, one off them, and longer
     * than any document. */
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        const size_t *h = heads_of[i % 4];

        limited(p, &packings[5], h[0], h[1], dims[i % 5], windows[i], 0);
        limited(p, &packings[7], 4, 2, dims[(i + 3) % 5], windows[i],
                i % 2 ? 10 : 0);
        limited(p, &packings[6], 4, 1, i % 2 ? 64 : 128, windows[i],
                i % 2 ? 0 : 30);
    }
    limited(p, &packings[5], 4, 2, wide, 0, 50);
    limited(p, &packings[5], 4, 2, wide, 70, 50);
    limited(p, &packings[6], 2, 1, wide, 64, 0);
    limited(p, &packings[7], 2, 1, wide, 128, 0);
    limited(p, &thousands, 2, 1, 64, 512, 0);
    limited(p, &thousands, 2, 1, 128, 512, 0);
    for (size_t i = 0; i < PACKINGS; i++) {
        const size_t *h = heads_of[i % 4];

        encoder(p, &packings[i], h[0], h[1], dims[i % 5], i % 3 ? 0 : 10,
                (int)i % 4);
        encoder(p, &packings[i], 4, 4, i % 2 ? 64 : 128, 0, 0);
    }
    encoder(p, &packings[5], 2, 1, wide, 0, 0);
    encoder(p, &packings[6], 2, 2, 36, 20, 0);
    if (parity_case(p, 1, "attention-no-documents"))
        no_docs(p);
}

#define SEQS 6
#define SLOTS 9
#define STEPS 6

/* A chat of passes: prompts, pieces of prompts, single tokens. */
struct step {
    size_t seqs, rows[SEQS];
};

struct cached {
    struct compute_attention_cached a;
    int32_t starts[SEQS + 1], past[SEQS];
    const int32_t *slots;
};

static size_t prepare(struct cached *t, const struct step *s)
{
    for (size_t i = 0; i < s->seqs; i++)
        t->starts[i + 1] = t->starts[i] + (int32_t)s->rows[i];
    t->a.seqs = s->seqs;
    t->a.starts = t->starts;
    t->a.past = t->past;
    t->a.slots = t->slots;
    return (size_t)t->starts[s->seqs];
}

static struct compute_span some(struct parity *p, enum compute_type type,
                                size_t n)
{
    struct compute_span s = { 0 };
    struct err err;

    if (compute_alloc(p->c, type, n, "cache", &s, &err) < 0)
        parity_fail(p, "%s", err.msg);
    return s;
}

static void run_cached(struct parity *p, struct cached t,
                       const struct step *steps, size_t count)
{
    struct parity_array *q[STEPS], *k[STEPS], *v[STEPS], *o[STEPS];
    static const char *const names[] = { "o0", "o1", "o2", "o3", "o4", "o5" };

    parity_limit(p, PARITY_ATTENTION, t.a.capacity);
    for (size_t i = 0; i < count; i++) {
        size_t rows = prepare(&t, &steps[i]), kv = t.a.kv_heads * t.a.dim;

        q[i] = parity_noise(p, "q", ACT, rows * t.a.heads * t.a.dim, 1);
        k[i] = parity_noise(p, "k", ACT, rows * kv, 1);
        v[i] = parity_noise(p, "v", ACT, rows * kv, 1);
        o[i] = parity_output(p, names[i], i % 2 ? F32 : ACT,
                             rows * t.a.heads * t.a.dim);
    }
    while (parity_next(p)) {
        struct cached r = t;
        size_t keys, values;

        r.a.starts = r.starts;
        r.a.past = r.past;
        p->c->ops->cache_size(p->c, &r.a, SLOTS, &keys, &values);
        r.a.keys = some(p, t.a.type == F32 ? ACT : t.a.type, keys);
        r.a.values = some(p, t.a.type == F32 ? ACT : t.a.type, values);
        for (size_t i = 0; i < count; i++) {
            (void)prepare(&r, &steps[i]);
            r.a.q = q[i]->s;
            r.a.o = o[i]->s;
            p->c->ops->cache_store(p->c, &r.a, k[i]->s, v[i]->s);
            p->c->ops->attention_cached(p->c, &r.a);
            for (size_t s = 0; s < steps[i].seqs; s++)
                r.past[s] += (int32_t)steps[i].rows[s];
        }
        compute_release(p->c, &r.a.keys);
        compute_release(p->c, &r.a.values);
    }
    parity_done(p);
}

void parity_cached(struct parity *p)
{
    static const int32_t slots[SEQS] = { 3, 0, 7, 8, 1, 5 };
    static const struct step chats[][4] = {
        { { 1, { 1 } }, { 1, { 1 } }, { 1, { 1 } }, { 1, { 1 } } },
        { { 1, { 70 } }, { 1, { 1 } }, { 1, { 1 } }, { 1, { 3 } } },
        { { 3, { 5, 64, 100 } },
          { 3, { 1, 1, 1 } },
          { 3, { 1, 90, 1 } },
          { 3, { 1, 1, 1 } } },
        { { 6, { 33, 1, 128, 65, 7, 200 } },
          { 6, { 1, 1, 1, 1, 1, 1 } },
          { 6, { 1, 1, 1, 1, 1, 1 } },
          { 6, { 2, 1, 17, 1, 64, 1 } } },
        { { 2, { 900, 511 } },
          { 2, { 1, 1 } },
          { 2, { 1, 300 } },
          { 2, { 1, 1 } } },
    };
    static const struct step rounds[] = {
        { 3, { 200, 1, 128 } },   { 3, { 200, 200, 1 } }, { 3, { 1, 1, 1 } },
        { 3, { 190, 100, 200 } }, { 3, { 1, 2, 65 } },    { 3, { 1, 1, 1 } },
    };
    static const size_t windows[] = { 60, 64, 1, 128, 300, 33 };
    static const size_t capacities[] = { 4, 75, 160, 282, 1000 };

    for (size_t i = 0; i < 5; i++)
        for (size_t d = 0; d < 5; d++) {
            const size_t *h = heads_of[(i + d) % 4];
            struct cached t = { .a = { .heads = h[0],
                                       .kv_heads = h[1],
                                       .dim = dims[d],
                                       .capacity = capacities[i],
                                       .scale = 0.125f },
                                .slots = slots };
            double work = 4.0 * (double)(capacities[i] * h[0] * dims[d]);

            work *= (double)(i * i * 10 + 1);
            if (parity_case(p, work, "cached-%zu-%zu/%zux%zu", i, h[0], h[1],
                            dims[d]))
                run_cached(p, t, chats[i], 4);
            t.a.window = 60;
            t.a.softcap = 10;
            if (parity_has(p, COMPUTE_HAS_WINDOW) &&
                parity_has(p, COMPUTE_HAS_SOFTCAP) &&
                parity_case(p, work, "cached-%zu-%zu/%zux%zu-limited", i, h[0],
                            h[1], dims[d]))
                run_cached(p, t, chats[i], 4);
        }
    /* Narrow ones, some with all that a cache can have. */
    for (size_t d = 0; d < 12; d++) {
        const size_t *h = heads_of[d / 2 % 4];
        struct cached t = { .a = { .heads = h[0],
                                   .kv_heads = h[1],
                                   .dim = d / 2 < 5 ? dims[d / 2] : wide,
                                   .capacity = d % 4 < 2 ? 3000 : 760,
                                   .window = d % 4 < 2 ? 150 : 0,
                                   .step = 200,
                                   .softcap = d % 4 < 2 ? 0 : 20,
                                   .scale = 0.125f,
                                   .type = d % 2 ? COMPUTE_I8 : COMPUTE_F16 },
                            .slots = slots };

        if (parity_has(p, COMPUTE_HAS_NARROW_CACHE) &&
            parity_case(p, 2e7, "cached-%s-%zu/%zux%zu-window%zu-cap%.0f",
                        d % 2 ? "i8" : "f16", h[0], h[1], t.a.dim, t.a.window,
                        (double)t.a.softcap))
            run_cached(p, t, rounds, 6);
    }
    /* Steps are known: positions may go round. */
    for (size_t d = 0; d < 6; d++) {
        const size_t *h = heads_of[d % 4];
        struct cached t = { .a = { .heads = h[0],
                                   .kv_heads = h[1],
                                   .dim = d < 5 ? dims[d] : wide,
                                   .capacity = 3000,
                                   .window = windows[d],
                                   .step = 200,
                                   .softcap = d % 2 ? 20 : 0,
                                   .scale = 0.125f },
                            .slots = slots };

        if (parity_has(p, COMPUTE_HAS_WINDOW) &&
            (d % 2 == 0 || parity_has(p, COMPUTE_HAS_SOFTCAP)) &&
            parity_case(p, 2e7, "cached-ring-%zu/%zux%zu-window%zu", h[0], h[1],
                        t.a.dim, t.a.window))
            run_cached(p, t, rounds, 6);
    }
}

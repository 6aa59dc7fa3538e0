/*
 * bench_products.c - matrix products and attention at the sizes of models
 *
 * Cubes, the linear layers of Llama-3.2-1B and 3.1-8B at 4,096 tokens with
 * and without an adapter, single rows for decoding, drawing tokens, packed
 * attention.
 */
#include "bench.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKENS 4096
#define COPIES 4 /* of small weights, so that none stays in a cache */

struct product {
    const char *layer;
    size_t m, n, k;
};

static const struct product products[] = {
    { "cube", 1024, 1024, 1024 },          { "cube", 2048, 2048, 2048 },
    { "cube", 4096, 4096, 4096 },          { "cube", 8192, 8192, 8192 },
    { "1B q,o", TOKENS, 2048, 2048 },      { "1B k,v", TOKENS, 512, 2048 },
    { "1B gate,up", TOKENS, 8192, 2048 },  { "1B down", TOKENS, 2048, 8192 },
    { "8B q,o", TOKENS, 4096, 4096 },      { "8B k,v", TOKENS, 1024, 4096 },
    { "8B gate,up", TOKENS, 14336, 4096 }, { "8B down", TOKENS, 4096, 14336 },
};
#define PRODUCTS (sizeof(products) / sizeof(products[0]))

/* To see that it works: no size to judge a device by. */
static const struct product quick[] = { { "cube", 128, 128, 128 },
                                        { "tiny", 64, 128, 192 } };

struct job {
    struct compute_linear l;
    void (*op)(struct compute *c, const struct compute_linear *l);
    size_t copies, at;
};

static void run_product(struct bench *b, void *ctx)
{
    struct job *j = ctx;
    struct compute_linear l = j->l;

    l.w = compute_at(l.w, j->at * l.n * l.k);
    j->at = (j->at + 1) % j->copies;
    j->op(b->c, &l);
}

static void time_op(struct bench *b, const char *path, const struct product *p,
                    struct job j)
{
    double flops = 2.0 * (double)p->m * (double)p->n * (double)(p->k + j.l.k2);
    char shape[64];

    if (!bench_wants(b, path))
        return;
    j.copies = 1;
    (void)snprintf(shape, sizeof(shape), "%s %zux%zux%zu%s", p->layer, p->m,
                   p->n, p->k, j.l.k2 ? " r=16" : "");
    bench_flops(b, path, shape, bench_time(b, run_product, &j), flops);
}

/* An adapter's own products: into the rank, and both gradients. */
static void time_adapter(struct bench *b, const struct product *p,
                         struct compute_span x, struct compute_span y,
                         struct compute_span low, struct compute_span a)
{
    const struct compute_ops *o = b->c->ops;
    struct product in = { p->layer, p->m, 16, p->k };
    struct product out = { p->layer, p->m, p->n, 16 };
    struct job j = { .l = { .x = x,
                            .y = low,
                            .w = a,
                            .m = p->m,
                            .n = 16,
                            .k = p->k,
                            .alpha = 2 } };

    j.op = o->linear;
    time_op(b, "lora into rank", &in, j);
    j.op = o->linear_dw;
    time_op(b, "lora grad A", &in, j);
    j.l = (struct compute_linear){
        .x = low, .y = y, .w = a, .m = p->m, .n = p->n, .k = 16, .alpha = 1
    };
    time_op(b, "lora grad B", &out, j);
    j.op = o->linear_dx;
    time_op(b, "lora out of rank", &out, j);
}

static bool wants_product(const struct bench *b)
{
    static const char *const paths[] = { "linear",           "linear_dx",
                                         "linear_dw",        "lora into rank",
                                         "lora out of rank", "lora grad A",
                                         "lora grad B" };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (bench_wants(b, paths[i]))
            return true;
    return false;
}

static void time_product(struct bench *b, const struct product *p)
{
    const struct compute_ops *o = b->c->ops;
    struct compute_span x = bench_space(b, COMPUTE_ACT, p->m * p->k);
    struct compute_span y = bench_space(b, COMPUTE_ACT, p->m * p->n);
    struct compute_span w = bench_space(b, COMPUTE_BF16, p->n * p->k);
    struct compute_span dw = bench_space(b, COMPUTE_F32, p->n * p->k);
    size_t wide = p->n > p->k ? p->n : p->k;
    struct compute_span low = bench_space(b, COMPUTE_ACT, p->m * 16);
    struct compute_span a = bench_space(b, COMPUTE_F32, wide * 16);
    struct job j = { .l = { .x = x,
                            .y = y,
                            .w = w,
                            .m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .alpha = 1 } };
    bool cube = p->layer[0] == 'c';

    j.op = o->linear;
    time_op(b, "linear", p, j);
    j.op = o->linear_dx;
    time_op(b, "linear_dx", p, j);
    j.l.w = dw;
    j.op = o->linear_dw;
    if (cube)
        time_op(b, "linear_dw", p, j);
    if (!cube) {
        j.l.w = w;
        j.l.x2 = low;
        j.l.w2 = a;
        j.l.k2 = 16;
        j.op = o->linear;
        time_op(b, "linear", p, j);
        j.op = o->linear_dx;
        j.l.addend = x;
        time_op(b, "linear_dx", p, j);
        time_adapter(b, p, x, y, low, a);
    }
    compute_release(b->c, &x);
    compute_release(b->c, &y);
    compute_release(b->c, &w);
    compute_release(b->c, &dw);
    compute_release(b->c, &low);
    compute_release(b->c, &a);
}

/* Few rows: what counts is how fast the weights come in. */
static void time_decode(struct bench *b, const struct product *p, size_t rows)
{
    struct compute_span x = bench_space(b, COMPUTE_ACT, rows * p->k);
    struct compute_span y = bench_space(b, COMPUTE_ACT, rows * p->n);
    struct compute_span w = bench_space(b, COMPUTE_BF16, p->n * p->k * COPIES);
    struct job j = { .l = { .x = x,
                            .y = y,
                            .w = w,
                            .m = rows,
                            .n = p->n,
                            .k = p->k,
                            .alpha = 1 },
                     .op = b->c->ops->linear,
                     .copies = COPIES };
    char shape[64];

    (void)snprintf(shape, sizeof(shape), "%s %zux%zux%zu", p->layer, rows, p->n,
                   p->k);
    bench_bytes(b, "decode linear", shape, bench_time(b, run_product, &j),
                2.0 * (double)p->n * (double)p->k);
    compute_release(b->c, &x);
    compute_release(b->c, &y);
    compute_release(b->c, &w);
}

#define DRAWS 64 /* rows at most */

struct draws {
    struct compute_span ids, logp, logits;
    struct compute_draw each[DRAWS];
    size_t rows, vocab;
};

static void run_draws(struct bench *b, void *ctx)
{
    struct draws *d = ctx;

    b->c->ops->sample(b->c, d->ids, d->logp, d->logits, d->each, d->rows,
                      d->vocab);
}

/* Logits about as models have them: normal, the largest some 13 above all. */
static void time_draws(struct bench *b, size_t rows, size_t vocab)
{
    static const struct {
        const char *name;
        struct compute_draw how;
    } kinds[] = { { "greedy", { 0 } },
                  { "temperature", { .temperature = 1 } },
                  { "top-p", { .temperature = 1, .top_p = 0.9 } },
                  { "top-k, top-p",
                    { .temperature = 1, .top_p = 0.9, .top_k = 50 } } };
    struct draws d = { .rows = rows, .vocab = vocab };
    float *x = mem_array(rows * vocab, sizeof(*x));
    struct rng rng;

    rng_init(&rng, 1);
    for (size_t i = 0; i < rows * vocab; i++)
        x[i] = 3 * (float)rng_normal(&rng);
    d.ids = bench_space(b, COMPUTE_I32, rows);
    d.logp = bench_space(b, COMPUTE_F32, rows);
    d.logits = bench_space(b, COMPUTE_F32, rows * vocab);
    b->c->ops->upload(b->c, d.logits, x, rows * vocab);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        char shape[64];

        for (size_t i = 0; i < rows; i++) {
            d.each[i] = kinds[k].how;
            d.each[i].unit = ((double)i + 0.5) / (double)rows;
        }
        (void)snprintf(shape, sizeof(shape), "%s %zux%zu", kinds[k].name, rows,
                       vocab);
        bench_bytes(b, "decode sample", shape, bench_time(b, run_draws, &d),
                    4 * (double)rows * (double)vocab);
    }
    compute_release(b->c, &d.ids);
    compute_release(b->c, &d.logp);
    compute_release(b->c, &d.logits);
    free(x);
}

void bench_products(struct bench *b)
{
    if (b->c->ops->sample && bench_wants(b, "decode sample")) {
        time_draws(b, 1, b->quick ? 5000 : 128256);
        time_draws(b, b->quick ? 2 : DRAWS, b->quick ? 5000 : 128256);
    }
    if (b->quick) {
        for (size_t i = 0; i < 2 && wants_product(b); i++)
            time_product(b, &quick[i]);
        if (bench_wants(b, "decode linear"))
            time_decode(b, &quick[1], 1);
        return;
    }
    for (size_t i = 0; i < PRODUCTS && wants_product(b); i++)
        time_product(b, &products[i]);
    for (size_t i = 4; i < PRODUCTS && bench_wants(b, "decode linear"); i++) {
        time_decode(b, &products[i], 1);
        if (i == 6 || i == 10)
            time_decode(b, &products[i], 64);
    }
}

struct attention {
    struct compute_attention_grad g;
    int32_t starts[64];
};

static void run_forward(struct bench *b, void *ctx)
{
    struct attention *t = ctx;

    b->c->ops->attention(b->c, &t->g.fwd);
}

static void run_backward(struct bench *b, void *ctx)
{
    struct attention *t = ctx;

    b->c->ops->attention_grad(b->c, &t->g);
}

static void time_attention(struct bench *b, size_t dim, size_t tokens,
                           size_t docs)
{
    struct compute_attention a = { .docs = docs,
                                   .rows = tokens,
                                   .heads = 32,
                                   .kv_heads = 8,
                                   .dim = dim,
                                   .scale = 1 / sqrtf((float)dim) };
    struct attention t = { 0 };
    size_t q = tokens * a.heads * dim, kv = tokens * a.kv_heads * dim;
    struct compute_span *all[] = { &a.q, &a.o,    &t.g.d_o, &t.g.dq, &a.k,
                                   &a.v, &t.g.dk, &t.g.dv,  &a.lse };
    double length = (double)(tokens / docs);
    double flops =
        4 * (double)(a.heads * dim) * (double)docs * length * (length + 1) / 2;
    char shape[64];

    for (size_t d = 0; d <= docs; d++)
        t.starts[d] = (int32_t)(tokens / docs * d);
    a.starts = t.starts;
    for (size_t i = 0; i < 9; i++)
        *all[i] = bench_space(b, i < 8 ? COMPUTE_ACT : COMPUTE_F32,
                              i < 4   ? q
                              : i < 8 ? kv
                                      : tokens * a.heads);
    t.g.fwd = a;
    (void)snprintf(shape, sizeof(shape), "%zux%zu heads 32/8 dim %zu", docs,
                   tokens / docs, dim);
    if (bench_wants(b, "attention"))
        bench_flops(b, "attention", shape, bench_time(b, run_forward, &t),
                    flops);
    if (bench_wants(b, "attention_grad"))
        bench_flops(b, "attention_grad", shape, bench_time(b, run_backward, &t),
                    2.5 * flops);
    for (size_t i = 0; i < 9; i++)
        compute_release(b->c, all[i]);
}

void bench_attention(struct bench *b)
{
    if (!bench_wants(b, "attention") && !bench_wants(b, "attention_grad"))
        return;
    for (size_t dim = 64; dim <= 128; dim *= 2) {
        time_attention(b, dim, b->quick ? 64 : TOKENS, 1);
        if (b->quick)
            continue;
        time_attention(b, dim, TOKENS, 8);
        time_attention(b, dim, 4 * TOKENS, 1);
        time_attention(b, dim, 4 * TOKENS, 16);
    }
}

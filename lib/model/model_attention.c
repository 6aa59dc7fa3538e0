/*
 * model_attention.c - the attention mixer: projections, positions, attention
 */
#include "model/model_mixer.h"

#include <math.h>

struct attention {
    struct model_mixer base;
    struct model_linear q, k, v, o;
    size_t heads, kv_heads, dim;
    float scale;
    /* Kept: the queries, keys and values as attention saw them. */
    struct compute_span qs, ks, vs, os, lse;
    struct compute_span d_o, dq, dk, dv;
};

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct attention *a = (struct attention *)x;
    size_t q = p->rows * a->heads * a->dim, kv = p->rows * a->kv_heads * a->dim;

    model_want(p, &a->qs, MODEL_KEPT, COMPUTE_ACT, q);
    model_want(p, &a->os, MODEL_KEPT, COMPUTE_ACT, q);
    model_want(p, &a->ks, MODEL_KEPT, COMPUTE_ACT, kv);
    model_want(p, &a->vs, MODEL_KEPT, COMPUTE_ACT, kv);
    if (p->saved)
        model_want(p, &a->lse, MODEL_KEPT, COMPUTE_F32, p->rows * a->heads);
    model_want(p, &a->d_o, MODEL_BACKWARD, COMPUTE_ACT, q);
    model_want(p, &a->dq, MODEL_BACKWARD, COMPUTE_ACT, q);
    model_want(p, &a->dk, MODEL_BACKWARD, COMPUTE_ACT, kv);
    model_want(p, &a->dv, MODEL_BACKWARD, COMPUTE_ACT, kv);
}

static struct compute_attention packed(const struct attention *a,
                                       const struct model_pass *p)
{
    return (struct compute_attention){ .o = a->os,
                                       .lse = a->lse,
                                       .q = a->qs,
                                       .k = a->ks,
                                       .v = a->vs,
                                       .starts = p->starts,
                                       .docs = p->docs,
                                       .rows = p->rows,
                                       .heads = a->heads,
                                       .kv_heads = a->kv_heads,
                                       .dim = a->dim,
                                       .scale = a->scale };
}

static struct compute_attention_cached cache(const struct attention *a,
                                             size_t capacity)
{
    return (struct compute_attention_cached){ .heads = a->heads,
                                              .kv_heads = a->kv_heads,
                                              .dim = a->dim,
                                              .capacity = capacity,
                                              .scale = a->scale };
}

static void attend_cached(const struct attention *a, const struct model_pass *p)
{
    struct compute *c = p->m->compute;
    struct compute_attention_cached x = cache(a, p->cached->capacity);

    x.o = a->os;
    x.q = a->qs;
    x.keys = model_mixer_state(&a->base, p, 0);
    x.values = model_mixer_state(&a->base, p, 1);
    x.starts = p->starts;
    x.seqs = p->docs;
    x.past = p->cached->past;
    x.slots = p->cached->slots;
    c->ops->cache_store(c, &x, a->ks, a->vs);
    c->ops->attention_cached(c, &x);
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct attention *a = (struct attention *)x;
    struct compute_attention all = packed(a, p);
    struct compute_span none = { 0 };

    model_linear_run(p->m, &a->q, a->qs, in, p->rows, none);
    model_linear_run(p->m, &a->k, a->ks, in, p->rows, none);
    model_linear_run(p->m, &a->v, a->vs, in, p->rows, none);
    model_rope_run(p, a->qs, a->heads, false);
    model_rope_run(p, a->ks, a->kv_heads, false);
    if (p->cached)
        attend_cached(a, p);
    else
        p->m->compute->ops->attention(p->m->compute, &all);
    model_linear_run(p->m, &a->o, y, a->os, p->rows, addend);
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct attention *a = (struct attention *)x;
    struct compute_attention_grad g = { .fwd = packed(a, p),
                                        .d_o = a->d_o,
                                        .dq = a->dq,
                                        .dk = a->dk,
                                        .dv = a->dv };
    struct compute_span none = { 0 };

    model_linear_grad(p->m, &a->o, a->d_o, dy, a->os, p->rows, none);
    p->m->compute->ops->attention_grad(p->m->compute, &g);
    model_rope_run(p, a->dq, a->heads, true);
    model_rope_run(p, a->dk, a->kv_heads, true);
    model_linear_grad(p->m, &a->q, dx, a->dq, in, p->rows, addend);
    model_linear_grad(p->m, &a->k, dx, a->dk, in, p->rows, dx);
    model_linear_grad(p->m, &a->v, dx, a->dv, in, p->rows, dx);
}

static void states(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES])
{
    const struct attention *a = (const struct attention *)x;
    struct compute_attention_cached shape = cache(a, c->capacity);

    x->m->compute->ops->cache_size(x->m->compute, &shape, c->slot_count,
                                   &elements[0], &elements[1]);
}

static const struct model_mixer_ops ops = {
    .name = "attention",
    .want = want,
    .forward = forward,
    .grad = grad,
    .states = states,
    .state_type = COMPUTE_ACT,
};

struct model_mixer *model_attention_new(struct model *m, size_t layer,
                                        const char *module)
{
    const struct model_config *c = &m->config;
    struct attention *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;

    a->heads = (size_t)c->heads;
    a->kv_heads = (size_t)c->kv_heads;
    a->dim = (size_t)c->head_dim;
    a->scale = (float)(1 / sqrt((double)c->head_dim));
    model_mixer_linear(&a->base, &a->q, "q_proj", q, c->hidden, c->attn_bias);
    model_mixer_linear(&a->base, &a->k, "k_proj", kv, c->hidden, c->attn_bias);
    model_mixer_linear(&a->base, &a->v, "v_proj", kv, c->hidden, c->attn_bias);
    model_mixer_linear(&a->base, &a->o, "o_proj", c->hidden, q, c->attn_bias);
    return &a->base;
}

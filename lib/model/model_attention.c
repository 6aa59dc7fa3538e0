/*
 * model_attention.c - the attention mixer: projections, positions, attention
 */
#include "model/model_family.h"

#include <math.h>

struct attention {
    struct model_mixer base;
    struct model_linear q, k, v, o; /* q: all three if fused */
    struct model_norm q_norm, k_norm;
    size_t heads, kv_heads, dim, window;
    float scale, softcap;
    bool fused, gated, turns; /* turns: has positions */
    unsigned table;           /* of rotary positions */
    /* Kept: queries, keys and values as attention saw them, and, where norms
     * stand before, as they came; the gate; what attention gave. */
    struct compute_span qs, ks, vs, os, lse, q_raw, k_raw, q_stat, k_stat, gate;
    struct compute_span wide; /* the fused product, or q with its gate */
    struct compute_span gated_o;
    struct compute_span d_o, dq, dk, dv, dq_raw, dk_raw;
};

static void want_norms(struct attention *a, struct model_plan *p, size_t q,
                       size_t kv)
{
    size_t per_q = q / a->q_norm.dim, per_k = kv / a->k_norm.dim;

    model_want(p, &a->q_raw, MODEL_KEPT, COMPUTE_ACT, q);
    model_want(p, &a->k_raw, MODEL_KEPT, COMPUTE_ACT, kv);
    model_want(p, &a->q_stat, MODEL_KEPT, COMPUTE_F32,
               model_norm_stat(&a->q_norm, per_q));
    model_want(p, &a->k_stat, MODEL_KEPT, COMPUTE_F32,
               model_norm_stat(&a->k_norm, per_k));
    model_want(p, &a->dq_raw, MODEL_BACKWARD, COMPUTE_ACT, q);
    model_want(p, &a->dk_raw, MODEL_BACKWARD, COMPUTE_ACT, kv);
}

static void want(struct model_mixer *x, struct model_plan *p)
{
    struct attention *a = (struct attention *)x;
    size_t q = p->rows * a->heads * a->dim, kv = p->rows * a->kv_heads * a->dim;

    if (a->fused || a->gated)
        model_want(p, &a->wide, MODEL_SCRATCH, COMPUTE_ACT,
                   a->fused ? q + 2 * kv : 2 * q);
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
    if (a->q_norm.dim)
        want_norms(a, p, q, kv);
    if (a->gated) {
        model_want(p, &a->gate, MODEL_KEPT, COMPUTE_ACT, q);
        model_want(p, &a->gated_o, MODEL_SCRATCH, COMPUTE_ACT, q);
    }
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
                                       .scale = a->scale,
                                       .window = a->window,
                                       .softcap = a->softcap };
}

static struct compute_attention_cached cache(const struct attention *a,
                                             const struct model_cached *c)
{
    return (struct compute_attention_cached){ .heads = a->heads,
                                              .kv_heads = a->kv_heads,
                                              .dim = a->dim,
                                              .capacity = c->capacity,
                                              .step = c->step,
                                              .scale = a->scale,
                                              .window = a->window,
                                              .softcap = a->softcap,
                                              .type =
                                                  a->base.m->compute->cache };
}

static void attend_cached(const struct attention *a, const struct model_pass *p)
{
    struct compute *c = p->m->compute;
    struct compute_attention_cached x = cache(a, p->cached);

    x.o = a->os;
    x.q = a->qs;
    x.keys = model_mixer_state(&a->base, p, 0);
    x.values = model_mixer_state(&a->base, p, 1);
    x.starts = p->starts;
    x.seqs = p->docs;
    x.past = p->cached->past;
    x.slots = p->cached->slots;
    x.bases = p->cached->bases;
    x.shared = p->cached->shared;
    c->ops->cache_store(c, &x, a->ks, a->vs);
    c->ops->attention_cached(c, &x);
}

/* Columns of a product that holds several things side by side: cut out of it,
 * or put back into it. */
static void cut(const struct attention *a, struct compute_span part, size_t at,
                size_t stride, size_t rows, size_t cols, bool back)
{
    struct compute *c = a->base.m->compute;
    struct compute_span wide = compute_at(a->wide, at);

    if (back)
        c->ops->copy_columns(c, wide, stride, part, cols, rows, cols);
    else
        c->ops->copy_columns(c, part, cols, wide, stride, rows, cols);
}

static void cut_all(const struct attention *a, size_t rows, bool back,
                    struct compute_span q, struct compute_span k,
                    struct compute_span v, struct compute_span gate)
{
    size_t nq = a->heads * a->dim, nk = a->kv_heads * a->dim;

    if (a->fused) {
        cut(a, q, 0, nq + 2 * nk, rows, nq, back);
        cut(a, k, nq, nq + 2 * nk, rows, nk, back);
        cut(a, v, nq + nk, nq + 2 * nk, rows, nk, back);
    } else {
        cut(a, q, 0, 2 * a->dim, rows * a->heads, a->dim, back);
        cut(a, gate, a->dim, 2 * a->dim, rows * a->heads, a->dim, back);
    }
}

static void scale_all(const struct attention *a, size_t rows,
                      struct compute_span q, struct compute_span k,
                      struct compute_span v)
{
    struct model *m = a->base.m;
    size_t nq = a->heads * a->dim, nk = a->kv_heads * a->dim;

    model_scale(m, q, m->config.q_scale, rows * nq);
    model_scale(m, k, m->config.k_scale, rows * nk);
    model_scale(m, v, m->config.v_scale, rows * nk);
}

static void project(const struct attention *a, const struct model_pass *p,
                    struct compute_span in)
{
    bool norms = a->q_norm.dim > 0, wide = a->fused || a->gated;
    struct compute_span q = norms ? a->q_raw : a->qs;
    struct compute_span k = norms ? a->k_raw : a->ks;
    const struct model_linear *const linears[] = { &a->q, &a->k, &a->v };
    const struct compute_span ys[] = { wide ? a->wide : q, k, a->vs };

    model_linears_run(p->m, linears, ys, a->fused ? 1 : 3, in, p->rows);
    if (wide)
        cut_all(a, p->rows, false, q, k, a->vs, a->gate);
    scale_all(a, p->rows, q, k, a->vs);
    if (norms) {
        size_t nq = a->heads * a->dim, nk = a->kv_heads * a->dim;

        model_norm_run(p->m, &a->q_norm, a->qs, q, a->q_stat,
                       p->rows * (nq / a->q_norm.dim));
        model_norm_run(p->m, &a->k_norm, a->ks, k, a->k_stat,
                       p->rows * (nk / a->k_norm.dim));
    }
    if (a->turns) {
        model_rope_run(p, a->qs, a->heads, a->table, false);
        model_rope_run(p, a->ks, a->kv_heads, a->table, false);
    }
}

/* What the output projection reads. */
static struct compute_span output(const struct attention *a, size_t rows)
{
    struct compute *c = a->base.m->compute;

    if (!a->gated)
        return a->os;
    c->ops->glu(c, COMPUTE_SIGMOID, a->gated_o, a->gate, a->os,
                rows * a->heads * a->dim);
    return a->gated_o;
}

static void forward(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend)
{
    struct attention *a = (struct attention *)x;
    struct compute_attention all = packed(a, p);

    project(a, p, in);
    if (p->cached)
        attend_cached(a, p);
    else
        p->m->compute->ops->attention(p->m->compute, &all);
    model_linear_run(p->m, &a->o, y, output(a, p->rows), p->rows, addend);
}

static void grad_norms(const struct attention *a, const struct model_pass *p)
{
    struct compute *c = p->m->compute;
    size_t nq = p->rows * a->heads * a->dim,
           nk = p->rows * a->kv_heads * a->dim;

    c->ops->fill(c, a->dq_raw, 0, nq);
    c->ops->fill(c, a->dk_raw, 0, nk);
    model_norm_grad(p->m, &a->q_norm, a->dq_raw, a->dq, a->q_raw, a->q_stat,
                    nq / a->q_norm.dim);
    model_norm_grad(p->m, &a->k_norm, a->dk_raw, a->dk, a->k_raw, a->k_stat,
                    nk / a->k_norm.dim);
}

/* From the gradients of q, k, v to the input's. */
static void grad_project(const struct attention *a, const struct model_pass *p,
                         struct compute_span dx, struct compute_span in,
                         struct compute_span addend)
{
    bool norms = a->q_norm.dim > 0;
    struct compute_span dq = norms ? a->dq_raw : a->dq;
    struct compute_span dk = norms ? a->dk_raw : a->dk;

    if (a->turns) {
        model_rope_run(p, a->dq, a->heads, a->table, true);
        model_rope_run(p, a->dk, a->kv_heads, a->table, true);
    }
    if (norms)
        grad_norms(a, p);
    scale_all(a, p->rows, dq, dk, a->dv);
    if (a->fused || a->gated) {
        cut_all(a, p->rows, true, dq, dk, a->dv, a->gate);
        dq = a->wide;
    }
    model_linear_grad(p->m, &a->q, dx, dq, in, p->rows, addend);
    if (!a->fused) {
        model_linear_grad(p->m, &a->k, dx, dk, in, p->rows, dx);
        model_linear_grad(p->m, &a->v, dx, a->dv, in, p->rows, dx);
    }
}

static void grad(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend)
{
    struct attention *a = (struct attention *)x;
    struct compute *c = p->m->compute;
    struct compute_attention_grad g = { .fwd = packed(a, p),
                                        .d_o = a->d_o,
                                        .dq = a->dq,
                                        .dk = a->dk,
                                        .dv = a->dv };
    struct compute_span none = { 0 };

    model_linear_grad(p->m, &a->o, a->d_o, dy, output(a, p->rows), p->rows,
                      none);
    if (a->gated) /* the gate's gradient in the gate's place */
        c->ops->glu_grad(c, COMPUTE_SIGMOID, a->gate, a->gated_o, a->d_o,
                         a->gate, a->os, p->rows * a->heads * a->dim);
    if (a->gated)
        g.d_o = a->gated_o;
    c->ops->attention_grad(c, &g);
    grad_project(a, p, dx, in, addend);
}

static void states(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES])
{
    const struct attention *a = (const struct attention *)x;
    struct compute_attention_cached shape = cache(a, c);

    x->m->compute->ops->cache_size(x->m->compute, &shape, c->slot_count,
                                   &elements[0], &elements[1]);
}

static bool layout(const struct model_mixer *x, const struct model_cached *c,
                   struct compute_cache_layout out[MODEL_MAX_STATES])
{
    const struct attention *a = (const struct attention *)x;
    struct compute_attention_cached shape = cache(a, c);
    struct compute *device = x->m->compute;

    if (!device->ops->cache_layout)
        return false;
    device->ops->cache_layout(device, &shape, &out[0], &out[1]);
    return true;
}

static const struct model_mixer_ops ops = {
    .name = "attention",
    .want = want,
    .forward = forward,
    .grad = grad,
    .states = states,
    .layout = layout,
    .state_type = COMPUTE_ACT,
    .by_position = true,
};

static void add_norms(struct attention *a, const struct model_config *c,
                      const struct model_names *n)
{
    bool whole = c->qk_norm == MODEL_QK_WHOLE;

    if (c->qk_norm == MODEL_QK_NONE)
        return;
    model_mixer_norm(&a->base, &a->q_norm, c->norm, n->q_norm,
                     whole ? c->heads * c->head_dim : c->head_dim);
    model_mixer_norm(&a->base, &a->k_norm, c->norm, n->k_norm,
                     whole ? c->kv_heads * c->head_dim : c->head_dim);
}

static void add_linears(struct attention *a, const struct model_config *c,
                        const struct model_names *n)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    bool bias = c->attn_bias || c->qkv_bias;

    if (a->fused) {
        model_mixer_linear(&a->base, &a->q, n->qkv, q + 2 * kv, c->hidden,
                           bias);
    } else {
        model_mixer_linear(&a->base, &a->q, n->q, a->gated ? 2 * q : q,
                           c->hidden, bias);
        model_mixer_linear(&a->base, &a->k, n->k, kv, c->hidden, bias);
        model_mixer_linear(&a->base, &a->v, n->v, kv, c->hidden, bias);
    }
    model_mixer_linear(&a->base, &a->o, n->o, c->hidden, q, c->attn_bias);
}

struct model_mixer *model_attention_new(struct model *m, size_t layer,
                                        const char *module)
{
    const struct model_config *c = &m->config;
    const struct model_names *n = &m->family->names;
    struct attention *a = model_mixer_new(m, &ops, sizeof(*a), layer, module);
    uint8_t bits = c->layer[layer];

    a->heads = (size_t)c->heads;
    a->kv_heads = (size_t)c->kv_heads;
    a->dim = (size_t)c->head_dim;
    a->scale = (float)(c->attn_scale > 0 ? c->attn_scale
                                         : 1 / sqrt((double)c->head_dim));
    a->softcap = (float)c->attn_softcap;
    a->window = bits & MODEL_LAYER_WINDOW ? (size_t)c->window : 0;
    a->turns = !(bits & MODEL_LAYER_NOPE);
    a->table = bits & MODEL_LAYER_WINDOW && c->rope_local > 0;
    a->fused = n->qkv != NULL;
    a->gated = c->attn_gate;
    add_linears(a, c, n);
    add_norms(a, c, n);
    return &a->base;
}

/*
 * model_forward.c - the decoder's forward pass
 *
 * One block, written once: packed documents or cached sequences, activations
 * kept for a backward pass or overwritten layer by layer.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <math.h>
#include <stdlib.h>

static int reserve(struct model *m, struct compute_span *s, size_t n,
                   enum compute_type type, const char *what, struct err *err)
{
    if (s->buf)
        compute_release(m->compute, s);
    return n ? compute_alloc(m->compute, type, n, what, s, err) : 0;
}

static int reserve_acts(struct model *m, struct model_acts *a, size_t rows,
                        bool saved, struct err *err)
{
    const struct model_config *c = &m->config;
    size_t d = (size_t)c->hidden, f = (size_t)c->ffn;
    size_t q = (size_t)(c->heads * c->head_dim);
    size_t kv = (size_t)(c->kv_heads * c->head_dim);
    /* The residual stream stays f32 on every device. */
    struct {
        struct compute_span *span;
        size_t n;
        enum compute_type type;
    } want[] = {
        { &a->x, d, COMPUTE_F32 },
        { &a->mid, saved ? d : 0, COMPUTE_F32 },
        { &a->norm1, d, COMPUTE_ACT },
        { &a->norm2, saved ? d : 0, COMPUTE_ACT },
        { &a->rstd1, 1, COMPUTE_F32 },
        { &a->rstd2, 1, COMPUTE_F32 },
        { &a->q, q, COMPUTE_ACT },
        { &a->k, kv, COMPUTE_ACT },
        { &a->v, kv, COMPUTE_ACT },
        { &a->o, q, COMPUTE_ACT },
        { &a->gate, f, COMPUTE_ACT },
        { &a->up, f, COMPUTE_ACT },
        { &a->lse, saved ? (size_t)c->heads : 0, COMPUTE_F32 },
    };

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        int rc = reserve(m, want[i].span, rows * want[i].n, want[i].type,
                         "activations", err);

        if (rc < 0)
            return rc;
    }
    if (!saved) {
        a->mid = a->x;
        a->norm2 = a->norm1;
    }
    return 0;
}

static size_t acts_count(const struct model *m)
{
    return m->work.saved ? (size_t)m->config.layers : 1;
}

static void release_acts(struct model *m, struct model_acts *a)
{
    struct compute_span *spans[] = { &a->mid,   &a->norm1, &a->norm2, &a->rstd1,
                                     &a->rstd2, &a->q,     &a->k,     &a->v,
                                     &a->o,     &a->lse,   &a->gate,  &a->up,
                                     &a->x };

    if (a->mid.buf == a->x.buf)
        a->mid.buf = NULL;
    if (a->norm2.buf == a->norm1.buf)
        a->norm2.buf = NULL;
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        compute_release(m->compute, spans[i]);
}

void model_work_release(struct model *m)
{
    struct model_work *w = &m->work;
    struct compute_span *spans[] = {
        &w->x,     &w->hidden, &w->low,      &w->ids,      &w->positions,
        &w->index, &w->labels, &w->nll,      &w->top,      &w->top_norm,
        &w->dtop,  &w->dx,     &w->top_rstd, &w->top_grad, &w->dnorm,
        &w->dq,    &w->dk,     &w->dv,       &w->dmlp,
    };

    for (size_t i = 0; w->acts && i < acts_count(m); i++)
        release_acts(m, &w->acts[i]);
    if (!w->saved)
        w->x.buf = NULL; /* the one layer's own */
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        compute_release(m->compute, spans[i]);
    free(w->acts);
    *w = (struct model_work){ 0 };
}

static size_t largest_rank(const struct model *m)
{
    size_t rank = 0;

    for (int64_t i = 0; i < m->config.layers; i++)
        for (int k = 0; k < MODEL_LINEARS; k++)
            if (m->layers[i].lin[k].rank > rank)
                rank = m->layers[i].lin[k].rank;
    return rank;
}

static int reserve_shared(struct model *m, size_t rows, struct err *err)
{
    const struct model_config *c = &m->config;
    struct model_work *w = &m->work;
    size_t d = (size_t)c->hidden, f = (size_t)c->ffn;
    size_t q = (size_t)(c->heads * c->head_dim);
    size_t kv = (size_t)(c->kv_heads * c->head_dim), b = w->saved;
    struct {
        struct compute_span *span;
        size_t n;
        enum compute_type type;
    } want[] = {
        { &w->hidden, f, COMPUTE_ACT },
        { &w->low, largest_rank(m), COMPUTE_ACT },
        { &w->ids, 1, COMPUTE_I32 },
        { &w->positions, 1, COMPUTE_I32 },
        { &w->index, 1, COMPUTE_I32 },
        { &w->labels, 1, COMPUTE_I32 },
        { &w->nll, 1, COMPUTE_F32 },
        { &w->top, d, COMPUTE_F32 },
        { &w->top_norm, d, COMPUTE_ACT },
        { &w->top_rstd, 1, COMPUTE_F32 },
        { &w->top_grad, b * d, COMPUTE_F32 },
        { &w->x, b * d, COMPUTE_F32 },
        { &w->dtop, b * d, COMPUTE_ACT },
        { &w->dx, b * d, COMPUTE_F32 },
        { &w->dnorm, b * d, COMPUTE_ACT },
        { &w->dq, b * q, COMPUTE_ACT },
        { &w->dk, b * kv, COMPUTE_ACT },
        { &w->dv, b * kv, COMPUTE_ACT },
        { &w->dmlp, b * (f > q ? f : q), COMPUTE_ACT },
    };

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        int rc = reserve(m, want[i].span, rows * want[i].n, want[i].type,
                         "activations", err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

int model_work_reserve(struct model *m, size_t rows, bool saved,
                       struct err *err)
{
    struct model_work *w = &m->work;
    size_t count;
    int rc;

    if (w->acts && w->rows >= rows && (w->saved || !saved) &&
        w->low_rank == largest_rank(m))
        return 0;
    model_work_release(m);
    w->saved = saved;
    w->low_rank = largest_rank(m);
    count = acts_count(m);
    w->acts = mem_zalloc(count * sizeof(*w->acts));
    for (size_t i = 0; i < count; i++) {
        rc = reserve_acts(m, &w->acts[i], rows, saved, err);
        if (rc < 0)
            goto failed;
    }
    rc = reserve_shared(m, rows, err);
    if (rc < 0)
        goto failed;
    if (!saved)
        w->x = w->acts[0].x;
    w->rows = rows;
    return 0;
failed:
    model_work_release(m);
    return rc;
}

/* One frequency; angles are rounded to f32 as the reference's are. */
static float frequency(const struct model_config *c, int64_t i)
{
    float f =
        (float)(1 / pow(c->rope_theta, (double)(2 * i) / (double)c->head_dim));
    double wave = 2 * M_PI / (double)f, smooth;
    double low = (double)c->rope_original / c->rope_low;
    double high = (double)c->rope_original / c->rope_high;

    if (c->rope == MODEL_ROPE_LINEAR)
        return (float)((double)f / c->rope_factor);
    if (c->rope != MODEL_ROPE_LLAMA3 || wave < high)
        return f;
    if (wave > low)
        return (float)((double)f / c->rope_factor);
    smooth = ((double)c->rope_original / wave - c->rope_low) /
             (c->rope_high - c->rope_low);
    return (float)((1 - smooth) * (double)f / c->rope_factor +
                   smooth * (double)f);
}

int model_rope_reserve(struct model *m, size_t n, struct err *err)
{
    size_t half = (size_t)m->config.head_dim / 2, rows = 256;
    void *table = NULL;
    int rc;

    if (m->rope_positions >= n)
        return 0;
    while (rows < n)
        rows *= 2;
    m->rope_positions = 0;
    rc = reserve(m, &m->cosine, rows * half, COMPUTE_F32, "RoPE table", err);
    if (rc == 0)
        rc = reserve(m, &m->sine, rows * half, COMPUTE_F32, "RoPE table", err);
    if (rc == 0)
        rc = mem_try_array(&table, 2 * rows * half, sizeof(float), "RoPE table",
                           err);
    if (rc < 0)
        return rc;
    for (size_t p = 0; p < rows; p++)
        for (size_t i = 0; i < half; i++) {
            float angle = (float)p * frequency(&m->config, (int64_t)i);
            float *at = (float *)table + p * half + i;

            at[0] = (float)cos((double)angle);
            at[rows * half] = (float)sin((double)angle);
        }
    m->compute->ops->upload(m->compute, m->cosine, table, rows * half);
    m->compute->ops->upload(m->compute, m->sine, (float *)table + rows * half,
                            rows * half);
    free(table);
    m->rope_positions = rows;
    return 0;
}

void model_linear_run(struct model *m, const struct model_linear *l,
                      struct compute_span y, struct compute_span x, size_t rows,
                      struct compute_span addend)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear run = {
        .y = y,
        .x = x,
        .w = l->w,
        .bias = l->bias,
        .addend = addend,
        .m = rows,
        .n = l->n,
        .k = l->k,
        .alpha = 1,
    };

    if (l->rank > 0) {
        ops->linear(m->compute, &(struct compute_linear){ .y = m->work.low,
                                                          .x = x,
                                                          .w = l->a,
                                                          .m = rows,
                                                          .n = l->rank,
                                                          .k = l->k,
                                                          .alpha = l->scale });
        run.x2 = m->work.low;
        run.w2 = l->b;
        run.k2 = l->rank;
    }
    ops->linear(m->compute, &run);
}

static void rotate(const struct model_pass *p, struct compute_span x,
                   int64_t heads)
{
    struct model *m = p->m;

    m->compute->ops->rope(m->compute, x, m->work.positions, m->cosine, m->sine,
                          p->rows, (size_t)heads, (size_t)m->config.head_dim,
                          false);
}

static void attend(const struct model_pass *p, const struct model_acts *a,
                   size_t layer)
{
    struct model *m = p->m;
    const struct model_config *c = &m->config;
    const struct compute_ops *ops = m->compute->ops;
    float scale = (float)(1 / sqrt((double)c->head_dim));

    if (p->cached) {
        p->cached->o = a->o;
        p->cached->q = a->q;
        p->cached->keys = p->keys[layer];
        p->cached->values = p->values[layer];
        p->cached->scale = scale;
        ops->cache_store(m->compute, p->cached, a->k, a->v);
        ops->attention_cached(m->compute, p->cached);
        return;
    }
    ops->attention(m->compute,
                   &(struct compute_attention){ .o = a->o,
                                                .lse = a->lse,
                                                .q = a->q,
                                                .k = a->k,
                                                .v = a->v,
                                                .starts = p->starts,
                                                .docs = p->docs,
                                                .rows = p->rows,
                                                .heads = (size_t)c->heads,
                                                .kv_heads = (size_t)c->kv_heads,
                                                .dim = (size_t)c->head_dim,
                                                .scale = scale });
}

static void block(const struct model_pass *p, size_t layer,
                  const struct model_acts *a, struct compute_span next)
{
    struct model *m = p->m;
    const struct compute_ops *ops = m->compute->ops;
    const struct model_layer *y = &m->layers[layer];
    size_t rows = p->rows, d = (size_t)m->config.hidden;
    float eps = (float)m->config.norm_eps;
    struct compute_span none = { 0 };

    ops->rmsnorm(m->compute, a->norm1, a->x, y->norm1, a->rstd1, rows, d, eps);
    model_linear_run(m, &y->lin[MODEL_Q], a->q, a->norm1, rows, none);
    model_linear_run(m, &y->lin[MODEL_K], a->k, a->norm1, rows, none);
    model_linear_run(m, &y->lin[MODEL_V], a->v, a->norm1, rows, none);
    rotate(p, a->q, m->config.heads);
    rotate(p, a->k, m->config.kv_heads);
    attend(p, a, layer);
    model_linear_run(m, &y->lin[MODEL_O], a->mid, a->o, rows, a->x);
    ops->rmsnorm(m->compute, a->norm2, a->mid, y->norm2, a->rstd2, rows, d,
                 eps);
    model_linear_run(m, &y->lin[MODEL_GATE], a->gate, a->norm2, rows, none);
    model_linear_run(m, &y->lin[MODEL_UP], a->up, a->norm2, rows, none);
    ops->swiglu(m->compute, m->work.hidden, a->gate, a->up,
                rows * (size_t)m->config.ffn);
    model_linear_run(m, &y->lin[MODEL_DOWN], next, m->work.hidden, rows,
                     a->mid);
}

void model_blocks(struct model_pass *p, bool saved)
{
    struct model *m = p->m;
    struct model_work *w = &m->work;
    size_t layers = (size_t)m->config.layers;
    struct compute_span x = saved ? w->acts[0].x : w->x;

    m->compute->ops->embed(m->compute, x, m->embed, w->ids, p->rows,
                           (size_t)m->config.hidden);
    for (size_t i = 0; i < layers; i++) {
        struct model_acts a = w->acts[saved ? i : 0];

        if (!saved) {
            a.x = a.mid = w->x;
            a.lse.buf = NULL;
        }
        block(p, i, &a, saved && i + 1 < layers ? w->acts[i + 1].x : w->x);
    }
}

void model_head(struct model *m, struct compute_span logits,
                struct compute_span x, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;

    ops->rmsnorm(m->compute, m->work.top_norm, x, m->norm,
                 (struct compute_span){ 0 }, rows, (size_t)m->config.hidden,
                 (float)m->config.norm_eps);
    model_linear_run(m, &m->head, logits, m->work.top_norm, rows,
                     (struct compute_span){ 0 });
}

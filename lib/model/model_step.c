/*
 * model_step.c - packed batches: loss, gradients, logits, hidden states
 *
 * The loss looks at labelled rows alone: they are gathered before the final
 * norm, so a masked prompt costs no head. The backward pass goes down to the
 * lowest layer with something to train and no further.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int model_check_ids(const struct model *m, const int32_t *ids, size_t n,
                    struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->config.vocab)
            return err_set(err, ERR_INVALID,
                           "token %zu has id %d; the vocabulary has %lld", i,
                           ids[i], (long long)m->config.vocab);
    return 0;
}

/* Upload the batch and run all blocks. */
static int batch_forward(struct model *m, const struct model_batch *b,
                         bool saved, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    struct model_pass p = {
        .m = m, .rows = b->rows, .starts = b->starts, .docs = b->docs
    };
    int32_t last = 0;
    int rc = model_check_ids(m, b->ids, b->rows, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < b->rows; i++)
        last = b->positions[i] > last ? b->positions[i] : last;
    rc = model_work_reserve(m, b->rows, saved, err);
    if (rc == 0)
        rc = model_rope_reserve(m, (size_t)last + 1, err);
    if (rc < 0)
        return rc;
    ops->upload(m->compute, m->work.ids, b->ids, b->rows);
    ops->upload(m->compute, m->work.positions, b->positions, b->rows);
    model_blocks(&p, saved);
    return 0;
}

/* Row numbers and ids of the labelled rows, uploaded. */
static int upload_labels(struct model *m, const struct model_batch *b,
                         size_t *count, struct err *err)
{
    int32_t *index = mem_array(b->rows, 2 * sizeof(*index));
    int32_t *labels = index + b->rows;
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < b->rows; i++)
        if (b->labels[i] >= 0) {
            index[n] = (int32_t)i;
            labels[n++] = b->labels[i];
        }
    rc = model_check_ids(m, labels, n, err);
    if (rc == 0) {
        m->compute->ops->upload(m->compute, m->work.index, index, n);
        m->compute->ops->upload(m->compute, m->work.labels, labels, n);
        *count = n;
    }
    free(index);
    return rc;
}

static double sum_nll(struct model *m, size_t n)
{
    float *x = mem_array(n, sizeof(*x));
    double total = 0;

    m->compute->ops->download(m->compute, x, m->work.nll, n);
    for (size_t i = 0; i < n; i++)
        total += (double)x[i];
    free(x);
    return total;
}

/* Gradients of an adapter's A and B from dy; leaves scale dy B in work.low. */
static void adapter_grad(struct model *m, const struct model_linear *l,
                         struct compute_span dy, struct compute_span x,
                         size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear a = { .y = m->work.low,
                                .x = x,
                                .w = l->a,
                                .m = rows,
                                .n = l->rank,
                                .k = l->k,
                                .alpha = l->scale };
    struct compute_linear b = { .y = dy,
                                .x = m->work.low,
                                .w = l->db,
                                .m = rows,
                                .n = l->n,
                                .k = l->rank,
                                .alpha = 1 };

    ops->linear(m->compute, &a); /* scale x A' */
    ops->linear_dw(m->compute, &b);
    b.w = l->b;
    b.alpha = l->scale;
    ops->linear_dx(m->compute, &b); /* scale dy B */
    a.w = l->da;
    a.alpha = 1;
    ops->linear_dw(m->compute, &a);
}

/* dx absent: not needed. addend: what dx already has, or absent. */
static void linear_grad(struct model *m, const struct model_linear *l,
                        struct compute_span dx, struct compute_span dy,
                        struct compute_span x, size_t rows,
                        struct compute_span addend)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_linear g = { .y = dy,
                                .x = x,
                                .w = l->dw,
                                .bias = l->dbias,
                                .m = rows,
                                .n = l->n,
                                .k = l->k,
                                .alpha = 1 };

    if (l->dw.buf)
        ops->linear_dw(m->compute, &g);
    if (l->rank > 0)
        adapter_grad(m, l, dy, x, rows);
    if (!dx.buf)
        return;
    g.x = dx;
    g.w = l->w;
    g.addend = addend;
    if (l->rank > 0) {
        g.x2 = m->work.low;
        g.w2 = l->a;
        g.k2 = l->rank;
    }
    ops->linear_dx(m->compute, &g);
}

static void mlp_grad(struct model *m, size_t layer, size_t rows)
{
    const struct compute_ops *ops = m->compute->ops;
    const struct model_layer *y = &m->layers[layer];
    struct model_work *w = &m->work;
    const struct model_acts *a = &w->acts[layer];
    size_t n = rows * (size_t)m->config.ffn;
    struct compute_span none = { 0 };

    ops->swiglu(m->compute, w->hidden, a->gate, a->up, n);
    linear_grad(m, &y->lin[MODEL_DOWN], w->dmlp, w->dx, w->hidden, rows, none);
    ops->swiglu_grad(m->compute, a->gate, a->up, w->dmlp, a->gate, a->up, n);
    linear_grad(m, &y->lin[MODEL_GATE], w->dnorm, a->gate, a->norm2, rows,
                none);
    linear_grad(m, &y->lin[MODEL_UP], w->dnorm, a->up, a->norm2, rows,
                w->dnorm);
    ops->rmsnorm_grad(m->compute, w->dx, y->dnorm2, w->dnorm, a->mid, y->norm2,
                      a->rstd2, rows, (size_t)m->config.hidden);
}

static void unrotate(struct model *m, struct compute_span x, size_t rows,
                     int64_t heads)
{
    m->compute->ops->rope(m->compute, x, m->work.positions, m->cosine, m->sine,
                          rows, (size_t)heads, (size_t)m->config.head_dim,
                          true);
}

static void attention_grad(struct model *m, const struct model_batch *b,
                           size_t layer)
{
    const struct compute_ops *ops = m->compute->ops;
    const struct model_config *c = &m->config;
    const struct model_layer *y = &m->layers[layer];
    struct model_work *w = &m->work;
    const struct model_acts *a = &w->acts[layer];
    size_t rows = b->rows;
    bool below = !m->adapter_only || layer > m->lowest;
    struct compute_span none = { 0 }, dnorm = below ? w->dnorm : none;
    struct compute_attention_grad g = {
        .fwd = { .o = a->o,
                 .lse = a->lse,
                 .q = a->q,
                 .k = a->k,
                 .v = a->v,
                 .starts = b->starts,
                 .docs = b->docs,
                 .rows = rows,
                 .heads = (size_t)c->heads,
                 .kv_heads = (size_t)c->kv_heads,
                 .dim = (size_t)c->head_dim,
                 .scale = (float)(1 / sqrt((double)c->head_dim)) },
        .d_o = w->dmlp,
        .dq = w->dq,
        .dk = w->dk,
        .dv = w->dv,
    };

    linear_grad(m, &y->lin[MODEL_O], w->dmlp, w->dx, a->o, rows, none);
    ops->attention_grad(m->compute, &g);
    unrotate(m, w->dq, rows, c->heads);
    unrotate(m, w->dk, rows, c->kv_heads);
    linear_grad(m, &y->lin[MODEL_Q], dnorm, w->dq, a->norm1, rows, none);
    linear_grad(m, &y->lin[MODEL_K], dnorm, w->dk, a->norm1, rows, dnorm);
    linear_grad(m, &y->lin[MODEL_V], dnorm, w->dv, a->norm1, rows, dnorm);
    if (below)
        ops->rmsnorm_grad(m->compute, w->dx, y->dnorm1, w->dnorm, a->x,
                          y->norm1, a->rstd1, rows, (size_t)c->hidden);
}

/* The gradient of the labelled rows, spread to all rows of dx. */
static void top_grad(struct model *m, size_t rows, size_t labelled)
{
    const struct compute_ops *ops = m->compute->ops;
    struct model_work *w = &m->work;
    size_t d = (size_t)m->config.hidden;

    ops->fill(m->compute, w->top_grad, 0, labelled * d);
    ops->rmsnorm_grad(m->compute, w->top_grad, m->dnorm, w->dtop, w->top,
                      m->norm, w->top_rstd, labelled, d);
    ops->fill(m->compute, w->dx, 0, rows * d);
    ops->scatter(m->compute, w->dx, w->top_grad, w->index, labelled, d);
}

static void backward(struct model *m, const struct model_batch *b,
                     size_t labelled)
{
    top_grad(m, b->rows, labelled);
    for (size_t i = (size_t)m->config.layers; i-- > m->lowest;) {
        mlp_grad(m, i, b->rows);
        attention_grad(m, b, i);
    }
    if (m->dembed.buf)
        m->compute->ops->embed_grad(m->compute, m->dembed, m->work.dx,
                                    m->work.ids, b->rows,
                                    (size_t)m->config.hidden);
}

int model_step(struct model *m, const struct model_batch *b, double grad_scale,
               double *nll, size_t *count, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    struct model_work *w = &m->work;
    size_t d = (size_t)m->config.hidden, n = 0;
    bool grad = grad_scale != 0;
    struct compute_cross_entropy x;
    int rc = batch_forward(m, b, grad, err);

    if (rc == 0)
        rc = upload_labels(m, b, &n, err);
    if (rc < 0)
        return rc;
    ops->gather(m->compute, w->top, w->x, w->index, n, d);
    ops->rmsnorm(m->compute, w->top_norm, w->top, m->norm, w->top_rstd, n, d,
                 (float)m->config.norm_eps);
    x = (struct compute_cross_entropy){ .x = w->top_norm,
                                        .w = m->head.w,
                                        .labels = w->labels,
                                        .nll = w->nll,
                                        .rows = n,
                                        .k = d,
                                        .vocab = (size_t)m->config.vocab,
                                        .scale = (float)grad_scale };
    if (grad) {
        x.dx = w->dtop;
        x.dw = m->head.dw;
    }
    ops->cross_entropy(m->compute, &x);
    *nll = sum_nll(m, n);
    *count = n;
    if (grad && n > 0)
        backward(m, b, n);
    return ops->sync(m->compute, err);
}

int model_batch_logits(struct model *m, const struct model_batch *b, float *out,
                       struct err *err)
{
    const size_t chunk = 256, d = (size_t)m->config.hidden;
    size_t vocab = (size_t)m->config.vocab;
    struct compute_span logits;
    int rc = batch_forward(m, b, false, err);

    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, chunk * vocab, "logits",
                           &logits, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < b->rows; i += chunk) {
        size_t n = b->rows - i < chunk ? b->rows - i : chunk;

        model_head(m, logits, compute_at(m->work.x, i * d), n);
        m->compute->ops->download(m->compute, out + i * vocab, logits,
                                  n * vocab);
    }
    compute_release(m->compute, &logits);
    return 0;
}

int model_batch_hidden(struct model *m, const struct model_batch *b, float *out,
                       struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    size_t n = b->rows * (size_t)m->config.hidden;
    size_t layers = (size_t)m->config.layers;
    int rc = batch_forward(m, b, true, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < layers; i++)
        ops->download(m->compute, out + i * n, m->work.acts[i].x, n);
    ops->rmsnorm(m->compute, m->work.dnorm, m->work.x, m->norm,
                 (struct compute_span){ 0 }, b->rows, (size_t)m->config.hidden,
                 (float)m->config.norm_eps);
    ops->download(m->compute, out + layers * n, m->work.dnorm, n);
    return 0;
}

/* One sequence as a batch of one document. */
struct single {
    struct model_batch batch;
    int32_t *memory, starts[2];
};

static void single_init(struct single *s, const int32_t *ids, size_t n)
{
    s->memory = mem_array(n ? n : 1, 2 * sizeof(*s->memory));
    s->starts[0] = 0;
    s->starts[1] = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        s->memory[i] = (int32_t)i;
        s->memory[n + i] = -1;
    }
    s->batch =
        (struct model_batch){ ids, s->memory + n, s->memory, n, s->starts, 1 };
}

int model_logits(struct model *m, const int32_t *ids, size_t n, float *out,
                 struct err *err)
{
    struct single s;
    int rc;

    single_init(&s, ids, n);
    rc = model_batch_logits(m, &s.batch, out, err);
    free(s.memory);
    return rc;
}

int model_nll(struct model *m, const int32_t *ids, size_t n, size_t from,
              double *out, struct err *err)
{
    struct single s;
    size_t count;
    int rc;

    single_init(&s, ids, n);
    for (size_t i = from > 0 ? from : 1; i < n; i++)
        s.memory[n + i - 1] = ids[i];
    rc = model_step(m, &s.batch, 0, out, &count, err);
    free(s.memory);
    return rc;
}

int model_token_nll(struct model *m, const int32_t *ids, size_t n, size_t from,
                    double *out, struct err *err)
{
    size_t count = n > from ? n - from : 0;
    float *x = mem_array(count + 1, sizeof(*x));
    double sum;
    int rc = model_nll(m, ids, n, from, &sum, err);

    if (rc == 0 && count > 0)
        m->compute->ops->download(m->compute, x, m->work.nll, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        out[i] = (double)x[i];
    free(x);
    return rc;
}

/*
 * model_step.c - packed batches: loss, gradients, logits, hidden states
 *
 * The loss looks at labelled rows alone: they are gathered before the final
 * norm, so a masked prompt costs no head. The backward pass goes down to the
 * lowest layer with something to train and no further.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <stdlib.h>

int model_check_ids(const struct model *m, const int32_t *ids, size_t n,
                    struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->config.vocab)
            return err_set(err, ERR_FORMAT,
                           "token %zu has id %d; the vocabulary has %lld", i,
                           ids[i], (long long)m->config.vocab);
    return 0;
}

static void upload_positions(struct model *m, const struct model_batch *b)
{
    int32_t *rows = mem_array(b->rows, sizeof(*rows));

    for (size_t d = 0; d < b->docs; d++) {
        int32_t begin = b->starts[d], end = b->starts[d + 1], last = 0;

        for (int32_t i = begin; i < end; i++)
            last = b->positions[i] > last ? b->positions[i] : last;
        for (int32_t i = begin; i < end; i++)
            rows[i] =
                model_rope_row(m, (size_t)b->positions[i], (size_t)last + 1);
    }
    m->compute->ops->upload(m->compute, m->work.positions, rows, b->rows);
    free(rows);
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
    rc = model_work_reserve(m, b->rows, b->docs, saved, err);
    if (rc == 0)
        rc = model_rope_reserve(m, (size_t)last + 1, err);
    if (rc < 0)
        return rc;
    ops->upload(m->compute, m->work.ids, b->ids, b->rows);
    upload_positions(m, b);
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

void model_recompute(struct model *m, bool on)
{
    m->recompute = on;
}

size_t model_step_bytes(struct model *m, size_t rows, size_t docs,
                        const struct model_adapter *a)
{
    size_t bytes, wide = 0;

    if (!a)
        return model_work_bytes(m, rows, docs, true);
    model_adapter_suppose(m, a, true);
    bytes = model_work_bytes(m, rows, docs, true);
    model_adapter_suppose(m, a, false);
    for (size_t i = 0; a->dora && i < m->linear_count; i++)
        if (m->linears[i]->n > wide)
            wide = m->linears[i]->n;
    return bytes + rows * wide * sizeof(float);
}

size_t model_logits_bytes(struct model *m, size_t rows, size_t docs)
{
    return model_work_bytes(m, rows, docs, false);
}

/* The gradient of the labelled rows, spread to all rows of dx. */
static void top_grad(struct model *m, size_t rows, size_t labelled)
{
    const struct compute_ops *ops = m->compute->ops;
    struct model_work *w = &m->work;
    size_t d = (size_t)m->config.hidden;

    ops->fill(m->compute, w->top_grad, 0, labelled * d);
    model_norm_grad(m, &m->norm, w->top_grad, w->dtop, w->top, w->top_stat,
                    labelled);
    ops->fill(m->compute, w->dx, 0, rows * d);
    ops->scatter(m->compute, w->dx, w->top_grad, w->index, labelled, d);
}

int model_step_forward(struct model *m, const struct model_batch *b, bool grad,
                       size_t *labelled, struct err *err)
{
    struct model_work *w = &m->work;
    size_t d = (size_t)m->config.hidden;
    int rc = batch_forward(m, b, grad, err);

    if (rc == 0)
        rc = upload_labels(m, b, labelled, err);
    if (rc < 0)
        return rc;
    m->compute->ops->gather(m->compute, w->top, w->x, w->index, *labelled, d);
    model_norm_run(m, &m->norm, w->top_norm, w->top, w->top_stat, *labelled);
    model_scale(m, w->top_norm, m->config.logit_scale, *labelled * d);
    return 0;
}

struct compute_cross_entropy model_step_head(struct model *m, size_t labelled,
                                             double grad_scale)
{
    struct model_work *w = &m->work;
    struct compute_cross_entropy x = {
        .x = w->top_norm,
        .w = m->head.w,
        .labels = w->labels,
        .nll = w->nll,
        .rows = labelled,
        .k = (size_t)m->config.hidden,
        .vocab = (size_t)m->config.vocab,
        .scale = (float)grad_scale,
        .bias = m->head.bias,
        .softcap = (float)m->config.logit_softcap,
    };

    if (grad_scale < 0 || grad_scale > 0) {
        x.dx = w->dtop;
        x.dw = m->head.dw;
        x.dbias = m->head.dbias;
    }
    return x;
}

void model_step_backward(struct model *m, const struct model_batch *b,
                         size_t labelled)
{
    struct model_pass p = {
        .m = m, .rows = b->rows, .starts = b->starts, .docs = b->docs
    };

    if (labelled == 0)
        return;
    model_scale(m, m->work.dtop, m->config.logit_scale,
                labelled * (size_t)m->config.hidden);
    top_grad(m, b->rows, labelled);
    model_blocks_grad(&p);
}

/* All of a pass; leaves the losses of n labelled rows in work.nll. */
static int run_pass(struct model *m, const struct model_batch *b,
                    double grad_scale, size_t *n, struct err *err)
{
    bool grad = grad_scale != 0;
    struct compute_cross_entropy x;
    int rc = model_step_forward(m, b, grad, n, err);

    if (rc < 0)
        return rc;
    x = model_step_head(m, *n, grad_scale);
    m->compute->ops->cross_entropy(m->compute, &x);
    if (grad)
        model_step_backward(m, b, *n);
    return 0;
}

int model_step(struct model *m, const struct model_batch *b, double grad_scale,
               double *nll, size_t *count, struct err *err)
{
    int rc = run_pass(m, b, grad_scale, count, err);

    if (rc < 0)
        return rc;
    *nll = sum_nll(m, *count);
    return m->compute->ops->sync(m->compute, err);
}

int model_step_add(struct model *m, const struct model_batch *b,
                   double grad_scale, struct compute_span nll, size_t *count,
                   struct err *err)
{
    int rc = run_pass(m, b, grad_scale, count, err);

    if (rc == 0)
        m->compute->ops->accumulate(m->compute, nll, m->work.nll, *count,
                                    false);
    return rc;
}

int model_step_reserve(struct model *m, size_t rows, size_t docs,
                       size_t longest, bool grad, struct err *err)
{
    int rc = model_work_reserve(m, rows, docs, grad, err);

    return rc < 0 ? rc : model_rope_reserve(m, longest, err);
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
    int rc = batch_forward(m, b, true, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < m->block_count; i++)
        if (m->blocks[i].begins_layer) {
            ops->download(m->compute, out, m->blocks[i].x, n);
            out += n;
        }
    model_norm_run(m, &m->norm, m->work.dnorm, m->work.x,
                   (struct compute_span){ 0 }, b->rows);
    ops->download(m->compute, out, m->work.dnorm, n);
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

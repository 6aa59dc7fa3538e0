/*
 * model_objective.c - losses beyond the next token's: a teacher's
 * distribution, preferences between two answers
 *
 * Both share model_step's passes; only what stands between the labelled rows
 * and their gradient differs. Logits are never stored whole, the teacher's
 * neither.
 */
#include "base/mem.h"
#include "model/model_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

int model_teaching_check(const struct model *m, const struct model_teaching *t,
                         struct err *err)
{
    if (!m->compute->ops->distill)
        return err_set(err, ERR_UNSUPPORTED,
                       "device \"%s\" does not distil; use --device cpu",
                       m->compute->ops->name);
    if (t->teacher && t->teacher->config.vocab != m->config.vocab)
        return err_set(err, ERR_INVALID,
                       "the teacher's vocabulary has %lld ids, the student's "
                       "%lld; they must have the same tokenizer",
                       (long long)t->teacher->config.vocab,
                       (long long)m->config.vocab);
    return 0;
}

/* Spans of one taught step. */
struct taught {
    struct compute_distill d;
    struct compute_span loss, ids, logp;
};

static void taught_release(struct model *m, struct taught *t)
{
    compute_release(m->compute, &t->loss);
    compute_release(m->compute, &t->ids);
    compute_release(m->compute, &t->logp);
}

/* The best ids of the labelled rows, in their order. */
static int upload_top(struct model *m, const struct model_batch *b,
                      const struct model_teaching *t, size_t rows,
                      struct taught *out, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    size_t n = rows * t->top, at = 0;
    int32_t *ids;
    float *logp;
    int rc = compute_alloc(m->compute, COMPUTE_I32, n + 1, "teacher's ids",
                           &out->ids, err);

    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, n + 1, "teacher's logs",
                           &out->logp, err);
    if (rc < 0)
        return rc;
    ids = mem_array(n + 1, sizeof(*ids));
    logp = mem_array(n + 1, sizeof(*logp));
    for (size_t r = 0; r < b->rows; r++)
        for (size_t i = 0; b->labels[r] >= 0 && i < t->top; i++, at++) {
            int32_t id = t->top_ids[r * t->top + i];

            ids[at] = id < m->config.vocab ? id : -1;
            logp[at] = t->top_logp[r * t->top + i];
        }
    ops->upload(m->compute, out->ids, ids, n);
    ops->upload(m->compute, out->logp, logp, n);
    free(ids);
    free(logp);
    out->d.top_ids = out->ids;
    out->d.top_logp = out->logp;
    out->d.top = t->top;
    return 0;
}

static int run_teacher(struct model *m, const struct model_batch *b,
                       struct compute_distill *d, struct err *err)
{
    size_t rows;
    int rc = model_step_forward(m, b, false, &rows, err);

    d->tx = m->work.top_norm;
    d->tw = m->head.w;
    d->tbias = m->head.bias;
    d->tk = (size_t)m->config.hidden;
    d->tsoftcap = (float)m->config.logit_softcap;
    return rc;
}

static double sum_of(struct model *m, struct compute_span s, size_t n)
{
    float *x = mem_array(n, sizeof(*x));
    double sum = 0;

    m->compute->ops->download(m->compute, x, s, n);
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    free(x);
    return sum;
}

/* All of a pass; leaves the losses of its rows in x->loss and work.nll. */
static int taught_pass(struct model *m, const struct model_batch *b,
                       const struct model_teaching *t, double grad_scale,
                       struct taught *x, size_t *rows, struct err *err)
{
    int rc = model_teaching_check(m, t, err);

    *x = (struct taught){ .d = { .temperature = (float)t->temperature,
                                 .mix = (float)t->mix } };
    if (rc == 0 && t->teacher)
        rc = run_teacher(t->teacher, b, &x->d, err);
    if (rc == 0)
        rc = model_step_forward(m, b, grad_scale != 0, rows, err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, *rows + 1, "losses",
                           &x->loss, err);
    if (rc == 0 && !t->teacher)
        rc = upload_top(m, b, t, *rows, x, err);
    if (rc < 0)
        return rc;
    x->d.head = model_step_head(m, *rows, grad_scale);
    x->d.loss = x->loss;
    m->compute->ops->distill(m->compute, &x->d);
    if (grad_scale != 0)
        model_step_backward(m, b, *rows);
    return 0;
}

int model_step_taught(struct model *m, const struct model_batch *b,
                      const struct model_teaching *t, double grad_scale,
                      double *loss, double *nll, size_t *count, struct err *err)
{
    struct taught x;
    int rc = taught_pass(m, b, t, grad_scale, &x, count, err);

    if (rc == 0) {
        *loss = sum_of(m, x.loss, *count);
        *nll = sum_of(m, m->work.nll, *count);
        rc = m->compute->ops->sync(m->compute, err);
    }
    taught_release(m, &x);
    return rc;
}

int model_step_taught_add(struct model *m, const struct model_batch *b,
                          const struct model_teaching *t, double grad_scale,
                          struct compute_span loss, struct err *err)
{
    struct taught x;
    size_t rows = 0;
    int rc = taught_pass(m, b, t, grad_scale, &x, &rows, err);

    if (rc == 0)
        m->compute->ops->accumulate(m->compute, loss, x.loss, rows, false);
    taught_release(m, &x);
    return rc;
}

/* sums[d] = sum of nll over the labelled rows of document d */
static void sum_documents(struct model *m, const struct model_batch *b,
                          size_t rows, double *sums)
{
    float *x = mem_array(rows, sizeof(*x));
    size_t at = 0;

    m->compute->ops->download(m->compute, x, m->work.nll, rows);
    for (size_t d = 0; d < b->docs; d++) {
        sums[d] = 0;
        for (int32_t r = b->starts[d]; r < b->starts[d + 1]; r++)
            if (b->labels[r] >= 0)
                sums[d] += (double)x[at++];
    }
    assert(at == rows);
    free(x);
}

/* Losses of the pairs; by[d]: d loss / d (sum of nll of document d). */
static void weigh(const struct model_batch *b, const double *own,
                  const double *reference, double beta, double *by,
                  struct model_preference *out)
{
    *out = (struct model_preference){ .pairs = b->docs / 2 };
    for (size_t d = 0; d + 1 < b->docs; d += 2) {
        double gap = reference[d] - own[d] - reference[d + 1] + own[d + 1];
        double x = beta * gap;

        out->loss += x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
        out->right += gap > 0;
        by[d] = beta / (1 + exp(x));
        by[d + 1] = -by[d];
    }
}

/* The rows' gradients times what their document counts. */
static int spread(struct model *m, const struct model_batch *b, size_t rows,
                  const double *by, double scale, struct err *err)
{
    float *w = mem_array(rows, sizeof(*w));
    struct compute_span factors = { 0 };
    size_t at = 0;
    int rc = compute_alloc(m->compute, COMPUTE_F32, rows + 1, "factors",
                           &factors, err);

    for (size_t d = 0; rc == 0 && d < b->docs; d++)
        for (int32_t r = b->starts[d]; r < b->starts[d + 1]; r++)
            if (b->labels[r] >= 0)
                w[at++] = (float)(scale * by[d]);
    if (rc == 0) {
        m->compute->ops->upload(m->compute, factors, w, rows);
        m->compute->ops->scale_rows(m->compute, m->work.dtop, factors, rows,
                                    (size_t)m->config.hidden);
    }
    compute_release(m->compute, &factors);
    free(w);
    return rc;
}

/* One pass and the sums of its documents; its gradient, if asked for, is of
 * the sum of all nll. */
static int pass(struct model *m, const struct model_batch *b, bool grad,
                size_t *rows, double *sums, struct err *err)
{
    struct compute_cross_entropy x;
    int rc = model_step_forward(m, b, grad, rows, err);

    if (rc < 0)
        return rc;
    x = model_step_head(m, *rows, grad);
    m->compute->ops->cross_entropy(m->compute, &x);
    sum_documents(m, b, *rows, sums);
    return 0;
}

int model_step_preference(struct model *m, const struct model_batch *b,
                          double beta, double grad_scale,
                          struct model_preference *out, struct err *err)
{
    double *sums = mem_array(b->docs + 1, 3 * sizeof(*sums));
    double *reference = sums + b->docs, *by = reference + b->docs;
    bool grad = grad_scale != 0;
    size_t rows = 0;
    int rc = 0;

    assert(!grad || m->adapter_only);
    assert(b->docs % 2 == 0);
    if (!m->compute->ops->scale_rows)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "device \"%s\" does not weigh rows; use --device cpu",
                     m->compute->ops->name);
    model_adapter_switch(m, false);
    if (rc == 0)
        rc = pass(m, b, false, &rows, reference, err);
    model_adapter_switch(m, true);
    if (rc == 0)
        rc = pass(m, b, grad, &rows, sums, err);
    if (rc == 0)
        weigh(b, sums, reference, beta, by, out);
    if (rc == 0 && grad)
        rc = spread(m, b, rows, by, grad_scale, err);
    if (rc == 0 && grad)
        model_step_backward(m, b, rows);
    if (rc == 0)
        rc = m->compute->ops->sync(m->compute, err);
    free(sums);
    return rc;
}

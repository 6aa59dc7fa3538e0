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

/* Where the labelled rows of each document begin. */
static void labelled_starts(const struct model_batch *b, int32_t *starts)
{
    int32_t at = 0;

    for (size_t d = 0; d < b->docs; d++) {
        starts[d] = at;
        for (int32_t r = b->starts[d]; r < b->starts[d + 1]; r++)
            at += b->labels[r] >= 0;
    }
    starts[b->docs] = at;
}

/* One pass; work.nll has its labelled rows, and its gradient, if asked for, is
 * of the sum of all. */
static int pass(struct model *m, const struct model_batch *b, bool grad,
                size_t *rows, struct err *err)
{
    struct compute_cross_entropy x;
    int rc = model_step_forward(m, b, grad, rows, err);

    if (rc < 0)
        return rc;
    x = model_step_head(m, *rows, grad);
    m->compute->ops->cross_entropy(m->compute, &x);
    return 0;
}

/* The model without its adapter; its nll stay in *out. */
static int reference_pass(struct model *m, const struct model_batch *b,
                          struct compute_span *out, struct err *err)
{
    size_t rows = 0;
    int rc;

    model_adapter_switch(m, false);
    rc = pass(m, b, false, &rows, err);
    model_adapter_switch(m, true);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, rows + 1, "reference", out,
                           err);
    if (rc == 0)
        m->compute->ops->copy(m->compute, *out, m->work.nll, rows);
    return rc;
}

/* The losses of the pairs, and the rows' gradients times what their document
 * counts. */
static int weigh(struct model *m, const struct model_batch *b, size_t rows,
                 struct compute_preference *p, bool grad, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    int32_t *starts = mem_array(b->docs + 1, sizeof(*starts));
    int rc = grad ? compute_alloc(m->compute, COMPUTE_F32, rows + 1, "factors",
                                  &p->factors, err)
                  : 0;

    labelled_starts(b, starts);
    assert((size_t)starts[b->docs] == rows);
    p->starts = starts;
    p->docs = b->docs;
    p->own = m->work.nll;
    if (rc == 0)
        ops->preference(m->compute, p);
    if (rc == 0 && grad)
        ops->scale_rows(m->compute, m->work.dtop, p->factors, rows,
                        (size_t)m->config.hidden);
    compute_release(m->compute, &p->factors);
    free(starts);
    return rc;
}

int model_step_preference_add(struct model *m, const struct model_batch *b,
                              double beta, double grad_scale,
                              struct compute_span sums, struct err *err)
{
    struct compute_preference p = { .sums = sums,
                                    .beta = beta,
                                    .scale = grad_scale };
    bool grad = grad_scale != 0;
    size_t rows = 0;
    int rc;

    assert(!grad || m->adapter_only);
    assert(b->docs % 2 == 0);
    if (!m->compute->ops->scale_rows || !m->compute->ops->preference)
        return err_set(err, ERR_UNSUPPORTED,
                       "device \"%s\" does not weigh rows; use --device cpu",
                       m->compute->ops->name);
    rc = reference_pass(m, b, &p.reference, err);
    if (rc == 0)
        rc = pass(m, b, grad, &rows, err);
    if (rc == 0)
        rc = weigh(m, b, rows, &p, grad, err);
    if (rc == 0 && grad)
        model_step_backward(m, b, rows);
    compute_release(m->compute, &p.reference);
    return rc;
}

int model_step_preference(struct model *m, const struct model_batch *b,
                          double beta, double grad_scale,
                          struct model_preference *out, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_span sums = { 0 };
    double told[2] = { 0 };
    int rc = compute_alloc(m->compute, COMPUTE_F64, 2, "sums", &sums, err);

    if (rc == 0)
        rc = model_step_preference_add(m, b, beta, grad_scale, sums, err);
    if (rc == 0) {
        ops->download(m->compute, told, sums, 2);
        rc = ops->sync(m->compute, err);
    }
    compute_release(m->compute, &sums);
    *out = (struct model_preference){ .loss = told[0],
                                      .right = (size_t)told[1],
                                      .pairs = b->docs / 2 };
    return rc;
}

/*
 * cpu_distill.c - the head of a student against a teacher's, chunk by chunk
 *
 * Logits of both live in two chunks only. A row's own products and sums run
 * in one worker, so no result depends on the number of threads.
 */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

struct distill_job {
    struct cpu *c;
    const struct compute_distill *d;
    float *logits, *teacher; /* of the chunk */
    const int32_t *labels, *top_ids;
    const float *top_logp;
    float *nll, *loss;
    size_t rows;
};

/* y = exp(x / t) over its sum; returns the log of the sum. */
static float softmax(const struct cpu_kernels *k, float *y, const float *x,
                     size_t n, float t)
{
    float top = -INFINITY, sum;

    memcpy(y, x, n * sizeof(*y));
    sum = k->softmax_part(y, n, 1 / t, &top);
    k->scale(y, 1 / sum, n);
    return logf(sum) + top;
}

/* KL to all of the teacher's row t, which is destroyed. q becomes
 * T (q - p), the gradient of T^2 KL by the student's logits. */
static float against_logits(const struct distill_job *j, const float *z,
                            float *t, float *q, float *p)
{
    const struct cpu_kernels *k = j->c->k;
    size_t n = j->d->head.vocab;
    float at = j->d->temperature, lq, lp, kl;

    if (j->d->tsoftcap > 0)
        k->softcap(t, t, 1, j->d->tsoftcap, n);
    lq = softmax(k, q, z, n, at);
    lp = softmax(k, p, t, n, at);
    k->axpy(t, -1, z, n); /* log p - log q, but for the sums */
    kl = k->dot(p, t, n) / at + lq - lp;
    k->axpy(q, -1, p, n);
    k->scale(q, at, n);
    return at * at * kl;
}

/* The same to the teacher's best ids and one bucket for all others. */
static float against_top(const struct distill_job *j, const float *z, size_t r,
                         float *q)
{
    size_t n = j->d->head.vocab, top = j->d->top;
    const int32_t *ids = j->top_ids + r * top;
    const float *logp = j->top_logp + r * top;
    float lq = softmax(j->c->k, q, z, n, 1);
    double rest_p = 1, rest_q = 1, kl = 0;

    for (size_t i = 0; i < top && ids[i] >= 0; i++) {
        double lp = (double)logp[i], p = exp(lp);

        kl += p * (lp - (double)(z[ids[i]] - lq));
        rest_p -= p;
        rest_q -= (double)q[ids[i]];
    }
    rest_p = rest_p > 0 ? rest_p : 0;
    rest_q = rest_q > 1e-12 ? rest_q : 1e-12;
    if (rest_p > 0)
        kl += rest_p * log(rest_p / rest_q);
    j->c->k->scale(q, (float)(1 - rest_p / rest_q), n);
    for (size_t i = 0; i < top && ids[i] >= 0; i++)
        q[ids[i]] =
            (float)(exp((double)(z[ids[i]] - lq)) - exp((double)logp[i]));
    return (float)kl;
}

static bool has_teacher(const struct distill_job *j, size_t r)
{
    return j->d->tx.buf || j->top_ids[r * j->d->top] >= 0;
}

/* Loss of one row; its logits become their gradients. scratch: three rows. */
static void distill_row(const struct distill_job *j, size_t r, float *scratch)
{
    const struct cpu_kernels *k = j->c->k;
    const struct compute_cross_entropy *h = &j->d->head;
    size_t n = h->vocab, label = (size_t)j->labels[r];
    float *z = j->logits + r * n, *q = scratch, *p = q + n, *capped = p + n;
    bool grad = h->dx.buf != NULL, taught = has_teacher(j, r);
    float mix = taught ? j->d->mix : 0, kl = 0;

    if (h->softcap > 0) {
        k->softcap(z, z, 1, h->softcap, n);
        memcpy(capped, z, n * sizeof(*z));
    }
    if (taught)
        kl = j->d->tx.buf ? against_logits(j, z, j->teacher + r * n, q, p)
                          : against_top(j, z, r, q);
    j->nll[r] = k->cross_entropy(z, n, label, (1 - mix) * h->scale, grad);
    j->loss[r] = mix * kl + (1 - mix) * j->nll[r];
    if (grad && taught)
        k->axpy(z, mix * h->scale, q, n);
    if (grad && h->softcap > 0)
        k->softcap_grad(z, capped, h->softcap, n);
}

static void distill_task(void *ctx, size_t task, unsigned worker)
{
    const struct distill_job *j = ctx;
    float *scratch = cpu_scratch_get(&j->c->rows[worker],
                                     3 * j->d->head.vocab * sizeof(*scratch));

    for (size_t r = task * 4; r < task * 4 + 4 && r < j->rows; r++)
        distill_row(j, r, scratch);
}

static void distill_chunk(struct cpu *c, const struct compute_distill *d,
                          float *logits, size_t at, size_t rows)
{
    const struct compute_cross_entropy *h = &d->head;
    struct compute_cross_entropy teacher = {
        .x = d->tx, .w = d->tw, .bias = d->tbias, .vocab = h->vocab, .k = d->tk
    };
    struct distill_job j = { .c = c,
                             .d = d,
                             .logits = logits,
                             .teacher = logits + rows * h->vocab,
                             .labels = cpu_i32(h->labels) + at,
                             .nll = cpu_f32(h->nll) + at,
                             .loss = cpu_f32(d->loss) + at,
                             .rows = rows };

    cpu_head_run(c, h, logits, at, rows);
    if (d->tx.buf) {
        cpu_head_run(c, &teacher, j.teacher, at, rows);
    } else {
        j.top_ids = cpu_i32(d->top_ids) + at * d->top;
        j.top_logp = cpu_f32(d->top_logp) + at * d->top;
    }
    cpu_run(c, (rows + 3) / 4, rows * h->vocab * 24, distill_task, &j);
    if (h->dx.buf)
        cpu_head_grad(c, h, logits, at, rows);
}

void cpu_op_distill(struct compute *base, const struct compute_distill *d)
{
    struct cpu *c = (struct cpu *)base;
    size_t rows = d->head.rows, step = cpu_head_rows(rows, d->head.vocab);
    float *logits;

    logits = cpu_scratch_get(&c->chunk,
                             (2 * step * d->head.vocab + 1) * sizeof(*logits));
    for (size_t at = 0; at < rows; at += step)
        distill_chunk(c, d, logits, at, rows - at < step ? rows - at : step);
}

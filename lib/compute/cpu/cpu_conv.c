/*
 * cpu_conv.c - causal depth-wise convolutions and their gradients
 *
 * A task owns a block of channels and walks all documents, so that gradients
 * of weights need no partial sums.
 */
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <string.h>

#define BLOCK 64 /* channels of a task */

struct conv_job {
    struct cpu *c;
    const struct compute_conv *v;
    const struct compute_conv_grad *g;
};

/* One task's channels: at..at+n-1. */
struct conv_part {
    const struct compute_conv *v;
    size_t at, n;
    float *w, *bias; /* [taps][n], [n] */
    const float *in[COMPUTE_MAX_TAPS];
};

static void part_weights(struct conv_part *t, float *memory)
{
    const float *w = cpu_f32(t->v->w) + t->at * t->v->taps;

    t->w = memory;
    t->bias = memory + t->v->taps * t->n;
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; j < t->v->taps; j++)
            t->w[j * t->n + i] = w[i * t->v->taps + j];
    memset(t->bias, 0, t->n * sizeof(*t->bias));
    if (t->v->bias.buf)
        memcpy(t->bias, cpu_f32(t->v->bias) + t->at, t->n * sizeof(*t->bias));
}

/* The rows behind document d, or NULL. */
static float *slot_of(const struct conv_part *t, size_t d)
{
    const struct compute_conv *v = t->v;

    if (!v->s.state.buf)
        return NULL;
    return cpu_f32(v->s.state) +
           (size_t)v->s.slots[d] * (v->taps - 1) * v->channels + t->at;
}

/* What row i of document d reads. */
static void part_inputs(struct conv_part *t, size_t d, size_t i)
{
    const struct compute_conv *v = t->v;
    const float *x = cpu_f32(v->x) + t->at, *slot = slot_of(t, d);
    size_t begin = (size_t)v->s.starts[d], back = v->taps - 1;

    for (size_t j = 0; j < v->taps; j++) {
        if (i + j >= back)
            t->in[j] = x + (begin + i + j - back) * v->x_stride;
        else
            t->in[j] =
                slot && v->s.past[d] > 0 ? slot + (i + j) * v->channels : NULL;
    }
}

/* The newest taps - 1 rows become the slot's. */
static void keep_tail(const struct conv_part *t, size_t d)
{
    const struct compute_conv *v = t->v;
    const float *x = cpu_f32(v->x) + t->at;
    float *slot = slot_of(t, d);
    size_t begin = (size_t)v->s.starts[d], back = v->taps - 1;
    size_t rows = (size_t)v->s.starts[d + 1] - begin;

    for (size_t j = 0; slot && j < back; j++) {
        float *to = slot + j * v->channels;

        if (rows + j >= back)
            memcpy(to, x + (begin + rows + j - back) * v->x_stride,
                   t->n * sizeof(*to));
        else if (v->s.past[d] > 0)
            memcpy(to, to + rows * v->channels, t->n * sizeof(*to));
        else
            memset(to, 0, t->n * sizeof(*to));
    }
}

static struct conv_part part_of(const struct compute_conv *v, size_t task)
{
    size_t at = task * BLOCK, left = v->channels - at;

    return (
        struct conv_part){ .v = v, .at = at, .n = left < BLOCK ? left : BLOCK };
}

static void conv_task(void *ctx, size_t task, unsigned worker)
{
    const struct conv_job *j = ctx;
    const struct compute_conv *v = j->v;
    struct conv_part t = part_of(v, task);
    float memory[(COMPUTE_MAX_TAPS + 1) * BLOCK];

    (void)worker;
    part_weights(&t, memory);
    for (size_t d = 0; d < v->s.docs; d++) {
        size_t begin = (size_t)v->s.starts[d];
        size_t rows = (size_t)v->s.starts[d + 1] - begin;

        for (size_t i = 0; i < rows; i++) {
            part_inputs(&t, d, i);
            j->c->k->conv_row(cpu_f32(v->y) + (begin + i) * v->channels + t.at,
                              t.in, t.w, t.bias, v->taps,
                              v->kind == COMPUTE_SILU, t.n);
        }
        keep_tail(&t, d);
    }
}

static void check(const struct compute_conv *v)
{
    assert(v->taps >= 1 && v->taps <= COMPUTE_MAX_TAPS);
    assert(v->kind == COMPUTE_SILU || v->kind == COMPUTE_IDENTITY);
    (void)v;
}

void cpu_op_conv(struct compute *c, const struct compute_conv *v)
{
    struct conv_job j = { .c = (struct cpu *)c, .v = v };

    check(v);
    cpu_run(j.c, (v->channels + BLOCK - 1) / BLOCK,
            v->s.rows * v->channels * v->taps, conv_task, &j);
}

/* dx[i] = sum over j of w[j] g[i + taps - 1 - j]: the convolution backwards. */
static void spread(const struct conv_job *j, struct conv_part *t,
                   const float *g, size_t d, const float *zeros)
{
    const struct compute_conv *v = t->v;
    size_t begin = (size_t)v->s.starts[d], back = v->taps - 1;
    size_t rows = (size_t)v->s.starts[d + 1] - begin;
    float *dx = cpu_f32(j->g->dx) + begin * v->x_stride + t->at;

    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < v->taps; k++)
            t->in[k] = i + back - k < rows ? g + (i + back - k) * t->n : NULL;
        j->c->k->conv_row(dx + i * v->x_stride, t->in, t->w, zeros, v->taps,
                          false, t->n);
    }
}

static void add_weights(const struct conv_job *j, const struct conv_part *t,
                        const float *dw, const float *dbias)
{
    float *to = cpu_f32(j->g->dw), *bias = cpu_f32(j->g->dbias);
    size_t taps = t->v->taps;

    for (size_t i = 0; to && i < t->n; i++)
        for (size_t k = 0; k < taps; k++)
            to[(t->at + i) * taps + k] += dw[k * t->n + i];
    for (size_t i = 0; bias && i < t->n; i++)
        bias[t->at + i] += dbias[i];
}

static size_t longest(const struct compute_sequences *s)
{
    size_t most = 0;

    for (size_t d = 0; d < s->docs; d++)
        if ((size_t)(s->starts[d + 1] - s->starts[d]) > most)
            most = (size_t)(s->starts[d + 1] - s->starts[d]);
    return most;
}

static void conv_grad_task(void *ctx, size_t task, unsigned worker)
{
    const struct conv_job *j = ctx;
    const struct compute_conv *v = j->v;
    struct conv_part t = part_of(v, task);
    float memory[(COMPUTE_MAX_TAPS + 1) * BLOCK], zeros[BLOCK] = { 0 };
    float dw[COMPUTE_MAX_TAPS * BLOCK] = { 0 }, dbias[BLOCK] = { 0 };
    float *g = cpu_scratch_get(&j->c->local[worker],
                               (longest(&v->s) + 1) * t.n * sizeof(*g));

    part_weights(&t, memory);
    for (size_t d = 0; d < v->s.docs; d++) {
        size_t begin = (size_t)v->s.starts[d];
        size_t rows = (size_t)v->s.starts[d + 1] - begin;

        for (size_t i = 0; i < rows; i++) {
            part_inputs(&t, d, i);
            j->c->k->conv_row_grad(
                g + i * t.n, dw, dbias,
                cpu_f32(j->g->dy) + (begin + i) * v->channels + t.at, t.in, t.w,
                t.bias, v->taps, v->kind == COMPUTE_SILU, t.n);
        }
        if (j->g->dx.buf)
            spread(j, &t, g, d, zeros);
    }
    add_weights(j, &t, dw, dbias);
}

void cpu_op_conv_grad(struct compute *c, const struct compute_conv_grad *g)
{
    struct conv_job j = { .c = (struct cpu *)c, .v = &g->fwd, .g = g };

    check(j.v);
    assert(!j.v->s.state.buf);
    cpu_run(j.c, (j.v->channels + BLOCK - 1) / BLOCK,
            j.v->s.rows * j.v->channels * j.v->taps * 3, conv_grad_task, &j);
}

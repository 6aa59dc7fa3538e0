/*
 * cpu_scan.c - Mamba-2's selective scan, step by step
 *
 * The step form is used for prompts, training and generation alike, so that
 * all give the same bits; a state of one head stays in the cache, and next to
 * the projections around it the scan is cheap. The backward pass computes the
 * states of a chunk again from the kept one. Sums over heads go through
 * partial sums of fixed blocks of heads.
 */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define HEADS 8 /* of one backward task */

struct scan_job {
    struct cpu *c;
    const struct compute_scan *v;
    const struct compute_scan_grad *g;
    size_t parts;  /* blocks of heads in a group */
    float *sums;   /* [parts][rows][2][groups * width]: db, dc */
    double *heads; /* [docs][heads][3]: da_log, ddt_bias, dd */
};

/* A head's step at a row. */
struct scan_step {
    float t, decay, slope; /* slope: dt/d(dt input), 0 where clamped */
    const float *x, *b, *c;
};

/* log(1 + e^x) and its derivative. */
float cpu_softplus(float x, float *slope)
{
    *slope = 1 / (1 + expf(-x));
    return x > 20 ? x : log1pf(expf(x));
}

static struct scan_step step_at(const struct compute_scan *v, size_t row,
                                size_t head)
{
    size_t group = head / (v->heads / v->groups);
    struct scan_step s;
    float dt =
        cpu_f32(v->dt)[row * v->dt_stride + head] + cpu_f32(v->dt_bias)[head];

    s.t = cpu_softplus(dt, &s.slope);
    if (s.t < v->dt_min || s.t > v->dt_max) {
        s.t = s.t < v->dt_min ? v->dt_min : v->dt_max;
        s.slope = 0;
    }
    s.decay = expf(-expf(cpu_f32(v->a_log)[head]) * s.t);
    s.x = cpu_f32(v->x) + row * v->stride + head * v->dim;
    s.b = cpu_f32(v->b) + row * v->stride + group * v->width;
    s.c = cpu_f32(v->c) + row * v->stride + group * v->width;
    return s;
}

static void scan_task(void *ctx, size_t task, unsigned worker)
{
    const struct scan_job *j = ctx;
    const struct compute_scan *v = j->v;
    size_t doc = task / v->heads, head = task % v->heads;
    size_t size = v->dim * v->width, begin = (size_t)v->s.starts[doc];
    size_t rows = (size_t)v->s.starts[doc + 1] - begin;
    size_t chunk = cpu_first_chunk(&v->s, doc);
    float *add =
        cpu_scratch_get(&j->c->local[worker], (v->dim + size) * sizeof(*add));
    float *state = add + v->dim, skip = cpu_f32(v->d)[head];

    state = cpu_state_begin(&v->s, doc, v->heads, head, size, state);
    for (size_t i = 0; i < rows; i++) {
        struct scan_step s = step_at(v, begin + i, head);
        float *y = cpu_f32(v->y) + ((begin + i) * v->heads + head) * v->dim;

        if (v->kept.buf && i % COMPUTE_CHUNK == 0)
            memcpy(cpu_f32(v->kept) + (chunk++ * v->heads + head) * size, state,
                   size * sizeof(*state));
        for (size_t p = 0; p < v->dim; p++)
            add[p] = s.t * s.x[p];
        j->c->k->scan_step(state, state, s.decay, add, s.b, s.c, y, v->width,
                           v->dim);
        for (size_t p = 0; p < v->dim; p++)
            y[p] += skip * s.x[p];
    }
}

void cpu_op_scan(struct compute *c, const struct compute_scan *v)
{
    struct scan_job j = { .c = (struct cpu *)c, .v = v };

    cpu_run(j.c, v->s.docs * v->heads,
            v->s.rows * v->heads * v->dim * v->width * 2, scan_task, &j);
}

/* One head of one document, backward. */
struct head_grad {
    const struct scan_job *j;
    size_t doc, head;
    float *ds, *states; /* [width,dim]; the same before each row of a chunk and
                         * after the last */
    float *add, *dadd;  /* [dim] */
    double a_log, dt_bias, skip;
};

static float *sums_at(const struct scan_job *j, size_t head, size_t row)
{
    const struct compute_scan *v = j->v;
    size_t each = v->heads / v->groups, group = head / each;
    size_t part = head % each / HEADS;

    return j->sums + (part * v->s.rows + row) * 2 * v->groups * v->width +
           group * v->width;
}

static void head_step(struct head_grad *h, size_t row, const float *before)
{
    const struct compute_scan *v = h->j->v;
    const struct compute_scan_grad *g = h->j->g;
    size_t at = (row * v->heads + h->head) * v->dim;
    struct scan_step s = step_at(v, row, h->head);
    float *db = sums_at(h->j, h->head, row), *dc = db + v->groups * v->width;
    const float *dy = cpu_f32(g->dy) + at;
    float *dx = cpu_f32(g->dx) + row * v->stride + h->head * v->dim;
    float ddecay = 0, dt = 0, skip = cpu_f32(v->d)[h->head];
    float rate = -expf(cpu_f32(v->a_log)[h->head]);

    for (size_t p = 0; p < v->dim; p++)
        h->add[p] = s.t * s.x[p];
    h->j->c->k->scan_step_grad(
        &(struct cpu_scan_step){ .ds = h->ds,
                                 .db = db,
                                 .dc = dc,
                                 .after = before + v->dim * v->width,
                                 .before = before,
                                 .b = s.b,
                                 .c = s.c,
                                 .add = h->add,
                                 .dy = dy,
                                 .decay = s.decay,
                                 .dadd = h->dadd,
                                 .ddecay = &ddecay,
                                 .width = v->width,
                                 .dim = v->dim });
    for (size_t p = 0; p < v->dim; p++) {
        dx[p] = s.t * h->dadd[p] + skip * dy[p];
        dt += s.x[p] * h->dadd[p];
        h->skip += (double)(s.x[p] * dy[p]);
    }
    h->a_log += (double)(ddecay * s.decay * rate * s.t);
    dt = (dt + ddecay * s.decay * rate) * s.slope;
    h->dt_bias += (double)dt;
    cpu_f32(g->ddt)[row * v->dt_stride + h->head] = dt;
}

static void head_chunk(void *ctx, size_t first, size_t rows, size_t chunk)
{
    struct head_grad *h = ctx;
    const struct compute_scan *v = h->j->v;
    size_t size = v->dim * v->width;

    memcpy(h->states, cpu_f32(v->kept) + (chunk * v->heads + h->head) * size,
           size * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        struct scan_step s = step_at(v, first + i, h->head);
        float *next = h->states + (i + 1) * size;

        for (size_t p = 0; p < v->dim; p++)
            h->add[p] = s.t * s.x[p];
        h->j->c->k->scan_step(next, next - size, s.decay, h->add, s.b, s.c,
                              h->dadd, v->width, v->dim);
    }
    for (size_t i = rows; i-- > 0;)
        head_step(h, first + i, h->states + i * size);
}

static void head_run(struct head_grad *h)
{
    const struct compute_scan *v = h->j->v;
    double *sums = h->j->heads + 3 * (h->doc * v->heads + h->head);

    memset(h->ds, 0, v->dim * v->width * sizeof(float));
    cpu_chunks_back(&v->s, h->doc, head_chunk, h);
    sums[0] = h->a_log;
    sums[1] = h->dt_bias;
    sums[2] = h->skip;
}

static void scan_grad_task(void *ctx, size_t task, unsigned worker)
{
    const struct scan_job *j = ctx;
    const struct compute_scan *v = j->v;
    size_t each = v->heads / v->groups, size = v->dim * v->width;
    size_t part = task % j->parts, group = task / j->parts % v->groups;
    size_t doc = task / j->parts / v->groups;
    float *memory = cpu_scratch_get(&j->c->local[worker],
                                    ((COMPUTE_CHUNK + 2) * size + 2 * v->dim) *
                                        sizeof(*memory));
    float *tail = memory + (COMPUTE_CHUNK + 2) * size;

    for (size_t k = part * HEADS; k < each && k < (part + 1) * HEADS; k++)
        head_run(&(struct head_grad){ .j = j,
                                      .doc = doc,
                                      .head = group * each + k,
                                      .ds = memory,
                                      .states = memory + size,
                                      .add = tail,
                                      .dadd = tail + v->dim });
}

static void sum_task(void *ctx, size_t row, unsigned worker)
{
    const struct scan_job *j = ctx;
    const struct compute_scan *v = j->v;
    size_t n = v->groups * v->width;
    float *db = cpu_f32(j->g->db) + row * v->stride;
    float *dc = cpu_f32(j->g->dc) + row * v->stride;

    (void)worker;
    for (size_t p = 0; p < j->parts; p++) {
        const float *from = j->sums + (p * v->s.rows + row) * 2 * n;

        for (size_t i = 0; i < n; i++) {
            db[i] = (p ? db[i] : 0) + from[i];
            dc[i] = (p ? dc[i] : 0) + from[n + i];
        }
    }
}

void cpu_add_heads(struct compute_span out, const double *sums, size_t docs,
                   size_t heads, size_t each, size_t which)
{
    float *to = cpu_f32(out);

    for (size_t h = 0; to && h < heads; h++) {
        double sum = 0;

        for (size_t d = 0; d < docs; d++)
            sum += sums[each * (d * heads + h) + which];
        to[h] += (float)sum;
    }
}

void cpu_op_scan_grad(struct compute *c, const struct compute_scan_grad *g)
{
    const struct compute_scan *v = &g->fwd;
    struct scan_job j = { .c = (struct cpu *)c, .v = v, .g = g };
    size_t n, work = v->s.rows * v->heads * v->dim * v->width * 8;

    j.parts = (v->heads / v->groups + HEADS - 1) / HEADS;
    n = j.parts * v->s.rows * 2 * v->groups * v->width;
    j.sums = cpu_scratch_get(&j.c->chunk, (n + 1) * sizeof(*j.sums));
    memset(j.sums, 0, n * sizeof(*j.sums));
    j.heads = cpu_scratch_get(&j.c->pack, (v->s.docs * v->heads * 3 + 1) *
                                              sizeof(*j.heads));
    cpu_run(j.c, v->s.docs * v->groups * j.parts, work, scan_grad_task, &j);
    cpu_run(j.c, v->s.rows, n, sum_task, &j);
    cpu_add_heads(g->da_log, j.heads, v->s.docs, v->heads, 3, 0);
    cpu_add_heads(g->ddt_bias, j.heads, v->s.docs, v->heads, 3, 1);
    cpu_add_heads(g->dd, j.heads, v->s.docs, v->heads, 3, 2);
}

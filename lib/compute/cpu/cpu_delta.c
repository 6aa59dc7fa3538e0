/*
 * cpu_delta.c - the gated delta rule, step by step
 *
 * As cpu_scan.c. A backward task owns a key head with all value heads that read
 * it.
 */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

struct delta_job {
    struct cpu *c;
    const struct compute_delta *v;
    const struct compute_delta_grad *g;
    double *heads; /* [docs][value_heads][2]: da_log, ddt_bias */
};

struct delta_step {
    float decay, beta, log_decay, slope; /* slope: d log_decay / d a */
    float q_rstd, k_rstd;
    const float *q, *k, *v; /* q, k: as they came */
};

static struct delta_step step_at(const struct delta_job *j, size_t row,
                                 size_t head)
{
    const struct compute_delta *v = j->v;
    size_t key = head / (v->value_heads / v->key_heads), n = v->key_dim;
    size_t at = row * v->value_heads + head;
    struct delta_step s = {
        .q = cpu_f32(v->q) + row * v->stride + key * n,
        .k = cpu_f32(v->k) + row * v->stride + key * n,
        .v = cpu_f32(v->v) + row * v->stride + head * v->value_dim,
        .beta = 1 / (1 + expf(-cpu_f32(v->b)[at])),
    };
    float rate = -expf(cpu_f32(v->a_log)[head]), slope;

    s.log_decay =
        rate *
        cpu_softplus(cpu_f32(v->a)[at] + cpu_f32(v->dt_bias)[head], &slope);
    s.slope = rate * slope;
    s.decay = expf(s.log_decay);
    s.q_rstd = 1 / sqrtf(j->c->k->dot(s.q, s.q, n) + v->eps);
    s.k_rstd = 1 / sqrtf(j->c->k->dot(s.k, s.k, n) + v->eps);
    return s;
}

/* q and k as the rule uses them: [2][key_dim]. */
static void unit_pair(const struct delta_job *j, const struct delta_step *s,
                      float *pair)
{
    size_t n = j->v->key_dim;

    memcpy(pair, s->q, n * sizeof(*pair));
    memcpy(pair + n, s->k, n * sizeof(*pair));
    j->c->k->scale(pair, s->q_rstd / sqrtf((float)n), n);
    j->c->k->scale(pair + n, s->k_rstd, n);
}

static void delta_task(void *ctx, size_t task, unsigned worker)
{
    const struct delta_job *j = ctx;
    const struct compute_delta *v = j->v;
    size_t doc = task / v->value_heads, head = task % v->value_heads;
    size_t n = v->key_dim, size = v->value_dim * n;
    size_t begin = (size_t)v->s.starts[doc];
    size_t rows = (size_t)v->s.starts[doc + 1] - begin;
    size_t chunk = cpu_first_chunk(&v->s, doc);
    float *pair =
        cpu_scratch_get(&j->c->local[worker], (2 * n + size) * sizeof(*pair));
    float *state = pair + 2 * n;

    state = cpu_state_begin(&v->s, doc, v->value_heads, head, size, state);
    for (size_t i = 0; i < rows; i++) {
        struct delta_step s = step_at(j, begin + i, head);
        float *o = cpu_f32(v->o) +
                   ((begin + i) * v->value_heads + head) * v->value_dim;

        if (v->kept.buf && i % COMPUTE_CHUNK == 0)
            memcpy(cpu_f32(v->kept) + (chunk++ * v->value_heads + head) * size,
                   state, size * sizeof(*state));
        unit_pair(j, &s, pair);
        j->c->k->delta_step(state, state, s.decay, s.beta, s.v, pair + n, pair,
                            o, n, v->value_dim);
    }
}

void cpu_op_delta(struct compute *c, const struct compute_delta *v)
{
    struct delta_job j = { .c = (struct cpu *)c, .v = v };

    cpu_run(j.c, v->s.docs * v->value_heads,
            v->s.rows * v->value_heads * v->value_dim * v->key_dim * 4,
            delta_task, &j);
}

/* One value head of one document, backward. */
struct head_grad {
    const struct delta_job *j;
    size_t doc, head;
    bool first; /* of those that read its key head */
    float *pair, *dpair, *ds, *states, *out;
    double a_log, dt_bias;
};

/* dx of unit = x rstd scale, from the unit's gradient: set or added to. */
static void unit_grad(const struct head_grad *h, float *dx, const float *dunit,
                      const float *x, float rstd, float scale)
{
    size_t n = h->j->v->key_dim;
    float along = h->j->c->k->dot(dunit, x, n) * rstd * rstd;

    for (size_t i = 0; i < n; i++)
        dx[i] =
            (h->first ? 0 : dx[i]) + scale * rstd * (dunit[i] - x[i] * along);
}

static void head_step(struct head_grad *h, size_t row, const float *before)
{
    const struct compute_delta *v = h->j->v;
    const struct compute_delta_grad *g = h->j->g;
    size_t n = v->key_dim;
    size_t key = h->head / (v->value_heads / v->key_heads);
    size_t at = row * v->value_heads + h->head;
    size_t in = row * v->stride + key * n;
    struct delta_step s = step_at(h->j, row, h->head);
    float ddecay = 0, dbeta = 0, dlog;

    unit_pair(h->j, &s, h->pair);
    memset(h->dpair, 0, 2 * n * sizeof(float));
    h->j->c->k->delta_step_grad(&(struct cpu_delta_step){
        .ds = h->ds,
        .dq = h->dpair,
        .dk = h->dpair + n,
        .after = before + v->value_dim * n,
        .before = before,
        .q = h->pair,
        .k = h->pair + n,
        .v = s.v,
        .d_o = cpu_f32(g->d_o) + at * v->value_dim,
        .decay = s.decay,
        .beta = s.beta,
        .dv = cpu_f32(g->dv) + row * v->stride + h->head * v->value_dim,
        .ddecay = &ddecay,
        .dbeta = &dbeta,
        .width = n,
        .dim = v->value_dim });
    unit_grad(h, cpu_f32(g->dq) + in, h->dpair, s.q, s.q_rstd,
              1 / sqrtf((float)n));
    unit_grad(h, cpu_f32(g->dk) + in, h->dpair + n, s.k, s.k_rstd, 1);
    dlog = ddecay * s.decay;
    h->a_log += (double)(dlog * s.log_decay);
    h->dt_bias += (double)(dlog * s.slope);
    cpu_f32(g->da)[at] = dlog * s.slope;
    cpu_f32(g->db)[at] = dbeta * s.beta * (1 - s.beta);
}

static void head_chunk(void *ctx, size_t first, size_t rows, size_t chunk)
{
    struct head_grad *h = ctx;
    const struct compute_delta *v = h->j->v;
    size_t n = v->key_dim, size = v->value_dim * n;

    memcpy(h->states,
           cpu_f32(v->kept) + (chunk * v->value_heads + h->head) * size,
           size * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        struct delta_step s = step_at(h->j, first + i, h->head);
        float *next = h->states + (i + 1) * size;

        unit_pair(h->j, &s, h->pair);
        h->j->c->k->delta_step(next, next - size, s.decay, s.beta, s.v,
                               h->pair + n, h->pair, h->out, n, v->value_dim);
    }
    for (size_t i = rows; i-- > 0;)
        head_step(h, first + i, h->states + i * size);
}

static void head_run(struct head_grad *h)
{
    const struct compute_delta *v = h->j->v;
    double *sums = h->j->heads + 2 * (h->doc * v->value_heads + h->head);

    memset(h->ds, 0, v->value_dim * v->key_dim * sizeof(float));
    cpu_chunks_back(&v->s, h->doc, head_chunk, h);
    sums[0] = h->a_log;
    sums[1] = h->dt_bias;
}

static void delta_grad_task(void *ctx, size_t task, unsigned worker)
{
    const struct delta_job *j = ctx;
    const struct compute_delta *v = j->v;
    size_t each = v->value_heads / v->key_heads, n = v->key_dim;
    size_t size = v->value_dim * n;
    size_t doc = task / v->key_heads, key = task % v->key_heads;
    float *memory = cpu_scratch_get(
        &j->c->local[worker],
        (4 * n + (COMPUTE_CHUNK + 2) * size + v->value_dim) * sizeof(*memory));

    for (size_t k = 0; k < each; k++)
        head_run(&(struct head_grad){ .j = j,
                                      .doc = doc,
                                      .head = key * each + k,
                                      .first = k == 0,
                                      .pair = memory,
                                      .dpair = memory + 2 * n,
                                      .ds = memory + 4 * n,
                                      .states = memory + 4 * n + size,
                                      .out = memory + 4 * n +
                                             (COMPUTE_CHUNK + 2) * size });
}

void cpu_op_delta_grad(struct compute *c, const struct compute_delta_grad *g)
{
    const struct compute_delta *v = &g->fwd;
    struct delta_job j = { .c = (struct cpu *)c, .v = v, .g = g };

    j.heads = cpu_scratch_get(&j.c->pack, (v->s.docs * v->value_heads * 2 + 1) *
                                              sizeof(*j.heads));
    cpu_run(j.c, v->s.docs * v->key_heads,
            v->s.rows * v->value_heads * v->value_dim * v->key_dim * 16,
            delta_grad_task, &j);
    cpu_add_heads(g->da_log, j.heads, v->s.docs, v->value_heads, 2, 0);
    cpu_add_heads(g->ddt_bias, j.heads, v->s.docs, v->value_heads, 2, 1);
}

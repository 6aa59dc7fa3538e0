/*
 * cpu_gate.c - RMS norms of groups with a gate, and columns times a number
 */
#include "compute/cpu/cpu.h"

#include <math.h>
#include <string.h>

#define SUM_ROWS 64 /* rows of one partial sum */

struct gate_job {
    struct cpu *c;
    const struct compute_gated_norm *v;
    const struct compute_gated_norm_grad *g;
    float *dw; /* [tasks][w_dim] */
    float *y, alpha;
    size_t rows, cols, stride;
};

static const float *weight_at(const struct compute_gated_norm *v, size_t at)
{
    return cpu_f32(v->w) + at % v->w_dim;
}

static void norm_row(const struct gate_job *j, size_t r, float *t)
{
    const struct compute_gated_norm *v = j->v;
    const float *x = cpu_f32(v->x) + r * v->dim;
    const float *gate = cpu_f32(v->gate) + r * v->gate_stride;
    float *y = cpu_f32(v->y) + r * v->dim;

    if (v->gate_first || v->group == 0)
        j->c->k->glu(COMPUTE_SILU, t, gate, x, v->dim);
    else
        memcpy(t, x, v->dim * sizeof(*t));
    for (size_t at = 0; v->group && at < v->dim; at += v->group)
        (void)j->c->k->rmsnorm(t + at, t + at, weight_at(v, at), v->group,
                               v->eps);
    if (v->gate_first || v->group == 0)
        memcpy(y, t, v->dim * sizeof(*t));
    else
        j->c->k->glu(COMPUTE_SILU, y, gate, t, v->dim);
}

static void norm_task(void *ctx, size_t task, unsigned worker)
{
    const struct gate_job *j = ctx;
    float *t = cpu_scratch_get(&j->c->local[worker], j->v->dim * sizeof(*t));

    for (size_t r = task * CPU_ROWS;
         r < j->v->rows && r < (task + 1) * CPU_ROWS; r++)
        norm_row(j, r, t);
}

void cpu_op_gated_norm(struct compute *c, const struct compute_gated_norm *v)
{
    struct gate_job j = { .c = (struct cpu *)c, .v = v };

    cpu_run(j.c, cpu_ceil_div(v->rows, CPU_ROWS), v->rows * v->dim * 10,
            norm_task, &j);
}

/* d of a norm's input; dw is added to. */
static void norm_grad_row(const struct gate_job *j, float *dt, float *dw,
                          const float *dn, const float *t)
{
    const struct compute_gated_norm *v = j->v;

    memset(dt, 0, v->dim * sizeof(*dt));
    for (size_t at = 0; at < v->dim; at += v->group) {
        float mean =
            (float)(j->c->k->sum_squares(t + at, v->group) / (double)v->group);

        j->c->k->rmsnorm_grad(dt + at, dw ? dw + at % v->w_dim : NULL, dn + at,
                              t + at, weight_at(v, at),
                              1 / sqrtf(mean + v->eps), v->group);
    }
}

/* t: 3 rows of scratch. */
static void grad_row(const struct gate_job *j, size_t r, float *dw, float *t)
{
    const struct compute_gated_norm *v = j->v;
    const struct cpu_kernels *k = j->c->k;
    const float *x = cpu_f32(v->x) + r * v->dim;
    const float *gate = cpu_f32(v->gate) + r * v->gate_stride;
    const float *dy = cpu_f32(j->g->dy) + r * v->dim;
    float *dx = cpu_f32(j->g->dx) + r * v->dim, *inner = t + v->dim;
    float *dgate = cpu_f32(j->g->dgate) + r * v->gate_stride;
    float *dinner = t + 2 * v->dim;

    if (v->group == 0) {
        k->glu_grad(COMPUTE_SILU, dgate, dx, dy, gate, x, v->dim);
    } else if (v->gate_first) {
        k->glu(COMPUTE_SILU, t, gate, x, v->dim);
        norm_grad_row(j, inner, dw, dy, t);
        k->glu_grad(COMPUTE_SILU, dgate, dx, inner, gate, x, v->dim);
    } else {
        for (size_t at = 0; at < v->dim; at += v->group)
            (void)k->rmsnorm(inner + at, x + at, weight_at(v, at), v->group,
                             v->eps);
        k->glu_grad(COMPUTE_SILU, dgate, t, dy, gate, inner, v->dim);
        norm_grad_row(j, dinner, dw, t, x);
        memcpy(dx, dinner, v->dim * sizeof(*dx));
    }
}

static void grad_task(void *ctx, size_t task, unsigned worker)
{
    const struct gate_job *j = ctx;
    size_t end = (task + 1) * SUM_ROWS;
    float *dw = j->dw ? j->dw + task * j->v->w_dim : NULL;
    float *t =
        cpu_scratch_get(&j->c->local[worker], 3 * j->v->dim * sizeof(*t));

    if (dw)
        memset(dw, 0, j->v->w_dim * sizeof(*dw));
    for (size_t r = task * SUM_ROWS; r < j->v->rows && r < end; r++)
        grad_row(j, r, dw, t);
}

void cpu_op_gated_norm_grad(struct compute *c,
                            const struct compute_gated_norm_grad *g)
{
    struct gate_job j = { .c = (struct cpu *)c, .v = &g->fwd, .g = g };
    size_t tasks = cpu_ceil_div(j.v->rows, SUM_ROWS);

    if (g->dw.buf && j.v->group)
        j.dw = cpu_scratch_get(&j.c->chunk,
                               (tasks * j.v->w_dim + 1) * sizeof(*j.dw));
    cpu_run(j.c, tasks, j.v->rows * j.v->dim * 20, grad_task, &j);
    for (size_t t = 0; j.dw && t < tasks; t++)
        j.c->k->add_bias(cpu_f32(g->dw), j.dw + t * j.v->w_dim, j.v->w_dim);
}

static void columns_rows(void *ctx, size_t at, size_t n)
{
    const struct gate_job *j = ctx;

    for (size_t r = at; r < at + n; r++)
        j->c->k->scale(j->y + r * j->stride, j->alpha, j->cols);
}

void cpu_op_scale_columns(struct compute *c, struct compute_span y,
                          size_t y_stride, size_t rows, size_t cols,
                          float alpha)
{
    struct gate_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .alpha = alpha,
                          .rows = rows,
                          .cols = cols,
                          .stride = y_stride };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * cols, columns_rows, &j);
}

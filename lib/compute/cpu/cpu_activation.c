/*
 * cpu_activation.c - activation functions, scaling, columns, layer norm
 *
 * Flat operations are cut into fixed pieces; a row is never shared by two
 * tasks.
 */
#include "compute/cpu/cpu.h"

#include <string.h>

#define SUM_ROWS 64 /* rows of one partial sum */

struct flat_job {
    struct cpu *c;
    enum compute_activation kind;
    float *y, *z;
    const float *x, *v, *w;
    size_t n;
    float f;
};

static void scale_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    if (j->y != j->x)
        memcpy(j->y + at, j->x + at, n * sizeof(float));
    j->c->k->scale(j->y + at, j->f, n);
}

void cpu_op_scale(struct compute *c, struct compute_span y,
                  struct compute_span x, float alpha, size_t n)
{
    struct flat_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .n = n,
                          .f = alpha };

    cpu_run_pieces(j.c, n, CPU_FLAT, n, scale_piece, &j);
}

static void activate_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    j->c->k->activate(j->kind, j->y + at, j->x + at, n);
}

void cpu_op_activate(struct compute *c, enum compute_activation kind,
                     struct compute_span y, struct compute_span x, size_t n)
{
    struct flat_job j = { .c = (struct cpu *)c,
                          .kind = kind,
                          .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .n = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 8, activate_piece, &j);
}

static void activate_grad_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    j->c->k->activate_grad(j->kind, j->y + at, j->v + at, j->x + at, n);
}

void cpu_op_activate_grad(struct compute *c, enum compute_activation kind,
                          struct compute_span dx, struct compute_span dy,
                          struct compute_span x, size_t n)
{
    struct flat_job j = { .c = (struct cpu *)c,
                          .kind = kind,
                          .y = cpu_f32(dx),
                          .v = cpu_f32(dy),
                          .x = cpu_f32(x),
                          .n = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 12, activate_grad_piece, &j);
}

static void glu_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    j->c->k->glu(j->kind, j->y + at, j->x + at, j->v + at, n);
}

void cpu_op_glu(struct compute *c, enum compute_activation kind,
                struct compute_span h, struct compute_span gate,
                struct compute_span up, size_t n)
{
    struct flat_job j = { .c = (struct cpu *)c,
                          .kind = kind,
                          .y = cpu_f32(h),
                          .x = cpu_f32(gate),
                          .v = cpu_f32(up),
                          .n = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 8, glu_piece, &j);
}

static void glu_grad_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    j->c->k->glu_grad(j->kind, j->y + at, j->z + at, j->w + at, j->x + at,
                      j->v + at, n);
}

void cpu_op_glu_grad(struct compute *c, enum compute_activation kind,
                     struct compute_span dgate, struct compute_span dup,
                     struct compute_span dh, struct compute_span gate,
                     struct compute_span up, size_t n)
{
    struct flat_job j = { .c = (struct cpu *)c,
                          .kind = kind,
                          .y = cpu_f32(dgate),
                          .z = cpu_f32(dup),
                          .w = cpu_f32(dh),
                          .x = cpu_f32(gate),
                          .v = cpu_f32(up),
                          .n = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 12, glu_grad_piece, &j);
}

static void softcap_piece(void *ctx, size_t at, size_t n)
{
    const struct flat_job *j = ctx;

    j->c->k->softcap(j->y + at, j->x + at, 1, j->f, n);
}

void cpu_op_softcap(struct compute *c, struct compute_span y,
                    struct compute_span x, float cap, size_t n)
{
    struct flat_job j = {
        .c = (struct cpu *)c, .y = cpu_f32(y), .x = cpu_f32(x), .n = n, .f = cap
    };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 8, softcap_piece, &j);
}

struct rows_job {
    struct cpu *c;
    float *y, *stat, *dw, *db; /* dw, db: partial sums */
    const float *x, *dy, *w, *b;
    size_t rows, dim, y_stride, x_stride;
    float eps;
};

static void columns_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = at; r < at + n; r++)
        memcpy(j->y + r * j->y_stride, j->x + r * j->x_stride,
               j->dim * sizeof(float));
}

void cpu_op_copy_columns(struct compute *c, struct compute_span y,
                         size_t y_stride, struct compute_span x,
                         size_t x_stride, size_t rows, size_t cols)
{
    struct rows_job j = { .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .rows = rows,
                          .dim = cols,
                          .y_stride = y_stride,
                          .x_stride = x_stride };

    cpu_run_pieces((struct cpu *)c, rows, CPU_ROWS, rows * cols / 4,
                   columns_rows, &j);
}

static void layernorm_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = at; r < at + n; r++) {
        float stat[2];

        j->c->k->layernorm(j->y + r * j->dim, j->x + r * j->dim, j->w, j->b,
                           j->dim, j->eps, j->stat ? j->stat + 2 * r : stat);
    }
}

void cpu_op_layernorm(struct compute *c, struct compute_span y,
                      struct compute_span x, struct compute_span w,
                      struct compute_span b, struct compute_span stat,
                      size_t rows, size_t dim, float eps)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .w = cpu_f32(w),
                          .b = cpu_f32(b),
                          .stat = cpu_f32(stat),
                          .rows = rows,
                          .dim = dim,
                          .eps = eps };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * dim * 2, layernorm_rows, &j);
}

static void layernorm_grad_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;
    float *dw = j->dw ? j->dw + at / SUM_ROWS * 2 * j->dim : NULL;

    if (dw)
        memset(dw, 0, 2 * j->dim * sizeof(*dw));
    for (size_t r = at; r < at + n; r++)
        j->c->k->layernorm_grad(j->y + r * j->dim, dw, dw ? dw + j->dim : NULL,
                                j->dy + r * j->dim, j->x + r * j->dim, j->w,
                                j->stat + 2 * r, j->dim);
}

void cpu_op_layernorm_grad(struct compute *base, struct compute_span dx,
                           struct compute_span dw, struct compute_span db,
                           struct compute_span dy, struct compute_span x,
                           struct compute_span w, struct compute_span stat,
                           size_t rows, size_t dim)
{
    struct cpu *c = (struct cpu *)base;
    size_t tasks = cpu_ceil_div(rows, SUM_ROWS);
    struct rows_job j = { .c = c,
                          .y = cpu_f32(dx),
                          .dy = cpu_f32(dy),
                          .x = cpu_f32(x),
                          .w = cpu_f32(w),
                          .stat = cpu_f32(stat),
                          .rows = rows,
                          .dim = dim };

    if (dw.buf)
        j.dw =
            cpu_scratch_get(&c->chunk, (tasks * 2 * dim + 1) * sizeof(float));
    cpu_run_pieces(c, rows, SUM_ROWS, rows * dim * 3, layernorm_grad_rows, &j);
    for (size_t t = 0; dw.buf && t < tasks; t++) {
        c->k->add_bias(cpu_f32(dw), j.dw + t * 2 * dim, dim);
        c->k->add_bias(cpu_f32(db), j.dw + (t * 2 + 1) * dim, dim);
    }
}

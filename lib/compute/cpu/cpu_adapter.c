/*
 * cpu_adapter.c - rows and columns scaled, and lengths of adapted weights
 *
 * What adapters with magnitudes and weighted losses need. Sums go down the
 * rows in order, column by column, so no result depends on the number of
 * threads.
 */
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <math.h>

#define SLICE 64 /* columns of one task */

struct scale_job {
    struct cpu *c;
    float *y;
    const float *x, *w, *bias, *addend;
    size_t rows, cols;
};

static void gain_rows(void *ctx, size_t at, size_t n)
{
    const struct scale_job *j = ctx;

    for (size_t r = at; r < at + n; r++) {
        float *y = j->y + r * j->cols;
        const float *x = j->x + r * j->cols;
        const float *addend = j->addend ? j->addend + r * j->cols : NULL;

        for (size_t i = 0; i < j->cols; i++) {
            float v = x[i] * j->w[i];

            if (j->bias)
                v += j->bias[i];
            y[i] = addend ? v + addend[i] : v;
        }
    }
}

void cpu_op_gain_columns(struct compute *c, struct compute_span y,
                         struct compute_span x, struct compute_span w,
                         struct compute_span bias, struct compute_span addend,
                         size_t rows, size_t cols)
{
    struct scale_job j = { .c = (struct cpu *)c,
                           .y = cpu_f32(y),
                           .x = cpu_f32(x),
                           .w = cpu_f32(w),
                           .bias = cpu_f32(bias),
                           .addend = cpu_f32(addend),
                           .rows = rows,
                           .cols = cols };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * cols, gain_rows, &j);
}

static void scale_rows(void *ctx, size_t at, size_t n)
{
    const struct scale_job *j = ctx;

    for (size_t r = at; r < at + n; r++)
        j->c->k->scale(j->y + r * j->cols, j->w[r], j->cols);
}

void cpu_op_scale_rows(struct compute *c, struct compute_span x,
                       struct compute_span w, size_t rows, size_t cols)
{
    struct scale_job j = { .c = (struct cpu *)c,
                           .y = cpu_f32(x),
                           .w = cpu_f32(w),
                           .rows = rows,
                           .cols = cols };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * cols, scale_rows, &j);
}

static void dots_slice(void *ctx, size_t at, size_t n)
{
    const struct scale_job *j = ctx;
    double sum[SLICE] = { 0 };

    assert(n <= SLICE);
    for (size_t r = 0; r < j->rows; r++) {
        const float *u = j->x + r * j->cols + at, *v = j->w + r * j->cols + at;

        for (size_t i = 0; i < n; i++)
            sum[i] += (double)u[i] * (double)v[i];
    }
    for (size_t i = 0; i < n; i++)
        j->y[at + i] += (float)sum[i];
}

void cpu_op_column_dots(struct compute *c, struct compute_span y,
                        struct compute_span u, struct compute_span v,
                        size_t rows, size_t cols)
{
    struct scale_job j = { .c = (struct cpu *)c,
                           .y = cpu_f32(y),
                           .x = cpu_f32(u),
                           .w = cpu_f32(v),
                           .rows = rows,
                           .cols = cols };

    cpu_run_pieces(j.c, cols, SLICE, rows * cols, dots_slice, &j);
}

struct norm_job {
    struct cpu *c;
    float *y;
    struct compute_span w;
    const float *a, *b;
    size_t n, k, rank;
    float alpha;
};

static void norms_task(void *ctx, size_t task, unsigned worker)
{
    const struct norm_job *j = ctx;
    const struct cpu_kernels *ker = j->c->k;
    size_t from = task * CPU_ROWS, end = from + CPU_ROWS;
    float *row = cpu_scratch_get(&j->c->local[worker], j->k * sizeof(*row));

    for (size_t i = from; i < j->n && i < end; i++) {
        cpu_weights_read(j->c, row, j->w.buf, j->w.at + i * j->k, j->k);
        for (size_t r = 0; r < j->rank; r++)
            ker->axpy(row, j->alpha * j->b[i * j->rank + r], j->a + r * j->k,
                      j->k);
        j->y[i] = (float)(1 / sqrt(ker->sum_squares(row, j->k)));
    }
}

void cpu_op_inverse_norms(struct compute *c, struct compute_span y,
                          const struct compute_span weights[3], size_t n,
                          size_t k, size_t rank, float alpha)
{
    struct norm_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .w = weights[0],
                          .b = cpu_f32(weights[1]),
                          .a = cpu_f32(weights[2]),
                          .n = n,
                          .k = k,
                          .rank = rank,
                          .alpha = alpha };

    cpu_run(j.c, cpu_ceil_div(n, CPU_ROWS), n * k * (rank + 1), norms_task, &j);
}

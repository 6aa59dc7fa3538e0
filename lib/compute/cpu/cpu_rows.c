/*
 * cpu_rows.c - the operations that work row by row, cut into fixed blocks
 *
 * Sums over rows go through per-block partial sums that are added in order,
 * so that no result depends on the number of threads.
 */
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SUM_ROWS 64 /* rows of one partial sum */
#define SLICE 64    /* columns of one task of column sums */

struct rows_job {
    struct cpu *c;
    float *y, *x, *z;
    const float *w, *v, *u;
    const int32_t *ids;
    struct compute_span table;
    size_t rows, dim, heads, rotary;
    float f;
    const float *constants;
    float *rstd;
    double *sums;
};

static void fill_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t i = 0; i < n; i++)
        j->y[at + i] = j->f;
}

void cpu_op_fill(struct compute *c, struct compute_span y, float value,
                 size_t n)
{
    struct rows_job j = { .f = value, .rows = n };

    if (y.buf->type != COMPUTE_F32) { /* of a cache, and to nothing */
        size_t width = compute_type_size(y.buf->type);

        assert(value == 0);
        memset((char *)y.buf->data + y.at * width, 0, n * width);
        return;
    }
    j.y = cpu_f32(y);
    cpu_run_pieces((struct cpu *)c, n, CPU_FLAT, n / 4, fill_piece, &j);
}

void cpu_op_copy(struct compute *c, struct compute_span y,
                 struct compute_span x, size_t n)
{
    size_t width = compute_type_size(y.buf->type);

    (void)c;
    assert(y.buf->type == x.buf->type);
    memcpy((char *)y.buf->data + y.at * width,
           (const char *)x.buf->data + x.at * width, n * width);
}

static void axpy_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    j->c->k->axpy(j->y + at, j->f, j->x + at, n);
}

void cpu_op_axpy(struct compute *c, struct compute_span y, float alpha,
                 struct compute_span x, size_t n)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .f = alpha,
                          .rows = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n, axpy_piece, &j);
}

static void squares_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    j->sums[at / CPU_FLAT] = j->c->k->sum_squares(j->x + at, n);
}

double cpu_op_sum_squares(struct compute *base, struct compute_span x, size_t n)
{
    struct cpu *c = (struct cpu *)base;
    size_t tasks = cpu_ceil_div(n, CPU_FLAT);
    struct rows_job j = { .c = c, .x = cpu_f32(x), .rows = n };
    double total = 0;

    j.sums = cpu_scratch_get(&c->chunk, (tasks + 1) * sizeof(double));
    cpu_run_pieces(c, n, CPU_FLAT, n, squares_piece, &j);
    for (size_t i = 0; i < tasks; i++)
        total += j.sums[i];
    return total;
}

void cpu_op_accumulate(struct compute *c, struct compute_span y,
                       struct compute_span x, size_t n, bool squares)
{
    const float *v = cpu_f32(x);
    double total = 0;

    if (squares)
        total = cpu_op_sum_squares(c, x, n);
    for (size_t i = 0; i < n && !squares; i++)
        total += (double)v[i];
    *cpu_f64(y) += total;
}

/* A row of a table of any weight type. */
static void table_row(const struct rows_job *j, float *y, size_t row)
{
    cpu_weights_read(j->c, y, j->table.buf, j->table.at + row * j->dim, j->dim);
}

static void embed_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = at; r < at + n; r++)
        table_row(j, j->y + r * j->dim, (size_t)j->ids[r]);
}

void cpu_op_embed(struct compute *c, struct compute_span y,
                  struct compute_span table, struct compute_span ids,
                  size_t rows, size_t dim)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .table = table,
                          .ids = cpu_i32(ids),
                          .rows = rows,
                          .dim = dim };

    assert(table.buf->data || table.buf->quant || table.buf->panels);
    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * dim / 4, embed_rows, &j);
}

static void embed_grad_slice(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = 0; r < j->rows; r++)
        j->c->k->add_bias(j->y + (size_t)j->ids[r] * j->dim + at,
                          j->x + r * j->dim + at, n);
}

void cpu_op_embed_grad(struct compute *c, struct compute_span dtable,
                       struct compute_span dy, struct compute_span ids,
                       size_t rows, size_t dim)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(dtable),
                          .x = cpu_f32(dy),
                          .ids = cpu_i32(ids),
                          .rows = rows,
                          .dim = dim };

    cpu_run_pieces(j.c, dim, SLICE, rows * dim, embed_grad_slice, &j);
}

void cpu_op_gather(struct compute *c, struct compute_span y,
                   struct compute_span x, struct compute_span index,
                   size_t rows, size_t dim)
{
    cpu_op_embed(c, y, x, index, rows, dim);
}

static void scatter_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = at; r < at + n; r++)
        memcpy(j->y + (size_t)j->ids[r] * j->dim, j->x + r * j->dim,
               j->dim * sizeof(float));
}

void cpu_op_scatter(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span index,
                    size_t rows, size_t dim)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .x = cpu_f32(x),
                          .ids = cpu_i32(index),
                          .rows = rows,
                          .dim = dim };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * dim / 4, scatter_rows, &j);
}

static void rmsnorm_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    for (size_t r = at; r < at + n; r++) {
        float rstd = j->c->k->rmsnorm(j->y + r * j->dim, j->v + r * j->dim,
                                      j->w, j->dim, j->f);

        if (j->rstd)
            j->rstd[r] = rstd;
    }
}

void cpu_op_rmsnorm(struct compute *c, struct compute_span y,
                    struct compute_span x, struct compute_span w,
                    struct compute_span rstd, size_t rows, size_t dim,
                    float eps)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(y),
                          .v = cpu_f32(x),
                          .w = cpu_f32(w),
                          .rstd = cpu_f32(rstd),
                          .rows = rows,
                          .dim = dim,
                          .f = eps };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * dim, rmsnorm_rows, &j);
}

static void rmsnorm_grad_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;
    float *dw = j->z ? j->z + at / SUM_ROWS * j->dim : NULL;

    if (dw)
        memset(dw, 0, j->dim * sizeof(*dw));
    for (size_t r = at; r < at + n; r++)
        j->c->k->rmsnorm_grad(j->x + r * j->dim, dw, j->u + r * j->dim,
                              j->v + r * j->dim, j->w, j->rstd[r], j->dim);
}

void cpu_op_rmsnorm_grad(struct compute *base, struct compute_span dx,
                         struct compute_span dw, struct compute_span dy,
                         struct compute_span x, struct compute_span w,
                         struct compute_span rstd, size_t rows, size_t dim)
{
    struct cpu *c = (struct cpu *)base;
    size_t tasks = cpu_ceil_div(rows, SUM_ROWS);
    struct rows_job j = { .c = c,
                          .x = cpu_f32(dx),
                          .u = cpu_f32(dy),
                          .v = cpu_f32(x),
                          .w = cpu_f32(w),
                          .rstd = cpu_f32(rstd),
                          .rows = rows,
                          .dim = dim };
    float *sum = cpu_f32(dw);

    if (sum)
        j.z = cpu_scratch_get(&c->chunk, (tasks * dim + 1) * sizeof(float));
    cpu_run_pieces(c, rows, SUM_ROWS, rows * dim * 2, rmsnorm_grad_rows, &j);
    for (size_t t = 0; sum && t < tasks; t++)
        c->k->add_bias(sum, j.z + t * dim, dim);
}

static void rope_rows(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;
    size_t half = j->rotary / 2;

    for (size_t r = at; r < at + n; r++)
        j->c->k->rope(
            j->x + r * j->heads * j->dim, j->v + (size_t)j->ids[r] * half,
            j->w + (size_t)j->ids[r] * half, j->heads, j->dim, j->rotary, j->f);
}

void cpu_op_rope(struct compute *c, struct compute_span x,
                 struct compute_span position, struct compute_span cosine,
                 struct compute_span sine, size_t rows, size_t heads,
                 size_t dim, bool inverse)
{
    cpu_op_rope_part(c, x, position, cosine, sine, rows, heads, dim, dim,
                     inverse);
}

void cpu_op_rope_part(struct compute *c, struct compute_span x,
                      struct compute_span position, struct compute_span cosine,
                      struct compute_span sine, size_t rows, size_t heads,
                      size_t dim, size_t rotary, bool inverse)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .x = cpu_f32(x),
                          .ids = cpu_i32(position),
                          .v = cpu_f32(cosine),
                          .w = cpu_f32(sine),
                          .rows = rows,
                          .heads = heads,
                          .dim = dim,
                          .rotary = rotary,
                          .f = inverse ? -1.0f : 1.0f };

    cpu_run_pieces(j.c, rows, CPU_ROWS, rows * heads * dim, rope_rows, &j);
}

static void swiglu_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    j->c->k->swiglu(j->y + at, j->v + at, j->u + at, n);
}

void cpu_op_swiglu(struct compute *c, struct compute_span h,
                   struct compute_span gate, struct compute_span up, size_t n)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(h),
                          .v = cpu_f32(gate),
                          .u = cpu_f32(up),
                          .rows = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 8, swiglu_piece, &j);
}

static void swiglu_grad_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    j->c->k->swiglu_grad(j->y + at, j->x + at, j->w + at, j->v + at, j->u + at,
                         n);
}

void cpu_op_swiglu_grad(struct compute *c, struct compute_span dgate,
                        struct compute_span dup, struct compute_span dh,
                        struct compute_span gate, struct compute_span up,
                        size_t n)
{
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(dgate),
                          .x = cpu_f32(dup),
                          .w = cpu_f32(dh),
                          .v = cpu_f32(gate),
                          .u = cpu_f32(up),
                          .rows = n };

    cpu_run_pieces(j.c, n, CPU_FLAT, n * 12, swiglu_grad_piece, &j);
}

struct argmax_job {
    struct cpu *c;
    int32_t *ids;
    float *logp;
    const float *logits;
    size_t rows, vocab;
};

static void argmax_task(void *ctx, size_t task, unsigned worker)
{
    const struct argmax_job *j = ctx;

    (void)worker;
    j->ids[task] = (int32_t)j->c->k->argmax(
        j->logits + task * j->vocab, j->vocab, j->logp ? j->logp + task : NULL);
}

void cpu_op_argmax(struct compute *c, struct compute_span ids,
                   struct compute_span logp, struct compute_span logits,
                   size_t rows, size_t vocab)
{
    struct argmax_job j = { (struct cpu *)c, cpu_i32(ids), cpu_f32(logp),
                            cpu_f32(logits), rows,         vocab };

    cpu_run(j.c, rows, rows * vocab * 4, argmax_task, &j);
}

static void adamw_piece(void *ctx, size_t at, size_t n)
{
    const struct rows_job *j = ctx;

    j->c->k->adamw(j->y + at, j->u + at, j->x + at, j->z + at, n, j->constants);
}

/* What g is multiplied by; false: a sum is not finite. */
static bool adamw_scale(const struct compute_adamw *a, double *scale)
{
    const double *sums = cpu_f64(a->sums);
    double norm;

    *scale = a->grad_scale;
    for (size_t i = 0; sums && i < a->sum_count; i++)
        if (!isfinite(sums[i]))
            return false;
    if (!sums)
        return true;
    norm = sqrt(sums[0]);
    *scale = norm > a->clip ? a->clip / (norm + 1e-6) : 1;
    return true;
}

void cpu_op_adamw(struct compute *c, const struct compute_adamw *a)
{
    double t = (double)a->step, scale;
    bool fine = adamw_scale(a, &scale);
    const float constants[ADAMW_CONSTANTS] = {
        [ADAMW_NOT_B1] = (float)(1 - a->beta1),
        [ADAMW_B2] = (float)a->beta2,
        [ADAMW_NOT_B2] = (float)(1 - a->beta2),
        [ADAMW_RATE] = (float)(a->lr / (1 - pow(a->beta1, t))),
        [ADAMW_C2] = (float)(1 / sqrt(1 - pow(a->beta2, t))),
        [ADAMW_EPS] = (float)a->eps,
        [ADAMW_DECAY] = (float)(1 - a->lr * a->decay),
        [ADAMW_GSCALE] = (float)scale,
    };
    struct rows_job j = { .c = (struct cpu *)c,
                          .y = cpu_f32(a->p),
                          .u = cpu_f32(a->g),
                          .x = cpu_f32(a->m),
                          .z = cpu_f32(a->v),
                          .rows = a->n,
                          .constants = constants };

    if (fine)
        cpu_run_pieces(j.c, a->n, CPU_FLAT, a->n * 4, adamw_piece, &j);
}

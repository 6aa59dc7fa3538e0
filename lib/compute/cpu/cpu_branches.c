/*
 * cpu_branches.c - several adapters' rows beside one product
 *
 * A decoding pass has few rows of each adapter: as products of their own they
 * are too small to wake a thread for, and too many to do without. Here all of
 * them are tasks of two runs.
 */
#include "compute/cpu/cpu.h"

#define PANELS 12 /* of columns in a task */
#define ROWS 48   /* in a task */

struct branch_job {
    struct cpu *c;
    const struct compute_branches *b;
    size_t low, tiles; /* a row of b->low; tasks of a piece */
};

/* Piece `piece` of all branches' rows: whose it is, its first row in the pass
 * and how many it has. */
static const struct compute_branch *piece_of(const struct compute_branches *b,
                                             size_t piece, size_t *at,
                                             size_t *rows)
{
    const struct compute_branch *x = b->each;

    while (piece >= cpu_ceil_div(x->rows, ROWS))
        piece -= cpu_ceil_div(x++->rows, ROWS);
    *at = x->from + piece * ROWS;
    *rows = x->rows - piece * ROWS < ROWS ? x->rows - piece * ROWS : ROWS;
    return x;
}

/* low = scale x a' */
static void low_task(void *ctx, size_t task, unsigned worker)
{
    const struct branch_job *j = ctx;
    const struct compute_branches *b = j->b;
    size_t at, rows;
    const struct compute_branch *x = piece_of(b, task, &at, &rows);
    struct cpu_gemm g = { .m = rows,
                          .n = x->rank,
                          .k = b->k,
                          .a = cpu_f32(b->x) + at * b->k,
                          .rs = b->k,
                          .cs = 1,
                          .b = cpu_operand_of(x->a, b->k, true),
                          .c = cpu_f32(b->low) + at * j->low,
                          .ldc = x->rank,
                          .alpha = x->scale };
    size_t nr = j->c->k->nr;

    cpu_gemm_columns(j->c, &g, 0, cpu_ceil_div(x->rank, nr) * nr, worker);
}

/* y += low b' */
static void up_task(void *ctx, size_t task, unsigned worker)
{
    const struct branch_job *j = ctx;
    const struct compute_branches *b = j->b;
    size_t at, rows, cols = PANELS * j->c->k->nr;
    const struct compute_branch *x = piece_of(b, task / j->tiles, &at, &rows);
    struct cpu_gemm g = { .m = rows,
                          .n = b->n,
                          .k = x->rank,
                          .a = cpu_f32(b->low) + at * j->low,
                          .rs = x->rank,
                          .cs = 1,
                          .b = cpu_operand_of(x->b, x->rank, true),
                          .c = cpu_f32(b->y) + at * b->n,
                          .ldc = b->n,
                          .alpha = 1,
                          .add = true };

    cpu_gemm_columns(j->c, &g, task % j->tiles * cols, cols, worker);
}

void cpu_op_branches(struct compute *c, const struct compute_branches *b)
{
    struct branch_job j = { .c = (struct cpu *)c, .b = b };
    size_t pieces = 0, work = 0;

    for (size_t i = 0; i < b->count; i++) {
        const struct compute_branch *x = &b->each[i];

        pieces += cpu_ceil_div(x->rows, ROWS);
        work += x->rows * x->rank;
        j.low = x->rank > j.low ? x->rank : j.low;
    }
    j.tiles = cpu_ceil_div(b->n, PANELS * j.c->k->nr);
    cpu_run(j.c, pieces, work * b->k, low_task, &j);
    cpu_run(j.c, pieces * j.tiles, work * b->n, up_task, &j);
}

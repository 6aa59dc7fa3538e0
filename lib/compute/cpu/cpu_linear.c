/* cpu_linear.c - linear layers and their gradients as products */
#include "compute/cpu/cpu.h"

#include <assert.h>

#define TURN 64 /* rows of a small gradient that are turned at once */

struct cpu_operand cpu_operand_of(struct compute_span w, size_t ld,
                                  bool by_rows)
{
    struct cpu_operand o = { .type = w.buf->type,
                             .ld = ld,
                             .by_rows = by_rows,
                             .quant = w.buf->quant,
                             .quant_at = w.at };

    if (w.buf->panels) {
        assert(w.at == 0 && w.buf->cols == ld);
        o.panels = w.buf->panels;
    } else {
        assert(w.buf->data || w.buf->quant);
    }
    if (w.buf->data)
        o.data =
            (const char *)w.buf->data + w.at * compute_type_size(w.buf->type);
    return o;
}

/* The adapter's branch joins the same pass over the output. */
static void set_pair(struct cpu_gemm *g, const struct compute_linear *l,
                     bool by_rows)
{
    if (!l->x2.buf)
        return;
    g->a2 = cpu_f32(l->x2);
    g->k2 = l->k2;
    g->b2 = cpu_operand_of(l->w2, by_rows ? l->k2 : g->n, by_rows);
}

static struct cpu_gemm forward(const struct compute_linear *l)
{
    struct cpu_gemm g = {
        .m = l->m,
        .n = l->n,
        .k = l->k,
        .a = cpu_f32(l->x),
        .rs = l->k,
        .cs = 1,
        .b = cpu_operand_of(l->w, l->k, true),
        .c = cpu_f32(l->y),
        .ldc = l->n,
        .bias = cpu_f32(l->bias),
        .alpha = l->alpha,
        .add = l->addend.buf != NULL,
        .from = cpu_f32(l->addend),
    };

    set_pair(&g, l, true);
    return g;
}

void cpu_op_linear(struct compute *c, const struct compute_linear *l)
{
    struct cpu_gemm g = forward(l);

    cpu_gemm_run((struct cpu *)c, &g);
}

/* Weights as blocks need x in 8 bits, and share the threads' round. */
void cpu_op_linears(struct compute *c, const struct compute_linear *l,
                    size_t count)
{
    struct cpu_gemm g[COMPUTE_LINEARS];
    bool joined = count > 0;

    assert(count <= COMPUTE_LINEARS);
    for (size_t i = 0; i < count; i++) {
        g[i] = forward(&l[i]);
        joined = joined && !g[i].add && !g[i].a2 && cpu_int_joins(g, &g[i]);
    }
    if (joined)
        cpu_int_run((struct cpu *)c, g, count);
    for (size_t i = 0; i < count && !joined; i++)
        cpu_gemm_run((struct cpu *)c, &g[i]);
}

void cpu_op_linear_dx(struct compute *c, const struct compute_linear *l)
{
    struct cpu_gemm g = {
        .m = l->m,
        .n = l->k,
        .k = l->n,
        .a = cpu_f32(l->y),
        .rs = l->n,
        .cs = 1,
        .b = cpu_operand_of(l->w, l->k, false),
        .c = cpu_f32(l->x),
        .ldc = l->k,
        .alpha = l->alpha,
        .add = l->addend.buf != NULL,
        .from = cpu_f32(l->addend),
    };

    set_pair(&g, l, false);
    cpu_gemm_run((struct cpu *)c, &g);
}

struct columns_job {
    struct cpu *c;
    float *sum;
    const float *y;
    size_t m, n;
};

static void columns_task(void *ctx, size_t task, unsigned worker)
{
    const struct columns_job *job = ctx;
    size_t at = task * 64, n = job->n - at < 64 ? job->n - at : 64;

    (void)worker;
    for (size_t r = 0; r < job->m; r++)
        job->c->k->add_bias(job->sum + at, job->y + r * job->n + at, n);
}

/* bias += the column sums of y[m,n] */
void cpu_add_columns(struct cpu *c, struct compute_span bias, const float *y,
                     size_t m, size_t n)
{
    struct columns_job job = { c, cpu_f32(bias), y, m, n };

    if (bias.buf)
        cpu_run(c, cpu_ceil_div(n, 64), m * n, columns_task, &job);
}

struct turn_job {
    struct cpu *c;
    const struct compute_linear *l;
    const float *t; /* [k][n] */
};

/* w += alpha t' */
static void turn_piece(void *ctx, size_t at, size_t n)
{
    const struct turn_job *job = ctx;
    const struct compute_linear *l = job->l;
    const struct cpu_kernels *ker = job->c->k;
    float *w = cpu_f32(l->w) + at * l->k;
    float panel[TURN * CPU_MAX_NR];

    ker->pack_rows(panel, job->t + at, l->n, l->k, n);
    for (size_t i = 0; i < n; i++)
        ker->axpy(w + i * l->k, l->alpha, panel + i * ker->nr, l->k);
}

/* A gradient of few columns is made as its transpose, whose rows few strips
 * hold: y is then read as it lies. */
static void dw_turned(struct cpu *c, const struct compute_linear *l)
{
    struct turn_job job = { .c = c, .l = l };
    struct cpu_gemm g = {
        .m = l->k,
        .n = l->n,
        .k = l->m,
        .a = cpu_f32(l->x),
        .rs = 1,
        .cs = l->k,
        .b = cpu_operand_of(l->y, l->n, false),
        .ldc = l->n,
        .alpha = 1,
    };

    g.c = cpu_scratch_get(&c->chunk, l->k * l->n * sizeof(*g.c));
    cpu_gemm_run(c, &g);
    job.t = g.c;
    cpu_run_pieces(c, l->n, TURN, l->n * l->k, turn_piece, &job);
}

void cpu_op_linear_dw(struct compute *base, const struct compute_linear *l)
{
    struct cpu *c = (struct cpu *)base;
    struct cpu_gemm g = {
        .m = l->n,
        .n = l->k,
        .k = l->m,
        .a = cpu_f32(l->y),
        .rs = 1,
        .cs = l->n,
        .b = cpu_operand_of(l->x, l->k, false),
        .c = l->w.buf ? cpu_f32(l->w) : NULL,
        .ldc = l->k,
        .alpha = l->alpha,
        .add = true,
    };

    if (l->w.buf && l->k <= c->k->nr && l->n > l->k)
        dw_turned(c, l);
    else if (l->w.buf)
        cpu_gemm_run(c, &g);
    cpu_add_columns(c, l->bias, g.a, l->m, l->n);
}

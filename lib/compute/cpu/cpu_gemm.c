/*
 * cpu_gemm.c - matrix products over tiles: linear layers, both gradients
 *
 * B is packed once a call by all threads (or was at load); then tiles of C
 * are handed out. A tile walks k in blocks of CPU_KC in ascending order, so
 * an element's sum is the same for any tiling and any number of threads.
 */
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <string.h>

#define PACK_LIMIT ((size_t)6 << 20) /* floats packed at once: 24 MB */
#define PACK_DEPTH 512               /* k of one packing task */

struct pack_job {
    struct cpu *c;
    const struct cpu_operand *w;
    void *out; /* in `type` */
    bool keep; /* keep the operand's type (freeze) or widen to f32 */
    size_t n0, n, k, depths;
};

static const char *operand_at(const struct cpu_operand *w, size_t j, size_t p)
{
    size_t at = w->by_rows ? j * w->ld + p : p * w->ld + j;

    return (const char *)w->data + at * compute_type_size(w->type);
}

/* One panel of at most PACK_DEPTH k, as f32. */
static void pack_panel(const struct pack_job *job, unsigned worker, float *out,
                       size_t j, size_t p0, size_t k)
{
    const struct cpu_kernels *ker = job->c->k;
    const struct cpu_operand *w = job->w;
    size_t n =
        job->n - (j - job->n0) < ker->nr ? job->n - (j - job->n0) : ker->nr;
    size_t rows = w->by_rows ? n : k, cols = w->by_rows ? k : n;
    size_t ld = w->ld;
    const float *src = NULL;

    if (w->type != COMPUTE_F32 || w->quant) {
        float *wide = cpu_scratch_get(&job->c->local[worker],
                                      rows * cols * sizeof(*wide));
        size_t at = w->quant_at + (w->by_rows ? j * ld + p0 : p0 * ld + j);

        for (size_t r = 0; r < rows; r++)
            if (w->quant)
                cpu_quant_read(w->quant, wide + r * cols, at + r * ld, cols);
            else
                ker->widen(wide + r * cols,
                           w->by_rows ? operand_at(w, j + r, p0)
                                      : operand_at(w, j, p0 + r),
                           w->type, cols);
        src = wide;
        ld = cols;
    } else {
        src = (const float *)(const void *)operand_at(w, j, p0);
    }
    (w->by_rows ? ker->pack_rows : ker->pack_cols)(out, src, ld, n, k);
}

static void pack_task(void *ctx, size_t task, unsigned worker)
{
    const struct pack_job *job = ctx;
    size_t nr = job->c->k->nr, panel = task / job->depths;
    size_t p0 = task % job->depths * PACK_DEPTH;
    size_t k = job->k - p0 < PACK_DEPTH ? job->k - p0 : PACK_DEPTH;
    size_t at = (panel * job->k + p0) * nr, j = job->n0 + panel * nr;

    if (job->keep && job->w->type != COMPUTE_F32) {
        /* 16-bit panels: the same order, element by element. */
        uint16_t *out = (uint16_t *)job->out + at;
        size_t n = job->n - panel * nr < nr ? job->n - panel * nr : nr;

        for (size_t p = 0; p < k; p++)
            for (size_t i = 0; i < nr; i++)
                if (i < n)
                    memcpy(out + p * nr + i, operand_at(job->w, j + i, p0 + p),
                           2);
                else
                    out[p * nr + i] = 0;
        return;
    }
    pack_panel(job, worker, (float *)job->out + at, j, p0, k);
}

static void pack_run(struct pack_job *job)
{
    job->depths = cpu_ceil_div(job->k, PACK_DEPTH);
    cpu_run(job->c, cpu_ceil_div(job->n, job->c->k->nr) * job->depths,
            job->n * job->k, pack_task, job);
}

size_t cpu_panels_bytes(const struct cpu *c, enum compute_type type, size_t n,
                        size_t k)
{
    return cpu_ceil_div(n, c->k->nr) * c->k->nr * k * compute_type_size(type);
}

void cpu_panels_make(struct cpu *c, void *panels, const struct cpu_operand *w,
                     size_t n, size_t k)
{
    struct pack_job job = { c, w, panels, true, 0, n, k, 0 };

    pack_run(&job);
}

struct gemm_job {
    struct cpu *c;
    const struct cpu_gemm *g;
    const void *panels;
    enum compute_type type; /* of the panels */
    size_t n0, n;           /* columns of this pass */
    size_t mc, nc, across;  /* tile and tiles in a row */
};

/* 16-bit panels are widened block by block into the worker's scratch. */
static void tile_widened(const struct gemm_job *job, struct cpu_block b,
                         size_t first, size_t p0, unsigned worker)
{
    const struct cpu_kernels *ker = job->c->k;
    float *wide = cpu_scratch_get(&job->c->local[worker],
                                  CPU_KC * ker->nr * sizeof(*wide));
    size_t n = b.n;
    float *c = b.c;

    for (size_t j = 0; j < n; j += ker->nr) {
        size_t at = ((first + j / ker->nr) * job->g->k + p0) * ker->nr;

        ker->widen(wide, (const uint16_t *)job->panels + at, job->type,
                   b.k * ker->nr);
        b.b = wide;
        b.n = n - j < ker->nr ? n - j : ker->nr;
        b.c = c + j;
        ker->block(&b);
    }
}

/* Rows a multiple of 2 KB apart fall into few cache sets: such a block of A is
 * copied close together first. Bits do not depend on it. */
static void gather_rows(struct gemm_job *job, struct cpu_block *b,
                        unsigned worker)
{
    const size_t ld = CPU_KC + 16;
    float *copy;

    if (b->cs != 1 || b->rs % 512 != 0 || b->n <= job->c->k->nr)
        return;
    copy = cpu_scratch_get(&job->c->rows[worker], job->mc * ld * sizeof(*copy));
    for (size_t i = 0; i < b->m; i++)
        memcpy(copy + i * ld, b->a + i * b->rs, b->k * sizeof(*copy));
    b->a = copy;
    b->rs = ld;
}

static void tile_task(void *ctx, size_t task, unsigned worker)
{
    struct gemm_job *job = ctx;
    const struct cpu_gemm *g = job->g;
    const struct cpu_kernels *ker = job->c->k;
    size_t i = task / job->across * job->mc, j = task % job->across * job->nc;
    struct cpu_block b = {
        .m = g->m - i < job->mc ? g->m - i : job->mc,
        .n = job->n - j < job->nc ? job->n - j : job->nc,
        .rs = g->rs,
        .cs = g->cs,
        .panel_stride = g->k * ker->nr,
        .c = g->c + i * g->ldc + job->n0 + j,
        .ldc = g->ldc,
        .alpha = g->alpha,
    };

    for (size_t p = 0; p < g->k; p += CPU_KC) {
        b.k = g->k - p < CPU_KC ? g->k - p : CPU_KC;
        b.a = g->a + i * g->rs + p * g->cs;
        b.rs = g->rs;
        gather_rows(job, &b, worker);
        b.add = g->add || p > 0;
        if (job->type != COMPUTE_F32) {
            tile_widened(job, b, j / ker->nr, p, worker);
            continue;
        }
        b.b = (const float *)job->panels + (j / ker->nr * g->k + p) * ker->nr;
        ker->block(&b);
    }
    if (g->bias)
        for (size_t r = 0; r < b.m; r++)
            ker->add_bias(b.c + r * b.ldc, g->bias + job->n0 + j, b.n);
}

static void gemm_pass(struct cpu *c, const struct cpu_gemm *g, size_t n0,
                      size_t n)
{
    struct gemm_job job = { .c = c, .g = g, .n0 = n0, .n = n };
    size_t nr = c->k->nr;

    if (g->b.panels) {
        job.panels = (const char *)g->b.panels +
                     n0 * g->k * compute_type_size(g->b.type);
        job.type = g->b.type;
    } else {
        struct pack_job pack = { c, &g->b, NULL, false, n0, n, g->k, 0 };

        pack.out = cpu_scratch_get(&c->pack,
                                   cpu_panels_bytes(c, COMPUTE_F32, n, g->k));
        pack_run(&pack);
        job.panels = pack.out;
        job.type = COMPUTE_F32;
    }
    job.mc = 4 * c->k->mr;
    job.nc = g->m <= job.mc ? 4 * nr : 16 * nr;
    job.across = cpu_ceil_div(n, job.nc);
    cpu_run(c, cpu_ceil_div(g->m, job.mc) * job.across, g->m * n * g->k,
            tile_task, &job);
}

void cpu_gemm_run(struct cpu *c, const struct cpu_gemm *g)
{
    size_t nr = c->k->nr, width = g->n;

    if (g->m == 0 || g->n == 0)
        return;
    if (cpu_int_takes(g)) {
        cpu_int_run(c, g);
        return;
    }
    if (!g->b.panels && g->k > 0 && width * g->k > PACK_LIMIT)
        width = (PACK_LIMIT / g->k / nr + 1) * nr;
    for (size_t n0 = 0; n0 < g->n; n0 += width)
        gemm_pass(c, g, n0, g->n - n0 < width ? g->n - n0 : width);
}

struct cpu_operand cpu_operand_of(struct compute_span w, size_t ld,
                                  bool by_rows)
{
    struct cpu_operand o = { .type = w.buf->type,
                             .ld = ld,
                             .by_rows = by_rows,
                             .quant = w.buf->quant,
                             .quant_at = w.at };

    if (by_rows && w.buf->panels && w.at == 0)
        o.panels = w.buf->panels;
    else
        assert(w.buf->data || w.buf->quant);
    if (w.buf->data)
        o.data =
            (const char *)w.buf->data + w.at * compute_type_size(w.buf->type);
    return o;
}

/* The addend is in the output already when the product runs. */
static bool bring_addend(struct compute *c, struct compute_span out,
                         struct compute_span addend, size_t n)
{
    if (addend.buf && (addend.buf != out.buf || addend.at != out.at))
        cpu_op_copy(c, out, addend, n);
    return addend.buf != NULL;
}

/* out[m,n] += x2[m,k2] by w2, whose rows are n or k2. */
static void add_pair(struct compute *c, const struct compute_linear *l,
                     struct compute_span out, size_t n, bool by_rows)
{
    struct cpu_gemm g = {
        .m = l->m,
        .n = n,
        .k = l->k2,
        .a = cpu_f32(l->x2),
        .rs = l->k2,
        .cs = 1,
        .c = cpu_f32(out),
        .ldc = n,
        .alpha = 1,
        .add = true,
    };

    if (!l->x2.buf)
        return;
    g.b = cpu_operand_of(l->w2, by_rows ? l->k2 : n, by_rows);
    cpu_gemm_run((struct cpu *)c, &g);
}

void cpu_op_linear(struct compute *c, const struct compute_linear *l)
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
        .add = bring_addend(c, l->y, l->addend, l->m * l->n),
    };

    cpu_gemm_run((struct cpu *)c, &g);
    add_pair(c, l, l->y, l->n, true);
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
        .add = bring_addend(c, l->x, l->addend, l->m * l->k),
    };

    cpu_gemm_run((struct cpu *)c, &g);
    add_pair(c, l, l->x, l->k, false);
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

    if (l->w.buf)
        cpu_gemm_run(c, &g);
    cpu_add_columns(c, l->bias, g.a, l->m, l->n);
}

/*
 * cpu_gemm.c - matrix products over tiles
 *
 * A tile walks k in blocks of one depth, in ascending order, so an element's
 * sum is the same for any tiling, any number of rows beside it and any number
 * of threads. A block of B lies packed in the worker's second-level cache
 * while strips of A pass by; frozen f32 panels are read where they are.
 */
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <string.h>

#define TILE_PANELS 12               /* columns of a tile, in panels */
#define WIDE_PANELS 64               /* of one whose sums are short */
#define TILE_STRIPS 8                /* strips of A that pass at once */
#define TILES 8                      /* wanted for each thread */
#define PACK_LIMIT ((size_t)6 << 20) /* floats packed for all: 24 MB */
#define PACK_TASK 4                  /* panels */
#define ROWS_LIMIT ((size_t)9 << 19) /* floats of A packed for all: 18 MB */

struct gemm_job {
    struct cpu *c;
    const struct cpu_gemm *g;
    struct cpu_operand b; /* as in g, or packed for all tiles */
    const float
        *strips;   /* of A, for all tiles, [blocks][padded][..], or NULL */
    size_t padded; /* rows */
    size_t depth;  /* of a block */
    size_t mt, nt, down; /* a tile, and tiles in a column */
};

/* One product of a tile: rows i.., columns j... */
struct part {
    struct cpu_block b;
    bool strips; /* A is the job's */
    const struct cpu_operand *w;
    size_t i, j, k;
};

/* A function of k and the kernels alone, because it decides how sums are
 * rounded; whole panels, because a block of the product with the transpose
 * begins where a panel does. */
static size_t depth_of(const struct cpu *c, size_t k)
{
    size_t blocks = cpu_ceil_div(k, CPU_KC);
    size_t unit = cpu_ceil_div(CPU_PACK_BAND, c->k->nr) * c->k->nr;

    return k == 0 ? unit : cpu_ceil_div(cpu_ceil_div(k, blocks), unit) * unit;
}

static bool is_direct(const struct cpu_operand *w)
{
    return w->panels && w->by_rows && w->type == COMPUTE_F32;
}

/* B's rows as they are become panels on the way, where few strips pass. */
static bool is_gathered(const struct gemm_job *job, const struct part *t)
{
    const struct cpu_operand *w = t->w;

    return w->data && !w->by_rows && w->type == COMPUTE_F32 &&
           w->ld % 256 != 0 && t->b.m <= TILE_STRIPS * job->c->k->mr;
}

static void set_panels(struct gemm_job *job, struct part *t, size_t p,
                       unsigned worker)
{
    size_t nr = job->c->k->nr, k = t->b.k;
    size_t padded = cpu_ceil_div(t->b.n, nr) * nr;
    float *out;

    t->b.ldb = 0;
    if (is_direct(t->w)) {
        t->b.b = (const float *)t->w->panels + t->j * t->w->ld + p * nr;
        t->b.panel_stride = t->w->ld * nr;
        return;
    }
    if (is_gathered(job, t)) {
        t->b.keep = cpu_scratch_get(&job->c->local[worker],
                                    k * nr * sizeof(*t->b.keep));
        t->b.b = (const float *)t->w->data + p * t->w->ld + t->j;
        t->b.ldb = t->w->ld;
        return;
    }
    out =
        cpu_scratch_get(&job->c->local[worker],
                        ((k + CPU_PACK_BAND) * padded + k * nr) * sizeof(*out));
    cpu_operand_pack(job->c, t->w, out, k * nr, p, k, t->j, t->b.n,
                     out + k * padded);
    t->b.b = out;
    t->b.panel_stride = k * nr;
}

/* Rows a multiple of 1 KB apart fall into few cache sets. */
static bool is_clash(size_t stride)
{
    return stride % 256 == 0;
}

/* Columns of A, and rows that clash, become strips first. Bits do not depend on
 * it. */
static void set_rows(struct gemm_job *job, struct part *t, const float *a,
                     size_t rs, size_t cs, size_t i, size_t p, unsigned worker)
{
    const struct cpu_kernels *ker = job->c->k;
    struct cpu_block *b = &t->b;
    size_t rows = cpu_ceil_div(b->m, ker->mr) * ker->mr;
    float *copy;

    b->rs = 1;
    b->cs = ker->mr;
    b->strip = b->k * ker->mr;
    if (t->strips) {
        b->a = job->strips + p * job->padded + (t->i + i) * b->k;
        return;
    }
    a += i * rs + p * cs;
    if (cs == 1 && (!is_clash(rs) || b->n <= ker->nr || b->m <= ker->mr)) {
        b->a = a;
        b->rs = rs;
        b->cs = cs;
        b->strip = 0;
        return;
    }
    copy = cpu_scratch_get(&job->c->rows[worker], rows * b->k * sizeof(*copy));
    ker->pack_strips(copy, a, rs, cs, b->m, b->k);
    b->a = copy;
}

/* Where C's rows clash, sums of all blocks but the last are kept elsewhere. */
static float *sums_of(struct gemm_job *job, const struct part *t, size_t depth,
                      unsigned worker)
{
    if (t->k <= depth || !is_clash(t->b.ldc) || t->b.m <= 4 * job->c->k->mr ||
        t->b.n <= job->c->k->nr)
        return NULL;
    return cpu_scratch_get(&job->c->sums[worker],
                           t->b.m * (t->b.n + 16) * sizeof(float));
}

static void set_output(struct cpu_block *b, const struct cpu_block *whole,
                       float *sums, bool first, bool last)
{
    size_t ld = whole->n + 16;

    b->add = whole->add || !first;
    b->from = first ? whole->from : sums;
    b->ldf = first || !sums ? whole->ldf : ld;
    if (first && sums && whole->add && !whole->from) {
        b->from = whole->c;
        b->ldf = whole->ldc;
    }
    b->c = last || !sums ? whole->c : sums;
    b->ldc = last || !sums ? whole->ldc : ld;
}

/* All of k for a tile, block by block. */
static void part_run(struct gemm_job *job, struct part *t, const float *a,
                     size_t rs, size_t cs, const float *bias, unsigned worker)
{
    size_t m = t->b.m, step = TILE_STRIPS * job->c->k->mr, p = 0;
    struct cpu_block *b = &t->b;
    const struct cpu_block whole = t->b;
    size_t depth = depth_of(job->c, t->k);
    float *sums = sums_of(job, t, depth, worker);

    do {
        struct cpu_block all;
        bool last = p + depth >= t->k;

        b->k = last ? t->k - p : depth;
        b->m = m;
        set_panels(job, t, p, worker);
        set_output(b, &whole, sums, p == 0, last);
        b->bias = last ? bias : NULL;
        all = *b;
        for (size_t i = 0; i < m; i += step) {
            b->m = m - i < step ? m - i : step;
            set_rows(job, t, a, rs, cs, i, p, worker);
            b->c = all.c + i * all.ldc;
            b->from = all.from ? all.from + i * all.ldf : NULL;
            b->far = i == 0 && is_direct(t->w);
            job->c->k->block(b);
        }
        p += depth;
    } while (p < t->k);
}

/* Rows that pass at once: a panel is read whole, as it lies, and once. */
static void few_run(struct gemm_job *job, const struct part *t, const float *a,
                    size_t rs, const float *bias, unsigned worker)
{
    size_t nr = job->c->k->nr;

    for (size_t j = 0; j < t->b.n; j += nr) {
        struct part panel = *t;

        panel.j += j;
        panel.b.n = t->b.n - j < nr ? t->b.n - j : nr;
        panel.b.c += j;
        if (t->b.from)
            panel.b.from += j;
        part_run(job, &panel, a, rs, 1, bias ? bias + j : NULL, worker);
    }
}

static bool is_narrow(const struct part *t, size_t cs)
{
    return t->b.m <= CPU_NARROW && t->w->panels && t->w->by_rows && cs == 1;
}

static void narrow_run(struct gemm_job *job, const struct part *t,
                       const float *a, size_t rs, const float *bias)
{
    const struct cpu_block *b = &t->b;
    struct cpu_narrow n = {
        .m = b->m,
        .n = b->n,
        .k = t->k,
        .depth = depth_of(job->c, t->k),
        .a = a,
        .rs = rs,
        .b = (const char *)t->w->panels +
             t->j * t->w->ld * compute_type_size(t->w->type),
        .type = t->w->type,
        .panel_stride = t->w->ld * job->c->k->nr,
        .c = b->c,
        .ldc = b->ldc,
        .alpha = b->alpha,
        .from = !b->add   ? NULL
                : b->from ? b->from
                          : b->c,
        .ldf = b->ldc,
        .bias = bias,
    };

    job->c->k->narrow(&n);
}

static void part_choose(struct gemm_job *job, struct part *t, const float *a,
                        size_t rs, size_t cs, const float *bias,
                        unsigned worker)
{
    if (is_narrow(t, cs))
        narrow_run(job, t, a, rs, bias);
    else if (t->b.m <= TILE_STRIPS * job->c->k->mr && cs == 1 &&
             is_direct(t->w))
        few_run(job, t, a, rs, bias, worker);
    else
        part_run(job, t, a, rs, cs, bias, worker);
}

static void tile_task(void *ctx, size_t task, unsigned worker)
{
    struct gemm_job *job = ctx;
    const struct cpu_gemm *g = job->g;
    size_t i = task % job->down * job->mt, j = task / job->down * job->nt;
    struct part t = {
        .strips = job->strips != NULL,
        .w = &job->b,
        .i = i,
        .j = j,
        .k = g->k,
        .b = { .m = g->m - i < job->mt ? g->m - i : job->mt,
               .n = g->n - j < job->nt ? g->n - j : job->nt,
               .c = g->c + i * g->ldc + j,
               .ldc = g->ldc,
               .ldf = g->ldc,
               .alpha = g->alpha,
               .add = g->add,
               .from = g->add && g->from ? g->from + i * g->ldc + j : NULL },
    };
    struct cpu_block again = t.b;

    part_choose(job, &t, g->a + i * g->rs, g->rs, g->cs,
                g->bias ? g->bias + j : NULL, worker);
    if (!g->a2)
        return;
    again.add = true;
    again.from = NULL;
    again.alpha = 1;
    t.b = again;
    t.strips = false;
    t.w = &g->b2;
    t.k = g->k2;
    part_choose(job, &t, g->a2 + i * g->k2, g->k2, 1, NULL, worker);
}

struct pack_job {
    const struct gemm_job *job;
    float *out;
    size_t depths;
};

static void pack_task(void *ctx, size_t task, unsigned worker)
{
    const struct pack_job *pack = ctx;
    const struct gemm_job *job = pack->job;
    size_t nr = job->c->k->nr, k = job->g->k, n = job->g->n;
    size_t p = task % pack->depths * job->depth;
    size_t j = task / pack->depths * PACK_TASK * nr;
    size_t depth = k - p < job->depth ? k - p : job->depth;
    size_t cols = n - j < PACK_TASK * nr ? n - j : PACK_TASK * nr;
    float *temp =
        cpu_scratch_get(&job->c->local[worker],
                        (CPU_PACK_BAND * cols + depth * nr) * sizeof(*temp));

    cpu_operand_pack(job->c, &job->g->b, pack->out + j * k + p * nr, k * nr, p,
                     depth, j, cols, temp);
}

/* Tiles that do not own whole columns would pack the same again. */
static void pack_for_all(struct gemm_job *job)
{
    struct cpu *c = job->c;
    size_t n = job->g->n, k = job->g->k;
    struct pack_job pack = { job, NULL, cpu_ceil_div(k, job->depth) };

    pack.out =
        cpu_scratch_get(&c->pack, cpu_panels_bytes(c, COMPUTE_F32, n, k) + 64);
    cpu_run(c, cpu_ceil_div(n, PACK_TASK * c->k->nr) * pack.depths, n * k,
            pack_task, &pack);
    job->b = (struct cpu_operand){
        .type = COMPUTE_F32, .ld = k, .by_rows = true, .panels = pack.out
    };
}

struct rows_job {
    const struct gemm_job *job;
    float *out;
    size_t depths;
};

static void rows_task(void *ctx, size_t task, unsigned worker)
{
    const struct rows_job *rows = ctx;
    const struct gemm_job *job = rows->job;
    const struct cpu_gemm *g = job->g;
    size_t step = TILE_STRIPS * job->c->k->mr, i = task / rows->depths * step;
    size_t p = task % rows->depths * job->depth;
    size_t m = g->m - i < step ? g->m - i : step;
    size_t k = g->k - p < job->depth ? g->k - p : job->depth;

    (void)worker;
    job->c->k->pack_strips(rows->out + p * job->padded + i * k,
                           g->a + i * g->rs + p * g->cs, g->rs, g->cs, m, k);
}

/* Tiles side by side would each pack the same rows. */
static void rows_for_all(struct gemm_job *job)
{
    const struct cpu_gemm *g = job->g;
    struct cpu *c = job->c;
    size_t mr = c->k->mr, padded = cpu_ceil_div(g->m, mr) * mr;
    struct rows_job rows = { job, NULL, cpu_ceil_div(g->k, job->depth) };

    if ((g->cs == 1 && !is_clash(g->rs)) || g->m <= CPU_NARROW ||
        g->n <= 4 * c->k->nr || padded * g->k > ROWS_LIMIT || g->k == 0)
        return;
    rows.out = cpu_scratch_get(&c->left, padded * g->k * sizeof(*rows.out));
    job->padded = padded;
    cpu_run(c, cpu_ceil_div(g->m, TILE_STRIPS * mr) * rows.depths, g->m * g->k,
            rows_task, &rows);
    job->strips = rows.out;
}

static size_t tiles(const struct gemm_job *job)
{
    return cpu_ceil_div(job->g->m, job->mt) * cpu_ceil_div(job->g->n, job->nt);
}

/* Tiles of all rows first, then of some: enough of them that no thread waits
 * long for the last one. */
static void plan(struct gemm_job *job)
{
    const struct cpu_gemm *g = job->g;
    size_t mr = job->c->k->mr, nr = job->c->k->nr;
    size_t threads = job->c->base.threads, want = threads * TILES;
    bool few = g->m > CPU_NARROW && g->m <= TILE_STRIPS * mr;
    bool wide = g->k <= CPU_SHALLOW && g->cs == 1 && g->m > TILE_STRIPS * mr;
    size_t panels = g->m <= 2 * mr ? 4 : wide ? WIDE_PANELS : TILE_PANELS;
    size_t fewest = few                  ? 1
                    : wide               ? panels
                    : g->m <= CPU_NARROW ? 2
                                         : TILE_PANELS / 2;

    job->mt = g->m;
    job->nt = panels * nr;
    if (threads == 1)
        return;
    while ((few || !is_direct(&job->b)) && job->nt > fewest * nr &&
           tiles(job) < want)
        job->nt -= nr;
    if (tiles(job) >= want || g->m <= TILE_STRIPS * mr)
        return;
    if (!is_direct(&job->b)) {
        if (g->n * g->k > PACK_LIMIT)
            return;
        pack_for_all(job);
        job->nt = panels * nr;
    }
    while (tiles(job) < want && job->mt > 4 * mr)
        job->mt = cpu_ceil_div(cpu_ceil_div(job->mt, 2), mr) * mr;
}

static void int_run(struct cpu *c, const struct cpu_gemm *g)
{
    struct cpu_gemm pair = { .m = g->m,
                             .n = g->n,
                             .k = g->k2,
                             .a = g->a2,
                             .rs = g->k2,
                             .cs = 1,
                             .b = g->b2,
                             .c = g->c,
                             .ldc = g->ldc,
                             .alpha = 1,
                             .add = true };

    if (g->add && g->from && g->from != g->c)
        for (size_t i = 0; i < g->m; i++)
            memcpy(g->c + i * g->ldc, g->from + i * g->ldc,
                   g->n * sizeof(*g->c));
    cpu_int_run(c, g, 1);
    if (g->a2)
        cpu_gemm_run(c, &pair);
}

void cpu_gemm_run(struct cpu *c, const struct cpu_gemm *g)
{
    struct gemm_job job = { .c = c, .g = g, .b = g->b };

    if (g->m == 0 || g->n == 0)
        return;
    if (cpu_int_takes(g)) {
        int_run(c, g);
        return;
    }
    job.depth = depth_of(c, g->k);
    plan(&job);
    rows_for_all(&job);
    job.down = cpu_ceil_div(g->m, job.mt);
    cpu_run(c, tiles(&job), g->m * g->n * (g->k + g->k2), tile_task, &job);
}

void cpu_gemm_columns(struct cpu *c, const struct cpu_gemm *g, size_t at,
                      size_t n, unsigned worker)
{
    struct gemm_job job = { .c = c,
                            .g = g,
                            .b = g->b,
                            .depth = depth_of(c, g->k),
                            .mt = g->m,
                            .nt = n,
                            .down = 1 };

    assert(!cpu_int_takes(g) && at % n == 0 && n % c->k->nr == 0);
    tile_task(&job, at / n, worker);
}

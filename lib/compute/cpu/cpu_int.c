/*
 * cpu_int.c - weights as blocks of 32 codes of 8 or 4 bits, for inference
 *
 * The blocks of 16 rows lie side by side, so that a product reads memory in
 * long streams and as often as there are bytes in the file: a panel is pairs of
 * blocks, each two times groups of 4 codes [8][16][4] (of 4 bits: two groups a
 * byte), then their scales [2][16] as f16. Rows of activations are quantised
 * the same way once a product; nothing is ever widened. There is no form for
 * gradients: those read rows back.
 */
#include "base/half.h"
#include "base/mem.h"
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NR CPU_INT_NR
#define BLOCK CPU_INT_BLOCK
#define GROUP ((size_t)NR * 4) /* codes of a group */

struct cpu_packed {
    enum compute_quant kind;
    size_t n, k, blocks; /* blocks of a row */
    size_t panel;        /* bytes */
    uint8_t odd;         /* as the kernels want it */
    struct cpu_piece memory;
    uint8_t *data; /* where that is */
};

static size_t file_bytes(enum compute_quant kind)
{
    return 2 + (kind == COMPUTE_Q8_0 ? BLOCK : BLOCK / 2);
}

size_t cpu_packed_bytes(const struct cpu_packed *p)
{
    return cpu_ceil_div(p->n, NR) * p->panel;
}

void cpu_packed_free(struct cpu_packed *p)
{
    if (p)
        cpu_slab_leave(&p->memory);
    free(p);
}

static uint8_t *codes_of(const struct cpu_packed *p, size_t row, size_t block)
{
    return p->data + row / NR * p->panel + cpu_int_codes_at(p->kind, block);
}

static uint16_t *scale_of(const struct cpu_packed *p, size_t row, size_t block)
{
    uint8_t *scales =
        p->data + row / NR * p->panel + cpu_int_scales_at(p->kind, block);

    return (uint16_t *)(void *)scales + row % NR;
}

/* A block of codes, +128 or +8, into its panel. */
static void put_codes(const struct cpu_packed *p, size_t row, size_t block,
                      const uint8_t q[BLOCK])
{
    uint8_t *to = codes_of(p, row, block) + row % NR * 4;

    if (p->kind == COMPUTE_Q8_0) {
        for (size_t i = 0; i < BLOCK; i += 2) {
            to[i / 4 * GROUP + i % 4] = q[i];
            to[i / 4 * GROUP + i % 4 + 1] = q[i + 1] ^ p->odd;
        }
        return;
    }
    for (size_t i = 0; i < BLOCK; i += 8, to += GROUP)
        for (size_t j = 0; j < 4; j++)
            to[j] = (uint8_t)(q[i + j] | q[i + 4 + j] << 4);
}

static void get_codes(const struct cpu_packed *p, size_t row, size_t block,
                      uint8_t q[BLOCK])
{
    const uint8_t *from = codes_of(p, row, block) + row % NR * 4;

    if (p->kind == COMPUTE_Q8_0) {
        for (size_t i = 0; i < BLOCK; i += 2) {
            q[i] = from[i / 4 * GROUP + i % 4];
            q[i + 1] = from[i / 4 * GROUP + i % 4 + 1] ^ p->odd;
        }
        return;
    }
    for (size_t i = 0; i < BLOCK; i += 8, from += GROUP)
        for (size_t j = 0; j < 4; j++) {
            q[i + j] = from[j] & 15;
            q[i + 4 + j] = from[j] >> 4;
        }
}

void cpu_packed_read(const struct cpu_packed *p, const struct cpu_kernels *k,
                     float *y, size_t at, size_t n)
{
    const int excess = p->kind == COMPUTE_Q8_0 ? 128 : 8;

    assert(at + n <= p->n * p->k);
    while (n > 0) {
        size_t row = at / p->k, block = at % p->k / BLOCK, from = at % BLOCK;
        size_t part = BLOCK - from < n ? BLOCK - from : n;
        uint8_t q[BLOCK];
        float scale;

        get_codes(p, row, block, q);
        k->widen(&scale, scale_of(p, row, block), COMPUTE_F16, 1);
        for (size_t i = 0; i < part; i++)
            y[i] = (float)((int)q[from + i] - excess) * scale;
        y += part;
        at += part;
        n -= part;
    }
}

static int packed_new(struct cpu *c, enum compute_quant kind, size_t n,
                      size_t k, struct cpu_packed **out, struct err *err)
{
    struct cpu_packed *p;
    int rc;

    if (k == 0 || k % BLOCK)
        return err_set(err, ERR_UNSUPPORTED,
                       "rows of %zu weights are no whole blocks of %d", k,
                       BLOCK);
    p = mem_zalloc(sizeof(*p));
    *p = (struct cpu_packed){
        .kind = kind, .n = n, .k = k, .odd = c->k->int_odd
    };
    p->blocks = k / BLOCK;
    p->panel = cpu_int_panel_bytes(kind, p->blocks);
    rc = cpu_slab_take(c, cpu_packed_bytes(p), "quantised weights", &p->memory,
                       err);
    if (rc < 0) {
        cpu_packed_free(p);
        return rc;
    }
    p->data = p->memory.data;
    *out = p;
    return 0;
}

struct packing {
    const struct cpu *c;
    struct cpu_packed *p;
    const uint8_t *file;            /* GGUF's blocks, or */
    const struct compute_buffer *b; /* wide weights */
};

static void take_block(const struct packing *j, size_t row, size_t block)
{
    const struct cpu_packed *p = j->p;
    const uint8_t *from =
        j->file + (row * p->blocks + block) * file_bytes(p->kind);
    uint8_t q[BLOCK];

    memcpy(scale_of(p, row, block), from, 2);
    from += 2;
    if (p->kind == COMPUTE_Q8_0)
        for (size_t i = 0; i < BLOCK; i++)
            q[i] = from[i] ^ 0x80;
    else
        for (size_t i = 0; i < BLOCK / 2; i++) {
            q[i] = from[i] & 15;
            q[i + BLOCK / 2] = from[i] >> 4;
        }
    put_codes(p, row, block, q);
}

static float code_near(float x, float by, float low, float high)
{
    return fminf(fmaxf(rintf(x * by), low), high);
}

/* Squared error of 4-bit codes under `scale`, and the scale that would have
 * been the best for them. */
static float four_error(const float *x, float scale, float *better)
{
    float by = fabsf(scale) > 0 ? 1 / scale : 0, xq = 0, qq = 0, e = 0;

    for (size_t i = 0; i < BLOCK; i++) {
        float q = code_near(x[i], by, -8, 7), off = x[i] - q * scale;

        xq += x[i] * q;
        qq += q * q;
        e += off * off;
    }
    *better = qq > 0 ? xq / qq : scale;
    return e;
}

/* The largest value becomes -8 as a rule; others are tried, as what is lost
 * in it may be won in all the rest. */
static float four_scale(const float *x, const struct cpu_kernels *k)
{
    float top = 0, best = 0, least = HUGE_VALF;

    for (size_t i = 0; i < BLOCK; i++)
        top = fabsf(x[i]) > fabsf(top) ? x[i] : top;
    for (int step = 0; step < 24; step++) {
        float size = 6.5f + 0.25f * (float)(step / 2), scale, e, ignored;
        float try = top / (step % 2 ? size : -size);
        uint16_t h;

        (void)four_error(x, try, &scale);
        h = half_bits(scale);
        k->widen(&scale, &h, COMPUTE_F16, 1);
        e = four_error(x, scale, &ignored);
        if (e < least) {
            least = e;
            best = scale;
        }
    }
    return best;
}

static void make_block(const struct packing *j, size_t row, size_t block)
{
    const struct cpu_packed *p = j->p;
    const bool eight = p->kind == COMPUTE_Q8_0;
    const float low = eight ? -127 : -8, high = eight ? 127 : 7;
    float x[BLOCK], scale, top = 0, by;
    uint8_t q[BLOCK];
    uint16_t h;

    cpu_weights_read(j->c, x, j->b, row * p->k + block * BLOCK, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        top = fmaxf(top, fabsf(x[i]));
    h = half_bits(eight ? top / 127 : four_scale(x, j->c->k));
    j->c->k->widen(&scale, &h, COMPUTE_F16, 1);
    by = fabsf(scale) > 0 ? 1 / scale : 0;
    for (size_t i = 0; i < BLOCK; i++)
        q[i] =
            (uint8_t)((int)code_near(x[i], by, low, high) + (eight ? 128 : 8));
    *scale_of(p, row, block) = h;
    put_codes(p, row, block, q);
}

static void packing_rows(void *ctx, size_t at, size_t n)
{
    const struct packing *j = ctx;

    for (size_t row = at; row < at + n; row++)
        for (size_t b = 0; b < j->p->blocks; b++)
            if (j->file)
                take_block(j, row, b);
            else
                make_block(j, row, b);
}

int cpu_packed_new(struct cpu *c, const struct compute_buffer *b,
                   enum compute_quant kind, size_t n, size_t k,
                   const void *file, struct cpu_packed **out, struct err *err)
{
    struct packing j = { .c = c, .file = file, .b = b };
    int rc = packed_new(c, kind, n, k, &j.p, err);

    if (rc < 0)
        return rc;
    cpu_run_pieces(c, n, NR, n * k, packing_rows, &j);
    *out = j.p;
    return 0;
}

/* One of the products of a run, which have x in common. */
struct int_part {
    const struct cpu_gemm *g;
    const struct cpu_packed *p;
    size_t row, from; /* its first row of p; panels of those before it */
};

struct int_job {
    struct cpu *c;
    struct int_part parts[COMPUTE_LINEARS];
    size_t count, all;           /* parts; panels of all */
    char *x;                     /* quantised rows, in panels of mr */
    size_t x_bytes;              /* of a row */
    size_t rows, panels, across; /* of a tile; tiles in a row */
    bool few;                    /* tiles are of all rows, and get smaller */
};

static void rows_task(void *ctx, size_t task, unsigned worker)
{
    const struct int_job *j = ctx;
    const struct cpu_gemm *g = j->parts[0].g;
    const struct cpu_packed *p = j->parts[0].p;
    const struct cpu_kernels *k = j->c->k;
    size_t i = task * k->int_mr, left = g->m - i;

    (void)worker;
    k->int_rows(p->kind, j->x + i * j->x_bytes, g->a + i * g->rs, g->rs,
                left < k->int_mr ? left : k->int_mr, p->blocks);
}

/* Weights are read in long runs, and threads end together: each round of tiles
 * has half of the panels that are left, at least `panels` a tile. Returns how
 * many tiles there are, if there is no such task. */
static size_t shrinking(const struct int_job *j, size_t task, size_t *from,
                        size_t *to)
{
    size_t threads = j->c->base.threads, at = 0, tasks = 0;

    for (; at < j->all; tasks += threads) {
        size_t each = (j->all - at) / (2 * threads);

        each -= each % cpu_int_at_once(1);
        each = each > j->panels ? each : j->panels;
        if (task - tasks < threads) {
            *from = at + (task - tasks) * each;
            *to = *from + each;
            return task;
        }
        at += threads * each;
    }
    return tasks;
}

/* Rows [top, top + m) by panel q of a part, or by `panels` from there that are
 * `apart`. */
static void panel_run(const struct int_job *j, const struct int_part *part,
                      size_t q, size_t panels, size_t apart, size_t top,
                      size_t m)
{
    const struct cpu_gemm *g = part->g;
    const struct cpu_packed *p = part->p;
    size_t mr = j->c->k->int_mr;
    struct cpu_int_tile t = {
        .kind = p->kind,
        .n = g->n - q * NR < NR ? g->n - q * NR : NR,
        .blocks = p->blocks,
        .panels = panels,
        .apart = apart,
        .w = codes_of(p, part->row + q * NR, 0),
        .bias = g->bias ? g->bias + q * NR : NULL,
        .ldy = g->ldc,
        .alpha = g->alpha,
        .add = g->add,
    };

    for (size_t i = 0; i < m; i += mr) {
        t.m = m - i < mr ? m - i : mr;
        t.x = j->x + (top + i) * j->x_bytes;
        t.y = g->c + (top + i) * g->ldc + q * NR;
        j->c->k->int_tile(&t);
    }
}

#define STRETCH ((size_t)16 << 10) /* bytes that are worth a stream */

/* Rows [top, top + m) by panels [q, end) of a part. Few rows go along several
 * stretches of whole panels at once; more pass over one panel after the other,
 * which stays in the first-level cache meanwhile. */
static void panels_run(const struct int_job *j, const struct int_part *part,
                       size_t q, size_t end, size_t top, size_t m)
{
    size_t once = cpu_int_at_once(m), whole = part->g->n / NR;
    size_t apart = whole > q ? ((end < whole ? end : whole) - q) / once : 0;

    if (once > 1 && apart * part->p->panel >= STRETCH) {
        for (size_t i = 0; i < apart; i++)
            panel_run(j, part, q + i, once, apart, top, m);
        q += once * apart;
    }
    for (; q < end; q++)
        panel_run(j, part, q, 1, 0, top, m);
}

static void product_task(void *ctx, size_t task, unsigned worker)
{
    const struct int_job *j = ctx;
    size_t top = task / j->across * j->rows, n0 = task % j->across * j->panels;
    size_t rows = j->parts[0].g->m,
           m = rows - top < j->rows ? rows - top : j->rows;
    size_t n1 = n0 + j->panels;

    (void)worker;
    if (j->few)
        (void)shrinking(j, task, &n0, &n1);
    n1 = n1 < j->all ? n1 : j->all;
    for (size_t i = 0; i < j->count; i++) {
        size_t from = j->parts[i].from;
        size_t to = i + 1 < j->count ? j->parts[i + 1].from : j->all;
        size_t q0 = n0 > from ? n0 : from, q1 = n1 < to ? n1 : to;

        if (q0 < q1)
            panels_run(j, &j->parts[i], q0 - from, q1 - from, top, m);
    }
}

#define TILE_BYTES ((size_t)192 << 10) /* of quantised rows in a tile */
#define TASK_BYTES ((size_t)64 << 10)  /* of weights in a tile */
#define FEW_ROWS 8                     /* bound by reading: */
#define FEW_BYTES ((size_t)8 << 10)    /* of weights in a tile, at least */

bool cpu_int_takes(const struct cpu_gemm *g)
{
    const struct cpu_packed *p = cpu_quant_packed(g->b.quant);

    return p && g->b.by_rows && g->cs == 1 && g->k == p->k && g->b.ld == p->k &&
           g->b.quant_at % (p->k * NR) == 0;
}

bool cpu_int_joins(const struct cpu_gemm *g, const struct cpu_gemm *other)
{
    return cpu_int_takes(g) && cpu_int_takes(other) && g->m == other->m &&
           g->k == other->k && g->a == other->a && g->rs == other->rs &&
           cpu_quant_packed(g->b.quant)->kind ==
               cpu_quant_packed(other->b.quant)->kind;
}

void cpu_int_run(struct cpu *c, const struct cpu_gemm *g, size_t count)
{
    struct int_job j = { .c = c, .count = count };
    const struct cpu_packed *p = cpu_quant_packed(g->b.quant);
    size_t mr = c->k->int_mr, panels = cpu_ceil_div(g->m, mr);

    assert(count <= COMPUTE_LINEARS);
    for (size_t i = 0; i < count; i++) {
        const struct cpu_packed *q = cpu_quant_packed(g[i].b.quant);

        assert(cpu_int_joins(g, &g[i]));
        j.parts[i] =
            (struct int_part){ &g[i], q, g[i].b.quant_at / q->k, j.all };
        j.all += cpu_ceil_div(g[i].n, NR);
    }
    j.x_bytes = p->blocks * c->k->int_bytes(p->kind);
    j.x = cpu_scratch_get(&c->pack, g->m * j.x_bytes);
    cpu_run(c, panels, g->m * g->k * 4, rows_task, &j);
    j.rows = (TILE_BYTES / (mr * j.x_bytes) + 1) * mr;
    j.few = g->m <= FEW_ROWS && g->m <= j.rows;
    j.panels = (j.few ? FEW_BYTES : TASK_BYTES) / p->panel + 1;
    j.across = j.few ? shrinking(&j, SIZE_MAX, NULL, NULL)
                     : cpu_ceil_div(j.all, j.panels);
    cpu_run(c, cpu_ceil_div(g->m, j.rows) * j.across, g->m * j.all * NR * g->k,
            product_task, &j);
}

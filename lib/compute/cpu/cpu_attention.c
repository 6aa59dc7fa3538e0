/*
 * cpu_attention.c - attention, forward and backward, packed or cached
 *
 * Online softmax over blocks of KEYS keys, so that scores never exceed a
 * block. Keys are packed as GEMM panels once a document and head; the cache
 * keeps them in that form. Backward recomputes the probabilities from lse and
 * owns whole (document, key head) pairs, which fixes the order of its sums.
 */
#include "compute/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define KEYS CPU_KEYS
#define QUERY_STRIPS 4 /* register strips in one block of queries */

struct running {
    float max[CPU_MAX_MR], sum[CPU_MAX_MR];
};

/* Of `valid` keys from `at` on, those before the window of a row that sees
 * keys up to `sees`. */
static size_t hidden(size_t sees, size_t window, size_t at, size_t valid)
{
    size_t first = window && sees > window ? sees - window : 0;

    if (first <= at)
        return 0;
    return first - at < valid ? first - at : valid;
}

/* Keys of the block that begins at `at`: blocks end at multiples of KEYS,
 * wherever the first begins. */
static size_t block_keys(size_t at, size_t all)
{
    size_t n = KEYS - at % KEYS;

    return all - at < n ? all - at : n;
}

static void strip_softmax(const struct cpu_strip *t, struct running *run,
                          size_t at, size_t n)
{
    for (size_t i = 0; i < t->m; i++) {
        size_t sees = t->valid + i * t->step;
        size_t valid = sees <= at ? 0 : sees - at < n ? sees - at : n;
        size_t skip = hidden(sees, t->window, at, valid);
        float *row = t->s + i * KEYS, old = run->max[i], sum;
        float scale = t->scale;

        memset(row, 0, skip * sizeof(*row));
        memset(row + valid, 0, (n - valid) * sizeof(*row));
        if (valid == skip)
            continue;
        if (t->softcap > 0) {
            t->ker->softcap(row + skip, row + skip, scale, t->softcap,
                            valid - skip);
            scale = 1;
        }
        sum =
            t->ker->softmax_part(row + skip, valid - skip, scale, &run->max[i]);
        if (run->sum[i] > 0 && run->max[i] > old) {
            float shrink = expf(old - run->max[i]);

            run->sum[i] *= shrink;
            t->ker->scale(t->o + i * t->o_ld, shrink, t->dim);
        }
        run->sum[i] += sum;
    }
}

void cpu_strip_attend(const struct cpu_strip *t)
{
    size_t nr = t->ker->nr, all = t->valid + (t->m - 1) * t->step;
    size_t begin = t->window && t->valid > t->window
                       ? (t->valid - t->window) / nr * nr
                       : 0;
    struct running run;

    for (size_t i = 0; i < t->m; i++) {
        run.max[i] = -INFINITY;
        run.sum[i] = 0;
    }
    for (size_t at = begin; at < all;) {
        size_t from = t->ring ? at % t->ring : at, n = block_keys(at, all);
        struct cpu_block b = { .m = t->m,
                               .n = n,
                               .k = t->dim,
                               .a = t->q,
                               .b = t->keys + from / nr * nr * t->dim,
                               .rs = t->q_ld,
                               .cs = 1,
                               .panel_stride = nr * t->dim,
                               .c = t->s,
                               .ldc = KEYS,
                               .alpha = 1 };

        t->ker->block(&b);
        strip_softmax(t, &run, at, n);
        b = (struct cpu_block){ t->m,
                                t->dim,
                                n,
                                t->s,
                                t->values + from * nr,
                                KEYS,
                                1,
                                t->value_stride,
                                t->o,
                                t->o_ld,
                                1,
                                at > begin };
        t->ker->block(&b);
        at += n;
    }
    for (size_t i = 0; i < t->m; i++) {
        t->ker->scale(t->o + i * t->o_ld, 1 / run.sum[i], t->dim);
        if (t->lse)
            t->lse[i] = run.max[i] + logf(run.sum[i]);
    }
}

/* A document and where its key panels begin. */
struct doc {
    size_t start, len, pad; /* pad: keys before it, rounded up to panels */
};
struct query_block {
    size_t doc, first; /* row within the document */
};

struct job {
    struct cpu *c;
    const struct compute_attention *a;
    const struct compute_attention_grad *g; /* NULL: forward */
    struct doc *docs;
    struct query_block *blocks;
    size_t block_count, padded, query_rows, dim_panels;
    float *keys;   /* [kv_heads][padded / nr][dim][nr] */
    float *values; /* forward [kv_heads][dim_panels][rows][nr], else as keys */
    float *key_rows; /* backward: keys in the form of forward's values */
};

static float *column_panels(const struct job *j, float *base, size_t kv_head,
                            size_t row)
{
    size_t nr = j->c->k->nr;

    return base + (kv_head * j->dim_panels * j->a->rows + row) * nr;
}

static float *row_panels(const struct job *j, float *base, size_t kv_head,
                         const struct doc *d)
{
    return base + (kv_head * j->padded + d->pad) * j->a->dim;
}

static void pack_by_rows(const struct job *j, float *out, const float *x,
                         const struct doc *d)
{
    const struct compute_attention *a = j->a;
    size_t nr = j->c->k->nr, ld = a->kv_heads * a->dim;

    for (size_t i = 0; i < d->len; i += nr)
        j->c->k->pack_rows(out + i * a->dim, x + i * ld, ld,
                           d->len - i < nr ? d->len - i : nr, a->dim);
}

static void pack_by_columns(const struct job *j, float *out, const float *x,
                            size_t ld, size_t rows, size_t stride)
{
    size_t nr = j->c->k->nr, dim = j->a->dim;

    for (size_t i = 0; i < dim; i += nr)
        j->c->k->pack_cols(out + i / nr * stride, x + i, ld,
                           dim - i < nr ? dim - i : nr, rows);
}

static void pack_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->a;
    const struct doc *d = &j->docs[task / a->kv_heads];
    size_t h = task % a->kv_heads, ld = a->kv_heads * a->dim;
    size_t stride = a->rows * j->c->k->nr;
    const float *k = cpu_f32(a->k) + d->start * ld + h * a->dim;
    const float *v = cpu_f32(a->v) + d->start * ld + h * a->dim;

    (void)worker;
    pack_by_rows(j, row_panels(j, j->keys, h, d), k, d);
    if (!j->g) {
        pack_by_columns(j, column_panels(j, j->values, h, d->start), v, ld,
                        d->len, stride);
        return;
    }
    pack_by_rows(j, row_panels(j, j->values, h, d), v, d);
    pack_by_columns(j, column_panels(j, j->key_rows, h, d->start), k, ld,
                    d->len, stride);
}

static void job_plan(struct job *j)
{
    const struct compute_attention *a = j->a;
    size_t nr = j->c->k->nr, blocks = 0;
    char *at;

    j->query_rows = QUERY_STRIPS * j->c->k->mr;
    for (size_t d = 0; d < a->docs; d++)
        blocks += cpu_ceil_div((size_t)(a->starts[d + 1] - a->starts[d]),
                               j->query_rows);
    at = cpu_scratch_get(&j->c->chunk, a->docs * sizeof(*j->docs) +
                                           blocks * sizeof(*j->blocks) + 64);
    j->docs = (struct doc *)(void *)at;
    j->blocks = (struct query_block *)(void *)(j->docs + a->docs);
    for (size_t d = 0; d < a->docs; d++) {
        struct doc *doc = &j->docs[d];

        doc->start = (size_t)a->starts[d];
        doc->len = (size_t)a->starts[d + 1] - doc->start;
        doc->pad = j->padded;
        j->padded += cpu_ceil_div(doc->len, nr) * nr;
        for (size_t i = 0; i < doc->len; i += j->query_rows)
            j->blocks[j->block_count++] = (struct query_block){ d, i };
    }
}

static void job_pack(struct job *j)
{
    const struct compute_attention *a = j->a;
    size_t nr = j->c->k->nr, by_rows, by_columns;

    j->dim_panels = cpu_ceil_div(a->dim, nr);
    by_rows = a->kv_heads * j->padded * a->dim;
    by_columns = a->kv_heads * j->dim_panels * a->rows * nr;
    j->keys = cpu_scratch_get(&j->c->pack,
                              (2 * by_rows + by_columns + 16) * sizeof(float));
    j->values = j->keys + by_rows;
    j->key_rows = j->values + by_rows;
    cpu_run(j->c, a->docs * a->kv_heads, by_rows * 4, pack_task, j);
}

static void forward_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->a;
    const struct query_block *qb = &j->blocks[task / a->heads];
    const struct doc *d = &j->docs[qb->doc];
    size_t h = task % a->heads, kv = h / (a->heads / a->kv_heads);
    size_t ld = a->heads * a->dim, nr = j->c->k->nr;
    size_t end = qb->first + j->query_rows;
    struct cpu_strip t = { .ker = j->c->k,
                           .dim = a->dim,
                           .step = a->seen ? 0 : 1,
                           .keys = row_panels(j, j->keys, kv, d),
                           .values = column_panels(j, j->values, kv, d->start),
                           .q_ld = ld,
                           .o_ld = ld,
                           .value_stride = a->rows * nr,
                           .window = a->window,
                           .softcap = a->softcap,
                           .scale = a->scale };

    if (end > d->len)
        end = d->len;
    t.s =
        cpu_scratch_get(&j->c->local[worker], CPU_MAX_MR * KEYS * sizeof(*t.s));
    for (size_t i = qb->first; i < end; i += t.ker->mr) {
        size_t row = d->start + i;

        t.m = end - i < t.ker->mr ? end - i : t.ker->mr;
        t.valid = a->seen ? (size_t)a->seen[qb->doc] : i + 1;
        t.q = cpu_f32(a->q) + row * ld + h * a->dim;
        t.o = cpu_f32(a->o) + row * ld + h * a->dim;
        t.lse = a->lse.buf ? cpu_f32(a->lse) + h * a->rows + row : NULL;
        cpu_strip_attend(&t);
    }
}

void cpu_op_attention(struct compute *base, const struct compute_attention *a)
{
    struct job j = { .c = (struct cpu *)base, .a = a };

    assert(a->heads % a->kv_heads == 0);
    assert(!a->seen || a->window == 0);
    if (a->rows == 0)
        return;
    job_plan(&j);
    job_pack(&j);
    cpu_run(j.c, j.block_count * a->heads,
            a->rows * a->heads * a->dim * j.query_rows, forward_task, &j);
}

/* Backward of one block of queries of one head. */
struct back {
    const struct job *j;
    const struct doc *d;
    size_t h, kv, first, m; /* rows first.. of the document */
    size_t begin;           /* first key that any of them sees, or before */
    float *p, *dp;          /* [query_rows][KEYS] */
    float *q_panels, *do_panels;
    float delta[QUERY_STRIPS * CPU_MAX_MR];
};

/* Row i's scores become probabilities, its dp the scores' gradients. */
static void back_softmax(const struct back *b, size_t i, size_t at, size_t n,
                         float lse)
{
    const struct compute_attention *a = b->j->a;
    const struct cpu_kernels *ker = b->j->c->k;
    size_t sees = b->first + i + 1;
    size_t valid = sees <= at ? 0 : sees - at < n ? sees - at : n;
    size_t skip = hidden(sees, a->window, at, valid);
    float *p = b->p + i * KEYS, *dp = b->dp + i * KEYS, capped[KEYS];
    float scale = a->scale;

    if (a->softcap > 0) {
        ker->softcap(capped, p, scale, a->softcap, valid);
        memcpy(p, capped, valid * sizeof(*p));
        scale = 1;
    }
    if (valid > skip)
        ker->exp_shift(p + skip, valid - skip, scale, lse);
    memset(p, 0, skip * sizeof(*p));
    memset(p + valid, 0, (n - valid) * sizeof(*p));
    ker->softmax_grad(dp, p, b->delta[i], n);
    if (a->softcap > 0)
        ker->softcap_grad(dp, capped, a->softcap, valid);
}

static void back_scores(const struct back *b, size_t at, size_t n)
{
    const struct compute_attention *a = b->j->a;
    const struct cpu_kernels *ker = b->j->c->k;
    size_t ld = a->heads * a->dim, row = b->d->start + b->first;
    size_t offset = row * ld + b->h * a->dim, panel = ker->nr * a->dim;
    const float *lse = cpu_f32(a->lse) + b->h * a->rows + row;
    struct cpu_block g = { b->m,
                           n,
                           a->dim,
                           cpu_f32(a->q) + offset,
                           row_panels(b->j, b->j->keys, b->kv, b->d) +
                               at * a->dim,
                           ld,
                           1,
                           panel,
                           b->p,
                           KEYS,
                           1,
                           false };

    ker->block(&g);
    g.a = cpu_f32(b->j->g->d_o) + offset;
    g.b = row_panels(b->j, b->j->values, b->kv, b->d) + at * a->dim;
    g.c = b->dp;
    ker->block(&g);
    for (size_t i = 0; i < b->m; i++)
        back_softmax(b, i, at, n, lse[i]);
}

static void back_products(const struct back *b, size_t at, size_t n)
{
    const struct compute_attention *a = b->j->a;
    const struct cpu_kernels *ker = b->j->c->k;
    size_t ld = a->heads * a->dim, kv_ld = a->kv_heads * a->dim;
    size_t row = b->d->start + b->first;
    size_t key = (b->d->start + at) * kv_ld + b->kv * a->dim;
    size_t stride = b->j->query_rows * ker->nr;
    struct cpu_block g = { b->m,
                           a->dim,
                           n,
                           b->dp,
                           column_panels(b->j, b->j->key_rows, b->kv,
                                         b->d->start + at),
                           KEYS,
                           1,
                           a->rows * ker->nr,
                           cpu_f32(b->j->g->dq) + row * ld + b->h * a->dim,
                           ld,
                           a->scale,
                           at > b->begin };

    ker->block(&g);
    g = (struct cpu_block){ n,
                            a->dim,
                            b->m,
                            b->p,
                            b->do_panels,
                            1,
                            KEYS,
                            stride,
                            cpu_f32(b->j->g->dv) + key,
                            kv_ld,
                            1,
                            true };
    ker->block(&g);
    g.a = b->dp;
    g.b = b->q_panels;
    g.c = cpu_f32(b->j->g->dk) + key;
    g.alpha = a->scale;
    ker->block(&g);
}

static void back_block(struct back *b)
{
    const struct compute_attention *a = b->j->a;
    const struct cpu_kernels *ker = b->j->c->k;
    size_t ld = a->heads * a->dim, keys = b->first + b->m;
    size_t offset = (b->d->start + b->first) * ld + b->h * a->dim;
    const float *d_o = cpu_f32(b->j->g->d_o) + offset;
    const float *o = cpu_f32(a->o) + offset;
    size_t stride = b->j->query_rows * ker->nr;
    size_t begin = a->window && b->first + 1 > a->window
                       ? (b->first + 1 - a->window) / ker->nr * ker->nr
                       : 0;

    b->begin = begin;
    for (size_t i = 0; i < b->m; i++)
        b->delta[i] = ker->dot(d_o + i * ld, o + i * ld, a->dim);
    pack_by_columns(b->j, b->do_panels, d_o, ld, b->m, stride);
    pack_by_columns(b->j, b->q_panels, cpu_f32(a->q) + offset, ld, b->m,
                    stride);
    for (size_t at = begin, n; at < keys; at += n) {
        n = block_keys(at, keys);
        back_scores(b, at, n);
        back_products(b, at, n);
    }
}

static void backward_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->a;
    const struct doc *d = &j->docs[task / a->kv_heads];
    size_t group = a->heads / a->kv_heads, ld = a->kv_heads * a->dim;
    size_t panels = j->dim_panels * j->query_rows * j->c->k->nr;
    struct back b = { .j = j, .d = d, .kv = task % a->kv_heads };
    size_t at = d->start * ld + b.kv * a->dim;

    b.p = cpu_scratch_get(&j->c->local[worker],
                          (2 * j->query_rows * KEYS + 2 * panels) *
                              sizeof(float));
    b.dp = b.p + j->query_rows * KEYS;
    b.q_panels = b.dp + j->query_rows * KEYS;
    b.do_panels = b.q_panels + panels;
    for (size_t i = 0; i < d->len; i++) {
        memset(cpu_f32(j->g->dk) + at + i * ld, 0, a->dim * sizeof(float));
        memset(cpu_f32(j->g->dv) + at + i * ld, 0, a->dim * sizeof(float));
    }
    for (b.h = b.kv * group; b.h < (b.kv + 1) * group; b.h++)
        for (b.first = 0; b.first < d->len; b.first += j->query_rows) {
            b.m = d->len - b.first < j->query_rows ? d->len - b.first
                                                   : j->query_rows;
            back_block(&b);
        }
}

void cpu_op_attention_grad(struct compute *base,
                           const struct compute_attention_grad *g)
{
    struct job j = { .c = (struct cpu *)base, .a = &g->fwd, .g = g };
    const struct compute_attention *a = &g->fwd;

    assert(!a->seen);
    if (a->rows == 0)
        return;
    job_plan(&j);
    job_pack(&j);
    cpu_run(j.c, a->docs * a->kv_heads,
            a->rows * a->heads * a->dim * j.query_rows, backward_task, &j);
}

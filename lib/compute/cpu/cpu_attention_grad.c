/*
 * cpu_attention_grad.c - attention of packed documents, backward
 *
 * Tiles of CHUNK queries by CHUNK keys, in rounds: in round r a document's
 * queries of chunk i meet the keys of chunk i - r, for all i at once. No two
 * tiles of a round share a row of dq or of dk and dv, and each gets its sums in
 * the order of rounds: nothing is computed twice, nothing is kept apart to be
 * added up, and neither threads nor other documents change a bit.
 * Probabilities are computed again from lse.
 */
#include "compute/cpu/cpu_attention.h"

#include <assert.h>
#include <string.h>

#define LD (CPU_CHUNK + 16) /* floats between rows of a tile */

struct job {
    struct cpu_documents d;
    const struct compute_attention_grad *g;
    float *keys, *values; /* panels of positions */
    float *key_rows;      /* panels of elements */
    float *delta;         /* [heads][rows]: sum of d_o o */
    size_t *live;         /* chunks of this round */
    size_t round;
};

static void pack_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->d.a;
    const struct cpu_chunk *k = &j->d.chunks[task / a->kv_heads];
    size_t kv = task % a->kv_heads, group = a->heads / a->kv_heads;
    const float *o = cpu_f32(a->o), *d_o = cpu_f32(j->g->d_o);

    (void)worker;
    cpu_pack_positions(&j->d, j->keys, cpu_f32(a->k), k, kv);
    cpu_pack_positions(&j->d, j->values, cpu_f32(a->v), k, kv);
    cpu_pack_elements(&j->d, j->key_rows, cpu_f32(a->k), k, kv);
    for (size_t h = kv * group; h < (kv + 1) * group; h++)
        for (size_t i = k->start + k->at; i < k->start + k->at + k->m; i++) {
            size_t at = (i * a->heads + h) * a->dim;

            j->delta[h * a->rows + i] =
                j->d.c->k->dot(d_o + at, o + at, a->dim);
        }
}

/* One head's queries of chunk `q` against the keys of chunk `k`. */
struct tile {
    const struct job *j;
    const struct cpu_kernels *ker;
    const struct cpu_chunk *q, *k;
    size_t head, kv, stride; /* stride: of panels in the tile's own memory */
    float *p, *dp;           /* [CHUNK][LD] */
    float *q_rows, *do_rows; /* [CHUNK][dim] */
    float *q_panels, *do_panels;
};

static void tile_memory(struct tile *t, struct cpu_scratch *scratch)
{
    const struct cpu_documents *d = &t->j->d;
    size_t rows = CPU_CHUNK * d->a->dim, panels;
    float *x;

    t->stride = CPU_CHUNK * t->ker->nr;
    panels = d->dim_panels * t->stride;
    x = cpu_scratch_get(scratch, (2 * CPU_CHUNK * LD + 2 * rows + 2 * panels) *
                                     sizeof(*x));
    t->p = x;
    t->dp = t->p + CPU_CHUNK * LD;
    t->q_rows = t->dp + CPU_CHUNK * LD;
    t->do_rows = t->q_rows + rows;
    t->q_panels = t->do_rows + rows;
    t->do_panels = t->q_panels + panels;
}

/* Rows of one head side by side: in the matrix they may lie so far apart that
 * they push each other out of the cache. */
static void load_rows(const struct tile *t, float *rows, float *panels,
                      const float *x)
{
    const struct compute_attention *a = t->j->d.a;
    size_t ld = a->heads * a->dim, nr = t->ker->nr;

    x += (t->q->start + t->q->at) * ld + t->head * a->dim;
    for (size_t i = 0; i < t->q->m; i++)
        memcpy(rows + i * a->dim, x + i * ld, a->dim * sizeof(*x));
    for (size_t i = 0; i < a->dim; i += nr)
        t->ker->pack_cols(panels + i / nr * t->stride, rows + i, a->dim,
                          a->dim - i < nr ? a->dim - i : nr, t->q->m);
}

/* Keys of the tile that rows before `end` see. */
static size_t seen(const struct tile *t, size_t end)
{
    size_t sees = t->q->at + end - t->k->at;

    return sees < t->k->m ? sees : t->k->m;
}

/* Row i's scores become probabilities, its dp the scores' gradients. */
static void softmax_row(const struct tile *t, size_t i, size_t n)
{
    const struct compute_attention *a = t->j->d.a;
    size_t sees = t->q->at + i + 1, at = t->k->at, valid = seen(t, i + 1);
    size_t first = a->window && sees > a->window ? sees - a->window : 0;
    size_t skip = first <= at ? 0 : first - at < valid ? first - at : valid;
    size_t row = t->head * a->rows + t->q->start + t->q->at + i;
    float lse = cpu_f32(a->lse)[row], delta = t->j->delta[row];
    float *p = t->p + i * LD, *dp = t->dp + i * LD, capped[CPU_CHUNK];

    memset(p, 0, skip * sizeof(*p));
    memset(dp, 0, skip * sizeof(*p));
    memset(p + valid, 0, (n - valid) * sizeof(*p));
    memset(dp + valid, 0, (n - valid) * sizeof(*p));
    p += skip;
    dp += skip;
    n = valid - skip;
    if (a->softcap > 0) {
        t->ker->softcap(capped, p, a->scale, a->softcap, n);
        memcpy(p, capped, n * sizeof(*p));
        t->ker->softmax_back(p, dp, n, 1, lse, delta);
        t->ker->softcap_grad(dp, capped, a->softcap, n);
    } else {
        t->ker->softmax_back(p, dp, n, a->scale, lse, delta);
    }
}

/* Strips of rows, each as far as its last row sees. */
static void tile_scores(const struct tile *t)
{
    const struct cpu_documents *d = &t->j->d;
    size_t dim = d->a->dim, at = cpu_rows_at(d, t->kv, t->k, t->k->at);
    size_t step = t->q == t->k ? t->ker->mr : t->q->m, n;

    for (size_t i = 0; i < t->q->m; i += step) {
        struct cpu_block b = { .m = t->q->m - i < step ? t->q->m - i : step,
                               .k = dim,
                               .a = t->q_rows + i * dim,
                               .b = t->j->keys + at,
                               .rs = dim,
                               .cs = 1,
                               .panel_stride = t->ker->nr * dim,
                               .c = t->p + i * LD,
                               .ldc = LD,
                               .alpha = 1 };

        b.n = n = seen(t, i + b.m);
        t->ker->block(&b);
        b.a = t->do_rows + i * dim;
        b.b = t->j->values + at;
        b.c = t->dp + i * LD;
        t->ker->block(&b);
        for (size_t r = i; r < i + b.m; r++)
            softmax_row(t, r, n);
    }
}

/* dq of the strips above; the first round sets it. */
static void tile_dq(const struct tile *t)
{
    const struct cpu_documents *d = &t->j->d;
    const struct compute_attention *a = d->a;
    size_t ld = a->heads * a->dim, row = t->q->start + t->q->at;
    size_t step = t->q == t->k ? t->ker->mr : t->q->m;
    float *dq = cpu_f32(t->j->g->dq) + row * ld + t->head * a->dim;

    for (size_t i = 0; i < t->q->m; i += step) {
        size_t m = t->q->m - i < step ? t->q->m - i : step;
        struct cpu_block b = { .m = m,
                               .n = a->dim,
                               .k = seen(t, i + m),
                               .a = t->dp + i * LD,
                               .b = t->j->key_rows +
                                    cpu_columns_at(d, t->kv, t->k, t->k->at),
                               .rs = LD,
                               .cs = 1,
                               .panel_stride = a->rows * t->ker->nr,
                               .c = dq + i * ld,
                               .ldc = ld,
                               .alpha = a->scale,
                               .add = t->j->round > 0 };

        t->ker->block(&b);
    }
}

/* dk and dv: on the diagonal, a strip of keys meets the queries from its own
 * first on. The first head of the first round sets them. */
static void tile_dkv(const struct tile *t, bool add)
{
    const struct compute_attention *a = t->j->d.a;
    size_t ld = a->kv_heads * a->dim, nr = t->ker->nr;
    size_t at = (t->k->start + t->k->at) * ld + t->kv * a->dim;
    bool diagonal = t->q == t->k;
    size_t step = diagonal ? t->ker->mr : t->k->m;

    for (size_t i = 0; i < t->k->m; i += step) {
        size_t skip = diagonal ? i : 0;
        struct cpu_block b = { .m = t->k->m - i < step ? t->k->m - i : step,
                               .n = a->dim,
                               .k = t->q->m - skip,
                               .a = t->p + skip * LD + i,
                               .b = t->do_panels + skip * nr,
                               .rs = 1,
                               .cs = LD,
                               .panel_stride = t->stride,
                               .c = cpu_f32(t->j->g->dv) + at + i * ld,
                               .ldc = ld,
                               .alpha = 1,
                               .add = add };

        t->ker->block(&b);
        b.a = t->dp + skip * LD + i;
        b.b = t->q_panels + skip * nr;
        b.c = cpu_f32(t->j->g->dk) + at + i * ld;
        b.alpha = a->scale;
        t->ker->block(&b);
    }
}

static void tile_task(void *ctx, size_t task, unsigned worker)
{
    const struct job *j = ctx;
    const struct compute_attention *a = j->d.a;
    size_t chunk = j->live[task / a->kv_heads];
    size_t group = a->heads / a->kv_heads;
    struct tile t = { .j = j,
                      .ker = j->d.c->k,
                      .q = &j->d.chunks[chunk],
                      .k = &j->d.chunks[chunk - j->round],
                      .kv = task % a->kv_heads };

    tile_memory(&t, &j->d.c->local[worker]);
    for (size_t g = 0; g < group; g++) {
        t.head = t.kv * group + g;
        load_rows(&t, t.q_rows, t.q_panels, cpu_f32(a->q));
        load_rows(&t, t.do_rows, t.do_panels, cpu_f32(j->g->d_o));
        tile_scores(&t);
        tile_dq(&t);
        tile_dkv(&t, j->round > 0 || g > 0);
    }
}

/* Keeps of n chunks those whose queries see keys `round` chunks before. */
static size_t still_live(const struct job *j, size_t n)
{
    size_t kept = 0, window = j->d.a->window;

    for (size_t i = 0; i < n; i++) {
        const struct cpu_chunk *k = &j->d.chunks[j->live[i]];
        size_t back = j->round * CPU_CHUNK;

        /* Its first row sees window - 1 rows before itself. */
        if (k->at < back || (window && back >= window + CPU_CHUNK - 1))
            continue;
        j->live[kept++] = j->live[i];
    }
    return kept;
}

void cpu_op_attention_grad(struct compute *base,
                           const struct compute_attention_grad *g)
{
    const struct compute_attention *a = &g->fwd;
    struct job j = { .d = { .c = (struct cpu *)base, .a = a }, .g = g };
    struct cpu *c = j.d.c;
    size_t by_rows, by_columns, n;

    assert(!a->seen);
    if (a->rows == 0)
        return;
    cpu_documents_cut(&j.d, (a->rows + 1) * sizeof(*j.live));
    j.live = cpu_documents_rest(&j.d);
    by_rows = a->kv_heads * j.d.padded * a->dim;
    by_columns = a->kv_heads * j.d.dim_panels * a->rows * c->k->nr;
    j.keys = cpu_scratch_get(&c->pack,
                             (2 * by_rows + by_columns + a->heads * a->rows) *
                                 sizeof(float));
    j.values = j.keys + by_rows;
    j.key_rows = j.values + by_rows;
    j.delta = j.key_rows + by_columns;
    cpu_run(c, j.d.count * a->kv_heads, by_rows * 4, pack_task, &j);
    n = j.d.count;
    for (size_t i = 0; i < n; i++)
        j.live[i] = i;
    while ((n = still_live(&j, n)) > 0) {
        cpu_run(c, n * a->kv_heads, n * CPU_CHUNK * CPU_CHUNK * a->dim,
                tile_task, &j);
        j.round++;
    }
}

/*
 * kmeans_assign.c - the best centre of each row, skipping what cannot win
 *
 * Centres lie in groups of 16, one panel of the product each. What a group's
 * best score was, and how far its centres have moved since, bounds what it can
 * be now (Ding et al. 2015, "Yinyang k-means", with groups as they come); a row
 * whose label beats all bounds costs one product instead of k. A margin covers
 * the rounding of both sides, so labels are those of computing everything.
 */
#include "kmeans/kmeans.h"

#include "base/isa.h"
#include "base/mem.h"
#include "kmeans/kmeans_private.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASSIGN_ROWS 2048 /* of a chunk, without sums */

/* Chosen by what the CPU has and SLMCTL_CPU allows; labels may differ where two
 * centres are equally good but for rounding. */
static void (*block_variant(void))(struct kmeans_block *b)
{
#if defined(__x86_64__)
    if (isa_avx512())
        return kmeans_block_avx512;
    if (isa_avx2())
        return kmeans_block_avx2;
#endif
    return kmeans_block_generic;
}

void kmeans_work_begin(struct kmeans_work *w, struct pool *pool)
{
    struct kmeans_panels *p = &w->panels;

    assert(w->k > 0 && w->d > 0);
    p->groups = (w->k + KMEANS_GROUP - 1) / KMEANS_GROUP;
    p->d = w->d;
    p->value = mem_zalloc(p->groups * p->d * KMEANS_GROUP * sizeof(*p->value));
    p->half = mem_array(p->groups * KMEANS_GROUP, sizeof(*p->half));
    w->lists = mem_array(pool_threads(pool), sizeof(*w->lists));
    for (unsigned i = 0; i < pool_threads(pool); i++) {
        w->lists[i].row =
            mem_array(p->groups * KMEANS_BLOCK, sizeof(*w->lists[i].row));
        w->lists[i].count = mem_array(p->groups, sizeof(*w->lists[i].count));
    }
    w->block = block_variant();
}

void kmeans_work_end(struct kmeans_work *w, struct pool *pool)
{
    for (unsigned i = 0; i < pool_threads(pool); i++) {
        free(w->lists[i].row);
        free(w->lists[i].count);
    }
    free(w->lists);
    free(w->panels.value);
    free(w->panels.half);
    free(w->length);
    free(w->bound);
    free(w->drift.move);
    free(w->drift.fall);
    free(w->move);
    free(w->fall);
}

void kmeans_work_bound(struct kmeans_work *w)
{
    size_t groups = w->panels.groups;

    if (groups > w->d / 2)
        return;
    w->bound = mem_array(w->n, groups * sizeof(*w->bound));
    w->length = mem_array(w->n, sizeof(*w->length));
    w->drift.move = mem_array(groups, sizeof(*w->drift.move));
    w->drift.fall = mem_array(groups, sizeof(*w->drift.fall));
    w->move = mem_array(groups, sizeof(*w->move));
    w->fall = mem_array(groups, sizeof(*w->fall));
    for (size_t i = 0; i < w->n; i++) {
        const float *x = w->x + i * w->d;

        w->length[i] = sqrtf(linalg_dot(x, x, w->d)) * 1.0001f;
    }
}

void kmeans_work_forget_row(struct kmeans_work *w, size_t i)
{
    for (size_t g = 0; w->bound && g < w->panels.groups; g++)
        w->bound[i * w->panels.groups + g] = FLT_MAX;
}

void kmeans_work_forget(struct kmeans_work *w)
{
    memset(w->labels, 0xff, w->n * sizeof(*w->labels));
    w->longest = w->most_move = w->most_fall = 0;
    for (size_t g = 0; w->bound && g < w->panels.groups; g++)
        w->move[g] = w->fall[g] = 0;
}

static double distance(const float *a, const float *b, size_t d)
{
    double sum = 0;

    for (size_t i = 0; i < d; i++) {
        double x = (double)a[i] - (double)b[i];

        sum += x * x;
    }
    return sqrt(sum);
}

/* How far group g can have risen since `before`, whose halves are there yet. */
static void add_drift(struct kmeans_work *w, size_t g, const float *before,
                      const float *half)
{
    size_t first = g * KMEANS_GROUP, n = w->k - first;
    double move = 0, fall = -DBL_MAX;

    for (size_t l = 0; l < n && l < KMEANS_GROUP; l++) {
        size_t at = (first + l) * w->d;

        move = fmax(move, distance(w->centres + at, before + at, w->d));
        fall = fmax(fall, (double)w->panels.half[first + l] - (double)half[l]);
    }
    w->move[g] += move;
    w->fall[g] += fall;
    w->most_move = fmax(w->most_move, w->move[g]);
    w->most_fall = fmax(w->most_fall, fabs(w->fall[g]));
}

/* A panel's centres, their halves, and the longest of them. */
static void fill_panel(struct kmeans_work *w, size_t g, float *half)
{
    float *panel = w->panels.value + g * w->d * KMEANS_GROUP;

    for (size_t l = 0; l < KMEANS_GROUP; l++) {
        size_t c = g * KMEANS_GROUP + l;
        const float *centre = w->centres + c * w->d;
        float square;

        half[l] = INFINITY; /* no score is less, so none stands for it */
        if (c >= w->k)
            continue;
        square = linalg_dot(centre, centre, w->d);
        half[l] = w->spherical ? 0 : square / 2;
        w->longest = fmax(w->longest, sqrt((double)square));
        for (size_t i = 0; i < w->d; i++)
            panel[i * KMEANS_GROUP + l] = centre[i];
    }
}

/* Rounding: of a product of d terms on both sides, and of the sums. */
static void set_slack(struct kmeans_work *w)
{
    double eps = (double)FLT_EPSILON;

    w->drift.slack_length =
        (float)(eps *
                ((2 * (double)w->d + 64) * w->longest + 32 * w->most_move));
    w->drift.slack =
        (float)(eps * 32 * (w->longest * w->longest + w->most_fall));
}

void kmeans_work_centres(struct kmeans_work *w, const float *before)
{
    for (size_t g = 0; g < w->panels.groups; g++) {
        float half[KMEANS_GROUP];

        fill_panel(w, g, half);
        if (w->bound && before)
            add_drift(w, g, before, half);
        memcpy(w->panels.half + g * KMEANS_GROUP, half, sizeof(half));
        if (w->bound) {
            w->drift.move[g] = (float)w->move[g];
            w->drift.fall[g] = (float)w->fall[g];
        }
    }
    set_slack(w);
}

static void pass_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct kmeans_work *w = ctx;
    size_t from = w->n * chunk / w->chunks;
    size_t to = w->n * (chunk + 1) / w->chunks;
    struct kmeans_block b = { .panels = &w->panels,
                              .lists = &w->lists[worker],
                              .drift = w->bound ? &w->drift : NULL,
                              .centres = w->centres };

    if (w->sums) {
        b.sums = w->sums + chunk * w->k * w->d;
        b.counts = w->counts + chunk * w->k;
        memset(b.sums, 0, w->k * w->d * sizeof(*b.sums));
        memset(b.counts, 0, w->k * sizeof(*b.counts));
    }
    for (size_t at = from; at < to; at += b.rows) {
        b.rows = to - at < KMEANS_BLOCK ? to - at : KMEANS_BLOCK;
        b.x = w->x + at * w->d;
        b.labels = w->labels + at;
        b.score = w->score + at;
        if (w->bound) {
            b.length = w->length + at;
            b.bound = w->bound + at * w->panels.groups;
        }
        w->block(&b);
    }
    if (w->moved)
        w->moved[chunk] = b.moved;
}

void kmeans_work_pass(struct kmeans_work *w, struct pool *pool)
{
    pool_run(pool, w->chunks, pass_chunk, w);
}

void kmeans_assign(struct pool *pool, size_t n, size_t d, size_t k,
                   const float *x, const float *centres, bool spherical,
                   uint32_t *labels, float *score)
{
    float *own = score ? NULL : mem_array(n, sizeof(*own));
    struct kmeans_work w = {
        .n = n,
        .d = d,
        .k = k,
        .chunks = (n + ASSIGN_ROWS - 1) / ASSIGN_ROWS,
        .x = x,
        .centres = centres,
        .spherical = spherical,
        .labels = labels,
        .score = score ? score : own,
    };

    kmeans_work_begin(&w, pool);
    kmeans_work_forget(&w);
    kmeans_work_centres(&w, NULL);
    kmeans_work_pass(&w, pool);
    kmeans_work_end(&w, pool);
    if (score && !spherical)
        for (size_t i = 0; i < n; i++) {
            float norm = linalg_dot(x + i * d, x + i * d, d);
            score[i] = fmaxf(0, norm - 2 * score[i]);
        }
    free(own);
}

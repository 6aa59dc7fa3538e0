/*
 * kmeans.c - assignment and Lloyd's iterations
 *
 * A chunk of rows is a task with sums of its own; inside it blocks of rows
 * are multiplied with all centres, and argmax and sums follow while the block
 * is in the second-level cache. The number of chunks depends on n, d and k
 * alone. No bounds (Elkan, Hamerly): at d of some hundreds the product wins.
 */
#include "kmeans/kmeans.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kmeans/kmeans_private.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX 64
#define CHUNK_ROWS 2048                  /* at least */
#define CHUNK_SUMS ((size_t)8 << 20)     /* floats of all chunks' sums */
#define BLOCK_SCORES ((size_t)512 << 10) /* floats of a block's products */

struct assign_job {
    size_t n, d, k, chunks, block;
    const float *x, *centres;
    const float *half; /* [k] |c|^2 / 2; NULL: spherical */
    uint32_t *labels;
    float *score; /* [n] dot product less half */
    float *sums;  /* [chunks][k][d], NULL: no sums */
    uint32_t *counts, *moved;
    float *scratch; /* [workers][block * padded(k)] */
    void (*rows)(struct kmeans_rows *r);
};

static size_t chunk_count(size_t n, size_t d, size_t k)
{
    size_t most = CHUNK_SUMS / (k * d);
    size_t c = n / CHUNK_ROWS;

    if (most < 4)
        most = 4;
    if (most > CHUNKS_MAX)
        most = CHUNKS_MAX;
    if (c > most)
        c = most;
    return c ? c : 1;
}

static size_t padded(size_t k)
{
    return (k + 15) & ~(size_t)15;
}

static size_t block_rows(size_t k)
{
    size_t rows = BLOCK_SCORES / k;

    rows &= ~(size_t)15;
    return rows < 64 ? 64 : rows > 256 ? 256 : rows;
}

/* Chosen by cpuid; all variants give the same bits. */
static void (*rows_variant(void))(struct kmeans_rows *r)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return kmeans_rows_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return kmeans_rows_avx2;
#endif
    return kmeans_rows_generic;
}

static void assign_block(const struct assign_job *j, size_t at, size_t rows,
                         float *scores, size_t chunk)
{
    size_t k16 = padded(j->k);
    struct kmeans_rows r = {
        .rows = rows,
        .d = j->d,
        .k16 = k16,
        .scores = scores,
        .half = j->half,
        .x = j->x + at * j->d,
        .labels = j->labels + at,
        .score = j->score + at,
    };

    if (j->sums) {
        r.sums = j->sums + chunk * j->k * j->d;
        r.counts = j->counts + chunk * j->k;
    }
    linalg_gemm_nt(rows, j->k, j->d, r.x, j->d, j->centres, j->d, scores, k16);
    for (size_t i = 0; i < rows; i++)
        for (size_t c = j->k; c < k16; c++)
            scores[i * k16 + c] = -FLT_MAX;
    j->rows(&r);
    if (j->moved)
        j->moved[chunk] += r.moved;
}

static void assign_chunk(void *ctx, size_t chunk, unsigned worker)
{
    const struct assign_job *j = ctx;
    size_t from = j->n * chunk / j->chunks;
    size_t to = j->n * (chunk + 1) / j->chunks;
    float *scores = j->scratch + (size_t)worker * j->block * padded(j->k);

    if (j->sums) {
        memset(j->sums + chunk * j->k * j->d, 0,
               j->k * j->d * sizeof(*j->sums));
        memset(j->counts + chunk * j->k, 0, j->k * sizeof(*j->counts));
    }
    if (j->moved)
        j->moved[chunk] = 0;
    for (size_t at = from; at < to; at += j->block)
        assign_block(j, at, to - at < j->block ? to - at : j->block, scores,
                     chunk);
}

/* |c|^2 / 2 of each centre. */
static void half_norms(size_t k, size_t d, const float *centres, float *half)
{
    for (size_t c = 0; c < k; c++)
        half[c] = linalg_dot(centres + c * d, centres + c * d, d) / 2;
}

void kmeans_assign(struct pool *pool, size_t n, size_t d, size_t k,
                   const float *x, const float *centres, bool spherical,
                   uint32_t *labels, float *score)
{
    size_t block = block_rows(k);
    float *half = spherical ? NULL : mem_zalloc(padded(k) * sizeof(*half));
    float *own = score ? NULL : mem_array(n, sizeof(*own));
    struct assign_job j = {
        .n = n,
        .d = d,
        .k = k,
        .block = block,
        .x = x,
        .chunks = (n + CHUNK_ROWS - 1) / CHUNK_ROWS,
        .rows = rows_variant(),
        .centres = centres,
        .half = half,
        .labels = labels,
        .score = score ? score : own,
        .scratch =
            mem_array(pool_threads(pool) * block * padded(k), sizeof(float)),
    };

    assert(k > 0 && d > 0);
    if (half)
        half_norms(k, d, centres, half);
    pool_run(pool, j.chunks, assign_chunk, &j);
    if (score && half)
        for (size_t i = 0; i < n; i++) {
            float norm = linalg_dot(x + i * d, x + i * d, d);
            score[i] = fmaxf(0, norm - 2 * score[i]);
        }
    free(half);
    free(own);
    free(j.scratch);
}

struct update_job {
    const struct assign_job *a;
    float *centres;
    bool spherical;
};

/* Centre c from the chunks' sums, in the order of the chunks. */
static void update_centre(void *ctx, size_t c, unsigned worker)
{
    const struct update_job *u = ctx;
    const struct assign_job *j = u->a;
    float *out = u->centres + c * j->d;
    size_t count = 0;

    (void)worker;
    for (size_t p = 0; p < j->chunks; p++)
        count += j->counts[p * j->k + c];
    j->counts[c] = (uint32_t)count; /* nobody else reads column c */
    if (count == 0)
        return;
    memset(out, 0, j->d * sizeof(*out));
    for (size_t p = 0; p < j->chunks; p++) {
        const float *sum = j->sums + (p * j->k + c) * j->d;
        for (size_t i = 0; i < j->d; i++)
            out[i] += sum[i];
    }
    if (u->spherical)
        linalg_normalize(out, j->d);
    else
        for (size_t i = 0; i < j->d; i++)
            out[i] /= (float)count;
}

/* Distance that point i pays, up to a constant for spherical. */
static float point_cost(const struct assign_job *j, const float *norms,
                        size_t i)
{
    return norms ? norms[i] - 2 * j->score[i] : 1 - j->score[i];
}

/* Empty clusters take the worst served points of clusters that have more than
 * one. Rare, so it may scan all points for each. */
static void refill_empty(const struct assign_job *j, const float *norms,
                         float *centres)
{
    for (size_t c = 0; c < j->k; c++) {
        size_t worst = SIZE_MAX;
        if (j->counts[c])
            continue;
        for (size_t i = 0; i < j->n; i++)
            if (j->counts[j->labels[i]] > 1 &&
                (worst == SIZE_MAX ||
                 point_cost(j, norms, i) > point_cost(j, norms, worst)))
                worst = i;
        if (worst == SIZE_MAX)
            return;
        j->counts[j->labels[worst]]--;
        j->labels[worst] = (uint32_t)c;
        j->counts[c] = 1;
        memcpy(centres + c * j->d, j->x + worst * j->d,
               j->d * sizeof(*centres));
    }
}

static double total_cost(const struct assign_job *j, const float *norms)
{
    double sum = 0;

    for (size_t i = 0; i < j->n; i++)
        sum += fmax(0, (double)point_cost(j, norms, i));
    return sum;
}

/* One run from the centres that are there; labels, score and centres of j
 * and *out are filled. */
static int lloyd(struct pool *pool, struct assign_job *j, float *centres,
                 float *half, const float *norms, unsigned iterations,
                 const struct progress *progress, struct kmeans_result *out,
                 struct err *err)
{
    struct update_job u = { j, centres, half == NULL };

    memset(j->labels, 0xff, j->n * sizeof(*j->labels));
    out->converged = false;
    for (out->iterations = 0; out->iterations < iterations && !out->converged;
         out->iterations++) {
        size_t moved = 0;
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "stopped by a signal");
        progress_update(progress, "k-means", out->iterations, iterations, NULL);
        if (half)
            half_norms(j->k, j->d, centres, half);
        pool_run(pool, j->chunks, assign_chunk, j);
        for (size_t p = 0; p < j->chunks; p++)
            moved += j->moved[p];
        pool_run(pool, j->k, update_centre, &u);
        refill_empty(j, norms, centres);
        out->converged = moved == 0;
    }
    out->objective = total_cost(j, norms);
    return 0;
}

void kmeans_result_release(struct kmeans_result *r)
{
    free(r->centres);
    free(r->labels);
    *r = (struct kmeans_result){ 0 };
}

/* Runs from each seed; the best result stays in *best. */
static int run_all(struct pool *pool, struct assign_job *j, float *half,
                   const float *norms, const struct kmeans_options *o,
                   const struct progress *progress, struct kmeans_result *best,
                   struct err *err)
{
    unsigned runs = o->restarts && !o->centres ? o->restarts : 1;
    unsigned iterations = o->iterations ? o->iterations : 50;
    float *centres = mem_array(j->k * j->d, sizeof(*centres));
    int rc = 0;

    j->centres = centres;
    for (unsigned r = 0; r < runs && rc == 0; r++) {
        struct kmeans_result run = { 0 };
        if (o->centres)
            memcpy(centres, o->centres, j->k * j->d * sizeof(*centres));
        else
            kmeans_seed(pool, j->n, j->d, j->x, j->k, o->seed + r, centres);
        rc = lloyd(pool, j, centres, half, norms, iterations, progress, &run,
                   err);
        if (rc == 0 && (r == 0 || run.objective < best->objective)) {
            run.centres = best->centres;
            run.labels = best->labels;
            *best = run;
            memcpy(best->centres, centres, j->k * j->d * sizeof(*centres));
            memcpy(best->labels, j->labels, j->n * sizeof(*j->labels));
        }
    }
    best->k = j->k;
    free(centres);
    return rc;
}

int kmeans_fit(struct pool *pool, size_t n, size_t d, const float *x,
               const struct kmeans_options *o, const struct progress *progress,
               struct kmeans_result *out, struct err *err)
{
    size_t k = o->k < n ? o->k : n;
    struct kmeans_result best = { 0 };
    int rc;

    assert(n > 0 && d > 0 && o->k > 0);
    struct assign_job j = {
        .n = n,
        .d = d,
        .k = k,
        .x = x,
        .block = block_rows(k),
        .chunks = chunk_count(n, d, k),
        .rows = rows_variant(),
    };
    j.labels = mem_array(n, sizeof(*j.labels));
    j.score = mem_array(n, sizeof(*j.score));
    j.sums = mem_array(j.chunks * k * d, sizeof(*j.sums));
    j.counts = mem_array(j.chunks * k, sizeof(*j.counts));
    j.moved = mem_array(j.chunks, sizeof(*j.moved));
    j.scratch =
        mem_array(pool_threads(pool) * j.block * padded(k), sizeof(float));
    best.centres = mem_array(k * d, sizeof(*best.centres));
    best.labels = mem_array(n, sizeof(*best.labels));
    float *half = NULL, *norms = NULL;
    if (!o->spherical) {
        half = mem_zalloc(padded(k) * sizeof(*half));
        norms = mem_array(n, sizeof(*norms));
        for (size_t i = 0; i < n; i++)
            norms[i] = linalg_dot(x + i * d, x + i * d, d);
    }
    j.half = half;
    rc = run_all(pool, &j, half, norms, o, progress, &best, err);
    if (rc == 0)
        *out = best;
    else
        kmeans_result_release(&best);
    free(j.labels);
    free(j.score);
    free(j.sums);
    free(j.counts);
    free(j.moved);
    free(j.scratch);
    free(half);
    free(norms);
    return rc;
}

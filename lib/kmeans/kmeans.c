/*
 * kmeans.c - Lloyd's iterations
 *
 * A chunk of rows is a task with sums of its own, which follow the choice of
 * the best centres while rows are in the cache. The number of chunks depends
 * on n, d and k alone.
 */
#include "kmeans/kmeans.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kmeans/kmeans_private.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX 64
#define CHUNK_ROWS 2048              /* at least */
#define CHUNK_SUMS ((size_t)8 << 20) /* floats of all chunks' sums */

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

struct update_job {
    const struct kmeans_work *w;
    float *centres;
    bool spherical;
};

/* Centre c from the chunks' sums, in the order of the chunks. */
static void update_centre(void *ctx, size_t c, unsigned worker)
{
    const struct update_job *u = ctx;
    const struct kmeans_work *j = u->w;
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
static float point_cost(const struct kmeans_work *j, const float *norms,
                        size_t i)
{
    return norms ? norms[i] - 2 * j->score[i] : 1 - j->score[i];
}

/* Empty clusters take the worst served points of clusters that have more than
 * one. Rare, so it may scan all points for each. */
static void refill_empty(struct kmeans_work *j, const float *norms,
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
        kmeans_work_forget_row(j, worst);
        j->counts[c] = 1;
        memcpy(centres + c * j->d, j->x + worst * j->d,
               j->d * sizeof(*centres));
    }
}

static double total_cost(const struct kmeans_work *j, const float *norms)
{
    double sum = 0;

    for (size_t i = 0; i < j->n; i++)
        sum += fmax(0, (double)point_cost(j, norms, i));
    return sum;
}

/* One run from the centres that are there; labels, score and centres of j
 * and *out are filled. before: memory for centres. */
static int lloyd(struct pool *pool, struct kmeans_work *j, float *centres,
                 float *before, const float *norms, unsigned iterations,
                 const struct progress *progress, struct kmeans_result *out,
                 struct err *err)
{
    struct update_job u = { j, centres, j->spherical };

    kmeans_work_forget(j);
    out->converged = false;
    for (out->iterations = 0; out->iterations < iterations && !out->converged;
         out->iterations++) {
        size_t moved = 0;
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "stopped by a signal");
        progress_update(progress, "k-means", out->iterations, iterations, NULL);
        kmeans_work_centres(j, out->iterations ? before : NULL);
        memcpy(before, centres, j->k * j->d * sizeof(*before));
        kmeans_work_pass(j, pool);
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
static int run_all(struct pool *pool, struct kmeans_work *j, const float *norms,
                   const struct kmeans_options *o,
                   const struct progress *progress, struct kmeans_result *best,
                   struct err *err)
{
    unsigned runs = o->restarts && !o->centres ? o->restarts : 1;
    unsigned iterations = o->iterations ? o->iterations : 50;
    float *centres = mem_array(j->k * j->d, sizeof(*centres));
    float *before = mem_array(j->k * j->d, sizeof(*before));
    int rc = 0;

    j->centres = centres;
    for (unsigned r = 0; r < runs && rc == 0; r++) {
        struct kmeans_result run = { 0 };
        if (o->centres)
            memcpy(centres, o->centres, j->k * j->d * sizeof(*centres));
        else
            kmeans_seed(pool, j->n, j->d, j->x, j->k, o->seed + r, centres);
        rc = lloyd(pool, j, centres, before, norms, iterations, progress, &run,
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
    free(before);
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
    struct kmeans_work j = {
        .n = n,
        .d = d,
        .k = k,
        .x = x,
        .chunks = chunk_count(n, d, k),
        .spherical = o->spherical,
    };
    j.labels = mem_array(n, sizeof(*j.labels));
    j.score = mem_array(n, sizeof(*j.score));
    j.sums = mem_array(j.chunks * k * d, sizeof(*j.sums));
    j.counts = mem_array(j.chunks * k, sizeof(*j.counts));
    j.moved = mem_array(j.chunks, sizeof(*j.moved));
    kmeans_work_begin(&j, pool);
    kmeans_work_bound(&j);
    best.centres = mem_array(k * d, sizeof(*best.centres));
    best.labels = mem_array(n, sizeof(*best.labels));
    float *norms = NULL;
    if (!o->spherical) {
        norms = mem_array(n, sizeof(*norms));
        for (size_t i = 0; i < n; i++)
            norms[i] = linalg_dot(x + i * d, x + i * d, d);
    }
    rc = run_all(pool, &j, norms, o, progress, &best, err);
    if (rc == 0)
        *out = best;
    else
        kmeans_result_release(&best);
    free(j.labels);
    free(j.score);
    free(j.sums);
    free(j.counts);
    free(j.moved);
    kmeans_work_end(&j, pool);
    free(norms);
    return rc;
}

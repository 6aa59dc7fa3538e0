/*
 * kmeans_seed.c - where k-means starts
 *
 * Greedy k-means++: each centre is the best of a few candidates that were
 * drawn with probability proportional to the squared distance. The init
 * decides the quality of the result more than anything after it; faiss
 * measured a factor of 80 in the objective against random points.
 */
#include "kmeans/kmeans_private.h"

#include "base/mem.h"
#include "base/rng.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED_ROWS 1024
#define CANDIDATES_MAX 16

struct seed_job {
    size_t n, d, tries;
    const float *x, *norms;
    const float *candidates; /* [tries,d] */
    float candidate_norm[CANDIDATES_MAX];
    float *distance; /* [n] to the nearest centre so far */
    float *trial;    /* [n,tries] to the nearest if a candidate joined */
    double *cost;    /* [blocks,tries] */
};

static void seed_block(void *ctx, size_t task, unsigned worker)
{
    const struct seed_job *j = ctx;
    size_t at = task * SEED_ROWS;
    size_t rows = j->n - at < SEED_ROWS ? j->n - at : SEED_ROWS;
    float *t = j->trial + at * j->tries;
    double *cost = j->cost + task * j->tries;

    (void)worker;
    linalg_gemm_nt(rows, j->tries, j->d, j->x + at * j->d, j->d, j->candidates,
                   j->d, t, j->tries);
    for (size_t c = 0; c < j->tries; c++)
        cost[c] = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < j->tries; c++) {
            float *v = t + r * j->tries + c;
            float far = j->norms[at + r] + j->candidate_norm[c] - 2 * *v;
            *v = fminf(j->distance[at + r], fmaxf(0, far));
            cost[c] += (double)*v;
        }
}

/* A row drawn with probability proportional to its distance; any row if all
 * are zero. */
static size_t draw(struct rng *r, size_t n, const float *distance, double total)
{
    double aim = rng_unit(r) * total;

    if (!(total > 0))
        return (size_t)rng_below(r, n);
    for (size_t i = 0; i < n; i++) {
        aim -= (double)distance[i];
        if (aim < 0)
            return i;
    }
    return n - 1;
}

/* Evaluate the candidates in rows[tries]; the best becomes a centre. */
static size_t take_best(struct pool *pool, struct seed_job *j,
                        const size_t *rows, float *candidates, double *total)
{
    size_t blocks = (j->n + SEED_ROWS - 1) / SEED_ROWS, best = 0;
    double least = 0;

    for (size_t c = 0; c < j->tries; c++) {
        memcpy(candidates + c * j->d, j->x + rows[c] * j->d,
               j->d * sizeof(*candidates));
        j->candidate_norm[c] = j->norms[rows[c]];
    }
    pool_run(pool, blocks, seed_block, j);
    for (size_t c = 0; c < j->tries; c++) {
        double cost = 0;
        for (size_t b = 0; b < blocks; b++)
            cost += j->cost[b * j->tries + c];
        if (c == 0 || cost < least) {
            least = cost;
            best = c;
        }
    }
    for (size_t i = 0; i < j->n; i++)
        j->distance[i] = j->trial[i * j->tries + best];
    *total = least;
    return best;
}

static void seed_on(struct pool *pool, size_t n, size_t d, const float *x,
                    size_t k, struct rng *r, float *centres)
{
    size_t blocks = (n + SEED_ROWS - 1) / SEED_ROWS;
    size_t tries = 2 + (size_t)log((double)k);
    float *norms = mem_array(n, sizeof(*norms));
    float *candidates = mem_array(CANDIDATES_MAX * d, sizeof(*candidates));
    double total = 0;

    if (tries > CANDIDATES_MAX)
        tries = CANDIDATES_MAX;
    struct seed_job j = {
        .n = n,
        .d = d,
        .tries = tries,
        .x = x,
        .norms = norms,
        .candidates = candidates,
        .distance = mem_array(n, sizeof(float)),
        .trial = mem_array(n * tries, sizeof(float)),
        .cost = mem_array(blocks * tries, sizeof(double)),
    };
    for (size_t i = 0; i < n; i++) {
        norms[i] = linalg_dot(x + i * d, x + i * d, d);
        j.distance[i] = INFINITY;
    }
    for (size_t c = 0; c < k; c++) {
        size_t rows[CANDIDATES_MAX];
        for (size_t t = 0; t < tries; t++)
            rows[t] = c == 0 ? (size_t)rng_below(r, n)
                             : draw(r, n, j.distance, total);
        size_t best = take_best(pool, &j, rows, candidates, &total);
        memcpy(centres + c * d, x + rows[best] * d, d * sizeof(*centres));
    }
    free(norms);
    free(candidates);
    free(j.distance);
    free(j.trial);
    free(j.cost);
}

void kmeans_seed(struct pool *pool, size_t n, size_t d, const float *x,
                 size_t k, uint64_t seed, float *centres)
{
    size_t most = 20000 + 64 * k;
    struct rng r;

    rng_init(&r, seed);
    if (n <= most) {
        seed_on(pool, n, d, x, k, &r, centres);
        return;
    }
    float *sample = mem_array(most * d, sizeof(*sample));
    for (size_t i = 0; i < most; i++) { /* one row of each equal stretch */
        size_t from = n * i / most, to = n * (i + 1) / most;
        size_t row = from + (size_t)rng_below(&r, to - from);
        memcpy(sample + i * d, x + row * d, d * sizeof(*sample));
    }
    seed_on(pool, most, d, sample, k, &r, centres);
    free(sample);
}

/*
 * embed_smooth.c - each vector becomes the mean of its nearest neighbours
 *
 * It helps on sentences and hurts on titles, so nobody turns it on but the
 * label-free stability of the clustering. Blocks of rows against all rows;
 * only the best of each row are kept.
 */
#include "embed/embed_private.h"

#include "base/mem.h"
#include "linalg/linalg.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define SMOOTH_ROWS 128
#define SMOOTH_COLUMNS 1024

struct smooth_job {
    size_t n, d, near;
    const float *x;
    float *out, *scores; /* scores: [workers][SMOOTH_ROWS][SMOOTH_COLUMNS] */
    float *best;         /* [workers][SMOOTH_ROWS][near] falling */
    uint32_t *who;
};

/* Insert (score, who) into the falling lists; an equal score stays behind. */
static void keep_best(float *best, uint32_t *who, size_t near, float score,
                      uint32_t id)
{
    size_t i = near - 1;

    if (score <= best[i])
        return;
    for (; i > 0 && score > best[i - 1]; i--) {
        best[i] = best[i - 1];
        who[i] = who[i - 1];
    }
    best[i] = score;
    who[i] = id;
}

static void smooth_rows(void *ctx, size_t task, unsigned worker)
{
    const struct smooth_job *j = ctx;
    size_t at = task * SMOOTH_ROWS;
    size_t rows = j->n - at < SMOOTH_ROWS ? j->n - at : SMOOTH_ROWS;
    float *s = j->scores + (size_t)worker * SMOOTH_ROWS * SMOOTH_COLUMNS;
    float *best = j->best + (size_t)worker * SMOOTH_ROWS * j->near;
    uint32_t *who = j->who + (size_t)worker * SMOOTH_ROWS * j->near;

    for (size_t i = 0; i < rows * j->near; i++)
        best[i] = -FLT_MAX;
    for (size_t c = 0; c < j->n; c += SMOOTH_COLUMNS) {
        size_t cols = j->n - c < SMOOTH_COLUMNS ? j->n - c : SMOOTH_COLUMNS;
        linalg_gemm_nt(rows, cols, j->d, j->x + at * j->d, j->d,
                       j->x + c * j->d, j->d, s, SMOOTH_COLUMNS);
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < cols; k++)
                keep_best(best + r * j->near, who + r * j->near, j->near,
                          s[r * SMOOTH_COLUMNS + k], (uint32_t)(c + k));
    }
    for (size_t r = 0; r < rows; r++) {
        float *out = j->out + (at + r) * j->d;
        memset(out, 0, j->d * sizeof(*out));
        for (size_t k = 0; k < j->near; k++) {
            const float *x = j->x + who[r * j->near + k] * j->d;
            for (size_t i = 0; i < j->d; i++)
                out[i] += x[i];
        }
        linalg_normalize(out, j->d);
    }
}

void embed_smooth(struct pool *pool, size_t n, size_t d, size_t near, float *x)
{
    size_t workers = pool_threads(pool);

    if (near > n)
        near = n;
    if (near < 2)
        return;
    struct smooth_job j = {
        n,
        d,
        near,
        x,
        mem_array(n * d, sizeof(float)),
        mem_array(workers * SMOOTH_ROWS * SMOOTH_COLUMNS, sizeof(float)),
        mem_array(workers * SMOOTH_ROWS * near, sizeof(float)),
        mem_array(workers * SMOOTH_ROWS * near, sizeof(uint32_t)),
    };
    pool_run(pool, (n + SMOOTH_ROWS - 1) / SMOOTH_ROWS, smooth_rows, &j);
    memcpy(x, j.out, n * d * sizeof(*x));
    free(j.out);
    free(j.scores);
    free(j.best);
    free(j.who);
}

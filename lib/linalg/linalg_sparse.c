/*
 * linalg_sparse.c - sparse rows and their truncated SVD
 *
 * The transpose is made once, so that products with either side have one
 * owner for each output row and need no atomics: the sums run in the order of
 * the entries on any number of threads.
 */
#include "linalg/linalg.h"

#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPARSE_BLOCK 64
#define SVD_OVERSAMPLING 16
#define SVD_ITERATIONS 4

void linalg_sparse_release(struct linalg_sparse *s)
{
    free(s->start);
    free(s->column);
    free(s->value);
    *s = (struct linalg_sparse){ 0 };
}

void linalg_sparse_transpose(const struct linalg_sparse *s,
                             struct linalg_sparse *out)
{
    size_t entries = s->start[s->rows];
    struct linalg_sparse t = {
        .rows = s->cols,
        .cols = s->rows,
        .start = mem_zalloc((s->cols + 1) * sizeof(*t.start)),
        .column = mem_array(entries, sizeof(*t.column)),
        .value = mem_array(entries, sizeof(*t.value)),
    };
    size_t *at = mem_array(s->cols, sizeof(*at));

    for (size_t i = 0; i < entries; i++)
        t.start[s->column[i] + 1]++;
    for (size_t c = 0; c < s->cols; c++)
        t.start[c + 1] += t.start[c];
    memcpy(at, t.start, s->cols * sizeof(*at));
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = s->start[r]; i < s->start[r + 1]; i++) {
            size_t to = at[s->column[i]]++;
            t.column[to] = (uint32_t)r;
            t.value[to] = s->value[i];
        }
    free(at);
    *out = t;
}

struct sparse_job {
    const struct linalg_sparse *s;
    size_t e;
    const float *x;
    float *y;
};

static void sparse_block(void *ctx, size_t task, unsigned worker)
{
    const struct sparse_job *j = ctx;
    const struct linalg_sparse *s = j->s;
    size_t end = (task + 1) * SPARSE_BLOCK;

    (void)worker;
    for (size_t r = task * SPARSE_BLOCK; r < end && r < s->rows; r++) {
        float *y = j->y + r * j->e;
        memset(y, 0, j->e * sizeof(*y));
        for (size_t i = s->start[r]; i < s->start[r + 1]; i++) {
            const float *x = j->x + s->column[i] * j->e;
            float w = s->value[i];
            for (size_t k = 0; k < j->e; k++)
                y[k] += w * x[k];
        }
    }
}

void linalg_sparse_product(struct pool *pool, const struct linalg_sparse *s,
                           size_t e, const float *x, float *y)
{
    struct sparse_job j = { s, e, x, y };

    pool_run(pool, (s->rows + SPARSE_BLOCK - 1) / SPARSE_BLOCK, sparse_block,
             &j);
}

/* Standard normal values that depend on (seed, index) alone. */
static void normal_fill(float *x, size_t n, uint64_t seed)
{
    struct rng r;

    rng_init(&r, seed);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&r);
}

/* v[cols,l] holds an orthonormal basis of the dominant right subspace and y
 * = s v. Rotate v to singular vectors; keep `rank` of them. */
static void svd_finish(struct pool *pool, size_t rows, size_t cols, size_t l,
                       const float *y, const float *basis, size_t rank,
                       float *values, float *v)
{
    double *g = mem_array(2 * l * l + l, sizeof(*g));
    double *w = g + l * l, *squares = w + l * l;
    float *turn = mem_zalloc(l * rank * sizeof(*turn));

    linalg_gram(pool, rows, l, y, g);
    linalg_eigen(l, g, squares, w);
    for (size_t j = 0; j < rank; j++) {
        bool real = j < l && squares[j] > squares[0] * 1e-9;
        values[j] = real ? (float)sqrt(squares[j]) : 0;
        for (size_t i = 0; i < l && real; i++)
            turn[i * rank + j] = (float)w[j * l + i];
    }
    linalg_product(pool, cols, l, rank, basis, turn, v);
    free(g);
    free(turn);
}

int linalg_svd(struct pool *pool, const struct linalg_sparse *s, size_t rank,
               uint64_t seed, float *values, float *v, struct err *err)
{
    size_t least = s->rows < s->cols ? s->rows : s->cols;
    size_t l = rank + SVD_OVERSAMPLING;
    struct linalg_sparse t = { 0 };
    float *basis = NULL, *y = NULL;
    int rc = 0;

    assert(rank > 0 && rank <= s->cols);
    if (l > least)
        l = least;
    memset(values, 0, rank * sizeof(*values));
    memset(v, 0, s->cols * rank * sizeof(*v));
    if (l == 0)
        return 0;
    linalg_sparse_transpose(s, &t);
    basis = mem_array(s->cols * l, sizeof(*basis));
    y = mem_array(s->rows * l, sizeof(*y));
    normal_fill(basis, s->cols * l, seed);
    for (unsigned i = 0; i < SVD_ITERATIONS; i++) {
        linalg_sparse_product(pool, s, l, basis, y);
        linalg_orthonormalize(pool, s->rows, l, y);
        linalg_sparse_product(pool, &t, l, y, basis);
        linalg_orthonormalize(pool, s->cols, l, basis);
        if (stop_requested()) {
            rc = err_set(err, ERR_INTERRUPTED, "stopped by a signal");
            goto done;
        }
    }
    linalg_sparse_product(pool, s, l, basis, y);
    svd_finish(pool, s->rows, s->cols, l, y, basis, rank, values, v);
done:
    free(basis);
    free(y);
    linalg_sparse_release(&t);
    return rc;
}

/* kmeans_private.h - what the files of k-means share */
#ifndef KMEANS_PRIVATE_H
#define KMEANS_PRIVATE_H

#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

/* A block after its product with all centres. */
struct kmeans_rows {
    size_t rows, d, k16; /* k16: k rounded up to 16 */
    float *scores;       /* [rows,k16] products, lowest value beyond k */
    const float *half;   /* [k16] taken from each row; NULL: nothing */
    const float *x;      /* [rows,d] */
    uint32_t *labels;    /* [rows] in: old, out: new */
    float *score;        /* [rows] greatest value */
    float *sums;         /* [k,d]; NULL: no sums */
    uint32_t *counts;    /* [k] */
    uint32_t moved;      /* labels that changed are added */
};
void kmeans_rows_generic(struct kmeans_rows *r);
void kmeans_rows_avx2(struct kmeans_rows *r);
void kmeans_rows_avx512(struct kmeans_rows *r);

/* k centres by greedy k-means++ from x[n,d]. */
void kmeans_seed(struct pool *pool, size_t n, size_t d, const float *x,
                 size_t k, uint64_t seed, float *centres);

#endif

/* kmeans_private.h - what the files of k-means share */
#ifndef KMEANS_PRIVATE_H
#define KMEANS_PRIVATE_H

#include "base/pool.h"

#include <stddef.h>
#include <stdint.h>

/* k centres by greedy k-means++ from x[n,d]. */
void kmeans_seed(struct pool *pool, size_t n, size_t d, const float *x,
                 size_t k, uint64_t seed, float *centres);

#endif

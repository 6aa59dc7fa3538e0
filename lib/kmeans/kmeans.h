/*
 * kmeans.h - k-means, plain and spherical
 *
 * Lloyd's iterations with products of rows and groups of centres; the choice
 * of the best and the sums of the next centres follow in the cache. Groups
 * that cannot hold a better centre are skipped, which changes no label: those
 * are what computing all products gives. Every sum runs over fixed chunks in a
 * fixed order, so that results do not depend on the threads.
 * May use: base, linalg.
 */
#ifndef KMEANS_H
#define KMEANS_H

#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kmeans_options {
    size_t k;            /* 1..n; more than n points: one centre each */
    unsigned iterations; /* at most; 0: 50 */
    unsigned restarts;   /* runs from other seeds, the best wins; 0: 1 */
    bool spherical;      /* unit centres, cosine; the points must be unit */
    uint64_t seed;
    const float *centres; /* [k,d] to start from; NULL: k-means++ */
};

struct kmeans_result {
    size_t k;
    float *centres;   /* [k,d] */
    uint32_t *labels; /* [n] */
    double objective; /* sum of squared distances, or of 1 - cosine */
    unsigned iterations;
    bool converged; /* no label changed in the last iteration */
};
void kmeans_result_release(struct kmeans_result *r);

/* x[n,d]. An empty cluster takes the point that its centre serves worst.
 * Greedy k-means++ (Arthur & Vassilvitskii 2007, with 2 + ln k candidates)
 * on at most 64 k + 20,000 points. May stop with ERR_INTERRUPTED; *out is
 * new on success. */
MUST_CHECK int kmeans_fit(struct pool *pool, size_t n, size_t d, const float *x,
                          const struct kmeans_options *o,
                          const struct progress *progress,
                          struct kmeans_result *out, struct err *err);

/* For each row of x[n,d] the best of centres[k,d] (the lower number wins a
 * tie) and, if score is not NULL, the dot product (spherical) or the squared
 * distance. */
void kmeans_assign(struct pool *pool, size_t n, size_t d, size_t k,
                   const float *x, const float *centres, bool spherical,
                   uint32_t *labels, float *score);

/* Adjusted Rand index of two labellings (Hubert & Arabie 1985); labels are
 * below ka and kb. */
double kmeans_agreement(size_t n, const uint32_t *a, size_t ka,
                        const uint32_t *b, size_t kb);

/* How stable k is: mean agreement, over all points, of `models` clusterings
 * that each saw another 80 % of them. */
MUST_CHECK int kmeans_stability(struct pool *pool, size_t n, size_t d,
                                const float *x, const struct kmeans_options *o,
                                unsigned models, double *out, struct err *err);

#endif

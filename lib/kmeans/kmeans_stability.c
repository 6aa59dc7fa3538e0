/*
 * kmeans_stability.c - agreement of labellings, and how stable a k is
 *
 * Silhouette and Calinski-Harabasz are nearly monotonous in k on texts;
 * agreement of models fitted on subsamples has its peak near the true k.
 */
#include "kmeans/kmeans.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static double pairs(uint64_t n)
{
    return (double)n * ((double)n - 1) / 2;
}

double kmeans_agreement(size_t n, const uint32_t *a, size_t ka,
                        const uint32_t *b, size_t kb)
{
    uint64_t *rows = mem_zalloc((ka + kb) * sizeof(*rows)), *cols = rows + ka;
    struct map *cells = map_new();
    double both = 0, left = 0, right = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t key[2] = { a[i], b[i] };
        assert(a[i] < ka && b[i] < kb);
        rows[a[i]]++;
        cols[b[i]]++;
        ++*map_put(cells, key, sizeof(key), NULL);
    }
    for (size_t i = 0; i < map_count(cells); i++)
        both += pairs(*map_value(cells, i));
    for (size_t i = 0; i < ka; i++)
        left += pairs(rows[i]);
    for (size_t i = 0; i < kb; i++)
        right += pairs(cols[i]);
    free(rows);
    map_free(cells);
    double chance = n > 1 ? left * right / pairs(n) : 0;
    double most = (left + right) / 2;
    /* One cluster on both sides, or all apart: equal and nothing to say. */
    return most - chance > 0 ? (both - chance) / (most - chance) : 1;
}

/* Labels of all points by a model of 80 % of them. */
static int fit_on_sample(struct pool *pool, size_t n, size_t d, const float *x,
                         const struct kmeans_options *o, unsigned model,
                         uint32_t *labels, struct err *err)
{
    size_t m = n - n / 5;
    size_t *order = mem_array(n, sizeof(*order));
    float *sample = mem_array(m * d, sizeof(*sample));
    struct kmeans_options own = *o;
    struct kmeans_result r = { 0 };
    struct rng g;

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    rng_init(&g, o->seed * 1000003 + model);
    rng_shuffle(&g, order, n);
    for (size_t i = 0; i < m; i++)
        memcpy(sample + i * d, x + order[i] * d, d * sizeof(*sample));
    own.seed = o->seed + 7919 * (model + 1);
    own.centres = NULL;
    int rc = kmeans_fit(pool, m, d, sample, &own, NULL, &r, err);
    if (rc == 0)
        kmeans_assign(pool, n, d, r.k, x, r.centres, o->spherical, labels,
                      NULL);
    kmeans_result_release(&r);
    free(order);
    free(sample);
    return rc;
}

int kmeans_stability(struct pool *pool, size_t n, size_t d, const float *x,
                     const struct kmeans_options *o, unsigned models,
                     double *out, struct err *err)
{
    uint32_t *labels = mem_array(models * n, sizeof(*labels));
    double sum = 0;
    int rc = 0;

    assert(models > 1);
    for (unsigned m = 0; m < models && rc == 0; m++)
        rc = fit_on_sample(pool, n, d, x, o, m, labels + m * n, err);
    for (unsigned a = 0; a < models && rc == 0; a++)
        for (unsigned b = 0; b < a; b++)
            sum +=
                kmeans_agreement(n, labels + a * n, o->k, labels + b * n, o->k);
    if (rc == 0)
        *out = sum / (models * (models - 1) / 2.0);
    free(labels);
    return rc;
}

/*
 * stats_psi.c - how far a distribution has moved, and how far by chance
 *
 * The index of a hundred calls exceeds the usual limit without any change;
 * the permutation says what it gives on counts of this size.
 */
#include "stats/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHUFFLES 1000

static double total(const double *count, size_t bins)
{
    double sum = 0;

    for (size_t i = 0; i < bins; i++)
        sum += count[i];
    return sum;
}

double stats_psi(const double *expected, const double *actual, size_t bins)
{
    double e = total(expected, bins), a = total(actual, bins), sum = 0;
    size_t used = 0;

    if (!(e > 0) || !(a > 0))
        return (double)NAN;
    for (size_t i = 0; i < bins; i++)
        used += expected[i] > 0 || actual[i] > 0;
    for (size_t i = 0; i < bins; i++) {
        double p = (expected[i] + 0.5) / (e + 0.5 * (double)used);
        double q = (actual[i] + 0.5) / (a + 0.5 * (double)used);

        if (expected[i] > 0 || actual[i] > 0)
            sum += (q - p) * log(q / p);
    }
    return sum;
}

/* The category of each item of both sides, in one row. */
static uint32_t *lay_out(const double *expected, const double *actual,
                         size_t bins, double part, size_t *first, size_t *n)
{
    size_t most =
        (size_t)(part * (total(expected, bins) + total(actual, bins))) +
        2 * bins + 1;
    uint32_t *item = mem_array(most, sizeof(*item));
    const double *side[2] = { expected, actual };

    *n = 0;
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < bins; i++)
            for (double k = round(side[s][i] * part); k > 0.5; k--)
                item[(*n)++] = (uint32_t)i;
        if (s == 0)
            *first = *n;
    }
    return item;
}

/* Draws `first` of the n items to the front, and counts both sides. */
static void divide(uint32_t *item, size_t first, size_t n, size_t bins,
                   struct rng *rng, double *e, double *a)
{
    for (size_t i = 0; i < first; i++) {
        size_t j = i + rng_below(rng, n - i);
        uint32_t kept = item[i];
        item[i] = item[j];
        item[j] = kept;
    }
    memset(e, 0, bins * sizeof(*e));
    memset(a, 0, bins * sizeof(*a));
    for (size_t i = 0; i < n; i++)
        (i < first ? e : a)[item[i]]++;
}

double stats_psi_chance(const double *expected, const double *actual,
                        size_t bins, double level, uint64_t seed)
{
    double larger = fmax(total(expected, bins), total(actual, bins));
    double part = larger > STATS_PSI_ITEMS ? STATS_PSI_ITEMS / larger : 1;
    double value[SHUFFLES], *e, *a, out;
    struct rng rng;
    size_t first, n;
    uint32_t *item = lay_out(expected, actual, bins, part, &first, &n);

    if (first == 0 || first == n) {
        free(item);
        return (double)NAN;
    }
    rng_init(&rng, seed);
    e = mem_array(bins, sizeof(*e));
    a = mem_array(bins, sizeof(*a));
    for (size_t i = 0; i < SHUFFLES; i++) {
        divide(item, first, n, bins, &rng, e, a);
        value[i] = stats_psi(e, a, bins);
    }
    out = stats_quantile(value, SHUFFLES, level) * part;
    free(item);
    free(e);
    free(a);
    return out;
}

/*
 * stats_rate.c - rates with limits, calibration error, quantiles, signals
 *
 * A signal's lists live as long as the answer is being written; what is kept
 * of it afterwards are four numbers.
 */
#include "stats/stats.h"

#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define ECE_DRAWS 200

/* Where the standard normal distribution reaches p: bisection, since erfc is
 * exact and nobody asks often. */
double stats_normal_quantile(double p)
{
    double low = -40, high = 40;

    assert(p > 0 && p < 1);
    while (high - low > 1e-13 * (1 + fabs(low))) {
        double mid = (low + high) / 2;
        if (0.5 * erfc(-mid / M_SQRT2) < p)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

struct stats_limits stats_wilson(double k, double n, double level)
{
    return stats_wilson_at(k, n, stats_normal_quantile(level));
}

struct stats_limits stats_wilson_at(double k, double n, double z)
{
    struct stats_limits out = { 0, 1 };
    double z2 = z * z, p, mid, half;

    if (!(n > 0))
        return out;
    p = fmin(1, fmax(0, k / n));
    mid = (p + z2 / (2 * n)) / (1 + z2 / n);
    half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    out.low = p <= 0 ? 0 : fmax(0, mid - half);
    out.high = p >= 1 ? 1 : fmin(1, mid + half);
    return out;
}

double stats_ece(const double *p, const double *y, size_t n, size_t bins)
{
    double *sum = mem_zalloc(bins * sizeof(*sum)), error = 0;

    for (size_t i = 0; i < n; i++) {
        double at = floor(p[i] * (double)bins);
        size_t b = at <= 0 ? 0 : (size_t)at;
        sum[b < bins ? b : bins - 1] += y[i] - p[i];
    }
    for (size_t b = 0; b < bins; b++)
        error += fabs(sum[b]);
    free(sum);
    return n ? error / (double)n : (double)NAN;
}

double stats_ece_chance(const double *p, size_t n, size_t bins, uint64_t seed)
{
    double *y = mem_array(n + 1, sizeof(*y)), sum = 0;
    struct rng rng;

    rng_init(&rng, seed);
    for (int d = 0; d < ECE_DRAWS; d++) {
        for (size_t i = 0; i < n; i++)
            y[i] = rng_unit(&rng) < p[i];
        sum += stats_ece(p, y, n, bins);
    }
    free(y);
    return sum / ECE_DRAWS;
}

double stats_brier(const double *p, const double *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (p[i] - y[i]) * (p[i] - y[i]);
    return n ? sum / (double)n : (double)NAN;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double stats_quantile(double *x, size_t n, double q)
{
    double at, part;
    size_t low;

    if (n == 0)
        return (double)NAN;
    qsort(x, n, sizeof(*x), compare_doubles);
    at = fmin(1, fmax(0, q)) * (double)(n - 1);
    low = (size_t)at;
    part = at - (double)low;
    return part > 0 ? x[low] + part * (x[low + 1] - x[low]) : x[low];
}

void stats_signals_add(struct stats_signals *s, double logp, double margin,
                       unsigned allowed)
{
    s->tokens++;
    if (allowed < 2 || !isfinite(logp) || !isfinite(margin))
        return;
    if (s->free_tokens == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 64;
        s->logps = mem_realloc(s->logps, s->cap, sizeof(double));
        s->margins = mem_realloc(s->margins, s->cap, sizeof(double));
    }
    s->logps[s->free_tokens] = logp;
    s->margins[s->free_tokens++] = margin;
}

void stats_signals_end(struct stats_signals *s)
{
    size_t n = s->free_tokens;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += s->logps[i];
    if (n) {
        s->mean_logp = sum / (double)n;
        s->q25_logp = stats_quantile(s->logps, n, 0.25);
        s->min_margin = stats_quantile(s->margins, n, 0);
        s->q10_margin = stats_quantile(s->margins, n, 0.1);
    }
    free(s->logps);
    free(s->margins);
    s->logps = s->margins = NULL;
    s->cap = 0;
}

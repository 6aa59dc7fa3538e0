/*
 * stats_curve.c - what a router's score is worth, over all its thresholds
 *
 * Every threshold counts, not eleven quantiles of the score: the areas are
 * those of the whole curve.
 */
#include "stats/stats.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct scored {
    double score;
    size_t at;
};

/* Highest first; a score that is no number is the lowest. */
static int compare_scores(const void *a, const void *b)
{
    const struct scored *p = a, *q = b;

    if (p->score != q->score)
        return p->score < q->score ? 1 : -1;
    return (p->at > q->at) - (p->at < q->at);
}

static double mean(const double *v, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return n ? sum / (double)n : 0;
}

size_t stats_curve(const double *score, const double *weak,
                   const double *strong, const double *weak_cost,
                   const double *strong_cost, size_t n, struct stats_point *out)
{
    struct scored *s = mem_array(n + 1, sizeof(*s));
    double quality = mean(weak, n), cost = weak_cost ? mean(weak_cost, n) : 0;
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        s[i] = (struct scored){ isnan(score[i]) ? -HUGE_VAL : score[i], i };
    qsort(s, n, sizeof(*s), compare_scores);
    out[count++] = (struct stats_point){ 0, cost, quality, HUGE_VAL };
    for (size_t i = 0; i < n; i++) {
        size_t at = s[i].at;

        quality += (strong[at] - weak[at]) / (double)n;
        cost += ((strong_cost ? strong_cost[at] : 1) -
                 (weak_cost ? weak_cost[at] : 0)) /
                (double)n;
        if (i + 1 == n || s[i + 1].score < s[i].score)
            out[count++] = (struct stats_point){ (double)(i + 1) / (double)n,
                                                 cost, quality, s[i].score };
    }
    free(s);
    return count;
}

double stats_apgr(const struct stats_point *p, size_t n)
{
    double area = 0, gap;

    if (n < 2)
        return (double)NAN;
    gap = p[n - 1].quality - p[0].quality;
    for (size_t i = 1; i < n; i++)
        area += (p[i].strong - p[i - 1].strong) *
                (p[i].quality + p[i - 1].quality) / 2;
    return fabs(gap) > 1e-12 ? (area - p[0].quality) / gap : (double)NAN;
}

double stats_cpt(const struct stats_point *p, size_t n, double part)
{
    double target;

    if (n < 2)
        return (double)NAN;
    target = p[0].quality + part * (p[n - 1].quality - p[0].quality);
    for (size_t i = 0; i < n; i++) {
        double rise;

        if (p[i].quality < target)
            continue;
        if (i == 0)
            return 0;
        rise = p[i].quality - p[i - 1].quality;
        return p[i - 1].strong + (target - p[i - 1].quality) / rise *
                                     (p[i].strong - p[i - 1].strong);
    }
    return (double)NAN;
}

static int compare_costs(const void *a, const void *b)
{
    const struct stats_point *p = a, *q = b;

    if (p->cost != q->cost)
        return p->cost > q->cost ? 1 : -1;
    return (p->quality < q->quality) - (p->quality > q->quality);
}

/* Does b lie on or below the line from a to c? */
static bool is_below(const struct stats_point *a, const struct stats_point *b,
                     const struct stats_point *c)
{
    return (b->quality - a->quality) * (c->cost - a->cost) <=
           (c->quality - a->quality) * (b->cost - a->cost);
}

/* Sorted points to their upper hull, in place, up to its highest point. */
static size_t rising_hull(struct stats_point *p, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (count && p[i].cost <= p[count - 1].cost)
            continue; /* same cost: the first is the better */
        while (count > 1 && is_below(&p[count - 2], &p[count - 1], &p[i]))
            count--;
        p[count++] = p[i];
    }
    while (count > 1 && p[count - 1].quality <= p[count - 2].quality)
        count--;
    return count;
}

double stats_aiq(const struct stats_point *p, size_t n)
{
    struct stats_point *h = mem_array(n + 1, sizeof(*h));
    double most, range, area = 0;
    size_t count;

    if (n == 0) {
        free(h);
        return (double)NAN;
    }
    for (size_t i = 0; i < n; i++)
        h[i] = p[i];
    qsort(h, n, sizeof(*h), compare_costs);
    most = h[n - 1].cost;
    range = most - h[0].cost;
    count = rising_hull(h, n);
    for (size_t i = 1; i < count; i++)
        area +=
            (h[i].cost - h[i - 1].cost) * (h[i].quality + h[i - 1].quality) / 2;
    area += (most - h[count - 1].cost) * h[count - 1].quality;
    free(h);
    return range > 0 ? area / range : (double)NAN;
}

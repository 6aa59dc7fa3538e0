/*
 * stats.h - calibration, drift and curves: numbers about numbers
 *
 * Plain double precision in fixed order: the same bits on any number of
 * threads. Nothing here knows what a model or a call is.
 * May use: base.
 */
#ifndef STATS_H
#define STATS_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Isotonic regression by pool-adjacent-violators (Ayer et al. 1955). Blocks
 * have rising mean x and rising mean y; n is the weight of each. */
#define STATS_ISOTONIC_MAX (1u << 20) /* blocks in a saved form */
struct stats_isotonic {
    double *x, *y, *n;
    size_t count;
};
/* Weights w (NULL: 1 each). x[n] need not be sorted; equal x pool. Values
 * that are no numbers are left out. Release it. */
void stats_isotonic_fit(const double *x, const double *y, const double *w,
                        size_t n, struct stats_isotonic *out);
/* Linear between the blocks, flat outside; NaN without a block. */
double stats_isotonic_at(const struct stats_isotonic *f, double x);
void stats_isotonic_save(const struct stats_isotonic *f, struct buf *out);
MUST_CHECK int stats_isotonic_load(struct slice data,
                                   struct stats_isotonic *out, struct err *err);
void stats_isotonic_release(struct stats_isotonic *f);

/* Limits of a rate k/n by Wilson's score interval, each one-sided; 0 and 1
 * where n is 0. Counts need not be whole. */
struct stats_limits {
    double low, high;
};
struct stats_limits stats_wilson(double k, double n, double level);
/* The same where the level's quantile is known: finding it is what takes
 * time. */
struct stats_limits stats_wilson_at(double k, double n, double z);
/* Where the standard normal distribution reaches p, 0 < p < 1. */
double stats_normal_quantile(double p);

/* Ridge logistic regression by Newton's method (IRLS). x[n,d] row-major, y
 * from 0 to 1. The intercept is added and not penalised; lambda > 0 acts on
 * standardised columns: the sum of n losses + lambda/2 |w|^2. w[d + 1] is in
 * the units of x, the intercept last. ERR_NOTFOUND: all y are equal. */
#define STATS_LOGIT_DIMS 512
MUST_CHECK int stats_logit_fit(const float *x, const double *y, size_t n,
                               size_t d, double lambda, double *w,
                               struct err *err);
/* The same with a lambda[d] of each column's own. */
MUST_CHECK int stats_logit_fit_by(const float *x, const double *y, size_t n,
                                  size_t d, const double *lambda, double *w,
                                  struct err *err);
double stats_logit_at(const double *w, const float *x, size_t d);

/* Expected calibration error (Guo et al. 2017): `bins` of equal width, the
 * weighted mean of |mean y - mean p|. Brier: the mean of (p - y)^2. NaN
 * without items. */
double stats_ece(const double *p, const double *y, size_t n, size_t bins);
/* What probabilities that are right have, with so few outcomes: the mean over
 * 200 draws of them. */
double stats_ece_chance(const double *p, size_t n, size_t bins, uint64_t seed);
double stats_brier(const double *p, const double *y, size_t n);

/* Population stability index over counts of the same categories; half a count
 * is added to each, so that it stays finite. Categories that neither side has
 * do not count. NaN if a side is empty. */
double stats_psi(const double *expected, const double *actual, size_t bins);
/* What that many items give by chance: the quantile `level` of the index over
 * 1,000 divisions of both sides' items, shuffled together. Whole counts, at
 * most STATS_PSI_ITEMS on a side; larger ones are scaled down (and the answer
 * with them, for it goes with 1/n). */
#define STATS_PSI_ITEMS 20000
double stats_psi_chance(const double *expected, const double *actual,
                        size_t bins, double level, uint64_t seed);
/* Sorts x[n]; type 7 of Hyndman & Fan. NaN without items. */
double stats_quantile(double *x, size_t n, double q);

/* What an answer's tokens say of it, over those where more than one id was
 * allowed: a forced token's margin is infinite and says nothing. Zero-
 * initialise, add, end. All are 0 without free tokens. */
struct stats_signals {
    double mean_logp, min_margin, q10_margin, q25_logp;
    size_t tokens, free_tokens;
    double *logps, *margins; /* until the end */
    size_t cap;
};
void stats_signals_add(struct stats_signals *s, double logp, double margin,
                       unsigned allowed);
/* Computes, and frees the lists. */
void stats_signals_end(struct stats_signals *s);

/* One setting of a router: the share of calls that goes to the strong (dear)
 * model, mean cost and quality, and the score from which calls go there. */
struct stats_point {
    double strong, cost, quality, threshold;
};
/* All thresholds of `score` (calls at or above go to the strong model), from
 * none to all; equal scores go together. out[n + 1]; returns the count. Costs
 * may be NULL: then 0 and 1. */
size_t stats_curve(const double *score, const double *weak,
                   const double *strong, const double *weak_cost,
                   const double *strong_cost, size_t n,
                   struct stats_point *out);
/* Average performance gap recovered (Ong et al. 2024): area between the curve
 * and the weak model's quality, over strong shares 0 to 1, as a part of the
 * gap. NaN if weak equals strong. p as stats_curve gives it. */
double stats_apgr(const struct stats_point *p, size_t n);
/* The least share of strong calls whose quality reaches weak + part (strong -
 * weak), linear between points; NaN if none does. */
double stats_cpt(const struct stats_point *p, size_t n, double part);
/* Average improvement in quality (RouterBench, Hu et al. 2024): area under the
 * non-decreasing upper hull of quality over cost, divided by the range of
 * costs. NaN without a range. */
double stats_aiq(const struct stats_point *p, size_t n);

#endif

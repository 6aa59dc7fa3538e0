/*
 * score_condition.c - what a gate asks for beside quality
 *
 * Each condition has a verdict of its own and none makes good for another: the
 * gate's is the worst. Validity is decided like quality, latency by order
 * statistics, since a few slow answers are what a percentile is about.
 */
#include "base/mem.h"
#include "scoring/scoring.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUANTILE 0.95
#define POWER 0.8

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The limits are observations: the u-th smallest lies above the quantile with
 * the level's probability, the l-th below it; how many lie below is binomial.
 * x ascends. */
static struct score_interval quantile_interval(const double *x, size_t n)
{
    struct score_interval i = { 0, HUGE_VAL };
    double term = (double)n * log1p(-QUANTILE), below = 0;

    for (size_t k = 0; k < n && isinf(i.high); k++) {
        below += exp(term); /* P(at most k lie below) */
        if (below <= 1 - SCORE_LEVEL)
            i.low = x[k];
        if (below >= SCORE_LEVEL)
            i.high = x[k];
        term += log((double)(n - k) / (double)(k + 1)) + log(QUANTILE) -
                log1p(-QUANTILE);
    }
    return i;
}

/* Latencies that decide with the power if this share is too long: exact where
 * none is, else the normal approximation with Fleiss' correction. */
static size_t latencies_needed(size_t n, double share)
{
    double odds = 1 - QUANTILE, gap = fabs(share - odds), root, want;

    if (gap < 1e-9)
        return SCORE_MAX_NEED;
    root = score_normal_quantile(SCORE_LEVEL) * sqrt(odds * QUANTILE) +
           score_normal_quantile(POWER) * sqrt(share * (1 - share));
    want = root * root / (gap * gap);
    want = want / 4 * pow(1 + sqrt(1 + 2 / (want * gap)), 2);
    if (share <= 0)
        want = log(1 - SCORE_LEVEL) / log(QUANTILE);
    want = fmax(ceil(want), (double)n + 1);
    return want < SCORE_MAX_NEED ? (size_t)want : SCORE_MAX_NEED;
}

static void latency_decide(const struct score_conditions *in,
                           struct score_condition *c)
{
    size_t n = in->latency_count, over = 0;
    double *x = mem_array(n + 1, sizeof(*x));

    for (size_t i = 0; i < n; i++) {
        x[i] = in->latency_ms[i];
        over += x[i] > in->latency_p95_ms;
    }
    qsort(x, n, sizeof(*x), by_value);
    *c = (struct score_condition){ .name = "latency",
                                   .limit = in->latency_p95_ms,
                                   .count = n,
                                   .value = (double)NAN };
    c->interval = quantile_interval(x, n);
    if (n > 0)
        c->value = x[(size_t)ceil(QUANTILE * (double)n) - 1];
    free(x);
    if (c->interval.high <= c->limit) {
        c->verdict = SCORE_PASS;
        c->why = "the 95th percentile of the latency is within its limit";
    } else if (c->interval.low > c->limit) {
        c->verdict = SCORE_FAIL;
        c->why = "the 95th percentile of the latency is above its limit";
    } else {
        c->verdict = SCORE_UNDECIDED;
        c->why = "too few latencies to know their 95th percentile";
        c->need = latencies_needed(n, n > 0 ? (double)over / (double)n : 0);
    }
}

static void validity_decide(const struct score_conditions *in,
                            struct score_condition *c)
{
    static const char *const whys[] = {
        [SCORE_PASS] = "answers are valid as often as the reference's",
        [SCORE_FAIL] = "answers are valid too seldom",
        [SCORE_UNDECIDED] = "too few calls to know how often answers are valid",
    };
    double *valid = mem_array(in->count + 1, sizeof(*valid));
    double *reference = mem_array(in->count + 1, sizeof(*reference));
    struct score_gate g;

    for (size_t i = 0; i < in->count; i++) {
        valid[i] = in->valid[i];
        reference[i] = in->reference_valid[i];
    }
    score_gate_run(&(struct score_gate_input){ .score = valid,
                                               .reference = reference,
                                               .cluster = in->cluster,
                                               .count = in->count,
                                               .margin = in->valid_margin,
                                               .seed = in->seed,
                                               .rounds = in->rounds },
                   &g);
    free(valid);
    free(reference);
    *c = g.condition[0];
    c->name = "validity";
    c->why = whys[c->verdict];
}

/* pass, undecided, fail */
static int badness(enum score_verdict v)
{
    return v == SCORE_FAIL ? 2 : v == SCORE_UNDECIDED ? 1 : 0;
}

void score_gate_conditions(const struct score_conditions *in,
                           struct score_gate *out)
{
    assert(out->condition_count == 1);
    if (in->valid_margin >= 0)
        validity_decide(in, &out->condition[out->condition_count++]);
    if (in->latency_p95_ms > 0)
        latency_decide(in, &out->condition[out->condition_count++]);
    for (size_t i = 1; i < out->condition_count; i++) {
        const struct score_condition *c = &out->condition[i];
        int worse = badness(c->verdict) - badness(out->verdict);

        if (worse > 0 || (worse == 0 && c->need > out->need)) {
            out->deciding = i;
            out->verdict = c->verdict;
            out->why = c->why;
            out->need = c->need;
        }
    }
}

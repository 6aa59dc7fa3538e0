/*
 * score_gate.c - paired non-inferiority with clusters
 *
 * The verdict is read off one interval around the mean paired difference. It
 * is the wider, limit by limit, of a bootstrap over clusters and (binary
 * scores) Tango's interval at the effective sample size; for other scores, of
 * the bootstrap and a normal interval with the cluster variance. Samples
 * without any disagreement are bounded by Wilson, never by zero width.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "scoring/scoring.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ROUNDS 2000
#define POWER 0.8
#define PRIOR 10 /* clusters */
#define TEXT(n) TEXT_OF(n)
#define TEXT_OF(n) #n
#define MIN_CLUSTERS_WHY "fewer than " TEXT(SCORE_MIN_CLUSTERS) " conversations"

/* Sums of one cluster, and whether it says anything about how alike its items
 * are: a disagreement; a score on the rarer side. */
struct group {
    double difference, score;
    double count;
    bool disagrees, deviates;
};

struct work {
    const struct score_gate_input *in;
    struct score_gate *out;
    struct group *groups;
    double level, z;
    double alike;    /* items an observation, were those of a cluster equal */
    double variance; /* of one item's difference, as if independent */
    double se;       /* of the mean difference, clusters heeded */
    double score_deff, score_variance; /* of the candidate's own mean */
    struct score_table table;
    double measured;      /* share of items with a measured reference */
    double measured_mean; /* of those references */
    bool score_binary;    /* the candidate's scores are 0 or 1 */
};

const char *score_verdict_name(enum score_verdict v)
{
    static const char *const names[] = { "pass", "fail", "undecided" };

    assert((unsigned)v < 3);
    return names[v];
}

static bool item_is_used(const struct score_gate_input *in, size_t i)
{
    return !isnan(in->score[i]) && !isnan(in->reference[i]);
}

static bool is_binary(double v)
{
    return v == 0 || v == 1;
}

static void table_add(struct score_table *t, double score, double reference)
{
    if (score > 0 && reference > 0)
        t->both++;
    else if (score > 0)
        t->first++;
    else if (reference > 0)
        t->second++;
    else
        t->neither++;
}

static void groups_collect(struct work *w)
{
    const struct score_gate_input *in = w->in;
    struct score_gate *out = w->out;
    struct map *m = map_new();
    size_t cap = 0, differing = 0;

    out->binary = w->score_binary = true;
    for (size_t i = 0; i < in->count; i++) {
        double s = in->score[i], r = in->reference[i];
        bool added;
        uint64_t *at;

        if (!item_is_used(in, i)) {
            out->left_out++;
            continue;
        }
        at = map_put(m, &in->cluster[i], sizeof(in->cluster[i]), &added);
        if (added) {
            *at = out->clusters++;
            mem_grow((void **)&w->groups, &cap, out->clusters,
                     sizeof(*w->groups));
            w->groups[*at] = (struct group){ 0 };
        }
        w->groups[*at].difference += s - r;
        w->groups[*at].score += s;
        w->groups[*at].count++;
        w->groups[*at].disagrees =
            w->groups[*at].disagrees || fabs(s - r) > 0.5;
        out->count++;
        out->score += s;
        out->reference += r;
        out->binary = out->binary && is_binary(s) && is_binary(r);
        w->score_binary = w->score_binary && is_binary(s);
        if (in->measured && in->measured[i]) {
            w->measured++;
            w->measured_mean += r;
        }
        differing += s != r;
        table_add(&w->table, s, r);
    }
    map_free(m);
    for (size_t i = 0; i < out->clusters; i++)
        w->alike += w->groups[i].count * w->groups[i].count;
    if (out->count > 0)
        w->alike /= (double)out->count;
    if (w->measured > 0)
        w->measured_mean /= w->measured;
    if (out->count > 0) {
        w->measured /= (double)out->count;
        out->score /= (double)out->count;
        out->reference /= (double)out->count;
        out->discordant = (double)differing / (double)out->count;
    }
    out->difference = out->score - out->reference;
}

/* Variance of a mean over clusters: sum of squared cluster residuals over
 * n^2, with the G/(G-1) correction. */
static double cluster_variance(const struct work *w, bool of_score, double mean)
{
    size_t g = w->out->clusters;
    double n = (double)w->out->count, sum = 0;

    for (size_t i = 0; i < g; i++) {
        const struct group *c = &w->groups[i];
        double r = (of_score ? c->score : c->difference) - mean * c->count;

        sum += r * r;
    }
    return g > 1 ? sum / (n * n) * (double)g / (double)(g - 1) : 0;
}

/* Few clusters in which anything happens tell little about how alike the items
 * of a cluster are, and the usual estimate is then far too low. It is drawn
 * towards the worst case, one observation a cluster, by PRIOR such clusters.
 * Clusters of different sizes are worth fewer than their number (Kish 1965,
 * Survey Sampling: sum of squared sizes over their sum). */
static double design_effect(const struct work *w, double clustered,
                            double independent, size_t informative)
{
    double worst = w->alike;
    double seen = independent > 0 ? fmax(1, clustered / independent) : worst;
    double k = (double)informative;

    return fmax(seen, (k * seen + PRIOR * worst) / (k + PRIOR));
}

static void deviations(struct work *w, double *difference, double *score)
{
    const struct score_gate_input *in = w->in;
    const struct score_gate *out = w->out;
    struct map *m = map_new();

    for (size_t i = 0; i < in->count; i++) {
        double d, s;
        uint64_t *at;
        bool added;

        if (!item_is_used(in, i))
            continue;
        at = map_put(m, &in->cluster[i], sizeof(in->cluster[i]), &added);
        if (added)
            *at = map_count(m) - 1;
        d = in->score[i] - in->reference[i] - out->difference;
        s = in->score[i] - out->score;
        *difference += d * d;
        *score += s * s;
        if (fabs(s) > 0.5)
            w->groups[*at].deviates = true;
    }
    map_free(m);
}

static void variances(struct work *w)
{
    struct score_gate *out = w->out;
    double n = (double)out->count, sum = 0, score_sum = 0;
    size_t disagreeing = 0, deviating = 0;

    deviations(w, &sum, &score_sum);
    for (size_t i = 0; i < out->clusters; i++) {
        disagreeing += w->groups[i].disagrees;
        deviating += w->groups[i].deviates;
    }
    w->variance = n > 1 ? sum / (n - 1) : 0;
    out->design_effect =
        design_effect(w, cluster_variance(w, false, out->difference),
                      w->variance / n, disagreeing);
    w->se = sqrt(out->design_effect * w->variance / n);
    w->score_variance = n > 1 ? score_sum / (n - 1) : 0;
    w->score_deff = design_effect(w, cluster_variance(w, true, out->score),
                                  w->score_variance / n, deviating);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void bootstrap(struct work *w)
{
    struct score_gate *out = w->out;
    size_t rounds = w->in->rounds > 0 ? w->in->rounds : DEFAULT_ROUNDS;
    size_t g = out->clusters, at;
    double *means = mem_array(rounds, sizeof(*means));
    struct rng rng;

    rng_init(&rng, w->in->seed);
    for (size_t r = 0; r < rounds; r++) {
        double sum = 0, n = 0;

        for (size_t i = 0; i < g; i++) {
            const struct group *c = &w->groups[rng_below(&rng, g)];

            sum += c->difference;
            n += c->count;
        }
        means[r] = sum / n;
    }
    qsort(means, rounds, sizeof(*means), by_value);
    at = (size_t)floor((1 - w->level) * (double)(rounds - 1));
    out->bootstrap.low = means[at];
    out->bootstrap.high = means[rounds - 1 - at];
    free(means);
}

static struct score_table table_effective(struct score_table t, double deff)
{
    t.both /= deff;
    t.first /= deff;
    t.second /= deff;
    t.neither /= deff;
    return t;
}

static void widen(struct score_interval *a, struct score_interval b)
{
    a->low = fmin(a->low, b.low);
    a->high = fmax(a->high, b.high);
}

/* Scores between 0 and 1: a normal interval with the cluster variance; and
 * where no item (or none in one direction) differs, what Wilson says about
 * the share of items that could. */
static struct score_interval graded_interval(const struct work *w)
{
    const struct score_gate *out = w->out;
    double half = w->z * w->se;
    double silent =
        score_wilson(0, (double)out->count / w->alike, w->level).high;
    struct score_interval i = { out->difference - half,
                                out->difference + half };

    if (w->variance == 0) {
        i.low = fmin(i.low, out->difference - silent);
        i.high = fmax(i.high, out->difference + silent);
    }
    return i;
}

/* The measured references have an interval of their own: square and add
 * (Newcombe 1998, Statistics in Medicine 17:873, method 10). */
static void measured_widen(const struct work *w, struct score_interval *i)
{
    struct score_interval m = w->in->measured_interval;
    double d = w->out->difference, mean = w->measured_mean;

    i->low = d - hypot(d - i->low, w->measured * fmax(0, m.high - mean));
    i->high = d + hypot(i->high - d, w->measured * fmax(0, mean - m.low));
}

static struct score_interval mean_interval(const struct work *w, double mean,
                                           bool of_score, bool binary)
{
    double deff = of_score ? w->score_deff : w->out->design_effect;
    double n = (double)w->out->count / deff, half;

    if (binary)
        return score_wilson(mean * n, n, w->level);
    half = of_score ? w->z * sqrt(w->score_variance / n) : 0;
    return (struct score_interval){ fmax(0, mean - half),
                                    fmin(1, mean + half) };
}

/* Before the bootstrap: what the kind of scores asks for. */
static struct score_interval base_interval(const struct work *w)
{
    const struct score_gate *out = w->out;

    if (w->measured == 1 && w->score_binary)
        return (struct score_interval){
            out->score_interval.low - out->reference,
            out->score_interval.high - out->reference,
        };
    return w->measured == 0 && out->binary ? out->paired : graded_interval(w);
}

static void intervals(struct work *w)
{
    struct score_gate *out = w->out;
    struct score_table t = table_effective(w->table, out->design_effect);

    out->score_interval = mean_interval(w, out->score, true, w->score_binary);
    if (w->measured == 1)
        out->reference_interval = w->in->measured_interval;
    else
        out->reference_interval =
            mean_interval(w, out->reference, false, out->binary);
    bootstrap(w);
    out->paired = score_tango(t, w->level);
    out->newcombe = score_newcombe(t, w->level);
    out->interval = base_interval(w);
    widen(&out->interval, out->bootstrap);
    if (w->measured > 0)
        measured_widen(w, &out->interval);
    if (out->interval.low < -1) /* scores lie between 0 and 1 */
        out->interval.low = -1;
    if (out->interval.high > 1)
        out->interval.high = 1;
}

/* Size so that the sampling error and the error of the measured references,
 * which more items do not mend, together fit into the distance. */
static void need(struct work *w)
{
    struct score_gate *out = w->out;
    double n = (double)out->count, d = out->difference + w->in->margin, fixed;
    double variance = w->variance * out->design_effect, want;
    struct score_interval m = w->in->measured_interval;

    /* No disagreement seen is not a variance of 0: one more item may bring
     * the first (Laplace). */
    if (w->variance == 0)
        variance = out->design_effect / (n + 2);
    fixed = w->measured *
            (d > 0 ? m.high - w->measured_mean : w->measured_mean - m.low);
    if (d * d <= fixed * fixed) {
        out->need = SCORE_MAX_NEED;
        out->why = "too few repeated inputs to know the reference";
        return;
    }
    want = ceil(score_gate_need(variance, sqrt(d * d - fixed * fixed), w->level,
                                POWER));
    want = fmax(want, n + 1);
    if (out->clusters < SCORE_MIN_CLUSTERS)
        want = fmax(want, ceil(n * SCORE_MIN_CLUSTERS / (double)out->clusters));
    out->need = want < SCORE_MAX_NEED ? (size_t)want : SCORE_MAX_NEED;
}

static void verdict(struct work *w)
{
    struct score_gate *out = w->out;

    if (out->count == 0) {
        out->verdict = SCORE_UNDECIDED;
        out->why = "no item has a score for both";
        out->need =
            (size_t)ceil(score_gate_need(0.1, w->in->margin, w->level, POWER));
        out->interval = (struct score_interval){ -1, 1 };
        return;
    }
    if (out->clusters < SCORE_MIN_CLUSTERS) {
        out->verdict = SCORE_UNDECIDED;
        out->why = MIN_CLUSTERS_WHY;
        need(w);
    } else if (out->interval.low > -w->in->margin) {
        out->verdict = SCORE_PASS;
        out->why = "the lower limit lies within the margin";
    } else if (out->interval.high < -w->in->margin) {
        out->verdict = SCORE_FAIL;
        out->why = "the upper limit lies beyond the margin";
    } else {
        out->verdict = SCORE_UNDECIDED;
        out->why = "the interval holds the margin";
        need(w);
    }
}

void score_gate_run(const struct score_gate_input *in, struct score_gate *out)
{
    struct work w = { .in = in, .out = out };

    assert(in->margin >= 0 && in->level >= 0 && in->level < 1);
    memset(out, 0, sizeof(*out));
    w.level = in->level > 0 ? in->level : SCORE_LEVEL;
    w.z = score_normal_quantile(w.level);
    groups_collect(&w);
    if (out->count > 0) {
        variances(&w);
        intervals(&w);
    }
    verdict(&w);
    out->condition[0] = (struct score_condition){
        .name = "quality",
        .verdict = out->verdict,
        .value = out->difference,
        .limit = -in->margin,
        .interval = out->interval,
        .count = out->count,
        .need = out->need,
        .why = out->why,
    };
    out->condition_count = 1;
    free(w.groups);
}

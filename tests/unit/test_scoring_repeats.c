/* test_scoring_repeats.c - an author's agreement with himself, and the gate by
 * simulation on logs in which inputs come again */
#include "suite.h"

#include "base/rng.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdlib.h>

START_TEST(nothing_repeated_is_full_agreement)
{
    struct score_self s = { 0 };

    score_self_add(&s, 0, 1);
    ck_assert_double_eq(score_self_mean(&s), 1);
    ck_assert_double_eq(score_self_interval(&s, SCORE_LEVEL).low, 1);
    ck_assert_uint_eq(s.inputs, 0);
}
END_TEST

START_TEST(agreement_is_a_mean_over_calls)
{
    struct score_self s = { 0 };
    struct score_interval got, want;
    double n;

    score_self_add(&s, 0.5, 4);
    score_self_add(&s, 1, 2);
    score_self_add(&s, 0, 2);
    score_self_add(&s, 1, 2);
    /* Three inputs that came twice stand for the six that came once. */
    for (int i = 0; i < 6; i++)
        score_self_add(&s, 0, 1);
    ck_assert_uint_eq(s.inputs, 4);
    ck_assert_double_eq_tol(score_self_mean(&s), (4 * 0.5 + 4 * 2) / 16, 1e-12);
    n = 16.0 * 16 / (4 * 4 * 4);
    want = score_wilson(score_self_mean(&s) * n, n, SCORE_LEVEL);
    got = score_self_interval(&s, SCORE_LEVEL);
    ck_assert_double_eq_tol(got.low, want.low, 1e-12);
    ck_assert_double_eq_tol(got.high, want.high, 1e-12);
}
END_TEST

START_TEST(agreement_without_inputs_that_came_twice)
{
    struct score_self s = { 0 };

    score_self_add(&s, 0.5, 4);
    score_self_add(&s, 1, 8);
    score_self_add(&s, 0, 1);
    ck_assert_double_eq_tol(score_self_mean(&s), 10.0 / 12, 1e-12);
    ck_assert_double_eq_tol(score_self_interval(&s, SCORE_LEVEL).low,
                            score_wilson(10.0 / 12 * 1.8, 1.8, SCORE_LEVEL).low,
                            1e-12);
}
END_TEST

/*
 * A log: clusters of inputs, inputs of calls. The LLM's calls are right on
 * their own with a probability of the input's kind, else one of three errors.
 * The candidate answers an input always alike, right with probability q; within
 * a cluster it repeats the cluster's luck with probability `stick`. What the
 * LLM answered equally is one item that stands for several calls.
 */
#define MAX_CALLS 20
#define MAX_ITEMS 20000

struct world {
    size_t clusters;
    double test;       /* share of clusters */
    double inputs;     /* chance of one more in a cluster */
    double again;      /* share of inputs that come again */
    double more;       /* chance of one more call then */
    double often, few; /* LLM right, on inputs of 3 calls and more, and less */
    double stick;
};

struct log {
    double score[MAX_ITEMS], reference[MAX_ITEMS];
    uint64_t cluster[MAX_ITEMS];
    bool measured[MAX_ITEMS];
    size_t count;
    struct score_self self;
};

static size_t more_draw(struct rng *r, size_t n, double chance)
{
    while (n < MAX_CALLS && rng_unit(r) < chance)
        n++;
    return n;
}

static size_t calls_draw(struct rng *r, const struct world *w)
{
    return rng_unit(r) < w->again ? more_draw(r, 2, w->more) : 1;
}

static double right(const struct world *w, size_t calls)
{
    return calls > 2 ? w->often : w->few;
}

/* The q for which the candidate truly agrees with the log `difference` more
 * than the LLM does. */
static double skill(const struct world *w, double difference)
{
    struct rng r;
    double calls = 0, agree = 0, good = 0;

    rng_init(&r, 7);
    for (int i = 0; i < 200000; i++) {
        size_t n = calls_draw(&r, w);
        double p = right(w, n);

        calls += (double)n;
        good += (double)n * p;
        agree += (double)n * (p * p + (1 - p) * (1 - p) / 3);
    }
    return (agree + difference * calls) / good;
}

static void input_draw(struct log *l, struct rng *r, const struct world *w,
                       uint64_t cluster, bool tested, bool knows)
{
    size_t n = calls_draw(r, w), counts[4] = { 0 };
    double p = right(w, n), pairs = 0;

    for (size_t i = 0; i < n; i++)
        counts[rng_unit(r) < p ? 0 : 1 + rng_below(r, 3)]++;
    for (size_t a = 0; a < 4; a++) {
        pairs += (double)(counts[a] * (counts[a] - (counts[a] > 0)));
        for (size_t i = 0; tested && i < counts[a]; i++) {
            ck_assert_uint_lt(l->count, MAX_ITEMS);
            l->score[l->count] = knows && a == 0;
            l->cluster[l->count++] = cluster;
        }
    }
    score_self_add(&l->self, n > 1 ? pairs / (double)(n * (n - 1)) : 0,
                   (double)n);
}

static void log_draw(struct log *l, struct rng *r, const struct world *w,
                     double q)
{
    l->count = 0;
    l->self = (struct score_self){ 0 };
    for (size_t c = 0; c < w->clusters; c++) {
        double luck = rng_unit(r);
        size_t n = more_draw(r, 1, w->inputs);

        for (size_t i = 0; i < n; i++) {
            double u = rng_unit(r) < w->stick ? luck : rng_unit(r);

            input_draw(l, r, w, c, (double)c < w->test * (double)w->clusters,
                       u < q);
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        l->reference[i] = score_self_mean(&l->self);
        l->measured[i] = true;
    }
}

static double pass_rate(const struct world *w, double difference, int times)
{
    static struct log l;
    struct rng r;
    struct score_gate g;
    double q = skill(w, difference);
    int passed = 0;

    rng_init(&r, 11);
    for (int i = 0; i < times; i++) {
        log_draw(&l, &r, w, q);
        score_gate_run(
            &(struct score_gate_input){
                .score = l.score,
                .reference = l.reference,
                .cluster = l.cluster,
                .count = l.count,
                .margin = 0.03,
                .seed = rng_next(&r),
                .rounds = 400,
                .measured = l.measured,
                .measured_interval = score_self_interval(&l.self, SCORE_LEVEL),
            },
            &g);
        passed += g.verdict == SCORE_PASS;
    }
    return (double)passed / times;
}

static int simulations(void)
{
    const char *n = getenv("SLMCTL_SIMULATIONS");

    return n ? atoi(n) : 400;
}

/* Calls and conversations as in a task of the demo's logs. */
static const struct world demo = { 940, .28, .54, .38, .38, .9, .9, .6 };

START_TEST(gate_is_fooled_rarely_by_calls_that_repeat)
{
    static const struct world worlds[] = {
        { 940, .28, .54, .38, .38, .9, .9, .6 },
        { 940, .28, .54, .38, .38, .9, .9, 1 },
        { 120, .28, .54, .38, .38, .9, .9, .6 },
        { 200, .28, .54, .38, .38, .99, .99, .9 },
        /* A few inputs of very many calls: once 7.5 % passed. */
        { 200, .28, .54, .5, .8, .97, .97, .8 },
        /* What comes often is harder, or easier, for the LLM. */
        { 940, .28, .54, .5, .6, .8, .97, .6 },
        { 940, .28, .54, .5, .6, .97, .8, .6 },
    };
    int times = simulations();

    for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
        double rate = pass_rate(&worlds[i], -0.03, times);

        ck_assert_msg(rate <= 0.05 + 3 * sqrt(0.05 * 0.95 / times),
                      "world %zu: %.3f pass", i, rate);
    }
}
END_TEST

START_TEST(gate_passes_the_better_at_the_size_of_the_demo)
{
    double better = pass_rate(&demo, 0.03, simulations());

    ck_assert_msg(better > 0.74 && better < 0.92, "%.3f pass", better);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_repeats");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, nothing_repeated_is_full_agreement);
    tcase_add_test(t, agreement_is_a_mean_over_calls);
    tcase_add_test(t, agreement_without_inputs_that_came_twice);
    tcase_add_test(t, gate_is_fooled_rarely_by_calls_that_repeat);
    tcase_add_test(t, gate_passes_the_better_at_the_size_of_the_demo);
    return suite_run("scoring_repeats", t);
}

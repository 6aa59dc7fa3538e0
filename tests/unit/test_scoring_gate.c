/* test_scoring_gate.c - intervals against published numbers, and the gate by
 * simulation */
#include "suite.h"

#include "base/rng.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TWO_SIDED 0.975

static void interval_is(struct score_interval i, double low, double high,
                        double tolerance)
{
    ck_assert_double_eq_tol(i.low, low, tolerance);
    ck_assert_double_eq_tol(i.high, high, tolerance);
}

START_TEST(normal_quantiles)
{
    ck_assert_double_eq_tol(score_normal_quantile(0.975), 1.959963984540054,
                            1e-13);
    ck_assert_double_eq_tol(score_normal_quantile(0.95), 1.6448536269514722,
                            1e-13);
    ck_assert_double_eq_tol(score_normal_quantile(0.001), -3.090232306167813,
                            1e-12);
}
END_TEST

/* Newcombe 1998, Statistics in Medicine 17:857, table I, method 3. */
START_TEST(wilson_of_newcombe_table)
{
    interval_is(score_wilson(81, 263, TWO_SIDED), 0.2553, 0.3662, 5e-5);
    interval_is(score_wilson(15, 148, TWO_SIDED), 0.0624, 0.1605, 5e-5);
    interval_is(score_wilson(0, 20, TWO_SIDED), 0.0000, 0.1611, 5e-5);
    interval_is(score_wilson(1, 29, TWO_SIDED), 0.0061, 0.1718, 5e-5);
}
END_TEST

/* Fagerland, Lydersen, Laake 2014 (Statistics in Medicine 33:2850): airway
 * hyper-responsiveness (Bentur et al.) and complete response (Cavo et al.). */
START_TEST(paired_intervals_of_fagerland)
{
    struct score_table bentur = { 1, 1, 7, 12 }, cavo = { 59, 6, 16, 80 };

    interval_is(score_newcombe(bentur, TWO_SIDED), -0.507, -0.026, 5e-4);
    interval_is(score_tango(bentur, TWO_SIDED), -0.517, -0.026, 5e-4);
    interval_is(score_newcombe(cavo, TWO_SIDED), -0.1186, -0.0046, 5e-5);
    interval_is(score_tango(cavo, TWO_SIDED), -0.1240, -0.0054, 5e-5);
}
END_TEST

START_TEST(no_disagreement_is_not_certainty)
{
    /* One-sided score limit of 0 in n: z^2 / (n + z^2). */
    struct score_table t = { 40, 0, 0, 10 };
    double z2 = 1.6448536269514722 * 1.6448536269514722;

    interval_is(score_tango(t, 0.95), -z2 / (50 + z2), z2 / (50 + z2), 1e-9);
}
END_TEST

START_TEST(sizes_of_the_power_formula)
{
    static const struct {
        double share, margin;
        int n;
    } rows[] = { { .05, .02, 773 },  { .05, .03, 344 },  { .05, .05, 124 },
                 { .10, .02, 1546 }, { .10, .03, 687 },  { .10, .05, 248 },
                 { .20, .02, 3092 }, { .20, .03, 1374 }, { .20, .05, 495 } };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_double_eq_tol(
            score_gate_need(rows[i].share, rows[i].margin, 0.95, 0.8),
            rows[i].n, 1);
}
END_TEST

struct sample {
    double score[4000], reference[4000];
    uint64_t cluster[4000];
    struct score_gate_input in;
};

/* Paired binary scores: share `both_wrong` lost by both; then the candidate
 * loses `worse` and the reference `better` of all items on their own. In a
 * cluster of `size` items, each item repeats its cluster's draw with
 * probability `stick`. */
static void sample_draw(struct sample *s, struct rng *rng, size_t n,
                        size_t size, double stick, double worse, double better)
{
    double own = 0;

    for (size_t i = 0; i < n; i++) {
        double u = rng_unit(rng);

        if (i % size == 0)
            own = rng_unit(rng);
        if (size > 1 && rng_unit(rng) < stick)
            u = own;
        s->cluster[i] = i / size;
        s->score[i] = u < worse || (u >= 0.5 && u < 0.55) ? 0 : 1;
        s->reference[i] =
            (u >= worse && u < worse + better) || (u >= 0.5 && u < 0.55) ? 0
                                                                         : 1;
    }
    s->in = (struct score_gate_input){ .score = s->score,
                                       .reference = s->reference,
                                       .cluster = s->cluster,
                                       .count = n,
                                       .margin = 0.03,
                                       .seed = rng_next(rng),
                                       .rounds = 400 };
}

static double pass_rate(size_t n, size_t size, double stick, double worse,
                        double better, int times)
{
    static struct sample s;
    struct rng rng;
    struct score_gate g;
    int passed = 0;

    rng_init(&rng, n * 31 + size);
    for (int i = 0; i < times; i++) {
        sample_draw(&s, &rng, n, size, stick, worse, better);
        score_gate_run(&s.in, &g);
        passed += g.verdict == SCORE_PASS;
    }
    return (double)passed / times;
}

/* Simulated experiments a cell: 400, or what the slow tier asks for. */
static int simulations(void)
{
    const char *n = getenv("SLMCTL_SIMULATIONS");

    return n ? atoi(n) : 400;
}

/* True difference = -margin: at most 5 % pass, but for the noise: three
 * standard errors. */
START_TEST(gate_passes_a_true_loss_of_the_margin_rarely)
{
    static const struct {
        size_t n, size;
        double stick, worse, better;
    } cells[] = {
        { 100, 1, 0, .06, .03 },
        { 300, 1, 0, .06, .03 },
        { 300, 1, 0, .03, .00 },
        { 1000, 1, 0, .08, .05 },
        { 600, 6, .8, .06, .03 },
        { 1000, 20, .7, .05, .02 },
        /* Few conversations, alike inside: once 29 % passed. */
        { 600, 20, .6, .035, .005 },
    };

    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        int times = simulations();
        double rate = pass_rate(cells[i].n, cells[i].size, cells[i].stick,
                                cells[i].worse, cells[i].better, times);

        ck_assert_msg(rate <= 0.05 + 3 * sqrt(0.05 * 0.95 / times),
                      "cell %zu: %.3f pass", i, rate);
    }
}
END_TEST

/* Power at the size that the formula names, for a true difference of 0. */
START_TEST(gate_passes_equals_at_the_size_of_the_formula)
{
    double n = ceil(score_gate_need(0.06, 0.03, 0.95, 0.8));
    double rate = pass_rate((size_t)n, 1, 0, .03, .03, 300);

    ck_assert_msg(rate > 0.70 && rate < 0.92, "%.3f pass", rate);
}
END_TEST

START_TEST(gate_never_passes_a_small_sample_without_disagreement)
{
    static struct sample s;
    struct score_gate g;
    struct rng rng;

    rng_init(&rng, 1);
    sample_draw(&s, &rng, 60, 1, 0, 0, 0);
    score_gate_run(&s.in, &g);
    ck_assert_int_eq(g.verdict, SCORE_UNDECIDED);
    ck_assert(g.bootstrap.low == 0 && g.interval.low < -0.03);
    ck_assert_uint_gt(g.need, 60);
    sample_draw(&s, &rng, 400, 1, 0, 0, 0);
    score_gate_run(&s.in, &g);
    ck_assert_int_eq(g.verdict, SCORE_PASS);
    /* The same 400 from 20 conversations: 20 observations. */
    sample_draw(&s, &rng, 400, 20, 0, 0, 0);
    score_gate_run(&s.in, &g);
    ck_assert_int_eq(g.verdict, SCORE_UNDECIDED);
}
END_TEST

START_TEST(gate_fails_what_is_clearly_worse)
{
    static struct sample s;
    struct score_gate g;
    struct rng rng;

    rng_init(&rng, 2);
    sample_draw(&s, &rng, 500, 1, 0, .30, .01);
    score_gate_run(&s.in, &g);
    ck_assert_int_eq(g.verdict, SCORE_FAIL);
    ck_assert_uint_eq(g.need, 0);
    ck_assert(g.interval.high < -0.03);
}
END_TEST

START_TEST(gate_leaves_out_what_one_side_lacks)
{
    double score[] = { 1, 1, (double)NAN, 0 };
    double reference[] = { 1, (double)NAN, 1, 1 };
    uint64_t cluster[] = { 1, 2, 3, 4 };
    struct score_gate g;

    score_gate_run(&(struct score_gate_input){ .score = score,
                                               .reference = reference,
                                               .cluster = cluster,
                                               .count = 4,
                                               .margin = 0.03 },
                   &g);
    ck_assert_uint_eq(g.count, 2);
    ck_assert_uint_eq(g.left_out, 2);
    ck_assert_double_eq(g.difference, -0.5);
    score_gate_run(&(struct score_gate_input){ .margin = 0.03 }, &g);
    ck_assert_int_eq(g.verdict, SCORE_UNDECIDED);
    ck_assert_uint_gt(g.need, 100);
}
END_TEST

START_TEST(gate_shows_no_difference_beyond_what_scores_can_differ)
{
    double score[] = { .02 }, reference[] = { 1 };
    uint64_t cluster[] = { 1 };
    struct score_gate g;

    score_gate_run(&(struct score_gate_input){ .score = score,
                                               .reference = reference,
                                               .cluster = cluster,
                                               .count = 1,
                                               .margin = 0.03 },
                   &g);
    ck_assert_double_eq(g.interval.low, -1);
    ck_assert(g.interval.high > g.difference && g.interval.high <= 1);
}
END_TEST

/* The reference's rate comes from other items: its interval widens ours. */
START_TEST(gate_heeds_the_interval_of_a_measured_reference)
{
    static double score[1000], reference[1000];
    static uint64_t cluster[1000];
    static bool measured[1000];
    struct score_gate_input in = {
        score, reference, cluster, 1000, 0.03, .seed = 1, .measured = measured
    };
    struct score_gate g;

    for (size_t i = 0; i < 1000; i++) {
        score[i] = i % 20 ? 1 : 0;
        reference[i] = 0.94;
        cluster[i] = i;
        measured[i] = true;
    }
    in.measured_interval = (struct score_interval){ 0.93, 0.95 };
    score_gate_run(&in, &g);
    ck_assert_int_eq(g.verdict, SCORE_PASS);
    in.measured_interval = (struct score_interval){ 0.80, 0.99 };
    score_gate_run(&in, &g);
    ck_assert_int_eq(g.verdict, SCORE_UNDECIDED);
    ck_assert_uint_eq(g.need, SCORE_MAX_NEED);
    /* Half of the items have an answer of their own to be compared with. */
    for (size_t i = 0; i < 1000; i += 2) {
        measured[i] = false;
        reference[i] = i % 40 ? 1 : 0;
    }
    in.measured_interval = (struct score_interval){ 0.93, 0.95 };
    score_gate_run(&in, &g);
    ck_assert_int_eq(g.verdict, SCORE_PASS);
}
END_TEST

/* Two graded answers once passed one log in six at the margin, and one wrong
 * answer to a single example failed a model. */
START_TEST(gate_has_no_verdict_on_a_few_conversations)
{
    double score[400], reference[400];
    uint64_t cluster[400];
    bool measured[400];

    for (size_t n = 1; n < SCORE_MIN_CLUSTERS; n++)
        for (int kind = 0; kind < 6; kind++) {
            struct score_gate_input in = { .score = score,
                                           .reference = reference,
                                           .cluster = cluster,
                                           .count = n * 20,
                                           .margin = 0.03,
                                           .measured = measured,
                                           .measured_interval = { 1, 1 } };
            struct score_gate g;

            for (size_t i = 0; i < in.count; i++) {
                score[i] = kind % 3 * 0.5;
                reference[i] = kind < 3 ? 1 : 0.5;
                cluster[i] = i % n;
                measured[i] = kind < 3;
            }
            score_gate_run(&in, &g);
            ck_assert_int_eq(g.verdict, SCORE_UNDECIDED);
            ck_assert_uint_ge(g.need, 20 * SCORE_MIN_CLUSTERS);
        }
}
END_TEST

START_TEST(gate_is_the_same_for_the_same_seed)
{
    static struct sample s;
    struct score_gate a, b;
    struct rng rng;

    rng_init(&rng, 3);
    sample_draw(&s, &rng, 300, 5, .5, .06, .03);
    score_gate_run(&s.in, &a);
    score_gate_run(&s.in, &b);
    ck_assert(a.bootstrap.low == b.bootstrap.low &&
              a.interval.high == b.interval.high);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_gate");

    tcase_set_timeout(t, 600);
    tcase_add_test(t, normal_quantiles);
    tcase_add_test(t, wilson_of_newcombe_table);
    tcase_add_test(t, paired_intervals_of_fagerland);
    tcase_add_test(t, no_disagreement_is_not_certainty);
    tcase_add_test(t, sizes_of_the_power_formula);
    tcase_add_test(t, gate_passes_a_true_loss_of_the_margin_rarely);
    tcase_add_test(t, gate_passes_equals_at_the_size_of_the_formula);
    tcase_add_test(t, gate_never_passes_a_small_sample_without_disagreement);
    tcase_add_test(t, gate_fails_what_is_clearly_worse);
    tcase_add_test(t, gate_leaves_out_what_one_side_lacks);
    tcase_add_test(t, gate_shows_no_difference_beyond_what_scores_can_differ);
    tcase_add_test(t, gate_heeds_the_interval_of_a_measured_reference);
    tcase_add_test(t, gate_has_no_verdict_on_a_few_conversations);
    tcase_add_test(t, gate_is_the_same_for_the_same_seed);
    return suite_run("scoring_gate", t);
}

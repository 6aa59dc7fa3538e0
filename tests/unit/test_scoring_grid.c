/*
 * test_scoring_grid.c - the gate by simulation, over a grid of experiments
 *
 * Effect x size x clusters x discordance: how often a cell passes, fails and
 * stays undecided, beside the power of the paired formula; and whether the size
 * that an undecided gate names would have decided. Six cells and 100
 * experiments each, or with SLMCTL_SIMULATIONS all cells and so many, printed
 * as a table; SLMCTL_CELLS=i/N takes every N-th cell from the i-th.
 */
#include "suite.h"

#include "base/rng.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MARGIN 0.03
#define ROUNDS 400
#define STICK 0.5 /* an item repeats its conversation's draw as often */
#define MOST 20000

struct cell {
    double effect;
    size_t n, cluster;
    double psi; /* share of items on which the two differ */
};

static double scores[MOST], references[MOST];
static uint64_t clusters[MOST];

static struct score_gate experiment(const struct cell *c, struct rng *rng)
{
    double better = fmax(0, (c->psi + c->effect) / 2);
    double worse = better - c->effect, own = 0;
    struct score_gate g;

    for (size_t i = 0; i < c->n; i++) {
        double u = rng_unit(rng);

        if (i % c->cluster == 0)
            own = rng_unit(rng);
        if (c->cluster > 1 && rng_unit(rng) < STICK)
            u = own;
        clusters[i] = i / c->cluster;
        scores[i] = u < worse || u > 0.95 ? 0 : 1;
        references[i] = (u >= worse && u < worse + better) || u > 0.95 ? 0 : 1;
    }
    score_gate_run(&(struct score_gate_input){ .score = scores,
                                               .reference = references,
                                               .cluster = clusters,
                                               .count = c->n,
                                               .margin = MARGIN,
                                               .seed = rng_next(rng),
                                               .rounds = ROUNDS },
                   &g);
    return g;
}

/* Two items of a conversation share their draw with STICK squared. */
static double design_effect(const struct cell *c)
{
    return 1 + (double)(c->cluster - 1) * STICK * STICK;
}

/* Of the paired formula, for the side of the margin that the effect is on. */
static double formula_power(const struct cell *c)
{
    double psi = fmax(c->psi, fabs(c->effect));
    double variance = (psi - c->effect * c->effect) * design_effect(c);
    double se = sqrt(variance / (double)c->n);
    double z = fabs(c->effect + MARGIN) / se - score_normal_quantile(0.95);

    return 0.5 * erfc(-z / sqrt(2));
}

static int simulations(void)
{
    const char *n = getenv("SLMCTL_SIMULATIONS");

    return n ? atoi(n) : 0;
}

static bool cell_is_ours(size_t i)
{
    const char *cells = getenv("SLMCTL_CELLS");
    unsigned at = 0, of = 1;

    if (cells && sscanf(cells, "%u/%u", &at, &of) != 2)
        ck_abort_msg("SLMCTL_CELLS=%s: not i/N", cells);
    return of == 0 || i % of == at % of;
}

/* Never more than 5 % pass a loss of the margin or more, but for the noise;
 * equals pass about as often as the formula says. Clusters are estimated with
 * caution, which costs power: there the formula is no promise. */
static void cell_check(const struct cell *c, double pass, int times)
{
    double noise = 3 * sqrt(0.05 * 0.95 / times), power = formula_power(c);

    if (c->effect <= -MARGIN)
        ck_assert_msg(pass <= 0.05 + noise, "effect %g n %zu: %.3f pass",
                      c->effect, c->n, pass);
    else if (c->cluster == 1 && power > 0.8)
        ck_assert_msg(pass >= power - 0.1 - 3 * sqrt(0.2 / times),
                      "effect %g n %zu: %.3f pass, %.3f by the formula",
                      c->effect, c->n, pass, power);
}

static void cell_run(const struct cell *c, int times, bool print)
{
    int count[3] = { 0 };
    struct rng rng;

    rng_init(&rng, c->n * 31 + c->cluster + (uint64_t)(c->psi * 1000) * 7919);
    for (int i = 0; i < times; i++)
        count[experiment(c, &rng).verdict]++;
    if (print)
        (void)printf("%g\t%zu\t%zu\t%g\t%.4f\t%.4f\t%.4f\t%.4f\n",
                     100 * c->effect, c->n, c->cluster, c->psi,
                     (double)count[SCORE_PASS] / times,
                     (double)count[SCORE_FAIL] / times,
                     (double)count[SCORE_UNDECIDED] / times, formula_power(c));
    (void)fflush(stdout);
    cell_check(c, (double)count[SCORE_PASS] / times, times);
}

START_TEST(grid_of_experiments)
{
    static const double effects[] = { 0, -0.03, -0.06 }, psis[] = { .05, .10 };
    static const size_t sizes[] = { 100, 300, 1000, 3000 }, groups[] = { 1, 5 };
    int times = simulations();
    size_t at = 0;

    if (times > 0)
        (void)printf("effect\tn\tcluster\tpsi\tpass\tfail\tundecided\tformula"
                     "\n");
    for (size_t i = 0; i < 48; i++) {
        struct cell c = { .effect = effects[i % 3],
                          .n = sizes[i / 3 % 4],
                          .cluster = groups[i / 12 % 2],
                          .psi = psis[i / 24] };

        if (times > 0 ? cell_is_ours(i) : at++ % 8 == 1 && c.n < 3000)
            cell_run(&c, times > 0 ? times : 100, times > 0);
    }
}
END_TEST

struct need_sum {
    int undecided, unbounded, asked, as_seen, as_true;
    double need;
};

/* One experiment that stays undecided, and two of the size it names: of a
 * population as the sample was, and of the true one. */
static void need_try(const struct cell *c, struct rng *rng, struct need_sum *s)
{
    struct score_gate g = experiment(c, rng);
    struct cell seen = { .effect = g.difference,
                         .n = g.need,
                         .cluster = c->cluster,
                         .psi = fmax(g.discordant, fabs(g.difference)) };
    struct cell truth = *c;

    if (g.verdict != SCORE_UNDECIDED)
        return;
    s->undecided++;
    if (g.need > MOST) {
        s->unbounded++;
        return;
    }
    s->asked++;
    s->need += (double)g.need;
    truth.n = g.need;
    s->as_seen += experiment(&seen, rng).verdict != SCORE_UNDECIDED;
    s->as_true += experiment(&truth, rng).verdict != SCORE_UNDECIDED;
}

static void need_run(const struct cell *c, int times, bool print)
{
    struct need_sum s = { 0 };
    struct rng rng;
    double share;

    rng_init(&rng, c->n * 131 + c->cluster);
    for (int i = 0; i < times; i++)
        need_try(c, &rng, &s);
    share = (double)s.as_seen / s.asked;
    if (print)
        (void)printf("need\t%g\t%zu\t%zu\t%g\t%d\t%d\t%.0f\t%.3f\t%.3f\n",
                     100 * c->effect, c->n, c->cluster, c->psi, s.undecided,
                     s.unbounded, s.need / s.asked, share,
                     (double)s.as_true / s.asked);
    (void)fflush(stdout);
    ck_assert_int_gt(s.asked, 0);
    ck_assert_msg(share > 0.72 - 3 * sqrt(0.16 / s.asked),
                  "n %zu cluster %zu: %.3f decide", c->n, c->cluster, share);
}

START_TEST(sizes_that_would_decide_do)
{
    static const struct cell cells[] = {
        { 0, 100, 1, .05 },    { 0, 300, 1, .05 },    { 0, 300, 1, .10 },
        { 0, 300, 5, .10 },    { -.06, 300, 1, .10 }, { -.06, 300, 5, .10 },
        { -.01, 300, 1, .05 },
    };
    int times = simulations();

    if (times > 0)
        (void)printf("need\teffect\tn\tcluster\tpsi\tundecided\tunbounded"
                     "\tmean need\tdecided as seen\tdecided as true\n");
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        if (times > 0 ? cell_is_ours(i) : i < 3)
            need_run(&cells[i], times > 0 ? times : 60, times > 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_grid");

    tcase_set_timeout(t, 7200);
    tcase_add_test(t, grid_of_experiments);
    tcase_add_test(t, sizes_that_would_decide_do);
    return suite_run("scoring_grid", t);
}

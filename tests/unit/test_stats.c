/*
 * test_stats.c - calibration, drift and curves, against scikit-learn and scipy
 *
 * stats.golden.jsonl holds problems with their answers (stats_golden.py);
 * here is also what no reference says: damaged input, edges, limits.
 */
#include "suite.h"

#include "stats/stats.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

#define GOLDEN "tests/reference/stats.golden.jsonl"

static struct buf text;
static struct json line;

static double *numbers(const char *key, size_t *n)
{
    json_ref a = json_get(&line, 0, key);
    double *out = mem_array(json_count(&line, a) + 1, sizeof(*out));
    size_t count = 0;

    ck_assert_msg(json_is(&line, a, JSON_ARRAY), "no %s", key);
    for (json_ref e = json_first(&line, a); e != JSON_NONE;
         e = json_next(&line, a, e))
        ck_assert(json_double(&line, e, &out[count++]));
    if (n)
        *n = count;
    return out;
}

static double number(const char *key)
{
    double v = 0;

    ck_assert_msg(json_double(&line, json_get(&line, 0, key), &v), "no %s",
                  key);
    return v;
}

/* Calls fn for each golden problem of this kind; at least one. */
static void each(const char *what, void (*fn)(void))
{
    struct err err;
    size_t count = 0;

    ck_assert_int_eq(io_read_file(GOLDEN, 1 << 22, &text, &err), 0);
    for (const char *at = text.data, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        ck_assert_int_eq(json_parse(&line, at, end - at, &err), 0);
        if (!json_text_is(&line, json_get(&line, 0, "what"), what))
            continue;
        fn();
        count++;
    }
    ck_assert_uint_gt(count, 0);
    json_release(&line);
    buf_release(&text);
}

static void expect_all(const double *got, const char *key, double within)
{
    size_t n;
    double *want = numbers(key, &n);

    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) < within, "%s[%zu]: %g, not %g",
                      key, i, got[i], want[i]);
    free(want);
}

static void isotonic(void)
{
    size_t n, blocks, points;
    double *x = numbers("x", &n), *y = numbers("y", NULL);
    double *w = numbers("w", NULL), *at = numbers("at", &points);
    struct stats_isotonic f;

    free(numbers("bx", &blocks));
    stats_isotonic_fit(x, y, w, n, &f);
    ck_assert_uint_eq(f.count, blocks);
    expect_all(f.x, "bx", 1e-9);
    expect_all(f.y, "by", 1e-9);
    expect_all(f.n, "bn", 1e-9);
    for (size_t i = 0; i < points; i++)
        at[i] = stats_isotonic_at(&f, at[i]);
    expect_all(at, "value", 1e-9);
    stats_isotonic_release(&f);
    free(x);
    free(y);
    free(w);
    free(at);
}

START_TEST(isotonic_as_scikit_learn)
{
    each("isotonic", isotonic);
}
END_TEST

static void logit(void)
{
    size_t n, d = (size_t)number("d");
    double *y = numbers("y", &n), *w = mem_array(d + 1, sizeof(*w));
    double *p = mem_array(n, sizeof(*p));
    float *x = mem_array(n * d, sizeof(*x));
    json_ref rows = json_get(&line, 0, "x"), row = json_first(&line, rows);
    struct err err;

    for (size_t i = 0; i < n; i++, row = json_next(&line, rows, row))
        for (size_t j = 0; j < d; j++) {
            double v = 0;
            ck_assert(json_double(&line, json_at(&line, row, j), &v));
            x[i * d + j] = (float)v;
        }
    ck_assert_int_eq(stats_logit_fit(x, y, n, d, number("strength"), w, &err),
                     0);
    for (size_t i = 0; i < n; i++)
        p[i] = stats_logit_at(w, x + i * d, d);
    expect_all(p, "p", 1e-5);
    free(x);
    free(y);
    free(w);
    free(p);
}

START_TEST(logit_as_scikit_learn)
{
    each("logit", logit);
}
END_TEST

static void error(void)
{
    size_t n;
    double *p = numbers("p", &n), *y = numbers("y", NULL);

    ck_assert_double_eq_tol(stats_ece(p, y, n, (size_t)number("bins")),
                            number("ece"), 1e-12);
    ck_assert_double_eq_tol(stats_brier(p, y, n), number("brier"), 1e-12);
    free(p);
    free(y);
}

START_TEST(calibration_error_as_scikit_learn)
{
    each("error", error);
}
END_TEST

static void psi(void)
{
    size_t n;
    double *e = numbers("expected", &n), *a = numbers("actual", NULL);

    ck_assert_double_eq_tol(stats_psi(e, a, n), number("psi"), 1e-12);
    free(e);
    free(a);
}

/* 1,000 shuffles of ours against 20,000: the 0.99 quantile is within a tenth
 * of it, or so. */
static void chance(void)
{
    size_t n;
    double *e = numbers("expected", &n), *a = numbers("actual", NULL);
    double want = number("psi");
    double got = stats_psi_chance(e, a, n, number("level"), 3);

    ck_assert_msg(fabs(got - want) < 0.15 * want, "%g, not %g", got, want);
    ck_assert_double_eq(got, stats_psi_chance(e, a, n, number("level"), 3));
    free(e);
    free(a);
}

START_TEST(psi_and_its_chance_level_as_scipy)
{
    each("psi", psi);
    each("chance", chance);
}
END_TEST

START_TEST(psi_of_large_counts_scales_its_chance_level)
{
    const double e[] = { 4e5, 4e5, 4e5, 4e5 }, a[] = { 1e5, 1e5, 1e5, 1e5 };
    /* chi-squared, 3 degrees of freedom, 0.95: 7.815 (1/n + 1/m) */
    double want = 7.815 * (1 / 16e5 + 1 / 4e5);
    double got = stats_psi_chance(e, a, 4, 0.95, 1);

    ck_assert_msg(fabs(got - want) < 0.15 * want, "%g, not %g", got, want);
}
END_TEST

START_TEST(psi_without_items_is_no_number)
{
    const double e[] = { 0, 0 }, a[] = { 3, 1 };

    ck_assert(isnan(stats_psi(e, a, 2)));
    ck_assert(isnan(stats_psi(a, e, 2)));
    ck_assert(isnan(stats_psi_chance(a, e, 2, 0.9, 1)));
    ck_assert(isfinite(stats_psi((double[]){ 5, 0 }, a, 2)));
}
END_TEST

static void quantile(void)
{
    size_t n, count;
    double *x = numbers("x", &n), *q = numbers("q", &count);

    for (size_t i = 0; i < count; i++)
        q[i] = stats_quantile(x, n, q[i]);
    expect_all(q, "value", 1e-12);
    free(x);
    free(q);
}

static void wilson(void)
{
    struct stats_limits l =
        stats_wilson(number("k"), number("n"), number("level"));

    ck_assert_double_eq_tol(l.low, number("low"), 1e-9);
    ck_assert_double_eq_tol(l.high, number("high"), 1e-9);
}

START_TEST(quantiles_and_limits_as_numpy_and_scipy)
{
    each("quantile", quantile);
    each("wilson", wilson);
}
END_TEST

static void curve(void)
{
    size_t n, count;
    double *score = numbers("score", &n), *weak = numbers("weak", NULL);
    double *strong = numbers("strong", NULL);
    double *cheap = numbers("weak_cost", NULL);
    double *dear = numbers("strong_cost", NULL);
    double *part = numbers("parts", &count);
    struct stats_point *p = mem_array(n + 1, sizeof(*p));
    size_t points = stats_curve(score, weak, strong, cheap, dear, n, p);

    ck_assert_uint_eq(points, (size_t)number("points"));
    ck_assert_double_eq_tol(stats_apgr(p, points), number("apgr"), 1e-9);
    ck_assert_double_eq_tol(stats_aiq(p, points), number("aiq"), 1e-9);
    for (size_t i = 0; i < count; i++)
        part[i] = stats_cpt(p, points, part[i]);
    expect_all(part, "cpt", 1e-9);
    free(score);
    free(weak);
    free(strong);
    free(cheap);
    free(dear);
    free(part);
    free(p);
}

START_TEST(areas_and_thresholds_of_curves_as_numpy_and_scipy)
{
    each("curve", curve);
}
END_TEST

START_TEST(a_curve_of_equal_models_has_no_gap)
{
    const double q[] = { 1, 0, 1 }, score[] = { .1, .5, .3 };
    struct stats_point p[4];
    size_t n = stats_curve(score, q, q, NULL, NULL, 3, p);

    ck_assert_uint_eq(n, 4);
    ck_assert(isnan(stats_apgr(p, n)));
    ck_assert_double_eq(stats_cpt(p, n, 0.5), 0);
    ck_assert_double_eq_tol(stats_aiq(p, n), 2. / 3, 1e-12);
    ck_assert(isnan(stats_aiq(p, 0)) && isnan(stats_cpt(p, 0, 0.5)));
}
END_TEST

START_TEST(equal_scores_go_together)
{
    const double weak[] = { 0, 0, 0, 1 }, strong[] = { 1, 1, 1, 0 };
    const double score[] = { 2, 2, (double)NAN, 2 };
    struct stats_point p[5];

    ck_assert_uint_eq(stats_curve(score, weak, strong, NULL, NULL, 4, p), 3);
    ck_assert_double_eq(p[1].strong, 0.75);
    ck_assert_double_eq(p[1].quality, 0.5);
    ck_assert_double_eq(p[1].threshold, 2);
    ck_assert_double_eq(p[2].cost, 1);
}
END_TEST

START_TEST(steps_come_back_to_the_bit)
{
    const double x[] = { .3, .1, .2, (double)NAN }, y[] = { 1, 0, .5, 1 };
    struct stats_isotonic f, g = { 0 };
    struct buf saved = { 0 };
    struct err err;

    stats_isotonic_fit(x, y, NULL, 4, &f);
    stats_isotonic_save(&f, &saved);
    ck_assert_int_eq(stats_isotonic_load(buf_slice(&saved), &g, &err), 0);
    ck_assert_uint_eq(g.count, 3);
    ck_assert_mem_eq(f.x, g.x, 3 * sizeof(double));
    ck_assert_mem_eq(f.y, g.y, 3 * sizeof(double));
    ck_assert_mem_eq(f.n, g.n, 3 * sizeof(double));
    stats_isotonic_release(&g);
    for (size_t n = 0; n < saved.len; n++)
        ck_assert_int_eq(
            stats_isotonic_load((struct slice){ saved.data, n }, &g, &err),
            ERR_FORMAT);
    memset(saved.data + 4, 0xff, 8); /* a NaN among the x */
    ck_assert_int_eq(stats_isotonic_load(buf_slice(&saved), &g, &err),
                     ERR_FORMAT);
    ck_assert(strstr(err.msg, "calibrate again") != NULL);
    buf_release(&saved);
    stats_isotonic_release(&f);
}
END_TEST

START_TEST(nothing_fitted_says_nothing)
{
    struct stats_isotonic f;

    stats_isotonic_fit(NULL, NULL, NULL, 0, &f);
    ck_assert(isnan(stats_isotonic_at(&f, 1)));
    stats_isotonic_release(&f);
    ck_assert(isnan(stats_ece(NULL, NULL, 0, 10)));
    ck_assert(isnan(stats_brier(NULL, NULL, 0)));
    ck_assert(isnan(stats_quantile(NULL, 0, 0.5)));
}
END_TEST

START_TEST(one_class_alone_is_refused)
{
    const float x[] = { 1, 2, 3 };
    const double y[] = { 1, 1, 1 };
    double w[2] = { 7, 7 };
    struct err err;

    ck_assert_int_eq(stats_logit_fit(x, y, 3, 1, 1, w, &err), ERR_NOTFOUND);
    ck_assert_double_eq(w[0], 7);
}
END_TEST

START_TEST(separable_data_end)
{
    const float x[] = { -2, -1, 1, 2 };
    const double y[] = { 0, 0, 1, 1 };
    double w[2];
    struct err err;

    ck_assert_int_eq(stats_logit_fit(x, y, 4, 1, 1e-6, w, &err), 0);
    ck_assert_double_gt(stats_logit_at(w, (float[]){ 1 }, 1), 0.99);
    ck_assert(isfinite(w[0]) && isfinite(w[1]));
}
END_TEST

START_TEST(forced_tokens_do_not_count_as_sure)
{
    struct stats_signals s = { 0 };

    stats_signals_add(&s, 0, (double)INFINITY, 1);
    stats_signals_add(&s, -1, 0.5, 40);
    stats_signals_add(&s, 0, 9, 1);
    stats_signals_add(&s, -3, 2.5, 2);
    stats_signals_end(&s);
    ck_assert_uint_eq(s.tokens, 4);
    ck_assert_uint_eq(s.free_tokens, 2);
    ck_assert_double_eq(s.mean_logp, -2);
    ck_assert_double_eq(s.min_margin, 0.5);
    ck_assert_double_eq_tol(s.q10_margin, 0.7, 1e-12);
    ck_assert_double_eq_tol(s.q25_logp, -2.5, 1e-12);
    ck_assert_ptr_null(s.logps);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("stats", NULL, NULL);

    tcase_add_test(t, isotonic_as_scikit_learn);
    tcase_add_test(t, logit_as_scikit_learn);
    tcase_add_test(t, calibration_error_as_scikit_learn);
    tcase_add_test(t, psi_and_its_chance_level_as_scipy);
    tcase_add_test(t, psi_of_large_counts_scales_its_chance_level);
    tcase_add_test(t, psi_without_items_is_no_number);
    tcase_add_test(t, quantiles_and_limits_as_numpy_and_scipy);
    tcase_add_test(t, areas_and_thresholds_of_curves_as_numpy_and_scipy);
    tcase_add_test(t, a_curve_of_equal_models_has_no_gap);
    tcase_add_test(t, equal_scores_go_together);
    tcase_add_test(t, steps_come_back_to_the_bit);
    tcase_add_test(t, nothing_fitted_says_nothing);
    tcase_add_test(t, one_class_alone_is_refused);
    tcase_add_test(t, separable_data_end);
    tcase_add_test(t, forced_tokens_do_not_count_as_sure);
    return suite_run("stats", t);
}

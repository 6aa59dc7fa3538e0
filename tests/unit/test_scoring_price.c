/* test_scoring_price.c - the shipped prices, other tables, names of models */
#include "suite.h"

#include "scoring/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(every_shipped_price_has_source_and_date)
{
    struct score_prices *p = NULL;
    const struct score_price *m;
    struct err err;

    ck_assert_msg(score_prices_open(NULL, &p, &err) == 0, "%s", err.msg);
    m = score_prices_find(p, "gpt-4o-2024-08-06");
    ck_assert_ptr_nonnull(m);
    ck_assert_str_eq(m->model, "gpt-4o");
    ck_assert(m->source[0] && m->date[0]);
    ck_assert_str_eq(m->kind, "second");
    ck_assert_str_eq(score_prices_find(p, "openai/gpt-4o-mini")->model,
                     "gpt-4o-mini");
    ck_assert_ptr_null(score_prices_find(p, "gpt-4o-turbo"));
    ck_assert_ptr_null(score_prices_find(p, "claude"));
    score_prices_free(p);
}
END_TEST

START_TEST(cost_of_a_thousand_calls)
{
    struct score_price p = { .input = 2.5, .cached = 1.25, .output = 10 };

    ck_assert_double_eq_tol(score_price_calls(&p, 1000, 0, 100), 3.5, 1e-12);
    ck_assert_double_eq_tol(score_price_calls(&p, 1000, 600, 100), 2.75, 1e-12);
    p.cached = (double)NAN;
    ck_assert_double_eq_tol(score_price_calls(&p, 1000, 600, 100), 3.5, 1e-12);
}
END_TEST

static struct score_prices *open_text(const char *text, struct err *err)
{
    char path[] = "/tmp/slmctl-prices-XXXXXX";
    struct score_prices *p = NULL;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    if (score_prices_open(path, &p, err) != 0)
        p = NULL;
    unlink(path);
    return p;
}

START_TEST(litellm_json_is_read)
{
    struct err err;
    struct score_prices *p = open_text(
        "{\"sample_spec\":{\"input_cost_per_token\":\"x\"},\"m\":{"
        "\"input_cost_per_token\":2.5e-06,\"output_cost_per_token\":1e-05}}",
        &err);

    ck_assert_ptr_nonnull(p);
    ck_assert_double_eq_tol(score_prices_find(p, "m")->input, 2.5, 1e-12);
    ck_assert_ptr_null(score_prices_find(p, "sample_spec"));
    score_prices_free(p);
}
END_TEST

START_TEST(a_bad_line_is_named)
{
    struct err err;

    ck_assert_ptr_null(open_text("# x\na\t1\t-\tmany\td\tk\ts\n", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ":2: a price is no number"));
    ck_assert_ptr_null(open_text("a\t1\n", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ":1: want 7"));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_price");

    tcase_add_test(t, every_shipped_price_has_source_and_date);
    tcase_add_test(t, cost_of_a_thousand_calls);
    tcase_add_test(t, litellm_json_is_read);
    tcase_add_test(t, a_bad_line_is_named);
    return suite_run("scoring_price", t);
}

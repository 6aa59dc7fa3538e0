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
    /* More of it cached than there was: no negative cost. */
    ck_assert_double_eq_tol(score_price_calls(&p, 600, 1000, 0), 0.75, 1e-12);
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
    ck_assert(isnan(score_prices_find(p, "m")->cached));
    ck_assert_ptr_null(score_prices_find(p, "sample_spec"));
    score_prices_free(p);
}
END_TEST

/* Rows of the kinds that the table has: nested fields, images, tariffs for
 * batches, no price at all, prices below 0. */
START_TEST(what_litellm_says_beside_prices_is_passed_over)
{
    struct err err;
    struct score_prices *p = open_text(
        "{\"a/m-1\":{\"cache_read_input_token_cost\":7.5e-08,"
        "\"input_cost_per_token\":1.5e-07,\"input_cost_per_token_batches\":"
        "7.5e-08,\"output_cost_per_token\":6e-07,\"mode\":\"chat\","
        "\"search_context_cost_per_query\":{\"search_context_size_low\":0.03},"
        "\"supported_modalities\":[\"text\"],\"metadata\":null},"
        "\"1024-x/image\":{\"input_cost_per_pixel\":1.9e-08,"
        "\"output_cost_per_pixel\":0.0},"
        "\"minus\":{\"input_cost_per_token\":-1,\"output_cost_per_token\":1},"
        "\"text\":\"of a later form\","
        "\"free\":{\"input_cost_per_token\":0,\"output_cost_per_token\":0}}",
        &err);
    const struct score_price *m;
    const char *what;

    ck_assert_ptr_nonnull(p);
    m = score_prices_find(p, "a/m-1-2026-01-01");
    ck_assert_ptr_nonnull(m);
    ck_assert_double_eq_tol(m->input, .15, 1e-12);
    ck_assert_double_eq_tol(m->cached, .075, 1e-12);
    ck_assert_double_eq_tol(m->output, .6, 1e-12);
    ck_assert_ptr_null(score_prices_find(p, "minus"));
    ck_assert_uint_eq(score_prices_odd(p, &what), 1);
    ck_assert_ptr_nonnull(strstr(what, ": model \"minus\": "
                                       "input_cost_per_token is -1, which is "
                                       "no price"));
    ck_assert_ptr_null(score_prices_find(p, "text"));
    ck_assert_ptr_null(score_prices_find(p, "1024-x/image"));
    ck_assert_double_eq(score_prices_find(p, "free")->output, 0);
    score_prices_free(p);
}
END_TEST

START_TEST(a_bad_line_is_named)
{
    struct err err;

    ck_assert_ptr_null(open_text("# x\na\t1\t-\tmany\td\tk\ts\n", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ":2: the price of a is negative or "
                                          "no number"));
    ck_assert_ptr_null(open_text("a\t1\n", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ":1: want 7"));
}
END_TEST

/* Nobody knew a price then, and nobody was told why. */
START_TEST(a_table_without_prices_does_not_open)
{
    struct err err;

    ck_assert_ptr_null(open_text("", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ": there are no prices of tokens"));
    ck_assert_ptr_null(open_text("# a comment\n", &err));
    ck_assert_ptr_null(open_text("{}", &err));
    ck_assert_ptr_null(open_text("{\"m\":{\"input_cost_per_token\":\"1e-6\","
                                 "\"output_cost_per_token\":1}}",
                                 &err));
    ck_assert_ptr_nonnull(strstr(err.msg, ": model \"m\": "
                                          "input_cost_per_token is \"1e-6\", "
                                          "which is no price"));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("scoring_price");

    tcase_add_test(t, every_shipped_price_has_source_and_date);
    tcase_add_test(t, cost_of_a_thousand_calls);
    tcase_add_test(t, litellm_json_is_read);
    tcase_add_test(t, what_litellm_says_beside_prices_is_passed_over);
    tcase_add_test(t, a_bad_line_is_named);
    tcase_add_test(t, a_table_without_prices_does_not_open);
    return suite_run("scoring_price", t);
}

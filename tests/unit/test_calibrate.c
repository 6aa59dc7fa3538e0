/* test_calibrate.c - a model's calibration: made from validation alone, used by
 * the router, kept while nothing changes */
#include "evaluate_problem.h"
#include "suite.h"

#include "router/router.h"

#define EXAMPLES 420 /* the last fifth is trained on, as the labels are */

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

static int64_t number(const char *text)
{
    int64_t n;

    OK(sql_one_int(store_sql(s), text, -1, &n, &err));
    return n;
}

static void setup(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    char *text;

    problem_begin(160, specials);
    must_exec("INSERT INTO task(id, name, label, kind, created) VALUES(1, "
              "'parity', 'x', 'label', 0), (2, 'other', 'x', 'label', 0)");
    text = mem_printf("INSERT INTO model(id, name, kind, path, created, task) "
                      "VALUES(1, 'tiny', 'full', '%s', 0, 1)",
                      model_dir);
    must_exec(text);
    free(text);
}

static void teardown(void)
{
    problem_end();
}

static void example_put(int64_t id, const char *split)
{
    struct buf request = { 0 }, response = { 0 };
    struct store_call call = store_call_none();
    char input[32];
    const char *answer = id % 2 ? "yes" : "no";
    struct example e = { .id = id, .split = split, .input.p = input };

    e.input.n = (size_t)snprintf(input, sizeof(input), "i%lld", (long long)id);
    e.answer = slice_of(answer);
    buf_printf(&request,
               "{\"temperature\":0.5,\"messages\":[{\"role\":\"user\","
               "\"content\":\"is %lld odd?\"}]}",
               (long long)id);
    buf_printf(&response,
               "{\"id\":\"r%lld\",\"choices\":[{\"message\":{\"role\":"
               "\"assistant\",\"content\":\"%s\"}}]}",
               (long long)id, answer);
    call.model = slice_of("gpt-4o-2024-08-06");
    call.tokens_in = 100;
    call.tokens_out = 10;
    call.request = buf_slice(&request);
    call.response = buf_slice(&response);
    example_add(&e, call);
    buf_release(&request);
    buf_release(&response);
}

static void examples_put(int64_t count)
{
    OK(sql_begin(store_sql(s), &err));
    for (int64_t i = 1; i <= EXAMPLES; i++)
        if (i % 5 == 0 || i <= count)
            example_put(i, i % 5 ? "validation" : "train");
    OK(sql_commit(store_sql(s), &err));
}

static int calibrate(int64_t task, int64_t model, double floor, bool reuse)
{
    struct score_prices *prices;
    struct evaluate_model m = { .id = model,
                                .task = 1,
                                .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_options opt = { .constrain = true,
                                    .seed = 1,
                                    .reuse = reuse,
                                    .machine_dollars_per_hour = 0.1,
                                    .compute = cpu };
    int rc;

    OK(score_prices_open(NULL, &prices, &err));
    opt.prices = prices;
    rc = evaluate_calibrate(s, task, &m, &opt, floor, &err);
    score_prices_free(prices);
    evaluate_model_release(&m);
    return rc;
}

static struct evaluate_calibration figures(void)
{
    struct evaluate_calibration c;

    OK(evaluate_calibration_read(s, 1, &c, &err));
    return c;
}

START_TEST(a_model_that_guesses_is_known_to_guess)
{
    struct evaluate_calibration c;

    examples_put(EXAMPLES);
    ck_assert(!figures().present);
    OK(calibrate(1, 1, 0.03, false));
    c = figures();
    ck_assert(c.present && c.learnt && c.in_dollars);
    ck_assert_uint_eq(c.items, EXAMPLES / 5 * 4);
    ck_assert_uint_eq(c.unusable, 0);
    ck_assert_double_gt(c.errors, 100);
    ck_assert_double_eq(c.floor, 0.03);
    /* 100 in at 2.50 and 10 out at 10 a million */
    ck_assert_double_eq_tol(c.llm_cost, 0.00035, 1e-12);
    ck_assert_double_eq(c.llm_quality, 1);
    ck_assert_double_lt(c.ece_after, c.ece_before);
    ck_assert_double_lt(c.ece_after, 3 * c.ece_chance);
    ck_assert_double_lt(c.share, 0.5); /* coins are not worth keeping */
    ck_assert_int_eq(number("SELECT count(*) FROM seal"), 0);
    ck_assert_int_eq(number("SELECT json_array_length(detail, '$.curve') > 9 "
                            "FROM calibration"),
                     1);
}
END_TEST

START_TEST(the_router_reads_what_was_stored)
{
    struct router_options o = { .mode = ROUTER_ON, .audit = -1 };
    struct router *r;
    const struct stats_signals unsure = { .mean_logp = -2, .free_tokens = 1 };
    const char *request = "{\"messages\":[{\"role\":\"user\",\"content\":\"is "
                          "8 odd?\"}]}";
    struct router_decision d = {
        .model = 1, .task = 1, .to = ROUTER_SLM, .reason = ROUTER_REASON_routed
    };
    struct json j = { 0 };
    enum router_reason why;
    double p = 0;

    examples_put(EXAMPLES);
    OK(calibrate(1, 1, 0, false));
    must_exec("INSERT INTO champion(task, model, since, event) "
              "VALUES(1, 1, 1, 0)");
    OK(router_open(s, NULL, &o, &r, &err));
    OK(json_parse(&j, request, strlen(request), &err));
    ck_assert(!router_check(r, &d, &j, 0,
                            slice_of("{\"role\":\"assistant\",\"content\":"
                                     "\"yes\"}"),
                            &unsure, &p, &why));
    ck_assert_int_eq(why, ROUTER_REASON_low_confidence);
    ck_assert_double_gt(p, 0.1);
    json_release(&j);
    router_close(r);
}
END_TEST

START_TEST(the_same_inputs_are_not_asked_again)
{
    examples_put(300);
    OK(calibrate(1, 1, 0.03, true));
    must_exec("UPDATE calibration SET time = 1");
    OK(calibrate(1, 1, 0.03, true));
    ck_assert_int_eq(number("SELECT time FROM calibration"), 1);
    OK(calibrate(1, 1, 0.1, true)); /* another floor */
    ck_assert_int_gt(number("SELECT time FROM calibration"), 1);
    must_exec("UPDATE calibration SET time = 1");
    OK(calibrate(1, 1, 0.1, false)); /* asked for */
    ck_assert_int_gt(number("SELECT time FROM calibration"), 1);
}
END_TEST

START_TEST(settings_and_order_of_answers_change_nothing)
{
    char *first, *second;
    struct sql_stmt *q;
    const char *text = "SELECT hex(data) FROM calibration WHERE model = ?";

    examples_put(400);
    OK(calibrate(1, 1, 0.03, false));
    ck_assert_int_eq(sql_row_of(store_sql(s), text, 1, &q, &err), 1);
    first = slice_dup(sql_text(q, 0));
    sql_reset(q);
    OK(calibrate(1, 1, 0.03, false));
    ck_assert_int_eq(sql_row_of(store_sql(s), text, 1, &q, &err), 1);
    second = slice_dup(sql_text(q, 0));
    sql_reset(q);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}
END_TEST

START_TEST(what_cannot_be_calibrated_says_why)
{
    ck_assert_int_eq(calibrate(1, 1, 0.03, false), ERR_NOTFOUND);
    examples_put(60);
    ck_assert_int_eq(calibrate(1, 0, 0.03, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "not a registered model"));
    ck_assert_int_eq(calibrate(2, 1, 0.03, false), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "another task"));
    OK(calibrate(1, 1, 0.03, false));
    ck_assert(!figures().learnt); /* too few, and half of them are wrong */
    ck_assert_double_lt(figures().threshold, 0);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("calibrate", setup, teardown);

    tcase_add_test(t, a_model_that_guesses_is_known_to_guess);
    tcase_add_test(t, the_router_reads_what_was_stored);
    tcase_add_test(t, the_same_inputs_are_not_asked_again);
    tcase_add_test(t, settings_and_order_of_answers_change_nothing);
    tcase_add_test(t, what_cannot_be_calibrated_says_why);
    return suite_run("calibrate", t);
}

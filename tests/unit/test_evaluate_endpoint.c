/* test_evaluate_endpoint.c - a hosted model is judged: its failures are
 * failures, its answers are kept, and a judge has an opinion */
#include "endpoint_server.h"
#include "evaluate_problem.h"
#include "suite.h"

#include "report/report.h"

#include <unistd.h>

#define ITEMS 30

static struct score_prices *prices;
static struct ask_options hosted, judge;
static struct evaluate_options opt;

static void setup(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };

    problem_begin(160, specials);
    OK(score_prices_open(NULL, &prices, &err));
    OK(sql_exec(store_sql(s),
                "INSERT INTO task(id, name, label, kind, created) VALUES(1, "
                "'odd', 'x', 'label', 0)",
                &err));
    hosted =
        (struct ask_options){ .model = "gpt-4o-2024-08-06", .pause_ms = 1 };
    judge = (struct ask_options){ .model = "the-judge", .pause_ms = 1 };
    opt = (struct evaluate_options){ .split = 's',
                                     .margin = 0.03,
                                     .seed = 1,
                                     .prices = prices,
                                     .machine_dollars_per_hour = 0.1,
                                     .endpoint = &hosted,
                                     .cache = true,
                                     .compute = cpu };
}

static void teardown(void)
{
    score_prices_free(prices);
    problem_end();
}

static void examples_put(void)
{
    for (int64_t i = 1; i <= ITEMS; i++) {
        char request[256], response[256], key[32];
        struct store_call call = store_call_none();
        struct example e = { .id = i, .split = "test" };

        snprintf(request, sizeof(request),
                 "{\"model\":\"logged\",\"user\":\"u7\",\"stream\":true,"
                 "\"temperature\":1,\"max_tokens\":9,\"messages\":[{\"role\":"
                 "\"user\",\"content\":\"is %lld odd?\"}]}",
                 (long long)i);
        snprintf(response, sizeof(response),
                 "{\"id\":\"r%lld\",\"choices\":[{\"message\":{\"role\":"
                 "\"assistant\",\"content\":\"%s\"}}]}",
                 (long long)i, i % 2 ? "yes" : "no");
        snprintf(key, sizeof(key), "i%lld", (long long)i);
        e.input = slice_of(key);
        e.answer = slice_of(key);
        call.model = slice_of("gpt-4o-2024-08-06");
        call.request = slice_of(request);
        call.response = slice_of(response);
        example_add(&e, call);
    }
}

static struct evaluate_result run(void)
{
    struct evaluate_model m = { .name = mem_strdup(hosted.model) };
    struct evaluate_result r;

    hosted.url = judge.url = endpoint.url;
    OK(evaluate_task(s, 1, &m, &opt, &r, &err));
    evaluate_model_release(&m);
    return r;
}

static const char *truth(const char *request)
{
    const char *at = strstr(request, "\"is ");

    ck_assert(at);
    return atoi(at + 4) % 2 ? "\"yes\"" : "\"no\"";
}

/* 400, 404 of the list of models: not every endpoint has one. */
static bool is_probe(const char *request, struct buf *out)
{
    if (strncmp(request, "GET ", 4) != 0)
        return false;
    endpoint_respond(out, 404, "", "{}");
    endpoint.requests--;
    return true;
}

static void answer_right(size_t n, const char *request, struct buf *out)
{
    (void)n;
    if (!is_probe(request, out))
        endpoint_say(out, truth(request));
}

START_TEST(a_hosted_model_is_scored_timed_and_priced)
{
    struct evaluate_result r;
    const struct evaluate_column *c = &r.columns[EVALUATE_TUNED];

    examples_put();
    endpoint_start(answer_right);
    r = run();
    ck_assert_uint_eq(r.count, ITEMS);
    ck_assert_uint_eq(endpoint.requests, ITEMS);
    ck_assert(strstr(endpoint.last.data,
                     "{\"model\":\"gpt-4o-2024-08-06\",\"messages\":[{\"role\":"
                     "\"user\",\"content\":\"is "));
    ck_assert(
        strstr(endpoint.last.data, ",\"max_tokens\":9,\"temperature\":0}"));
    ck_assert_ptr_eq(strstr(endpoint.last.data, "u7"), NULL);
    ck_assert_str_eq(c->name, "gpt-4o-2024-08-06");
    ck_assert_double_eq(c->score, 1);
    ck_assert_double_gt(c->latency_p50_ms, 0);
    ck_assert_double_gt(c->tokens_per_second, 0);
    /* 11 in at 2.50 and 3 out at 10 a million. */
    ck_assert_double_eq_tol(c->dollars, (11 * 2.5 + 3 * 10) / 1000, 1e-12);
    ck_assert(!r.columns[EVALUATE_BASE].present);
    ck_assert_uint_eq(r.failed, 0);
    ck_assert_uint_eq(strlen(r.inputs), 32);
    evaluate_result_release(&r);
    endpoint_stop();
}
END_TEST

static size_t seen_requests;
/* Every third request fails, whoever asks. */
static void answer_some(size_t n, const char *request, struct buf *out)
{
    (void)n;
    if (is_probe(request, out))
        return;
    if (++seen_requests % 3 == 0)
        endpoint_respond(out, 400, "", "{\"error\":\"no\"}");
    else
        endpoint_say(out, truth(request));
}

START_TEST(failed_requests_are_wrong_and_never_kept)
{
    struct evaluate_result r;
    struct buf notes = { 0 };
    struct report_eval e = { .list = &r, .count = 1, .margin = 0.03 };
    size_t wrong = 0;

    examples_put();
    seen_requests = 0;
    endpoint_start(answer_some);
    r = run();
    ck_assert_uint_eq(r.failed, ITEMS / 3);
    ck_assert_str_eq(r.failed_why, "status 400: no");
    for (size_t i = 0; i < r.count; i++) {
        const struct score *v = &r.items[i].scores[EVALUATE_TUNED];

        wrong += v->value < 1;
        ck_assert(v->value >= 1 || strcmp(v->reason, "endpoint_failed") == 0);
        ck_assert(v->value >= 1 || !v->valid);
    }
    ck_assert_uint_eq(wrong, ITEMS / 3);
    ck_assert_int_eq(r.gate.verdict, SCORE_FAIL);
    ck_assert_str_eq(r.inputs, ""); /* it is not shown again */
    report_eval_notes(&e, &notes);
    ck_assert(strstr(notes.data, "10 requests failed and count as wrong (the "
                                 "first: status 400: no)"));
    evaluate_result_release(&r);
    ck_assert_int_eq(
        scratch_int(store_sql(s), "SELECT count(*) FROM answer_cache"),
        ITEMS - ITEMS / 3);
    /* Again: only what failed is asked. */
    endpoint.requests = 0;
    r = run();
    ck_assert_uint_eq(endpoint.requests, ITEMS / 3);
    ck_assert_uint_eq(r.known, ITEMS - ITEMS / 3);
    buf_reset(&notes);
    report_eval_notes(&e, &notes);
    ck_assert(strstr(notes.data, "20 answers were not made anew"));
    buf_release(&notes);
    evaluate_result_release(&r);
    endpoint_stop();
}
END_TEST

START_TEST(another_model_gets_none_of_the_answers)
{
    struct evaluate_result r;

    examples_put();
    endpoint_start(answer_right);
    r = run();
    evaluate_result_release(&r);
    r = run();
    ck_assert_uint_eq(r.known, ITEMS);
    ck_assert_double_gt(r.columns[EVALUATE_TUNED].latency_p50_ms, 0);
    evaluate_result_release(&r);
    ck_assert_uint_eq(endpoint.requests, ITEMS);
    hosted.model = "another";
    r = run();
    ck_assert_uint_eq(r.known, 0);
    evaluate_result_release(&r);
    opt.cache = false;
    r = run();
    ck_assert_uint_eq(r.known, 0);
    evaluate_result_release(&r);
    ck_assert_uint_eq(endpoint.requests, 3 * ITEMS);
    /* Answers go with their examples. */
    OK(sql_exec(store_sql(s), "DELETE FROM example WHERE id = 1", &err));
    ck_assert_int_eq(scratch_int(store_sql(s), "SELECT count(*) FROM "
                                               "answer_cache"),
                     2 * (ITEMS - 1));
    endpoint_stop();
}
END_TEST

static struct evaluate_result run_here(void)
{
    struct evaluate_model m = { .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_result r;

    OK(evaluate_task(s, 1, &m, &opt, &r, &err));
    evaluate_model_release(&m);
    return r;
}

START_TEST(answers_of_a_model_here_are_kept_by_its_bytes)
{
    struct evaluate_result first, again, r;

    examples_put();
    opt.endpoint = NULL;
    opt.batch = 7;
    first = run_here();
    ck_assert_uint_eq(first.known, 0);
    opt.margin = 0.1;
    again = run_here();
    ck_assert_uint_eq(again.known, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        const struct evaluate_item *a = &first.items[i], *b = &again.items[i];

        ck_assert_str_eq(a->answers[EVALUATE_TUNED].data,
                         b->answers[EVALUATE_TUNED].data);
        ck_assert_double_eq(a->scores[EVALUATE_TUNED].value,
                            b->scores[EVALUATE_TUNED].value);
    }
    ck_assert_double_eq_tol(again.columns[EVALUATE_TUNED].tokens_per_second /
                                first.columns[EVALUATE_TUNED].tokens_per_second,
                            1, 1e-6);
    evaluate_result_release(&first);
    evaluate_result_release(&again);
    /* Free answers are others. */
    opt.constrain = true;
    r = run_here();
    ck_assert_uint_eq(r.known, 0);
    evaluate_result_release(&r);
    opt.constrain = false;
    /* So are those of other bytes in the same place. */
    put_file("note", "trained again");
    r = run_here();
    ck_assert_uint_eq(r.known, 0);
    evaluate_result_release(&r);
    opt.cache = false;
    r = run_here();
    ck_assert_uint_eq(r.known, 0);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(where_nobody_answers_no_seal_is_opened)
{
    struct evaluate_model m = { .name = mem_strdup("x") };
    struct evaluate_result r;
    int port, fd = loopback_listen(1, &port);
    char url[64];

    (void)close(fd);
    examples_put();
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", port);
    hosted.url = url;
    ck_assert_int_eq(evaluate_task(s, 1, &m, &opt, &r, &err), ERR_IO);
    ck_assert_int_eq(scratch_int(store_sql(s), "SELECT count(*) FROM seal"), 0);
    evaluate_model_release(&m);
}
END_TEST

/* As a model it says "yes" to all; as a judge it always prefers "no", which
 * the log says where the model is wrong. */
static void answer_and_judge(size_t n, const char *request, struct buf *out)
{
    const char *yes = strstr(request, "\\nyes\\n");
    const char *no = strstr(request, "\\nno\\n");

    (void)n;
    if (is_probe(request, out))
        return;
    if (!strstr(request, "Which answer is better?"))
        endpoint_say(out, "\"yes\"");
    else
        endpoint_say(out, yes && no && no < yes
                              ? "\"{\\\"better\\\":\\\"A\\\"}\""
                              : "\"{\\\"better\\\":\\\"B\\\"}\"");
}

START_TEST(a_judge_has_an_opinion_that_the_gate_hears_when_asked)
{
    struct evaluate_result r;
    struct buf out = { 0 };
    struct report_eval e = { .list = &r, .count = 1, .margin = 0.03 };

    examples_put();
    endpoint_start(answer_and_judge);
    opt.judge = &judge;
    opt.margin = 0.5; /* so that the gate itself has no objection */
    r = run();
    ck_assert(r.judge.present && !r.judge.gates);
    ck_assert_uint_eq(r.judge.asked, ITEMS / 2); /* equal ones are ties */
    ck_assert_uint_eq(r.judge.won, 0);
    ck_assert_uint_eq(r.judge.lost, ITEMS / 2);
    ck_assert_uint_eq(r.judge.tied, ITEMS / 2);
    ck_assert_uint_eq(r.judge.flipped, 0);
    ck_assert_double_eq_tol(r.judge.win, 0.25, 1e-12);
    ck_assert_double_eq_tol(r.judge.front, 0.5, 1e-12);
    report_eval_json(&e, &out);
    ck_assert(strstr(out.data, "\"orders_disagreed\": 0"));
    buf_reset(&out);
    report_eval_notes(&e, &out);
    ck_assert(strstr(out.data, "judge the-judge: 0 won, 15 lost, 15 tied (0 "
                               "of these because its two orders disagreed)"));
    ck_assert(strstr(out.data, ", not part of the gate"));
    evaluate_result_release(&r);
    /* A strict judge fails what the metric leaves open. */
    opt.judge_gate = true;
    opt.margin = 0.1;
    r = run();
    ck_assert(r.judge.gates);
    ck_assert_int_eq(r.judge.gate.verdict, SCORE_FAIL);
    ck_assert_int_eq(r.gate.verdict, SCORE_FAIL);
    evaluate_result_release(&r);
    buf_release(&out);
    endpoint_stop();
}
END_TEST

START_TEST(an_opinion_is_shown_again_with_its_result)
{
    struct evaluate_result r, again;
    struct buf a = { 0 }, b = { 0 };
    struct json_writer w;

    examples_put();
    endpoint_start(answer_and_judge);
    opt.judge = &judge;
    r = run();
    OK(evaluate_save(s, &r, slice_of("{}"), &err));
    endpoint.requests = 0;
    opt.reuse = true;
    again = run();
    ck_assert(again.reused != 0);
    ck_assert_uint_eq(endpoint.requests, 0);
    again.reused = 0;
    json_writer_init(&w, &a, false);
    report_eval_task(&w, NULL, &r, 0.03);
    json_writer_init(&w, &b, false);
    report_eval_task(&w, NULL, &again, 0.03);
    ck_assert_str_eq(a.data, b.data);
    buf_release(&a);
    buf_release(&b);
    evaluate_result_release(&r);
    evaluate_result_release(&again);
    endpoint_stop();
}
END_TEST

int main(void)
{
    TCase *c = suite_case("evaluate_endpoint", setup, teardown);

    tcase_add_test(c, a_hosted_model_is_scored_timed_and_priced);
    tcase_add_test(c, failed_requests_are_wrong_and_never_kept);
    tcase_add_test(c, another_model_gets_none_of_the_answers);
    tcase_add_test(c, answers_of_a_model_here_are_kept_by_its_bytes);
    tcase_add_test(c, where_nobody_answers_no_seal_is_opened);
    tcase_add_test(c, a_judge_has_an_opinion_that_the_gate_hears_when_asked);
    tcase_add_test(c, an_opinion_is_shown_again_with_its_result);
    return suite_run("evaluate_endpoint", c);
}

/* test_evaluate.c - a task from the store to the verdict, with a tiny random
 * model, and the report's forms */
#include "evaluate_problem.h"
#include "suite.h"

#include "report/report.h"

#include <unistd.h>

static struct score_prices *prices;

static void must_exec(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

static void setup(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };

    problem_begin(160, specials);
    OK(score_prices_open(NULL, &prices, &err));
    must_exec("INSERT INTO task(id, name, label, kind, created) VALUES(1, "
              "'a<b>|&c', 'x', 'label', 0)");
}

static void teardown(void)
{
    score_prices_free(prices);
    problem_end();
}

/* One call and its example; input and answer are what curate hashes. */
static void example_put(int64_t id, const char *split, const char *question,
                        const char *answer, bool kept, const char *input)
{
    struct example e = { .id = id,
                         .split = split,
                         .input = { input, input ? strlen(input) : 0 },
                         .answer = slice_of(answer),
                         .dropped = !kept };
    struct buf request = { 0 }, response = { 0 };
    struct store_call call = store_call_none();
    char response_id[32];

    buf_printf(&request,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
               question);
    buf_printf(&response,
               "{\"id\":\"r%lld\",\"choices\":[{\"message\":{\"role\":"
               "\"assistant\",\"content\":\"%s\"}}]}",
               (long long)id, answer);
    snprintf(response_id, sizeof(response_id), "r%lld", (long long)id);
    call.response_id = slice_of(response_id);
    call.model = slice_of("gpt-4o-2024-08-06");
    call.latency_us = 1000 * id;
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
    for (int64_t i = 1; i <= count; i++) {
        char question[64], input[32];

        snprintf(question, sizeof(question), "is %lld odd?", (long long)i);
        snprintf(input, sizeof(input), "i%lld", (long long)i);
        example_put(i, "test", question, i % 2 ? "yes" : "no", true, input);
    }
}

static bool constrained;

static struct evaluate_result run(char split, const char *gold)
{
    struct evaluate_model m = { .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_options opt = { .split = split,
                                    .margin = 0.03,
                                    .seed = 1,
                                    .gold = gold,
                                    .constrain = constrained,
                                    .prices = prices,
                                    .machine_dollars_per_hour = 0.1,
                                    .compute = cpu };
    struct evaluate_result r;

    OK(evaluate_task(s, 1, &m, &opt, &r, &err));
    evaluate_model_release(&m);
    return r;
}

START_TEST(a_model_that_never_agrees_fails)
{
    struct evaluate_result r;
    int64_t n;

    examples_put(40);
    r = run('s', NULL);
    ck_assert_uint_eq(r.count, 40);
    ck_assert_int_eq(r.gate.verdict, SCORE_FAIL);
    ck_assert_double_eq(r.columns[EVALUATE_TUNED].score, 0);
    ck_assert_double_eq(r.columns[EVALUATE_LLM].score, 1);
    ck_assert(!r.columns[EVALUATE_BASE].present);
    ck_assert_double_gt(r.columns[EVALUATE_TUNED].loss, 1);
    ck_assert_double_gt(r.columns[EVALUATE_TUNED].tokens_per_second, 0);
    ck_assert_double_eq_tol(r.columns[EVALUATE_LLM].latency_p50_ms, 21, 1e-9);
    /* 100 in at 2.50 and 10 out at 10 a million: 0.35 for 1,000 calls. */
    ck_assert_double_eq_tol(r.columns[EVALUATE_LLM].dollars, 0.35, 1e-12);
    ck_assert_int_eq(r.sealed_before, 0);
    OK(evaluate_save(s, &r, slice_of("{}"), &err));
    OK(sql_one_int(store_sql(s),
                   "SELECT count(*) FROM evaluation_item i JOIN evaluation e "
                   "ON e.id = i.evaluation WHERE e.verdict = 'fail' AND "
                   "i.outcome = 'label_differs' AND i.score = 0",
                   0, &n, &err));
    ck_assert_int_eq(n, 40);
    evaluate_result_release(&r);
    r = run('s', NULL);
    ck_assert_int_eq(r.sealed_before, 1);
    evaluate_result_release(&r);
}
END_TEST

/* Items answered "yes" or "no" by a model that by itself says neither. */
static size_t labels_said(void)
{
    struct evaluate_result r = run('s', NULL);
    size_t n = 0;

    for (size_t i = 0; i < r.count; i++) {
        const char *answer = r.items[i].answers[EVALUATE_TUNED].data;

        n += strstr(answer, "\"yes\"") || strstr(answer, "\"no\"");
    }
    evaluate_result_release(&r);
    return n;
}

START_TEST(answers_keep_to_a_closed_set_of_labels)
{
    examples_put(10);
    for (int64_t i = 101; i <= 104; i++) {
        char input[32];

        snprintf(input, sizeof(input), "t%lld", (long long)i);
        example_put(i, "train", "so?", i % 2 ? "yes" : "no", true, input);
    }
    ck_assert_uint_eq(labels_said(), 0);
    constrained = true;
    ck_assert_uint_eq(labels_said(), 10);
    /* A label that is seen only once: there may be more. */
    example_put(105, "train", "and?", "maybe", true, "t105");
    ck_assert_uint_eq(labels_said(), 0);
    constrained = false;
}
END_TEST

/* As slmctl curate leaves it: the answer is in the example, too. */
static void corrections_put(void)
{
    struct sql_stmt *q;

    for (int64_t call = 1; call <= 200; call++) {
        struct buf answer = { 0 };
        int64_t blob;

        OK(sql_get(store_sql(s), "SELECT answer FROM outcome WHERE call = ?",
                   &q, &err));
        sql_bind_int(q, 1, call);
        if (sql_step(q, &err) != 1)
            continue;
        buf_add_slice(&answer, sql_text(q, 0));
        sql_reset(q);
        OK(store_blob_put(s, buf_slice(&answer), &blob, &err));
        OK(sql_get(store_sql(s),
                   "UPDATE example SET correction = ? WHERE call = ?", &q,
                   &err));
        sql_bind_int(q, 1, blob);
        sql_bind_int(q, 2, call);
        OK(sql_run(q, &err));
        buf_release(&answer);
    }
}

/* What the model says becomes the corrected answer: now it is right and the
 * log is wrong. */
START_TEST(outcomes_win_over_the_log)
{
    struct evaluate_result r;

    examples_put(60);
    r = run('s', NULL);
    for (size_t i = 0; i < r.count; i++) {
        struct buf text = { 0 };

        ck_assert(score_content(buf_slice(&r.items[i].answers[EVALUATE_TUNED]),
                                &text));
        OK(store_outcome_set(
            s, r.items[i].call,
            &(struct store_outcome){ .answer = text.len ? buf_slice(&text)
                                                        : slice_of("-") },
            &err));
        buf_release(&text);
    }
    evaluate_result_release(&r);
    corrections_put();
    r = run('s', NULL);
    ck_assert_uint_eq(r.from_outcomes, 60);
    ck_assert_double_gt(r.columns[EVALUATE_TUNED].score, 0.9);
    ck_assert_double_eq(r.columns[EVALUATE_LLM].score, 0);
    ck_assert_int_eq(r.gate.verdict, SCORE_PASS);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(self_agreement_comes_from_repeated_inputs)
{
    struct evaluate_result r;

    examples_put(10);
    /* Input i1 four times: yes yes yes no; pairs that agree: 6 of 12. */
    example_put(101, "train", "is 1 odd?", "yes", false, "i1");
    example_put(102, "train", "is 1 odd?", "yes", false, "i1");
    example_put(103, "train", "is 1 odd?", "no", true, "i1");
    /* Input i2 twice, both no. */
    example_put(104, "train", "is 2 odd?", "no", false, "i2");
    r = run('s', NULL);
    ck_assert_uint_eq(r.repeated, 2);
    /* i2 also stands for the eight inputs that came once. */
    ck_assert_double_eq_tol(r.self_agreement, (4 * 0.5 + 10) / 14, 1e-12);
    ck_assert_double_eq_tol(r.columns[EVALUATE_LLM].score, 12.0 / 14, 1e-12);
    ck_assert_double_eq_tol(r.gate.reference, 12.0 / 14, 1e-12);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(gold_answers_stay_out_of_the_gate)
{
    struct evaluate_result plain, with;
    char path[128];
    const char *gold = "{\"id\":\"r1\",\"gold\":\"yes\"}\n\n"
                       "{\"id\":\"r2\",\"gold\":\"yes\"}\n"
                       "{\"id\":\"unknown\",\"gold\":\"yes\"}\n";

    examples_put(12);
    snprintf(path, sizeof(path), "%s/gold.jsonl", dir);
    OK(io_write_file(path, gold, strlen(gold), 0644, &err));
    plain = run('s', NULL);
    with = run('s', path);
    ck_assert_uint_eq(with.gold_count, 2);
    ck_assert_double_eq(with.columns[EVALUATE_LLM].gold, 0.5);
    ck_assert_double_eq(with.gate.difference, plain.gate.difference);
    ck_assert_double_eq(with.gate.interval.low, plain.gate.interval.low);
    evaluate_result_release(&plain);
    evaluate_result_release(&with);
}
END_TEST

START_TEST(duplicates_count_for_the_example_that_stands_for_them)
{
    struct evaluate_result r;
    char path[128];
    static const char gold[] = "{\"id\":\"r1\",\"gold\":\"yes\"}\n"
                               "{\"id\":\"r2\",\"gold\":\"yes\"}\n";

    example_put(1, "test", "is 1 odd?", "yes", true, "i1");
    example_put(2, "test", "is 1 odd?", "no", true, "i1");
    example_put(3, NULL, "is 1 odd?", "yes", false, "i1");
    example_put(4, NULL, "is 1 odd?", "yes", false, "i1");
    must_exec("UPDATE example SET duplicate_of = (SELECT call FROM example "
              "WHERE id = 1) WHERE id IN (3, 4)");
    snprintf(path, sizeof(path), "%s/gold.jsonl", dir);
    OK(io_write_file(path, gold, strlen(gold), 0644, &err));
    r = run('s', path);
    ck_assert_uint_eq(r.count, 2);
    ck_assert_uint_eq(r.gate.count, 4);
    ck_assert_double_eq_tol(r.columns[EVALUATE_LLM].gold, 0.75, 1e-12);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(rejected_answers_are_nobodys_reference)
{
    struct evaluate_result r;
    struct store_outcome bad = { .has_reward = true, .reward = 0 };
    struct store_outcome good = { .has_reward = true, .reward = 1 };

    examples_put(6);
    OK(store_outcome_set(s, 1, &bad, &err));
    OK(store_outcome_set(s, 2, &good, &err));
    r = run('s', NULL);
    ck_assert_uint_eq(r.rejected, 1);
    ck_assert_uint_eq(r.gate.count, 5);
    ck_assert_uint_eq(r.gate.left_out, 1);
    ck_assert_uint_eq(r.items[0].answers[EVALUATE_TUNED].len, 0);
    ck_assert_uint_gt(r.items[1].answers[EVALUATE_TUNED].len, 0);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(a_limit_takes_judged_items_first)
{
    struct evaluate_model m = { .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_options opt = {
        .split = 's', .limit = 2, .margin = 0.03, .compute = cpu
    };
    struct store_outcome bad = { .has_reward = true, .reward = 0 };
    struct evaluate_result r;

    examples_put(12);
    for (int64_t i = 1; i <= 10; i++)
        OK(store_outcome_set(s, i, &bad, &err));
    OK(evaluate_task(s, 1, &m, &opt, &r, &err));
    ck_assert_uint_eq(r.count, 2);
    ck_assert_uint_eq(r.gate.count, 2);
    evaluate_result_release(&r);
    evaluate_model_release(&m);
}
END_TEST

/* The room for the longest answer of all was once asked of every item. */
START_TEST(a_prompt_with_room_for_its_own_answer_is_asked)
{
    struct evaluate_result r;
    struct buf big = { 0 };

    for (int i = 0; i < 40; i++)
        buf_str(&big, "0 ");
    examples_put(4);
    example_put(50, "test", "?", big.data, true, NULL);
    example_put(51, "test", big.data, "y", true, NULL);
    r = run('s', NULL);
    ck_assert_uint_eq(r.count, 6);
    ck_assert_uint_eq(r.refused, 0);
    evaluate_result_release(&r);
    buf_release(&big);
}
END_TEST

START_TEST(answers_that_curate_has_not_seen_are_no_reference)
{
    struct store_outcome better = { .answer = slice_of("no") };
    struct evaluate_result r;

    examples_put(6);
    OK(store_outcome_set(s, 1, &better, &err));
    r = run('s', NULL);
    ck_assert_uint_eq(r.unscrubbed, 1);
    ck_assert_uint_eq(r.from_outcomes, 0);
    ck_assert_uint_eq(r.gate.count, 5);
    evaluate_result_release(&r);
    corrections_put();
    r = run('s', NULL);
    ck_assert_uint_eq(r.unscrubbed, 0);
    ck_assert_uint_eq(r.from_outcomes, 1);
    evaluate_result_release(&r);
    /* The same once more changes nothing, another answer does. */
    OK(store_outcome_set(s, 1, &better, &err));
    r = run('s', NULL);
    ck_assert_uint_eq(r.unscrubbed, 0);
    evaluate_result_release(&r);
    better.answer = slice_of("maybe");
    OK(store_outcome_set(s, 1, &better, &err));
    r = run('s', NULL);
    ck_assert_uint_eq(r.unscrubbed, 1);
    evaluate_result_release(&r);
}
END_TEST

/* Of ten examples the model was trained on 1, its base on 2, and 3 told it
 * when to stop. */
START_TEST(no_split_judges_by_what_was_trained_on)
{
    static const char lineage[] =
        "INSERT INTO dataset(id, created, hash) VALUES(1, 0, ''), (2, 0, '');"
        "INSERT INTO dataset_example VALUES(1, 1, 1), (1, 3, 0), (2, 2, 1);"
        "INSERT INTO model(id, name, kind, path, base, dataset, created) "
        "VALUES(1, 'b', 'full', '/b', NULL, 2, 0), "
        "(2, 'm', 'adapter', '/m', 1, 1, 0);";
    static const size_t left_out[] = { ['s'] = 3, ['v'] = 2 };
    struct evaluate_model m = { .id = 2, .name = dir, .dir = model_dir };
    struct evaluate_options opt = { .margin = 0.03, .compute = cpu };
    struct evaluate_result r;

    examples_put(10);
    must_exec(lineage);
    for (const char *split = "sv"; *split; split++) {
        opt.split = *split;
        if (*split == 'v')
            must_exec("UPDATE example SET split = 'validation'");
        OK(evaluate_task(s, 1, &m, &opt, &r, &err));
        ck_assert_uint_eq(r.trained_on, left_out[(int)*split]);
        ck_assert_uint_eq(r.count, 10 - left_out[(int)*split]);
        evaluate_result_release(&r);
    }
    must_exec("INSERT OR REPLACE INTO dataset_example SELECT 1, id, 1 FROM "
              "example");
    ck_assert_int_eq(evaluate_task(s, 1, &m, &opt, &r, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "all 10 examples of the validation"));
    ck_assert(r.empty);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(items_that_do_not_fit_are_wrong_not_missing)
{
    struct evaluate_result r;
    struct buf big = { 0 };

    for (int i = 0; i < 200; i++)
        buf_str(&big, "0 ");
    examples_put(4);
    example_put(50, "test", big.data, "yes", true, NULL);
    r = run('s', NULL);
    ck_assert_uint_eq(r.count, 5);
    ck_assert_uint_eq(r.refused, 1);
    ck_assert_uint_eq(r.gate.count, 5);
    ck_assert_str_eq(r.items[4].scores[EVALUATE_TUNED].reason,
                     "prompt_too_long");
    evaluate_result_release(&r);
    buf_release(&big);
}
END_TEST

START_TEST(schemas_that_train_has_not_seen_are_apart)
{
    struct evaluate_result r;

    example_put(1, "train", "Schema:\\nt(a, b)\\nq1", "x", true, NULL);
    example_put(2, "test", "Schema:\\nt(a, b)\\nq2", "x", true, NULL);
    example_put(3, "test", "Schema:\\nu(a, b)\\nq2", "x", true, NULL);
    example_put(4, "test", "no schema", "x", true, NULL);
    r = run('s', NULL);
    ck_assert_uint_eq(r.columns[EVALUATE_TUNED].seen_count, 2);
    ck_assert_uint_eq(r.columns[EVALUATE_TUNED].unseen_count, 1);
    evaluate_result_release(&r);
}
END_TEST

START_TEST(an_empty_split_says_so)
{
    struct evaluate_model m = { .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_options opt = { .split = 'v', .compute = cpu };
    struct evaluate_result r;

    ck_assert_int_eq(evaluate_task(s, 1, &m, &opt, &r, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "no examples in the validation"));
    ck_assert(r.empty && r.task_name);
    evaluate_result_release(&r);
    evaluate_model_release(&m);
}
END_TEST

static void all_forms(struct report_eval *e, struct buf *json,
                      struct buf *markdown, struct buf *junit)
{
    report_eval_json(e, json);
    report_eval_markdown(e, markdown);
    report_eval_junit(e, junit);
}

START_TEST(all_forms_say_the_same)
{
    static const enum score_verdict verdicts[] = { SCORE_PASS, SCORE_FAIL,
                                                   SCORE_UNDECIDED };
    struct evaluate_result r;

    examples_put(10);
    r = run('s', NULL);
    for (int i = 0; i < 3; i++) {
        struct report_eval e = {
            .list = &r, .count = 1, .margin = 0.03, .show = 2
        };
        struct buf json = { 0 }, markdown = { 0 }, junit = { 0 };
        struct json j = { 0 };

        r.gate.verdict = verdicts[i];
        ck_assert_int_eq(report_verdict(&e), verdicts[i]);
        all_forms(&e, &json, &markdown, &junit);
        OK(json_parse(&j, json.data, json.len, &err));
        ck_assert(json_text_is(&j, json_get(&j, 0, "verdict"),
                               score_verdict_name(verdicts[i])));
        ck_assert_ptr_nonnull(strstr(markdown.data, i == 0 ? "**pass**"
                                                    : i == 1
                                                        ? "**fail**"
                                                        : "**undecided**"));
        ck_assert_ptr_nonnull(
            strstr(junit.data, i == 0   ? "failures=\"0\" errors=\"0\""
                               : i == 1 ? "failures=\"1\" errors=\"0\""
                                        : "failures=\"0\" errors=\"1\""));
        ck_assert_ptr_nonnull(strstr(junit.data, "name=\"a&lt;b&gt;|&amp;c\""));
        ck_assert_ptr_null(strstr(markdown.data, "a<b>"));
        ck_assert_ptr_nonnull(strstr(markdown.data, "a&lt;b>&#124;&amp;c"));
        json_release(&j);
        buf_release(&json);
        buf_release(&markdown);
        buf_release(&junit);
    }
    evaluate_result_release(&r);
}
END_TEST

START_TEST(one_failure_beats_undecided)
{
    struct evaluate_result list[3] = { 0 };
    struct report_eval e = { .list = list, .count = 3 };

    list[0].gate.verdict = SCORE_UNDECIDED;
    ck_assert_int_eq(report_verdict(&e), SCORE_UNDECIDED);
    list[2].gate.verdict = SCORE_FAIL;
    ck_assert_int_eq(report_verdict(&e), SCORE_FAIL);
}
END_TEST

START_TEST(control_characters_do_not_break_the_forms)
{
    struct buf b = { 0 };

    report_xml(&b, (struct slice){ "a\x01\x00\xff<", 5 });
    ck_assert_str_eq(b.data, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD&lt;");
    buf_reset(&b);
    report_markdown_cell(&b, slice_of("a\nb|c"), 3);
    ck_assert_str_eq(b.data, "a b...");
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("evaluate");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_model_that_never_agrees_fails);
    tcase_add_test(t, answers_keep_to_a_closed_set_of_labels);
    tcase_add_test(t, outcomes_win_over_the_log);
    tcase_add_test(t, self_agreement_comes_from_repeated_inputs);
    tcase_add_test(t, gold_answers_stay_out_of_the_gate);
    tcase_add_test(t, duplicates_count_for_the_example_that_stands_for_them);
    tcase_add_test(t, rejected_answers_are_nobodys_reference);
    tcase_add_test(t, a_limit_takes_judged_items_first);
    tcase_add_test(t, a_prompt_with_room_for_its_own_answer_is_asked);
    tcase_add_test(t, answers_that_curate_has_not_seen_are_no_reference);
    tcase_add_test(t, no_split_judges_by_what_was_trained_on);
    tcase_add_test(t, items_that_do_not_fit_are_wrong_not_missing);
    tcase_add_test(t, schemas_that_train_has_not_seen_are_apart);
    tcase_add_test(t, an_empty_split_says_so);
    tcase_add_test(t, all_forms_say_the_same);
    tcase_add_test(t, one_failure_beats_undecided);
    tcase_add_test(t, control_characters_do_not_break_the_forms);
    return suite_run("evaluate", t);
}

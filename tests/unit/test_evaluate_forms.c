/*
 * test_evaluate_forms.c - a model without any sense answers in the form that a
 * task or a request asks for, and only while it is kept to it
 */
#include "evaluate_problem.h"
#include "suite.h"

#define ITEMS 6

/* tool_call tags are special tokens. */
static void setup(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            "<tool_call>", "</tool_call>",
                                            NULL };

    problem_begin(700, specials);
}

static void teardown(void)
{
    problem_end();
}

static void task_put(const char *kind)
{
    struct sql_stmt *q;

    OK(sql_get(store_sql(s),
               "INSERT INTO task(id, name, label, kind, created) "
               "VALUES(1, 'x', 'x', ?, 0)",
               &q, &err));
    sql_bind_cstr(q, 1, kind);
    OK(sql_run(q, &err));
}

/* more: further members of the request; message: of the answer. */
static void example_put(int64_t id, const char *split, const char *more,
                        const char *message)
{
    char *request = mem_printf("{\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"q %d\"}]%s}",
                               (int)id, more);
    char *response = mem_printf("{\"choices\":[{\"message\":%s}]}", message);
    char *hashed = mem_printf("k%d", (int)id);
    struct example e = { .id = id,
                         .split = split,
                         .input = slice_of(hashed),
                         .answer = slice_of(hashed) };
    struct store_call call = store_call_none();

    call.request = slice_of(request);
    call.response = slice_of(response);
    example_add(&e, call);
    free(request);
    free(response);
    free(hashed);
}

static struct evaluate_result run(bool constrain)
{
    struct evaluate_model m = { .name = mem_strdup("tiny"),
                                .dir = mem_strdup(model_dir) };
    struct evaluate_options opt = { .split = 'v',
                                    .margin = 0.03,
                                    .seed = 1,
                                    .constrain = constrain,
                                    .compute = cpu };
    struct evaluate_result r;

    OK(evaluate_task(s, 1, &m, &opt, &r, &err));
    evaluate_model_release(&m);
    return r;
}

#define TOOL                                                                   \
    ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false,\"tools\":[{" \
    "\"type\":\"function\",\"function\":{\"name\":\"set\",\"parameters\":{"    \
    "\"type\":\"object\",\"properties\":{\"to\":{\"enum\":[\"on\",\"off\"]}}," \
    "\"required\":[\"to\"]}}}]"
#define CALL                                                                   \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\","  \
    "\"type\":\"function\",\"function\":{\"name\":\"set\",\"arguments\":"      \
    "\"{\\\"to\\\":\\\"on\\\"}\"}}]}"

/* Answers that are a valid call; the logged LLM's score is 1 either way. */
static double valid_calls(bool constrain)
{
    struct evaluate_result r = run(constrain);
    double valid = 0;

    ck_assert_uint_eq(r.count, ITEMS);
    ck_assert_uint_eq(r.constrained, constrain ? ITEMS : 0);
    ck_assert_double_eq(r.columns[EVALUATE_LLM].score, 1);
    ck_assert_ptr_null(r.unknown_call);
    for (size_t i = 0; i < r.count; i++) {
        const char *answer = r.items[i].answers[EVALUATE_TUNED].data;

        valid +=
            r.items[i].scores[EVALUATE_TUNED].valid &&
            strstr(answer, "\"name\":\"set\"") &&
            (strstr(answer, "\\\"on\\\"") || strstr(answer, "\\\"off\\\""));
    }
    evaluate_result_release(&r);
    return valid;
}

START_TEST(calls_keep_to_the_offered_tools)
{
    task_put("tool");
    for (int64_t i = 1; i <= ITEMS; i++)
        example_put(i, "validation", TOOL, CALL);
    ck_assert_double_eq(valid_calls(false), 0);
    ck_assert_double_eq(valid_calls(true), ITEMS);
}
END_TEST

START_TEST(calls_of_a_template_that_is_not_known_are_free)
{
    struct evaluate_result r;

    put_file("chat_template.jinja",
             "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
             "{% for c in m.tool_calls or [] %}<call {{ c.function.name }}/>"
             "{% endfor %}<|im_end|>\n{% endfor %}{{ tools and '' }}"
             "{% if add_generation_prompt %}<|im_start|>assistant\n"
             "{% endif %}");
    task_put("tool");
    for (int64_t i = 1; i <= ITEMS; i++)
        example_put(i, "validation", TOOL, CALL);
    r = run(true);
    ck_assert_uint_eq(r.constrained, 0);
    ck_assert_str_eq(r.unknown_call, "ChatML");
    evaluate_result_release(&r);
}
END_TEST

/* Items whose answer is a JSON object or array, as far as it was written. */
static size_t documents(bool constrain)
{
    struct evaluate_result r = run(constrain);
    size_t n = 0;

    for (size_t i = 0; i < r.count; i++) {
        struct buf text = { 0 };

        (void)score_content(buf_slice(&r.items[i].answers[EVALUATE_TUNED]),
                            &text);
        n += text.len > 0 && (text.data[0] == '{' || text.data[0] == '[');
        buf_release(&text);
    }
    evaluate_result_release(&r);
    return n;
}

#define SAYS(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

START_TEST(documents_are_asked_for_where_train_has_nothing_else)
{
    task_put("json");
    for (int64_t i = 1; i <= ITEMS; i++)
        example_put(i, "validation", "", SAYS("{\\\"a\\\":1}"));
    example_put(101, "train", "", SAYS("{\\\"a\\\":[1]}"));
    ck_assert_uint_eq(documents(false), 0);
    ck_assert_uint_eq(documents(true), ITEMS);
    example_put(102, "train", "", SAYS("I do not know."));
    ck_assert_uint_eq(documents(true), 0);
}
END_TEST

#define FORMAT                                                                 \
    ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"         \
    "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,2]}}," \
    "\"required\":[\"a\"],\"minProperties\":1}}}"

START_TEST(a_schema_of_the_request_decides)
{
    struct evaluate_result r;

    task_put("json");
    for (int64_t i = 1; i <= ITEMS; i++)
        example_put(i, "validation", FORMAT, SAYS("{\\\"a\\\":1}"));
    r = run(true);
    ck_assert_double_eq(r.columns[EVALUATE_TUNED].valid, 1);
    for (size_t i = 0; i < r.count; i++) {
        struct json j = { 0 };
        struct buf text = { 0 };
        int64_t n = 0;

        ck_assert(score_content(buf_slice(&r.items[i].answers[EVALUATE_TUNED]),
                                &text));
        OK(json_parse(&j, text.data, text.len, &err));
        ck_assert(json_int(&j, json_get(&j, 0, "a"), &n) && n > 0 && n < 3);
        ck_assert_uint_eq(json_count(&j, 0), 1);
        json_release(&j);
        buf_release(&text);
    }
    evaluate_result_release(&r);
}
END_TEST

/* A model in memory gives the same scores each time, on the same examples. */
START_TEST(a_sample_measures_a_model_in_memory)
{
    struct evaluate_sample *e = NULL;
    double first[ITEMS], second[ITEMS];
    struct evaluate_result r;
    struct model *m;

    task_put("json");
    ck_assert_int_eq(evaluate_sample_open(s, 1, 4, 1, &e, &err), ERR_NOTFOUND);
    for (int64_t i = 1; i <= ITEMS; i++)
        example_put(i, "validation", FORMAT,
                    i % 2 ? SAYS("{\\\"a\\\":1}") : SAYS("{\\\"a\\\":2}"));
    OK(evaluate_sample_open(s, 1, 100, 1, &e, &err));
    ck_assert_uint_eq(evaluate_sample_count(e), ITEMS);
    ck_assert_str_eq(evaluate_sample_task(e), "x");
    OK(model_open(model_dir, cpu, true, &m, &err));
    OK(evaluate_sample_run(e, m, model_dir, first, &err));
    OK(evaluate_sample_run(e, m, model_dir, second, &err));
    r = run(true);
    for (size_t i = 0; i < ITEMS; i++) {
        ck_assert_double_eq(first[i], second[i]);
        ck_assert_double_eq(first[i], r.items[i].scores[EVALUATE_TUNED].value);
    }
    evaluate_result_release(&r);
    model_free(m);
    evaluate_sample_close(e);
    OK(evaluate_sample_open(s, 1, 2, 1, &e, &err));
    ck_assert_uint_eq(evaluate_sample_count(e), 2);
    evaluate_sample_close(e);
}
END_TEST

static bool is_within(const double *after, size_t count, double limit)
{
    const double before[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, (double)NAN };
    struct evaluate_drop d;

    evaluate_drop_sum(before, after, count, &d);
    return evaluate_drop_is_within(&d, limit);
}

START_TEST(a_score_may_fall_by_the_limit_or_one_example)
{
    const double same[10] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 0 };
    const double one[10] = { 0, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const double two[10] = { 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };

    ck_assert(is_within(same, 10, 0));
    ck_assert(is_within(one, 10, 0));
    ck_assert(is_within(one, 10, 0.05));
    ck_assert(!is_within(two, 10, 0.05));
    ck_assert(is_within(two, 10, 0.23));
    ck_assert(!is_within(two, 10, 0.22));
    ck_assert(is_within(two, 0, 0));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("evaluate_forms");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, calls_keep_to_the_offered_tools);
    tcase_add_test(t, calls_of_a_template_that_is_not_known_are_free);
    tcase_add_test(t, documents_are_asked_for_where_train_has_nothing_else);
    tcase_add_test(t, a_schema_of_the_request_decides);
    tcase_add_test(t, a_sample_measures_a_model_in_memory);
    tcase_add_test(t, a_score_may_fall_by_the_limit_or_one_example);
    return suite_run("evaluate_forms", t);
}

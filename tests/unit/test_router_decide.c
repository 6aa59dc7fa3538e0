/*
 * test_router_decide.c - where requests go, on a store with tasks and models
 *
 * Three tasks that their system prompts tell apart, two of them with a
 * promoted model; each reason has a request that gets it.
 */
#include "router_fixture.h"
#include "suite.h"

#include "registry/registry.h"

#include <math.h>
#include <stdio.h>

static struct router *router;
static struct router_options options;

static void run(const char *text)
{
    ck_assert_msg(sql_exec(store_sql(s), text, &err) == 0, "%s", err.msg);
}

/* Champions: model 1 books, model 2 classifies; nobody extracts. */
static void fill(void)
{
    struct tasks_run task_run = { .seed = 1 };
    struct tasks_outcome o;
    static const char *const system[] = {
        "Book what the traveller asks for.",
        "Classify the ticket by urgency, high or low.",
        "Extract the order as JSON.",
    };

    setup();
    for (int i = 0; i < 40; i++)
        for (int t = 0; t < 3; t++) {
            char *user = mem_printf("the matter of %c%c", 'a' + i % 26,
                                    'a' + (i * 7 + t) % 26);
            add(system[t], user, "{\"content\":\"done\"}");
            free(user);
        }
    ck_assert_msg(tasks_update(s, &task_run, &o, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(o.tasks, 3);
    for (int t = 0; t < 2; t++) {
        char *name = mem_printf(
            "UPDATE task SET name = '%s' WHERE id = (SELECT task FROM example "
            "WHERE id = %d);"
            "INSERT INTO model(id, name, kind, path, task, created, hash) "
            "VALUES(%d, 'm%d', 'adapter', 'x', (SELECT id FROM task WHERE "
            "name = '%s'), 0, 'ab%d');"
            "INSERT INTO champion(task, model, since, event) SELECT task, id, "
            "0, 0 FROM model WHERE id = %d",
            t ? "classify" : "book", t + 1, t + 1, t + 1,
            t ? "classify" : "book", t, t + 1);
        run(name);
        free(name);
    }
    router = NULL;
    options =
        (struct router_options){ .mode = ROUTER_ON, .audit = -1, .key = 9 };
}

static void empty(void)
{
    router_close(router);
    teardown();
}

static void reopen(void)
{
    router_close(router);
    router = NULL;
    ck_assert_msg(router_open(s, NULL, &options, &router, &err) == 0, "%s",
                  err.msg);
}

static struct router_decision decide_as(const char *text,
                                        const struct router_state *state)
{
    struct router_decision d;

    parse(text);
    ck_assert_msg(router_decide(router, &request, 0, state, &d, &err) == 0,
                  "%s", err.msg);
    json_release(&request);
    return d;
}

static const char *reason(const char *text)
{
    return router_reason_name(decide_as(text, NULL).reason);
}

#define SYSTEM(text) "{\"role\":\"system\",\"content\":\"" text "\"}"
#define USER(text) ",{\"role\":\"user\",\"content\":\"" text "\"}"
#define BOOK SYSTEM("Book what the traveller asks for.")
#define CLASSIFY SYSTEM("Classify the ticket by urgency, high or low.")
#define EXTRACT SYSTEM("Extract the order as JSON.")
#define ASK(messages) "{\"messages\":[" messages "]}"
#define PLAIN ASK(BOOK USER("the matter of ab"))

START_TEST(known_requests_are_known_by_their_bytes)
{
    struct router_decision d;

    reopen();
    d = decide_as(PLAIN, NULL);
    ck_assert_int_eq(d.to, ROUTER_SLM);
    ck_assert_int_eq(d.reason, ROUTER_REASON_routed);
    ck_assert_int_eq(d.model, 1);
    ck_assert(!d.by_fingerprint && d.task);
    d = decide_as(ASK(BOOK USER("the matter of zz")), NULL);
    ck_assert(d.by_fingerprint && d.model == 1);
    /* another system prompt, tool set or format is another key */
    d = decide_as("{\"messages\":[" BOOK USER("x") "],\"response_format\":{"
                                                   "\"type\":\"json_object\"}}",
                  NULL);
    ck_assert(!d.by_fingerprint);
    ck_assert_str_eq(router_reason_name(d.reason), "no_task");
}
END_TEST

START_TEST(what_is_new_goes_to_the_llm)
{
    reopen();
    ck_assert_str_eq(reason(ASK(SYSTEM("Translate into French, please, all of "
                                       "what follows.") USER("good day"))),
                     "no_task");
    ck_assert_str_eq(reason(ASK(EXTRACT USER("the matter of ab"))),
                     "no_champion");
    ck_assert_str_eq(
        reason("{\"n\":2,\"messages\":[" BOOK USER("the matter of ab") "]}"),
        "unsupported");
    ck_assert_str_eq(
        reason(ASK(BOOK ",{\"role\":\"user\",\"content\":[{\"type\":"
                        "\"image_url\",\"image_url\":{\"url\":\"x\"}}]}")),
        "unsupported");
    ck_assert_str_eq(
        reason("{\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
               "\"fly\"}},\"messages\":[" BOOK USER("the matter of ab") "]}"),
        "unknown_tool");
    router_set_context(router, 1, 4);
    ck_assert_str_eq(reason(PLAIN), "too_long");
    router_set_context(router, 1, 4096);
    ck_assert_str_eq(reason(PLAIN), "routed");
}
END_TEST

START_TEST(modes_and_rules_decide_for_tasks)
{
    struct router_rule rule = { "classify", ROUTER_OFF, 0 };

    options.mode = ROUTER_SHADOW;
    options.rules = &rule;
    options.rule_count = 1;
    reopen();
    ck_assert_int_eq(decide_as(PLAIN, NULL).to, ROUTER_BOTH);
    ck_assert_str_eq(reason(PLAIN), "shadow");
    ck_assert_str_eq(reason(ASK(CLASSIFY USER("the matter of ab"))),
                     "mode_off");
    rule.task = "nobody";
    ck_assert_int_eq(router_open(s, NULL, &options, &router, &err),
                     ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "route nobody"));
}
END_TEST

START_TEST(a_canary_takes_its_share_of_conversations)
{
    size_t slm = 0;

    options.mode = ROUTER_CANARY;
    options.percent = 25;
    reopen();
    for (int i = 0; i < 1000; i++) {
        char id[16];
        struct router_state state = { .conversation = id };
        struct router_decision first, again;

        (void)snprintf(id, sizeof(id), "c%d", i);
        first = decide_as(PLAIN, &state);
        again = decide_as(ASK(BOOK USER("the matter of ab") USER("and cd")),
                          &state);
        ck_assert_int_eq(first.to, again.to);
        ck_assert(first.percent_at >= 0 && first.percent_at < 100);
        slm += first.to == ROUTER_SLM;
    }
    ck_assert_uint_gt(slm, 200);
    ck_assert_uint_lt(slm, 300);
    /* without an id the first message of the user stands for it */
    ck_assert_int_eq(
        decide_as(PLAIN, NULL).to,
        decide_as(ASK(BOOK USER("the matter of ab") USER("x")), NULL).to);
}
END_TEST

START_TEST(an_audit_asks_both)
{
    size_t both = 0;

    options.audit = 0.2;
    reopen();
    for (int i = 0; i < 500; i++) {
        char *text = mem_printf("{\"user\":\"%d\",\"messages\":[" BOOK USER(
                                    "the matter of ab") "]}",
                                i);
        struct router_decision d = decide_as(text, NULL);

        both += d.to == ROUTER_BOTH && d.reason == ROUTER_REASON_audit;
        free(text);
    }
    ck_assert_uint_gt(both, 60);
    ck_assert_uint_lt(both, 140);
}
END_TEST

#define CALLED(id)                                                             \
    ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id  \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"     \
    "\"{}\"}}]}"
#define RESULT(id)                                                             \
    ",{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"ok\"}"

/* The request after a call and its result. */
static char *after_call(const char *prefix)
{
    return mem_printf(
        ASK(BOOK USER("the matter of ab") CALLED("%s17") RESULT("%s17")),
        prefix, prefix);
}

static void expect_loop(const char *prefix, const struct router_state *state,
                        int64_t model)
{
    char *text = after_call(prefix);
    struct router_decision d = decide_as(text, state);

    ck_assert(d.in_loop);
    ck_assert_int_eq(d.to, model ? ROUTER_SLM : ROUTER_LLM);
    ck_assert_int_eq(d.reason, model ? ROUTER_REASON_tool_loop_slm
                                     : ROUTER_REASON_tool_loop_llm);
    ck_assert_int_eq(d.model, model);
    free(text);
}

START_TEST(a_call_and_its_result_have_one_model)
{
    char *own, *text;
    struct router_state state = { .conversation = "c" };
    enum router_mode modes[] = { ROUTER_OFF, ROUTER_SHADOW, ROUTER_CANARY,
                                 ROUTER_ON };

    reopen();
    own = mem_strdup(router_call_prefix(router, 1));
    ck_assert_int_eq(strncmp(own, "call_slm_", 9), 0);
    ck_assert_str_ne(own, router_call_prefix(router, 2));
    ck_assert_str_eq(router_call_prefix(router, 99), "");
    /* whatever the mode has become meanwhile, and after a restart */
    for (size_t i = 0; i < 4; i++) {
        options.mode = modes[i];
        reopen();
        expect_loop(own, NULL, 1);
        expect_loop("call_abc", NULL, 0);
        state.pinned = own;
        expect_loop("call_abc", &state, 1);
        state.pinned = NULL;
    }
    /* a message of the user ends the loop */
    text = mem_printf(ASK(BOOK USER("the matter of ab") CALLED("%s1")
                              RESULT("%s1") USER("the matter of cd")),
                      own, own);
    ck_assert(!decide_as(text, NULL).in_loop);
    ck_assert_str_eq(reason(text), "routed");
    free(text);
    /* a version that is not loaded any more: the LLM goes on */
    run("UPDATE model SET hash = 'other' WHERE id = 1");
    reopen();
    expect_loop(own, NULL, 0);
    free(own);
}
END_TEST

START_TEST(a_client_may_ask_for_a_model)
{
    struct router_decision d;

    options.mode = ROUTER_OFF;
    reopen();
    d = decide_as("{\"model\":\"m2\",\"messages\":[{\"role\":\"user\","
                  "\"content\":\"x\"}]}",
                  NULL);
    ck_assert_int_eq(d.to, ROUTER_SLM);
    ck_assert_int_eq(d.reason, ROUTER_REASON_asked);
    ck_assert_int_eq(d.model, 2);
}
END_TEST

START_TEST(a_step_back_lasts_until_it_is_ended)
{
    int64_t task;

    reopen();
    task = decide_as(PLAIN, NULL).task;
    ck_assert_int_eq(router_step_back(s, task, "too many errors", 5, &err), 0);
    reopen();
    ck_assert_str_eq(reason(PLAIN), "stepped_back");
    ck_assert_int_eq(router_step_back(s, task, NULL, 6, &err), 0);
    reopen();
    ck_assert_str_eq(reason(PLAIN), "routed");
    ck_assert_int_eq(one("SELECT count(*) FROM registry_event WHERE kind IN "
                         "('step_back', 'resume') AND model = 1"),
                     2);
}
END_TEST

/* 400 items whose errors have a small margin, or the word "hard". */
static void calibrate(void)
{
    static struct router_item item[400];
    static float vector[400][ROUTER_VECTOR];
    struct router_calibration c;

    for (size_t i = 0; i < 400; i++) {
        bool hard = i % 4 == 0, unsure = i % 5 == 0;
        const char *text = hard ? "hard matter of ab\n" : "easy matter of ab\n";

        router_vector(slice_of(text), vector[i]);
        item[i] = (struct router_item){
            .vector = vector[i],
            .s = { .min_margin = unsure ? 0.1 : 5, .free_tokens = 9 },
            .cluster = i,
            .slm = i % 40 != 1 && !hard && !unsure,
            .llm = 1,
            .cost_llm = 1,
        };
    }
    ck_assert_msg(router_calibrate(item, 400, 0.05, &c, &err) == 0, "%s",
                  err.msg);
    ck_assert(c.learnt && c.reads_prompts);
    ck_assert_msg(router_calibration_store(s, 1, &c, 7, &err) == 0, "%s",
                  err.msg);
    router_calibration_release(&c);
}

START_TEST(calibrated_models_leave_what_they_get_wrong)
{
    struct router_decision d;
    struct stats_signals sure = { .min_margin = 5, .free_tokens = 9 };
    struct stats_signals unsure = { .min_margin = 0.1, .free_tokens = 9 };
    const char *answer = "{\"content\":\"done\"}";
    enum router_reason why;
    double p, q;

    calibrate();
    reopen();
    d = decide_as(ASK(BOOK USER("easy matter of ab")), NULL);
    ck_assert_int_eq(d.to, ROUTER_SLM);
    ck_assert_double_lt(d.p_error, 0.3);
    parse(ASK(BOOK USER("easy matter of ab")));
    ck_assert(router_check(router, &d, &request, 0, slice_of(answer), &sure, &p,
                           &why));
    ck_assert_int_eq(why, ROUTER_REASON_routed);
    ck_assert(!router_check(router, &d, &request, 0, slice_of(answer), &unsure,
                            &q, &why));
    ck_assert_int_eq(why, ROUTER_REASON_low_confidence);
    ck_assert_double_gt(q, p);
    /* inside a loop it goes out all the same */
    d.reason = ROUTER_REASON_tool_loop_slm;
    ck_assert(router_check(router, &d, &request, 0, slice_of(answer), &unsure,
                           &q, &why));
    json_release(&request);
    ck_assert_str_eq(reason(ASK(BOOK USER("hard matter of ab"))),
                     "predicted_error");
    ck_assert_int_eq(one("SELECT detail ->> 'learnt' FROM calibration"), 1);
}
END_TEST

/* Its answer was waited for, and thrown away each time. */
START_TEST(a_model_of_which_nothing_is_kept_is_not_asked)
{
    struct router_item item = { .llm = 1, .cost_llm = 1 };
    struct router_calibration c;

    ck_assert_int_eq(router_calibrate(&item, 1, 0, &c, &err), 0);
    ck_assert_double_lt(c.threshold, 0);
    ck_assert_int_eq(router_calibration_store(s, 1, &c, 7, &err), 0);
    router_calibration_release(&c);
    reopen();
    ck_assert_str_eq(reason(PLAIN), "predicted_error");
}
END_TEST

START_TEST(a_damaged_calibration_is_told_with_its_model)
{
    calibrate();
    run("UPDATE calibration SET data = substr(data, 1, 200)");
    ck_assert_int_eq(router_open(s, NULL, &options, &router, &err), ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(err.msg, "model m1"));
}
END_TEST

START_TEST(an_empty_store_sends_all_to_the_llm)
{
    run("DELETE FROM champion; DELETE FROM clustering");
    reopen();
    ck_assert_str_eq(reason(PLAIN), "no_task");
    ck_assert_uint_eq(router_models(router), 0);
    parse("{\"messages\":[]}");
    ck_assert_int_eq(router_decide(router, &request, 0, NULL,
                                   &(struct router_decision){ 0 }, &err),
                     ERR_FORMAT);
    json_release(&request);
}
END_TEST

START_TEST(a_decision_explains_itself)
{
    struct router_decision d;
    struct buf out = { 0 };
    struct json_writer w;

    reopen();
    d = decide_as(PLAIN, NULL);
    json_writer_init(&w, &out, false);
    json_begin_object(&w, NULL);
    router_explain(router, &d, &w);
    json_end_object(&w);
    parse(out.data);
    ck_assert(json_text_is(&request, json_get(&request, 0, "to"), "slm"));
    ck_assert(
        json_text_is(&request, json_get(&request, 0, "task_name"), "book"));
    ck_assert(json_text_is(&request, json_get(&request, 0, "model"), "m1"));
    ck_assert(
        json_text_is(&request, json_get(&request, 0, "reason"), "routed"));
    ck_assert(!json_present(json_get(&request, 0, "p_error")));
    json_release(&request);
    buf_release(&out);
}
END_TEST

/* Once the registry named a champion of the task that the router did not
 * know, because its row stayed with the part. */
START_TEST(a_merged_task_is_answered_by_one_champion)
{
    char *extract;
    int64_t task, model = 0;

    ck_assert_int_eq(sql_one_int(store_sql(s),
                                 "SELECT task FROM example WHERE id = 3", 0,
                                 &task, &err),
                     0);
    extract = mem_printf("%lld", (long long)task);
    run("INSERT INTO route(task, stepped_back, reason) SELECT id, 1, 'x' FROM "
        "task WHERE name = 'book'");
    ck_assert_msg(tasks_merge(s, extract, "book", &err) == 0, "%s", err.msg);
    reopen();
    ck_assert_str_eq(reason(ASK(EXTRACT USER("the matter of ab"))),
                     "stepped_back");
    run("DELETE FROM route");
    reopen();
    ck_assert_int_eq(
        decide_as(ASK(EXTRACT USER("the matter of ab")), NULL).model, 1);
    ck_assert_int_eq(decide_as(PLAIN, NULL).model, 1);
    ck_assert_int_eq(registry_champion(s, task, &model, &err), 0);
    ck_assert_int_eq(model, 1);
    ck_assert_msg(tasks_merge(s, "classify", extract, &err) == 0, "%s",
                  err.msg);
    reopen();
    ck_assert_uint_eq(router_models(router), 1);
    ck_assert_int_eq(decide_as(PLAIN, NULL).model, 2);
    ck_assert_int_eq(scratch_int(store_sql(s),
                                 "SELECT group_concat(model || '<' || before) "
                                 "= '1<1,2<1' FROM registry_event WHERE kind "
                                 "= 'merge'"),
                     1);
    ck_assert_int_eq(scratch_int(store_sql(s),
                                 "SELECT count(*) FROM champion c JOIN task t "
                                 "ON t.id = c.task WHERE t.merged_into "
                                 "NOTNULL"),
                     0);
    free(extract);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("router_decide", fill, empty);

    tcase_add_test(t, known_requests_are_known_by_their_bytes);
    tcase_add_test(t, a_merged_task_is_answered_by_one_champion);
    tcase_add_test(t, what_is_new_goes_to_the_llm);
    tcase_add_test(t, modes_and_rules_decide_for_tasks);
    tcase_add_test(t, a_canary_takes_its_share_of_conversations);
    tcase_add_test(t, an_audit_asks_both);
    tcase_add_test(t, a_call_and_its_result_have_one_model);
    tcase_add_test(t, a_client_may_ask_for_a_model);
    tcase_add_test(t, a_step_back_lasts_until_it_is_ended);
    tcase_add_test(t, calibrated_models_leave_what_they_get_wrong);
    tcase_add_test(t, a_model_of_which_nothing_is_kept_is_not_asked);
    tcase_add_test(t, a_damaged_calibration_is_told_with_its_model);
    tcase_add_test(t, an_empty_store_sends_all_to_the_llm);
    tcase_add_test(t, a_decision_explains_itself);
    return suite_run("router_decide", t);
}

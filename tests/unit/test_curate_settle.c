/*
 * test_curate_settle.c - near-duplicates, answers, outcomes, splits
 *
 * A log is made call by call, curated, and read back as the store has it.
 */
#include "curate_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "curate/curate_settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct curate_options options;
static const struct crypto_key key = { { 4, 5, 6 } };

static void setup(void)
{
    curate_fixture_begin(NULL);
    options = (struct curate_options){
        .rules = rules, .key = &key, .shares = { 80, 10, 10 }, .threads = 2
    };
}

struct call {
    const char *client, *talk, *system, *ask, *say;
};

/* A call an hour after the last; its id. */
static int64_t add(struct call c)
{
    struct store_call s = store_call_none();
    struct buf request = { 0 }, response = { 0 };
    char name[32];
    int64_t id;
    bool added;

    clock_us += INT64_C(3600000000);
    (void)snprintf(name, sizeof(name), "%lld", (long long)clock_us);
    buf_str(&request, "{\"messages\":[{\"role\":\"system\",\"content\":");
    json_quote(&request, slice_of(c.system ? c.system : "Help."));
    buf_str(&request, "},{\"role\":\"user\",\"content\":");
    json_quote(&request, slice_of(c.ask));
    buf_str(&request, "}]}");
    buf_str(&response, "{\"choices\":[{\"message\":{\"role\":\"assistant\","
                       "\"content\":");
    json_quote(&response, slice_of(c.say));
    buf_str(&response, "},\"finish_reason\":\"stop\"}]}");
    s.key = slice_of(name);
    s.time_us = clock_us;
    s.latency_us = 1000000;
    s.dialect = slice_of("openai-chat");
    s.status = slice_of("completed");
    s.client = slice_of(c.client);
    s.conversation = slice_of(c.talk);
    s.request = buf_slice(&request);
    s.response = buf_slice(&response);
    ck_assert_int_eq(store_call_add(store, &s, &added, NULL), 0);
    ck_assert_int_eq(
        sql_one_int(store_sql(store), "SELECT max(id) FROM call", 0, &id, NULL),
        0);
    buf_release(&request);
    buf_release(&response);
    return id;
}

static struct curate_result curate(void)
{
    struct curate_result r = { 0 };
    struct err err = { 0 };

    store_close(store); /* the lock goes with it */
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &store, &err), 0);
    ck_assert_msg(curate_run(store, &options, &r, &err) == 0, "%s", err.msg);
    curate_result_release(&r);
    ck_assert_uint_eq(r.straddling_clusters, 0);
    ck_assert_uint_eq(r.straddling_inputs, 0);
    ck_assert_uint_eq(r.straddling_conversations, 0);
    return r;
}

static int64_t number(const char *query)
{
    int64_t n = -1;
    struct err err = { 0 };

    ck_assert_msg(sql_one_int(store_sql(store), query, -1, &n, &err) == 0, "%s",
                  err.msg);
    return n;
}

static void expect(int64_t call, const char *name, const char *want)
{
    char *text = mem_printf("SELECT CAST(%s AS TEXT) FROM example WHERE call = "
                            "%lld",
                            name, (long long)call);
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(store), text, &q, NULL), 0);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    ck_assert_msg(slice_is(sql_text(q, 0), want),
                  "call %lld: %s is %.*s, not %s", (long long)call, name,
                  (int)sql_text(q, 0).n, sql_text(q, 0).p, want);
    sql_reset(q);
    free(text);
}

static void expect_call(int64_t call, const char *name, int64_t want)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)want);
    expect(call, name, text);
}

/* Forty words that n decides. */
static const char *words(int n)
{
    static char text[1024];
    size_t at = 0;

    for (int i = 0; i < 40; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "w%dx%d ", n, i);
    return text;
}

START_TEST(near_inputs_with_the_same_answer_go)
{
    static const char text[] =
        "The parcel that I ordered from you three weeks ago has not come yet, "
        "and nobody answers my letters; what am I to do now about it, pray?";
    char *more = mem_printf("%s %s", text, "Thanks"),
         *other = mem_printf("%s %s", text,
                             "Here it is cold and rainy, and we "
                             "have no coal left at all.");
    int64_t a = add((struct call){ "x", "1", NULL, text, "wait" }),
            b = add((struct call){ "y", "2", NULL, more, "wait" }),
            c = add((struct call){ "z", "3", NULL, more, "complain" }),
            d = add((struct call){ "x", "4", "Other.", more, "wait" }),
            e = add((struct call){ "x", "5", NULL, other, "wait" });

    (void)curate();
    expect(a, "kept", "1");
    expect(b, "reason", "near_duplicate");
    expect_call(b, "duplicate_of", a);
    expect(b, "request NOTNULL", "1"); /* may come back */
    expect(c, "kept", "1");            /* another answer */
    expect(d, "kept", "1");            /* another prompt */
    expect(e, "kept", "1");            /* more is different */
    expect_call(c, "cluster", a);
    expect_call(a, "cluster", a);
    ck_assert_int_eq(
        curate_filters_parse("-near_duplicate", &options.changed, NULL), 0);
    ck_assert_uint_eq(curate().fresh, 0); /* settled, not done again */
    expect(b, "kept", "1");
    expect(b, "split NOTNULL", "1");
    free(more);
    free(other);
}
END_TEST

START_TEST(clients_with_the_same_request_are_near)
{
    int64_t a = add((struct call){ "x", "1", NULL, "Mail ada@love.org", "ok" }),
            b = add((struct call){ "y", "2", NULL, "Mail bob@love.org", "ok" });

    (void)curate();
    expect(a, "kept", "1");
    expect(b, "reason", "near_duplicate");
}
END_TEST

START_TEST(a_run_knows_what_an_earlier_one_has_seen)
{
    char *text = mem_printf("%s and %s", words(1), "so on");
    int64_t a, b;

    a = add((struct call){ "x", "1", NULL, words(1), "yes" });
    (void)curate();
    b = add((struct call){ "x", "2", NULL, text, "yes" });
    (void)curate();
    expect(b, "reason", "near_duplicate");
    expect_call(b, "duplicate_of", a);
    free(text);
}
END_TEST

/* A label is not lost because many texts begin with the same instruction. */
START_TEST(templates_do_not_make_examples_alike)
{
    struct curate_result r;

    for (int i = 0; i < 60; i++) {
        char *ask = mem_printf(
            "Say in one word whether the customer who wrote this is content "
            "with us or not, or whether nothing of the kind can be told from "
            "what he writes, and say nothing else at all. He writes: v%d",
            i);

        (void)add(
            (struct call){ "x", "", NULL, ask, i % 3 ? "content" : "angry" });
        free(ask);
    }
    r = curate();
    ck_assert_uint_eq(r.reasons[CURATE_KEPT], 60);
    ck_assert_uint_eq(r.clusters, 0);
    ck_assert_uint_eq(r.splits[CURATE_TRAIN], 48);
    ck_assert_uint_eq(r.splits[CURATE_VALIDATION], 6);
    ck_assert_uint_eq(r.splits[CURATE_TEST], 6);
}
END_TEST

static void ask_often(int64_t ids[6])
{
    static const char *const answers[] = { "a", "b", "b", "b", "c", "a" };

    for (int i = 0; i < 6; i++) {
        char talk[16];

        (void)snprintf(talk, sizeof(talk), "%d", i);
        ids[i] =
            add((struct call){ "x", talk, NULL, "which one?", answers[i] });
    }
}

START_TEST(contradictory_answers_are_kept_or_chosen)
{
    static const struct {
        enum curate_answers answers;
        int kept[3]; /* a, b, c: calls 0, 1, 4 */
    } table[] = {
        { CURATE_ANSWERS_ALL, { 1, 1, 1 } },
        { CURATE_ANSWERS_MAJORITY, { 0, 1, 0 } },
        { CURATE_ANSWERS_LATEST, { 1, 0, 0 } },
        { CURATE_ANSWERS_NONE, { 0, 0, 0 } },
    };
    int64_t ids[6];

    ask_often(ids);
    for (size_t i = 0; i < 4; i++) {
        struct curate_result r;

        options.answers = table[i].answers;
        r = curate();
        /* 1 only while several are kept */
        ck_assert_uint_eq(r.contradictory,
                          table[i].answers == CURATE_ANSWERS_ALL);
        expect(ids[0], "kept", table[i].kept[0] ? "1" : "0");
        expect(ids[1], "kept", table[i].kept[1] ? "1" : "0");
        expect(ids[4], "kept", table[i].kept[2] ? "1" : "0");
        /* 3 b, 2 a, 1 c: (6 + 2) of 30 ordered pairs */
        ck_assert_uint_eq(r.overall.inputs, 1);
        ck_assert_uint_eq(r.overall.calls, 6);
        ck_assert_double_eq_tol(r.overall.agreement, 8. / 30, 1e-12);
        ck_assert_int_eq(r.agreement[0].call, ids[0]);
    }
    expect(ids[0], "reason", "contradictory");
}
END_TEST

static void outcome(int64_t call, double reward, const char *extra)
{
    struct store_outcome o = { .has_reward = true,
                               .reward = reward,
                               .extra = slice_of(extra) };

    ck_assert_int_eq(store_outcome_set(store, call, &o, NULL), 0);
}

START_TEST(outcomes_drop_and_bring_back)
{
    static const char condition[] = "outcome.reward>0";
    const char *text = condition;
    struct curate_require *r;
    int64_t a = add((struct call){ "x", "1", NULL, words(1), "a" }),
            b = add((struct call){ "x", "2", NULL, words(2), "b" }),
            c = add((struct call){ "x", "3", NULL, words(3), "c" }),
            d = add((struct call){ "y", "4", NULL, words(3), "c" });

    outcome(a, -1, "");
    outcome(b, 0, "{\"feedback\":\"down\"}");
    (void)curate();
    expect(a, "reason", "negative");
    expect(b, "reason", "negative");
    expect(c, "kept", "1");
    expect(d, "reason", "duplicate");
    ck_assert_int_eq(curate_require_new(condition, &r, NULL), 0);
    options.require = &r;
    options.require_text = &text;
    options.require_count = 1;
    (void)curate();
    expect(c, "reason", "required");
    outcome(d, 1, ""); /* of its duplicate: came later */
    outcome(b, 1, "");
    ck_assert_uint_eq(curate().fresh, 0);
    expect(c, "kept", "1");
    expect(b, "kept", "1");
    expect(a, "reason", "negative");
    curate_require_free(r);
}
END_TEST

static void add_talks(int from, int to)
{
    for (int i = from; i < to; i++) {
        char client[16], talk[16];

        (void)snprintf(client, sizeof(client), "c%d", i % 20);
        (void)snprintf(talk, sizeof(talk), "%d", i / 2);
        (void)add((struct call){ client, talk,
                                 i % 4 ? "Sort mail." : "Write SQL for us.",
                                 words(i), i % 3 ? "x" : "y" });
    }
}

START_TEST(shares_are_met_in_each_stratum)
{
    struct curate_result r;

    add_talks(0, 400);
    r = curate();
    ck_assert_uint_eq(r.reasons[CURATE_KEPT], 400);
    for (int split = 1; split < 3; split++) {
        ck_assert_uint_ge(r.splits[split], 38);
        ck_assert_uint_le(r.splits[split], 42);
    }
    /* 100 examples ask for SQL, in conversations with others */
    ck_assert_int_eq(
        number("SELECT count(*) FROM example e JOIN call c ON c.id "
               "= e.call WHERE e.split = 'test' AND c.id % 4 = 1"),
        10);
}
END_TEST

START_TEST(a_small_log_has_all_three_splits)
{
    for (int i = 0; i < 4; i++)
        (void)add((struct call){ "x", "", NULL, words(i), "a" });
    (void)curate();
    ck_assert_int_eq(number("SELECT count(DISTINCT split) FROM example"), 3);
}
END_TEST

START_TEST(what_was_in_a_split_stays_there)
{
    int64_t moved;

    add_talks(0, 200);
    (void)curate();
    ck_assert_int_eq(sql_exec(store_sql(store),
                              "CREATE TABLE was AS SELECT call, split FROM "
                              "example",
                              NULL),
                     0);
    add_talks(199, 500);
    (void)curate();
    ck_assert_int_eq(number("SELECT count(*) FROM was w JOIN example e USING "
                            "(call) WHERE e.kept AND e.split <> w.split"),
                     0);
    ck_assert_int_eq(number("SELECT count(*) FROM example WHERE kept AND split "
                            "IS NULL"),
                     0);
    options.shares[0] = 40;
    options.shares[1] = options.shares[2] = 30;
    ck_assert(curate().divided);
    moved = number("SELECT count(*) FROM was w JOIN example e USING (call) "
                   "WHERE w.split = 'test' AND e.kept AND e.split <> 'test'");
    ck_assert_int_eq(moved, 0);
    ck_assert_int_ge(number("SELECT count(*) FROM example WHERE split = "
                            "'test'"),
                     140);
}
END_TEST

/* As a kill leaves them: some rows are written, some have no split yet. */
START_TEST(a_run_that_was_cut_off_is_ended_by_the_next)
{
    struct curate_result r;

    add_talks(0, 200);
    (void)curate();
    ck_assert_int_eq(sql_exec(store_sql(store),
                              "UPDATE example SET split = NULL, cluster = NULL "
                              "WHERE call % 3 = 0",
                              NULL),
                     0);
    r = curate();
    ck_assert_uint_eq(r.fresh, 0);
    ck_assert(r.settled);
    ck_assert_uint_eq(r.splits[0] + r.splits[1] + r.splits[2], 200);
    ck_assert(!curate().settled);
}
END_TEST

START_TEST(clients_are_not_divided_if_asked)
{
    struct curate_result r;

    add_talks(0, 400);
    ck_assert_uint_gt(curate().straddling_clients, 0);
    options.by_client = true;
    r = curate();
    ck_assert(r.divided);
    ck_assert_uint_eq(r.straddling_clients, 0);
    ck_assert_uint_gt(r.splits[CURATE_TEST], 0);
    ck_assert_uint_gt(r.splits[CURATE_VALIDATION], 0);
}
END_TEST

/* Near-duplicates once joined the clients, so that all was for training. */
START_TEST(a_few_clients_that_ask_alike_fill_all_splits)
{
    static const char *const clients[] = { "a", "b", "c" };
    struct curate_result r;

    for (int i = 0; i < 300; i++) {
        char say[32];

        /* each tenth question is asked by all of them */
        (void)snprintf(say, sizeof(say), "%d", i);
        (void)add((struct call){ clients[i % 3], "", NULL,
                                 words(i % 30 < 3 ? i / 30 : 1000 + i), say });
    }
    options.by_client = true;
    r = curate();
    ck_assert_uint_eq(r.straddling_clients, 0);
    for (int split = 0; split < 3; split++)
        ck_assert_uint_ge(r.splits[split], 80);
    ck_assert_uint_eq(r.reasons[CURATE_STRADDLES], 20);
    (void)add((struct call){ "d", "", NULL, words(0), "new" });
    (void)add((struct call){ "d", "", NULL, words(3000), "new" });
    ck_assert_uint_eq(curate().straddling_clients, 0);
    ck_assert_int_eq(number("SELECT count(*) FROM (SELECT 1 FROM example WHERE "
                            "kept GROUP BY groups HAVING count(DISTINCT split) "
                            "> 1)"),
                     0);
}
END_TEST

/* An id that two clients share was taken for two conversations. */
START_TEST(a_conversation_that_is_handed_over_is_not_divided)
{
    char talk[32];

    for (int i = 0; i < 200; i++) {
        (void)snprintf(talk, sizeof(talk), "conversation-%d", i / 2);
        (void)add((struct call){ i % 2 ? "sales" : "support", talk, NULL,
                                 words(i), "a" });
    }
    /* what each client counts for itself is no common id */
    for (int i = 0; i < 200; i++)
        (void)add((struct call){ i % 2 ? "sales" : "support", "1", NULL,
                                 words(1000 + i / 100), "b" });
    (void)curate();
    ck_assert_int_eq(
        number("SELECT count(*) FROM (SELECT 1 FROM example e JOIN call c ON "
               "c.id = e.call WHERE e.kept AND c.conversation LIKE 'conv%' "
               "GROUP BY c.conversation HAVING count(DISTINCT split) > 1)"),
        0);
    ck_assert_int_ge(number("SELECT count(*) FROM example WHERE split = "
                            "'test'"),
                     15);
}
END_TEST

START_TEST(by_time_the_latest_are_tested_on)
{
    add_talks(0, 200);
    options.by_time = true;
    (void)curate();
    ck_assert_int_eq(number("SELECT min(call) > (SELECT max(call) FROM example "
                            "WHERE split = 'validation') FROM example WHERE "
                            "split = 'test'"),
                     1);
    ck_assert_int_eq(number("SELECT min(call) > (SELECT max(call) FROM example "
                            "WHERE split = 'train') FROM example WHERE split = "
                            "'validation'"),
                     1);
    ck_assert_int_eq(number("SELECT count(*) FROM example WHERE split = "
                            "'test'"),
                     20);
}
END_TEST

/* Of the given split, the lowest call. */
static int64_t first_of(const char *split)
{
    char *query =
        mem_printf("SELECT min(call) FROM example WHERE split = '%s'", split);
    int64_t call = number(query);

    free(query);
    return call;
}

START_TEST(what_would_join_two_splits_is_dropped)
{
    int64_t test, bridge, joins;
    char *text;
    char talk[24];

    add_talks(0, 100);
    (void)curate();
    test = first_of("test");
    /* in a conversation of the training split, but asked as in the test */
    (void)snprintf(talk, sizeof(talk), "%lld",
                   (long long)(first_of("train") - 1) / 2);
    text = mem_printf("%s again", words((int)test - 1));
    bridge = add((struct call){ "c0", talk, "Sort mail.", text, "z" });
    joins = add((struct call){ "c0", "new", "Sort mail.", text, "q" });
    ck_assert_uint_eq(curate().reasons[CURATE_STRADDLES], 1);
    expect(bridge, "reason", "straddles");
    expect(joins, "split", "test"); /* with its cluster */
    (void)add((struct call){ "c0", "other", NULL, words(1000), "q" });
    (void)curate();
    expect(bridge, "reason", "straddles"); /* and stays so */
    free(text);
}
END_TEST

START_TEST(training_does_not_hold_what_the_test_asks)
{
    int64_t test, holds;
    char *text;

    options.shares[0] = 0; /* all in the test */
    options.shares[1] = 0;
    options.shares[2] = 100;
    test = add((struct call){ "x", "1", NULL, words(1), "a" });
    (void)curate();
    options.shares[0] = 100;
    options.shares[2] = 0;
    for (int i = 2; i < 40; i++) {
        char talk[16];

        (void)snprintf(talk, sizeof(talk), "%d", i);
        (void)add((struct call){ "x", talk, NULL, words(i), "a" });
    }
    text = mem_printf("%s %s", words(50), "then ");
    /* In a conversation that is in training already. */
    (void)curate();
    {
        char *whole = mem_printf("%s %s", text, words(1));

        holds = add((struct call){ "x", "7", NULL, whole, "b" });
        free(whole);
    }
    (void)curate();
    expect(test, "split", "test");
    expect(holds, "reason", "overlaps_test");
    expect_call(holds, "duplicate_of", test);
    free(text);
}
END_TEST

/* A greeting that all begin with does not make one group of them. */
START_TEST(a_common_greeting_does_not_join_all)
{
    struct curate_result r;

    for (int i = 0; i < 300; i++) {
        char talk[16], answer[24];

        (void)snprintf(talk, sizeof(talk), "%d", i);
        (void)snprintf(answer, sizeof(answer), "hello %d", i);
        (void)add((struct call){ "x", talk, NULL, words(i), "y" });
        (void)add((struct call){ "x", talk, NULL, "Hi there", answer });
    }
    r = curate();
    ck_assert_uint_le(r.largest, 120);
    ck_assert_uint_gt(r.splits[CURATE_TEST], 30);
    ck_assert_uint_ge(r.reasons[CURATE_KEPT], 300);
}
END_TEST

static int64_t in_split(const char *split, bool kept)
{
    char *query = mem_printf("SELECT count(*) FROM was w JOIN example e USING "
                             "(call) WHERE w.split = 'test' AND e.split = "
                             "'%s' AND e.kept = %d",
                             split, kept);
    int64_t n = number(query);

    free(query);
    return n;
}

/* Whatever drops an example of the sealed test: it comes back to the test. */
START_TEST(test_examples_that_were_dropped_come_back_to_the_test)
{
    const char *text = "outcome.reward>0";
    struct curate_require *r;

    add_talks(0, 200);
    (void)curate();
    ck_assert_int_eq(sql_exec(store_sql(store),
                              "CREATE TABLE was AS SELECT call, split FROM "
                              "example",
                              NULL),
                     0);
    ck_assert_int_eq(curate_require_new(text, &r, NULL), 0);
    options.require = &r;
    options.require_text = &text;
    options.require_count = 1;
    ck_assert_uint_eq(curate().splits[CURATE_TEST], 0);
    ck_assert_int_eq(in_split("test", false), 20);
    options.require_count = 0;
    (void)curate();
    ck_assert_int_eq(in_split("test", true), 20);
    curate_require_free(r);
}
END_TEST

START_TEST(a_test_example_that_a_pass_drops_comes_back_to_the_test)
{
    int64_t id =
        add((struct call){ "x", "1", NULL, words(1), "It is \\boxed{}" });

    options.shares[0] = options.shares[1] = 0;
    options.shares[2] = 100;
    ck_assert_int_eq(curate_filters_parse("-boxed", &options.changed, NULL), 0);
    (void)curate();
    expect(id, "split", "test");
    options.changed = 0;
    (void)curate();
    expect(id, "reason", "boxed");
    options.shares[0] = 100;
    options.shares[2] = 0;
    (void)curate();
    ck_assert_int_eq(curate_filters_parse("-boxed", &options.changed, NULL), 0);
    ck_assert_uint_eq(curate().splits[CURATE_TEST], 1);
    expect(id, "split", "test");
}
END_TEST

static void correct(int64_t call, double reward, const char *answer)
{
    struct store_outcome o = { .has_reward = true,
                               .reward = reward,
                               .answer = slice_of(answer) };

    ck_assert_int_eq(store_outcome_set(store, call, &o, NULL), 0);
}

static int take_line(void *ctx, struct slice bytes, struct err *err)
{
    (void)err;
    buf_add_slice(ctx, bytes);
    return 0;
}

static void expect_export(const char *there, const char *gone)
{
    struct buf out = { 0 };
    struct curate_sink sink = { take_line, &out };
    uint64_t count;

    ck_assert_int_eq(curate_export(store, 0, NULL, &sink, &count, NULL), 0);
    buf_str(&out, "");
    ck_assert_msg(!there || strstr(out.data, there), "%s", out.data);
    ck_assert_msg(!strstr(out.data, gone), "%s", out.data);
    buf_release(&out);
}

START_TEST(a_correction_of_a_duplicate_is_not_lost_for_the_wrong_answer)
{
    int64_t a = add((struct call){ "x", "1", NULL, words(1), "wrong" }),
            b = add((struct call){ "y", "2", NULL, words(1), "wrong" });
    char *more = mem_printf("%s Thanks", words(2));
    int64_t c = add((struct call){ "x", "3", NULL, words(2), "wrong" }),
            d = add((struct call){ "y", "4", NULL, more, "wrong" });

    (void)curate();
    expect(b, "reason", "duplicate");
    expect(d, "reason", "near_duplicate");
    outcome(a, -1, "");
    correct(b, 0, "RIGHT");
    correct(d, 0, "RIGHT");
    (void)curate();
    expect(b, "kept", "1");
    expect(a, "kept", "0");
    expect(d, "kept", "1");
    expect(c, "kept", "0");
    expect_export("RIGHT", "wrong");
    ck_assert(!curate().settled);
    free(more);
}
END_TEST

START_TEST(a_correction_that_is_not_scrubbed_is_not_the_logged_answer)
{
    int64_t a = add((struct call){ "x", "1", NULL, words(1), "wrong" });

    correct(a, 1, "RIGHT");
    (void)curate();
    expect_export("RIGHT", "wrong");
    ck_assert_int_eq(sql_exec(store_sql(store),
                              "UPDATE example SET correction = NULL", NULL),
                     0);
    expect_export(NULL, "wrong");
}
END_TEST

/* The day in front makes no other kind: its questions are one unit. */
START_TEST(prompts_that_begin_with_the_day_are_of_one_kind)
{
    int64_t a = add((struct call){ "x", "1", "Today is Monday, day 1. Help.",
                                   words(1), "a" }),
            b = add((struct call){ "y", "2", "Today is Tuesday, day 2. Help.",
                                   words(1), "b" });

    (void)curate();
    expect_call(a, "cluster", a);
    expect_call(b, "cluster", a);
}
END_TEST

/* What another filter had let into the test stayed kept for ever. */
START_TEST(the_result_does_not_depend_on_options_of_earlier_runs)
{
    int64_t times;

    for (int i = 0; i < 100; i++) {
        char *again = mem_printf("%s again", words(i));

        (void)add((struct call){ "x", "", NULL, words(i), "yes" });
        (void)add((struct call){ "y", "", NULL, again, "yes" });
        free(again);
    }
    ck_assert_int_eq(
        curate_filters_parse("-near_duplicate", &options.changed, NULL), 0);
    ck_assert_uint_eq(curate().reasons[CURATE_KEPT], 200);
    options.changed = 0;
    ck_assert_uint_eq(curate().reasons[CURATE_KEPT], 100);
    ck_assert_int_eq(
        curate_filters_parse("-near_duplicate", &options.changed, NULL), 0);
    ck_assert_uint_eq(curate().reasons[CURATE_KEPT], 200);
    ck_assert_int_eq(store_seal(store, 0, 0, "eval", &times, NULL), 0);
    options.changed = 0; /* nobody's figures change */
    ck_assert_uint_eq(curate().reasons[CURATE_KEPT], 110);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("settle", setup, curate_fixture_end);

    tcase_add_test(c, near_inputs_with_the_same_answer_go);
    tcase_add_test(c, clients_with_the_same_request_are_near);
    tcase_add_test(c, a_run_knows_what_an_earlier_one_has_seen);
    tcase_add_test(c, templates_do_not_make_examples_alike);
    tcase_add_test(c, contradictory_answers_are_kept_or_chosen);
    tcase_add_test(c, outcomes_drop_and_bring_back);
    tcase_add_test(c, shares_are_met_in_each_stratum);
    tcase_add_test(c, a_small_log_has_all_three_splits);
    tcase_add_test(c, what_was_in_a_split_stays_there);
    tcase_add_test(c, a_run_that_was_cut_off_is_ended_by_the_next);
    tcase_add_test(c, clients_are_not_divided_if_asked);
    tcase_add_test(c, a_few_clients_that_ask_alike_fill_all_splits);
    tcase_add_test(c, a_conversation_that_is_handed_over_is_not_divided);
    tcase_add_test(c, by_time_the_latest_are_tested_on);
    tcase_add_test(c, what_would_join_two_splits_is_dropped);
    tcase_add_test(c, training_does_not_hold_what_the_test_asks);
    tcase_add_test(c, a_common_greeting_does_not_join_all);
    tcase_add_test(c, test_examples_that_were_dropped_come_back_to_the_test);
    tcase_add_test(c, a_test_example_that_a_pass_drops_comes_back_to_the_test);
    tcase_add_test(
        c, a_correction_of_a_duplicate_is_not_lost_for_the_wrong_answer);
    tcase_add_test(c,
                   a_correction_that_is_not_scrubbed_is_not_the_logged_answer);
    tcase_add_test(c, prompts_that_begin_with_the_day_are_of_one_kind);
    tcase_add_test(c, the_result_does_not_depend_on_options_of_earlier_runs);
    return suite_run("curate_settle", c);
}

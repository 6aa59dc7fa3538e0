/* test_curate.c - reasons, duplicates, retries, splits, idempotence, leaks */
#include "curate_fixture.h"
#include "suite.h"

#include "base/mem.h"
#include "curate/curate.h"
#include "curate/curate_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct crypto_key key = { { 1, 2, 3 } };
static struct curate_options options; /* of the next runs */

static void setup(void)
{
    curate_fixture_begin(NULL);
    options = (struct curate_options){ 0 };
}

struct call {
    const char *status, *conversation, *request, *response;
    int64_t gap_us;              /* after the last call; 0: a minute */
    const char *dialect, *extra; /* NULL: OpenAI chat; nothing */
};

static int64_t add(struct call c)
{
    struct store_call s = store_call_none();
    struct err err = { 0 };
    char name[32];
    bool added;
    int64_t id;

    clock_us += c.gap_us ? c.gap_us : 60000000;
    (void)snprintf(name, sizeof(name), "%lld", (long long)clock_us);
    s.key = slice_of(name);
    s.time_us = clock_us;
    s.latency_us = 1000000;
    s.dialect = slice_of(c.dialect ? c.dialect : "openai-chat");
    s.extra = slice_of(c.extra);
    s.client = slice_of("client");
    s.status = slice_of(c.status ? c.status : "completed");
    s.conversation = slice_of(c.conversation);
    s.request = slice_of(c.request);
    s.response = slice_of(c.response);
    ck_assert_msg(store_call_add(store, &s, &added, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(
        sql_one_int(store_sql(store), "SELECT max(id) FROM call", 0, &id, &err),
        0);
    return id;
}

#define ASK(text)                                                              \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define SAY(text)                                                              \
    "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"" text   \
    "\"},\"finish_reason\":\"stop\"}]}"

static int64_t say(const char *conversation, const char *ask,
                   const char *answer)
{
    char *request = mem_printf(ASK("%s"), ask);
    char *response = mem_printf(SAY("%s"), answer);
    int64_t id = add((struct call){ .conversation = conversation,
                                    .request = request,
                                    .response = response });

    free(request);
    free(response);
    return id;
}

static struct curate_result curate_with(const unsigned *shares,
                                        unsigned threads)
{
    struct curate_options o = options;
    struct curate_result r = { 0 };
    struct err err = { 0 };

    o.rules = rules;
    o.key = &key;
    o.threads = threads;
    memcpy(o.shares, shares, sizeof(o.shares));
    store_close(store); /* the lock goes with it */
    ck_assert_int_eq(store_open(dir, STORE_WRITE, &store, &err), 0);
    ck_assert_msg(curate_run(store, &o, &r, &err) == 0, "%s", err.msg);
    curate_result_release(&r);
    return r;
}

static struct curate_result curate(void)
{
    return curate_with((const unsigned[]){ 80, 10, 10 }, 2);
}

/* A column of a call's example, as text; caller frees. */
static char *column(int64_t call, const char *name)
{
    char *text = mem_printf("SELECT CAST(%s AS TEXT) FROM example "
                            "WHERE call = %lld",
                            name, (long long)call);
    struct sql_stmt *q;
    char *value;

    ck_assert_int_eq(sql_get(store_sql(store), text, &q, NULL), 0);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    value = slice_dup(sql_text(q, 0));
    sql_reset(q);
    free(text);
    return value;
}

static void expect(int64_t call, const char *name, const char *want)
{
    char *got = column(call, name);

    ck_assert_msg(strcmp(got, want) == 0, "call %lld: %s is %s, not %s",
                  (long long)call, name, got, want);
    free(got);
}

START_TEST(each_drop_has_its_reason)
{
    static const struct {
        struct call call;
        const char *reason;
    } table[] = {
        { { NULL, "a", ASK("1"), SAY("x"), 0 }, "" },
        { { "failed_http", "b", ASK("2"), "{\"error\":{}}", 0 }, "failed" },
        { { "completed", "c", ASK("3"), "{\"error\":{\"code\":1}}", 0 },
          "failed" },
        { { "failed_stream", "d", ASK("4"), "", 0 }, "failed" },
        { { "cancelled", "e", ASK("5"), SAY("x"), 0 }, "cancelled" },
        { { "timeout", "f", ASK("6"), "", 0 }, "timeout" },
        { { "lost", "g", ASK("7"), "", 0 }, "lost" },
        { { "upstream_truncated", "h", ASK("8"), SAY("x"), 0 }, "truncated" },
        { { NULL, "i", ASK("9"),
            "{\"choices\":[{\"message\":{\"content\":\"cu\"},"
            "\"finish_reason\":\"length\"}]}",
            0 },
          "truncated" },
        { { NULL, "j", ASK("10"),
            "{\"choices\":[{\"message\":{\"content\":\"\"},"
            "\"finish_reason\":\"content_filter\"}]}",
            0 },
          "filtered" },
        { { NULL, "k", ASK("11"), "nonsense", 0 }, "malformed" },
        { { NULL, "l", "{\"input\":\"x\"}", SAY("x"), 0 }, "malformed" },
        { { NULL, "m", ASK("12"),
            "{\"choices\":[{\"message\":{\"content\":null},"
            "\"finish_reason\":\"stop\"}]}",
            0 },
          "empty" },
        { { NULL, "n", ASK("13"), SAY(""), 0 }, "" },
        { { "a status of tomorrow", "o", ASK("14"), SAY("x"), 0 }, "failed" },
    };
    int64_t ids[32];

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        ids[i] = add(table[i].call);
    (void)curate();
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        expect(ids[i], "ifnull(reason, '')", table[i].reason);
}
END_TEST

START_TEST(duplicates_go_and_other_answers_stay)
{
    int64_t a = say("c1", "capital of France?", "Paris"),
            b = say("c2", "capital of France?", "Paris"),
            c = say("c3", "capital of France?", "Paris, I think"),
            d = say("c4", "capital of Spain?", "Madrid");
    char number[24];

    (void)curate();
    expect(a, "kept", "1");
    expect(b, "reason", "duplicate");
    (void)snprintf(number, sizeof(number), "%lld", (long long)a);
    expect(b, "duplicate_of", number);
    expect(c, "kept", "1");
    expect(a, "repeats", "3");
    expect(c, "repeats", "3");
    expect(d, "repeats", "1");
}
END_TEST

START_TEST(drawn_ids_do_not_make_calls_different)
{
    static const char ask[] =
        "{\"messages\":[{\"role\":\"assistant\",\"content\":%s,\"tool_calls\":"
        "[{\"id\":\"call_%d\",\"function\":{\"name\":\"f\",\"arguments\":"
        "\"%s\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_%d\","
        "\"content\":\"ok\"}]}";
    char *one = mem_printf(ask, "null", 1, "{\\\"a\\\":1,\\\"b\\\":2}", 1);
    char *two = mem_printf(ask, "\"\"", 2, "{ \\\"b\\\":2, \\\"a\\\":1}", 2);
    int64_t b;

    (void)add((struct call){ NULL, "a", one, SAY("done"), 0 });
    b = add((struct call){ NULL, "b", two, SAY("done"), 0 });
    (void)curate();
    expect(b, "reason", "duplicate");
    free(one);
    free(two);
}
END_TEST

START_TEST(an_answer_that_was_asked_again_at_once_is_retried)
{
    int64_t a = say("talk", "q", "first"), b = say("talk", "q", "second"), c;

    (void)curate();
    expect(a, "reason", "retried");
    expect(b, "kept", "1");
    c = say("talk", "q", "third"); /* supersedes one that is written */
    (void)curate();
    expect(b, "reason", "retried");
    expect(c, "kept", "1");
    expect(b, "ifnull(request, 0)", "0");
}
END_TEST

START_TEST(samples_drawn_at_the_same_time_stay)
{
    int64_t a = add((struct call){ NULL, "t", ASK("q"), SAY("x"), 0 }),
            b = add((struct call){ NULL, "t", ASK("q"), SAY("y"), 1000 });

    (void)curate();
    expect(a, "kept", "1");
    expect(b, "kept", "1");
}
END_TEST

START_TEST(second_run_finds_nothing_and_new_calls_are_added)
{
    struct curate_result r;
    int64_t a = say("c1", "x", "y"), b;

    r = curate();
    ck_assert_uint_eq(r.fresh, 1);
    r = curate();
    ck_assert_uint_eq(r.fresh, 0);
    ck_assert_uint_eq(r.calls, 1);
    b = say("c2", "x", "y");
    r = curate();
    ck_assert_uint_eq(r.fresh, 1);
    expect(b, "reason", "duplicate");
    expect(a, "repeats", "2");
}
END_TEST

START_TEST(other_filters_do_all_again_in_place)
{
    struct curate_result r;
    int64_t a = say("c1", "mail ada@love.org", "y"),
            b = say("c2", "x", "As an AI language model, I cannot say");
    char *before, *after;

    (void)curate();
    expect(b, "reason", "refusal");
    before = column(a, "id");
    ck_assert_int_eq(curate_filters_parse("-refusal", &options.changed, NULL),
                     0);
    r = curate();
    ck_assert(r.again);
    ck_assert_uint_eq(r.fresh, 2);
    ck_assert_ptr_nonnull(strstr(r.version, "filters -refusal"));
    after = column(a, "id");
    ck_assert_str_eq(before, after);
    expect(b, "kept", "1");
    free(before);
    free(after);
}
END_TEST

/* What passes decide, or all that curating does, as one text; caller frees. */
static char *digest(bool all)
{
    struct buf b = { 0 };
    struct sql_stmt *q;

    ck_assert_int_eq(
        sql_get(store_sql(store),
                all ? "SELECT call, kept, ifnull(reason, ''), ifnull(split, "
                      "''), ifnull(groups, ''), repeats, spans, "
                      "ifnull(request, 0), ifnull(response, 0), "
                      "ifnull(cluster, 0) FROM example ORDER BY call"
                    : "SELECT call, 0, iif(request, '', reason), '', "
                      "ifnull(groups, ''), repeats, spans, ifnull(request, 0), "
                      "ifnull(response, 0), 0 FROM example ORDER BY call",
                &q, NULL),
        0);
    while (sql_step(q, NULL) == 1)
        buf_printf(&b, "%lld %lld %.*s %.*s %.*s %lld %lld %lld %lld %lld\n",
                   (long long)sql_int(q, 0), (long long)sql_int(q, 1),
                   (int)sql_text(q, 2).n, sql_text(q, 2).p,
                   (int)sql_text(q, 3).n, sql_text(q, 3).p,
                   (int)sql_text(q, 4).n, sql_text(q, 4).p,
                   (long long)sql_int(q, 5), (long long)sql_int(q, 6),
                   (long long)sql_int(q, 7), (long long)sql_int(q, 8),
                   (long long)sql_int(q, 9));
    return buf_take(&b, NULL);
}

static void add_many(int from, int to)
{
    for (int i = from; i < to; i++) {
        char talk[16], ask[64], answer[64];

        (void)snprintf(talk, sizeof(talk), "c%d", i / 3);
        (void)snprintf(ask, sizeof(ask), "question %d of u%d@love.org", i % 170,
                       i % 7);
        (void)snprintf(answer, sizeof(answer), "to u%d@love.org %d", i % 7,
                       i % 5);
        (void)say(talk, ask, answer);
    }
}

static void forget_examples(void)
{
    ck_assert_int_eq(sql_exec(store_sql(store),
                              "DELETE FROM example; DELETE FROM stage; "
                              "DELETE FROM setting WHERE name LIKE 'curate.%'",
                              NULL),
                     0);
}

START_TEST(threads_change_nothing_and_runs_nothing_of_a_pass)
{
    char *parts, *one, *pass, *four;

    add_many(0, 350);
    (void)curate();
    add_many(350, 700);
    (void)curate();
    parts = digest(false);
    forget_examples();
    (void)curate_with((const unsigned[]){ 80, 10, 10 }, 1);
    pass = digest(false);
    one = digest(true);
    forget_examples();
    (void)curate_with((const unsigned[]){ 80, 10, 10 }, 4);
    four = digest(true);
    ck_assert_str_eq(pass, parts);
    ck_assert_str_eq(one, four);
    free(parts);
    free(pass);
    free(one);
    free(four);
}
END_TEST

START_TEST(a_lost_high_mark_does_not_make_duplicates_of_themselves)
{
    char *before, *after;

    add_many(0, 60);
    (void)curate();
    before = digest(true);
    ck_assert_int_eq(
        sql_exec(store_sql(store), "UPDATE stage SET high = 20", NULL), 0);
    ck_assert_uint_eq(curate().fresh, 40);
    after = digest(true);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

START_TEST(no_group_and_no_input_is_in_two_splits)
{
    int64_t n;

    add_many(0, 600);
    (void)curate();
    ck_assert_int_eq(sql_one_int(store_sql(store),
                                 "SELECT count(*) FROM (SELECT groups FROM "
                                 "example WHERE kept GROUP BY groups "
                                 "HAVING count(DISTINCT split) > 1)",
                                 0, &n, NULL),
                     0);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(sql_one_int(store_sql(store),
                                 "SELECT count(DISTINCT split) FROM example "
                                 "WHERE kept",
                                 0, &n, NULL),
                     0);
    ck_assert_int_eq(n, 3);
}
END_TEST

static int collect(void *ctx, struct slice bytes, struct err *err)
{
    (void)err;
    buf_add_slice(ctx, bytes);
    return 0;
}

START_TEST(export_is_scrubbed_chat_lines)
{
    struct buf out = { 0 };
    struct curate_sink sink = { collect, &out };
    struct json j = { 0 };
    uint64_t count;
    json_ref messages;

    (void)add((struct call){
        .conversation = "c",
        .request = "{\n\"messages\":[\n{\"role\":\"user\",\"content\":"
                   "\"I am ada@love.org\"}],\n\"tools\":[{\"function\":"
                   "{\"name\":\"f\"}}]}",
        .response = "{\"choices\":[{\"message\":{\"content\":null,"
                    "\"refusal\":null,\"tool_calls\":[{\"id\":\"c1\","
                    "\"function\":{\"name\":\"f\",\"arguments\":"
                    "\"{\\\"to\\\":\\\"ada@love.org\\\"}\"}}]}}]}" });
    (void)curate();
    ck_assert_int_eq(curate_export(store, 0, "tvs", &sink, &count, NULL), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_eq(memchr(out.data, '\n', out.len), out.data + out.len - 1);
    ck_assert_int_eq(json_parse(&j, out.data, out.len, NULL), 0);
    messages = json_get(&j, 0, "messages");
    ck_assert_uint_eq(json_count(&j, messages), 2);
    ck_assert(
        json_text_is(&j, json_find(&j, json_at(&j, messages, 1), "role", NULL),
                     "assistant"));
    ck_assert_uint_eq(json_count(&j, json_get(&j, 0, "tools")), 1);
    ck_assert_ptr_null(strstr(out.data, "love.org"));
    ck_assert_ptr_null(strstr(out.data, "refusal"));
    json_release(&j);
    buf_release(&out);
}
END_TEST

static void leak_seen(void *ctx, const struct curate_leak *l)
{
    (void)l;
    ++*(int *)ctx;
}

START_TEST(leak_check_sees_what_stayed_and_not_what_went)
{
    struct slice values[] = { slice_of("ada@love.org"),
                              slice_of("stays here") };
    struct scrub_leaks *leaks = NULL;
    uint64_t count, examples, unsearched;
    int seen = 0;

    (void)say("c", "ada@love.org", "It STAYS here");
    (void)curate();
    ck_assert_int_eq(scrub_leaks_new(values, 2, &leaks, NULL), 0);
    ck_assert_int_eq(curate_check_leaks(store, leaks, NULL, leak_seen, &seen,
                                        &count, &examples, &unsearched, NULL),
                     0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(seen, 1);
    ck_assert_uint_eq(examples, 1);
    ck_assert_uint_eq(unsearched, 0);
    scrub_leaks_free(leaks);
}
END_TEST

static int correction_seen(void *ctx, const struct store_example *e,
                           struct err *err)
{
    (void)err;
    ck_assert_ptr_null(memmem(e->correction.p, e->correction.n, "love.org", 8));
    if (e->correction.n > 0) /* the request's surrogate, nothing else */
        ck_assert_ptr_nonnull(memmem(e->request.p, e->request.n,
                                     e->correction.p, e->correction.n));
    *(size_t *)ctx += e->correction.n > 0;
    return 0;
}

START_TEST(corrected_answers_are_scrubbed_like_their_call)
{
    struct store_example_query all = { 0 };
    struct store_outcome better = { .answer = slice_of("ada@love.org") };
    int64_t late, early = say("c", "I am ada@love.org", "who?");
    size_t seen = 0;

    (void)say(NULL, "Write to bob@love.org", "done");
    late = say(NULL, "From ada@love.org to bob@love.org", "done");
    ck_assert_int_eq(store_outcome_set(store, early, &better, NULL), 0);
    ck_assert_uint_eq(curate().corrections, 1);
    ck_assert_int_eq(store_outcome_set(store, late, &better, NULL), 0);
    ck_assert_uint_eq(curate().corrections, 1);
    ck_assert_uint_eq(curate().corrections, 0);
    ck_assert_int_eq(store_examples(store, &all, correction_seen, &seen, NULL),
                     0);
    ck_assert_uint_eq(seen, 2);
    better.answer = slice_of("bob@love.org");
    ck_assert_int_eq(store_outcome_set(store, late, &better, NULL), 0);
    ck_assert_uint_eq(curate().corrections, 1);
    /* Other filters do all again. */
    ck_assert_int_eq(curate_filters_parse("-long", &options.changed, NULL), 0);
    ck_assert_uint_eq(curate().corrections, 2);
}
END_TEST

static void expect_told(int64_t call, bool told)
{
    struct buf text = { 0 };
    struct store_body b = { 0 };
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(store),
                             "SELECT request, request_at, node FROM example "
                             "WHERE call = ?",
                             &q, NULL),
                     0);
    sql_bind_int(q, 1, call);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    b = (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    sql_reset(q);
    ck_assert_int_eq(store_body_get(store, b, &text, NULL), 0);
    ck_assert_msg((strstr(text.data, "yara_garcia_1905") != NULL) == told, "%s",
                  text.data);
    buf_release(&text);
}

START_TEST(what_a_conversation_tells_late_goes_from_its_earlier_calls)
{
    int64_t first = say("a", "Look for yara_garcia_1905, please", "yes");
    int64_t other = say("b", "Look for yara_garcia_1905 now", "yes");

    (void)say("a", "Her address is yara_garcia_1905@x.org", "I see");
    (void)curate();
    expect_told(first, false);
    expect_told(other, true); /* nobody's there */
}
END_TEST

START_TEST(what_a_conversation_tells_later_goes_from_examples_that_are_there)
{
    int64_t first = say("a", "Look for yara_garcia_1905, please", "yes");

    (void)curate();
    expect_told(first, true);
    (void)say("a", "Her address is yara_garcia_1905@x.org", "I see");
    ck_assert_uint_eq(curate().fresh, 1);
    expect_told(first, false);
}
END_TEST

static void nest_deep(struct buf *deep)
{
    buf_str(deep, "[1]");
    for (int i = 0; i < SCRUB_MAX_NESTING + 2; i++) {
        struct buf outer = { 0 };

        buf_char(&outer, '[');
        json_quote(&outer, buf_slice(deep));
        buf_char(&outer, ']');
        buf_release(deep);
        *deep = outer;
    }
}

START_TEST(what_cannot_be_scrubbed_is_quarantined_whole)
{
    struct buf deep = { 0 };
    int64_t id;

    nest_deep(&deep);
    {
        struct buf request = { 0 };

        buf_str(&request, "{\"messages\":[{\"role\":\"tool\",\"content\":");
        json_quote(&request, buf_slice(&deep));
        buf_str(&request, "}]}");
        id = add((struct call){ NULL, "c", request.data, SAY("x"), 0 });
        buf_release(&request);
    }
    (void)curate();
    expect(id, "reason", "quarantined");
    expect(id, "ifnull(request, 0)", "0");
    buf_release(&deep);
}
END_TEST

/* Scrubbed before: what came then says that nobody knows what is in it. */
START_TEST(an_example_whose_conversation_grew_unscrubbable_is_withdrawn)
{
    struct buf deep = { 0 }, request = { 0 };
    int64_t id = add((struct call){
        NULL, "c", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
        SAY("x"), 0 });

    (void)curate();
    expect(id, "kept", "1");
    nest_deep(&deep);
    buf_str(&request, "{\"messages\":[{\"role\":\"tool\",\"content\":");
    json_quote(&request, buf_slice(&deep));
    buf_str(&request, "}]}");
    (void)add((struct call){ NULL, "c", request.data, SAY("y"), 0 });
    ck_assert_uint_eq(curate().quarantined, 2);
    expect(id, "reason", "quarantined");
    expect(id, "kept", "0");
    expect(id, "ifnull(request, 0) + ifnull(response, 0)", "0");
    expect(id, "(SELECT count(*) FROM sketch s WHERE s.example = example.id)",
           "0");
    buf_release(&deep);
    buf_release(&request);
}
END_TEST

START_TEST(tool_calls_are_held_against_their_tools)
{
    static const struct {
        const char *name, *arguments;
        bool good;
    } table[] = {
        { "f", "{\\\"x\\\":1}", true },          { "f", "", false },
        { "f", "{\\\"x\\\":\\\"1\\\"}", false }, { "f", "{", false },
        { "g", "{\\\"x\\\":1}", false },         { "f", "[1]", false },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        char *request = mem_printf(
            "{\"messages\":[{\"role\":\"user\",\"content\":\"%zu\"}],"
            "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":"
            "{\"type\":\"integer\"}},\"required\":[\"x\"]}}}]}",
            i);
        char *response = mem_printf(
            "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{"
            "\"function\":{\"name\":\"%s\",\"arguments\":\"%s\"}}]},"
            "\"finish_reason\":\"tool_calls\"}]}",
            table[i].name, table[i].arguments);
        int64_t id = add((struct call){ NULL, "", request, response, 0 });

        (void)curate();
        expect(id, "ifnull(reason, '')", table[i].good ? "" : "bad_arguments");
        free(request);
        free(response);
    }
}
END_TEST

/* A list of no tools says that there are none; no list says nothing. */
START_TEST(a_call_of_no_offered_tool_goes)
{
    static const char *const tools[] = { ",\"tools\":[]", "" };

    for (size_t i = 0; i < 2; i++) {
        char *request = mem_printf("{\"messages\":[{\"role\":\"user\","
                                   "\"content\":\"%zu\"}]%s}",
                                   i, tools[i]);
        int64_t id = add((struct call){
            NULL, "", request,
            "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{"
            "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
            "\"finish_reason\":\"tool_calls\"}]}",
            0 });

        (void)curate();
        expect(id, "ifnull(reason, '')", i ? "" : "bad_arguments");
        free(request);
    }
}
END_TEST

/* The request of a call's example; caller frees. */
static char *kept_request(int64_t call)
{
    char *text = mem_printf("SELECT request, request_at, node FROM example "
                            "WHERE call = %lld AND kept",
                            (long long)call);
    struct buf out = { .data = NULL };
    struct store_body body;
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(store), text, &q, NULL), 0);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    body = (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    sql_reset(q);
    ck_assert_int_eq(store_body_get(store, body, &out, NULL), 0);
    free(text);
    return buf_take(&out, NULL);
}

START_TEST(calls_of_other_apis_become_chat)
{
    int64_t anthropic = add((struct call){
        .dialect = "anthropic",
        .request = "{\"system\":\"be short\",\"max_tokens\":9,\"messages\":"
                   "[{\"role\":\"user\",\"content\":\"who?\"}]}",
        .response = "{\"type\":\"message\",\"role\":\"assistant\",\"content\":"
                    "[{\"type\":\"text\",\"text\":\"nobody\"}],"
                    "\"stop_reason\":\"end_turn\"}" });
    int64_t cut_short = add((struct call){
        .dialect = "anthropic",
        .request = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        .response = "{\"type\":\"message\",\"content\":[{\"type\":\"text\","
                    "\"text\":\"long\"}],\"stop_reason\":\"max_tokens\"}" });
    int64_t opaque = add((struct call){
        .dialect = "opaque", .request = "{}", .response = "{}" });
    int64_t broken = add((struct call){
        .dialect = "gemini", .request = "{\"con", .response = "{}" });
    char *text;

    (void)curate();
    text = kept_request(anthropic);
    ck_assert_msg(strstr(text, "\"role\":\"system\",\"content\":\"be short\""),
                  "%s", text);
    free(text);
    expect(cut_short, "reason", "truncated");
    expect(opaque, "reason", "dialect");
    expect(broken, "reason", "malformed");
}
END_TEST

START_TEST(what_was_cut_when_logged_is_never_learnt_from)
{
    static const char *const marks[] = {
        "{\"cut\":true}", "{\"call_id\":\"x\",\"no_log\":true}"
    };
    int64_t whole = add((struct call){ .request = ASK("a"),
                                       .response = SAY("b"),
                                       .extra = "{\"cut\":false}" });
    int64_t failed = add((struct call){
        .status = "failed_http", .request = ASK("a"), .extra = marks[0] });
    int64_t cut[2];

    for (size_t i = 0; i < 2; i++)
        cut[i] = add((struct call){
            .request = ASK("c"), .response = SAY("d"), .extra = marks[i] });
    (void)curate();
    expect(whole, "coalesce(reason, '')", "");
    expect(failed, "reason", "failed");
    for (size_t i = 0; i < 2; i++)
        expect(cut[i], "reason", "cut");
}
END_TEST

int main(void)
{
    TCase *c = suite_case("curate", setup, curate_fixture_end);

    tcase_add_test(c, each_drop_has_its_reason);
    tcase_add_test(c, calls_of_other_apis_become_chat);
    tcase_add_test(c, what_was_cut_when_logged_is_never_learnt_from);
    tcase_add_test(c, duplicates_go_and_other_answers_stay);
    tcase_add_test(c, drawn_ids_do_not_make_calls_different);
    tcase_add_test(c, an_answer_that_was_asked_again_at_once_is_retried);
    tcase_add_test(c, samples_drawn_at_the_same_time_stay);
    tcase_add_test(c, second_run_finds_nothing_and_new_calls_are_added);
    tcase_add_test(c, other_filters_do_all_again_in_place);
    tcase_add_test(c, threads_change_nothing_and_runs_nothing_of_a_pass);
    tcase_add_test(c, a_lost_high_mark_does_not_make_duplicates_of_themselves);
    tcase_add_test(c, no_group_and_no_input_is_in_two_splits);
    tcase_add_test(c, export_is_scrubbed_chat_lines);
    tcase_add_test(c, leak_check_sees_what_stayed_and_not_what_went);
    tcase_add_test(c, corrected_answers_are_scrubbed_like_their_call);
    tcase_add_test(c,
                   what_a_conversation_tells_late_goes_from_its_earlier_calls);
    tcase_add_test(
        c, what_a_conversation_tells_later_goes_from_examples_that_are_there);
    tcase_add_test(c, what_cannot_be_scrubbed_is_quarantined_whole);
    tcase_add_test(
        c, an_example_whose_conversation_grew_unscrubbable_is_withdrawn);
    tcase_add_test(c, tool_calls_are_held_against_their_tools);
    tcase_add_test(c, a_call_of_no_offered_tool_goes);
    return suite_run("curate", c);
}

/* test_curate_dialogues.c - calls without an id that go on from one another */
#include "suite.h"

#include "base/mem.h"
#include "curate_log.h"

#include <stdio.h>
#include <stdlib.h>

#define DIALOGUES 60
#define TURNS 3

static bool prompt_tells_time;

/* Turn t of dialogue d repeats all before it. */
static int64_t add_turn(int d, int t, const char *hello)
{
    struct store_call s = store_call_none();
    struct buf q = { 0 }, a = { 0 };
    char name[32];
    bool added;

    buf_str(&q, "{\"messages\":[{\"role\":\"system\",\"content\":\"Help.");
    if (prompt_tells_time)
        buf_printf(&q, " It is %d:%02d:07.", t + 9, d);
    buf_str(&q, "\"}");
    for (int i = 0; i <= t; i++) {
        if (i)
            buf_printf(&q, ",{\"role\":\"assistant\",\"content\":\"%d, %d\"}",
                       d * 31, i - 1);
        if (i == 0 && hello)
            buf_printf(&q, ",{\"role\":\"user\",\"content\":\"%s\"}", hello);
        else
            buf_printf(&q,
                       ",{\"role\":\"user\",\"content\":\"%d.%d: my mail is "
                       "ob%d@corp.com\"}",
                       d, i, d);
    }
    buf_str(&q, "]}");
    buf_printf(&a,
               "{\"choices\":[{\"message\":{\"role\":\"assistant\","
               "\"content\":\"%d, %d\"},\"finish_reason\":\"stop\"}]}",
               d * 31, t);
    log_clock_us += INT64_C(3600000000);
    (void)snprintf(name, sizeof(name), "%d.%d", d, t);
    s.key = slice_of(name);
    s.time_us = log_clock_us;
    s.dialect = slice_of("openai-chat");
    s.status = slice_of("completed");
    s.error = slice_of(name);
    s.request = buf_slice(&q);
    s.response = buf_slice(&a);
    ck_assert_int_eq(store_call_add(log_store, &s, &added, NULL), 0);
    ck_assert(added);
    buf_release(&q);
    buf_release(&a);
    return scratch_int(store_sql(log_store), "SELECT max(id) FROM call");
}

/* Dialogues with what they must not have two of, by what the test knows. */
static int64_t divided(const char *what)
{
    char *text = mem_printf(
        "SELECT count(*) FROM (SELECT 1 FROM example e JOIN call c ON c.id = "
        "e.call WHERE e.kept GROUP BY CAST(c.error AS INTEGER) HAVING "
        "count(DISTINCT %s) > 1)",
        what);
    int64_t n = scratch_int(store_sql(log_store), text);

    free(text);
    return n;
}

/* Each turn was a group and a scope of its own: 80 of 96 dialogues of
 * tau-bench had calls in two splits. */
START_TEST(dialogues_without_ids_are_not_divided)
{
    for (int order = 0; order < TURNS; order++)
        for (int d = 0; d < DIALOGUES; d++)
            (void)add_turn(d, d % 2 ? order : TURNS - 1 - order, NULL);
    (void)log_curate();
    ck_assert_int_eq(divided("split"), 0);
    ck_assert_int_eq(divided("groups"), 0);
    ck_assert_int_ge(scratch_int(store_sql(log_store),
                                 "SELECT count(*) FROM example WHERE kept AND "
                                 "split = 'test'"),
                     TURNS);
}
END_TEST

START_TEST(turns_that_come_later_join_their_dialogue)
{
    for (int order = 0; order < TURNS; order++) {
        for (int d = 0; d < DIALOGUES; d++)
            (void)add_turn(d, order, NULL);
        (void)log_curate();
    }
    ck_assert_int_eq(divided("split"), 0);
    ck_assert_int_eq(divided("groups"), 0);
}
END_TEST

/* Each prompt told the time, so no call began with another's. */
START_TEST(a_clock_in_the_prompt_divides_no_dialogue)
{
    prompt_tells_time = true;
    for (int order = 0; order < TURNS; order++)
        for (int d = 0; d < DIALOGUES; d++)
            (void)add_turn(d, d % 2 ? order : TURNS - 1 - order, NULL);
    prompt_tells_time = false;
    (void)log_curate();
    ck_assert_int_eq(divided("split"), 0);
    ck_assert_int_eq(divided("groups"), 0);
}
END_TEST

/* The beginning that two dialogues share came last: what is in two splits
 * already takes it in neither. */
START_TEST(a_beginning_that_comes_last_divides_nothing)
{
    for (int t = TURNS - 1; t >= 0; t--) {
        for (int d = 0; d < DIALOGUES; d++)
            (void)add_turn(d, t, NULL);
        (void)log_curate();
    }
    ck_assert_int_eq(divided("split"), 0);
}
END_TEST

static int all_bytes(void *ctx, struct slice bytes, struct err *err)
{
    (void)err;
    buf_add_slice(ctx, bytes);
    return 0;
}

START_TEST(a_dialogue_without_an_id_has_one_surrogate_for_a_value)
{
    struct buf out = { 0 };
    struct curate_sink sink = { all_bytes, &out };
    struct curate_result r;
    struct slice mail = { 0 };
    size_t same = 0;
    uint64_t count;

    for (int t = 0; t < TURNS; t++)
        (void)add_turn(7, t, NULL);
    r = log_curate();
    ck_assert_uint_eq(r.reasons[CURATE_KEPT], TURNS);
    ck_assert_int_eq(curate_export(log_store, 0, "tvs", &sink, &count, NULL),
                     0);
    for (const char *p = out.data; (p = strstr(p, "my mail is ")); p++) {
        struct slice one = { p + 11, strcspn(p + 11, "\"") };

        if (mail.n)
            ck_assert(slice_eq(one, mail));
        mail = one;
        same++;
    }
    ck_assert_uint_eq(same, TURNS * (TURNS + 1) / 2);
    ck_assert(!slice_is(mail, "ob7@corp.com"));
    buf_release(&out);
}
END_TEST

START_TEST(a_greeting_joins_no_dialogues)
{
    struct curate_result r;

    for (int d = 0; d < DIALOGUES; d++)
        for (int t = 0; t < TURNS; t++)
            (void)add_turn(d, t, "Hi");
    r = log_curate();
    ck_assert_uint_ge(r.groups, DIALOGUES);
    ck_assert_uint_le(r.groups, DIALOGUES + 1);
}
END_TEST

static void put_call(const char *dialect, const char *id, const char *request,
                     const char *response, int dialogue)
{
    struct store_call s = store_call_none();
    char name[64], talk[16];
    bool added;

    log_clock_us += INT64_C(3600000000);
    (void)snprintf(name, sizeof(name), "%lld", (long long)log_clock_us);
    (void)snprintf(talk, sizeof(talk), "%d", dialogue);
    s.key = slice_of(name);
    s.time_us = log_clock_us;
    s.dialect = slice_of(dialect);
    s.status = slice_of("completed");
    s.response_id = slice_of(id);
    s.error = slice_of(talk);
    s.request = slice_of(request);
    s.response = slice_of(response);
    ck_assert_int_eq(store_call_add(log_store, &s, &added, NULL), 0);
    ck_assert(added);
}

/* The marked message is told to be cached; a turn later it is none. */
static char *anthropic_turn(int d, int t)
{
    struct buf q = { 0 };

    buf_str(&q, "{\"model\":\"claude-x\",\"max_tokens\":9,\"system\":\"Help.\","
                "\"messages\":[");
    for (int i = 0; i <= t; i++) {
        if (i)
            buf_printf(&q, ",{\"role\":\"assistant\",\"content\":\"%d, %d\"},",
                       d * 31, i - 1);
        buf_printf(&q,
                   i < t
                       ? "{\"role\":\"user\",\"content\":\"%d.%d: ask\"}"
                       : "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                         "\"text\":\"%d.%d: ask\",\"cache_control\":{\"type\":"
                         "\"ephemeral\"}}]}",
                   d, i);
    }
    buf_str(&q, "]}");
    return q.data;
}

static char *gemini_turn(int d, int t)
{
    struct buf q = { 0 };

    buf_str(&q, "{\"contents\":[");
    for (int i = 0; i <= t; i++)
        buf_printf(&q,
                   "%s{\"role\":\"user\",\"parts\":[{\"text\":\"%d.%d: ask\"}]}"
                   "%s",
                   i ? "," : "", d, i,
                   i < t ? ",{\"role\":\"model\",\"parts\":[{\"text\":\"so\"}]}"
                         : "");
    buf_str(&q, "]}");
    return q.data;
}

/* All again, or what is new alone, behind the answer before it. */
static char *responses_turn(int d, int t, bool alone)
{
    struct buf q = { 0 };

    buf_str(&q, "{\"model\":\"m\",\"instructions\":\"Help.\",");
    if (alone && t)
        buf_printf(&q, "\"previous_response_id\":\"resp_%d_%d\",", d, t - 1);
    buf_str(&q, "\"input\":[");
    for (int i = alone ? t : 0; i <= t; i++) {
        buf_printf(&q, "{\"role\":\"user\",\"content\":\"%d.%d: ask\"}", d, i);
        if (i < t)
            buf_str(&q, ",{\"role\":\"assistant\",\"content\":\"so\"},");
    }
    buf_str(&q, "]}");
    return q.data;
}

static void put_turn(int api, int d, int t)
{
    static const char *const dialects[] = { "anthropic", "gemini",
                                            "openai-responses",
                                            "openai-responses" };
    static const char *const answers[][2] = {
        { "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
          "\"text\",\"text\":\"",
          "\"}],\"stop_reason\":\"end_turn\"}" },
        { "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{"
          "\"text\":\"",
          "\"}]},\"finishReason\":\"STOP\"}]}" },
        { "{\"status\":\"completed\",\"output\":[{\"type\":\"message\","
          "\"role\":"
          "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"",
          "\"}]}]}" },
    };
    size_t answer = api < 2 ? (size_t)api : 2;
    char *q = api == 0   ? anthropic_turn(d, t)
              : api == 1 ? gemini_turn(d, t)
                         : responses_turn(d, t, api == 3);
    struct buf a = { 0 };
    char id[32];

    buf_printf(&a, "%s%d, %d%s", answers[answer][0], d * 31, t,
               answers[answer][1]);
    (void)snprintf(id, sizeof(id), "resp_%d_%d", d, t);
    put_call(dialects[api], api == 3 ? id : "", q, a.data, d);
    buf_release(&a);
    free(q);
}

/* Their turns were a group each: their lists have other names, or a mark that
 * moves on. */
START_TEST(dialogues_of_other_apis_are_not_divided)
{
    struct curate_result r;

    for (int t = 0; t < TURNS; t++)
        for (int d = 0; d < DIALOGUES; d++)
            put_turn(_i, d, t);
    r = log_curate();
    ck_assert_uint_eq(r.reasons[CURATE_KEPT], TURNS * DIALOGUES);
    ck_assert_uint_eq(r.groups, DIALOGUES);
    ck_assert_int_eq(divided("split"), 0);
    ck_assert_int_eq(divided("groups"), 0);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("curate_dialogues", log_begin, log_end);
    int rc;

    tcase_add_test(c, dialogues_without_ids_are_not_divided);
    tcase_add_test(c, a_clock_in_the_prompt_divides_no_dialogue);
    tcase_add_test(c, turns_that_come_later_join_their_dialogue);
    tcase_add_test(c, a_beginning_that_comes_last_divides_nothing);
    tcase_add_test(c, a_dialogue_without_an_id_has_one_surrogate_for_a_value);
    tcase_add_test(c, a_greeting_joins_no_dialogues);
    tcase_add_loop_test(c, dialogues_of_other_apis_are_not_divided, 0, 4);
    rc = suite_run("curate_dialogues", c);
    log_release();
    return rc;
}

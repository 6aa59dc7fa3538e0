/* test_curate_dialogues.c - calls without an id that go on from one another */
#include "suite.h"

#include "base/mem.h"
#include "curate_log.h"

#include <stdio.h>
#include <stdlib.h>

#define DIALOGUES 60
#define TURNS 3

/* Turn t of dialogue d repeats all before it. */
static int64_t add_turn(int d, int t, const char *hello)
{
    struct store_call s = store_call_none();
    struct buf q = { 0 }, a = { 0 };
    char name[32];
    bool added;

    buf_str(&q, "{\"messages\":[{\"role\":\"system\",\"content\":\"Help.\"}");
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

int main(void)
{
    TCase *c = suite_case("curate_dialogues", log_begin, log_end);
    int rc;

    tcase_add_test(c, dialogues_without_ids_are_not_divided);
    tcase_add_test(c, turns_that_come_later_join_their_dialogue);
    tcase_add_test(c, a_beginning_that_comes_last_divides_nothing);
    tcase_add_test(c, a_dialogue_without_an_id_has_one_surrogate_for_a_value);
    tcase_add_test(c, a_greeting_joins_no_dialogues);
    rc = suite_run("curate_dialogues", c);
    log_release();
    return rc;
}

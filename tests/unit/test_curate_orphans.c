/*
 * test_curate_orphans.c - equal calls: how many, and which of them stays
 *
 * Answers that were dropped as duplicates come back when what they are like
 * goes, and runs over parts of a log say what one run over all says.
 */
#include "curate_log.h"
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"

#include <time.h>

#define HOUR 3600

START_TEST(equal_inputs_take_linear_time)
{
    const size_t count = 200000;
    clock_t began;

    for (int talk = 0; talk < 2; talk++) {
        struct curate_index *x;
        struct curate_item it = { 0 };

        ck_assert_int_eq(curate_index_load(log_store, 0, NULL, &log_key,
                                           curate_filters_default(), &x, NULL),
                         0);
        if (talk)
            buf_str(&it.conversation, "conversation");
        began = clock();
        for (size_t i = 0; i < count; i++) {
            int64_t superseded, instead;

            it.id = (int64_t)i + 1;
            it.time_us = (int64_t)i;
            it.latency_us = 1000000; /* samples: none waits for another */
            it.reason = CURATE_KEPT;
            it.hashed = true;
            memcpy(it.answer, &i, sizeof(i));
            curate_index_add(x, &it, &superseded, &instead);
            ck_assert_int_eq(it.reason, CURATE_KEPT);
        }
        /* quadratic: minutes */
        ck_assert_msg(clock() - began < 10 * CLOCKS_PER_SEC, "%g s",
                      (double)(clock() - began) / CLOCKS_PER_SEC);
        buf_release(&it.conversation);
        curate_index_free(x);
    }
}
END_TEST

START_TEST(the_number_of_equal_inputs_is_right_in_each_run)
{
    int64_t a = log_call("x", "1", "why?", "so", HOUR), b, c;
    const struct store_erase gone = { .conversation = "2" };
    struct store_removed removed;

    (void)log_curate();
    log_expect(a, "repeats", "1");
    b = log_call("x", "2", "why?", "so", HOUR);
    c = log_call("x", "3", "why?", "thus", HOUR);
    (void)log_curate();
    log_expect(a, "repeats", "3");
    log_expect(b, "reason", "duplicate");
    log_expect(c, "repeats", "3");
    log_reopen();
    ck_assert_int_eq(store_erase(log_store, &gone, &removed, NULL), 0);
    ck_assert_int_eq(removed.calls, 1);
    (void)log_curate();
    log_expect(a, "repeats", "2");
}
END_TEST

START_TEST(a_good_answer_comes_back_when_its_original_is_retired)
{
    int64_t a = log_call("x", "1", "which?", "red", HOUR),
            b = log_call("y", "2", "which?", "red", 1),
            c = log_call("z", "3", "which?", "red", 1), d;

    (void)log_curate();
    log_expect(a, "kept", "1");
    log_expect_call(b, "duplicate_of", a);
    log_expect_call(c, "duplicate_of", a);
    d = log_call("x", "1", "which?", "blue", 1);
    (void)log_curate();
    log_expect(a, "reason", "retried");
    log_expect_call(a, "duplicate_of", d);
    log_expect(b, "kept", "1");
    log_expect(b, "split NOTNULL", "1");
    log_expect_call(c, "duplicate_of", b);
    ck_assert(!log_curate().settled);
}
END_TEST

START_TEST(what_nobody_used_does_not_come_back)
{
    int64_t a = log_call("x", "1", "which?", "red", HOUR),
            b = log_call("y", "2", "which?", "red", 1);

    (void)log_call("y", "2", "which?", "green", 1);
    (void)log_curate();
    log_expect_call(b, "duplicate_of", a);
    (void)log_call("x", "1", "which?", "blue", 1);
    (void)log_curate();
    log_expect(a, "reason", "retried");
    log_expect(b, "kept", "0");
}
END_TEST

START_TEST(a_good_answer_comes_back_when_its_original_is_erased)
{
    int64_t a = log_call("ada", "1", "which?", "red", HOUR),
            b = log_call("bob", "2", "which?", "red", HOUR),
            c = log_call("bob", "3", "Which!", "red", HOUR); /* near */
    const struct store_erase gone = { .client = "ada" };
    struct store_removed removed;

    (void)log_curate();
    log_expect_call(b, "duplicate_of", a);
    log_expect(c, "reason", "near_duplicate");
    log_reopen();
    ck_assert_int_eq(store_erase(log_store, &gone, &removed, NULL), 0);
    ck_assert_int_eq(log_curate().fresh, 0);
    log_expect(b, "kept", "1");
    log_expect(b, "split NOTNULL", "1");
    log_expect_call(c, "duplicate_of", b);
}
END_TEST

START_TEST(a_near_answer_comes_back_when_its_original_is_erased)
{
    int64_t a = log_call("ada", "1", "which?", "red", HOUR),
            b = log_call("bob", "2", "Which!", "red", HOUR);
    const struct store_erase gone = { .client = "ada" };
    struct store_removed removed;

    (void)log_curate();
    log_expect(a, "kept", "1");
    log_expect(b, "reason", "near_duplicate");
    log_reopen();
    ck_assert_int_eq(store_erase(log_store, &gone, &removed, NULL), 0);
    (void)log_curate();
    log_expect(b, "kept", "1");
    log_expect(b, "split NOTNULL", "1");
}
END_TEST

/* Neither how many there are nor their times and rewards change. */
/* As if another process removed it between two statements of this one. */
static void remove_call(int64_t call)
{
    char text[120];

    (void)snprintf(text, sizeof(text),
                   "PRAGMA foreign_keys = OFF; DELETE FROM logged WHERE id = "
                   "%lld; PRAGMA foreign_keys = ON",
                   (long long)call);
    ck_assert_int_eq(sql_exec(store_sql(log_store), text, NULL), 0);
}

START_TEST(a_call_removed_meanwhile_does_not_write_another_again)
{
    struct store_outcome better = { .answer = slice_of("green") };
    int64_t a = log_call("x", "1", "which?", "red", HOUR),
            b = log_call("y", "2", "which?", "red", 1), c;

    (void)log_curate();
    log_expect_call(b, "duplicate_of", a);
    ck_assert_int_eq(store_outcome_set(log_store, b, &better, NULL), 0);
    remove_call(b);
    c = log_call("z", "3", "and why?", "so", 1);
    (void)log_curate();
    log_expect(c, "kept", "1");
    log_expect(c, "groups != (SELECT groups FROM example ORDER BY call)", "1");
}
END_TEST

START_TEST(a_label_that_is_changed_later_is_judged_anew)
{
    static const char condition[] = "outcome.label=good";
    const char *text = condition;
    struct curate_require *r;
    struct store_outcome o = { .came_with_call = true,
                               .label = slice_of("good") };
    int64_t a = log_call("x", "1", "which?", "red", HOUR);

    ck_assert_int_eq(curate_require_new(condition, &r, NULL), 0);
    log_options.require = &r;
    ck_assert_int_eq(store_outcome_set(log_store, a, &o, NULL), 0);
    log_options.require_text = &text;
    log_options.require_count = 1;
    (void)log_curate();
    log_expect(a, "kept", "1");
    o.label = slice_of("evil");
    ck_assert_int_eq(store_outcome_set(log_store, a, &o, NULL), 0);
    ck_assert(log_curate().settled);
    log_expect(a, "reason", "required");
    ck_assert(!log_curate().settled);
    curate_require_free(r);
}
END_TEST

START_TEST(an_outcome_of_one_call_says_nothing_of_its_conversation)
{
    const struct store_outcome bad = { .has_reward = true, .reward = -1 };
    int64_t a = log_call("x", "conversation", "first?", "red", HOUR),
            b = log_call("x", "conversation", "second?", "green", 1),
            c = log_call("x", "conversation", "third?", "blue", 1);

    (void)log_curate();
    ck_assert_int_eq(store_outcome_set(log_store, b, &bad, NULL), 0);
    ck_assert(log_curate().settled);
    log_expect(a, "kept", "1");
    log_expect(b, "reason", "negative");
    log_expect(c, "kept", "1");
}
END_TEST

/* What passes say of all calls, as one text: later calls may settle it so that
 * an example is dropped. */
static char *decisions(void)
{
    struct buf text = { 0 };
    struct sql_stmt *q;

    ck_assert_int_eq(sql_get(store_sql(log_store),
                             "SELECT call, CASE WHEN request NOTNULL THEN "
                             "'example ' || repeats ELSE reason || ' ' || "
                             "ifnull(duplicate_of, 0) END FROM example ORDER "
                             "BY call",
                             &q, NULL),
                     0);
    while (sql_step(q, NULL) == 1)
        buf_printf(&text, "%lld %.*s\n", (long long)sql_int(q, 0),
                   (int)sql_text(q, 1).n, sql_text(q, 1).p);
    return text.data;
}

static void draw_calls(struct rng *r, int count)
{
    static const char *const asks[] = { "who?", "what?", "when?" };
    static const char *const says[] = { "this", "that" };
    static const char *const talks[] = { "1", "2", "3", "" };

    for (int i = 0; i < count; i++)
        (void)log_call("x", talks[rng_below(r, 4)], asks[rng_below(r, 3)],
                       says[rng_below(r, 2)], (int)rng_below(r, 400));
}

START_TEST(runs_over_parts_say_what_one_run_says)
{
    for (unsigned seed = 0; seed < 12; seed++) {
        char *whole, *parts;
        struct rng r;

        rng_init(&r, seed);
        draw_calls(&r, 40);
        (void)log_curate();
        whole = decisions();
        log_end();
        log_begin();
        rng_init(&r, seed);
        for (int i = 0; i < 8; i++) {
            draw_calls(&r, 5);
            (void)log_curate();
        }
        parts = decisions();
        ck_assert_msg(strcmp(whole, parts) == 0, "%u:\n%s\n%s", seed, whole,
                      parts);
        free(whole);
        free(parts);
        log_end();
        log_begin();
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("orphans");
    int rc;

    tcase_add_checked_fixture(c, log_begin, log_end);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, equal_inputs_take_linear_time);
    tcase_add_test(c, the_number_of_equal_inputs_is_right_in_each_run);
    tcase_add_test(c, a_good_answer_comes_back_when_its_original_is_retired);
    tcase_add_test(c, what_nobody_used_does_not_come_back);
    tcase_add_test(c, a_good_answer_comes_back_when_its_original_is_erased);
    tcase_add_test(c, a_near_answer_comes_back_when_its_original_is_erased);
    tcase_add_test(c, a_call_removed_meanwhile_does_not_write_another_again);
    tcase_add_test(c, a_label_that_is_changed_later_is_judged_anew);
    tcase_add_test(c, an_outcome_of_one_call_says_nothing_of_its_conversation);
    tcase_add_test(c, runs_over_parts_say_what_one_run_says);
    rc = suite_run("curate_orphans", c);
    log_release();
    return rc;
}

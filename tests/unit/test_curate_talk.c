/*
 * test_curate_talk.c - what one call of a conversation tells, all of them know
 */
#include "curate_log.h"
#include "suite.h"

#include <stdlib.h>

/* The message that was asked, or the answer, as it was written; caller frees.
 */
static char *written(int64_t call, bool answer)
{
    struct buf text = { 0 };
    struct store_body b;
    struct sql_stmt *q;
    int64_t response;

    ck_assert_int_eq(sql_get(store_sql(log_store),
                             "SELECT request, request_at, node, response FROM "
                             "example WHERE call = ?",
                             &q, NULL),
                     0);
    sql_bind_int(q, 1, call);
    ck_assert_int_eq(sql_step(q, NULL), 1);
    b = (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    response = sql_int(q, 3);
    sql_reset(q);
    ck_assert_int_eq(answer ? store_blob_get(log_store, response, &text, NULL)
                            : store_body_get(log_store, b, &text, NULL),
                     0);
    return text.data;
}

static void expect_gone(int64_t call, const char *value)
{
    for (int answer = 0; answer < 2; answer++) {
        char *text = written(call, answer);

        ck_assert_msg(strstr(text, value) == NULL, "%s is in %s", value, text);
        free(text);
    }
}

START_TEST(a_call_that_is_not_the_largest_tells_all_calls)
{
    int64_t first = log_call("x", "a", "Look for yara_garcia_1905", "yes", 700);
    int64_t last;

    (void)log_call("x", "a", "Write to yara_garcia_1905@x.org", "I did", 700);
    last = log_call("x", "a",
                    "This is by far the longest of all questions: is there a "
                    "yellow brick road that yara_garcia_1905 may follow?",
                    "For yara_garcia_1905 there is.", 700);
    (void)log_curate();
    expect_gone(first, "yara_garcia");
    expect_gone(last, "yara_garcia");
}
END_TEST

START_TEST(an_answer_that_no_later_call_repeats_tells_all_calls)
{
    int64_t first = log_call("x", "a", "Is yara_garcia_1905 there?", "No.", 7);

    (void)log_call("x", "a", "How can she be asked, and by whom, and when?",
                   "By mail to yara_garcia_1905@x.org", 700);
    (void)log_curate();
    expect_gone(first, "yara_garcia");
}
END_TEST

START_TEST(a_surname_of_one_call_is_no_firm_in_another)
{
    int64_t one = log_call("x", "a", "Ticket 0: QUIXWRIGHT says it is down",
                           "Ok, noted ticket 0 for Quixwright.", 700);
    int64_t two = log_call("x", "a", "Hello, my name is Zorbelina Quixwright.",
                           "Good morning, Ms. Quixwright!", 700);
    char *a, *b, *from, *to;

    (void)log_curate();
    expect_gone(one, "QUIXWRIGHT");
    expect_gone(one, "Quixwright");
    a = written(one, true);
    b = written(two, true);
    from = strstr(a, "ticket 0 for ");
    ck_assert_ptr_nonnull(from);
    from += strlen("ticket 0 for ");
    to = strchr(from, '.');
    ck_assert_ptr_nonnull(to);
    *to = '\0';
    ck_assert_msg(strstr(b, from) != NULL, "%s is not in %s", from, b);
    free(a);
    free(b);
}
END_TEST

/* The new call is not the largest of its conversation. */
START_TEST(a_small_call_that_comes_late_has_older_examples_made_again)
{
    int64_t first = log_call("x", "a",
                             "A long question: what is to be done about all "
                             "that yara_garcia_1905 has said of the harbour?",
                             "Nothing.", 700);

    (void)log_curate();
    (void)log_call("x", "a", "Write to yara_garcia_1905@x.org", "I did", 700);
    (void)log_curate();
    expect_gone(first, "yara_garcia");
}
END_TEST

START_TEST(threads_do_not_change_what_is_known)
{
    char *text[2];

    for (unsigned run = 0; run < 2; run++) {
        int64_t first = 0;

        if (run) {
            log_end();
            log_begin();
        }
        log_options.threads = run ? 3 : 1;
        for (int i = 0; i < 40; i++) {
            char talk[8], ask[96];
            int64_t id;

            (void)snprintf(talk, sizeof(talk), "t%d", i % 8);
            (void)snprintf(ask, sizeof(ask),
                           i == 37 ? "Write to yara_garcia_1905@x.org"
                                   : "Question %d: who is yara_garcia_1905?",
                           i);
            id = log_call("x", talk, ask, "so", 700);
            first = i == 5 ? id : first;
        }
        (void)log_curate();
        expect_gone(first, "yara_garcia");
        text[run] = written(first, false);
    }
    ck_assert_str_eq(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}
END_TEST

START_TEST(a_conversation_that_is_too_large_is_told)
{
    struct curate_report_options o = { .rules = log_rules, .key = &log_key };
    struct curate_report r = { 0 };
    struct err err = { 0 };

    (void)log_call("x", "b", "Who is there?", "Nobody.", 700);
    (void)log_call("x", "b", "And now?", "Somebody.", 700);
    for (int i = 0; i < 1025; i++) {
        char ask[64];

        (void)snprintf(ask, sizeof(ask), "How much is %d and %d?", i, 7 * i);
        (void)log_call("x", "a", ask, "so", 700);
    }
    (void)log_curate();
    ck_assert_msg(curate_report_run(log_store, &o, &r, &err) == 0, "%s",
                  err.msg);
    ck_assert_uint_eq(r.limited, 1);
    curate_report_release(&r);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("talk");
    int rc;

    tcase_add_checked_fixture(c, log_begin, log_end);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_call_that_is_not_the_largest_tells_all_calls);
    tcase_add_test(c, an_answer_that_no_later_call_repeats_tells_all_calls);
    tcase_add_test(c, a_surname_of_one_call_is_no_firm_in_another);
    tcase_add_test(c,
                   a_small_call_that_comes_late_has_older_examples_made_again);
    tcase_add_test(c, threads_do_not_change_what_is_known);
    tcase_add_test(c, a_conversation_that_is_too_large_is_told);
    rc = suite_run("curate_talk", c);
    log_release();
    return rc;
}

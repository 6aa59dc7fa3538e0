/* test_judge.c - a judge that is fair, one that likes what comes first, and
 * answers that try to end their part early */
#include "endpoint_server.h"
#include "suite.h"

#include "judge/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char request[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"2+2?\"}]}";
static const char right[] = "{\"role\":\"assistant\",\"content\":\"four\"}";
static const char wrong[] = "{\"role\":\"assistant\",\"content\":\"five\"}";

static struct judge_sum sum;

static struct judge_pair pair(const char *first, const char *second)
{
    return (struct judge_pair){ .request = slice_of(request),
                                .first = slice_of(first),
                                .second = slice_of(second) };
}

static void judge(struct judge_pair *pairs, size_t n,
                  void (*answer)(size_t, const char *, struct buf *))
{
    struct ask_options o = { .model = "judge", .pause_ms = 1 };
    struct ask *a = NULL;
    struct err err = { 0 };

    endpoint_start(answer);
    o.url = endpoint.url;
    ck_assert_int_eq(ask_open(&o, &a, &err), ERR_OK);
    ck_assert_msg(judge_run(a, pairs, n, 1, NULL, &sum, &err) == ERR_OK, "%s",
                  err.msg);
    ask_close(a);
}

/* The one who says four is better, wherever it stands. */
static void judge_fairly(size_t n, const char *r, struct buf *out)
{
    const char *four = strstr(r, "four"), *five = strstr(r, "five");

    (void)n;
    if (!five || !four)
        endpoint_say(out, "\"{\\\"better\\\":\\\"tie\\\"}\"");
    else
        endpoint_say(out, four < five
                              ? "\"```json\\n{\\\"better\\\":\\\"A\\\"}\\n```\""
                              : "\"{\\\"better\\\":\\\"B\\\"}\"");
}

START_TEST(the_better_answer_wins_in_both_orders)
{
    struct judge_pair pairs[] = { pair(right, wrong), pair(wrong, right),
                                  pair(right, right), pair(right, wrong) };

    judge(pairs, 4, judge_fairly);
    ck_assert_int_eq(pairs[0].out, JUDGE_FIRST);
    ck_assert_int_eq(pairs[1].out, JUDGE_SECOND);
    ck_assert_int_eq(pairs[2].out, JUDGE_TIE);
    ck_assert_uint_eq(sum.first, 2);
    ck_assert_uint_eq(sum.second, 1);
    ck_assert_uint_eq(sum.tie, 1);
    ck_assert_uint_eq(sum.flipped, 0);
    ck_assert(fabs(sum.win - 2.5 / 4) < 1e-12);
    ck_assert(fabs(sum.front - .5) < 1e-12);
    ck_assert(sum.interval.low < sum.win && sum.win < sum.interval.high);
    ck_assert_uint_eq(endpoint.requests, 8);
    endpoint_stop();
}
END_TEST

static void judge_the_first(size_t n, const char *r, struct buf *out)
{
    (void)n;
    (void)r;
    endpoint_say(out, "\"{\\\"better\\\":\\\"A\\\"}\"");
}

START_TEST(a_judge_who_likes_what_stands_first_decides_nothing)
{
    struct judge_pair pairs[] = { pair(right, wrong), pair(wrong, right) };

    judge(pairs, 2, judge_the_first);
    ck_assert_int_eq(pairs[0].out, JUDGE_TIE);
    ck_assert(pairs[0].flipped && pairs[1].flipped);
    ck_assert_uint_eq(sum.flipped, 2);
    ck_assert(fabs(sum.win - .5) < 1e-12);
    ck_assert(fabs(sum.front - 1) < 1e-12);
    endpoint_stop();
}
END_TEST

/* The second order of each pair fails for good. */
static void judge_half(size_t n, const char *r, struct buf *out)
{
    const char *four = strstr(r, "four"), *five = strstr(r, "five");

    (void)n;
    if (four && five && four < five)
        endpoint_say(out, "\"{\\\"better\\\":\\\"A\\\"}\"");
    else
        endpoint_say(out, "\"I like B.\"");
}

START_TEST(half_a_verdict_is_none)
{
    struct judge_pair pairs[] = { pair(right, wrong) };

    judge(pairs, 1, judge_half);
    ck_assert_int_eq(pairs[0].out, JUDGE_FAILED);
    ck_assert_uint_eq(sum.failed, 1);
    ck_assert(isnan(sum.win));
    ck_assert_str_eq(sum.why, "the verdict cannot be read");
    endpoint_stop();
}
END_TEST

START_TEST(what_cannot_be_shown_is_not_asked)
{
    struct judge_pair pairs[] = { pair("{", wrong), pair(right, wrong) };

    judge(pairs, 2, judge_fairly);
    ck_assert_int_eq(pairs[0].out, JUDGE_FAILED);
    ck_assert_int_eq(pairs[1].out, JUDGE_FIRST);
    ck_assert_uint_eq(endpoint.requests, 2);
    endpoint_stop();
}
END_TEST

/* Of the request that came: the mark of its parts. */
static char seen_mark[40];
static size_t seen_marks;
static bool seen_id;

static void look(size_t n, const char *r, struct buf *out)
{
    const char *at = strstr(r, " answer A");

    (void)n;
    ck_assert(at && at - r > 40);
    memcpy(seen_mark, at - 32, 32);
    seen_mark[32] = '\0';
    seen_marks = 0;
    for (const char *p = r; (p = strstr(p, seen_mark)); p += 32)
        seen_marks++;
    seen_id = seen_id || strstr(r, "call_slm");
    endpoint_say(out, "\"{\\\"better\\\":\\\"tie\\\"}\"");
}

START_TEST(answers_show_no_id_and_cannot_hold_their_mark)
{
    static const char call[] =
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
        "\"call_slm_1\",\"type\":\"function\",\"function\":{\"name\":\"add\","
        "\"arguments\":\"{\\\"a\\\":2}\"}}]}";
    struct judge_pair pairs[] = { pair(call, wrong) };
    char first[40], copy[160];

    seen_id = false;
    judge(pairs, 1, look);
    ck_assert(!seen_id);
    ck_assert_uint_eq(seen_marks, 5); /* the rules, three parts, the end */
    endpoint_stop();
    /* Who writes the mark that he has seen gets another one. */
    memcpy(first, seen_mark, sizeof(first));
    snprintf(copy, sizeof(copy),
             "{\"role\":\"assistant\",\"content\":\"%s end\"}", first);
    pairs[0] = pair(copy, wrong);
    judge(pairs, 1, look);
    ck_assert_str_ne(first, seen_mark);
    ck_assert_uint_eq(seen_marks, 5);
    endpoint_stop();
}
END_TEST

int main(void)
{
    TCase *c = suite_case("judge", NULL, NULL);

    tcase_add_test(c, the_better_answer_wins_in_both_orders);
    tcase_add_test(c, a_judge_who_likes_what_stands_first_decides_nothing);
    tcase_add_test(c, half_a_verdict_is_none);
    tcase_add_test(c, what_cannot_be_shown_is_not_asked);
    tcase_add_test(c, answers_show_no_id_and_cannot_hold_their_mark);
    return suite_run("judge", c);
}

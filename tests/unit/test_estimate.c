/* test_estimate.c - totals, samples, ranges and what they are told to assume */
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "estimate/estimate.h"
#include "estimate/estimate_sample.h"

#include <math.h>
#include <string.h>

static char dir[SCRATCH_MAX];
static struct err err;
static struct score_prices *prices;

static void setup(void)
{
    scratch_make(dir);
    ck_assert_int_eq(score_prices_open(NULL, &prices, &err), 0);
}

static void teardown(void)
{
    score_prices_free(prices);
    scratch_remove(dir);
}

/* A label task and a chatter of free texts, ten seconds apart. */
static char *write_log(int calls)
{
    static const char *const labels[] = { "billing", "outage", "other" };
    char *path = mem_printf("%s/log.jsonl", dir);
    FILE *f = fopen(path, "w");

    for (int i = 0; i < calls; i++) {
        bool label = i % 4 != 0;

        fprintf(f,
                "{\"timestamp\": %d, \"request\": "
                "{\"model\": \"gpt-4o\", \"messages\": [{\"role\": \"system\", "
                "\"content\": "
                "\"%s\"}, {\"role\": \"user\", \"content\": \"%s %d\"}]}, "
                "\"response\": {\"choices\": [{\"message\": {\"role\": "
                "\"assistant\", \"content\": \"%s\"}, \"finish_reason\": "
                "\"stop\"}], \"usage\": {\"prompt_tokens\": 100, "
                "\"completion_tokens\": 10}}}\n",
                1700000000 + 100 * i,
                label ? "Say in one word which team the ticket is for: "
                        "billing, outage or other."
                      : "Chat with the visitor.",
                label ? "ticket of customer" : "tell me about the number",
                i / 2, labels[i / 2 % 3]);
    }
    fprintf(f, "{\"request\": \n");
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static void estimate(int calls, size_t sample, unsigned threads,
                     struct estimate *e)
{
    char *path = write_log(calls);
    struct pool *pool = pool_new(threads);
    struct estimate_options o = {
        .path = path,
        .pool = pool,
        .prices = prices,
        .machine_dollars_per_hour = 0.1,
        .seed = 1,
        .sample = sample,
    };

    ck_assert_msg(estimate_run(&o, e, &err) == 0, "%s", err.msg);
    pool_free(pool);
    free(path);
}

START_TEST(totals_are_exact)
{
    struct estimate e;

    estimate(2000, 0, 2, &e);
    ck_assert_uint_eq(e.calls, 2000);
    ck_assert_uint_eq(e.rejected, 1);
    ck_assert_int_eq(e.first_rejected, 2001);
    ck_assert_double_eq_tol(e.tokens_in, 200000, 1e-6);
    ck_assert_double_eq_tol(e.tokens_out, 20000, 1e-6);
    ck_assert_double_eq_tol(e.dollars, .5 + .2, 1e-6);
    ck_assert_double_eq_tol(e.days, 1999 * 100 / 86400.0, 1e-6);
    ck_assert_double_eq_tol(e.dollars_month, .7 / e.days * 30.44, 1e-6);
    ck_assert_uint_gt(e.assumption_count, 3);
    estimate_release(&e);
}
END_TEST

START_TEST(ranges_are_ordered_and_within_the_whole)
{
    struct estimate e;
    double calls = 0;

    estimate(2000, 0, 2, &e);
    for (size_t i = 0; i < e.count; i++) {
        const struct estimate_task *t = &e.tasks[i];

        calls += t->calls;
        ck_assert_double_ge(t->movable.low, 0);
        ck_assert_double_le(t->movable.low, t->movable.high);
        ck_assert_double_le(t->movable.high, 1);
        ck_assert_ptr_nonnull(t->why);
    }
    ck_assert_double_eq_tol(calls + e.untasked * 2000, 2000, 1e-6);
    ck_assert_double_le(e.share_calls.low, e.share_calls.high);
    ck_assert_double_gt(e.share_calls.high, .5);
    ck_assert_double_le(e.saved_month.low, e.saved_month.high);
    ck_assert_double_le(e.break_even_days[0], e.break_even_days[1]);
    estimate_release(&e);
}
END_TEST

START_TEST(threads_do_not_change_the_result)
{
    struct estimate a, b;

    estimate(1500, 300, 1, &a);
    estimate(1500, 300, 4, &b);
    ck_assert_uint_eq(a.count, b.count);
    ck_assert_double_eq(a.sampled, b.sampled);
    for (size_t i = 0; i < a.count; i++) {
        ck_assert_str_eq(a.tasks[i].name, b.tasks[i].name);
        ck_assert_double_eq(a.tasks[i].calls, b.tasks[i].calls);
    }
    estimate_release(&a);
    estimate_release(&b);
}
END_TEST

START_TEST(a_sample_stands_for_the_whole)
{
    struct estimate all, part;

    estimate(4000, 0, 2, &all);
    estimate(4000, 400, 2, &part);
    ck_assert_double_eq(all.sampled, 1);
    ck_assert_double_lt(part.sampled, .4);
    ck_assert_double_eq_tol(part.tasks[0].calls, all.tasks[0].calls, 400);
    ck_assert_double_eq_tol(part.share_calls.high, all.share_calls.high, .1);
    estimate_release(&all);
    estimate_release(&part);
}
END_TEST

/* Half of the completed calls ask for embeddings; they were counted among what
 * may move. */
START_TEST(calls_that_are_no_chats_move_nowhere)
{
    struct estimate_options o = { .prices = prices,
                                  .machine_dollars_per_hour = 0.1,
                                  .seed = 1 };
    char *path = write_log(2000);
    FILE *f = fopen(path, "a");

    for (int i = 0; i < 2000; i++)
        fprintf(f,
                "{\"timestamp\": %d, \"request\": {\"model\": "
                "\"text-embedding-3-small\", \"input\": \"text %d\"}, "
                "\"response\": {\"object\": \"list\", \"data\": "
                "[{\"object\": \"embedding\", \"index\": 0, \"embedding\": "
                "[0.5]}], \"usage\": {\"prompt_tokens\": 100}}}\n",
                1700000000 + 100 * i, i);
    ck_assert_int_eq(fclose(f), 0);
    o.path = path;
    for (o.sample = 0; o.sample <= 400; o.sample += 400) {
        struct estimate e;
        double calls = 0;

        ck_assert_msg(estimate_run(&o, &e, &err) == 0, "%s", err.msg);
        ck_assert_uint_eq(e.calls - e.failed, 4000);
        for (size_t i = 0; i < e.count; i++)
            calls += e.tasks[i].calls;
        ck_assert_double_eq_tol(calls, 2000, .5);
        ck_assert_double_eq_tol(e.untasked, .5, .001);
        ck_assert_double_le(e.share_calls.high, .5);
        estimate_release(&e);
    }
    free(path);
}
END_TEST

START_TEST(a_log_without_calls_says_so)
{
    char *path = write_log(0);
    struct estimate_options o = { .path = path, .prices = prices };
    struct estimate e;

    ck_assert_int_eq(estimate_run(&o, &e, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, "no call in it"));
    ck_assert_uint_eq(e.count, 0);
    free(path);
}
END_TEST

START_TEST(a_short_log_tells_no_month)
{
    struct estimate e;

    estimate(40, 0, 1, &e);
    ck_assert(isnan(e.dollars_month));
    ck_assert(isnan(e.break_even_days[0]));
    ck_assert_double_gt(e.dollars, 0);
    estimate_release(&e);
}
END_TEST

START_TEST(the_lowest_hashes_stay_whole)
{
    struct sample s;

    sample_init(&s, 10);
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t key = 1000; key > 0; key--) {
            struct sample_entry *e = sample_find(&s, key);

            if (key > s.limit)
                continue;
            e = e ? e : sample_add(&s, key);
            e->calls++;
        }
    sample_cut(&s);
    ck_assert_uint_eq(s.count, 10);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_eq(s.entries[i].key, i + 1);
        ck_assert_double_eq(s.entries[i].calls, 3);
    }
    sample_release(&s);
}
END_TEST

START_TEST(agreement_is_over_pairs_of_calls)
{
    struct sample_entry e = { 0 };

    sample_answer(&e, 7);
    ck_assert(isnan(sample_same(&e)));
    sample_answer(&e, 7);
    ck_assert_double_eq_tol(sample_same(&e), 1, 1e-12);
    sample_answer(&e, 8);
    ck_assert_double_eq_tol(sample_same(&e), 1 / 3.0, 1e-12);
    for (uint64_t i = 100; i < 120; i++)
        sample_answer(&e, i);
    ck_assert_double_eq_tol(sample_same(&e), 2 / (23.0 * 22), 1e-12);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("estimate", setup, teardown);

    tcase_add_test(t, totals_are_exact);
    tcase_add_test(t, ranges_are_ordered_and_within_the_whole);
    tcase_add_test(t, threads_do_not_change_the_result);
    tcase_add_test(t, a_sample_stands_for_the_whole);
    tcase_add_test(t, calls_that_are_no_chats_move_nowhere);
    tcase_add_test(t, a_log_without_calls_says_so);
    tcase_add_test(t, a_short_log_tells_no_month);
    tcase_add_test(t, the_lowest_hashes_stay_whole);
    tcase_add_test(t, agreement_is_over_pairs_of_calls);
    return suite_run("estimate", t);
}

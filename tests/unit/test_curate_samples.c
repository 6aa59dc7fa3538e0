/*
 * test_curate_samples.c - texts of which only a sample of shingles is held
 */
#include "curate_log.h"
#include "suite.h"

#include "base/mem.h"

#define DAY 86400

/* Words number from to to, with number `odd` changed, then each `step`th. */
static char *numbered(int from, int to, int odd, int step)
{
    struct buf text = { 0 };

    for (int i = from; i < to; i++)
        buf_printf(&text, "%s%d ",
                   i >= odd && (i - odd) % step == 0 ? "x" : "w", i);
    return text.data;
}

/* Twenty words of 40,000 change a hundred shingles, of which a sample of 1,024
 * had two or three. */
START_TEST(long_texts_that_differ_in_many_words_stay)
{
    char *one = numbered(0, 40000, 50000, 1),
         *other = numbered(0, 40000, 100, 2000),
         *same = numbered(0, 40000, 39999, 1);
    int64_t a = log_call("x", "1", one, "so", DAY),
            b = log_call("x", "2", other, "so", DAY),
            c = log_call("x", "3", same, "so", DAY);

    (void)log_curate();
    log_expect(a, "kept", "1");
    log_expect(b, "kept", "1");
    log_expect(c, "reason", "near_duplicate");
    log_expect_call(b, "cluster", a); /* near all the same */
    free(one);
    free(other);
    free(same);
}
END_TEST

START_TEST(a_text_that_was_cut_short_is_with_the_whole)
{
    char *whole = numbered(0, 30000, 50000, 1),
         *part = numbered(0, 300, 50000, 1);
    int64_t a, b;

    a = log_call("x", "first", part, "so", DAY);
    for (int i = 1; i < 30; i++) {
        char *text = numbered(100000 * i, 100000 * i + 50, 1 << 30, 1),
             talk[32];

        (void)snprintf(talk, sizeof(talk), "talk %d", i);
        (void)log_call("x", talk, text, "thus", DAY);
        free(text);
    }
    b = log_call("x", "last one", whole, "so", DAY);
    log_options.by_time = true;
    (void)log_curate();
    log_expect(b, "kept", "1");
    log_expect(a,
               "split = (SELECT split FROM example o WHERE o.call = "
               "(SELECT max(call) FROM example))",
               "1");
    free(whole);
    free(part);
}
END_TEST

START_TEST(samples_shrink_to_fit_the_memory)
{
    uint64_t *examples =
        mem_zalloc((CURATE_SHINGLES_MAX + 1) * sizeof(*examples));

    examples[10] = 100;
    examples[50] = 10;
    examples[CURATE_SHINGLES_MAX] = 2;
    ck_assert_uint_eq(curate_rows_limit(examples, UINT64_MAX),
                      CURATE_SHINGLES_MAX);
    ck_assert_uint_eq(curate_rows_limit(examples, 0), 0);
    ck_assert_uint_eq(curate_rows_limit(examples, 112 * 10), 10);
    ck_assert_uint_eq(curate_rows_limit(examples, 112 * 10 + 11), 10);
    ck_assert_uint_eq(curate_rows_limit(examples, 112 * 10 + 12), 11);
    ck_assert_uint_eq(curate_rows_limit(examples, 1000 + 500 + 2 * 1000), 1000);
    free(examples);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("samples");
    int rc;

    tcase_add_checked_fixture(c, log_begin, log_end);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, long_texts_that_differ_in_many_words_stay);
    tcase_add_test(c, a_text_that_was_cut_short_is_with_the_whole);
    tcase_add_test(c, samples_shrink_to_fit_the_memory);
    rc = suite_run("curate_samples", c);
    log_release();
    return rc;
}

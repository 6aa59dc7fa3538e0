/* test_scrub_torture.c - patterns and texts that are made to hurt
 */
#include "scrub_fixture.h"
#include "suite.h"

#include "base/clock.h"
#include "scrub/scrub_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(patterns_that_explode_are_refused)
{
    static const char *const patterns[] = {
        "^(a+)+$",         "(?:a|aa)+$", "^(\\d+)*x$",      "(?:[a-z]+\\.?)+@",
        "^(?:\\w+\\s?)+$", "(x+x+)+y",   "(?:a?){40}a{40}",
    };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
        struct scrub_rules *r = scrub_rules_new();
        struct err err = { 0 };
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "# mine\n[bomb]\ntype = X\ngate = all\npattern = %s\n"
                       "example = <<q>>\ncounter = b\n",
                       patterns[i]);
        ck_assert_msg(scrub_rules_add(r, "user.rules", slice_of(text), &err) ==
                          ERR_LIMIT,
                      "%s", patterns[i]);
        ck_assert_msg(strstr(err.msg, "user.rules:2: [bomb]: the pattern takes "
                                      "too many steps") != NULL &&
                          !strchr(err.msg, '\n'),
                      "%s", err.msg);
        scrub_rules_free(r);
    }
}
END_TEST

START_TEST(builtin_patterns_pass_their_trial)
{
    for (size_t i = 0; i < rules->count; i++) {
        struct err err = { 0 };

        if (rules->rule[i].pattern.len)
            ck_assert_msg(scrub_trial(&rules->rule[i], &err) == 0, "%s: %s",
                          rules->rule[i].name, err.msg);
    }
}
END_TEST

static int scrub(struct slice in, struct buf *out, size_t *count,
                 struct err *err)
{
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    int rc = scrub_record(w, slice_of("s"), &in, 1, out, NULL, count, err);

    scrub_worker_free(w);
    return rc;
}

/* Ten times the text may take twenty times the time, not a hundred. */
START_TEST(repeated_texts_take_linear_time)
{
    static const char *const units[] = {
        "a",
        "1 ",
        "4157362671-",
        "a@",
        "@",
        "%41",
        "&#64;",
        "\\u00",
        "YWRhQGxv",
        "::",
        "1.2.3.",
        "password: ",
        "Mr. ",
        "12 ",
        "://a:",
        "\xD0\xB0",
        "\xE2\x80\x8B",
        "+",
        "eyJ",
        "\xEF\xBC\x91",
        "card 4111",
        "data:;base64,",
    };

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        double took[2];

        for (int large = 0; large < 2; large++) {
            struct buf b = { 0 }, out = { 0 };
            struct err err = { 0 };
            double start = clock_cpu_s();

            while (b.len < (large ? 200000u : 20000u))
                buf_str(&b, units[i]);
            (void)scrub(buf_slice(&b), &out, NULL, &err);
            took[large] = clock_cpu_s() - start;
            buf_release(&b);
            buf_release(&out);
        }
        ck_assert_msg(took[1] < 20 * took[0] + 0.2, "\"%s\": %.3f s, %.3f s",
                      units[i], took[0], took[1]);
    }
}
END_TEST

/* Overlapping finds, a chain of a hundred thousand. */
START_TEST(long_chains_of_finds_resolve)
{
    struct scrub_worker *w = scrub_worker_new(rules, &key);
    size_t n = 100000;
    double start = clock_cpu_s();

    w->hits.item = calloc(2 * n, sizeof(*w->hits.item));
    w->hits.cap = 2 * n;
    for (size_t i = 0; i < n; i++) {
        w->hits.item[2 * i] = (struct scrub_hit){
            .start = 3 * i, .end = 3 * i + 4, .rule = 0, .tier = 2
        };
        w->hits.item[2 * i + 1] = (struct scrub_hit){
            .start = 3 * i + 1, .end = 3 * i + 3, .rule = 0, .tier = 1
        };
    }
    w->hits.count = 2 * n;
    scrub_resolve(w, NULL, 0);
    ck_assert_uint_eq(w->hits.count, n); /* the sure ones, which are disjoint */
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(w->hits.item[i].start, 3 * i + 1);
    ck_assert_msg(clock_cpu_s() - start < 5, "%.1f s", clock_cpu_s() - start);
    scrub_worker_free(w);
}
END_TEST

START_TEST(more_finds_than_may_be_fail_closed)
{
    struct buf b = { 0 }, out = { 0 };
    struct err err = { 0 };

    for (size_t i = 0; i <= SCRUB_MAX_SPANS; i++)
        buf_str(&b, "a@b.cc ");
    ck_assert_int_eq(scrub(buf_slice(&b), &out, NULL, &err), ERR_LIMIT);
    ck_assert_uint_eq(out.len, 0);
    ck_assert_ptr_nonnull(strstr(err.msg, "more than 1000000 finds"));
    buf_release(&b);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_scrubbed_too)
{
    static const char bytes[] = "\xFF\xFE\x00 ada@love.org \xED\xA0\x80\x00"
                                "(415) 736-2671\xC3";
    struct slice in = { bytes, sizeof(bytes) - 1 };
    struct buf out = { 0 };
    struct err err = { 0 };
    size_t count;

    ck_assert_int_eq(scrub(in, &out, &count, &err), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(memmem(out.data, out.len, "love.org", 8));
    ck_assert_ptr_null(memmem(out.data, out.len, "736-2671", 8));
    ck_assert_int_eq(memcmp(out.data, bytes, 4), 0);
    ck_assert_int_eq(out.data[out.len - 1], '\xC3');
    buf_release(&out);
}
END_TEST

START_TEST(many_values_are_sought_in_the_time_of_one)
{
    struct buf in = { 0 }, out = { 0 };
    struct err err = { 0 };
    size_t count;

    for (int i = 0; i < 40000; i++)
        buf_printf(&in, "user%05d.name@host%05d.org ", i, i);
    ck_assert_int_eq(scrub(buf_slice(&in), &out, &count, &err), 0);
    ck_assert_uint_eq(count, 40000);
    ck_assert_ptr_null(memmem(out.data, out.len, "user00007.name", 14));
    ck_assert_ptr_null(memmem(out.data, out.len, "host39999", 9));
    buf_release(&in);
    buf_release(&out);
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("scrub_torture", scrub_fixture_begin, scrub_fixture_end);

    tcase_add_test(c, patterns_that_explode_are_refused);
    tcase_add_test(c, builtin_patterns_pass_their_trial);
    tcase_add_test(c, repeated_texts_take_linear_time);
    tcase_add_test(c, long_chains_of_finds_resolve);
    tcase_add_test(c, more_finds_than_may_be_fail_closed);
    tcase_add_test(c, many_values_are_sought_in_the_time_of_one);
    tcase_add_test(c, bytes_that_are_no_text_are_scrubbed_too);
    return suite_run("scrub_torture", c);
}

/*
 * test_leaks.c - the search for known values: many of them, and numbers
 * whatever separates their digits
 */
#include "suite.h"

#include "base/buf.h"
#include "base/mem.h"
#include "scrub/scrub.h"
#include "scrub/scrub_view.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    size_t count, value;
    bool whole, exact;
    char form[64];
};

static void note(void *ctx, const struct scrub_leak *hit)
{
    struct seen *s = ctx;

    s->count++;
    s->value = hit->value;
    s->whole = hit->whole;
    s->exact = hit->exact;
    (void)snprintf(s->form, sizeof(s->form), "%s", hit->form);
}

static struct seen look(const char *value, const char *text)
{
    struct slice v = slice_of(value);
    struct scrub_leaks *l = NULL;
    struct seen s = { 0 };

    ck_assert_int_eq(scrub_leaks_new(&v, 1, &l, NULL), 0);
    ck_assert_uint_eq(scrub_leaks_look(l, slice_of(text), note, &s, NULL),
                      s.count);
    scrub_leaks_free(l);
    return s;
}

START_TEST(numbers_are_found_whatever_separates_them)
{
    struct seen s = look("4111 1111 1111 1111", "card 4111-1111.11111111 x");

    ck_assert_uint_eq(s.count, 1);
    ck_assert_str_eq(s.form, "other separators");
    s = look("DE89370400440532013000",
             "{\"a\":\"de89 3704 0044 0532 0130 00\"}");
    ck_assert_uint_eq(s.count, 1);
    s = look("(415) 736-2671", "{\"a\":\"x\\n415.736.2671\"}");
    ck_assert_uint_eq(s.count, 1);
    ck_assert_str_eq(s.form, "other separators in json");
    ck_assert_uint_eq(look("(415) 736-2671", "(415) 736-2671").count, 1);
}
END_TEST

START_TEST(numbers_are_not_found_inside_longer_ones)
{
    ck_assert_uint_eq(look("736-2671", "at 17362671000").count, 0);
    ck_assert_uint_eq(look("736-2671", "x7362671").count, 0);
    ck_assert_uint_eq(look("12-34", "1234").count, 0); /* too short for that */
    ck_assert_uint_eq(look("(415) 736-2671", "4157362671").count, 1);
}
END_TEST

START_TEST(words_and_letter_case_are_told)
{
    struct seen s = look("Marion", "the Marionette");

    ck_assert_uint_eq(s.count, 1);
    ck_assert(!s.whole && s.exact);
    s = look("Marion", "MARION");
    ck_assert(s.whole && !s.exact);
    s = look("Marion", "\xc3\xa9Marion"); /* behind an accented letter */
    ck_assert(!s.whole);
}
END_TEST

#define MANY 60000

START_TEST(a_great_many_values_are_searched_at_once)
{
    struct slice *v = mem_array(MANY, sizeof(*v));
    struct scrub_leaks *l = NULL;
    struct seen s = { 0 };

    for (size_t i = 0; i < MANY; i++)
        v[i] = slice_of(mem_printf("https://service.example/users/%zu/x", i));
    ck_assert_int_eq(scrub_leaks_new(v, MANY, &l, NULL), 0);
    scrub_leaks_look(l, slice_of("at https://service.example/users/4711/x ok"),
                     note, &s, NULL);
    ck_assert_uint_eq(s.count, 1);
    ck_assert_uint_eq(s.value, 4711);
    scrub_leaks_free(l);
    for (size_t i = 0; i < MANY; i++)
        free((void *)(uintptr_t)v[i].p);
    free(v);
}
END_TEST

static size_t missed_of(const char *value, struct slice text, struct seen *s)
{
    struct slice v = slice_of(value);
    struct scrub_leaks *l = NULL;
    size_t missed;

    *s = (struct seen){ 0 };
    ck_assert_int_eq(scrub_leaks_new(&v, 1, &l, NULL), 0);
    scrub_leaks_look(l, text, note, s, &missed);
    scrub_leaks_free(l);
    return missed;
}

START_TEST(what_is_too_deep_to_be_searched_is_not_clean)
{
    struct buf text = { 0 }, coded = { 0 };
    struct seen s;

    buf_str(&text, "write to ada@love.org about it");
    for (int depth = 1; depth <= 8; depth++) {
        buf_reset(&coded);
        scrub_base64_encode(buf_slice(&text), slice_of("AAAA"), &coded);
        buf_reset(&text);
        buf_add_slice(&text, buf_slice(&coded));
        if (depth <= 4) {
            ck_assert_uint_eq(missed_of("ada@love.org", buf_slice(&text), &s),
                              0);
            ck_assert_uint_eq(s.count, 1);
        }
    }
    ck_assert_uint_gt(missed_of("ada@love.org", buf_slice(&text), &s), 0);
    ck_assert_uint_eq(s.count, 0);
    buf_release(&text);
    buf_release(&coded);
}
END_TEST

START_TEST(views_of_views_do_not_grow_without_end)
{
    struct buf text = { 0 };
    struct seen s;
    size_t missed;

    /* Each kind of view leaves enough for all the others, so that there were
     * as many as the sixth power of their number. */
    for (int i = 0; i < 20000; i++)
        buf_str(&text, "\\\\\\\\%252525255C&amp;amp;amp;#x5c; YWJjZGVmZ2g/ ");
    buf_str(&text, "ada%2540love.org");
    missed = missed_of("ada@love.org", buf_slice(&text), &s);
    ck_assert_uint_eq(s.count ? 0 : missed ? 0 : 1, 0);
    buf_release(&text);
}
END_TEST

START_TEST(a_backslash_at_the_end_is_no_escape)
{
    struct seen s;

    ck_assert_uint_eq(missed_of("ada@love.org", slice_of("dir C:\\"), &s), 0);
}
END_TEST

START_TEST(base64_behind_a_path_is_searched)
{
    /* ada@love.org; the run begins at no multiple of four. */
    ck_assert_uint_eq(
        look("ada@love.org", "GET /v1/x/YWRhQGxvdmUub3Jn HTTP").count, 1);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("leaks", NULL, NULL);

    tcase_add_test(c, what_is_too_deep_to_be_searched_is_not_clean);
    tcase_add_test(c, views_of_views_do_not_grow_without_end);
    tcase_add_test(c, a_backslash_at_the_end_is_no_escape);
    tcase_add_test(c, base64_behind_a_path_is_searched);
    tcase_add_test(c, numbers_are_found_whatever_separates_them);
    tcase_add_test(c, numbers_are_not_found_inside_longer_ones);
    tcase_add_test(c, words_and_letter_case_are_told);
    tcase_add_test(c, a_great_many_values_are_searched_at_once);
    return suite_run("leaks", c);
}

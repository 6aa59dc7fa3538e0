/*
 * test_leaks.c - the search for known values: many of them, and numbers
 * whatever separates their digits
 */
#include "suite.h"

#include "base/buf.h"
#include "base/mem.h"
#include "scrub/scrub.h"

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
    ck_assert_uint_eq(scrub_leaks_look(l, slice_of(text), note, &s), s.count);
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
                     note, &s);
    ck_assert_uint_eq(s.count, 1);
    ck_assert_uint_eq(s.value, 4711);
    scrub_leaks_free(l);
    for (size_t i = 0; i < MANY; i++)
        free((void *)(uintptr_t)v[i].p);
    free(v);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("leaks", NULL, NULL);

    tcase_add_test(c, numbers_are_found_whatever_separates_them);
    tcase_add_test(c, numbers_are_not_found_inside_longer_ones);
    tcase_add_test(c, words_and_letter_case_are_told);
    tcase_add_test(c, a_great_many_values_are_searched_at_once);
    return suite_run("leaks", c);
}

/*
 * test_names_foreign.c - names in texts that are not English
 *
 * The tagger has learnt from English, and German has capitals on every noun:
 * there only what is sure acts. Bounds, since no rule gets every sentence.
 */
#include "names/names.h"
#include "names_foreign.h"

#include "base/mem.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FALSE_MAX 2
#define FOUND_MIN 97

static struct names *names;
static struct names_worker *worker;

static void setup(void)
{
    struct err err;

    ck_assert_msg(names_open(&names, &err) == ERR_OK, "%s", err.msg);
    worker = names_worker_new(names);
}

static void teardown(void)
{
    names_worker_free(worker);
    names_close(names);
}

static bool holds_a_name(const char *text)
{
    const struct names_span *s;
    size_t count;

    names_find(worker, NAMES_TAGGER, slice_of(text), slice_of(""), &s, &count);
    for (size_t i = 0; i < count; i++)
        if (s[i].tier == 1)
            return true;
    return false;
}

START_TEST(ordinary_sentences_of_other_languages_hold_no_names)
{
    size_t n = sizeof(foreign_plain) / sizeof(*foreign_plain), wrong = 0;

    ck_assert_uint_eq(n, 100);
    for (size_t i = 0; i < n; i++)
        wrong += holds_a_name(foreign_plain[i]);
    ck_assert_uint_le(wrong, FALSE_MAX);
}
END_TEST

/* Whether a person is found where the name between "<<" and ">>" stands;
 * *beside: something else is. */
static bool finds_person(const char *marked, bool *beside)
{
    const char *open = strstr(marked, "<<"), *close = strstr(marked, ">>");
    size_t start = (size_t)(open - marked), end = (size_t)(close - marked) - 2;
    char *text = mem_printf("%.*s%.*s%s", (int)start, marked,
                            (int)(end - start), open + 2, close + 2);
    const struct names_span *s;
    bool found = false;
    size_t count;

    names_find(worker, NAMES_TAGGER, slice_of(text), slice_of(""), &s, &count);
    for (size_t i = 0; i < count; i++) {
        if (s[i].tier != 1 || s[i].class == NAMES_TITLE)
            continue;
        if (s[i].end <= start || s[i].start >= end)
            *beside = true;
        else if (s[i].class == NAMES_PERSON)
            found |= s[i].start <= start && s[i].end >= end;
    }
    free(text);
    return found;
}

START_TEST(persons_in_other_languages_are_found_and_nothing_beside_them)
{
    size_t n = sizeof(foreign_named) / sizeof(*foreign_named), found = 0;
    size_t beside = 0;

    ck_assert_uint_eq(n, 100);
    for (size_t i = 0; i < n; i++) {
        bool other = false;

        found += finds_person(foreign_named[i], &other);
        beside += other;
    }
    ck_assert_uint_ge(found, FOUND_MIN);
    ck_assert_uint_le(beside, FALSE_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("names_foreign");
    TCase *c = tcase_create("languages");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, ordinary_sentences_of_other_languages_hold_no_names);
    tcase_add_test(
        c, persons_in_other_languages_are_found_and_nothing_beside_them);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

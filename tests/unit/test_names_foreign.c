/*
 * test_names_foreign.c - names in texts that are not English, and words that
 * are no names
 *
 * The tagger has learnt from English, and German has capitals on every noun:
 * there only what is sure acts. Bounds, since no rule gets every sentence.
 */
#include "names_fixture.h"
#include "names_foreign.h"
#include "suite.h"

#include "base/mem.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FALSE_MAX 2
#define FOUND_MIN 97

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

static void check_all_stay(const char *const *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(!holds_a_name(text[i]), "%s", text[i]);
}

START_TEST(what_is_sold_eaten_or_named_after_somebody_stays)
{
    static const char *const all[] = {
        "Chevrolet Malibu, Dodge Durango, Hyundai Santa Fe, Nissan Murano",
        "I had a Turkey sandwich with French fries and Chile con carne.",
        "Please send Brazil nuts, Kobe beef and Bordeaux wine.",
        "He wore a Panama hat and drank a Bloody Mary.",
        "I read the Washington Post near the Washington Monument.",
        "A Markov chain with a Poisson process.",
        "He has Parkinson's disease, Crohn's disease and the Zika virus.",
        "We are closed on Columbus Day and Labor Day.",
        "The Alice and Bob protocol is well known.",
        "We deploy to Netlify, Vercel and Heroku.",
    };

    check_all_stay(all, sizeof(all) / sizeof(*all));
}
END_TEST

START_TEST(members_of_a_list_of_words_are_no_names)
{
    static const char *const all[] = {
        "Java, Python, Ruby, Swift, Rust, Julia, Ada",
        "Choose one of: billing, Jordan, Malibu, Parkinson's, Sienna, Mark",
        "Labels: Jordan, Paris, Mark, Rose",
    };
    bool other = false;

    check_all_stay(all, sizeof(all) / sizeof(*all));
    ck_assert(
        finds_person("The guests are <<Silvana>>, Adam and Teresa.", &other));
    ck_assert(other);
    ck_assert(finds_person("they had 3: silvana, <<adam>>, kristina.", &other));
}
END_TEST

START_TEST(a_title_behind_a_comma_is_no_first_name)
{
    bool other = false;

    ck_assert(finds_person("Patient MRN: 00482913, Dr. <<Okafor>>", &other));
    ck_assert(finds_person("Seen by, Prof. <<Weber>> today", &other));
    ck_assert(!other);
}
END_TEST

int main(void)
{
    TCase *c =
        suite_case("names_foreign", names_fixture_begin, names_fixture_end);

    tcase_add_test(c, ordinary_sentences_of_other_languages_hold_no_names);
    tcase_add_test(
        c, persons_in_other_languages_are_found_and_nothing_beside_them);
    tcase_add_test(c, what_is_sold_eaten_or_named_after_somebody_stays);
    tcase_add_test(c, members_of_a_list_of_words_are_no_names);
    tcase_add_test(c, a_title_behind_a_comma_is_no_first_name);
    return suite_run("names_foreign", c);
}

/* test_dates.c - dates of many shapes: found, left alone, moved and back */
#include "marks.h"
#include "suite.h"

#include "dates/dates.h"

#include <stdio.h>
#include <string.h>

static int mark(void *ctx, enum dates_class class, size_t start, size_t end,
                int tier)
{
    return marks_add(ctx, (int)class, start, end, tier);
}

/* The text of `marked` without its marks must be marked so again. */
static void holds(const char *marked, enum dates_class class, int lowest,
                  const char *key)
{
    struct marks m;

    marks_begin(&m, marked, (int)class, lowest);
    ck_assert_int_eq(
        dates_find((struct slice){ m.text, m.n }, slice_of(key), mark, &m), 0);
    marks_end(&m, marked);
}

/* Each of a list that ends with NULL. */
static void all_hold(const char *const *marked, enum dates_class class,
                     int lowest)
{
    for (; *marked; marked++)
        holds(*marked, class, lowest, NULL);
}

START_TEST(dates_of_every_shape_are_found)
{
    static const char *const texts[] = {
        "on {1:2024-05-15} and {1:2024-05-15T10:30:00Z}, "
        "{1:2024-05-15 15:00:00 EST}.",
        "at={1:2024-05-15T10:30:00.123456+02:00};DOB:{1:1990-01-01}",
        "{1:5/15/2024}, {1:15/05/2024 at 3:30 pm}, {1:3-5-2020}",
        "am {1:15.05.2024}, {1:15.5.24 10:00}; {2:15.05.24}",
        "{1:May 15, 2024} {1:May 15th} {1:15 May 2024} {1:15th of May, 2024}",
        "the {1:3rd of June} or {1:December the 25th} or {1:Sept. 5}",
        "{1:Wed, 15 May 2024 10:00:00 +0000} and {1:Wednesday, May 15}",
        "{1:Wed May 15 10:00:00 2024}, {1:15/May/2024:10:00:00 +0000}",
        "{1:15-May-24} {1:15MAY2024} {1:20240515T103000Z} {2:20240515}",
        "{1:15. Mai 2024}, {1:Mittwoch, den 15. Mai}, {1:15 mai 2024}",
        "el {1:15 de mayo de 2024}, {1:15 maggio 2024}, {1:15 de março}",
        "{1:15 maja 2024} {1:15. května 2024} {1:15 мая 2024}",
        "{1:2024\xE5\xB9\xB4"
        "5\xE6\x9C\x88"
        "15\xE6\x97\xA5}",
        "{1:2024-05-01}/{1:2024-05-31}, {1:5/1/2024}-{1:5/3/2024}",
        "{1:27-29 May 2024}, ({1:31 August}-{1:21 September 1951})",
        "{1:February 8 to 22, 2013} and {1:July 5 , 1846}",
        "{1:May 15-17, 2024}; born {2:May 1985}; since {1:5/15}",
        "It's like that since {1:3/13/1956}",
        "\"date\": \"{1:2024-05-15}\", [{1:2024-05-15}]",
        NULL
    };

    all_hold(texts, DATES_DATE, 2);
}
END_TEST

START_TEST(numbers_that_are_no_dates_stay)
{
    static const char *const texts[] = {
        "Release v2026.2.9 fixed gpt-4o-2024-08-06 and python 3.11.2",
        "Date 2026-99-99 is not valid, nor 2023-02-29 or 32/13/2020",
        "version 2024-05-15, api-version=2023-06-01, build 3.5.2020",
        "10.1.2.24 and 1.2.3.4 and 192.168.1.10:80 at 1750000000",
        "report-2024-05-15.pdf /logs/2024/05/15/x backup_2024-05-15",
        "3/4 of 1/2 cup, 12/7 and 24/7; $12.50, 1.5.2 and 4.12%",
        "may 15 people; 5 mars bars; 10 out of 12; 3 set",
        "in 2004 and 2004-2008, 5 may be, May 15,000 came",
        "ISBN 978-3-16-148410-0, 555-12-3456, 12:30:45 UTC",
        "flight HAT271 from 1234 Oak, 550e8400-e29b-41d4-a716-446655440000",
        "x = 5-3-2 and 2024-5 and 1-1-1 and 2024-05-15x",
        NULL
    };

    all_hold(texts, DATES_DATE, 1);
    holds("2023-06-01", DATES_DATE, 3, "_anthropic_version_");
}
END_TEST

struct found {
    size_t start, end;
};

static int note(void *ctx, enum dates_class class, size_t start, size_t end,
                int tier)
{
    ck_assert_int_eq(class, DATES_DATE);
    ck_assert_int_eq(tier, 1);
    *(struct found *)ctx = (struct found){ start, end };
    return 0;
}

START_TEST(a_nul_beside_a_date_hides_nothing)
{
    static const char text[] = "a\0"
                               "2024-05-15\0.";
    struct found f = { 0 };

    ck_assert_int_eq(dates_find((struct slice){ text, sizeof(text) - 1 },
                                slice_of(NULL), note, &f),
                     0);
    ck_assert_uint_eq(f.start, 2);
    ck_assert_uint_eq(f.end, 12);
}
END_TEST

START_TEST(a_word_of_another_language_tells_a_birthday)
{
    holds("Geburtstag: {1:12.5.24}", DATES_DATE, 1, NULL);
}
END_TEST

START_TEST(ages_need_words_that_say_so)
{
    static const char *const texts[] = {
        "a {2:65}-year-old male, {2:36} year old, i'm {2:58} y/o.",
        "just turned {2:35}; at the age of {2:71}; aged {1:91}",
        "{1:94} years old. Age: {1:101}, age {2:40}",
        "a {1:ninety-four}-year-old and one aged {1:ninety}",
        "she is {1:one hundred and two} years old",
        "she is {1:97}, who was {1:91} and; my aunt, {1:92}, lives",
        "her {1:95th} birthday, his 50th birthday; {1:93} ans",
        "x is 97, she was 98.6, he is 100% sure, I was 99 times there",
        "5 years, 12 months, page 91, 2.5 years old, ninety dogs",
        "usage: 95 of stage 99, average 12",
        NULL
    };

    all_hold(texts, DATES_AGE, 2);
    holds("{1:93}", DATES_AGE, 2, "_age_");
    holds("93", DATES_AGE, 3, "_page_");
}
END_TEST

static void moves(const char *value, int days, const char *want)
{
    struct buf b = { 0 };
    struct err err = { 0 };
    int rc = dates_shift(slice_of(value), days, NULL, &b, &err);

    ck_assert_msg(rc == 0, "%s: %s", value, err.msg);
    ck_assert_str_eq(b.data, want);
    buf_release(&b);
}

/* Where the year is known, a leap day between counts. */
START_TEST(a_date_without_a_year_moves_with_those_of_it)
{
    struct dates_known known = { 0 };
    struct buf b = { 0 };
    struct err err;

    dates_learn(&known, slice_of("2024-05-24"));
    dates_learn(&known, slice_of("May 24"));
    ck_assert_int_eq(known.year, 2024);
    ck_assert_int_eq(dates_shift(slice_of("May 24"), -315, &known, &b, &err),
                     0);
    ck_assert_str_eq(b.data, "July 14");
    buf_reset(&b);
    ck_assert_int_eq(dates_shift(slice_of("2024-05-24"), -315, NULL, &b, &err),
                     0);
    ck_assert_str_eq(b.data, "2023-07-14");
    buf_release(&b);
}
END_TEST

static void moves_beside(const char *beside, const char *value,
                         const char *want)
{
    struct dates_known known = { 0 };
    struct buf b = { 0 };
    struct err err;

    dates_learn(&known, slice_of(beside));
    ck_assert_int_eq(dates_shift(slice_of(value), 14, &known, &b, &err), 0);
    ck_assert_str_eq(b.data, want);
    buf_release(&b);
}

START_TEST(one_date_tells_the_order_of_others)
{
    moves_beside("13/03/2024", "01/03/2024", "15/03/2024");
    moves_beside("03/13/2024", "01/03/2024", "01/17/2024");
    moves_beside("13/03/2024", "1/3", "15/3");
    moves_beside("12/25/2024", "1.3.2024", "15.3.2024");
    moves_beside("3.25.2024", "1.3.2024", "1.17.2024");
    moves_beside("2024/03/13", "01/03/2024", "01/17/2024");
    moves_beside("no date", "01/03/2024", "01/17/2024");
}
END_TEST

START_TEST(a_moved_date_has_the_shape_of_the_old_one)
{
    moves("2024-02-28", 1, "2024-02-29");
    moves("2023-02-28", 1, "2023-03-01");
    moves("1900-02-28", 1, "1900-03-01");
    moves("2000-02-28", 1, "2000-02-29");
    moves("2024-12-31T23:59:59.5+02:00", 1, "2025-01-01T23:59:59.5+02:00");
    moves("2024-01-01", -1, "2023-12-31");
    moves("5/9/2024", 7, "5/16/2024");
    moves("15/05/2024", 14, "29/05/2024");
    moves("15.5.24", 30, "14.6.24");
    moves("1. 3. 2024", 14, "15. 3. 2024");
    moves("12/31/99", 1, "01/01/00");
    moves("20240515T103000Z", 20, "20240604T103000Z");
    moves("May 15th, 2024", 7, "May 22nd, 2024");
    moves("MAY 15TH", 17, "JUNE 1ST");
    moves("3rd of June", -3, "31st of May");
    moves("Wed, 15 May 2024 10:00:00 +0000", 2,
          "Fri, 17 May 2024 10:00:00 +0000");
    moves("Sept. 5, 2024", 30, "Oct. 5, 2024");
    moves("15. März 2024", 31, "15. April 2024");
    moves("mittwoch, den 15. mai 2024", 30, "freitag, den 14. juni 2024");
    moves("15 de mayo de 2024", 31, "15 de junio de 2024");
    moves("1 ЯНВАРЯ 2024", 31, "1 ФЕВРАЛЯ 2024");
    moves("1 février 2024", -1, "31 janvier 2024");
    moves("May 15-17, 2024", 15, "May 30-June 1, 2024");
    moves("27-29 May 2024", 2, "29-31 May 2024");
    moves("Friday, Nov. 2", 7, "Friday, Nov. 9");
    moves("December 31", 1, "January 1");
    moves("Feb 29", 1, "Mar 1");
    moves("May 1985", 31, "June 1985");
    moves("2024\xE5\xB9\xB4"
          "5\xE6\x9C\x88"
          "15\xE6\x97\xA5",
          20,
          "2024\xE5\xB9\xB4"
          "6\xE6\x9C\x88"
          "4\xE6\x97\xA5");
}
END_TEST

static void comes_back(const char *value, int from, int to)
{
    for (int days = from; days <= to; days += 7) {
        struct buf there = { 0 }, back = { 0 };
        struct err err = { 0 };

        ck_assert_msg(dates_shift(slice_of(value), days, NULL, &there, &err) ==
                          0,
                      "%s: %s", value, err.msg);
        ck_assert_msg(
            dates_shift(buf_slice(&there), -days, NULL, &back, &err) == 0,
            "%s by %d: %s", value, days, err.msg);
        ck_assert_msg(!strcmp(back.data, value), "%s by %d: %s: %s", value,
                      days, there.data, back.data);
        buf_release(&there);
        buf_release(&back);
    }
}

START_TEST(a_date_moved_there_and_back_is_the_same)
{
    static const char *const values[] = {
        "2024-02-29",
        "2024-05-05 10:00:00",
        "1999-12-31T00:00:00Z",
        "2024/05/15",
        "05/15/2024",
        "31.12.2024",
        "15.05.24",
        "20240229",
        "May 15, 2024",
        "15 May 2024",
        "5th of November 1955",
        "Thu, 29 Feb 2024 10:00:00 GMT",
        "Thu Feb 29 10:00:00 2024",
        "29-Feb-2024",
        "29/Feb/2024:10:00:00 +0000",
        "29FEB2024",
        "Donnerstag, 29. Februar 2024",
        "29 de febrero de 2024",
        "29. helmikuuta 2024",
        "29 февраля 2024",
        "29 şubat 2024",
        "29 φεβρουαρίου 2024",
        "March 3rd",
        "4 July",
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        comes_back(values[i], -700, 700);
}
END_TEST

/* Where languages share the name of a month, the way back may be another's;
 * January they all write alone. */
START_TEST(words_of_many_languages_come_back)
{
    static const char *const values[] = {
        "29 février 2024",         "29 febbraio 2024", "29 februari 2024",
        "29 de fevereiro de 2024", "29 lutego 2024",   "29. února 2024",
        "29. februára 2024",       "29. február 2024", "29 februarie 2024",
        "29. veebruar 2024",       "29. febrúar 2024", "29 veljače 2024",
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        comes_back(values[i], -49, 0);
}
END_TEST

START_TEST(what_is_no_date_is_not_moved)
{
    static const char *const values[] = {
        "", "2024", "2023-02-29", "15 of them", "2024-05-15x", "Monday"
    };
    struct buf b = { 0 };
    struct err err;

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        ck_assert_int_eq(dates_shift(slice_of(values[i]), 7, NULL, &b, &err),
                         ERR_FORMAT);
    ck_assert_int_eq(dates_shift(slice_of("2999-12-31"), 7, NULL, &b, &err),
                     ERR_LIMIT);
    ck_assert_str_eq(err.msg, "a date would leave the years 1000 to 2999");
    ck_assert_int_eq(
        dates_shift(slice_of("2024-05-15"), DATES_MAX_DAYS + 1, NULL, &b, &err),
        ERR_LIMIT);
    ck_assert_uint_eq(b.len, 0);
    buf_release(&b);
}
END_TEST

static int first_age(void *ctx, enum dates_class class, size_t start,
                     size_t end, int tier)
{
    size_t *at = ctx;

    ck_assert_int_eq(class, DATES_AGE);
    ck_assert_int_eq(tier, 1);
    ck_assert_uint_eq(end - start, 2);
    *at = *at ? *at : start;
    return 0;
}

static int inside(void *ctx, enum dates_class class, size_t start, size_t end,
                  int tier)
{
    (void)class;
    return marks_inside(ctx, start, end, tier);
}

/* Any bytes: nothing is read beyond the end, finds are inside. */
START_TEST(any_bytes_are_looked_at)
{
    static const char bits[] = "0123456789-/.: ,tTZMayJun\xC3\xA4\xFF\xE5ofth";
    unsigned state = 1;

    for (int i = 0; i < 20000; i++) {
        size_t n = (state >> 8) % 40;
        char *text = malloc(n + !n);
        struct buf b = { 0 };
        struct err err;

        for (size_t k = 0; k < n; k++) {
            state = state * 1664525u + 1013904223u;
            text[k] = bits[(state >> 16) % (sizeof(bits) - 1)];
        }
        state = state * 1664525u + 1013904223u;
        (void)dates_find((struct slice){ text, n }, slice_of(NULL), inside, &n);
        (void)!dates_shift((struct slice){ text, n }, 7, NULL, &b, &err);
        buf_release(&b);
        free(text);
    }
}
END_TEST

START_TEST(a_month_in_roman_numbers_moves)
{
    moves("03.IV.2024", 7, "10.IV.2024");
    moves("30.XII.2024", 7, "6.I.2025");
    moves("3. IV. 2024", 28, "1. V. 2024");
    moves("25/VII/1999", 14, "8/VIII/1999");
}
END_TEST

START_TEST(a_list_of_days_moves_as_one)
{
    holds("on {1:5/27}, {1:5/28/2024}", DATES_DATE, 1, NULL);
    holds("5/27, 5/28 of them", DATES_DATE, 1, NULL);
    holds("the {1:27th of May, the 28th} works", DATES_DATE, 1, NULL);
    holds("on {1:May 27}, the 28th floor", DATES_DATE, 1, NULL);
    moves("27th of May, the 28th", 7, "3rd of June, the 4th");
    moves("May 27th and the 28th", 7, "June 3rd and the 4th");
}
END_TEST

START_TEST(seconds_since_1970_are_dates_under_keys_of_a_moment)
{
    holds("{1:1716800000}", DATES_DATE, 3, "_created_at_");
    holds("{1:-1222000000}", DATES_DATE, 3, "_dob_");
    holds(" {1:1716800000.123} ", DATES_DATE, 3, "_ts_");
    holds("1716800000", DATES_DATE, 3, "_order_id_");
    holds("300", DATES_DATE, 3, "_time_limit_");
    holds("at 1716800000", DATES_DATE, 3, "_created_at_");
    holds("202405151030", DATES_DATE, 1, "_time_");
    moves("1716800000", 7, "1717404800");
    moves("1716800000123", -7, "1716195200123");
    moves("-1222000000.5", 7, "-1221395200.5");
}
END_TEST

static void knows_age(const char *text, const char *age, size_t want)
{
    struct dates_known known = { 0 };
    size_t at = 0;
    struct slice t = slice_of(text);

    dates_learn_age(&known, slice_of(age));
    ck_assert_int_eq(dates_seek_ages(t, &known, first_age, &at), 0);
    ck_assert_uint_eq(at, want);
}

START_TEST(a_known_age_is_one_where_it_stands_as_ages_do)
{
    knows_age("Doe, 93, lives", "93", 5);
    knows_age("Doe (93).", "ninety-three", 5);
    knows_age("Doe, 93", "93rd", 5);
    knows_age("Doe, 93, 94, 95", "93", 0);
    knows_age("Doe, 94, lives", "93", 0);
    knows_age("room 93", "93", 0);
    knows_age("Doe, 65, lives", "65", 0);
}
END_TEST

START_TEST(a_date_that_python_prints_is_one)
{
    holds("(1, datetime.date({1:1984, 7, 23})), datetime({1:2024, 5, 15}, 9)",
          DATES_DATE, 2, NULL);
    holds("1984, 7, 23 and f(1984, 7, 23)", DATES_DATE, 2, NULL);
    moves("1984, 7, 23", 10, "1984, 8, 2");
}
END_TEST

START_TEST(a_month_with_its_year_is_no_day_of_the_month_before)
{
    holds("on a Thursday in May. 05/1984.", DATES_DATE, 2, NULL);
    holds("by {1:May/05/1984}", DATES_DATE, 2, NULL);
}
END_TEST

START_TEST(a_day_may_stand_before_its_year_without_signs)
{
    moves("07231984", 10, "08021984");
    moves("19840723", 10, "19840802");
}
END_TEST

START_TEST(ages_of_things_and_in_sums_are_nobodys)
{
    holds("message age 95 seconds, a 100-year-old company", DATES_AGE, 1, NULL);
    holds("He is 99 years old, 99+10 = <<99+10=109>>109 years old", DATES_AGE,
          1, NULL);
    holds("he is {1:95}, phone +95 123 4567, age={1:95}", DATES_AGE, 1, NULL);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("dates", NULL, NULL);

    tcase_add_test(t, dates_of_every_shape_are_found);
    tcase_add_test(t, numbers_that_are_no_dates_stay);
    tcase_add_test(t, a_nul_beside_a_date_hides_nothing);
    tcase_add_test(t, a_word_of_another_language_tells_a_birthday);
    tcase_add_test(t, ages_need_words_that_say_so);
    tcase_add_test(t, a_date_without_a_year_moves_with_those_of_it);
    tcase_add_test(t, one_date_tells_the_order_of_others);
    tcase_add_test(t, a_moved_date_has_the_shape_of_the_old_one);
    tcase_add_test(t, a_date_moved_there_and_back_is_the_same);
    tcase_add_test(t, words_of_many_languages_come_back);
    tcase_add_test(t, what_is_no_date_is_not_moved);
    tcase_add_test(t, a_month_in_roman_numbers_moves);
    tcase_add_test(t, a_list_of_days_moves_as_one);
    tcase_add_test(t, seconds_since_1970_are_dates_under_keys_of_a_moment);
    tcase_add_test(t, a_known_age_is_one_where_it_stands_as_ages_do);
    tcase_add_test(t, a_date_that_python_prints_is_one);
    tcase_add_test(t, a_month_with_its_year_is_no_day_of_the_month_before);
    tcase_add_test(t, a_day_may_stand_before_its_year_without_signs);
    tcase_add_test(t, ages_of_things_and_in_sums_are_nobodys);
    tcase_add_test(t, any_bytes_are_looked_at);
    return suite_run("dates", t);
}

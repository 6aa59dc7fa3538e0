/*
 * dates.h - dates and ages in plain text, and dates moved by some days
 *
 * Finds calendar days in the shapes that people and programs write (numbers,
 * names of months in some twenty languages, a weekday before, a time after)
 * and ages. One parser serves finding and moving, so that what is found can be
 * moved. Reads bytes, UTF-8 or not; knows the Gregorian calendar only, no
 * "tomorrow", and epoch seconds only under keys that name a moment.
 * May use: base.
 */
#ifndef DATES_H
#define DATES_H

#include "base/buf.h"
#include "base/err.h"

#define DATES_MAX_DAYS 4000000 /* that a date may be moved, either way */

enum dates_class {
    DATES_DATE, /* a day, with the weekday before and the time after it */
    DATES_TIME, /* a time of day alone */
    DATES_AGE,  /* the number of years, as digits or words */
};

/* What the dates of a record say of one another; zero at first. Part of
 * scrub_worker, hence no more than numbers. */
struct dates_known {
    int year;     /* the latest that a date names in four digits; 0: none */
    int order[3]; /* of numbers with / - . between: above 0 the day is first,
                   * below 0 the month */
    uint64_t old; /* bit n: somebody is DATES_OLD plus n years old */
};

#define DATES_OLD 90 /* older people are few; 45 CFR 164.514(b)(2)(i)(C) */

/* Called with bytes [start, end) of the text, disjoint within a class, for each
 * find. Tier 1: unmistakable (a valid day with its year; the name of a month
 * and a day; an age over 89). 2: needs something that says so beside it
 * (12.5.24, 20240512; any other age). 3: the shape only (5/12, May 2024). A
 * negative answer ends the search and is what dates_find returns. */
typedef int dates_found_fn(void *ctx, enum dates_class class, size_t start,
                           size_t end, int tier);

/* key: the words of the JSON key that the text is the value of, as in
 * "_date_of_birth_", or empty. */
int dates_find(struct slice text, struct slice key, dates_found_fn *found,
               void *ctx);

/* The day that value names, moved by so many days, in the same shape,
 * appended: order and width of numbers, language, case and abbreviation of
 * words, the weekday; time and everything else stays. Where 3/4/2020 may be
 * read both ways, other dates of the record decide; without those the month is
 * first, and where it is 3.4.2020 the day. A date without a year is one of the
 * latest year that is known; if there is none, it moves in a circle of 365
 * days. known: NULL is fine. One without a day moves from the middle of its
 * month. ERR_FORMAT if value is no date as dates_find finds them, ERR_LIMIT if
 * the day would leave the years 1000 to 2999; nothing is appended then, and
 * no message holds the value. */
MUST_CHECK int dates_shift(struct slice value, int days,
                           const struct dates_known *known, struct buf *out,
                           struct err *err);

/* Whether a value under the key (as dates_find has it) is a moment's. */
bool dates_key_tells(struct slice key);
/* Learns from value, a date; what is none teaches nothing. */
void dates_learn(struct dates_known *known, struct slice value);
/* The same from an age, in digits. */
void dates_learn_age(struct dates_known *known, struct slice value);
/* Ages over 89 that are known, where they stand as ages do, whatever the words
 * beside them: "Jane Doe, 93, lives", "(93)", "is 93." */
int dates_seek_ages(struct slice text, const struct dates_known *known,
                    dates_found_fn *found, void *ctx);

#endif

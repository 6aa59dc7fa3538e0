/*
 * scrub_fake_time.c - dates shifted, ages over 89 drawn
 *
 * All dates of a scope move by the same number of weeks, so that intervals and
 * days of the week stay; HIPAA's Safe Harbor lets ages below 90, years and
 * times of day stand. What has no day in it cannot be shifted and stays.
 */
#include "scrub/scrub_fake.h"

#include "dates/dates.h"

#include <stdlib.h>
#include <string.h>

#define SHIFT_WEEKS 52 /* at most, either way */

int scrub_date_shift(struct scrub_worker *w)
{
    struct rng r;
    int weeks;

    scrub_draw(w, "date shift", (struct slice){ "", 0 }, 0, &r);
    weeks = 1 + (int)rng_below(&r, SHIFT_WEEKS);
    return 7 * (rng_below(&r, 2) ? weeks : -weeks);
}

/* May 20 is of the year that the record speaks of: a leap day between would
 * part it from 2024-05-20; and 13/03/2024 tells which part of 01/03/2024 is the
 * day. */
void scrub_date_note(struct scrub_worker *w, struct slice value)
{
    dates_learn(&w->dates, value);
}

void scrub_fake_date(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    (void)rule;
    (void)r;
    if (dates_shift(v, scrub_date_shift(w), &w->dates, out, NULL) < 0)
        buf_add_slice(out, v);
}

/* "94" and "104": another one of that many digits from 90. */
static unsigned draw_old(struct rng *r, struct slice digits, struct buf *out)
{
    unsigned age = 0, drawn;

    for (size_t i = 0; i < digits.n; i++)
        age = age * 10 + (unsigned)(digits.p[i] - '0');
    do
        drawn = digits.n == 2 ? 90 + (unsigned)rng_below(r, 10)
                              : 100 + (unsigned)rng_below(r, 10);
    while (drawn == age);
    buf_printf(out, "%u", drawn);
    return drawn;
}

/* "th" behind the age was another's. */
static size_t put_ordinal(unsigned age, struct slice rest, struct buf *out)
{
    static const char *const ends[] = { "th", "st", "nd", "rd" };
    unsigned last = age / 10 % 10 == 1 ? 0 : age % 10;

    for (size_t i = 0; rest.n >= 2 && i < 4; i++)
        if (memcmp(rest.p, ends[i], 2) == 0) {
            buf_str(out, ends[last < 4 ? last : 0]);
            return 2;
        }
    return 0;
}

static bool is_old(struct slice digits)
{
    return (digits.n == 2 && digits.p[0] == '9') ||
           (digits.n == 3 && digits.p[0] == '1');
}

/* "ninety-four" */
static size_t put_word(struct rng *r, struct slice v, struct buf *out)
{
    static const char *const ones[] = { "one", "two",   "three", "four", "five",
                                        "six", "seven", "eight", "nine" };

    if (strncasecmp(v.p, "ninety", v.n < 6 ? v.n : 6) != 0 || v.n < 6)
        return 0;
    buf_add(out, v.p, 6);
    for (size_t i = 0; i < 9 && v.n > 7; i++) {
        size_t n = strlen(ones[i]);

        if (v.n >= 7 + n && strncasecmp(v.p + 7, ones[i], n) == 0 &&
            (v.n == 7 + n || !scrub_is_alnum(v.p[7 + n]))) {
            buf_char(out, v.p[6]);
            buf_str(out, ones[(i + 1 + rng_below(r, 8)) % 9]);
            return 7 + n;
        }
    }
    return 6;
}

void scrub_fake_age(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    size_t i = 0;

    (void)w;
    (void)rule;
    while (i < v.n) {
        size_t from = i, word = 0;

        while (i < v.n && scrub_is_digit(v.p[i]))
            i++;
        if (i > from && is_old((struct slice){ v.p + from, i - from }))
            i += put_ordinal(
                draw_old(r, (struct slice){ v.p + from, i - from }, out),
                (struct slice){ v.p + i, v.n - i }, out);
        else if (i > from)
            buf_add(out, v.p + from, i - from);
        else if ((word = put_word(r, (struct slice){ v.p + i, v.n - i },
                                  out)) != 0)
            i += word;
        else
            buf_char(out, v.p[i++]);
    }
}

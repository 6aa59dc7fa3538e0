/*
 * dates_shift.c - a date moved by some days, written as it was
 *
 * Only the fields that name the day are written anew, each in its own width;
 * all bytes between them are copied.
 */
#include "dates/dates_priv.h"

#include <string.h>

#define PLAIN_YEAR 2023 /* of 365 days, for dates that name none */
#define FIELDS 7

struct moved {
    const struct dates_parts *p;
    struct slice value;
    int y, m, d, last, last_month, days;
    bool padded;
};

typedef void write_fn(const struct moved *x, struct slice old, struct buf *out);

/* Two digits if the old date wrote a single-digit number so, or never had
 * occasion to. */
static bool is_padded(struct slice v, const struct dates_parts *p)
{
    bool month_word = p->month_row >= 0;

    if (v.p[p->day.at] == '0' || (!month_word && v.p[p->month.at] == '0'))
        return true;
    if (p->day.n == 1 || (!month_word && p->month.n == 1))
        return false;
    return p->kind == DATES_NUMERIC || p->kind == DATES_COMPACT;
}

static void put_two(const struct moved *x, int v, struct buf *out)
{
    buf_printf(out, x->padded ? "%02d" : "%d", v);
}

static void put_year(const struct moved *x, struct slice old, struct buf *out)
{
    if (old.n == 2)
        buf_printf(out, "%02d", x->y % 100);
    else
        buf_printf(out, "%04d", x->y);
}

static void put_month(const struct moved *x, struct slice old, struct buf *out)
{
    if (x->p->month_row >= 0)
        dates_word_put(false, x->p->month_row, x->m, old, out);
    else
        put_two(x, x->m, out);
}

static void put_day(const struct moved *x, struct slice old, struct buf *out)
{
    (void)old;
    put_two(x, x->d, out);
}

static void put_weekday(const struct moved *x, struct slice old,
                        struct buf *out)
{
    int old_day = dates_weekday(old.p, old.n).index - 1;

    dates_word_put(true, x->p->weekday_row,
                   ((old_day + x->days) % 7 + 7) % 7 + 1, old, out);
}

static void put_end(int day, struct slice old, struct buf *out)
{
    static const char *const ends[] = { "th", "st", "nd", "rd" };
    int last = day / 10 == 1 ? 0 : day % 10;
    const char *end = ends[last < 4 ? last : 0];

    if ((old.p[0] | 0x20) == 'e') /* 1er: no other day has it */
        return;
    for (; *end; end++)
        buf_char(out, old.p[0] < 'a' ? (char)(*end & ~0x20) : *end);
}

static void put_ordinal(const struct moved *x, struct slice old,
                        struct buf *out)
{
    put_end(x->d, old, out);
}

static void put_last_ordinal(const struct moved *x, struct slice old,
                             struct buf *out)
{
    put_end(x->last, old, out);
}

static void put_last(const struct moved *x, struct slice old, struct buf *out)
{
    if (x->last_month != x->m && x->p->month.at < x->p->day.at &&
        !x->p->last_ordinal.n) {
        dates_word_put(
            false, x->p->month_row, x->last_month,
            (struct slice){ x->value.p + x->p->month.at, x->p->month.n }, out);
        buf_char(out, ' ');
    }
    (void)old;
    put_two(x, x->last, out);
}

static void write_fields(const struct moved *x, struct buf *out)
{
    const struct dates_parts *p = x->p;
    const struct dates_field f[FIELDS] = { p->year,        p->month,   p->day,
                                           p->weekday,     p->ordinal, p->last,
                                           p->last_ordinal };
    write_fn *const write[FIELDS] = { put_year,        put_month,   put_day,
                                      put_weekday,     put_ordinal, put_last,
                                      put_last_ordinal };
    size_t at = 0;

    for (;;) {
        size_t best = FIELDS;

        for (size_t i = 0; i < FIELDS; i++)
            if (f[i].n && f[i].at >= at &&
                (best == FIELDS || f[i].at < f[best].at))
                best = i;
        if (best == FIELDS)
            break;
        buf_add(out, x->value.p + at, f[best].at - at);
        write[best](x, (struct slice){ x->value.p + f[best].at, f[best].n },
                    out);
        at = f[best].at + f[best].n;
    }
    buf_add(out, x->value.p + at, x->value.n - at);
}

/* A date without a year is of the one beside it, or of one that has 365 days
 * and no other after it; the 29th of February is the 28th then. */
static void move_in_year(const struct moved *x, int year, int day, int *m,
                         int *d)
{
    int of = year ? year : PLAIN_YEAR, y;
    int exists = dates_valid(of, x->p->m, day) ? day : 28;
    long first = dates_to_number(of, 1, 1);
    long in = dates_to_number(of, x->p->m, exists) - first + x->days;

    if (!year)
        in = (in % 365 + 365) % 365;
    dates_from_number(first + in, &y, m, d);
}

static int move(struct moved *x, int year, struct err *err)
{
    const struct dates_parts *p = x->p;
    int day = p->d ? p->d : 15, y;
    int last = p->last.n ? p->d : 0;

    for (size_t i = 0; i < p->last.n; i++)
        last = (i ? last * 10 : 0) + (x->value.p[p->last.at + i] - '0');
    if (!p->y) {
        move_in_year(x, year, day, &x->m, &x->d);
        move_in_year(x, year, last ? last : day, &x->last_month, &x->last);
        return ERR_OK;
    }
    dates_from_number(dates_to_number(p->y, p->m, day) + x->days, &x->y, &x->m,
                      &x->d);
    dates_from_number(dates_to_number(p->y, p->m, last ? last : day) + x->days,
                      &y, &x->last_month, &x->last);
    if (x->y < DATES_YEAR_MIN || x->y > DATES_YEAR_MAX)
        return err_set(err, ERR_LIMIT, "a date would leave the years %d to %d",
                       DATES_YEAR_MIN, DATES_YEAR_MAX);
    return ERR_OK;
}

/* Of numbers whose order is not told by a year in front; -1: other dates. */
static int order_of(const struct dates_parts *p)
{
    static const char separators[] = "/-.";
    const char *at = strchr(separators, p->separator);

    if (p->kind != DATES_NUMERIC || !p->separator || !at ||
        (p->year.n && p->year.at < p->day.at))
        return -1;
    return (int)(at - separators);
}

void dates_learn(struct dates_known *known, struct slice value)
{
    struct dates_parts p;
    int order;

    if (!dates_parse(value, 0, &p) || p.end != value.n)
        return;
    if (p.year.n == 4 && p.y > known->year)
        known->year = p.y;
    order = order_of(&p);
    if (order >= 0 && !p.ambiguous)
        known->order[order] += p.day.at < p.month.at ? 1 : -1;
}

/* Reads day and month of a date that does not say it as others have them. */
static void settle(struct dates_parts *p, const struct dates_known *known)
{
    struct dates_field month = p->month;
    int m = p->m, order = order_of(p);

    if (order < 0 || !p->ambiguous || !known->order[order] ||
        (known->order[order] > 0) == (p->day.at < p->month.at))
        return;
    p->month = p->day;
    p->m = p->d;
    p->day = month;
    p->d = m;
}

int dates_shift(struct slice value, int days, const struct dates_known *known,
                struct buf *out, struct err *err)
{
    struct dates_parts p;
    struct moved x = { .p = &p, .value = value, .days = days };
    int rc;

    if (days > DATES_MAX_DAYS || days < -DATES_MAX_DAYS)
        return err_set(err, ERR_LIMIT, "a date moves by at most %d days",
                       DATES_MAX_DAYS);
    if (dates_shift_epoch(value, days, false, out))
        return ERR_OK;
    if (!dates_parse(value, 0, &p) || p.end != value.n)
        return dates_shift_epoch(value, days, true, out)
                   ? ERR_OK
                   : err_set(err, ERR_FORMAT,
                             "what is no date cannot be moved");
    if (known)
        settle(&p, known);
    x.padded = p.day.n && is_padded(value, &p);
    rc = move(&x, known ? known->year : 0, err);
    if (rc == ERR_OK)
        write_fields(&x, out);
    return rc;
}

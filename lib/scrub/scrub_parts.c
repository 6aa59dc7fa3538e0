/*
 * scrub_parts.c - days in parts: {"birth_year": 1985, "birth_month": 3, ...}
 *
 * Parts of a day move as the day does, so that they agree with it wherever the
 * record writes it whole. Members belong together if their keys speak of a
 * birth, or the object's does, or if all three of them are there. A year
 * without month and day is no day, and stays.
 */
#include "scrub/scrub_fake.h"

#include <stdio.h>
#include <string.h>

#define PART_BYTES 4
#define ALIKE_MAX 12  /* members of an object that ask for such a day */
#define WORD_BYTES 24 /* of a month's name */
#define DAY_BYTES 48
#define LEAP_YEAR 2024 /* has every day, where no year is told */

static bool has(struct slice words, const char *word)
{
    return words.n && memmem(words.p, words.n, word, strlen(word)) != NULL;
}

static bool is_birth(struct slice words)
{
    return has(words, "_birth_") || has(words, "_dob_") ||
           has(words, "_birthday_") || has(words, "_birthdate_") ||
           has(words, "_born_");
}

/* Keys that tell a part of a day by themselves; born: that of a birth. */
static const struct {
    const char *word;
    enum scrub_date_part part;
    bool born;
} wholes[] = {
    { "_year_", PART_YEAR, false },
    { "_y_", PART_YEAR, false },
    { "_yyyy_", PART_YEAR, false },
    { "_month_", PART_MONTH, false },
    { "_m_", PART_MONTH, false },
    { "_mm_", PART_MONTH, false },
    { "_day_", PART_DAY, false },
    { "_d_", PART_DAY, false },
    { "_dd_", PART_DAY, false },
    { "_birthyear_", PART_YEAR, true },
    { "_birthmonth_", PART_MONTH, true },
    { "_geburtsjahr_", PART_YEAR, true },
    { "_geburtsmonat_", PART_MONTH, true },
    { "_geburtstag_", PART_DAY, true },
};

static bool ends_with(struct slice w, const char *word)
{
    size_t n = strlen(word);

    return w.n >= n && memcmp(w.p + w.n - n, word, n) == 0;
}

void scrub_key_read_part(struct scrub_key *key)
{
    struct slice w = key->words;

    key->part = PART_NONE;
    key->prefix = 0;
    key->born = is_birth(w);
    for (size_t i = 0; i < sizeof(wholes) / sizeof(*wholes); i++) {
        bool whole = slice_is(w, wholes[i].word);

        if (!whole && !(key->born && has(w, wholes[i].word)))
            continue;
        key->part = wholes[i].part;
        key->born |= whole && wholes[i].born;
    }
    for (size_t i = 0; !key->part && i < sizeof(wholes) / sizeof(*wholes); i++)
        if (strlen(wholes[i].word) > 4 && ends_with(w, wholes[i].word)) {
            key->part = wholes[i].part;
            key->prefix = w.n - strlen(wholes[i].word);
        }
    key->moment = key->part || dates_key_tells(w);
}

void scrub_days_release(struct scrub_days *d)
{
    for (int born = 0; born < 2; born++)
        for (int i = PART_YEAR; i <= PART_DAY; i++)
            buf_release(&d->name[born][i]);
}

uint32_t scrub_date_rule(const struct scrub_rules *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->rule[i].fake == scrub_fake_date && !r->rule[i].replaced &&
            r->rule[i].action != SCRUB_KEEP && r->rule[i].tier < 3)
            return (uint32_t)i;
    return UINT32_MAX;
}

/* A number of one to four digits; 0: none. */
static int small_number(struct slice v)
{
    int n = 0;

    if (!v.n || v.n > PART_BYTES)
        return 0;
    for (size_t i = 0; i < v.n; i++) {
        if (!scrub_is_digit(v.p[i]))
            return 0;
        n = n * 10 + (v.p[i] - '0');
    }
    return n;
}

static struct slice written(const struct json *j, json_ref v)
{
    struct slice raw = json_raw(j, v);

    if (json_is(j, v, JSON_STRING) && !j->nodes[v].count)
        return (struct slice){ raw.p + 1, raw.n - 2 };
    return json_is(j, v, JSON_NUMBER) ? raw : (struct slice){ "", 0 };
}

static bool is_word(struct slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (scrub_is_digit(v.p[i]) ||
            (!scrub_is_alnum(v.p[i]) && (unsigned char)v.p[i] < 0x80))
            return false;
    return v.n >= 3 && v.n <= WORD_BYTES;
}

/* As small_number, of what may be such a part. */
static bool is_part(enum scrub_date_part part, struct slice v)
{
    int n = small_number(v);

    if (part == PART_MONTH && is_word(v))
        return true;
    return part == PART_YEAR ? n >= 1000 : n > 0 && n <= 31;
}

/* The day's parts among the members, the first of each. */
static void read_parts(struct scrub_worker *w, struct scrub_days *d, bool born)
{
    const struct json *j = d->j;
    struct slice *part = d->part[born];
    struct buf words = { 0 };
    struct scrub_key own;

    for (json_ref e = json_first(j, d->object); e != JSON_NONE;
         e = json_next(j, d->object, e)) {
        struct slice raw = json_raw(j, json_key(j, e)), v = written(j, e);
        const struct scrub_key *k =
            scrub_key_of(w->known_keys, (struct slice){ raw.p + 1, raw.n - 2 },
                         &own, &words);

        if (k->part && !k->prefix && k->born == born && !part[k->part].n &&
            is_part(k->part, v)) {
            part[k->part] = v;
            buf_add_slice(&d->name[born][k->part], k->words);
        }
    }
    buf_release(&words);
    d->read[born] = true;
}

/* The day as text, the month in digits or as its word; one part that is not
 * told is in the middle. */
static void write_day(const struct scrub_worker *w,
                      const struct slice part[PART_DAY + 1],
                      char day[DAY_BYTES])
{
    struct slice month = part[PART_MONTH];
    int y = small_number(part[PART_YEAR]), d = small_number(part[PART_DAY]);

    if (!y)
        y = w->dates.year ? w->dates.year : LEAP_YEAR;
    if (!d)
        d = 15;
    if (is_word(month))
        (void)snprintf(day, DAY_BYTES, "%d %.*s %04d", d, (int)month.n, month.p,
                       y);
    else
        (void)snprintf(day, DAY_BYTES, "%04d-%02d-%02d", y,
                       month.n ? small_number(month) : 6, d);
}

/* Part of "2024-05-15" or of "15 May 2024". */
static struct slice part_of(struct slice day, enum scrub_date_part part)
{
    bool words = memchr(day.p, ' ', day.n) != NULL;
    int skip = words ? PART_DAY - (int)part : (int)part - PART_YEAR;
    struct slice v = day;

    for (; skip > 0; skip--) {
        const char *at = memchr(v.p, words ? ' ' : '-', v.n);

        if (!at)
            return (struct slice){ "", 0 };
        v.n -= (size_t)(at + 1 - v.p);
        v.p = at + 1;
    }
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == (words ? ' ' : '-'))
            v.n = i;
    return v;
}

/* "05" where the old one had two digits; a number of JSON begins with none. */
static void put_part(struct slice part, size_t width, struct buf *out)
{
    int n = small_number(part);

    if (!n)
        buf_add_slice(out, part);
    else if (width == 2)
        buf_printf(out, "%02d", n);
    else
        buf_printf(out, "%d", n);
}

/* Whether all parts of the day may be what they become: they move together or
 * not at all. */
static bool may_move(struct scrub_worker *w, const struct slice *part,
                     const struct slice *name, struct slice day)
{
    for (int i = PART_YEAR; i <= PART_DAY; i++) {
        struct slice was = part[i];
        bool text = was.n && was.p[-1] == '"';
        struct buf now = { 0 };
        bool allowed = true;

        if (was.n) {
            put_part(part_of(day, (enum scrub_date_part)i), text ? was.n : 0,
                     &now);
            allowed = scrub_bounds_allow(w, name[i], was, buf_slice(&now), text,
                                         false);
        }
        buf_release(&now);
        if (!allowed)
            return false;
    }
    return true;
}

/* {"start_year": ..., "start_month": ..., "start_day": ...}: the parts whose
 * keys begin as this one does. False: some is not there. */
static bool read_alike(struct scrub_worker *w, struct scrub_days *d,
                       const struct scrub_key *key, struct slice *part,
                       struct slice *name)
{
    const struct json *j = d->j;
    struct buf words = { 0 };
    struct scrub_key own;

    if (d->asked++ == ALIKE_MAX)
        d->asked--;
    for (json_ref e = d->asked < ALIKE_MAX ? json_first(j, d->object)
                                           : JSON_NONE;
         e != JSON_NONE; e = json_next(j, d->object, e)) {
        struct slice raw = json_raw(j, json_key(j, e)), v = written(j, e);
        const struct scrub_key *k =
            scrub_key_of(w->known_keys, (struct slice){ raw.p + 1, raw.n - 2 },
                         &own, &words);

        if (k == &own || !k->part || k->prefix != key->prefix ||
            memcmp(k->words.p, key->words.p, k->prefix) != 0 ||
            part[k->part].n || !is_part(k->part, v))
            continue;
        part[k->part] = v;
        name[k->part] = k->words;
    }
    buf_release(&words);
    return part[PART_YEAR].n && part[PART_MONTH].n && part[PART_DAY].n;
}

static bool shift_day(struct scrub_worker *w, const struct slice *part,
                      struct buf *now)
{
    char day[DAY_BYTES];

    write_day(w, part, day);
    return dates_shift(slice_of(day), scrub_date_shift(w), NULL, now, NULL) ==
           ERR_OK;
}

/* The day that the members are parts of, moved, appended. */
static bool move_members(struct scrub_worker *w, struct scrub_days *days,
                         const struct scrub_key *key, struct slice value,
                         struct buf *now)
{
    const struct slice *part = days->part[key->born];
    bool born = key->born || is_birth(days->key);
    struct slice name[PART_DAY + 1] = { 0 };

    if (!days->read[key->born])
        read_parts(w, days, key->born);
    for (int i = PART_YEAR; i <= PART_DAY; i++)
        name[i] = buf_slice(&days->name[0][i]);
    return part[key->part].p == value.p &&
           (part[PART_MONTH].n || part[PART_DAY].n) &&
           (born ||
            (part[PART_YEAR].n && part[PART_MONTH].n && part[PART_DAY].n)) &&
           shift_day(w, part, now) &&
           (born || may_move(w, part, name, buf_slice(now)));
}

bool scrub_part_move(struct scrub_worker *w, struct scrub_days *days,
                     const struct scrub_key *key, struct slice value,
                     bool number, struct buf *out)
{
    struct slice part[PART_DAY + 1] = { 0 }, name[PART_DAY + 1] = { 0 };
    struct buf now = { 0 };
    bool done = false;

    if (!is_part(key->part, value))
        return false;
    if (key->prefix)
        done = read_alike(w, days, key, part, name) &&
               part[key->part].p == value.p && shift_day(w, part, &now) &&
               may_move(w, part, name, buf_slice(&now));
    else
        done = move_members(w, days, key, value, &now);
    if (done)
        put_part(part_of(buf_slice(&now), key->part), number ? 0 : value.n,
                 out);
    buf_release(&now);
    return done;
}

bool scrub_list_move(struct scrub_worker *w, struct slice key,
                     const struct slice list[3], struct buf out[3])
{
    struct slice part[PART_DAY + 1] = { 0 };
    struct buf now = { 0 };
    bool done = is_birth(key);

    for (int i = 0; done && i < 3; i++) {
        part[PART_YEAR + i] = list[i];
        done = is_part((enum scrub_date_part)(PART_YEAR + i), list[i]) &&
               !is_word(list[i]);
    }
    done = done && shift_day(w, part, &now);
    for (int i = 0; done && i < 3; i++)
        put_part(
            part_of(buf_slice(&now), (enum scrub_date_part)(PART_YEAR + i)), 0,
            &out[i]);
    buf_release(&now);
    return done;
}

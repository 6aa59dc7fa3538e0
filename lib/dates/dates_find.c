/*
 * dates_find.c - where in a text dates stand, and how sure that is
 *
 * Every date has a digit, so digits are what is looked for; a month or weekday
 * before them is found by looking back. What stands beside a find decides
 * whether it is one: parts of file names, versions, paths and identifiers are
 * not. Sure is what has a valid day and its year, or the name of a month.
 */
#include "dates/dates_priv.h"

#include <string.h>

struct dates_search {
    struct slice text, key;
    dates_found_fn *found;
    void *ctx;
    size_t last_end; /* of the find before */
};

static bool is_word_byte(char c)
{
    return ascii_is_alnum(c) || c == '_';
}

/* Stars of Markdown, and no product: where those before `at` begin. */
static size_t before_stars(struct slice t, size_t at)
{
    size_t from = at;

    while (from && at - from < 3 && t.p[from - 1] == '*')
        from--;
    return from && is_word_byte(t.p[from - 1]) ? at : from;
}

static bool may_begin(const struct dates_search *s, size_t at)
{
    const char *p;

    at = before_stars(s->text, at);
    p = s->text.p + at;
    if (at == 0 || (at == s->last_end + 1 && s->last_end))
        return true;
    if (is_word_byte(p[-1]) || ascii_is_one_of(p[-1], "#$@%+*^~\\"))
        return false;
    if (ascii_is_one_of(p[-1], "-./"))
        return at < 2 || !(is_word_byte(p[-2]) || p[-2] == '/' || p[-2] == '.');
    return p[-1] != ':' || at < 2 || !ascii_is_digit(p[-2]);
}

static bool may_end(struct slice t, size_t end)
{
    struct dates_parts next;
    char c = end < t.n ? t.p[end] : 0;

    if (end == t.n)
        return true;
    if (is_word_byte(c) || c == '%' || c == '\\')
        return false;
    if (end + 1 == t.n || !ascii_is_one_of(c, "-./:+"))
        return true;
    if (c == '.' && ascii_is_letter(t.p[end + 1]))
        return t.p[end + 1] < 'a'; /* the next sentence, not a file's kind */
    return !is_word_byte(t.p[end + 1]) || dates_parse(t, end + 1, &next);
}

/* The day of "May 15,000" */
static bool is_amount(struct slice t, const struct dates_parts *p)
{
    return !p->y && p->end + 1 < t.n && t.p[p->end] == ',' &&
           ascii_is_digit(t.p[p->end + 1]);
}

/* The word before byte `at` over blanks and marks; 0 bytes if there is none. */
static struct slice word_before(struct slice t, size_t at)
{
    size_t end = at, start;

    while (end > 0 && at - end < 4 &&
           ascii_is_one_of(t.p[end - 1], " =:\"'\t("))
        end--;
    start = dates_word_start(t, end);
    return (struct slice){ t.p + start, end - start };
}

static bool is_one_of(struct slice w, const char *const *words)
{
    for (; *words; words++)
        if (ascii_is_word(w.p, w.n, *words))
            return true;
    return false;
}

/* A number of another kind: version 2024-05-15, build 3.5.2020 */
static bool is_version(const struct dates_search *s, size_t at)
{
    static const char *const words[] = { "version",  "v",        "ver",
                                         "release",  "build",    "rev",
                                         "revision", "versions", "chapter",
                                         "sv",       "section",  NULL };

    return is_one_of(word_before(s->text, at), words) ||
           (s->key.n && memmem(s->key.p, s->key.n, "_version_", 9));
}

/* "birthday is 12/03" */
static struct slice word_before_is(struct slice t, size_t at)
{
    static const char *const is[] = { "is",  "was", "ist", "war",
                                      "est", "era", NULL };
    struct slice w = word_before(t, at);

    return is_one_of(w, is) ? word_before(t, (size_t)(w.p - t.p)) : w;
}

/* Words behind which even a bare 12/5/24 is a date. */
static bool is_introduced(struct slice t, size_t at)
{
    static const char *const words[] = {
        "on",          "since",   "until", "till",  "dated",      "date",
        "born",        "dob",     "due",   "vom",   "seit",       "am",
        "bis",         "geboren", "geb",   "birth", "birthday",   "datum",
        "le",          "el",      "dal",   "fecha", "expires",    "nacido",
        "né",          "née",     "nata",  "nato",  "geburtstag", "start",
        "starts",      "started", "end",   "ends",  "ended",      "deadline",
        "anniversary", NULL
    };

    return is_one_of(word_before_is(t, at), words);
}

static bool is_doubtful_word(const char *p, size_t n)
{
    static const char *const words[] = { "may", "march", "mar", "mars", "mart",
                                         "set", "out",   "ago", "sept", "sep",
                                         "dec", "jan",   "jun", "jul",  "nov",
                                         "oct", "apr",   "feb", "gen",  NULL };
    struct slice w = { p, n };

    return p[0] >= 'a' && is_one_of(w, words);
}

/* The name of a month and a day, or a month and a year. */
static int words_tier(struct slice t, const struct dates_parts *p)
{
    const char *month = t.p + p->month.at;

    if (!p->d)
        return is_doubtful_word(month, p->month.n) ? 3 : 2;
    if (p->y || p->weekday.n || p->ordinal.n || p->timed)
        return 1;
    if (dates_month_short(p->month_row) && !dates_month_english(p->month_row))
        return 3;
    return is_doubtful_word(month, p->month.n) ? 2 : 1;
}

/* 2024.04.10 as a field of its own; in a sentence it may be a version. */
static bool stands_alone(struct slice t, const struct dates_parts *p)
{
    size_t from = p->start, to = p->end;

    if (p->month.n != 2 || p->day.n != 2)
        return false;
    while (from && t.p[from - 1] == ' ')
        from--;
    while (to < t.n && t.p[to] == ' ')
        to++;
    return (!from || ascii_is_one_of(t.p[from - 1], "\n\t|:;,([\"'")) &&
           (to == t.n || ascii_is_one_of(t.p[to], "\n\t|;,)]\"'"));
}

/* "5/27" of "5/27, 5/28/2024": a list whose end has the year. */
static bool year_follows(struct slice t, const struct dates_parts *p)
{
    static const char *const joins[] = { ", and ", ", ",  " and ", " or ",
                                         " to ",   " - ", "-",     NULL };
    struct dates_parts next = *p;

    for (int days = 0; days < 8; days++) {
        size_t k = 0;
        struct slice rest = { t.p + next.end, t.n - next.end };

        while (joins[k] && (rest.n < strlen(joins[k]) ||
                            memcmp(rest.p, joins[k], strlen(joins[k])) != 0))
            k++;
        if (!joins[k] || !dates_parse(t, next.end + strlen(joins[k]), &next) ||
            next.kind != DATES_NUMERIC || next.separator != p->separator)
            return false;
        if (next.year.n)
            return next.year.n == 4 && next.year.at > next.day.at;
    }
    return false;
}

static int numeric_tier(struct slice t, const struct dates_parts *p)
{
    bool full = p->year.n == 4;

    if (p->weekday.n || (full && p->timed))
        return 1;
    if (!p->year.n) { /* fractions, scores, odds */
        if (year_follows(t, p))
            return 1;
        if (!is_introduced(t, p->start))
            return 3;
        return p->ambiguous ? 2 : 1;
    }
    if (full && (p->y < 1800 || p->y > 2199))
        return 2;
    if (full && p->separator == '.' && p->year.at < p->day.at)
        return is_introduced(t, p->start) || stands_alone(t, p) ? 1 : 2;
    return full || p->timed || is_introduced(t, p->start) ? 1 : 2;
}

static int tier_of(const struct dates_search *s, const struct dates_parts *p)
{
    switch (p->kind) {
    case DATES_NUMERIC: return numeric_tier(s->text, p);
    case DATES_COMPACT: return p->timed ? 1 : 2;
    case DATES_WORDS: return words_tier(s->text, p);
    case DATES_ASIAN: return 1;
    }
    return 3;
}

/* Where a month's name begins whose day or year stands at `at`; `at` if there
 * is none. */
static size_t month_before(struct slice t, size_t at)
{
    static const char *const between[] = { " the ", " of ", " de ", " del ",
                                           NULL };
    size_t end = at, start;

    if (at < 3)
        return at;
    for (int i = 0; between[i]; i++) {
        size_t n = strlen(between[i]);

        if (at > n && ascii_is_word(t.p + at - n, n, between[i]))
            end = at - n + 1;
    }
    if (t.p[end - 1] == '-' || t.p[end - 1] == '/')
        end--;
    else
        for (int n = 0; n < 2 && end > 0 && t.p[end - 1] == ' '; n++)
            end--;
    if (end > 0 && t.p[end - 1] == '.')
        end--;
    if (end == at || end == 0 || !dates_is_letter(t.p[end - 1]))
        return at;
    start = dates_word_start(t, end);
    return dates_month(t.p + start, end - start, DATES_BESIDE_BLANK).row >= 0
               ? start
               : at;
}

/* The same for a weekday and the article between. */
static size_t weekday_before(struct slice t, size_t at)
{
    static const char *const articles[] = { "the", "den", "der", "le",
                                            "el",  "dem", "am",  NULL };
    size_t end = at, start;

    for (int words = 0; words < 2; words++) {
        while (end > 0 && at - end < 8 &&
               ascii_is_one_of(t.p[end - 1], " ,.\t"))
            end--;
        start = dates_word_start(t, end);
        if (start == end)
            return at;
        if (dates_weekday(t.p + start, end - start).row >= 0)
            return start;
        if (!is_one_of((struct slice){ t.p + start, end - start }, articles))
            return at;
        end = start;
    }
    return at;
}

/* The digits at [at, at + n) may be the first of a date, or its day behind
 * the month, or its year behind the month. */
static bool parse_around(const struct dates_search *s, size_t at, size_t n,
                         struct dates_parts *p)
{
    struct slice t = s->text;
    size_t from = at, weekday;
    struct dates_parts longer;

    if (n <= 2 || n == 4)
        from = month_before(t, at);
    if (from < s->last_end)
        from = at;
    if (!dates_parse(t, from, p)) {
        if (from == at || !dates_parse(t, at, p))
            return false;
    }
    weekday = weekday_before(t, p->start);
    if (weekday < p->start && dates_parse(t, weekday, &longer) &&
        longer.end >= p->end)
        *p = longer;
    return true;
}

static bool worth_parsing(struct slice t, size_t at, size_t n)
{
    char c = at + n < t.n ? t.p[at + n] : 0;

    if (n == 8)
        return true;
    if (n == 4 && (c == '-' || c == '/' || c == '.' || c == ' ' ||
                   (c == ',' && at > 5 && t.p[at - 1] == '(')))
        return true;
    if (n > 2 && n != 4)
        return false;
    return (at > 3 && ascii_is_one_of(t.p[at - 1], " -/") &&
            !ascii_is_digit(t.p[at - 2])) ||
           ascii_is_one_of(c, "-/. ") || dates_is_letter(c);
}

static int look_at(struct dates_search *s, size_t at, size_t n, size_t *next)
{
    struct slice t = s->text;
    struct dates_parts p;
    size_t end;

    if (worth_parsing(t, at, n) && parse_around(s, at, n, &p) && p.end > at &&
        p.start >= s->last_end && may_begin(s, p.start) && may_end(t, p.end) &&
        !is_amount(t, &p) && !is_version(s, p.start)) {
        *next = s->last_end = p.end;
        return s->found(s->ctx, DATES_DATE, p.start, p.end, tier_of(s, &p));
    }
    if (n <= 2 && at + n < t.n && t.p[at + n] == ':' && may_begin(s, at)) {
        end = dates_time_end(t, at);
        if (end > at && may_end(t, end)) {
            *next = s->last_end = end;
            return s->found(s->ctx, DATES_TIME, at, end, 3);
        }
    }
    if (n <= 3)
        return dates_find_ages(t, s->key, at, at + n, s->found, s->ctx);
    return 0;
}

int dates_find(struct slice text, struct slice key, dates_found_fn *found,
               void *ctx)
{
    struct dates_search s = { text, key, found, ctx, 0 };
    size_t i = ascii_digit_next(text, 0), start, end;
    int rc = 0;

    if (i < 2 && key.n && dates_is_epoch(text, key, &start, &end))
        return found(ctx, DATES_DATE, start, end, 1);

    while (rc >= 0 && i < text.n) {
        size_t n = ascii_digits(text, i), next = i + n;

        rc = look_at(&s, i, n, &next);
        i = next < text.n ? ascii_digit_next(text, next) : text.n;
    }
    return rc < 0 ? rc : dates_find_old_words(text, found, ctx);
}

/*
 * dates_parse.c - one date at a known place, taken apart
 *
 * Reads the longest date that begins there and says where its fields stand.
 * Whether it is likely to be one in that text is the finder's business; here
 * only the shape and the calendar count.
 */
#include "dates/dates_priv.h"

#include <string.h>

static size_t digits_at(struct slice t, size_t i)
{
    size_t n = 0;

    while (i + n < t.n && n < 16 && ascii_is_digit(t.p[i + n]))
        n++;
    return n;
}

static int number(struct slice t, size_t i, size_t n)
{
    int v = 0;

    while (n--)
        v = v * 10 + (t.p[i++] - '0');
    return v;
}

static bool is_at(struct slice t, size_t i, char c)
{
    return i < t.n && t.p[i] == c;
}

static bool text_at(struct slice t, size_t i, const char *s)
{
    size_t n = strlen(s);

    return i <= t.n && t.n - i >= n && memcmp(t.p + i, s, n) == 0;
}

/* Blanks, at most two, and what JSON and mail make of one. */
static size_t blanks(struct slice t, size_t i)
{
    size_t n = 0;

    while (n < 2 && i < t.n && (t.p[i] == ' ' || t.p[i] == '\t'))
        i++, n++;
    return text_at(t, i, "\xC2\xA0") ? i + 2 : i;
}

/* After the word if it stands here with a blank behind it, else i. */
static size_t skip_word(struct slice t, size_t i, const char *low)
{
    size_t n = strlen(low);

    return i + n < t.n && ascii_is_word(t.p + i, n, low) && t.p[i + n] == ' '
               ? i + n + 1
               : i;
}

static size_t skip_words(struct slice t, size_t i, const char *const *low)
{
    for (; *low; low++) {
        size_t after = skip_word(t, i, *low);

        if (after > i)
            return after;
    }
    return i;
}

static size_t half_of_day(struct slice t, size_t i)
{
    size_t at = is_at(t, i, ' ') ? i + 1 : i;
    char c = at < t.n ? (char)(t.p[at] | 0x20) : 0;

    if (c != 'a' && c != 'p')
        return i;
    at++;
    if (is_at(t, at, '.') && at + 1 < t.n && (t.p[at + 1] | 0x20) == 'm')
        at++;
    if (at >= t.n || (t.p[at] | 0x20) != 'm')
        return i;
    at++;
    if (at < t.n && dates_is_letter(t.p[at]))
        return i;
    return t.p[at - 2] == '.' && is_at(t, at, '.') ? at + 1 : at;
}

static size_t zone(struct slice t, size_t i)
{
    static const char *const names[] = { "UTC", "GMT",  "EST", "EDT", "CST",
                                         "CDT", "MST",  "MDT", "PST", "PDT",
                                         "CET", "CEST", "BST", "EET", "IST",
                                         "JST", "ET",   "PT",  NULL };
    size_t at = is_at(t, i, ' ') ? i + 1 : i, n;

    if (is_at(t, i, 'Z') && (i + 1 == t.n || !dates_is_letter(t.p[i + 1])))
        return i + 1;
    n = at + 1 < t.n ? digits_at(t, at + 1) : 0;
    if ((is_at(t, at, '+') || is_at(t, at, '-')) && (n == 2 || n == 4)) {
        at += 1 + n;
        if (n == 2 && is_at(t, at, ':') && digits_at(t, at + 1) == 2)
            at += 3;
        return at;
    }
    n = at < t.n ? dates_word_length(t, at) : 0;
    for (size_t k = 0; at > i && names[k]; k++)
        if (strlen(names[k]) == n && memcmp(t.p + at, names[k], n) == 0)
            return at + n;
    return i;
}

size_t dates_time_end(struct slice t, size_t at)
{
    size_t n = digits_at(t, at), i = at + n;

    if ((n == 6 || n == 4) && at > 0 && t.p[at - 1] == 'T')
        return number(t, at, 2) < 25 && number(t, at + 2, 2) < 60 ? zone(t, i)
                                                                  : at;
    if (n < 1 || n > 2 || number(t, at, n) > 24)
        return at;
    if ((is_at(t, i, ':') || is_at(t, i, 'h')) && digits_at(t, i + 1) == 2) {
        if (number(t, i + 1, 2) > 59)
            return at;
        i += 3;
        if (is_at(t, i, ':') && digits_at(t, i + 1) == 2) {
            i += 3;
            n = i < t.n && (t.p[i] == '.' || t.p[i] == ',')
                    ? digits_at(t, i + 1)
                    : 0;
            i += n ? n + 1 : 0;
        }
        return zone(t, half_of_day(t, i));
    }
    n = half_of_day(t, i);
    return n > i ? zone(t, n) : at;
}

static void time_after(struct slice t, struct dates_parts *p)
{
    static const char *const words[] = { "at", "um", "à", "alle", "kl", NULL };
    size_t i = p->end, end;

    if (i + 1 < t.n && (t.p[i] == 'T' || t.p[i] == 't' || t.p[i] == ':') &&
        ascii_is_digit(t.p[i + 1])) {
        i++;
    } else {
        i += is_at(t, i, ',');
        i = skip_words(t, blanks(t, i), words);
        if (i == p->end)
            return;
    }
    end = i < t.n && ascii_is_digit(t.p[i]) ? dates_time_end(t, i) : i;
    if (end > i) {
        p->end = end;
        p->timed = true;
    }
}

static bool plausible_year(int y)
{
    return y >= DATES_YEAR_MIN && y <= DATES_YEAR_MAX;
}

/* "24" is 2024, "68" 2068 and "69" 1969, as POSIX has it. */
static int full_year(struct slice t, struct dates_field f)
{
    int y = number(t, f.at, f.n);

    return f.n != 2 ? y : y < 69 ? 2000 + y : 1900 + y;
}

static bool field(struct slice t, size_t at, size_t min, size_t max,
                  struct dates_field *f)
{
    *f = (struct dates_field){ at, digits_at(t, at) };
    return f->n >= min && f->n <= max;
}

static void set_day(struct dates_parts *p, struct dates_field month,
                    struct dates_field day, int m, int d)
{
    p->month = month;
    p->day = day;
    p->m = m;
    p->d = d;
}

/* 1984, 7, 23 of datetime.date(1984, 7, 23), as Python prints it; alone it is
 * what a finder has taken out of there. */
static bool of_python(struct slice t, struct dates_parts *p)
{
    size_t at = p->start;
    struct dates_field b, c;

    if ((at && !(at > 5 && memcmp(t.p + at - 5, "date(", 5) == 0) &&
         !(at > 9 && memcmp(t.p + at - 9, "datetime(", 9) == 0)) ||
        !field(t, at, 4, 4, &p->year) || !text_at(t, at + 4, ", ") ||
        !field(t, at + 6, 1, 2, &b) || !text_at(t, b.at + b.n, ", ") ||
        !field(t, b.at + b.n + 2, 1, 2, &c))
        return false;
    p->separator = ',';
    p->y = number(t, at, 4);
    set_day(p, b, c, number(t, b.at, b.n), number(t, c.at, c.n));
    p->end = c.at + c.n;
    return true;
}

/* 2024-05-15, 2024/5/15, 2024.05.15 */
static bool year_first(struct slice t, struct dates_parts *p)
{
    struct dates_field a, b, c;

    if (!field(t, p->start, 4, 4, &a) || a.at + 5 >= t.n)
        return false;
    p->separator = t.p[a.at + 4];
    if (!ascii_is_one_of(p->separator, "-/.") ||
        !field(t, a.at + 5, 1, 2, &b) || !is_at(t, b.at + b.n, p->separator) ||
        !field(t, b.at + b.n + 1, 1, 2, &c))
        return false;
    p->y = number(t, a.at, 4);
    p->year = a;
    set_day(p, b, c, number(t, b.at, b.n), number(t, c.at, c.n));
    p->end = c.at + c.n;
    return true;
}

/* 15.5.2024, 5/15/24 */
static bool year_last(struct slice t, struct dates_parts *p)
{
    struct dates_field a, b, c;
    bool spaced;
    int x, y;

    if (!field(t, p->start, 1, 2, &a) || a.at + a.n + 1 >= t.n)
        return false;
    p->separator = t.p[a.at + a.n];
    /* "15. 5. 2024", as Czech and German have it */
    spaced = p->separator == '.' && is_at(t, a.at + a.n + 1, ' ');
    if (!ascii_is_one_of(p->separator, "-/.") ||
        !field(t, a.at + a.n + 1 + spaced, 1, 2, &b) ||
        !is_at(t, b.at + b.n, p->separator) ||
        is_at(t, b.at + b.n + 1, ' ') != spaced ||
        !field(t, b.at + b.n + 1 + spaced, spaced ? 4 : 2, 4, &c) || c.n == 3)
        return false;
    x = number(t, a.at, a.n);
    y = number(t, b.at, b.n);
    p->year = c;
    p->y = full_year(t, c);
    p->end = c.at + c.n;
    p->ambiguous = x <= 12 && y <= 12;
    if (p->separator == '.' ? y <= 12 : x > 12)
        set_day(p, b, a, y, x);
    else
        set_day(p, a, b, x, y);
    return true;
}

/* 5/15: the finder wants more than the shape. */
static bool no_year(struct slice t, struct dates_parts *p)
{
    struct dates_field a, b;
    int x, y;

    if (!field(t, p->start, 1, 2, &a) || !is_at(t, a.at + a.n, '/') ||
        !field(t, a.at + a.n + 1, 1, 2, &b) || is_at(t, b.at + b.n, '/'))
        return false;
    x = number(t, a.at, a.n);
    y = number(t, b.at, b.n);
    p->separator = '/';
    p->end = b.at + b.n;
    p->ambiguous = x <= 12 && y <= 12;
    if (x > 12)
        set_day(p, b, a, y, x);
    else
        set_day(p, a, b, x, y);
    return true;
}

static bool compact(struct slice t, struct dates_parts *p)
{
    size_t at = p->start;

    if (digits_at(t, at) != 8)
        return false;
    p->kind = DATES_COMPACT;
    if (number(t, at, 4) < 1300 && number(t, at + 4, 4) >= 1900 &&
        number(t, at + 4, 4) < 2100) { /* 07231984 */
        p->year = (struct dates_field){ at + 4, 4 };
        p->y = number(t, at + 4, 4);
        set_day(p, (struct dates_field){ at, 2 },
                (struct dates_field){ at + 2, 2 }, number(t, at, 2),
                number(t, at + 2, 2));
        p->end = at + 8;
        return true;
    }
    p->year = (struct dates_field){ at, 4 };
    p->y = number(t, at, 4);
    set_day(p, (struct dates_field){ at + 4, 2 },
            (struct dates_field){ at + 6, 2 }, number(t, at + 4, 2),
            number(t, at + 6, 2));
    p->end = at + 8;
    return p->y >= 1900 && p->y < 2100;
}

/* Number and sign; the sign is three bytes in UTF-8. */
static bool asian_field(struct slice t, size_t *at, size_t min, size_t max,
                        const char *chinese, const char *korean,
                        struct dates_field *f)
{
    size_t end;

    if (!field(t, *at, min, max, f))
        return false;
    end = f->at + f->n;
    if (!text_at(t, end, chinese) && !text_at(t, end, korean))
        return false;
    *at = end + 3;
    return true;
}

static bool asian(struct slice t, struct dates_parts *p)
{
    size_t at = p->start;
    struct dates_field m, d;

    p->kind = DATES_ASIAN;
    if (asian_field(t, &at, 4, 4, "\xE5\xB9\xB4", "\xEB\x85\x84", &p->year)) {
        p->y = number(t, p->year.at, 4);
        at = blanks(t, at);
    } else {
        p->year.n = 0;
    }
    if (!asian_field(t, &at, 1, 2, "\xE6\x9C\x88", "\xEC\x9B\x94", &m))
        return false;
    at = blanks(t, at);
    if (!asian_field(t, &at, 1, 2, "\xE6\x97\xA5", "\xEC\x9D\xBC", &d))
        return false;
    set_day(p, m, d, number(t, m.at, m.n), number(t, d.at, d.n));
    p->end = at;
    return true;
}

/* The year after day and month; from p->end on. */
static void year_after(struct slice t, struct dates_parts *p)
{
    static const char *const of[] = { "of", "de", "del", "in", "anno", NULL };
    size_t i = p->end, n;

    if (is_at(t, i, '-') || is_at(t, i, '/')) {
        i++;
    } else {
        i += text_at(t, i, " ,");
        i += is_at(t, i, ',') || is_at(t, i, '.');
        i = skip_words(t, blanks(t, i), of);
        if (i == p->end)
            return;
    }
    n = i < t.n ? digits_at(t, i) : 0;
    if (n == 2 && t.p[i - 1] == '-' && p->day.at < p->month.at &&
        t.p[p->month.at - 1] == '-')
        p->y = full_year(t, (struct dates_field){ i, 2 });
    else if (n == 4 && plausible_year(number(t, i, 4)) &&
             (t.p[i - 1] == '/' || !is_at(t, i + 4, ':')))
        p->y = number(t, i, 4);
    else
        return;
    p->year = (struct dates_field){ i, n };
    p->end = i + n;
}

/* "th" and the like behind the day. */
static void ordinal_after(struct slice t, struct dates_parts *p)
{
    static const char *const ends[] = { "st", "nd", "rd", "th", "er", NULL };
    size_t n = dates_word_length(t, p->end);

    for (size_t i = 0; n && ends[i]; i++)
        if (ascii_is_word(t.p + p->end, n, ends[i])) {
            p->ordinal = (struct dates_field){ p->end, n };
            p->end += n;
            return;
        }
    if (text_at(t, p->end, "\xC2\xBA"))
        p->end += 2;
}

static bool month_at(struct slice t, size_t i)
{
    size_t n = i < t.n ? dates_word_length(t, i) : 0;

    return n && dates_month(t.p + i, n, DATES_BESIDE_BLANK).row >= 0;
}

/* Behind "-" or a dash between days; i if none stands there. */
static size_t skip_dash(struct slice t, size_t i)
{
    if (is_at(t, i, '-'))
        return i + 1;
    return text_at(t, i, "\xE2\x80\x93") ? i + 3 : i;
}

/* Behind " to " and its like; i if none stands there. */
static size_t skip_join(struct slice t, size_t i)
{
    static const char *const joins[] = { " to ", " and ", " & ", " or " };

    for (size_t k = 0; k < sizeof(joins) / sizeof(*joins); k++)
        if (text_at(t, i, joins[k]))
            return i + strlen(joins[k]);
    return i;
}

/* "-17" of "May 15-17", " to 17" of "May 15 to 17, 2024" */
static void last_after(struct slice t, struct dates_parts *p)
{
    size_t join = skip_join(t, p->end);
    bool word = join > p->end;
    size_t i = word ? join : skip_dash(t, p->end), n;

    n = i > p->end && i < t.n ? digits_at(t, i) : 0;
    if (n < 1 || n > 2 || is_at(t, i + n, ':') || is_at(t, i + n, '-') ||
        is_at(t, i + n, '/') || number(t, i, n) <= p->d ||
        !dates_valid(p->y, p->m, number(t, i, n)) ||
        (word && !text_at(t, i + n, ", ")) || dates_word_length(t, i + n) ||
        month_at(t, blanks(t, i + n)))
        return;
    p->last = (struct dates_field){ i, n };
    p->end = i + n;
}

/* What may stand behind "the 28th" where it is a day, and no floor. */
static bool day_may_end(struct slice t, size_t i)
{
    static const char *const words[] = { "is",   "was",  "works",   "would",
                                         "will", "at",   "too",     "or",
                                         "and",  "if",   "also",    "for",
                                         "in",   "both", "instead", "between",
                                         "but",  "as",   NULL };
    size_t n;

    if (i == t.n || ascii_is_one_of(t.p[i], ".,;:!?)\"\n"))
        return true;
    i = blanks(t, i);
    n = i < t.n ? dates_word_length(t, i) : 0;
    for (size_t k = 0; n && words[k]; k++)
        if (ascii_is_word(t.p + i, n, words[k]))
            return true;
    return false;
}

/* ", the 28th" behind "the 27th of May" */
static void another_after(struct slice t, struct dates_parts *p)
{
    static const char *const joins[] = { ", the ",    " and the ",  " or the ",
                                         ", or the ", ", and the ", NULL };
    static const char *const ends[] = { "st", "nd", "rd", "th", NULL };
    size_t i = p->end, n, k = 0;

    while (joins[k] && !text_at(t, i, joins[k]))
        k++;
    if (!joins[k] || p->last.n || !p->d)
        return;
    i += strlen(joins[k]);
    n = i < t.n ? digits_at(t, i) : 0;
    if (n < 1 || n > 2 || number(t, i, n) <= p->d ||
        !dates_valid(p->y, p->m, number(t, i, n)))
        return;
    for (k = 0; ends[k]; k++)
        if (text_at(t, i + n, ends[k]) && day_may_end(t, i + n + 2)) {
            p->last = (struct dates_field){ i, n };
            p->last_ordinal = (struct dates_field){ i + n, 2 };
            p->end = i + n + 2;
            return;
        }
}

/* "27-" of "27-29 May": the day that counts is the second. */
static void days_before(struct slice t, struct dates_parts *p)
{
    size_t i = skip_dash(t, p->end), n;

    n = i > p->end && i < t.n ? digits_at(t, i) : 0;
    if (n < 1 || n > 2 || !month_at(t, blanks(t, i + n)))
        return;
    p->last = p->day;
    p->day = (struct dates_field){ i, n };
    p->d = number(t, i, n);
    p->end = i + n;
}

/* ctime: "May 15 10:00:00 2024". */
static void year_after_time(struct slice t, struct dates_parts *p)
{
    size_t n =
        p->end < t.n && t.p[p->end] == ' ' ? digits_at(t, p->end + 1) : 0;

    if (p->y || n != 4 || !plausible_year(number(t, p->end + 1, 4)))
        return;
    p->year = (struct dates_field){ p->end + 1, 4 };
    p->y = number(t, p->end + 1, 4);
    p->end += 5;
}

/* "May 15th, 2024", "May the 15th", "May 2024" */
static bool month_first(struct slice t, struct dates_parts *p)
{
    static const char *const between[] = { "the", "of", "de", "del", NULL };
    size_t n = dates_word_length(t, p->start), i = p->start + n, d;
    struct dates_word w = dates_month(t.p + p->start, n, DATES_BESIDE_BLANK);

    if (w.row < 0)
        return false;
    p->kind = DATES_WORDS;
    p->month = (struct dates_field){ p->start, n };
    p->month_row = w.row;
    p->m = w.index;
    i += is_at(t, i, '.');
    if (is_at(t, i, '-') || is_at(t, i, '/'))
        i++;
    else
        i = skip_words(t, blanks(t, i), between);
    d = i > p->start + n && i < t.n ? digits_at(t, i) : 0;
    p->end = i + d;
    if (d == 4 && plausible_year(number(t, i, 4))) {
        p->year = (struct dates_field){ i, 4 };
        p->y = number(t, i, 4);
        return true;
    }
    if (d < 1 || d > 2 || is_at(t, p->end, '%') ||
        (is_at(t, p->end, ':') && digits_at(t, p->end + 1)) ||
        (is_at(t, p->end, '/') && t.p[i - 1] != '/' &&
         digits_at(t, p->end + 1) == 4)) /* "in May. 05/1984 ..." */
        return false;
    p->day = (struct dates_field){ i, d };
    p->d = number(t, i, d);
    ordinal_after(t, p);
    last_after(t, p);
    year_after(t, p);
    another_after(t, p);
    return true;
}

/* Where the month's name may begin behind a day. */
static size_t month_after_day(struct slice t, struct dates_parts *p,
                              enum dates_beside *beside)
{
    static const char *const of[] = { "of", "de", "of the", "da", "do", NULL };
    size_t i = p->end, blank;

    *beside = is_at(t, i, '.') ? DATES_BESIDE_POINT : DATES_BESIDE_BLANK;
    i += *beside == DATES_BESIDE_POINT;
    if (is_at(t, i, '-') || is_at(t, i, '/'))
        return i + 1;
    blank = blanks(t, i);
    i = skip_words(t, blank, of);
    if (i > blank)
        *beside = DATES_BESIDE_OF;
    return text_at(t, i, "d'") ? i + 2 : i;
}

/* 03.IV.2024, 3/IV/2024: the same sign on both sides, then the year. */
static bool roman(struct slice t, struct dates_parts *p)
{
    struct dates_word w;
    size_t i, n;
    char sign;

    if (!field(t, p->start, 1, 2, &p->day))
        return false;
    i = p->start + p->day.n;
    sign = i < t.n ? t.p[i] : '\0';
    if (sign != '.' && sign != '/' && sign != '-')
        return false;
    i += 1 + (sign == '.' && is_at(t, i + 1, ' '));
    n = i < t.n ? dates_word_length(t, i) : 0;
    w = dates_month_roman(t.p + i, n);
    if (!n || w.row < 0)
        return false;
    p->kind = DATES_WORDS;
    p->d = number(t, p->start, p->day.n);
    p->month = (struct dates_field){ i, n };
    p->month_row = w.row;
    p->m = w.index;
    i += n;
    i += is_at(t, i, sign);
    i += sign == '.' && is_at(t, i, ' ');
    if (i == p->month.at + n || digits_at(t, i) != 4)
        return false;
    p->year = (struct dates_field){ i, 4 };
    p->y = number(t, i, 4);
    p->end = i + 4;
    return plausible_year(p->y);
}

/* "15 May 2024", "3rd of June", "15. Mai", "15-May-24", "15MAY2024" */
static bool day_first(struct slice t, struct dates_parts *p)
{
    struct dates_word w;
    enum dates_beside beside;
    size_t i, n;

    if (!field(t, p->start, 1, 2, &p->day))
        return false;
    p->kind = DATES_WORDS;
    p->d = number(t, p->start, p->day.n);
    p->end = p->start + p->day.n;
    days_before(t, p);
    ordinal_after(t, p);
    i = month_after_day(t, p, &beside);
    n = i < t.n ? dates_word_length(t, i) : 0;
    w = dates_month(t.p + i, n, beside);
    if (w.row < 0)
        return false;
    p->month = (struct dates_field){ i, n };
    p->month_row = w.row;
    p->m = w.index;
    p->end = i + n;
    if (dates_month_short(w.row) && is_at(t, p->end, '.'))
        p->end++;
    n = digits_at(t, p->end);
    if (i == p->day.at + p->day.n) { /* without blanks */
        if (n != 4)
            return false;
        p->year = (struct dates_field){ p->end, 4 };
        p->y = number(t, p->end, 4);
        p->end += 4;
        return plausible_year(p->y);
    }
    year_after(t, p);
    if (!p->year.n && t.p[p->end - 1] == '.')
        p->end--;
    another_after(t, p);
    return true;
}

static bool words_or_numbers(struct slice t, struct dates_parts *p)
{
    static bool (*const shapes[])(struct slice, struct dates_parts *) = {
        year_first, year_last, day_first, roman,      compact,
        asian,      no_year,   of_python, month_first
    };
    struct dates_parts blank = *p;
    bool digit = ascii_is_digit(t.p[p->start]);

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        if (digit == (shapes[i] == month_first))
            continue;
        *p = blank;
        if (shapes[i](t, p) && plausible_year(p->y ? p->y : 2000) &&
            (p->d ? dates_valid(p->y, p->m, p->d) : p->m && p->y))
            return true;
    }
    return false;
}

/* Behind a weekday: where the day or month begins; 0 if that is no date. */
static size_t after_weekday(struct slice t, struct dates_parts *p)
{
    static const char *const articles[] = { "the", "den", "der", "le", "el",
                                            "dem", "am",  "d.",  NULL };
    size_t i = p->weekday.at + p->weekday.n;
    bool mark = is_at(t, i, '.') || is_at(t, i, ',');

    if (p->weekday.n < 3 && !mark)
        return 0;
    i += is_at(t, i, '.');
    i += is_at(t, i, ',');
    i = skip_words(t, blanks(t, i), articles);
    return i > p->weekday.at + p->weekday.n && i < t.n ? i : 0;
}

/* "May" is the short form where other short forms would stand. */
static void choose_form(struct slice t, struct dates_parts *p)
{
    const char *word = t.p + p->month.at;

    if ((p->weekday.n && p->weekday.n < 4) ||
        (p->month.at > p->start && !ascii_is_one_of(word[-1], " .,'")))
        p->month_row = dates_month_shorter(p->month_row,
                                           (struct slice){ word, p->month.n });
}

bool dates_parse(struct slice t, size_t at, struct dates_parts *out)
{
    struct dates_parts p = { .start = at, .month_row = -1, .weekday_row = -1 };
    size_t n;

    if (at >= t.n)
        return false;
    n = dates_word_length(t, at);
    if (n) {
        struct dates_word w = dates_weekday(t.p + at, n);

        if (w.row >= 0) {
            p.weekday = (struct dates_field){ at, n };
            p.weekday_row = w.row;
            p.start = after_weekday(t, &p);
            if (!p.start)
                return false;
        }
    } else if (!ascii_is_digit(t.p[at])) {
        return false;
    }
    if (!ascii_is_digit(t.p[p.start]) && !dates_is_letter(t.p[p.start]))
        return false;
    if (!words_or_numbers(t, &p))
        return false;
    p.start = at;
    if (p.month_row >= 0)
        choose_form(t, &p);
    if (p.d && p.separator != ',')
        time_after(t, &p);
    if (p.timed)
        year_after_time(t, &p);
    *out = p;
    return true;
}

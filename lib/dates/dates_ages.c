/*
 * dates_ages.c - ages of people, as digits or, if they are over 89, as words
 *
 * A number is an age only beside words that say so. The words that make a
 * number an age are asked for directly beside it; nothing here weighs whose
 * age it is.
 */
#include "dates/dates_priv.h"

#include <string.h>

#define AGE_MAX 125
#define SUM_NEAR 400  /* bytes before and behind */
#define BIRTH_NEAR 48 /* bytes before "now" */

static bool starts(struct slice t, size_t at, const char *low)
{
    size_t n = strlen(low);

    return at <= t.n && t.n - at >= n && ascii_is_word(t.p + at, n, low);
}

static bool word_ends(struct slice t, size_t at)
{
    return at >= t.n || !(dates_is_letter(t.p[at]) || ascii_is_digit(t.p[at]));
}

/* "-old company": what is older than who lives there. */
static bool is_thing(struct slice t, size_t at)
{
    static const char *const words[] = {
        "company",   "firm",    "business",   "building",   "house",
        "tree",      "bridge",  "church",     "castle",     "ship",
        "tradition", "record",  "brand",      "wine",       "whisky",
        "bottle",    "book",    "manuscript", "tortoise",   "turtle",
        "theatre",   "theater", "school",     "university", "hotel",
        "law",       "bond",    "lease",      "history",    "newspaper",
        "structure", "oak",     "mansion",    "factory",    "club",
        NULL
    };

    if (at >= t.n || t.p[at] != ' ')
        return false;
    for (size_t n = dates_word_length(t, at + 1), i = 0; n && words[i]; i++)
        if (ascii_is_word(t.p + at + 1, n, words[i]))
            return true;
    return false;
}

/* "-year-old", " y/o", " ans" */
static bool age_behind(struct slice t, size_t at)
{
    static const char *const ends[] = {
        "year old",     "year-old",  "years old", "years-old", "yr old",
        "yr-old",       "yrs old",   "y/o",       "y.o",       "yo",
        "years of age", "yearold",   "jahre alt", "jährig",    "jährige",
        "jähriger",     "anni",      "años",      "ans",       "jaar oud",
        "år gammal",    "år gammel", "let stará", "岁",        "歳",
        "лет",          "lat",       NULL
    };

    if (at < t.n && (t.p[at] == '-' || t.p[at] == ' '))
        at++;
    if (at >= t.n || !dates_is_letter(t.p[at]))
        return false;
    for (size_t i = 0; ends[i]; i++)
        if (starts(t, at, ends[i]) && (word_ends(t, at + strlen(ends[i])) ||
                                       (unsigned char)*ends[i] >= 0xe0))
            /* scripts without blanks have no ends of words */
            return !is_thing(t, at + strlen(ends[i]));
    return false;
}

/* Blanks, signs and one of the words before `at`; the marks may join them. */
static bool age_before(struct slice t, size_t at)
{
    static const char *const words[] = { "age",  "aged",   "turned", "turning",
                                         "ages", "alter",  "edad",   "âge",
                                         "età",  "age of", NULL };
    size_t end = at;

    while (end > 0 && at - end < 4 && ascii_is_one_of(t.p[end - 1], " :=\"'>"))
        end--;
    if (end == at || end == 0 || !dates_is_letter(t.p[end - 1]))
        return false;
    for (size_t i = 0; words[i]; i++) {
        size_t n = strlen(words[i]);

        if (n <= end && starts(t, end - n, words[i]) &&
            (end == n || (word_ends(t, end - n - 1) &&
                          !ascii_is_one_of(t.p[end - n - 1], "-_"))))
            return true;
    }
    return false;
}

/* "max-age", "age_months": of what a program counts. */
static bool counts_things(struct slice key)
{
    static const char *const words[] = { "_max_",   "_min_",     "_months_",
                                         "_days_",  "_hours_",   "_seconds_",
                                         "_cache_", "_message_", NULL };

    for (size_t i = 0; words[i]; i++)
        if (memmem(key.p, key.n, words[i], strlen(words[i])))
            return true;
    return false;
}

static bool age_key(struct slice t, struct slice key, size_t at, size_t end)
{
    static const char *const units[] = {
        "", ".0", " years", " yrs", " y", NULL
    };
    struct slice v = slice_trim(t);

    if (!key.n || v.p != t.p + at ||
        !(memmem(key.p, key.n, "_age_", 5) ||
          memmem(key.p, key.n, "_ages_", 6)))
        return false;
    for (size_t i = 0; units[i]; i++)
        if (v.n == end - at + strlen(units[i]) && starts(t, end, units[i]))
            return !counts_things(key);
    return false;
}

/* "th birthday" */
static bool is_birthday(struct slice t, size_t at)
{
    static const char *const ends[] = { "th birthday", "st birthday",
                                        "nd birthday", "rd birthday", NULL };

    if (at + 2 > t.n || !ascii_is_letter(t.p[at]))
        return false;
    for (size_t i = 0; ends[i]; i++)
        if (starts(t, at, ends[i]))
            return true;
    return false;
}

static size_t word_before(struct slice t, size_t end, size_t *start)
{
    while (end > 0 && t.p[end - 1] == ' ')
        end--;
    *start = dates_word_start(t, end);
    return end - *start;
}

static bool is_listed(struct slice t, size_t start, size_t n,
                      const char *const *list)
{
    for (; n && *list; list++)
        if (ascii_is_word(t.p + start, n, *list))
            return true;
    return false;
}

/* Who has an age; so that "x is 95" says nothing. */
static bool is_somebody(struct slice t, size_t start, size_t n)
{
    static const char *const words[] = {
        "he",        "she",         "who",         "i",         "mother",
        "father",    "grandmother", "grandfather", "grandma",   "grandpa",
        "mom",       "dad",         "mum",         "granny",    "nana",
        "aunt",      "uncle",       "husband",     "wife",      "widow",
        "widower",   "patient",     "pt",          "sister",    "brother",
        "neighbour", "neighbor",    "lady",        "gentleman", "age",
        NULL
    };

    return is_listed(t, start, n, words);
}

/* Nothing that is counted follows. */
static bool ends_as_age(struct slice t, size_t end)
{
    static const char *const words[] = { "and",  "but",   "now", "with",
                                         "when", "who",   "so",  "this",
                                         "next", "years", NULL };

    if (end == t.n)
        return true;
    if (ascii_is_one_of(t.p[end], ".,;!?)\n"))
        return end + 1 == t.n || !ascii_is_digit(t.p[end + 1]);
    return t.p[end] == ' ' &&
           is_listed(t, end + 1, dates_word_length(t, end + 1), words);
}

/* "Mrs. Smith, 94, of Leeds": a title, then one name. */
static bool is_titled(struct slice t, size_t name)
{
    static const char *const titles[] = { "mr",  "mrs", "ms",   "miss",
                                          "sir", "dr",  "herr", "frau",
                                          "mme", "sra", NULL };
    size_t end = name, start, n;

    while (end && t.p[end - 1] == ' ')
        end--;
    if (end && t.p[end - 1] == '.')
        end--;
    n = word_before(t, end, &start);
    return is_listed(t, start, n, titles);
}

/* "At 94, she still drives" */
static bool is_at(struct slice t, size_t at, size_t end)
{
    static const char *const who[] = { "he", "she", "his", "her",
                                       "my", "i",   NULL };

    return at >= 3 && (t.p[at - 3] | 0x20) == 'a' && t.p[at - 2] == 't' &&
           (at == 3 || !dates_is_letter(t.p[at - 4])) && t.n - end > 3 &&
           t.p[end] == ',' && t.p[end + 1] == ' ' &&
           is_listed(t, end + 2, dates_word_length(t, end + 2), who);
}

/* "born 3 April 1928, now 96" */
static bool tells_birth(struct slice t)
{
    size_t from = t.n > BIRTH_NEAR ? t.n - BIRTH_NEAR : 0;

    for (; from + 5 <= t.n; from++)
        if (starts(t, from, "born ") &&
            (!from || !dates_is_letter(t.p[from - 1])))
            return true;
    return false;
}

/* "she is 97", "my grandfather, 97, lives": for ages over 89. */
static bool age_told(struct slice t, size_t at, size_t end)
{
    static const char *const is[] = { "is", "was", "am", NULL };
    static const char *const now[] = { "now", NULL };
    size_t start, n;

    if (at < 3 || t.p[at - 1] != ' ' || !ends_as_age(t, end))
        return false;
    if (is_at(t, at, end))
        return true;
    if (t.p[at - 2] == ',') {
        n = word_before(t, at - 2, &start);
        return is_somebody(t, start, n) ||
               (end + 2 < t.n && t.p[end] == ',' &&
                !ascii_is_digit(t.p[end + 2]) && is_titled(t, start));
    }
    n = word_before(t, at, &start);
    if (is_listed(t, start, n, now)) {
        if (start > 2 && t.p[start - 2] == ',')
            return tells_birth((struct slice){ t.p, start });
        n = word_before(t, start, &start); /* "is now 96" */
    }
    if (!is_listed(t, start, n, is))
        return false;
    n = word_before(t, start, &start);
    return is_somebody(t, start, n);
}

/* "age 95 seconds": of a message. */
static bool counts_time(struct slice t, size_t end)
{
    static const char *const units[] = { "seconds", "second",  "sec", "s",
                                         "ms",      "minutes", "min", "hours",
                                         "hour",    "days",    "day", "weeks",
                                         "months",  "h",       NULL };

    return end < t.n && t.p[end] == ' ' &&
           is_listed(t, end + 1, dates_word_length(t, end + 1), units);
}

/* "99 years old ... 99+10": a sum would no longer be right. */
static bool is_reckoned(struct slice t, size_t at, size_t end)
{
    struct slice v = { t.p + at, end - at };
    size_t from = 0;

    if (at > SUM_NEAR) {
        t.p += at - SUM_NEAR;
        t.n -= at - SUM_NEAR;
    }
    if (t.n > 2 * SUM_NEAR)
        t.n = 2 * SUM_NEAR;
    while (from + v.n <= t.n) {
        const char *hit = memmem(t.p + from, t.n - from, v.p, v.n);
        size_t i, to;

        if (!hit)
            return false;
        i = (size_t)(hit - t.p);
        to = from = i + v.n;
        if ((i && ascii_is_digit(t.p[i - 1])) ||
            (to < t.n && ascii_is_digit(t.p[to])))
            continue;
        if ((i > 1 && ascii_is_one_of(t.p[i - 1], "+*=") &&
             ascii_is_digit(t.p[i - 2])) ||
            (to + 1 < t.n && ascii_is_one_of(t.p[to], "+*") &&
             ascii_is_digit(t.p[to + 1])))
            return true;
    }
    return false;
}

int dates_find_ages(struct slice t, struct slice key, size_t at, size_t end,
                    dates_found_fn *found, void *ctx)
{
    int v = 0;

    for (size_t i = at; i < end; i++)
        v = v * 10 + (t.p[i] - '0');
    if (v == 0 || v > AGE_MAX || t.p[at] == '0' ||
        (at > 0 && !word_ends(t, at - 1)) ||
        (at > 0 && ascii_is_one_of(t.p[at - 1], "$.-/")))
        return 0;
    if (is_birthday(t, end))
        return v < DATES_OLD ? 0 : found(ctx, DATES_AGE, at, end + 2, 1);
    if (v >= DATES_OLD && is_reckoned(t, at, end))
        return 0;
    if (age_behind(t, end) || age_key(t, key, at, end) ||
        (age_before(t, at) && word_ends(t, end) && !counts_time(t, end) &&
         !(end + 1 < t.n && ascii_is_one_of(t.p[end], "-.,/:%") &&
           ascii_is_digit(t.p[end + 1]))))
        return found(ctx, DATES_AGE, at, end, v >= DATES_OLD ? 1 : 2);
    if (v >= DATES_OLD && age_told(t, at, end))
        return found(ctx, DATES_AGE, at, end, 1);
    return 0;
}

/* Of "93", "95th" and "ninety-three"; 0: none. */
static int age_of(struct slice v)
{
    static const char *const units[] = { "one",   "two",   "three",
                                         "four",  "five",  "six",
                                         "seven", "eight", "nine" };
    size_t n = ascii_digits(v, 0);
    int age = 0;

    if (starts(v, 0, "ninety"))
        for (int i = 0; i < 9; i++)
            if (starts(v, 7, units[i]) && 7 + strlen(units[i]) == v.n)
                return 91 + i;
    if (n < 2 || n > 3)
        return 0;
    for (size_t i = 0; i < n; i++)
        age = age * 10 + (v.p[i] - '0');
    return age;
}

void dates_learn_age(struct dates_known *known, struct slice value)
{
    int v = age_of(value);

    if (v >= DATES_OLD && v <= AGE_MAX)
        known->old |= UINT64_C(1) << (v - DATES_OLD);
}

/* "Doe, 93, lives", "Doe (93)" */
static bool stands_as_age(struct slice t, size_t at, size_t end)
{
    bool bracket = at && t.p[at - 1] == '(';
    size_t next;

    if (end < t.n && !ascii_is_one_of(t.p[end], bracket ? ")," : ",.;)\n"))
        return false;
    for (next = end + 1; next < t.n && t.p[next] == ' ';)
        next++;
    if (next < t.n && ascii_is_digit(t.p[next]))
        return false; /* a list of numbers */
    if (bracket)
        return at > 2 && t.p[at - 2] == ' ' && dates_is_letter(t.p[at - 3]);
    return at > 2 && t.p[at - 1] == ' ' && t.p[at - 2] == ',' &&
           dates_is_letter(t.p[at - 3]);
}

int dates_seek_ages(struct slice t, const struct dates_known *known,
                    dates_found_fn *found, void *ctx)
{
    int rc = 0;

    if (!known->old)
        return 0;
    for (size_t i = ascii_digit_next(t, 0), n; rc >= 0 && i < t.n;
         i = ascii_digit_next(t, i + n)) {
        int v;

        n = ascii_digits(t, i);
        v = age_of((struct slice){ t.p + i, n });
        if (v >= DATES_OLD && v <= AGE_MAX &&
            known->old >> (v - DATES_OLD) & 1 && !is_reckoned(t, i, i + n) &&
            (stands_as_age(t, i, i + n) || age_told(t, i, i + n)))
            rc = found(ctx, DATES_AGE, i, i + n, 1);
    }
    return rc;
}

/* Behind "ninety" or "hundred": "-four", " and two". */
static size_t unit_behind(struct slice t, size_t at)
{
    static const char *const units[] = { "one",  "two", "three", "four",
                                         "five", "six", "seven", "eight",
                                         "nine", "ten", NULL };
    size_t i = at;

    if (starts(t, i, " and "))
        i += 5;
    else if (i < t.n && (t.p[i] == ' ' || t.p[i] == '-'))
        i++;
    for (size_t k = 0; i > at && units[k]; k++)
        if (starts(t, i, units[k]) && word_ends(t, i + strlen(units[k])))
            return i + strlen(units[k]);
    return at;
}

/* The next place of a word by the letter of it that is rarest: how many bytes
 * stand before that letter. */
static size_t next_word(struct slice t, size_t from, const char *word,
                        size_t before)
{
    size_t n = strlen(word);

    from += before;
    while (from < t.n) {
        const char *hit = memchr(t.p + from, word[before], t.n - from);
        size_t at;

        if (!hit)
            break;
        at = (size_t)(hit - t.p) - before;
        if (t.n - at >= n && ascii_is_word(t.p + at, n, word))
            return at;
        from = at + before + 1;
    }
    return SIZE_MAX;
}

static int find_word(struct slice t, const char *word, size_t rare,
                     dates_found_fn *found, void *ctx)
{
    size_t from = 0, at, end;
    int rc = 0;

    while (rc >= 0 && (at = next_word(t, from, word, rare)) != SIZE_MAX) {
        from = at + strlen(word);
        end = unit_behind(t, from);
        if (at >= 4 && starts(t, at - 4, "one "))
            at -= 4;
        if (at > 0 && !word_ends(t, at - 1))
            continue;
        if (word_ends(t, end) && (age_behind(t, end) || age_before(t, at)))
            rc = found(ctx, DATES_AGE, at, end, 1);
    }
    return rc;
}

int dates_find_old_words(struct slice t, dates_found_fn *found, void *ctx)
{
    int rc = find_word(t, "ninety", 5, found, ctx);

    return rc < 0 ? rc : find_word(t, "hundred", 1, found, ctx);
}

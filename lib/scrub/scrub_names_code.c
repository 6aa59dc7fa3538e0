/*
 * scrub_names_code.c - what beside a name is none, and where a word is code
 *
 * Somebody called Grace Price renames no constant and no column: a word of the
 * language that touches an underscore, an operator or a keyword of SQL is not
 * theirs. A look at what stands beside it, and no parser.
 */
#include "scrub/scrub_names.h"

#include "base/ascii.h"
#include "scrub/scrub_priv.h"

#include <string.h>
#include <strings.h>

#define KEYWORD_MAX 12

#define BEFORE_LOUD 23 /* bytes of those that nobody shouts */
static const char before[] = " SELECT DISTINCT WHERE BY AND OR ON SET UPDATE "
                             "FROM JOIN INTO TABLE COLUMN HAVING CASE WHEN "
                             "THEN ELSE AS NOT ";
static const char behind[] = " FROM AS ASC DESC IN IS LIKE ILIKE BETWEEN AND "
                             "OR WHERE ORDER GROUP JOIN NOT THEN END INTEGER "
                             "INT TEXT REAL NUMERIC DECIMAL VARCHAR DATE ";

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* word, of capitals, is in a list between blanks. */
static bool is_keyword(const char *list, size_t list_n, struct slice word)
{
    char padded[KEYWORD_MAX + 2];

    if (!word.n || word.n > KEYWORD_MAX)
        return false;
    padded[0] = padded[word.n + 1] = ' ';
    memcpy(padded + 1, word.p, word.n);
    return memmem(list, list_n, padded, word.n + 2) != NULL;
}

static bool behind_keyword(struct slice t, size_t start, bool loud)
{
    size_t to = start, from;

    if (!to || t.p[--to] != ' ')
        return false;
    for (from = to; from && is_upper(t.p[from - 1]); from--)
        ;
    return (!from || !scrub_is_alnum(t.p[from - 1])) &&
           is_keyword(before, loud ? BEFORE_LOUD : sizeof(before) - 1,
                      (struct slice){ t.p + from, to - from });
}

static bool before_keyword(struct slice t, size_t end)
{
    size_t from = end + 1, to = from;

    if (end >= t.n || t.p[end] != ' ')
        return false;
    while (to < t.n && is_upper(t.p[to]))
        to++;
    return (to == t.n || !scrub_is_alnum(t.p[to])) &&
           is_keyword(behind, sizeof(behind) - 1,
                      (struct slice){ t.p + from, to - from });
}

/* "Price = 3", "Price>=4", "Price * 2", "price(": not "Price, Rose". */
static bool before_operator(struct slice t, size_t end)
{
    size_t i = end + (end < t.n && t.p[end] == ' ');

    if (i >= t.n)
        return false;
    if (t.p[i] == '(')
        return i == end;
    if (t.p[i] == '<')
        return i > end && i + 1 < t.n && strchr(" =>", t.p[i + 1]);
    if (t.p[i] == '>')
        return i > end && i + 1 < t.n && strchr(" =", t.p[i + 1]);
    if (t.p[i] == '*')
        return i > end && i + 1 < t.n && t.p[i + 1] == ' ';
    return t.p[i] == '=' ||
           (i + 1 < t.n && strchr("!+/%-", t.p[i]) && t.p[i + 1] == '=');
}

static bool behind_operator(struct slice t, size_t start)
{
    return start > 2 && t.p[start - 1] == ' ' && t.p[start - 3] == ' ' &&
           strchr("*+<>", t.p[start - 2]);
}

/* t.Price, but not "called.Price went". */
static bool is_member(struct slice t, size_t start)
{
    return start > 1 && t.p[start - 1] == '.' &&
           (scrub_is_alnum(t.p[start - 2]) || t.p[start - 2] == ']' ||
            t.p[start - 2] == ')');
}

/* "Grace.open(", "Price[" */
static bool before_call(struct slice t, size_t end)
{
    size_t i = end + 1;

    if (end + 1 >= t.n || t.p[end] != '.')
        return end + 1 < t.n && t.p[end] == '[' && t.p[end + 1] != ' ';
    while (i < t.n && (scrub_is_alnum(t.p[i]) || t.p[i] == '_'))
        i++;
    return i > end + 1 && i < t.n && t.p[i] == '(';
}

/* Names of people that programs are full of. */
bool scrub_is_code_word(struct slice word)
{
    static const char list[] = " max min len abs dev jan django ";
    char padded[8 + 2];

    if (!word.n || word.n > sizeof(padded) - 2)
        return false;
    padded[0] = padded[word.n + 1] = ' ';
    for (size_t i = 0; i < word.n; i++)
        padded[i + 1] = (char)(word.p[i] | 0x20);
    return memmem(list, sizeof(list) - 1, padded, word.n + 2) != NULL;
}

/* "Jan 5", "5 Jan", "April 5", "August 2024" */
bool scrub_is_of_date(struct slice t, size_t start, size_t end)
{
    static const char list[] = " Jan April May June August Mai Avril ";
    char padded[8 + 2];
    size_t n = end - start, from = start;

    if (n > sizeof(padded) - 2)
        return false;
    padded[0] = padded[n + 1] = ' ';
    memcpy(padded + 1, t.p + start, n);
    if (!memmem(list, sizeof(list) - 1, padded, n + 2))
        return false;
    if (end + 1 < t.n && t.p[end] == ' ' && scrub_is_digit(t.p[end + 1]))
        return true;
    from -= from && ascii_is_one_of(t.p[from - 1], " -/");
    from -= t.p[start] != 'J' && from && t.p[from - 1] == '.';
    return from < start && from && scrub_is_digit(t.p[from - 1]);
}

bool scrub_is_code(struct slice t, size_t start, size_t end)
{
    bool loud = is_upper(t.p[end - 1]); /* where all is, keywords are words */

    return (start && t.p[start - 1] == '_') || (end < t.n && t.p[end] == '_') ||
           is_member(t, start) || behind_keyword(t, start, loud) ||
           (!loud && before_keyword(t, end)) || before_operator(t, end) ||
           behind_operator(t, start) || before_call(t, end);
}

/* "San Diego" of "San Diego County": others name the place alone, and the
 * kind tells nothing. */
size_t scrub_place_bare(struct slice v)
{
    static const char *const kinds[] = { " County", " District", " Subdistrict",
                                         " Province", " Prefecture" };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t n = strlen(kinds[i]);

        if (v.n > n && memcmp(v.p + v.n - n, kinds[i], n) == 0)
            return v.n - n;
    }
    return v.n;
}

/* "Corp" of "I. C. Corp" */
bool scrub_is_legal_form(struct slice v)
{
    static const char *const forms[] = { "corp", "inc", "ltd",
                                         "gmbh", "llc", "plc" };

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        if (v.n == strlen(forms[i]) && strncasecmp(v.p, forms[i], v.n) == 0)
            return true;
    return false;
}

/* "CUST" of CUST-472731: capitals that tell which number it is. */
bool scrub_is_prefix(struct slice t, size_t start, size_t end)
{
    if (end + 1 >= t.n || (t.p[end] != '-' && t.p[end] != '_') ||
        !scrub_is_digit(t.p[end + 1]))
        return false;
    for (size_t i = start; i < end; i++)
        if (t.p[i] < 'A' || t.p[i] > 'Z')
            return false;
    return true;
}

/* "SFO San Francisco": the code is an airport's, and stays. */
size_t scrub_code_before(struct slice v)
{
    for (size_t i = 0; i < 3; i++)
        if (v.n < 7 || v.p[i] < 'A' || v.p[i] > 'Z')
            return 0;
    return v.p[3] == ' ' && v.p[5] >= 'a' && v.p[5] <= 'z' ? 4 : 0;
}

bool scrub_is_water(struct slice t, size_t start)
{
    static const char *const kinds[] = { "gulf of ", "bay of ", "strait of ",
                                         "sea of " };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t n = strlen(kinds[i]);

        if (start >= n && strncasecmp(t.p + start - n, kinds[i], n) == 0 &&
            (start == n || !scrub_is_alnum(t.p[start - n - 1])))
            return true;
    }
    return false;
}

/* "Europe/London": who copies it needs the zone, which is no secret. */
bool scrub_is_zone(struct slice t, size_t start)
{
    static const char *const areas[] = { "Africa",   "America",   "Asia",
                                         "Atlantic", "Australia", "Europe",
                                         "Indian",   "Pacific",   "US" };

    for (size_t i = 0;
         start && t.p[start - 1] == '/' && i < sizeof(areas) / sizeof(*areas);
         i++) {
        size_t n = strlen(areas[i]), from = start - 1;

        if (from >= n && memcmp(t.p + from - n, areas[i], n) == 0 &&
            (from == n || (!scrub_is_alnum(t.p[from - n - 1]) &&
                           (unsigned char)t.p[from - n - 1] < 0x80)))
            return true;
    }
    return false;
}

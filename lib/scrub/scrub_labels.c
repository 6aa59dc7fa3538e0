/*
 * scrub_labels.c - enumerations of labels: "Choose one of: billing, Jordan"
 *
 * Many builders of agents write their instructions into the user's message. A
 * list behind a colon, in a sentence that speaks of labels, options or classes,
 * is theirs, wherever it stands. Words of a few languages decide; a list whose
 * sentence says nothing of the kind is text like any other.
 */
#include "scrub/scrub_names.h"
#include "scrub/scrub_priv.h"

#include <string.h>

#define CUE_BYTES 80   /* before the colon */
#define LABEL_BYTES 48 /* of a label */
#define LABEL_WORDS 5
#define LABELS_LEAST 2

/* Beginnings of words; lower case. */
static const char *const cues[] = {
    "one of",    "label",     "categor",  "option",  "class",    "choose",
    "choice",    "pick",      "select",   "intents", "possible", "allowed",
    "valid",     "kategorie", "klass",    "wähle",   "eine von", "einer der",
    "eines von", "auswahl",   "catégor",  "étiquet", "parmi",    "choisi",
    "l'une de",  "opcion",    "etiquet",  "elige",   "elija",    "uno de",
    "una de",    "clase",     "clasific", "opções",  "escolh",   "um dos",
    "uma das",   "rótul",     "opzion",   "scegli",  "uno dei",  "una delle",
    "etichett",  "een van",   "kies",     "optie",   "välj",     "en av",
    "категори",  "метк",      "один из",  "вариант",
};

static size_t line_end(struct slice t, size_t i)
{
    const char *p = memchr(t.p + i, '\n', t.n - i);

    return p ? (size_t)(p - t.p) : t.n;
}

enum { STOP = 1, BEHIND_STOP = 2, AROUND = 4, BETWEEN = 8, NEVER = 16 };
/* Every byte behind a colon is asked: by a table. */
static const unsigned char kinds[256] = {
    ['.'] = STOP,
    ['!'] = STOP,
    ['?'] = STOP,
    [' '] = BEHIND_STOP | AROUND,
    ['\r'] = BEHIND_STOP | AROUND,
    ['\n'] = BEHIND_STOP,
    ['"'] = BEHIND_STOP | AROUND,
    ['\''] = BEHIND_STOP | AROUND,
    [')'] = BEHIND_STOP | AROUND,
    ['\t'] = AROUND,
    ['`'] = AROUND,
    ['*'] = AROUND,
    ['['] = AROUND,
    [']'] = AROUND,
    ['('] = AROUND,
    ['{'] = AROUND,
    ['}'] = AROUND,
    ['<'] = AROUND,
    ['>'] = AROUND,
    [','] = BETWEEN,
    [';'] = BETWEEN,
    ['|'] = BETWEEN,
    ['/'] = BETWEEN,
    ['@'] = NEVER,
    [':'] = NEVER,
    ['='] = NEVER,
    ['\\'] = NEVER,
};

static bool is(char c, unsigned kind)
{
    return kinds[(unsigned char)c] & kind;
}

static bool ends_sentence(struct slice t, size_t i)
{
    return is(t.p[i], STOP) && (i + 1 >= t.n || is(t.p[i + 1], BEHIND_STOP));
}

/* Does the sentence that ends with the colon at `colon` speak of labels? */
static bool has_cue(struct slice t, size_t colon)
{
    char low[CUE_BYTES];
    size_t from = colon, n;

    while (from && colon - from < CUE_BYTES && t.p[from - 1] != '\n' &&
           !ends_sentence(t, from - 1))
        from--;
    n = colon - from;
    for (size_t i = 0; i < n; i++)
        low[i] = (char)(t.p[from + i] >= 'A' && t.p[from + i] <= 'Z'
                            ? t.p[from + i] | 0x20
                            : t.p[from + i]);
    for (size_t i = 0; i < sizeof(cues) / sizeof(*cues); i++) {
        size_t c = strlen(cues[i]);
        const char *at = n ? memmem(low, n, cues[i], c) : NULL;

        if (at && (at == low || !scrub_is_alnum(at[-1])))
            return true;
    }
    return false;
}

/* Quotes, brackets and stars around a label are none of it. */
static struct slice bare(struct slice v)
{
    while (v.n && is(v.p[0], AROUND))
        v.p++, v.n--;
    while (v.n && (is(v.p[v.n - 1], AROUND) || v.p[v.n - 1] == '.'))
        v.n--;
    return v;
}

static bool is_label(struct slice v)
{
    size_t words = 1;

    for (size_t i = 0; i < v.n; i++) {
        words += v.p[i] == ' ';
        if (is(v.p[i], NEVER))
            return false;
    }
    return v.n && v.n <= LABEL_BYTES && words <= LABEL_WORDS;
}

static void put(struct buf *out, struct slice v)
{
    if (!out)
        return;
    if (!out->len)
        buf_char(out, '\n');
    buf_add_slice(out, v);
    buf_char(out, '\n');
}

/* "or Paris" */
static struct slice without_or(struct slice v)
{
    static const char *const words[] = { "or ", "and ", "oder ", "und ",
                                         "ou ", "et ",  "o ",    "y ",
                                         "e ",  "of ",  "eller " };
    const char *blank = v.n > 2 ? memchr(v.p, ' ', v.n < 7 ? v.n : 7) : NULL;
    size_t n = blank ? (size_t)(blank - v.p) + 1 : 0;

    for (size_t i = 0; n && n < v.n && i < sizeof(words) / sizeof(*words); i++)
        if (strncmp(v.p, words[i], n) == 0)
            return bare((struct slice){ v.p + n, v.n - n });
    return v;
}

/* Where what begins at i ends, or SIZE_MAX: it cannot be a label. Most colons
 * have prose behind them, which tells soon. */
static size_t label_end(struct slice t, size_t i, size_t stop)
{
    size_t from = i, words = 0;

    while (i < stop && !is(t.p[i], BETWEEN) && !ends_sentence(t, i) &&
           i - from <= LABEL_BYTES + 8) {
        words += t.p[i] == ' ' && i > from && t.p[i - 1] != ' ';
        if (words > LABEL_WORDS + 1 || is(t.p[i], NEVER))
            return SIZE_MAX;
        i++;
    }
    return i;
}

/* "A, B, C." from i on: how many, at most `most`; *end: of the last. */
static size_t read_row(struct slice t, size_t i, size_t most, size_t *end,
                       struct buf *out)
{
    size_t stop = line_end(t, i), count = 0;

    while (i < stop && count < most) {
        size_t from = i;
        struct slice v;

        i = label_end(t, i, stop);
        if (i == SIZE_MAX)
            break;
        v = without_or(bare((struct slice){ t.p + from, i - from }));
        if (!is_label(v))
            break;
        put(out, v);
        count++;
        *end = i;
        if (i >= stop || !is(t.p[i], BETWEEN))
            break;
        i++;
    }
    return count;
}

/* Behind "- ", "* ", "3. "; 0: the line at i has no such beginning. */
static size_t behind_bullet(struct slice t, size_t i)
{
    size_t stop = line_end(t, i), from;

    while (i < stop && (t.p[i] == ' ' || t.p[i] == '\t'))
        i++;
    from = i;
    while (i < stop && i - from < 3 && scrub_is_digit(t.p[i]))
        i++;
    if (i > from && i < stop && (t.p[i] == '.' || t.p[i] == ')'))
        i++;
    else if (i == from && i < stop && (t.p[i] == '-' || t.p[i] == '*'))
        i++;
    else
        return 0;
    return i < stop && t.p[i] == ' ' ? i + 1 : 0;
}

/* Lines with bullets; of "billing: about invoices" what stands before. */
static size_t read_lines(struct slice t, size_t i, size_t most, size_t *end,
                         struct buf *out)
{
    size_t count = 0, from;

    while (i < t.n && count < most && (from = behind_bullet(t, i))) {
        size_t stop = line_end(t, from), n = 0;
        struct slice v;

        while (from + n < stop && t.p[from + n] != ':' &&
               (from + n + 1 >= stop || memcmp(t.p + from + n, " (", 2) != 0))
            n++;
        v = bare((struct slice){ t.p + from, n });
        if (!is_label(v))
            break;
        put(out, v);
        count++;
        *end = from + n;
        i = stop < t.n ? stop + 1 : stop;
    }
    return count;
}

static size_t read_list(struct slice t, size_t i, size_t most, size_t *end,
                        struct buf *out)
{
    while (i < t.n && strchr(" *\r", t.p[i]))
        i++;
    if (i < t.n && t.p[i] == '\n')
        return read_lines(t, i + 1, most, end, out);
    return read_row(t, i, most, end, out);
}

bool scrub_labels_next(struct slice t, size_t *at, size_t *start, size_t *end,
                       struct buf *out)
{
    while (*at < t.n) {
        const char *p = memchr(t.p + *at, ':', t.n - *at);
        size_t i = p ? (size_t)(p - t.p) : t.n;

        *at = i + 1;
        if (i + 1 >= t.n || !i || !strchr(" \r\n*", t.p[i + 1]) ||
            strchr("\":/", t.p[i - 1]) ||
            read_list(t, i + 1, LABELS_LEAST, end, NULL) < LABELS_LEAST ||
            !has_cue(t, i))
            continue;
        (void)read_list(t, i + 1, SIZE_MAX, end, out);
        *start = i + 1;
        *at = *end;
        return true;
    }
    return false;
}

#define LABEL_REACH 4096 /* bytes of an enumeration */

bool scrub_labels_hold(struct slice t, size_t start, size_t stop)
{
    size_t at = start > LABEL_REACH ? start - LABEL_REACH : 0, from, to;

    if (t.n > stop + LABEL_REACH)
        t.n = stop + LABEL_REACH;
    while (scrub_labels_next(t, &at, &from, &to, NULL) && from <= start)
        if (stop <= to)
            return true;
    return false;
}

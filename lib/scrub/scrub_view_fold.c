/*
 * scrub_view_fold.c - what looks the same made the same
 *
 * Compatibility forms (full-width, circled and mathematical letters and
 * digits, ligatures), digits of all scripts, hyphens and blanks become plain;
 * invisible characters go; a mark joins the letter before it; Greek and
 * Cyrillic letters in a word that has Latin ones become Latin. It tells whether
 * any of that can matter to a rule: a text with a dash between words is not
 * worth a second look.
 */
#include "scrub/scrub_priv.h"

#include "unicode/unicode.h"

#include <string.h>

#define FULL_WIDTH_HYPHEN 0xFF0D /* others of its kind stand beside it */

struct folding {
    struct scrub_view *v;
    struct slice t;
    size_t word_end; /* of the word last judged */
    bool word_mixed; /* its foreign letters are meant as Latin ones */
    bool matters;
};

static bool is_wordish(char c)
{
    return scrub_is_alnum(c) || (unsigned char)c >= 0x80 ||
           (c && strchr("@._+-", c));
}

static char last_of(const struct folding *f)
{
    return f->v->text.len ? f->v->text.data[f->v->text.len - 1] : ' ';
}

static char next_of(const struct folding *f, size_t at)
{
    return at < f->t.n ? f->t.p[at] : ' ';
}

static bool is_edge(char c)
{
    return scrub_is_alnum(c) || (c && strchr("@._+", c));
}

static void put(struct folding *f, const char *p, size_t n, size_t at)
{
    scrub_view_add(f->v, p, n, at, CODED_FOLDED);
}

/* Does [start, end) have Latin letters, and no foreign one that looks like
 * none of them? */
static bool is_mixed(struct slice t, size_t start, size_t end)
{
    bool latin = false;

    for (size_t i = start, used; i < end; i += used) {
        int32_t cp = utf8_decode(t.p + i, end - i, &used);

        if (cp >= 0 && cp < 0x80)
            latin |= (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
        else if (cp >= 0 && scrub_is_other_letter((uint32_t)cp) &&
                 !scrub_confusable((uint32_t)cp))
            return false;
    }
    return latin;
}

/* A word of letters and digits; of an address, or a host, the whole. */
static bool is_latin_word(struct folding *f, size_t at)
{
    struct slice t = f->t;
    size_t start = at, end = at, from, to;

    if (at < f->word_end)
        return f->word_mixed;
    while (start && at - start < 128 && is_wordish(t.p[start - 1]))
        start--;
    while (end < t.n && end - at < 128 && is_wordish(t.p[end]))
        end++;
    from = to = at;
    while (from > start && !strchr("@._+-", t.p[from - 1]))
        from--;
    while (to < end && !strchr("@._+-", t.p[to]))
        to++;
    f->word_end = to;
    f->word_mixed =
        is_mixed(t, from, to) ||
        (memchr(t.p + start, '@', end - start) && is_mixed(t, start, end));
    return f->word_mixed;
}

static bool is_dash(uint32_t cp)
{
    return (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212 || cp == 0xFE58 ||
           cp == 0xFE63 || cp == FULL_WIDTH_HYPHEN;
}

static bool is_blank(uint32_t cp)
{
    return cp == 0xA0 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

/* The last character of the view, if the mark at `at` composes with it. */
static bool join_mark(struct folding *f, uint32_t mark, size_t at)
{
    struct scrub_view *v = f->v;
    size_t n = v->text.len, back = n, start = n, end = n, used;
    uint32_t cp;
    char text[4];
    enum scrub_coding was;

    while (back && n - back < 4 &&
           ((unsigned char)v->text.data[back - 1] & 0xC0) == 0x80)
        back--;
    if (!back--)
        return false;
    cp = (uint32_t)utf8_decode(v->text.data + back, n - back, &used);
    cp = used == n - back ? unicode_compose(cp, mark) : 0;
    if (!cp)
        return false;
    start = back;
    v->source_size = at;
    (void)scrub_view_source(v, &start, &end);
    was = v->unit[v->count - 1].coding;
    if (v->unit[v->count - 1].view == back)
        v->count--; /* the letter was a piece of its own */
    else if (was != CODED_PLAIN)
        return false; /* ... or the end of one */
    v->text.len = back;
    put(f, text, utf8_encode(cp, text), start);
    return true;
}

/* ASCII, or nothing that a rule asks for? */
static void fold_compatible(struct folding *f, const uint32_t *to,
                            unsigned count, size_t at, size_t end)
{
    struct buf b = { 0 };
    char text[4];

    for (unsigned i = 0; i < count; i++)
        buf_add(&b, text, utf8_encode(to[i], text));
    if (b.len && (scrub_is_alnum(b.data[0]) || b.data[0] == '@'))
        f->matters = true;
    else if (b.len && (unsigned char)b.data[0] < 0x80)
        f->matters |= is_edge(last_of(f)) && is_edge(next_of(f, end));
    put(f, b.data, b.len, at);
    buf_release(&b);
}

static bool fold_letter(struct folding *f, uint32_t cp, size_t at, size_t end)
{
    const uint32_t *to = NULL;
    unsigned count = 0;
    uint32_t latin;
    char c;

    if (scrub_is_other_letter(cp)) {
        latin = scrub_confusable(cp);
        if (!latin || !is_latin_word(f, at))
            return false;
        c = (char)latin;
        put(f, &c, 1, at);
        return f->matters = true;
    }
    if (unicode_combining_class(cp) && join_mark(f, cp, at))
        return f->matters = true;
    /* Below these stand accents without a letter and fractions. */
    if (cp >= 0x2100 || cp == 0xAA || cp == 0xBA || cp == 0xB2 || cp == 0xB3 ||
        cp == 0xB9 || (cp >= 0x2B0 && cp < 0x2B9) ||
        (cp >= 0x1D2C && cp < 0x1DC0) || (cp >= 0x2070 && cp < 0x20A0))
        to = unicode_compatible(cp, &count);
    if (to)
        fold_compatible(f, to, count, at, end);
    return to != NULL;
}

/* One character beyond ASCII; false: it stays. */
static bool fold_one(struct folding *f, uint32_t cp, size_t at, size_t end)
{
    char before = last_of(f), after = next_of(f, end), c;
    int digit;

    if ((cp >= 0xC0 && cp < 0x2B0) || (cp > 0x3040 && cp < 0xA000) ||
        (cp >= 0xAC00 && cp < 0xD7A4))
        return false; /* letters that are what they look like */
    digit = scrub_digit_value(cp);
    if (scrub_is_invisible(cp)) {
        f->matters |= is_edge(before) || is_edge(after);
        put(f, "", 0, at);
        return true;
    }
    if (digit >= 0) {
        c = (char)('0' + digit);
        put(f, &c, 1, at);
        return f->matters = true;
    }
    if (is_dash(cp)) {
        if (!scrub_is_digit(before) && !scrub_is_digit(after) &&
            before != ')' && !(cp > 0x2015 && is_edge(after)) &&
            !(cp == FULL_WIDTH_HYPHEN && is_edge(before)))
            return false;
        put(f, "-", 1, at);
        return f->matters = true;
    }
    if (is_blank(cp)) {
        put(f, " ", 1, at);
        f->matters |= is_edge(before) || is_edge(after);
        return true;
    }
    return fold_letter(f, cp, at, end);
}

bool scrub_view_fold(struct scrub_view *v, struct slice t)
{
    struct folding f = { .v = v, .t = t };
    size_t i = 0;

    scrub_view_begin(v, t.n);
    while (i < t.n) {
        size_t from = i, used;
        int32_t cp;

        while (i < t.n && (unsigned char)t.p[i] < 0x80)
            i++;
        if (i > from)
            scrub_view_add(v, t.p + from, i - from, from, CODED_PLAIN);
        if (i == t.n)
            break;
        cp = utf8_decode(t.p + i, t.n - i, &used);
        if (cp < 0 || !fold_one(&f, (uint32_t)cp, i, i + used))
            scrub_view_add(v, t.p + i, used, i, CODED_PLAIN);
        i += used;
    }
    v->source_size = t.n;
    return f.matters;
}

/* Quotes, dashes, blanks: U+0080 to U+00BF, U+2000 to U+206F, U+3000 to
 * U+303F. */
static bool is_mark(const unsigned char *p, size_t n)
{
    return (n >= 2 && p[0] == 0xC2 && p[1] != 0xAA && p[1] != 0xB5 &&
            p[1] != 0xBA) ||
           (n >= 3 && p[0] == 0xE2 && (p[1] == 0x80 || p[1] == 0x81)) ||
           (n >= 3 && p[0] == 0xE3 && p[1] == 0x80);
}

static bool is_wordy(unsigned char c)
{
    return scrub_is_alnum((char)c) || c >= 0x80;
}

bool scrub_is_whole(struct slice t, size_t start, size_t end)
{
    const unsigned char *p = (const unsigned char *)t.p;

    if (end < t.n && is_wordy(p[end]) && !is_mark(p + end, t.n - end))
        return false;
    if (start == end || start == 0 || !is_wordy(p[start - 1]))
        return true;
    return (start >= 2 && is_mark(p + start - 2, 2)) ||
           (start >= 3 && is_mark(p + start - 3, 3));
}

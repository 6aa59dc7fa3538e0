/*
 * split_regex.c - splitting by a pattern through PCRE2
 *
 * The pattern is looked through for the few constructs that both engines
 * accept and read differently. It is no parser: what looks like one of them is
 * refused.
 */
#include "tokenizer/split_regex.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool starts(struct slice p, size_t i, const char *with)
{
    size_t n = strlen(with);

    return p.n - i >= n && memcmp(p.p + i, with, n) == 0;
}

/* Bytes of the escape at i: \p{L} and \x{41} whole. */
static size_t escape_size(struct slice p, size_t i)
{
    const char *end;

    if (i + 2 >= p.n || p.p[i + 2] != '{')
        return i + 1 < p.n ? 2 : 1;
    end = memchr(p.p + i, '}', p.n - i);
    return end ? (size_t)(end - p.p) - i + 1 : p.n - i;
}

/* Escapes that are a hexadecimal digit, a subroutine and the like to one, and
 * something else or nothing to the other. */
static bool is_other_escape(struct slice p, size_t i)
{
    return i + 1 < p.n && strchr("hHRXGgkKNOyYQE", p.p[i + 1]) != NULL;
}

/* What \w is there: letters with their marks, letters in circles, digits and
 * connectors; outside of sets the fractions and powers of Latin-1, too. */
#define SET                                                                    \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}"                     \
    "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define WORD SET "\\xB2\\xB3\\xB9\\xBC-\\xBE"

/* The escape at i in PCRE2's words, where it has others; NULL: the same. */
static const char *other_words(struct slice p, size_t i, bool set)
{
    switch (i + 1 < p.n ? p.p[i + 1] : 0) {
    case 'w': return set ? SET : "[" WORD "]";
    case 'W': return set ? NULL : "[^" WORD "]";
    case 'b':
        return set ? NULL
                   : "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD
                     "]))";
    case 'B':
        return set ? NULL
                   : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD
                     "]))";
    default: return NULL;
    }
}

/* (?m) is dotall there; {1,3}+ repeats and is not possessive; sets nest and
 * intersect. NULL: nothing of the kind. */
static const char *other_meaning(struct slice p, struct buf *out)
{
    const char *words;
    bool set = false;

    if (memchr(p.p, '\0', p.n))
        return "a NUL";
    for (size_t i = 0, step; i < p.n; i += step) {
        step = p.p[i] == '\\' ? escape_size(p, i) : 1;
        if (p.p[i] == '\\' && is_other_escape(p, i))
            return "an escape";
        if (set && starts(p, i, "\\W"))
            return "an escape";
        words = p.p[i] == '\\' ? other_words(p, i, set) : NULL;
        if (words) {
            buf_str(out, words);
            continue;
        }
        if (!set && starts(p, i, "}+"))
            return "a repeated repetition";
        if (!set && p.p[i] == '(' && starts(p, i, "(?") && i + 2 < p.n &&
            strchr("mxs-", p.p[i + 2]))
            return "a flag";
        if (set && (starts(p, i, "&&") || p.p[i] == '['))
            return "a set of sets";
        if (!set && p.p[i] == '[') {
            set = true;
            step = starts(p, i, "[^]") ? 3 : starts(p, i, "[]") ? 2 : 1;
        } else if (set && p.p[i] == ']') {
            set = false;
        }
        buf_add(out, p.p + i, step);
    }
    return NULL;
}

int split_regex_compile(struct slice pattern, struct regex **out,
                        struct err *err)
{
    struct buf text = { 0 }; /* ^ and $ work per line there */
    const char *other;
    int rc;

    buf_str(&text, "(?m)");
    other = other_meaning(pattern, &text);
    if (other)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "the pattern %.200s is not supported, for %s in it",
                     pattern.p, other);
    else
        rc = regex_compile(buf_slice(&text), REGEX_UTF | REGEX_UCP, out, err);
    buf_release(&text);
    return rc;
}

int split_regex_next(const struct regex *r, struct regex_scratch *s,
                     struct slice text, struct split_regex_cursor *c,
                     size_t *at, size_t *size, struct err *err)
{
    struct regex_match m;
    int rc = 0;

    while (text.n > 0 && c->from <= text.n) {
        rc = regex_find(r, s, text, c->from, &m, err);
        if (rc <= 0)
            return rc;
        *at = m.group[0].start;
        *size = m.group[0].end - *at;
        if (*size > 0 || !c->matched || c->end != *at) {
            c->matched = true;
            c->from = c->end = *at + *size;
            return 1;
        }
        for (c->from++; c->from < text.n && (text.p[c->from] & 0xC0) == 0x80;)
            c->from++;
    }
    return 0;
}

int split_regex_find(const struct regex *r, struct regex_scratch *s,
                     struct slice text, size_t from, size_t *at, size_t *size,
                     struct err *err)
{
    struct regex_match m;
    size_t i = from;
    int rc;

    *at = text.n;
    *size = 0;
    while (i < text.n) {
        rc = regex_find(r, s, text, i, &m, err);
        if (rc <= 0)
            return rc;
        if (m.group[0].end > from) {
            *at = m.group[0].start;
            *size = m.group[0].end - m.group[0].start;
            return 0;
        }
        for (i++; i < text.n && (text.p[i] & 0xC0) == 0x80;)
            i++;
    }
    return 0;
}

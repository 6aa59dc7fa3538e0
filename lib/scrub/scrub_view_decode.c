/*
 * scrub_view_decode.c - percent-encoding, HTML entities and escapes undone
 *
 * Only what decodes to valid UTF-8 is decoded, one character a piece; all else
 * stays as it is. One layer at a time: who finds another one looks again.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

#define SEQUENCE_MAX 64 /* encoded bytes that are looked at together */

static int hex_value(char c)
{
    if (scrub_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_pair(const char *p)
{
    int high = hex_value(p[0]), low = hex_value(p[1]);

    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Bytes written as three or four characters each, "%E2%82%AC" or
 * "\xe2\x82\xac"; whole characters are added. Returns where it ends, i if
 * nothing was decoded. */
static size_t decode_bytes(struct scrub_view *v, struct slice t, size_t i,
                           size_t width, enum scrub_coding coding)
{
    char text[SEQUENCE_MAX];
    size_t n = 0, at = 0, lead = width - 2;

    while (n < SEQUENCE_MAX && i + (n + 1) * width <= t.n &&
           memcmp(t.p + i, t.p + i + n * width, lead) == 0) {
        int c = hex_pair(t.p + i + n * width + lead);

        if (c < 0)
            break;
        text[n++] = (char)c;
    }
    while (at < n) {
        size_t used;

        if (utf8_decode(text + at, n - at, &used) < 0)
            break;
        scrub_view_add(v, text + at, used, i + at * width, coding);
        at += used;
    }
    return i + at * width;
}

static size_t decode_u(struct scrub_view *v, struct slice t, size_t i)
{
    uint32_t cp;
    size_t used = 6;
    char text[4];

    if (i + 6 > t.n || hex_pair(t.p + i + 2) < 0 || hex_pair(t.p + i + 4) < 0)
        return i;
    cp = (uint32_t)(hex_pair(t.p + i + 2) << 8 | hex_pair(t.p + i + 4));
    if (cp >= 0xD800 && cp < 0xDC00 && i + 12 <= t.n &&
        memcmp(t.p + i + 6, "\\u", 2) == 0 && hex_pair(t.p + i + 8) >= 0 &&
        hex_pair(t.p + i + 10) >= 0) {
        uint32_t low =
            (uint32_t)(hex_pair(t.p + i + 8) << 8 | hex_pair(t.p + i + 10));

        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            used = 12;
        }
    }
    if (cp >= 0xD800 && cp < 0xE000)
        return i;
    scrub_view_add(v, text, utf8_encode(cp, text), i, CODED_ESCAPE);
    return i + used;
}

/* "\u0040", "\x40", "\n", "\"" */
static size_t decode_escape(struct scrub_view *v, struct slice t, size_t i)
{
    static const char from[] = "nrt\"'/", to[] = "\n\r\t\"'/";
    const char *hit;

    if (i + 1 >= t.n)
        return i;
    if (t.p[i + 1] == 'u')
        return decode_u(v, t, i);
    if (t.p[i + 1] == 'x')
        return decode_bytes(v, t, i, 4, CODED_ESCAPE);
    hit = t.p[i + 1] ? strchr(from, t.p[i + 1]) : NULL;
    if (!hit)
        return i;
    scrub_view_add(v, &to[hit - from], 1, i, CODED_ESCAPE);
    return i + 2;
}

static uint32_t named_entity(struct slice name)
{
    static const struct {
        const char *name;
        uint32_t cp;
    } table[] = {
        { "amp", '&' },     { "lt", '<' },       { "gt", '>' },
        { "quot", '"' },    { "apos", '\'' },    { "nbsp", 0xA0 },
        { "commat", '@' },  { "period", '.' },   { "lowbar", '_' },
        { "plus", '+' },    { "hyphen", '-' },   { "dash", '-' },
        { "colon", ':' },   { "sol", '/' },      { "num", '#' },
        { "lpar", '(' },    { "rpar", ')' },     { "comma", ',' },
        { "equals", '=' },  { "Tab", '\t' },     { "NewLine", '\n' },
        { "shy", 0xAD },    { "ndash", 0x2013 }, { "mdash", 0x2014 },
        { "eacute", 0xE9 }, { "uuml", 0xFC },    { "ouml", 0xF6 },
        { "auml", 0xE4 },   { "szlig", 0xDF },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (slice_is(name, table[i].name))
            return table[i].cp;
    return 0;
}

static uint32_t numbered_entity(struct slice digits)
{
    bool hex = digits.n && (digits.p[0] | 0x20) == 'x';
    uint32_t cp = 0;

    for (size_t i = hex; i < digits.n; i++) {
        int d = hex_value(digits.p[i]);

        if (d < 0 || (!hex && d > 9) || cp > 0x110000)
            return 0;
        cp = cp * (hex ? 16 : 10) + (uint32_t)d;
    }
    return cp >= 0xD800 && cp < 0xE000 ? 0 : cp;
}

static size_t decode_entity(struct scrub_view *v, struct slice t, size_t i)
{
    size_t end = i + 1;
    uint32_t cp;
    char text[4];

    while (end < t.n && end - i < 10 &&
           (t.p[end] == '#' || scrub_is_alnum(t.p[end])))
        end++;
    if (end == t.n || t.p[end] != ';' || end == i + 1)
        return i;
    cp = t.p[i + 1] == '#'
             ? numbered_entity((struct slice){ t.p + i + 2, end - i - 2 })
             : named_entity((struct slice){ t.p + i + 1, end - i - 1 });
    if (!cp || cp > 0x10FFFF)
        return i;
    scrub_view_add(v, text, utf8_encode(cp, text), i, CODED_ENTITY);
    return end + 1;
}

static bool ends_value(char c)
{
    return (unsigned char)c <= ' ' || strchr("\"'<>&=?#;,", c) != NULL;
}

/* A "+" is a blank in a value that has percent-encoded bytes as well. end: of
 * the value last looked at, and whether it has. */
struct plus {
    size_t end;
    bool blank;
};

static bool is_blank_plus(struct plus *p, struct slice t, size_t i)
{
    size_t start = i;

    if (i < p->end)
        return p->blank;
    while (start && !ends_value(t.p[start - 1]))
        start--;
    p->blank = false;
    for (p->end = start; p->end < t.n && !ends_value(t.p[p->end]); p->end++)
        if (t.p[p->end] == '%' && p->end + 2 < t.n &&
            hex_pair(t.p + p->end + 1) >= 0)
            p->blank = true;
    return p->blank;
}

static size_t decode_one(struct scrub_view *v, struct slice t, size_t i,
                         unsigned codings, struct plus *plus)
{
    switch (t.p[i]) {
    case '%':
        return codings & CODED_PERCENT ? decode_bytes(v, t, i, 3, CODED_PERCENT)
                                       : i;
    case '+':
        if (!(codings & CODED_PERCENT) || !is_blank_plus(plus, t, i))
            return i;
        scrub_view_add(v, " ", 1, i, CODED_PERCENT);
        return i + 1;
    case '&': return codings & CODED_ENTITY ? decode_entity(v, t, i) : i;
    case '\\': return codings & CODED_ESCAPE ? decode_escape(v, t, i) : i;
    default: return i;
    }
}

bool scrub_view_decode(struct scrub_view *v, struct slice t, unsigned codings)
{
    struct plus plus = { 0, false };
    size_t i = 0;
    bool any = false;

    scrub_view_begin(v, t.n);
    while (i < t.n) {
        size_t from = i, next;

        while (i < t.n && t.p[i] != '%' && t.p[i] != '&' && t.p[i] != '\\' &&
               t.p[i] != '+')
            i++;
        if (i > from)
            scrub_view_add(v, t.p + from, i - from, from, CODED_PLAIN);
        if (i == t.n)
            break;
        next = decode_one(v, t, i, codings, &plus);
        any |= next > i;
        if (next == i)
            scrub_view_add(v, t.p + i, 1, i, CODED_PLAIN);
        i = next > i ? next : i + 1;
    }
    return any;
}

/*
 * jinja_escapes.c - the escapes of Python's string literals
 *
 * An unknown escape stays as it is, as in Python. Of \N{NAME} only names of
 * punctuation and arrows are known: a table of all of them would be larger
 * than the engine.
 */
#include "jinja/jinja_private.h"

#include <string.h>

static const struct {
    const char *name;
    uint32_t c;
} names[] = {
    { "NO-BREAK SPACE", 0xa0 },
    { "MIDDLE DOT", 0xb7 },
    { "EN DASH", 0x2013 },
    { "EM DASH", 0x2014 },
    { "LEFT SINGLE QUOTATION MARK", 0x2018 },
    { "RIGHT SINGLE QUOTATION MARK", 0x2019 },
    { "LEFT DOUBLE QUOTATION MARK", 0x201c },
    { "RIGHT DOUBLE QUOTATION MARK", 0x201d },
    { "DAGGER", 0x2020 },
    { "BULLET", 0x2022 },
    { "HORIZONTAL ELLIPSIS", 0x2026 },
    { "LINE SEPARATOR", 0x2028 },
    { "PARAGRAPH SEPARATOR", 0x2029 },
    { "LEFTWARDS ARROW", 0x2190 },
    { "UPWARDS ARROW", 0x2191 },
    { "RIGHTWARDS ARROW", 0x2192 },
    { "DOWNWARDS ARROW", 0x2193 },
    { "LOWER ONE EIGHTH BLOCK", 0x2581 },
    { "FULL BLOCK", 0x2588 },
    { "CHECK MARK", 0x2713 },
    { "FULLWIDTH VERTICAL LINE", 0xff5c },
    { "REPLACEMENT CHARACTER", 0xfffd },
};

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH: p is behind the letter. */
static bool hex_escape(struct slice *s, size_t n, struct buf *out)
{
    uint32_t c = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int v = hex_value(s->p[i]);

        if (v < 0)
            return false;
        c = c << 4 | (uint32_t)v;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    jinja_put_char(out, c);
    s->p += n;
    s->n -= n;
    return true;
}

static bool named_escape(struct slice *s, struct buf *out)
{
    const char *end = s->n ? memchr(s->p, '}', s->n) : NULL;
    struct slice name;

    if (!end || *s->p != '{')
        return false;
    name = (struct slice){ s->p + 1, (size_t)(end - s->p) - 1 };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_is(name, names[i].name)) {
            jinja_put_char(out, names[i].c);
            s->n -= (size_t)(end + 1 - s->p);
            s->p = end + 1;
            return true;
        }
    }
    return false;
}

static void octal_escape(struct slice *s, char first, struct buf *out)
{
    uint32_t c = (uint32_t)(first - '0');

    for (unsigned i = 0; i < 2 && s->n && *s->p >= '0' && *s->p <= '7'; i++) {
        c = c << 3 | (uint32_t)(*s->p++ - '0');
        s->n--;
    }
    jinja_put_char(out, c);
}

static bool one_escape(struct slice *s, char c, struct buf *out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *known = strchr(from, c);

    if (c == '\n')
        return true;
    if (c == 'x')
        return hex_escape(s, 2, out);
    if (c == 'u')
        return hex_escape(s, 4, out);
    if (c == 'U')
        return hex_escape(s, 8, out);
    if (c == 'N')
        return named_escape(s, out);
    if (c >= '0' && c <= '7') {
        octal_escape(s, c, out);
    } else if (c && known) {
        buf_char(out, to[known - from]);
    } else {
        buf_char(out, '\\');
        buf_char(out, c);
    }
    return true;
}

bool jinja_unescape(struct slice s, struct buf *out)
{
    while (s.n) {
        const char *stop = memchr(s.p, '\\', s.n);
        size_t n = stop ? (size_t)(stop - s.p) : s.n;
        char c;

        buf_add(out, s.p, n);
        s.p += n;
        s.n -= n;
        if (s.n < 2)
            break;
        c = s.p[1];
        s.p += 2;
        s.n -= 2;
        if (!one_escape(&s, c, out))
            return false;
    }
    buf_add_slice(out, s);
    return true;
}

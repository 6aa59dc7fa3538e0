/*
 * jinja_entities.c - striptags: tags out, entities replaced
 *
 * Known are the entities that need no semicolon (Latin-1 and markup), and
 * numbers; another name is refused, since the list of HTML 5 has 2,231.
 */
#include "jinja/jinja_private.h"

#include <string.h>

/* clang-format off */
static const char *const latin[] = { /* of U+00A0 and on */
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml",
    "copy", "ordf", "laquo", "not", "shy", "reg", "macr", "deg", "plusmn",
    "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1",
    "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave",
    "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave",
    "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH",
    "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash",
    "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave",
    "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave",
    "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth",
    "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide",
    "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
};
static const uint16_t windows[] = { /* of numbers 0x80 to 0x9f */
    0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6,
    0x2030, 0x0160, 0x2039, 0x0152, 0x008d, 0x017d, 0x008f, 0x0090, 0x2018,
    0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161,
    0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};
/* clang-format on */

struct named {
    const char *name;
    uint32_t c;
};

static const struct named *markup(size_t i)
{
    static const struct named names[] = {
        { "amp", '&' },   { "AMP", '&' },  { "lt", '<' },   { "LT", '<' },
        { "gt", '>' },    { "GT", '>' },   { "quot", '"' }, { "QUOT", '"' },
        { "COPY", 0xa9 }, { "REG", 0xae },
    };

    return i < sizeof(names) / sizeof(names[0]) ? &names[i] : NULL;
}

/* The character of the name, 0 if it is none of those known here. */
static uint32_t named_char(struct slice name)
{
    for (size_t i = 0; i < sizeof(latin) / sizeof(latin[0]); i++)
        if (slice_is(name, latin[i]))
            return 0xa0 + (uint32_t)i;
    for (size_t i = 0; markup(i); i++)
        if (slice_is(name, markup(i)->name))
            return markup(i)->c;
    return 0;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

static int digit(char c, bool hex)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return hex && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As browsers read it; false: the number stands for nothing. */
static bool number_char(uint32_t n, uint32_t *c)
{
    bool control =
        n < 9 || n == 11 || (n > 13 && n < 32) || (n > 0x7e && n < 0xa0);

    *c = n >= 0x80 && n < 0xa0 ? windows[n - 0x80] : n;
    if (n == 0 || n > 0x10ffff || (n >= 0xd800 && n < 0xe000)) {
        *c = 0xfffd;
        return true;
    }
    if (n >= 0x80 && n < 0xa0)
        return true;
    return !control && (n & 0xfffe) != 0xfffe && !(n >= 0xfdd0 && n < 0xfdf0);
}

/* "#65;" behind an ampersand; what is used of s, 0: it is no number. */
static size_t put_numbered(struct slice s, struct buf *out)
{
    bool hex = s.n > 1 && (s.p[1] | 0x20) == 'x';
    size_t i = 1 + hex, from = i;
    uint32_t n = 0, c;

    for (int d; i < s.n && (d = digit(s.p[i], hex)) >= 0; i++)
        n = n > 0x10ffff ? n : n * (hex ? 16 : 10) + (uint32_t)d;
    if (i == from)
        return 0;
    if (number_char(n, &c))
        jinja_put_char(out, c);
    return i + (i < s.n && s.p[i] == ';');
}

/* The same for a name. */
static size_t put_named(struct run *r, struct slice s, struct buf *out)
{
    size_t n = 0;

    while (n < s.n && n < 32 && is_alnum(s.p[n]))
        n++;
    if (n < s.n && s.p[n] == ';') {
        uint32_t c = named_char((struct slice){ s.p, n });

        c = n == 4 && memcmp(s.p, "apos", 4) == 0 ? '\'' : c;
        if (c) {
            jinja_put_char(out, c);
            return n + 1;
        }
        if (n > 1)
            jinja_fail(r, "striptags: the entity &%.*s; is not supported",
                       (int)n, s.p);
    }
    for (size_t k = n; k > 1; k--) {
        uint32_t c = named_char((struct slice){ s.p, k });

        if (c) {
            jinja_put_char(out, c);
            return k;
        }
    }
    return 0;
}

static void unescape(struct run *r, struct slice s, struct buf *out)
{
    while (s.n && !r->failed) {
        const char *p = memchr(s.p, '&', s.n);
        size_t n = p ? (size_t)(p - s.p) : s.n, used = 0;

        buf_add(out, s.p, n);
        s.p += n;
        s.n -= n;
        if (!s.n)
            break;
        s.p++;
        s.n--;
        if (s.n)
            used = *s.p == '#' ? put_numbered(s, out) : put_named(r, s, out);
        if (!used)
            buf_char(out, '&');
        s.p += used;
        s.n -= used;
    }
}

/* Without comments and tags, up to one that is not closed. */
static void cut_tags(struct slice s, struct buf *out)
{
    while (s.n) {
        const char *p = memchr(s.p, '<', s.n), *end = s.p + s.n;
        bool comment;

        if (!p)
            break;
        comment = end - p >= 4 && memcmp(p, "<!--", 4) == 0;
        end = comment ? memmem(p + 4, (size_t)(end - p) - 4, "-->", 3)
                      : memchr(p, '>', (size_t)(end - p));
        if (!end)
            break;
        end += comment ? 3 : 1;
        buf_add(out, s.p, (size_t)(p - s.p));
        s.n -= (size_t)(end - s.p);
        s.p = end;
    }
    buf_add_slice(out, s);
}

/* Comments and tags out, white space to single blanks, entities replaced. */
struct value jinja_striptags(struct run *r, struct value self, struct value *a)
{
    struct value text = jinja_to_string(r, self);
    struct buf tags = { 0 }, words = { 0 }, out;
    struct slice s;
    bool blank = false;

    (void)a;
    if (r->failed)
        return text;
    cut_tags(jinja_bytes(text), &tags);
    s = jinja_strip(buf_slice(&tags), true, true);
    while (s.n) {
        uint32_t c = jinja_next_char(&s);
        bool space = jinja_is_space(c);

        if (space && !blank)
            buf_char(&words, ' ');
        else if (!space)
            jinja_put_char(&words, c);
        blank = space;
    }
    buf_init(&out, JINJA_MAX_STRING);
    unescape(r, buf_slice(&words), &out);
    buf_release(&tags);
    buf_release(&words);
    return jinja_take(r, &out);
}

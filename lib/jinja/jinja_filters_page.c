/*
 * jinja_filters_page.c - filters that are for web pages rather than prompts
 *
 * Here because templates may name them; urlize links whole words that begin
 * like an address and does no more.
 */
#include "jinja/jinja_private.h"

#include <string.h>

#define FILTER(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

/* form: as in a query, where a blank is "+" and "/" is quoted. */
static void put_quoted(struct slice s, bool form, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                     (c >= 'A' && c <= 'Z') ||
                     (c && strchr(form ? "_.-~" : "_.-~/", c));

        if (plain || (form && c == ' '))
            buf_char(out, c == ' ' ? '+' : (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

FILTER(f_urlencode)
{
    struct list pairs;
    struct buf b;

    (void)a;
    buf_init(&b, JINJA_MAX_STRING);
    if (self.kind == V_STRING || jinja_length(self) < 0) {
        self = jinja_to_string(r, self);
        if (!r->failed)
            put_quoted(jinja_bytes(self), false, &b);
        return jinja_take(r, &b);
    }
    self.kind = self.kind == V_DICT ? V_ITEMS : self.kind;
    pairs = jinja_items(r, self);
    for (size_t i = 0; i < pairs.n && !r->failed; i++) {
        struct list pair = jinja_items(r, pairs.v[i]);

        if (pair.n != 2 && !r->failed)
            jinja_fail(r, "urlencode needs pairs");
        buf_str(&b, i ? "&" : "");
        for (size_t k = 0; k < pair.n && !r->failed; k++) {
            struct value text = jinja_to_string(r, pair.v[k]);

            buf_str(&b, k ? "=" : "");
            if (!r->failed)
                put_quoted(jinja_bytes(text), true, &b);
        }
    }
    return jinja_take(r, &b);
}

/* Tags out, white space to single blanks. */
FILTER(f_striptags)
{
    struct value text = jinja_to_string(r, self);
    struct slice s;
    struct buf b;
    bool blank = false, tag = false;

    (void)a;
    if (r->failed)
        return text;
    buf_init(&b, JINJA_MAX_STRING);
    for (s = jinja_bytes(text); s.n;) {
        uint32_t c = jinja_next_char(&s);

        if (c == '<' && s.n && memchr(s.p, '>', s.n)) {
            tag = true;
        } else if (tag) {
            tag = c != '>';
        } else if (jinja_is_space(c)) {
            blank = b.len > 0;
        } else {
            buf_str(&b, blank ? " " : "");
            blank = false;
            jinja_put_char(&b, c);
        }
    }
    return jinja_take(r, &b);
}

FILTER(f_xmlattr)
{
    struct buf b;

    if (self.kind != V_DICT)
        return jinja_fail(r, "xmlattr needs a mapping");
    buf_init(&b, JINJA_MAX_STRING);
    for (size_t i = 0; i < self.m->n && !r->failed; i++) {
        const struct entry *e = &self.m->e[i];
        struct value key, v;

        if (e->value.kind == V_NONE || e->value.kind == V_UNDEFINED)
            continue;
        key = jinja_escaped(r, e->key);
        v = jinja_escaped(r, e->value);
        if (r->failed)
            break;
        buf_str(&b,
                b.len || jinja_is_absent(a[0]) || jinja_true(a[0]) ? " " : "");
        buf_add_slice(&b, jinja_bytes(key));
        buf_str(&b, "=\"");
        buf_add_slice(&b, jinja_bytes(v));
        buf_char(&b, '"');
    }
    return jinja_take(r, &b);
}

/* One line into `out`, broken at blanks, and within words if it must be. */
static void wrap_line(struct slice line, size_t width, bool break_words,
                      struct slice by, struct buf *out)
{
    size_t column = 0;

    while (line.n) {
        struct slice blank = line, word;
        size_t n, chars;

        line = jinja_strip(line, true, false);
        blank.n -= line.n;
        word = line;
        n = 0;
        while (n < word.n && word.p[n] != ' ' && word.p[n] != '\t')
            n++;
        word.n = n;
        line.p += n;
        line.n -= n;
        chars = jinja_count_chars(word);
        if (!chars)
            break;
        if (column && column + blank.n + chars > width) {
            buf_add_slice(out, by);
            column = 0;
        } else if (column) {
            buf_add_slice(out, blank);
            column += blank.n;
        }
        while (break_words && jinja_count_chars(word) > width) {
            struct slice rest = word;

            for (size_t i = 0; i < width; i++)
                (void)jinja_next_char(&rest);
            buf_add(out, word.p, word.n - rest.n);
            buf_add_slice(out, by);
            word = rest;
        }
        buf_add_slice(out, word);
        column += jinja_count_chars(word);
    }
}

/* a: width, break_long_words, wrapstring */
FILTER(f_wordwrap)
{
    struct value text = jinja_to_string(r, self);
    struct slice by = { "\n", 1 }, rest;
    int64_t width = 79;
    struct buf b;

    if (r->failed || (!jinja_is_absent(a[0]) && !jinja_index(r, a[0], &width)))
        return text;
    if (width < 1)
        return jinja_fail(r, "wordwrap needs a width from 1 on");
    if (a[2].kind == V_STRING)
        by = jinja_bytes(a[2]);
    buf_init(&b, JINJA_MAX_STRING);
    rest = jinja_bytes(text);
    while (rest.n && !b.overflow) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct slice line = { rest.p, end ? (size_t)(end - rest.p) : rest.n };
        size_t used = line.n + (end != NULL);

        wrap_line(line, (size_t)width,
                  jinja_is_absent(a[1]) || jinja_true(a[1]), by, &b);
        rest.p += used;
        rest.n -= used;
        if (rest.n)
            buf_add_slice(&b, by);
    }
    return jinja_take(r, &b);
}

static bool is_address(struct slice word)
{
    return slice_starts(word, "http://") || slice_starts(word, "https://") ||
           slice_starts(word, "www.");
}

FILTER(f_urlize)
{
    struct value text = jinja_escaped(r, self);
    struct slice s;
    struct buf b;

    (void)a;
    if (r->failed)
        return text;
    buf_init(&b, JINJA_MAX_STRING);
    for (s = jinja_bytes(text); s.n;) {
        size_t n = 0;
        struct slice word;

        while (n < s.n && !memchr(" \t\n\r", s.p[n], 4))
            n++;
        word = (struct slice){ s.p, n };
        if (is_address(word)) {
            buf_str(&b, slice_starts(word, "www.") ? "<a href=\"https://"
                                                   : "<a href=\"");
            buf_add_slice(&b, word);
            buf_str(&b, "\" rel=\"noopener\">");
            buf_add_slice(&b, word);
            buf_str(&b, "</a>");
        } else {
            buf_add_slice(&b, word);
        }
        s.p += n;
        s.n -= n;
        if (s.n) {
            buf_char(&b, *s.p);
            s.p++;
            s.n--;
        }
    }
    return jinja_take(r, &b);
}

const struct function jinja_page_filters[] = {
    { "urlencode", "", f_urlencode, 0 },
    { "striptags", "", f_striptags, 0 },
    { "xmlattr", "|autospace", f_xmlattr, 0 },
    { "wordwrap", "|width,break_long_words,wrapstring", f_wordwrap, 0 },
    { "urlize", "", f_urlize, 0 },
    { .name = NULL },
};

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
    { "striptags", "", jinja_striptags, 0 },
    { "wordwrap", "|width,break_long_words,wrapstring,break_on_hyphens",
      jinja_wordwrap, 0 },
    { "xmlattr", "|autospace", f_xmlattr, 0 },
    { "urlize", "", f_urlize, 0 },
    { .name = NULL },
};

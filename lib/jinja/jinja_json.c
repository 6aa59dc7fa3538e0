/*
 * jinja_json.c - JSON to values, and transformers' tojson
 *
 * tojson is json.dumps with ensure_ascii off unless asked for: neither HTML
 * nor DEL nor U+2028 is escaped, and ", " and ": " separate.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct value number_from_json(struct run *r, const struct json *j,
                                     json_ref v)
{
    struct slice s = json_raw(j, v);
    double d = 0;
    int64_t i;

    if (json_int(j, v, &i) && !memchr(s.p, '.', s.n) &&
        !memchr(s.p, 'e', s.n) && !memchr(s.p, 'E', s.n) && !slice_is(s, "-0"))
        return jinja_int(i);
    if (slice_is(s, "-0"))
        return jinja_int(0);
    if (!memchr(s.p, '.', s.n) && !memchr(s.p, 'e', s.n) &&
        !memchr(s.p, 'E', s.n))
        return jinja_big_parse(r, s, 10);
    (void)json_double(j, v, &d);
    return jinja_float(d);
}

static struct value string_from_json(struct run *r, const struct json *j,
                                     json_ref v)
{
    struct slice raw = json_raw(j, v);
    struct buf b;

    /* Without escapes the bytes are those of the document, which outlives
     * the rendering. */
    if (!memchr(raw.p, '\\', raw.n))
        return jinja_slice(r, (struct slice){ raw.p + 1, raw.n - 2 });
    buf_init(&b, JINJA_MAX_STRING);
    (void)json_text(j, v, &b);
    return jinja_take(r, &b);
}

static struct value container_from_json(struct run *r, const struct json *j,
                                        json_ref v)
{
    bool object = json_is(j, v, JSON_OBJECT);
    struct value out =
        object ? jinja_dict(r) : jinja_list(r, V_LIST, json_count(j, v));

    for (json_ref e = json_first(j, v); e != JSON_NONE && !r->failed;
         e = json_next(j, v, e)) {
        struct value item = jinja_from_json(r, j, e);

        if (object)
            jinja_dict_put(r, out.m, string_from_json(r, j, json_key(j, e)),
                           item);
        else
            jinja_list_add(r, out.l, item);
    }
    return out;
}

struct value jinja_from_json(struct run *r, const struct json *j, json_ref v)
{
    switch (json_kind(j, v)) {
    case JSON_NULL: return jinja_none();
    case JSON_FALSE: return jinja_bool(false);
    case JSON_TRUE: return jinja_bool(true);
    case JSON_NUMBER: return number_from_json(r, j, v);
    case JSON_STRING: return string_from_json(r, j, v);
    default: return container_from_json(r, j, v);
    }
}

#define MAX_INDENT 4096

struct dump {
    struct run *r;
    struct buf *out;
    struct slice indent, item, colon; /* indent.p NULL: on one line */
    bool ascii, sort;
    unsigned depth;
};

static void put_unit(struct buf *out, uint32_t c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (c >> 10),
                   0xdc00 + (c & 0x3ff));
    } else {
        buf_printf(out, "\\u%04x", c);
    }
}

/* Bytes at the front that stand for themselves. */
static size_t plain_run(const struct dump *d, struct slice s)
{
    unsigned char last = d->ascii ? 126 : 255;
    size_t n = 0;

    while (n < s.n && (unsigned char)s.p[n] >= 0x20 &&
           (unsigned char)s.p[n] <= last && s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

static void dump_text(struct dump *d, struct slice s)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";

    buf_char(d->out, '"');
    for (;;) {
        size_t n = plain_run(d, s);
        const char *known;
        uint32_t c;

        buf_add(d->out, s.p, n);
        s.p += n;
        s.n -= n;
        if (!s.n)
            break;
        c = jinja_next_char(&s);
        known = c && c < 128 ? strchr(from, (int)c) : NULL;
        if (known) {
            buf_char(d->out, '\\');
            buf_char(d->out, to[known - from]);
        } else {
            put_unit(d->out, c);
        }
    }
    buf_char(d->out, '"');
}

static void dump_float(struct dump *d, double v)
{
    if (isnan(v))
        buf_str(d->out, "NaN");
    else if (isinf(v))
        buf_str(d->out, v < 0 ? "-Infinity" : "Infinity");
    else
        jinja_float_write(v, d->out);
}

static void dump_value(struct dump *d, struct value v);

static void dump_scalar(struct dump *d, struct value v)
{
    switch ((enum value_kind)v.kind) {
    case V_NONE: buf_str(d->out, "null"); break;
    case V_BOOL: buf_str(d->out, v.b ? "true" : "false"); break;
    case V_INT:
    case V_BIG: jinja_big_write(v, d->out); break;
    case V_FLOAT: dump_float(d, v.d); break;
    case V_STRING: dump_text(d, jinja_bytes(v)); break;
    default:
        jinja_fail(d->r, "Object of type %s is not JSON serializable",
                   jinja_type(v));
    }
}

static void new_line(struct dump *d)
{
    if (!d->indent.p)
        return;
    buf_char(d->out, '\n');
    for (unsigned i = 0; i < d->depth; i++)
        buf_add_slice(d->out, d->indent);
}

static void dump_list(struct dump *d, const struct list *l)
{
    buf_char(d->out, '[');
    d->depth++;
    for (size_t i = 0; i < l->n && !d->r->failed; i++) {
        if (i)
            buf_add_slice(d->out, d->item);
        new_line(d);
        dump_value(d, l->v[i]);
    }
    d->depth--;
    if (l->n)
        new_line(d);
    buf_char(d->out, ']');
}

static void dump_key(struct dump *d, struct value key)
{
    if (key.kind == V_STRING) {
        dump_text(d, jinja_bytes(key));
    } else if (key.kind == V_NONE || jinja_is_number(key)) {
        buf_char(d->out, '"');
        dump_scalar(d, key);
        buf_char(d->out, '"');
    } else {
        jinja_fail(d->r, "keys must be str, int, float, bool or None, not %s",
                   jinja_type(key));
    }
}

/* Insertion sort on a copy of the entries' order: stable, and few keys. */
static void sort_entries(struct run *r, struct entry *e, size_t n)
{
    for (size_t i = 1; i < n && jinja_step(r, i); i++) {
        struct entry x = e[i];
        size_t k = i;

        while (k && !r->failed &&
               jinja_compare(r, x.key, e[k - 1].key, "<") < 0) {
            e[k] = e[k - 1];
            k--;
        }
        e[k] = x;
    }
}

struct entry *jinja_sorted_entries(struct run *r, const struct dict *m)
{
    struct entry *e = jinja_alloc(r, (m->n + 1) * sizeof(*e));

    if (m->n)
        memcpy(e, m->e, m->n * sizeof(*e));
    sort_entries(r, e, m->n);
    return e;
}

static void dump_dict(struct dump *d, const struct dict *m)
{
    struct entry *e = d->sort ? jinja_sorted_entries(d->r, m) : m->e;

    buf_char(d->out, '{');
    d->depth++;
    for (size_t i = 0; i < m->n && !d->r->failed; i++) {
        if (i)
            buf_add_slice(d->out, d->item);
        new_line(d);
        dump_key(d, e[i].key);
        buf_add_slice(d->out, d->colon);
        dump_value(d, e[i].value);
    }
    d->depth--;
    if (m->n)
        new_line(d);
    buf_char(d->out, '}');
}

static void dump_value(struct dump *d, struct value v)
{
    if (!jinja_step(d->r, 1))
        return;
    if (d->depth > JINJA_MAX_DEPTH || d->out->overflow)
        jinja_limit(d->r, "values in a JSON text");
    else if (v.kind == V_LIST || v.kind == V_TUPLE)
        dump_list(d, v.l);
    else if (v.kind == V_DICT)
        dump_dict(d, v.m);
    else
        dump_scalar(d, v);
}

/* indent: a number of blanks, a text, or none. */
static void set_indent(struct dump *d, struct value v)
{
    int64_t n = 0;
    struct buf b;

    if (jinja_is_missing(v))
        return;
    d->item = slice_of(",");
    if (v.kind != V_STRING) {
        if (!jinja_index(d->r, v, &n))
            return;
        if (n > MAX_INDENT) {
            jinja_limit(d->r, "blanks to indent by");
            return;
        }
        buf_init(&b, 0);
        for (int64_t i = 0; i < n; i++)
            buf_char(&b, ' ');
        v = jinja_take(d->r, &b);
    }
    if (v.kind == V_STRING)
        d->indent = jinja_bytes(v);
}

/* a: ensure_ascii, indent, separators, sort_keys */
struct value jinja_tojson(struct run *r, struct value self, struct value *a)
{
    struct buf out;
    struct dump d = { .r = r,
                      .out = &out,
                      .item = slice_of(", "),
                      .colon = slice_of(": "),
                      .ascii = jinja_true(a[0]),
                      .sort = jinja_true(a[3]) };

    set_indent(&d, a[1]);
    if (!jinja_is_missing(a[2])) {
        struct list l = jinja_items(r, a[2]);

        if (l.n != 2 || l.v[0].kind != V_STRING || l.v[1].kind != V_STRING)
            return jinja_fail(r, "tojson: separators are two texts");
        d.item = jinja_bytes(l.v[0]);
        d.colon = jinja_bytes(l.v[1]);
    }
    buf_init(&out, JINJA_MAX_STRING);
    dump_value(&d, self);
    return jinja_take(r, &out);
}

/*
 * jinja_text.c - str() and repr() of values, as Python writes them
 *
 * Floats are the shortest text that reads back equal; exponents from 1e16 on
 * and below 1e-4.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* digits of 0.d1d2... and the exponent of ten. */
static int shortest(double d, char digits[24])
{
    char text[40];
    int exponent = 0;
    size_t n = 0;

    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, d);
        if (strtod(text, NULL) >= d && strtod(text, NULL) <= d)
            break;
    }
    for (const char *p = text; *p; p++) {
        if (*p == 'e') {
            exponent = atoi(p + 1);
            break;
        }
        if (*p != '.')
            digits[n++] = *p;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return exponent;
}

static void put_zeros(struct buf *out, int n)
{
    for (int i = 0; i < n; i++)
        buf_char(out, '0');
}

void jinja_float_write(double d, struct buf *out)
{
    char digits[24];
    int exponent, n;

    if (isnan(d)) {
        buf_str(out, "nan");
        return;
    }
    if (signbit(d))
        buf_char(out, '-');
    d = fabs(d);
    if (isinf(d)) {
        buf_str(out, "inf");
        return;
    }
    exponent = shortest(d, digits);
    n = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {
        buf_printf(out, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "",
                   digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        buf_str(out, "0.");
        put_zeros(out, -exponent - 1);
        buf_str(out, digits);
    } else if (n <= exponent + 1) {
        buf_str(out, digits);
        put_zeros(out, exponent + 1 - n);
        buf_str(out, ".0");
    } else {
        buf_printf(out, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
    }
}

static void put_escaped(uint32_t c, struct buf *out)
{
    if (c == '\n')
        buf_str(out, "\\n");
    else if (c == '\r')
        buf_str(out, "\\r");
    else if (c == '\t')
        buf_str(out, "\\t");
    else if (c == '\\')
        buf_str(out, "\\\\");
    else if (c < 0x100)
        buf_printf(out, "\\x%02x", c);
    else
        buf_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

static void repr_text(struct slice s, struct buf *out)
{
    char quote =
        s.n && memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';

    buf_char(out, quote);
    while (s.n) {
        uint32_t c = jinja_next_char(&s);

        if (c == (uint32_t)quote) {
            buf_char(out, '\\');
            buf_char(out, quote);
        } else if (c == '\\' || !jinja_is_printable(c)) {
            put_escaped(c, out);
        } else {
            jinja_put_char(out, c);
        }
    }
    buf_char(out, quote);
}

static void repr_list(struct run *r, struct value v, struct buf *out)
{
    bool tuple = v.kind == V_TUPLE;

    buf_char(out, tuple ? '(' : '[');
    for (size_t i = 0; i < v.l->n && !r->failed; i++) {
        if (i)
            buf_str(out, ", ");
        jinja_repr(r, v.l->v[i], out);
    }
    if (tuple && v.l->n == 1)
        buf_char(out, ',');
    buf_char(out, tuple ? ')' : ']');
}

static void repr_view(struct run *r, struct value v, struct buf *out)
{
    buf_printf(out, "%s([", jinja_type(v));
    for (size_t i = 0; i < v.m->n && !r->failed; i++) {
        const struct entry *e = &v.m->e[i];

        if (i)
            buf_str(out, ", ");
        if (v.kind == V_ITEMS)
            buf_char(out, '(');
        if (v.kind != V_VALUES)
            jinja_repr(r, e->key, out);
        if (v.kind == V_ITEMS)
            buf_str(out, ", ");
        if (v.kind != V_KEYS)
            jinja_repr(r, e->value, out);
        if (v.kind == V_ITEMS)
            buf_char(out, ')');
    }
    buf_str(out, "])");
}

static void repr_dict(struct run *r, const struct dict *m, struct buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < m->n && !r->failed; i++) {
        if (i)
            buf_str(out, ", ");
        jinja_repr(r, m->e[i].key, out);
        buf_str(out, ": ");
        jinja_repr(r, m->e[i].value, out);
    }
    buf_char(out, '}');
}

static void repr_other(struct run *r, struct value v, struct buf *out)
{
    const struct range *g = v.range;

    switch ((enum value_kind)v.kind) {
    case V_RANGE:
        buf_printf(out, "range(%lld, %lld", (long long)g->start,
                   (long long)g->stop);
        if (g->step != 1)
            buf_printf(out, ", %lld", (long long)g->step);
        buf_char(out, ')');
        break;
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: repr_view(r, v, out); break;
    case V_NAMESPACE:
        buf_str(out, "<Namespace ");
        repr_dict(r, v.m, out);
        buf_char(out, '>');
        break;
    case V_LOOP:
        buf_printf(out, "<LoopContext %zu/%zu>", v.loop->at + 1,
                   v.loop->items.n);
        break;
    default: buf_printf(out, "<%s object>", jinja_type(v));
    }
}

void jinja_repr(struct run *r, struct value v, struct buf *out)
{
    if (++r->nesting > JINJA_MAX_DEPTH)
        jinja_limit(r, "lists within lists");
    if (!jinja_step(r, 1) || out->overflow) {
        r->nesting--;
        return;
    }
    switch ((enum value_kind)v.kind) {
    case V_ABSENT:
    case V_NONE: buf_str(out, "None"); break;
    case V_UNDEFINED: buf_str(out, "Undefined"); break;
    case V_BOOL: buf_str(out, v.b ? "True" : "False"); break;
    case V_INT:
    case V_BIG: jinja_big_write(v, out); break;
    case V_FLOAT: jinja_float_write(v.d, out); break;
    case V_STRING:
        buf_str(out, v.safe ? "Markup(" : "");
        repr_text(jinja_bytes(v), out);
        buf_str(out, v.safe ? ")" : "");
        break;
    case V_LIST:
    case V_TUPLE: repr_list(r, v, out); break;
    case V_DICT: repr_dict(r, v.m, out); break;
    default: repr_other(r, v, out);
    }
    r->nesting--;
}

void jinja_str(struct run *r, struct value v, struct buf *out)
{
    if (v.kind == V_STRING)
        buf_add_slice(out, jinja_bytes(v));
    else if (v.kind != V_UNDEFINED)
        jinja_repr(r, v, out);
}

struct value jinja_to_string(struct run *r, struct value v)
{
    struct buf b;

    if (v.kind == V_STRING)
        return v;
    buf_init(&b, JINJA_MAX_STRING);
    jinja_str(r, v, &b);
    return jinja_take(r, &b);
}

void jinja_escape(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&': buf_str(out, "&amp;"); break;
        case '<': buf_str(out, "&lt;"); break;
        case '>': buf_str(out, "&gt;"); break;
        case '"': buf_str(out, "&#34;"); break;
        case '\'': buf_str(out, "&#39;"); break;
        default: buf_char(out, s.p[i]);
        }
    }
}

struct value jinja_escaped(struct run *r, struct value v)
{
    struct buf b;

    v = jinja_to_string(r, v);
    if (!r->failed && !v.safe) {
        buf_init(&b, JINJA_MAX_STRING);
        jinja_escape(jinja_bytes(v), &b);
        v = jinja_take(r, &b);
        v.safe = v.kind == V_STRING;
    }
    return v;
}

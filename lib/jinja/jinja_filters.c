/*
 * jinja_filters.c - filters of text, numbers and single values
 *
 * Parameters and defaults are jinja2's. What makes web pages (urlize, xmlattr,
 * wordwrap) is in jinja_filters_page.c.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTER(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

/* The str method of that name, on the value as text. */
static struct value as_method(struct run *r, struct value self,
                              const char *name, struct value *a, size_t n)
{
    struct value text = jinja_to_string(r, self);
    struct arguments args = { .v = a, .n = n };

    if (r->failed)
        return text;
    return jinja_call_function(r, jinja_method_find(text, slice_of(name)), text,
                               &args);
}

FILTER(f_upper)
{
    return as_method(r, self, "upper", a, 0);
}

FILTER(f_lower)
{
    return as_method(r, self, "lower", a, 0);
}

FILTER(f_capitalize)
{
    return as_method(r, self, "capitalize", a, 0);
}

FILTER(f_trim)
{
    return as_method(r, self, "strip", a, 1);
}

FILTER(f_center)
{
    struct value width = jinja_is_absent(a[0]) ? jinja_int(80) : a[0];

    return as_method(r, self, "center", &width, 1);
}

FILTER(f_string)
{
    (void)a;
    return jinja_to_string(r, self);
}

FILTER(f_replace)
{
    struct value args[3] = { jinja_to_string(r, a[0]), jinja_to_string(r, a[1]),
                             a[2] };
    struct value text = jinja_to_string(r, self);

    text.safe = false;
    return as_method(r, text, "replace", args, 3);
}

/* Words begin after white space, "-" and opening brackets. */
FILTER(f_title)
{
    struct value text = jinja_to_string(r, self);
    struct slice s;
    struct buf b;

    (void)a;
    if (r->failed)
        return text;
    s = jinja_bytes(text);
    buf_init(&b, JINJA_MAX_STRING);
    while (s.n) {
        struct slice word = s, head;

        while (s.n) {
            struct slice rest = s;
            uint32_t c = jinja_next_char(&rest);

            if (jinja_is_space(c) || (c < 128 && c && strchr("-({[<", (int)c)))
                break;
            s = rest;
        }
        word.n -= s.n;
        head = word;
        if (word.n) {
            (void)jinja_next_char(&word);
            head.n -= word.n;
            jinja_case_text(head, CASE_UPPER, &b);
            jinja_case_text(word, CASE_LOWER, &b);
        } else {
            jinja_put_char(&b, jinja_next_char(&s));
        }
    }
    return jinja_take(r, &b);
}

#define MAX_INDENT 4096

/* What indent puts in front of lines. */
static struct slice indentation(struct run *r, struct value v)
{
    int64_t n = 4;
    struct buf b = { 0 };

    if (v.kind == V_STRING)
        return jinja_bytes(v);
    if (!jinja_is_absent(v) && !jinja_index(r, v, &n))
        n = 0;
    if (n > MAX_INDENT) {
        jinja_limit(r, "blanks to indent by");
        n = 0;
    }
    for (; n > 0; n--)
        buf_char(&b, ' ');
    v = jinja_take(r, &b);
    return r->failed ? (struct slice){ "", 0 } : jinja_bytes(v);
}

/* a: width, first, blank */
FILTER(f_indent)
{
    struct slice s, line, by;
    struct buf b, text;
    bool any = false, first = jinja_true(a[1]), blank = jinja_true(a[2]);

    if (self.kind != V_STRING && self.kind != V_UNDEFINED)
        return jinja_fail(r, "indent needs a text, not %s", jinja_type(self));
    self = jinja_to_string(r, self);
    by = indentation(r, a[0]);
    if (r->failed)
        return self;
    buf_init(&b, JINJA_MAX_STRING);
    buf_init(&text, JINJA_MAX_STRING);
    buf_add_slice(&text, jinja_bytes(self));
    buf_char(&text, '\n');
    for (s = buf_slice(&text); jinja_next_line(&s, false, &line);) {
        buf_str(&b, any ? "\n" : "");
        if (any ? line.n || blank : first)
            buf_add_slice(&b, by);
        buf_add_slice(&b, line);
        any = true;
    }
    buf_release(&text);
    return jinja_take(r, &b);
}

FILTER(f_default)
{
    bool use =
        self.kind == V_UNDEFINED || (jinja_true(a[1]) && !jinja_true(self));

    if (!use)
        return self;
    return jinja_is_absent(a[0]) ? jinja_text(r, "") : a[0];
}

/* Python's int(text, base): blanks around, underscores between digits. */
static bool text_to_int(struct run *r, struct slice s, unsigned base,
                        struct value *out)
{
    struct buf digits = { 0 };
    bool ok = true, sign;
    char mark;

    s = jinja_strip(s, true, true);
    sign = s.n && (*s.p == '-' || *s.p == '+');
    buf_add(&digits, s.p, sign);
    s.p += sign;
    s.n -= sign;
    mark = s.n > 2 && *s.p == '0' ? (char)(s.p[1] | 32) : 0;
    if ((mark == 'x' && base == 16) || (mark == 'o' && base == 8) ||
        (mark == 'b' && base == 2)) {
        s.p += 2;
        s.n -= 2;
    }
    ok = s.n > 0 && s.n < JINJA_MAX_DIGITS;
    for (size_t i = 0; ok && i < s.n; i++) {
        char c = s.p[i];
        unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0')
                     : (c | 32) >= 'a' && (c | 32) <= 'z'
                         ? (unsigned)((c | 32) - 'a' + 10)
                         : 99;

        if (c == '_')
            ok = i > 0 && i + 1 < s.n && s.p[i + 1] != '_';
        else if (d < base)
            buf_char(&digits, c);
        else
            ok = false;
    }
    if (ok)
        *out = jinja_big_parse(r, buf_slice(&digits), base);
    buf_release(&digits);
    return ok;
}

static bool text_to_float(struct slice s, double *out)
{
    char text[400];
    char *end;
    size_t n = 0;

    s = jinja_strip(s, true, true);
    if (!s.n || s.n >= sizeof(text) || memchr(s.p, 'x', s.n) ||
        memchr(s.p, 'X', s.n) || memchr(s.p, '(', s.n))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '_')
            text[n++] = s.p[i];
    text[n] = '\0';
    *out = strtod(text, &end);
    return *end == '\0' && n > 0;
}

FILTER(f_int)
{
    struct value other = jinja_is_absent(a[0]) ? jinja_int(0) : a[0], out;
    int64_t base = 10;
    double d;

    if (!jinja_is_absent(a[1]) && !jinja_index(r, a[1], &base))
        return self;
    if (self.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", self.undef->message);
    if (self.kind == V_FLOAT)
        return isfinite(self.d) ? jinja_big_of_double(r, self.d) : other;
    if (self.kind == V_BOOL)
        return jinja_int(self.b);
    if (jinja_is_integer(self))
        return self;
    if (self.kind != V_STRING || base < 2 || base > 36)
        return other;
    if (text_to_int(r, jinja_bytes(self), (unsigned)base, &out))
        return out;
    if (text_to_float(jinja_bytes(self), &d) && isfinite(d))
        return jinja_big_of_double(r, d);
    return other;
}

FILTER(f_float)
{
    struct value other = jinja_is_absent(a[0]) ? jinja_float(0) : a[0];
    double d;

    if (self.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", self.undef->message);
    if (jinja_is_number(self))
        return jinja_float(jinja_double(self));
    if (self.kind == V_STRING && text_to_float(jinja_bytes(self), &d))
        return jinja_float(d);
    return other;
}

FILTER(f_abs)
{
    (void)a;
    if (self.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", self.undef->message);
    if (self.kind == V_FLOAT)
        return jinja_float(fabs(self.d));
    if (!jinja_is_integer(self))
        return jinja_fail(r, "bad operand type for abs(): '%s'",
                          jinja_type(self));
    return jinja_big_compare(r, self, jinja_int(0)) < 0
               ? jinja_negate(r, self)
               : jinja_binary(r, OP_ADD, self, jinja_int(0));
}

/* a: precision, method */
FILTER(f_round)
{
    int64_t precision = 0;
    double d, scale;
    char text[400];

    if (!jinja_is_absent(a[0]) && !jinja_index(r, a[0], &precision))
        return self;
    if (!jinja_is_number(self))
        return jinja_fail(r, "type %s has no rounding", jinja_type(self));
    precision = precision > 300 ? 300 : precision < -300 ? -300 : precision;
    d = jinja_double(self);
    scale = pow(10, (double)precision);
    if (a[1].kind == V_STRING && slice_is(jinja_bytes(a[1]), "ceil"))
        return jinja_float(ceil(d * scale) / scale);
    if (a[1].kind == V_STRING && slice_is(jinja_bytes(a[1]), "floor"))
        return jinja_float(floor(d * scale) / scale);
    if (!jinja_is_absent(a[1]) &&
        (a[1].kind != V_STRING || !slice_is(jinja_bytes(a[1]), "common")))
        return jinja_fail(r, "method must be common, ceil or floor");
    if (jinja_is_integer(self) && precision >= 0)
        return self.kind == V_BOOL ? jinja_int(self.b) : self;
    if (precision < 0)
        d = nearbyint(d * scale) / scale;
    else if (fabs(d) < 1e60) {
        (void)snprintf(text, sizeof(text), "%.*f", (int)precision, d);
        d = strtod(text, NULL);
    }
    return jinja_is_integer(self) ? jinja_big_of_double(r, d) : jinja_float(d);
}

FILTER(f_length)
{
    int64_t n = jinja_length(self);

    (void)a;
    if (n < 0)
        return jinja_fail(r, "object of type '%s' has no len()",
                          jinja_type(self));
    return jinja_int(n);
}

FILTER(f_safe)
{
    struct value v = jinja_to_string(r, self);

    (void)a;
    v.safe = v.kind == V_STRING;
    return v;
}

FILTER(f_escape)
{
    (void)a;
    return jinja_escaped(r, self);
}

FILTER(f_forceescape)
{
    struct value v = jinja_to_string(r, self);

    (void)a;
    v.safe = false;
    return jinja_escaped(r, v);
}

FILTER(f_wordcount)
{
    struct value text = jinja_to_string(r, self);
    struct slice s;
    int64_t n = 0;
    bool word = false;

    (void)a;
    if (r->failed)
        return text;
    for (s = jinja_bytes(text); s.n;) {
        uint32_t c = jinja_next_char(&s);
        bool in = c == '_' || jinja_is_alpha(c) || jinja_is_numeric(c);

        n += in && !word;
        word = in;
    }
    return jinja_int(n);
}

/* Beyond the length of any text a number says no more. */
static int64_t as_length(int64_t n)
{
    const int64_t most = (int64_t)JINJA_MAX_STRING;

    return n > most ? most : n < -most ? -most : n;
}

/* a: length, killwords, end, leeway */
FILTER(f_truncate)
{
    struct value text = self, out;
    struct value end = a[2].kind == V_STRING ? a[2] : jinja_text(r, "...");
    int64_t length = 255, leeway = 5, keep;
    struct slice s;
    const char *blank;

    if ((!jinja_is_absent(a[0]) && !jinja_index(r, a[0], &length)) ||
        (!jinja_is_missing(a[3]) && !jinja_index(r, a[3], &leeway)) ||
        r->failed)
        return text;
    length = as_length(length);
    leeway = as_length(leeway);
    if (jinja_length(self) < 0)
        return jinja_fail(r, "object of type '%s' has no len()",
                          jinja_type(self));
    if (jinja_length(self) <= length + leeway)
        return self;
    if (self.kind != V_STRING)
        return jinja_fail(r, "truncate needs a text, not %s", jinja_type(self));
    keep = length - (int64_t)jinja_chars(end);
    if (keep < 0)
        return jinja_fail(r, "truncate: the length is below the ending's");
    out = jinja_substring(r, text, 0, (size_t)keep);
    s = jinja_bytes(out);
    blank = s.n && !jinja_true(a[1]) ? memrchr(s.p, ' ', s.n) : NULL;
    if (blank)
        out = jinja_slice(r, (struct slice){ s.p, (size_t)(blank - s.p) });
    return jinja_binary(r, OP_ADD, out, end);
}

FILTER(f_format)
{
    struct value text = jinja_to_string(r, self), args;

    (void)a;
    if (r->args->kw_count) {
        args = jinja_dict(r);
        for (size_t i = 0; i < r->args->kw_count; i++)
            jinja_dict_put(r, args.m, jinja_slice(r, r->args->kw[i].name),
                           r->args->kw[i].v);
    } else {
        args = jinja_list(r, V_TUPLE, r->args->n);
        for (size_t i = 0; i < r->args->n; i++)
            jinja_list_add(r, args.l, r->args->v[i]);
    }
    return r->failed ? text : jinja_percent(r, text, args);
}

/* The attribute and never the item. */
FILTER(f_attr)
{
    struct value name = jinja_to_string(r, a[0]), v;

    if (r->failed)
        return name;
    v = jinja_getattr(r, self, jinja_bytes(name));
    if (self.kind == V_DICT && v.kind != V_METHOD)
        return jinja_undefined(r, "'dict object' has no attribute '%.*s'",
                               (int)name.s->n, name.s->p);
    return v;
}

FILTER(f_filesize)
{
    static const char *const units[] = {
        "k", "M", "G", "T", "P", "E", "Z", "Y"
    };
    bool binary = jinja_true(a[0]);
    double base = binary ? 1024 : 1000, d;
    unsigned i = 0;
    struct buf b = { 0 };

    self = f_float(r, self, (struct value[]){ { .kind = V_ABSENT } });
    if (r->failed)
        return self;
    d = jinja_double(self);
    if (d < base) {
        buf_printf(&b, "%.0f Byte%s", d, d <= 1 && d >= 1 ? "" : "s");
        return jinja_take(r, &b);
    }
    for (d /= base; d >= base && i < 7; i++)
        d /= base;
    buf_printf(&b, "%.1f %s%s", d, binary && !i ? "K" : units[i],
               binary ? "iB" : "B");
    return jinja_take(r, &b);
}

/* A copy whose mappings are sorted, as pprint shows them. */
static struct value sorted(struct run *r, struct value v, unsigned depth)
{
    struct value out = v;

    if (depth > JINJA_MAX_DEPTH || !jinja_step(r, 1))
        return jinja_limit(r, "values in pprint");
    if (v.kind == V_LIST || v.kind == V_TUPLE) {
        out = jinja_list(r, v.kind, v.l->n);
        for (size_t i = 0; i < v.l->n && !r->failed; i++)
            jinja_list_add(r, out.l, sorted(r, v.l->v[i], depth + 1));
    } else if (v.kind == V_DICT) {
        struct entry *e = jinja_sorted_entries(r, v.m);

        out = jinja_dict(r);
        for (size_t i = 0; i < v.m->n && !r->failed; i++)
            jinja_dict_put(r, out.m, e[i].key,
                           sorted(r, e[i].value, depth + 1));
    }
    return out;
}

FILTER(f_pprint)
{
    struct buf b;

    (void)a;
    self = sorted(r, self, 0);
    buf_init(&b, JINJA_MAX_STRING);
    if (!r->failed)
        jinja_repr(r, self, &b);
    if (jinja_count_chars(buf_slice(&b)) > 80)
        jinja_fail(r, "pprint of more than a line is not supported");
    return jinja_take(r, &b);
}

const struct function jinja_text_filters[] = {
    { "upper", "", f_upper, 0 },
    { "lower", "", f_lower, 0 },
    { "capitalize", "", f_capitalize, 0 },
    { "title", "", f_title, 0 },
    { "trim", "|chars", f_trim, 0 },
    { "center", "|width", f_center, 0 },
    { "string", "", f_string, 0 },
    { "replace", "old,new|count", f_replace, 0 },
    { "indent", "|width,first,blank", f_indent, 0 },
    { "default", "|default_value,boolean", f_default, 0 },
    { "d", "|default_value,boolean", f_default, 0 },
    { "int", "|default,base", f_int, 0 },
    { "float", "|default", f_float, 0 },
    { "abs", "", f_abs, 0 },
    { "round", "|precision,method", f_round, 0 },
    { "length", "", f_length, 0 },
    { "count", "", f_length, 0 },
    { "safe", "", f_safe, 0 },
    { "escape", "", f_escape, 0 },
    { "e", "", f_escape, 0 },
    { "forceescape", "", f_forceescape, 0 },
    { "wordcount", "", f_wordcount, 0 },
    { "truncate", "|length,killwords,end,leeway", f_truncate, 0 },
    { "format", "*", f_format, 0 },
    { "attr", "name", f_attr, 0 },
    { "filesizeformat", "|binary", f_filesize, 0 },
    { "pprint", "", f_pprint, 0 },
    { "tojson", "|ensure_ascii,indent,separators,sort_keys", jinja_tojson, 0 },
    { .name = NULL },
};

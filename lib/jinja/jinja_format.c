/*
 * jinja_format.c - '%' formatting and str.format
 *
 * One description of width, precision and sign serves both; the two differ in
 * how they find their arguments and in which side they pad.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_WIDTH 10000

struct spec {
    char fill[4];
    size_t fill_n;
    char align; /* '<', '>', '^', '=' or 0 */
    char sign;  /* '+', ' ' or 0 */
    bool alternate, comma;
    int64_t width, precision; /* precision -1: none */
    char type;
};

static void put_fill(struct buf *out, const struct spec *s, int64_t n)
{
    for (; n > 0; n--)
        buf_add(out, s->fill, s->fill_n);
}

/* Pads text whose first `lead` bytes (sign, 0x) stay in front of zeros. */
static void pad(const struct spec *s, struct slice text, size_t lead,
                char align, struct buf *out)
{
    int64_t chars = (int64_t)jinja_count_chars(text);
    int64_t n = s->width > chars ? s->width - chars : 0;
    int64_t left = align == '<' ? 0 : align == '^' ? n / 2 : n;

    if (align != '=') {
        put_fill(out, s, left);
        buf_add_slice(out, text);
    } else {
        buf_add(out, text.p, lead);
        put_fill(out, s, left);
        buf_add(out, text.p + lead, text.n - lead);
    }
    put_fill(out, s, n - left);
}

static void put_commas(struct buf *b, size_t from)
{
    struct buf out = { 0 };
    size_t digits = from;

    while (digits < b->len && b->data[digits] >= '0' && b->data[digits] <= '9')
        digits++;
    for (size_t i = 0; i < b->len; i++) {
        if (i > from && i < digits && (digits - i) % 3 == 0)
            buf_char(&out, ',');
        buf_char(&out, b->data[i]);
    }
    buf_release(b);
    *b = out;
}

static void put_radix(struct value v, char type, struct buf *out)
{
    uint64_t u = v.i < 0 ? 0 - (uint64_t)v.i : (uint64_t)v.i;
    char bits[65];
    size_t n = 0;

    if (type != 'b') {
        const char *format = type == 'x'   ? "%llx"
                             : type == 'X' ? "%llX"
                                           : "%llo";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buf_printf(out, format, (unsigned long long)u);
#pragma GCC diagnostic pop
        return;
    }
    for (; u || !n; u >>= 1)
        bits[64 - ++n] = (char)('0' + (u & 1));
    buf_add(out, bits + 64 - n, n);
}

static void put_number(struct run *r, const struct spec *s, struct value v,
                       char align, struct buf *out)
{
    struct buf b = { 0 };
    size_t lead = 0;

    if (v.kind == V_BOOL)
        v = jinja_int(v.b);
    if (strchr("xXob", s->type) && v.kind != V_INT) {
        jinja_fail(r, "%%%c is for small integers", s->type);
        return;
    }
    jinja_big_write(v, &b);
    if (b.data[0] == '-')
        lead = 1;
    else if (s->sign)
        lead = 1;
    if (strchr("xXob", s->type) || (lead && b.data[0] != '-')) {
        char sign = b.data[0] == '-' ? '-' : s->sign;
        struct buf digits = { 0 };

        if (strchr("xXob", s->type))
            put_radix(v, s->type, &digits);
        else
            buf_add_slice(&digits, buf_slice(&b));
        buf_reset(&b);
        if (sign)
            buf_char(&b, sign);
        if (s->alternate && strchr("xXob", s->type)) {
            buf_char(&b, '0');
            buf_char(&b, s->type);
            lead += 2;
        }
        buf_add_slice(&b, buf_slice(&digits));
        buf_release(&digits);
    }
    if (s->comma)
        put_commas(&b, lead);
    pad(s, buf_slice(&b), lead, align, out);
    buf_release(&b);
}

static void put_float(const struct spec *s, double d, char align,
                      struct buf *out)
{
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    struct buf b = { 0 };
    bool negative = signbit(d) != 0;

    if (negative || s->sign)
        buf_char(&b, negative ? '-' : s->sign);
    d = fabs(d);
    switch (s->type) {
    case 'e': buf_printf(&b, "%.*e", precision, d); break;
    case 'E': buf_printf(&b, "%.*E", precision, d); break;
    case 'g': buf_printf(&b, "%.*g", precision, d); break;
    case 'G': buf_printf(&b, "%.*G", precision, d); break;
    case '%': buf_printf(&b, "%.*f%%", precision, d * 100); break;
    case 0:
        if (s->precision < 0)
            jinja_float_write(d, &b);
        else
            buf_printf(&b, "%.*g", precision ? precision : 1, d);
        break;
    default: buf_printf(&b, "%.*f", precision, d);
    }
    if (s->comma)
        put_commas(&b, negative || s->sign);
    pad(s, buf_slice(&b), negative || s->sign, align, out);
    buf_release(&b);
}

static void put_text(struct run *r, const struct spec *s, struct value text,
                     char align, struct buf *out)
{
    size_t n;

    text = jinja_to_string(r, text);
    if (r->failed)
        return;
    n = jinja_chars(text);
    if (s->precision >= 0 && (uint64_t)s->precision < n)
        text = jinja_substring(r, text, 0, (size_t)s->precision);
    pad(s, jinja_bytes(text), 0, align, out);
}

static bool read_int(struct slice *s, int64_t *out)
{
    int64_t n = 0;
    bool any = false;

    while (s->n && *s->p >= '0' && *s->p <= '9' && n <= MAX_WIDTH) {
        n = n * 10 + (*s->p++ - '0');
        s->n--;
        any = true;
    }
    if (any)
        *out = n;
    return any;
}

static bool eat(struct slice *s, char c)
{
    if (!s->n || *s->p != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* '%': where the arguments come from. */
struct percent {
    struct run *r;
    struct value args;
    size_t next;
    bool escape;
    struct buf *out;
};

static struct value next_value(struct percent *p)
{
    if (p->args.kind == V_TUPLE) {
        if (p->next < p->args.l->n)
            return p->args.l->v[p->next++];
    } else if (!p->next++) {
        return p->args;
    }
    return jinja_fail(p->r, "not enough arguments for format string");
}

/* The flags, width and precision behind a '%'. */
static void read_percent_spec(struct percent *p, struct slice *f,
                              struct spec *s)
{
    struct value v;

    for (;;) {
        if (eat(f, '0')) {
            s->fill[0] = '0';
            s->align = s->align ? s->align : '=';
        } else if (eat(f, '-')) {
            s->align = '<';
            s->fill[0] = ' ';
        } else if (eat(f, '+')) {
            s->sign = '+';
        } else if (eat(f, ' ')) {
            s->sign = s->sign ? s->sign : ' ';
        } else if (eat(f, '#')) {
            s->alternate = true;
        } else {
            break;
        }
    }
    if (eat(f, '*')) {
        v = next_value(p);
        (void)jinja_index(p->r, v, &s->width);
    } else {
        (void)read_int(f, &s->width);
    }
    if (eat(f, '.')) {
        s->precision = 0;
        if (eat(f, '*')) {
            v = next_value(p);
            (void)jinja_index(p->r, v, &s->precision);
        } else {
            (void)read_int(f, &s->precision);
        }
    }
    if (s->width > MAX_WIDTH || s->precision > MAX_WIDTH)
        jinja_limit(p->r, "columns in a format");
}

static struct value to_integer(struct run *r, struct value v, char type)
{
    if (v.kind == V_FLOAT && strchr("dui", type))
        return jinja_big_of_double(r, v.d);
    if (jinja_is_integer(v))
        return v;
    return jinja_fail(r, "%%%c format: a real number is required, not %s", type,
                      jinja_type(v));
}

static void percent_text(struct percent *p, const struct spec *s,
                         struct value v)
{
    if (s->type == 'r' || s->type == 'a') {
        struct buf b;

        buf_init(&b, JINJA_MAX_STRING);
        jinja_repr(p->r, v, &b);
        v = jinja_take(p->r, &b);
    }
    if (p->escape)
        v = jinja_escaped(p->r, v);
    put_text(p->r, s, v, s->align == '<' ? '<' : '>', p->out);
}

static void percent_char(struct percent *p, const struct spec *s,
                         struct value v)
{
    struct buf b = { 0 };

    if (v.kind == V_INT && v.i >= 0 && v.i < 0x110000) {
        jinja_put_char(&b, (uint32_t)v.i);
        v = jinja_take(p->r, &b);
    }
    if (v.kind != V_STRING || jinja_chars(v) != 1)
        jinja_fail(p->r, "%%c requires int or char");
    else
        put_text(p->r, s, v, s->align == '<' ? '<' : '>', p->out);
}

static void percent_one(struct percent *p, struct slice *f)
{
    struct spec s = { .fill = " ", .fill_n = 1, .precision = -1 };
    struct value key = { .kind = V_ABSENT }, v;

    if (eat(f, '(')) {
        const char *end = f->n ? memchr(f->p, ')', f->n) : NULL;

        if (!end || p->args.kind != V_DICT) {
            jinja_fail(p->r, end ? "format requires a mapping"
                                 : "incomplete format key");
            return;
        }
        key = jinja_slice(p->r, (struct slice){ f->p, (size_t)(end - f->p) });
        f->n -= (size_t)(end + 1 - f->p);
        f->p = end + 1;
    }
    read_percent_spec(p, f, &s);
    while (eat(f, 'l') || eat(f, 'h') || eat(f, 'L'))
        ;
    if (!f->n || p->r->failed) {
        jinja_fail(p->r, "incomplete format");
        return;
    }
    s.type = *f->p++;
    f->n--;
    if (s.type == '%') {
        buf_char(p->out, '%');
        return;
    }
    if (jinja_is_absent(key)) {
        v = next_value(p);
    } else {
        struct value *item = jinja_dict_get(p->r, p->args.m, key);

        v = item ? *item : jinja_fail(p->r, "a key of the format is missing");
        p->next = 1;
    }
    if (p->r->failed)
        return;
    if (strchr("sra", s.type)) {
        percent_text(p, &s, v);
    } else if (s.type == 'c') {
        percent_char(p, &s, v);
    } else if (strchr("diuxXo", s.type)) {
        char align = s.align ? s.align : '>';

        v = to_integer(p->r, v, s.type);
        if (strchr("iu", s.type))
            s.type = 'd';
        if (!p->r->failed)
            put_number(p->r, &s, v, align, p->out);
    } else if (strchr("eEfFgG", s.type) && jinja_is_number(v)) {
        put_float(&s, jinja_double(v), s.align ? s.align : '>', p->out);
    } else {
        jinja_fail(p->r, "unsupported format or value: %%%c of %s", s.type,
                   jinja_type(v));
    }
}

/* What Python takes for a mapping here: it need not be used up. */
static bool is_indexed(struct value v)
{
    return v.kind == V_DICT || v.kind == V_LIST || v.kind == V_RANGE ||
           v.kind == V_UNDEFINED;
}

struct value jinja_percent(struct run *r, struct value format,
                           struct value args)
{
    struct slice f = jinja_bytes(format);
    struct buf out;
    struct percent p = {
        .r = r, .args = args, .escape = format.safe, .out = &out
    };
    struct value v;

    buf_init(&out, JINJA_MAX_STRING);
    while (f.n && !r->failed && !out.overflow) {
        const char *stop = memchr(f.p, '%', f.n);
        size_t n = stop ? (size_t)(stop - f.p) : f.n;

        buf_add(&out, f.p, n);
        f.p += n;
        f.n -= n;
        if (eat(&f, '%'))
            percent_one(&p, &f);
    }
    if (!r->failed && !is_indexed(args) &&
        p.next < (args.kind == V_TUPLE ? args.l->n : 1))
        jinja_fail(r, "not all arguments converted during string formatting");
    v = jinja_take(r, &out);
    v.safe = format.safe && v.kind == V_STRING;
    return v;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool read_spec(struct slice f, struct spec *s)
{
    struct slice rest = f;

    *s = (struct spec){ .fill = " ", .fill_n = 1, .precision = -1 };
    if (f.n)
        (void)jinja_next_char(&rest);
    if (rest.n && rest.n < f.n && strchr("<>^=", *rest.p)) {
        s->fill_n = f.n - rest.n;
        memcpy(s->fill, f.p, s->fill_n);
        s->align = *rest.p;
        f = (struct slice){ rest.p + 1, rest.n - 1 };
    } else if (f.n && strchr("<>^=", *f.p)) {
        s->align = *f.p;
        f = rest;
    }
    if (f.n && (*f.p == '+' || *f.p == ' ' || *f.p == '-')) {
        s->sign = *f.p == '-' ? 0 : *f.p;
        f.p++;
        f.n--;
    }
    s->alternate = eat(&f, '#');
    if (eat(&f, '0') && !s->align) {
        s->fill[0] = '0';
        s->align = '=';
    }
    (void)read_int(&f, &s->width);
    s->comma = eat(&f, ',');
    if (eat(&f, '.') && !read_int(&f, &s->precision))
        return false;
    if (f.n) {
        s->type = *f.p;
        f.n--;
    }
    return f.n == 0 && s->width <= MAX_WIDTH && s->precision <= MAX_WIDTH;
}

static void put_spec(struct run *r, struct value v, struct slice text,
                     struct buf *out)
{
    struct spec s;

    if (!text.n) {
        jinja_str(r, v, out);
    } else if (!read_spec(text, &s)) {
        jinja_fail(r, "invalid format specifier");
    } else if (v.kind == V_STRING && (!s.type || s.type == 's')) {
        put_text(r, &s, v, s.align ? s.align : '<', out);
    } else if (jinja_is_integer(v) && (!s.type || strchr("dxXob", s.type))) {
        put_number(r, &s, v, s.align ? s.align : '>', out);
    } else if (jinja_is_number(v) && (!s.type || strchr("eEfFgG%", s.type))) {
        put_float(&s, jinja_double(v), s.align ? s.align : '>', out);
    } else {
        jinja_fail(r, "invalid format specifier for %s", jinja_type(v));
    }
}

struct format {
    struct run *r;
    const struct arguments *args;
    size_t next;
    bool automatic, manual;
    struct buf *out;
};

static struct value positional(struct format *f, struct slice name)
{
    int64_t i = 0;

    if (!name.n) {
        i = (int64_t)f->next++;
        f->automatic = true;
    } else {
        (void)read_int(&name, &i);
        f->manual = true;
    }
    if (f->automatic && f->manual)
        return jinja_fail(f->r, "cannot switch between manual field "
                                "specification and automatic field numbering");
    if ((uint64_t)i >= f->args->n)
        return jinja_fail(f->r, "the format has no argument %lld",
                          (long long)i);
    return f->args->v[i];
}

/* name, then .attribute and [item] */
static struct value format_value(struct format *f, struct slice field)
{
    size_t n = 0;
    struct slice name;
    struct value v;

    while (n < field.n && field.p[n] != '.' && field.p[n] != '[')
        n++;
    name = (struct slice){ field.p, n };
    if (!n || (*name.p >= '0' && *name.p <= '9')) {
        v = positional(f, name);
    } else {
        v = (struct value){ .kind = V_ABSENT };
        for (size_t i = 0; i < f->args->kw_count; i++)
            if (slice_eq(f->args->kw[i].name, name))
                v = f->args->kw[i].v;
        if (jinja_is_absent(v))
            return jinja_fail(f->r, "the format has no argument of that name");
    }
    if (n < field.n && !f->r->failed)
        return jinja_fail(f->r, "attributes in a format are not supported");
    return v;
}

static void format_field(struct format *f, struct slice field)
{
    const char *colon = field.n ? memchr(field.p, ':', field.n) : NULL;
    struct slice spec = { "", 0 };
    char conversion = 0;
    struct value v;

    if (colon) {
        spec = (struct slice){ colon + 1,
                               field.n - (size_t)(colon + 1 - field.p) };
        field.n = (size_t)(colon - field.p);
    }
    if (field.n >= 2 && field.p[field.n - 2] == '!') {
        conversion = field.p[field.n - 1];
        field.n -= 2;
    }
    v = format_value(f, field);
    if (conversion == 'r' && !f->r->failed) {
        struct buf b;

        buf_init(&b, JINJA_MAX_STRING);
        jinja_repr(f->r, v, &b);
        v = jinja_take(f->r, &b);
    } else if (conversion == 's') {
        v = jinja_to_string(f->r, v);
    }
    if (!f->r->failed)
        put_spec(f->r, v, spec, f->out);
}

struct value jinja_str_format(struct run *r, struct value format,
                              const struct arguments *args)
{
    struct slice s = jinja_bytes(format);
    struct buf out;
    struct format f = { .r = r, .args = args, .out = &out };

    buf_init(&out, JINJA_MAX_STRING);
    while (s.n && !r->failed && !out.overflow) {
        char c = *s.p;
        const char *end;

        s.p++;
        s.n--;
        if ((c == '{' || c == '}') && eat(&s, c)) {
            buf_char(&out, c);
        } else if (c == '{') {
            end = s.n ? memchr(s.p, '}', s.n) : NULL;
            if (!end) {
                jinja_fail(r, "expected '}' before the end of the format");
                break;
            }
            format_field(&f, (struct slice){ s.p, (size_t)(end - s.p) });
            s.n -= (size_t)(end + 1 - s.p);
            s.p = end + 1;
        } else if (c == '}') {
            jinja_fail(r, "single '}' in a format");
        } else {
            buf_char(&out, c);
        }
    }
    return jinja_take(r, &out);
}

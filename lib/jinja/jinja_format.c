/*
 * jinja_format.c - '%' formatting and str.format
 *
 * jinja_spec.c lays values out for both; the two differ in how they find their
 * arguments and in which side they pad.
 */
#include "jinja/jinja_spec.h"

#include <string.h>

#define RADIX "xXob"

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
            s->fill[0] = s->align == '<' ? ' ' : '0';
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
        (void)spec_read_int(f, &s->width);
    }
    if (eat(f, '.')) {
        s->precision = 0;
        if (eat(f, '*')) {
            v = next_value(p);
            (void)jinja_index(p->r, v, &s->precision);
        } else {
            (void)spec_read_int(f, &s->precision);
        }
    }
    if (s->width > JINJA_MAX_WIDTH || s->precision > JINJA_MAX_WIDTH)
        jinja_limit(p->r, "columns in a format");
}

static struct value to_integer(struct run *r, struct value v, char type)
{
    if (v.kind == V_FLOAT && type && strchr("dui", type))
        return jinja_big_of_double(r, v.d);
    if (jinja_is_integer(v))
        return v;
    return jinja_fail(r, "%%%c format: a real number is required, not %s", type,
                      jinja_type(v));
}

static struct value represented(struct run *r, struct value v, bool ascii)
{
    struct buf b, plain;
    struct slice s;

    buf_init(&b, JINJA_MAX_STRING);
    jinja_repr(r, v, &b);
    s = buf_slice(&b);
    if (!ascii || r->failed)
        return jinja_take(r, &b);
    buf_init(&plain, JINJA_MAX_STRING);
    while (s.n) {
        uint32_t c = jinja_next_char(&s);

        if (c < 128)
            buf_char(&plain, (char)c);
        else
            buf_printf(&plain,
                       c < 0x100     ? "\\x%02x"
                       : c < 0x10000 ? "\\u%04x"
                                     : "\\U%08x",
                       c);
    }
    buf_release(&b);
    return jinja_take(r, &plain);
}

static void percent_text(struct percent *p, const struct spec *s,
                         struct value v)
{
    if (s->type == 'r' || s->type == 'a')
        v = represented(p->r, v, s->type == 'a');
    if (p->escape && !p->r->failed)
        v = jinja_escaped(p->r, v);
    spec_put_text(p->r, s, v, s->align == '<' ? '<' : '>', p->out);
}

static void percent_char(struct percent *p, const struct spec *s,
                         struct value v)
{
    struct buf b = { 0 };

    if (v.kind == V_BOOL)
        v = jinja_int(v.b);
    if (v.kind == V_INT && v.i >= 0 && v.i < 0x110000) {
        jinja_put_char(&b, (uint32_t)v.i);
        v = jinja_take(p->r, &b);
    }
    if (v.kind != V_STRING || jinja_chars(v) != 1)
        jinja_fail(p->r, "%%c requires int or char");
    else
        spec_put_text(p->r, s, v, s->align == '<' ? '<' : '>', p->out);
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
    if (spec_is(&s, "sra")) {
        percent_text(p, &s, v);
    } else if (s.type == 'c') {
        percent_char(p, &s, v);
    } else if (spec_is(&s, "diuxXo")) {
        char align = s.align ? s.align : '>';

        v = to_integer(p->r, v, s.type);
        if (spec_is(&s, "iu"))
            s.type = 'd';
        if (!p->r->failed)
            spec_put_int(p->r, &s, v, align, p->out);
    } else if (spec_is(&s, "eEfFgG") && jinja_is_number(v)) {
        spec_put_float(&s, jinja_double(v), s.align ? s.align : '>', p->out);
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

static void spec_text(struct run *r, const struct spec *s, struct value v,
                      struct buf *out)
{
    if (s->align == '=' || s->sign || s->group || s->alternate)
        jinja_fail(r, "this is not allowed in the format of a text");
    else
        spec_put_text(r, s, v, s->align && s->align != '0' ? s->align : '<',
                      out);
}

static void spec_integer(struct run *r, const struct spec *s, struct value v,
                         char align, struct buf *out)
{
    struct buf b = { 0 };

    if (s->precision >= 0) {
        jinja_fail(r, "a precision is not allowed in the format of an integer");
    } else if (s->group == ',' && spec_is(s, RADIX "n")) {
        jinja_fail(r, "cannot specify ',' with '%c'", s->type);
    } else if (s->type != 'c') {
        spec_put_int(r, s, v, align, out);
    } else if (v.kind != V_INT || v.i < 0 || v.i > 0x10ffff || s->sign) {
        jinja_fail(r, "%%c needs a character's number");
    } else {
        jinja_put_char(&b, (uint32_t)v.i);
        spec_put_text(r, s, jinja_take(r, &b), align == '=' ? '>' : align, out);
    }
}

static void put_spec(struct run *r, struct value v, struct slice text,
                     struct buf *out)
{
    struct spec s;
    char align;

    if (!text.n) {
        jinja_str(r, v, out);
        return;
    }
    if (!spec_read(text, &s)) {
        jinja_fail(r, "invalid format specifier");
        return;
    }
    align = !s.align ? '>' : s.align == '0' ? '=' : s.align;
    if (v.kind == V_BOOL)
        v = jinja_int(v.b);
    if (v.kind == V_FLOAT && s.alternate && !s.type)
        jinja_fail(r, "'#' without a type is not supported");
    else if (v.kind == V_STRING && (!s.type || s.type == 's'))
        spec_text(r, &s, v, out);
    else if (jinja_is_integer(v) && (!s.type || spec_is(&s, RADIX "dnc")))
        spec_integer(r, &s, v, align, out);
    else if (jinja_is_number(v) && (!s.type || spec_is(&s, "eEfFgGn%")))
        spec_put_float(&s, jinja_double(v), align, out);
    else
        jinja_fail(r, "unsupported format string for %s", jinja_type(v));
}

struct format {
    struct run *r;
    const struct arguments *args;
    size_t next;
    bool automatic, manual;
    unsigned depth; /* of fields in specifications */
    struct buf *out;
};

static struct value positional(struct format *f, struct slice name)
{
    int64_t i = 0;

    if (!name.n) {
        i = (int64_t)f->next++;
        f->automatic = true;
    } else {
        (void)spec_read_int(&name, &i);
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

/* .attribute and [item], one after another */
static struct value format_path(struct format *f, struct slice path,
                                struct value v)
{
    while (path.n && !f->r->failed) {
        bool item = *path.p == '[';
        struct slice name = { path.p + 1, 0 }, digits;
        int64_t i = 0;

        while (name.n + 1 < path.n &&
               (item ? name.p[name.n] != ']'
                     : name.p[name.n] != '.' && name.p[name.n] != '['))
            name.n++;
        if (!name.n || (item && name.n + 1 == path.n) ||
            (!item && *path.p != '.'))
            return jinja_fail(f->r, "a field of the format is not complete");
        path.p += name.n + 1 + item;
        path.n -= name.n + 1 + item;
        digits = name;
        if (!item)
            v = jinja_getattr(f->r, v, name);
        else if (spec_read_int(&digits, &i) && !digits.n)
            v = jinja_getitem(f->r, v, jinja_int(i));
        else
            v = jinja_getitem(f->r, v, jinja_slice(f->r, name));
    }
    return v;
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
    return format_path(f, (struct slice){ field.p + n, field.n - n }, v);
}

static void format_text(struct format *f, struct slice s);

/* One field, without its braces; its specification may have fields too. */
static void format_field(struct format *f, struct slice field)
{
    const char *colon = field.n ? memchr(field.p, ':', field.n) : NULL;
    struct slice spec = { "", 0 };
    struct buf inner = { 0 }, *out = f->out;
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
    if ((conversion == 'r' || conversion == 'a') && !f->r->failed)
        v = represented(f->r, v, conversion == 'a');
    else if (conversion == 's' && !f->r->failed)
        v = jinja_to_string(f->r, v);
    else if (conversion && !f->r->failed)
        jinja_fail(f->r, "unknown conversion specifier '%c'", conversion);
    if (spec.n && memchr(spec.p, '{', spec.n)) {
        f->out = &inner;
        f->depth++;
        format_text(f, spec);
        f->depth--;
        f->out = out;
        spec = buf_slice(&inner);
    }
    if (!f->r->failed)
        put_spec(f->r, v, spec, out);
    buf_release(&inner);
}

/* Bytes up to the brace that closes the field s begins with; s.n: none. */
static size_t field_size(struct slice s)
{
    size_t open = 1, i = 0;

    for (; i < s.n; i++) {
        open += s.p[i] == '{';
        open -= s.p[i] == '}';
        if (!open)
            break;
    }
    return i;
}

static void format_text(struct format *f, struct slice s)
{
    if (f->depth > 1)
        jinja_fail(f->r, "fields within fields within a format");
    while (s.n && !f->r->failed && !f->out->overflow) {
        char c = *s.p;
        size_t n;

        s.p++;
        s.n--;
        if ((c == '{' || c == '}') && eat(&s, c)) {
            buf_char(f->out, c);
        } else if (c == '{') {
            n = field_size(s);
            if (n == s.n) {
                jinja_fail(f->r, "expected '}' before the end of the format");
                break;
            }
            format_field(f, (struct slice){ s.p, n });
            s.n -= n + 1;
            s.p += n + 1;
        } else if (c == '}') {
            jinja_fail(f->r, "single '}' in a format");
        } else {
            buf_char(f->out, c);
        }
    }
}

struct value jinja_str_format(struct run *r, struct value format,
                              const struct arguments *args)
{
    struct buf out;
    struct format f = { .r = r, .args = args, .out = &out };

    buf_init(&out, JINJA_MAX_STRING);
    format_text(&f, jinja_bytes(format));
    return jinja_take(r, &out);
}

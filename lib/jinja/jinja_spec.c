/*
 * jinja_spec.c - numbers and texts as a format specification lays them out
 *
 * Serves '%' and str.format: sign and prefix, digits, and what is behind them
 * are kept apart, so that zeros and separators go between the first two.
 */
#include "jinja/jinja_spec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RADIX "xXob" /* the types that are not decimal */

bool spec_is(const struct spec *s, const char *set)
{
    return s->type && strchr(set, s->type);
}

static bool shows_sign(const struct spec *s)
{
    return s->sign && s->sign != '-';
}

static void put_fill(struct buf *out, const struct spec *s, int64_t n)
{
    for (; n > 0; n--)
        buf_add(out, s->fill, s->fill_n);
}

/* Pads text whose first `lead` bytes (sign, 0x) stay in front of the fill. */
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

static size_t grouped(size_t digits, size_t every)
{
    return digits + (digits ? (digits - 1) / every : 0);
}

/* Digits with a separator between every three or four; zeros in front until
 * they fill `least` places. */
static void put_grouped(const struct spec *s, struct slice digits, size_t least,
                        struct buf *out)
{
    size_t every = spec_is(s, RADIX) ? 4 : 3, n = digits.n;

    while (grouped(n, every) < least)
        n++;
    for (size_t i = n; i > 0; i--) {
        buf_char(out, i > digits.n ? '0' : digits.p[digits.n - i]);
        if (i > 1 && (i - 1) % every == 0)
            buf_char(out, s->group);
    }
}

/* lead: sign and prefix; tail: what follows the whole digits. */
static void put_parts(const struct spec *s, struct slice lead,
                      struct slice digits, struct slice tail, char align,
                      struct buf *out)
{
    struct buf b = { 0 };
    size_t least = 0, rest = lead.n + tail.n;

    buf_add_slice(&b, lead);
    if (s->group) {
        if (align == '=' && s->fill[0] == '0' && (size_t)s->width > rest)
            least = (size_t)s->width - rest;
        put_grouped(s, digits, least, &b);
    } else {
        buf_add_slice(&b, digits);
    }
    buf_add_slice(&b, tail);
    pad(s, buf_slice(&b), lead.n, align, out);
    buf_release(&b);
}

void spec_put_int(struct run *r, const struct spec *s, struct value v,
                  char align, struct buf *out)
{
    struct buf digits = { 0 }, lead = { 0 }, long_ones = { 0 };
    struct slice d;

    jinja_big_radix(r, v, s->type, &digits);
    d = buf_slice(&digits);
    if (d.n && *d.p == '-') {
        buf_char(&lead, '-');
        d.p++;
        d.n--;
    } else if (shows_sign(s)) {
        buf_char(&lead, s->sign);
    }
    if (s->alternate && spec_is(s, RADIX)) {
        buf_char(&lead, '0');
        buf_char(&lead, s->type);
    }
    for (int64_t i = (int64_t)d.n; i < s->precision; i++)
        buf_char(&long_ones, '0');
    buf_add_slice(&long_ones, d);
    put_parts(s, buf_slice(&lead), buf_slice(&long_ones),
              (struct slice){ "", 0 }, align, out);
    buf_release(&digits);
    buf_release(&lead);
    buf_release(&long_ones);
}

/* As repr has it where no precision is given, else like 'g' but never as
 * short as an integer. */
static void put_general(const struct spec *s, double d, struct buf *out)
{
    int precision = s->precision ? (int)s->precision : 1;
    size_t from = out->len;

    if (s->precision < 0) {
        jinja_float_write(d, out);
        return;
    }
    buf_printf(out, "%.*e", precision - 1, d);
    if (isfinite(d)) {
        char *e = strchr(out->data + from, 'e'), *end = e;

        /* One digit of the precision is kept for the fraction. */
        if (atoi(e + 1) == precision - 1) {
            while (end[-1] == '0' && memchr(out->data + from, '.',
                                            (size_t)(end - out->data) - from))
                end--;
            end -= end[-1] == '.';
            memmove(end, e, strlen(e) + 1);
            out->len -= (size_t)(e - end);
            return;
        }
    }
    out->len = from;
    buf_printf(out, "%.*g", precision, d);
    if (isfinite(d) && !strpbrk(out->data + from, ".e"))
        buf_str(out, ".0");
}

void spec_put_float(const struct spec *s, double d, char align, struct buf *out)
{
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    bool negative = signbit(d) && !isnan(d);
    struct slice lead = { negative         ? "-"
                          : s->sign == '+' ? "+"
                                           : " ",
                          negative || shows_sign(s) };
    struct slice text, digits;
    struct buf b = { 0 };

    d = isnan(d) ? (double)NAN : fabs(d);
    switch (s->type) {
    case 'e': buf_printf(&b, "%.*e", precision, d); break;
    case 'E': buf_printf(&b, "%.*E", precision, d); break;
    case 'n':
    case 'g':
        buf_printf(&b, s->alternate ? "%#.*g" : "%.*g", precision, d);
        break;
    case 'G':
        buf_printf(&b, s->alternate ? "%#.*G" : "%.*G", precision, d);
        break;
    case '%': buf_printf(&b, "%.*f%%", precision, d * 100); break;
    case 0: put_general(s, d, &b); break;
    case 'F': buf_printf(&b, "%.*F", precision, d); break;
    default: buf_printf(&b, "%.*f", precision, d);
    }
    text = digits = buf_slice(&b);
    digits.n = 0;
    while (digits.n < text.n && text.p[digits.n] >= '0' &&
           text.p[digits.n] <= '9')
        digits.n++;
    put_parts(s, lead, digits,
              (struct slice){ text.p + digits.n, text.n - digits.n }, align,
              out);
    buf_release(&b);
}

void spec_put_text(struct run *r, const struct spec *s, struct value text,
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

bool spec_read_int(struct slice *s, int64_t *out)
{
    int64_t n = 0;
    bool any = false;

    while (s->n && *s->p >= '0' && *s->p <= '9' && n <= JINJA_MAX_WIDTH) {
        n = n * 10 + (*s->p++ - '0');
        s->n--;
        any = true;
    }
    if (any)
        *out = n;
    return any;
}

static bool eat(struct slice *s, const char *set, char *what)
{
    if (!s->n || !*s->p || !strchr(set, *s->p))
        return false;
    *what = *s->p++;
    s->n--;
    return true;
}

bool spec_read(struct slice f, struct spec *s)
{
    struct slice rest = f;
    bool filled = false;
    char c;

    *s = (struct spec){ .fill = " ", .fill_n = 1, .precision = -1 };
    if (f.n)
        (void)jinja_next_char(&rest);
    if (rest.n && rest.n < f.n && strchr("<>^=", *rest.p)) {
        s->fill_n = f.n - rest.n;
        memcpy(s->fill, f.p, s->fill_n);
        s->align = *rest.p;
        f = (struct slice){ rest.p + 1, rest.n - 1 };
        filled = true;
    } else {
        (void)eat(&f, "<>^=", &s->align);
    }
    (void)eat(&f, "+- ", &s->sign);
    s->alternate = eat(&f, "#", &c);
    if (!filled && eat(&f, "0", &c)) {
        s->fill[0] = '0';
        s->align = s->align ? s->align : '0'; /* '=' of numbers only */
    }
    (void)spec_read_int(&f, &s->width);
    (void)eat(&f, ",_", &s->group);
    if (eat(&f, ".", &c) && !spec_read_int(&f, &s->precision))
        return false;
    if (f.n) {
        s->type = *f.p;
        f.n--;
    }
    return f.n == 0 && s->width <= JINJA_MAX_WIDTH &&
           s->precision <= JINJA_MAX_WIDTH;
}

/*
 * constrain_number.c - numbers between bounds, digit by digit
 *
 * A bound is a decimal; what is written beside it has few enough digits that a
 * reader's rounding never carries it over. Of numbers without bounds any
 * spelling fits, of those with them plain decimals. No multiples but of 1.
 */
#include "constrain/constrain_schema.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER "-?(0|[1-9][0-9]{0,14})"
#define FRACTION "([.][0-9]{1,15})?([eE][+-]?[0-9]{1,2})?"
#define DIGITS 15
#define MOST UINT64_C(999999999999999)

/* A magnitude: whole.fraction, no zeros at its end. */
struct decimal {
    uint64_t whole;
    char fraction[DIGITS + 1];
    bool without; /* it is not in the range itself */
};

/* Texts of n digits from low to high, each tied to it or free. */
static void put_span(struct constrain_graph *g, uint32_t from, uint32_t to,
                     const char *low, const char *high, size_t n)
{
    unsigned char a = low ? (unsigned char)*low : '0';
    unsigned char b = high ? (unsigned char)*high : '9';

    if (n == 0) {
        graph_empty(g, from, to);
        return;
    }
    if (a == b) {
        put_span(g, graph_bytes(g, from, a, a), to, low ? low + 1 : NULL,
                 high ? high + 1 : NULL, n - 1);
        return;
    }
    if (low)
        put_span(g, graph_bytes(g, from, a, a), to, low + 1, NULL, n - 1);
    if (high)
        put_span(g, graph_bytes(g, from, b, b), to, NULL, high + 1, n - 1);
    a = (unsigned char)(a + (low != NULL));
    b = (unsigned char)(b - (high != NULL));
    if (a > b)
        return;
    from = graph_bytes(g, from, a, b);
    for (; n > 1; n--)
        from = graph_bytes(g, from, '0', '9');
    graph_empty(g, from, to);
}

/* Whole numbers from low to high. */
static void put_whole(struct constrain_graph *g, uint32_t from, uint32_t to,
                      uint64_t low, uint64_t high)
{
    char a[24], b[24];
    size_t n;

    while (low <= high) {
        uint64_t end = 9;

        while (end < low)
            end = end * 10 + 9;
        end = end < high ? end : high;
        n = (size_t)snprintf(a, sizeof(a), "%" PRIu64, low);
        (void)snprintf(b, sizeof(b), "%" PRIu64, end);
        put_span(g, from, to, a, b, n);
        low = end + 1;
    }
}

struct fraction {
    struct constrain_graph *g;
    uint32_t to;
    const struct decimal *low, *high; /* NULL: no bound */
    size_t digits;                    /* no more than these */
};

/* i digits are written; may the number end here? */
static bool may_end(const struct fraction *f, size_t i, bool low, bool high)
{
    if (low && (i < strlen(f->low->fraction) || f->low->without))
        return false;
    return !high || i < strlen(f->high->fraction) || !f->high->without;
}

static char digit_of(const struct decimal *d, size_t i)
{
    return i < strlen(d->fraction) ? d->fraction[i] : '0';
}

/* low, high: what is written so far is the bound's beginning. */
static void put_digits(const struct fraction *f, uint32_t from, size_t i,
                       bool low, bool high)
{
    unsigned char a = low ? (unsigned char)digit_of(f->low, i) : '0';
    unsigned char b = high ? (unsigned char)digit_of(f->high, i) : '9';

    if (i > 0 && may_end(f, i, low, high))
        graph_empty(f->g, from, f->to);
    if (i == f->digits || graph_failed(f->g))
        return;
    if (!low && !high) {
        for (; i < f->digits; i++) {
            from = graph_bytes(f->g, from, '0', '9');
            graph_empty(f->g, from, f->to);
        }
        return;
    }
    if (low && high && a == b) {
        put_digits(f, graph_bytes(f->g, from, a, a), i + 1, true, true);
        return;
    }
    if (low && (!high || a < b))
        put_digits(f, graph_bytes(f->g, from, a, a), i + 1, true, false);
    if (high && (!low || a < b))
        put_digits(f, graph_bytes(f->g, from, b, b), i + 1, false, true);
    a = (unsigned char)(a + low);
    b = (unsigned char)(b - high);
    if (a <= b)
        put_digits(f, graph_bytes(f->g, from, a, b), i + 1, false, false);
}

static void put_fraction(const struct fraction *f, uint32_t from)
{
    if (may_end(f, 0, f->low != NULL, f->high != NULL))
        graph_empty(f->g, from, f->to);
    put_digits(f, graph_bytes(f->g, from, '.', '.'), 0, f->low != NULL,
               f->high != NULL);
}

/* Digits behind the point that keep a number of this size exact. */
static size_t digits_for(const struct decimal *d, const struct decimal *other)
{
    size_t n = 1, least = strlen(d->fraction);

    for (uint64_t x = d->whole; x >= 10; x /= 10)
        n++;
    n = n < DIGITS ? DIGITS - n : 1;
    if (other && strlen(other->fraction) > least)
        least = strlen(other->fraction);
    return n > least ? n : least;
}

static uint32_t put_one(struct constrain_graph *g, uint32_t from, uint64_t x)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, x);
    return graph_text(g, from, slice_of(text));
}

/* Magnitudes from low to high. */
static void put_magnitudes(struct constrain_graph *g, uint32_t from,
                           uint32_t to, const struct decimal *low,
                           const struct decimal *high)
{
    struct fraction f = { g, to, low, high, digits_for(high, low) };
    uint32_t at;

    if (low->whole > high->whole)
        return;
    if (low->whole == high->whole) {
        put_fraction(&f, put_one(g, from, low->whole));
        return;
    }
    f = (struct fraction){ g, to, low, NULL, digits_for(low, NULL) };
    put_fraction(&f, put_one(g, from, low->whole));
    f = (struct fraction){ g, to, NULL, high, digits_for(high, NULL) };
    put_fraction(&f, put_one(g, from, high->whole));
    if (low->whole + 1 > high->whole - 1)
        return;
    at = graph_node(g);
    put_whole(g, from, at, low->whole + 1, high->whole - 1);
    /* Only a bound that is left out must not be rounded to. */
    f = (struct fraction){ g, to, NULL, NULL,
                           high->without && !*high->fraction
                               ? digits_for(high, NULL)
                               : DIGITS };
    put_fraction(&f, at);
}

/* A bound: -1, 0 or 1 with its magnitude. */
struct bound {
    bool is, without;
    double value;
};

static bool read_decimal(double x, struct decimal *out)
{
    char text[64];
    char *point;
    size_t n;

    x = fabs(x);
    *out = (struct decimal){ .whole = MOST };
    if (x > (double)MOST)
        return true;
    for (int digits = 0; digits <= DIGITS; digits++) {
        (void)snprintf(text, sizeof(text), "%.*f", digits, x);
        if (!(fabs(strtod(text, NULL) - x) > 0))
            break;
    }
    if (fabs(strtod(text, NULL) - x) > 0)
        return false;
    out->whole = strtoull(text, &point, 10);
    if (*point != '.')
        return true;
    n = strlen(++point);
    while (n > 0 && point[n - 1] == '0')
        n--;
    memcpy(out->fraction, point, n);
    return true;
}

/* The tighter of a bound and the one that leaves itself out, which is a flag
 * in older schemas. sign: 1 for a lower one. */
static struct bound read_bound(struct schema_reader *r, json_ref s,
                               const char *key, const char *without, int sign)
{
    json_ref v = json_get(r->j, s, key), w = json_get(r->j, s, without);
    struct bound b = { 0 }, x = { .without = true };
    bool flag = false;

    b.is = json_double(r->j, v, &b.value);
    if (json_present(v) && !b.is)
        (void)schema_fail(r, "no number:", slice_of(key));
    if (json_bool(r->j, w, &flag)) {
        b.without = flag;
        return b;
    }
    x.is = json_double(r->j, w, &x.value);
    if (json_present(w) && !x.is)
        (void)schema_fail(r, "no number:", slice_of(without));
    return x.is && (!b.is || sign * x.value >= sign * b.value) ? x : b;
}

static uint32_t put_integers(struct schema_reader *r, uint32_t from,
                             const struct bound *low, const struct bound *high)
{
    const double most = (double)MOST;
    double a = low->is ? ceil(low->value) : -most;
    double b = high->is ? floor(high->value) : most;
    uint32_t to = graph_node(r->g), minus;

    a += low->is && low->without && !(a > low->value);
    b -= high->is && high->without && !(b < high->value);
    a = a < -most ? -most : a;
    b = b > most ? most : b;
    if (a > b)
        return schema_refuse(r, "no whole number of up to 15 digits is between "
                                "its bounds");
    if (a < 0) {
        minus = graph_bytes(r->g, from, '-', '-');
        put_whole(r->g, minus, to, b < 0 ? (uint64_t)-b : 1, (uint64_t)-a);
    }
    if (b >= 0)
        put_whole(r->g, from, to, a > 0 ? (uint64_t)a : 0, (uint64_t)b);
    return to;
}

static uint32_t put_numbers(struct schema_reader *r, uint32_t from,
                            const struct bound *low, const struct bound *high)
{
    struct decimal a = { .whole = MOST }, b = a, zero = { .whole = 0 };
    double x = low->is ? low->value : -(double)MOST;
    double y = high->is ? high->value : (double)MOST;
    uint32_t to = graph_node(r->g), minus;

    if (x > y || (!(x < y) && (low->without || high->without)) ||
        x > (double)MOST || y < -(double)MOST)
        return schema_refuse(r, "no number is between its bounds");
    if (!read_decimal(x, &a) || !read_decimal(y, &b))
        return schema_refuse(r, "a bound has more than 15 digits behind the "
                                "point");
    a.without = low->is && low->without;
    b.without = high->is && high->without;
    if (x < 0) {
        minus = graph_bytes(r->g, from, '-', '-');
        zero.without = true;
        put_magnitudes(r->g, minus, to, y < 0 ? &b : &zero, &a);
        zero.without = false;
    }
    if (y >= 0)
        put_magnitudes(r->g, from, to,
                       x > 0 || (a.without && !(x < 0)) ? &a : &zero, &b);
    return to;
}

uint32_t schema_number(struct schema_reader *r, uint32_t from, json_ref s,
                       bool whole)
{
    struct bound low = read_bound(r, s, "minimum", "exclusiveMinimum", 1);
    struct bound high = read_bound(r, s, "maximum", "exclusiveMaximum", -1);
    json_ref step = json_get(r->j, s, "multipleOf");
    double x;

    if (json_present(step) &&
        (!json_double(r->j, step, &x) || fabs(x - 1) > 0 || !whole))
        return schema_fail(
            r, "supported for integers alone, as 1:", slice_of("multipleOf"));
    if (graph_failed(r->g))
        return 0;
    if (!low.is && !high.is)
        return graph_regex(
            r->g, from, whole ? slice_of(NUMBER) : slice_of(NUMBER FRACTION));
    return whole ? put_integers(r, from, &low, &high)
                 : put_numbers(r, from, &low, &high);
}

/*
 * jinja_big.c - integers of any size, as Python's are
 *
 * Sign and magnitude in base 1e9. Operands are taken as they come (bool, int,
 * big); a result that fits becomes a V_INT again. Division is schoolbook,
 * each digit found by halving: numbers are short.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BASE 1000000000u
#define MAX_LIMBS (JINJA_MAX_DIGITS / 9 + 1)

static struct big *new_big(struct run *r, size_t n)
{
    struct big *b;

    if (n > 2 * MAX_LIMBS + 2) {
        jinja_limit(r, "digits in a number");
        n = 0;
    }
    b = jinja_alloc(r, sizeof(*b) + (n + 1) * sizeof(b->digit[0]));
    b->n = n;
    return b;
}

static struct big *of_int(struct run *r, int64_t i)
{
    struct big *b = new_big(r, 3);
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

    b->negative = i < 0;
    for (b->n = 0; u; u /= BASE)
        b->digit[b->n++] = (uint32_t)(u % BASE);
    return b;
}

static struct big *of_value(struct run *r, struct value v)
{
    return v.kind == V_BIG ? v.big : of_int(r, v.kind == V_BOOL ? v.b : v.i);
}

static int compare_sizes(const struct big *a, const struct big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = a->n; i-- > 0;)
        if (a->digit[i] != b->digit[i])
            return a->digit[i] < b->digit[i] ? -1 : 1;
    return 0;
}

/* To an int if it fits; takes leading zeros off. */
static struct value finish(struct run *r, struct big *b)
{
    uint64_t u = 0;
    bool fits = true;

    while (b->n && !b->digit[b->n - 1])
        b->n--;
    if (b->n > MAX_LIMBS)
        return jinja_limit(r, "digits in a number");
    for (size_t i = b->n; i-- > 0 && fits;)
        fits = !__builtin_mul_overflow(u, (uint64_t)BASE, &u) &&
               !__builtin_add_overflow(u, (uint64_t)b->digit[i], &u);
    if (fits && u <= (uint64_t)INT64_MAX)
        return jinja_int(b->negative ? -(int64_t)u : (int64_t)u);
    return (struct value){ .kind = V_BIG, .big = b };
}

static struct big *add_sizes(struct run *r, const struct big *a,
                             const struct big *b)
{
    size_t n = (a->n > b->n ? a->n : b->n) + 1;
    struct big *out = new_big(r, n);
    uint32_t carry = 0;

    for (size_t i = 0; i < out->n; i++) {
        uint32_t d =
            carry + (i < a->n ? a->digit[i] : 0) + (i < b->n ? b->digit[i] : 0);

        carry = d >= BASE;
        out->digit[i] = d - carry * BASE;
    }
    return out;
}

/* |a| >= |b| */
static struct big *sub_sizes(struct run *r, const struct big *a,
                             const struct big *b)
{
    struct big *out = new_big(r, a->n);
    int64_t borrow = 0;

    for (size_t i = 0; i < out->n; i++) {
        int64_t d = (int64_t)a->digit[i] - borrow -
                    (i < b->n ? (int64_t)b->digit[i] : 0);

        borrow = d < 0;
        out->digit[i] = (uint32_t)(d + borrow * BASE);
    }
    while (out->n && !out->digit[out->n - 1])
        out->n--;
    return out;
}

static struct big *add(struct run *r, const struct big *a, const struct big *b,
                       bool minus)
{
    bool b_negative = b->negative != minus;
    int order = compare_sizes(a, b);
    struct big *out;

    if (a->negative == b_negative) {
        out = add_sizes(r, a, b);
        out->negative = a->negative;
    } else if (order >= 0) {
        out = sub_sizes(r, a, b);
        out->negative = a->negative;
    } else {
        out = sub_sizes(r, b, a);
        out->negative = b_negative;
    }
    return out;
}

static struct big *multiply(struct run *r, const struct big *a,
                            const struct big *b)
{
    struct big *out = new_big(r, a->n + b->n);

    for (size_t i = 0; i < a->n && out->n; i++) {
        uint64_t carry = 0;

        for (size_t k = 0; k < b->n || carry; k++) {
            uint64_t d = out->digit[i + k] + carry;

            if (k < b->n)
                d += (uint64_t)a->digit[i] * b->digit[k];
            out->digit[i + k] = (uint32_t)(d % BASE);
            carry = d / BASE;
        }
    }
    while (out->n && !out->digit[out->n - 1])
        out->n--;
    out->negative = a->negative != b->negative;
    return out;
}

static struct big *times_small(struct run *r, const struct big *a, uint32_t q)
{
    struct big *out = new_big(r, a->n + 1);
    uint64_t carry = 0;

    for (size_t i = 0; i < out->n; i++) {
        uint64_t d = carry + (i < a->n ? (uint64_t)a->digit[i] * q : 0);

        out->digit[i] = (uint32_t)(d % BASE);
        carry = d / BASE;
    }
    while (out->n && !out->digit[out->n - 1])
        out->n--;
    return out;
}

static struct big *shifted(struct run *r, const struct big *a, uint32_t low)
{
    struct big *out = new_big(r, a->n + 1);

    if (!out->n)
        return out;
    out->digit[0] = low;
    memcpy(out->digit + 1, a->digit, a->n * sizeof(a->digit[0]));
    while (out->n && !out->digit[out->n - 1])
        out->n--;
    return out;
}

/* The largest q with q * b <= rest, by halving: limbs are few. */
static uint32_t quotient_digit(struct run *r, const struct big *rest,
                               const struct big *b)
{
    uint32_t low = 0, high = BASE - 1;

    while (low < high && !r->failed) {
        uint32_t mid = low + (high - low + 1) / 2;

        if (compare_sizes(times_small(r, b, mid), rest) <= 0)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

/* Sizes only: *q = |a| / |b|, returns the remainder. */
static struct big *divide_sizes(struct run *r, const struct big *a,
                                const struct big *b, struct big **q)
{
    struct big *rest = new_big(r, 0);

    *q = new_big(r, a->n);
    for (size_t i = a->n; i-- > 0 && !r->failed;) {
        uint32_t d;

        rest = shifted(r, rest, a->digit[i]);
        if (compare_sizes(rest, b) < 0)
            continue;
        d = quotient_digit(r, rest, b);
        (*q)->digit[i] = d;
        rest = sub_sizes(r, rest, times_small(r, b, d));
    }
    while ((*q)->n && !(*q)->digit[(*q)->n - 1])
        (*q)->n--;
    return rest;
}

/* Python's: the quotient is rounded down, the remainder has b's sign. */
static struct value divide(struct run *r, const struct big *a,
                           const struct big *b, bool remainder)
{
    struct big *q, *rest, *one = of_int(r, 1);

    if (!b->n)
        return jinja_fail(r, "integer division or modulo by zero");
    rest = divide_sizes(r, a, b, &q);
    if (a->negative != b->negative && rest->n) {
        q = add_sizes(r, q, one);
        rest = sub_sizes(r, b, rest);
    }
    q->negative = a->negative != b->negative;
    rest->negative = b->negative;
    return finish(r, remainder ? rest : q);
}

static struct value power(struct run *r, const struct big *a, struct value b)
{
    struct big *out = of_int(r, 1);
    int64_t n = b.kind == V_BOOL ? b.b : b.kind == V_INT ? b.i : INT64_MAX;
    struct big *square = new_big(r, a->n);

    memcpy(square->digit, a->digit, square->n * sizeof(a->digit[0]));
    square->negative = a->negative;
    if (a->n > 1 || (a->n == 1 && a->digit[0] > 1))
        if (n > JINJA_MAX_DIGITS * 4)
            return jinja_limit(r, "digits in a number");
    if (!a->n)
        return jinja_int(n == 0);
    for (; n && !r->failed; n >>= 1) {
        if (n & 1)
            out = multiply(r, out, square);
        if (n > 1)
            square = multiply(r, square, square);
    }
    return finish(r, out);
}

struct value jinja_big_op(struct run *r, enum op op, struct value a,
                          struct value b)
{
    struct big *x = of_value(r, a), *y = of_value(r, b);

    if (!jinja_step(r, x->n + y->n + 1))
        return jinja_none();
    switch (op) {
    case OP_ADD: return finish(r, add(r, x, y, false));
    case OP_SUB: return finish(r, add(r, x, y, true));
    case OP_MUL: return finish(r, multiply(r, x, y));
    case OP_POW: return power(r, x, b);
    default: return divide(r, x, y, op == OP_MOD);
    }
}

static int compare(const struct big *a, const struct big *b)
{
    int order = compare_sizes(a, b);

    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? -order : order;
}

int jinja_big_compare(struct run *r, struct value a, struct value b)
{
    int64_t x = a.kind == V_BOOL ? a.b : a.i, y = b.kind == V_BOOL ? b.b : b.i;

    if (a.kind != V_BIG && b.kind != V_BIG)
        return (x > y) - (x < y);
    return compare(of_value(r, a), of_value(r, b));
}

struct value jinja_big_negate(struct run *r, struct value v)
{
    return jinja_big_op(r, OP_SUB, jinja_int(0), v);
}

/* Valid digits of the base, a sign in front or not. */
struct value jinja_big_parse(struct run *r, struct slice s, unsigned base)
{
    bool negative = s.n && *s.p == '-';
    struct big *out = of_int(r, 0);

    if (s.n > JINJA_MAX_DIGITS)
        return jinja_limit(r, "digits in a number");
    for (size_t i = s.n && (*s.p == '-' || *s.p == '+'); i < s.n; i++) {
        char c = s.p[i];
        uint32_t d = (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);

        out = times_small(r, out, base);
        out = add_sizes(r, out, of_int(r, d));
        while (out->n && !out->digit[out->n - 1])
            out->n--;
    }
    out->negative = negative && out->n;
    return finish(r, out);
}

/* The whole part, exactly. */
struct value jinja_big_of_double(struct run *r, double d)
{
    int exponent;
    double mantissa = frexp(trunc(d), &exponent);
    struct value v;

    if (!isfinite(d))
        return jinja_fail(r, "cannot convert float %s to integer",
                          isnan(d) ? "NaN" : "infinity");
    if (fabs(d) < 9e18)
        return jinja_int((int64_t)d);
    v = jinja_int((int64_t)ldexp(mantissa, 53));
    return jinja_big_op(
        r, OP_MUL, v,
        jinja_big_op(r, OP_POW, jinja_int(2), jinja_int(exponent - 53)));
}

double jinja_big_double(struct value v)
{
    double d = 0;

    if (v.kind != V_BIG)
        return v.kind == V_BOOL ? v.b : (double)v.i;
    for (size_t i = v.big->n; i-- > 0;)
        d = d * BASE + v.big->digit[i];
    return v.big->negative ? -d : d;
}

void jinja_big_write(struct value v, struct buf *out)
{
    if (v.kind != V_BIG) {
        buf_printf(out, "%lld", (long long)(v.kind == V_BOOL ? v.b : v.i));
        return;
    }
    if (v.big->negative)
        buf_char(out, '-');
    for (size_t i = v.big->n; i-- > 0;)
        buf_printf(out, "%0*u", i + 1 == v.big->n ? 1 : 9, v.big->digit[i]);
}

/* Divides in place; what is left over. */
static uint32_t divide_small(struct big *b, uint32_t by)
{
    uint64_t rest = 0;

    for (size_t i = b->n; i-- > 0;) {
        rest = rest * BASE + b->digit[i];
        b->digit[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    while (b->n && !b->digit[b->n - 1])
        b->n--;
    return (uint32_t)rest;
}

void jinja_big_radix(struct run *r, struct value v, char type, struct buf *out)
{
    const char *digits = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint32_t base = type == 'b' ? 2 : type == 'o' ? 8 : 16;
    struct big *from = of_value(r, v), *b;
    struct buf back = { 0 };

    if (!type || !strchr("xXob", type)) {
        jinja_big_write(v.kind == V_BOOL ? jinja_int(v.b) : v, out);
        return;
    }
    b = new_big(r, from->n);
    memcpy(b->digit, from->digit, from->n * sizeof(b->digit[0]));
    do
        buf_char(&back, digits[divide_small(b, base)]);
    while (b->n);
    if (from->negative)
        buf_char(out, '-');
    while (back.len)
        buf_char(out, back.data[--back.len]);
    buf_release(&back);
}

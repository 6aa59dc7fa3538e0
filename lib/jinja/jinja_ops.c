/*
 * jinja_ops.c - operators, with Python's types and its errors
 *
 * Text that is marked as safe escapes what is added to it, as Markup does.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <string.h>

double jinja_double(struct value v)
{
    return v.kind == V_FLOAT ? v.d : jinja_big_double(v);
}

bool jinja_index(struct run *r, struct value v, int64_t *out)
{
    if (v.kind == V_INT || v.kind == V_BOOL) {
        *out = v.kind == V_INT ? v.i : v.b;
        return true;
    }
    if (v.kind == V_BIG) {
        *out = v.big->negative ? INT64_MIN / 4 : INT64_MAX / 4;
        return true;
    }
    jinja_fail(r, "'%s' object cannot be interpreted as an integer",
               jinja_type(v));
    return false;
}

static struct value op_error(struct run *r, enum op op, struct value a,
                             struct value b)
{
    static const char *const names[] = { "+",  "-", "*",          "/",
                                         "//", "%", "** or pow()" };

    if (a.kind == V_UNDEFINED || b.kind == V_UNDEFINED)
        return jinja_fail(r, "%s",
                          (a.kind == V_UNDEFINED ? a : b).undef->message);
    if (op == OP_ADD && a.kind == V_STRING)
        return jinja_fail(r, "can only concatenate str (not \"%s\") to str",
                          jinja_type(b));
    if (op == OP_ADD && (a.kind == V_LIST || a.kind == V_TUPLE))
        return jinja_fail(r, "can only concatenate %s (not \"%s\") to %s",
                          jinja_type(a), jinja_type(b), jinja_type(a));
    return jinja_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'",
                      names[op], jinja_type(a), jinja_type(b));
}

static struct value add_texts(struct run *r, struct value a, struct value b)
{
    bool safe = a.safe || b.safe;
    struct buf out;
    struct value v;

    if (safe) {
        a = jinja_escaped(r, a);
        b = jinja_escaped(r, b);
    }
    if (r->failed)
        return a;
    buf_init(&out, JINJA_MAX_STRING);
    buf_add_slice(&out, jinja_bytes(a));
    buf_add_slice(&out, jinja_bytes(b));
    v = jinja_take(r, &out);
    v.safe = safe;
    return v;
}

static struct value add_lists(struct run *r, struct value a, struct value b)
{
    struct value out = jinja_list(r, a.kind, a.l->n + b.l->n);

    if (!jinja_step(r, a.l->n + b.l->n))
        return out;
    for (size_t i = 0; i < a.l->n; i++)
        jinja_list_add(r, out.l, a.l->v[i]);
    for (size_t i = 0; i < b.l->n; i++)
        jinja_list_add(r, out.l, b.l->v[i]);
    return out;
}

/* A text or list, n times. */
static struct value repeat(struct run *r, struct value v, struct value count)
{
    int64_t n;
    size_t size = v.kind == V_STRING ? v.s->n : v.l->n;
    struct value out;
    struct buf b;

    if (!jinja_index(r, count, &n))
        return count;
    n = n < 0 ? 0 : n;
    if (size && (uint64_t)n > JINJA_MAX_STEPS / size)
        return jinja_limit(r, "repetitions");
    if (!jinja_step(r, size ? (uint64_t)n : 0))
        return count;
    if (v.kind == V_STRING) {
        buf_init(&b, JINJA_MAX_STRING);
        for (int64_t i = 0; size && i < n; i++)
            buf_add_slice(&b, jinja_bytes(v));
        out = jinja_take(r, &b);
        out.safe = v.safe;
        return out;
    }
    out = jinja_list(r, v.kind, size * (size_t)n);
    for (int64_t i = 0; size && i < n; i++)
        for (size_t k = 0; k < size; k++)
            jinja_list_add(r, out.l, v.l->v[k]);
    return out;
}

static struct value float_modulo(double x, double y)
{
    double m = fmod(x, y);

    if (m < 0 || m > 0) {
        if ((y < 0) != (m < 0))
            m += y;
    } else {
        m = copysign(0.0, y);
    }
    return jinja_float(m);
}

static struct value float_op(struct run *r, enum op op, double x, double y)
{
    bool zero = !(y < 0 || y > 0 || isnan(y));

    switch (op) {
    case OP_ADD: return jinja_float(x + y);
    case OP_SUB: return jinja_float(x - y);
    case OP_MUL: return jinja_float(x * y);
    case OP_POW:
        if (x < 0 && y < floor(y) + 1 && y > floor(y))
            return jinja_fail(r, "a negative number to a fractional power");
        if (!(x < 0 || x > 0) && y < 0)
            return jinja_fail(r, "zero to a negative power");
        return jinja_float(pow(x, y));
    default: break;
    }
    if (zero)
        return jinja_fail(r, "division by zero");
    if (op == OP_DIV)
        return jinja_float(x / y);
    if (op == OP_MOD)
        return float_modulo(x, y);
    return jinja_float(floor(x / y));
}

static int64_t int_of(struct value v)
{
    return v.kind == V_BOOL ? v.b : v.i;
}

/* Small integers without a detour; false: it does not fit. */
static bool quick_op(enum op op, struct value a, struct value b, int64_t *out)
{
    int64_t x = int_of(a), y = int_of(b);

    if (a.kind == V_BIG || b.kind == V_BIG)
        return false;
    switch (op) {
    case OP_ADD: return !__builtin_add_overflow(x, y, out);
    case OP_SUB: return !__builtin_sub_overflow(x, y, out);
    case OP_MUL: return !__builtin_mul_overflow(x, y, out);
    case OP_FLOORDIV:
        if (y == 0 || y == -1)
            return false;
        *out = x / y - (x % y != 0 && (x < 0) != (y < 0));
        return true;
    case OP_MOD:
        if (y == 0 || y == -1)
            return false;
        *out = x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
        return true;
    default: return false;
    }
}

static struct value number_op(struct run *r, enum op op, struct value a,
                              struct value b)
{
    int64_t i;
    bool whole = jinja_is_integer(a) && jinja_is_integer(b);

    if (op == OP_POW && whole && jinja_big_compare(r, b, jinja_int(0)) < 0)
        whole = false;
    if (!whole || op == OP_DIV)
        return float_op(r, op, jinja_double(a), jinja_double(b));
    if (quick_op(op, a, b, &i))
        return jinja_int(i);
    return jinja_big_op(r, op, a, b);
}

struct value jinja_binary(struct run *r, enum op op, struct value a,
                          struct value b)
{
    bool a_list = a.kind == V_LIST || a.kind == V_TUPLE;
    bool b_list = b.kind == V_LIST || b.kind == V_TUPLE;

    if (r->failed)
        return a;
    if (jinja_is_number(a) && jinja_is_number(b))
        return number_op(r, op, a, b);
    if (op == OP_ADD && a.kind == V_STRING && b.kind == V_STRING)
        return add_texts(r, a, b);
    if (op == OP_ADD && a_list && a.kind == b.kind)
        return add_lists(r, a, b);
    if (op == OP_MUL && (a_list || a.kind == V_STRING) && jinja_is_integer(b))
        return repeat(r, a, b);
    if (op == OP_MUL && (b_list || b.kind == V_STRING) && jinja_is_integer(a))
        return repeat(r, b, a);
    if (op == OP_MOD && a.kind == V_STRING)
        return jinja_percent(r, a, b);
    return op_error(r, op, a, b);
}

struct value jinja_negate(struct run *r, struct value v)
{
    if (v.kind == V_FLOAT)
        return jinja_float(-v.d);
    if (jinja_is_integer(v))
        return jinja_big_negate(r, v);
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    return jinja_fail(r, "bad operand type for unary -: '%s'", jinja_type(v));
}

bool jinja_relation(struct run *r, enum op op, struct value a, struct value b)
{
    static const char *const names[] = { "==", "!=", "<", "<=", ">", ">=" };
    int order;

    if (r->failed)
        return false;
    if (op == OP_EQ || op == OP_NE)
        return jinja_equal(r, a, b) == (op == OP_EQ);
    if (op == OP_IN || op == OP_NOTIN)
        return jinja_contains(r, b, a) == (op == OP_IN);
    order = jinja_compare(r, a, b, names[op - OP_EQ]);
    if (order == 2)
        return false;
    return op == OP_LT   ? order < 0
           : op == OP_LE ? order <= 0
           : op == OP_GT ? order > 0
                         : order >= 0;
}

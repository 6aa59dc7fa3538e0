/* jinja_tests.c - what may stand behind "is", and in select and its kin */
#include "jinja/jinja_private.h"

#include <string.h>

#define TEST(name)                                                             \
    static struct value name(struct run *r, struct value self, struct value *a)

/* Tests that look at the kind of the value alone. */
#define KIND_TEST(name, condition)                                             \
    TEST(name)                                                                 \
    {                                                                          \
        (void)r;                                                               \
        (void)a;                                                               \
        return jinja_bool(condition);                                          \
    }

KIND_TEST(t_defined, self.kind != V_UNDEFINED)
KIND_TEST(t_undefined, self.kind == V_UNDEFINED)
KIND_TEST(t_none, self.kind == V_NONE)
KIND_TEST(t_string, self.kind == V_STRING)
KIND_TEST(t_mapping, self.kind == V_DICT)
KIND_TEST(t_number, jinja_is_number(self))
KIND_TEST(t_integer, self.kind == V_INT || self.kind == V_BIG)
KIND_TEST(t_float, self.kind == V_FLOAT)
KIND_TEST(t_boolean, self.kind == V_BOOL)
KIND_TEST(t_true, self.kind == V_BOOL && self.b)
KIND_TEST(t_false, self.kind == V_BOOL && !self.b)
KIND_TEST(t_escaped, self.kind == V_STRING && self.safe)
KIND_TEST(t_callable, self.kind == V_UNDEFINED || self.kind == V_MACRO ||
                          self.kind == V_FUNCTION || self.kind == V_METHOD ||
                          self.kind == V_LOOP || self.kind == V_JOINER)
KIND_TEST(t_sequence, self.kind == V_STRING || self.kind == V_LIST ||
                          self.kind == V_TUPLE || self.kind == V_DICT ||
                          self.kind == V_RANGE || self.kind == V_UNDEFINED)
KIND_TEST(t_iterable, jinja_length(self) >= 0 || self.kind == V_GENERATOR)

/* self modulo n; fails where it is no number. */
static struct value modulo(struct run *r, struct value self, struct value n)
{
    return jinja_binary(r, OP_MOD, self, n);
}

TEST(t_odd)
{
    (void)a;
    return jinja_bool(
        jinja_equal(r, modulo(r, self, jinja_int(2)), jinja_int(1)));
}

TEST(t_even)
{
    (void)a;
    return jinja_bool(
        jinja_equal(r, modulo(r, self, jinja_int(2)), jinja_int(0)));
}

TEST(t_divisible)
{
    return jinja_bool(jinja_equal(r, modulo(r, self, a[0]), jinja_int(0)));
}

TEST(t_eq)
{
    return jinja_bool(jinja_relation(r, OP_EQ, self, a[0]));
}

TEST(t_ne)
{
    return jinja_bool(jinja_relation(r, OP_NE, self, a[0]));
}

TEST(t_lt)
{
    return jinja_bool(jinja_relation(r, OP_LT, self, a[0]));
}

TEST(t_le)
{
    return jinja_bool(jinja_relation(r, OP_LE, self, a[0]));
}

TEST(t_gt)
{
    return jinja_bool(jinja_relation(r, OP_GT, self, a[0]));
}

TEST(t_ge)
{
    return jinja_bool(jinja_relation(r, OP_GE, self, a[0]));
}

TEST(t_in)
{
    return jinja_bool(jinja_contains(r, a[0], self));
}

TEST(t_sameas)
{
    bool same = self.kind == a[0].kind;

    (void)r;
    if (same && self.kind == V_BOOL)
        same = self.b == a[0].b;
    else if (same && self.kind != V_NONE)
        same = self.m == a[0].m;
    return jinja_bool(same);
}

static struct value text_method(struct run *r, struct value self,
                                const char *name)
{
    struct value text = jinja_to_string(r, self);
    struct arguments none = { 0 };

    if (r->failed)
        return text;
    return jinja_call_function(r, jinja_method_find(text, slice_of(name)), text,
                               &none);
}

TEST(t_lower)
{
    (void)a;
    return text_method(r, self, "islower");
}

TEST(t_upper)
{
    (void)a;
    return text_method(r, self, "isupper");
}

TEST(t_filter)
{
    (void)r;
    (void)a;
    return jinja_bool(self.kind == V_STRING &&
                      jinja_filter_find(jinja_bytes(self)));
}

TEST(t_test)
{
    (void)r;
    (void)a;
    return jinja_bool(self.kind == V_STRING &&
                      jinja_test_find(jinja_bytes(self)));
}

static const struct function tests[] = {
    { "defined", "", t_defined, 0 },
    { "undefined", "", t_undefined, 0 },
    { "none", "", t_none, 0 },
    { "string", "", t_string, 0 },
    { "mapping", "", t_mapping, 0 },
    { "iterable", "", t_iterable, 0 },
    { "sequence", "", t_sequence, 0 },
    { "number", "", t_number, 0 },
    { "integer", "", t_integer, 0 },
    { "float", "", t_float, 0 },
    { "boolean", "", t_boolean, 0 },
    { "true", "", t_true, 0 },
    { "false", "", t_false, 0 },
    { "escaped", "", t_escaped, 0 },
    { "callable", "", t_callable, 0 },
    { "odd", "", t_odd, 0 },
    { "even", "", t_even, 0 },
    { "divisibleby", "num", t_divisible, 0 },
    { "eq", "other", t_eq, 0 },
    { "==", "other", t_eq, 0 },
    { "equalto", "other", t_eq, 0 },
    { "ne", "other", t_ne, 0 },
    { "!=", "other", t_ne, 0 },
    { "lt", "other", t_lt, 0 },
    { "<", "other", t_lt, 0 },
    { "lessthan", "other", t_lt, 0 },
    { "le", "other", t_le, 0 },
    { "<=", "other", t_le, 0 },
    { "gt", "other", t_gt, 0 },
    { ">", "other", t_gt, 0 },
    { "greaterthan", "other", t_gt, 0 },
    { "ge", "other", t_ge, 0 },
    { ">=", "other", t_ge, 0 },
    { "in", "seq", t_in, 0 },
    { "sameas", "other", t_sameas, 0 },
    { "lower", "", t_lower, 0 },
    { "upper", "", t_upper, 0 },
    { "filter", "", t_filter, 0 },
    { "test", "", t_test, 0 },
};

const struct function *jinja_test_find(struct slice name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (slice_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}

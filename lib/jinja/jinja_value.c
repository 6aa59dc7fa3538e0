/*
 * jinja_value.c - making values, and what Python does with all of them
 *
 * Truth, equality, order, length and iteration are Python's; undefined is
 * jinja2's: false, empty, and an error wherever else it is used.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *jinja_alloc(struct run *r, size_t n)
{
    if (r->mem.used + n > JINJA_MAX_MEMORY)
        jinja_limit(r, "bytes of values");
    return jinja_arena_alloc(&r->mem, n);
}

struct value jinja_fail(struct run *r, const char *fmt, ...)
{
    char what[512];
    va_list ap;

    if (r->failed)
        return jinja_none();
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    r->failed = true;
    (void)err_set(r->err, ERR_FORMAT, "line %u: %s", r->line, what);
    return jinja_none();
}

struct value jinja_limit(struct run *r, const char *what)
{
    if (!r->failed) {
        r->failed = true;
        (void)err_set(r->err, ERR_LIMIT, "line %u: too many %s", r->line, what);
    }
    return jinja_none();
}

bool jinja_step(struct run *r, uint64_t n)
{
    r->steps += n;
    if (r->steps > JINJA_MAX_STEPS)
        jinja_limit(r, "steps: does a loop not end?");
    return !r->failed;
}

struct value jinja_none(void)
{
    return (struct value){ .kind = V_NONE };
}

struct value jinja_bool(bool b)
{
    return (struct value){ .kind = V_BOOL, .b = b };
}

struct value jinja_int(int64_t i)
{
    return (struct value){ .kind = V_INT, .i = i };
}

struct value jinja_float(double d)
{
    return (struct value){ .kind = V_FLOAT, .d = d };
}

struct value jinja_slice(struct run *r, struct slice s)
{
    struct string *v = jinja_alloc(r, sizeof(*v));

    *v = (struct string){ s.p ? s.p : "", s.n, CHARS_UNKNOWN };
    return (struct value){ .kind = V_STRING, .s = v };
}

struct value jinja_text(struct run *r, const char *s)
{
    return jinja_slice(r, slice_of(s));
}

struct value jinja_take(struct run *r, struct buf *b)
{
    char *copy;
    size_t n = b->len;

    if (b->overflow || n > JINJA_MAX_STRING) {
        buf_release(b);
        return jinja_limit(r, "bytes in one text");
    }
    copy = jinja_alloc(r, n + 1);
    if (n)
        memcpy(copy, b->data, n);
    buf_release(b);
    return jinja_slice(r, (struct slice){ copy, n });
}

struct value jinja_list(struct run *r, enum value_kind kind, size_t n)
{
    struct list *l = jinja_alloc(r, sizeof(*l));

    l->cap = n;
    l->v = n ? jinja_alloc(r, n * sizeof(*l->v)) : NULL;
    return (struct value){ .kind = (uint8_t)kind, .l = l };
}

void jinja_list_add(struct run *r, struct list *l, struct value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct value *more = jinja_alloc(r, cap * sizeof(*more));

        if (l->n)
            memcpy(more, l->v, l->n * sizeof(*more));
        l->v = more;
        l->cap = cap;
    }
    l->v[l->n++] = v;
}

struct value jinja_pair(struct run *r, struct value a, struct value b)
{
    struct value t = jinja_list(r, V_TUPLE, 2);

    jinja_list_add(r, t.l, a);
    jinja_list_add(r, t.l, b);
    return t;
}

struct value jinja_dict(struct run *r)
{
    return (struct value){ .kind = V_DICT,
                           .m = jinja_alloc(r, sizeof(struct dict)) };
}

struct value jinja_generator(struct run *r, const struct list *items)
{
    struct generator *g = jinja_alloc(r, sizeof(*g));

    g->items = *items;
    return (struct value){ .kind = V_GENERATOR, .gen = g };
}

struct value jinja_undefined(struct run *r, const char *fmt, ...)
{
    struct undefined *u = jinja_alloc(r, sizeof(*u));
    char what[200];
    char *copy;
    size_t n;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    n = strlen(what);
    copy = jinja_alloc(r, n + 1);
    memcpy(copy, what, n);
    u->message = copy;
    return (struct value){ .kind = V_UNDEFINED, .undef = u };
}

struct slice jinja_bytes(struct value v)
{
    return (struct slice){ v.s->p, v.s->n };
}

size_t jinja_chars(struct value v)
{
    if (v.s->chars == CHARS_UNKNOWN)
        v.s->chars = jinja_count_chars(jinja_bytes(v));
    return v.s->chars;
}

bool jinja_is_absent(struct value v)
{
    return v.kind == V_ABSENT;
}

bool jinja_is_missing(struct value v)
{
    return v.kind == V_ABSENT || v.kind == V_NONE;
}

bool jinja_is_integer(struct value v)
{
    return v.kind == V_BOOL || v.kind == V_INT || v.kind == V_BIG;
}

bool jinja_is_number(struct value v)
{
    return jinja_is_integer(v) || v.kind == V_FLOAT;
}

const char *jinja_type(struct value v)
{
    static const char *const names[] = {
        [V_ABSENT] = "NoneType",
        [V_UNDEFINED] = "Undefined",
        [V_NONE] = "NoneType",
        [V_BOOL] = "bool",
        [V_INT] = "int",
        [V_BIG] = "int",
        [V_FLOAT] = "float",
        [V_STRING] = "str",
        [V_LIST] = "list",
        [V_TUPLE] = "tuple",
        [V_DICT] = "dict",
        [V_NAMESPACE] = "namespace",
        [V_RANGE] = "range",
        [V_KEYS] = "dict_keys",
        [V_VALUES] = "dict_values",
        [V_ITEMS] = "dict_items",
        [V_GENERATOR] = "generator",
        [V_MACRO] = "macro",
        [V_FUNCTION] = "function",
        [V_METHOD] = "builtin_function_or_method",
        [V_LOOP] = "loop",
        [V_CYCLER] = "cycler",
        [V_JOINER] = "joiner",
    };

    return names[v.kind];
}

static int64_t range_length(const struct range *g)
{
    if (g->step > 0)
        return g->stop > g->start ? (g->stop - g->start - 1) / g->step + 1 : 0;
    return g->start > g->stop ? (g->start - g->stop - 1) / -g->step + 1 : 0;
}

struct value jinja_range_at(const struct range *g, int64_t i)
{
    return jinja_int(g->start + i * g->step);
}

int64_t jinja_length(struct value v)
{
    switch ((enum value_kind)v.kind) {
    case V_UNDEFINED: return 0;
    case V_STRING: return (int64_t)jinja_chars(v);
    case V_LIST:
    case V_TUPLE: return (int64_t)v.l->n;
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: return (int64_t)v.m->n;
    case V_RANGE: return range_length(v.range);
    case V_LOOP: return (int64_t)v.loop->items.n;
    default: return -1;
    }
}

bool jinja_true(struct value v)
{
    switch ((enum value_kind)v.kind) {
    case V_ABSENT:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.b;
    case V_INT: return v.i != 0;
    case V_FLOAT: return v.d < 0 || v.d > 0 || isnan(v.d);
    case V_STRING: return v.s->n > 0;
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS:
    case V_RANGE: return jinja_length(v) > 0;
    default: return true;
    }
}

static bool numbers_equal(struct run *r, struct value a, struct value b)
{
    if (a.kind == V_FLOAT || b.kind == V_FLOAT) {
        double x = jinja_double(a), y = jinja_double(b);

        return x <= y && x >= y;
    }
    return jinja_big_compare(r, a, b) == 0;
}

static bool enter(struct run *r)
{
    if (++r->nesting > JINJA_MAX_DEPTH)
        jinja_limit(r, "lists within lists");
    return jinja_step(r, 1);
}

static bool lists_equal(struct run *r, const struct list *a,
                        const struct list *b)
{
    bool same = a->n == b->n;

    if (!enter(r))
        same = false;
    for (size_t i = 0; same && i < a->n; i++)
        same = jinja_equal(r, a->v[i], b->v[i]);
    r->nesting--;
    return same;
}

static bool dicts_equal(struct run *r, const struct dict *a,
                        const struct dict *b)
{
    bool same = a->n == b->n;

    if (!enter(r))
        same = false;
    for (size_t i = 0; same && i < a->n; i++) {
        const struct value *v = jinja_dict_get(r, b, a->e[i].key);

        same = v && jinja_equal(r, a->e[i].value, *v);
    }
    r->nesting--;
    return same;
}

bool jinja_equal(struct run *r, struct value a, struct value b)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return numbers_equal(r, a, b);
    if (a.kind != b.kind)
        return false;
    switch ((enum value_kind)a.kind) {
    case V_UNDEFINED:
    case V_NONE:
    case V_ABSENT: return true;
    case V_STRING: return slice_eq(jinja_bytes(a), jinja_bytes(b));
    case V_LIST:
    case V_TUPLE: return lists_equal(r, a.l, b.l);
    case V_DICT: return dicts_equal(r, a.m, b.m);
    case V_RANGE:
        return range_length(a.range) == range_length(b.range) &&
               (!range_length(a.range) || (a.range->start == b.range->start &&
                                           (range_length(a.range) == 1 ||
                                            a.range->step == b.range->step)));
    default: return a.m == b.m;
    }
}

static int compare_lists(struct run *r, const struct list *a,
                         const struct list *b, const char *op)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int order = 0;

    if (enter(r)) {
        for (size_t i = 0; i < n && !order && !r->failed; i++)
            if (!jinja_equal(r, a->v[i], b->v[i]))
                order = jinja_compare(r, a->v[i], b->v[i], op);
    }
    r->nesting--;
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

int jinja_compare(struct run *r, struct value a, struct value b, const char *op)
{
    if (jinja_is_integer(a) && jinja_is_integer(b))
        return jinja_big_compare(r, a, b);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        double x = jinja_double(a), y = jinja_double(b);

        return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
    }
    if (a.kind == V_STRING && b.kind == V_STRING) {
        int c = slice_cmp(jinja_bytes(a), jinja_bytes(b));

        return (c > 0) - (c < 0);
    }
    if (a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE))
        return compare_lists(r, a.l, b.l, op);
    if (a.kind == V_UNDEFINED || b.kind == V_UNDEFINED)
        jinja_fail(r, "%s", (a.kind == V_UNDEFINED ? a : b).undef->message);
    else
        jinja_fail(r, "'%s' not supported between instances of '%s' and '%s'",
                   op, jinja_type(a), jinja_type(b));
    return 0;
}

static bool text_contains(struct run *r, struct value text, struct value x)
{
    if (x.kind != V_STRING) {
        jinja_fail(r, "'in <string>' requires string as left operand, not %s",
                   jinja_type(x));
        return false;
    }
    return x.s->n == 0 ||
           (text.s->n && memmem(text.s->p, text.s->n, x.s->p, x.s->n));
}

bool jinja_contains(struct run *r, struct value container, struct value x)
{
    struct list l;

    if (container.kind == V_STRING)
        return text_contains(r, container, x);
    if (container.kind == V_DICT || container.kind == V_KEYS)
        return jinja_hashable(r, x) &&
               jinja_dict_get(r, container.m, x) != NULL;
    if (container.kind == V_NONE || jinja_is_number(container)) {
        jinja_fail(r, "argument of type '%s' is not iterable",
                   jinja_type(container));
        return false;
    }
    l = jinja_items(r, container);
    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++)
        if (jinja_equal(r, l.v[i], x))
            return true;
    return false;
}

static void dict_items(struct run *r, struct value v, struct list *out)
{
    for (size_t i = 0; i < v.m->n && jinja_step(r, 1); i++) {
        const struct entry *e = &v.m->e[i];

        jinja_list_add(r, out,
                       v.kind == V_VALUES  ? e->value
                       : v.kind == V_ITEMS ? jinja_pair(r, e->key, e->value)
                                           : e->key);
    }
}

static void text_items(struct run *r, struct value v, struct list *out)
{
    struct slice rest = jinja_bytes(v);

    while (rest.n && jinja_step(r, 1)) {
        struct slice c = rest;

        (void)jinja_next_char(&rest);
        c.n -= rest.n;
        jinja_list_add(r, out, jinja_slice(r, c));
    }
}

static struct list generator_items(struct run *r, struct generator *g)
{
    struct list out = g->items;

    if (out.n) {
        out.v += g->at;
        out.n -= g->at;
    }
    g->at = g->items.n;
    if (g->error) {
        const char *why = g->error;

        g->error = NULL;
        jinja_fail(r, "%s", why);
    }
    return out;
}

struct list jinja_items(struct run *r, struct value v)
{
    struct list out = { 0 };

    switch ((enum value_kind)v.kind) {
    case V_LIST:
    case V_TUPLE: return *v.l;
    case V_LOOP:
        out.v = v.loop->items.v;
        out.n = v.loop->items.n;
        break;
    case V_UNDEFINED: break;
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: dict_items(r, v, &out); break;
    case V_STRING: text_items(r, v, &out); break;
    case V_GENERATOR: return generator_items(r, v.gen);
    case V_RANGE:
        for (int64_t i = 0; i < range_length(v.range) && jinja_step(r, 1); i++)
            jinja_list_add(r, &out, jinja_range_at(v.range, i));
        break;
    default: jinja_fail(r, "'%s' object is not iterable", jinja_type(v));
    }
    return out;
}

/* The byte at which character i begins. */
static size_t byte_of(struct slice s, size_t i)
{
    size_t at = 0;

    while (i && at < s.n) {
        at++;
        while (at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80)
            at++;
        i--;
    }
    return at;
}

struct value jinja_substring(struct run *r, struct value s, size_t from,
                             size_t to)
{
    struct slice b = jinja_bytes(s), part;
    struct value v;

    if (jinja_chars(s) == b.n) {
        part = (struct slice){ b.p + from, to - from };
    } else {
        size_t begin = byte_of(b, from);
        struct slice rest = { b.p + begin, b.n - begin };

        part = (struct slice){ rest.p, byte_of(rest, to - from) };
    }
    v = jinja_slice(r, part);
    v.safe = s.safe;
    return v;
}

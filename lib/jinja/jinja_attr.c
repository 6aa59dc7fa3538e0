/*
 * jinja_attr.c - attributes, items and slices
 *
 * a.b asks for the attribute first and then for the item, a['b'] the other way
 * round. What would change an object, and names that begin with "__", are
 * undefined, as in jinja2's immutable sandbox.
 */
#include "jinja/jinja_private.h"

#include <string.h>

static struct value missing(struct run *r, struct value v, struct slice name)
{
    const char *type = v.kind == V_NONE ? "None" : jinja_type(v);

    if (v.kind == V_NONE)
        return jinja_undefined(r, "'None' has no attribute '%.*s'", (int)name.n,
                               name.p);
    return jinja_undefined(r, "'%s object' has no attribute '%.*s'", type,
                           (int)name.n, name.p);
}

static struct value loop_attr(struct run *r, struct loop *l, struct slice name)
{
    int64_t at = (int64_t)l->at, n = (int64_t)l->items.n;

    if (slice_is(name, "index"))
        return jinja_int(at + 1);
    if (slice_is(name, "index0"))
        return jinja_int(at);
    if (slice_is(name, "revindex"))
        return jinja_int(n - at);
    if (slice_is(name, "revindex0"))
        return jinja_int(n - at - 1);
    if (slice_is(name, "first"))
        return jinja_bool(at == 0);
    if (slice_is(name, "last"))
        return jinja_bool(at + 1 == n);
    if (slice_is(name, "length"))
        return jinja_int(n);
    if (slice_is(name, "depth"))
        return jinja_int(l->depth);
    if (slice_is(name, "depth0"))
        return jinja_int((int64_t)l->depth - 1);
    if (slice_is(name, "previtem"))
        return at ? l->items.v[at - 1]
                  : jinja_undefined(r, "there is no previous item");
    if (slice_is(name, "nextitem"))
        return at + 1 < n ? l->items.v[at + 1]
                          : jinja_undefined(r, "there is no next item");
    return (struct value){ .kind = V_ABSENT };
}

static struct value macro_attr(struct run *r, const struct macro *m,
                               struct slice name)
{
    if (slice_is(name, "name"))
        return jinja_slice(r, map_key(r->t->names, m->node->name));
    if (slice_is(name, "catch_kwargs"))
        return jinja_bool(m->node->flags & USES_KWARGS);
    if (slice_is(name, "catch_varargs"))
        return jinja_bool(m->node->flags & USES_VARARGS);
    if (slice_is(name, "caller"))
        return jinja_bool(m->node->flags & USES_CALLER);
    return (struct value){ .kind = V_ABSENT };
}

static struct value number_attr(struct value v, struct slice name)
{
    if (v.kind == V_BOOL)
        v = jinja_int(v.b);
    if (slice_is(name, "real") ||
        (v.kind != V_FLOAT && slice_is(name, "numerator")))
        return v;
    if (slice_is(name, "imag"))
        return v.kind == V_FLOAT ? jinja_float(0) : jinja_int(0);
    if (v.kind != V_FLOAT && slice_is(name, "denominator"))
        return jinja_int(1);
    return (struct value){ .kind = V_ABSENT };
}

/* An attribute in Python's sense; V_ABSENT: none. */
static struct value own_attr(struct run *r, struct value v, struct slice name)
{
    struct value out = { .kind = V_ABSENT };
    const struct function *fn;
    struct method *m;

    if (v.kind == V_NAMESPACE) {
        struct value *p = jinja_dict_find(r, v.m, name);

        return p ? *p : out;
    }
    if (v.kind == V_LOOP)
        out = loop_attr(r, v.loop, name);
    else if (v.kind == V_MACRO)
        out = macro_attr(r, v.macro, name);
    else if (jinja_is_number(v))
        out = number_attr(v, name);
    if (!jinja_is_absent(out))
        return out;
    if (v.kind == V_TUPLE && v.l->group &&
        (slice_is(name, "grouper") || slice_is(name, "list")))
        return v.l->v[slice_is(name, "list")];
    if (v.kind == V_CYCLER && slice_is(name, "current"))
        return v.cycler->items.v[v.cycler->at % v.cycler->items.n];
    fn = jinja_method_find(v, name);
    if (!fn)
        return out;
    m = jinja_alloc(r, sizeof(*m));
    *m = (struct method){ v, fn };
    return (struct value){ .kind = V_METHOD, .method = m };
}

static bool is_unsafe(struct run *r, struct value v, struct slice name,
                      struct value *out)
{
    if (!slice_starts(name, "__") && !jinja_method_is_unsafe(v, name))
        return false;
    *out = jinja_undefined(
        r, "access to attribute '%.*s' of '%s' object is unsafe.", (int)name.n,
        name.p, jinja_type(v));
    return true;
}

struct value jinja_getattr(struct run *r, struct value v, struct slice name)
{
    struct value out, *item;

    if (r->failed)
        return v;
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    out = own_attr(r, v, name);
    if (!jinja_is_absent(out))
        return out;
    if (v.kind == V_DICT) {
        item = jinja_dict_find(r, v.m, name);
        if (item)
            return *item;
    }
    return is_unsafe(r, v, name, &out) ? out : missing(r, v, name);
}

/* Item i of n; negative ones count from the end. */
static bool wrap_index(int64_t i, size_t n, size_t *out)
{
    if (i < 0)
        i += (int64_t)n;
    *out = (size_t)i;
    return i >= 0 && (uint64_t)i < n;
}

static struct value at_index(struct run *r, struct value v, int64_t i)
{
    int64_t n = jinja_length(v);
    size_t at;

    if (!wrap_index(i, (size_t)n, &at))
        return jinja_undefined(r, "%s object has no element %lld",
                               jinja_type(v), (long long)i);
    if (v.kind == V_STRING)
        return jinja_substring(r, v, at, at + 1);
    if (v.kind == V_RANGE)
        return jinja_range_at(v.range, (int64_t)at);
    return v.l->v[at];
}

struct value jinja_getitem(struct run *r, struct value v, struct value key)
{
    bool sequence = v.kind == V_LIST || v.kind == V_TUPLE ||
                    v.kind == V_STRING || v.kind == V_RANGE;
    struct value out, *item = NULL;
    struct buf shown = { 0 };
    int64_t i;

    if (r->failed)
        return v;
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    if (sequence && jinja_is_integer(key))
        return jinja_index(r, key, &i) ? at_index(r, v, i) : v;
    if (v.kind == V_DICT && key.kind != V_LIST && key.kind != V_DICT)
        item = jinja_dict_get(r, v.m, key);
    if (item)
        return *item;
    if (key.kind == V_STRING) {
        out = own_attr(r, v, jinja_bytes(key));
        if (!jinja_is_absent(out) || is_unsafe(r, v, jinja_bytes(key), &out))
            return out;
        return missing(r, v, jinja_bytes(key));
    }
    buf_init(&shown, 4096);
    jinja_repr(r, key, &shown);
    out = jinja_undefined(r, "%s object has no element %s", jinja_type(v),
                          shown.data ? shown.data : "");
    buf_release(&shown);
    return out;
}

static bool slice_bound(struct run *r, struct value v, int64_t n, int64_t low,
                        int64_t high, int64_t *out)
{
    if (jinja_is_missing(v))
        return true;
    if (!jinja_is_integer(v)) {
        jinja_fail(r, "slice indices must be integers or None or have an "
                      "__index__ method");
        return false;
    }
    (void)jinja_index(r, v, out);
    *out += *out < 0 ? n : 0;
    *out = *out < low ? low : *out > high ? high : *out;
    return true;
}

static struct value slice_of_range(struct run *r, const struct range *g,
                                   int64_t from, int64_t to, int64_t step)
{
    struct range *out = jinja_alloc(r, sizeof(*out));

    *out = (struct range){ g->start + from * g->step, g->start + to * g->step,
                           g->step * step };
    return (struct value){ .kind = V_RANGE, .range = out };
}

static struct value slice_items(struct run *r, struct value v, int64_t from,
                                int64_t to, int64_t step)
{
    struct value out = { .kind = V_NONE };
    struct list chars;
    struct buf b;

    if (v.kind == V_STRING && step == 1)
        return jinja_substring(r, v, (size_t)from,
                               (size_t)(to < from ? from : to));
    if (v.kind == V_RANGE)
        return slice_of_range(r, v.range, from, to, step);
    if (v.kind != V_STRING)
        out = jinja_list(r, v.kind, 0);
    chars = jinja_items(r, v);
    buf_init(&b, JINJA_MAX_STRING);
    for (int64_t i = from; (step > 0 ? i < to : i > to) && jinja_step(r, 1);
         i += step) {
        if (v.kind == V_STRING)
            buf_add_slice(&b, jinja_bytes(chars.v[i]));
        else
            jinja_list_add(r, out.l, chars.v[i]);
    }
    if (v.kind == V_STRING) {
        out = jinja_take(r, &b);
        out.safe = v.safe;
    }
    buf_release(&b);
    return out;
}

struct value jinja_getslice(struct run *r, struct value v, struct value from,
                            struct value to, struct value step)
{
    int64_t n = jinja_length(v), by = 1, a, b;

    if (r->failed)
        return v;
    if (v.kind == V_UNDEFINED)
        return jinja_fail(r, "%s", v.undef->message);
    if (v.kind == V_DICT)
        return jinja_fail(r, "unhashable type: 'slice'");
    if (v.kind != V_STRING && v.kind != V_LIST && v.kind != V_TUPLE &&
        v.kind != V_RANGE)
        return jinja_fail(r, "'%s' object is not subscriptable", jinja_type(v));
    if (!jinja_is_missing(step) &&
        !slice_bound(r, step, 0, -INT32_MAX, INT32_MAX, &by))
        return v;
    if (by == 0)
        return jinja_fail(r, "slice step cannot be zero");
    a = by > 0 ? 0 : n - 1;
    b = by > 0 ? n : -1;
    if (!slice_bound(r, from, n, by > 0 ? 0 : -1, by > 0 ? n : n - 1, &a) ||
        !slice_bound(r, to, n, by > 0 ? 0 : -1, by > 0 ? n : n - 1, &b))
        return v;
    return slice_items(r, v, a, b, by);
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n < 10;
}

struct value jinja_getpath(struct run *r, struct value v, struct value path)
{
    struct slice rest;

    if (path.kind != V_STRING)
        return jinja_getitem(r, v, path);
    rest = jinja_bytes(path);
    for (;;) {
        const char *dot = rest.n ? memchr(rest.p, '.', rest.n) : NULL;
        struct slice part = { rest.p, dot ? (size_t)(dot - rest.p) : rest.n };
        int64_t i = 0;

        for (size_t k = 0; k < part.n && all_digits(part); k++)
            i = i * 10 + (part.p[k] - '0');
        v = jinja_getitem(
            r, v, all_digits(part) ? jinja_int(i) : jinja_slice(r, part));
        if (!dot || r->failed)
            return v;
        rest.n -= part.n + 1;
        rest.p = dot + 1;
    }
}

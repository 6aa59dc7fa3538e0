/*
 * jinja_call.c - calls: parameters to places, and the global functions
 *
 * Built-in functions name their parameters in a text, so that one place binds
 * positional and named arguments and finds the wrong ones.
 */
#include "jinja/jinja_private.h"

#include <stdio.h>
#include <string.h>

/* The next name of "a,b|c,d*"; false at its end. */
static bool next_parameter(const char **at, bool *optional, struct slice *name)
{
    const char *p = *at;
    size_t n;

    if (*p == '|') {
        *optional = true;
        p++;
    }
    p += *p == ',';
    n = strcspn(p, ",|*");
    *name = (struct slice){ p, n };
    *at = p + n;
    return n > 0;
}

static const struct value *keyword_of(const struct arguments *args,
                                      struct slice name)
{
    for (size_t i = 0; i < args->kw_count; i++)
        if (slice_eq(args->kw[i].name, name))
            return &args->kw[i].v;
    return NULL;
}

static bool bind(struct run *r, const struct function *fn,
                 const struct arguments *args, struct value *a)
{
    const char *at = fn->params;
    bool optional = false;
    struct slice name;
    size_t n = 0, named = 0;

    for (; next_parameter(&at, &optional, &name) && !r->failed; n++) {
        const struct value *kw = keyword_of(args, name);

        a[n] = n < args->n ? args->v[n]
               : kw        ? *kw
                           : (struct value){ .kind = V_ABSENT };
        if (kw && n < args->n)
            jinja_fail(r, "%s() got two values for '%.*s'", fn->name,
                       (int)name.n, name.p);
        else if (!optional && jinja_is_absent(a[n]))
            jinja_fail(r, "%s() misses its argument '%.*s'", fn->name,
                       (int)name.n, name.p);
        named += kw != NULL;
    }
    if (*at != '*' && (args->n > n || named < args->kw_count))
        jinja_fail(r, "%s() was given arguments that it does not take",
                   fn->name);
    return !r->failed;
}

struct value jinja_call_function(struct run *r, const struct function *fn,
                                 struct value self,
                                 const struct arguments *args)
{
    struct value a[MAX_PARAMETERS + 1];
    const struct arguments *outer = r->args;
    struct value out;

    for (unsigned i = 0; i <= MAX_PARAMETERS; i++)
        a[i] = (struct value){ .kind = V_ABSENT };
    if (r->failed || !jinja_step(r, 1) || !bind(r, fn, args, a))
        return jinja_none();
    r->args = args;
    out = fn->call(r, self, a);
    r->args = outer;
    return out;
}

struct value jinja_call(struct run *r, struct value fn,
                        const struct arguments *args)
{
    if (r->failed)
        return fn;
    switch ((enum value_kind)fn.kind) {
    case V_UNDEFINED: return jinja_fail(r, "%s", fn.undef->message);
    case V_MACRO: return jinja_macro_call(r, fn.macro, args);
    case V_FUNCTION: return jinja_call_function(r, fn.fn, jinja_none(), args);
    case V_METHOD:
        return jinja_call_function(r, fn.method->fn, fn.method->self, args);
    case V_LOOP:
        if (args->n != 1)
            return jinja_fail(r, "loop() takes one argument");
        return jinja_loop_call(r, fn.loop, args->v[0]);
    case V_JOINER:
        return fn.cycler->at++ ? fn.cycler->items.v[0] : jinja_text(r, "");
    default:
        return jinja_fail(r, "'%s' object is not callable", jinja_type(fn));
    }
}

static struct value fn_range(struct run *r, struct value self, struct value *a)
{
    struct range *g = jinja_alloc(r, sizeof(*g));
    struct value v = { .kind = V_RANGE, .range = g };

    (void)self;
    *g = (struct range){ 0, 0, 1 };
    if (!jinja_index(r, a[0], jinja_is_absent(a[1]) ? &g->stop : &g->start) ||
        (!jinja_is_absent(a[1]) && !jinja_index(r, a[1], &g->stop)) ||
        (!jinja_is_absent(a[2]) && !jinja_index(r, a[2], &g->step)))
        return v;
    if (g->step == 0)
        return jinja_fail(r, "range() arg 3 must not be zero");
    if (g->start < INT64_MIN / 4 || g->start > INT64_MAX / 4 ||
        g->stop < INT64_MIN / 4 || g->stop > INT64_MAX / 4 ||
        g->step < INT64_MIN / 4 || g->step > INT64_MAX / 4 ||
        jinja_length(v) > JINJA_MAX_RANGE)
        return jinja_fail(r,
                          "Range too big. The sandbox blocks ranges larger "
                          "than MAX_RANGE (%d).",
                          JINJA_MAX_RANGE);
    return v;
}

/* The pairs or the dict that dict() and namespace() take. */
static void fill_dict(struct run *r, struct dict *m, struct value from)
{
    struct list l;

    if (jinja_is_absent(from))
        return;
    if (from.kind == V_DICT) {
        for (size_t i = 0; i < from.m->n && jinja_step(r, 1); i++)
            jinja_dict_put(r, m, from.m->e[i].key, from.m->e[i].value);
        return;
    }
    l = jinja_items(r, from);
    for (size_t i = 0; i < l.n && !r->failed; i++) {
        struct list pair = jinja_items(r, l.v[i]);

        if (pair.n != 2)
            jinja_fail(r, "an element of the sequence has no length of 2");
        else
            jinja_dict_put(r, m, pair.v[0], pair.v[1]);
    }
}

static void fill_keywords(struct run *r, struct dict *m)
{
    for (size_t i = 0; i < r->args->kw_count && !r->failed; i++)
        jinja_dict_put(r, m, jinja_slice(r, r->args->kw[i].name),
                       r->args->kw[i].v);
}

static struct value fn_dict(struct run *r, struct value self, struct value *a)
{
    struct value v = jinja_dict(r);

    (void)self;
    fill_dict(r, v.m, a[0]);
    fill_keywords(r, v.m);
    return v;
}

static struct value fn_namespace(struct run *r, struct value self,
                                 struct value *a)
{
    struct value v = fn_dict(r, self, a);

    for (size_t i = 0; !r->failed && i < v.m->n; i++)
        if (v.m->e[i].key.kind == V_STRING &&
            slice_starts(jinja_bytes(v.m->e[i].key), "_"))
            return jinja_fail(r, "a namespace cannot hold names that begin "
                                 "with an underscore");
    v.kind = V_NAMESPACE;
    return v;
}

static struct value fn_raise(struct run *r, struct value self, struct value *a)
{
    struct value text = jinja_to_string(r, a[0]);

    (void)self;
    if (r->failed)
        return text;
    return jinja_fail(r, "%.*s", (int)text.s->n, text.s->p);
}

/* The format for a time without a zone, as datetime has it: the zone is
 * empty, and there are microseconds. */
static bool naive_format(struct slice s, char *out, size_t size)
{
    size_t n = 0;

    while (s.n && n + 7 < size) {
        bool two = *s.p == '%' && s.n > 1;

        if (two && s.p[1] == 'f') {
            memcpy(out + n, "000000", 6);
            n += 6;
        } else if (!two || (s.p[1] != 'z' && s.p[1] != 'Z')) {
            memcpy(out + n, s.p, 1 + two);
            n += 1 + two;
        }
        s.p += 1 + two;
        s.n -= 1 + two;
    }
    out[n] = '\0';
    return s.n == 0;
}

static struct value fn_strftime(struct run *r, struct value self,
                                struct value *a)
{
    struct tm tm = { .tm_mday = 1, .tm_year = 70 };
    char out[2048], format[1024];
    struct buf b = { 0 };
    size_t n;

    (void)self;
    if (a[0].kind != V_STRING ||
        !naive_format(jinja_bytes(a[0]), format, sizeof(format)))
        return jinja_fail(r, "strftime_now: the format is a short text");
    if (r->now)
        tm = *r->now;
    tm.tm_zone = "";
    tm.tm_gmtoff = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    n = strftime(out, sizeof(out), format, &tm);
#pragma GCC diagnostic pop
    buf_add(&b, out, n);
    return jinja_take(r, &b);
}

static struct value new_cycler(struct run *r, enum value_kind kind)
{
    struct cycler *c = jinja_alloc(r, sizeof(*c));

    return (struct value){ .kind = (uint8_t)kind, .cycler = c };
}

static struct value fn_cycler(struct run *r, struct value self, struct value *a)
{
    struct value v = new_cycler(r, V_CYCLER);

    (void)self;
    (void)a;
    for (size_t i = 0; i < r->args->n; i++)
        jinja_list_add(r, &v.cycler->items, r->args->v[i]);
    if (!r->args->n)
        return jinja_fail(r, "a cycler needs at least one item");
    return v;
}

static struct value fn_joiner(struct run *r, struct value self, struct value *a)
{
    struct value v = new_cycler(r, V_JOINER);

    (void)self;
    jinja_list_add(r, &v.cycler->items,
                   jinja_is_absent(a[0]) ? jinja_text(r, ", ") : a[0]);
    return v;
}

static struct value fn_lipsum(struct run *r, struct value self, struct value *a)
{
    (void)self;
    (void)a;
    return jinja_fail(r, "lipsum, a random text, is not supported");
}

const struct function *jinja_global(struct slice name)
{
    static const struct function functions[] = {
        { "range", "a|b,c", fn_range, 0 },
        { "dict", "|mapping*", fn_dict, 0 },
        { "namespace", "|mapping*", fn_namespace, 0 },
        { "raise_exception", "message", fn_raise, 0 },
        { "strftime_now", "format", fn_strftime, 0 },
        { "cycler", "*", fn_cycler, 0 },
        { "joiner", "|sep", fn_joiner, 0 },
        { "lipsum", "*", fn_lipsum, 0 },
    };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (slice_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}

/*
 * jinja_objects.c - the methods of dicts, lists, numbers, loops and cyclers
 *
 * Only those that change nothing; the names of the others are kept, because
 * asking for one is undefined and calling one is an error.
 */
#include "jinja/jinja_private.h"

#include <math.h>
#include <string.h>

#define METHOD(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

static struct value view(struct value self, enum value_kind kind)
{
    return (struct value){ .kind = (uint8_t)kind, .m = self.m };
}

METHOD(m_keys)
{
    (void)r;
    (void)a;
    return view(self, V_KEYS);
}

METHOD(m_values)
{
    (void)r;
    (void)a;
    return view(self, V_VALUES);
}

METHOD(m_items)
{
    (void)r;
    (void)a;
    return view(self, V_ITEMS);
}

METHOD(m_get)
{
    struct value *v = NULL;

    if (jinja_hashable(r, a[0]))
        v = jinja_dict_get(r, self.m, a[0]);
    return v ? *v : jinja_is_absent(a[1]) ? jinja_none() : a[1];
}

METHOD(m_copy)
{
    (void)r;
    (void)a;
    return self; /* nothing can change either */
}

METHOD(m_index)
{
    for (size_t i = 0; i < self.l->n && jinja_step(r, 1); i++)
        if (jinja_equal(r, self.l->v[i], a[0]))
            return jinja_int((int64_t)i);
    return jinja_fail(r, "the value is not in the list");
}

METHOD(m_count)
{
    int64_t n = 0;

    for (size_t i = 0; i < self.l->n && jinja_step(r, 1); i++)
        n += jinja_equal(r, self.l->v[i], a[0]);
    return jinja_int(n);
}

METHOD(m_bit_length)
{
    uint64_t u = self.i < 0 ? 0 - (uint64_t)self.i : (uint64_t)self.i;
    int64_t n = 0;

    (void)r;
    (void)a;
    for (; u; u >>= 1)
        n++;
    return jinja_int(n);
}

METHOD(m_is_integer)
{
    (void)r;
    (void)a;
    return jinja_bool(isfinite(self.d) && self.d <= floor(self.d));
}

METHOD(m_cycle)
{
    (void)a;
    if (!r->args->n)
        return jinja_fail(r, "no items for cycling given");
    return r->args->v[self.loop->at % r->args->n];
}

METHOD(m_changed)
{
    struct value now = jinja_list(r, V_TUPLE, r->args->n);
    bool same;

    (void)a;
    for (size_t i = 0; i < r->args->n; i++)
        jinja_list_add(r, now.l, r->args->v[i]);
    same = !jinja_is_absent(self.loop->changed) &&
           jinja_equal(r, self.loop->changed, now);
    self.loop->changed = now;
    return jinja_bool(!same);
}

METHOD(m_next)
{
    struct cycler *c = self.cycler;
    struct value v = c->items.v[c->at % c->items.n];

    (void)r;
    (void)a;
    c->at++;
    return v;
}

METHOD(m_reset)
{
    (void)r;
    (void)a;
    self.cycler->at = 0;
    return jinja_none();
}

const struct function jinja_other_methods[] = {
    { "keys", "", m_keys, V_DICT },
    { "values", "", m_values, V_DICT },
    { "items", "", m_items, V_DICT },
    { "get", "key|default", m_get, V_DICT },
    { "copy", "", m_copy, V_DICT },
    { "copy", "", m_copy, V_LIST },
    { "index", "value", m_index, V_LIST },
    { "count", "value", m_count, V_LIST },
    { "index", "value", m_index, V_TUPLE },
    { "count", "value", m_count, V_TUPLE },
    { "bit_length", "", m_bit_length, V_INT },
    { "is_integer", "", m_is_integer, V_FLOAT },
    { "cycle", "*", m_cycle, V_LOOP },
    { "changed", "*", m_changed, V_LOOP },
    { "next", "", m_next, V_CYCLER },
    { "reset", "", m_reset, V_CYCLER },
    { .name = NULL },
};

static const struct function *find(const struct function *table, uint8_t kind,
                                   struct slice name)
{
    for (; table->name; table++)
        if (table->kind == kind && slice_is(name, table->name))
            return table;
    return NULL;
}

const struct function *jinja_method_find(struct value self, struct slice name)
{
    const struct function *fn;

    if (self.kind != V_STRING)
        return find(jinja_other_methods, self.kind, name);
    fn = find(jinja_text_methods, self.kind, name);
    return fn ? fn : find(jinja_more_methods, self.kind, name);
}

bool jinja_method_is_unsafe(struct value self, struct slice name)
{
    static const char *const of_list[] = { "append",  "clear",  "pop",
                                           "reverse", "insert", "sort",
                                           "extend",  "remove", NULL };
    static const char *const of_dict[] = { "clear",      "pop",    "popitem",
                                           "setdefault", "update", NULL };
    static const char *const none[] = { NULL };
    const char *const *names = self.kind == V_LIST   ? of_list
                               : self.kind == V_DICT ? of_dict
                                                     : none;

    for (; *names; names++)
        if (slice_is(name, *names))
            return true;
    return false;
}

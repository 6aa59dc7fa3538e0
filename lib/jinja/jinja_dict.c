/*
 * jinja_dict.c - dictionaries in order of insertion
 *
 * Small ones are searched in line; larger ones have an index by hash. Numbers
 * that are equal are one key, whatever their type, as in Python.
 */
#include "jinja/jinja_private.h"

#include <string.h>

#define LINEAR 8
#define SEED 0x9e3779b97f4a7c15u

static uint64_t hash_of(struct value v)
{
    uint64_t h = SEED;
    double d;

    switch ((enum value_kind)v.kind) {
    case V_STRING: return hash64(v.s->p, v.s->n, SEED);
    case V_BOOL:
    case V_INT:
    case V_BIG:
    case V_FLOAT:
        /* + 0.0: minus zero is zero. */
        d = jinja_double(v) + 0.0;
        return hash64(&d, sizeof(d), SEED);
    case V_TUPLE:
        for (size_t i = 0; i < v.l->n; i++)
            h = h * 31 + hash_of(v.l->v[i]);
        return h;
    default: return v.kind;
    }
}

bool jinja_hashable(struct run *r, struct value v)
{
    if (v.kind == V_LIST || v.kind == V_DICT)
        jinja_fail(r, "unhashable type: '%s'", jinja_type(v));
    if (v.kind == V_TUPLE && ++r->nesting < JINJA_MAX_DEPTH)
        for (size_t i = 0; i < v.l->n && !r->failed; i++)
            (void)jinja_hashable(r, v.l->v[i]);
    if (r->nesting >= JINJA_MAX_DEPTH)
        jinja_limit(r, "lists within lists");
    r->nesting -= v.kind == V_TUPLE;
    return !r->failed;
}

static void slots_put(const struct dict *m, size_t i)
{
    size_t at = (size_t)hash_of(m->e[i].key) & (m->slot_count - 1);

    while (m->slots[at])
        at = (at + 1) & (m->slot_count - 1);
    m->slots[at] = (uint32_t)i + 1;
}

static void slots_grow(struct run *r, struct dict *m)
{
    m->slot_count = m->slot_count ? m->slot_count * 2 : 32;
    m->slots = jinja_alloc(r, m->slot_count * sizeof(*m->slots));
    for (size_t i = 0; i < m->n; i++)
        slots_put(m, i);
}

struct value *jinja_dict_get(struct run *r, const struct dict *m,
                             struct value key)
{
    size_t at;

    if (!m->slots) {
        for (size_t i = 0; i < m->n; i++)
            if (jinja_equal(r, m->e[i].key, key))
                return &m->e[i].value;
        return NULL;
    }
    at = (size_t)hash_of(key) & (m->slot_count - 1);
    for (; m->slots[at]; at = (at + 1) & (m->slot_count - 1))
        if (jinja_equal(r, m->e[m->slots[at] - 1].key, key))
            return &m->e[m->slots[at] - 1].value;
    return NULL;
}

struct value *jinja_dict_find(struct run *r, const struct dict *m,
                              struct slice key)
{
    struct string s = { key.p, key.n, CHARS_UNKNOWN };

    return jinja_dict_get(r, m, (struct value){ .kind = V_STRING, .s = &s });
}

void jinja_dict_put(struct run *r, struct dict *m, struct value key,
                    struct value v)
{
    struct value *old;

    if (!jinja_hashable(r, key))
        return;
    old = jinja_dict_get(r, m, key);
    if (old) {
        *old = v;
        return;
    }
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 4;
        struct entry *e = jinja_alloc(r, cap * sizeof(*e));

        if (m->n)
            memcpy(e, m->e, m->n * sizeof(*e));
        m->e = e;
        m->cap = cap;
    }
    m->e[m->n++] = (struct entry){ key, v };
    if (m->slots ? 2 * m->n > m->slot_count : m->n > LINEAR)
        slots_grow(r, m);
    else if (m->slots)
        slots_put(m, m->n - 1);
}

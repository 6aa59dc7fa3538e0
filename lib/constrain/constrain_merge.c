/*
 * constrain_merge.c - schemas that one value must fit together
 *
 * What stands in allOf, behind a reference and beside either is written out as
 * one schema, which is read like any other; a choice beside other keywords
 * becomes a choice of such schemas. Of oneOf those choices are taken whose
 * values cannot fit another one: that is seen from types, literals and members,
 * and refused where it is not.
 */
#include "constrain/constrain_schema.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct part {
    const struct json *j;
    json_ref s;
};
struct parts {
    struct part list[SCHEMA_PARTS];
    size_t count;
    unsigned references; /* pushed on the reader's stack */
    bool dead;           /* a reference stands in itself too often */
};

static struct slice key_of(const struct json *j, json_ref e)
{
    struct slice raw = json_raw(j, json_key(j, e));

    return (struct slice){ raw.p + 1, raw.n - 2 };
}

bool schema_is_joint(const struct schema_reader *r, json_ref s)
{
    static const char *const choices[] = { "$ref", "anyOf", "oneOf" };
    unsigned count = 0, others = 0;

    if (json_present(json_get(r->j, s, "allOf")))
        return true;
    for (size_t i = 0; i < 3; i++)
        count += json_present(json_get(r->j, s, choices[i]));
    for (json_ref e = json_first(r->j, s); e != JSON_NONE && count == 1;
         e = json_next(r->j, s, e)) {
        struct slice key = key_of(r->j, e);

        others += !schema_is_note(key) && !slice_is(key, "$ref") &&
                  !slice_is(key, "anyOf") && !slice_is(key, "oneOf");
    }
    return count > 1 || (count == 1 && others > 0);
}

static bool follow(struct schema_reader *r, struct parts *p, json_ref to)
{
    unsigned times = 0;

    for (unsigned i = 0; i < r->within_count; i++)
        times += r->within[i] == to;
    if (times >= SCHEMA_RECURSION ||
        r->within_count == sizeof(r->within) / sizeof(r->within[0])) {
        p->dead = true;
        return false;
    }
    r->within[r->within_count++] = to;
    p->references++;
    return true;
}

static void collect(struct schema_reader *r, struct parts *p,
                    const struct json *j, json_ref s)
{
    json_ref all = json_get(j, s, "allOf"), ref = json_get(j, s, "$ref"), to;

    if (json_is(j, s, JSON_TRUE) || graph_failed(r->g) || p->dead)
        return;
    if (!json_is(j, s, JSON_OBJECT) || p->count == SCHEMA_PARTS) {
        (void)schema_refuse(r,
                            "what stands in allOf is no schema, or too much");
        return;
    }
    p->list[p->count++] = (struct part){ j, s };
    if (json_present(all) &&
        (!json_is(j, all, JSON_ARRAY) || !json_count(j, all)))
        (void)schema_refuse(r, "allOf is no list with elements");
    for (json_ref e = json_first(j, all); e != JSON_NONE;
         e = json_next(j, all, e))
        collect(r, p, j, e);
    if (!json_present(ref))
        return;
    to = schema_referred(j, r->whole, r->root, ref);
    if (!json_present(to))
        (void)schema_fail(
            r, "no part of the schema that is there:", json_raw(j, ref));
    else if (follow(r, p, to))
        collect(r, p, r->whole, to);
}

static uint32_t read_text(struct schema_reader *r, uint32_t from,
                          const struct buf *text)
{
    const struct json *outer = r->j;
    struct json doc = { 0 };
    int rc;

    r->written += text->len;
    if (r->written > SCHEMA_WRITTEN)
        return schema_refuse(r, "what must hold together is too much; write "
                                "fewer choices");
    rc = json_parse(&doc, text->data, text->len, r->g->err);
    if (rc < 0) {
        r->g->rc = rc;
    } else {
        r->j = &doc;
        r->depth--; /* it is the same value */
        from = schema_value(r, from, 0);
        r->depth++;
        r->j = outer;
    }
    json_release(&doc);
    return from;
}

/* Of a choice, all parts but for what is resolved. */
static void put_rest(struct json_writer *w, const struct part *p,
                     const char *without)
{
    json_begin_object(w, NULL);
    for (json_ref e = json_first(p->j, p->s); e != JSON_NONE;
         e = json_next(p->j, p->s, e)) {
        struct slice key = key_of(p->j, e);
        char *name;

        if ((schema_is_note(key) && !slice_is(key, "format")) ||
            slice_is(key, "$ref") || slice_is(key, "allOf") ||
            (without && slice_is(key, without)))
            continue;
        name = json_strdup(p->j, json_key(p->j, e));
        json_put_raw(w, name, json_raw(p->j, e));
        free(name);
    }
    json_end_object(w);
}

static struct part resolved(const struct schema_reader *r, struct part p)
{
    json_ref ref;

    for (unsigned i = 0; i < 8; i++) {
        ref = json_get(p.j, p.s, "$ref");
        if (!json_present(ref))
            break;
        p.s = schema_referred(p.j, r->whole, r->root, ref);
        p.j = r->whole;
    }
    return p;
}

enum {
    T_STRING = 1,
    T_NUMBER = 2,
    T_INTEGER = 4,
    T_BOOLEAN = 8,
    T_NULL = 16,
    T_ARRAY = 32,
    T_OBJECT = 64,
    T_ANY = 127
};
static const struct {
    const char *name;
    unsigned bits;
} type_names[] = {
    { "string", T_STRING },   { "number", T_NUMBER | T_INTEGER },
    { "integer", T_INTEGER }, { "boolean", T_BOOLEAN },
    { "null", T_NULL },       { "array", T_ARRAY },
    { "object", T_OBJECT },
};
#define TYPES (sizeof(type_names) / sizeof(type_names[0]))

static unsigned type_bits(const struct json *j, json_ref type)
{
    unsigned bits = 0;

    if (!json_present(type))
        return T_ANY;
    for (size_t i = 0; i < TYPES; i++)
        if (json_text_is(j, type, type_names[i].name))
            return type_names[i].bits;
    for (json_ref e = json_first(j, type); e != JSON_NONE;
         e = json_next(j, type, e))
        bits |= type_bits(j, e);
    return bits;
}

static bool has_same(const struct part *p, json_ref v, const struct part *q)
{
    json_ref list = json_get(q->j, q->s, "enum");
    json_ref only = json_get(q->j, q->s, "const");
    struct buf a = { 0 }, b = { 0 };
    bool same = false;

    json_canonical(p->j, v, &a);
    for (json_ref e = json_present(only) ? only : json_first(q->j, list);
         e != JSON_NONE && !same;
         e = json_present(only) ? JSON_NONE : json_next(q->j, list, e)) {
        buf_reset(&b);
        json_canonical(q->j, e, &b);
        same = slice_eq(buf_slice(&a), buf_slice(&b));
    }
    buf_release(&a);
    buf_release(&b);
    return same;
}

static bool has_literals(const struct part *p)
{
    return json_present(json_get(p->j, p->s, "const")) ||
           json_is(p->j, json_get(p->j, p->s, "enum"), JSON_ARRAY);
}

static unsigned kind_bit(const struct json *j, json_ref v)
{
    static const unsigned bits[] = {
        [JSON_NULL] = T_NULL,     [JSON_FALSE] = T_BOOLEAN,
        [JSON_TRUE] = T_BOOLEAN,  [JSON_NUMBER] = T_NUMBER | T_INTEGER,
        [JSON_STRING] = T_STRING, [JSON_ARRAY] = T_ARRAY,
        [JSON_OBJECT] = T_OBJECT,
    };

    return bits[json_kind(j, v)];
}

/* No literal of p fits q. */
static bool literals_differ(const struct part *p, const struct part *q)
{
    json_ref list = json_get(p->j, p->s, "enum");
    json_ref only = json_get(p->j, p->s, "const");

    if (!has_literals(p) ||
        json_count(p->j, list) *
                json_count(q->j, json_get(q->j, q->s, "enum")) >
            SCHEMA_LITERALS)
        return false;
    for (json_ref e = json_present(only) ? only : json_first(p->j, list);
         e != JSON_NONE;
         e = json_present(only) ? JSON_NONE : json_next(p->j, list, e))
        if ((type_bits(q->j, json_get(q->j, q->s, "type")) &
             kind_bit(p->j, e)) &&
            (!has_literals(q) || has_same(p, e, q)))
            return false;
    return true;
}

/* No value fits both, as far as types and literals tell. */
static bool disjoint(const struct schema_reader *r, struct part p,
                     struct part q)
{
    p = resolved(r, p);
    q = resolved(r, q);
    return !(type_bits(p.j, json_get(p.j, p.s, "type")) &
             type_bits(q.j, json_get(q.j, q.s, "type"))) ||
           literals_differ(&p, &q) || literals_differ(&q, &p);
}

static bool requires(const struct part *p, struct slice quoted)
{
    json_ref list = json_get(p->j, p->s, "required");

    for (json_ref e = json_first(p->j, list); e != JSON_NONE;
         e = json_next(p->j, list, e))
        if (slice_eq(json_raw(p->j, e), quoted))
            return true;
    return false;
}

static json_ref own_member(const struct part *p, struct slice quoted)
{
    json_ref list = json_get(p->j, p->s, "properties");

    for (json_ref e = json_first(p->j, list); e != JSON_NONE;
         e = json_next(p->j, list, e))
        if (slice_eq(json_raw(p->j, json_key(p->j, e)), quoted))
            return e;
    return JSON_NONE;
}

static bool is_false(const struct json *j, json_ref v)
{
    bool flag = true;

    return json_bool(j, v, &flag) && !flag;
}

/* A value that is written for p never has a member of this name. */
static bool never_has(const struct part *p, const struct parts *base,
                      struct slice quoted)
{
    bool never = !json_present(own_member(p, quoted)) && !requires(p, quoted) &&
                 json_present(json_get(p->j, p->s, "properties")) &&
                 !json_is(p->j, json_get(p->j, p->s, "additionalProperties"),
                          JSON_OBJECT);

    for (size_t i = 0; i < base->count; i++)
    never = never && !json_present(own_member(&base->list[i], quoted)) &&
            !requires(&base->list[i], quoted);
    return never;
}

/* What is written for p never fits q: a member tells. */
static bool never_fits(const struct schema_reader *r, const struct part *p,
                       const struct part *q, const struct parts *base)
{
    json_ref needs = json_get(p->j, p->s, "required"), other;

    for (json_ref e = json_first(p->j, needs); e != JSON_NONE;
         e = json_next(p->j, needs, e)) {
        struct slice name = json_raw(p->j, e);
        json_ref own = own_member(p, name);

        other = own_member(q, name);
        if (json_present(own) && json_present(other) &&
            disjoint(r, (struct part){ p->j, own },
                     (struct part){ q->j, other }))
            return true;
        if (!json_present(other) &&
            is_false(q->j, json_get(q->j, q->s, "additionalProperties")))
            return true;
    }
    needs = json_get(q->j, q->s, "required");
    for (json_ref e = json_first(q->j, needs); e != JSON_NONE;
         e = json_next(q->j, needs, e))
        if (never_has(p, base, json_raw(q->j, e)))
            return true;
    return false;
}

static void check_exclusive(struct schema_reader *r, const struct parts *base,
                            const struct json *j, json_ref list)
{
    if (json_count(j, list) > SCHEMA_CHOICES)
        (void)schema_fail(r, "it has more than 200:", slice_of("oneOf"));
    for (json_ref a = json_first(j, list);
         a != JSON_NONE && !graph_failed(r->g); a = json_next(j, list, a))
        for (json_ref b = json_first(j, list); b != JSON_NONE;
             b = json_next(j, list, b)) {
            struct part p = resolved(r, (struct part){ j, a });
            struct part q = resolved(r, (struct part){ j, b });

            if (a != b && !disjoint(r, p, q) && !never_fits(r, &p, &q, base))
                (void)schema_refuse(r,
                                    "oneOf is supported where types, literals "
                                    "or members tell its choices apart; use "
                                    "anyOf");
        }
}

static uint32_t put_choices(struct schema_reader *r, uint32_t from,
                            const struct parts *p, size_t at, const char *key)
{
    const struct part *own = &p->list[at];
    json_ref list = json_get(own->j, own->s, key);
    uint32_t to = graph_node(r->g);

    if (!json_is(own->j, list, JSON_ARRAY) || !json_count(own->j, list))
        return schema_fail(r, "no list with elements:", slice_of(key));
    if (!strcmp(key, "oneOf"))
        check_exclusive(r, p, own->j, list);
    for (json_ref e = json_first(own->j, list);
         e != JSON_NONE && !graph_failed(r->g);
         e = json_next(own->j, list, e)) {
        struct buf text = { 0 };
        struct json_writer w;

        json_writer_init(&w, &text, false);
        json_begin_object(&w, NULL);
        json_begin_array(&w, "allOf");
        for (size_t i = 0; i < p->count; i++)
            put_rest(&w, &p->list[i], i == at ? key : NULL);
        json_put_raw(&w, NULL, json_raw(own->j, e));
        json_end_array(&w);
        json_end_object(&w);
        graph_empty(r->g, read_text(r, from, &text), to);
        buf_release(&text);
    }
    return to;
}

/* False: there is none. */
static bool put_type(struct json_writer *w, const struct parts *p)
{
    unsigned bits = T_ANY;

    for (size_t i = 0; i < p->count; i++)
        bits &= type_bits(p->list[i].j,
                          json_get(p->list[i].j, p->list[i].s, "type"));
    if (!bits || bits == T_ANY)
        return bits;
    json_begin_array(w, "type");
    for (size_t i = 0; i < TYPES; i++)
        if ((type_names[i].bits & bits) == type_names[i].bits &&
            !(type_names[i].bits == T_INTEGER && bits & T_NUMBER))
            json_put_string(w, NULL, type_names[i].name);
    json_end_array(w);
    return true;
}

/* False: none stands in all of them. */
static bool put_literals(struct schema_reader *r, struct json_writer *w,
                         const struct parts *p)
{
    size_t lists = 0, most = 0, kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];
        json_ref list = json_get(own->j, own->s, "enum");

        lists += has_literals(own);
        if (json_count(own->j, list) > most)
            most = json_count(own->j, list);
    }
    if (lists > 1 && most > SCHEMA_LITERALS)
        (void)schema_fail(
            r, "it has more than 2000 beside another one:", slice_of("enum"));
    for (size_t i = 0; i < p->count && !graph_failed(r->g); i++) {
        const struct part *own = &p->list[i];
        json_ref list = json_get(own->j, own->s, "enum");
        json_ref only = json_get(own->j, own->s, "const");

        if (!has_literals(own))
            continue;
        json_begin_array(w, "enum");
        for (json_ref e = json_present(only) ? only : json_first(own->j, list);
             e != JSON_NONE;
             e = json_present(only) ? JSON_NONE : json_next(own->j, list, e)) {
            bool same = true;

            for (size_t k = 0; k < p->count && same; k++)
                same = k == i || !has_literals(&p->list[k]) ||
                       has_same(own, e, &p->list[k]);
            if (same)
                json_put_raw(w, NULL, json_raw(own->j, e));
            kept += same;
        }
        json_end_array(w);
        return kept > 0;
    }
    return true;
}

/* The tightest of each bound. */
static void put_bounds(struct json_writer *w, const struct parts *p)
{
    static const struct {
        const char *key;
        int sign;
    } bounds[] = { { "minimum", 1 },           { "exclusiveMinimum", 1 },
                   { "minLength", 1 },         { "minItems", 1 },
                   { "minProperties", 1 },     { "maximum", -1 },
                   { "exclusiveMaximum", -1 }, { "maxLength", -1 },
                   { "maxItems", -1 },         { "maxProperties", -1 } };

    for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++) {
        const struct part *best = NULL;
        double x, y = 0;

        for (size_t i = 0; i < p->count; i++) {
            const struct part *own = &p->list[i];
            json_ref v = json_get(own->j, own->s, bounds[b].key);

            if (!json_present(v) ||
                (best && (!json_double(own->j, v, &x) ||
                          bounds[b].sign * x <= bounds[b].sign * y)))
                continue;
            best = own;
            (void)json_double(own->j, v, &y);
        }
        if (best)
            json_put_raw(
                w, bounds[b].key,
                json_raw(best->j, json_get(best->j, best->s, bounds[b].key)));
    }
}

/* All values of a keyword as a list; expressions may be several already. */
static void put_lists(struct json_writer *w, const struct parts *p,
                      const char *key)
{
    bool begun = false;

    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];
        json_ref v = json_get(own->j, own->s, key);

        if (!json_present(v))
            continue;
        if (!begun)
            json_begin_array(w, key);
        begun = true;
        if (!json_is(own->j, v, JSON_ARRAY))
            json_put_raw(w, NULL, json_raw(own->j, v));
        for (json_ref e = json_is(own->j, v, JSON_ARRAY) ? json_first(own->j, v)
                                                         : JSON_NONE;
             e != JSON_NONE; e = json_next(own->j, v, e))
            json_put_raw(w, NULL, json_raw(own->j, e));
    }
    if (begun)
        json_end_array(w);
}

/* A keyword that is a schema, of all parts together. */
static bool put_schemas(struct json_writer *w, const struct parts *p,
                        const char *key)
{
    bool begun = false;

    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];
        json_ref v = json_get(own->j, own->s, key);

        if (!json_is(own->j, v, JSON_OBJECT))
            continue;
        if (!begun) {
            json_begin_object(w, key);
            json_begin_array(w, "allOf");
        }
        begun = true;
        json_put_raw(w, NULL, json_raw(own->j, v));
    }
    if (begun) {
        json_end_array(w);
        json_end_object(w);
    }
    return begun;
}

/* Keywords that only one part may have. */
static void put_single(struct schema_reader *r, struct json_writer *w,
                       const struct parts *p)
{
    static const char *const keys[] = { "prefixItems", "uniqueItems",
                                        "multipleOf" };

    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        struct slice seen = { 0 };

        for (size_t i = 0; i < p->count; i++) {
            const struct part *own = &p->list[i];
            json_ref v = json_get(own->j, own->s, keys[k]);

            if (!json_present(v))
                continue;
            if (seen.p && !slice_eq(seen, json_raw(own->j, v)))
                (void)schema_fail(r,
                                  "it stands twice in what must hold "
                                  "together:",
                                  slice_of(keys[k]));
            else if (!seen.p)
                json_put_raw(w, keys[k], json_raw(own->j, v));
            seen = json_raw(own->j, v);
        }
    }
}

/* One member, of all parts that say something of it; a part that is closed and
 * does not have it leaves it out. */
static void put_member(struct json_writer *w, const struct parts *p,
                       struct slice quoted)
{
    const struct part *first = NULL;
    json_ref at = JSON_NONE;
    char *name;

    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];

        if (json_present(own_member(own, quoted))) {
            first = own;
            at = own_member(own, quoted);
        } else if (is_false(own->j,
                            json_get(own->j, own->s, "additionalProperties"))) {
            return;
        }
    }
    if (!first)
        return;
    name = json_strdup(first->j, json_key(first->j, at));
    json_begin_object(w, name);
    json_begin_array(w, "allOf");
    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];
        json_ref v = own_member(own, quoted);

        if (!json_present(v))
            v = json_get(own->j, own->s, "additionalProperties");
        if (json_present(v))
            json_put_raw(w, NULL, json_raw(own->j, v));
    }
    json_end_array(w);
    json_end_object(w);
    free(name);
}

static void put_members(struct json_writer *w, const struct parts *p)
{
    struct map *names = map_new();
    bool closed = false, open = false, any = false;

    for (size_t i = 0; i < p->count; i++) {
        const struct part *own = &p->list[i];
        json_ref list = json_get(own->j, own->s, "properties");
        json_ref more = json_get(own->j, own->s, "additionalProperties");

        any = any || json_is(own->j, list, JSON_OBJECT);
        closed = closed || is_false(own->j, more);
        open = open || json_is(own->j, more, JSON_TRUE);
        for (json_ref e = json_first(own->j, list); e != JSON_NONE;
             e = json_next(own->j, list, e)) {
            struct slice key = json_raw(own->j, json_key(own->j, e));

            (void)map_put(names, key.p, key.n, NULL);
        }
    }
    if (any) {
        json_begin_object(w, "properties");
        for (size_t i = 0; i < map_count(names); i++)
            put_member(w, p, map_key(names, i));
        json_end_object(w);
    }
    if (closed)
        json_put_bool(w, "additionalProperties", false);
    else if (!put_schemas(w, p, "additionalProperties") && open)
        json_put_bool(w, "additionalProperties", true);
    map_free(names);
}

static uint32_t put_all(struct schema_reader *r, uint32_t from,
                        const struct parts *p)
{
    struct buf text = { 0 };
    struct json_writer w;
    bool any;

    json_writer_init(&w, &text, false);
    json_begin_object(&w, NULL);
    any = put_type(&w, p);
    any = put_literals(r, &w, p) && any;
    put_bounds(&w, p);
    put_lists(&w, p, "pattern");
    put_lists(&w, p, "format");
    put_lists(&w, p, "required");
    (void)put_schemas(&w, p, "items");
    put_single(r, &w, p);
    put_members(&w, p);
    json_end_object(&w);
    if (!any) /* nothing leads there */
        from = graph_node(r->g);
    else if (!graph_failed(r->g))
        from = read_text(r, from, &text);
    buf_release(&text);
    return from;
}

uint32_t schema_joint(struct schema_reader *r, uint32_t from, json_ref s)
{
    static const char *const choices[] = { "anyOf", "oneOf" };
    struct parts p = { .count = 0 };
    uint32_t to = 0;
    bool chosen = false;

    collect(r, &p, r->j, s);
    for (size_t i = 0; i < p.count && !graph_failed(r->g); i++)
        schema_check(r, p.list[i].j, p.list[i].s);
    for (size_t k = 0; k < 2 && !p.dead; k++)
        for (size_t i = 0; i < p.count && !chosen && !graph_failed(r->g); i++)
            if (json_present(json_get(p.list[i].j, p.list[i].s, choices[k]))) {
                chosen = true;
                to = put_choices(r, from, &p, i, choices[k]);
            }
    if (p.dead)
        to = graph_node(r->g); /* which nothing leads to */
    else if (!chosen && !graph_failed(r->g))
        to = put_all(r, from, &p);
    r->within_count -= p.references;
    return to;
}

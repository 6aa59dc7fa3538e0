/*
 * constrain_schema.c - a JSON schema as an automaton over the texts that fit
 *
 * What a schema allows is a regular language as long as nesting has an end,
 * so a schema in a schema is written out in place, and one in itself a few
 * times; nothing else is written there than what ends. A keyword that would
 * change what fits and is not known is refused by name: an answer that only
 * seems to fit is worse than an unconstrained one.
 */
#include "constrain/constrain_schema.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WS_BLANKS 16
#define LOOSE_DEPTH 16    /* from there on anything fits */
#define ORDER_NODES 60000 /* with more a form has fewer orders */
#define NUMBER "-?(0|[1-9][0-9]{0,14})"
#define FRACTION "([.][0-9]{1,15})?([eE][+-]?[0-9]{1,2})?"

uint32_t schema_fail(struct schema_reader *r, const char *what,
                     struct slice name)
{
    if (r->g->rc == 0)
        r->g->rc =
            err_set(r->g->err, ERR_UNSUPPORTED, "schema: %s%s%.*s", what,
                    name.n ? " " : "", (int)(name.n < 100 ? name.n : 100),
                    name.p ? name.p : "");
    return 0;
}

uint32_t schema_refuse(struct schema_reader *r, const char *what)
{
    return schema_fail(r, what, (struct slice){ 0 });
}

uint32_t schema_put(struct schema_reader *r, uint32_t from, const char *text)
{
    return graph_text(r->g, from, slice_of(text));
}

/* Nothing, a blank, or a line break with some blanks. */
uint32_t graph_white(struct constrain_graph *g, uint32_t from)
{
    uint32_t to = graph_node(g), at;

    graph_empty(g, from, to);
    graph_edge(g, from, to, ' ', ' ');
    at = graph_bytes(g, from, '\n', '\n');
    for (unsigned i = 0; i < WS_BLANKS; i++) {
        graph_empty(g, at, to);
        at = graph_bytes(g, at, ' ', ' ');
    }
    graph_empty(g, at, to);
    return to;
}

uint32_t schema_white(struct schema_reader *r, uint32_t from)
{
    return graph_white(r->g, from);
}

/* Keywords that do not change what fits; formats are looked at in strings. */
bool schema_is_note(struct slice key)
{
    static const char *const notes[] = {
        "title",    "description", "default",       "examples",
        "$schema",  "$id",         "$comment",      "deprecated",
        "readOnly", "writeOnly",   "$defs",         "definitions",
        "strict",   "nullable",    "$anchor",       "contentEncoding",
        "id",       "example",     "discriminator", "contentMediaType"
    };

    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        if (slice_is(key, notes[i]))
            return true;
    return slice_starts(key, "x-");
}

static void check_values(struct schema_reader *r, const struct json *j,
                         json_ref s)
{
    json_ref required = json_get(j, s, "required");
    json_ref unique = json_get(j, s, "uniqueItems");
    static const char *const lists[] = { "properties",  "required",
                                         "prefixItems", "anyOf",
                                         "oneOf",       "allOf" };
    static const char *const counts[] = { "minLength", "maxLength", "minItems",
                                          "maxItems" };
    bool names = json_is(j, required, JSON_ARRAY), flag = true;
    int64_t most;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (json_present(json_get(j, s, counts[i])) &&
            !json_is(j, json_get(j, s, counts[i]), JSON_NUMBER))
            (void)schema_fail(r, "no number:", slice_of(counts[i]));

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (json_count(j, json_get(j, s, lists[i])) > CONSTRAIN_MAX_REPEAT)
            (void)schema_fail(r, "it has more than 2000:", slice_of(lists[i]));
    for (json_ref e = json_first(j, required); names && e != JSON_NONE;
         e = json_next(j, required, e))
        names = json_is(j, e, JSON_STRING);
    if (json_present(required) && !names)
        (void)schema_refuse(r, "required is no list of names");
    if (json_bool(j, unique, &flag) && !flag)
        return;
    if (json_present(unique) &&
        !(json_int(j, json_get(j, s, "maxItems"), &most) && most <= 1))
        (void)schema_fail(
            r, "this keyword is not supported:", slice_of("uniqueItems"));
}

void schema_check(struct schema_reader *r, const struct json *j, json_ref s)
{
    static const char *const known[] = { "type",
                                         "properties",
                                         "required",
                                         "items",
                                         "minItems",
                                         "maxItems",
                                         "minLength",
                                         "maxLength",
                                         "enum",
                                         "const",
                                         "anyOf",
                                         "$ref",
                                         "oneOf",
                                         "allOf",
                                         "prefixItems",
                                         "pattern",
                                         "format",
                                         "minimum",
                                         "maximum",
                                         "exclusiveMinimum",
                                         "exclusiveMaximum",
                                         "minProperties",
                                         "maxProperties",
                                         "multipleOf",
                                         "uniqueItems",
                                         "additionalProperties" };

    for (json_ref e = json_first(j, s); e != JSON_NONE && !r->loose;
         e = json_next(j, s, e)) {
        struct slice raw = json_raw(j, json_key(j, e));
        struct slice key = { raw.p + 1, raw.n - 2 };
        bool fine = schema_is_note(key);

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !fine; i++)
            fine = slice_is(key, known[i]);
        if (!fine)
            (void)schema_fail(r, "this keyword is not supported:", key);
    }
    if (!r->loose)
        check_values(r, j, s);
}

/* What may be more than is ever written here is no less. */
unsigned schema_limit(struct schema_reader *r, json_ref s, const char *key,
                      unsigned otherwise)
{
    json_ref v = json_get(r->j, s, key);
    bool most = slice_starts(slice_of(key), "max");
    double n;

    if (!json_present(v))
        return otherwise;
    if (json_double(r->j, v, &n) && n >= 0 && !(floor(n) < n) &&
        (most || n <= CONSTRAIN_MAX_REPEAT))
        return n > CONSTRAIN_MAX_REPEAT ? CONSTRAIN_MAX_REPEAT : (unsigned)n;
    if (!r->loose)
        (void)schema_fail(r, "not a number from 0 to 2000:", slice_of(key));
    return otherwise;
}

uint32_t schema_any_list(struct schema_reader *r, uint32_t from, unsigned depth,
                         bool members)
{
    uint32_t loop = graph_node(r->g), close = graph_node(r->g), at;

    from = schema_white(r, schema_put(r, from, members ? "{" : "["));
    graph_empty(r->g, from, close);
    graph_empty(r->g, from, loop);
    at = loop;
    if (members)
        at = schema_white(
            r, schema_put(r, schema_white(r, schema_any_string(r, at)), ":"));
    at = schema_white(r, schema_any(r, at, depth));
    graph_empty(r->g, at, close);
    graph_empty(r->g, schema_white(r, schema_put(r, at, ",")), loop);
    return schema_put(r, close, members ? "}" : "]");
}

uint32_t schema_any(struct schema_reader *r, uint32_t from, unsigned depth)
{
    uint32_t to = graph_node(r->g);

    graph_empty(r->g, schema_any_string(r, from), to);
    graph_empty(
        r->g,
        graph_regex(r->g, from, slice_of(NUMBER FRACTION "|true|false|null")),
        to);
    for (unsigned members = 0; members < 2 && depth > 1; members++)
        graph_empty(r->g, schema_any_list(r, from, depth - 1, members), to);
    return to;
}

uint32_t graph_document(struct constrain_graph *g, uint32_t from,
                        unsigned depth, bool objects)
{
    struct schema_reader r = { .g = g, .loose = true };
    uint32_t to = graph_node(g);

    for (unsigned members = objects; members < 2; members++)
        graph_empty(g, schema_any_list(&r, from, depth, members), to);
    return to;
}

/* Elements: the first have their own schemas, the others one. */
struct elements {
    json_ref first; /* list of schemas */
    size_t count;
    json_ref rest; /* JSON_NONE: any */
    unsigned min, max;
};

static bool read_elements(struct schema_reader *r, json_ref s,
                          struct elements *e)
{
    json_ref items = json_get(r->j, s, "items");
    bool flag = true;

    e->first = json_get(r->j, s, "prefixItems");
    if (json_is(r->j, items, JSON_ARRAY)) { /* as it was up to 2019-09 */
        e->first = items;
        items = JSON_NONE;
    }
    e->count = json_count(r->j, e->first);
    e->rest = items;
    e->min = schema_limit(r, s, "minItems", 0);
    e->max = schema_limit(r, s, "maxItems", UINT32_MAX);
    if (json_present(e->first) && !json_is(r->j, e->first, JSON_ARRAY))
        (void)schema_refuse(r, "prefixItems is no list");
    if (json_bool(r->j, items, &flag) && !flag && e->max > e->count)
        e->max = (unsigned)e->count;
    /* Nothing is said of those behind the first: there need be none. */
    if (e->count && !json_present(items) && e->min <= e->count &&
        e->max > e->count)
        e->max = (unsigned)e->count;
    if (e->max < e->min)
        (void)schema_refuse(r, "maxItems is below minItems");
    return !graph_failed(r->g);
}

static uint32_t array(struct schema_reader *r, uint32_t from, json_ref s)
{
    uint32_t close = graph_node(r->g), loop = 0;
    struct elements e;
    unsigned fixed;

    if (!read_elements(r, s, &e))
        return 0;
    /* One more than these, which may come again. */
    fixed = e.min > e.count ? e.min : (unsigned)e.count;
    from = schema_white(r, schema_put(r, from, "["));
    if (e.min == 0)
        graph_empty(r->g, from, close);
    for (unsigned k = 1; k <= (e.max == UINT32_MAX ? fixed + 1 : e.max); k++) {
        if (graph_failed(r->g))
            return 0;
        if (k > 1)
            from = schema_white(r, schema_put(r, from, ","));
        if (e.max == UINT32_MAX && k == fixed + 1) {
            loop = graph_node(r->g);
            graph_empty(r->g, from, loop);
            from = loop;
        }
        from = schema_value(
            r, from, k <= e.count ? json_at(r->j, e.first, k - 1) : e.rest);
        from = schema_white(r, from);
        if (k >= e.min)
            graph_empty(r->g, from, close);
    }
    if (loop)
        graph_empty(r->g, schema_white(r, schema_put(r, from, ",")), loop);
    return schema_put(r, close, "]");
}

static uint32_t array_of_any(struct schema_reader *r, uint32_t from, json_ref s)
{
    bool known = json_is(r->j, json_get(r->j, s, "items"), JSON_OBJECT);

    return r->loose && !known
               ? schema_any_list(r, from, CONSTRAIN_ANY_DEPTH, false)
               : array(r, from, s);
}

static uint32_t literal(struct schema_reader *r, uint32_t from, json_ref v)
{
    struct buf text = { 0 };

    if (json_is(r->j, v, JSON_STRING) || json_is(r->j, v, JSON_NUMBER))
        buf_add_slice(&text, json_raw(r->j, v));
    else
        json_canonical(r->j, v, &text);
    from = graph_text(r->g, from, buf_slice(&text));
    buf_release(&text);
    return from;
}

static uint32_t number(struct schema_reader *r, uint32_t from, json_ref s,
                       bool whole)
{
    if (r->loose)
        return graph_regex(
            r->g, from, whole ? slice_of(NUMBER) : slice_of(NUMBER FRACTION));
    return schema_number(r, from, s, whole);
}

static uint32_t typed(struct schema_reader *r, uint32_t from, json_ref s,
                      struct slice type)
{
    if (slice_is(type, "\"string\""))
        return schema_string(r, from, s);
    if (slice_is(type, "\"integer\""))
        return number(r, from, s, true);
    if (slice_is(type, "\"number\""))
        return number(r, from, s, false);
    if (slice_is(type, "\"boolean\""))
        return graph_regex(r->g, from, slice_of("true|false"));
    if (slice_is(type, "\"null\""))
        return schema_put(r, from, "null");
    if (slice_is(type, "\"array\""))
        return array_of_any(r, from, s);
    if (slice_is(type, "\"object\""))
        return schema_object(r, from, s);
    return r->loose ? schema_any(r, from, CONSTRAIN_ANY_DEPTH)
                    : schema_fail(r, "no type:", type);
}

/* Each of a list's elements: schemas, or with s its types. */
static uint32_t either(struct schema_reader *r, uint32_t from, json_ref s,
                       json_ref list)
{
    uint32_t to = graph_node(r->g);

    if ((!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list)) &&
        r->loose)
        return schema_any(r, from, CONSTRAIN_ANY_DEPTH);
    if (!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list))
        return schema_refuse(r, "enum, anyOf or type is no list with elements");
    for (json_ref e = json_first(r->j, list);
         e != JSON_NONE && !graph_failed(r->g); e = json_next(r->j, list, e))
        graph_empty(r->g,
                    json_present(s) ? typed(r, from, s, json_raw(r->j, e))
                                    : schema_value(r, from, e),
                    to);
    return to;
}

/* Of an enum, or a const alone, what fits all that stands beside it; where
 * nothing is refused and nothing fits, all of it. */
static uint32_t literals(struct schema_reader *r, uint32_t from, json_ref s,
                         json_ref only)
{
    const struct schema_place at = { r->j, r->whole, s, r->root };
    json_ref list = json_get(r->j, s, "enum");
    uint32_t to = graph_node(r->g);
    bool any = false;

    if (!json_present(only) &&
        (!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list)))
        return either(r, from, JSON_NONE, list);
    if (!r->loose && json_present(json_get(r->j, s, "pattern")))
        return schema_fail(r, "beside enum or const it is not supported:",
                           slice_of("pattern"));
    for (json_ref e = json_present(only) ? only : json_first(r->j, list);
         e != JSON_NONE && !graph_failed(r->g);
         e = json_present(only) ? JSON_NONE : json_next(r->j, list, e)) {
        if (json_present(only)
                ? !schema_fits(at, r->j, e, CONSTRAIN_MAX_DEPTH)
                : !schema_fits_beside(at, r->j, e, CONSTRAIN_MAX_DEPTH))
            continue;
        graph_empty(r->g, literal(r, from, e), to);
        any = true;
    }
    if (any || graph_failed(r->g))
        return to;
    if (r->j != r->whole)
        return to; /* one of several choices has none */
    if (!r->loose)
        return schema_refuse(r, "no value of enum or const fits the keywords "
                                "beside it");
    return json_present(only) ? literal(r, from, only)
                              : schema_any(r, from, CONSTRAIN_ANY_DEPTH);
}

static uint32_t reference(struct schema_reader *r, uint32_t from, json_ref v)
{
    json_ref to = schema_referred(r->j, r->whole, r->root, v);
    const struct json *outer = r->j;
    unsigned times = 0;

    if (!json_present(to) && !r->loose)
        return schema_fail(
            r, "no part of the schema that is there:", json_raw(r->j, v));
    for (unsigned i = 0; i < r->within_count; i++)
        times += r->within[i] == to;
    if (!r->loose &&
        (times >= SCHEMA_RECURSION ||
         r->within_count == sizeof(r->within) / sizeof(r->within[0])))
        return graph_node(r->g); /* which nothing leads to */
    if (r->within_count == sizeof(r->within) / sizeof(r->within[0]))
        return schema_any(r, from, CONSTRAIN_ANY_DEPTH);
    r->within[r->within_count++] = to;
    r->j = r->whole;
    from = schema_value(r, from, to);
    r->j = outer;
    r->within_count--;
    return from;
}

/* A type that keywords tell of where there is none. */
static uint32_t untyped(struct schema_reader *r, uint32_t from, json_ref s)
{
    static const struct {
        const char *key, *type;
    } tells[] = {
        { "properties", "\"object\"" },
        { "required", "\"object\"" },
        { "additionalProperties", "\"object\"" },
        { "items", "\"array\"" },
        { "prefixItems", "\"array\"" },
        { "minItems", "\"array\"" },
        { "maxItems", "\"array\"" },
        { "pattern", "\"string\"" },
        { "format", "\"string\"" },
        { "minLength", "\"string\"" },
        { "maxLength", "\"string\"" },
        { "minimum", "\"number\"" },
        { "maximum", "\"number\"" },
        { "exclusiveMinimum", "\"number\"" },
        { "exclusiveMaximum", "\"number\"" },
    };
    size_t n = r->loose ? 1 : sizeof(tells) / sizeof(tells[0]);

    for (size_t i = 0; i < n; i++)
        if (json_present(json_get(r->j, s, tells[i].key)))
            return typed(r, from, s, slice_of(tells[i].type));
    return schema_any(r, from, CONSTRAIN_ANY_DEPTH);
}

/* The first keyword that says what fits decides. */
static uint32_t keyword(struct schema_reader *r, uint32_t from, json_ref s)
{
    json_ref type = json_get(r->j, s, "type"), v;
    bool literal_here = json_present(json_get(r->j, s, "enum")) ||
                        json_present(json_get(r->j, s, "const"));

    if (literal_here && !json_present(json_get(r->j, s, "$ref")))
        return literals(r, from, s, json_get(r->j, s, "const"));
    if (!r->loose &&
        (schema_is_joint(r, s) || json_present(json_get(r->j, s, "oneOf"))))
        return schema_joint(r, from, s);
    if (json_present(v = json_get(r->j, s, "$ref")))
        return reference(r, from, v);
    if (json_present(v = json_get(r->j, s, "anyOf")) ||
        json_present(v = json_get(r->j, s, "oneOf")))
        return either(r, from, JSON_NONE, v);
    if (json_is(r->j, type, JSON_ARRAY))
        return either(r, from, s, type);
    if (json_present(type))
        return typed(r, from, s, json_raw(r->j, type));
    return untyped(r, from, s);
}

static uint32_t strict_value(struct schema_reader *r, uint32_t from, json_ref s)
{
    if (!json_present(s) || json_is(r->j, s, JSON_TRUE))
        return schema_any(r, from, CONSTRAIN_ANY_DEPTH);
    if (json_is(r->j, s, JSON_FALSE))
        return graph_node(r->g); /* which nothing leads to */
    if (!json_is(r->j, s, JSON_OBJECT))
        return schema_refuse(r, "a schema must be an object");
    if (r->depth >= CONSTRAIN_MAX_DEPTH)
        return schema_refuse(r, "it is nested too deeply");
    schema_check(r, r->j, s);
    if (graph_failed(r->g))
        return 0;
    r->depth++;
    from = keyword(r, from, s);
    r->depth--;
    return graph_failed(r->g) ? 0 : from;
}

/* Where nothing is refused, what can be kept to is kept to: schemas are read
 * as if others were refused, and only where that fails with less care. */
uint32_t schema_value(struct schema_reader *r, uint32_t from, json_ref s)
{
    struct constrain_was was = graph_was(r->g, from);
    uint32_t to;

    if (!r->loose)
        return strict_value(r, from, s);
    if (r->depth >= LOOSE_DEPTH || !json_is(r->j, s, JSON_OBJECT))
        return schema_any(r, from, CONSTRAIN_ANY_DEPTH);
    r->loose = false;
    to = strict_value(r, from, s);
    r->loose = true;
    if (!graph_failed(r->g) || r->g->rc == ERR_LIMIT)
        return to;
    graph_back(r->g, &was);
    r->depth++;
    to = keyword(r, from, s);
    r->depth--;
    return to;
}

/* With as many orders of members as its size allows. */
uint32_t graph_schema(struct constrain_graph *g, uint32_t from,
                      const struct json *j, json_ref schema, bool loose)
{
    struct constrain_was was = graph_was(g, from);
    size_t limit = g->limit;
    uint32_t to = 0;

    if (graph_failed(g))
        return 0;
    for (int order = SCHEMA_ANY_ORDER; order >= SCHEMA_ONE_ORDER; order--) {
        struct schema_reader r = { .g = g,
                                   .j = j,
                                   .whole = j,
                                   .root = schema,
                                   .loose = loose,
                                   .open = loose,
                                   .order = (enum schema_order)order };

        if (order > SCHEMA_ONE_ORDER && g->node_count + ORDER_NODES < limit)
            g->limit = g->node_count + ORDER_NODES;
        to = schema_value(&r, from, schema);
        g->limit = limit;
        if (g->rc != ERR_LIMIT || order == SCHEMA_ONE_ORDER)
            return to;
        graph_back(g, &was);
    }
    return to;
}

/*
 * constrain_schema.c - a JSON schema as an automaton over the texts that fit
 *
 * What a schema allows is a regular language as long as nesting has an end,
 * so a schema in a schema is written out in place and recursion is refused.
 * A keyword that would change what fits and is not known is refused by name:
 * an answer that only seems to fit is worse than an unconstrained one.
 */
#include "constrain/constrain_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define WS_BLANKS 16
#define LOOSE_DEPTH 16 /* from there on anything fits */
#define NUMBER "-?(0|[1-9][0-9]{0,14})"
#define FRACTION "([.][0-9]{1,15})?([eE][+-]?[0-9]{1,2})?"
#define HEX "[0-9a-fA-F]"
/* What follows the backslash in a string. */
#define ESCAPE                                                                 \
    "([\"\\\\/bfnrt]|u([0-9a-ce-fA-CE-F]" HEX HEX HEX "|[dD][0-7]" HEX HEX     \
    "|[dD][89abAB]" HEX HEX "\\\\u[dD][c-fC-F]" HEX HEX "))"

struct reader {
    struct constrain_graph *g;
    const struct json *j;
    json_ref root; /* that references begin at */
    unsigned depth;
    bool loose; /* nothing is refused */
};

static uint32_t value(struct reader *r, uint32_t from, json_ref s);

static uint32_t fail(struct reader *r, const char *what, struct slice name)
{
    if (r->g->rc == 0)
        r->g->rc =
            err_set(r->g->err, ERR_UNSUPPORTED, "schema: %s%s%.*s", what,
                    name.n ? " " : "", (int)(name.n < 100 ? name.n : 100),
                    name.p ? name.p : "");
    return 0;
}

static uint32_t refuse(struct reader *r, const char *what)
{
    return fail(r, what, (struct slice){ 0 });
}

static uint32_t put(struct reader *r, uint32_t from, const char *text)
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

static uint32_t white(struct reader *r, uint32_t from)
{
    return graph_white(r->g, from);
}

/* Keywords that do not change what fits. */
static bool is_note(struct slice key)
{
    static const char *const notes[] = {
        "title",     "description", "default",     "examples",   "$schema",
        "$id",       "$comment",    "format",      "deprecated", "readOnly",
        "writeOnly", "$defs",       "definitions", "strict"
    };

    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        if (slice_is(key, notes[i]))
            return true;
    return false;
}

static unsigned limit(struct reader *r, json_ref s, const char *key,
                      unsigned otherwise);

/* A type beside anyOf says nothing new where each choice has it too. */
static bool is_type_of_all(const struct reader *r, json_ref type, json_ref list)
{
    for (json_ref e = json_first(r->j, list); e != JSON_NONE;
         e = json_next(r->j, list, e))
        if (!slice_eq(json_raw(r->j, json_get(r->j, e, "type")),
                      json_raw(r->j, type)))
            return false;
    return true;
}

/* $ref and anyOf decide alone, so nothing that changes what fits may stand
 * beside them; of literals those are taken that fit all the rest. */
static void check_beside(struct reader *r, json_ref s)
{
    json_ref ref = json_get(r->j, s, "$ref"), any = json_get(r->j, s, "anyOf");
    bool literals = json_present(json_get(r->j, s, "enum")) ||
                    json_present(json_get(r->j, s, "const"));

    if (!json_present(ref) && (!json_present(any) || literals))
        return;
    for (json_ref e = json_first(r->j, s); e != JSON_NONE;
         e = json_next(r->j, s, e)) {
        struct slice raw = json_raw(r->j, json_key(r->j, e));
        struct slice key = { raw.p + 1, raw.n - 2 };

        if (e == (json_present(ref) ? ref : any) || is_note(key) ||
            (!json_present(ref) && slice_is(key, "type") &&
             is_type_of_all(r, e, any)))
            continue;
        (void)fail(r,
                   json_present(ref)
                       ? "beside $ref this keyword is not supported:"
                       : "beside anyOf this keyword is not supported; put it "
                         "into each choice:",
                   key);
    }
}

static void check_values(struct reader *r, json_ref s)
{
    static const char *const limits[] = { "minLength", "maxLength", "minItems",
                                          "maxItems" };
    json_ref required = json_get(r->j, s, "required");
    bool names = json_is(r->j, required, JSON_ARRAY);

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        (void)limit(r, s, limits[i], 0);
    for (json_ref e = json_first(r->j, required); names && e != JSON_NONE;
         e = json_next(r->j, required, e))
        names = json_is(r->j, e, JSON_STRING);
    if (json_present(required) && !names)
        (void)refuse(r, "required is no list of names");
}

static void check_keywords(struct reader *r, json_ref s)
{
    static const char *const known[] = {
        "type",      "properties", "required", "additionalProperties",
        "items",     "minItems",   "maxItems", "minLength",
        "maxLength", "enum",       "const",    "anyOf",
        "$ref",
    };

    for (json_ref e = json_first(r->j, s); e != JSON_NONE;
         e = json_next(r->j, s, e)) {
        struct slice raw = json_raw(r->j, json_key(r->j, e));
        struct slice key = { raw.p + 1, raw.n - 2 };
        bool fine = is_note(key);

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !fine; i++)
            fine = slice_is(key, known[i]);
        if (!fine && !r->loose)
            (void)fail(r, "this keyword is not supported:", key);
    }
}

static unsigned limit(struct reader *r, json_ref s, const char *key,
                      unsigned otherwise)
{
    json_ref v = json_get(r->j, s, key);
    int64_t n;

    if (!json_present(v))
        return otherwise;
    if (!json_int(r->j, v, &n) || n < 0 || n > CONSTRAIN_MAX_REPEAT) {
        if (r->loose)
            return otherwise;
        (void)fail(r, "not a number from 0 to 2000:", slice_of(key));
        return otherwise;
    }
    return (unsigned)n;
}

static uint32_t characters(struct reader *r, uint32_t from, unsigned min,
                           unsigned max)
{
    struct buf re = { 0 };

    buf_str(&re, "([^\"\\\\");
    for (unsigned c = 0; c < 0x20; c++)
        buf_char(&re, (char)c);
    buf_str(&re, "]|\\\\" ESCAPE ")");
    if (max == UINT32_MAX)
        buf_printf(&re, "{%u,}", min);
    else
        buf_printf(&re, "{%u,%u}", min, max);
    from = graph_regex(r->g, put(r, from, "\""), buf_slice(&re));
    buf_release(&re);
    return put(r, from, "\"");
}

static uint32_t string(struct reader *r, uint32_t from, json_ref s)
{
    unsigned min = limit(r, s, "minLength", 0);
    unsigned max = limit(r, s, "maxLength", UINT32_MAX);

    if (max < min && !r->loose)
        return refuse(r, "maxLength is below minLength");
    return characters(r, from, min, max < min ? UINT32_MAX : max);
}

static uint32_t any_value(struct reader *r, uint32_t from, unsigned depth);

static uint32_t any_string(struct reader *r, uint32_t from)
{
    return characters(r, from, 0, UINT32_MAX);
}

/* Members or elements of any kind, with commas between, and what ends them. */
static uint32_t any_list(struct reader *r, uint32_t from, unsigned depth,
                         bool members)
{
    uint32_t loop = graph_node(r->g), close = graph_node(r->g), at;

    from = white(r, put(r, from, members ? "{" : "["));
    graph_empty(r->g, from, close);
    graph_empty(r->g, from, loop);
    at = loop;
    if (members)
        at = white(r, put(r, white(r, any_string(r, at)), ":"));
    at = white(r, any_value(r, at, depth));
    graph_empty(r->g, at, close);
    graph_empty(r->g, white(r, put(r, at, ",")), loop);
    return put(r, close, members ? "}" : "]");
}

static uint32_t any_value(struct reader *r, uint32_t from, unsigned depth)
{
    uint32_t to = graph_node(r->g);

    graph_empty(r->g, any_string(r, from), to);
    graph_empty(
        r->g,
        graph_regex(r->g, from, slice_of(NUMBER FRACTION "|true|false|null")),
        to);
    for (unsigned members = 0; members < 2 && depth > 1; members++)
        graph_empty(r->g, any_list(r, from, depth - 1, members), to);
    return to;
}

uint32_t graph_document(struct constrain_graph *g, uint32_t from,
                        unsigned depth)
{
    struct reader r = { .g = g, .loose = true };
    uint32_t to = graph_node(g);

    for (unsigned members = 0; members < 2; members++)
        graph_empty(g, any_list(&r, from, depth, members), to);
    return to;
}

static uint32_t array(struct reader *r, uint32_t from, json_ref s)
{
    unsigned min = limit(r, s, "minItems", 0);
    unsigned max = limit(r, s, "maxItems", UINT32_MAX);
    json_ref items = json_get(r->j, s, "items");
    uint32_t close = graph_node(r->g), loop = 0;

    if (!json_is(r->j, items, JSON_OBJECT))
        return r->loose ? any_list(r, from, CONSTRAIN_ANY_DEPTH, false)
                        : refuse(r, "an array needs items");
    if (max < min && !r->loose)
        return refuse(r, "maxItems is below minItems");
    if (max < min)
        max = UINT32_MAX;
    from = white(r, put(r, from, "["));
    if (min == 0)
        graph_empty(r->g, from, close);
    for (unsigned k = 1; k <= (max == UINT32_MAX ? min + 1 : max); k++) {
        if (graph_failed(r->g))
            return 0;
        if (k > 1)
            from = white(r, put(r, from, ","));
        if (max == UINT32_MAX && k == min + 1 && k > 1)
            loop = from;
        from = value(r, from, items);
        from = white(r, from);
        if (k >= min)
            graph_empty(r->g, from, close);
    }
    if (max == UINT32_MAX && loop)
        graph_empty(r->g, white(r, put(r, from, ",")), loop);
    else if (max == UINT32_MAX) {
        loop = white(r, put(r, from, ","));
        graph_empty(r->g, white(r, value(r, loop, items)), from);
    }
    return put(r, close, "]");
}

static bool is_required(struct reader *r, json_ref s, json_ref key)
{
    json_ref list = json_get(r->j, s, "required");
    struct buf name = { 0 }, other = { 0 };
    bool found = false;

    (void)json_text(r->j, key, &name);
    for (json_ref e = json_first(r->j, list); e != JSON_NONE && !found;
         e = json_next(r->j, list, e)) {
        buf_reset(&other);
        found = json_text(r->j, e, &other) &&
                slice_eq(buf_slice(&name), buf_slice(&other));
    }
    buf_release(&name);
    buf_release(&other);
    return found;
}

static uint32_t member(struct reader *r, uint32_t from, json_ref e, bool comma)
{
    if (comma)
        from = white(r, put(r, from, ","));
    from = graph_text(r->g, from, json_raw(r->j, json_key(r->j, e)));
    from = white(r, put(r, white(r, from), ":"));
    return white(r, value(r, from, e));
}

struct members {
    json_ref list[CONSTRAIN_FREE_ORDER];
    bool required[CONSTRAIN_FREE_ORDER];
    uint32_t at[1u << CONSTRAIN_FREE_ORDER]; /* node by set of those seen */
    unsigned count;
};

/* In any order: a node for each set of members seen. */
static void any_order(struct reader *r, uint32_t from, uint32_t close,
                      struct members *m)
{
    unsigned sets = 1u << m->count, needed = 0;

    for (unsigned k = 0; k < m->count; k++)
        needed |= m->required[k] ? 1u << k : 0;
    m->at[0] = from;
    for (unsigned s = 1; s < sets; s++)
        m->at[s] = graph_node(r->g);
    for (unsigned s = 0; s < sets; s++) {
        if ((s & needed) == needed)
            graph_empty(r->g, m->at[s], close);
        for (unsigned k = 0; k < m->count && !graph_failed(r->g); k++)
            if (!(s >> k & 1))
                graph_empty(r->g, member(r, m->at[s], m->list[k], s != 0),
                            m->at[s | 1u << k]);
    }
}

/* In the list's order. Two rows of nodes: nothing seen yet, something. */
static void one_order(struct reader *r, uint32_t from, uint32_t close,
                      json_ref s, const json_ref *list, size_t count)
{
    uint32_t none = from, some = 0;
    bool any = false;

    for (size_t i = 0; i < count && !graph_failed(r->g); i++) {
        bool required = is_required(r, s, json_key(r->j, list[i]));
        uint32_t next = graph_node(r->g);

        if (none)
            graph_empty(r->g, member(r, none, list[i], false), next);
        if (any)
            graph_empty(r->g, member(r, some, list[i], true), next);
        if (!required && any)
            graph_empty(r->g, some, next);
        if (required)
            none = 0;
        some = next;
        any = true;
    }
    if (none)
        graph_empty(r->g, none, close);
    if (any)
        graph_empty(r->g, some, close);
}

/* The schema's order, and that of the names, which is how members stand in
 * what was written canonically. */
static void two_orders(struct reader *r, uint32_t from, uint32_t close,
                       json_ref s, json_ref properties)
{
    size_t count = json_count(r->j, properties), n = 0;
    json_ref *list = mem_array(count, sizeof(*list));
    bool sorted = true;

    for (json_ref e = json_first(r->j, properties); e != JSON_NONE;
         e = json_next(r->j, properties, e))
        list[n++] = e;
    one_order(r, from, close, s, list, n);
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0; k--) {
            json_ref e = list[k];

            if (slice_cmp(json_raw(r->j, json_key(r->j, list[k - 1])),
                          json_raw(r->j, json_key(r->j, e))) <= 0)
                break;
            list[k] = list[k - 1];
            list[k - 1] = e;
            sorted = false;
        }
    if (!sorted)
        one_order(r, from, close, s, list, n);
    free(list);
}

static void check_required(struct reader *r, json_ref s, json_ref properties)
{
    json_ref list = json_get(r->j, s, "required");

    for (json_ref e = json_first(r->j, list); e != JSON_NONE;
         e = json_next(r->j, list, e)) {
        char *name = json_strdup(r->j, e);

        if (!name || !json_present(json_get(r->j, properties, name)))
            (void)fail(r, "required, but not among the properties:",
                       json_raw(r->j, e));
        free(name);
    }
}

static uint32_t object(struct reader *r, uint32_t from, json_ref s)
{
    json_ref properties = json_get(r->j, s, "properties");
    json_ref more = json_get(r->j, s, "additionalProperties");
    struct members m = { .count = 0 };
    uint32_t close = graph_node(r->g);
    bool flag = true;

    if (json_present(more) && json_bool(r->j, more, &flag) && !flag)
        more = JSON_NONE;
    if (r->loose &&
        (json_present(more) || !json_is(r->j, properties, JSON_OBJECT)))
        return any_list(r, from, CONSTRAIN_ANY_DEPTH, true);
    if (!json_is(r->j, properties, JSON_OBJECT))
        return refuse(r, "an object needs properties");
    if (json_present(more))
        return refuse(r, "additionalProperties other than false are not "
                         "supported");
    if (!r->loose)
        check_required(r, s, properties);
    from = white(r, put(r, from, "{"));
    if (json_count(r->j, properties) > CONSTRAIN_FREE_ORDER) {
        two_orders(r, from, close, s, properties);
        return put(r, close, "}");
    }
    for (json_ref e = json_first(r->j, properties); e != JSON_NONE;
         e = json_next(r->j, properties, e)) {
        m.required[m.count] = is_required(r, s, json_key(r->j, e));
        m.list[m.count++] = e;
    }
    any_order(r, from, close, &m);
    return put(r, close, "}");
}

static uint32_t literal(struct reader *r, uint32_t from, json_ref v)
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

static uint32_t typed(struct reader *r, uint32_t from, json_ref s,
                      struct slice type)
{
    if (slice_is(type, "\"string\""))
        return string(r, from, s);
    if (slice_is(type, "\"integer\""))
        return graph_regex(r->g, from, slice_of(NUMBER));
    if (slice_is(type, "\"number\""))
        return graph_regex(r->g, from, slice_of(NUMBER FRACTION));
    if (slice_is(type, "\"boolean\""))
        return graph_regex(r->g, from, slice_of("true|false"));
    if (slice_is(type, "\"null\""))
        return put(r, from, "null");
    if (slice_is(type, "\"array\""))
        return array(r, from, s);
    if (slice_is(type, "\"object\""))
        return object(r, from, s);
    return r->loose ? any_value(r, from, CONSTRAIN_ANY_DEPTH)
                    : fail(r, "no type:", type);
}

/* Each of a list's elements: schemas, or with s its types. */
static uint32_t either(struct reader *r, uint32_t from, json_ref s,
                       json_ref list)
{
    uint32_t to = graph_node(r->g);

    if ((!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list)) &&
        r->loose)
        return any_value(r, from, CONSTRAIN_ANY_DEPTH);
    if (!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list))
        return refuse(r, "enum, anyOf or type is no list with elements");
    for (json_ref e = json_first(r->j, list);
         e != JSON_NONE && !graph_failed(r->g); e = json_next(r->j, list, e))
        graph_empty(r->g,
                    json_present(s) ? typed(r, from, s, json_raw(r->j, e))
                                    : value(r, from, e),
                    to);
    return to;
}

/* Of an enum, or a const alone, what fits all that stands beside it; where
 * nothing is refused and nothing fits, all of it. */
static uint32_t literals(struct reader *r, uint32_t from, json_ref s,
                         json_ref only)
{
    json_ref list = json_get(r->j, s, "enum");
    uint32_t to = graph_node(r->g);
    bool any = false;

    if (!json_present(only) &&
        (!json_is(r->j, list, JSON_ARRAY) || !json_count(r->j, list)))
        return either(r, from, JSON_NONE, list);
    for (json_ref e = json_present(only) ? only : json_first(r->j, list);
         e != JSON_NONE && !graph_failed(r->g);
         e = json_present(only) ? JSON_NONE : json_next(r->j, list, e)) {
        if (json_present(only)
                ? !schema_fits(r->j, r->root, s, e, CONSTRAIN_MAX_DEPTH)
                : !schema_fits_beside(r->j, r->root, s, e, CONSTRAIN_MAX_DEPTH))
            continue;
        graph_empty(r->g, literal(r, from, e), to);
        any = true;
    }
    if (any || graph_failed(r->g))
        return to;
    if (!r->loose)
        return refuse(r, "no value of enum or const fits the keywords beside "
                         "it");
    return json_present(only) ? literal(r, from, only)
                              : any_value(r, from, CONSTRAIN_ANY_DEPTH);
}

static uint32_t reference(struct reader *r, uint32_t from, json_ref v)
{
    json_ref to = schema_referred(r->j, r->root, v);

    if (!json_present(to) && !r->loose)
        return fail(r, "no #/$defs/NAME or #/definitions/NAME that is there:",
                    json_raw(r->j, v));
    return value(r, from, to);
}

/* The first keyword that says what fits decides. */
static uint32_t keyword(struct reader *r, uint32_t from, json_ref s)
{
    json_ref type = json_get(r->j, s, "type"), v;

    if (json_present(v = json_get(r->j, s, "$ref")))
        return reference(r, from, v);
    if (json_present(v = json_get(r->j, s, "const")) ||
        json_present(json_get(r->j, s, "enum")))
        return literals(r, from, s, v);
    if (json_present(v = json_get(r->j, s, "anyOf")) ||
        (r->loose && json_present(v = json_get(r->j, s, "oneOf"))))
        return either(r, from, JSON_NONE, v);
    if (json_is(r->j, type, JSON_ARRAY))
        return either(r, from, s, type);
    if (json_present(type))
        return typed(r, from, s, json_raw(r->j, type));
    if (json_present(json_get(r->j, s, "properties")))
        return object(r, from, s);
    return r->loose
               ? any_value(r, from, CONSTRAIN_ANY_DEPTH)
               : refuse(r, "a schema needs type, enum, const, anyOf or $ref");
}

static uint32_t value(struct reader *r, uint32_t from, json_ref s)
{
    bool deep = r->depth == (r->loose ? LOOSE_DEPTH : CONSTRAIN_MAX_DEPTH);

    if (r->loose && (deep || !json_is(r->j, s, JSON_OBJECT)))
        return any_value(r, from, CONSTRAIN_ANY_DEPTH);
    if (!json_is(r->j, s, JSON_OBJECT))
        return refuse(r, "a schema must be an object");
    if (deep)
        return refuse(r, "it is nested too deeply, or recursive");
    check_keywords(r, s);
    if (!r->loose) {
        check_beside(r, s);
        check_values(r, s);
    }
    if (graph_failed(r->g))
        return 0;
    r->depth++;
    from = keyword(r, from, s);
    r->depth--;
    return from;
}

uint32_t graph_schema(struct constrain_graph *g, uint32_t from,
                      const struct json *j, json_ref schema, bool loose)
{
    struct reader r = { g, j, schema, 0, loose };

    return value(&r, from, schema);
}

/*
 * curate_schema.c - do the arguments of a tool call fit its schema?
 *
 * The subset of JSON Schema that tool definitions use. Schemas in the wild
 * speak dialects (Python's "dict", "float", "tuple", "any"; null for an
 * optional value), and a call that is dropped for a loose schema is a loss, so
 * whatever is not understood fits.
 */
#include "curate/curate_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_ANY,
    KIND_STRING,
    KIND_INTEGER,
    KIND_NUMBER,
    KIND_BOOLEAN,
    KIND_ARRAY,
    KIND_OBJECT,
    KIND_NULL,
};

static enum kind kind_named(const struct json *j, json_ref name)
{
    static const struct {
        const char *name;
        enum kind kind;
    } table[] = {
        { "string", KIND_STRING },   { "integer", KIND_INTEGER },
        { "int", KIND_INTEGER },     { "number", KIND_NUMBER },
        { "float", KIND_NUMBER },    { "double", KIND_NUMBER },
        { "boolean", KIND_BOOLEAN }, { "bool", KIND_BOOLEAN },
        { "array", KIND_ARRAY },     { "list", KIND_ARRAY },
        { "tuple", KIND_ARRAY },     { "object", KIND_OBJECT },
        { "dict", KIND_OBJECT },     { "null", KIND_NULL },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (json_text_is(j, name, table[i].name))
            return table[i].kind;
    return KIND_ANY;
}

static bool is_integer(const struct json *j, json_ref v)
{
    double d;

    return json_double(j, v, &d) && d == floor(d);
}

static bool is_kind(enum kind kind, const struct json *j, json_ref v)
{
    enum json_type t = json_kind(j, v);

    switch (kind) {
    case KIND_STRING: return t == JSON_STRING;
    case KIND_INTEGER: return is_integer(j, v);
    case KIND_NUMBER: return t == JSON_NUMBER;
    case KIND_BOOLEAN: return t == JSON_TRUE || t == JSON_FALSE;
    case KIND_ARRAY: return t == JSON_ARRAY;
    case KIND_OBJECT: return t == JSON_OBJECT;
    case KIND_NULL: return t == JSON_NULL;
    default: return true;
    }
}

static bool type_fits(const struct json *sj, json_ref schema,
                      const struct json *vj, json_ref v)
{
    json_ref type = json_get(sj, schema, "type");
    bool nullable = false;

    if (json_bool(sj, json_get(sj, schema, "nullable"), &nullable) &&
        nullable && json_kind(vj, v) == JSON_NULL)
        return true;
    if (json_is(sj, type, JSON_STRING))
        return is_kind(kind_named(sj, type), vj, v);
    if (!json_is(sj, type, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(sj, type); e != JSON_NONE;
         e = json_next(sj, type, e))
        if (is_kind(kind_named(sj, e), vj, v))
            return true;
    return json_count(sj, type) == 0;
}

static bool same_value(const struct json *a, json_ref x, const struct json *b,
                       json_ref y)
{
    struct buf p = { 0 }, q = { 0 };
    bool same;

    json_canonical(a, x, &p);
    json_canonical(b, y, &q);
    same = slice_eq(buf_slice(&p), buf_slice(&q));
    buf_release(&p);
    buf_release(&q);
    return same;
}

static bool enum_fits(const struct json *sj, json_ref schema,
                      const struct json *vj, json_ref v)
{
    json_ref list = json_get(sj, schema, "enum");
    json_ref one = json_get(sj, schema, "const");

    if (one != JSON_NONE && !same_value(sj, one, vj, v))
        return false;
    if (!json_count(sj, list))
        return true;
    for (json_ref e = json_first(sj, list); e != JSON_NONE;
         e = json_next(sj, list, e))
        if (same_value(sj, e, vj, v))
            return true;
    return false;
}

/* A key of the value among the schema's properties. */
static json_ref property_of(const struct json *sj, json_ref properties,
                            const struct json *vj, json_ref value)
{
    char *name = json_strdup(vj, json_key(vj, value));
    json_ref p = json_get(sj, properties, name);

    free(name);
    return p;
}

static bool is_required(const struct json *sj, json_ref schema,
                        const struct json *vj, json_ref value)
{
    json_ref list = json_get(sj, schema, "required");
    char *name = json_strdup(vj, json_key(vj, value));
    bool found = false;

    if (json_is(sj, list, JSON_ARRAY))
        for (json_ref e = json_first(sj, list); e != JSON_NONE && !found;
             e = json_next(sj, list, e))
            found = json_text_is(sj, e, name);
    free(name);
    return found;
}

static bool required_are_there(const struct json *sj, json_ref schema,
                               const struct json *vj, json_ref v)
{
    json_ref list = json_get(sj, schema, "required");
    bool there = true;

    if (!json_is(sj, list, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(sj, list); e != JSON_NONE && there;
         e = json_next(sj, list, e)) {
        char *name = json_strdup(sj, e);

        there = !name || json_get(vj, v, name) != JSON_NONE;
        free(name);
    }
    return there;
}

static bool object_fits(const struct json *sj, json_ref schema,
                        const struct json *vj, json_ref v)
{
    json_ref properties = json_get(sj, schema, "properties");
    json_ref others = json_get(sj, schema, "additionalProperties");

    if (!required_are_there(sj, schema, vj, v))
        return false;
    for (json_ref e = json_first(vj, v); e != JSON_NONE;
         e = json_next(vj, v, e)) {
        json_ref p = property_of(sj, properties, vj, e);

        if (json_kind(vj, e) == JSON_NULL && !is_required(sj, schema, vj, e))
            continue; /* null stands for "not given" */
        if (p == JSON_NONE && json_is(sj, others, JSON_FALSE))
            return false;
        if (p == JSON_NONE)
            p = others;
        if (!curate_schema_fits(sj, p, vj, e))
            return false;
    }
    return true;
}

static bool array_fits(const struct json *sj, json_ref schema,
                       const struct json *vj, json_ref v)
{
    json_ref items = json_get(sj, schema, "items");
    json_ref fixed = json_get(sj, schema, "prefixItems");
    size_t i = 0;

    if (json_is(sj, items, JSON_ARRAY)) {
        fixed = items;
        items = JSON_NONE;
    }
    for (json_ref e = json_first(vj, v); e != JSON_NONE;
         e = json_next(vj, v, e), i++)
        if (!curate_schema_fits(
                sj, i < json_count(sj, fixed) ? json_at(sj, fixed, i) : items,
                vj, e))
            return false;
    return true;
}

static bool combination_fits(const struct json *sj, json_ref schema,
                             const struct json *vj, json_ref v)
{
    json_ref all = json_get(sj, schema, "allOf");
    json_ref any = json_get(sj, schema, "anyOf");

    if (any == JSON_NONE)
        any = json_get(sj, schema, "oneOf");
    if (json_is(sj, all, JSON_ARRAY))
        for (json_ref e = json_first(sj, all); e != JSON_NONE;
             e = json_next(sj, all, e))
            if (!curate_schema_fits(sj, e, vj, v))
                return false;
    if (!json_is(sj, any, JSON_ARRAY) || !json_count(sj, any))
        return true;
    for (json_ref e = json_first(sj, any); e != JSON_NONE;
         e = json_next(sj, any, e))
        if (curate_schema_fits(sj, e, vj, v))
            return true;
    return false;
}

bool curate_schema_fits(const struct json *sj, json_ref schema,
                        const struct json *vj, json_ref v)
{
    if (!json_is(sj, schema, JSON_OBJECT))
        return true;
    if (!type_fits(sj, schema, vj, v) || !enum_fits(sj, schema, vj, v) ||
        !combination_fits(sj, schema, vj, v))
        return false;
    if (json_is(vj, v, JSON_OBJECT))
        return object_fits(sj, schema, vj, v);
    return !json_is(vj, v, JSON_ARRAY) || array_fits(sj, schema, vj, v);
}

/* The definition of a tool by name: the object that holds "parameters". */
static json_ref find_tool(const struct json *j, json_ref name_text,
                          const struct json *from, bool *any)
{
    static const char *const lists[] = { "tools", "functions" };
    char *name = json_strdup(from, name_text);
    json_ref found = JSON_NONE;

    *any = false;
    for (size_t i = 0; name && i < 2; i++) {
        json_ref list = json_get(j, 0, lists[i]);

        if (!json_is(j, list, JSON_ARRAY))
            continue;
        *any |= json_count(j, list) == 0; /* says that there are none */
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e)) {
            json_ref f = i ? e : json_get(j, e, "function");

            *any |= json_is(j, f, JSON_OBJECT);
            if (json_text_is(j, json_get(j, f, "name"), name))
                found = f;
        }
    }
    free(name);
    return found;
}

static bool call_fits(struct curate_judge *g, json_ref function)
{
    const struct json *answer = &g->response;
    json_ref arguments = json_get(answer, function, "arguments");
    bool offered;
    json_ref tool = find_tool(&g->request, json_get(answer, function, "name"),
                              answer, &offered);

    if (offered && tool == JSON_NONE)
        return false;
    buf_reset(&g->text);
    if (!json_text(answer, arguments, &g->text))
        return false;
    if (!slice_trim(buf_slice(&g->text)).n) /* some servers: no arguments */
        buf_str(&g->text, "{}");
    if (json_parse(&g->arguments, g->text.data, g->text.len, NULL) < 0 ||
        !json_is(&g->arguments, 0, JSON_OBJECT))
        return false;
    return curate_schema_fits(&g->request,
                              json_get(&g->request, tool, "parameters"),
                              &g->arguments, 0);
}

bool curate_tool_calls_fit(struct curate_judge *g, json_ref message)
{
    const struct json *j = &g->response;
    json_ref calls = json_get(j, message, "tool_calls");
    json_ref one = json_get(j, message, "function_call");

    if (json_is(j, one, JSON_OBJECT) && !call_fits(g, one))
        return false;
    if (!json_is(j, calls, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(j, calls); e != JSON_NONE;
         e = json_next(j, calls, e)) {
        json_ref f = json_get(j, e, "function");

        if (f != JSON_NONE && !call_fits(g, f)) /* custom tools: no schema */
            return false;
    }
    return true;
}

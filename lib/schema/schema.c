/*
 * schema.c - does a value fit its schema?
 *
 * Schemas in the wild speak dialects (Python's "dict", "float", "tuple",
 * "any"; null for an optional value), and what is dropped for a loose schema
 * is a loss, so whatever is not understood fits.
 */
#include "schema/schema.h"

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

static const char *fault_of(const struct json *sj, json_ref schema,
                            const struct json *vj, json_ref v);

static const char *object_fault(const struct json *sj, json_ref schema,
                                const struct json *vj, json_ref v)
{
    json_ref properties = json_get(sj, schema, "properties");
    json_ref others = json_get(sj, schema, "additionalProperties");

    if (!required_are_there(sj, schema, vj, v))
        return "required";
    for (json_ref e = json_first(vj, v); e != JSON_NONE;
         e = json_next(vj, v, e)) {
        json_ref p = property_of(sj, properties, vj, e);
        const char *fault;

        if (json_kind(vj, e) == JSON_NULL && !is_required(sj, schema, vj, e))
            continue; /* null stands for "not given" */
        if (p == JSON_NONE && json_is(sj, others, JSON_FALSE))
            return "additionalProperties";
        if (p == JSON_NONE)
            p = others;
        fault = fault_of(sj, p, vj, e);
        if (fault)
            return fault;
    }
    return NULL;
}

static const char *array_fault(const struct json *sj, json_ref schema,
                               const struct json *vj, json_ref v)
{
    json_ref items = json_get(sj, schema, "items");
    json_ref fixed = json_get(sj, schema, "prefixItems");
    const char *fault = NULL;
    size_t i = 0;

    if (json_is(sj, items, JSON_ARRAY)) {
        fixed = items;
        items = JSON_NONE;
    }
    for (json_ref e = json_first(vj, v); e != JSON_NONE && !fault;
         e = json_next(vj, v, e), i++)
        fault = fault_of(
            sj, i < json_count(sj, fixed) ? json_at(sj, fixed, i) : items, vj,
            e);
    return fault;
}

static const char *combination_fault(const struct json *sj, json_ref schema,
                                     const struct json *vj, json_ref v)
{
    json_ref all = json_get(sj, schema, "allOf");
    json_ref any = json_get(sj, schema, "anyOf");
    const char *fault = NULL;

    if (any == JSON_NONE)
        any = json_get(sj, schema, "oneOf");
    if (json_is(sj, all, JSON_ARRAY))
        for (json_ref e = json_first(sj, all); e != JSON_NONE && !fault;
             e = json_next(sj, all, e))
            fault = fault_of(sj, e, vj, v);
    if (fault || !json_is(sj, any, JSON_ARRAY) || !json_count(sj, any))
        return fault;
    for (json_ref e = json_first(sj, any); e != JSON_NONE;
         e = json_next(sj, any, e))
        if (!fault_of(sj, e, vj, v))
            return NULL;
    return "anyOf";
}

static const char *fault_of(const struct json *sj, json_ref schema,
                            const struct json *vj, json_ref v)
{
    const char *fault;

    if (!json_is(sj, schema, JSON_OBJECT))
        return NULL;
    if (!type_fits(sj, schema, vj, v))
        return "type";
    if (!enum_fits(sj, schema, vj, v))
        return "enum";
    fault = combination_fault(sj, schema, vj, v);
    if (!fault && json_is(vj, v, JSON_OBJECT))
        fault = object_fault(sj, schema, vj, v);
    if (!fault && json_is(vj, v, JSON_ARRAY))
        fault = array_fault(sj, schema, vj, v);
    return fault;
}

bool schema_allows(const struct json *sj, json_ref schema,
                   const struct json *vj, json_ref value, const char **why)
{
    const char *fault = fault_of(sj, schema, vj, value);

    if (why)
        *why = fault;
    return !fault;
}

/*
 * constrain_fits.c - does a value of a schema's text fit the schema
 *
 * Literals (enum, const) stand beside other keywords that leave only some of
 * them. The same keywords are known here as in constrain_schema.c; what is
 * not known has been refused there. It is no validator of documents.
 */
#include "constrain/constrain_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_ref schema_referred(const struct json *j, json_ref root, json_ref v)
{
    char *path = json_strdup(j, v);
    json_ref found = JSON_NONE;

    if (path && strncmp(path, "#/$defs/", 8) == 0)
        found = json_find(j, root, "$defs", path + 8, NULL);
    else if (path && strncmp(path, "#/definitions/", 14) == 0)
        found = json_find(j, root, "definitions", path + 14, NULL);
    free(path);
    return found;
}

static bool has_type(const struct json *j, json_ref type, json_ref v)
{
    double x;

    if (json_text_is(j, type, "string"))
        return json_is(j, v, JSON_STRING);
    if (json_text_is(j, type, "number"))
        return json_is(j, v, JSON_NUMBER);
    if (json_text_is(j, type, "integer"))
        return json_double(j, v, &x) && floor(x) >= x;
    if (json_text_is(j, type, "boolean"))
        return json_is(j, v, JSON_TRUE) || json_is(j, v, JSON_FALSE);
    if (json_text_is(j, type, "null"))
        return json_is(j, v, JSON_NULL);
    if (json_text_is(j, type, "array"))
        return json_is(j, v, JSON_ARRAY);
    return json_text_is(j, type, "object") && json_is(j, v, JSON_OBJECT);
}

static bool fits_type(const struct json *j, json_ref type, json_ref v)
{
    if (!json_is(j, type, JSON_ARRAY))
        return !json_present(type) || has_type(j, type, v);
    for (json_ref e = json_first(j, type); e != JSON_NONE;
         e = json_next(j, type, e))
        if (has_type(j, e, v))
            return true;
    return false;
}

static bool is_within(const struct json *j, json_ref s, const char *min,
                      const char *max, size_t n)
{
    int64_t bound;

    if (json_int(j, json_get(j, s, min), &bound) && (int64_t)n < bound)
        return false;
    return !json_int(j, json_get(j, s, max), &bound) || (int64_t)n <= bound;
}

static size_t characters(const struct json *j, json_ref v)
{
    struct buf text = { 0 };
    size_t n = 0;

    (void)json_text(j, v, &text);
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    buf_release(&text);
    return n;
}

static bool is_equal(const struct json *j, json_ref a, json_ref b)
{
    struct slice p = json_raw(j, a), q = json_raw(j, b);
    struct buf x = { 0 }, y = { 0 };
    bool same;

    if (slice_eq(p, q))
        return true;
    if (json_is(j, a, JSON_STRING) && json_is(j, b, JSON_STRING) &&
        !memchr(p.p, '\\', p.n) && !memchr(q.p, '\\', q.n))
        return false;
    json_canonical(j, a, &x);
    json_canonical(j, b, &y);
    same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

static bool is_among(const struct json *j, json_ref list, json_ref v)
{
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        if (is_equal(j, e, v))
            return true;
    return false;
}

static bool fits_object(const struct json *j, json_ref root, json_ref s,
                        json_ref v, unsigned depth)
{
    json_ref properties = json_get(j, s, "properties");
    json_ref required = json_get(j, s, "required");
    bool more = true, fits = true;

    (void)json_bool(j, json_get(j, s, "additionalProperties"), &more);
    for (json_ref e = json_first(j, v); e != JSON_NONE && fits;
         e = json_next(j, v, e)) {
        char *name = json_strdup(j, json_key(j, e));
        json_ref own = name ? json_get(j, properties, name) : JSON_NONE;

        fits = json_present(own) ? schema_fits(j, root, own, e, depth) : more;
        free(name);
    }
    for (json_ref e = json_first(j, required); e != JSON_NONE && fits;
         e = json_next(j, required, e)) {
        char *name = json_strdup(j, e);

        fits = !name || json_present(json_get(j, v, name));
        free(name);
    }
    return fits;
}

static bool fits_array(const struct json *j, json_ref root, json_ref s,
                       json_ref v, unsigned depth)
{
    json_ref items = json_get(j, s, "items");

    if (!is_within(j, s, "minItems", "maxItems", json_count(j, v)))
        return false;
    for (json_ref e = json_first(j, v); e != JSON_NONE; e = json_next(j, v, e))
        if (!schema_fits(j, root, items, e, depth))
            return false;
    return true;
}

static bool fits_any(const struct json *j, json_ref root, json_ref list,
                     json_ref v, unsigned depth)
{
    if (!json_is(j, list, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        if (schema_fits(j, root, e, v, depth))
            return true;
    return false;
}

bool schema_fits(const struct json *j, json_ref root, json_ref s, json_ref v,
                 unsigned depth)
{
    json_ref own = json_get(j, s, "enum");

    return (depth == 0 || !json_is(j, own, JSON_ARRAY) ||
            is_among(j, own, v)) &&
           schema_fits_beside(j, root, s, v, depth);
}

bool schema_fits_beside(const struct json *j, json_ref root, json_ref s,
                        json_ref v, unsigned depth)
{
    json_ref own;

    if (depth == 0 || !json_is(j, s, JSON_OBJECT))
        return true;
    depth--;
    own = json_get(j, s, "$ref");
    if (json_present(own) &&
        !schema_fits(j, root, schema_referred(j, root, own), v, depth))
        return false;
    own = json_get(j, s, "const");
    if (json_present(own) && !is_equal(j, own, v))
        return false;
    if (!fits_type(j, json_get(j, s, "type"), v) ||
        !fits_any(j, root, json_get(j, s, "anyOf"), v, depth))
        return false;
    if (json_is(j, v, JSON_STRING))
        return is_within(j, s, "minLength", "maxLength", characters(j, v));
    if (json_is(j, v, JSON_ARRAY))
        return fits_array(j, root, s, v, depth);
    return !json_is(j, v, JSON_OBJECT) || fits_object(j, root, s, v, depth);
}

/*
 * constrain_fits.c - does a value of a schema's text fit the schema
 *
 * Literals (enum, const) stand beside other keywords that leave only some of
 * them. The same keywords are known here as in constrain_schema.c, but for
 * expressions and formats; what is not known has been refused there. It is no
 * validator of documents.
 */
#include "constrain/constrain_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "~1" is a slash and "~0" a tilde, in place. */
static void unescape_step(char *p)
{
    char *to = p;

    for (; *p; p++) {
        *to = *p;
        if (*p == '~' && (p[1] == '0' || p[1] == '1'))
            *to = *++p == '1' ? '/' : '~';
        to++;
    }
    *to = '\0';
}

json_ref schema_referred(const struct json *j, const struct json *whole,
                         json_ref root, json_ref v)
{
    char *path = json_strdup(j, v), *step = path, *next;
    json_ref at =
        path && *path == '#' && (!path[1] || path[1] == '/') ? root : JSON_NONE;

    while (json_present(at) && (step = strchr(step, '/'))) {
        step++;
        next = strchr(step, '/');
        if (next)
            *next = '\0';
        unescape_step(step);
        at = json_is(whole, at, JSON_ARRAY)
                 ? json_at(whole, at, (size_t)strtoul(step, NULL, 10))
                 : json_get(whole, at, step);
        if (!next)
            break;
        *next = '/';
        step = next;
    }
    free(path);
    return at;
}

static bool has_type(const struct schema_place *p, json_ref type,
                     const struct json *j, json_ref v)
{
    double x;

    if (json_text_is(p->j, type, "string"))
        return json_is(j, v, JSON_STRING);
    if (json_text_is(p->j, type, "number"))
        return json_is(j, v, JSON_NUMBER);
    if (json_text_is(p->j, type, "integer"))
        return json_double(j, v, &x) && floor(x) >= x;
    if (json_text_is(p->j, type, "boolean"))
        return json_is(j, v, JSON_TRUE) || json_is(j, v, JSON_FALSE);
    if (json_text_is(p->j, type, "null"))
        return json_is(j, v, JSON_NULL);
    if (json_text_is(p->j, type, "array"))
        return json_is(j, v, JSON_ARRAY);
    return json_text_is(p->j, type, "object") && json_is(j, v, JSON_OBJECT);
}

static json_ref own(const struct schema_place *p, const char *key)
{
    return json_get(p->j, p->s, key);
}

static bool fits_type(const struct schema_place *p, const struct json *j,
                      json_ref v)
{
    json_ref type = own(p, "type");

    if (!json_is(p->j, type, JSON_ARRAY))
        return !json_present(type) || has_type(p, type, j, v);
    for (json_ref e = json_first(p->j, type); e != JSON_NONE;
         e = json_next(p->j, type, e))
        if (has_type(p, e, j, v))
            return true;
    return false;
}

static bool is_within(const struct schema_place *p, const char *min,
                      const char *max, size_t n)
{
    int64_t bound;

    if (json_int(p->j, own(p, min), &bound) && (int64_t)n < bound)
        return false;
    return !json_int(p->j, own(p, max), &bound) || (int64_t)n <= bound;
}

static bool fits_number(const struct schema_place *p, double x)
{
    bool without = false;
    double bound;

    if (json_double(p->j, own(p, "minimum"), &bound) &&
        (x < bound || (json_bool(p->j, own(p, "exclusiveMinimum"), &without) &&
                       without && !(x > bound))))
        return false;
    if (json_double(p->j, own(p, "exclusiveMinimum"), &bound) && !(x > bound))
        return false;
    without = false;
    if (json_double(p->j, own(p, "maximum"), &bound) &&
        (x > bound || (json_bool(p->j, own(p, "exclusiveMaximum"), &without) &&
                       without && !(x < bound))))
        return false;
    return !json_double(p->j, own(p, "exclusiveMaximum"), &bound) || x < bound;
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

static bool is_equal(const struct json *a, json_ref x, const struct json *b,
                     json_ref y)
{
    struct slice u = json_raw(a, x), v = json_raw(b, y);
    struct buf p = { 0 }, q = { 0 };
    bool same;

    if (slice_eq(u, v))
        return true;
    if (json_is(a, x, JSON_STRING) && json_is(b, y, JSON_STRING) &&
        !memchr(u.p, '\\', u.n) && !memchr(v.p, '\\', v.n))
        return false;
    json_canonical(a, x, &p);
    json_canonical(b, y, &q);
    same = slice_eq(buf_slice(&p), buf_slice(&q));
    buf_release(&p);
    buf_release(&q);
    return same;
}

static bool is_among(const struct schema_place *p, json_ref list,
                     const struct json *j, json_ref v)
{
    for (json_ref e = json_first(p->j, list); e != JSON_NONE;
         e = json_next(p->j, list, e))
        if (is_equal(p->j, e, j, v))
            return true;
    return false;
}

static struct schema_place part_of(const struct schema_place *p, json_ref s)
{
    struct schema_place part = *p;

    part.s = s;
    return part;
}

static bool fits_object(const struct schema_place *p, const struct json *j,
                        json_ref v, unsigned depth)
{
    json_ref properties = own(p, "properties"), required = own(p, "required");
    json_ref rest = own(p, "additionalProperties");
    bool more = true, fits = true;

    (void)json_bool(p->j, rest, &more);
    for (json_ref e = json_first(j, v); e != JSON_NONE && fits;
         e = json_next(j, v, e)) {
        char *name = json_strdup(j, json_key(j, e));
        json_ref s = name ? json_get(p->j, properties, name) : JSON_NONE;

        fits = json_present(s)
                   ? schema_fits(part_of(p, s), j, e, depth)
                   : more && schema_fits(part_of(p, rest), j, e, depth);
        free(name);
    }
    for (json_ref e = json_first(p->j, required); e != JSON_NONE && fits;
         e = json_next(p->j, required, e)) {
        char *name = json_strdup(p->j, e);

        fits = !name || json_present(json_get(j, v, name));
        free(name);
    }
    return fits &&
           is_within(p, "minProperties", "maxProperties", json_count(j, v));
}

static bool fits_array(const struct schema_place *p, const struct json *j,
                       json_ref v, unsigned depth)
{
    json_ref items = own(p, "items"), first = own(p, "prefixItems");
    size_t i = 0, n = json_count(p->j, first);
    bool more = true;

    if (!is_within(p, "minItems", "maxItems", json_count(j, v)))
        return false;
    (void)json_bool(p->j, items, &more);
    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e), i++) {
        json_ref s = i < n ? json_at(p->j, first, i) : items;

        if ((i >= n && !more) || !schema_fits(part_of(p, s), j, e, depth))
            return false;
    }
    return true;
}

/* Schemas of a list that the value fits; a list that is none: SIZE_MAX. */
static size_t fitting(const struct schema_place *p, const char *key,
                      const struct json *j, json_ref v, unsigned depth)
{
    json_ref list = own(p, key);
    size_t n = 0;

    if (!json_is(p->j, list, JSON_ARRAY))
        return SIZE_MAX;
    for (json_ref e = json_first(p->j, list); e != JSON_NONE;
         e = json_next(p->j, list, e))
        n += schema_fits(part_of(p, e), j, v, depth);
    return n;
}

static bool fits_parts(const struct schema_place *p, const struct json *j,
                       json_ref v, unsigned depth)
{
    json_ref ref = own(p, "$ref"), all = own(p, "allOf");
    size_t one = fitting(p, "oneOf", j, v, depth);
    struct schema_place to = { p->whole, p->whole, JSON_NONE, p->root };

    if (json_present(ref)) {
        to.s = schema_referred(p->j, p->whole, p->root, ref);
        if (!schema_fits(to, j, v, depth))
            return false;
    }
    if (json_is(p->j, all, JSON_ARRAY) &&
        fitting(p, "allOf", j, v, depth) != json_count(p->j, all))
        return false;
    return fitting(p, "anyOf", j, v, depth) > 0 &&
           (one == 1 || one == SIZE_MAX);
}

bool schema_fits(struct schema_place at, const struct json *j, json_ref v,
                 unsigned depth)
{
    json_ref list = own(&at, "enum");

    return (depth == 0 || !json_is(at.j, list, JSON_ARRAY) ||
            is_among(&at, list, j, v)) &&
           schema_fits_beside(at, j, v, depth);
}

bool schema_fits_beside(struct schema_place at, const struct json *j,
                        json_ref v, unsigned depth)
{
    const struct schema_place *p = &at;
    json_ref only = own(p, "const");
    double x;

    if (json_is(p->j, at.s, JSON_FALSE))
        return false;
    if (depth == 0 || !json_is(p->j, at.s, JSON_OBJECT))
        return true;
    depth--;
    if (!fits_parts(p, j, v, depth) ||
        (json_present(only) && !is_equal(p->j, only, j, v)) ||
        !fits_type(p, j, v))
        return false;
    if (json_is(j, v, JSON_STRING))
        return is_within(p, "minLength", "maxLength", characters(j, v));
    if (json_double(j, v, &x))
        return fits_number(p, x);
    if (json_is(j, v, JSON_ARRAY))
        return fits_array(p, j, v, depth);
    return !json_is(j, v, JSON_OBJECT) || fits_object(p, j, v, depth);
}

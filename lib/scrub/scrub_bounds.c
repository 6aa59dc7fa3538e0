/*
 * scrub_bounds.c - what a record's schemas allow of moments and parts of days
 *
 * A moved year may leave the list or the range that the tool gives it, and an
 * argument must stay what its schema allows. Schemas of properties that are
 * named as moments are kept as text and read when a value moves, which is rare.
 * Enumerations, ranges and patterns; no other keyword, and no other value.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDS_MAX 256  /* of a record; more are not followed */
#define SCHEMA_MAX 4096 /* bytes of a property's */
#define NUMBER_BYTES 32

struct bound {
    size_t name, name_len, schema, schema_len;
};

struct scrub_bounds {
    struct buf text;
    struct bound item[BOUNDS_MAX];
    size_t count;
};

struct scrub_bounds *scrub_bounds_new(void)
{
    return mem_zalloc(sizeof(struct scrub_bounds));
}

void scrub_bounds_reset(struct scrub_bounds *b)
{
    buf_reset(&b->text);
    b->count = 0;
}

void scrub_bounds_free(struct scrub_bounds *b)
{
    if (b)
        buf_release(&b->text);
    free(b);
}

static bool bounds(const struct json *j, json_ref schema)
{
    static const char *const words[] = { "enum",
                                         "const",
                                         "minimum",
                                         "maximum",
                                         "exclusiveMinimum",
                                         "exclusiveMaximum",
                                         "pattern" };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (json_present(json_get(j, schema, words[i])))
            return true;
    return false;
}

void scrub_bounds_learn(struct scrub_bounds *b, struct slice name,
                        const struct json *j, json_ref schema)
{
    struct slice raw = json_raw(j, schema);
    struct bound *x = &b->item[b->count];

    if (b->count == BOUNDS_MAX || raw.n > SCHEMA_MAX || !bounds(j, schema))
        return;
    x->name = b->text.len;
    x->name_len = name.n;
    buf_add_slice(&b->text, name);
    x->schema = b->text.len;
    x->schema_len = raw.n;
    buf_add_slice(&b->text, raw);
    b->count++;
}

static bool is_value(const struct json *j, json_ref member, struct slice v,
                     bool text)
{
    struct slice raw = json_raw(j, member);

    if (!text)
        return json_is(j, member, JSON_NUMBER) && slice_eq(raw, v);
    return json_is(j, member, JSON_STRING) && raw.n == v.n + 2 &&
           memcmp(raw.p + 1, v.p, v.n) == 0;
}

static bool is_listed(const struct json *j, json_ref schema, struct slice v,
                      bool text)
{
    json_ref list = json_get(j, schema, "enum");
    json_ref only = json_get(j, schema, "const");

    if (json_present(only) && !is_value(j, only, v, text))
        return false;
    if (!json_is(j, list, JSON_ARRAY))
        return true;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        if (is_value(j, e, v, text))
            return true;
    return false;
}

static bool in_range(const struct json *j, json_ref schema, struct slice v)
{
    char digits[NUMBER_BYTES];
    double n, limit;

    if (v.n >= sizeof(digits))
        return true;
    memcpy(digits, v.p, v.n);
    digits[v.n] = '\0';
    n = strtod(digits, NULL);
    if (json_double(j, json_get(j, schema, "minimum"), &limit) && n < limit)
        return false;
    if (json_double(j, json_get(j, schema, "maximum"), &limit) && n > limit)
        return false;
    if (json_double(j, json_get(j, schema, "exclusiveMinimum"), &limit) &&
        n <= limit)
        return false;
    return !json_double(j, json_get(j, schema, "exclusiveMaximum"), &limit) ||
           n < limit;
}

/* A pattern that is none for us forbids nothing. */
static bool has_pattern(struct scrub_worker *w, const struct json *j,
                        json_ref schema, struct slice v)
{
    json_ref pattern = json_get(j, schema, "pattern");
    struct buf text = { 0 };
    struct regex *r = NULL;
    struct regex_match m;
    bool fits = true;

    if (!json_is(j, pattern, JSON_STRING))
        return true;
    (void)json_text(j, pattern, &text);
    if (regex_compile(buf_slice(&text), REGEX_UTF | REGEX_NO_JIT, &r, NULL) ==
        ERR_OK)
        fits = regex_find(r, w->scratch, v, 0, &m, NULL) != 0;
    regex_free(r);
    buf_release(&text);
    return fits;
}

static bool fits(struct scrub_worker *w, const struct json *j, struct slice v,
                 bool text, bool moves)
{
    return ((text && moves) || is_listed(j, 0, v, text)) &&
           (text ? has_pattern(w, j, 0, v) : in_range(j, 0, v));
}

bool scrub_bounds_allow(struct scrub_worker *w, struct slice name,
                        struct slice was, struct slice now, bool text,
                        bool moves)
{
    const struct scrub_bounds *b = w->bounds;
    bool allowed = true;

    for (size_t i = 0; i < b->count && allowed; i++) {
        const struct bound *x = &b->item[i];
        struct json j = { 0 };

        if (x->name_len != name.n ||
            memcmp(b->text.data + x->name, name.p, name.n) != 0)
            continue;
        if (json_parse(&j, b->text.data + x->schema, x->schema_len, NULL) ==
            ERR_OK)
            allowed =
                fits(w, &j, now, text, moves) || !fits(w, &j, was, text, moves);
        json_release(&j);
    }
    return allowed;
}

/*
 * score_tool.c - tool calls compared with the calls of the reference
 *
 * The rules follow BFCL's AST check where a single logged call can stand for
 * its lists of allowed values: name, required parameters, no unexpected one,
 * types, strings without punctuation and case, several calls in any order
 * (each reference call in turn takes the first free match). It differs where
 * it must: nested objects are compared all the way down, a default of the
 * schema may be left out, and a malformed call is never an abstention.
 */
#include "base/mem.h"
#include "scoring/score_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

static bool numbers_equal(const struct json *a, json_ref x,
                          const struct json *b, json_ref y)
{
    int64_t i, k;
    double p, q;

    if (json_int(a, x, &i) && json_int(b, y, &k))
        return i == k;
    return json_double(a, x, &p) && json_double(b, y, &q) && p == q;
}

static bool values_equal(const struct json *a, json_ref x, const struct json *b,
                         json_ref y, int depth);

static bool arrays_equal(const struct json *a, json_ref x, const struct json *b,
                         json_ref y, int depth)
{
    json_ref f = json_first(b, y);

    if (json_count(a, x) != json_count(b, y))
        return false;
    for (json_ref e = json_first(a, x); e != JSON_NONE;
         e = json_next(a, x, e), f = json_next(b, y, f))
        if (!values_equal(a, e, b, f, depth + 1))
            return false;
    return true;
}

static bool objects_equal(const struct json *a, json_ref x,
                          const struct json *b, json_ref y, int depth)
{
    if (json_count(a, x) != json_count(b, y))
        return false;
    for (json_ref e = json_first(a, x); e != JSON_NONE;
         e = json_next(a, x, e)) {
        char *key = json_strdup(a, json_key(a, e));
        json_ref f = json_get(b, y, key ? key : "");
        bool equal = json_present(f) && values_equal(a, e, b, f, depth + 1);

        free(key);
        if (!equal)
            return false;
    }
    return true;
}

static bool values_equal(const struct json *a, json_ref x, const struct json *b,
                         json_ref y, int depth)
{
    enum json_type t = json_kind(a, x);

    if (t != json_kind(b, y) || depth > MAX_DEPTH)
        return false;
    switch (t) {
    case JSON_NUMBER: return numbers_equal(a, x, b, y);
    case JSON_STRING: return score_strings_equal(a, x, b, y);
    case JSON_ARRAY: return arrays_equal(a, x, b, y, depth);
    case JSON_OBJECT: return objects_equal(a, x, b, y, depth);
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE: break;
    }
    return true;
}

static bool is_integer_text(struct slice raw)
{
    for (size_t i = 0; i < raw.n; i++)
        if (strchr(".eE", raw.p[i]))
            return false;
    return true;
}

/* Does the value have the type that the schema names? bool is no integer, an
 * integer is a number, 3.0 is no integer. */
static bool type_fits(const char *type, const struct json *j, json_ref v)
{
    if (strcmp(type, "string") == 0)
        return json_is(j, v, JSON_STRING);
    if (strcmp(type, "integer") == 0)
        return json_is(j, v, JSON_NUMBER) && is_integer_text(json_raw(j, v));
    if (strcmp(type, "number") == 0 || strcmp(type, "float") == 0)
        return json_is(j, v, JSON_NUMBER);
    if (strcmp(type, "boolean") == 0)
        return json_is(j, v, JSON_TRUE) || json_is(j, v, JSON_FALSE);
    if (strcmp(type, "array") == 0 || strcmp(type, "tuple") == 0)
        return json_is(j, v, JSON_ARRAY);
    if (strcmp(type, "object") == 0 || strcmp(type, "dict") == 0)
        return json_is(j, v, JSON_OBJECT);
    return true; /* any, null, or what we do not know */
}

/* Names may hold no dots for some providers. */
static bool names_same(const char *a, const char *b)
{
    while (*a && (*a == '.' ? '_' : *a) == (*b == '.' ? '_' : *b))
        a++, b++;
    return *a == *b;
}

/* The parameters schema of a tool in the request, JSON_NONE if unknown. */
static json_ref tool_find(const struct json *request, const char *name)
{
    json_ref tools = json_get(request, 0, "tools");

    for (json_ref e = json_first(request, tools); e != JSON_NONE;
         e = json_next(request, tools, e)) {
        json_ref function = json_get(request, e, "function");
        json_ref given = json_get(request, function, "name");
        char *n = json_strdup(request, given);
        bool same = n && names_same(n, name);

        free(n);
        if (same)
            return json_get(request, function, "parameters");
    }
    return JSON_NONE;
}

/* What all checks of one pair of calls need. */
struct match {
    const struct json *request, *ref, *got;
    json_ref schema, properties;
};

/* What the reference itself leaves out cannot be asked of the answer. */
static const char *required_check(const struct match *m)
{
    json_ref required = json_get(m->request, m->schema, "required");

    for (json_ref e = json_first(m->request, required); e != JSON_NONE;
         e = json_next(m->request, required, e)) {
        char *key = json_strdup(m->request, e);
        bool fine = !key || json_present(json_get(m->got, 0, key)) ||
                    !json_present(json_get(m->ref, 0, key));

        free(key);
        if (!fine)
            return "missing_required";
    }
    return NULL;
}

/* A parameter that only one side gives is fine if it has the default. */
static bool is_default(const struct match *m, const struct json *j,
                       json_ref value, const char *key)
{
    json_ref property = json_get(m->request, m->properties, key);
    json_ref dflt = json_get(m->request, property, "default");

    return json_present(dflt) && values_equal(m->request, dflt, j, value, 0);
}

/* The type of the reference is as good as the schema's: some pass a variable
 * where a number belongs. */
static const char *value_check(const struct match *m, json_ref value,
                               const char *key)
{
    json_ref property = json_get(m->request, m->properties, key);
    json_ref gold = json_get(m->ref, 0, key);
    char *type;
    bool fits;

    if (!json_present(gold))
        return json_present(property) && is_default(m, m->got, value, key)
                   ? NULL
                   : "unexpected_param";
    type = json_strdup(m->request, json_get(m->request, property, "type"));
    fits = !type || type_fits(type, m->got, value) ||
           (json_kind(m->ref, gold) == json_kind(m->got, value) &&
            !type_fits(type, m->ref, gold));
    free(type);
    if (!fits)
        return "type_error";
    if (values_equal(m->ref, gold, m->got, value, 0))
        return NULL;
    if (json_kind(m->ref, gold) != json_kind(m->got, value))
        return "type_error";
    switch (json_kind(m->ref, gold)) {
    case JSON_STRING: return "value_error_string";
    case JSON_ARRAY: return "value_error_list";
    case JSON_OBJECT: return "value_error_dict";
    default: return "value_error";
    }
}

static const char *given_check(const struct match *m)
{
    for (json_ref e = json_first(m->got, 0); e != JSON_NONE;
         e = json_next(m->got, 0, e)) {
        char *key = json_strdup(m->got, json_key(m->got, e));
        const char *why = value_check(m, e, key ? key : "");

        free(key);
        if (why)
            return why;
    }
    return NULL;
}

static const char *missing_check(const struct match *m)
{
    for (json_ref e = json_first(m->ref, 0); e != JSON_NONE;
         e = json_next(m->ref, 0, e)) {
        char *key = json_strdup(m->ref, json_key(m->ref, e));
        bool fine = !key || json_present(json_get(m->got, 0, key)) ||
                    is_default(m, m->ref, e, key);

        free(key);
        if (!fine)
            return "missing_optional";
    }
    return NULL;
}

/* NULL: the calls match; else the first rule that failed. */
static const char *call_match(const struct json *request,
                              const struct score_call *ref,
                              const struct score_call *got)
{
    struct match m = { .request = request,
                       .ref = &ref->arguments,
                       .got = &got->arguments };
    const char *why;

    if (!names_same(ref->name, got->name))
        return "wrong_func_name";
    m.schema = tool_find(request, ref->name);
    m.properties = json_get(request, m.schema, "properties");
    why = required_check(&m);
    if (!why)
        why = given_check(&m);
    return why ? why : missing_check(&m);
}

static void lists_match(const struct json *request,
                        const struct score_calls *ref,
                        const struct score_calls *got, struct score *out)
{
    bool taken[SCORE_MAX_CALLS] = { 0 };
    const char *why = NULL;

    for (size_t i = 0; i < ref->count; i++) {
        const char *last = "cannot_find_match";
        bool found = false;

        for (size_t k = 0; k < got->count && !found; k++) {
            if (taken[k])
                continue;
            last = call_match(request, &ref->list[i], &got->list[k]);
            found = taken[k] = !last;
        }
        out->fields.tp += found;
        if (!found && !why)
            why = ref->count == 1 ? last : "cannot_find_match";
    }
    out->fields.fn = (int64_t)ref->count - out->fields.tp;
    out->fields.fp = (int64_t)got->count - out->fields.tp;
    if (ref->count != got->count)
        out->reason = "wrong_count";
    else if (why)
        out->reason = why;
    else
        out->value = 1;
}

static void acts_compare(struct slice request, const struct score_view *ref,
                         const struct score_calls *a,
                         const struct score_calls *b, struct score *out)
{
    struct json r = { 0 };

    if (json_parse(&r, request.p, request.n, NULL) != 0) {
        json_release(&r);
        r = (struct json){ 0 };
    }
    if (out->act == SCORE_MALFORMED) {
        out->reason = "malformed_call";
        out->fields.fn = (int64_t)a->count;
    } else if (!json_present(ref->calls)) {
        out->value = out->act == SCORE_ABSTAIN ? 1 : 0;
        out->fields.fp = (int64_t)b->count;
        out->reason = out->value > 0 ? "" : "unwanted_call";
    } else if (out->act == SCORE_ABSTAIN) {
        out->fields.fn = (int64_t)a->count;
        out->reason = "no_call";
    } else {
        lists_match(&r, a, b, out);
    }
    json_release(&r);
}

void score_tool_pair(struct slice request, const struct score_view *ref,
                     const struct score_view *got, bool malformed,
                     struct score *out)
{
    struct score_calls a = { 0 }, b = { 0 };
    bool ref_fine = score_calls_read(&a, ref),
         got_fine = score_calls_read(&b, got);

    out->method = "call";
    if (malformed || !got_fine || score_looks_like_call(got))
        out->act = SCORE_MALFORMED;
    out->valid = out->act != SCORE_MALFORMED;
    if (!ref_fine) {
        out->value = (double)NAN;
        out->reason = "reference_malformed";
    } else {
        acts_compare(request, ref, &a, &b, out);
    }
    score_calls_release(&a);
    score_calls_release(&b);
}

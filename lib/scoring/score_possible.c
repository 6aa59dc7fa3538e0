/*
 * score_possible.c - tool calls compared with lists of possible answers
 *
 * BFCL's AST check, rule by rule and in its order, so that scores and reasons
 * can be compared with published ones: what looks odd here (one level of
 * nesting, equality as Python's, the type of an allowed value in place of the
 * schema's) is the check's. Values that make the check itself fail are wrong
 * answers here.
 */
#include "base/mem.h"
#include "scoring/score_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

enum type { T_NONE, T_STR, T_INT, T_FLOAT, T_BOOL, T_LIST, T_DICT, T_NULL };

/* A value of the answer; an integer where the schema wants a float is one. */
struct value {
    const struct json *j;
    json_ref v;
    enum type type;
};

/* What a parameter has to be. */
struct want {
    enum type outer, nested;
    const struct json *j;
    json_ref allowed; /* array */
};

static enum type type_named(const struct json *j, json_ref v)
{
    static const struct {
        const char *name;
        enum type type;
    } names[] = {
        { "string", T_STR },  { "any", T_STR },      { "integer", T_INT },
        { "float", T_FLOAT }, { "number", T_FLOAT }, { "boolean", T_BOOL },
        { "array", T_LIST },  { "tuple", T_LIST },   { "dict", T_DICT },
        { "object", T_DICT },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_text_is(j, v, names[i].name))
            return names[i].type;
    return T_NONE;
}

static enum type type_of(const struct json *j, json_ref v)
{
    struct slice raw;

    switch (json_kind(j, v)) {
    case JSON_STRING: return T_STR;
    case JSON_ARRAY: return T_LIST;
    case JSON_OBJECT: return T_DICT;
    case JSON_TRUE:
    case JSON_FALSE: return T_BOOL;
    case JSON_NULL: return T_NULL;
    case JSON_NUMBER: break;
    }
    raw = json_raw(j, v);
    for (size_t i = 0; i < raw.n; i++)
        if (strchr(".eE", raw.p[i]))
            return T_FLOAT;
    return T_INT;
}

static bool is_left_out(const struct json *j, json_ref v)
{
    return json_text_is(j, v, "");
}

static bool may_be_left_out(const struct json *j, json_ref allowed)
{
    for (json_ref e = json_first(j, allowed); e != JSON_NONE;
         e = json_next(j, allowed, e))
        if (is_left_out(j, e))
            return true;
    return false;
}

static enum type type_allowed(const struct json *j, json_ref allowed)
{
    for (json_ref e = json_first(j, allowed); e != JSON_NONE;
         e = json_next(j, allowed, e))
        if (!is_left_out(j, e))
            return type_of(j, e);
    return T_NONE;
}

static bool number_of(const struct json *j, json_ref v, double *out)
{
    bool b;

    if (json_bool(j, v, &b)) {
        *out = b;
        return true;
    }
    return json_double(j, v, out);
}

static bool numbers_equal(const struct json *a, json_ref x,
                          const struct json *b, json_ref y)
{
    int64_t i, k;
    double p, q;

    if (json_int(a, x, &i) && json_int(b, y, &k))
        return i == k;
    return number_of(a, x, &p) && number_of(b, y, &q) && p == q;
}

static bool texts_equal(const struct json *a, json_ref x, const struct json *b,
                        json_ref y)
{
    struct buf s = { 0 }, t = { 0 };
    bool equal;

    json_text(a, x, &s);
    json_text(b, y, &t);
    equal = slice_eq(buf_slice(&s), buf_slice(&t));
    buf_release(&s);
    buf_release(&t);
    return equal;
}

static bool same_at(const struct json *a, json_ref x, const struct json *b,
                    json_ref y, int depth);

static bool members_same(const struct json *a, json_ref x, const struct json *b,
                         json_ref y, int depth)
{
    bool same = json_count(a, x) == json_count(b, y);

    for (json_ref e = json_first(a, x); same && e != JSON_NONE;
         e = json_next(a, x, e)) {
        char *key = json_strdup(a, json_key(a, e));
        json_ref f = json_get(b, y, key ? key : "");

        same = json_present(f) && same_at(a, e, b, f, depth + 1);
        free(key);
    }
    return same;
}

static bool elements_same(const struct json *a, json_ref x,
                          const struct json *b, json_ref y, int depth)
{
    bool same = json_count(a, x) == json_count(b, y);
    json_ref f = json_first(b, y);

    for (json_ref e = json_first(a, x); same && e != JSON_NONE;
         e = json_next(a, x, e), f = json_next(b, y, f))
        same = same_at(a, e, b, f, depth + 1);
    return same;
}

/* Equal as Python's == has it: 5 is 5.0, and True is 1. */
static bool same_at(const struct json *a, json_ref x, const struct json *b,
                    json_ref y, int depth)
{
    enum type t = type_of(a, x), u = type_of(b, y);

    if (depth > MAX_DEPTH)
        return false;
    if ((t == T_INT || t == T_FLOAT || t == T_BOOL) &&
        (u == T_INT || u == T_FLOAT || u == T_BOOL))
        return numbers_equal(a, x, b, y);
    if (t != u)
        return false;
    if (t == T_STR)
        return texts_equal(a, x, b, y);
    if (t == T_LIST)
        return elements_same(a, x, b, y, depth);
    return t == T_DICT ? members_same(a, x, b, y, depth) : true;
}

/* Strings by their comparison form, the rest as it is. */
static bool same_standard(const struct json *a, json_ref x,
                          const struct json *b, json_ref y)
{
    if (type_of(a, x) == T_STR && type_of(b, y) == T_STR)
        return score_strings_equal(a, x, b, y);
    return same_at(a, x, b, y, 0);
}

/* Each element has the nested type, or that of the list's first one. */
static bool nested_fit(const struct value *v, const struct want *w,
                       json_ref list)
{
    enum type first = type_allowed(w->j, list);

    for (json_ref e = json_first(v->j, v->v); e != JSON_NONE;
         e = json_next(v->j, v->v, e)) {
        enum type t = type_of(v->j, e);

        if (t != w->nested && (first == T_NONE || t != first))
            return false;
    }
    return true;
}

/* An allowed value that is no list says nothing about elements. */
static bool any_nested_fits(const struct value *v, const struct want *w)
{
    for (json_ref e = json_first(w->j, w->allowed); e != JSON_NONE;
         e = json_next(w->j, w->allowed, e))
        if (type_of(w->j, e) != T_LIST || nested_fit(v, w, e))
            return true;
    return false;
}

/* NULL: the type is right. *variable: the type of the first allowed value is
 * not the schema's (a name stands where a number belongs), or stands in for
 * it. */
static const char *type_check(const struct value *v, const struct want *w,
                              bool *variable)
{
    enum type first = type_allowed(w->j, w->allowed);
    const char *why = "type_error";

    *variable = first != T_NONE && first != w->outer;
    if (v->type == w->outer) {
        if (w->nested == T_NONE || any_nested_fits(v, w))
            return NULL;
        why = "type_error_nested";
    }
    if (first == T_NONE || v->type != first)
        return "type_error";
    *variable = true;
    return v->type == w->outer ? why : NULL;
}

static const char *dict_key_check(const struct value *v, const struct json *j,
                                  json_ref allowed, json_ref e)
{
    char *key = json_strdup(v->j, json_key(v->j, e));
    json_ref values = json_get(j, allowed, key ? key : "");
    const char *why = "value_error_dict_value";

    free(key);
    if (!json_present(values))
        return "value_error_dict_key";
    for (json_ref f = json_first(j, values); f != JSON_NONE;
         f = json_next(j, values, f))
        if (same_standard(v->j, e, j, f))
            why = NULL;
    return why;
}

/* One object against one allowed object of lists. */
static const char *dict_check(const struct value *v, const struct json *j,
                              json_ref allowed)
{
    const char *why = NULL;

    if (type_of(j, allowed) != T_DICT)
        return "value_error_dict";
    for (json_ref e = json_first(v->j, v->v); !why && e != JSON_NONE;
         e = json_next(v->j, v->v, e))
        why = dict_key_check(v, j, allowed, e);
    for (json_ref e = json_first(j, allowed); e != JSON_NONE;
         e = json_next(j, allowed, e)) {
        char *key = json_strdup(j, json_key(j, e));
        bool fine = json_present(json_get(v->j, v->v, key ? key : "")) ||
                    may_be_left_out(j, e);

        free(key);
        if (!fine)
            return "value_error_dict_key";
    }
    return why;
}

static const char *dicts_check(const struct value *v, const struct want *w)
{
    const char *why = "value_error_dict";

    for (json_ref e = json_first(w->j, w->allowed); why && e != JSON_NONE;
         e = json_next(w->j, w->allowed, e))
        if (!is_left_out(w->j, e))
            why = dict_check(v, w->j, e);
    return why;
}

/* Objects of a list against those of one allowed list, at the same places. */
static const char *dict_list_check(const struct value *v, const struct json *j,
                                   json_ref list)
{
    json_ref f = json_first(j, list);

    if (json_count(v->j, v->v) !=
        (type_of(j, list) == T_LIST ? json_count(j, list) : 0))
        return "value_error_list_count";
    for (json_ref e = json_first(v->j, v->v); e != JSON_NONE;
         e = json_next(v->j, v->v, e), f = json_next(j, list, f)) {
        struct value one = { v->j, e, type_of(v->j, e) };
        const char *why =
            one.type != T_DICT ? "value_error_dict" : dict_check(&one, j, f);

        if (why)
            return why;
    }
    return NULL;
}

static const char *dict_lists_check(const struct value *v, const struct want *w)
{
    const char *why = "value_error_dict";

    for (json_ref e = json_first(w->j, w->allowed); why && e != JSON_NONE;
         e = json_next(w->j, w->allowed, e))
        why = dict_list_check(v, w->j, e);
    return why;
}

/* Strings of a list are compared by their form where they stand in it. An
 * allowed "" is an empty list. */
static bool list_same(const struct value *v, const struct json *j,
                      json_ref list)
{
    json_ref f = json_first(j, list);
    bool same = json_count(v->j, v->v) ==
                (type_of(j, list) == T_LIST ? json_count(j, list) : 0);

    if (type_of(j, list) != T_LIST && !is_left_out(j, list))
        return false;
    for (json_ref e = json_first(v->j, v->v); same && e != JSON_NONE;
         e = json_next(v->j, v->v, e), f = json_next(j, list, f))
        same = same_standard(v->j, e, j, f);
    return same;
}

static const char *value_check(const struct value *v, const struct want *w,
                               bool variable)
{
    bool list = !variable && w->outer == T_LIST;
    bool text = !variable && w->outer == T_STR;

    if (!variable && w->outer == T_DICT)
        return dicts_check(v, w);
    if (list && w->nested == T_DICT)
        return dict_lists_check(v, w);
    for (json_ref e = json_first(w->j, w->allowed); e != JSON_NONE;
         e = json_next(w->j, w->allowed, e)) {
        if (list   ? list_same(v, w->j, e)
            : text ? type_of(w->j, e) == T_STR &&
                         score_strings_equal(v->j, v->v, w->j, e)
                   : same_at(v->j, v->v, w->j, e, 0))
            return NULL;
    }
    return list   ? "value_error_list"
           : text ? "value_error_string"
                  : "value_error";
}

/* What all checks of one call need. */
struct match {
    const struct json *request, *possible, *got;
    json_ref schema, properties, allowed;
};

static const char *param_check(const struct match *m, json_ref v,
                               const char *key)
{
    json_ref property = json_get(m->request, m->properties, key);
    json_ref type = json_get(m->request, property, "type");
    struct value value = { m->got, v, type_of(m->got, v) };
    struct want w = { .j = m->possible,
                      .allowed = json_get(m->possible, m->allowed, key) };
    const char *why;
    bool variable;

    if (!json_present(property) || !json_is(m->possible, w.allowed, JSON_ARRAY))
        return "unexpected_param";
    w.outer = type_named(m->request, type);
    if (w.outer == T_NONE) /* the schema leaves it open */
        w.outer = type_allowed(m->possible, w.allowed);
    if (w.outer == T_LIST)
        w.nested = type_named(
            m->request, json_find(m->request, property, "items", "type", NULL));
    if (w.outer == T_FLOAT && value.type == T_INT)
        value.type = T_FLOAT;
    why = type_check(&value, &w, &variable);
    return why ? why : value_check(&value, &w, variable);
}

static const char *required_check(const struct match *m)
{
    json_ref required = json_get(m->request, m->schema, "required");

    for (json_ref e = json_first(m->request, required); e != JSON_NONE;
         e = json_next(m->request, required, e)) {
        char *key = json_strdup(m->request, e);
        bool fine = !key || json_present(json_get(m->got, 0, key));

        free(key);
        if (!fine)
            return "missing_required";
    }
    return NULL;
}

static const char *given_check(const struct match *m)
{
    const char *why = NULL;

    for (json_ref e = json_first(m->got, 0); !why && e != JSON_NONE;
         e = json_next(m->got, 0, e)) {
        char *key = json_strdup(m->got, json_key(m->got, e));

        why = param_check(m, e, key ? key : "");
        free(key);
    }
    return why;
}

static const char *missing_check(const struct match *m)
{
    for (json_ref e = json_first(m->possible, m->allowed); e != JSON_NONE;
         e = json_next(m->possible, m->allowed, e)) {
        char *key = json_strdup(m->possible, json_key(m->possible, e));
        bool fine = !key || json_present(json_get(m->got, 0, key)) ||
                    may_be_left_out(m->possible, e);

        free(key);
        if (!fine)
            return "missing_optional";
    }
    return NULL;
}

/* The function of the request that is meant: its name as it is, else with
 * underscores for dots, as some providers want it. */
static json_ref function_find(const struct json *request, const char *name)
{
    json_ref tools = json_get(request, 0, "tools"), found = JSON_NONE;
    char *plain = mem_strdup(name);

    for (char *p = plain; *p; p++)
        if (*p == '.')
            *p = '_';
    for (json_ref e = json_first(request, tools); e != JSON_NONE;
         e = json_next(request, tools, e)) {
        json_ref f = json_get(request, e, "function");
        json_ref given = json_get(request, f, "name");

        if (json_text_is(request, given, name)) {
            found = f;
            break;
        }
        if (json_text_is(request, given, plain))
            found = f;
    }
    free(plain);
    return found;
}

/* NULL: the call is the one that `possible` (one member) stands for. */
static const char *call_check(const struct json *request,
                              const struct json *possible, json_ref one,
                              const struct score_call *call)
{
    struct match m = { .request = request,
                       .possible = possible,
                       .got = &call->arguments,
                       .allowed = json_first(possible, one) };
    char *name = json_strdup(possible, json_key(possible, m.allowed));
    json_ref function = function_find(request, name ? name : ""), given;
    bool named;
    const char *why;

    given = json_get(request, function, "name");
    named = json_present(given) ? json_text_is(request, given, call->name)
                                : name && strcmp(name, call->name) == 0;
    free(name);
    if (!named)
        return "wrong_func_name";
    m.schema = json_get(request, function, "parameters");
    m.properties = json_get(request, m.schema, "properties");
    why = required_check(&m);
    if (!why)
        why = given_check(&m);
    return why ? why : missing_check(&m);
}

static void calls_match(const struct json *request, const struct json *possible,
                        const struct score_calls *got, enum score_order order,
                        struct score *out)
{
    bool taken[SCORE_MAX_CALLS] = { 0 };

    for (json_ref e = json_first(possible, 0); e != JSON_NONE;
         e = json_next(possible, 0, e)) {
        const char *why = "cannot_find_match";

        for (size_t k = 0; k < got->count && why; k++)
            if (!taken[k]) {
                why = call_check(request, possible, e, &got->list[k]);
                taken[k] = !why;
            }
        out->fields.tp += !why;
        if (why && !out->reason[0])
            out->reason = order == SCORE_ONE_CALL ? why : "cannot_find_match";
    }
    out->fields.fn = (int64_t)json_count(possible, 0) - out->fields.tp;
    out->fields.fp = (int64_t)got->count - out->fields.tp;
    if (json_count(possible, 0) != got->count)
        out->reason = "wrong_count";
    out->value = out->reason[0] ? 0 : 1;
}

static bool possible_read(struct json *j, struct slice text)
{
    if (json_parse(j, text.p, text.n, NULL) != 0 || !json_is(j, 0, JSON_ARRAY))
        return false;
    for (json_ref e = json_first(j, 0); e != JSON_NONE; e = json_next(j, 0, e))
        if (!json_is(j, e, JSON_OBJECT) || json_count(j, e) != 1 ||
            !json_is(j, json_first(j, e), JSON_OBJECT))
            return false;
    return true;
}

static void act_judge(const struct score_pair *pair,
                      const struct json *possible,
                      const struct score_calls *got, enum score_order order,
                      struct score *out)
{
    struct json request = { 0 };

    if (out->act == SCORE_MALFORMED) {
        out->reason = "malformed_call";
        out->fields.fn = (int64_t)json_count(possible, 0);
    } else if (json_count(possible, 0) == 0) {
        out->value = out->act == SCORE_ABSTAIN ? 1 : 0;
        out->fields.fp = (int64_t)got->count;
        out->reason = out->value > 0 ? "" : "unwanted_call";
    } else if (json_parse(&request, pair->request.p, pair->request.n, NULL) !=
               0) {
        out->value = (double)NAN;
        out->reason = "request_unreadable";
    } else {
        calls_match(&request, possible, got, order, out);
    }
    json_release(&request);
}

void score_possible(const struct score_pair *pair, struct slice possible,
                    enum score_order order, struct score *out)
{
    struct score_view view;
    struct score_calls got = { 0 };
    struct json j = { 0 };
    bool fine;

    *out = (struct score){ .reason = "", .method = "possible" };
    score_view_open(&view, pair->answer);
    fine = score_calls_read(&got, &view);
    out->act = pair->malformed || !fine || score_looks_like_call(&view)
                   ? SCORE_MALFORMED
               : json_present(view.calls) ? SCORE_CALL
                                          : SCORE_ABSTAIN;
    out->valid = view.readable && out->act != SCORE_MALFORMED;
    if (!possible_read(&j, possible)) {
        out->value = (double)NAN;
        out->reason = "reference_unreadable";
    } else if (!view.readable) {
        out->reason = "unreadable";
    } else {
        act_judge(pair, &j, &got, order, out);
    }
    json_release(&j);
    score_calls_release(&got);
    score_view_close(&view);
}

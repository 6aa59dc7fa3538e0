/*
 * router_check.c - an answer, before it goes out
 *
 * What a client would stumble over is looked at first: calls of tools that
 * there are not, arguments and formats that do not fit. Only then the
 * calibrated probability of error counts.
 */
#include "router/router_private.h"

#include "schema/schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPEATED_LEAST 6   /* times a unit stands at the end */
#define REPEATED_UNIT 400  /* bytes of a unit */
#define REPEATED_BYTES 240 /* that all of them take, at least */

struct answer {
    const struct json *j; /* the request's document */
    json_ref request;
    struct json message;
    struct buf text; /* decoded content */
    enum router_reason why;
};

static bool fails(struct answer *a, enum router_reason why)
{
    a->why = why;
    return false;
}

/* The last bytes are one unit again and again. */
static bool is_repeating(struct slice t)
{
    for (size_t unit = 1; unit <= REPEATED_UNIT; unit++) {
        size_t need = unit * REPEATED_LEAST;

        if (need < REPEATED_BYTES)
            need = REPEATED_BYTES;
        if (t.n < need + unit)
            continue;
        const char *end = t.p + t.n;
        if (memcmp(end - need, end - need - unit, need) == 0)
            return true;
    }
    return false;
}

/* The parameters of an offered tool; false if there is none of this name. */
static bool find_tool(const struct answer *a, json_ref name, json_ref *params)
{
    json_ref tools = json_get(a->j, a->request, "tools");
    char *wanted = json_strdup(&a->message, name);
    bool found = false;

    if (!json_is(a->j, tools, JSON_ARRAY))
        tools = JSON_NONE;
    for (json_ref t = json_first(a->j, tools);
         wanted && t != JSON_NONE && !found; t = json_next(a->j, tools, t)) {
        json_ref f = json_get(a->j, t, "function");

        found = json_text_is(a->j, json_get(a->j, f, "name"), wanted);
        *params = json_get(a->j, f, "parameters");
    }
    free(wanted);
    return found;
}

static bool call_is_good(struct answer *a, json_ref call)
{
    json_ref f = json_get(&a->message, call, "function");
    json_ref arguments = json_get(&a->message, f, "arguments");
    json_ref params = JSON_NONE;
    struct json v = { 0 };
    bool good;

    if (!find_tool(a, json_get(&a->message, f, "name"), &params))
        return fails(a, ROUTER_REASON_no_such_tool);
    buf_reset(&a->text);
    if (!json_text(&a->message, arguments, &a->text))
        return fails(a, ROUTER_REASON_malformed);
    good = json_parse(&v, a->text.data ? a->text.data : "", a->text.len,
                      NULL) == 0 &&
           json_is(&v, 0, JSON_OBJECT) &&
           schema_allows(a->j, params, &v, 0, NULL);
    json_release(&v);
    return good || fails(a, ROUTER_REASON_bad_arguments);
}

/* What tool_choice asks for: calls are forbidden, or one is due. */
static bool choice_is_kept(struct answer *a, size_t calls)
{
    json_ref choice = json_get(a->j, a->request, "tool_choice");

    if (json_text_is(a->j, choice, "none") && calls)
        return fails(a, ROUTER_REASON_no_such_tool);
    if ((json_text_is(a->j, choice, "required") ||
         json_is(a->j, choice, JSON_OBJECT)) &&
        !calls)
        return fails(a, ROUTER_REASON_malformed);
    return true;
}

/* The content in the format that was asked for. */
static bool format_is_kept(struct answer *a)
{
    json_ref format = json_get(a->j, a->request, "response_format");
    json_ref type = json_get(a->j, format, "type");
    bool any = json_text_is(a->j, type, "json_object");
    struct json v = { 0 };
    bool good;

    if (!any && !json_text_is(a->j, type, "json_schema"))
        return true;
    if (json_parse(&v, a->text.data ? a->text.data : "", a->text.len, NULL) <
        0) {
        json_release(&v);
        return fails(a, ROUTER_REASON_malformed);
    }
    good =
        any ? json_is(&v, 0, JSON_OBJECT)
            : schema_allows(
                  a->j, json_find(a->j, format, "json_schema", "schema", NULL),
                  &v, 0, NULL);
    json_release(&v);
    return good || fails(a, ROUTER_REASON_schema);
}

static bool is_usable(struct answer *a)
{
    json_ref calls = json_get(&a->message, 0, "tool_calls");
    size_t n = json_is(&a->message, calls, JSON_ARRAY)
                   ? json_count(&a->message, calls)
                   : 0;

    if (!choice_is_kept(a, n))
        return false;
    for (json_ref c = n ? json_first(&a->message, calls) : JSON_NONE;
         c != JSON_NONE; c = json_next(&a->message, calls, c))
        if (!call_is_good(a, c))
            return false;
    buf_reset(&a->text);
    (void)json_text(&a->message, json_get(&a->message, 0, "content"), &a->text);
    if (!n && !slice_trim(buf_slice(&a->text)).n)
        return fails(a, ROUTER_REASON_malformed);
    if (is_repeating(buf_slice(&a->text)))
        return fails(a, ROUTER_REASON_repetition);
    return n || format_is_kept(a);
}

bool router_usable(const struct json *j, json_ref request, struct slice message,
                   enum router_reason *why)
{
    struct answer a = { .j = j, .request = request };
    bool good = json_parse(&a.message, message.p, message.n, NULL) == 0 &&
                json_is(&a.message, 0, JSON_OBJECT);

    good = good ? is_usable(&a) : fails(&a, ROUTER_REASON_malformed);
    *why = a.why;
    json_release(&a.message);
    buf_release(&a.text);
    return good;
}

/* May the answer be thrown away for being unlikely? Not what was asked for by
 * name, nor inside a loop, where the other model would take over. */
static bool may_escalate(const struct router_decision *d)
{
    return d->reason != ROUTER_REASON_asked &&
           d->reason != ROUTER_REASON_tool_loop_slm;
}

bool router_check(const struct router *r, const struct router_decision *d,
                  const struct json *j, json_ref request, struct slice message,
                  const struct stats_signals *s, double *p_error,
                  enum router_reason *why)
{
    const struct router_champion *c = router_champion_model(r, d->model);
    bool good = router_usable(j, request, message, why);

    *p_error = (double)NAN;
    if (good && c && c->is_calibrated && s) {
        float x[ROUTER_VECTOR];

        if (c->calibration.reads_prompts)
            router_request_vector(j, request, x);
        *p_error = router_error(&c->calibration, x, s);
        good = *p_error <= c->calibration.threshold || !may_escalate(d);
        *why = ROUTER_REASON_low_confidence;
    }
    if (good)
        *why = d->reason;
    return good;
}

/*
 * wire_from_otlp.c - spans and log records of OpenTelemetry, as OTLP/JSON
 *
 * Read are attributes of the GenAI conventions (messages as JSON or
 * structured, or one attribute a field, as before) and of OpenInference. A
 * record without texts is a call whose texts were cut; spans of tools, agents
 * and all else are none.
 */
#include "wire/wire_otlp.h"

#include <string.h>

/* The attribute of an object, with the object that tells its type. */
static json_ref find(const struct json *j, json_ref o, const char *key)
{
    json_ref list = json_get(j, o, "attributes");

    for (json_ref a = json_is(j, list, JSON_ARRAY) ? json_first(j, list)
                                                   : JSON_NONE;
         a != JSON_NONE; a = json_next(j, list, a))
        if (json_text_is(j, json_get(j, a, "key"), key))
            return json_get(j, a, "value");
    return JSON_NONE;
}

/* Details of a call may stand in an event of their own. */
static json_ref find_any(const struct json *j, const char *key)
{
    json_ref v = find(j, 0, key);
    json_ref list = json_get(j, 0, "events");

    for (json_ref e = json_is(j, list, JSON_ARRAY) && !json_present(v)
                          ? json_first(j, list)
                          : JSON_NONE;
         e != JSON_NONE && !json_present(v); e = json_next(j, list, e))
        if (otlp_event_kind(j, e) == OTLP_DETAILS)
            v = find(j, e, key);
    return v;
}

json_ref otlp_attribute_of(const struct json *j, json_ref o, const char *key)
{
    return json_first(j, find(j, o, key));
}

json_ref otlp_attribute(const struct json *j, const char *key)
{
    return json_first(j, find_any(j, key));
}

json_ref otlp_either(const struct json *j, const char *a, const char *b)
{
    json_ref v = otlp_attribute(j, a);

    return json_present(v) ? v : otlp_attribute(j, b);
}

/* Integers of 64 bits are texts in OTLP/JSON. */
static int64_t integer(const struct json *j, json_ref v)
{
    struct slice s = wire_inner(j, v);
    int64_t n = 0;

    if (json_int(j, v, &n))
        return n;
    if (!s.n || s.n > 18)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        n = n * 10 + (s.p[i] - '0');
    }
    return n;
}

static int64_t time_us(const struct json *j, const char *name)
{
    struct slice s = wire_inner(j, json_get(j, 0, name));
    int64_t us = 0;

    if (json_int(j, json_get(j, 0, name), &us))
        return us / 1000;
    if (s.n < 4 || s.n > 20)
        return -1;
    for (size_t i = 0; i + 3 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        us = us * 10 + (s.p[i] - '0');
    }
    return us;
}

/* A structured value as plain JSON. */
void otlp_put_value(struct json_writer *w, const char *key,
                    const struct json *j, json_ref value, unsigned depth)
{
    json_ref v = json_first(j, value);
    json_ref list = json_get(j, v, "values");

    if (json_text_is(j, json_key(j, v), "arrayValue") && depth < 32) {
        json_begin_array(w, key);
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e))
            otlp_put_value(w, NULL, j, e, depth + 1);
        json_end_array(w);
    } else if (json_text_is(j, json_key(j, v), "kvlistValue") && depth < 32) {
        json_begin_object(w, key);
        for (json_ref e = json_first(j, list); e != JSON_NONE;
             e = json_next(j, list, e)) {
            char *name = json_strdup(j, json_get(j, e, "key"));

            otlp_put_value(w, name ? name : "", j, json_get(j, e, "value"),
                           depth + 1);
            free(name);
        }
        json_end_object(w);
    } else if (v == JSON_NONE) {
        json_put_null(w, key);
    } else {
        json_put_raw(w, key, json_raw(j, v));
    }
}

/* An attribute that holds JSON, as a text or structured; false: none. */
bool otlp_load(const struct json *j, const char *key, struct buf *text,
               struct json *out)
{
    json_ref value = find_any(j, key);
    struct json_writer w;

    buf_reset(text);
    json_writer_init(&w, text, false);
    if (json_is(j, json_first(j, value), JSON_OBJECT))
        otlp_put_value(&w, NULL, j, value, 0);
    else
        (void)json_text(j, json_first(j, value), text);
    return text->len && json_parse(out, text->data, text->len, NULL) == ERR_OK;
}

static bool is_call(const struct json *j, json_ref o)
{
    static const char *const names[] = { "chat", "generate_content",
                                         "text_completion", "completion" };
    json_ref operation = otlp_attribute_of(j, o, "gen_ai.operation.name");
    json_ref kind = otlp_attribute_of(j, o, "openinference.span.kind");

    if (json_present(kind))
        return json_text_is(j, kind, "LLM");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_text_is(j, operation, names[i]))
            return true;
    return !json_present(operation) &&
           json_present(otlp_attribute_of(j, o, "gen_ai.request.model"));
}

bool otlp_waits_for_events(const struct json *j, json_ref span)
{
    static const char *const messages[] = {
        "gen_ai.input.messages",   "gen_ai.output.messages",
        "gen_ai.prompt.0.role",    "gen_ai.prompt.0.content",
        "openinference.span.kind",
    };

    if (!is_call(j, span) || json_count(j, json_get(j, span, "events")))
        return false;
    for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
        if (json_present(find(j, span, messages[i])))
            return false;
    return true;
}

/* The first of two that is a count. */
static int64_t count(const struct json *j, const char *a, const char *b)
{
    int64_t n = integer(j, otlp_attribute(j, a));

    return n >= 0 ? n : integer(j, otlp_attribute(j, b));
}

static void read_tokens(struct wire_record *r)
{
    const struct json *j = &r->json;

    r->call.tokens_in =
        count(j, "gen_ai.usage.input_tokens", "llm.token_count.prompt");
    r->call.tokens_out =
        count(j, "gen_ai.usage.output_tokens", "llm.token_count.completion");
    if (r->call.tokens_in < 0)
        r->call.tokens_in =
            integer(j, otlp_attribute(j, "gen_ai.usage.prompt_tokens"));
    if (r->call.tokens_out < 0)
        r->call.tokens_out =
            integer(j, otlp_attribute(j, "gen_ai.usage.completion_tokens"));
    r->call.tokens_cached = count(j, "gen_ai.usage.cache_read.input_tokens",
                                  "llm.token_count.prompt_details.cache_read");
    r->call.tokens_reason =
        count(j, "gen_ai.usage.reasoning.output_tokens",
              "llm.token_count.completion_details.reasoning");
}

static void read_times(struct wire_record *r)
{
    const struct json *j = &r->json;
    int64_t start = time_us(j, "startTimeUnixNano");
    int64_t end = time_us(j, "endTimeUnixNano");
    double first;

    r->call.time_us = start > 0 ? start : time_us(j, "timeUnixNano");
    if (r->call.time_us <= 0)
        r->call.time_us = time_us(j, "observedTimeUnixNano");
    if (r->call.time_us <= 0)
        r->call.time_us = -1;
    if (start > 0 && end >= start)
        r->call.latency_us = end - start;
    if (json_double(j, otlp_attribute(j, "gen_ai.response.time_to_first_chunk"),
                    &first) &&
        first >= 0 && first < 1e9)
        r->call.ttft_us = (int64_t)(first * 1e6 + 0.5);
}

static struct slice text_of(struct wire_record *r, const char *a, const char *b)
{
    return wire_own_text(r, &r->json, otlp_either(&r->json, a, b));
}

static void read_names(struct wire_record *r)
{
    const struct json *j = &r->json;
    bool own = json_present(otlp_attribute(j, "slmctl.status"));

    r->call.upstream = text_of(r, "server.address", "server.address");
    if (!r->call.upstream.n && !own)
        r->call.upstream = text_of(r, "gen_ai.provider.name", "gen_ai.system");
    if (!r->call.upstream.n && !own)
        r->call.upstream = text_of(r, "llm.provider", "llm.system");
    r->call.conversation = text_of(r, "gen_ai.conversation.id", "session.id");
    if (!r->call.conversation.n && !own)
        r->call.conversation = wire_own_text(r, j, json_get(j, 0, "traceId"));
    r->call.client = text_of(r, "user.id", "enduser.id");
    r->call.workload = text_of(r, "slmctl.workload", "slmctl.workload");
    r->call.response_id = text_of(r, "gen_ai.response.id", "llm.response.id");
    r->call.model = text_of(r, "gen_ai.response.model", "gen_ai.request.model");
    if (!r->call.model.n)
        r->call.model = text_of(r, "llm.model_name", "llm.model_name");
    r->call.http_status =
        integer(j, otlp_attribute(j, "http.response.status_code"));
}

static bool has_failed(const struct json *j)
{
    int64_t code;
    json_ref v = json_find(j, 0, "status", "code", NULL);

    return json_present(otlp_attribute(j, "error.type")) ||
           (json_int(j, v, &code) && code == 2) ||
           json_text_is(j, v, "STATUS_CODE_ERROR");
}

/* completed, failed_http, or what an own export has written. */
static void read_status(struct wire_record *r)
{
    const struct json *j = &r->json;
    struct slice own =
        wire_status(wire_inner(j, otlp_attribute(j, "slmctl.status")));
    bool failed = has_failed(j);

    wire_read_call_id(r, j, otlp_attribute(j, "slmctl.call_id"));
    r->call.status = own.n    ? own
                     : failed ? slice_of("failed_http")
                              : slice_of("completed");
    if (slice_is(r->call.status, "completed"))
        return;
    r->call.phase = text_of(r, "slmctl.phase", "slmctl.phase");
    r->call.error = text_of(r, "error.type", "error.type");
    if (slice_eq(r->call.error, r->call.status))
        r->call.error = (struct slice){ NULL, 0 };
}

static void put_error(struct wire_record *r, struct chat *c)
{
    const struct json *j = &r->json;

    json_begin_object(&c->w, NULL);
    json_begin_object(&c->w, "error");
    wire_put_member(&c->w, "message", j,
                    json_find(j, 0, "status", "message", NULL));
    if (r->call.error.n)
        json_put_slice(&c->w, "code", r->call.error);
    else
        json_put_null(&c->w, "code");
    json_end_object(&c->w);
    json_end_object(&c->w);
}

/* False: texts are missing that a completed call has. */
static bool build(struct wire_record *r)
{
    const struct json *j = &r->json;
    bool completed = slice_is(r->call.status, "completed");
    bool answered = json_present(otlp_attribute(j, "gen_ai.output.messages"));
    struct wire_bodies b;
    struct chat c = { .j = j };
    bool whole;

    wire_bodies_begin(&b, r);
    c.w = b.w;
    whole = otlp_request(&c);
    b.request = r->built.len;
    c.w.need_comma = false;
    if (completed || answered)
        whole &= otlp_answer(r, &c);
    else if (slice_starts(r->call.status, "failed"))
        put_error(r, &c);
    wire_bodies_end(&b, r);
    return (whole || !completed) && !c.missing;
}

static void make_extra(struct wire_record *r, bool whole)
{
    const struct json *j = &r->json;
    struct json_writer w;
    int64_t dropped = 0;
    bool cut = false;

    (void)json_int(j, json_get(j, 0, "droppedAttributesCount"), &dropped);
    (void)json_bool(j, otlp_attribute(j, "slmctl.cut"), &cut);
    wire_extra_begin(r, &w, "otlp",
                     cut || !whole || dropped > 0 || wire_has_marks(r));
    wire_extra_member(&w, j, 0, "spanId");
    wire_extra_end(r, &w);
}

int wire_from_otlp(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;

    if (!json_is(j, json_get(j, 0, "attributes"), JSON_ARRAY))
        return err_set(err, ERR_FORMAT, "attributes: not an array");
    if (!is_call(j, 0) && !otlp_has_events(j))
        return 1;
    r->call.dialect = slice_of("openai-chat");
    read_times(r);
    read_tokens(r);
    read_names(r);
    read_status(r);
    make_extra(r, build(r));
    return ERR_OK;
}

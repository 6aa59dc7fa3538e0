/*
 * wire_from_langfuse.c - observations of Langfuse's export
 *
 * Only generations are calls. Input and output are free there: lists of
 * messages, whole bodies and plain texts are understood, also as texts that
 * hold JSON; what is anything else is told to be cut.
 */
#include "wire/wire_foreign.h"

#include <stdlib.h>
#include <string.h>

static json_ref either(const struct json *j, const char *a, const char *b)
{
    json_ref v = json_get(j, 0, a);

    return json_kind(j, v) != JSON_NULL ? v : json_get(j, 0, b);
}

/* A field as JSON of its own; false: absent, or a text that holds none, which
 * then is in *text. */
static bool load(const struct json *j, const char *name, struct buf *text,
                 struct json *out)
{
    json_ref v = json_get(j, 0, name);

    if (json_kind(j, v) != JSON_NULL && !json_text(j, v, text))
        buf_add_slice(text, json_raw(j, v));
    return text->len &&
           json_parse(out, text->data, text->len, NULL) == ERR_OK &&
           (json_is(out, 0, JSON_OBJECT) || json_is(out, 0, JSON_ARRAY));
}

static void put_model(struct wire_record *r, struct json_writer *w)
{
    const struct json *j = &r->json;

    wire_put_member(w, "model", j, either(j, "provided_model_name", "model"));
}

/* Of the parameters those that a request has by the same names. */
static void put_parameters(struct wire_record *r, struct json_writer *w)
{
    static const char *const names[] = {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "response_format",
        "tool_choice",
        "reasoning_effort",
    };
    const char *at = json_present(json_get(&r->json, 0, "modelParameters"))
                         ? "modelParameters"
                         : "model_parameters";
    struct buf text = { .data = NULL };
    struct json doc = { 0 };

    if (load(&r->json, at, &text, &doc))
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            wire_put_member(w, names[i], &doc, json_get(&doc, 0, names[i]));
    json_release(&doc);
    buf_release(&text);
}

/* Of "input" or "output"; -1: not told. */
static int64_t tokens(const struct json *j, const char *name)
{
    json_ref usage = either(j, "usage_details", "usageDetails");
    int64_t n;

    if (!json_is(j, usage, JSON_OBJECT))
        usage = json_get(j, 0, "usage");
    return json_int(j, json_get(j, usage, name), &n) && n >= 0 ? n : -1;
}

static void put_usage(const struct json *j, struct json_writer *w)
{
    int64_t in = tokens(j, "input"), out = tokens(j, "output");

    if (in < 0 && out < 0)
        return;
    json_begin_object(w, "usage");
    if (in >= 0)
        json_put_int(w, "prompt_tokens", in);
    if (out >= 0)
        json_put_int(w, "completion_tokens", out);
    if (in >= 0 && out >= 0)
        json_put_int(w, "total_tokens", in + out);
    json_end_object(w);
}

/* Plain text as a message. */
static void put_text(struct json_writer *w, const char *key, const char *role,
                     const struct buf *text)
{
    json_begin_object(w, key);
    json_put_string(w, "role", role);
    json_put_slice(w, "content", buf_slice(text));
    json_end_object(w);
}

static bool put_request(struct wire_record *r, struct json_writer *w)
{
    const struct json *j = &r->json;
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool loaded = load(j, "input", &text, &doc), whole = text.len > 0;

    json_begin_object(w, NULL);
    put_model(r, w);
    put_parameters(r, w);
    if (loaded && json_is(&doc, 0, JSON_ARRAY)) {
        json_put_raw(w, "messages", json_raw(&doc, 0));
    } else if (loaded) {
        json_ref messages = json_get(&doc, 0, "messages");

        whole = json_is(&doc, messages, JSON_ARRAY);
        wire_put_member(w, "messages", &doc, messages);
        wire_put_member(w, "tools", &doc, json_get(&doc, 0, "tools"));
    } else if (whole) {
        json_begin_array(w, "messages");
        put_text(w, NULL, "user", &text);
        json_end_array(w);
    }
    json_end_object(w);
    json_release(&doc);
    buf_release(&text);
    return whole;
}

/* A message, a list of one, or a text, as the only choice. */
static bool put_response(struct wire_record *r, struct json_writer *w)
{
    struct buf text = { .data = NULL };
    struct json doc = { 0 };
    bool loaded = load(&r->json, "output", &text, &doc), whole = text.len > 0;
    json_ref message = loaded ? 0 : JSON_NONE;

    if (loaded && json_is(&doc, 0, JSON_ARRAY))
        message = json_first(&doc, 0);
    if (loaded && json_is(&doc, json_get(&doc, 0, "choices"), JSON_ARRAY)) {
        json_put_raw(w, NULL, json_raw(&doc, 0));
    } else if (whole) {
        bool calls = json_count(&doc, json_get(&doc, message, "tool_calls"));

        json_begin_object(w, NULL);
        json_begin_array(w, "choices");
        json_begin_object(w, NULL);
        json_put_int(w, "index", 0);
        if (loaded) {
            whole = json_present(json_get(&doc, message, "content")) || calls;
            json_put_raw(w, "message",
                         message == JSON_NONE ? slice_of("{}")
                                              : json_raw(&doc, message));
        } else {
            put_text(w, "message", "assistant", &text);
        }
        json_put_string(w, "finish_reason", calls ? "tool_calls" : "stop");
        json_end_object(w);
        json_end_array(w);
        put_usage(&r->json, w);
        json_end_object(w);
    }
    json_release(&doc);
    buf_release(&text);
    return whole;
}

static void read_facts(struct wire_record *r)
{
    const struct json *j = &r->json;
    int64_t start = wire_time(j, either(j, "start_time", "startTime"));
    int64_t end = wire_time(j, either(j, "end_time", "endTime"));
    int64_t token =
        wire_time(j, either(j, "completion_start_time", "completionStartTime"));

    r->call.time_us = start;
    if (start >= 0 && end >= start)
        r->call.latency_us = end - start;
    if (start >= 0 && token >= start)
        r->call.ttft_us = token - start;
    r->call.tokens_in = tokens(j, "input");
    r->call.tokens_out = tokens(j, "output");
    r->call.model =
        wire_own_text(r, j, either(j, "provided_model_name", "model"));
    r->call.conversation =
        wire_own_text(r, j, either(j, "session_id", "sessionId"));
    if (!r->call.conversation.n)
        r->call.conversation =
            wire_own_text(r, j, either(j, "trace_id", "traceId"));
    r->call.workload = wire_own_text(r, j, json_get(j, 0, "name"));
}

int wire_from_langfuse(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    bool failed = json_text_is(j, json_get(j, 0, "level"), "ERROR"), whole;
    struct wire_bodies b;
    struct json_writer w;

    if (!json_is(j, json_get(j, 0, "type"), JSON_STRING))
        return err_set(err, ERR_FORMAT, "observation: no type");
    if (!json_text_is(j, json_get(j, 0, "type"), "GENERATION"))
        return 1;
    wire_bodies_begin(&b, r);
    whole = put_request(r, &b.w);
    b.request = r->built.len;
    b.w.need_comma = false;
    if (failed)
        json_put_raw(&b.w, NULL, slice_of("{\"error\":{\"code\":null}}"));
    else
        whole &= put_response(r, &b.w);
    wire_bodies_end(&b, r);
    r->call.dialect = slice_of("openai-chat");
    r->call.status = slice_of(failed ? "failed_http" : "completed");
    if (failed)
        r->call.error =
            wire_own_text(r, j, either(j, "status_message", "statusMessage"));
    read_facts(r);
    wire_extra_begin(r, &w, "langfuse",
                     (!whole && !failed) || wire_has_marks(r));
    wire_extra_member(&w, j, 0, "id");
    wire_extra_end(r, &w);
    return ERR_OK;
}

/*
 * wire_from_litellm.c - LiteLLM's StandardLoggingPayload
 *
 * The request is put together from messages and model_parameters, the
 * response is as it stands. Header fields and keys of the parameters are left
 * out. A payload whose texts LiteLLM has cut or redacted is told to be cut.
 */
#include "wire/wire_foreign.h"

#include <stdlib.h>
#include <string.h>

static bool is_left_out(const struct json *j, json_ref key)
{
    static const char *const names[] = {
        "model",         "messages", "input",   "prompt",
        "extra_headers", "headers",  "api_key", "litellm_params",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (json_text_is(j, key, names[i]))
            return true;
    return false;
}

static void put_parameters(struct json_writer *w, const struct json *j)
{
    json_ref o = json_get(j, 0, "model_parameters");

    if (!json_is(j, o, JSON_OBJECT))
        return;
    for (json_ref v = json_first(j, o); v != JSON_NONE; v = json_next(j, o, v))
        if (!is_left_out(j, json_key(j, v))) {
            char *key = json_strdup(j, json_key(j, v));

            wire_put_member(w, key, j, v);
            free(key);
        }
}

static void put_messages(struct json_writer *w, const struct json *j,
                         enum wire_dialect d)
{
    json_ref v = json_get(j, 0, "messages");

    if (d == DIALECT_OPENAI_RESPONSES || d == DIALECT_OPENAI_EMBEDDINGS)
        wire_put_member(w, "input", j, v);
    else if (d == DIALECT_OPENAI_COMPLETIONS)
        wire_put_member(w, "prompt", j, v);
    else if (json_is(j, v, JSON_STRING)) {
        json_begin_array(w, "messages");
        json_begin_object(w, NULL);
        json_put_string(w, "role", "user");
        json_put_raw(w, "content", json_raw(j, v));
        json_end_object(w);
        json_end_array(w);
    } else {
        wire_put_member(w, "messages", j, v);
    }
}

static void put_error(struct json_writer *w, const struct json *j)
{
    json_ref info = json_get(j, 0, "error_information");
    json_ref text = json_get(j, 0, "error_str");

    json_begin_object(w, NULL);
    json_begin_object(w, "error");
    wire_put_member(w, "message", j,
                    json_kind(j, text) != JSON_NULL
                        ? text
                        : json_get(j, info, "error_message"));
    wire_put_member(w, "type", j, json_get(j, info, "error_class"));
    wire_put_member(w, "code", j, json_get(j, info, "error_code"));
    json_end_object(w);
    json_end_object(w);
}

/* Of vectors how many there were, as the proxy keeps them. */
static void put_vectors(struct json_writer *w, const struct json *j,
                        json_ref response)
{
    json_begin_object(w, NULL);
    wire_put_member(w, "model", j, json_get(j, response, "model"));
    wire_put_member(w, "usage", j, json_get(j, response, "usage"));
    json_put_int(w, "vectors",
                 (int64_t)json_count(j, json_get(j, response, "data")));
    json_end_object(w);
}

/* What an export of slmctl has written. */
static json_ref own_fields(const struct json *j)
{
    return json_find(j, 0, "metadata", "requester_metadata", "slmctl", NULL);
}

static void build(struct wire_record *r, enum wire_dialect d, bool failed)
{
    const struct json *j = &r->json;
    json_ref response = json_get(j, 0, "response");
    struct wire_bodies b;

    wire_bodies_begin(&b, r);
    json_begin_object(&b.w, NULL);
    wire_put_member(&b.w, "model", j, json_get(j, 0, "model"));
    put_messages(&b.w, j, d);
    put_parameters(&b.w, j);
    json_end_object(&b.w);
    b.request = r->built.len;
    b.w.need_comma = false;
    if (failed)
        put_error(&b.w, j);
    else if (d == DIALECT_OPENAI_EMBEDDINGS)
        put_vectors(&b.w, j, response);
    else if (json_is(j, response, JSON_OBJECT))
        json_put_raw(&b.w, NULL, json_raw(j, response));
    wire_bodies_end(&b, r);
}

/* A call that ended otherwise than with an answer or an error. */
static void read_own(struct wire_record *r)
{
    const struct json *j = &r->json;
    json_ref own = own_fields(j);
    struct slice status =
        wire_status(wire_inner(j, json_get(j, own, "status")));

    if (!status.n)
        return;
    wire_read_call_id(r, j, json_get(j, own, "call_id"));
    r->call.status = status;
    r->call.phase = wire_own_text(r, j, json_get(j, own, "phase"));
    r->call.workload = wire_own_text(r, j, json_get(j, own, "workload_id"));
    if (!json_int(j, json_get(j, own, "http_status"), &r->call.http_status))
        r->call.http_status = -1;
    if (slice_eq(r->call.error, status))
        r->call.error = (struct slice){ NULL, 0 };
}

static void read_failure(struct wire_record *r)
{
    const struct json *j = &r->json;
    json_ref info = json_get(j, 0, "error_information");
    json_ref code = json_get(j, info, "error_code");

    r->call.status = slice_of("failed_http");
    r->call.error = wire_own_text(r, j, json_get(j, info, "error_class"));
    if (!r->call.error.n)
        r->call.error = wire_own_text(r, j, json_get(j, 0, "error_str"));
    if (!r->call.error.n)
        r->call.error = slice_of("error");
    if (!json_int(j, code, &r->call.http_status)) {
        struct slice s = wire_inner(j, code);

        if (s.n == 3 && strspn(s.p, "0123456789") >= 3)
            r->call.http_status =
                (s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + (s.p[2] - '0');
    }
}

static void read_times(struct wire_record *r)
{
    const struct json *j = &r->json;
    int64_t start = wire_time(j, json_get(j, 0, "startTime"));
    int64_t end = wire_time(j, json_get(j, 0, "endTime"));
    int64_t token = wire_time(j, json_get(j, 0, "completionStartTime"));

    r->call.time_us = start;
    if (start >= 0 && end > start)
        r->call.latency_us = end - start;
    if (start >= 0 && token > start && token < end)
        r->call.ttft_us = token - start;
}

/* LiteLLM writes 0 where it knows nothing. */
static void read_tokens(struct wire_record *r)
{
    const struct json *j = &r->json;
    int64_t in, out;

    if (r->call.tokens_in < 0 &&
        json_int(j, json_get(j, 0, "prompt_tokens"), &in) && in > 0)
        r->call.tokens_in = in;
    if (r->call.tokens_out < 0 &&
        json_int(j, json_get(j, 0, "completion_tokens"), &out) && out > 0)
        r->call.tokens_out = out;
}

static void read_names(struct wire_record *r)
{
    const struct json *j = &r->json;
    json_ref meta = json_get(j, 0, "metadata");

    if (!r->call.model.n)
        r->call.model = wire_own_text(r, j, json_get(j, 0, "model"));
    r->call.conversation = wire_own_text(r, j, json_get(j, meta, "session_id"));
    if (!r->call.conversation.n)
        r->call.conversation =
            wire_own_text(r, j, json_get(j, 0, "session_id"));
    if (!r->call.conversation.n)
        r->call.conversation = wire_own_text(r, j, json_get(j, 0, "trace_id"));
    r->call.client = wire_own_text(r, j, json_get(j, 0, "end_user"));
    r->call.upstream =
        wire_host(wire_own_text(r, j, json_get(j, 0, "api_base")));
    if (!r->call.upstream.n && !json_present(own_fields(j)))
        r->call.upstream =
            wire_own_text(r, j, json_get(j, 0, "custom_llm_provider"));
}

static bool is_cut(const struct wire_record *r, bool failed)
{
    const struct json *j = &r->json;
    json_ref messages = json_get(j, 0, "messages");
    json_ref response = json_get(j, 0, "response");

    bool cut = false;

    (void)json_bool(j, json_get(j, own_fields(j), "cut"), &cut);
    return cut || wire_has_marks(r) ||
           (!failed &&
            (!json_count(j, response) || json_kind(j, messages) == JSON_NULL));
}

static void make_extra(struct wire_record *r, bool cut)
{
    static const char *const names[] = {
        "id",        "request_tags", "response_cost", "cache_hit",
        "call_type", "model_group",  "model_id",
    };
    struct json_writer w;

    wire_extra_begin(r, &w, "litellm", cut);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        wire_extra_member(&w, &r->json, 0, names[i]);
    wire_extra_end(r, &w);
}

static enum wire_dialect dialect_of(const struct json *j)
{
    json_ref type = json_get(j, 0, "call_type");
    struct slice s = wire_inner(j, type);
    enum wire_dialect d = wire_shape(j, 0, json_get(j, 0, "response"));

    if (s.n && memmem(s.p, s.n, "embedding", 9))
        return DIALECT_OPENAI_EMBEDDINGS;
    if (s.n && memmem(s.p, s.n, "responses", 9))
        return DIALECT_OPENAI_RESPONSES;
    if (s.n && memmem(s.p, s.n, "text_completion", 15))
        return DIALECT_OPENAI_COMPLETIONS;
    return d == DIALECT_OPAQUE ? DIALECT_OPENAI_CHAT : d;
}

/* Beside an error there may be the part of an answer that had come. */
static bool has_answer(const struct json *j)
{
    return json_present(own_fields(j)) &&
           json_is(j, json_get(j, 0, "response"), JSON_OBJECT);
}

int wire_from_litellm(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    bool failed = json_text_is(j, json_get(j, 0, "status"), "failure");
    enum wire_dialect d = dialect_of(j);
    bool answered = !failed || has_answer(j);

    if (!json_present(json_get(j, 0, "messages")) &&
        !json_present(json_get(j, 0, "response")))
        return err_set(err, ERR_FORMAT,
                       "LiteLLM payload: neither messages nor response");
    if (!json_present(json_get(j, 0, "startTime")) &&
        !json_present(json_get(j, 0, "call_type")) &&
        !json_present(json_get(j, 0, "model_parameters")))
        return err_set(err, ERR_FORMAT,
                       "LiteLLM payload: no startTime, call_type or "
                       "model_parameters");
    build(r, d, !answered);
    r->call.dialect = slice_of(wire_dialect_names[d]);
    if (answered)
        wire_read_answer(r, d, j, json_get(j, 0, "response"));
    r->call.status = slice_of("completed");
    if (failed)
        read_failure(r);
    read_own(r);
    if (!answered && !slice_starts(r->call.status, "failed"))
        r->call.response = (struct slice){ NULL, 0 };
    read_times(r);
    read_tokens(r);
    read_names(r);
    make_extra(r, is_cut(r, failed));
    return ERR_OK;
}

/*
 * wire_to_litellm.c - calls as LiteLLM's StandardLoggingPayload
 *
 * Each field that the payload requires is there; what is not known is null, or
 * 0 where its type is a number, as LiteLLM itself does. What it has no field
 * for stands in the metadata of the requester under "slmctl".
 */
#include "wire/wire_export.h"

#include <stdio.h>

static void put_nulls(struct json_writer *w, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_put_null(w, names[i]);
}
#define PUT_NULLS(w, names)                                                    \
    put_nulls(w, names, sizeof(names) / sizeof(*(names)))

static void put_or_null(struct json_writer *w, const char *key, struct slice s)
{
    if (s.n)
        json_put_slice(w, key, s);
    else
        json_put_null(w, key);
}

static int64_t known(int64_t n)
{
    return n > 0 ? n : 0;
}

static void put_ids(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    char id[40];

    (void)snprintf(id, sizeof(id), "call-%lld", (long long)x->id);
    if (c->response_id.n)
        json_put_slice(w, "id", c->response_id);
    else
        json_put_string(w, "id", id);
    json_put_slice(w, "trace_id", c->conversation);
    json_put_slice(w, "session_id", c->conversation);
    json_put_null(w, "litellm_call_id");
    json_put_string(w, "call_type", "completion");
}

static void put_times(struct json_writer *w, const struct store_call *c)
{
    int64_t start = known(c->time_us);
    int64_t end = start + known(c->latency_us);
    int64_t first = start + known(c->ttft_us);

    wire_put_seconds(w, "startTime", start);
    wire_put_seconds(w, "endTime", end);
    wire_put_seconds(w, "completionStartTime", c->ttft_us > 0 ? first : end);
    wire_put_seconds(w, "response_time",
                     (c->ttft_us > 0 ? first : end) - start);
}

static void put_status(struct json_writer *w, bool completed)
{
    const char *status = completed ? "success" : "failure";

    json_put_string(w, "status", status);
    json_begin_object(w, "status_fields");
    json_put_string(w, "llm_api_status", status);
    json_put_string(w, "guardrail_status", "not_run");
    json_end_object(w);
}

static void put_tokens(struct json_writer *w, const struct store_call *c)
{
    int64_t in = known(c->tokens_in), out = known(c->tokens_out);

    json_put_int(w, "total_tokens", in + out);
    json_put_int(w, "prompt_tokens", in);
    json_put_int(w, "completion_tokens", out);
}

static void put_model(struct json_writer *w, const struct wire_out *x)
{
    json_ref asked = json_get(&x->q, x->request, "model");
    struct slice model = wire_inner(&x->q, asked);

    json_begin_object(w, "model_map_information");
    wire_put_inner(w, "model_map_key", model);
    json_put_null(w, "model_map_value");
    json_end_object(w);
    wire_put_inner(w, "model", model);
    json_put_null(w, "model_id");
    wire_put_inner(w, "model_group", model);
    json_put_slice(w, "api_base", x->call->upstream);
    json_put_string(w, "custom_llm_provider", "openai");
}

/* How the call ended, and for what part of the agent it was. */
static void put_own(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;

    json_begin_object(w, "requester_metadata");
    json_begin_object(w, "slmctl");
    json_put_slice(w, "status", c->status);
    wire_put_text(w, "phase", c->phase);
    wire_put_text(w, "workload_id", c->workload);
    if (c->http_status >= 0)
        json_put_int(w, "http_status", c->http_status);
    wire_put_text(w, "call_id", slice_of(x->call_id));
    if (x->cut)
        json_put_bool(w, "cut", true);
    json_end_object(w);
    json_end_object(w);
}

static void put_metadata(struct json_writer *w, const struct wire_out *x)
{
    static const char *const names[] = {
        "user_api_key_hash",
        "user_api_key_alias",
        "user_api_key_spend",
        "user_api_key_max_budget",
        "user_api_key_budget_reset_at",
        "user_api_key_user_spend",
        "user_api_key_user_max_budget",
        "user_api_key_team_spend",
        "user_api_key_team_max_budget",
        "user_api_key_org_id",
        "user_api_key_org_alias",
        "user_api_key_team_id",
        "user_api_key_project_id",
        "user_api_key_project_alias",
        "user_api_key_user_id",
        "user_api_key_user_email",
        "user_api_key_team_alias",
        "user_api_key_end_user_id",
        "user_api_key_request_route",
        "user_api_key_auth_metadata",
        "spend_logs_metadata",
        "requester_ip_address",
        "user_agent",
        "requester_custom_headers",
        "prompt_management_metadata",
        "mcp_tool_call_metadata",
        "vector_store_request_metadata",
        "routing_decision",
        "applied_guardrails",
        "cold_storage_object_key",
        "team_alias",
        "team_id",
        "used_client_oauth_token",
    };
    json_ref usage = json_get(&x->a, x->response, "usage");

    json_begin_object(w, "metadata");
    PUT_NULLS(w, names);
    if (json_is(&x->a, usage, JSON_OBJECT))
        json_put_raw(w, "usage_object", json_raw(&x->a, usage));
    else
        json_put_null(w, "usage_object");
    put_own(w, x);
    json_end_object(w);
}

static void put_hidden(struct json_writer *w)
{
    static const char *const names[] = {
        "model_id",
        "cache_key",
        "api_base",
        "response_cost",
        "litellm_overhead_time_ms",
        "additional_headers",
        "batch_models",
        "batch_successful_requests",
        "batch_failed_requests",
        "litellm_model_name",
        "usage_object",
    };

    json_begin_object(w, "hidden_params");
    PUT_NULLS(w, names);
    json_end_object(w);
}

/* Texts of an error; a number is one by its digits. */
static struct buf text_of(const struct json *j, json_ref v)
{
    struct buf text = { .data = NULL };

    if (!json_text(j, v, &text) && json_kind(j, v) != JSON_NULL)
        buf_add_slice(&text, json_raw(j, v));
    return text;
}

static void put_failure(struct json_writer *w, const struct wire_out *x,
                        bool completed)
{
    json_ref error = wire_out_error(x);
    json_ref said = json_get(&x->a, error, "message");
    struct buf text = text_of(&x->a, json_present(said) ? said : error);
    const struct store_call *c = x->call;
    char code[24] = "";

    if (c->http_status >= 0)
        (void)snprintf(code, sizeof(code), "%lld", (long long)c->http_status);
    if (!text.len)
        buf_add_slice(&text, c->error.n ? c->error : c->status);
    if (completed) {
        json_put_null(w, "error_str");
        json_put_null(w, "error_information");
    } else {
        json_put_slice(w, "error_str", buf_slice(&text));
        json_begin_object(w, "error_information");
        put_or_null(w, "error_code", slice_of(code));
        json_put_slice(w, "error_class", c->error.n ? c->error : c->status);
        json_put_string(w, "llm_provider", "openai");
        json_put_string(w, "traceback", "");
        json_put_slice(w, "error_message", buf_slice(&text));
        json_end_object(w);
    }
    buf_release(&text);
}

static void put_parameters(struct json_writer *w, const struct wire_out *x)
{
    json_begin_object(w, "model_parameters");
    for (json_ref v = json_first(&x->q, x->request); v != JSON_NONE;
         v = json_next(&x->q, x->request, v)) {
        json_ref key = json_key(&x->q, v);
        struct buf name = { .data = NULL };

        if (json_text_is(&x->q, key, "model") ||
            json_text_is(&x->q, key, "messages"))
            continue;
        (void)json_text(&x->q, key, &name);
        json_put_raw(w, name.len ? name.data : "", json_raw(&x->q, v));
        buf_release(&name);
    }
    json_end_object(w);
}

static void put_bodies(struct json_writer *w, const struct wire_out *x)
{
    json_ref messages = json_get(&x->q, x->request, "messages");

    json_put_raw(w, "messages",
                 json_present(messages) ? json_raw(&x->q, messages)
                                        : slice_of("[]"));
    if (json_present(x->response) && !wire_out_failed(x))
        json_put_raw(w, "response", buf_slice(&x->answer));
    else
        json_put_null(w, "response");
    put_parameters(w, x);
}

void wire_to_litellm(const struct wire_out *x, struct buf *out)
{
    static const char *const unknown[] = {
        "cost_breakdown",
        "autorouter_savings",
        "autorouter_savings_estimate",
        "autorouter_baseline_observation",
        "response_cost_failure_debug_info",
        "cache_hit",
        "cache_key",
        "requester_ip_address",
        "user_agent",
        "guardrail_information",
        "standard_built_in_tools_params",
    };
    bool completed = slice_is(x->call->status, "completed");
    struct json_writer w;
    bool stream = false;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    put_ids(&w, x);
    (void)json_bool(&x->q, json_get(&x->q, x->request, "stream"), &stream);
    json_put_bool(&w, "stream", stream);
    put_status(&w, completed);
    put_times(&w, x->call);
    put_tokens(&w, x->call);
    json_put_double(&w, "response_cost", 0);
    json_put_double(&w, "saved_cache_cost", 0);
    put_model(&w, x);
    put_or_null(&w, "end_user", x->call->client);
    json_begin_array(&w, "request_tags");
    json_end_array(&w);
    PUT_NULLS(&w, unknown);
    put_metadata(&w, x);
    put_bodies(&w, x);
    put_failure(&w, x, completed);
    put_hidden(&w);
    json_end_object(&w);
}

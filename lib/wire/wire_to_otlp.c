/*
 * wire_to_otlp.c - calls as spans of OpenTelemetry, in OTLP/JSON
 *
 * A line is an ExportTraceServiceRequest with one span of the GenAI
 * conventions, its messages as JSON in attributes. What these have no
 * attribute for stands in attributes "slmctl.*".
 */
#include "wire/wire_export_parts.h"

#include "crypto/crypto.h"

#include <stdio.h>
#include <string.h>

static void begin_attribute(struct json_writer *w, const char *key)
{
    json_begin_object(w, NULL);
    json_put_string(w, "key", key);
    json_begin_object(w, "value");
}

static void end_attribute(struct json_writer *w)
{
    json_end_object(w);
    json_end_object(w);
}

static void put_text(struct json_writer *w, const char *key, struct slice s)
{
    if (!s.n)
        return;
    begin_attribute(w, key);
    json_put_slice(w, "stringValue", s);
    end_attribute(w);
}

/* Integers of 64 bits are texts in OTLP/JSON. */
static void put_int(struct json_writer *w, const char *key, int64_t n)
{
    char text[24];

    if (n < 0)
        return;
    (void)snprintf(text, sizeof(text), "%lld", (long long)n);
    begin_attribute(w, key);
    json_put_string(w, "intValue", text);
    end_attribute(w);
}

static void put_double(struct json_writer *w, const char *key, double d)
{
    begin_attribute(w, key);
    json_put_double(w, "doubleValue", d);
    end_attribute(w);
}

static void put_flag(struct json_writer *w, const char *key, bool yes)
{
    begin_attribute(w, key);
    json_put_bool(w, "boolValue", yes);
    end_attribute(w);
}

/* Texts of v, or v itself if it is one. */
static void put_texts(struct json_writer *w, const char *key,
                      const struct json *j, json_ref v)
{
    begin_attribute(w, key);
    json_begin_object(w, "arrayValue");
    json_begin_array(w, "values");
    if (json_is(j, v, JSON_STRING)) {
        json_begin_object(w, NULL);
        json_put_raw(w, "stringValue", json_raw(j, v));
        json_end_object(w);
    }
    for (json_ref e = json_is(j, v, JSON_ARRAY) ? json_first(j, v) : JSON_NONE;
         e != JSON_NONE; e = json_next(j, v, e))
        if (json_is(j, e, JSON_STRING)) {
            json_begin_object(w, NULL);
            json_put_raw(w, "stringValue", json_raw(j, e));
            json_end_object(w);
        }
    json_end_array(w);
    json_end_object(w);
    end_attribute(w);
}

/* Numbers and flags of the request that the conventions name. */
static void put_parameters(struct json_writer *w, const struct wire_out *x)
{
    static const char *const names[][2] = {
        { "max_tokens", "gen_ai.request.max_tokens" },
        { "max_completion_tokens", "gen_ai.request.max_tokens" },
        { "n", "gen_ai.request.choice.count" },
        { "seed", "gen_ai.request.seed" },
        { "temperature", "gen_ai.request.temperature" },
        { "top_p", "gen_ai.request.top_p" },
        { "frequency_penalty", "gen_ai.request.frequency_penalty" },
        { "presence_penalty", "gen_ai.request.presence_penalty" },
    };
    json_ref stop = json_get(&x->q, x->request, "stop");
    bool max_tokens = false, stream;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        json_ref v = json_get(&x->q, x->request, names[i][0]);
        int64_t n;
        double d;

        if (i < 4 && json_int(&x->q, v, &n) && !(i == 1 && max_tokens)) {
            put_int(w, names[i][1], n);
            max_tokens |= i == 0;
        } else if (i >= 4 && json_double(&x->q, v, &d)) {
            put_double(w, names[i][1], d);
        }
    }
    if (json_kind(&x->q, stop) != JSON_NULL)
        put_texts(w, "gen_ai.request.stop_sequences", &x->q, stop);
    if (json_bool(&x->q, json_get(&x->q, x->request, "stream"), &stream))
        put_flag(w, "gen_ai.request.stream", stream);
}

/* The request but for what has attributes of its own, so that nothing of it
 * is lost. */
static void put_rest(struct json_writer *w, const struct wire_out *x)
{
    struct buf rest = { .data = NULL };

    for (json_ref v = json_first(&x->q, x->request); v != JSON_NONE;
         v = json_next(&x->q, x->request, v)) {
        json_ref key = json_key(&x->q, v);

        if (json_text_is(&x->q, key, "model") ||
            json_text_is(&x->q, key, "messages") ||
            json_text_is(&x->q, key, "tools"))
            continue;
        buf_char(&rest, rest.len ? ',' : '{');
        buf_add_slice(&rest, json_raw(&x->q, key));
        buf_char(&rest, ':');
        buf_add_slice(&rest, json_raw(&x->q, v));
    }
    if (rest.len) {
        buf_char(&rest, '}');
        put_text(w, "slmctl.request", buf_slice(&rest));
    }
    buf_release(&rest);
}

static void put_request(struct json_writer *w, const struct wire_out *x)
{
    struct buf text = { .data = NULL };
    struct buf model = { .data = NULL };

    (void)json_text(&x->q, json_get(&x->q, x->request, "model"), &model);
    put_text(w, "gen_ai.request.model", buf_slice(&model));
    put_parameters(w, x);
    put_rest(w, x);
    wire_parts_input(x, &text);
    put_text(w, "gen_ai.input.messages", buf_slice(&text));
    buf_reset(&text);
    wire_parts_tools(x, &text);
    put_text(w, "gen_ai.tool.definitions", buf_slice(&text));
    buf_release(&text);
    buf_release(&model);
}

static void put_finish(struct json_writer *w, const struct wire_out *x)
{
    json_ref list = json_get(&x->a, x->response, "choices");

    if (!json_count(&x->a, list))
        return;
    begin_attribute(w, "gen_ai.response.finish_reasons");
    json_begin_object(w, "arrayValue");
    json_begin_array(w, "values");
    for (json_ref v = json_first(&x->a, list); v != JSON_NONE;
         v = json_next(&x->a, list, v)) {
        json_begin_object(w, NULL);
        wire_put_inner(w, "stringValue", wire_parts_finish(&x->a, v));
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
    end_attribute(w);
}

static void put_answer(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    struct buf text = { .data = NULL };

    put_text(w, "gen_ai.response.id", c->response_id);
    (void)json_text(&x->a, json_get(&x->a, x->response, "model"), &text);
    put_text(w, "gen_ai.response.model", buf_slice(&text));
    put_finish(w, x);
    if (c->ttft_us >= 0)
        put_double(w, "gen_ai.response.time_to_first_chunk",
                   (double)c->ttft_us / 1e6);
    put_int(w, "gen_ai.usage.input_tokens", c->tokens_in);
    put_int(w, "gen_ai.usage.output_tokens", c->tokens_out);
    put_int(w, "gen_ai.usage.cache_read.input_tokens", c->tokens_cached);
    put_int(w, "gen_ai.usage.reasoning.output_tokens", c->tokens_reason);
    buf_reset(&text);
    wire_parts_output(x, &text);
    put_text(w, "gen_ai.output.messages", buf_slice(&text));
    buf_release(&text);
}

static const char *provider_of(struct slice dialect)
{
    return slice_is(dialect, "anthropic")    ? "anthropic"
           : slice_is(dialect, "gemini")     ? "gcp.gemini"
           : slice_starts(dialect, "ollama") ? "ollama"
                                             : "openai";
}

static void put_attributes(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    bool completed = slice_is(c->status, "completed");

    json_begin_array(w, "attributes");
    put_text(w, "gen_ai.operation.name", slice_of("chat"));
    put_text(w, "gen_ai.provider.name", slice_of(provider_of(c->dialect)));
    put_text(w, "server.address", c->upstream);
    put_text(w, "gen_ai.conversation.id", c->conversation);
    put_text(w, "user.id", c->client);
    if (!completed)
        put_text(w, "error.type", c->error.n ? c->error : c->status);
    put_int(w, "http.response.status_code", c->http_status);
    put_text(w, "slmctl.status", c->status);
    put_text(w, "slmctl.phase", c->phase);
    put_text(w, "slmctl.workload", c->workload);
    put_text(w, "slmctl.call_id", slice_of(x->call_id));
    if (x->cut)
        put_flag(w, "slmctl.cut", true);
    put_request(w, x);
    put_answer(w, x);
    json_end_array(w);
}

/* The trace is the conversation's; other calls have one each. */
static void put_ids(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    unsigned char sum[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    struct buf text = { .data = NULL };

    buf_printf(&text, "%lld %lld ", (long long)x->id, (long long)c->time_us);
    buf_add_slice(&text, c->response_id);
    crypto_sha256(c->conversation.n ? c->conversation : buf_slice(&text), sum);
    crypto_hex(sum, 16, hex);
    json_put_string(w, "traceId", hex);
    crypto_sha256(buf_slice(&text), sum);
    crypto_hex(sum, 8, hex);
    json_put_string(w, "spanId", hex);
    buf_release(&text);
}

/* Nanoseconds; 0 is unknown. */
static void put_time(struct json_writer *w, const char *key, int64_t us)
{
    char text[32] = "0";

    if (us > 0 && us < INT64_MAX / 1000)
        (void)snprintf(text, sizeof(text), "%lld000", (long long)us);
    json_put_string(w, key, text);
}

static void put_status(struct json_writer *w, const struct wire_out *x)
{
    json_ref error = wire_out_error(x);
    json_ref said = json_get(&x->a, error, "message");

    if (slice_is(x->call->status, "completed"))
        return;
    json_begin_object(w, "status");
    json_put_int(w, "code", 2);
    if (json_is(&x->a, json_present(said) ? said : error, JSON_STRING))
        wire_put_member(w, "message", &x->a, json_present(said) ? said : error);
    json_end_object(w);
}

static void put_span(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    struct buf name = { .data = NULL };

    json_begin_object(w, NULL);
    put_ids(w, x);
    buf_str(&name, "chat ");
    (void)json_text(&x->q, json_get(&x->q, x->request, "model"), &name);
    json_put_slice(w, "name", slice_trim(buf_slice(&name)));
    json_put_int(w, "kind", 3); /* client */
    put_time(w, "startTimeUnixNano", c->time_us);
    put_time(w, "endTimeUnixNano",
             c->time_us > 0 && c->latency_us >= 0 ? c->time_us + c->latency_us
                                                  : 0);
    put_attributes(w, x);
    put_status(w, x);
    json_end_object(w);
    buf_release(&name);
}

void wire_to_otlp(const struct wire_out *x, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "resourceSpans");
    json_begin_object(&w, NULL);
    json_begin_object(&w, "resource");
    json_begin_array(&w, "attributes");
    put_text(&w, "service.name", slice_of("slmctl"));
    json_end_array(&w);
    json_end_object(&w);
    json_begin_array(&w, "scopeSpans");
    json_begin_object(&w, NULL);
    json_begin_object(&w, "scope");
    json_put_string(&w, "name", "slmctl");
    json_end_object(&w);
    json_begin_array(&w, "spans");
    put_span(&w, x);
    json_end_array(&w);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
}

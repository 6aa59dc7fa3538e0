/*
 * wire_export.c - calls as lines: the exchange format, and who writes others
 *
 * Every dialect goes out as OpenAI chat where it can. What a format has no
 * field for is named as slmctl-exchange(5) has it, so that a line which is
 * imported again is the same call; above all that its texts were cut.
 */
#include "wire/wire_export.h"

#include <stdio.h>
#include <string.h>

void wire_put_seconds(struct json_writer *w, const char *key, int64_t us)
{
    json_put_double(w, key, (double)us / 1e6);
}

void wire_put_text(struct json_writer *w, const char *key, struct slice text)
{
    if (text.n)
        json_put_slice(w, key, text);
}

/* Line ends within JSON are white space; here a line is a call. */
static void join_lines(struct buf *body)
{
    for (size_t i = 0; i < body->len; i++)
        if (body->data[i] == '\n' || body->data[i] == '\r')
            body->data[i] = ' ';
}

/* Where the API has the model in the path, it is not in the body. */
static void add_model(struct buf *body, struct slice model)
{
    struct buf out = { .data = NULL };
    struct json_writer w;
    struct json j = { 0 };

    if (model.n && json_parse(&j, body->data, body->len, NULL) == ERR_OK &&
        json_is(&j, 0, JSON_OBJECT) && json_count(&j, 0) &&
        !json_present(json_get(&j, 0, "model"))) {
        json_writer_init(&w, &out, false);
        json_begin_object(&w, NULL);
        json_put_slice(&w, "model", model);
        buf_char(&out, ',');
        buf_add(&out, body->data + 1, body->len - 1);
        buf_reset(body);
        buf_add_slice(body, buf_slice(&out));
    }
    json_release(&j);
    buf_release(&out);
}

static json_ref parse(struct buf *text, struct json *j)
{
    if (!text->len || json_parse(j, text->data, text->len, NULL) < 0)
        return JSON_NONE;
    join_lines(text);
    return json_is(j, 0, JSON_OBJECT) ? 0 : JSON_NONE;
}

/* The model that was asked, where another answered. */
static void add_model_asked(const struct store_call *c, struct buf *model)
{
    struct json j = { 0 };

    if (c->extra.n && json_parse(&j, c->extra.p, c->extra.n, NULL) == ERR_OK)
        (void)json_text(&j, json_get(&j, 0, "model_asked"), model);
    if (!model->len)
        buf_add_slice(model, c->model);
    json_release(&j);
}

/* Of a call that this store's proxy has logged, or another's whose export was
 * imported. */
static void find_call_id(struct wire_out *x)
{
    const struct store_call *c = x->call;
    unsigned char id[WIRE_CALL_ID_BYTES];
    struct json j = { 0 };

    if (c->key.n == sizeof(id)) {
        crypto_hex(c->key.p, sizeof(id), x->call_id);
        return;
    }
    if (c->extra.n && json_parse(&j, c->extra.p, c->extra.n, NULL) == ERR_OK &&
        crypto_unhex(wire_inner(&j, json_get(&j, 0, "call_id")), id,
                     sizeof(id)))
        crypto_hex(id, sizeof(id), x->call_id);
    json_release(&j);
}

/* False: the bodies stay what they are. */
static bool convert(struct wire_out *x)
{
    const struct store_call *c = x->call;
    struct buf model = { .data = NULL };
    struct err err;
    bool chat;

    x->cut = wire_is_cut(c->extra);
    add_model_asked(c, &model);
    chat = wire_to_chat(c->dialect, c->request, c->response, &x->ask,
                        &x->answer, &err) == ERR_OK;
    if (chat) {
        add_model(&x->ask, buf_slice(&model));
    } else {
        buf_reset(&x->ask);
        buf_reset(&x->answer);
        buf_add_slice(&x->ask, c->request);
        buf_add_slice(&x->answer, c->response);
    }
    buf_release(&model);
    x->request = parse(&x->ask, &x->q);
    x->response = parse(&x->answer, &x->a);
    return chat;
}

json_ref wire_out_error(const struct wire_out *x)
{
    json_ref error = json_get(&x->a, x->response, "error");

    return json_kind(&x->a, error) == JSON_NULL ? JSON_NONE : error;
}

bool wire_out_failed(const struct wire_out *x)
{
    return json_present(wire_out_error(x)) &&
           !json_count(&x->a, json_get(&x->a, x->response, "choices"));
}

/* A body that is no JSON goes as a text. */
static void put_body(struct json_writer *w, const char *key,
                     const struct buf *body, const struct json *j)
{
    if (!body->len)
        json_put_null(w, key);
    else if (j->count)
        json_put_raw(w, key, buf_slice(body));
    else
        json_put_slice(w, key, buf_slice(body));
}

static void put_ms(struct json_writer *w, const char *key, int64_t us)
{
    if (us >= 0)
        json_put_double(w, key, (double)us / 1e3);
}

static void put_names(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;

    if (c->time_us >= 0)
        wire_put_seconds(w, "timestamp", c->time_us);
    wire_put_text(w, "workload_id", c->workload);
    wire_put_text(w, "client_id", c->client);
    wire_put_text(w, "conversation_id", c->conversation);
    wire_put_text(w, "upstream", c->upstream);
    wire_put_text(w, "call_id", slice_of(x->call_id));
}

/* Where the bodies do not tell it, or are none that a reader would take. */
static bool tells_dialect(const struct wire_out *x)
{
    bool answered = json_present(x->response);

    if (slice_is(x->call->dialect, "unknown"))
        return !x->ask.len;
    return !x->is_chat || !json_present(x->request) ||
           (!answered &&
            (x->answer.len || slice_is(x->call->status, "completed")));
}

static void put_outcome(struct json_writer *w, const struct store_outcome *o)
{
    struct buf key = { 0 };
    struct json j = { 0 };

    json_begin_object(w, "outcome");
    if (o->has_reward)
        json_put_double(w, "reward", o->reward);
    wire_put_text(w, "label", o->label);
    wire_put_text(w, "answer", o->answer);
    if (o->extra.n && json_parse(&j, o->extra.p, o->extra.n, NULL) == ERR_OK)
        for (json_ref e = json_first(&j, 0); e != JSON_NONE;
             e = json_next(&j, 0, e)) {
            buf_reset(&key);
            if (json_text(&j, json_key(&j, e), &key))
                json_put_raw(w, key.data, json_raw(&j, e));
        }
    json_end_object(w);
    json_release(&j);
    buf_release(&key);
}

static void to_exchange(const struct wire_out *x, struct buf *out)
{
    const struct store_call *c = x->call;
    bool is_lost = slice_is(c->dialect, "unknown"); /* before it had bodies */
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    put_names(&w, x);
    wire_put_text(&w, "status", c->status);
    wire_put_text(&w, "phase", c->phase);
    if (c->http_status >= 0)
        json_put_int(&w, "http_status", c->http_status);
    put_ms(&w, "latency_ms", c->latency_us);
    put_ms(&w, "ttft_ms", c->ttft_us);
    wire_put_text(&w, "error", c->error);
    if (x->cut)
        json_put_bool(&w, "cut", true);
    if (tells_dialect(x))
        json_put_slice(&w, "dialect",
                       is_lost ? slice_of("opaque") : c->dialect);
    put_body(&w, "request", &x->ask, &x->q);
    put_body(&w, "response", &x->answer, &x->a);
    if (x->outcome)
        put_outcome(&w, x->outcome);
    json_end_object(&w);
}

/* How the call ended, in the terms of the Batch API: an error that is not the
 * answer itself. */
static void put_end(struct json_writer *w, const struct store_call *c,
                    bool failed)
{
    if (slice_is(c->status, "completed") ||
        (failed && slice_is(c->status, "failed_http"))) {
        json_put_null(w, "error");
        return;
    }
    json_begin_object(w, "error");
    json_put_slice(w, "code", c->status);
    wire_put_text(w, "message", c->error);
    json_end_object(w);
}

/* The status of a completed answer was no other than 200. */
static void put_answer(struct json_writer *w, const struct wire_out *x)
{
    const struct store_call *c = x->call;
    int64_t status = c->http_status;

    if (!json_present(x->response)) {
        json_put_null(w, "response");
        return;
    }
    if (status < 0 && slice_is(c->status, "completed"))
        status = 200;
    json_begin_object(w, "response");
    if (status >= 0)
        json_put_int(w, "status_code", status);
    json_put_raw(w, "body", buf_slice(&x->answer));
    json_end_object(w);
}

void wire_to_openai(const struct wire_out *x, struct buf *out)
{
    const struct store_call *c = x->call;
    struct json_writer w;
    char id[40];

    (void)snprintf(id, sizeof(id), "call-%lld", (long long)x->id);
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "custom_id", id);
    json_put_string(&w, "method", "POST");
    json_put_string(&w, "url", "/v1/chat/completions");
    json_put_raw(&w, "body", buf_slice(&x->ask));
    put_answer(&w, x);
    put_end(&w, c, wire_out_failed(x));
    put_names(&w, x);
    wire_put_text(&w, "phase", c->phase);
    put_ms(&w, "latency_ms", c->latency_us);
    put_ms(&w, "ttft_ms", c->ttft_us);
    if (x->cut)
        json_put_bool(&w, "cut", true);
    json_end_object(&w);
}

/* What other formats have a place for: messages, and an answer if it came to
 * one. */
static bool is_whole(const struct wire_out *x)
{
    return x->is_chat && json_present(x->request) &&
           (x->cut || json_present(x->response) ||
            !slice_is(x->call->status, "completed"));
}

int wire_export(enum wire_format format, const struct store_call *call,
                const struct store_outcome *outcome, int64_t id,
                struct buf *out)
{
    static void (*const writers[])(const struct wire_out *, struct buf *) = {
        [WIRE_EXCHANGE] = to_exchange,
        [WIRE_PAIRS] = wire_to_openai,
        [WIRE_LITELLM] = wire_to_litellm,
        [WIRE_OTLP] = wire_to_otlp,
    };
    struct wire_out x = { .call = call, .outcome = outcome, .id = id };
    int rc = 1;

    x.is_chat = convert(&x);
    find_call_id(&x);
    if (format == WIRE_EXCHANGE || is_whole(&x)) {
        writers[format](&x, out);
        buf_char(out, '\n');
        rc = ERR_OK;
    }
    buf_release(&x.ask);
    buf_release(&x.answer);
    json_release(&x.q);
    json_release(&x.a);
    return rc;
}

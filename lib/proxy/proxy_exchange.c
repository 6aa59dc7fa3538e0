/*
 * proxy_exchange.c - one request: to the upstream, back, and to the recorder
 *
 * The request's bytes are kept as they come and given to the upstream from
 * there, so that a connection that proves dead can be tried again. The answer
 * goes into the client's buffer at once and is copied. What is recorded is
 * told when the last byte has come; with sync durability, the end of the
 * answer is withheld until then.
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct proxy_metrics *metrics(const struct proxy_exchange *x)
{
    return &x->worker->proxy->metrics;
}

static int64_t since_us(const struct proxy_exchange *x)
{
    return (clock_mono_ns() - x->begin_ns) / 1000;
}

/* Add to a copy, within this exchange's and everyone's limit. */
static bool capture(struct proxy_exchange *x, struct buf *copy,
                    struct slice bytes)
{
    const struct proxy_options *o = &x->config->o;
    int64_t all = atomic_load(&metrics(x)->captured);

    if (copy->len + bytes.n > o->capture_max ||
        (uint64_t)all + bytes.n > o->capture_total)
        return false;
    atomic_fetch_add(&metrics(x)->captured, (int64_t)bytes.n);
    buf_add_slice(copy, bytes);
    return true;
}

void proxy_exchange_free(struct proxy_exchange *x)
{
    if (x->transfer)
        upstream_abort(x->transfer);
    if (x->client)
        x->client->exchange = NULL;
    if (x->previous)
        x->previous->next = x->next;
    else
        x->worker->exchanges = x->next;
    if (x->next)
        x->next->previous = x->previous;
    atomic_fetch_sub(&metrics(x)->captured,
                     (int64_t)(x->request.len + x->response.len));
    atomic_fetch_sub(&metrics(x)->active, 1);
    proxy_config_drop(x->config);
    buf_release(&x->texts);
    buf_release(&x->facts);
    buf_release(&x->answer_facts);
    buf_release(&x->request);
    buf_release(&x->response);
    buf_release(&x->withheld);
    free(x->marks);
    free(x);
}

static void on_recorded(void *ctx, bool kept)
{
    struct proxy_exchange *x = ctx;
    struct proxy_inbox *in = &x->worker->inbox;

    (void)pthread_mutex_lock(&in->lock);
    mem_grow((void **)&in->items, &in->cap, in->count + 1, sizeof(*in->items));
    in->items[in->count].exchange = x;
    in->items[in->count++].kept = kept;
    (void)pthread_mutex_unlock(&in->lock);
    proxy_worker_wake(x->worker);
}

/* "{" members "}"; nothing for none. */
static struct slice as_object(struct buf *members)
{
    struct buf out = { .data = NULL };

    if (!members->len)
        return buf_slice(members);
    buf_printf(&out, "{%s}", members->data);
    buf_release(members);
    *members = out;
    return buf_slice(members);
}

static void submit(struct proxy_exchange *x)
{
    struct wire_exchange e = wire_exchange_none();
    bool waits = x->config->o.sync;

    if (x->client_left) {
        if (x->answer_facts.len)
            buf_char(&x->answer_facts, ',');
        buf_str(&x->answer_facts, "\"client_left\":true");
    }
    e.id = slice_of(x->id);
    e.upstream = proxy_get_text(x, TEXT_UPSTREAM);
    e.method = proxy_get_text(x, TEXT_METHOD);
    e.target = proxy_get_text(x, TEXT_TARGET);
    e.workload = proxy_get_text(x, TEXT_WORKLOAD);
    e.client = proxy_get_text(x, TEXT_CLIENT);
    e.conversation = proxy_get_text(x, TEXT_CONVERSATION);
    e.request_type = proxy_get_text(x, TEXT_REQUEST_TYPE);
    e.request_encoding = proxy_get_text(x, TEXT_REQUEST_ENCODING);
    e.response_type = proxy_get_text(x, TEXT_RESPONSE_TYPE);
    e.response_encoding = proxy_get_text(x, TEXT_RESPONSE_ENCODING);
    if (!x->no_bodies) {
        if (!x->dropped) /* else it is some piece */
            e.request = buf_slice(&x->request);
        e.response = buf_slice(&x->response);
    }
    e.facts = as_object(&x->facts);
    e.answer_facts = as_object(&x->answer_facts);
    e.end = x->end;
    e.http_status = x->status ? x->status : -1;
    e.time_us = x->begin_us;
    e.latency_us = x->latency_us;
    e.first_byte_us = x->first_byte_us;
    e.marks = x->marks;
    e.mark_count = x->mark_count;
    e.request_cut = x->request_cut;
    e.response_cut = x->response_cut;
    e.no_bodies = x->no_bodies;
    x->submitted = true;
    recorder_submit(x->worker->proxy->recorder, &e, waits ? on_recorded : NULL,
                    x);
    if (!waits)
        proxy_exchange_free(x);
}

/* The client has all that it gets of this answer. */
static void release_client(struct proxy_exchange *x, bool whole)
{
    struct proxy_client *c = x->client;

    if (!c)
        return;
    x->client = NULL;
    c->exchange = NULL;
    c->phase = PHASE_HEAD;
    c->seen = 0;
    c->since_ns = clock_mono_ns();
    if (!whole || !x->keep_alive || !x->body_whole)
        c->close_after = true;
    proxy_client_mark(c);
}

/* Nothing more comes: count, answer what has no answer yet, record. */
static void finish(struct proxy_exchange *x, enum wire_end end)
{
    struct proxy_client *c = x->client;

    x->transfer = NULL;
    x->end = end;
    x->latency_us = since_us(x);
    atomic_fetch_add(&metrics(x)->ends[end], 1);
    proxy_histogram_add(&metrics(x)->duration, x->latency_us);
    if (!c || !x->config->o.sync || x->end != WIRE_END_WHOLE)
        release_client(x, end == WIRE_END_WHOLE || x->answered);
    submit(x);
}

static const char *error_type(enum upstream_result result)
{
    switch (result) {
    case UPSTREAM_UNREACHED: return "upstream_unreached";
    case UPSTREAM_TIMEOUT: return "upstream_timeout";
    case UPSTREAM_BAD: return "upstream_bad_answer";
    default: return "upstream_cut";
    }
}

static void on_end(void *ctx, enum upstream_result result,
                   const struct upstream_times *times, const char *why)
{
    static const enum wire_end ends[] = {
        [UPSTREAM_DONE] = WIRE_END_WHOLE,
        [UPSTREAM_UNREACHED] = WIRE_END_UNREACHED,
        [UPSTREAM_TIMEOUT] = WIRE_END_TIMEOUT,
        [UPSTREAM_CUT] = WIRE_END_CUT,
        [UPSTREAM_BAD] = WIRE_END_CUT,
        [UPSTREAM_ABORTED] = WIRE_END_CLIENT,
    };
    struct proxy_exchange *x = ctx;
    struct proxy_client *c = x->client;

    (void)times;
    if (result == UPSTREAM_DONE && x->framing == HTTP_CHUNKED && c &&
        x->minor > 0)
        http_chunk(x->config->o.sync ? &x->withheld : &c->out,
                   (struct slice){ NULL, 0 });
    if (result != UPSTREAM_DONE && c && !x->status) {
        struct slice name = proxy_get_text(x, TEXT_UPSTREAM);
        char text[512];

        (void)snprintf(text, sizeof(text), "upstream%s%.*s: %.400s",
                       name.n ? " " : "", (int)name.n, name.n ? name.p : "",
                       why);
        proxy_client_refuse(c, result == UPSTREAM_TIMEOUT ? 504 : 502,
                            error_type(result), text, false);
        x->answered = true;
    }
    finish(x, ends[result]);
}

/* Fields of the answer that are this hop's, or whose value we choose. */
static bool goes_down(const struct http_field *f, struct slice connection,
                      bool *has_buffering, bool *has_caching)
{
    *has_buffering |= http_name_is(f->name, "x-accel-buffering");
    *has_caching |= http_name_is(f->name, "cache-control");
    return !http_is_hop_by_hop(f->name, connection) &&
           !http_name_is(f->name, "x-slm-call-id") &&
           !http_name_is(f->name, "content-length");
}

static bool is_stream(const struct proxy_exchange *x)
{
    struct slice type = proxy_get_text(x, TEXT_RESPONSE_TYPE);

    return slice_starts(type, "text/event-stream") ||
           slice_starts(type, "application/x-ndjson");
}

static void write_length(const struct proxy_exchange *x,
                         const struct http_field *fields, size_t count,
                         struct buf *out)
{
    /* Of a HEAD or a 304 it says what a body would have. */
    for (size_t i = 0; i < count; i++)
        if (http_name_is(fields[i].name, "content-length") &&
            (x->framing == HTTP_LENGTH || x->status != 204)) {
            (void)http_head_field(out, fields[i].name, fields[i].value);
            return;
        }
}

static void write_head(struct proxy_exchange *x,
                       const struct http_field *fields, size_t count,
                       struct buf *out)
{
    struct buf connection = { .data = NULL };
    bool buffering = false, caching = false;

    for (size_t i = 0; i < count; i++)
        if (http_name_is(fields[i].name, "connection")) {
            buf_add_slice(&connection, fields[i].value);
            buf_char(&connection, ',');
        }
    http_head_begin(out, x->minor, x->status, NULL);
    for (size_t i = 0; i < count; i++)
        if (goes_down(&fields[i], buf_slice(&connection), &buffering, &caching))
            (void)http_head_field(out, fields[i].name, fields[i].value);
    buf_release(&connection);
    if (x->framing == HTTP_CHUNKED && x->minor > 0)
        buf_str(out, "Transfer-Encoding: chunked\r\n");
    else if (x->framing != HTTP_CHUNKED)
        write_length(x, fields, count, out);
    if (is_stream(x)) {
        if (!buffering)
            buf_str(out, "X-Accel-Buffering: no\r\n");
        if (!caching)
            buf_str(out, "Cache-Control: no-cache\r\n");
    }
    buf_printf(out, "X-SLM-Call-Id: %s\r\n", x->id);
    if (!x->keep_alive)
        buf_str(out, "Connection: close\r\n");
    else if (x->minor == 0)
        buf_str(out, "Connection: keep-alive\r\n");
    http_head_end(out);
}

static bool has_body(const struct proxy_exchange *x)
{
    return x->framing == HTTP_CHUNKED ||
           (x->framing == HTTP_LENGTH && x->length > 0);
}

static void on_head(void *ctx, int status, const struct http_field *fields,
                    size_t count, enum http_framing framing, uint64_t length)
{
    struct proxy_exchange *x = ctx;

    x->status = status;
    x->framing = framing;
    x->length = length;
    x->first_byte_us = since_us(x);
    atomic_fetch_add(&metrics(x)->answers[status / 100 % 6], 1);
    proxy_histogram_add(&metrics(x)->first_byte, x->first_byte_us);
    proxy_facts_response(x, fields, count);
    if ((framing == HTTP_CHUNKED && x->minor == 0) ||
        atomic_load(&x->worker->proxy->stopping))
        x->keep_alive = false;
    if (!x->client)
        return;
    /* With sync durability an answer without a body is its head. */
    write_head(x, fields, count,
               x->config->o.sync && !has_body(x) ? &x->withheld
                                                 : &x->client->out);
    proxy_client_mark(x->client);
}

static void mark(struct proxy_exchange *x)
{
    if (x->mark_count == MARKS_MAX)
        return;
    mem_grow((void **)&x->marks, &x->mark_cap, x->mark_count + 1,
             sizeof(*x->marks));
    x->marks[x->mark_count].offset = x->received;
    x->marks[x->mark_count++].time_us = since_us(x);
}

static void pass_down(struct proxy_exchange *x, struct slice bytes)
{
    struct proxy_client *c = x->client;
    bool last = x->framing == HTTP_LENGTH && x->received == x->length;

    if (last && x->config->o.sync)
        buf_add_slice(&x->withheld, bytes);
    else if (x->framing == HTTP_CHUNKED && x->minor > 0)
        http_chunk(&c->out, bytes);
    else
        buf_add_slice(&c->out, bytes);
    proxy_client_mark(c);
}

static bool on_data(void *ctx, struct slice bytes)
{
    struct proxy_exchange *x = ctx;
    struct proxy_client *c = x->client;

    if (c && c->out.len - c->written > HIGH_WATER) {
        x->paused = true;
        return false;
    }
    x->received += bytes.n;
    mark(x);
    atomic_fetch_add(&metrics(x)->chunks, 1);
    atomic_fetch_add(&metrics(x)->bytes_down, bytes.n);
    if (!x->response_cut && !capture(x, &x->response, bytes))
        x->response_cut = true;
    if (c)
        pass_down(x, bytes);
    return true;
}

/* What has gone up and is not kept is let go. */
static void forget_sent(struct proxy_exchange *x)
{
    if (!x->request_cut || x->sent < LOW_WATER)
        return;
    memmove(x->request.data, x->request.data + x->sent,
            x->request.len - x->sent);
    x->request.len -= x->sent;
    atomic_fetch_sub(&metrics(x)->captured, (int64_t)x->sent);
    x->dropped += x->sent;
    x->sent = 0;
}

static int64_t on_body(void *ctx, char *p, size_t n)
{
    struct proxy_exchange *x = ctx;
    size_t left = x->request.len - x->sent;

    if (!left) {
        x->wants_body = !x->body_whole;
        return x->body_whole ? 0 : -1;
    }
    if (n > left)
        n = left;
    memcpy(p, x->request.data + x->sent, n);
    x->sent += n;
    atomic_fetch_add(&metrics(x)->bytes_up, n);
    forget_sent(x);
    if (x->client && x->request.len - x->sent < LOW_WATER)
        proxy_client_mark(x->client); /* reads on */
    return (int64_t)n;
}

static bool on_rewind(void *ctx)
{
    struct proxy_exchange *x = ctx;

    if (x->dropped)
        return false;
    x->sent = 0;
    return true;
}

void proxy_exchange_refuse(struct proxy_exchange *x, int status,
                           const char *type, const char *message)
{
    struct proxy_client *c = x->client;

    if (!x->status)
        proxy_client_refuse(c, status, type, message, true);
    c->close_after = true;
    x->client = NULL;
    c->exchange = NULL;
    proxy_client_mark(c);
    proxy_exchange_abort(x, WIRE_END_CLIENT);
}

/* False: it has not begun, and that was answered. */
static bool fail_up(struct proxy_exchange *x, const struct err *err)
{
    struct proxy_client *c = x->client;

    x->transfer = NULL;
    proxy_client_refuse(c, 502, "upstream_unreached", err->msg, true);
    x->client = NULL;
    c->exchange = NULL;
    proxy_exchange_abort(x, WIRE_END_UNREACHED);
    return false;
}

/* A short body goes with its head, in one piece, as soon as it is whole; that
 * of a long or slow one as the upstream takes it. */
bool proxy_exchange_send(struct proxy_exchange *x)
{
    struct slice whole = { NULL, 0 };
    struct err err;

    if (!x->waits)
        return true;
    x->waits = false;
    if (x->body_whole && x->request.len <= AT_ONCE_MAX) {
        whole = buf_slice(&x->request);
        x->sent = whole.n;
        atomic_fetch_add(&metrics(x)->bytes_up, whole.n);
    }
    if (upstream_send(x->transfer, whole, &err) < 0)
        return fail_up(x, &err);
    return true;
}

bool proxy_exchange_feed(struct proxy_exchange *x)
{
    struct proxy_client *c = x->client;
    struct slice bytes = { c->in.data + c->taken, c->in.len - c->taken };
    struct err err;
    int rc = 0, status = 400;

    while (rc == 0 && bytes.n) {
        struct slice data;
        size_t used;

        rc = http_body_take(&x->body, bytes, &used, &data, &err);
        bytes.p += used;
        bytes.n -= used;
        c->taken += used;
        if (rc >= 0 && x->body.total > x->config->o.body_max) {
            status = 413;
            rc = err_set(&err, ERR_LIMIT, "the body is longer than is allowed");
        }
        if (rc < 0 || !data.n)
            continue;
        if (!x->request_cut && !capture(x, &x->request, data))
            x->request_cut = true;
        else if (!x->request_cut)
            continue;
        atomic_fetch_add(&metrics(x)->captured, (int64_t)data.n);
        buf_add_slice(&x->request, data);
    }
    if (rc < 0) {
        proxy_exchange_refuse(
            x, status, status == 413 ? "too_large" : "bad_request", err.msg);
        return false;
    }
    x->body_whole = rc > 0;
    if (x->body_whole || x->request.len > AT_ONCE_MAX)
        if (!proxy_exchange_send(x))
            return false;
    if (x->wants_body && x->transfer) {
        x->wants_body = false;
        upstream_resume(x->transfer);
    }
    return true;
}

void proxy_exchange_drained(struct proxy_exchange *x)
{
    if (x->paused && x->transfer) {
        x->paused = false;
        upstream_resume(x->transfer);
    }
}

void proxy_exchange_abort(struct proxy_exchange *x, enum wire_end end)
{
    if (x->submitted)
        return;
    if (x->transfer)
        upstream_abort(x->transfer);
    finish(x, end);
}

/* Its last byte has gone to the client, though the upstream still reads. */
static bool has_answered(const struct proxy_exchange *x)
{
    const struct proxy_client *c = x->client;

    return x->status && x->framing == HTTP_LENGTH && x->received == x->length &&
           !x->withheld.len && c && c->written == c->out.len;
}

void proxy_exchange_leave(struct proxy_exchange *x)
{
    bool answered = has_answered(x);

    x->client = NULL;
    x->client_left = true;
    if (x->submitted)
        return;
    if (x->config->o.abort == PROXY_DRAIN && x->body_whole)
        proxy_exchange_drained(x);
    else
        proxy_exchange_abort(x, answered ? WIRE_END_WHOLE : WIRE_END_CLIENT);
}

void proxy_exchange_recorded(struct proxy_exchange *x, bool kept)
{
    struct proxy_client *c = x->client;

    /* The answer is the client's also where the record was dropped: that is
     * in the gaps, and the policy was chosen. */
    (void)kept;
    if (c) {
        buf_add_slice(&c->out, buf_slice(&x->withheld));
        release_client(x, x->end == WIRE_END_WHOLE);
    }
    proxy_exchange_free(x);
    if (c)
        proxy_client_go_on(c);
}

/* Answers that need no upstream. True: there was none. */
static bool may_pass(struct proxy_client *c, struct proxy_config *config,
                     struct proxy_target *t, const char **token)
{
    const struct http_request *r = &c->worker->request;
    struct err err;
    int rc;

    *token = NULL;
    if (r->websocket) {
        proxy_client_refuse(c, 501, "no_websocket",
                            "WebSocket is not passed on; use HTTP", true);
        return false;
    }
    if (config->tokens) {
        *token = proxy_tokens_find(config->tokens, r, "proxy");
        if (!*token) {
            proxy_client_refuse(c, 401, "no_token",
                                "a token in X-SLM-Token is needed", true);
            return false;
        }
    }
    rc = proxy_route_find(config, r, t, &err);
    if (rc < 0) {
        proxy_client_refuse(c, rc == ERR_NOTFOUND ? 404 : 400, "no_route",
                            err.msg, true);
        return false;
    }
    if (r->framing == HTTP_LENGTH && r->length > config->o.body_max) {
        proxy_client_refuse(c, 413, "too_large",
                            "the body is longer than is allowed", true);
        return false;
    }
    return true;
}

static struct proxy_exchange *make(struct proxy_client *c,
                                   struct proxy_config *config)
{
    struct proxy_exchange *x = mem_zalloc(sizeof(*x));
    struct proxy_worker *w = c->worker;
    const struct http_request *r = &w->request;

    x->worker = w;
    x->client = c;
    x->config = config;
    x->begin_ns = clock_mono_ns();
    x->begin_us = clock_wall_us();
    x->first_byte_us = -1;
    x->minor = r->minor;
    x->keep_alive = r->keep_alive;
    x->body_whole = r->framing == HTTP_EMPTY;
    x->head_only = slice_is(r->method, "HEAD");
    http_body_begin(&x->body, r->framing, r->length);
    x->next = w->exchanges;
    if (x->next)
        x->next->previous = x;
    w->exchanges = x;
    atomic_fetch_add(&metrics(x)->active, 1);
    atomic_fetch_add(&metrics(x)->requests, 1);
    return x;
}

static int send_up(struct proxy_exchange *x, const struct proxy_target *t,
                   struct err *err)
{
    const struct http_request *r = &x->worker->request;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct buf made = { .data = NULL }, url = { .data = NULL };
    struct upstream_request u = { .method = r->method,
                                  .fields = fields,
                                  .framing = r->framing,
                                  .length = r->length,
                                  .waits = r->framing == HTTP_LENGTH,
                                  .is_named = t->route->is_named,
                                  .ctx = x,
                                  .head = on_head,
                                  .data = on_data,
                                  .body = on_body,
                                  .rewind = on_rewind,
                                  .end = on_end };
    int rc;

    u.field_count = proxy_fields_up(r, fields, &made);
    buf_str(&url, t->route->url);
    buf_add_slice(&url, t->rest);
    u.url = url.data;
    x->waits = u.waits;
    rc = upstream_begin(x->worker->upstream, &u, &x->transfer, err);
    buf_release(&made);
    buf_release(&url);
    return rc;
}

/* Announce the call; the policy may say no, or not yet. */
static int announce(struct proxy_client *c, const struct proxy_target *t,
                    char id[RECORDER_ID_CHARS + 1])
{
    const char *query = memchr(t->rest.p, '?', t->rest.n);
    struct slice path = { t->rest.p,
                          query ? (size_t)(query - t->rest.p) : t->rest.n };
    struct err err;
    int rc = recorder_begin(c->worker->proxy->recorder, clock_wall_us(),
                            slice_of(t->route->name), path, id, &err);

    if (rc == ERR_BUSY) {
        c->worker->blocked += !c->blocked;
        c->blocked = true;
    } else if (rc < 0) {
        proxy_client_refuse(c, 503, "overloaded", err.msg, true);
    }
    return rc;
}

bool proxy_exchange_begin(struct proxy_client *c)
{
    struct proxy_config *config = proxy_config_hold(c->worker->proxy);
    const struct http_request *r = &c->worker->request;
    char id[RECORDER_ID_CHARS + 1];
    struct proxy_exchange *x;
    struct proxy_target t;
    const char *token;
    struct err err;

    if (!may_pass(c, config, &t, &token) || announce(c, &t, id) < 0) {
        proxy_config_drop(config);
        return false;
    }
    proxy_worker_use(c->worker, config);
    x = make(c, config);
    memcpy(x->id, id, sizeof(id));
    x->no_bodies = config->o.may_skip_log && http_get(r, "x-slm-no-log").n;
    proxy_facts_request(x, r, &t, c->peer, token);
    c->exchange = x;
    c->phase = PHASE_BUSY;
    if (send_up(x, &t, &err) < 0)
        return fail_up(x, &err);
    if (r->expect_continue && !x->body_whole)
        buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

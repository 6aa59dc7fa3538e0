/*
 * proxy_exchange.c - one request: to the upstream, back, and to the recorder
 *
 * The request's bytes are kept as they come and given to the upstream from
 * there, so that a connection that proves dead can be tried again. The answer
 * goes into the client's buffer at once and is copied. What is recorded is
 * told when the last byte has come; with sync and spool durability, the end of
 * the answer is withheld until then.
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Add to a copy, within this exchange's and everyone's limit. */
bool proxy_exchange_capture(struct proxy_exchange *x, struct buf *copy,
                            struct slice bytes)
{
    const struct proxy_options *o = &x->config->o;
    int64_t all = atomic_load(&proxy_metrics_of(x)->captured);

    if (copy->len + bytes.n > o->capture_max ||
        (uint64_t)all + bytes.n > o->capture_total)
        return false;
    atomic_fetch_add(&proxy_metrics_of(x)->captured, (int64_t)bytes.n);
    buf_add_slice(copy, bytes);
    return true;
}

void proxy_exchange_free(struct proxy_exchange *x)
{
    if (x->transfer)
        upstream_abort(x->transfer);
    proxy_local_gone(x, true);
    if (x->client)
        x->client->exchange = NULL;
    if (x->previous)
        x->previous->next = x->next;
    else
        x->worker->exchanges = x->next;
    if (x->next)
        x->next->previous = x->previous;
    atomic_fetch_sub(&proxy_metrics_of(x)->captured,
                     (int64_t)(x->request.len + x->response.len));
    atomic_fetch_sub(&proxy_metrics_of(x)->active, 1);
    proxy_config_drop(x->config);
    buf_release(&x->head);
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
    in->items[in->count++] = (struct proxy_item){ .exchange = x, .kept = kept };
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

/* The answer is the client's also where the record was dropped: that is in the
 * gaps, and the policy was chosen. */
static void give_withheld(struct proxy_exchange *x)
{
    if (!x->client)
        return;
    buf_add_slice(&x->client->out, buf_slice(&x->withheld));
    release_client(x, x->end == WIRE_END_WHOLE);
}

static void submit(struct proxy_exchange *x)
{
    struct wire_exchange e = wire_exchange_none();
    bool waits = x->config->o.sync;

    if (x->aside) {
        proxy_exchange_free(x);
        return;
    }
    if (x->was_seen)
        proxy_local_answered(x);
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
    if (waits)
        return;
    give_withheld(x);
    proxy_exchange_free(x);
}

/* Nothing more comes: count, answer what has no answer yet, record. */
void proxy_exchange_finish(struct proxy_exchange *x, enum wire_end end)
{
    struct proxy_client *c = x->client;

    x->transfer = NULL;
    x->end = end;
    x->latency_us = proxy_exchange_us(x);
    atomic_fetch_add(&proxy_metrics_of(x)->ends[end], 1);
    proxy_histogram_add(&proxy_metrics_of(x)->duration, x->latency_us);
    if (!c || !proxy_withholds(x) || x->end != WIRE_END_WHOLE)
        release_client(x, end == WIRE_END_WHOLE || x->answered);
    submit(x);
}

/* What has gone up and is not kept is let go. */
static void forget_sent(struct proxy_exchange *x)
{
    if (!x->request_cut || x->sent < LOW_WATER)
        return;
    memmove(x->request.data, x->request.data + x->sent,
            x->request.len - x->sent);
    x->request.len -= x->sent;
    atomic_fetch_sub(&proxy_metrics_of(x)->captured, (int64_t)x->sent);
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
    atomic_fetch_add(&proxy_metrics_of(x)->bytes_up, n);
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
        atomic_fetch_add(&proxy_metrics_of(x)->bytes_up, whole.n);
    }
    if (upstream_send(x->transfer, whole, &err) < 0)
        return fail_up(x, &err);
    return true;
}

static bool is_too_long(const struct proxy_exchange *x, uint64_t n)
{
    const struct proxy_local *l = x->worker->proxy->local;

    return l->body_max && n > l->body_max;
}

/* A body that a local handler wants to see whole, or does not. */
static bool feed_local(struct proxy_exchange *x)
{
    if (x->stage == STAGE_DRAINED && x->body_whole)
        proxy_exchange_finish(x, WIRE_END_WHOLE);
    else if (x->stage == STAGE_HELD && is_too_long(x, x->request.len))
        return proxy_exchange_pass(x);
    else if (x->stage == STAGE_HELD && x->body_whole)
        return proxy_local_take(x);
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
        if (rc < 0 || !data.n || x->aside)
            continue;
        if (!x->request_cut && !proxy_exchange_capture(x, &x->request, data))
            x->request_cut = true;
        else if (!x->request_cut)
            continue;
        atomic_fetch_add(&proxy_metrics_of(x)->captured, (int64_t)data.n);
        buf_add_slice(&x->request, data);
    }
    if (rc < 0) {
        proxy_exchange_refuse(
            x, status, status == 413 ? "too_large" : "bad_request", err.msg);
        return false;
    }
    x->body_whole = rc > 0;
    if (x->stage != STAGE_UPSTREAM)
        return feed_local(x);
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
    proxy_local_drained(x);
    if (x->paused && x->transfer) {
        x->paused = false;
        upstream_resume(x->transfer);
    }
}

void proxy_exchange_abort(struct proxy_exchange *x, enum wire_end end)
{
    if (x->submitted)
        return;
    if (x->reply) { /* whose end is the exchange's */
        proxy_local_gone(x, false);
        return;
    }
    if (x->transfer)
        upstream_abort(x->transfer);
    proxy_exchange_finish(x, end);
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
    if (x->config->o.abort == PROXY_DRAIN && x->body_whole && !x->reply)
        proxy_exchange_drained(x);
    else
        proxy_exchange_abort(x, answered ? WIRE_END_WHOLE : WIRE_END_CLIENT);
}

void proxy_exchange_recorded(struct proxy_exchange *x, bool kept)
{
    struct proxy_client *c = x->client;

    (void)kept;
    give_withheld(x);
    proxy_exchange_free(x);
    if (c)
        proxy_client_go_on(c);
}

/* False: it was refused, and answered. */
static bool have_token(struct proxy_client *c,
                       const struct proxy_config *config, const char *scope,
                       const char **token)
{
    bool as_key = !config->route_count, known;

    *token = proxy_tokens_find(config->tokens, &c->worker->request, scope,
                               as_key, &known);
    if (*token)
        return true;
    if (known)
        proxy_client_refuse(c, 403, "no_scope",
                            "this token opens something else", true);
    else
        proxy_client_refuse(c, 401, "no_token",
                            as_key ? "a token is needed: as key, or in "
                                     "X-SLM-Token"
                                   : "a token in X-SLM-Token is needed",
                            true);
    return false;
}

/* Answers that need no upstream. True: there was none. */
static bool may_pass(struct proxy_client *c, struct proxy_config *config,
                     struct proxy_target *t, const char **token)
{
    const struct http_request *r = &c->worker->request;
    const struct proxy_local *l = c->worker->proxy->local;
    const char *scope = l && l->scope ? l->scope(l->ctx, r) : NULL;
    struct err err;
    int rc;

    *token = NULL;
    if (r->websocket) {
        proxy_client_refuse(c, 501, "no_websocket",
                            "WebSocket is not passed on; use HTTP", true);
        return false;
    }
    if (config->tokens &&
        !have_token(c, config, scope ? scope : "proxy", token))
        return false;
    rc = proxy_route_find(config, r, t, &err);
    if (rc < 0 && !(rc == ERR_NOTFOUND && l)) {
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
    atomic_fetch_add(&proxy_metrics_of(x)->active, 1);
    atomic_fetch_add(&proxy_metrics_of(x)->requests, 1);
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
                                  .head = proxy_answer_head,
                                  .data = proxy_answer_data,
                                  .body = on_body,
                                  .rewind = on_rewind,
                                  .end = proxy_answer_end };
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
                            slice_of(t->route ? t->route->name : NULL), path,
                            id, &err);

    if (rc == ERR_BUSY) {
        c->worker->blocked += !c->blocked;
        c->blocked = true;
    } else if (rc < 0) {
        proxy_client_refuse(c, 503, "overloaded", err.msg, true);
    }
    return rc;
}

static bool go_up(struct proxy_exchange *x, const struct proxy_target *t)
{
    struct err err;

    x->stage = STAGE_UPSTREAM;
    return send_up(x, t, &err) < 0 ? fail_up(x, &err) : true;
}

bool proxy_exchange_pass(struct proxy_exchange *x)
{
    struct proxy_target t;
    struct err err;
    int rc = proxy_local_target(x, &t, &err);

    if (rc < 0 && is_too_long(x, x->request.len))
        proxy_exchange_refuse(x, 413, "too_large",
                              "the body is longer than is allowed");
    else if (rc < 0)
        proxy_exchange_refuse(x, 404, "no_route", err.msg);
    if (rc < 0 || !go_up(x, &t))
        return false;
    return x->body_whole || x->request.len > AT_ONCE_MAX
               ? proxy_exchange_send(x)
               : true;
}

/* The handler looks at it before anything goes anywhere. */
static bool hold(struct proxy_exchange *x, bool aside, struct slice head)
{
    const struct http_request *r = &x->worker->request;

    x->stage = STAGE_HELD;
    x->aside = aside;
    buf_add_slice(&x->head, head);
    if (aside && r->expect_continue && !x->body_whole)
        x->keep_alive = false; /* no body comes after a refusal */
    else if (r->expect_continue && !x->body_whole)
        buf_str(&x->client->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return aside || x->body_whole ? proxy_local_take(x) : true;
}

/* Who answers: PROXY_PASS an upstream, which there must be. */
static bool choose(struct proxy_client *c, const struct proxy_target *t,
                   const char *token, enum proxy_take *out)
{
    const struct http_request *r = &c->worker->request;
    const struct proxy_local *l = c->worker->proxy->local;

    bool fits = !l || !l->body_max || r->framing != HTTP_LENGTH ||
                r->length <= l->body_max;

    *out = proxy_local_choose(c, t, token);
    if (*out == PROXY_BODY && !fits && t->route)
        *out = PROXY_PASS;
    if (*out == PROXY_BODY && !fits)
        proxy_client_refuse(c, 413, "too_large",
                            "the body is longer than is allowed", true);
    else if (*out == PROXY_PASS && !t->route)
        proxy_client_refuse(c, 404, "no_route",
                            "nothing is served under this path", true);
    else
        return true;
    return false;
}

bool proxy_exchange_begin(struct proxy_client *c, size_t head)
{
    struct proxy_config *config = proxy_config_hold(c->worker->proxy);
    const struct http_request *r = &c->worker->request;
    char id[RECORDER_ID_CHARS + 1] = "";
    struct proxy_exchange *x;
    struct proxy_target t;
    enum proxy_take take;
    const char *token;

    if (!may_pass(c, config, &t, &token) || !choose(c, &t, token, &take) ||
        (take != PROXY_ASIDE && announce(c, &t, id) < 0)) {
        proxy_config_drop(config);
        return false;
    }
    proxy_worker_use(c->worker, config);
    x = make(c, config);
    memcpy(x->id, id, sizeof(id));
    x->no_bodies = config->o.may_skip_log && http_get(r, "x-slm-no-log").n;
    proxy_facts_request(x, r, &t, c->peer, token);
    x->token = token;
    c->exchange = x;
    c->phase = PHASE_BUSY;
    if (take != PROXY_PASS)
        return hold(x, take == PROXY_ASIDE,
                    (struct slice){ c->in.data + c->taken, head });
    if (!go_up(x, &t))
        return false;
    if (r->expect_continue && !x->body_whole)
        buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

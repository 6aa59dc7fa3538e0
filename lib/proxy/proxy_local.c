/*
 * proxy_local.c - requests that are answered here
 *
 * A reply belongs to the worker that has its request; what other threads say
 * of it is kept under the inbox's lock and taken by the worker, all that there
 * is at a time. It outlives its exchange where the client or the proxy would
 * not wait: it is freed when its end has come, and by the worker alone.
 */
#include "proxy/proxy_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 32 /* of a reply's head, with those made here */

struct proxy_reply {
    struct proxy_worker *worker;
    struct proxy_exchange *exchange; /* the worker's; NULL: nobody listens */
    bool told;                       /* that nobody does */
    /* What follows is under the inbox's lock until `ended`. */
    bool queued, headed, ended, passed, whole;
    bool wrote_head; /* the worker has */
    int status;
    int64_t length;
    struct buf fields; /* names and values, each with a NUL behind it */
    size_t field_count;
    struct buf data;
    size_t behind; /* bytes at the worker that the client has not read */
    struct buf upstream, facts, route;
};

static void reply_free(struct proxy_reply *r)
{
    atomic_fetch_sub(&r->worker->proxy->replies, 1);
    buf_release(&r->fields);
    buf_release(&r->data);
    buf_release(&r->upstream);
    buf_release(&r->facts);
    buf_release(&r->route);
    free(r);
}

static void lock(const struct proxy_reply *r)
{
    (void)pthread_mutex_lock(&r->worker->inbox.lock);
}

/* Has the worker look at it, and unlocks: the reply may be no more then. */
static void post(struct proxy_reply *r)
{
    struct proxy_worker *w = r->worker;
    struct proxy_inbox *in = &w->inbox;
    bool wakes = !r->queued;

    if (wakes) {
        r->queued = true;
        mem_grow((void **)&in->items, &in->cap, in->count + 1,
                 sizeof(*in->items));
        in->items[in->count++] = (struct proxy_item){ .reply = r };
    }
    (void)pthread_mutex_unlock(&in->lock);
    if (wakes)
        proxy_worker_wake(w);
}

static void add_field(struct proxy_reply *r, struct slice name,
                      struct slice value)
{
    struct buf line = { .data = NULL };

    assert(r->field_count < FIELDS_MAX);
    if (http_head_field(&line, name, value)) {
        buf_add_slice(&r->fields, name);
        buf_char(&r->fields, '\0');
        buf_add_slice(&r->fields, value);
        buf_char(&r->fields, '\0');
        r->field_count++;
    }
    buf_release(&line);
}

void proxy_reply_head(struct proxy_reply *r, int status,
                      const char *content_type, int64_t length,
                      const struct http_field *fields, size_t count)
{
    char text[32];

    http_date(clock_wall_us(), text);
    lock(r);
    assert(!r->headed && !r->ended && status >= 200 && length >= -1);
    r->headed = true;
    r->status = status;
    r->length = length;
    add_field(r, slice_of("Date"), slice_of(text));
    add_field(r, slice_of("Content-Type"), slice_of(content_type));
    for (size_t i = 0; i < count; i++)
        add_field(r, fields[i].name, fields[i].value);
    if (length >= 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)length);
        add_field(r, slice_of("Content-Length"), slice_of(text));
    }
    post(r);
}

bool proxy_reply_data(struct proxy_reply *r, struct slice bytes)
{
    bool quick;

    lock(r);
    assert(r->headed && !r->ended);
    buf_add_slice(&r->data, bytes);
    quick = r->data.len + r->behind <= HIGH_WATER;
    post(r);
    return quick;
}

void proxy_reply_end(struct proxy_reply *r, const char *upstream,
                     struct slice facts, bool whole)
{
    lock(r);
    assert(!r->ended);
    r->ended = true;
    r->whole = whole;
    buf_str(&r->upstream, upstream ? upstream : "");
    buf_add_slice(&r->facts, facts);
    post(r);
}

void proxy_reply_pass(struct proxy_reply *r, const char *route,
                      struct slice facts)
{
    lock(r);
    assert(!r->headed && !r->ended);
    r->ended = r->passed = true;
    buf_add_slice(&r->facts, facts);
    buf_str(&r->route, route ? route : "");
    post(r);
}

enum proxy_take proxy_local_choose(struct proxy_client *c,
                                   const struct proxy_target *t,
                                   const char *token)
{
    const struct proxy_local *l = c->worker->proxy->local;
    const struct proxy_seen seen = { .request = &c->worker->request,
                                     .target = t,
                                     .token = token };

    return l ? l->head(l->ctx, &seen) : PROXY_PASS;
}

int proxy_local_target(struct proxy_exchange *x, struct proxy_target *t,
                       struct err *err)
{
    struct http_request *r = &x->worker->request;
    struct http_refusal why;
    size_t used;
    int rc;

    r->seen = 0;
    rc = http_request_parse(r, buf_slice(&x->head), &used, &why);
    assert(rc == 1); /* it was read before */
    (void)rc;
    return proxy_route_find(x->config, r, t, err);
}

/* What the handler is shown of an exchange whose head was kept. */
static struct proxy_seen look(struct proxy_exchange *x, struct proxy_target *t)
{
    struct err err;

    if (proxy_local_target(x, t, &err) < 0)
        t->route = NULL;
    return (struct proxy_seen){
        .request = &x->worker->request,
        .target = t,
        .token = x->token,
        .id = x->aside ? NULL : x->id,
        .conversation = proxy_get_text(x, TEXT_CONVERSATION),
        .body = x->dropped ? (struct slice){ NULL, 0 } : buf_slice(&x->request),
        .aside = x->aside,
    };
}

bool proxy_local_take(struct proxy_exchange *x)
{
    const struct proxy_local *l = x->worker->proxy->local;
    struct proxy_reply *r = mem_zalloc(sizeof(*r));
    struct proxy_target t;
    struct proxy_seen seen = look(x, &t);

    r->worker = x->worker;
    r->exchange = x;
    atomic_fetch_add(&x->worker->proxy->replies, 1);
    x->reply = r;
    x->stage = STAGE_OPEN;
    x->was_seen = true;
    if (l->take(l->ctx, &seen, r) != PROXY_PASS)
        return true;
    assert(!x->aside && !r->headed && !r->ended);
    x->reply = NULL;
    reply_free(r);
    return proxy_exchange_pass(x);
}

void proxy_local_gone(struct proxy_exchange *x, bool detach)
{
    const struct proxy_local *l = x->worker->proxy->local;
    struct proxy_reply *r = x->reply;
    bool ended;

    if (!r)
        return;
    lock(r);
    ended = r->ended;
    (void)pthread_mutex_unlock(&r->worker->inbox.lock);
    if (detach) {
        r->exchange = NULL;
        x->reply = NULL;
    }
    if (!ended && !r->told)
        l->gone(l->ctx, r);
    r->told = true;
}

void proxy_local_drained(struct proxy_exchange *x)
{
    if (!x->reply)
        return;
    lock(x->reply);
    x->reply->behind = 0;
    (void)pthread_mutex_unlock(&x->worker->inbox.lock);
}

void proxy_local_answered(struct proxy_exchange *x)
{
    const struct proxy_local *l = x->worker->proxy->local;
    const struct proxy_answer a = {
        .status = x->status,
        .type = proxy_get_text(x, TEXT_RESPONSE_TYPE),
        .encoding = proxy_get_text(x, TEXT_RESPONSE_ENCODING),
        .body = buf_slice(&x->response),
        .cut = x->response_cut,
        .end = x->end,
        .first_byte_us = x->first_byte_us,
        .latency_us = x->latency_us,
    };
    struct proxy_target t;
    struct proxy_seen seen;

    if (!l->answered || x->stage != STAGE_UPSTREAM)
        return;
    seen = look(x, &t);
    l->answered(l->ctx, &seen, &a);
}

static void write_head(struct proxy_exchange *x, struct proxy_reply *r)
{
    struct http_field fields[FIELDS_MAX];
    const char *p = r->fields.data;

    for (size_t i = 0; i < r->field_count; i++) {
        fields[i].name = slice_of(p);
        p += fields[i].name.n + 1;
        fields[i].value = slice_of(p);
        p += fields[i].value.n + 1;
    }
    r->wrote_head = true;
    proxy_answer_head(x, r->status, fields, r->field_count,
                      r->length < 0 ? HTTP_CHUNKED : HTTP_LENGTH,
                      r->length < 0 ? 0 : (uint64_t)r->length);
}

static void write_data(struct proxy_exchange *x, struct slice bytes)
{
    assert(x->framing != HTTP_LENGTH || x->received + bytes.n <= x->length);
    if (bytes.n && !x->head_only)
        proxy_answer_add(x, bytes);
}

static void add_facts(struct proxy_exchange *x, struct slice facts)
{
    if (!facts.n)
        return;
    if (x->answer_facts.len)
        buf_char(&x->answer_facts, ',');
    buf_add_slice(&x->answer_facts, facts);
}

/* The reply has been taken off. */
static void end_answer(struct proxy_exchange *x, bool whole)
{
    struct proxy_client *c = x->client;

    if (x->framing == HTTP_LENGTH && x->received < x->length && !x->head_only)
        whole = false;
    if (c && !x->status) {
        proxy_client_refuse(c, 500, "no_answer", "no answer could be made",
                            false);
        x->answered = true;
        whole = false;
    } else if (c && whole) {
        proxy_answer_last(x);
    }
    if (c && whole && x->aside && !x->body_whole && x->keep_alive) {
        x->stage = STAGE_DRAINED; /* so that the connection can be kept */
        return;
    }
    proxy_exchange_finish(x, whole ? WIRE_END_WHOLE
                             : !c  ? WIRE_END_CLIENT
                                   : WIRE_END_CUT);
}

static void end_reply(struct proxy_exchange *x, struct proxy_reply *r)
{
    struct proxy_client *c = x->client;

    x->reply = NULL;
    add_facts(x, buf_slice(&r->facts));
    proxy_set_text(x, TEXT_ROUTE, buf_slice(&r->route));
    if (!r->passed) {
        proxy_set_text(x, TEXT_UPSTREAM, buf_slice(&r->upstream));
        end_answer(x, r->whole);
    } else if (!c) {
        proxy_exchange_finish(x, WIRE_END_CLIENT);
    } else {
        (void)proxy_exchange_pass(x);
    }
    if (c)
        proxy_client_mark(c);
}

void proxy_local_deliver(struct proxy_reply *r)
{
    struct proxy_exchange *x = r->exchange;
    struct buf data;
    bool head, ended;

    lock(r);
    r->queued = false;
    head = r->headed && !r->wrote_head;
    ended = r->ended;
    data = r->data;
    r->data = (struct buf){ .data = NULL };
    (void)pthread_mutex_unlock(&r->worker->inbox.lock);
    if (x && head)
        write_head(x, r);
    if (x && data.len)
        write_data(x, buf_slice(&data));
    buf_release(&data);
    if (x && x->client && !ended) {
        lock(r);
        r->behind = x->client->out.len - x->client->written;
        (void)pthread_mutex_unlock(&r->worker->inbox.lock);
    }
    if (x && ended)
        end_reply(x, r);
    if (ended)
        reply_free(r);
}

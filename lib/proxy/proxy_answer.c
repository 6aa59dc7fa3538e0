/*
 * proxy_answer.c - an answer on its way to the client, and its copy
 *
 * Whoever answers, an upstream or a local handler, says head, data and end
 * here. With sync and spool durability the end of it is withheld until it is
 * recorded.
 */
#include "proxy/proxy_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char *error_type(enum upstream_result result)
{
    switch (result) {
    case UPSTREAM_UNREACHED: return "upstream_unreached";
    case UPSTREAM_TIMEOUT: return "upstream_timeout";
    case UPSTREAM_BAD: return "upstream_bad_answer";
    default: return "upstream_cut";
    }
}

void proxy_answer_last(struct proxy_exchange *x)
{
    if (x->framing == HTTP_CHUNKED && x->client && x->minor > 0)
        http_chunk(proxy_withholds(x) ? &x->withheld : &x->client->out,
                   (struct slice){ NULL, 0 });
}

void proxy_answer_end(void *ctx, enum upstream_result result,
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
    if (result == UPSTREAM_DONE)
        proxy_answer_last(x);
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
    proxy_exchange_finish(x, ends[result]);
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
    struct slice route = proxy_get_text(x, TEXT_ROUTE);
    struct buf connection = { .data = NULL };
    bool buffering = false, caching = false;

    for (size_t i = 0; i < count; i++)
        if (http_name_is(fields[i].name, "connection")) {
            buf_add_slice(&connection, fields[i].value);
            buf_char(&connection, ',');
        }
    http_head_begin(out, x->minor, x->status, NULL);
    for (size_t i = 0; i < count; i++)
        if (goes_down(&fields[i], buf_slice(&connection), &buffering,
                      &caching) &&
            !(route.n && http_name_is(fields[i].name, "x-slm-route")))
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
    if (route.n)
        (void)http_head_field(out, slice_of("X-SLM-Route"), route);
    if (*x->id)
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

void proxy_answer_head(void *ctx, int status, const struct http_field *fields,
                       size_t count, enum http_framing framing, uint64_t length)
{
    struct proxy_exchange *x = ctx;

    x->status = status;
    x->framing = framing;
    x->length = length;
    x->first_byte_us = proxy_exchange_us(x);
    atomic_fetch_add(&proxy_metrics_of(x)->answers[status / 100 % 6], 1);
    proxy_histogram_add(&proxy_metrics_of(x)->first_byte, x->first_byte_us);
    proxy_facts_response(x, fields, count);
    if ((framing == HTTP_CHUNKED && x->minor == 0) ||
        atomic_load(&x->worker->proxy->stopping))
        x->keep_alive = false;
    if (!x->client)
        return;
    /* Where its end is withheld: an answer without a body is its head. */
    write_head(x, fields, count,
               proxy_withholds(x) && !has_body(x) ? &x->withheld
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
    x->marks[x->mark_count++].time_us = proxy_exchange_us(x);
}

static void pass_down(struct proxy_exchange *x, struct slice bytes)
{
    struct proxy_client *c = x->client;
    bool last = x->framing == HTTP_LENGTH && x->received == x->length;

    if (last && proxy_withholds(x))
        buf_add_slice(&x->withheld, bytes);
    else if (x->framing == HTTP_CHUNKED && x->minor > 0)
        http_chunk(&c->out, bytes);
    else
        buf_add_slice(&c->out, bytes);
    proxy_client_mark(c);
}

bool proxy_answer_data(void *ctx, struct slice bytes)
{
    struct proxy_exchange *x = ctx;
    struct proxy_client *c = x->client;

    if (c && c->out.len - c->written > HIGH_WATER) {
        x->paused = true;
        return false;
    }
    proxy_answer_add(x, bytes);
    return true;
}

void proxy_answer_add(struct proxy_exchange *x, struct slice bytes)
{
    x->received += bytes.n;
    mark(x);
    atomic_fetch_add(&proxy_metrics_of(x)->chunks, 1);
    atomic_fetch_add(&proxy_metrics_of(x)->bytes_down, bytes.n);
    if (!x->response_cut && !proxy_exchange_capture(x, &x->response, bytes))
        x->response_cut = true;
    if (x->client)
        pass_down(x, bytes);
}

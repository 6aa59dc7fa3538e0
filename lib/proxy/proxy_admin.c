/*
 * proxy_admin.c - /healthz, /readyz, /metrics and POST /feedback
 *
 * On a listener of its own, so that none of it can be reached from where the
 * agents are. Metrics are Prometheus' text format, version 0.0.4; labels come
 * from small closed sets.
 */
#include "proxy/proxy_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DROP_RECENT_MS 30000 /* so long the proxy is not ready after a drop */

const double proxy_bucket_bounds[PROXY_BUCKETS] = {
    0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120,
};

void proxy_histogram_add(struct proxy_histogram *h, int64_t us)
{
    size_t i = 0;

    while (i < PROXY_BUCKETS && (double)us > proxy_bucket_bounds[i] * 1e6)
        i++;
    atomic_fetch_add(&h->buckets[i], 1);
    atomic_fetch_add(&h->sum_us, (uint64_t)us);
}

static void type(struct buf *out, const char *name, const char *kind,
                 const char *help)
{
    buf_printf(out, "# HELP slmctl_%s %s\n# TYPE slmctl_%s %s\n", name, help,
               name, kind);
}

struct metric {
    const char *name, *kind, *help;
    double value;
};

static void put_all(struct buf *out, const struct metric *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        type(out, m[i].name, m[i].kind, m[i].help);
        buf_printf(out, "slmctl_%s %.17g\n", m[i].name, m[i].value);
    }
}

static void histogram(struct buf *out, const char *name, const char *help,
                      struct proxy_histogram *h)
{
    uint64_t sum = 0;

    type(out, name, "histogram", help);
    for (size_t i = 0; i < PROXY_BUCKETS; i++) {
        sum += atomic_load(&h->buckets[i]);
        buf_printf(out, "slmctl_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                   proxy_bucket_bounds[i], sum);
    }
    sum += atomic_load(&h->buckets[PROXY_BUCKETS]);
    buf_printf(out,
               "slmctl_%s_bucket{le=\"+Inf\"} %" PRIu64
               "\nslmctl_%s_sum %.6f\nslmctl_%s_count %" PRIu64 "\n",
               name, sum, name, (double)atomic_load(&h->sum_us) / 1e6, name,
               sum);
}

static void labelled(struct buf *out, const char *name, const char *help,
                     const char *label, const char *const *values,
                     atomic_uint_least64_t *counts, size_t n)
{
    type(out, name, "counter", help);
    for (size_t i = 0; i < n; i++)
        if (values[i])
            buf_printf(out, "slmctl_%s{%s=\"%s\"} %" PRIu64 "\n", name, label,
                       values[i], (uint64_t)atomic_load(&counts[i]));
}

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size, resident = 0;

    if (f) {
        if (fscanf(f, "%lu %lu", &size, &resident) != 2)
            resident = 0;
        (void)fclose(f);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void put_requests(struct proxy_metrics *m, struct buf *out)
{
    static const char *const classes[] = { NULL,  "1xx", "2xx",
                                           "3xx", "4xx", "5xx" };
    static const char *const ends[] = {
        [WIRE_END_WHOLE] = "whole",         [WIRE_END_CUT] = "cut",
        [WIRE_END_CLIENT] = "client",       [WIRE_END_TIMEOUT] = "timeout",
        [WIRE_END_UNREACHED] = "unreached", [WIRE_END_LOST] = "lost",
    };
    const struct metric requests[] = {
        { "connections_total", "counter", "Connections accepted.",
          (double)atomic_load(&m->connections) },
        { "connections", "gauge", "Connections open now.",
          (double)atomic_load(&m->open) },
        { "accept_pauses_total", "counter",
          "Pauses because no descriptor was left for a connection.",
          (double)atomic_load(&m->starved) },
        { "requests_total", "counter", "Requests passed on.",
          (double)atomic_load(&m->requests) },
        { "requests_active", "gauge", "Requests on their way now.",
          (double)atomic_load(&m->active) },
        { "refused_total", "counter",
          "Requests and connections answered without an upstream.",
          (double)atomic_load(&m->refused) },
    };

    put_all(out, requests, sizeof(requests) / sizeof(*requests));
    labelled(out, "answers_total", "Answers of upstreams by status.", "status",
             classes, m->answers, 6);
    labelled(out, "exchanges_total", "Exchanges by how they ended.", "end",
             ends, m->ends, 6);
}

static void put_sizes_and_times(struct proxy_metrics *m, struct buf *out)
{
    const struct metric sizes[] = {
        { "chunks_total", "counter", "Pieces of answers passed on.",
          (double)atomic_load(&m->chunks) },
        { "sent_bytes_total", "counter", "Bytes of bodies to upstreams.",
          (double)atomic_load(&m->bytes_up) },
        { "received_bytes_total", "counter", "Bytes of bodies from upstreams.",
          (double)atomic_load(&m->bytes_down) },
        { "capture_bytes", "gauge", "Bytes of copies in memory.",
          (double)atomic_load(&m->captured) },
    };

    put_all(out, sizes, sizeof(sizes) / sizeof(*sizes));
    histogram(out, "first_byte_seconds",
              "From a request's head to the answer's.", &m->first_byte);
    histogram(out, "duration_seconds", "From a request's head to its end.",
              &m->duration);
}

static void put_recorder(const struct recorder_stats *s, struct buf *out)
{
    const struct metric all[] = {
        { "calls_begun_total", "counter", "Calls announced.",
          (double)s->begun },
        { "calls_written_total", "counter", "Calls in the store.",
          (double)s->written },
        { "calls_lost_total", "counter",
          "Calls of earlier processes without an end.", (double)s->lost },
        { "calls_dropped_total", "counter", "Records left out.",
          (double)s->dropped },
        { "calls_refused_total", "counter", "Calls refused by policy.",
          (double)s->refused },
        { "calls_spilled_total", "counter", "Records put into the spool.",
          (double)s->spilled },
        { "calls_replayed_total", "counter",
          "Records read back from the spool.", (double)s->replayed },
        { "calls_unannounced_total", "counter",
          "Calls begun without room for a note of it.",
          (double)s->unannounced },
        { "calls_unsynced_total", "counter",
          "Answers completed before sync durability had them on disk.",
          (double)s->unsynced },
        { "queue_bytes", "gauge", "Bytes of records in memory.",
          (double)s->queue_bytes },
        { "queue_calls", "gauge", "Records in memory.",
          (double)s->queue_calls },
        { "spool_bytes", "gauge", "Bytes of the spool.",
          (double)s->spool_bytes },
        { "commits_total", "counter", "Commits of the store.",
          (double)s->commits },
        { "commit_failures_total", "counter", "Commits that failed.",
          (double)s->failures },
        { "commit_seconds_sum", "counter", "Time of all commits.",
          (double)s->commit_us_sum / 1e6 },
        { "wal_bytes", "gauge", "Size of the store's write-ahead log.",
          (double)s->wal_bytes },
        { "store_ok", "gauge", "1 while the store takes records.",
          s->store_ok ? 1 : 0 },
    };

    put_all(out, all, sizeof(all) / sizeof(*all));
}

static bool is_reload(const struct proxy *p, struct slice path)
{
    return p->local && p->local->reload && slice_is(path, "/reload");
}

/* What may be done to a path; NULL: there is none. */
static const char *methods_of(const struct proxy *p, struct slice path)
{
    return slice_is(path, "/healthz") || slice_is(path, "/readyz") ||
                   slice_is(path, "/metrics")
               ? "GET, HEAD"
           : slice_is(path, "/feedback") || is_reload(p, path) ? "POST"
                                                               : NULL;
}

static void respond(struct buf *out, int status, const char *content_type,
                    const struct buf *body, bool head_only, const char *methods)
{
    http_head_begin_own(out, status, clock_wall_us(), content_type, body->len);
    if (status == 405)
        buf_printf(out, "Allow: %s\r\n", methods);
    buf_str(out, "Cache-Control: no-store\r\n");
    http_head_end(out);
    if (!head_only)
        buf_add_slice(out, buf_slice(body));
}

static void put_metrics(struct proxy *p, struct buf *body)
{
    const struct metric process[] = {
        { "resident_memory_bytes", "gauge", "Memory of this process.",
          resident_bytes() },
        { "start_time_seconds", "gauge", "When this process began.",
          (double)p->started_us / 1e6 },
    };
    struct recorder_stats s;

    recorder_stats_read(p->recorder, &s);
    put_requests(&p->metrics, body);
    put_sizes_and_times(&p->metrics, body);
    put_recorder(&s, body);
    put_all(body, process, sizeof(process) / sizeof(*process));
    if (p->local && p->local->metrics)
        p->local->metrics(p->local->ctx, body);
}

static int put_ready(struct proxy *p, struct buf *body)
{
    struct recorder_stats s;

    recorder_stats_read(p->recorder, &s);
    if (!s.store_ok)
        buf_printf(body, "%s\n", s.error);
    else if (atomic_load(&p->stopping))
        buf_str(body, "stopping\n");
    else if (s.full)
        buf_str(body, "no room for more calls in memory or spool\n");
    else if (s.dropped_ago_ms >= 0 && s.dropped_ago_ms < DROP_RECENT_MS)
        buf_printf(body, "calls were dropped %.0f s ago\n",
                   (double)s.dropped_ago_ms / 1e3);
    else
        buf_str(body, "ready\n");
    return slice_is(buf_slice(body), "ready\n") ? 200 : 503;
}

/* {"call": ID, "reward": ..., "label": ..., "answer": ...} */
static int take_feedback(struct proxy *p, struct slice body, struct buf *out)
{
    struct json j = { 0 };
    struct err err;
    char *id = NULL;
    int rc = json_parse(&j, body.p ? body.p : "", body.n, &err);

    if (rc == ERR_OK)
        id = json_strdup(&j, json_get(&j, 0, "call"));
    if (rc == ERR_OK && !id)
        rc = err_set(&err, ERR_FORMAT,
                     "\"call\" is missing: give the value of X-SLM-Call-Id");
    if (rc == ERR_OK)
        rc = recorder_feedback(p->recorder, slice_of(id), body, &err);
    buf_printf(out, "%s\n", rc == ERR_OK ? "taken" : err.msg);
    free(id);
    json_release(&j);
    return rc == ERR_OK ? 202 : rc == ERR_FORMAT || rc == ERR_LIMIT ? 400 : 503;
}

/* All of it, or nothing: the handler says which. */
static int take_reload(struct proxy *p, struct buf *out)
{
    struct err err;
    int rc = p->local->reload(p->local->ctx, &err);

    buf_printf(out, "%s\n", rc == ERR_OK ? "reloaded" : err.msg);
    return rc == ERR_OK ? 200 : 409;
}

/* Nothing goes upstream from here: a bearer of Authorization, as those send
 * that collect metrics, is a token. */
static bool may_administer(struct proxy *p, const struct http_request *r)
{
    struct proxy_config *c = proxy_config_hold(p);
    bool known, may = !c->tokens ||
                      proxy_tokens_find(c->tokens, r, "admin", true, &known);

    proxy_config_drop(c);
    return may;
}

void proxy_admin_answer(struct proxy *p, const struct http_request *r,
                        struct slice body, struct buf *out)
{
    const char *query = memchr(r->target.p, '?', r->target.n);
    struct slice path = { r->target.p,
                          query ? (size_t)(query - r->target.p) : r->target.n };
    const char *content_type = "text/plain; charset=utf-8";
    bool is_head = slice_is(r->method, "HEAD");
    bool is_get = is_head || slice_is(r->method, "GET");
    struct buf text = { .data = NULL };
    int status = 200;

    if (slice_is(path, "/healthz") && is_get) {
        buf_str(&text, "ok\n");
    } else if (slice_is(path, "/readyz") && is_get) {
        status = put_ready(p, &text);
    } else if (!may_administer(p, r)) {
        status = 401;
        buf_str(&text, "a token with the scope admin is needed in "
                       "X-SLM-Token or as bearer\n");
    } else if (slice_is(path, "/metrics") && is_get) {
        content_type = "text/plain; version=0.0.4; charset=utf-8";
        put_metrics(p, &text);
    } else if (slice_is(path, "/feedback") && slice_is(r->method, "POST")) {
        status = take_feedback(p, body, &text);
    } else if (is_reload(p, path) && slice_is(r->method, "POST")) {
        status = take_reload(p, &text);
    } else if (methods_of(p, path)) {
        status = 405;
        buf_printf(&text, "%.*s takes %s\n", (int)path.n, path.p,
                   methods_of(p, path));
    } else {
        status = 404;
        buf_str(&text, "GET /healthz, /readyz, /metrics; POST /feedback\n");
    }
    respond(out, status, content_type, &text, is_head, methods_of(p, path));
    buf_release(&text);
}

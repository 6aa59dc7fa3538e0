/*
 * wire_record.c - one line of the exchange format
 *
 * Request and response are taken as the exact bytes of the line; only the
 * fields around them are read. Unknown fields are kept as they stand.
 */
#include "wire/wire_foreign.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 1e11 /* above: the timestamp is in milliseconds */

static const char *const STATUSES[] = {
    "completed", "failed_http", "failed_stream", "upstream_truncated",
    "cancelled", "timeout",     "lost",
};

static const char *const KNOWN_FIELDS[] = {
    "timestamp",  "workload_id", "client_id", "conversation_id", "session_id",
    "latency_ms", "ttft_ms",     "status",    "phase",           "http_status",
    "error",      "upstream",    "outcome",   "request",         "response",
};

int wire_text(struct wire_record *r, json_ref v, const char *name,
              struct slice *out, struct err *err)
{
    struct slice raw = json_raw(&r->json, v);

    *out = (struct slice){ NULL, 0 };
    if (json_kind(&r->json, v) == JSON_NULL)
        return ERR_OK;
    if (json_is(&r->json, v, JSON_NUMBER)) {
        *out = raw;
    } else if (!json_is(&r->json, v, JSON_STRING)) {
        return err_set(err, ERR_FORMAT, "%s: not a string", name);
    } else if (!r->json.nodes[v].count) {
        *out = (struct slice){ raw.p + 1, raw.n - 2 };
    } else {
        struct buf text = { 0 };
        size_t n;

        if (r->owned_count == sizeof(r->owned) / sizeof(*r->owned))
            return err_set(err, ERR_LIMIT, "%s: too many escaped texts", name);
        (void)json_text(&r->json, v, &text);
        r->owned[r->owned_count] = buf_take(&text, &n);
        *out = (struct slice){ r->owned[r->owned_count++], n };
    }
    if (out->n > WIRE_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "%s: %zu bytes, at most %d", name,
                       out->n, WIRE_TEXT_MAX);
    return ERR_OK;
}

int wire_number(const struct json *j, json_ref v, const char *name,
                double scale, int64_t *out, struct err *err)
{
    double d;

    *out = -1;
    if (json_kind(j, v) == JSON_NULL)
        return ERR_OK;
    if (!json_double(j, v, &d) || !(d >= 0) || !(d * scale < 9e18))
        return err_set(err, ERR_FORMAT, "%s: not a number of 0 or more", name);
    *out = (int64_t)llround(d * scale);
    return ERR_OK;
}

static int read_time(struct wire_record *r, struct err *err)
{
    json_ref v = json_get(&r->json, 0, "timestamp");
    double d;

    if (json_double(&r->json, v, &d) && d > SECONDS_MAX)
        return wire_number(&r->json, v, "timestamp", 1e3, &r->call.time_us,
                           err);
    return wire_number(&r->json, v, "timestamp", 1e6, &r->call.time_us, err);
}

static int read_texts(struct wire_record *r, struct err *err)
{
    const struct {
        const char *name;
        struct slice *to;
    } fields[] = {
        { "session_id", &r->call.conversation },
        { "conversation_id", &r->call.conversation },
        { "workload_id", &r->call.workload },
        { "client_id", &r->call.client },
        { "upstream", &r->call.upstream },
        { "phase", &r->call.phase },
        { "status", &r->call.status },
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        struct slice text;
        int rc = wire_text(r, json_get(&r->json, 0, fields[i].name),
                           fields[i].name, &text, err);

        if (rc < 0)
            return rc;
        if (text.n)
            *fields[i].to = text;
    }
    return ERR_OK;
}

static int read_numbers(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    int rc = read_time(r, err);

    if (rc == ERR_OK)
        rc = wire_number(j, json_get(j, 0, "latency_ms"), "latency_ms", 1e3,
                         &r->call.latency_us, err);
    if (rc == ERR_OK)
        rc = wire_number(j, json_get(j, 0, "ttft_ms"), "ttft_ms", 1e3,
                         &r->call.ttft_us, err);
    if (rc == ERR_OK)
        rc = wire_number(j, json_get(j, 0, "http_status"), "http_status", 1,
                         &r->call.http_status, err);
    return rc;
}

static bool is_known_field(const struct json *j, json_ref key)
{
    for (size_t i = 0; i < sizeof(KNOWN_FIELDS) / sizeof(*KNOWN_FIELDS); i++)
        if (json_text_is(j, key, KNOWN_FIELDS[i]))
            return true;
    return json_text_is(j, key, "dialect") && wire_dialect_told(j) != DIALECTS;
}

void wire_read_call_id(struct wire_record *r, const struct json *j, json_ref v)
{
    r->has_call_id =
        json_is(j, v, JSON_STRING) &&
        crypto_unhex(wire_inner(j, v), r->call_id, sizeof(r->call_id));
}

static int read_extra(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;

    buf_reset(&r->extra);
    for (json_ref v = json_first(j, 0); v != JSON_NONE;
         v = json_next(j, 0, v)) {
        if (is_known_field(j, json_key(j, v)))
            continue;
        buf_str(&r->extra, r->extra.len ? "," : "{");
        buf_add_slice(&r->extra, json_raw(j, json_key(j, v)));
        buf_char(&r->extra, ':');
        buf_add_slice(&r->extra, json_raw(j, v));
    }
    if (r->extra.len > WIRE_EXTRA_MAX)
        return err_set(err, ERR_LIMIT,
                       "fields beside request and response: %zu bytes, at "
                       "most %zu",
                       r->extra.len, WIRE_EXTRA_MAX);
    if (r->extra.len)
        buf_char(&r->extra, '}');
    r->call.extra = buf_slice(&r->extra);
    return ERR_OK;
}

struct slice wire_status(struct slice name)
{
    for (size_t i = 0; i < sizeof(STATUSES) / sizeof(*STATUSES); i++)
        if (slice_is(name, STATUSES[i]))
            return slice_of(STATUSES[i]);
    return (struct slice){ NULL, 0 };
}

static int check_status(const struct wire_record *r, struct err *err)
{
    struct slice s = r->call.status;

    if (wire_status(s).n)
        return ERR_OK;
    return err_set(err, ERR_FORMAT,
                   "status: \"%.*s\" is none of completed, failed_http, "
                   "failed_stream, upstream_truncated, cancelled, timeout, "
                   "lost",
                   (int)(s.n < 60 ? s.n : 60), s.p);
}

/* The bodies of a call whose dialect is told may be anything. */
static struct slice read_body(struct wire_record *r, json_ref v)
{
    struct buf text = { .data = NULL };

    if (json_kind(&r->json, v) == JSON_NULL)
        return (struct slice){ NULL, 0 };
    if (!json_is(&r->json, v, JSON_STRING))
        return json_raw(&r->json, v);
    (void)json_text(&r->json, v, &text);
    return wire_own(r, &text);
}

static int read_bodies(struct wire_record *r, json_ref request,
                       json_ref response, struct err *err)
{
    const struct json *j = &r->json;
    bool told = wire_dialect_told(j) != DIALECTS;
    bool answered = json_kind(j, response) != JSON_NULL;

    if (!told && !json_is(j, request, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "request: not an object");
    if (!told && answered && !json_is(j, response, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "response: not an object");
    r->request = json_is(j, request, JSON_OBJECT) ? request : JSON_NONE;
    r->call.request = read_body(r, request);
    r->call.response = read_body(r, response);
    if (answered || (told && r->call.status.n) ||
        json_is(j, json_get(j, 0, "cut"), JSON_TRUE) ||
        (r->call.status.n && !slice_is(r->call.status, "completed")))
        return ERR_OK;
    return err_set(err, ERR_FORMAT, "no response");
}

int wire_parse_exchange(struct wire_record *r, struct err *err)
{
    const struct json *j = &r->json;
    json_ref request = json_get(j, 0, "request");
    json_ref response = json_get(j, 0, "response");
    json_ref outcome = json_get(j, 0, "outcome");
    int rc;

    rc = read_texts(r, err);
    if (rc == ERR_OK)
        rc = read_numbers(r, err);
    if (rc == ERR_OK)
        rc = read_bodies(r, request, response, err);
    if (rc == ERR_OK)
        rc = wire_read_bodies(r, request, response, err);
    wire_read_call_id(r, j, json_get(j, 0, "call_id"));
    if (rc == ERR_OK)
        rc = check_status(r, err);
    if (rc == ERR_OK && json_kind(j, outcome) != JSON_NULL) {
        r->has_outcome = true;
        rc = wire_outcome(r, outcome, &r->outcome, err);
        r->outcome.came_with_call = true;
    }
    return rc == ERR_OK ? read_extra(r, err) : rc;
}

void wire_record_reset(struct wire_record *r)
{
    for (size_t i = 0; i < r->owned_count; i++)
        free(r->owned[i]);
    r->owned_count = 0;
    r->call = store_call_none();
    r->has_outcome = r->has_call_id = false;
    r->request = JSON_NONE;
}

void wire_record_release(struct wire_record *r)
{
    wire_record_reset(r);
    json_release(&r->json);
    buf_release(&r->built);
    buf_release(&r->extra);
    *r = (struct wire_record){ 0 };
}

bool wire_is_cut(struct slice extra)
{
    struct json j = { 0 };
    bool cut = false, unlogged = false;

    if (extra.n && json_parse(&j, extra.p, extra.n, NULL) == ERR_OK) {
        (void)json_bool(&j, json_get(&j, 0, "cut"), &cut);
        (void)json_bool(&j, json_get(&j, 0, "no_log"), &unlogged);
    }
    json_release(&j);
    return cut || unlogged;
}

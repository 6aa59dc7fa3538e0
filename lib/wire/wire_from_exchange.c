/*
 * wire_from_exchange.c - HTTP exchanges that others have written down
 *
 * Pairs of a request's and a response's body, and HAR 1.2 entries, become the
 * exchange that the proxy would have seen: there is one reader of bodies,
 * streams and statuses. Header fields of HAR are not kept, nor queries, since
 * both hold keys.
 */
#include "wire/wire_foreign.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What is lent to the exchange until the record owns it. */
struct lent {
    struct json line; /* the record's text */
    struct buf request, response, target;
};

static void lend(struct lent *l, struct wire_record *r)
{
    *l = (struct lent){ .line = r->json };
    r->json = (struct json){ .text = NULL };
}

static void give(struct lent *l, struct wire_record *r)
{
    (void)wire_own(r, &l->request);
    (void)wire_own(r, &l->response);
    (void)wire_own(r, &l->target);
    json_release(&l->line);
}

/* A body: JSON as it stands, or a text that holds it. */
static void add_body(const struct json *j, json_ref v, struct buf *out)
{
    if (json_kind(j, v) != JSON_NULL && !json_text(j, v, out))
        buf_add_slice(out, json_raw(j, v));
}

static void extra(struct wire_record *r, const char *format, bool cut,
                  const struct json *j, const char *name)
{
    struct json_writer w;

    wire_extra_begin(r, &w, format, cut);
    wire_extra_member(&w, j, 0, name);
    wire_extra_end(r, &w);
}

/* The path alone. */
static void add_path(struct slice url, struct buf *out)
{
    struct slice host = wire_host(url);
    const char *end = url.p + url.n, *query;
    struct slice path = url;

    if (host.n < url.n) {
        path.p = host.p + host.n;
        path.n = (size_t)(end - path.p);
    }
    query = path.n ? memchr(path.p, '?', path.n) : NULL;
    if (query)
        path.n = (size_t)(query - path.p);
    buf_add_slice(out, path);
}

static json_ref first_of(const struct json *j, json_ref o, const char *a,
                         const char *b, const char *c)
{
    const char *const names[] = { a, b, c };

    for (size_t i = 0; i < 3; i++) {
        json_ref v = names[i] ? json_get(j, o, names[i]) : JSON_NONE;

        if (json_kind(j, v) != JSON_NULL)
            return v;
    }
    return JSON_NONE;
}

static const char *path_of(enum wire_dialect d)
{
    static const char *const paths[DIALECTS] = {
        [DIALECT_OPENAI_CHAT] = "/v1/chat/completions",
        [DIALECT_OPENAI_RESPONSES] = "/v1/responses",
        [DIALECT_OPENAI_COMPLETIONS] = "/v1/completions",
        [DIALECT_OPENAI_EMBEDDINGS] = "/v1/embeddings",
        [DIALECT_ANTHROPIC] = "/v1/messages",
        [DIALECT_OLLAMA_CHAT] = "/api/chat",
        [DIALECT_OLLAMA_GENERATE] = "/api/generate",
        [DIALECT_GEMINI] = ":generateContent",
    };

    return paths[d] ? paths[d] : "";
}

/* The path that such bodies have. */
static void guess_path(const struct json *j, json_ref request,
                       json_ref response, struct buf *out)
{
    struct json body = { 0 };
    struct buf text = { .data = NULL };

    if (json_is(j, request, JSON_OBJECT))
        buf_str(out, path_of(wire_shape(j, request, response)));
    else if (json_text(j, request, &text) && text.len &&
             json_parse(&body, text.data, text.len, NULL) == ERR_OK)
        buf_str(out, path_of(wire_shape(&body, 0, JSON_NONE)));
    json_release(&body);
    buf_release(&text);
}

struct pair {
    json_ref request, response, status, url;
};

static struct pair find_pair(const struct json *j)
{
    struct pair p = { .request = first_of(j, 0, "request", "params", "body"),
                      .response = first_of(j, 0, "response", "result", NULL),
                      .url = json_get(j, 0, "url"),
                      .status = json_get(j, 0, "status_code") };
    json_ref body = json_get(j, p.request, "body");
    json_ref answer = first_of(j, p.response, "body", "message", NULL);

    if (json_present(body)) {
        p.url = json_get(j, p.request, "url");
        p.request = body;
    }
    if (json_present(json_get(j, p.response, "status_code")))
        p.status = json_get(j, p.response, "status_code");
    if (json_present(json_get(j, p.response, "body")) ||
        json_is(j, json_get(j, p.response, "message"), JSON_OBJECT))
        p.response = answer;
    return p;
}

/* A line of the Batch API tells apart from the answer why there is none, or
 * none that is whole; own exports have the status there. */
static void pair_status(struct wire_record *r, const struct json *j)
{
    json_ref error = json_get(j, 0, "error");
    json_ref code = json_get(j, error, "code");
    struct slice own = wire_status(wire_inner(j, code));
    struct slice message = wire_own_text(r, j, json_get(j, error, "message"));

    if (!json_is(j, error, JSON_OBJECT))
        return;
    r->call.status = own.n ? own : slice_of("failed_http");
    r->call.error = own.n ? message : wire_own_text(r, j, code);
    if (!own.n && !r->call.error.n)
        r->call.error = message;
    r->call.phase = wire_own_text(r, j, json_get(j, 0, "phase"));
}

static bool pair_is_cut(const struct wire_record *r, const struct json *j)
{
    bool cut = false;

    (void)json_bool(j, json_get(j, 0, "cut"), &cut);
    return cut || wire_has_marks(r);
}

static void pair_names(struct wire_record *r, const struct json *j)
{
    double ms;

    r->call.conversation = wire_own_text(
        r, j, first_of(j, 0, "conversation_id", "session_id", NULL));
    r->call.workload = wire_own_text(r, j, json_get(j, 0, "workload_id"));
    r->call.client = wire_own_text(r, j, json_get(j, 0, "client_id"));
    r->call.upstream = wire_own_text(r, j, json_get(j, 0, "upstream"));
    wire_read_call_id(r, j, json_get(j, 0, "call_id"));
    if (json_double(j, json_get(j, 0, "ttft_ms"), &ms) && ms >= 0 && ms < 1e12)
        r->call.ttft_us = (int64_t)(ms * 1e3 + 0.5);
}

int wire_from_pairs(struct wire_record *r, struct err *err)
{
    struct wire_exchange x = wire_exchange_none();
    struct lent l;
    const struct json *j = &l.line;
    struct pair p;
    double ms;
    int rc;

    lend(&l, r);
    p = find_pair(j);
    add_body(j, p.request, &l.request);
    add_body(j, p.response, &l.response);
    if (json_is(j, p.url, JSON_STRING))
        add_path(wire_inner(j, p.url), &l.target);
    else
        guess_path(j, p.request, p.response, &l.target);
    x.request = buf_slice(&l.request);
    x.response = buf_slice(&l.response);
    x.target = buf_slice(&l.target);
    x.method = slice_of("POST");
    x.time_us = wire_time(j, first_of(j, 0, "timestamp", "created_at", "time"));
    if (json_double(j, json_get(j, 0, "latency_ms"), &ms) && ms >= 0 &&
        ms < 1e12)
        x.latency_us = (int64_t)(ms * 1e3 + 0.5);
    if (!json_int(j, p.status, &x.http_status))
        x.http_status = -1;
    x.end = WIRE_END_WHOLE;
    rc = wire_exchange_read(r, &x, err);
    if (rc == ERR_OK && slice_is(r->call.dialect, "opaque"))
        rc = err_set(err, ERR_FORMAT, "request: the body of no known API");
    if (rc == ERR_OK)
        pair_status(r, j);
    if (rc == ERR_OK && !r->call.response.n && !pair_is_cut(r, j) &&
        slice_is(r->call.status, "completed"))
        rc = err_set(err, ERR_FORMAT, "no response");
    if (rc == ERR_OK) {
        pair_names(r, j);
        extra(r, "pairs", pair_is_cut(r, j), j, "custom_id");
    }
    give(&l, r);
    return rc;
}

static int64_t har_us(const struct json *j, json_ref v)
{
    double ms;

    return json_double(j, v, &ms) && ms >= 0 && ms < 1e12
               ? (int64_t)(ms * 1e3 + 0.5)
               : -1;
}

/* Timings count from the start; -1 is "does not apply". */
static int64_t first_byte(const struct json *j)
{
    static const char *const names[] = { "blocked", "dns", "connect", "send",
                                         "wait" };
    json_ref timings = json_get(j, 0, "timings");
    int64_t sum = 0;

    if (har_us(j, json_get(j, timings, "wait")) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        int64_t us = har_us(j, json_get(j, timings, names[i]));

        sum += us > 0 ? us : 0;
    }
    return sum;
}

static void har_response(const struct json *j, struct lent *l,
                         struct wire_exchange *x)
{
    json_ref o = json_get(j, 0, "response");
    json_ref content = json_get(j, o, "content");
    json_ref text = json_get(j, content, "text");
    struct slice coded = wire_inner(j, text);

    if (!json_text_is(j, json_get(j, content, "encoding"), "base64"))
        (void)json_text(j, text, &l->response);
    else if (!wire_base64(coded, &l->response))
        x->response_cut = true;
    x->response = buf_slice(&l->response);
    x->response_type = wire_inner(j, json_get(j, content, "mimeType"));
    x->end = WIRE_END_WHOLE;
    if (!json_int(j, json_get(j, o, "status"), &x->http_status) ||
        x->http_status <= 0) {
        x->http_status = -1;
        x->end = WIRE_END_UNREACHED;
    }
    if (x->http_status >= 0 && !x->response.n)
        x->response_cut = true;
}

/* The dialect of a path, whatever the body is. */
static enum wire_dialect dialect_of_path(struct slice path)
{
    struct json j = { 0 };
    enum wire_dialect d = DIALECT_OPAQUE;

    if (json_parse(&j, "{}", 2, NULL) == ERR_OK)
        d = wire_dialect_of(path, &j, 0);
    json_release(&j);
    return d;
}

static int read_har(struct wire_record *r, struct lent *l, struct err *err)
{
    const struct json *j = &l->line;
    struct wire_exchange x = wire_exchange_none();
    json_ref q = json_get(j, 0, "request");
    struct slice url = wire_inner(j, json_get(j, q, "url"));
    enum wire_dialect d;
    int rc;

    if (!json_is(j, json_get(j, q, "url"), JSON_STRING))
        return err_set(err, ERR_FORMAT, "HAR entry: no request.url");
    add_path(url, &l->target);
    x.target = buf_slice(&l->target);
    d = dialect_of_path(x.target);
    if (d == DIALECT_OPAQUE ||
        !json_text_is(j, json_get(j, q, "method"), "POST"))
        return 1;
    (void)json_text(j, json_find(j, q, "postData", "text", NULL), &l->request);
    x.request = buf_slice(&l->request);
    x.request_cut = !x.request.n;
    x.method = slice_of("POST");
    x.time_us = wire_time(j, json_get(j, 0, "startedDateTime"));
    x.latency_us = har_us(j, json_get(j, 0, "time"));
    x.first_byte_us = first_byte(j);
    har_response(j, l, &x);
    rc = wire_exchange_read(r, &x, err);
    if (rc < 0)
        return rc;
    r->call.dialect = slice_of(wire_dialect_names[d]);
    if (x.response_cut && x.http_status < 400)
        r->call.status = slice_of("completed");
    r->call.upstream = wire_own_text(r, j, json_get(j, q, "url"));
    r->call.upstream = wire_host(r->call.upstream);
    extra(r, "har", x.request_cut || x.response_cut || wire_has_marks(r), j,
          "pageref");
    return ERR_OK;
}

int wire_from_har(struct wire_record *r, struct err *err)
{
    struct lent l;
    int rc;

    lend(&l, r);
    rc = read_har(r, &l, err);
    give(&l, r);
    return rc;
}

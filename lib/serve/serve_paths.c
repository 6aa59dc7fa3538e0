/*
 * serve_paths.c - what is asked for, and what can be said without a model
 *
 * Lists, health and refusals; the table of paths is the whole of what is
 * answered here. Refusals have the words of the dialect that was asked in.
 */
#include "serve/serve_private.h"

#include <stdio.h>
#include <string.h>

static const struct serve_path paths[] = {
    { "POST", "/v1/chat/completions", "proxy", "openai-chat", "chatcmpl-",
      SPEAK_CHAT },
    { "POST", "/v1/completions", "proxy", "openai-completions", "cmpl-",
      SPEAK_COMPLETIONS },
    { "POST", "/v1/responses", "proxy", "openai-responses", "resp_",
      SPEAK_RESPONSES },
    { "POST", "/v1/messages", "proxy", "anthropic", "msg_", SPEAK_ANTHROPIC },
    { "POST", "/v1/embeddings", "proxy", "openai-embeddings", NULL, SPEAK_CHAT,
      .embeds = true },
    { "GET", "/v1/models", "models", NULL, NULL, SPEAK_CHAT },
    { "GET", "/health", "models", NULL, NULL, SPEAK_CHAT },
};

struct slice serve_path_of(const struct proxy_seen *s)
{
    struct slice t = s->target->rest;
    const char *query = t.n ? memchr(t.p, '?', t.n) : NULL;

    if (query)
        t.n = (size_t)(query - t.p);
    return t;
}

/* "/v1/models/NAME" is /v1/models, too. */
static bool is_path(const struct serve_path *p, struct slice path)
{
    return slice_is(path, p->path) ||
           (!p->wire && !strcmp(p->path, "/v1/models") &&
            slice_starts(path, "/v1/models/"));
}

const struct serve_path *serve_path_find(struct slice method, struct slice path,
                                         bool *known)
{
    *known = false;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (!is_path(&paths[i], path))
            continue;
        *known = true;
        if (slice_is(method, paths[i].method))
            return &paths[i];
    }
    return NULL;
}

static const struct {
    enum err_code code;
    int status;
    const char *type;
} codes[] = {
    { ERR_LIMIT, 429, "rate_limit_exceeded" },
    { ERR_INVALID, 400, "invalid_value" },
    { ERR_FORMAT, 400, "invalid_request" },
    { ERR_UNSUPPORTED, 400, "unsupported_value" },
    { ERR_NOTFOUND, 404, "model_not_found" },
    { ERR_BUSY, 503, "server_stops" },
};

void serve_refusal_of(struct serve_refusal *why)
{
    const char *m = why->err.msg;
    size_t n = strspn(m, "abcdefghijklmnopqrstuvwxyz_");

    why->status = 500;
    why->type = "server_error";
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (codes[i].code == why->err.code) {
            why->status = codes[i].status;
            why->type = codes[i].type;
        }
    why->param[0] = '\0';
    if (n && n < sizeof(why->param) && m[n] == ':' && why->status == 400)
        (void)snprintf(why->param, sizeof(why->param), "%.*s", (int)n, m);
}

void serve_refuse(struct serve *s, struct proxy_reply *r, enum speak_dialect d,
                  const struct serve_refusal *why)
{
    struct buf body = { .data = NULL };
    char seconds[24];
    struct http_field field = { slice_of("Retry-After"), { NULL, 0 } };
    int64_t wait_s = why->retry_ms > 0 ? (why->retry_ms + 999) / 1000 : 1;

    (void)snprintf(seconds, sizeof(seconds), "%lld", (long long)wait_s);
    field.value = slice_of(seconds);
    speak_error(d, why->status, why->type, *why->param ? why->param : NULL,
                why->err.msg, false, &body);
    proxy_reply_head(r, why->status, "application/json", (int64_t)body.len,
                     &field, why->status == 429 || why->status == 503);
    (void)proxy_reply_data(r, buf_slice(&body));
    proxy_reply_end(r, "slm", slice_of(""), true);
    atomic_fetch_add(why->status >= 500 ? &s->failed : &s->refused, 1);
    buf_release(&body);
}

static void put_ways(struct serve *s, struct buf *out)
{
    static const char *const ways[] = { "slm", "llm", "escalated", "shadow" };

    buf_str(out, "# TYPE slmctl_route_total counter\n");
    for (size_t i = 0; i < SERVE_REASONS; i++)
        for (size_t k = 0; k < SERVE_WENT_WAYS; k++) {
            uint64_t n = atomic_load(&s->went[i][k]);

            if (n)
                buf_printf(out,
                           "slmctl_route_total{went=\"%s\",reason=\"%s\"} "
                           "%llu\n",
                           ways[k], router_reason_name((enum router_reason)i),
                           (unsigned long long)n);
        }
}

void serve_metrics(void *serve, struct buf *out)
{
    struct serve *s = serve;
    struct engine_stats sum;

    serve_engine_stats(s, &sum);
#define GAUGE(name, value)                                                     \
    buf_printf(out,                                                            \
               "# TYPE slmctl_engine_" name " gauge\n"                         \
               "slmctl_engine_" name " %llu\n",                                \
               (unsigned long long)(value))
#define COUNTER(name, value)                                                   \
    buf_printf(out,                                                            \
               "# TYPE slmctl_" name "_total counter\n"                        \
               "slmctl_" name "_total %llu\n",                                 \
               (unsigned long long)(value))
    GAUGE("queue", sum.waiting);
    GAUGE("active", sum.active);
    GAUGE("slots", sum.slots);
    GAUGE("forms", sum.forms);
    GAUGE("form_bytes", sum.form_bytes);
    COUNTER("engine_forms_made", sum.forms_made);
    COUNTER("engine_prompt_tokens", sum.prompt_tokens);
    COUNTER("engine_cached_tokens", sum.cached_tokens);
    COUNTER("engine_generated_tokens", sum.generated);
    COUNTER("engine_drafted_tokens", sum.drafted);
    COUNTER("engine_accepted_tokens", sum.accepted);
    COUNTER("engine_refused", sum.refused);
    COUNTER("serve_answered", atomic_load(&s->answered));
    COUNTER("serve_refused", atomic_load(&s->refused));
    COUNTER("serve_failed", atomic_load(&s->failed));
    COUNTER("serve_clients_left", atomic_load(&s->left));
#undef GAUGE
#undef COUNTER
    put_ways(s, out);
    serve_shadow_metrics(s, out);
    if (s->log)
        buf_printf(out,
                   "# TYPE slmctl_decisions_dropped_total counter\n"
                   "slmctl_decisions_dropped_total %llu\n",
                   (unsigned long long)serve_log_dropped(s->log));
}

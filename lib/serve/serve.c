/*
 * serve.c - which requests are answered here, and by which model
 *
 * A request that names a model here is answered here; any other goes to its
 * upstream, or, where none is meant, to the default model. Lists and health
 * are said without a body, and so is that a queue is full.
 */
#include "serve/serve_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_encoded(const struct http_request *r)
{
    struct slice e = http_get(r, "content-encoding");

    return e.n > 0 && !slice_is(e, "identity");
}

static const char *scope_of(void *ctx, const struct http_request *r)
{
    bool known;
    const struct proxy_target t = { .rest = r->target };
    const struct proxy_seen seen = { .request = r, .target = &t };
    const struct serve_path *p =
        serve_path_find(r->method, serve_path_of(&seen), &known);

    (void)ctx;
    return p ? p->scope : NULL;
}

/* Beside an upstream its lists and health are its own, but for the health of
 * this server, and for models that are here. */
static bool is_told_here(struct serve *s, const struct serve_path *p,
                         const struct proxy_seen *seen)
{
    const struct slice path = serve_path_of(seen);
    const size_t head = sizeof("/v1/models/") - 1;
    struct serve_setup *c;
    struct slice name;
    bool here;

    if (seen->target->rest.n != seen->request->target.n)
        return false; /* of an upstream that was named */
    if (!strcmp(p->path, "/health"))
        return true;
    if (path.n <= head)
        return false;
    name = (struct slice){ path.p + head, path.n - head };
    c = serve_setup_hold(s);
    here = serve_setup_find(c, name) != NULL ||
           serve_embeddings_has(s->embeddings, name);
    serve_setup_drop(c);
    return here;
}

static enum proxy_take see_head(void *ctx, const struct proxy_seen *s)
{
    struct serve_setup *c;
    bool known, up = s->target->route != NULL, full;
    const struct serve_path *p =
        serve_path_find(s->request->method, serve_path_of(s), &known);

    if (up && p && !p->wire)
        return is_told_here(ctx, p, s) ? PROXY_ASIDE : PROXY_PASS;
    if (up)
        return p && p->wire && !is_encoded(s->request) ? PROXY_BODY
                                                       : PROXY_PASS;
    if (!p || !p->wire || is_encoded(s->request))
        return PROXY_ASIDE;
    if (p->embeds) /* has a queue of its own */
        return PROXY_BODY;
    c = serve_setup_hold(ctx);
    full = serve_setup_is_full(c);
    serve_setup_drop(c);
    return full ? PROXY_ASIDE : PROXY_BODY;
}

static void put_model(const struct serve_setup *c, const char *name,
                      struct json_writer *w)
{
    json_begin_object(w, NULL);
    json_put_string(w, "id", name);
    json_put_string(w, "object", "model");
    json_put_int(w, "created", c->serve->created_s);
    json_put_string(w, "owned_by", "slmctl");
    json_end_object(w);
}

static void say(struct proxy_reply *r, const struct buf *body)
{
    proxy_reply_head(r, 200, "application/json", (int64_t)body->len, NULL, 0);
    (void)proxy_reply_data(r, buf_slice(body));
    proxy_reply_end(r, "slm", slice_of(""), true);
}

static int put_models(const struct serve_setup *c, struct slice path,
                      struct buf *out, struct err *err)
{
    const size_t head = sizeof("/v1/models/") - 1;
    const struct serve_embeddings *more = c->serve->embeddings;
    struct json_writer w;

    json_writer_init(&w, out, false);
    if (path.n >= head) {
        const struct slice name = { path.p + head, path.n - head };
        char text[SERVE_NAME + 1];

        if (name.n > SERVE_NAME ||
            (!serve_setup_find(c, name) && !serve_embeddings_has(more, name)))
            return err_set(err, ERR_NOTFOUND, "no model %.*s is served here",
                           (int)(name.n < 64 ? name.n : 64), name.p);
        (void)snprintf(text, sizeof(text), "%.*s", (int)name.n, name.p);
        put_model(c, text, &w);
        return ERR_OK;
    }
    json_begin_object(&w, NULL);
    json_put_string(&w, "object", "list");
    json_begin_array(&w, "data");
    for (size_t i = 0; i < c->model_count; i++)
        put_model(c, c->models[i].name, &w);
    for (size_t i = 0; serve_embeddings_name(more, i); i++)
        put_model(c, serve_embeddings_name(more, i), &w);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

static void refuse(struct serve *s, struct proxy_reply *r, enum speak_dialect d,
                   int status, const char *type, const char *message)
{
    struct serve_refusal no = { .status = status, .type = type };

    (void)err_set(&no.err, ERR_INVALID, "%s", message);
    serve_refuse(s, r, d, &no);
}

static void take_aside(const struct serve_setup *c,
                       const struct proxy_seen *seen, struct proxy_reply *r)
{
    struct serve *s = c->serve;
    struct slice path = serve_path_of(seen);
    struct buf body = { .data = NULL };
    struct serve_refusal no = { .retry_ms = 0 };
    bool known;
    const struct serve_path *p =
        serve_path_find(seen->request->method, path, &known);

    if (!p && known) {
        refuse(s, r, SPEAK_CHAT, 405, "method_not_allowed",
               "this path has another method");
    } else if (!p) {
        refuse(s, r, SPEAK_CHAT, 404, "not_found",
               "nothing is served at this path");
    } else if (p->wire && is_encoded(seen->request)) {
        refuse(s, r, p->dialect, 415, "unsupported_encoding",
               "send the body without Content-Encoding");
    } else if (p->wire) {
        refuse(s, r, p->dialect, 429, "rate_limit_exceeded",
               "all requests that may wait are waiting; try again later");
    } else if (!strcmp(p->path, "/health")) {
        buf_str(&body, "{\"status\":\"ok\"}");
        say(r, &body);
    } else if (put_models(c, path, &body, &no.err) == ERR_OK) {
        say(r, &body);
    } else {
        serve_refusal_of(&no);
        serve_refuse(s, r, SPEAK_CHAT, &no);
    }
    buf_release(&body);
}

/* The model's name alone, of a body that may be for the upstream. */
static bool is_ours(const struct serve_setup *c, const struct serve_path *p,
                    struct slice body)
{
    bool ours = false;
    struct buf name = { .data = NULL };
    struct json j = { .text = NULL };
    struct err err;

    if (body.n && json_parse(&j, body.p, body.n, &err) == ERR_OK &&
        json_text(&j, json_get(&j, 0, "model"), &name))
        ours = p->embeds ? serve_embeddings_has(c->serve->embeddings,
                                                buf_slice(&name))
                         : serve_setup_find(c, buf_slice(&name)) != NULL;
    buf_release(&name);
    json_release(&j);
    return ours;
}

static void take_body(struct serve_setup *c, const struct serve_path *p,
                      const struct proxy_seen *seen, struct proxy_reply *r)
{
    struct serve *s = c->serve;
    struct serve_request q = { .raw = false };
    struct serve_refusal why = { .retry_ms = 0 };
    const struct serve_own *m;

    if (!serve_request_read(&q, p, seen->body, c->max_tokens, &why)) {
        serve_refuse(s, r, p->dialect, &why);
    } else {
        m = serve_setup_find(c, buf_slice(&q.model));
        if (!m)
            m = c->fallback;
        if (m) {
            serve_answer(c, p, m, &q, seen->id, NULL, r);
        } else {
            (void)err_set(&why.err, ERR_NOTFOUND,
                          "no model %.64s is served here", q.model.data);
            serve_refusal_of(&why);
            serve_refuse(s, r, p->dialect, &why);
        }
    }
    serve_request_release(&q);
}

static enum proxy_take take(void *ctx, const struct proxy_seen *seen,
                            struct proxy_reply *r)
{
    struct serve *s = ctx;
    struct serve_setup *c = serve_setup_hold(s);
    bool known;
    const struct serve_path *p =
        serve_path_find(seen->request->method, serve_path_of(seen), &known);
    enum proxy_take took = PROXY_BODY;

    if (seen->aside) {
        take_aside(c, seen, r);
        took = PROXY_ASIDE;
    } else if (seen->target->route && !is_ours(c, p, seen->body)) {
        took =
            c->router && !p->embeds ? serve_route(c, p, seen, r) : PROXY_PASS;
    } else if (p->embeds) {
        serve_embeddings_take(s, seen->body, r);
    } else {
        take_body(c, p, seen, r);
    }
    serve_setup_drop(c);
    return took;
}

static int reload(void *ctx, struct err *err)
{
    struct serve *s = ctx;

    return s->o.reload(s->o.reload_ctx, err);
}

int serve_new(const struct serve_options *o, struct serve **out,
              struct err *err)
{
    struct serve *s = mem_zalloc(sizeof(*s));
    struct serve_setup *first = NULL;
    int rc;

    s->local = (struct proxy_local){ .ctx = s,
                                     .body_max = SERVE_BODY,
                                     .scope = scope_of,
                                     .head = see_head,
                                     .take = take,
                                     .gone = serve_answer_gone,
                                     .answered = serve_shadow_answered,
                                     .metrics = serve_metrics,
                                     .reload = o->reload ? reload : NULL };
    s->o = *o;
    s->o.queue = o->queue ? o->queue : 64;
    s->created_s = clock_wall_us() / 1000000;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->pins = serve_pins_new();
    s->watch =
        router_watch_new(o->limits ? o->limits : &(struct router_limits){ 0 });
    rc = serve_prepare(s, o, &first, err);
    if (rc == ERR_OK)
        rc = serve_embeddings_open(s, o, &s->embeddings, err);
    if (rc == ERR_OK && o->open_store)
        rc = serve_log_open(o->open_store, o->store_told, o->store_ctx, &s->log,
                            err);
    if (rc == ERR_OK)
        rc = serve_shadow_new(s, &s->shadow, err);
    if (rc == ERR_OK) {
        serve_take(s, first, 0);
    } else {
        if (first) {
            first->release = NULL; /* the caller's still */
            serve_discard(s, first);
        }
        serve_free(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

const struct proxy_local *serve_local(struct serve *s)
{
    return &s->local;
}

void serve_stop(struct serve *s)
{
    serve_shadow_stop(s->shadow);
    serve_embeddings_stop(s->embeddings);
    (void)pthread_mutex_lock(&s->lock);
    s->stopped = true;
    (void)pthread_mutex_unlock(&s->lock);
    /* Nobody loads or begins any more: the list stays as it is. */
    for (struct serve_engine *e = s->engines; e; e = e->next) {
        engine_close(e->engine);
        e->engine = NULL;
    }
}

void serve_free(struct serve *s)
{
    if (!s)
        return;
    serve_stop(s);
    serve_shadow_free(s->shadow);
    serve_embeddings_free(s->embeddings);
    if (s->setup)
        serve_setup_drop(s->setup);
    serve_engines_free(s);
    router_watch_free(s->watch);
    serve_pins_free(s->pins);
    serve_log_close(s->log);
    free(s->stepped);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

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

#include <stdlib.h>
#include <string.h>

static struct serve_own *find_model(struct serve *s, struct slice name)
{
    for (size_t i = 0; i < s->model_count; i++)
        if (slice_is(name, s->models[i].name))
            return &s->models[i];
    return NULL;
}

/* No model can take another request: said before the body is read. */
static bool is_full(struct serve *s)
{
    struct engine_stats now;

    for (size_t i = 0; i < s->engine_count; i++) {
        engine_stats(s->engines[i], &now);
        if (now.waiting < s->queue)
            return false;
    }
    return true;
}

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

static enum proxy_take see_head(void *ctx, const struct proxy_seen *s)
{
    struct serve *serve = ctx;
    bool known, up = s->target->route != NULL;
    const struct serve_path *p =
        serve_path_find(s->request->method, serve_path_of(s), &known);

    if (up)
        return p && p->wire && !is_encoded(s->request) ? PROXY_BODY
                                                       : PROXY_PASS;
    return p && p->wire && !is_encoded(s->request) && !is_full(serve)
               ? PROXY_BODY
               : PROXY_ASIDE;
}

static void put_model(const struct serve *s, const struct serve_own *m,
                      struct json_writer *w)
{
    json_begin_object(w, NULL);
    json_put_string(w, "id", m->name);
    json_put_string(w, "object", "model");
    json_put_int(w, "created", s->created_s);
    json_put_string(w, "owned_by", "slmctl");
    json_end_object(w);
}

static void say(struct proxy_reply *r, const struct buf *body)
{
    proxy_reply_head(r, 200, "application/json", (int64_t)body->len, NULL, 0);
    (void)proxy_reply_data(r, buf_slice(body));
    proxy_reply_end(r, "slm", slice_of(""), true);
}

static int put_models(struct serve *s, struct slice path, struct buf *out,
                      struct err *err)
{
    const size_t head = sizeof("/v1/models/") - 1;
    const struct serve_own *m;
    struct json_writer w;

    json_writer_init(&w, out, false);
    if (path.n >= head) {
        const struct slice name = { path.p + head, path.n - head };

        m = find_model(s, name);
        if (!m)
            return err_set(err, ERR_NOTFOUND, "no model %.*s is served here",
                           (int)(name.n < 64 ? name.n : 64), name.p);
        put_model(s, m, &w);
        return ERR_OK;
    }
    json_begin_object(&w, NULL);
    json_put_string(&w, "object", "list");
    json_begin_array(&w, "data");
    for (size_t i = 0; i < s->model_count; i++)
        put_model(s, &s->models[i], &w);
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

static void take_aside(struct serve *s, const struct proxy_seen *seen,
                       struct proxy_reply *r)
{
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
    } else if (put_models(s, path, &body, &no.err) == ERR_OK) {
        say(r, &body);
    } else {
        serve_refusal_of(&no);
        serve_refuse(s, r, SPEAK_CHAT, &no);
    }
    buf_release(&body);
}

/* The model's name alone, of a body that may be for the upstream. */
static const struct serve_own *model_of(struct serve *s, struct slice body)
{
    const struct serve_own *m = NULL;
    struct buf name = { .data = NULL };
    struct json j = { .text = NULL };
    struct err err;

    if (body.n && json_parse(&j, body.p, body.n, &err) == ERR_OK &&
        json_text(&j, json_get(&j, 0, "model"), &name))
        m = find_model(s, buf_slice(&name));
    buf_release(&name);
    json_release(&j);
    return m;
}

static void take_body(struct serve *s, const struct serve_path *p,
                      const struct proxy_seen *seen, struct proxy_reply *r)
{
    struct serve_request q = { .raw = false };
    struct serve_refusal why = { .retry_ms = 0 };
    const struct serve_own *m;

    if (!serve_request_read(&q, p, seen->body, s->max_tokens, &why)) {
        serve_refuse(s, r, p->dialect, &why);
    } else {
        m = find_model(s, buf_slice(&q.model));
        if (!m)
            m = s->fallback;
        if (m) {
            serve_answer(s, p, m, &q, seen->id, NULL, r);
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
    bool known;
    const struct serve_path *p =
        serve_path_find(seen->request->method, serve_path_of(seen), &known);

    if (seen->aside) {
        take_aside(s, seen, r);
        return PROXY_ASIDE;
    }
    if (seen->target->route && !model_of(s, seen->body))
        return s->router ? serve_route(s, p, seen, r) : PROXY_PASS;
    take_body(s, p, seen, r);
    return PROXY_BODY;
}

static int open_engine(struct serve *s, const struct serve_options *o,
                       size_t base, struct err *err)
{
    struct engine_model *models =
        mem_array(o->model_count + 1, sizeof(*models));
    struct engine_options e = { .dir = o->bases[base].dir,
                                .models = models,
                                .compute = o->bases[base].compute,
                                .slots = o->slots,
                                .queue = o->queue,
                                .cache_bytes = o->cache_bytes,
                                .default_tokens = s->max_tokens,
                                .unconstrained = o->unconstrained };
    int rc;

    for (size_t i = 0; i < s->model_count; i++) {
        struct serve_own *m = &s->models[i];

        if (m->base != base)
            continue;
        m->index = e.count;
        models[e.count++] =
            (struct engine_model){ .name = m->name, .adapter = m->adapter };
    }
    rc = engine_open(&e, &s->engines[base], err);
    if (rc == ERR_OK)
        s->engine_count++;
    free(models);
    return rc;
}

static void copy_models(struct serve *s, const struct serve_options *o)
{
    s->models = mem_array(o->model_count + 1, sizeof(*s->models));
    s->model_count = o->model_count;
    for (size_t i = 0; i < o->model_count; i++) {
        const struct serve_model *m = &o->models[i];

        s->models[i] = (struct serve_own){
            .name = mem_strdup(m->name),
            .upstream = mem_printf("slm:%s", m->name),
            .adapter = m->adapter ? mem_strdup(m->adapter) : NULL,
            .base = m->base,
            .id = m->model,
        };
    }
}

int serve_new(const struct serve_options *o, struct serve **out,
              struct err *err)
{
    struct serve *s = mem_zalloc(sizeof(*s));
    int rc = ERR_OK;

    s->local = (struct proxy_local){ .ctx = s,
                                     .scope = scope_of,
                                     .head = see_head,
                                     .take = take,
                                     .gone = serve_answer_gone,
                                     .metrics = serve_metrics };
    s->queue = o->queue ? o->queue : 64;
    s->max_tokens = o->max_tokens ? o->max_tokens : 1024;
    s->created_s = clock_wall_us() / 1000000;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->router = o->router;
    s->step_back = o->step_back;
    s->step_back_ctx = o->step_back_ctx;
    s->watch =
        router_watch_new(o->limits ? o->limits : &(struct router_limits){ 0 });
    copy_models(s, o);
    s->engines = mem_zalloc((o->base_count + 1) * sizeof(*s->engines));
    if (o->default_model) {
        s->fallback = find_model(s, slice_of(o->default_model));
        if (!s->fallback)
            rc = err_set(err, ERR_NOTFOUND,
                         "default model %s is none of those served",
                         o->default_model);
    }
    for (size_t i = 0; rc == ERR_OK && i < o->base_count; i++)
        rc = open_engine(s, o, i, err);
    if (rc == ERR_OK && o->router && o->open_store)
        rc = serve_log_open(o->open_store, o->store_ctx, &s->log, err);
    if (rc < 0) {
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
    for (size_t i = 0; i < s->engine_count; i++)
        engine_close(s->engines[i]);
    s->engine_count = 0;
}

void serve_free(struct serve *s)
{
    if (!s)
        return;
    serve_stop(s);
    for (size_t i = 0; i < s->model_count; i++) {
        free(s->models[i].name);
        free(s->models[i].upstream);
        free(s->models[i].adapter);
    }
    free(s->models);
    free(s->engines);
    router_watch_free(s->watch);
    serve_log_close(s->log);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/*
 * serve_explain.c - what would become of one request, told and not done
 *
 * The same reading, decision and judgement as of a call that comes in, without
 * a socket, and without a row in the log. Whether a task stepped back since
 * the store was read is not known here.
 */
#include "serve/serve_private.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

/* The path that a body is for, by what stands in it alone. */
static const char *path_of(const struct json *j)
{
    json_ref tool = json_at(j, json_get(j, 0, "tools"), 0);

    if (json_present(json_get(j, 0, "input")))
        return "/v1/responses";
    if (json_present(json_get(j, 0, "system")) ||
        json_present(json_get(j, 0, "stop_sequences")) ||
        json_present(json_get(j, tool, "input_schema")))
        return "/v1/messages";
    return json_present(json_get(j, 0, "prompt")) ? "/v1/completions"
                                                  : "/v1/chat/completions";
}

/* A body, or a line of a log that has one as its request. */
static int read_request(struct slice text, int64_t max_tokens,
                        struct serve_request *q, struct serve_explained *out,
                        struct err *err)
{
    struct serve_refusal why = { .status = 0 };
    const struct serve_path *p;
    struct json j = { .text = NULL };
    json_ref inner;
    bool known;
    int rc = json_parse(&j, text.p, text.n, err);

    if (rc < 0)
        rc = err_wrap(err, "the request");
    inner = rc < 0 ? JSON_NONE : json_get(&j, 0, "request");
    if (json_is(&j, inner, JSON_OBJECT)) {
        text = json_raw(&j, inner);
        rc = json_parse(&j, text.p, text.n, err);
    }
    p = rc == ERR_OK
            ? serve_path_find(slice_of("POST"), slice_of(path_of(&j)), &known)
            : NULL;
    if (p && !serve_request_read(q, p, text, max_tokens, &why)) {
        *err = why.err;
        rc = (int)why.err.code;
    } else if (p && q->raw) {
        rc = err_set(err, ERR_UNSUPPORTED,
                     "prompt: a completion is never routed; give a chat");
    }
    out->dialect = p ? p->wire : "";
    json_release(&j);
    return rc;
}

/* What the engine made. */
struct explain_answer {
    struct serve_explained *out;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended;
    enum engine_finish end;
    struct engine_usage usage;
    struct stats_signals signals;
    struct err err;
    bool has_err;
};

static void take_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *signals, const struct err *err)
{
    struct explain_answer *a = ctx;

    (void)pthread_mutex_lock(&a->lock);
    a->end = why;
    buf_add_slice(&a->out->message, message);
    a->usage = *u;
    a->signals = *signals;
    a->has_err = err != NULL;
    if (err)
        a->err = *err;
    a->has_ended = true;
    (void)pthread_cond_signal(&a->ended);
    (void)pthread_mutex_unlock(&a->lock);
}

static int submit(struct serve_setup *c, const struct serve_own *m,
                  struct slice chat, struct explain_answer *a, struct err *err)
{
    const struct engine_request r = { .chat = chat,
                                      .models = c->parts[m->part].models,
                                      .model = m->index,
                                      .content = &m->content,
                                      .whole = true,
                                      .end = take_end,
                                      .ctx = a };
    uint64_t id;
    int64_t retry;
    int rc = engine_submit(serve_setup_engine(c, m), &r, &id, &retry, err);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&a->lock);
    while (!a->has_ended)
        (void)pthread_cond_wait(&a->ended, &a->lock);
    (void)pthread_mutex_unlock(&a->lock);
    return ERR_OK;
}

/* The champion's answer, and what would be thought of it. */
static int generate(struct serve_setup *c, const struct serve_request *q,
                    struct serve_explained *out, struct err *err)
{
    const struct serve_own *m = serve_setup_by_id(c, out->decision.model);
    struct serve_route *d = serve_route_new(c);
    struct explain_answer a = { .out = out };
    struct serve_made made;
    int rc = ERR_OK;

    (void)pthread_mutex_init(&a.lock, NULL);
    (void)pthread_cond_init(&a.ended, NULL);
    d->decision = out->decision;
    d->own_limit = q->own_limit;
    buf_add_slice(&d->chat, buf_slice(&q->chat));
    rc = json_parse(&d->json, d->chat.data, d->chat.len, err);
    if (rc == ERR_OK)
        rc = submit(c, m, buf_slice(&d->chat), &a, err);
    if (rc == ERR_OK) {
        made = (struct serve_made){ a.end, buf_slice(&out->message), &a.usage,
                                    &a.signals, a.has_err ? &a.err : NULL };
        out->generated = true;
        out->good = serve_route_assess(d, &made, &out->after);
        out->p_error = d->p_error;
        out->tokens_in = a.usage.prompt;
        out->tokens_out = a.usage.completion;
        out->answer_us = a.usage.total_us;
        if (a.has_err)
            (void)buf_str(&out->failed, a.err.msg);
    }
    serve_route_free(d);
    (void)pthread_cond_destroy(&a.ended);
    (void)pthread_mutex_destroy(&a.lock);
    return rc;
}

/* As a server has it that left this model out. */
void serve_explained_unserved(struct serve_explained *e)
{
    if (e->decision.to == ROUTER_SLM)
        e->decision.reason = ROUTER_REASON_no_champion;
    e->decision.to = ROUTER_LLM;
}

int serve_explain(const struct router *r, struct serve *s, struct slice request,
                  int64_t max_tokens, struct serve_explained *out,
                  struct err *err)
{
    struct serve_request q = { .raw = false };
    struct json chat = { .text = NULL };
    struct serve_setup *c = s ? serve_setup_hold(s) : NULL;
    int64_t begin;
    int rc;

    *out = (struct serve_explained){ .p_error = (double)NAN };
    rc = read_request(request, max_tokens, &q, out, err);
    begin = clock_mono_ns();
    if (rc == ERR_OK)
        rc = json_parse(&chat, q.chat.data, q.chat.len, err);
    if (rc == ERR_OK)
        rc = router_decide(r, &chat, 0, NULL, &out->decision, err);
    out->decide_ns = clock_mono_ns() - begin;
    if (rc == ERR_OK && q.model.len)
        buf_add_slice(&out->asked, buf_slice(&q.model));
    if (rc == ERR_OK && c && serve_setup_by_id(c, out->decision.model))
        rc = generate(c, &q, out, err);
    else if (rc == ERR_OK && c)
        serve_explained_unserved(out);
    if (c)
        serve_setup_drop(c);
    json_release(&chat);
    serve_request_release(&q);
    if (rc < 0)
        serve_explained_release(out);
    return rc;
}

void serve_explained_release(struct serve_explained *e)
{
    buf_release(&e->asked);
    buf_release(&e->message);
    buf_release(&e->failed);
}

/*
 * serve_route.c - calls that name no model here: whether one answers
 *
 * The router decides with the body, an answer is judged before a byte of it
 * goes out, and what is not good enough goes to the LLM as the client sent it.
 * A request that cannot be read is the upstream's to refuse, not ours.
 */
#include "serve/serve_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct serve_route *serve_route_new(struct serve_setup *c)
{
    struct serve_route *d = mem_zalloc(sizeof(*d));

    d->setup = serve_setup_again(c);
    return d;
}

void serve_route_free(struct serve_route *d)
{
    if (!d)
        return;
    json_release(&d->json);
    buf_release(&d->chat);
    serve_setup_drop(d->setup);
    free(d);
}

static const struct serve_own *model_by_id(const struct serve_setup *c,
                                           int64_t id)
{
    for (size_t i = 0; i < c->model_count; i++)
        if (c->models[i].id == id)
            return &c->models[i];
    return NULL;
}

static void put_number(struct json_writer *w, const char *key, double x)
{
    if (isfinite(x))
        json_put_double(w, key, x);
}

void serve_route_facts(const struct serve_route *d, const char *went,
                       enum router_reason reason, double p_error,
                       struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, "route");
    json_put_string(&w, "went", went);
    json_put_string(&w, "reason", router_reason_name(reason));
    if (d->decision.task)
        json_put_int(&w, "task", d->decision.task);
    if (d->decision.model)
        json_put_int(&w, "model", d->decision.model);
    put_number(&w, "p_error", p_error);
    put_number(&w, "novelty", (double)d->decision.novelty);
    json_put_int(&w, "decide_ns", d->decide_ns);
    json_end_object(&w);
}

/* Into the figures and the log. */
static void tell(struct serve *s, const struct serve_route *d, const char *went,
                 enum router_reason reason, double p_error)
{
    bool escalated = *went == 'e';
    struct serve_entry e = {
        .time_us = d->time_us,
        .task = d->decision.task,
        .model = d->decision.model,
        .went = went,
        .reason = reason,
        .forced = escalated && d->decision.in_loop,
        .error = escalated && reason != ROUTER_REASON_low_confidence,
        .novelty = (double)d->decision.novelty,
        .p_error = p_error,
        .slm_us = d->slm_us,
        .decide_ns = d->decide_ns,
        .tokens_in = (int64_t)d->tokens_in,
        .tokens_out = (int64_t)d->tokens_out,
    };

    memcpy(e.key, d->key, sizeof(e.key));
    serve_log_add(s->log, &e);
    atomic_fetch_add(&s->went[reason][*went == 's' ? SERVE_WENT_SLM
                                      : escalated  ? SERVE_WENT_ESCALATED
                                                   : SERVE_WENT_LLM],
                     1);
}

void serve_route_up(struct serve *s, const struct serve_route *d,
                    const char *went, enum router_reason reason, double p_error,
                    struct proxy_reply *r)
{
    struct buf facts = { .data = NULL };

    tell(s, d, went, reason, p_error);
    serve_route_facts(d, went, reason, p_error, &facts);
    proxy_reply_pass(r, buf_slice(&facts));
    buf_release(&facts);
}

/* Under the lock. */
static bool is_stepped(const struct serve *s, int64_t task)
{
    for (size_t i = 0; i < s->stepped_count; i++)
        if (s->stepped[i].task == task)
            return true;
    return false;
}

static bool has_stepped_back(struct serve *s, int64_t task)
{
    bool yes;

    (void)pthread_mutex_lock(&s->lock);
    yes = is_stepped(s, task);
    (void)pthread_mutex_unlock(&s->lock);
    return yes;
}

/* Tells the watch, which may want the task to step back: at once, and in the
 * store for later runs. */
static void watch(struct serve *s, const struct serve_route *d, bool error)
{
    int64_t task = d->decision.task;
    char why[160];
    bool again;

    if (!router_watch_add(s->watch, task, (double)NAN, error, why))
        return;
    (void)pthread_mutex_lock(&s->lock);
    again = is_stepped(s, task);
    if (!again) {
        mem_grow((void **)&s->stepped, &s->stepped_cap, s->stepped_count + 1,
                 sizeof(*s->stepped));
        s->stepped[s->stepped_count++] =
            (struct serve_stepped){ task, ++s->steps };
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!again && s->o.step_back)
        s->o.step_back(s->o.step_back_ctx, task, why);
}

bool serve_route_judge(struct serve *s, struct serve_route *d,
                       enum engine_finish end, struct slice message,
                       const struct engine_usage *u,
                       const struct stats_signals *signals,
                       const struct err *err, enum router_reason *why)
{
    bool good = false;

    d->p_error = (double)NAN;
    d->slm_us = u->total_us;
    d->tokens_in = u->prompt;
    d->tokens_out = u->completion;
    if (end == ENGINE_MALFORMED)
        *why = ROUTER_REASON_malformed;
    else if (end == ENGINE_LENGTH)
        *why = ROUTER_REASON_length;
    else if (end == ENGINE_FAILED && err && err->code == ERR_LIMIT)
        *why = ROUTER_REASON_too_long;
    else if (end != ENGINE_STOP && end != ENGINE_TOOL_CALLS)
        *why = ROUTER_REASON_engine;
    else
        good = router_check(d->setup->router, &d->decision, &d->json, 0,
                            message, signals, &d->p_error, why);
    if (good)
        *why = d->decision.reason;
    if (end <= ENGINE_FAILED && *why != ROUTER_REASON_low_confidence)
        watch(s, d, !good);
    if (good)
        tell(s, d, "slm", *why, d->p_error);
    return good;
}

/* Of the chat that is decided on; the decision owns a copy of its bytes. */
static int decide(struct serve_route *d, const struct serve_request *q,
                  const struct proxy_seen *seen, struct err *err)
{
    int64_t begin = clock_mono_ns();
    char name[256];
    struct router_state state = { .conversation = NULL };
    int rc;

    if (seen->conversation.n && seen->conversation.n < sizeof(name)) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)seen->conversation.n,
                       seen->conversation.p);
        state.conversation = name;
    }
    d->time_us = clock_wall_us();
    if (!seen->id || !crypto_unhex(slice_of(seen->id), d->key, sizeof(d->key)))
        memset(d->key, 0, sizeof(d->key));
    buf_add_slice(&d->chat, buf_slice(&q->chat));
    rc = json_parse(&d->json, d->chat.data, d->chat.len, err);
    if (rc == ERR_OK)
        rc = router_decide(d->setup->router, &d->json, 0, &state, &d->decision,
                           err);
    d->decide_ns = clock_mono_ns() - begin;
    return rc;
}

/* True: the decision is the answer's now. */
static bool send_where(struct serve_setup *c, const struct serve_path *p,
                       const struct serve_request *q, struct serve_route *d,
                       const char *id, struct proxy_reply *r)
{
    struct serve *s = c->serve;
    const struct serve_own *m = model_by_id(c, d->decision.model);
    enum router_reason why = d->decision.reason;
    bool here = d->decision.to == ROUTER_SLM;

    if (here && !m)
        why = ROUTER_REASON_no_champion;
    else if (here && !d->decision.in_loop &&
             has_stepped_back(s, d->decision.task))
        why = ROUTER_REASON_stepped_back;
    else if (here) {
        serve_answer(c, p, m, q, id, d, r);
        return true;
    }
    serve_route_up(s, d, "llm", why, d->decision.p_error, r);
    return false;
}

enum proxy_take serve_route(struct serve_setup *c, const struct serve_path *p,
                            const struct proxy_seen *seen,
                            struct proxy_reply *r)
{
    struct serve_request q = { .raw = false };
    struct serve_route *d = serve_route_new(c);
    struct serve_refusal why;
    enum proxy_take took = PROXY_PASS;

    if (serve_request_read(&q, p, seen->body, c->max_tokens, &why) && !q.raw &&
        decide(d, &q, seen, &why.err) == ERR_OK) {
        took = PROXY_BODY;
        if (send_where(c, p, &q, d, seen->id, r))
            d = NULL; /* the answer's now */
    }
    serve_route_free(d);
    serve_request_release(&q);
    return took;
}

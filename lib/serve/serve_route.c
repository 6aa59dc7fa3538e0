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

void serve_route_count(struct serve *s, const char *went,
                       enum router_reason reason)
{
    static const char *const ways[] = { "slm", "llm", "escalated", "shadow" };
    size_t way = 0;

    while (strcmp(ways[way], went) != 0)
        way++;
    atomic_fetch_add(&s->went[reason][way], 1);
}

void serve_route_entry(const struct serve_route *d, const char *went,
                       enum router_reason reason, double p_error,
                       struct serve_entry *out)
{
    bool escalated = *went == 'e';

    *out = (struct serve_entry){
        .time_us = d->time_us,
        .task = d->decision.task,
        .model = d->decision.model,
        .went = went,
        .reason = reason,
        .forced = escalated && d->decision.in_loop,
        .error = escalated && d->is_fault,
        .novelty = (double)d->decision.novelty,
        .p_error = p_error,
        .threshold = d->decision.threshold,
        .agreement = (double)NAN,
        .slm_us = d->slm_us,
        .decide_ns = d->decide_ns,
        .tokens_in = (int64_t)d->tokens_in,
        .tokens_out = (int64_t)d->tokens_out,
    };
    memcpy(out->key, d->key, sizeof(out->key));
}

static void tell(struct serve *s, const struct serve_route *d, const char *went,
                 enum router_reason reason, double p_error)
{
    struct serve_entry e;

    serve_route_entry(d, went, reason, p_error, &e);
    serve_log_add(s->log, &e);
    serve_route_count(s, went, reason);
}

/* What the log and the client are told of a call that goes up. */
#define ROUTE_TEXT 64
static void describe(const struct serve_route *d, const char *went,
                     enum router_reason reason, double p_error,
                     char route[ROUTE_TEXT], struct buf *facts)
{
    (void)snprintf(route, ROUTE_TEXT, "%s; %s", went,
                   router_reason_name(reason));
    serve_route_facts(d, went, reason, p_error, facts);
}

void serve_route_up(struct serve *s, const struct serve_route *d,
                    const char *went, enum router_reason reason, double p_error,
                    struct proxy_reply *r)
{
    struct buf facts = { .data = NULL };
    char route[ROUTE_TEXT];

    tell(s, d, went, reason, p_error);
    describe(d, went, reason, p_error, route, &facts);
    proxy_reply_pass(r, route, buf_slice(&facts));
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

bool serve_has_stepped_back(struct serve *s, const struct router *r,
                            int64_t task)
{
    bool yes;

    (void)pthread_mutex_lock(&s->lock);
    yes = is_stepped(s, task);
    (void)pthread_mutex_unlock(&s->lock);
    return yes || router_has_stepped_back(r, task);
}

/* Tells the watch, which may want the task to step back: at once, and in the
 * store for later runs. */
void serve_route_watch(struct serve *s, const struct serve_route *d,
                       double agreement, bool error)
{
    int64_t task = d->decision.task;
    char why[160];
    bool again;

    if (!router_watch_add(s->watch, task, agreement, error, why) ||
        router_has_stepped_back(d->setup->router, task))
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

bool serve_route_assess(struct serve_route *d, const struct serve_made *m,
                        enum router_reason *why)
{
    d->p_error = (double)NAN;
    d->is_fault = false;
    d->slm_us = m->usage->total_us;
    d->tokens_in = m->usage->prompt;
    d->tokens_out = m->usage->completion;
    if (m->end == ENGINE_MALFORMED)
        *why = ROUTER_REASON_malformed;
    else if (m->end == ENGINE_LENGTH)
        *why = ROUTER_REASON_length;
    else if (m->end == ENGINE_FAILED && m->err && m->err->code == ERR_LIMIT)
        *why = ROUTER_REASON_too_long;
    else if (m->end != ENGINE_STOP && m->end != ENGINE_TOOL_CALLS)
        *why = ROUTER_REASON_engine;
    else if (router_check(d->setup->router, &d->decision, &d->json, 0,
                          m->message, m->signals, &d->p_error, why)) {
        *why = d->decision.reason;
        return true;
    }
    /* Who is sure of nothing says so, who was cut short did not end, and how
     * long a prompt is is the client's doing. */
    d->is_fault = *why != ROUTER_REASON_low_confidence &&
                  *why != ROUTER_REASON_too_long &&
                  !(m->end == ENGINE_LENGTH && d->own_limit);
    return false;
}

bool serve_route_judge(struct serve *s, struct serve_route *d,
                       const struct serve_made *m, enum router_reason *why)
{
    bool good = serve_route_assess(d, m, why);

    if (m->end <= ENGINE_FAILED && (good || d->is_fault))
        serve_route_watch(s, d, (double)NAN, !good);
    if (good) {
        tell(s, d, "slm", *why, d->p_error);
        serve_pins_add(s->pins, &d->json, m->message);
    }
    return good;
}

/* Of the chat that is decided on; the decision owns a copy of its bytes. */
static int decide(struct serve_route *d, const struct serve_request *q,
                  const struct proxy_seen *seen, struct err *err)
{
    int64_t begin = clock_mono_ns();
    char name[256];
    char pin[ENGINE_CALL_PREFIX];
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
    d->own_limit = q->own_limit;
    buf_add_slice(&d->chat, buf_slice(&q->chat));
    rc = json_parse(&d->json, d->chat.data, d->chat.len, err);
    if (rc == ERR_OK && serve_pins_find(d->setup->serve->pins, &d->json, pin))
        state.pinned = pin;
    if (rc == ERR_OK)
        rc = router_decide(d->setup->router, &d->json, 0, &state, &d->decision,
                           err);
    /* Of a call that is not to be logged nothing is kept, nor compared. */
    if (d->decision.to == ROUTER_BOTH &&
        http_get(seen->request, "x-slm-no-log").n)
        d->decision.to = ROUTER_LLM;
    d->decide_ns = clock_mono_ns() - begin;
    return rc;
}

/* True: the decision is the answer's, or the shadow's, now. */
static bool send_where(struct serve_setup *c, const struct serve_path *p,
                       const struct serve_request *q, struct serve_route *d,
                       const char *id, struct proxy_reply *r)
{
    struct serve *s = c->serve;
    const struct serve_own *m = serve_setup_by_id(c, d->decision.model);
    enum router_reason why = d->decision.reason;
    bool here = d->decision.to == ROUTER_SLM;
    struct buf facts = { .data = NULL };
    char route[ROUTE_TEXT];

    if (here && !m)
        why = ROUTER_REASON_no_champion;
    else if (here && !d->decision.in_loop &&
             serve_has_stepped_back(s, c->router, d->decision.task))
        why = ROUTER_REASON_stepped_back;
    else if (here) {
        serve_answer(c, p, m, q, id, d, r);
        return true;
    }
    if (!s->shadow || d->decision.to != ROUTER_BOTH || !m) {
        serve_route_up(s, d, "llm", why, d->decision.p_error, r);
        return false;
    }
    serve_route_count(s, "shadow", why);
    describe(d, "shadow", why, d->decision.p_error, route, &facts);
    serve_shadow_expect(s->shadow, d); /* before it can be answered */
    proxy_reply_pass(r, route, buf_slice(&facts));
    buf_release(&facts);
    return true;
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

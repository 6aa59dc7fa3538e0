/*
 * router_decide.c - one request, before anybody answers it
 *
 * The cheapest questions come first, and the first no is the reason. Inside a
 * tool loop nothing else is asked than who made the call.
 */
#include "router/router_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* No token of a text is longer on average: more bytes cannot fit. */
#define BYTES_PER_TOKEN 8

const char *router_reason_name(enum router_reason reason)
{
    static const char *const names[] = {
#define X(name) #name,
        ROUTER_REASONS(X)
#undef X
    };

    return names[reason];
}

/* 0..1 by the key: who cannot read it cannot choose it. */
static double draw(const struct router *r, const char *purpose, struct slice s)
{
    unsigned char out[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;
    uint64_t v;

    crypto_hasher_init(&h, &r->key);
    crypto_hasher_update(&h, slice_of(purpose));
    crypto_hasher_update(&h, s);
    crypto_hasher_final(&h, out);
    memcpy(&v, out, sizeof(v));
    return (double)(v >> 11) / (double)(1ull << 53);
}

static json_ref first_user(const struct json *j, json_ref messages)
{
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m))
        if (json_text_is(j, json_get(j, m, "role"), "user"))
            return m;
    return json_first(j, messages);
}

/* The last assistant's message, if nothing but results of its calls follows;
 * *in_loop: a result is the last message. */
static json_ref caller_of(const struct json *j, json_ref messages,
                          bool *in_loop)
{
    json_ref caller = JSON_NONE;

    *in_loop = false;
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        json_ref role = json_get(j, m, "role");

        *in_loop =
            json_text_is(j, role, "tool") || json_text_is(j, role, "function");
        if (json_text_is(j, role, "assistant"))
            caller = m;
    }
    return caller;
}

static const struct router_champion *made_by(const struct router *r,
                                             const char *id)
{
    for (size_t i = 0; id && i < r->champions; i++)
        if (strncmp(id, r->champion[i].prefix, strlen(r->champion[i].prefix)) ==
            0)
            return &r->champion[i];
    return NULL;
}

/* Who made the calls of the assistant's message. */
static const struct router_champion *
loop_owner(const struct router *r, const struct json *j, json_ref caller,
           const struct router_state *state)
{
    json_ref calls = json_get(j, caller, "tool_calls");
    json_ref first =
        json_is(j, calls, JSON_ARRAY) ? json_first(j, calls) : JSON_NONE;
    char *id = json_strdup(j, json_get(j, first, "id"));
    const struct router_champion *c = made_by(r, id);

    if (!c && state)
        c = made_by(r, state->pinned);
    free(id);
    return c;
}

static bool has_other_than_text(const struct json *j, json_ref messages)
{
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m)) {
        json_ref content = json_get(j, m, "content");

        if (!json_is(j, content, JSON_ARRAY))
            continue;
        for (json_ref p = json_first(j, content); p != JSON_NONE;
             p = json_next(j, content, p))
            if (!json_text_is(j, json_get(j, p, "type"), "text"))
                return true;
    }
    return false;
}

static bool is_unsupported(const struct json *j, json_ref request,
                           json_ref messages)
{
    int64_t n = 1;

    return (json_int(j, json_get(j, request, "n"), &n) && n != 1) ||
           json_is(j, json_get(j, request, "audio"), JSON_OBJECT) ||
           json_is(j, json_get(j, request, "logit_bias"), JSON_OBJECT) ||
           has_other_than_text(j, messages);
}

/* A function that must be called, and that is not offered. */
static bool forces_unknown_tool(const struct json *j, json_ref request)
{
    json_ref choice = json_get(j, request, "tool_choice");
    json_ref name = json_find(j, choice, "function", "name", NULL);
    json_ref tools = json_get(j, request, "tools");
    char *wanted;
    bool found = false;

    if (!json_is(j, name, JSON_STRING))
        return false;
    wanted = json_strdup(j, name);
    for (json_ref t = json_is(j, tools, JSON_ARRAY) ? json_first(j, tools)
                                                    : JSON_NONE;
         t != JSON_NONE && !found; t = json_next(j, tools, t))
        found =
            json_text_is(j, json_find(j, t, "function", "name", NULL), wanted);
    free(wanted);
    return !found;
}

/* The task by what the prompt says; what its key alone decides is kept. */
static int find_near(const struct router *r, const struct json *j,
                     json_ref request, const unsigned char *key,
                     struct router_decision *d, struct err *err)
{
    struct tasks_prompt p;
    struct tasks_near near = { 0 };
    struct router *own = (struct router *)(uintptr_t)r; /* its lock */
    int rc = tasks_prompt_read(json_raw(j, request), &p, err);

    if (rc < 0)
        return rc;
    if (r->one_at_a_time)
        (void)pthread_mutex_lock(&own->lock);
    rc = tasks_index_near(r->index, &p, &near, err);
    if (r->one_at_a_time)
        (void)pthread_mutex_unlock(&own->lock);
    tasks_prompt_release(&p);
    d->task = near.task;
    d->novelty = near.novelty;
    d->distance = near.distance;
    d->gap = near.gap;
    d->by_vector = near.by_vector;
    d->by_words = near.by_words;
    if (rc == 0 && near.by_key && near.task &&
        (double)near.novelty <= r->novelty)
        router_memo_put(r->memo, key, near.task, near.novelty);
    return rc;
}

static int find_task(const struct router *r, const struct json *j,
                     json_ref request, struct router_decision *d,
                     struct err *err)
{
    unsigned char key[ROUTER_KEY];

    if (!r->index)
        return 0;
    router_request_key(&r->key, j, request, key);
    d->task = router_memo_get(r->memo, key, &d->novelty);
    d->by_fingerprint = d->task != 0;
    return d->task ? 0 : find_near(r, j, request, key, d, err);
}

static void settle(struct router_decision *d, enum router_to to,
                   enum router_reason reason)
{
    d->to = to;
    d->reason = reason;
}

/* Does the mode let the call go to the model? */
static bool mode_allows(const struct router *r, const struct router_champion *c,
                        const struct json *j, json_ref messages,
                        const struct router_state *state,
                        struct router_decision *d)
{
    if (c->mode == ROUTER_OFF) {
        settle(d, ROUTER_LLM, ROUTER_REASON_mode_off);
    } else if (c->mode == ROUTER_SHADOW) {
        settle(d, ROUTER_BOTH, ROUTER_REASON_shadow);
    } else if (c->stepped_back) {
        settle(d, ROUTER_LLM, ROUTER_REASON_stepped_back);
    } else if (c->mode == ROUTER_CANARY) {
        struct slice s =
            state && state->conversation
                ? slice_of(state->conversation)
                : json_raw(j, json_get(j, first_user(j, messages), "content"));

        d->percent_at = 100 * draw(r, "canary", s);
        if (d->percent_at < c->percent)
            return true;
        settle(d, ROUTER_LLM, ROUTER_REASON_not_in_canary);
    } else {
        return true;
    }
    return false;
}

/* The last question: will the answer be right? */
static void predict(const struct router *r, const struct router_champion *c,
                    const struct json *j, json_ref request,
                    struct router_decision *d)
{
    if (c->calibration.reads_prompts) {
        float x[ROUTER_VECTOR];

        router_request_vector(j, request, x);
        d->p_error = router_error_before(&c->calibration, x);
    }
    /* Below 0 none of its answers is kept: it would write for nobody. */
    if (d->p_error > c->calibration.give_up ||
        (c->is_calibrated && c->calibration.threshold < 0))
        settle(d, ROUTER_LLM, ROUTER_REASON_predicted_error);
    else if (draw(r, "audit", json_raw(j, request)) < r->audit)
        settle(d, ROUTER_BOTH, ROUTER_REASON_audit);
    else
        settle(d, ROUTER_SLM, ROUTER_REASON_routed);
}

/* What a known task's model and mode say. */
static void decide_known(const struct router *r, const struct json *j,
                         json_ref request, const struct router_state *state,
                         struct router_decision *d)
{
    const struct router_champion *c = router_champion_of(r, d->task);
    json_ref messages = json_get(j, request, "messages");

    if (!c) {
        settle(d, ROUTER_LLM, ROUTER_REASON_no_champion);
        return;
    }
    d->model = c->model;
    if (c->is_calibrated)
        d->threshold = c->calibration.threshold;
    if (c->context && json_raw(j, messages).n / BYTES_PER_TOKEN > c->context)
        settle(d, ROUTER_LLM, ROUTER_REASON_too_long);
    else if (forces_unknown_tool(j, request))
        settle(d, ROUTER_LLM, ROUTER_REASON_unknown_tool);
    else if (mode_allows(r, c, j, messages, state, d))
        predict(r, c, j, request, d);
}

static bool is_new(const struct router *r, const struct router_decision *d)
{
    return (double)d->novelty >
           r->novelty * (d->by_words ? ROUTER_BY_WORDS : 1);
}

/* Asked by name, or bound by a call; true if that decides. */
static bool is_bound(const struct router *r, const struct json *j,
                     json_ref request, json_ref messages,
                     const struct router_state *state,
                     struct router_decision *d)
{
    json_ref name = json_get(j, request, "model");
    json_ref caller = caller_of(j, messages, &d->in_loop);
    const struct router_champion *c = NULL;

    for (size_t i = 0; i < r->champions && !c; i++)
        if (json_text_is(j, name, r->champion[i].model_name))
            c = &r->champion[i];
    if (c) {
        settle(d, ROUTER_SLM, ROUTER_REASON_asked);
    } else if (d->in_loop) {
        c = loop_owner(r, j, caller, state);
        settle(d, c ? ROUTER_SLM : ROUTER_LLM,
               c ? ROUTER_REASON_tool_loop_slm : ROUTER_REASON_tool_loop_llm);
    }
    if (c) {
        d->task = c->task;
        d->model = c->model;
    }
    return c || d->in_loop;
}

int router_decide(const struct router *r, const struct json *j,
                  json_ref request, const struct router_state *state,
                  struct router_decision *out, struct err *err)
{
    json_ref messages = json_get(j, request, "messages");
    struct router_decision d = { .gap = 1,
                                 .p_error = (double)NAN,
                                 .threshold = (double)NAN,
                                 .percent_at = (double)NAN };
    int rc = 0;

    if (!json_is(j, messages, JSON_ARRAY) || !json_count(j, messages))
        return err_set(err, ERR_FORMAT, "request: no array \"messages\"");
    if (!is_bound(r, j, request, messages, state, &d)) {
        settle(&d, ROUTER_LLM, ROUTER_REASON_no_task);
        if (is_unsupported(j, request, messages))
            settle(&d, ROUTER_LLM, ROUTER_REASON_unsupported);
        else
            rc = find_task(r, j, request, &d, err);
        if (rc < 0)
            return rc;
        if (d.task && is_new(r, &d))
            settle(&d, ROUTER_LLM, ROUTER_REASON_novel);
        else if (d.task && (double)d.gap < r->gap)
            settle(&d, ROUTER_LLM, ROUTER_REASON_near_two);
        else if (d.task)
            decide_known(r, j, request, state, &d);
    }
    *out = d;
    return 0;
}

static void put_known(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
}

void router_explain(const struct router *r, const struct router_decision *d,
                    struct json_writer *w)
{
    static const char *const to[] = { "llm", "slm", "both" };
    const struct router_champion *c = router_champion_of(r, d->task);

    json_put_string(w, "to", to[d->to]);
    json_put_string(w, "reason", router_reason_name(d->reason));
    if (d->task)
        json_put_int(w, "task", d->task);
    if (c)
        json_put_string(w, "task_name", c->task_name);
    if (c && d->model == c->model)
        json_put_string(w, "model", c->model_name);
    json_put_bool(w, "by_fingerprint", d->by_fingerprint);
    json_put_bool(w, "in_tool_loop", d->in_loop);
    if (!d->in_loop && d->reason != ROUTER_REASON_asked) {
        json_put_double(w, "novelty", (double)d->novelty);
        json_put_double(w, "distance", (double)d->distance);
        json_put_double(w, "gap", (double)d->gap);
    }
    put_known(w, "p_error", d->p_error);
    put_known(w, "percent_at", d->percent_at);
    if (c && c->is_calibrated) {
        json_put_double(w, "threshold", c->calibration.threshold);
        json_put_double(w, "give_up", c->calibration.give_up);
    }
}

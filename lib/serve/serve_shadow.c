/*
 * serve_shadow.c - answers that nobody gets: made beside the LLM's, compared
 *
 * A decision for both waits here until the LLM's answer has ended, then in a
 * short queue, for a thread that asks the engine when it has nothing else to
 * do. What finds no room, or is in the way of a client's call, is dropped and
 * counted. Tools are called by nobody: an answer ends where it calls one.
 */
#include "serve/serve_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/crypto.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 32
#define QUEUE_BYTES ((size_t)64 << 20) /* requests and answers */
#define EXPECTED_MAX 1024              /* calls at the LLM */
#define LOOK_MS 20
#define TASKS_MAX 256                   /* that figures are told of */
#define PATIENCE_NS INT64_C(5000000000) /* then a free slot will do */

/* A decision, and the exchange once it has ended. */
struct shadow_call {
    struct shadow_call *next;
    struct serve_route *route;
    struct buf exchange; /* packed */
    int64_t llm_us;
};

/* What the engine made; under the shadow's lock until it has ended. */
struct shadow_answer {
    struct serve_shadow *shadow;
    bool ended;
    enum engine_finish end;
    struct buf message;
    struct engine_usage usage;
    struct stats_signals signals;
    struct err err;
    bool has_err;
};

struct serve_shadow {
    struct serve *serve;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct shadow_call *expected, *queue; /* oldest first */
    size_t expected_count, queue_count, queue_bytes;
    bool ends, joined;
    _Atomic uint64_t dropped, compared;
};

static void call_free(struct shadow_call *c)
{
    serve_route_free(c->route);
    buf_release(&c->exchange);
    free(c);
}

static void append(struct shadow_call **list, struct shadow_call *c)
{
    while (*list)
        list = &(*list)->next;
    c->next = NULL;
    *list = c;
}

/* What it holds, about: a request's document takes more than its text. */
static size_t bytes_of(const struct shadow_call *c)
{
    return c->exchange.len + 2 * c->route->chat.len;
}

static struct shadow_call *take_first(struct shadow_call **list)
{
    struct shadow_call *c = *list;

    if (c)
        *list = c->next;
    return c;
}

/* Its row, with what is known. */
static void tell(struct serve_shadow *w, const struct shadow_call *c,
                 double agreement, bool error, char *answer)
{
    struct serve_entry e;

    serve_route_entry(c->route, "shadow", c->route->decision.reason,
                      c->route->p_error, &e);
    e.agreement = agreement;
    e.error = error;
    e.llm_us = c->llm_us;
    e.answer = answer;
    serve_log_add(w->serve->log, &e);
}

static void drop(struct serve_shadow *w, struct shadow_call *c)
{
    atomic_fetch_add(&w->dropped, 1);
    tell(w, c, (double)NAN, false, NULL);
    call_free(c);
}

void serve_shadow_expect(struct serve_shadow *w, struct serve_route *d)
{
    struct shadow_call *c = mem_zalloc(sizeof(*c)), *old = NULL;

    c->route = d;
    d->p_error = d->decision.p_error;
    (void)pthread_mutex_lock(&w->lock);
    append(&w->expected, c);
    if (++w->expected_count > EXPECTED_MAX) { /* it may never have ended */
        old = take_first(&w->expected);
        w->expected_count--;
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (old)
        drop(w, old);
}

static struct shadow_call *take_expected(struct serve_shadow *w,
                                         const unsigned char *key)
{
    struct shadow_call **at = &w->expected, *c;

    (void)pthread_mutex_lock(&w->lock);
    while (*at && memcmp((*at)->route->key, key, WIRE_CALL_ID_BYTES) != 0)
        at = &(*at)->next;
    c = take_first(at);
    if (c)
        w->expected_count--;
    (void)pthread_mutex_unlock(&w->lock);
    return c;
}

static void pack(const struct proxy_seen *seen, const struct proxy_answer *a,
                 struct buf *out)
{
    struct wire_exchange x = wire_exchange_none();

    x.method = seen->request->method;
    x.target = seen->target->rest;
    x.request = seen->body;
    x.request_type = http_get(seen->request, "content-type");
    x.response = a->body;
    x.response_type = a->type;
    x.response_encoding = a->encoding;
    x.http_status = a->status;
    x.end = a->end;
    wire_exchange_pack(&x, out);
}

bool serve_shadow_has_room(size_t count, size_t bytes, size_t more)
{
    return count < QUEUE_MAX && more <= QUEUE_BYTES &&
           bytes <= QUEUE_BYTES - more;
}

void serve_shadow_answered(void *serve, const struct proxy_seen *seen,
                           const struct proxy_answer *a)
{
    struct serve_shadow *w = ((struct serve *)serve)->shadow;
    unsigned char key[WIRE_CALL_ID_BYTES];
    struct shadow_call *c = NULL;
    bool queued = false;

    if (seen->id && crypto_unhex(slice_of(seen->id), key, sizeof(key)))
        c = take_expected(w, key);
    if (!c)
        return;
    c->llm_us = a->latency_us;
    if (a->status != 200 || a->cut || a->end != WIRE_END_WHOLE) {
        tell(w, c, (double)NAN, false, NULL); /* nothing to compare with */
        call_free(c);
        return;
    }
    pack(seen, a, &c->exchange);
    (void)pthread_mutex_lock(&w->lock);
    if (serve_shadow_has_room(w->queue_count, w->queue_bytes, bytes_of(c)) &&
        !w->ends) {
        append(&w->queue, c);
        w->queue_count++;
        w->queue_bytes += bytes_of(c);
        queued = true;
        (void)pthread_cond_signal(&w->more);
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (!queued)
        drop(w, c);
}

/* The assistant's message of the LLM's answer; false: there is none. */
static bool llm_message(const struct shadow_call *c, struct buf *out)
{
    struct wire_exchange x;
    struct wire_record r = { .has_outcome = false };
    struct buf request = { .data = NULL }, response = { .data = NULL };
    struct json j = { .text = NULL };
    struct err err;
    json_ref message = JSON_NONE;
    int rc = wire_exchange_unpack(&x, buf_slice(&c->exchange), &err);

    if (rc == ERR_OK)
        rc = wire_exchange_read(&r, &x, &err);
    if (rc == ERR_OK)
        rc = wire_to_chat(r.call.dialect, r.call.request, r.call.response,
                          &request, &response, &err);
    if (rc == ERR_OK && response.len &&
        json_parse(&j, response.data, response.len, &err) == ERR_OK)
        message =
            json_get(&j, json_at(&j, json_get(&j, 0, "choices"), 0), "message");
    if (json_is(&j, message, JSON_OBJECT))
        buf_add_slice(out, json_raw(&j, message));
    json_release(&j);
    wire_record_release(&r);
    buf_release(&request);
    buf_release(&response);
    return out->len > 0;
}

static void take_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *signals, const struct err *err)
{
    struct shadow_answer *a = ctx;
    struct serve_shadow *w = a->shadow;

    (void)pthread_mutex_lock(&w->lock);
    a->end = why;
    buf_add_slice(&a->message, message);
    a->usage = *u;
    a->signals = *signals;
    a->has_err = err != NULL;
    if (err)
        a->err = *err;
    a->ended = true;
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Under the lock: a moment, or until something happens. */
static void wait_moment(struct serve_shadow *w)
{
    int64_t ns = clock_mono_ns() + LOOK_MS * INT64_C(1000000);
    const struct timespec at = { .tv_sec = (time_t)(ns / 1000000000),
                                 .tv_nsec = (long)(ns % 1000000000) };

    (void)pthread_cond_timedwait(&w->more, &w->lock, &at);
}

/* Until the engine has nothing else to do; false: the server stops. Under the
 * lock. */
static bool wait_for_quiet(struct serve_shadow *w, struct engine *e)
{
    int64_t since = clock_mono_ns();
    struct engine_stats now;

    for (;;) {
        bool late = clock_mono_ns() - since > PATIENCE_NS;

        if (w->ends)
            return false;
        engine_stats(e, &now);
        if (!now.waiting && (!now.active || (late && now.active < now.slots)))
            return true;
        wait_moment(w);
    }
}

/* Under the lock: until it has ended. A client's call that waits goes first. */
static void await_answer(struct serve_shadow *w, struct engine *e, uint64_t id,
                         const struct shadow_answer *a)
{
    struct engine_stats now;
    bool cancelled = false;

    while (!a->ended) {
        engine_stats(e, &now);
        if (!cancelled && (w->ends || now.waiting > 0) && now.active > 0) {
            cancelled = true;
            engine_cancel(e, id);
        }
        wait_moment(w);
    }
}

/* False: it was not let to its end, or it cannot be asked. */
static bool make_answer(struct serve_shadow *w, const struct shadow_call *c,
                        struct shadow_answer *a)
{
    const struct serve_setup *s = c->route->setup;
    const struct serve_own *m = serve_setup_by_id(s, c->route->decision.model);
    struct engine *e = serve_setup_engine(s, m);
    const struct engine_request r = { .chat = buf_slice(&c->route->chat),
                                      .models = s->parts[m->part].models,
                                      .model = m->index,
                                      .content = &m->content,
                                      .whole = true,
                                      .end = take_end,
                                      .ctx = a };
    uint64_t id;
    int64_t retry;
    bool taken;

    (void)pthread_mutex_lock(&w->lock);
    taken = wait_for_quiet(w, e);
    (void)pthread_mutex_unlock(&w->lock);
    if (!taken || engine_submit(e, &r, &id, &retry, &a->err) < 0)
        return false;
    (void)pthread_mutex_lock(&w->lock);
    await_answer(w, e, id, a);
    (void)pthread_mutex_unlock(&w->lock);
    return a->end != ENGINE_CANCELLED && a->end != ENGINE_STOPPED;
}

/* 0..1 by the task's metric; NaN where that cannot be said. */
static double agreement_of(const struct shadow_call *c, struct slice llm,
                           const struct shadow_answer *a)
{
    const struct serve_route *d = c->route;
    const struct score_pair pair = { .request = buf_slice(&d->chat),
                                     .reference = llm,
                                     .answer = buf_slice(&a->message),
                                     .malformed = a->end == ENGINE_MALFORMED };
    const char *kind = router_task_kind(d->setup->router, d->decision.task);
    enum score_kind k = SCORE_TEXT;
    struct score score;

    if (a->end == ENGINE_FAILED)
        return 0;
    if (kind)
        (void)score_kind_parse(kind, &k);
    score_answer(k, &pair, 1, &score);
    return score.value;
}

static void compare(struct serve_shadow *w, struct shadow_call *c)
{
    struct shadow_answer a = { .shadow = w };
    struct buf llm = { .data = NULL };
    struct serve_made made;
    enum router_reason why;
    double agreement;
    bool good, error;

    if (!llm_message(c, &llm) || !make_answer(w, c, &a)) {
        drop(w, c);
    } else {
        made = (struct serve_made){ a.end, buf_slice(&a.message), &a.usage,
                                    &a.signals, a.has_err ? &a.err : NULL };
        good = serve_route_assess(c->route, &made, &why);
        error = !good && c->route->is_fault;
        agreement = good || error || a.end != ENGINE_LENGTH
                        ? agreement_of(c, buf_slice(&llm), &a)
                        : (double)NAN; /* the client wanted no more of it */
        atomic_fetch_add(&w->compared, 1);
        serve_route_watch(w->serve, c->route, agreement, error);
        tell(w, c, agreement, error,
             agreement < 1 ? mem_strdup(a.message.data) : NULL);
        call_free(c);
    }
    buf_release(&a.message);
    buf_release(&llm);
}

static void *run(void *shadow)
{
    struct serve_shadow *w = shadow;
    struct shadow_call *c;

    (void)pthread_mutex_lock(&w->lock);
    while (!w->ends) {
        c = take_first(&w->queue);
        if (!c) {
            (void)pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        w->queue_count--;
        w->queue_bytes -= bytes_of(c);
        (void)pthread_mutex_unlock(&w->lock);
        compare(w, c);
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

int serve_shadow_new(struct serve *s, struct serve_shadow **out,
                     struct err *err)
{
    struct serve_shadow *w = mem_zalloc(sizeof(*w));
    pthread_condattr_t monotonic;
    int rc;

    w->serve = s;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->more, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    rc = pthread_create(&w->thread, NULL, run, w);
    if (rc == 0) {
        *out = w;
        return ERR_OK;
    }
    w->joined = true;
    serve_shadow_free(w);
    return err_set(err, ERR_IO, "no thread to compare answers: %s",
                   strerror(rc));
}

void serve_shadow_stop(struct serve_shadow *w)
{
    struct shadow_call *c;

    if (!w || w->joined)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->ends = true;
    (void)pthread_cond_broadcast(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    w->joined = true;
    while ((c = take_first(&w->queue)))
        drop(w, c);
    while ((c = take_first(&w->expected)))
        drop(w, c);
}

void serve_shadow_free(struct serve_shadow *w)
{
    if (!w)
        return;
    serve_shadow_stop(w);
    (void)pthread_cond_destroy(&w->more);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

/* A label's value: what Prometheus lets stand between quotes. */
static void put_label(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_char(out, '\\');
        if (*text == '\n')
            buf_str(out, "\\n");
        else
            buf_char(out, *text);
    }
}

static void put_task(struct buf *out, const char *metric, const char *task,
                     double value)
{
    buf_printf(out, "%s{task=\"", metric);
    put_label(out, task);
    buf_printf(out, "\"} %.6g\n", value);
}

static void put_tasks(struct serve *s, const struct router *r, struct buf *out)
{
    size_t n = router_models(r) < TASKS_MAX ? router_models(r) : TASKS_MAX;

    buf_str(out, "# TYPE slmctl_shadow_agreement gauge\n");
    for (size_t i = 0; i < n; i++) {
        int64_t task = router_task(r, i);
        double agreement = router_watch_agreement(s->watch, task);

        if (isfinite(agreement))
            put_task(out, "slmctl_shadow_agreement", router_task_name(r, task),
                     agreement);
    }
    buf_str(out, "# TYPE slmctl_stepped_back gauge\n");
    for (size_t i = 0; i < n; i++) {
        int64_t task = router_task(r, i);

        put_task(out, "slmctl_stepped_back", router_task_name(r, task),
                 serve_has_stepped_back(s, r, task));
    }
}

void serve_shadow_metrics(struct serve *s, struct buf *out)
{
    const struct serve_shadow *w = s->shadow;
    struct serve_setup *c = serve_setup_hold(s);

    if (c->router) {
        put_tasks(s, c->router, out);
        buf_printf(out,
                   "# TYPE slmctl_shadow_compared_total counter\n"
                   "slmctl_shadow_compared_total %llu\n"
                   "# TYPE slmctl_shadow_dropped_total counter\n"
                   "slmctl_shadow_dropped_total %llu\n",
                   (unsigned long long)atomic_load(&w->compared),
                   (unsigned long long)atomic_load(&w->dropped));
    }
    serve_setup_drop(c);
}

/*
 * serve_answer.c - one answer, from the engine's pieces to the client
 *
 * A job is in the server's list while its reply is open. The engine's thread
 * alone writes; it takes the job off the list before it ends the reply, so that
 * who is told that a client left finds the job or nothing. A stream's head goes
 * out with its first piece: what fails before has a status of its own.
 */
#include "serve/serve_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct serve_job {
    struct serve *serve;
    struct serve_setup *setup;
    const struct serve_own *model;
    struct serve_job *next;
    struct proxy_reply *reply;
    /* Under the server's lock: submitted, and its id; ended. Who comes second
     * frees it. */
    uint64_t id;
    bool submitted, ended;
    enum speak_dialect dialect;
    bool streams;
    struct serve_route *route; /* NULL: the client named the model */
    struct speak_head head;
    char answer_id[RECORDER_ID_CHARS + 16];
    struct speak_stream *stream; /* NULL before the head is out */
    struct serve_chances chances;
    struct buf call_id, settings, out;
};

static void job_free(struct serve_job *job)
{
    speak_stream_free(job->stream);
    serve_chances_release(&job->chances);
    buf_release(&job->call_id);
    buf_release(&job->settings);
    buf_release(&job->out);
    serve_route_free(job->route);
    serve_setup_drop(job->setup);
    free(job);
}

static void unlink_job(struct serve_job *job)
{
    struct serve_job **at = &job->serve->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

static const char *reason_of(const struct serve_job *job)
{
    return router_reason_name(job->route ? job->route->decision.reason
                                         : ROUTER_REASON_asked);
}

static void put_facts(const struct serve_job *job, const struct engine_usage *u,
                      struct buf *out)
{
    const struct serve_route *d = job->route;
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, "route");
    json_put_string(&w, "went", "slm");
    json_put_string(&w, "reason", reason_of(job));
    json_put_string(&w, "model", job->model->name);
    if (d && d->decision.task)
        json_put_int(&w, "task", d->decision.task);
    if (d && isfinite(d->p_error))
        json_put_double(&w, "p_error", d->p_error);
    json_put_int(&w, "queue_us", u->queue_us);
    json_put_int(&w, "first_us", u->first_us);
    json_put_int(&w, "cached_tokens", (int64_t)u->cached);
    json_end_object(&w);
}

static void send_head(struct serve_job *job, const char *type, int64_t length)
{
    char text[64];
    struct http_field field = { slice_of("X-SLM-Route"), { NULL, 0 } };

    (void)snprintf(text, sizeof(text), "slm; %s", reason_of(job));
    field.value = slice_of(text);
    proxy_reply_head(job->reply, 200, type, length, &field, 1);
}

/* What the router sent here is held until it was judged. */
static void begin_stream(struct serve_job *job)
{
    if (job->stream)
        return;
    job->stream = speak_stream_new(job->dialect, &job->head);
    if (!job->route)
        send_head(job, "text/event-stream", -1);
    speak_begin(job->stream, &job->out);
}

static void send_out(struct serve_job *job)
{
    /* A slow reader's backlog is no longer than the answer may be. */
    if (job->out.len)
        (void)proxy_reply_data(job->reply, buf_slice(&job->out));
    buf_reset(&job->out);
}

static void stream_text(struct serve_job *job, struct slice text)
{
    struct buf logprobs = { .data = NULL };

    serve_chances_take(&job->chances, job->dialect, &logprobs);
    speak_text(job->stream, text, buf_slice(&logprobs), &job->out);
    buf_release(&logprobs);
}

static void take_piece(void *ctx, enum engine_piece kind, size_t call,
                       struct slice text, const struct engine_logprob *lp,
                       size_t lp_count)
{
    struct serve_job *job = ctx;

    serve_chances_add(&job->chances, job->dialect, lp, lp_count);
    if (!job->streams)
        return;
    begin_stream(job);
    switch (kind) {
    case ENGINE_TEXT: stream_text(job, text); break;
    case ENGINE_THOUGHT: speak_thought(job->stream, text, &job->out); break;
    case ENGINE_CALL_ID:
        buf_reset(&job->call_id);
        buf_add_slice(&job->call_id, text);
        break;
    case ENGINE_CALL_NAME:
        speak_call(job->stream, call, buf_slice(&job->call_id), text,
                   &job->out);
        break;
    case ENGINE_CALL_ARGUMENTS:
        speak_arguments(job->stream, call, text, &job->out);
        break;
    }
    if (!job->route)
        send_out(job);
}

static const char *finish_word(enum engine_finish why)
{
    return why == ENGINE_LENGTH       ? "length"
           : why == ENGINE_TOOL_CALLS ? "tool_calls"
                                      : "stop";
}

static void end_well(struct serve_job *job, enum engine_finish why,
                     struct slice message, const struct engine_usage *u)
{
    const struct speak_usage usage = { u->prompt, u->cached, u->completion,
                                       u->stop };
    struct buf logprobs = { .data = NULL }, facts = { .data = NULL };

    if (job->streams) {
        begin_stream(job);
        if (job->chances.count)
            stream_text(job, slice_of(""));
        speak_end(job->stream, finish_word(why), &usage, &job->out);
        if (job->route)
            send_head(job, "text/event-stream", -1);
    } else {
        serve_chances_take(&job->chances, job->dialect, &logprobs);
        speak_body(job->dialect, &job->head, message, finish_word(why), &usage,
                   buf_slice(&logprobs), &job->out);
        send_head(job, "application/json", (int64_t)job->out.len);
    }
    send_out(job);
    put_facts(job, u, &facts);
    proxy_reply_end(job->reply, job->model->upstream, buf_slice(&facts), true);
    atomic_fetch_add(&job->serve->answered, 1);
    buf_release(&logprobs);
    buf_release(&facts);
}

static void end_badly(struct serve_job *job, enum engine_finish why,
                      const struct err *err)
{
    struct serve_refusal no = { .retry_ms = 0 };
    bool too_long;

    if (err)
        no.err = *err;
    else
        (void)err_set(&no.err, ERR_BUSY, "the server stops");
    if (why == ENGINE_CANCELLED) {
        atomic_fetch_add(&job->serve->left, 1);
        proxy_reply_end(job->reply, job->model->upstream, slice_of(""), false);
        return;
    }
    too_long = why == ENGINE_FAILED && no.err.code == ERR_LIMIT;
    if (too_long) /* a limit of requests, not of their number */
        no.err.code = ERR_INVALID;
    serve_refusal_of(&no);
    if (too_long && !*no.param)
        no.type = "context_length_exceeded";
    if (!job->stream) {
        serve_refuse(job->serve, job->reply, job->dialect, &no);
        return;
    }
    speak_error(job->dialect, no.status, no.type, NULL, no.err.msg, true,
                &job->out);
    send_out(job);
    proxy_reply_end(job->reply, job->model->upstream, slice_of(""), true);
    atomic_fetch_add(&job->serve->failed, 1);
}

/* What the router sent here: out, or to the LLM after all. */
static void end_routed(struct serve_job *job, enum engine_finish why,
                       struct slice message, const struct engine_usage *u,
                       const struct stats_signals *signals,
                       const struct err *err)
{
    const struct serve_made made = { why, message, u, signals, err };
    enum router_reason reason;

    if (why == ENGINE_CANCELLED)
        end_badly(job, why, err);
    else if (serve_route_judge(job->serve, job->route, &made, &reason))
        end_well(job, why, message, u);
    else
        serve_route_up(job->serve, job->route, "escalated", reason,
                       job->route->p_error, job->reply);
}

/* Once; true: the job is this caller's to free. */
static bool leave(struct serve_job *job, bool *mark, bool *other)
{
    struct serve *s = job->serve;
    bool last;

    (void)pthread_mutex_lock(&s->lock);
    *mark = true;
    last = *other;
    (void)pthread_mutex_unlock(&s->lock);
    return last;
}

static void take_end(void *ctx, enum engine_finish why, struct slice message,
                     const struct engine_usage *u,
                     const struct stats_signals *signals, const struct err *err)
{
    struct serve_job *job = ctx;
    struct serve *s = job->serve;

    (void)pthread_mutex_lock(&s->lock);
    unlink_job(job);
    (void)pthread_mutex_unlock(&s->lock);
    if (job->route)
        end_routed(job, why, message, u, signals, err);
    else if (why < ENGINE_CANCELLED)
        end_well(job, why, message, u);
    else
        end_badly(job, why, err);
    if (leave(job, &job->ended, &job->submitted))
        job_free(job);
}

static struct serve_job *job_new(struct serve_setup *c,
                                 const struct serve_path *p,
                                 const struct serve_own *m,
                                 const struct serve_request *q, const char *id,
                                 struct proxy_reply *r)
{
    struct serve_job *job = mem_zalloc(sizeof(*job));

    (void)snprintf(job->answer_id, sizeof(job->answer_id), "%s%s", p->id_head,
                   id ? id : "0");
    job->serve = c->serve;
    job->setup = serve_setup_again(c);
    job->model = m;
    job->reply = r;
    job->dialect = p->dialect;
    job->streams = q->streams;
    job->head = (struct speak_head){ .id = job->answer_id,
                                     .model = m->name,
                                     .created_s = clock_wall_us() / 1000000,
                                     .include_usage = q->include_usage };
    if (p->dialect == SPEAK_RESPONSES) {
        speak_settings(&q->json, &job->settings);
        job->head.settings = buf_slice(&job->settings);
    }
    return job;
}

static void link_job(struct serve_job *job)
{
    struct serve *s = job->serve;

    (void)pthread_mutex_lock(&s->lock);
    job->next = s->jobs;
    s->jobs = job;
    (void)pthread_mutex_unlock(&s->lock);
}

/* The queue was full, or the request is none. */
static void not_taken(struct serve_job *job, struct serve_refusal *why)
{
    struct serve *s = job->serve;

    (void)pthread_mutex_lock(&s->lock);
    unlink_job(job);
    (void)pthread_mutex_unlock(&s->lock);
    serve_refusal_of(why);
    if (job->route)
        serve_route_up(s, job->route, "llm",
                       why->status == 429 ? ROUTER_REASON_busy
                                          : ROUTER_REASON_unsupported,
                       job->route->decision.p_error, job->reply);
    else
        serve_refuse(s, job->reply, job->dialect, why);
    job_free(job);
}

void serve_answer(struct serve_setup *c, const struct serve_path *p,
                  const struct serve_own *m, const struct serve_request *q,
                  const char *id, struct serve_route *route,
                  struct proxy_reply *r)
{
    struct serve *s = c->serve;
    struct serve_job *job = job_new(c, p, m, q, id, r);
    struct serve_refusal why = { .retry_ms = 0 };
    const struct engine_request e = {
        .chat = buf_slice(&q->chat),
        .raw_prompt = q->raw ? buf_slice(&q->prompt) : (struct slice){ 0 },
        .models = c->parts[m->part].models,
        .model = m->index,
        .content = route ? &m->content : NULL,
        .call_prefix =
            route ? router_call_prefix(c->router, route->decision.model) : NULL,
        .piece = take_piece,
        .end = take_end,
        .ctx = job,
    };
    uint64_t number;

    job->route = route;
    link_job(job);
    if (engine_submit(serve_setup_engine(c, m), &e, &number, &why.retry_ms,
                      &why.err) < 0) {
        not_taken(job, &why);
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    job->id = number;
    (void)pthread_mutex_unlock(&s->lock);
    if (leave(job, &job->submitted, &job->ended))
        job_free(job);
}

/* It comes from the worker that took the request, so `id` is known. The setup
 * is held: its last answer may be the one that ends meanwhile. */
void serve_answer_gone(void *serve, struct proxy_reply *r)
{
    struct serve *s = serve;
    struct serve_setup *held = NULL;
    struct serve_job *job;
    struct engine *e = NULL;
    uint64_t id = 0;

    (void)pthread_mutex_lock(&s->lock);
    for (job = s->jobs; job && job->reply != r;)
        job = job->next;
    if (job && job->submitted) {
        held = job->setup;
        held->users++;
        e = serve_setup_engine(held, job->model);
        id = job->id;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!held)
        return;
    engine_cancel(e, id);
    serve_setup_drop(held);
}

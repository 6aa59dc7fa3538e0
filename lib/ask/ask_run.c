/*
 * ask_run.c - jobs on their way
 *
 * One thread, one loop: so many requests at a time, each with its own
 * deadline, and a queue of those that wait for another try. The order of the
 * jobs decides nothing but who goes first.
 */
#include "ask/ask_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 200 /* how late a stop may be seen */

struct run;

/* One request and where it stands. */
struct flight {
    struct run *run;
    struct ask_job *job; /* NULL: this place is free */
    struct upstream_transfer *transfer;
    bool ended;
    struct buf body;
    size_t sent;
    struct ask_reply reply;
    int64_t due_ns;      /* of a waiting one: when it is tried again */
    int64_t deadline_ns; /* of a running one */
};

struct run {
    struct ask *ask;
    struct flight *flights;
    size_t flight_count;
    size_t done;
};

static void on_head(void *ctx, int status, const struct http_field *fields,
                    size_t count, enum http_framing framing, uint64_t length)
{
    struct flight *f = ctx;

    (void)framing;
    (void)length;
    f->run->ask->reached = true;
    f->reply.status = status;
    f->reply.retry_ms = ask_retry_ms(fields, count);
}

static bool on_data(void *ctx, struct slice bytes)
{
    struct flight *f = ctx;

    buf_add_slice(&f->reply.body, bytes);
    return true;
}

static int64_t on_body(void *ctx, char *p, size_t n)
{
    struct flight *f = ctx;
    size_t left = f->body.len - f->sent;

    if (n > left)
        n = left;
    memcpy(p, f->body.data + f->sent, n);
    f->sent += n;
    return (int64_t)n;
}

static bool on_rewind(void *ctx)
{
    struct flight *f = ctx;

    f->sent = 0;
    return true;
}

static void on_end(void *ctx, enum upstream_result result,
                   const struct upstream_times *times, const char *why)
{
    struct flight *f = ctx;

    f->ended = true;
    f->transfer = NULL;
    f->reply.result = result;
    f->reply.latency_us = times->last_byte;
    if (f->reply.body.overflow && result == UPSTREAM_DONE)
        f->reply.result = UPSTREAM_CUT;
    snprintf(f->reply.transport, sizeof(f->reply.transport), "%s",
             why ? why : "");
}

static void reply_reset(struct ask_reply *r)
{
    buf_release(&r->body);
    *r = (struct ask_reply){ .retry_ms = -1, .latency_us = -1 };
    buf_init(&r->body, ASK_ANSWER_MAX);
}

static int begin(struct flight *f, struct err *err)
{
    struct ask *a = f->run->ask;
    bool posts = f->body.len > 0;
    struct http_field fields[] = {
        { slice_of("Content-Type"), slice_of("application/json") },
        { slice_of("Accept"), slice_of("application/json") },
        { slice_of("User-Agent"), slice_of("slmctl") },
        { slice_of("Authorization"), slice_of(a->bearer) },
    };
    struct upstream_request r = {
        .method = slice_of(posts ? "POST" : "GET"),
        .url = posts ? a->chat_url : a->models_url,
        .fields = fields,
        .field_count = a->bearer ? 4 : 3,
        .framing = posts ? HTTP_LENGTH : HTTP_EMPTY,
        .length = f->body.len,
        .is_named = true,
        .ctx = f,
        .head = on_head,
        .data = on_data,
        .body = on_body,
        .rewind = on_rewind,
        .end = on_end,
    };

    reply_reset(&f->reply);
    f->sent = 0;
    f->ended = false;
    f->deadline_ns = clock_mono_ns() + a->timeout_ms * 1000000;
    return upstream_begin(a->upstream, &r, &f->transfer, err);
}

/* {"model":"NAME", and the rest of the job's object. */
static void body_make(const struct ask *a, struct slice object, struct buf *out)
{
    struct slice inside = slice_trim(object);

    assert(inside.n >= 2 && inside.p[0] == '{');
    inside.p++;
    inside.n--;
    inside = slice_trim(inside);
    buf_str(out, a->head);
    if (inside.n > 1)
        buf_char(out, ',');
    buf_add_slice(out, inside);
}

static void flight_release(struct flight *f)
{
    if (f->transfer)
        upstream_abort(f->transfer);
    buf_release(&f->body);
    buf_release(&f->reply.body);
    *f = (struct flight){ .run = f->run };
}

/* Before anything was answered, what is refused will be refused again. */
static int refused_at_once(const struct ask *a, const struct flight *f,
                           struct err *err)
{
    int status = f->reply.status;

    if (!a->reached && (f->reply.result == UPSTREAM_UNREACHED ||
                        f->reply.result == UPSTREAM_TIMEOUT))
        return err_set(err, ERR_IO, "endpoint %s: %s", a->name, f->job->why);
    if (f->reply.result == UPSTREAM_DONE && !a->answered &&
        (status == 401 || status == 403 || status == 404))
        return err_set(err, ERR_IO,
                       "endpoint %s: %s; look at the URL, the model's name "
                       "and the key file",
                       a->name, f->job->why);
    return ERR_OK;
}

/* A try has ended: wait for another, or the job has what it gets. */
static int settle(struct flight *f, struct err *err)
{
    struct ask *a = f->run->ask;
    struct ask_reply *r = &f->reply;
    int64_t wait = a->pause_ms << (f->job->tries < 8 ? f->job->tries : 8);
    int rc;

    f->ended = false;
    ask_job_take(f->job, r);
    if (r->retry_ms >= 0)
        wait = r->retry_ms;
    if (ask_reply_may_pass(r) && f->job->tries < a->retries &&
        wait <= ASK_WAIT_MS_MAX) {
        f->job->tries++;
        f->due_ns = clock_mono_ns() + wait * 1000000;
        return ERR_OK;
    }
    a->answered = a->answered || !f->job->failed;
    rc = refused_at_once(a, f, err);
    f->run->done++;
    flight_release(f);
    return rc;
}

static void expire(struct flight *f)
{
    upstream_abort(f->transfer);
    f->transfer = NULL;
    f->ended = true;
    f->reply.result = UPSTREAM_TIMEOUT;
}

/* Free places get jobs, waiting ones their next try, silent ones an end. */
static int turn(struct run *r, struct ask_job *jobs, size_t count, size_t *next,
                int64_t *wake_ns, struct err *err)
{
    int rc = ERR_OK;

    *wake_ns = INT64_MAX;
    for (size_t i = 0; rc == ERR_OK && i < r->flight_count; i++) {
        struct flight *f = &r->flights[i];
        int64_t now = clock_mono_ns();

        if (f->transfer && now >= f->deadline_ns)
            expire(f);
        if (f->ended)
            rc = settle(f, err);
        if (rc == ERR_OK && !f->job && *next < count) {
            f->job = &jobs[(*next)++];
            body_make(r->ask, f->job->body, &f->body);
            rc = begin(f, err);
        } else if (rc == ERR_OK && f->job && !f->transfer && now >= f->due_ns) {
            rc = begin(f, err);
        }
        if (f->job && !f->transfer && f->due_ns < *wake_ns)
            *wake_ns = f->due_ns;
    }
    return rc;
}

static void wait_for(struct ask *a, int64_t wake_ns)
{
    struct pollfd p = { .fd = upstream_fd(a->upstream), .events = POLLIN };
    int64_t left = (wake_ns - clock_mono_ns()) / 1000000 + 1;
    int ms = upstream_wait_ms(a->upstream);

    if (ms < 0 || ms > POLL_MS)
        ms = POLL_MS;
    if (left < ms)
        ms = left < 0 ? 0 : (int)left;
    (void)poll(&p, 1, ms);
    upstream_step(a->upstream);
}

static void run_begin(struct run *r, struct ask *a, size_t places)
{
    *r = (struct run){ .ask = a, .flight_count = places };
    r->flights = mem_zalloc((places + 1) * sizeof(*r->flights));
    for (size_t i = 0; i < places; i++)
        r->flights[i].run = r;
}

static void run_end(struct run *r)
{
    for (size_t i = 0; i < r->flight_count; i++)
        flight_release(&r->flights[i]);
    free(r->flights);
}

int ask_run(struct ask *a, struct ask_job *jobs, size_t count,
            const struct progress *p, const char *phase, struct err *err)
{
    struct run r;
    size_t next = 0, told = 0;
    int64_t wake_ns;
    int rc = ERR_OK;

    run_begin(&r, a, a->parallel < count ? a->parallel : count);
    for (size_t i = 0; i < count; i++) {
        jobs[i].failed = true;
        snprintf(jobs[i].why, sizeof(jobs[i].why), "not asked");
    }
    while (rc == ERR_OK && r.done < count) {
        rc = turn(&r, jobs, count, &next, &wake_ns, err);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
        if (rc == ERR_OK && r.done < count)
            wait_for(a, wake_ns);
        if (r.done > told)
            progress_update(p, phase, told = r.done, count, NULL);
    }
    run_end(&r);
    return rc;
}

int ask_probe(struct ask *a, struct err *err)
{
    struct ask_job job = { 0 };
    struct run r;
    struct flight *f;
    int rc;

    run_begin(&r, a, 1);
    f = &r.flights[0];
    f->job = &job;
    rc = begin(f, err);
    while (rc == ERR_OK && !f->ended) {
        wait_for(a, INT64_MAX);
        if (clock_mono_ns() >= f->deadline_ns && !f->ended)
            expire(f);
        if (stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    if (rc == ERR_OK) {
        ask_job_take(&job, &f->reply);
        if (f->reply.status == 404)
            f->reply.status = 200; /* not every endpoint lists its models */
        rc = refused_at_once(a, f, err);
    }
    run_end(&r);
    ask_job_release(&job);
    return rc;
}

/*
 * recorder_fixture.h - a recorder in a scratch directory, exchanges to hand
 * over, and what has arrived
 */
#ifndef RECORDER_FIXTURE_H
#define RECORDER_FIXTURE_H

#include "recorder/recorder.h"

#include "base/clock.h"

#include "store_fixture.h"
#include "suite.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define TIME INT64_C(1700000000000000)
#define WAIT_MS 20000

static inline void set_up(void)
{
    struct err err;

    scratch_make(dir);
    ck_assert_int_eq(crypto_init(&err), ERR_OK);
}

static inline void tear_down(void)
{
    scratch_remove(dir);
}

static inline struct recorder_options options(enum recorder_durability d)
{
    return (struct recorder_options){ .store = dir,
                                      .durability = d,
                                      .queue_bytes = 1 << 20,
                                      .spool_bytes = 64 << 20,
                                      .commit_ms = 5 };
}

static inline struct recorder *open_with(const struct recorder_options *o)
{
    struct recorder *r = NULL;
    struct err err;

    ck_assert_msg(recorder_open(o, &r, &err) == ERR_OK, "%s", err.msg);
    return r;
}

static inline void close_all(struct recorder *r)
{
    struct err err;

    ck_assert_int_eq(recorder_close(r, WAIT_MS, &err), ERR_OK);
}

static inline void begin(struct recorder *r, char id[RECORDER_ID_CHARS + 1])
{
    struct err err;
    int rc = recorder_begin(r, TIME, slice_of("up"),
                            slice_of("/v1/chat/completions"), id, &err);

    ck_assert_msg(rc == ERR_OK, "%s", err.msg);
}

/* An exchange of OpenAI chat with these messages. */
struct made {
    struct wire_exchange x;
    char request[4096], response[512];
};

static inline void make(struct made *m, const char *id, const char *messages)
{
    (void)snprintf(m->request, sizeof(m->request),
                   "{\"model\":\"m\",\"messages\":[%s]}", messages);
    (void)snprintf(
        m->response, sizeof(m->response),
        "{\"id\":\"r-%.32s\",\"object\":\"chat.completion\",\"model\":"
        "\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"ok\"},\"finish_reason\":"
        "\"stop\"}]}",
        id);
    m->x = wire_exchange_none();
    m->x.id = slice_of(id);
    m->x.upstream = slice_of("up");
    m->x.method = slice_of("POST");
    m->x.target = slice_of("/v1/chat/completions");
    m->x.request = slice_of(m->request);
    m->x.request_type = slice_of("application/json");
    m->x.response = slice_of(m->response);
    m->x.response_type = slice_of("application/json");
    m->x.http_status = 200;
    m->x.time_us = TIME;
    m->x.latency_us = 1000;
}

static inline void submit(struct recorder *r, const char *id,
                          const char *messages, void (*done)(void *, bool),
                          void *ctx)
{
    struct made m;

    make(&m, id, messages);
    recorder_submit(r, &m.x, done, ctx);
}

/* n calls with a text of their own, begun and ended. */
static inline void submit_many(struct recorder *r, size_t n,
                               void (*done)(void *, bool), void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        char id[RECORDER_ID_CHARS + 1], messages[128];

        begin(r, id);
        (void)snprintf(messages, sizeof(messages),
                       "{\"role\":\"user\",\"content\":\"%zu\"}", i);
        submit(r, id, messages, done, ctx);
    }
}

static inline void ask_text(const char *text, char *out, size_t size)
{
    struct store *s = open_store(STORE_READ);
    struct sql_stmt *q;
    struct err err;
    struct slice v;

    ck_assert_int_eq(sql_get(store_sql(s), text, &q, &err), ERR_OK);
    ck_assert_int_eq(sql_step(q, &err), 1);
    v = sql_text(q, 0);
    (void)snprintf(out, size, "%.*s", (int)v.n, v.n ? v.p : "");
    sql_reset(q);
    store_close(s);
}

/* What `done` has told so far, and what was in the store when it told. */
static struct told {
    pthread_mutex_t lock;
    int kept, dropped;
    int64_t seen; /* calls in the store at the first one; -1: not asked */
    bool asks;
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void reset_told(bool asks)
{
    told.kept = told.dropped = 0;
    told.asks = asks;
    told.seen = -1;
}

static inline void on_done(void *ctx, bool kept)
{
    struct told *t = ctx;

    (void)pthread_mutex_lock(&t->lock);
    if (t->asks && t->seen < 0)
        t->seen = ask("SELECT count(*) FROM call");
    t->kept += kept;
    t->dropped += !kept;
    (void)pthread_mutex_unlock(&t->lock);
}

static inline int told_count(void)
{
    int n;

    (void)pthread_mutex_lock(&told.lock);
    n = told.kept + told.dropped;
    (void)pthread_mutex_unlock(&told.lock);
    return n;
}

static inline bool wait_for_told(int n)
{
    for (int i = 0; i < WAIT_MS && told_count() < n; i++)
        nap_ms(1);
    return told_count() == n;
}

static inline struct recorder_stats stats_of(struct recorder *r)
{
    struct recorder_stats s;

    recorder_stats_read(r, &s);
    return s;
}

/* A store that has one call, and is locked since. */
static inline struct store *lock_after_one(struct recorder *r)
{
    submit_many(r, 1, NULL, NULL);
    nap_ms(200);
    return lock_store();
}

/* The same, and what n calls more were told meanwhile. */
static inline struct store *submit_while_locked(struct recorder *r, size_t n)
{
    struct store *lock = lock_after_one(r);

    reset_told(false);
    submit_many(r, n, on_done, &told);
    return lock;
}

static inline size_t spool_files(const char *ending)
{
    char command[160], text[16] = "";
    FILE *f;

    (void)snprintf(command, sizeof(command),
                   "find %s/spool -name '*%s' -size +0 | wc -l", dir, ending);
    f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
    (void)pclose(f);
    return (size_t)atol(text);
}

#endif

/*
 * serve_log.c - decisions into the store, without a call that waits for it
 *
 * A bounded queue and one thread, which writes what there is in one
 * transaction. What finds no room, or cannot be written, is counted, and that
 * it begins or ends is told once: the log of calls has the same in its facts,
 * so that nothing is lost for good.
 */
#include "serve/serve_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 10000
#define GROUP_MAX 512 /* rows of one transaction */

struct serve_log {
    int (*open)(void *ctx, struct store **out, struct err *err);
    void (*tell)(void *ctx, const struct err *why);
    void *ctx;
    bool fails; /* the thread's own: that has been told */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct serve_entry *queue;
    size_t count, cap;
    bool ends;
    _Atomic uint64_t dropped;
};

static void bind_real(struct sql_stmt *q, int i, double x)
{
    if (isfinite(x))
        sql_bind_double(q, i, x);
    else
        sql_bind_null(q, i);
}

static void bind_id(struct sql_stmt *q, int i, int64_t id)
{
    if (id)
        sql_bind_int(q, i, id);
    else
        sql_bind_null(q, i);
}

static int write_entry(struct store *s, const struct serve_entry *e,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "INSERT OR IGNORE INTO decision(id, key, time, task, model, went, "
        "reason, forced, novelty, p_error, error, slm_us, decide_ns, "
        "tokens_in, tokens_out, agreement, llm_us, answer, threshold) SELECT "
        "n, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
        "?16, CASE WHEN ?17 NOTNULL THEN seal_text(?17, 'decision.answer', n) "
        "END, ?18 "
        "FROM (SELECT coalesce(max(id), 0) + 1 AS n FROM decision)",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, e->key, sizeof(e->key));
    sql_bind_int(q, 2, e->time_us);
    bind_id(q, 3, e->task);
    bind_id(q, 4, e->model);
    sql_bind_cstr(q, 5, e->went);
    sql_bind_cstr(q, 6, router_reason_name(e->reason));
    sql_bind_int(q, 7, e->forced);
    bind_real(q, 8, e->novelty);
    bind_real(q, 9, e->p_error);
    sql_bind_int(q, 10, e->error);
    bind_id(q, 11, e->slm_us);
    sql_bind_int(q, 12, e->decide_ns);
    bind_id(q, 13, e->tokens_in);
    bind_id(q, 14, e->tokens_out);
    bind_real(q, 15, e->agreement);
    bind_id(q, 16, e->llm_us);
    sql_bind_cstr(q, 17, e->answer);
    bind_real(q, 18, e->threshold);
    return sql_run(q, err);
}

static int write_group(struct store *s, const struct serve_entry *e, size_t n,
                       struct err *err)
{
    int rc = sql_begin(store_sql(s), err);

    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = write_entry(s, &e[i], err);
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(s), err);
    if (rc < 0 && sql_in_transaction(store_sql(s)))
        sql_rollback(store_sql(s));
    return rc;
}

static void note(struct serve_log *l, int rc, const struct err *why)
{
    bool fails = rc < 0;

    if (fails != l->fails && l->tell)
        l->tell(l->ctx, fails ? why : NULL);
    l->fails = fails;
}

/* A store that cannot be opened now is tried again with the next group. */
static void write_all(struct serve_log *l, struct store **s,
                      const struct serve_entry *e, size_t n)
{
    struct err err;
    int opened = *s ? ERR_OK : l->open(l->ctx, s, &err), rc;

    for (size_t i = 0; i < n; i += GROUP_MAX) {
        size_t some = n - i < GROUP_MAX ? n - i : GROUP_MAX;

        rc = opened < 0 ? opened : write_group(*s, e + i, some, &err);
        if (rc < 0)
            atomic_fetch_add(&l->dropped, some);
        note(l, rc, &err);
    }
    for (size_t i = 0; i < n; i++)
        free(e[i].answer);
}

static void *run(void *log)
{
    struct serve_log *l = log;
    struct store *s = NULL;
    struct serve_entry *mine = NULL;
    size_t n;

    (void)pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->count && !l->ends)
            (void)pthread_cond_wait(&l->more, &l->lock);
        if (!l->count)
            break;
        mine = l->queue;
        n = l->count;
        l->queue = NULL;
        l->count = l->cap = 0;
        (void)pthread_mutex_unlock(&l->lock);
        write_all(l, &s, mine, n);
        free(mine);
        (void)pthread_mutex_lock(&l->lock);
    }
    (void)pthread_mutex_unlock(&l->lock);
    store_close(s);
    return NULL;
}

int serve_log_open(int (*open)(void *ctx, struct store **out, struct err *err),
                   void (*tell)(void *ctx, const struct err *why), void *ctx,
                   struct serve_log **out, struct err *err)
{
    struct serve_log *l = mem_zalloc(sizeof(*l));
    int rc;

    l->open = open;
    l->tell = tell;
    l->ctx = ctx;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->more, NULL);
    rc = pthread_create(&l->thread, NULL, run, l);
    if (rc == 0) {
        *out = l;
        return ERR_OK;
    }
    (void)pthread_cond_destroy(&l->more);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    return err_set(err, ERR_IO, "no thread to log decisions: %s", strerror(rc));
}

void serve_log_add(struct serve_log *l, const struct serve_entry *e)
{
    if (!l) {
        free(e->answer);
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    if (l->count == QUEUE_MAX) {
        atomic_fetch_add(&l->dropped, 1);
        free(e->answer);
    } else {
        mem_grow((void **)&l->queue, &l->cap, l->count + 1, sizeof(*l->queue));
        l->queue[l->count++] = *e;
        (void)pthread_cond_signal(&l->more);
    }
    (void)pthread_mutex_unlock(&l->lock);
}

uint64_t serve_log_dropped(const struct serve_log *l)
{
    return l ? atomic_load(&l->dropped) : 0;
}

void serve_log_close(struct serve_log *l)
{
    if (!l)
        return;
    (void)pthread_mutex_lock(&l->lock);
    l->ends = true;
    (void)pthread_cond_signal(&l->more);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    (void)pthread_cond_destroy(&l->more);
    (void)pthread_mutex_destroy(&l->lock);
    free(l->queue);
    free(l);
}

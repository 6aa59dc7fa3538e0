/*
 * serve_watch.c - the store's champions, looked up every so often
 *
 * A connection is held open, whose data_version says for nothing that no other
 * one wrote; only then are the few rows read that decide. What cannot be read
 * or loaded now is tried again at the next look, and told once.
 */
#include "serve_watch.h"

#include "base/clock.h"
#include "serve_models.h"

#include <stdatomic.h>
#include <string.h>

struct look {
    struct store *store; /* NULL: not open yet */
    int64_t version;     /* data_version that was looked at */
    char told[sizeof(((struct err *)0)->msg)];
};

/* Does the store say something that is not known? */
static int has_changed(struct serve_watch *w, struct look *l, bool *yes,
                       struct err *err)
{
    int64_t version = -1;
    uint64_t digest;
    int rc = ERR_OK;

    *yes = false;
    if (!l->store)
        rc = store_open(w->cli->store, STORE_READ, &l->store, err);
    if (rc == ERR_OK)
        rc = sql_one_int(store_sql(l->store), "PRAGMA data_version", -1,
                         &version, err);
    if (rc < 0 || version == l->version)
        return rc;
    rc = serve_digest(l->store, &digest, err);
    if (rc == ERR_OK) {
        *yes = digest != atomic_load(&w->known);
        if (!*yes)
            l->version = version;
    }
    return rc;
}

static void look(struct serve_watch *w, struct look *l)
{
    struct err err;
    bool yes = false;
    int rc;

    if (!atomic_load(&w->known)) /* no champion is served */
        return;
    rc = has_changed(w, l, &yes, &err);
    if (rc == ERR_OK && yes)
        rc = w->changed(w->ctx, &err);
    if (rc == ERR_OK) {
        if (yes)
            cli_note(w->cli, "the store's models have changed: reloaded");
        l->told[0] = '\0';
    } else if (strcmp(l->told, err.msg) != 0) {
        cli_warn(w->cli, "not reloaded, all stays as it was: %s", err.msg);
        memcpy(l->told, err.msg, sizeof(l->told));
    }
}

static void *run(void *watch)
{
    struct serve_watch *w = watch;
    struct look l = { .version = -1 };
    struct timespec at;
    int64_t ns;

    (void)pthread_mutex_lock(&w->lock);
    while (!w->stops) {
        ns = clock_mono_ns() + (int64_t)(w->every_s * 1e9);
        at.tv_sec = (time_t)(ns / 1000000000);
        at.tv_nsec = (long)(ns % 1000000000);
        if (pthread_cond_timedwait(&w->stop, &w->lock, &at) == 0)
            continue;
        (void)pthread_mutex_unlock(&w->lock);
        look(w, &l);
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    store_close(l.store);
    return NULL;
}

int serve_watch_begin(struct serve_watch *w, struct cli *cli, double every_s,
                      int (*changed)(void *ctx, struct err *err), void *ctx,
                      struct err *err)
{
    pthread_condattr_t monotonic;
    int rc;

    w->cli = cli;
    w->every_s = every_s;
    w->changed = changed;
    w->ctx = ctx;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->stop, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    rc = pthread_create(&w->thread, NULL, run, w);
    w->runs = rc == 0;
    return rc == 0 ? ERR_OK
                   : err_set(err, ERR_IO, "no thread to look for models: %s",
                             strerror(rc));
}

void serve_watch_know(struct serve_watch *w, uint64_t digest)
{
    atomic_store(&w->known, digest);
}

void serve_watch_end(struct serve_watch *w)
{
    if (!w->runs)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->stops = true;
    (void)pthread_cond_signal(&w->stop);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    w->runs = false;
    (void)pthread_cond_destroy(&w->stop);
    (void)pthread_mutex_destroy(&w->lock);
}

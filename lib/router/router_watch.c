/*
 * router_watch.c - when a task steps back, and keeping that it did
 *
 * A window of calls a task; the limits of its rates decide, not the rates, so
 * that a few bad answers in a row do not end it.
 */
#include "router/router_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "sql/sql.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LEVEL 0.95
#define WINDOW 200
#define LEAST 50
#define ERRORS 0.10

struct window {
    float *agreement; /* NaN: not compared */
    bool *error;
    size_t count, next;
    double least; /* agreement; 0: as the limits say */
};

struct router_watch {
    struct router_limits limits;
    struct map *number; /* task to window */
    struct window *window;
    size_t windows, cap;
    pthread_mutex_t lock;
};

static struct router_limits with_defaults(const struct router_limits *l)
{
    struct router_limits out = *l;

    if (!out.window)
        out.window = WINDOW;
    if (!out.least)
        out.least = LEAST;
    if (!(out.errors > 0))
        out.errors = ERRORS;
    return out;
}

struct router_watch *router_watch_new(const struct router_limits *l)
{
    struct router_watch *w = mem_zalloc(sizeof(*w));

    w->limits = with_defaults(l);
    w->number = map_new();
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static void free_windows(struct router_watch *w)
{
    for (size_t i = 0; i < w->windows; i++) {
        free(w->window[i].agreement);
        free(w->window[i].error);
    }
    w->windows = 0;
    map_free(w->number);
}

void router_watch_free(struct router_watch *w)
{
    if (!w)
        return;
    free_windows(w);
    free(w->window);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void router_watch_limit(struct router_watch *w, const struct router_limits *l)
{
    const struct router_limits next = with_defaults(l);

    (void)pthread_mutex_lock(&w->lock);
    if (next.window != w->limits.window) {
        free_windows(w);
        w->number = map_new();
    }
    w->limits = next;
    (void)pthread_mutex_unlock(&w->lock);
}

void router_watch_forget(struct router_watch *w, int64_t task)
{
    uint64_t *at;

    (void)pthread_mutex_lock(&w->lock);
    at = map_get(w->number, &task, sizeof(task));
    if (at)
        w->window[*at].count = w->window[*at].next = 0;
    (void)pthread_mutex_unlock(&w->lock);
}

static struct window *window_of(struct router_watch *w, int64_t task)
{
    bool added;
    uint64_t *at = map_put(w->number, &task, sizeof(task), &added);
    void *grown = w->window;

    if (added) {
        mem_grow(&grown, &w->cap, w->windows + 1, sizeof(*w->window));
        w->window = grown;
        *at = w->windows;
        w->window[w->windows++] = (struct window){
            .agreement = mem_array(w->limits.window, sizeof(float)),
            .error = mem_array(w->limits.window, sizeof(bool)),
        };
    }
    return &w->window[*at];
}

/* Is a limit crossed, and which? */
static bool is_beyond(const struct router_limits *l, const struct window *v,
                      char why[160])
{
    double agreed = 0, compared = 0, errors = 0, n = (double)v->count;
    double least = v->least > 0 ? v->least : l->agreement;

    for (size_t i = 0; i < v->count; i++) {
        errors += v->error[i];
        if (isnan(v->agreement[i]))
            continue;
        compared++;
        agreed += (double)v->agreement[i];
    }
    if (v->count >= l->least &&
        stats_wilson(errors, n, LEVEL).low > l->errors) {
        (void)snprintf(why, 160,
                       "%.0f of the last %.0f answers were unusable (limit "
                       "%.1f %%)",
                       errors, n, 100 * l->errors);
        return true;
    }
    if (least > 0 && compared >= (double)l->least &&
        stats_wilson(agreed, compared, LEVEL).high < least) {
        (void)snprintf(why, 160,
                       "agreement with the LLM fell to %.1f %% of %.0f calls "
                       "(limit %.1f %%)",
                       100 * agreed / compared, compared, 100 * least);
        return true;
    }
    return false;
}

void router_watch_expect(struct router_watch *w, int64_t task, double agreement)
{
    (void)pthread_mutex_lock(&w->lock);
    window_of(w, task)->least = agreement;
    (void)pthread_mutex_unlock(&w->lock);
}

double router_watch_agreement(struct router_watch *w, int64_t task)
{
    double sum = 0, n = 0;
    uint64_t *at;

    (void)pthread_mutex_lock(&w->lock);
    at = map_get(w->number, &task, sizeof(task));
    for (size_t i = 0; at && i < w->window[*at].count; i++) {
        double v = (double)w->window[*at].agreement[i];

        if (!isnan(v)) {
            sum += v;
            n++;
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return n > 0 ? sum / n : (double)NAN;
}

bool router_watch_add(struct router_watch *w, int64_t task, double agreement,
                      bool error, char why[160])
{
    struct window *v;
    bool beyond;

    (void)pthread_mutex_lock(&w->lock);
    v = window_of(w, task);
    v->agreement[v->next] = (float)agreement;
    v->error[v->next] = error;
    v->next = (v->next + 1) % w->limits.window;
    if (v->count < w->limits.window)
        v->count++;
    beyond = is_beyond(&w->limits, v, why);
    if (beyond)
        v->count = v->next = 0;
    (void)pthread_mutex_unlock(&w->lock);
    return beyond;
}

static int write_route(struct sql *db, int64_t task, const char *reason,
                       int64_t now_us, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(db,
                     reason ? "INSERT OR REPLACE INTO route(task, "
                              "stepped_back, reason) VALUES(?1, ?2, ?3)"
                            : "DELETE FROM route WHERE task = ?1",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    if (reason) {
        sql_bind_int(q, 2, now_us);
        sql_bind_cstr(q, 3, reason);
    }
    return sql_run(q, err);
}

static int write_event(struct sql *db, int64_t task, const char *reason,
                       int64_t now_us, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(db,
                     "INSERT INTO registry_event(time, task, model, kind, "
                     "command, reason) VALUES(?1, ?2, (SELECT model FROM "
                     "champion WHERE task = ?2), ?3, 'serve', ?4)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, now_us);
    sql_bind_int(q, 2, task);
    sql_bind_cstr(q, 3, reason ? "step_back" : "resume");
    sql_bind_cstr(q, 4, reason);
    return sql_run(q, err);
}

int router_step_back(struct store *s, int64_t task, const char *reason,
                     int64_t now_us, struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = sql_begin(db, err);

    if (rc < 0)
        return rc;
    rc = write_route(db, task, reason, now_us, err);
    if (rc == 0)
        rc = write_event(db, task, reason, now_us, err);
    if (rc == 0)
        return sql_commit(db, err);
    sql_rollback(db);
    return rc;
}

/*
 * report_read.c - a store's counts, for a report of all of it
 *
 * Nothing of a call's text is read here. Where a table has no rows there is
 * nothing to tell.
 */
#include "report/report_state.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define ALL_TASKS (-1)
/* ?1: a task, with what was merged into it; 0: any or none */
#define OF_TASK                                                                \
    "(?1 = 0 OR task IN (SELECT id FROM task WHERE ?1 IN (id, merged_into)))"

static void count_add(struct state_counts *c, struct slice name, double calls,
                      double part, double part_count)
{
    if (c->count >= STATE_LIST_MAX)
        return;
    mem_grow((void **)&c->list, &c->cap, c->count + 1, sizeof(*c->list));
    c->list[c->count++] =
        (struct state_count){ slice_dup(name), calls, part, part_count };
}

/* Rows of name, count and, may be, a mean with its count. task: bound where
 * the text asks for it; ALL_TASKS where it does not. */
static int read_counts_of(struct store *s, const char *text, int64_t task,
                          struct state_counts *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc == ERR_OK && task != ALL_TASKS)
        sql_bind_int(q, 1, task);
    while (rc == ERR_OK) {
        int row = sql_step(q, err);

        if (row <= 0)
            return row;
        count_add(out, sql_text(q, 0), sql_double(q, 1),
                  sql_is_null(q, 2) ? (double)NAN : sql_double(q, 2),
                  sql_double(q, 3));
    }
    return rc;
}

static int read_counts(struct store *s, const char *text,
                       struct state_counts *out, struct err *err)
{
    return read_counts_of(s, text, ALL_TASKS, out, err);
}

static int read_log(struct report_state *r, struct store *s, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT count(*), min(time), max(time), sum(raw) FROM "
                     "logged",
                     &q, err);

    if (rc < 0)
        return rc;
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    r->calls = sql_double(q, 0);
    r->days = sql_is_null(q, 1) || sql_int(q, 2) <= sql_int(q, 1)
                  ? (double)NAN
                  : (sql_double(q, 2) - sql_double(q, 1)) / 86400e6;
    r->time_us = sql_int(q, 2);
    r->bytes_raw = sql_double(q, 3);
    sql_reset(q);
    return ERR_OK;
}

static int read_newest(struct report_state *r, struct store *s, struct err *err)
{
    int64_t newest;
    int rc = sql_one_int(store_sql(s),
                         "SELECT max(t) FROM (SELECT max(time) AS t FROM stage "
                         "UNION ALL SELECT max(created) FROM evaluation UNION "
                         "ALL SELECT max(time) FROM registry_event UNION ALL "
                         "SELECT max(time) FROM decision UNION ALL SELECT "
                         "max(started) FROM retrain_run)",
                         0, &newest, err);

    if (rc == ERR_OK && newest > r->time_us)
        r->time_us = newest;
    return rc;
}

static int read_decisions(struct report_state *r, struct store *s, int64_t task,
                          struct err *err)
{
    int rc = read_counts_of(
        s,
        "SELECT went, count(*), avg(agreement), count(agreement) FROM decision "
        "WHERE " OF_TASK " GROUP BY went ORDER BY 2 DESC, 1",
        task, &r->decisions, err);

    if (rc == ERR_OK)
        rc =
            read_counts_of(s,
                           "SELECT went || ': ' || reason, count(*), "
                           "avg(agreement), count(agreement) FROM decision "
                           "WHERE " OF_TASK " GROUP BY went, reason ORDER BY 2 "
                           "DESC, 1",
                           task, &r->reasons, err);
    return rc;
}

static int read_all(struct report_state *r, struct store *s,
                    const struct report_options *o, struct err *err)
{
    int rc = read_log(r, s, err);

    if (rc == ERR_OK)
        rc = read_newest(r, s, err);
    if (rc == ERR_OK)
        rc = read_counts(s,
                         "SELECT o.status, count(*), NULL, 0 FROM logged l "
                         "JOIN origin o ON o.id = l.origin GROUP BY 1 ORDER BY "
                         "2 DESC, 1",
                         &r->statuses, err);
    if (rc == ERR_OK)
        rc = read_counts(s,
                         "SELECT coalesce(reason, 'other'), count(*), NULL, 0 "
                         "FROM example WHERE NOT kept GROUP BY 1 ORDER BY 2 "
                         "DESC, 1",
                         &r->dropped, err);
    if (rc == ERR_OK)
        rc = read_counts(s,
                         "SELECT coalesce(split, '-'), count(*), NULL, 0 FROM "
                         "example WHERE kept GROUP BY 1 ORDER BY 2 DESC, 1",
                         &r->splits, err);
    if (rc == ERR_OK)
        rc = read_counts(
            s,
            "SELECT coalesce(e.reason, 'in no task'), count(*), NULL, 0 FROM "
            "example e LEFT JOIN example d ON d.call = e.duplicate_of WHERE "
            "e.task IS NULL AND d.task IS NULL GROUP BY 1 ORDER BY 2 DESC, 1",
            &r->outside, err);
    for (size_t i = 0; rc == ERR_OK && i < r->splits.count; i++)
        r->kept += r->splits.list[i].calls;
    if (rc == ERR_OK)
        rc = read_decisions(r, s, o->task, err);
    if (rc == ERR_OK)
        rc = state_read_loop(r, s, o, err);
    if (rc == ERR_OK)
        rc = state_read_tasks(r, s, o, err);
    if (rc == ERR_OK)
        rc = state_read_curves(r, s, o, err);
    return rc;
}

int report_state_read(struct store *s, const struct report_options *o,
                      struct report_state **out, struct err *err)
{
    struct report_state *r = mem_zalloc(sizeof(*r));
    struct err later;
    int rc = sql_exec(store_sql(s), "BEGIN", err);

    r->title = mem_strdup(o->title ? o->title : "What slmctl found");
    r->samples = o->include_samples;
    if (rc == ERR_OK) {
        rc = read_all(r, s, o, err);
        if (sql_exec(store_sql(s), "ROLLBACK", &later) < 0 && rc == ERR_OK) {
            *err = later;
            rc = later.code;
        }
    }
    if (rc < 0) {
        report_state_free(r);
        return rc;
    }
    state_make_steps(r);
    *out = r;
    return ERR_OK;
}

static void counts_release(struct state_counts *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->list[i].name);
    free(c->list);
}

static void task_release(struct state_task *t)
{
    free(t->name);
    free(t->kind);
    free(t->model);
    free(t->verdict);
    free(t->split);
    free(t->why);
    free(t->metric);
    free(t->champion);
    state_release_beside(t);
    for (int i = 0; i < COLUMNS; i++)
        free(t->column[i].name);
    for (size_t i = 0; i < t->condition_count; i++) {
        free(t->condition[i].name);
        free(t->condition[i].verdict);
        free(t->condition[i].why);
    }
    for (size_t i = 0; i < t->sample_count; i++) {
        free(t->samples[i].outcome);
        free(t->samples[i].answer);
        free(t->samples[i].logged);
    }
    free(t->samples);
}

void report_state_free(struct report_state *r)
{
    if (!r)
        return;
    counts_release(&r->statuses);
    counts_release(&r->dropped);
    counts_release(&r->outside);
    counts_release(&r->splits);
    counts_release(&r->decisions);
    counts_release(&r->reasons);
    state_release_loop(r);
    for (size_t i = 0; i < r->task_count; i++)
        task_release(&r->tasks[i]);
    free(r->tasks);
    for (size_t i = 0; i < r->curve_count; i++) {
        free(r->curves[i].name);
        free(r->curves[i].x);
        free(r->curves[i].y);
    }
    free(r->curves);
    free(r->steps);
    free(r->title);
    free(r);
}

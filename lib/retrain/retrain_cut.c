/*
 * retrain_cut.c - a run that has not ended: where it stands, and in what a
 * call's policy is another
 *
 * Only tells. Whether somebody goes on with it at this moment is seen by its
 * lock.
 */
#include "retrain/retrain_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void retrain_cut_release(struct retrain_cut *c)
{
    free(c->task);
    for (size_t i = 0; i < c->task_count; i++)
        free(c->tasks[i]);
    free(c->tasks);
    *c = (struct retrain_cut){ 0 };
}

/* Without an open step it has not begun, or has only to be ended. */
static int read_step(struct store *s, struct retrain_cut *out, struct err *err)
{
    struct retrain_work w = { .step = RETRAIN_DO_curate };
    struct sql_stmt *q;
    int64_t rows = 0;
    int rc = retrain_open_step(s, out->run, &w, err);

    if (rc == 0)
        rc =
            retrain_number(s, "SELECT count(*) FROM retrain_step WHERE run = ?",
                           &out->run, 1, &rows, err);
    if (rc < 0)
        return rc;
    out->step = rows ? "end" : retrain_step_name(w.step);
    if (w.task == 0)
        return 0;
    rc = sql_row_of(store_sql(s), "SELECT name FROM task WHERE id = ?", w.task,
                    &q, err);
    if (rc == 1) {
        out->task = slice_dup(sql_text(q, 0));
        sql_reset(q);
    }
    return rc < 0 ? rc : 0;
}

static int read_tasks(struct store *s, struct retrain_cut *out, struct err *err)
{
    struct sql_stmt *q;
    size_t cap = 0;
    int rc = sql_get(store_sql(s),
                     "SELECT t.name FROM json_each((SELECT policy FROM "
                     "retrain_run WHERE id = ?), '$.tasks') j JOIN task t ON "
                     "t.id = j.value ORDER BY t.name",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, out->run);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&out->tasks, &cap, out->task_count + 1,
                 sizeof(*out->tasks));
        out->tasks[out->task_count++] = slice_dup(sql_text(q, 0));
    }
    return rc;
}

int retrain_cut_read(struct store *s, struct retrain_cut *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, started FROM retrain_run WHERE finished IS "
                     "NULL ORDER BY id DESC LIMIT 1",
                     &q, err);

    *out = (struct retrain_cut){ 0 };
    if (rc == 0)
        rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    out->run = sql_int(q, 0);
    out->started_us = sql_int(q, 1);
    sql_reset(q);
    out->running = store_is_locked(s, "retrain");
    rc = read_step(s, out, err);
    if (rc == 0)
        rc = read_tasks(s, out, err);
    if (rc < 0)
        retrain_cut_release(out);
    return rc;
}

static bool has(const int64_t *v, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (v[i] == id)
            return true;
    return false;
}

static bool same_tasks(const struct retrain_policy *p, const int64_t *v,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has(p->tasks, p->task_count, v[i]))
            return false;
    for (size_t i = 0; i < p->task_count; i++)
        if (!has(v, count, p->tasks[i]))
            return false;
    return true;
}

static void add_if(bool differs, const char *option, struct buf *out)
{
    if (differs)
        buf_printf(out, "%s%s", out->len ? ", " : "", option);
}

static bool apart(double a, double b)
{
    return fabs(a - b) > 1e-9;
}

int retrain_policy_differs(struct store *s, int64_t run,
                           const struct retrain_policy *p, struct buf *out,
                           struct err *err)
{
    struct retrain_policy old;
    int64_t *tasks = NULL;
    size_t count = 0;
    int rc = retrain_policy_of(s, run, &old, err);

    if (rc == 0)
        rc = retrain_policy_tasks(s, run, &tasks, &count, err);
    if (rc == 0) {
        add_if(!same_tasks(p, tasks, count), "--task", out);
        add_if(old.force != p->force, "--force", out);
        add_if(old.min_new != p->min_new, "--min-new", out);
        add_if(apart(old.psi, p->psi), "--psi", out);
        add_if(apart(old.novel, p->novel), "--novel", out);
        add_if(apart(old.age_days, p->age_days), "--age", out);
        add_if(apart(old.agreement_drop, p->agreement_drop), "--agreement",
               out);
        add_if(apart(old.minutes, p->minutes), "--minutes", out);
        add_if(apart(old.replay, p->replay), "--replay", out);
        add_if(apart(old.margin, p->margin), "--margin", out);
        add_if(apart(old.champion_margin, p->champion_margin),
               "--champion-margin", out);
        add_if(old.keep != p->keep, "--keep", out);
        add_if(strcmp(old.override_terms, p->override_terms) != 0,
               "--override-terms", out);
        add_if(old.promote != p->promote, "--no-promote", out);
    }
    free(tasks);
    return rc;
}

/*
 * registry.c - champions: promoted, rolled back, retired
 *
 * The champion's row names the promotion that it rests on. A rollback goes to
 * the champion before that promotion, and to the promotion that one rested on
 * then, so that rolling back again goes further back and never in circles.
 */
#include "registry/registry_private.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int registry_root(struct store *s, int64_t task, int64_t *root, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT coalesce(merged_into, id) FROM task WHERE id = "
                        "?",
                        task, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND,
                                "no task %lld; slmctl cluster lists them",
                                (long long)task);
    *root = sql_int(q, 0);
    sql_reset(q);
    return ERR_OK;
}

static void bind_id(struct sql_stmt *q, int i, int64_t id)
{
    if (id)
        sql_bind_int(q, i, id);
    else
        sql_bind_null(q, i);
}

int registry_event_add(struct store *s, const struct registry_event *e,
                       int64_t *id, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT INTO registry_event(time, task, model, before, "
                     "kind, command, reason, evaluation, detail, weights) "
                     "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, clock_wall_us());
    bind_id(q, 2, e->task);
    bind_id(q, 3, e->model);
    bind_id(q, 4, e->before);
    sql_bind_cstr(q, 5, e->kind);
    sql_bind_cstr(q, 6, e->command);
    sql_bind_cstr(q, 7, e->reason);
    bind_id(q, 8, e->evaluation);
    sql_bind_cstr(q, 9, e->detail);
    sql_bind_cstr(q, 10, e->weights);
    rc = sql_run(q, err);
    if (id)
        *id = sql_last_id(store_sql(s));
    return rc;
}

struct champion {
    int64_t model, event; /* 0: none */
};

static int champion_of(struct store *s, int64_t root, struct champion *out,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_row_of(store_sql(s),
                   "SELECT model, event FROM champion WHERE " REGISTRY_OF_TASK
                   " ORDER BY task = ?1 DESC, since DESC LIMIT 1",
                   root, &q, err);

    *out = (struct champion){ 0 };
    if (rc != 1)
        return rc;
    out->model = sql_int(q, 0);
    out->event = sql_int(q, 1);
    sql_reset(q);
    return ERR_OK;
}

int registry_champion(struct store *s, int64_t task, int64_t *model,
                      struct err *err)
{
    struct champion c = { 0 };
    int64_t root;
    int rc = registry_root(s, task, &root, err);

    if (rc == ERR_OK)
        rc = champion_of(s, root, &c, err);
    *model = c.model;
    return rc;
}

int registry_path(struct store *s, int64_t model, char **path, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT placed(path, '', 0) FROM model WHERE id = ?",
                        model, &q, err);

    *path = NULL;
    if (rc != 1)
        return rc;
    *path = slice_dup(sql_text(q, 0));
    sql_reset(q);
    return ERR_OK;
}

/* A model that may answer the task. name: the caller's. */
static int check_model(struct store *s, int64_t root, int64_t model,
                       char **name, struct err *err)
{
    struct sql_stmt *q;
    bool retired;
    int64_t task;
    int rc = sql_row_of(store_sql(s),
                        "SELECT m.name, m.retired NOTNULL, "
                        "coalesce(t.merged_into, t.id, 0) FROM model m LEFT "
                        "JOIN task t ON t.id = m.task WHERE m.id = ?",
                        model, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "model %lld is gone",
                                (long long)model);
    *name = slice_dup(sql_text(q, 0));
    retired = sql_int(q, 1);
    task = sql_int(q, 2);
    sql_reset(q);
    if (task != root)
        return err_set(err, ERR_INVALID,
                       task ? "model %s was trained for another task"
                            : "model %s was trained for no task",
                       *name);
    if (retired)
        return err_set(err, ERR_INVALID,
                       "model %s is retired; train another with slmctl "
                       "finetune",
                       *name);
    return ERR_OK;
}

/* weights: those that it is promoted with. */
static int check_gate(struct store *s, struct registry_change *c,
                      const char *name, char weights[REGISTRY_WEIGHTS],
                      struct err *err)
{
    struct registry_gate gate;
    int rc = ERR_OK;

    if (c->weights)
        (void)snprintf(weights, REGISTRY_WEIGHTS, "%s", c->weights);
    else
        rc = registry_weights_judged(s, c->task, c->model, weights, err);
    if (rc == ERR_OK)
        rc = registry_gate_with(s, c->task, c->model,
                                c->margin > 0 ? c->margin : REGISTRY_MARGIN,
                                weights, &gate, err);
    if (rc < 0)
        return rc;
    if (!c->evaluation)
        c->evaluation = gate.evaluation;
    if (c->forced || gate.passes)
        return ERR_OK;
    if (!gate.evaluation)
        return err_set(
            err, ERR_INVALID,
            "model %s was not tried on the sealed test%s%s; slmctl "
            "eval --model %s%s%s does",
            name, c->weights ? " with weights " : "", c->weights ? weights : "",
            name, c->weights ? " --weights " : "", c->weights ? weights : "");
    if (gate.is_wide)
        return err_set(err, ERR_INVALID,
                       "model %s: the gate's answer is %s, but with a margin "
                       "of %g points, which is too wide",
                       name, gate.verdict, 100 * gate.margin);
    return err_set(err, ERR_INVALID, "model %s: the gate's answer is %s", name,
                   gate.verdict);
}

static int is_overridden(struct store *s, int64_t model, bool *out,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT 1 FROM registry_event WHERE kind = 'override' "
                        "AND model = ? LIMIT 1",
                        model, &q, err);

    *out = rc == 1;
    if (rc == 1)
        sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int check_terms(struct store *s, int64_t model, const char *name,
                       struct err *err)
{
    char what[REGISTRY_WHAT];
    enum registry_terms terms;
    bool overridden = false;
    int rc = registry_terms_model(s, model, &terms, what, err);

    if (rc == ERR_OK)
        rc = is_overridden(s, model, &overridden, err);
    if (rc < 0 || terms != REGISTRY_FORBID || overridden)
        return rc;
    return err_set(err, ERR_INVALID,
                   "model %s: %s; --override-terms REASON goes on and is "
                   "written down",
                   name, what);
}

static int drop_champions(struct store *s, int64_t root, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "DELETE FROM champion WHERE " REGISTRY_OF_TASK, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    return sql_run(q, err);
}

static int put_champion(struct store *s, int64_t root, struct champion c,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = drop_champions(s, root, err);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(s),
                     "INSERT INTO champion(task, model, since, event) "
                     "VALUES(?, ?, ?, ?)",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    sql_bind_int(q, 2, c.model);
    sql_bind_int(q, 3, clock_wall_us());
    sql_bind_int(q, 4, c.event);
    return sql_run(q, err);
}

static int promote(struct store *s, struct registry_change *c, struct err *err)
{
    struct registry_event e = { .model = c->model,
                                .kind = "promote",
                                .command = c->command,
                                .reason = c->reason,
                                .detail =
                                    c->forced ? "{\"forced\":true}" : NULL };
    struct champion now, next = { .model = c->model };
    char weights[REGISTRY_WEIGHTS], before[REGISTRY_WEIGHTS] = "";
    char *name = NULL;
    bool resumed;
    int rc = registry_root(s, c->task, &e.task, err);

    if (rc == ERR_OK)
        rc = check_model(s, e.task, c->model, &name, err);
    if (rc == ERR_OK)
        rc = check_gate(s, c, name, weights, err);
    if (rc == ERR_OK)
        rc = check_terms(s, c->model, name, err);
    free(name);
    if (rc == ERR_OK)
        rc = champion_of(s, e.task, &now, err);
    if (rc < 0)
        return rc;
    c->before = e.before = now.model;
    e.evaluation = c->evaluation;
    e.weights = weights;
    if (now.model == c->model)
        rc = registry_weights(s, e.task, c->model, before, err);
    c->is_same = strcmp(before, weights) == 0;
    if (rc < 0 || c->is_same)
        return rc;
    if (c->is_judged && now.model != c->judged_against)
        return err_set(err, ERR_INVALID,
                       "the champion has changed since the model was judged "
                       "against it");
    rc = registry_event_add(s, &e, &next.event, err);
    if (rc == ERR_OK)
        rc = registry_resume_in(s, e.task, c->command, NULL, &resumed, err);
    return rc < 0 ? rc : put_champion(s, e.task, next, err);
}

/* One transaction: what fn does, or nothing. */
static int end(struct store *s, int rc, struct err *err)
{
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(s), err);
    if (rc < 0)
        sql_rollback(store_sql(s));
    return rc;
}

int registry_promote(struct store *s, struct registry_change *c,
                     struct err *err)
{
    int rc = sql_begin(store_sql(s), err);

    return rc < 0 ? rc : end(s, promote(s, c, err), err);
}

/* What the champion took over from. */
static int before_of(struct store *s, int64_t event, int64_t *before,
                     struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT before FROM registry_event WHERE id = ?", event,
                        &q, err);

    *before = rc == 1 ? sql_int(q, 0) : 0;
    if (rc == 1)
        sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* The promotion that a model rested on before an event; 0: none. */
static int promotion_before(struct store *s, int64_t root, int64_t model,
                            int64_t event, int64_t *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT coalesce(max(id), 0) FROM registry_event WHERE "
        "kind = 'promote' AND model = ?2 AND id < ?3 AND " REGISTRY_OF_TASK,
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    sql_bind_int(q, 2, model);
    sql_bind_int(q, 3, event);
    rc = sql_step(q, err);
    *out = rc == 1 ? sql_int(q, 0) : 0;
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* It and what it needs are there. */
static int check_files(struct store *s, int64_t model, const char *name,
                       struct err *err)
{
    struct sql_stmt *q;
    int64_t base = 0;
    char *path = NULL;
    int rc = sql_row_of(store_sql(s), "SELECT base FROM model WHERE id = ?",
                        model, &q, err);

    if (rc == 1) {
        base = sql_int(q, 0);
        sql_reset(q);
    }
    for (int i = 0; rc >= 0 && i < 2; i++) {
        int64_t id = i ? base : model;

        if (id)
            rc = registry_path(s, id, &path, err);
        if (rc >= 0 && id && !(path && io_exists(path)))
            rc = err_set(err, ERR_INVALID,
                         "the champion before, %s, lacks %s; put it back, or "
                         "retire the champion of now, so that the LLM answers",
                         name, path ? path : "its base");
        free(path);
        path = NULL;
    }
    return rc < 0 ? rc : ERR_OK;
}

static int check_return(struct store *s, int64_t root, int64_t model,
                        struct err *err)
{
    char *name = NULL;
    int rc = check_model(s, root, model, &name, err);

    if (rc == ERR_INVALID)
        rc = err_set(err, ERR_INVALID,
                     "the champion before, %s, is retired; promote another "
                     "model, or retire the champion of now, so that the LLM "
                     "answers",
                     name);
    if (rc == ERR_OK)
        rc = check_files(s, model, name, err);
    free(name);
    return rc;
}

static int roll_back(struct store *s, int64_t task, const char *reason,
                     int64_t *to, struct err *err)
{
    struct registry_event e = { .kind = "rollback",
                                .command = "model rollback",
                                .reason = reason };
    struct champion now, next = { 0 };
    bool resumed;
    int rc = registry_root(s, task, &e.task, err);

    if (rc == ERR_OK)
        rc = champion_of(s, e.task, &now, err);
    if (rc == ERR_OK && !now.model)
        rc = err_set(err, ERR_NOTFOUND,
                     "the task has no champion to go back from");
    if (rc == ERR_OK)
        rc = before_of(s, now.event, &next.model, err);
    if (rc == ERR_OK && next.model)
        rc = check_return(s, e.task, next.model, err);
    if (rc == ERR_OK && next.model)
        rc = promotion_before(s, e.task, next.model, now.event, &next.event,
                              err);
    if (rc < 0)
        return rc;
    *to = e.model = next.model;
    e.before = now.model;
    rc = registry_event_add(s, &e, NULL, err);
    if (rc == ERR_OK)
        rc = registry_resume_in(s, e.task, e.command, NULL, &resumed, err);
    if (rc < 0)
        return rc;
    return next.model ? put_champion(s, e.task, next, err)
                      : drop_champions(s, e.task, err);
}

int registry_rollback(struct store *s, int64_t task, const char *reason,
                      int64_t *to, struct err *err)
{
    int rc = sql_begin(store_sql(s), err);

    return rc < 0 ? rc : end(s, roll_back(s, task, reason, to, err), err);
}

static int check_no_base(struct store *s, int64_t model, struct err *err)
{
    struct sql_stmt *q;
    bool base;
    int rc =
        sql_row_of(store_sql(s), "SELECT task IS NULL FROM model WHERE id = ?",
                   model, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "model %lld is gone",
                                (long long)model);
    base = sql_int(q, 0);
    sql_reset(q);
    return base ? err_set(err, ERR_INVALID,
                          "this model was trained for no task; slmctl model "
                          "remove forgets it")
                : ERR_OK;
}

int registry_retire(struct store *s, int64_t model, const char *reason,
                    struct err *err)
{
    int rc = sql_begin(store_sql(s), err);

    if (rc < 0)
        return rc;
    rc = check_no_base(s, model, err);
    if (rc == ERR_OK)
        rc = store_model_retire(s, model, "model retire", reason, err);
    return end(s, rc, err);
}

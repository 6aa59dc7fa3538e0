/*
 * retrain_due.c - what of a task asks for training
 *
 * New examples count from the newest data set, whoever made it; what has
 * changed since is measured in retrain_drift.c. Reads numbers alone, no text
 * of a call, so that no key is needed.
 */
#include "retrain/retrain_private.h"

#include "base/mem.h"
#include "registry/registry.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define US_A_DAY 86400e6

static const char *const REASONS[] = {
#define X(name) #name,
    RETRAIN_REASONS(X)
#undef X
};

const char *retrain_reason_name(enum retrain_reason r)
{
    return REASONS[r];
}

struct retrain_policy retrain_policy_default(void)
{
    return (struct retrain_policy){ .min_new = 200,
                                    .psi = 0.25,
                                    .novel = 0.10,
                                    .age_days = 30,
                                    .agreement_drop = 0.05,
                                    .margin = 0.03,
                                    .champion_margin = 0.01,
                                    .keep = 5,
                                    .promote = true };
}

#define LAST_CALL                                                              \
    "(SELECT max(e.call) FROM dataset_example d JOIN example e ON e.id = "     \
    "d.example WHERE d.dataset = "
#define DATASETS "FROM dataset x WHERE " RETRAIN_OF_TASK " "

static int find_seen(struct store *s, const struct retrain_due *d,
                     struct retrain_seen *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT (SELECT dataset FROM model WHERE id = ?2), x.id, " LAST_CALL
        "x.id), x.created, " LAST_CALL "(SELECT "
        "max(x.id) " DATASETS "AND x.id < (SELECT dataset FROM "
        "model WHERE id = ?2))) " DATASETS "ORDER BY x.id DESC "
        "LIMIT 1",
        &q, err);

    *out = (struct retrain_seen){ 0 };
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, d->task);
    sql_bind_int(q, 2, d->model);
    rc = sql_step(q, err);
    if (rc != 1)
        return rc;
    *out = (struct retrain_seen){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2),
                                  sql_int(q, 3), sql_int(q, 4) };
    sql_reset(q);
    return 0;
}

static int measure_new(struct store *s, const struct retrain_seen *seen,
                       struct retrain_due *d, struct err *err)
{
    const int64_t bind[] = { d->task, seen->call };

    return retrain_number(s,
                          "SELECT count(*) FROM example WHERE task = ?1 AND "
                          "kept AND split IN ('train', 'validation') AND call "
                          "> ?2",
                          bind, 2, &d->fresh, err);
}

/* What routed calls agreed since the newest data set, and what the gate had
 * let expect. */
static int measure_agreement(struct store *s, const struct retrain_seen *seen,
                             struct retrain_due *d, struct err *err)
{
    struct registry_gate gate = { 0 };
    struct sql_stmt *q;
    int rc =
        registry_gate_of(s, d->task, d->model, REGISTRY_MARGIN, &gate, err);

    if (rc < 0 || gate.evaluation == 0)
        return rc;
    rc = sql_get(store_sql(s),
                 "SELECT count(agreement), avg(agreement), (SELECT avg(score) "
                 "FROM evaluation_item WHERE evaluation = ?4) FROM decision "
                 "WHERE " RETRAIN_OF_TASK " AND model = ?2 AND time > ?3",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, d->task);
    sql_bind_int(q, 2, d->model);
    sql_bind_int(q, 3, seen->time_us);
    sql_bind_int(q, 4, gate.evaluation);
    rc = sql_step(q, err);
    if (rc != 1)
        return rc;
    if (sql_int(q, 0) >= RETRAIN_LEAST && !sql_is_null(q, 2)) {
        d->agreement = sql_double(q, 1);
        d->expected = sql_double(q, 2);
    }
    sql_reset(q);
    return 0;
}

static enum retrain_reason reason_of(const struct retrain_policy *p,
                                     const struct retrain_due *d)
{
    if (p->force)
        return RETRAIN_BY_forced;
    if (d->fresh == 0)
        return RETRAIN_BY_none;
    if (d->fresh >= p->min_new)
        return d->model ? RETRAIN_BY_new_examples : RETRAIN_BY_never_trained;
    if (!d->model)
        return RETRAIN_BY_none;
    if (d->novel_share > p->novel)
        return RETRAIN_BY_novelty;
    if (d->psi > p->psi && d->psi > d->psi_chance)
        return RETRAIN_BY_drift;
    if (d->agreement < d->expected - p->agreement_drop)
        return RETRAIN_BY_agreement;
    if (p->age_days > 0 && d->age_days > p->age_days)
        return RETRAIN_BY_age;
    return RETRAIN_BY_none;
}

/* The champion, else the newest model that is still in use. */
static int find_model(struct store *s, struct retrain_due *d, struct err *err)
{
    struct sql_stmt *q;
    int rc = registry_champion(s, d->task, &d->model, err);

    if (rc < 0 || d->model)
        return rc;
    rc = sql_row_of(store_sql(s),
                    "SELECT max(id) FROM model WHERE kind <> 'base' AND "
                    "retired IS NULL AND " RETRAIN_OF_TASK,
                    d->task, &q, err);
    if (rc != 1)
        return rc;
    d->model = sql_int(q, 0);
    sql_reset(q);
    return 0;
}

static int measure(struct store *s, const struct retrain_policy *p,
                   int64_t now_us, struct retrain_due *d, struct err *err)
{
    struct retrain_seen seen = { 0 };
    int rc = find_model(s, d, err);

    d->psi = d->psi_chance = d->novel_share = d->age_days = d->agreement =
        d->expected = (double)NAN;
    if (rc == 0)
        rc = find_seen(s, d, &seen, err);
    if (rc == 0)
        rc = measure_new(s, &seen, d, err);
    if (rc == 0)
        rc = retrain_drift(s, &seen, p->psi, d, err);
    if (rc == 0 && d->model)
        rc = measure_agreement(s, &seen, d, err);
    if (seen.newest)
        d->age_days = (double)(now_us - seen.time_us) / US_A_DAY;
    d->why = reason_of(p, d);
    return rc;
}

struct due_list {
    struct retrain_due *v;
    size_t count, cap;
};

static bool is_asked(const struct retrain_policy *p, int64_t task)
{
    for (size_t i = 0; i < p->task_count; i++)
        if (p->tasks[i] == task)
            return true;
    return p->task_count == 0;
}

static int list_tasks(struct store *s, const struct retrain_policy *p,
                      struct due_list *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id, name FROM task t WHERE merged_into IS NULL "
                     "AND EXISTS (SELECT 1 FROM example e WHERE e.task = t.id "
                     "AND e.kept AND e.split = 'train') ORDER BY name",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        struct retrain_due *d;
        struct slice name = sql_text(q, 1);

        if (!is_asked(p, sql_int(q, 0)))
            continue;
        mem_grow((void **)&out->v, &out->cap, out->count + 1, sizeof(*out->v));
        d = &out->v[out->count++];
        *d = (struct retrain_due){ .task = sql_int(q, 0) };
        (void)snprintf(d->name, sizeof(d->name), "%.*s", (int)name.n, name.p);
    }
    return rc;
}

int retrain_due_list(struct store *s, const struct retrain_policy *p,
                     int64_t now_us, struct retrain_due **out, size_t *count,
                     struct err *err)
{
    struct due_list list = { 0 };
    int rc = list_tasks(s, p, &list, err);

    for (size_t i = 0; rc == 0 && i < list.count; i++)
        rc = measure(s, p, now_us, &list.v[i], err);
    *out = rc < 0 ? NULL : list.v;
    *count = rc < 0 ? 0 : list.count;
    if (rc < 0)
        free(list.v);
    return rc;
}

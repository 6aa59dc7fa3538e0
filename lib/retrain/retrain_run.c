/*
 * retrain_run.c - the rows of a run: what is next, and what a step's end means
 *
 * Rows of steps are made before what they stand for begins, and a step that
 * has no end is done again: every step finds what it left. A task's candidate
 * is the model that is newer than all there were when its training began.
 */
#include "retrain/retrain_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const STEPS[] = {
#define X(name) #name,
    RETRAIN_STEPS(X)
#undef X
};

const char *retrain_step_name(enum retrain_step step)
{
    return STEPS[step];
}

void retrain_work_release(struct retrain_work *w)
{
    free(w->model_name);
    free(w->champion_name);
    free(w->base_name);
    *w = (struct retrain_work){ 0 };
}

int retrain_number(struct store *s, const char *text, const int64_t *bind,
                   int count, int64_t *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    *out = 0;
    if (rc < 0)
        return rc;
    for (int i = 0; i < count; i++)
        sql_bind_int(q, i + 1, bind[i]);
    rc = sql_step(q, err);
    if (rc != 1)
        return rc;
    *out = sql_int(q, 0);
    sql_reset(q);
    return 0;
}

static void write_policy(const struct retrain_policy *p, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_int(&w, "min_new", p->min_new);
    json_put_double(&w, "psi", p->psi);
    json_put_double(&w, "novel", p->novel);
    json_put_double(&w, "age_days", p->age_days);
    json_put_double(&w, "agreement_drop", p->agreement_drop);
    json_put_double(&w, "margin", p->margin);
    json_put_double(&w, "champion_margin", p->champion_margin);
    json_put_double(&w, "minutes", p->minutes);
    json_put_double(&w, "replay", p->replay);
    json_put_int(&w, "keep", p->keep);
    json_put_string(&w, "override_terms", p->override_terms);
    json_put_bool(&w, "promote", p->promote);
    json_put_bool(&w, "force", p->force);
    json_begin_array(&w, "tasks");
    for (size_t i = 0; i < p->task_count; i++)
        json_put_int(&w, NULL, p->tasks[i]);
    json_end_array(&w);
    json_end_object(&w);
}

int retrain_policy_of(struct store *s, int64_t run, struct retrain_policy *out,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(
        store_sql(s),
        "SELECT policy ->> '$.min_new', policy ->> '$.psi', policy ->> "
        "'$.novel', policy ->> '$.age_days', policy ->> '$.agreement_drop', "
        "policy ->> '$.margin', policy ->> '$.champion_margin', policy ->> "
        "'$.minutes', policy ->> '$.promote', policy ->> '$.force', policy ->> "
        "'$.replay', policy ->> '$.keep', policy ->> '$.override_terms' FROM "
        "retrain_run WHERE id = ?",
        run, &q, err);

    if (rc != 1)
        return rc < 0 ? rc : err_set(err, ERR_NOTFOUND, "the run is gone");
    *out = (struct retrain_policy){ .min_new = sql_int(q, 0),
                                    .psi = sql_double(q, 1),
                                    .novel = sql_double(q, 2),
                                    .age_days = sql_double(q, 3),
                                    .agreement_drop = sql_double(q, 4),
                                    .margin = sql_double(q, 5),
                                    .champion_margin = sql_double(q, 6),
                                    .minutes = sql_double(q, 7),
                                    .promote = sql_int(q, 8) != 0,
                                    .force = sql_int(q, 9) != 0,
                                    .replay = sql_double(q, 10),
                                    .keep = sql_int(q, 11) };
    (void)snprintf(out->override_terms, sizeof(out->override_terms), "%.*s",
                   (int)sql_text(q, 12).n, sql_text(q, 12).p);
    sql_reset(q);
    return 0;
}

static int forbid_planned(struct store *s, int64_t run, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "DELETE FROM retrain_step WHERE run = ? AND step = "
                     "'promote' AND finished IS NULL",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    return sql_run(q, err);
}

/* Who goes on with a run may forbid what it was begun for. */
static int forbid_promotion(struct store *s, int64_t run, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE retrain_run SET policy = json_set(policy, "
                     "'$.promote', json('false')) WHERE id = ?",
                     &q, err);

    if (rc == 0)
        rc = sql_begin(store_sql(s), err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    rc = sql_run(q, err);
    if (rc == 0)
        rc = forbid_planned(s, run, err);
    if (rc == 0)
        return sql_commit(store_sql(s), err);
    sql_rollback(store_sql(s));
    return rc;
}

int retrain_begin(struct store *s, const struct retrain_policy *p, int64_t *run,
                  bool *resumed, struct err *err)
{
    struct buf policy = { 0 };
    struct sql_stmt *q;
    int rc = retrain_number(s,
                            "SELECT max(id) FROM retrain_run WHERE finished "
                            "IS NULL",
                            NULL, 0, run, err);

    *resumed = rc == 0 && *run != 0;
    if (*resumed && !p->promote)
        return forbid_promotion(s, *run, err);
    if (rc < 0 || *resumed)
        return rc;
    rc = sql_get(store_sql(s),
                 "INSERT INTO retrain_run(started, high, policy) VALUES(?, "
                 "(SELECT coalesce(max(id), 0) FROM logged), ?)",
                 &q, err);
    if (rc < 0)
        return rc;
    write_policy(p, &policy);
    sql_bind_int(q, 1, clock_wall_us());
    sql_bind_text(q, 2, buf_slice(&policy));
    rc = sql_run(q, err);
    *run = sql_last_id(store_sql(s));
    buf_release(&policy);
    return rc;
}

/* A row that waits (started 0), if there is none yet. */
static int plan_step(struct store *s, int64_t run, int64_t task,
                     enum retrain_step step, const char *why, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT OR IGNORE INTO retrain_step(run, task, step, "
                     "started, why) VALUES(?, ?, ?, 0, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, task);
    sql_bind_cstr(q, 3, STEPS[step]);
    sql_bind_cstr(q, 4, why);
    return sql_run(q, err);
}

/* The steps in their order; a task goes through all of its own before the
 * next one begins. */
#define IN_ORDER                                                               \
    "ORDER BY CASE step WHEN 'curate' THEN 0 WHEN 'cluster' THEN 1 WHEN "      \
    "'trim' THEN 3 WHEN 'notify' THEN 4 ELSE 2 END, task, CASE step WHEN "     \
    "'train' THEN 0 WHEN "                                                     \
    "'gate' THEN 1 ELSE 2 END LIMIT 1"

int retrain_open_step(struct store *s, int64_t run, struct retrain_work *w,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT step, task, detail ->> '$.model', detail ->> "
                        "'$.champion' FROM retrain_step WHERE run = ? AND "
                        "finished IS NULL " IN_ORDER,
                        run, &q, err);

    if (rc != 1)
        return rc;
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(*STEPS); i++)
        if (slice_is(sql_text(q, 0), STEPS[i]))
            w->step = (enum retrain_step)i;
    w->task = sql_int(q, 1);
    w->model = sql_int(q, 2);
    w->champion = sql_int(q, 3);
    sql_reset(q);
    return 1;
}

static int name_of(struct store *s, const char *text, int64_t id, char **out,
                   struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (id == 0)
        return 0;
    rc = sql_row_of(store_sql(s), text, id, &q, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND, "its task or model is gone");
    if (rc < 0)
        return rc;
    *out = slice_dup(sql_text(q, 0));
    sql_reset(q);
    return 0;
}

/* A task stays with the base that it has. */
static int add_base(struct store *s, struct retrain_work *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT b.name FROM model m JOIN model b ON b.id = "
                        "m.base LEFT JOIN champion c ON c.model = m.id WHERE "
                        "m.task = ? AND m.retired IS NULL ORDER BY c.model "
                        "NOTNULL DESC, m.id DESC LIMIT 1",
                        w->task, &q, err);

    if (rc != 1)
        return rc;
    w->base_name = slice_dup(sql_text(q, 0));
    sql_reset(q);
    return 0;
}

static int add_names(struct store *s, struct retrain_work *w, struct err *err)
{
    const char *model = "SELECT name FROM model WHERE id = ?";
    char *task = NULL;
    int rc =
        name_of(s, "SELECT name FROM task WHERE id = ?", w->task, &task, err);

    (void)snprintf(w->task_name, sizeof(w->task_name), "%s", task ? task : "");
    free(task);
    if (rc == 0)
        rc = name_of(s, model, w->model, &w->model_name, err);
    if (rc == 0)
        rc = name_of(s, model, w->champion, &w->champion_name, err);
    if (rc == 0 && w->step == RETRAIN_DO_train)
        rc = add_base(s, w, err);
    return rc;
}

/* What was there before is noted once, with the first beginning. */
static int note_start(struct store *s, int64_t run,
                      const struct retrain_work *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE retrain_step SET started = ?4, detail = "
                     "json_insert(coalesce(detail, '{}'), '$.before', (SELECT "
                     "coalesce(max(id), 0) FROM model)) WHERE run = ?1 AND "
                     "task = ?2 AND step = ?3 AND started = 0",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, w->task);
    sql_bind_cstr(q, 3, STEPS[w->step]);
    sql_bind_int(q, 4, clock_wall_us());
    return sql_run(q, err);
}

static int end_run(struct store *s, int64_t run, const char *outcome,
                   struct err *err)
{
    struct sql_stmt *q;
    int64_t high = 0;
    int rc = retrain_number(s, "SELECT high FROM retrain_run WHERE id = ?",
                            &run, 1, &high, err);

    if (rc < 0)
        return rc;
    rc = sql_get(store_sql(s),
                 "UPDATE retrain_run SET finished = ?2, outcome = ?3 "
                 "WHERE id = ?1 AND finished IS NULL",
                 &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_cstr(q, 3, outcome);
    rc = sql_run(q, err);
    if (rc < 0)
        return rc;
    return store_stage_set(s, "retrain", high, NULL, NULL, err);
}

static int run_is_over(struct store *s, int64_t run, bool *over,
                       struct err *err)
{
    int64_t n = 0;
    int rc = retrain_number(s,
                            "SELECT finished NOTNULL FROM retrain_run WHERE "
                            "id = ?",
                            &run, 1, &n, err);

    *over = n != 0;
    return rc;
}

/* Why it failed stands apart from why it was due. */
static int finish_step(struct store *s, int64_t run,
                       const struct retrain_work *w, bool ok, const char *why,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE retrain_step SET finished = ?4, status = ?5, why "
                     "= iif(?5, why, coalesce(?6, why)), detail = iif(?5, "
                     "json_set(coalesce(detail, '{}'), '$.failed', ?6), "
                     "detail) WHERE run = ?1 AND task = ?2 AND step = ?3",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, w->task);
    sql_bind_cstr(q, 3, STEPS[w->step]);
    sql_bind_int(q, 4, clock_wall_us());
    sql_bind_int(q, 5, !ok);
    sql_bind_cstr(q, 6, why);
    return sql_run(q, err);
}

/* The first step that can be done. One whose task or model is gone meanwhile
 * has failed: it would stop the run for ever. */
static int next_step(struct store *s, int64_t run, struct retrain_work *out,
                     struct err *err)
{
    struct err gone;
    int rc;

    while ((rc = retrain_open_step(s, run, out, err)) == 1) {
        rc = note_start(s, run, out, err);
        if (rc < 0)
            return rc;
        rc = add_names(s, out, &gone);
        if (rc == 0)
            return 1;
        if (rc != ERR_NOTFOUND)
            return err_set(err, rc, "%s", gone.msg);
        rc = finish_step(s, run, out, false, gone.msg, err);
        retrain_work_release(out);
        *out = (struct retrain_work){ 0 };
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int find_next(struct store *s, int64_t run, struct retrain_work *out,
                     struct err *err)
{
    bool over = false;
    int rc = run_is_over(s, run, &over, err);

    if (rc == 0 && !over)
        rc = plan_step(s, run, 0, RETRAIN_DO_curate, NULL, err);
    if (rc == 0 && !over)
        rc = plan_step(s, run, 0, RETRAIN_DO_cluster, NULL, err);
    if (rc == 0 && !over)
        rc = next_step(s, run, out, err);
    if (rc == 1)
        return 0;
    if (rc == 0 && !over)
        rc = end_run(s, run, "done", err);
    return rc < 0 ? rc : err_set(err, ERR_NOTFOUND, "the run has ended");
}

int retrain_next(struct store *s, int64_t run, struct retrain_work *out,
                 struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = sql_begin(db, err), after;

    *out = (struct retrain_work){ 0 };
    if (rc < 0)
        return rc;
    rc = find_next(s, run, out, err);
    if (rc < 0 && rc != ERR_NOTFOUND) {
        sql_rollback(db);
        retrain_work_release(out);
        return rc;
    }
    after = sql_commit(db, err);
    return after < 0 ? after : rc;
}

int retrain_policy_tasks(struct store *s, int64_t run, int64_t **out,
                         size_t *count, struct err *err)
{
    struct sql_stmt *q;
    size_t cap = 0;
    int rc = sql_get(store_sql(s),
                     "SELECT value FROM json_each((SELECT policy FROM "
                     "retrain_run WHERE id = ?), '$.tasks')",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)out, &cap, *count + 1, sizeof(**out));
        (*out)[(*count)++] = sql_int(q, 0);
    }
    return rc;
}

static int note_moved(struct store *s, int64_t run, const struct retrain_due *d,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "UPDATE retrain_step SET detail = json_object('moved', "
                     "?3) WHERE run = ?1 AND task = ?2 AND step = 'train'",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, d->task);
    sql_bind_cstr(q, 3, d->moved);
    return sql_run(q, err);
}

static int plan_due(struct store *s, int64_t run, struct err *err)
{
    struct retrain_policy p = { 0 };
    struct retrain_due *due = NULL;
    size_t count = 0, planned = 0;
    int rc = retrain_policy_of(s, run, &p, err);
    int64_t *tasks = NULL;

    if (rc == 0)
        rc = retrain_policy_tasks(s, run, &tasks, &p.task_count, err);
    p.tasks = tasks;
    if (rc == 0)
        rc = retrain_due_list(s, &p, clock_wall_us(), &due, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (due[i].why == RETRAIN_BY_none)
            continue;
        rc = plan_step(s, run, due[i].task, RETRAIN_DO_train,
                       retrain_reason_name(due[i].why), err);
        if (rc == 0 && due[i].why == RETRAIN_BY_drift)
            rc = note_moved(s, run, &due[i], err);
        planned++;
    }
    if (rc == 0 && planned)
        rc = plan_step(s, run, 0, RETRAIN_DO_trim, NULL, err);
    if (rc == 0 && planned)
        rc = plan_step(s, run, 0, RETRAIN_DO_notify, NULL, err);
    free(due);
    free(tasks);
    return rc;
}

/* The gate of what was trained; none if nothing new came of it. */
static int plan_gate(struct store *s, int64_t run, const struct retrain_work *w,
                     struct err *err)
{
    const int64_t bind[] = { run, w->task };
    int64_t model = 0, champion = 0;
    struct sql_stmt *q;
    int rc = retrain_number(
        s,
        "SELECT max(m.id) FROM model m JOIN retrain_step t ON t.run = ?1 AND "
        "t.task = ?2 AND t.step = 'train' WHERE m.kind <> 'base' AND m.task = "
        "?2 AND m.id > (t.detail ->> '$.before')",
        bind, 2, &model, err);

    if (rc == 0 && model)
        rc = registry_champion(s, w->task, &champion, err);
    if (rc < 0 || !model)
        return rc;
    rc = plan_step(s, run, w->task, RETRAIN_DO_gate, NULL, err);
    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "UPDATE retrain_step SET detail = json_object('model', "
                     "?3, 'champion', ?4) WHERE run = ?1 AND task = ?2 AND "
                     "step = 'gate'",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, w->task);
    sql_bind_int(q, 3, model);
    sql_bind_int(q, 4, champion);
    return sql_run(q, err);
}

static int plan_promotion(struct store *s, int64_t run,
                          const struct retrain_work *w, char why[RETRAIN_WHY],
                          struct err *err)
{
    struct retrain_policy p;
    struct retrain_verdict v;
    struct sql_stmt *q;
    int rc = retrain_policy_of(s, run, &p, err);

    if (rc == 0)
        rc = retrain_judge(s, w->task, w->model, w->champion, p.margin,
                           p.champion_margin, &v, err);
    if (rc < 0)
        return rc;
    (void)snprintf(why, RETRAIN_WHY, "%s", v.why);
    if (v.llm != SCORE_PASS || v.champion != SCORE_PASS || !p.promote)
        return 0;
    rc = plan_step(s, run, w->task, RETRAIN_DO_promote, NULL, err);
    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "UPDATE retrain_step SET detail = (SELECT detail FROM "
                     "retrain_step WHERE run = ?1 AND task = ?2 AND step = "
                     "'gate') WHERE run = ?1 AND task = ?2 AND step = "
                     "'promote'",
                     &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, w->task);
    return sql_run(q, err);
}

static int follow(struct store *s, int64_t run, const struct retrain_work *w,
                  bool ok, const char *why, struct err *err)
{
    char said[RETRAIN_WHY] = "";
    int rc = 0;

    switch (w->step) {
    case RETRAIN_DO_curate:
        if (!ok)
            rc = end_run(s, run, "curate failed", err);
        break;
    case RETRAIN_DO_cluster:
        rc =
            ok ? plan_due(s, run, err) : end_run(s, run, "cluster failed", err);
        break;
    case RETRAIN_DO_train:
        if (ok)
            rc = plan_gate(s, run, w, err);
        break;
    case RETRAIN_DO_gate:
        if (ok)
            rc = plan_promotion(s, run, w, said, err);
        why = ok ? said : why;
        break;
    case RETRAIN_DO_promote:
    case RETRAIN_DO_trim:
    case RETRAIN_DO_notify: break;
    }
    return rc < 0 ? rc : finish_step(s, run, w, ok, why, err);
}

int retrain_done(struct store *s, int64_t run, const struct retrain_work *w,
                 bool ok, const char *why, struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = sql_begin(db, err);

    if (rc < 0)
        return rc;
    rc = follow(s, run, w, ok, why, err);
    if (rc < 0) {
        sql_rollback(db);
        return rc;
    }
    return sql_commit(db, err);
}

/* Trained before they were forbidden, or by a run without a reason. */
static int override_terms(struct store *s, const struct retrain_work *w,
                          const char *reason, struct err *err)
{
    char what[REGISTRY_WHAT];
    enum registry_terms terms;
    int64_t done = 0;
    int rc = registry_terms_model(s, w->model, &terms, what, err);

    if (rc == 0 && terms == REGISTRY_FORBID && *reason)
        rc = retrain_number(s,
                            "SELECT count(*) FROM registry_event WHERE kind = "
                            "'override' AND model = ?",
                            &w->model, 1, &done, err);
    if (rc < 0 || terms != REGISTRY_FORBID || !*reason || done)
        return rc;
    return registry_override(s, w->task, w->model, reason, err);
}

int retrain_promote(struct store *s, const struct retrain_work *w,
                    const struct retrain_policy *p, struct err *err)
{
    struct registry_change c = { .task = w->task,
                                 .model = w->model,
                                 .margin = p->margin,
                                 .is_judged = true,
                                 .judged_against = w->champion,
                                 .command = "retrain",
                                 .reason = "passed the gate and is not worse "
                                           "than the champion" };
    int rc = override_terms(s, w, p->override_terms, err);

    return rc < 0 ? rc : registry_promote(s, &c, err);
}

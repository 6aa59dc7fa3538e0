/*
 * evaluate_store.c - candidates from the store, and results into it
 *
 * A registered model knows its base; a directory is looked up by its path so
 * that an evaluation of it is found again under its name.
 */
#include "evaluate/evaluate_private.h"
#include "registry/registry.h"
#include "weights/weights.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void evaluate_model_release(struct evaluate_model *m)
{
    free(m->name);
    free(m->dir);
    free(m->adapter);
    free(m->base_name);
    free(m->base_dir);
    *m = (struct evaluate_model){ 0 };
}

#define SELECT_MODEL                                                           \
    "SELECT m.id, m.name, m.kind, placed(m.path, '', 0), b.name, "             \
    "placed(b.path, '', 0), m.task "                                           \
    "FROM model m LEFT JOIN model b ON b.id = m.base "

static int model_row(struct sql_stmt *q, struct evaluate_model *out,
                     struct err *err)
{
    bool adapter = slice_is(sql_text(q, 2), "adapter");
    char *path = slice_dup(sql_text(q, 3));

    memset(out, 0, sizeof(*out));
    out->id = sql_int(q, 0);
    out->task = sql_int(q, 6);
    out->name = slice_dup(sql_text(q, 1));
    if (!sql_is_null(q, 5)) {
        out->base_name = slice_dup(sql_text(q, 4));
        out->base_dir = slice_dup(sql_text(q, 5));
    }
    if (!adapter) {
        out->dir = path;
        return ERR_OK;
    }
    out->adapter = path;
    if (!out->base_dir) {
        int rc = err_set(err, ERR_NOTFOUND,
                         "model %s: its base is not registered", out->name);

        evaluate_model_release(out);
        return rc;
    }
    out->dir = mem_strdup(out->base_dir);
    return ERR_OK;
}

static int model_select(struct store *s, const char *where, int64_t id,
                        const char *text, struct evaluate_model *out,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), where, &q, err);

    if (rc < 0)
        return rc;
    if (text)
        sql_bind_cstr(q, 1, text);
    else
        sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc == 1) {
        rc = model_row(q, out, err);
        sql_reset(q);
        return rc < 0 ? rc : 1;
    }
    return rc;
}

char *evaluate_task_name(struct store *s, int64_t task)
{
    struct sql_stmt *q;
    char *name = NULL;

    if (sql_get(store_sql(s), "SELECT name FROM task WHERE id = ?", &q, NULL) ==
        0) {
        sql_bind_int(q, 1, task);
        if (sql_step(q, NULL) == 1)
            name = slice_dup(sql_text(q, 0));
        sql_reset(q);
    }
    return name ? name : mem_printf("%lld", (long long)task);
}

static int no_tuned_model(struct store *s, int64_t task, struct err *err)
{
    char *name = evaluate_task_name(s, task);
    int rc = err_set(err, ERR_NOTFOUND,
                     "task %s has no tuned model; slmctl finetune --task %s "
                     "makes one",
                     name, name);

    free(name);
    return rc;
}

int evaluate_model_latest(struct store *s, int64_t task,
                          struct evaluate_model *out, struct err *err)
{
    int64_t champion = 0;
    int rc = registry_champion(s, task, &champion, err);

    if (rc == ERR_OK && champion)
        rc = model_select(s, SELECT_MODEL "WHERE m.id = ?1", champion, NULL,
                          out, err);
    if (rc == 0)
        rc = model_select(s,
                          SELECT_MODEL
                          "WHERE m.task = ?1 AND m.kind <> 'base' AND "
                          "m.retired IS NULL ORDER BY m.id DESC LIMIT 1",
                          task, NULL, out, err);

    return rc == 0 ? no_tuned_model(s, task, err) : rc < 0 ? rc : ERR_OK;
}

/* The adapter asked for goes over what was found. */
static int model_adapt(struct evaluate_model *m, const char *adapter,
                       struct err *err)
{
    if (m->adapter)
        return err_set(err, ERR_INVALID,
                       "model %s is an adapter itself; name its base", m->name);
    free(m->base_name);
    free(m->base_dir);
    m->base_name = m->name;
    m->base_dir = mem_strdup(m->dir);
    m->name = mem_strdup(adapter);
    m->adapter = mem_strdup(adapter);
    m->id = 0;
    return ERR_OK;
}

int evaluate_model_named(struct store *s, const char *name, const char *adapter,
                         struct evaluate_model *out, struct err *err)
{
    int64_t id;
    char *path;
    int rc =
        model_select(s, SELECT_MODEL "WHERE m.name = ?1", 0, name, out, err);

    if (rc == 0)
        rc = model_select(s, SELECT_MODEL "WHERE placed(m.path, '', 0) = ?1", 0,
                          name, out, err);
    if (rc == 0 && (io_is_dir(name) || weights_is_gguf(name))) {
        *out = (struct evaluate_model){ .name = mem_strdup(name),
                                        .dir = mem_strdup(name) };
        rc = 1;
    }
    if (rc == 0 && strchr(name, '/'))
        return err_set(err, ERR_NOTFOUND, "%s: no such model directory", name);
    if (rc == 0) { /* for its message */
        rc = store_model_find(s, name, &id, &path, err);
        if (rc == ERR_OK)
            free(path);
    }
    if (rc == 1 && adapter) {
        rc = model_adapt(out, adapter, err);
        if (rc < 0)
            evaluate_model_release(out);
    }
    return rc < 0 ? rc : ERR_OK;
}

int evaluate_tasks(struct store *s, int64_t **ids, size_t *count,
                   struct err *err)
{
    struct sql_stmt *q;
    int64_t *list = NULL;
    size_t n = 0, cap = 0;
    int rc = sql_get(store_sql(s),
                     "SELECT DISTINCT t.id FROM task t JOIN model m ON "
                     "m.task = t.id AND m.kind <> 'base' WHERE t.merged_into "
                     "IS NULL ORDER BY t.id",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&list, &cap, n + 1, sizeof(*list));
        list[n++] = sql_int(q, 0);
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ids = list;
    *count = n;
    return ERR_OK;
}

static int item_save(struct sql_stmt *q, int64_t evaluation,
                     const struct evaluate_item *it, struct err *err)
{
    const struct score *s = &it->scores[EVALUATE_TUNED];

    sql_bind_int(q, 1, evaluation);
    sql_bind_int(q, 2, it->example);
    if (isnan(s->value))
        sql_bind_null(q, 3);
    else
        sql_bind_double(q, 3, s->value);
    if (isnan(it->scores[EVALUATE_LLM].value))
        sql_bind_null(q, 4);
    else
        sql_bind_double(q, 4, it->scores[EVALUATE_LLM].value);
    sql_bind_cstr(q, 5, s->reason && s->reason[0] ? s->reason : "match");
    sql_bind_text(q, 6, buf_slice(&it->answers[EVALUATE_TUNED]));
    return sql_run(q, err);
}

static int rows_save(struct sql *db, const struct evaluate_result *r,
                     struct slice detail, struct err *err)
{
    struct sql_stmt *q;
    int64_t id;
    int rc = sql_get(db,
                     "INSERT INTO evaluation(id, task, model, split, created, "
                     "verdict, detail, inputs, record, weights) SELECT n, ?1, "
                     "nullif(?2, 0), ?3, ?4, ?5, "
                     "seal_text(?6, 'evaluation.detail', n), ?7, "
                     "seal_text(?8, 'evaluation.record', n), ?9 FROM (SELECT "
                     "coalesce(max(id), 0) + 1 AS n FROM evaluation)",
                     &q, err);
    struct buf record = { 0 };

    if (rc < 0)
        return rc;
    evaluate_record_write(r, &record);
    sql_bind_int(q, 1, r->task);
    sql_bind_int(q, 2, r->model);
    sql_bind_cstr(q, 3, r->split == 's' ? "test" : "validation");
    sql_bind_int(q, 4, clock_wall_us());
    sql_bind_cstr(q, 5, score_verdict_name(r->gate.verdict));
    sql_bind_text(q, 6, detail);
    sql_bind_cstr(q, 7, r->inputs);
    sql_bind_text(q, 8, buf_slice(&record));
    sql_bind_cstr(q, 9, r->weights);
    rc = sql_run(q, err);
    buf_release(&record);
    id = sql_last_id(db);
    if (rc == ERR_OK)
        rc = sql_get(db,
                     "INSERT INTO evaluation_item(evaluation, example, score, "
                     "reference, outcome, answer) VALUES(?1, ?2, ?3, ?4, ?5, "
                     "seal_text(?6, 'evaluation_item.answer', ?1, ?2))",
                     &q, err);
    for (size_t i = 0; rc == ERR_OK && i < r->count; i++)
        rc = item_save(q, id, &r->items[i], err);
    return rc;
}

int evaluate_save(struct store *s, const struct evaluate_result *r,
                  struct slice detail, struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = sql_begin(db, err);

    if (rc < 0)
        return rc;
    rc = rows_save(db, r, detail, err);
    if (rc == ERR_OK)
        rc = sql_commit(db, err);
    if (rc < 0)
        sql_rollback(db);
    return rc;
}

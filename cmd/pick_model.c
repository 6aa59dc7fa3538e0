/*
 * pick_model.c - from --model, --adapter and --task to directories
 *
 * A directory or GGUF file is taken as it is; anything else is a name in the
 * store. An
 * adapter in the store brings its base along.
 */
#include "pick_model.h"

#include "base/io.h"
#include "base/mem.h"
#include "registry/registry.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

enum model_kept pick_kept(const char *option, enum model_kept known)
{
    (void)model_kept_of(option, &known);
    return known;
}

static int kept_of(struct store *s, int64_t task, int64_t model,
                   enum model_kept *out, struct err *err)
{
    char weights[REGISTRY_WEIGHTS];
    int rc = registry_weights(s, task, model, weights, err);

    if (rc == ERR_OK && !model_kept_of(weights, out))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "model %lld answers with %s weights, which this slmctl "
                     "does not know; --weights takes others",
                     (long long)model, weights);
    return rc;
}

int pick_kept_of_task(struct store *s, int64_t task, enum model_kept *out,
                      struct err *err)
{
    int64_t champion = 0;
    int rc = registry_champion(s, task, &champion, err);

    *out = MODEL_KEPT_STORED;
    return rc < 0 || !champion ? rc : kept_of(s, task, champion, out, err);
}

int pick_model_row(struct store *s, int64_t id, struct picked_model *out,
                   struct err *err)
{
    struct sql_stmt *q;
    int64_t task;
    int rc = sql_row_of(store_sql(s),
                        "SELECT m.kind, placed(m.path, '', 0), placed(b.path, "
                        "'', 0), m.task FROM model m "
                        "LEFT JOIN model b ON b.id = m.base WHERE m.id = ?",
                        id, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "model %lld is gone",
                                (long long)id);
    out->id = id;
    task = sql_int(q, 3);
    if (!slice_is(sql_text(q, 0), "adapter")) {
        out->dir = slice_dup(sql_text(q, 1));
    } else if (sql_is_null(q, 2)) {
        rc = err_set(err, ERR_NOTFOUND,
                     "the base of this adapter is not in the store; name it "
                     "with --model DIR --adapter %.*s",
                     (int)sql_text(q, 1).n, sql_text(q, 1).p);
    } else {
        out->adapter = slice_dup(sql_text(q, 1));
        out->dir = slice_dup(sql_text(q, 2));
    }
    sql_reset(q);
    out->is_tuned = task != 0;
    if (rc < 0)
        return rc;
    return task ? kept_of(s, task, id, &out->kept, err) : ERR_OK;
}

/* The newest model that the gate passed, else the newest; 0: none. */
static int newest_of_task(struct store *s, int64_t task, int64_t *id,
                          struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT id FROM model WHERE task = ? AND retired IS NULL "
                     "ORDER BY id DESC",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, task);
    while ((rc = sql_step(q, err)) == 1) {
        struct registry_gate gate;
        int64_t model = sql_int(q, 0);

        rc = registry_gate_of(s, task, model, REGISTRY_MARGIN, &gate, err);
        if (*id == 0 || gate.passes)
            *id = model;
        if (rc < 0 || gate.passes)
            break;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

/* The champion, else the newest. */
static int model_of_task(struct store *s, const char *task, int64_t task_id,
                         int64_t *id, struct err *err)
{
    int rc = registry_champion(s, task_id, id, err);

    if (rc == ERR_OK && !*id)
        rc = newest_of_task(s, task_id, id, err);
    if (rc < 0 || *id)
        return rc;
    return err_set(err, ERR_NOTFOUND,
                   "no model has been trained for task %s; slmctl finetune "
                   "--task %s trains one, --model names another",
                   task, task);
}

static int from_store(struct cli *cli, const char *model, const char *task,
                      struct picked_model *out, struct err *err)
{
    struct store *s = NULL;
    int64_t id = 0;
    int rc = store_open(cli->store, STORE_READ, &s, err);

    if (rc < 0)
        return model && !io_is_dir(model)
                   ? err_wrap(err, "%s is no directory", model)
                   : rc;
    if (task)
        rc = store_task_find(s, task, &out->task, err);
    if (rc == ERR_OK && model && !io_is_dir(model) && !weights_is_gguf(model))
        rc = store_model_find(s, model, &id, NULL, err);
    else if (rc == ERR_OK && !model)
        rc = model_of_task(s, task, out->task, &id, err);
    if (rc == ERR_OK && id)
        rc = pick_model_row(s, id, out, err);
    store_close(s);
    return rc;
}

int pick_model(struct cli *cli, const char *model, const char *adapter,
               const char *task, struct picked_model *out, struct err *err)
{
    bool directory = model && (io_is_dir(model) || weights_is_gguf(model));
    int rc = ERR_OK;

    *out = (struct picked_model){ 0 };
    if (!model && !task)
        return err_set(err, ERR_INVALID,
                       "name a model with --model DIR|NAME or a task with "
                       "--task TASK");
    if (!directory || task)
        rc = from_store(cli, model, task, out, err);
    if (rc < 0 && model && !directory && io_exists(model))
        rc = err_set(err, ERR_FORMAT,
                     "%s is no directory and no GGUF file, which begins with "
                     "\"GGUF\"",
                     model);
    if (rc == ERR_OK && directory)
        out->dir = mem_strdup(model);
    if (rc == ERR_OK && adapter) {
        free(out->adapter);
        out->adapter = mem_strdup(adapter);
        out->kept = MODEL_KEPT_STORED;
    }
    if (rc < 0)
        picked_model_release(out);
    return rc;
}

void picked_model_release(struct picked_model *p)
{
    free(p->dir);
    free(p->adapter);
    *p = (struct picked_model){ 0 };
}

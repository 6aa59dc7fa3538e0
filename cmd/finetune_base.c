/*
 * finetune_base.c - which base a task's model is trained from
 *
 * A directory named on the command line is entered in the store, because an
 * adapter whose base nobody knows is of no use; but not where nothing is
 * trained.
 */
#include "finetune_base.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

void finetune_base_release(struct finetune_base *b)
{
    free(b->name);
    free(b->path);
    *b = (struct finetune_base){ 0 };
}

/* The first row of (id, name, path); 1: there was one. */
static int take(struct sql_stmt *q, struct finetune_base *out, struct err *err)
{
    int rc = sql_step(q, err);

    if (rc == 1) {
        out->id = sql_int(q, 0);
        out->name = slice_dup(sql_text(q, 1));
        out->path = slice_dup(sql_text(q, 2));
        sql_reset(q);
    }
    return rc;
}

static int by_text(struct store *s, const char *select, const char *text,
                   struct finetune_base *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), select, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, text);
    return take(q, out, err);
}

static int enter_dir(struct store *s, const char *path, const char *name,
                     struct finetune_base *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT INTO model(name, kind, path, created) VALUES("
                     "?1 || CASE WHEN EXISTS(SELECT 1 FROM model WHERE "
                     "name = ?1) THEN '-' || (SELECT max(id) + 1 FROM model) "
                     "ELSE '' END, 'base', kept(?2, '', 0), ?3)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_cstr(q, 2, path);
    sql_bind_int(q, 3, clock_wall_us());
    rc = sql_run(q, err);
    if (rc < 0)
        return rc;
    rc = by_text(s,
                 "SELECT id, name, placed(path, '', 0) FROM model WHERE "
                 "placed(path, '', 0) = ?",
                 path, out, err);
    return rc < 0 ? rc : 0;
}

/* What is no model is not entered among them. */
static int check_dir(const char *path, struct err *err)
{
    char *config = io_path(path, "config.json");
    char *gguf = weights_model_path(path);
    int rc = ERR_OK;

    if (!io_exists(config) && !weights_is_gguf(gguf))
        rc =
            err_set(err, ERR_NOTFOUND,
                    "%s: no config.json in it; name a model's directory", path);
    free(gguf);
    free(config);
    return rc;
}

static int from_dir(struct store *s, const char *dir, bool enter,
                    struct finetune_base *out, struct err *err)
{
    char *path = realpath(dir, NULL);
    char name[STORE_NAME_MAX + 1];
    int rc;

    if (!path)
        return err_set(err, ERR_NOTFOUND, "%s: no such directory", dir);
    rc = by_text(s,
                 "SELECT id, name, placed(path, '', 0) FROM model WHERE "
                 "placed(path, '', 0) = ?",
                 path, out, err);
    if (rc == 0)
        rc = check_dir(path, err);
    store_name_make(strrchr(path, '/') + 1, name);
    if (rc == 0 && enter) {
        rc = enter_dir(s, path, name, out, err);
    } else if (rc == 0) {
        out->name = mem_strdup(name);
        out->path = mem_strdup(path);
    }
    free(path);
    return rc < 0 ? rc : 0;
}

static int from_candidates(struct store *s, int64_t task, const char *task_name,
                           struct finetune_base *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT m.id, m.name, placed(m.path, '', 0) FROM "
                     "candidate c JOIN model "
                     "m ON m.name = c.model WHERE c.task = ? AND c.rank > 0 "
                     "AND m.kind <> 'adapter' ORDER BY c.rank LIMIT 1",
                     &q, err);

    if (rc == 0) {
        sql_bind_int(q, 1, task);
        rc = take(q, out, err);
    }
    if (rc == 0)
        rc = sql_get(store_sql(s),
                     "SELECT max(id), max(name), placed(max(path), '', 0) FROM "
                     "model WHERE "
                     "kind = 'base' HAVING count(*) = 1",
                     &q, err);
    else
        return rc < 0 ? rc : 0;
    if (rc == 0)
        rc = take(q, out, err);
    if (rc == 0)
        return err_set(err, ERR_NOTFOUND,
                       "task %s: no base model; name one with --model, or let "
                       "slmctl select choose among those of slmctl model add",
                       task_name);
    return rc < 0 ? rc : 0;
}

int finetune_find_base(struct store *s, const char *model, int64_t task,
                       const char *task_name, bool enter,
                       struct finetune_base *out, struct err *err)
{
    int rc;

    *out = (struct finetune_base){ 0 };
    if (!model)
        return from_candidates(s, task, task_name, out, err);
    if (io_is_dir(model) || weights_is_gguf(model))
        return from_dir(s, model, enter, out, err);
    rc = store_model_find(s, model, &out->id, &out->path, err);
    if (rc == 0)
        out->name = mem_strdup(model);
    return rc;
}

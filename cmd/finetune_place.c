/*
 * finetune_place.c - where a task's model goes, and by which name
 *
 * A name or a directory that holds something else is refused before training,
 * not after it.
 */
#include "finetune_job.h"
#include "model_artifact.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The name becomes a directory below models, and must not take the place of a
 * model that is not this task's. */
static int take_name(struct task *t, const char *option, const char *name,
                     struct err *err)
{
    struct sql_stmt *q;
    bool other;
    int rc;

    rc = store_name_check(option, name, err);
    if (rc < 0)
        return rc;
    rc = sql_get(
        store_sql(t->store),
        "SELECT task IS NOT ?2 FROM model m WHERE name = ?1 AND (task "
        "IS NOT ?2 OR id IN (SELECT model FROM evaluation) OR id IN "
        "(SELECT model FROM seal) OR id IN (SELECT base FROM model) OR id "
        "IN (SELECT model FROM registry_event WHERE kind <> "
        "'override'))",
        &q, err);
    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_int(q, 2, t->id);
    rc = sql_step(q, err);
    other = rc == 1 && sql_int(q, 0);
    sql_reset(q);
    if (rc == 1)
        return err_set(err, ERR_INVALID,
                       other ? "%s %s: another model has this name; choose "
                               "another"
                             : "%s %s: this model stays, because it was "
                               "evaluated or others rest on it; choose another",
                       option, name);
    t->model_name = mem_strdup(name);
    return rc;
}

/* NAME-1, NAME-2...: the first that is free. */
static int choose_name(struct task *t, struct err *err)
{
    if (t->model_name)
        return ERR_OK; /* --output found it */
    if (t->f->name)
        return take_name(t, "--as", t->f->name, err);
    for (int n = 1;; n++) {
        struct sql_stmt *q;
        char *name = mem_printf("%s-%d", t->name, n);
        int rc = sql_get(store_sql(t->store),
                         "SELECT 1 FROM model WHERE name = ?", &q, err);

        if (rc == 0) {
            sql_bind_cstr(q, 1, name);
            rc = sql_step(q, err);
            sql_reset(q);
        }
        if (rc <= 0) {
            t->model_name = name;
            return rc;
        }
        free(name);
    }
}

/* A path below the store that stays right when the working directory changes.*/
static char *store_path(const struct task *t, const char *kind,
                        const char *name)
{
    char *root = realpath(store_dir(t->store), NULL);
    char *path =
        mem_printf("%s/%s/%s", root ? root : store_dir(t->store), kind, name);

    free(root);
    return path;
}

/* --output must not take the files of a model that is not this task's; one that
 * is keeps its name. */
static int take_output(struct task *t, struct err *err)
{
    char *path = realpath(t->f->output, NULL), *name = NULL;
    bool own = false;
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(t->store),
        "SELECT name, task IS ? FROM model WHERE placed(path, '', 0) = ? "
        "ORDER BY 2 LIMIT 1",
        &q, err);

    if (rc == 0) {
        sql_bind_int(q, 1, t->id);
        sql_bind_cstr(q, 2, path ? path : t->f->output);
        rc = sql_step(q, err);
    }
    if (rc == 1) {
        name = slice_dup(sql_text(q, 0));
        own = sql_int(q, 1) && (!t->f->name || strcmp(t->f->name, name) == 0);
        sql_reset(q);
    }
    if (rc == 1 && !own)
        rc = err_set(err, ERR_INVALID,
                     "--output %s: model %s is there; name another directory",
                     t->f->output, name);
    else if (rc == 1)
        rc = take_name(t, "the model of --output,", name, err);
    free(name);
    free(path);
    return rc;
}

/* The model of this name is at this path: what is made replaces it whole. */
static int find_replaced(struct task *t, struct err *err)
{
    char *path = realpath(t->path, NULL);
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(t->store),
        "SELECT 1 FROM model WHERE name = ? AND placed(path, '', 0) = ?", &q,
        err);

    if (rc == 0) {
        sql_bind_cstr(q, 1, t->model_name);
        sql_bind_cstr(q, 2, path ? path : t->path);
        rc = sql_step(q, err);
        sql_reset(q);
    }
    t->replaces = rc == 1;
    free(path);
    return rc < 0 ? rc : 0;
}

/* Found out before hours of training are: what could not be written after. */
static int check_paths(const struct task *t, struct err *err)
{
    size_t n = strlen(t->path);
    char *merged = finetune_merged_path(t);
    int rc = io_tree_check(t->path, artifact_is_part, err);

    if (rc == 0 && strncmp(t->run, t->path, n) == 0 &&
        (t->run[n] == '/' || !t->run[n]))
        rc = err_set(err, ERR_INVALID,
                     "--run %s: lies in the model's directory, which is "
                     "replaced as a whole; name another",
                     t->run);
    if (rc == 0 && t->f->merge)
        rc = io_tree_check(merged, artifact_is_part, err);
    free(merged);
    return rc;
}

int finetune_choose_paths(struct task *t, struct err *err)
{
    char *run;
    int rc = t->f->output ? take_output(t, err) : 0;

    if (rc == 0)
        rc = choose_name(t, err);
    if (rc < 0)
        return rc;
    run = mem_printf("%s-%.8s", t->name, t->fingerprint);
    t->path = t->f->output ? mem_strdup(t->f->output)
                           : store_path(t, "models", t->model_name);
    t->run = t->f->run ? mem_strdup(t->f->run) : store_path(t, "runs", run);
    free(run);
    rc = find_replaced(t, err);
    return rc < 0 ? rc : check_paths(t, err);
}

/*
 * tasks_embedder.c - which embedder a store's tasks belong to
 *
 * Vectors of two embedders have nothing to do with each other. So the tasks
 * remember whose they are, by name and by a hash of the content, and nothing
 * is assigned by another: it is refused, with what to do.
 */
#include "tasks/tasks_store.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* "DIR (0123456789ab)"; the caller frees it. */
static char *embedder_text(const char *name, const unsigned char *id)
{
    if (!id)
        return mem_strdup("the built-in embedder");
    return mem_printf("the encoder %s (%02x%02x%02x%02x%02x%02x)",
                      name ? name : "of a path unknown", id[0], id[1], id[2],
                      id[3], id[4], id[5]);
}

static int open_embedder(struct tasks_embedder *e, struct err *err)
{
    int rc;

    if (e->is_open)
        return 0;
    rc = e->open(e, err);
    if (rc == 0 && (e->dims == 0 || e->dims > TASKS_DIMS_MAX))
        rc = err_set(err, ERR_LIMIT,
                     "%s: vectors of %zu numbers; 1 to %d can "
                     "be used",
                     e->name, e->dims, TASKS_DIMS_MAX);
    e->is_open = rc == 0;
    return rc;
}

static bool is_same(const struct tasks_embedder *e, const unsigned char *id)
{
    return e && id ? memcmp(e->id, id, sizeof(e->id)) == 0 : !e && !id;
}

/* The tasks' embedder cannot be had: what is wrong, and what to do. */
static int refuse_lost(const struct tasks_fitted *f, struct err *err)
{
    char *old = embedder_text(f->embedder, tasks_model_embedder(f->model));
    struct err why = *err;
    int rc = err_set(err, why.code,
                     "the tasks were found with %s, which cannot be used: %s; "
                     "give the directory where it is now with --embedder, or "
                     "find the tasks again: --refit --embedder builtin",
                     old, why.msg);

    free(old);
    return rc;
}

static int refuse_changed(const struct tasks_fitted *f,
                          const struct tasks_embedder *e, struct err *err)
{
    char *old = embedder_text(f->embedder, tasks_model_embedder(f->model));
    int rc = err_set(err, ERR_INVALID,
                     "the tasks were found with %s, whose content has changed "
                     "since (%02x%02x%02x%02x%02x%02x); find them again with "
                     "--refit, or put back what it was",
                     old, e->id[0], e->id[1], e->id[2], e->id[3], e->id[4],
                     e->id[5]);

    free(old);
    return rc;
}

static int refuse_other(const struct tasks_fitted *f,
                        const struct tasks_embedder *e, struct err *err)
{
    char *old = embedder_text(f->embedder, tasks_model_embedder(f->model));
    char *new = embedder_text(e ? e->name : NULL, e ? e->id : NULL);
    int rc = err_set(err, ERR_INVALID,
                     "the tasks were found with %s, not with %s; find them "
                     "again with --refit, or go on with --embedder %s",
                     old, new, f->embedder ? f->embedder : "builtin");

    free(old);
    free(new);
    return rc;
}

int tasks_embedder_use(const struct tasks_fitted *f, struct tasks_embedder *e,
                       bool any, struct err *err)
{
    int rc = e ? open_embedder(e, err) : 0;

    if (rc < 0 && f->model && f->embedder && strcmp(f->embedder, e->name) == 0)
        return refuse_lost(f, err);
    if (rc < 0 || any || !f->model)
        return rc;
    if (is_same(e, tasks_model_embedder(f->model)))
        return 0;
    bool here = e && f->embedder && strcmp(f->embedder, e->name) == 0;
    return here ? refuse_changed(f, e, err) : refuse_other(f, e, err);
}

int tasks_embedder_name(struct store *s, char **name, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT json_extract(detail, '$.embedder') "
                     "FROM clustering ORDER BY id DESC LIMIT 1",
                     &q, err);

    *name = NULL;
    if (rc < 0 || (rc = sql_step(q, err)) <= 0)
        return rc;
    if (!sql_is_null(q, 0))
        *name = slice_dup(sql_text(q, 0));
    sql_reset(q);
    return 0;
}

int tasks_embedder_moved(struct store *s, struct tasks_fitted *f,
                         const struct tasks_embedder *e, struct err *err)
{
    struct sql_stmt *q;
    int rc;

    if (!e || !e->is_open || !f->model || !f->id ||
        (f->embedder && strcmp(f->embedder, e->name) == 0))
        return 0;
    rc = sql_get(store_sql(s),
                 "UPDATE clustering SET detail = json_set(detail, "
                 "'$.embedder', ?2) WHERE id = ?1",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, f->id);
    sql_bind_cstr(q, 2, e->name);
    return sql_run(q, err);
}

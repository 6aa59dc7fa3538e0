/*
 * retrain_keep.c - versions that have had their time
 *
 * Nightly candidates would fill a disk. Only what retrain made is touched, and
 * never what answers, what a rollback goes back to, or what another rests on.
 * Rows and results stay; files go when they lie in the store.
 */
#include "retrain/retrain_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct old {
    int64_t model;
    char *path, *run;
    bool retired;
};
struct old_list {
    struct old *v;
    size_t count, cap;
};

/* Of the tasks of the run: all but the newest ?2 that a run has gated. */
#define OLD                                                                    \
    "WITH made AS (SELECT m.id, placed(m.path, '', 0) AS path, "               \
    "placed(m.run, '', 0) AS run, m.retired, row_number() OVER "               \
    "(PARTITION BY m.task ORDER BY m.id DESC) AS place FROM model m WHERE "    \
    "m.id IN (SELECT detail ->> '$.model' FROM retrain_step WHERE step = "     \
    "'gate') AND m.task IN (SELECT task FROM retrain_step WHERE run = ?1 AND " \
    "step = 'train')) SELECT id, path, run, retired NOTNULL FROM made WHERE "  \
    "place > ?2 AND id NOT IN (SELECT model FROM champion) AND id NOT IN "     \
    "(SELECT e.before FROM champion c JOIN registry_event e ON e.id = "        \
    "c.event WHERE e.before NOTNULL) AND id NOT IN (SELECT base FROM model "   \
    "WHERE base NOTNULL) ORDER BY id"

static int read_old(struct store *s, int64_t run, int64_t keep,
                    struct old_list *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), OLD, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    sql_bind_int(q, 2, keep);
    while ((rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&out->v, &out->cap, out->count + 1, sizeof(*out->v));
        out->v[out->count++] = (struct old){ .model = sql_int(q, 0),
                                             .path = slice_dup(sql_text(q, 1)),
                                             .run = slice_dup(sql_text(q, 2)),
                                             .retired = sql_int(q, 3) != 0 };
    }
    return rc;
}

static int retire(struct store *s, int64_t model, struct err *err)
{
    int rc = sql_begin(store_sql(s), err);

    if (rc < 0)
        return rc;
    rc = store_model_retire(s, model, "retrain", "older than --keep lets be",
                            err);
    if (rc == 0)
        rc = sql_commit(store_sql(s), err);
    if (rc < 0)
        sql_rollback(store_sql(s));
    return rc;
}

/* kind: the store's directory for such. What lies elsewhere is the user's. */
static void remove_below(const struct store *s, const char *kind,
                         const char *path)
{
    char *root = io_path(store_dir(s), kind), *real = realpath(root, NULL);
    char *it = *path ? realpath(path, NULL) : NULL;
    size_t n = real ? strlen(real) : 0;

    if (it && real && strncmp(it, real, n) == 0 && it[n] == '/' &&
        !strchr(it + n + 1, '/'))
        io_tree_remove(it);
    free(it);
    free(real);
    free(root);
}

int retrain_trim(struct store *s, int64_t run, int64_t keep, struct err *err)
{
    struct old_list old = { 0 };
    int rc = keep ? read_old(s, run, keep, &old, err) : 0;

    for (size_t i = 0; i < old.count; i++) {
        if (rc == 0 && !old.v[i].retired)
            rc = retire(s, old.v[i].model, err);
        if (rc == 0) {
            remove_below(s, "models", old.v[i].path);
            remove_below(s, "runs", old.v[i].run);
        }
        free(old.v[i].path);
        free(old.v[i].run);
    }
    free(old.v);
    return rc;
}

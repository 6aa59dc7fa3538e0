/*
 * tasks_edit.c - what a person decides, and what people and programs read
 */
#include "tasks/tasks.h"

#include "base/mem.h"
#include "registry/registry.h"

#include <string.h>

#define ROWS_PER_TRANSACTION 2000

static int check_name(const char *name, struct err *err)
{
    int rc = store_name_check("task name", name, err);

    if (rc == 0 && strspn(name, "0123456789") == strlen(name))
        rc = err_set(err, ERR_INVALID,
                     "task name %s: digits alone would be a task's number",
                     name);
    return rc;
}

/* Run `text` with up to two integers and a name bound as ?1 ?2 ?3. */
static int run_bound(struct store *s, const char *text, int64_t a, int64_t b,
                     const char *name, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, a);
    if (strstr(text, "?2"))
        sql_bind_int(q, 2, b);
    if (name)
        sql_bind_cstr(q, 3, name);
    return sql_run(q, err);
}

int tasks_rename(struct store *s, const char *task, const char *name,
                 struct err *err)
{
    int64_t id, other;
    int rc = check_name(name, err);

    if (rc == 0)
        rc = store_task_find(s, task, &id, err);
    if (rc < 0)
        return rc;
    if (store_task_find(s, name, &other, NULL) == 0 && other != id)
        return err_set(err, ERR_INVALID,
                       "task %s exists already; --merge %s,%s joins the two",
                       name, name, task);
    return run_bound(s,
                     "UPDATE task SET name = ?3, renamed = 1 "
                     "WHERE id = ?1 AND ?2 = ?2",
                     id, 0, name, err);
}

/* Calls move in small transactions; the row that says so comes last. */
static int move_calls(struct store *s, int64_t into, int64_t from,
                      struct err *err)
{
    struct sql *db = store_sql(s);
    int64_t moved;
    int rc;

    do {
        rc = sql_begin(db, err);
        if (rc == 0)
            rc = run_bound(s,
                           "UPDATE example SET task = ?1 WHERE id IN (SELECT "
                           "id FROM example WHERE task = ?2 LIMIT 2000)",
                           into, from, NULL, err);
        moved = rc == 0 ? sql_changes(db) : 0;
        if (rc == 0)
            rc = sql_commit(db, err);
        if (rc < 0)
            sql_rollback(db);
    } while (rc == 0 && moved == ROWS_PER_TRANSACTION);
    return rc;
}

/* What answers, and where calls are counted, change together. */
static int join_tasks(struct store *s, int64_t into, int64_t from,
                      struct err *err)
{
    struct sql *db = store_sql(s);
    int rc = sql_begin(db, err);

    if (rc == 0)
        rc = registry_merge(s, into, from, err);
    if (rc == 0)
        rc = run_bound(s,
                       "UPDATE task SET merged_into = ?1 "
                       "WHERE id = ?2 OR merged_into = ?2",
                       into, from, NULL, err);
    if (rc == 0)
        rc = sql_commit(db, err);
    if (rc < 0)
        sql_rollback(db);
    return rc;
}

int tasks_merge(struct store *s, const char *into, const char *from,
                struct err *err)
{
    int64_t a = 0, b = 0;
    int rc = store_task_find(s, into, &a, err);

    if (rc == 0)
        rc = store_task_find(s, from, &b, err);
    if (rc == 0 && a == b)
        rc = err_set(err, ERR_INVALID, "task %s: cannot be merged with itself",
                     into);
    if (rc == 0)
        rc = move_calls(s, a, b, err);
    return rc < 0 ? rc : join_tasks(s, a, b, err);
}

int tasks_pin(struct store *s, const char *task, bool pinned, struct err *err)
{
    int64_t id;
    int rc = store_task_find(s, task, &id, err);

    if (rc == 0)
        rc = run_bound(s, "UPDATE task SET pinned = ?1 WHERE id = ?2", pinned,
                       id, NULL, err);
    return rc;
}

int tasks_list(struct store *s,
               int (*fn)(void *ctx, const struct tasks_row *row,
                         struct err *err),
               void *ctx, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT t.id, count(*), sum(CASE WHEN c.tokens_in IS NULL AND "
        "c.tokens_out IS NULL THEN c.raw / 4 ELSE coalesce(c.tokens_in, 0) + "
        "coalesce(c.tokens_out, 0) END), coalesce(avg(e.novelty), 0), "
        "t.pinned, t.renamed, t.name, "
        "open_text(t.label, 'task.label', t.id), t.kind, "
        "open_text(t.detail, 'task.detail', t.id) "
        "FROM example e JOIN task t ON t.id = e.task "
        "JOIN call c ON c.id = e.call WHERE e.kept "
        "GROUP BY t.id ORDER BY count(*) DESC, t.name",
        &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        struct tasks_row row = {
            .id = sql_int(q, 0),
            .calls = sql_int(q, 1),
            .tokens = sql_int(q, 2),
            .novelty = sql_double(q, 3),
            .pinned = sql_int(q, 4),
            .renamed = sql_int(q, 5),
            .name = sql_text(q, 6),
            .label = sql_text(q, 7),
            .kind = sql_text(q, 8),
            .detail = sql_text(q, 9),
        };
        rc = fn(ctx, &row, err);
        if (rc < 0) {
            sql_reset(q);
            break;
        }
    }
    return rc;
}

int tasks_assignments(struct store *s,
                      int (*fn)(void *ctx, const struct tasks_assignment *a,
                                struct err *err),
                      void *ctx, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT e.call, s.name, c.line, t.name, e.novelty "
                     "FROM example e JOIN call c ON c.id = e.call "
                     "LEFT JOIN source s ON s.id = c.source "
                     "LEFT JOIN task t ON t.id = e.task "
                     "WHERE e.kept ORDER BY e.id",
                     &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        struct tasks_assignment a = {
            .call = sql_int(q, 0),
            .source = sql_text(q, 1),
            .line = sql_is_null(q, 2) ? -1 : sql_int(q, 2),
            .task = sql_text(q, 3),
            .novelty = sql_is_null(q, 4) ? 1 : sql_double(q, 4),
        };
        rc = fn(ctx, &a, err);
        if (rc < 0) {
            sql_reset(q);
            break;
        }
    }
    return rc;
}

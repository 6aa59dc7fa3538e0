/*
 * registry_resume.c - the end of a step back
 *
 * A task that stepped back did so for what its champion of then had answered:
 * another champion begins anew, and a person may end it at any time.
 */
#include "registry/registry_private.h"

int registry_resume_in(struct store *s, int64_t root, const char *command,
                       const char *reason, bool *was, struct err *err)
{
    const struct registry_event e = {
        .task = root, .kind = "resume", .command = command, .reason = reason
    };
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "DELETE FROM route WHERE task = ?1 OR task IN (SELECT id "
                     "FROM task WHERE merged_into = ?1)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, root);
    rc = sql_run(q, err);
    if (rc < 0)
        return rc;
    *was = sql_changes(store_sql(s)) > 0;
    return *was ? registry_event_add(s, &e, NULL, err) : ERR_OK;
}

int registry_resume(struct store *s, int64_t task, const char *command,
                    const char *reason, struct err *err)
{
    int64_t root;
    bool was = false;
    int rc = sql_begin(store_sql(s), err);

    if (rc < 0)
        return rc;
    rc = registry_root(s, task, &root, err);
    if (rc == ERR_OK)
        rc = registry_resume_in(s, root, command, reason, &was, err);
    if (rc == ERR_OK && !was)
        rc = err_set(err, ERR_NOTFOUND, "the task has not stepped back");
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(s), err);
    if (rc < 0)
        sql_rollback(store_sql(s));
    return rc;
}

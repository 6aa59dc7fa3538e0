/*
 * store_retire.c - a model that is not to answer any more
 *
 * Here and not in the registry, because an erase retires what learnt from the
 * calls in the transaction that notes them.
 */
#include "store/store_private.h"

#include "base/clock.h"

/* A row for each task that the model was the champion of, else one. */
static const char ADD_EVENTS[] =
    "INSERT INTO registry_event(time, task, model, before, kind, command, "
    "reason) SELECT ?2, coalesce(c.task, m.task), m.id, c.model, 'retire', ?3, "
    "?4 FROM model m LEFT JOIN champion c ON c.model = m.id WHERE m.id = ?1 "
    "AND m.retired IS NULL";

static int run_with(struct store *s, const char *text, int64_t model,
                    const char *command, const char *reason, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, model);
    if (command) {
        sql_bind_int(q, 2, clock_wall_us());
        sql_bind_cstr(q, 3, command);
        sql_bind_cstr(q, 4, reason);
    }
    return sql_run(q, err);
}

int store_model_retire(struct store *s, int64_t model, const char *command,
                       const char *reason, struct err *err)
{
    int rc = run_with(s, ADD_EVENTS, model, command, reason, err);

    if (rc == ERR_OK)
        rc = run_with(s, "DELETE FROM champion WHERE model = ?", model, NULL,
                      NULL, err);
    if (rc == ERR_OK)
        rc = run_with(s,
                      "UPDATE model SET retired = (SELECT max(time) FROM "
                      "registry_event WHERE model = ?1 AND kind = 'retire') "
                      "WHERE id = ?1 AND retired IS NULL",
                      model, NULL, NULL, err);
    return rc;
}

/*
 * registry_merge.c - two tasks become one: who answers it
 *
 * The champion of the task that stays goes on; where it has none, that of the
 * other answers for both. So a task that is a part of another never has a
 * champion, and nobody has to look for one there.
 */
#include "registry/registry_private.h"

#include <stdio.h>

#define OF_PART                                                                \
    "task = ?1 OR task IN (SELECT id FROM task WHERE merged_into = ?1)"

static int run_with(struct store *s, const char *text, int64_t part,
                    int64_t whole, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, part);
    if (whole)
        sql_bind_int(q, 2, whole);
    return sql_run(q, err);
}

static int tell(struct store *s, int64_t task, int64_t model, int64_t before,
                struct err *err)
{
    const struct registry_event e = {
        .task = task,
        .model = model,
        .before = before,
        .kind = "merge",
        .command = "cluster --merge",
        .reason = model == before
                      ? "it answered the task that became a part of this one"
                      : "the task that became a part of this one had another",
    };

    return registry_event_add(s, &e, NULL, err);
}

/* The champion and what it stepped back from. */
static int move_rows(struct store *s, int64_t into, int64_t from,
                     struct err *err)
{
    int rc = run_with(s, "UPDATE champion SET task = ?2 WHERE " OF_PART, from,
                      into, err);

    return rc < 0 ? rc
                  : run_with(s,
                             "UPDATE OR REPLACE route SET task = ?2 "
                             "WHERE " OF_PART,
                             from, into, err);
}

static int drop_rows(struct store *s, int64_t from, struct err *err)
{
    int rc = run_with(s, "DELETE FROM champion WHERE " OF_PART, from, 0, err);

    return rc < 0
               ? rc
               : run_with(s, "DELETE FROM route WHERE " OF_PART, from, 0, err);
}

int registry_merge(struct store *s, int64_t into, int64_t from, struct err *err)
{
    int64_t now = 0, part = 0;
    int rc = registry_champion(s, into, &now, err);

    if (rc == ERR_OK)
        rc = registry_champion(s, from, &part, err);
    if (rc == ERR_OK && part)
        rc = tell(s, into, now ? now : part, part, err);
    if (rc < 0)
        return rc;
    return now || !part ? drop_rows(s, from, err)
                        : move_rows(s, into, from, err);
}

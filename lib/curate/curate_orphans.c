/*
 * curate_orphans.c - duplicates whose example is gone
 *
 * A duplicate is dropped because another call says the same. Where that one was
 * retried later, erased, or cannot be scrubbed, the first of its duplicates
 * takes its place, and the others are told so. Which one that is the index
 * says; what has an example, the store.
 */
#include "curate/curate_priv.h"

static const char select_orphans[] =
    "SELECT e.call FROM example e WHERE e.reason = 'duplicate' AND e.request "
    "IS NULL AND NOT EXISTS (SELECT 1 FROM example o WHERE o.call = "
    "e.duplicate_of AND o.request NOTNULL) ORDER BY e.call";

enum state { NOTHING, WAITING, EXAMPLE };

static int find_state(struct store *s, int64_t call, enum state *state,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT request NOTNULL, reason = 'duplicate' FROM "
                        "example WHERE call = ?",
                        call, &q, err);

    *state = NOTHING;
    if (rc != 1)
        return rc;
    *state = sql_int(q, 0) ? EXAMPLE : sql_int(q, 1) ? WAITING : NOTHING;
    sql_reset(q);
    return ERR_OK;
}

/* The call that stands for this one, and has an example or may have one. */
static int find_head(struct store *s, struct curate_index *index, int64_t call,
                     int64_t *head, enum state *state, struct err *err)
{
    int64_t known = *head;
    int rc = ERR_OK;

    while (rc == ERR_OK) {
        *head = curate_index_head(index, call);
        if (!*head || *head == call || (*head == known && *state != NOTHING))
            break;
        rc = find_state(s, *head, state, err);
        if (rc == ERR_OK && *state != NOTHING)
            break;
        if (rc == ERR_OK)
            curate_index_gone(index, *head);
    }
    return rc;
}

int curate_orphans(struct store *s, struct curate_index *index, struct map *due,
                   struct map *links, struct err *err)
{
    struct sql_stmt *q;
    int64_t head = 0;
    enum state state = NOTHING;
    int rc = sql_get(store_sql(s), select_orphans, &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        int64_t call = sql_int(q, 0);

        rc = find_head(s, index, call, &head, &state, err);
        if (rc < 0)
            break;
        if (head == call) {
            state = WAITING;
            (void)map_put(due, &call, sizeof(call), NULL);
        } else if (head && state == EXAMPLE) {
            *map_put(links, &call, sizeof(call), NULL) = (uint64_t)head;
        }
    }
    sql_reset(q);
    return rc;
}

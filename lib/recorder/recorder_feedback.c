/*
 * recorder_feedback.c - outcomes that come back for a call
 *
 * Feedback may overtake its call, which is still in the queue or in a segment:
 * then it waits in a table of the store, by the call's key.
 */
#include "recorder/recorder_private.h"

#include "base/clock.h"

#include <string.h>

/* The key of a call stays known where the call itself was removed. */
static int is_there(struct recorder *r, int64_t call, bool *there,
                    struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(r->store),
                        "SELECT 1 FROM logged WHERE id = ?", call, &q, err);

    *there = rc == 1;
    if (rc == 1)
        sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int set_outcome(struct recorder *r, int64_t call, struct slice body,
                       struct err *err)
{
    struct store_outcome o = { 0 };
    struct wire_record w = { 0 };
    bool there = false;
    int rc = wire_outcome_read(&w, body, &o, err);

    if (rc == ERR_OK)
        rc = recorder_of_store(is_there(r, call, &there, err));
    if (rc == ERR_OK && there)
        rc = recorder_of_store(store_outcome_set(r->store, call, &o, err));
    wire_record_release(&w);
    return rc;
}

static int keep_waiting(struct recorder *r, struct slice key, int64_t time_us,
                        struct slice body, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(r->store),
                     "INSERT INTO feedback(key, time, body) VALUES(?1, ?2, "
                     "seal_text(?3, 'feedback.body', ?2))",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, key.p, key.n);
    sql_bind_int(q, 2, time_us);
    sql_bind_text(q, 3, body);
    r->has_feedback = true;
    return sql_run(q, err);
}

int recorder_add_feedback(struct recorder *r, struct recorder_item *i,
                          struct err *err)
{
    unsigned char key[RECORDER_KEY_BYTES];
    struct slice named = { (char *)key, sizeof(key) };
    struct slice body;
    int64_t call;
    int rc;

    if (i->bytes.len < RECORDER_ID_CHARS)
        return err_set(err, ERR_FORMAT, "feedback without an id");
    body = (struct slice){ i->bytes.data + RECORDER_ID_CHARS,
                           i->bytes.len - RECORDER_ID_CHARS };
    recorder_call_key(i->bytes.data, key);
    rc = store_call_find(r->store, named, &call, err);
    if (rc < 0)
        return rc;
    if (call < 0) /* removed: nobody waits for that */
        return ERR_OK;
    return call ? set_outcome(r, call, body, err)
                : keep_waiting(r, named, clock_wall_us(), body, err);
}

int recorder_apply_waiting(struct recorder *r, struct slice key,
                           struct err *err)
{
    struct buf body = { .data = NULL };
    struct sql_stmt *q;
    int64_t call;
    int rc =
        sql_get(store_sql(r->store),
                "DELETE FROM feedback WHERE rowid = (SELECT min(rowid) "
                "FROM feedback WHERE key = ? AND "
                "peek_text(body, 'feedback.body', time) NOTNULL) RETURNING "
                "open_text(body, 'feedback.body', time)",
                &q, err);

    while (rc == ERR_OK) {
        sql_bind_blob(q, 1, key.p, key.n);
        rc = sql_step(q, err);
        if (rc <= 0)
            break;
        buf_reset(&body);
        buf_add_slice(&body, sql_text(q, 0));
        rc = sql_run(q, err);
        if (rc == ERR_OK)
            rc = store_call_find(r->store, key, &call, err);
        if (rc == ERR_OK)
            rc = set_outcome(r, call, buf_slice(&body), err);
        if (rc == ERR_FORMAT || rc == ERR_LIMIT)
            rc = ERR_OK;
    }
    buf_release(&body);
    return rc;
}

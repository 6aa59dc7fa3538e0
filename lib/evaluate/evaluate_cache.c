/*
 * evaluate_cache.c - single answers, kept by what was asked of whom
 *
 * The key is a keyed hash of who answers and of the whole request, so another
 * model, prompt or setting is another key. What is kept goes with its example.
 */
#include "evaluate/evaluate_private.h"

#include "base/clock.h"

#include <string.h>

int evaluate_cache_get(struct store *s, const unsigned char key[16],
                       struct buf *answer, bool *found, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "SELECT open_text(answer, 'answer_cache.answer', id) FROM "
                     "answer_cache WHERE key = ?1",
                     &q, err);

    *found = false;
    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, key, 16);
    rc = sql_step(q, err);
    if (rc == 1) {
        buf_add_slice(answer, sql_text(q, 0));
        *found = true;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

int evaluate_cache_put(struct store *s, const unsigned char key[16],
                       int64_t example, struct slice answer, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT OR IGNORE INTO answer_cache(id, key, example, "
                     "time, answer) SELECT n, ?1, ?2, ?3, seal_text(?4, "
                     "'answer_cache.answer', n) FROM (SELECT "
                     "coalesce(max(id), 0) + 1 AS n FROM answer_cache)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, key, 16);
    sql_bind_int(q, 2, example);
    sql_bind_int(q, 3, clock_wall_us());
    sql_bind_text(q, 4, answer);
    return sql_run(q, err);
}

int evaluate_cache_trim(struct store *s, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "DELETE FROM answer_cache WHERE id <= (SELECT max(id) "
                     "FROM answer_cache) - ?1",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, EVALUATE_CACHED);
    return sql_run(q, err);
}

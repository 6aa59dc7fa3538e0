/* retrain_tell.c - what a run did, task by task */
#include "retrain/retrain_private.h"

#include "base/mem.h"

#include <stdlib.h>

/* Copies, for fn may use the store's statements. */
static char *text_at(struct sql_stmt *q, int i)
{
    return sql_is_null(q, i) ? NULL : slice_dup(sql_text(q, i));
}

static int tell_row(struct sql_stmt *q,
                    int (*fn)(void *ctx, const struct retrain_told *t,
                              struct err *err),
                    void *ctx, struct err *err)
{
    char *text[7];
    struct retrain_told t = { .task = sql_int(q, 0),
                              .model = sql_int(q, 1),
                              .before = sql_int(q, 2),
                              .trained = sql_int(q, 1) != 0,
                              .failed = sql_int(q, 8) != 0,
                              .promoted = sql_int(q, 9) != 0 };
    int rc;

    for (int i = 0; i < 5; i++)
        text[i] = text_at(q, 3 + i);
    text[5] = text_at(q, 10);
    text[6] = text_at(q, 11);
    t.name = text[0];
    t.due = text[1];
    t.train = text[2];
    t.gate = text[3];
    t.model_name = text[4];
    t.moved = text[5];
    t.before_name = text[6];
    rc = fn(ctx, &t, err);
    for (int i = 0; i < 7; i++)
        free(text[i]);
    return rc;
}

int retrain_tell(struct store *s, int64_t run,
                 int (*fn)(void *ctx, const struct retrain_told *t,
                           struct err *err),
                 void *ctx, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(s),
        "SELECT t.task, g.detail ->> '$.model', g.detail ->> '$.champion', "
        "k.name, t.why, t.detail ->> '$.failed', coalesce(p.detail ->> "
        "'$.failed', g.detail ->> '$.failed', g.why), m.name, "
        "coalesce(t.status, 0) OR coalesce(g.status, 0) OR coalesce(p.status, "
        "0), p.status = 0, t.detail ->> '$.moved', b.name FROM retrain_step t "
        "JOIN "
        "task k ON k.id = t.task "
        "LEFT JOIN retrain_step g ON g.run = t.run AND g.task = t.task AND "
        "g.step = 'gate' LEFT JOIN retrain_step p ON p.run = t.run AND p.task "
        "= t.task AND p.step = 'promote' LEFT JOIN model m ON m.id = (g.detail "
        "->> '$.model') LEFT JOIN model b ON b.id = iif(g.run IS NULL, (SELECT "
        "c.model FROM champion c WHERE c.task = t.task), g.detail ->> "
        "'$.champion') WHERE t.run = ? AND t.step = 'train' ORDER BY t.task",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, run);
    while ((rc = sql_step(q, err)) == 1) {
        rc = tell_row(q, fn, ctx, err);
        if (rc < 0) {
            sql_reset(q);
            return rc;
        }
    }
    return rc;
}

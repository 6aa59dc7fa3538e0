/*
 * store_decision.c - decisions about calls that were removed go, too
 *
 * A decision knows its call by its key, which a removed call keeps, so that
 * no index is needed: each removal goes through the decisions once, in short
 * transactions.
 */
#include "store/store_remove.h"

#define BATCH 512
#define OF_REMOVED                                                             \
    " WHERE id > ?1 AND id <= ?2 AND EXISTS (SELECT 1 FROM call_key k JOIN "   \
    "tombstone t ON t.call = k.call WHERE k.key = decision.key)"

struct pass {
    struct store *s;
    const char *text;
    int64_t at, high;
};

static bool has_more(void *pass)
{
    const struct pass *p = pass;

    return p->at < p->high;
}

static int treat_some(void *pass, struct err *err)
{
    struct pass *p = pass;
    struct sql_stmt *q;
    int rc = sql_get(p->s->db, p->text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, p->at);
    sql_bind_int(q, 2, p->at + BATCH);
    p->at += BATCH;
    return sql_run(q, err);
}

static int treat_all(struct store *s, const char *text, int64_t high,
                     struct err *err)
{
    struct pass p = { .s = s, .text = text, .high = high };
    const struct store_turn turn = { .next = has_more,
                                     .step = treat_some,
                                     .ctx = &p };
    int rc = ERR_OK;

    while (rc == ERR_OK && has_more(&p))
        rc = store_turn_take(s, &turn, err);
    return rc;
}

int store_remove_decisions(struct store *s, bool erase, struct err *err)
{
    int64_t high = 0;
    int rc = sql_one_int(s->db, "SELECT max(id) FROM decision", 0, &high, err);

    if (rc == ERR_OK && erase)
        rc = treat_all(s, "UPDATE decision SET " STORE_BLANK(answer) OF_REMOVED,
                       high, err);
    return rc < 0 ? rc
                  : treat_all(s, "DELETE FROM decision" OF_REMOVED, high, err);
}

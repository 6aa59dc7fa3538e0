/*
 * curate_settle.c - all examples looked at together
 *
 * Settling starts from what the passes have found and from the splits that are
 * there, and says the rest anew each time; it is skipped if nothing that it
 * depends on has changed. What it depends on stands in a setting.
 */
#include "curate/curate_settle.h"

#include <string.h>

#define SETTING "curate.settled"

/* Over the bytes of all outcomes as they are stored: that they are encrypted
 * anew counts as a change, which costs a settling and changes nothing. */
static int hash_outcomes(struct curate_settling *k, uint64_t *hash)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store),
                     "SELECT call, time, reward, label, answer, extra FROM "
                     "outcome ORDER BY call",
                     &q, k->err);

    *hash = 0;
    while (rc >= 0 && (rc = sql_step(q, k->err)) == 1)
        for (int i = 0; i < 6; i++) {
            struct slice v = sql_blob(q, i); /* numbers as text */

            *hash = hash_stable(v.p ? v.p : "", v.n, *hash + (uint64_t)i);
        }
    return rc;
}

/* Four parts, a line each: how splits are divided, their shares, other options,
 * and what the store has. */
static int describe(struct curate_settling *k, struct buf *out)
{
    static const char *const answers[] = { "all", "majority", "latest",
                                           "none" };
    const struct curate_options *o = k->o;
    uint64_t outcomes;
    struct sql_stmt *q;
    int rc = hash_outcomes(k, &outcomes);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->store),
                     "SELECT count(*), total(call) FROM example WHERE request "
                     "NOTNULL",
                     &q, k->err);
    if (rc == ERR_OK)
        rc = sql_step(q, k->err);
    if (rc < 0)
        return rc;
    buf_printf(out, "%s%s\n%u,%u,%u\n", o->by_time ? "time" : "strata",
               o->by_client ? ", client" : "", o->shares[0], o->shares[1],
               o->shares[2]);
    buf_printf(out, "engine %s; similarity %g; answers %s; filters ",
               CURATE_ENGINE,
               o->similarity > 0 ? o->similarity : DEDUP_THRESHOLD,
               answers[o->answers]);
    curate_filters_put(o->changed, out);
    for (size_t i = 0; i < o->require_count; i++)
        buf_printf(out, "; require %s", o->require_text[i]);
    buf_printf(out, "\noutcomes %016llx examples %lld %.17g",
               (unsigned long long)outcomes, (long long)sql_int(q, 0),
               sql_double(q, 1));
    sql_reset(q);
    return ERR_OK;
}

static struct slice line_of(struct slice text, int line)
{
    for (;;) {
        const char *nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
        size_t n = nl ? (size_t)(nl - text.p) : text.n;

        if (line-- == 0 || !nl)
            return (struct slice){ text.p, line < 0 ? n : 0 };
        text.p += n + 1;
        text.n -= n + 1;
    }
}

static bool is_same(const struct buf *a, const struct buf *b, int line)
{
    return slice_eq(line_of(buf_slice(a), line), line_of(buf_slice(b), line));
}

/* A run that was cut off has left examples without a split. */
static int is_due(struct curate_settling *k, bool same, bool *due)
{
    int64_t any = 0, open = 0;
    int rc = sql_one_int(store_sql(k->store),
                         "SELECT EXISTS (SELECT 1 FROM example WHERE request "
                         "NOTNULL)",
                         0, &any, k->err);

    if (rc == ERR_OK)
        rc = sql_one_int(store_sql(k->store),
                         "SELECT EXISTS (SELECT 1 FROM example WHERE kept AND "
                         "split IS NULL)",
                         0, &open, k->err);
    *due = any && (!same || open || k->r->fresh);
    return rc;
}

/* In one step, with what it depends on: of half of it the next run could not
 * tell what was there before. Others who write wait for it, some 4 seconds for
 * a million examples that change. */
static int write_all(struct curate_settling *k, const char *setting)
{
    struct sql *db = store_sql(k->store);
    int rc = sql_begin(db, k->err);

    if (rc < 0)
        return rc;
    rc = curate_rows_write(k);
    if (rc == ERR_OK)
        rc = store_setting_set(k->store, SETTING, setting, k->err);
    if (rc == ERR_OK)
        rc = sql_commit(db, k->err);
    if (rc < 0 && sql_in_transaction(db))
        sql_rollback(db);
    return rc;
}

static int settle(struct curate_settling *k, const char *setting)
{
    int64_t opened = 0;
    int rc =
        sql_one_int(store_sql(k->store), "SELECT EXISTS (SELECT 1 FROM seal)",
                    0, &opened, k->err);

    k->opened = opened != 0;
    if (rc == ERR_OK)
        rc = curate_rows_load(k);
    if (rc == ERR_OK && stop_requested())
        rc = err_set(k->err, ERR_INTERRUPTED,
                     "stopped before the splits were made; run again to go on");
    if (rc == ERR_OK) {
        curate_settle_outcomes(k);
        curate_settle_answers(k);
        curate_settle_near(k);
        curate_settle_splits(k);
        curate_settle_agreement(k);
        rc = write_all(k, setting);
    }
    curate_rows_free(k);
    return rc;
}

int curate_settle(struct store *s, const struct curate_options *o,
                  const struct curate_dialogues *dialogues, struct pool *pool,
                  struct curate_result *r, struct err *err)
{
    struct curate_settling k = { .store = s,
                                 .o = o,
                                 .dialogues = dialogues,
                                 .pool = pool,
                                 .r = r,
                                 .err = err };
    struct buf was = { 0 }, now = { 0 };
    bool found = false, due = false;
    int rc = store_setting_get(s, SETTING, &was, &found, err);

    if (rc == ERR_OK)
        rc = describe(&k, &now);
    if (rc == ERR_OK)
        rc = is_due(&k, found && slice_eq(buf_slice(&was), buf_slice(&now)),
                    &due);
    if (rc == ERR_OK && due) {
        k.divide = found && !is_same(&was, &now, 0);
        k.share = found && !is_same(&was, &now, 1);
        k.anew = !found || k.divide || k.share || !is_same(&was, &now, 2);
        rc = settle(&k, now.data);
        r->settled = rc == ERR_OK;
        r->divided = k.divide || k.share;
    }
    buf_release(&was);
    buf_release(&now);
    return rc;
}

/*
 * store_remove.c - calls taken out of the store, and what is made of them
 *
 * A removed call leaves a tombstone: its commitment, for the chain, and its
 * key, so that it is not imported again. Its outcome, its example and what
 * rests on the example go with it. What is looked up takes its time outside
 * of transactions; these are short, since a proxy wants to write as well.
 */
#include "store/store_remove.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256

static void pause_for_others(void)
{
    /* They try each half millisecond (lib/sql). */
    const struct timespec turn = { 0, 1200000 };

    (void)nanosleep(&turn, NULL);
}

/* What the last commit took is left for the next. */
static int64_t work_ns(const struct store *s)
{
    int64_t left = STORE_TURN_NS - s->commit_ns;

    return left > STORE_TURN_NS / 10 ? left : STORE_TURN_NS / 10;
}

int store_turn_take(struct store *s, const struct store_turn *t,
                    struct err *err)
{
    int64_t until, worked;
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    until = clock_mono_ns() + work_ns(s);
    if (t->first)
        rc = t->first(t->ctx, err);
    while (rc == ERR_OK && t->next(t->ctx) && clock_mono_ns() < until)
        rc = t->step(t->ctx, err);
    worked = clock_mono_ns();
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    s->commit_ns = clock_mono_ns() - worked;
    if (rc < 0)
        sql_rollback(s->db);
    pause_for_others();
    if (rc == ERR_OK && stop_requested())
        rc = err_set(err, ERR_INTERRUPTED,
                     "interrupted; run it again, it goes on");
    return rc;
}

int store_epoch_bump(struct store *s, struct err *err)
{
    return sql_exec(s->db,
                    "INSERT INTO setting(name, value) VALUES('epoch', '1') ON "
                    "CONFLICT(name) DO UPDATE SET value = value + 1",
                    err);
}

int store_floor_raise(struct store *s, const char *name, int64_t value,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO setting(name, value) VALUES(?1, ?2) ON "
                     "CONFLICT(name) DO UPDATE SET value = ?2 WHERE "
                     "CAST(value AS INTEGER) < ?2",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_int(q, 2, value);
    return sql_run(q, err);
}

void store_ids_add(struct store_ids *l, int64_t id)
{
    void *list = l->id;

    mem_grow(&list, &l->cap, l->count + 1, sizeof(*l->id));
    l->id = list;
    l->id[l->count++] = id;
}

void store_ids_release(struct store_ids *l)
{
    free(l->id);
    *l = (struct store_ids){ 0 };
}

int store_remove_begin(struct store *s, size_t *locks, struct err *err)
{
    /* References are looked after here: SQLite would search whole tables for
     * each row. What is deleted is overwritten. */
    static const char *const pragmas[] = { "PRAGMA foreign_keys = OFF",
                                           "PRAGMA secure_delete = ON" };
    static const char *const stages[] = { "removal", "curate", "cluster",
                                          "finetune", "eval" };
    int rc = ERR_OK;

    *locks = s->lock_count;
    /* What is written to the chain, and what is packed again, is under the
     * keys that the calls came with. */
    if (s->is_sealed && !s->private_key)
        rc = store_no_private_key(s, err);
    for (size_t i = 0; rc == ERR_OK && i < sizeof(stages) / sizeof(*stages);
         i++)
        rc = store_lock(s, stages[i], err);
    for (size_t i = 0; rc == ERR_OK && i < 2; i++)
        rc = sql_exec(s->db, pragmas[i], err);
    return rc;
}

void store_remove_end(struct store *s, size_t locks)
{
    struct err err;

    store_unlock(s, locks);
    (void)(sql_exec(s->db, "PRAGMA foreign_keys = ON", &err) < 0);
    (void)(sql_exec(s->db, "PRAGMA busy_timeout = 10000", &err) < 0);
}

/* Of the commit that the call came with. Calls from before the chain have
 * commitments as well, which nothing asks for. */
static int data_key_of(struct store *s, int64_t call, int64_t *key,
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT data_key FROM ledger WHERE last >= ? ORDER BY "
                     "last LIMIT 1",
                     &q, err);

    *key = store_data_key(s);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    rc = sql_step(q, err);
    if (rc == 1) {
        *key = sql_int(q, 0);
        sql_reset(q);
    }
    return rc < 0 ? rc : ERR_OK;
}

/* found false: it is gone already. What has a tombstone keeps it: a run that
 * was killed may have overwritten the row. */
static int commitment_of(struct store_remover *r, int64_t call,
                         unsigned char out[CRYPTO_HASH_BYTES], bool *found,
                         struct err *err)
{
    struct store_call_row row;
    int64_t key;
    bool whole;
    int rc = store_tombstone_get(r->store, call, out, found, err);

    if (rc < 0 || *found)
        return rc;
    rc = data_key_of(r->store, call, &key, err);
    if (rc == ERR_OK)
        rc = store_ledger_keys(r->store, key, &r->keys, err);
    if (rc == ERR_OK)
        rc = store_call_read(r->store, call, &row, found, err);
    if (rc == ERR_OK && *found)
        rc = store_graph_commitment(r->graph, &r->keys, &row, out, &whole, err);
    store_call_read_end(r->store);
    return rc;
}

static int run_for(struct store *s, const char *text, int64_t id,
                   int64_t *changed, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_run(q, err);
    if (rc == ERR_OK && changed)
        *changed += sql_changes(s->db);
    return rc;
}

static int put_tombstone(struct store_remover *r, int64_t call,
                         const unsigned char commitment[CRYPTO_HASH_BYTES],
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(r->store->db,
                     "INSERT OR IGNORE INTO tombstone(call, time, reason, "
                     "commitment) VALUES(?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_cstr(q, 3, r->reason);
    sql_bind_blob(q, 4, commitment, CRYPTO_HASH_BYTES);
    return sql_run(q, err);
}

#define ITEMS_OF                                                               \
    " WHERE evaluation IN (SELECT id FROM evaluation) AND example = (SELECT "  \
    "id FROM example WHERE call = ?)"

static int overwrite_one(struct store_remover *r, int64_t call, struct err *err)
{
    static const char *const steps[] = {
        "UPDATE logged SET " STORE_BLANK(conversation) ", " STORE_BLANK(
            response_id) ", " STORE_BLANK(error) ", " STORE_BLANK(extra) " WHER"
                                                                         "E id "
                                                                         "= ?",
        "UPDATE outcome SET " STORE_BLANK(label) ", " STORE_BLANK(
            answer) ", " STORE_BLANK(extra) " WHERE call = ?",
        "UPDATE evaluation_item SET " STORE_BLANK(answer) ITEMS_OF,
        ("UPDATE sketch SET data = zeroblob(length(data)) WHERE example = "
         "(SELECT id FROM example WHERE call = ?)"),
        "UPDATE answer_cache SET " STORE_BLANK(
            answer) " WHERE example = (SELECT id FROM example WHERE call = ?)",
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(steps) / sizeof(*steps); i++)
        rc = run_for(r->store, steps[i], call, NULL, err);
    return rc;
}

static int delete_one(struct store_remover *r, int64_t call, struct err *err)
{
    struct store_removed *n = r->removed;
    const struct {
        const char *text;
        int64_t *count;
    } steps[] = {
        { "DELETE FROM evaluation_item" ITEMS_OF, &n->answers },
        { "DELETE FROM dataset_example WHERE dataset IN (SELECT id FROM "
          "dataset) AND example = (SELECT id FROM example WHERE call = ?)",
          NULL },
        { "DELETE FROM sketch WHERE example = (SELECT id FROM example WHERE "
          "call = ?)",
          NULL },
        { "DELETE FROM answer_cache WHERE example = (SELECT id FROM example "
          "WHERE call = ?)",
          NULL },
        { "DELETE FROM example WHERE call = ?", &n->examples },
        { "DELETE FROM outcome WHERE call = ?", &n->outcomes },
        { "DELETE FROM logged WHERE id = ?", &n->calls },
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(steps) / sizeof(*steps); i++)
        rc = run_for(r->store, steps[i].text, call, steps[i].count, err);
    return rc;
}

struct batch {
    struct store_remover *remover;
    const int64_t *call;
    unsigned char commitment[BATCH][CRYPTO_HASH_BYTES];
    bool found[BATCH];
    size_t count, done;
};

static bool has_call(void *batch)
{
    const struct batch *b = batch;

    return b->done < b->count;
}

static int treat_one(void *batch, struct err *err)
{
    struct batch *b = batch;
    size_t i = b->done++;
    int rc;

    if (!b->found[i])
        return ERR_OK;
    rc = put_tombstone(b->remover, b->call[i], b->commitment[i], err);
    return rc < 0 ? rc : b->remover->step(b->remover, b->call[i], err);
}

static int treat_batch(struct store_remover *r, const int64_t *calls,
                       size_t count, struct err *err)
{
    struct batch b = { .remover = r, .call = calls, .count = count };
    const struct store_turn turn = { .next = has_call,
                                     .step = treat_one,
                                     .ctx = &b };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = commitment_of(r, calls[i], b.commitment[i], &b.found[i], err);
    while (rc == ERR_OK && has_call(&b))
        rc = store_turn_take(r->store, &turn, err);
    return rc;
}

static int treat_all(struct store_remover *r, const struct store_ids *calls,
                     const struct progress *progress, struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < calls->count; i += BATCH) {
        size_t n = calls->count - i < BATCH ? calls->count - i : BATCH;

        progress_update(progress, "calls", i, calls->count, NULL);
        rc = treat_batch(r, calls->id + i, n, err);
    }
    return rc;
}

int store_remove_calls(struct store *s, const struct store_ids *calls,
                       bool erase, const struct progress *progress,
                       struct store_removed *removed, struct err *err)
{
    struct store_remover r = { .store = s,
                               .reason = erase ? "erased" : "pruned",
                               .removed = removed,
                               .graph = store_graph_new(s) };
    int rc = calls->count ? store_graph_load(r.graph, err) : ERR_OK;

    r.step = overwrite_one;
    if (rc == ERR_OK && erase)
        rc = treat_all(&r, calls, progress, err);
    r.step = delete_one;
    if (rc == ERR_OK)
        rc = treat_all(&r, calls, progress, err);
    if (rc == ERR_OK)
        rc = store_remove_decisions(s, erase, err);
    crypto_wipe(&r.keys, sizeof(r.keys));
    store_graph_free(r.graph);
    return rc;
}

static int free_pages(struct store *s, int64_t *pages, struct err *err)
{
    return sql_one_int(s->db, "PRAGMA freelist_count", 0, pages, err);
}

/* The write-ahead file is cut off when nobody reads from it; those who want
 * to write are not kept waiting for that. */
static int cut_log(struct store *s, bool *cut, struct err *err)
{
    struct timespec pause = { 0, 20000000 };
    int64_t busy = 1;
    int rc = sql_exec(s->db, "PRAGMA busy_timeout = 5", err);

    for (int i = 0; rc == ERR_OK && busy && i < 150; i++) {
        rc = sql_exec(s->db, "PRAGMA wal_checkpoint(PASSIVE)", err);
        if (rc == ERR_OK)
            rc = sql_one_int(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", 0, &busy,
                             err);
        if (rc == ERR_BUSY) {
            rc = ERR_OK;
            busy = 1;
        }
        if (busy)
            (void)nanosleep(&pause, NULL);
    }
    *cut = !busy;
    return rc;
}

int store_release_pages(struct store *s, bool *cut, struct err *err)
{
    int64_t pages, before = -1;
    int rc = free_pages(s, &pages, err);

    while (rc == ERR_OK && pages > 0 && pages != before) {
        before = pages;
        rc = sql_exec(s->db, "PRAGMA incremental_vacuum(128)", err);
        pause_for_others();
        if (rc == ERR_OK)
            rc = free_pages(s, &pages, err);
    }
    return rc < 0 ? rc : cut_log(s, cut, err);
}

int store_used_bytes(struct store *s, int64_t *out, struct err *err)
{
    int64_t pages, unused = 0, size = 0;
    int rc = sql_one_int(s->db, "PRAGMA page_count", 0, &pages, err);

    if (rc == ERR_OK)
        rc = free_pages(s, &unused, err);
    if (rc == ERR_OK)
        rc = sql_one_int(s->db, "PRAGMA page_size", 0, &size, err);
    if (rc == ERR_OK)
        *out = (pages - unused) * size;
    return rc;
}

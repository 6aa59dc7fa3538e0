/*
 * store_erase.c - what somebody said, taken out of everything
 *
 * What is to be done is written down first (settings erase:...), so that a
 * run that was killed is gone on with: the calls, what they were made into,
 * pieces, texts of tasks, the fitted clustering, results of evaluations,
 * dictionaries. What learnt from it is listed; weights are not changed.
 */
#include "store/store_remove.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Names of the settings; the id comes behind. */
#define WHO "erase:who"
#define NOTED(kind, at)                                                        \
    "(SELECT CAST(substr(name, " #at ") AS INTEGER) FROM setting WHERE name "  \
    "GLOB 'erase:" kind ":*')"

static const char BY_CLIENT[] =
    "INSERT OR IGNORE INTO temp.gone SELECT l.id FROM logged l JOIN origin o "
    "ON o.id = l.origin WHERE o.client = ?1 OR (json_valid(o.facts) AND "
    "(o.facts ->> 'user' IN (?1, ?2) OR o.facts ->> 'address' IN (?1, ?3) OR "
    "o.facts ->> 'key' = ?1))";
static const char BY_CONVERSATION[] =
    "INSERT OR IGNORE INTO temp.gone SELECT id FROM logged WHERE conversation "
    "= ?1";
/* A run that was killed has begun with these. */
static const char BEGUN[] =
    "INSERT OR IGNORE INTO temp.gone SELECT t.call FROM tombstone t JOIN "
    "logged l ON l.id = t.call";

static int select_calls(struct store *s, const struct store_erase *e,
                        struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_exec(s->db,
                      "CREATE TEMP TABLE IF NOT EXISTS gone(call INTEGER "
                      "PRIMARY KEY); DELETE FROM temp.gone",
                      err);

    if (rc == ERR_OK)
        rc = sql_get(s->db, e->client ? BY_CLIENT : BY_CONVERSATION, &q, err);
    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, e->client ? e->client : e->conversation);
    if (e->client) {
        sql_bind_cstr(q, 2, e->user_print);
        sql_bind_cstr(q, 3, e->address_print);
    }
    rc = sql_run(q, err);
    return rc < 0 ? rc : sql_exec(s->db, BEGUN, err);
}

/* Inside a transaction: what has to do with the calls. */
static int note_touched(struct store *s, struct err *err)
{
    static const char *const texts[] = {
        "INSERT OR IGNORE INTO setting(name, value) SELECT DISTINCT "
        "'erase:dataset:' || d.dataset, '' FROM temp.gone g JOIN example e ON "
        "e.call = g.call JOIN dataset_example d ON d.example = e.id",
        "INSERT OR IGNORE INTO setting(name, value) WITH RECURSIVE m(id) AS "
        "(SELECT id FROM model WHERE dataset IN " NOTED(
            "dataset", 15) " UNION "
                           "SELECT model.id FROM model JOIN m ON model.base = "
                           "m.id) SELECT "
                           "'erase:model:' || id, '' FROM m",
        "INSERT OR IGNORE INTO setting(name, value) SELECT DISTINCT "
        "'erase:evaluation:' || i.evaluation, '' FROM temp.gone g JOIN example "
        "e ON e.call = g.call JOIN evaluation_item i ON i.example = e.id",
        "INSERT OR IGNORE INTO setting(name, value) WITH RECURSIVE t(id) AS "
        "(SELECT e.task FROM temp.gone g JOIN example e ON e.call = g.call "
        "WHERE e.task NOTNULL UNION SELECT task.id FROM task JOIN t ON "
        "task.merged_into = t.id) SELECT 'erase:task:' || id, '' FROM t",
        "INSERT OR IGNORE INTO setting(name, value) SELECT 'erase:fit', '' "
        "WHERE EXISTS (SELECT 1 FROM temp.gone g JOIN example e ON e.call = "
        "g.call WHERE e.kept)",
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(texts) / sizeof(*texts); i++)
        rc = sql_exec(s->db, texts[i], err);
    return rc;
}

/* A data set remembers how many of its examples are gone. */
static int mark_datasets(struct store *s, struct err *err)
{
    return sql_exec(
        s->db,
        "UPDATE dataset SET detail = json_set(coalesce(detail, '{}'), "
        "'$.erased', coalesce(detail ->> 'erased', 0) + (SELECT count(*) FROM "
        "temp.gone g JOIN example e ON e.call = g.call JOIN dataset_example d "
        "ON d.example = e.id WHERE d.dataset = dataset.id)) WHERE id "
        "IN " NOTED("dataset", 15),
        err);
}

/* How many calls had been erased before this erase first began. */
static int note_before(struct store *s, struct err *err)
{
    return sql_exec(s->db,
                    "INSERT INTO setting(name, value) SELECT 'erase:before', "
                    "CAST(count(*) AS TEXT) FROM tombstone WHERE reason = "
                    "'erased'",
                    err);
}

/* What the earlier run was asked for, and this one. */
static int check_who(struct store *s, const struct store_erase *e, bool *begun,
                     struct err *err)
{
    char *who = mem_printf("--%s %s", e->client ? "client" : "conversation",
                           e->client ? e->client : e->conversation);
    struct buf was = { .data = NULL };
    int rc = store_setting_get(s, WHO, &was, begun, err);

    if (rc == ERR_OK && *begun && !slice_is(buf_slice(&was), who))
        rc = err_set(err, ERR_INVALID,
                     "an erase was cut off; run slmctl store erase %s first",
                     was.data ? was.data : "");
    if (rc == ERR_OK && !*begun)
        rc = store_setting_set(s, WHO, who, err);
    if (rc == ERR_OK && !*begun)
        rc = note_before(s, err);
    buf_release(&was);
    free(who);
    return rc;
}

/* Those of all runs; of this one alone where an earlier version began without
 * a note. */
static int count_erased(struct store *s, struct store_removed *out,
                        struct err *err)
{
    int64_t n;
    int rc = sql_one_int(s->db,
                         "SELECT count(*) - (SELECT CAST(value AS INTEGER) "
                         "FROM setting WHERE name = 'erase:before') FROM "
                         "tombstone WHERE reason = 'erased'",
                         0, &n, err);

    if (rc == ERR_OK && n > out->calls)
        out->calls = n;
    return rc;
}

static int64_t count_gone(struct store *s)
{
    struct err err;
    int64_t n = 0;

    return sql_one_int(s->db, "SELECT count(*) FROM temp.gone", 0, &n, &err) < 0
               ? 0
               : n;
}

static int list_one(struct store *s, const struct store_erase *e,
                    const char *kind, const char *text, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1)
        e->learnt(e->ctx, kind, sql_int(q, 0), sql_text(q, 1));
    return rc;
}

static int list_learnt(struct store *s, const struct store_erase *e,
                       struct err *err)
{
    int rc = list_one(
        s, e, "dataset",
        "SELECT d.id, t.name FROM dataset d LEFT JOIN task t ON "
        "t.id = d.task WHERE d.id IN " NOTED("dataset", 15) " ORDER BY d.id",
        err);

    return rc < 0 ? rc
                  : list_one(s, e, "model",
                             "SELECT id, model.name FROM model WHERE id "
                             "IN " NOTED("model", 13) " ORDER BY id",
                             err);
}

/* Inside the transaction that notes them. */
static int retire_learnt(struct store *s, struct err *err)
{
    struct store_ids ids = { .count = 0 };
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM model WHERE id IN " NOTED(
                         "model", 13) " AND retired IS NULL",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1)
        store_ids_add(&ids, sql_int(q, 0));
    for (size_t i = 0; rc == ERR_OK && i < ids.count; i++)
        rc = store_model_retire(s, ids.id[i], "store erase",
                                "learnt from calls that were erased", err);
    store_ids_release(&ids);
    return rc;
}

/* Writes down what is to be done. dry_run: and takes it back. */
static int plan(struct store *s, const struct store_erase *e, bool *begun,
                struct err *err)
{
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    rc = check_who(s, e, begun, err);
    if (rc == ERR_OK)
        rc = note_touched(s, err);
    if (rc == ERR_OK && !*begun)
        rc = mark_datasets(s, err);
    if (rc == ERR_OK)
        rc = list_learnt(s, e, err);
    if (rc == ERR_OK && e->retire)
        rc = retire_learnt(s, err);
    if (rc == ERR_OK && !e->dry_run && (*begun || count_gone(s)))
        return sql_commit(s->db, err);
    sql_rollback(s->db);
    return rc;
}

static int remove_gone(struct store *s, const struct store_erase *e,
                       struct store_removed *out, struct err *err)
{
    struct store_ids ids = { .count = 0 };
    struct sql_stmt *q;
    int rc =
        sql_get(s->db, "SELECT call FROM temp.gone ORDER BY call", &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1)
        store_ids_add(&ids, sql_int(q, 0));
    if (rc == ERR_OK)
        rc = store_remove_calls(s, &ids, true, e->progress, out, err);
    if (rc == ERR_OK)
        rc = store_sweep(s, true, e->progress, out, err);
    store_ids_release(&ids);
    return rc;
}

/* Labels, words and an example of a task are cut out of its calls; its name
 * stays while it has others. slmctl cluster makes them anew. */
static int forget_texts(struct store *s, struct err *err)
{
    static const char *const texts[] = {
        "UPDATE task SET " STORE_BLANK(label) ", " STORE_BLANK(
            detail) " WHERE id IN " NOTED("task", 12),
        "UPDATE task SET label = seal_text('', 'task.label', id), detail = "
        "seal_text('{}', 'task.detail', id), name = CASE WHEN renamed OR "
        "EXISTS (SELECT 1 FROM example e WHERE e.task = task.id AND e.kept) "
        "THEN name ELSE 'erased-' || id END WHERE id IN " NOTED("task", 12),
        "UPDATE clustering SET data = zeroblob(length(data)) WHERE EXISTS "
        "(SELECT 1 FROM setting WHERE name = 'erase:fit')",
        "DELETE FROM clustering WHERE EXISTS (SELECT 1 FROM setting WHERE name "
        "= 'erase:fit')",
        /* lib/tasks takes it for a fit that was killed, and fits anew. */
        "INSERT OR REPLACE INTO setting(name, value) SELECT "
        "'cluster.running', '1' WHERE EXISTS (SELECT 1 FROM setting WHERE name "
        "= 'erase:fit')",
        "UPDATE evaluation SET inputs = NULL, record = NULL, detail = "
        "seal_text(json_remove(open_text(detail, 'evaluation.detail', id), "
        "'$.reasons'), 'evaluation.detail', id) WHERE id "
        "IN " NOTED("evaluation", 18) " AND (record NOTNULL OR "
                                      "open_text(detail, 'evaluation.detail', "
                                      "id) ->> 'reasons' NOTNULL)",
    };
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(texts) / sizeof(*texts); i++)
        rc = sql_exec(s->db, texts[i], err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    return rc;
}

static int do_erase(struct store *s, const struct store_erase *e,
                    struct store_removed *out, struct err *err)
{
    bool begun;
    int64_t selected;
    int rc = select_calls(s, e, err);

    selected = rc == ERR_OK ? count_gone(s) : 0;
    if (rc == ERR_OK)
        rc = plan(s, e, &begun, err);
    if (rc < 0 || e->dry_run) {
        out->calls = selected;
        return rc;
    }
    /* What an earlier run could not cut off, since another process read. */
    if (!selected && !begun)
        return store_release_pages(s, &out->log_cut, err);
    out->resumed = begun;
    rc = store_cache_drop(s, err);
    if (rc == ERR_OK)
        rc = remove_gone(s, e, out, err);
    if (rc == ERR_OK && begun)
        rc = count_erased(s, out, err);
    if (rc == ERR_OK)
        rc = forget_texts(s, err);
    if (rc == ERR_OK)
        rc = store_relearn(s, e->progress, err);
    /* Until then it has not ended; the note has the client's name. */
    if (rc == ERR_OK)
        rc = store_release_pages(s, &out->log_cut, err);
    if (rc == ERR_OK)
        rc = sql_exec(s->db,
                      "PRAGMA busy_timeout = 10000; "
                      "DELETE FROM setting WHERE name GLOB 'erase:*'",
                      err);
    return rc < 0 ? rc : store_release_pages(s, &out->log_cut, err);
}

int store_erase(struct store *s, const struct store_erase *e,
                struct store_removed *out, struct err *err)
{
    size_t locks = 0;
    int rc;

    *out = (struct store_removed){ .log_cut = true };
    rc = store_remove_begin(s, &locks, err);
    if (rc == ERR_OK)
        rc = store_used_bytes(s, &out->bytes_before, err);
    if (rc == ERR_OK)
        rc = do_erase(s, e, out, err);
    if (rc == ERR_OK)
        rc = store_used_bytes(s, &out->bytes_after, err);
    store_remove_end(s, locks);
    return rc;
}

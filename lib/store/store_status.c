/* store_status.c - what is in the store and what is due, by counting */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a stage has left to do. A stage that keeps the highest call it has
 * seen counts those above it. */
static const struct {
    const char *stage, *what, *count;
} DUE[] = {
    { "collect", NULL, NULL },
    { "curate", "calls to curate",
      "SELECT (SELECT count(*) FROM logged WHERE id > "
      "coalesce((SELECT high FROM stage WHERE name = 'curate'), 0)) + "
      "(SELECT count(*) FROM outcome o JOIN example e ON e.call = o.call "
      "WHERE e.kept AND e.correction IS NULL AND "
      "coalesce(o.answer, o.label) IS NOT NULL OR e.reason = 'own' AND "
      "o.answer IS NOT NULL)" },
    { "cluster", "examples without a task",
      "SELECT count(*) FROM example WHERE kept AND task IS NULL "
      "AND novelty IS NULL" },
    { "select", "tasks without candidates",
      "SELECT count(*) FROM task t WHERE merged_into IS NULL AND NOT EXISTS "
      "(SELECT 1 FROM candidate c WHERE c.task = t.id)" },
    { "finetune", "tasks with candidates and no model",
      "SELECT count(*) FROM task t WHERE merged_into IS NULL AND EXISTS "
      "(SELECT 1 FROM candidate c WHERE c.task = t.id AND c.rank > 0) "
      "AND NOT EXISTS (SELECT 1 FROM model m WHERE m.task = t.id)" },
    { "eval", "models not evaluated",
      "SELECT count(*) FROM model m WHERE task IS NOT NULL AND NOT EXISTS "
      "(SELECT 1 FROM evaluation e WHERE e.model = m.id)" },
    { "retrain", NULL, NULL },
};

_Static_assert(sizeof(DUE) / sizeof(*DUE) == STORE_STAGES, "all stages");

static int64_t file_bytes(const struct store *s, const char *name)
{
    char *path = io_path(s->dir, name);
    struct stat st;
    int64_t n = stat(path, &st) == 0 ? (int64_t)st.st_size : 0;

    free(path);
    return n;
}

static int count_statuses(struct store *s, struct store_status *out,
                          struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT o.status, sum(n), sum(raw) FROM (SELECT origin, "
                     "count(*) AS n, sum(raw) AS raw FROM logged GROUP BY "
                     "origin) l "
                     "JOIN origin o ON o.id = l.origin GROUP BY o.status "
                     "ORDER BY sum(n) DESC, o.status",
                     &q, err);

    if (rc < 0)
        return rc;
    while ((rc = sql_step(q, err)) == 1 &&
           out->status_count < STORE_STATUSES_MAX) {
        struct store_status_count *c = &out->statuses[out->status_count++];

        c->name = slice_dup(sql_text(q, 0));
        c->calls = sql_int(q, 1);
        out->calls += c->calls;
        out->raw_bytes += sql_int(q, 2);
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static int read_stage(struct store *s, size_t i, struct store_stage *out,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT time, high, version FROM stage "
                     "WHERE name = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    *out = (struct store_stage){ .name = DUE[i].stage, .what = DUE[i].what };
    sql_bind_cstr(q, 1, DUE[i].stage);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        out->time_us = sql_int(q, 0);
        out->high = sql_int(q, 1);
        out->version = sql_is_null(q, 2) ? NULL : slice_dup(sql_text(q, 2));
        sql_reset(q);
    }
    if (!DUE[i].count)
        return ERR_OK;
    return sql_one_int(s->db, DUE[i].count, 0, &out->due, err);
}

static int count_all(struct store *s, struct store_status *out, struct err *err)
{
    const struct {
        const char *text;
        int64_t *to;
    } counts[] = {
        { "SELECT sum(bytes) FROM import", &out->read_bytes },
        { "SELECT max(id) FROM blob", &out->blobs },
        { "SELECT count(*) FROM dictionary", &out->dictionaries },
        { "SELECT size FROM dictionary ORDER BY id DESC LIMIT 1",
          &out->dictionary_bytes },
        { "SELECT count(*) FROM example WHERE kept", &out->examples },
        { "SELECT count(*) FROM task WHERE merged_into IS NULL", &out->tasks },
        { "SELECT count(*) FROM model", &out->models },
        { "SELECT count(*) FROM outcome", &out->outcomes },
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(counts) / sizeof(*counts);
         i++)
        rc = sql_one_int(s->db, counts[i].text, 0, counts[i].to, err);
    return rc;
}

int store_status_read(struct store *s, struct store_status *out,
                      struct err *err)
{
    int rc;

    *out = (struct store_status){ 0 };
    out->bytes = file_bytes(s, "store.db") + file_bytes(s, "store.db-wal");
    store_prefix_count(s, &out->prefixes, &out->prefix_bytes);
    out->encrypted = s->encrypted;
    memcpy(out->key_id, s->key_id, sizeof(out->key_id));
    memcpy(out->seal_id, s->seal_id, sizeof(out->seal_id));
    rc = count_statuses(s, out, err);
    if (rc == ERR_OK)
        rc = count_all(s, out, err);
    for (size_t i = 0; rc == ERR_OK && i < STORE_STAGES; i++)
        rc = read_stage(s, i, &out->stages[i], err);
    if (rc < 0)
        store_status_release(out);
    return rc;
}

void store_status_release(struct store_status *st)
{
    for (size_t i = 0; i < st->status_count; i++)
        free(st->statuses[i].name);
    for (size_t i = 0; i < STORE_STAGES; i++)
        free(st->stages[i].version);
    *st = (struct store_status){ 0 };
}

/*
 * store_rotate.c - another key file, another data key, or a first one
 *
 * Everything is encrypted anew in place, in small transactions that note how
 * far they came, so that a kill costs the one that was open. Meanwhile only
 * this opens the store. At the end the file is written anew: nothing of what
 * stood there before is left in it or in the write-ahead file.
 */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64

/* The first of `rows` is in an order in which they can be gone through. */
const struct store_text store_texts[] = {
    { "logged", "error", "id", "id" },
    { "logged", "extra", "id", "id" },
    { "outcome", "label", "call", "call" },
    { "outcome", "answer", "call", "call" },
    { "outcome", "extra", "call", "call" },
    { "feedback", "body", "time", "time" },
    { "task", "label", "id", "id" },
    { "task", "detail", "id", "id" },
    { "clustering", "data", "id", "id" },
    { "sketch", "data", "example", "example" },
    { "evaluation", "detail", "id", "id" },
    { "evaluation", "record", "id", "id" },
    { "evaluation_item", "answer", "evaluation", "evaluation, example" },
    { "decision", "answer", "id", "id" },
    { "answer_cache", "answer", "id", "id" },
    { NULL, NULL, NULL, NULL },
};

enum { DICTIONARIES, BLOBS, TEXT_FIRST };
#define TEXT_COUNT ((int)(sizeof(store_texts) / sizeof(*store_texts)) - 1)
#define CLEANING (TEXT_FIRST + TEXT_COUNT)

struct turn {
    struct store *s;
    const struct store_rotation *how;
    int was_plain, phase;
    int64_t at; /* rows of the phase up to here are done */
};

static int note(struct turn *t, struct err *err)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%d %d %lld", t->was_plain, t->phase,
                   (long long)t->at);
    return store_setting_set(t->s, "rotating", text, err);
}

static int read_note(struct turn *t, struct err *err)
{
    struct buf text = { .data = NULL };
    bool found = false;
    long long at = 0;
    int rc = store_setting_get(t->s, "rotating", &text, &found, err);

    if (rc == ERR_OK && (!found || sscanf(text.data, "%d %d %lld",
                                          &t->was_plain, &t->phase, &at) != 3))
        rc = err_set(err, ERR_FORMAT, "%s: setting rotating is damaged",
                     t->s->dir);
    t->at = at;
    buf_release(&text);
    return rc;
}

static int seal_row(struct turn *t, struct sql_stmt *q, const char *update,
                    char table, struct err *err)
{
    struct store *s = t->s;
    struct store_row row = { table, sql_int(q, 0), sql_int(q, 1), sql_int(q, 2),
                             sql_int(q, 3) };
    struct slice packed, sealed;
    struct sql_stmt *u;
    int rc;

    buf_reset(&s->opened);
    rc = store_row_open(s, &row, sql_int(q, 5), sql_blob(q, 4), &s->opened,
                        &packed, err);
    if (rc == ERR_OK)
        rc = sql_get(s->db, update, &u, err);
    if (rc < 0)
        return store_err_wrap(s, table == 'b' ? "blob" : "dictionary", row.id,
                              err);
    sealed = store_row_seal(s, &row, packed);
    sql_bind_int(u, 1, store_row_codec(s, (enum codec_id)row.codec));
    sql_bind_blob(u, 2, sealed.p, sealed.n);
    store_bind_key(s, u, 3);
    sql_bind_int(u, 4, row.id);
    return sql_run(u, err);
}

/* Rows of a table after t->at. An emptied blob has nothing to hide. */
static int turn_rows(struct turn *t, const char *select, const char *update,
                     char table, bool *more, struct err *err)
{
    int rc = ERR_OK;

    *more = true;
    for (int i = 0; rc == ERR_OK && *more && i < BATCH; i++) {
        struct sql_stmt *q;

        rc = sql_get(t->s->db, select, &q, err);
        if (rc < 0)
            return rc;
        sql_bind_int(q, 1, t->at);
        rc = sql_step(q, err);
        *more = rc == 1;
        if (rc != 1)
            return rc;
        t->at = sql_int(q, 0);
        if (sql_int(q, 3) || sql_int(q, 1) >= CODEC_SEALED)
            rc = seal_row(t, q, update, table, err);
        else
            rc = ERR_OK;
        sql_reset(q);
    }
    return rc;
}

/* The last row of the next batch of a column; 0: there is none. */
static int find_batch(struct turn *t, int which, int64_t *last, struct err *err)
{
    const char *row = store_texts[which].row;
    char *text = mem_printf("SELECT max(k) FROM (SELECT %s AS k FROM %s WHERE "
                            "%s > ? ORDER BY %s LIMIT %d)",
                            row, store_texts[which].table, row, row, BATCH);
    struct sql_stmt *q;
    int rc = sql_get(t->s->db, text, &q, err);

    free(text);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, t->at);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *last = sql_int(q, 0);
    sql_reset(q);
    return ERR_OK;
}

static int turn_texts(struct turn *t, int which, bool *more, struct err *err)
{
    const char *table = store_texts[which].table,
               *column = store_texts[which].column;
    const char *row = store_texts[which].row, *rows = store_texts[which].rows;
    char *value, *text;
    struct sql_stmt *q;
    int64_t last = 0;
    int rc = find_batch(t, which, &last, err);

    *more = last > t->at;
    if (rc < 0 || !*more)
        return rc;
    value = t->was_plain ? mem_strdup(column)
                         : mem_printf("open_text(%s, '%s.%s', %s)", column,
                                      table, column, rows);
    text =
        mem_printf("UPDATE %s SET %s = seal_text(%s, '%s.%s', %s) WHERE "
                   "%s > ?1 AND %s <= ?2 AND %s NOTNULL",
                   table, column, value, table, column, rows, row, row, column);
    rc = sql_get(t->s->db, text, &q, err);
    if (rc == ERR_OK) {
        sql_bind_int(q, 1, t->at);
        sql_bind_int(q, 2, last);
        rc = sql_run(q, err);
    }
    t->at = last;
    free(value);
    free(text);
    return rc;
}

/* A batch of the phase. */
static int turn_some(struct turn *t, bool *more, struct err *err)
{
    if (t->phase == DICTIONARIES)
        return turn_rows(t,
                         "SELECT id, codec, 0, size, data, key FROM dictionary "
                         "WHERE id > ? ORDER BY id LIMIT 1",
                         "UPDATE dictionary SET codec = ?, data = ?, key = ? "
                         "WHERE id = ?",
                         'd', more, err);
    if (t->phase == BLOBS)
        return turn_rows(t,
                         "SELECT id, codec, dictionary, size, data, key FROM "
                         "blob WHERE id > ? ORDER BY id LIMIT 1",
                         "UPDATE blob SET codec = ?, data = ?, key = ? WHERE "
                         "id = ?",
                         'b', more, err);
    return turn_texts(t, t->phase - TEXT_FIRST, more, err);
}

/* Old data keys open nothing any more; their hash keys stay, for the chain. */
static int retire(struct store *s, struct err *err)
{
    int64_t ids[BATCH];
    size_t count = 0;
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM data_key WHERE kind = 'key' AND id <> ? "
                     "LIMIT ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, s->writes->id);
    sql_bind_int(q, 2, BATCH);
    while ((rc = sql_step(q, err)) == 1)
        ids[count++] = sql_int(q, 0);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = store_key_retire(s, ids[i], err);
    return rc;
}

static int64_t count_of(struct turn *t)
{
    struct err quiet;
    int64_t n = 0;

    if (sql_one_int(t->s->db, "SELECT max(id) FROM blob", 0, &n, &quiet) < 0)
        n = 0;
    return n;
}

static int turn_all(struct turn *t, struct err *err)
{
    int64_t blobs = count_of(t);
    int rc = ERR_OK;

    while (rc == ERR_OK && t->phase < CLEANING) {
        bool more = false;

        rc = store_group_step(t->s, err);
        if (rc == ERR_OK)
            rc = turn_some(t, &more, err);
        if (!more) {
            t->phase++;
            t->at = 0;
        }
        if (rc == ERR_OK && t->phase == CLEANING)
            rc = retire(t->s, err);
        if (rc == ERR_OK)
            rc = note(t, err);
        if (t->phase == BLOBS)
            progress_update(t->how->progress, "pieces", (uint64_t)t->at,
                            (uint64_t)blobs, NULL);
        if (rc == ERR_OK && stop_requested()) {
            rc = store_group_end(t->s, err);
            return rc < 0 ? rc
                          : err_set(err, ERR_INTERRUPTED,
                                    "interrupted; run it again to go on");
        }
    }
    if (rc == ERR_OK)
        rc = store_group_end(t->s, err);
    if (rc < 0)
        sql_rollback(t->s->db);
    return rc;
}

/* What was written before stands in no page and no frame any more. */
static int write_anew(struct store *s, bool whole, struct err *err)
{
    int64_t busy = 0;
    int rc = whole ? sql_exec(s->db, "PRAGMA temp_store = FILE; VACUUM", err)
                   : ERR_OK;

    if (rc == ERR_OK)
        rc = sql_one_int(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", 0, &busy,
                         err);
    if (rc == ERR_OK && busy)
        rc = err_set(err, ERR_BUSY,
                     "%s: another process reads the store, so that old bytes "
                     "stay in its files; run this again when it has ended",
                     s->dir);
    return rc;
}

static int clean(struct turn *t, struct err *err)
{
    int rc;

    progress_update(t->how->progress, "writing the file anew", 0, 0, NULL);
    rc = write_anew(t->s, true, err);
    return rc < 0
               ? rc
               : sql_exec(t->s->db,
                          "DELETE FROM setting WHERE name = 'rotating'", err);
}

/* A new data key for the hashes of the old one. */
static int begin_turn(struct turn *t, struct err *err)
{
    int rc = sql_begin(t->s->db, err);

    if (rc < 0)
        return rc;
    t->was_plain = !t->s->encrypted;
    t->phase = DICTIONARIES;
    rc = store_key_renew(t->s, err);
    if (rc == ERR_OK)
        rc = note(t, err);
    if (rc == ERR_OK)
        rc = sql_commit(t->s->db, err);
    if (rc < 0)
        sql_rollback(t->s->db);
    return rc;
}

/* Whoever writes knows the keys of today. */
static int lock_all(struct store *s, struct err *err)
{
    static const char *const stages[] = { "proxy",    "collect", "follow",
                                          "curate",   "cluster", "select",
                                          "finetune", "eval",    "retrain",
                                          "removal" };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(stages) / sizeof(*stages);
         i++)
        rc = store_lock(s, stages[i], err);
    return rc;
}

/* Segments are sealed with the key file that was. */
static int check_spool(const struct store *s, struct err *err)
{
    char *path = io_path(s->dir, "spool");
    DIR *d = opendir(path);
    struct dirent *e;
    bool waits = false;

    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);

        waits |= n > 4 && strcmp(e->d_name + n - 4, ".seg") == 0;
    }
    if (d)
        (void)closedir(d);
    free(path);
    if (!waits)
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "%s: calls wait in spool/; run slmctl collect --listen with "
                   "the key of today until they are in the store",
                   s->dir);
}

static int rewrap(struct store *s, const char *path, struct err *err)
{
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    rc = store_key_rewrap(s, path, err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0) {
        sql_rollback(s->db);
        return rc;
    }
    return write_anew(s, false, err);
}

/* The keys that open it now; a first key if it is plain. A rotation that was
 * cut off after the new key file had wrapped all is opened with that. */
static int open_old(const char *dir, const struct store_access *access,
                    const struct store_rotation *how, struct store **out,
                    struct err *err)
{
    struct store_access mine = *access;
    int rc;

    mine.rotates = true;
    rc = store_open_with(dir, STORE_WRITE, &mine, out, err);
    if (rc == ERR_INVALID && how->new_key_file &&
        io_exists(how->new_key_file)) {
        struct err first = *err;

        mine.key_file = how->new_key_file;
        rc = store_open_with(dir, STORE_WRITE, &mine, out, err);
        if (rc < 0)
            *err = first;
    }
    return rc;
}

static int rotate(struct turn *t, const struct store_access *access,
                  struct err *err)
{
    struct store *s = t->s;
    const char *new_key = t->how->new_key_file;
    bool plain = !s->encrypted;
    int rc = ERR_OK;

    if (plain)
        rc = store_master_read(s, new_key ? new_key : access->key_file, true,
                               err);
    else if (new_key)
        rc = rewrap(s, new_key, err);
    if (rc == ERR_OK && s->turning)
        rc = read_note(t, err);
    else if (rc == ERR_OK && (plain || t->how->data))
        rc = begin_turn(t, err);
    else
        return rc;
    if (rc == ERR_OK)
        rc = turn_all(t, err);
    return rc < 0 ? rc : clean(t, err);
}

int store_rotate(const char *dir, const struct store_access *access,
                 const struct store_rotation *how, char key_id[9],
                 struct err *err)
{
    struct turn t = { .how = how };
    int rc = open_old(dir, access, how, &t.s, err);

    if (rc == ERR_OK)
        rc = lock_all(t.s, err);
    if (rc == ERR_OK)
        rc = check_spool(t.s, err);
    if (rc == ERR_OK && t.s->is_sealed && how->data)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: a sealed store has other data keys with each "
                     "collector; --new-key alone is for it",
                     dir);
    if (rc == ERR_OK && t.s->is_sealed && !how->new_key_file)
        rc = err_set(err, ERR_INVALID,
                     "%s: sealed, and what is curated is under key %s; "
                     "--new-key gives that another key file",
                     dir, t.s->key_id);
    if (rc == ERR_OK && t.s->encrypted && !t.s->turning && !how->data &&
        !how->new_key_file)
        rc = err_set(err, ERR_INVALID,
                     "%s: encrypted already, with key %s; --new-key gives it "
                     "another key file, --data new data keys",
                     dir, t.s->key_id);
    if (rc == ERR_OK)
        rc = sql_exec(t.s->db, "PRAGMA secure_delete = ON", err);
    if (rc == ERR_OK)
        rc = rotate(&t, access, err);
    if (rc == ERR_OK) /* another key's, or plain */
        (void)!store_cache_drop(t.s, how->cache_stays);
    if (rc == ERR_OK)
        memcpy(key_id, t.s->key_id, sizeof(t.s->key_id));
    store_close(t.s);
    return rc;
}

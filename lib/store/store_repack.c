/*
 * store_repack.c - blobs from before the first dictionary
 *
 * A proxy's store is empty when it starts, so its first calls are packed each
 * by itself, at a fifth of the ratio. When a dictionary has been learnt from
 * them they are packed again. A blob keeps its id and its bytes.
 */
#include "store/store_private.h"

#include "base/clock.h"

#define PAGE 64
#define WINDOW 4096       /* blobs that are looked at in one go */
#define VACUUM_PAGES 4096 /* a store so small is written anew at once */

/* The key that a row is encrypted with: that of a collector stays, or its rows
 * would open without the private key and their hashes be another's. */
static int key_of(struct store *s, int64_t id, const struct store_key **out,
                  struct err *err)
{
    struct sql_stmt *q;
    int64_t key;
    int rc = store_row_find(s, "SELECT key FROM blob WHERE id = ?", "blob", id,
                            &q, err);

    if (rc < 0)
        return rc;
    key = sql_int(q, 0);
    sql_reset(q);
    *out = s->writes;
    return key == s->writes->id ? ERR_OK : store_key_get(s, key, out, err);
}

static int write_packed(struct store *s, struct store_row *row,
                        struct slice packed, struct err *err)
{
    struct slice data = store_row_seal(s, row, packed);
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "UPDATE blob SET codec = ?, dictionary = ?, data = ?, "
                     "key = ? WHERE id = ?",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, store_row_codec(s, (enum codec_id)row->codec));
    if (row->dictionary)
        sql_bind_int(q, 2, row->dictionary);
    sql_bind_blob(q, 3, data.p, data.n);
    store_bind_key(s, q, 4);
    sql_bind_int(q, 5, row->id);
    return sql_run(q, err);
}

/* The dictionary is that of the own key: no other's row is packed with it. */
int store_blob_repack(struct store *s, int64_t id, struct err *err)
{
    const struct store_key *mine = s->writes, *key = NULL;
    struct buf raw = { .data = NULL }, packed = { .data = NULL };
    enum codec_id codec = CODEC_RAW;
    int rc = key_of(s, id, &key, err);

    if (rc == ERR_OK)
        rc = store_blob_get(s, id, &raw, err);
    if (rc == ERR_OK)
        rc = codec_pack(s->codec, key == mine ? s->active : NULL,
                        buf_slice(&raw), &packed, &codec, err);
    if (rc == ERR_OK) {
        struct store_row row = {
            .table = 'b', .id = id, .codec = codec, .size = (int64_t)raw.len
        };

        if (codec == CODEC_ZSTD_DICTIONARY)
            row.dictionary = codec_dictionary_id(s->active);
        s->writes = key;
        rc = write_packed(s, &row, buf_slice(&packed), err);
        s->writes = mine;
    }
    buf_release(&raw);
    buf_release(&packed);
    return rc;
}

/* Up to a page of those up to `last`, so that no statement reads what another
 * writes. */
static int find_old(struct store *s, int64_t last, int64_t ids[PAGE],
                    size_t *count, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM blob WHERE id > ? AND id <= ? AND "
                     "codec = ? AND key IS ? ORDER BY id LIMIT ?",
                     &q, err);

    *count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, s->repacked);
    sql_bind_int(q, 2, last);
    sql_bind_int(q, 3, store_row_codec(s, CODEC_ZSTD));
    store_bind_key(s, q, 4);
    sql_bind_int(q, 5, PAGE);
    while ((rc = sql_step(q, err)) == 1)
        ids[(*count)++] = sql_int(q, 0);
    return rc;
}

/* Shorter rows leave their pages half empty: a quarter of a young store. */
static int close_gaps(struct store *s, struct err *err)
{
    int64_t pages = 0;
    int rc = sql_one_int(s->db, "PRAGMA page_count", 0, &pages, err);

    return rc < 0 || pages > VACUUM_PAGES ? rc : sql_exec(s->db, "VACUUM", err);
}

static int repack_page(struct store *s, const int64_t *ids, size_t count,
                       size_t *done, struct err *err)
{
    int64_t until = clock_mono_ns() + STORE_COMMIT_MS * INT64_C(500000);
    int rc = sql_begin(s->db, err);

    while (rc == ERR_OK && *done < count && clock_mono_ns() < until)
        rc = store_blob_repack(s, ids[(*done)++], err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    return rc;
}

/* What has been looked at is not looked at again: with a dictionary none is
 * packed without. */
int store_repack(struct store *s, bool *more, struct err *err)
{
    int64_t ids[PAGE], last = 0, until;
    size_t count = 0, done = 0;
    int rc;

    *more = false;
    if (!s->active)
        return ERR_OK;
    rc = sql_one_int(s->db, "SELECT max(id) FROM blob", 0, &last, err);
    until = last - s->repacked > WINDOW ? s->repacked + WINDOW : last;
    if (rc == ERR_OK)
        rc = find_old(s, until, ids, &count, err);
    if (rc == ERR_OK && count)
        rc = repack_page(s, ids, count, &done, err);
    if (rc < 0)
        return rc;
    if (done == count && count < PAGE)
        s->repacked = until;
    else if (done)
        s->repacked = ids[done - 1];
    s->has_gaps |= done > 0;
    *more = s->repacked < last;
    if (*more || !s->has_gaps)
        return ERR_OK;
    s->has_gaps = false;
    return close_gaps(s, err);
}

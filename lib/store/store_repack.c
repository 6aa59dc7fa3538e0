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
#define VACUUM_PAGES 2048 /* a store so small is written anew at once */

static int repack_one(struct store *s, int64_t id, struct err *err)
{
    struct buf raw = { .data = NULL }, packed = { .data = NULL };
    enum codec_id codec = CODEC_RAW;
    struct sql_stmt *q;
    int rc = store_blob_get(s, id, &raw, err);

    if (rc == ERR_OK)
        rc = codec_pack(s->codec, s->active, buf_slice(&raw), &packed, &codec,
                        err);
    if (rc == ERR_OK)
        rc = sql_get(s->db,
                     "UPDATE blob SET codec = ?, dictionary = ?, data = ?, "
                     "key = ? WHERE id = ?",
                     &q, err);
    if (rc == ERR_OK) {
        struct store_row row = {
            .table = 'b', .id = id, .codec = codec, .size = (int64_t)raw.len
        };
        struct slice data;

        if (codec == CODEC_ZSTD_DICTIONARY)
            row.dictionary = codec_dictionary_id(s->active);
        data = store_row_seal(s, &row, buf_slice(&packed));
        sql_bind_int(q, 1, store_row_codec(s, codec));
        if (row.dictionary)
            sql_bind_int(q, 2, row.dictionary);
        sql_bind_blob(q, 3, data.p, data.n);
        store_bind_key(s, q, 4);
        sql_bind_int(q, 5, id);
        rc = sql_run(q, err);
    }
    buf_release(&raw);
    buf_release(&packed);
    return rc;
}

/* Up to a page of them, so that no statement reads what another writes. */
static int find_old(struct store *s, int64_t ids[PAGE], size_t *count,
                    struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "SELECT id FROM blob WHERE id > ? AND codec = ? "
                     "AND key IS ? ORDER BY id LIMIT ?",
                     &q, err);

    *count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, s->repacked);
    sql_bind_int(q, 2, store_row_codec(s, CODEC_ZSTD));
    store_bind_key(s, q, 3);
    sql_bind_int(q, 4, PAGE);
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

int store_repack(struct store *s, bool *more, struct err *err)
{
    int64_t until = clock_mono_ns() + STORE_COMMIT_MS * INT64_C(500000);
    int64_t ids[PAGE];
    size_t count = 0, done = 0;
    int rc;

    *more = false;
    if (!s->active)
        return ERR_OK;
    rc = find_old(s, ids, &count, err);
    if (rc < 0 || !count)
        return rc;
    rc = sql_begin(s->db, err);
    while (rc == ERR_OK && done < count && clock_mono_ns() < until)
        rc = repack_one(s, ids[done++], err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0) {
        sql_rollback(s->db);
        return rc;
    }
    if (done)
        s->repacked = ids[done - 1];
    *more = done < count || count == PAGE;
    return *more ? ERR_OK : close_gaps(s, err);
}

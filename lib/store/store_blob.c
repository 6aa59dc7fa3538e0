/*
 * store_blob.c - content-addressed blobs and the dictionaries they use
 *
 * A blob is looked for by its keyed hash, in memory first. Unpacked blobs
 * that are read again and again (system prompts) stay in a small cache. Blobs
 * are never changed: a new dictionary serves the blobs that come after it.
 */
#include "store/store_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBER_MAX ((size_t)1 << 18) /* hashes kept in memory */

int store_row_find(struct store *s, const char *sql, const char *what,
                   int64_t id, struct sql_stmt **q, struct err *err)
{
    int rc = sql_get(s->db, sql, q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(*q, 1, id);
    rc = sql_step(*q, err);
    if (rc == 0)
        return err_set(err, ERR_FORMAT, "%s: %s %lld is missing", s->dir, what,
                       (long long)id);
    return rc < 0 ? rc : ERR_OK;
}

/* From the row that q stands on. */
static int load_dictionary(struct store *s, struct sql_stmt *q, int64_t id,
                           struct codec_dictionary **out, struct err *err)
{
    struct buf data = { 0 }, opened = { 0 };
    struct store_row row = {
        .table = 'd', .id = id, .codec = sql_int(q, 0), .size = sql_int(q, 1)
    };
    struct slice packed;
    int rc = store_row_open(s, &row, sql_int(q, 3), sql_blob(q, 2), &opened,
                            &packed, err);

    if (rc == ERR_OK)
        rc = codec_unpack(s->codec, row.codec, NULL, packed, (size_t)row.size,
                          &data, err);
    if (rc == ERR_OK)
        rc = codec_dictionary_new(id, buf_slice(&data), CODEC_LEVEL, out, err);
    buf_release(&data);
    buf_release(&opened);
    return rc < 0 ? store_err_wrap(s, "dictionary", id, err) : ERR_OK;
}

int store_dictionary(struct store *s, int64_t id,
                     const struct codec_dictionary **out, struct err *err)
{
    struct codec_dictionary *d = NULL;
    struct sql_stmt *q;
    void *list = s->dictionaries;
    int rc;

    for (size_t i = 0; i < s->dictionary_count; i++)
        if (codec_dictionary_id(s->dictionaries[i]) == id) {
            *out = s->dictionaries[i];
            return ERR_OK;
        }
    rc = store_row_find(s,
                        "SELECT codec, size, data, key FROM dictionary "
                        "WHERE id = ?",
                        "dictionary", id, &q, err);
    if (rc < 0)
        return rc;
    rc = load_dictionary(s, q, id, &d, err);
    sql_reset(q);
    if (rc < 0)
        return rc;
    mem_grow(&list, &s->dictionary_cap, s->dictionary_count + 1, sizeof(d));
    s->dictionaries = list;
    s->dictionaries[s->dictionary_count++] = d;
    *out = d;
    return ERR_OK;
}

int store_dictionary_newest(struct store *s, struct err *err)
{
    const struct codec_dictionary *newest = NULL;
    struct sql_stmt *q;
    int64_t id;
    int rc = sql_get(s->db,
                     "SELECT max(id) FROM dictionary WHERE key IS ? AND id > ?",
                     &q, err);

    if (rc < 0)
        return rc;
    store_bind_key(s, q, 1);
    sql_bind_int(q, 2, s->dictionary_floor);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    id = sql_int(q, 0);
    sql_reset(q);
    rc = id ? store_dictionary(s, id, &newest, err) : ERR_OK;
    if (rc == ERR_OK)
        s->active = newest;
    return rc;
}

static void remember(struct store *s,
                     const unsigned char hash[CRYPTO_HASH_BYTES], int64_t id)
{
    if (map_count(s->blobs) >= REMEMBER_MAX) {
        map_free(s->blobs);
        s->blobs = map_new();
    }
    *map_put(s->blobs, hash, CRYPTO_HASH_BYTES, NULL) = (uint64_t)id;
}

int store_blob_find(struct store *s,
                    const unsigned char hash[CRYPTO_HASH_BYTES], int64_t *id,
                    struct err *err)
{
    const uint64_t *known;
    struct sql_stmt *q;
    int rc;

    store_check_caches(s);
    known = map_get(s->blobs, hash, CRYPTO_HASH_BYTES);
    *id = known ? (int64_t)*known : 0;
    if (known)
        return ERR_OK;
    rc = sql_get(s->db, "SELECT blob FROM blob_hash WHERE hash = ?", &q, err);
    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, hash, CRYPTO_HASH_BYTES);
    rc = sql_step(q, err);
    if (rc == 1) {
        *id = sql_int(q, 0);
        sql_reset(q);
        remember(s, hash, *id);
    }
    return rc < 0 ? rc : ERR_OK;
}

/* What is encrypted is bound to its row's id; none is given out again. */
static int next_id(struct store *s, int64_t *id, struct err *err)
{
    int rc = sql_one_int(s->db, "SELECT max(id) FROM blob", 0, id, err);

    *id = (*id > s->blob_floor ? *id : s->blob_floor) + 1;
    return rc;
}

int store_blob_insert(struct store *s,
                      const unsigned char hash[CRYPTO_HASH_BYTES],
                      enum codec_id codec, struct slice packed, size_t size,
                      int64_t *id, struct err *err)
{
    struct store_row row = { .table = 'b',
                             .codec = codec,
                             .size = (int64_t)size };
    struct sql_stmt *q;
    int rc = next_id(s, &row.id, err);

    if (rc < 0)
        return rc;
    if (codec == CODEC_ZSTD_DICTIONARY)
        row.dictionary = codec_dictionary_id(s->active);
    rc = sql_get(s->db,
                 "INSERT INTO blob(id, codec, dictionary, size, data, key) "
                 "VALUES(?, ?, ?, ?, ?, ?)",
                 &q, err);
    if (rc < 0)
        return rc;
    packed = store_row_seal(s, &row, packed);
    sql_bind_int(q, 1, row.id);
    sql_bind_int(q, 2, store_row_codec(s, codec));
    if (row.dictionary)
        sql_bind_int(q, 3, row.dictionary);
    sql_bind_int(q, 4, row.size);
    sql_bind_blob(q, 5, packed.p, packed.n);
    store_bind_key(s, q, 6);
    rc = sql_run(q, err);
    if (rc < 0)
        return rc;
    *id = row.id;
    rc = sql_get(s->db, "INSERT INTO blob_hash(hash, blob) VALUES(?, ?)", &q,
                 err);
    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, hash, CRYPTO_HASH_BYTES);
    sql_bind_int(q, 2, *id);
    rc = sql_run(q, err);
    if (rc == ERR_OK)
        remember(s, hash, *id);
    return rc;
}

/* Pack and insert inside a transaction. */
static int put_new(struct store *s, const unsigned char *hash,
                   struct slice data, int64_t *id, struct err *err)
{
    enum codec_id codec;
    int rc;

    buf_reset(&s->scratch);
    rc = codec_pack(s->codec, s->active, data, &s->scratch, &codec, err);
    if (rc == ERR_OK)
        rc = store_blob_insert(s, hash, codec, buf_slice(&s->scratch), data.n,
                               id, err);
    return rc;
}

int store_blob_put(struct store *s, struct slice data, int64_t *id,
                   struct err *err)
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    bool own;
    int rc;

    crypto_keyed_hash(&s->writes->hash, data, hash);
    /* What is remembered holds inside a transaction only. */
    own = !sql_in_transaction(s->db);
    rc = own ? sql_begin(s->db, err) : ERR_OK;
    if (rc == ERR_OK)
        rc = store_blob_find(s, hash, id, err);
    if (rc == ERR_OK && !*id)
        rc = put_new(s, hash, data, id, err);
    if (rc == ERR_OK && own)
        rc = sql_commit(s->db, err);
    if (rc < 0 && own)
        sql_rollback(s->db);
    return rc;
}

static int unpack_row(struct store *s, struct sql_stmt *q, int64_t id,
                      struct buf *out, struct err *err)
{
    struct store_row row = { 'b', id, sql_int(q, 0), sql_int(q, 1),
                             sql_int(q, 2) };
    const struct codec_dictionary *d = NULL;
    struct slice packed;
    int rc;

    buf_reset(&s->opened);
    rc = store_row_open(s, &row, sql_int(q, 4), sql_blob(q, 3), &s->opened,
                        &packed, err);
    if (rc == ERR_OK && row.dictionary)
        rc = store_dictionary(s, row.dictionary, &d, err);
    if (rc == ERR_OK)
        rc = codec_unpack(s->codec, row.codec, d, packed, (size_t)row.size, out,
                          err);
    return rc < 0 ? store_err_wrap(s, "blob", id, err) : ERR_OK;
}

static int load(struct store *s, int64_t id, struct buf *out, struct err *err)
{
    struct sql_stmt *q;
    int rc = store_row_find(s,
                            "SELECT codec, dictionary, size, data, key FROM "
                            "blob WHERE id = ?",
                            "blob", id, &q, err);

    if (rc < 0)
        return rc;
    rc = unpack_row(s, q, id, out, err);
    sql_reset(q);
    return rc;
}

int store_blob_hash(struct store *s, int64_t id, struct buf *data,
                    unsigned char out[CRYPTO_HASH_BYTES], struct err *err)
{
    size_t start = data->len;
    const struct store_key *k = s->writes;
    struct sql_stmt *q;
    int rc = load(s, id, data, err);

    if (rc == ERR_OK)
        rc = sql_get(s->db, "SELECT key FROM blob WHERE id = ?", &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc == 1 && !sql_is_null(q, 0))
        rc = store_key_get(s, sql_int(q, 0), &k, err);
    else if (rc == 1)
        rc = ERR_OK;
    sql_reset(q);
    if (rc == ERR_OK)
        crypto_keyed_hash(
            &k->hash,
            (struct slice){ data->data ? data->data + start : NULL,
                            data->len - start },
            out);
    return rc;
}

int store_blob_get(struct store *s, int64_t id, struct buf *out,
                   struct err *err)
{
    struct store_cached *c = &s->unpacked[(uint64_t)id % CACHE_SLOTS];
    size_t start = out->len;
    int rc = ERR_OK;

    if (!id)
        return ERR_OK;
    store_check_caches(s);
    if (c->id == id) {
        buf_add_slice(out, buf_slice(&c->data));
    } else {
        rc = load(s, id, out, err);
        if (rc == ERR_OK && out->len - start <= CACHE_BLOB_MAX) {
            buf_reset(&c->data);
            buf_add(&c->data, out->data + start, out->len - start);
            c->id = id;
        }
    }
    if (rc == ERR_OK && out->overflow)
        rc = err_set(err, ERR_LIMIT, "%s: blob %lld does not fit", s->dir,
                     (long long)id);
    return rc;
}

/*
 * store_ledger.c - the chain over what was logged
 *
 * Each call has a commitment: a keyed hash of its columns and of the hashes
 * of its pieces, which the store can compute again however they are packed.
 * A commit that adds calls adds one link over the link before it and the
 * commitments of its calls, in the order of their ids. No row a call.
 */
#include "store/store_private.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SELECT_NUMBER(name)                                                    \
    "SELECT CAST(value AS INTEGER) FROM setting WHERE name = '" name "'"

/* Separate keys for separate uses of the one hash key. */
static int load_keys(struct store *s, int64_t data_key,
                     struct store_ledger_keys *out, struct err *err)
{
    struct crypto_key hash_key;
    int rc = store_hash_key(s, data_key, &hash_key, err);

    if (rc < 0)
        return rc;
    crypto_derive(&hash_key, "chain", &out->chain);
    crypto_derive(&hash_key, "commitment", &out->commitment);
    out->data_key = data_key;
    out->loaded = true;
    crypto_wipe(&hash_key, sizeof(hash_key));
    return ERR_OK;
}

int store_ledger_keys(struct store *s, int64_t data_key,
                      struct store_ledger_keys *keys, struct err *err)
{
    if (keys->loaded && keys->data_key == data_key)
        return ERR_OK;
    return load_keys(s, data_key, keys, err);
}

static void hash_int(struct crypto_hasher *h, int64_t v)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)v >> 8 * i);
    crypto_hasher_update(h, (struct slice){ (char *)bytes, sizeof(bytes) });
}

/* With its length, so that no text runs into the next. */
static void hash_text(struct crypto_hasher *h, struct slice text)
{
    hash_int(h, (int64_t)text.n);
    crypto_hasher_update(h, text);
}

void store_commitment_begin(struct crypto_hasher *h,
                            const struct store_ledger_keys *keys,
                            const struct store_call *c, int64_t id, int64_t raw)
{
    const int64_t numbers[] = { id,
                                raw,
                                c->line,
                                c->time_us,
                                c->http_status,
                                c->latency_us,
                                c->ttft_us,
                                c->tokens_in,
                                c->tokens_out,
                                c->tokens_cached,
                                c->tokens_reason };
    const struct slice texts[] = {
        c->upstream,    c->dialect.n ? c->dialect : slice_of("openai-chat"),
        c->model,       c->workload,
        c->client,      c->status,
        c->phase,       c->finish,
        c->facts,       c->conversation,
        c->response_id, c->error,
        c->extra
    };

    crypto_hasher_init(h, &keys->commitment);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        hash_int(h, numbers[i] < 0 ? -1 : numbers[i]);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        hash_text(h, texts[i]);
}

void store_commitment_shape(struct crypto_hasher *h, int64_t at,
                            bool has_response, size_t messages)
{
    hash_int(h, at);
    hash_int(h, has_response);
    hash_int(h, (int64_t)messages);
}

void store_commitment_piece(struct crypto_hasher *h,
                            const unsigned char hash[CRYPTO_HASH_BYTES])
{
    crypto_hasher_update(
        h, (struct slice){ (const char *)hash, CRYPTO_HASH_BYTES });
}

void store_ledger_link(const struct store_ledger_keys *keys,
                       const unsigned char before[STORE_LINK_BYTES],
                       const struct store_group *g, struct slice commitments,
                       unsigned char out[STORE_LINK_BYTES])
{
    struct buf text = { .data = NULL };

    buf_add(&text, before, STORE_LINK_BYTES);
    bytes_put_u64(&text, (uint64_t)g->first);
    bytes_put_u64(&text, (uint64_t)g->last);
    bytes_put_u64(&text, (uint64_t)g->data_key);
    buf_add_slice(&text, commitments);
    crypto_hmac(&keys->chain, buf_slice(&text), out);
    buf_release(&text);
}

/* The last link, and the highest id that was ever given to a call. */
static int find_end(struct store *s, unsigned char link[STORE_LINK_BYTES],
                    int64_t *high, struct err *err)
{
    struct sql_stmt *q;
    int64_t calls, tombstones;
    int rc = sql_get(s->db,
                     "SELECT last, link FROM ledger ORDER BY last DESC LIMIT 1",
                     &q, err);

    memset(link, 0, STORE_LINK_BYTES);
    *high = 0;
    if (rc == ERR_OK)
        rc = sql_step(q, err);
    if (rc == 1) {
        struct slice v = sql_blob(q, 1);

        *high = sql_int(q, 0);
        if (v.n == STORE_LINK_BYTES)
            memcpy(link, v.p, v.n);
        sql_reset(q);
        rc = ERR_OK;
    }
    if (rc == ERR_OK)
        rc = sql_one_int(s->db, "SELECT max(id) FROM logged", 0, &calls, err);
    if (rc == ERR_OK)
        rc = sql_one_int(s->db, "SELECT max(call) FROM tombstone", 0,
                         &tombstones, err);
    if (rc < 0)
        return rc;
    *high = calls > *high ? calls : *high;
    *high = tombstones > *high ? tombstones : *high;
    return ERR_OK;
}

static int read_floors(struct store *s, struct err *err)
{
    const struct {
        const char *text;
        int64_t *to;
    } floors[] = {
        { SELECT_NUMBER("blob_floor"), &s->blob_floor },
        { SELECT_NUMBER("node_floor"), &s->node_floor },
        { SELECT_NUMBER("dictionary_floor"), &s->dictionary_floor },
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < 3; i++)
        rc = sql_one_int(s->db, floors[i].text, 0, floors[i].to, err);
    return rc;
}

/* Deleters count: what was remembered of ids may be gone. */
static int look_at_epoch(struct store *s, struct err *err)
{
    int64_t epoch;
    int rc = sql_one_int(s->db, SELECT_NUMBER("epoch"), 0, &epoch, err);

    if (rc < 0 || epoch == s->epoch)
        return rc;
    s->epoch = epoch;
    store_forget(s);
    rc = read_floors(s, err);
    return rc < 0 ? rc : store_dictionary_newest(s, err);
}

static int begun(void *store, struct err *err)
{
    struct store *s = store;

    s->ledger.calls = 0;
    s->ledger.high = -1;
    return look_at_epoch(s, err);
}

static int insert_link(struct store *s, const struct store_group *g,
                       const unsigned char link[STORE_LINK_BYTES],
                       struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO ledger(last, first, data_key, link) "
                     "VALUES(?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, g->last);
    sql_bind_int(q, 2, g->first);
    sql_bind_int(q, 3, g->data_key);
    sql_bind_blob(q, 4, link, STORE_LINK_BYTES);
    return sql_run(q, err);
}

static int committing(void *store, struct err *err)
{
    struct store *s = store;
    struct store_ledger *l = &s->ledger;
    unsigned char link[STORE_LINK_BYTES];
    struct store_group g = { .first = l->high - l->calls + 1,
                             .last = l->high,
                             .data_key = store_data_key(s) };

    if (!l->calls)
        return ERR_OK;
    store_ledger_link(&l->keys, l->link, &g, buf_slice(&l->commitments), link);
    l->calls = 0;
    return insert_link(s, &g, link, err);
}

int store_ledger_open(struct store *s, struct err *err)
{
    const struct sql_hooks hooks = { .begun = begun,
                                     .committing = committing,
                                     .ctx = s };
    int rc;

    s->ledger.high = -1;
    sql_set_hooks(s->db, &hooks);
    rc = sql_one_int(s->db, SELECT_NUMBER("epoch"), 0, &s->epoch, err);
    return rc < 0 ? rc : read_floors(s, err);
}

void store_ledger_close(struct store *s)
{
    buf_release(&s->ledger.commitments);
    crypto_wipe(&s->ledger.keys, sizeof(s->ledger.keys));
}

int store_ledger_next(struct store *s, int64_t *id, struct err *err)
{
    struct store_ledger *l = &s->ledger;
    int rc = ERR_OK;

    assert(sql_in_transaction(s->db));
    if (l->high < 0) {
        buf_reset(&l->commitments);
        rc = find_end(s, l->link, &l->high, err);
        if (rc < 0)
            l->high = -1;
    }
    if (rc == ERR_OK)
        rc = store_ledger_keys(s, store_data_key(s), &l->keys, err);
    *id = l->high + 1;
    return rc;
}

void store_ledger_add(struct store *s,
                      const unsigned char commitment[CRYPTO_HASH_BYTES])
{
    struct store_ledger *l = &s->ledger;

    buf_add(&l->commitments, commitment, CRYPTO_HASH_BYTES);
    l->calls++;
    l->high++;
}

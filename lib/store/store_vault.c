/*
 * store_vault.c - the keys of a store
 *
 * Rows are encrypted with random data keys; the key file only wraps those, so
 * that another key file costs one row and no rewriting. The key of the hashes
 * is wrapped beside the data key it is used with: a plain store has it as a
 * setting, where it protects against chosen collisions, not against reading.
 */
#include "store/store_private.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAPPED_BYTES (2 * CRYPTO_KEY_BYTES)
#define PURPOSE "store data keys"

static struct store_key *add_key(struct store *s, int64_t id)
{
    void *list = s->keys;
    struct store_key *k = crypto_secret_new(sizeof(*k));

    k->id = id;
    mem_grow(&list, &s->key_cap, s->key_count + 1, sizeof(*s->keys));
    s->keys = list;
    s->keys[s->key_count++] = k;
    return k;
}

void store_vault_close(struct store *s)
{
    for (size_t i = 0; i < s->key_count; i++)
        crypto_secret_free(s->keys[i]);
    free(s->keys);
    crypto_secret_free(s->master);
    free(s->key_file);
    buf_release(&s->sealed);
    buf_release(&s->opened);
}

/* What a wrapped key is bound to. */
static void put_about(int64_t id, char out[32])
{
    (void)snprintf(out, 32, "data key %lld", (long long)id);
}

static void wrap_key(const struct crypto_key *master, const struct store_key *k,
                     struct buf *out)
{
    struct crypto_key *with = crypto_secret_new(sizeof(*with));
    char *both = crypto_secret_new(WRAPPED_BYTES), about[32];

    crypto_derive(master, PURPOSE, with);
    memcpy(both, k->data.bytes, CRYPTO_KEY_BYTES);
    memcpy(both + CRYPTO_KEY_BYTES, k->hash.bytes, CRYPTO_KEY_BYTES);
    put_about(k->id, about);
    crypto_seal(with, slice_of(about), (struct slice){ both, WRAPPED_BYTES },
                out);
    crypto_secret_free(both);
    crypto_secret_free(with);
}

static int unwrap_key(const struct crypto_key *master, struct slice wrapped,
                      struct store_key *k, struct err *err)
{
    struct crypto_key *with = crypto_secret_new(sizeof(*with));
    struct buf both = { .data = NULL };
    char about[32];
    int rc;

    crypto_derive(master, PURPOSE, with);
    put_about(k->id, about);
    rc = crypto_unseal(with, slice_of(about), wrapped, &both, err);
    if (rc == ERR_OK && both.len != WRAPPED_BYTES)
        rc = err_set(err, ERR_FORMAT, "a wrapped key of another length");
    if (rc == ERR_OK) {
        memcpy(k->data.bytes, both.data, CRYPTO_KEY_BYTES);
        memcpy(k->hash.bytes, both.data + CRYPTO_KEY_BYTES, CRYPTO_KEY_BYTES);
    }
    if (both.data)
        crypto_wipe(both.data, both.len);
    buf_release(&both);
    crypto_secret_free(with);
    return rc;
}

static int no_key(const struct store *s, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s: encrypted with key %s, which is needed here; name its "
                   "file with --key-file",
                   s->dir, s->key_id);
}

/* The row on which q stands: kind, key_id, wrapped. */
static int take_key(struct store *s, struct sql_stmt *q, int64_t id,
                    const struct store_key **out, struct err *err)
{
    struct slice key_id = sql_text(q, 1);
    struct store_key *k;
    char mine[9];
    int rc;

    if (!s->master)
        return no_key(s, err);
    crypto_key_id(s->master, mine);
    if (!slice_is(key_id, mine))
        return err_set(err, ERR_INVALID,
                       "%s: encrypted with key %.*s, but %s holds key %s; name "
                       "the right one with --key-file",
                       s->dir, (int)key_id.n, key_id.p, s->key_file, mine);
    k = add_key(s, id);
    rc = unwrap_key(s->master, sql_blob(q, 2), k, err);
    if (rc < 0) {
        crypto_secret_free(k);
        s->key_count--;
        return err_wrap(err, "%s: data key %lld", s->dir, (long long)id);
    }
    *out = k;
    return ERR_OK;
}

/* Of an encrypted store that is open without its key: it opens nothing. */
static bool is_nobody(const struct store *s, const struct store_key *k)
{
    return s->encrypted && s->writes == k && k->id == 0;
}

int store_key_get(struct store *s, int64_t id, const struct store_key **out,
                  struct err *err)
{
    struct sql_stmt *q;
    int rc;

    for (size_t i = 0; i < s->key_count; i++)
        if (s->keys[i]->id == id && !is_nobody(s, s->keys[i])) {
            *out = s->keys[i];
            return ERR_OK;
        }
    rc = sql_get(s->db,
                 "SELECT kind, key_id, wrapped FROM data_key "
                 "WHERE id = ?",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc == 0)
        return err_set(err, ERR_FORMAT, "%s: data key %lld is missing", s->dir,
                       (long long)id);
    if (rc < 0)
        return rc;
    rc = take_key(s, q, id, out, err);
    sql_reset(q);
    return rc;
}

int store_master_read(struct store *s, const char *path, bool create,
                      struct err *err)
{
    struct crypto_key *k = crypto_secret_new(sizeof(*k));
    int rc = crypto_key_read(path, create, k, err);

    if (rc == ERR_NOTFOUND && s->encrypted)
        rc = err_set(err, ERR_INVALID,
                     "%s: encrypted with key %s, but there is no %s; restore "
                     "it, or name the key with --key-file",
                     s->dir, s->key_id, path);
    if (rc < 0) {
        crypto_secret_free(k);
        return rc;
    }
    crypto_secret_free(s->master);
    s->master = k;
    free(s->key_file);
    s->key_file = mem_strdup(path);
    return ERR_OK;
}

/* INSERT or UPDATE; kind 'retired': it opens nothing any more. */
static int write_key(struct store *s, const struct store_key *k,
                     const char *kind, struct err *err)
{
    struct buf wrapped = { .data = NULL };
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO data_key(id, created, kind, key_id, wrapped) "
                     "VALUES(?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET kind "
                     "= excluded.kind, key_id = excluded.key_id, wrapped = "
                     "excluded.wrapped",
                     &q, err);

    if (rc < 0)
        return rc;
    wrap_key(s->master, k, &wrapped);
    sql_bind_int(q, 1, k->id);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_cstr(q, 3, kind);
    sql_bind_cstr(q, 4, s->key_id);
    sql_bind_blob(q, 5, wrapped.data, wrapped.len);
    rc = sql_run(q, err);
    buf_release(&wrapped);
    return rc;
}

/* hash: of the key that it takes over from, NULL: a new one. */
static int make_key(struct store *s, const struct crypto_key *hash,
                    struct store_key **out, struct err *err)
{
    struct store_key *k;
    int64_t last;
    int rc = sql_one_int(s->db, "SELECT max(id) FROM data_key", 0, &last, err);

    if (rc < 0)
        return rc;
    k = add_key(s, last + 1);
    crypto_random(k->data.bytes, sizeof(k->data.bytes));
    crypto_random(k->hash.bytes, sizeof(k->hash.bytes));
    if (hash)
        k->hash = *hash;
    crypto_key_id(s->master, s->key_id);
    rc = write_key(s, k, "key", err);
    if (rc == ERR_OK)
        rc = store_setting_set(s, "encryption", "key", err);
    if (rc == ERR_OK)
        rc = store_setting_set(s, "key_id", s->key_id, err);
    s->encrypted = rc == ERR_OK;
    *out = k;
    return rc;
}

/* The hash key of a plain store goes on as one that is wrapped. */
int store_key_renew(struct store *s, struct err *err)
{
    const struct store_key *old = s->writes;
    struct store_key *k;
    int rc = make_key(s, &old->hash, &k, err);

    if (rc == ERR_OK && old->id == 0)
        rc = write_key(s, old, "retired", err);
    if (rc == ERR_OK && old->id == 0)
        rc =
            sql_exec(s->db, "DELETE FROM setting WHERE name = 'hash_key'", err);
    s->writes = k;
    s->turning = true;
    return rc;
}

int store_key_retire(struct store *s, int64_t id, struct err *err)
{
    struct store_key *k = crypto_secret_new(sizeof(*k));
    const struct store_key *old;
    int rc = store_key_get(s, id, &old, err);

    k->id = id;
    if (rc == ERR_OK) {
        k->hash = old->hash;
        rc = write_key(s, k, "retired", err);
    }
    crypto_secret_free(k);
    return rc;
}

static int rewrap_one(struct store *s, const struct store_key *k,
                      struct err *err)
{
    struct sql_stmt *q;
    bool retired;
    int rc = sql_get(
        s->db, "SELECT kind = 'retired' FROM data_key WHERE id = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, k->id);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    retired = sql_int(q, 0);
    sql_reset(q);
    return write_key(s, k, retired ? "retired" : "key", err);
}

/* Each data key but the sealed ones, opened. */
static int open_keys(struct store *s, struct err *err)
{
    const struct store_key *k;
    struct sql_stmt *q;
    int64_t id = -1;
    int rc = ERR_OK;

    while (rc == ERR_OK) {
        bool none;

        rc = sql_get(s->db,
                     "SELECT min(id) FROM data_key WHERE id > ? AND "
                     "kind <> 'sealed'",
                     &q, err);
        if (rc < 0)
            return rc;
        sql_bind_int(q, 1, id);
        rc = sql_step(q, err);
        if (rc < 0)
            return rc;
        id = sql_int(q, 0);
        none = sql_is_null(q, 0);
        sql_reset(q);
        if (none)
            return ERR_OK;
        rc = store_key_get(s, id, &k, err);
    }
    return rc;
}

/* All are opened with the old key, then written with the new one. */
int store_key_rewrap(struct store *s, const char *path, struct err *err)
{
    int rc = open_keys(s, err);

    if (rc == ERR_OK)
        rc = store_master_read(s, path, true, err);
    if (rc < 0)
        return rc;
    crypto_key_id(s->master, s->key_id);
    for (size_t i = 0; rc == ERR_OK && i < s->key_count; i++)
        rc = rewrap_one(s, s->keys[i], err);
    return rc < 0 ? rc : store_setting_set(s, "key_id", s->key_id, err);
}

static int make_hash_key(struct store *s, struct err *err)
{
    char hex[2 * CRYPTO_KEY_BYTES + 1];
    struct crypto_key key;

    crypto_random(key.bytes, sizeof(key.bytes));
    crypto_hex(key.bytes, sizeof(key.bytes), hex);
    return store_setting_set(s, "hash_key", hex, err);
}

/* The settings that say what this store is. */
static int read_settings(struct store *s, struct buf *hash_key, struct err *err)
{
    struct buf mode = { .data = NULL }, id = { .data = NULL };
    bool found;
    int rc = store_setting_get(s, "encryption", &mode, &s->encrypted, err);

    if (rc == ERR_OK)
        rc = store_setting_get(s, "key_id", &id, &found, err);
    if (rc == ERR_OK)
        rc = store_setting_get(s, "hash_key", hash_key, &found, err);
    if (rc == ERR_OK && s->encrypted && !slice_is(buf_slice(&mode), "key"))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: encryption '%s' is not known here; install a newer "
                     "slmctl",
                     s->dir, mode.data ? mode.data : "");
    if (rc == ERR_OK)
        rc = store_setting_get(s, "rotating", &mode, &s->turning, err);
    if (id.len < sizeof(s->key_id) && id.data)
        memcpy(s->key_id, id.data, id.len + 1);
    buf_release(&mode);
    buf_release(&id);
    return rc;
}

/* Two who make the store at once agree on what came first. */
static int begin_store(struct store *s, const struct store_access *access,
                       struct buf *hash_key, struct err *err)
{
    bool keyed = access && !access->plain;
    struct store_key *k;
    int rc = ERR_OK;

    if (keyed)
        rc = store_master_read(s, access->key_file, true, err);
    if (rc == ERR_OK)
        rc = sql_begin(s->db, err);
    if (rc < 0)
        return rc;
    rc = read_settings(s, hash_key, err);
    if (rc == ERR_OK && !s->encrypted && !hash_key->len) {
        rc = keyed ? make_key(s, NULL, &k, err) : make_hash_key(s, err);
        if (rc == ERR_OK)
            rc = read_settings(s, hash_key, err);
    }
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    return rc;
}

/* The newest data key of the key file. */
static int open_keyed(struct store *s, const struct store_access *access,
                      struct err *err)
{
    int64_t id;
    int rc =
        s->master ? ERR_OK : store_master_read(s, access->key_file, false, err);

    if (rc == ERR_OK)
        rc = sql_one_int(s->db,
                         "SELECT max(id) FROM data_key WHERE kind = 'key'", 0,
                         &id, err);
    return rc < 0 ? rc : store_key_get(s, id, &s->writes, err);
}

/* Hashes of a plain store; of one that is open without its key, no hash. */
static int open_plain(struct store *s, struct slice hash_key, struct err *err)
{
    struct store_key *k = add_key(s, 0);

    s->writes = k;
    if (!hash_key.n)
        crypto_random(k->hash.bytes, sizeof(k->hash.bytes));
    else if (!crypto_unhex(hash_key, k->hash.bytes, sizeof(k->hash.bytes)))
        return err_set(err, ERR_FORMAT, "%s: setting hash_key is damaged",
                       s->dir);
    return ERR_OK;
}

int store_vault_check(struct store *s, struct err *err)
{
    int64_t now = 0;
    int rc = sql_one_int(
        s->db, "SELECT max(id) FROM data_key WHERE kind = 'key'", 0, &now, err);

    if (rc < 0 || now == s->writes->id || is_nobody(s, s->writes))
        return rc;
    return err_set(err, ERR_BUSY,
                   "%s: its encryption was changed meanwhile; run this again",
                   s->dir);
}

int store_vault_open(struct store *s, enum store_mode mode,
                     const struct store_access *access, struct err *err)
{
    struct buf hash_key = { .data = NULL };
    int rc = read_settings(s, &hash_key, err);

    if (rc == ERR_OK && !s->encrypted && !hash_key.len && mode != STORE_READ)
        rc = begin_store(s, access, &hash_key, err);
    if (rc == ERR_OK && s->encrypted && !access && mode != STORE_READ)
        rc = no_key(s, err);
    if (rc == ERR_OK && s->turning && access && !access->rotates)
        rc = err_set(err, ERR_BUSY,
                     "%s: its encryption is being changed; if nothing does, "
                     "slmctl store rotate goes on with it",
                     s->dir);
    if (rc == ERR_OK)
        rc = s->encrypted && access ? open_keyed(s, access, err)
                                    : open_plain(s, buf_slice(&hash_key), err);
    if (hash_key.data)
        crypto_wipe(hash_key.data, hash_key.len);
    buf_release(&hash_key);
    return rc;
}

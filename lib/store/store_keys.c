/*
 * store_keys.c - data keys: made, wrapped, opened, retired
 *
 * Rows are encrypted with random data keys; the key file only wraps those, so
 * that another key file costs one row and no rewriting. The key of the hashes
 * is wrapped beside the data key it is used with. What is collected into a
 * sealed store is under data keys that are wrapped to a public key.
 */
#include "store/store_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAPPED_BYTES (2 * CRYPTO_KEY_BYTES)
#define PURPOSE "store data keys"

struct store_key *store_key_add(struct store *s, int64_t id)
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

static void wrap_sealed(const struct crypto_key *to, const struct store_key *k,
                        struct buf *out)
{
    char *both = crypto_secret_new(WRAPPED_BYTES);

    memcpy(both, k->data.bytes, CRYPTO_KEY_BYTES);
    memcpy(both + CRYPTO_KEY_BYTES, k->hash.bytes, CRYPTO_KEY_BYTES);
    crypto_seal_to(to, (struct slice){ both, WRAPPED_BYTES }, out);
    crypto_secret_free(both);
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

/* The two keys of a wrapped one; wipes it. */
static int split_keys(struct buf *both, struct store_key *k, int rc,
                      struct err *err)
{
    if (rc == ERR_OK && both->len != WRAPPED_BYTES)
        rc = err_set(err, ERR_FORMAT, "a wrapped key of another length");
    if (rc == ERR_OK) {
        memcpy(k->data.bytes, both->data, CRYPTO_KEY_BYTES);
        memcpy(k->hash.bytes, both->data + CRYPTO_KEY_BYTES, CRYPTO_KEY_BYTES);
    }
    if (both->data)
        crypto_wipe(both->data, both->len);
    buf_release(both);
    return rc;
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
    crypto_secret_free(with);
    return split_keys(&both, k, rc, err);
}

static int unwrap_sealed(const struct crypto_key *private_key,
                         struct slice wrapped, struct store_key *k,
                         struct err *err)
{
    struct buf both = { .data = NULL };
    int rc = crypto_unseal_with(private_key, wrapped, &both, err);

    return split_keys(&both, k, rc, err);
}

int store_no_key(const struct store *s, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s: encrypted with key %s, which is needed here; name its "
                   "file with --key-file",
                   s->dir, s->key_id);
}

int store_no_private_key(const struct store *s, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s: sealed to public key %s, and this needs the private "
                   "one; name its file with --private-key",
                   s->dir, s->seal_id);
}

/* A key that is not given is no fault of a row, and its message names the
 * store. */
int store_err_wrap(const struct store *s, const char *what, int64_t id,
                   struct err *err)
{
    if (err->code == ERR_INVALID)
        return err->code;
    return err_wrap(err, "%s: %s %lld", s->dir, what, (long long)id);
}

/* The key file is that which wrapped it. */
static int check_master(const struct store *s, struct slice key_id,
                        struct err *err)
{
    char mine[9];

    if (!s->master)
        return store_no_key(s, err);
    crypto_key_id(s->master, mine);
    if (slice_is(key_id, mine))
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "%s: encrypted with key %.*s, but %s holds key %s; name the "
                   "right one with --key-file",
                   s->dir, (int)key_id.n, key_id.p, s->key_file, mine);
}

/* The row on which q stands: kind, key_id, wrapped. */
static int take_key(struct store *s, struct sql_stmt *q, int64_t id,
                    const struct store_key **out, struct err *err)
{
    bool sealed = slice_is(sql_text(q, 0), "sealed");
    struct store_key *k;
    int rc = ERR_OK;

    if (!sealed)
        rc = check_master(s, sql_text(q, 1), err);
    else if (!s->private_key)
        rc = store_no_private_key(s, err);
    if (rc < 0)
        return rc;
    k = store_key_add(s, id);
    rc = sealed ? unwrap_sealed(s->private_key, sql_blob(q, 2), k, err)
                : unwrap_key(s->master, sql_blob(q, 2), k, err);
    if (rc < 0) {
        crypto_secret_free(k);
        s->key_count--;
        return err_wrap(err, "%s: data key %lld", s->dir, (long long)id);
    }
    *out = k;
    return ERR_OK;
}

/* Of an encrypted store that is open without its key: it opens nothing. */
bool store_is_nobody(const struct store *s, const struct store_key *k)
{
    return s->encrypted && s->writes == k && k->id == 0;
}

int store_key_get(struct store *s, int64_t id, const struct store_key **out,
                  struct err *err)
{
    struct sql_stmt *q;
    int rc;

    for (size_t i = 0; i < s->key_count; i++)
        if (s->keys[i]->id == id && !store_is_nobody(s, s->keys[i])) {
            *out = s->keys[i];
            return ERR_OK;
        }
    rc = store_row_find(
        s, "SELECT kind, key_id, wrapped FROM data_key WHERE id = ?",
        "data key", id, &q, err);
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
    int rc = path ? crypto_key_read(path, create, k, err)
                  : err_set(err, ERR_INVALID,
                            "no home directory for the key: set HOME or "
                            "XDG_CONFIG_HOME, or name it with --key-file");

    if (rc == ERR_NOTFOUND && s->encrypted && s->key_id[0])
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
    if (strcmp(kind, "sealed") == 0)
        wrap_sealed(&s->seal_to, k, &wrapped);
    else
        wrap_key(s->master, k, &wrapped);
    sql_bind_int(q, 1, k->id);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_cstr(q, 3, kind);
    sql_bind_cstr(q, 4, strcmp(kind, "sealed") == 0 ? s->seal_id : s->key_id);
    sql_bind_blob(q, 5, wrapped.data, wrapped.len);
    rc = sql_run(q, err);
    buf_release(&wrapped);
    return rc;
}

/* hash: of the key that it takes over from, NULL: a new one. */
int store_key_new(struct store *s, const struct crypto_key *hash,
                  const char *kind, struct store_key **out, struct err *err)
{
    struct store_key *k;
    int64_t last;
    int rc = sql_one_int(s->db, "SELECT max(id) FROM data_key", 0, &last, err);

    if (rc < 0)
        return rc;
    k = store_key_add(s, last + 1);
    crypto_random(k->data.bytes, sizeof(k->data.bytes));
    crypto_random(k->hash.bytes, sizeof(k->hash.bytes));
    if (hash)
        k->hash = *hash;
    *out = k;
    return write_key(s, k, kind, err);
}

/* Inside a transaction. */
int store_key_make(struct store *s, const struct crypto_key *hash,
                   struct store_key **out, struct err *err)
{
    int rc;

    crypto_key_id(s->master, s->key_id);
    rc = store_key_new(s, hash, "key", out, err);
    if (rc == ERR_OK && !s->is_sealed)
        rc = store_setting_set(s, "encryption", "key", err);
    if (rc == ERR_OK)
        rc = store_setting_set(s, "key_id", s->key_id, err);
    s->encrypted = rc == ERR_OK;
    return rc;
}

/* The hash key of a plain store goes on as one that is wrapped. */
int store_key_renew(struct store *s, struct err *err)
{
    const struct store_key *old = s->writes;
    struct store_key *k;
    int rc = store_key_make(s, &old->hash, &k, err);

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

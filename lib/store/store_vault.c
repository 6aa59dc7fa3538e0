/*
 * store_vault.c - what may open a store, and with which key it is written
 *
 * A plain store has the key of its hashes as a setting, where it protects
 * against chosen collisions, not against reading. An encrypted one is opened
 * with the key file. A sealed one is written by a collector under a data key
 * that it forgets, and by those who curate under the key file's.
 */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int begin_sealed(struct store *s, const struct crypto_key *to,
                        struct err *err)
{
    char hex[2 * CRYPTO_KEY_BYTES + 1];
    int rc = store_setting_set(s, "encryption", "sealed", err);

    crypto_hex(to->bytes, sizeof(to->bytes), hex);
    return rc < 0 ? rc : store_setting_set(s, "seal_to", hex, err);
}

static int make_hash_key(struct store *s, struct err *err)
{
    char hex[2 * CRYPTO_KEY_BYTES + 1];
    struct crypto_key key;

    crypto_random(key.bytes, sizeof(key.bytes));
    crypto_hex(key.bytes, sizeof(key.bytes), hex);
    return store_setting_set(s, "hash_key", hex, err);
}

static int read_seal(struct store *s, struct err *err)
{
    struct buf hex = { .data = NULL };
    bool found;
    int rc = store_setting_get(s, "seal_to", &hex, &found, err);

    if (rc == ERR_OK && !crypto_unhex(buf_slice(&hex), s->seal_to.bytes,
                                      sizeof(s->seal_to.bytes)))
        rc = err_set(err, ERR_FORMAT, "%s: setting seal_to is damaged", s->dir);
    crypto_key_id(&s->seal_to, s->seal_id);
    buf_release(&hex);
    return rc;
}

/* Keys are there as long as a store is encrypted, and from then on. */
static int check_plain(struct store *s, struct err *err)
{
    int64_t keys;
    int rc = sql_one_int(s->db,
                         "SELECT count(*) FROM data_key WHERE NOT EXISTS "
                         "(SELECT 1 FROM setting WHERE name = 'encryption')",
                         0, &keys, err);

    if (rc < 0 || !keys)
        return rc;
    return err_set(err, ERR_FORMAT,
                   "%s: damaged: it has data keys, but setting encryption is "
                   "gone; restore a backup, see slmctl-store(1)",
                   s->dir);
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
    s->is_sealed = slice_is(buf_slice(&mode), "sealed");
    if (rc == ERR_OK && s->is_sealed)
        rc = read_seal(s, err);
    else if (rc == ERR_OK && s->encrypted && !slice_is(buf_slice(&mode), "key"))
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
    return rc == ERR_OK && !s->encrypted ? check_plain(s, err) : rc;
}

/* Two who make the store at once agree on what came first. */
static int begin_store(struct store *s, const struct store_access *access,
                       struct buf *hash_key, struct err *err)
{
    bool keyed = access && !access->plain;
    bool sealed = keyed && access->seal_to;
    struct store_key *k;
    int rc = ERR_OK;

    if (keyed && !sealed)
        rc = store_master_read(s, access->key_file, true, err);
    if (rc == ERR_OK)
        rc = sql_begin(s->db, err);
    if (rc < 0)
        return rc;
    rc = read_settings(s, hash_key, err);
    if (rc == ERR_OK && !s->encrypted && !hash_key->len) {
        rc = sealed  ? begin_sealed(s, access->seal_to, err)
             : keyed ? store_key_make(s, NULL, &k, err)
                     : make_hash_key(s, err);
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
    int64_t id = 0;
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
    struct store_key *k = store_key_add(s, 0);

    s->writes = k;
    if (!hash_key.n)
        crypto_random(k->hash.bytes, sizeof(k->hash.bytes));
    else if (!crypto_unhex(hash_key, k->hash.bytes, sizeof(k->hash.bytes)))
        return err_set(err, ERR_FORMAT, "%s: setting hash_key is damaged",
                       s->dir);
    return ERR_OK;
}

/* With the public key that is asked for, and the private one of the store. */
static int check_pair(const struct store *s, const struct store_access *access,
                      struct err *err)
{
    struct crypto_key mine;
    char id[9];

    if (access->seal_to &&
        !crypto_equal(access->seal_to, &s->seal_to, sizeof(s->seal_to))) {
        crypto_key_id(access->seal_to, id);
        return err_set(err, ERR_INVALID,
                       "%s: sealed to public key %s already, not to %s", s->dir,
                       s->seal_id, id);
    }
    if (!access->private_key)
        return ERR_OK;
    crypto_public_of(access->private_key, &mine);
    if (crypto_equal(&mine, &s->seal_to, sizeof(mine)))
        return ERR_OK;
    crypto_key_id(&mine, id);
    return err_set(err, ERR_INVALID,
                   "%s: sealed to public key %s; the private key is that of %s",
                   s->dir, s->seal_id, id);
}

int store_vault_may_make(struct store *s, const struct store_access *access,
                         struct err *err)
{
    int rc;

    if (!access || !access->seal_to || access->plain)
        return ERR_OK;
    s->seal_to = *access->seal_to;
    crypto_key_id(&s->seal_to, s->seal_id);
    rc = check_pair(s, access, err);
    return rc == ERR_OK && access->imports && !access->private_key
               ? store_no_private_key(s, err)
               : rc;
}

/* A data key in a transaction of its own. */
static int add_data_key(struct store *s, bool sealed, struct err *err)
{
    struct store_key *k = NULL;
    int rc = sql_begin(s->db, err);

    if (rc < 0)
        return rc;
    rc = sealed ? store_key_new(s, NULL, "sealed", &k, err)
                : store_key_make(s, NULL, &k, err);
    if (rc == ERR_OK)
        rc = sql_commit(s->db, err);
    if (rc < 0)
        sql_rollback(s->db);
    s->writes = k;
    return rc;
}

/* A collector forgets its data key when it ends; what is imported is to be
 * known again, so that goes under the first one. */
static int open_collector(struct store *s, const struct store_access *access,
                          struct err *err)
{
    int64_t id = 0;
    int rc =
        sql_one_int(s->db, "SELECT max(id) FROM blob", 0, &s->blob_base, err);

    if (rc == ERR_OK && access->imports && !s->private_key)
        return store_no_private_key(s, err);
    if (rc == ERR_OK && s->private_key)
        rc = sql_one_int(s->db,
                         "SELECT min(id) FROM data_key WHERE kind = 'sealed'",
                         0, &id, err);
    if (rc < 0)
        return rc;
    if (!id)
        return add_data_key(s, true, err);
    s->blob_base = 0;
    return store_key_get(s, id, &s->writes, err);
}

/* What is curated is under the key file. */
static int open_curated(struct store *s, enum store_mode mode,
                        const struct store_access *access, struct err *err)
{
    bool reads = mode == STORE_READ;
    int64_t id;
    int rc = sql_one_int(
        s->db, "SELECT max(id) FROM data_key WHERE kind = 'key'", 0, &id, err);

    if (rc < 0)
        return rc;
    if (reads && !id)
        return open_plain(s, slice_of(NULL), err);
    rc = store_master_read(s, access->key_file, !id, err);
    if (rc == ERR_OK)
        rc = id ? store_key_get(s, id, &s->writes, err)
                : add_data_key(s, false, err);
    /* Who reads with the private key alone reads what that opens. */
    return rc == ERR_INVALID && reads && s->private_key
               ? open_plain(s, slice_of(NULL), err)
               : rc;
}

static int open_sealed(struct store *s, enum store_mode mode,
                       const struct store_access *access, struct err *err)
{
    int rc = check_pair(s, access, err);

    s->private_key = access->private_key;
    if (rc == ERR_OK && access->removes && !s->private_key)
        rc = store_no_private_key(s, err);
    if (rc < 0)
        return rc;
    return access->collects && mode != STORE_READ
               ? open_collector(s, access, err)
               : open_curated(s, mode, access, err);
}

static int open_encrypted(struct store *s, enum store_mode mode,
                          const struct store_access *access, struct err *err)
{
    if (s->is_sealed)
        return open_sealed(s, mode, access, err);
    if (access->seal_to)
        return err_set(err, ERR_INVALID,
                       "%s: not a sealed store; --seal-to makes a new one",
                       s->dir);
    return open_keyed(s, access, err);
}

int store_vault_check(struct store *s, struct err *err)
{
    int64_t now = 0;
    int rc = sql_one_int(
        s->db, "SELECT max(id) FROM data_key WHERE kind = 'key'", 0, &now, err);

    if (rc < 0 || s->is_sealed || now == s->writes->id ||
        store_is_nobody(s, s->writes))
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
        rc = store_no_key(s, err);
    if (rc == ERR_OK && s->turning && access && !access->rotates)
        rc = err_set(err, ERR_BUSY,
                     "%s: its encryption is being changed; if nothing does, "
                     "slmctl store rotate goes on with it",
                     s->dir);
    if (rc == ERR_OK)
        rc = s->encrypted && access ? open_encrypted(s, mode, access, err)
                                    : open_plain(s, buf_slice(&hash_key), err);
    if (hash_key.data)
        crypto_wipe(hash_key.data, hash_key.len);
    buf_release(&hash_key);
    return rc;
}

const struct crypto_key *store_seal_to(const struct store *s)
{
    return s->is_sealed ? &s->seal_to : NULL;
}

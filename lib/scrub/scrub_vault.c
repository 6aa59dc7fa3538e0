/*
 * scrub_vault.c - the file by which surrogates can be turned back
 *
 * A header, then records one behind the other: 16 bytes of HMAC by which a
 * record is known without being opened, a length, and type, scope, surrogate
 * and value sealed under a key derived from the key file. Records are only
 * ever appended, each once; a tail that a killed run left is cut off. Whoever
 * lacks the key learns how many records there are, and how long.
 */
#include "scrub/scrub_priv.h"

#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "slmctl vault 1\n"
#define MAGIC_BYTES (sizeof(MAGIC) - 1)
#define HEADER_BYTES (MAGIC_BYTES + CRYPTO_SEAL_BYTES)
#define NAME_BYTES 16
#define VAULT_MAX_BYTES ((size_t)8 << 30)
#define RECORD_MAX (64u << 20)

struct scrub_vault {
    char *path;
    struct crypto_key key, name_key;
    struct map *known; /* names of records */
    struct buf text;   /* as the file has it */
    struct buf fresh;  /* records to append */
    struct buf plain;
    int fd;
    bool full;
    pthread_mutex_t lock;
};

static const struct slice about = { "slmctl vault", 12 };

static void put_u32(struct buf *b, size_t n)
{
    for (int k = 24; k >= 0; k -= 8)
        buf_char(b, (char)(n >> k & 0xFF));
}

static size_t get_u32(const char *p)
{
    size_t n = 0;

    for (int k = 0; k < 4; k++)
        n = n << 8 | (unsigned char)p[k];
    return n;
}

static int check_header(struct scrub_vault *v, struct err *err)
{
    struct buf none = { 0 };
    int rc;

    if (v->text.len < HEADER_BYTES ||
        memcmp(v->text.data, MAGIC, MAGIC_BYTES) != 0)
        return err_set(err, ERR_FORMAT,
                       "%s: no vault of slmctl; name one that --vault made",
                       v->path);
    rc = crypto_unseal(
        &v->key, about,
        (struct slice){ v->text.data + MAGIC_BYTES, CRYPTO_SEAL_BYTES }, &none,
        NULL);
    buf_release(&none);
    return rc < 0 ? err_set(err, ERR_FORMAT,
                            "%s: made with another key; name that one with "
                            "--key-file",
                            v->path)
                  : ERR_OK;
}

/* The record at `at` of the file; false at its end, or where it is cut. */
static bool record_at(const struct scrub_vault *v, size_t at,
                      struct slice *name, struct slice *sealed)
{
    size_t n;

    if (v->text.len - at < NAME_BYTES + 4)
        return false;
    n = get_u32(v->text.data + at + NAME_BYTES);
    if (n > RECORD_MAX || v->text.len - at - NAME_BYTES - 4 < n)
        return false;
    *name = (struct slice){ v->text.data + at, NAME_BYTES };
    *sealed = (struct slice){ v->text.data + at + NAME_BYTES + 4, n };
    return true;
}

static size_t read_names(struct scrub_vault *v)
{
    struct slice name, sealed;
    size_t at = HEADER_BYTES;

    while (record_at(v, at, &name, &sealed)) {
        (void)map_put(v->known, name.p, name.n, NULL);
        at = (size_t)(sealed.p - v->text.data) + sealed.n;
    }
    return at;
}

static int open_file(struct scrub_vault *v, struct err *err)
{
    struct stat st;

    v->fd = open(v->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (v->fd < 0)
        return err_set(err, ERR_OUTPUT, "%s: %s", v->path, strerror(errno));
    if (fstat(v->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_OUTPUT, "%s: a vault is a regular file",
                       v->path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, ERR_INVALID,
                       "%s: others may read the vault; chmod 600 it", v->path);
    if (flock(v->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_BUSY,
                       "%s: another run writes to it; wait for its end",
                       v->path);
    return ERR_OK;
}

static int begin_file(struct scrub_vault *v, struct err *err)
{
    size_t end;
    int rc = open_file(v, err);

    if (rc == ERR_OK)
        rc = io_read_file(v->path, VAULT_MAX_BYTES, &v->text, err);
    if (rc < 0)
        return rc;
    if (v->text.len == 0) {
        buf_add(&v->fresh, MAGIC, MAGIC_BYTES);
        crypto_seal(&v->key, about, (struct slice){ "", 0 }, &v->fresh);
        return ERR_OK;
    }
    rc = check_header(v, err);
    if (rc < 0)
        return rc;
    end = read_names(v);
    buf_release(&v->text); /* not needed to add */
    if (ftruncate(v->fd, (off_t)end) < 0 || lseek(v->fd, 0, SEEK_END) < 0)
        return err_set(err, ERR_OUTPUT, "%s: %s", v->path, strerror(errno));
    return ERR_OK;
}

int scrub_vault_open(const char *path, const struct crypto_key *key, bool add,
                     struct scrub_vault **out, struct err *err)
{
    struct scrub_vault *v;
    int rc;

    if (strcmp(path, "-") == 0)
        return err_set(err, ERR_INVALID,
                       "a vault is a file, not -; give its name");
    v = mem_zalloc(sizeof(*v));
    v->path = mem_strdup(path);
    v->fd = -1;
    v->known = map_new();
    (void)pthread_mutex_init(&v->lock, NULL);
    crypto_derive(key, "vault", &v->key);
    crypto_derive(key, "vault names", &v->name_key);
    if (add)
        rc = begin_file(v, err);
    else
        rc = io_read_file(path, VAULT_MAX_BYTES, &v->text, err);
    if (rc == ERR_OK && !add)
        rc = check_header(v, err);
    if (rc < 0) {
        scrub_vault_close(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void scrub_vault_close(struct scrub_vault *v)
{
    if (!v)
        return;
    if (v->fd >= 0)
        (void)close(v->fd);
    if (v->plain.data)
        crypto_wipe(v->plain.data, v->plain.cap);
    crypto_wipe(&v->key, sizeof(v->key));
    crypto_wipe(&v->name_key, sizeof(v->name_key));
    map_free(v->known);
    buf_release(&v->text);
    buf_release(&v->fresh);
    buf_release(&v->plain);
    (void)pthread_mutex_destroy(&v->lock);
    free(v->path);
    free(v);
}

static void put_field(struct buf *b, struct slice s)
{
    put_u32(b, s.n);
    buf_add_slice(b, s);
}

static void add_record(struct scrub_vault *v, const char *type,
                       struct slice scope, struct slice value,
                       struct slice surrogate)
{
    unsigned char mac[CRYPTO_SHA256_BYTES];
    struct buf sealed = { 0 };
    bool added;

    buf_reset(&v->plain);
    put_field(&v->plain, slice_of(type));
    put_field(&v->plain, scope);
    put_field(&v->plain, surrogate);
    put_field(&v->plain, value);
    crypto_hmac(&v->name_key, buf_slice(&v->plain), mac);
    (void)map_put(v->known, mac, NAME_BYTES, &added);
    if (!added)
        return;
    crypto_seal(&v->key, (struct slice){ (const char *)mac, NAME_BYTES },
                buf_slice(&v->plain), &sealed);
    buf_add(&v->fresh, mac, NAME_BYTES);
    put_field(&v->fresh, buf_slice(&sealed));
    buf_release(&sealed);
}

void scrub_vault_take(struct scrub_vault *v, const struct scrub_worker *w)
{
    struct slice value, surrogate;
    const char *type;

    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < scrub_pair_count(w); i++) {
        scrub_pair_at(w, i, &type, &value, &surrogate);
        v->full |= map_count(v->known) >= SCRUB_VAULT_MAX;
        if (!v->full && !slice_eq(value, surrogate))
            add_record(v, type, w->scope, value, surrogate);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

static int append(struct scrub_vault *v, struct err *err)
{
    struct err cause = { 0 };

    if (v->full)
        return err_set(err, ERR_LIMIT,
                       "%s: more than %d records; name another file", v->path,
                       SCRUB_VAULT_MAX);
    if (!v->fresh.len)
        return ERR_OK;
    if (io_write_all(v->fd, v->fresh.data, v->fresh.len, &cause) < 0)
        return err_set(err, ERR_OUTPUT, "%s: %s", v->path, cause.msg);
    if (fdatasync(v->fd) < 0)
        return err_set(err, ERR_OUTPUT, "%s: %s", v->path, strerror(errno));
    buf_reset(&v->fresh);
    return ERR_OK;
}

int scrub_vault_sync(struct scrub_vault *v, struct err *err)
{
    int rc;

    (void)pthread_mutex_lock(&v->lock);
    rc = append(v, err);
    (void)pthread_mutex_unlock(&v->lock);
    return rc;
}

static bool get_field(struct slice *rest, struct slice *out)
{
    size_t n;

    if (rest->n < 4)
        return false;
    n = get_u32(rest->p);
    if (n > rest->n - 4)
        return false;
    *out = (struct slice){ rest->p + 4, n };
    rest->p += 4 + n;
    rest->n -= 4 + n;
    return true;
}

int scrub_vault_each(struct scrub_vault *v,
                     void (*found)(void *ctx,
                                   const struct scrub_vault_entry *e),
                     void *ctx, struct err *err)
{
    struct slice name, sealed, rest;
    struct scrub_vault_entry e;
    size_t at = HEADER_BYTES;
    int rc = ERR_OK;

    while (rc == ERR_OK && record_at(v, at, &name, &sealed)) {
        buf_reset(&v->plain);
        rc = crypto_unseal(&v->key, name, sealed, &v->plain, NULL);
        rest = buf_slice(&v->plain);
        if (rc < 0 || !get_field(&rest, &e.type) ||
            !get_field(&rest, &e.scope) || !get_field(&rest, &e.surrogate) ||
            !get_field(&rest, &e.value))
            return err_set(err, ERR_FORMAT,
                           "%s: damaged at byte %zu; restore a backup", v->path,
                           at);
        found(ctx, &e);
        at = (size_t)(sealed.p - v->text.data) + sealed.n;
    }
    return rc;
}

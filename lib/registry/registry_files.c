/*
 * registry_files.c - a new model in the registry, known by its files
 *
 * The hash tells two models of one name apart, and a champion whose files were
 * exchanged. It guards against mistakes: whoever can write the files can write
 * the store as well, so its key is no secret.
 */
#include "registry/registry_private.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)1 << 20)
#define FILES_MAX 4096

struct names {
    char **name;
    size_t count, cap;
};

static bool is_text_for_people(const char *name)
{
    size_t n = strlen(name);

    return name[0] == '.' || (n > 3 && strcmp(name + n - 3, ".md") == 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_files(const char *dir, struct names *out, struct err *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int rc = ERR_OK;

    if (!d)
        return err_set(err, ERR_NOTFOUND, "%s: %s", dir, strerror(errno));
    while (rc == ERR_OK && (e = readdir(d))) {
        char *path = io_path(dir, e->d_name);

        if (!is_text_for_people(e->d_name) && !io_is_dir(path)) {
            void *list = out->name;

            mem_grow(&list, &out->cap, out->count + 1, sizeof(*out->name));
            out->name = list;
            out->name[out->count++] = mem_strdup(e->d_name);
            if (out->count > FILES_MAX)
                rc = err_set(err, ERR_LIMIT,
                             "%s: more than %d files; a model's directory "
                             "has its files alone",
                             dir, FILES_MAX);
        }
        free(path);
    }
    (void)closedir(d);
    qsort(out->name, out->count, sizeof(*out->name), by_name);
    return rc;
}

/* Its bytes, then how many they were. */
static int hash_file(struct crypto_hasher *h, const char *path, struct err *err)
{
    struct buf size = { .data = NULL };
    FILE *f = fopen(path, "rb");
    char *chunk;
    uint64_t total = 0;
    size_t n;
    int rc = ERR_OK;

    if (!f)
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    chunk = mem_alloc(CHUNK);
    while ((n = fread(chunk, 1, CHUNK, f)) > 0) {
        crypto_hasher_update(h, (struct slice){ chunk, n });
        total += n;
    }
    if (ferror(f))
        rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    (void)fclose(f);
    free(chunk);
    bytes_put_u64(&size, total);
    crypto_hasher_update(h, buf_slice(&size));
    buf_release(&size);
    return rc;
}

int registry_hash_files(const char *path,
                        unsigned char out[REGISTRY_HASH_BYTES], struct err *err)
{
    static const struct crypto_key key = { { 'f', 'i', 'l', 'e', 's' } };
    struct crypto_hasher h;
    struct names files = { .count = 0 };
    int rc = ERR_OK;

    crypto_hasher_init(&h, &key);
    if (!io_is_dir(path))
        rc = hash_file(&h, path, err);
    else
        rc = list_files(path, &files, err);
    for (size_t i = 0; rc == ERR_OK && i < files.count; i++) {
        char *file = io_path(path, files.name[i]);

        crypto_hasher_update(
            &h, (struct slice){ files.name[i], strlen(files.name[i]) + 1 });
        rc = hash_file(&h, file, err);
        free(file);
    }
    crypto_hasher_final(&h, out);
    for (size_t i = 0; i < files.count; i++)
        free(files.name[i]);
    free(files.name);
    return rc;
}

int registry_verify_files(struct store *s, int64_t model, struct err *err)
{
    unsigned char now[REGISTRY_HASH_BYTES], then[REGISTRY_HASH_BYTES];
    struct sql_stmt *q;
    char *path = NULL;
    bool known;
    int rc = sql_row_of(store_sql(s), "SELECT content FROM model WHERE id = ?",
                        model, &q, err);

    if (rc != 1)
        return rc < 0 ? rc
                      : err_set(err, ERR_NOTFOUND, "model %lld is gone",
                                (long long)model);
    known = sql_blob(q, 0).n == sizeof(then);
    if (known)
        memcpy(then, sql_blob(q, 0).p, sizeof(then));
    sql_reset(q);
    if (!known)
        return ERR_OK;
    rc = registry_path(s, model, &path, err);
    if (rc == ERR_OK)
        rc = registry_hash_files(path, now, err);
    if (rc == ERR_OK && memcmp(now, then, sizeof(now)) != 0)
        rc = err_set(err, ERR_FORMAT,
                     "%s: the files are not those that were entered; put them "
                     "back, or train another model",
                     path);
    free(path);
    return rc;
}

int registry_enter(struct store *s, int64_t model, const char *path,
                   struct err *err)
{
    unsigned char hash[REGISTRY_HASH_BYTES];
    struct buf teachers = { .data = NULL };
    struct sql_stmt *q = NULL;
    int64_t dataset = 0;
    int rc = registry_hash_files(path, hash, err);

    if (rc == ERR_OK)
        rc = sql_row_of(store_sql(s), "SELECT dataset FROM model WHERE id = ?",
                        model, &q, err);
    if (rc == 1) {
        dataset = sql_int(q, 0);
        sql_reset(q);
    }
    if (rc >= 0)
        rc = registry_teachers(s, dataset, &teachers, err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(s),
                     "UPDATE model SET teacher = ?2, content = ?3, version = "
                     "(SELECT coalesce(max(o.version), 0) + 1 FROM model o "
                     "JOIN task t ON t.id = o.task WHERE "
                     "coalesce(t.merged_into, t.id) = (SELECT "
                     "coalesce(merged_into, id) FROM task WHERE id = "
                     "model.task)) WHERE id = ?1",
                     &q, err);
    if (rc == ERR_OK) {
        sql_bind_int(q, 1, model);
        sql_bind_text(q, 2, buf_slice(&teachers));
        sql_bind_blob(q, 3, hash, sizeof(hash));
        rc = sql_run(q, err);
    }
    buf_release(&teachers);
    return rc;
}

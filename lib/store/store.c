/* store.c - opening, locks, settings, group commit */
#include "store/store_private.h"

#include "assets/assets.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCHEMA_MAX 64
#define SCHEMA_PREFIX "schema/"

/* The migrations among the assets, which come in the order of their names. */
static size_t list_migrations(struct sql_migration out[SCHEMA_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < assets_count() && count < SCHEMA_MAX; i++) {
        const struct asset *a = assets_at(i);

        if (strncmp(a->name, SCHEMA_PREFIX, strlen(SCHEMA_PREFIX)) == 0)
            out[count++] = (struct sql_migration){ a->name, a->data };
    }
    return count;
}

static int migrate(struct sql *db, struct err *err)
{
    struct sql_migration m[SCHEMA_MAX];
    size_t count = list_migrations(m);

    return sql_migrate(db, m, count, err);
}

/* A reader cannot migrate; an older store is brought up to date first. */
static int migrate_for_reader(const char *path, struct sql *reader,
                              struct err *err)
{
    struct sql_migration m[SCHEMA_MAX];
    int64_t count = (int64_t)list_migrations(m), version;
    struct sql *db = NULL;
    int rc = sql_one_int(reader, "PRAGMA user_version", 0, &version, err);

    if (rc < 0 || version == count)
        return rc;
    rc = sql_open(path, SQL_WRITE, &db, err);
    if (rc == ERR_OK)
        rc = migrate(db, err);
    sql_close(db);
    return rc;
}

static int open_database(struct store *s, enum store_mode mode,
                         const struct store_access *access, struct err *err)
{
    static const enum sql_mode modes[] = { SQL_READ, SQL_WRITE, SQL_CREATE };
    char *path = io_path(s->dir, "store.db");
    int rc = ERR_OK;

    if (mode == STORE_CREATE) {
        if (!io_exists(path))
            rc = store_vault_may_make(s, access, err);
        if (rc == ERR_OK)
            rc = io_mkdirs(s->dir, 0700, err);
    } else if (!io_exists(path))
        rc = errno == EACCES
                 ? err_set(err, ERR_IO,
                           "open %s: %s; a store is its owner's alone", path,
                           strerror(errno))
                 : err_set(err, ERR_NOTFOUND,
                           "%s: no store here; slmctl collect makes one",
                           s->dir);
    if (rc == ERR_OK)
        rc = sql_open(path, modes[mode], &s->db, err);
    if (rc == ERR_OK)
        rc = mode == STORE_READ ? migrate_for_reader(path, s->db, err)
                                : migrate(s->db, err);
    free(path);
    return rc;
}

int store_open(const char *dir, enum store_mode mode, struct store **out,
               struct err *err)
{
    return store_open_with(dir, mode, NULL, out, err);
}

int store_open_with(const char *dir, enum store_mode mode,
                    const struct store_access *access, struct store **out,
                    struct err *err)
{
    struct store *s = mem_zalloc(sizeof(*s));
    int rc = crypto_init(err);

    s->dir = mem_strdup(dir);
    s->codec = codec_new();
    s->blobs = map_new();
    s->nodes = map_new();
    s->origins = map_new();
    s->unpacked = mem_zalloc(CACHE_SLOTS * sizeof(*s->unpacked));
    s->walked = mem_zalloc(CACHE_SLOTS * sizeof(*s->walked));
    if (rc == ERR_OK)
        rc = open_database(s, mode, access, err);
    if (rc == ERR_OK)
        rc = store_text_functions(s, err);
    if (rc == ERR_OK)
        rc = store_place_functions(s, err);
    if (rc == ERR_OK)
        rc = store_vault_open(s, mode, access, err);
    if (rc == ERR_OK)
        rc = store_ledger_open(s, err);
    if (rc == ERR_OK && (s->writes->id || !s->encrypted))
        rc = store_dictionary_newest(s, err);
    if (rc < 0)
        store_close(s);
    else
        *out = s;
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sql_close(s->db);
    store_ledger_close(s);
    for (size_t i = 0; i < s->dictionary_count; i++)
        codec_dictionary_free(s->dictionaries[i]);
    free(s->dictionaries);
    codec_free(s->codec);
    map_free(s->blobs);
    map_free(s->nodes);
    map_free(s->origins);
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        buf_release(&s->unpacked[i].data);
    free(s->unpacked);
    free(s->walked);
    buf_release(&s->scratch);
    for (size_t i = 0; i < s->lock_count; i++)
        (void)close(s->locks[i]);
    free(s->locks);
    store_vault_close(s);
    free(s->dir);
    free(s);
}

void store_forget(struct store *s)
{
    map_free(s->blobs);
    map_free(s->nodes);
    map_free(s->origins);
    s->blobs = map_new();
    s->nodes = map_new();
    s->origins = map_new();
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        s->unpacked[i].id = 0;
        s->walked[i].id = 0;
    }
}

void store_check_caches(struct store *s)
{
    uint64_t now = sql_rollbacks(s->db);

    if (now == s->rollbacks)
        return;
    s->rollbacks = now;
    store_forget(s);
}

struct sql *store_sql(struct store *s)
{
    return s->db;
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

void store_hash(const struct store *s, struct slice data, unsigned char out[16])
{
    crypto_keyed_hash(&s->writes->hash, data, out);
}

int64_t store_data_key(const struct store *s)
{
    return s->writes->id;
}

int store_hash_key(struct store *s, int64_t data_key, struct crypto_key *out,
                   struct err *err)
{
    const struct store_key *k;
    int rc = store_key_get(s, data_key, &k, err);

    if (rc == ERR_OK)
        *out = k->hash;
    return rc;
}

int store_lock(struct store *s, const char *stage, struct err *err)
{
    char *name = mem_printf("lock.%s", stage);
    char *path = io_path(s->dir, name);
    void *locks = s->locks;
    int fd;
    int rc = io_lock(path, &fd, err);

    if (rc == ERR_OK) {
        mem_grow(&locks, &s->lock_cap, s->lock_count + 1, sizeof(int));
        s->locks = locks;
        s->locks[s->lock_count++] = fd;
        rc = store_vault_check(s, err);
    } else if (rc == ERR_BUSY) {
        rc = err_set(err, ERR_BUSY, "%s: another %s is running on this store",
                     s->dir, stage);
    }
    free(path);
    free(name);
    return rc;
}

bool store_is_locked(const struct store *s, const char *stage)
{
    char *name = mem_printf("lock.%s", stage);
    char *path = io_path(s->dir, name);
    bool held = io_is_locked(path);

    free(path);
    free(name);
    return held;
}

void store_unlock(struct store *s, size_t keep)
{
    while (s->lock_count > keep)
        (void)close(s->locks[--s->lock_count]);
}

int store_group_step(struct store *s, struct err *err)
{
    /* Others try each half millisecond (lib/sql): they get their turn. */
    const struct timespec turn = { 0, 1200000 };
    int rc = ERR_OK;

    if (sql_in_transaction(s->db)) {
        int64_t ns = clock_mono_ns() - s->group_began_ns;

        if (ns < STORE_COMMIT_MS * INT64_C(1000000))
            return ERR_OK;
        rc = sql_commit(s->db, err);
        (void)nanosleep(&turn, NULL);
    }
    if (rc == ERR_OK)
        rc = sql_begin(s->db, err);
    s->group_began_ns = clock_mono_ns();
    return rc;
}

int store_group_end(struct store *s, struct err *err)
{
    return sql_in_transaction(s->db) ? sql_commit(s->db, err) : ERR_OK;
}

int store_setting_get(struct store *s, const char *name, struct buf *out,
                      bool *found, struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(s->db, "SELECT value FROM setting WHERE name = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *found = rc == 1;
    if (rc == 1)
        buf_add_slice(out, sql_text(q, 0));
    sql_reset(q);
    return ERR_OK;
}

int store_setting_set(struct store *s, const char *name, const char *value,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO setting(name, value) VALUES(?, ?) "
                     "ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_cstr(q, 2, value);
    return sql_run(q, err);
}

int store_stage_set(struct store *s, const char *name, int64_t high,
                    const char *version, const char *detail_json,
                    struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT OR REPLACE INTO "
                     "stage(name, time, high, version, detail) "
                     "VALUES(?, ?, ?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_int(q, 3, high);
    sql_bind_cstr(q, 4, version);
    sql_bind_cstr(q, 5, detail_json);
    return sql_run(q, err);
}

int store_source(struct store *s, const char *name, int64_t *id,
                 struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO source(name) VALUES(?) "
                     "ON CONFLICT(name) DO UPDATE SET name = name RETURNING id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, name);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *id = sql_int(q, 0);
    return sql_run(q, err);
}

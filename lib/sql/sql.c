/*
 * sql.c - connections, pragmas, statements
 *
 * Statements are prepared once and kept by their text. Errors of SQLite come
 * out as the project's codes with the database's path and SQLite's own words.
 * No query builder: callers write SQL.
 */
#include "sql/sql_private.h"

#include "base/buf.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_PAUSE_US 500

/* SQLite's own handler waits up to 100 ms between its tries; a writer that
 * commits and begins again would be met by chance only. */
static int wait_a_little(void *ctx, int tries)
{
    const struct timespec pause = { 0, BUSY_PAUSE_US * 1000L };
    const struct sql *db = ctx;

    if ((int64_t)tries * BUSY_PAUSE_US > db->patience_ms * 1000)
        return 0;
    (void)nanosleep(&pause, NULL);
    return 1;
}

static enum err_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_FULL: return ERR_OUTPUT;
    case SQLITE_READONLY: return ERR_OUTPUT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_FORMAT;
    case SQLITE_MISMATCH: /* the row's fault, as a size is */
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG: return ERR_LIMIT;
    case SQLITE_INTERRUPT: return ERR_INTERRUPTED;
    default: return ERR_IO;
    }
}

/* SQLite says "disk I/O error" where its shared memory finds no room. */
static bool is_full(struct sql *db, enum err_code code)
{
    int cause = db->handle ? sqlite3_system_errno(db->handle) : 0;

    return code == ERR_IO && (cause == ENOSPC || cause == EDQUOT);
}

int sql_fail(struct sql *db, int rc, struct err *err)
{
    enum err_code code = code_of(rc);

    if (is_full(db, code))
        return err_set(err, ERR_OUTPUT, "%s: database or disk is full",
                       db->path);
    return err_set(
        err, code, "%s: %s%s", db->path,
        db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc),
        code == ERR_FORMAT ? "; restore a backup, see slmctl-store(1)" : "");
}

int sql_exec(struct sql *db, const char *text, struct err *err)
{
    int rc = sqlite3_exec(db->handle, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? ERR_OK : sql_fail(db, rc, err);
}

/* Our own file, or an empty one that becomes ours. */
static int check_application(struct sql *db, bool create, struct err *err)
{
    int64_t id, tables;
    int rc = sql_one_int(db, "PRAGMA application_id", 0, &id, err);

    if (rc < 0 || id == SQL_APPLICATION_ID)
        return rc;
    rc = sql_one_int(db, "SELECT count(*) FROM sqlite_schema", 0, &tables, err);
    if (rc < 0)
        return rc;
    if (id != 0 || tables != 0 || !create)
        return err_set(err, ERR_FORMAT,
                       "%s: not a database of slmctl; name another store",
                       db->path);
    return sql_exec(db, "PRAGMA application_id = 1397509425", err);
}

/* Page size and auto_vacuum hold only if they come before the first table. */
static int set_pragmas(struct sql *db, enum sql_mode mode, struct err *err)
{
    static const char *const create[] = {
        "PRAGMA page_size = 4096",
        "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA journal_mode = WAL",
    };
    static const char *const always[] = {
        "PRAGMA synchronous = FULL",        "PRAGMA foreign_keys = ON",
        "PRAGMA trusted_schema = OFF",      "PRAGMA cell_size_check = ON",
        "PRAGMA temp_store = MEMORY",       "PRAGMA cache_size = -32768",
        "PRAGMA wal_autocheckpoint = 4000", "PRAGMA secure_delete = ON",
    };
    int rc = ERR_OK;

    if (mode == SQL_CREATE)
        for (size_t i = 0; rc == ERR_OK && i < sizeof(create) / sizeof(*create);
             i++)
            rc = sql_exec(db, create[i], err);
    for (size_t i = 0; rc == ERR_OK && i < sizeof(always) / sizeof(*always);
         i++)
        rc = sql_exec(db, always[i], err);
    if (rc == ERR_OK)
        rc = check_application(db, mode == SQL_CREATE, err);
    if (rc == ERR_OK && mode == SQL_READ)
        rc = sql_exec(db, "PRAGMA query_only = ON", err);
    return rc;
}

/* The file is made here so that its mode is 0600 from the first moment. One
 * that exists is not opened: to close it would drop the locks that SQLite holds
 * for all connections of this process, and another process would take the
 * write-ahead log away beneath them. */
static int make_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return ERR_OK;
    if (fd < 0)
        return err_set(err, ERR_OUTPUT, "create %s: %s", path, strerror(errno));
    (void)close(fd);
    return ERR_OK;
}

/* A database in write-ahead mode needs its directory too. errno says why. */
static bool is_writable(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_printf("%.*s", (int)(slash - path + 1), path)
                      : mem_strdup(".");
    bool yes = access(path, W_OK) == 0 && access(dir, W_OK) == 0;
    int why = errno;

    free(dir);
    errno = why;
    return yes;
}

static bool has_wal(const struct sql *db, off_t least)
{
    char *wal = mem_printf("%s-wal", db->path);
    struct stat st;
    bool yes = stat(wal, &st) == 0 && st.st_size >= least;

    free(wal);
    return yes;
}

/* Opens where no -wal and -shm files can be made: immutable, as a file that
 * does not change. */
static int open_unwritable(struct sql *db, bool immutable)
{
    const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                      SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    const char *p = db->path;
    struct buf uri = { 0 };
    int rc;

    while (p[0] == '/' && p[1] == '/') /* no host follows */
        p++;
    buf_str(&uri, "file:");
    for (; *p; p++)
        if (strchr("?#%", *p))
            buf_printf(&uri, "%%%02x", (unsigned char)*p);
        else
            buf_char(&uri, *p);
    if (immutable)
        buf_str(&uri, "?immutable=1");
    rc = sqlite3_open_v2(uri.data, &db->handle, flags, NULL);
    buf_release(&uri);
    return rc;
}

static void set_up(struct sql *db)
{
    (void)sqlite3_busy_handler(db->handle, wait_a_little, db);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
}

/* Readers open read-write too, guarded by query_only: a read-only connection
 * to a WAL database cannot remove the -wal and -shm files it makes. Only
 * where writing is impossible do they open read-only. */
static int open_handle(struct sql *db, enum sql_mode mode, struct err *err)
{
    const int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
    bool writable = is_writable(db->path);
    int rc;

    if (!writable && mode != SQL_READ)
        return err_set(err, ERR_OUTPUT, "write %s: %s", db->path,
                       strerror(errno));
    rc = writable ? sqlite3_open_v2(db->path, &db->handle, flags, NULL)
                  : open_unwritable(db, !has_wal(db, 0));
    if (rc != SQLITE_OK)
        return sql_fail(db, rc, err);
    set_up(db);
    return ERR_OK;
}

/* A reader on a full disk, where the -shm file found no room. What a writer
 * left in a -wal file is read with an index in memory, alone. */
static int open_without_room(struct sql *db, struct err *err)
{
    const int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
    bool alone = has_wal(db, 1);
    int rc;

    (void)sqlite3_close(db->handle);
    db->handle = NULL;
    rc = alone ? sqlite3_open_v2(db->path, &db->handle, flags, NULL)
               : open_unwritable(db, true);
    if (rc != SQLITE_OK)
        return sql_fail(db, rc, err);
    set_up(db);
    rc = alone ? sql_exec(db, "PRAGMA locking_mode = EXCLUSIVE", err) : ERR_OK;
    return rc < 0 ? rc : set_pragmas(db, SQL_READ, err);
}

void sql_set_patience(struct sql *db, int64_t ms)
{
    db->patience_ms = ms;
}

int sql_open(const char *path, enum sql_mode mode, struct sql **out,
             struct err *err)
{
    struct sql *db = mem_zalloc(sizeof(*db));
    int rc = ERR_OK;

    db->path = mem_strdup(path);
    db->patience_ms = SQL_PATIENCE_MS;
    db->by_text = map_new();
    if (mode == SQL_CREATE)
        rc = make_file(path, err);
    else if (access(path, R_OK) != 0)
        rc = err_set(err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
                     "open %s: %s", path, strerror(errno));
    if (rc == ERR_OK)
        rc = open_handle(db, mode, err);
    if (rc == ERR_OK)
        rc = set_pragmas(db, mode, err);
    if (rc == ERR_OUTPUT && mode == SQL_READ)
        rc = open_without_room(db, err);
    if (rc < 0)
        sql_close(db);
    else
        *out = db;
    return rc;
}

void sql_close(struct sql *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->count; i++) {
        (void)sqlite3_finalize(db->statements[i]->handle);
        free(db->statements[i]);
    }
    free(db->statements);
    map_free(db->by_text);
    (void)sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

static int run_cached(struct sql *db, const char *text, struct err *err)
{
    struct sql_stmt *s;
    int rc = sql_get(db, text, &s, err);

    return rc < 0 ? rc : sql_run(s, err);
}

int sql_begin(struct sql *db, struct err *err)
{
    int rc = run_cached(db, "BEGIN IMMEDIATE", err);

    if (rc < 0 || !db->hooks.begun)
        return rc;
    rc = db->hooks.begun(db->hooks.ctx, err);
    if (rc < 0)
        sql_rollback(db);
    return rc;
}

int sql_commit(struct sql *db, struct err *err)
{
    int rc = db->hooks.committing ? db->hooks.committing(db->hooks.ctx, err)
                                  : ERR_OK;

    return rc < 0 ? rc : run_cached(db, "COMMIT", err);
}

void sql_set_hooks(struct sql *db, const struct sql_hooks *hooks)
{
    db->hooks = *hooks;
}

void sql_rollback(struct sql *db)
{
    /* SQLite may have rolled back itself; then this says so and is right. */
    (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    db->rollbacks++;
}

uint64_t sql_rollbacks(const struct sql *db)
{
    return db->rollbacks;
}

bool sql_in_transaction(struct sql *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

static int prepare(struct sql *db, const char *text, size_t n,
                   struct sql_stmt **out, struct err *err)
{
    struct sql_stmt *s = mem_zalloc(sizeof(*s));
    void *list = db->statements;
    int rc;

    s->db = db;
    rc = sqlite3_prepare_v3(db->handle, text, (int)n, SQLITE_PREPARE_PERSISTENT,
                            &s->handle, NULL);
    if (rc != SQLITE_OK) {
        free(s);
        return sql_fail(db, rc, err);
    }
    mem_grow(&list, &db->cap, db->count + 1, sizeof(struct sql_stmt *));
    db->statements = list;
    db->statements[db->count++] = s;
    *map_put(db->by_text, text, n, NULL) = db->count;
    *out = s;
    return ERR_OK;
}

int sql_get(struct sql *db, const char *text, struct sql_stmt **out,
            struct err *err)
{
    size_t n = strlen(text);
    const uint64_t *at = map_get(db->by_text, text, n);

    if (!at)
        return prepare(db, text, n, out, err);
    *out = db->statements[*at - 1];
    sql_reset(*out);
    (void)sqlite3_clear_bindings((*out)->handle);
    return ERR_OK;
}

/* A failed binding is remembered and reported by the step. */
static void bound(struct sql_stmt *s, int rc)
{
    assert(rc != SQLITE_RANGE && rc != SQLITE_MISUSE);
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK)
        s->bind_rc = rc;
}

void sql_bind_int(struct sql_stmt *s, int i, int64_t v)
{
    bound(s, sqlite3_bind_int64(s->handle, i, v));
}

void sql_bind_double(struct sql_stmt *s, int i, double v)
{
    bound(s, sqlite3_bind_double(s->handle, i, v));
}

void sql_bind_text(struct sql_stmt *s, int i, struct slice v)
{
    bound(s, sqlite3_bind_text64(s->handle, i, v.p, v.n, SQLITE_STATIC,
                                 SQLITE_UTF8));
}

void sql_bind_cstr(struct sql_stmt *s, int i, const char *v)
{
    if (v)
        sql_bind_text(s, i, slice_of(v));
    else
        sql_bind_null(s, i);
}

void sql_bind_blob(struct sql_stmt *s, int i, const void *p, size_t n)
{
    bound(s, sqlite3_bind_blob64(s->handle, i, p, n, SQLITE_STATIC));
}

void sql_bind_null(struct sql_stmt *s, int i)
{
    bound(s, sqlite3_bind_null(s->handle, i));
}

int sql_step(struct sql_stmt *s, struct err *err)
{
    int rc = s->bind_rc == SQLITE_OK ? sqlite3_step(s->handle) : s->bind_rc;

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sql_reset(s);
        return 0;
    }
    rc = sql_fail(s->db, rc, err);
    sql_reset(s);
    return rc;
}

int sql_run(struct sql_stmt *s, struct err *err)
{
    int rc = sql_step(s, err);

    if (rc == 1)
        sql_reset(s);
    return rc < 0 ? rc : ERR_OK;
}

void sql_reset(struct sql_stmt *s)
{
    (void)sqlite3_reset(s->handle);
    s->bind_rc = SQLITE_OK;
}

int64_t sql_int(struct sql_stmt *s, int i)
{
    return sqlite3_column_int64(s->handle, i);
}

double sql_double(struct sql_stmt *s, int i)
{
    return sqlite3_column_double(s->handle, i);
}

/* The pointer first, the size after it: the order SQLite asks for. */
struct slice sql_text(struct sql_stmt *s, int i)
{
    const unsigned char *p = sqlite3_column_text(s->handle, i);

    return (struct slice){ (const char *)p,
                           (size_t)sqlite3_column_bytes(s->handle, i) };
}

struct slice sql_blob(struct sql_stmt *s, int i)
{
    const void *p = sqlite3_column_blob(s->handle, i);

    return (struct slice){ p, (size_t)sqlite3_column_bytes(s->handle, i) };
}

bool sql_is_null(struct sql_stmt *s, int i)
{
    return sqlite3_column_type(s->handle, i) == SQLITE_NULL;
}

int64_t sql_last_id(struct sql *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t sql_changes(struct sql *db)
{
    return sqlite3_changes64(db->handle);
}

int sql_row_of(struct sql *db, const char *text, int64_t id,
               struct sql_stmt **row, struct err *err)
{
    int rc = sql_get(db, text, row, err);

    if (rc < 0)
        return rc;
    sql_bind_int(*row, 1, id);
    return sql_step(*row, err);
}

int sql_one_int(struct sql *db, const char *text, int64_t fallback,
                int64_t *out, struct err *err)
{
    struct sql_stmt *s;
    int rc = sql_get(db, text, &s, err);

    if (rc < 0)
        return rc;
    rc = sql_step(s, err);
    if (rc < 0)
        return rc;
    *out = rc == 1 && !sql_is_null(s, 0) ? sql_int(s, 0) : fallback;
    sql_reset(s);
    return ERR_OK;
}

/*
 * store_backup.c - a copy of the database while others write
 *
 * SQLite writes what one moment's reader sees, without free pages, into a new
 * file; writers go on meanwhile. It has its name when it is whole and synced.
 */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int make_empty(const char *path, struct err *err)
{
    int fd;

    (void)unlink(path); /* a killed backup's */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_OUTPUT, "create %s: %s", path, strerror(errno));
    (void)close(fd);
    return ERR_OK;
}

static int copy(struct store *s, const char *path, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, "VACUUM INTO ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, path);
    return sql_run(q, err);
}

/* A reader's connection would not write to other files either. */
static int copy_as_writer(struct store *s, const char *path, struct err *err)
{
    struct err later;
    int64_t reader = 0;
    int rc = sql_one_int(s->db, "PRAGMA query_only", 0, &reader, err);

    if (rc == ERR_OK && reader)
        rc = sql_exec(s->db, "PRAGMA query_only = OFF", err);
    if (rc == ERR_OK)
        rc = copy(s, path, err);
    if (reader)
        (void)(sql_exec(s->db, "PRAGMA query_only = ON", &later) < 0);
    return rc;
}

/* The copy has no write-ahead mode of its own: opening it so sets it. */
static int finish(const char *path, struct err *err)
{
    struct sql *db = NULL;
    int fd, rc = sql_open(path, SQL_CREATE, &db, err);

    sql_close(db);
    if (rc < 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = err_set(err, ERR_OUTPUT, "sync %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int sync_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash ? mem_strndup(path, (size_t)(slash - path + 1)) : mem_strdup(".");
    int rc = io_sync_dir(dir, err);

    free(dir);
    return rc;
}

int store_backup(struct store *s, const char *path, struct err *err)
{
    char *part = mem_printf("%s.part", path);
    size_t locks = s->lock_count;
    int rc = store_lock(s, "backup", err);

    if (rc == ERR_OK)
        rc = make_empty(part, err);
    if (rc == ERR_OK) {
        rc = copy_as_writer(s, part, err);
        if (rc == ERR_OK)
            rc = finish(part, err);
        if (rc == ERR_OK && rename(part, path) != 0)
            rc = err_set(err, ERR_OUTPUT, "rename %s to %s: %s", part, path,
                         strerror(errno));
        if (rc < 0)
            (void)unlink(part);
    }
    if (rc == ERR_OK)
        rc = sync_parent(path, err);
    store_unlock(s, locks);
    free(part);
    return rc;
}

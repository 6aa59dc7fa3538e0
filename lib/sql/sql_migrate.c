/*
 * sql_migrate.c - the schema's versions, applied in order
 *
 * user_version counts the migrations that a database has seen. Each runs in
 * a transaction of its own together with the new user_version, so that a
 * crash leaves a database of some version, never one between two.
 */
#include "sql/sql_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int version_of(struct sql *db, int64_t *out, struct err *err)
{
    return sql_one_int(db, "PRAGMA user_version", 0, out, err);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* The text without its comments and its indentation: SQLite keeps what stands
 * inside a CREATE in every database, and those are for readers of the source.
 */
static char *without_comments(const char *text)
{
    struct buf out = { 0 };
    bool quoted = false;

    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            quoted = !quoted;
        if (!quoted && p[0] == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
            while (out.len && out.data[out.len - 1] == ' ')
                out.len--;
            if (!*p)
                break;
        }
        if (quoted || !is_space(*p))
            buf_char(&out, *p);
        else if (out.len && !is_space(out.data[out.len - 1]))
            buf_char(&out, *p == '\t' ? ' ' : *p);
    }
    return buf_take(&out, NULL);
}

/* Another process may have applied it since; then there is nothing to do. */
static int apply(struct sql *db, const struct sql_migration *m, size_t index,
                 struct err *err)
{
    char pragma[64];
    int64_t version;
    int rc = sql_begin(db, err);

    if (rc < 0)
        return rc;
    rc = version_of(db, &version, err);
    if (rc == ERR_OK && version <= (int64_t)index) {
        (void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu",
                       index + 1);
        char *text = without_comments(m->text);

        rc = sql_exec(db, text, err);
        free(text);
        if (rc < 0)
            rc = err_wrap(err, "migration %s", m->name);
        else
            rc = sql_exec(db, pragma, err);
    }
    if (rc == ERR_OK)
        rc = sql_commit(db, err);
    if (rc < 0)
        sql_rollback(db);
    return rc;
}

int sql_migrate(struct sql *db, const struct sql_migration *m, size_t count,
                struct err *err)
{
    int64_t version;
    int rc = version_of(db, &version, err);

    if (rc < 0)
        return rc;
    if (version > (int64_t)count)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: schema version %lld is newer than this program's "
                       "%zu; install a newer slmctl",
                       db->path, (long long)version, count);
    for (size_t i = (size_t)version; rc == ERR_OK && i < count; i++)
        rc = apply(db, &m[i], i, err);
    return rc;
}

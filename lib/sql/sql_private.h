/* sql_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef SQL_PRIVATE_H
#define SQL_PRIVATE_H

#include "base/map.h"
#include "sql/sql.h"

#include <sqlite3.h>

struct sql_stmt {
    sqlite3_stmt *handle;
    struct sql *db;
    int bind_rc;
};

struct sql {
    sqlite3 *handle;
    char *path;
    struct sql_stmt **statements;
    size_t count, cap;
    struct map *by_text; /* text to index + 1 */
    uint64_t rollbacks;
    int64_t patience_ms;
    struct sql_hooks hooks; /* of NULL: none */
};

/* err_set with SQLite's message for the connection; the code for rc. */
int sql_fail(struct sql *db, int rc, struct err *err);

#endif

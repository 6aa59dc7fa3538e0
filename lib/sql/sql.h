/*
 * sql.h - SQLite: connections, statements, migrations
 *
 * The one home of sqlite3.h. Every connection sets the project's pragmas.
 * May use: base.
 */
#ifndef SQL_H
#define SQL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct sql;      /* a connection; one thread at a time */
struct sql_stmt; /* a prepared statement */

enum sql_mode { SQL_READ, SQL_WRITE, SQL_CREATE };

#define SQL_APPLICATION_ID 0x534C4D31 /* "SLM1" */

/* Pragmas before the first table: page_size 4096, auto_vacuum INCREMENTAL,
 * journal_mode WAL, synchronous FULL, secure_delete ON, foreign_keys ON,
 * trusted_schema OFF, patience SQL_PATIENCE_MS; application_id checked or set.
 * A file of another application is refused. */
MUST_CHECK int sql_open(const char *path, enum sql_mode mode, struct sql **out,
                        struct err *err);
/* So long another connection's lock is waited for before ERR_BUSY. */
#define SQL_PATIENCE_MS 10000
void sql_set_patience(struct sql *db, int64_t ms);
/* Checkpoints and truncates the WAL if it is the last writer. NULL is fine. */
void sql_close(struct sql *db);

struct sql_migration {
    const char *name; /* "0001_init" */
    const char *text; /* SQL, many statements */
};
/* Applies those after user_version, each in a transaction. A database newer
 * than the last migration is refused. */
MUST_CHECK int sql_migrate(struct sql *db, const struct sql_migration *m,
                           size_t count, struct err *err);

MUST_CHECK int sql_exec(struct sql *db, const char *text, struct err *err);
MUST_CHECK int sql_begin(struct sql *db, struct err *err); /* IMMEDIATE */
MUST_CHECK int sql_commit(struct sql *db, struct err *err);
/* Called inside each transaction: right after sql_begin, right before
 * sql_commit. One that fails makes the begin or the commit fail; a begin is
 * rolled back then. */
struct sql_hooks {
    int (*begun)(void *ctx, struct err *err);
    int (*committing)(void *ctx, struct err *err);
    void *ctx;
};
void sql_set_hooks(struct sql *db, const struct sql_hooks *hooks);
void sql_rollback(struct sql *db);
bool sql_in_transaction(struct sql *db);
/* How often sql_rollback was called: what was remembered of ids given out
 * before is void when it has changed. */
uint64_t sql_rollbacks(const struct sql *db);

/* Prepared statements are cached in the connection by their text: sql_get
 * returns a reset statement with no bindings, owned by the connection. */
MUST_CHECK int sql_get(struct sql *db, const char *text, struct sql_stmt **out,
                       struct err *err);
/* Parameters count from 1. Text and blobs are borrowed until the next reset
 * or step that returns 0. A NULL pointer binds NULL. */
void sql_bind_int(struct sql_stmt *s, int i, int64_t v);
void sql_bind_double(struct sql_stmt *s, int i, double v);
void sql_bind_text(struct sql_stmt *s, int i, struct slice v);
void sql_bind_cstr(struct sql_stmt *s, int i, const char *v);
void sql_bind_blob(struct sql_stmt *s, int i, const void *p, size_t n);
void sql_bind_null(struct sql_stmt *s, int i);
/* 1: a row; 0: done (and reset); negative: error (and reset). */
MUST_CHECK int sql_step(struct sql_stmt *s, struct err *err);
/* Step a statement that returns no rows. */
MUST_CHECK int sql_run(struct sql_stmt *s, struct err *err);
void sql_reset(struct sql_stmt *s);
/* Columns count from 0; text and blobs are valid until the next step. */
int64_t sql_int(struct sql_stmt *s, int i);
double sql_double(struct sql_stmt *s, int i);
struct slice sql_text(struct sql_stmt *s, int i); /* NULL: empty */
struct slice sql_blob(struct sql_stmt *s, int i);
bool sql_is_null(struct sql_stmt *s, int i);
int64_t sql_last_id(struct sql *db);
int64_t sql_changes(struct sql *db);
/* The first row of a query with one parameter, a number: 1, and *row is reset
 * by the caller; 0: there is none. */
MUST_CHECK int sql_row_of(struct sql *db, const char *text, int64_t id,
                          struct sql_stmt **row, struct err *err);
/* First column of the first row as an integer; `fallback` if no row. */
MUST_CHECK int sql_one_int(struct sql *db, const char *text, int64_t fallback,
                           int64_t *out, struct err *err);

/* A function NAME(value, what, row [, row]) for this connection's statements
 * (not for views and triggers). It appends its answer, of the value's type, to
 * *out and returns 0, or returns 1: the value as it is, or 2: NULL; a negative
 * code ends the statement with ERR_FORMAT and its message. NULL gives NULL. */
typedef int sql_function(void *ctx, struct slice value, struct slice what,
                         const int64_t rows[2], struct buf *out,
                         struct err *err);
MUST_CHECK int sql_function_add(struct sql *db, const char *name,
                                sql_function *fn, void *ctx, struct err *err);

/*
 * A database in memory for queries from outside: one reading statement at a
 * time, no ATTACH, no PRAGMA, no file, no extension, no writing; limits on
 * length, columns, expression depth, VM steps, result rows and heap. The heap
 * limit is the process's while a query runs, so no other thread should be
 * inside SQLite then.
 */
#define SQL_SANDBOX_STEPS 4000000           /* of the virtual machine */
#define SQL_SANDBOX_ROWS 20000              /* of one result */
#define SQL_SANDBOX_BYTES ((size_t)8 << 20) /* of one result */
#define SQL_SANDBOX_HEAP ((size_t)64 << 20) /* above what is in use */
#define SQL_SANDBOX_TEXT 65536              /* bytes of a query */
struct sql_sandbox;
MUST_CHECK int sql_sandbox_open(struct sql_sandbox **out, struct err *err);
void sql_sandbox_close(struct sql_sandbox *s); /* NULL is fine */
/* Run the caller's own statements (tables and rows), without the limits. */
MUST_CHECK int sql_sandbox_fill(struct sql_sandbox *s, const char *text,
                                struct err *err);

/* A result. Rows are comparable byte strings: numbers as %.9g whatever their
 * storage class, text and blobs with their length, NULL as itself. */
struct sql_rows {
    struct buf data;
    size_t *ends; /* of each row in data */
    size_t count, cap;
    int columns;
};
void sql_rows_release(struct sql_rows *r);
/* The same rows: as multisets, or in the same order. */
bool sql_rows_equal(const struct sql_rows *a, const struct sql_rows *b,
                    bool ordered);
/* ERR_FORMAT: refused by SQLite or not one statement; ERR_LIMIT: too long,
 * too many steps, rows or bytes; *out is empty then. */
MUST_CHECK int sql_sandbox_query(struct sql_sandbox *s, struct slice text,
                                 struct sql_rows *out, struct err *err);

#endif

/*
 * sql_sandbox.c - queries that nobody here wrote
 *
 * Everything that could leave the database in memory is refused by the
 * authorizer when the statement is prepared, not when it runs. What is left
 * can only be slow or large, and for that there are limits.
 */
#include "sql/sql_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define STEP_CHUNK 1000

struct sql_sandbox {
    sqlite3 *handle;
    bool guarded; /* the authorizer is strict */
    int64_t chunks_left;
};

static bool function_is_refused(const char *name)
{
    static const char *const refused[] = { "load_extension", "random",
                                           "randomblob",     "fts3_tokenizer",
                                           "sqlite_log",     "readfile",
                                           "writefile",      "edit" };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (name && sqlite3_stricmp(name, refused[i]) == 0)
            return true;
    return false;
}

static int authorize(void *ctx, int action, const char *a, const char *b,
                     const char *database, const char *trigger)
{
    const struct sql_sandbox *s = ctx;

    (void)a;
    (void)database;
    (void)trigger;
    if (!s->guarded)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION:
        return function_is_refused(b) ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

static int count_steps(void *ctx)
{
    struct sql_sandbox *s = ctx;

    return s->guarded && --s->chunks_left < 0;
}

static void limits_set(sqlite3 *db)
{
    static const int limits[][2] = {
        { SQLITE_LIMIT_LENGTH, 1 << 20 },
        { SQLITE_LIMIT_SQL_LENGTH, 1 << 20 },
        { SQLITE_LIMIT_COLUMN, 256 },
        { SQLITE_LIMIT_EXPR_DEPTH, 100 },
        { SQLITE_LIMIT_COMPOUND_SELECT, 300 },
        { SQLITE_LIMIT_VDBE_OP, 100000 },
        { SQLITE_LIMIT_FUNCTION_ARG, 16 },
        { SQLITE_LIMIT_ATTACHED, 0 },
        { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256 },
        { SQLITE_LIMIT_VARIABLE_NUMBER, 16 },
        { SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
        { SQLITE_LIMIT_WORKER_THREADS, 0 },
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        sqlite3_limit(db, limits[i][0], limits[i][1]);
}

int sql_sandbox_open(struct sql_sandbox **out, struct err *err)
{
    struct sql_sandbox *s = mem_zalloc(sizeof(*s));
    int rc = sqlite3_open_v2(":memory:", &s->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                 SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX,
                             NULL);

    if (rc != SQLITE_OK) {
        sql_sandbox_close(s);
        return err_set(err, ERR_NOMEM, "sandbox: %s", sqlite3_errstr(rc));
    }
    limits_set(s->handle);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0,
                      NULL);
    sqlite3_set_authorizer(s->handle, authorize, s);
    sqlite3_progress_handler(s->handle, STEP_CHUNK, count_steps, s);
    *out = s;
    return ERR_OK;
}

void sql_sandbox_close(struct sql_sandbox *s)
{
    if (!s)
        return;
    sqlite3_close_v2(s->handle);
    free(s);
}

int sql_sandbox_fill(struct sql_sandbox *s, const char *text, struct err *err)
{
    if (sqlite3_exec(s->handle, text, NULL, NULL, NULL) == SQLITE_OK)
        return ERR_OK;
    return err_set(err, ERR_FORMAT, "sandbox: %s", sqlite3_errmsg(s->handle));
}

void sql_rows_release(struct sql_rows *r)
{
    buf_release(&r->data);
    free(r->ends);
    *r = (struct sql_rows){ 0 };
}

static struct slice row_at(const struct sql_rows *r, size_t i)
{
    size_t from = i > 0 ? r->ends[i - 1] : 0;

    return (struct slice){ r->data.data + from, r->ends[i] - from };
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice *rows_list(const struct sql_rows *r, bool ordered)
{
    struct slice *list = mem_array(r->count + 1, sizeof(*list));

    for (size_t i = 0; i < r->count; i++)
        list[i] = row_at(r, i);
    if (!ordered)
        qsort(list, r->count, sizeof(*list), by_bytes);
    return list;
}

bool sql_rows_equal(const struct sql_rows *a, const struct sql_rows *b,
                    bool ordered)
{
    struct slice *x, *y;
    bool equal = true;

    if (a->count != b->count || a->columns != b->columns)
        return false;
    x = rows_list(a, ordered);
    y = rows_list(b, ordered);
    for (size_t i = 0; i < a->count && equal; i++)
        equal = slice_eq(x[i], y[i]);
    free(x);
    free(y);
    return equal;
}

/* -0 and 0 are one number. */
static void number_add(struct buf *out, double v)
{
    buf_printf(out, "n%.9g;", v + 0.0);
}

static void value_add(struct buf *out, sqlite3_stmt *st, int i)
{
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_NULL: buf_str(out, "N;"); break;
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: number_add(out, sqlite3_column_double(st, i)); break;
    default: {
        const void *p = sqlite3_column_blob(st, i);
        int n = sqlite3_column_bytes(st, i);

        buf_printf(out, "t%d:", n);
        buf_add(out, p, (size_t)n);
    }
    }
}

static void row_add(struct sql_rows *r, sqlite3_stmt *st)
{
    for (int i = 0; i < r->columns; i++)
        value_add(&r->data, st, i);
    buf_char(&r->data, '\n');
    mem_grow((void **)&r->ends, &r->cap, r->count + 1, sizeof(*r->ends));
    r->ends[r->count++] = r->data.len;
}

/* Nothing but white space, comments and semicolons. */
static bool tail_is_empty(sqlite3 *db, const char *tail)
{
    sqlite3_stmt *st = NULL;
    bool empty = true;

    while (empty && tail && *tail) {
        const char *next = NULL;

        empty =
            sqlite3_prepare_v2(db, tail, -1, &st, &next) == SQLITE_OK && !st;
        sqlite3_finalize(st);
        st = NULL;
        if (next == tail)
            break;
        tail = next;
    }
    return empty;
}

static int query_fail(struct sql_sandbox *s, int rc, struct err *err)
{
    bool limit =
        rc == SQLITE_INTERRUPT || rc == SQLITE_NOMEM || rc == SQLITE_TOOBIG;

    if (rc == SQLITE_INTERRUPT)
        return err_set(err, ERR_LIMIT, "query: more than %d steps",
                       SQL_SANDBOX_STEPS);
    return err_set(err, limit ? ERR_LIMIT : ERR_FORMAT, "query: %s",
                   sqlite3_errmsg(s->handle));
}

static int query_step(struct sql_sandbox *s, sqlite3_stmt *st,
                      struct sql_rows *out, struct err *err)
{
    int rc;

    out->columns = sqlite3_column_count(st);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        row_add(out, st);
        if (out->count > SQL_SANDBOX_ROWS || out->data.len > SQL_SANDBOX_BYTES)
            return err_set(err, ERR_LIMIT, "query: result is too large");
    }
    return rc == SQLITE_DONE ? ERR_OK : query_fail(s, rc, err);
}

static int query_run(struct sql_sandbox *s, const char *text,
                     struct sql_rows *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v2(s->handle, text, -1, &st, &tail);

    if (rc != SQLITE_OK)
        return query_fail(s, rc, err);
    if (!st)
        return err_set(err, ERR_FORMAT, "query: empty");
    if (!sqlite3_stmt_readonly(st) || !tail_is_empty(s->handle, tail))
        rc = err_set(err, ERR_FORMAT, "query: not one reading statement");
    else
        rc = query_step(s, st, out, err);
    sqlite3_finalize(st);
    return rc;
}

int sql_sandbox_query(struct sql_sandbox *s, struct slice text,
                      struct sql_rows *out, struct err *err)
{
    sqlite3_int64 before;
    char *copy;
    int rc;

    if (text.n > SQL_SANDBOX_TEXT)
        return err_set(err, ERR_LIMIT, "query: longer than %d bytes",
                       SQL_SANDBOX_TEXT);
    copy = slice_dup(text);
    s->guarded = true;
    s->chunks_left = SQL_SANDBOX_STEPS / STEP_CHUNK;
    before = sqlite3_hard_heap_limit64(-1);
    sqlite3_hard_heap_limit64(sqlite3_memory_used() +
                              (sqlite3_int64)SQL_SANDBOX_HEAP);
    rc = query_run(s, copy, out, err);
    sqlite3_hard_heap_limit64(before);
    s->guarded = false;
    free(copy);
    if (rc < 0)
        sql_rows_release(out);
    return rc;
}

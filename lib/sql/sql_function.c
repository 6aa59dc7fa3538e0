/* sql_function.c - functions in C that a connection's SQL may call */
#include "sql/sql_private.h"

#include "base/mem.h"

#include <stdlib.h>

struct function {
    sql_function *call;
    void *ctx;
};

static struct slice bytes_of(sqlite3_value *v)
{
    const void *p = sqlite3_value_type(v) == SQLITE_BLOB
                        ? sqlite3_value_blob(v)
                        : (const void *)sqlite3_value_text(v);

    return (struct slice){ p, (size_t)sqlite3_value_bytes(v) };
}

static void answer(sqlite3_context *c, int type, const struct buf *out)
{
    const char *p = out->data ? out->data : "";

    if (type == SQLITE_BLOB)
        sqlite3_result_blob64(c, p, out->len, SQLITE_TRANSIENT);
    else
        sqlite3_result_text64(c, p, out->len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* The code comes after the message, which it leaves as it is. */
static void refuse(sqlite3_context *c, const struct err *err)
{
    sqlite3_result_error(c, err->msg, -1);
    sqlite3_result_error_code(c, SQLITE_NOTADB);
}

static void call(sqlite3_context *c, int count, sqlite3_value **v)
{
    const struct function *f = sqlite3_user_data(c);
    int64_t rows[2] = { 0, 0 };
    struct buf out = { .data = NULL };
    struct err err;
    int rc;

    if (count < 3 || count > 4) {
        sqlite3_result_error(c, "wrong number of arguments", -1);
        return;
    }
    if (sqlite3_value_type(v[0]) == SQLITE_NULL)
        return;
    for (int i = 2; i < count; i++)
        rows[i - 2] = sqlite3_value_int64(v[i]);
    rc = f->call(f->ctx, bytes_of(v[0]), bytes_of(v[1]), rows, &out, &err);
    if (rc < 0)
        refuse(c, &err);
    else if (rc == 1)
        sqlite3_result_value(c, v[0]);
    else if (rc == 0)
        answer(c, sqlite3_value_type(v[0]), &out);
    buf_release(&out);
}

int sql_function_add(struct sql *db, const char *name, sql_function *fn,
                     void *ctx, struct err *err)
{
    struct function *f = mem_zalloc(sizeof(*f));
    int rc;

    f->call = fn;
    f->ctx = ctx;
    rc = sqlite3_create_function_v2(db->handle, name, -1,
                                    SQLITE_UTF8 | SQLITE_DIRECTONLY, f, call,
                                    NULL, NULL, free);
    return rc == SQLITE_OK ? ERR_OK : sql_fail(db, rc, err);
}

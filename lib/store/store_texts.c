/*
 * store_texts.c - can each encrypted text be read
 *
 * One row at a time, so that a damaged one does not hide those behind it.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <stdlib.h>

static int next_row(struct store *s, const struct store_text *x, int64_t *at,
                    struct err *err)
{
    char *text = mem_printf("SELECT min(%s) FROM %s WHERE %s > ? AND %s "
                            "NOTNULL",
                            x->row, x->table, x->row, x->column);
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);
    bool is_there = false;

    free(text);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, *at);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    is_there = !sql_is_null(q, 0);
    *at = sql_int(q, 0);
    sql_reset(q);
    return is_there;
}

static int read_row(struct store *s, const struct store_text *x, int64_t at,
                    struct err *err)
{
    char *text =
        mem_printf("SELECT count(open_text(%s, '%s.%s', %s)) FROM %s WHERE %s "
                   "= ?",
                   x->column, x->table, x->column, x->rows, x->table, x->row);
    struct sql_stmt *q;
    int rc = sql_get(s->db, text, &q, err);

    free(text);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, at);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    sql_reset(q);
    return ERR_OK;
}

static int check_column(struct store *s, const struct store_text *x,
                        store_text_damaged *damaged, void *ctx, struct err *err)
{
    int64_t at = INT64_MIN;
    int rc;

    while ((rc = next_row(s, x, &at, err)) == 1) {
        rc = read_row(s, x, at, err);
        if (rc == ERR_FORMAT)
            damaged(ctx, x, at);
        else if (rc < 0)
            return rc;
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    return rc;
}

int store_texts_check(struct store *s, store_text_damaged *damaged, void *ctx,
                      struct err *err)
{
    int rc = ERR_OK;

    if (!s->encrypted)
        return ERR_OK;
    for (const struct store_text *x = store_texts; rc == ERR_OK && x->table;
         x++)
        rc = check_column(s, x, damaged, ctx, err);
    return rc;
}

/* store_example.c - the walk over curated examples */
#include "store/store_private.h"

#define SELECT_EXAMPLES                                                        \
    "SELECT e.id, e.call, e.task, e.split, c.time, c.latency, c.tokens_in, "   \
    "c.tokens_out, e.groups, c.model, e.request, e.request_at, e.node, "       \
    "e.response FROM example e JOIN call c ON c.id = e.call "                  \
    "WHERE e.kept AND (?1 = 0 OR e.task = ?1) AND (?2 IS NULL OR instr(?2, "   \
    "CASE e.split WHEN 'train' THEN 't' WHEN 'validation' THEN 'v' "           \
    "WHEN 'test' THEN 's' END) > 0) ORDER BY e.id "

static int64_t int_or_unknown(struct sql_stmt *q, int i)
{
    return sql_is_null(q, i) ? -1 : sql_int(q, i);
}

static char split_letter(struct slice split)
{
    if (slice_is(split, "validation"))
        return 'v';
    return slice_is(split, "test") ? 's' : 't';
}

static int read_row(struct store *s, struct sql_stmt *q, struct buf *request,
                    struct buf *response, struct store_example *e,
                    struct err *err)
{
    struct store_body body = { sql_int(q, 10), sql_int(q, 11), sql_int(q, 12) };
    int rc;

    buf_reset(request);
    buf_reset(response);
    rc = store_body_get(s, body, request, err);
    if (rc == ERR_OK)
        rc = store_blob_get(s, sql_int(q, 13), response, err);
    *e = (struct store_example){
        .id = sql_int(q, 0),
        .call = sql_int(q, 1),
        .task = sql_int(q, 2),
        .split = split_letter(sql_text(q, 3)),
        .time_us = int_or_unknown(q, 4),
        .latency_us = int_or_unknown(q, 5),
        .tokens_in = int_or_unknown(q, 6),
        .tokens_out = int_or_unknown(q, 7),
        .group = sql_text(q, 8),
        .model = sql_text(q, 9),
        .request = buf_slice(request),
        .response = buf_slice(response),
    };
    return rc;
}

int store_examples(struct store *s, const struct store_example_query *query,
                   int (*fn)(void *ctx, const struct store_example *e,
                             struct err *err),
                   void *ctx, struct err *err)
{
    struct buf request = { 0 }, response = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(
        s->db, query->newest_first ? SELECT_EXAMPLES "DESC" : SELECT_EXAMPLES,
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, query->task);
    sql_bind_cstr(q, 2, query->splits);
    while ((rc = sql_step(q, err)) == 1) {
        struct store_example e;

        rc = read_row(s, q, &request, &response, &e, err);
        if (rc == ERR_OK)
            rc = fn(ctx, &e, err);
        if (rc < 0) {
            sql_reset(q);
            break;
        }
    }
    buf_release(&request);
    buf_release(&response);
    return rc < 0 ? rc : ERR_OK;
}

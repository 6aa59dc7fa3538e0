/*
 * store_example.c - the walk over curated examples
 *
 * The ids are listed first and each example is read on its own: no read
 * transaction lasts as long as the caller works on an example, so that the
 * write-ahead file can be taken in, and the caller may write.
 */
#include "store/store_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define SELECT_IDS                                                             \
    "SELECT e.id FROM example e WHERE e.kept AND (?1 = 0 OR e.task = ?1) "     \
    "AND (?2 IS NULL OR instr(?2, CASE e.split WHEN 'train' THEN 't' "         \
    "WHEN 'validation' THEN 'v' WHEN 'test' THEN 's' END) > 0) ORDER BY e.id "

static const char SELECT_EXAMPLE[] =
    "SELECT e.id, e.call, e.task, e.split, c.time, c.latency, c.tokens_in, "
    "c.tokens_out, e.request, e.request_at, e.node, e.response, e.groups, "
    "c.model, e.correction, o.answer IS NOT NULL, o.label IS NOT NULL, "
    "o.reward FROM example e JOIN call c ON c.id = e.call LEFT JOIN outcome o "
    "ON o.call = e.call WHERE e.id = ?";

struct walk {
    int64_t *ids;
    size_t count, cap;
    struct buf request, response, correction, group, model;
};

static int list_ids(struct store *s, const struct store_example_query *query,
                    struct walk *w, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        s->db, query->newest_first ? SELECT_IDS "DESC" : SELECT_IDS, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, query->task);
    sql_bind_cstr(q, 2, query->splits);
    while ((rc = sql_step(q, err)) == 1) {
        void *ids = w->ids;

        mem_grow(&ids, &w->cap, w->count + 1, sizeof(*w->ids));
        w->ids = ids;
        w->ids[w->count++] = sql_int(q, 0);
    }
    return rc;
}

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

/* The row's numbers, and its texts as copies; the bodies come later. */
static void copy_row(struct sql_stmt *q, struct walk *w,
                     struct store_example *e)
{
    buf_reset(&w->request);
    buf_reset(&w->response);
    buf_reset(&w->correction);
    buf_reset(&w->group);
    buf_reset(&w->model);
    buf_add_slice(&w->group, sql_text(q, 12));
    buf_add_slice(&w->model, sql_text(q, 13));
    *e = (struct store_example){
        .id = sql_int(q, 0),
        .call = sql_int(q, 1),
        .task = sql_int(q, 2),
        .split = split_letter(sql_text(q, 3)),
        .time_us = int_or_unknown(q, 4),
        .latency_us = int_or_unknown(q, 5),
        .tokens_in = int_or_unknown(q, 6),
        .tokens_out = int_or_unknown(q, 7),
        .group = buf_slice(&w->group),
        .model = buf_slice(&w->model),
        .has_answer = sql_int(q, 15),
        .has_label = sql_int(q, 16),
        .has_reward = !sql_is_null(q, 17),
        .reward = sql_double(q, 17),
    };
}

/* 1: read; 0: it is gone since the ids were listed. */
static int read_example(struct store *s, int64_t id, struct walk *w,
                        struct store_example *e, struct err *err)
{
    struct store_body body;
    struct sql_stmt *q;
    int64_t response, correction;
    int rc = sql_get(s->db, SELECT_EXAMPLE, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    body = (struct store_body){ sql_int(q, 8), sql_int(q, 9), sql_int(q, 10) };
    response = sql_int(q, 11);
    correction = sql_int(q, 14);
    copy_row(q, w, e);
    sql_reset(q);
    rc = store_body_get(s, body, &w->request, err);
    if (rc == ERR_OK)
        rc = store_blob_get(s, response, &w->response, err);
    if (rc == ERR_OK)
        rc = store_blob_get(s, correction, &w->correction, err);
    e->request = buf_slice(&w->request);
    e->response = buf_slice(&w->response);
    e->correction = buf_slice(&w->correction);
    return rc < 0 ? rc : 1;
}

int store_examples(struct store *s, const struct store_example_query *query,
                   int (*fn)(void *ctx, const struct store_example *e,
                             struct err *err),
                   void *ctx, struct err *err)
{
    struct walk w = { 0 };
    int rc = list_ids(s, query, &w, err);

    for (size_t i = 0; rc == ERR_OK && i < w.count; i++) {
        struct store_example e;
        int got = read_example(s, w.ids[i], &w, &e, err);

        rc = got == 1 ? fn(ctx, &e, err) : got;
        assert(rc <= 0);
    }
    free(w.ids);
    buf_release(&w.request);
    buf_release(&w.response);
    buf_release(&w.correction);
    buf_release(&w.group);
    buf_release(&w.model);
    return rc;
}

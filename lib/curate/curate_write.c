/*
 * curate_write.c - the rows of a batch
 *
 * Rows are written so that writing them again changes nothing. The split of a
 * row that is there stays, also of one that is dropped now and may come back: a
 * pass decides what an example is, settling where it goes.
 */
#include "curate/curate_priv.h"

#include <string.h>

static int end_group(struct curate_writer *k, int rc)
{
    if (rc == ERR_OK)
        rc = store_group_end(k->store, k->err);
    if (rc < 0 && sql_in_transaction(store_sql(k->store)))
        sql_rollback(store_sql(k->store));
    return rc;
}

static int drop_sketch(struct curate_writer *k, int64_t call)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store),
                     "DELETE FROM sketch WHERE example = (SELECT id FROM "
                     "example WHERE call = ?)",
                     &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    return sql_run(q, k->err);
}

static int drop_written(struct curate_writer *k, int64_t call, int64_t by)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store),
                     "UPDATE example SET kept = 0, reason = 'retried', "
                     "duplicate_of = ?2, cluster = NULL, "
                     "request = NULL, request_at = 0, node = 0, "
                     "response = NULL, correction = NULL, spans = 0 "
                     "WHERE call = ?1 AND request NOTNULL",
                     &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, by);
    rc = sql_run(q, k->err);
    return rc == ERR_OK ? drop_sketch(k, call) : rc;
}

static const char upsert[] =
    "INSERT INTO example(call, kept, reason, duplicate_of, groups, "
    "request, request_at, node, response, spans, rules, key_id, repeats, "
    "input, answer) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT(call) DO UPDATE SET kept = excluded.kept, "
    "reason = excluded.reason, duplicate_of = excluded.duplicate_of, "
    "cluster = NULL, groups = excluded.groups, "
    "request = excluded.request, request_at = excluded.request_at, "
    "node = excluded.node, response = excluded.response, correction = NULL, "
    "spans = excluded.spans, rules = excluded.rules, "
    "key_id = excluded.key_id, repeats = excluded.repeats, "
    "input = excluded.input, answer = excluded.answer";

static void bind_item(struct curate_writer *k, struct sql_stmt *q,
                      const struct curate_item *it)
{
    bool kept = it->reason == CURATE_KEPT;

    sql_bind_int(q, 1, it->id);
    sql_bind_int(q, 2, kept);
    sql_bind_cstr(q, 3, kept ? NULL : curate_reason_name(it->reason));
    if (it->duplicate_of)
        sql_bind_int(q, 4, it->duplicate_of);
    sql_bind_cstr(q, 5, it->hashed ? it->group : NULL);
    sql_bind_int(q, 10, (int64_t)it->spans);
    sql_bind_cstr(q, 11, k->rules);
    sql_bind_cstr(q, 12, k->key_id);
    sql_bind_int(q, 13, 1); /* others follow: curate_write_repeats */
    if (it->hashed) {
        sql_bind_blob(q, 14, it->input, CURATE_HASH);
        sql_bind_blob(q, 15, it->answer, CURATE_HASH);
    }
}

static int write_row(struct curate_writer *k, const struct curate_item *it,
                     struct store_body request, int64_t response)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->store), upsert, &q, k->err);

    if (rc < 0)
        return rc;
    bind_item(k, q, it);
    if (request.skeleton)
        sql_bind_int(q, 6, request.skeleton);
    sql_bind_int(q, 7, request.at);
    sql_bind_int(q, 8, request.node);
    if (response)
        sql_bind_int(q, 9, response);
    return sql_run(q, k->err);
}

/* What is not kept now may have been. */
static int write_sketch(struct curate_writer *k, const struct curate_item *it)
{
    struct sql_stmt *q;
    int rc;

    if (it->reason != CURATE_KEPT || !it->sketch.len)
        return drop_sketch(k, it->id);
    rc =
        sql_get(store_sql(k->store),
                "INSERT INTO sketch(example, data) SELECT id, "
                "seal_text(?2, 'sketch.data', id) FROM example WHERE call = ?1 "
                "ON CONFLICT(example) DO UPDATE SET data = excluded.data",
                &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, it->id);
    sql_bind_blob(q, 2, it->sketch.data, it->sketch.len);
    return sql_run(q, k->err);
}

static int write_item(struct curate_writer *k, const struct curate_item *it)
{
    struct store_body request = { 0 };
    int64_t response = 0;
    int rc = store_group_step(k->store, k->err);

    if (rc == ERR_OK && it->reason == CURATE_KEPT) {
        rc = store_body_put(k->store, buf_slice(&it->clean_request), "messages",
                            &request, k->err);
        if (rc == ERR_OK)
            rc = store_blob_put(k->store, buf_slice(&it->clean_response),
                                &response, k->err);
    }
    if (rc == ERR_OK && it->supersedes)
        rc = drop_written(k, it->supersedes, it->id);
    if (rc == ERR_OK)
        rc = write_row(k, it, request, response);
    return rc == ERR_OK ? write_sketch(k, it) : rc;
}

static int write_again(struct curate_writer *k, const struct curate_item *it)
{
    struct store_body request;
    int64_t response;
    struct sql_stmt *q;
    int rc = store_group_step(k->store, k->err);

    if (rc == ERR_OK)
        rc = store_body_put(k->store, buf_slice(&it->clean_request), "messages",
                            &request, k->err);
    if (rc == ERR_OK)
        rc = store_blob_put(k->store, buf_slice(&it->clean_response), &response,
                            k->err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->store),
                     "UPDATE example SET request = ?2, request_at = ?3, "
                     "node = ?4, response = ?5, spans = ?6, correction = NULL "
                     "WHERE call = ?1 AND request NOTNULL",
                     &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, it->id);
    sql_bind_int(q, 2, request.skeleton);
    sql_bind_int(q, 3, request.at);
    sql_bind_int(q, 4, request.node);
    sql_bind_int(q, 5, response);
    sql_bind_int(q, 6, (int64_t)it->spans);
    rc = sql_run(q, k->err);
    return rc == ERR_OK ? write_sketch(k, it) : rc;
}

/* Evidence of its conversation came that it cannot be scrubbed beside: what was
 * scrubbed without it must not stay. */
static int withdraw(struct curate_writer *k, const struct curate_item *it)
{
    struct sql_stmt *q;
    int rc = store_group_step(k->store, k->err);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->store),
                     "UPDATE example SET kept = 0, reason = ?2, duplicate_of = "
                     "NULL, cluster = NULL, request = NULL, request_at = 0, "
                     "node = 0, response = NULL, correction = NULL, spans = 0 "
                     "WHERE call = ?1",
                     &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, it->id);
    sql_bind_cstr(q, 2, curate_reason_name(it->reason));
    rc = sql_run(q, k->err);
    return rc == ERR_OK ? write_sketch(k, it) : rc;
}

int curate_write_again(struct curate_writer *k, const struct curate_item *item,
                       size_t count)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = item[i].reason == CURATE_KEPT ? write_again(k, &item[i])
                                           : withdraw(k, &item[i]);
    return end_group(k, rc);
}

int curate_write_back(struct curate_writer *k, const struct curate_item *item,
                      size_t count)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = write_item(k, &item[i]);
        if (item[i].reason == CURATE_KEPT)
            curate_index_back(k->index, item[i].id);
        else
            curate_index_gone(k->index, item[i].id);
    }
    return end_group(k, rc);
}

/* Sets a number of a call's example. */
static int set_number(struct curate_writer *k, const char *update, int64_t call,
                      int64_t value)
{
    struct sql_stmt *q;
    int rc = store_group_step(k->store, k->err);

    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->store), update, &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, value);
    return sql_run(q, k->err);
}

int curate_write_repeats(struct curate_writer *k)
{
    size_t at = 0;
    int64_t call;
    uint32_t repeats;
    int rc = ERR_OK;

    while (rc == ERR_OK && curate_index_stale(k->index, &at, &call, &repeats))
        rc = set_number(k,
                        "UPDATE example SET repeats = ?2 WHERE call = ?1 AND "
                        "request NOTNULL",
                        call, repeats);
    return end_group(k, rc);
}

int curate_write_links(struct curate_writer *k, const struct map *links)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < map_count(links); i++) {
        int64_t call;

        memcpy(&call, map_key(links, i).p, sizeof(call));
        rc = set_number(k,
                        "UPDATE example SET duplicate_of = ?2 WHERE call = "
                        "?1 AND request IS NULL",
                        call, (int64_t)*map_value(links, i));
    }
    return end_group(k, rc);
}

int curate_write_batch(struct curate_writer *k, const struct curate_item *item,
                       size_t count)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = write_item(k, &item[i]);
    if (rc == ERR_OK)
        rc = store_group_step(k->store, k->err);
    if (rc == ERR_OK)
        rc = store_stage_set(k->store, "curate", item[count - 1].id, k->version,
                             NULL, k->err);
    return end_group(k, rc);
}

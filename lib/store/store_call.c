/*
 * store_call.c - calls and what became known about them later
 *
 * A call is written in one go by store_parcel_add; store_call_add is the same
 * for one call at a time. Absent numbers are written as NULL, never as 0.
 */
#include "store/store_private.h"

#include "base/clock.h"

#include <string.h>

struct store_call store_call_none(void)
{
    return (struct store_call){
        .line = -1,
        .time_us = -1,
        .http_status = -1,
        .latency_us = -1,
        .ttft_us = -1,
        .tokens_in = -1,
        .tokens_out = -1,
        .tokens_cached = -1,
        .tokens_reason = -1,
    };
}

int store_call_find(struct store *s, struct slice key, int64_t *id,
                    struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, "SELECT id FROM call WHERE key = ?", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, key.p, key.n);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *id = rc == 1 ? sql_int(q, 0) : 0;
    sql_reset(q);
    return ERR_OK;
}

static void bind_known(struct sql_stmt *q, int i, int64_t v)
{
    if (v < 0)
        sql_bind_null(q, i);
    else
        sql_bind_int(q, i, v);
}

static void bind_present(struct sql_stmt *q, int i, struct slice v)
{
    if (v.n)
        sql_bind_text(q, i, v);
    else
        sql_bind_null(q, i);
}

static void bind_id(struct sql_stmt *q, int i, int64_t id)
{
    bind_known(q, i, id ? id : -1);
}

static void bind_call(struct sql_stmt *q, const struct store_call *c)
{
    const struct slice texts[] = { c->upstream, c->dialect, c->model,
                                   c->workload, c->client,  c->conversation,
                                   c->status,   c->phase,   c->finish,
                                   c->error,    c->extra };
    const int64_t numbers[] = { c->line,         c->time_us,
                                c->http_status,  c->latency_us,
                                c->ttft_us,      c->tokens_in,
                                c->tokens_out,   c->tokens_cached,
                                c->tokens_reason };
    int i = 1;

    bind_id(q, i++, c->source);
    for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++)
        bind_known(q, i++, numbers[k]);
    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++)
        bind_present(q, i++, texts[k]);
    if (!c->dialect.n)
        sql_bind_cstr(q, 12, "openai-chat");
    sql_bind_int(q, 22, (int64_t)(c->request.n + c->response.n));
}

/* Columns 1..22 as bind_call has them. */
static const char INSERT_CALL[] =
    "INSERT INTO call(source, line, time, http_status, latency, ttft, "
    "tokens_in, tokens_out, tokens_cached, tokens_reason, upstream, dialect, "
    "model, workload, client, conversation, status, phase, finish, error, "
    "extra, raw, key, request, request_at, node, response) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
    "?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)";

int store_call_insert(struct store *s, const struct store_call *c,
                      struct slice key, struct store_body request,
                      int64_t response, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, INSERT_CALL, &q, err);

    if (rc < 0)
        return rc;
    bind_call(q, c);
    sql_bind_blob(q, 23, key.p, key.n);
    bind_id(q, 24, request.skeleton);
    sql_bind_int(q, 25, request.at);
    sql_bind_int(q, 26, request.node);
    bind_id(q, 27, response);
    return sql_run(q, err);
}

int store_call_add(struct store *s, const struct store_call *c, bool *added,
                   struct err *err)
{
    bool own = !sql_in_transaction(s->db);
    struct store_packer *packer = store_packer_new(s);
    struct store_parcel *parcel = store_parcel_new();
    int rc = store_pack(packer, c, NULL, JSON_NONE, parcel, err);

    if (rc == ERR_OK && own)
        rc = sql_begin(s->db, err);
    if (rc == ERR_OK)
        rc = store_parcel_add(s, parcel, c->key, added, err);
    if (rc == ERR_OK && own)
        rc = sql_commit(s->db, err);
    if (rc < 0 && own)
        sql_rollback(s->db);
    store_parcel_free(parcel);
    store_packer_free(packer);
    return rc;
}

int store_outcome_set(struct store *s, int64_t call,
                      const struct store_outcome *o, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(
        s->db,
        "INSERT INTO outcome(call, time, reward, label, answer, extra) "
        "VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(call) DO UPDATE SET "
        "time = excluded.time, reward = coalesce(excluded.reward, reward), "
        "label = coalesce(excluded.label, label), "
        "answer = coalesce(excluded.answer, answer), "
        "extra = coalesce(excluded.extra, extra)",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, clock_wall_us());
    if (o->has_reward)
        sql_bind_double(q, 3, o->reward);
    sql_bind_text(q, 4, o->label);
    sql_bind_text(q, 5, o->answer);
    sql_bind_text(q, 6, o->extra);
    return sql_run(q, err);
}

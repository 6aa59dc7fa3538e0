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
    int rc = sql_get(s->db,
                     "SELECT CASE WHEN EXISTS(SELECT 1 FROM logged WHERE id = "
                     "call) THEN call ELSE -1 END FROM call_key WHERE key = ?",
                     &q, err);

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

#define ORIGIN_FIELDS 9

/* The columns of an origin, in the order of the table. */
static void origin_fields(const struct store_call *c,
                          struct slice out[ORIGIN_FIELDS])
{
    const struct slice fields[ORIGIN_FIELDS] = {
        c->upstream, c->dialect.n ? c->dialect : slice_of("openai-chat"),
        c->model,    c->workload,
        c->client,   c->status,
        c->phase,    c->finish,
        c->facts,
    };

    memcpy(out, fields, sizeof(fields));
}

static int insert_origin(struct store *s, const unsigned char *hash,
                         const struct slice fields[ORIGIN_FIELDS], int64_t *id,
                         struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "INSERT INTO origin(hash, upstream, dialect, model, "
                     "workload, client, status, phase, finish, facts) "
                     "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                     "ON CONFLICT(hash) DO UPDATE SET hash = hash "
                     "RETURNING id",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, hash, CRYPTO_HASH_BYTES);
    for (int i = 0; i < ORIGIN_FIELDS; i++)
        bind_present(q, i + 2, fields[i]);
    rc = sql_step(q, err);
    if (rc < 0)
        return rc;
    *id = sql_int(q, 0);
    return sql_run(q, err);
}

/* Each field is hashed with its length, so that none runs into the next; the
 * last, which came later, only where it is there. */
static int origin_of(struct store *s, const struct store_call *c, int64_t *id,
                     struct err *err)
{
    struct slice fields[ORIGIN_FIELDS];
    unsigned char hash[CRYPTO_HASH_BYTES];
    struct crypto_hasher h;
    uint64_t *known;
    bool added;
    int rc = ERR_OK;

    origin_fields(c, fields);
    crypto_hasher_init(&h, &s->writes->hash);
    for (int i = 0; i < ORIGIN_FIELDS; i++) {
        uint64_t n = fields[i].n;

        if (i == ORIGIN_FIELDS - 1 && !n)
            break;
        crypto_hasher_update(&h, (struct slice){ (char *)&n, sizeof(n) });
        crypto_hasher_update(&h, fields[i]);
    }
    crypto_hasher_final(&h, hash);
    store_check_caches(s);
    known = map_put(s->origins, hash, sizeof(hash), &added);
    if (added) {
        int64_t fresh = 0;

        rc = insert_origin(s, hash, fields, &fresh, err);
        *known = (uint64_t)fresh;
    }
    *id = (int64_t)*known;
    return rc;
}

static void bind_call(struct sql_stmt *q, const struct store_call *c)
{
    const struct slice texts[] = { c->conversation, c->response_id, c->error,
                                   c->extra };
    const int64_t numbers[] = { c->line,         c->time_us,
                                c->http_status,  c->latency_us,
                                c->ttft_us,      c->tokens_in,
                                c->tokens_out,   c->tokens_cached,
                                c->tokens_reason };
    int i = 3;

    bind_id(q, i++, c->source);
    for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++)
        bind_known(q, i++, numbers[k]);
    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++)
        bind_present(q, i++, texts[k]);
    sql_bind_int(q, i, (int64_t)(c->request.n + c->response.n));
}

/* Columns 3 to 17 as bind_call has them. */
static const char INSERT_CALL[] =
    "INSERT INTO logged(id, origin, source, line, time, http_status, latency, "
    "ttft, tokens_in, tokens_out, tokens_cached, tokens_reason, "
    "conversation, response_id, error, extra, raw, request, request_at, node, "
    "response) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
    "?14, seal_text(?15, 'logged.error', ?1), "
    "seal_text(?16, 'logged.extra', ?1), ?17, ?18, ?19, ?20, ?21)";

static int insert_key(struct store *s, struct slice key, int64_t call,
                      struct err *err)
{
    struct sql_stmt *q;
    int rc =
        sql_get(s->db, "INSERT INTO call_key(key, call) VALUES(?, ?)", &q, err);

    if (rc < 0)
        return rc;
    sql_bind_blob(q, 1, key.p, key.n);
    sql_bind_int(q, 2, call);
    return sql_run(q, err);
}

int store_call_insert(struct store *s, const struct store_call *c, int64_t id,
                      struct slice key, struct store_body request,
                      int64_t response, struct err *err)
{
    struct sql_stmt *q;
    int64_t origin;
    int rc = origin_of(s, c, &origin, err);

    if (rc == ERR_OK)
        rc = sql_get(s->db, INSERT_CALL, &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    sql_bind_int(q, 2, origin);
    bind_call(q, c);
    bind_id(q, 18, request.skeleton);
    sql_bind_int(q, 19, request.at);
    sql_bind_int(q, 20, request.node);
    bind_id(q, 21, response);
    rc = sql_run(q, err);
    return rc < 0 ? rc : insert_key(s, key, id, err);
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

/* What was scrubbed of an outcome that changes is out of date. */
static int forget_correction(struct store *s, int64_t call,
                             const struct store_outcome *o, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db,
                     "UPDATE example SET correction = NULL WHERE call = ?1 AND "
                     "EXISTS (SELECT 1 FROM outcome WHERE call = ?1 AND "
                     "(?2 NOTNULL AND ?2 IS NOT "
                     "peek_text(answer, 'outcome.answer', call) OR "
                     "?3 NOTNULL AND ?3 IS NOT "
                     "peek_text(label, 'outcome.label', call)))",
                     &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_text(q, 2, o->answer);
    sql_bind_text(q, 3, o->label);
    return sql_run(q, err);
}

int store_outcome_set(struct store *s, int64_t call,
                      const struct store_outcome *o, struct err *err)
{
    struct sql_stmt *q;
    int rc = forget_correction(s, call, o, err);

    if (rc < 0)
        return rc;
    rc = sql_get(
        s->db,
        "INSERT INTO outcome(call, time, reward, label, answer, extra) "
        "VALUES(?1, ?2, ?3, seal_text(?4, 'outcome.label', ?1), "
        "seal_text(?5, 'outcome.answer', ?1), "
        "seal_text(?6, 'outcome.extra', ?1)) ON CONFLICT(call) DO UPDATE SET "
        "time = excluded.time, reward = coalesce(excluded.reward, reward), "
        "label = coalesce(excluded.label, label), "
        "answer = coalesce(excluded.answer, answer), "
        "extra = coalesce(excluded.extra, extra) "
        "WHERE ?3 NOTNULL AND ?3 IS NOT reward "
        "OR ?4 NOTNULL AND ?4 IS NOT peek_text(label, 'outcome.label', call) "
        "OR ?5 NOTNULL AND ?5 IS NOT peek_text(answer, 'outcome.answer', call) "
        "OR ?6 NOTNULL AND ?6 IS NOT peek_text(extra, 'outcome.extra', call)",
        &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    if (!o->came_with_call)
        sql_bind_int(q, 2, clock_wall_us());
    if (o->has_reward)
        sql_bind_double(q, 3, o->reward);
    sql_bind_text(q, 4, o->label);
    sql_bind_text(q, 5, o->answer);
    sql_bind_text(q, 6, o->extra);
    return sql_run(q, err);
}

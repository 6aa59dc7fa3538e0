/*
 * store_row.c - a call as it stands in the store, and what is left of one
 *
 * For those who check or remove calls: the columns as they were given to
 * store_call_add, the bodies as ids.
 */
#include "store/store_private.h"

#include <string.h>

static const char SELECT_ROW[] =
    "SELECT line, time, http_status, latency, ttft, tokens_in, tokens_out, "
    "tokens_cached, tokens_reason, upstream, dialect, model, workload, client, "
    "status, phase, finish, facts, conversation, response_id, "
    "open_text(error, 'logged.error', id), open_text(extra, 'logged.extra', "
    "id), "
    "request, request_at, node, response, raw FROM call WHERE id = ?";

static void read_columns(struct sql_stmt *q, struct store_call *c)
{
    int64_t *const numbers[] = { &c->line,         &c->time_us,
                                 &c->http_status,  &c->latency_us,
                                 &c->ttft_us,      &c->tokens_in,
                                 &c->tokens_out,   &c->tokens_cached,
                                 &c->tokens_reason };
    struct slice *const texts[] = {
        &c->upstream, &c->dialect,      &c->model,       &c->workload,
        &c->client,   &c->status,       &c->phase,       &c->finish,
        &c->facts,    &c->conversation, &c->response_id, &c->error,
        &c->extra
    };
    int i = 0;

    for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++, i++)
        *numbers[k] = sql_is_null(q, i) ? -1 : sql_int(q, i);
    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++, i++)
        *texts[k] = sql_text(q, i);
}

int store_call_read(struct store *s, int64_t id, struct store_call_row *out,
                    bool *found, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, SELECT_ROW, &q, err);

    *found = false;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    *found = true;
    memset(out, 0, sizeof(*out));
    out->id = id;
    read_columns(q, &out->call);
    out->request = sql_int(q, 22);
    out->request_at = sql_int(q, 23);
    out->node = sql_int(q, 24);
    out->response = sql_int(q, 25);
    out->raw = sql_int(q, 26);
    return ERR_OK;
}

void store_call_read_end(struct store *s)
{
    struct sql_stmt *q;
    struct err err;

    if (sql_get(s->db, SELECT_ROW, &q, &err) == ERR_OK)
        sql_reset(q);
}

int store_tombstone_get(struct store *s, int64_t call,
                        unsigned char commitment[CRYPTO_HASH_BYTES],
                        bool *found, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(s->db, "SELECT commitment FROM tombstone WHERE call = ?",
                     &q, err);

    *found = false;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    rc = sql_step(q, err);
    if (rc == 1) {
        struct slice v = sql_blob(q, 0);

        memset(commitment, 0, CRYPTO_HASH_BYTES);
        if (v.n == CRYPTO_HASH_BYTES)
            memcpy(commitment, v.p, v.n);
        *found = true;
        sql_reset(q);
    }
    return rc < 0 ? rc : ERR_OK;
}

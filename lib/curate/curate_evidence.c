/*
 * curate_evidence.c - what a conversation tells of a person, later on
 *
 * Agents send the whole conversation with each call, so its largest call knows
 * nearly all that is ever said in it. Earlier calls are scrubbed beside that
 * one: a value that is known for what it is only there goes here, too, and gets
 * the same surrogate. It is only read; what becomes of it is no output. All
 * calls of a conversation that are at work together share one copy.
 */
#include "curate/curate_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define EVIDENCE_MAX ((size_t)4 << 20) /* bytes; more is no evidence */

struct curate_evidence {
    struct store *store;
    struct map *largest; /* client, conversation: call */
    struct map *held;    /* calls of body */
    struct buf (*body)[2];
    size_t body_cap, bytes;
    struct buf key;
};

/* Of equal calls the last. */
static const char select_largest[] =
    "SELECT client, conversation, id, "
    "max(coalesce(tokens_in, 0) * 4294967296 + id) FROM call "
    "WHERE conversation <> '' AND id <= ? GROUP BY client, conversation "
    "HAVING count(*) > 1";

static const char select_bodies[] =
    "SELECT request, request_at, node, response FROM call WHERE id = ?";

static void set_key(struct curate_evidence *e, struct slice client,
                    struct slice conversation)
{
    buf_reset(&e->key);
    buf_printf(&e->key, "%zu:", client.n);
    buf_add_slice(&e->key, client);
    buf_add_slice(&e->key, conversation);
}

int curate_evidence_open(struct store *s, int64_t last,
                         struct curate_evidence **out, struct err *err)
{
    struct curate_evidence *e;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), select_largest, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, last);
    e = mem_zalloc(sizeof(*e));
    e->store = s;
    e->largest = map_new();
    e->held = map_new();
    while ((rc = sql_step(q, err)) == 1) {
        set_key(e, sql_text(q, 0), sql_text(q, 1));
        *map_put(e->largest, e->key.data, e->key.len, NULL) =
            (uint64_t)sql_int(q, 2);
    }
    if (rc < 0) {
        curate_evidence_free(e);
        return rc;
    }
    *out = e;
    return ERR_OK;
}

void curate_evidence_free(struct curate_evidence *e)
{
    if (!e)
        return;
    curate_evidence_forget(e);
    map_free(e->largest);
    map_free(e->held);
    buf_release(&e->key);
    free(e->body);
    free(e);
}

void curate_evidence_forget(struct curate_evidence *e)
{
    for (size_t i = 0; i < map_count(e->held); i++) {
        buf_release(&e->body[i][0]);
        buf_release(&e->body[i][1]);
    }
    map_clear(e->held);
    e->bytes = 0;
}

size_t curate_evidence_bytes(const struct curate_evidence *e)
{
    return e->bytes;
}

static int read_bodies(struct curate_evidence *e, int64_t call,
                       struct buf body[2], struct err *err)
{
    struct store_body request;
    int64_t response;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(e->store), select_bodies, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    request =
        (struct store_body){ sql_int(q, 0), sql_int(q, 1), sql_int(q, 2) };
    response = sql_int(q, 3);
    sql_reset(q);
    rc = store_body_get(e->store, request, &body[0], err);
    if (rc == ERR_OK)
        rc = store_blob_get(e->store, response, &body[1], err);
    if (body[0].len + body[1].len > EVIDENCE_MAX) {
        buf_release(&body[0]);
        buf_release(&body[1]);
    }
    return rc;
}

/* Reads them, unless they are held. */
static int hold(struct curate_evidence *e, int64_t call, const struct buf **out,
                struct err *err)
{
    bool added;
    uint64_t *at = map_put(e->held, &call, sizeof(call), &added);
    void *all = e->body;
    int rc = ERR_OK;

    if (added) {
        *at = map_count(e->held) - 1;
        mem_grow(&all, &e->body_cap, *at + 1, sizeof(*e->body));
        e->body = all;
        e->body[*at][0] = e->body[*at][1] = (struct buf){ 0 };
        rc = read_bodies(e, call, e->body[*at], err);
        e->bytes += e->body[*at][0].len + e->body[*at][1].len;
    }
    *out = e->body[*at];
    return rc;
}

int64_t curate_evidence_of(struct curate_evidence *e, struct slice client,
                           struct slice conversation)
{
    const uint64_t *at;

    if (!conversation.n)
        return 0;
    set_key(e, client, conversation);
    at = map_get(e->largest, e->key.data, e->key.len);
    return at ? (int64_t)*at : 0;
}

int curate_group_of(struct store *s, int64_t call,
                    char group[2 * CURATE_HASH + 1], struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s), "SELECT groups FROM example WHERE call = ?",
                     &q, err);

    group[0] = '\0';
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    rc = sql_step(q, err);
    if (rc == 1)
        (void)snprintf(group, 2 * CURATE_HASH + 1, "%.*s",
                       (int)sql_text(q, 0).n, sql_text(q, 0).p);
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

int curate_evidence_read(struct curate_evidence *e, struct slice client,
                         struct slice conversation, int64_t call,
                         struct slice body[2], struct err *err)
{
    int64_t largest = curate_evidence_of(e, client, conversation);
    const struct buf *held;
    int rc;

    body[0] = body[1] = (struct slice){ 0 };
    if (!largest || largest == call)
        return ERR_OK;
    rc = hold(e, largest, &held, err);
    if (rc < 0)
        return err_wrap(err, "call %lld", (long long)largest);
    body[0] = buf_slice(&held[0]);
    body[1] = buf_slice(&held[1]);
    return ERR_OK;
}

int curate_scrub(struct scrub_worker *w, struct slice scope,
                 const struct slice *own, size_t n, const struct slice later[2],
                 struct buf *out, const struct scrub_span **spans,
                 size_t *count)
{
    struct slice in[CURATE_DOCUMENTS + 2];
    struct buf all[CURATE_DOCUMENTS + 2] = { { 0 } };
    size_t m = n, found = 0;
    int rc;

    assert(n <= CURATE_DOCUMENTS);
    for (size_t i = 0; i < n; i++) {
        in[i] = own[i];
        all[i] = out[i];
    }
    for (size_t i = 0; i < 2; i++)
        if (later[i].n)
            in[m++] = later[i];
    rc = scrub_record(w, scope, in, m, all, spans, &found, NULL);
    for (size_t i = 0; i < n; i++)
        out[i] = all[i];
    for (size_t i = n; i < m; i++)
        buf_release(&all[i]);
    *count = 0;
    while (rc == ERR_OK && *count < found && (*spans)[*count].document < n)
        ++*count;
    return rc;
}

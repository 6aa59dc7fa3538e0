/*
 * curate_outcome.c - corrected answers and labels, scrubbed like their call
 *
 * An outcome may come long after its call was curated, so this goes by what is
 * missing, not by the high mark. The call is scrubbed again beside the answer,
 * because a value that was found there has to go here too. What cannot be
 * scrubbed stays away from training: there is no way around.
 */
#include "curate/curate_priv.h"

#include <stdlib.h>

static const char select_due[] =
    "SELECT e.id FROM outcome o JOIN example e ON e.call = o.call WHERE "
    "e.kept AND e.correction IS NULL AND coalesce(o.answer, o.label) IS NOT "
    "NULL ORDER BY e.id";

static const char select_one[] =
    "SELECT coalesce(open_text(o.answer, 'outcome.answer', o.call), "
    "open_text(o.label, 'outcome.label', o.call)), c.client, c.conversation, "
    "e.groups, "
    "c.request, c.request_at, c.node, c.response, c.id FROM example e JOIN "
    "call c "
    "ON c.id = e.call JOIN outcome o ON o.call = e.call WHERE e.id = ?";

struct outcomes {
    struct store *s;
    struct scrub_worker *worker;
    const struct curate_options *o;
    int64_t *ids;
    size_t count, cap;
    struct buf body[3], clean[3]; /* request, response, answer */
    struct curate_evidence *evidence;
    const struct curate_dialogues *dialogues;
    const struct scrub_known *known;
    struct buf client, conversation, group, scope;
};

struct slice curate_scope(enum scrub_scope scope, struct slice client,
                          struct slice conversation, struct slice group,
                          struct buf *out)
{
    buf_reset(out);
    if (scope == SCRUB_DATASET)
        return (struct slice){ "", 0 };
    if (scope == SCRUB_CLIENT)
        conversation = (struct slice){ "", 0 };
    if (!(scope == SCRUB_CLIENT ? client : conversation).n ||
        curate_is_dialogue(conversation))
        return group;
    curate_talk_put(client, conversation, out);
    return buf_slice(out);
}

static int list_due(struct outcomes *k, struct err *err)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s), select_due, &q, err);

    while (rc >= 0 && (rc = sql_step(q, err)) == 1) {
        mem_grow((void **)&k->ids, &k->cap, k->count + 1, sizeof(*k->ids));
        k->ids[k->count++] = sql_int(q, 0);
    }
    return rc;
}

static void set(struct buf *b, struct slice v)
{
    buf_reset(b);
    buf_add_slice(b, v);
}

static int read_one(struct outcomes *k, int64_t id, struct err *err)
{
    struct store_body request;
    int64_t response;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s), select_one, &q, err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id);
    rc = sql_step(q, err);
    if (rc <= 0)
        return rc;
    set(&k->body[2], sql_text(q, 0));
    set(&k->client, sql_text(q, 1));
    set(&k->conversation, sql_text(q, 2));
    set(&k->group, sql_text(q, 3));
    request =
        (struct store_body){ sql_int(q, 4), sql_int(q, 5), sql_int(q, 6) };
    response = sql_int(q, 7);
    curate_dialogues_name(k->dialogues, sql_int(q, 8), &k->conversation);
    sql_reset(q);
    buf_reset(&k->body[0]);
    buf_reset(&k->body[1]);
    curate_evidence_begin(k->evidence);
    curate_evidence_want(k->evidence, buf_slice(&k->client),
                         buf_slice(&k->conversation));
    rc = store_body_get(k->s, request, &k->body[0], err);
    if (rc == ERR_OK)
        rc = store_blob_get(k->s, response, &k->body[1], err);
    if (rc == ERR_OK)
        rc = curate_evidence_gather(k->evidence, NULL, &k->worker, err);
    k->known = curate_evidence_known(k->evidence, buf_slice(&k->client),
                                     buf_slice(&k->conversation));
    return rc;
}

static int write_one(struct outcomes *k, int64_t id, struct err *err)
{
    int64_t blob;
    struct sql_stmt *q;
    int rc = store_group_step(k->s, err);

    if (rc == ERR_OK)
        rc = store_blob_put(k->s, buf_slice(&k->clean[2]), &blob, err);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->s),
                     "UPDATE example SET correction = ? WHERE id = ?", &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, blob);
    sql_bind_int(q, 2, id);
    return sql_run(q, err);
}

/* 1: scrubbed and written; 0: it cannot be scrubbed. */
static int do_one(struct outcomes *k, int64_t id, struct err *err)
{
    struct slice in[3];
    struct slice scope;
    const struct scrub_span *spans;
    size_t count;
    int rc = read_one(k, id, err);

    if (rc < 0)
        return rc;
    for (int i = 0; i < 3; i++) {
        in[i] = buf_slice(&k->body[i]);
        buf_reset(&k->clean[i]);
    }
    scope = curate_scope(scrub_rules_settings(k->o->rules)->scope,
                         buf_slice(&k->client), buf_slice(&k->conversation),
                         buf_slice(&k->group), &k->scope);
    if (curate_scrub(k->worker, scope, in, 3, k->known, k->clean, &spans,
                     &count, NULL) < 0)
        return 0;
    if (k->o->vault) {
        scrub_vault_take(k->o->vault, k->worker);
        rc = scrub_vault_sync(k->o->vault, err);
    }
    if (rc == ERR_OK)
        rc = write_one(k, id, err);
    return rc < 0 ? rc : 1;
}

static int do_all(struct outcomes *k, uint64_t *done, uint64_t *failed,
                  struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; i < k->count; i++) {
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED,
                           "stopped after %llu outcomes; run again to go on",
                           (unsigned long long)*done);
        rc = do_one(k, k->ids[i], err);
        if (rc < 0)
            return rc;
        *done += rc == 1;
        *failed += rc == 0;
    }
    return ERR_OK;
}

int curate_corrections(struct store *s, struct scrub_worker *w,
                       struct curate_evidence *evidence,
                       const struct curate_dialogues *dialogues,
                       const struct curate_options *o, uint64_t *done,
                       uint64_t *failed, struct err *err)
{
    struct outcomes k = { .s = s,
                          .worker = w,
                          .evidence = evidence,
                          .dialogues = dialogues,
                          .o = o };
    struct err end;
    int rc = list_due(&k, err);

    if (rc == ERR_OK)
        rc = do_all(&k, done, failed, err);
    if (store_group_end(s, rc < 0 ? &end : err) < 0 && rc == ERR_OK)
        rc = ERR_IO;
    if (rc < 0 && sql_in_transaction(store_sql(s)))
        sql_rollback(store_sql(s));
    for (int i = 0; i < 3; i++) {
        buf_release(&k.body[i]);
        buf_release(&k.clean[i]);
    }
    buf_release(&k.client);
    buf_release(&k.conversation);
    buf_release(&k.group);
    buf_release(&k.scope);
    free(k.ids);
    return rc;
}

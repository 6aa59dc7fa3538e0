/*
 * curate_run.c - the pass: read, judge, compare, scrub, write
 *
 * Calls go in batches. Judging and scrubbing run on all threads, each call in
 * its own item; comparing goes in the order of ids, so that the result is the
 * same for any number of threads. The high mark moves only after a batch is
 * written, and rows are written so that writing them again changes nothing.
 */
#include "curate/curate_priv.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct store *s;
    const struct curate_options *o;
    struct curate_result *r;
    struct err *err;
    struct pool *pool;
    struct curate_judge *judge; /* one a thread */
    unsigned threads;
    struct crypto_key hash_key;
    struct curate_index *index;
    struct curate_item *item; /* CURATE_BATCH_CALLS */
    size_t count;
    int64_t high, last; /* done so far; newest call */
    char key_id[9];
};

static const char select_calls[] =
    "SELECT id, time, latency, dialect, status, finish, client, conversation, "
    "request, request_at, node, response, "
    "open_text(extra, 'logged.extra', id) FROM call WHERE id > ? ORDER "
    "BY id";

static void item_reset(struct curate_item *it)
{
    struct curate_item old = *it;

    *it = (struct curate_item){ .dialect = old.dialect,
                                .status = old.status,
                                .finish = old.finish,
                                .client = old.client,
                                .conversation = old.conversation,
                                .request = old.request,
                                .response = old.response,
                                .clean_request = old.clean_request,
                                .clean_response = old.clean_response };
    buf_reset(&it->dialect);
    buf_reset(&it->status);
    buf_reset(&it->finish);
    buf_reset(&it->client);
    buf_reset(&it->conversation);
    buf_reset(&it->request);
    buf_reset(&it->response);
    buf_reset(&it->clean_request);
    buf_reset(&it->clean_response);
}

static void item_release(struct curate_item *it)
{
    buf_release(&it->dialect);
    buf_release(&it->status);
    buf_release(&it->finish);
    buf_release(&it->client);
    buf_release(&it->conversation);
    buf_release(&it->request);
    buf_release(&it->response);
    buf_release(&it->clean_request);
    buf_release(&it->clean_response);
}

static int read_item(struct run *k, struct sql_stmt *q, struct curate_item *it)
{
    struct store_body request = { sql_int(q, 8), sql_int(q, 9),
                                  sql_int(q, 10) };
    int rc;

    item_reset(it);
    it->id = sql_int(q, 0);
    it->time_us = sql_is_null(q, 1) ? -1 : sql_int(q, 1);
    it->latency_us = sql_is_null(q, 2) ? -1 : sql_int(q, 2);
    buf_add_slice(&it->dialect, sql_text(q, 3));
    buf_add_slice(&it->status, sql_text(q, 4));
    buf_add_slice(&it->finish, sql_text(q, 5));
    buf_add_slice(&it->client, sql_text(q, 6));
    buf_add_slice(&it->conversation, sql_text(q, 7));
    it->cut = wire_is_cut(sql_text(q, 12));
    rc = store_body_get(k->s, request, &it->request, k->err);
    if (rc == ERR_OK)
        rc = store_blob_get(k->s, sql_int(q, 11), &it->response, k->err);
    return rc < 0 ? err_wrap(k->err, "call %lld", (long long)it->id) : ERR_OK;
}

static int read_batch(struct run *k)
{
    struct sql_stmt *q;
    size_t bytes = 0;
    int rc = sql_get(store_sql(k->s), select_calls, &q, k->err);

    k->count = 0;
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, k->high);
    while (k->count < CURATE_BATCH_CALLS && bytes < CURATE_BATCH_BYTES &&
           (rc = sql_step(q, k->err)) == 1) {
        struct curate_item *it = &k->item[k->count];

        rc = read_item(k, q, it);
        if (rc < 0)
            break;
        bytes += it->request.len + it->response.len;
        k->count++;
    }
    sql_reset(q);
    return rc < 0 ? rc : ERR_OK;
}

static void judge_task(void *ctx, size_t task, unsigned worker)
{
    struct run *k = ctx;

    curate_judge_call(&k->judge[worker], &k->hash_key, &k->item[task]);
}

static void scrub_task(void *ctx, size_t task, unsigned worker)
{
    struct run *k = ctx;
    struct curate_judge *j = &k->judge[worker];
    struct curate_item *it = &k->item[task];
    struct slice in[2] = { buf_slice(&it->request), buf_slice(&it->response) };
    struct buf out[2] = { it->clean_request, it->clean_response };
    const struct scrub_span *spans;
    size_t count = 0;
    int rc;

    if (it->reason != CURATE_KEPT)
        return;
    rc = scrub_record(j->scrubber,
                      curate_scope(scrub_rules_settings(k->o->rules)->scope,
                                   buf_slice(&it->client),
                                   buf_slice(&it->conversation),
                                   slice_of(it->group), &j->text),
                      in, 2, out, &spans, &count, NULL);
    it->clean_request = out[0];
    it->clean_response = out[1];
    if (rc < 0)
        it->reason = CURATE_QUARANTINED;
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        j->by_rule[spans[i].rule]++;
    if (rc == ERR_OK && k->o->vault)
        scrub_vault_take(k->o->vault, j->scrubber);
    it->spans = rc < 0 ? 0 : count;
}

static int drop_written(struct run *k, int64_t call, int64_t by)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s),
                     "UPDATE example SET kept = 0, reason = 'retried', "
                     "duplicate_of = ?2, split = NULL, request = NULL, "
                     "request_at = 0, node = 0, response = NULL, "
                     "correction = NULL, spans = 0 "
                     "WHERE call = ?1 AND kept",
                     &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, call);
    sql_bind_int(q, 2, by);
    return sql_run(q, k->err);
}

/* The call that it supersedes is in this batch, or written already. */
static void retire(struct run *k, struct curate_item *it, int64_t call)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->item[i].id == call) {
            k->item[i].reason = CURATE_RETRIED;
            k->item[i].duplicate_of = it->id;
            return;
        }
    }
    it->supersedes = call;
}

static void compare(struct run *k)
{
    for (size_t i = 0; i < k->count; i++) {
        struct curate_item *it = &k->item[i];
        int64_t superseded = 0;

        if (it->reason != CURATE_KEPT)
            continue;
        curate_index_add(k->index, it, &superseded);
        if (superseded)
            retire(k, it, superseded);
    }
}

static const char upsert[] =
    "INSERT INTO example(call, kept, reason, duplicate_of, split, groups, "
    "request, request_at, node, response, spans, rules, key_id, repeats, "
    "input, answer) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT(call) DO UPDATE SET kept = excluded.kept, "
    "reason = excluded.reason, duplicate_of = excluded.duplicate_of, "
    "split = excluded.split, groups = excluded.groups, "
    "request = excluded.request, request_at = excluded.request_at, "
    "node = excluded.node, response = excluded.response, correction = NULL, "
    "spans = excluded.spans, rules = excluded.rules, "
    "key_id = excluded.key_id, repeats = excluded.repeats, "
    "input = excluded.input, answer = excluded.answer";

static void bind_item(struct run *k, struct sql_stmt *q,
                      const struct curate_item *it)
{
    bool kept = it->reason == CURATE_KEPT;

    sql_bind_int(q, 1, it->id);
    sql_bind_int(q, 2, kept);
    sql_bind_cstr(q, 3, kept ? NULL : curate_reason_name(it->reason));
    if (it->duplicate_of)
        sql_bind_int(q, 4, it->duplicate_of);
    sql_bind_cstr(q, 5, kept ? curate_split_name(it->split) : NULL);
    sql_bind_cstr(q, 6, it->hashed ? it->group : NULL);
    sql_bind_int(q, 11, (int64_t)it->spans);
    sql_bind_cstr(q, 12, scrub_rules_version(k->o->rules));
    sql_bind_cstr(q, 13, k->key_id);
    sql_bind_int(q, 14, (int64_t)curate_index_repeats(k->index, it));
    if (it->hashed) {
        sql_bind_blob(q, 15, it->input, CURATE_HASH);
        sql_bind_blob(q, 16, it->answer, CURATE_HASH);
    }
}

static int write_item(struct run *k, const struct curate_item *it)
{
    struct store_body request = { 0 };
    int64_t response = 0;
    struct sql_stmt *q;
    int rc = store_group_step(k->s, k->err);

    if (rc == ERR_OK && it->reason == CURATE_KEPT) {
        rc = store_body_put(k->s, buf_slice(&it->clean_request), "messages",
                            &request, k->err);
        if (rc == ERR_OK)
            rc = store_blob_put(k->s, buf_slice(&it->clean_response), &response,
                                k->err);
    }
    if (rc == ERR_OK && it->supersedes)
        rc = drop_written(k, it->supersedes, it->id);
    if (rc == ERR_OK)
        rc = sql_get(store_sql(k->s), upsert, &q, k->err);
    if (rc < 0)
        return rc;
    bind_item(k, q, it);
    if (request.skeleton)
        sql_bind_int(q, 7, request.skeleton);
    sql_bind_int(q, 8, request.at);
    sql_bind_int(q, 9, request.node);
    if (response)
        sql_bind_int(q, 10, response);
    return sql_run(q, k->err);
}

static int write_repeats(struct run *k)
{
    const unsigned char *input;
    uint64_t repeats;
    int rc = ERR_OK;

    for (size_t i = 0;
         rc == ERR_OK && curate_index_changed(k->index, i, &input, &repeats);
         i++) {
        struct sql_stmt *q;

        if (repeats == 1)
            continue; /* written so */
        rc = store_group_step(k->s, k->err);
        if (rc == ERR_OK)
            rc = sql_get(store_sql(k->s),
                         "UPDATE example SET repeats = ? WHERE input = ? AND "
                         "repeats <> ?1",
                         &q, k->err);
        if (rc < 0)
            return rc;
        sql_bind_int(q, 1, (int64_t)repeats);
        sql_bind_blob(q, 2, input, CURATE_HASH);
        rc = sql_run(q, k->err);
    }
    curate_index_settled(k->index);
    return rc;
}

static int write_batch(struct run *k)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < k->count; i++)
        rc = write_item(k, &k->item[i]);
    if (rc == ERR_OK)
        rc = write_repeats(k);
    if (rc == ERR_OK)
        rc = store_group_step(k->s, k->err);
    if (rc == ERR_OK)
        rc = store_stage_set(k->s, "curate", k->item[k->count - 1].id,
                             k->r->version, NULL, k->err);
    if (rc == ERR_OK)
        rc = store_group_end(k->s, k->err);
    if (rc < 0 && sql_in_transaction(store_sql(k->s)))
        sql_rollback(store_sql(k->s));
    return rc;
}

static int run_batches(struct run *k, uint64_t total)
{
    int rc = read_batch(k);

    while (rc == ERR_OK && k->count) {
        pool_run(k->pool, k->count, judge_task, k);
        compare(k);
        pool_run(k->pool, k->count, scrub_task, k);
        rc = k->o->vault ? scrub_vault_sync(k->o->vault, k->err) : ERR_OK;
        if (rc == ERR_OK)
            rc = write_batch(k);
        if (rc < 0)
            break;
        k->high = k->item[k->count - 1].id;
        k->r->fresh += k->count;
        progress_update(k->o->progress, "curate", k->r->fresh, total, NULL);
        if (stop_requested())
            return err_set(k->err, ERR_INTERRUPTED,
                           "stopped after %llu calls; run again to go on",
                           (unsigned long long)k->r->fresh);
        rc = read_batch(k);
    }
    return rc;
}

static int begin_workers(struct run *k)
{
    const struct crypto_key *key = k->o->key;
    size_t rules = scrub_rules_count(k->o->rules);

    k->pool = pool_new(k->o->threads);
    k->threads = pool_threads(k->pool);
    k->judge = mem_zalloc(k->threads * sizeof(*k->judge));
    for (unsigned i = 0; i < k->threads; i++) {
        k->judge[i].scrubber = scrub_worker_new(k->o->rules, key);
        k->judge[i].by_rule = mem_zalloc((rules + 1) * sizeof(uint64_t));
    }
    k->item = mem_zalloc(CURATE_BATCH_CALLS * sizeof(*k->item));
    return curate_index_load(k->s, k->high, key, k->o->shares, &k->index,
                             k->err);
}

static void end_workers(struct run *k)
{
    size_t rules = scrub_rules_count(k->o->rules);

    for (unsigned i = 0; i < k->threads; i++) {
        struct curate_judge *j = &k->judge[i];

        for (size_t r = 0; r < rules; r++)
            k->r->by_rule[r] += j->by_rule[r];
        json_release(&j->request);
        json_release(&j->response);
        json_release(&j->arguments);
        buf_release(&j->text);
        buf_release(&j->canonical);
        scrub_worker_free(j->scrubber);
        free(j->by_rule);
    }
    free(k->judge);
    for (size_t i = 0; k->item && i < CURATE_BATCH_CALLS; i++)
        item_release(&k->item[i]);
    free(k->item);
    curate_index_free(k->index);
    pool_free(k->pool);
    crypto_wipe(&k->hash_key, sizeof(k->hash_key));
}

/* Where the last run stopped; 0 and again if it ran under another version. */
static int find_high(struct run *k)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s),
                     "SELECT high, version FROM stage WHERE name = 'curate'",
                     &q, k->err);

    if (rc == ERR_OK)
        rc = sql_step(q, k->err);
    if (rc != 1)
        return rc;
    k->high = sql_int(q, 0);
    if (!slice_is(sql_text(q, 1), k->r->version)) {
        k->r->again = true;
        (void)snprintf(k->r->was, sizeof(k->r->was), "%.*s",
                       (int)sql_text(q, 1).n, sql_text(q, 1).p);
        k->high = 0;
    }
    sql_reset(q);
    return ERR_OK;
}

/* A small log may leave a split without a group; it gets the last of the
 * training groups in the order of their (keyed) names. */
static int fill_split(struct run *k, enum curate_split split)
{
    struct sql *db = store_sql(k->s);
    struct sql_stmt *q;
    int64_t groups = 0, there = 0;
    int rc = sql_one_int(db,
                         "SELECT count(DISTINCT groups) FROM example "
                         "WHERE kept AND split = 'train'",
                         0, &groups, k->err);

    if (rc == ERR_OK)
        rc =
            sql_get(db, "SELECT count(*) FROM example WHERE kept AND split = ?",
                    &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, curate_split_name(split));
    rc = sql_step(q, k->err);
    if (rc < 0)
        return rc;
    there = sql_int(q, 0);
    sql_reset(q);
    if (there || groups < 2 || !k->o->shares[split])
        return ERR_OK;
    rc = sql_get(db,
                 "UPDATE example SET split = ? WHERE kept AND groups = (SELECT "
                 "max(groups) FROM example WHERE kept AND split = 'train')",
                 &q, k->err);
    if (rc < 0)
        return rc;
    sql_bind_cstr(q, 1, curate_split_name(split));
    k->r->moved[split] = 1;
    return sql_run(q, k->err);
}

static int count_rows(struct run *k)
{
    struct curate_result *r = k->r;
    struct sql *db = store_sql(k->s);
    struct sql_stmt *q;
    int64_t n = 0;
    int rc = sql_get(db,
                     "SELECT kept, reason, split, count(*), sum(spans), "
                     "sum(kept AND repeats > 1) FROM example GROUP BY 1, 2, 3",
                     &q, k->err);

    while (rc >= 0 && (rc = sql_step(q, k->err)) == 1) {
        struct slice reason = sql_text(q, 1), split = sql_text(q, 2);
        uint64_t count = (uint64_t)sql_int(q, 3);
        size_t at = sql_int(q, 0) ? CURATE_KEPT : CURATE_FAILED;

        for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
            if (slice_is(reason, curate_reason_name((enum curate_reason)i)))
                at = i;
        r->calls += count;
        r->reasons[at] += count;
        r->spans += (uint64_t)sql_int(q, 4);
        r->repeated += (uint64_t)sql_int(q, 5);
        for (size_t i = 0; i < 3; i++)
            if (slice_is(split, curate_split_name((enum curate_split)i)))
                r->splits[i] += count;
    }
    if (rc == ERR_OK)
        rc = sql_one_int(db,
                         "SELECT count(DISTINCT groups) FROM example "
                         "WHERE kept",
                         0, &n, k->err);
    r->groups = (uint64_t)n;
    return rc;
}

static int write_stage(struct run *k)
{
    struct buf detail = { 0 };
    struct json_writer w;
    int rc;

    json_writer_init(&w, &detail, false);
    json_begin_object(&w, NULL);
    json_put_int(&w, "calls", (int64_t)k->r->calls);
    json_put_int(&w, "kept", (int64_t)k->r->reasons[CURATE_KEPT]);
    json_begin_object(&w, "dropped");
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++)
        if (k->r->reasons[i])
            json_put_int(&w, curate_reason_name((enum curate_reason)i),
                         (int64_t)k->r->reasons[i]);
    json_end_object(&w);
    json_put_int(&w, "spans", (int64_t)k->r->spans);
    json_end_object(&w);
    rc = store_stage_set(k->s, "curate", k->high, k->r->version, detail.data,
                         k->err);
    buf_release(&detail);
    return rc;
}

static int finish(struct run *k)
{
    int rc = ERR_OK;

    if (k->r->fresh) {
        rc = fill_split(k, CURATE_TEST);
        if (rc == ERR_OK)
            rc = fill_split(k, CURATE_VALIDATION);
    }
    if (rc == ERR_OK)
        rc = count_rows(k);
    if (rc == ERR_OK && k->r->fresh)
        rc = write_stage(k);
    return rc;
}

int curate_run(struct store *s, const struct curate_options *o,
               struct curate_result *r, struct err *err)
{
    struct run k = { .s = s, .o = o, .r = r, .err = err };
    int64_t total = 0;
    int rc = store_lock(s, "curate", err);

    if (rc < 0)
        return rc;
    *r = (struct curate_result){ 0 };
    r->by_rule =
        mem_zalloc((scrub_rules_count(o->rules) + 1) * sizeof(uint64_t));
    crypto_derive(o->key, "curate", &k.hash_key);
    crypto_key_id(o->key, k.key_id);
    (void)snprintf(r->version, sizeof(r->version),
                   "curate %s, rules %s, key %s, splits %u,%u,%u",
                   CURATE_ENGINE, scrub_rules_version(o->rules), k.key_id,
                   o->shares[0], o->shares[1], o->shares[2]);
    rc = find_high(&k);
    if (rc == ERR_OK)
        rc = sql_one_int(store_sql(s), "SELECT count(*) FROM call", 0, &total,
                         err);
    if (rc == ERR_OK)
        rc = begin_workers(&k);
    if (rc == ERR_OK)
        rc = run_batches(&k, (uint64_t)total);
    if (rc == ERR_OK)
        rc = curate_corrections(s, k.judge[0].scrubber, o, &r->corrections,
                                &r->uncorrected, err);
    if (rc == ERR_OK)
        rc = finish(&k);
    end_workers(&k);
    return rc;
}

void curate_result_release(struct curate_result *r)
{
    free(r->by_rule);
    r->by_rule = NULL;
}

int curate_shares_parse(const char *text, unsigned shares[3], struct err *err)
{
    unsigned v[3];
    int used = 0;

    if (strspn(text, "0123456789,") != strlen(text) ||
        sscanf(text, "%3u,%3u,%3u%n", &v[0], &v[1], &v[2], &used) != 3 ||
        text[used] || v[0] + v[1] + v[2] != 100)
        return err_set(err, ERR_INVALID,
                       "\"%s\": three percentages of sum 100 are expected, as "
                       "in 80,10,10",
                       text);
    memcpy(shares, v, sizeof(v));
    return ERR_OK;
}

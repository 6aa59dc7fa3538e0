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

#define SLOT_BYTES (CURATE_BATCH_BYTES / CURATE_BATCH_CALLS * 4)
#define ORPHAN_TRIES 8 /* that cannot be scrubbed, before the next run */

struct run {
    struct store *s;
    const struct curate_options *o;
    struct curate_result *r;
    struct err *err;
    struct pool *pool;
    struct curate_judge *judge; /* one a thread */
    unsigned threads;
    struct crypto_key hash_key, sketch_key;
    struct curate_writer writer;
    struct curate_evidence *evidence;
    struct curate_dialogues *dialogues;
    struct curate_common *common;
    struct scrub_worker **scrubber; /* of judges */
    struct curate_item *item;       /* CURATE_BATCH_CALLS */
    size_t count;
    int64_t high, last; /* done so far; newest call */
    char key_id[9];
};

static const char select_calls[] =
    "SELECT id, time, latency, dialect, status, finish, client, conversation, "
    "request, request_at, node, response, "
    "open_text(extra, 'logged.extra', id), workload, coalesce(upstream GLOB "
    "'slm:*', 0) AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.call = "
    "call.id AND o.answer NOTNULL) FROM call WHERE id > ? AND id <= ? ORDER "
    "BY id";

#define ITEM_BUFS 10

/* All buffers of an item. */
static void item_bufs(struct curate_item *it, struct buf *b[ITEM_BUFS])
{
    struct buf *const all[ITEM_BUFS] = {
        &it->dialect,       &it->status,         &it->finish,
        &it->client,        &it->workload,       &it->conversation,
        &it->clean_request, &it->clean_response, &it->sketch,
        &it->values,
    };

    memcpy(b, all, sizeof(all));
}

/* All slots together must not hold what the largest call of each took. */
static void reset(struct buf *b)
{
    if (b->cap > SLOT_BYTES)
        buf_release(b);
    else
        buf_reset(b);
}

static void item_reset(struct curate_item *it)
{
    struct curate_item old = *it;
    struct buf *was[ITEM_BUFS], *now[ITEM_BUFS];

    *it = (struct curate_item){ .request = old.request,
                                .response = old.response };
    item_bufs(&old, was);
    item_bufs(it, now);
    for (size_t i = 0; i < ITEM_BUFS; i++) {
        *now[i] = *was[i];
        reset(now[i]);
    }
    reset(&it->request);
    reset(&it->response);
}

static void item_release(struct curate_item *it)
{
    struct buf *all[ITEM_BUFS];

    item_bufs(it, all);
    for (size_t i = 0; i < ITEM_BUFS; i++)
        buf_release(all[i]);
    buf_release(&it->request);
    buf_release(&it->response);
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
    curate_dialogues_name(k->dialogues, it->id, &it->conversation);
    it->cut = wire_is_cut(sql_text(q, 12));
    buf_add_slice(&it->workload, sql_text(q, 13));
    it->own = sql_int(q, 14);
    rc = store_body_get(k->s, request, &it->request, k->err);
    if (rc == ERR_OK)
        rc = store_blob_get(k->s, sql_int(q, 11), &it->response, k->err);
    if (rc == ERR_INVALID)
        return rc; /* a key that is not given is no fault of a call */
    return rc < 0 ? err_wrap(k->err, "call %lld", (long long)it->id) : ERR_OK;
}

/* What it holds in memory. */
static size_t item_bytes(const struct curate_item *it)
{
    return it->request.len + it->response.len;
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
    sql_bind_int(q, 2, k->last);
    while (k->count < CURATE_BATCH_CALLS && bytes < CURATE_BATCH_BYTES &&
           (rc = sql_step(q, k->err)) == 1) {
        struct curate_item *it = &k->item[k->count];

        rc = read_item(k, q, it);
        if (rc < 0)
            break;
        bytes += item_bytes(it);
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

/* What the conversations of those that are scrubbed hold. */
static int gather(struct run *k)
{
    int rc;

    curate_evidence_begin(k->evidence);
    for (size_t i = 0; i < k->count; i++)
        if (k->item[i].reason == CURATE_KEPT)
            curate_evidence_want(k->evidence, buf_slice(&k->item[i].client),
                                 buf_slice(&k->item[i].conversation));
    rc = curate_evidence_gather(k->evidence, k->pool, k->scrubber, k->err);
    for (size_t i = 0; rc == ERR_OK && i < k->count; i++)
        k->item[i].known =
            curate_evidence_known(k->evidence, buf_slice(&k->item[i].client),
                                  buf_slice(&k->item[i].conversation));
    return rc;
}

static void note_value(struct curate_item *it, struct slice document,
                       const struct scrub_span *s)
{
    uint64_t value =
        hash64(document.p + s->start, s->end - s->start, s->rule) | 1;

    buf_add(&it->values, &value, sizeof(value));
}

static void scrub_task(void *ctx, size_t task, unsigned worker)
{
    struct run *k = ctx;
    struct curate_judge *j = &k->judge[worker];
    struct curate_item *it = &k->item[task];
    struct slice in[2] = { buf_slice(&it->request), buf_slice(&it->response) };
    struct buf out[2] = { it->clean_request, it->clean_response };
    const struct scrub_span *spans;
    struct err err = { 0 };
    size_t count = 0;
    int rc;

    if (it->reason != CURATE_KEPT)
        return;
    rc = curate_scrub(j->scrubber,
                      curate_scope(scrub_rules_settings(k->o->rules)->scope,
                                   buf_slice(&it->client),
                                   buf_slice(&it->conversation),
                                   slice_of(it->group), &j->text),
                      in, 2, it->known, out, &spans, &count, &err);
    it->clean_request = out[0];
    it->clean_response = out[1];
    if (rc < 0) {
        it->reason = CURATE_QUARANTINED;
        (void)snprintf(it->why, sizeof(it->why), "%.150s", err.msg);
    }
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        j->by_rule[spans[i].rule]++;
        note_value(it, in[spans[i].document], &spans[i]);
    }
    if (rc == ERR_OK && k->o->vault)
        scrub_vault_take(k->o->vault, j->scrubber);
    it->spans = rc < 0 ? 0 : count;
    if (rc == ERR_OK)
        curate_sketch_make(j, it, &it->sketch);
}

static int scrub_batch(struct run *k)
{
    int rc = gather(k);

    if (rc < 0)
        return rc;
    pool_run(k->pool, k->count, scrub_task, k);
    return k->o->vault ? scrub_vault_sync(k->o->vault, k->err) : ERR_OK;
}

/* NULL: it is of an earlier batch. */
static struct curate_item *item_of(struct run *k, int64_t call)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->item[i].id == call)
            return &k->item[i];
    return NULL;
}

/* The call that it supersedes is in this batch, or written already; so is the
 * duplicate that takes its place. If that is written, it is an orphan. */
static void retire(struct run *k, struct curate_item *it, int64_t call,
                   int64_t instead)
{
    struct curate_item *old = item_of(k, call), *other = item_of(k, instead);

    if (old) {
        old->reason = CURATE_RETRIED;
        old->duplicate_of = it->id;
    } else {
        it->supersedes = call;
    }
    if (other) {
        other->reason = CURATE_KEPT;
        other->duplicate_of = 0;
    }
}

static void compare(struct run *k)
{
    for (size_t i = 0; i < k->count; i++) {
        struct curate_item *it = &k->item[i];
        int64_t superseded, instead;

        if (it->reason != CURATE_KEPT)
            continue;
        curate_index_add(k->writer.index, it, &superseded, &instead);
        if (superseded)
            retire(k, it, superseded, instead);
    }
}

static void count_quarantined(struct run *k)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct curate_item *it = &k->item[i];

        if (it->reason != CURATE_QUARANTINED)
            continue;
        if (k->r->quarantined < CURATE_QUARANTINED_TOLD) {
            struct curate_quarantine *q = &k->r->quarantine[k->r->quarantined];

            q->call = it->id;
            memcpy(q->why, it->why, sizeof(q->why));
        }
        k->r->quarantined++;
        if (k->o->quarantined)
            k->o->quarantined(k->o->ctx, it->id, it->why);
    }
}

static int run_batches(struct run *k, uint64_t total)
{
    int rc = read_batch(k);

    while (rc == ERR_OK && k->count) {
        pool_run(k->pool, k->count, judge_task, k);
        compare(k);
        rc = scrub_batch(k);
        if (rc == ERR_OK)
            rc = curate_write_batch(&k->writer, k->item, k->count);
        if (rc < 0)
            break;
        k->high = k->item[k->count - 1].id;
        k->r->fresh += k->count;
        for (size_t i = 0; i < k->count; i++)
            if (k->item[i].reason == CURATE_KEPT)
                curate_common_add(k->common, &k->item[i]);
        count_quarantined(k);
        progress_update(k->o->progress, "curate", k->r->fresh, total, NULL);
        if (stop_requested())
            return err_set(k->err, ERR_INTERRUPTED,
                           "stopped after %llu calls; run again to go on",
                           (unsigned long long)k->r->fresh);
        rc = read_batch(k);
    }
    return rc;
}

/* Call ids and groups of examples whose conversation has grown since. */
static int list_grown(struct run *k, struct map *grown)
{
    struct buf talk = { 0 };
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s),
                     "SELECT c.id, c.client, c.conversation, e.groups FROM "
                     "example e JOIN call c ON c.id = e.call WHERE e.request "
                     "NOTNULL AND c.id <= ? ORDER BY c.id",
                     &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, k->high);
    while ((rc = sql_step(q, k->err)) == 1) {
        int64_t id = sql_int(q, 0);

        buf_reset(&talk);
        buf_add_slice(&talk, sql_text(q, 2));
        curate_dialogues_name(k->dialogues, id, &talk);
        if (curate_evidence_last(k->evidence, sql_text(q, 1),
                                 buf_slice(&talk)) > k->high)
            (void)map_put(grown, &id, sizeof(id), NULL);
    }
    buf_release(&talk);
    return rc;
}

/* 1: read; 0: the call was removed meanwhile. */
static int read_one(struct run *k, int64_t id, struct curate_item *it)
{
    struct sql_stmt *q;
    int rc = sql_get(store_sql(k->s), select_calls, &q, k->err);

    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, id - 1);
    sql_bind_int(q, 2, id);
    rc = sql_step(q, k->err);
    if (rc != 1)
        return rc;
    rc = read_item(k, q, it);
    sql_reset(q);
    if (rc == ERR_OK)
        rc = curate_group_of(k->s, id, it->group, k->err);
    return rc < 0 ? rc : 1;
}

/* Judges and scrubs calls anew, and writes them so. */
static int redo(struct run *k, const struct map *calls,
                int (*write)(struct curate_writer *k,
                             const struct curate_item *item, size_t count))
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < map_count(calls);) {
        size_t bytes = 0;

        for (k->count = 0;
             rc >= 0 && i < map_count(calls) &&
             k->count < CURATE_BATCH_CALLS / 8 && bytes < CURATE_BATCH_BYTES;
             i++) {
            int64_t id;

            memcpy(&id, map_key(calls, i).p, sizeof(id));
            rc = read_one(k, id, &k->item[k->count]);
            if (rc == 1)
                bytes += item_bytes(&k->item[k->count++]);
        }
        if (rc < 0)
            break;
        pool_run(k->pool, k->count, judge_task, k);
        for (size_t n = 0; n < k->count; n++)
            if (k->item[n].reason == CURATE_KEPT && !k->item[n].group[0])
                curate_index_group(k->writer.index, &k->item[n]);
        rc = scrub_batch(k);
        if (rc == ERR_OK)
            rc = write(&k->writer, k->item, k->count);
        count_quarantined(k);
        if (rc == ERR_OK && stop_requested())
            rc =
                err_set(k->err, ERR_INTERRUPTED, "stopped; run again to go on");
    }
    return rc;
}

/* What a conversation told meanwhile goes from its older examples as well.
 * Comes first: until new calls are written, a run that is cut off begins with
 * the same again. */
static int redo_grown(struct run *k)
{
    struct map *grown = map_new();
    int rc = list_grown(k, grown);

    if (rc == ERR_OK)
        rc = redo(k, grown, curate_write_again);
    map_free(grown);
    return rc;
}

/* A duplicate whose answer was corrected is an example of its own: settling
 * puts it in place of the one that it is like. So is the answer of a model of
 * ours. */
static int bring_back_corrected(struct run *k)
{
    struct map *due = map_new();
    struct sql_stmt *q;
    int rc = sql_get(
        store_sql(k->s),
        "SELECT e.call FROM outcome o JOIN example e ON e.call = "
        "o.call WHERE o.answer NOTNULL AND e.reason IN ('duplicate', 'own') "
        "AND e.request IS NULL ORDER BY e.call",
        &q, k->err);

    while (rc >= 0 && (rc = sql_step(q, k->err)) == 1) {
        int64_t id = sql_int(q, 0);

        (void)map_put(due, &id, sizeof(id), NULL);
    }
    if (rc == ERR_OK)
        rc = redo(k, due, curate_write_back);
    map_free(due);
    return rc;
}

/* One that cannot be scrubbed gives its place to the next. */
static int bring_back_orphans(struct run *k)
{
    int rc = ERR_OK;
    bool more = true;

    for (int n = 0; rc == ERR_OK && more && n < ORPHAN_TRIES; n++) {
        struct map *due = map_new(), *links = map_new();

        rc = curate_orphans(k->s, k->writer.index, due, links, k->err);
        if (rc == ERR_OK)
            rc = curate_write_links(&k->writer, links);
        if (rc == ERR_OK)
            rc = redo(k, due, curate_write_back);
        more = map_count(due) > 0;
        map_free(due);
        map_free(links);
    }
    return rc;
}

static int begin_workers(struct run *k)
{
    const struct crypto_key *key = k->o->key;
    size_t rules = scrub_rules_count(k->o->rules);

    k->common = curate_common_new();
    k->pool = pool_new(k->o->threads);
    k->threads = pool_threads(k->pool);
    k->judge = mem_zalloc(k->threads * sizeof(*k->judge));
    k->scrubber = mem_zalloc(k->threads * sizeof(*k->scrubber));
    for (unsigned i = 0; i < k->threads; i++) {
        k->judge[i].scrubber = scrub_worker_new(k->o->rules, key);
        k->scrubber[i] = k->judge[i].scrubber;
        k->judge[i].by_rule = mem_zalloc((rules + 1) * sizeof(uint64_t));
        k->judge[i].filters = curate_filters_default() ^ k->o->changed;
        memcpy(&k->judge[i].seed, &k->sketch_key, sizeof(k->judge[i].seed));
    }
    k->item = mem_zalloc(CURATE_BATCH_CALLS * sizeof(*k->item));
    k->writer = (struct curate_writer){
        .store = k->s,
        .rules = scrub_rules_version(k->o->rules),
        .key_id = k->key_id,
        .version = k->r->version,
        .err = k->err,
    };
    return curate_index_load(k->s, k->high, k->dialogues, key,
                             curate_filters_default() ^ k->o->changed,
                             &k->writer.index, k->err);
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
        buf_release(&j->tagged_request);
        buf_release(&j->tagged_response);
        dedup_shingles_release(&j->shingles);
        scrub_worker_free(j->scrubber);
        free(j->by_rule);
    }
    free(k->judge);
    free(k->scrubber);
    for (size_t i = 0; k->item && i < CURATE_BATCH_CALLS; i++)
        item_release(&k->item[i]);
    free(k->item);
    curate_index_free(k->writer.index);
    curate_evidence_free(k->evidence);
    curate_dialogues_free(k->dialogues);
    curate_common_free(k->common);
    pool_free(k->pool);
    crypto_wipe(&k->hash_key, sizeof(k->hash_key));
    crypto_wipe(&k->sketch_key, sizeof(k->sketch_key));
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
    if (k->o->again || !slice_is(sql_text(q, 1), k->r->version)) {
        k->r->again = true;
        (void)snprintf(k->r->was, sizeof(k->r->was), "%.*s",
                       (int)sql_text(q, 1).n, sql_text(q, 1).p);
        k->high = 0;
    }
    sql_reset(q);
    return ERR_OK;
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

/* What the pass depends on: what is settled later is not part of it. */
static int make_version(struct run *k)
{
    uint64_t changed = k->o->changed & ((UINT64_C(1) << CURATE_NEGATIVE) - 1);
    struct buf text = { 0 };

    buf_printf(&text, "curate %s, rules %s, key %s", CURATE_ENGINE,
               scrub_rules_version(k->o->rules), k->key_id);
    if (changed) {
        buf_str(&text, ", filters ");
        curate_filters_put(changed, &text);
    }
    (void)snprintf(k->r->version, sizeof(k->r->version), "%s", text.data);
    buf_release(&text);
    return find_high(k);
}

static int run_all(struct run *k)
{
    int64_t total = 0;
    int rc = sql_one_int(store_sql(k->s), "SELECT count(*) FROM call", 0,
                         &total, k->err);

    /* What comes in from here on is the next run's. */
    if (rc == ERR_OK)
        rc = sql_one_int(store_sql(k->s),
                         "SELECT coalesce(max(id), 0) FROM call", 0, &k->last,
                         k->err);
    if (rc == ERR_OK)
        rc = curate_dialogues_open(k->s, k->last, &k->dialogues, k->err);
    if (rc == ERR_OK)
        rc = curate_evidence_open(k->s, k->last, k->dialogues, &k->evidence,
                                  k->err);
    if (rc == ERR_OK)
        rc = begin_workers(k);
    if (rc == ERR_OK && k->high)
        rc = redo_grown(k);
    if (rc == ERR_OK && k->high)
        rc = bring_back_orphans(k);
    if (rc == ERR_OK)
        rc = run_batches(k, (uint64_t)total);
    if (rc == ERR_OK) {
        k->r->common = curate_common_count(k->common, &k->r->common_call);
        rc = bring_back_corrected(k);
    }
    if (rc == ERR_OK)
        rc = bring_back_orphans(k);
    if (rc == ERR_OK)
        rc = curate_write_repeats(&k->writer);
    if (rc == ERR_OK)
        rc = curate_settle(k->s, k->o, k->dialogues, k->pool, k->r, k->err);
    if (rc == ERR_OK)
        rc = curate_corrections(k->s, k->judge[0].scrubber, k->evidence,
                                k->dialogues, k->o, &k->r->corrections,
                                &k->r->uncorrected, k->err);
    if (rc == ERR_OK)
        rc = curate_count(k->s, k->dialogues, k->r, k->err);
    if (rc == ERR_OK && (k->r->fresh || k->r->settled))
        rc = write_stage(k);
    end_workers(k);
    return rc;
}

int curate_run(struct store *s, const struct curate_options *o,
               struct curate_result *r, struct err *err)
{
    struct run k = { .s = s, .o = o, .r = r, .err = err };
    int rc = o->locked ? ERR_OK : store_lock(s, "curate", err);

    if (rc < 0)
        return rc;
    *r = (struct curate_result){ 0 };
    memcpy(r->shares, o->shares, sizeof(r->shares));
    r->by_rule =
        mem_zalloc((scrub_rules_count(o->rules) + 1) * sizeof(uint64_t));
    crypto_derive(o->key, "curate", &k.hash_key);
    crypto_derive(o->key, "sketch", &k.sketch_key);
    crypto_key_id(o->key, k.key_id);
    rc = make_version(&k);
    return rc == ERR_OK ? run_all(&k) : rc;
}

void curate_result_release(struct curate_result *r)
{
    free(r->by_rule);
    r->by_rule = NULL;
}

/*
 * recorder.c - the queue, and what happens when it is full
 *
 * Workers append under one short lock. A record is never lost in silence: it
 * is in the queue, in a segment, in the store, or counted in a gap.
 */
#include "recorder/recorder_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void recorder_item_free(struct recorder_item *i)
{
    if (!i)
        return;
    buf_release(&i->bytes);
    free(i);
}

int recorder_open_store(struct recorder *r, struct err *err)
{
    return store_open_with(r->dir, STORE_CREATE,
                           r->o.access ? &r->access : NULL, &r->store, err);
}

/* Of a sealed store nobody but the private key's holder reads what another
 * process has left, so the key is this process's own. */
static int open_spool(struct recorder *r, struct err *err)
{
    struct spool_keys keys = { r->key, r->access.seal_to,
                               r->access.private_key };

    if (r->store && !keys.seal_to)
        keys.seal_to = store_seal_to(r->store);
    if (keys.seal_to && r->key)
        crypto_random(r->key->bytes, sizeof(r->key->bytes));
    return spool_open(r->dir, &keys, &r->spool, err);
}

/* Another collector of this store must not be there before its intents are
 * taken for lost ones. */
static int open_files(struct recorder *r, struct err *err)
{
    int rc = recorder_open_store(r, err);

    if (rc == ERR_OK) {
        rc = store_lock(r->store, "proxy", err);
    } else if (access(r->dir, W_OK | X_OK) == 0 && rc != ERR_NOTFOUND &&
               rc != ERR_FORMAT && rc != ERR_INVALID && rc != ERR_UNSUPPORTED) {
        /* Locked, or no room: the writer tries again. */
        (void)snprintf(r->stats.error, sizeof(r->stats.error), "%.255s",
                       err->msg);
        rc = ERR_OK;
    }
    if (rc == ERR_OK)
        rc = open_spool(r, err);
    if (rc == ERR_OK)
        rc = intents_open(r->dir, &r->intents, err);
    if (rc == ERR_OK)
        gaps_open(r);
    return rc;
}

/* A wall clock that is set back must not make the writer sleep till then. */
static void init_work(struct recorder *r)
{
    pthread_condattr_t a;

    (void)pthread_condattr_init(&a);
    (void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->work, &a);
    (void)pthread_cond_init(&r->sync_work, NULL);
    (void)pthread_condattr_destroy(&a);
}

int recorder_open(const struct recorder_options *o, struct recorder **out,
                  struct err *err)
{
    struct recorder *r = mem_zalloc(sizeof(*r));
    int rc;

    r->o = *o;
    r->o.store = NULL;
    r->o.key = NULL;
    r->dir = mem_strdup(o->store);
    if (o->access) {
        r->access = *o->access;
        r->key_file =
            r->access.key_file ? mem_strdup(r->access.key_file) : NULL;
        r->access.key_file = r->key_file;
    }
    if (o->key) {
        r->key = crypto_secret_new(sizeof(*r->key));
        *r->key = *o->key;
    }
    r->last = &r->first;
    r->group_last = &r->group;
    r->sync_last = &r->to_sync;
    r->conversations = map_new();
    (void)pthread_mutex_init(&r->lock, NULL);
    init_work(r);
    rc = open_files(r, err);
    if (rc == ERR_OK) {
        int code;

        r->stats.store_ok = r->store != NULL;
        r->has_lost = true;
        code = pthread_create(&r->syncer, NULL, recorder_sync, r);
        r->syncer_started = code == 0;
        if (code == 0)
            code = pthread_create(&r->thread, NULL, recorder_write, r);
        r->started = r->syncer_started && code == 0;
        if (code != 0)
            rc = err_set(err, ERR_IO, "no thread: %s", strerror(code));
    }
    if (rc < 0) {
        struct err later;

        (void)!recorder_close(r, 0, &later);
    } else {
        *out = r;
    }
    return rc;
}

void recorder_reload(struct recorder *r, const struct recorder_options *o)
{
    (void)pthread_mutex_lock(&r->lock);
    r->o.overload = o->overload;
    r->o.queue_bytes = o->queue_bytes;
    r->o.spool_bytes = o->spool_bytes;
    r->o.commit_ms = o->commit_ms;
    (void)pthread_mutex_unlock(&r->lock);
}

static void free_items(struct recorder_item *i)
{
    while (i) {
        struct recorder_item *next = i->next;

        if (i->done)
            i->done(i->ctx, false);
        recorder_item_free(i);
        i = next;
    }
}

int recorder_close(struct recorder *r, int64_t wait_ms, struct err *err)
{
    (void)err;
    if (!r)
        return ERR_OK;
    if (r->started) {
        (void)pthread_mutex_lock(&r->lock);
        r->stopping = true;
        r->stop_by_ns = clock_mono_ns() + wait_ms * INT64_C(1000000);
        (void)pthread_cond_signal(&r->work);
        (void)pthread_mutex_unlock(&r->lock);
        (void)pthread_join(r->thread, NULL);
    }
    if (r->syncer_started) { /* it tells whoever still waits */
        (void)pthread_mutex_lock(&r->lock);
        r->sync_stopping = true;
        (void)pthread_cond_signal(&r->sync_work);
        (void)pthread_mutex_unlock(&r->lock);
        (void)pthread_join(r->syncer, NULL);
    }
    free_items(r->group);
    free_items(r->first);
    intents_close(r->intents);
    if (r->gaps)
        gaps_close(r);
    spool_close(r->spool);
    store_packer_free(r->packer);
    store_parcel_free(r->parcel);
    wire_record_release(&r->record);
    store_close(r->store);
    map_free(r->conversations);
    buf_release(&r->names);
    (void)pthread_cond_destroy(&r->work);
    (void)pthread_cond_destroy(&r->sync_work);
    (void)pthread_mutex_destroy(&r->lock);
    crypto_secret_free(r->key);
    free(r->key_file);
    free(r->dir);
    free(r);
    return ERR_OK;
}

void recorder_widen_gap(struct recorder_gap *g, int64_t time_us, size_t bytes)
{
    if (!g->calls)
        g->from_us = g->until_us = time_us;
    if (time_us < g->from_us)
        g->from_us = time_us;
    if (time_us > g->until_us)
        g->until_us = time_us;
    g->calls++;
    g->bytes += (int64_t)bytes;
}

void recorder_count_gap(struct recorder *r, int which, int64_t time_us,
                        size_t bytes)
{
    recorder_widen_gap(&r->gaps[which], time_us, bytes);
    r->stats.dropped++;
    if (which == GAP_OVERLOAD)
        r->dropped_ns = clock_mono_ns();
}

static bool has_room(const struct recorder *r)
{
    return r->stats.queue_bytes < r->o.queue_bytes;
}

static bool can_spill(const struct recorder *r)
{
    return spool_bytes(r->spool) < r->o.spool_bytes;
}

bool recorder_withholds(const struct recorder *r)
{
    return r->o.durability == RECORDER_SYNC &&
           (r->o.overload == RECORDER_REJECT ||
            r->o.overload == RECORDER_BLOCK);
}

int recorder_begin(struct recorder *r, int64_t time_us, struct slice upstream,
                   struct slice target, char id[RECORDER_ID_CHARS + 1],
                   struct err *err)
{
    enum recorder_overload policy;
    bool room;

    (void)pthread_mutex_lock(&r->lock);
    policy = r->o.overload;
    room = has_room(r) && !(r->stuck && recorder_withholds(r));
    if (!room && policy == RECORDER_REJECT)
        r->stats.refused++;
    else if (room || policy != RECORDER_BLOCK)
        r->stats.begun++;
    (void)pthread_mutex_unlock(&r->lock);
    if (!room && policy == RECORDER_REJECT)
        return err_set(err, ERR_LIMIT,
                       "calls cannot be logged fast enough; try again");
    if (!room && policy == RECORDER_BLOCK)
        return err_set(err, ERR_BUSY, "calls cannot be logged fast enough");
    /* A disk that is full is no reason to stop anyone: the call goes on, and
     * of a kill before its end only the number of such calls is known. */
    if (intents_begin(r->intents, time_us, upstream, target, id, err) < 0) {
        (void)pthread_mutex_lock(&r->lock);
        gaps_begin_call(r, time_us);
        (void)pthread_mutex_unlock(&r->lock);
    }
    return ERR_OK;
}

/* A record that may wait for others wakes nobody: the writer looks by itself
 * before the time is over. */
static void append(struct recorder *r, struct recorder_item *i)
{
    bool may_wait = r->o.durability != RECORDER_SYNC && r->o.commit_ms > 0;

    *r->last = i;
    r->last = &i->next;
    r->stats.queue_bytes += i->bytes.len;
    r->stats.queue_calls++;
    if (!may_wait || r->stats.queue_calls == GROUP_SOON)
        (void)pthread_cond_signal(&r->work);
}

/* To a segment, out of memory. */
static bool spill(struct recorder *r, struct recorder_item *i)
{
    struct err err;

    if (spool_append(r->spool, i->kind, buf_slice(&i->bytes), r->o.spool_bytes,
                     true, &i->segment, &err) < 0)
        return false;
    r->stats.spilled++;
    return true;
}

/* The store fails for now: who waits for durability has it from the disk at
 * once, not after the next try. */
static bool bypass(struct recorder *r, struct recorder_item *i)
{
    return r->o.durability == RECORDER_SYNC && !r->stats.store_ok &&
           !r->stopping && r->o.overload != RECORDER_DROP && can_spill(r) &&
           spill(r, i);
}

/* What becomes of a record that has ended. */
enum placed {
    PLACED,  /* it is in a queue, which tells when it is durable */
    SPILLED, /* it is in a segment, and that will do */
    DROPPED,
};

static enum placed end_spilled(struct recorder *r, struct recorder_item *i)
{
    gaps_end_call(r, i);
    if (r->o.durability != RECORDER_SYNC)
        return SPILLED;
    recorder_sync_later(r, i);
    return PLACED;
}

static enum placed place(struct recorder *r, struct recorder_item *i)
{
    struct err err;

    if (bypass(r, i))
        return end_spilled(r, i);
    if (has_room(r) || r->stopping) {
        if (r->o.durability == RECORDER_SPOOL &&
            spool_append(r->spool, i->kind, buf_slice(&i->bytes),
                         r->o.spool_bytes, false, &i->segment, &err) < 0)
            i->segment = 0;
        if (i->segment)
            gaps_end_call(r, i);
        append(r, i);
        return PLACED;
    }
    if (r->o.overload != RECORDER_DROP && can_spill(r) && spill(r, i))
        return end_spilled(r, i);
    if (recorder_withholds(r)) { /* as many as there are connections */
        append(r, i);
        return PLACED;
    }
    gaps_end_call(r, i);
    recorder_count_gap(r, GAP_OVERLOAD, i->time_us, i->bytes.len);
    return DROPPED;
}

static void submit(struct recorder *r, struct recorder_item *i)
{
    void (*done)(void *, bool) = i->done;
    void *ctx = i->ctx;
    enum placed placed;
    bool now;

    i->queued_ns = clock_mono_ns();
    if (r->o.durability != RECORDER_SYNC)
        i->done = NULL;
    now = !i->done;
    (void)pthread_mutex_lock(&r->lock);
    placed = place(r, i);
    (void)pthread_mutex_unlock(&r->lock);
    if (placed != PLACED) {
        if (placed == DROPPED && i->kind == KIND_EXCHANGE)
            intents_end(r->intents, i->id); /* it is in a gap, not lost */
        recorder_item_free(i);
    }
    if (done && (now || placed != PLACED))
        done(ctx, placed != DROPPED);
}

void recorder_submit(struct recorder *r, const struct wire_exchange *x,
                     void (*done)(void *ctx, bool kept), void *ctx)
{
    struct recorder_item *i = mem_zalloc(sizeof(*i));

    i->kind = KIND_EXCHANGE;
    i->time_us = x->time_us;
    i->done = done;
    i->ctx = ctx;
    (void)snprintf(i->id, sizeof(i->id), "%.*s", (int)x->id.n, x->id.p);
    i->unannounced = !intents_announced(i->id);
    wire_exchange_pack(x, &i->bytes);
    submit(r, i);
}

int recorder_feedback(struct recorder *r, struct slice id, struct slice json,
                      struct err *err)
{
    unsigned char raw[RECORDER_ID_CHARS / 2];
    struct store_outcome o = { 0 };
    struct wire_record w = { 0 };
    struct recorder_item *i;
    int rc;

    if (!crypto_unhex(id, raw, sizeof(raw)))
        return err_set(err, ERR_FORMAT,
                       "\"call\" is no id of a call: 32 hexadecimal digits");
    rc = wire_outcome_read(&w, json, &o, err);
    wire_record_release(&w);
    if (rc < 0)
        return rc;
    i = mem_zalloc(sizeof(*i));
    i->kind = KIND_FEEDBACK;
    i->time_us = clock_wall_us();
    crypto_hex(raw, sizeof(raw), i->id);
    buf_add(&i->bytes, i->id, RECORDER_ID_CHARS);
    buf_add_slice(&i->bytes, json);
    submit(r, i);
    return ERR_OK;
}

/* A spool that is meant to be used and is full is the last step before a loss,
 * whatever room the memory has. */
static bool is_full(const struct recorder *r)
{
    if (r->o.overload == RECORDER_SPILL && r->o.spool_bytes)
        return !can_spill(r);
    return !has_room(r);
}

void recorder_stats_read(struct recorder *r, struct recorder_stats *out)
{
    (void)pthread_mutex_lock(&r->lock);
    *out = r->stats;
    out->spool_bytes = spool_bytes(r->spool);
    out->segments = spool_segments(r->spool);
    out->full = is_full(r);
    out->dropped_ago_ms =
        r->dropped_ns ? (clock_mono_ns() - r->dropped_ns) / 1000000 : -1;
    (void)pthread_mutex_unlock(&r->lock);
}

/*
 * recorder_writer.c - the one thread that writes to the store
 *
 * It takes what is queued, up to a group, and commits it; what comes in the
 * meantime is the next group, so that groups grow with the load. A group that
 * fails is kept and tried again; when the queue has no room for what comes
 * behind, recorder.c spills. Segments are read back behind what is queued, and
 * at the latest then calls without an end are known to be lost.
 */
#include "recorder/recorder_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_NS INT64_C(20000000)
/* Who waits for durability should not wait for the longest of other writers:
 * what cannot be written soon goes to the spool, and is tried again. And a
 * proxy shares its machine: less memory than a command takes. */
#define BUSY "PRAGMA busy_timeout = 500; PRAGMA cache_size = -16384"
/* A queue that was so long leaves much memory that nobody uses. */
#define TRIM_BYTES ((size_t)16 << 20)
#define TRAIN_AFTER                                                            \
    256 /* calls between looks whether there is enough to learn from */

void recorder_call_key(const char *id, unsigned char key[RECORDER_KEY_BYTES])
{
    if (!crypto_unhex((struct slice){ id, RECORDER_ID_CHARS }, key,
                      RECORDER_KEY_BYTES))
        memset(key, 0, RECORDER_KEY_BYTES);
}

/* Sleep until there is work or a tick has passed; r->lock is held. */
static void nap(struct recorder *r, int64_t ns)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ns;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&r->work, &r->lock, &t);
}

/* Feedback that an earlier process took for calls still in segments. */
static int find_waiting(struct recorder *r, struct err *err)
{
    int64_t n;
    int rc = sql_one_int(store_sql(r->store), "SELECT count(*) FROM feedback",
                         0, &n, err);

    if (rc == ERR_OK)
        r->has_feedback = n > 0;
    return rc;
}

/* A store that could not be opened at first, or was given up. */
static int open_store(struct recorder *r, struct err *err)
{
    int rc = ERR_OK;

    if (!r->store) {
        rc = recorder_open_store(r, err);
        if (rc == ERR_OK)
            rc = store_lock(r->store, "proxy", err);
        if (rc < 0) {
            store_close(r->store);
            r->store = NULL;
            return rc;
        }
    }
    if (!r->packer) {
        r->packer = store_packer_new(r->store);
        r->parcel = store_parcel_new();
        rc = sql_exec(store_sql(r->store), BUSY, err);
        if (rc == ERR_OK)
            rc = find_waiting(r, err);
    }
    return rc;
}

/* Move up to a group from the queue; r->lock is held. */
static void take_group(struct recorder *r)
{
    r->has_grown |= r->stats.queue_bytes > TRIM_BYTES;
    while (r->first && r->group_count < GROUP_MAX) {
        struct recorder_item *i = r->first;

        r->first = i->next;
        if (!r->first)
            r->last = &r->first;
        i->next = NULL;
        *r->group_last = i;
        r->group_last = &i->next;
        r->group_count++;
    }
}

/* Fill a group from the spool; an empty one gets a record at least. Half of the
 * queue's memory remains for new calls, which otherwise went to the spool as
 * well, so that it never became empty. r->lock is held. */
static void read_back(struct recorder *r)
{
    struct err err;

    while (r->group_count < GROUP_MAX &&
           (!r->group_count || r->stats.queue_bytes < r->o.queue_bytes / 2)) {
        struct recorder_item *i = mem_zalloc(sizeof(*i));
        uint64_t damaged = 0;
        int rc = spool_next(r->spool, &i->kind, &i->bytes, &i->segment,
                            &damaged, &err);

        if (damaged)
            recorder_count_gap(r, GAP_DAMAGED, clock_wall_us(),
                               (size_t)damaged);
        if (rc <= 0) {
            recorder_item_free(i);
            if (damaged)
                continue;
            return;
        }
        *r->group_last = i;
        r->group_last = &i->next;
        r->group_count++;
        r->stats.queue_bytes += i->bytes.len;
        r->stats.queue_calls++;
        r->stats.replayed++;
    }
}

/* A store that is damaged is no fault of the record: it waits. */
int recorder_of_store(int rc)
{
    return rc == ERR_FORMAT || rc == ERR_UNSUPPORTED ? ERR_IO : rc;
}

static int add_call(struct recorder *r, const struct wire_exchange *x,
                    struct err *err)
{
    struct wire_record *w = &r->record;
    unsigned char key[RECORDER_KEY_BYTES];
    struct slice named = { (char *)key, sizeof(key) };
    bool added;
    int rc = wire_exchange_read(w, x, err);

    if (rc < 0)
        return rc;
    w->call.source = r->source;
    recorder_thread(r, w, x);
    recorder_call_key(x->id.p, key);
    rc = store_pack(r->packer, &w->call,
                    json_present(w->request) ? &w->json : NULL, w->request,
                    r->parcel, err);
    if (rc == ERR_OK)
        rc = store_parcel_add(r->store, r->parcel, named, &added, err);
    if (rc == ERR_OK && added && r->has_feedback)
        rc = recorder_apply_waiting(r, named, err);
    return recorder_of_store(rc);
}

/* ERR_FORMAT, ERR_LIMIT and ERR_UNSUPPORTED are the record's own fault. */
static int add_item(struct recorder *r, struct recorder_item *i,
                    struct err *err)
{
    struct wire_exchange x;
    int rc;

    if (i->kind == KIND_FEEDBACK)
        return recorder_add_feedback(r, i, err);
    rc = wire_exchange_unpack(&x, buf_slice(&i->bytes), err);
    if (rc == ERR_OK && x.id.n != RECORDER_ID_CHARS)
        rc = err_set(err, ERR_FORMAT, "an exchange without an id");
    if (rc < 0)
        return rc;
    memcpy(i->id, x.id.p, RECORDER_ID_CHARS);
    i->time_us = x.time_us;
    return add_call(r, &x, err);
}

static int add_gap(struct recorder *r, int which, const struct recorder_gap *g,
                   struct err *err)
{
    static const char *const reasons[GAPS] = { "overload", "unreadable",
                                               "damaged", "unannounced" };
    struct sql_stmt *q;
    int rc;

    if (!g->calls)
        return ERR_OK;
    rc = sql_get(store_sql(r->store),
                 "INSERT INTO gap(time, until, calls, bytes, reason) "
                 "VALUES(?, ?, ?, ?, ?)",
                 &q, err);
    if (rc < 0)
        return rc;
    sql_bind_int(q, 1, g->from_us);
    sql_bind_int(q, 2, g->until_us);
    sql_bind_int(q, 3, g->calls);
    sql_bind_int(q, 4, g->bytes);
    sql_bind_cstr(q, 5, reasons[which]);
    return sql_run(q, err);
}

/* A call that began and whose end nobody wrote. */
static int add_lost(struct recorder *r, const struct intent *l, struct err *err)
{
    struct store_call c = store_call_none();
    unsigned char key[RECORDER_KEY_BYTES];
    char id[RECORDER_ID_CHARS + 1];
    struct buf extra = { .data = NULL };
    struct json_writer w;
    bool added;
    int rc;

    crypto_hex(l->id, sizeof(l->id), id);
    recorder_call_key(id, key);
    json_writer_init(&w, &extra, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "target", l->target);
    json_end_object(&w);
    c.key = (struct slice){ (char *)key, sizeof(key) };
    c.source = r->source;
    c.time_us = l->time_us;
    c.upstream = slice_of(l->upstream);
    c.dialect = slice_of("unknown");
    c.status = slice_of("lost");
    c.extra = buf_slice(&extra);
    rc = store_call_add(r->store, &c, &added, err);
    buf_release(&extra);
    if (rc == ERR_OK && added) {
        (void)pthread_mutex_lock(&r->lock);
        r->stats.lost++;
        (void)pthread_mutex_unlock(&r->lock);
    }
    return rc;
}

/* After all segments: what stands in one is not lost. */
static int add_all_lost(struct recorder *r, struct err *err)
{
    int rc = sql_begin(store_sql(r->store), err);

    for (size_t i = 0; rc == ERR_OK && i < intents_lost_count(r->intents); i++)
        rc = add_lost(r, intents_lost(r->intents, i), err);
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(r->store), err);
    if (rc < 0) {
        sql_rollback(store_sql(r->store));
        return rc;
    }
    intents_forget_lost(r->intents);
    r->has_lost = false;
    return ERR_OK;
}

/* Mark what cannot be read; it is not tried again. */
static int add_group(struct recorder *r, struct recorder_gap *unreadable,
                     struct err *err)
{
    struct err why;
    int rc = ERR_OK;

    memset(unreadable, 0, sizeof(*unreadable));
    for (struct recorder_item *i = r->group; rc == ERR_OK && i; i = i->next) {
        rc = add_item(r, i, &why);
        if (rc == ERR_FORMAT || rc == ERR_LIMIT || rc == ERR_UNSUPPORTED) {
            recorder_widen_gap(unreadable, i->time_us, i->bytes.len);
            rc = ERR_OK;
        }
    }
    if (rc < 0)
        *err = why;
    return rc;
}

/* What slmctl status tells of collecting. */
static int note_stage(struct recorder *r, struct err *err)
{
    int64_t high;
    int rc = sql_one_int(store_sql(r->store), "SELECT max(id) FROM call", 0,
                         &high, err);

    return rc < 0 ? rc
                  : store_stage_set(r->store, "collect", high, NULL, NULL, err);
}

static int write_group(struct recorder *r, struct recorder_gap *unreadable,
                       struct err *err)
{
    struct recorder_gap gaps[GAPS];
    int rc = open_store(r, err);

    if (rc == ERR_OK)
        rc = sql_begin(store_sql(r->store), err);
    if (rc == ERR_OK && !r->source)
        rc = store_source(r->store, "proxy", &r->source, err);
    if (rc == ERR_OK)
        rc = add_group(r, unreadable, err);
    (void)pthread_mutex_lock(&r->lock);
    memcpy(gaps, r->gaps, sizeof(gaps));
    (void)pthread_mutex_unlock(&r->lock);
    for (int i = 0; rc == ERR_OK && i < GAPS; i++)
        rc = add_gap(r, i, &gaps[i], err);
    if (rc == ERR_OK)
        rc = add_gap(r, GAP_UNREADABLE, unreadable, err);
    if (rc == ERR_OK)
        rc = note_stage(r, err);
    if (rc == ERR_OK)
        rc = sql_commit(store_sql(r->store), err);
    if (rc < 0) {
        if (r->store)
            sql_rollback(store_sql(r->store));
        r->source = 0; /* its row may have gone with the rest */
        return rc;
    }
    (void)pthread_mutex_lock(&r->lock);
    for (int i = 0; i < GAPS; i++)
        if (r->gaps[i].calls == gaps[i].calls) {
            memset(&r->gaps[i], 0, sizeof(r->gaps[i]));
        } else {
            r->gaps[i].calls -= gaps[i].calls;
            r->gaps[i].bytes -= gaps[i].bytes;
        }
    (void)pthread_mutex_unlock(&r->lock);
    return ERR_OK;
}

/* The group is where it belongs, `kept` or not: everyone is told. */
static void end_group(struct recorder *r)
{
    struct recorder_item *next;

    for (struct recorder_item *i = r->group; i; i = next) {
        next = i->next;
        if (i->kind == KIND_EXCHANGE)
            intents_end(r->intents, i->id);
        (void)pthread_mutex_lock(&r->lock);
        r->stats.queue_bytes -= i->bytes.len;
        r->stats.queue_calls--;
        gaps_end_call(r, i);
        if (i->segment)
            spool_release(r->spool, i->segment);
        (void)pthread_mutex_unlock(&r->lock);
        if (i->done)
            i->done(i->ctx, true);
        recorder_item_free(i);
    }
    r->group = NULL;
    r->group_last = &r->group;
    r->group_count = 0;
}

static uint64_t wal_bytes(const struct recorder *r)
{
    char *path = mem_printf("%s/store.db-wal", r->dir);
    struct stat st;
    uint64_t n = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;

    free(path);
    return n;
}

static void note(struct recorder *r, int rc, const struct err *err,
                 const struct recorder_gap *unreadable, int64_t us)
{
    (void)pthread_mutex_lock(&r->lock);
    r->stats.store_ok = rc == ERR_OK;
    if (rc == ERR_OK) {
        r->stuck = false;
        r->stats.written += r->group_count - (size_t)unreadable->calls;
        r->stats.dropped += (uint64_t)unreadable->calls;
        r->stats.commits++;
        r->stats.commit_us_sum += us;
        if (us > r->stats.commit_us_max)
            r->stats.commit_us_max = us;
        r->stats.error[0] = '\0';
        r->stats.wal_bytes = wal_bytes(r);
    } else {
        r->stats.failures++;
        (void)snprintf(r->stats.error, sizeof(r->stats.error), "%.255s",
                       err->msg);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

/* Neither store nor disk take it: its client does not wait for better times
 * unless that was asked for, the record does. r->lock is held, and let go
 * meanwhile. */
static void tell_waiting(struct recorder *r, struct recorder_item *i)
{
    void (*done)(void *, bool) = i->done;

    r->stuck = true;
    if (recorder_withholds(r))
        return;
    r->stats.unsynced++;
    i->done = NULL;
    (void)pthread_mutex_unlock(&r->lock);
    done(i->ctx, false);
    (void)pthread_mutex_lock(&r->lock);
}

/* The store takes nothing now: whoever waits for durability gets it from the
 * disk, and so does everything when the process is to end. */
static void save_group(struct recorder *r, bool all)
{
    struct recorder_item *i, **link = &r->group;

    (void)pthread_mutex_lock(&r->lock);
    while ((i = *link)) {
        struct err err;
        bool kept;

        if (!all && !i->done) {
            link = &i->next;
            continue;
        }
        kept = i->segment ||
               spool_append(r->spool, i->kind, buf_slice(&i->bytes), UINT64_MAX,
                            true, &i->segment, &err) == 0;
        if (!kept && !all) {
            tell_waiting(r, i);
            link = &i->next;
            continue;
        }
        gaps_end_call(r, i);
        if (!kept) {
            recorder_count_gap(r, GAP_OVERLOAD, i->time_us, i->bytes.len);
            intents_end(r->intents, i->id);
        }
        r->stuck &= !kept;
        *link = i->next;
        r->group_count--;
        r->stats.queue_bytes -= i->bytes.len;
        r->stats.queue_calls--;
        r->stats.spilled += kept;
        if (kept) {
            recorder_sync_later(r, i);
            continue;
        }
        (void)pthread_mutex_unlock(&r->lock);
        if (i->done)
            i->done(i->ctx, false);
        recorder_item_free(i);
        (void)pthread_mutex_lock(&r->lock);
    }
    r->group_last = link;
    if (r->group_count >= GROUP_MAX) /* what is queued does not get in */
        for (i = r->first; i; i = i->next)
            if (i->done)
                tell_waiting(r, i);
    (void)pthread_mutex_unlock(&r->lock);
}

static void flush_group(struct recorder *r)
{
    int64_t start = clock_mono_ns();
    struct recorder_gap unreadable;
    struct err err;
    int rc;

    memset(&unreadable, 0, sizeof(unreadable));
    rc = write_group(r, &unreadable, &err);
    note(r, rc, &err, &unreadable, (clock_mono_ns() - start) / 1000);
    if (rc == ERR_OK) {
        end_group(r);
        return;
    }
    r->retry_ns = clock_mono_ns() + RETRY_NS;
    save_group(r, false);
}

/* A store that is new learns from its first calls, later from more. */
static void learn(struct recorder *r)
{
    struct err err;

    if (!r->store || r->learnt_at > r->stats.written)
        return;
    r->learnt_at = r->stats.written + TRAIN_AFTER;
    if (r->stats.written >= TRAIN_AFTER &&
        store_train(r->store, NULL, 0, &err) == ERR_OK)
        r->may_repack = true;
}

/* Calls come before what can be done at any time. */
static bool is_busy(struct recorder *r)
{
    bool busy;

    (void)pthread_mutex_lock(&r->lock);
    busy = r->group_count || r->stats.queue_calls >= GROUP_SOON ||
           spool_has_unread(r->spool);
    (void)pthread_mutex_unlock(&r->lock);
    return busy;
}

static void repack(struct recorder *r)
{
    struct err err;

    if (!r->may_repack || !r->store || is_busy(r))
        return;
    if (store_repack(r->store, &r->may_repack, &err) < 0)
        r->may_repack = false;
}

/* Whether what is queued may wait for more; r->lock is held. What stands in
 * the spool waits no longer, or calls that keep coming would keep it there. */
static bool may_wait(const struct recorder *r)
{
    return !r->stopping && r->o.commit_ms > 0 && r->first &&
           r->o.durability != RECORDER_SYNC && !spool_has_unread(r->spool) &&
           r->stats.queue_calls < GROUP_SOON &&
           clock_mono_ns() - r->first->queued_ns <
               r->o.commit_ms * INT64_C(1000000);
}

/* Wait for something to do; false: stop, there is nothing left or no time. */
static bool gather(struct recorder *r)
{
    bool goes_on = true;

    (void)pthread_mutex_lock(&r->lock);
    if (!r->group && !r->first && !r->stopping && !spool_has_unread(r->spool) &&
        !recorder_has_gaps(r))
        nap(r, TICK_NS);
    if (may_wait(r)) {
        nap(r, TICK_NS / 2);
    } else {
        /* Whoever came during the wait is part of the next try. */
        if (clock_mono_ns() < r->retry_ns)
            nap(r, TICK_NS);
        if (clock_mono_ns() >= r->retry_ns) {
            take_group(r);
            read_back(r);
        }
    }
    if (r->stopping && ((!r->group && !r->first && !recorder_has_gaps(r) &&
                         !spool_has_unread(r->spool)) ||
                        clock_mono_ns() >= r->stop_by_ns))
        goes_on = false;
    (void)pthread_mutex_unlock(&r->lock);
    return goes_on;
}

/* Whether there is something to write, even if it is only a gap. */
static bool has_work(struct recorder *r, bool *stopping)
{
    bool has;

    (void)pthread_mutex_lock(&r->lock);
    has = r->group || recorder_has_gaps(r);
    *stopping = r->stopping;
    (void)pthread_mutex_unlock(&r->lock);
    return has;
}

/* A call that may stand in a segment is not lost: in one that cannot be read
 * here, or has not been read yet because new calls are waited for. */
static bool may_tell_lost(struct recorder *r)
{
    bool may;

    (void)pthread_mutex_lock(&r->lock);
    may = r->has_lost && !spool_has_foreign(r->spool) &&
          !spool_has_unread(r->spool);
    (void)pthread_mutex_unlock(&r->lock);
    return may;
}

/* Nothing is queued: give memory back, open a store that could not be opened
 * before, and tell of calls that earlier processes lost. */
static void be_idle(struct recorder *r)
{
    struct recorder_gap none;
    struct err err;
    int rc;

    if (r->has_grown)
        mem_trim();
    r->has_grown = false;
    if (r->store && !may_tell_lost(r))
        return;
    memset(&none, 0, sizeof(none));
    rc = open_store(r, &err);
    if (rc == ERR_OK && may_tell_lost(r))
        rc = add_all_lost(r, &err);
    note(r, rc, &err, &none, 0);
    if (rc < 0)
        r->retry_ns = clock_mono_ns() + RETRY_NS;
}

void *recorder_write(void *recorder)
{
    struct recorder *r = recorder;
    bool stopping;

    while (gather(r)) {
        if (clock_mono_ns() < r->retry_ns)
            continue;
        if (has_work(r, &stopping))
            flush_group(r);
        else if (!stopping)
            be_idle(r);
        learn(r);
        repack(r);
    }
    (void)pthread_mutex_lock(&r->lock);
    while (r->first) {
        take_group(r);
        (void)pthread_mutex_unlock(&r->lock);
        save_group(r, true);
        (void)pthread_mutex_lock(&r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
    save_group(r, true);
    return NULL;
}

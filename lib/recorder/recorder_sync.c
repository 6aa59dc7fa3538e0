/*
 * recorder_sync.c - the thread that waits for the disk
 *
 * Who waits for durability of a record in a segment is told here: one
 * fdatasync for all that came during the one before. It holds no lock
 * meanwhile, so a disk that takes seconds holds up nobody else.
 */
#include "recorder/recorder_private.h"

#include "base/clock.h"

#include <time.h>

void recorder_sync_later(struct recorder *r, struct recorder_item *i)
{
    buf_release(&i->bytes);
    i->next = NULL;
    *r->sync_last = i;
    r->sync_last = &i->next;
    (void)pthread_cond_signal(&r->sync_work);
}

/* Their segments come in the order in which they were written. */
static bool sync_all(struct recorder *r, const struct recorder_item *list)
{
    uint64_t done = 0;
    struct err err;

    for (const struct recorder_item *i = list; i; i = i->next) {
        if (i->segment == done)
            continue;
        if (spool_sync(r->spool, i->segment, &err) < 0)
            return false;
        done = i->segment;
    }
    return true;
}

static void tell_all(struct recorder_item *list, bool kept)
{
    struct recorder_item *next;

    for (struct recorder_item *i = list; i; i = next) {
        next = i->next;
        if (i->done)
            i->done(i->ctx, kept);
        recorder_item_free(i);
    }
}

/* In front of what has come since; r->lock is held. */
static void put_back(struct recorder *r, struct recorder_item *list)
{
    struct recorder_item **last = &list->next;

    while (*last)
        last = &(*last)->next;
    *last = r->to_sync;
    if (!r->to_sync)
        r->sync_last = last;
    r->to_sync = list;
}

static void nap(void)
{
    struct timespec t = { .tv_nsec = RETRY_NS };

    (void)nanosleep(&t, NULL);
}

/* The disk refuses: withheld answers wait for better times, unless there are
 * none to come. r->lock is held, and let go meanwhile. */
static void fail(struct recorder *r, struct recorder_item *list)
{
    bool waits = recorder_withholds(r) && !r->sync_stopping;

    r->stuck = true;
    for (struct recorder_item *i = list; i && !waits; i = i->next)
        r->stats.unsynced += i->done != NULL;
    if (waits)
        put_back(r, list);
    (void)pthread_mutex_unlock(&r->lock);
    if (waits)
        nap();
    else
        tell_all(list, false);
    (void)pthread_mutex_lock(&r->lock);
}

void *recorder_sync(void *recorder)
{
    struct recorder *r = recorder;

    (void)pthread_mutex_lock(&r->lock);
    for (;;) {
        struct recorder_item *list;
        bool kept;

        while (!r->to_sync && !r->sync_stopping)
            (void)pthread_cond_wait(&r->sync_work, &r->lock);
        if (!r->to_sync)
            break;
        list = r->to_sync;
        r->to_sync = NULL;
        r->sync_last = &r->to_sync;
        (void)pthread_mutex_unlock(&r->lock);
        kept = sync_all(r, list);
        if (kept)
            tell_all(list, true);
        (void)pthread_mutex_lock(&r->lock);
        if (kept)
            r->stuck = false;
        else
            fail(r, list);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

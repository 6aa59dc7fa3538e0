/*
 * recorder.h - finished exchanges into the store, without anyone waiting
 *
 * The proxy's workers hand over what went by and go on. A few threads turn
 * exchanges into calls (wire), one writes them in groups. Behind them stand,
 * in this order: a queue in memory, bounded in bytes; segments on disk that
 * are read back when there is room, also by the next process (length, CRC,
 * sealed with the store's key); and a policy for when neither has room. Every
 * call was announced in a log of intents before it went upstream, so one whose
 * end nobody wrote becomes a call with status lost, and what was dropped
 * becomes a row in the table gap: never silence.
 * May use: base json crypto sql codec store wire.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "crypto/crypto.h"
#include "store/store.h"
#include "wire/wire.h"

enum recorder_durability {
    /* `done` after the commit that has the call, or when it is in a segment
     * that was synced. Where neither has room: with RECORDER_REJECT and
     * RECORDER_BLOCK when one has room again, else at once, with false. */
    RECORDER_SYNC,
    RECORDER_BATCH, /* done at once; a kill loses what is in memory, as lost */
    RECORDER_SPOOL, /* appended to a segment first: survives a kill */
};

enum recorder_overload {
    RECORDER_SPILL,  /* to segments; when they are full as well: drop */
    RECORDER_DROP,   /* leave the record out, write a gap */
    RECORDER_REJECT, /* recorder_begin refuses new calls */
    RECORDER_BLOCK,  /* recorder_begin says wait */
};

#define RECORDER_ID_CHARS 32 /* hexadecimal digits of a call's id */

struct recorder_options {
    const char *store; /* directory; made if absent */

    const struct store_access *access; /* see store.h; NULL: plain */
    const struct crypto_key *key;      /* of segments; NULL: plain ones */
    enum recorder_durability durability;
    enum recorder_overload overload;
    size_t queue_bytes;   /* in memory: exchanges not yet written */
    uint64_t spool_bytes; /* on disk, all segments together */
    int64_t commit_ms;    /* a group is committed at the latest then */
    bool keep_raw;        /* store streams as they came as well */
};

struct recorder;
/* Reads back segments and intents that an earlier process left. A store that
 * cannot be opened now (locked, disk full) is no error: it is tried again, and
 * recorder_stats.store_ok is false meanwhile. ERR_BUSY: another collector
 * writes to this store. */
MUST_CHECK int recorder_open(const struct recorder_options *o,
                             struct recorder **out, struct err *err);
/* Takes over what may change while it runs: overload, queue_bytes,
 * spool_bytes, commit_ms. */
void recorder_reload(struct recorder *r, const struct recorder_options *o);
/* Writes what is queued, for at most wait_ms, spools the rest, ends. */
MUST_CHECK int recorder_close(struct recorder *r, int64_t wait_ms,
                              struct err *err);

/* A call begins: id gets its digits and a NUL, and the intent is in the log
 * (one write(2), no sync). time_us: wall time. ERR_LIMIT: refused by policy;
 * ERR_BUSY: wait and ask again (RECORDER_BLOCK). Any thread. */
MUST_CHECK int recorder_begin(struct recorder *r, int64_t time_us,
                              struct slice upstream, struct slice target,
                              char id[RECORDER_ID_CHARS + 1], struct err *err);
/* It ended. The exchange is copied. done (may be NULL) is called once, from
 * another thread or before this returns: true when the call is as durable as
 * was asked for, false if it is not, or was dropped. Never waits for the
 * store. */
void recorder_submit(struct recorder *r, const struct wire_exchange *x,
                     void (*done)(void *ctx, bool kept), void *ctx);
/* What came back about a call with this id, a JSON object with reward, label
 * or answer; kept with the same care. ERR_FORMAT: no such object. */
MUST_CHECK int recorder_feedback(struct recorder *r, struct slice id,
                                 struct slice json, struct err *err);

/* For /metrics and /readyz. Counters since start. */
struct recorder_stats {
    uint64_t begun, written, lost, dropped, refused, spilled, replayed;
    uint64_t unannounced;       /* begun without room for their intents */
    uint64_t unsynced;          /* with RECORDER_SYNC: told before they were */
    uint64_t commits, failures; /* of commits */
    size_t queue_bytes, queue_calls; /* now */
    uint64_t spool_bytes, segments;  /* now */
    int64_t commit_us_max, commit_us_sum;
    uint64_t wal_bytes;
    bool full;              /* what ends now may be dropped, or is refused */
    int64_t dropped_ago_ms; /* the last for want of room; -1: none yet */
    bool store_ok;
    char error[256]; /* of the store, if it is not ok */
};
void recorder_stats_read(struct recorder *r, struct recorder_stats *out);

#endif

/* recorder_private.h - what the files of this module share; nobody else
 * includes it */
#ifndef RECORDER_PRIVATE_H
#define RECORDER_PRIVATE_H

#include "recorder/recorder.h"

#include "base/map.h"

#include <pthread.h>

#define SEGMENT_BYTES ((uint64_t)16 << 20) /* then the next one begins */
#define RECORD_MAX ((size_t)512 << 20)     /* of one record in a segment */
#define GROUP_MAX 1024                     /* records of one transaction */
#define GROUP_SOON 128                     /* so many are not waited with */
#define RETRY_NS INT64_C(250000000)        /* after a store that failed */

enum recorder_kind { KIND_EXCHANGE = 'X', KIND_FEEDBACK = 'F' };

/* A record on its way to the store. */
struct recorder_item {
    struct recorder_item *next;
    enum recorder_kind kind;
    struct buf bytes;
    int64_t queued_ns, time_us;
    uint64_t segment; /* that has a copy; 0: none */
    bool unannounced; /* and not known to the disk in another way either */
    char id[RECORDER_ID_CHARS + 1];
    void (*done)(void *ctx, bool kept);
    void *ctx;
};
void recorder_item_free(struct recorder_item *i);

/* Records on disk. All calls under one lock of the caller's. */
struct spool;
/* key: of records that are written; NULL: plain. seal_to, may be NULL: who has
 * its private key reads them too, and the next process does not; private_key:
 * reads what such processes have left. The keys live as long as the spool. */
struct spool_keys {
    const struct crypto_key *key, *seal_to, *private_key;
};
MUST_CHECK int spool_open(const char *dir, const struct spool_keys *keys,
                          struct spool **out, struct err *err);
void spool_close(struct spool *s); /* NULL is fine */
/* Append a record; *segment names where it stands. unread: it is in no queue
 * and must be read back. */
MUST_CHECK int spool_append(struct spool *s, enum recorder_kind kind,
                            struct slice bytes, uint64_t max_bytes, bool unread,
                            uint64_t *segment, struct err *err);
/* What has been appended to a segment is on the disk, or has reached the store.
 * Without the lock: it lasts as long as the disk takes. One thread at a time.
 */
MUST_CHECK int spool_sync(struct spool *s, uint64_t segment, struct err *err);
/* A record that has a copy there has reached the store. */
void spool_release(struct spool *s, uint64_t segment);
/* The next record that must be read back: 1, or 0 if there is none. *segment
 * is to be released when the record has reached the store. A damaged tail is
 * skipped; *damaged counts its bytes. A segment that another key sealed stays
 * as it is for whoever has that key. */
MUST_CHECK int spool_next(struct spool *s, enum recorder_kind *kind,
                          struct buf *out, uint64_t *segment, uint64_t *damaged,
                          struct err *err);
bool spool_has_unread(const struct spool *s);
/* Segments that were found to be sealed with another key. */
bool spool_has_foreign(const struct spool *s);
uint64_t spool_bytes(const struct spool *s);
size_t spool_segments(const struct spool *s);

/* The log of calls that have begun; its own lock. */
struct intents;
struct intent {
    unsigned char id[RECORDER_ID_CHARS / 2];
    int64_t time_us;
    char upstream[25], target[77]; /* cut */
};
MUST_CHECK int intents_open(const char *dir, struct intents **out,
                            struct err *err);
void intents_close(struct intents *n); /* NULL is fine */
/* id is given also where nothing could be written; see intents_announced. */
MUST_CHECK int intents_begin(struct intents *n, int64_t time_us,
                             struct slice upstream, struct slice target,
                             char id[RECORDER_ID_CHARS + 1], struct err *err);
/* Whether an id is of a call that was written down: a kill would not hide it.
 */
bool intents_announced(const char *id);
/* Its end is in the store, or in a gap. Written at once, and needs no room. */
void intents_end(struct intents *n, const char *id);
/* What earlier processes began and did not end, and then forgotten. */
size_t intents_lost_count(const struct intents *n);
const struct intent *intents_lost(const struct intents *n, size_t i);
void intents_forget_lost(struct intents *n);

/* Records that were left out since the last gap row. */
struct recorder_gap {
    int64_t from_us, until_us, calls, bytes;
};
enum {
    GAP_OVERLOAD,
    GAP_UNREADABLE,
    GAP_DAMAGED,
    GAP_UNANNOUNCED,
    GAPS,
    RUNNING = GAPS, /* calls that a kill now would make unannounced ones */
    GAPS_KEPT
};

struct recorder {
    struct recorder_options o;
    char *dir;
    struct store_access access;
    char *key_file;
    struct crypto_key *key; /* locked; NULL: segments are plain */
    pthread_mutex_t lock;   /* of all below but the writer's own */
    pthread_cond_t work;
    pthread_t thread;
    bool started, stopping;
    pthread_t syncer;
    pthread_cond_t sync_work;
    bool syncer_started, sync_stopping;
    struct recorder_item *to_sync, **sync_last;
    int64_t stop_by_ns;
    struct recorder_item *first, **last;
    struct spool *spool;
    struct intents *intents;
    struct recorder_gap *gaps; /* GAPS_KEPT of them */
    bool gaps_mapped;
    bool stuck; /* neither store nor spool took a record that is waited for */
    struct recorder_stats stats;
    int64_t dropped_ns; /* the last for want of room; 0: none */
    /* The writer's. */
    struct store *store;
    struct store_packer *packer;
    struct store_parcel *parcel;
    struct wire_record record;
    struct recorder_item *group, **group_last;
    size_t group_count;
    int64_t source, retry_ns;
    bool has_lost, has_feedback, may_repack, has_grown;
    uint64_t learnt_at;        /* calls written when it is looked for next */
    struct map *conversations; /* of message lists, see recorder_thread.c */
    struct buf names;
};

MUST_CHECK int recorder_open_store(struct recorder *r, struct err *err);

/* recorder_gaps.c: r->gaps, with what an earlier process could not write. */
void gaps_open(struct recorder *r);
void gaps_close(struct recorder *r);
bool recorder_has_gaps(const struct recorder *r);

/* A call that was not announced begins; its record has a better place, or a
 * gap, than memory. Under the lock. */
void gaps_begin_call(struct recorder *r, int64_t time_us);
void gaps_end_call(struct recorder *r, struct recorder_item *i);

void *recorder_write(void *recorder);

/* recorder_sync.c */
void *recorder_sync(void *recorder);
/* A record that stands in i->segment and is to be there for good: its `done` is
 * called then. Takes it; under the lock. */
void recorder_sync_later(struct recorder *r, struct recorder_item *i);
/* The key of a call: the bytes of the id that its client was told. */
#define RECORDER_KEY_BYTES (RECORDER_ID_CHARS / 2)
void recorder_call_key(const char *id, unsigned char key[RECORDER_KEY_BYTES]);
/* Under the lock: whether nobody is to be told of what is in memory alone. */
bool recorder_withholds(const struct recorder *r);
void recorder_widen_gap(struct recorder_gap *g, int64_t time_us, size_t bytes);
/* Under the lock. */
void recorder_count_gap(struct recorder *r, int which, int64_t time_us,
                        size_t bytes);
/* What a failure of the store means for a record. */
int recorder_of_store(int rc);
/* Inside the writer's transaction. */
MUST_CHECK int recorder_add_feedback(struct recorder *r,
                                     struct recorder_item *i, struct err *err);
MUST_CHECK int recorder_apply_waiting(struct recorder *r, struct slice key,
                                      struct err *err);
/* Says which conversation an exchange belongs to, if its client did not. */
void recorder_thread(struct recorder *r, struct wire_record *w,
                     const struct wire_exchange *x);

#endif

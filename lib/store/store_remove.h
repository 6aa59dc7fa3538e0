/* store_remove.h - what prune and erase share; nobody outside this module
 * includes it */
#ifndef STORE_REMOVE_H
#define STORE_REMOVE_H

#include "store/store_private.h"

#define STORE_TURN_NS                                                          \
    INT64_C(20000000) /* of one transaction, commit included */

/* A text of as many bytes: the row keeps its place. When rows are deleted
 * SQLite moves others, and copies of what has moved stay in pages. */
#define STORE_BLANK(column)                                                    \
#column " = CASE WHEN " #column " NOTNULL THEN substr(hex(zeroblob("       \
            "length(CAST(" #column " AS BLOB)))), 1, "                         \
            "length(CAST(" #column " AS BLOB))) END"

struct store_ids {
    int64_t *id;
    size_t count, cap;
};
void store_ids_add(struct store_ids *l, int64_t id);
void store_ids_release(struct store_ids *l);

struct store_remover {
    struct store *store;
    const char *reason;
    struct store_removed *removed;
    struct store_graph *graph;
    struct store_ledger_keys keys;
    int (*step)(struct store_remover *r, int64_t call, struct err *err);
};

/* Locks out who works with examples, and sets the connection up. The end is
 * due also when the begin failed; *locks is for it. */
MUST_CHECK int store_remove_begin(struct store *s, size_t *locks,
                                  struct err *err);
void store_remove_end(struct store *s, size_t locks);
/* Those that are gone already are passed over. erase: what is deleted is
 * overwritten in its place first. */
MUST_CHECK int store_remove_calls(struct store *s,
                                  const struct store_ids *calls, bool erase,
                                  const struct progress *progress,
                                  struct store_removed *removed,
                                  struct err *err);
/* Of all calls that are gone by now. */
MUST_CHECK int store_remove_decisions(struct store *s, bool erase,
                                      struct err *err);
/* Pieces, messages and origins that nothing refers to. */
MUST_CHECK int store_sweep(struct store *s, bool erase,
                           const struct progress *progress,
                           struct store_removed *removed, struct err *err);
/* Pieces are packed without what the dictionaries of today have learnt: a new
 * one is learnt from what is there, everything is packed again and the
 * earlier ones are deleted. */
MUST_CHECK int store_relearn(struct store *s, const struct progress *progress,
                             struct err *err);
/* A setting that is a number, at least `value` from now on. In a
 * transaction. */
MUST_CHECK int store_floor_raise(struct store *s, const char *name,
                                 int64_t value, struct err *err);
/* Inside a transaction that removes ids others may have remembered. */
MUST_CHECK int store_epoch_bump(struct store *s, struct err *err);
/* Free pages go back to the file system, the write-ahead file to 0 bytes; cut
 * false: somebody reads from it all the time. */
MUST_CHECK int store_release_pages(struct store *s, bool *cut, struct err *err);
/* Of the pages that hold something. */
MUST_CHECK int store_used_bytes(struct store *s, int64_t *out, struct err *err);
/* A transaction of steps that is short: first (may be NULL), then step while
 * next says that there is more and time is left; then others get their
 * turn. */
struct store_turn {
    int (*first)(void *ctx, struct err *err);
    bool (*next)(void *ctx);
    int (*step)(void *ctx, struct err *err);
    void *ctx;
};
MUST_CHECK int store_turn_take(struct store *s, const struct store_turn *t,
                               struct err *err);

#endif

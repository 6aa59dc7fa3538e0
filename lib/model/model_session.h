/*
 * model_session.h - private to lib/model: sequences in slots, adapters' parts
 *
 * A slot is free, runs a sequence, or keeps the state that one left. What a
 * kept state may serve is decided by content alone: the adapter's hash, the
 * salt and the token ids, never a name or a number.
 */
#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include "model/model_mixer.h"

#define SESSION_PASS_ROWS 1024

/* One adapter's part of one linear layer; rank 0: none. */
struct model_bank_part {
    size_t rank;
    float scale;
    struct compute_span a, b;
    struct compute_span gain; /* DoRA's, else absent */
};
struct model_bank_adapter {
    char *name;                    /* the directory */
    struct model_bank_part *parts; /* by index of the layer */
    unsigned char hash[MODEL_HASH_BYTES];
};
/* Adapter i from 1; NULL for 0, and without a bank. */
const struct model_bank_adapter *model_bank_at(const struct model_bank *b,
                                               size_t i);

/* What two sequences must have in common for one to use the other's rows. */
struct session_key {
    unsigned char adapter[MODEL_HASH_BYTES]; /* zero: the base */
    uint64_t salt;
};

struct session_slot {
    enum { SLOT_FREE, SLOT_KEPT, SLOT_RUNS } state;
    bool pinned; /* a prefix: kept at its end, whatever comes */
    struct session_key key;
    int32_t *ids;                 /* the prompt, then what followed */
    size_t prompt, known;         /* ids of the prompt, and all */
    size_t limit;                 /* that known may reach */
    size_t past;                  /* rows in the cache */
    size_t length;                /* that they were turned for */
    size_t rows, group;           /* of this pass; SIZE_MAX: not in it */
    uint64_t begun, used, served; /* by the session's clock */
    const struct model_bank *bank;
    size_t adapter;
    struct model_ask ask;
    int64_t form; /* the form's state */
};

struct model_session {
    struct model *m;
    size_t slot_count, capacity, pass_rows;
    const struct model_bank *bank;
    uint64_t salt, clock;
    bool keeps;
    bool cuts; /* a state at fewer positions is the first part of it */
    struct session_slot *slots;
    struct compute_span (*states)[MODEL_MAX_STATES]; /* by mixer */
    struct compute_span logits, best, logp;
    /* Host arrays of a pass. */
    int32_t *ids, *positions, *starts, *past, *slot_of, *index;
    struct session_slot **order; /* that run, as they stand in the pass */
    struct model_groups groups;
    /* Of choosing: logits as they are and with penalties and forms. */
    float *own, *row, *best_logp;
    int32_t *best_ids;
    uint8_t *seen; /* by id, for the penalty */
    int32_t top_ids[MODEL_SESSION_TOP];
    float top_logp[MODEL_SESSION_TOP];
    struct model_session_stats stats;
};

/* model_cache.c. Slots from the memory that there may be. */
MUST_CHECK int session_cache_alloc(struct model_session *s, size_t bytes,
                                   size_t slots, struct err *err);
void session_cache_release(struct model_session *s);
struct model_cached session_cache_shape(const struct model_session *s);
/* Zeros: what is not finite would spoil who comes next, on a device that
 * multiplies what it masks by zero. */
void session_cache_clear(struct model_session *s, size_t slot);
/* A slot for a prompt of n ids, with as many rows of it as can be had: *past.
 * SIZE_MAX: none is free. Copies rows of slots that are needed as they are. */
size_t session_cache_place(struct model_session *s,
                           const struct session_key *key, const int32_t *ids,
                           size_t n, size_t *past);

/* model_choose.c. The next id of the sequence in `slot` whose logits are row
 * `row` of s->logits. Greedy ones are in best_ids already. */
bool session_choose_on_host(const struct session_slot *q);
MUST_CHECK int session_choose(struct model_session *s, struct session_slot *q,
                              size_t row, struct model_token *out,
                              struct err *err);
bool session_is_stop(const struct model *m, const struct model_sampling *opt,
                     int32_t id);
/* The text is complete and no token may follow. */
bool session_form_is_done(const struct session_slot *q);

/* model_session.c: computes n ids and keeps them, pinned, for every prompt
 * that begins so. */
MUST_CHECK int session_prefix(struct model_session *s, const int32_t *ids,
                              size_t n, struct err *err);

#endif

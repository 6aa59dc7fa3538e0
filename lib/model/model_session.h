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
    int32_t *ids;              /* the prompt, then what followed */
    size_t prompt, known;      /* ids of the prompt, and all */
    size_t limit;              /* that known may reach */
    size_t past;               /* rows in the cache */
    struct session_slot *base; /* has the first of them; NULL: none has */
    size_t shared;             /* that it has */
    size_t users;              /* slots whose base it is; it has none then */
    /* Computes the first `awaits` rows, which this one waits for; its begun
     * then. NULL: it waits for nobody. */
    struct session_slot *leader;
    size_t awaits;
    uint64_t leader_begun;
    size_t length;                /* that they were turned for */
    size_t save;                  /* rows that are to be written; 0: none */
    size_t rows, group;           /* of this pass; SIZE_MAX: not in it */
    size_t drafts;                /* of rows, its last ones */
    size_t tried;                 /* what known was when it had some last */
    double hits;                  /* share of drafts that are right */
    uint64_t begun, used, served; /* by the session's clock */
    const struct model_bank *bank;
    size_t adapter;
    struct model_ask ask;
    int64_t form; /* the form's state */
};

/* A sequence that is to have tokens: rows row..row + drafts of the logits. It
 * may have ended by then. */
struct session_turn {
    struct session_slot *q;
    uint64_t begun;
    size_t row, drafts;
};

#define SESSION_SHARED 16 /* beginnings that are watched */

struct model_session {
    struct model *m;
    size_t slot_count, capacity, pass_rows;
    const struct model_bank *bank;
    uint64_t salt, clock;
    bool keeps;
    bool named;                            /* files are: */
    unsigned char files[MODEL_HASH_BYTES]; /* of what it computes */
    bool cuts;   /* a state at fewer positions is the first part of it */
    size_t unit; /* rows in multiples of which slots share; 0: they do not */
    size_t tops; /* rows of a pass that tokens can be chosen from */
    struct session_slot *slots;
    struct session_turn *turns;
    size_t turn_count;
    struct session_shared {
        uint64_t hash;
        size_t seen;
    } shared[SESSION_SHARED];
    size_t shared_at;
    struct compute_span (*states)[MODEL_MAX_STATES]; /* by mixer */
    struct compute_span logits, best, logp;
    /* Host arrays of a pass. */
    int32_t *ids, *positions, *starts, *past, *slot_of, *index;
    int32_t *base_of, *shared_of;
    struct session_slot **order; /* that run, as they stand in the pass */
    struct model_groups groups;
    /* Of choosing: logits as they are and with penalties and forms. */
    float *own, *row, *best_logp;
    int32_t *best_ids;
    struct compute_draw *draws; /* by row */
    uint8_t *seen;              /* by id, for the penalty */
    uint64_t *bits;             /* by id: what a form allows */
    int32_t top_ids[MODEL_SESSION_TOP];
    float top_logp[MODEL_SESSION_TOP];
    struct model_session_stats stats;
};

/* model_cache.c. Slots from the memory that there may be. */
MUST_CHECK int session_cache_alloc(struct model_session *s, size_t bytes,
                                   size_t slots, struct err *err);
void session_cache_release(struct model_session *s);
struct model_cached session_cache_shape(const struct model_session *s);
/* Where the first rows of a slot stand in a mixer's states: `groups` runs of
 * `run` elements, `stride` apart. Returns how many states there are. */
struct session_part {
    struct compute_span first;
    size_t groups, stride, run;
};
unsigned session_cache_parts(const struct model_session *s, size_t mixer,
                             size_t slot, size_t rows,
                             struct session_part out[MODEL_MAX_STATES]);
/* Its first rows are not another's any more, nor another's its own: who has
 * some of it gets a copy. They are then as good as lost. */
void session_cache_detach(struct model_session *s, struct session_slot *q);
/* Lets a slot that has just begun wait for one that is computing its first
 * rows, if there is one; true while it has to. What has come then is shared. */
void session_cache_follow(struct model_session *s, struct session_slot *q);
bool session_cache_waits(struct model_session *s, struct session_slot *q);
/* A slot that is free holds no other. */
void session_cache_leave(struct session_slot *q);
/* Zeros: what is not finite would spoil who comes next, on a device that
 * multiplies what it masks by zero. */
void session_cache_clear(struct model_session *s, size_t slot);
/* A slot for a prompt of n ids, with as many rows of it as can be had: *past.
 * SIZE_MAX: none is free. Rows of slots that are needed as they are get shared
 * in whole units, and the rest copied. */
size_t session_cache_place(struct model_session *s,
                           const struct session_key *key, const int32_t *ids,
                           size_t n, size_t *past);

/* Of a mixer's states: a KV cache's is the device's choice. */
enum compute_type session_state_type(const struct model_session *s,
                                     size_t mixer);

/* model_choose.c. For all rows of s->logits: the best id, or one drawn by the
 * device, and its log probability. */
void session_choose_rows(struct model_session *s, size_t rows);
/* The next id of the sequence in `slot` whose logits are row
 * `row` of s->logits, whose best or drawn one is in best_ids. */
MUST_CHECK int session_choose(struct model_session *s, struct session_slot *q,
                              size_t row, struct model_token *out,
                              struct err *err);
bool session_is_stop(const struct model *m, const struct model_sampling *opt,
                     int32_t id);
/* The text is complete and no token may follow. */
bool session_form_is_done(const struct session_slot *q);

/* model_turns.c. After the blocks of a pass of n sequences: rows of work.x
 * (s->index) that tokens are chosen from; then, with these rows in work.top,
 * the tokens. */
size_t session_turns_find(struct model_session *s, size_t n);
void session_turns_take(struct model_session *s, size_t rows);

/* model_draft.c. Rows of drafts that a pass may have. */
#define SESSION_DRAFT_HITS 0.5 /* before anything is known */
size_t session_draft_rows(size_t slots);
/* Drafts for the first n of s->order, in a pass of `rows` rows so far. */
void session_draft(struct model_session *s, size_t n, size_t rows);
void session_draft_learn(struct session_slot *q, size_t drafted,
                         size_t accepted);

/* model_rehearse.c: ERR_NOMEM where the session's passes will not fit. */
MUST_CHECK int session_rehearse(struct model_session *s, struct err *err);

/* model_session.c: the blocks for `rows` rows of n sequences, laid out in s. */
void session_run_blocks(struct model_session *s, size_t n, size_t rows);
/* model_session.c: the slot is free, and its rows are kept for who goes on
 * from them. */
void session_leave(struct model_session *s, struct session_slot *q, bool keep);
/* Computes n ids and keeps them, pinned, for every prompt that begins so. */
MUST_CHECK int session_prefix(struct model_session *s, const int32_t *ids,
                              size_t n, struct err *err);

#endif

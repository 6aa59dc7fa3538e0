/*
 * curate_settle.h - what settling shares: all examples in memory, a row each
 *
 * Every step looks at rows that are KEPT so far and may give one a reason, a
 * cluster or a split; the last one writes what has changed. Private to
 * lib/curate.
 */
#ifndef CURATE_SETTLE_H
#define CURATE_SETTLE_H

#include "curate/curate_priv.h"

/* Of all shingles so many are held, the lowest of each example, at up to 24
 * bytes each while pairs are found: 1.5 GiB. */
#define CURATE_SETTLE_HASHES ((uint64_t)64 << 20)

#define CURATE_UNSPLIT (-1)
#define CURATE_NO_ROW UINT32_MAX
/* Shingles of a later turn that say something. */
#define CURATE_MULTI_LEAST 32
#define CURATE_OVERLAP_LEAST 9 /* shingles: thirteen words in a row */
#define CURATE_OVERLAP .8      /* of an example's shingles */
#define CURATE_NEAR_MOST 5     /* shingles that one changed word changes */

struct curate_row {
    int64_t id, call, time_us; /* -1: unknown */
    int64_t duplicate_of, was_duplicate_of, cluster, was_cluster; /* 0: none */
    enum curate_reason reason, was;
    int split, was_split;
    bool body;   /* was scrubbed; else only its answer counts */
    bool sticky; /* dropped for others' sake, and stays so */
    bool multi, cut;
    bool meets;             /* what is required */
    int mood;               /* of its outcome: -1 negative, 1 positive */
    bool corrected;         /* its outcome names a better answer */
    uint64_t client, group; /* hashes; 0: none */
    uint64_t talk;          /* of the conversation's id, see CURATE_TALK_ID */
    uint64_t input, answer; /* as logged */
    uint64_t task, context, stratum;
    uint32_t words;       /* compared */
    uint64_t text;        /* equal: the same words; 0: none */
    uint32_t *hash, *own; /* shingles, and those that are no template's */
    size_t count, own_count;
};

struct curate_settling {
    struct store *store;
    const struct curate_options *o;
    const struct curate_dialogues *dialogues;
    struct pool *pool;
    struct curate_result *r;
    struct err *err;
    struct curate_row *row; /* by call */
    size_t count, cap;
    /* Rows of equal text: the first, and the next one. */
    uint32_t *first, *next;
    struct dedup_pair *near; /* of first rows, by .own */
    size_t near_count;
    struct dedup_pair *held; /* the same: one holds most of the other */
    size_t held_count;
    size_t limit;       /* of shingles of a row, see curate_rows_limit */
    bool anew;          /* by other options: no reason is sticky */
    bool divide, share; /* splits are drawn anew: all, all but the test */
    bool opened;        /* somebody was tested on the sealed test already */
};

/* The most that each of so many examples may keep, so that all have no more
 * than `most` together; examples[n]: how many have n. */
size_t curate_rows_limit(const uint64_t examples[CURATE_SHINGLES_MAX + 1],
                         uint64_t most);
MUST_CHECK int curate_rows_load(struct curate_settling *k);
/* Within a transaction. */
MUST_CHECK int curate_rows_write(struct curate_settling *k);
void curate_rows_free(struct curate_settling *k);
/* Its split before any is drawn: it stays while an example is dropped, so that
 * one of the sealed test comes back to it. */
int curate_row_split(const struct curate_settling *k,
                     const struct curate_row *w);
/* NULL: there is none. */
struct curate_row *curate_row_of(struct curate_settling *k, int64_t call);

/* NEGATIVE, REQUIRED, CONTRADICTORY. */
void curate_settle_outcomes(struct curate_settling *k);
void curate_settle_answers(struct curate_settling *k);
/* Pairs of near rows, then NEAR_DUPLICATE. */
void curate_settle_near(struct curate_settling *k);
/* Splits, STRADDLES, OVERLAPS_TEST, clusters. */
void curate_settle_splits(struct curate_settling *k);
/* The labels of units that have none yet: label[root] of all placed rows. */
void curate_settle_shares(struct curate_settling *k,
                          struct dedup_clusters *units, int *label,
                          const bool *placed);
/* In r: how often the LLM agrees with itself. */
void curate_settle_agreement(struct curate_settling *k);

/* Does an outcome meet the condition? extra: its other fields, JSON. */
struct curate_outcome {
    bool there, has_reward, has_answer;
    double reward;
    struct slice label, extra;
};
bool curate_require_meets(const struct curate_require *r,
                          const struct curate_outcome *o);
/* -1: bad by its reward or by what a person said; 1: good; 0: neither. */
int curate_outcome_mood(const struct curate_outcome *o);

#endif

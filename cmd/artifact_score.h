/*
 * artifact_score.h - does a model in its new form still do its task?
 *
 * Scores of two forms of one model on the same validation examples of a task,
 * where one is known. What answers worse by more than a limit is no good.
 */
#ifndef ARTIFACT_SCORE_H
#define ARTIFACT_SCORE_H

#include "cmd.h"
#include "evaluate/evaluate.h"
#include "store/store.h"

#define ARTIFACT_EXAMPLES 64 /* default */
#define ARTIFACT_DROP 5.0    /* points, default */

struct artifact_score {
    struct evaluate_sample *sample; /* NULL: nothing is scored */
    double *before, *after;         /* by example */
    double limit;                   /* points */
    struct evaluate_drop drop;
};

/* ERR_NOTFOUND: the task has no validation examples; out has no sample. */
MUST_CHECK int artifact_score_open(struct store *s, int64_t task,
                                   size_t examples, uint64_t seed,
                                   struct artifact_score *out, struct err *err);
void artifact_score_release(struct artifact_score *a);
/* Lets m answer; dir: its tokenizer and template. Does nothing without a
 * sample. */
MUST_CHECK int artifact_score_before(struct artifact_score *a, struct model *m,
                                     const char *dir, struct err *err);
MUST_CHECK int artifact_score_after(struct artifact_score *a, struct model *m,
                                    const char *dir, struct err *err);
/* See evaluate_drop_is_within. True without a sample. */
bool artifact_score_agrees(const struct artifact_score *a);
/* ", task NAME 85.3 -> 84.8 % of 64 examples", nothing without a sample. */
void artifact_score_print(const struct artifact_score *a, struct buf *out);

#endif

/*
 * select_trial.h - private to the select command: candidates that were tried
 *
 * A trial is a run of finetune --try; its document is kept with the candidate,
 * so that a later select knows it.
 */
#ifndef SELECT_TRIAL_H
#define SELECT_TRIAL_H

#include "catalog/catalog.h"
#include "cli/cli.h"
#include "json/json.h"
#include "store/store.h"

/* What is known of one candidate. Zeroed: nothing. */
struct select_trial {
    struct buf document; /* slmctl.finetune-try/1; empty: not tried */
    char why[200];       /* a trial that failed, else empty */
    int64_t time_us;
    double score, low, high; /* score NaN: nothing could be judged */
    double answer_tokens_s;  /* NaN: not measured */
    int64_t peak;            /* bytes */
    char metric[32];
};

struct select_trials {
    struct cli *cli;
    struct store *store;
    double minutes;   /* of each; 0: none is run */
    int64_t top;      /* so many of those that are here */
    int64_t examples; /* 0: finetune's default */
};

/* What earlier trials of a task's candidates found, as far as the same weights
 * are in the same place; t[count] zeroed, in the order of c. */
MUST_CHECK int select_trials_load(const struct select_trials *s, int64_t task,
                                  const struct catalog_candidate *c,
                                  struct select_trial *t, size_t count,
                                  struct err *err);
/* Tries the first candidates that are here, each as long and on the same
 * examples, beginning with another one for each task. */
MUST_CHECK int select_trials_run(const struct select_trials *s, int64_t task,
                                 const struct catalog_candidate *c,
                                 struct select_trial *t, size_t count,
                                 struct err *err);
/* What was tried comes first, by score; scores within the leader's interval
 * are equal, and the smaller model leads. Ranks and reasons follow. */
void select_trials_rank(struct catalog_candidate *c, struct select_trial *t,
                        size_t count);
/* Members of a candidate's object; nothing for one that was not tried. */
void select_trial_write(const struct select_trial *t, struct json_writer *w);
void select_trial_release(struct select_trial *t);

#endif

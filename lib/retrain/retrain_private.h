/* retrain_private.h - what the files of retrain share: its rows */
#ifndef RETRAIN_PRIVATE_H
#define RETRAIN_PRIVATE_H

#include "retrain/retrain.h"

/* Rows of task ?1 and of those that were merged into it. */
#define RETRAIN_OF_TASK                                                        \
    "(task = ?1 OR task IN (SELECT id FROM task WHERE merged_into = ?1))"

/* A number of a statement's only row; 0 where it is NULL or there is none.
 * Parameters a to c are bound as far as the text has them. */
MUST_CHECK int retrain_number(struct store *s, const char *text,
                              const int64_t *bind, int count, int64_t *out,
                              struct err *err);

/* The data set of the model, the newest of the task, the last call of that,
 * and when it was made; the last call of the one before the first. 0: none. */
struct retrain_seen {
    int64_t reference, newest, call, time_us, before;
};
/* psi, psi_chance, moved and novel_share of the calls since. limit: of psi. */
MUST_CHECK int retrain_drift(struct store *s, const struct retrain_seen *seen,
                             double limit, struct retrain_due *d,
                             struct err *err);

/* The first step of the run that is not done: 1; 0: none is open. Of *w step,
 * task, model and champion are set. */
MUST_CHECK int retrain_open_step(struct store *s, int64_t run,
                                 struct retrain_work *w, struct err *err);
/* --task of the run, from its policy. *out: caller frees. */
MUST_CHECK int retrain_policy_tasks(struct store *s, int64_t run, int64_t **out,
                                    size_t *count, struct err *err);

#endif

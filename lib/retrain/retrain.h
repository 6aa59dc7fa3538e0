/*
 * retrain.h - which tasks are due for training, and the steps of a run
 *
 * A run is a row, a step of it another, so that what was killed goes on where
 * it stood. The pure part: it starts no program and trains nothing; the
 * command does what retrain_next names and tells retrain_done how it ended.
 * May use: base json sql store stats registry scoring.
 */
#ifndef RETRAIN_H
#define RETRAIN_H

#include "scoring/scoring.h"
#include "store/store.h"

/* Below so many new calls nothing is said of drift, novelty or agreement. */
#define RETRAIN_LEAST 50
#define RETRAIN_WHY 160 /* bytes of a reason, with its end */

struct retrain_policy {
    int64_t min_new;       /* examples for training since the last data set */
    double psi;            /* population stability index */
    double novel;          /* share of new calls that are like nothing known */
    double age_days;       /* of the last data set; 0: never by age */
    double agreement_drop; /* below the gate's score: 0.05 is five points */
    double margin;         /* against the LLM, as eval has it */
    double champion_margin;
    double minutes; /* of training a task; 0: as finetune does */
    double replay;  /* older examples for each new one; 0: all */
    int64_t keep;   /* versions of a task that runs made; 0: all */
    char override_terms[RETRAIN_WHY]; /* why, though forbidden; "": no */
    bool promote;                     /* what passes */
    bool force;                       /* every task that has examples is due */
    const int64_t *tasks;             /* these only */
    size_t task_count;                /* 0: all */
};
struct retrain_policy retrain_policy_default(void);

/* What of a task asks for training. */
#define RETRAIN_REASONS(X)                                                     \
    X(none)                                                                    \
    X(never_trained)                                                           \
    X(new_examples) X(drift) X(novelty) X(age) X(agreement) X(forced)
enum retrain_reason {
#define X(name) RETRAIN_BY_##name,
    RETRAIN_REASONS(X)
#undef X
};
const char *retrain_reason_name(enum retrain_reason r);

/* A task and what was measured. model: the one it is measured against, the
 * champion or else the newest; 0: none. Numbers that are not known are NaN. */
struct retrain_due {
    int64_t task, model;
    char name[STORE_NAME_MAX + 1];
    enum retrain_reason why; /* none: not due */
    int64_t fresh;           /* examples that no data set has seen */
    double psi, psi_chance;  /* of the feature that moved most */
    const char *moved;       /* static: which one; NULL: none */
    double novel_share;
    double age_days;
    double agreement, expected; /* of routed calls; of the gate */
};
/* By task name; tasks without examples are left out. Drift and novelty are of
 * the calls since the newest data set of the task, against those that the
 * model learnt from: what a refused candidate has seen does not ask again. Of
 * calls that a model of ours answered since, the novelty counts as well.
 * Drift is an index above the limit and above what chance gives in 99 of 100
 * cases with as many conversations, against all that the model learnt from and
 * against what was new to it; the nearer of both is told. *out: caller
 * frees. */
MUST_CHECK int retrain_due_list(struct store *s, const struct retrain_policy *p,
                                int64_t now_us, struct retrain_due **out,
                                size_t *count, struct err *err);

/* How far the shares of the tasks have moved since the last run that trained;
 * NaN: no such run, or too few examples on a side. It makes no task due: each
 * has its own reasons, and a new one waits for examples. */
MUST_CHECK int retrain_mix(struct store *s, double *psi, double *chance,
                           struct err *err);

#define RETRAIN_STEPS(X)                                                       \
    X(curate) X(cluster) X(train) X(gate) X(promote) X(trim) X(notify)
enum retrain_step {
#define X(name) RETRAIN_DO_##name,
    RETRAIN_STEPS(X)
#undef X
};
const char *retrain_step_name(enum retrain_step step);

/* What is to be done next. */
struct retrain_work {
    enum retrain_step step;
    int64_t task;            /* 0: of all */
    int64_t model, champion; /* the candidate; 0: none, or not yet */
    char task_name[STORE_NAME_MAX + 1];
    char *model_name, *champion_name; /* NULL: none */
    char *base_name; /* train: of the champion, or else of the newest model */
};
void retrain_work_release(struct retrain_work *w);

/* Goes on with the run that was not finished, with the policy that it had, or
 * begins one. The caller holds store_lock(s, "retrain"). */
MUST_CHECK int retrain_begin(struct store *s, const struct retrain_policy *p,
                             int64_t *run, bool *resumed, struct err *err);
/* The policy of a run, without its tasks. */
MUST_CHECK int retrain_policy_of(struct store *s, int64_t run,
                                 struct retrain_policy *out, struct err *err);
/* The run that has not ended. */
struct retrain_cut {
    int64_t run, started_us; /* 0: there is none */
    bool running;            /* somebody holds its lock: it was not cut off */
    const char *step;        /* static: where it stands; "end": all is done */
    char *task;              /* of the step; NULL: of all */
    char **tasks;            /* these only, by name */
    size_t task_count;       /* 0: all */
};
MUST_CHECK int retrain_cut_read(struct store *s, struct retrain_cut *out,
                                struct err *err);
void retrain_cut_release(struct retrain_cut *c);
/* Appends the options, with commas, in which a call's policy is not the run's;
 * nothing: it is the same. */
MUST_CHECK int retrain_policy_differs(struct store *s, int64_t run,
                                      const struct retrain_policy *p,
                                      struct buf *out, struct err *err);
/* The first step that is not done, noted as begun. ERR_NOTFOUND: the run has
 * ended, and is written down so. Release *out. */
MUST_CHECK int retrain_next(struct store *s, int64_t run,
                            struct retrain_work *out, struct err *err);
/* A step has ended: ok, or not, and why (NULL: nothing to say). A failure of
 * curate or cluster ends the run; one of a task ends the task. After cluster
 * the due tasks are noted; after train the candidate; after gate whether to
 * promote. Running it again after a kill changes nothing. */
MUST_CHECK int retrain_done(struct store *s, int64_t run,
                            const struct retrain_work *w, bool ok,
                            const char *why, struct err *err);
/* What the step "promote" does. The reason of override_terms is written down
 * where terms forbid the model. */
MUST_CHECK int retrain_promote(struct store *s, const struct retrain_work *w,
                               const struct retrain_policy *p, struct err *err);
/* What the step "trim" does: of the tasks of the run, models that runs made are
 * retired, and their files in the store removed, but for the newest `keep`,
 * champions, what a rollback goes back to, and bases. */
MUST_CHECK int retrain_trim(struct store *s, int64_t run, int64_t keep,
                            struct err *err);

/* How a candidate stands: to the LLM by the evaluation that decides
 * (registry_gate), where its margin is no wider than `margin`; to the champion
 * on the items that those of both have:
 * on those since its promotion that no other candidate was asked, if they are
 * enough and it is not behind by more than the margin on all; else on all at
 * level 1 - 0.05/k for the k-th candidate since then. No champion: a pass. why:
 * caller's array, one clause. */
struct retrain_verdict {
    enum score_verdict llm, champion;
    double difference; /* to the champion; NaN: none */
    size_t items;      /* that both were asked */
    bool newer;        /* than the champion's promotion, all of them */
    char why[RETRAIN_WHY];
};
MUST_CHECK int retrain_judge(struct store *s, int64_t task, int64_t model,
                             int64_t champion, double margin,
                             double champion_margin,
                             struct retrain_verdict *out, struct err *err);

/* One task of a run, as it stands. Texts live as long as the call. */
struct retrain_told {
    int64_t task, model, before;                        /* 0: none */
    const char *name, *due, *train, *gate, *model_name; /* NULL: none */
    const char *moved;       /* due by drift: what of the calls; NULL: not so */
    const char *before_name; /* the champion that the run found; NULL: none */
    bool trained, failed, promoted;
};
MUST_CHECK int retrain_tell(struct store *s, int64_t run,
                            int (*fn)(void *ctx, const struct retrain_told *t,
                                      struct err *err),
                            void *ctx, struct err *err);

#endif

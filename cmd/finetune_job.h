/*
 * finetune_job.h - private to the finetune command: one task being trained
 *
 * finetune_examples.c reads its examples, finetune_task.c trains,
 * finetune_enter.c writes down in the store what came of it.
 */
#ifndef FINETUNE_JOB_H
#define FINETUNE_JOB_H

#include "artifact_score.h"
#include "base/io.h"
#include "evaluate/evaluate.h"
#include "finetune.h"
#include "finetune_base.h"
#include "finetune_plan.h"
#include "json/json.h"
#include "store/store.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

struct ids {
    int64_t *v;
    size_t count, cap;
};

/* One task's way through training. */
struct task {
    struct cli *cli;
    const struct finetune *f;
    struct store *store;
    struct compute *compute;
    int64_t id;
    char *name;
    struct finetune_base base;
    struct tokenizer *tokenizer;
    struct template *template;
    struct model *model;
    struct lora_reader reader;
    struct lora_data train, valid;
    struct lora_answers better, held_better; /* of --preference */
    struct model *teacher;
    struct finetune_plan plan;
    enum compute_quant quantise; /* of the base, where quantised is set */
    struct artifact_score score; /* of what is merged from blocks */
    struct ids examples;         /* trained on */
    struct ids held;             /* they only tell when to stop */
    enum score_kind kind;
    struct finetune_outcomes outcomes;
    struct buf message; /* corrected answer */
    int64_t last_call;
    int64_t first_call; /* examples of older calls are left out */
    int64_t seen_call;  /* the last of the newest data set; 0: no replay */
    double replay_rate, replay_due; /* of what was seen: kept; carried over */
    struct lora_options opt;
    struct lora_result result;
    char fingerprint[17];
    char *model_name, *path, *run;
    int64_t context; /* of the base */
    int64_t model_id;
    bool quantised; /* the base stays in blocks */
    bool skipped, untrainable;
    bool began;                  /* what a run leaves behind is there */
    bool overridden;             /* terms forbid it, and a reason was given */
    bool replaces;               /* the model of this name at this path */
    struct io_tree tree, merged; /* what is written, until it is in place */
};

/* Training and validation data of the task from the store, as its options
 * ask. What is left out is counted; t->untrainable is set where nothing is
 * left. */
MUST_CHECK int finetune_read_examples(struct task *t, struct err *err);
/* finetune_place.c: t's name, path and run directory, free for it. */
MUST_CHECK int finetune_choose_paths(struct task *t, struct err *err);

/* finetune_write.c. */
enum weights_type finetune_stored_type(const struct task *t);
bool finetune_is_wide(const struct task *t, const struct model_config *c);
char *finetune_merged_path(const struct task *t); /* the caller's */
/* Writes what was trained beside its place and reads it back. */
MUST_CHECK int finetune_write(struct task *t, struct err *err);
/* Puts it in its place; until the task is released this can be undone. */
MUST_CHECK int finetune_publish(struct task *t, struct err *err);
void finetune_unpublish(struct task *t);
/* Removes what belonged to the replaced model alone. */
void finetune_drop_replaced(const struct task *t);

/* Puts what was written in place, and into the store, in one transaction. */
MUST_CHECK int finetune_enter(struct task *t, struct err *err);

#endif

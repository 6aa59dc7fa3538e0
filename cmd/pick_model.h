/* pick_model.h - the model that --model, --adapter and --task name */
#ifndef PICK_MODEL_H
#define PICK_MODEL_H

#include "cmd.h"
#include "store/store.h"

struct picked_model {
    char *dir;     /* Hugging Face directory */
    char *adapter; /* PEFT directory or NULL */
    int64_t id;    /* in the store; 0: not from there */
    int64_t task;  /* 0: none named */
};

/* model: a directory or a name in the store, NULL with a task: the newest
 * model trained for it, one that passed its evaluation before others. A
 * directory needs no store. */
MUST_CHECK int pick_model(struct cli *cli, const char *model,
                          const char *adapter, const char *task,
                          struct picked_model *out, struct err *err);
/* The model of this row; out is zeroed before. */
MUST_CHECK int pick_model_row(struct store *s, int64_t id,
                              struct picked_model *out, struct err *err);
void picked_model_release(struct picked_model *p);

#endif

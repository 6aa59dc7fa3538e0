/* pick_model.h - the model that --model, --adapter and --task name */
#ifndef PICK_MODEL_H
#define PICK_MODEL_H

#include "cmd.h"
#include "model/model.h"
#include "store/store.h"

struct picked_model {
    char *dir;     /* Hugging Face directory */
    char *adapter; /* PEFT directory or NULL */
    int64_t id;    /* in the store; 0: not from there */
    int64_t task;  /* 0: none named */
    /* How its matrices are kept where it answers: as the store's model was
     * judged, and a champion promoted. */
    enum model_kept kept;
    bool is_tuned; /* of the store, for a task */
};

/* --weights: "auto" is what `known` says. */
#define WEIGHTS_CHOICES "auto|stored|f32|q8_0|q4_0"
#define WEIGHTS_OPTION(variable)                                               \
    {                                                                          \
        .name = "weights", .kind = OPT_CHOICE, .value = &(variable),           \
        .arg = "WAY",                                                          \
        .help = "how the model's matrices are kept (default auto)",            \
        .choices = WEIGHTS_CHOICES                                             \
    }
enum model_kept pick_kept(const char *option, enum model_kept known);
/* As the task's champion answers; without one as the files have them. */
MUST_CHECK int pick_kept_of_task(struct store *s, int64_t task,
                                 enum model_kept *out, struct err *err);

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

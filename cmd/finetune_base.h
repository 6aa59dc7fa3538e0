/* finetune_base.h - private to the finetune command: which base is trained */
#ifndef FINETUNE_BASE_H
#define FINETUNE_BASE_H

#include "store/store.h"

struct finetune_base {
    int64_t id;
    char *name, *path;
};

/* model: a directory (entered in the store as a base if it is not there and
 * `enter` says so; else its id stays 0), a name, or NULL: the task's best
 * candidate whose weights are here, else the only base there is. */
MUST_CHECK int finetune_find_base(struct store *s, const char *model,
                                  int64_t task, const char *task_name,
                                  bool enter, struct finetune_base *out,
                                  struct err *err);
void finetune_base_release(struct finetune_base *b);

#endif

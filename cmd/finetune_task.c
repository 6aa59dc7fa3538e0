/* finetune_task.c - finetune --task and --all: from the store's examples */
#include "finetune.h"

int finetune_tasks(struct cli *cli, const struct finetune *f, struct err *err)
{
    (void)cli;
    (void)f;
    return err_set(err, ERR_UNSUPPORTED, "finetune --task is being built");
}

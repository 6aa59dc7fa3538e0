/* finetune_try.h - private to the finetune command: --try */
#ifndef FINETUNE_TRY_H
#define FINETUNE_TRY_H

#include "finetune_job.h"

#define FINETUNE_TRY_MINUTES 5.0
#define FINETUNE_TRY_EXAMPLES 2000

/* Trains t's model on what was read, measures it, and prints what came of it.
 */
MUST_CHECK int finetune_try(struct task *t, struct err *err);

#endif

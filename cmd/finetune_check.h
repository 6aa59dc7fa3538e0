/* finetune_check.h - what training wrote is the model that was trained */
#ifndef FINETUNE_CHECK_H
#define FINETUNE_CHECK_H

#include "lora/lora.h"
#include "model_artifact.h"

/* Loads s anew and compares its logits on the first documents of `data` with
 * those of *m, the model in memory, which is freed before (*m is NULL then), so
 * that no two are held; type: what its weights were written in.
 * Above the type's limit, or below s->score's, the directory (the adapter's if
 * there is one) is marked bad and the error says so. */
MUST_CHECK int finetune_check(const struct artifact_source *s,
                              const struct lora_data *data, struct model **m,
                              enum weights_type type, struct err *err);

#endif

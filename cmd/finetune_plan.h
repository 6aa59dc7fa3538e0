/*
 * finetune_plan.h - private to the finetune command: what a run will take
 *
 * Lengths, memory and time before a run, the peak after it, and its curve.
 */
#ifndef FINETUNE_PLAN_H
#define FINETUNE_PLAN_H

#include "finetune.h"

struct finetune_plan {
    struct cli *cli;
    const struct finetune *f;
    const char *name; /* of the task, or of the output */
    struct model *model;
    const struct lora_data *train, *valid;
    const struct lora_reader *reader;
    struct lora_options *opt;  /* pass_tokens may become smaller */
    struct lora_memory memory; /* of training */
    size_t merging; /* bytes of merging, besides memory.program; 0: none */
    size_t limit;
    bool recompute;
    bool quantised; /* the base is in blocks already */
};
/* Choose whether blocks are computed again, and smaller passes where even that
 * is too much for --max-memory; tell the estimate. */
MUST_CHECK int finetune_plan_make(struct finetune_plan *p, struct err *err);
/* Whether this run takes --quantize and has not quantised already. */
bool finetune_may_quantise(const struct finetune_plan *p);
/* --dry-run: all of it on stdout; nothing is trained. */
MUST_CHECK int finetune_plan_print(struct finetune_plan *p, struct err *err);
/* The process's or device's peak so far beside the estimate; the model may be
 * freed. */
void finetune_plan_compare(const struct finetune_plan *p, struct compute *c);
/* On a terminal: the losses of run_dir's metrics.jsonl. */
void finetune_curve(struct cli *cli, const char *run_dir);

#endif

/*
 * finetune.h - private to the finetune command: its options, its two ways
 *
 * cmd_finetune.c holds the table and chooses; finetune_init.c trains from
 * random weights on files, finetune_task.c on a task's examples in the store.
 */
#ifndef FINETUNE_H
#define FINETUNE_H

#include "cli/cli.h"
#include "lora/lora.h"

struct finetune {
    const char *task, *model, *method, *targets, *output, *run, *name;
    const char *init, *tokenizer, *loss, *dtype, *cpu;
    const char *adapter, *quantize, *teacher, *recompute, *over_long;
    const char *override_terms; /* why, though terms forbid it */
    double beta, temperature, mix;
    bool preference, logprobs, dry_run;
    struct cli_list data, validation;
    int64_t rank, batch_tokens, pass_tokens, max_length, tokens, patience;
    int64_t validate_every, checkpoint_every, show_mask;
    double alpha, lr, epochs, minutes, decay, clip, warmup;
    bool all, force, force_masked, merge, tries;
    int64_t examples; /* the newest alone; 0: all */
    double replay;    /* older ones for each new one; 0: all */
};

/* The method is one of those that train an adapter. */
bool finetune_is_adapter(const struct finetune *f);
/* Option values as the trainer takes them. */
void finetune_options(const struct finetune *f, const struct cli *cli,
                      const struct model_config *config, bool init,
                      struct lora_options *out);
int finetune_init(struct cli *cli, const struct finetune *f, struct err *err);
int finetune_tasks(struct cli *cli, const struct finetune *f, struct err *err);

/* ERR_FORMAT for a mask that cannot be meant: all ones, or all zeros. */
int finetune_check_mask(const struct lora_data *d, struct err *err);
/* The first examples on stdout with their trained tokens marked: in colour on
 * a terminal, else in double brackets. An exit code: 1 if there is none. */
struct tokenizer;
int finetune_show_mask(struct cli *cli, const struct tokenizer *tok,
                       const struct lora_reader *r, const struct lora_data *d,
                       int64_t examples);

/* Examples that an outcome changed, or kept from training. */
struct finetune_outcomes {
    size_t corrected, rejected, unscrubbed;
    struct lora_pair_counts pairs; /* of --preference */
};

/* --teacher: a model directory with the same tokens, opened for logits. */
struct tokenizer;
MUST_CHECK int finetune_open_teacher(struct cli *cli, const char *model,
                                     const struct tokenizer *tokenizer,
                                     struct compute *compute,
                                     struct model **out, struct err *err);

/* ERR_NOTFOUND: no validation after the first step was better than the base. */
MUST_CHECK int finetune_check_gain(const struct lora_result *r,
                                   struct err *err);
/* Options typed that this run would not heed: prints why, EXIT_USAGE. */
int finetune_check_usage(struct cli *cli, const struct finetune *f);

/* What was left out, by reason, on stderr; members of --json's object. o may
 * be NULL: there are no outcomes. */
void finetune_note_reader(struct cli *cli, const struct lora_reader *r);
void finetune_note_reasons(struct cli *cli, const struct lora_reader *r);
void finetune_note_outcomes(struct cli *cli, const struct finetune_outcomes *o);
struct json_writer;
void finetune_write_reader(struct json_writer *w, const struct lora_reader *r,
                           const struct finetune_outcomes *o);
void finetune_write_result(struct json_writer *w, const struct lora_result *r);
void finetune_note_result(struct cli *cli, const struct lora_result *r);

#endif

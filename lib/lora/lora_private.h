/* lora_private.h - private to lib/lora: a run's plan, state and checkpoint */
#ifndef LORA_PRIVATE_H
#define LORA_PRIVATE_H

#include "json/json.h"
#include "lora/lora.h"

/* Which documents make up each step: an order drawn anew for each epoch. */
struct lora_plan {
    const struct lora_data *data;
    uint64_t seed;
    size_t batch_tokens;
    size_t *order; /* of epoch `epoch` */
    uint64_t epoch;
};
void lora_plan_init(struct lora_plan *p, const struct lora_data *d,
                    uint64_t seed, size_t batch_tokens);
void lora_plan_release(struct lora_plan *p);
/* The documents of the step that begins at (*epoch, *position), which then
 * name the next step's begin. */
const size_t *lora_plan_step(struct lora_plan *p, uint64_t *epoch,
                             uint64_t *position, size_t *count);
/* Steps in `epochs` epochs. */
uint64_t lora_plan_count(struct lora_plan *p, double epochs);

/* Documents packed into passes of at most `rows` rows (a longer document gets
 * a pass of its own), best fit, longest first. */
struct lora_packing {
    struct model_batch *batches;
    size_t count, cap;
    int32_t *memory;
    int32_t *starts;
    size_t trained; /* labelled rows of all passes */
};
void lora_pack(const struct lora_data *d, const size_t *docs, size_t count,
               size_t rows, struct lora_packing *out);
void lora_packing_release(struct lora_packing *p);

/* mask[i] = 1 for the tokens of each assistant turn (its end included) of the
 * "messages" that became ids; a message with "weight": 0 stays context. */
struct token_list;
struct tokenizer;
MUST_CHECK int lora_turns_mask(const struct tokenizer *t,
                               const struct token_list *ids,
                               const struct json *j, json_ref messages,
                               unsigned char *mask, struct err *err);

/* All that a run is, beside its weights. */
struct lora_state {
    uint64_t step, total_steps, epoch, position, tokens, trained_tokens;
    uint64_t best_step, bad;
    double best_loss, first_loss, last_loss, seconds;
    bool done, stopped_early;
};

struct lora_run {
    struct model *m;
    struct compute *compute;
    const struct lora_data *train, *valid;
    struct lora_options opt;
    const char *dir;
    const struct progress *progress;
    struct model_trained t;
    struct compute_span first, second, best; /* Adam's moments; best values */
    struct lora_plan plan;
    struct lora_state state;
    uint64_t base_hash, data_hash, option_hash;
    FILE *metrics;
    int lock; /* of the run directory */
    int64_t start_ns, saved_ns;
    uint64_t start_tokens;
    double start_seconds;
};

/* The adapter that the options describe. */
struct model_adapter lora_adapter(const struct lora_options *o);

uint64_t lora_option_hash(const struct lora_options *o);
uint64_t lora_model_hash(struct model *m, struct compute *c);
uint64_t lora_span_hash(struct compute *c, struct compute_span s, size_t n);
/* *found false: there is none. */
MUST_CHECK int lora_checkpoint_load(struct lora_run *r, bool *found,
                                    struct err *err);
MUST_CHECK int lora_checkpoint_save(struct lora_run *r, struct err *err);
/* Opens metrics.jsonl; lines after state.step are dropped, all of them if the
 * run begins. */
MUST_CHECK int lora_metrics_open(struct lora_run *r, bool resumed,
                                 struct err *err);

#endif

/* lora_private.h - private to lib/lora: a run's plan, state and checkpoint */
#ifndef LORA_PRIVATE_H
#define LORA_PRIVATE_H

#include "json/json.h"
#include "lora/lora.h"

/* Documents that belong together are one item. */
size_t lora_items(const struct lora_data *d);

/* Which items make up each step: an order drawn anew for each epoch. */
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
/* The items of the step that begins at (*epoch, *position), which then
 * name the next step's begin. */
const size_t *lora_plan_step(struct lora_plan *p, uint64_t *epoch,
                             uint64_t *position, size_t *count);
/* Steps in `epochs` epochs. */
uint64_t lora_plan_count(struct lora_plan *p, double epochs);

/* Items packed into passes of at most `rows` rows (a longer one gets a pass of
 * its own), best fit, longest first. */
struct lora_packing {
    struct model_batch *batches;
    size_t count, cap;
    int32_t *memory;
    int32_t *starts;
    size_t *tokens; /* of all rows: the token of the data that they predict */
    size_t trained; /* labelled rows of all passes */
    size_t items;
};
void lora_pack(const struct lora_data *d, const size_t *docs, size_t count,
               size_t rows, struct lora_packing *out);
void lora_packing_release(struct lora_packing *p);

/* The request without its oldest `turns` turns (the head stays), appended;
 * false if no turn would be left. */
bool lora_shorten(const struct json *j, json_ref request, size_t turns,
                  struct buf *out);
/* Log probabilities of the response j for the n answer ids that begin at token
 * `at` of the document just added to out, where they fit. */
void lora_take_logprobs(struct lora_reader *r, const struct json *j,
                        const int32_t *answer, size_t n, size_t at,
                        struct lora_data *out);

/* All that a run is, beside its weights. */
struct lora_state {
    uint64_t step, total_steps, epoch, position, tokens, trained_tokens;
    uint64_t best_step, bad;
    double best_loss, first_loss, last_loss, seconds;
    double mean_loss, usual_loss; /* lora_watch.c; NAN before the first step */
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
    struct compute_span sums;                /* of a step, LORA_SUMS of F64 */
    struct lora_plan plan;
    struct lora_state state;
    uint64_t base_hash, data_hash, option_hash;
    FILE *metrics;
    int lock; /* of the run directory */
    int64_t start_ns, saved_ns;
    uint64_t start_tokens, saved_step; /* 0: there is no checkpoint */
    double start_seconds;
};

/* What a step adds up on the device: the squares of the gradients, and losses
 * over lora_weight's units: trained tokens, or pairs. */
enum { LORA_SQUARES, LORA_LOSS, LORA_RIGHT /* pairs */, LORA_SUMS };

/* Loss and gradient of pass i of a step, its share of the step's mean. The
 * loss goes to r->sums; nothing is waited for. */
MUST_CHECK int lora_pass(struct lora_run *r, const struct lora_packing *p,
                         size_t i, struct err *err);
/* lora_reduce.c: the gradients of all devices become their sum. */
void lora_reduce(struct lora_run *r);
double lora_weight(const struct lora_data *d, const struct lora_packing *p);
/* Mean loss of r->valid: of its tokens, or of its pairs. */
MUST_CHECK int lora_validation_loss(struct lora_run *r, double *out,
                                    struct err *err);

/* Count a step's loss. Diverged: the run should stop. Healthy: its weights are
 * worth a checkpoint. */
void lora_watch_loss(struct lora_state *s, double loss);
bool lora_watch_diverged(const struct lora_state *s);
bool lora_watch_healthy(const struct lora_state *s);
/* ERR_LIMIT: `what` is x, and which checkpoint is kept; ERR_FORMAT before the
 * first step: the base is broken. */
MUST_CHECK int lora_watch_fail(const struct lora_run *r, const char *what,
                               double x, struct err *err);

/* The largest passes of training (of a run in minutes: of an epoch), and of
 * validation. */
void lora_largest(const struct lora_data *train, const struct lora_data *valid,
                  const struct lora_options *o, struct lora_memory *out);

/* The adapter that the options describe. */
struct model_adapter lora_adapter(const struct lora_options *o);

uint64_t lora_option_hash(const struct lora_options *o);
uint64_t lora_model_hash(struct model *m, struct compute *c);
uint64_t lora_span_hash(struct compute *c, struct compute_span s, size_t n);
/* *found false: there is none. */
MUST_CHECK int lora_checkpoint_load(struct lora_run *r, bool *found,
                                    struct err *err);
MUST_CHECK int lora_checkpoint_save(struct lora_run *r, struct err *err);
/* Writes run.json. */
MUST_CHECK int lora_record(const struct lora_run *r, struct err *err);
/* Opens metrics.jsonl; lines after state.step are dropped, all of them if the
 * run begins. */
MUST_CHECK int lora_metrics_open(struct lora_run *r, bool resumed,
                                 struct err *err);

#endif

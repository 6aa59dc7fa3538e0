/*
 * evaluate.h - a model's answers beside the logged LLM's on one task
 *
 * Loads the items of a split with their references, lets the base and the
 * tuned model answer them greedily, scores everybody on the same items and
 * asks the gate. The gold file is for the table alone: the gate never sees it.
 * May use: base json crypto sql store compute tokenizer template model scoring
 * constrain ask judge stats router engine.
 */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "ask/ask.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"
#include "compute/compute.h"
#include "json/json.h"
#include "model/model.h"
#include "scoring/scoring.h"
#include "store/store.h"

#include <stdint.h>

struct model_prefixes;

#define EVALUATE_MAX_ITEMS 200000
#define EVALUATE_LOSS_ITEMS 200 /* teacher-forced loss: at most so many */
/* Answered one by one for the latency: at most so many, and not more than the
 * least once they have taken this long. */
#define EVALUATE_LATENCY_ITEMS 16
#define EVALUATE_LATENCY_LEAST 3
#define EVALUATE_LATENCY_MS 10000
/* The same where latency is a condition of the gate. */
#define EVALUATE_LATENCY_GATE_ITEMS 200
#define EVALUATE_LATENCY_GATE_MS 120000
#define EVALUATE_BATCH 32 /* default of options.batch */

enum evaluate_who { EVALUATE_BASE, EVALUATE_TUNED, EVALUATE_LLM };
#define EVALUATE_WHOS 3
const char *evaluate_who_name(enum evaluate_who w); /* base tuned llm */

/* What an example's outcome makes of its logged answer. */
enum evaluate_target {
    EVALUATE_AS_LOGGED,
    EVALUATE_CORRECTED,  /* its answer or, for a label task, its label */
    EVALUATE_REJECTED,   /* a reward of 0 or less, and nothing better */
    EVALUATE_UNSCRUBBED, /* curate has not seen, or refused, what is better */
};
/* CORRECTED: the assistant message to use instead is appended to *message. */
enum evaluate_target evaluate_target(const struct store_example *e,
                                     enum score_kind kind, struct buf *message);

/* A candidate. Strings are owned; release with evaluate_model_release. */
struct evaluate_model {
    int64_t id;      /* in table model; 0: not registered */
    int64_t task;    /* that it was tuned for; 0: none */
    char *name;      /* for people */
    char *dir;       /* weights, tokenizer, template */
    char *adapter;   /* PEFT directory over dir, or NULL */
    char *base_name; /* NULL: nothing to compare with */
    char *base_dir;
};
void evaluate_model_release(struct evaluate_model *m);
/* The task's champion, else its newest tuned model that is not retired;
 * ERR_NOTFOUND says that finetune makes one. */
MUST_CHECK int evaluate_model_latest(struct store *s, int64_t task,
                                     struct evaluate_model *out,
                                     struct err *err);
/* A registered name, or a directory; adapter may be NULL. */
MUST_CHECK int evaluate_model_named(struct store *s, const char *name,
                                    const char *adapter,
                                    struct evaluate_model *out,
                                    struct err *err);

struct evaluate_options {
    char split;   /* 'v' validation, 's' sealed test */
    size_t limit; /* items, 0: all; the first by a keyed order */
    size_t batch; /* 0: EVALUATE_BATCH */
    double margin;
    double valid_margin; /* the same of valid answers; 0: no condition */
    double max_p95_ms;   /* of single latencies; 0: no condition */
    uint64_t seed;
    bool no_base;         /* leave the base model out */
    bool constrain;       /* keep answers to the form that the task asks for */
    enum model_kept kept; /* the models' matrices, as they are served then */
    const char *gold;     /* JSON Lines with id and gold; NULL: none */
    const struct score_prices *prices;
    double machine_dollars_per_hour;
    const char *prices_file; /* that prices came from; NULL: the shipped ones */
    bool reuse; /* a stored result of the same inputs, if there is one */
    /* Answers instead of the model, which has a name and no dir; NULL: none.
     * cache: its single answers are kept in the store, and used again. */
    const struct ask_options *endpoint;
    bool cache;
    /* Who compares answers with references; NULL: nobody. Of so many items,
     * 0: all. gates: its opinion is a condition of the gate. */
    const struct ask_options *judge;
    size_t judge_items;
    bool judge_gate;
    struct compute *compute;
    /* Files of what prompts begin with; NULL: none. plain: no drafts. */
    struct model_prefixes *prefixes;
    bool plain;
    const struct progress *progress;
};

/* What is known about one side; NaN where nothing is. */
struct evaluate_column {
    bool present;
    char *name;
    double score; /* mean of the primary metric */
    struct score_interval interval;
    double macro_f1, valid, f1, rouge_l;
    /* Beside the primary metric; see struct score_more. */
    double chrf, length_ratio, call_names, call_arguments, refused;
    double loss; /* nats per token of the logged answers */
    double gold; /* mean of the primary metric against the gold answers */
    struct score_interval gold_interval;
    double seen, unseen; /* score where train had the item's schema, or not */
    size_t seen_count, unseen_count;
    double tokens_per_second; /* generated, in batches */
    double latency_p50_ms, latency_p95_ms;
    double dollars; /* for 1,000 calls */
};

struct evaluate_reason {
    const char *text; /* static */
    size_t count;
};
#define EVALUATE_REASONS 24

/* A judge's opinion of the model's answers beside the references. */
struct evaluate_judge {
    bool present, gates;
    const char *name; /* of the judge's model */
    size_t asked;     /* items; the others were equal, or not answered */
    size_t won, lost, tied;
    size_t flipped;         /* of the ties: the two orders disagreed */
    size_t failed;          /* items without a verdict */
    const char *why;        /* of the first of these; NULL: none */
    double win;             /* (won + tied / 2) of those with a verdict */
    double front;           /* share of what stood first among winners */
    struct score_gate gate; /* wins beside one half, with the margin */
};

/* What the router knows of a model's errors, as its row says; the figures are
 * those of struct router_calibration. NaN: unknown. */
struct evaluate_calibration {
    bool present, learnt, in_dollars;
    int64_t time_us;
    size_t items, unusable;
    double errors, floor, ece_before, ece_after, ece_chance, brier_before,
        brier_after;
    double threshold, share, quality, llm_quality, cost, llm_cost;
    double apgr, aiq, cpt50, cpt80;
};

struct evaluate_item {
    int64_t example, call;
    uint64_t cluster;
    struct buf request;   /* JSON */
    struct buf logged;    /* assistant message, JSON */
    struct buf reference; /* from an outcome; empty: the logged answer */
    struct buf gold;      /* from the gold file; empty: none */
    bool unseen;          /* train has not seen what it is about */
    enum evaluate_target target;
    bool measured; /* the LLM's score is its self-agreement */
    size_t calls;  /* that it stands for: itself and its duplicates */
    int64_t latency_us, tokens_in, tokens_out;
    struct score scores[EVALUATE_WHOS];
    double golds[EVALUATE_WHOS];
    struct buf answers[EVALUATE_WHOS]; /* messages of base and tuned */
};

struct evaluate_result {
    int64_t task;
    char *task_name, *llm;
    enum score_kind kind;
    char split;
    struct evaluate_item *items;
    size_t count, cap;
    size_t rejected;       /* items left out: see evaluate_target */
    size_t unscrubbed;     /* as well */
    size_t trained_on;     /* of the split: left out, the model has seen them */
    bool empty;            /* no item is left */
    size_t from_outcomes;  /* items whose reference is an outcome */
    size_t by_text;        /* SQL items that could not be executed */
    size_t gold_count;     /* items with a gold answer */
    size_t repeated;       /* inputs that the LLM answered more than once */
    size_t retried_inputs; /* of these, again within a minute in one
                            * conversation: awkward ones, more often than not */
    double self_agreement; /* over those; 1 if there are none */
    struct score_interval self_interval;
    int64_t model;         /* id; 0: not registered */
    int64_t sealed_before; /* openings of this seal before; -1: not sealed */
    size_t seen_by;        /* models for which the task's test was opened */
    size_t max_tokens;
    size_t refused; /* items that could not be rendered or are too long */
    bool asked;     /* the answers are an endpoint's */
    size_t failed;  /* of its requests: they count as wrong */
    const char *failed_why; /* of the first of these; NULL: none */
    size_t known;           /* answers kept from before, or of a repeat here */
    struct evaluate_judge judge;
    double llm_tokens_in, llm_tokens_out; /* means, NaN unknown */
    const struct score_price *price;      /* of the LLM; NULL unknown */
    char **labels; /* that constrained answers are of; see options */
    size_t label_count;
    unsigned json_depth;      /* that they are documents of; 0: unknown */
    size_t constrained;       /* items whose answer (tuned) had a form */
    const char *unknown_call; /* name of a template whose calls are not known,
                               * so that answers with tools were free; NULL */
    struct evaluate_column columns[EVALUATE_WHOS];
    struct evaluate_reason reasons[EVALUATE_REASONS]; /* tuned, by count */
    size_t reason_count;
    double *latencies; /* of single requests to the tuned model, ms */
    size_t latency_count;
    struct score_gate gate;
    struct evaluate_calibration calibration; /* the caller's to read */
    const char *weights; /* how matrices were kept; static. NULL: not here */
    char inputs[33];     /* hash of all that it depends on */
    int64_t reused;      /* when it was made (us); 0: just now */
    char **words;        /* texts of a result that was loaded */
    size_t word_count;
};

/* Evaluate one task. With split 's' the seal is written before an item is
 * read. ERR_NOTFOUND if the split has no items; then out->empty, out->task_name
 * is set, and out is to be released all the same. Any other failure leaves out
 * as it was. With opt->reuse a stored result of equal inputs is loaded instead:
 * no model is asked and no seal opened, since its own was written then; such a
 * result is not to be saved again. */
MUST_CHECK int evaluate_task(struct store *s, int64_t task,
                             const struct evaluate_model *model,
                             const struct evaluate_options *opt,
                             struct evaluate_result *out, struct err *err);
void evaluate_result_release(struct evaluate_result *r);
/* Items on which the tuned model disagrees with its reference, those that tell
 * most first, at most n: one of each reason in turn, the frequent ones first,
 * and of one reason those that are furthest apart. Indices into r->items;
 * returns the count. */
size_t evaluate_telling(const struct evaluate_result *r, size_t *out, size_t n);
/* The labels of one side's answers beside the references; the caller frees
 * them. */
struct score_labels *evaluate_labels(const struct evaluate_result *r,
                                     enum evaluate_who who);
/* Into tables evaluation and evaluation_item; detail: JSON for others. */
MUST_CHECK int evaluate_save(struct store *s, const struct evaluate_result *r,
                             struct slice detail, struct err *err);

/* The model answers the task's validation examples as it is served, and what
 * the router needs to know of its errors becomes its calibration. floor: how
 * far (0..1) the mix of model and LLM may lie below the LLM. Of opt count
 * limit, batch, seed, constrain, prices, machine_dollars_per_hour, compute,
 * progress, and reuse: a calibration of equal inputs stays. ERR_NOTFOUND: no
 * example, or no usable answer. ERR_INVALID: the model is not registered, or
 * another task's. */
MUST_CHECK int evaluate_calibrate(struct store *s, int64_t task,
                                  const struct evaluate_model *model,
                                  const struct evaluate_options *opt,
                                  double floor, struct err *err);
/* Not present: it has none. */
MUST_CHECK int evaluate_calibration_read(struct store *s, int64_t model,
                                         struct evaluate_calibration *out,
                                         struct err *err);

/* At most `limit` validation examples of a task, always the same ones, as a
 * measure of models in memory. ERR_NOTFOUND if there are none. */
struct model;
struct evaluate_sample;
MUST_CHECK int evaluate_sample_open(struct store *s, int64_t task, size_t limit,
                                    uint64_t seed, struct evaluate_sample **out,
                                    struct err *err);
void evaluate_sample_close(struct evaluate_sample *e); /* NULL is fine */
size_t evaluate_sample_count(const struct evaluate_sample *e);
const char *evaluate_sample_task(const struct evaluate_sample *e);
/* The task's metric for each example, NaN for one that nobody can judge;
 * greedy, kept to its form as by evaluate_task. dir: tokenizer and template. */
MUST_CHECK int evaluate_sample_run(struct evaluate_sample *e, struct model *m,
                                   const char *dir, double *scores,
                                   struct err *err);
/* What became of the scores: means over the examples judged both times. */
struct evaluate_drop {
    double before, after;
    size_t judged;
};
void evaluate_drop_sum(const double *before, const double *after, size_t count,
                       struct evaluate_drop *out);
/* The mean fell by no more than the limit, or by no more than one example is
 * worth: a single answer that came out otherwise says nothing. */
bool evaluate_drop_is_within(const struct evaluate_drop *d, double limit);

/* Its name, or its number if it has none; the caller frees it. */
char *evaluate_task_name(struct store *s, int64_t task);
/* What answers of this task to this request are kept to, as evaluate_task
 * would; *out NULL: nothing. */
struct constrain;
struct constrain_vocab;
struct template;
MUST_CHECK int evaluate_task_form(struct store *s, int64_t task,
                                  const struct template *t,
                                  const struct constrain_vocab *v,
                                  const struct json *request,
                                  struct constrain **out, struct err *err);

/* The same for all requests of the task that do not say themselves: one of
 * these labels, or a document nested so deeply; 0: nothing is known. Release
 * it. */
struct evaluate_content {
    char **labels;
    size_t label_count;
    unsigned json_depth;
};
MUST_CHECK int evaluate_content_read(struct store *s, int64_t task,
                                     struct evaluate_content *out,
                                     struct err *err);
void evaluate_content_release(struct evaluate_content *c);

/* Tasks that are evaluated when none is named: those with a tuned model.
 * *ids: caller frees. */
MUST_CHECK int evaluate_tasks(struct store *s, int64_t **ids, size_t *count,
                              struct err *err);

#endif

/*
 * lora.h - training: adapters or whole models, resumable to the bit
 *
 * Data are documents of token ids with a mask; documents are packed without
 * padding and never see each other. A step's loss is the mean over all
 * trained tokens of its whole batch, however it is cut into passes. What a
 * run computes depends on its options, data, base and kernels, not on the
 * number of threads, nor on how often it was killed and resumed.
 * May use: base json compute weights tokenizer template model.
 */
#ifndef LORA_H
#define LORA_H

#include "base/progress.h"
#include "model/model.h"

#include <stdio.h>

/* Documents, one after another. */
struct lora_data {
    int32_t *ids;
    unsigned char *mask; /* 1: this token is trained (predicted) */
    size_t tokens, cap_ids, cap_mask;
    size_t *starts; /* docs + 1 once there is one */
    size_t docs, cap_starts;
    size_t trained; /* tokens whose mask is 1, first tokens apart */
    /* Documents that are drawn together: 0 and 1: each alone; 2: pairs of a
     * chosen and a rejected answer. */
    size_t unit;
    /* What a teacher gave for each token: its `top` best ids, then negative
     * ones, with their log probabilities; top 0: there is none. */
    size_t top;
    int32_t *top_ids;
    float *top_logp;
    size_t cap_top_ids, cap_top_logp;
};
#define LORA_TOP 20 /* ids of a teacher that are kept at most */
/* What the teacher gave for the last document's tokens: n ids in `rows` rows of
 * `top`; the others have none. */
void lora_data_teach(struct lora_data *d, size_t from, const int32_t *ids,
                     const float *logp, size_t rows, size_t top);
/* Append a document: tokens from `from` on are trained (mask NULL), or those
 * with mask 1. A document's first token is never predicted. */
void lora_data_add(struct lora_data *d, const int32_t *ids,
                   const unsigned char *mask, size_t from, size_t n);
/* Keep every n-th document, the smallest n with which they hold at most so
 * many tokens; n is cut so that `docs` stay. Returns n. */
size_t lora_data_thin(struct lora_data *d, size_t tokens, size_t docs);
void lora_data_release(struct lora_data *d);
/* The same for the same documents in the same order. */
uint64_t lora_data_hash(const struct lora_data *d);

/* Reading training data. An example that cannot be used is counted by its
 * reason, never guessed at. */
struct tokenizer;
struct template;
/* Why examples are left out: texts that differ in numbers alone are one. */
#define LORA_MAX_REASONS 32
struct lora_reason {
    char text[256]; /* of the first one */
    size_t count;
};
struct lora_reader {
    const struct tokenizer *tokenizer;
    const struct template *template; /* NULL: only plain text */
    int32_t eos;                     /* ends a plain text; negative: none */
    size_t max_length;               /* tokens of a document */
    bool answers_only;               /* train what the assistant says */
    bool cut;      /* over-long calls lose their oldest turns after the system
                      prompt, whole ones, until they fit; never their answer */
    bool logprobs; /* take the logged log probabilities, where they fit */
    /* Counts. */
    size_t read, over_long, refused, malformed;
    size_t shortened;        /* cut, among those that were used */
    size_t taught, untaught; /* answers with log probabilities that fit the
                              * tokenizer, and not */
    struct lora_reason reasons[LORA_MAX_REASONS]; /* in order of appearance */
    size_t reason_count, other_reasons; /* examples for which there was no room
                                         * in reasons */
};
/* A file of texts: JSON Lines with {"text": ...} or {"messages": [...]} (name
 * ends in .jsonl), else plain text whose documents are separated by blank
 * lines. Texts longer than max_length are cut into documents that overlap by
 * one token. Every `every`-th text goes to `held` (0: none). */
MUST_CHECK int lora_read_file(struct lora_reader *r, const char *path,
                              size_t every, struct lora_data *out,
                              struct lora_data *held, struct err *err);
/* One logged call: an OpenAI request and response (or an assistant message),
 * JSON. Its answer is trained. *added false: counted in r as refused. */
MUST_CHECK int lora_read_call(struct lora_reader *r, struct slice request,
                              struct slice response, struct lora_data *out,
                              bool *added, struct err *err);

/* Answers to the same prompt, gathered for preferences. */
enum lora_verdict { LORA_LOGGED, LORA_GOOD, LORA_BAD };
struct lora_answers {
    struct lora_data data;
    struct lora_answer {
        uint64_t prompt, answer; /* hashes */
        size_t begin, n, from, order, times;
        enum lora_verdict verdict;
    } * list;
    size_t count, cap;
};
/* Encode one call's answer as lora_read_call does and keep it; times: how
 * often it was given. */
MUST_CHECK int lora_answers_add(struct lora_answers *a, struct lora_reader *r,
                                struct slice request, struct slice response,
                                enum lora_verdict verdict, size_t times,
                                bool *added, struct err *err);
struct lora_pair_counts {
    size_t outcomes, contradictions; /* where the rejected answers come from */
};
/* Pairs: chosen is the good answer of a prompt, else the logged one that was
 * given more often than any other; rejected is each bad one and each other
 * logged one. Documents of *out are pairs then. */
void lora_answers_pair(const struct lora_answers *a, struct lora_data *out,
                       struct lora_pair_counts *counts);
void lora_answers_release(struct lora_answers *a);

enum lora_method { LORA_ADAPTER, LORA_FULL };

/* Zero means the default named. */
struct lora_options {
    enum lora_method method;
    int64_t rank;        /* 16 */
    double alpha;        /* 2 * rank */
    const char *targets; /* as in model_adapter; "all-linear" */
    bool rslora;         /* scale alpha / sqrt(rank), not alpha / rank */
    bool dora;
    double lr;                /* LORA_ADAPTER 1e-3, LORA_FULL 1e-3 */
    double decay;             /* 0.01; negative: none */
    double clip;              /* 1 */
    double beta2;             /* 0.999 */
    double epochs;            /* 3, if there is no other limit */
    int64_t max_tokens;       /* of training; 0: by epochs */
    double minutes;           /* the number of steps is fixed from the speed of
                                 the first ones; 0: by epochs */
    int64_t batch_tokens;     /* of one step: 8192 */
    int64_t pass_tokens;      /* of one pass: 4096 */
    double warmup;            /* share of the steps: 0.03, at least 5 steps */
    double final_lr;          /* share of lr at the end: 0 */
    int64_t validate_every;   /* steps; an eighth of the run, at least 10 */
    int64_t patience;         /* validations without gain: 3; -1: no limit */
    double checkpoint_s;      /* seconds between checkpoints: 60 */
    int64_t checkpoint_every; /* steps; 0: by time alone */
    uint64_t seed;
    double beta;           /* of preferences, where the data are pairs: 0.1 */
    struct model *teacher; /* on the same device; NULL: what the data have */
    double temperature;    /* 1 */
    double mix;            /* share of the teacher: 0.5; negative: none */
    const char *name;      /* of the base, for messages */
};

struct lora_result {
    uint64_t steps, total_steps, tokens, trained_tokens;
    double train_loss;            /* of the last step */
    double first_loss, best_loss; /* validation; NAN without data */
    uint64_t best_step;
    double seconds, tokens_per_s; /* over all sessions; of this one */
    bool stopped_early, resumed;
    uint64_t hash; /* of the trained values */
};

/* One word for what a run computes: the base that m is, the data and the
 * options (defaults filled in), not the kernels. Before m is trained. */
uint64_t lora_run_hash(struct model *m, struct compute *compute,
                       const struct lora_data *train,
                       const struct lora_data *valid,
                       const struct lora_options *opt);

/* Fill the zeroes of *o in. */
void lora_defaults(struct lora_options *o);

/* Memory that a run will take, in bytes; m is open and not yet trained. */
struct lora_memory {
    size_t weights;     /* as they are now, a teacher's too */
    size_t trained;     /* what is trained, as far as not yet there, and its
                           gradients */
    size_t optimizer;   /* two moments, and the best values so far */
    size_t activations; /* of the largest pass */
    size_t scratch;     /* chunks of logits, packed weights */
    size_t checkpoint;  /* while one is written */
    size_t program;     /* all else that is resident now, data included */
    size_t total;
    size_t rows, docs, labelled; /* of the largest pass */
    size_t longest;              /* document */
};
void lora_memory(struct model *m, const struct lora_data *train,
                 const struct lora_data *valid, /* NULL: none */
                 const struct lora_options *opt, struct lora_memory *out);
/* Its activations, were the largest pass one document of so many rows. */
size_t lora_activations(struct model *m, const struct lora_options *opt,
                        size_t rows);
/* What opening the base of m again, merging into it and writing the result as
 * dtype takes besides the rest of the program. */
size_t lora_merge_memory(const struct model *m, enum weights_type dtype);
/* Resident bytes of this process, now and at most so far. */
size_t lora_resident(void);
size_t lora_peak(void);
/* Steps that these options give; 0 for a run in minutes. */
uint64_t lora_steps(const struct lora_data *train,
                    const struct lora_options *opt);

/* Train m (an adapter is attached here, if the method is LORA_ADAPTER and m has
 * none yet). run_dir
 * holds run.json, metrics.jsonl and checkpoint.safetensors; a checkpoint found
 * there is continued, or refused (ERR_INVALID) if options, data, base or
 * kernels differ. A finished run returns at once. Interrupted: a checkpoint is
 * written, ERR_INTERRUPTED. A loss that is not finite, or far above where it
 * began, ends the run with ERR_LIMIT and the last good checkpoint kept; one
 * that is not finite before the first step is the base's: ERR_FORMAT. No token
 * to train on: ERR_NOTFOUND. A damaged checkpoint: ERR_FORMAT. On success m
 * holds the best values. valid may be empty. */
MUST_CHECK int lora_train(struct model *m, struct compute *compute,
                          const struct lora_data *train,
                          const struct lora_data *valid,
                          const struct lora_options *opt, const char *run_dir,
                          const struct progress *progress,
                          struct lora_result *out, struct err *err);

/* Mean loss over the trained tokens. */
MUST_CHECK int lora_loss(struct model *m, const struct lora_data *d,
                         size_t pass_tokens, double *out, struct err *err);

/* adapter_config.json and adapter_model.safetensors as PEFT reads them; dir
 * is made. base: base_model_name_or_path. */
MUST_CHECK int lora_save_adapter(const struct model *m,
                                 const struct lora_options *opt,
                                 const char *base, const char *dir,
                                 struct err *err);
/* Merge the adapter (if any) into the weights and write a directory that
 * stands alone; tokenizer files and template are copied from base_dir. */
MUST_CHECK int lora_save_merged(struct model *m, const char *base_dir,
                                enum weights_type dtype, const char *dir,
                                struct err *err);
/* The small files beside a model's weights (tokenizer, template, generation
 * settings, licence), as far as it has them, into dir. */
MUST_CHECK int lora_copy_parts(const char *model, const char *dir,
                               struct err *err);

#endif

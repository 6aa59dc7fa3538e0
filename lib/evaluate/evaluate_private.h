/* evaluate_private.h - between the files of evaluate */
#ifndef EVALUATE_PRIVATE_H
#define EVALUATE_PRIVATE_H

#include "evaluate/evaluate.h"

/* Items of the split with references, and what train has seen. */
int evaluate_items_load(struct store *s, const struct evaluate_options *opt,
                        struct evaluate_result *r, struct err *err);
/* Its reference is one; else nobody answers it, and it is left out. */
bool evaluate_item_is_judged(const struct evaluate_item *it);
/* Gold answers by response id. */
int evaluate_gold_load(struct store *s, const char *path,
                       struct evaluate_result *r, struct err *err);
/* self_agreement, self_interval and repeated. */
int evaluate_self_agreement(struct store *s, uint64_t seed,
                            struct evaluate_result *r, struct err *err);
/* out: 32 hexadecimal digits and a NUL. r: its task and kind. */
int evaluate_inputs(struct store *s, const struct evaluate_result *r,
                    const struct evaluate_model *model,
                    const struct evaluate_options *opt, char out[33],
                    struct err *err);
/* The newest stored result of r->inputs into r. 1: done; 0: there is none, or
 * not whole, and r is as it was. */
int evaluate_reuse(struct store *s, const struct evaluate_options *opt,
                   struct evaluate_result *r, struct err *err);
/* All but the items as JSON; false: not such a document. */
void evaluate_record_write(const struct evaluate_result *r, struct buf *out);
bool evaluate_record_read(struct slice text, struct evaluate_result *r);
/* A text that lives as long as r. */
const char *evaluate_word(struct evaluate_result *r, struct slice text);
/* Answers, loss and timing of one model. */
int evaluate_answers(struct store *store, struct evaluate_result *r,
                     enum evaluate_who who, const char *dir,
                     const char *adapter, const struct evaluate_options *opt,
                     struct err *err);
/* The answer that the item has, against its reference and its gold. */
void evaluate_answer_score(const struct evaluate_result *r,
                           struct evaluate_item *it, enum evaluate_who who,
                           bool malformed, uint64_t seed);
/* The LLM's, after its self_agreement. */
void evaluate_llm_score(struct evaluate_result *r, uint64_t seed);
/* Answers of an endpoint, as the tuned model's. */
int evaluate_endpoint(struct store *s, struct evaluate_result *r,
                      struct ask *ask, const struct evaluate_options *opt,
                      struct err *err);
/* One answer by what was asked of whom; found false: it is not there. */
int evaluate_cache_get(struct store *s, const unsigned char key[16],
                       struct buf *answer, bool *found, struct err *err);
int evaluate_cache_put(struct store *s, const unsigned char key[16],
                       int64_t example, struct slice answer, struct err *err);
/* The oldest go where there are more than EVALUATE_CACHED. */
#define EVALUATE_CACHED 200000
int evaluate_cache_trim(struct store *s, struct err *err);

/* What a model here answered before. NULL stands for nothing. */
struct evaluate_known;
struct evaluate_prompt {
    const struct evaluate_item *item;
    const int32_t *ids;
    size_t count, room; /* room: tokens of an answer */
    int32_t stop;
};
struct evaluate_known_answer {
    int32_t *ids; /* of get: the caller's */
    size_t count;
    int64_t generated; /* tokens, a stop token too */
    double seconds;    /* its share of its batch */
};
int evaluate_known_open(struct store *s, const struct evaluate_result *r,
                        const struct evaluate_options *opt, const char *dir,
                        const char *adapter, struct evaluate_known **out,
                        struct err *err);
void evaluate_known_close(struct evaluate_known *k);
/* 1: it is known; 0: it is not. */
int evaluate_known_get(const struct evaluate_known *k,
                       const struct evaluate_prompt *p,
                       struct evaluate_known_answer *out, struct err *err);
/* After puts comes settle, before other rows are written: rc is what they and
 * the rest gave, and is returned; a failure undoes them. */
int evaluate_known_put(const struct evaluate_known *k,
                       const struct evaluate_prompt *p,
                       const struct evaluate_known_answer *answer,
                       struct err *err);
int evaluate_known_settle(const struct evaluate_known *k, int rc,
                          struct err *err);
/* Of the bytes of a model and its adapter (NULL: none). */
int evaluate_model_digest(const char *dir, const char *adapter,
                          unsigned char out[16], struct err *err);

/* r->gate, of items that are scored. */
void evaluate_gate(struct evaluate_result *r,
                   const struct evaluate_options *opt);
/* r->judge, of items that are scored. */
int evaluate_judge_run(struct evaluate_result *r, struct ask *ask,
                       const struct evaluate_options *opt, struct err *err);
/* The verdict becomes the judge's where that is worse and counts. */
void evaluate_judge_gate(struct evaluate_result *r);
/* Answers alone, of a model in memory; dir: its tokenizer and template. */
int evaluate_answers_of(struct evaluate_result *r, struct model *m,
                        const char *dir, const struct evaluate_options *opt,
                        struct err *err);
/* The assistant message of a chat completion, appended to *out; false if
 * there is none. */
bool evaluate_message(struct slice response, struct buf *out);

/* Forms that answers are kept to. At most so many labels of so many bytes. */
#define EVALUATE_FORM_ROOM 1024 /* tokens more for forms, at most */
#define EVALUATE_LABELS 256
#define EVALUATE_LABEL_BYTES 200
#define EVALUATE_LABEL_ODDS 500 /* examples for one label that is seen once */
struct evaluate_forms;
struct constrain;
struct tokenizer;
/* r->labels: the answers of a label task's train split, if they are few and
 * hardly one is seen only once; r->json_depth: of a JSON task whose answers
 * there are documents. */
int evaluate_content_learn(struct store *s, struct evaluate_result *r,
                           struct err *err);
/* Borrows the template. */
int evaluate_forms_open(const struct evaluate_result *r,
                        const struct tokenizer *t,
                        const struct template *template,
                        struct evaluate_forms **out, struct err *err);
void evaluate_forms_close(struct evaluate_forms *f);
/* Between batches, when no form is in use. */
void evaluate_forms_trim(struct evaluate_forms *f);
/* task, task_name and kind of r. */
int evaluate_task_read(struct store *s, int64_t task, struct evaluate_result *r,
                       struct err *err);
/* NULL: the answer is free, also where f is NULL. Owned by f. */
struct constrain *evaluate_form_of(struct evaluate_forms *f,
                                   const struct evaluate_item *it);

#endif

/*
 * model_artifact.h - what slmctl writes is read again and compared
 *
 * Logits of the model that was written, loaded anew from its files, against
 * those of the model it was made from, on a few prompts. What differs too much
 * is marked bad: it gets the ending ".bad".
 */
#ifndef MODEL_ARTIFACT_H
#define MODEL_ARTIFACT_H

#include "artifact_score.h"
#include "cmd.h"
#include "model/model.h"

/* Prompts as ids, and the logits that a model gives for them. */
struct artifact_prompts {
    int32_t **ids;
    size_t *lengths, count;
};
/* Lines of the file, or, without one, built-in texts; ids drawn from the
 * seed where the model has no tokenizer. */
MUST_CHECK int artifact_prompts_read(const char *model,
                                     const struct model_config *c,
                                     const char *file,
                                     struct artifact_prompts *out,
                                     struct err *err);
/* Copies of n ids. */
void artifact_prompts_add(struct artifact_prompts *p, const int32_t *ids,
                          size_t n);
void artifact_prompts_release(struct artifact_prompts *p);

/* Largest difference over the largest logit; mean of KL(before || after) in
 * nats; share of positions with the same best token. */
struct artifact_report {
    double largest, kl, top1;
    size_t positions;
};
/* count x vocab logits of every prompt, one after the other; freed by the
 * caller. ERR_FORMAT: they are not all finite. */
MUST_CHECK int artifact_logits(struct model *m,
                               const struct artifact_prompts *p, float **out,
                               struct err *err);
void artifact_compare(const struct artifact_prompts *p, size_t vocab,
                      const float *before, const float *after,
                      struct artifact_report *out);

/* The model at dir, with the adapter if it is not NULL, loaded anew and
 * compared with `before`, the vocab-wide logits of those prompts. */
struct artifact_source {
    struct compute *compute;
    const char *dir, *adapter;
    const char *name; /* its place once it agrees; NULL: where it is */
    bool widen;
    const enum compute_quant *quantise; /* NULL: weights as they are stored */
    struct artifact_score *score; /* NULL, or what before was scored with */
};
MUST_CHECK int artifact_read_back(const struct artifact_source *s,
                                  const struct artifact_prompts *p,
                                  const float *before, size_t vocab,
                                  struct artifact_report *out, struct err *err);
/* The report's numbers are finite and no worse than the limit. */
bool artifact_agrees(const struct artifact_report *r, double limit);

/* The largest mean KL that a type may cost. */
double artifact_threshold(enum weights_type type);
/* Of a model of block type t at path: " (14 of 37 matrices as Q8_0: their rows
 * are no multiple of 256)", nothing if all are of whole blocks, or if the model
 * cannot be read. */
void artifact_types_print(const char *path, enum weights_type t,
                          struct buf *out);
/* Renames what was written, for now or for good under that name, to NAME.bad
 * (NAME.bad-2 if that is a directory already); *out (the new name) is the
 * caller's. */
MUST_CHECK int artifact_mark_bad(const char *written, const char *name,
                                 char **out, struct err *err);

/* For io_tree_begin: a file that slmctl writes into a model's or an adapter's
 * directory; none at all. */
bool artifact_is_part(const char *name);
bool artifact_nothing_goes(const char *name);

/* Do the tokenizers of two models give the same ids for the built-in texts?
 * ERR_UNSUPPORTED with the text that differs; 0 if the first has none. */
MUST_CHECK int artifact_compare_tokens(const char *before, const char *after,
                                       struct err *err);

#endif

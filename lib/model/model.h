/*
 * model.h - decoder transformers: load, forward, generate
 *
 * Model code sees only opaque compute buffers and the operation table, never
 * float *: the same forward and backward run on a CPU or behind a plugin. A
 * family is a table entry, not a fork. So far: Llama-type. An unknown
 * architecture is refused with the list of known ones.
 * May use: base json compute weights tokenizer.
 */
#ifndef MODEL_H
#define MODEL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "weights/weights.h"

#include <stdint.h>

/* config.json, both spellings. */
struct model_config {
    char family[32]; /* "llama" */
    int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim, context;
    double norm_eps, rope_theta;
    bool tied;      /* output head = embedding */
    bool attn_bias, mlp_bias;
    double init_range;
    int32_t bos, eos[8];
    unsigned eos_count;
    enum weights_type stored; /* dtype named in the config */
};
MUST_CHECK int model_config_read(const char *dir_or_file,
                                 struct model_config *out, struct err *err);
/* The parameter count that the shapes give. */
int64_t model_config_parameters(const struct model_config *c);

struct model;
struct compute;

/* Weights of a Hugging Face directory; adapter: a PEFT directory or NULL. */
MUST_CHECK int model_load(const char *dir, const char *adapter,
                          struct compute *compute, struct model **out,
                          struct err *err);
void model_free(struct model *m);
const struct model_config *model_config(const struct model *m);

/* Logits of every position: ids is one sequence of n tokens; out n x vocab,
 * row-major, on the host. */
MUST_CHECK int model_logits(struct model *m, const int32_t *ids, size_t n,
                            float *out, struct err *err);
/* Sum of -log p over positions from..n-1 (each predicted from those before
 * it; from >= 1). Logits are never stored whole. */
MUST_CHECK int model_nll(struct model *m, const int32_t *ids, size_t n,
                         size_t from, double *out, struct err *err);

struct model_sampling {
    double temperature; /* 0: greedy (the smallest id wins a tie) */
    double top_p;       /* 0 or 1: off */
    int64_t top_k;      /* 0: off */
    uint64_t seed;
    size_t max_tokens;
    const int32_t *stops; /* besides the config's eos */
    size_t stop_count;
    bool ignore_eos;
};
/* Generate for one prompt with a KV cache. on_token (may be NULL) sees each
 * id as it comes; returning nonzero ends the generation. Appends the ids
 * (stop token not included) to out/out_count (room for max_tokens);
 * *finished tells a stop token from max_tokens; nll (may be NULL) receives
 * the sum of -log p of what was generated. */
MUST_CHECK int model_generate(struct model *m, const int32_t *prompt,
                              size_t n, const struct model_sampling *opt,
                              int (*on_token)(void *ctx, int32_t id),
                              void *ctx, int32_t *out, size_t *out_count,
                              bool *finished, double *nll, struct err *err);

/* A batch of prompts at once; faster than one by one, same tokens. */
struct model_job {
    const int32_t *prompt;
    size_t prompt_count;
    int32_t *out; /* room for max_tokens */
    size_t out_count;
    bool finished;
    double seconds; /* from the batch's start to this answer's end */
};
MUST_CHECK int model_generate_batch(struct model *m, struct model_job *jobs,
                                    size_t count,
                                    const struct model_sampling *opt,
                                    const struct progress *progress,
                                    struct err *err);

#endif

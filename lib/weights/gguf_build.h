/* gguf_build.h - private to lib/weights: writing a GGUF file */
#ifndef GGUF_BUILD_H
#define GGUF_BUILD_H

#include "json/json.h"
#include "weights/gguf_internal.h"

#define GGUF_SCALES 5 /* runs of rows with factors of their own, at most */

/* A tensor to write: values of `from` times factor plus shift, or -exp of
 * them, rows permuted for `heads` heads (0: not); rows[i] rows of `from`, one
 * run after the other, times scales[i] (rows[0] 0: none). */
struct gguf_item {
    char *name;
    enum weights_type type;
    struct weights_tensor from; /* data borrowed */
    float factor, shift;
    bool decay;
    size_t heads;
    size_t rows[GGUF_SCALES];
    float scales[GGUF_SCALES];
};

/* Zeroed is empty. */
struct gguf_build {
    struct buf entries;
    uint64_t entry_count;
    struct gguf_item *items;
    size_t item_count, item_cap;
    unsigned threads; /* that quantise; 0: one per CPU */
};

void gguf_put_string(struct gguf_build *g, const char *key, struct slice s);
void gguf_put_u32(struct gguf_build *g, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_build *g, const char *key, float v);
void gguf_put_bool(struct gguf_build *g, const char *key, bool v);
void gguf_put_strings(struct gguf_build *g, const char *key,
                      const struct slice *s, size_t n);
void gguf_put_floats(struct gguf_build *g, const char *key, const float *x,
                     size_t n);
void gguf_put_ints(struct gguf_build *g, const char *key, const int32_t *x,
                   size_t n);
/* name is taken over; factor 1. Valid until the next one is added. */
struct gguf_item *gguf_add(struct gguf_build *g, char *name,
                           enum weights_type type,
                           const struct weights_tensor *from);
MUST_CHECK int gguf_build_write(const struct gguf_build *g, const char *path,
                                struct err *err);
void gguf_build_release(struct gguf_build *g);

/* What GGUF keeps as part of the weights. */
struct gguf_multipliers {
    bool on; /* any is not 1 */
    double embed, head, in, key, out, mlp[2], ssm_in, ssm_out, ssm[5];
    size_t ssm_rows[5];
};

/* Metadata from a model's small files. gguf_put_config also gives tensors
 * that are no weights (factors of RoPE); their data are owned by *extra.
 * query: what queries are multiplied with, so that the attention scale that
 * the architecture stands for gives the model's; 0: nothing. */
struct gguf_extra {
    float *freqs, *longs, *shorts;
    float query;
    int64_t layers;            /* of a hybrid */
    int64_t groups;            /* of Mamba's norms */
    struct gguf_multipliers m; /* of Falcon-H1 */
};
MUST_CHECK int gguf_put_config(struct gguf_build *g,
                               const struct gguf_arch *arch,
                               const struct json *config,
                               const struct weights *w,
                               struct gguf_extra *extra, struct err *err);
/* vocab: rows of the embedding; missing tokens are padded up to there. */
MUST_CHECK int gguf_put_tokenizer(struct gguf_build *g, const char *model,
                                  const struct json *config, size_t vocab,
                                  struct err *err);

/* gguf_pre.c: tokenizer.ggml.pre for a splitting pattern (empty: GPT-2's
 * own) with digits apart or not; NULL if there is no name for it. */
const char *gguf_pre_name(struct slice regex, bool digits, bool ignore_merges);

#endif

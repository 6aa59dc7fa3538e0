/*
 * model.h - decoder transformers: load, forward, generate; BERT encoders,
 * texts to vectors
 *
 * Model code sees only opaque compute buffers and the operation table, never
 * float *: the same forward and backward run on a CPU or behind a plugin. A
 * family is a table entry, not a fork. An unknown architecture is refused with
 * the list of known ones.
 * May use: base json crypto regex compute weights tokenizer constrain.
 */
#ifndef MODEL_H
#define MODEL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/progress.h"
#include "compute/compute.h"
#include "constrain/constrain.h"
#include "crypto/crypto.h"
#include "weights/weights.h"

#include <stdint.h>

/* Limits on what a config may claim. */
#define MODEL_MAX_LAYERS 1024
#define MODEL_MAX_DIM ((int64_t)1 << 20) /* hidden, ffn, heads * dim */
#define MODEL_MAX_VOCAB ((int64_t)1 << 24)
#define MODEL_MAX_CONTEXT ((int64_t)1 << 24)
#define MODEL_MAX_PARAMETERS ((int64_t)1 << 40)

#define MODEL_MAX_HEAD_DIM 1024
#define MODEL_HASH_BYTES 16

enum model_rope {
    MODEL_ROPE_DEFAULT,
    MODEL_ROPE_LINEAR,
    MODEL_ROPE_LLAMA3,
    MODEL_ROPE_LONGROPE,
    MODEL_ROPE_YARN,
    MODEL_ROPE_DYNAMIC /* beyond the context; within it, the default */
};
enum model_norm_kind {
    MODEL_NORM_RMS,
    MODEL_NORM_RMS_SHIFTED, /* times 1 + w */
    MODEL_NORM_LAYER        /* mean taken off, with a bias */
};
enum model_qk_norm { MODEL_QK_NONE, MODEL_QK_HEAD, MODEL_QK_WHOLE };
enum model_act {
    MODEL_ACT_SILU,
    MODEL_ACT_GELU_TANH,
    MODEL_ACT_RELU2,
    MODEL_ACT_GELU /* with erf */
};

/* What a layer is, with bits of how its attention differs. */
enum model_layer_kind {
    MODEL_LAYER_ATTENTION, /* and all there is in a layer of this family */
    MODEL_LAYER_RECURRENT, /* the family's other mixer in attention's place */
    MODEL_LAYER_MLP,
    MODEL_LAYER_KINDS
};
#define MODEL_LAYER_KIND 3   /* mask */
#define MODEL_LAYER_WINDOW 4 /* attention sees config.window positions */
#define MODEL_LAYER_NOPE 8   /* attention without positions */

/* Shapes of the mixers that stand in attention's place. */
struct model_mamba_config { /* Mamba-2 */
    int64_t heads, head_dim, groups, state, conv;
    bool conv_bias, proj_bias, out_bias;
    bool norm;             /* gated RMS norm before the output, by group */
    bool norm_first;       /* the norm before the gate, not after */
    double dt_min, dt_max; /* limits of the time step; dt_max may be INFINITY */
    double in_scale, out_scale, scales[5]; /* scales: of z, x, B, C, dt; 0: 1 */
};
struct model_conv_config { /* short convolution */
    int64_t length;
    bool bias;
};
struct model_delta_config { /* gated delta net */
    int64_t key_heads, value_heads, key_dim, value_dim, conv;
};

/* config.json, both spellings. Zero means what Llama does. */
struct model_config {
    char family[32]; /* model_type: "llama" */
    int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim, context;
    double norm_eps, rope_theta;
    bool tied;                /* output head = embedding */
    bool attn_bias, mlp_bias; /* attn_bias: q, k, v and o */
    bool qkv_bias, head_bias; /* qkv_bias: q, k and v alone */
    bool attn_gate;           /* o is multiplied by a gate beside q */
    enum model_norm_kind norm;
    enum model_qk_norm qk_norm;
    enum model_act act;
    uint8_t layer[MODEL_MAX_LAYERS]; /* kind and bits of each */
    int64_t window;
    double embed_scale, residual_scale, logit_scale; /* 0: 1 */
    double attn_scale;                               /* 0: 1/sqrt(head_dim) */
    double attn_softcap, logit_softcap;              /* 0: off */
    double q_scale, k_scale, v_scale, gate_scale, up_scale; /* of what the
                                          layers of these names give; 0: 1 */
    struct model_mamba_config mamba;
    struct model_conv_config conv;
    struct model_delta_config delta;
    double init_range;
    int32_t bos, eos[8];
    int32_t pad; /* -1: null, -2: the config does not say */
    unsigned eos_count;
    enum weights_type stored; /* dtype named in the config */
    bool nf4;                 /* stored as 4-bit blocks of bitsandbytes */
    char whole[48]; /* architecture that this is the text part of; "" */
    enum model_rope rope;
    double rope_factor;
    double rope_low, rope_high; /* llama3: frequency factors; yarn: rotations
                                   (beta_slow, beta_fast) */
    int64_t rope_original;      /* but for linear: original context */
    int64_t rotary;             /* elements of a head that turn; 0: all */
    double rope_local;          /* theta of windowed layers; 0: as the others */
    double rope_attention;      /* factor on cos and sin; 0: 1 */
    bool rope_exact; /* yarn: pairs between fast and slow are not rounded to
                        whole ones (truncate: false) */
    /* longrope: divisors of the frequencies within and beyond the original
     * context */
    float rope_short[MODEL_MAX_HEAD_DIM / 2], rope_long[MODEL_MAX_HEAD_DIM / 2];
};
MUST_CHECK int model_config_read(const char *dir_or_file,
                                 struct model_config *out, struct err *err);
/* "model", or where transformers has the decoder in the whole that the config
 * was read from. */
const char *model_config_module(const struct model_config *c);
/* The parameter count that the shapes give. */
int64_t model_config_parameters(const struct model_config *c);
/* Largest error, relative to the largest value, that reference values of this
 * family leave to an engine that is right. */
double model_config_tolerance(const struct model_config *c);

/* The config as transformers spells it, appended to *out (JSON). */
void model_config_write(const struct model_config *c, enum weights_type dtype,
                        struct buf *out);

struct model;

/* Weights of a Hugging Face directory; adapter: a PEFT directory or NULL. For
 * inference: weights are packed. */
MUST_CHECK int model_load(const char *dir, const char *adapter,
                          struct compute *compute, struct model **out,
                          struct err *err);
/* How matrices are kept for inference. STORED: as the files have them; Q8_0
 * and Q4_0 blocks of a GGUF file stay what they are, its other blocks become
 * Q8_0, or f32 in models of up to 256M parameters, as all small models do. F32:
 * whatever the files have, as the numbers that it stands for. Q8_0, Q4_0: in
 * GGUF's blocks, with Q4_0 the embedding and the head in Q8_0; layers that are
 * Q4_0 already stay so. Rows of no whole blocks, norms and biases are as with
 * STORED. */
enum model_kept {
    MODEL_KEPT_STORED,
    MODEL_KEPT_F32,
    MODEL_KEPT_Q8_0,
    MODEL_KEPT_Q4_0
};
#define MODEL_KEPT_WAYS 4 /* ways */
/* "stored", "f32", "q8_0", "q4_0"; false: no such name. */
const char *model_kept_name(enum model_kept k);
bool model_kept_of(const char *name, enum model_kept *out);
/* model_load, which takes STORED, with another choice. An adapter over blocks
 * stays apart, in f32. ERR_UNSUPPORTED where the device has no blocks. */
MUST_CHECK int model_load_kept(const char *dir, const char *adapter,
                               struct compute *compute, enum model_kept kept,
                               struct model **out, struct err *err);
void model_free(struct model *m);
const struct model_config *model_config(const struct model *m);
struct compute *model_compute(const struct model *m);

/* Logits of every position: ids is one sequence of n tokens; out n x vocab,
 * row-major, on the host. */
MUST_CHECK int model_logits(struct model *m, const int32_t *ids, size_t n,
                            float *out, struct err *err);
/* Sum of -log p over positions from..n-1 (each predicted from those before
 * it; from >= 1). Logits are never stored whole. */
MUST_CHECK int model_nll(struct model *m, const int32_t *ids, size_t n,
                         size_t from, double *out, struct err *err);

/* The same for each of these positions: out n - from values. */
MUST_CHECK int model_token_nll(struct model *m, const int32_t *ids, size_t n,
                               size_t from, double *out, struct err *err);

struct model_session_stats;
/* How the next token is chosen, in this order, as transformers has it:
 * repetition penalty, what the form allows, temperature, top-k, top-p, min-p.
 */
struct model_sampling {
    double temperature; /* 0: greedy (the smallest id wins a tie) */
    double top_p;       /* 0 or 1: off; one token stays at least */
    double min_p;       /* 0: off; share of the likeliest token's probability */
    int64_t top_k;      /* 0: off */
    double repetition;  /* penalty on logits of ids seen before; 0 or 1: off */
    uint64_t seed;
    size_t max_tokens;
    size_t shared; /* tokens of the prompt that others may begin with: kept on
                    * disk, with model_prefixes_use; 0: unknown */
    const int32_t *stops; /* besides the config's eos */
    size_t stop_count;
    bool ignore_eos;
    bool plain; /* no drafts: a row a token, the same tokens */
    struct model_session_stats *told; /* what generation took; NULL: nobody is
                                       * told */
    /* What the text must keep to; NULL: anything. A job may have its own. A
     * text that is complete and cannot go on ends without a stop token; one
     * whose tokens run short is led to its end, if they suffice for that. */
    struct constrain *form;
    /* Sees each choice: the model's own logits (vocab values) and the id, a
     * stop token's too. NULL: nobody. */
    void (*on_choice)(void *ctx, const float *logits, int32_t id);
    void *choice_ctx;
};
/* Generate for one prompt with a KV cache. on_token (may be NULL) sees each
 * id as it comes; returning nonzero ends the generation. Appends the ids
 * (stop token not included) to out/out_count (room for max_tokens);
 * *finished tells a stop token from max_tokens; nll (may be NULL) receives
 * the sum of -log p of what was generated. ERR_FORMAT: logits are not finite.
 */
MUST_CHECK int model_generate(struct model *m, const int32_t *prompt, size_t n,
                              const struct model_sampling *opt,
                              int (*on_token)(void *ctx, int32_t id), void *ctx,
                              int32_t *out, size_t *out_count, bool *finished,
                              double *nll, struct err *err);

/* A batch of prompts at once; faster than one by one, same tokens. What all
 * prompts begin with is computed once. */
struct model_job {
    const int32_t *prompt;
    size_t prompt_count;
    int32_t *out; /* room for max_tokens */
    size_t out_count;
    size_t max_tokens;      /* 0: the options' */
    bool finished;          /* a stop token, or the form's end */
    double seconds;         /* from the batch's start to this answer's end */
    struct constrain *form; /* NULL: the options' */
};
MUST_CHECK int model_generate_batch(struct model *m, struct model_job *jobs,
                                    size_t count,
                                    const struct model_sampling *opt,
                                    const struct progress *progress,
                                    struct err *err);

/*
 * Prefixes on disk: what prompts begin with, computed by this run or an earlier
 * one. A file is used by the model, adapter, kernels and types that it was
 * computed with alone, and passed over where it is not as it was written.
 */
struct model_prefixes;
struct model_prefixes_options {
    const char *dir;              /* made with mode 0700 */
    const struct crypto_key *key; /* files are sealed with it; NULL: plain */
    uint64_t most_bytes; /* of all files; the longest unused go first */
};
MUST_CHECK int model_prefixes_open(const struct model_prefixes_options *o,
                                   struct model_prefixes **out,
                                   struct err *err);
void model_prefixes_close(struct model_prefixes *p); /* NULL is fine */
/* From now on sessions over m, which model_load gave, look there for what
 * their prompts begin with, and write what several begin with. p must stay,
 * and belongs to the thread that runs them. NULL: no longer. */
void model_prefixes_use(struct model *m, struct model_prefixes *p);
struct model_prefixes_stats {
    uint64_t found, found_tokens, read_bytes, saved, saved_bytes;
};
void model_prefixes_stats(const struct model_prefixes *p,
                          struct model_prefixes_stats *out);

/*
 * Serving: many sequences that begin and end between passes, with adapters of
 * their own over one base.
 */

/* Adapters over one base, numbered from 1; 0 is the bare base. Each has
 * buffers of its own, so that sequences of several run in one pass and have
 * the bits that they would have alone. */
#define MODEL_BANK_ADAPTERS 256
#define MODEL_BANK_IN_PASS 16 /* different ones; others wait for a pass */
struct model_bank;
/* PEFT directories (rsLoRA, DoRA too) or GGUF files over m, which was loaded
 * without an adapter. ERR_UNSUPPORTED names what would change the base
 * (modules_to_save), ERR_FORMAT shapes of another base. */
MUST_CHECK int model_bank_new(struct model *m, const char *const *dirs,
                              size_t count, struct model_bank **out,
                              struct err *err);
void model_bank_free(struct model_bank *b); /* NULL is fine; before m */
size_t model_bank_count(const struct model_bank *b);
/* Of what adapter i (from 1) computes with, not of its name. */
const unsigned char *model_bank_hash(const struct model_bank *b, size_t i);

/* A decoded token. */
struct model_token {
    int32_t id;
    bool stop;        /* ends the text and is no part of it */
    float logp;       /* as the model itself has it */
    float margin;     /* with details: log p of the best id allowed less that of
                       * the second, by the model itself; INFINITY where one id
                       * was allowed. Else NAN */
    uint32_t allowed; /* with details: ids to choose from */
    const int32_t *top_ids; /* likeliest first, the form apart */
    const float *top_logp;
    unsigned top;
};
enum model_end {
    MODEL_END_STOP, /* a stop token */
    MODEL_END_FORM, /* the text is complete */
    MODEL_END_LENGTH,
    MODEL_END_CALLER,
    MODEL_END_FAILED
};

#define MODEL_SESSION_SLOTS 256
#define MODEL_SESSION_TOP 20 /* likeliest ids that a token can come with */
struct model_session_options {
    size_t slots;       /* sequences at once; fewer if memory says so */
    size_t capacity;    /* tokens of a sequence; 0: the model's context */
    size_t cache_bytes; /* of all slots; 0: 1.5 GiB */
    size_t pass_rows;   /* 0: 1,024 */
    const struct model_bank *bank; /* NULL: the model as it is */
    uint64_t salt;      /* prefixes are shared under equal salts alone: what
                         * the ids mean (a template's hash) */
    bool keep_prefixes; /* what ended stays, to be gone on with */
    bool plain;         /* no drafts: a row a token */
};
/* One at a time over a model that does nothing else in between; not for two
 * threads. */
struct model_session;
MUST_CHECK int model_session_open(struct model *m,
                                  const struct model_session_options *o,
                                  struct model_session **out, struct err *err);
/* Nothing is called back. NULL is fine. */
void model_session_close(struct model_session *s);

struct model_ask {
    const int32_t *prompt; /* copied */
    size_t prompt_count;
    size_t adapter;                 /* of the bank */
    struct model_sampling sampling; /* what it points to must stay */
    size_t
        number;   /* of the sequence: keys its random numbers beside the seed */
    bool details; /* margins cost a look at all logits */
    unsigned top; /* likeliest ids with each token; implies details */
    /* Either may be NULL. on_token returns nonzero to end it. They may ask
     * for anything of the session but a step or its close. */
    int (*on_token)(void *ctx, const struct model_token *t);
    /* err is NULL but for MODEL_END_FAILED: one sequence failed, others go
     * on. The slot is free again. */
    void (*on_end)(void *ctx, enum model_end why, const struct err *err);
    void *ctx;
};
/* ERR_BUSY: no slot is free. ERR_LIMIT: the prompt leaves no room; other codes:
 * the request. *slot names the sequence until its end; *cached (may be NULL)
 * is how many tokens of its prompt need no computing. */
MUST_CHECK int model_session_begin(struct model_session *s,
                                   const struct model_ask *a, int *slot,
                                   size_t *cached, struct err *err);
/* Ends it without a call back. */
void model_session_cancel(struct model_session *s, int slot);
/* One pass: a row of each sequence that is being decoded, prompt rows of
 * others. 1: go on; 0: nothing runs. */
MUST_CHECK int model_session_step(struct model_session *s, struct err *err);
/* The bank of sequences that begin from now on; the old one must stay until
 * model_session_uses says no. Prefixes of adapters that are in both live on.
 */
void model_session_bank(struct model_session *s, const struct model_bank *b);
bool model_session_uses(const struct model_session *s,
                        const struct model_bank *b);
/* Drops the prefixes kept of one adapter of the bank; SIZE_MAX: all. */
void model_session_forget(struct model_session *s, size_t adapter);
struct model_session_stats {
    uint64_t passes, rows, prompt_tokens, cached_tokens, generated;
    uint64_t shared_tokens;     /* of the cached ones: read where they are */
    uint64_t drafted, accepted; /* tokens looked up in what was said */
    size_t slots, active;
    size_t device_bytes; /* that a GPU will hold at most; 0: not known */
};
void model_session_stats(const struct model_session *s,
                         struct model_session_stats *out);

/*
 * Training. A model opened here can be changed: give it an adapter or not,
 * then model_train_begin gathers what is trained into one flat array, so that
 * the optimizer, clipping and checkpoints see two spans.
 */

/* Weights as they are (16-bit ones stay so unless widen). */
MUST_CHECK int model_open(const char *dir, struct compute *compute, bool widen,
                          struct model **out, struct err *err);
/* The same with the weights of all layers (not of the embedding, the head and
 * the norms) kept as blocks, quantised one after another: an adapter over it
 * can be trained, not merged. */
MUST_CHECK int model_open_quantised(const char *dir, struct compute *compute,
                                    enum compute_quant kind, struct model **out,
                                    struct err *err);
/* Random weights: normal with the config's init_range, norms 1, biases 0. */
MUST_CHECK int model_new(const struct model_config *config,
                         struct compute *compute, uint64_t seed,
                         struct model **out, struct err *err);

/* A fresh adapter: A uniform in +-1/sqrt(in), as PEFT's kaiming init gives,
 * B zero. targets: NULL or "all-linear" (all but the head, and what PEFT does
 * not adapt either), or names with commas between: a linear layer is meant if
 * its checkpoint name is one or ends with ".NAME". scale: alpha / rank. */
struct model_adapter {
    int64_t rank;
    double scale;
    bool dora; /* with magnitudes, at first the lengths of W's rows */
    const char *targets;
    uint64_t seed;
};
/* Refuses targets that name no linear layer, with the list of those known. */
MUST_CHECK int model_adapter_check(const struct model *m, const char *targets,
                                   struct err *err);
/* Numbers that this adapter would have. */
size_t model_adapter_size(const struct model *m,
                          const struct model_adapter *opt);
MUST_CHECK int model_adapter_new(struct model *m,
                                 const struct model_adapter *opt,
                                 struct err *err);
/* Names for PEFT's target_modules, with commas between, that mean just the
 * layers adapted now; the caller frees it. */
char *model_adapter_targets(const struct model *m);
/* A PEFT directory: ranks and scales from its config, patterns included;
 * rsLoRA and DoRA too. modules_to_save take their places in the base, in f32
 * (and untie a head); what is not understood is refused by name. */
MUST_CHECK int model_adapter_load(struct model *m, const char *dir,
                                  struct err *err);
/* What an adapter is, layer by layer: the i-th adapted one, false beyond the
 * last. name is the model's. */
struct model_adapted {
    const char *name;
    int64_t rank;
    double scale;
    bool dora;
};
bool model_adapter_layer(const struct model *m, size_t i,
                         struct model_adapted *out);
/* Compute without the adapter, or with it again. */
void model_adapter_switch(struct model *m, bool on);
/* W += scale B A in f32 for all adapted layers, rows then times gain with
 * DoRA; the adapter is gone. Weights must be f32 (widen). */
MUST_CHECK int model_adapter_merge(struct model *m, struct err *err);

/* A named tensor on the device. Names are those of the checkpoint; of an
 * adapter "model.layers.0.self_attn.q_proj.lora_A.weight". */
struct model_tensor {
    const char *name;                /* owned by the model */
    struct compute_span value, grad; /* grad absent: not trained */
    int64_t rows, cols;              /* cols 0: a vector of `rows` */
    bool kernel;                     /* stored as [rows, 1, cols] */
    bool saved; /* of the base, but an adapter brought it: modules_to_save */
};
/* The base's tensors, tied ones once; or the adapter's. Owned by the model;
 * valid until the next change of its weights. */
size_t model_tensors(const struct model *m, bool adapter,
                     const struct model_tensor **out);
/* n elements, in the buffer's type, to the host. */
void model_download(const struct model *m, struct compute_span from, void *out,
                    size_t n);

/* Everything trained, in the order of model_tensors: values and gradients,
 * f32, `count` elements, zero gradients. */
struct model_trained {
    struct compute_span values, grads;
    size_t count;
};
MUST_CHECK int model_train_begin(struct model *m, bool adapter_only,
                                 struct model_trained *out, struct err *err);

/* Packed documents. labels[i] is the id that row i must predict (the next
 * token), or negative: not trained. positions restart in each document. */
struct model_batch {
    const int32_t *ids, *labels, *positions;
    size_t rows;
    const int32_t *starts; /* docs + 1 values, 0 first, rows last */
    size_t docs;
};
/* Sum of -log p over the labelled rows, and their count. With grad_scale != 0
 * the gradient of grad_scale * sum is added to the trained tensors'. */
MUST_CHECK int model_step(struct model *m, const struct model_batch *b,
                          double grad_scale, double *nll, size_t *count,
                          struct err *err);
/* The same without waiting for the device: the sum is added to nll (F64, on
 * it), and what goes wrong there is told by sync. */
MUST_CHECK int model_step_add(struct model *m, const struct model_batch *b,
                              double grad_scale, struct compute_span nll,
                              size_t *count, struct err *err);
/* Working memory for passes of up to so many rows and documents of up to
 * `longest` rows; grad: with a gradient. Passes take it as they need it
 * otherwise. */
MUST_CHECK int model_step_reserve(struct model *m, size_t rows, size_t docs,
                                  size_t longest, bool grad, struct err *err);
/* A teacher for the labelled rows: a model of the same vocabulary on the same
 * device, or (teacher NULL) the log probabilities of its `top` best ids, for
 * each row of the batch, host arrays [rows, top]; a row whose first id is
 * negative has none. The loss of a row is
 *   mix T^2 KL(teacher || student at temperature T) + (1 - mix) (-log p)
 * with T = 1 and one bucket for all other ids where only the best are known. */
struct model_teaching {
    struct model *teacher;
    double temperature, mix;
    const int32_t *top_ids;
    const float *top_logp;
    size_t top;
};
/* ERR_UNSUPPORTED where the device does not distil, ERR_INVALID where the
 * teacher does not fit. */
MUST_CHECK int model_teaching_check(const struct model *m,
                                    const struct model_teaching *t,
                                    struct err *err);
/* model_step with this loss: *loss is its sum. */
MUST_CHECK int model_step_taught(struct model *m, const struct model_batch *b,
                                 const struct model_teaching *t,
                                 double grad_scale, double *loss, double *nll,
                                 size_t *count, struct err *err);
/* model_step_add with it. */
MUST_CHECK int model_step_taught_add(struct model *m,
                                     const struct model_batch *b,
                                     const struct model_teaching *t,
                                     double grad_scale,
                                     struct compute_span loss, struct err *err);

/* Preferences (DPO, arXiv 2305.18290). Documents of the batch stand in pairs,
 * the chosen one first; the reference is the model without its adapter. With
 * r = log p - log p_reference of a document's labelled tokens, a pair's loss is
 *   -log sigmoid(beta (r_chosen - r_rejected)). */
struct model_preference {
    double loss;         /* sum over the pairs */
    size_t pairs, right; /* right: r_chosen > r_rejected */
};
/* With grad_scale != 0 the gradient of grad_scale * sum is added; only an
 * adapter may be in training. */
MUST_CHECK int model_step_preference(struct model *m,
                                     const struct model_batch *b, double beta,
                                     double grad_scale,
                                     struct model_preference *out,
                                     struct err *err);
/* model_step_add with it: sums (F64) has the loss, then how many are right. */
MUST_CHECK int model_step_preference_add(struct model *m,
                                         const struct model_batch *b,
                                         double beta, double grad_scale,
                                         struct compute_span sums,
                                         struct err *err);

/* Keep only each block's input and compute the block again in the backward
 * pass: less memory, a third more work, the same bits. */
void model_recompute(struct model *m, bool on);
/* Bytes of working memory of model_step with a gradient, its logits apart, if
 * m had this adapter (NULL: as m is); and of a forward pass. Both give back
 * what the last pass left. */
size_t model_step_bytes(struct model *m, size_t rows, size_t docs,
                        const struct model_adapter *a);
size_t model_logits_bytes(struct model *m, size_t rows, size_t docs);
/* Within a device's rehearsal: m is as if it had this adapter (NULL: as it is)
 * and were in training, then as it was before, less its working memory. Only
 * passes may lie between, and end follows a begin that failed. */
MUST_CHECK int model_rehearse_begin(struct model *m, bool adapter_only,
                                    const struct model_adapter *a,
                                    struct err *err);
void model_rehearse_end(struct model *m);
/* Numbers that model_train_begin would gather, the same supposed. */
size_t model_trained_size(const struct model *m, bool adapter_only,
                          const struct model_adapter *a);
/* Logits of packed documents, rows x vocab on the host. */
MUST_CHECK int model_batch_logits(struct model *m, const struct model_batch *b,
                                  float *out, struct err *err);
/* The residual stream: layers + 1 states of rows x hidden, embeddings first,
 * the last one after the final norm. */
MUST_CHECK int model_batch_hidden(struct model *m, const struct model_batch *b,
                                  float *out, struct err *err);

/* config.json and model.safetensors (of dtype F32, BF16 or F16) into dir,
 * which exists. */
MUST_CHECK int model_save(const struct model *m, const char *dir,
                          enum weights_type dtype, struct err *err);
/* The same in files of at most `most` bytes of data each (0: one file). */
MUST_CHECK int model_save_shards(const struct model *m, const char *dir,
                                 enum weights_type dtype, size_t most,
                                 struct err *err);
/* Are w's tensors those, with those shapes, that the config describes? Reads
 * no values. */
MUST_CHECK int model_weights_check(const struct model_config *c,
                                   const struct weights *w, struct err *err);

/*
 * Encoders: texts to vectors. BertModel alone, forward alone, f32 weights.
 */
struct model_encoder;
struct model_encoder_shape {
    int64_t vocab, hidden, layers;
    int64_t context; /* tokens of a text at most */
};
/* Whether dir's config.json names an encoder that model_encoder_open knows. */
bool model_encoder_is(const char *dir);
/* A directory as the hub has them. What its config asks for beyond absolute
 * positions, GELU (with erf, or its tanh form) and the mean over tokens is
 * refused by name, and so is a device without COMPUTE_HAS_ENCODER. */
MUST_CHECK int model_encoder_open(const char *dir, struct compute *compute,
                                  struct model_encoder **out, struct err *err);
void model_encoder_free(struct model_encoder *e); /* NULL is fine */
const struct model_encoder_shape *
model_encoder_shape(const struct model_encoder *e);

/* Texts side by side, special tokens included. All tokens of text d see its
 * first seen[d] (1 to all), which are those that count; the rest is padding.
 */
struct model_encoder_batch {
    const int32_t *ids;
    size_t rows;
    const int32_t *starts; /* docs + 1 values, 0 first, rows last */
    const int32_t *seen;
    size_t docs;
};
/* The last layer's states: rows x hidden on the host. ERR_LIMIT for a text of
 * more than `context` tokens, ERR_INVALID for an id out of the vocabulary. */
MUST_CHECK int model_encoder_states(struct model_encoder *e,
                                    const struct model_encoder_batch *b,
                                    float *out, struct err *err);
/* Their mean over the tokens that count, of length 1: docs x hidden. A text's
 * vector does not depend on the others. */
MUST_CHECK int model_encoder_vectors(struct model_encoder *e,
                                     const struct model_encoder_batch *b,
                                     float *out, struct err *err);

/* An encoder with its tokenizer, as sentence-transformers keeps them. */
struct model_embedder;
struct model_embedder_shape {
    size_t dims;
    size_t limit; /* tokens of a text, those around it included: what
                   * max_seq_length says, at most the encoder's context */
};
/* Refuses what model_encoder_open refuses, a tokenizer of another model, and
 * what sentence-transformers would do besides the mean (modules, prompts). */
MUST_CHECK int model_embedder_open(const char *dir, struct compute *compute,
                                   struct model_embedder **out,
                                   struct err *err);
void model_embedder_free(struct model_embedder *e); /* NULL is fine */
const struct model_embedder_shape *
model_embedder_shape(const struct model_embedder *e);
/* x[n,dims]: rows of length 1. Of a text beyond the limit the first and the
 * last tokens count, half and half. Stops with ERR_INTERRUPTED. */
MUST_CHECK int model_embedder_texts(struct model_embedder *e, struct pool *pool,
                                    const struct slice *texts, size_t n,
                                    float *x, struct err *err);

#endif

/*
 * model_private.h - private to lib/model: the parts of a loaded model
 *
 * A model is an embedding, a row of blocks, a norm and a head. A block is
 * [norm] -> mixers, summed -> [norm] -> residual; what a mixer is stands in
 * model_mixer.h. All spans are on the model's device. A linear layer knows its
 * adapter, so that no caller asks whether there is one.
 */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "model/model.h"

#define MODEL_BLOCK_MIXERS 2 /* side by side in one block */
#define MODEL_MAX_STATES 4   /* spans a mixer keeps for cached sequences */

struct model_mixer;
struct model_family;

struct model_linear {
    char *name; /* "model.layers.0.self_attn.q_proj" */
    struct compute_span w, bias, dw, dbias; /* w [n,k] */
    size_t n, k, mixer; /* mixer: index of the one it belongs to */
    size_t number;      /* in m->linears, from 1; 0: the head */
    bool fixed;         /* never adapted, as PEFT has it */
    size_t rank;        /* 0: no adapter */
    float scale;
    struct compute_span a, b, da, db; /* a [rank,k], b [n,rank] */
    struct compute_span low; /* scale A x, kept for the backward pass */
    /* DoRA, present if it is: y = gain (W x + scale B A x) + bias, where
     * gain = magnitude inverse, inverse[n] = 1 / |row n of W + scale B A|. */
    struct compute_span magnitude, dmagnitude, inverse, gain;
};

/* dim 0: there is none. */
struct model_norm {
    enum model_norm_kind kind;
    struct compute_span w, dw, b, db; /* b: MODEL_NORM_LAYER */
    struct compute_span shifted;      /* 1 + w: MODEL_NORM_RMS_SHIFTED */
    size_t dim;
};

struct model_block {
    size_t layer;
    bool begins_layer;
    struct model_norm pre, post;
    struct model_mixer *mixers[MODEL_BLOCK_MIXERS];
    size_t mixer_count;
    /* Activations: the residual stream before the block, the mixers' input,
     * and, where the sum does not go straight to the stream, their sum. */
    struct compute_span x, normed, mixed, branch, dmixed;
    struct compute_span pre_stat, post_stat; /* for the norms' backward */
};

/* What model_want was told. */
struct model_claim {
    struct compute_span *span;
    size_t pool; /* index of the shared buffer; SIZE_MAX: its own */
};
struct model_pool {
    enum compute_type type;
    size_t count; /* elements */
    struct compute_span span;
};

/* Working memory for up to `rows` rows of up to `docs` documents; saved: for
 * a backward pass. */
struct model_work {
    size_t rows, docs, low_rank, wide_cols;
    bool saved, recompute;
    struct model_claim *claims;
    struct model_pool *pools;
    size_t claim_count, claim_cap, pool_count, pool_cap;
    struct compute_span x;    /* the stream after the last block */
    struct compute_span wide; /* an adapted product before its gain */
    struct compute_span low, ids, positions, index, labels, nll;
    struct compute_span top, top_norm, dtop, top_grad; /* labelled rows */
    struct compute_span top_stat;
    struct compute_span dx, dnorm; /* backward */
    struct compute_span narrow;    /* dx as products read it, or absent */
    bool shifted;                  /* norms' 1 + w is there */
};

/* Rows of a pass by adapter: those of group g, starts[g]..starts[g+1]-1, have
 * parts[g] (by index of the layer; NULL: none) beside the base. */
struct model_bank_part;
struct model_groups {
    size_t count;
    size_t starts[MODEL_BANK_IN_PASS + 1];
    const struct model_bank_part *parts[MODEL_BANK_IN_PASS];
};

/* Where a listed tensor's spans stand in the model. */
struct model_slot {
    struct compute_span *value, *grad;
    float fill; /* of a new model; NAN: random */
};

struct model_list {
    struct model_tensor *tensors;
    struct model_slot *slots;
    size_t count, cap, slot_cap;
};

struct model {
    struct model_config config;
    const struct model_family *family;
    struct compute *compute;
    struct compute_span embed, dembed;
    struct model_norm norm;
    struct model_linear head; /* w is embed's if tied */
    struct model_block *blocks;
    struct model_mixer **mixers;   /* all, in order */
    struct model_linear **linears; /* all that mixers have, in order */
    struct model_norm **norms;     /* all */
    size_t block_count, mixer_count, mixer_cap, linear_count, linear_cap,
        norm_count, norm_cap;
    struct model_rope_table {
        struct compute_span cosine, sine;
    } rope[2]; /* [1]: of windowed layers, where they differ */
    size_t rope_positions;
    struct model_work work;
    struct model_list base, adapter; /* what model_tensors gives */
    struct model_trained trained;    /* count 0: not in training */
    bool adapter_only, adapter_off;
    size_t bank_rank, bank_wide; /* work.low and wide are at least so wide */
    const struct model_groups *groups; /* of the pass that runs; or NULL */
    struct model_prefixes *prefixes;   /* its caller's; or NULL */
    /* Of the files that the weights came from; false: of none. */
    unsigned char identity[MODEL_HASH_BYTES];
    bool identified;
    bool supposed;    /* the adapter is a rehearsal's */
    bool frozen;      /* weights are in the device's form for training */
    bool recompute;   /* blocks run again in the backward pass */
    bool gains_ready; /* DoRA's gains fit the weights */
    bool has_blocks;  /* of some matrix, for inference */
    size_t lowest;    /* lowest block that needs a backward pass */
};

/* Sequences in slots, newest rows only: what generation passes. */
struct model_cached {
    const int32_t *past, *slots; /* by document of the pass; host arrays */
    /* The first shared[d] positions of document d stand in slot bases[d]. */
    const int32_t *bases, *shared;
    size_t capacity; /* positions that a slot can hold */
    size_t step;     /* most rows of a sequence in one pass */
    size_t slot_count;
    struct compute_span (*states)[MODEL_MAX_STATES]; /* by mixer->index */
};

/* Rows to run: documents packed, or, with `cached`, the newest rows of
 * sequences: document d is sequence d, rows starts[d]..starts[d+1]-1. */
struct model_pass {
    struct model *m;
    size_t rows;
    const int32_t *starts; /* host array, docs + 1 */
    size_t docs;
    const struct model_cached *cached; /* NULL: packed documents */
};

/* model_kept.c: how weights are kept. */
struct model_keeping {
    bool widen, quantise;
    enum compute_quant quant; /* with quantise: of layers, for training */
    bool blocks;              /* for inference, by `kept` */
    enum model_kept kept;
    struct pool *pool;
};
MUST_CHECK int model_kept_check(enum model_kept k,
                                const struct compute *compute, struct err *err);
bool model_is_layer(const struct model *m, const struct compute_span *value);
/* Does tensor i, stored as t, become blocks, and of which type? */
bool model_kept_blocks(const struct model *m, size_t i,
                       const struct model_keeping *keep,
                       const struct weights_tensor *t, enum weights_type *out);
MUST_CHECK int model_kept_load(struct model *m, size_t i,
                               enum weights_type type,
                               const struct weights_tensor *t,
                               struct pool *pool, struct err *err);

/* model_work.c */
MUST_CHECK int model_work_reserve(struct model *m, size_t rows, size_t docs,
                                  bool saved, struct err *err);
void model_work_release(struct model *m);
/* Bytes that model_work_reserve would take. Releases what is there. */
size_t model_work_bytes(struct model *m, size_t rows, size_t docs, bool saved);

/* model_step.c: the parts of a step. Forward leaves the labelled rows, ready
 * for the head, in work.top_norm; head describes their loss (no gradient if
 * grad_scale is 0); backward begins at work.dtop. */
MUST_CHECK int model_step_forward(struct model *m, const struct model_batch *b,
                                  bool grad, size_t *labelled, struct err *err);
struct compute_cross_entropy model_step_head(struct model *m, size_t labelled,
                                             double grad_scale);
void model_step_backward(struct model *m, const struct model_batch *b,
                         size_t labelled);

/* model_rope.c: cos and sin tables for positions 0..n-1. */
MUST_CHECK int model_rope_reserve(struct model *m, size_t n, struct err *err);
void model_rope_release(struct model *m);
/* In place on x[rows, heads, head_dim]; inverse is the backward pass. */
void model_rope_run(const struct model_pass *p, struct compute_span x,
                    size_t heads, unsigned table, bool inverse);
/* What work.positions holds for a position in a document of `length` rows: a
 * row of the tables, which may depend on the length. */
int32_t model_rope_row(const struct model *m, size_t position, size_t length);

/* model_linear.c: y = linear(x) + addend (may be absent or y) on rows rows,
 * with the adapter, or with those of m->groups. */
void model_linear_run(struct model *m, const struct model_linear *l,
                      struct compute_span y, struct compute_span x, size_t rows,
                      struct compute_span addend);
/* The same for several layers of one x, without addends: y[i] of l[i]. */
void model_linears_run(struct model *m, const struct model_linear *const *l,
                       const struct compute_span *y, size_t count,
                       struct compute_span x, size_t rows);
/* y[0] and y[1] of the layers l[0] and l[1], and h = silu(y[1]) y[0], which
 * y[1] may be where it is not wanted. */
void model_linears_swiglu(struct model *m, const struct model_linear *const *l,
                          const struct compute_span *y, struct compute_span h,
                          struct compute_span x, size_t rows);
/* Adds to the gradients of what is trained in l. dx absent: not needed.
 * addend: what dx is to have besides (may be dx), or absent. */
void model_linear_grad(struct model *m, const struct model_linear *l,
                       struct compute_span dx, struct compute_span dy,
                       struct compute_span x, size_t rows,
                       struct compute_span addend);
/* DoRA's gains, where the weights may have changed since. */
void model_linear_gains(struct model *m);
MUST_CHECK int model_linear_freeze(struct model *m, struct model_linear *l,
                                   bool forward_only, struct err *err);
/* The weights alone, for both directions. */
MUST_CHECK int model_linear_freeze_base(struct model *m, struct model_linear *l,
                                        struct err *err);

/* model_block.c. ids and positions must be uploaded; leaves the stream in
 * work.x. */
void model_blocks(const struct model_pass *p, bool saved);
/* From work.dx (the gradient after the last block) down to m->lowest. */
void model_blocks_grad(const struct model_pass *p);
/* rows rows of n->dim. stat: model_norm_stat(n, rows) elements (F32) that the
 * backward pass reads; may be absent. */
void model_norm_run(struct model *m, const struct model_norm *n,
                    struct compute_span y, struct compute_span x,
                    struct compute_span stat, size_t rows);
size_t model_norm_stat(const struct model_norm *n, size_t rows);
/* dx += d/dx; dw += d/dw where it is trained. */
void model_norm_grad(struct model *m, const struct model_norm *n,
                     struct compute_span dx, struct compute_span dy,
                     struct compute_span x, struct compute_span stat,
                     size_t rows);
/* x *= alpha, unless alpha is 0 or 1 */
void model_scale(struct model *m, struct compute_span x, double alpha,
                 size_t n);
/* Final norm and head of `rows` rows of x; logits [rows, vocab]. */
void model_head(struct model *m, struct compute_span logits,
                struct compute_span x, size_t rows);

/* model_tensors.c: the lists behind model_tensors. name is taken over. */
void model_list_add(struct model_list *l, char *name,
                    struct compute_span *value, struct compute_span *grad,
                    size_t rows, size_t cols);
void model_list_adapter(struct model *m);
void model_list_release(struct model_list *l);

/* model_identity.c. form: how the weights are kept, where that changes what is
 * computed; NULL: as they are. false: not all files are there. Weights have an
 * identity that was the same before and after they were read. */
bool model_identity(const char *dir, const char *adapter, const char *form,
                    unsigned char out[MODEL_HASH_BYTES]);

/* model_adapter.c: room for an adapter of this rank at l. */
MUST_CHECK int model_adapter_adapt(struct model *m, struct model_linear *l,
                                   int64_t rank, double scale, bool dora,
                                   struct err *err);

/* While on, layers are as wide as if they had this adapter, for planning
 * memory; m has none. */
void model_adapter_suppose(struct model *m, const struct model_adapter *opt,
                           bool on);
/* The adapter goes, and what it held. */
void model_adapter_drop(struct model *m);
/* model_peft.c: model_adapter_load; whole: may change the base. */
MUST_CHECK int model_peft_load(struct model *m, const char *dir, bool whole,
                               struct err *err);

/* model_shape.c: a model with all shapes set and no weights. */
struct model *model_shape(const struct model_config *c,
                          struct compute *compute);
/* ERR_UNSUPPORTED if the device lacks an operation that this config needs. */
MUST_CHECK int model_device_check(const struct model_config *c,
                                  const struct compute *compute,
                                  struct err *err);
/* The tied head is the embedding. */
void model_tie(struct model *m);
MUST_CHECK int model_check_ids(const struct model *m, const int32_t *ids,
                               size_t n, struct err *err);

#endif

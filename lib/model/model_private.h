/*
 * model_private.h - private to lib/model: the parts of a loaded model
 *
 * All spans are on the model's device. A linear layer knows its adapter, so
 * that no caller asks whether there is one.
 */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "model/model.h"

struct model_linear {
    struct compute_span w, bias, dw, dbias; /* w [n,k] */
    size_t n, k;
    size_t rank; /* 0: no adapter */
    float scale;
    struct compute_span a, b, da, db; /* a [rank,k], b [n,rank] */
};

struct model_layer {
    struct compute_span norm1, norm2, dnorm1, dnorm2;
    struct model_linear lin[MODEL_LINEARS];
};

/* Activations of one layer that the backward pass reads. */
struct model_acts {
    struct compute_span x, mid; /* residual stream before and amid the block */
    struct compute_span norm1, norm2, rstd1, rstd2;
    struct compute_span q, k, v, o, lse, gate, up;
};

/* Working memory for up to `rows` rows; with `saved` one model_acts a layer,
 * else one for all. */
struct model_work {
    size_t rows, low_rank;
    bool saved;
    struct model_acts *acts;
    struct compute_span x; /* the stream after the last block */
    struct compute_span hidden, low, ids, positions, index, labels, nll;
    struct compute_span top, top_norm, top_rstd, dtop,
        top_grad;                                    /* labelled rows */
    struct compute_span dx, dnorm, dq, dk, dv, dmlp; /* backward */
};

/* Where a listed tensor's spans stand in the model. */
struct model_slot {
    struct compute_span *value, *grad;
};

struct model_list {
    struct model_tensor *tensors;
    struct model_slot *slots;
    size_t count, cap, slot_cap;
};

struct model {
    struct model_config config;
    struct compute *compute;
    struct compute_span embed, dembed, norm, dnorm;
    struct model_linear head; /* w is embed's if tied */
    struct model_layer *layers;
    struct compute_span cosine, sine;
    size_t rope_positions;
    struct model_work work;
    struct model_list base, adapter; /* what model_tensors gives */
    struct model_trained trained;    /* count 0: not in training */
    bool adapter_only;
    size_t lowest; /* lowest layer that needs a backward pass */
};

/* Rows to run: documents packed, or newest rows of cached sequences. */
struct model_pass {
    struct model *m;
    size_t rows;
    const int32_t *starts;
    size_t docs;
    struct compute_attention_cached *cached; /* NULL: packed documents */
    struct compute_span *keys, *values;      /* caches by layer */
};

MUST_CHECK int model_work_reserve(struct model *m, size_t rows, bool saved,
                                  struct err *err);
void model_work_release(struct model *m);
/* cos and sin tables for positions 0..n-1. */
MUST_CHECK int model_rope_reserve(struct model *m, size_t n, struct err *err);
/* ids and positions must be uploaded; leaves the stream in work.x. */
void model_blocks(struct model_pass *p, bool saved);
/* y = linear(x) + addend (may be absent or y) on rows rows, with the adapter */
void model_linear_run(struct model *m, const struct model_linear *l,
                      struct compute_span y, struct compute_span x, size_t rows,
                      struct compute_span addend);
/* Final norm and head of `rows` rows of x; logits [rows, vocab]. */
void model_head(struct model *m, struct compute_span logits,
                struct compute_span x, size_t rows);
/* The lists behind model_tensors, made anew. */
void model_list_base(struct model *m);
void model_list_adapter(struct model *m);
void model_list_release(struct model_list *l);
/* A model with all shapes set and no weights. */
struct model *model_shape(const struct model_config *c,
                          struct compute *compute);
/* The tied head is the embedding. */
void model_tie(struct model *m);
MUST_CHECK int model_check_ids(const struct model *m, const int32_t *ids,
                               size_t n, struct err *err);

#endif

/*
 * model_mixer.h - private to lib/model: what stands between two norms
 *
 * A mixer maps rows [rows, hidden] to rows [rows, hidden]: attention, an MLP,
 * a convolution, a recurrence. Each is one file with one constructor and one
 * struct model_mixer_ops; nothing else in lib/model knows its kind. A new one:
 *
 * 1. model_NAME.c with struct NAME whose first member is struct model_mixer,
 *    and model_NAME_new(m, layer, module): fills m->config's shapes in and
 *    registers every weight with model_mixer_linear and model_mixer_weight, in
 *    the order and by the names of the checkpoint below `module` (such as
 *    "model.layers.3.self_attn"). That alone makes loading, saving, training,
 *    merging, freezing and PEFT's keys right.
 * 2. The constructor in the layers of the families that have it
 *    (model_family.c, model_family_hybrid.c).
 * 3. want: every span that it needs for p->rows rows, with model_want.
 * 4. forward, grad, and, if a sequence leaves something behind, states.
 *
 * Memory. A KEPT span holds what forward leaves for grad: each mixer has its
 * own if p->saved, else all mixers share; where blocks run again in the
 * backward pass, the mixers of different blocks share too. SCRATCH and BACKWARD
 * spans are shared by all mixers: their contents are lost when the function
 * returns. BACKWARD spans exist only if p->saved. Ask for large spans first:
 * the i-th span of a type is the same buffer for every mixer. The mixer's input
 * is kept by the block and given to grad again. Spans of activations are
 * COMPUTE_ACT; what must be exact (statistics, states, decays) is COMPUTE_F32.
 * No host pointers: all work goes through p->m->compute->ops.
 *
 * Documents. Row r of document d is at position r - p->starts[d] of it; no
 * state passes from one document to the next. With p->cached the rows of
 * document d continue sequence cached->slots[d], which has past[d] rows
 * behind it; if past[d] is 0 its state is all zeros, whatever the slot holds.
 * A pass may hold one row of some sequences and many of others. States are
 * f32 spans with room for cached->slot_count slots, told apart by slot. A row's
 * result must not depend on which other rows share the pass.
 */
#ifndef MODEL_MIXER_H
#define MODEL_MIXER_H

#include "model/model_private.h"

enum model_use { MODEL_KEPT, MODEL_SCRATCH, MODEL_BACKWARD };

/* The memory for `rows` rows that is being planned. */
struct model_plan {
    struct model *m;
    size_t rows, docs; /* at most, of one pass */
    bool saved;
    bool measure; /* only add up, in bytes */
    size_t bytes;
    size_t taken[COMPUTE_ACT + 1]; /* spans asked for, by type */
    struct err *err;
    int rc;
};
/* *span gets room for n elements (all rows together) before the next pass,
 * or becomes absent if its use does not arise. */
void model_want(struct model_plan *p, struct compute_span *span,
                enum model_use use, enum compute_type type, size_t n);

struct model_mixer_ops {
    const char *name;
    void (*want)(struct model_mixer *x, struct model_plan *p);
    /* y = mixer(in) + addend; addend may be absent or y. y and addend may be
     * the residual stream (F32). */
    void (*forward)(struct model_mixer *x, const struct model_pass *p,
                    struct compute_span y, struct compute_span in,
                    struct compute_span addend);
    /* dx = d/d(in) + addend (absent, or dx itself); adds to the gradients of
     * trained weights. dx absent: not needed. KEPT spans may be destroyed,
     * dy and in may not. */
    void (*grad)(struct model_mixer *x, const struct model_pass *p,
                 struct compute_span dx, struct compute_span dy,
                 struct compute_span in, struct compute_span addend);
    /* Elements of each state for c->slot_count slots of c->capacity
     * positions; 0: not used. NULL: nothing is kept. */
    void (*states)(const struct model_mixer *x, const struct model_cached *c,
                   size_t elements[MODEL_MAX_STATES]);
    /* How a slot holds them; false, or NULL: as wholes. */
    bool (*layout)(const struct model_mixer *x, const struct model_cached *c,
                   struct compute_cache_layout out[MODEL_MAX_STATES]);
    enum compute_type state_type; /* zero: COMPUTE_F32; a KV cache: ACT */
    bool by_position; /* states are a row a position: a window apart, the first
                       * rows are the state of a shorter sequence */
};

/* Every mixer's first member. */
struct model_mixer {
    const struct model_mixer_ops *ops;
    struct model *m;
    size_t layer, index; /* of all mixers of the model */
    char *module;        /* "model.layers.3.self_attn" */
};
/* A zeroed mixer of `size` bytes; the model owns it and frees it with free().
 */
void *model_mixer_new(struct model *m, const struct model_mixer_ops *ops,
                      size_t size, size_t layer, const char *module);
/* "MODULE.NAME.weight" [n,k] and, with bias, "MODULE.NAME.bias" [n]. Set
 * l->fixed after it where PEFT refuses to adapt the layer (Mamba's out_proj).
 */
void model_mixer_linear(struct model_mixer *x, struct model_linear *l,
                        const char *name, int64_t n, int64_t k, bool bias);
/* A norm over dim elements: "MODULE.NAME.weight". kind: the family's is
 * m->config.norm. */
void model_mixer_norm(struct model_mixer *x, struct model_norm *n,
                      enum model_norm_kind kind, const char *name, int64_t dim);
/* Any other f32 parameter: "MODULE.NAME" [rows] or [rows,cols]. Its gradient
 * span is present (and is to be added to) only where it is trained. A new
 * model has 0 in biases, 1 in other vectors, random numbers in matrices, unless
 * model_mixer_fill is called next. */
void model_mixer_weight(struct model_mixer *x, struct compute_span *w,
                        struct compute_span *dw, const char *name, int64_t rows,
                        int64_t cols);
void model_mixer_fill(struct model_mixer *x, float value);
/* The same for a convolution's weight, stored as [rows, 1, cols]. */
void model_mixer_kernel(struct model_mixer *x, struct compute_span *w,
                        struct compute_span *dw, const char *name, int64_t rows,
                        int64_t cols);
/* State k of this mixer, for all slots; p->cached must be there. */
struct compute_span model_mixer_state(const struct model_mixer *x,
                                      const struct model_pass *p, unsigned k);
/* The rows of a pass as convolutions and recurrences take them, with state k
 * if the pass is cached. */
struct compute_sequences model_mixer_rows(const struct model_mixer *x,
                                          const struct model_pass *p,
                                          unsigned k);

/* The constructors. */
struct model_mixer *model_attention_new(struct model *m, size_t layer,
                                        const char *module);
struct model_mixer *model_mlp_new(struct model *m, size_t layer,
                                  const char *module);
struct model_mixer *model_mamba_new(struct model *m, size_t layer,
                                    const char *module);
struct model_mixer *model_conv_new(struct model *m, size_t layer,
                                   const char *module);
struct model_mixer *model_delta_new(struct model *m, size_t layer,
                                    const char *module);

#endif

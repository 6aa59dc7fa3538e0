/*
 * cmd_model_values.h - what the engine computes for a reference's batch
 *
 * Names are those of the reference (slmctl-model(1)).
 */
#ifndef CMD_MODEL_VALUES_H
#define CMD_MODEL_VALUES_H

#include "json/json.h"
#include "model/model.h"

struct model_value {
    char *name;
    enum weights_type type; /* F32 or I32 */
    unsigned dims;
    int64_t shape[3];
    void *data;
    size_t count;
};
struct model_values {
    struct model_value *items;
    size_t count, cap;
};

/* A reference: expected.safetensors of a directory, and expected.json where
 * there is one; of a file M.gguf: M.expected.safetensors and -.json. */
struct model_reference {
    struct weights *tensors;
    struct weights *distill; /* distill.safetensors, or NULL */
    struct weights *packed;  /* packed.safetensors, or NULL */
    bool shared; /* of a model and of its adapter: logits_base, -_adapter */
    struct buf text;
    struct json j; /* over text */
};
MUST_CHECK int model_reference_open(const char *path,
                                    struct model_reference *out,
                                    struct err *err);
/* Is there any beside `path`? */
bool model_reference_exists(const char *path);
void model_reference_release(struct model_reference *r);
/* Does it have a loss or gradients of the weights, or of an adapter? */
bool model_reference_trains(const struct model_reference *r, bool adapter);
/* Is this quantity of a shared reference about the model with its adapter, or
 * without, when the other one is checked; or given, not computed? */
bool model_reference_skips(const struct model_reference *r, bool adapter,
                           const char *name);
/* dequantised.NAME: weights of the model at `dir` as they are read. */
MUST_CHECK int model_reference_weights(const char *dir,
                                       const struct model_reference *r,
                                       struct model_values *out,
                                       struct err *err);

/* Compute for the batch of base what base (adapter NULL) or own (the
 * adapter's reference) asks for. */
MUST_CHECK int model_values_compute(const char *dir, const char *adapter,
                                    const struct model_reference *base,
                                    const struct model_reference *own,
                                    struct compute *compute,
                                    struct model_values *out, struct err *err);
void model_values_release(struct model_values *v);
/* A value with room for its data; name is taken over. */
struct model_value *model_values_add(struct model_values *v, char *name,
                                     unsigned dims, const int64_t *shape);
void model_values_add_scalar(struct model_values *v, const char *name,
                             double x);

/* Documents of a batch, in memory of its own. */
struct model_documents {
    struct model_batch b;
    int32_t *ids, *labels, *positions, *starts;
};
void model_documents_release(struct model_documents *b);

/* model_distill.c: the losses of a student at `dir` against dir/teacher, as
 * r->distill and r->j have them, and the gradient of the embedding. */
MUST_CHECK int model_distill_compute(const char *dir,
                                     const struct model_reference *r,
                                     const struct model_documents *b,
                                     struct compute *compute,
                                     struct model_values *out, struct err *err);

/* model_encoder_check.c: last_hidden_state and embedding of the encoder at
 * `dir` for the reference's input_ids and attention_mask. */
MUST_CHECK int model_encoder_compute(const char *dir,
                                     const struct model_reference *r,
                                     struct compute *compute,
                                     struct model_values *out, struct err *err);

#endif

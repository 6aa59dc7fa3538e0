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

/* A reference: expected.safetensors and expected.json of a directory. */
struct model_reference {
    struct weights *tensors;
    struct buf text;
    struct json j; /* over text */
};
MUST_CHECK int model_reference_open(const char *dir,
                                    struct model_reference *out,
                                    struct err *err);
void model_reference_release(struct model_reference *r);

/* Compute for the batch of base what base (adapter NULL) or own (the
 * adapter's reference) asks for. */
MUST_CHECK int model_values_compute(const char *dir, const char *adapter,
                                    const struct model_reference *base,
                                    const struct model_reference *own,
                                    struct compute *compute,
                                    struct model_values *out, struct err *err);
void model_values_release(struct model_values *v);

#endif

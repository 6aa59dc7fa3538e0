/*
 * model_encoder.h - private to lib/model: what a BERT encoder holds
 *
 * Weights as they lie on the device, and the activations of the largest batch
 * so far.
 */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "model/model.h"

struct encoder_linear {
    struct compute_span w, bias;
    size_t n, k;
};
struct encoder_norm {
    struct compute_span w, b;
};
struct encoder_layer {
    struct encoder_linear q, k, v, o, up, down;
    struct encoder_norm attended, out;
};
/* Activations of `rows` rows. */
struct encoder_work {
    struct compute_span x, y, q, k, v, wide, ids, positions;
    size_t rows;
};

struct model_encoder {
    struct model_encoder_shape shape;
    size_t ffn, heads;
    float eps;
    enum compute_activation act;
    struct compute *compute;
    struct compute_span words, places; /* places: with the token type's row */
    struct encoder_norm norm;
    struct encoder_layer *layers;
    struct encoder_work work;
};

void model_encoder_release_work(struct model_encoder *e);

#endif

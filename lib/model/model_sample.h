/* model_sample.h - private to lib/model: one token from one row of logits */
#ifndef MODEL_SAMPLE_H
#define MODEL_SAMPLE_H

#include "model/model.h"

/* Logits of ids seen before, each once: divided by penalty if positive, else
 * multiplied. seen: room for n ids' marks, all zero before and after. */
void model_penalise(float *logits, size_t n, double penalty, const int32_t *ids,
                    size_t count, uint8_t *seen);
/* One of n logits, of which some may be -INFINITY: the largest at temperature
 * 0, else drawn after top-k, top-p and min-p. The random number depends on
 * (seed, sequence, step) alone. */
int32_t model_sample(const float *logits, size_t n,
                     const struct model_sampling *opt, size_t sequence,
                     size_t step);
/* That number, [0, 1). */
double model_sample_unit(const struct model_sampling *opt, size_t sequence,
                         size_t step);

#endif

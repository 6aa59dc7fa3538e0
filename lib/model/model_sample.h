/* model_sample.h - private to lib/model: one token from one row of logits */
#ifndef MODEL_SAMPLE_H
#define MODEL_SAMPLE_H

#include "model/model.h"

/* Temperature > 0, then top-k, then top-p. The random number depends on
 * (seed, sequence, step) alone. *logp: log p of the token in the model's own
 * distribution, before any of these. logits is overwritten. */
int32_t model_sample(float *logits, size_t vocab,
                     const struct model_sampling *opt, size_t sequence,
                     size_t step, float *logp);

#endif

/* tiny_model.h - the sizes of a random model that tests train and generate
 * with in no time; layers, tied and init_range are each test's own */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "model/model.h"

#define TINY_MODEL                                                             \
    .family = "llama", .vocab = 61, .hidden = 24, .ffn = 40, .heads = 4,       \
    .kv_heads = 2, .head_dim = 6, .context = 128, .norm_eps = 1e-5,            \
    .rope_theta = 10000, .bos = 1, .eos = { 2 }, .eos_count = 1

#endif

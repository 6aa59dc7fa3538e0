/*
 * encoder_files.h - what tests of encoders share: a small random BERT in a
 * directory
 */
#ifndef ENCODER_FILES_H
#define ENCODER_FILES_H

#include "base/rng.h"
#include "model_reference.h"

#define HIDDEN 8
#define VOCAB 20
#define CONTEXT 12

#define CONFIG                                                                 \
    "\"vocab_size\":20,\"hidden_size\":8,\"intermediate_size\":12,"            \
    "\"num_hidden_layers\":1,\"num_attention_heads\":2,"                       \
    "\"max_position_embeddings\":12"
#define BERT "{\"architectures\":[\"BertModel\"],\"model_type\":\"bert\","

static const struct {
    const char *name;
    int64_t rows, cols;
} tensors[] = {
    { "embeddings.word_embeddings.weight", VOCAB, HIDDEN },
    { "embeddings.position_embeddings.weight", CONTEXT, HIDDEN },
    { "embeddings.token_type_embeddings.weight", 2, HIDDEN },
    { "embeddings.LayerNorm.weight", HIDDEN, 0 },
    { "embeddings.LayerNorm.bias", HIDDEN, 0 },
    { "encoder.layer.0.attention.self.query.weight", HIDDEN, HIDDEN },
    { "encoder.layer.0.attention.self.query.bias", HIDDEN, 0 },
    { "encoder.layer.0.attention.self.key.weight", HIDDEN, HIDDEN },
    { "encoder.layer.0.attention.self.key.bias", HIDDEN, 0 },
    { "encoder.layer.0.attention.self.value.weight", HIDDEN, HIDDEN },
    { "encoder.layer.0.attention.self.value.bias", HIDDEN, 0 },
    { "encoder.layer.0.attention.output.dense.weight", HIDDEN, HIDDEN },
    { "encoder.layer.0.attention.output.dense.bias", HIDDEN, 0 },
    { "encoder.layer.0.attention.output.LayerNorm.weight", HIDDEN, 0 },
    { "encoder.layer.0.attention.output.LayerNorm.bias", HIDDEN, 0 },
    { "encoder.layer.0.intermediate.dense.weight", 12, HIDDEN },
    { "encoder.layer.0.intermediate.dense.bias", 12, 0 },
    { "encoder.layer.0.output.dense.weight", HIDDEN, 12 },
    { "encoder.layer.0.output.dense.bias", HIDDEN, 0 },
    { "encoder.layer.0.output.LayerNorm.weight", HIDDEN, 0 },
    { "encoder.layer.0.output.LayerNorm.bias", HIDDEN, 0 },
    { "pooler.dense.bias", HIDDEN, 0 }, /* not the encoder's */
    { "encoder.layer.1.output.dense.bias", HIDDEN, 0 },
};
#define TENSORS (sizeof(tensors) / sizeof(tensors[0]) - 1)

/* A random encoder with the first `count` tensors under prefix. */
static inline void write_encoder(const char *dir, const char *config,
                                 size_t count, const char *prefix)
{
    struct weights_tensor all[TENSORS + 1];
    char *file = io_path(dir, "config.json");
    struct rng rng;

    rng_init(&rng, 3);
    OK(io_write_file(file, config, strlen(config), 0600, &err));
    free(file);
    for (size_t i = 0; i < count; i++) {
        int64_t rows = tensors[i].rows, cols = tensors[i].cols;
        size_t n = (size_t)(rows * (cols ? cols : 1));
        float *x = mem_array(n, sizeof(*x));

        for (size_t j = 0; j < n; j++)
            x[j] = (float)rng_below(&rng, 2000) / 1000 - 1;
        all[i] = (struct weights_tensor){ .name = mem_printf("%s%s", prefix,
                                                             tensors[i].name),
                                          .type = WEIGHTS_F32,
                                          .dims = cols ? 2 : 1,
                                          .shape = { rows, cols },
                                          .data = x,
                                          .bytes = n * sizeof(*x) };
    }
    file = io_path(dir, "model.safetensors");
    OK(weights_write(file, all, count, NULL, &err));
    free(file);
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)all[i].name);
        free((void *)(uintptr_t)all[i].data);
    }
}

#endif

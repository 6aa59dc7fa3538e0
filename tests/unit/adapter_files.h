/*
 * adapter_files.h - directories as PEFT writes them, of random numbers
 */
#ifndef ADAPTER_FILES_H
#define ADAPTER_FILES_H

#include "ok.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADAPTER_LAYERS 4

/* A linear layer, and its shape. */
struct layer {
    const char *name;
    int64_t out, in;
};
static inline void adapter_tensor(struct weights_tensor *t, size_t *n,
                                  const char *layer, const char *part,
                                  int64_t rows, int64_t cols, struct rng *r,
                                  float scale)
{
    size_t count = (size_t)(rows * (cols ? cols : 1));
    float *x = mem_array(count, sizeof(*x));

    for (size_t i = 0; i < count; i++)
        x[i] = scale * (float)(rng_unit(r) - (cols ? 0.5 : 0));
    t[(*n)++] =
        (struct weights_tensor){ .name = mem_printf("base_model.model.%s.%s",
                                                    layer, part),
                                 .type = WEIGHTS_F32,
                                 .dims = cols ? 2 : 1,
                                 .shape = { rows, cols },
                                 .data = x,
                                 .bytes = count * sizeof(*x) };
}

/* PEFT's files of an adapter of at most ADAPTER_LAYERS layers at `path`; fields
 * go into its config. */
static inline void adapter_files(const char *path, const struct layer *layers,
                                 size_t count, uint64_t seed, int rank,
                                 bool dora, float scale, const char *fields)
{
    char *file, config[256];
    struct weights_tensor t[3 * ADAPTER_LAYERS];
    struct rng r;
    size_t n = 0;

    rng_init(&r, seed);
    OK(io_mkdirs(path, 0755, &err));
    for (size_t i = 0; i < count; i++) {
        const struct layer *l = &layers[i];

        adapter_tensor(t, &n, l->name, "lora_A.weight", rank, l->in, &r, scale);
        adapter_tensor(t, &n, l->name, "lora_B.weight", l->out, rank, &r,
                       scale);
        if (dora)
            adapter_tensor(t, &n, l->name, "lora_magnitude_vector", l->out, 0,
                           &r, 2);
    }
    file = io_path(path, "adapter_model.safetensors");
    OK(weights_write(file, t, n, NULL, &err));
    free(file);
    file = io_path(path, "adapter_config.json");
    (void)snprintf(config, sizeof(config),
                   "{\"peft_type\":\"LORA\",\"r\":%d,\"lora_alpha\":8,"
                   "\"use_dora\":%s%s}",
                   rank, dora ? "true" : "false", fields);
    OK(io_write_file(file, config, strlen(config), 0644, &err));
    free(file);
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)t[i].name);
        free((void *)(uintptr_t)t[i].data);
    }
}

#endif

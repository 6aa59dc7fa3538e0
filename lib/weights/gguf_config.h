/*
 * gguf_config.h - a config.json being made out of metadata; private to the two
 * files that do
 */
#ifndef GGUF_CONFIG_H
#define GGUF_CONFIG_H

#include "json/json.h"
#include "weights/gguf_internal.h"

struct config_out {
    const struct weights_file *f;
    const struct gguf *g;
    struct json_writer w;
    int64_t head_dim;
    struct err *err;
};

/* By the checkpoint's name; NULL if absent. */
const struct weights_tensor *gguf_config_tensor(const struct config_out *c,
                                                const char *name);
/* ARCHITECTURE.KEY, or what all layers that have it agree on; 0 if there is no
 * such number. */
int64_t gguf_config_int(const struct config_out *c, const char *key);
/* What families with several kinds of layers say of them. */
void gguf_config_hybrid(struct config_out *c);

#endif

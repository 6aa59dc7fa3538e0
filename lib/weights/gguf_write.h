/* gguf_write.h - private to the files that write models and adapters */
#ifndef GGUF_WRITE_H
#define GGUF_WRITE_H

#include "weights/gguf_build.h"

struct export
{
    struct gguf_build g;
    struct json config;
    struct buf text;
    struct gguf_extra extra;
    const struct gguf_arch *arch;
    int64_t layers, heads, kv_heads;
};

/* config.json of the model, its architecture and heads. Released even on
 * failure. */
MUST_CHECK int gguf_export_begin(struct export *x, const char *model,
                                 struct err *err);
void gguf_export_release(struct export *x);
/* A hybrid all of whose layers have attention may be another architecture. */
void gguf_export_name(struct export *x, const struct weights *w);
/* Rows that are permuted come in pairs for each head. */
MUST_CHECK int gguf_export_check(const struct gguf_item *item,
                                 const struct weights_tensor *t,
                                 struct err *err);
/* Are these what extra.query multiplies? */
bool gguf_export_scales(const struct gguf_arch *a, const char *name);

#endif

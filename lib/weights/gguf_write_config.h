/*
 * gguf_write_config.h - metadata being made out of a config.json; private to
 * the two files that do
 */
#ifndef GGUF_WRITE_CONFIG_H
#define GGUF_WRITE_CONFIG_H

#include "weights/gguf_build.h"

#define GGUF_MAX_HEAD 65536 /* as large as any head can be */

struct config_in {
    struct gguf_build *g;
    const struct gguf_arch *arch;
    const struct json *j;
    const struct weights *w;
    struct gguf_extra *extra;
    int64_t head_dim, hidden, heads, layers, turned;
    double theta;
    struct err *err;
    int rc;
};

/* A member that is not null, JSON_NONE without one; as a number or a whole
 * one of the top, `fallback` where there is none. */
json_ref gguf_in_member(const struct config_in *c, json_ref object,
                        const char *name);
double gguf_in_number(const struct config_in *c, json_ref object,
                      const char *name, double fallback);
int64_t gguf_in_whole(const struct config_in *c, const char *name,
                      int64_t fallback);
/* The first thing that cannot be said decides. */
void gguf_in_refuse(struct config_in *c, const char *what);
/* ARCHITECTURE.KEY */
void gguf_in_put_int(struct config_in *c, const char *key, int64_t v);
void gguf_in_put_float(struct config_in *c, const char *key, double v);
/* gguf_write_hybrid.c: shapes and keys of families whose layers differ. */
void gguf_put_hybrid(struct config_in *c);

#endif

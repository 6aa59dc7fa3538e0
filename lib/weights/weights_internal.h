/* weights_internal.h - one safetensors file, shared by reader and directory */
#ifndef WEIGHTS_INTERNAL_H
#define WEIGHTS_INTERNAL_H

#include "base/half.h"
#include "base/io.h"
#include "weights/weights.h"

struct gguf;

struct weights_file {
    struct io_map map;
    struct gguf *gguf;              /* NULL: safetensors */
    struct weights_tensor *tensors; /* in order of names, names owned */
    size_t count;
    char **metadata; /* key, value, key, value... */
    size_t metadata_count;
};

/* Check the mapped file as the format demands and fill the rest of *f; path
 * is for messages. On failure weights_file_release still cleans up. */
MUST_CHECK int safetensors_scan(struct weights_file *f, const char *path,
                                struct err *err);
/* Of struct weights_tensor, for qsort and bsearch. */
int weights_by_name(const void *a, const void *b);
int weights_by_place(const void *a, const void *b); /* in the file */
/* Of either format. */
void weights_file_release(struct weights_file *f);
/* What 4-bit tensors point to; owned. */
struct weights_nf4_list {
    struct weights_nf4 **items;
    size_t count, cap;
};
/* weights_bnb.c: of tensors in order of names, 4-bit ones and the parts they
 * are stored in become one each. */
MUST_CHECK int weights_join_nf4(struct weights_tensor *tensors, size_t *count,
                                struct weights_nf4_list *owned,
                                struct err *err);

/* One dtype of the format. */
struct weights_dtype {
    const char *name;   /* "BF16" */
    const char *config; /* "bfloat16", NULL if config.json has no such */
    unsigned bits;
    enum weights_type type;
    unsigned rank; /* place in the file: larger first */
};
/* A block type of GGUF. */
struct weights_block {
    const char *name;
    enum weights_type type;
    uint32_t gguf; /* number in files */
    unsigned elements, bytes;
    void (*dequantise)(const unsigned char *block, float *out);
};
extern const struct weights_block weights_blocks[];
extern const size_t weights_block_count;
/* NULL if type is none. */
const struct weights_block *weights_block_of(enum weights_type type);

float weights_nf4_scale(const struct weights_nf4 *q, size_t block);
void weights_nf4_dequantise(const struct weights_tensor *t, float *out);
/* A type that weights_quantise knows, n a multiple of its block. */
void weights_quantise_into(enum weights_type type, const float *x, size_t n,
                           unsigned char *out);
/* weights_kquant.c: one block each. */
void weights_quantise_q4_k(const float *x, unsigned char *out);
void weights_quantise_q6_k(const float *x, unsigned char *out);

/* NULL if unknown. */
const struct weights_dtype *weights_dtype_find(struct slice name);
const struct weights_dtype *weights_dtype_of(enum weights_type type);

#endif

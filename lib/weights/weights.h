/*
 * weights.h - tensors in files
 *
 * safetensors and GGUF, read through mmap and checked before use (sizes,
 * names, types, shapes, offsets), one file or shards with an index; written to
 * a temporary name, synced, renamed.
 * May use: base json crypto.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define WEIGHTS_MAX_DIMS 8
#define WEIGHTS_MAX_TENSORS ((size_t)1 << 20)
#define WEIGHTS_MAX_NAME ((size_t)4096)
#define WEIGHTS_MAX_SHARDS ((size_t)4096)
#define WEIGHTS_MAX_INDEX ((size_t)64 << 20)   /* bytes of the shard index */
#define WEIGHTS_MAX_HEADER ((size_t)100000000) /* bytes, as the format says */

enum weights_type {
    WEIGHTS_F32,
    WEIGHTS_F16,
    WEIGHTS_BF16,
    WEIGHTS_F64,
    WEIGHTS_I64,
    WEIGHTS_I32,
    WEIGHTS_I16,
    WEIGHTS_I8,
    WEIGHTS_U8,
    WEIGHTS_BOOL,
    /* In blocks of elements that share a scale; names as GGUF has them. */
    WEIGHTS_Q4_0,
    WEIGHTS_Q4_1,
    WEIGHTS_Q5_0,
    WEIGHTS_Q5_1,
    WEIGHTS_Q8_0,
    WEIGHTS_Q2_K,
    WEIGHTS_Q3_K,
    WEIGHTS_Q4_K,
    WEIGHTS_Q5_K,
    WEIGHTS_Q6_K,
    WEIGHTS_IQ4_NL,
    WEIGHTS_IQ4_XS,
    WEIGHTS_NF4,   /* bitsandbytes: scales lie apart */
    WEIGHTS_OTHER, /* readable as bytes only */
};

/* The scales of a 4-bit tensor of bitsandbytes. Element i is
 * code[nibble i] * scale[i / block]; scales are f32, or bytes that stand for
 * nested_code[byte] * nested[i / nested_block] + offset. */
struct weights_nf4 {
    float code[16], nested_code[256];
    size_t block, nested_block; /* nested_block 0: not nested */
    const void *scales;         /* borrowed: f32 or u8 */
    const void *nested;         /* borrowed: f32, unaligned */
    float offset;
    enum weights_type type; /* that results are rounded to */
};

/* A tensor: row-major, little-endian, borrowed from the mapping. The format
 * pads its header so that data is aligned, but does not promise it: read
 * through weights_to_f32 or memcpy. */
struct weights_tensor {
    const char *name;
    enum weights_type type;
    unsigned dims;
    int64_t shape[WEIGHTS_MAX_DIMS];
    const void *data;
    size_t bytes;
    const struct weights_nf4 *nf4; /* of NF4 alone; owned by the file */
};

struct weights;

/* path: a .safetensors file, a model.safetensors.index.json, a GGUF file, or a
 * directory that holds one of model.safetensors, model.safetensors.index.json,
 * adapter_model.safetensors (in this order) or else one *.gguf. Tensors of a
 * GGUF model have the names and the order of rows that checkpoints of
 * transformers have; 4-bit tensors of bitsandbytes are one tensor each. */
MUST_CHECK int weights_open(const char *path, struct weights **out,
                            struct err *err);
void weights_close(struct weights *w); /* NULL is fine */
size_t weights_count(const struct weights *w);
/* In order of names. */
const struct weights_tensor *weights_at(const struct weights *w, size_t i);
/* NULL if absent. */
const struct weights_tensor *weights_find(const struct weights *w,
                                          const char *name);
/* A tensor of w that is not read again soon: its part of the file need not be
 * in memory. */
void weights_forget(const struct weights *w, const struct weights_tensor *t);
int64_t weights_elements(const struct weights_tensor *t);
const char *weights_type_name(enum weights_type t); /* "BF16" */
/* The reverse ("BF16", also "bfloat16" as config.json spells it); false and
 * WEIGHTS_OTHER for an unknown name. */
bool weights_type_parse(const char *name, enum weights_type *out);
size_t weights_type_size(enum weights_type t); /* 0 for OTHER and blocks */
/* Elements and bytes of a block of a block type that GGUF has; false for all
 * others. */
bool weights_type_block(enum weights_type t, unsigned *elements,
                        unsigned *bytes);

/* Widen F32, F16, BF16, F64 and block types to float; other types:
 * ERR_UNSUPPORTED. out has room for all elements. */
MUST_CHECK int weights_to_f32(const struct weights_tensor *t, float *out,
                              struct err *err);
/* Round to nearest even. */
uint16_t weights_bf16_from_f32(float x);

/* n floats as type: F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K (n a multiple of
 * the block), the scales chosen for the least squared error, appended to *out;
 * ERR_UNSUPPORTED for other types. */
MUST_CHECK int weights_quantise(enum weights_type type, const float *x,
                                size_t n, struct buf *out, struct err *err);
/* A matrix whose rows are whole blocks, as weights_quantise makes them of its
 * numbers: weights_block_bytes of them at out. type: Q8_0 or Q4_0. The pool's
 * threads work; NULL: this one. */
struct pool;
size_t weights_block_bytes(enum weights_type type, size_t n);
MUST_CHECK int weights_to_blocks(const struct weights_tensor *t,
                                 enum weights_type type, struct pool *pool,
                                 void *out, struct err *err);
/* Nearest codes, two to a byte (first one high), a scale for each `block`
 * elements of the flat array; the last block may be shorter. */
extern const float weights_nf4_code[16];
void weights_nf4_quantise(const float *x, size_t n, size_t block,
                          unsigned char *packed, float *scales);

/* A small file of a model: `name` in the directory `model`, or, of a GGUF file,
 * config.json, tokenizer.json, tokenizer_config.json (special tokens alone) or
 * chat_template.jinja as its metadata give it.
 * Appends to *out; ERR_NOTFOUND if the model has none. */
MUST_CHECK int weights_part(const char *model, const char *name, size_t max,
                            struct buf *out, struct err *err);
/* The GGUF file of a directory that has no config.json and just one of them,
 * else path itself; the caller frees it. */
char *weights_model_path(const char *path);
bool weights_is_gguf(const char *path);

/* The value of a __metadata__ key of the first file, NULL if absent. */
const char *weights_metadata(const struct weights *w, const char *key);

/* Hexadecimal hash of names, types, shapes and bytes in the order of names:
 * the same for one file and for shards. Reads everything. */
#define WEIGHTS_HASH_TEXT 33
MUST_CHECK int weights_hash(const struct weights *w,
                            char out[WEIGHTS_HASH_TEXT], struct err *err);

/* Write tensors (data in their own type) as one safetensors file; metadata:
 * key/value pairs, NULL-terminated, may be NULL. Largest alignment first, then
 * by name, header padded to 8 bytes: the reference's order. */
MUST_CHECK int weights_write(const char *path,
                             const struct weights_tensor *tensors, size_t count,
                             const char *const *metadata, struct err *err);
/* The same as model.safetensors in dir, or, if the data are more than `most`
 * bytes, as model-00001-of-0000N.safetensors and so on with their index; a
 * tensor is never cut. most 0: one file. Files of another layout are removed
 * last, so that one whole model is there at any time. */
MUST_CHECK int weights_write_dir(const char *dir,
                                 const struct weights_tensor *tensors,
                                 size_t count, size_t most, struct err *err);

/* What to write as GGUF. */
struct weights_gguf {
    enum weights_type type; /* of matrices: F32 F16 BF16 Q8_0 Q4_0 Q4_K Q6_K */
    const char *name;       /* general.name; NULL: none */
    bool uniform;           /* no better types for embedding and head */
    unsigned threads;       /* 0: one per CPU */
};
/* The model at `model` (a directory or GGUF file) as one GGUF file: vectors in
 * F32, rows that are no whole blocks in Q8_0 or F16, tokenizer and template in
 * the metadata. ERR_UNSUPPORTED, by name, for what the format or the software
 * that reads it has no place for. */
MUST_CHECK int weights_gguf_write(const char *model,
                                  const struct weights_gguf *opt,
                                  const char *path, struct err *err);
/* A PEFT adapter (LoRA alone) for the model `base` as one GGUF file. */
MUST_CHECK int weights_gguf_adapter(const char *adapter, const char *base,
                                    const char *path, struct err *err);
/* Reading such a file: its alpha (false: it is no adapter); A or B of a linear
 * layer of the checkpoint ("model.layers.0.self_attn.q_proj"), NULL if there
 * is none; whether B's rows are in the order of GGUF (*key: by the heads of
 * keys), and from there to the checkpoint's. */
bool weights_gguf_alpha(const struct weights *w, double *alpha);
const struct weights_tensor *weights_gguf_lora(const struct weights *w,
                                               const char *module, bool b);
bool weights_gguf_permuted(const struct weights *w, const char *module,
                           bool *key);
void weights_gguf_unpermute(const float *from, float *to, size_t rows,
                            size_t cols, size_t heads);
/* "Q4_K" and so on, also in lower case, for types of struct weights_gguf. */
bool weights_gguf_type(const char *name, enum weights_type *out);

#endif

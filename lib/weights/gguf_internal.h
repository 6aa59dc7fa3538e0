/*
 * gguf_internal.h - a GGUF file: metadata and tensors, and what they are
 * called in checkpoints of transformers
 *
 * Layout: magic, version, counts, metadata (key, type, value), tensor infos,
 * padding, data (ggml-org/ggml, docs/gguf.md).
 */
#ifndef GGUF_INTERNAL_H
#define GGUF_INTERNAL_H

#include "base/buf.h"
#include "weights/weights_internal.h"

#define GGUF_MAX_KEYS ((size_t)1 << 16)
#define GGUF_MAX_STRING ((size_t)64 << 20)
#define GGUF_MAX_ARRAY ((size_t)1 << 26) /* elements */
#define GGUF_MAX_NAME 64                 /* bytes of a tensor's name */
#define GGUF_MAX_ALIGNMENT 65536u
#define GGUF_ALIGNMENT 32u

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

/* Kinds of tokens. */
enum gguf_token {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER,
    TOKEN_UNUSED,
    TOKEN_BYTE,
};

/* One metadata entry; bytes are borrowed from the mapping. */
struct gguf_entry {
    struct slice key;
    enum gguf_type type; /* of an array: of its elements */
    bool array;
    size_t count;          /* elements; 1 if no array */
    const char *data;      /* the values; strings: see below */
    struct slice *strings; /* `count` of them if type is a string, owned */
};

struct gguf {
    struct gguf_entry *entries;
    size_t count;
    const struct gguf_arch *arch; /* NULL: not known */
    void **owned;                 /* data that is not the file's */
    size_t owned_count, owned_cap;
    struct weights_tensor *aside; /* factors of RoPE, no weights */
    size_t aside_count;
};

/* Check the mapped file and fill f->tensors and f->gguf. */
MUST_CHECK int gguf_scan(struct weights_file *f, const char *path,
                         struct err *err);
void gguf_release(struct gguf *g); /* NULL is fine */

/* NULL if absent; gguf_find_own looks for "ARCHITECTURE.KEY". */
const struct gguf_entry *gguf_find(const struct gguf *g, const char *key);
const struct gguf_entry *gguf_find_own(const struct gguf *g, const char *key);
/* A number of any width; false if e is NULL, an array or no (whole) number. */
bool gguf_int(const struct gguf_entry *e, int64_t *out);
bool gguf_double(const struct gguf_entry *e, double *out);
/* The same of an array, one number a layer, that are all equal or 0. */
bool gguf_int_of_layers(const struct gguf_entry *e, int64_t *out);
bool gguf_flag(const struct gguf_entry *e, bool fallback);
/* String i of an entry; empty if there is none. */
struct slice gguf_string(const struct gguf_entry *e, size_t i);
/* Number i of an array of numbers, 0 if there is none. */
double gguf_number(const struct gguf_entry *e, size_t i);

/* An architecture on both sides, and how its tensors differ. */
enum gguf_quirks {
    GGUF_PERMUTED = 1, /* rows of q and k in pairs, as its RoPE turns them */
    GGUF_SHIFTED = 2,  /* norms are stored with 1 added */
    GGUF_HYBRID = 4,   /* layers differ in kind */
};
/* How GGUF keeps a tensor of the checkpoint. */
enum gguf_form {
    GGUF_SAME,
    GGUF_DECAY,       /* A_log [n] as -exp(A_log) [n, 1] */
    GGUF_COLUMN,      /* [n] as [n, 1] */
    GGUF_CONV,        /* [channels, 1, taps] as [channels, taps] */
    GGUF_GROUPS,      /* [n] as [groups, n / groups] */
    GGUF_FIRST_HALF,  /* of the rows */
    GGUF_SECOND_HALF, /* the tensor after it in gguf_names.c's table */
};
struct gguf_arch {
    const char *name;         /* "llama" */
    const char *type;         /* model_type */
    const char *architecture; /* architectures[0] */
    unsigned quirks;
    unsigned names; /* which of gguf_names.c's sets */
};
/* Whose square root Gemma's queries are divided by: no key says it, and
 * llama.cpp goes by the number of layers. */
int64_t gguf_gemma_scale(const struct gguf_arch *a, int64_t layers,
                         int64_t hidden, int64_t heads, int64_t head_dim);
const struct gguf_arch *gguf_arch_find(struct slice name);
const struct gguf_arch *gguf_arch_of_type(const char *model_type);
/* What a hybrid of attention alone is called; NULL: it has no other name. */
const struct gguf_arch *gguf_arch_of_attention(const struct gguf_arch *a);
/* The other side's name of a tensor; NULL if it has none. The caller frees. */
char *gguf_name_to_checkpoint(const struct gguf_arch *a, const char *name,
                              enum gguf_form *form);
char *gguf_name_from_checkpoint(const struct gguf_arch *a, const char *name,
                                enum gguf_form *form);
/* Is it a projection whose rows are permuted? *key: k, not q. */
bool gguf_is_permuted(const struct gguf_arch *a, const char *name, bool *key);
bool gguf_is_shifted(const struct gguf_arch *a, const char *name);
/* Rows of `bytes` bytes each: pairs of `heads` heads to halves, or back. */
void gguf_unpermute(const void *from, void *to, size_t rows, size_t bytes,
                    size_t heads);
void gguf_permute(const void *from, void *to, size_t rows, size_t bytes,
                  size_t heads);
/* Give tensors the checkpoint's names, order of rows and values; those of an
 * architecture that is not known, and of adapters, stay as they are. */
MUST_CHECK int gguf_adopt(struct weights_file *f, struct err *err);
bool gguf_is_adapter(const struct gguf *g);
/* NULL if absent. */
const struct weights_tensor *gguf_aside(const struct gguf *g, const char *name);

/* Files of a model directory, out of the metadata; ERR_NOTFOUND if there is
 * no such thing in it. */
MUST_CHECK int gguf_config(const struct weights_file *f, struct buf *out,
                           struct err *err);
MUST_CHECK int gguf_tokenizer(const struct weights_file *f, struct buf *out,
                              struct err *err);
MUST_CHECK int gguf_template(const struct weights_file *f, struct buf *out,
                             struct err *err);
MUST_CHECK int gguf_tokenizer_config(const struct weights_file *f,
                                     struct buf *out, struct err *err);

#endif

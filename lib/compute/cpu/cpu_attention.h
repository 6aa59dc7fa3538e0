/*
 * cpu_attention.h - private to the CPU's attention: what its files share
 *
 * A block is up to cpu_attend_rows rows of queries of one key head: the heads
 * of a group one after another, position by position, so that one pass over
 * keys serves them all. Keys are taken in parts of cpu_part_keys, each by
 * itself, whose results are joined in their order: whether one task takes all
 * parts or each has its own never shows in a result.
 */
#ifndef CPU_ATTENTION_H
#define CPU_ATTENTION_H

#include "compute/cpu/cpu.h"

#define CPU_STRIPS 4 /* register strips in a block */
#define CPU_BLOCK_ROWS (CPU_STRIPS * CPU_MAX_MR)
#define CPU_SCORES (CPU_KEYS + 16) /* floats a row: none shares its sets */
#define CPU_CHUNK 96               /* positions of a task */

/* Rows of a block's scores, before they are divided by their sum. */
struct cpu_part {
    float *o; /* [rows][dim] */
    float max[CPU_BLOCK_ROWS], sum[CPU_BLOCK_ROWS];
};

struct cpu_attend {
    const struct cpu_kernels *k;
    size_t m, dim, window;
    size_t ring; /* keys and values repeat after so many; 0: never */
    float softcap, scale;
    /* Panels [keys/nr][dim][nr], key_stride apart, and [dim/nr][keys][nr],
     * value_stride apart. I8: a panel of keys is followed by the factors of
     * its keys and of their values, f32. */
    enum compute_type type;
    const void *keys, *values;
    size_t key_stride, value_stride; /* elements */
    size_t sees[CPU_BLOCK_ROWS];     /* keys that a row sees, ascending */
    float *q, *s;                    /* [m][dim], [m][CPU_SCORES] */
    float factors[2][CPU_KEYS + CPU_MAX_NR]; /* I8: of this block's panels */
    struct cpu_part all, part;               /* joined; of one part */
};

/* Keys of one softmax, whole panels; and of a part, which is two of them. */
static inline size_t cpu_block_keys(const struct cpu_kernels *k)
{
    return CPU_KEYS / k->nr * k->nr;
}
static inline size_t cpu_part_keys(const struct cpu_kernels *k)
{
    return 2 * cpu_block_keys(k);
}
static inline size_t cpu_attend_rows(const struct cpu_kernels *k)
{
    return CPU_STRIPS * k->mr;
}
/* Memory for the block's rows from the worker's scratch. */
void cpu_attend_memory(struct cpu_attend *t, struct cpu_scratch *scratch);
/* Rows at..at + n of the block are pairs first.. of (position, head of the
 * group); q is the first position's first head of the group, positions are
 * `ld` apart and see `seen` keys and `step` more each. */
struct cpu_pairs {
    const float *q;
    size_t at, n, ld, group, first, seen, step;
};
void cpu_attend_load(struct cpu_attend *t, const struct cpu_pairs *p);
/* The first key that any row sees, or one before it. */
size_t cpu_attend_first(const struct cpu_attend *t);
/* t->part from keys at..end, which are of one part. */
void cpu_attend_part(struct cpu_attend *t, size_t at, size_t end);
void cpu_attend_join(struct cpu_attend *t, const struct cpu_part *part);
/* Every part. */
void cpu_attend_all(struct cpu_attend *t);
/* Row i of the block as it is in the end; lse may be NULL. */
void cpu_attend_store(const struct cpu_attend *t, size_t i, float *o,
                      float *lse);

/* Packed documents, cut into chunks of at most CPU_CHUNK positions. */
struct cpu_chunk {
    size_t doc, start, len; /* the document's rows */
    size_t at, m;           /* rows within the document */
    size_t pad;             /* positions of panels before the document */
};
struct cpu_documents {
    struct cpu *c;
    const struct compute_attention *a;
    struct cpu_chunk *chunks;
    size_t count, padded, dim_panels;
};
/* Chunks are in c->chunk, with `more` bytes after them. */
void cpu_documents_cut(struct cpu_documents *d, size_t more);
static inline void *cpu_documents_rest(const struct cpu_documents *d)
{
    return d->chunks + d->count;
}
/* Panels of x [rows, kv_heads * dim] for a chunk and head: positions as
 * columns, at chunk.pad + chunk.at of [padded/nr][dim][nr] for each head; or
 * elements as columns, [dim_panels][rows][nr] for each head. */
static inline size_t cpu_rows_at(const struct cpu_documents *d, size_t head,
                                 const struct cpu_chunk *k, size_t at)
{
    return (head * d->padded + k->pad + at) * d->a->dim;
}
static inline size_t cpu_columns_at(const struct cpu_documents *d, size_t head,
                                    const struct cpu_chunk *k, size_t at)
{
    return (head * d->dim_panels * d->a->rows + k->start + at) * d->c->k->nr;
}
void cpu_pack_positions(const struct cpu_documents *d, float *panels,
                        const float *x, const struct cpu_chunk *k, size_t head);
void cpu_pack_elements(const struct cpu_documents *d, float *panels,
                       const float *x, const struct cpu_chunk *k, size_t head);

#endif

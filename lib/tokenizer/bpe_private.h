/*
 * bpe_private.h - what the two halves of byte-pair encoding share
 *
 * bpe_load.c reads merges, bpe.c applies them.
 */
#ifndef BPE_PRIVATE_H
#define BPE_PRIVATE_H

#include "tokenizer/tokenizer_internal.h"

#define BPE_NO_PAIR UINT64_MAX

struct bpe_merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t id;
};

/* What two neighbours become; rank UINT32_MAX: nothing. */
struct bpe_product {
    uint32_t rank;
    int32_t id;
};

struct bpe {
    struct bpe_merge *merges; /* open addressing */
    size_t mask;
    struct bpe_product *of_bytes; /* [256][256] byte-level: of two bytes */
    int32_t byte_id[256];         /* byte-level: the byte's id, -1 if absent */
    int32_t ascii_id[128];        /* else: the character's */
    int32_t fallback_id[256];     /* <0xXX> */
    const struct map *vocab;      /* borrowed from the tokenizer */
    int32_t unk;                  /* -1: unknown characters vanish */
    bool byte_level, byte_fallback, fuse_unk, ignore_merges;
    /* Without words: where a text may be cut because no merge reaches over. */
    bool cuts;
    bool cut_at_marks;       /* at the start of a run of U+2581 */
    uint8_t joins[128][128]; /* between two ASCII characters where 0 */
};

static inline size_t bpe_slot(const struct bpe *b, uint64_t pair)
{
    return (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & b->mask;
}

static inline uint64_t bpe_pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline struct bpe_product bpe_find(const struct bpe *b, int32_t left,
                                          int32_t right)
{
    uint64_t pair = bpe_pair(left, right);
    size_t i = bpe_slot(b, pair);

    while (b->merges[i].pair != pair) {
        if (b->merges[i].pair == BPE_NO_PAIR)
            return (struct bpe_product){ UINT32_MAX, -1 };
        i = (i + 1) & b->mask;
    }
    return (struct bpe_product){ b->merges[i].rank, b->merges[i].id };
}

static inline int32_t bpe_vocab_id(const struct bpe *b, struct slice s)
{
    const uint64_t *id = map_get(b->vocab, s.p, s.n);

    return id ? (int32_t)*id : -1;
}

#endif

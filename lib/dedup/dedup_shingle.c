/*
 * dedup_shingle.c - words, shingles and their hashes
 *
 * One pass over the bytes. A word's hash is made byte by byte, a shingle's
 * from those of its words, so that no text is ever copied. 32 bits a shingle:
 * in two texts of a thousand words one in four thousand pairs of different
 * shingles would have to meet by chance before similarity shows it.
 */
#include "dedup/dedup_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SHORT_SORT 48

static inline uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 29;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 32);
}

struct shingler {
    uint64_t seed;
    uint64_t word[DEDUP_WORDS]; /* the last ones, as a ring */
    struct dedup_shingles *out;
};

static inline void put_hash(struct dedup_shingles *s, uint64_t h)
{
    if (s->count == s->cap) {
        void *all = s->hash;

        mem_grow(&all, &s->cap, s->count + 1, sizeof(*s->hash));
        s->hash = all;
    }
    s->hash[s->count++] = (uint32_t)(mix(h) >> 32);
}

/* The last n words, oldest first. */
static inline uint64_t ring_hash(const struct shingler *g, size_t words,
                                 size_t n)
{
    uint64_t h = g->seed;

    for (size_t i = words - n; i < words; i++)
        h = (h + g->word[i % DEDUP_WORDS]) * UINT64_C(0xff51afd7ed558ccd);
    return h;
}

static inline void put_word(struct shingler *g, uint64_t h)
{
    struct dedup_shingles *s = g->out;

    g->word[s->words % DEDUP_WORDS] = mix(h);
    s->words++;
    if (s->words >= DEDUP_WORDS)
        put_hash(s, ring_hash(g, s->words, DEDUP_WORDS));
}

/* The byte as words have it, 0: it ends them. */
static inline unsigned char fold(unsigned char c)
{
    if ((unsigned char)((c | 0x20) - 'a') < 26)
        return c | 0x20;
    return (unsigned char)(c - '0') < 10 || c == '_' || c >= 0x80 ? c : 0;
}

/* First byte of a kana or ideograph (U+3000 to U+9FFF), three bytes each. */
static inline bool is_sign(const unsigned char *p, const unsigned char *end)
{
    return *p >= 0xe3 && *p <= 0xe9 && end - p >= 3;
}

static void put_words(struct shingler *g, const unsigned char *p, size_t n)
{
    const unsigned char *end = p + n;

    while (p < end) {
        uint64_t h = g->seed;
        unsigned char c = fold(*p);

        if (!c) {
            p++;
            continue;
        }
        if (is_sign(p, end)) {
            for (int i = 0; i < 3; i++)
                h = (h ^ *p++) * UINT64_C(0x100000001b3);
            put_word(g, h);
            continue;
        }
        do
            h = (h ^ c) * UINT64_C(0x100000001b3);
        while (++p < end && (c = fold(*p)) && !is_sign(p, end));
        put_word(g, h);
    }
}

static void sort_short(uint32_t *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t v = x[i];
        size_t at = i;

        for (; at > 0 && x[at - 1] > v; at--)
            x[at] = x[at - 1];
        x[at] = v;
    }
}

/* Eight bits at a time from the lowest: an even number of passes. */
void dedup_sort(uint32_t *x, uint32_t *spare, size_t n)
{
    size_t count[4][256] = { { 0 } };

    if (n <= SHORT_SORT) {
        sort_short(x, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < 4; d++)
            count[d][x[i] >> 8 * d & 255]++;
    for (int d = 0; d < 4; d++) {
        uint32_t *swap = x;
        size_t at = 0;

        for (int v = 0; v < 256; v++) {
            size_t here = count[d][v];

            count[d][v] = at;
            at += here;
        }
        for (size_t i = 0; i < n; i++)
            spare[count[d][x[i] >> 8 * d & 255]++] = x[i];
        x = spare;
        spare = swap;
    }
}

static size_t keep_unique(uint32_t *x, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (i == 0 || x[i] != x[i - 1])
            x[kept++] = x[i];
    return kept;
}

void dedup_shingle(struct slice text, uint64_t seed, size_t limit,
                   struct dedup_shingles *out)
{
    struct shingler g = { .seed = seed, .out = out };
    void *spare = out->spare;

    out->count = out->words = 0;
    put_words(&g, (const unsigned char *)text.p, text.n);
    if (out->words > 0 && out->words < DEDUP_WORDS)
        put_hash(out, ring_hash(&g, out->words, out->words));
    mem_grow(&spare, &out->spare_cap, out->count + 1, sizeof(*out->spare));
    out->spare = spare;
    dedup_sort(out->hash, out->spare, out->count);
    out->count = keep_unique(out->hash, out->count);
    out->cut = limit && out->count > limit;
    if (out->cut)
        out->count = limit;
}

void dedup_shingles_release(struct dedup_shingles *s)
{
    free(s->hash);
    free(s->spare);
    *s = (struct dedup_shingles){ 0 };
}

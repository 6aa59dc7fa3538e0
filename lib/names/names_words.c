/*
 * names_words.c - the word lists as one table of hashes
 *
 * What is compared of 16 slots and what they say share a line of the cache, and
 * all lines a large page: the table is walked everywhere, and each word costs
 * one look at memory. A word of no list is taken for one once in some thousand
 * times: 14 bits of its hash are compared.
 */
#include "names/names_priv.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TABLE_BYTES_MIN (UINT32_C(2) << 20) /* a large page */

static uint16_t print_of(const unsigned char *s)
{
    unsigned high = s[1] | (unsigned)s[2] << 8;

    return (uint16_t)((high >> 2) + ((high | s[0]) != 0));
}

static void put_slots(struct names_block *to, size_t at,
                      const unsigned char *slot, size_t n)
{
    for (const unsigned char *s = slot; s < slot + 3 * n; s += 3, at++) {
        struct names_block *b = &to[at / WORDS_BLOCK];

        b->print[at % WORDS_BLOCK] = print_of(s);
        b->set[at % WORDS_BLOCK] = (s[0] | s[1] << 8) & 0x3FF;
    }
}

/* Behind the last slot stand those from the first on up to a free one, so that
 * no walk turns round. */
static void read_slots(struct names_words *w, const unsigned char *slot)
{
    size_t n = w->slots, extra = 0, blocks;

    while (extra < n && print_of(slot + 3 * extra))
        extra++;
    blocks = (n + extra) / WORDS_BLOCK + 1;
    if (blocks < TABLE_BYTES_MIN / sizeof(*w->block))
        blocks = TABLE_BYTES_MIN / sizeof(*w->block);
    w->block = mem_table(blocks, sizeof(*w->block));
    put_slots(w->block, 0, slot, n);
    put_slots(w->block, n, slot, extra);
}

int names_words_open(struct slice file, struct names_words *out,
                     struct err *err)
{
    struct bytes_reader r = { .rest = file };
    const char *magic = bytes_take(&r, sizeof(WORDS_MAGIC) - 1);

    out->slots = bytes_u32(&r);
    out->sets = bytes_u32(&r);
    if (!magic || r.bad ||
        memcmp(magic, WORDS_MAGIC, sizeof(WORDS_MAGIC) - 1) ||
        out->sets > WORDS_SETS || !out->slots)
        return err_set(err, ERR_FORMAT, "word lists: not a file of names pack");
    for (uint32_t i = 0; i < out->sets; i++)
        out->set[i] = bytes_u32(&r);
    names_cues_fill(out);
    names_turns_fill(out);
    if (r.bad || r.rest.n != 3 * (size_t)out->slots)
        return err_set(err, ERR_FORMAT, "word lists: cut at %zu bytes", file.n);
    read_slots(out, (const unsigned char *)r.rest.p);
    return ERR_OK;
}

void names_words_close(struct names_words *w)
{
    free(w->block);
}

/* Bits of a block's slots that have this print. */
static unsigned slots_of(const struct names_block *b, uint16_t print)
{
#ifdef __SSE2__
    const __m128i *p = (const __m128i *)(const void *)b->print;
    const __m128i same = _mm_set1_epi16((short)print);

    return (unsigned)_mm_movemask_epi8(
        _mm_packs_epi16(_mm_cmpeq_epi16(_mm_load_si128(p), same),
                        _mm_cmpeq_epi16(_mm_load_si128(p + 1), same)));
#else
    unsigned bits = 0;

    for (unsigned i = 0; i < WORDS_BLOCK; i++)
        bits |= (unsigned)(b->print[i] == print) << i;
    return bits;
#endif
}

static size_t home_of(const struct names_words *w, uint64_t h)
{
    return ((h & 0xFFFFFFFFu) * w->slots) >> 32;
}

uint64_t names_words_key(const struct names_words *w, const char *folded,
                         size_t n)
{
    uint64_t h = names_hash(folded, n, 0);
    size_t home = home_of(w, h);

    __builtin_prefetch(&w->block[home / WORDS_BLOCK]);
    return h;
}

unsigned names_words_get(const struct names_words *w, const char *folded,
                         size_t n)
{
    return names_words_find(w, names_hash(folded, n, 0));
}

unsigned names_words_find(const struct names_words *w, uint64_t h)
{
    uint16_t print = (uint16_t)((h >> 50) + 1);
    size_t home = home_of(w, h);
    const struct names_block *b = &w->block[home / WORDS_BLOCK];
    unsigned behind = ~0u << home % WORDS_BLOCK;

    for (;; b++, behind = ~0u) {
        unsigned none = slots_of(b, 0) & behind;
        unsigned hits = slots_of(b, print) & behind;

        hits &= none ? (none & -none) - 1 : ~0u;
        for (; hits; hits &= hits - 1) {
            unsigned set = b->set[__builtin_ctz(hits)];

            if (set && set <= w->sets)
                return w->set[set - 1];
        }
        if (none)
            return 0;
    }
}

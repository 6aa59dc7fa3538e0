/*
 * names_words.c - the word lists as one table of hashes
 *
 * 3 bytes a slot, read where it lies in the program. A word of no list is taken
 * for one once in some thousand times: 14 bits of its hash are compared.
 */
#include "names/names_priv.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SLOTS_AT_ONCE 8

/* What is compared of each slot, two bytes, eight to a register: a table this
 * full is walked for a while before a word is known to be in no list. Behind
 * the last slot stand those from the first on up to a free one, so that no
 * walk turns round. */
static uint16_t print_of(const unsigned char *s)
{
    unsigned high = s[1] | (unsigned)s[2] << 8;

    return (uint16_t)((high >> 2) + ((high | s[0]) != 0));
}

static void read_prints(struct names_words *w)
{
    size_t n = w->slots, extra = 0;
    uint16_t *print = mem_table(2 * n + SLOTS_AT_ONCE, sizeof(*print));

    for (size_t i = 0; i < n; i++)
        print[i] = print_of(w->slot + 3 * i);
    while (extra < n && print[extra])
        extra++;
    memcpy(print + n, print, extra * sizeof(*print));
    memset(print + n + extra, 0, SLOTS_AT_ONCE * sizeof(*print));
    w->print = print;
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
    out->slot = (const unsigned char *)r.rest.p;
    if (r.bad || r.rest.n != 3 * (size_t)out->slots)
        return err_set(err, ERR_FORMAT, "word lists: cut at %zu bytes", file.n);
    read_prints(out);
    return ERR_OK;
}

void names_words_close(struct names_words *w)
{
    free(w->print);
}

/* The first slot from `at` on that is free or has this print. */
static size_t seek(const uint16_t *print, size_t at, uint16_t wanted)
{
#ifdef __SSE2__
    const __m128i same = _mm_set1_epi16((short)wanted);
    const __m128i none = _mm_setzero_si128();

    for (;; at += SLOTS_AT_ONCE) {
        __m128i v =
            _mm_loadu_si128((const __m128i *)(const void *)(print + at));
        unsigned hits = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi16(v, same), _mm_cmpeq_epi16(v, none)));

        if (hits)
            return at + (unsigned)__builtin_ctz(hits) / 2;
    }
#else
    while (print[at] && print[at] != wanted)
        at++;
    return at;
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

    __builtin_prefetch(w->print + home);
    __builtin_prefetch(w->slot + 3 * home);
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
    size_t at = seek(w->print, home_of(w, h), print);

    while (w->print[at]) {
        const unsigned char *s =
            w->slot + 3 * (at < w->slots ? at : at - w->slots);
        unsigned set = (s[0] | (unsigned)s[1] << 8) & 0x3FF;

        if (set && set <= w->sets)
            return w->set[set - 1];
        at = seek(w->print, at + 1, print); /* no slot of pack */
    }
    return 0;
}

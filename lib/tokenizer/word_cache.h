/*
 * word_cache.h - short words and the tokens they became
 *
 * Half of a 64-byte line holds a word of up to 15 bytes, its length as the
 * last, and up to four tokens with their bytes: comparing is two words, and
 * taking the tokens over one copy. Two places a word; the older of two goes.
 * Nearly all words of agents' logs are such words, and few thousand make up
 * almost all of a log.
 */
#ifndef WORD_CACHE_H
#define WORD_CACHE_H

#include "tokenizer/tokenizer_internal.h"

#include <string.h>

#define WORD_CACHE_BYTES 15
#define WORD_CACHE_IDS 4
#define WORD_CACHE_LINES 16384u /* power of two; a megabyte */

struct word_key {
    uint64_t low, high; /* high's last byte: the length */
};

/* piece: id in 22 bits, bytes in 4; the first one has the count above. */
struct word_slot {
    struct word_key key;
    uint32_t piece[WORD_CACHE_IDS];
};

struct word_cache {
    struct word_slot (*lines)[2];
};

void word_cache_init(struct word_cache *c);
void word_cache_release(struct word_cache *c);
/* Left out if there are too many pieces. */
void word_cache_put(struct word_cache *c, struct word_key key,
                    const struct piece *pieces, size_t count);

/* n bytes of p, 1 to WORD_CACHE_BYTES, of which `room` may be read. */
static inline struct word_key word_key_of(const char *p, size_t n, size_t room)
{
    struct word_key k = { 0, 0 };

    if (room >= sizeof(k)) {
        unsigned low = n < 8 ? (unsigned)(8 - n) * 8 : 0;
        unsigned high = n > 8 ? (unsigned)(16 - n) * 8 : 0;

        memcpy(&k, p, sizeof(k));
        k.low = k.low << low >> low;
        k.high = n > 8 ? k.high << high >> high : 0;
    } else {
        memcpy(&k, p, n);
    }
    k.high |= (uint64_t)n << 56;
    return k;
}

static inline size_t word_key_line(struct word_key k)
{
    uint64_t h = (k.low ^ k.high * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u;

    return (size_t)(h >> 40) & (WORD_CACHE_LINES - 1);
}

static inline const struct word_slot *
word_cache_find(const struct word_cache *c, struct word_key k)
{
    const struct word_slot *line = c->lines[word_key_line(k)];

    if (line[0].key.low == k.low && line[0].key.high == k.high)
        return &line[0];
    if (line[1].key.low == k.low && line[1].key.high == k.high)
        return &line[1];
    return NULL;
}

static inline size_t word_slot_count(const struct word_slot *s)
{
    return s->piece[0] >> 26;
}

static inline int32_t word_slot_id(const struct word_slot *s, size_t i)
{
    return (int32_t)(s->piece[i] & 0x3FFFFF);
}

static inline uint32_t word_slot_bytes(const struct word_slot *s, size_t i)
{
    return s->piece[i] >> 22 & 15;
}

#endif

/* map.c - open-addressing map; entries live in an insertion-ordered array */
#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEPT_SLOTS 256 /* of an emptied map; more would cost each time */

struct entry {
    uint64_t hash;
    size_t key; /* offset into keys */
    size_t len;
    uint64_t value;
};

struct map {
    struct entry *entries;
    size_t count, cap;
    uint32_t *slots; /* entry index + 1; 0 is free */
    size_t mask;
    char *keys;
    size_t keys_len, keys_cap;
    uint64_t seed;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

uint64_t hash64(const void *data, size_t n, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = mix(seed ^ (n * 0x9e3779b97f4a7c15u));

    while (n >= 8) {
        uint64_t w;

        memcpy(&w, p, 8);
        h = mix(h ^ w) + 0x9e3779b97f4a7c15u;
        p += 8;
        n -= 8;
    }
    if (n) {
        uint64_t w = 0;

        memcpy(&w, p, n);
        h = mix(h ^ w ^ ((uint64_t)n << 56));
    }
    return mix(h);
}

uint64_t hash_stable(const void *data, size_t n, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325u ^ seed;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return mix(h);
}

static uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t w = 0;

    memcpy(&w, p, n);
    return w;
}

/* Up to eight bytes; where two loads overlap they need not agree. */
static uint64_t load_few(const unsigned char *p, size_t n)
{
    if (n >= 4)
        return load(p, 4) | load(p + n - 4, 4) << 32;
    return n ? (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1] : 0;
}

/* Both halves of a product (after wyhash). */
static uint64_t fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ unsigned __int128 x = (unsigned __int128)a * b;

    return (uint64_t)x ^ (uint64_t)(x >> 64);
#else
    return mix(a) * b;
#endif
}

/* Of a map's keys, most of them short. */
static uint64_t hash_key(const void *key, size_t n, uint64_t seed)
{
    const unsigned char *p = key;
    uint64_t h = seed ^ n * 0x9e3779b97f4a7c15u;
    size_t left = n;

    for (; left > 8; p += 8, left -= 8)
        h = fold(h ^ load(p, 8), 0xa0761d6478bd642fu);
    h ^= n >= 8 ? load(p + left - 8, 8) : load_few(p, n);
    return fold(fold(h, 0xa0761d6478bd642fu) ^ seed, 0xe7037ed1a0b428dbu);
}

static uint64_t process_seed(void)
{
    static uint64_t seed;

    if (!seed) {
        uint64_t s = 0;

        if (getrandom(&s, sizeof(s), 0) != (ssize_t)sizeof(s))
            s = (uint64_t)(uintptr_t)&seed;
        seed = s | 1;
    }
    return seed;
}

struct map *map_new(void)
{
    struct map *m = mem_zalloc(sizeof(*m));

    m->mask = 15;
    m->slots = mem_zalloc((m->mask + 1) * sizeof(*m->slots));
    m->seed = process_seed();
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    free(m->entries);
    free(m->slots);
    free(m->keys);
    free(m);
}

void map_clear(struct map *m)
{
    if (!m || !m->count)
        return;
    if (m->mask >= KEPT_SLOTS) {
        free(m->entries);
        free(m->slots);
        free(m->keys);
        *m = (struct map){ .mask = 15, .seed = m->seed };
        m->slots = mem_zalloc((m->mask + 1) * sizeof(*m->slots));
        return;
    }
    memset(m->slots, 0, (m->mask + 1) * sizeof(*m->slots));
    m->count = m->keys_len = 0;
}

size_t map_count(const struct map *m)
{
    return m->count;
}

/* The slot of the key, or the free one where it would go. */
static size_t find(const struct map *m, uint64_t h, const void *key, size_t n)
{
    size_t i = (size_t)h & m->mask;

    for (;; i = (i + 1) & m->mask) {
        const struct entry *e;

        if (!m->slots[i])
            return i;
        e = &m->entries[m->slots[i] - 1];
        if (e->hash == h && e->len == n &&
            (n == 0 || memcmp(m->keys + e->key, key, n) == 0))
            return i;
    }
}

static void rehash(struct map *m)
{
    size_t mask = m->mask * 2 + 1;

    free(m->slots);
    m->slots = mem_zalloc((mask + 1) * sizeof(*m->slots));
    m->mask = mask;
    for (size_t k = 0; k < m->count; k++) {
        size_t i = (size_t)m->entries[k].hash & mask;

        while (m->slots[i])
            i = (i + 1) & mask;
        m->slots[i] = (uint32_t)(k + 1);
    }
}

uint64_t *map_get(const struct map *m, const void *key, size_t n)
{
    size_t i = find(m, hash_key(key, n, m->seed), key, n);

    return m->slots[i] ? &m->entries[m->slots[i] - 1].value : NULL;
}

uint64_t *map_put(struct map *m, const void *key, size_t n, bool *added)
{
    uint64_t h = hash_key(key, n, m->seed);
    size_t i = find(m, h, key, n);
    void *grown = m->entries;

    if (added)
        *added = !m->slots[i];
    if (m->slots[i])
        return &m->entries[m->slots[i] - 1].value;
    mem_grow(&grown, &m->cap, m->count + 1, sizeof(*m->entries));
    m->entries = grown;
    grown = m->keys;
    mem_grow(&grown, &m->keys_cap, m->keys_len + n + 1, 1);
    m->keys = grown;
    if (n)
        memcpy(m->keys + m->keys_len, key, n);
    m->entries[m->count] = (struct entry){ h, m->keys_len, n, 0 };
    m->keys_len += n;
    m->slots[i] = (uint32_t)++m->count;
    if (m->count * 4 > (m->mask + 1) * 3)
        rehash(m);
    return &m->entries[m->count - 1].value;
}

struct slice map_key(const struct map *m, size_t i)
{
    return (struct slice){ m->keys + m->entries[i].key, m->entries[i].len };
}

uint64_t *map_value(const struct map *m, size_t i)
{
    return &m->entries[i].value;
}

/*
 * scrub_leak_set.c - a million known values in one text
 *
 * Each value is filed under a piece from its middle, where values that begin or
 * end alike differ: eight bytes, or four of a short one. At every byte of the
 * folded text a bit says whether a piece of such a hash is filed; only then the
 * values are compared. Memory grows with the values, not with the states of an
 * automaton.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BITS 20
#define LONG 8
#define SHORT 4

struct filed {
    uint32_t hash, id;
};

struct table { /* by the length of the piece */
    struct filed *item;
    size_t count, cap;
    uint64_t *bit;
};

struct scrub_leak_set {
    struct table by[2];  /* SHORT, LONG */
    struct slice *value; /* folded */
    uint32_t *name;
    size_t count, cap, name_cap;
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

void scrub_leak_fold(struct slice text, struct buf *out)
{
    char *p = buf_reserve(out, text.n);

    for (size_t i = 0; p && i < text.n; i++)
        p[i] = fold(text.p[i]);
    out->len += p ? text.n : 0;
}

static uint32_t hash_piece(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    v *= UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(v >> 32);
}

struct scrub_leak_set *scrub_leak_set_new(void)
{
    return mem_zalloc(sizeof(struct scrub_leak_set));
}

void scrub_leak_set_free(struct scrub_leak_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free((void *)(uintptr_t)s->value[i].p);
    for (int k = 0; k < 2; k++) {
        free(s->by[k].item);
        free(s->by[k].bit);
    }
    free(s->value);
    free(s->name);
    free(s);
}

/* Where in a value of n bytes its piece begins, and how long that is. */
static size_t piece_of(size_t n, size_t *at)
{
    size_t length = n >= LONG ? LONG : SHORT;

    *at = (n - length) / 2;
    return length;
}

void scrub_leak_set_add(struct scrub_leak_set *s, struct slice value,
                        uint32_t name)
{
    struct buf folded = { 0 };
    void *all = s->value, *names = s->name;
    struct table *t = &s->by[value.n >= LONG];
    size_t at, n;
    uint32_t h;

    if (value.n < SCRUB_LEAK_MIN)
        return;
    scrub_leak_fold(value, &folded);
    n = piece_of(value.n, &at);
    h = hash_piece(folded.data + at, n);
    mem_grow(&all, &s->cap, s->count + 1, sizeof(*s->value));
    mem_grow(&names, &s->name_cap, s->count + 1, sizeof(*s->name));
    s->value = all;
    s->name = names;
    s->name[s->count] = name;
    s->value[s->count].n = value.n;
    s->value[s->count].p = buf_take(&folded, NULL);
    all = t->item;
    mem_grow(&all, &t->cap, t->count + 1, sizeof(*t->item));
    t->item = all;
    t->item[t->count++] = (struct filed){ h, (uint32_t)s->count++ };
}

static int by_hash(const void *a, const void *b)
{
    const struct filed *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void scrub_leak_set_build(struct scrub_leak_set *s)
{
    for (int k = 0; k < 2; k++) {
        struct table *t = &s->by[k];

        if (!t->count)
            continue;
        qsort(t->item, t->count, sizeof(*t->item), by_hash);
        t->bit = mem_zalloc(((size_t)1 << BITS) / 8);
        for (size_t i = 0; i < t->count; i++) {
            uint32_t b = t->item[i].hash >> (32 - BITS);

            t->bit[b / 64] |= UINT64_C(1) << b % 64;
        }
    }
}

static size_t first_of(const struct table *t, uint32_t hash)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (t->item[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void look_at(const struct scrub_leak_set *s, const struct table *t,
                    struct slice text, size_t i, uint32_t hash,
                    void (*hit)(void *, uint32_t, size_t, size_t), void *ctx)
{
    for (size_t k = first_of(t, hash); k < t->count && t->item[k].hash == hash;
         k++) {
        uint32_t id = t->item[k].id;
        struct slice v = s->value[id];
        size_t at;

        (void)piece_of(v.n, &at);
        if (at <= i && i - at + v.n <= text.n &&
            memcmp(text.p + (i - at), v.p, v.n) == 0)
            hit(ctx, s->name[id], i - at, i - at + v.n);
    }
}

void scrub_leak_set_scan(const struct scrub_leak_set *s, struct slice folded,
                         void (*hit)(void *ctx, uint32_t name, size_t start,
                                     size_t end),
                         void *ctx)
{
    for (int k = 0; k < 2; k++) {
        const struct table *t = &s->by[k];
        size_t n = k ? LONG : SHORT;

        for (size_t i = 0; t->count && i + n <= folded.n; i++) {
            uint32_t h = hash_piece(folded.p + i, n);
            uint32_t b = h >> (32 - BITS);

            if (t->bit[b / 64] >> b % 64 & 1)
                look_at(s, t, folded, i, h, hit, ctx);
        }
    }
}

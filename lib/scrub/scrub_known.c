/*
 * scrub_known.c - what records that belong together hold
 *
 * The first look at a record tells its values; a set of them, of several
 * records, is known to each from its beginning on, as though that held them
 * itself. Nothing is decided here that a record would not decide, but for a
 * name that is one thing here and another there: sure evidence wins, then who
 * came first. A set that is full takes no more, and says so.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 4096 /* values of each kind */
#define KNOWN_BYTES_MAX 1024
#define SURE (UINT64_C(1) << 32)

struct scrub_known {
    struct map *values; /* rule and value: nothing */
    struct map *names;  /* value: class, and whether that is sure */
    bool full, failed;
};

struct scrub_known *scrub_known_new(void)
{
    struct scrub_known *k = mem_zalloc(sizeof(*k));

    k->values = map_new();
    k->names = map_new();
    return k;
}

void scrub_known_free(struct scrub_known *k)
{
    if (!k)
        return;
    map_free(k->values);
    map_free(k->names);
    free(k);
}

bool scrub_known_any(const struct scrub_known *k)
{
    return k && map_count(k->values) + map_count(k->names) > 0;
}

bool scrub_known_full(const struct scrub_known *k)
{
    return k->full;
}

void scrub_known_fail(struct scrub_known *k)
{
    k->failed = true;
}

bool scrub_known_failed(const struct scrub_known *k)
{
    return k && k->failed;
}

/* Where the key is or may be; NULL: there is no room. */
static uint64_t *place_of(struct scrub_known *k, struct map *m, const void *key,
                          size_t n, bool *added)
{
    *added = false;
    if (map_count(m) < KNOWN_MAX)
        return map_put(m, key, n, added);
    if (!map_get(m, key, n))
        k->full = true;
    return map_get(m, key, n);
}

void scrub_known_add(struct scrub_known *k, uint32_t rule, struct slice value)
{
    char key[sizeof(rule) + KNOWN_BYTES_MAX];
    bool added;

    if (value.n > KNOWN_BYTES_MAX) {
        k->full = true;
        return;
    }
    memcpy(key, &rule, sizeof(rule));
    memcpy(key + sizeof(rule), value.p, value.n);
    (void)place_of(k, k->values, key, sizeof(rule) + value.n, &added);
}

void scrub_known_add_name(struct scrub_known *k, struct slice value,
                          unsigned class, bool sure)
{
    uint64_t is = class | (sure ? SURE : 0), *at;
    bool added;

    if (value.n > KNOWN_BYTES_MAX) {
        k->full = true;
        return;
    }
    at = place_of(k, k->names, value.p, value.n, &added);
    if (at && (added || (sure && !(*at & SURE))))
        *at = is;
}

size_t scrub_known_names(const struct scrub_known *k)
{
    return map_count(k->names);
}

struct slice scrub_known_name(const struct scrub_known *k, size_t i,
                              unsigned *class, bool *sure)
{
    uint64_t is = *map_value(k->names, i);

    *sure = is & SURE;
    *class = (unsigned)(is & ~SURE);
    return map_key(k->names, i);
}

void scrub_known_each(const struct scrub_known *k, struct scrub_worker *w,
                      void (*value)(struct scrub_worker *w, uint32_t rule,
                                    struct slice value))
{
    for (size_t i = 0; i < map_count(k->values); i++) {
        struct slice key = map_key(k->values, i);
        uint32_t rule;

        memcpy(&rule, key.p, sizeof(rule));
        value(w, rule,
              (struct slice){ key.p + sizeof(rule), key.n - sizeof(rule) });
    }
}

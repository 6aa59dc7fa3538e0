/*
 * map.h - hash map from byte strings to 64-bit values
 *
 * Open addressing, keys copied into the map, hash seeded per process so that
 * outside input cannot choose collisions. Iteration is in insertion order,
 * so results never depend on the seed. No removal: nothing here needs it.
 */
#ifndef MAP_H
#define MAP_H

#include "base/buf.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* NULL is fine */
/* Empty again; small memory is kept for what comes next. */
void map_clear(struct map *m); /* NULL is fine */
size_t map_count(const struct map *m);

/* The value's address, NULL if absent. Valid until the next map_put. */
uint64_t *map_get(const struct map *m, const void *key, size_t n);
/* The value's address; absent keys are added with value 0. *added (may be
 * NULL) tells which. Valid until the next map_put. */
uint64_t *map_put(struct map *m, const void *key, size_t n, bool *added);
/* Entry i < map_count in insertion order; the key is borrowed from the map. */
struct slice map_key(const struct map *m, size_t i);
uint64_t *map_value(const struct map *m, size_t i);

/* Fast non-cryptographic 64-bit hash (not stable across releases; never
 * stored). */
uint64_t hash64(const void *p, size_t n, uint64_t seed);
/* FNV-1a, 64 bits: the same everywhere and always, for values that are
 * stored or that decide results. */
uint64_t hash_stable(const void *p, size_t n, uint64_t seed);

#endif

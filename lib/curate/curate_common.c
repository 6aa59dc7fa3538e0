/*
 * curate_common.c - replaced values that most conversations of a kind have
 *
 * A list of labels in the message of a user looks like names, and is the same
 * in each call. Told from names by counting: a person is not in four of five
 * conversations. Nothing stays for it, since the next kind of call may be about
 * one person; it is told. A sample of each kind is enough, and bounds memory.
 */
#include "curate/curate_priv.h"

#include <stdlib.h>
#include <string.h>

#define TALKS_LEAST 20 /* of a kind, before anything is said */
#define TALKS_MOST 256 /* of a kind, that are looked at */
#define PLACES_MOST ((size_t)1 << 20)
#define SHARE_NUMERATOR 4 /* of five */
#define SHARE_DENOMINATOR 5

struct place {
    uint64_t kind, value; /* value 0: the conversation itself */
    uint64_t talk;
};

struct value {
    uint64_t talks; /* that have it */
    int64_t call;
};

struct curate_common {
    struct map *talks;  /* kind: how many */
    struct map *places; /* struct place: nothing */
    struct map *values; /* kind, value: of value */
    struct value *value;
    size_t cap;
};

struct curate_common *curate_common_new(void)
{
    struct curate_common *c = mem_zalloc(sizeof(*c));

    c->talks = map_new();
    c->places = map_new();
    c->values = map_new();
    return c;
}

void curate_common_free(struct curate_common *c)
{
    if (!c)
        return;
    map_free(c->talks);
    map_free(c->places);
    map_free(c->values);
    free(c->value);
    free(c);
}

/* The first time that it is there? */
static bool is_first(struct curate_common *c, struct place at)
{
    bool added;

    (void)map_put(c->places, &at, sizeof(at), &added);
    return added;
}

static void add_value(struct curate_common *c, uint64_t kind, uint64_t value,
                      int64_t call)
{
    uint64_t key[2] = { kind, value };
    void *all = c->value;
    bool added;
    uint64_t *at = map_put(c->values, key, sizeof(key), &added);

    if (added) {
        *at = map_count(c->values) - 1;
        mem_grow(&all, &c->cap, *at + 1, sizeof(*c->value));
        c->value = all;
        c->value[*at] = (struct value){ 0, call };
    }
    c->value[*at].talks++;
}

void curate_common_add(struct curate_common *c, const struct curate_item *it)
{
    uint64_t talk = hash64(it->group, strlen(it->group), 1);
    struct curate_sketch s;
    uint64_t *talks;
    bool fresh;

    if (map_count(c->places) >= PLACES_MOST ||
        !curate_sketch_read(buf_slice(&it->sketch), &s))
        return;
    talks = map_put(c->talks, &s.task, sizeof(s.task), &fresh);
    if (fresh)
        *talks = 0;
    if (*talks >= TALKS_MOST) {
        struct place at = { s.task, 0, talk };

        if (!map_get(c->places, &at, sizeof(at)))
            return;
    }
    *talks += is_first(c, (struct place){ s.task, 0, talk });
    for (size_t i = 0; i + sizeof(uint64_t) <= it->values.len;
         i += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, it->values.data + i, sizeof(value));
        if (is_first(c, (struct place){ s.task, value, talk }))
            add_value(c, s.task, value, it->id);
    }
}

uint64_t curate_common_count(const struct curate_common *c, int64_t *call)
{
    uint64_t n = 0;

    *call = 0;
    for (size_t i = 0; i < map_count(c->values); i++) {
        const struct value *v = &c->value[*map_value(c->values, i)];
        uint64_t talks =
            *map_get(c->talks, map_key(c->values, i).p, sizeof(uint64_t));

        if (talks < TALKS_LEAST ||
            v->talks * SHARE_DENOMINATOR < talks * SHARE_NUMERATOR)
            continue;
        if (!n++)
            *call = v->call;
    }
    return n;
}

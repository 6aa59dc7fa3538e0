/*
 * scrub_member.c - values that a schema lists, and those who are told them
 *
 * An argument must still be what its schema allows, so the members of "enum",
 * "const", "default" and "examples" and all texts that are spelt like one of
 * them lose the same pieces: those that the first look found where it met the
 * text first. Nothing is found in a member because a name looks like one.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>

#define MEMBER_MAX 256     /* bytes of one */
#define MEMBERS_MAX 100000 /* of a record; more are not followed */

struct scrub_members {
    struct map *listed; /* by schemas */
    struct map *whole;  /* texts with finds: where those begin and end */
    struct scrub_hits hits;
};

struct scrub_members *scrub_members_new(void)
{
    return mem_zalloc(sizeof(struct scrub_members));
}

void scrub_members_reset(struct scrub_members *m)
{
    map_clear(m->listed);
    map_clear(m->whole);
    m->hits.count = 0;
}

void scrub_members_free(struct scrub_members *m)
{
    if (!m)
        return;
    map_free(m->listed);
    map_free(m->whole);
    free(m->hits.item);
    free(m);
}

static bool is_new(struct map **map, struct slice text, uint64_t value)
{
    bool added;
    uint64_t *at;

    if (!text.n || text.n > MEMBER_MAX)
        return false;
    if (!*map)
        *map = map_new();
    if (map_count(*map) >= MEMBERS_MAX)
        return false;
    at = map_put(*map, text.p, text.n, &added);
    if (added)
        *at = value;
    return added;
}

void scrub_member_list(struct scrub_members *m, struct slice text)
{
    (void)is_new(&m->listed, text, 0);
}

void scrub_member_hold(struct scrub_members *m, struct slice text,
                       const struct scrub_hits *hits)
{
    size_t from = m->hits.count, n = hits->count;
    void *all = m->hits.item;

    for (size_t i = 0; i < n; i++)
        if (hits->item[i].form != HIT_RAW)
            return;
    if (!n || n > MEMBER_MAX ||
        !is_new(&m->whole, text, (uint64_t)from << 16 | n))
        return;
    mem_grow(&all, &m->hits.cap, from + n, sizeof(*m->hits.item));
    m->hits.item = all;
    for (size_t i = 0; i < n; i++)
        m->hits.item[m->hits.count++] = hits->item[i];
}

int scrub_member_take(struct scrub_search *s)
{
    const struct scrub_members *m = s->w->members;
    const uint64_t *at;
    int rc = ERR_OK;

    if (s->w->collecting || !m->listed || !m->whole || !map_count(m->listed) ||
        !map_get(m->listed, s->text.p, s->text.n))
        return ERR_OK;
    at = map_get(m->whole, s->text.p, s->text.n);
    if (!at)
        return ERR_OK;
    s->w->hits.count = s->first;
    for (size_t i = 0; rc == ERR_OK && i < (*at & 0xFFFF); i++) {
        struct scrub_hit h = m->hits.item[(*at >> 16) + i];

        h.winner = false;
        rc = scrub_push_hit(s, h);
    }
    return rc;
}

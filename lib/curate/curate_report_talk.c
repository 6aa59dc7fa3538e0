/*
 * curate_report_talk.c - combinations that few conversations share
 *
 * A conversation is known by the first of each attribute that it tells. Two
 * attributes or more are a combination; one that fewer than CURATE_QUASI_K
 * conversations have singles somebody out.
 */
#include "curate/curate_report_priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void report_talk_add(struct report_run *k, struct report_talk **talks,
                     size_t *cap, const struct report_item *it)
{
    bool added;
    uint64_t *at = map_put(k->talks, it->talk.data, it->talk.len, &added);
    void *all = *talks;

    if (added) {
        *at = map_count(k->talks) - 1;
        mem_grow(&all, cap, map_count(k->talks), sizeof(**talks));
        *talks = all;
        (*talks)[*at] = (struct report_talk){ .call = it->call.id };
    }
    for (int i = 0; i < QUASI_COUNT; i++)
        if (!(*talks)[*at].quasi[i])
            (*talks)[*at].quasi[i] = it->quasi[i];
}

static void talk_key(const struct report_talk *t, uint64_t key[QUASI_COUNT],
                     unsigned *set)
{
    *set = 0;
    for (unsigned i = 0; i < QUASI_COUNT; i++) {
        key[i] = t->quasi[i];
        *set |= t->quasi[i] ? 1u << i : 0;
    }
}

static struct curate_quasi *quasi_of(struct curate_report *r, unsigned set)
{
    char name[64] = "";
    void *all = r->quasi;
    size_t cap = r->quasis;

    for (unsigned i = 0; i < QUASI_COUNT; i++)
        if (set >> i & 1)
            (void)snprintf(name + strlen(name), sizeof(name) - strlen(name),
                           "%s%s", *name ? " " : "", report_quasi_name(i));
    for (size_t i = 0; i < r->quasis; i++)
        if (strcmp(r->quasi[i].attributes, name) == 0)
            return &r->quasi[i];
    mem_grow(&all, &cap, r->quasis + 1, sizeof(*r->quasi));
    r->quasi = all;
    r->quasi[r->quasis] = (struct curate_quasi){ .smallest = UINT64_MAX };
    memcpy(r->quasi[r->quasis].attributes, name, sizeof(name));
    return &r->quasi[r->quasis++];
}

/* Combinations of two attributes or more that few conversations share. */
void report_talk_count(struct report_run *k, const struct report_talk *talks)
{
    size_t n = map_count(k->talks);

    k->r->conversations = n;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            uint64_t key[QUASI_COUNT], *count;
            unsigned set;
            struct curate_quasi *q;

            talk_key(&talks[i], key, &set);
            k->r->quasi_conversations += !pass && set;
            if (!(set & (set - 1)))
                continue; /* fewer than two */
            count = map_put(k->quasi, key, sizeof(key), NULL);
            if (!pass) {
                ++*count;
                continue;
            }
            if (*count >= CURATE_QUASI_K)
                continue;
            q = quasi_of(k->r, set);
            q->conversations++;
            if (*count < q->smallest) {
                q->smallest = *count;
                q->call = talks[i].call;
            }
        }
    }
    for (size_t i = 0; i < map_count(k->quasi); i++) {
        struct report_talk t = { 0 };
        uint64_t key[QUASI_COUNT];
        unsigned set;

        memcpy(t.quasi, map_key(k->quasi, i).p, sizeof(t.quasi));
        talk_key(&t, key, &set);
        if (*map_value(k->quasi, i) < CURATE_QUASI_K)
            quasi_of(k->r, set)->rare++;
    }
}

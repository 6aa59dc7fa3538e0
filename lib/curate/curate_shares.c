/*
 * curate_shares.c - units to splits, so that the shares are met
 *
 * Units go by stratum (kind of task, tools called), and within by a keyed hash;
 * each gets the split that lags most behind its share so far. That is
 * systematic sampling: shares are met in each stratum and in all of them, also
 * where strata are smaller than one over a share. By time it is the latest
 * units that are tested on.
 */
#include "curate/curate_settle.h"

#include <stdlib.h>

struct unit {
    uint32_t root;
    size_t size;
    int label;
    uint64_t stratum, draw;
    int64_t time_us; /* of its first call */
};

struct sharing {
    struct curate_settling *k;
    struct unit *unit;
    size_t count, all; /* units, examples */
    size_t have[3];
};

static int by_stratum(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;
    bool p = x->label != CURATE_UNSPLIT, q = y->label != CURATE_UNSPLIT;

    if (x->stratum != y->stratum)
        return x->stratum < y->stratum ? -1 : 1;
    if (p != q)
        return p ? -1 : 1;
    if (x->draw != y->draw)
        return x->draw < y->draw ? -1 : 1;
    return (x->root > y->root) - (x->root < y->root);
}

/* The latest first. */
static int by_time(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;

    if (x->time_us != y->time_us)
        return x->time_us > y->time_us ? -1 : 1;
    return (x->root < y->root) - (x->root > y->root);
}

static void list_units(struct sharing *s, struct dedup_clusters *units,
                       const int *label, const bool *placed)
{
    struct curate_settling *k = s->k;
    uint32_t *at = mem_array(k->count, sizeof(*at));

    s->unit = mem_array(k->count, sizeof(*s->unit));
    for (size_t i = 0; i < k->count; i++) {
        const struct curate_row *w = &k->row[i];
        uint32_t root = dedup_find(units, (uint32_t)i);
        struct unit *u;

        if (!placed[i])
            continue;
        if (root == i) { /* the lowest comes first */
            at[root] = (uint32_t)s->count;
            s->unit[s->count++] =
                (struct unit){ root,       0,        label[root],
                               w->stratum, w->group, w->time_us };
        }
        u = &s->unit[at[root]];
        u->size++;
        if (w->time_us >= 0 && (u->time_us < 0 || w->time_us < u->time_us))
            u->time_us = w->time_us;
        s->all++;
    }
    free(at);
}

static double share(const struct sharing *s, int split)
{
    return s->k->o->shares[split] / 100.;
}

static void give(struct sharing *s, struct unit *u, int split)
{
    u->label = split;
    s->have[split] += u->size;
}

/* debt: what each split lacks of its share so far. */
static void share_strata(struct sharing *s)
{
    double debt[3] = { 0 }, largest = 2;

    if (s->count)
        qsort(s->unit, s->count, sizeof(*s->unit), by_stratum);
    for (size_t i = 0; i < s->count; i++) {
        struct unit *u = &s->unit[i];
        int best = CURATE_TRAIN;

        /* What an earlier stratum could not have is not made up by this one,
         * but for the size of a unit. */
        for (int p = 0; p < 3 && i && u->stratum != u[-1].stratum; p++)
            debt[p] = debt[p] > largest    ? largest
                      : debt[p] < -largest ? -largest
                                           : debt[p];
        if ((double)u->size > largest)
            largest = (double)u->size;
        for (int p = 0; p < 3; p++)
            debt[p] += share(s, p) * (double)u->size;
        for (int p = 1; p < 3; p++)
            if (debt[p] > debt[best] + 1e-9)
                best = p;
        give(s, u, u->label == CURATE_UNSPLIT ? best : u->label);
        debt[u->label] -= (double)u->size;
    }
}

static void share_by_time(struct sharing *s)
{
    if (s->count)
        qsort(s->unit, s->count, sizeof(*s->unit), by_time);
    for (size_t i = 0; i < s->count; i++)
        if (s->unit[i].label != CURATE_UNSPLIT)
            give(s, &s->unit[i], s->unit[i].label);
    for (size_t i = 0; i < s->count; i++) {
        struct unit *u = &s->unit[i];
        int split = CURATE_TEST;

        if (u->label != CURATE_UNSPLIT)
            continue;
        while (split > CURATE_TRAIN &&
               (double)s->have[split] + (double)u->size / 2 >
                   share(s, split) * (double)s->all)
            split--;
        give(s, u, split);
    }
}

/* A small log may leave a split without a unit: it gets the smallest of those
 * that are new in training. */
static void fill(struct sharing *s, int split, const int *before)
{
    struct unit *best = NULL;
    size_t train = 0;

    if (s->have[split] || !s->k->o->shares[split])
        return;
    for (size_t i = 0; i < s->count; i++) {
        struct unit *u = &s->unit[i];

        if (u->label != CURATE_TRAIN)
            continue;
        train++;
        if (before[u->root] == CURATE_UNSPLIT &&
            (!best || u->size < best->size))
            best = u;
    }
    if (train < 2 || !best)
        return;
    s->have[CURATE_TRAIN] -= best->size;
    give(s, best, split);
    s->k->r->moved[split] = 1;
}

void curate_settle_shares(struct curate_settling *k,
                          struct dedup_clusters *units, int *label,
                          const bool *placed)
{
    struct sharing s = { .k = k };

    list_units(&s, units, label, placed);
    if (k->o->by_time)
        share_by_time(&s);
    else
        share_strata(&s);
    fill(&s, CURATE_TEST, label);
    fill(&s, CURATE_VALIDATION, label);
    for (size_t i = 0; i < s.count; i++) {
        label[s.unit[i].root] = s.unit[i].label;
        if (s.unit[i].size > k->r->largest)
            k->r->largest = s.unit[i].size;
    }
    free(s.unit);
}

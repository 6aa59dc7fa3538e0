/*
 * curate_splits.c - units that no split may divide, and where they go
 *
 * Rows are placed one after the other, those of the sealed test first: each
 * joins the units of its conversation and of all rows that are near. One that
 * would join units of two splits is dropped. So what was in a split stays
 * there, whatever comes. If clients are not to be divided, they are the units,
 * and only small ones are joined: a few clients that say one thing alike would
 * become one unit, and leave the other splits empty. What two of them say
 * alike is dropped from one.
 */
#include "curate/curate_settle.h"

#include <stdlib.h>
#include <string.h>

/* Texts that hold others are kept together while units stay small: in logs
 * about one subject everything holds something of something. */
#define JOIN_MOST 16
#define JOIN_PART 50 /* or this part of all */

/* What is near holds units together unless they become too large to share out:
 * thousands of conversations may begin with the same greeting. */
#define UNIT_MOST 32
#define UNIT_PART 10

struct placing {
    struct curate_settling *k;
    struct dedup_clusters units;
    int *label; /* of each unit's lowest row */
    bool *placed;
    struct map *group, *talk, *client, *input, *text; /* to a placed row */
    uint32_t *start, *other; /* near rows of each row */
    uint32_t *found;         /* neighbours of the row at hand */
    size_t found_count, found_cap, near_from; /* from there on: by nearness */
    size_t unit_most;
};

/* Near pairs as lists by row. */
static void list_near(struct placing *p)
{
    struct curate_settling *k = p->k;

    p->start = mem_zalloc((k->count + 2) * sizeof(*p->start));
    p->other = mem_array(2 * k->near_count, sizeof(*p->other));
    for (size_t i = 0; i < k->near_count; i++) {
        p->start[k->near[i].first + 2]++;
        p->start[k->near[i].second + 2]++;
    }
    for (size_t i = 2; i < k->count + 2; i++)
        p->start[i] += p->start[i - 1];
    for (size_t i = 0; i < k->near_count; i++) {
        uint32_t a = k->near[i].first, b = k->near[i].second;

        p->other[p->start[a + 1]++] = b;
        p->other[p->start[b + 1]++] = a;
    }
}

static void add_found(struct placing *p, uint32_t row)
{
    void *all = p->found;

    mem_grow(&all, &p->found_cap, p->found_count + 1, sizeof(*p->found));
    p->found = all;
    p->found[p->found_count++] = row;
}

static void look_up(struct placing *p, const struct map *m, uint64_t key)
{
    const uint64_t *at = key ? map_get(m, &key, sizeof(key)) : NULL;

    if (at)
        add_found(p, (uint32_t)*at);
}

static void note(struct map *m, uint64_t key, uint32_t row)
{
    if (key)
        *map_put(m, &key, sizeof(key), NULL) = row;
}

/* All placed rows that this one must stay with. */
static void find_others(struct placing *p, uint32_t i)
{
    const struct curate_row *w = &p->k->row[i];
    uint32_t first = p->k->first[i];

    p->found_count = 0;
    look_up(p, p->group, w->group);
    look_up(p, p->talk, w->talk);
    p->near_from = p->found_count;
    look_up(p, p->input, w->input);
    look_up(p, p->text, w->text);
    for (uint32_t n = p->start[first]; n < p->start[first + 1]; n++)
        look_up(p, p->text, p->k->row[p->other[n]].text);
}

/* The label that the units of the neighbours share; false: they differ. */
static bool common_label(struct placing *p, int *label)
{
    for (size_t n = 0; n < p->found_count; n++) {
        int other = p->label[dedup_find(&p->units, p->found[n])];

        if (other == CURATE_UNSPLIT)
            continue;
        if (*label != CURATE_UNSPLIT && other != *label)
            return false;
        *label = other;
    }
    return true;
}

/* Would nearness join units to one that is too large? What joins one unit
 * joins none to another. */
static bool joins_too_much(struct placing *p)
{
    size_t size = 0, units = 0;
    bool near = false;

    for (size_t n = 0; n < p->found_count; n++) {
        uint32_t root = dedup_find(&p->units, p->found[n]);
        bool again = false;

        for (size_t m = 0; m < n && !again; m++)
            again = dedup_find(&p->units, p->found[m]) == root;
        if (again)
            continue;
        near = near || n >= p->near_from;
        size += dedup_size(&p->units, root);
        units++;
    }
    return near && units > 1 && size > p->unit_most;
}

static void note_row(struct placing *p, uint32_t i)
{
    const struct curate_row *w = &p->k->row[i];

    note(p->group, w->group, i);
    note(p->talk, w->talk, i);
    note(p->input, w->input, i);
    note(p->text, w->text, i);
}

static void place(struct placing *p, uint32_t i)
{
    struct curate_row *w = &p->k->row[i];
    int label = w->split;

    if (p->k->o->by_client && w->client) {
        p->found_count = p->near_from = 0;
        look_up(p, p->client, w->client);
    } else {
        find_others(p, i);
    }
    if (!common_label(p, &label) || joins_too_much(p)) {
        w->reason = CURATE_STRADDLES;
        return;
    }
    for (size_t n = 0; n < p->found_count; n++)
        dedup_join(&p->units, i, p->found[n]);
    p->label[dedup_find(&p->units, i)] = label;
    p->placed[i] = true;
    if (p->k->o->by_client && w->client)
        note(p->client, w->client, i);
    else
        note_row(p, i);
}

static void place_all(struct placing *p)
{
    size_t all = 0;

    for (size_t i = 0; i < p->k->count; i++)
        all += p->k->row[i].body && p->k->row[i].reason == CURATE_KEPT;
    p->unit_most = all / UNIT_PART > UNIT_MOST ? all / UNIT_PART : UNIT_MOST;
    for (int split = CURATE_TEST; split >= CURATE_UNSPLIT; split--)
        for (size_t i = 0; i < p->k->count; i++) {
            const struct curate_row *w = &p->k->row[i];

            if (w->body && w->reason == CURATE_KEPT && w->split == split &&
                !p->placed[i])
                place(p, (uint32_t)i);
        }
}

/* Of the rows of each text, by its first, the first that is so. */
static uint32_t *list_leads(const struct curate_settling *k, const bool *is)
{
    uint32_t *lead = mem_array(k->count, sizeof(*lead));

    for (size_t i = 0; i < k->count; i++)
        lead[i] = CURATE_NO_ROW;
    for (size_t i = 0; i < k->count; i++)
        if (is[i] && lead[k->first[i]] == CURATE_NO_ROW)
            lead[k->first[i]] = (uint32_t)i;
    return lead;
}

/* Units of two placed rows, if they may be one and stay small. */
static void join_units(struct placing *p, uint32_t a, uint32_t b, size_t most)
{
    int x, y;

    a = dedup_find(&p->units, a);
    b = dedup_find(&p->units, b);
    x = p->label[a];
    y = p->label[b];
    if (a == b || (x != y && x != CURATE_UNSPLIT && y != CURATE_UNSPLIT) ||
        dedup_size(&p->units, a) + dedup_size(&p->units, b) > most)
        return;
    dedup_join(&p->units, a, b);
    p->label[dedup_find(&p->units, a)] = x == CURATE_UNSPLIT ? y : x;
}

static size_t joined_most(const struct placing *p)
{
    size_t placed = 0;

    for (size_t i = 0; i < p->k->count; i++)
        placed += p->placed[i];
    return placed / JOIN_PART > JOIN_MOST ? placed / JOIN_PART : JOIN_MOST;
}

/* Keeps together what would else have to be dropped. */
static void join_held(struct placing *p)
{
    struct curate_settling *k = p->k;
    size_t most = joined_most(p);
    uint32_t *lead = list_leads(k, p->placed);

    for (size_t i = 0; i < k->held_count; i++) {
        uint32_t a = lead[k->held[i].first], b = lead[k->held[i].second];

        if (a != CURATE_NO_ROW && b != CURATE_NO_ROW)
            join_units(p, a, b, most);
    }
    free(lead);
}

/* The rows of a text that are not in the test, if one of another is. */
static void drop_held(struct curate_settling *k, uint32_t other, uint32_t test)
{
    const struct curate_row *t;

    while (test != CURATE_NO_ROW && (k->row[test].reason != CURATE_KEPT ||
                                     k->row[test].split != CURATE_TEST))
        test = k->next[test];
    if (test == CURATE_NO_ROW)
        return;
    t = &k->row[test];
    for (; other != CURATE_NO_ROW; other = k->next[other]) {
        struct curate_row *w = &k->row[other];

        if (w->reason != CURATE_KEPT || w->split == CURATE_TEST)
            continue;
        w->reason = CURATE_OVERLAPS_TEST;
        w->duplicate_of = t->call;
    }
}

static void forget_rows(struct placing *p)
{
    struct map **all[] = { &p->group, &p->talk, &p->input, &p->text };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        map_free(*all[i]);
        *all[i] = map_new();
    }
}

/* Small clients that say something alike. */
static void join_clients(struct placing *p)
{
    struct curate_settling *k = p->k;
    size_t most = joined_most(p);

    forget_rows(p);
    for (size_t i = 0; i < k->count; i++) {
        if (!p->placed[i])
            continue;
        find_others(p, (uint32_t)i);
        for (size_t n = 0; n < p->found_count; n++)
            join_units(p, (uint32_t)i, p->found[n], most);
        note_row(p, (uint32_t)i);
    }
}

static bool is_divided(struct placing *p, uint32_t i)
{
    int label = p->label[dedup_find(&p->units, i)];

    find_others(p, i);
    return !common_label(p, &label);
}

/* What was there before stays, and of new ones those of the smaller splits. */
static void drop_divided(struct placing *p)
{
    struct curate_settling *k = p->k;

    forget_rows(p);
    for (int order = 5; order >= 0; order--)
        for (size_t i = 0; i < k->count; i++) {
            struct curate_row *w = &k->row[i];
            bool was = w->split != CURATE_UNSPLIT;

            if (!p->placed[i] || was != (order > 2) ||
                p->label[dedup_find(&p->units, (uint32_t)i)] != order % 3)
                continue;
            if (is_divided(p, (uint32_t)i))
                w->reason = CURATE_STRADDLES;
            else
                note_row(p, (uint32_t)i);
        }
}

/* The test has one question, training another that says the same. */
static void drop_overlaps(struct curate_settling *k)
{
    if (!curate_drops(k->o, CURATE_OVERLAPS_TEST))
        return;
    for (size_t i = 0; i < k->held_count; i++) {
        drop_held(k, k->held[i].first, k->held[i].second);
        drop_held(k, k->held[i].second, k->held[i].first);
    }
}

static void join_equal(struct curate_settling *k, const uint32_t *lead,
                       const bool *kept, struct dedup_clusters *near)
{
    struct map *seen = map_new();

    for (size_t i = 0; i < k->count; i++) {
        const struct curate_row *w = &k->row[i];
        bool added;
        uint64_t *at;

        if (!kept[i])
            continue;
        dedup_join(near, lead[k->first[i]], (uint32_t)i);
        at = map_put(seen, &w->input, sizeof(w->input), &added);
        if (added)
            *at = i;
        else
            dedup_join(near, (uint32_t)*at, (uint32_t)i);
    }
    map_free(seen);
}

/* Clusters are of near rows only, and named by their lowest call. */
static void name_clusters(struct curate_settling *k)
{
    struct dedup_clusters near;
    bool *kept = mem_zalloc(k->count + 1);
    uint32_t *lead;

    for (size_t i = 0; i < k->count; i++)
        kept[i] = k->row[i].body && k->row[i].reason == CURATE_KEPT;
    lead = list_leads(k, kept);
    dedup_clusters_init(&near, k->count);
    for (size_t i = 0; i < k->near_count; i++) {
        uint32_t a = lead[k->near[i].first], b = lead[k->near[i].second];

        if (a != CURATE_NO_ROW && b != CURATE_NO_ROW)
            dedup_join(&near, a, b);
    }
    join_equal(k, lead, kept, &near);
    for (size_t i = 0; i < k->count; i++)
        if (kept[i] && dedup_size(&near, (uint32_t)i) > 1)
            k->row[i].cluster = k->row[dedup_find(&near, (uint32_t)i)].call;
    dedup_clusters_release(&near);
    free(lead);
    free(kept);
}

static void begin(struct placing *p)
{
    size_t n = p->k->count;

    dedup_clusters_init(&p->units, n);
    p->label = mem_array(n, sizeof(*p->label));
    for (size_t i = 0; i < n; i++)
        p->label[i] = CURATE_UNSPLIT;
    p->placed = mem_zalloc(n + 1);
    p->group = map_new();
    p->talk = map_new();
    p->client = map_new();
    p->input = map_new();
    p->text = map_new();
    list_near(p);
}

static void end(struct placing *p)
{
    dedup_clusters_release(&p->units);
    map_free(p->group);
    map_free(p->talk);
    map_free(p->client);
    map_free(p->input);
    map_free(p->text);
    free(p->label);
    free(p->placed);
    free(p->start);
    free(p->other);
    free(p->found);
}

void curate_settle_splits(struct curate_settling *k)
{
    struct placing p = { .k = k };

    begin(&p);
    place_all(&p);
    if (k->o->by_client)
        join_clients(&p);
    join_held(&p);
    curate_settle_shares(k, &p.units, p.label, p.placed);
    if (k->o->by_client)
        drop_divided(&p);
    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i];

        if (w->body && w->reason == CURATE_KEPT)
            w->split = p.label[dedup_find(&p.units, (uint32_t)i)];
        k->r->sealed += w->reason == CURATE_KEPT && w->split == CURATE_TEST &&
                        w->was_split != CURATE_TEST &&
                        w->was_split != CURATE_UNSPLIT;
    }
    drop_overlaps(k);
    for (size_t i = 0; i < k->count; i++)
        if (k->row[i].reason != CURATE_KEPT)
            k->row[i].split = curate_row_split(k, &k->row[i]);
    name_clusters(k);
    end(&p);
}

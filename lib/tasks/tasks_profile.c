/*
 * tasks_profile.c - what a cluster's texts share, and how well a text fits
 *
 * A profile is small (64 shingles at most) and all that assignment needs. The
 * fit ends with an assignment by profiles, so that a call which comes later
 * is treated as those that were there.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 400 /* texts that a profile is made from */
#define COVER_MIN 0.6f  /* of a profile's weight, to belong */

void tasks_profile_release(struct tasks_profile *p)
{
    free(p->shingle);
    free(p->weight);
    *p = (struct tasks_profile){ 0 };
}

struct share {
    uint64_t shingle;
    uint32_t count, first; /* first: order of appearance */
};

static int compare_shares(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static int compare_shingles(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    return (x->shingle > y->shingle) - (x->shingle < y->shingle);
}

/* Count in how many texts each shingle is; a text counts it once. */
static struct share *count_members(const struct tasks_doc *doc, size_t n,
                                   const uint32_t *label, uint32_t which,
                                   size_t *shares, size_t *texts)
{
    size_t all = 0, seen = 0, taken = 0, cap = 0;
    struct map *ids = map_new();
    struct share *s = NULL;

    for (size_t i = 0; i < n; i++)
        all += label == NULL || label[i] == which;
    size_t sample = all < MEMBERS_MAX ? all : MEMBERS_MAX;
    for (size_t i = 0; i < n && taken < sample; i++) {
        if (label && label[i] != which)
            continue;
        if (seen++ != all * taken / sample)
            continue;
        taken++;
        for (size_t k = 0; k < doc[i].shingles; k++) {
            bool added;
            size_t next = map_count(ids);
            uint64_t *at = map_put(ids, &doc[i].shingle[k], 8, &added);
            if (added) {
                void *grown = s;
                mem_grow(&grown, &cap, next + 1, sizeof(*s));
                s = grown;
                s[next] =
                    (struct share){ doc[i].shingle[k], 0, (uint32_t)next };
                *at = (uint64_t)next << 32;
            }
            if ((*at & 0xffffffff) == taken) /* this text counted it */
                continue;
            *at = (*at & ~(uint64_t)0xffffffff) | taken;
            s[*at >> 32].count++;
        }
    }
    *shares = map_count(ids);
    *texts = taken;
    map_free(ids);
    return s;
}

void tasks_profile_make(const struct tasks_doc *doc, size_t n,
                        const uint32_t *label, uint32_t which, double share,
                        size_t most, struct tasks_profile *out)
{
    size_t shares, texts, kept = 0;
    struct share *s = count_members(doc, n, label, which, &shares, &texts);

    *out = (struct tasks_profile){ 0 };
    if (shares)
        qsort(s, shares, sizeof(*s), compare_shares);
    while (kept < shares && kept < most &&
           s[kept].count >= share * (double)texts)
        kept++;
    if (kept)
        qsort(s, kept, sizeof(*s), compare_shingles);
    out->shingle = mem_array(kept, sizeof(*out->shingle));
    out->weight = mem_array(kept, sizeof(*out->weight));
    out->count = kept;
    for (size_t i = 0; i < kept; i++) {
        out->shingle[i] = s[i].shingle;
        out->weight[i] = (float)s[i].count / (float)texts;
        out->total += out->weight[i];
    }
    free(s);
}

float tasks_profile_cover(const struct tasks_profile *p, const uint64_t *sorted,
                          size_t n)
{
    float found = 0;
    size_t at = 0;

    for (size_t i = 0; i < p->count; i++) {
        while (at < n && sorted[at] < p->shingle[i])
            at++;
        if (at < n && sorted[at] == p->shingle[i])
            found += p->weight[i];
    }
    return p->total > 0 ? found / p->total : 0;
}

bool tasks_profile_has(const struct tasks_profile *p, uint64_t shingle)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->shingle[mid] < shingle)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->count && p->shingle[low] == shingle;
}

/* Between two that cover about as much, the one that explains more. */
static float fit_of(const struct tasks_profile *p, float cover)
{
    return cover * (1 + 0.05f * logf(1 + p->total));
}

uint32_t tasks_best_profile(const struct tasks_profile *p, size_t k,
                            const uint64_t *sorted, size_t n, float *cover)
{
    uint32_t best = TASKS_NONE;
    float most = 0;

    *cover = 0;
    for (size_t i = 0; i < k; i++) {
        float c = tasks_profile_cover(&p[i], sorted, n);
        if (c < COVER_MIN || (best != TASKS_NONE && fit_of(&p[i], c) <= most))
            continue;
        best = (uint32_t)i;
        most = fit_of(&p[i], c);
        *cover = c;
    }
    return best;
}

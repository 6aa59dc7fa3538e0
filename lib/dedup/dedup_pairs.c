/*
 * dedup_pairs.c - pairs that are alike, and pairs of which one holds the other
 *
 * Candidates first, each thread with lists of its own, then all of them sorted
 * and compared by their sets. The order of the output is that of the indices,
 * whatever the threads did.
 */
#include "dedup/dedup_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 256

void dedup_list_add(struct dedup_list *l, uint32_t a, uint32_t b)
{
    void *all = l->pair;

    mem_grow(&all, &l->cap, l->count + 1, sizeof(*l->pair));
    l->pair = all;
    l->pair[l->count++] = a < b ? (uint64_t)b << 32 | a : (uint64_t)a << 32 | b;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

struct verify {
    const struct dedup_set *set;
    const uint64_t *pair;
    size_t count;
    struct dedup_overlap *overlap;
};

static void verify_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct verify *v = ctx;
    size_t to = (chunk + 1) * CHUNK < v->count ? (chunk + 1) * CHUNK : v->count;

    (void)worker;
    for (size_t i = chunk * CHUNK; i < to; i++)
        v->overlap[i] = dedup_compare(&v->set[(uint32_t)v->pair[i]],
                                      &v->set[v->pair[i] >> 32]);
}

static struct dedup_list join_lists(struct dedup_list *lists, size_t count)
{
    struct dedup_list all = { 0 };
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < count; i++)
        n += lists[i].count;
    all.pair = mem_array(n, sizeof(*all.pair));
    for (size_t i = 0; i < count; i++) {
        if (lists[i].count)
            memcpy(all.pair + all.count, lists[i].pair,
                   lists[i].count * sizeof(*all.pair));
        all.count += lists[i].count;
        free(lists[i].pair);
    }
    if (n)
        qsort(all.pair, n, sizeof(*all.pair), by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || all.pair[i] != all.pair[i - 1])
            all.pair[kept++] = all.pair[i];
    all.count = kept;
    return all;
}

size_t dedup_verify(struct pool *pool, const struct dedup_set *set,
                    struct dedup_list *lists, size_t count,
                    bool (*keep)(struct dedup_overlap o, double limit),
                    double limit, struct dedup_pair **pairs)
{
    struct dedup_list all = join_lists(lists, count);
    struct verify v = { set, all.pair, all.count, NULL };
    struct dedup_pair *out = mem_array(all.count, sizeof(*out));
    size_t n = 0;

    v.overlap = mem_array(all.count, sizeof(*v.overlap));
    pool_run(pool, (all.count + CHUNK - 1) / CHUNK, verify_chunk, &v);
    for (size_t i = 0; i < all.count; i++)
        if (keep(v.overlap[i], limit))
            out[n++] = (struct dedup_pair){ (uint32_t)all.pair[i],
                                            (uint32_t)(all.pair[i] >> 32),
                                            v.overlap[i] };
    free(v.overlap);
    free(all.pair);
    *pairs = out;
    return n;
}

struct bucket {
    uint64_t band;
    uint32_t set;
};

struct search {
    const struct dedup_set *set;
    size_t count;
    struct dedup_family family;
    dedup_sign_fn *sign;
    struct bucket *bucket; /* [DEDUP_BANDS][count] */
    struct dedup_list list[DEDUP_BANDS];
};

static void sign_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct search *s = ctx;
    size_t to = (chunk + 1) * CHUNK < s->count ? (chunk + 1) * CHUNK : s->count;

    (void)worker;
    for (size_t i = chunk * CHUNK; i < to; i++) {
        int32_t signature[DEDUP_HASHES];

        s->sign(&s->family, s->set[i].hash, s->set[i].count, signature);
        for (size_t b = 0; b < DEDUP_BANDS; b++) {
            uint64_t h = s->set[i].realm + b;

            for (size_t r = 0; r < DEDUP_ROWS; r++) {
                h ^= (uint32_t)signature[b * DEDUP_ROWS + r];
                h *= UINT64_C(0x9e3779b97f4a7c15);
                h ^= h >> 32;
            }
            s->bucket[b * s->count + i] = (struct bucket){ h, (uint32_t)i };
        }
    }
}

static int by_band(const void *a, const void *b)
{
    const struct bucket *x = a, *y = b;

    if (x->band != y->band)
        return x->band < y->band ? -1 : 1;
    return (x->set > y->set) - (x->set < y->set);
}

static void pair_up(struct search *s, size_t b, uint32_t x, uint32_t y)
{
    if (s->set[x].realm == s->set[y].realm)
        dedup_list_add(&s->list[b], x, y);
}

static void search_band(void *ctx, size_t b, unsigned worker)
{
    struct search *s = ctx;
    struct bucket *k = s->bucket + b * s->count;
    size_t start = 0;

    (void)worker;
    qsort(k, s->count, sizeof(*k), by_band);
    for (size_t i = 0; i < s->count; i++) {
        if (k[i].band != k[start].band)
            start = i;
        if (!s->set[k[i].set].count || i == start)
            continue;
        pair_up(s, b, k[start].set, k[i].set);
        for (size_t n = 1; n <= DEDUP_TRIES && i - n > start; n++)
            pair_up(s, b, k[i - n].set, k[i].set);
    }
}

static bool is_alike(struct dedup_overlap o, double limit)
{
    return dedup_jaccard(o) >= limit;
}

size_t dedup_pairs(struct pool *pool, const struct dedup_set *set, size_t n,
                   double threshold, struct dedup_pair **pairs)
{
    struct search s = { .set = set, .count = n };

    dedup_family_make(&s.family);
    s.sign = dedup_sign_best();
    s.bucket = mem_array(n * DEDUP_BANDS, sizeof(*s.bucket));
    pool_run(pool, (n + CHUNK - 1) / CHUNK, sign_chunk, &s);
    if (n)
        pool_run(pool, DEDUP_BANDS, search_band, &s);
    free(s.bucket);
    return dedup_verify(pool, set, s.list, DEDUP_BANDS, is_alike, threshold,
                        pairs);
}

struct posting {
    uint64_t realm;
    uint32_t hash, set;
};

static int by_posting(const void *a, const void *b)
{
    const struct posting *x = a, *y = b;

    if (x->realm != y->realm)
        return x->realm < y->realm ? -1 : 1;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->set > y->set) - (x->set < y->set);
}

struct postings {
    struct posting *item;
    size_t count;
};

static struct postings list_postings(const struct dedup_set *set, size_t n,
                                     const bool *counted, size_t least)
{
    struct postings p = { 0 };
    size_t room = 0;

    for (size_t i = 0; i < n; i++)
        room += set[i].count;
    p.item = mem_array(room, sizeof(*p.item));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < set[i].count && set[i].count >= least &&
                           (!counted || counted[i]);
             k++)
            p.item[p.count++] =
                (struct posting){ set[i].realm, set[i].hash[k], (uint32_t)i };
    if (p.count)
        qsort(p.item, p.count, sizeof(*p.item), by_posting);
    return p;
}

struct holders {
    const struct dedup_set *set;
    size_t count, least;
    struct postings all;
    double share;
    struct dedup_list *list; /* one a chunk */
};

static size_t first_posting(const struct postings *p, uint64_t realm,
                            uint32_t hash)
{
    struct posting want = { realm, hash, 0 };
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (by_posting(&p->item[mid], &want) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* If another set holds that share of this one, it has one of any so many. */
static void search_holders(struct holders *h, size_t i, struct dedup_list *out)
{
    const struct dedup_set *a = &h->set[i];
    size_t need = (size_t)ceil(h->share * (double)a->count);

    for (size_t k = 0; k + need <= a->count; k++)
        for (size_t p = first_posting(&h->all, a->realm, a->hash[k]);
             p < h->all.count && h->all.item[p].hash == a->hash[k] &&
             h->all.item[p].realm == a->realm;
             p++) {
            const struct dedup_set *b = &h->set[h->all.item[p].set];

            if (b != a && (b->count >= a->count || b->cut))
                dedup_list_add(out, (uint32_t)i, h->all.item[p].set);
        }
}

static void holders_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct holders *h = ctx;
    size_t to = (chunk + 1) * CHUNK < h->count ? (chunk + 1) * CHUNK : h->count;

    (void)worker;
    for (size_t i = chunk * CHUNK; i < to; i++)
        if (h->set[i].count >= h->least)
            search_holders(h, i, &h->list[chunk]);
}

static bool is_contained(struct dedup_overlap o, double limit)
{
    return dedup_containment(o) >= limit;
}

size_t dedup_contained(struct pool *pool, const struct dedup_set *set, size_t n,
                       double share, size_t least, struct dedup_pair **pairs)
{
    size_t chunks = (n + CHUNK - 1) / CHUNK, found;
    struct holders h = { .set = set, .count = n, .share = share };

    h.least = least ? least : 1;
    h.all = list_postings(set, n, NULL, h.least);
    h.list = mem_zalloc((chunks + 1) * sizeof(*h.list));
    pool_run(pool, chunks, holders_chunk, &h);
    free(h.all.item);
    found = dedup_verify(pool, set, h.list, chunks, is_contained, share, pairs);
    free(h.list);
    return found;
}

/* From how many sets on a hash is common to a realm of n. */
static size_t common_from(size_t n, double part, size_t least, size_t most)
{
    size_t from = (size_t)ceil(part * (double)n);

    return from < least ? least : from > most ? most : from;
}

/* Counts by realm: how many sets were counted. */
static size_t realm_size(const struct dedup_set *set, const bool *counted,
                         const uint32_t *order, size_t n, size_t at,
                         uint64_t realm)
{
    size_t sets = 0;

    for (; at < n && set[order[at]].realm == realm; at++)
        sets += !counted || counted[order[at]];
    return sets;
}

static void drop_hashes(struct dedup_set *set, uint32_t *hash,
                        const struct posting *common, size_t n)
{
    size_t kept = 0, c = 0;

    for (size_t i = 0; i < set->count; i++) {
        while (c < n && common[c].hash < hash[i])
            c++;
        if (c == n || common[c].hash != hash[i])
            hash[kept++] = hash[i];
    }
    set->count = kept;
}

/* Order by realm, and by index within. */
static uint32_t *by_realm(const struct dedup_set *set, size_t n)
{
    struct bucket *k = mem_array(n, sizeof(*k));
    uint32_t *order = mem_array(n, sizeof(*order));

    for (size_t i = 0; i < n; i++)
        k[i] = (struct bucket){ set[i].realm, (uint32_t)i };
    if (n)
        qsort(k, n, sizeof(*k), by_band);
    for (size_t i = 0; i < n; i++)
        order[i] = k[i].set;
    free(k);
    return order;
}

/* Leaves one posting for each hash that stands in `from` sets or more. */
static size_t keep_common(struct posting *p, size_t n, size_t from)
{
    size_t kept = 0, start = 0;

    for (size_t i = 1; i <= n; i++) {
        if (i < n && p[i].hash == p[start].hash)
            continue;
        if (i - start >= from)
            p[kept++] = p[start];
        start = i;
    }
    return kept;
}

void dedup_drop_common(struct dedup_set *set, uint32_t **hash,
                       const bool *counted, size_t n, double part, size_t least,
                       size_t most)
{
    struct postings all = list_postings(set, n, counted, 0);
    uint32_t *order = by_realm(set, n);
    size_t at = 0, p = 0;

    while (at < n) {
        uint64_t realm = set[order[at]].realm;
        size_t sets = realm_size(set, counted, order, n, at, realm);
        size_t from = p, common;

        while (p < all.count && all.item[p].realm == realm)
            p++;
        common = keep_common(all.item + from, p - from,
                             common_from(sets, part, least, most));
        for (; at < n && set[order[at]].realm == realm; at++)
            drop_hashes(&set[order[at]], hash[order[at]], all.item + from,
                        common);
    }
    free(order);
    free(all.item);
}

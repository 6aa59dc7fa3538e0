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

struct pair_list { /* of pairs (second << 32 | first) */
    uint64_t *pair;
    size_t count, cap;
};

static void list_add(struct pair_list *l, uint32_t a, uint32_t b)
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

static struct pair_list join_lists(struct pair_list *lists, size_t count)
{
    struct pair_list all = { 0 };
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

/* Joins the lists, sorts, and keeps those of which keep says so. The lists are
 * released. */
static size_t verify_lists(struct pool *pool, const struct dedup_set *set,
                           struct pair_list *lists, size_t count,
                           bool (*keep)(struct dedup_overlap o, double limit),
                           double limit, struct dedup_pair **pairs)
{
    struct pair_list all = join_lists(lists, count);
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

double dedup_recall(struct dedup_bands b, double similarity)
{
    return 1 - pow(1 - pow(similarity, b.rows), b.bands);
}

struct dedup_bands dedup_bands_for(double threshold)
{
    struct dedup_bands best = { DEDUP_HASHES, 1 };

    for (unsigned rows = 2; rows <= DEDUP_ROWS_MOST; rows++) {
        struct dedup_bands b = { DEDUP_HASHES / rows, rows };

        if (dedup_recall(b, threshold) >= DEDUP_RECALL)
            best = b;
    }
    return best;
}

struct search {
    const struct dedup_set *set;
    size_t count;
    struct dedup_family family;
    dedup_sign_fn *sign;
    struct dedup_bands bands;
    uint64_t *bucket;       /* [bands][count]: hash << 32 | set */
    struct pair_list *list; /* [bands] */
};

static void sign_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct search *s = ctx;
    size_t to = (chunk + 1) * CHUNK < s->count ? (chunk + 1) * CHUNK : s->count;

    (void)worker;
    for (size_t i = chunk * CHUNK; i < to; i++) {
        int32_t signature[DEDUP_HASHES];
        const int32_t *row = signature;

        s->sign(&s->family, s->set[i].hash, s->set[i].count, signature);
        for (size_t b = 0; b < s->bands.bands; b++) {
            uint64_t h = s->set[i].realm + b;

            for (size_t r = 0; r < s->bands.rows; r++) {
                h ^= (uint32_t)*row++;
                h *= UINT64_C(0x9e3779b97f4a7c15);
                h ^= h >> 32;
            }
            s->bucket[b * s->count + i] = h << 32 | i;
        }
    }
}

static void pair_up(struct search *s, size_t b, uint64_t x, uint64_t y)
{
    uint32_t first = (uint32_t)x, second = (uint32_t)y;

    if (s->set[first].realm == s->set[second].realm)
        list_add(&s->list[b], first, second);
}

static void search_band(void *ctx, size_t b, unsigned worker)
{
    struct search *s = ctx;
    uint64_t *k = s->bucket + b * s->count;
    size_t start = 0;

    (void)worker;
    qsort(k, s->count, sizeof(*k), by_value);
    for (size_t i = 0; i < s->count; i++) {
        if (k[i] >> 32 != k[start] >> 32)
            start = i;
        if (!s->set[(uint32_t)k[i]].count || i == start)
            continue;
        pair_up(s, b, k[start], k[i]);
        for (size_t n = 1; n <= DEDUP_TRIES && i - n > start; n++)
            pair_up(s, b, k[i - n], k[i]);
    }
}

static bool is_alike(struct dedup_overlap o, double limit)
{
    return dedup_jaccard(o) >= limit;
}

size_t dedup_pairs(struct pool *pool, const struct dedup_set *set, size_t n,
                   double threshold, struct dedup_pair **pairs)
{
    struct search s = { .set = set,
                        .count = n,
                        .bands = dedup_bands_for(threshold) };
    size_t bands = s.bands.bands;

    dedup_family_make(&s.family);
    s.sign = dedup_sign_best();
    s.bucket = mem_array(n * bands, sizeof(*s.bucket));
    s.list = mem_zalloc(bands * sizeof(*s.list));
    pool_run(pool, (n + CHUNK - 1) / CHUNK, sign_chunk, &s);
    if (n)
        pool_run(pool, bands, search_band, &s);
    free(s.bucket);
    n = verify_lists(pool, set, s.list, bands, is_alike, threshold, pairs);
    free(s.list);
    return n;
}

struct place {
    uint64_t realm;
    uint32_t set;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->realm != y->realm)
        return x->realm < y->realm ? -1 : 1;
    return (x->set > y->set) - (x->set < y->set);
}

/* Indices by realm, and ascending within. */
static uint32_t *by_realm(const struct dedup_set *set, size_t n)
{
    struct place *k = mem_array(n, sizeof(*k));
    uint32_t *order = mem_array(n, sizeof(*order));

    for (size_t i = 0; i < n; i++)
        k[i] = (struct place){ set[i].realm, (uint32_t)i };
    if (n)
        qsort(k, n, sizeof(*k), by_place);
    for (size_t i = 0; i < n; i++)
        order[i] = k[i].set;
    free(k);
    return order;
}

/* How many from order[0] on are of one realm. */
static size_t realm_size(const struct dedup_set *set, const uint32_t *order,
                         size_t n)
{
    size_t size = 1;

    while (size < n && set[order[size]].realm == set[order[0]].realm)
        size++;
    return size;
}

/* The sets of a realm, and where each of their hashes stands. */
struct holders {
    const struct dedup_set *set;
    const uint32_t *order;
    size_t count, least;
    double share;
    uint64_t *posting; /* hash << 32 | set, ascending */
    size_t posting_count;
    struct pair_list *list; /* one a chunk */
};

static void list_postings(struct holders *h)
{
    size_t room = 0;

    for (size_t i = 0; i < h->count; i++)
        room += h->set[h->order[i]].count;
    h->posting = mem_array(room, sizeof(*h->posting));
    h->posting_count = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct dedup_set *a = &h->set[h->order[i]];

        for (size_t k = 0; a->count >= h->least && k < a->count; k++)
            h->posting[h->posting_count++] =
                (uint64_t)a->hash[k] << 32 | h->order[i];
    }
    if (h->posting_count)
        qsort(h->posting, h->posting_count, sizeof(*h->posting), by_value);
}

static size_t first_posting(const struct holders *h, uint32_t hash)
{
    size_t low = 0, high = h->posting_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (h->posting[mid] < (uint64_t)hash << 32)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_contained(struct dedup_overlap o, double limit)
{
    return dedup_containment(o) >= limit;
}

/* Of a sample that few hashes of a small set fall into nothing can be told. */
static bool holds(const struct holders *h, const struct dedup_set *a,
                  const struct dedup_set *b)
{
    struct dedup_overlap o = dedup_compare(a, b);
    size_t known = o.common + (o.left < o.right ? o.left : o.right);

    return ((!a->cut && !b->cut) || known >= DEDUP_KNOWN_LEAST) &&
           is_contained(o, h->share);
}

static void keep_holders(const struct holders *h, uint32_t i,
                         struct pair_list *found, struct pair_list *out)
{
    if (found->count)
        qsort(found->pair, found->count, sizeof(*found->pair), by_value);
    for (size_t k = 0; k < found->count; k++) {
        uint64_t pair = found->pair[k];
        uint32_t other = (uint32_t)(pair >> 32) ^ (uint32_t)pair ^ i;

        if ((k == 0 || pair != found->pair[k - 1]) &&
            holds(h, &h->set[i], &h->set[other]))
            list_add(out, i, other);
    }
    found->count = 0;
}

/* If another set holds that share of this one, it has one of any so many. */
static void search_holders(struct holders *h, uint32_t i,
                           struct pair_list *found)
{
    const struct dedup_set *a = &h->set[i];
    size_t need = (size_t)ceil(h->share * (double)a->count);

    for (size_t k = 0; k + need <= a->count; k++)
        for (size_t p = first_posting(h, a->hash[k]);
             p < h->posting_count && h->posting[p] >> 32 == a->hash[k]; p++) {
            const struct dedup_set *b = &h->set[(uint32_t)h->posting[p]];

            if (b != a && (b->count >= a->count || b->cut))
                list_add(found, i, (uint32_t)h->posting[p]);
        }
}

/* Candidates are many more than pairs: they go one set at a time. */
static void holders_chunk(void *ctx, size_t chunk, unsigned worker)
{
    struct holders *h = ctx;
    size_t to = (chunk + 1) * CHUNK < h->count ? (chunk + 1) * CHUNK : h->count;
    struct pair_list found = { 0 };

    (void)worker;
    for (size_t i = chunk * CHUNK; i < to; i++) {
        if (h->set[h->order[i]].count < h->least)
            continue;
        search_holders(h, h->order[i], &found);
        keep_holders(h, h->order[i], &found, &h->list[chunk]);
    }
    free(found.pair);
}

size_t dedup_contained(struct pool *pool, const struct dedup_set *set, size_t n,
                       double share, size_t least, struct dedup_pair **pairs)
{
    uint32_t *order = by_realm(set, n);
    struct holders h = { .set = set, .share = share };
    size_t lists = 0, cap = 0, found;
    void *all = NULL;

    h.least = least ? least : 1;
    for (size_t at = 0; at < n; at += h.count) {
        size_t chunks;

        h.order = order + at;
        h.count = realm_size(set, h.order, n - at);
        chunks = (h.count + CHUNK - 1) / CHUNK;
        mem_grow(&all, &cap, lists + chunks, sizeof(*h.list));
        h.list = (struct pair_list *)all + lists;
        memset(h.list, 0, chunks * sizeof(*h.list));
        list_postings(&h);
        pool_run(pool, chunks, holders_chunk, &h);
        free(h.posting);
        lists += chunks;
    }
    found = verify_lists(pool, set, all, lists, is_contained, share, pairs);
    free(order);
    free(all);
    return found;
}

static void drop_hashes(struct dedup_set *set, uint32_t *hash,
                        const uint32_t *common, size_t n)
{
    size_t kept = 0, c = 0;

    for (size_t i = 0; i < set->count; i++) {
        while (c < n && common[c] < hash[i])
            c++;
        if (c == n || common[c] != hash[i])
            hash[kept++] = hash[i];
    }
    set->count = kept;
}

/* Leaves each hash that stands there `from` times or more, once. */
static size_t keep_common(uint32_t *x, size_t n, size_t from)
{
    size_t kept = 0, start = 0;

    for (size_t i = 1; i <= n && n; i++) {
        if (i < n && x[i] == x[start])
            continue;
        if (i - start >= from)
            x[kept++] = x[start];
        start = i;
    }
    return kept;
}

struct common {
    double part;
    size_t least, most;
};

/* All within one realm. */
static void drop_of_realm(struct dedup_set *set, uint32_t **hash,
                          const bool *counted, const uint32_t *order, size_t n,
                          const struct common *c)
{
    size_t room = 0, count = 0, sets = 0, from;
    uint32_t *all, *spare;

    for (size_t i = 0; i < n; i++)
        room += set[order[i]].count;
    all = mem_array(room, sizeof(*all));
    spare = mem_array(room, sizeof(*spare));
    for (size_t i = 0; i < n; i++) {
        const struct dedup_set *a = &set[order[i]];

        if ((counted && !counted[order[i]]) || !a->count)
            continue;
        memcpy(all + count, a->hash, a->count * sizeof(*all));
        count += a->count;
        sets++;
    }
    dedup_sort(all, spare, count);
    from = (size_t)ceil(c->part * (double)sets);
    from = from < c->least ? c->least : from > c->most ? c->most : from;
    count = keep_common(all, count, from);
    for (size_t i = 0; i < n; i++)
        drop_hashes(&set[order[i]], hash[order[i]], all, count);
    free(all);
    free(spare);
}

void dedup_drop_common(struct dedup_set *set, uint32_t **hash,
                       const bool *counted, size_t n, double part, size_t least,
                       size_t most)
{
    const struct common c = { part, least, most };
    uint32_t *order = by_realm(set, n);

    for (size_t at = 0, size; at < n; at += size) {
        size = realm_size(set, order + at, n - at);
        drop_of_realm(set, hash, counted, order + at, size, &c);
    }
    free(order);
}

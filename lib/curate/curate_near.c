/*
 * curate_near.c - near-duplicates: which there are, and which go
 *
 * Compared are shingles that are no template's: what many examples of a kind
 * have in common says nothing, and without it a long instruction in front of a
 * short text would make all of them alike. Being near is enough to stay
 * together in a split. To be dropped takes more: the same prompt, the same
 * answer, and no more than a word of difference, template included.
 */
#include "curate/curate_settle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A shingle is a template's from a tenth of the examples of a kind on, but at
 * least six; of large kinds from 24 on. */
#define COMMON_PART .1
#define COMMON_LEAST 6
#define COMMON_MOST 24

static bool takes_part(const struct curate_row *w)
{
    return w->body && w->reason == CURATE_KEPT;
}

static struct dedup_set whole_set(const struct curate_row *w)
{
    return (struct dedup_set){ w->hash, w->count, w->cut, w->task };
}

static struct dedup_set own_set(const struct curate_row *w)
{
    return (struct dedup_set){ w->own, w->own_count, w->cut, w->task };
}

/* Chains of rows of equal text. */
static void chain_texts(struct curate_settling *k)
{
    struct map *last = map_new();

    k->first = mem_array(k->count, sizeof(*k->first));
    k->next = mem_array(k->count, sizeof(*k->next));
    for (size_t i = 0; i < k->count; i++) {
        bool added;
        uint64_t *at;

        k->first[i] = (uint32_t)i;
        k->next[i] = CURATE_NO_ROW;
        if (!takes_part(&k->row[i]) || !k->row[i].text)
            continue;
        at = map_put(last, &k->row[i].text, sizeof(k->row[i].text), &added);
        if (!added) {
            k->first[i] = k->first[*at];
            k->next[*at] = (uint32_t)i;
        }
        *at = i;
    }
    map_free(last);
}

static bool is_first(const struct curate_settling *k, size_t i)
{
    return takes_part(&k->row[i]) && k->row[i].text && k->first[i] == i;
}

static void drop_templates(struct curate_settling *k)
{
    bool *first = mem_zalloc(k->count * sizeof(*first) + 1);
    struct dedup_set *set = mem_zalloc(k->count * sizeof(*set) + 1);
    uint32_t **hash = mem_zalloc(k->count * sizeof(*hash) + 1);

    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i];

        if (!takes_part(w))
            continue;
        w->own = mem_array(w->count, sizeof(*w->own));
        if (w->count)
            memcpy(w->own, w->hash, w->count * sizeof(*w->own));
        w->own_count = w->count;
        set[i] = own_set(w);
        hash[i] = w->own;
        first[i] = is_first(k, i);
    }
    dedup_drop_common(set, hash, first, k->count, COMMON_PART, COMMON_LEAST,
                      COMMON_MOST);
    for (size_t i = 0; i < k->count; i++)
        if (k->row[i].own)
            k->row[i].own_count = set[i].count;
    free(first);
    free(set);
    free(hash);
}

static void find_pairs(struct curate_settling *k)
{
    struct dedup_set *set = mem_zalloc(k->count * sizeof(*set) + 1);
    double limit = k->o->similarity > 0 ? k->o->similarity : DEDUP_THRESHOLD;

    for (size_t i = 0; i < k->count; i++)
        if (is_first(k, i) &&
            (!k->row[i].multi || k->row[i].own_count >= CURATE_MULTI_LEAST))
            set[i] = own_set(&k->row[i]);
    k->near_count = dedup_pairs(k->pool, set, k->count, limit, &k->near);
    k->held_count = dedup_contained(k->pool, set, k->count, CURATE_OVERLAP,
                                    CURATE_OVERLAP_LEAST, &k->held);
    free(set);
}

static void drop(struct curate_row *w, const struct curate_row *of)
{
    w->reason = CURATE_NEAR_DUPLICATE;
    w->duplicate_of = of->call;
}

static bool is_same_talk(const struct curate_row *w,
                         const struct curate_row *of)
{
    return w->reason == CURATE_KEPT && of->reason == CURATE_KEPT &&
           w->answer == of->answer && w->context == of->context;
}

/* What a sealed test has that was opened stays there: nobody's figures change.
 * Until then what other options let into it tells nothing. One that was
 * corrected takes the place of the other, which has the answer that was called
 * wrong. */
static void drop_one(const struct curate_settling *k, struct curate_row *later,
                     struct curate_row *first)
{
    if (!is_same_talk(later, first))
        return;
    if (!later->corrected && (later->split != CURATE_TEST || !k->opened))
        drop(later, first);
    if (!later->corrected || first->corrected)
        return;
    if (later->split == CURATE_UNSPLIT)
        later->split = first->split;
    if (first->split != CURATE_TEST || later->split == CURATE_TEST)
        drop(first, later);
}

/* Nothing but punctuation, case or surrogates is different. */
static void drop_equal_texts(struct curate_settling *k)
{
    struct map *seen = map_new();

    for (size_t i = 0; i < k->count; i++) {
        struct curate_row *w = &k->row[i];
        uint64_t key[3] = { w->text, w->context, w->answer };
        bool added;
        uint64_t *at;

        if (!takes_part(w) || !w->text)
            continue;
        at = map_put(seen, key, sizeof(key), &added);
        if (added)
            *at = i;
        else
            drop_one(k, w, &k->row[*at]);
        if (k->row[*at].reason != CURATE_KEPT)
            *at = i;
    }
    map_free(seen);
}

/* Of a text's shingles, how many the row has. */
static double known_part(const struct curate_row *w)
{
    double all = w->words < DEDUP_WORDS ? 1 : w->words - (DEDUP_WORDS - 1.);

    return w->cut && all > (double)w->count ? (double)w->count / all : 1;
}

/* How many of those that one changed word changes the sample may show. */
static size_t near_most(const struct curate_row *a, const struct curate_row *b)
{
    double x = known_part(a), y = known_part(b);

    return (size_t)ceil(CURATE_NEAR_MOST * (x < y ? x : y));
}

static void drop_near(struct curate_settling *k)
{
    for (size_t i = 0; i < k->near_count; i++) {
        struct curate_row *w = &k->row[k->near[i].second];
        struct curate_row *of = &k->row[k->near[i].first];
        struct dedup_set a = whole_set(of), b = whole_set(w);
        struct dedup_overlap o = dedup_compare(&a, &b);

        size_t most = near_most(w, of);

        if (o.left <= most && o.right <= most)
            drop_one(k, w, of);
    }
}

void curate_settle_near(struct curate_settling *k)
{
    chain_texts(k);
    drop_templates(k);
    find_pairs(k);
    if (curate_drops(k->o, CURATE_NEAR_DUPLICATE)) {
        drop_equal_texts(k);
        drop_near(k);
    }
}

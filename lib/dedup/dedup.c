/*
 * dedup.c - signatures, comparisons and clusters
 *
 * The hashes are linear permutations of 32-bit numbers (Bohman, Cooper and
 * Frieze 2000 show that they are nearly min-wise); their input is mixed
 * already. The coefficients are drawn once from a fixed seed.
 */
#include "dedup/dedup_private.h"

#include "base/isa.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void dedup_family_make(struct dedup_family *f)
{
    struct rng r;

    rng_init(&r, 112);
    for (size_t i = 0; i < DEDUP_HASHES; i++) {
        uint64_t v = rng_next(&r);

        f->a[i] = (uint32_t)(v >> 32) | 1;
        f->b[i] = (uint32_t)v;
    }
}

dedup_sign_fn *dedup_sign_variant(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0)
        return isa_avx2() ? dedup_sign_avx2 : NULL;
#endif
    return strcmp(name, "generic") == 0 ? dedup_sign_generic : NULL;
}

dedup_sign_fn *dedup_sign_best(void)
{
    dedup_sign_fn *best = dedup_sign_variant("avx2");

    return best ? best : dedup_sign_generic;
}

void dedup_sign(const uint32_t *hash, size_t n,
                uint32_t signature[DEDUP_HASHES])
{
    struct dedup_family f;
    int32_t s[DEDUP_HASHES];

    dedup_family_make(&f);
    dedup_sign_best()(&f, hash, n, s);
    memcpy(signature, s, sizeof(s));
}

struct dedup_overlap dedup_compare(const struct dedup_set *a,
                                   const struct dedup_set *b)
{
    struct dedup_overlap o = { 0 };
    uint32_t last = UINT32_MAX;
    size_t i = 0, j = 0;

    if (a->cut && a->count)
        last = a->hash[a->count - 1];
    if (b->cut && b->count && b->hash[b->count - 1] < last)
        last = b->hash[b->count - 1];
    for (;;) {
        bool more = i < a->count && a->hash[i] <= last;
        bool other = j < b->count && b->hash[j] <= last;

        if (!more && !other)
            return o;
        if (more && other && a->hash[i] == b->hash[j]) {
            o.common++;
            i++;
            j++;
        } else if (more && (!other || a->hash[i] < b->hash[j])) {
            o.left++;
            i++;
        } else {
            o.right++;
            j++;
        }
    }
}

double dedup_jaccard(struct dedup_overlap o)
{
    size_t all = o.common + o.left + o.right;

    return all ? (double)o.common / (double)all : 0;
}

double dedup_containment(struct dedup_overlap o)
{
    size_t less = o.common + (o.left < o.right ? o.left : o.right);

    return less ? (double)o.common / (double)less : 0;
}

void dedup_clusters_init(struct dedup_clusters *c, size_t n)
{
    assert(n < UINT32_MAX);
    c->count = n;
    c->parent = mem_array(n, sizeof(*c->parent));
    c->size = mem_array(n, sizeof(*c->size));
    for (size_t i = 0; i < n; i++) {
        c->parent[i] = (uint32_t)i;
        c->size[i] = 1;
    }
}

void dedup_clusters_release(struct dedup_clusters *c)
{
    free(c->parent);
    free(c->size);
    *c = (struct dedup_clusters){ 0 };
}

uint32_t dedup_find(struct dedup_clusters *c, uint32_t i)
{
    while (c->parent[i] != i) {
        c->parent[i] = c->parent[c->parent[i]];
        i = c->parent[i];
    }
    return i;
}

void dedup_join(struct dedup_clusters *c, uint32_t a, uint32_t b)
{
    a = dedup_find(c, a);
    b = dedup_find(c, b);
    if (a == b)
        return;
    if (b < a) {
        uint32_t swap = a;

        a = b;
        b = swap;
    }
    c->parent[b] = a;
    c->size[a] += c->size[b];
}

uint32_t dedup_size(struct dedup_clusters *c, uint32_t i)
{
    return c->size[dedup_find(c, i)];
}

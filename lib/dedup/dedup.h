/*
 * dedup.h - which texts are nearly the same
 *
 * A text is known by its set of shingles: hashes of five words in a row. Sets
 * that may be alike are found by MinHash (Broder 1997) and bands (Indyk and
 * Motwani 1998): 112 hashes in 14 bands of 8, so that two sets of Jaccard
 * similarity s meet with probability 1 - (1 - s^8)^14 (.924 at .8, .9995 at
 * .9). Each pair is then compared by its sets: what is told is true, what is
 * rare is missed. Results depend on the texts and the seed alone.
 * May use: base.
 */
#ifndef DEDUP_H
#define DEDUP_H

#include "base/buf.h"
#include "base/pool.h"

#include <stdint.h>

#define DEDUP_WORDS 5 /* of a shingle */
#define DEDUP_HASHES 112
#define DEDUP_THRESHOLD 0.8
#define DEDUP_RECALL 0.97 /* of pairs that are just alike enough */
#define DEDUP_ROWS_MOST 16

/* Working memory and result of dedup_shingle; zeroed it is empty. */
struct dedup_shingles {
    uint32_t *hash; /* ascending, each once */
    size_t count, cap;
    size_t words;
    bool cut; /* only the lowest are there */
    uint32_t *spare;
    size_t spare_cap;
};
void dedup_shingles_release(struct dedup_shingles *s);

/* Words are runs of ASCII letters, digits and _ without regard to case, and of
 * all other UTF-8; an ideograph or kana is a word of its own. Fewer words than
 * a shingle has are one shingle. At most `limit` hashes are kept (0: all), the
 * lowest, which are a random sample of the set. */
void dedup_shingle(struct slice text, uint64_t seed, size_t limit,
                   struct dedup_shingles *out);

/* A set, borrowed; only sets of equal realm are ever paired. */
struct dedup_set {
    const uint32_t *hash; /* ascending, each once */
    size_t count;
    bool cut;
    uint64_t realm;
};

/* How two sets overlap: hashes in both, only in the first, only in the second.
 * Of sets that are cut, as far as both are known. */
struct dedup_overlap {
    size_t common, left, right;
};
struct dedup_overlap dedup_compare(const struct dedup_set *a,
                                   const struct dedup_set *b);
double dedup_jaccard(struct dedup_overlap o);     /* 0 if both are empty */
double dedup_containment(struct dedup_overlap o); /* of the smaller one */

/* The signature of a set; variants for instruction sets give the same bits. */
void dedup_sign(const uint32_t *hash, size_t n,
                uint32_t signature[DEDUP_HASHES]);

/* Two sets of Jaccard similarity s have equal hashes in all rows of a band with
 * probability s^rows, and meet in one of the bands with 1 - (1 - s^rows)^bands
 * (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4.2). More rows
 * let fewer others meet: as many as give DEDUP_RECALL at the threshold, with
 * floor(112 / rows) bands. 3 rows in 37 bands at .5 (.993), 4 in 28 at .6
 * (.979), 5 in 22 at .7 (.982), 7 in 16 at .8 (.977), 11 in 10 at .9 (.977).
 */
struct dedup_bands {
    unsigned bands, rows;
};
struct dedup_bands dedup_bands_for(double threshold);
double dedup_recall(struct dedup_bands b, double similarity);

/* A pair of indices, first < second. */
struct dedup_pair {
    uint32_t first, second;
    struct dedup_overlap overlap;
};

/* Pairs of Jaccard similarity threshold or more among those that MinHash finds,
 * ascending by (second, first). Of sets that are cut and of different size
 * fewer are found. Takes 8 bytes a set and band. In a bucket of many sets each
 * is compared with the first and with DEDUP_TRIES before it, which is enough to
 * connect what is alike. *pairs: caller frees. */
#define DEDUP_TRIES 16
size_t dedup_pairs(struct pool *pool, const struct dedup_set *set, size_t n,
                   double threshold, struct dedup_pair **pairs);

/* Pairs of which one holds `share` of the other's hashes or more, in the same
 * order; exact, by prefix filtering (Chaudhuri et al. 2006). Sets of fewer than
 * `least` hashes have no part. Of sets that are cut as far as both are known,
 * and that has to be DEDUP_KNOWN_LEAST hashes of the smaller one. Takes 8 bytes
 * a hash of the largest realm, and as much again to sort them. */
#define DEDUP_KNOWN_LEAST 4
size_t dedup_contained(struct pool *pool, const struct dedup_set *set, size_t n,
                       double share, size_t least, struct dedup_pair **pairs);

/* Takes out of each set what most sets of its realm have in common: hashes that
 * stand in `part` of them or more, but never in fewer than `least` and always
 * in `most`. counts[i] false: set i is not counted (a copy of another). The
 * hashes of set i are moved to the front of hash[i]; counts follow in set. */
void dedup_drop_common(struct dedup_set *set, uint32_t **hash,
                       const bool *counted, size_t n, double part, size_t least,
                       size_t most);

/* Disjoint sets of 0..n-1 with the lowest member as their name. */
struct dedup_clusters {
    uint32_t *parent, *size;
    size_t count;
};
void dedup_clusters_init(struct dedup_clusters *c, size_t n);
void dedup_clusters_release(struct dedup_clusters *c);
uint32_t dedup_find(struct dedup_clusters *c, uint32_t i);
void dedup_join(struct dedup_clusters *c, uint32_t a, uint32_t b);
uint32_t dedup_size(struct dedup_clusters *c, uint32_t i);

#endif

/*
 * kmeans_rows.h - what follows the product of a block, once for each
 * instruction set
 *
 * Included by files that define KMEANS_ROWS as the name of their variant. All
 * give the same bits: the greatest of a row is exact, and sums add element by
 * element.
 */
#include "kmeans/kmeans_private.h"

#include <string.h>

typedef float lanes_f __attribute__((vector_size(64)));
typedef int32_t lanes_i __attribute__((vector_size(64)));

#define LANES 16

/* The lowest index of the greatest of s[k16]. */
static inline uint32_t best_of(size_t k16, const float *s, float *best)
{
    lanes_i lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    lanes_i at = lane, mask, bits, next;
    lanes_f top, x;
    float value[LANES];
    int32_t index[LANES];
    size_t b = 0;

    memcpy(&top, s, sizeof(top));
    for (size_t j = LANES; j < k16; j += LANES) {
        lane += LANES;
        memcpy(&x, s + j, sizeof(x));
        mask = x > top;
        memcpy(&bits, &top, sizeof(bits));
        memcpy(&next, &x, sizeof(next));
        bits = (next & mask) | (bits & ~mask);
        memcpy(&top, &bits, sizeof(top));
        at = (lane & mask) | (at & ~mask);
    }
    memcpy(value, &top, sizeof(value));
    memcpy(index, &at, sizeof(index));
    for (size_t l = 1; l < LANES; l++)
        if (value[l] > value[b] ||
            (value[l] == value[b] && index[l] < index[b]))
            b = l;
    *best = value[b];
    return (uint32_t)index[b];
}

void KMEANS_ROWS(struct kmeans_rows *r)
{
    for (size_t i = 0; i < r->rows; i++) {
        float *s = r->scores + i * r->k16;
        if (r->half)
            for (size_t c = 0; c < r->k16; c++)
                s[c] -= r->half[c];
        uint32_t c = best_of(r->k16, s, &r->score[i]);
        r->moved += r->labels[i] != c;
        r->labels[i] = c;
        if (!r->sums)
            continue;
        float *restrict sum = r->sums + c * r->d;
        const float *restrict x = r->x + i * r->d;
        for (size_t k = 0; k < r->d; k++)
            sum[k] += x[k];
        r->counts[c]++;
    }
}

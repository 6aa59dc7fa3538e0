/*
 * dedup_sign.h - the signature of a set, once for each instruction set
 *
 * Included by files that define DEDUP_SIGN as the name of their variant and
 * DEDUP_LANES as the numbers of one register, if it is not SSE's four. All give
 * the same bits: minima of integers. Two registers at a time share each load.
 */
#include "dedup/dedup_private.h"

#include <assert.h>
#include <string.h>

#ifndef DEDUP_LANES
#define DEDUP_LANES 4
#endif

typedef uint32_t lanes_u __attribute__((vector_size(4 * DEDUP_LANES)));
typedef int32_t lanes_i __attribute__((vector_size(4 * DEDUP_LANES)));

#define LEAST(m, v)                                                            \
    do {                                                                       \
        lanes_u product = (v);                                                 \
        lanes_i x, mask;                                                       \
                                                                               \
        memcpy(&x, &product, sizeof(x));                                       \
        mask = x < (m);                                                        \
        (m) = (x & mask) | ((m) & ~mask);                                      \
    } while (0)

static_assert(DEDUP_HASHES % (2 * DEDUP_LANES) == 0, "two registers at a time");

void DEDUP_SIGN(const struct dedup_family *f, const uint32_t *hash, size_t n,
                int32_t signature[DEDUP_HASHES])
{
    for (size_t l = 0; l < DEDUP_HASHES; l += 2 * DEDUP_LANES) {
        lanes_u a, b, c, d;
        lanes_i m = (lanes_i){ 0 } + INT32_MAX, k = m;

        memcpy(&a, f->a + l, sizeof(a));
        memcpy(&b, f->b + l, sizeof(b));
        memcpy(&c, f->a + l + DEDUP_LANES, sizeof(c));
        memcpy(&d, f->b + l + DEDUP_LANES, sizeof(d));
        for (size_t i = 0; i < n; i++) {
            LEAST(m, a * hash[i] + b);
            LEAST(k, c * hash[i] + d);
        }
        memcpy(signature + l, &m, sizeof(m));
        memcpy(signature + l + DEDUP_LANES, &k, sizeof(k));
    }
}

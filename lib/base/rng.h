/*
 * rng.h - random numbers that depend on the seed alone
 *
 * Two kinds: a sequential generator (xoshiro256**) and a counter-based one
 * (Philox4x32-10, Salmon et al., SC 2011), for values that must not depend on
 * the order in which threads ask. Neither is for secrets.
 */
#ifndef RNG_H
#define RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4]; /* the whole state: may be saved and restored */
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
double rng_unit(struct rng *r);                /* [0, 1), 53 bits */
uint64_t rng_below(struct rng *r, uint64_t n); /* [0, n), unbiased, n > 0 */
double rng_normal(struct rng *r);              /* mean 0, variance 1 */
void rng_shuffle(struct rng *r, size_t *a, size_t n);

/* Four 32-bit words for (key, counter). */
void rng_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo,
                uint32_t out[4]);

#endif

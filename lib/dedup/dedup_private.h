/* dedup_private.h - what the files of lib/dedup share */
#ifndef DEDUP_PRIVATE_H
#define DEDUP_PRIVATE_H

#include "dedup/dedup.h"

/* Coefficients of the hashes: x * a + b modulo 2^32, a odd. */
struct dedup_family {
    uint32_t a[DEDUP_HASHES], b[DEDUP_HASHES];
};

/* Signatures as signed numbers, whose order is as good as any other. */
typedef void dedup_sign_fn(const struct dedup_family *f, const uint32_t *hash,
                           size_t n, int32_t signature[DEDUP_HASHES]);
dedup_sign_fn dedup_sign_generic, dedup_sign_avx2;
/* By name, "generic" or "avx2"; NULL: this CPU cannot. There is none for
 * AVX-512, whose wide product takes twice as long as two halves of it. */
dedup_sign_fn *dedup_sign_variant(const char *name);
dedup_sign_fn *dedup_sign_best(void);
void dedup_family_make(struct dedup_family *f);

/* Ascending, in place; spare has room for n. */
void dedup_sort(uint32_t *x, uint32_t *spare, size_t n);

#endif

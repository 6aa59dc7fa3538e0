/*
 * unicode_normal.h - tables of canonical normalization and lower case
 *
 * Sorted by their first member. They follow the reference's data, of which
 * those for normalization are of an old Unicode version.
 */
#ifndef UNICODE_NORMAL_H
#define UNICODE_NORMAL_H

#include <stdint.h>

struct unicode_decomposition {
    uint32_t cp;
    uint32_t to[4]; /* full decomposition, 0 after its end */
};
struct unicode_composition {
    uint32_t left, right, cp; /* sorted by left, then right */
};
struct unicode_lower_case {
    uint32_t cp;
    uint32_t to[2]; /* 0 after its end; ASCII is not in the table */
};
struct unicode_combining_range {
    uint32_t first, last;
    uint8_t class;
};
extern const struct unicode_decomposition unicode_decompositions[];
extern const unsigned unicode_decompositions_count;
extern const struct unicode_composition unicode_compositions[];
extern const unsigned unicode_compositions_count;
extern const struct unicode_lower_case unicode_lower_cases[];
extern const unsigned unicode_lower_cases_count;
extern const struct unicode_combining_range unicode_combining[];
extern const unsigned unicode_combining_count;

#endif

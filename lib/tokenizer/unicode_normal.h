/*
 * unicode_normal.h - tables of normalization, lower case and traits
 *
 * Sorted by their first member. They follow the reference's data, of which
 * those for normalization are of an old Unicode version.
 */
#ifndef UNICODE_NORMAL_H
#define UNICODE_NORMAL_H

#include "tokenizer/unicode_class.h"

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

/* What compatibility decompositions give, full and canonically ordered: to
 * each of n characters from cp on, one behind the other, count of the pool. */
struct unicode_compat {
    uint32_t cp;
    uint16_t n, start, count;
};
extern const struct unicode_compat unicode_compats[];
extern const unsigned unicode_compats_count;
extern const uint32_t unicode_compat_pool[];

/* What single steps of the reference do with a code point. */
enum unicode_trait {
    UT_CLEANED = 1,      /* BertNormalizer's clean_text deletes it */
    UT_BLANK = 2,        /* ... makes it a space */
    UT_IDEOGRAPH = 4,    /* handle_chinese_chars puts spaces around it */
    UT_ACCENT = 8,       /* BertNormalizer's strip_accents deletes it */
    UT_MARK = 16,        /* StripAccents deletes it */
    UT_PUNCTUATION = 32, /* Punctuation and BertPreTokenizer cut at it */
    UT_WORD = 64,        /* \w of Whitespace */
    UT_EXTENDS = 128,    /* belongs to the grapheme before it */
    UT_PREPENDS = 256,   /* ... after it */
    UT_CONTROL = 512,    /* a grapheme of its own */
};
extern const struct unicode_range unicode_traits[];
extern const unsigned unicode_traits_count;
unsigned unicode_traits_of(uint32_t cp);

#endif

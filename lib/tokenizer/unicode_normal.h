/*
 * unicode_normal.h - table of traits
 *
 * Sorted by its first member. It follows the reference's data. Lower case and
 * what characters compose and decompose into stand in unicode/unicode.h.
 */
#ifndef UNICODE_NORMAL_H
#define UNICODE_NORMAL_H

#include "tokenizer/unicode_class.h"

#include <stdint.h>

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

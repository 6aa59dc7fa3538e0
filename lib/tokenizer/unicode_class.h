/*
 * unicode_class.h - classes of code points as tokenizers' patterns mean them
 *
 * Own tables, because those of libraries follow other Unicode versions and a
 * single differing code point changes ids.
 */
#ifndef UNICODE_CLASS_H
#define UNICODE_CLASS_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    UC_LU = 1,
    UC_LL = 2,
    UC_LT = 4,
    UC_LM = 8,
    UC_LO = 16,
    UC_M = 32,
    UC_N = 64,
    UC_P = 128,
    UC_S = 256,
    UC_SPACE = 512,
    UC_DIGIT = 1024, /* the Digits step: of a newer Unicode than UC_N */
    UC_L = UC_LU | UC_LL | UC_LT | UC_LM | UC_LO,
};

struct unicode_range {
    uint32_t start; /* up to the next entry's start */
    uint16_t mask;
};
extern const struct unicode_range unicode_ranges[];
extern const unsigned unicode_range_count;

/* The ranges, spread out for constant-time look-up. */
#define UNICODE_PAGE_BITS 8
#define UNICODE_PAGE (1u << UNICODE_PAGE_BITS)
struct unicode_map {
    uint16_t lead[256]; /* class of an ASCII byte, 0 for others */
    uint16_t page[0x110000u >> UNICODE_PAGE_BITS]; /* which of the stored */
    uint16_t (*pages)[UNICODE_PAGE];
    size_t count, cap;
};
const struct unicode_map *unicode_map_get(void); /* any thread */
/* cp <= 0x10FFFF */
static inline unsigned unicode_class_of(const struct unicode_map *m,
                                        uint32_t cp)
{
    return m->pages[m->page[cp >> UNICODE_PAGE_BITS]][cp & (UNICODE_PAGE - 1)];
}
/* Class of the character at p (n > 0 bytes), its size in *used; a byte that is
 * no UTF-8 has none. */
static inline unsigned unicode_class_at(const struct unicode_map *m,
                                        const char *p, size_t n, size_t *used)
{
    int32_t cp;

    if ((unsigned char)*p < 0x80) {
        *used = 1;
        return m->lead[(unsigned char)*p];
    }
    cp = utf8_decode(p, n, used);
    return cp < 0 ? 0 : unicode_class_of(m, (uint32_t)cp);
}

#endif

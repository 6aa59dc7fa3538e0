/*
 * names_priv.h - what the files of lib/names and the tool that makes its data
 * (data/names/) share
 *
 * Words are compared folded: lower case, without accents. The list of words is
 * a table of hashes, not of words: small, and nothing to load. Nothing else may
 * include this file.
 */
#ifndef NAMES_PRIV_H
#define NAMES_PRIV_H

#include "names/names.h"

/* What the lists say about a word, or about a phrase of words. */
enum {
    W_FEMALE = 1 << 0, /* first names that are frequent somewhere */
    W_MALE = 1 << 1,
    W_FIRST = 1 << 2, /* any first name */
    W_LAST = 1 << 3,  /* any surname */
    W_POPULAR = 1 << 4,
    W_COMMON = 1 << 5, /* English words, the frequent half */
    W_KNOWN = 1 << 6,  /* the other half */
    W_CITY = 1 << 7,
    W_REGION = 1 << 8,    /* countries and states */
    W_CONTINENT = 1 << 9, /* too large to tell anything */
    W_NATION = 1 << 10,
    W_ORG = 1 << 11, /* the last word of organisations */
    W_TITLE = 1 << 12,
    W_CALENDAR = 1 << 13,
    W_TECH = 1 << 14,   /* products and companies that are nobody */
    W_PHRASE = 1 << 15, /* the first word of places of several words */
};
#define W_NAME (W_FEMALE | W_MALE | W_FIRST | W_LAST)
#define W_GIVEN (W_FEMALE | W_MALE | W_FIRST)
#define W_PLACE (W_CITY | W_REGION)

#define WORD_MAX 48   /* bytes of a folded word; longer ones are cut */
#define PHRASE_MAX 96 /* bytes of a folded phrase */

/* Folded into out (at most WORD_MAX bytes); returns how many. */
size_t names_fold(struct slice word, char *out);
/* Class of the code point at p: */
enum { CP_OTHER, CP_LOWER, CP_UPPER, CP_LETTER /* of no case */, CP_MARK };
int names_letter(int32_t cp);
uint64_t names_hash(const void *p, size_t n, uint64_t seed);

/* words.bin: "NAMESW1\n", u32 slots, u32 sets, u16 set[sets], then slots of 3
 * bytes: 14 bits of hash, 10 bits of set + 1; 0 is free. Linear probing. */
#define WORDS_MAGIC "NAMESW1\n"
#define WORDS_SETS 1023
struct names_words {
    const unsigned char *slot;
    uint32_t slots, sets;
    uint16_t set[WORDS_SETS];
};
MUST_CHECK int names_words_open(struct slice file, struct names_words *out,
                                struct err *err);
/* Flags of a folded word or phrase; 0: no list has it. */
unsigned names_words_get(const struct names_words *w, const char *folded,
                         size_t n);

enum names_script {
    SCRIPT_ASCII,
    SCRIPT_LATIN,
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_ARABIC,
    SCRIPT_HEBREW,
    SCRIPT_HAN,
    SCRIPT_HANGUL,
    SCRIPT_ARMENIAN,
    SCRIPT_GEORGIAN,
    SCRIPT_KHMER,
    SCRIPTS,
};
#define DRAW_LISTS (NAMES_LIST_ORGANIZATION + 1)
struct names_draws {
    struct slice *item;
    size_t count;
};

struct names {
    struct names_words words;
    struct names_draws draw[DRAW_LISTS][SCRIPTS];
    struct slice *drawn; /* what draw points into */
};

#endif

/*
 * address_priv.h - what the files of lib/address share
 *
 * Around a digit the text is read into tokens, whose words are looked up once;
 * all else works on tokens. Nothing outside lib/address may include this file.
 */
#ifndef ADDRESS_PRIV_H
#define ADDRESS_PRIV_H

#include "address/address.h"
#include "base/ascii.h"

#define ADDRESS_TOKENS 48
#define ADDRESS_BACK 80   /* bytes before a digit that may belong to it */
#define ADDRESS_NAME 100  /* behind it, of the street */
#define ADDRESS_AHEAD 280 /* and of the town and all */
#define ADDRESS_WORD_MAX 24

enum address_flag {
    WORD_STREET = 1u << 0,   /* ends a street's name: street, road */
    WORD_WEAK = 1u << 1,     /* may do so: hill, way, park */
    WORD_PREFIX = 1u << 2,   /* begins one: rue, via, ulica */
    WORD_AFTER = 1u << 3,    /* ends one before the number: utca, strasse */
    WORD_UNIT = 1u << 4,     /* apartment, suite */
    WORD_PARTICLE = 1u << 5, /* de, van, der */
    WORD_STOP = 1u << 6,     /* is never part of one: months, units, the */
    WORD_DIRECTION = 1u << 7,
    WORD_BOX = 1u << 8,
    WORD_LOCATE = 1u << 9, /* at, on, to */
    WORD_COUNTRY = 1u << 10,
    WORD_MILITARY = 1u << 11, /* APO, FPO, DPO */
    WORD_CAPITAL = 1u << 12,
    WORD_UPPER = 1u << 13,    /* all of it */
    WORD_COMPOUND = 1u << 14, /* Hauptstrasse, Ringvej */
    WORD_DOT = 1u << 15,      /* a point stands behind */
    WORD_UNREAD = 1u << 16,   /* the others are not known yet */
};

enum address_kind { TOKEN_WORD, TOKEN_NUMBER, TOKEN_CODE };
enum address_gap { GAP_NONE, GAP_BLANK, GAP_COMMA, GAP_LINE, GAP_HARD };

struct address_token {
    size_t at, end;
    enum address_kind kind;
    enum address_gap gap; /* before it */
    unsigned flags;
    unsigned digits; /* of a number's first run */
};

struct address_tokens {
    struct slice text;
    struct address_token *item; /* ADDRESS_TOKENS */
    int count;
};

/* Tokens of the text around byte `at` and up to `ahead` bytes behind it; the
 * index of the one that holds it, or -1. */
int address_tokens_read(struct address_tokens *t, struct slice text, size_t at,
                        size_t ahead);
/* Those up to `ahead` bytes behind it; the ones that are there stay. */
void address_tokens_more(struct address_tokens *t, size_t at, size_t ahead);
/* Flags of token i, which is there; those of most words are never asked. */
unsigned address_flags(const struct address_tokens *t, int i);
/* Flags of a word that its spelling gives. */
unsigned address_word_flags(const char *p, size_t n);
bool address_is_word(const struct address_tokens *t, int i, const char *low);
/* Bytes of the letter at p: 0 if none stands there. */
size_t address_wide_letter(const char *p, size_t n); /* no ASCII */
static inline size_t address_letter(const char *p, size_t n)
{
    if ((unsigned char)*p < 0x80)
        return ascii_is_letter(*p);
    return address_wide_letter(p, n);
}

/* The street at token k: tokens [*first, *last] and a tier, or 0. 3: only
 * behind a word that says where; 4: only with a tail that is sure. */
int address_street(const struct address_tokens *t, int k, int *first,
                   int *last);
/* What follows the street of tokens [first, last]: the last token that belongs
 * to the address. *sure: a flat, state, country or postcode is among it. */
int address_tail(const struct address_tokens *t, int first, int last,
                 bool *sure);

/* Codes that stand by themselves: calls found; *end is where they end, or
 * stays. */
int address_code(struct slice text, struct slice key, size_t at, size_t digits,
                 size_t *end, address_found_fn *found, void *ctx);
/* The whole value under a key that names what it is: its class, or -1. */
int address_by_key(struct slice text, struct slice key);

#endif

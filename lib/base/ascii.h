/*
 * ascii.h - characters of ASCII, whatever the locale says
 *
 * Bytes of 128 and more are neither digit nor letter here; who counts them as
 * letters of some language says so where it is asked.
 */
#ifndef ASCII_H
#define ASCII_H

#include "base/buf.h"

#include <stdint.h>
#include <string.h>

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool ascii_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline bool ascii_is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || ascii_is_letter(c);
}

static inline char ascii_lower(char c)
{
    return ascii_is_upper(c) ? (char)(c | 0x20) : c;
}

/* False of a NUL, which strchr finds in every set. */
static inline bool ascii_is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* The first digit at or after byte i, at most t.n; t.n if there is none. Text
 * without any goes by in blocks. */
size_t ascii_digit_next(struct slice t, size_t i);
/* Bit k: byte i + k is a letter or digit; i is at most t.n, and the text has
 * none behind its end. */
uint64_t ascii_alnum_bits(struct slice t, size_t i);
/* Bit k: byte i + k may begin a word, since no letter or digit stands before
 * it; none behind the end. */
static inline uint64_t ascii_start_bits(struct slice t, size_t i)
{
    size_t n = t.n - i;
    uint64_t inside =
        ascii_alnum_bits(t, i) << 1 | (i && ascii_is_alnum(t.p[i - 1]));

    return ~inside & (n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX);
}

/* How many digits stand at byte i, one behind the other. */
size_t ascii_digits(struct slice t, size_t i);
/* The n bytes are `low`, whose letters are small ones, in any case. */
bool ascii_is_word(const char *p, size_t n, const char *low);

#endif

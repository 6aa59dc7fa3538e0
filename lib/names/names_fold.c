/*
 * names_fold.c - words as they are compared
 *
 * Latin letters become the ASCII letter under their accents, Greek, Cyrillic
 * and Armenian ones lose their case, everything else stays. One table says
 * both what a Latin letter folds to and whether it is a capital. No full
 * Unicode case folding: names in other scripts have no case.
 */
#include "names/names_priv.h"

#include <string.h>

static const char latin[] =
    "AAAAAAACEEEEIIIIDNOOOOO.OUUUUYTsaaaaaaaceeeeiiiidnooooo.ouuuuyty"
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlL"
    "lLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs"
    "xXXxXxXXxXXXxxXEXXfXXxXIXxxxXXxXOoXxXxXXxXxxXxXUuXXXxXxXXxxxXxxx"
    "xxxxXxxXxxXxxAaIiOoUuUuUuUuUuxAaAaXxXxGgKkOoOoXxjXxxGgXXNnAaXxXx"
    "AaAaEeEeIiIiOoOoRrRrUuUuSsTtXxHhXxXxXxAaEeOoOoOoOoYyxxxxxxXXxXXx"
    "xXxXXXXxXxXxXxXx";
static const char latin_more[] = /* U+1E00 ... U+1EFF */
    "AaBbBbBbCcDdDdDdDdDdEeEeEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlLlLlMm"
    "MmMmNnNnNnNnOoOoOoOoPpPpRrRrRrRrSsSsSsSsSsTtTtTtTtUuUuUuUuUuVvVv"
    "WwWwWwWwWwXxXxYyZzZzZzhtwyxxxxSxAaAaAaAaAaAaAaAaAaAaAaAaEeEeEeEe"
    "EeEeEeEeIiIiOoOoOoOoOoOoOoOoOoOoOoOoUuUuUuUuUuUuUuYyYyYyYyXxXxXx";

static char latin_letter(int32_t cp)
{
    if (cp >= 0xC0 && cp < 0x250)
        return latin[cp - 0xC0];
    return cp >= 0x1E00 && cp < 0x1F00 ? latin_more[cp - 0x1E00] : '\0';
}

static bool is_mark(int32_t cp)
{
    return (cp >= 0x300 && cp < 0x370) || cp == 0x200C || cp == 0x200D;
}

/* Capitals of Greek, Cyrillic and Armenian: what to add for lower case. */
static int32_t case_step(int32_t cp)
{
    if ((cp >= 0x391 && cp <= 0x3AB) || (cp >= 0x410 && cp <= 0x42F))
        return 0x20;
    if (cp >= 0x400 && cp <= 0x40F)
        return 0x50;
    if (cp >= 0x531 && cp <= 0x556)
        return 0x30;
    if (cp >= 0x48A && cp <= 0x52F && cp != 0x4C0)
        return !(cp & 1);
    return 0;
}

int names_letter(int32_t cp)
{
    char l;

    if (cp < 0x80) {
        int32_t low = cp | 0x20;

        if (low < 'a' || low > 'z')
            return CP_OTHER;
        return cp & 0x20 ? CP_LOWER : CP_UPPER;
    }
    l = latin_letter(cp);
    if (l)
        return l == '.' ? CP_OTHER : l >= 'a' ? CP_LOWER : CP_UPPER;
    if (is_mark(cp))
        return CP_MARK;
    if (cp >= 0x386 && cp <= 0x38F)
        return cp == 0x387 ? CP_OTHER : CP_UPPER;
    if (cp >= 0x370 && cp < 0x590)
        return case_step(cp) ? CP_UPPER : CP_LOWER;
    if (cp < 0x370 || (cp >= 0x2000 && cp < 0x2C00) ||
        (cp >= 0x3000 && cp < 0x3040) || cp == 0x30FB ||
        (cp >= 0xFF00 && cp < 0xFF66) || (cp >= 0xE000 && cp < 0xFB00) ||
        cp >= 0x1F000 || (cp >= 0x660 && cp < 0x670) || cp == 0x60C ||
        cp == 0x61B || cp == 0x61F)
        return CP_OTHER;
    return CP_LETTER;
}

/* Greek without accents. */
static int32_t greek_base(int32_t cp)
{
    static const char from[] = "\xAC\xAD\xAE\xAF\xCA\xCB\xCC\xCD\xCE\xC2";
    static const char to[] = "\xB1\xB5\xB7\xB9\xB9\xC5\xBF\xC5\xC9\xC3";
    static const char upper[] = "\xB1.\xB5\xB7\xB9.\xBF.\xC5\xC9";
    const char *hit;

    if (cp >= 0x386 && cp <= 0x38F)
        return 0x300 + (unsigned char)upper[cp - 0x386];
    hit = memchr(from, (int)(cp - 0x300), sizeof(from) - 1);
    return hit && cp < 0x400 ? 0x300 + (unsigned char)to[hit - from] : cp;
}

/* The second letter of a ligature, or 0. */
static char second_letter(int32_t cp)
{
    switch (cp) {
    case 0xC6:
    case 0xE6:
    case 0x152:
    case 0x153: return 'e';
    case 0xDF: return 's';
    case 0xDE:
    case 0xFE: return 'h';
    case 0x132:
    case 0x133: return 'j';
    default: return '\0';
    }
}

static size_t fold_point(int32_t cp, char *out)
{
    char l = latin_letter(cp);

    if (l && l != '.' && (l | 0x20) != 'x') {
        out[0] = (char)(l | 0x20);
        out[1] = second_letter(cp);
        return out[1] ? 2 : 1;
    }
    if (is_mark(cp))
        return 0;
    if (cp == 0x2019) {
        out[0] = '\'';
        return 1;
    }
    cp += case_step(cp);
    if (cp == 0x451)
        cp = 0x435;
    if (cp >= 0x386 && cp <= 0x3CE)
        cp = greek_base(cp);
    return utf8_encode((uint32_t)cp, out);
}

/* Capitals of eight bytes that are all ASCII become small ones. */
static inline uint64_t lower_eight(uint64_t x)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t upper = (x + ones * (0x80 - 'A')) & ~(x + ones * (0x7F - 'Z'));

    return x | (upper & ones * 0x80) >> 2;
}

#define HIGH_BITS (UINT64_MAX / 255 * 0x80)

/* Eight bytes; false if they are not all ASCII. */
static inline bool fold_eight(const char *from, char *to)
{
    uint64_t x;

    memcpy(&x, from, 8);
    if (x & HIGH_BITS)
        return false;
    x = lower_eight(x);
    memcpy(to, &x, 8);
    return true;
}

static inline bool fold_four(const char *from, char *to)
{
    uint32_t x;

    memcpy(&x, from, 4);
    if (x & (uint32_t)HIGH_BITS)
        return false;
    x = (uint32_t)lower_eight(x);
    memcpy(to, &x, 4);
    return true;
}

/* The ASCII bytes that words begin with, most often all of them; returns how
 * many are done. The last four may be folded twice. */
static inline size_t fold_ascii(struct slice word, char *out)
{
    size_t n = word.n < WORD_MAX - 8 ? word.n : WORD_MAX - 8, i = 0;

    while (n - i >= 8 && fold_eight(word.p + i, out + i))
        i += 8;
    if (n - i >= 8 || n < 4)
        return i;
    if (n - i >= 4) {
        if (!fold_four(word.p + i, out + i))
            return i;
        i += 4;
    }
    return n > i && fold_four(word.p + n - 4, out + n - 4) ? n : i;
}

size_t names_fold(struct slice word, char *out)
{
    size_t i = fold_ascii(word, out), n = i;

    while (i < word.n && n + 4 <= WORD_MAX) {
        unsigned char c = (unsigned char)word.p[i];
        size_t used = 1;
        int32_t cp;

        if (c < 0x80) {
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            i++;
            continue;
        }
        cp = utf8_decode(word.p + i, word.n - i, &used);
        i += used;
        if (cp >= 0)
            n += fold_point(cp, out + n);
    }
    return n;
}

static uint64_t load4(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

/* The first byte lowest. Where two loads overlap they agree. */
static uint64_t load(const unsigned char *p, size_t n)
{
    if (n >= 4)
        return load4(p) | load4(p + n - 4) << (8 * (n - 4));
    return p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) |
           (uint64_t)p[n - 1] << (8 * (n - 1));
}

/* Multiply and fold (after wyhash): the same on every machine, for the tables
 * that are part of the program. */
uint64_t names_hash(const void *p, size_t n, uint64_t seed)
{
    const unsigned char *s = p;
    uint64_t h = seed ^ (n * 0x9E3779B97F4A7C15u);

    while (n) {
        size_t take = n < 8 ? n : 8;

        h = (h ^ load(s, take)) * 0xA0761D6478BD642Fu;
        h ^= h >> 32;
        s += take;
        n -= take;
    }
    h *= 0xE7037ED1A0B428DBu;
    return h ^ h >> 29;
}

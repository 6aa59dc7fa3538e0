/*
 * scrub_edges.c - where a match beside a cluster of digits could begin and end
 *
 * Nearly all patterns of numbers refuse to begin behind a letter or digit and
 * to end before one. Which kinds of bytes stand where they may is read once for
 * a cluster; most rules begin or end with none of those and need not be asked.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

#define OTHERS (UINT64_C(1) << 62)

uint64_t scrub_char_bit(char c)
{
    if (scrub_is_digit(c))
        return UINT64_C(1) << (c - '0');
    if (c >= 'A' && c <= 'Z')
        return UINT64_C(1) << (10 + c - 'A');
    if (c >= 'a' && c <= 'z')
        return UINT64_C(1) << (36 + c - 'a');
    return OTHERS;
}

uint64_t scrub_char_fold(uint64_t set)
{
    uint64_t letters = (UINT64_C(1) << 26) - 1;

    return set | (set >> 10 & letters) << 36 | (set >> 36 & letters) << 10;
}

static bool is_word(char c)
{
    return scrub_is_alnum(c) || c == '_';
}

static void add_begin(struct slice t, size_t at, uint64_t begins[2])
{
    char before = at ? t.p[at - 1] : ' ';
    uint64_t bit;

    if (is_word(before))
        return;
    bit = scrub_char_bit(t.p[at]);
    begins[0] |= bit;
    if (before != '.' && before != '+' && before != '-')
        begins[1] |= bit;
}

void scrub_edges_read(struct slice t, size_t start, size_t end,
                      struct scrub_edges *out)
{
    uint64_t begins[2] = { 0, 0 }, ends = 0;
    size_t low = start > SCRUB_EDGE ? start - SCRUB_EDGE : 0;
    size_t high = t.n - end > SCRUB_EDGE ? end + SCRUB_EDGE : t.n;

    out->bytes = 0;
    out->separators = 0;
    for (size_t i = low; i < high; i++) {
        uint64_t bit = scrub_char_bit(t.p[i]);

        out->bytes |= bit;
        if (bit == OTHERS)
            out->separators |= scrub_separator_bit(t.p[i]);
    }
    for (size_t i = start; i < end + (end < t.n); i++)
        add_begin(t, i, begins);
    for (size_t k = 0; k <= SCRUB_EDGE; k++) {
        if (k && k <= start)
            add_begin(t, start - k, begins);
        memcpy(out->begins[k], begins, sizeof(begins));
    }
    for (size_t i = low; i + 1 < end; i++)
        if (!is_word(t.p[i + 1]))
            ends |= scrub_char_bit(t.p[i]);
    for (size_t k = 0; k <= SCRUB_EDGE; k++) {
        size_t i = end + k - 1; /* the last byte that is seen */

        if (i >= t.n) {
            out->ends[k] = ends;
            continue;
        }
        out->ends[k] = ends | scrub_char_bit(t.p[i]);
        if (i + 1 == t.n || !is_word(t.p[i + 1]))
            ends = out->ends[k];
    }
}

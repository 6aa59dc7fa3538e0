/* ascii.c - digits looked for, and words compared, in texts of any bytes */
#include "base/ascii.h"

#define BLOCK 64 /* bytes looked at together, in a loop without a branch */

size_t ascii_digit_next(struct slice t, size_t i)
{
    while (t.n - i >= BLOCK) {
        unsigned char any = 0;

        for (size_t k = 0; k < BLOCK; k++)
            any |= (unsigned char)(t.p[i + k] - '0') < 10;
        if (any)
            break;
        i += BLOCK;
    }
    while (i < t.n && !ascii_is_digit(t.p[i]))
        i++;
    return i;
}

size_t ascii_digits(struct slice t, size_t i)
{
    size_t n = 0;

    while (i + n < t.n && ascii_is_digit(t.p[i + n]))
        n++;
    return n;
}

bool ascii_is_word(const char *p, size_t n, const char *low)
{
    for (size_t i = 0; i < n; i++)
        if (!low[i] || ascii_lower(p[i]) != low[i])
            return false;
    return !low[n];
}

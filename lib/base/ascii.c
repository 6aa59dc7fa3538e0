/* ascii.c - digits looked for, and words compared, in texts of any bytes */
#include "base/ascii.h"

#ifdef __SSE2__ /* every x86-64 */
#include <emmintrin.h>

#define BLOCK 16 /* bytes looked at together */

static __m128i in_range(__m128i v, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(v, _mm_set1_epi8((char)(last + 1))));
}

static unsigned digit_bits(const char *p)
{
    __m128i v = _mm_loadu_si128((const void *)p);

    return (unsigned)_mm_movemask_epi8(in_range(v, '0', '9'));
}

static unsigned alnum_bits(const char *p)
{
    __m128i v = _mm_loadu_si128((const void *)p);
    __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));

    return (unsigned)_mm_movemask_epi8(
        _mm_or_si128(in_range(low, 'a', 'z'), in_range(v, '0', '9')));
}
#else
#define BLOCK 8

static unsigned digit_bits(const char *p)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < BLOCK; i++)
        bits |= (unsigned)ascii_is_digit(p[i]) << i;
    return bits;
}

static unsigned alnum_bits(const char *p)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < BLOCK; i++)
        bits |= (unsigned)ascii_is_alnum(p[i]) << i;
    return bits;
}
#endif

size_t ascii_digit_next(struct slice t, size_t i)
{
    unsigned bits;

    for (; t.n - i >= BLOCK; i += BLOCK)
        if ((bits = digit_bits(t.p + i)) != 0)
            return i + (unsigned)__builtin_ctz(bits);
    if (t.n >= BLOCK && i < t.n) { /* some of them for the second time */
        bits = digit_bits(t.p + t.n - BLOCK) >> (BLOCK - (t.n - i));
        return bits ? i + (unsigned)__builtin_ctz(bits) : t.n;
    }
    while (i < t.n && !ascii_is_digit(t.p[i]))
        i++;
    return i;
}

uint64_t ascii_alnum_bits(struct slice t, size_t i)
{
    size_t n = t.n - i < 64 ? t.n - i : 64, k = 0;
    uint64_t bits = 0;

    for (; k + BLOCK <= n; k += BLOCK)
        bits |= (uint64_t)alnum_bits(t.p + i + k) << k;
    if (k < n && t.n >= BLOCK)
        return bits |
               (uint64_t)(alnum_bits(t.p + i + n - BLOCK) >> (BLOCK - (n - k)))
                   << k;
    for (; k < n; k++)
        bits |= (uint64_t)ascii_is_alnum(t.p[i + k]) << k;
    return bits;
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

/*
 * scrub_view_base64.c - readable text in base64, and the way back into it
 *
 * A run is worth a look if all of it decodes to readable UTF-8, which random
 * bytes do not; a short one if that is a number or a name. Where a word and a
 * slash stand before it ("/v1/YWRh..."), what follows the slash is tried too.
 */
#include "scrub/scrub_priv.h"

#include <string.h>
#ifdef __SSE2__ /* every x86-64 */
#include <emmintrin.h>
#else
#include <endian.h>
#endif

#define RUN_MIN 10 /* characters: the least address, of seven bytes */
#define BLOCK 64
#define RUN_SURE 16 /* so much that decodes to text is no accident */

/* One more than the value of a character; 0: of neither alphabet. */
/* clang-format off */
static const uint8_t value_of[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 63, 0, 64, 53,
    54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6,
    7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 0, 0, 0, 0, 64, 0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
    40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0,
};
/* clang-format on */

static bool is_coded(char c)
{
    return value_of[(unsigned char)c] != 0;
}

static bool is_text_byte(unsigned char c)
{
    return (c >= 0x20 && c != 0x7F) || c == '\t' || c == '\n' || c == '\r';
}

/* Four characters, 24 bits; what is not there counts as zeros. */
static uint32_t bits_of(const char *p, size_t n)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++)
        bits = bits << 6 | (i < n ? value_of[(unsigned char)p[i]] - 1u : 0);
    return bits;
}

/* Could it be UTF-8 without control characters? Most words end this with their
 * first letters. *need: bytes of a character that are missing. */
static bool goes_on(unsigned char c, unsigned *need)
{
    if (c < 0x80)
        return !*need && is_text_byte(c);
    if (c < 0xC0)
        return (*need)-- > 0;
    if (*need)
        return false;
    *need = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    return true;
}

/* How many bytes the run decodes to, written to `to`, unless it is NULL; 0: not
 * readable. */
static size_t read_run(struct slice run, char *to)
{
    unsigned need = 0;
    size_t n = 0;

    for (size_t i = 0; i < run.n; i += 4) {
        size_t left = run.n - i < 4 ? run.n - i : 4;
        uint32_t bits = bits_of(run.p + i, left);

        for (size_t k = 0; k + 1 < left; k++) {
            unsigned char c = (unsigned char)(bits >> (16 - 8 * k));

            if (!goes_on(c, &need))
                return 0;
            if (to)
                to[n] = (char)c;
            n++;
        }
    }
    return n;
}

/* False: not readable. */
static inline __attribute__((always_inline)) bool decode(struct slice run,
                                                         struct buf *out)
{
    char *to;

    if (!read_run(run, NULL))
        return false;
    buf_reset(out);
    to = buf_reserve(out, run.n);
    if (!to)
        return false;
    out->len = read_run(run, to);
    to[out->len] = '\0';
    return utf8_valid(out->data, out->len);
}

/* A short run decodes to what identifiers are made of, and nothing is left
 * over in its last character: of a million words one does so. */
static bool is_identifying(struct slice run, struct slice text)
{
    unsigned last = value_of[(unsigned char)run.p[run.n - 1]] - 1u;
    size_t digits = 0, blanks = 0;
    bool plain = true;

    if (run.n % 4 == 1 || (run.n % 4 == 2 && last & 15) ||
        (run.n % 4 == 3 && last & 3))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        digits += scrub_is_digit(text.p[i]);
        blanks += text.p[i] == ' ';
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
        plain &= scrub_is_alnum(text.p[i]) ||
                 strchr(" -./:,'@_()+", text.p[i]) != NULL;
    }
    return digits >= 4 || (plain && blanks == 1);
}

/* All of the run, or what follows a separator in it. */
static bool decode_part(struct slice t, size_t from, size_t end, size_t *start,
                        struct buf *out)
{
    for (unsigned tries = 0; tries < 8 && end - from >= RUN_MIN; tries++) {
        struct slice run = { t.p + from, end - from };

        if (decode(run, out) &&
            (run.n >= RUN_SURE || is_identifying(run, buf_slice(out)))) {
            *start = from;
            return true;
        }
        while (from < end && scrub_is_alnum(t.p[from]))
            from++;
        while (from < end && !scrub_is_alnum(t.p[from]))
            from++;
    }
    return false;
}

#ifdef __SSE2__
static __m128i in_range(__m128i v, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(v, _mm_set1_epi8((char)(last + 1))));
}

static __m128i is_byte(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* Bit i: p[i] is of an alphabet. */
static uint64_t coded_bits(const char *p)
{
    uint64_t bits = 0;

    for (unsigned k = 0; k < BLOCK; k += 16) {
        __m128i v = _mm_loadu_si128((const void *)(p + k));
        __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));
        __m128i is =
            _mm_or_si128(in_range(low, 'a', 'z'), in_range(v, '0', '9'));

        is = _mm_or_si128(is, _mm_or_si128(is_byte(v, '+'), is_byte(v, '-')));
        is = _mm_or_si128(is, _mm_or_si128(is_byte(v, '/'), is_byte(v, '_')));
        bits |= (uint64_t)(unsigned)_mm_movemask_epi8(is) << k;
    }
    return bits;
}
#else
#define EACH UINT64_C(0x0101010101010101)

/* The high bit of each byte of v, none of which has it, that is in a range. */
static uint64_t in_range(uint64_t v, unsigned char first, unsigned char last)
{
    return (v + EACH * (0x80u - first)) ^ (v + EACH * (0x7Fu - last));
}

/* Bit i: p[i] is of an alphabet; eight bytes at once. */
static uint64_t coded_bits(const char *p)
{
    uint64_t bits = 0;

    for (unsigned k = 0; k < BLOCK; k += 8) {
        uint64_t v, ascii, is;

        memcpy(&v, p + k, sizeof(v));
        v = le64toh(v);
        ascii = v & EACH * 0x7F;
        is = in_range(ascii | EACH * 0x20, 'a', 'z') |
             in_range(ascii, '0', '9') | in_range(ascii, '_', '_') |
             (in_range(ascii, '+', '/') & v << 7); /* + - / are odd */
        is = (is & ~v) >> 7 & EACH;
        bits |= (is * UINT64_C(0x0102040810204080) >> 56) << k;
    }
    return bits;
}
#endif

/* Where RUN_MIN bits or more that follow each other begin; BLOCK: nowhere. */
static unsigned long_run(uint64_t bits)
{
    _Static_assert(RUN_MIN == 10, "the steps below make ten of one");
    bits &= bits >> 1;
    bits &= bits >> 2;
    bits &= bits >> 4;
    bits &= bits >> 2;
    return bits ? (unsigned)__builtin_ctzll(bits) : BLOCK;
}

/* Where the next run of RUN_MIN or more begins; t.n: nowhere. */
static size_t next_run(struct slice t, size_t at)
{
    size_t held = 0; /* coded bytes before `at` */

    for (; t.n - at + held >= RUN_MIN; at += BLOCK) {
        char last[BLOCK] = { 0 };
        const char *p = t.p + at;
        unsigned lead, from;
        uint64_t bits;

        if (t.n - at < BLOCK)
            p = memcpy(last, p, t.n - at);
        bits = coded_bits(p);
        lead = ~bits ? (unsigned)__builtin_ctzll(~bits) : BLOCK;
        if (held + lead >= RUN_MIN)
            return at - held;
        from = long_run(bits);
        if (from < BLOCK)
            return at + from;
        if (t.n - at <= BLOCK)
            break;
        held = (unsigned)__builtin_clzll(~bits);
    }
    return t.n;
}

#define LINE_MIN 60 /* characters of a line that may be wrapped */

/* Bytes of the end of a line at i; 0: none. */
static size_t line_end(struct slice t, size_t i)
{
    if (i < t.n && t.p[i] == '\n')
        return 1;
    return i + 1 < t.n && t.p[i] == '\r' && t.p[i + 1] == '\n' ? 2 : 0;
}

/* As much of a run as may be text; *need: see goes_on. */
static bool reads_on(struct slice run, unsigned *need)
{
    for (size_t i = 0; i < run.n; i += 4) {
        size_t left = run.n - i < 4 ? run.n - i : 4;
        uint32_t bits = bits_of(run.p + i, left);

        for (size_t k = 0; k + 1 < left; k++)
            if (!goes_on((unsigned char)(bits >> (16 - 8 * k)), need))
                return false;
    }
    return true;
}

/* Where a run of several lines ends, whose first is [from, to); its characters
 * are put together in `run`. Lines are taken while they may be text; *seen:
 * where the last that was looked at ends. `to`: it has one. */
static size_t wrapped_end(struct slice t, size_t from, size_t to,
                          struct buf *run, size_t *seen)
{
    size_t line = to - from, end = to, at = to, n = line, held = 0, eol;
    unsigned need = 0;

    if (line % 4 || (from && !line_end(t, from - 1)) || !line_end(t, to) ||
        !reads_on((struct slice){ t.p + from, line }, &need))
        return to;
    buf_add(run, t.p + from, line);
    while (n == line && (eol = line_end(t, at)) > 0) {
        at += eol;
        for (n = 0; n <= line && at + n < t.n && is_coded(t.p[at + n]);)
            n++;
        if (!n || n > line || !reads_on((struct slice){ t.p + at, n }, &need))
            break;
        buf_add(run, t.p + at, n);
        at += n;
        if (!need) {
            end = at;
            held = run->len;
        }
    }
    run->len = held;
    *seen = at;
    return end;
}

/* Lines of base64 as mail has them. */
__attribute__((noinline)) static bool decode_lines(struct slice t, size_t from,
                                                   size_t *to, size_t *seen,
                                                   struct buf *out)
{
    struct buf run = { 0 };
    size_t end = wrapped_end(t, from, *to, &run, seen);
    bool done = run.len && decode(buf_slice(&run), out);

    if (done)
        *to = end;
    buf_release(&run);
    return done;
}

bool scrub_base64_next(struct slice t, struct scrub_runs *at, size_t *start,
                       size_t *end, struct buf *out)
{
    size_t from = at->at, to;

    while (t.n - from >= RUN_MIN && (from = next_run(t, from)) < t.n) {
        for (to = from + RUN_MIN; to < t.n && is_coded(t.p[to]);)
            to++;
        *start = from;
        if ((to - from >= LINE_MIN && from >= at->seen &&
             decode_lines(t, from, &to, &at->seen, out)) ||
            decode_part(t, from, to, start, out)) {
            for (size_t k = 0; k < 2 && to < t.n && t.p[to] == '='; k++)
                to++;
            *end = at->at = to;
            return true;
        }
        from = to;
    }
    return false;
}

void scrub_base64_encode(struct slice text, struct slice run, struct buf *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                "uvwxyz0123456789+/";
    bool url = memchr(run.p, '-', run.n) || memchr(run.p, '_', run.n);
    const char *nl = memchr(run.p, '\n', run.n);
    size_t line = nl ? (size_t)(nl - run.p) : 0, put = 0, signs = 0;
    bool back = line && run.p[line - 1] == '\r', pads;

    line -= back;
    for (size_t i = 0; i < run.n; i++)
        signs += run.p[i] != '\n' && run.p[i] != '\r';
    pads = run.p[run.n - 1] == '=' || (signs % 4 == 0 && !url);
    for (size_t i = 0; i < text.n; i += 3) {
        size_t left = text.n - i < 3 ? text.n - i : 3;
        uint32_t bits = 0;

        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < left ? (unsigned char)text.p[i + k] : 0);
        if (line && put && put % line == 0)
            buf_str(out, back ? "\r\n" : "\n");
        put += 4;
        for (size_t k = 0; k < 4; k++) {
            char c = plain[bits >> (18 - 6 * k) & 63];

            if (k <= left)
                buf_char(out, url && c == '+'   ? '-'
                              : url && c == '/' ? '_'
                                                : c);
            else if (pads)
                buf_char(out, '=');
        }
    }
}

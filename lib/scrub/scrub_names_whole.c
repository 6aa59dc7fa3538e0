/*
 * scrub_names_whole.c - whether a name stands by itself
 *
 * Letters of any script go on, typographic quotes and dashes do not, and where
 * no blanks are written between words nothing need stop.
 */
#include "scrub/scrub_fake.h"
#include "scrub/scrub_names.h"
#include "scrub/scrub_priv.h"

/* A letter or digit begins at i; a typographic quote is none. */
static bool letter_behind(struct slice t, size_t i)
{
    size_t used;
    int32_t cp;

    if (i >= t.n || (unsigned char)t.p[i] < 0x80)
        return i < t.n && scrub_is_alnum(t.p[i]);
    cp = utf8_decode(t.p + i, t.n - i, &used);
    return cp < 0 || scrub_is_letter((uint32_t)cp);
}

static bool letter_before(struct slice t, size_t i)
{
    size_t from = i;

    while (from && i - from < 4 &&
           ((unsigned char)t.p[from - 1] & 0xC0) == 0x80)
        from--;
    return from && letter_behind(t, from - 1);
}

/* Of scripts that put no blanks between words, or, behind the word, particles
 * without one. */
static bool is_joined(int32_t cp, bool behind)
{
    return (cp >= 0x0E00 && cp < 0x0F00) || (cp >= 0x1780 && cp < 0x1800) ||
           (cp >= 0x3040 && cp < 0xA000) ||
           (behind && cp >= 0xAC00 && cp < 0xD7A4);
}

/* Two letters of such a script are enough, whatever stands around them. */
bool scrub_name_is_whole(struct slice t, size_t start, size_t end)
{
    size_t used;
    bool first, last;

    if (end - start >= 6 && (unsigned char)t.p[start] >= 0xE0 &&
        (unsigned char)t.p[end - 3] >= 0xE0) {
        first = is_joined(utf8_decode(t.p + start, 3, &used), false);
        last = is_joined(utf8_decode(t.p + end - 3, 3, &used), true);
        return (first || !letter_before(t, start)) &&
               (last || !letter_behind(t, end));
    }
    return !letter_before(t, start) && !letter_behind(t, end);
}

bool scrub_name_is_whole_raw(struct slice t, size_t start, size_t end)
{
    bool escape =
        (start >= 2 && t.p[start - 2] == '\\') ||
        (start >= 6 && t.p[start - 6] == '\\' && t.p[start - 5] == 'u');

    return !letter_behind(t, end) && (escape || !letter_before(t, start));
}

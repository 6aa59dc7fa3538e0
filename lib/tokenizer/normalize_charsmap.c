/*
 * normalize_charsmap.c - SentencePiece's compiled map of characters
 *
 * Format: 32-bit size of a double-array trie, its units, then texts that end
 * in NUL; a key's value is the offset of its text. As in the reference a
 * grapheme of at most five bytes is looked up as a whole first, by its
 * shortest prefix that is a key, then each of its characters. Graphemes that
 * only longer texts can form are not told apart: those go by character.
 */
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_normal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CHARSMAP_MAX_BYTES ((size_t)16 << 20)
#define GRAPHEME_MAX 5

struct charsmap {
    uint32_t *units;
    size_t count;
    char *texts;
    size_t size;
};

static int digit64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool decode64(struct slice in, struct buf *out)
{
    unsigned held = 0, bits = 0;

    while (in.n && in.p[in.n - 1] == '=')
        in.n--;
    for (size_t i = 0; i < in.n; i++) {
        int v = digit64(in.p[i]);

        if (v < 0)
            return false;
        held = held << 6 | (unsigned)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_char(out, (char)(held >> bits & 0xFF));
        }
    }
    return true;
}

static uint32_t unit_at(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
           (uint32_t)b[3] << 24;
}

int charsmap_load(struct charsmap **out, struct slice base64, struct err *err)
{
    struct charsmap *m = NULL;
    struct buf raw = { 0 };
    size_t bytes;
    int rc = ERR_OK;

    if (base64.n > CHARSMAP_MAX_BYTES)
        return err_set(err, ERR_LIMIT,
                       "precompiled_charsmap is longer than %zu bytes",
                       CHARSMAP_MAX_BYTES);
    if (!decode64(base64, &raw) || raw.len < 4) {
        rc = err_set(err, ERR_FORMAT, "precompiled_charsmap is no base64");
        goto done;
    }
    bytes = unit_at(raw.data);
    if (bytes % 4 || bytes > raw.len - 4 ||
        !utf8_valid(raw.data + 4 + bytes, raw.len - 4 - bytes)) {
        rc = err_set(err, ERR_FORMAT,
                     "precompiled_charsmap: its trie of %zu bytes or its "
                     "texts are damaged",
                     bytes);
        goto done;
    }
    m = mem_zalloc(sizeof(*m));
    m->count = bytes / 4;
    m->units = mem_array(m->count, sizeof(*m->units));
    for (size_t i = 0; i < m->count; i++)
        m->units[i] = unit_at(raw.data + 4 + 4 * i);
    m->size = raw.len - 4 - bytes;
    m->texts = mem_alloc(m->size + 1);
    memcpy(m->texts, raw.data + 4 + bytes, m->size);
    m->texts[m->size] = '\0';
    *out = m;
done:
    buf_release(&raw);
    return rc;
}

void charsmap_free(struct charsmap *m)
{
    if (!m)
        return;
    free(m->units);
    free(m->texts);
    free(m);
}

/* Where the children of a unit begin, relative to its own place. */
static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & (1u << 9)) >> 6);
}

/* The text for the shortest key that s begins with; false: there is none. */
static bool look_up(const struct charsmap *m, struct slice s, struct slice *to)
{
    size_t node = 0;

    if (!m->count)
        return false;
    node ^= offset_of(m->units[0]);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        uint32_t unit;

        node ^= c;
        if (c == 0 || node >= m->count)
            return false;
        unit = m->units[node];
        if ((unit & (1u << 31 | 0xFF)) != c)
            return false;
        node ^= offset_of(unit);
        if (node >= m->count)
            return false;
        if (unit >> 8 & 1) {
            size_t at = m->units[node] & 0x7FFFFFFF;

            if (at > m->size)
                return false;
            *to = slice_of(m->texts + at);
            return true;
        }
    }
    return false;
}

/* The result: characters, and how many of the text's each stands for (see
 * text_build_put). */
struct change {
    uint32_t cp;
    int by;
};
struct changes {
    struct change *items;
    size_t count, cap;
};

static void push(struct changes *l, uint32_t cp, int by)
{
    void *items = l->items;

    mem_grow(&items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items = items;
    l->items[l->count++] = (struct change){ cp, by };
}

/* Characters of a text that stands for `old` ones: a longer text's last ones
 * are added; of a shorter one the last character so far stands for the rest
 * too, whatever text it is of. */
static void push_text(struct changes *l, struct slice text, size_t old)
{
    size_t n = 0;

    for (size_t i = 0, used; i < text.n; i += used, n++) {
        int32_t cp = utf8_decode(text.p + i, text.n - i, &used);

        push(l, cp < 0 ? 0xFFFD : (uint32_t)cp, n >= old);
    }
    if (n < old && l->count)
        l->items[l->count - 1].by -= (int)(old - n);
}

/* End of the grapheme at i. */
static size_t grapheme(struct text_view v, size_t i)
{
    size_t used;
    uint32_t cp = (uint32_t)utf8_decode(v.p + i, v.n - i, &used);
    unsigned now = unicode_traits_of(cp);

    if (cp == '\r' && i + 1 < v.n && v.p[i + 1] == '\n')
        return i + 2;
    for (i += used; i < v.n && !(now & UT_CONTROL); i += used) {
        unsigned next =
            unicode_traits_of((uint32_t)utf8_decode(v.p + i, v.n - i, &used));

        if (!(next & UT_EXTENDS) && (!(now & UT_PREPENDS) || next & UT_CONTROL))
            break;
        now = next & UT_EXTENDS ? 0 : next;
    }
    return i;
}

static size_t characters(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

/* Push what the text for s is, if there is one. */
static bool replace(const struct charsmap *m, struct slice s, struct changes *l)
{
    struct slice text;

    if (!look_up(m, s, &text))
        return false;
    push_text(l, text, characters(s));
    return true;
}

void charsmap_apply(const struct charsmap *m, struct text_view v,
                    struct text_build *out)
{
    struct text_cursor c = { 0 };
    struct changes l = { 0 };

    for (size_t i = 0, end, used; i < v.n; i = end) {
        end = grapheme(v, i);
        if (end - i <= GRAPHEME_MAX &&
            replace(m, (struct slice){ v.p + i, end - i }, &l))
            continue;
        for (size_t k = i; k < end; k += used) {
            uint32_t cp = (uint32_t)utf8_decode(v.p + k, v.n - k, &used);

            if (!replace(m, (struct slice){ v.p + k, used }, &l))
                push(&l, cp, 0);
        }
    }
    for (size_t i = 0; i < l.count; i++)
        text_build_put(out, v, l.items[i].cp, l.items[i].by, &c);
    free(l.items);
}

/*
 * normalize_nfc.c - NFC, NFD, NFKC and NFKD that keep track of origins
 *
 * Origins follow the reference: the characters of the result stand, in order,
 * for those of the text, each for one more than it has swallowed; one that a
 * decomposition added stands for its neighbour's. Only stretches around
 * characters that could take part are looked at; plain text and CJK ideographs
 * are copied, and a text without such stretches comes back as it is.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"
#include "unicode/unicode.h"

#include <stdlib.h>
#include <string.h>

struct letter {
    uint32_t cp;
    uint32_t class;
    int change; /* 1: added; -n: stands for n further characters */
};

struct letters {
    struct letter *items;
    size_t count, cap;
};

static void add(struct letters *l, uint32_t cp, int change)
{
    void *items = l->items;
    struct letter x = { cp, unicode_combining_class(cp), change };
    size_t i = l->count;

    mem_grow(&items, &l->cap, l->count + 1, sizeof(*l->items));
    l->items = items;
    /* Canonical order: marks sorted by class behind their starter. */
    for (; x.class && i && l->items[i - 1].class > x.class; i--)
        l->items[i] = l->items[i - 1];
    l->items[i] = x;
    l->count++;
}

static void add_decomposed(struct letters *l, uint32_t cp, enum norm_form form)
{
    const struct unicode_decomposition *d = unicode_decompose(cp);
    unsigned count = 0;
    const uint32_t *k =
        form & NORM_FORM_COMPATIBLE ? unicode_compatible(cp, &count) : NULL;
    uint32_t s = cp - UNICODE_SYLLABLES;

    if (k) {
        for (unsigned i = 0; i < count; i++)
            add(l, k[i], i > 0);
        return;
    }
    if (s < UNICODE_SYLLABLE_COUNT) {
        add(l, UNICODE_LEADS + s / (UNICODE_VOWEL_COUNT * UNICODE_TAIL_COUNT),
            0);
        add(l,
            UNICODE_VOWELS + s % (UNICODE_VOWEL_COUNT * UNICODE_TAIL_COUNT) /
                                 UNICODE_TAIL_COUNT,
            1);
        if (s % UNICODE_TAIL_COUNT)
            add(l, UNICODE_TAILS + s % UNICODE_TAIL_COUNT, 1);
    } else if (d) {
        for (unsigned i = 0; i < 4 && d->to[i]; i++)
            add(l, d->to[i], i > 0);
    } else {
        add(l, cp, 0);
    }
}

static void compose_all(struct letters *l)
{
    size_t starter = SIZE_MAX, n = 0;
    uint32_t last = 0; /* class of the letter kept last after the starter */

    for (size_t i = 0; i < l->count; i++) {
        struct letter x = l->items[i];
        bool blocked = starter != SIZE_MAX && n > starter + 1 &&
                       (last == 0 || last >= x.class);
        uint32_t cp = starter != SIZE_MAX && !blocked
                          ? unicode_compose(l->items[starter].cp, x.cp)
                          : 0;

        if (cp) {
            l->items[starter].cp = cp;
            l->items[starter].change += x.change - 1;
            continue;
        }
        if (!x.class)
            starter = n;
        last = x.class;
        l->items[n++] = x;
    }
    l->count = n;
}

/* Characters that no mark or jamo composes into from the left, and that no
 * form but this one changes: a stretch may begin or end before them. */
static bool is_plain(uint32_t cp, enum norm_form form)
{
    return cp < (form == NORM_FORM_C ? 0x300 : 0xA0) ||
           (cp >= 0x4E00 && cp <= 0x9FFF);
}

void text_build_put(struct text_build *out, struct text_view v, uint32_t cp,
                    int change, struct text_cursor *c)
{
    size_t from = change > 0 || c->at >= v.n ? c->last : c->at, used;
    char text[4];

    (void)utf8_decode(v.p + from, v.n - from, &used);
    text_build_add(out, text, utf8_encode(cp, text), text_view_from(v, from),
                   text_view_to(v, from + used));
    for (int n = change; n <= 0 && c->at < v.n; n++) {
        (void)utf8_decode(v.p + c->at, v.n - c->at, &used);
        c->last = c->at;
        c->at += used;
    }
}

/* The letters of a part; false: they are those that stand there. */
static bool normalize_part(struct text_view part, enum norm_form form,
                           struct letters *l)
{
    size_t i, k = 0, used;

    l->count = 0;
    for (i = 0; i < part.n; i += used)
        add_decomposed(l, (uint32_t)utf8_decode(part.p + i, part.n - i, &used),
                       form);
    if (!(form & NORM_FORM_APART))
        compose_all(l);
    for (i = 0; i < part.n && k < l->count; i += used, k++)
        if (l->items[k].cp !=
            (uint32_t)utf8_decode(part.p + i, part.n - i, &used))
            break;
    return k < l->count || i < part.n;
}

static void put_part(struct text_view part, const struct letters *l,
                     struct text_build *out)
{
    struct text_cursor c = { 0 };

    for (size_t i = 0; i < l->count; i++)
        text_build_put(out, part, l->items[i].cp, l->items[i].change, &c);
}

/* The first byte from i on that may begin a character which is not plain. */
static size_t skip_plain(struct text_view v, enum norm_form form, size_t i)
{
    unsigned least = form == NORM_FORM_C ? 0xCC : 0xC2;

    for (; i + 16 <= v.n; i += 16) {
        unsigned high = 0;

        for (size_t k = 0; k < 16; k++)
            high |= (unsigned char)v.p[i + k] >= least;
        if (high)
            break;
    }
    while (i < v.n && (unsigned char)v.p[i] < least)
        i++;
    return i;
}

/* The next stretch that is not plain from i on, with the plain character
 * before it, which may take a mark; false: there is none. */
static bool next_part(struct text_view v, enum norm_form form, size_t i,
                      size_t *begin, size_t *end)
{
    size_t used, first = i;

    *begin = i;
    i = skip_plain(v, form, i);
    if (i > first) {
        *begin = i - 1;
        while (*begin > first && ((unsigned char)v.p[*begin] & 0xC0) == 0x80)
            --*begin;
    }
    for (; i < v.n; i += used) {
        if (!is_plain((uint32_t)utf8_decode(v.p + i, v.n - i, &used), form))
            break;
        *begin = i;
    }
    if (i >= v.n)
        return false;
    while (i < v.n &&
           !is_plain((uint32_t)utf8_decode(v.p + i, v.n - i, &used), form))
        i += used;
    *end = i;
    return true;
}

struct text_view norm_unicode(struct text_view v, enum norm_form form,
                              struct text_build *out)
{
    struct letters l = { 0 };
    size_t done = 0, at = 0, begin, end;

    for (; next_part(v, form, at, &begin, &end); at = end) {
        struct text_view part = text_view_part(v, begin, end - begin);

        if (!normalize_part(part, form, &l))
            continue;
        if (!done)
            text_build_reset(out);
        text_build_copy(out, v, done, begin - done);
        put_part(part, &l, out);
        done = end;
    }
    free(l.items);
    if (!done)
        return v;
    text_build_copy(out, v, done, v.n - done);
    return text_build_view(out);
}

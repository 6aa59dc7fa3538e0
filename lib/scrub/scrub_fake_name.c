/*
 * scrub_fake_name.c - surrogates of people's names, word by word
 *
 * Each word of a name has a surrogate of its own, so "John Smith", "SMITH",
 * "smith, j." and john.smith@ agree without anybody knowing that they are one
 * person. What kind of word it is the lists say, not its place, which is
 * another one elsewhere. Initials go by a permutation of letters that the
 * drawn names keep to. Titles, particles and suffixes stay.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define WORD_TRIES 8 /* until one is no word of the language */

struct scrub_parts {
    struct map *noted; /* folded words of names of the record */
    struct map *asked; /* words that were taken for no name */
    struct map *drawn; /* folded word: where its surrogate begins */
    struct buf text;   /* surrogates, each with a NUL behind it */
    struct map *spelt; /* "mueller" of Müller: where "muller" is in `own` */
    struct buf own;
    char initial[26];
    bool initials, initials_kept; /* of the record; of `scope` */
    struct buf scope;
};

struct scrub_parts *scrub_parts_new(void)
{
    return mem_zalloc(sizeof(struct scrub_parts));
}

void scrub_parts_begin(struct scrub_parts *p, bool again)
{
    if (!again) {
        map_clear(p->noted);
        map_clear(p->spelt);
        buf_reset(&p->own);
    }
    map_clear(p->asked);
    map_clear(p->drawn);
    buf_reset(&p->text);
    p->initials = false;
}

void scrub_parts_free(struct scrub_parts *p)
{
    if (!p)
        return;
    map_free(p->noted);
    map_free(p->asked);
    map_free(p->drawn);
    map_free(p->spelt);
    buf_release(&p->own);
    buf_release(&p->text);
    buf_release(&p->scope);
    free(p);
}

static bool begins_names(const struct names *m, char letter)
{
    static const enum names_list lists[] = { NAMES_LIST_FIRST_FEMALE,
                                             NAMES_LIST_FIRST_MALE,
                                             NAMES_LIST_LAST };

    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        if ((names_draw_initial(m, lists[i], letter, 0).p[0] | 0x20) != letter)
            return false;
    return true;
}

/* One cycle through the letters that begin many names and one through those
 * that begin few: no letter stands for itself, nor for one that begins none. */
static void draw_initials(struct scrub_worker *w, struct scrub_parts *p)
{
    char ring[2][24] = { "abcdefghjklmnprstvw", "ioquxyz" };
    struct rng r;

    p->initials = true;
    if (p->initials_kept && slice_eq(w->scope, buf_slice(&p->scope)))
        return;
    buf_reset(&p->scope);
    buf_add_slice(&p->scope, w->scope);
    p->initials_kept = true;
    scrub_draw(w, "initials", (struct slice){ "", 0 }, 0, &r);
    for (int k = 0; k < 2; k++) {
        size_t n = strlen(ring[k]);

        for (size_t i = n; i > 1; i--) {
            size_t other = rng_below(&r, i);
            char c = ring[k][i - 1];

            ring[k][i - 1] = ring[k][other];
            ring[k][other] = c;
        }
        for (size_t i = 0; i < n; i++) {
            size_t to = i + 1;

            while (to + 1 < i + n &&
                   !begins_names(w->rules->names, ring[k][to % n]))
                to++;
            p->initial[ring[k][i] - 'a'] = ring[k][to % n];
        }
    }
}

char scrub_name_initial(struct scrub_worker *w, char letter)
{
    bool upper = letter >= 'A' && letter <= 'Z';
    char c = upper ? (char)(letter | 0x20) : letter;

    if (c < 'a' || c > 'z')
        return letter;
    if (!w->parts->initials)
        draw_initials(w, w->parts);
    c = w->parts->initial[c - 'a'];
    return upper ? (char)(c & ~0x20) : c;
}

static bool is_latin(struct slice folded)
{
    return folded.n && folded.p[0] >= 'a' && folded.p[0] <= 'z';
}

bool scrub_name_noted(struct scrub_worker *w, struct slice folded)
{
    struct scrub_parts *p = w->parts;

    if (p->noted && map_get(p->noted, folded.p, folded.n))
        return true;
    if (!p->asked)
        p->asked = map_new();
    (void)map_put(p->asked, folded.p, folded.n, NULL);
    return false;
}

bool scrub_name_known(struct scrub_worker *w, struct slice folded)
{
    const struct names *m = w->rules->names;

    return names_in(m, folded) &
               (NAMES_BIT(NAMES_LIST_FIRST) | NAMES_BIT(NAMES_LIST_LAST)) ||
           scrub_name_noted(w, folded);
}

static enum names_list list_of(struct scrub_worker *w, struct slice folded,
                               struct rng *r)
{
    unsigned in = names_in(w->rules->names, folded);
    bool female = in & NAMES_BIT(NAMES_LIST_FIRST_FEMALE);
    bool male = in & NAMES_BIT(NAMES_LIST_FIRST_MALE);

    if (female && male)
        return rng_below(r, 2) ? NAMES_LIST_FIRST_FEMALE
                               : NAMES_LIST_FIRST_MALE;
    return female ? NAMES_LIST_FIRST_FEMALE
           : male ? NAMES_LIST_FIRST_MALE
                  : NAMES_LIST_LAST;
}

/* A name of the list that begins as the word's initial asks. */
static struct slice draw_listed(struct scrub_worker *w, struct slice folded,
                                struct rng *r)
{
    enum names_list list = list_of(w, folded, r);
    char initial = scrub_name_initial(w, folded.p[0]);
    struct slice s = { 0 };

    for (unsigned i = 0; i < WORD_TRIES; i++) {
        s = names_draw_initial(w->rules->names, list, initial, rng_next(r));
        if (!names_is(w->rules->names, NAMES_LIST_COMMON, s))
            break; /* "Kiss" and "Long" are names, too, and read oddly */
    }
    return s;
}

static bool is_joined_script(struct slice v)
{
    size_t used;

    return v.n && utf8_decode(v.p, v.n, &used) >= 0x3040;
}

/* Another script's: its own lists, where there are such. */
static struct slice draw_foreign(struct scrub_worker *w, struct slice folded,
                                 struct rng *r)
{
    return names_draw_like(w->rules->names, list_of(w, folded, r), folded,
                           rng_next(r));
}

static void draw_part(struct scrub_worker *w, struct slice folded,
                      struct buf *out)
{
    struct buf *owner = &w->owner;
    size_t start = out->len;

    buf_reset(owner);
    buf_add(owner, "part ", 5);
    buf_add_slice(owner, folded);
    for (unsigned again = 0; again < SCRUB_FAKE_TRIES; again++) {
        struct slice s;
        struct rng r;

        scrub_draw(w, "name", folded, again, &r);
        out->len = start;
        if (is_latin(folded))
            buf_add_slice(out, draw_listed(w, folded, &r));
        else if (is_joined_script(folded))
            scrub_shape_draw(&r, folded, out);
        else
            buf_add_slice(out, draw_foreign(w, folded, &r));
        s = (struct slice){ out->data + start, out->len - start };
        if (scrub_faked_take(w->faked, s, buf_slice(owner)))
            break;
    }
}

struct slice scrub_name_part(struct scrub_worker *w, struct slice folded)
{
    struct scrub_parts *p = w->parts;
    const uint64_t *known =
        p->own.len ? map_get(p->spelt, folded.p, folded.n) : NULL;
    size_t at = p->text.len;

    if (known)
        folded = slice_of(p->own.data + *known);
    if (!p->drawn)
        p->drawn = map_new();
    known = map_get(p->drawn, folded.p, folded.n);
    if (known)
        return slice_of(p->text.data + *known);
    draw_part(w, folded, &p->text);
    buf_char(&p->text, '\0');
    *map_put(p->drawn, folded.p, folded.n, NULL) = at;
    return slice_of(p->text.data + at);
}

enum word { WORD_NAME, WORD_KEPT, WORD_INITIAL };

struct words {
    struct slice v;
    size_t at;          /* end of the word */
    struct slice word;  /* as it stands */
    struct buf *folded; /* the worker's */
    bool first, last;   /* of the value */
};

/* Bytes of the letter at i, 0 if there is none. */
static size_t letter_at(struct slice v, size_t i)
{
    size_t used;
    int32_t cp;

    if (i >= v.n)
        return 0;
    cp = utf8_decode(v.p + i, v.n - i, &used);
    return cp >= 0 && scrub_is_letter((uint32_t)cp) ? used : 0;
}

/* An apostrophe within a word, but not that of "Smith's". */
static size_t apostrophe_at(struct slice v, size_t i)
{
    size_t n = 0, next;

    if (i < v.n && v.p[i] == '\'')
        n = i + 1 < v.n && v.p[i + 1] == '\'' ? 2 : 1; /* as SQL has it */
    else if (i + 3 <= v.n && memcmp(v.p + i, "\xE2\x80\x99", 3) == 0)
        n = 3;
    next = n ? letter_at(v, i + n) : 0;
    if (next && (v.p[i + n] == 's' || v.p[i + n] == 'S') &&
        !letter_at(v, i + n + next))
        return 0;
    return next ? n : 0;
}

/* The next word; what stands before it goes to out, unless that is NULL. */
static bool next_word(struct words *x, struct buf *out)
{
    size_t from = x->at, i, n;
    bool possessive;

    for (i = from; i < x->v.n && !letter_at(x->v, i); i++)
        ;
    if (out)
        buf_add(out, x->v.p + from, i - from);
    from = i;
    while ((n = letter_at(x->v, i)) != 0 ||
           (i > from && (n = apostrophe_at(x->v, i)) != 0))
        i += n;
    x->first = x->word.n == 0;
    x->at = i;
    x->word = (struct slice){ x->v.p + from, i - from };
    possessive = i < x->v.n && (x->v.p[i] == '\'' || x->v.p[i] == '\xE2') &&
                 i + 4 >= x->v.n;
    for (; i < x->v.n && !letter_at(x->v, i); i++)
        ;
    x->last = i >= x->v.n || possessive;
    buf_reset(x->folded);
    scrub_fold(x->word, x->folded);
    return x->word.n > 0;
}

/* "Al Smith", unlike "Al-Rashid" */
static bool is_first_name(const struct words *x)
{
    struct slice folded = buf_slice(x->folded);

    return (slice_is(folded, "al") || slice_is(folded, "di")) &&
           (x->at >= x->v.n || x->v.p[x->at] != '-');
}

static enum word kind_of(const struct words *x)
{
    struct slice folded = buf_slice(x->folded);
    bool lower = x->word.p[0] >= 'a' && x->word.p[0] <= 'z';
    bool alone = x->first && x->last;
    unsigned kinds = scrub_word_kinds(folded);

    if (folded.n == 1 && !lower && !x->first && x->last && is_latin(folded))
        return WORD_INITIAL; /* "Peter S." */
    if (!folded.n ||
        (!alone && kinds & SCRUB_WORD_TITLE && (x->first || x->last)))
        return WORD_KEPT;
    if (!alone && kinds & SCRUB_WORD_PARTICLE && !(x->last && folded.n > 1) &&
        (lower || !x->first || (folded.n == 2 && !is_first_name(x))))
        return WORD_KEPT;
    if (folded.n == 1 && is_latin(folded))
        return WORD_INITIAL;
    return WORD_NAME;
}

/* Upper case throughout, or lower: the surrogate follows; else it begins with
 * a capital. */
void scrub_cased_add(struct slice was, struct slice s, struct buf *out)
{
    bool upper = true, lower = true;
    size_t used;

    for (size_t i = 0; i < was.n; i += used) {
        int32_t cp = utf8_decode(was.p + i, was.n - i, &used);

        if (cp < 0 || !scrub_is_letter((uint32_t)cp))
            continue;
        if (scrub_fold_letter((uint32_t)cp, false) == (uint32_t)cp)
            upper = false;
        else
            lower = false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (i == 0 && !lower && c >= 'a' && c <= 'z')
            c = (char)(c & ~0x20);
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c & ~0x20);
        else if (lower && c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        buf_char(out, c);
    }
}

/* Names written without spaces: each character for itself, so that the family
 * name alone agrees. */
static void put_characters(struct scrub_worker *w, struct slice v,
                           struct buf *out)
{
    size_t used;

    for (size_t i = 0; i < v.n; i += used) {
        (void)utf8_decode(v.p + i, v.n - i, &used);
        buf_add_slice(out, scrub_name_part(w, (struct slice){ v.p + i, used }));
    }
}

void scrub_name_put_plain(struct scrub_worker *w, struct slice was,
                          struct slice folded, struct buf *out)
{
    struct slice part = scrub_name_part(w, folded);
    struct buf plain = { 0 };

    scrub_fold(part, &plain);
    if (was.p[0] >= 'A' && was.p[0] <= 'Z' && plain.len)
        plain.data[0] = (char)(plain.data[0] & ~0x20);
    scrub_cased_add(was, buf_slice(&plain), out);
    buf_release(&plain);
}

/* A piece of a login, out of `was` and of that folded. */
static void put_piece(struct scrub_worker *w, struct slice was,
                      struct slice folded, size_t from, size_t n,
                      struct buf *out)
{
    if (!out)
        return;
    if (n == 1)
        buf_char(out, scrub_name_initial(w, was.p[from]));
    else
        scrub_name_put_plain(w, (struct slice){ was.p + from, n },
                             (struct slice){ folded.p + from, n }, out);
}

/* No letter of several bytes lies across byte i. */
static bool begins_letter(struct slice v, size_t i)
{
    return ((unsigned char)v.p[i] & 0xC0) != 0x80;
}

/* Where the second of its names begins, or the initial that is one of them; 0:
 * nowhere. was: of as many bytes. */
static size_t
glued_at(struct scrub_worker *w, struct slice was, struct slice folded,
         bool (*known)(struct scrub_worker *w, struct slice folded))
{
    size_t n = folded.n;

    if (n < 5)
        return 0;
    if (begins_letter(was, 1) &&
        known(w, (struct slice){ folded.p + 1, n - 1 }))
        return 1;
    for (size_t i = 3; i + 3 <= n; i++)
        if (begins_letter(was, i) && known(w, (struct slice){ folded.p, i }) &&
            known(w, (struct slice){ folded.p + i, n - i }))
            return i;
    return begins_letter(was, n - 1) &&
                   known(w, (struct slice){ folded.p, n - 1 })
               ? n - 1
               : 0;
}

bool scrub_name_glued(struct scrub_worker *w, struct slice was,
                      bool (*known)(struct scrub_worker *w,
                                    struct slice folded),
                      struct buf *out)
{
    struct scrub_folded f;
    size_t at = 0;

    scrub_folded_init(&f, was);
    if (f.text.n == was.n)
        at = glued_at(w, was, f.text, known);
    if (at) {
        put_piece(w, was, f.text, 0, at, out);
        put_piece(w, was, f.text, at, was.n - at, out);
    }
    scrub_folded_release(&f);
    return at > 0;
}

static bool is_of_record(struct scrub_worker *w, struct slice folded)
{
    const struct map *noted = w->parts->noted;

    return noted && map_get(noted, folded.p, folded.n);
}

bool scrub_name_is_login(struct scrub_worker *w, struct slice v)
{
    struct words x = { .v = v, .folded = &w->word };
    size_t names = 0;

    while (next_word(&x, NULL)) {
        struct slice folded = buf_slice(x.folded);

        if (folded.n == 1)
            continue;
        if (!is_of_record(w, folded) &&
            !scrub_name_glued(w, x.word, is_of_record, NULL))
            return false;
        names++;
    }
    return names > 0;
}

static void put_name(struct scrub_worker *w, struct slice was,
                     struct slice folded, struct buf *out)
{
    const struct names *m = w->rules->names;

    if (names_is(m, NAMES_LIST_FIRST, folded) ||
        names_is(m, NAMES_LIST_LAST, folded) ||
        !scrub_name_glued(w, was, is_of_record, out))
        scrub_cased_add(was, scrub_name_part(w, folded), out);
}

static void put_word(struct scrub_worker *w, const struct words *x,
                     struct buf *out)
{
    struct slice folded = buf_slice(x->folded);

    switch (kind_of(x)) {
    case WORD_KEPT: buf_add_slice(out, x->word); break;
    case WORD_INITIAL:
        buf_char(out, scrub_name_initial(w, x->word.p[0]));
        break;
    case WORD_NAME:
        if (is_joined_script(folded))
            put_characters(w, folded, out);
        else
            put_name(w, x->word, folded, out);
        break;
    }
}

/* Digits that belong to it, as in an account's name, are drawn anew. */
void scrub_fake_person(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    struct words x = { .v = v, .folded = &w->word };
    size_t start = out->len;

    (void)rule;
    while (next_word(&x, out))
        put_word(w, &x, out);
    for (size_t i = start; i < out->len; i++)
        if (scrub_is_digit(out->data[i]))
            out->data[i] = scrub_draw_digit(r);
}

/* Folded, but for the letters that German spells out: false if it has none. */
static bool spell(struct slice word, struct buf *out)
{
    bool any = false;

    for (size_t i = 0, used; i < word.n; i += used) {
        int32_t cp = utf8_decode(word.p + i, word.n - i, &used);
        const char *s = cp < 0 ? NULL : scrub_spelt_out((uint32_t)cp);

        any |= s != NULL;
        if (s)
            buf_str(out, s);
        else
            scrub_fold((struct slice){ word.p + i, used }, out);
    }
    return any;
}

static void note_spelt(struct scrub_parts *p, struct slice value)
{
    struct buf folded = { 0 }, spelt = { 0 };
    struct words x = { .v = value, .folded = &folded };
    uint64_t *at;
    bool added;

    while (next_word(&x, NULL)) {
        buf_reset(&spelt);
        if (!memchr(x.word.p, '\xC3', x.word.n) || !spell(x.word, &spelt) ||
            slice_eq(buf_slice(&spelt), buf_slice(&folded)))
            continue;
        if (!p->spelt)
            p->spelt = map_new();
        at = map_put(p->spelt, spelt.data, spelt.len, &added);
        if (!added)
            continue;
        *at = p->own.len;
        buf_add_slice(&p->own, buf_slice(&folded));
        buf_char(&p->own, '\0');
    }
    buf_release(&folded);
    buf_release(&spelt);
}

void scrub_name_note(struct scrub_worker *w, struct slice value)
{
    struct words x = { .v = value, .folded = &w->word };
    struct scrub_parts *p = w->parts;
    bool added;

    if (memchr(value.p, '\xC3', value.n))
        note_spelt(p, value);
    while (next_word(&x, NULL)) {
        if (kind_of(&x) != WORD_NAME)
            continue;
        if (!p->noted)
            p->noted = map_new();
        (void)map_put(p->noted, x.folded->data, x.folded->len, &added);
        if (added && p->asked &&
            map_get(p->asked, x.folded->data, x.folded->len))
            scrub_faked_late_set(w->faked);
        scrub_faked_hold(w->faked, x.word);
    }
}

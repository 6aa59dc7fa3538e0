/*
 * scrub_fake_firm.c - surrogates of organisations and street addresses
 *
 * What tells the kind stays, "GmbH" as well as "University of"; what tells
 * which one is drawn: from the list of organisations, or as a family's name.
 * Of an address the street and the numbers are drawn, town, state and postcode
 * are those that stand for them everywhere.
 */
#include "scrub/scrub_fake.h"

#include <string.h>

struct token {
    struct slice text;
    bool word; /* else what stands between words */
};

/* The next run of word bytes, or of others; false at the end. */
static bool next_token(struct slice *rest, struct token *t)
{
    size_t n = 0;
    bool word;

    if (!rest->n)
        return false;
    word = scrub_is_alnum(rest->p[0]) || (unsigned char)rest->p[0] >= 0x80;
    while (n < rest->n &&
           (scrub_is_alnum(rest->p[n]) || (unsigned char)rest->p[n] >= 0x80 ||
            (word && (rest->p[n] == '\'' ||
                      (rest->p[n] == '.' && n + 1 < rest->n &&
                       scrub_is_alnum(rest->p[n + 1]) && n == 1)))) == word)
        n++;
    *t = (struct token){ { rest->p, n }, word };
    rest->p += n;
    rest->n -= n;
    return true;
}

static bool is_a(struct slice word, unsigned kinds)
{
    return (scrub_word_kinds_of(word) & kinds) != 0;
}

/* Without its legal form, so that "Acme Corp." and "Acme" are the same. */
static struct slice bare_name(struct slice v)
{
    struct slice rest = v;
    struct token t;
    size_t end = 0, at = 0;

    while (next_token(&rest, &t)) {
        at += t.text.n;
        if (t.word && !(end && is_a(t.text, SCRUB_WORD_LEGAL)))
            end = at;
        else if (t.word)
            break;
    }
    return (struct slice){ v.p, end };
}

bool scrub_has_legal_form(struct slice v)
{
    size_t bare = bare_name(v).n;

    for (size_t i = bare; i < v.n; i++)
        if (scrub_is_alnum(v.p[i]))
            return true;
    return false;
}

void scrub_norm_organization(struct slice v, struct buf *out)
{
    scrub_fold(bare_name(v), out);
}

static bool has_kind(struct slice v)
{
    struct token t;
    size_t words = 0, kinds = 0;

    while (next_token(&v, &t)) {
        words += t.word;
        kinds += t.word && is_a(t.text, SCRUB_WORD_KIND);
    }
    return kinds && words > kinds;
}

static bool is_acronym(struct slice v)
{
    if (v.n < 2 || v.n > 6)
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (!(v.p[i] >= 'A' && v.p[i] <= 'Z') && v.p[i] != '&')
            return false;
    return true;
}

/* "University of Springfield": the kind stays, the rest is a family's. */
static void put_kind(struct scrub_worker *w, struct slice v, struct buf *out)
{
    struct token t;

    while (next_token(&v, &t)) {
        struct scrub_folded f;

        scrub_folded_init(&f, t.text);
        if (!t.word || !f.text.n ||
            scrub_word_kinds(f.text) & (SCRUB_WORD_KIND | SCRUB_WORD_SMALL))
            buf_add_slice(out, t.text);
        else
            scrub_cased_add(t.text, scrub_name_part(w, f.text), out);
        scrub_folded_release(&f);
    }
}

void scrub_fake_organization(struct scrub_worker *w,
                             const struct scrub_rule *rule, struct slice v,
                             struct rng *r, struct buf *out)
{
    struct slice bare = bare_name(v), drawn;

    (void)rule;
    if (is_acronym(bare)) {
        scrub_shape_draw(r, bare, out);
    } else if (has_kind(bare)) {
        put_kind(w, bare, out);
    } else {
        drawn =
            names_draw(w->rules->names, NAMES_LIST_ORGANIZATION, rng_next(r));
        scrub_cased_add(bare, bare_name(drawn), out);
    }
    buf_add(out, v.p + bare.n, v.n - bare.n);
}

/* "Hauptstrasse": the end that tells a street. */
static size_t street_tail(struct slice t)
{
    static const char *const tails[] = { "strasse", "stra\u00DFe", "straat",
                                         "gasse",   "gatan",       "gata",
                                         "vej",     "weg",         "platz",
                                         "allee" };

    if (t.n < 5 || !strchr("etanjgz", t.p[t.n - 1]))
        return 0;
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        size_t n = strlen(tails[i]);

        if (t.n > n + 1 && memcmp(t.p + t.n - n, tails[i], n) == 0)
            return n;
    }
    return 0;
}

/* "221B" has the same one wherever it stands. */
static void put_house(struct scrub_worker *w, struct slice t, struct buf *out)
{
    size_t start = out->len;

    for (unsigned again = 0; again < SCRUB_FAKE_TRIES; again++) {
        struct rng r;

        out->len = start;
        scrub_draw(w, "house", t, again, &r);
        scrub_shape_draw(&r, t, out);
        if (memcmp(out->data + start, t.p, t.n) != 0)
            break;
    }
}

static void put_street_word(struct scrub_worker *w, struct slice t,
                            struct buf *out)
{
    const unsigned kinds = SCRUB_WORD_STREET | SCRUB_WORD_SMALL;
    size_t digits = 0, tail = street_tail(t);
    struct scrub_folded f;

    for (size_t i = 0; i < t.n; i++)
        digits += scrub_is_digit(t.p[i]);
    if (digits) {
        put_house(w, t, out);
        return;
    }
    scrub_folded_init(&f, (struct slice){ t.p, t.n - tail });
    if (!f.text.n || t.n == 1 ||
        (tail ? is_a(t, kinds) : scrub_word_kinds(f.text) & kinds)) {
        buf_add_slice(out, t);
    } else {
        scrub_cased_add(t, scrub_name_part(w, f.text), out);
        buf_add(out, t.p + t.n - tail, tail);
    }
    scrub_folded_release(&f);
}

static void put_street(struct scrub_worker *w, struct slice v, struct buf *out)
{
    struct token t;

    while (next_token(&v, &t)) {
        if (t.word)
            put_street_word(w, t.text, out);
        else
            buf_add_slice(out, t.text);
    }
}

static bool all_digits(struct slice t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!scrub_is_digit(t.p[i]))
            return false;
    return t.n > 0;
}

/* "SW1A 1AA": a word of digits and letters, and the next if it is one, too. */
static size_t code_length(struct slice v)
{
    size_t n = 0, end = 0;

    for (int words = 0; words < 2; words++) {
        size_t digits = 0, from = n;

        while (n < v.n && scrub_is_alnum(v.p[n]))
            digits += scrub_is_digit(v.p[n++]);
        if (!digits || digits == n - from)
            break;
        end = n;
        if (n >= v.n || v.p[n++] != ' ')
            break;
    }
    return end;
}

/* "TX 78701-1234" or "Springfield IL 62704": state and ZIP by themselves, what
 * stands before them is a town. */
static void put_town(struct scrub_worker *w, struct slice v, struct rng *r,
                     struct buf *out)
{
    struct slice rest = v, town = { v.p, 0 };
    struct token t;
    size_t at = 0;

    while (next_token(&rest, &t)) {
        struct buf state = { 0 };
        size_t code =
            t.word ? code_length((struct slice){ v.p + at, v.n - at }) : 0;

        if (code > t.text.n) {
            t.text.n = code;
            rest = (struct slice){ v.p + at + code, v.n - at - code };
        }
        at += t.text.n;
        if (t.word && (code || all_digits(t.text))) {
            if (town.n)
                scrub_place_draw(w, slice_trim(town), out);
            if (town.n)
                buf_add(out, " ", town.p[town.n - 1] == ' ');
            town.n = 0;
            scrub_fake_zip(w, NULL, t.text, r, out);
            town.p = v.p + at;
        } else if (t.word && t.text.n == 2 &&
                   scrub_state_draw(w, t.text, &state)) {
            if (town.n)
                scrub_place_draw(w, slice_trim(town), out);
            if (town.n)
                buf_add(out, " ", town.p[town.n - 1] == ' ');
            buf_add_slice(out, buf_slice(&state));
            town = (struct slice){ v.p + at, 0 };
        } else if (!t.word && !town.n) {
            buf_add_slice(out, t.text);
            town.p = v.p + at;
        } else {
            town.n = (size_t)(v.p + at - town.p);
        }
        buf_release(&state);
    }
    if (town.n) {
        struct slice bare = slice_trim(town);

        scrub_place_draw(w, bare, out);
        buf_add(out, bare.p + bare.n,
                (size_t)(town.p + town.n - (bare.p + bare.n)));
    }
}

/* Streets hold a number or the word for a street. */
static bool is_street(struct slice v)
{
    struct slice rest = v;
    struct token t;
    size_t words = 0, streets = 0;

    while (next_token(&rest, &t)) {
        if (!t.word)
            continue;
        words++;
        if (is_a(t.text, SCRUB_WORD_STREET) || street_tail(t.text))
            streets++;
    }
    return streets > 0 && words > 1;
}

/* Pieces between commas and lines: the first is the street, and so are those
 * that look like one; the rest is town, state, postcode, country. */
void scrub_fake_address(struct scrub_worker *w, const struct scrub_rule *rule,
                        struct slice v, struct rng *r, struct buf *out)
{
    bool first = true;

    (void)rule;
    while (v.n) {
        size_t n = 0;

        while (n < v.n && v.p[n] != ',' && v.p[n] != '\n')
            n++;
        if (first || is_street((struct slice){ v.p, n }))
            put_street(w, (struct slice){ v.p, n }, out);
        else
            put_town(w, (struct slice){ v.p, n }, r, out);
        if (n < v.n)
            buf_char(out, v.p[n++]);
        v.p += n;
        v.n -= n;
        first = false;
    }
}

/* "12" and "Apt 4": the last word is one of an address. */
static bool is_of_address(const struct scrub_worker *w, struct slice v)
{
    const char *blank = memrchr(v.p, ' ', v.n);

    if (blank) {
        v.n -= (size_t)(blank + 1 - v.p);
        v.p = blank + 1;
    }
    if (v.n && v.p[0] == '#') {
        v.p++;
        v.n--;
    }
    return w->spread.parts && map_get(w->spread.parts, v.p, v.n);
}

/* The digits of a telephone that begins with the area code v; n 0: none. */
static struct slice of_area(const struct scrub_worker *w, struct slice v)
{
    char area[1 + SCRUB_AREA] = "(";
    const uint64_t *at;

    if (v.n != SCRUB_AREA || !w->spread.parts)
        return (struct slice){ "", 0 };
    memcpy(area + 1, v.p, v.n);
    at = map_get(w->spread.parts, area, sizeof(area));
    return at ? map_key(w->spread.digits, *at) : (struct slice){ "", 0 };
}

bool scrub_part_is(const struct scrub_worker *w, struct slice v)
{
    return is_of_address(w, v) || of_area(w, v).n;
}

void scrub_fake_part(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    struct buf full = { 0 };
    struct slice k = of_area(w, v);

    if (strcmp(rule->type, "PHONE") == 0 && k.n) {
        scrub_surrogate(
            w, &w->rules->rule[*map_get(w->spread.digits, k.p, k.n)], k, &full);
        buf_add(out, full.data, SCRUB_AREA);
    } else if (!scrub_state_draw(w, v, out)) {
        scrub_fake_address(w, rule, v, r, out);
    }
    buf_release(&full);
}

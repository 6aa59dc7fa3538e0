/*
 * address_find.c - where in a text addresses stand
 *
 * Every address here has a digit, so digits are what is looked for; a glance
 * at what stands beside them keeps the work from numbers that stand alone.
 */
#include "address/address_priv.h"

#include <string.h>

#define BLOCK 64 /* bytes looked at together */

struct address_search {
    struct slice text, key;
    address_found_fn *found;
    void *ctx;
    size_t last_end; /* of the find before */
};

static size_t next_digit(struct slice t, size_t i)
{
    while (t.n - i >= BLOCK) {
        unsigned any = 0;

        for (size_t k = 0; k < BLOCK; k++)
            any |= (unsigned char)(t.p[i + k] - '0') < 10;
        if (any)
            break;
        i += BLOCK;
    }
    while (i < t.n && !address_is_digit(t.p[i]))
        i++;
    return i;
}

static bool is_gap(char c)
{
    return c == ' ' || c == '\n' || c == ',' || c == '\t' || c == '.' ||
           c == '>' || c == '#';
}

/* A word stands before the digits or behind them, over blanks. */
static bool worth_reading(struct slice t, size_t at, size_t end)
{
    size_t i = at, j = end;

    while (i > 0 && at - i < 3 && is_gap(t.p[i - 1]))
        i--;
    if (i > 0 && i < at &&
        (address_letter(t.p + i - 1, 1) || (unsigned char)t.p[i - 1] >= 0x80))
        return true;
    if (at > 0 && !is_gap(t.p[at - 1]) && t.p[at - 1] != ':' &&
        t.p[at - 1] != '"' && t.p[at - 1] != '(')
        return false;
    if (j < t.n && address_letter(t.p + j, t.n - j))
        j++;
    while (j < t.n && j - end < 4 && is_gap(t.p[j]))
        j++;
    return j > end && j < t.n && address_letter(t.p + j, t.n - j);
}

/* "Pagari 18" counts behind a word that says where. */
static bool is_located(const struct address_tokens *t, int first)
{
    if (first == 0)
        return false;
    return t->item[first - 1].kind == TOKEN_WORD &&
           (t->item[first - 1].flags & WORD_LOCATE) != 0;
}

/* "the corner of", and the other street of a corner. */
static void take_corner(const struct address_tokens *t, int *first, int *last)
{
    int i = *first;

    if (address_is_word(t, i - 1, "of") && address_is_word(t, i - 2, "corner"))
        *first = i - (address_is_word(t, i - 3, "the") ? 3 : 2);
    else if (address_is_word(t, i - 1, "and") && i >= 3 &&
             (t->item[i - 2].flags & WORD_CAPITAL) &&
             (t->item[i - 3].flags & WORD_LOCATE))
        *first = i - 2;
    else
        return;
    i = *last + 1;
    if (!address_is_word(t, i, "and"))
        return;
    for (int n = 0;
         n < 4 && i + 1 < t->count && t->item[i + 1].gap == GAP_BLANK &&
         (t->item[i + 1].flags & WORD_CAPITAL);
         n++)
        i++;
    if (i > *last + 1 &&
        (t->item[i].flags & (WORD_STREET | WORD_WEAK | WORD_COMPOUND)))
        *last = i;
}

/* Numbers that stand before the street belong to it. */
static int take_number(const struct address_tokens *t, int first)
{
    if (first > 0 && t->item[first - 1].kind == TOKEN_NUMBER &&
        t->item[first - 1].digits <= 5 && t->item[first].gap == GAP_BLANK)
        return first - 1;
    return first;
}

static int street_at(struct address_search *s, size_t at, size_t *next)
{
    struct address_tokens t;
    int first, last, tier, k = address_tokens_read(&t, s->text, at);
    bool sure = false;

    if (k < 0)
        return 0;
    tier = address_street(&t, k, &first, &last);
    if (!tier)
        return 0;
    if (t.item[first].kind == TOKEN_WORD)
        first = take_number(&t, first);
    last = address_tail(&t, last, &sure);
    if (tier == 3 && !sure && !is_located(&t, first))
        return 0;
    if (sure && tier > 1)
        tier--;
    else if (tier == 3)
        tier = 2;
    take_corner(&t, &first, &last);
    if (t.item[first].at < s->last_end)
        return 0;
    *next = s->last_end = t.item[last].end;
    return s->found(s->ctx, ADDRESS_STREET, t.item[first].at, *next, tier);
}

static int look_at(struct address_search *s, size_t at, size_t n, size_t *next)
{
    size_t end = at;
    int rc = address_code(s->text, s->key, at, n, &end, s->found, s->ctx);

    if (rc < 0 || end > at) {
        *next = s->last_end = end > at ? end : *next;
        return rc;
    }
    if (n <= 5 && worth_reading(s->text, at, at + n)) {
        rc = street_at(s, at, next);
        if (rc < 0 || s->last_end > at)
            return rc;
    }
    return 0;
}

int address_find(struct slice text, struct slice key, address_found_fn *found,
                 void *ctx)
{
    struct address_search s = { text, key, found, ctx, 0 };
    int class = key.n ? address_by_key(text, key) : -1, rc = 0;
    size_t i;

    if (class >= 0) {
        struct slice v = slice_trim(text);
        size_t at = (size_t)(v.p - text.p);

        return found(ctx, (enum address_class) class, at, at + v.n, 1);
    }
    i = next_digit(text, 0);
    while (rc >= 0 && i < text.n) {
        size_t n = 0, next;

        while (i + n < text.n && address_is_digit(text.p[i + n]))
            n++;
        next = i + n;
        rc = look_at(&s, i, n, &next);
        i = next < text.n ? next_digit(text, next) : text.n;
    }
    return rc < 0 ? rc : 0;
}

/*
 * address_find.c - where in a text addresses stand
 *
 * Every address here has a digit, so digits are what is looked for; a glance
 * at what stands beside them keeps the work from numbers that stand alone.
 */
#include "address/address_priv.h"

#include <string.h>

struct address_search {
    struct slice text, key;
    address_found_fn *found;
    void *ctx;
    size_t last_end; /* of the find before */
};

static bool is_gap(char c)
{
    return c == ' ' || c == '\n' || c == ',' || c == '\t' || c == '.' ||
           c == '>' || c == '#';
}

/* The word that ends before byte `end` may stand before a house number. */
static bool names_something(struct slice t, size_t end)
{
    size_t start = end;
    unsigned flags;

    while (start > 0 && end - start <= ADDRESS_WORD_MAX &&
           ((unsigned char)t.p[start - 1] >= 0x80 ||
            address_letter(t.p + start - 1, 1)))
        start--;
    if (start == end)
        return false;
    flags = address_word_flags(t.p + start, end - start);
    return flags & (WORD_UNIT | WORD_BOX | WORD_AFTER | WORD_STREET |
                    WORD_COMPOUND | WORD_MILITARY) ||
           ((flags & WORD_CAPITAL) && !(flags & WORD_STOP)) ||
           end - start == 2; /* AA 61487 */
}

/* A word stands behind the digits, or another number and a word. */
static bool leads_to_word(struct slice t, size_t end)
{
    size_t j = end;

    if (j < t.n && address_letter(t.p + j, t.n - j))
        j++;
    while (j < t.n && j - end < 4 && is_gap(t.p[j]))
        j++;
    if (j > end && j < t.n && ascii_is_digit(t.p[j])) { /* 975 3968 Bay St */
        while (j < t.n && ascii_is_digit(t.p[j]))
            j++;
        j += j < t.n && t.p[j] == ' ';
    }
    return j > end && j < t.n && address_letter(t.p + j, t.n - j);
}

static bool worth_reading(struct slice t, size_t at, size_t end)
{
    size_t i = at;

    if (end < t.n && ascii_is_one_of(t.p[end], ":%$"))
        return false; /* 16:00 */
    if (at > 1 && (t.p[at - 1] == ',' || t.p[at - 1] == '.') &&
        ascii_is_digit(t.p[at - 2]))
        return false; /* the rest of 1,000 */
    while (i > 0 && at - i < 3 && is_gap(t.p[i - 1]))
        i--;
    if (i > 0 && i < at && names_something(t, i))
        return true;
    if (at > 0 && !is_gap(t.p[at - 1]) && t.p[at - 1] != ':' &&
        t.p[at - 1] != '"' && t.p[at - 1] != '(')
        return false;
    return leads_to_word(t, end);
}

/* "Pagari 18" counts behind a word that says where. */
static bool is_located(const struct address_tokens *t, int first)
{
    if (first == 0)
        return false;
    return t->item[first - 1].kind == TOKEN_WORD &&
           (address_flags(t, first - 1) & WORD_LOCATE) != 0;
}

static bool is_kind(const struct address_tokens *t, int i, unsigned flags)
{
    return i >= 0 && i < t->count && t->item[i].kind == TOKEN_WORD &&
           (address_flags(t, i) & flags);
}

/* "Floor 3, Room 12": no street. */
static bool is_flat_alone(const struct address_tokens *t, int first, int last)
{
    return last == first + 1 && is_kind(t, first, WORD_UNIT);
}

/* The other street of a corner, behind "and": its last token, or `last`. */
static int other_street(const struct address_tokens *t, int last)
{
    int i = last + 1, end = last;

    if (is_kind(t, i, WORD_STREET) && address_is_word(t, i + 1, "and"))
        i++;
    if (!address_is_word(t, i, "and") || t->item[i].gap == GAP_HARD)
        return last;
    for (int k = i + 1;
         k < t->count && k < i + 5 && t->item[k].gap == GAP_BLANK &&
         t->item[k].kind == TOKEN_WORD;
         k++)
        if (k > i + 1 && is_kind(t, k, WORD_STREET | WORD_WEAK | WORD_COMPOUND))
            end = k;
    return end;
}

/* "the corner of", and the other street of a corner. */
static void take_corner(const struct address_tokens *t, int *first, int *last)
{
    int i = *first;

    if (address_is_word(t, i - 1, "of") &&
        address_is_word(t, i - 2, "corner")) {
        *first = i - (address_is_word(t, i - 3, "the") ? 3 : 2);
        *last = other_street(t, *last);
    } else if (address_is_word(t, i - 1, "and") &&
               is_kind(t, i - 2, WORD_CAPITAL) &&
               (i == 2 || t->item[i - 2].gap == GAP_HARD ||
                is_kind(t, i - 3, WORD_LOCATE))) {
        *first = i - 2;
    }
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
    struct address_token item[ADDRESS_TOKENS];
    struct address_tokens t = { .item = item };
    int first, last, street, tier;
    int k = address_tokens_read(&t, s->text, at, ADDRESS_NAME);
    bool sure = false;

    if (k < 0)
        return 0;
    tier = address_street(&t, k, &first, &last);
    if (!tier)
        return 0;
    address_tokens_more(&t, at, ADDRESS_AHEAD);
    if (t.item[first].kind == TOKEN_WORD)
        first = take_number(&t, first);
    street = last;
    last = address_tail(&t, first, last, &sure);
    if ((tier == 3 && !sure && !is_located(&t, first)) || (tier == 4 && !sure))
        return 0;
    if (sure && tier > 1 && !is_flat_alone(&t, first, street))
        tier -= tier == 4 ? 3 : 1;
    else if (tier == 3)
        tier = 2;
    take_corner(&t, &first, &last);
    if (t.item[first].at < s->last_end)
        return 0;
    *next = t.item[last].end;
    *next += *next < s->text.n && s->text.p[*next] == ')' &&
             memchr(s->text.p + t.item[first].at, '(',
                    *next - t.item[first].at) != NULL;
    s->last_end = *next;
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
    i = ascii_digit_next(text, 0);
    while (rc >= 0 && i < text.n) {
        size_t n = ascii_digits(text, i), next = i + n;

        rc = look_at(&s, i, n, &next);
        i = next < text.n ? ascii_digit_next(text, next) : text.n;
    }
    return rc < 0 ? rc : 0;
}

/*
 * address_tail.c - what follows a street: flat, town, state, country, postcode
 *
 * Words with capitals may be a town or the next sentence; they belong to the
 * address if a state, a country or a postcode ends them, or a flat stands
 * before them.
 */
#include "address/address_priv.h"

#define TAIL_TOKENS 14

static const struct address_token *token(const struct address_tokens *t, int i)
{
    return &t->item[i];
}

static bool goes_on(const struct address_tokens *t, int i)
{
    return i >= 0 && i < t->count && token(t, i)->gap != GAP_HARD &&
           token(t, i)->gap != GAP_NONE;
}

static bool has(const struct address_tokens *t, int i, unsigned flags)
{
    return i >= 0 && i < t->count && token(t, i)->kind == TOKEN_WORD &&
           (address_flags(t, i) & flags);
}

/* Flat at token i: the index behind it, or i. */
static int unit_end(const struct address_tokens *t, int i)
{
    const struct address_token *x;

    if (!goes_on(t, i) || !goes_on(t, i + 1) || !has(t, i, WORD_UNIT))
        return i;
    x = token(t, i + 1);
    if (x->gap != GAP_BLANK)
        return i;
    if (x->kind == TOKEN_WORD && x->end - x->at > 1)
        return i;
    return i + 2;
}

/* Two or three capitals behind a comma or before a number: CO, VIC; "nan" is
 * what programs write for none. */
static bool is_state(const struct address_tokens *t, int i)
{
    const struct address_token *x = token(t, i);
    size_t n = x->end - x->at;

    if (x->kind != TOKEN_WORD || n < 2 || n > 3)
        return false;
    return (address_flags(t, i) & WORD_UPPER) || address_is_word(t, i, "nan") ||
           (x->gap == GAP_COMMA && i + 1 < t->count && n == 2 &&
            token(t, i + 1)->kind == TOKEN_NUMBER &&
            token(t, i + 1)->digits == 5);
}

static bool is_postcode(const struct address_tokens *t, int i)
{
    const struct address_token *x = token(t, i);

    if (x->kind == TOKEN_CODE) /* B0J 2H0 */
        return x->end - x->at <= 4 && !ascii_is_digit(t->text.p[x->at]) &&
               i + 1 < t->count && token(t, i + 1)->kind == TOKEN_CODE &&
               ascii_is_digit(t->text.p[token(t, i + 1)->at]) &&
               token(t, i + 1)->gap == GAP_BLANK &&
               token(t, i + 1)->end - token(t, i + 1)->at == 3;
    return x->kind == TOKEN_NUMBER && x->digits <= 6 &&
           (x->digits >= 3 || (x->digits == 2 && x->end - x->at == 6));
}

/* 340 12, B0J 2H0, 7412 SL: the last token of the postcode at i. */
static int postcode_end(const struct address_tokens *t, int i)
{
    const struct address_token *x = token(t, i);
    const struct address_token *y = token(t, i + 1);

    if (i + 1 >= t->count || y->gap != GAP_BLANK)
        return i;
    if (x->kind == TOKEN_CODE ||
        (x->digits == 3 && y->kind == TOKEN_NUMBER && y->digits == 2))
        return i + 1;
    if (x->digits == 4 && y->kind == TOKEN_WORD &&
        (address_flags(t, i + 1) & WORD_UPPER) && y->end - y->at == 2)
        return i + 1;
    return i;
}

/* ", 43 73313": what stands for the state is a number. */
static bool is_numbered_state(const struct address_tokens *t, int i)
{
    return token(t, i)->kind == TOKEN_NUMBER && token(t, i)->digits <= 2 &&
           token(t, i)->gap == GAP_COMMA && i + 1 < t->count &&
           token(t, i + 1)->kind == TOKEN_NUMBER &&
           token(t, i + 1)->gap == GAP_BLANK && token(t, i + 1)->digits == 5;
}

static bool in_brackets(const struct address_tokens *t, int i)
{
    return token(t, i)->at > 0 && t->text.p[token(t, i)->at - 1] == '(';
}

/* "VIC 655 437 108": groups of digits go on behind what is no ZIP code. */
static bool begins_phone(const struct address_tokens *t, int i)
{
    int next = postcode_end(t, i) + 1;

    return token(t, i)->kind == TOKEN_NUMBER && token(t, i)->digits < 5 &&
           next < t->count && token(t, next)->gap <= GAP_BLANK &&
           token(t, next)->kind != TOKEN_WORD;
}

struct tail {
    int last;  /* token that surely belongs */
    int words; /* of a town since */
    bool unit, sure;
    bool before_town; /* the postcode stands there, as in 10115 Berlin */
    bool placed;      /* state, country or postcode stand there */
    bool small;       /* the street has no capitals */
};

/* Token i, after `last`: 0 ends the address, 1 goes on; *next follows. */
static bool step(const struct address_tokens *t, struct tail *x, int i,
                 int *next)
{
    *next = i + 1;
    if (unit_end(t, i) > i) {
        *next = unit_end(t, i);
        x->last = *next - 1;
        x->unit = x->sure = true;
        return x->words == 0 || x->words < 4;
    }
    if (is_state(t, i) && (x->words || x->unit)) {
        x->last = i;
        x->sure = x->placed = true;
        return true;
    }
    if (x->words && is_numbered_state(t, i)) {
        x->last = i + 1;
        x->sure = x->placed = true;
        return false;
    }
    if (has(t, i, WORD_COUNTRY) || (x->last == i - 1 && in_brackets(t, i) &&
                                    has(t, i - 1, WORD_COUNTRY))) {
        x->last = i;
        x->sure = x->placed = true;
        x->before_town = false;
        x->words = 1;
        return true;
    }
    if (is_postcode(t, i)) {
        if ((!x->words && token(t, i)->gap == GAP_BLANK) || in_brackets(t, i) ||
            (x->small && !x->sure && token(t, i)->kind != TOKEN_CODE) ||
            begins_phone(t, i))
            return false;
        x->last = postcode_end(t, i);
        x->sure = x->placed = true;
        x->before_town = !x->words;
        *next = x->last + 1;
        /* "10115 Berlin" goes on, "Berlin 10115" does not */
        return !x->words;
    }
    if ((has(t, i, WORD_STOP) && !has(t, i, WORD_UPPER)) ||
        (has(t, i, WORD_LOCATE) && !has(t, i, WORD_PARTICLE)))
        return false;
    if (has(t, i, WORD_CAPITAL) || x->small ||
        (has(t, i, WORD_PARTICLE) && i + 1 < t->count &&
         has(t, i + 1, WORD_CAPITAL))) {
        x->words++;
        return x->words <= 7;
    }
    return false;
}

/* A town at the end of a line or sentence, behind a flat or a comma. */
static int town_end(const struct address_tokens *t, const struct tail *x)
{
    int i = x->last + 1, words = 0;
    bool comma = i < t->count && token(t, i)->gap == GAP_COMMA;

    if (x->before_town && i < t->count && token(t, i)->gap != GAP_BLANK)
        return x->last;
    if (!x->before_town && (x->placed || (!comma && !x->unit)))
        return x->last;
    for (; goes_on(t, i) && words < 4; i++) {
        bool first = i == x->last + 1;

        if (!first && token(t, i)->gap != GAP_BLANK)
            break;
        if (has(t, i, WORD_STOP) || !has(t, i, WORD_CAPITAL))
            break;
        if (first && token(t, i)->gap == GAP_LINE && !x->unit)
            break;
        words++;
    }
    return words <= 3 ? x->last + words : x->last;
}

/* "SW1A 2AA, United Kingdom" */
static int country_behind(const struct address_tokens *t, int last)
{
    if (goes_on(t, last + 1) && has(t, last + 1, WORD_COUNTRY))
        return last + 1;
    if (goes_on(t, last + 1) && has(t, last + 1, WORD_CAPITAL) &&
        goes_on(t, last + 2) && has(t, last + 2, WORD_COUNTRY) &&
        token(t, last + 2)->gap == GAP_BLANK)
        return last + 2;
    return last;
}

/* "Zezig Streets", "Pinto Hill" behind the number. */
static int second_name(const struct address_tokens *t, int last)
{
    int i = last + 1;

    if (token(t, last)->kind != TOKEN_NUMBER)
        return last;
    for (; i < last + 5 && goes_on(t, i) && token(t, i)->gap == GAP_BLANK;
         i++) {
        if (i > last + 1 && has(t, i, WORD_STREET | WORD_WEAK) &&
            has(t, i, WORD_CAPITAL))
            return i;
        if (!has(t, i, WORD_CAPITAL | WORD_PARTICLE) ||
            has(t, i, WORD_STOP | WORD_UNIT))
            break;
    }
    return last;
}

static bool no_capitals(const struct address_tokens *t, int first, int last)
{
    for (int i = first; i <= last; i++)
        if (has(t, i, WORD_CAPITAL))
            return false;
    return true;
}

int address_tail(const struct address_tokens *t, int first, int last,
                 bool *sure)
{
    struct tail x = { .last = second_name(t, last),
                      .small = no_capitals(t, first, last) };

    for (int i = x.last + 1, next; i < last + TAIL_TOKENS && goes_on(t, i);
         i = next) {
        int before = x.last;

        if (!step(t, &x, i, &next))
            break;
        if (x.last != before && x.unit && x.last > before)
            x.words = has(t, x.last, WORD_UNIT) ? 0 : x.words;
    }
    *sure = x.sure;
    return x.placed && !x.before_town ? country_behind(t, x.last)
                                      : town_end(t, &x);
}

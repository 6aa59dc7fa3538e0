/*
 * names_refuse.c - what the tagger found and what is no name all the same
 *
 * Products, days, abbreviations, what is named after somebody: words beside the
 * find, and what the lists say of its own, speak against it. What is sure by a
 * rule is never refused but for the labels of fields.
 */
#include "names/names_priv.h"

#include <string.h>

#define LIST_MEMBERS 8 /* on each side that are looked at */

bool names_is_connecting(const struct names_token *k)
{
    return k->candidate == 2 || k->shape == SHAPE_PUNCT;
}

/* "Bayes' theorem", "Markov chain": named after somebody, and nobody. */
static bool is_notion(const struct names_token *from,
                      const struct names_token *to)
{
    if ((to[-1].cues & CUE_NAMESAKE) && to - from > 1)
        return true;
    if (to - from > 3)
        return false;
    while (to->gap == 0 && to->shape != SHAPE_EDGE &&
           (to->sign == '\'' || (to->shape == SHAPE_PUNCT && !to->sign) ||
            to->end - to->start == 1) &&
           to->sign != ',' && to->sign != '.')
        to++;
    return to->gap == 1 &&
           ((to->cues & CUE_NOTION) ||
            ((to->cues & CUE_NAMESAKE) && names_is_capital(to)));
}

static bool is_or(const struct names_token *k)
{
    return k->shape == SHAPE_LOWER && (k->cues & CUE_OR);
}

/* Behind, or before, a member of a list. */
static bool ends_member(const struct names_token *k)
{
    return k->shape == SHAPE_EDGE || k->gap == 2 ||
           (k->sign && strchr(",.:;()[]!?/|'", k->sign)) || is_or(k);
}

static bool divides(const struct names_token *k)
{
    return k->sign == ',' || k->sign == '/' || k->sign == '|' || is_or(k);
}

static bool is_possessive(const struct names_token *k)
{
    return k->gap == 0 && k->shape == SHAPE_LOWER && k[-1].sign == '\'';
}

/* What a member of one word says of the others: above 0 that they are no
 * names. */
static int weight_of(const struct names_token *k)
{
    unsigned l = k->lists;

    if (l & (W_TECH | W_CALENDAR))
        return 3;
    if (l & W_GIVEN_MUCH)
        return l & W_COMMON ? 1 : -2;
    if (k->shape == SHAPE_LOWER)
        return l & W_NAME ? -1 : 2;
    if (!names_is_capital(k))
        return 0;
    if ((l & (W_COMMON | W_FOREIGN)) || ((l & W_KNOWN) && !(l & W_FIRST)))
        return 2;
    return l & (W_PLACE | W_KNOWN) ? 0 : -1;
}

/* "Mark the order as done." "Please Bill it." */
static bool is_verb(const struct names_token *from,
                    const struct names_token *to)
{
    return to - from == 1 && (from->cues & CUE_VERB) && to->gap == 1 &&
           to->shape == SHAPE_LOWER && (to->cues & CUE_OBJECT) &&
           (from->first || (from[-1].first && (from[-1].cues & CUE_VERB)));
}

/* "colours Amber, Jade and Sienna" */
static bool heads_list(const struct names_token *k)
{
    return k->shape != SHAPE_EDGE && (k->cues & CUE_CHOICE) &&
           (k->cues & CUE_NOTION);
}

struct list {
    int sum;
    unsigned members, plain;
    const struct names_token *end; /* beyond the last member */
};

/* Members on one side of the word at k, of one word each. */
static struct list read_list(const struct names_token *k, int step)
{
    struct list out = { .end = k + step };

    for (unsigned n = 0; n < LIST_MEMBERS; n++) {
        const struct names_token *x = k + step;
        unsigned signs = 0;

        while (x->shape != SHAPE_EDGE && x->gap != 2 && signs < 2 &&
               (divides(x) || is_possessive(x) || x->sign == '\'')) {
            signs += divides(x);
            x += step;
        }
        if (!signs || x->shape == SHAPE_EDGE || x->shape == SHAPE_PUNCT ||
            (step > 0 && !ends_member(x + 1)) ||
            (step < 0 && !ends_member(x - 1) && !heads_list(x - 1)))
            break;
        out.sum += weight_of(x);
        out.plain += weight_of(x) >= 2;
        out.members++;
        out.end = x + step;
        k = x;
    }
    return out;
}

/* "Julia, Pascal, Ada": a list whose other members are no names. */
static bool is_in_list_of_words(const struct names_token *from,
                                const struct names_token *to)
{
    struct list before, after;
    const struct names_token *k;

    if (to - from != 1 || !ends_member(to) ||
        !(ends_member(from - 1) || heads_list(from - 1)))
        return false;
    before = read_list(from, -1);
    after = read_list(from, 1);
    k = before.end;
    if (before.members + after.members < 2)
        return before.sum + after.sum >= 3;
    if (heads_list(k))
        return true;
    if (k->sign == ':' && ((k[-1].cues | k[-2].cues) & CUE_CHOICE))
        return true;
    return before.plain + after.plain &&
           before.sum + after.sum + weight_of(from) > 0;
}

bool names_is_ordinary(const struct names_token *t)
{
    return (t->lists & (W_FOREIGN | W_SMALL)) &&
           !(t->lists & (W_POPULAR | W_FEMALE | W_MALE));
}

/* "Der Kunde", "Können Sie": words of another language. */
static bool is_all_ordinary(const struct names_token *from,
                            const struct names_token *to)
{
    bool any = false;

    if (from->place)
        return false;
    for (const struct names_token *k = from; k < to; k++) {
        any |= names_is_ordinary(k);
        if (!names_is_ordinary(k) && !names_is_connecting(k) &&
            !(k->lists & W_COMMON))
            return false;
    }
    return any;
}

/* What the tagger found is dropped where a word says that it is no name. */
bool names_refused(const struct names_token *from, const struct names_token *to,
                   enum names_class class)
{
    const unsigned plain = W_COMMON | W_KNOWN | W_NATION;
    unsigned all = 0xFFFF, any = 0;
    bool sure = false, upper = true, dull = true, letters = true;

    for (const struct names_token *k = from; k < to; k++) {
        sure |= k->sure;
        if (k->cues & (CUE_NAME | CUE_NEVER))
            return true; /* of a field */
        if (names_is_connecting(k))
            continue;
        all &= k->lists;
        any |= k->lists;
        upper &= k->shape == SHAPE_UPPER;
        letters &= k->shape == SHAPE_LETTER;
        dull &= (k->lists & plain) != 0;
    }
    if (sure)
        return false;
    if (letters || is_notion(from, to) || is_verb(from, to) ||
        is_all_ordinary(from, to) || is_in_list_of_words(from, to))
        return true;
    if (!(any & (W_POPULAR | W_FEMALE | W_MALE | W_PLACE)) &&
        ((to->sign == ':' && to[1].shape == SHAPE_NUMBER) ||
         (upper && to->gap == 1 && to->shape == SHAPE_NUMBER)))
        return true; /* a label */
    if (all & (W_TECH | W_CALENDAR | W_CONTINENT))
        return true;
    if (upper && ((all & W_COMMON) || !(any & (W_NAME | W_PLACE))))
        return true; /* an abbreviation, or loud */
    if (class == NAMES_PERSON)
        return (any & (W_CALENDAR | W_TECH)) ||
               ((all & W_COMMON) && !(any & (W_POPULAR | W_FEMALE | W_MALE)));
    if (any & W_TECH)
        return true;
    if (class == NAMES_ORGANIZATION)
        return upper || (all & (W_COMMON | W_KNOWN)) ||
               (dull && !(any & W_ORG));
    return dull && !(any & W_REGION) && !from->place;
}

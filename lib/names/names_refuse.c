/*
 * names_refuse.c - what the tagger found and what is no name all the same
 *
 * Products, days, abbreviations, what is named after somebody: words beside the
 * find, and what the lists say of its own, speak against it. What is sure by a
 * rule is never refused but for the labels of fields.
 */
#include "names/names_priv.h"

#include <string.h>

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
    if (to - from > 2)
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

static bool separates(const struct names_token *k)
{
    return k->shape == SHAPE_EDGE || k->gap == 2 ||
           (k->sign && strchr(",.:;()[]!?", k->sign));
}

/* "Julia, Pascal, Ada": a list that has a product beside the word. */
static bool is_in_list_of_products(const struct names_token *from,
                                   const struct names_token *to)
{
    if (to - from != 1 || !separates(from - 1) || !separates(to))
        return false;
    return (to->sign == ',' && (to[1].lists & W_TECH) &&
            names_is_capital(to + 1) && separates(to + 2)) ||
           (from[-1].sign == ',' && (from[-2].lists & W_TECH) &&
            names_is_capital(from - 2) && separates(from - 3));
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
    if (letters || is_notion(from, to) || is_all_ordinary(from, to) ||
        is_in_list_of_products(from, to))
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

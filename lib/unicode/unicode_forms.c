/*
 * unicode_forms.c - looking characters up in the tables of normal forms and of
 * lower case
 *
 * Binary searches, and arithmetic for Hangul syllables. Who puts them together
 * to a normal form decides how origins are kept.
 */
#include "unicode/unicode.h"

#include <stddef.h>

unsigned unicode_combining_class(uint32_t cp)
{
    unsigned low = 0, high = unicode_combining_count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        const struct unicode_combining_range *r = &unicode_combining[mid];

        if (cp < r->first)
            high = mid;
        else if (cp > r->last)
            low = mid + 1;
        else
            return r->class;
    }
    return 0;
}

const struct unicode_decomposition *unicode_decompose(uint32_t cp)
{
    unsigned low = 0, high = unicode_decompositions_count;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (unicode_decompositions[mid].cp == cp)
            return &unicode_decompositions[mid];
        if (unicode_decompositions[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const uint32_t *unicode_compatible(uint32_t cp, unsigned *count)
{
    unsigned low = 0, high = unicode_compats_count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        const struct unicode_compat *k = &unicode_compats[mid];

        if (cp < k->cp) {
            high = mid;
        } else if (cp - k->cp >= k->n) {
            low = mid + 1;
        } else {
            *count = k->count;
            return unicode_compat_pool + k->start + (cp - k->cp) * k->count;
        }
    }
    return NULL;
}

static uint32_t compose_hangul(uint32_t left, uint32_t right)
{
    uint32_t s = left - UNICODE_SYLLABLES;

    if (left - UNICODE_LEADS < UNICODE_LEAD_COUNT &&
        right - UNICODE_VOWELS < UNICODE_VOWEL_COUNT)
        return UNICODE_SYLLABLES +
               ((left - UNICODE_LEADS) * UNICODE_VOWEL_COUNT + right -
                UNICODE_VOWELS) *
                   UNICODE_TAIL_COUNT;
    if (s < UNICODE_SYLLABLE_COUNT && s % UNICODE_TAIL_COUNT == 0 &&
        right > UNICODE_TAILS && right < UNICODE_TAILS + UNICODE_TAIL_COUNT)
        return left + right - UNICODE_TAILS;
    return 0;
}

uint32_t unicode_compose(uint32_t left, uint32_t right)
{
    unsigned low = 0, high = unicode_compositions_count;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        const struct unicode_composition *c = &unicode_compositions[mid];

        if (c->left == left && c->right == right)
            return c->cp;
        if (c->left < left || (c->left == left && c->right < right))
            low = mid + 1;
        else
            high = mid;
    }
    return compose_hangul(left, right);
}

const struct unicode_lower_case *unicode_lower(uint32_t cp)
{
    unsigned low = 0, high = unicode_lower_cases_count;

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (unicode_lower_cases[mid].cp == cp)
            return &unicode_lower_cases[mid];
        if (unicode_lower_cases[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

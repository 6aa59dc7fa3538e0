/*
 * names_tag.c - which words are names, by a linear model over neighbours
 *
 * Greedy from left to right (Collins 2002; the features are those of Ratinov
 * and Roth 2009, cut down to what a log can pay for). Only runs of candidates
 * that hold something interesting are scored: the rest of a text costs a look
 * at its capitals. Training (data/names/) uses the same functions.
 */
#include "names/names_priv.h"

#include <string.h>

bool names_is_capital(const struct names_token *t)
{
    return t->shape == SHAPE_CAP || t->shape == SHAPE_UPPER ||
           t->shape == SHAPE_LETTER || t->shape == SHAPE_MIXED;
}

bool names_is_interesting(const struct names_token *t)
{
    unsigned l = t->lists;
    size_t n = t->end - t->start;

    if (!names_is_capital(t) || n < 3 ||
        (l & (W_TECH | W_CALENDAR | W_CONTINENT)))
        return (l & W_REGION) && names_is_capital(t);
    if (t->shape == SHAPE_UPPER)
        return n >= 4 && !(l & (W_COMMON | W_KNOWN)) &&
               (l & (W_POPULAR | W_FEMALE | W_MALE | W_PLACE | W_NAME));
    if (l & W_COMMON)
        return (l & (W_POPULAR | W_REGION)) ||
               (!t->first && (l & (W_FEMALE | W_MALE | W_NATION | W_CITY)));
    return !(l & W_KNOWN) || (l & (W_NAME | W_PLACE | W_NATION));
}

/* A word of a text without capitals. */
static bool is_lower_candidate(const struct names_token *t)
{
    unsigned l = t->lists;

    if (t->shape != SHAPE_LOWER || t->end - t->start < 3 ||
        (l & (W_TECH | W_CALENDAR | W_CONTINENT)))
        return false;
    if (l & W_COMMON)
        return !t->first && (l & (W_POPULAR | W_REGION));
    return (l & W_KNOWN) ? (l & (W_POPULAR | W_REGION | W_NATION))
                         : (l & (W_NAME | W_PLACE));
}

static bool is_connector(const struct names_token *t, bool joins)
{
    if (t->shape == SHAPE_LOWER)
        return (t->cues & CUE_LINK) != 0;
    return t->sign == '&' || t->sign == ',' || (t->sign == '.' && joins);
}

void names_candidates(struct names_tokens *t)
{
    struct names_token *k = t->item + TOKENS_MARGIN;

    for (size_t i = 0; i < t->count; i++)
        k[i].candidate = !(k[i].cues & CUE_NEVER) &&
                         (names_is_capital(&k[i]) ||
                          (t->lower && is_lower_candidate(&k[i])));
    for (size_t i = 1; i + 1 < t->count; i++) {
        size_t n = 0;
        bool initial = k[i - 1].shape == SHAPE_LETTER ||
                       (k[i - 1].lists & (W_TITLE | W_ORG));

        if (k[i].candidate || !k[i - 1].candidate)
            continue;
        while (n < 3 && i + n < t->count &&
               is_connector(&k[i + n], n || initial) && k[i + n].gap != 2)
            n++;
        if (n && i + n < t->count && k[i + n].candidate)
            while (n)
                k[i + --n].candidate = 2;
    }
}

static uint32_t mix(uint32_t feature, uint64_t a, uint64_t b)
{
    uint64_t h =
        (a ^ (uint64_t)feature * 0x9E3779B97F4A7C15u) * 0xA0761D6478BD642Fu;

    h = (h ^ (h >> 29) ^ b) * 0xE7037ED1A0B428DBu;
    return (uint32_t)(h >> 48);
}

/* Lists that tell about neighbours; the rest would only be noise there. */
static uint64_t kind(const struct names_token *t)
{
    return (uint64_t)t->shape << 16 |
           (t->lists & W_TAGGER & ~(W_PHRASE | W_KNOWN | W_FEMALE | W_MALE));
}

void names_features(const struct names_tokens *all, size_t i,
                    uint32_t row[TAG_FEATURES])
{
    const struct names_token *t = &all->item[TOKENS_MARGIN + i];
    uint64_t lists = (t->lists & W_TAGGER) | (uint64_t)t->place << 16;
    uint64_t look = (uint64_t)t->shape << 1 | t->first;
    unsigned t1 = t[-1].tag, t2 = t[-2].tag;
    uint64_t gaps = (uint64_t)t->gap << 2 | t[1].gap;
    uint32_t n = 0;

    row[n++] = mix(1, all->lower, t1);
    row[n++] = mix(2, t->hash, 0);
    row[n++] = mix(3, lists, t1);
    row[n++] = mix(4, t->suffix[0], 0);
    row[n++] = mix(5, t->suffix[1], 0);
    row[n++] = mix(6, t->suffix[2], 0);
    row[n++] = mix(7, t->prefix, 0);
    row[n++] = mix(8, look, all->lower);
    row[n++] = mix(9, lists, look);
    row[n++] = mix(10, t[-1].hash, 0);
    row[n++] = mix(11, t[1].hash, gaps);
    row[n++] = mix(12, kind(&t[-1]), lists);
    row[n++] = mix(13, kind(&t[1]), lists);
    row[n++] = mix(14, t[-2].hash, 0);
    row[n++] = mix(15, t[2].hash, 0);
    row[n++] = mix(16, t[-1].hash, lists);
    row[n++] = mix(17, t[-1].hash, t1);
    row[n++] = mix(18, t1, t2);
    row[n++] = mix(19, (uint64_t)t[-1].shape << 8 | t->shape, t[1].shape);
    row[n++] = mix(20, t[-1].hash, t[1].hash);
    row[n++] = mix(21, t[-2].hash, t[-1].hash);
    row[n++] = mix(22, t[1].hash, t[2].hash);
    row[n++] = mix(23, t->suffix[1], t1);
    row[n++] = mix(24, kind(&t[-1]), t1);
    row[n++] = mix(25, kind(&t[1]), t1);
    row[n++] = mix(26, kind(&t[-1]) << 24 | kind(&t[1]), 0);
    row[n++] = mix(27, t[-3].hash, t[-1].hash);
    row[n++] = mix(28, t->hash, t1);
    row[n++] = mix(29, t[1].hash, lists);
    row[n++] = mix(30, look, (uint64_t)t[2].shape << 8 | gaps);
}

bool names_may_be(const struct names_token *k, unsigned tag)
{
    if (tag == TAG_O || (tag & 1))
        return true;
    return k->gap != 2 && (k[-1].tag == tag || k[-1].tag == tag - 1);
}

/* Rows fit a register: their sum is made by the column, and at most
 * TAG_FEATURES * 128 either way. */
typedef int8_t row_bytes __attribute__((vector_size(TAG_ROW)));
typedef int16_t row_sum __attribute__((vector_size(2 * TAG_ROW)));

static row_sum score(const signed char *weights, const uint32_t *row)
{
    row_sum sum = { 0 };

    for (size_t f = 0; f < TAG_FEATURES; f++) {
        row_bytes w;

        memcpy(&w, weights + (size_t)row[f] * TAG_ROW, sizeof(w));
        sum += __builtin_convertvector(w, row_sum);
    }
    return sum;
}

static void tag_token(struct names_tokens *t, size_t i,
                      const signed char *weights)
{
    struct names_token *k = &t->item[TOKENS_MARGIN + i];
    uint32_t row[TAG_FEATURES];
    int best = INT32_MIN;
    row_sum sum;

    names_features(t, i, row);
    sum = score(weights, row);
    k->tag = TAG_O;
    for (unsigned tag = 1; tag < TAGS; tag++)
        if (names_may_be(k, tag) && sum[tag] > best) {
            best = sum[tag];
            k->tag = (uint8_t)tag;
        }
    best -= sum[TAG_O];
    k->margin = (int16_t)(best > INT16_MAX   ? INT16_MAX
                          : best < INT16_MIN ? INT16_MIN
                                             : best);
    if (best <= 0)
        k->tag = TAG_O;
}

void names_tag(struct names_tokens *t, const signed char *weights)
{
    struct names_token *k = t->item + TOKENS_MARGIN;
    size_t i = 0;

    while (i < t->count) {
        size_t from = i;
        bool worth = false;

        while (i < t->count && k[i].candidate && (i == from || k[i].gap != 2)) {
            worth |= t->lower || names_is_interesting(&k[i]);
            i++;
        }
        for (size_t j = from; worth && j < i; j++)
            if (!k[j].sure)
                tag_token(t, j, weights);
        i += i == from;
    }
}

/*
 * names_intro.c - names without a capital behind an introduction
 *
 * "my name is john smith", "hi, this is anna schmidt": who types so writes no
 * capitals, and the lists are asked about the words behind the turn of phrase
 * alone. Only a first name counts, and beside it a surname that ends the
 * phrase; nothing else without a capital is looked at here.
 */
#include "names/names_priv.h"

enum strength { NONE, WEAK, STRONG };

static bool is(const struct names_token *t, uint32_t cue)
{
    return (t->cues & cue) != 0;
}

/* What the word at k says of the next one. */
static enum strength strength_of(const struct names_token *k)
{
    if (is(k, CUE_NAMED_SO) || (is(k, CUE_IS) && is(&k[-1], CUE_NAME)))
        return STRONG;
    if (is(k, CUE_LABEL) && k[1].sign == ':')
        return STRONG;
    if ((is(k, CUE_ME) && is(&k[-1], CUE_CALL)) || is(k, CUE_NAMED) ||
        (is(k, CUE_AM) && (is(k, CUE_SELF) || is(&k[-1], CUE_I))) ||
        (is(k, CUE_IS) && is(&k[-1], CUE_THIS)))
        return WEAK;
    return NONE;
}

static unsigned lists_of(const struct names_token *t,
                         const struct names_words *words, struct slice text)
{
    char folded[WORD_MAX];

    return names_words_get(
        words, folded,
        names_fold((struct slice){ text.p + t->start, t->end - t->start },
                   folded));
}

static bool is_first_name(unsigned lists, enum strength s)
{
    if (lists & (W_TECH | W_CONTINENT | W_CALENDAR | W_NATION | W_SMALL))
        return false;
    if (lists & W_POPULAR)
        return true;
    if (lists & (W_COMMON | W_KNOWN | W_PLACE))
        return false;
    return (lists & (W_FEMALE | W_MALE)) || (s == STRONG && (lists & W_GIVEN));
}

/* Behind a surname the phrase ends, or goes on with a small word. */
static bool ends_phrase(const struct names_token *t)
{
    return t->shape == SHAPE_PUNCT || t->shape == SHAPE_EDGE || t->gap == 2 ||
           is(t, CUE_I | CUE_SELF | CUE_LINK | CUE_MY);
}

static bool is_surname(const struct names_token *t, unsigned lists)
{
    if (t->shape != SHAPE_LOWER || t->gap != 1 || is(t, CUE_SELF | CUE_LINK) ||
        !(lists & W_LAST) || (lists & (W_ORG | W_TITLE | W_CALENDAR)))
        return false;
    return !(lists & (W_COMMON | W_KNOWN)) || ends_phrase(t + 1);
}

static void mark(struct names_token *k, unsigned lists, bool first)
{
    k->tag = first ? TAG_B_PERSON : TAG_I_PERSON;
    k->sure = 2;
    k->candidate = 1;
    k->lists |= lists;
}

void names_introduced(struct names_tokens *t, const struct names_words *words,
                      struct slice text)
{
    struct names_token *k = t->item + TOKENS_MARGIN, *end = k + t->count;

    for (; k < end; k++) {
        enum strength s = k->cues ? strength_of(k) : NONE;
        struct names_token *x = k + 1 + (s && k[1].sign == ':');
        unsigned lists;

        if (!s || x >= end || x->shape != SHAPE_LOWER || x->gap == 2)
            continue;
        lists = lists_of(x, words, text);
        if (!is_first_name(lists, s))
            continue;
        mark(x, lists, true);
        lists = x + 1 < end ? lists_of(x + 1, words, text) : 0;
        if (x + 1 < end && is_surname(x + 1, lists))
            mark(x + 1, lists, false);
    }
}

/*
 * names_rule.c - evidence that says it all
 *
 * "Mr. X", "my name is X", "Name: X", "Regards, X", a frequent first name
 * beside a surname: what a reader would not doubt. Each cue asks of the word
 * after it only what it must, so a first name that is in no list is found too.
 */
#include "names/names_priv.h"

static bool is(const struct names_token *t, uint32_t cue)
{
    return (t->cues & cue) != 0;
}

static bool is_sign(const struct names_token *t, char c)
{
    return t->sign == c;
}

bool names_is_honorific(const struct names_token *t)
{
    return is(t, CUE_HONORIFIC) && names_is_capital(t);
}

/* "Jasmine Ivanov", not "Jasmine Karma": a product is called so, too. */
static bool is_named_as_product(const struct names_token *t)
{
    return (t->lists & W_TECH) && (t->lists & (W_GIVEN | W_POPULAR)) &&
           t[1].shape == t->shape && t[1].gap == 1 &&
           (t->shape == SHAPE_CAP ||
            (t->shape == SHAPE_UPPER && (t[1].lists & W_LAST))) &&
           !(t[1].lists & (W_TECH | W_COMMON | W_KNOWN | W_ORG | W_TITLE));
}

static bool is_other(const struct names_token *t)
{
    unsigned l = t->lists;

    if (is_named_as_product(t))
        l &= ~(unsigned)W_TECH;

    if ((l & W_CALENDAR) && (l & W_GIVEN) &&
        (names_is_capital(&t[1]) || is(&t[1], CUE_PARTICLE)))
        l &= ~(unsigned)W_CALENDAR; /* Jan Novak, April Jones */
    return (l & (W_TECH | W_CALENDAR | W_CONTINENT | W_NATION)) != 0;
}

/* Could be part of a name if something says so. */
static bool may_name(const struct names_token *t)
{
    return names_is_capital(t) && !is_other(t) && t->end - t->start > 1 &&
           !is(t, CUE_SELF | CUE_NEVER);
}

/* Is known, or in no list, and no common word. */
static bool looks_named(const struct names_token *t)
{
    unsigned l = t->lists;

    if (!may_name(t) || names_is_honorific(t))
        return false;
    if (l & W_POPULAR)
        return true;
    if (names_is_ordinary(t))
        return false;
    return !(l & (W_COMMON | W_KNOWN | W_PLACE | W_ORG | W_TITLE)) ||
           (!(l & (W_COMMON | W_ORG)) && (l & (W_FEMALE | W_MALE)));
}

/* The same behind the beginning of a name, where a town is a surname. */
static bool goes_on(const struct names_token *t)
{
    return looks_named(t) ||
           (may_name(t) && (t->lists & (W_LAST | W_GIVEN)) &&
            !(t->lists & (W_COMMON | W_ORG | W_REGION | W_TITLE)));
}

/* Behind an introduced name even a word of the language is a surname. */
static bool goes_on_surely(const struct names_token *t)
{
    if (goes_on(t))
        return true;
    if (!may_name(t) || (t->lists & (W_ORG | W_REGION)) ||
        (t->shape != SHAPE_CAP && t[-1].shape != SHAPE_UPPER) ||
        t[1].shape == SHAPE_NUMBER || (t[-1].lists && !(t[-1].lists & W_GIVEN)))
        return false;
    return (t->lists & W_LAST) ||
           ((t[-1].lists & W_GIVEN) && !is_sign(t + 1, ':') &&
            (t[1].shape == SHAPE_PUNCT || t[1].shape == SHAPE_EDGE ||
             t[1].gap == 2));
}

/* "Bo", "Ed": first names that lists of words have, not of names. */
static bool is_short_given(const struct names_token *t)
{
    return t->shape == SHAPE_CAP && t->end - t->start == 2 &&
           !(t->lists & W_COMMON) && !is(t, CUE_PARTICLE) &&
           (t[1].lists & W_LAST) && !(t[1].lists & W_COMMON);
}

/* "May" of "May Lee": a first name that is a word, beside a surname. */
static bool is_doubtful_pair(const struct names_token *t)
{
    return may_name(t) && ((t->lists & W_GIVEN) || is_short_given(t)) &&
           t[1].gap == 1 && t[1].shape == t->shape && goes_on_surely(&t[1]) &&
           !names_is_capital(&t[2]);
}

static bool is_particle(const struct names_token *t)
{
    return is(t, CUE_PARTICLE) &&
           (t->shape == SHAPE_LOWER || t->shape == SHAPE_CAP);
}

static void mark(struct names_token *from, struct names_token *to, bool sure)
{
    for (struct names_token *k = from; k < to; k++) {
        k->tag = k == from ? TAG_B_PERSON : TAG_I_PERSON;
        k->sure = sure ? 2 : 1;
    }
}

/* One past the name that begins at k: words, initials, particles. */
static struct names_token *name_end(struct names_token *k,
                                    bool (*accepts)(const struct names_token *))
{
    struct names_token *end = k + 1;

    for (unsigned n = 1; n < 5; n++) {
        struct names_token *x = end;

        if (x->shape == SHAPE_LETTER && x->gap == 1 && !is(x, CUE_I | CUE_A)) {
            end += 1 + (is_sign(x + 1, '.') && x[1].gap == 0);
            continue;
        }
        while (is_particle(x) && x->gap == 1 && x - end < 2)
            x++;
        if (x->gap != 1 || !accepts(x) || (x->lists & (W_ORG | W_TITLE)))
            break;
        end = x + 1;
    }
    return end;
}

static bool initial_then_name(struct names_token *k)
{
    return k->shape == SHAPE_LETTER && is_sign(k + 1, '.') && k[2].gap == 1 &&
           looks_named(&k[2]);
}

/* One past the initials and the first name behind the comma of "Smith, John
 * A.", or NULL. */
static struct names_token *turned_end(struct names_token *k)
{
    struct names_token *end = k + 2;

    if (!is_sign(k + 1, ',') || k[1].gap || k[2].gap != 1 ||
        k[2].shape == SHAPE_LETTER || !(k->lists & W_LAST) || !may_name(k) ||
        !looks_named(&k[2]) || !(k[2].lists & W_GIVEN))
        return NULL;
    end = k + 3;
    if (end->shape == SHAPE_LETTER && end->gap == 1)
        end += 1 + (is_sign(end + 1, '.') && end[1].gap == 0);
    return end;
}

static void take_name(struct names_token *k,
                      bool (*accepts)(const struct names_token *), bool sure)
{
    struct names_token *turned = sure ? turned_end(k) : NULL;
    bool (*on)(const struct names_token *) = sure ? goes_on_surely : goes_on;
    struct names_token *begin = k;

    while (sure && begin - k < 2 && is_particle(begin) && begin->gap == 1)
        begin++; /* Mrs. van der Berg */
    if (turned)
        mark(k, turned, sure);
    else if (initial_then_name(k))
        mark(k, name_end(k + 2, on), sure);
    else if (accepts(begin))
        mark(begin, name_end(begin, on), sure);
    else if (sure && is_doubtful_pair(k))
        mark(k, k + 2, sure);
}

static struct names_token *skip_marks(struct names_token *k)
{
    while (is_sign(k, '*') || is_sign(k, '"') || is_sign(k, '\'') ||
           is_sign(k, '_') || is_sign(k, ':'))
        k++;
    return k;
}

static void after_honorific(struct names_token *k)
{
    struct names_token *next = k + 1 + is_sign(k + 1, '.');

    if (!names_is_honorific(k) || next->gap == 2)
        return;
    if (k->shape == SHAPE_UPPER && next == k + 1 &&
        (next->lists & (W_COMMON | W_KNOWN)))
        return; /* HR Department, DO NOT MISS ANY */
    if (names_is_honorific(next))
        next += 1 + is_sign(next + 1, '.');
    if (next->gap == 1)
        take_name(next, may_name, true);
}

/* "la signora X" */
static void after_mister(struct names_token *k)
{
    if (is(k, CUE_MISTER) && k[1].gap == 1 && !(k[1].lists & W_SMALL))
        take_name(k + 1, may_name, true);
}

/* "Name: X", "Passenger: X" */
static void after_label(struct names_token *k)
{
    struct names_token *next;

    if (!is(k, CUE_LABEL))
        return;
    next = k + 1;
    while (is_sign(next, '*'))
        next++;
    if (is_sign(next, '-') && next->gap == 1 && is(k, CUE_NAME))
        next++; /* First Name - X */
    else if (!is_sign(next, ':'))
        return;
    next = skip_marks(next);
    if (next->gap != 2)
        take_name(next, looks_named, true);
}

/* "May Hunt." behind "my name is": nothing else ends there. */
static bool is_whole_name(const struct names_token *t)
{
    const unsigned other = W_TECH | W_CONTINENT | W_NATION | W_ORG;

    return t->shape == SHAPE_CAP && t[1].shape == SHAPE_CAP && t[1].gap == 1 &&
           t[-1].gap != 2 && !is(t, CUE_SELF | CUE_NEVER) &&
           !((t->lists | t[1].lists) & other) &&
           (t[1].lists & (W_LAST | W_CALENDAR)) &&
           (t[2].shape == SHAPE_PUNCT || t[2].shape == SHAPE_EDGE ||
            t[2].gap == 2);
}

/* "my name is X", "his last name is X", "I am X", "call me X", "this is X" */
static void after_phrase(struct names_token *k)
{
    bool named = is(k, CUE_IS) && is(&k[-1], CUE_NAME);

    if (named && is(&k[-2], CUE_PART))
        take_name(k + 1, may_name, true);
    else if (named && is(&k[-2], CUE_MY) && is_whole_name(k + 1))
        mark(k + 1, k + 3, true);
    else if (named || (is(k, CUE_ME) && is(&k[-1], CUE_CALL)) ||
             is(k, CUE_NAMED))
        take_name(k + 1, looks_named, named && is(&k[-2], CUE_MY));
    else if ((is(k, CUE_AM) && (is(k, CUE_SELF) || is(&k[-1], CUE_I))) ||
             (is(k, CUE_IS) && is(&k[-1], CUE_THIS)))
        take_name(k + 1, looks_named,
                  (k[1].lists & W_GIVEN) && !(k[1].lists & W_PLACE));
    else if (is(k, CUE_NAMED_SO))
        take_name(k + 1, looks_named, true);
}

/* "Regards,\nX", "Dear X," */
static void after_greeting(struct names_token *k, const struct names_token *end)
{
    if (is(k, CUE_CLOSING) && is_sign(k + 1, ',') && looks_named(k + 2)) {
        struct names_token *last = name_end(k + 2, looks_named);

        if (last >= end || last->gap == 2 || is_sign(last, '.') ||
            is_sign(last, ',') || is_sign(last, '!'))
            mark(k + 2, last, true);
    } else if (k->first && is(k, CUE_OPENING) && k[1].gap == 1 &&
               looks_named(k + 1)) {
        mark(k + 1, name_end(k + 1, looks_named), (k[1].lists & W_GIVEN) != 0);
    }
}

static bool is_given(const struct names_token *t)
{
    unsigned l = t->lists;

    if ((t->shape != SHAPE_CAP &&
         !(t->shape == SHAPE_UPPER && (l & W_POPULAR))) ||
        is_other(t) || !(l & W_GIVEN))
        return false;
    if (l & W_POPULAR)
        return true;
    if (names_is_ordinary(t))
        return false;
    return (l & (W_FEMALE | W_MALE)) && !(l & (W_COMMON | W_KNOWN | W_PLACE));
}

static bool is_surname(const struct names_token *t)
{
    return (t->shape == SHAPE_CAP || t->shape == SHAPE_MIXED) &&
           (t->lists & W_LAST) && !is_other(t) && !(t->lists & W_SMALL) &&
           !(t->lists & (W_COMMON | W_KNOWN | W_ORG | W_REGION | W_TITLE));
}

/* JOHN SMITH: in capitals no list of words speaks against it. */
static bool is_loud_surname(const struct names_token *first,
                            const struct names_token *t)
{
    return first->shape == SHAPE_UPPER && t->shape == SHAPE_UPPER &&
           (t->lists & W_LAST) && may_name(t) &&
           !(t->lists & (W_ORG | W_REGION));
}

/* "Smith, John" where nothing says that words are listed. */
static void turned_pair(struct names_token *k)
{
    struct names_token *end = turned_end(k);
    bool fresh = k->first || k[-1].shape == SHAPE_EDGE || k[-1].sign == '/' ||
                 k[-1].sign == '|' || k[-1].sign == ';' || is(&k[-1], CUE_LINK);

    if (!end || !fresh || is(k, CUE_OPENING | CUE_CLOSING) ||
        !(k[2].lists & W_POPULAR) || (k->lists & W_POPULAR) ||
        is_sign(end, '\'') || (!end->gap && end->shape == SHAPE_LOWER))
        return;
    if (k->lists & (W_PLACE | W_ORG | W_TITLE) || is_sign(end, ','))
        return;
    if ((k->lists & (W_COMMON | W_KNOWN)) && end[-1].shape != SHAPE_LETTER &&
        end[-1].sign != '.' && k->shape == SHAPE_CAP &&
        end->shape != SHAPE_EDGE && end->gap != 2)
        return;
    mark(k, end, true);
}

/* A frequent first name beside a surname. */
static void pair(struct names_token *k)
{
    struct names_token *next = k + 1;

    if (!is_given(k) || k->place == 2)
        return;
    if (k->shape == SHAPE_UPPER && next->shape != SHAPE_UPPER &&
        next->shape != SHAPE_LETTER)
        return;
    if (next->shape == SHAPE_LETTER && next->gap == 1)
        next += 1 + is_sign(next + 1, '.');
    if (next->gap == 1 && (is_surname(next) || is_loud_surname(k, next)) &&
        !((next[1].lists & W_ORG || is(&next[1], CUE_BUILT | CUE_NAMESAKE)) &&
          names_is_capital(&next[1])))
        mark(k, next + 1, true);
}

/* Up to four words before "Inc", "GmbH". */
static void before_legal(struct names_token *k, const struct names_token *begin)
{
    struct names_token *from = k;

    if (!is(k, CUE_LEGAL) || k->gap != 1)
        return;
    if (from > begin && is_sign(from - 1, ','))
        from--;
    while (from > begin && k - from < 5 && from->gap != 2 &&
           names_is_capital(from - 1) && !(from[-1].lists & W_CALENDAR) &&
           !from[-1].sure)
        from--;
    if (!names_is_capital(from) || from == k)
        return;
    for (struct names_token *x = from; x <= k; x++) {
        x->tag = x == from ? TAG_B_ORGANIZATION : TAG_I_ORGANIZATION;
        x->sure = 2;
    }
}

static bool is_us_state(const struct names_token *t)
{
    return t->shape == SHAPE_UPPER && t->end - t->start == 2 &&
           is(t, CUE_STATE);
}

/* The town of "Marshall, MN". */
static void before_state(struct names_token *k, const struct names_token *begin)
{
    struct names_token *from = k - 2, *last = k - 2;

    if (k - begin < 2 || !is_us_state(k) || !is_sign(k - 1, ',') || k[-1].gap ||
        k->gap != 1 || last->sure || !names_is_capital(last) ||
        last->shape == SHAPE_UPPER || !((last->lists & W_CITY) || last->place))
        return;
    while (from > begin && from->gap == 1 && from->place != 1 &&
           last - from < 2 && from[-1].shape == SHAPE_CAP && !from[-1].first &&
           !from[-1].sure && !(from[-1].lists & W_CALENDAR))
        from--;
    for (struct names_token *x = from; x <= last; x++) {
        x->tag = x == from ? TAG_B_PLACE : TAG_I_PLACE;
        x->sure = 2;
    }
}

void names_evidence(struct names_tokens *t, bool code)
{
    struct names_token *k = t->item + TOKENS_MARGIN, *end = k + t->count;

    for (; k < end; k++) {
        if (k->sure)
            continue;
        if (names_is_capital(k)) {
            after_honorific(k);
            turned_pair(k);
            if (!k->sure)
                pair(k);
            before_legal(k, t->item + TOKENS_MARGIN);
            before_state(k, t->item + TOKENS_MARGIN);
        }
        if (!k->cues)
            continue;
        after_phrase(k);
        after_mister(k);
        if (code && (!names_is_capital(k + 2) || !names_is_capital(k + 3)))
            continue;
        after_label(k);
        if (code)
            continue;
        after_greeting(k, end);
    }
}

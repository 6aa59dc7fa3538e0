/*
 * names_find.c - from a text to spans
 *
 * A scan over the bytes stops at capitals only; around those that could be
 * more than a word at the head of a sentence a region is read, judged and
 * tagged. Everything else is never looked up, which is what lets this run over
 * every text.
 */
#include "names/names_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define REGION_BEFORE 40 /* bytes around an interesting word */
#define REGION_AFTER 48
#define NEAR 80        /* bytes from a nationality to somebody */
#define INTRO_BYTES 32 /* "Hello, my name is " */
#define PEEK_BYTES 96
#define PEEKS 16       /* words that are looked at together */
#define LOWER_MAX 2000 /* bytes of a text without capitals */

/* What the key of a text says; the next text's is most often the same. */
#define KEY_FACTS 64 /* keys that a worker remembers */

struct key_facts {
    char key[64];
    size_t n;
    bool known;
    bool tells;
    bool explains;
    struct names_key class;
};

struct names_worker {
    const struct names *m;
    struct names_tokens tokens;
    struct names_tokens peek; /* words by themselves */
    struct names_span *span;
    size_t count, cap;
    struct names_span *behind;
    size_t behind_count, behind_cap;
    enum names_level level;
    struct slice text;
    size_t from, to;                 /* the region */
    enum names_language spoken;      /* around it */
    struct names_fact *facts;        /* of words */
    struct key_facts key[KEY_FACTS]; /* of the last ones */
};

struct names_worker *names_worker_new(const struct names *m)
{
    struct names_worker *w = mem_zalloc(sizeof(*w));

    w->m = m;
    w->facts = mem_zalloc(((size_t)1 << FACTS_BITS) * sizeof(*w->facts));
    w->tokens.facts = w->peek.facts = w->facts;
    return w;
}

void names_worker_free(struct names_worker *w)
{
    if (!w)
        return;
    names_tokens_release(&w->tokens);
    names_tokens_release(&w->peek);
    free(w->facts);
    free(w->span);
    free(w->behind);
    free(w);
}

static void push(struct names_worker *w, struct names_span s)
{
    void *all = w->span;

    mem_grow(&all, &w->cap, w->count + 1, sizeof(*w->span));
    w->span = all;
    w->span[w->count++] = s;
}

static enum names_language spoken(struct names_worker *w)
{
    if (w->spoken == LANGUAGE_UNKNOWN)
        w->spoken =
            names_spoken(&w->m->words, w->facts, w->text, w->from, w->to);
    return w->spoken;
}

/* Where the tagger and capitals tell nothing, a person has a first name that
 * is no word, and a place is one of a list. */
static bool is_known(const struct names_token *from,
                     const struct names_token *to, enum names_class class)
{
    const unsigned plain = W_COMMON | W_FOREIGN | W_SMALL;
    bool one = to - from == 1;

    if (class == NAMES_ORGANIZATION)
        return false;
    if (class == NAMES_PLACE)
        return from->place ||
               ((from->lists & W_PLACE) && !(from->lists & plain));
    if (!(from->lists & (one ? W_GIVEN_MUCH : W_GIVEN)) ||
        ((from->lists & plain) && (one || !(from->lists & W_POPULAR))))
        return false;
    for (const struct names_token *k = from + 1; k < to; k++)
        if (names_is_capital(k) && k->shape != SHAPE_LETTER &&
            (!(k->lists & W_NAME) || (k->lists & (W_FOREIGN | W_SMALL)) ||
             ((k->lists & W_COMMON) && !(from->lists & W_GIVEN_MUCH))))
            return false;
    return true;
}

/* A word of no list, which only its capital makes a name. */
static bool is_bare(const struct names_token *from,
                    const struct names_token *to)
{
    for (; from < to; from++)
        if (from->sure || (from->lists & (W_NAME | W_PLACE)))
            return false;
    return true;
}

static int16_t margin_of(const struct names_token *from,
                         const struct names_token *to)
{
    int16_t best = 0;

    for (const struct names_token *k = from; k < to; k++)
        if (k->margin > best)
            best = k->margin;
    return best;
}

static bool is_only_place(const struct names_worker *w, struct slice word)
{
    char folded[WORD_MAX];
    unsigned lists =
        names_words_get(&w->m->words, folded, names_fold(word, folded));

    return (lists & W_PLACE) && !(lists & (W_FEMALE | W_MALE | W_POPULAR));
}

/* "Paris-Berlin": each is a place of its own. */
static bool emit_places(struct names_worker *w, const struct names_token *k)
{
    struct slice all = { w->text.p + k->start, k->end - k->start };
    const char *dash = memchr(all.p, '-', all.n);
    size_t n = dash ? (size_t)(dash - all.p) : 0;

    if (!n || k->sure || (k->lists & W_PLACE) ||
        !is_only_place(w, (struct slice){ all.p, n }) ||
        !is_only_place(w, (struct slice){ dash + 1, all.n - n - 1 }))
        return false;
    push(w,
         (struct names_span){ k->start, k->start + n, NAMES_PLACE, 1, false });
    push(w, (struct names_span){ k->start + n + 1, k->end, NAMES_PLACE, 1,
                                 false });
    return true;
}

/* "Runge-Kutta": two families, whom nothing else calls a person. */
static bool is_double(const struct names_worker *w, const struct names_token *k)
{
    const char *p = w->text.p + k->start;
    const char *dash = memchr(p, '-', k->end - k->start);
    char folded[WORD_MAX];
    size_t n = dash ? (size_t)(dash - p) : 0;

    return n > 2 && p + n + 1 < w->text.p + k->end && dash[1] >= 'A' &&
           dash[1] <= 'Z' && !(k->lists & W_GIVEN) &&
           !(names_words_get(&w->m->words, folded,
                             names_fold((struct slice){ p, n }, folded)) &
             (W_POPULAR | W_FEMALE | W_MALE));
}

static bool is_plural(const struct names_worker *w, const struct names_token *k)
{
    return k->end - k->start > 4 && w->text.p[k->end - 1] == 's';
}

static bool is_and(const struct names_worker *w, const struct names_token *k)
{
    return (k->cues & CUE_LINK) && k->end - k->start == 3 &&
           memcmp(w->text.p + k->start, "and", 3) == 0;
}

/* "Lakers and Clippers" are two. */
static bool emit_two(struct names_worker *w, const struct names_token *from,
                     const struct names_token *to)
{
    const struct names_token *and = from + 1;

    if (to - from != 3 || !is_and(w, and) ||
        ((from->lists | to[-1].lists) & W_ORG) ||
        (((from->lists | to[-1].lists) & (W_NAME | W_COMMON | W_KNOWN)) &&
         !(is_plural(w, from) && is_plural(w, to - 1))))
        return false;
    if (is_double(w, from) && is_double(w, to - 1))
        return true;
    push(w, (struct names_span){ from->start, from->end, NAMES_ORGANIZATION, 1,
                                 false });
    push(w, (struct names_span){ to[-1].start, to[-1].end, NAMES_ORGANIZATION,
                                 1, false });
    return true;
}

/* One word is the whole text: a label, mostly. */
static bool is_lone(const struct names_worker *w,
                    const struct names_token *from,
                    const struct names_token *to)
{
    return to - from == 1 &&
           slice_trim(w->text).n <= from->end - from->start + 1;
}

static void emit_name(struct names_worker *w, const struct names_token *from,
                      const struct names_token *to);

/* "New York City and Washington", "Lakers and Clippers": two, unless a list has
 * them as one. */
static bool emit_joined(struct names_worker *w, const struct names_token *from,
                        const struct names_token *to)
{
    for (const struct names_token *k = from + 1; k + 1 < to; k++)
        if (is_and(w, k) && !k->place) {
            emit_name(w, from, k);
            emit_name(w, k + 1, to);
            return true;
        }
    return false;
}

/* "target = 'Lagos'": a value that stands for itself, of a town that few are
 * called by, where nothing but the tagger says that somebody is. */
static bool is_quoted_town(const struct names_token *from,
                           const struct names_token *to)
{
    return to - from == 1 && !from->sure && !from->gap && !to->gap &&
           (from[-1].sign == '\'' || from[-1].sign == '"') &&
           to->sign == from[-1].sign && (from->lists & W_CITY) &&
           !(from->lists & (W_POPULAR | W_FEMALE | W_MALE));
}

/* Tokens [from, to) have one name. */
static void emit_name(struct names_worker *w, const struct names_token *from,
                      const struct names_token *to)
{
    static const enum names_class classes[] = { NAMES_PERSON, NAMES_PLACE,
                                                NAMES_ORGANIZATION };
    enum names_class class = classes[(from->tag - 1) / 2];
    int16_t margin = margin_of(from, to);
    bool sure = from->sure == 2;

    while (to > from + 1 && names_is_connecting(to - 1) &&
           !(to[-1].shape == SHAPE_PUNCT && to[-2].shape == SHAPE_LETTER))
        to--;
    if (class == NAMES_ORGANIZATION && !from->sure && to - from > 1 &&
        (to[-1].lists & W_LAST) && (from->lists & W_GIVEN_MUCH) &&
        is_known(from, to, NAMES_PERSON) && spoken(w) == LANGUAGE_OTHER)
        class = NAMES_PERSON;
    if (class == NAMES_ORGANIZATION && !sure && emit_two(w, from, to))
        return;
    if ((class == NAMES_PLACE ||
         (class == NAMES_ORGANIZATION && !(to[-1].lists & W_ORG))) &&
        !sure && emit_joined(w, from, to))
        return;
    while (class == NAMES_PLACE && to > from + 1 &&
           (to[-1].shape == SHAPE_LETTER || names_is_connecting(to - 1)))
        to--; /* Washington D.C. */
    if (names_refused(from, to, class) ||
        (is_bare(from, to) &&
         (spoken(w) != LANGUAGE_ENGLISH || is_lone(w, from, to))) ||
        (!from->sure && !is_known(from, to, class) &&
         spoken(w) == LANGUAGE_OTHER))
        return;
    if (to - from == 1 && emit_places(w, from))
        return;
    if (!sure && to - from > 1 && (to[-1].cues & CUE_AREA) &&
        names_is_capital(to - 1))
        class = NAMES_PLACE;
    if (class != NAMES_PLACE && !sure && to - from == 1 && is_double(w, from))
        return;
    if (class == NAMES_PERSON && is_quoted_town(from, to))
        class = NAMES_PLACE;
    if (class == NAMES_PERSON && !sure)
        sure = to - from > 1 && (margin > 300 || ((from->lists & W_POPULAR) &&
                                                  (to[-1].lists & W_LAST)));
    push(w, (struct names_span){ from->start, to[-1].end, class, 1, sure });
}

/* "Mr." before a person. */
static void emit_title(struct names_worker *w, const struct names_token *k)
{
    bool dot = k[1].shape == SHAPE_PUNCT && k[1].gap == 0 &&
               k[1].end == k[1].start + 1;
    const struct names_token *next = k + 1 + dot;

    if (names_is_honorific(k) && next->gap == 1 &&
        (next->tag == TAG_B_PERSON || names_is_honorific(next)))
        push(w,
             (struct names_span){ k->start, k[dot].end, NAMES_TITLE, 1, true });
}

static bool is_nation(const struct names_token *k)
{
    return names_is_capital(k) && (k->lists & W_NATION) &&
           !(k->lists & (W_TECH | W_GIVEN)) && k->end - k->start > 3 &&
           !(k[1].cues & CUE_NOTION);
}

static bool is_paranoid(const struct names_token *k)
{
    if (!names_is_capital(k) || k->shape == SHAPE_LETTER)
        return false;
    if (k->lists & (W_CALENDAR | W_TECH))
        return false;
    return (k->lists & (W_NAME | W_PLACE)) ||
           !(k->lists & (W_COMMON | W_KNOWN));
}

/* WHERE and NULL of a query, beside names that are not in capitals. */
static bool is_loud_word(const struct names_token *k,
                         const struct names_token *beside)
{
    return k->shape == SHAPE_UPPER && (k->lists & W_COMMON) &&
           beside->shape != SHAPE_UPPER;
}

/* "Dr." before a name that is sure, whatever the tagger made of it. */
static bool is_title(const struct names_token *k)
{
    const struct names_token *next = k + 1 + (k[1].sign == '.');

    return names_is_honorific(k) && !k->sure && next->gap == 1 &&
           next->sure == 2 && next->tag == TAG_B_PERSON;
}

static void emit(struct names_worker *w)
{
    const struct names_token *k = w->tokens.item + TOKENS_MARGIN;
    const struct names_token *end = k + w->tokens.count;

    while (k < end) {
        const struct names_token *from = k++;

        if (from->tag && !is_title(from)) {
            while (k < end && k->tag == ((from->tag - 1) | 1) + 1 &&
                   !is_loud_word(k, k - 1) && !is_loud_word(k - 1, k))
                k++;
            emit_name(w, from, k);
        } else if (is_nation(from)) {
            push(w, (struct names_span){ from->start, from->end,
                                         NAMES_NATIONALITY, 2, false });
        } else if (names_is_honorific(from)) {
            emit_title(w, from);
        } else if (w->level == NAMES_PARANOID && is_paranoid(from)) {
            push(w, (struct names_span){ from->start, from->end,
                                         from->lists & W_PLACE ? NAMES_PLACE
                                                               : NAMES_PERSON,
                                         1, false });
        }
    }
}

/* Code, SQL, paths: capitals mean nothing there. */
static bool is_code(struct slice text, size_t from, size_t to)
{
    static const uint8_t signs[256] = {
        ['{'] = 1,  ['}'] = 1, ['('] = 1, [')'] = 1, ['='] = 1, [';'] = 1,
        ['<'] = 1,  ['>'] = 1, ['_'] = 1, ['['] = 1, [']'] = 1, ['|'] = 1,
        ['\\'] = 1, ['/'] = 1, ['`'] = 1, ['$'] = 1, ['+'] = 1,
    };
    size_t n = 0;

    for (size_t i = from; i < to; i++)
        n += signs[(unsigned char)text.p[i]];
    return n > 2 && n * 14 > to - from;
}

/* A text without capitals that somebody typed, not a machine. */
static bool is_typed(struct slice text)
{
    static const uint8_t signs[256] = {
        ['@'] = 1, ['/'] = 1, ['\\'] = 1, ['_'] = 1, ['='] = 1, ['<'] = 1,
        ['>'] = 1, ['{'] = 1, ['}'] = 1,  ['['] = 1, [']'] = 1, ['|'] = 1,
        ['`'] = 1, ['~'] = 1, ['^'] = 1,  ['#'] = 1, ['*'] = 1, ['+'] = 1,
    };
    size_t words = 1;

    if (text.n < 8 || text.n > LOWER_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (signs[(unsigned char)text.p[i]])
            return false;
        words += text.p[i] == ' ';
    }
    return words > 2;
}

static void read_region(struct names_worker *w, struct slice text, size_t from,
                        size_t to)
{
    struct names_tokens *t = &w->tokens;
    bool code = is_code(text, from, to);

    w->text = text;
    w->from = from;
    w->to = to;
    w->spoken = LANGUAGE_UNKNOWN;
    names_tokens_read(t, &w->m->words, text, from, to);
    names_candidates(t);
    names_evidence(t, code);
    if (!code)
        names_introduced(t, &w->m->words, text);
    if (!code && w->level != NAMES_RULES)
        names_tag(t, w->m->weights);
    emit(w);
}

static bool is_letter_before(struct slice t, size_t i)
{
    unsigned char c = i ? (unsigned char)t.p[i - 1] : ' ';

    return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

struct region {
    size_t from, to, done;
};

static void flush(struct names_worker *w, struct slice text, struct region *r)
{
    if (r->to > r->from)
        read_region(w, text, r->from, r->to);
    r->done = r->to > r->done ? r->to : r->done;
    r->from = r->to = 0;
}

/* The region around [start, end), with whole words at its ends. */
static void add_region(struct names_worker *w, struct slice text,
                       struct region *r, size_t start, size_t end)
{
    size_t from = start > REGION_BEFORE ? start - REGION_BEFORE : 0;
    size_t to = end + REGION_AFTER;

    if (r->to > r->from && from <= r->to && r->to > to)
        return; /* all of it is in the region */
    while (from && from < start && !is_blank(text.p[from]))
        from++;
    for (to = to < text.n ? to : text.n; to < text.n && !is_blank(text.p[to]);)
        to++;
    if (r->to > r->from && from <= r->to) {
        r->to = to;
        return;
    }
    flush(w, text, r);
    r->from = from > r->done ? from : r->done;
    r->to = to;
}

/* Whether somebody gives a name in the bytes behind i, which may have no
 * capital. */
static bool introduces(struct slice text, size_t i)
{
    static const char turns[][12] = {
        "'m ",        "\xE2\x80\x99m ", " am ",   "is is ",
        "m\xC3\xA9 ", "ame i",          " nom",   "naa",
        "llamo",      "hei\xC3\x9F",    "appelle"
    };
    static const bool begins[256] = {
        ['\''] = true, [0xE2] = true, [' '] = true, ['i'] = true, ['m'] = true,
        ['a'] = true,  ['n'] = true,  ['l'] = true, ['h'] = true,
    };
    size_t end = text.n - i < INTRO_BYTES ? text.n : i + INTRO_BYTES;

    for (; i + 2 < end; i++) {
        const char *p = text.p + i;

        if (!begins[(unsigned char)*p])
            continue;
        for (size_t k = 0; k < sizeof(turns) / sizeof(*turns); k++)
            if (p[0] == turns[k][0] && p[1] == turns[k][1]) {
                size_t n = strlen(turns[k]);

                if (n <= end - i && memcmp(p, turns[k], n) == 0)
                    return true;
            }
    }
    return false;
}

/* The word at i, which is to be judged; its end. */
static size_t peek_at(struct names_worker *w, struct slice text, size_t i)
{
    size_t to = text.n - i > PEEK_BYTES ? i + PEEK_BYTES : text.n;

    return names_tokens_add(&w->peek, &w->m->words, text, i, to);
}

/* Is the word worth a region? */
static bool is_worth(const struct names_token *k, struct slice text)
{
    return names_is_interesting(k) || names_is_honorific(k) ||
           (k->cues & CUE_LEGAL) ||
           ((k->cues & CUE_LABEL) && k->end < text.n &&
            text.p[k->end] == ':') ||
           (names_is_capital(k) && k->lists & W_POPULAR) ||
           ((k->cues &
             (CUE_OPENING | CUE_SELF | CUE_THIS | CUE_MY | CUE_NAME)) &&
            introduces(text, k->start));
}

static void judge_peeks(struct names_worker *w, struct slice text,
                        struct region *r)
{
    const struct names_token *k = w->peek.item + TOKENS_MARGIN;

    names_tokens_end(&w->peek, &w->m->words, text);
    for (size_t i = 0; i < w->peek.count; i++)
        if (is_worth(&k[i], text))
            add_region(w, text, r, k[i].start, k[i].end);
    names_tokens_begin(&w->peek);
}

/* The next byte from i on that may begin a capital. Eight at once go by that
 * are ASCII and no capitals. */
static size_t next_upper(struct slice t, size_t i)
{
    const unsigned char *p = (const unsigned char *)t.p;
    const uint64_t ones = UINT64_MAX / 255;

    for (;;) {
        size_t end = t.n - i > 8 ? i + 8 : t.n;

        while (t.n - i >= 8) {
            uint64_t x;

            memcpy(&x, p + i, sizeof(x));
            if ((x |
                 (((x + ones * (0x80 - 'A')) & ~(x + ones * (0x7F - 'Z'))))) &
                ones * 0x80)
                break;
            i += 8;
            end = t.n - i > 8 ? i + 8 : t.n;
        }
        while (i < end && (unsigned)(p[i] - 'A') >= 26 && p[i] < 0xC3)
            i++;
        if (i < end || i == t.n)
            return i;
    }
}

/* Where the next word with a capital begins. */
static size_t next_capital(struct slice text, size_t i)
{
    size_t used;

    for (; (i = next_upper(text, i)) < text.n; i++) {
        if (is_letter_before(text, i))
            continue;
        if ((unsigned char)text.p[i] < 0x80 ||
            names_letter(utf8_decode(text.p + i, text.n - i, &used)) ==
                CP_UPPER)
            break;
    }
    return i;
}

/* Words are judged some at a time: what lists say of one has come from memory
 * when it is asked for. */
static void scan(struct names_worker *w, struct slice text)
{
    struct region r = { 0 };
    size_t i = 0, capitals = 0;

    names_tokens_begin(&w->peek);
    if (text.n > 2 && text.p[0] >= 'a' && text.p[0] <= 'z')
        i = peek_at(w, text, 0);
    while ((i = next_capital(text, i)) < text.n) {
        capitals++;
        i = peek_at(w, text, i);
        if (w->peek.count == PEEKS)
            judge_peeks(w, text, &r);
    }
    if (w->peek.count)
        judge_peeks(w, text, &r);
    flush(w, text, &r);
    if (capitals || !is_typed(text))
        return;
    w->count = 0; /* the head is read again */
    read_region(w, text, 0, text.n);
}

static void push_behind(struct names_worker *w, struct names_span s)
{
    void *all = w->behind;

    mem_grow(&all, &w->behind_cap, w->behind_count + 1, sizeof(*w->behind));
    w->behind = all;
    w->behind[w->behind_count++] = s;
}

/* A field's value is a name as a whole, whatever the tagger made of it. Spans
 * behind it wait in w->behind, the next one last: fields come in order, and
 * each span moves but a few times. */
static void add_field(struct names_worker *w, struct slice text,
                      struct slice value)
{
    size_t start = (size_t)(value.p - text.p), end = start + value.n;

    while (w->count && w->span[w->count - 1].start >= end)
        push_behind(w, w->span[--w->count]);
    while (w->behind_count && w->behind[w->behind_count - 1].end <= start)
        push(w, w->behind[--w->behind_count]);
    while (w->count && w->span[w->count - 1].end > start)
        w->count--;
    while (w->behind_count && w->behind[w->behind_count - 1].start < end)
        w->behind_count--;
    push(w, (struct names_span){ start, end, NAMES_PERSON, 1, true });
}

static void find_fields(struct names_worker *w, struct slice text)
{
    struct slice value;
    size_t at = 0;

    while (names_field_next(&w->tokens, &w->m->words, text, &at, &value))
        add_field(w, text, value);
    for (at = 0; names_turn_next(&w->m->words, text, &at, &value);)
        add_field(w, text, value);
    while (w->behind_count)
        push(w, w->behind[--w->behind_count]);
}

/* Texts that explain a field give examples, not data; what is sold or set in
 * type has a name of its own. */
static bool explains(struct slice key)
{
    static const char *const words[] = {
        "_description_", "_product_name_", "_product_",     "_model_name_",
        "_brand_",       "_font_",         "_font_family_", "_theme_",
        "_sku_",         "_item_name_",    "_variant_",     "_type_",
        "_style_",       "_typeface_",     "_kind_",        "_enum_",
        "_color_",       "_colour_",       "_language_",    "_label_",
        "_labels_",      "_category_",     "_intent_",      "_flavor_",
        "_ingredient_",  "_ingredients_",  "_dish_",        "_make_",
        "_vehicle_",     "_diagnosis_",    "_disease_",     "_framework_",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t n = strlen(words[i]);

        if (key.n >= n && memcmp(key.p + key.n - n, words[i], n) == 0)
            return true;
    }
    return false;
}

static const struct key_facts *facts_of_key(struct names_worker *w,
                                            struct slice key)
{
    unsigned mix = key.n > 2 ? (unsigned)key.n + 7u * (unsigned char)key.p[1] +
                                   31u * (unsigned char)key.p[key.n - 2]
                             : 0;
    struct key_facts *k = &w->key[mix % KEY_FACTS];

    if (k->known && key.n == k->n && memcmp(key.p, k->key, k->n) == 0)
        return k;
    k->known = key.n > 0 && key.n <= sizeof(k->key);
    if (k->known)
        memcpy(k->key, key.p, key.n);
    k->n = key.n;
    k->tells = key.n && names_key_class(key, &k->class);
    k->explains = explains(key);
    return k;
}

/* A whole value whose key says what it is. */
static bool find_value(struct names_worker *w, struct slice text,
                       const struct key_facts *key)
{
    const struct names_key *k = &key->class;

    if (!key->tells)
        return false;
    names_tokens_read(&w->tokens, &w->m->words, text, 0,
                      text.n < 100 ? text.n : 100);
    if (!names_key_accepts(k, &w->tokens, text))
        return false;
    text = slice_trim(text);
    push(w, (struct names_span){
                w->tokens.item[TOKENS_MARGIN].start,
                w->tokens.item[TOKENS_MARGIN + w->tokens.count - 1].end,
                k->class, 1, k->strong });
    return true;
}

/* Whether a person stands near the span. */
static bool has_person(const struct names_worker *w, size_t at)
{
    const struct names_span *s = w->span;

    for (size_t i = at; i-- > 0 && s[at].start - s[i].end < NEAR;)
        if (s[i].class == NAMES_PERSON)
            return true;
    for (size_t i = at + 1; i < w->count && s[i].start - s[at].end < NEAR; i++)
        if (s[i].class == NAMES_PERSON)
            return true;
    return false;
}

static void find_text(struct names_worker *w, struct slice text)
{
    scan(w, text);
    find_fields(w, text);
}

void names_find(struct names_worker *w, enum names_level level,
                struct slice text, struct slice key,
                const struct names_span **found, size_t *count)
{
    const struct key_facts *k = facts_of_key(w, key);

    w->count = 0;
    w->level = level == NAMES_TAGGER && k->explains ? NAMES_RULES : level;
    if (level != NAMES_OFF && text.n && !find_value(w, text, k))
        find_text(w, text);
    for (size_t i = 0; i < w->count; i++)
        if (w->span[i].class == NAMES_NATIONALITY && has_person(w, i))
            w->span[i].tier = 1;
    *found = w->span;
    *count = w->count;
}

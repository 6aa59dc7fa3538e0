/*
 * names_token.c - a stretch of text as words with what the lists say of them
 *
 * A word is letters with apostrophes and hyphens between them; a possessive
 * "'s" is a token of its own. What is glued to signs of code (foo.Bar, Bar(,
 * @bar) is read, but never a candidate.
 */
#include "names/names_priv.h"

#include "base/ascii.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN_GAP 3 /* blanks */

static size_t other_letter_at(struct slice t, size_t i, int *class)
{
    size_t used = 1;

    *class = names_letter(utf8_decode(t.p + i, t.n - i, &used));
    return used;
}

static inline size_t letter_at(struct slice t, size_t i, int *class)
{
    unsigned char c = (unsigned char)t.p[i];
    unsigned low = (c | 0x20u) - 'a';

    if (c >= 0x80)
        return other_letter_at(t, i, class);
    *class = low >= 26 ? CP_OTHER : c & 0x20 ? CP_LOWER : CP_UPPER;
    return 1;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A sign between two letters that belongs to the word. */
static size_t joint(struct slice t, size_t i)
{
    size_t n = 1, used;
    int class;

    if (t.p[i] != '\'' && t.p[i] != '-') {
        if (i + 3 >= t.n || memcmp(t.p + i, "\xE2\x80\x99", 3) != 0)
            return 0;
        n = 3;
    }
    if (i + n >= t.n)
        return 0;
    used = letter_at(t, i + n, &class);
    if (class == CP_OTHER)
        return 0;
    if (t.p[i] != '-' && (t.p[i + n] | 0x20) == 's') { /* possessive */
        int next = CP_OTHER;

        if (i + n + used < t.n)
            (void)letter_at(t, i + n + used, &next);
        return next == CP_OTHER ? 0 : n;
    }
    return n;
}

struct word {
    size_t end;
    unsigned letters, upper, digits, humps, parts;
    bool first_upper, cased, caseless;
};

/* Where most words end: ASCII, small letters behind the first. 0: the word at i
 * is another, or goes on. */
static inline size_t plain_end(struct slice t, size_t i, size_t to)
{
    const unsigned char *p = (const unsigned char *)t.p;
    unsigned c = p[i];
    size_t end = i + 1;

    if ((c | 0x20) - 'a' >= 26)
        return 0;
    while (end < to && (unsigned)(p[end] - 'a') < 26)
        end++;
    if (end >= to)
        return end;
    c = p[end];
    return c >= 0x80 || c == '_' || c == '\'' || c == '-' || c - '0' < 10 ||
                   c - 'A' < 26
               ? 0
               : end;
}

/* Digits alone. */
static bool read_plain_number(struct slice t, size_t i, size_t to,
                              struct word *w)
{
    size_t end = i;

    while (end < to && is_digit(t.p[end]))
        end++;
    if (end == i ||
        (end < to && ((unsigned char)t.p[end] >= 0x80 || t.p[end] == '_' ||
                      ascii_is_letter(t.p[end]))))
        return false;
    *w = (struct word){ .end = end, .digits = (unsigned)(end - i), .parts = 1 };
    return true;
}

static void read_word(struct slice t, size_t i, size_t to, struct word *w)
{
    bool low = false, fresh = true;

    if (read_plain_number(t, i, to, w))
        return;
    *w = (struct word){ .end = i, .parts = 1 };
    while (i < to) {
        int class = CP_OTHER;
        size_t used = letter_at(t, i, &class), more;

        if (class != CP_OTHER) {
            w->letters += class != CP_MARK;
            w->upper += class == CP_UPPER;
            w->cased |= class == CP_UPPER || class == CP_LOWER;
            w->caseless |= class == CP_LETTER;
            w->first_upper |= w->letters == 1 && class == CP_UPPER;
            w->humps += class == CP_UPPER && low && !fresh;
            low = class == CP_LOWER;
            fresh = false;
        } else if (is_digit(t.p[i]) || t.p[i] == '_') {
            w->digits++;
        } else if (w->letters && (more = joint(t, i)) != 0) {
            used = more;
            fresh = true;
            w->parts++;
        } else {
            break;
        }
        i += used;
        w->end = i;
    }
}

static bool is_glue(char c)
{
    static const bool glue[256] = {
        ['@'] = true, ['_'] = true, ['/'] = true, ['\\'] = true, ['='] = true,
        ['`'] = true, ['$'] = true, ['~'] = true, ['^'] = true,  ['|'] = true,
        ['#'] = true, ['*'] = true, ['%'] = true, ['&'] = true,  ['<'] = true,
    };

    return glue[(unsigned char)c];
}

/* Signs of code, paths and addresses around the word. */
static bool is_glued(struct slice t, size_t start, size_t end)
{
    char before = start ? t.p[start - 1] : ' ';
    char after = end < t.n ? t.p[end] : ' ';
    char next = end + 1 < t.n ? t.p[end + 1] : ' ';

    if (before == ' ' && (after == ' ' || after == ','))
        return false;
    if (before == '*' && (after == '*' || after == ' ' || after == ':'))
        before = ' '; /* Markdown's bold type */
    if (after == '*' || (after == '<' && (next == '/' || next == 'b')))
        after = ' ';
    if (is_glue(before) || is_glue(after) || after == '(' || after == '[' ||
        after == '{')
        return true;
    if (before == '.' && start > 1 && t.p[start - 2] != '.' &&
        t.p[start - 2] != ' ' && (unsigned char)t.p[start - 2] < 0x80)
        return true;
    if (before == ':' && start > 1 && t.p[start - 2] == ':')
        return true;
    return (after == '.' && ((next | 0x20) >= 'a' && (next | 0x20) <= 'z') &&
            end - start > 1) ||
           (after == ':' && (next == ':' || next == '/'));
}

static unsigned shape_of(struct slice t, size_t start, const struct word *w)
{
    if (!w->letters)
        return SHAPE_NUMBER;
    if (w->digits || (w->cased && w->caseless) || is_glued(t, start, w->end))
        return SHAPE_ODD;
    if (!w->cased)
        return SHAPE_LETTERS;
    if (!w->first_upper)
        return w->upper ? SHAPE_ODD : SHAPE_LOWER;
    if (w->letters == 1)
        return SHAPE_LETTER;
    if (w->upper == w->letters)
        return SHAPE_UPPER;
    if (w->upper > w->parts + w->humps)
        return SHAPE_ODD;
    if (!w->humps)
        return SHAPE_CAP;
    return w->humps == 1 && w->letters > 4 &&
                   (strncmp(t.p + start, "Mc", 2) == 0 ||
                    strncmp(t.p + start, "Mac", 3) == 0 ||
                    strncmp(t.p + start, "De", 2) == 0 ||
                    strncmp(t.p + start, "Di", 2) == 0 ||
                    strncmp(t.p + start, "La", 2) == 0 ||
                    strncmp(t.p + start, "Le", 2) == 0 ||
                    strncmp(t.p + start, "Van", 3) == 0)
               ? SHAPE_MIXED
               : SHAPE_ODD;
}

/* In a text with capitals no list is asked about words without them, and no
 * tag about such but those that link others. */
static void look_up(struct names_token *k, struct names_tokens *all,
                    const struct names_words *words, struct slice t)
{
    struct slice word = { t.p + k->start, k->end - k->start };
    struct names_fact own, *f = names_fact_at(all->facts, word);
    bool asked = all->lower || k->shape != SHAPE_LOWER;

    if (f) {
        k->fact = (uint16_t)(f - all->facts + 1);
    } else {
        own.has = 0;
        f = &own;
    }
    names_fact_read(f, words, word,
                    FACT_CUES | (asked ? FACT_KEY | FACT_ENDS : 0));
    k->hash = f->hash;
    k->cues = f->cues;
    if (asked && (f->has & FACT_LISTS))
        k->lists = f->lists;
    else if (asked)
        k->key = f->key;
    if (all->brief || (!asked && !(k->cues & CUE_LINK)))
        return;
    names_fact_read(f, words, word, FACT_ENDS);
    memcpy(k->suffix, f->suffix, sizeof(k->suffix));
    k->prefix = f->prefix;
}

/* The parts of Jean-Pierre, if the whole is in no list. */
static void look_up_parts(struct names_token *k,
                          const struct names_words *words, struct slice t)
{
    const char *p = t.p + k->start, *end = t.p + k->end;
    unsigned all = ~0u;
    char folded[WORD_MAX];

    while (p < end) {
        const char *dash = memchr(p, '-', (size_t)(end - p));
        size_t n = dash ? (size_t)(dash - p) : (size_t)(end - p);
        size_t m = names_fold((struct slice){ p, n }, folded);

        all &= names_words_get(words, folded, m);
        p += n + 1;
    }
    k->lists = all & (W_NAME | W_COMMON | W_KNOWN | W_FOREIGN);
}

static void keep_lists(struct names_fact *f, const struct names_token *k)
{
    if (!(f->has & FACT_KEY) || f->key != k->key)
        return; /* another word's by now */
    f->lists = k->lists;
    f->has |= FACT_LISTS;
}

static void set_lists(struct names_tokens *t, struct names_token *k,
                      const struct names_words *words, struct slice text)
{
    if (k->key) {
        k->lists = names_words_find(words, k->key);
        if (k->fact)
            keep_lists(&t->facts[k->fact - 1], k);
    }
    if (k->joined && !k->lists)
        look_up_parts(k, words, text);
}

static void set_all_lists(struct names_tokens *t,
                          const struct names_words *words, struct slice text)
{
    struct names_token *k = t->item + TOKENS_MARGIN;

    for (size_t i = 0; i < t->count; i++)
        if (k[i].key || k[i].joined)
            set_lists(t, &k[i], words, text);
}

static void more_tokens(struct names_tokens *t)
{
    void *all = t->item;

    mem_grow(&all, &t->cap, t->count + 2 * TOKENS_MARGIN + 1, sizeof(*t->item));
    t->item = all;
}

static inline struct names_token *add_token(struct names_tokens *t)
{
    struct names_token *k;

    if (t->count + 2 * TOKENS_MARGIN + 1 > t->cap)
        more_tokens(t);
    k = &t->item[TOKENS_MARGIN + t->count++];
    memset(k, 0, sizeof(*k));
    return k;
}

static bool ends_sentence(const struct names_token *k)
{
    static const bool ends[256] = {
        ['.'] = true, ['!'] = true, ['?'] = true, [':'] = true,
        [';'] = true, ['"'] = true, ['('] = true, ['-'] = true,
        ['*'] = true, ['>'] = true, ['|'] = true, ['#'] = true,
    };

    return ends[(unsigned char)k->sign];
}

/* The sign at i, one character. */
static size_t read_sign(struct names_token *k, struct slice t, size_t i)
{
    size_t used = 1;

    if ((unsigned char)t.p[i] >= 0x80)
        (void)utf8_decode(t.p + i, t.n - i, &used);
    k->shape = SHAPE_PUNCT;
    k->hash = names_hash(t.p + i, used, 4);
    k->sign = used == 1 ? t.p[i] : '\0';
    k->end = i + used;
    return i + used;
}

static uint8_t plain_shape(struct slice t, size_t start, size_t end)
{
    if (is_glued(t, start, end))
        return SHAPE_ODD;
    if (!ascii_is_upper(t.p[start]))
        return SHAPE_LOWER;
    return end - start == 1 ? SHAPE_LETTER : SHAPE_CAP;
}

#define ODD_HASH 77

static bool is_plain_sign(char c)
{
    return (unsigned char)c < 0x80 && c != '_' && !ascii_is_alnum(c);
}

static size_t read_token(struct names_tokens *t,
                         const struct names_words *words, struct slice text,
                         size_t i, size_t to, unsigned gap)
{
    struct names_token *k = add_token(t);
    size_t end = plain_end(text, i, to);
    struct word w;

    k->start = i;
    k->gap = (uint8_t)gap;
    if (end) {
        k->end = end;
        k->shape = plain_shape(text, i, end);
        if (k->shape == SHAPE_ODD)
            k->hash = ODD_HASH;
        else
            look_up(k, t, words, text);
        return end;
    }
    if (is_plain_sign(text.p[i]))
        return read_sign(k, text, i);
    read_word(text, i, to, &w);
    if (w.end == i)
        return read_sign(k, text, i);
    k->end = w.end;
    k->shape = (uint8_t)shape_of(text, i, &w);
    if (k->shape == SHAPE_NUMBER) {
        k->hash = names_hash("0", 1, w.digits);
    } else if (k->shape != SHAPE_ODD) {
        look_up(k, t, words, text);
        k->joined = w.parts > 1 && memchr(text.p + i, '-', w.end - i);
    } else {
        k->hash = ODD_HASH;
    }
    return w.end;
}

/* Places of several words: the longest that a list has. */
static void mark_phrases(struct names_tokens *t, struct names_token *k,
                         const struct names_words *words, struct slice text)
{
    struct names_token *last = t->item + TOKENS_MARGIN + t->count - 1;
    char phrase[PHRASE_MAX + WORD_MAX];
    size_t n = names_fold(
        (struct slice){ text.p + k->start, k->end - k->start }, phrase);

    for (struct names_token *e = k + 1; e <= last && e - k < 4; e++) {
        unsigned lists;

        if (e->gap != 1 || e->shape == SHAPE_PUNCT || n + 1 > WORD_MAX)
            return;
        phrase[n++] = ' ';
        n += names_fold((struct slice){ text.p + e->start, e->end - e->start },
                        phrase + n);
        lists = n <= WORD_MAX ? names_words_get(words, phrase, n) : 0;
        if (!(lists & (W_PLACE | W_CONTINENT | W_TECH)))
            continue;
        for (struct names_token *x = k; x <= e; x++) {
            x->place = x == k ? 1 : 2;
            x->lists |= lists;
        }
    }
}

static void set_edge(struct names_token *k)
{
    memset(k, 0, sizeof(*k));
    k->shape = SHAPE_EDGE;
    k->hash = 99;
}

static void set_edges(struct names_tokens *t)
{
    if (!t->count) {
        (void)add_token(t);
        t->count = 0;
    }
    for (size_t i = 0; i < TOKENS_MARGIN; i++) {
        set_edge(&t->item[i]);
        set_edge(&t->item[TOKENS_MARGIN + t->count + i]);
    }
}

/* Whether a sentence begins at the first token, by what stands before it. */
static bool begins_sentence(struct slice text, size_t from)
{
    static const bool before[256] = {
        ['\0'] = true, ['.'] = true,  ['!'] = true,  ['?'] = true, [':'] = true,
        [';'] = true,  ['\n'] = true, ['\t'] = true, ['-'] = true, ['*'] = true,
        ['>'] = true,  ['|'] = true,  ['#'] = true,  ['('] = true,
    };

    while (from && (text.p[from - 1] == ' ' || text.p[from - 1] == '"'))
        from--;
    return !from || before[(unsigned char)text.p[from - 1]];
}

static void finish_tokens(struct names_tokens *t,
                          const struct names_words *words, struct slice text,
                          size_t from)
{
    bool first = begins_sentence(text, from);

    set_all_lists(t, words, text);
    for (size_t i = 0; i < t->count; i++) {
        struct names_token *k = &t->item[TOKENS_MARGIN + i];

        k->first = first || k->gap == 2;
        if (k->shape != SHAPE_PUNCT)
            first = false;
        else if (ends_sentence(k))
            first = k->sign != '.' || !i ||
                    (k[-1].shape != SHAPE_LETTER && !(k[-1].lists & W_TITLE));
        if (k->lists & W_PHRASE && !k->place)
            mark_phrases(t, k, words, text);
    }
}

static bool has_capital(struct slice t, size_t from, size_t to)
{
    size_t used;

    for (size_t i = from; i < to; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if ((c >= 'A' && c <= 'Z') ||
            (c >= 0xC3 &&
             names_letter(utf8_decode(t.p + i, t.n - i, &used)) == CP_UPPER))
            return true;
    }
    return false;
}

/* Blanks between columns: nothing goes on over them. */
static bool is_column_gap(struct slice t, size_t i, size_t to)
{
    return to - i >= COLUMN_GAP && memcmp(t.p + i, "   ", COLUMN_GAP) == 0;
}

void names_tokens_read(struct names_tokens *t, const struct names_words *words,
                       struct slice text, size_t from, size_t to)
{
    unsigned gap = 1;
    size_t i = from;

    t->count = 0;
    t->brief = false;
    t->lower = !has_capital(text, from, to);
    while (i < to) {
        char c = text.p[i];

        if (c == '\n' || c == '\r') {
            gap = 2;
            i++;
        } else if (c == ' ' || c == '\t') {
            gap = gap == 2 || is_column_gap(text, i, to) ? 2 : 1;
            i++;
        } else {
            i = read_token(t, words, text, i, to, gap);
            gap = 0;
        }
    }
    set_edges(t);
    finish_tokens(t, words, text, from);
}

void names_tokens_begin(struct names_tokens *t)
{
    t->count = 0;
    t->brief = true;
}

size_t names_tokens_add(struct names_tokens *t, const struct names_words *words,
                        struct slice text, size_t at, size_t to)
{
    size_t end = read_token(t, words, text, at, to, 1);

    t->item[TOKENS_MARGIN + t->count - 1].first = begins_sentence(text, at);
    return end;
}

void names_tokens_end(struct names_tokens *t, const struct names_words *words,
                      struct slice text)
{
    set_all_lists(t, words, text);
}

void names_tokens_release(struct names_tokens *t)
{
    free(t->item);
}

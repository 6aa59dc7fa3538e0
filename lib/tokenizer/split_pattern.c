/*
 * split_pattern.c - hand-written matchers for the patterns of known tokenizers
 *
 * Each follows its regular expression alternative by alternative, including
 * what backtracking would do. They exist because a regex engine costs several
 * times as much and has other Unicode tables.
 */
#include "tokenizer/split_pattern.h"

#include <string.h>

struct cursor {
    const struct unicode_map *m;
    const char *p;
    size_t n;
};

static unsigned lead_class(const struct cursor *c, size_t i)
{
    return c->m->lead[(unsigned char)c->p[i]];
}

/* Class at position i, 0 at the end. */
static inline unsigned class_at(const struct cursor *c, size_t i, size_t *used)
{
    if (i >= c->n) {
        *used = 0;
        return 0;
    }
    return unicode_class_at(c->m, c->p + i, c->n - i, used);
}

/* End of the run of characters with a class in `yes` from i on. */
static inline size_t run_of(const struct cursor *c, size_t i, unsigned yes)
{
    size_t used;

    for (;;) {
        while (i < c->n && lead_class(c, i) & yes)
            i++;
        if (i == c->n || (unsigned char)c->p[i] < 0x80 ||
            !(class_at(c, i, &used) & yes))
            return i;
        i += used;
    }
}

/* End of the run of characters with no class in `no`. */
static inline size_t run_without(const struct cursor *c, size_t i, unsigned no)
{
    while (i < c->n) {
        size_t used;

        if (class_at(c, i, &used) & no)
            break;
        i += used;
    }
    return i;
}

static bool is_newline(char c)
{
    return c == '\r' || c == '\n';
}

/* 's 't 're 've 'm 'll 'd at i: bytes, 0 if none. Ignoring case, U+017F (long
 * s) is an s. */
static size_t contraction(const struct cursor *c, size_t i, bool fold)
{
    char a, b;

    if (i + 1 >= c->n || c->p[i] != '\'')
        return 0;
    a = c->p[i + 1];
    b = i + 2 < c->n ? c->p[i + 2] : 0;
    if (fold && a == '\xC5' && b == '\xBF')
        return 3;
    if (fold && a >= 'A' && a <= 'Z')
        a = (char)(a | 0x20);
    if (fold && b >= 'A' && b <= 'Z')
        b = (char)(b | 0x20);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') ||
        (a == 'l' && b == 'l'))
        return 3;
    return 0;
}

/* \s+(?!\S)|\s+ at a space: a run before something else leaves its last
 * character to what follows. */
static size_t spaces(const struct cursor *c)
{
    size_t i = 0, last = 0, used;

    while (class_at(c, i, &used) & UC_SPACE) {
        last = i;
        i += used;
    }
    return i == c->n || last == 0 ? i : last;
}

size_t split_match_gpt2(const struct unicode_map *m, const char *p, size_t n)
{
    struct cursor c = { m, p, n };
    size_t used, i = contraction(&c, 0, false);
    size_t at = p[0] == ' ' ? 1 : 0;
    unsigned k;

    if (i)
        return i;
    k = class_at(&c, at, &used);
    if (k & UC_L)
        return run_of(&c, at + used, UC_L);
    if (k & UC_N)
        return run_of(&c, at + used, UC_N);
    if (at < n && !(k & UC_SPACE))
        return run_without(&c, at + used, UC_SPACE | UC_L | UC_N);
    return spaces(&c);
}

static size_t spaces_with_newlines(const struct cursor *c)
{
    size_t end = run_of(c, 0, UC_SPACE);

    /* \s*[\r\n]+ reaches to the last newline of the run. */
    for (size_t i = end; i > 0; i--)
        if (is_newline(c->p[i - 1]))
            return i;
    return spaces(c);
}

static size_t numbers(const struct cursor *c, unsigned max)
{
    size_t i = 0, used;

    for (unsigned k = 0; k < max && class_at(c, i, &used) & UC_N; k++)
        i += used;
    return i;
}

/* " ?[^\s\p{L}\p{N}]+[\r\n]*", with '/' in the trailing set if slash. */
static size_t symbols(const struct cursor *c, bool slash)
{
    size_t at = c->p[0] == ' ' ? 1 : 0;
    size_t i = run_without(c, at, UC_SPACE | UC_L | UC_N);

    if (i == at)
        return 0;
    while (i < c->n && (is_newline(c->p[i]) || (slash && c->p[i] == '/')))
        i++;
    return i;
}

/* Bytes of [^\r\n\p{L}\p{N}] at the start, 0 if it is not one. */
static size_t lead(const struct cursor *c)
{
    size_t used;
    unsigned k = class_at(c, 0, &used);

    return k & (UC_L | UC_N) || is_newline(c->p[0]) ? 0 : used;
}

static size_t match_cl100k(const struct cursor *c, unsigned digits)
{
    size_t i = contraction(c, 0, true), used, at;

    if (i)
        return i;
    at = lead(c);
    if (class_at(c, at, &used) & UC_L)
        return run_of(c, at + used, UC_L);
    i = numbers(c, digits);
    if (!i)
        i = symbols(c, false);
    return i ? i : spaces_with_newlines(c);
}

static size_t match_llama3(const struct unicode_map *m, const char *p, size_t n)
{
    return match_cl100k(&(struct cursor){ m, p, n }, 3);
}

static size_t match_qwen2(const struct unicode_map *m, const char *p, size_t n)
{
    return match_cl100k(&(struct cursor){ m, p, n }, 1);
}

#define UPPER (UC_LU | UC_LT | UC_LM | UC_LO | UC_M)
#define LOWER (UC_LL | UC_LM | UC_LO | UC_M)

/* UPPER*LOWER+ from at: the end, 0 if it does not match. Where no LOWER
 * follows the run of UPPER, backtracking gives it the last character that is
 * both. */
static size_t cased_low(const struct cursor *c, size_t at)
{
    size_t i = at, both = 0, used;

    for (;;) {
        unsigned k = class_at(c, i, &used);

        if (!(k & UPPER))
            break;
        i += used;
        if (k & LOWER)
            both = i;
    }
    if (class_at(c, i, &used) & LOWER)
        return run_of(c, i, LOWER);
    return both;
}

/* UPPER+LOWER* from at. */
static size_t cased_high(const struct cursor *c, size_t at)
{
    size_t i = run_of(c, at, UPPER);

    return i == at ? 0 : run_of(c, i, LOWER);
}

static size_t match_cased(const struct cursor *c, bool contractions,
                          unsigned digits)
{
    size_t at = lead(c), i = cased_low(c, at);

    if (!i && at)
        i = cased_low(c, 0);
    if (!i)
        i = cased_high(c, at);
    if (!i && at)
        i = cased_high(c, 0);
    if (i)
        return i + (contractions ? contraction(c, i, true) : 0);
    i = numbers(c, digits);
    if (!i)
        i = symbols(c, true);
    return i ? i : spaces_with_newlines(c);
}

static size_t match_tekken(const struct unicode_map *m, const char *p, size_t n)
{
    return match_cased(&(struct cursor){ m, p, n }, false, 1);
}

static size_t match_gpt4o(const struct unicode_map *m, const char *p, size_t n)
{
    return match_cased(&(struct cursor){ m, p, n }, true, 3);
}

size_t split_match_digit(const struct unicode_map *m, const char *p, size_t n)
{
    struct cursor c = { m, p, n };
    size_t used;

    return class_at(&c, 0, &used) & UC_DIGIT ? used
                                             : run_without(&c, used, UC_DIGIT);
}

size_t split_match_digits(const struct unicode_map *m, const char *p, size_t n)
{
    struct cursor c = { m, p, n };
    size_t i = run_of(&c, 0, UC_DIGIT);

    return i ? i : run_without(&c, 0, UC_DIGIT);
}

/* \p{N} with behaviour Isolated: the same as Digits, of the patterns' Unicode
 * version. */
static size_t match_number(const struct unicode_map *m, const char *p, size_t n)
{
    struct cursor c = { m, p, n };
    size_t used;

    return class_at(&c, 0, &used) & UC_N ? used : run_without(&c, used, UC_N);
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K(digits)                                                         \
    CONTRACTIONS "|" WORDS "|" digits "| "                                     \
                 "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define HIGH "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(suffix, digits)                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" HIGH "*" LOW "+" suffix                           \
    "|[^\\r\\n\\p{L}\\p{N}]?" HIGH "+" LOW "*" suffix "|" digits               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES

split_match_fn *split_pattern_find(struct slice regex)
{
    static const struct {
        const char *regex;
        split_match_fn *match;
    } known[] = {
        { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
          "\\s+(?!\\S)|\\s+",
          split_match_gpt2 },
        { CL100K("\\p{N}{1,3}"), match_llama3 },
        { CL100K("\\p{N}"), match_qwen2 },
        { CASED("", "\\p{N}"), match_tekken },
        { CASED(CONTRACTIONS "?", "\\p{N}{1,3}"), match_gpt4o },
        { "\\p{N}", match_number },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_is(regex, known[i].regex))
            return known[i].match;
    return NULL;
}

/*
 * pretokenize.c - the pre_tokenizer part of a tokenizer.json
 *
 * Reduced at load time to at most one change of the text (a space in front,
 * or Metaspace's character for spaces) and a chain of splits. ByteLevel's
 * alphabet is not written out: the model reads bytes instead.
 */
#include "tokenizer/tokenizer_internal.h"

#include "tokenizer/unicode_normal.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(uint32_t cp)
{
    return unicode_class_of(unicode_map_get(), cp) & UC_SPACE;
}

static bool is_no_word(uint32_t cp)
{
    return !(unicode_traits_of(cp) & UT_WORD);
}

static bool is_punctuation(uint32_t cp)
{
    return unicode_traits_of(cp) & UT_PUNCTUATION;
}

static int add_split(struct pretok *p, split_match_fn *match, struct err *err)
{
    if (p->split_count == TOKENIZER_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "more than %d pre_tokenizers",
                       TOKENIZER_MAX_STEPS);
    p->split[p->split_count++] = (struct split_step){ .match = match };
    return ERR_OK;
}

static int add_class(struct pretok *p, bool (*is_sep)(uint32_t),
                     enum split_behavior behavior, struct err *err)
{
    int rc = add_split(p, NULL, err);

    if (rc < 0)
        return rc;
    p->split[p->split_count - 1].is_sep = is_sep;
    p->split[p->split_count - 1].behavior = behavior;
    return ERR_OK;
}

static int load_byte_level(struct pretok *p, const struct json *j, json_ref v,
                           struct err *err)
{
    p->byte_level = true;
    p->prefix_space = tokenizer_flag(j, v, "add_prefix_space", true);
    if (p->prefix_space && p->metaspace)
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer ByteLevel with add_prefix_space after "
                       "Metaspace is not supported");
    if (p->prefix_space)
        p->shape_at = p->split_count;
    if (tokenizer_flag(j, v, "use_regex", true))
        return add_split(p, split_match_gpt2, err);
    return ERR_OK;
}

/* The pattern covers every text, so pieces that do not match (Removed with
 * invert) or that do (Isolated) come to the same. */
static bool is_cover(const struct json *j, json_ref v)
{
    json_ref behavior = json_get(j, v, "behavior");
    bool invert = tokenizer_flag(j, v, "invert", false);

    return (json_text_is(j, behavior, "Isolated") && !invert) ||
           (json_text_is(j, behavior, "Removed") && invert);
}

static bool read_behavior(const struct json *j, json_ref v,
                          enum split_behavior *out)
{
    static const char *const names[] = { "Isolated", "Removed",
                                         "MergedWithPrevious", "MergedWithNext",
                                         "Contiguous" };

    for (unsigned i = 0; i < 5; i++)
        if (json_text_is(j, json_get(j, v, "behavior"), names[i])) {
            *out = (enum split_behavior)i;
            return true;
        }
    return false;
}

/* By hand where somebody wrote it, else through PCRE2. */
static int load_regex(struct pretok *p, const struct json *j, json_ref v,
                      struct slice regex, struct err *err)
{
    split_match_fn *match = is_cover(j, v) ? split_pattern_find(regex) : NULL;
    bool invert = tokenizer_flag(j, v, "invert", false);
    struct split_step *step;
    int rc = add_split(p, match, err);

    if (rc < 0 || match)
        return rc;
    step = &p->split[p->split_count - 1];
    if (!read_behavior(j, v, &step->behavior))
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer Split with the pattern %.200s and its "
                       "behavior is not supported",
                       regex.p);
    step->invert = invert;
    p->has_regex = true;
    return split_regex_compile(regex, &step->regex, err);
}

/* A pattern that is this text. */
static struct slice escaped(struct slice literal)
{
    struct buf b = { 0 };
    struct slice out;

    for (size_t i = 0; i < literal.n; i++) {
        char c = literal.p[i];

        if (c > 0 && strchr("\\^$.|?*+()[]{}-#&~", c))
            buf_char(&b, '\\');
        buf_char(&b, c);
    }
    out.p = buf_take(&b, &out.n);
    return out;
}

/* Takes over literal. */
static int load_literal(struct pretok *p, const struct json *j, json_ref v,
                        struct slice literal, struct err *err)
{
    enum split_behavior behavior;
    struct slice pattern;
    int rc;

    if (literal.n && tokenizer_flag(j, v, "invert", false)) {
        pattern = escaped(literal);
        free((void *)(uintptr_t)literal.p);
        rc = load_regex(p, j, v, pattern, err);
        free((void *)(uintptr_t)pattern.p);
        return rc;
    }
    rc = add_split(p, NULL, err);
    if (rc < 0) {
        free((void *)(uintptr_t)literal.p);
        return rc;
    }
    p->split[p->split_count - 1].literal = literal;
    if (literal.n && read_behavior(j, v, &behavior)) {
        p->split[p->split_count - 1].behavior = behavior;
        return ERR_OK;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "pre_tokenizer Split by \"%.100s\" with its behavior is "
                   "not supported",
                   literal.p);
}

static int load_split(struct pretok *p, const struct json *j, json_ref v,
                      struct err *err)
{
    json_ref pattern = json_get(j, v, "pattern");
    struct slice text;
    int rc;

    if (tokenizer_string(j, pattern, "String", &text))
        return load_literal(p, j, v, text, err);
    if (!tokenizer_string(j, pattern, "Regex", &text))
        return err_set(err, ERR_FORMAT, "pre_tokenizer Split has no pattern");
    rc = load_regex(p, j, v, text, err);
    free((void *)(uintptr_t)text.p);
    return rc;
}

/* The next separator from byte i on and its size; n: there is none. */
static size_t find_sep(const struct split_step *s, const char *p, size_t n,
                       size_t i, size_t *size)
{
    if (!s->is_sep) {
        const char *hit = memmem(p + i, n - i, s->literal.p, s->literal.n);

        *size = s->literal.n;
        return hit ? (size_t)(hit - p) : n;
    }
    for (; i < n; i += *size)
        if (s->is_sep((uint32_t)utf8_decode(p + i, n - i, size)))
            return i;
    return n;
}

static size_t class_piece(const struct split_step *s, const char *p, size_t n,
                          bool *drop)
{
    size_t at, end, sep = 0;

    at = find_sep(s, p, n, 0, &sep);
    if (s->behavior == SPLIT_PREVIOUS)
        return at < n ? at + sep : n;
    if (at > 0)
        return at;
    end = sep;
    if (s->behavior == SPLIT_NEXT)
        return find_sep(s, p, n, end, &sep);
    *drop = s->behavior == SPLIT_REMOVED;
    while (s->behavior == SPLIT_CONTIGUOUS && end < n &&
           find_sep(s, p, n, end, &sep) == end)
        end += sep;
    return end;
}

/* Inverted: what lies between matches joins the one before or after it. */
static int between_piece(const struct split_step *step, struct regex_scratch *s,
                         struct slice text, size_t at, size_t sep, size_t i,
                         size_t *end, struct err *err)
{
    size_t next, size;

    *end = at + sep; /* the match, and what was before it */
    if (step->behavior == SPLIT_NEXT)
        return 0;
    if (at > i) { /* nothing was before what begins here */
        *end = at;
        return 0;
    }
    if (*end == text.n)
        return 0;
    next = *end;
    return split_regex_find(step->regex, s, text, next, end, &size, err);
}

/* As class_piece, but in a text that is seen whole: a pattern may look back. */
static int regex_piece(const struct split_step *step, struct regex_scratch *s,
                       struct slice text, size_t i, size_t *end, bool *drop,
                       struct err *err)
{
    size_t at, sep;
    int rc = split_regex_find(step->regex, s, text, i, &at, &sep, err);

    if (rc < 0)
        return rc;
    if (step->invert &&
        (step->behavior == SPLIT_PREVIOUS || step->behavior == SPLIT_NEXT))
        return between_piece(step, s, text, at, sep, i, end, err);
    *end = at;
    if (step->behavior == SPLIT_PREVIOUS)
        *end = at + sep;
    *drop = step->behavior == SPLIT_REMOVED && step->invert == (at > i);
    if (at > i || step->behavior == SPLIT_PREVIOUS)
        return 0;
    *end = at + sep;
    if (step->behavior == SPLIT_NEXT)
        return split_regex_find(step->regex, s, text, *end, end, &sep, err);
    while (step->behavior == SPLIT_CONTIGUOUS && *end < text.n) {
        rc = split_regex_find(step->regex, s, text, *end, &at, &sep, err);
        if (rc < 0 || at > *end)
            return rc;
        *end += sep;
    }
    return 0;
}

int split_step_piece(const struct split_step *step,
                     const struct unicode_map *classes, struct regex_scratch *s,
                     struct slice text, size_t i, size_t *n, bool *drop,
                     struct err *err)
{
    size_t end = i;
    int rc = 0;

    *drop = false;
    if (step->match) {
        *n = step->match(classes, text.p + i, text.n - i);
    } else if (step->regex) {
        rc = regex_piece(step, s, text, i, &end, drop, err);
        *n = end - i;
    } else {
        *n = class_piece(step, text.p + i, text.n - i, drop);
    }
    return rc;
}

static int load_metaspace(struct pretok *p, const struct json *j, json_ref v,
                          struct err *err)
{
    json_ref scheme = json_get(j, v, "prepend_scheme");
    int rc;

    if (p->metaspace || p->byte_level)
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer Metaspace after another one that "
                       "changes the text is not supported");
    p->metaspace = true;
    p->shape_at = p->split_count;
    if (!tokenizer_string(j, v, "replacement", &p->replacement) ||
        !p->replacement.n)
        return err_set(err, ERR_FORMAT,
                       "pre_tokenizer Metaspace has no replacement");
    if (json_text_is(j, scheme, "first"))
        p->prepend = SHAPE_FIRST;
    else if (json_text_is(j, scheme, "never") ||
             !tokenizer_flag(j, v, "add_prefix_space", true))
        p->prepend = SHAPE_NEVER;
    else
        p->prepend = SHAPE_ALWAYS;
    if (!tokenizer_flag(j, v, "split", true))
        return ERR_OK;
    rc = add_split(p, NULL, err);
    if (rc < 0)
        return rc;
    p->split[p->split_count - 1].behavior = SPLIT_NEXT;
    p->split[p->split_count - 1].literal =
        (struct slice){ slice_dup(p->replacement), p->replacement.n };
    return ERR_OK;
}

static int load_class(struct pretok *p, const struct json *j, json_ref v,
                      struct err *err)
{
    enum split_behavior behavior = SPLIT_ISOLATED;
    int rc;

    if (tokenizer_type_is(j, v, "Digits"))
        return add_split(p,
                         tokenizer_flag(j, v, "individual_digits", false)
                             ? split_match_digit
                             : split_match_digits,
                         err);
    if (tokenizer_type_is(j, v, "Punctuation")) {
        if (json_present(json_get(j, v, "behavior")) &&
            !read_behavior(j, v, &behavior))
            return err_set(err, ERR_UNSUPPORTED,
                           "pre_tokenizer Punctuation with its behavior is "
                           "not supported");
        return add_class(p, is_punctuation, behavior, err);
    }
    rc = add_class(p, is_space, SPLIT_REMOVED, err);
    if (rc == ERR_OK && tokenizer_type_is(j, v, "Whitespace"))
        rc = add_class(p, is_no_word, SPLIT_CONTIGUOUS, err);
    if (rc == ERR_OK && tokenizer_type_is(j, v, "BertPreTokenizer"))
        rc = add_class(p, is_punctuation, SPLIT_ISOLATED, err);
    return rc;
}

static int load_delimiter(struct pretok *p, const struct json *j, json_ref v,
                          struct err *err)
{
    struct slice text;
    int rc;

    if (!tokenizer_string(j, v, "delimiter", &text) || !text.n)
        return err_set(err, ERR_FORMAT,
                       "pre_tokenizer CharDelimiterSplit has no delimiter");
    rc = add_split(p, NULL, err);
    if (rc < 0) {
        free((void *)(uintptr_t)text.p);
        return rc;
    }
    p->split[p->split_count - 1].literal = text;
    p->split[p->split_count - 1].behavior = SPLIT_REMOVED;
    return ERR_OK;
}

int pretok_load(struct pretok *p, const struct json *j, json_ref v,
                struct err *err)
{
    static const char *const classes[] = { "Digits", "Punctuation",
                                           "Whitespace", "WhitespaceSplit",
                                           "BertPreTokenizer" };
    json_ref list;
    int rc = ERR_OK;

    if (json_kind(j, v) == JSON_NULL)
        return ERR_OK;
    if (p->byte_level)
        return err_set(err, ERR_UNSUPPORTED,
                       "a pre_tokenizer after ByteLevel is not supported");
    if (tokenizer_type_is(j, v, "ByteLevel"))
        return load_byte_level(p, j, v, err);
    if (tokenizer_type_is(j, v, "Split"))
        return load_split(p, j, v, err);
    if (tokenizer_type_is(j, v, "Metaspace"))
        return load_metaspace(p, j, v, err);
    if (tokenizer_type_is(j, v, "CharDelimiterSplit"))
        return load_delimiter(p, j, v, err);
    for (unsigned i = 0; i < 5; i++)
        if (tokenizer_type_is(j, v, classes[i]))
            return load_class(p, j, v, err);
    if (!tokenizer_type_is(j, v, "Sequence"))
        return tokenizer_refuse(j, v, "pre_tokenizer", err);
    list = json_get(j, v, "pretokenizers");
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = pretok_load(p, j, e, err);
    return rc;
}

void pretok_release(struct pretok *p)
{
    free((void *)(uintptr_t)p->replacement.p);
    for (unsigned i = 0; i < p->split_count; i++) {
        free((void *)(uintptr_t)p->split[i].literal.p);
        regex_free(p->split[i].regex);
    }
}

static struct text_view shape_metaspace(const struct pretok *p,
                                        struct text_view v,
                                        struct text_build *out)
{
    struct slice r = p->replacement;
    size_t at = text_view_from(v, 0);
    bool has = v.p[0] == ' ' || (v.n >= r.n && memcmp(v.p, r.p, r.n) == 0);

    if (!has &&
        (p->prepend == SHAPE_ALWAYS || (p->prepend == SHAPE_FIRST && at == 0)))
        text_build_add(out, r.p, r.n, at, text_view_to(v, 1));
    for (size_t i = 0; i < v.n;) {
        const char *hit = memchr(v.p + i, ' ', v.n - i);
        size_t end = hit ? (size_t)(hit - v.p) : v.n;

        text_build_copy(out, v, i, end - i);
        if (hit)
            text_build_add(out, r.p, r.n, text_view_from(v, end),
                           text_view_to(v, end + 1));
        i = end + (hit != NULL);
    }
    return text_build_view(out);
}

struct text_view pretok_shape(const struct pretok *p, struct text_view v,
                              struct text_build *out)
{
    if (!v.n)
        return v;
    text_build_reset(out);
    if (p->metaspace)
        return shape_metaspace(p, v, out);
    if (p->prefix_space && v.p[0] != ' ') {
        size_t at = text_view_from(v, 0);

        text_build_add(out, " ", 1, at, text_view_to(v, 1));
        text_build_copy(out, v, 0, v.n);
        return text_build_view(out);
    }
    return v;
}

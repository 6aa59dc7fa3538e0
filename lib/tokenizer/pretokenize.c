/*
 * pretokenize.c - the pre_tokenizer part of a tokenizer.json
 *
 * Reduced at load time to at most one change of the text (a space in front,
 * or Metaspace's character for spaces) and a chain of splits. ByteLevel's
 * alphabet is not written out: the model reads bytes instead.
 */
#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static int add_split(struct pretok *p, split_match_fn *match, struct err *err)
{
    if (p->split_count == TOKENIZER_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "more than %d pre_tokenizers",
                       TOKENIZER_MAX_STEPS);
    p->split[p->split_count++] = (struct split_step){ .match = match };
    return ERR_OK;
}

static int load_byte_level(struct pretok *p, const struct json *j, json_ref v,
                           struct err *err)
{
    p->byte_level = true;
    p->prefix_space = tokenizer_flag(j, v, "add_prefix_space", true);
    if (p->prefix_space && p->split_count)
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer ByteLevel with add_prefix_space after "
                       "another one is not supported");
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

static int load_regex(struct pretok *p, const struct json *j, json_ref v,
                      struct slice regex, struct err *err)
{
    split_match_fn *match = is_cover(j, v) ? split_pattern_find(regex) : NULL;

    if (match)
        return add_split(p, match, err);
    return err_set(err, ERR_UNSUPPORTED,
                   "pre_tokenizer Split with the pattern %.200s is not "
                   "supported",
                   regex.p);
}

/* Takes over literal. */
static int load_literal(struct pretok *p, const struct json *j, json_ref v,
                        struct slice literal, struct err *err)
{
    static const char *const names[] = { "Isolated", "Removed",
                                         "MergedWithPrevious", "MergedWithNext",
                                         "Contiguous" };
    json_ref behavior = json_get(j, v, "behavior");
    int rc = add_split(p, NULL, err);

    if (rc < 0) {
        free((void *)(uintptr_t)literal.p);
        return rc;
    }
    p->split[p->split_count - 1].literal = literal;
    for (unsigned i = 0; i < 5 && literal.n; i++)
        if (json_text_is(j, behavior, names[i]) &&
            !tokenizer_flag(j, v, "invert", false)) {
            p->split[p->split_count - 1].behavior = (enum split_behavior)i;
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

size_t split_step_piece(const struct split_step *s,
                        const struct unicode_map *classes, const char *p,
                        size_t n, bool *drop)
{
    size_t sep = s->literal.n, at, end;
    const char *hit;

    if (s->match)
        return s->match(classes, p, n);
    hit = memmem(p, n, s->literal.p, sep);
    at = hit ? (size_t)(hit - p) : n;
    if (s->behavior == SPLIT_PREVIOUS)
        return hit ? at + sep : n;
    if (at > 0)
        return at;
    if (s->behavior == SPLIT_NEXT) {
        hit = memmem(p + sep, n - sep, s->literal.p, sep);
        return hit ? (size_t)(hit - p) : n;
    }
    *drop = s->behavior == SPLIT_REMOVED;
    for (end = sep; s->behavior == SPLIT_CONTIGUOUS && n - end >= sep &&
                    memcmp(p + end, s->literal.p, sep) == 0;)
        end += sep;
    return end;
}

static int load_metaspace(struct pretok *p, const struct json *j, json_ref v,
                          struct err *err)
{
    json_ref scheme = json_get(j, v, "prepend_scheme");

    if (p->split_count || p->metaspace || p->byte_level)
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer Metaspace after another one is not "
                       "supported");
    p->metaspace = true;
    if (!tokenizer_string(j, v, "replacement", &p->replacement))
        return err_set(err, ERR_FORMAT,
                       "pre_tokenizer Metaspace has no replacement");
    if (json_text_is(j, scheme, "first"))
        p->prepend = SHAPE_FIRST;
    else if (json_text_is(j, scheme, "never") ||
             !tokenizer_flag(j, v, "add_prefix_space", true))
        p->prepend = SHAPE_NEVER;
    else
        p->prepend = SHAPE_ALWAYS;
    p->split_metaspace = tokenizer_flag(j, v, "split", true);
    return ERR_OK;
}

int pretok_load(struct pretok *p, const struct json *j, json_ref v,
                struct err *err)
{
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
    if (tokenizer_type_is(j, v, "Digits"))
        return add_split(p,
                         tokenizer_flag(j, v, "individual_digits", false)
                             ? split_match_digit
                             : split_match_digits,
                         err);
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
    for (unsigned i = 0; i < p->split_count; i++)
        free((void *)(uintptr_t)p->split[i].literal.p);
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

/*
 * normalize.c - the normalizer part of a tokenizer.json
 *
 * A list of steps; each rewrites a text and keeps track of origins. A kind
 * that is not known is refused by name, never skipped.
 */
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_normal.h"
#include "unicode/unicode.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int load_replace(struct norm_step *s, const struct json *j, json_ref v,
                        struct err *err)
{
    json_ref pattern = json_get(j, v, "pattern");

    struct slice regex = { 0 };
    int rc = ERR_OK;

    s->kind = NORM_REPLACE;
    if (json_text_is(j, json_get(j, pattern, "Regex"), " {2,}"))
        s->kind = NORM_SPACES;
    else if (tokenizer_string(j, pattern, "Regex", &regex))
        rc = split_regex_compile(regex, &s->regex, err);
    else if (!tokenizer_string(j, pattern, "String", &s->a) || !s->a.n)
        rc = err_set(err, ERR_FORMAT, "normalizer Replace has no pattern");
    free((void *)(uintptr_t)regex.p);
    if (rc == ERR_OK && !tokenizer_string(j, v, "content", &s->b))
        rc = err_set(err, ERR_FORMAT, "normalizer Replace has no content");
    return rc;
}

static int add_step(struct norm *m, enum norm_kind kind, unsigned form,
                    struct err *err)
{
    if (m->count == TOKENIZER_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "more than %d normalizers",
                       TOKENIZER_MAX_STEPS);
    m->steps[m->count++] = (struct norm_step){ .kind = kind, .form = form };
    return ERR_OK;
}

/* Its four parts as steps of their own; accents go where letters are lowered
 * unless it says otherwise. */
static int load_bert(struct norm *m, const struct json *j, json_ref v,
                     struct err *err)
{
    bool lowers = tokenizer_flag(j, v, "lowercase", true);
    bool unaccents = tokenizer_flag(j, v, "strip_accents", lowers);
    int rc = ERR_OK;

    if (tokenizer_flag(j, v, "clean_text", true))
        rc = add_step(m, NORM_CLEAN, 0, err);
    if (rc == ERR_OK && tokenizer_flag(j, v, "handle_chinese_chars", true))
        rc = add_step(m, NORM_WIDE, 0, err);
    if (rc == ERR_OK && unaccents)
        rc = add_step(m, NORM_UNICODE, NORM_FORM_APART, err);
    if (rc == ERR_OK && unaccents)
        rc = add_step(m, NORM_UNACCENT, 0, err);
    if (rc == ERR_OK && lowers)
        rc = add_step(m, NORM_LOWER, 0, err);
    return rc;
}

static int load_charsmap(struct norm_step *s, const struct json *j, json_ref v,
                         struct err *err)
{
    struct slice text;
    int rc;

    if (!tokenizer_string(j, v, "precompiled_charsmap", &text))
        return err_set(err, ERR_FORMAT,
                       "normalizer Precompiled has no precompiled_charsmap");
    rc = charsmap_load(&s->map, text, err);
    free((void *)(uintptr_t)text.p);
    return rc;
}

static int load_step(struct norm *m, const struct json *j, json_ref v,
                     struct err *err)
{
    static const struct {
        const char *type;
        enum norm_kind kind;
        unsigned form;
    } known[] = {
        { "NFC", NORM_UNICODE, NORM_FORM_C },
        { "NFD", NORM_UNICODE, NORM_FORM_APART },
        { "NFKC", NORM_UNICODE, NORM_FORM_COMPATIBLE },
        { "NFKD", NORM_UNICODE, NORM_FORM_COMPATIBLE | NORM_FORM_APART },
        { "Lowercase", NORM_LOWER, 0 },
        { "StripAccents", NORM_UNMARK, 0 },
        { "Nmt", NORM_NMT, 0 },
        { "Strip", NORM_STRIP, 0 },
        { "Replace", NORM_REPLACE, 0 },
        { "Prepend", NORM_PREPEND, 0 },
        { "Precompiled", NORM_CHARSMAP, 0 },
        { "ByteLevel", NORM_BYTE_LEVEL, 0 },
    };
    struct norm_step *s = NULL;

    if (tokenizer_type_is(j, v, "BertNormalizer"))
        return load_bert(m, j, v, err);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !s; i++) {
        if (!tokenizer_type_is(j, v, known[i].type))
            continue;
        if (add_step(m, known[i].kind, known[i].form, err) < 0)
            return err->code;
        s = &m->steps[m->count - 1];
    }
    if (!s)
        return tokenizer_refuse(j, v, "normalizer", err);
    if (s->kind == NORM_REPLACE)
        return load_replace(s, j, v, err);
    if (s->kind == NORM_CHARSMAP)
        return load_charsmap(s, j, v, err);
    if (s->kind == NORM_STRIP)
        s->form = (tokenizer_flag(j, v, "strip_left", true) ? 1u : 0) |
                  (tokenizer_flag(j, v, "strip_right", true) ? 2u : 0);
    if (s->kind == NORM_PREPEND && !tokenizer_string(j, v, "prepend", &s->a))
        return err_set(err, ERR_FORMAT, "normalizer Prepend has no prepend");
    return ERR_OK;
}

int norm_load(struct norm *m, const struct json *j, json_ref v, struct err *err)
{
    json_ref list;
    int rc = ERR_OK;

    if (json_kind(j, v) == JSON_NULL)
        return ERR_OK;
    if (!tokenizer_type_is(j, v, "Sequence"))
        return load_step(m, j, v, err);
    list = json_get(j, v, "normalizers");
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = norm_load(m, j, e, err);
    return rc;
}

void norm_release(struct norm *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        free((void *)(uintptr_t)m->steps[i].a.p);
        free((void *)(uintptr_t)m->steps[i].b.p);
        charsmap_free(m->steps[i].map);
        regex_free(m->steps[i].regex);
    }
}

static void prepend(const struct norm_step *s, struct text_view v,
                    struct text_build *out)
{
    if (v.n) /* counts as part of the first character */
        text_build_add(out, s->a.p, s->a.n, text_view_from(v, 0),
                       text_view_to(v, 1));
    text_build_copy(out, v, 0, v.n);
}

/* Each match by b; an empty one stands for the byte before it. */
static int replace_regex(const struct norm_step *s, struct text_view v,
                         struct text_build *out, struct err *err)
{
    struct regex_scratch *scratch = regex_scratch_new();
    struct split_regex_cursor c = { 0 };
    size_t last = 0, at, size;
    int rc;

    while ((rc = split_regex_next(s->regex, scratch, (struct slice){ v.p, v.n },
                                  &c, &at, &size, err)) == 1) {
        size_t end = at + size, of = end ? end - 1 : 0;

        text_build_copy(out, v, last, at - last);
        text_build_add(out, s->b.p, s->b.n, text_view_from(v, of),
                       end ? text_view_to(v, end) : text_view_from(v, 0));
        last = end;
    }
    if (rc == 0)
        text_build_copy(out, v, last, v.n - last);
    regex_scratch_free(scratch);
    return rc;
}

/* Bytes as GPT-2's alphabet writes them; a character's later ones stand beside
 * its first. */
static void byte_level(struct text_view v, struct text_build *out)
{
    for (size_t i = 0, used; i < v.n; i += used) {
        (void)utf8_decode(v.p + i, v.n - i, &used);
        for (size_t k = i; k < i + used; k++) {
            char text[4];

            text_build_add(
                out, text,
                utf8_encode(byte_alphabet_char((unsigned char)v.p[k]), text),
                text_view_from(v, i), text_view_to(v, i + used));
        }
    }
}

static void replace(const struct norm_step *s, struct text_view v,
                    struct text_build *out)
{
    size_t i = 0;

    while (i < v.n) {
        const char *hit = memmem(v.p + i, v.n - i, s->a.p, s->a.n);
        size_t at = hit ? (size_t)(hit - v.p) : v.n;

        text_build_copy(out, v, i, at - i);
        if (!hit)
            return;
        i = at + s->a.n;
        /* As in the reference it stands for the last byte replaced. */
        text_build_add(out, s->b.p, s->b.n, text_view_from(v, i - 1),
                       text_view_to(v, i));
    }
}

/* Character by character: what stands around one does not matter. */
static void lower(struct text_view v, struct text_build *out)
{
    for (size_t i = 0, used; i < v.n; i += used) {
        const struct unicode_lower_case *c;
        uint32_t cp = (uint32_t)utf8_decode(v.p + i, v.n - i, &used);
        char text[4];

        if (cp < 0x80) {
            text[0] = (char)(cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp);
            text_build_add(out, text, 1, text_view_from(v, i),
                           text_view_to(v, i + 1));
            continue;
        }
        c = unicode_lower(cp);
        for (unsigned k = 0; c && k < 2 && c->to[k]; k++)
            text_build_add(out, text, utf8_encode(c->to[k], text),
                           text_view_from(v, i), text_view_to(v, i + used));
        if (!c)
            text_build_copy(out, v, i, used);
    }
}

int norm_apply(const struct norm *m, struct text_view *view,
               struct text_build two[2], struct err *err)
{
    struct text_view v = *view;
    int rc = ERR_OK;

    for (unsigned i = 0; i < m->count && rc == ERR_OK; i++) {
        /* Not the one that v may lie in. */
        struct text_build *out = &two[v.p == two[0].bytes.data];

        text_build_reset(out);
        switch (m->steps[i].kind) {
        case NORM_UNICODE: v = norm_unicode(v, m->steps[i].form, out); continue;
        case NORM_LOWER: lower(v, out); break;
        case NORM_PREPEND: prepend(&m->steps[i], v, out); break;
        case NORM_REPLACE:
            if (m->steps[i].regex)
                rc = replace_regex(&m->steps[i], v, out, err);
            else
                replace(&m->steps[i], v, out);
            break;
        case NORM_BYTE_LEVEL: byte_level(v, out); break;
        case NORM_CHARSMAP: charsmap_apply(m->steps[i].map, v, out); break;
        default: norm_characters(&m->steps[i], v, out); break;
        }
        v = text_build_view(out);
    }
    *view = v;
    return rc;
}

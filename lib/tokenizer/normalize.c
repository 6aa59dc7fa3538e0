/*
 * normalize.c - the normalizer part of a tokenizer.json
 *
 * A list of steps; each rewrites a text and keeps track of origins. A kind
 * that is not known is refused by name, never skipped.
 */
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_normal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int load_replace(struct norm_step *s, const struct json *j, json_ref v,
                        struct err *err)
{
    json_ref pattern = json_get(j, v, "pattern");

    s->kind = NORM_REPLACE;
    if (!tokenizer_string(j, pattern, "String", &s->a) || !s->a.n)
        return err_set(err, ERR_UNSUPPORTED,
                       "normalizer Replace with another pattern than a "
                       "string is not supported");
    if (!tokenizer_string(j, v, "content", &s->b))
        return err_set(err, ERR_FORMAT, "normalizer Replace has no content");
    return ERR_OK;
}

static int load_step(struct norm *m, const struct json *j, json_ref v,
                     struct err *err)
{
    struct norm_step *s;

    if (m->count == TOKENIZER_MAX_STEPS)
        return err_set(err, ERR_LIMIT, "more than %d normalizers",
                       TOKENIZER_MAX_STEPS);
    s = &m->steps[m->count];
    *s = (struct norm_step){ 0 };
    if (tokenizer_type_is(j, v, "Replace")) {
        m->count++;
        return load_replace(s, j, v, err);
    }
    if (tokenizer_type_is(j, v, "Prepend")) {
        m->count++;
        s->kind = NORM_PREPEND;
        if (!tokenizer_string(j, v, "prepend", &s->a))
            return err_set(err, ERR_FORMAT,
                           "normalizer Prepend has no prepend");
        return ERR_OK;
    }
    if (tokenizer_type_is(j, v, "NFC") ||
        tokenizer_type_is(j, v, "Lowercase")) {
        m->count++;
        s->kind = tokenizer_type_is(j, v, "NFC") ? NORM_NFC : NORM_LOWER;
        return ERR_OK;
    }
    return tokenizer_refuse(j, v, "normalizer", err);
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
        text_build_add(out, s->b.p, s->b.n, text_view_from(v, at),
                       text_view_to(v, i));
    }
}

static const struct unicode_lower_case *lower_case(uint32_t cp)
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
        c = lower_case(cp);
        for (unsigned k = 0; c && k < 2 && c->to[k]; k++)
            text_build_add(out, text, utf8_encode(c->to[k], text),
                           text_view_from(v, i), text_view_to(v, i + used));
        if (!c)
            text_build_copy(out, v, i, used);
    }
}

struct text_view norm_apply(const struct norm *m, struct text_view v,
                            struct text_build two[2])
{
    for (unsigned i = 0; i < m->count; i++) {
        /* Not the one that v may lie in. */
        struct text_build *out = &two[v.p == two[0].bytes.data];

        text_build_reset(out);
        switch (m->steps[i].kind) {
        case NORM_NFC: v = norm_nfc(v, out); continue;
        case NORM_LOWER: lower(v, out); break;
        case NORM_PREPEND: prepend(&m->steps[i], v, out); break;
        case NORM_REPLACE: replace(&m->steps[i], v, out); break;
        }
        v = text_build_view(out);
    }
    return v;
}

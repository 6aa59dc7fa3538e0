/*
 * normalize_characters.c - normalizer steps that look at single characters
 *
 * The four parts of BertNormalizer, StripAccents, Strip, Nmt and the one
 * regular expression that normalizers use (two or more spaces). What a
 * character is comes from tables made by asking the reference.
 */
#include "tokenizer/tokenizer_internal.h"
#include "tokenizer/unicode_normal.h"

/* What Nmt deletes, and what it makes a space. */
static bool nmt_deletes(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) ||
           c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool nmt_blanks(uint32_t c)
{
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
           c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

static void one(const struct norm_step *s, struct text_view v, size_t i,
                size_t used, uint32_t cp, struct text_build *out)
{
    size_t from = text_view_from(v, i), to = text_view_to(v, i + used);
    unsigned traits = s->kind == NORM_NMT ? 0 : unicode_traits_of(cp);
    bool drop = false, blank = false;

    switch (s->kind) {
    case NORM_CLEAN:
        drop = traits & UT_CLEANED;
        blank = traits & UT_BLANK;
        break;
    case NORM_UNACCENT: drop = traits & UT_ACCENT; break;
    case NORM_UNMARK: drop = traits & UT_MARK; break;
    case NORM_NMT:
        drop = nmt_deletes(cp);
        blank = nmt_blanks(cp);
        break;
    case NORM_WIDE:
        if (!(traits & UT_IDEOGRAPH))
            break;
        text_build_add(out, " ", 1, from, to);
        text_build_copy(out, v, i, used);
        text_build_add(out, " ", 1, from, to);
        return;
    default: break;
    }
    if (blank)
        text_build_add(out, " ", 1, from, to);
    else if (!drop)
        text_build_copy(out, v, i, used);
}

static bool is_space(const char *p, size_t n, size_t *used)
{
    return unicode_class_at(unicode_map_get(), p, n, used) & UC_SPACE;
}

static void strip(const struct norm_step *s, struct text_view v,
                  struct text_build *out)
{
    size_t begin = 0, end = v.n, used;

    while (s->form & 1 && begin < end &&
           is_space(v.p + begin, end - begin, &used))
        begin += used;
    while (s->form & 2 && end > begin) {
        size_t at = end - 1;

        while (at > begin && (v.p[at] & 0xC0) == 0x80)
            at--;
        if (!is_space(v.p + at, end - at, &used))
            break;
        end = at;
    }
    text_build_copy(out, v, begin, end - begin);
}

static void spaces(const struct norm_step *s, struct text_view v,
                   struct text_build *out)
{
    for (size_t i = 0, end; i < v.n; i = end) {
        for (end = i; end < v.n && v.p[end] == ' ';)
            end++;
        if (end - i >= 2) {
            text_build_add(out, s->b.p, s->b.n, text_view_from(v, end - 1),
                           text_view_to(v, end));
            continue;
        }
        while (end < v.n && v.p[end] != ' ')
            end++;
        text_build_copy(out, v, i, end - i);
    }
}

void norm_characters(const struct norm_step *s, struct text_view v,
                     struct text_build *out)
{
    if (s->kind == NORM_STRIP) {
        strip(s, v, out);
        return;
    }
    if (s->kind == NORM_SPACES) {
        spaces(s, v, out);
        return;
    }
    for (size_t i = 0, used; i < v.n; i += used) {
        uint32_t cp = (uint32_t)utf8_decode(v.p + i, v.n - i, &used);

        one(s, v, i, used, cp, out);
    }
}

/*
 * scrub_names_forms.c - the other forms of a person's name
 *
 * SMITH, "Smith, John", "J. Smith", john_smith: who is known by one form is
 * known by all. A word of the language is a name only with its capital, and
 * words that begin every other sentence ("Will") only beside the rest. No
 * nicknames, and no guess where a name of one word is a first or a last one.
 */
#include "scrub/scrub_names.h"

#include "base/ascii.h"
#include "names/names.h"
#include "scrub/scrub_fake.h"
#include "scrub/scrub_priv.h"

#include <string.h>

enum casing { LOWER, TITLE, UPPER };

static bool is_letter(char c)
{
    return scrub_is_alnum(c) || (unsigned char)c >= 0x80;
}

static bool is_mixed(struct slice v)
{
    for (size_t i = 0; i + 1 < v.n; i++)
        if (ascii_is_upper(v.p[i]) && ascii_is_lower(v.p[i + 1]))
            return true;
    return false;
}

static char upper(char c)
{
    return (char)(ascii_is_lower(c) ? c & ~0x20 : c);
}

/* ASCII letters only; words of mixed case keep it as a title. */
static void add_cased(struct buf *out, struct slice v, enum casing casing)
{
    char *to = buf_reserve(out, v.n);

    if (!to)
        return;
    if (casing == LOWER) {
        for (size_t i = 0; i < v.n; i++)
            to[i] = ascii_lower(v.p[i]);
    } else if (casing == UPPER) {
        for (size_t i = 0; i < v.n; i++)
            to[i] = upper(v.p[i]);
    } else if (is_mixed(v)) {
        memcpy(to, v.p, v.n);
    } else {
        for (size_t i = 0; i < v.n; i++)
            to[i] = i && is_letter(v.p[i - 1]) ? ascii_lower(v.p[i])
                                               : upper(v.p[i]);
    }
    out->len += v.n;
    out->data[out->len] = '\0';
}

bool scrub_name_tells(const struct names *m, struct slice word)
{
    return word.n >= SCRUB_NOTE_MIN &&
           !(names_in(m, word) &
             (NAMES_BIT(NAMES_LIST_COMMON) | NAMES_BIT(NAMES_LIST_FOREIGN) |
              NAMES_BIT(NAMES_LIST_TITLE) |
              NAMES_BIT(NAMES_LIST_ORGANIZATION))) &&
           !scrub_is_code_word(word);
}

/* Begins sentences, or stands inside names of many people. */
static bool is_small_word(struct slice word)
{
    static const char list[] =
        " will may can so an do in no you long just dear hope see my he me we "
        "to the and for but not are was has had how who why what when where "
        "this that with from your our all any one two new now yes van von der "
        "den del della dos das bin ibn should would could have please best "
        "rich grant mark bill page day way ";
    char padded[16];

    if (word.n + 2 > sizeof(padded))
        return false;
    padded[0] = ' ';
    for (size_t i = 0; i < word.n; i++)
        padded[i + 1] = (char)(word.p[i] | 0x20);
    padded[word.n + 1] = ' ';
    return memmem(list, sizeof(list) - 1, padded, word.n + 2) != NULL;
}

#define GLUED_MIN 8 /* bytes of "owenjones" that are told in any word */

struct forms {
    const struct names *m;
    struct scrub_late *late; /* may be NULL */
    struct buf text;         /* the form in the making */
    scrub_form_fn *fn;
    void *ctx;
};

static void tell(struct forms *f, unsigned how)
{
    f->fn(f->ctx, buf_slice(&f->text), how);
    buf_reset(&f->text);
}

static void tell_cased(struct forms *f, struct slice v, enum casing casing,
                       bool account)
{
    add_cased(&f->text, v, casing);
    tell(f, account ? SCRUB_FORM_ACCOUNT : 0);
}

static void tell_joined(struct forms *f, struct slice a, const char *between,
                        struct slice b, enum casing casing)
{
    add_cased(&f->text, a, casing);
    buf_str(&f->text, between);
    add_cased(&f->text, b, casing);
    tell(f, (!*between || *between == '_' ? SCRUB_FORM_ACCOUNT : 0) |
                (!*between && a.n >= SCRUB_NOTE_MIN && b.n >= SCRUB_NOTE_MIN &&
                         a.n + b.n >= GLUED_MIN
                     ? SCRUB_FORM_GLUED
                     : 0));
}

/* One word; what the language has, too, is no name in code. */
static void tell_plain(struct forms *f, struct slice word, enum casing casing,
                       bool telling)
{
    add_cased(&f->text, word, casing);
    tell(f, !telling          ? SCRUB_FORM_ORDINARY
            : casing == TITLE ? SCRUB_FORM_ACCOUNT
                              : 0);
}

/* "Ng", "Xu", "Jo": a name to a list, and no word of any other. */
static bool tells_short(const struct names *m, struct slice word)
{
    unsigned in = names_in(m, word);

    return (in & (NAMES_BIT(NAMES_LIST_FIRST) | NAMES_BIT(NAMES_LIST_LAST))) &&
           !(in & (NAMES_BIT(NAMES_LIST_COMMON) |
                   NAMES_BIT(NAMES_LIST_FOREIGN) | NAMES_BIT(NAMES_LIST_TITLE) |
                   NAMES_BIT(NAMES_LIST_ORGANIZATION))) &&
           !is_small_word(word);
}

static void tell_word(struct forms *f, struct slice word, bool alone, bool last)
{
    bool telling = scrub_name_tells(f->m, word);

    if (word.n == SCRUB_SHORT && tells_short(f->m, word)) {
        add_cased(&f->text, word, TITLE);
        tell(f, SCRUB_FORM_SHORT);
    }
    if (word.n < SCRUB_NOTE_MIN)
        return;
    if (!telling &&
        (is_small_word(word) ||
         (names_is(f->m, NAMES_LIST_TITLE, word) && (alone || !last)) ||
         names_is(f->m, NAMES_LIST_ORGANIZATION, word) ||
         (!names_is(f->m, NAMES_LIST_LAST, word) &&
          !names_is(f->m, NAMES_LIST_FIRST, word) &&
          !scrub_is_code_word(word))))
        return;
    if (telling)
        tell_cased(f, word, LOWER, true);
    tell_plain(f, word, TITLE, telling);
    tell_plain(f, word, UPPER, telling);
}

static void tell_words(struct forms *f, struct slice v)
{
    size_t i = 0;

    while (i < v.n) {
        size_t from = i;

        while (i < v.n && is_letter(v.p[i]))
            i++;
        if (i > from)
            tell_word(f, (struct slice){ v.p + from, i - from },
                      i - from == v.n, i == v.n);
        i += i == from || i < v.n;
    }
}

/* "john_smith", "john-smith", "JohnSmith.pdf": nothing but the name has both
 * words so. apart: each word is sought by itself, but for digits behind them;
 * telling: one of them is no word of the language. */
static void tell_glued(struct forms *f, struct slice first, struct slice last,
                       bool apart, bool telling)
{
    static const char *const between[] = { "_", "-", "." };

    for (size_t i = 0; i < (apart ? 1 : 3); i++)
        for (int c = LOWER; c <= UPPER; c++)
            tell_joined(f, first, between[i], last, (enum casing)c);
    if (!telling)
        return;
    tell_joined(f, first, "", last, LOWER);
    tell_joined(f, first, "", last, TITLE);
    add_cased(&f->text, first, LOWER);
    tell_joined(f, (struct slice){ "", 0 }, "", last, TITLE);
}

/* "jsmith", "smithj", "SmithJ" */
static void tell_initial(struct forms *f, struct slice first, struct slice last,
                         bool telling)
{
    struct slice initial = { first.p, 1 };

    if ((unsigned char)first.p[0] >= 0x80)
        return;
    tell_joined(f, initial, ". ", last, TITLE);
    if (!telling)
        return;
    tell_joined(f, initial, "", last, LOWER);
    tell_joined(f, last, "", initial, LOWER);
    tell_joined(f, last, "", initial, TITLE);
}

/* "Peter S." */
static void tell_short_last(struct forms *f, struct slice first,
                            struct slice last)
{
    if (!ascii_is_upper(last.p[0]))
        return;
    add_cased(&f->text, first, TITLE);
    buf_printf(&f->text, " %c.", last.p[0]);
    tell(f, 0);
}

static void tell_whole(struct forms *f, struct slice first, struct slice last)
{
    bool one = scrub_name_tells(f->m, first);
    bool other = scrub_name_tells(f->m, last), apart = one && other;

    tell_glued(f, first, last, apart, one || other);
    tell_initial(f, first, last, other);
    tell_short_last(f, first, last);
    if (apart)
        return;
    tell_joined(f, last, "-", first, LOWER);
    tell_joined(f, last, "_", first, LOWER);
    tell_joined(f, last, ".", first, LOWER);
    tell_joined(f, first, " ", last, LOWER);
    tell_joined(f, first, " ", last, TITLE);
    tell_joined(f, first, " ", last, UPPER);
    if (one || other)
        tell_joined(f, last, ", ", first, LOWER); /* no "price, rose" */
    tell_joined(f, last, ", ", first, TITLE);
    tell_joined(f, last, ", ", first, UPPER);
    tell_joined(f, last, " ", first, UPPER);
}

/* Two words that are names to the lists, and one of them no word of the
 * language. */
static bool is_listed(const struct names *m, struct slice first,
                      struct slice last)
{
    return scrub_name_tells(m, first) && names_is(m, NAMES_LIST_FIRST, first) &&
           names_is(m, NAMES_LIST_LAST, last);
}

/* First and last of its words. */
static bool split(struct slice v, struct slice *first, struct slice *last)
{
    const char *comma = memmem(v.p, v.n, ", ", 2), *end = v.p + v.n;
    const char *blank = memchr(v.p, ' ', v.n), *back;

    if (comma) {
        *first = (struct slice){ comma + 2, (size_t)(end - comma - 2) };
        *last = (struct slice){ v.p, (size_t)(comma - v.p) };
        return last->n && first->n && !memchr(first->p, ' ', first->n);
    }
    if (!blank || blank == v.p)
        return false;
    back = memrchr(v.p, ' ', v.n);
    *first = (struct slice){ v.p, (size_t)(blank - v.p) };
    *last = (struct slice){ back + 1, (size_t)(end - back - 1) };
    return last->n > 0;
}

static void tell_forms(struct forms *f, struct slice v, bool noted)
{
    struct slice first, last;

    tell_words(f, v);
    if (split(v, &first, &last) &&
        !(f->late && scrub_late_add(f->late, v, first, last, noted)))
        tell_whole(f, first, last);
}

/* O'Neil is ONEIL in accounts and O''Neil in SQL. */
static void tell_apostrophes(struct forms *f, struct slice word)
{
    struct buf bare = { 0 }, twice = { 0 };

    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '\'')
            buf_str(&twice, "''");
        else
            buf_char(&twice, word.p[i]);
        if (word.p[i] != '\'')
            buf_char(&bare, word.p[i]);
    }
    if (bare.len >= SCRUB_NOTE_MIN + 1) {
        tell_cased(f, buf_slice(&bare), LOWER, true);
        tell_cased(f, buf_slice(&bare), UPPER, false);
        f->fn(f->ctx, buf_slice(&bare), SCRUB_FORM_ACCOUNT);
        f->fn(f->ctx, buf_slice(&twice), 0);
        f->fn(f->ctx, word, 0);
        tell_cased(f, word, LOWER, false);
        tell_cased(f, word, UPPER, false);
    }
    buf_release(&bare);
    buf_release(&twice);
}

/* A double name as SQL has it. */
static void tell_doubled(struct forms *f, struct slice word)
{
    struct buf twice = { 0 };

    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '\'')
            buf_char(&twice, '\'');
        buf_char(&twice, word.p[i]);
    }
    f->fn(f->ctx, buf_slice(&twice), 0);
    buf_release(&twice);
}

static void each_apostrophe(struct forms *f, struct slice v)
{
    const char *last = memrchr(v.p, ' ', v.n);
    struct slice tail = v;

    if (last)
        tail = (struct slice){ last + 1, (size_t)(v.p + v.n - last) - 1 };
    if (memchr(tail.p, '\'', tail.n) && memchr(tail.p, '-', tail.n))
        tell_doubled(f, tail);
    for (size_t i = 0; i < v.n;) {
        struct slice word = { v.p + i, 0 };

        while (i + word.n < v.n &&
               (is_letter(word.p[word.n]) || word.p[word.n] == '\''))
            word.n++;
        i += word.n + 1;
        if (word.n > 2 && memchr(word.p + 1, '\'', word.n - 2))
            tell_apostrophes(f, word);
    }
}

/* What German writes for its own letters where there is only ASCII. */
const char *scrub_spelt_out(uint32_t cp)
{
    switch (cp) {
    case 0xC4:
    case 0xE4: return "ae";
    case 0xD6:
    case 0xF6: return "oe";
    case 0xDC:
    case 0xFC: return "ue";
    case 0xDF: return "ss";
    default: return NULL;
    }
}

/* The name as accounts and addresses have it: "Mueller", or "Muller". False:
 * that is as it was, or no ASCII. */
static bool put_ascii(struct slice v, bool spell, struct buf *out)
{
    bool any = false;

    buf_reset(out);
    for (size_t i = 0, used = 1; i < v.n; i += used) {
        int32_t cp = utf8_decode(v.p + i, v.n - i, &used);
        const char *s = cp < 0 ? NULL : scrub_spelt_out((uint32_t)cp);

        if (cp < 0)
            return false;
        if (cp < 0x80) {
            buf_char(out, (char)cp);
            continue;
        }
        any |= !spell || s;
        if (spell && s) {
            buf_str(out, s);
            continue;
        }
        cp = (int32_t)scrub_fold_letter((uint32_t)cp, true);
        if (cp >= 0x80)
            return false;
        if (scrub_is_alnum((char)cp))
            buf_char(out, (char)cp);
    }
    return any;
}

static void tell_unsure(struct forms *f, struct slice v)
{
    const char *blank = memchr(v.p, ' ', v.n);
    struct slice first, last;

    if (!blank || blank != memrchr(v.p, ' ', v.n))
        return;
    first = (struct slice){ v.p, (size_t)(blank - v.p) };
    last = (struct slice){ blank + 1, v.n - first.n - 1 };
    if (!is_listed(f->m, first, last))
        return;
    tell_glued(f, first, last, false, true);
    tell_joined(f, first, " ", last, LOWER);
    tell_joined(f, first, " ", last, UPPER);
}

void scrub_name_forms(const struct names *m, struct slice v, bool sure,
                      struct scrub_late *late, scrub_form_fn *fn, void *ctx)
{
    struct forms f = { .m = m, .late = late, .fn = fn, .ctx = ctx };
    struct buf ascii = { 0 };

    if (!sure) {
        tell_unsure(&f, v);
        buf_release(&f.text);
        return;
    }
    tell_forms(&f, v, true);
    each_apostrophe(&f, v);
    for (int spell = 0; spell < 2; spell++)
        if (put_ascii(v, spell, &ascii))
            tell_forms(&f, buf_slice(&ascii), false);
    buf_release(&ascii);
    buf_release(&f.text);
}

void scrub_name_pair_forms(const struct names *m, struct slice first,
                           struct slice last, scrub_form_fn *fn, void *ctx)
{
    struct forms f = { .m = m, .fn = fn, .ctx = ctx };

    tell_whole(&f, first, last);
    buf_release(&f.text);
}

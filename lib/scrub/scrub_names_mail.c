/*
 * scrub_names_mail.c - names that the address beside them bears out
 *
 * "Will Price (wprice@x.com)": where the part before the @ is made of two
 * capitalised words nearby they are a person, whatever else they are; so is a
 * name that is found elsewhere in the record, and whom a header names beside
 * the address in brackets. No guess from the address alone,
 * and none from one word.
 */
#include "scrub/scrub_fake.h"
#include "scrub/scrub_names.h"
#include "names/names.h"

#include <string.h>

#define NEAR 160 /* bytes before and behind the address */
#define WORD_BYTES 40
#define LEAST 3 /* letters of a word that says who it is */

/* A capitalised word and what it folds to. */
struct word {
    size_t start, end;
    size_t n;
    char fold[SCRUB_FOLD_ROOM(WORD_BYTES)];
};

static bool in_word(char c)
{
    return (unsigned char)c >= 0x80 ||
           (scrub_is_alnum(c) && !scrub_is_digit(c));
}

static bool in_local(char c)
{
    return scrub_is_alnum(c) || memchr("._+-", c, 4);
}

/* The next capitalised word from *at on. */
static bool next_word(struct slice t, size_t *at, size_t end, struct word *w)
{
    while (*at < end) {
        size_t from = *at, n;

        while (*at < end &&
               (in_word(t.p[*at]) || (*at > from && *at + 1 < end &&
                                      (t.p[*at] == '\'' || t.p[*at] == '-') &&
                                      in_word(t.p[*at + 1]))))
            ++*at;
        n = *at - from;
        *at += !n;
        if (n < 2 || n > WORD_BYTES ||
            !((t.p[from] >= 'A' && t.p[from] <= 'Z') ||
              (unsigned char)t.p[from] == 0xC3 ||
              (unsigned char)t.p[from] == 0xC5) ||
            (from && (scrub_is_alnum(t.p[from - 1]) ||
                      memchr("@_./", t.p[from - 1], 4))))
            continue;
        w->start = from;
        w->end = *at;
        w->n = scrub_fold_into((struct slice){ t.p + from, n }, w->fold);
        return true;
    }
    return false;
}

/* v is a, then the first m letters of b. */
static bool is_both(struct slice v, const struct word *a, size_t an,
                    const struct word *b, size_t bn)
{
    return v.n == an + bn && an <= a->n && bn <= b->n &&
           memcmp(v.p, a->fold, an) == 0 && memcmp(v.p + an, b->fold, bn) == 0;
}

static bool is_made_of(struct slice v, const struct word *a,
                       const struct word *b)
{
    return (b->n >= LEAST && is_both(v, a, 1, b, b->n)) ||
           (b->n >= LEAST && is_both(v, b, b->n, a, 1)) ||
           (a->n >= LEAST && is_both(v, a, a->n, b, 1)) ||
           is_both(v, a, a->n, b, b->n) || is_both(v, b, b->n, a, a->n);
}

static bool is_word(struct slice v, const struct word *w)
{
    return w->n >= LEAST && v.n == w->n && memcmp(v.p, w->fold, v.n) == 0;
}

/* Nothing but marks stands between the name and the address. */
static bool is_beside(struct slice t, size_t end, size_t local)
{
    if (local < end || local - end > 4)
        return false;
    for (size_t i = end; i < local; i++)
        if (!memchr(" <([\"':,|\t", t.p[i], 10))
            return false;
    return true;
}

/* "Customer Service", "Help Desk" */
static bool is_office(const struct word *w)
{
    static const char *const more[] = {
        "customer", "desk",  "group", "news", "newsletter", "shop",
        "store",    "care",  "bank",  "data", "account",    "accounts",
        "project",  "email", "mail",  "web",  "online",     "services",
    };
    struct slice v = { w->fold, w->n };

    return scrub_is_office(v) ||
           scrub_is_one_of(v, more, sizeof(more) / sizeof(*more));
}

static bool is_name(struct slice t, const struct word *a, const struct word *b,
                    struct slice letters, size_t local)
{
    bool comma = b->start - a->end == 2 && t.p[a->end] == ',';

    if ((b->start - a->end != 1 && !comma) || t.p[b->start - 1] != ' ' ||
        is_office(a) || is_office(b))
        return false;
    return is_made_of(letters, a, b) ||
           (is_beside(t, b->end, local) &&
            (is_word(letters, a) || is_word(letters, b)));
}

/* "Joy Bell <jb@x.com>", "jb@x.com (Joy Bell)" */
static bool is_bracketed(struct slice t, const struct word *a,
                         const struct word *b, size_t local)
{
    if (b->end < local)
        return local - b->end == 2 && t.p[local - 1] == '<';
    return a->start > local + 2 && t.p[a->start - 1] == '(' &&
           t.p[a->start - 2] == ' ' && b->end < t.n && t.p[b->end] == ')' &&
           !memchr(t.p + local, ' ', a->start - 2 - local);
}

/* Whom a mail's header names, by the initials or the lists. */
static bool is_addressed(const struct names *m, struct slice t,
                         const struct word *a, const struct word *b,
                         struct slice letters, size_t local)
{
    struct slice first = { t.p + a->start, a->end - a->start };
    struct slice last = { t.p + b->start, b->end - b->start };

    if (b->start - a->end != 1 || t.p[a->end] != ' ' || is_office(a) ||
        is_office(b) || !is_bracketed(t, a, b, local))
        return false;
    return (letters.n == 2 && letters.p[0] == a->fold[0] &&
            letters.p[1] == b->fold[0]) ||
           (names_is(m, NAMES_LIST_FIRST, first) &&
            names_is(m, NAMES_LIST_LAST, last));
}

/* Letters of the local part that ends at `at`, folded. */
static size_t read_local(struct slice t, size_t at, size_t *local, char *fold)
{
    size_t from = at, n = 0;

    while (from && at - from < SCRUB_LOCAL_MAX && in_local(t.p[from - 1]))
        from--;
    *local = from;
    for (size_t i = from; i < at; i++)
        if (in_word(t.p[i]))
            fold[n++] = (char)(t.p[i] | 0x20);
    return n;
}

static bool is_only_name(const struct names *m, enum names_list list,
                         struct slice word)
{
    return names_is(m, list, word) && scrub_name_tells(m, word);
}

/* Bytes of letters from i on. */
static size_t letters_at(struct slice t, size_t i)
{
    size_t from = i;

    while (i < t.n && in_word(t.p[i]))
        i++;
    return i - from;
}

static bool is_handle(const struct names *m, struct slice t, size_t at,
                      struct scrub_mail_name *out)
{
    size_t first = letters_at(t, at), last, end;

    if (first < LEAST || first > WORD_BYTES || at + first >= t.n ||
        (t.p[at + first] != '.' && t.p[at + first] != '_'))
        return false;
    last = letters_at(t, at + first + 1);
    end = at + first + 1 + last;
    if (last < LEAST || last > WORD_BYTES ||
        (end < t.n &&
         (scrub_is_alnum(t.p[end]) || strchr("(/@_-", t.p[end]))) ||
        (end + 1 < t.n && t.p[end] == '.' && in_word(t.p[end + 1])))
        return false;
    *out = (struct scrub_mail_name){ at, end };
    return is_only_name(m, NAMES_LIST_FIRST,
                        (struct slice){ t.p + at, first }) &&
           is_only_name(m, NAMES_LIST_LAST,
                        (struct slice){ t.p + at + first + 1, last });
}

bool scrub_locals_bear(const struct scrub_locals *l, struct slice v)
{
    struct word a, b;
    size_t at = 0;

    if (!l->count || !next_word(v, &at, v.n, &a) ||
        !next_word(v, &at, v.n, &b) || a.start || b.end != v.n ||
        b.start - a.end != 1 || is_office(&a) || is_office(&b))
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (is_made_of((struct slice){ l->fold[i], l->n[i] }, &a, &b))
            return true;
    return false;
}

/* What the letters of an address bear out near it. */
static size_t find_near(const struct names *m, struct slice t, size_t local,
                        size_t from, struct slice letters,
                        struct scrub_mail_name *out, size_t max)
{
    size_t i = local > NEAR ? local - NEAR : 0, count = 0;
    size_t end = t.n - from > NEAR ? from + NEAR : t.n;
    struct word w[2];
    unsigned k = 0;

    while (i < end && in_word(t.p[i]) && i && in_word(t.p[i - 1]))
        i++;
    w[1].end = SIZE_MAX;
    for (; count < max && next_word(t, &i, end, &w[k]); k = 1 - k) {
        const struct word *a = &w[1 - k], *b = &w[k];

        if (a->end == SIZE_MAX || b->start <= a->end ||
            !(is_name(t, a, b, letters, local) ||
              is_addressed(m, t, a, b, letters, local)) ||
            (count && out[count - 1].end > a->start))
            continue;
        out[count++] = (struct scrub_mail_name){ a->start, b->end };
    }
    return count;
}

size_t scrub_mail_names(const struct names *m, struct slice t,
                        struct scrub_locals *locals,
                        struct scrub_mail_name *out, size_t max)
{
    size_t count = 0, from = 0;
    const char *hit;

    while (count < max && from < t.n &&
           (hit = memchr(t.p + from, '@', t.n - from)) != NULL) {
        char fold[SCRUB_LOCAL_MAX];
        size_t at = (size_t)(hit - t.p), local;
        struct slice letters = { fold, read_local(t, at, &local, fold) };

        from = at + 1;
        if (local == at)
            count += is_handle(m, t, from, &out[count]);
        if (!letters.n || from >= t.n || !scrub_is_alnum(t.p[from]))
            continue;
        if (letters.n >= LEAST && locals->count < SCRUB_LOCALS) {
            memcpy(locals->fold[locals->count], fold, letters.n);
            locals->n[locals->count++] = letters.n;
        }
        count +=
            find_near(m, t, local, from, letters, out + count, max - count);
    }
    return count;
}

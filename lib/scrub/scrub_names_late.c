/*
 * scrub_names_late.c - names whose forms of both words are not told yet
 *
 * A name of two words has a score of forms, and next to no text has one of
 * them. They are told when a text comes in which one may stand; what is read
 * here is where, not which.
 */
#include "scrub/scrub_names.h"
#include "scrub/scrub_priv.h"

#include <string.h>

static bool is_same(char a, char b)
{
    return a == b ||
           ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
}

/* Word w stands at i, in whatever case. */
static bool stands(struct slice t, size_t i, struct slice w)
{
    if (i > t.n || w.n > t.n - i)
        return false;
    for (size_t k = 0; k < w.n; k++)
        if (!is_same(t.p[i + k], w.p[k]))
            return false;
    return true;
}

static struct slice moved(struct slice part, struct slice from, const char *to)
{
    return (struct slice){ to + (part.p - from.p), part.n };
}

bool scrub_late_add(struct scrub_late *l, struct slice v, struct slice first,
                    struct slice last, bool noted)
{
    char *to = l->text + l->used;
    size_t words = first.n + last.n + (first.p > last.p ? 2 : 1);

    if (l->count == SCRUB_LATE_MAX || v.n > sizeof(l->text) - l->used ||
        first.n < 2 || last.n < 2 ||
        (is_same(first.p[0], last.p[0]) && is_same(first.p[1], last.p[1])))
        return false;
    memcpy(to, v.p, v.n);
    l->used += v.n;
    l->item[l->count].first = moved(first, v, to);
    l->item[l->count].last = moved(last, v, to);
    l->item[l->count++].own =
        (struct slice){ to, noted && v.n == words ? v.n : 0 };
    return true;
}

/* "john_smith", "JohnSmith", "john smith" */
static bool begins_with_first(struct slice t, size_t at, struct slice first,
                              struct slice last)
{
    size_t i = at + first.n;

    if (!stands(t, at, first) || i >= t.n)
        return false;
    return stands(t, i, last) ||
           (memchr("_-. ", t.p[i], 4) && stands(t, i + 1, last)) ||
           (t.n - i > 2 && t.p[i] == ' ' && t.p[i + 1] == last.p[0] &&
            t.p[i + 2] == '.'); /* Peter S. */
}

/* "Smith, John", "SMITH JOHN", "smithj", "smith-john" */
static bool begins_with_last(struct slice t, size_t at, struct slice first,
                             struct slice last)
{
    size_t i = at + last.n;

    if (!stands(t, at, last) || i >= t.n)
        return false;
    i += t.p[i] == ',';
    i += i < t.n && memchr(" -_.", t.p[i], 4);
    return i < t.n && (i == at + last.n ? is_same(t.p[i], first.p[0])
                                        : stands(t, i, first));
}

/* "jsmith", "J. Smith" */
static bool begins_with_initial(struct slice t, size_t at, struct slice first,
                                struct slice last)
{
    if (at >= t.n || !is_same(t.p[at], first.p[0]))
        return false;
    return stands(t, at + 1, last) ||
           (t.n - at > 3 && t.p[at + 1] == '.' && stands(t, at + 3, last));
}

bool scrub_late_stands(const struct scrub_late *l, struct slice t, size_t at)
{
    for (size_t i = 0; i < l->count; i++) {
        struct slice own = l->item[i].own, first = l->item[i].first;
        struct slice last = l->item[i].last;
        bool known =
            own.n && t.n - at >= own.n && memcmp(t.p + at, own.p, own.n) == 0;

        if (begins_with_initial(t, at, first, last) ||
            (!known && (begins_with_first(t, at, first, last) ||
                        begins_with_last(t, at, first, last))))
            return true;
    }
    return false;
}

bool scrub_late_within(const struct scrub_late *l, struct slice t)
{
    for (size_t at = 0; at < t.n; at++)
        if (scrub_late_stands(l, t, at))
            return true;
    return false;
}

bool scrub_late_glued(const struct scrub_late *l, struct slice t)
{
    for (size_t i = 0; i < l->count; i++) {
        struct slice first = l->item[i].first, last = l->item[i].last;
        char a = first.p[first.n - 1] | 0x20, b = last.p[0] | 0x20;

        for (size_t k = first.n; k < t.n; k++)
            if ((t.p[k] | 0x20) == b && (t.p[k - 1] | 0x20) == a &&
                stands(t, k - first.n, first) && stands(t, k, last))
                return true;
    }
    return false;
}

static char other_case(char c)
{
    return is_same(c, c ^ 0x20) ? (char)(c ^ 0x20) : c;
}

static void tell_pair(char a, char b, void (*fn)(void *ctx, unsigned pair),
                      void *ctx)
{
    const char as[2] = { a, other_case(a) }, bs[2] = { b, other_case(b) };

    for (size_t i = 0; i < 4; i++)
        fn(ctx, (unsigned)(unsigned char)as[i / 2] |
                    (unsigned)(unsigned char)bs[i % 2] << 8);
}

void scrub_late_pairs(const struct scrub_late *l,
                      void (*fn)(void *ctx, unsigned pair), void *ctx)
{
    for (size_t i = 0; i < l->count; i++) {
        const char *first = l->item[i].first.p, *last = l->item[i].last.p;

        tell_pair(first[0], first[1], fn, ctx);
        tell_pair(last[0], last[1], fn, ctx);
        tell_pair(first[0], last[0], fn, ctx);
        tell_pair(first[0], '.', fn, ctx);
    }
}

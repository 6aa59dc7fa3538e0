/*
 * scrub_names_pair.c - first and last name that stand in fields of their own
 *
 * {"first_name": "Art", "last_name": "Post"}: the two together are a name
 * wherever the record has them, even if each is a word of the language. Fields
 * that follow one another, in JSON or in a text; no guess whose they are else.
 */
#include "scrub/scrub_names.h"

#include "base/ascii.h"
#include "names/names.h"

#include <string.h>

#define BETWEEN_MAX 40 /* bytes of "</first_name><last_name>" */

static bool ends_as(struct slice key, const char *const *list)
{
    for (; *list; list++) {
        size_t n = strlen(*list);

        if (key.n >= n && memcmp(key.p + key.n - n, *list, n) == 0)
            return true;
    }
    return false;
}

static void keep(struct slice v, struct scrub_pair_word *out)
{
    out->n = v.n <= sizeof(out->text) ? v.n : 0;
    memcpy(out->text, v.p, out->n);
}

static void tell(struct scrub_pairing *p, scrub_pair_fn *fn, void *ctx)
{
    char text[2 * SCRUB_PAIR_WORD + 1];
    size_t n = p->first.n;

    if (!n || !p->last.n)
        return;
    memcpy(text, p->first.text, n);
    text[n++] = ' ';
    memcpy(text + n, p->last.text, p->last.n);
    n += p->last.n;
    p->first.n = p->last.n = 0;
    fn(ctx, (struct slice){ text, n });
}

static bool is_word(struct slice t, const struct names_span *s)
{
    return s->class == NAMES_PERSON && s->sure && s->tier == 1 &&
           !memchr(t.p + s->start, ' ', s->end - s->start);
}

static bool holds(struct slice t, const char *low)
{
    size_t n = strlen(low);

    for (size_t i = 0; i + n <= t.n; i++)
        if (ascii_is_word(t.p + i, n, low))
            return true;
    return false;
}

static void pair_in_text(struct scrub_pairing *p, struct slice t,
                         const struct names_span *s, size_t count,
                         scrub_pair_fn *fn, void *ctx)
{
    for (size_t i = 0; i + 1 < count; i++) {
        struct slice a = { t.p + s[i].start, s[i].end - s[i].start };
        struct slice b = { t.p + s[i + 1].start,
                           s[i + 1].end - s[i + 1].start };
        struct slice between = { t.p + s[i].end, s[i + 1].start - s[i].end };

        if (!is_word(t, &s[i]) || !is_word(t, &s[i + 1]) ||
            between.n > BETWEEN_MAX)
            continue;
        if (holds(between, "last") || holds(between, "surname")) {
            keep(a, &p->first);
            keep(b, &p->last);
        } else if (holds(between, "first")) {
            keep(b, &p->first);
            keep(a, &p->last);
        }
        tell(p, fn, ctx);
    }
}

void scrub_pairing_see(struct scrub_pairing *p, struct slice text,
                       struct slice key, const struct names_span *s,
                       size_t count, scrub_pair_fn *fn, void *ctx)
{
    static const char *const firsts[] = {
        "_first_name_", "_firstname_", "_given_name_", "_vorname_", "_prenom_",
        "_voornaam_",   NULL
    };
    static const char *const lasts[] = { "_last_name_",   "_lastname_",
                                         "_family_name_", "_surname_",
                                         "_nachname_",    "_achternaam_",
                                         "_apellido_",    NULL };
    bool first = ends_as(key, firsts);

    if (count > 1)
        pair_in_text(p, text, s, count, fn, ctx);
    if (count != 1 || s->class != NAMES_PERSON ||
        (!first && !ends_as(key, lasts)))
        return;
    keep((struct slice){ text.p + s->start, s->end - s->start },
         first ? &p->first : &p->last);
    tell(p, fn, ctx);
}

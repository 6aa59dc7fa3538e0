/*
 * scrub_names.c - the family of finders that names gives, and what a record
 * knows of a name
 *
 * A name found once is noted: a second look takes the same words for the same
 * thing wherever they stand, in code and SQL too. Of a person that is known for
 * sure each word counts, whatever its case, unless it is a word of the
 * language.
 */
#include "scrub/scrub_fake.h"
#include "scrub/scrub_names.h"
#include "scrub/scrub_priv.h"

#include "base/ascii.h"
#include "base/mem.h"
#include "names/names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NOTES_MAX 4096 /* of a record; more are only found where they stand */
#define NOTE_BYTES_MAX 96 /* of a phrase */
#define MAIL_NAMES_MAX 64 /* of a text */

struct note {
    char *text;
    size_t n;
    enum names_class class;
    bool account;  /* digits may follow */
    bool glued;    /* letters, too, before it and behind */
    bool lone;     /* a word of the language: only where nothing else is */
    uint8_t told;  /* bits: its forms, as of a name that is not sure, or is */
    bool ordinary; /* a word of the language: not in code */
    bool asked;    /* whether the text has it as code */
    bool code;     /* it has */
    bool unsure;   /* two words of a person that only the tagger tells */
    size_t from;   /* end of the last in a text */
    uint16_t next; /* note that begins alike, plus one */
};

/* Notes by the two bytes that they begin with: one pass over a text asks for
 * all of them. */
#define BUCKETS 256
struct index {
    uint64_t bit[65536 / 64];
    uint16_t first[BUCKETS]; /* note, plus one */
};

struct seeker {
    const struct names *names;
    enum names_level level;
    struct names_worker *worker;
    struct note note[NOTES_MAX];
    size_t count;
    struct map *known;  /* phrase: index of its note */
    struct index index; /* of notes [0, indexed), and of late forms */
    size_t indexed;
    const struct slice *template; /* of the record */
    size_t template_count;
    struct slice labels; /* that its messages enumerate */
    bool borne_out;      /* names that are taken are persons for sure */
    bool glues;          /* some notes are glued */
    struct scrub_known *collects; /* may be NULL */
    struct scrub_locals locals;
    struct scrub_late late;
    struct scrub_pairing pairing;
    size_t text_used;
    char text[NOTES_MAX * (NOTE_BYTES_MAX + 1)]; /* of the notes */
};

struct shared {
    const struct names *names;
    enum names_level level;
};

static int load(const struct scrub_settings *settings,
                const struct names *names, void **out, struct err *err)
{
    static const enum names_level levels[] = {
        [SCRUB_NAMES_TAGGER] = NAMES_TAGGER,
        [SCRUB_NAMES_OFF] = NAMES_OFF,
        [SCRUB_NAMES_RULES] = NAMES_RULES,
        [SCRUB_NAMES_PARANOID] = NAMES_PARANOID,
    };
    struct shared *s = mem_zalloc(sizeof(*s));

    (void)err;
    *s = (struct shared){ names, levels[settings->names] };
    *out = s;
    return ERR_OK;
}

static void unload(void *shared)
{
    free(shared);
}

static void *worker_new(const void *shared)
{
    const struct shared *s = shared;
    struct seeker *k = mem_zalloc(sizeof(*k));

    k->names = s->names;
    k->level = s->level;
    k->worker = names_worker_new(s->names);
    return k;
}

static unsigned pair_at(const char *p)
{
    return (unsigned)(unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8;
}

static uint16_t *bucket_of(struct index *x, unsigned pair)
{
    return &x->first[(pair * 40503u >> 8) % BUCKETS];
}

static void set_pair(void *ctx, unsigned pair)
{
    struct index *x = ctx;

    x->bit[pair / 64] |= UINT64_C(1) << pair % 64;
}

static void clear_pair(void *ctx, unsigned pair)
{
    struct index *x = ctx;

    x->bit[pair / 64] = 0;
}

static void index_fill(struct seeker *k)
{
    struct index *x = &k->index;

    for (size_t i = 0; i < k->count; i++) {
        unsigned pair = pair_at(k->note[i].text);
        uint16_t *first = bucket_of(x, pair);

        set_pair(x, pair);
        k->note[i].next = *first;
        *first = (uint16_t)(i + 1);
    }
    scrub_late_pairs(&k->late, set_pair, x);
    k->indexed = k->count;
}

static void index_clear(struct seeker *k)
{
    for (size_t i = 0; i < k->indexed; i++) {
        unsigned pair = pair_at(k->note[i].text);

        clear_pair(&k->index, pair);
        *bucket_of(&k->index, pair) = 0;
    }
    scrub_late_pairs(&k->late, clear_pair, &k->index);
    k->indexed = 0;
}

static void forget(struct seeker *k)
{
    index_clear(k);
    k->count = k->text_used = k->locals.count = 0;
    k->late.count = k->late.used = 0;
    k->pairing.first.n = k->pairing.last.n = 0;
    k->glues = false;
    map_clear(k->known);
}

static void worker_free(void *worker)
{
    struct seeker *k = worker;

    if (!k)
        return;
    forget(k);
    map_free(k->known);
    names_worker_free(k->worker);
    free(k);
}

/* The note of a phrase; NULL: it has none and there is no room. */
static struct note *note_of(struct seeker *k, struct slice v,
                            enum names_class class)
{
    uint64_t *at;
    bool added;
    char *text;

    if (!k->known)
        k->known = map_new();
    if (k->count == NOTES_MAX || v.n < SCRUB_SHORT || v.n > NOTE_BYTES_MAX) {
        at = map_get(k->known, v.p, v.n);
        return at ? &k->note[*at] : NULL;
    }
    at = map_put(k->known, v.p, v.n, &added);
    if (!added)
        return &k->note[*at];
    *at = k->count;
    text = k->text + k->text_used;
    k->text_used += v.n + 1;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    k->note[k->count] = (struct note){ .text = text, .n = v.n, .class = class };
    return &k->note[k->count++];
}

static bool is_letter(char c)
{
    return scrub_is_alnum(c) || (unsigned char)c >= 0x80;
}

static void note_form(void *ctx, struct slice form, unsigned how)
{
    struct seeker *k = ctx;
    struct note *n = note_of(ctx, form, NAMES_PERSON);

    if (n && k->borne_out)
        n->class = NAMES_PERSON; /* no place, whatever it was taken for */
    if (!n)
        return;
    n->account |= (how & SCRUB_FORM_ACCOUNT) != 0;
    n->lone = false;
    n->ordinary |= (how & SCRUB_FORM_ORDINARY) != 0;
    if (how & SCRUB_FORM_GLUED)
        n->glued = k->glues = true;
}

static void tell_late(struct seeker *k)
{
    size_t n = k->late.count;
    bool borne_out = k->borne_out;

    k->late.count = 0;
    k->borne_out = false;
    for (size_t i = 0; i < n; i++)
        scrub_name_pair_forms(k->names, k->late.item[i].first,
                              k->late.item[i].last, note_form, k);
    k->late.used = 0;
    k->borne_out = borne_out;
}

/* The forms that wait are told where notes have an index by now. */
static void index_late(struct seeker *k)
{
    index_clear(k);
    tell_late(k);
    index_fill(k);
}

/* Before notes are asked about v, or about words in it. */
static void settle(struct seeker *k, struct slice v)
{
    if (k->late.count &&
        (k->count > NOTES_MAX / 2 || scrub_late_within(&k->late, v))) {
        if (k->indexed)
            index_late(k);
        else
            tell_late(k);
    }
}

static void note_forms(struct seeker *k, struct slice v, bool sure,
                       struct note *n)
{
    uint8_t bit = (uint8_t)(1u << sure);
    bool late = n && !k->borne_out && !k->indexed && k->count < NOTES_MAX / 2;

    if (n && !k->borne_out) {
        if (n->told & bit)
            return;
        n->told |= bit;
    }
    scrub_name_forms(k->names, v, sure, late ? &k->late : NULL, note_form, k);
}

/* "Yellowstone" of "Yellowstone National Park" is a place, too. */
static bool begins_place(const struct seeker *k, struct slice v)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct note *n = &k->note[i];

        if (n->class == NAMES_PLACE && n->n > v.n && n->text[v.n] == ' ' &&
            memcmp(n->text, v.p, v.n) == 0)
            return true;
    }
    return false;
}

/* "Ella", "Marco", "Sean": words of other languages in small letters; as they
 * stand they are found wherever they stand. */
static bool is_given_name(const struct seeker *k, struct slice v)
{
    unsigned in = names_in(k->names, v);

    return v.n >= SCRUB_NOTE_MIN && v.p[0] >= 'A' && v.p[0] <= 'Z' &&
           (in & NAMES_BIT(NAMES_LIST_FIRST)) &&
           !(in & (NAMES_BIT(NAMES_LIST_COMMON) | NAMES_BIT(NAMES_LIST_TITLE) |
                   NAMES_BIT(NAMES_LIST_ORGANIZATION)));
}

static void note_span(struct seeker *k, struct slice v, struct names_span *s)
{
    bool phrase = memchr(v.p, ' ', v.n) != NULL;
    size_t count = k->count;
    struct note *n;

    if (s->class == NAMES_TITLE || s->tier != 1)
        return;
    settle(k, v);
    if (s->class == NAMES_PERSON && !s->sure && !phrase && begins_place(k, v))
        s->class = NAMES_PLACE;
    n = v.n < SCRUB_NOTE_MIN ? NULL : note_of(k, v, s->class);
    if (n) {
        bool lone =
            !phrase && !scrub_name_tells(k->names, v) && !is_given_name(k, v);

        if (k->borne_out)
            n->class = NAMES_PERSON;
        n->lone = lone && (n->lone || k->count > count);
        n->ordinary |= lone;
        n->unsure |= s->class == NAMES_PERSON && phrase && !s->sure;
        if (!lone)
            s->class = n->class; /* one phrase, one kind */
    }
    if (s->class == NAMES_PERSON && (s->sure || phrase))
        note_forms(k, v, s->sure, n);
}

/* Where the note that ends at i ends with the digits of an account. */
static size_t with_digits(const struct note *n, struct slice t, size_t i)
{
    size_t end = i;

    if (!n->account)
        return i;
    if (end + 1 < t.n &&
        (t.p[end] == '_' || t.p[end] == '.' || t.p[end] == '-'))
        end++;
    if (end >= t.n || !scrub_is_digit(t.p[end]))
        return i;
    while (end < t.n && scrub_is_alnum(t.p[end]))
        end++; /* "smith200x" */
    return end;
}

static bool holds(struct slice t, struct slice v)
{
    size_t from = 0;

    while (from < t.n) {
        const char *hit = memmem(t.p + from, t.n - from, v.p, v.n);

        if (!hit)
            return false;
        from = (size_t)(hit - t.p) + v.n;
        if (scrub_name_is_whole_raw(t, from - v.n, from))
            return true;
    }
    return false;
}

/* "Anna Schmidt" of a list is a person, whatever the list is for. */
static bool is_full_name(const struct seeker *k, struct slice v)
{
    const char *blank = memchr(v.p, ' ', v.n);
    struct slice first = { v.p, blank ? (size_t)(blank - v.p) : 0 };
    struct slice last = { v.p + first.n + 1, blank ? v.n - first.n - 1 : 0 };

    return blank && names_is(k->names, NAMES_LIST_FIRST, first) &&
           names_is(k->names, NAMES_LIST_LAST, last);
}

static bool is_whole_label(const struct seeker *k, struct slice v)
{
    struct slice t = k->labels;
    const char *hit;

    while (v.n && (hit = memmem(t.p, t.n, v.p, v.n)) != NULL) {
        if (hit[-1] == '\n' && hit[v.n] == '\n')
            return true;
        t = (struct slice){ hit + 1, t.n - (size_t)(hit + 1 - t.p) };
    }
    return false;
}

/* One label, or two with a comma between, as "Smith, John" has it. */
static bool are_labels(const struct seeker *k, struct slice v)
{
    const char *comma = memmem(v.p, v.n, ", ", 2);
    struct slice a = { v.p, comma ? (size_t)(comma - v.p) : v.n };
    struct slice b = { comma ? comma + 2 : v.p, comma ? v.n - a.n - 2 : v.n };

    return !memchr(a.p, ' ', a.n) && !memchr(b.p, ' ', b.n) &&
           is_whole_label(k, a) && is_whole_label(k, b);
}

/* A word of a label that the text is, or that it enumerates: it stays there,
 * even if somebody of that name is known from elsewhere. */
static bool is_label(const struct seeker *k, struct slice t, size_t start,
                     size_t stop)
{
    struct slice v = { t.p + start, stop - start };

    if (!k->labels.n)
        return false;
    if (are_labels(k, v))
        return is_whole_label(k, slice_trim(t)) ||
               scrub_labels_hold(t, start, stop);
    return !memchr(v.p, ' ', v.n) && holds(k->labels, v) &&
           (is_whole_label(k, slice_trim(t)) ||
            scrub_labels_hold(t, start, stop));
}

/* The agent's own: a label, a branch, the town that it serves. A person goes
 * if more than the tagger says so. */
static bool is_template(const struct seeker *k, struct slice v,
                        const struct names_span *s)
{
    if (s->class == NAMES_TITLE || (s->class == NAMES_PERSON && s->sure))
        return false;
    for (size_t i = 0; i < k->template_count; i++)
        if (holds(k->template[i], v))
            return true;
    return k->labels.n && holds(k->labels, v) &&
           !(s->class == NAMES_PERSON && is_full_name(k, v));
}

static bool stays_place(struct slice t, size_t start)
{
    return scrub_is_zone(t, start) || scrub_is_water(t, start);
}

/* Names of other records, of those that are sure first. */
static void note_known(struct seeker *k, const struct scrub_known *known)
{
    for (int sure = 1; sure >= 0; sure--)
        for (size_t i = 0; i < scrub_known_names(known); i++) {
            struct names_span s = { .tier = 1 };
            unsigned class;
            struct slice v = scrub_known_name(known, i, &class, &s.sure);

            s.class = (enum names_class) class;
            if (s.sure == (sure == 1) && !is_template(k, v, &s))
                note_span(k, v, &s);
        }
}

static void begin(void *worker, const struct scrub_worker *w)
{
    struct seeker *k = worker;

    forget(k);
    k->template = w->template;
    k->template_count = w->template_count;
    k->labels = buf_slice(&w->labels);
    k->collects = w->collects;
    if (w->knows)
        note_known(k, w->knows);
}

struct taking {
    struct seeker *k;
    struct slice text;
    scrub_found_fn *found;
    void *ctx;
};

/* Words that are all known to be a person's: "O'CALLAGHAN CHLOE". */
static bool is_of_person(const struct seeker *k, struct slice v)
{
    size_t words = 0;

    for (size_t i = 0; i < v.n; i++) {
        struct slice word = { v.p + i, 0 };
        const uint64_t *at;

        while (i < v.n && is_letter(v.p[i]))
            i++;
        word.n = (size_t)(v.p + i - word.p);
        if (word.n < SCRUB_NOTE_MIN)
            continue;
        at = k->known ? map_get(k->known, word.p, word.n) : NULL;
        if (!at || k->note[*at].class != NAMES_PERSON)
            return false;
        words++;
    }
    return words > 1;
}

static int take_as(struct taking *x, struct names_span s);

static int take(struct taking *x, struct names_span s)
{
    struct slice v = { x->text.p + s.start, s.end - s.start };
    int rc;

    if (s.class == NAMES_PLACE)
        s.start += scrub_code_before(v);
    if (s.class != NAMES_PLACE && s.class != NAMES_ORGANIZATION)
        return take_as(x, s);
    settle(x->k, v);
    if (!is_of_person(x->k, v))
        return take_as(x, s);
    s.class = NAMES_PERSON;
    x->k->borne_out = true;
    rc = take_as(x, s);
    x->k->borne_out = false;
    return rc;
}

static int take_as(struct taking *x, struct names_span s)
{
    struct slice v;

    if (s.class == NAMES_PLACE)
        s.end = s.start + scrub_place_bare((struct slice){ x->text.p + s.start,
                                                           s.end - s.start });
    v = (struct slice){ x->text.p + s.start, s.end - s.start };
    if ((s.class == NAMES_PLACE && stays_place(x->text, s.start)) ||
        scrub_is_prefix(x->text, s.start, s.end) || scrub_is_legal_form(v) ||
        is_template(x->k, v, &s))
        return ERR_OK;
    if (x->k->labels.n && are_labels(x->k, v) &&
        scrub_labels_hold(x->text, s.start, s.end))
        return ERR_OK;
    if (s.class == NAMES_PERSON &&
        (scrub_is_of_date(x->text, s.start, s.end) ||
         (!s.sure && !scrub_name_tells(x->k->names, v) &&
          scrub_is_code(x->text, s.start, s.end))))
        return ERR_OK;
    note_span(x->k, v, &s);
    if (x->k->collects && s.tier == 1)
        scrub_known_add_name(x->k->collects, v, s.class, s.sure);
    return x->found(x->ctx, s.class, s.start, s.end, s.tier);
}

/* A town that is no word of the language. */
static bool is_town(const struct names *m, struct slice v)
{
    return v.n && !memchr(v.p, ' ', v.n) && names_is(m, NAMES_LIST_PLACE, v) &&
           scrub_name_tells(m, v);
}

static bool is_noted(const struct seeker *k, struct slice v)
{
    return k->known && map_get(k->known, v.p, v.n);
}

/* "Perth and Turin" is no firm where the record speaks of Perth: bytes of the
 * first town; 0: it may be one. */
static size_t first_of_towns(struct seeker *k, struct slice v)
{
    static const char and[] = " and ";
    size_t n = sizeof(and) - 1;
    const char *at = memmem(v.p, v.n, and, n);
    struct slice a = { v.p, at ? (size_t)(at - v.p) : 0 }, b;

    if (!at)
        return 0;
    b = (struct slice){ at + n, v.n - a.n - n };
    settle(k, v);
    return is_town(k->names, a) && is_town(k->names, b) &&
                   (is_noted(k, a) || is_noted(k, b))
               ? a.n
               : 0;
}

/* What else was found within a name that an address bears out is none. */
static bool is_within(const struct scrub_mail_name *m, size_t count,
                      const struct names_span *s)
{
    for (size_t i = 0; i < count; i++)
        if (s->start < m[i].end && s->end > m[i].start &&
            s->class != NAMES_TITLE)
            return true;
    return false;
}

static int find_mail_names(struct taking *x, struct scrub_mail_name *m,
                           size_t *count)
{
    int rc = ERR_OK;

    *count = 0;
    if (x->k->level == NAMES_OFF || !memchr(x->text.p, '@', x->text.n))
        return ERR_OK;
    *count = scrub_mail_names(x->k->names, x->text, &x->k->locals, m,
                              MAIL_NAMES_MAX);
    x->k->borne_out = true;
    for (size_t i = 0; rc == ERR_OK && i < *count; i++)
        rc = take(x, (struct names_span){ m[i].start, m[i].end, NAMES_PERSON, 1,
                                          true });
    x->k->borne_out = false;
    return rc;
}

static void note_pair(void *ctx, struct slice whole)
{
    struct seeker *k = ctx;
    struct names_span s = { .class = NAMES_PERSON, .tier = 1, .sure = true };

    note_span(k, whole, &s);
    if (k->collects)
        scrub_known_add_name(k->collects, whole, NAMES_PERSON, true);
}

static int find_names(void *worker, struct slice text, struct slice key,
                      scrub_found_fn *found, void *ctx, struct err *err)
{
    struct seeker *k = worker;
    struct taking x = { k, text, found, ctx };
    struct scrub_mail_name mail[MAIL_NAMES_MAX];
    const struct names_span *span;
    size_t count, mails = 0;
    int rc;

    (void)err;
    rc = find_mail_names(&x, mail, &mails);
    names_find(k->worker, k->level, text, key, &span, &count);
    if (count)
        scrub_pairing_see(&k->pairing, text, key, span, count, note_pair, k);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        struct names_span s = span[i], last = s;
        size_t n = 0;

        if (is_within(mail, mails, &s))
            continue;

        if (s.class == NAMES_ORGANIZATION)
            n = first_of_towns(
                k, (struct slice){ text.p + s.start, s.end - s.start });
        if (!n) {
            rc = take(&x, s);
            continue;
        }
        s.class = last.class = NAMES_PLACE;
        s.end = s.start + n;
        last.start = s.end + strlen(" and ");
        rc = take(&x, s);
        if (rc == ERR_OK)
            rc = take(&x, last);
    }
    return rc;
}

static void end(void *worker)
{
    struct seeker *k = worker;

    for (size_t i = 0, n = k->count; k->locals.count && i < n; i++) {
        struct slice v = { k->note[i].text, k->note[i].n };

        if (k->note[i].unsure && scrub_locals_bear(&k->locals, v))
            scrub_name_forms(k->names, v, true, NULL, note_form, k);
    }
    index_clear(k);
    index_fill(k);
}

struct sought {
    struct seeker *k;
    struct slice text;
    scrub_found_fn *found;
    void *ctx;
};

/* A column of a query is one wherever the text has it. */
static bool is_code_in(struct note *n, struct slice t)
{
    struct slice rest = t;
    const char *p;

    for (; !n->asked && !n->code && (p = memmem(rest.p, rest.n, n->text, n->n));
         rest.p = p + 1) {
        size_t at = (size_t)(p - t.p);

        n->code = scrub_name_is_whole(t, at, at + n->n) &&
                  scrub_is_code(t, at, at + n->n);
        rest.n = t.n - at - 1;
    }
    n->asked = true;
    return n->code;
}

/* Notes that stand at `at`; one that goes on there is passed. */
static int seek_at(struct sought *s, size_t at, unsigned pair)
{
    struct slice t = s->text;
    struct note *n;
    int rc = ERR_OK;

    for (unsigned i = *bucket_of(&s->k->index, pair); i && rc == ERR_OK;
         i = n->next) {
        n = &s->k->note[i - 1];
        if (at == 0 && n->class == NAMES_PLACE && n->n > t.n &&
            t.n > SCRUB_NOTE_MIN && n->text[t.n] == ' ' &&
            memcmp(n->text, t.p, t.n) == 0) {
            rc = s->found(s->ctx, n->class, 0, t.n, 1);
            continue;
        }
        if (at < n->from || n->n > t.n - at ||
            memcmp(t.p + at, n->text, n->n) != 0)
            continue;
        if ((n->lone && slice_trim(t).n != n->n) ||
            scrub_is_of_date(t, at, at + n->n) ||
            (n->ordinary &&
             (is_code_in(n, t) || scrub_is_code(t, at, at + n->n))))
            continue;
        n->from = with_digits(n, t, at + n->n);
        if (scrub_name_is_whole(t, at, n->from) &&
            !is_label(s->k, t, at, n->from) &&
            (n->class != NAMES_PLACE || !stays_place(t, at)))
            rc = s->found(s->ctx, n->class, at, n->from, 1);
    }
    return rc;
}

/* "subsowenjones": in words that nobody would cut. */
static int seek_glued(struct sought *s)
{
    int rc = ERR_OK;

    for (size_t i = 0; i < s->k->indexed && rc == ERR_OK; i++) {
        const struct note *n = &s->k->note[i];
        struct slice rest = s->text;
        const char *p;

        if (!n->glued || n->class != NAMES_PERSON)
            continue;
        while (rc == ERR_OK && (p = memmem(rest.p, rest.n, n->text, n->n))) {
            size_t at = (size_t)(p - s->text.p);

            rest.n -= (size_t)(p - rest.p) + n->n;
            rest.p = p + n->n;
            rc = s->found(s->ctx, n->class, at, at + n->n, 1);
        }
    }
    return rc;
}

static int seek_names(void *worker, struct slice text, scrub_found_fn *found,
                      void *ctx)
{
    struct sought s = { worker, text, found, ctx };
    const uint64_t *bit = s.k->index.bit;
    int rc = ERR_OK;

    if (!s.k->indexed || text.n < SCRUB_SHORT)
        return ERR_OK;
    for (size_t i = 0; i < s.k->indexed; i++) {
        s.k->note[i].from = 0;
        s.k->note[i].asked = s.k->note[i].code = false;
    }
    if (scrub_late_glued(&s.k->late, text))
        index_late(s.k);
    text.n -= SCRUB_SHORT - 1; /* none begins behind */
    for (size_t i = 0; rc == ERR_OK && i < text.n; i += 64) {
        uint64_t starts = ascii_start_bits(text, i);

        for (; starts && rc == ERR_OK; starts &= starts - 1) {
            size_t at = i + (size_t)__builtin_ctzll(starts);
            unsigned pair = pair_at(text.p + at);

            if (!(bit[pair / 64] >> pair % 64 & 1))
                continue;
            if (scrub_late_stands(&s.k->late, s.text, at))
                index_late(s.k);
            rc = seek_at(&s, at, pair);
        }
    }
    return rc == ERR_OK && s.k->glues ? seek_glued(&s) : rc;
}

const struct scrub_finder scrub_finder_names = {
    .name = "names",
    .classes = { [NAMES_PERSON] = "person",
                 [NAMES_PLACE] = "place",
                 [NAMES_ORGANIZATION] = "organization",
                 [NAMES_NATIONALITY] = "nationality",
                 [NAMES_TITLE] = "title" },
    .load = load,
    .unload = unload,
    .worker_new = worker_new,
    .worker_free = worker_free,
    .begin = begin,
    .end = end,
    .seek = seek_names,
    .find = find_names,
};

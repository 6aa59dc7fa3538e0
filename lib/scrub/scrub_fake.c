/*
 * scrub_fake.c - surrogates: which function, which seed, no clash
 *
 * A surrogate is drawn by a generator that HMAC(key, scope, type, value)
 * seeds, so nothing needs to be kept. Two values of a record that would get
 * the same one, or one that the record holds as somebody's value, are drawn
 * again; who comes first in the record keeps the first draw, and so a later
 * record that begins like it agrees.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SAME_DRAWS 2 /* after a draw that is told to draw again */

struct scrub_faked {
    struct map *held;  /* folded values of the record */
    struct map *taken; /* folded surrogates: number of the owner */
    struct map *owner; /* their owners */
    struct map *tries; /* type and normal form: the draw that was taken */
    struct map *known; /* type and value: number of the pair */
    struct map *tags;  /* type and normal form: number of the tag */
    struct scrub_pair *pair;
    size_t pair_count, pair_cap;
    struct buf text, key;
    bool late;
};

/* Seeds of the last decisions: a text is filed in one place, and the next
 * that belongs there takes it. */
#define SCRUB_DRAWN 1024
#define SCRUB_DRAWN_BYTES 112
struct scrub_drawn {
    uint64_t seed;
    size_t n; /* 0: none */
    char text[SCRUB_DRAWN_BYTES];
};
/* Rings of the scope, in the order in which they were asked for. */
#define SCRUB_RINGS 8
struct scrub_draws {
    struct scrub_drawn drawn[SCRUB_DRAWN];
    struct buf scope;
    const char *ring_of[SCRUB_RINGS];
    size_t rings;
    uint8_t ring[SCRUB_RINGS][SCRUB_RING_MAX];
};

struct scrub_faked *scrub_faked_new(void)
{
    return mem_zalloc(sizeof(struct scrub_faked));
}

void scrub_faked_free(struct scrub_faked *f)
{
    if (!f)
        return;
    map_free(f->held);
    map_free(f->taken);
    map_free(f->owner);
    map_free(f->tries);
    map_free(f->known);
    map_free(f->tags);
    free(f->pair);
    buf_release(&f->text);
    buf_release(&f->key);
    free(f);
}

void scrub_faked_begin(struct scrub_faked *f, bool again)
{
    if (!again)
        map_clear(f->held);
    map_clear(f->taken);
    map_clear(f->owner);
    map_clear(f->tries);
    map_clear(f->known);
    map_clear(f->tags);
    f->pair_count = 0;
    buf_reset(&f->text);
    f->late = false;
}

static uint64_t *put(struct map **m, const struct buf *key, bool *added)
{
    if (!*m)
        *m = map_new();
    return map_put(*m, key->data ? key->data : "", key->len, added);
}

static uint64_t *get(const struct map *m, const struct buf *key)
{
    return m ? map_get(m, key->data ? key->data : "", key->len) : NULL;
}

static void fold_key(struct scrub_faked *f, struct slice v)
{
    buf_reset(&f->key);
    scrub_fold(v, &f->key);
}

void scrub_faked_hold(struct scrub_faked *f, struct slice value)
{
    bool added = false;

    fold_key(f, value);
    (void)put(&f->held, &f->key, &added);
    if (added && get(f->taken, &f->key))
        f->late = true;
}

void scrub_faked_late_set(struct scrub_faked *f)
{
    f->late = true;
}

bool scrub_faked_late(const struct scrub_faked *f)
{
    return f->late;
}

/* Of the surrogate whose folded form is f->key. */
static bool is_free_to(const struct scrub_faked *f, struct slice owner)
{
    const uint64_t *by, *of;

    if (f->key.len && get(f->held, &f->key))
        return false;
    by = get(f->taken, &f->key);
    of = by && f->owner ? map_get(f->owner, owner.p ? owner.p : "", owner.n)
                        : NULL;
    return !by || (of && *of == *by);
}

static void take(struct scrub_faked *f, struct slice owner)
{
    bool added;
    uint64_t *of, *by;

    if (!f->owner)
        f->owner = map_new();
    of = map_put(f->owner, owner.p ? owner.p : "", owner.n, &added);
    if (added)
        *of = map_count(f->owner);
    by = put(&f->taken, &f->key, &added);
    if (added)
        *by = *of;
}

bool scrub_faked_take(struct scrub_faked *f, struct slice surrogate,
                      struct slice owner)
{
    fold_key(f, surrogate);
    if (!is_free_to(f, owner))
        return false;
    take(f, owner);
    return true;
}

/* What a surrogate must have for a draw of its own; of others the words see
 * to it. */
static bool has_digit(struct slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (scrub_is_digit(v.p[i]))
            return true;
    return false;
}

/* A postcode that is none of the US, behind the street. */
static bool has_postcode(struct slice v)
{
    size_t i = 0, n;

    while (i < v.n && v.p[i] != ',' && v.p[i] != '\n')
        i++;
    for (; i < v.n; i += n ? n : 1) {
        for (n = 0; i + n < v.n && scrub_is_digit(v.p[i + n]);)
            n++;
        if (n && n != 5)
            return true;
    }
    return false;
}

static bool never(struct slice v)
{
    (void)v;
    return false;
}

static const struct scrub_fake table[] = {
    { "email", scrub_fake_email, scrub_norm_email, false, scrub_email_stem, 0 },
    { "spelt-email", scrub_fake_spelt, scrub_norm_spelt, false, NULL, 0, 0 },
    { "domain", scrub_fake_domain, scrub_norm_lower, false, NULL, 0 },
    { "url", scrub_fake_url, scrub_norm_exact, false, NULL, 0 },
    { "phone", scrub_fake_phone, scrub_norm_phone, true, NULL, 0 },
    { "card", scrub_fake_card, scrub_norm_digits, true, NULL, 0 },
    { "iban", scrub_fake_iban, scrub_norm_alnum, false, NULL, 0 },
    { "ssn", scrub_fake_ssn, scrub_norm_digits, true, NULL, 0 },
    { "ipv4", scrub_fake_ipv4, scrub_norm_exact, false, NULL, 0 },
    { "ipv6", scrub_fake_ipv6, scrub_norm_lower, false, NULL, 0 },
    { "mac", scrub_fake_mac, scrub_norm_alnum, false, NULL, 0 },
    { "person", scrub_fake_person, scrub_norm_fold, false, NULL,
      SCRUB_FAKE_PARTS, has_digit },
    { "place", scrub_fake_place, scrub_norm_fold, false, NULL, 0,
      scrub_has_legal_form },
    { "organization", scrub_fake_organization, scrub_norm_organization, false,
      NULL, 0 },
    { "nationality", scrub_fake_nationality, scrub_norm_fold, false, NULL, 0 },
    { "address", scrub_fake_address, scrub_norm_fold, false, NULL,
      SCRUB_FAKE_PARTS, has_postcode },
    { "zip", scrub_fake_zip, scrub_norm_alnum, false, NULL, 0 },
    { "coordinates", scrub_fake_coordinates, scrub_norm_exact, false, NULL,
      SCRUB_FAKE_LOOSE },
    { "date", scrub_fake_date, scrub_norm_exact, false, NULL, SCRUB_FAKE_LOOSE,
      never },
    { "age", scrub_fake_age, scrub_norm_exact, false, NULL, SCRUB_FAKE_LOOSE },
    { "same", scrub_fake_same, scrub_norm_exact, false, NULL, SCRUB_FAKE_LOOSE,
      never },
    { "jwt", scrub_fake_jwt, scrub_norm_exact, false, NULL, 0 },
    { "ethereum", scrub_fake_ethereum, scrub_norm_lower, false, NULL, 0 },
    { "id", scrub_fake_id, scrub_norm_alnum, false, NULL, 0 },
    { "number", scrub_fake_number, scrub_norm_number, false, NULL, 0 },
    { "extension", scrub_fake_extension, scrub_norm_exact, false, NULL, 0 },
    { "ending", scrub_fake_ending, scrub_norm_exact, false, NULL,
      SCRUB_FAKE_LOOSE, never },
    { "part", scrub_fake_part, scrub_norm_exact, false, NULL, SCRUB_FAKE_LOOSE,
      never },
    { "digits", scrub_fake_id, scrub_norm_long, true, NULL, 0 },
    { "shape", scrub_fake_shape, scrub_norm_exact, false, NULL, 0 },
};

const struct scrub_fake *scrub_fake_find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* What is titles, times of day and the like: found, and no secret. */
void scrub_fake_same(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    (void)r;
    buf_add_slice(out, v);
}

struct scrub_draws *scrub_draws_new(void)
{
    return mem_zalloc(sizeof(struct scrub_draws));
}

void scrub_draws_free(struct scrub_draws *d)
{
    if (!d)
        return;
    buf_release(&d->scope);
    crypto_wipe(d, sizeof(*d));
    free(d);
}

#define NUMBER_MAX 20 /* digits */

static char *put_bytes(char *to, const char *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}

static char *put_number(char *to, size_t n)
{
    char text[NUMBER_MAX];
    size_t i = sizeof(text);

    do
        text[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return put_bytes(to, text + i, sizeof(text) - i);
}

static uint64_t seed_of(const struct scrub_worker *w, struct slice text)
{
    unsigned char mac[CRYPTO_SHA256_BYTES];
    uint64_t seed = 0;

    crypto_hmac_with(&w->hmac, text, mac);
    for (size_t i = 0; i < 8; i++)
        seed = seed << 8 | mac[i];
    return seed;
}

/* The same decisions are asked for again and again: in the second look, for
 * each address, in the next record of the scope. */
static uint64_t seed_kept(const struct scrub_worker *w, struct slice text)
{
    struct scrub_drawn *x;

    if (text.n > SCRUB_DRAWN_BYTES)
        return seed_of(w, text);
    x = &w->draws->drawn[hash64(text.p, text.n, 0) % SCRUB_DRAWN];
    if (x->n != text.n || memcmp(x->text, text.p, text.n) != 0) {
        x->n = text.n;
        memcpy(x->text, text.p, text.n);
        x->seed = seed_of(w, text);
    }
    return x->seed;
}

void scrub_draw(struct scrub_worker *w, const char *what, struct slice text,
                unsigned again, struct rng *r)
{
    size_t n = strlen(what);
    char *from, *to;

    buf_reset(&w->seed);
    from = to =
        buf_reserve(&w->seed, 16 + 3 * NUMBER_MAX + w->scope.n + n + text.n);
    assert(to); /* a buffer without a maximum */
    to = put_bytes(to, "surrogate ", 10);
    to = put_number(to, again);
    *to++ = ' ';
    to = put_number(to, w->scope.n);
    *to++ = ':';
    if (w->scope.n)
        to = put_bytes(to, w->scope.p, w->scope.n);
    to = put_number(to, n);
    *to++ = ':';
    to = put_bytes(to, what, n);
    if (text.n)
        to = put_bytes(to, text.p, text.n);
    rng_init(r, seed_kept(w, (struct slice){ from, (size_t)(to - from) }));
}

static void make_ring(struct scrub_worker *w, const char *what, size_t n,
                      uint8_t *next)
{
    size_t order[SCRUB_RING_MAX];
    struct rng r;

    scrub_draw(w, what, (struct slice){ "", 0 }, 0, &r);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    rng_shuffle(&r, order, n);
    for (size_t i = 0; i < n; i++)
        next[order[i]] = (uint8_t)order[(i + 1) % n];
}

const uint8_t *scrub_ring(struct scrub_worker *w, const char *what, size_t n)
{
    struct scrub_draws *d = w->draws;
    size_t i = 0;

    assert(n <= SCRUB_RING_MAX);
    if (!slice_eq(w->scope, buf_slice(&d->scope))) {
        buf_reset(&d->scope);
        buf_add_slice(&d->scope, w->scope);
        d->rings = 0;
    }
    while (i < d->rings && d->ring_of[i] != what)
        i++;
    if (i < d->rings)
        return d->ring[i];
    if (i == SCRUB_RINGS)
        i = d->rings = 0;
    make_ring(w, what, n, d->ring[i]);
    d->ring_of[i] = what;
    d->rings = i + 1;
    return d->ring[i];
}

/* Type of a value, before its normal form. */
static void put_type(struct buf *out, const struct scrub_rule *rule)
{
    buf_reset(out);
    buf_str(out, rule->type);
    buf_char(out, '\0');
}

/* norm: the normal form. Where no draw is made the seed is not asked for. */
static void draw_once(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice value, struct slice norm, unsigned again,
                      struct buf *out)
{
    struct rng r;

    if (!rule->draws || rule->draws(value))
        scrub_draw(w, rule->type, norm, again, &r);
    else
        rng_init(&r, again);
    w->again = again;
    rule->fake(w, rule, value, &r, out);
}

/* folded: of `value`. */
static bool same_folded(struct scrub_faked *f, struct slice a,
                        struct slice folded, struct slice value)
{
    fold_key(f, a);
    return slice_eq(buf_slice(&f->key), folded) &&
           (folded.n || slice_eq(a, value));
}

/* Draws until nobody else of the record has it. Forms of one value are drawn
 * alike, whatever the first of them met. */
static void draw_free(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice value, struct buf *out)
{
    struct scrub_faked *f = w->faked;
    struct buf *norm = &w->form, *before = &w->before;
    const uint64_t *tried;
    size_t start = out->len, head;
    unsigned again = 0, last, limit, same = 0;
    bool taken = false;
    struct scrub_folded folded;
    struct slice form;

    put_type(norm, rule);
    head = norm->len;
    scrub_folded_init(&folded, value);
    if (rule->norm == scrub_norm_fold)
        buf_add_slice(norm, folded.text);
    else
        rule->norm(value, norm);
    form = (struct slice){ norm->data + head, norm->len - head };
    tried = get(f->tries, norm);
    if (tried)
        again = (unsigned)*tried;
    last = again + SCRUB_FAKE_TRIES;
    limit = last + SCRUB_FAKE_TRIES;
    buf_reset(before);
    for (; again < last; again++) {
        struct slice s;

        out->len = start;
        draw_once(w, rule, value, form, again, out);
        s = (struct slice){ out->data + start, out->len - start };
        same = slice_eq(s, buf_slice(before)) ? same + 1 : 0;
        if (same == SAME_DRAWS)
            break; /* there is no other */
        buf_reset(before);
        buf_add_slice(before, s);
        if (same_folded(f, s, folded.text, value)) {
            last += again + 1 == last && last < limit;
            continue; /* any other is better */
        }
        /* same_folded left its folded form in f->key */
        if (tried || rule->fake_kind == SCRUB_FAKE_PARTS ||
            is_free_to(f, buf_slice(norm))) {
            take(f, buf_slice(norm));
            taken = true;
            break;
        }
    }
    *put(&f->tries, norm, NULL) = again < last ? again : last - 1;
    if (!taken &&
        same_folded(f, (struct slice){ out->data + start, out->len - start },
                    folded.text, value)) {
        out->len = start; /* nothing in it can be redrawn */
        buf_printf(out, "[%s]", rule->type);
    }
    scrub_folded_release(&folded);
}

static void draw_loose(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice value, struct buf *out)
{
    buf_reset(&w->form);
    rule->norm(value, &w->form);
    draw_once(w, rule, value, buf_slice(&w->form), 0, out);
}

static void remember(struct scrub_faked *f, const struct scrub_rule *rule,
                     struct slice value, struct slice surrogate)
{
    void *all = f->pair;
    struct scrub_pair *p;

    mem_grow(&all, &f->pair_cap, f->pair_count + 1, sizeof(*f->pair));
    f->pair = all;
    p = &f->pair[f->pair_count++];
    *p =
        (struct scrub_pair){ rule->type, f->text.len, value.n, 0, surrogate.n };
    buf_add_slice(&f->text, value);
    p->surrogate = f->text.len;
    buf_add_slice(&f->text, surrogate);
}

static void pair_key(struct scrub_faked *f, const struct scrub_rule *rule,
                     struct slice value)
{
    buf_reset(&f->key);
    buf_add(&f->key, &rule, sizeof(rule));
    buf_add_slice(&f->key, value);
}

void scrub_surrogate(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice value, struct buf *out)
{
    struct scrub_faked *f = w->faked;
    const uint64_t *known;
    size_t start = out->len;

    pair_key(f, rule, value);
    known = get(f->known, &f->key);
    if (known) {
        const struct scrub_pair *p = &f->pair[*known];

        buf_add(out, f->text.data + p->surrogate, p->surrogate_len);
        return;
    }
    if (rule->fake_kind == SCRUB_FAKE_LOOSE)
        draw_loose(w, rule, value, out);
    else
        draw_free(w, rule, value, out);
    pair_key(f, rule, value);
    *put(&f->known, &f->key, NULL) = f->pair_count;
    remember(f, rule, value,
             (struct slice){ out->data + start, out->len - start });
}

unsigned scrub_tag_number(struct scrub_worker *w, const struct scrub_rule *rule,
                          struct slice value)
{
    struct scrub_faked *f = w->faked;
    struct buf type = { 0 };
    uint64_t *n, *last;

    buf_str(&type, rule->type); /* no NUL in it: no value's key */
    put_type(&w->norm, rule);
    rule->norm(value, &w->norm);
    n = put(&f->tags, &w->norm, NULL);
    if (!*n) {
        last = put(&f->tags, &type, NULL);
        (*last)++;
        *put(&f->tags, &w->norm, NULL) = *get(f->tags, &type);
        n = get(f->tags, &w->norm);
    }
    buf_release(&type);
    return (unsigned)*n;
}

size_t scrub_pair_count(const struct scrub_worker *w)
{
    return w->faked->pair_count;
}

void scrub_pair_at(const struct scrub_worker *w, size_t i, const char **type,
                   struct slice *value, struct slice *surrogate)
{
    const struct scrub_faked *f = w->faked;
    const struct scrub_pair *p = &f->pair[i];

    *type = p->type;
    *value = (struct slice){ f->text.data + p->value, p->value_len };
    *surrogate =
        (struct slice){ f->text.data + p->surrogate, p->surrogate_len };
}

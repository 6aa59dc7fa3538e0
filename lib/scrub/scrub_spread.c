/*
 * scrub_spread.c - values that go wherever a record holds them
 *
 * What the first look found is kept by value. The second one asks, from each
 * place where a word may begin, whether what reaches to the end of a word is
 * such a value: of first two bytes and lengths that values have, so that the
 * time depends on the text and not on how many values there are.
 */
#include "scrub/scrub_fake.h"

#include "base/ascii.h"

#include <string.h>

#define MIN_DIGITS 6
#define MIN_TEXT 8
#define MIN_COINED 5 /* capitals */
#define MIN_LOGIN 5
#define MIN_NATION 4
#define MIN_DATE 6
#define MIN_POSTCODE 5
#define FAR 63 /* bytes */

struct spreading {
    struct scrub_worker *w;
    uint32_t rule;
};

static unsigned pair_at(const char *p)
{
    return (unsigned)(unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8;
}

static unsigned near_at(const char *p)
{
    return (pair_at(p) * 40503u >> 8) % SCRUB_SPREAD_PAIRS;
}

static void mark(uint64_t *bits, size_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool is_marked(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static void spread_text(struct scrub_worker *w, uint32_t rule,
                        struct slice value)
{
    struct scrub_spread *s = &w->spread;
    uint64_t *at;
    bool added;

    if (value.n < 2)
        return;
    if (!s->texts)
        s->texts = map_new();
    at = map_put(s->texts, value.p, value.n, &added);
    if (!added)
        return;
    *at = rule;
    mark(s->pairs, pair_at(value.p));
    mark(s->lengths, value.n % SCRUB_SPREAD_LENGTHS);
    s->near[near_at(value.p)] |= UINT64_C(1) << (value.n < FAR ? value.n : FAR);
    if (value.n > s->longest)
        s->longest = value.n;
}

static void spread_degrees(void *ctx, struct slice number)
{
    struct spreading *s = ctx;

    spread_text(s->w, s->rule, number);
}

/* A number, or letters before one: short, and yet no word. */
static bool ends_with_digits(struct slice v)
{
    size_t digits = 0;

    while (digits < v.n && scrub_is_digit(v.p[v.n - 1 - digits]))
        digits++;
    return digits >= 3;
}

/* Short, in capitals that no word of a text has. */
static bool is_coined(const struct scrub_worker *w, struct slice v)
{
    size_t capitals = 0;

    for (size_t i = 0; i < v.n; i++) {
        if (!scrub_is_alnum(v.p[i]))
            return false;
        capitals += v.p[i] >= 'A' && v.p[i] <= 'Z';
    }
    return capitals >= MIN_COINED &&
           !names_is(w->rules->names, NAMES_LIST_COMMON, v);
}

/* "July 10", "Scottish", "94704": whole and in this case they are the same
 * wherever the record has them. */
static bool is_telling(const struct scrub_worker *w, const struct scrub_rule *r,
                       struct slice v)
{
    size_t digits = 0, letters = 0;

    for (size_t i = 0; i < v.n; i++) {
        digits += scrub_is_digit(v.p[i]);
        letters += scrub_is_alnum(v.p[i]) && !scrub_is_digit(v.p[i]);
    }
    if (r->fake == scrub_fake_nationality)
        return v.n >= MIN_NATION &&
               !names_is(w->rules->names, NAMES_LIST_COMMON, v);
    if (r->fake == scrub_fake_date)
        return v.n >= MIN_DATE && digits && letters;
    return r->fake == scrub_fake_zip && v.n >= MIN_POSTCODE;
}

/* A login that is no word: short ones too, if they have a digit, or stand where
 * only logins do. */
static bool is_login(const struct scrub_worker *w, const struct scrub_rule *r,
                     struct slice v)
{
    size_t digits = 0;

    for (size_t i = 0; i < v.n; i++)
        digits += scrub_is_digit(v.p[i]);
    return strcmp(r->type, "USER") == 0 && v.n >= MIN_LOGIN &&
           (digits || r->require == scrub_check_login) && digits < v.n &&
           !names_is(w->rules->names, NAMES_LIST_COMMON, v);
}

/* "developer" of /home/developer */
static bool is_word_login(const struct scrub_worker *w,
                          const struct scrub_rule *r, struct slice v)
{
    return strcmp(r->type, "USER") == 0 &&
           names_is(w->rules->names, NAMES_LIST_COMMON, v);
}

/* Words of an address, so that pieces of it are known. */
static void add_words(struct scrub_spread *s, struct slice v)
{
    if (!s->parts)
        s->parts = map_new();
    for (size_t i = 0; i < v.n;) {
        size_t from = i;

        while (i < v.n && scrub_is_alnum(v.p[i]))
            i++;
        if (i > from)
            (void)map_put(s->parts, v.p + from, i - from, NULL);
        i += i == from;
    }
}

/* The area code of a telephone in s->digits. */
static void add_area(struct scrub_spread *s, struct slice digits, size_t at)
{
    char area[1 + SCRUB_AREA] = "(";
    uint64_t *index;
    bool added;

    if (digits.n != SCRUB_WITH_AREA)
        return;
    if (!s->parts)
        s->parts = map_new();
    memcpy(area + 1, digits.p, SCRUB_AREA);
    index = map_put(s->parts, area, sizeof(area), &added);
    if (added)
        *index = at;
}

void scrub_spread_add(struct scrub_worker *w, uint32_t rule, struct slice value)
{
    const struct scrub_rule *r = &w->rules->rule[rule];
    struct spreading s = { w, rule };
    bool added;

    if (r->fake == scrub_fake_address)
        add_words(&w->spread, value);
    if (r->digital) {
        buf_reset(&w->norm);
        r->norm(value, &w->norm);
        if (w->norm.len < MIN_DIGITS)
            return;
        if (!w->spread.digits)
            w->spread.digits = map_new();
        *map_put(w->spread.digits, w->norm.data, w->norm.len, &added) = rule;
        if (added && r->fake == scrub_fake_phone)
            add_area(&w->spread, buf_slice(&w->norm),
                     map_count(w->spread.digits) - 1);
        return;
    }
    if (r->fake == scrub_fake_coordinates) {
        scrub_degrees_each(value, spread_degrees, &s);
        return;
    }
    if (r->fake == scrub_fake_number) {
        size_t n = scrub_number_prefix(value);

        if (n && value.n - n >= MIN_DIGITS) /* alone, and behind others */
            spread_text(w, rule, (struct slice){ value.p + n, value.n - n });
    }
    if (r->stem)
        value.n = r->stem(value);
    if (is_word_login(w, r, value))
        return;
    if (value.n >= MIN_TEXT || is_login(w, r, value) || is_coined(w, value) ||
        is_telling(w, r, value) ||
        (value.n >= MIN_DIGITS && ends_with_digits(value)))
        spread_text(w, rule, value);
}

static size_t count(const struct map *m)
{
    return m ? map_count(m) : 0;
}

bool scrub_spread_digits(const struct scrub_worker *w)
{
    return count(w->spread.digits) > 0;
}

bool scrub_spread_any(const struct scrub_worker *w)
{
    return count(w->spread.texts) > 0 || scrub_spread_digits(w);
}

void scrub_spread_reset(struct scrub_worker *w)
{
    struct scrub_spread *s = &w->spread;

    for (size_t i = 0; i < count(s->texts); i++) {
        struct slice v = map_key(s->texts, i);

        s->pairs[pair_at(v.p) / 64] = 0;
        s->lengths[v.n % SCRUB_SPREAD_LENGTHS / 64] = 0;
        s->near[near_at(v.p)] = 0;
    }
    s->longest = 0;
    map_clear(s->texts);
    map_clear(s->digits);
    map_clear(s->parts);
    w->spreading = false;
}

void scrub_spread_release(struct scrub_worker *w)
{
    map_free(w->spread.texts);
    map_free(w->spread.digits);
    map_free(w->spread.parts);
}

/* The value at [start, end), if that is one. */
static int seek_value(struct scrub_search *s, size_t start, size_t end,
                      bool literal_only)
{
    const struct scrub_spread *x = &s->w->spread;
    struct slice t = s->text;
    const uint64_t *rule;

    if (end < t.n && scrub_is_alnum(t.p[end]))
        return ERR_OK;
    rule = map_get(x->texts, t.p + start, end - start);
    if (!rule ||
        (literal_only && s->w->rules->rule[*rule].gate != GATE_LITERAL))
        return ERR_OK;
    return scrub_push_hit(s, (struct scrub_hit){ .start = start,
                                                 .end = end,
                                                 .rule = (uint32_t)*rule,
                                                 .tier = 1 });
}

/* The values that begin at `start`. */
static int seek_at(struct scrub_search *s, size_t start, bool literal_only)
{
    const struct scrub_spread *x = &s->w->spread;
    size_t left = s->text.n - start, n;
    uint64_t near = x->near[near_at(s->text.p + start)], far = near >> FAR;
    int rc = ERR_OK;

    for (near &= ~(UINT64_C(1) << FAR); near && rc == ERR_OK;
         near &= near - 1) {
        n = (size_t)__builtin_ctzll(near);
        if (n <= left)
            rc = seek_value(s, start, start + n, literal_only);
    }
    if (left > x->longest)
        left = x->longest;
    for (n = FAR; far && rc == ERR_OK && n <= left; n++)
        if (is_marked(x->lengths, n % SCRUB_SPREAD_LENGTHS))
            rc = seek_value(s, start, start + n, literal_only);
    return rc;
}

int scrub_spread_seek(struct scrub_search *s, bool literal_only)
{
    const struct scrub_spread *x = &s->w->spread;
    struct slice t = s->text;
    int rc = ERR_OK;

    if (!count(x->texts))
        return ERR_OK;
    t.n -= t.n > 0; /* none begins with the last byte */
    for (size_t i = 0; rc == ERR_OK && i < t.n; i += 64) {
        uint64_t starts = ascii_start_bits(t, i);

        for (; starts && rc == ERR_OK; starts &= starts - 1) {
            size_t at = i + (size_t)__builtin_ctzll(starts);

            if (is_marked(x->pairs, pair_at(t.p + at)))
                rc = seek_at(s, at, literal_only);
        }
    }
    return rc;
}

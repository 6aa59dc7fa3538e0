/*
 * scrub_fake_number.c - surrogates of numbers: ranges that nobody owns
 *
 * A surrogate is a function of its generator and of the value's digits, so
 * "+1 415 555 2671" and "4155552671" become the same number. 555-01xx (NANPA),
 * the ranges that other regulators keep for films, test ranges of card
 * networks, social security numbers from 900 (SSA). Check digits hold.
 */
#include "scrub/scrub_fake.h"

#include "idnumber/idnumber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEGREES_SPREAD 3 /* digits behind the point that tell a place */

static void draw_nanp(struct rng *r, char d[10])
{
    d[0] = (char)('2' + rng_below(r, 8));
    d[1] = (char)('0' + rng_below(r, 9));
    d[2] = (char)('2' + rng_below(r, 8));
    memcpy(d + 3, "55501", 5);
    d[8] = scrub_draw_digit(r);
    d[9] = scrub_draw_digit(r);
}

#define TAIL 9 /* last digits, which all ways to dial a number share */

/* A number as it is dialled: digits before the calling code, those of it, and
 * the code that it has or must have, by its groups. */
struct dialled {
    size_t lead, code_n;
    const char *code;
};

/* Lengths of the groups of digits, as digits: "344". */
static void read_groups(struct slice v, char *out, size_t max)
{
    size_t n = 0, k = 0;

    for (size_t i = 0; i <= v.n && k + 1 < max; i++) {
        if (i < v.n && scrub_is_digit(v.p[i])) {
            n += n < 9;
        } else if (n) {
            out[k++] = (char)('0' + n);
            n = 0;
        }
    }
    out[k] = '\0';
}

static bool is_group(const char *groups, const char *list)
{
    return strstr(list, groups) != NULL;
}

/* Whose trunk prefix it is; NULL: not known. */
static const char *national_code(struct slice v, const char *d, size_t n)
{
    char groups[16];

    read_groups(v, groups, sizeof(groups));
    if (n == 11 && (d[1] == '7' || is_group(groups, "344 434 56 443")))
        return "44";
    if (n == 11)
        return "49";
    if (n == 10 && is_group(groups, "22222"))
        return "33";
    return n == 10 && is_group(groups, "433 244") ? "61" : NULL;
}

static size_t code_digits(const char *d, size_t n)
{
    static const char two[] = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 "
                              "48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 "
                              "66 81 82 84 86 90 91 92 93 94 95 98 ";
    char pair[4] = { d[0], n > 1 ? d[1] : ' ', ' ', '\0' };

    return d[0] == '1' || d[0] == '7' ? 1 : strstr(two, pair) ? 2 : 3;
}

static struct dialled read_dialled(struct slice v, const char *d, size_t n)
{
    bool plus =
        n && (v.p[0] == '+' || (v.n > 1 && v.p[0] == '(' && v.p[1] == '+'));

    if (n > 2 && !plus && d[0] == '0' && d[1] == '0')
        return (struct dialled){ 2, code_digits(d + 2, n - 2), d + 2 };
    if (plus || (n >= 11 && d[0] != '0'))
        return (struct dialled){ 0, code_digits(d, n), d };
    if (n && d[0] == '0')
        return (struct dialled){ 1, 0, national_code(v, d, n) };
    return (struct dialled){ 0, 0, NULL };
}

/* Ranges that regulators keep free for drama, by calling code and what stands
 * behind it: Ofcom, ACMA, ARCEP, Bundesnetzagentur, PTS, ComReg. */
static const char *reserved_range(const char *code, size_t digits)
{
    static const struct {
        const char *code, *range;
        size_t digits;
    } list[] = {
        { "44", "7700900", 10 }, { "61", "491570", 9 }, { "33", "199000", 9 },
        { "49", "3023125", 10 }, { "46", "701740", 9 }, { "353", "2091", 9 },
    };

    for (size_t i = 0; code && i < sizeof(list) / sizeof(*list); i++)
        if (digits == list[i].digits &&
            memcmp(code, list[i].code, strlen(list[i].code)) == 0)
            return list[i].range;
    return NULL;
}

/* The country and the kind stay, the last digits are drawn; in a range that is
 * nobody's, unless that is spent. */
static void draw_dialled(struct slice v, struct rng *r, char *d, size_t n,
                         bool spent)
{
    struct dialled x = read_dialled(v, d, n);
    size_t at = x.lead + x.code_n, left = n > at ? n - at : 0;
    const char *range = spent ? NULL : reserved_range(x.code, left);
    char tail[TAIL];

    for (size_t i = 0; i < TAIL; i++)
        tail[i] = scrub_draw_digit(r);
    for (size_t i = 0; i + 1 < left && i < TAIL; i++)
        d[n - 1 - i] = tail[TAIL - 1 - i];
    if (range)
        memcpy(d + at, range, strlen(range));
    else if (!at && n)
        d[0] = scrub_draw_first(r, d[0]);
}

void scrub_fake_phone(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d);
    bool spent = w->again >= SCRUB_FAKE_TRIES / 2;

    (void)rule;
    if ((n == 10 && d[0] > '1' && v.p[0] != '+') || (n == 11 && d[0] == '1'))
        draw_nanp(r, d + (n - 10));
    else
        draw_dialled(v, r, d, n, spent);
    if (n == 7 && !spent)
        memcpy(d, "55501", 5);
    scrub_digits_lay(v, d, n, out);
}

#define WHOLE_MIN 9 /* digits of what a number's end is told of */

/* "8726" of 536-22-8726: the end of what stands for a number of the record that
 * ends so; if there is none it tells nothing, and stays. */
void scrub_fake_ending(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    const struct map *whole = w->spread.digits;
    struct buf full = { 0 };
    char d[SCRUB_FAKE_DIGITS];
    size_t n = 0;

    (void)rule;
    (void)r;
    for (size_t i = 0; whole && i < map_count(whole); i++) {
        struct slice k = map_key(whole, i);
        const uint64_t *owner = map_get(whole, k.p, k.n);

        if (k.n < WHOLE_MIN || k.n < v.n ||
            memcmp(k.p + k.n - v.n, v.p, v.n) != 0)
            continue;
        scrub_surrogate(w, &w->rules->rule[*owner], k, &full);
        n = scrub_digits_of(buf_slice(&full), d);
        break;
    }
    if (n >= v.n)
        buf_add(out, d + n - v.n, v.n);
    else
        buf_add_slice(out, v);
    buf_release(&full);
}

void scrub_fake_card(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    static const char *const test_ranges[] = { "400000", "555555", "222300",
                                               "378282", "340000", "601111",
                                               "353011", "305693", "360000",
                                               "380000", "620000" };
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d), fixed = 1;

    (void)w;
    (void)rule;
    if (n < 8) { /* the last digits of one */
        for (size_t i = 0; i < n; i++)
            d[i] = i ? scrub_draw_digit(r) : scrub_draw_first(r, d[0]);
        scrub_digits_lay(v, d, n, out);
        return;
    }
    for (size_t k = 2; k > 0 && fixed == 1; k--) {
        for (size_t i = 0; i < 11 && fixed == 1; i++) {
            if (memcmp(d, test_ranges[i], k) == 0) {
                memcpy(d, test_ranges[i], 6);
                fixed = 6;
            }
        }
    }
    for (size_t i = fixed; i + 1 < n; i++)
        d[i] = scrub_draw_digit(r);
    d[n - 1] = (char)('0' + idnumber_luhn_digit(d, n - 1));
    scrub_digits_lay(v, d, n, out);
}

void scrub_fake_iban(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    size_t start = out->len, seen = 0, check[2] = { 0, 0 };
    unsigned rest;

    (void)w;
    (void)rule;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (scrub_is_alnum(c)) {
            if (seen == 2 || seen == 3) {
                check[seen - 2] = out->len;
                c = '0';
            } else if (seen > 3) {
                c = scrub_draw_like(r, c);
            }
            seen++;
        }
        buf_char(out, c);
    }
    if (seen < 5 || out->overflow)
        return;
    rest = 98 - idnumber_iban_mod97(
                    (struct slice){ out->data + start, out->len - start });
    out->data[check[0]] = (char)('0' + rest / 10);
    out->data[check[1]] = (char)('0' + rest % 10);
}

void scrub_fake_ssn(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d);

    (void)w;
    (void)rule;
    for (size_t i = 0; i < n; i++)
        d[i] = scrub_draw_digit(r);
    if (n == 9) { /* groups to 49: no taxpayer number either */
        d[0] = '9';
        d[3] = (char)('0' + rng_below(r, 5));
        d[4] = (char)('1' + rng_below(r, 9));
    }
    scrub_digits_lay(v, d, n, out);
}

/* Five digits are a US ZIP code and go with the state that stands for theirs;
 * of other postcodes the area's letters stay. */
void scrub_fake_zip(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d);
    struct buf folded = { 0 };
    bool letters = false;
    struct rng own;

    (void)rule;
    for (size_t i = 0; i < v.n; i++)
        letters |= scrub_is_alnum(v.p[i]) && !scrub_is_digit(v.p[i]);
    if (!letters && (n == 5 || n == 9)) {
        scrub_state_zip(w, d);
        for (size_t i = 5; i < n; i++)
            d[i] = scrub_draw_digit(r);
        scrub_digits_lay(v, d, n, out);
        return;
    }
    /* the same alone and in an address */
    scrub_norm_alnum(v, &folded);
    scrub_draw(w, "postcode", buf_slice(&folded), w->again, &own);
    buf_release(&folded);
    r = &own;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        /* "SW1A 1AA": the area is a city or more */
        bool area = letters && i < 2 && !scrub_is_digit(c);

        buf_char(out, area                          ? c
                      : i == 0 && scrub_is_digit(c) ? scrub_draw_first(r, c)
                                                    : scrub_draw_like(r, c));
    }
}

/* The number at v's beginning: its bytes, and without last zeros. */
static size_t degrees_at(struct slice v, size_t *bare, size_t *point)
{
    size_t n = 0;

    *point = SIZE_MAX;
    *bare = 0;
    while (n < v.n && (scrub_is_digit(v.p[n]) ||
                       (v.p[n] == '.' && *point == SIZE_MAX && n &&
                        n + 1 < v.n && scrub_is_digit(v.p[n + 1])))) {
        if (v.p[n] == '.')
            *point = n;
        else if (v.p[n] != '0' || *point == SIZE_MAX)
            *bare = n + 1;
        n++;
    }
    return n;
}

/* What is behind the point is drawn anew; last zeros stay, which a number of
 * JSON has not. */
static void draw_fraction(struct scrub_worker *w, struct slice number,
                          size_t bare, size_t point, struct buf *out)
{
    size_t start = out->len;

    for (unsigned again = 0; again < SCRUB_FAKE_TRIES; again++) {
        struct rng r;

        out->len = start;
        scrub_draw(w, "degrees", (struct slice){ number.p, bare }, again, &r);
        buf_add(out, number.p, point + 1);
        for (size_t i = point + 1; i + 1 < bare; i++)
            buf_char(out, scrub_draw_digit(&r));
        buf_char(out, (char)('1' + rng_below(&r, 9)));
        if (memcmp(out->data + start, number.p, bare) != 0)
            break;
    }
    buf_add(out, number.p + bare, number.n - bare);
}

/* Number by number, so that each agrees where it stands alone. The degrees
 * stay, and so does the country mostly; of those in minutes and seconds these
 * are drawn. */
void scrub_fake_coordinates(struct scrub_worker *w,
                            const struct scrub_rule *rule, struct slice v,
                            struct rng *r, struct buf *out)
{
    bool sixtieths = false;
    size_t i = 0;

    (void)rule;
    while (i < v.n) {
        size_t bare, point;
        struct slice t = { v.p + i, v.n - i };

        t.n = degrees_at(t, &bare, &point);
        if (!t.n) {
            sixtieths |= (unsigned char)v.p[i] == 0xB0; /* of a degree sign */
            sixtieths &= !strchr("NSEWnsew,", v.p[i]);
            buf_char(out, v.p[i++]);
            continue;
        }
        if (sixtieths && t.n <= 2)
            buf_printf(out, "%0*u", (int)t.n,
                       (unsigned)rng_below(r, t.n == 1 ? 10 : 60));
        else if (point < bare)
            draw_fraction(w, t, bare, point, out);
        else
            buf_add_slice(out, t);
        i += t.n;
    }
}

void scrub_degrees_each(struct slice v,
                        void (*found)(void *ctx, struct slice number),
                        void *ctx)
{
    size_t i = 0;

    while (i < v.n) {
        size_t bare, point;
        struct slice t = { v.p + i, v.n - i };

        t.n = degrees_at(t, &bare, &point);
        i += t.n ? t.n : 1;
        if (point >= bare || bare - point <= DEGREES_SPREAD)
            continue;
        found(ctx, t);
        if (bare < t.n)
            found(ctx, (struct slice){ t.p, bare });
    }
}

void scrub_fake_extension(struct scrub_worker *w, const struct scrub_rule *rule,
                          struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    for (size_t i = 0; i < v.n; i++)
        buf_char(out,
                 scrub_is_digit(v.p[i]) ? scrub_draw_like(r, v.p[i]) : v.p[i]);
}

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

/* Ranges that regulators keep free for drama, by calling code and length:
 * Ofcom, ACMA, ARCEP, Bundesnetzagentur, PTS, ComReg. */
static size_t reserved_prefix(const char *d, size_t n, const char **range)
{
    static const struct {
        const char *code, *range;
        size_t digits;
    } list[] = {
        { "44", "447700900", 12 }, { "61", "61491570", 11 },
        { "33", "33199000", 11 },  { "49", "493023125", 12 },
        { "46", "46701740", 11 },  { "353", "3532091", 12 },
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        if (n == list[i].digits &&
            memcmp(d, list[i].code, strlen(list[i].code)) == 0) {
            *range = list[i].range;
            return strlen(list[i].range);
        }
    }
    return 0;
}

/* Digits that the surrogate shares with the value, or has from a range, unless
 * that is spent. */
static size_t fixed_digits(struct slice v, char *d, size_t n, bool spent)
{
    const char *range = NULL;
    bool plus = v.n && (v.p[0] == '+' || (v.p[0] == '(' && v.p[1] == '+'));
    size_t fixed;

    if (n == 7 && spent)
        return 0;
    if (n == 7) {
        memcpy(d, "55501", 5);
        return 5;
    }
    fixed = plus && !spent ? reserved_prefix(d, n, &range) : 0;
    if (range)
        memcpy(d, range, fixed);
    else if (plus)
        fixed = n < 3 ? n : 3; /* the calling code, at most */
    else if (n && d[0] == '0')
        fixed = n > 1 && d[1] == '0' ? 4 : 2; /* trunk prefix, kind */
    return fixed < n ? fixed : n;
}

void scrub_fake_phone(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d);
    bool spent = w->again >= SCRUB_FAKE_TRIES / 2;

    (void)rule;
    if ((n == 10 && d[0] > '1') || (n == 11 && d[0] == '1')) {
        draw_nanp(r, d + (n - 10));
    } else {
        for (size_t i = fixed_digits(v, d, n, spent); i < n; i++)
            d[i] = i ? scrub_draw_digit(r) : scrub_draw_first(r, d[0]);
    }
    scrub_digits_lay(v, d, n, out);
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

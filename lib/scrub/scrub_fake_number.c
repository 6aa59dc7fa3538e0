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

/* Digits that the surrogate shares with the value, or has from a range. */
static size_t fixed_digits(struct slice v, char *d, size_t n)
{
    const char *range = NULL;
    bool plus = v.n && (v.p[0] == '+' || (v.p[0] == '(' && v.p[1] == '+'));
    size_t fixed;

    if (n == 7) {
        memcpy(d, "55501", 5);
        return 5;
    }
    fixed = plus ? reserved_prefix(d, n, &range) : 0;
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

    (void)w;
    (void)rule;
    if ((n == 10 && d[0] > '1') || (n == 11 && d[0] == '1')) {
        draw_nanp(r, d + (n - 10));
    } else {
        for (size_t i = fixed_digits(v, d, n); i < n; i++)
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
    bool letters = false;

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
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        /* "SW1A 1AA": the area is a city or more */
        bool area = letters && i < 2 && !scrub_is_digit(c);

        buf_char(out, area                          ? c
                      : i == 0 && scrub_is_digit(c) ? scrub_draw_first(r, c)
                                                    : scrub_draw_like(r, c));
    }
}

/* The whole degrees stay within one, so that the country does mostly; what
 * is behind the point is drawn anew. */
void scrub_fake_coordinates(struct scrub_worker *w,
                            const struct scrub_rule *rule, struct slice v,
                            struct rng *r, struct buf *out)
{
    bool fraction = false;

    (void)w;
    (void)rule;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (fraction && scrub_is_digit(c)) {
            /* a last zero would be cut by whoever writes it as a number */
            bool last = i + 1 == v.n || !scrub_is_digit(v.p[i + 1]);

            buf_char(out, last ? (char)('1' + rng_below(r, 9))
                               : scrub_draw_digit(r));
        } else {
            fraction = c == '.' && i && scrub_is_digit(v.p[i - 1]);
            buf_char(out, c);
        }
    }
}

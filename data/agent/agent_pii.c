/*
 * agent_pii.c - personal data with valid check digits, all of it invented
 *
 * Luhn for cards, ISO 13616 mod 97 for IBANs, ranges in use for SSNs and
 * phone numbers; hosts end in the reserved .example. What is made is noted,
 * so that a leak can be found.
 */
#include "agent.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plants_release(struct plants *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->values[i]);
    p->count = 0;
}

static void note(struct plants *p, const char *value)
{
    assert(p->count < MAX_PLANTED);
    p->values[p->count++] = mem_strdup(value);
}

static void digits(struct rng *r, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)('0' + rng_below(r, 10));
    out[n] = '\0';
}

static char luhn_digit(const char *d, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned v = (unsigned)(d[n - 1 - i] - '0');
        if (i % 2 == 0)
            v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return (char)('0' + (10 - sum % 10) % 10);
}

static void make_card(struct rng *r, char *out, size_t size)
{
    char d[17];
    digits(r, d, 16);
    d[0] = '4';
    d[15] = luhn_digit(d, 15);
    snprintf(out, size, "%.4s %.4s %.4s %.4s", d, d + 4, d + 8, d + 12);
}

/* DE: two check digits and 18 digits; 'D' and 'E' count as 13 and 14. */
static void make_iban(struct rng *r, char *out, size_t size)
{
    char bban[19], whole[32];
    digits(r, bban, 18);
    snprintf(whole, sizeof whole, "%s131400", bban);
    unsigned rest = 0;
    for (const char *p = whole; *p; p++)
        rest = (rest * 10 + (unsigned)(*p - '0')) % 97;
    snprintf(out, size, "DE%02u%s", 98 - rest, bban);
}

static void make_email(const struct texts *pii, struct rng *r, char *out,
                       size_t size)
{
    const char *user = texts_pick(pii, "user", r);
    snprintf(out, size, "%s%u@%s", user, (unsigned)rng_below(r, 90) + 10,
             texts_pick(pii, "host", r));
}

static void make_phone(struct rng *r, char *out, size_t size)
{
    static const unsigned areas[] = { 202, 303, 415, 512, 617, 704, 919 };
    snprintf(out, size, "+1-%u-%u-%04u",
             areas[rng_below(r, sizeof areas / sizeof areas[0])],
             220 + (unsigned)rng_below(r, 700), (unsigned)rng_below(r, 10000));
}

static void make_key(struct rng *r, char *out, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const char mixed[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQR"
                                "STUVWXYZ23456789";
    char body[32] = "";
    bool aws = rng_below(r, 2);
    size_t n = aws ? 16 : 24;
    for (size_t i = 0; i < n; i++)
        body[i] = aws ? letters[rng_below(r, sizeof letters - 1)]
                      : mixed[rng_below(r, sizeof mixed - 1)];
    snprintf(out, size, "%s%s", aws ? "AKIA" : "sk_live_", body);
}

static void make_value(const struct texts *pii, enum column_type type,
                       struct rng *r, char *out, size_t size)
{
    switch (type) {
    case COLUMN_EMAIL: make_email(pii, r, out, size); break;
    case COLUMN_PHONE: make_phone(r, out, size); break;
    case COLUMN_CARD: make_card(r, out, size); break;
    case COLUMN_IBAN: make_iban(r, out, size); break;
    default:
        assert(type == COLUMN_SSN);
        snprintf(out, size, "%03u-%02u-%04u", 101 + (unsigned)rng_below(r, 560),
                 1 + (unsigned)rng_below(r, 99),
                 1 + (unsigned)rng_below(r, 9999));
    }
}

void pii_value(const struct texts *pii, enum column_type type, struct rng *r,
               struct plants *planted, struct buf *out)
{
    char value[96];
    make_value(pii, type, r, value, sizeof value);
    if (planted)
        note(planted, value);
    buf_str(out, value);
}

/* The credentials of a URL are what must not survive, not its host. */
static void put_url(struct rng *r, struct plants *planted, struct buf *out)
{
    char secret[24], key[48];
    make_key(r, key, sizeof key);
    snprintf(secret, sizeof secret, "app%u:%.10s",
             (unsigned)rng_below(r, 90) + 10, key + 9);
    note(planted, secret);
    buf_printf(out, "postgres://%s@db%u.corp.example:5432/main", secret,
               (unsigned)rng_below(r, 9) + 1);
}

static void put_slot(const struct texts *pii, const char *slot, struct rng *r,
                     struct plants *planted, struct buf *out)
{
    char value[96];

    if (strncmp(slot, "{url", 4) == 0) {
        put_url(r, planted, out);
        return;
    }
    if (strncmp(slot, "{ip", 3) == 0)
        snprintf(value, sizeof value, "%u.%u.%u.%u",
                 45 + (unsigned)rng_below(r, 40), (unsigned)rng_below(r, 250),
                 (unsigned)rng_below(r, 250), 1 + (unsigned)rng_below(r, 250));
    else if (strncmp(slot, "{key", 4) == 0)
        make_key(r, value, sizeof value);
    else
        make_value(pii,
                   slot[1] == 'e'   ? COLUMN_EMAIL
                   : slot[1] == 'p' ? COLUMN_PHONE
                   : slot[1] == 'c' ? COLUMN_CARD
                   : slot[1] == 'i' ? COLUMN_IBAN
                                    : COLUMN_SSN,
                   r, value, sizeof value);
    note(planted, value);
    buf_str(out, value);
}

void pii_note(const struct texts *pii, const char *section, struct rng *r,
              struct plants *planted, struct buf *out)
{
    const char *line = texts_pick(pii, section, r);
    const char *slot = strchr(line, '{');
    assert(slot);
    buf_add(out, line, (size_t)(slot - line));
    put_slot(pii, slot, r, planted, out);
    buf_str(out, strchr(slot, '}') + 1);
}

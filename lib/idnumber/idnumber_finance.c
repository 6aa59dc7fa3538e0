/*
 * idnumber_finance.c - cards, bank accounts, routing numbers
 *
 * ISO/IEC 7812 (issuer ranges), ISO 13616 (IBAN registry: country, structure),
 * ISO 9362 (BIC), ABA's routing numbers, and national account numbers. A card
 * made valid is one of a range that processors keep for tests.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Lengths that cards of an issuer have, not those that it might give out: IDs
 * of 17 and 18 digits are many, cards are none. */
static bool issuer_fits(const char *d, size_t n)
{
    static const struct {
        unsigned short low, high; /* first four digits */
        unsigned char min, max;
    } ranges[] = {
        { 4000, 4999, 16, 16 }, { 4000, 4999, 19, 19 }, { 5100, 5599, 16, 16 },
        { 2221, 2720, 16, 16 }, { 3400, 3499, 15, 15 }, { 3700, 3799, 15, 15 },
        { 6011, 6011, 16, 16 }, { 6440, 6599, 16, 16 }, { 3528, 3589, 16, 16 },
        { 3000, 3059, 14, 14 }, { 3600, 3699, 14, 14 }, { 3800, 3999, 14, 14 },
        { 6200, 6299, 16, 16 }, { 6200, 6299, 19, 19 }, { 2200, 2204, 16, 16 },
    };
    unsigned first = idnumber_number(d, 4);

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (first >= ranges[i].low && first <= ranges[i].high &&
            n >= ranges[i].min && n <= ranges[i].max)
            return true;
    return false;
}

bool idnumber_card(const struct idnumber *x)
{
    return issuer_fits(x->c, x->n) && idnumber_is_luhn(x->c, x->n);
}

/* A test range of the length, of the same first digits where there is one. */
void idnumber_mend_card(struct idnumber *x)
{
    static const struct {
        char digits[7];
        unsigned char min, max;
    } ranges[] = {
        { "305693", 14, 14 }, { "360000", 14, 14 }, { "378282", 15, 15 },
        { "340000", 15, 15 }, { "400000", 16, 16 }, { "555555", 16, 16 },
        { "222300", 16, 16 }, { "601111", 16, 16 }, { "353011", 16, 16 },
        { "620000", 16, 16 }, { "400000", 19, 19 }, { "620000", 19, 19 },
    };
    size_t best = SIZE_MAX, score = 0;

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        size_t same = 0;

        if (x->n < ranges[i].min || x->n > ranges[i].max)
            continue;
        while (same < 6 && x->c[same] == ranges[i].digits[same])
            same++;
        if (best == SIZE_MAX || same > score) {
            best = i;
            score = same;
        }
    }
    if (best != SIZE_MAX)
        memcpy(x->c, ranges[best].digits, 6);
}

bool idnumber_luhn(const struct idnumber *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (!ascii_is_digit(x->c[i]))
            return false;
    return idnumber_is_luhn(x->c, x->n);
}

/* Country, then runs of n digits, a letters, c both, with their lengths. */
static const char iban_table[] =
    "AD n8c12;AE n19;AL n8c16;AT n16;AZ a4c20;BA n16;BE n12;BG a4n6c8;"
    "BH a4c14;BI n23;BR n23a1c1;BY c4n4c16;CH n5c12;CR n18;CY n8c16;CZ n20;"
    "DE n18;DJ n23;DK n14;DO c4n20;EE n16;EG n25;ES n20;FI n14;FK a2n12;"
    "FO n14;FR n10c11n2;GB a4n14;GE a2n16;GI a4c15;GL n14;GR n7c16;GT c24;"
    "HN a4n20;HR n17;HU n24;IE a4n14;IL n19;IQ a4n15;IS n22;IT a1n10c12;"
    "JO a4n4c18;KW a4c22;KZ n3c13;LB n4c20;LC a4c24;LI n5c12;LT n16;"
    "LU n3c13;LV a4c13;LY n21;MC n10c11n2;MD c20;ME n18;MK n3c10n2;MN n16;"
    "MR n23;MT a4n5c18;MU a4n19a3;NI a4n20;NL a4n10;NO n11;OM n3c16;"
    "PK a4c16;PL n24;PS a4c21;PT n21;QA a4c21;RO a4c16;RS n18;RU n14c15;"
    "SA n2c18;SC a4n20a3;SD n14;SE n20;SI n15;SK n20;SM a1n10c12;SO n19;"
    "ST n21;SV a4n20;TL n19;TN n20;TR n6c16;UA n6c19;VA n18;VG a4n16;"
    "XK n16;YE a4n4c18;";

static const char *iban_structure(const char *country)
{
    for (const char *p = iban_table; *p; p = strchr(p, ';') + 1)
        if (p[0] == (country[0] & ~0x20) && p[1] == (country[1] & ~0x20))
            return p + 3;
    return NULL;
}

/* The next run of a structure; false at its end. */
static bool next_run(const char **p, char *class, size_t *n)
{
    if (**p == ';')
        return false;
    *class = *(*p)++;
    for (*n = 0; ascii_is_digit(**p); ++*p)
        *n = *n * 10 + idnumber_digit(**p);
    return true;
}

size_t idnumber_iban_length(const char *country)
{
    const char *p = iban_structure(country);
    size_t all = 4, n;
    char class;

    if (!p)
        return 0;
    while (next_run(&p, &class, &n))
        all += n;
    return all;
}

static bool iban_fits(const char *p, const char *c, size_t n)
{
    size_t i = 0, run;
    char class;

    while (next_run(&p, &class, &run))
        for (; run > 0; run--, i++)
            if (i == n || (class == 'n' && !ascii_is_digit(c[i])) ||
                (class == 'a' && ascii_is_digit(c[i])))
                return false;
    return i == n;
}

unsigned idnumber_iban_mod97(struct slice v)
{
    char c[64];
    size_t n = 0;
    unsigned rest = 0;

    for (size_t i = 0; i < v.n && n < sizeof(c); i++)
        if (ascii_is_alnum(v.p[i]))
            c[n++] = v.p[i];
    for (size_t i = 0; i < n; i++) {
        char x = c[(i + 4) % n];

        if (ascii_is_digit(x))
            rest = (rest * 10 + idnumber_digit(x)) % 97;
        else
            rest = (rest * 100 + (unsigned)((x & ~0x20) - 'A' + 10)) % 97;
    }
    return rest;
}

/* A pattern cannot know where a country's IBAN ends and the next word begins.
 */
size_t idnumber_iban_fit(struct slice v)
{
    size_t want = v.n < 4 ? 0 : idnumber_iban_length(v.p), n = 0;

    for (size_t i = 0; want && i < v.n; i++) {
        n += ascii_is_alnum(v.p[i]);
        if (n == want)
            return i + 1;
    }
    return 0;
}

/* Small letters are rare in IBANs and common in hashes. */
bool idnumber_iban(const struct idnumber *x)
{
    const char *structure = iban_structure(x->c);

    return x->value.p[0] < 'a' && structure &&
           iban_fits(structure, x->c + 4, x->n - 4) &&
           idnumber_iban_mod97((struct slice){ x->c, x->n }) == 1;
}

/* A country whose accounts look like the rest of the value. */
void idnumber_mend_iban(struct idnumber *x)
{
    const char *p = x->n > 4 ? iban_structure(x->c) : "";

    if (x->n <= 4 || (p && iban_fits(p, x->c + 4, x->n - 4)))
        return;
    for (p = iban_table; *p; p = strchr(p, ';') + 1) {
        if (iban_fits(p + 3, x->c + 4, x->n - 4)) {
            memcpy(x->c, p, 2);
            return;
        }
    }
}

bool idnumber_bic(const struct idnumber *x)
{
    return idnumber_is_country(x->c + 4);
}

bool idnumber_us_aba(const struct idnumber *x)
{
    return WEIGH(x->c, 3, 7, 1, 3, 7, 1, 3, 7, 1) % 10 == 0;
}

bool idnumber_mx_clabe(const struct idnumber *x)
{
    return WEIGH(x->c, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1) %
               10 ==
           0;
}

bool idnumber_ar_cbu(const struct idnumber *x)
{
    return WEIGH(x->c, 7, 1, 3, 9, 7, 1, 3, 1) % 10 == 0 &&
           WEIGH(x->c + 8, 3, 9, 7, 1, 3, 9, 7, 1, 3, 9, 7, 1, 3, 1) % 10 == 0;
}

/* Check digits of Spanish accounts: 11 less the remainder, 10 becomes 1. */
static unsigned spanish(int sum)
{
    unsigned rest = idnumber_mod(sum, 11);

    return rest < 2 ? rest : 11 - rest;
}

bool idnumber_es_ccc(const struct idnumber *x)
{
    return spanish(WEIGH(x->c, 4, 8, 5, 10, 9, 7, 3, 6)) ==
               idnumber_digit(x->c[8]) &&
           spanish(WEIGH(x->c + 10, 1, 2, 4, 8, 5, 10, 9, 7, 3, 6)) ==
               idnumber_digit(x->c[9]);
}

bool idnumber_no_konto(const struct idnumber *x)
{
    return idnumber_mod(WEIGH(x->c, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11) == 0;
}

bool idnumber_shape(const struct idnumber *x)
{
    return x->n > 0;
}

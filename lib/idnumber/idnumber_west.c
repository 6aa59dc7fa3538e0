/*
 * idnumber_west.c - numbers that the states of western Europe give out
 *
 * United Kingdom, Ireland, France, Spain, Portugal, Italy, Germany, Austria,
 * Switzerland, Belgium, the Netherlands, Luxembourg, and the Nordic countries.
 * Sources are the issuers' rules. Days of birth must be days; whether they are
 * past is not asked.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

bool idnumber_gb_nino(const struct idnumber *x)
{
    static const char never[] = "BGGBNKKNTNNTZZ";

    for (const char *p = never; *p; p += 2)
        if (memcmp(p, x->c, 2) == 0)
            return false;
    return true;
}

bool idnumber_gb_utr(const struct idnumber *x)
{
    const char *d = x->c + x->n - 10;

    return d[0] == "21987654321"[WEIGH(d + 1, 6, 7, 8, 9, 10, 5, 4, 3, 2) % 11];
}

/* Name of five letters (9 fills), decade, month (women: plus 50), day, year,
 * two initials, a digit, two letters that check in a way kept secret. */
bool idnumber_gb_dl(const struct idnumber *x)
{
    size_t letters = strspn(x->c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (letters < 1 || strspn(x->c + (letters < 5 ? letters : 5), "9") +
                               (letters < 5 ? letters : 5) <
                           5)
        return false;
    return idnumber_is_day(2000, idnumber_number(x->c + 6, 2) % 50,
                           idnumber_number(x->c + 8, 2)) &&
           (!ascii_is_digit(x->c[11]) || x->c[11] == '9') &&
           (!ascii_is_digit(x->c[12]) || x->c[12] == '9');
}

bool idnumber_gb_vat(const struct idnumber *x)
{
    unsigned rest = (unsigned)WEIGH(x->c, 8, 7, 6, 5, 4, 3, 2, 10, 1) % 97;

    return rest == 0 || (x->c[0] != '0' && (rest == 42 || rest == 55));
}

bool idnumber_ie_pps(const struct idnumber *x)
{
    unsigned sum = (unsigned)WEIGH(x->c, 8, 7, 6, 5, 4, 3, 2);

    if (x->n == 9 && strchr("ABH", x->c[8]))
        sum += 9 * (unsigned)(x->c[8] - 'A' + 1);
    return x->c[7] == "WABCDEFGHIJKLMNOPQRSTUV"[sum % 23];
}

/* Corsica's departments have letters; they count as 19 and 18. */
bool idnumber_fr_nir(const struct idnumber *x)
{
    char d[14];

    memcpy(d, x->c, 13);
    if (!ascii_is_digit(d[6])) {
        if (d[5] != '2' || (d[6] != 'A' && d[6] != 'B'))
            return false;
        memcpy(d + 5, d[6] == 'A' ? "19" : "18", 2);
    }
    if (!ascii_is_digit(d[5]))
        return false;
    return 97 - idnumber_modulo(d, 13, 97) == idnumber_number(x->c + 13, 2);
}

bool idnumber_fr_spi(const struct idnumber *x)
{
    return idnumber_modulo(x->c, 10, 511) == idnumber_number(x->c + 10, 3);
}

bool idnumber_fr_siren(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 9);
}

/* La Poste has more offices than Luhn numbers. */
bool idnumber_fr_siret(const struct idnumber *x)
{
    unsigned sum = 0;

    for (size_t i = 0; i < 14; i++)
        sum += idnumber_digit(x->c[i]);
    if (strncmp(x->c, "356000000", 9) == 0 &&
        strcmp(x->c, "35600000000048") != 0)
        return sum % 5 == 0;
    return idnumber_is_luhn(x->c, 9) && idnumber_is_luhn(x->c, 14);
}

static char spanish_letter(unsigned number)
{
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23];
}

/* Persons: digits or X, Y, Z in front, K, L, M too; others as companies. */
bool idnumber_es_nif(const struct idnumber *x)
{
    char first = x->c[0];
    unsigned check;

    if (strchr("KLM", first))
        return x->c[8] == spanish_letter(idnumber_number(x->c + 1, 7));
    if (strchr("XYZ", first))
        return x->c[8] == spanish_letter((unsigned)(first - 'X') * 10000000u +
                                         idnumber_number(x->c + 1, 7));
    if (ascii_is_digit(first))
        return x->c[8] == spanish_letter(idnumber_number(x->c, 8));
    if (!strchr("ABCDEFGHJNPQRSUVW", first))
        return false;
    check = idnumber_luhn_digit(x->c + 1, 7);
    return x->c[8] == (char)('0' + check) || x->c[8] == "JABCDEFGHI"[check];
}

/* Social security: province, number, remainder modulo 97 of both. */
bool idnumber_es_nss(const struct idnumber *x)
{
    unsigned number = idnumber_number(x->c + 2, 8);
    uint64_t province = idnumber_number(x->c, 2);
    uint64_t all =
        province * (number < 10000000 ? 10000000 : 100000000) + number;

    return all % 97 == idnumber_number(x->c + 10, 2);
}

bool idnumber_pt_nif(const struct idnumber *x)
{
    return idnumber_mod(-WEIGH(x->c, 9, 8, 7, 6, 5, 4, 3, 2), 11) % 10 ==
           idnumber_digit(x->c[8]);
}

/* Luhn over 36 values. */
bool idnumber_pt_cc(const struct idnumber *x)
{
    unsigned sum = 0;

    for (size_t i = 0; i < x->n; i++) {
        unsigned v = idnumber_value36(x->c[x->n - 1 - i]);

        if (i % 2)
            v = 2 * v > 9 ? 2 * v - 9 : 2 * v;
        sum += v;
    }
    return sum % 10 == 0;
}

/* Where two people would have the same code, letters stand for digits. */
static unsigned omocode_digit(char c)
{
    static const char letters[] = "LMNPQRSTUV";
    const char *at = strchr(letters, c);

    if (ascii_is_digit(c))
        return idnumber_digit(c);
    return at ? (unsigned)(at - letters) : 100;
}

bool idnumber_it_cf(const struct idnumber *x)
{
    static const unsigned char odd[26] = { 1,  0,  5,  7,  9,  13, 15, 17, 19,
                                           21, 2,  4,  18, 20, 11, 3,  6,  8,
                                           12, 14, 16, 10, 22, 25, 24, 23 };
    static const char months[] = "ABCDEHLMPRST";
    const char *c = x->c, *month = strchr(months, c[8]);
    unsigned sum = 0, day = omocode_digit(c[9]) * 10 + omocode_digit(c[10]);
    unsigned year = omocode_digit(c[6]) * 10 + omocode_digit(c[7]);

    for (size_t i = 0; i < 15; i++) {
        unsigned v = ascii_is_digit(c[i]) ? idnumber_digit(c[i])
                                          : (unsigned)(c[i] - 'A');

        sum += i % 2 ? v : odd[v];
    }
    for (size_t i = 12; i < 15; i++)
        if (omocode_digit(c[i]) > 9)
            return false;
    return month && year < 100 && day < 100 &&
           idnumber_is_day2(year, (unsigned)(month - months) + 1, day % 40) &&
           c[15] == (char)('A' + sum % 26);
}

bool idnumber_it_piva(const struct idnumber *x)
{
    return idnumber_number(x->c, 7) && idnumber_is_luhn(x->c, 11);
}

/* One digit of the first ten stands twice or three times, no other does. */
bool idnumber_de_idnr(const struct idnumber *x)
{
    unsigned count[10] = { 0 }, more = 0;

    for (size_t i = 0; i < 10; i++)
        count[idnumber_digit(x->c[i])]++;
    for (size_t i = 0; i < 10; i++) {
        if (count[i] > 3)
            return false;
        more += count[i] > 1;
    }
    return more == 1 && idnumber_is_mod11_10(x->c, 11);
}

bool idnumber_de_vat(const struct idnumber *x)
{
    const char *d = x->c + x->n - 9;

    return d[0] != '0' && idnumber_is_mod11_10(d, 9);
}

/* Pension insurance: area, date of birth, letter as two digits, serial. */
bool idnumber_de_rvnr(const struct idnumber *x)
{
    static const unsigned char weight[12] = {
        2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1
    };
    unsigned letter = (unsigned)(x->c[8] - 'A' + 1), sum = 0;
    char d[13];

    memcpy(d, x->c, 8);
    d[8] = (char)('0' + letter / 10);
    d[9] = (char)('0' + letter % 10);
    memcpy(d + 10, x->c + 9, 2);
    for (size_t i = 0; i < 12; i++) {
        unsigned v = weight[i] * idnumber_digit(d[i]);

        sum += v / 10 + v % 10;
    }
    return idnumber_is_ddmmyy(x->c + 2) && sum % 10 == idnumber_digit(x->c[11]);
}

/* Passport and identity card: the printed number with its check digit. */
bool idnumber_de_document(const struct idnumber *x)
{
    return idnumber_icao(x->c, 9) == idnumber_digit(x->c[9]);
}

bool idnumber_at_svnr(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 3, 7, 9, 0, 5, 8, 4, 2, 1, 6) % 11 ==
           idnumber_digit(x->c[3]);
}

bool idnumber_at_uid(const struct idnumber *x)
{
    const char *d = x->c + x->n - 8;

    return (16 + idnumber_luhn_digit(d, 6) - idnumber_digit(d[6])) % 10 ==
           idnumber_digit(d[7]);
}

/* EAN-13. */
bool idnumber_ch_ahv(const struct idnumber *x)
{
    return WEIGH(x->c, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1) % 10 == 0;
}

bool idnumber_ch_uid(const struct idnumber *x)
{
    return idnumber_mod(-WEIGH(x->c + 3, 5, 4, 3, 2, 7, 6, 5, 4), 11) ==
           idnumber_digit(x->c[11]);
}

/* Modulo 97; those born since 2000 with a 2 in front. Months of numbers for
 * people who are not registered begin at 20 and 40; days count on where a
 * day's numbers are used up. */
bool idnumber_be_nn(const struct idnumber *x)
{
    char d[10] = { '2' };
    unsigned check = idnumber_number(x->c + 9, 2);
    unsigned month = idnumber_number(x->c + 2, 2);

    memcpy(d + 1, x->c, 9);
    if (month % 20 > 12 || month > 52 || strspn(x->c, "0") == x->n)
        return false;
    return 97 - idnumber_modulo(x->c, 9, 97) == check ||
           97 - idnumber_modulo(d, 10, 97) == check;
}

bool idnumber_be_vat(const struct idnumber *x)
{
    const char *d = x->c + x->n - 10;

    return strspn(d, "0") < 10 &&
           97 - idnumber_modulo(d, 8, 97) == idnumber_number(d + 8, 2);
}

bool idnumber_nl_bsn(const struct idnumber *x)
{
    const char *d = x->c + x->n - 8;
    int sum = WEIGH(d, 8, 7, 6, 5, 4, 3, 2, -1);

    if (x->n == 9)
        sum += 9 * (int)idnumber_digit(x->c[0]);
    return strspn(x->c, "0") < x->n && idnumber_mod(sum, 11) == 0;
}

/* The 12th digit is Luhn's, the 13th Verhoeff's, both of the first eleven. */
bool idnumber_lu_nin(const struct idnumber *x)
{
    char d[12];

    memcpy(d, x->c, 11);
    d[11] = x->c[12];
    return idnumber_is_day(idnumber_number(x->c, 4),
                           idnumber_number(x->c + 4, 2),
                           idnumber_number(x->c + 6, 2)) &&
           idnumber_is_luhn(x->c, 12) && idnumber_is_verhoeff(d, 12);
}

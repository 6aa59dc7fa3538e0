/*
 * idnumber_east.c - numbers that states of eastern and southern Europe give out
 *
 * Poland, Czechia and Slovakia, Hungary, Romania, Bulgaria, Greece, Croatia,
 * Slovenia and the other states of former Yugoslavia, Russia, Ukraine, Turkey,
 * Kazakhstan. Sources are the issuers' rules.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Centuries are told by 20 added to the month. */
bool idnumber_pl_pesel(const struct idnumber *x)
{
    static const unsigned short centuries[5] = { 1900, 2000, 2100, 2200, 1800 };
    unsigned month = idnumber_number(x->c + 2, 2);

    return WEIGH(x->c, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1) % 10 == 0 &&
           idnumber_is_day(centuries[month / 20] + idnumber_number(x->c, 2),
                           month % 20, idnumber_number(x->c + 4, 2));
}

bool idnumber_pl_nip(const struct idnumber *x)
{
    return idnumber_mod(WEIGH(x->c, 6, 5, 7, 2, 3, 4, 5, 6, 7, -1), 11) == 0;
}

bool idnumber_pl_regon(const struct idnumber *x)
{
    if ((unsigned)WEIGH(x->c, 8, 9, 2, 3, 4, 5, 6, 7) % 11 % 10 !=
        idnumber_digit(x->c[8]))
        return false;
    return x->n == 9 ||
           (unsigned)WEIGH(x->c, 2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8) % 11 %
                   10 ==
               idnumber_digit(x->c[13]);
}

/* Identity card: three letters, a check digit, five digits. Passport: two
 * letters, a check digit, six digits. */
static bool polish_document(const char *c, const unsigned char weight[9])
{
    unsigned sum = 0;

    for (size_t i = 0; i < 9; i++)
        sum += weight[i] * idnumber_value36(c[i]);
    return sum % 10 == 0;
}

bool idnumber_pl_id(const struct idnumber *x)
{
    static const unsigned char weight[9] = { 7, 3, 1, 9, 7, 3, 1, 7, 3 };

    return polish_document(x->c, weight);
}

bool idnumber_pl_passport(const struct idnumber *x)
{
    static const unsigned char weight[9] = { 7, 3, 9, 1, 7, 3, 1, 7, 3 };

    return polish_document(x->c, weight);
}

/* Women have 50 more for the month, both 20 more where a day's numbers were
 * used up. Nine digits until 1953, without a check. */
bool idnumber_cz_rc(const struct idnumber *x)
{
    unsigned year = 1900 + idnumber_number(x->c, 2);

    if (x->n == 9) {
        year -= year >= 1980 ? 100 : 0;
        if (year > 1953)
            return false;
    } else {
        year += year < 1954 ? 100 : 0;
        if (idnumber_number(x->c, 9) % 11 % 10 != idnumber_digit(x->c[9]))
            return false;
    }
    return idnumber_is_day(year, idnumber_number(x->c + 2, 2) % 50 % 20,
                           idnumber_number(x->c + 4, 2));
}

/* Weights 1 to 10, the other way round for those born since 1997. */
bool idnumber_hu_id(const struct idnumber *x)
{
    unsigned rest = (unsigned)WEIGH(x->c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) % 11;
    unsigned later = (unsigned)WEIGH(x->c, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1) % 11;
    unsigned check = idnumber_digit(x->c[10]);

    return idnumber_is_yymmdd(x->c + 1) && (rest == check || later == check);
}

bool idnumber_hu_tax(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 1, 2, 3, 4, 5, 6, 7, 8, 9) % 11 ==
           idnumber_digit(x->c[9]);
}

bool idnumber_hu_anum(const struct idnumber *x)
{
    return WEIGH(x->c, 9, 7, 3, 1, 9, 7, 3, 1) % 10 == 0;
}

bool idnumber_ro_cnp(const struct idnumber *x)
{
    static const unsigned short centuries[9] = { 1900, 1900, 1800, 1800, 2000,
                                                 2000, 1900, 1900, 1900 };
    unsigned rest =
        (unsigned)WEIGH(x->c, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9) % 11;

    return idnumber_is_day(
               centuries[x->c[0] - '1'] + idnumber_number(x->c + 1, 2),
               idnumber_number(x->c + 3, 2), idnumber_number(x->c + 5, 2)) &&
           (rest == 10 ? 1 : rest) == idnumber_digit(x->c[12]);
}

/* Months with 20 more were in the 1800s, with 40 more in the 2000s. */
bool idnumber_bg_egn(const struct idnumber *x)
{
    unsigned month = idnumber_number(x->c + 2, 2), year = 1900;

    if (month > 40) {
        year = 2000;
        month -= 40;
    } else if (month > 20) {
        year = 1800;
        month -= 20;
    }
    return idnumber_is_day(year + idnumber_number(x->c, 2), month,
                           idnumber_number(x->c + 4, 2)) &&
           (unsigned)WEIGH(x->c, 2, 4, 8, 5, 10, 9, 7, 3, 6) % 11 % 10 ==
               idnumber_digit(x->c[9]);
}

bool idnumber_bg_lnch(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 21, 19, 17, 13, 11, 9, 7, 3, 1) % 10 ==
           idnumber_digit(x->c[9]);
}

bool idnumber_gr_amka(const struct idnumber *x)
{
    return idnumber_is_ddmmyy(x->c) && idnumber_is_luhn(x->c, 11);
}

bool idnumber_gr_afm(const struct idnumber *x)
{
    unsigned sum = 0;

    for (size_t i = 0; i < 8; i++)
        sum = sum * 2 + idnumber_digit(x->c[i]);
    return sum * 2 % 11 % 10 == idnumber_digit(x->c[8]);
}

bool idnumber_hr_oib(const struct idnumber *x)
{
    return idnumber_is_mod11_10(x->c + x->n - 11, 11);
}

bool idnumber_rs_pib(const struct idnumber *x)
{
    return idnumber_is_mod11_10(x->c, 9);
}

/* The number of people of Yugoslavia, kept by the states that followed: day,
 * month, last three digits of the year. */
bool idnumber_jmbg(const struct idnumber *x)
{
    unsigned year = idnumber_number(x->c + 4, 3);

    return idnumber_is_day(year + (year < 800 ? 2000 : 1000),
                           idnumber_number(x->c + 2, 2),
                           idnumber_number(x->c, 2)) &&
           idnumber_mod(-WEIGH(x->c, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11) %
                   10 ==
               idnumber_digit(x->c[12]);
}

bool idnumber_si_tax(const struct idnumber *x)
{
    unsigned rest = 11 - (unsigned)WEIGH(x->c, 8, 7, 6, 5, 4, 3, 2) % 11;

    return (rest == 10 ? 0 : rest) == idnumber_digit(x->c[7]);
}

bool idnumber_ru_inn(const struct idnumber *x)
{
    const char *c = x->c;

    if (x->n == 10)
        return (unsigned)WEIGH(c, 2, 4, 10, 3, 5, 9, 4, 6, 8) % 11 % 10 ==
               idnumber_digit(c[9]);
    return (unsigned)WEIGH(c, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8) % 11 % 10 ==
               idnumber_digit(c[10]) &&
           (unsigned)WEIGH(c, 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8) % 11 % 10 ==
               idnumber_digit(c[11]);
}

/* Pension fund: weights 9 to 1, modulo 101; numbers up to 001001998 have no
 * check. */
bool idnumber_ru_snils(const struct idnumber *x)
{
    unsigned sum = (unsigned)WEIGH(x->c, 9, 8, 7, 6, 5, 4, 3, 2, 1);

    return idnumber_number(x->c, 9) > 1001998 &&
           sum % 101 % 100 == idnumber_number(x->c + 9, 2);
}

bool idnumber_ru_ogrn(const struct idnumber *x)
{
    if (x->n == 15 && x->c[0] != '3' && x->c[0] != '4')
        return false;
    return idnumber_modulo(x->c, x->n - 1, x->n == 13 ? 11 : 13) % 10 ==
           idnumber_digit(x->c[x->n - 1]);
}

bool idnumber_ua_rnokpp(const struct idnumber *x)
{
    return idnumber_mod(WEIGH(x->c, -1, 5, 7, 9, 4, 6, 10, 5, 7), 11) % 10 ==
           idnumber_digit(x->c[9]);
}

bool idnumber_ua_edrpou(const struct idnumber *x)
{
    bool middle = x->c[0] >= '3' && x->c[0] <= '5';
    int sum = middle ? WEIGH(x->c, 7, 1, 2, 3, 4, 5, 6)
                     : WEIGH(x->c, 1, 2, 3, 4, 5, 6, 7);

    if (sum % 11 == 10)
        sum = middle ? WEIGH(x->c, 9, 3, 4, 5, 6, 7, 8)
                     : WEIGH(x->c, 3, 4, 5, 6, 7, 8, 9);
    return (unsigned)sum % 11 % 10 == idnumber_digit(x->c[7]);
}

bool idnumber_tr_tckn(const struct idnumber *x)
{
    unsigned sum = (unsigned)WEIGH(x->c, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);

    return idnumber_mod(-WEIGH(x->c, 3, 1, 3, 1, 3, 1, 3, 1, 3), 10) ==
               idnumber_digit(x->c[9]) &&
           sum % 10 == idnumber_digit(x->c[10]);
}

bool idnumber_tr_vkn(const struct idnumber *x)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < 9; i++) {
        unsigned v = (idnumber_digit(x->c[i]) + 9 - i) % 10;

        if (v) {
            v = (v << (9 - i)) % 9;
            sum += v ? v : 9;
        }
    }
    return (10 - sum % 10) % 10 == idnumber_digit(x->c[9]);
}

bool idnumber_kz_iin(const struct idnumber *x)
{
    unsigned rest =
        (unsigned)WEIGH(x->c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) % 11;

    if (rest == 10)
        rest = (unsigned)WEIGH(x->c, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2) % 11;
    return idnumber_is_yymmdd(x->c) && rest == idnumber_digit(x->c[11]);
}

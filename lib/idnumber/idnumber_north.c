/*
 * idnumber_north.c - numbers that the Nordic and Baltic states give out
 *
 * Skatteverket, Skatteetaten, CPR, Digi- ja vaestotietovirasto, Thjodskra, and
 * the registers of Estonia, Latvia and Lithuania.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Of twelve digits the last ten are checked; coordination numbers have 60
 * more for the day. */
bool idnumber_se_pnr(const struct idnumber *x)
{
    const char *d = x->c + x->n - 10;
    unsigned day = idnumber_number(d + 4, 2);

    day -= day > 60 ? 60 : 0;
    return idnumber_is_day(x->n == 12 ? idnumber_number(x->c, 4)
                                      : 2000 + idnumber_number(d, 2),
                           idnumber_number(d + 2, 2), day) &&
           idnumber_is_luhn(d, 10);
}

bool idnumber_se_orgnr(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 10);
}

/* Between date and serial stands the century: + - or a letter. */
bool idnumber_fi_hetu(const struct idnumber *x)
{
    const char *serial = x->c + x->n - 4, *sign = NULL;
    unsigned year = idnumber_number(x->c + 4, 2), century = 1900;
    char d[10];

    for (size_t i = x->at[5] + 1u; i < x->at[x->n - 4]; i++)
        sign = x->value.p + i;
    if (x->n == 11) {
        if (sign > x->value.p + x->at[6] || x->at[6] != x->at[5] + 1u ||
            x->at[7] != x->at[6] + 1u || !strchr("ABCDEFYXWVU", x->c[6]))
            return false;
        century = x->c[6] <= 'F' ? 2000 : 1900;
    } else if (!sign || x->at[6] != x->at[5] + 2u ||
               (*sign != '-' && *sign != '+')) {
        return false;
    } else if (*sign == '+') {
        century = 1800;
    }
    memcpy(d, x->c, 6);
    memcpy(d + 6, serial, 3);
    return idnumber_is_day(century + year, idnumber_number(x->c + 2, 2),
                           idnumber_number(x->c, 2)) &&
           idnumber_number(serial, 3) >= 2 && serial[0] != '9' &&
           serial[3] ==
               "0123456789ABCDEFHJKLMNPRSTUVWXY"[idnumber_modulo(d, 9, 31)];
}

bool idnumber_fi_ytunnus(const struct idnumber *x)
{
    return WEIGH(x->c + x->n - 8, 7, 9, 10, 5, 8, 4, 2, 1) % 11 == 0;
}

/* Centuries by the serial's range; 40 more for the day of D numbers, for the
 * month of tests and synthetic persons. */
static bool norwegian_day(const char *c)
{
    unsigned day = idnumber_number(c, 2), month = idnumber_number(c + 2, 2);
    unsigned year = idnumber_number(c + 4, 2),
             serial = idnumber_number(c + 6, 3);

    day -= day > 40 ? 40 : 0;
    month -= month > 40 ? 40 : 0;
    if (serial < 500)
        year += 1900;
    else if (serial < 750 && year >= 54)
        year += 1800;
    else if (year < 40)
        year += 2000;
    else if (serial >= 900)
        year += 1900;
    else
        return false;
    return idnumber_is_day(year, month, day);
}

bool idnumber_no_fnr(const struct idnumber *x)
{
    return norwegian_day(x->c) &&
           WEIGH(x->c, 3, 7, 6, 1, 8, 9, 4, 5, 2, 1) % 11 == 0 &&
           WEIGH(x->c, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

bool idnumber_no_orgnr(const struct idnumber *x)
{
    return WEIGH(x->c, 3, 2, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

/* Since 2007 numbers are given out that no check digit holds for. */
bool idnumber_dk_cpr(const struct idnumber *x)
{
    unsigned year = idnumber_number(x->c + 4, 2);
    char serial = x->c[6];

    if (serial >= '5' && serial <= '8' && year >= 58)
        year += 1800;
    else if (serial <= '3' || ((serial == '4' || serial == '9') && year >= 37))
        year += 1900;
    else
        year += 2000;
    return idnumber_is_day(year, idnumber_number(x->c + 2, 2),
                           idnumber_number(x->c, 2));
}

bool idnumber_dk_cvr(const struct idnumber *x)
{
    return WEIGH(x->c, 2, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

/* Companies have 40 more for the day. */
bool idnumber_is_kt(const struct idnumber *x)
{
    unsigned day = idnumber_number(x->c, 2);
    unsigned year = idnumber_number(x->c + 4, 2);

    day -= day > 40 ? 40 : 0;
    return idnumber_is_day(year + (x->c[9] == '9' ? 1900 : 2000),
                           idnumber_number(x->c + 2, 2), day) &&
           WEIGH(x->c, 3, 2, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

/* Estonia and Lithuania: weights 1 to 9 around, then from 3; 10 is 0. */
static bool baltic(const char *c)
{
    unsigned rest = (unsigned)WEIGH(c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1) % 11;

    if (rest == 10)
        rest = (unsigned)WEIGH(c, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3) % 11;
    return rest % 10 == idnumber_digit(c[10]);
}

static bool baltic_day(const char *c)
{
    return idnumber_is_day(
        1800 + (idnumber_digit(c[0]) - 1) / 2 * 100 + idnumber_number(c + 1, 2),
        idnumber_number(c + 3, 2), idnumber_number(c + 5, 2));
}

bool idnumber_ee_ik(const struct idnumber *x)
{
    return baltic_day(x->c) && baltic(x->c);
}

bool idnumber_lt_ak(const struct idnumber *x)
{
    return (x->c[0] == '9' || baltic_day(x->c)) && baltic(x->c);
}

/* Numbers since 2017 begin with 32 and tell no day. */
bool idnumber_lv_pk(const struct idnumber *x)
{
    unsigned rest =
        (unsigned)(1 + WEIGH(x->c, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9)) % 11;

    if (x->c[0] != '3' || x->c[1] != '2') {
        unsigned year =
            1800 + 100 * idnumber_digit(x->c[6]) + idnumber_number(x->c + 4, 2);

        if (!idnumber_is_day(year, idnumber_number(x->c + 2, 2),
                             idnumber_number(x->c, 2)))
            return false;
    }
    return rest % 10 == idnumber_digit(x->c[10]);
}

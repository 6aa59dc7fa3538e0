/*
 * idnumber_sums.c - the arithmetic that kinds of numbers share
 *
 * Luhn (ISO/IEC 7812-1), Verhoeff's dihedral check (1969), ISO/IEC 7064,
 * ICAO 9303's weights, days of the calendar. It knows no kind.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

unsigned idnumber_number(const char *c, size_t n)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++)
        v = v * 10 + idnumber_digit(c[i]);
    return v;
}

unsigned idnumber_modulo(const char *c, size_t n, unsigned m)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++)
        v = (v * 10 + idnumber_digit(c[i])) % m;
    return v;
}

unsigned idnumber_luhn_digit(const char *digits, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d = idnumber_digit(digits[n - 1 - i]);

        if (i % 2 == 0) {
            d *= 2;
            if (d > 9)
                d -= 9;
        }
        sum += d;
    }
    return (10 - sum % 10) % 10;
}

bool idnumber_is_luhn(const char *c, size_t n)
{
    return n > 1 && idnumber_luhn_digit(c, n - 1) == idnumber_digit(c[n - 1]);
}

/* Multiplication in the dihedral group of order 10. */
static unsigned dihedral(unsigned a, unsigned b)
{
    if (a < 5)
        return b < 5 ? (a + b) % 5 : 5 + (a + b) % 5;
    return b < 5 ? 5 + (a + 5 - b) % 5 : (a + 5 - b) % 5;
}

bool idnumber_is_verhoeff(const char *c, size_t n)
{
    static const unsigned char turn[10] = { 1, 5, 7, 6, 2, 8, 3, 0, 9, 4 };
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d = idnumber_digit(c[n - 1 - i]);

        for (size_t k = 0; k < i % 8; k++)
            d = turn[d];
        sum = dihedral(sum, d);
    }
    return sum == 0;
}

bool idnumber_is_mod11_10(const char *c, size_t n)
{
    unsigned rest = 10;

    for (size_t i = 0; i + 1 < n; i++) {
        rest = (rest + idnumber_digit(c[i])) % 10;
        rest = (rest ? rest : 10) * 2 % 11;
    }
    return n > 1 && (rest + idnumber_digit(c[n - 1])) % 10 == 1;
}

unsigned idnumber_icao(const char *c, size_t n)
{
    static const unsigned char weight[3] = { 7, 3, 1 };
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += weight[i % 3] * idnumber_value36(c[i]);
    return sum % 10;
}

bool idnumber_is_day(unsigned year, unsigned month, unsigned day)
{
    static const unsigned char days[12] = { 31, 28, 31, 30, 31, 30,
                                            31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

/* Of the years xx00, 2000 alone had a 29 February. */
bool idnumber_is_day2(unsigned yy, unsigned month, unsigned day)
{
    return idnumber_is_day(2000 + yy, month, day);
}

bool idnumber_is_yymmdd(const char *c)
{
    return idnumber_is_day2(idnumber_number(c, 2), idnumber_number(c + 2, 2),
                            idnumber_number(c + 4, 2));
}

bool idnumber_is_ddmmyy(const char *c)
{
    return idnumber_is_day2(idnumber_number(c + 4, 2),
                            idnumber_number(c + 2, 2), idnumber_number(c, 2));
}

int idnumber_weigh(const char *c, const signed char *weight, size_t n)
{
    int sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += weight[i] * (int)idnumber_digit(c[i]);
    return sum;
}

bool idnumber_is_country(const char *c)
{
    static const char all[] =
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH "
        "BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL "
        "CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET "
        "FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU "
        "GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE "
        "KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC "
        "MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC "
        "NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT "
        "PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR "
        "SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA "
        "UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

    for (const char *p = all; p[0] && p[1]; p += p[2] ? 3 : 2)
        if (p[0] == c[0] && p[1] == c[1])
            return true;
    return false;
}

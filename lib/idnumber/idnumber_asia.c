/*
 * idnumber_asia.c - numbers that states of Asia, Africa, Oceania give out
 *
 * UIDAI, Income Tax Department and GST (India), GB 11643 and GB 32100 (China),
 * Japan, Korea, Taiwan, Hong Kong, Singapore, Malaysia, Thailand, Indonesia,
 * Pakistan, Israel, the Gulf, Egypt, South Africa, Mauritius, Australia, New
 * Zealand. Registers of places are not kept: a code of a province is a range.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

static bool is_palindrome(const struct idnumber *x)
{
    for (size_t i = 0; i < x->n / 2; i++)
        if (x->c[i] != x->c[x->n - 1 - i])
            return false;
    return true;
}

bool idnumber_in_aadhaar(const struct idnumber *x)
{
    return !is_palindrome(x) && idnumber_is_verhoeff(x->c, x->n);
}

bool idnumber_in_pan(const struct idnumber *x)
{
    return idnumber_number(x->c + 5, 4) != 0;
}

/* State, PAN, count, Z, Luhn's sum over 36 values. */
bool idnumber_in_gstin(const struct idnumber *x)
{
    unsigned sum = 0;

    for (size_t i = 0; i < 15; i++) {
        unsigned v = idnumber_value36(x->c[14 - i]);

        sum += i % 2 ? v * 2 / 36 + v * 2 % 36 : v;
    }
    return idnumber_number(x->c + 7, 4) != 0 && sum % 36 == 0;
}

bool idnumber_in_epic(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c + 3, 7);
}

/* ISO 7064 MOD 11-2. */
bool idnumber_cn_ric(const struct idnumber *x)
{
    unsigned rest = 0;

    for (size_t i = 0; i < 17; i++)
        rest = (rest + idnumber_digit(x->c[i])) * 2 % 11;
    rest = (12 - rest) % 11;
    return idnumber_is_day(idnumber_number(x->c + 6, 4),
                           idnumber_number(x->c + 10, 2),
                           idnumber_number(x->c + 12, 2)) &&
           x->c[17] == "0123456789X"[rest];
}

bool idnumber_cn_uscc(const struct idnumber *x)
{
    static const char digits[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    static const unsigned char weight[17] = { 1,  3,  9,  27, 19, 26,
                                              16, 17, 20, 29, 25, 13,
                                              8,  24, 10, 30, 28 };
    unsigned sum = 0;

    for (size_t i = 0; i < 17; i++) {
        const char *at = strchr(digits, x->c[i]);

        if (!at)
            return false;
        sum += weight[i] * (unsigned)(at - digits);
    }
    return x->c[17] == digits[(31 - sum % 31) % 31];
}

/* Letters count as two digits: not in the order of the alphabet. */
bool idnumber_tw_id(const struct idnumber *x)
{
    static const char order[] = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
    unsigned place = (unsigned)(strchr(order, x->c[0]) - order) + 10;
    unsigned second = idnumber_digit(x->c[1]);

    if (!ascii_is_digit(x->c[1]))
        second = ((unsigned)(strchr(order, x->c[1]) - order) + 10) % 10;
    return (place / 10 + place % 10 * 9 + second * 8 +
            (unsigned)WEIGH(x->c + 2, 7, 6, 5, 4, 3, 2, 1, 1)) %
               10 ==
           0;
}

bool idnumber_tw_ubn(const struct idnumber *x)
{
    static const unsigned char weight[8] = { 1, 2, 1, 2, 1, 2, 4, 1 };
    unsigned sum = 0;

    for (size_t i = 0; i < 8; i++) {
        unsigned v = weight[i] * idnumber_digit(x->c[i]);

        sum += v / 10 + v % 10;
    }
    return sum % 10 == 0 || (sum % 10 == 9 && x->c[6] == '7');
}

/* One or two letters (a blank counts 36), six digits, check 0 to 9 or A. */
bool idnumber_hk_id(const struct idnumber *x)
{
    size_t letters = x->n - 7;
    unsigned sum = letters == 2 ? 9 * idnumber_value36(x->c[0]) : 9 * 36;
    char last = x->c[x->n - 1];

    sum += 8 * idnumber_value36(x->c[letters - 1]) +
           (unsigned)WEIGH(x->c + letters, 7, 6, 5, 4, 3, 2);
    sum += last == 'A' ? 10 : idnumber_digit(last);
    return (last == 'A' || ascii_is_digit(last)) && sum % 11 == 0;
}

bool idnumber_sg_nric(const struct idnumber *x)
{
    unsigned sum = (unsigned)WEIGH(x->c + 1, 2, 7, 6, 5, 4, 3, 2);
    char last = x->c[8];

    switch (x->c[0]) {
    case 'S': return last == "JZIHGFEDCBA"[sum % 11];
    case 'T': return last == "JZIHGFEDCBA"[(sum + 4) % 11];
    case 'F': return last == "XWUTRQPNMLK"[sum % 11];
    case 'G': return last == "XWUTRQPNMLK"[(sum + 4) % 11];
    default: /* M */ return last == "XWUTRQPNJLK"[(sum + 3) % 11];
    }
}

bool idnumber_my_nric(const struct idnumber *x)
{
    return idnumber_is_yymmdd(x->c);
}

bool idnumber_th_pin(const struct idnumber *x)
{
    return (unsigned)(11 - WEIGH(x->c, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) %
                               11) %
               10 ==
           idnumber_digit(x->c[12]);
}

/* Women have 40 more for the day. */
bool idnumber_id_nik(const struct idnumber *x)
{
    return idnumber_is_day2(idnumber_number(x->c + 10, 2),
                            idnumber_number(x->c + 8, 2),
                            idnumber_number(x->c + 6, 2) % 40);
}

bool idnumber_jp_mynumber(const struct idnumber *x)
{
    return idnumber_mod(-WEIGH(x->c, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11) %
               10 ==
           idnumber_digit(x->c[11]);
}

bool idnumber_jp_corporate(const struct idnumber *x)
{
    return 9 - (unsigned)WEIGH(x->c + 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1) %
                   9 ==
           idnumber_digit(x->c[0]);
}

/* The seventh digit tells the century. */
bool idnumber_kr_rrn(const struct idnumber *x)
{
    char c = x->c[6];
    unsigned century = strchr("1256", c)   ? 1900
                       : strchr("3478", c) ? 2000
                                           : 1800;

    return idnumber_is_day(century + idnumber_number(x->c, 2),
                           idnumber_number(x->c + 2, 2),
                           idnumber_number(x->c + 4, 2)) &&
           (unsigned)(11 -
                      WEIGH(x->c, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5) % 11) %
                   10 ==
               idnumber_digit(x->c[12]);
}

bool idnumber_kr_brn(const struct idnumber *x)
{
    unsigned last = idnumber_digit(x->c[8]) * 5;

    return ((unsigned)WEIGH(x->c, 1, 3, 7, 1, 3, 7, 1, 3) + last + last / 10 +
            idnumber_digit(x->c[9])) %
               10 ==
           0;
}

bool idnumber_il_id(const struct idnumber *x)
{
    return strspn(x->c, "0") < 9 && idnumber_is_luhn(x->c, 9);
}

bool idnumber_ae_eid(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 15);
}

bool idnumber_sa_id(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 10);
}

bool idnumber_kw_civil(const struct idnumber *x)
{
    return idnumber_is_yymmdd(x->c + 1) &&
           idnumber_mod(-WEIGH(x->c, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), 11) ==
               idnumber_digit(x->c[11]);
}

bool idnumber_eg_nid(const struct idnumber *x)
{
    return idnumber_is_day(
        (x->c[0] == '2' ? 1900 : 2000) + idnumber_number(x->c + 1, 2),
        idnumber_number(x->c + 3, 2), idnumber_number(x->c + 5, 2));
}

/* Citizens 0, residents 1 before the last two digits. */
bool idnumber_za_id(const struct idnumber *x)
{
    return idnumber_is_yymmdd(x->c) && idnumber_is_luhn(x->c, 13);
}

bool idnumber_mu_nid(const struct idnumber *x)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < 13; i++)
        sum += (14 - i) * idnumber_value36(x->c[i]);
    return idnumber_is_ddmmyy(x->c + 1) &&
           (17 - sum % 17) % 17 == idnumber_value36(x->c[13]);
}

bool idnumber_au_tfn(const struct idnumber *x)
{
    int sum = WEIGH(x->c, 1, 4, 3, 7, 5, 8, 6, 9);

    if (x->n == 9)
        sum += 10 * (int)idnumber_digit(x->c[8]);
    return sum % 11 == 0;
}

/* One less in the first digit, modulo 89. */
bool idnumber_au_abn(const struct idnumber *x)
{
    return (WEIGH(x->c, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19) - 10) % 89 == 0;
}

bool idnumber_au_acn(const struct idnumber *x)
{
    return WEIGH(x->c, 8, 7, 6, 5, 4, 3, 2, 1, 1) % 10 == 0;
}

bool idnumber_nz_ird(const struct idnumber *x)
{
    char d[9] = "0";
    unsigned all = idnumber_number(x->c, x->n), rest;

    memcpy(d + (x->n == 8), x->c, x->n);
    rest = idnumber_mod(-WEIGH(d, 3, 2, 7, 6, 5, 4, 3, 2), 11);
    if (rest == 10)
        rest = idnumber_mod(-WEIGH(d, 7, 4, 3, 2, 5, 2, 7, 6), 11);
    return all > 10000000 && all < 150000000 && rest == idnumber_digit(d[8]);
}

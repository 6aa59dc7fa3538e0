/*
 * idnumber_health.c - numbers of patients, doctors, vehicles and devices
 *
 * CMS (NPI, MBI), DEA, NHS, provincial and national health services, ISO 3779
 * with 49 CFR 565 (VIN), 3GPP TS 23.003 (IMEI), ITU-T E.118 (ICCID).
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Luhn over 80840 and the number; the prefix adds 24. */
bool idnumber_us_npi(const struct idnumber *x)
{
    char d[16] = "80840";

    memcpy(d + 5, x->c + x->n - 10, 10);
    return idnumber_is_luhn(d, 15);
}

bool idnumber_us_dea(const struct idnumber *x)
{
    const char *d = x->c + 2;

    return (unsigned)WEIGH(d, 1, 2, 1, 2, 1, 2) % 10 == idnumber_digit(d[6]) &&
           (x->c[1] == '9' || !ascii_is_digit(x->c[1]));
}

bool idnumber_gb_nhs(const struct idnumber *x)
{
    return WEIGH(x->c, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1) % 11 == 0;
}

/* Scotland's: the same check, and a date of birth in front. */
bool idnumber_gb_chi(const struct idnumber *x)
{
    return idnumber_is_ddmmyy(x->c) && idnumber_gb_nhs(x);
}

bool idnumber_ca_bc_phn(const struct idnumber *x)
{
    return idnumber_mod(-WEIGH(x->c + 1, 2, 4, 8, 5, 10, 9, 7, 3), 11) ==
           idnumber_digit(x->c[9]);
}

/* Ontario: Luhn; two letters may follow. */
bool idnumber_ca_ohip(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 10);
}

bool idnumber_au_medicare(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 1, 3, 7, 9, 1, 3, 7, 9) % 10 ==
           idnumber_digit(x->c[8]);
}

bool idnumber_br_cns(const struct idnumber *x)
{
    return WEIGH(x->c, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1) %
               11 ==
           0;
}

/* Letter as two digits, weights 1 and 2, digit sums. */
bool idnumber_de_kvnr(const struct idnumber *x)
{
    unsigned letter = (unsigned)(x->c[0] - 'A' + 1), sum = 0;
    char d[11] = { (char)('0' + letter / 10), (char)('0' + letter % 10) };

    memcpy(d + 2, x->c + 1, 8);
    for (size_t i = 0; i < 10; i++) {
        unsigned v = idnumber_digit(d[i]) * (1 + (unsigned)i % 2);

        sum += v / 10 + v % 10;
    }
    return sum % 10 == idnumber_digit(x->c[9]);
}

bool idnumber_hu_taj(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 3, 7, 3, 7, 3, 7, 3, 7) % 10 ==
           idnumber_digit(x->c[8]);
}

/* New Zealand: letters without I and O count 1 to 24. */
bool idnumber_nz_nhi(const struct idnumber *x)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ";
    unsigned sum = 0;

    for (size_t i = 0; i < 6; i++) {
        const char *at = strchr(letters, x->c[i]);

        if (i < 3 && !at)
            return false;
        sum += (unsigned)(7 - i) *
               (i < 3 ? (unsigned)(at - letters) + 1 : idnumber_digit(x->c[i]));
    }
    return sum % 11 && (11 - sum % 11) % 10 == idnumber_digit(x->c[6]);
}

bool idnumber_vin(const struct idnumber *x)
{
    static const unsigned char weight[17] = { 8, 7, 6, 5, 4, 3, 2, 10, 0,
                                              9, 8, 7, 6, 5, 4, 3, 2 };
    /* A to Z; 0: not in a VIN */
    static const char value[] = "12345678012345070923456789";
    unsigned sum = 0, v;

    for (size_t i = 0; i < 17; i++) {
        char c = x->c[i];

        v = idnumber_digit(ascii_is_digit(c) ? c : value[c - 'A']);
        if (!v && !ascii_is_digit(c))
            return false;
        sum += v * weight[i];
    }
    sum %= 11;
    return x->c[8] == (sum == 10 ? 'X' : (char)('0' + sum));
}

bool idnumber_imei(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 15);
}

/*
 * idnumber_americas.c - numbers that American states give out
 *
 * SSA and IRS (United States), CRA (Canada), RENAPO and SAT (Mexico), Receita
 * Federal (Brazil), AFIP (Argentina), SII (Chile), DIAN (Colombia), and
 * others. Mexico's lists of unseemly names are asked too: nobody has those.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Not 000, 666 or 900 and above; numbers of advertisements are nobody's. */
bool idnumber_us_ssn(const struct idnumber *x)
{
    unsigned area = idnumber_number(x->c, 3);

    return area && area != 666 && area < 900 && idnumber_number(x->c + 3, 2) &&
           idnumber_number(x->c + 5, 4) && strcmp(x->c, "078051120") != 0 &&
           strcmp(x->c, "219099999") != 0 && strcmp(x->c, "457555462") != 0;
}

bool idnumber_us_ein(const struct idnumber *x)
{
    return idnumber_number(x->c + 2, 7) != 0;
}

bool idnumber_ca_sin(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 9);
}

/* True if the four letters are one of the words, without blanks between. */
static bool holds_word(const char *words, const char *c)
{
    for (; *words; words += 4)
        if (memcmp(words, c, 4) == 0)
            return true;
    return false;
}

bool idnumber_mx_curp(const struct idnumber *x)
{
    static const char unseemly[] =
        "BACABAKABUEIBUEYCACACACOCAGACAGOCAKACAKOCOGECOGICOJACOJECOJICOJOCOLA"
        "CULOFALOFETOGETAGUEIGUEYJETAJOTOKACAKACOKAGAKAGOKAKAKAKOKOGEKOGIKOJA"
        "KOJEKOJIKOJOKOLAKULOLILOLOCALOCOLOKALOKOMAMEMAMOMEARMEASMEONMIARMION"
        "MOCOMOKOMULAMULONACANACOPEDAPEDOPENEPIPIPITOPOPOPUTAPUTOQULORATAROBA"
        "ROBEROBORUINSENOTETAVACAVAGAVAGOVAKAVUEIVUEYWUEIWUEY";
    unsigned sum = 0, year = idnumber_number(x->c + 4, 2);

    /* Values of letters: A 10 to N 23, a place for another letter, O 25. */
    for (unsigned i = 0; i < 17; i++)
        sum += (18 - i) * (idnumber_value36(x->c[i]) + (x->c[i] >= 'O'));
    return !holds_word(unseemly, x->c) &&
           idnumber_is_day(year + (ascii_is_digit(x->c[16]) ? 1900 : 2000),
                           idnumber_number(x->c + 6, 2),
                           idnumber_number(x->c + 8, 2)) &&
           (10 - sum % 10) % 10 == idnumber_digit(x->c[17]);
}

/* The three characters at the end vary too much in practice to be asked. */
bool idnumber_mx_rfc(const struct idnumber *x)
{
    static const char unseemly[] =
        "BUEIBUEYCACACACOCAGACAGOCAKACAKOCOGECOJACOJECOJICOJOCULOFETOGUEYJOTO"
        "KACAKACOKAGAKAGOKAKAKOGEKOJOKULOMAMEMAMOMEARMEASMEONMIONMOCOMULAPEDA"
        "PEDOPENEPUTAPUTOQULORATARUIN";
    size_t name = x->n == 12 ? 3 : 4;

    return idnumber_is_yymmdd(x->c + name) &&
           (name == 3 || !holds_word(unseemly, x->c));
}

/* Two digits by modulo 11, weights falling to 2; 10 and 11 are 0. */
static bool brazilian(const char *c, size_t n, unsigned top)
{
    for (size_t k = n - 2; k < n; k++) {
        unsigned sum = 0, weight = 2;

        for (size_t i = k; i > 0; i--) {
            sum += weight * (unsigned)(c[i - 1] - '0');
            weight = weight == top ? 2 : weight + 1;
        }
        if ((11 - sum % 11) % 11 % 10 != idnumber_digit(c[k]))
            return false;
    }
    return true;
}

bool idnumber_br_cpf(const struct idnumber *x)
{
    return strspn(x->c, "0") < x->n && brazilian(x->c, 11, 99);
}

/* Letters since July 2026; they count by their code. */
bool idnumber_br_cnpj(const struct idnumber *x)
{
    return strncmp(x->c, "000000000000", 12) != 0 && brazilian(x->c, 14, 9);
}

bool idnumber_br_pis(const struct idnumber *x)
{
    return strspn(x->c, "0") < x->n &&
           idnumber_mod(-WEIGH(x->c, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), 11) % 10 ==
               idnumber_digit(x->c[10]);
}

bool idnumber_ar_cuit(const struct idnumber *x)
{
    unsigned rest =
        idnumber_mod(-WEIGH(x->c, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11);

    return (rest == 10 ? 9 : rest) == idnumber_digit(x->c[10]);
}

bool idnumber_cl_rut(const struct idnumber *x)
{
    unsigned sum = 0, rest;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += (2 + (unsigned)i % 6) * idnumber_digit(x->c[x->n - 2 - i]);
    rest = (11 - sum % 11) % 11;
    return x->c[x->n - 1] == (rest == 10 ? 'K' : (char)('0' + rest));
}

bool idnumber_co_nit(const struct idnumber *x)
{
    static const unsigned char weight[15] = { 3,  7,  13, 17, 19, 23, 29, 37,
                                              41, 43, 47, 53, 59, 67, 71 };
    unsigned sum = 0;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += weight[i] * idnumber_digit(x->c[x->n - 2 - i]);
    sum %= 11;
    return (sum < 2 ? sum : 11 - sum) == idnumber_digit(x->c[x->n - 1]);
}

bool idnumber_pe_ruc(const struct idnumber *x)
{
    return (unsigned)(11 - WEIGH(x->c, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11) %
               10 ==
           idnumber_digit(x->c[10]);
}

/* A digit or a letter checks. */
bool idnumber_pe_dni(const struct idnumber *x)
{
    unsigned rest = (unsigned)WEIGH(x->c, 3, 2, 7, 6, 5, 4, 3, 2) % 11;

    return x->c[8] == "65432110987"[rest] || x->c[8] == "KJIHGFEDCBA"[rest];
}

/* Luhn, doubled from the first digit on. */
bool idnumber_ec_ci(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 10);
}

bool idnumber_uy_ci(const struct idnumber *x)
{
    return (unsigned)WEIGH(x->c, 2, 9, 8, 7, 6, 3, 4, 1) % 10 == 0;
}

bool idnumber_uy_rut(const struct idnumber *x)
{
    return idnumber_number(x->c + 2, 6) &&
           idnumber_mod(-WEIGH(x->c, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), 11) ==
               idnumber_digit(x->c[11]);
}

bool idnumber_ve_rif(const struct idnumber *x)
{
    static const char types[] = "VEJPG";
    int sum = 4 * (int)(strchr(types, x->c[0]) - types + 1) +
              WEIGH(x->c + 1, 3, 2, 7, 6, 5, 4, 3, 2);
    unsigned rest = idnumber_mod(-sum, 11);

    return (rest == 10 ? 0 : rest) == idnumber_digit(x->c[9]);
}

bool idnumber_do_cedula(const struct idnumber *x)
{
    return idnumber_is_luhn(x->c, 11);
}

bool idnumber_cu_ni(const struct idnumber *x)
{
    unsigned century = x->c[6] == '9' ? 1800 : x->c[6] <= '5' ? 1900 : 2000;

    return idnumber_is_day(century + idnumber_number(x->c, 2),
                           idnumber_number(x->c + 2, 2),
                           idnumber_number(x->c + 4, 2));
}

bool idnumber_gt_nit(const struct idnumber *x)
{
    int sum = 0;
    unsigned rest;

    for (size_t i = 0; i + 1 < x->n; i++)
        sum += (int)(i + 2) * (int)idnumber_digit(x->c[x->n - 2 - i]);
    rest = idnumber_mod(-sum, 11);
    return x->c[x->n - 1] == (rest == 10 ? 'K' : (char)('0' + rest));
}

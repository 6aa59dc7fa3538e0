/*
 * scrub_check.c - validators: check digits, ranges, shapes of real values
 *
 * Each answers for a value as it stands in the text, separators included.
 * Numbers that are given out with check digits are lib/idnumber's. Sources:
 * NANPA's numbering plan, ITU E.164, RFC 4291.
 */
#include "scrub/scrub_fake.h"
#include "scrub/scrub_priv.h"

#include <string.h>

/* Digits of v into out (at most max); SIZE_MAX if there are more. */
static size_t digits_of(struct slice v, char *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < v.n; i++) {
        if (!scrub_is_digit(v.p[i]))
            continue;
        if (n == max)
            return SIZE_MAX;
        out[n++] = v.p[i];
    }
    return n;
}

/* North American: area and exchange begin with 2 to 9, no N11 area. */
static bool check_nanp(struct slice v)
{
    char d[11];
    const char *p = d;
    size_t n = digits_of(v, d, sizeof(d));

    if (n == 11 && d[0] == '1') {
        p++;
        n--;
    }
    return n == 10 && p[0] >= '2' && p[3] >= '2' &&
           !(p[1] == '1' && p[2] == '1') && p[1] != '9';
}

static size_t calling_code(const char *d)
{
    static const char two[] = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 "
                              "48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 "
                              "66 81 82 84 86 90 91 92 93 94 95 98";
    static const char three[] = "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 "
                                "69 80 85 87 88 96 97 99";
    char code[3] = { d[0], d[1], '\0' };

    if (d[0] == '1' || d[0] == '7')
        return 1;
    if (strstr(two, code))
        return 2;
    return strstr(three, code) ? 3 : 0;
}

/* Digits of national numbers behind a calling code, as the countries tell the
 * ITU. Codes that are not here may have any number of them. */
static bool fits_country(const char *d, size_t n, size_t code)
{
    static const struct {
        char code[4];
        unsigned char least, most;
    } countries[] = {
        { "1", 10, 10 },  { "7", 10, 10 },  { "20", 8, 10 },  { "27", 9, 9 },
        { "30", 10, 10 }, { "31", 9, 9 },   { "32", 8, 9 },   { "33", 9, 9 },
        { "34", 9, 9 },   { "36", 8, 9 },   { "39", 6, 12 },  { "40", 9, 9 },
        { "41", 9, 9 },   { "43", 4, 13 },  { "44", 9, 10 },  { "45", 8, 8 },
        { "46", 7, 10 },  { "47", 5, 8 },   { "48", 9, 9 },   { "49", 5, 13 },
        { "51", 8, 9 },   { "52", 10, 10 }, { "53", 8, 8 },   { "54", 10, 11 },
        { "55", 10, 11 }, { "56", 9, 9 },   { "57", 8, 10 },  { "58", 10, 10 },
        { "60", 8, 10 },  { "61", 9, 9 },   { "62", 7, 13 },  { "63", 8, 10 },
        { "64", 8, 10 },  { "65", 8, 8 },   { "66", 8, 9 },   { "81", 9, 10 },
        { "82", 8, 11 },  { "84", 9, 10 },  { "86", 9, 11 },  { "90", 10, 10 },
        { "91", 10, 10 }, { "92", 9, 10 },  { "93", 9, 9 },   { "94", 9, 9 },
        { "95", 7, 10 },  { "98", 10, 10 }, { "351", 9, 9 },  { "352", 4, 11 },
        { "353", 7, 10 }, { "354", 7, 9 },  { "355", 8, 9 },  { "356", 8, 8 },
        { "357", 8, 8 },  { "358", 5, 12 }, { "359", 7, 9 },  { "370", 8, 8 },
        { "371", 8, 8 },  { "372", 7, 10 }, { "373", 8, 8 },  { "374", 8, 8 },
        { "375", 9, 10 }, { "376", 6, 9 },  { "380", 9, 9 },  { "381", 8, 10 },
        { "385", 8, 9 },  { "386", 8, 8 },  { "387", 8, 9 },  { "389", 8, 8 },
        { "420", 9, 9 },  { "421", 9, 9 },  { "423", 7, 9 },  { "852", 8, 8 },
        { "853", 8, 8 },  { "855", 8, 9 },  { "880", 8, 10 }, { "886", 8, 9 },
        { "960", 7, 7 },  { "961", 7, 8 },  { "962", 8, 9 },  { "963", 8, 9 },
        { "964", 8, 10 }, { "965", 8, 8 },  { "966", 9, 9 },  { "967", 7, 9 },
        { "968", 8, 8 },  { "971", 8, 9 },  { "972", 8, 9 },  { "973", 8, 8 },
        { "974", 7, 8 },  { "975", 7, 8 },  { "976", 8, 8 },  { "977", 8, 10 },
        { "992", 9, 9 },  { "993", 8, 8 },  { "994", 9, 9 },  { "995", 9, 9 },
        { "996", 9, 9 },  { "998", 9, 9 },
    };

    for (size_t i = 0; i < sizeof(countries) / sizeof(*countries); i++)
        if (strlen(countries[i].code) == code &&
            memcmp(countries[i].code, d, code) == 0)
            return n - code >= countries[i].least &&
                   n - code <= countries[i].most;
    return true;
}

/* "(0)" is dialled at home only. */
static bool check_e164(struct slice v)
{
    char d[16];
    size_t n = digits_of(v, d, sizeof(d)), code;

    if (n < 8 || n > 16)
        return false;
    code = calling_code(d);
    if (memmem(v.p, v.n, "(0)", 3))
        n--;
    return code && n <= 15 && fits_country(d, n, code);
}

/* Behind 00; a row of digits must be as long as numbers are where it calls,
 * since ids have zeros in front, too. */
static bool check_abroad(struct slice v)
{
    char d[18];
    size_t n = digits_of(v, d, sizeof(d));
    bool groups = memchr(v.p, ' ', v.n) != NULL;

    if (n < 11 || n == SIZE_MAX || d[0] != '0' || d[1] != '0')
        return false;
    if (!groups && (n < 13 || d[2] == '1' || d[2] == '7'))
        return false;
    return check_e164((struct slice){ d + 2, n - 2 });
}

/* Seven to fifteen digits, and none of the usual other things: dates, times
 * since 1970 in seconds or milliseconds without separators. */
static bool check_phonelike(struct slice v)
{
    char d[16];
    size_t n = digits_of(v, d, sizeof(d));

    if (n < 7 || n > 15)
        return false;
    if (n == 8 && v.n == 10 && (v.p[4] == '-' || v.p[4] == '/') &&
        v.p[7] == v.p[4])
        return false;
    for (size_t i = 1; i < n; i++)
        if (d[i] != d[0])
            return true;
    return false;
}

/* support@northwind.example: no mailbox, and nobody's if it were one. */
static bool is_nobodys(struct slice v)
{
    const char *at = memchr(v.p, '@', v.n);
    struct buf low = { 0 };
    size_t n = at ? (size_t)(at - v.p) : 0;
    bool none;

    if (!n)
        return false;
    scrub_norm_lower(v, &low);
    none = scrub_is_office((struct slice){ low.data, n }) &&
           scrub_is_reserved_host(
               (struct slice){ low.data + n + 1, low.len - n - 1 });
    buf_release(&low);
    return none;
}

/* The last label is a plausible top-level domain, no file suffix. */
static bool check_email(struct slice v)
{
    static const char *const suffixes[] = { "png",  "jpg",  "jpeg", "gif",
                                            "svg",  "webp", "js",   "css",
                                            "html", "json" };
    size_t dot = v.n;

    while (dot && v.p[dot - 1] != '.')
        dot--;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
        if (slice_is((struct slice){ v.p + dot, v.n - dot }, suffixes[i]))
            return false;
    return dot > 0 && !slice_starts(v, "git@") && !is_nobodys(v);
}

scrub_check_fn *scrub_check_find(const char *name)
{
    static const struct {
        const char *name;
        scrub_check_fn *check;
    } table[] = {
        { "nanp", check_nanp },       { "e164", check_e164 },
        { "phone", check_phonelike }, { "abroad", check_abroad },
        { "email", check_email },
    };
    scrub_check_fn *check;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].check;
    check = idnumber_check(name);
    if (!check)
        check = scrub_check_find_net(name);
    return check ? check : scrub_check_find_secret(name);
}

scrub_complete_fn *scrub_complete_find(const char *name)
{
    scrub_complete_fn *complete = idnumber_complete(name);

    return complete ? complete : scrub_complete_find_secret(name);
}

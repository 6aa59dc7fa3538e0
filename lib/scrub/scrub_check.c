/*
 * scrub_check.c - validators: check digits, ranges, shapes of real values
 *
 * Each answers for a value as it stands in the text, separators included.
 * Sources: ISO/IEC 7812 (Luhn, issuer ranges), ISO 13616 (IBAN), the SSA's
 * rules on numbers never issued, NANPA's numbering plan, ITU E.164, RFC 4291.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

bool scrub_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool scrub_is_alnum(char c)
{
    return scrub_is_digit(c) || is_alpha(c);
}

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

static unsigned number(const char *p, size_t n)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++)
        v = v * 10 + (unsigned)(p[i] - '0');
    return v;
}

/* The digit that completes n digits to a Luhn number. */
unsigned scrub_luhn_digit(const char *digits, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');

        if (i % 2 == 0) {
            d *= 2;
            if (d > 9)
                d -= 9;
        }
        sum += d;
    }
    return (10 - sum % 10) % 10;
}

static bool issuer_fits(const char *d, size_t n)
{
    static const struct {
        unsigned low, high; /* first four digits */
        size_t min, max;
    } ranges[] = {
        { 4000, 4999, 16, 16 }, { 4000, 4999, 13, 13 }, { 4000, 4999, 19, 19 },
        { 5100, 5599, 16, 16 }, { 2221, 2720, 16, 16 }, { 3400, 3499, 15, 15 },
        { 3700, 3799, 15, 15 }, { 6011, 6011, 16, 19 }, { 6440, 6599, 16, 19 },
        { 3528, 3589, 16, 19 }, { 3000, 3059, 14, 19 }, { 3600, 3699, 14, 19 },
        { 3800, 3999, 14, 19 }, { 6200, 6299, 16, 19 }, { 2200, 2204, 16, 19 },
    };
    unsigned first = number(d, 4);

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (first >= ranges[i].low && first <= ranges[i].high &&
            n >= ranges[i].min && n <= ranges[i].max)
            return true;
    return false;
}

static bool check_card(struct slice v)
{
    char d[19];
    size_t n = digits_of(v, d, sizeof(d));

    if (n < 13 || n > sizeof(d) || !issuer_fits(d, n))
        return false;
    return scrub_luhn_digit(d, n - 1) == (unsigned)(d[n - 1] - '0');
}

static bool check_luhn(struct slice v)
{
    char d[32];
    size_t n = digits_of(v, d, sizeof(d));

    return n >= 2 && n <= sizeof(d) &&
           scrub_luhn_digit(d, n - 1) == (unsigned)(d[n - 1] - '0');
}

size_t scrub_iban_length(const char *country)
{
    /* ISO 13616 registry: country and length. */
    static const char table[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22"
        "DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28"
        "HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25"
        "MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29"
        "RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29"
        "VA22VG24XK20YE30";

    for (const char *p = table; *p; p += 4)
        if (p[0] == (country[0] & ~0x20) && p[1] == (country[1] & ~0x20))
            return number(p + 2, 2);
    return 0;
}

/* The number modulo 97 with the first four characters put last; separators
 * are skipped. 1 is a valid IBAN. */
unsigned scrub_iban_mod97(struct slice v)
{
    char c[64];
    size_t n = 0;
    unsigned rest = 0;

    for (size_t i = 0; i < v.n && n < sizeof(c); i++)
        if (scrub_is_alnum(v.p[i]))
            c[n++] = v.p[i];
    for (size_t i = 0; i < n; i++) {
        char x = c[(i + 4) % n];

        if (scrub_is_digit(x))
            rest = (rest * 10 + (unsigned)(x - '0')) % 97;
        else
            rest = (rest * 100 + (unsigned)((x & ~0x20) - 'A' + 10)) % 97;
    }
    return rest;
}

/* A pattern cannot know where a country's IBAN ends and the next word begins.
 */
size_t scrub_iban_fit(struct slice v)
{
    size_t want = v.n < 4 ? 0 : scrub_iban_length(v.p), n = 0;

    for (size_t i = 0; want && i < v.n; i++) {
        n += scrub_is_alnum(v.p[i]);
        if (n == want)
            return i + 1;
    }
    return 0;
}

static bool check_iban(struct slice v)
{
    return v.n && v.p[0] < 'a' && scrub_iban_fit(v) == v.n &&
           scrub_iban_mod97(v) == 1;
}

static bool check_ssn(struct slice v)
{
    char d[9];

    if (digits_of(v, d, sizeof(d)) != 9)
        return false;
    return number(d, 3) != 0 && number(d, 3) != 666 && d[0] != '9' &&
           number(d + 3, 2) != 0 && number(d + 5, 4) != 0;
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

static bool check_e164(struct slice v)
{
    char d[16];
    size_t n = digits_of(v, d, sizeof(d));

    if (n < 8 || n > 15 || !calling_code(d))
        return false;
    return d[0] != '1' || n == 11;
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

static bool check_ipv4(struct slice v)
{
    unsigned part = 0, parts = 0, len = 0;

    for (size_t i = 0; i <= v.n; i++) {
        if (i < v.n && scrub_is_digit(v.p[i])) {
            part = part * 10 + (unsigned)(v.p[i] - '0');
            if (++len > 3 || part > 255)
                return false;
        } else if (len && (i == v.n || v.p[i] == '.')) {
            parts++;
            part = len = 0;
        } else {
            return false;
        }
    }
    return parts == 4;
}

/* Not "1.2.3.4", which is a section or a version as often as a host. */
static bool check_host(struct slice v)
{
    return v.n > 7;
}

/* Loopback and "any" tell nothing about anybody. */
static bool check_remote(struct slice v)
{
    return check_ipv4(v) && !slice_starts(v, "127.") &&
           !slice_starts(v, "0.") && !slice_starts(v, "255.");
}

static bool check_ipv6(struct slice v)
{
    size_t groups = 0, digits = 0, longest = 0;
    bool gap = false;

    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] != ':') {
            if (++digits > 4)
                return false;
            groups += digits == 1;
            longest = digits > longest ? digits : longest;
            continue;
        }
        digits = 0;
        if (i + 1 < v.n && v.p[i + 1] == ':') {
            if (gap)
                return false;
            gap = true;
        }
    }
    if (groups < 3 && longest < 3) /* a::b is code */
        return false;
    return gap ? groups <= 7 : groups == 8;
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
    return dot > 0 && !slice_starts(v, "git@");
}

scrub_check_fn *scrub_check_find(const char *name)
{
    static const struct {
        const char *name;
        scrub_check_fn *check;
    } table[] = {
        { "card", check_card },       { "luhn", check_luhn },
        { "iban", check_iban },       { "ssn", check_ssn },
        { "nanp", check_nanp },       { "e164", check_e164 },
        { "phone", check_phonelike }, { "ipv4", check_ipv4 },
        { "ipv6", check_ipv6 },       { "host", check_host },
        { "remote", check_remote },   { "email", check_email },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].check;
    return scrub_check_find_secret(name);
}

scrub_complete_fn *scrub_complete_find(const char *name)
{
    return scrub_complete_find_secret(name);
}

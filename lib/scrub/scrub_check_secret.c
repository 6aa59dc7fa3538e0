/*
 * scrub_check_secret.c - is it a drawn secret, a chosen one, or no secret
 *
 * A value that is only shaped like a secret is judged by how its characters
 * are spread (Shannon's entropy), by the words people write where a secret
 * would stand, and by the checksum where the issuer puts one in: GitHub and
 * npm end a token with the CRC-32 (IEEE 802.3) of its random part, written in
 * base 62 with six digits. Which vendor a prefix belongs to is for rules.
 */
#include "scrub/scrub_priv.h"

#include "base/ascii.h"

#include <math.h>
#include <string.h>

#define CRC_DIGITS 6
#define LADDER 14

static const char base62[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Bits a character by the value's own frequencies (Shannon). */
static double entropy(struct slice v)
{
    unsigned seen[256] = { 0 };
    double bits = 0;

    for (size_t i = 0; i < v.n; i++)
        seen[(unsigned char)v.p[i]]++;
    for (size_t i = 0; i < 256; i++) {
        double p = (double)seen[i] / (double)v.n;

        if (seen[i])
            bits -= p * log2(p);
    }
    return bits;
}

static bool check_entropy3(struct slice v)
{
    return v.n && entropy(v) >= 3.0;
}

static bool check_entropy4(struct slice v)
{
    return v.n && entropy(v) >= 4.0;
}

static bool holds_word(struct slice v, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= v.n; i++) {
        size_t k = 0;

        while (k < n &&
               (v.p[i + k] == word[k] ||
                (ascii_is_upper(v.p[i + k]) && (v.p[i + k] | 0x20) == word[k])))
            k++;
        if (k == n)
            return true;
    }
    return false;
}

/* An alphabet, or a part of one: LADDER in a row that count up or down. */
static bool holds_ladder(struct slice v)
{
    size_t up = 1, down = 1;

    for (size_t i = 1; i < v.n; i++) {
        int step = v.p[i] - v.p[i - 1];

        if (!scrub_is_alnum(v.p[i]))
            step = 0;
        up = step == 1 ? up + 1 : 1;
        down = step == -1 ? down + 1 : 1;
        if (up >= LADDER || down >= LADDER)
            return true;
    }
    return false;
}

/* "password", "DbPassword", "user_passwd": the word for it, and no digit. */
static bool names_password(struct slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!ascii_is_letter(v.p[i]) && v.p[i] != '_' && v.p[i] != '-')
            return false;
    return holds_word(v, "passw");
}

/* What people write where a secret would stand. */
static bool is_placeholder(struct slice v)
{
    static const char *const words[] = {
        "example", "changeme",    "change-me",  "change_me", "placeholder",
        "your",    "xxxx",        "redacted",   "****",      "dummy",
        "....",    "insert",      "<",          "${",        "{{",
        "(",       "process.env", "os.environ", "getenv",    "replace",
        "$(",      "%(",          "todo",       "secretkey", "notreal",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (holds_word(v, words[i]))
            return true;
    if (names_password(v) || slice_starts(v, "http://") ||
        slice_starts(v, "https://"))
        return true;
    return v.n && (v.p[0] == '$' || v.p[0] == '%' || v.p[0] == '*');
}

/* "self.token1", "config.keys.main", "DB_PASSWORD_1": where code and settings
 * find the secret, and not the secret. */
static bool is_reference(struct slice v)
{
    size_t dots = 0, bars = 0, digits = 0, lows = 0, highs = 0;

    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (c != '.' && c != '_' && !scrub_is_alnum(c))
            return false;
        if (c == '.' && (i + 1 == v.n || scrub_is_digit(v.p[i + 1])))
            return false;
        dots += c == '.';
        bars += c == '_';
        digits += scrub_is_digit(c);
        lows += ascii_is_lower(c);
        highs += ascii_is_upper(c);
    }
    if (!v.n || scrub_is_digit(v.p[0]) || digits * 4 > v.n)
        return false;
    return (dots && lows > highs) || (bars && !lows && digits < 3);
}

/* A password or key somebody chose or drew: two kinds of characters, one of
 * them a digit or a sign that words do not have, and no placeholder. */
static bool check_secret(struct slice v)
{
    bool digit = false, other = false;
    unsigned char seen[256] = { 0 };
    size_t distinct = 0;

    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        distinct += !seen[c];
        seen[c] = 1;
        if (scrub_is_digit(v.p[i]) ||
            (i && v.p[i] && strchr("!@#$^&*+", v.p[i])))
            digit = true;
        else
            other = true;
    }
    return digit && other && distinct >= 5 && !is_placeholder(v) &&
           !is_reference(v);
}

/* A drawn token: a secret, or letters of both cases mixed. */
static bool check_token(struct slice v)
{
    bool low = false, high = false;

    for (size_t i = 1; i < v.n; i++) {
        low |= ascii_is_lower(v.p[i]);
        high |= ascii_is_upper(v.p[i]);
    }
    return check_secret(v) || (low && high && !is_placeholder(v));
}

static bool check_real(struct slice v)
{
    return !is_placeholder(v);
}

/* Drawn by a machine, without a checksum to tell: digits and letters, most
 * characters different, no ladder of a documentation, no placeholder. */
static bool check_drawn(struct slice v)
{
    bool digit = false, letter = false;

    for (size_t i = 0; i < v.n; i++) {
        digit |= scrub_is_digit(v.p[i]);
        letter |= ascii_is_letter(v.p[i]);
    }
    return digit && letter && entropy(v) >= 3.0 && !holds_ladder(v) &&
           !is_placeholder(v) && (memchr(v.p, '.', v.n) || !is_reference(v));
}

int scrub_base64_value(char c)
{
    if (ascii_is_upper(c))
        return c - 'A';
    if (ascii_is_lower(c))
        return c - 'a' + 26;
    if (scrub_is_digit(c))
        return c - '0' + 52;
    if (c == '-' || c == '+')
        return 62;
    return c == '_' || c == '/' ? 63 : -1;
}

/* Decodes base64 of either alphabet up to '.' or the end; SIZE_MAX if
 * something else stands there. What does not fit is left out. */
static size_t unbase64(struct slice v, char *text, size_t max)
{
    unsigned bits = 0, held = 0;
    size_t n = 0;

    for (size_t i = 0; i < v.n && v.p[i] != '.' && n < max; i++) {
        int x = scrub_base64_value(v.p[i]);

        if (x < 0)
            return SIZE_MAX;
        bits = bits << 6 | (unsigned)x;
        held += 6;
        if (held >= 8) {
            held -= 8;
            text[n++] = (char)(bits >> held & 0xFF);
        }
    }
    return n;
}

/* The first part decodes to a JSON object with "alg". */
static bool check_jwt(struct slice v)
{
    char text[1024];
    size_t n = unbase64(v, text, sizeof(text));
    struct json j = { 0 };
    bool ok = n != SIZE_MAX && json_parse(&j, text, n, NULL) == 0 &&
              json_get(&j, 0, "alg") != JSON_NONE;

    json_release(&j);
    return ok;
}

/* "user:password" in base64, as a Basic header has it. */
static bool check_basic(struct slice v)
{
    char text[512];
    size_t n;
    bool colon = false;

    while (v.n && v.p[v.n - 1] == '=')
        v.n--;
    n = v.n % 4 == 1 ? 0 : unbase64(v, text, sizeof(text));
    if (n == SIZE_MAX || n < 3)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < 0x20 || text[i] >= 0x7F)
            return false;
        colon |= text[i] == ':';
    }
    return colon;
}

static uint32_t crc32(const char *p, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* Where the random part of "ghp_..." begins; 0 if it is too short. */
static size_t crc_body(const char *p, size_t n)
{
    size_t body = 0;

    for (size_t i = 0; i < n && i < 6; i++)
        if (p[i] == '_')
            body = i + 1;
    return body && n > body + CRC_DIGITS ? body : 0;
}

static void crc_digits(const char *p, size_t n, char out[CRC_DIGITS])
{
    uint32_t crc = crc32(p, n);

    for (size_t i = CRC_DIGITS; i-- > 0; crc /= 62)
        out[i] = base62[crc % 62];
}

static bool check_crc62(struct slice v)
{
    size_t body = crc_body(v.p, v.n), tail = v.n - CRC_DIGITS;
    char want[CRC_DIGITS];

    if (!body)
        return false;
    crc_digits(v.p + body, tail - body, want);
    return memcmp(v.p + tail, want, sizeof(want)) == 0;
}

static void complete_crc62(char *value, size_t n)
{
    size_t body = crc_body(value, n), tail = n - CRC_DIGITS;

    if (body)
        crc_digits(value + body, tail - body, value + tail);
}

/* RFC 9562: variant 10, versions 1 to 8; neither nil nor all ones. */
static bool check_uuid(struct slice v)
{
    char hex[32];
    size_t n = 0;

    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '-')
            continue;
        if (n == sizeof(hex))
            return false;
        hex[n++] = ascii_lower(v.p[i]);
    }
    return n == sizeof(hex) && hex[12] >= '1' && hex[12] <= '8' &&
           (hex[16] == '8' || hex[16] == '9' || hex[16] == 'a' ||
            hex[16] == 'b');
}

scrub_check_fn *scrub_check_find_secret(const char *name)
{
    static const struct {
        const char *name;
        scrub_check_fn *check;
    } table[] = {
        { "entropy3", check_entropy3 }, { "entropy4", check_entropy4 },
        { "secret", check_secret },     { "real", check_real },
        { "token", check_token },       { "drawn", check_drawn },
        { "jwt", check_jwt },           { "basic", check_basic },
        { "crc62", check_crc62 },       { "uuid", check_uuid },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].check;
    return scrub_check_find_wallet(name);
}

scrub_complete_fn *scrub_complete_find_secret(const char *name)
{
    return strcmp(name, "crc62") == 0 ? complete_crc62
                                      : scrub_complete_find_wallet(name);
}

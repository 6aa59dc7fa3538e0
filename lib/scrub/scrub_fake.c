/*
 * scrub_fake.c - surrogates: same shape, valid check digits, reserved ranges
 *
 * A surrogate is a function of its generator and of the value's shape, so
 * "+1 415 555 2671" and "4155552671" become the same number. Ranges that
 * nobody owns: example.com (RFC 2606), 555-01xx (NANPA), 07700 900 (Ofcom),
 * social security numbers from 900 (SSA), 198.18.0.0/15 (RFC 2544),
 * 2001:db8::/32 (RFC 3849). It draws nothing by itself and keeps no map.
 */
#include "scrub/scrub_priv.h"

#include <assert.h>
#include <string.h>

#define MAX_DIGITS 64

static char draw_digit(struct rng *r)
{
    return (char)('0' + rng_below(r, 10));
}

/* Like draw_digit, but no leading zero where the value had none: a JSON
 * number must stay one. */
static char draw_first(struct rng *r, char was)
{
    return was == '0' ? '0' : (char)('1' + rng_below(r, 9));
}

static char draw_letter(struct rng *r, bool upper)
{
    return (char)((upper ? 'A' : 'a') + rng_below(r, 26));
}

static size_t digits_of(struct slice v, char out[MAX_DIGITS])
{
    size_t n = 0;

    for (size_t i = 0; i < v.n && n < MAX_DIGITS; i++)
        if (scrub_is_digit(v.p[i]))
            out[n++] = v.p[i];
    return n;
}

/* The value with its digits taken from d. */
static void lay_digits(struct slice v, const char *d, size_t n, struct buf *out)
{
    size_t k = 0;

    for (size_t i = 0; i < v.n; i++)
        buf_char(out, scrub_is_digit(v.p[i]) && k < n ? d[k++] : v.p[i]);
}

static void norm_digits(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++)
        if (scrub_is_digit(v.p[i]))
            buf_char(out, v.p[i]);
}

/* Digits without the North American 1. */
void scrub_norm_phone(struct slice v, struct buf *out)
{
    char d[MAX_DIGITS];
    size_t n = digits_of(v, d);

    if (n == 11 && d[0] == '1')
        buf_add(out, d + 1, 10);
    else
        buf_add(out, d, n);
}

static void norm_lower(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        buf_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
}

static void norm_alnum_upper(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (scrub_is_alnum(c))
            buf_char(out, c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c);
    }
}

static void norm_exact(struct slice v, struct buf *out)
{
    buf_add_slice(out, v);
}

static char draw_syllable(struct rng *r, size_t at)
{
    static const char consonants[] = "bdfghjklmnprstvz", vowels[] = "aeiou";

    return at % 2 ? vowels[rng_below(r, sizeof(vowels) - 1)]
                  : consonants[rng_below(r, sizeof(consonants) - 1)];
}

static size_t local_part(struct slice v)
{
    const char *at = memchr(v.p, '@', v.n);

    return at ? (size_t)(at - v.p) : v.n;
}

/* The local part is the person; domains are told apart when one is drawn. */
static void norm_email(struct slice v, struct buf *out)
{
    v.n = local_part(v);
    norm_lower(v, out);
}

/* A local part that is no word is somebody's name or account elsewhere too. */
static size_t email_stem(struct slice v)
{
    size_t n = local_part(v);

    for (size_t i = 0; i < n; i++)
        if (!scrub_is_alnum(v.p[i]) || scrub_is_digit(v.p[i]))
            return n;
    return 0;
}

static void fake_domain(struct slice domain, struct rng *r, struct buf *out)
{
    static const char *const hosts[] = { "",     "mail.", "post.", "box.",
                                         "one.", "home.", "work.", "net." };
    static const char *const tops[] = { "com", "org", "net" };
    uint64_t draw = rng_next(r);

    for (size_t i = 0; i < domain.n; i++) {
        unsigned char c = (unsigned char)domain.p[i];

        draw = (draw ^ (c >= 'A' && c <= 'Z' ? c | 0x20 : c)) *
               UINT64_C(0x9E3779B97F4A7C15);
    }
    draw >>= 32;
    buf_printf(out, "@%sexample.%s", hosts[draw / 3 % 8], tops[draw % 3]);
}

/* Syllables for letters, so that the small model sees something like a name;
 * at least six characters, since short local parts would collide. */
static void fake_email(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    size_t n = local_part(v), at = 0;

    (void)w;
    (void)rule;
    for (; at < n; at++) {
        char c = v.p[at];

        if (scrub_is_digit(c))
            buf_char(out, draw_digit(r));
        else if (c == '.' || c == '_' || c == '-' || c == '+')
            buf_char(out, c);
        else
            buf_char(out, draw_syllable(r, at));
    }
    for (; at < 6; at++)
        buf_char(out, draw_syllable(r, at));
    if (n < v.n)
        fake_domain((struct slice){ v.p + n, v.n - n }, r, out);
}

static void draw_nanp(struct rng *r, char d[10])
{
    d[0] = (char)('2' + rng_below(r, 8));
    d[1] = (char)('0' + rng_below(r, 9));
    d[2] = (char)('2' + rng_below(r, 8));
    memcpy(d + 3, "55501", 5);
    d[8] = draw_digit(r);
    d[9] = draw_digit(r);
}

/* Ranges that regulators keep free for drama, by the digits in front. */
static size_t reserved_prefix(const char *d, size_t n, const char **range)
{
    static const struct {
        const char *code, *range;
        size_t digits;
    } table[] = {
        { "44", "447700900", 12 }, { "61", "61491570", 11 },
        { "33", "33199000", 11 },  { "49", "493023125", 12 },
        { "46", "46701740", 11 },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        if (n == table[i].digits && memcmp(d, table[i].code, 2) == 0) {
            *range = table[i].range;
            return strlen(table[i].range);
        }
    }
    return 0;
}

static void fake_phone(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    char d[MAX_DIGITS];
    const char *range = NULL;
    size_t n = digits_of(v, d), fixed = 0;

    (void)w;
    (void)rule;
    if (n == 10 || (n == 11 && d[0] == '1')) {
        draw_nanp(r, d + (n - 10));
        lay_digits(v, d, n, out);
        return;
    }
    if (v.n && v.p[0] == '+') {
        fixed = reserved_prefix(d, n, &range);
        if (range)
            memcpy(d, range, fixed);
        else
            fixed = n < 3 ? n : 3; /* the calling code, at most */
    }
    if (n == 7) {
        memcpy(d, "55501", 5);
        fixed = 5;
    }
    for (size_t i = fixed; i < n; i++)
        d[i] = i ? draw_digit(r) : draw_first(r, d[0]);
    lay_digits(v, d, n, out);
}

static void fake_card(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    static const char *const test_ranges[] = { "400000", "555555", "222300",
                                               "378282", "340000", "601111",
                                               "353011", "305693", "360000",
                                               "380000", "620000" };
    char d[MAX_DIGITS];
    size_t n = digits_of(v, d), fixed = 1;

    (void)w;
    (void)rule;
    if (n < 8) {
        lay_digits(v, d, n, out);
        return;
    }
    for (size_t k = 2; k > 0 && fixed == 1; k--) {
        for (size_t i = 0; i < 11 && fixed == 1; i++) {
            if (memcmp(d, test_ranges[i], k) == 0) {
                memcpy(d, test_ranges[i], 6);
                fixed = 6;
            }
        }
    }
    for (size_t i = fixed; i + 1 < n; i++)
        d[i] = draw_digit(r);
    d[n - 1] = (char)('0' + idnumber_luhn_digit(d, n - 1));
    lay_digits(v, d, n, out);
}

static char redraw(struct rng *r, char c)
{
    if (scrub_is_digit(c))
        return draw_digit(r);
    if (c >= 'A' && c <= 'Z')
        return draw_letter(r, true);
    if (c >= 'a' && c <= 'z')
        return draw_letter(r, false);
    return c;
}

static void fake_iban(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    size_t start = out->len, seen = 0, check[2] = { 0, 0 };
    unsigned rest;

    (void)w;
    (void)rule;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (scrub_is_alnum(c)) {
            if (seen == 2 || seen == 3) {
                check[seen - 2] = out->len;
                c = '0';
            } else if (seen > 3) {
                c = redraw(r, c);
            }
            seen++;
        }
        buf_char(out, c);
    }
    if (seen < 5 || out->overflow)
        return;
    rest = 98 - idnumber_iban_mod97(
                    (struct slice){ out->data + start, out->len - start });
    out->data[check[0]] = (char)('0' + rest / 10);
    out->data[check[1]] = (char)('0' + rest % 10);
}

static void fake_ssn(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice v, struct rng *r, struct buf *out)
{
    char d[MAX_DIGITS];
    size_t n = digits_of(v, d);

    (void)w;
    (void)rule;
    for (size_t i = 0; i < n; i++)
        d[i] = draw_digit(r);
    if (n == 9) { /* groups to 49: no taxpayer number either */
        d[0] = '9';
        d[3] = (char)('0' + rng_below(r, 5));
        d[4] = (char)('1' + rng_below(r, 9));
    }
    lay_digits(v, d, n, out);
}

static void fake_ipv4(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    (void)v;
    buf_printf(out, "198.%u.%u.%u", (unsigned)(18 + rng_below(r, 2)),
               (unsigned)rng_below(r, 256), (unsigned)(1 + rng_below(r, 254)));
}

static void fake_ipv6(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    (void)w;
    (void)rule;
    (void)v;
    buf_str(out, "2001:db8");
    for (int i = 0; i < 6; i++)
        buf_printf(out, ":%x", (unsigned)(1 + rng_below(r, 0xFFFF)));
}

static bool all_hex(struct slice v, size_t from, bool *upper)
{
    bool letters = false;

    *upper = false;
    for (size_t i = from; i < v.n; i++) {
        char c = v.p[i];

        if (scrub_is_digit(c) || c == '-')
            continue;
        if (!((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
        letters = true;
        *upper = c < 'a';
    }
    return letters;
}

/* Every letter and digit redrawn within its kind, the first rule->keep bytes
 * and all else kept; hexadecimal stays hexadecimal; UTF-8 becomes letters. */
static void fake_shape(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    bool upper, hex = all_hex(v, rule->keep, &upper);
    size_t start = out->len;

    (void)w;
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if (c < 0x80 && (i < rule->keep || c == '\\'))
            buf_char(out, (char)c);
        else if (hex && c != '-')
            buf_char(out, (upper ? "0123456789ABCDEF"
                                 : "0123456789abcdef")[rng_below(r, 16)]);
        else if (c < 0x80)
            buf_char(out, i ? redraw(r, (char)c)
                            : (scrub_is_digit((char)c) ? draw_first(r, (char)c)
                                                       : redraw(r, (char)c)));
        else if (c >= 0xC0)
            buf_char(out, draw_letter(r, false));
    }
    if (rule->complete && !out->overflow && out->len - start == v.n)
        rule->complete(out->data + start, v.n);
}

const struct scrub_fake *scrub_fake_find(const char *name)
{
    static const struct scrub_fake table[] = {
        { "email", fake_email, norm_email, false, email_stem },
        { "phone", fake_phone, scrub_norm_phone, true, NULL },
        { "card", fake_card, norm_digits, true, NULL },
        { "iban", fake_iban, norm_alnum_upper, false, NULL },
        { "ssn", fake_ssn, norm_digits, true, NULL },
        { "ipv4", fake_ipv4, norm_exact, false, NULL },
        { "ipv6", fake_ipv6, norm_lower, false, NULL },
        { "shape", fake_shape, norm_exact, false, NULL },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* The normal form is left in w->norm; equal forms of one type and scope get
 * equal generators, and nothing else does. */
void scrub_seed(struct scrub_worker *w, const struct scrub_rule *rule,
                struct slice value, unsigned again, struct rng *r)
{
    unsigned char mac[CRYPTO_SHA256_BYTES];
    struct buf *b = &w->seed;
    uint64_t seed = 0;

    buf_reset(&w->norm);
    rule->norm(value, &w->norm);
    buf_reset(b);
    buf_printf(b, "surrogate %u %zu:", again, w->scope.n);
    buf_add_slice(b, w->scope);
    buf_printf(b, "%zu:%s", strlen(rule->type), rule->type);
    buf_add_slice(b, buf_slice(&w->norm));
    crypto_hmac(&w->key, buf_slice(b), mac);
    for (size_t i = 0; i < 8; i++)
        seed = seed << 8 | mac[i];
    rng_init(r, seed);
}

void scrub_surrogate(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice value, struct buf *out)
{
    size_t start = out->len;

    /* A drawn value may be the real one by chance; never say it twice. */
    for (unsigned again = 0; again < 8; again++) {
        struct rng r;

        out->len = start;
        scrub_seed(w, rule, value, again, &r);
        rule->fake(w, rule, value, &r, out);
        if (!slice_eq((struct slice){ out->data + start, out->len - start },
                      value))
            return;
    }
    out->len = start; /* nothing in it can be redrawn */
    buf_printf(out, "[%s]", rule->type);
}

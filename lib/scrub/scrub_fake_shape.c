/*
 * scrub_fake_shape.c - letters and digits drawn anew within their kind
 *
 * What the other surrogates are made of: digits, letters, syllables, and the
 * folding by which forms of one value are known to be the same. A script stays
 * a script: of those whose letters are not Latin a few common ones are drawn.
 */
#include "scrub/scrub_fake.h"

#include "unicode/unicode.h"

#include <string.h>

char scrub_draw_digit(struct rng *r)
{
    return (char)('0' + rng_below(r, 10));
}

char scrub_draw_first(struct rng *r, char was)
{
    return was == '0' ? '0' : (char)('1' + rng_below(r, 9));
}

char scrub_draw_letter(struct rng *r, bool upper)
{
    return (char)((upper ? 'A' : 'a') + rng_below(r, 26));
}

char scrub_draw_syllable(struct rng *r, size_t at)
{
    static const char consonants[] = "bdfghjklmnprstvz", vowels[] = "aeiou";

    return at % 2 ? vowels[rng_below(r, sizeof(vowels) - 1)]
                  : consonants[rng_below(r, sizeof(consonants) - 1)];
}

char scrub_draw_like(struct rng *r, char c)
{
    if (scrub_is_digit(c))
        return scrub_draw_digit(r);
    if (c >= 'A' && c <= 'Z')
        return scrub_draw_letter(r, true);
    if (c >= 'a' && c <= 'z')
        return scrub_draw_letter(r, false);
    return c;
}

size_t scrub_digits_of(struct slice v, char out[SCRUB_FAKE_DIGITS])
{
    size_t n = 0;

    for (size_t i = 0; i < v.n && n < SCRUB_FAKE_DIGITS; i++)
        if (scrub_is_digit(v.p[i]))
            out[n++] = v.p[i];
    return n;
}

void scrub_digits_lay(struct slice v, const char *d, size_t n, struct buf *out)
{
    size_t k = 0;

    for (size_t i = 0; i < v.n; i++)
        buf_char(out, scrub_is_digit(v.p[i]) && k < n ? d[k++] : v.p[i]);
}

void scrub_norm_digits(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++)
        if (scrub_is_digit(v.p[i]))
            buf_char(out, v.p[i]);
}

/* Digits without the North American 1. */
void scrub_norm_long(struct slice v, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d), lead = n == 11 && d[0] == '1';

    buf_add(out, d + lead, n - lead);
}

/* What all ways to dial a number end with: digits without the North American
 * 1; elsewhere the last nine, with 00, + or 0 before them. */
void scrub_norm_phone(struct slice v, struct buf *out)
{
    char d[SCRUB_FAKE_DIGITS];
    size_t n = scrub_digits_of(v, d), keep = n;

    if (n == 11 && d[0] == '1')
        keep = 10;
    else if (n >= 11 || (n == 10 && d[0] == '0'))
        keep = 9;
    buf_add(out, d + n - keep, keep);
}

void scrub_norm_lower(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        buf_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
}

void scrub_norm_alnum(struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (scrub_is_alnum(c))
            buf_char(out, c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c);
    }
}

void scrub_norm_exact(struct slice v, struct buf *out)
{
    buf_add_slice(out, v);
}

void scrub_norm_fold(struct slice v, struct buf *out)
{
    scrub_fold(v, out);
}

bool scrub_is_letter(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
    if (cp < 0xC0)
        return cp == 0xAA || cp == 0xB5 || cp == 0xBA;
    if (cp == 0xD7 || cp == 0xF7)
        return false;
    if (cp >= 0x2000 && cp < 0x2C00) /* punctuation, signs, boxes */
        return false;
    return !(cp >= 0x3000 && cp < 0x3041) && !(cp >= 0xFE00 && cp < 0xFE70) &&
           !(cp >= 0xFF00 && cp < 0xFF21) && cp != 0xFFFD && cp < 0x1F000;
}

static uint32_t lower_letter(uint32_t cp)
{
    if ((cp >= 'A' && cp <= 'Z') || (cp >= 0xC0 && cp <= 0xDE && cp != 0xD7))
        return cp + 0x20;
    if ((cp >= 0x100 && cp <= 0x137) || (cp >= 0x14A && cp <= 0x177) ||
        (cp >= 0x1E00 && cp <= 0x1EFF) || (cp >= 0x460 && cp <= 0x481))
        return cp | 1;
    if ((cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17E))
        return cp + (cp & 1);
    if (cp == 0x178)
        return 0xFF;
    if ((cp >= 0x391 && cp <= 0x3A9) || (cp >= 0x410 && cp <= 0x42F))
        return cp + 0x20;
    if (cp >= 0x400 && cp <= 0x40F)
        return cp + 0x50;
    return cp;
}

uint32_t scrub_fold_letter(uint32_t cp, bool bare)
{
    static const struct {
        uint32_t from, to;
    } odd[] = { { 0xDF, 's' },  { 0xE6, 'a' },  { 0xF0, 'd' },
                { 0xF8, 'o' },  { 0x111, 'd' }, { 0x131, 'i' },
                { 0x142, 'l' }, { 0x153, 'o' }, { 0x2019, '\'' } };
    const struct unicode_decomposition *d;

    cp = lower_letter(cp);
    if (!bare || cp < 0x80)
        return cp;
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        if (odd[i].from == cp)
            return odd[i].to;
    d = unicode_decompose(cp);
    return d && cp < 0xAC00 ? d->to[0] : cp;
}

/* Eight ASCII letters, in lower case; false if they are others. */
static bool fold_eight(const char *from, char *to)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
    uint64_t x, low;

    memcpy(&x, from, 8);
    low = x | ones * 0x20;
    if ((x | ~(low + ones * (0x80 - 'a')) | (low + ones * (0x7F - 'z'))) & high)
        return false;
    memcpy(to, &low, 8);
    return true;
}

/* Letters from byte i on, eight by eight; returns how many there are. */
static size_t fold_letters(struct slice v, size_t i, char *to)
{
    size_t n = 0;

    while (v.n - i - n >= 8 && fold_eight(v.p + i + n, to + n))
        n += 8;
    return n;
}

size_t scrub_fold_into(struct slice v, char *to)
{
    size_t i = fold_letters(v, 0, to), n = i, used;

    while (i < v.n) {
        unsigned c = (unsigned char)v.p[i], low = c | 0x20;
        int32_t cp;
        uint32_t letter;

        if (c < 0x80) {
            to[n] = (char)low; /* a digit's bit is set already */
            n += (low - 'a' < 26) | (c - '0' < 10);
            i++;
            if (c == ' ') {
                size_t more = fold_letters(v, i, to + n);

                i += more;
                n += more;
            }
            continue;
        }
        cp = utf8_decode(v.p + i, v.n - i, &used);
        i += used;
        if (cp < 0)
            continue;
        if (cp == 0xDF || cp == 0x1E9E) { /* Weiß is WEISS */
            to[n++] = 's';
            to[n++] = 's';
            continue;
        }
        letter = scrub_fold_letter((uint32_t)cp, true);
        if (scrub_is_letter(letter) && !unicode_combining_class(letter))
            n += utf8_encode(letter, to + n);
        else if (letter >= '0' && letter <= '9')
            to[n++] = (char)letter;
    }
    return n;
}

void scrub_fold(struct slice v, struct buf *out)
{
    char *to = buf_reserve(out, SCRUB_FOLD_ROOM(v.n));

    if (!to)
        return;
    out->len += scrub_fold_into(v, to);
    out->data[out->len] = '\0';
}

void scrub_folded_init(struct scrub_folded *f, struct slice v)
{
    f->large = (struct buf){ 0 };
    if (v.n <= SCRUB_FOLDED_SHORT) {
        f->text = (struct slice){ f->small, scrub_fold_into(v, f->small) };
        return;
    }
    scrub_fold(v, &f->large);
    f->text = buf_slice(&f->large);
}

void scrub_folded_release(struct scrub_folded *f)
{
    if (f->large.data)
        buf_release(&f->large);
}

bool scrub_is_one_of(struct slice v, const char *const *list, size_t n)
{
    for (size_t i = 0; v.n && i < n; i++)
        if (list[i][0] == v.p[0] && slice_is(v, list[i]))
            return true;
    return false;
}

/* Letters of a script that look well side by side; the lower ones first, as
 * many upper ones after them, if it has case. */
struct script {
    uint32_t from, to;
    const char *lower, *upper;
};

static const struct script scripts[] = {
    { 0xC0, 0x24F, "abdeghiklmnoprstu", "ABDEGHIKLMNOPRSTU" },
    { 0x370, 0x3FF, "αβγδεθικλμνορστ", "ΑΒΓΔΕΘΙΚΛΜΝΟΡΣΤ" },
    { 0x400, 0x52F, "абвгдеиклмнорст", "АБВГДЕИКЛМНОРСТ" },
    { 0x531, 0x58F, "ադեինորտկմսաեո", NULL },
    { 0x5D0, 0x5EA, "אבגדהלמנרשת", NULL },
    { 0x620, 0x6FF, "ابتدرسعلمني", NULL },
    { 0x900, 0x97F, "कगजतदनपमरलवसह", NULL },
    { 0xE00, 0xE7F, "กคจชดตนปพมรลวส", NULL },
    { 0x3040, 0x309F, "あかさたなはまやらいきし", NULL },
    { 0x30A0, 0x30FF, "アカサタナハマヤライキシ", NULL },
    { 0x3400, 0x9FFF, "王李张刘陈杨林周吴徐孙马高山田中村木石川", NULL },
    { 0xAC00, 0xD7A3, "김이박최정강조윤장임민서지현수영", NULL },
};

static void draw_of(struct rng *r, const char *letters, struct buf *out)
{
    size_t n = 0, used, all = strlen(letters);
    uint64_t k;

    for (size_t i = 0; i < all; i += used, n++)
        (void)utf8_decode(letters + i, all - i, &used);
    k = rng_below(r, n);
    for (size_t i = 0; i < all; i += used) {
        (void)utf8_decode(letters + i, all - i, &used);
        if (k-- == 0)
            buf_add(out, letters + i, used);
    }
}

/* A letter beyond ASCII. */
static void draw_letter_of(struct rng *r, uint32_t cp, struct buf *out)
{
    for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
        const struct script *s = &scripts[i];

        if (cp < s->from || cp > s->to)
            continue;
        draw_of(r, s->upper && lower_letter(cp) != cp ? s->upper : s->lower,
                out);
        return;
    }
    buf_char(out, scrub_draw_letter(r, false));
}

#define HEX_LETTERS 8 /* fewer without a digit are a word: "db", "cafe" */

static bool all_hex(struct slice v, size_t from, bool *upper)
{
    bool letters = false, digits = v.n - from >= HEX_LETTERS;

    *upper = false;
    for (size_t i = from; i < v.n; i++) {
        char c = v.p[i];

        digits |= scrub_is_digit(c);
        if (scrub_is_digit(c) || c == '-')
            continue;
        if (!((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
        letters = true;
        *upper = c < 'a';
    }
    return letters && digits;
}

static void draw_one(struct rng *r, struct slice c, bool first, struct buf *out)
{
    size_t used;
    int32_t cp = utf8_decode(c.p, c.n, &used);

    if (cp >= 0 && cp < 0x80)
        buf_char(out, first && scrub_is_digit(c.p[0])
                          ? scrub_draw_first(r, c.p[0])
                          : scrub_draw_like(r, c.p[0]));
    else if (cp < 0)
        buf_char(out, scrub_draw_letter(r, false));
    else if (scrub_is_letter((uint32_t)cp))
        draw_letter_of(r, (uint32_t)cp, out);
    else
        buf_add(out, c.p, used);
}

void scrub_shape_draw(struct rng *r, struct slice v, struct buf *out)
{
    size_t used;

    for (size_t i = 0; i < v.n; i += used) {
        (void)utf8_decode(v.p + i, v.n - i, &used);
        draw_one(r, (struct slice){ v.p + i, used }, i == 0, out);
    }
}

/* Every letter and digit redrawn within its kind, the first rule->keep bytes
 * and all else kept; hexadecimal stays hexadecimal. An account that is named
 * after somebody of the record keeps to that name. */
void scrub_fake_shape(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    bool upper, hex = all_hex(v, rule->keep, &upper);
    size_t used, start = out->len;

    if (strcmp(rule->type, "USER") == 0 && scrub_name_is_login(w, v)) {
        scrub_fake_person(w, rule, v, r, out);
        return;
    }
    for (size_t i = 0; i < v.n; i += used) {
        char c = v.p[i];

        (void)utf8_decode(v.p + i, v.n - i, &used);
        if ((unsigned char)c < 0x80 && (i < rule->keep || c == '\\'))
            buf_char(out, c);
        else if (hex && c != '-')
            buf_char(out, (upper ? "0123456789ABCDEF"
                                 : "0123456789abcdef")[rng_below(r, 16)]);
        else
            draw_one(r, (struct slice){ v.p + i, used }, i == 0, out);
    }
    if (rule->complete && !out->overflow && out->len - start == v.n)
        rule->complete(out->data + start, v.n);
}

/* A number that somebody gave out: no hexadecimal, whatever its letters. */
void scrub_fake_id(struct scrub_worker *w, const struct scrub_rule *rule,
                   struct slice v, struct rng *r, struct buf *out)
{
    size_t used, start = out->len;

    (void)w;
    for (size_t i = 0; i < v.n; i += used) {
        (void)utf8_decode(v.p + i, v.n - i, &used);
        if (i < rule->keep)
            buf_add(out, v.p + i, used);
        else
            draw_one(r, (struct slice){ v.p + i, used }, i == 0, out);
    }
    if (rule->complete && !out->overflow && out->len - start == v.n)
        rule->complete(out->data + start, v.n);
}

#define PREFIX_MAX 10

/* Leading letters that say what a number is of: "CUST-" of CUST-472731. */
size_t scrub_number_prefix(struct slice v)
{
    size_t i = 0;

    while (i < v.n && i <= PREFIX_MAX && scrub_is_alnum(v.p[i]) &&
           !scrub_is_digit(v.p[i]))
        i++;
    if (i > PREFIX_MAX)
        return 0;
    if (i < v.n && strchr("-_#:/", v.p[i]))
        i++;
    return i < v.n && scrub_is_digit(v.p[i]) ? i : 0;
}

/* The number is the same with its prefix and without. */
void scrub_norm_number(struct slice v, struct buf *out)
{
    size_t n = scrub_number_prefix(v);

    scrub_norm_alnum((struct slice){ v.p + n, v.n - n }, out);
}

void scrub_fake_number(struct scrub_worker *w, const struct scrub_rule *rule,
                       struct slice v, struct rng *r, struct buf *out)
{
    size_t n = scrub_number_prefix(v);

    (void)w;
    (void)rule;
    buf_add(out, v.p, n);
    scrub_shape_draw(r, (struct slice){ v.p + n, v.n - n }, out);
}

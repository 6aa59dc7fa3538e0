/*
 * address_codes.c - postcodes and coordinates that stand by themselves
 *
 * A postcode counts behind a word that announces it, behind the state that its
 * first digits belong to, or in the British or Canadian form with an area that
 * exists. Coordinates have four decimals or more and come in pairs.
 */
#include "address/address_priv.h"

#include <string.h>

struct zip_range {
    char state[3];
    short first, last; /* first three digits; sectional centers of the USPS */
};

static const struct zip_range ranges[] = {
    { "AL", 350, 369 }, { "AK", 995, 999 }, { "AZ", 850, 865 },
    { "AR", 716, 729 }, { "AR", 755, 755 }, { "CA", 900, 961 },
    { "CO", 800, 816 }, { "CT", 60, 69 },   { "DE", 197, 199 },
    { "DC", 200, 205 }, { "FL", 320, 349 }, { "GA", 300, 319 },
    { "GA", 398, 399 }, { "HI", 967, 968 }, { "ID", 832, 838 },
    { "IL", 600, 629 }, { "IN", 460, 479 }, { "IA", 500, 528 },
    { "KS", 660, 679 }, { "KY", 400, 427 }, { "LA", 700, 714 },
    { "ME", 39, 49 },   { "MD", 206, 219 }, { "MA", 10, 27 },
    { "MA", 55, 55 },   { "MI", 480, 499 }, { "MN", 550, 567 },
    { "MS", 386, 397 }, { "MO", 630, 658 }, { "MT", 590, 599 },
    { "NE", 680, 693 }, { "NV", 889, 898 }, { "NH", 30, 38 },
    { "NJ", 70, 89 },   { "NM", 870, 884 }, { "NY", 100, 149 },
    { "NY", 5, 5 },     { "NY", 63, 63 },   { "NC", 270, 289 },
    { "ND", 580, 588 }, { "OH", 430, 459 }, { "OK", 730, 749 },
    { "OR", 970, 979 }, { "PA", 150, 196 }, { "RI", 28, 29 },
    { "SC", 290, 299 }, { "SD", 570, 577 }, { "TN", 370, 385 },
    { "TX", 750, 799 }, { "TX", 885, 885 }, { "UT", 840, 847 },
    { "VT", 50, 59 },   { "VA", 220, 246 }, { "VA", 201, 201 },
    { "WA", 980, 994 }, { "WV", 247, 268 }, { "WI", 530, 549 },
    { "WY", 820, 831 }, { "PR", 6, 9 },
};

static const char areas[] =
    " AB AL B BA BB BD BH BL BN BR BS BT BX CA CB CF CH CM CO CR CT CV CW DA "
    "DD DE DG DH DL DN DT DY E EC EH EN EX FK FY G GL GU GY HA HD HG HP HR HS "
    "HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE "
    "NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN "
    "SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS "
    "WV YO ZE ";

/* ZIP codes that begin with these three digits are of the state. */
static bool zip_of_state(const char state[2], int prefix)
{
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (memcmp(ranges[i].state, state, 2) == 0 &&
            prefix >= ranges[i].first && prefix <= ranges[i].last)
            return true;
    return false;
}

static bool is_upper(struct slice t, size_t i)
{
    return i < t.n && ascii_is_upper(t.p[i]);
}

static bool is_digit_at(struct slice t, size_t i)
{
    return i < t.n && ascii_is_digit(t.p[i]);
}

static bool is_alnum_at(struct slice t, size_t i)
{
    return i < t.n && (ascii_is_digit(t.p[i]) || t.p[i] == '_' ||
                       address_letter(t.p + i, t.n - i));
}

/* No letter or digit before `at`, nor a mark that joins. */
static bool is_free(struct slice t, size_t at)
{
    return at == 0 ||
           !(is_alnum_at(t, at - 1) || (unsigned char)t.p[at - 1] >= 0x80 ||
             ascii_is_one_of(t.p[at - 1], "-/.+=$#"));
}

static bool ends(struct slice t, size_t at)
{
    return !is_alnum_at(t, at) &&
           !(at + 1 < t.n && ascii_is_one_of(t.p[at], "-/.:") &&
             is_alnum_at(t, at + 1));
}

/* Canada: A1A 1A1; the United Kingdom: A9 9AA to AA9A 9AA. `at` is the first
 * digit. */
static bool lettered(struct slice t, size_t at, size_t *start, size_t *end)
{
    size_t s = at, i = at + 1;
    char area[5] = " ";
    size_t n;

    while (s > 0 && at - s < 3 && is_upper(t, s - 1))
        s--;
    n = at - s;
    if (n < 1 || n > 2 || !is_free(t, s))
        return false;
    i += is_digit_at(t, i) || is_upper(t, i);
    if (i >= t.n || t.p[i] != ' ' || !is_digit_at(t, i + 1) ||
        !is_upper(t, i + 2))
        return false;
    *start = s;
    *end = i + 4;
    if (n == 1 && is_upper(t, at + 1) && is_digit_at(t, i + 3) &&
        !ascii_is_one_of(t.p[s], "DFIOQUWZ"))
        return ends(t, *end);
    memcpy(area + 1, t.p + s, n);
    area[n + 1] = ' ';
    return is_upper(t, i + 3) && !ascii_is_one_of(t.p[i + 2], "CIKMOV") &&
           !ascii_is_one_of(t.p[i + 3], "CIKMOV") && strstr(areas, area) &&
           ends(t, *end);
}

/* nw1 6xe, as typed: a mixture of cases and "2nd" are none. */
static bool small_lettered(struct slice t, size_t at, size_t *start,
                           size_t *end)
{
    char up[12];
    size_t from = at > 3 ? at - 3 : 0, n = 0, s, e;

    for (size_t i = from; i < t.n && i < at + 7; i++, n++) {
        char c = t.p[i];

        if (ascii_is_upper(c))
            return false;
        up[n] = c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
    }
    if (!lettered((struct slice){ up, n }, at - from, &s, &e) ||
        (s == 0 && from) || ascii_is_digit(up[e - 1]))
        return false;
    for (const char *p = "ST ND RD TH GB TB LB FT PX HZ"; *p; p += p[2] ? 3 : 2)
        if (memcmp(up + e - 2, p, 2) == 0)
            return false;
    *start = from + s;
    *end = from + e;
    return true;
}

static bool is_word_before(struct slice t, size_t end, const char *low)
{
    size_t n = strlen(low);

    if (n > end)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((t.p[end - n + i] | 0x20) != low[i])
            return false;
    return end == n || !is_alnum_at(t, end - n - 1);
}

/* "ZIP code is 94043": the words before, marks and small words skipped. */
static bool is_announced(struct slice t, size_t at)
{
    static const char *const names[] = { "zip",      "zips",    "zipcode",
                                         "postcode", "postal",  "plz",
                                         "cep",      "pincode", NULL };
    static const char *const fillers[] = { "code", "is", "number", "the",
                                           NULL };
    size_t end = at;

    for (int words = 0; words < 4; words++) {
        size_t from = end;
        bool filler = false;

        while (end > 0 && from - end < 4 &&
               ascii_is_one_of(t.p[end - 1], " :=#\"'\n"))
            end--;
        if (end == from)
            return false;
        for (size_t i = 0; names[i]; i++)
            if (is_word_before(t, end, names[i]))
                return true;
        for (size_t i = 0; fillers[i] && !filler; i++)
            if (is_word_before(t, end, fillers[i])) {
                end -= strlen(fillers[i]);
                filler = true;
            }
        if (!filler)
            return false;
    }
    return false;
}

static size_t digit_run(struct slice t, size_t i)
{
    size_t n = 0;

    while (is_digit_at(t, i + n))
        n++;
    return n;
}

/* What may follow the first digits of an announced code. */
static size_t announced_end(struct slice t, size_t at, size_t digits)
{
    size_t i = at + digits, more;

    if (i + 1 < t.n && t.p[i] == '-') {
        more = digit_run(t, i + 1);
        return more >= 3 && more <= 4 ? i + 1 + more : i;
    }
    if (i + 1 < t.n && t.p[i] == ' ') {
        more = digit_run(t, i + 1);
        if (digits == 3 && more == 2)
            return i + 3;
        if (digits == 4 && is_upper(t, i + 1) && is_upper(t, i + 2) &&
            !is_alnum_at(t, i + 3))
            return i + 3;
    }
    if (digits == 2 && i + 1 < t.n && t.p[i] == '-' && digit_run(t, i + 1) == 3)
        return i + 4;
    return i;
}

static bool behind_state(struct slice t, size_t at)
{
    return at >= 3 && t.p[at - 1] == ' ' && is_upper(t, at - 2) &&
           is_upper(t, at - 3) && (at == 3 || !is_alnum_at(t, at - 4)) &&
           zip_of_state(t.p + at - 3, (t.p[at] - '0') * 100 +
                                          (t.p[at + 1] - '0') * 10 +
                                          (t.p[at + 2] - '0'));
}

static int postcode(struct slice t, size_t at, size_t digits, size_t *end,
                    address_found_fn *found, void *ctx)
{
    size_t start = at, stop = at;

    if (digits <= 2 && at > 0 && is_upper(t, at - 1) &&
        lettered(t, at, &start, &stop)) {
        *end = stop;
        return found(ctx, ADDRESS_POSTCODE, start, stop, 1);
    }
    if (digits <= 2 && at > 0 && t.p[at - 1] >= 'a' && t.p[at - 1] <= 'z' &&
        small_lettered(t, at, &start, &stop)) {
        *end = stop;
        return found(ctx, ADDRESS_POSTCODE, start, stop, 2);
    }
    if (digits < 2 || digits > 6 || at == 0)
        return 0;
    if (ascii_is_one_of(t.p[at - 1], " :=#\"'\n") && is_announced(t, at)) {
        stop = announced_end(t, at, digits);
        if ((digits == 2 && stop == at + 2) || !ends(t, stop))
            return 0;
        *end = stop;
        return found(ctx, ADDRESS_POSTCODE, at, stop, 1);
    }
    if (digits == 5 && behind_state(t, at)) {
        stop = at + 5;
        if (stop + 5 <= t.n && t.p[stop] == '-' && digit_run(t, stop + 1) == 4)
            stop += 5;
        if (!ends(t, stop))
            return 0;
        *end = stop;
        return found(ctx, ADDRESS_POSTCODE, at, stop, 1);
    }
    return 0;
}

struct decimal {
    size_t start, end;
    bool marked; /* a sign, a degree, a quarter of the sky */
    int whole;
    bool fits;
};

/* The decimal whose digits begin at `at`. */
static bool read_decimal(struct slice t, size_t at, int most, struct decimal *x)
{
    size_t n = digit_run(t, at), more, i = at + n;

    if (n < 1 || n > 3 || i >= t.n || t.p[i] != '.')
        return false;
    more = digit_run(t, i + 1);
    if (more < 4 || more > 15)
        return false;
    *x = (struct decimal){ .start = at, .end = i + 1 + more };
    for (i = at; i < at + n; i++)
        x->whole = x->whole * 10 + (t.p[i] - '0');
    if (at > 0 && (t.p[at - 1] == '-' || t.p[at - 1] == '+')) {
        x->start--;
        x->marked = true;
    }
    if (x->end + 1 < t.n && !memcmp(t.p + x->end, "\xC2\xB0", 2)) {
        x->end += 2;
        x->marked = true;
    }
    i = x->end + (x->end < t.n && t.p[x->end] == ' ');
    if (i < t.n && ascii_is_one_of(t.p[i], "NSEW") && !is_alnum_at(t, i + 1)) {
        x->end = i + 1;
        x->marked = true;
    }
    x->fits = x->whole <= most;
    return true;
}

static bool is_position_word(struct slice t, size_t at)
{
    static const char *const words[] = {
        "lat",      "latitude", "coordinates", "coords", "location", "gps",
        "position", "located",  "geo",         "point",  "at",       "ll",
        "latlng",   "latlon",   "center",      "loc",    NULL
    };
    size_t end = at;

    while (end > 0 && at - end < 4 && ascii_is_one_of(t.p[end - 1], " :=([\"'"))
        end--;
    for (size_t i = 0; end > 0 && words[i]; i++)
        if (is_word_before(t, end, words[i]))
            return true;
    return false;
}

/* "lng", "longitude:" between the two. */
static size_t skip_longitude(struct slice t, size_t i)
{
    static const char *const words[] = { "lng", "lon", "long", "longitude",
                                         NULL };
    size_t end = i;

    while (end < t.n && address_letter(t.p + end, 1))
        end++;
    for (size_t k = 0; end > i && words[k]; k++)
        if (end - i == strlen(words[k]) && is_word_before(t, end, words[k])) {
            for (int n = 0;
                 n < 2 && end < t.n && ascii_is_one_of(t.p[end], " :="); n++)
                end++;
            return end;
        }
    return i;
}

#define PAIR_DIGITS 6 /* behind the point: no measure has as many */

/* "48.8583701, 2.2944813" and nothing else */
static bool is_pair(struct slice t, const struct decimal *a,
                    const struct decimal *b)
{
    struct slice v = slice_trim(t);

    return v.p == t.p + a->start && v.n == b->end - a->start &&
           a->end - a->start > PAIR_DIGITS && b->end - b->start > PAIR_DIGITS;
}

static int find_coordinates(struct slice t, size_t at, size_t *end,
                            address_found_fn *found, void *ctx)
{
    struct decimal a, b;
    size_t i, gap = 0;
    bool map; /* .../@48.85837,2.29448,17z */

    if (!read_decimal(t, at, 90, &a) || !a.fits ||
        (a.start > 0 && is_alnum_at(t, a.start - 1)))
        return 0;
    for (i = a.end; i < t.n && gap < 3 && ascii_is_one_of(t.p[i], ",; /&");
         gap++)
        i++;
    i = skip_longitude(t, i);
    if (gap && i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
        i++;
    if (!gap || !is_digit_at(t, i) || !read_decimal(t, i, 180, &b) || !b.fits ||
        is_alnum_at(t, b.end) || (a.whole == 0 && b.whole == 0))
        return 0;
    map = a.start > 1 && t.p[a.start - 1] == '@' && t.p[a.start - 2] == '/';
    for (i = b.end, gap = 0;
         i < t.n && gap < 2 && ascii_is_one_of(t.p[i], ", "); gap++)
        i++;
    if (!map && gap && (is_digit_at(t, i) || (i < t.n && t.p[i] == '-')))
        return 0; /* a list of numbers */
    for (i = a.start;
         i > 0 && a.start - i < 2 && ascii_is_one_of(t.p[i - 1], ", ");)
        i--;
    if (i < a.start && i > 0 && ascii_is_digit(t.p[i - 1]))
        return 0;
    *end = b.end;
    return found(ctx, ADDRESS_COORDINATES, a.start, b.end,
                 a.marked || b.marked || map || is_pair(t, &a, &b) ||
                         is_position_word(t, a.start)
                     ? 1
                     : 2);
}

int address_code(struct slice t, struct slice key, size_t at, size_t digits,
                 size_t *end, address_found_fn *found, void *ctx)
{
    (void)key;
    if (digits <= 3 && at + digits < t.n && t.p[at + digits] == '.')
        return find_coordinates(t, at, end, found, ctx);
    return postcode(t, at, digits, end, found, ctx);
}

/* Some digits, and only what codes are made of. */
static bool looks_like_code(struct slice v)
{
    size_t digits = 0;

    for (size_t i = 0; i < v.n; i++) {
        digits += ascii_is_digit(v.p[i]);
        if (!is_alnum_at(v, i) && v.p[i] != ' ' && v.p[i] != '-')
            return false;
    }
    return digits >= 2 && v.n <= 12;
}

static bool looks_like_degrees(struct slice v)
{
    struct decimal x;
    size_t at = v.n && (v.p[0] == '-' || v.p[0] == '+');

    return is_digit_at(v, at) && read_decimal(v, at, 180, &x) && x.fits &&
           x.end == v.n;
}

static bool looks_like_street(struct slice v)
{
    size_t digits = 0, letters = 0, blanks = 0;

    if (v.n > 200 || memmem(v.p, v.n, "://", 3) || memchr(v.p, '@', v.n) ||
        memchr(v.p, '{', v.n) || (v.n > 1 && v.p[0] == '0' && v.p[1] == 'x'))
        return false;
    for (size_t i = 0; i < v.n; i++) {
        digits += ascii_is_digit(v.p[i]);
        letters += address_letter(v.p + i, v.n - i) > 0;
        blanks += v.p[i] == ' ';
    }
    return digits && letters > 2 && blanks && blanks < 24;
}

enum key_word { KEY_NONE, KEY_CODE, KEY_DEGREES, KEY_STREET, KEY_OTHER };

static enum key_word key_word(const char *p, size_t n)
{
    static const struct {
        const char *word;
        enum key_word is;
    } words[] = {
        { "zip", KEY_CODE },
        { "zipcode", KEY_CODE },
        { "zip5", KEY_CODE },
        { "postal", KEY_CODE },
        { "postcode", KEY_CODE },
        { "postalcode", KEY_CODE },
        { "plz", KEY_CODE },
        { "lat", KEY_DEGREES },
        { "lng", KEY_DEGREES },
        { "lon", KEY_DEGREES },
        { "latitude", KEY_DEGREES },
        { "longitude", KEY_DEGREES },
        { "coordinates", KEY_DEGREES },
        { "address", KEY_STREET },
        { "address1", KEY_STREET },
        { "address2", KEY_STREET },
        { "addr", KEY_STREET },
        { "street", KEY_STREET },
        { "street1", KEY_STREET },
        { "street2", KEY_STREET },
        { "adresse", KEY_STREET },
        { "strasse", KEY_STREET },
        { "direccion", KEY_STREET },
        { "ip", KEY_OTHER },
        { "email", KEY_OTHER },
        { "mac", KEY_OTHER },
        { "url", KEY_OTHER },
        { "wallet", KEY_OTHER },
        { "web", KEY_OTHER },
        { "memory", KEY_OTHER },
        { "contract", KEY_OTHER },
        { "view", KEY_OTHER },
        { "type", KEY_OTHER },
        { "id", KEY_OTHER },
    };

    if (!n || !ascii_is_one_of(p[0], "zplacsdiemuwvt"))
        return KEY_NONE;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (words[i].word[0] == p[0] &&
            words[i].word[1] == (n > 1 ? p[1] : 0) &&
            strlen(words[i].word) == n && memcmp(words[i].word, p, n) == 0)
            return words[i].is;
    return KEY_NONE;
}

static bool holds_digit(struct slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (ascii_is_digit(v.p[i]))
            return true;
    return false;
}

int address_by_key(struct slice text, struct slice key)
{
    struct slice v = slice_trim(text);
    bool is[KEY_OTHER + 1] = { false };

    if (!v.n || v.n > 200 || !holds_digit(v))
        return -1; /* all of them have some */
    for (size_t i = 0; i < key.n;) {
        const char *end = memchr(key.p + i, '_', key.n - i);
        size_t n = (end ? (size_t)(end - key.p) : key.n) - i;

        is[key_word(key.p + i, n)] = true;
        i += n + 1;
    }
    if (is[KEY_CODE] && looks_like_code(v))
        return ADDRESS_POSTCODE;
    if (is[KEY_DEGREES] && looks_like_degrees(v))
        return ADDRESS_COORDINATES;
    if (is[KEY_STREET] && !is[KEY_OTHER] && looks_like_street(v))
        return ADDRESS_STREET;
    return -1;
}

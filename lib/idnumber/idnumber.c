/*
 * idnumber.c - kinds by name; shapes, ranges, and values made valid
 *
 * A value is made valid by its own validator: ranges are put right, then the
 * check digits are turned like a counter until the validator holds. So no
 * check digit is computed in two ways, and none is ever wrong.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

#define TURNS_MAX 8
#define TRIES_MAX 40000

struct kind {
    const char *name, *shape, *ranges;
    idnumber_rule_fn *rule;
    idnumber_mend_fn *mend;
    signed char turn[TURNS_MAX]; /* positions from 1; from the end: below 0 */
};

#define X(id, shape, ranges, rule, mend, ...)                                  \
    { #id, shape, ranges, idnumber_##rule, mend, { __VA_ARGS__ } },
static const struct kind kinds[] = { IDNUMBER_KINDS(X) };
#undef X

static bool idnumber_read(struct slice value, struct idnumber *x)
{
    x->n = 0;
    x->value = value;
    if (value.n > UINT16_MAX)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];

        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (!ascii_is_digit(c) && !ascii_is_upper(c) && c != '&')
            continue;
        if (x->n == IDNUMBER_MAX)
            return false;
        x->at[x->n] = (uint16_t)i;
        x->c[x->n++] = c;
    }
    x->c[x->n] = '\0';
    return x->n > 0;
}

/* d a digit, a a letter, x either, n a letter or &; capitals and digits are
 * themselves; "d{9}" repeats. */
static bool fits_class(char class, char c)
{
    switch (class) {
    case 'd': return ascii_is_digit(c);
    case 'a': return ascii_is_upper(c);
    case 'x': return c != '&';
    case 'n': return ascii_is_upper(c) || c == '&';
    default: return c == class;
    }
}

/* One alternative, up to | or the end; *next is what follows it. With put, a
 * capital or digit of the shape is written over one of its sort. */
static bool fits_one(const char *p, struct idnumber *x, bool put,
                     const char **next)
{
    size_t i = 0;
    bool fits = true;

    while (*p && *p != '|') {
        char class = *p++;
        size_t times = 1;

        if (*p == '{') {
            for (times = 0, p++; *p != '}'; p++)
                times = times * 10 + idnumber_digit(*p);
            p++;
        }
        for (; times > 0; times--, i++) {
            bool fixed = ascii_is_upper(class) || ascii_is_digit(class);

            fixed = fixed && (i > 0 || class != '0' || x->zero);

            if (fits && put && fixed && i < x->n &&
                ascii_is_upper(class) == ascii_is_upper(x->c[i]))
                x->c[i] = class;
            fits = fits && i < x->n && fits_class(class, x->c[i]);
        }
    }
    *next = p;
    return fits && i == x->n;
}

static bool fits_shape(const char *shape, struct idnumber *x)
{
    while (*shape) {
        if (fits_one(shape, x, false, &shape))
            return true;
        shape += *shape == '|';
    }
    return false;
}

/* What a shape says in so many letters and digits. */
static void put_shape(const char *shape, struct idnumber *x)
{
    if (fits_shape(shape, x))
        return;
    while (*shape) {
        struct idnumber put = *x;

        if (fits_one(shape, &put, true, &shape)) {
            *x = put;
            return;
        }
        shape += *shape == '|';
    }
}

/* A token of ranges, "3=01-12,51-62 ": at position 3, characters from 01 to 12
 * or from 51 to 62. A ~ in front: values are put there, but the rule decides.*/
struct range {
    bool soft;
    size_t at;
    const char *first, *end; /* alternatives, separated by commas */
};

static bool next_range(const char **p, struct range *r)
{
    while (**p == ' ')
        ++*p;
    if (!**p)
        return false;
    r->soft = **p == '~';
    *p += r->soft;
    for (r->at = 0; ascii_is_digit(**p); ++*p)
        r->at = r->at * 10 + idnumber_digit(**p);
    r->at--;
    r->first = ++*p;
    *p += strcspn(*p, " ");
    r->end = *p;
    return true;
}

/* Alternative i of a range: from low, n bytes, to high (low if it is one). */
static bool alternative(const struct range *r, size_t i, const char **low,
                        const char **high, size_t *n)
{
    const char *p = r->first;

    for (; i > 0; i--) {
        while (p < r->end && *p != ',')
            p++;
        p += p < r->end;
    }
    if (p >= r->end)
        return false;
    *low = *high = p;
    while (p < r->end && *p != ',' && *p != '-')
        p++;
    *n = (size_t)(p - *low);
    if (p < r->end && *p == '-')
        *high = p + 1;
    return true;
}

/* What lies behind the end of a shorter value is not asked. */
static bool in_range(const struct range *r, const struct idnumber *x)
{
    const char *low, *high;
    size_t n;

    for (size_t i = 0; alternative(r, i, &low, &high, &n); i++)
        if (r->at + n > x->n || (memcmp(x->c + r->at, low, n) >= 0 &&
                                 memcmp(x->c + r->at, high, n) <= 0))
            return true;
    return false;
}

static bool in_ranges(const char *p, const struct idnumber *x)
{
    struct range r;

    while (next_range(&p, &r))
        if (!r.soft && !in_range(&r, x))
            return false;
    return true;
}

static bool holds(const struct kind *k, struct idnumber *x)
{
    return fits_shape(k->shape, x) && in_ranges(k->ranges, x) && k->rule(x);
}

/* How many values an alternative has for what stands there now: letters stay
 * letters and digits digits, and a first digit does not become 0. */
static unsigned choices(const struct range *r, const struct idnumber *x,
                        const char *low, const char *high, size_t n,
                        unsigned *from)
{
    unsigned least = 1, last;

    *from = 0;
    if (ascii_is_upper(*low) != ascii_is_upper(x->c[r->at]))
        return 0;
    if (ascii_is_upper(*low))
        return n == 1 ? (unsigned)(*high - *low) + 1 : 1;
    for (size_t i = 1; i < n; i++)
        least *= 10;
    *from = idnumber_number(low, n);
    last = idnumber_number(high, n);
    if (r->at == 0 && !x->zero && *from < least)
        *from = least;
    return last < *from ? 0 : last - *from + 1;
}

static void put(struct idnumber *x, size_t at, const char *low, size_t n,
                unsigned value, unsigned step)
{
    memcpy(x->c + at, low, n);
    if (ascii_is_upper(*low) && n == 1)
        x->c[at] = (char)(*low + (int)step);
    for (size_t k = n; k > 0 && !ascii_is_upper(*low); k--, value /= 10)
        x->c[at + k - 1] = (char)('0' + value % 10);
}

/* Into a range: which of its values depends on what was there. */
static void put_in_range(const struct range *r, struct idnumber *x)
{
    const char *low, *high;
    size_t n;
    unsigned all = 0, was = 0, from;

    for (size_t i = 0; alternative(r, i, &low, &high, &n); i++) {
        if (r->at + n > x->n)
            return;
        all += choices(r, x, low, high, n, &from);
        was = idnumber_value36(x->c[r->at]);
        for (size_t k = 1; k < n; k++)
            was = was * 36 + idnumber_value36(x->c[r->at + k]);
    }
    if (!all)
        return;
    was %= all;
    for (size_t i = 0; alternative(r, i, &low, &high, &n); i++) {
        unsigned some = choices(r, x, low, high, n, &from);

        if (was < some) {
            put(x, r->at, low, n, from + was, was);
            return;
        }
        was -= some;
    }
}

static void mend(const struct kind *k, struct idnumber *x)
{
    const char *p = k->ranges;
    struct range r;

    put_shape(k->shape, x);
    while (next_range(&p, &r))
        if (!in_range(&r, x))
            put_in_range(&r, x);
    if (k->mend)
        k->mend(x);
}

/* The next letter or digit after c, around; true when it began again. */
static bool turn_one(char *c, char started, bool zero)
{
    char first = ascii_is_upper(*c) ? 'A' : zero ? '0' : '1';
    char last = ascii_is_upper(*c) ? 'Z' : '9';

    *c = *c == last ? first : (char)(*c + 1);
    return *c == started;
}

static void search(const struct kind *k, struct idnumber *x)
{
    struct idnumber began = *x;

    for (size_t try = 0; try < TRIES_MAX; try++) {
        size_t t = 0;

        if (holds(k, x))
            return;
        for (; t < TURNS_MAX && k->turn[t]; t++) {
            size_t i = k->turn[t] > 0 ? (size_t)k->turn[t] - 1
                                      : x->n - (size_t)-k->turn[t];

            if (i < x->n && !turn_one(&x->c[i], began.c[i], i > 0 || x->zero))
                break;
        }
        if (t == TURNS_MAX || !k->turn[t])
            return;
    }
}

static void complete(const struct kind *k, char *value, size_t n)
{
    struct idnumber x;

    if (!idnumber_read((struct slice){ value, n }, &x))
        return;
    x.zero = x.c[0] == '0' || !ascii_is_digit(value[0]);
    mend(k, &x);
    search(k, &x);
    if (!holds(k, &x))
        return;
    for (size_t i = 0; i < x.n; i++) {
        char *c = &value[x.at[i]];

        *c = *c >= 'a' && *c <= 'z' && ascii_is_upper(x.c[i])
                 ? (char)(x.c[i] - 'A' + 'a')
                 : x.c[i];
    }
}

enum {
#define X(id, ...) KIND_##id,
    IDNUMBER_KINDS(X)
#undef X
        KIND_COUNT
};

static bool check(size_t kind, struct slice value)
{
    struct idnumber x = { .zero = false };

    return idnumber_read(value, &x) && holds(&kinds[kind], &x);
}

/* Functions without a context: a pair for each kind. */
#define X(id, ...)                                                             \
    static bool check_##id(struct slice value)                                 \
    {                                                                          \
        return check(KIND_##id, value);                                        \
    }                                                                          \
    static void complete_##id(char *value, size_t n)                           \
    {                                                                          \
        complete(&kinds[KIND_##id], value, n);                                 \
    }
IDNUMBER_KINDS(X)
#undef X

#define X(id, ...) { check_##id, complete_##id },
static const struct {
    idnumber_check_fn *check;
    idnumber_complete_fn *complete;
} functions[KIND_COUNT] = { IDNUMBER_KINDS(X) };
#undef X

static bool is_name(const char *name, const char *asked)
{
    while (*name && (*name == *asked || (*name == '_' && *asked == '-'))) {
        name++;
        asked++;
    }
    return *name == *asked;
}

static size_t find(const char *name)
{
    size_t i = 0;

    while (i < KIND_COUNT && !is_name(kinds[i].name, name))
        i++;
    return i;
}

idnumber_check_fn *idnumber_check(const char *name)
{
    size_t i = find(name);

    return i < KIND_COUNT ? functions[i].check : NULL;
}

idnumber_complete_fn *idnumber_complete(const char *name)
{
    size_t i = find(name);

    return i < KIND_COUNT ? functions[i].complete : NULL;
}

size_t idnumber_count(void)
{
    return KIND_COUNT;
}

const char *idnumber_name(size_t kind)
{
    return kinds[kind].name;
}

/*
 * scrub_shape.c - what a pattern says about the digits that it matches
 *
 * How many digits can a match have, and which separators must it hold? A
 * cluster of digits that cannot give the one or lacks the other need not be
 * shown to the pattern. What the reader here does not understand may match
 * anything; it never says no where the pattern might say yes.
 */
#include "scrub/scrub_priv.h"

#include <string.h>

#define MANY 63 /* this many digits or more */
#define ANY UINT64_MAX
#define DEPTH_MAX 32

/* digits: bit n, n digits are possible. must: separators that stand between
 * digits; lead, trail: before the first and after the last. before, after:
 * other characters may stand there; inside: between digits. */
struct piece {
    uint64_t whole, closed; /* lengths of digits in front: with nothing behind
                               them in the piece; with something that is none */
    uint64_t digits;
    unsigned must, lead, trail;
    bool before, after, inside;
    uint64_t begins, ends; /* see struct scrub_shape */
    uint64_t letters;
    unsigned needs;
    bool digit;
};

struct reading {
    struct slice p;
    size_t at;
    unsigned depth;
    bool lost;        /* something is not understood */
    bool caseless;    /* within */
    bool front, back; /* a match begins, ends where digits do */
};

unsigned scrub_separator_bit(char c)
{
    switch (c) { /* those of SCRUB_SEPARATORS */
    case ' ': return 1 | SCRUB_SOME_SEPARATOR;
    case '-': return 2 | SCRUB_SOME_SEPARATOR;
    case '.': return 4 | SCRUB_SOME_SEPARATOR;
    case '/': return 8 | SCRUB_SOME_SEPARATOR;
    case '(': return 16 | SCRUB_SOME_SEPARATOR;
    case ')': return 32 | SCRUB_SOME_SEPARATOR;
    case '+': return 64 | SCRUB_SOME_SEPARATOR;
    default: return 0;
    }
}

static uint64_t add_counts(uint64_t a, uint64_t b)
{
    uint64_t sum = a & 1 ? b : 0;

    for (a &= ~UINT64_C(1); a; a &= a - 1) {
        unsigned i = (unsigned)__builtin_ctzll(a);

        sum |= b << i;
        if (b >> (MANY - i + 1))
            sum |= UINT64_C(1) << MANY;
    }
    return sum;
}

static struct piece join(struct piece a, struct piece b)
{
    struct piece r;
    bool a_may = a.digits & ~UINT64_C(1), b_may = b.digits & ~UINT64_C(1);

    r.digits = add_counts(a.digits, b.digits);
    r.whole = add_counts(a.whole, b.whole);
    r.closed = a.closed | add_counts(a.whole, b.closed);
    r.must = a.must | b.must;
    if (!(a.digits & 1) && !(b.digits & 1))
        r.must |= a.trail | b.lead;
    r.lead = a_may ? a.lead : a.lead | b.lead;
    r.trail = b_may ? b.trail : a.trail | b.trail;
    r.inside =
        a.inside || b.inside || (a_may && b_may && (a.after || b.before));
    r.before = a.before || (a.digits & 1 && b.before);
    r.after = b.after || (b.digits & 1 && a.after);
    r.begins = a.begins | (a.whole & 1 ? b.begins : 0);
    r.ends = b.ends | (b.whole & 1 ? a.ends : 0);
    r.letters = a.letters ? a.letters : b.letters;
    r.needs = a.needs | b.needs;
    r.digit = a.digit || b.digit;
    return r;
}

static struct piece either(struct piece a, struct piece b)
{
    return (struct piece){ .whole = a.whole | b.whole,
                           .closed = a.closed | b.closed,
                           .digits = a.digits | b.digits,
                           .must = a.must & b.must,
                           .lead = a.lead & b.lead,
                           .trail = a.trail & b.trail,
                           .before = a.before || b.before,
                           .after = a.after || b.after,
                           .inside = a.inside || b.inside,
                           .begins = a.begins | b.begins,
                           .ends = a.ends | b.ends,
                           .letters = a.letters && b.letters
                                          ? a.letters | b.letters
                                          : 0,
                           .needs = a.needs & b.needs,
                           .digit = a.digit && b.digit };
}

static const struct piece nothing = { .whole = 1, .digits = 1 };
static const struct piece other = { .closed = 1,
                                    .digits = 1,
                                    .before = true,
                                    .after = true,
                                    .begins = ANY,
                                    .ends = ANY };
static const struct piece any_char = { .whole = 2,
                                       .closed = 1,
                                       .digits = 3,
                                       .before = true,
                                       .after = true,
                                       .begins = ANY,
                                       .ends = ANY };

/* One of some bytes that are alike, c among them. */
static struct piece of_kind(char c, uint64_t bytes)
{
    unsigned bit = scrub_separator_bit(c);
    struct piece r = other;

    if (scrub_is_digit(c))
        r = (struct piece){ .whole = 2, .digits = 2, .digit = true };
    else if (bit)
        r = (struct piece){
            .closed = 1, .digits = 1, .lead = bit, .trail = bit, .needs = bit
        };
    else if (scrub_is_alnum(c))
        r.letters = bytes;
    r.begins = r.ends = bytes;
    return r;
}

static struct piece of_char(char c)
{
    return of_kind(c, scrub_char_bit(c));
}

static struct piece of_range(char low, char high)
{
    uint64_t bytes = 0;

    for (int c = low; c <= high; c++)
        bytes |= scrub_char_bit((char)c);
    return of_kind(low, bytes);
}

static bool next_is(const struct reading *r, const char *s)
{
    size_t n = strlen(s);

    return r->at + n <= r->p.n && memcmp(r->p.p + r->at, s, n) == 0;
}

/* After a backslash. */
static struct piece read_escape(struct reading *r)
{
    char c = r->at < r->p.n ? r->p.p[r->at++] : '\0';

    switch (c) {
    case 'd': return of_range('0', '9');
    case 'w':
    case 'S': return any_char;
    case 's':
    case 'D':
    case 'W': return other;
    case 'b':
    case 'A':
    case 'z':
    case 'Z': return nothing;
    case 'x':
        if (r->at < r->p.n && r->p.p[r->at] == '{') {
            r->lost = true;
            return nothing;
        }
        r->at += r->p.n - r->at < 2 ? r->p.n - r->at : 2;
        return any_char;
    default:
        if (scrub_is_alnum(c) || !c)
            r->lost = true; /* a back reference, a property ... */
        return of_char(c);
    }
}

/* One member of a class; an escape stands for what read_escape says. */
static struct piece read_member(struct reading *r, char *c)
{
    *c = r->p.p[r->at++];
    if (*c == '[' && r->at < r->p.n && r->p.p[r->at] == ':')
        r->lost = true;
    if (*c != '\\')
        return of_char(*c);
    *c = r->at < r->p.n ? r->p.p[r->at] : '\0';
    if (*c == 'n' || *c == 't' || *c == 'r') {
        r->at++;
        return of_char('\n');
    }
    return read_escape(r);
}

static struct piece read_class(struct reading *r)
{
    bool negated = next_is(r, "^"), first = true;
    struct piece all = { 0 };

    r->at += negated;
    while (r->at < r->p.n && (first || r->p.p[r->at] != ']')) {
        char low, high;
        struct piece one = read_member(r, &low);

        if (r->at + 1 < r->p.n && r->p.p[r->at] == '-' &&
            r->p.p[r->at + 1] != ']') {
            r->at++;
            (void)read_member(r, &high);
            if ((scrub_is_digit(low) && scrub_is_digit(high)) ||
                (low >= 'A' && high <= 'z'))
                one = of_range(low, high);
            else
                one = any_char;
        }
        all = first ? one : either(all, one);
        first = false;
    }
    r->at++;
    if (all.digits != 1)
        all.lead = all.trail = 0;
    return negated || !all.digits ? any_char : all;
}

static bool skip_group(struct reading *r)
{
    unsigned depth = 1;

    for (; r->at < r->p.n && depth; r->at++) {
        char c = r->p.p[r->at];

        if (c == '\\') {
            r->at++;
        } else if (c == '[') {
            (void)(r->at++, read_class(r));
            r->at--;
        } else {
            depth += (c == '(') - (c == ')');
        }
    }
    return depth == 0;
}

static bool is_digits_class(struct slice x)
{
    if (slice_is(x, "\\d") || slice_is(x, "\\w"))
        return true;
    return x.n > 3 && x.p[0] == '[' && x.p[1] != '^' &&
           memchr(x.p, ']', x.n) == x.p + x.n - 1 &&
           (memmem(x.p, x.n, "\\d", 2) || memmem(x.p, x.n, "\\w", 2) ||
            memmem(x.p, x.n, "0-9", 3));
}

/* Does a negative look, its text without parentheses, keep digits out? One of
 * its alternatives must be a digit and nothing more. */
static bool bars_digits(struct slice x)
{
    while (x.n) {
        const char *bar = memchr(x.p, '|', x.n);
        size_t n = bar ? (size_t)(bar - x.p) : x.n;

        if (is_digits_class((struct slice){ x.p, n }))
            return true;
        x.p += n + (bar != NULL);
        x.n -= n + (bar != NULL);
    }
    return false;
}

/* The whole of a look, "?!...)": does it keep digits out behind a match? Of a
 * positive one the negative one within is asked, if what else it may see is a
 * letter. */
static bool bars_digits_behind(struct slice x)
{
    const char *inner;

    if (slice_starts(x, "?!"))
        return bars_digits((struct slice){ x.p + 2, x.n - 3 });
    inner = memmem(x.p, x.n, "(?!", 3);
    if (!inner || x.n < 6 || !scrub_is_alnum(x.p[2]) || scrub_is_digit(x.p[2]))
        return false;
    x.n -= (size_t)(inner - x.p) + 3 + 2;
    return bars_digits((struct slice){ inner + 3, x.n });
}

static struct piece read_choice(struct reading *r);

/* Does what the look ahead wants have a digit? */
static bool wants_digit(const struct reading *r)
{
    struct reading inner = *r;
    struct piece seen;

    if (!next_is(r, "?="))
        return false;
    inner.at += 2;
    seen = read_choice(&inner);
    return !inner.lost && seen.digit;
}

/* After "(". */
static struct piece read_group(struct reading *r, bool begins)
{
    size_t from = r->at;
    struct piece inner;

    if (next_is(r, "?=") || next_is(r, "?!") || next_is(r, "?<=") ||
        next_is(r, "?<!")) {
        bool behind = r->p.p[r->at + 1] == '<';
        struct piece none = nothing;
        struct slice look;

        none.digit = wants_digit(r);
        if (!skip_group(r))
            r->lost = true;
        look = (struct slice){ r->p.p + from, r->at - from };
        if (r->depth > 1)
            return none;
        if (behind && begins && look.n > 4)
            r->front |= look.p[2] == '!' &&
                        bars_digits((struct slice){ look.p + 3, look.n - 4 });
        else if (!behind && !begins && look.n > 3)
            r->back |= bars_digits_behind(look);
        return none;
    }
    r->caseless |= next_is(r, "?i");
    if (next_is(r, "?i)")) {
        r->at += 3;
        return nothing;
    }
    if (next_is(r, "?:") || next_is(r, "?>"))
        r->at += 2;
    else if (next_is(r, "?i:"))
        r->at += 3;
    else if (next_is(r, "?"))
        r->lost = true;
    inner = read_choice(r);
    if (!next_is(r, ")"))
        r->lost = true;
    r->at++;
    return inner;
}

static size_t read_number(struct reading *r)
{
    size_t n = 0;

    while (r->at < r->p.n && scrub_is_digit(r->p.p[r->at]) && n < 100000)
        n = n * 10 + (size_t)(r->p.p[r->at++] - '0');
    return n;
}

static void read_bounds(struct reading *r, size_t *min, size_t *max)
{
    char c = r->at < r->p.n ? r->p.p[r->at] : '\0';

    *min = *max = 1;
    if (c == '{' && r->at + 1 < r->p.n && scrub_is_digit(r->p.p[r->at + 1])) {
        r->at++;
        *min = *max = read_number(r);
        if (next_is(r, ",")) {
            r->at++;
            *max = next_is(r, "}") ? SIZE_MAX : read_number(r);
        }
        r->at++;
    } else if (c == '?' || c == '*' || c == '+') {
        r->at++;
        *min = c == '+';
        *max = c == '?' ? 1 : SIZE_MAX;
    } else {
        return;
    }
    if (r->at < r->p.n && (r->p.p[r->at] == '?' || r->p.p[r->at] == '+'))
        r->at++; /* lazy or possessive */
}

static struct piece repeat(struct piece x, size_t min, size_t max)
{
    struct piece r = nothing, option = x;

    if (max > MANY)
        max = min > MANY ? min : MANY;
    option.digits |= 1;
    option.whole |= 1;
    option.must = option.lead = option.trail = option.needs = 0;
    option.letters = 0;
    option.digit = false;
    for (size_t i = 0; i < max && i <= MANY; i++)
        r = join(r, i < min ? x : option);
    return r;
}

/* "^", "$", "\b": a digit does not follow another across them. */
static void read_edge(struct reading *r, bool begins)
{
    if (r->depth == 1) {
        r->front |= begins;
        r->back |= !begins;
    }
}

static struct piece read_atom(struct reading *r, bool begins)
{
    char c = r->p.p[r->at++];

    switch (c) {
    case '(': return read_group(r, begins);
    case '[': return read_class(r);
    case '.': return any_char;
    case '^':
    case '$': read_edge(r, begins); return nothing;
    case '\\':
        if (next_is(r, "b") || next_is(r, "A") || next_is(r, "z"))
            read_edge(r, begins);
        return read_escape(r);
    default: return of_char(c);
    }
}

static struct piece read_sequence(struct reading *r)
{
    struct piece all = nothing;

    while (r->at < r->p.n && r->p.p[r->at] != '|' && r->p.p[r->at] != ')' &&
           !r->lost) {
        struct piece one = read_atom(r, all.digits == 1);
        size_t min, max;

        read_bounds(r, &min, &max);
        all = join(all, repeat(one, min, max));
    }
    return all;
}

static struct piece read_choice(struct reading *r)
{
    struct piece all;

    if (++r->depth > DEPTH_MAX)
        r->lost = true;
    all = read_sequence(r);
    while (next_is(r, "|") && !r->lost) {
        r->at++;
        if (r->depth == 1) /* each would need guards of its own */
            r->lost = true;
        all = either(all, read_sequence(r));
    }
    r->depth--;
    return all;
}

/* Is it letters and digits, or a class that has them all? */
static bool is_word_class(struct slice x)
{
    return slice_is(x, "\\w") || (x.n > 3 && x.p[0] == '[' && x.p[1] != '^' &&
                                  memchr(x.p, ']', x.n) == x.p + x.n - 1 &&
                                  memmem(x.p, x.n, "\\w", 2));
}

/* What the look behind that a pattern begins with keeps out. */
static unsigned guard_of(struct slice p)
{
    const char *close;
    struct slice x;

    if (slice_starts(p, "(?i)"))
        p = (struct slice){ p.p + 4, p.n - 4 };
    close = p.n ? memchr(p.p, ')', p.n) : NULL;
    if (!slice_starts(p, "(?<!") || !close)
        return 0;
    x = (struct slice){ p.p + 4, (size_t)(close - p.p) - 4 };
    if (!is_word_class(x))
        return 0;
    return memchr(x.p, '.', x.n) && memchr(x.p, '+', x.n) && x.p[x.n - 2] == '-'
               ? 2
               : 1;
}

/* Does it end with a look ahead that keeps letters and digits out? */
static bool is_barred(struct slice p)
{
    size_t from = p.n;

    if (!p.n || p.p[p.n - 1] != ')')
        return false;
    for (from = p.n - 1; from && p.p[from - 1] != '(' && p.p[from - 1] != ')';)
        from--;
    p = (struct slice){ p.p + from, p.n - 1 - from };
    if (!slice_starts(p, "?!"))
        return false;
    for (p.p += 2, p.n -= 2; p.n;) {
        const char *bar = memchr(p.p, '|', p.n);
        size_t n = bar ? (size_t)(bar - p.p) : p.n;

        if (is_word_class((struct slice){ p.p, n }))
            return true;
        p.p += n + (bar != NULL);
        p.n -= n + (bar != NULL);
    }
    return false;
}

static void read_edges(const struct reading *r, const struct piece *all,
                       struct scrub_shape *out)
{
    out->letters = r->caseless ? scrub_char_fold(all->letters) : all->letters;
    out->needs = all->needs;
    out->digit = all->digit;
    if (all->whole & 1)
        return;
    out->begins = r->caseless ? scrub_char_fold(all->begins) : all->begins;
    out->ends = r->caseless ? scrub_char_fold(all->ends) : all->ends;
    out->guard = guard_of(r->p);
    out->barred = is_barred(r->p);
}

void scrub_shape_read(struct slice pattern, size_t digits,
                      struct scrub_shape *out)
{
    struct reading r = { .p = pattern };
    struct piece all = read_choice(&r);
    unsigned least = digits < MANY ? (unsigned)digits : MANY;

    *out = (struct scrub_shape){
        .digits = ANY << least, .first = ANY, .begins = ANY, .ends = ANY
    };
    if (r.lost || r.at < pattern.n)
        return;
    read_edges(&r, &all, out);
    if (r.front && !((all.whole | all.closed) & 1))
        out->first = all.closed | (r.back ? all.whole : ANY);
    out->must = all.inside ? 0 : all.must;
    if (!all.inside && r.front && r.back && all.digits & ~UINT64_C(1))
        out->digits = all.digits & ~UINT64_C(1);
}

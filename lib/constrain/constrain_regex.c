/*
 * constrain_regex.c - a small regular expression as an automaton
 *
 * Read straight from its text: where something is repeated, the same stretch
 * is read again, so there is no tree. The whole text must match; "^" and "$"
 * at the ends are therefore allowed and mean nothing. Back references,
 * look-around, lazy and possessive repetition are refused.
 */
#include "constrain/constrain_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct constrain_graph *g;
    const char *p;
    size_t depth;
};

static uint32_t read_choice(struct reader *r, uint32_t from, size_t begin,
                            size_t end);

static uint32_t fail(struct reader *r, size_t at, const char *what)
{
    if (r->g->rc == 0)
        r->g->rc = err_set(r->g->err, ERR_UNSUPPORTED,
                           "regular expression, byte %zu: %s", at, what);
    return 0;
}

static void class_add(struct constrain_class *c, uint32_t low, uint32_t high)
{
    void *ranges = c->ranges;

    mem_grow(&ranges, &c->cap, c->count + 1, sizeof(*c->ranges));
    c->ranges = ranges;
    c->ranges[c->count++] = (struct constrain_range){ low, high };
}

static int by_low(const void *a, const void *b)
{
    const struct constrain_range *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

static void class_sort(struct constrain_class *c)
{
    size_t n = 0;

    if (!c->count)
        return;
    qsort(c->ranges, c->count, sizeof(*c->ranges), by_low);
    for (size_t i = 1; i < c->count; i++) {
        if (c->ranges[i].low > c->ranges[n].high + 1)
            c->ranges[++n] = c->ranges[i];
        else if (c->ranges[i].high > c->ranges[n].high)
            c->ranges[n].high = c->ranges[i].high;
    }
    c->count = n + 1;
}

static void class_invert(struct constrain_class *c)
{
    struct constrain_class out = { 0 };
    uint32_t next = 0;

    class_sort(c);
    for (size_t i = 0; i < c->count; i++) {
        if (c->ranges[i].low > next)
            class_add(&out, next, c->ranges[i].low - 1);
        next = c->ranges[i].high + 1;
    }
    if (next <= 0x10FFFF)
        class_add(&out, next, 0x10FFFF);
    free(c->ranges);
    *c = out;
}

/* Readers of JSON schemas differ in what these are beyond ASCII, and in some
 * controls: of a complement nothing else is written. */
static void class_keep(struct constrain_class *c, uint32_t low, uint32_t high)
{
    size_t n = 0;

    class_sort(c);
    for (size_t i = 0; i < c->count; i++) {
        struct constrain_range r = c->ranges[i];

        r.low = r.low > low ? r.low : low;
        r.high = r.high < high ? r.high : high;
        if (r.low <= r.high)
            c->ranges[n++] = r;
    }
    c->count = n;
}

/* \d and its like; false: it is none of them. */
static bool class_named(struct constrain_class *c, char name, bool points)
{
    struct constrain_class own = { 0 };

    switch (name | 0x20) {
    case 'd': class_add(&own, '0', '9'); break;
    case 'w':
        class_add(&own, '0', '9');
        class_add(&own, 'A', 'Z');
        class_add(&own, '_', '_');
        class_add(&own, 'a', 'z');
        break;
    case 's':
        class_add(&own, '\t', '\r');
        class_add(&own, ' ', ' ');
        break;
    default: return false;
    }
    if (!(name & 0x20))
        class_invert(&own);
    if (!(name & 0x20) && points)
        class_keep(&own, ' ', '~');
    for (size_t i = 0; i < own.count; i++)
        class_add(c, own.ranges[i].low, own.ranges[i].high);
    free(own.ranges);
    return true;
}

/* The character that "\c" is; 0: not known. */
static uint32_t escaped(char c)
{
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'f': return '\f';
    default:
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
                       (c >= '[' && c <= '`') || (c >= '{' && c <= '~') ||
                       c == ' '
                   ? (uint32_t)c
                   : 0;
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Bytes of the escape at p, of n; \uXXXX and \xXX are JSON schema's. */
static size_t escape_length(const struct reader *r, const char *p, size_t n)
{
    return r->g->points && n > 1 && (p[1] == 'u' || p[1] == 'x')
               ? (p[1] == 'u' ? 6 : 4)
               : 2;
}

/* The character that the escape at p is; 0: not known. */
static uint32_t escape_value(const struct reader *r, const char *p, size_t n)
{
    size_t length = escape_length(r, p, n);
    uint32_t cp = 0;

    if (length == 2 || length > n)
        return n > 1 ? escaped(p[1]) : 0;
    for (size_t i = 2; i < length; i++) {
        int x = hex_value(p[i]);

        if (x < 0)
            return 0;
        cp = cp * 16 + (uint32_t)x;
    }
    return cp >= 0xD800 && cp < 0xE000 ? 0 : cp;
}

static uint32_t put_class(struct reader *r, uint32_t from,
                          struct constrain_class *c, size_t at)
{
    uint32_t to = graph_node(r->g);

    class_sort(c);
    if (!c->count)
        (void)fail(r, at, "a class without characters");
    for (size_t i = 0; i < c->count; i++)
        graph_range(r->g, from, to, c->ranges[i].low, c->ranges[i].high);
    free(c->ranges);
    return to;
}

/* One end of a range in a class; *named: it was \d or the like. */
static uint32_t class_item(struct reader *r, size_t *i, size_t end,
                           struct constrain_class *c, bool *named)
{
    size_t used;
    uint32_t cp;

    *named = false;
    if (r->p[*i] == '\\' && *i + 1 < end) {
        *named = class_named(c, r->p[*i + 1], r->g->points);
        cp = *named ? 0 : escape_value(r, r->p + *i, end - *i);
        if (!*named && !cp)
            (void)fail(r, *i, "this escape is not supported");
        *i += escape_length(r, r->p + *i, end - *i);
        return cp;
    }
    cp = (uint32_t)utf8_decode(r->p + *i, end - *i, &used);
    *i += used;
    return cp;
}

/* [..] between begin (past the bracket) and end (at the closing one). */
static uint32_t read_class(struct reader *r, uint32_t from, size_t begin,
                           size_t end)
{
    struct constrain_class c = { 0 };
    size_t i = begin;
    bool inverted = i < end && r->p[i] == '^', named, any_named = false;

    for (i += inverted; i < end && !graph_failed(r->g);) {
        uint32_t low = class_item(r, &i, end, &c, &named), high = low;

        any_named = any_named || named;
        if (named)
            continue;
        if (i + 1 < end && r->p[i] == '-') {
            i++;
            high = class_item(r, &i, end, &c, &named);
            if (named || high < low)
                (void)fail(r, i, "a range without an order");
        }
        class_add(&c, low, high);
    }
    if (inverted)
        class_invert(&c);
    if (inverted && r->g->points)
        class_keep(&c, ' ', any_named ? '~' : 0x10FFFF);
    return put_class(r, from, &c, begin);
}

/* The byte past a class that begins at i; end + 1 if it is not closed. */
static size_t class_end(const struct reader *r, size_t i, size_t end)
{
    for (i++; i < end && r->p[i] != ']'; i++)
        i += r->p[i] == '\\';
    return i + 1;
}

/* The byte past the atom at i; larger than end if it is not closed. */
static size_t atom_end(const struct reader *r, size_t i, size_t end)
{
    size_t depth = 0, used;

    if (r->p[i] == '\\')
        return i + escape_length(r, r->p + i, end - i);
    if (r->p[i] == '[')
        return class_end(r, i, end);
    if (r->p[i] != '(') {
        (void)utf8_decode(r->p + i, end - i, &used);
        return i + used;
    }
    while (i < end) {
        if (r->p[i] == '[') {
            i = class_end(r, i, end);
            continue;
        }
        if (r->p[i] == '\\')
            i++;
        else if (r->p[i] == '(')
            depth++;
        else if (r->p[i] == ')' && --depth == 0)
            return i + 1;
        i++;
    }
    return end + 1;
}

static uint32_t read_escape(struct reader *r, uint32_t from, size_t at,
                            size_t end)
{
    struct constrain_class c = { 0 };
    uint32_t cp;

    if (class_named(&c, r->p[at + 1], r->g->points))
        return put_class(r, from, &c, at);
    cp = escape_value(r, r->p + at, end - at);
    return cp ? graph_bytes(r->g, from, cp, cp)
              : fail(r, at, "this escape is not supported");
}

static uint32_t read_atom(struct reader *r, uint32_t from, size_t begin,
                          size_t end)
{
    struct constrain_class c = { 0 };
    char x = r->p[begin];

    if (graph_failed(r->g))
        return 0;
    if (x == '(') {
        bool plain = begin + 1 < end && r->p[begin + 1] == '?';

        if (plain && (begin + 2 >= end || r->p[begin + 2] != ':'))
            return fail(r, begin, "only groups as ( and (?: are supported");
        if (r->depth == CONSTRAIN_MAX_DEPTH)
            return fail(r, begin, "groups are nested too deeply");
        r->depth++;
        from = read_choice(r, from, begin + (plain ? 3 : 1), end - 1);
        r->depth--;
        return from;
    }
    if (x == '[')
        return read_class(r, from, begin + 1, end - 1);
    if (x == '\\')
        return read_escape(r, from, begin, end);
    if (x == '.') {
        class_add(&c, '\n', '\n');
        if (r->g->points) /* what some readers take for a line's end */
            class_add(&c, 0x2028, 0x2029);
        class_invert(&c);
        if (r->g->points)
            class_keep(&c, ' ', 0x10FFFF);
        return put_class(r, from, &c, begin);
    }
    if (strchr("*+?{})^$", x))
        return fail(r, begin, "this character needs a backslash here");
    if (r->g->points) {
        size_t used;
        uint32_t cp = (uint32_t)utf8_decode(r->p + begin, end - begin, &used);

        return graph_bytes(r->g, from, cp, cp);
    }
    return graph_text(r->g, from, (struct slice){ r->p + begin, end - begin });
}

static bool read_number(const struct reader *r, size_t *i, size_t end,
                        unsigned *out)
{
    size_t begin = *i;

    for (*out = 0; *i < end && r->p[*i] >= '0' && r->p[*i] <= '9'; ++*i)
        if (*out <= CONSTRAIN_MAX_REPEAT)
            *out = *out * 10 + (unsigned)(r->p[*i] - '0');
    return *i > begin;
}

/* How often the atom before i comes; *max UINT32_MAX: without end. Returns
 * the byte past what says so. */
static size_t read_repeat(struct reader *r, size_t i, size_t end, unsigned *min,
                          unsigned *max)
{
    size_t at = i;
    char x = i < end ? r->p[i] : 0;

    *min = *max = 1;
    if (x == '*' || x == '?')
        *min = 0;
    if (x == '*' || x == '+')
        *max = UINT32_MAX;
    if (x == '*' || x == '+' || x == '?')
        i++;
    if (x == '{') {
        bool fine = (i++, read_number(r, &i, end, min));

        *max = *min;
        if (fine && i < end && r->p[i] == ',') {
            i++;
            if (!read_number(r, &i, end, max))
                *max = UINT32_MAX;
        }
        if (!fine || i >= end || r->p[i] != '}' || *max < *min)
            (void)fail(r, at, "a repetition is {m}, {m,} or {m,n}");
        if (*min > CONSTRAIN_MAX_REPEAT ||
            (*max > CONSTRAIN_MAX_REPEAT && *max != UINT32_MAX))
            (void)fail(r, at, "it is repeated too often");
        i++;
    }
    /* Which of two ways is tried first does not change what matches. */
    if (r->g->points && i > at && i < end && r->p[i] == '?')
        i++;
    if (i > at && i < end && strchr("*+?{", r->p[i]))
        (void)fail(r, i, "lazy and possessive repetition are not supported");
    return i;
}

static uint32_t read_sequence(struct reader *r, uint32_t from, size_t begin,
                              size_t end)
{
    for (size_t i = begin, next; i < end && !graph_failed(r->g); i = next) {
        size_t stop = atom_end(r, i, end);
        unsigned min, max;
        uint32_t to;

        if (stop > end)
            return fail(r, i, "it is not closed");
        next = read_repeat(r, stop, end, &min, &max);
        for (unsigned k = 0; k < min; k++)
            from = read_atom(r, from, i, stop);
        to = graph_node(r->g);
        graph_empty(r->g, from, to);
        if (max == UINT32_MAX)
            graph_empty(r->g, read_atom(r, to, i, stop), to);
        for (unsigned k = min; max != UINT32_MAX && k < max; k++) {
            from = read_atom(r, from, i, stop);
            graph_empty(r->g, from, to);
        }
        from = to;
    }
    return from;
}

static uint32_t read_choice(struct reader *r, uint32_t from, size_t begin,
                            size_t end)
{
    uint32_t to = graph_node(r->g);
    size_t i = begin, start = begin;

    while (!graph_failed(r->g)) {
        if (i < end && r->p[i] != '|') {
            i = atom_end(r, i, end);
            continue;
        }
        if (i > end) {
            (void)fail(r, start, "something is not closed");
            break;
        }
        graph_empty(r->g, read_sequence(r, from, start, i), to);
        if (i == end)
            break;
        start = ++i;
    }
    return to;
}

uint32_t graph_regex(struct constrain_graph *g, uint32_t from,
                     struct slice regex)
{
    struct reader r = { g, regex.p, 0 };
    size_t begin = 0, end = regex.n;

    if (!utf8_valid(regex.p, regex.n))
        return fail(&r, 0, "it is no UTF-8");
    if (end && regex.p[0] == '^')
        begin = 1;
    if (end > begin && regex.p[end - 1] == '$' &&
        (end < 2 || regex.p[end - 2] != '\\'))
        end--;
    return read_choice(&r, from, begin, end);
}

/* Any characters, none too. */
static uint32_t put_any(struct constrain_graph *g, uint32_t from)
{
    uint32_t to = graph_node(g);

    graph_empty(g, from, to);
    graph_edge(g, to, to, ' ', 0x10FFFF);
    return to;
}

/* The choice from begin to end, with its own anchors. */
static uint32_t search_choice(struct reader *r, uint32_t from, size_t begin,
                              size_t end)
{
    size_t slashes = 0;
    bool head = begin < end && r->p[begin] == '^';
    bool tail;

    while (slashes + 1 < end - begin && r->p[end - 2 - slashes] == '\\')
        slashes++;
    tail = end > begin + head && r->p[end - 1] == '$' && slashes % 2 == 0;
    if (!head)
        from = put_any(r->g, from);
    from = read_sequence(r, from, begin + head, end - tail);
    return tail ? from : put_any(r->g, from);
}

uint32_t graph_search(struct constrain_graph *g, uint32_t from,
                      struct slice regex)
{
    struct reader r = { g, regex.p, 0 };
    uint32_t to = graph_node(g);
    size_t i = 0, start = 0;

    if (!utf8_valid(regex.p, regex.n))
        return fail(&r, 0, "it is no UTF-8");
    while (!graph_failed(g)) {
        if (i < regex.n && regex.p[i] != '|') {
            i = atom_end(&r, i, regex.n);
            continue;
        }
        if (i > regex.n)
            return fail(&r, start, "something is not closed");
        graph_empty(g, search_choice(&r, from, start, i), to);
        if (i == regex.n)
            break;
        start = ++i;
    }
    return to;
}

/*
 * jinja_methods.c - the methods of Python's str
 *
 * Those that templates use; jinja_methods_more.c has the others.
 */
#include "jinja/jinja_private.h"

#include <string.h>

#define METHOD(name)                                                           \
    static struct value name(struct run *r, struct value self, struct value *a)

/* What a method makes of its text; `safe` stays. */
static struct value made(struct run *r, struct value self, struct buf *b)
{
    struct value v = jinja_take(r, b);

    if (v.kind == V_STRING)
        v.safe = self.safe;
    return v;
}

static struct value part(struct run *r, struct value self, const char *p,
                         size_t n)
{
    struct value v = jinja_slice(r, (struct slice){ p, n });

    v.safe = self.safe;
    return v;
}

static bool is_text(struct run *r, struct value v, const char *what)
{
    if (v.kind != V_STRING)
        jinja_fail(r, "%s must be str, not %s", what, jinja_type(v));
    return !r->failed;
}

static struct value cased(struct run *r, struct value self, enum letter_case to)
{
    struct buf b;

    buf_init(&b, JINJA_MAX_STRING);
    jinja_case_text(jinja_bytes(self), to, &b);
    return made(r, self, &b);
}

METHOD(m_upper)
{
    (void)a;
    return cased(r, self, CASE_UPPER);
}

METHOD(m_lower)
{
    (void)a;
    return cased(r, self, CASE_LOWER);
}

METHOD(m_title)
{
    (void)a;
    return cased(r, self, CASE_TITLE);
}

METHOD(m_capitalize)
{
    struct buf b;

    (void)a;
    buf_init(&b, JINJA_MAX_STRING);
    jinja_capitalize(jinja_bytes(self), &b);
    return made(r, self, &b);
}

METHOD(m_swapcase)
{
    (void)a;
    return cased(r, self, CASE_SWAP);
}

METHOD(m_casefold)
{
    (void)a;
    return cased(r, self, CASE_FOLD);
}

/* Whether the first character of s is one of set. */
static bool first_in(struct slice s, size_t n, struct slice set)
{
    while (set.n) {
        struct slice c = set;

        (void)jinja_next_char(&set);
        if (c.n - set.n == n && memcmp(c.p, s.p, n) == 0)
            return true;
    }
    return false;
}

static size_t first_size(struct slice s)
{
    struct slice rest = s;

    (void)jinja_next_char(&rest);
    return s.n - rest.n;
}

static struct value strip(struct run *r, struct value self, struct value set,
                          bool left, bool right)
{
    struct slice s = jinja_bytes(self);

    if (jinja_is_missing(set)) {
        s = jinja_strip(s, left, right);
        return part(r, self, s.p, s.n);
    }
    if (set.kind != V_STRING)
        return jinja_fail(r, "strip arg must be None or str");
    while (left && s.n && first_in(s, first_size(s), jinja_bytes(set))) {
        size_t n = first_size(s);

        s.p += n;
        s.n -= n;
    }
    while (right && s.n) {
        size_t n = 1;

        while (n < s.n && ((unsigned char)s.p[s.n - n] & 0xc0) == 0x80)
            n++;
        if (!first_in((struct slice){ s.p + s.n - n, n }, n, jinja_bytes(set)))
            break;
        s.n -= n;
    }
    return part(r, self, s.p, s.n);
}

METHOD(m_strip)
{
    return strip(r, self, a[0], true, true);
}

METHOD(m_lstrip)
{
    return strip(r, self, a[0], true, false);
}

METHOD(m_rstrip)
{
    return strip(r, self, a[0], false, true);
}

/* The last place of what in s, NULL if there is none. */
static const char *find_last(struct slice s, struct slice what)
{
    if (what.n > s.n)
        return NULL;
    for (const char *p = s.p + s.n - what.n; p >= s.p; p--)
        if (memcmp(p, what.p, what.n) == 0)
            return p;
    return NULL;
}

static const char *find_first(struct slice s, struct slice what)
{
    return what.n ? (s.n ? memmem(s.p, s.n, what.p, what.n) : NULL) : s.p;
}

static void split_space(struct run *r, struct value self, int64_t max,
                        struct list *out)
{
    struct slice s = jinja_strip(jinja_bytes(self), true, false);

    while (s.n && jinja_step(r, 1)) {
        struct slice rest = s, before = s;

        if (max >= 0 && (int64_t)out->n >= max) {
            s = jinja_strip(s, false, true);
            jinja_list_add(r, out, part(r, self, s.p, s.n));
            return;
        }
        while (rest.n) {
            before = rest;
            if (jinja_is_space(jinja_next_char(&rest)))
                break;
            before = rest;
        }
        jinja_list_add(r, out, part(r, self, s.p, (size_t)(before.p - s.p)));
        s = jinja_strip(before, true, false);
    }
}

static void rsplit_space(struct run *r, struct value self, int64_t max,
                         struct list *out)
{
    struct slice s = jinja_strip(jinja_bytes(self), true, true);
    struct list back = { 0 };

    while (s.n && jinja_step(r, 1)) {
        size_t at = s.n;

        if (max >= 0 && (int64_t)back.n >= max) {
            jinja_list_add(r, &back, part(r, self, s.p, s.n));
            break;
        }
        while (at) {
            struct slice head = { s.p, at };

            if (jinja_strip(head, false, true).n < at)
                break;
            at--;
        }
        jinja_list_add(r, &back, part(r, self, s.p + at, s.n - at));
        s = jinja_strip((struct slice){ s.p, at }, false, true);
    }
    while (back.n)
        jinja_list_add(r, out, back.v[--back.n]);
}

static void split_at(struct run *r, struct value self, struct slice sep,
                     int64_t max, struct list *out)
{
    struct slice s = jinja_bytes(self);
    const char *p;

    while ((max < 0 || (int64_t)out->n < max) && (p = find_first(s, sep)) &&
           jinja_step(r, 1)) {
        size_t n = (size_t)(p - s.p);

        jinja_list_add(r, out, part(r, self, s.p, n));
        s.p += n + sep.n;
        s.n -= n + sep.n;
    }
    jinja_list_add(r, out, part(r, self, s.p, s.n));
}

static void rsplit_at(struct run *r, struct value self, struct slice sep,
                      int64_t max, struct list *out)
{
    struct slice s = jinja_bytes(self);
    struct list back = { 0 };
    const char *p;

    while ((max < 0 || (int64_t)back.n < max) && (p = find_last(s, sep)) &&
           jinja_step(r, s.n / 64 + 1)) {
        size_t n = (size_t)(p - s.p);

        jinja_list_add(r, &back, part(r, self, p + sep.n, s.n - n - sep.n));
        s.n = n;
    }
    jinja_list_add(r, &back, part(r, self, s.p, s.n));
    while (back.n)
        jinja_list_add(r, out, back.v[--back.n]);
}

static struct value split(struct run *r, struct value self, struct value *a,
                          bool right)
{
    struct value out = jinja_list(r, V_LIST, 0);
    int64_t max = -1;

    if (!jinja_is_absent(a[1]) && !jinja_index(r, a[1], &max))
        return out;
    if (jinja_is_missing(a[0])) {
        (right ? rsplit_space : split_space)(r, self, max, out.l);
        return out;
    }
    if (!is_text(r, a[0], "a separator"))
        return out;
    if (!a[0].s->n)
        return jinja_fail(r, "empty separator");
    (right ? rsplit_at : split_at)(r, self, jinja_bytes(a[0]), max, out.l);
    return out;
}

METHOD(m_split)
{
    return split(r, self, a, false);
}

METHOD(m_rsplit)
{
    return split(r, self, a, true);
}

METHOD(m_splitlines)
{
    struct value out = jinja_list(r, V_LIST, 0);
    struct slice s = jinja_bytes(self), line;

    while (jinja_next_line(&s, jinja_true(a[0]), &line) && jinja_step(r, 1))
        jinja_list_add(r, out.l, part(r, self, line.p, line.n));
    return out;
}

/* The characters from..to of self, as s[from:to] has them. */
static bool window(struct run *r, struct value self, const struct value *a,
                   struct value *out, size_t *from)
{
    int64_t n = (int64_t)jinja_chars(self), b = 0, e = n;

    if ((!jinja_is_missing(a[0]) && !jinja_index(r, a[0], &b)) ||
        (!jinja_is_missing(a[1]) && !jinja_index(r, a[1], &e)))
        return false;
    b += b < 0 ? n : 0;
    e += e < 0 ? n : 0;
    b = b < 0 ? 0 : b;
    e = e > n ? n : e;
    if (b > e)
        return false;
    *from = (size_t)b;
    *out = jinja_substring(r, self, (size_t)b, (size_t)e);
    return true;
}

static bool has_affix(struct slice s, struct slice what, bool at_end)
{
    return what.n <= s.n &&
           memcmp(at_end ? s.p + s.n - what.n : s.p, what.p, what.n) == 0;
}

static struct value affix(struct run *r, struct value self, struct value *a,
                          bool at_end)
{
    struct value in;
    size_t from;

    if (a[0].kind != V_STRING && a[0].kind != V_TUPLE)
        return jinja_fail(r,
                          "the first argument must be str or a tuple of "
                          "str, not %s",
                          jinja_type(a[0]));
    if (!window(r, self, a + 1, &in, &from))
        return jinja_bool(false);
    if (a[0].kind == V_STRING)
        return jinja_bool(
            has_affix(jinja_bytes(in), jinja_bytes(a[0]), at_end));
    for (size_t i = 0; i < a[0].l->n; i++)
        if (is_text(r, a[0].l->v[i], "an element") &&
            has_affix(jinja_bytes(in), jinja_bytes(a[0].l->v[i]), at_end))
            return jinja_bool(true);
    return jinja_bool(false);
}

METHOD(m_startswith)
{
    return affix(r, self, a, false);
}

METHOD(m_endswith)
{
    return affix(r, self, a, true);
}

/* The character at which it is found, -1 if it is not. */
static int64_t place(struct run *r, struct value self, struct value *a,
                     bool last)
{
    const char *p;
    struct value in;
    struct slice s;
    size_t from;

    if (!is_text(r, a[0], "what to find") ||
        !window(r, self, a + 1, &in, &from))
        return -1;
    s = jinja_bytes(in);
    p = (last ? find_last : find_first)(s, jinja_bytes(a[0]));
    if (!p)
        return -1;
    return (int64_t)(from + jinja_count_chars(
                                (struct slice){ s.p, (size_t)(p - s.p) }));
}

METHOD(m_find)
{
    return jinja_int(place(r, self, a, false));
}

METHOD(m_rfind)
{
    return jinja_int(place(r, self, a, true));
}

METHOD(m_index)
{
    int64_t i = place(r, self, a, false);

    return i < 0 ? jinja_fail(r, "substring not found") : jinja_int(i);
}

METHOD(m_rindex)
{
    int64_t i = place(r, self, a, true);

    return i < 0 ? jinja_fail(r, "substring not found") : jinja_int(i);
}

METHOD(m_count)
{
    struct value in;
    struct slice s;
    int64_t n = 0;
    size_t from;
    const char *p;

    if (!is_text(r, a[0], "what to count") ||
        !window(r, self, a + 1, &in, &from))
        return jinja_int(0);
    s = jinja_bytes(in);
    if (!a[0].s->n)
        return jinja_int((int64_t)jinja_chars(in) + 1);
    while ((p = find_first(s, jinja_bytes(a[0])))) {
        s.n -= (size_t)(p - s.p) + a[0].s->n;
        s.p = p + a[0].s->n;
        n++;
    }
    return jinja_int(n);
}

/* "" is found before each character and at the end. */
static void replace_empty(struct slice s, struct slice with, int64_t max,
                          struct buf *out)
{
    while (max != 0) {
        struct slice c = s;

        buf_add_slice(out, with);
        max -= max > 0;
        if (!s.n)
            break;
        (void)jinja_next_char(&s);
        buf_add(out, c.p, c.n - s.n);
    }
    buf_add_slice(out, s);
}

METHOD(m_replace)
{
    struct slice s = jinja_bytes(self), what, with;
    int64_t max = -1;
    struct buf b;
    const char *p;

    if (self.safe)
        a[1] = jinja_escaped(r, a[1]);
    if (!is_text(r, a[0], "replace() argument 1") ||
        !is_text(r, a[1], "replace() argument 2") ||
        (!jinja_is_missing(a[2]) && !jinja_index(r, a[2], &max)))
        return self;
    what = jinja_bytes(a[0]);
    with = jinja_bytes(a[1]);
    buf_init(&b, JINJA_MAX_STRING);
    if (!what.n) {
        replace_empty(s, with, max, &b);
        return made(r, self, &b);
    }
    while (max != 0 && !b.overflow && (p = find_first(s, what))) {
        buf_add(&b, s.p, (size_t)(p - s.p));
        buf_add_slice(&b, with);
        s.n -= (size_t)(p - s.p) + what.n;
        s.p = p + what.n;
        max -= max > 0;
    }
    buf_add_slice(&b, s);
    return made(r, self, &b);
}

METHOD(m_join)
{
    struct list l = jinja_items(r, a[0]);
    struct buf b;

    buf_init(&b, JINJA_MAX_STRING);
    for (size_t i = 0; i < l.n && jinja_step(r, 1); i++) {
        if (l.v[i].kind != V_STRING)
            jinja_fail(r, "sequence item %zu: expected str instance, %s found",
                       i, jinja_type(l.v[i]));
        else if (i)
            buf_add_slice(&b, jinja_bytes(self));
        if (!r->failed)
            buf_add_slice(&b, jinja_bytes(l.v[i]));
    }
    return made(r, self, &b);
}

static struct value all_chars(struct value self, bool (*is)(uint32_t c))
{
    struct slice s = jinja_bytes(self);
    bool yes = s.n > 0;

    while (s.n && yes)
        yes = is(jinja_next_char(&s));
    return jinja_bool(yes);
}

static bool is_alnum(uint32_t c)
{
    return jinja_is_alpha(c) || jinja_is_numeric(c) || jinja_is_digit(c);
}

METHOD(m_isdigit)
{
    (void)r;
    (void)a;
    return all_chars(self, jinja_is_digit);
}

METHOD(m_isdecimal)
{
    (void)r;
    (void)a;
    return all_chars(self, jinja_is_decimal);
}

METHOD(m_isnumeric)
{
    (void)r;
    (void)a;
    return all_chars(self, jinja_is_numeric);
}

METHOD(m_isalpha)
{
    (void)r;
    (void)a;
    return all_chars(self, jinja_is_alpha);
}

METHOD(m_isalnum)
{
    (void)r;
    (void)a;
    return all_chars(self, is_alnum);
}

METHOD(m_isspace)
{
    (void)r;
    (void)a;
    return all_chars(self, jinja_is_space);
}

/* Some letters of that case, none of the other. */
static struct value one_case(struct value self, bool upper)
{
    struct slice s = jinja_bytes(self);
    bool any = false;

    while (s.n) {
        uint32_t c = jinja_next_char(&s);

        if (jinja_is_title(c) ||
            (upper ? jinja_is_lower(c) : jinja_is_upper(c)))
            return jinja_bool(false);
        any |= upper ? jinja_is_upper(c) : jinja_is_lower(c);
    }
    return jinja_bool(any);
}

METHOD(m_isupper)
{
    (void)r;
    (void)a;
    return one_case(self, true);
}

METHOD(m_islower)
{
    (void)r;
    (void)a;
    return one_case(self, false);
}

METHOD(m_istitle)
{
    struct slice s = jinja_bytes(self);
    bool any = false, word = false, fits = true;

    (void)r;
    (void)a;
    while (s.n && fits) {
        uint32_t c = jinja_next_char(&s);
        bool small = jinja_is_lower(c);

        fits = !jinja_is_cased(c) || small == word;
        word = jinja_is_cased(c);
        any |= word;
    }
    return jinja_bool(any && fits);
}

static struct value justify(struct run *r, struct value self, struct value *a,
                            int where)
{
    int64_t width, n, left;
    struct slice fill = { " ", 1 };
    struct buf b;

    if (!jinja_index(r, a[0], &width))
        return self;
    if (!jinja_is_absent(a[1])) {
        if (a[1].kind != V_STRING || jinja_chars(a[1]) != 1)
            return jinja_fail(r, "the fill character must be one character");
        fill = jinja_bytes(a[1]);
    }
    if (width <= (int64_t)jinja_chars(self))
        return self;
    n = width - (int64_t)jinja_chars(self);
    if (n > 1 << 20)
        return jinja_limit(r, "columns");
    left = where < 0 ? 0 : where > 0 ? n : n / 2 + (n & width & 1);
    buf_init(&b, JINJA_MAX_STRING);
    for (int64_t i = 0; i <= n; i++) {
        if (i == left)
            buf_add_slice(&b, jinja_bytes(self));
        if (i < n)
            buf_add_slice(&b, fill);
    }
    return made(r, self, &b);
}

METHOD(m_center)
{
    return justify(r, self, a, 0);
}

METHOD(m_ljust)
{
    return justify(r, self, a, -1);
}

METHOD(m_rjust)
{
    return justify(r, self, a, 1);
}

METHOD(m_zfill)
{
    struct slice s = jinja_bytes(self);
    bool sign = s.n && (*s.p == '-' || *s.p == '+');
    int64_t width;
    struct buf b;

    if (!jinja_index(r, a[0], &width) || width > 1 << 20)
        return jinja_limit(r, "columns");
    buf_init(&b, JINJA_MAX_STRING);
    buf_add(&b, s.p, sign);
    for (int64_t i = (int64_t)jinja_chars(self); i < width; i++)
        buf_char(&b, '0');
    buf_add(&b, s.p + sign, s.n - sign);
    return made(r, self, &b);
}

static struct value partition(struct run *r, struct value self,
                              struct value sep, bool last)
{
    struct slice s = jinja_bytes(self);
    struct value out = jinja_list(r, V_TUPLE, 3);
    const char *p;
    size_t n, after;

    if (!is_text(r, sep, "a separator"))
        return out;
    if (!sep.s->n)
        return jinja_fail(r, "empty separator");
    p = (last ? find_last : find_first)(s, jinja_bytes(sep));
    n = p ? (size_t)(p - s.p) : last ? 0 : s.n;
    after = p ? n + sep.s->n : n;
    jinja_list_add(r, out.l, part(r, self, s.p, n));
    jinja_list_add(r, out.l, p ? sep : jinja_text(r, ""));
    jinja_list_add(r, out.l, part(r, self, s.p + after, s.n - after));
    return out;
}

METHOD(m_partition)
{
    return partition(r, self, a[0], false);
}

METHOD(m_rpartition)
{
    return partition(r, self, a[0], true);
}

METHOD(m_removeprefix)
{
    struct slice s = jinja_bytes(self);

    if (!is_text(r, a[0], "a prefix") ||
        !has_affix(s, jinja_bytes(a[0]), false))
        return self;
    return part(r, self, s.p + a[0].s->n, s.n - a[0].s->n);
}

METHOD(m_removesuffix)
{
    struct slice s = jinja_bytes(self);

    if (!is_text(r, a[0], "a suffix") || !has_affix(s, jinja_bytes(a[0]), true))
        return self;
    return part(r, self, s.p, s.n - a[0].s->n);
}

METHOD(m_format)
{
    (void)a;
    return jinja_str_format(r, self, r->args);
}

const struct function jinja_text_methods[] = {
    { "upper", "", m_upper, V_STRING },
    { "lower", "", m_lower, V_STRING },
    { "casefold", "", m_casefold, V_STRING },
    { "title", "", m_title, V_STRING },
    { "capitalize", "", m_capitalize, V_STRING },
    { "swapcase", "", m_swapcase, V_STRING },
    { "strip", "|chars", m_strip, V_STRING },
    { "lstrip", "|chars", m_lstrip, V_STRING },
    { "rstrip", "|chars", m_rstrip, V_STRING },
    { "split", "|sep,maxsplit", m_split, V_STRING },
    { "rsplit", "|sep,maxsplit", m_rsplit, V_STRING },
    { "splitlines", "|keepends", m_splitlines, V_STRING },
    { "startswith", "prefix|start,end", m_startswith, V_STRING },
    { "endswith", "suffix|start,end", m_endswith, V_STRING },
    { "replace", "old,new|count", m_replace, V_STRING },
    { "find", "sub|start,end", m_find, V_STRING },
    { "rfind", "sub|start,end", m_rfind, V_STRING },
    { "index", "sub|start,end", m_index, V_STRING },
    { "rindex", "sub|start,end", m_rindex, V_STRING },
    { "count", "sub|start,end", m_count, V_STRING },
    { "join", "iterable", m_join, V_STRING },
    { "isdigit", "", m_isdigit, V_STRING },
    { "isdecimal", "", m_isdecimal, V_STRING },
    { "isnumeric", "", m_isnumeric, V_STRING },
    { "isalpha", "", m_isalpha, V_STRING },
    { "isalnum", "", m_isalnum, V_STRING },
    { "isspace", "", m_isspace, V_STRING },
    { "isupper", "", m_isupper, V_STRING },
    { "islower", "", m_islower, V_STRING },
    { "istitle", "", m_istitle, V_STRING },
    { "center", "width|fillchar", m_center, V_STRING },
    { "ljust", "width|fillchar", m_ljust, V_STRING },
    { "rjust", "width|fillchar", m_rjust, V_STRING },
    { "zfill", "width", m_zfill, V_STRING },
    { "partition", "sep", m_partition, V_STRING },
    { "rpartition", "sep", m_rpartition, V_STRING },
    { "removeprefix", "prefix", m_removeprefix, V_STRING },
    { "removesuffix", "suffix", m_removesuffix, V_STRING },
    { "format", "*", m_format, V_STRING },
    { .name = NULL },
};

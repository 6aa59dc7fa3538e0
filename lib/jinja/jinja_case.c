/*
 * jinja_case.c - characters and their cases, as Python's str has them
 *
 * Full case mapping: one character may become three, and a sigma at the end
 * of a word is a final one.
 */
#include "jinja/jinja_case.h"
#include "jinja/jinja_private.h"

#include <string.h>

void jinja_put_char(struct buf *out, uint32_t c)
{
    char bytes[4];

    buf_add(out, bytes, utf8_encode(c, bytes));
}

uint32_t jinja_next_char(struct slice *s)
{
    size_t used;
    int32_t c = utf8_decode(s->p, s->n, &used);

    s->p += used;
    s->n -= used;
    return c < 0 ? 0xfffd : (uint32_t)c;
}

size_t jinja_count_chars(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static struct slice last_char(struct slice s)
{
    size_t n = 1;

    while (n < s.n && n < 4 && ((unsigned char)s.p[s.n - n] & 0xc0) == 0x80)
        n++;
    return (struct slice){ s.p + s.n - n, n };
}

struct slice jinja_strip(struct slice s, bool left, bool right)
{
    while (left && s.n) {
        struct slice rest = s;

        if (!jinja_is_space(jinja_next_char(&rest)))
            break;
        s = rest;
    }
    while (right && s.n) {
        struct slice c = last_char(s);
        size_t n = c.n;

        if (!jinja_is_space(jinja_next_char(&c)))
            break;
        s.n -= n;
    }
    return s;
}

bool jinja_within(const struct jinja_range *t, size_t n, uint32_t c)
{
    size_t low = 0;

    while (low < n) {
        size_t mid = (low + n) / 2;

        if (c < t[mid].first)
            n = mid;
        else if (c > t[mid].last)
            low = mid + 1;
        else
            return true;
    }
    return false;
}

static bool map_one(const struct jinja_case_run *t, size_t n, uint32_t c,
                    uint32_t *to)
{
    size_t low = 0;

    while (low < n) {
        size_t mid = (low + n) / 2;

        if (c < t[mid].first) {
            n = mid;
        } else if (c > t[mid].last) {
            low = mid + 1;
        } else {
            *to = (uint32_t)((int64_t)c + t[mid].distance);
            return (c - t[mid].first) % t[mid].step == 0;
        }
    }
    return false;
}

static uint32_t simple_case(uint32_t c, enum letter_case to)
{
    uint32_t v;

    if (to == CASE_LOWER)
        return map_one(jinja_case_lower, jinja_case_lower_count, c, &v) ? v : c;
    if (to == CASE_TITLE &&
        map_one(jinja_case_title, jinja_case_title_count, c, &v))
        return v;
    return map_one(jinja_case_upper, jinja_case_upper_count, c, &v) ? v : c;
}

bool jinja_is_cased(uint32_t c)
{
    return jinja_is_upper(c) || jinja_is_lower(c) || jinja_is_title(c);
}

static bool fold(uint32_t c, struct buf *out)
{
    size_t low = 0, n = jinja_case_folds_count;

    while (low < n) {
        size_t mid = (low + n) / 2;
        const struct jinja_case_special *s = &jinja_case_folds[mid];

        if (c < s->c) {
            n = mid;
        } else if (c > s->c) {
            low = mid + 1;
        } else {
            for (unsigned i = 0; i < 3 && s->to[i]; i++)
                jinja_put_char(out, s->to[i]);
            return true;
        }
    }
    return false;
}

unsigned jinja_case_char(uint32_t c, enum letter_case to, uint32_t out[3])
{
    for (size_t i = 0; c > 127 && i < jinja_case_specials_count; i++) {
        const struct jinja_case_special *s = &jinja_case_specials[i];

        if (s->c == c && s->kind == to) {
            memcpy(out, s->to, sizeof(s->to));
            return s->to[2] ? 3 : 2;
        }
    }
    out[0] = simple_case(c, to);
    return 1;
}

static void put_case(uint32_t c, enum letter_case to, struct buf *out)
{
    uint32_t many[3];
    unsigned n = jinja_case_char(c, to, many);

    for (unsigned i = 0; i < n; i++)
        jinja_put_char(out, many[i]);
}

/* Whether a letter stands in the direction of the text, marks aside. */
static bool letter_follows(struct slice s)
{
    while (s.n) {
        uint32_t c = jinja_next_char(&s);

        if (!jinja_is_ignorable(c))
            return jinja_is_cased(c);
    }
    return false;
}

static bool letter_precedes(struct slice s)
{
    while (s.n) {
        struct slice c = last_char(s);

        s.n -= c.n;
        if (c.n) {
            uint32_t v = jinja_next_char(&c);

            if (!jinja_is_ignorable(v))
                return jinja_is_cased(v);
        }
    }
    return false;
}

static void put_lower(struct slice all, struct slice rest, uint32_t c,
                      struct buf *out)
{
    struct slice before = { all.p, (size_t)(rest.p - all.p) };

    before.n -= before.n >= 2 ? 2 : before.n;
    if (c == 0x3a3)
        jinja_put_char(out, letter_precedes(before) && !letter_follows(rest)
                                ? 0x3c2
                                : 0x3c3);
    else
        put_case(c, CASE_LOWER, out);
}

void jinja_case_text(struct slice s, enum letter_case to, struct buf *out)
{
    struct slice rest = s;
    bool word = false;

    while (rest.n) {
        uint32_t c = jinja_next_char(&rest);

        if (to == CASE_UPPER || (to == CASE_SWAP && jinja_is_lower(c)))
            put_case(c, CASE_UPPER, out);
        else if (to == CASE_LOWER || (to == CASE_SWAP && jinja_is_upper(c)) ||
                 (to == CASE_TITLE && word))
            put_lower(s, rest, c, out);
        else if (to == CASE_TITLE)
            put_case(c, CASE_TITLE, out);
        else if (to == CASE_SWAP)
            jinja_put_char(out, c);
        else if (!fold(c, out))
            put_case(c, CASE_LOWER, out);
        word = jinja_is_cased(c);
    }
}

void jinja_capitalize(struct slice s, struct buf *out)
{
    struct slice rest = s;

    if (rest.n)
        put_case(jinja_next_char(&rest), CASE_TITLE, out);
    while (rest.n) {
        uint32_t c = jinja_next_char(&rest);

        put_lower(s, rest, c, out);
    }
}

static bool ends_line(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 ||
           c == 0x2028 || c == 0x2029;
}

bool jinja_next_line(struct slice *s, bool keep, struct slice *line)
{
    *line = (struct slice){ s->p, 0 };
    if (!s->n)
        return false;
    while (s->n) {
        size_t before = (size_t)(s->p - line->p);
        uint32_t c = jinja_next_char(s);

        line->n = (size_t)(s->p - line->p);
        if (!ends_line(c))
            continue;
        if (c == '\r' && s->n && *s->p == '\n')
            (void)jinja_next_char(s);
        line->n = keep ? (size_t)(s->p - line->p) : before;
        break;
    }
    return true;
}

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

/* Letters that have a case, by what other cases they have. */
bool jinja_is_upper(uint32_t c)
{
    return simple_case(c, CASE_LOWER) != c && simple_case(c, CASE_UPPER) == c;
}

bool jinja_is_lower(uint32_t c)
{
    uint32_t many[3];

    return simple_case(c, CASE_LOWER) == c &&
           (jinja_case_char(c, CASE_UPPER, many) > 1 || many[0] != c);
}

static bool is_cased(uint32_t c)
{
    return simple_case(c, CASE_LOWER) != c || jinja_is_lower(c);
}

/* What may stand within a word, or between it and its last letter. */
static bool is_ignorable(uint32_t c)
{
    return c == '\'' || c == '.' || c == ':' || c == 0xad || c == 0xb7 ||
           (c >= 0x300 && c < 0x370) || (c >= 0x200b && c < 0x2010) ||
           c == 0x2018 || c == 0x2019;
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

        if (!is_ignorable(c))
            return is_cased(c);
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

            if (!is_ignorable(v))
                return is_cased(v);
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

        if (to == CASE_UPPER)
            put_case(c, CASE_UPPER, out);
        else if (to == CASE_LOWER || word)
            put_lower(s, rest, c, out);
        else
            put_case(c, CASE_TITLE, out);
        word = is_cased(c);
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

/*
 * jinja_wrap.c - wordwrap, as Python's textwrap breaks lines
 *
 * A line is cut into chunks (words, blanks, parts of words that end in a
 * hyphen), which are packed into lines greedily. Only blanks that would begin
 * or end a line are dropped, but for those that begin the first.
 */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct wrap {
    size_t width;
    bool breaks; /* words that are too long */
    bool hyphens;
    struct slice by;
    struct buf *out;
};

static bool is_blank(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

static bool is_letter(uint32_t c)
{
    return c == '_' || jinja_is_alpha(c) ||
           (jinja_is_numeric(c) && !jinja_is_decimal(c));
}

static bool is_word(uint32_t c)
{
    return is_letter(c) || jinja_is_decimal(c);
}

/* The character n places behind byte i, or before it where n is negative; 0
 * outside of s. */
static uint32_t char_at(struct slice s, size_t i, int n)
{
    struct slice rest;

    for (; n < 0; n++) {
        if (!i)
            return 0;
        for (i--; i && (s.p[i] & 0xc0) == 0x80;)
            i--;
    }
    rest = (struct slice){ s.p + i, s.n - i };
    for (; n > 0 && rest.n; n--)
        (void)jinja_next_char(&rest);
    return rest.n ? jinja_next_char(&rest) : 0;
}

/* Two or more dashes at i, between words. */
static size_t dashes(struct slice s, size_t i)
{
    uint32_t before = i ? char_at(s, i, -1) : 0;
    size_t n = 0;

    while (i + n < s.n && s.p[i + n] == '-')
        n++;
    if (n < 2 || !before || !is_word(char_at(s, i + n, 0)))
        return 0;
    return is_word(before) || (before < 128 && strchr("!\"'&.,?", (int)before))
               ? n
               : 0;
}

/* A word may be broken behind the hyphen at byte i. */
static bool breaks_behind(struct slice s, size_t i, size_t begin)
{
    uint32_t one = char_at(s, i, -1), two = char_at(s, i, -2),
             next = char_at(s, i, 1), after = char_at(s, i, 2);

    if (i == begin || !is_letter(one) ||
        !(is_letter(two) || (two == '-' && is_letter(char_at(s, i, -3)))))
        return false;
    if (!is_letter(next))
        return false;
    return is_letter(after) || (after == '-' && is_letter(char_at(s, i, 3)));
}

/* Bytes of the chunk at byte i < s.n. */
static size_t chunk_size(const struct wrap *w, struct slice s, size_t i)
{
    bool blank = is_blank((unsigned char)s.p[i]);
    size_t k = i, n = w->hyphens && !blank ? dashes(s, i) : 0;

    if (n)
        return n;
    while (k < s.n && is_blank((unsigned char)s.p[k]) == blank) {
        if (!blank && w->hyphens && k > i && dashes(s, k))
            break;
        k++;
        if (!blank && w->hyphens && s.p[k - 1] == '-' &&
            breaks_behind(s, k - 1, i))
            break;
    }
    return k - i;
}

/* How many bytes of a word that is too long go on a line with room for
 * `chars`: behind a hyphen if there is one. */
static size_t fitting(const struct wrap *w, struct slice word, size_t chars)
{
    struct slice rest = word;
    bool other = false;
    size_t n, hyphen = 0;

    for (size_t i = 0; i < chars && rest.n; i++) {
        uint32_t c = jinja_next_char(&rest);

        if (c == '-' && other && w->hyphens)
            hyphen = word.n - rest.n;
        other |= c != '-';
    }
    n = word.n - rest.n;
    return hyphen && rest.n ? hyphen : n;
}

struct chunks {
    struct slice *v;
    size_t n, cap;
};

static void cut_chunks(const struct wrap *w, struct slice s, struct chunks *out)
{
    out->n = 0;
    for (size_t i = 0, n; i < s.n; i += n) {
        void *v = out->v;

        n = chunk_size(w, s, i);
        mem_grow(&v, &out->cap, out->n + 1, sizeof(*out->v));
        out->v = v;
        out->v[out->n++] = (struct slice){ s.p + i, n };
    }
}

static bool is_blanks(struct slice chunk)
{
    return chunk.n && is_blank((unsigned char)*chunk.p);
}

/* Takes chunks from *at on for one line of w->width; what is left of one that
 * was broken stays in its place. */
static struct slice take_line(const struct wrap *w, const struct chunks *c,
                              size_t *at)
{
    struct slice line = { c->v[*at].p, 0 };
    size_t column = 0, blanks = 0;

    for (; *at < c->n; ++*at) {
        struct slice *chunk = &c->v[*at];
        size_t chars = jinja_count_chars(*chunk), n = 0;

        if (column + chars <= w->width) {
            column += chars;
            line.n += chunk->n;
            blanks = is_blanks(*chunk) ? chunk->n : 0;
            continue;
        }
        if (chars > w->width && w->breaks) {
            n = fitting(w, *chunk, w->width - column);
            /* A part of nothing ends the line, too. */
            blanks = is_blanks(*chunk) ? n : 0;
        } else if (chars > w->width && !column) {
            n = chunk->n;
            blanks = is_blanks(*chunk) ? n : 0;
        }
        line.n += n;
        chunk->p += n;
        chunk->n -= n;
        *at += !chunk->n;
        break;
    }
    line.n -= blanks;
    return line;
}

/* One line of the text, broken. */
static void wrap_line(const struct wrap *w, struct slice s, struct chunks *c)
{
    size_t at = 0, lines = 0;

    cut_chunks(w, s, c);
    while (at < c->n) {
        struct slice line;

        if (lines && is_blanks(c->v[at]) && ++at == c->n)
            break;
        line = take_line(w, c, &at);
        if (!line.n)
            continue;
        if (lines++)
            buf_add_slice(w->out, w->by);
        buf_add_slice(w->out, line);
    }
}

/* a: width, break_long_words, wrapstring, break_on_hyphens */
struct value jinja_wordwrap(struct run *r, struct value self, struct value *a)
{
    struct slice rest, line;
    struct chunks chunks = { 0 };
    struct buf b;
    struct wrap w = { .by = { "\n", 1 }, .out = &b };
    int64_t width = 79;
    bool first = true;

    if (self.kind != V_STRING && self.kind != V_UNDEFINED)
        return jinja_fail(r, "wordwrap needs a text, not %s", jinja_type(self));
    self = jinja_to_string(r, self);
    if (r->failed || (!jinja_is_absent(a[0]) && !jinja_index(r, a[0], &width)))
        return self;
    if (width < 1)
        return jinja_fail(r, "wordwrap needs a width from 1 on");
    w.width = (size_t)width;
    w.breaks = jinja_is_absent(a[1]) || jinja_true(a[1]);
    w.hyphens = jinja_is_absent(a[3]) || jinja_true(a[3]);
    if (a[2].kind == V_STRING && a[2].s->n)
        w.by = jinja_bytes(a[2]);
    buf_init(&b, JINJA_MAX_STRING);
    rest = jinja_bytes(self);
    while (jinja_next_line(&rest, false, &line) && !b.overflow &&
           jinja_step(r, line.n + 1)) {
        if (!first)
            buf_add_slice(&b, w.by);
        first = false;
        wrap_line(&w, line, &chunks);
    }
    free(chunks.v);
    return jinja_take(r, &b);
}

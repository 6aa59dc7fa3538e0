/*
 * scrub_view.c - views of a text, and the way back from them
 *
 * A view is a text and a list of pieces; all that is not plain is a piece of
 * its own that is never cut, so what is found in a view stands for whole
 * characters of the source. Views of views are chained by who makes them.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void scrub_view_release(struct scrub_view *v)
{
    buf_release(&v->text);
    free(v->unit);
    *v = (struct scrub_view){ 0 };
}

void scrub_view_begin(struct scrub_view *v, size_t source_size)
{
    buf_reset(&v->text);
    v->count = 0;
    v->source_size = source_size;
}

void scrub_view_add(struct scrub_view *v, const char *p, size_t n,
                    size_t source, enum scrub_coding coding)
{
    void *all = v->unit;

    if (coding != CODED_PLAIN || !v->count ||
        v->unit[v->count - 1].coding != CODED_PLAIN) {
        mem_grow(&all, &v->cap, v->count + 1, sizeof(*v->unit));
        v->unit = all;
        v->unit[v->count++] =
            (struct scrub_unit){ v->text.len, source, coding };
    }
    buf_add(&v->text, p, n);
}

/* The last piece that begins at or before a byte of the view. */
static size_t unit_at(const struct scrub_view *v, size_t at)
{
    size_t low = 0, high = v->count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (v->unit[mid].view <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

unsigned scrub_view_source(const struct scrub_view *v, size_t *start,
                           size_t *end)
{
    size_t a = unit_at(v, *start), b = unit_at(v, *end - 1);
    const struct scrub_unit *x = &v->unit[a], *y = &v->unit[b];
    unsigned codings = 0;

    for (size_t i = a; i <= b; i++)
        codings |= v->unit[i].coding;
    *start =
        x->coding == CODED_PLAIN ? x->source + (*start - x->view) : x->source;
    if (y->coding == CODED_PLAIN)
        *end = y->source + (*end - y->view);
    else
        *end = b + 1 < v->count ? v->unit[b + 1].source : v->source_size;
    return codings;
}

static bool is_hex(char c)
{
    return scrub_is_digit(c) || (c >= 'a' && c <= 'f') ||
           (c >= 'A' && c <= 'F');
}

static bool holds_ascii_only(struct slice t)
{
    const char *p = t.p, *end = t.p + t.n;
    uint64_t any = 0, word;

    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        any |= word;
    }
    for (; p < end; p++)
        any |= (unsigned char)*p;
    return !(any & UINT64_C(0x8080808080808080));
}

static bool holds_percent(struct slice t)
{
    const char *p = t.p, *end = t.p + t.n;

    while (end - p > 2 && (p = memchr(p, '%', (size_t)(end - p) - 2))) {
        if (is_hex(p[1]) && is_hex(p[2]))
            return true;
        p++;
    }
    return false;
}

static bool holds_entity(struct slice t)
{
    const char *p = t.p, *end = t.p + t.n;

    while (end - p > 3 && (p = memchr(p, '&', (size_t)(end - p) - 3))) {
        const char *limit = end - p > 10 ? p + 10 : end, *q = p + 1;

        while (q < limit && (*q == '#' || scrub_is_alnum(*q)))
            q++;
        if (q > p + 1 && q < limit && *q == ';')
            return true;
        p++;
    }
    return false;
}

static bool holds_escape(struct slice t)
{
    const char *p = t.p, *end = t.p + t.n;

    while (end - p > 2 && (p = memchr(p, '\\', (size_t)(end - p) - 2))) {
        if ((p[1] == 'u' || p[1] == 'x') && is_hex(p[2]))
            return true;
        if ((p[1] == 'n' || p[1] == 'r' || p[1] == 't') && scrub_is_alnum(p[2]))
            return true;
        p += 2;
    }
    return false;
}

unsigned scrub_view_needs(struct slice t)
{
    unsigned needs = 0;

    if (!holds_ascii_only(t))
        needs |= CODED_FOLDED;
    if (holds_percent(t))
        needs |= CODED_PERCENT;
    if (holds_entity(t))
        needs |= CODED_ENTITY;
    if (holds_escape(t))
        needs |= CODED_ESCAPE;
    return needs;
}

static void encode_percent(struct slice t, struct buf *out)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];

        if (scrub_is_alnum(t.p[i]) || (c && strchr("-._~", c)))
            buf_char(out, t.p[i]);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static void encode_entities(struct slice t, struct buf *out)
{
    for (size_t i = 0; i < t.n; i++) {
        switch (t.p[i]) {
        case '&': buf_str(out, "&amp;"); break;
        case '<': buf_str(out, "&lt;"); break;
        case '>': buf_str(out, "&gt;"); break;
        case '"': buf_str(out, "&quot;"); break;
        default: buf_char(out, t.p[i]);
        }
    }
}

void scrub_view_encode(struct slice t, unsigned codings, struct buf *out)
{
    if (codings & CODED_PERCENT) {
        encode_percent(t, out);
    } else if (codings & CODED_ENTITY) {
        encode_entities(t, out);
    } else if (codings & CODED_ESCAPE) {
        struct buf quoted = { 0 };

        json_quote(&quoted, t);
        buf_add(out, quoted.data + 1, quoted.len - 2);
        buf_release(&quoted);
    } else {
        buf_add_slice(out, t);
    }
}

/* json_value.c - strings, numbers and the canonical form of parsed values */
#include "json/json.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned hex_unit(const char *p)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];

        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

/* The code point of the \u escape at p (n bytes left), a lone surrogate as it
 * is, and the bytes it took. */
static uint32_t unicode_escape(const char *p, size_t n, size_t *used)
{
    uint32_t cp = hex_unit(p + 2);

    *used = 6;

    if (cp >= 0xD800 && cp < 0xDC00 && n >= 12 && p[6] == '\\' && p[7] == 'u') {
        uint32_t low = hex_unit(p + 8);

        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            *used = 12;
        }
    }
    return cp;
}

static bool is_surrogate(uint32_t cp)
{
    return cp >= 0xD800 && cp < 0xE000;
}

size_t json_unescape(const char *p, size_t n, char **to)
{
    size_t used;
    uint32_t cp = unicode_escape(p, n, &used);

    *to += utf8_encode(is_surrogate(cp) ? 0xFFFD : cp, *to);
    return used;
}

/* Decode the \u escape at p; returns the bytes it took. */
static size_t decode_unicode(const char *p, size_t n, struct buf *out)
{
    char text[4], *to = text;
    size_t used = json_unescape(p, n, &to);

    buf_add(out, text, (size_t)(to - text));
    return used;
}

bool json_text(const struct json *j, json_ref v, struct buf *out)
{
    struct slice s = json_raw(j, v);
    size_t i = 1;

    if (!json_is(j, v, JSON_STRING))
        return false;
    if (!j->nodes[v].count) {
        buf_add(out, s.p + 1, s.n - 2);
        return true;
    }
    while (i < s.n - 1) {
        const char *hit = memchr(s.p + i, '\\', s.n - 1 - i);
        size_t run = hit ? (size_t)(hit - (s.p + i)) : s.n - 1 - i;

        buf_add(out, s.p + i, run);
        i += run;
        if (!hit)
            break;
        if (s.p[i + 1] == 'u') {
            i += decode_unicode(s.p + i, s.n - 1 - i, out);
        } else {
            buf_char(out, json_unescape_letter(s.p[i + 1]));
            i += 2;
        }
    }
    return true;
}

bool json_text_is_broken(const struct json *j, json_ref v)
{
    struct slice s = json_raw(j, v);
    size_t used = 1;

    if (!json_is(j, v, JSON_STRING))
        return false;
    for (size_t i = 1; i < s.n - 1; i += used) {
        used = s.p[i] == '\\' ? 2 : 1;
        if (used == 2 && s.p[i + 1] == 'u' &&
            is_surrogate(unicode_escape(s.p + i, s.n - 1 - i, &used)))
            return true;
    }
    return false;
}

bool json_text_is(const struct json *j, json_ref v, const char *s)
{
    struct slice raw = json_raw(j, v);
    struct buf text = { 0 };
    bool same;

    if (!json_is(j, v, JSON_STRING))
        return false;
    if (!j->nodes[v].count)
        return slice_is((struct slice){ raw.p + 1, raw.n - 2 }, s);
    (void)json_text(j, v, &text);
    same = slice_is(buf_slice(&text), s);
    buf_release(&text);
    return same;
}

char *json_strdup(const struct json *j, json_ref v)
{
    struct buf text = { 0 };

    if (!json_text(j, v, &text))
        return NULL;
    return buf_take(&text, NULL);
}

/* The number's characters as a NUL-terminated copy. */
static bool number_text(const struct json *j, json_ref v,
                        char out[JSON_MAX_NUMBER + 1])
{
    struct slice s = json_raw(j, v);

    if (!json_is(j, v, JSON_NUMBER))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

bool json_int(const struct json *j, json_ref v, int64_t *out)
{
    char text[JSON_MAX_NUMBER + 1];
    char *end;
    long long value;

    if (!number_text(j, v, text))
        return false;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (*end) { /* 1e3 and 5.0 are integers too, if exact */
        double d = strtod(text, NULL);

        if (!(fabs(d) <= 9007199254740992.0) || d != floor(d))
            return false;
        value = (long long)d;
    } else if (errno) {
        return false;
    }
    *out = value;
    return true;
}

bool json_double(const struct json *j, json_ref v, double *out)
{
    char text[JSON_MAX_NUMBER + 1];

    if (!number_text(j, v, text))
        return false;
    *out = strtod(text, NULL);
    return true;
}

bool json_bool(const struct json *j, json_ref v, bool *out)
{
    if (!json_is(j, v, JSON_TRUE) && !json_is(j, v, JSON_FALSE))
        return false;
    *out = json_is(j, v, JSON_TRUE);
    return true;
}

struct member {
    struct slice key; /* decoded */
    json_ref value;
    size_t order;
};

static int by_key(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = slice_cmp(x->key, y->key);

    if (c)
        return c;
    return (x->order > y->order) - (x->order < y->order);
}

static void canonical_object(const struct json *j, json_ref v, struct buf *out)
{
    size_t n = json_count(j, v), i = 0;
    struct member *m = mem_array(n, sizeof(*m));
    bool first = true;

    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e), i++) {
        struct buf key = { 0 };

        (void)json_text(j, json_key(j, e), &key);
        m[i].value = e;
        m[i].order = i;
        m[i].key.p = buf_take(&key, &m[i].key.n);
    }
    qsort(m, n, sizeof(*m), by_key);
    buf_char(out, '{');
    for (i = 0; i < n; i++) {
        if (i + 1 < n && slice_eq(m[i].key, m[i + 1].key))
            continue; /* the last duplicate wins */
        if (!first)
            buf_char(out, ',');
        first = false;
        json_quote(out, m[i].key);
        buf_char(out, ':');
        json_canonical(j, m[i].value, out);
    }
    buf_char(out, '}');
    for (i = 0; i < n; i++)
        free((char *)(uintptr_t)m[i].key.p);
    free(m);
}

static bool is_integer_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == 'e' || s.p[i] == 'E')
            return false;
    return true;
}

static void canonical_number(const struct json *j, json_ref v, struct buf *out)
{
    int64_t whole;
    double d = 0;

    if (json_int(j, v, &whole)) {
        buf_printf(out, "%lld", (long long)whole);
        return;
    }
    (void)json_double(j, v, &d);
    /* 1e999, or an integer beyond 64 bits: nothing but its digits is exact. */
    if (!isfinite(d) || is_integer_text(json_raw(j, v))) {
        buf_add_slice(out, json_raw(j, v));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        char text[40];

        (void)snprintf(text, sizeof(text), "%.*g", digits, d);
        if (digits == 17 || strtod(text, NULL) == d) {
            buf_str(out, text);
            return;
        }
    }
}

void json_canonical(const struct json *j, json_ref v, struct buf *out)
{
    struct buf text = { 0 };

    switch (json_kind(j, v)) {
    case JSON_NULL: buf_str(out, "null"); break;
    case JSON_FALSE: buf_str(out, "false"); break;
    case JSON_TRUE: buf_str(out, "true"); break;
    case JSON_NUMBER: canonical_number(j, v, out); break;
    case JSON_STRING:
        (void)json_text(j, v, &text);
        json_quote(out, buf_slice(&text));
        buf_release(&text);
        break;
    case JSON_ARRAY:
        buf_char(out, '[');
        for (json_ref e = json_first(j, v); e != JSON_NONE;
             e = json_next(j, v, e)) {
            if (e != v + 1)
                buf_char(out, ',');
            json_canonical(j, e, out);
        }
        buf_char(out, ']');
        break;
    case JSON_OBJECT: canonical_object(j, v, out); break;
    }
}

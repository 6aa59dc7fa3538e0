/*
 * wire_foreign.c - what the readers of other loggers' records share
 *
 * Nothing is guessed: a time that cannot be read is unknown, and a record that
 * shows marks of what its exporter took out is told to be cut, so that it is
 * counted and never learnt from.
 */
#include "wire/wire_foreign.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MEMBER_MAX ((size_t)8 << 10)
#define MILLISECONDS_FROM 1e11 /* above: not seconds */

static bool has(const struct json *j, json_ref o, const char *name)
{
    return json_kind(j, json_get(j, o, name)) != JSON_NULL;
}

/* Anthropic's request differs from OpenAI's by its system prompt at the top
 * and by its blocks. */
static bool is_anthropic_request(const struct json *j, json_ref request)
{
    json_ref tool = json_at(j, json_get(j, request, "tools"), 0);

    return has(j, request, "messages") &&
           (has(j, request, "system") || has(j, request, "anthropic_version") ||
            has(j, tool, "input_schema"));
}

static enum wire_dialect shape_of_request(const struct json *j, json_ref q)
{
    if (is_anthropic_request(j, q))
        return DIALECT_ANTHROPIC;
    if (has(j, q, "messages"))
        return DIALECT_OPENAI_CHAT;
    if (has(j, q, "contents"))
        return DIALECT_GEMINI;
    if (has(j, q, "input"))
        return DIALECT_OPENAI_RESPONSES;
    if (has(j, q, "prompt"))
        return DIALECT_OPENAI_COMPLETIONS;
    return DIALECT_OPAQUE;
}

enum wire_dialect wire_shape(const struct json *j, json_ref request,
                             json_ref response)
{
    json_ref first = json_at(j, json_get(j, response, "choices"), 0);
    json_ref data = json_get(j, response, "data");

    if (json_text_is(j, json_get(j, response, "type"), "message") &&
        has(j, response, "content"))
        return DIALECT_ANTHROPIC;
    if (json_text_is(j, json_get(j, response, "object"), "response") ||
        json_is(j, json_get(j, response, "output"), JSON_ARRAY))
        return DIALECT_OPENAI_RESPONSES;
    if (has(j, first, "message"))
        return DIALECT_OPENAI_CHAT;
    if (has(j, first, "text"))
        return DIALECT_OPENAI_COMPLETIONS;
    if (has(j, response, "candidates"))
        return DIALECT_GEMINI;
    if (json_is(j, json_get(j, response, "done"), JSON_TRUE))
        return has(j, response, "message") ? DIALECT_OLLAMA_CHAT
                                           : DIALECT_OLLAMA_GENERATE;
    if (has(j, json_at(j, data, 0), "embedding") || has(j, response, "vectors"))
        return DIALECT_OPENAI_EMBEDDINGS;
    return shape_of_request(j, request);
}

/* Days from 1970 of a day of the Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    int64_t era, year;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    year = y - era * 400;
    return era * 146097 + year * 365 + year / 4 - year / 100 +
           (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1 - 719468;
}

/* n digits at *s, which moves on; -1 if they are none. */
static int64_t digits(struct slice *s, size_t n)
{
    int64_t v = 0;

    if (s->n < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return -1;
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    return v;
}

static bool skip(struct slice *s, const char *any)
{
    if (!s->n || !strchr(any, *s->p))
        return false;
    s->p++;
    s->n--;
    return true;
}

static int64_t fraction_us(struct slice *s)
{
    int64_t us = 0, unit = 100000;

    if (!skip(s, "."))
        return 0;
    while (s->n && *s->p >= '0' && *s->p <= '9') {
        us += (*s->p - '0') * unit;
        unit /= 10;
        (void)skip(s, "0123456789");
    }
    return us;
}

/* Seconds east of UTC; false: no zone. */
static bool read_zone(struct slice *s, int64_t *east)
{
    int64_t h, m = 0, sign = s->n && *s->p == '-' ? -1 : 1;

    *east = 0;
    if (!s->n || (s->n == 1 && *s->p == 'Z'))
        return true;
    if (!skip(s, "+-"))
        return false;
    h = digits(s, 2);
    (void)skip(s, ":");
    if (s->n)
        m = digits(s, 2);
    *east = sign * (h * 3600 + m * 60);
    return h >= 0 && m >= 0 && !s->n;
}

int64_t wire_time_text(struct slice s)
{
    int64_t date[3], clock[3], east, us;

    for (int i = 0; i < 3; i++) {
        date[i] = digits(&s, i ? 2 : 4);
        if (date[i] < 0 || (i < 2 && !skip(&s, "-")))
            return -1;
    }
    if (!skip(&s, "T "))
        return -1;
    for (int i = 0; i < 3; i++) {
        clock[i] = digits(&s, 2);
        if (clock[i] < 0 || (i < 2 && !skip(&s, ":")))
            return -1;
    }
    us = fraction_us(&s);
    if (date[0] < 1970 || date[1] < 1 || date[1] > 12 || date[2] < 1 ||
        date[2] > 31 || clock[0] > 24 || clock[1] > 59 || clock[2] > 60 ||
        !read_zone(&s, &east))
        return -1;
    return (days_of(date[0], date[1], date[2]) * 86400 + clock[0] * 3600 +
            clock[1] * 60 + clock[2] - east) *
               1000000 +
           us;
}

int64_t wire_time(const struct json *j, json_ref v)
{
    double d;

    if (json_double(j, v, &d))
        return d > 0 && d < 1e14
                   ? (int64_t)(d * (d > MILLISECONDS_FROM ? 1e3 : 1e6) + 0.5)
                   : -1;
    return wire_time_text(wire_inner(j, v));
}

struct slice wire_own(struct wire_record *r, struct buf *text)
{
    struct slice s = { NULL, 0 };

    if (r->owned_count == sizeof(r->owned) / sizeof(*r->owned)) {
        buf_release(text);
        return s;
    }
    s.p = r->owned[r->owned_count++] = buf_take(text, &s.n);
    return s;
}

struct slice wire_own_text(struct wire_record *r, const struct json *j,
                           json_ref v)
{
    struct buf text = { .data = NULL };
    struct slice s = { NULL, 0 };

    if (json_is(j, v, JSON_NUMBER))
        buf_add_slice(&text, json_raw(j, v));
    else
        (void)json_text(j, v, &text);
    if (!text.len) {
        buf_release(&text);
        return s;
    }
    s = wire_own(r, &text);
    if (s.n > WIRE_TEXT_MAX) {
        s.n = WIRE_TEXT_MAX;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--;
    }
    return s;
}

bool wire_base64(struct slice s, struct buf *out)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                "qrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned count = 0;

    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(signs, s.p[i]) : NULL;

        if (!at && s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == '/')
            continue; /* an escaped solidus in a JSON text */
        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - signs);
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_char(out, (char)(bits >> count & 0xFF));
        }
    }
    return count < 6;
}

struct slice wire_host(struct slice url)
{
    const char *p = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
    const char *end;

    if (!p)
        return url;
    url.n -= (size_t)(p + 3 - url.p);
    url.p = p + 3;
    end = memchr(url.p, '/', url.n);
    if (end)
        url.n = (size_t)(end - url.p);
    p = url.n ? memchr(url.p, '@', url.n) : NULL;
    if (p) {
        url.n -= (size_t)(p + 1 - url.p);
        url.p = p + 1;
    }
    return url;
}

void wire_bodies_begin(struct wire_bodies *b, struct wire_record *r)
{
    buf_reset(&r->built);
    b->request = 0;
    json_writer_init(&b->w, &r->built, false);
}

void wire_bodies_end(struct wire_bodies *b, struct wire_record *r)
{
    if (!r->built.len)
        return;
    r->call.request = (struct slice){ r->built.data, b->request };
    r->call.response =
        (struct slice){ r->built.data + b->request, r->built.len - b->request };
}

void wire_extra_begin(struct wire_record *r, struct json_writer *w,
                      const char *format, bool cut)
{
    buf_reset(&r->extra);
    json_writer_init(w, &r->extra, false);
    json_begin_object(w, NULL);
    json_put_string(w, "format", format);
    if (cut)
        json_put_bool(w, "cut", true);
}

void wire_extra_member(struct json_writer *w, const struct json *j, json_ref o,
                       const char *name)
{
    json_ref v = json_get(j, o, name);

    if (json_kind(j, v) != JSON_NULL && json_raw(j, v).n <= MEMBER_MAX)
        json_put_raw(w, name, json_raw(j, v));
}

void wire_extra_end(struct wire_record *r, struct json_writer *w)
{
    char id[2 * WIRE_CALL_ID_BYTES + 1];

    crypto_hex(r->call_id, sizeof(r->call_id), id);
    if (r->has_call_id)
        json_put_string(w, "call_id", id);
    json_end_object(w);
    r->call.extra = buf_slice(&r->extra);
}

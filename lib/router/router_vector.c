/*
 * router_vector.c - a prompt as numbers that keep nothing of its words
 *
 * Words and pairs of words are hashed with a sign (Weinberger et al. 2009), so
 * that weights over them need no vocabulary: what is stored of a calibration
 * holds no text. The length stands beside them, for it says most.
 */
#include "router/router_private.h"

#include "base/map.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

#define HASHED (ROUTER_VECTOR - 2)

static void add_feature(uint64_t hash, float *x)
{
    uint64_t h = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;

    h ^= h >> 32;
    x[h % HASHED] += h >> 63 ? 1.0f : -1.0f;
}

static bool is_word(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

/* The hash of the word or sign at text.p[at], lower case; digits are one. */
static uint64_t next_word(struct slice text, size_t *at)
{
    uint64_t h = 14695981039346656037u;
    bool word = is_word((unsigned char)text.p[*at]);

    do {
        unsigned char c = (unsigned char)text.p[(*at)++];

        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + 32);
        if (c >= '0' && c <= '9')
            c = '0';
        h = (h ^ c) * 1099511628211u;
    } while (word && *at < text.n && is_word((unsigned char)text.p[*at]));
    return h;
}

void router_vector(struct slice text, float *x)
{
    struct slice t = { text.p,
                       text.n < ROUTER_TEXT_MAX ? text.n : ROUTER_TEXT_MAX };
    uint64_t before = 1;
    size_t words = 0;

    memset(x, 0, ROUTER_VECTOR * sizeof(*x));
    for (size_t at = 0; at < t.n;) {
        if (strchr(" \t\r\n", t.p[at]) && t.p[at]) {
            at++;
            continue;
        }
        uint64_t h = next_word(t, &at);
        add_feature(h, x);
        add_feature(h * 31 + before, x);
        before = h;
        words++;
    }
    for (size_t i = 0; i < HASHED; i++)
        x[i] = copysignf(log1pf(fabsf(x[i])), x[i]);
    linalg_normalize(x, HASHED);
    x[HASHED] = logf(1 + (float)text.n);
    x[HASHED + 1] = logf(1 + (float)words);
}

/* The text of a message, or of its text parts. */
static void add_text(const struct json *j, json_ref content, struct buf *out)
{
    if (json_is(j, content, JSON_STRING)) {
        json_text(j, content, out);
        buf_char(out, '\n');
    } else if (json_is(j, content, JSON_ARRAY)) {
        for (json_ref p = json_first(j, content); p != JSON_NONE;
             p = json_next(j, content, p))
            add_text(j, json_get(j, p, "text"), out);
    }
}

void router_request_vector(const struct json *j, json_ref request, float *x)
{
    json_ref messages = json_get(j, request, "messages");
    size_t n = 0, skip, length = 0;
    struct buf text = { 0 };

    /* From the first message on whose texts fit; the last one always does. */
    for (json_ref m = json_first(j, messages); m != JSON_NONE;
         m = json_next(j, messages, m), n++)
        length += json_raw(j, json_get(j, m, "content")).n;
    skip = length;
    for (json_ref m = json_first(j, messages); m != JSON_NONE && n;
         m = json_next(j, messages, m), n--) {
        json_ref role = json_get(j, m, "role");
        bool fits = skip <= ROUTER_TEXT_MAX || n == 1;

        skip -= json_raw(j, json_get(j, m, "content")).n;
        if (fits && !json_text_is(j, role, "system") &&
            !json_text_is(j, role, "developer"))
            add_text(j, json_get(j, m, "content"), &text);
    }
    router_vector(buf_slice(&text), x);
    x[HASHED] = logf(1 + (float)length);
    buf_release(&text);
}

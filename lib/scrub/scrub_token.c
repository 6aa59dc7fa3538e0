/*
 * scrub_token.c - surrogates of tokens that have parts
 *
 * A JSON Web Token stays one: its header is kept, the values of its claims
 * are drawn anew inside the JSON that the second part holds (times stay, keys
 * stay, the length stays), the signature is drawn. An Ethereum address is
 * written in the case that its letters had, or in that of EIP-55.
 */
#include "scrub/scrub_fake.h"

#include <string.h>

static void redraw_string(char *p, size_t n, struct rng *r)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\\')
            i += i + 1 < n && p[i + 1] == 'u' ? 5 : 1;
        else
            p[i] = scrub_draw_like(r, p[i]);
    }
}

static void redraw_number(char *p, size_t n, struct rng *r)
{
    bool first = true;

    for (size_t i = 0; i < n && p[i] != 'e' && p[i] != 'E'; i++) {
        if (!scrub_is_digit(p[i]))
            continue;
        if (!first)
            p[i] = scrub_draw_like(r, p[i]);
        else if (p[i] != '0')
            p[i] = (char)('1' + rng_below(r, 9));
        first = false;
    }
}

static bool is_time(const struct json *j, json_ref key)
{
    return json_text_is(j, key, "exp") || json_text_is(j, key, "iat") ||
           json_text_is(j, key, "nbf") || json_text_is(j, key, "auth_time");
}

/* Draws the leaves below v anew in text, the bytes that j was read from. */
static void redraw_claims(const struct json *j, json_ref v, char *text,
                          struct rng *r)
{
    bool object = json_is(j, v, JSON_OBJECT);

    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        const struct json_node *node = &j->nodes[e];
        char *p = text + node->start;
        size_t n = node->end - node->start;

        if (object && is_time(j, json_key(j, e)))
            continue;
        if (node->type == JSON_STRING)
            redraw_string(p + 1, n - 2, r);
        else if (node->type == JSON_NUMBER)
            redraw_number(p, n, r);
        else if (node->type == JSON_OBJECT || node->type == JSON_ARRAY)
            redraw_claims(j, e, text, r);
    }
}

static bool unbase64(struct slice v, struct buf *out)
{
    unsigned bits = 0, held = 0;

    for (size_t i = 0; i < v.n; i++) {
        int x = scrub_base64_value(v.p[i]);

        if (x < 0)
            return false;
        bits = bits << 6 | (unsigned)x;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_char(out, (char)(bits >> held & 0xFF));
        }
    }
    return true;
}

/* Without padding, in the alphabet for addresses. */
static void base64url(const struct buf *b, struct buf *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                   "qrstuvwxyz0123456789-_";
    unsigned bits = 0, held = 0;

    for (size_t i = 0; i < b->len; i++) {
        bits = bits << 8 | (unsigned char)b->data[i];
        for (held += 8; held >= 6; held -= 6)
            buf_char(out, alphabet[bits >> (held - 6) & 63]);
    }
    if (held)
        buf_char(out, alphabet[bits << (6 - held) & 63]);
}

static void fake_claims(struct slice part, struct rng *r, struct buf *out)
{
    struct buf text = { 0 }, claims = { 0 };
    struct json j = { 0 };
    bool ok = unbase64(part, &text) && !text.overflow &&
              json_parse(&j, text.data, text.len, NULL) == 0;

    if (ok) {
        buf_add(&claims, text.data, text.len);
        ok = !claims.overflow;
    }
    if (ok) {
        redraw_claims(&j, 0, claims.data, r);
        base64url(&claims, out);
    } else {
        for (size_t i = 0; i < part.n; i++)
            buf_char(out, scrub_draw_like(r, part.p[i]));
    }
    json_release(&j);
    buf_release(&text);
    buf_release(&claims);
}

/* Bytes up to the next dot, or all. */
static size_t part_size(struct slice v)
{
    const char *dot = memchr(v.p, '.', v.n);

    return dot ? (size_t)(dot - v.p) : v.n;
}

void scrub_fake_jwt(struct scrub_worker *w, const struct scrub_rule *rule,
                    struct slice v, struct rng *r, struct buf *out)
{
    size_t n = part_size(v);

    (void)w;
    (void)rule;
    buf_add(out, v.p, n);
    if (n == v.n)
        return;
    buf_char(out, '.');
    v = (struct slice){ v.p + n + 1, v.n - n - 1 };
    n = part_size(v);
    fake_claims((struct slice){ v.p, n }, r, out);
    for (size_t i = n; i < v.n; i++)
        buf_char(out, scrub_draw_like(r, v.p[i]));
}

void scrub_fake_ethereum(struct scrub_worker *w, const struct scrub_rule *rule,
                         struct slice v, struct rng *r, struct buf *out)
{
    char hex[40];
    bool low = false, high = false;

    (void)w;
    (void)rule;
    for (size_t i = 2; i < v.n; i++) {
        low |= v.p[i] >= 'a' && v.p[i] <= 'f';
        high |= v.p[i] >= 'A' && v.p[i] <= 'F';
    }
    for (size_t i = 0; i < sizeof(hex); i++)
        hex[i] = (high && !low ? "0123456789ABCDEF"
                               : "0123456789abcdef")[rng_below(r, 16)];
    if (high && low)
        scrub_eip55(hex, hex);
    buf_str(out, "0x");
    buf_add(out, hex, sizeof(hex));
}

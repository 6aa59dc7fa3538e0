/*
 * proxy_fields.c - which header fields pass, and what they tell
 *
 * Upstream goes what the client sent, less what is for this hop or about it:
 * the client's address is nobody's business behind the proxy. Kept are the
 * fields of a list; keys, addresses and users only as keyed hashes.
 */
#include "proxy/proxy_private.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

void proxy_set_text(struct proxy_exchange *x, int which, struct slice s)
{
    x->text[which] = (struct proxy_text){ x->texts.len, s.n };
    buf_add_slice(&x->texts, s);
}

struct slice proxy_get_text(const struct proxy_exchange *x, int which)
{
    return (struct slice){ x->text[which].n ? x->texts.data + x->text[which].at
                                            : NULL,
                           x->text[which].n };
}

static bool is_ours(struct slice name)
{
    static const char *const names[] = {
        "host",      "content-length",    "expect", "forwarded",
        "x-real-ip", "x-accel-buffering", "via",    "proxy-authenticate",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (http_name_is(name, names[i]))
            return true;
    return (name.n >= 6 && !strncasecmp(name.p, "x-slm-", 6)) ||
           (name.n >= 12 && !strncasecmp(name.p, "x-forwarded-", 12));
}

/* Only codings that the recorder can undo: others would be logged unread. */
static bool is_readable(struct slice coding)
{
    static const char *const names[] = { "gzip", "x-gzip", "deflate",
                                         "identity" };
    const char *semi = memchr(coding.p, ';', coding.n);
    struct slice name = { coding.p,
                          semi ? (size_t)(semi - coding.p) : coding.n };

    name = slice_trim(name);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (http_name_is(name, names[i]))
            return true;
    return false;
}

static struct proxy_text readable(struct slice list, struct buf *made)
{
    struct proxy_text t = { made->len, 0 };
    struct slice e;

    while (http_list_next(&list, &e))
        if (is_readable(e)) {
            if (made->len > t.at)
                buf_str(made, ", ");
            buf_add_slice(made, e);
        }
    if (made->len == t.at)
        buf_str(made, "identity");
    t.n = made->len - t.at;
    return t;
}

size_t proxy_fields_up(const struct http_request *r, struct http_field *out,
                       struct buf *made)
{
    struct proxy_text changed[HTTP_FIELDS_MAX] = { 0 };
    struct buf connection = { .data = NULL };
    size_t n = 0;

    for (size_t i = 0; i < r->field_count; i++)
        if (http_name_is(r->fields[i].name, "connection")) {
            buf_add_slice(&connection, r->fields[i].value);
            buf_char(&connection, ',');
        }
    for (size_t i = 0; i < r->field_count; i++) {
        struct slice name = r->fields[i].name;

        if (is_ours(name) || http_is_hop_by_hop(name, buf_slice(&connection)))
            continue;
        if (http_name_is(name, "accept-encoding"))
            changed[n] = readable(r->fields[i].value, made);
        out[n++] = r->fields[i];
    }
    for (size_t i = 0; i < n; i++)
        if (changed[i].n)
            out[i].value =
                (struct slice){ made->data + changed[i].at, changed[i].n };
    buf_release(&connection);
    return n;
}

const char *const proxy_fingerprint_names[FINGERPRINTS] = { "key", "address",
                                                            "user" };

static void add_fact(struct proxy_exchange *x, const char *name,
                     struct slice value)
{
    if (x->facts.len)
        buf_char(&x->facts, ',');
    json_quote(&x->facts, slice_of(name));
    buf_char(&x->facts, ':');
    json_quote(&x->facts, value);
}

static void fingerprint(const struct crypto_key *derived, struct slice value,
                        char out[PROXY_FINGERPRINT_CHARS + 1])
{
    unsigned char mac[CRYPTO_SHA256_BYTES];

    crypto_hmac(derived, value, mac);
    crypto_hex(mac, PROXY_FINGERPRINT_CHARS / 2, out);
}

void proxy_fingerprint(const struct crypto_key *key, const char *kind,
                       struct slice value,
                       char out[PROXY_FINGERPRINT_CHARS + 1])
{
    struct crypto_key derived;

    crypto_derive(key, kind, &derived);
    fingerprint(&derived, value, out);
    crypto_wipe(&derived, sizeof(derived));
}

static void add_fingerprint(struct proxy_exchange *x, int kind,
                            struct slice value)
{
    char hex[PROXY_FINGERPRINT_CHARS + 1];

    if (!value.n)
        return;
    fingerprint(&x->config->keys[kind], value, hex);
    add_fact(x, proxy_fingerprint_names[kind], slice_of(hex));
}

static struct slice clipped(struct slice v)
{
    if (v.n > PROXY_HEADER_MAX)
        v.n = PROXY_HEADER_MAX;
    return v;
}

/* Members "name": "value" for the fields that may be kept. */
static void add_kept(struct proxy_exchange *x, struct buf *out,
                     const struct http_field *fields, size_t count)
{
    const struct proxy_config *c = x->config;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < c->keep_field_count; k++) {
            if (!http_name_is(fields[i].name, c->keep_fields[k]))
                continue;
            if (out->len)
                buf_char(out, ',');
            json_quote(out, slice_of(c->keep_fields[k]));
            buf_char(out, ':');
            json_quote(out, clipped(fields[i].value));
        }
}

/* The key of "key=" in a query, where some APIs take it. */
static bool find_key(struct slice target, struct proxy_text *out)
{
    const char *p = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t i = p ? (size_t)(p - target.p) + 1 : target.n;

    while (i < target.n) {
        size_t end = i;

        while (end < target.n && target.p[end] != '&')
            end++;
        if (end - i > 4 && !memcmp(target.p + i, "key=", 4)) {
            *out = (struct proxy_text){ i + 4, end - i - 4 };
            return true;
        }
        i = end + 1;
    }
    return false;
}

/* Parameters that are known to say nothing of who asks. */
static bool is_harmless(struct slice name)
{
    static const char *const names[] = {
        "alt",   "api-version", "beta",      "limit",    "after", "before",
        "order", "stream",      "pageSize",  "include",  "model", "purpose",
        "type",  "version",     "page_size", "after_id", "page",  "before_id",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is(name, names[i]))
            return true;
    return false;
}

/* Keys come in queries under many names (key, api_key, token, sig), so values
 * are kept of a list alone, as header fields are. */
static void add_parameter(struct buf *b, struct slice s)
{
    const char *equals = memchr(s.p, '=', s.n);
    size_t n = equals ? (size_t)(equals - s.p) : s.n;

    if (is_harmless((struct slice){ s.p, n })) {
        buf_add_slice(b, s);
        return;
    }
    if (equals)
        buf_add(b, s.p, n + 1);
    buf_char(b, '-');
}

static void set_target(struct proxy_exchange *x, struct slice target)
{
    const char *p = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t i = p ? (size_t)(p - target.p) + 1 : target.n;
    struct buf b = { .data = NULL };

    buf_add(&b, target.p, i);
    while (i < target.n) {
        const char *end = memchr(target.p + i, '&', target.n - i);
        size_t n = end ? (size_t)(end - target.p) - i : target.n - i;

        if (n)
            add_parameter(&b, (struct slice){ target.p + i, n });
        if (end)
            buf_char(&b, '&');
        i += n + 1;
    }
    proxy_set_text(x, TEXT_TARGET, buf_slice(&b));
    buf_release(&b);
}

static struct slice key_of(const struct http_request *r)
{
    static const char *const names[] = { "authorization", "x-api-key",
                                         "api-key", "x-goog-api-key" };
    struct slice none = { NULL, 0 };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct slice v = http_get(r, names[i]);

        if (v.n)
            return v;
    }
    return none;
}

/* The first of these fields that is there. */
static struct slice first_of(const struct http_request *r,
                             const char *const *names)
{
    struct slice v = { NULL, 0 };

    for (size_t i = 0; !v.n && names[i]; i++)
        v = clipped(http_get(r, names[i]));
    return v;
}

/* The value of a key in baggage (W3C): "a=1, session.id = 2;p". */
static struct slice baggage(const struct http_request *r, const char *key)
{
    struct slice list = http_get(r, "baggage"), e;

    while (http_list_next(&list, &e)) {
        const char *semi = memchr(e.p, ';', e.n), *equals;
        size_t n;

        if (semi)
            e.n = (size_t)(semi - e.p);
        equals = memchr(e.p, '=', e.n);
        n = equals ? (size_t)(equals - e.p) : 0;
        if (equals && slice_is(slice_trim((struct slice){ e.p, n }), key))
            return clipped(
                slice_trim((struct slice){ equals + 1, e.n - n - 1 }));
    }
    return (struct slice){ NULL, 0 };
}

/* The trace of "00-TRACE-SPAN-01". */
static struct slice trace_of(const struct http_request *r)
{
    struct slice v = http_get(r, "traceparent");

    if (v.n < 55 || v.p[2] != '-' || v.p[35] != '-')
        return (struct slice){ NULL, 0 };
    return (struct slice){ v.p + 3, 32 };
}

static struct slice either(struct slice a, struct slice b)
{
    return a.n ? a : b;
}

static void set_names(struct proxy_exchange *x, const struct http_request *r,
                      struct slice workload, const char *token)
{
    static const char *const conversations[] = {
        "x-slm-conversation",   "x-slm-session", "helicone-session-id",
        "x-litellm-session-id", "x-session-id",  NULL
    };
    static const char *const users[] = { "helicone-user-id",
                                         "x-litellm-end-user-id",
                                         "x-litellm-customer-id", NULL };
    struct slice said = http_get(r, "x-slm-workload");
    struct slice who = clipped(http_get(r, "x-slm-client"));

    /* Who is known by a token is not called as it likes. */
    if (token)
        who = slice_of(token);
    proxy_set_text(x, TEXT_WORKLOAD, clipped(either(said, workload)));
    proxy_set_text(x, TEXT_CLIENT, who);
    said = either(first_of(r, conversations), baggage(r, "session.id"));
    said = either(said, baggage(r, "conversation.id"));
    proxy_set_text(x, TEXT_CONVERSATION, either(said, trace_of(r)));
    add_fingerprint(x, FINGERPRINT_USER,
                    either(first_of(r, users), baggage(r, "user.id")));
}

void proxy_facts_request(struct proxy_exchange *x, const struct http_request *r,
                         const struct proxy_target *t, const char *peer,
                         const char *token)
{
    struct slice key = key_of(r);
    struct buf kept = { .data = NULL };
    struct proxy_text in_query;
    char address[64];

    proxy_set_text(x, TEXT_UPSTREAM,
                   slice_of(t->route ? t->route->name : NULL));
    proxy_set_text(x, TEXT_METHOD, r->method);
    set_target(x, t->rest);
    proxy_set_text(x, TEXT_REQUEST_TYPE, clipped(http_get(r, "content-type")));
    proxy_set_text(x, TEXT_REQUEST_ENCODING,
                   clipped(http_get(r, "content-encoding")));
    set_names(x, r, slice_of(t->workload), token);
    if (!key.n && find_key(t->rest, &in_query))
        key = (struct slice){ t->rest.p + in_query.at, in_query.n };
    add_fingerprint(x, FINGERPRINT_KEY, key);
    http_client_address(r, peer, x->config->trusted, address);
    add_fingerprint(x, FINGERPRINT_ADDRESS, slice_of(address));
    add_fact(x, "target", proxy_get_text(x, TEXT_TARGET));
    add_kept(x, &kept, r->fields, r->field_count);
    if (kept.len)
        buf_printf(&x->facts, ",\"fields\":{%s}", kept.data);
    buf_release(&kept);
}

void proxy_facts_response(struct proxy_exchange *x,
                          const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (http_name_is(fields[i].name, "content-type"))
            proxy_set_text(x, TEXT_RESPONSE_TYPE, clipped(fields[i].value));
        else if (http_name_is(fields[i].name, "content-encoding"))
            proxy_set_text(x, TEXT_RESPONSE_ENCODING, clipped(fields[i].value));
    add_kept(x, &x->answer_facts, fields, count);
}

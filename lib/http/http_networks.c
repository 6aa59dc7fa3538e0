/*
 * http_networks.c - trusted networks, and whom a trusted peer speaks for
 *
 * Every address is taken as 16 bytes, IPv4 as IPv4-mapped IPv6, so that there
 * is one comparison. A list of proxies is read from its end: each hop vouches
 * for the one before it only as long as it is trusted itself.
 */
#include "http/http_private.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network {
    unsigned char bytes[16];
    unsigned bits;
};

struct http_networks {
    struct network *items;
    size_t count;
    bool has_unix;
};

static bool address_bytes(const char *text, unsigned char out[16], bool *v4)
{
    static const unsigned char mapped[12] = { [10] = 255, [11] = 255 };

    memcpy(out, mapped, 12);
    *v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (!*v4 && inet_pton(AF_INET6, text, out) != 1)
        return false;
    return true;
}

static bool read_network(const char *text, struct network *out)
{
    const char *slash = strchr(text, '/');
    char address[64], *end;
    unsigned most;
    long bits;
    bool v4;

    if ((slash ? (size_t)(slash - text) : strlen(text)) >= sizeof(address))
        return false;
    (void)snprintf(address, sizeof(address), "%.*s",
                   (int)(slash ? slash - text : (long)strlen(text)), text);
    if (!address_bytes(address, out->bytes, &v4))
        return false;
    most = v4 ? 32 : 128;
    bits = (long)most;
    if (slash) {
        if (slash[1] < '0' || slash[1] > '9')
            return false;
        bits = strtol(slash + 1, &end, 10);
        if (*end || bits > (long)most)
            return false;
    }
    out->bits = (unsigned)bits + (v4 ? 96 : 0);
    return true;
}

int http_networks_new(const char *const *texts, size_t count,
                      struct http_networks **out, struct err *err)
{
    struct http_networks *n = mem_zalloc(sizeof(*n));

    n->items = mem_array(count + 1, sizeof(*n->items));
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(texts[i], "unix")) {
            n->has_unix = true;
        } else if (!read_network(texts[i], &n->items[n->count++])) {
            http_networks_free(n);
            return err_set(err, ERR_INVALID,
                           "\"%s\" is no network: give 10.0.0.0/8, ::1 or "
                           "unix",
                           texts[i]);
        }
    }
    *out = n;
    return ERR_OK;
}

void http_networks_free(struct http_networks *n)
{
    if (!n)
        return;
    free(n->items);
    free(n);
}

static bool is_within(const struct network *n, const unsigned char a[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->bytes, a, whole) != 0)
        return false;
    return !rest || (n->bytes[whole] >> (8 - rest)) == (a[whole] >> (8 - rest));
}

bool http_networks_have(const struct http_networks *n, const char *address)
{
    unsigned char a[16];
    bool v4;

    if (!n)
        return false;
    if (!strcmp(address, "unix"))
        return n->has_unix;
    if (!address_bytes(address, a, &v4))
        return false;
    for (size_t i = 0; i < n->count; i++)
        if (is_within(&n->items[i], a))
            return true;
    return false;
}

/* An address as it stands in a list: maybe quoted, in brackets, with a port;
 * false if it is none ("unknown", an obfuscated name). */
static bool plain_address(struct slice s, char out[64])
{
    unsigned char raw[16];
    char *colon, *end;
    bool v4;

    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s.p++, s.n -= 2;
    if (s.n >= 64 || !s.n)
        return false;
    (void)snprintf(out, 64, "%.*s", (int)s.n, s.p);
    if (out[0] == '[') {
        end = strchr(out, ']');
        if (!end)
            return false;
        *end = '\0';
        memmove(out, out + 1, strlen(out + 1) + 1);
    } else if ((colon = strchr(out, ':')) && !strchr(colon + 1, ':')) {
        *colon = '\0';
    }
    return address_bytes(out, raw, &v4);
}

/* The value of for= in an element of Forwarded (RFC 7239). */
static struct slice forwarded_for(struct slice element)
{
    while (element.n) {
        const char *semi = memchr(element.p, ';', element.n);
        size_t n = semi ? (size_t)(semi - element.p) : element.n;
        struct slice pair = http_trim((struct slice){ element.p, n });

        if (pair.n > 4 && http_name_is((struct slice){ pair.p, 4 }, "for="))
            return (struct slice){ pair.p + 4, pair.n - 4 };
        n += semi != NULL;
        element.p += n;
        element.n -= n;
    }
    return (struct slice){ NULL, 0 };
}

/* All fields of a name, the last first. */
struct hops {
    const struct http_request *r;
    const char *name;
    size_t field;      /* those below it are still to be read */
    struct slice rest; /* of the field that is read now */
};

/* The right-most element that was not given out; false: no more. */
static bool hops_next(struct hops *h, struct slice *element)
{
    while (!h->rest.n) {
        if (h->field == 0)
            return false;
        h->field--;
        if (http_name_is(h->r->fields[h->field].name, h->name))
            h->rest = h->r->fields[h->field].value;
    }
    for (size_t i = h->rest.n; i > 0; i--)
        if (h->rest.p[i - 1] == ',') {
            *element =
                http_trim((struct slice){ h->rest.p + i, h->rest.n - i });
            h->rest.n = i - 1;
            return true;
        }
    *element = http_trim(h->rest);
    h->rest.n = 0;
    return true;
}

void http_client_address(const struct http_request *r, const char *peer,
                         const struct http_networks *trusted, char out[64])
{
    bool forwarded = http_get(r, "x-forwarded-for").p == NULL;
    struct hops h = { .r = r,
                      .name = forwarded ? "forwarded" : "x-forwarded-for",
                      .field = r->field_count };
    struct slice e;
    char address[64];

    (void)snprintf(out, 64, "%s", peer);
    while (http_networks_have(trusted, out) && hops_next(&h, &e)) {
        if (forwarded)
            e = forwarded_for(e);
        if (!plain_address(e, address))
            return;
        (void)snprintf(out, 64, "%s", address);
    }
}

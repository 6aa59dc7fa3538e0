/*
 * fuzz_http.c - a connection's bytes: heads, bodies, PROXY headers
 *
 * What is read in one piece must read the same byte by byte, and a head that
 * was taken must be free of what smuggles.
 */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const struct http_request *r)
{
    size_t hosts = 0, codings = 0, lengths = 0;

    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];

        if (memchr(f->name.p, ' ', f->name.n) ||
            memchr(f->value.p, '\n', f->value.n) ||
            memchr(f->value.p, '\r', f->value.n))
            abort();
        hosts += http_name_is(f->name, "host");
        codings += http_name_is(f->name, "transfer-encoding");
        lengths += http_name_is(f->name, "content-length");
    }
    if (hosts > 1 || codings + lengths > 1 || !r->target.n ||
        r->target.p[0] != '/' || (r->framing == HTTP_CHUNKED && !codings))
        abort();
}

static int body(const struct http_request *r, struct slice bytes, size_t step,
                uint64_t *total)
{
    struct http_body b;
    struct slice piece;
    struct err err;
    size_t used;
    int rc = 0;

    http_body_begin(&b, r->framing, r->length);
    while (rc == 0 && bytes.n) {
        struct slice in = { bytes.p, bytes.n < step ? bytes.n : step };

        rc = http_body_take(&b, in, &used, &piece, &err);
        if (rc == 0 && used == 0)
            abort();
        bytes.p += used;
        bytes.n -= used;
    }
    *total = b.total;
    return rc;
}

static void check_body(const struct http_request *r, struct slice rest)
{
    uint64_t whole, single;

    if (body(r, rest, rest.n ? rest.n : 1, &whole) !=
            body(r, rest, 1, &single) ||
        whole != single)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_request whole, single;
    struct slice bytes = { (const char *)data, size };
    struct http_refusal why;
    struct http_peer peer;
    struct err err;
    size_t used = 0, again = 0;
    int rc, one = 0;

    if (!size || size > 1 << 16)
        return 0;
    memset(&whole, 0, sizeof(whole));
    memset(&single, 0, sizeof(single));
    rc = http_request_parse(&whole, bytes, &used, &why);
    for (size_t n = 1; one == 0 && n <= size; n++)
        one = http_request_parse(&single, (struct slice){ bytes.p, n }, &again,
                                 &why);
    if (rc != one || (rc == 1 && used != again))
        abort();
    if (rc == 1) {
        check_head(&whole);
        check_body(&whole, (struct slice){ bytes.p + used, size - used });
    }
    (void)!http_proxy_header(bytes, &peer, &used, &err);
    return 0;
}

/*
 * http.h - HTTP/1.x as RFC 9112 says it, for the side that is asked
 *
 * Bytes of a connection in, request heads and bodies out; nothing here reads
 * or writes a descriptor. Where the RFC lets a server be lenient, this one is
 * not: what two readers could understand in two ways is refused and the
 * connection is to be closed, because a proxy and the upstream behind it must
 * never disagree about where a request ends.
 * May use: base.
 */
#ifndef HTTP_H
#define HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define HTTP_HEAD_MAX ((size_t)64 << 10) /* request line and fields */
#define HTTP_TARGET_MAX 8192
#define HTTP_METHOD_MAX 32
#define HTTP_FIELDS_MAX 200
#define HTTP_CHUNK_LINE_MAX 1024 /* chunk-size with extensions */
#define HTTP_TRAILER_MAX ((size_t)16 << 10)

struct http_field {
    struct slice name, value; /* as sent; white space around value is off */
};

enum http_framing {
    HTTP_EMPTY,   /* no body */
    HTTP_LENGTH,  /* Content-Length */
    HTTP_CHUNKED, /* Transfer-Encoding: chunked */
};

/* A request head. Slices point into the bytes that were parsed. */
struct http_request {
    struct slice method, target; /* target in origin form: "/path?query" */
    struct slice host;           /* of Host, or of the absolute form */
    int minor;                   /* HTTP/1.minor: 0 or 1 */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t field_count;
    enum http_framing framing;
    uint64_t length;      /* of HTTP_LENGTH */
    bool keep_alive;      /* by version and Connection */
    bool expect_continue; /* Expect: 100-continue */
    bool websocket;       /* asks to become one */
    size_t seen;          /* bytes that were looked through; starts as 0 */
};

/* What to answer to a request that is refused: 400, 414, 417, 431, 501 or
 * 505. All close the connection. */
struct http_refusal {
    int status;
    struct err err; /* why, one line: "header field name ends in a space" */
};

/* Parse a head at the start of `bytes`. 1: it is whole, *used bytes with the
 * empty line; 0: more bytes are needed (a head that cannot become valid any
 * more is refused at once, not only when it is whole); ERR_FORMAT or
 * ERR_LIMIT: refused. One empty line before the request line is skipped. *r is
 * zeroed before the first call of a request, not between those for more
 * bytes, so that the work is linear however they come. */
MUST_CHECK int http_request_parse(struct http_request *r, struct slice bytes,
                                  size_t *used, struct http_refusal *why);

/* Value of the first field of this name (any case); NULL p if there is none.
 */
struct slice http_get(const struct http_request *r, const char *name);
bool http_name_is(struct slice name, const char *lower); /* any case */
/* The next element of a comma-separated list, without white space; false at
 * its end. Empty elements are skipped. */
bool http_list_next(struct slice *rest, struct slice *element);
/* Must not be passed on: Connection and what it names, Keep-Alive,
 * Proxy-Connection, Proxy-Authorization, Proxy-Authenticate, TE, Trailer,
 * Transfer-Encoding, Upgrade (RFC 9110 section 7.6.1). connection: the value
 * of the message's Connection fields, joined by commas. */
bool http_is_hop_by_hop(struct slice name, struct slice connection);

/* The body of a message, piece by piece. A zeroed struct is not ready. */
struct http_body {
    enum http_framing framing;
    int state;
    uint64_t left; /* of the body or of the chunk */
    size_t line;   /* bytes of the chunk line or the trailer so far */
    uint64_t total;
    uint64_t digits;
};
void http_body_begin(struct http_body *b, enum http_framing framing,
                     uint64_t length);
/* Take from the start of `bytes`: *used of them, of which `data` (a slice of
 * `bytes`, may be empty) belongs to the body. 1: the body has ended, with its
 * trailer, which is dropped; 0: call again with the rest, or with more;
 * ERR_FORMAT or ERR_LIMIT: bad chunk. It always moves on or returns 0 with
 * *used 0 for want of bytes. */
MUST_CHECK int http_body_take(struct http_body *b, struct slice bytes,
                              size_t *used, struct slice *data,
                              struct err *err);

/* The head of a response. reason may be NULL. Fields follow, then
 * http_head_end. */
void http_head_begin(struct buf *out, int minor, int status,
                     const char *reason);
/* Nothing is written for a name or value that HTTP does not allow: false. */
bool http_head_field(struct buf *out, struct slice name, struct slice value);
void http_head_end(struct buf *out);
const char *http_reason(int status); /* "" for one that is not known */
/* Date: now, in the form of RFC 9110; made once a second. */
void http_head_date(struct buf *out, int64_t wall_us);
/* The head of a response that is made here: its status, the date, and type
 * and length of its body. Fields follow, then http_head_end. */
void http_head_begin_own(struct buf *out, int status, int64_t wall_us,
                         const char *content_type, size_t length);
/* Frame a piece of a body as a chunk; no bytes: the last chunk. */
void http_chunk(struct buf *out, struct slice data);

/* A date-time of RFC 9110 section 5.6.7, 29 characters. */
void http_date(int64_t wall_us, char out[30]);

/* PROXY protocol, as its specification says, versions 1 and 2. 1: a header of
 * *used bytes; 0: more bytes are needed; ERR_FORMAT: no such header. */
#define HTTP_PROXY_HEADER_MAX 4096
struct http_peer {
    bool known;       /* false: LOCAL or UNKNOWN */
    char address[64]; /* in text, no port */
    int port;
};
MUST_CHECK int http_proxy_header(struct slice bytes, struct http_peer *out,
                                 size_t *used, struct err *err);

/* Networks in CIDR notation; "unix" stands for peers of unix sockets. */
struct http_networks;
MUST_CHECK int http_networks_new(const char *const *texts, size_t count,
                                 struct http_networks **out, struct err *err);
void http_networks_free(struct http_networks *n); /* NULL is fine */
/* address: in text; IPv4-mapped IPv6 counts as IPv4. */
bool http_networks_have(const struct http_networks *n, const char *address);
/* Who asked: the right-most address of X-Forwarded-For, else Forwarded, that
 * is not in `trusted`, if `peer` itself is; else peer. */
void http_client_address(const struct http_request *r, const char *peer,
                         const struct http_networks *trusted, char out[64]);

#endif

/*
 * upstream.h - requests to other servers, many at once on one thread
 *
 * The one home of libcurl (multi interface): TLS, connection pools, egress
 * proxies, DNS, HTTP/2 where it is asked for. One struct upstream belongs to
 * one thread and is driven by that thread's event loop: its descriptor becomes
 * readable when there is something to do. Redirects are not followed, bodies
 * are not unpacked, only http and https are spoken.
 * May use: base http.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "http/http.h"

struct upstream;
struct upstream_transfer;

struct upstream_options {
    int64_t connect_ms;    /* until connected, TLS included */
    int64_t first_byte_ms; /* until the answer begins; 0: no limit */
    int64_t idle_ms;       /* between bytes of an answer; 0: no limit */
    bool http2;
    const char *ca_file;  /* NULL: the system's */
    const char *proxy;    /* NULL: none; http://, socks5h:// ... */
    const char *no_proxy; /* hosts that are reached directly; NULL */
    bool proxy_for_https; /* http:// URLs are reached directly as well */
    unsigned connections; /* kept open at most, of one thread */
};

MUST_CHECK int upstream_new(const struct upstream_options *o,
                            struct upstream **out, struct err *err);
/* For transfers that begin from now on; those that run keep their limits. */
void upstream_reload(struct upstream *u, const struct upstream_options *o);
void upstream_free(struct upstream *u); /* aborts what runs; NULL is fine */
/* Poll for reading; after it, or after upstream_wait_ms, upstream_step. */
int upstream_fd(const struct upstream *u);
int upstream_wait_ms(const struct upstream *u); /* -1: no timer */
void upstream_step(struct upstream *u);         /* calls the callbacks below */

enum upstream_result {
    UPSTREAM_DONE,      /* a whole answer */
    UPSTREAM_UNREACHED, /* name, connection, TLS: no request was sent whole */
    UPSTREAM_TIMEOUT,   /* before the answer, or silent within it */
    UPSTREAM_CUT,       /* the connection ended within the answer */
    UPSTREAM_BAD,       /* the answer is no HTTP */
    UPSTREAM_ABORTED,   /* by upstream_abort */
};

/* Times in microseconds since the transfer began; -1: did not come to it. */
struct upstream_times {
    int64_t connected, first_byte, last_byte;
};

struct upstream_request {
    struct slice method;
    const char *url;                 /* whole */
    const struct http_field *fields; /* as they go out, no Host, no framing */
    size_t field_count;
    enum http_framing framing; /* of the body that `body` gives */
    uint64_t length;
    bool waits;    /* nothing goes out before upstream_send */
    bool is_named; /* the configuration names this host: a private, loopback
                    * or link-local address is meant */
    void *ctx;
    /* The head: final responses only (1xx stay here). Fields are valid during
     * the call. */
    void (*head)(void *ctx, int status, const struct http_field *fields,
                 size_t field_count, enum http_framing framing,
                 uint64_t length);
    /* Bytes of the body as they came off the chunked coding. False: no room;
     * the same bytes come again after upstream_resume. */
    bool (*data)(void *ctx, struct slice bytes);
    /* Up to n bytes of the request's body: how many; 0: its end; -1: none yet,
     * upstream_resume tells when; -2: abort. */
    int64_t (*body)(void *ctx, char *p, size_t n);
    /* Begin the body again: a connection that was kept open proved dead.
     * False: its beginning is gone, and the transfer fails. */
    bool (*rewind)(void *ctx);
    /* Last call; the transfer is gone after it. why: of a failure. */
    void (*end)(void *ctx, enum upstream_result result,
                const struct upstream_times *times, const char *why);
};
MUST_CHECK int upstream_begin(struct upstream *u,
                              const struct upstream_request *r,
                              struct upstream_transfer **out, struct err *err);
/* A transfer that waits: begin. whole: the body, all of it, valid until the
 * end, and sent in one piece with the head if it is short; of 0 bytes: `body`
 * gives it. On failure the transfer is gone. */
MUST_CHECK int upstream_send(struct upstream_transfer *t, struct slice whole,
                             struct err *err);
/* Room for data again, or bytes of the body. May call back at once. */
void upstream_resume(struct upstream_transfer *t);
/* Closes its connection; `end` is not called. */
void upstream_abort(struct upstream_transfer *t);

#endif

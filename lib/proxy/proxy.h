/*
 * proxy.h - the logging reverse proxy: listeners, routes, limits, admin
 *
 * Each worker thread has an epoll loop, its clients' connections and its own
 * upstream connections; a connection stays with the worker that accepted it.
 * Bytes pass unmodified in both directions with back pressure (a slow reader
 * stops the writer at 256 KiB); a copy is kept for the recorder, and nothing
 * is parsed, scrubbed or stored before the last byte has been passed on. The
 * configuration is fixed but for proxy_reload; no client can choose a target.
 * May use: base json crypto http upstream wire recorder.
 */
#ifndef PROXY_H
#define PROXY_H

#include "crypto/crypto.h"
#include "http/http.h"
#include "recorder/recorder.h"
#include "upstream/upstream.h"

#define PROXY_UPSTREAMS_MAX 64
#define PROXY_LISTENERS_MAX 64
#define PROXY_NAME_MAX 64     /* of an upstream, a workload in the path */
#define PROXY_HEADER_MAX 1024 /* bytes kept of one header field */

struct proxy_upstream {
    const char *name; /* NULL: what no other is meant by */
    const char *url;  /* "https://api.openai.com", may have a path */
    bool is_private;  /* its name may lead to a private address */
};

enum proxy_abort {
    PROXY_CANCEL, /* the upstream's connection is closed at once */
    PROXY_DRAIN,  /* the answer is read to its end and recorded */
};

struct proxy_options {
    /* "127.0.0.1:8787", "[::1]:0", "unix:/run/x.sock", "fd:3" (inherited,
     * listening). Port 0: see proxy_address. */
    const char *const *listeners;
    size_t listener_count;
    const char *admin; /* the same; NULL: none */
    const struct proxy_upstream *upstreams;
    size_t upstream_count;
    struct upstream_options client; /* towards upstreams */
    unsigned threads;
    unsigned connections;     /* of clients, all threads */
    uint64_t body_max;        /* of a request */
    uint64_t capture_max;     /* of one body's copy */
    uint64_t capture_total;   /* of all copies in memory */
    int64_t head_ms, idle_ms; /* to send a head; between requests */
    int64_t send_ms;          /* a client that reads nothing */
    enum proxy_abort abort;
    bool sync;                  /* the last byte waits for the recorder */
    bool proxy_header;          /* PROXY protocol, from `trusted` only */
    bool may_skip_log;          /* X-SLM-No-Log is honoured */
    const char *const *trusted; /* networks, "unix" */
    size_t trusted_count;
    const char *const *keep_fields; /* header fields to log, lower case */
    size_t keep_field_count;
    const char *tokens; /* file of client tokens' hashes; NULL: open to all */
    const struct crypto_key *fingerprints; /* of keys, addresses, users */
};

/* How the log knows a client's "key", "address" or "user". */
#define PROXY_FINGERPRINT_CHARS 16
void proxy_fingerprint(const struct crypto_key *key, const char *kind,
                       struct slice value,
                       char out[PROXY_FINGERPRINT_CHARS + 1]);

struct proxy;
/* Binds and listens; nothing is accepted before proxy_run. The options are
 * copied. */
MUST_CHECK int proxy_new(const struct proxy_options *o, struct recorder *rec,
                         struct proxy **out, struct err *err);
/* The recorder, if proxy_new had none; before proxy_run. */
void proxy_record(struct proxy *p, struct recorder *rec);
/* After recorder_close, which may still tell of exchanges. NULL is fine. */
void proxy_free(struct proxy *p);
/* Where a listener is bound, with the port that it was given. */
const char *proxy_address(const struct proxy *p, size_t listener);
/* Serves until proxy_stop: then accepts nothing, lets what runs end for
 * grace_ms, and returns. */
MUST_CHECK int proxy_run(struct proxy *p, struct err *err);
/* From a signal's handler or another thread. */
void proxy_stop(struct proxy *p, int64_t grace_ms);
/* New upstreams, limits, tokens for requests that begin from now on;
 * listeners stay. On failure all stays as it was. Any thread. */
MUST_CHECK int proxy_reload(struct proxy *p, const struct proxy_options *o,
                            struct err *err);

#endif

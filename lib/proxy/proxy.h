/*
 * proxy.h - the logging reverse proxy: listeners, routes, limits, admin
 *
 * Each worker thread has an epoll loop, its clients' connections and its own
 * upstream connections; a connection stays with the worker that accepted it.
 * Bytes pass unmodified in both directions with back pressure (a slow reader
 * stops the writer at 256 KiB); a copy is kept for the recorder, and nothing
 * is parsed, scrubbed or stored before the last byte has been passed on. The
 * configuration is fixed but for proxy_reload; no client can choose a target.
 * A program that has models of its own answers through struct proxy_local:
 * the same listeners, parser, limits, recorder and shutdown serve both.
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

/* Where a request is meant to go. */
struct proxy_route;
struct proxy_target {
    const struct proxy_route *route; /* NULL: no upstream is meant */
    struct slice rest; /* of the path and query: goes to the upstream */
    char workload[PROXY_NAME_MAX + 1]; /* of /w/NAME/, decoded; or empty */
};

/* What a local handler is shown; valid while it is called. */
struct proxy_seen {
    const struct http_request *request;
    const struct proxy_target *target;
    const char *token;         /* the client's name by its token, or NULL */
    const char *id;            /* of the call; NULL before it is announced, and
                                * beside the log */
    struct slice conversation; /* as the header fields name it, or empty */
    struct slice body;         /* whole, as it came; empty for `head` */
    bool aside;                /* `head` said so: there is no body */
};

enum proxy_take {
    PROXY_PASS,  /* upstream, untouched */
    PROXY_BODY,  /* answered here, or decided with the body */
    PROXY_ASIDE, /* answered here without the body, and not logged: lists of
                  * models, health, refusals that need not wait for it */
};

/* How an answer of an upstream ended. */
struct proxy_answer {
    int status;                  /* 0: none came */
    struct slice type, encoding; /* Content-Type, Content-Encoding */
    struct slice body;           /* as it came; a stream as its events */
    bool cut;                    /* longer than what was captured */
    enum wire_end end;
    int64_t first_byte_us, latency_us; /* since the request's head */
};

/* Requests that may be answered here. All are called on workers' threads and
 * must not wait; answers come from any thread through the reply. */
struct proxy_reply;
struct proxy_local {
    void *ctx;
    /* A body that is longer goes upstream as it comes; where none is meant it
     * is refused with 413. 0: as long as any may be. */
    uint64_t body_max;
    /* Which scope a client's token needs for this request; NULL, or a NULL
     * answer: "proxy". */
    const char *(*scope)(void *ctx, const struct http_request *r);
    /* When a head is whole. Decides and does no more: a request that has to
     * wait for the recorder is shown again. */
    enum proxy_take (*head)(void *ctx, const struct proxy_seen *s);
    /* With the body, or aside. PROXY_PASS: upstream after all, with the
     * client's bytes, unchanged, and the reply is no more. Else the reply is
     * the handler's, which ends it by proxy_reply_end or proxy_reply_pass. */
    enum proxy_take (*take)(void *ctx, const struct proxy_seen *s,
                            struct proxy_reply *r);
    /* Nothing of this reply is wanted any more: its client has left, or the
     * proxy stops at once. It must be ended nevertheless. May come while
     * another thread is ending it: look up what belongs to it under a lock. */
    void (*gone)(void *ctx, struct proxy_reply *r);
    /* A request that take has seen went upstream, and its answer has ended
     * and is recorded next. May be NULL. */
    void (*answered)(void *ctx, const struct proxy_seen *s,
                     const struct proxy_answer *a);
    void (*metrics)(void *ctx, struct buf *out); /* of /metrics, or NULL */
    int (*reload)(void *ctx, struct err *err);   /* POST /reload, or NULL */
};

/* Of one reply, any thread, one after another: the head, data, the end.
 * length -1: a stream. Fields that HTTP does not allow are left out. */
void proxy_reply_head(struct proxy_reply *r, int status,
                      const char *content_type, int64_t length,
                      const struct http_field *fields, size_t count);
/* The bytes are copied. False: the client reads slowly, 256 KiB wait for it;
 * they are taken all the same, so who goes on must have a bound of its own. */
bool proxy_reply_data(struct proxy_reply *r, struct slice bytes);
/* Ends it; the reply is no more. It is recorded as a call of `upstream`
 * ("slm:MODEL"); facts: members of a JSON object that are kept with the
 * answer (slmctl-exchange(5)), or empty. whole false: the answer broke off. */
void proxy_reply_end(struct proxy_reply *r, const char *upstream,
                     struct slice facts, bool whole);
/* Before a head: the request goes upstream after all; facts are kept with the
 * exchange. route: what X-SLM-Route of its answer says, whatever the upstream
 * says there; NULL: nothing. The reply is no more. */
void proxy_reply_pass(struct proxy_reply *r, const char *route,
                      struct slice facts);

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
    bool spool;                 /* until it has taken the call, no longer */
    bool proxy_header;          /* PROXY protocol, from `trusted` only */
    bool may_skip_log;          /* X-SLM-No-Log is honoured */
    const char *const *trusted; /* networks, "unix" */
    size_t trusted_count;
    const char *const *keep_fields; /* header fields to log, lower case */
    size_t keep_field_count;
    const char *tokens; /* file of client tokens' hashes; NULL: open to all */
    const struct crypto_key *fingerprints; /* of keys, addresses, users */
    /* Who answers here; fixed when the proxy is made. NULL: nobody, and there
     * must be an upstream. With it, and without any upstream, a bearer of
     * Authorization or x-api-key is taken as a client's token; and on
     * listeners of loopback addresses, inherited ones too, Host must name this
     * machine or be one of `hosts` (names without a port, any case), so that
     * no page of a browser gets here under a name of its own. */
    const struct proxy_local *local;
    const char *const *hosts;
    size_t host_count;
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
/* After recorder_close, which may still tell of exchanges, and when all replies
 * have ended. NULL is fine. */
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

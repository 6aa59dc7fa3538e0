/* proxy_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef PROXY_PRIVATE_H
#define PROXY_PRIVATE_H

#include "base/clock.h"
#include "proxy/proxy.h"

#include <pthread.h>
#include <stdatomic.h>

#define HIGH_WATER ((size_t)256 << 10) /* a sender is stopped here */
#define LOW_WATER ((size_t)64 << 10)   /* and goes on here */
#define MARKS_MAX 1024                 /* of one exchange */
#define AT_ONCE_MAX                                                            \
    ((size_t)60 << 10) /* of a body that goes up in one piece                  \
                        */
#define QUIET_MS 250   /* an idle connection's last chance when it stops */
#define ACCEPT_MAX 16  /* connections in a row */
#define ADMIN_MORE 16  /* who watches is let in when nobody else is */
#define LINGER_MS 2000 /* to read what a refused client sends */

/* What one kind of API is called, by its paths. */
enum proxy_dialect {
    PROXY_ANY,
    PROXY_OPENAI,
    PROXY_ANTHROPIC,
    PROXY_GEMINI,
    PROXY_OLLAMA,
};

/* What is only kept as a keyed hash. */
enum { FINGERPRINT_KEY, FINGERPRINT_ADDRESS, FINGERPRINT_USER, FINGERPRINTS };
extern const char *const proxy_fingerprint_names[FINGERPRINTS];

struct proxy_route {
    char *name; /* NULL: the default */
    char *url;  /* without "/" at its end */
    enum proxy_dialect dialect;
    bool is_named; /* the url has an address or localhost */
};

/* The configuration of requests that begin now; those that run keep theirs. */
struct proxy_config {
    atomic_uint users;
    struct proxy_options o; /* numbers; of its pointers only client's */
    char *ca_file, *egress, *no_proxy; /* what o.client points to */
    struct proxy_route *routes;
    size_t route_count;
    struct http_networks *trusted;
    char **keep_fields;
    size_t keep_field_count;
    struct proxy_tokens *tokens; /* NULL: open to all */
    char **hosts;                /* that Host may name on loopback listeners */
    size_t host_count;
    struct crypto_key keys[FINGERPRINTS]; /* derived, one for each kind */
};
MUST_CHECK int proxy_config_new(const struct proxy_options *o,
                                struct proxy_config **out, struct err *err);
struct proxy_config *proxy_config_hold(struct proxy *p); /* today's */
void proxy_config_drop(struct proxy_config *c);

/* Who may use the proxy: lines of "SHA-256 in hexadecimal, NAME, scopes". */
MUST_CHECK int proxy_tokens_read(const char *path, struct proxy_tokens **out,
                                 struct err *err);
void proxy_tokens_free(struct proxy_tokens *t); /* NULL is fine */
/* Name of the token that the request carries (X-SLM-Token, else a bearer of
 * Proxy-Authorization) if it has the scope; NULL: none, and *known whether it
 * is one of ours that has not. Who may ask models may list them. as_key:
 * nothing goes upstream, so that what clients send as their key (a bearer of
 * Authorization, x-api-key) is a token of ours. */
const char *proxy_tokens_find(const struct proxy_tokens *t,
                              const struct http_request *r, const char *scope,
                              bool as_key, bool *known);

/* Counters of the whole proxy; workers add, the admin listener reads. */
#define PROXY_BUCKETS 14
extern const double proxy_bucket_bounds[PROXY_BUCKETS]; /* seconds */
struct proxy_histogram {
    atomic_uint_least64_t buckets[PROXY_BUCKETS + 1], sum_us;
};
void proxy_histogram_add(struct proxy_histogram *h, int64_t us);
struct proxy_metrics {
    atomic_uint_least64_t connections, requests, refused, chunks;
    atomic_uint_least64_t starved;    /* rests for want of a descriptor */
    atomic_uint_least64_t answers[6]; /* by hundreds of their status */
    atomic_uint_least64_t ends[6];    /* by enum wire_end */
    atomic_uint_least64_t bytes_up, bytes_down;
    atomic_int_least64_t open, active, captured;
    struct proxy_histogram first_byte, duration;
};

enum proxy_kind { PROXY_LISTENER, PROXY_CLIENT, PROXY_INBOX, PROXY_PEERS };
struct proxy_watch { /* what an epoll event points to */
    enum proxy_kind kind;
};

struct proxy_listener {
    struct proxy_watch watch;
    int fd;
    bool is_unix, is_admin, is_inherited, is_loopback;
    char *address; /* as bound */
    char *path;    /* of a unix socket that was made here */
};

struct proxy_text {
    size_t at, n;
};
enum {
    TEXT_UPSTREAM,
    TEXT_METHOD,
    TEXT_TARGET,
    TEXT_WORKLOAD,
    TEXT_CLIENT,
    TEXT_CONVERSATION,
    TEXT_REQUEST_TYPE,
    TEXT_REQUEST_ENCODING,
    TEXT_RESPONSE_TYPE,
    TEXT_RESPONSE_ENCODING,
    TEXT_ROUTE, /* of X-SLM-Route; empty: the upstream's, if any */
    TEXTS,
};

/* Where a request is that a local handler wants to see. */
enum proxy_stage {
    STAGE_UPSTREAM, /* it does not, or has passed it on */
    STAGE_HELD,     /* its body comes */
    STAGE_OPEN,     /* it has a reply */
    STAGE_DRAINED,  /* answered while its body still came */
};

/* A request on its way. It outlives its client where the answer is drained or
 * the recorder is waited for. */
struct proxy_exchange {
    struct proxy_worker *worker;
    struct proxy_client *client; /* NULL: gone */
    struct proxy_config *config;
    struct upstream_transfer *transfer; /* NULL: ended */
    struct proxy_reply *reply; /* of a local handler; NULL: none is open */
    enum proxy_stage stage;
    bool aside;    /* beside the log, without its body */
    bool was_seen; /* by take */
    const char *token;
    struct buf head; /* the request's, for later readers */
    struct proxy_exchange *next, *previous;
    char id[RECORDER_ID_CHARS + 1];
    struct buf texts;
    struct proxy_text text[TEXTS];
    struct buf facts;        /* members of a JSON object */
    struct buf answer_facts; /* the same, of the answer */
    struct http_body body;
    struct buf request, response; /* copies; request also feeds the upstream */
    size_t dropped, sent;         /* of the request's bytes */
    uint64_t received;            /* of the answer's body */
    struct wire_mark *marks;
    size_t mark_count, mark_cap;
    enum http_framing framing; /* of the answer, downstream */
    uint64_t length;
    int64_t begin_ns, begin_us, first_byte_us, latency_us;
    int status; /* of the answer; 0: none */
    int minor;
    bool keep_alive, body_whole, waits, wants_body, paused, head_only;
    bool request_cut, response_cut, no_bodies, client_left, submitted;
    bool answered;       /* by an error of ours */
    struct buf withheld; /* the end of the answer, until it is recorded */
    enum wire_end end;
};

enum proxy_phase {
    PHASE_PEER,   /* a PROXY header is to come */
    PHASE_HEAD,   /* a request head is */
    PHASE_BUSY,   /* an exchange runs */
    PHASE_LINGER, /* answered, reading to the end */
    PHASE_CLOSED,
};

struct proxy_client {
    struct proxy_watch watch;
    struct proxy_worker *worker;
    struct proxy_client *next, *previous;
    struct proxy_client *next_dirty, *next_dead;
    const struct proxy_listener *listener;
    struct proxy_exchange *exchange;
    int fd;
    unsigned events; /* asked of epoll */
    enum proxy_phase phase;
    char peer[64];
    struct buf in, out;
    size_t taken, written; /* of in and out */
    size_t seen;           /* of the head, see http_request */
    int64_t since_ns;      /* of this phase, or the last progress */
    bool dirty, close_after, blocked, eof;
};

/* What other threads give, in order: exchanges that are recorded, replies
 * that have more to say; and connections. */
struct proxy_item {
    struct proxy_exchange *exchange; /* NULL: a reply */
    struct proxy_reply *reply;
    bool kept;
};
struct proxy_inbox {
    struct proxy_watch watch;
    pthread_mutex_t lock;
    int fd;                           /* eventfd */
    struct proxy_item *items, *taken; /* taken: those that are dealt with */
    size_t count, cap, taken_cap;
    struct proxy_client *newcomers; /* by next_dirty */
    bool closed;                    /* nobody is served here any more */
};

struct proxy_worker {
    struct proxy *proxy;
    pthread_t thread;
    bool started;
    int epoll;
    struct proxy_watch peers; /* the upstreams' descriptor */
    struct upstream *upstream;
    bool stirred;                /* the upstreams have something to do */
    bool rests;                  /* accepts nobody until the next sweep */
    struct proxy_config *config; /* that upstream has its options of */
    struct proxy_inbox inbox;
    struct proxy_client *clients, *dirty, *dead;
    atomic_uint client_count; /* with newcomers */
    struct proxy_exchange *exchanges;
    struct http_request request; /* the one that is parsed now */
    char *input;                 /* INPUT_BYTES to read into */
    int64_t swept_ns;
    unsigned blocked;
    struct err err;
};

struct proxy {
    struct recorder *recorder;
    const struct proxy_local *local; /* NULL: all goes upstream */
    atomic_size_t replies;           /* that have not ended */
    struct proxy_listener *listeners;
    size_t listener_count;
    struct proxy_worker *workers;
    size_t worker_count;
    pthread_mutex_t lock; /* of config */
    struct proxy_config *config;
    struct proxy_metrics metrics;
    int64_t started_us;
    atomic_bool stopping;
    _Atomic int64_t quiet_ns; /* when idle connections go, once it stops */
    _Atomic int64_t stop_by_ns;
};

/* proxy_worker.c */
MUST_CHECK int proxy_worker_new(struct proxy *p, struct proxy_worker *w,
                                struct err *err);
void proxy_worker_release(struct proxy_worker *w);
void *proxy_worker_run(void *worker);
/* New transfers of the worker go by today's configuration. */
void proxy_worker_use(struct proxy_worker *w, struct proxy_config *config);
/* No descriptor is left: accepts nobody for a tenth of a second. */
void proxy_worker_rest(struct proxy_worker *w);
void proxy_worker_wake(struct proxy_worker *w);

/* proxy_client.c */
/* A connection that another worker accepted, or this one. */
void proxy_client_join(struct proxy_client *c);
/* True: more may wait. */
bool proxy_client_accept(struct proxy_worker *w,
                         const struct proxy_listener *l);
void proxy_client_event(struct proxy_client *c, unsigned events);
/* Parse and serve what has been read; after a blocked or ended request. */
void proxy_client_go_on(struct proxy_client *c);
void proxy_client_mark(struct proxy_client *c); /* has bytes to write */
void proxy_client_flush(struct proxy_client *c);
void proxy_client_close(struct proxy_client *c);
void proxy_client_sweep(struct proxy_client *c, int64_t now_ns,
                        const struct proxy_options *o);
/* An answer of ours, "message" in an error object; closes if it must. */
void proxy_client_refuse(struct proxy_client *c, int status, const char *type,
                         const char *message, bool close);

/* It stops, and idle connections have had their moment. */
bool proxy_is_quiet(struct proxy *p, int64_t now_ns);

static inline struct proxy_metrics *
proxy_metrics_of(const struct proxy_exchange *x)
{
    return &x->worker->proxy->metrics;
}

static inline int64_t proxy_exchange_us(const struct proxy_exchange *x)
{
    return (clock_mono_ns() - x->begin_ns) / 1000;
}

/* The end of the answer waits for the recorder. */
static inline bool proxy_withholds(const struct proxy_exchange *x)
{
    return (x->config->o.sync || x->config->o.spool) && !x->aside;
}

/* proxy_answer.c: callbacks of an upstream; ctx is the exchange. */
void proxy_answer_head(void *ctx, int status, const struct http_field *fields,
                       size_t count, enum http_framing framing,
                       uint64_t length);
bool proxy_answer_data(void *ctx, struct slice bytes);
/* The same, however much the client has not read; what is behind the last. */
void proxy_answer_add(struct proxy_exchange *x, struct slice bytes);
void proxy_answer_last(struct proxy_exchange *x);
void proxy_answer_end(void *ctx, enum upstream_result result,
                      const struct upstream_times *times, const char *why);

/* proxy_exchange.c: add to a copy, within this exchange's and everyone's
 * limit. */
MUST_CHECK bool proxy_exchange_capture(struct proxy_exchange *x,
                                       struct buf *copy, struct slice bytes);
/* Nothing more comes: count, record, let the client go on. */
void proxy_exchange_finish(struct proxy_exchange *x, enum wire_end end);

/* The request w->request of c, whose head has so many bytes. False: it was
 * refused, and answered; or must wait (c->blocked). */
bool proxy_exchange_begin(struct proxy_client *c, size_t head);
/* What was held back goes upstream. False: that was refused, and answered. */
bool proxy_exchange_pass(struct proxy_exchange *x);
/* Bytes of the request's body that c has read. False: they are no body, and
 * that was answered. */
bool proxy_exchange_feed(struct proxy_exchange *x);
/* What waited for the rest of the body goes up without it. False: it has not
 * begun, and that was answered. */
bool proxy_exchange_send(struct proxy_exchange *x);
/* The client's body cannot be taken: answer, if nothing is answered yet, end
 * its connection and the upstream's. */
void proxy_exchange_refuse(struct proxy_exchange *x, int status,
                           const char *type, const char *message);
void proxy_exchange_drained(struct proxy_exchange *x); /* c->out has room */
void proxy_exchange_leave(struct proxy_exchange *x);   /* the client is gone */
void proxy_exchange_recorded(struct proxy_exchange *x, bool kept);
void proxy_exchange_free(struct proxy_exchange *x);
void proxy_exchange_abort(struct proxy_exchange *x, enum wire_end end);

/* proxy_local.c: what the handler says of a request whose head is whole. */
enum proxy_take proxy_local_choose(struct proxy_client *c,
                                   const struct proxy_target *t,
                                   const char *token);
/* The body is whole, or is not waited for. False: refused, and answered. */
bool proxy_local_take(struct proxy_exchange *x);
/* The handler is told that nothing of its reply is wanted; what it still says
 * goes nowhere. detach: the exchange does not wait for its end, either. */
void proxy_local_gone(struct proxy_exchange *x, bool detach);
void proxy_local_drained(struct proxy_exchange *x);
/* The exchange's answer, before it is recorded. */
void proxy_local_answered(struct proxy_exchange *x);
/* More of a reply has come. */
void proxy_local_deliver(struct proxy_reply *r);
/* The head that was kept, as w->request, and where it is to go. */
MUST_CHECK int proxy_local_target(struct proxy_exchange *x,
                                  struct proxy_target *t, struct err *err);

/* proxy_host.c: whether Host names this machine, or one that is allowed, where
 * that matters. */
bool proxy_host_fits(const struct proxy_client *c);
bool proxy_host_is_loopback(struct slice address);

/* proxy_route.c */
/* ERR_NOTFOUND: none is meant; ERR_FORMAT: a path that climbs. */
MUST_CHECK int proxy_route_find(const struct proxy_config *c,
                                const struct http_request *r,
                                struct proxy_target *out, struct err *err);
enum proxy_dialect proxy_dialect_of_name(struct slice name);

/* proxy_fields.c */
void proxy_set_text(struct proxy_exchange *x, int which, struct slice s);
struct slice proxy_get_text(const struct proxy_exchange *x, int which);
/* What goes upstream: *out has room for HTTP_FIELDS_MAX. made: bytes of values
 * that were changed. */
size_t proxy_fields_up(const struct http_request *r, struct http_field *out,
                       struct buf *made);
/* Texts and facts of a request. */
void proxy_facts_request(struct proxy_exchange *x, const struct http_request *r,
                         const struct proxy_target *t, const char *peer,
                         const char *token);
void proxy_facts_response(struct proxy_exchange *x,
                          const struct http_field *fields, size_t count);

/* proxy_admin.c: a request on the admin listener, whole with its body. */
void proxy_admin_answer(struct proxy *p, const struct http_request *r,
                        struct slice body, struct buf *out);
#define PROXY_ADMIN_BODY_MAX ((size_t)1 << 20)

#endif

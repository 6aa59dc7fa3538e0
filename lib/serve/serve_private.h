/* serve_private.h - what the files of this module share; nobody else includes
 * it */
#ifndef SERVE_PRIVATE_H
#define SERVE_PRIVATE_H

#include "engine/engine.h"
#include "json/json.h"
#include "router/router.h"
#include "serve/serve.h"
#include "speak/speak.h"
#include "store/store.h"
#include "wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

/* A base that is open; it stays while a setup names it. */
struct serve_engine {
    struct serve_engine *next; /* of the server's; under its lock */
    char *dir;
    enum model_kept kept;
    struct engine *engine;
    struct compute *device; /* the server's to close; NULL: the caller's */
    size_t users;           /* setups; under the server's lock */
};

struct serve_own {
    char *name;
    char *upstream; /* "slm:NAME": how the log knows it */
    char *adapter;
    uint64_t stamp;
    size_t part;                     /* of its setup */
    size_t index;                    /* of its part's models */
    int64_t id;                      /* in the store; 0: not from there */
    struct template_content content; /* of routed calls; its labels are own */
};

/* What is served as of one loading. A request has the setup that was current
 * when it came. */
struct serve_setup {
    struct serve *serve;
    size_t users; /* under the server's lock */
    struct serve_own *models;
    size_t model_count;
    struct serve_own *fallback; /* NULL: none */
    struct serve_part {
        struct serve_engine *base;
        struct engine_models *models;
    } * parts;
    size_t part_count;
    int64_t max_tokens;
    struct router *router; /* NULL: none */
    struct router_limits limits;
    double drop;
    void (*release)(void *held);
    void *held;
};

#define ONE_MORE(name) +1
enum {
    SERVE_WENT_SLM,
    SERVE_WENT_LLM,
    SERVE_WENT_ESCALATED, /* tried here first */
    SERVE_WENT_SHADOW,    /* to the LLM, and beside it here */
    SERVE_WENT_WAYS,
    SERVE_REASONS = 0 ROUTER_REASONS(ONE_MORE)
};
#undef ONE_MORE

struct serve {
    struct proxy_local local;
    struct serve_options o; /* what is fixed of them */
    struct router_watch *watch;
    struct serve_log *log; /* NULL: none */
    struct serve_shadow *shadow;
    struct serve_pins *pins;
    struct serve_embeddings *embeddings; /* NULL: none */
    _Atomic uint64_t went[SERVE_REASONS][SERVE_WENT_WAYS];
    int64_t created_s;
    /* Of all below, and of what a job says is under it. */
    pthread_mutex_t lock;
    struct serve_job *jobs;
    struct serve_setup *setup; /* the current one */
    struct serve_engine *engines;
    bool stopped;
    struct serve_stepped { /* tasks, since the router read the store */
        int64_t task;
        uint64_t number;
    } * stepped;
    size_t stepped_count, stepped_cap;
    uint64_t steps;
    _Atomic uint64_t answered, refused, failed, left;
};

/* serve_setup.c: the current one, held until it is dropped. */
struct serve_setup *serve_setup_hold(struct serve *s);
struct serve_setup *serve_setup_again(struct serve_setup *c);
void serve_setup_drop(struct serve_setup *c);
const struct serve_own *serve_setup_find(const struct serve_setup *c,
                                         struct slice name);
struct engine *serve_setup_engine(const struct serve_setup *c,
                                  const struct serve_own *m);
/* No model can take another request. */
bool serve_setup_is_full(const struct serve_setup *c);
/* Sums up those of all bases. */
void serve_engine_stats(struct serve *s, struct engine_stats *out);
/* After serve_stop. */
void serve_engines_free(struct serve *s);

/* A path that is answered here. */
struct serve_path {
    const char *method, *path;
    const char *scope;   /* of a client's token */
    const char *wire;    /* its dialect there; NULL: it has no body */
    const char *id_head; /* of answers' ids */
    enum speak_dialect dialect;
    bool embeds;
};
/* NULL: none. *known: the path is, with another method. */
const struct serve_path *serve_path_find(struct slice method, struct slice path,
                                         bool *known);
/* Without the query. */
struct slice serve_path_of(const struct proxy_seen *s);

/* Why a request is refused. */
struct serve_refusal {
    int status;
    const char *type;
    char param[64]; /* the field; "": none */
    int64_t retry_ms;
    struct err err;
};
/* By the code of why->err, whose message may begin with "field: ". */
void serve_refusal_of(struct serve_refusal *why);
void serve_refuse(struct serve *s, struct proxy_reply *r, enum speak_dialect d,
                  const struct serve_refusal *why);

/* A request as the engine takes it. Zeroed is empty. */
struct serve_request {
    struct json json; /* of the body as it came */
    struct buf model; /* its name there */
    struct buf chat;  /* what engine_request.chat takes */
    struct buf prompt;
    bool raw; /* the prompt is gone on with */
    bool streams, include_usage;
    bool own_limit; /* it says itself how long the answer may be */
};
/* Reads the body. False: *why says it all. */
bool serve_request_read(struct serve_request *q, const struct serve_path *p,
                        struct slice body, int64_t max_tokens,
                        struct serve_refusal *why);
void serve_request_release(struct serve_request *q);

/* Log probabilities as the dialect has them, from pieces. */
struct serve_chances {
    struct buf list;                /* chat: entries */
    struct buf tokens, logps, tops; /* completions: three lists beside */
    struct buf offsets;
    size_t count, offset;
};
void serve_chances_add(struct serve_chances *c, enum speak_dialect d,
                       const struct engine_logprob *lp, size_t n);
/* What there is, as the value of "logprobs"; empty if there is nothing. The
 * chances are empty then. */
void serve_chances_take(struct serve_chances *c, enum speak_dialect d,
                        struct buf *out);
void serve_chances_release(struct serve_chances *c);

/* A row of the table decision. Zero ids and counts, and NaN: none. */
struct serve_entry {
    unsigned char key[WIRE_CALL_ID_BYTES];
    int64_t time_us, task, model;
    const char *went; /* static */
    enum router_reason reason;
    bool forced, error;
    double novelty, p_error, threshold, agreement;
    int64_t slm_us, llm_us, decide_ns, tokens_in, tokens_out;
    char *answer; /* a shadow's, where it differs; the log frees it */
};
struct serve_log;
/* open: of a store to write; tell: it cannot be written, and why, or NULL: it
 * can again; may be NULL. Both are called by the log's thread. */
MUST_CHECK int
serve_log_open(int (*open)(void *ctx, struct store **out, struct err *err),
               void (*tell)(void *ctx, const struct err *why), void *ctx,
               struct serve_log **out, struct err *err);
void serve_log_add(struct serve_log *l, const struct serve_entry *e);
uint64_t serve_log_dropped(const struct serve_log *l);
/* Writes what is queued. NULL is fine, here and above. */
void serve_log_close(struct serve_log *l);

/* A decision of the router, and the chat that it is about. */
struct serve_route {
    struct serve_setup *setup;
    struct buf chat;
    struct json json;
    struct router_decision decision;
    unsigned char key[WIRE_CALL_ID_BYTES];
    int64_t time_us, decide_ns, slm_us;
    size_t tokens_in, tokens_out; /* of the answer made here */
    double p_error;               /* of the answer, once it is judged; NaN */
    bool own_limit;               /* as the request's */
    bool is_fault;                /* the answer was no good, once judged */
};
struct serve_route *serve_route_new(struct serve_setup *c);
void serve_route_free(struct serve_route *d); /* NULL is fine */
/* For a request that has an upstream and names no model here. */
enum proxy_take serve_route(struct serve_setup *c, const struct serve_path *p,
                            const struct proxy_seen *seen,
                            struct proxy_reply *r);
/* How an answer ended. */
struct serve_made {
    enum engine_finish end;
    struct slice message;
    const struct engine_usage *usage;
    const struct stats_signals *signals;
    const struct err *err;
};
/* Is the answer good enough to go out? If so that is told. */
bool serve_route_judge(struct serve *s, struct serve_route *d,
                       const struct serve_made *m, enum router_reason *why);
/* The same of an answer that goes nowhere. */
bool serve_route_assess(struct serve_route *d, const struct serve_made *m,
                        enum router_reason *why);
/* Into the figures, and into the log. */
void serve_route_count(struct serve *s, const char *went,
                       enum router_reason reason);
void serve_route_entry(const struct serve_route *d, const char *went,
                       enum router_reason reason, double p_error,
                       struct serve_entry *out);
/* agreement NaN: not compared. */
void serve_route_watch(struct serve *s, const struct serve_route *d,
                       double agreement, bool error);
/* Now, or as the router has read. */
bool serve_has_stepped_back(struct serve *s, const struct router *r,
                            int64_t task);
const struct serve_own *serve_setup_by_id(const struct serve_setup *c,
                                          int64_t id);

/* serve_pins.c: calls made here, for clients that give them other ids. */
struct serve_pins *serve_pins_new(void);
void serve_pins_free(struct serve_pins *p); /* NULL is fine */
/* The first call of the message (an assistant's, JSON), if it has one. */
void serve_pins_add(struct serve_pins *p, const struct json *request,
                    struct slice message);
/* Of the request's last assistant's message: the id that its call had. */
bool serve_pins_find(struct serve_pins *p, const struct json *request,
                     char id[ENGINE_CALL_PREFIX]);

/* serve_shadow.c: decisions whose call goes to the LLM wait for its answer;
 * then the model makes its own, when there is nothing else to do. */
MUST_CHECK int serve_shadow_new(struct serve *s, struct serve_shadow **out,
                                struct err *err);
/* The decision is the shadow's from now on. */
void serve_shadow_expect(struct serve_shadow *w, struct serve_route *d);
/* In the queue, where count of this many bytes wait; also of one alone. */
bool serve_shadow_has_room(size_t count, size_t bytes, size_t more);
/* proxy_local.answered */
void serve_shadow_answered(void *serve, const struct proxy_seen *seen,
                           const struct proxy_answer *a);
void serve_shadow_metrics(struct serve *s, struct buf *out);
/* Before engines are closed; again is fine. NULL is fine for both. */
void serve_shadow_stop(struct serve_shadow *w);
void serve_shadow_free(struct serve_shadow *w);
/* The reply goes upstream; went: "llm", or "escalated". */
void serve_route_up(struct serve *s, const struct serve_route *d,
                    const char *went, enum router_reason reason, double p_error,
                    struct proxy_reply *r);
void serve_route_facts(const struct serve_route *d, const char *went,
                       enum router_reason reason, double p_error,
                       struct buf *out);

/* Has the model answer; the reply is ended some time. route: it was decided by
 * the router, is the answer's from now on, and the answer goes out once it is
 * judged; NULL: the client named the model. */
void serve_answer(struct serve_setup *c, const struct serve_path *p,
                  const struct serve_own *m, const struct serve_request *q,
                  const char *id, struct serve_route *route,
                  struct proxy_reply *r);
/* Its client has left. */
void serve_answer_gone(void *serve, struct proxy_reply *r);

/* serve_embeddings.c: as the options have them; *out is as it was where there
 * are none. Queries take NULL. */
MUST_CHECK int serve_embeddings_open(struct serve *s,
                                     const struct serve_options *o,
                                     struct serve_embeddings **out,
                                     struct err *err);
bool serve_embeddings_has(const struct serve_embeddings *e, struct slice name);
/* NULL: there are no more. */
const char *serve_embeddings_name(const struct serve_embeddings *e, size_t i);
/* Any thread; the reply is ended some time. */
void serve_embeddings_take(struct serve *s, struct slice body,
                           struct proxy_reply *r);
/* What waits is refused; again is fine. NULL is fine for both. */
void serve_embeddings_stop(struct serve_embeddings *e);
void serve_embeddings_free(struct serve_embeddings *e);

void serve_metrics(void *serve, struct buf *out);

#endif

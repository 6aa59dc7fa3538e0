/*
 * serve.h - calls answered by models here, in the words of four APIs
 *
 * The glue between the proxy, which has the sockets, and engines, which have
 * the models: a request's dialect becomes a chat, the answer goes back in the
 * client's own. It owns neither socket nor store, and it judges no answer.
 * May use: base json stats compute weights tokenizer constrain jinja template
 * model engine speak http upstream wire recorder crypto proxy store tasks
 * schema router.
 */
#ifndef SERVE_H
#define SERVE_H

#include "compute/compute.h"
#include "model/model.h"
#include "proxy/proxy.h"
#include "router/router.h"

/* Limits of a request; others are the engine's and the proxy's. */
#define SERVE_BODY (8 << 20) /* bytes; a longer one goes upstream unread */
#define SERVE_MESSAGES 4096
#define SERVE_PARTS 1024 /* of a message */
#define SERVE_TOOLS 256
#define SERVE_NAME 256    /* bytes of a model's name */
#define SERVE_INPUTS 2048 /* texts to embed */

struct serve_base {
    const char *dir;
    enum model_kept kept; /* of one dir in two ways there are two bases */
    /* The base's alone, and the caller's; NULL: open_device gives one. */
    struct compute *compute;
};
/* What is served as `name`: a base, or an adapter over it. Of several with one
 * name the first answers. */
struct serve_model {
    const char *name;
    size_t base;
    const char *adapter; /* PEFT directory or NULL */
    int64_t model;       /* in the store, as the router knows it; 0: none */
    uint64_t stamp;      /* of the adapter's files: another one, loaded anew */
    /* What it answers to calls that the router sends, where they do not say
     * themselves: one of these labels, or a document nested so deeply, as it
     * was judged. 0: nothing is known. Copied. */
    char *const *labels;
    size_t label_count;
    unsigned json_depth;
};
/* An encoder: what it is called, its directory, and its device as a base's. */
struct serve_embedder {
    const char *name, *dir;
    struct compute *compute;
};
struct serve_options {
    const struct serve_base *bases;
    size_t base_count;
    const struct serve_model *models;
    size_t model_count;
    /* Opened once; a reload leaves them as they are. */
    const struct serve_embedder *embedders;
    size_t embedder_count;
    /* For names that are none, where no upstream is meant; NULL: 404. */
    const char *default_model;
    size_t slots, queue; /* of each base, as in engine_options */
    size_t cache_bytes;
    int64_t max_tokens; /* of an answer: asked for or not, no more than these;
                         * 0: 1,024 */
    bool unconstrained;
    bool plain; /* no drafts, and files of prefixes, as in engine_options */
    const struct model_prefixes_options *prefixes; /* must stay */
    /* Where calls go that have an upstream and name no model here. NULL:
     * upstream. release(held): no request uses it any more; from any thread,
     * may be NULL. */
    struct router *router;
    void (*release)(void *held);
    void *held;
    const struct router_limits *limits; /* NULL: the usual */
    /* A task steps back if its agreement with the LLM falls so far (0..1)
     * below what the sealed test let expect; 0: .05. */
    double drop;
    /* A task's answers cross a limit. From an engine's thread, which it must
     * not keep waiting. */
    void (*step_back)(void *ctx, int64_t task, const char *why);
    void *step_back_ctx;
    /* A store to write decisions to, opened by a thread of the server's;
     * NULL: they stand in the log of calls alone. */
    int (*open_store)(void *ctx, struct store **out, struct err *err);
    /* From that thread, once each time: decisions cannot be written, and why;
     * NULL: they can again. May be NULL. */
    void (*store_told)(void *ctx, const struct err *why);
    void *store_ctx;
    /* A device for a base; the server closes it. NULL: bases have theirs. */
    int (*open_device)(void *ctx, struct compute **out, struct err *err);
    void *device_ctx;
    /* A base failed on *out: closes it and gives another one, or leaves it and
     * returns the error, with advice maybe. NULL: there is no other. */
    int (*replace_device)(void *ctx, struct compute **out, struct err *err);
    /* POST /reload of the admin listener; NULL: there is none. */
    int (*reload)(void *ctx, struct err *err);
    void *reload_ctx;
};

struct serve;
/* Loads the models. The options are copied; the devices are the caller's and
 * must outlive it. ERR_NOTFOUND: default_model is none of the names. */
MUST_CHECK int serve_new(const struct serve_options *o, struct serve **out,
                         struct err *err);
/* What proxy_options.local takes; valid as long as the server. */
const struct proxy_local *serve_local(struct serve *s);
/* Other models, default_model, max_tokens, router and limits, for requests that
 * begin once they are taken; those before keep theirs. Bases that are open
 * stay so; what else the options say is as it was. prepare loads, and nothing
 * has changed before take. The router is not released by a prepare that fails.
 * One thread at a time, none of the server's callbacks'. */
struct serve_setup;
MUST_CHECK int serve_prepare(struct serve *s, const struct serve_options *o,
                             struct serve_setup **out, struct err *err);
/* steps: what serve_steps said before the router read the store; what stepped
 * back later stays so. */
void serve_take(struct serve *s, struct serve_setup *next, uint64_t steps);
void serve_discard(struct serve *s, struct serve_setup *next);
/* How many steps back there were so far. */
uint64_t serve_steps(struct serve *s);
/* After proxy_run, before proxy_free: what runs ends at once, and no reply is
 * open any more. Again is fine. */
void serve_stop(struct serve *s);
void serve_free(struct serve *s); /* NULL is fine; stops first */

/* What would become of a request. */
struct serve_explained {
    const char *dialect; /* that it was read as; static */
    struct buf asked;    /* the model that it names */
    struct router_decision decision;
    int64_t decide_ns;
    /* Of an answer that was made: would it have gone out, or why not? */
    bool generated, good;
    enum router_reason after;
    double p_error; /* NaN: not known */
    size_t tokens_in, tokens_out;
    int64_t answer_us;
    struct buf message, failed;
};
/* request: a body of one of the APIs, or a line of a log with one as its
 * "request". s: a server whose models include the router's, of which the task's
 * champion answers; NULL: none does. What is refused to a client is here, too.
 * Release it on success. */
MUST_CHECK int serve_explain(const struct router *r, struct serve *s,
                             struct slice request, int64_t max_tokens,
                             struct serve_explained *out, struct err *err);
/* The decision, where the model that it names is not served. */
void serve_explained_unserved(struct serve_explained *e);
void serve_explained_release(struct serve_explained *e);

#endif

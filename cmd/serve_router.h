/*
 * serve_router.h - serve's router: its options, champions, tasks that step back
 *
 * A command with ROUTER_OPTIONS in its table takes them; without --mode there
 * is no router.
 */
#ifndef SERVE_ROUTER_H
#define SERVE_ROUTER_H

#include "cluster_embedder.h"
#include "cmd.h"
#include "router/router.h"

#include <pthread.h>

struct serve_router_choice {
    const char *mode; /* NULL: the usual */
    double canary, errors, agreement, audit;
    int64_t window;
    struct cli_list rules;
};
extern struct serve_router_choice serve_router_choice;

#define ROUTER_OPTIONS                                                         \
    { .name = "mode",                                                          \
      .kind = OPT_CHOICE,                                                      \
      .value = &serve_router_choice.mode,                                      \
      .arg = "MODE",                                                           \
      .choices = "off|shadow|canary|on",                                       \
      .help = "what to do with the upstream's calls (default shadow)" },       \
        { .name = "canary",                                                    \
          .kind = OPT_DOUBLE,                                                  \
          .value = &serve_router_choice.canary,                                \
          .arg = "PERCENT",                                                    \
          .min = 0.001,                                                        \
          .max = 100,                                                          \
          .help = "of conversations, with --mode canary (default 10)" },       \
        { .name = "route",                                                     \
          .kind = OPT_LIST,                                                    \
          .value = &serve_router_choice.rules,                                 \
          .arg = "TASK=MODE[:PERCENT]",                                        \
          .help = "another mode for this task",                                \
          .complete = COMPLETE_TASK },                                         \
        { .name = "audit",                                                     \
          .kind = OPT_DOUBLE,                                                  \
          .value = &serve_router_choice.audit,                                 \
          .arg = "PERCENT",                                                    \
          .min = 0,                                                            \
          .max = 100,                                                          \
          .help = "of calls that could be answered, to compare (default 2)" }, \
        { .name = "step-back-agreement",                                       \
          .kind = OPT_DOUBLE,                                                  \
          .value = &serve_router_choice.agreement,                             \
          .arg = "POINTS",                                                     \
          .min = 0.1,                                                          \
          .max = 100,                                                          \
          .help = "a task stops if it agrees so much less (default 5)" },      \
        { .name = "step-back-errors",                                          \
          .kind = OPT_DOUBLE,                                                  \
          .value = &serve_router_choice.errors,                                \
          .arg = "PERCENT",                                                    \
          .min = 0.1,                                                          \
          .max = 100,                                                          \
          .help = "of unusable answers, above it a task stops (default 10)" }, \
    {                                                                          \
        .name = "step-back-window", .kind = OPT_INT,                           \
        .value = &serve_router_choice.window, .arg = "N", .min = 50,           \
        .max = 100000, .help = "of so many calls (default 200)"                \
    }

/* As of one loading; a request has the one that was current when it came. */
struct serve_routes {
    struct router *router;
    struct cluster_embedder embedder;
    struct pool *pool;
};
/* s: the store, read once. Without a mode all is NULL. */
MUST_CHECK int serve_routes_open(struct cli *cli, struct store *s,
                                 struct serve_routes **out, struct err *err);
void serve_routes_close(void *routes); /* NULL is fine */
struct router_limits serve_router_limits(void);

/* Steps back that are to be written, by a thread of their own: no engine may
 * wait for a disk. */
struct serve_steps {
    struct cli *cli;
    pthread_t writer;
    bool writes, stops, is_writing;
    pthread_mutex_t lock;
    pthread_cond_t more, less;
    struct serve_step {
        int64_t task;
        bool failed; /* the store did not take it */
        char why[160];
    } * steps;
    size_t count, cap;
};

/* A mode but off, or a rule, is asked for; or nothing, which is shadow where
 * there are upstreams. */
bool serve_router_is_wanted(void);
bool serve_router_is_asked(void);
/* Zeroed before; end it after a failure, too. */
MUST_CHECK int serve_steps_begin(struct cli *cli, struct serve_steps *out,
                                 struct err *err);
void serve_steps_end(struct serve_steps *s);
/* For serve_options.step_back; ctx is the steps. */
void serve_steps_add(void *ctx, int64_t task, const char *why);
/* Waits until all are written, or refused by the store. */
void serve_steps_flush(struct serve_steps *s);
/* The router hears of those that the store refused. */
void serve_steps_put(struct serve_steps *s, struct router *r);

#endif

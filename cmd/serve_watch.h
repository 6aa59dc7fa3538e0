/* serve_watch.h - serve looks every so often whether the store promotes
 * another model */
#ifndef SERVE_WATCH_H
#define SERVE_WATCH_H

#include "cmd.h"

#include <pthread.h>

struct serve_watch {
    struct cli *cli;
    double every_s;
    /* What it calls when the store says something else than is known. */
    int (*changed)(void *ctx, struct err *err);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool runs, stops;
    _Atomic uint64_t known; /* serve_digest of what is served; 0: none is */
};
/* Zeroed before. */
MUST_CHECK int serve_watch_begin(struct serve_watch *w, struct cli *cli,
                                 double every_s,
                                 int (*changed)(void *ctx, struct err *err),
                                 void *ctx, struct err *err);
void serve_watch_know(struct serve_watch *w, uint64_t digest);
void serve_watch_end(struct serve_watch *w); /* also if it never began */

#endif

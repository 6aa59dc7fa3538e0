/*
 * progress.h - how long-running library code reports and stops
 *
 * The caller (cmd/) draws; the library only tells. `stop` is polled often and
 * set by the signal handler; a function that sees it finishes its unit of
 * work, saves what makes it resumable and returns ERR_INTERRUPTED.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    /* done of total units (total 0: unknown); note may be NULL. */
    void (*update)(void *ctx, const char *phase, uint64_t done, uint64_t total,
                   const char *note);
    void *ctx;
};

/* NULL p or NULL update: silent. */
void progress_update(const struct progress *p, const char *phase, uint64_t done,
                     uint64_t total, const char *note);

/* Set from a signal handler, read anywhere. */
void stop_request(int signal_number);
bool stop_requested(void);
int stop_signal(void); /* 0 if none */

#endif

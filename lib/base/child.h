/*
 * child.h - another program, run to its end
 *
 * It gets a process group of its own, no input or a text that is there before
 * it begins, and pipes for what it says. When this process is asked to stop, or
 * its time is over, the whole group is told to end, and killed if it does not.
 * When this process is killed, the program itself is told to end.
 * Nothing is run through a shell.
 */
#ifndef CHILD_H
#define CHILD_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define CHILD_GRACE_MS 10000 /* between asking it to end and killing it */
#define CHILD_SAID_MAX 4096  /* bytes of its last words that are kept */
#define CHILD_DEADLINE_MS_MAX 31536000000 /* a year; more is as much */

/* argv[0] is the file to run, as it is ("/proc/self/exe": this program); env
 * NULL: the environment of this process. What it writes to stdout is appended
 * to *out (NULL: dropped), whose maximum the caller has set: beyond it the rest
 * is dropped and out->overflow set. The end of what it writes to stderr is
 * appended to *said (NULL: dropped). deadline_ms 0: no limit. *status: its exit
 * status, or 128 and the signal that ended it. Failures: ERR_IO if it cannot be
 * run or its status cannot be had (this process ignores SIGCHLD),
 * ERR_INTERRUPTED if a stop was requested, ERR_LIMIT if its time ran out;
 * in each case it has ended when this returns. */
MUST_CHECK int child_run(const char *const *argv, const char *const *env,
                         struct buf *out, struct buf *said, int64_t deadline_ms,
                         int *status, struct err *err);
/* The same with an input; none if it is empty. */
MUST_CHECK int child_run_fed(const char *const *argv, const char *const *env,
                             struct slice input, struct buf *out,
                             struct buf *said, int64_t deadline_ms, int *status,
                             struct err *err);

#endif

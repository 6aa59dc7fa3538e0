/*
 * limits.h - for benchmarks: what the machine gives at most, and rows of the
 * common table
 *
 * Limits are measured in the run that they are compared with, by the
 * instructions of the kernels that SLMCTL_CPU forces, else of the best ones.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include "compute/compute.h"

#include <stdio.h>
#include <stdlib.h>

static inline struct compute_limits limits_now(unsigned threads)
{
    struct compute_limits l;
    struct err err;

    if (compute_limits_measure(getenv("SLMCTL_CPU"), threads, &l, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return l;
}

/* One row for `make bench`: rates, more is better. peer_name NULL: there is
 * none; 0: a figure that is absent (peer, goal, limit). goal: the ratio of ours
 * to the peer's that is wanted, or to the limit where there is no peer. */
static inline void limits_row(const char *path, const char *shape,
                              const char *unit, double ours,
                              const char *peer_name, double peer, double goal,
                              double limit)
{
    const double figures[] = { peer, goal, limit };

    (void)printf("row\t%s\t%s\t%s\t%.5g\t%s", path, shape, unit, ours,
                 peer_name ? peer_name : "-");
    for (int i = 0; i < 3; i++)
        (void)printf(figures[i] > 0 ? "\t%.5g" : "\t-", figures[i]);
    (void)putchar('\n');
    (void)fflush(stdout);
}

#endif

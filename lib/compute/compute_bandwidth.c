/*
 * compute_bandwidth.c - how fast a device's memory is, by copying some of it
 *
 * Buffers are larger than any cache and small beside the memory that may be
 * used. The best of a few rounds counts: others only wait.
 */
#include "base/clock.h"
#include "compute/compute.h"

#include <math.h>

#define MOST ((size_t)64 << 20) /* elements of f32 */
#define ROUNDS 4                /* the first one warms up */
#define COPIES 4                /* a round */

static int measure(struct compute *c, const struct compute_span s[2], size_t n,
                   double *out, struct err *err)
{
    double best = HUGE_VAL;
    int rc = c->ops->sync(c, err);

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        int64_t begin = clock_mono_ns();

        for (int k = 0; k < COPIES; k++)
            c->ops->copy(c, s[k % 2], s[1 - k % 2], n);
        rc = c->ops->sync(c, err);
        if (i > 0)
            best = fmin(best, (double)(clock_mono_ns() - begin) * 1e-9);
    }
    *out = 2 * COPIES * (double)(n * sizeof(float)) / best;
    return rc;
}

int compute_bandwidth(struct compute *c, double *out, struct err *err)
{
    size_t n = c->limit > 0 && c->limit / 64 < MOST ? c->limit / 64 : MOST;
    struct compute_span s[2] = { { 0 }, { 0 } };
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = compute_alloc(c, COMPUTE_F32, n, "memory to measure with", &s[i],
                           err);
    if (rc == 0)
        rc = measure(c, s, n, out, err);
    for (int i = 0; i < 2; i++)
        compute_release(c, &s[i]);
    return rc;
}

/* clock.h - time: a monotonic clock for durations, wall time for records */
#ifndef CLOCK_H
#define CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ns(void);
int64_t clock_wall_us(void); /* microseconds since 1970, UTC */
double clock_cpu_s(void);    /* CPU seconds of this process, all threads */
/* RFC 3339 in UTC, "2026-01-31T12:00:00Z"; out has 32 bytes. */
const char *clock_rfc3339(int64_t wall_us, char out[32]);

#endif

/* clock.c - the one place that reads clocks */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}

double clock_cpu_s(void)
{
    return (double)read_ns(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
}

const char *clock_rfc3339(int64_t wall_us, char out[32])
{
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm = { 0 };

    (void)gmtime_r(&t, &tm);
    if (strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
    return out;
}

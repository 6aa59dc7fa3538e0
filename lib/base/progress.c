/* progress.c - reporting hook and the stop flag */
#include "base/progress.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_by;

void progress_update(const struct progress *p, const char *phase, uint64_t done,
                     uint64_t total, const char *note)
{
    if (p && p->update)
        p->update(p->ctx, phase, done, total, note);
}

void stop_request(int signal_number)
{
    stop_by = signal_number;
}

bool stop_requested(void)
{
    return stop_by != 0;
}

int stop_signal(void)
{
    return stop_by;
}

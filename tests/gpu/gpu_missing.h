/*
 * gpu_missing.h - when a test of the GPU is skipped: where there is none
 *
 * A plugin of another version, one that cannot be loaded, and none at all
 * beside an NVIDIA driver are failures: a run that tested nothing must not look
 * like one that found nothing.
 */
#ifndef GPU_MISSING_H
#define GPU_MISSING_H

#include "base/err.h"

#include <stdbool.h>
#include <unistd.h>

/* why: what compute_open said. */
static inline bool gpu_is_missing(const struct err *why)
{
    if (why->code == ERR_NOTFOUND)
        return access("/dev/nvidiactl", F_OK) != 0;
    return why->code == ERR_UNSUPPORTED;
}

#endif

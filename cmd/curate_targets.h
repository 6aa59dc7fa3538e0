/* curate_targets.h - outputs that would destroy something are refused */
#ifndef CURATE_TARGETS_H
#define CURATE_TARGETS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct curate_target {
    const char *option, *path; /* path may be NULL, or "-" */
    bool written;              /* else only read */
};
/* No written file is one of the store's (may be NULL), or another one of the
 * list. ERR_INVALID names both. */
MUST_CHECK int curate_targets_check(const struct curate_target *t, size_t count,
                                    const char *store, struct err *err);

#endif

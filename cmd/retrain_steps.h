/* retrain_steps.h - what a step of a retrain run does: this program's own
 * commands, and the user's hook */
#ifndef RETRAIN_STEPS_H
#define RETRAIN_STEPS_H

#include "cmd.h"
#include "retrain/retrain.h"

struct retrain_steps {
    struct cli *cli;
    struct store *store;
    int64_t run;
    struct retrain_policy policy;
    const char *hook; /* NULL: none */
};
#define RETRAIN_HOOK_MS 60000

/* Does the step. *ok false: it failed, and why says how. ERR_BUSY: another run
 * holds what it needs, nothing was done. */
MUST_CHECK int retrain_step_do(const struct retrain_steps *r,
                               const struct retrain_work *w, bool *ok,
                               char why[RETRAIN_WHY], struct err *err);

/* What the run did: "slmctl.retrain/1". */
MUST_CHECK int retrain_steps_write(const struct retrain_steps *r,
                                   struct buf *out, struct err *err);

#endif

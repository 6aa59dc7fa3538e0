/* retrain_resumes.h - how a run of retrain that was cut off is told */
#ifndef RETRAIN_RESUMES_H
#define RETRAIN_RESUMES_H

#include "cmd.h"
#include "retrain/retrain.h"

/* "run 3, cut off at gate of sort"; the caller frees. NULL: no run was. */
char *retrain_resumes_cell(const struct retrain_cut *c);
/* A line and an empty one; nothing if no run was cut off. */
void retrain_resumes_print(const struct retrain_cut *c, struct buf *out);
/* The member "resumes": an object, or null. */
void retrain_resumes_put(const struct retrain_cut *c, struct json_writer *w);
/* Warns if what this call asks for is not what the run was begun with. */
MUST_CHECK int retrain_resumes_warn(struct cli *cli, struct store *s,
                                    int64_t run, const struct retrain_policy *p,
                                    struct err *err);

#endif

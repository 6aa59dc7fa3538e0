/*
 * cluster_embedder.h - the encoder that cluster finds tasks with
 *
 * What --embedder names, or what the store remembers; loaded when vectors are
 * asked for, not before.
 */
#ifndef CLUSTER_EMBEDDER_H
#define CLUSTER_EMBEDDER_H

#include "cmd.h"

#include "base/pool.h"
#include "tasks/tasks.h"

#define CLUSTER_BUILTIN "builtin"

struct cluster_embedder {
    struct tasks_embedder tasks; /* first: its functions get this struct */
    struct cli *cli;
    struct pool *pool; /* borrowed */
    char *path;        /* NULL: the built-in embedder */
    bool asked;        /* by the option */
    struct compute *compute;
    struct model_embedder *model;
};

/* option: a directory, CLUSTER_BUILTIN, or NULL: as the store has it. */
MUST_CHECK int cluster_embedder_choose(struct cli *cli, struct store *s,
                                       const char *option, struct pool *pool,
                                       struct cluster_embedder *out,
                                       struct err *err);
void cluster_embedder_release(struct cluster_embedder *e);
/* NULL for the built-in one. */
struct tasks_embedder *cluster_embedder_tasks(struct cluster_embedder *e);

#endif

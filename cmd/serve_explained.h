/*
 * serve_explained.h - serve without serving: one request explained, and what
 * a router's settings cost
 *
 * Both read the store and say what is there; nothing listens and nothing is
 * written.
 */
#ifndef SERVE_EXPLAINED_H
#define SERVE_EXPLAINED_H

#include "serve_models.h"

#include "cli/cli.h"

/* path: a file with the request, "-": standard input. model_options: slots and
 * what else a server would have, but for its models. Exit code. */
int serve_explain_run(struct cli *cli, const char *path, bool generate,
                      const struct serve_options *model_options);

/* The cost-quality curves of this task, NULL: of all. Exit code. */
int serve_curve_run(struct cli *cli, const char *task);

#endif

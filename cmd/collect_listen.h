/* collect_listen.h - collect --listen: the options, and the run */
#ifndef COLLECT_LISTEN_H
#define COLLECT_LISTEN_H

#include "cmd.h"
#include "store/store.h"

/* How --no-encryption and --seal-to have the store opened. */
MUST_CHECK int collect_access(const struct cli *cli, bool imports,
                              struct store_access *out, struct err *err);
/* Serves until SIGTERM or SIGINT; the exit code. */
int collect_listen(struct cli *cli);

#endif

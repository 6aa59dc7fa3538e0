/* collect_listen.h - collect --listen: the options, and the run */
#ifndef COLLECT_LISTEN_H
#define COLLECT_LISTEN_H

#include "cmd.h"
#include "proxy/proxy.h"
#include "store/store.h"

/* How --no-encryption and --seal-to have the store opened. */
MUST_CHECK int collect_access(const struct cli *cli, bool imports,
                              struct store_access *out, struct err *err);
/* Who answers beside the upstreams, or without any. */
struct listen_local {
    /* Once signals are waited for: threads that begin before would get them. */
    int (*start)(void *ctx, const struct proxy_local **out, struct err *err);
    void (*stop)(void *ctx); /* when nothing is served any more */
    void *ctx;
    const char *const *hosts; /* as in proxy_options */
    size_t host_count;
};
/* Serves until SIGTERM or SIGINT; the exit code. l may be NULL: then there must
 * be an upstream. */
int collect_listen(struct cli *cli, const struct listen_local *l);

#endif

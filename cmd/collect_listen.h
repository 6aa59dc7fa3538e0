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
    /* A reload: what the options say now is made ready; then it is taken or
     * thrown away. One at a time. */
    int (*prepare)(void *ctx, void **next, struct err *err);
    void (*take)(void *ctx, void *next);
    void (*discard)(void *ctx, void *next);
    void *ctx;
    const struct cli_list *hosts; /* as in proxy_options */
    const char *const *fixed;     /* options of its own that take a restart */
    size_t fixed_count;
    struct listen_run *run; /* collect_listen's while it runs */
};
/* Serves until SIGTERM or SIGINT; the exit code. l may be NULL: then there must
 * be an upstream. */
int collect_listen(struct cli *cli, struct listen_local *l);
/* What SIGHUP does: the configuration anew, whole or not at all. From start on,
 * any thread. */
MUST_CHECK int collect_listen_reload(struct listen_local *l, struct err *err);
/* The same with the options as they are: what they name may have changed. */
MUST_CHECK int collect_listen_refresh(struct listen_local *l, struct err *err);

#endif

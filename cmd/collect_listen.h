/* collect_listen.h - collect --listen: the options, and the run */
#ifndef COLLECT_LISTEN_H
#define COLLECT_LISTEN_H

#include "cmd.h"
#include "store/store.h"

struct listen_values {
    struct cli_list listen, upstreams, private_names, trusted, keep;
    const char *admin, *durability, *overload, *abort, *tokens, *proxy,
        *ca_file;
    bool http2, proxy_protocol, may_skip_log;
    int64_t queue, spool, body, capture, connections, commit_ms;
    double connect_s, first_byte_s, idle_s, grace_s;
};
extern struct listen_values listen_values;

/* How --no-encryption and --seal-to have the store opened. */
MUST_CHECK int collect_access(const struct cli *cli, bool imports,
                              struct store_access *out, struct err *err);
/* Serves until SIGTERM or SIGINT; the exit code. */
int collect_listen(struct cli *cli);

#endif

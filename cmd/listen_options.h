/*
 * listen_options.h - listeners, upstreams, limits: options that the commands
 * which serve have in common
 *
 * A command with LISTEN_OPTIONS in its table takes them all; what they say is
 * in listen_values, whose defaults are those of the manual.
 */
#ifndef LISTEN_OPTIONS_H
#define LISTEN_OPTIONS_H

#include "cli/cli.h"

struct listen_values {
    struct cli_list listen, upstreams, private_names, trusted, keep;
    const char *admin, *durability, *overload, *abort, *tokens, *proxy,
        *ca_file;
    bool http2, proxy_protocol, may_skip_log;
    int64_t queue, spool, body, capture, connections, commit_ms;
    double connect_s, first_byte_s, idle_s, grace_s;
};
extern struct listen_values listen_values;

#define LISTEN_OPTIONS                                                         \
    { .name = "listen",                                                        \
      .kind = OPT_LIST,                                                        \
      .value = &listen_values.listen,                                          \
      .arg = "ADDRESS",                                                        \
      .help = "be a proxy that logs: HOST:PORT, unix:PATH or fd:N" },          \
        { .name = "upstream",                                                  \
          .kind = OPT_LIST,                                                    \
          .value = &listen_values.upstreams,                                   \
          .arg = "[NAME=]URL",                                                 \
          .help = "where calls go; those below /NAME/ to this one" },          \
        { .name = "private",                                                   \
          .kind = OPT_LIST,                                                    \
          .value = &listen_values.private_names,                               \
          .arg = "NAME",                                                       \
          .help = "this upstream's host may have a private address" },         \
        { .name = "admin",                                                     \
          .kind = OPT_STRING,                                                  \
          .value = &listen_values.admin,                                       \
          .arg = "ADDRESS",                                                    \
          .help = "listen for /healthz, /readyz, /metrics and /feedback" },    \
        { .name = "durability",                                                \
          .kind = OPT_CHOICE,                                                  \
          .value = &listen_values.durability,                                  \
          .arg = "HOW",                                                        \
          .choices = "sync|batch|spool",                                       \
          .help = "when a call counts as logged (default batch)" },            \
        { .name = "on-overload",                                               \
          .kind = OPT_CHOICE,                                                  \
          .value = &listen_values.overload,                                    \
          .arg = "POLICY",                                                     \
          .choices = "spill|drop|reject|block",                                \
          .help = "what if logging falls behind (default spill)" },            \
        { .name = "on-abort",                                                  \
          .kind = OPT_CHOICE,                                                  \
          .value = &listen_values.abort,                                       \
          .arg = "POLICY",                                                     \
          .choices = "cancel|drain",                                           \
          .help = "what if a client leaves (default cancel)" },                \
        { .name = "queue",                                                     \
          .kind = OPT_BYTES,                                                   \
          .value = &listen_values.queue,                                       \
          .arg = "SIZE",                                                       \
          .min = 1 << 20,                                                      \
          .max = 1e12,                                                         \
          .help = "calls in memory that are not written yet (default 64M)" },  \
        { .name = "spool",                                                     \
          .kind = OPT_BYTES,                                                   \
          .value = &listen_values.spool,                                       \
          .arg = "SIZE",                                                       \
          .min = 0,                                                            \
          .max = 1e15,                                                         \
          .help = "calls on disk that are not written yet (default 1G)" },     \
        { .name = "commit-after",                                              \
          .kind = OPT_INT,                                                     \
          .value = &listen_values.commit_ms,                                   \
          .arg = "MS",                                                         \
          .min = 0,                                                            \
          .max = 10000,                                                        \
          .help = "commit calls after this time (default 50)" },               \
        { .name = "max-body",                                                  \
          .kind = OPT_BYTES,                                                   \
          .value = &listen_values.body,                                        \
          .arg = "SIZE",                                                       \
          .min = 1024,                                                         \
          .max = 1e12,                                                         \
          .help = "longest body of a request (default 64M)" },                 \
        { .name = "max-capture",                                               \
          .kind = OPT_BYTES,                                                   \
          .value = &listen_values.capture,                                     \
          .arg = "SIZE",                                                       \
          .min = 1024,                                                         \
          .max = 1e12,                                                         \
          .help = "longest body that is logged whole (default 64M)" },         \
        { .name = "connections",                                               \
          .kind = OPT_INT,                                                     \
          .value = &listen_values.connections,                                 \
          .arg = "N",                                                          \
          .min = 1,                                                            \
          .max = 1000000,                                                      \
          .help = "clients at a time (default 4096)" },                        \
        { .name = "connect-timeout",                                           \
          .kind = OPT_DOUBLE,                                                  \
          .value = &listen_values.connect_s,                                   \
          .arg = "SECONDS",                                                    \
          .min = 0.001,                                                        \
          .max = 3600,                                                         \
          .help = "until an upstream is connected (default 10)" },             \
        { .name = "first-byte-timeout",                                        \
          .kind = OPT_DOUBLE,                                                  \
          .value = &listen_values.first_byte_s,                                \
          .arg = "SECONDS",                                                    \
          .min = 0,                                                            \
          .max = 86400,                                                        \
          .help = "until its answer begins, 0 for ever (default 600)" },       \
        { .name = "idle-timeout",                                              \
          .kind = OPT_DOUBLE,                                                  \
          .value = &listen_values.idle_s,                                      \
          .arg = "SECONDS",                                                    \
          .min = 0,                                                            \
          .max = 86400,                                                        \
          .help = "silence within an answer, 0 for ever (default 300)" },      \
        { .name = "grace",                                                     \
          .kind = OPT_DOUBLE,                                                  \
          .value = &listen_values.grace_s,                                     \
          .arg = "SECONDS",                                                    \
          .min = 0,                                                            \
          .max = 86400,                                                        \
          .help = "for calls that run when it is to stop (default 30)" },      \
        { .name = "trust",                                                     \
          .kind = OPT_LIST,                                                    \
          .value = &listen_values.trusted,                                     \
          .arg = "NETWORK",                                                    \
          .help = "believe what these say about their clients' addresses" },   \
        { .name = "proxy-protocol",                                            \
          .kind = OPT_FLAG,                                                    \
          .value = &listen_values.proxy_protocol,                              \
          .help = "trusted peers begin with a PROXY header" },                 \
        { .name = "client-tokens",                                             \
          .kind = OPT_STRING,                                                  \
          .value = &listen_values.tokens,                                      \
          .arg = "FILE",                                                       \
          .help = "serve only who has one of these tokens",                    \
          .complete = COMPLETE_FILE },                                         \
        { .name = "keep-header",                                               \
          .kind = OPT_LIST,                                                    \
          .value = &listen_values.keep,                                        \
          .arg = "NAME",                                                       \
          .help = "header fields to log, instead of the usual ones" },         \
        { .name = "allow-no-log",                                              \
          .kind = OPT_FLAG,                                                    \
          .value = &listen_values.may_skip_log,                                \
          .help = "honour X-SLM-No-Log: log no bodies of that call" },         \
        { .name = "egress-proxy",                                              \
          .kind = OPT_STRING,                                                  \
          .value = &listen_values.proxy,                                       \
          .arg = "URL",                                                        \
          .help = "reach upstreams through this proxy" },                      \
        { .name = "ca-file",                                                   \
          .kind = OPT_STRING,                                                  \
          .value = &listen_values.ca_file,                                     \
          .arg = "FILE",                                                       \
          .help = "certificates to trust instead of the system's",             \
          .complete = COMPLETE_FILE },                                         \
    {                                                                          \
        .name = "http2", .kind = OPT_FLAG, .value = &listen_values.http2,      \
        .help = "speak HTTP/2 with upstreams that offer it"                    \
    }

#endif

/*
 * kv_cache.h - computed prefixes on disk, as a command's --kv-cache says
 */
#ifndef KV_CACHE_H
#define KV_CACHE_H

#include "cmd.h"
#include "model/model.h"
#include "store/store.h"

#define KV_CACHE_OPTION                                                        \
    {                                                                          \
        .name = "kv-cache", .kind = OPT_BYTES, .value = &kv_cache_bytes,       \
        .arg = "SIZE", .min = 0, .max = 1e15,                                  \
        .help = "disk for what prompts begin with, 0: none (default 512M)"     \
    }
extern int64_t kv_cache_bytes;

/* Where they are in the store, and their key: of the process, until it ends.
 * NULL: nothing is asked for, there is no store, or it cannot be opened with
 * what is given. s NULL: the store of the command's options, if it is one. */
const struct model_prefixes_options *kv_cache_options(const struct cli *cli,
                                                      const struct store *s);
/* The same, opened. Without, everything is computed: a warning tells why a
 * directory cannot be used. */
struct model_prefixes *kv_cache_open(struct cli *cli, const struct store *s);

#endif

/*
 * kv_cache.c - computed prefixes on disk, as a command's --kv-cache says
 *
 * They are the store's, so that status counts them and prune and erase take
 * them along. Nothing depends on them: where there is no store, or no key for
 * it, there are none.
 */
#include "kv_cache.h"

#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>

int64_t kv_cache_bytes = (int64_t)512 << 20;

static const struct model_prefixes_options *options_of(const struct store *s)
{
    static struct model_prefixes_options options;
    static struct crypto_key *key;
    static char *dir;
    bool sealed;

    if (!key)
        key = crypto_secret_new(sizeof(*key));
    if (!store_prefix_key(s, key, &sealed))
        return NULL;
    free(dir);
    dir = store_prefix_dir(s);
    options = (struct model_prefixes_options){ .dir = dir,
                                               .key = sealed ? key : NULL,
                                               .most_bytes =
                                                   (uint64_t)kv_cache_bytes };
    return &options;
}

const struct model_prefixes_options *kv_cache_options(const struct cli *cli,
                                                      const struct store *s)
{
    const struct model_prefixes_options *o = NULL;
    struct store *own = NULL;
    struct err err;

    if (kv_cache_bytes <= 0)
        return NULL;
    if (!s && cli->store && io_is_dir(cli->store) &&
        cmd_store_open(cli, STORE_READ, &own, &err) == ERR_OK)
        s = own;
    if (s)
        o = options_of(s);
    store_close(own);
    return o;
}

struct model_prefixes *kv_cache_open(struct cli *cli, const struct store *s)
{
    const struct model_prefixes_options *o = kv_cache_options(cli, s);
    struct model_prefixes *p = NULL;
    struct err err;

    if (o && model_prefixes_open(o, &p, &err) < 0)
        cli_warn(cli,
                 "prompts are computed whole: %s; --kv-cache 0 asks for no "
                 "files",
                 err.msg);
    return p;
}

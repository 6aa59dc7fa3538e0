/*
 * store_cache.c - where runs keep what they computed of texts: cache/ in the
 * store, files of their own
 *
 * Whatever is there can be computed again, so it goes as a whole whenever a
 * text may have gone from the store: also where links lead to another place,
 * of which only files that have our names are removed.
 */
#include "store/store_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE "cache"
#define KV "cache/kv"
#define PURPOSE "slmctl prefixes"

char *store_prefix_dir(const struct store *s)
{
    return io_path(s->dir, KV);
}

bool store_prefix_key(const struct store *s, struct crypto_key *out,
                      bool *sealed)
{
    *sealed = s->encrypted;
    if (store_seal_to(s)) /* what the key file alone opens */
        return false;
    if (s->encrypted && s->master)
        crypto_derive(s->master, PURPOSE, out);
    return !s->encrypted || s->master;
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* As lib/model names them; the directory may be a link's, to another disk. */
static bool is_prefix(const char *name)
{
    static const char begin[] = ".new-"; /* not whole yet, or left behind */

    return strncmp(name, begin, sizeof(begin) - 1) == 0 || ends(name, ".kv");
}

void store_prefix_count(const struct store *s, int64_t *files, int64_t *bytes)
{
    char *path = store_prefix_dir(s);
    DIR *d = opendir(path);
    const struct dirent *e;
    struct stat st;

    *files = *bytes = 0;
    while (d && (e = readdir(d)))
        if (is_prefix(e->d_name) &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode)) {
            *files += ends(e->d_name, ".kv");
            *bytes += (int64_t)st.st_size;
        }
    if (d)
        (void)closedir(d);
    free(path);
}

static bool drop_prefixes(const struct store *s)
{
    char *path = store_prefix_dir(s);
    DIR *d = opendir(path);
    const struct dirent *e;
    bool all = true;

    while (d && (e = readdir(d)))
        if (is_prefix(e->d_name) && unlinkat(dirfd(d), e->d_name, 0) < 0 &&
            errno != ENOENT)
            all = false;
    if (d)
        (void)closedir(d);
    free(path);
    return all;
}

int store_cache_drop(const struct store *s, struct err *err)
{
    char *path = io_path(s->dir, CACHE);
    bool left = !drop_prefixes(s);

    io_tree_remove(path);
    left = left || io_exists(path);
    free(path);
    return left ? err_set(err, ERR_IO,
                          "%s/" CACHE ": cannot be removed; remove it by hand",
                          s->dir)
                : ERR_OK;
}

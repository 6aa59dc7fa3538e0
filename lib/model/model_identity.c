/*
 * model_identity.c - which weights a model was loaded from, without reading
 * them again
 *
 * Of each file: name, size, inode, and when it was written and changed, to the
 * nanosecond. A file that was written again, or is a copy, is another one:
 * that costs a computation and is never wrong.
 */
#include "model/model_private.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void add_file(struct crypto_hasher *h, const char *name,
                     const char *path)
{
    struct stat st;
    int64_t v[8] = { 0 };

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    v[0] = (int64_t)st.st_dev;
    v[1] = (int64_t)st.st_ino;
    v[2] = (int64_t)st.st_size;
    v[3] = (int64_t)st.st_mtim.tv_sec;
    v[4] = (int64_t)st.st_mtim.tv_nsec;
    v[5] = (int64_t)st.st_ctim.tv_sec;
    v[6] = (int64_t)st.st_ctim.tv_nsec;
    crypto_hasher_update(h, (struct slice){ name, strlen(name) + 1 });
    crypto_hasher_update(h, (struct slice){ (const char *)v, sizeof(v) });
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool add_all(struct crypto_hasher *h, const char *path)
{
    struct dirent **list = NULL;
    int n;

    if (!io_is_dir(path)) {
        add_file(h, "", path);
        return io_exists(path);
    }
    n = scandir(path, &list, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char *file = io_path(path, list[i]->d_name);

        add_file(h, list[i]->d_name, file);
        free(file);
        free(list[i]);
    }
    free(list);
    return n > 0;
}

bool model_identity(const char *dir, const char *adapter, const char *form,
                    unsigned char out[MODEL_HASH_BYTES])
{
    static const struct crypto_key none; /* no secret: a name */
    struct crypto_hasher h;
    bool fine;

    if (crypto_init(NULL) < 0)
        return false;
    crypto_hasher_init(&h, &none);
    fine = add_all(&h, dir);
    crypto_hasher_update(&h, slice_of(adapter ? "/a" : "/"));
    if (adapter)
        fine = add_all(&h, adapter) && fine;
    crypto_hasher_update(&h, slice_of(form ? form : ""));
    crypto_hasher_final(&h, out);
    return fine;
}

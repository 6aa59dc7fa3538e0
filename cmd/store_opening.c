/* store_opening.c - the one place where commands open an encrypted store */
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#define PUBLIC_MAX 256

static int read_private(const char *path, const struct crypto_key **out,
                        struct err *err)
{
    static struct crypto_key *key;
    int rc;

    if (!key)
        key = crypto_secret_new(sizeof(*key));
    *out = key;
    rc = crypto_key_read(path, false, key, err);
    return rc == ERR_NOTFOUND ? err->code = ERR_INVALID : rc;
}

int cmd_public_key(const char *text, const struct crypto_key **out,
                   struct err *err)
{
    static struct crypto_key key;
    struct buf b = { .data = NULL };
    int rc = ERR_OK;

    *out = &key;
    if (crypto_unhex(slice_of(text), key.bytes, sizeof(key.bytes)))
        return ERR_OK;
    if (io_read_file(text, PUBLIC_MAX, &b, err) < 0)
        rc = err->code = ERR_INVALID;
    if (rc == ERR_OK &&
        !crypto_unhex(slice_trim(buf_slice(&b)), key.bytes, sizeof(key.bytes)))
        rc = err_set(err, ERR_INVALID,
                     "%s: no public key, which is 64 hexadecimal digits", text);
    buf_release(&b);
    return rc;
}

int cmd_store_access(const struct cli *cli, struct store_access *out,
                     struct err *err)
{
    crypto_forbid_dumps();
    *out = (struct store_access){ .key_file = cli->key_file };
    return cli->private_file
               ? read_private(cli->private_file, &out->private_key, err)
               : ERR_OK;
}

void cmd_key_home(const struct cli *cli)
{
    struct err err;
    char *dir, *slash;

    if (cli->key_is_named || !cli->key_file || io_exists(cli->key_file))
        return;
    dir = mem_strdup(cli->key_file);
    slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = '\0';
        (void)!io_mkdirs(dir, 0700, &err);
    }
    free(dir);
}

int cmd_store_open(const struct cli *cli, enum store_mode mode,
                   struct store **out, struct err *err)
{
    struct store_access access;
    int rc = cmd_store_access(cli, &access, err);

    /* A store that an older version made is encrypted when it is written. */
    if (rc == ERR_OK && mode != STORE_READ)
        cmd_key_home(cli);
    return rc < 0 ? rc : store_open_with(cli->store, mode, &access, out, err);
}

int cmd_store_open_to_remove(const struct cli *cli, struct store **out,
                             struct err *err)
{
    struct store_access access;
    int rc = cmd_store_access(cli, &access, err);

    access.removes = true;
    return rc < 0 ? rc
                  : store_open_with(cli->store, STORE_WRITE, &access, out, err);
}

/* cmd_store_keygen.c - slmctl store keygen: a key in a file */
#include "cmd.h"

#include "base/io.h"
#include "crypto/crypto.h"

static int make_key(const char *path, char id[9], struct err *err)
{
    struct crypto_key *key = crypto_secret_new(sizeof(*key));
    int rc = io_exists(path)
                 ? err_set(err, ERR_INVALID,
                           "%s: exists already; name another file", path)
                 : crypto_key_read(path, true, key, err);

    crypto_key_id(key, id);
    crypto_secret_free(key);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *path = argc ? argv[0] : cli->key_file;
    struct err err;
    char id[9];

    crypto_forbid_dumps();
    if (!path)
        return cli_usage(cli, "there is no home directory: name the FILE");
    if (make_key(path, id, &err) < 0)
        return cli_fail(cli, &err);
    cli_note(cli, "%s holds key %s; keep a copy apart from the store", path,
             id);
    return EXIT_DONE;
}

const struct command cmd_store_keygen = {
    .name = "keygen",
    .summary = "make a key",
    .operands = "[FILE]",
    .max_operands = 1,
    .common = CLI_QUIET,
    .complete = COMPLETE_FILE,
    .run = run,
};

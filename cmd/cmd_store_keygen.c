/* cmd_store_keygen.c - slmctl store keygen: a key in a file */
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <stdlib.h>

static bool sealed;

static const struct opt options[] = {
    { .name = "sealed",
      .kind = OPT_FLAG,
      .value = &sealed,
      .help = "a pair: the private key in FILE, the public one in FILE.pub" },
    OPT_END,
};

static int refuse_old(const char *path, struct err *err)
{
    return io_exists(path)
               ? err_set(err, ERR_INVALID,
                         "%s: exists already; name another file", path)
               : ERR_OK;
}

static int write_public(const char *path, const struct crypto_key *key,
                        struct err *err)
{
    char line[2 * CRYPTO_KEY_BYTES + 2];

    crypto_hex(key->bytes, sizeof(key->bytes), line);
    line[2 * CRYPTO_KEY_BYTES] = '\n';
    return io_write_file(path, line, 2 * CRYPTO_KEY_BYTES + 1, 0644, err);
}

/* id: of what others know it by. */
static int make_key(const char *path, const char *public_path, char id[9],
                    struct err *err)
{
    struct crypto_key *key = crypto_secret_new(sizeof(*key));
    struct crypto_key public_key;
    int rc = refuse_old(path, err);

    if (rc == ERR_OK && sealed)
        rc = refuse_old(public_path, err);
    if (rc == ERR_OK)
        rc = crypto_key_read(path, true, key, err);
    if (rc == ERR_OK && sealed) {
        crypto_public_of(key, &public_key);
        crypto_key_id(&public_key, id);
        rc = write_public(public_path, &public_key, err);
    } else if (rc == ERR_OK) {
        crypto_key_id(key, id);
    }
    crypto_secret_free(key);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *path = argc ? argv[0] : cli->key_file;
    char *public_path, id[9];
    struct err err;
    int rc;

    crypto_forbid_dumps();
    if (sealed && !argc)
        return cli_usage(cli, "--sealed needs a FILE for the private key");
    if (!path)
        return cli_usage(cli, "there is no home directory: name the FILE");
    public_path = mem_printf("%s.pub", path);
    if (!argc)
        cmd_key_home(cli);
    rc = make_key(path, public_path, id, &err);
    if (rc == ERR_OK && sealed)
        cli_note(cli,
                 "%s holds public key %s, %s its private one; keep that away "
                 "from where calls are collected",
                 public_path, id, path);
    else if (rc == ERR_OK)
        cli_note(cli, "%s holds key %s; keep a copy apart from the store", path,
                 id);
    free(public_path);
    return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command cmd_store_keygen = {
    .name = "keygen",
    .summary = "make a key, or a pair of keys",
    .operands = "[FILE]",
    .options = options,
    .max_operands = 1,
    .common = CLI_QUIET,
    .complete = COMPLETE_FILE,
    .run = run,
};

/* store_opening.c - the one place where commands open an encrypted store */
#include "store_opening.h"

#include "crypto/crypto.h"

struct store_access cmd_store_access(const struct cli *cli)
{
    crypto_forbid_dumps();
    return (struct store_access){ .key_file = cli->key_file };
}

int cmd_store_open(const struct cli *cli, enum store_mode mode,
                   struct store **out, struct err *err)
{
    const struct store_access access = cmd_store_access(cli);

    return store_open_with(cli->store, mode, &access, out, err);
}

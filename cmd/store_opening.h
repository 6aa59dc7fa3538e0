/* store_opening.h - the store of a command, opened with the user's keys */
#ifndef STORE_OPENING_H
#define STORE_OPENING_H

#include "cmd.h"
#include "store/store.h"

/* store_open_with as the command's options say. From then on the process
 * leaves no core dumps. For a command that needs nothing that is encrypted
 * (status, completion) store_open does. */
MUST_CHECK int cmd_store_open(const struct cli *cli, enum store_mode mode,
                              struct store **out, struct err *err);
/* For prune and erase, which want all the keys of what they remove. */
MUST_CHECK int cmd_store_open_to_remove(const struct cli *cli,
                                        struct store **out, struct err *err);
/* Before a key may be made: the directory of the key file, if nobody named one.
 * Where somebody did, the directory has to be there. If it cannot be made, who
 * makes the key says so. */
void cmd_key_home(const struct cli *cli);
/* The options as they are; what it points to lasts as long as the process. */
MUST_CHECK int cmd_store_access(const struct cli *cli, struct store_access *out,
                                struct err *err);
/* A public key: its 64 digits, or a file that has them. The process's own. */
MUST_CHECK int cmd_public_key(const char *text, const struct crypto_key **out,
                              struct err *err);

#endif

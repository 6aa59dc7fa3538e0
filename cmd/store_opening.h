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
/* The options as they are; the texts are the cli's. */
struct store_access cmd_store_access(const struct cli *cli);

#endif

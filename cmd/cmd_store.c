/* cmd_store.c - slmctl store: what is done with the store as a whole */
#include "cmd.h"

static const struct command *const verbs[] = {
    &cmd_store_backup, &cmd_store_erase,  &cmd_store_export, &cmd_store_keygen,
    &cmd_store_prune,  &cmd_store_rotate, &cmd_store_verify, NULL,
};

const struct command cmd_store = {
    .name = "store",
    .summary = "keys, backup, export, removal and verification of a store",
    .operands = "",
    .verbs = verbs,
};

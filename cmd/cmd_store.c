/* cmd_store.c - slmctl store: what is done with the store as a whole */
#include "cmd.h"

static const struct command *const verbs[] = {
    &cmd_store_export,
    &cmd_store_verify,
    NULL,
};

const struct command cmd_store = {
    .name = "store",
    .summary = "export and verify what is in the store",
    .operands = "",
    .verbs = verbs,
};

/* cmd_store_rotate.c - slmctl store rotate: other keys for what is there */
#include "cmd.h"
#include "store_opening.h"

static const char *new_key;
static bool data;

static const struct opt options[] = {
    { .name = "new-key",
      .kind = OPT_STRING,
      .value = &new_key,
      .arg = "FILE",
      .help = "key file that opens the store from now on, made if absent",
      .complete = COMPLETE_FILE },
    { .name = "data",
      .kind = OPT_FLAG,
      .value = &data,
      .help = "encrypt everything anew with a new data key" },
    OPT_END,
};

static int run(struct cli *cli, int argc, char **argv)
{
    struct store_access access;
    struct err err, stays = { .code = ERR_OK };
    const struct store_rotation how = { .new_key_file = new_key,
                                        .data = data,
                                        .progress = &cli->progress,
                                        .cache_stays = &stays };
    char id[9];
    int rc = cmd_store_access(cli, &access, &err);

    if (rc == ERR_OK && !new_key)
        cmd_key_home(cli);
    if (rc == ERR_OK)
        rc = store_rotate(cli->store, &access, &how, id, &err);
    (void)argc;
    (void)argv;
    cli_progress_end(cli);
    if (rc < 0)
        return cli_fail(cli, &err);
    cli_note(cli, "%s opens with key %s now, in %s", cli->store, id,
             new_key ? new_key : cli->key_file);
    if (stays.code < 0)
        cli_warn(cli, "%s (what it has is of the old key, or plain)",
                 stays.msg);
    return EXIT_DONE;
}

const struct command cmd_store_rotate = {
    .name = "rotate",
    .summary = "encrypt a store, or give it other keys",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_QUIET | CLI_PROGRESS,
    .run = run,
};

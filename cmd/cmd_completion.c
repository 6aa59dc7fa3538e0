/* cmd_completion.c - prints the shell completion, made from the option tables*/
#include "cmd.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct buf out = { .data = NULL };
    struct err err;
    int rc;

    (void)argc;
    if (cli_completion(cli->commands, argv[0], &out, &err))
        rc = cli_fail(cli, &err);
    else
        rc = cli_write(cli, &out);
    buf_release(&out);
    return rc;
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "print the completion for bash, zsh or fish",
    .operands = "bash|zsh|fish",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

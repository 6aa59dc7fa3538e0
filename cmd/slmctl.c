/* slmctl.c - the list of commands, in the order of a log's way to a model */
#include "cmd.h"

static const struct command *const commands[] = {
    &cmd_estimate, &cmd_collect, &cmd_curate, &cmd_cluster, &cmd_select,
    &cmd_finetune, &cmd_eval,    &cmd_serve,  &cmd_retrain, &cmd_generate,
    &cmd_model,    &cmd_status,  &cmd_report, &cmd_store,   &cmd_completion,
    &cmd_complete, NULL,
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv, commands);
}

/*
 * cmd.h - the commands
 *
 * To add one: write cmd/cmd_NAME.c that exports `const struct command
 * cmd_NAME`, declare it here, list it in cmd/slmctl.c, write
 * man/slmctl-NAME.1, and run `make completions`. `make check-lint` tells what
 * is missing. Commands print, exit and read the environment (through cli);
 * what they do with data belongs to lib/.
 */
#ifndef CMD_H
#define CMD_H

#include "cli/cli.h"

extern const struct command cmd_collect;
extern const struct command cmd_curate;
extern const struct command cmd_cluster;
extern const struct command cmd_complete;
extern const struct command cmd_completion;
extern const struct command cmd_estimate;
extern const struct command cmd_eval;
extern const struct command cmd_generate;
extern const struct command cmd_model;
extern const struct command cmd_report;
extern const struct command cmd_retrain;
extern const struct command cmd_select;
extern const struct command cmd_serve;
extern const struct command cmd_status;
extern const struct command cmd_store;
extern const struct command cmd_store_backup;
extern const struct command cmd_store_erase;
extern const struct command cmd_store_export;
extern const struct command cmd_store_keygen;
extern const struct command cmd_store_prune;
extern const struct command cmd_store_rotate;
extern const struct command cmd_store_verify;
extern const struct command cmd_finetune;

#endif

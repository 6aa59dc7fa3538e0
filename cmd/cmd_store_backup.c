/*
 * cmd_store_backup.c - slmctl store backup: the database as one file
 *
 * Only store.db: models and runs are directories that any tool copies.
 */
#include "cmd.h"

#include "base/mem.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A directory, or the store's own file, is no place for it. */
static int check_target(const struct cli *cli, const char *path,
                        struct err *err)
{
    char *own = mem_printf("%s/store.db", cli->store);
    struct stat a, b;
    int rc = ERR_OK;

    if (!path[0] || !strcmp(path, "-"))
        rc = err_set(err, ERR_INVALID, "a backup needs a file's name");
    else if (stat(path, &a) == 0 && !S_ISREG(a.st_mode))
        rc = err_set(err, ERR_INVALID, "%s: no file; name one", path);
    else if (stat(path, &a) == 0 && stat(own, &b) == 0 &&
             a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        rc = err_set(err, ERR_INVALID, "%s: is the store itself", path);
    free(own);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct buf out = { .data = NULL };
    struct store *s = NULL;
    struct stat st;
    struct err err;
    int code = EXIT_DONE, rc = check_target(cli, argv[0], &err);

    (void)argc;
    if (rc == ERR_OK)
        rc = store_open(cli->store, STORE_READ, &s, &err);
    if (rc == ERR_OK)
        rc = store_backup(s, argv[0], &err);
    store_close(s);
    if (rc < 0)
        return cli_fail(cli, &err);
    if (!cli->quiet && cli->tty_out && stat(argv[0], &st) == 0) {
        buf_printf(&out, "%s: %" PRId64 " bytes\n", argv[0],
                   (int64_t)st.st_size);
        code = cli_write(cli, &out);
    }
    buf_release(&out);
    return code;
}

const struct command cmd_store_backup = {
    .name = "backup",
    .summary = "copy the database while it is in use",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .common = CLI_STORE | CLI_QUIET,
    .complete = COMPLETE_FILE,
    .run = run,
};

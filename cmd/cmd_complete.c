/*
 * cmd_complete.c - names for completion, asked for by the completion scripts
 *
 * Hidden. A shell that waits for TAB wants names or nothing: without a store,
 * or with one that cannot be read now, it prints nothing and says nothing.
 */
#include "cmd.h"

#include "store/store.h"

#include <string.h>

static int add_names(struct sql *db, const char *query, struct buf *out,
                     struct err *err)
{
    struct sql_stmt *stmt;
    int rc = sql_get(db, query, &stmt, err);

    while (!rc && (rc = sql_step(stmt, err)) > 0) {
        buf_add_slice(out, sql_text(stmt, 0));
        buf_char(out, '\n');
        rc = 0;
    }
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    const char *query = NULL;
    struct buf out = { .data = NULL };
    struct store *store = NULL;
    struct err err;
    int rc = EXIT_DONE;

    (void)argc;
    if (!strcmp(argv[0], "tasks"))
        query = "SELECT name FROM task WHERE merged_into IS NULL ORDER BY name";
    else if (!strcmp(argv[0], "models"))
        query = "SELECT name FROM model ORDER BY name";
    if (query && !store_open(cli->store, STORE_READ, &store, &err) &&
        !add_names(store_sql(store), query, &out, &err))
        rc = cli_write(cli, &out);
    store_close(store);
    buf_release(&out);
    return rc;
}

const struct command cmd_complete = {
    .name = "--complete",
    .summary = "names for completion",
    .operands = "tasks|models",
    .min_operands = 1,
    .max_operands = 1,
    .common = CLI_STORE,
    .run = run,
};

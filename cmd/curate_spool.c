/*
 * curate_spool.c - what collectors of a sealed store have left on disk
 *
 * A collector cannot read the segments of an earlier one. Who holds the
 * private key does so with a recorder that takes nothing in and ends when all
 * is in the store.
 */
#include "curate_print.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "recorder/recorder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS INT64_C(86400000)

static bool has_segments(const char *store)
{
    char *path = io_path(store, "spool");
    DIR *d = opendir(path);
    struct dirent *e;
    bool has = false;

    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);

        has |= n > 4 && strcmp(e->d_name + n - 4, ".seg") == 0;
    }
    if (d)
        (void)closedir(d);
    free(path);
    return has;
}

int curate_spool(struct cli *cli, struct err *err)
{
    struct crypto_key *key = crypto_secret_new(sizeof(*key));
    struct store_access access;
    struct recorder_options o = { .store = cli->store,
                                  .access = &access,
                                  .key = key,
                                  .durability = RECORDER_BATCH,
                                  .overload = RECORDER_SPILL,
                                  .queue_bytes = (size_t)64 << 20,
                                  .spool_bytes = UINT64_MAX };
    struct recorder *r = NULL;
    int rc = ERR_OK;

    if (cli->private_file && has_segments(cli->store)) {
        rc = cmd_store_access(cli, &access, err);
        access.collects = access.imports = true;
        crypto_random(key->bytes, sizeof(key->bytes));
        if (rc == ERR_OK)
            rc = recorder_open(&o, &r, err);
    }
    if (rc == ERR_BUSY) {
        cli_note(cli, "a collector runs: calls that wait in spool/ stay there");
        rc = ERR_OK;
    } else if (rc == ERR_OK) {
        rc = recorder_close(r, WAIT_MS, err);
    }
    crypto_secret_free(key);
    return rc;
}

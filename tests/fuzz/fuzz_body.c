/*
 * fuzz_body.c - bodies of arbitrary bytes into the store and back
 *
 * Holds it to this: whatever comes in comes out, to the byte.
 */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/slmctl-fuzz-XXXXXX";
static struct store *store;

static void close_store(void)
{
    char command[64];

    store_close(store);
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    (void)!system(command);
}

static void open_store(void)
{
    struct err err;

    if (!mkdtemp(directory) ||
        store_open(directory, STORE_CREATE, &store, &err) ||
        sql_begin(store_sql(store), &err))
        abort();
    (void)atexit(close_store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = { (const char *)data, size };
    struct store_body stored;
    struct buf back = { .data = NULL };
    struct err err;

    if (!store)
        open_store();
    if (store_body_put(store, body, "messages", &stored, &err) ||
        store_body_get(store, stored, &back, &err) ||
        !slice_eq(buf_slice(&back), body))
        abort();
    buf_release(&back);
    return 0;
}

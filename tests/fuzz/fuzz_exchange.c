/* fuzz_exchange.c - lines of the exchange format, and bodies, of any bytes
 *
 * The first line is parsed as a record, all of them are imported into a store
 * of this process, and every body that is in it must come back to the byte.
 */
#include "base/io.h"
#include "base/mem.h"
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/slmctl-fuzz-XXXXXX";
static struct wire_import im;

static void clean_up(void)
{
    char *command = mem_printf("rm -rf %s", directory);

    store_close(im.store);
    buf_release(&im.rejected_paths);
    if (system(command) != 0)
        _exit(1);
    free(command);
}

static void make_store(void)
{
    struct err err;

    if (!mkdtemp(directory) ||
        store_open(directory, STORE_CREATE, &im.store, &err) < 0 ||
        sql_exec(store_sql(im.store), "PRAGMA synchronous = OFF", &err) < 0)
        abort();
    (void)atexit(clean_up);
}

static void round_trip(struct slice body)
{
    struct store_body b = { 0 };
    struct buf back = { .data = NULL };
    struct err err;

    if (store_body_put(im.store, body, "messages", &b, &err) < 0 ||
        store_body_get(im.store, b, &back, &err) < 0 ||
        !slice_eq(buf_slice(&back), body))
        abort();
    buf_release(&back);
}

static void parse_line(struct slice line)
{
    struct wire_record r = { .built = { .data = NULL } };
    struct err err;

    if (wire_record_parse(&r, line, &err) == ERR_OK) {
        round_trip(r.call.request);
        round_trip(r.call.response);
    }
    wire_record_release(&r);
}

static void import_all(struct slice text)
{
    char *path = io_path(directory, "input");
    struct err err;

    if (io_write_file(path, text.p, text.n, 0600, &err) < 0)
        abort();
    /* Damaged compressed input is an error, lines never are. */
    if (wire_import_file(&im, path, &err) < 0 && err.code != ERR_FORMAT)
        abort();
    if (wire_outcomes_file(&im, path, &err) < 0 && err.code != ERR_FORMAT)
        abort();
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    const char *end = size ? memchr(text.p, '\n', size) : NULL;

    if (!im.store)
        make_store();
    parse_line((struct slice){ text.p, end ? (size_t)(end - text.p) : size });
    round_trip(text);
    import_all(text);
    return 0;
}

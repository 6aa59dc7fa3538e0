/*
 * cmd_store_verify.c - slmctl store verify: is all as it was logged
 *
 * Findings go to standard output, one a line; nothing is mended here.
 */
#include "cmd.h"
#include "store_opening.h"

#include "base/mem.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FINDINGS_SHOWN 1000

static const char *head;

static const struct opt options[] = {
    { .name = "head",
      .kind = OPT_STRING,
      .value = &head,
      .arg = "HEX",
      .help = "a head that was printed before must be part of the chain" },
    OPT_END,
};

struct findings {
    char *line[FINDINGS_SHOWN];
    size_t count;
};

static void keep(void *ctx, const char *finding)
{
    struct findings *f = ctx;

    if (f->count < FINDINGS_SHOWN)
        f->line[f->count++] = mem_strdup(finding);
}

static void write_json(const struct store_verify *v, const struct findings *f,
                       struct buf *out)
{
    char hex[2 * STORE_LINK_BYTES + 1];
    struct json_writer w;

    crypto_hex(v->head, sizeof(v->head), hex);
    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.store.verify/1");
    json_put_int(&w, "calls", v->calls);
    json_put_int(&w, "removed", v->tombstones);
    json_put_int(&w, "pieces", v->blobs);
    json_put_int(&w, "examples", v->examples);
    json_put_int(&w, "commits", v->commits);
    json_put_int(&w, "chain_from", v->chain_from);
    json_put_int(&w, "chain_to", v->chain_to);
    json_put_string(&w, "head", hex);
    if (v->expected)
        json_put_int(&w, "given_head_to", v->expected_call);
    json_put_int(&w, "damaged", (int64_t)v->findings);
    json_begin_array(&w, "findings");
    for (size_t i = 0; i < f->count; i++)
        json_put_string(&w, NULL, f->line[i]);
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void write_text(const struct store_verify *v, const struct findings *f,
                       struct buf *out)
{
    char hex[2 * STORE_LINK_BYTES + 1];

    for (size_t i = 0; i < f->count; i++)
        buf_printf(out, "%s\n", f->line[i]);
    if (v->findings > f->count)
        buf_printf(out, "and %" PRIu64 " more\n", v->findings - f->count);
    buf_printf(out,
               "%" PRId64 " calls of %" PRId64 " pieces, %" PRId64
               " removed; %" PRIu64 " damages\n",
               v->calls, v->blobs, v->tombstones, v->findings);
    if (v->chain_from > 1)
        buf_printf(out,
                   "calls before %" PRId64 " are older than the chain, which "
                   "proves nothing about them\n",
                   v->chain_from);
    if (v->commits)
        buf_printf(out,
                   "the chain of %" PRId64 " commits covers calls %" PRId64
                   " to %" PRId64 "\n",
                   v->commits, v->chain_from, v->chain_to);
    if (v->expected_call)
        buf_printf(out, "the given head covers the calls up to %" PRId64 "\n",
                   v->expected_call);
    crypto_hex(v->head, sizeof(v->head), hex);
    buf_printf(out, "head %s\n", hex);
}

static int verify(struct cli *cli, struct store_verify *v, struct err *err)
{
    struct store *s = NULL;
    int rc = cmd_store_open(cli, STORE_READ, &s, err);

    /* Where no lock can be made, nobody removes anything either. */
    if (rc == ERR_OK)
        rc = store_lock(s, "removal", err);
    if (rc < 0 && rc != ERR_BUSY && s)
        rc = ERR_OK;
    if (rc == ERR_OK)
        rc = store_verify(s, v, err);
    store_close(s);
    cli_progress_end(cli);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    unsigned char expected[STORE_LINK_BYTES];
    struct findings found = { .count = 0 };
    struct store_verify v = { .tell = keep,
                              .ctx = &found,
                              .progress = &cli->progress };
    struct buf out = { .data = NULL };
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    if (head && !crypto_unhex(slice_of(head), expected, sizeof(expected)))
        return cli_usage(cli,
                         "--head: not the %d hexadecimal digits that "
                         "slmctl store verify prints",
                         2 * STORE_LINK_BYTES);
    v.expected = head ? expected : NULL;
    rc = verify(cli, &v, &err);
    if (rc < 0) {
        rc = cli_fail(cli, &err);
    } else {
        if (cli->json)
            write_json(&v, &found, &out);
        else
            write_text(&v, &found, &out);
        rc = cli_write(cli, &out);
    }
    if (rc == EXIT_DONE && v.findings)
        rc = EXIT_FAILED;
    for (size_t i = 0; i < found.count; i++)
        free(found.line[i]);
    buf_release(&out);
    return rc;
}

const struct command cmd_store_verify = {
    .name = "verify",
    .summary = "check that all is there as it was logged",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_PROGRESS,
    .run = run,
};

/*
 * cmd_store_prune.c - slmctl store prune: no more than so old, so large
 *
 * Made for cron: says nothing if there was nothing to do.
 */
#include "store_opening.h"

#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *older_than;
static int64_t max_size;
static bool dry_run, keep_examples;

static const struct opt options[] = {
    { .name = "older-than",
      .kind = OPT_STRING,
      .value = &older_than,
      .arg = "TIME",
      .help = "remove calls before that: 90d, 12w, 36h" },
    { .name = "max-size",
      .kind = OPT_BYTES,
      .value = &max_size,
      .arg = "SIZE",
      .min = 1,
      .max = 1e18,
      .help = "then the oldest, until the database is no larger" },
    { .name = "keep-examples",
      .kind = OPT_FLAG,
      .value = &keep_examples,
      .help = "not those that became examples" },
    { .name = "dry-run",
      .kind = OPT_FLAG,
      .value = &dry_run,
      .help = "say what would be removed" },
    OPT_END,
};

/* "90d" in microseconds; -1: no such time. */
static int64_t parse_age(const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = { { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    char *end;
    long long n;

    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno || end == text || n < 1 || n > 1000000 || text[0] < '0' ||
        text[0] > '9' || !end[0] || end[1])
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (*end == units[i].unit)
            return n * units[i].seconds * 1000000;
    return -1;
}

static void write_json(const struct store_removed *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.store.prune/1");
    json_put_bool(&w, "dry_run", dry_run);
    json_put_int(&w, "calls", r->calls);
    json_put_int(&w, "examples", r->examples);
    json_put_int(&w, "pieces", r->pieces);
    json_put_int(&w, "bytes_before", r->bytes_before);
    json_put_int(&w, "bytes_after", r->bytes_after);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void write_text(const struct store_removed *r, struct buf *out)
{
    if (dry_run)
        buf_printf(out, "%" PRId64 " calls would be removed%s\n", r->calls,
                   max_size ? ", about" : "");
    else
        buf_printf(
            out,
            "%" PRId64 " calls removed, with %" PRId64 " examples and %" PRId64
            " pieces; %" PRId64 " bytes before, %" PRId64 " now\n",
            r->calls, r->examples, r->pieces, r->bytes_before, r->bytes_after);
}

static int prune(struct cli *cli, const struct store_prune *p,
                 struct store_removed *r, struct err *err)
{
    struct store *s = NULL;
    int rc = cmd_store_open_to_remove(cli, &s, err);

    if (rc == ERR_OK)
        rc = store_prune(s, p, r, err);
    store_close(s);
    cli_progress_end(cli);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct store_prune p = { .max_bytes = max_size,
                             .dry_run = dry_run,
                             .keep_examples = keep_examples,
                             .progress = &cli->progress };
    struct store_removed r;
    struct buf out = { .data = NULL };
    struct err err;
    int rc = EXIT_DONE;

    (void)argc;
    (void)argv;
    if (older_than)
        p.older_than_us = parse_age(older_than);
    if (p.older_than_us < 0)
        return cli_usage(cli, "--older-than: '%s' is no time (36h, 90d, 12w)",
                         older_than);
    if (!older_than && !max_size)
        return cli_usage(cli, "give --older-than, --max-size or both");
    if (prune(cli, &p, &r, &err) < 0)
        return cli_fail(cli, &err);
    if (cli->json)
        write_json(&r, &out);
    else if (!cli->quiet && (cli->tty_out || dry_run || r.calls))
        write_text(&r, &out);
    if (out.len)
        rc = cli_write(cli, &out);
    if (!dry_run && r.calls && r.bytes_after > max_size && max_size)
        cli_warn(cli,
                 "the database has %" PRId64
                 " bytes and no calls left to remove",
                 r.bytes_after);
    buf_release(&out);
    return rc;
}

const struct command cmd_store_prune = {
    .name = "prune",
    .summary = "remove old calls, or so many that the rest fits",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET | CLI_PROGRESS,
    .run = run,
};

/*
 * cmd_collect.c - logged calls into the store
 *
 * Imports files and pipes, and joins outcomes that come later. Lines that
 * cannot be read are kept aside and told by exit code 3.
 */
#include "collect_listen.h"
#include "listen_options.h"
#include "store_opening.h"

#include "base/clock.h"
#include "base/mem.h"
#include "wire/wire.h"

#include <inttypes.h>
#include <unistd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct cli_list imports, outcomes, follows;
static const char *format = "auto";
static const char *seal_to;
static bool no_encryption;

static const struct opt options[] = {
    { .name = "import",
      .kind = OPT_LIST,
      .value = &imports,
      .arg = "FILE|DIR|-",
      .help = "add the calls of a file, of a directory's files or of stdin",
      .complete = COMPLETE_FILE },
    { .name = "format",
      .kind = OPT_CHOICE,
      .value = &format,
      .arg = "FORMAT",
      .choices = "auto|exchange|chat|litellm|otlp|har|langfuse|pairs",
      .help = "what imported lines are (default auto: told by each)" },
    { .name = "outcomes",
      .kind = OPT_LIST,
      .value = &outcomes,
      .arg = "FILE|-",
      .help = "join rewards, labels or corrected answers to logged calls",
      .complete = COMPLETE_FILE },
    { .name = "follow",
      .kind = OPT_LIST,
      .value = &follows,
      .arg = "FILE",
      .help = "add the calls of a log as it grows, until it is stopped",
      .complete = COMPLETE_FILE },
    LISTEN_OPTIONS,
    { .name = "no-encryption",
      .kind = OPT_FLAG,
      .value = &no_encryption,
      .help = "a store that is made now is not encrypted" },
    { .name = "seal-to",
      .kind = OPT_STRING,
      .value = &seal_to,
      .arg = "PUBLIC",
      .help = "seal a new store to this public key: its digits, or their file",
      .complete = COMPLETE_FILE },
    OPT_END,
};

/* Before the store is opened or made: a name that is mistyped changes
 * nothing. */
static int list_files(const struct cli_list *from, struct wire_files *files,
                      struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < from->count; i++)
        rc = wire_files_add(files, from->items[i], err);
    return rc;
}

struct inputs {
    struct wire_files imports, outcomes;
    size_t unread; /* files that could not be read to their end */
};

/* A damaged file does not keep those behind it out of the store. */
static int collect(struct cli *cli, struct wire_import *im, struct inputs *in,
                   struct err *err)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < in->imports.count; i++) {
        im->more = i + 1 < in->imports.count;
        rc = wire_import_file(im, in->imports.paths[i], err);
        if (rc < 0 && im->unread) {
            cli_progress_end(cli);
            (void)cli_fail(cli, err);
            in->unread++;
            rc = ERR_OK;
        }
    }
    for (size_t i = 0; rc == ERR_OK && i < in->outcomes.count; i++)
        rc = wire_outcomes_file(im, in->outcomes.paths[i], err);
    return rc;
}

static int note_stage(struct store *s, struct err *err)
{
    int64_t high;
    int rc =
        sql_one_int(store_sql(s), "SELECT max(id) FROM call", 0, &high, err);

    return rc < 0 ? rc : store_stage_set(s, "collect", high, NULL, NULL, err);
}

/* Each dead-letter file of the newline-separated list. */
static char *next_path(char **rest)
{
    char *line = strsep(rest, "\n");

    return line && *line ? line : NULL;
}

static void write_json(const struct wire_import *im, double seconds,
                       struct buf *out)
{
    const struct wire_counts *c = &im->counts;
    char *paths = im->rejected_paths.data ? mem_strdup(im->rejected_paths.data)
                                          : mem_strdup("");
    char *rest = paths;
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.collect/1");
    json_put_int(&w, "files", (int64_t)c->files);
    json_put_int(&w, "lines", (int64_t)c->lines);
    json_put_int(&w, "added", (int64_t)c->added);
    json_put_int(&w, "known", (int64_t)c->known);
    json_put_int(&w, "outcomes", (int64_t)c->updated);
    json_put_int(&w, "skipped", (int64_t)c->skipped);
    json_put_int(&w, "rejected", (int64_t)c->rejected);
    json_begin_array(&w, "rejected_files");
    for (const char *p; (p = next_path(&rest));)
        json_put_string(&w, NULL, p);
    json_end_array(&w);
    json_put_double(&w, "seconds", seconds);
    json_end_object(&w);
    buf_char(out, '\n');
    free(paths);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void write_text(const struct wire_import *im, double seconds,
                       struct buf *out)
{
    const struct wire_counts *c = &im->counts;

    if (imports.count || follows.count)
        buf_printf(
            out,
            "%" PRIu64 " call%s added, %" PRIu64 " known already, %" PRIu64
            " line%s rejected; %.1f s, %.0f calls/s\n",
            c->added, plural(c->added), c->known, c->rejected,
            plural(c->rejected), seconds,
            (double)(c->added + c->known) / (seconds > 0 ? seconds : 1e-9));
    if (outcomes.count)
        buf_printf(out, "%" PRIu64 " outcome%s joined\n", c->updated,
                   plural(c->updated));
}

/* cron stays silent when there was nothing to do. */
static bool has_news(const struct cli *cli, const struct wire_import *im)
{
    const struct wire_counts *c = &im->counts;

    return cli->tty_out || c->added || c->rejected || c->updated;
}

static int finish(struct cli *cli, const struct wire_import *im, size_t unread,
                  double seconds)
{
    struct buf out = { .data = NULL };
    char *paths =
        mem_strdup(im->rejected_paths.data ? im->rejected_paths.data : "");
    char *rest = paths;
    int rc = EXIT_DONE;

    if (cli->json)
        write_json(im, seconds, &out);
    else if (!cli->quiet && has_news(cli, im))
        write_text(im, seconds, &out);
    if (out.len)
        rc = cli_write(cli, &out);
    for (const char *p; (p = next_path(&rest));)
        cli_warn(cli, "rejected lines are kept in %s", p);
    if (rc == EXIT_DONE && unread)
        rc = EXIT_FAILED;
    if (rc == EXIT_DONE && im->counts.rejected && !follows.count)
        rc = EXIT_PARTLY;
    buf_release(&out);
    free(paths);
    return rc;
}

int collect_access(const struct cli *cli, bool as_import,
                   struct store_access *out, struct err *err)
{
    int rc = cmd_store_access(cli, out, err);

    out->plain = no_encryption;
    out->collects = true;
    out->imports = as_import;
    if (rc == ERR_OK && seal_to)
        rc = cmd_public_key(seal_to, &out->seal_to, err);
    if (rc == ERR_OK && !no_encryption)
        cmd_key_home(cli);
    return rc;
}

static int open_and_collect(struct cli *cli, struct wire_import *im,
                            struct inputs *in, struct err *err)
{
    enum store_mode mode = in->imports.count ? STORE_CREATE : STORE_WRITE;
    struct store_access access;
    int rc = collect_access(cli, true, &access, err);

    if (rc == ERR_OK)
        rc = store_open_with(cli->store, mode, &access, &im->store, err);

    if (rc == ERR_OK)
        rc = store_lock(im->store, "collect", err);
    if (rc == ERR_OK) {
        im->pool = pool_new(cli->threads);
        rc = collect(cli, im, in, err);
        if (rc == ERR_OK)
            rc = note_stage(im->store, err);
        pool_free(im->pool);
    }
    store_close(im->store);
    cli_progress_end(cli);
    return rc;
}

static void say(void *cli, const char *message)
{
    cli_note(cli, "%s", message);
}

/* Whoever rotates logs signals their readers; there is nothing to do here. Only
 * who hangs up a terminal means that it is to end. */
static void ignore_rotations(void)
{
    if (!isatty(STDIN_FILENO))
        (void)signal(SIGHUP, SIG_IGN);
}

/* Imports may run beside it. */
static int follow(struct cli *cli, struct wire_import *im, struct err *err)
{
    const struct wire_follow_notes notes = { say, cli };
    struct store_access access;
    int rc = wire_follow_check(follows.items, follows.count, err);

    ignore_rotations();
    if (rc == ERR_OK)
        rc = collect_access(cli, true, &access, err);
    if (rc == ERR_OK)
        rc =
            store_open_with(cli->store, STORE_CREATE, &access, &im->store, err);
    if (rc == ERR_OK)
        rc = store_lock(im->store, "follow", err);
    if (rc == ERR_OK) {
        im->pool = pool_new(cli->threads);
        rc = wire_follow(im, follows.items, follows.count, &notes, err);
        pool_free(im->pool);
    }
    store_close(im->store);
    return rc;
}

static size_t of_stdin(const struct cli_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->count; i++)
        n += strcmp(list->items[i], "-") == 0;
    return n;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct wire_import im = { .progress = &cli->progress };
    int64_t start = clock_mono_ns();
    struct inputs in = { 0 };
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    (void)wire_format_parse(format, &im.format);
    if (listen_values.listen.count &&
        (imports.count || outcomes.count || follows.count))
        return cli_usage(cli, "--listen runs alone, without --import, "
                              "--follow and --outcomes");
    if (listen_values.listen.count)
        return collect_listen(cli, NULL);
    if (follows.count && (imports.count || outcomes.count))
        return cli_usage(cli, "--follow runs alone, without --import and "
                              "--outcomes");
    if (of_stdin(&follows))
        return cli_usage(cli, "--follow reads files that grow; give standard "
                              "input to --import, and a file of the name - as "
                              "./-");
    if (follows.count > WIRE_FOLLOW_MAX)
        return cli_usage(cli, "more than %d files to follow", WIRE_FOLLOW_MAX);
    if (!imports.count && !outcomes.count && !follows.count)
        return cli_usage(cli, "nothing to collect: give --listen, --follow, "
                              "--import or --outcomes");
    if (of_stdin(&imports) + of_stdin(&outcomes) > 1)
        return cli_usage(cli, "standard input can be read once; - is given "
                              "more often");
    rc = list_files(&imports, &in.imports, &err);
    if (rc == ERR_OK)
        rc = list_files(&outcomes, &in.outcomes, &err);
    if (rc == ERR_OK)
        rc = follows.count ? follow(cli, &im, &err)
                           : open_and_collect(cli, &im, &in, &err);
    if (rc == ERR_OK)
        rc = finish(cli, &im, in.unread,
                    (double)(clock_mono_ns() - start) / 1e9);
    else
        rc = cli_fail(cli, &err);
    wire_files_release(&in.imports);
    wire_files_release(&in.outcomes);
    buf_release(&im.rejected_paths);
    return rc;
}

const struct command cmd_collect = {
    .name = "collect",
    .summary = "log calls of a large model: as a proxy, or from files",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET | CLI_PROGRESS |
              CLI_THREADS,
    .run = run,
};

/*
 * cmd_curate.c - slmctl curate: logged calls into examples
 *
 * Runs the pass over what is new, then writes what was asked for: decisions,
 * a data set, the leak check. Data on stdout and the summary never mix.
 */
#include "cmd.h"
#include "curate_choices.h"
#include "curate_print.h"
#include "curate_remembered.h"
#include "curate_settings.h"
#include "curate_targets.h"
#include "store_opening.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "curate/curate.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define TEST_MOST 50 /* percent: more is a slip that cannot be mended */

static const char *decisions, *export_file, *task_name;
static const char *leak_file, *report_file;
static int64_t canaries = CURATE_CANARIES;
static struct cli_list splits;
static bool check_rules, filter, reveal, plain_text, show_spans, tell_summary;
static const char *shard;

static const struct opt options[] = {
    CURATE_SETTINGS,
    CURATE_CHOICES,
    { 0, "split", OPT_LIST, &splits, "SHARES|NAME",
      "percent for train, validation and test; or what to export" },
    { 0, "decisions", OPT_STRING, &decisions, "FILE|-",
      "write what became of each call, and why", .complete = COMPLETE_FILE },
    { 0, "export", OPT_STRING, &export_file, "FILE|-",
      "write kept examples as chat JSON Lines", .complete = COMPLETE_FILE },
    { 't', "task", OPT_STRING, &task_name, "TASK",
      "export the examples of this task only", .complete = COMPLETE_TASK },
    { 0, "check-leaks", OPT_STRING, &leak_file, "FILE",
      "search the examples for values that must be gone, one a line",
      .complete = COMPLETE_FILE },
    { 0, "report", OPT_STRING, &report_file, "FILE|-",
      "write what was replaced, what is left, and whether anything survives",
      .complete = COMPLETE_FILE },
    { 0, "canaries", OPT_INT, &canaries, "N",
      "with --report: plant N persons who do not exist", .min = 0,
      .max = 100000 },
    { 0, "check-rules", OPT_FLAG, &check_rules, NULL,
      "run the examples that stand in the rules, and nothing else" },
    { 0, "filter", OPT_FLAG, &filter, NULL,
      "scrub lines of JSON from stdin to stdout, without a store" },
    { 0, "reveal", OPT_FLAG, &reveal, NULL,
      "turn surrogates in lines from stdin back, by --vault" },
    { 0, "text", OPT_FLAG, &plain_text, NULL,
      "with --filter or --reveal: lines are plain text" },
    { 0, "spans", OPT_FLAG, &show_spans, NULL,
      "with --filter: write what was found instead" },
    { 0, "shard", OPT_STRING, &shard, "I/N",
      "with --filter and --key-file: only line I of each N" },
    { 0, "summary", OPT_FLAG, &tell_summary, NULL,
      "with --filter: tell at the end, on stderr, what was done" },
    OPT_END,
};

struct wishes {
    char splits[4]; /* letters of what to export */
    bool named;     /* by --split */
};

static bool add_split(struct wishes *w, const char *name)
{
    static const struct {
        const char *name, *letters;
    } table[] = { { "train", "t" },
                  { "validation", "v" },
                  { "test", "s" },
                  { "all", "tvs" } };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        for (const char *p = table[i].letters; *p; p++)
            if (!strchr(w->splits, *p))
                w->splits[strlen(w->splits)] = *p;
        return true;
    }
    return false;
}

static int read_wishes(struct wishes *w, struct err *err)
{
    for (size_t i = 0; i < splits.count; i++) {
        const char *text = splits.items[i];

        if (*text >= '0' && *text <= '9') {
            unsigned shares[3];

            if (curate_shares_parse(text, shares, err) < 0)
                return err_wrap(err, "--split");
            if (shares[CURATE_TEST] > TEST_MOST)
                return err_set(err, ERR_INVALID,
                               "--split %s: what is in the test is sealed for "
                               "good; give it %d or less",
                               text, TEST_MOST);
            curate_choices.shares = text;
        } else if (!add_split(w, text)) {
            return err_set(err, ERR_INVALID,
                           "--split %s: train, validation, test, all or "
                           "three percentages are expected",
                           text);
        }
    }
    w->named = w->splits[0] != '\0';
    if (!w->named)
        strcpy(w->splits, "tv");
    return ERR_OK;
}

int curate_load_key(struct cli *cli, struct crypto_key *key, struct err *err)
{
    bool made;
    int rc;

    if (!cli->key_file)
        return err_set(err, ERR_INVALID,
                       "no home directory; name the key with --key-file");
    cmd_key_home(cli);
    made = !io_exists(cli->key_file);
    rc = crypto_key_read(cli->key_file, true, key, err);
    if (rc == ERR_OK && made && cli->key_is_named)
        cli_note(cli, "made a new key, %s", cli->key_file);
    return rc;
}

struct rules_check {
    struct cli *cli;
    struct buf text;
    struct json_writer w;
};

static void rule_failed(void *ctx, const char *rule, const char *example,
                        const char *why)
{
    struct rules_check *c = ctx;

    if (!c->cli->json)
        cli_warn(c->cli, "rule %s: %s: %s", rule, why, example);
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "rule", rule);
    json_put_string(&c->w, "why", why);
    json_put_string(&c->w, "example", example);
    json_end_object(&c->w);
}

static int run_check_rules(struct cli *cli, const struct scrub_rules *rules)
{
    struct rules_check c = { .cli = cli };
    size_t examples = 0, failed;
    int code = EXIT_DONE;

    json_writer_init(&c.w, &c.text, true);
    json_begin_document(&c.w, "slmctl.curate-rules/1");
    json_begin_array(&c.w, "failures");
    failed = scrub_rules_check(rules, &examples, rule_failed, &c);
    json_end_array(&c.w);
    json_put_int(&c.w, "rules", (int64_t)scrub_rules_count(rules));
    json_put_int(&c.w, "examples", (int64_t)examples);
    json_put_int(&c.w, "failed", (int64_t)failed);
    json_end_object(&c.w);
    buf_char(&c.text, '\n');
    if (cli->json)
        code = cli_write(cli, &c.text);
    else
        cli_note(cli, "%zu rules, %zu examples, %zu fail",
                 scrub_rules_count(rules), examples, failed);
    buf_release(&c.text);
    return code == EXIT_DONE && failed ? EXIT_FAILED : code;
}

static int write_decisions(struct store *s, struct err *err)
{
    struct curate_output out = { 0 };
    int rc = curate_output_open(&out, decisions, err);

    if (rc == ERR_OK)
        rc = curate_decisions(s, &out.sink, err);
    return curate_output_close(&out, rc, err);
}

static int write_export(struct cli *cli, struct store *s,
                        const struct wishes *w, struct err *err)
{
    struct curate_output out = { 0 };
    int64_t task = 0, times = 0;
    uint64_t count = 0;
    int rc = ERR_OK;

    if (task_name)
        rc = store_task_find(s, task_name, &task, err);
    if (rc == ERR_OK)
        rc = curate_output_open(&out, export_file, err);
    if (rc == ERR_OK && strchr(w->splits, 's')) {
        rc = store_seal(s, task, 0, "curate --export", &times, err);
        if (rc == ERR_OK && times == 0)
            cli_warn(cli, "the sealed test split is opened; this is written "
                          "down");
        else if (rc == ERR_OK)
            cli_warn(cli,
                     "the sealed test split is opened (it was %lld time%s "
                     "before); this is written down",
                     (long long)times, times == 1 ? "" : "s");
    }
    if (rc == ERR_OK)
        rc = curate_export(s, task, w->splits, &out.sink, &count, err);
    rc = curate_output_close(&out, rc, err);
    if (rc == ERR_OK && count == 0)
        cli_warn(cli, "there is no example to export; %s is empty",
                 export_file);
    else if (rc == ERR_OK)
        cli_note(cli, "%llu examples exported", (unsigned long long)count);
    return rc;
}

/* What comes after the pass. *code is the exit code if nothing fails. */
static int write_outputs(struct cli *cli, struct store *s,
                         const struct scrub_rules *rules,
                         const struct crypto_key *key, const struct wishes *w,
                         int *code, struct err *err)
{
    int rc = decisions ? write_decisions(s, err) : ERR_OK;

    if (rc == ERR_OK && export_file)
        rc = write_export(cli, s, w, err);
    if (rc == ERR_OK && leak_file)
        rc = curate_leaks(cli, s, leak_file, code, err);
    if (rc == ERR_OK && report_file)
        rc = curate_write_report(cli, s, rules, key, report_file,
                                 (unsigned)canaries, code, err);
    return rc;
}

static bool to_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int summary(struct cli *cli, const struct curate_result *r,
                   const struct scrub_rules *rules, const char *changes,
                   double seconds)
{
    bool data = to_stdout(decisions) || to_stdout(export_file) ||
                to_stdout(report_file);
    struct buf out = { 0 };
    int code = EXIT_DONE;

    if (cli->json && !leak_file && !to_stdout(report_file))
        curate_summary_json(r, rules, changes, seconds, &out);
    else if (!cli->json && !cli->quiet && !data &&
             (r->fresh || r->settled || r->corrections || r->uncorrected ||
              cli->tty_out))
        curate_summary_text(cli, r, rules, changes, seconds, &out);
    if (out.len)
        code = cli_write(cli, &out);
    buf_release(&out);
    return code;
}

/* As the store remembers what was not given now. */
static int settle_rules(struct store *s, struct scrub_rules **rules,
                        struct buf *changes, struct err *err)
{
    struct scrub_rules *as_before = NULL;
    bool used;
    int rc = curate_recall(s, &used, err);

    if (rc == ERR_OK && used)
        rc = curate_load_rules(&as_before, err);
    if (rc == ERR_OK)
        rc = curate_remember(s, changes, err);
    if (as_before) {
        scrub_rules_free(*rules);
        *rules = as_before;
    }
    return rc;
}

/* The first of them; all are counted at the end. */
static void call_quarantined(void *ctx, int64_t call, const char *why)
{
    static int told;

    if (told++ < CURATE_QUARANTINED_TOLD)
        cli_warn(ctx, "call %lld: %s", (long long)call, why);
}

/* What a run over the store needs, and has. */
struct run_parts {
    struct store *store;
    struct scrub_vault *vault;
    struct crypto_key key;
    struct curate_options options;
    struct curate_result result;
    struct buf changes; /* of what was remembered */
    bool refill;        /* the vault lacks what earlier runs replaced */
};

static int curate_all(struct cli *cli, struct scrub_rules **rules,
                      struct run_parts *p, struct err *err)
{
    struct curate_options *o = &p->options;
    int rc = cmd_store_open(cli, STORE_WRITE, &p->store, err);

    /* Only then: a key is not made where the store's own is missing. */
    if (rc == ERR_OK)
        rc = curate_load_key(cli, &p->key, err);
    if (rc == ERR_OK)
        rc = curate_open_vault(&p->key, &p->vault, err);
    if (rc == ERR_OK)
        rc = curate_spool(cli, err);
    /* Only then: what another run goes by does not change under it. */
    if (rc == ERR_OK)
        rc = store_lock(p->store, "curate", err);
    if (rc == ERR_OK)
        rc = settle_rules(p->store, rules, &p->changes, err);
    if (rc == ERR_OK)
        rc = curate_vault_due(p->store, curate_settings.vault, &p->refill,
                              &p->changes, err);
    *o = (struct curate_options){ .rules = *rules,
                                  .key = &p->key,
                                  .threads = cli->threads,
                                  .vault = p->vault,
                                  .again = p->refill,
                                  .locked = true,
                                  .quarantined = call_quarantined,
                                  .ctx = cli,
                                  .progress = &cli->progress };
    if (rc == ERR_OK)
        rc = curate_choices_settle(p->store, o, err);
    if (rc == ERR_OK)
        rc = curate_run(p->store, o, &p->result, err);
    if (rc == ERR_OK)
        rc =
            curate_vault_done(p->store, curate_settings.vault, &p->result, err);
    cli_progress_end(cli);
    return rc;
}

static int curate_store(struct cli *cli, struct scrub_rules **rules,
                        struct wishes *w, struct err *err)
{
    struct run_parts p = { 0 };
    const struct curate_result *r = &p.result;
    int64_t began = clock_mono_ns();
    int code = EXIT_DONE;
    int rc = curate_all(cli, rules, &p, err);

    if (rc == ERR_OK && r->settled)
        curate_warn_empty(cli, r);
    if (rc == ERR_OK)
        code = summary(cli, r, *rules, p.changes.data,
                       (double)(clock_mono_ns() - began) / 1e9);
    if (rc == ERR_OK && code == EXIT_DONE)
        rc = write_outputs(cli, p.store, *rules, &p.key, w, &code, err);
    if (rc == ERR_OK && r->quarantined)
        cli_warn(cli, "%llu call%s could not be scrubbed and %s quarantined",
                 (unsigned long long)r->quarantined,
                 r->quarantined == 1 ? "" : "s",
                 r->quarantined == 1 ? "is" : "are");
    if (rc == ERR_OK && r->quarantined + r->uncorrected && code == EXIT_DONE)
        code = EXIT_PARTLY;
    crypto_wipe(&p.key, sizeof(p.key));
    scrub_vault_close(p.vault);
    curate_choices_release(&p.options);
    curate_result_release(&p.result);
    buf_release(&p.changes);
    store_close(p.store);
    return rc < 0 ? cli_fail(cli, err) : code;
}

static void line_rejected(void *ctx, int64_t line, const char *why)
{
    cli_warn(ctx, "line %lld is left out: %s", (long long)line, why);
}

static int read_shard(struct curate_filter *f, struct err *err)
{
    unsigned long long i, n;
    int used = 0;

    if (!shard)
        return ERR_OK;
    if (strspn(shard, "0123456789/") != strlen(shard) ||
        sscanf(shard, "%9llu/%9llu%n", &i, &n, &used) != 2 || shard[used] ||
        i < 1 || i > n)
        return err_set(err, ERR_INVALID,
                       "--shard %s: I/N is expected, with I from 1 to N, as in "
                       "2/8",
                       shard);
    f->shard = i;
    f->shards = n;
    return ERR_OK;
}

static void filter_summary(struct cli *cli, const struct curate_filter *f,
                           double seconds)
{
    struct buf out = { 0 };
    const char *comma = ":";

    buf_printf(&out, "%llu lines, %llu left out, %llu pieces",
               (unsigned long long)f->lines, (unsigned long long)f->bad,
               (unsigned long long)f->pieces);
    for (size_t i = 0; i < scrub_rules_count(f->rules); i++) {
        if (!f->by_rule[i])
            continue;
        buf_printf(&out, "%s %s %llu", comma, scrub_rules_name(f->rules, i),
                   (unsigned long long)f->by_rule[i]);
        comma = ",";
    }
    cli_note(cli, "%s; %.1f MB in %.1f s", out.data, (double)f->bytes / 1e6,
             seconds);
    buf_release(&out);
}

/* Without a key file surrogates depend on a key that ends with this run. */
static int run_filter(struct cli *cli, const struct scrub_rules *rules,
                      struct err *err)
{
    struct crypto_key key;
    struct curate_output out = { 0 };
    struct curate_filter f = { .rules = rules,
                               .key = &key,
                               .threads = cli->threads,
                               .text = plain_text,
                               .spans = show_spans,
                               .rejected = line_rejected,
                               .ctx = cli };
    int64_t began = clock_mono_ns();
    int rc = read_shard(&f, err);

    f.by_rule = mem_zalloc((scrub_rules_count(rules) + 1) * sizeof(uint64_t));
    if (rc == ERR_OK && cli->key_is_named)
        rc = curate_load_key(cli, &key, err);
    else
        crypto_random(&key, sizeof(key));
    if (rc == ERR_OK)
        rc = curate_open_vault(&key, &f.vault, err);
    if (rc == ERR_OK)
        rc = curate_output_open(&out, "-", err);
    if (rc == ERR_OK)
        rc = curate_filter_run(&f, "-", &out.sink, err);
    rc = curate_output_close(&out, rc, err);
    scrub_vault_close(f.vault);
    crypto_wipe(&key, sizeof(key));
    if (rc == ERR_OK && tell_summary)
        filter_summary(cli, &f, (double)(clock_mono_ns() - began) / 1e9);
    free(f.by_rule);
    if (rc < 0)
        return cli_fail(cli, err);
    return f.bad ? EXIT_PARTLY : EXIT_DONE;
}

/* What is typed is meant for this run; a configuration's is for some other.
 */
static bool exports_nothing(const struct cli *cli, const struct wishes *w)
{
    return !export_file && (cli_is_typed(cli, "task") ||
                            (w->named && cli_is_typed(cli, "split")));
}

/* Options that make no sense together. */
static const char *conflict(const struct cli *cli, const struct wishes *w)
{
    bool data = to_stdout(decisions) || to_stdout(export_file);

    if (to_stdout(decisions) + to_stdout(export_file) + to_stdout(report_file) >
        1)
        return "only one of --decisions, --export and --report may go to "
               "stdout";
    if (curate_settings.strict && curate_settings.no_strict)
        return "--strict and --no-strict exclude each other";
    if (report_file && leak_file && cli->json)
        return "--check-leaks and --report are two documents; ask for one";
    if (!report_file && cli_is_typed(cli, "canaries"))
        return "--canaries goes with --report";
    if (cli->json && data)
        return "--json and data both go to stdout";
    if (filter && (decisions || export_file || leak_file || report_file ||
                   check_rules || splits.count || task_name || cli->json))
        return "--filter goes with --text, --spans, --shard, --summary, "
               "--key-file, --threads and what says how to scrub only";
    if ((filter || reveal) && cli_is_typed(cli, "store"))
        return "--filter and --reveal use no --store";
    if (!filter && (show_spans || shard || tell_summary))
        return "--spans, --shard and --summary go with --filter";
    if (shard && !cli->key_is_named)
        return "--shard needs --key-file: shards with keys of their own do "
               "not "
               "fit together";
    if (reveal &&
        (filter || decisions || export_file || leak_file || report_file ||
         check_rules || splits.count || task_name || cli->json || show_spans))
        return "--reveal goes with --vault, --text, --scope and --key-file "
               "only";
    if (reveal && !curate_settings.vault)
        return "--reveal needs --vault";
    if (curate_settings.vault && filter && !cli->key_is_named)
        return "--vault needs --key-file: a key that is forgotten opens no "
               "vault";
    if (!filter && !reveal && plain_text)
        return "--text goes with --filter and --reveal";
    if (exports_nothing(cli, w))
        return "--task and the name of a --split go with --export";
    return NULL;
}

static int check_targets(const struct cli *cli, struct err *err)
{
    const struct curate_target all[] = {
        { "--decisions", decisions, true },
        { "--export", export_file, true },
        { "--report", report_file, true },
        { "--vault", curate_settings.vault, !reveal },
        { "--key-file", cli->key_file, false },
        { "--private-key", cli->private_file, false },
        { "--keep", curate_settings.keep, false },
        { "--check-leaks", leak_file, false },
    };

    return curate_targets_check(all, sizeof(all) / sizeof(*all),
                                filter || reveal ? NULL : cli->store, err);
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct scrub_rules *rules = NULL;
    struct wishes w = { 0 };
    struct err err = { 0 };
    int rc = read_wishes(&w, &err), code;

    (void)argc;
    (void)argv;
    if (rc == ERR_OK && conflict(cli, &w))
        return cli_usage(cli, "%s", conflict(cli, &w));
    if (rc == ERR_OK)
        rc = check_targets(cli, &err);
    if (rc == ERR_OK && reveal)
        return curate_reveal(cli, plain_text);
    if (rc == ERR_OK)
        rc = curate_load_rules(&rules, &err);
    if (rc < 0)
        return cli_fail(cli, &err);
    if (check_rules)
        code = run_check_rules(cli, rules);
    else if (filter)
        code = run_filter(cli, rules, &err);
    else
        code = curate_store(cli, &rules, &w, &err);
    scrub_rules_free(rules);
    return code;
}

const struct command cmd_curate = {
    .name = "curate",
    .summary = "turn logged calls into scrubbed, split examples",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET | CLI_PROGRESS |
              CLI_THREADS,
    .run = run,
};

/*
 * cmd_estimate.c - slmctl estimate: what a log could save, before anything is
 * installed, stored or trained
 */
#include "cmd.h"
#include "estimate_print.h"
#include "price_warning.h"

#include "base/io.h"
#include "estimate/estimate.h"

#include <string.h>

static const char *format = "auto", *prices_file, *markdown;
static double machine_cost = 0.10, watts, kwh_price;
static int64_t sample = ESTIMATE_SAMPLE;

static const struct opt options[] = {
    { 0, "format", OPT_CHOICE, &format, "FORMAT", "what the lines are",
      .choices = "auto|exchange|chat|litellm|otlp|har|langfuse|pairs" },
    { 0, "prices", OPT_STRING, &prices_file, "FILE",
      "another price table, slmctl's or LiteLLM's", .complete = COMPLETE_FILE },
    { 0, "machine-cost", OPT_DOUBLE, &machine_cost, "DOLLARS",
      "cost of an hour of the machine that serves", .min = 0, .max = 1e6 },
    { 0, "watts", OPT_DOUBLE, &watts, "W",
      "power that it draws, if that is paid apart", .min = 0, .max = 1e6 },
    { 0, "kwh-price", OPT_DOUBLE, &kwh_price, "DOLLARS", "of that power",
      .min = 0, .max = 1e3 },
    { 0, "sample", OPT_INT, &sample, "N",
      "different requests in which tasks are looked for", .min = 100,
      .max = 1e6 },
    { 0, "markdown", OPT_STRING, &markdown, "FILE", "write it as Markdown too",
      .complete = COMPLETE_FILE },
    OPT_END,
};

static int write_markdown(const struct estimate *e, const char *path,
                          struct err *err)
{
    struct buf text = { 0 };
    int rc;

    estimate_print_markdown(e, path, &text);
    rc = io_write_file(markdown, text.data, text.len, 0644, err);
    buf_release(&text);
    return rc < 0 ? err_set(err, ERR_OUTPUT, "%s", err->msg) : ERR_OK;
}

static int print(struct cli *cli, const struct estimate *e, const char *path)
{
    struct buf out = { 0 };
    int rc;

    if (cli->json)
        estimate_print_json(e, &out);
    else
        estimate_print_text(e, path, &out);
    rc = cli_write(cli, &out);
    buf_release(&out);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct estimate_options o = {
        .path = argv[0],
        .machine_dollars_per_hour = machine_cost,
        .watts = watts,
        .kwh_price = kwh_price,
        .seed = cli->seed,
        .sample = (size_t)sample,
        .progress = &cli->progress,
    };
    struct score_prices *prices = NULL;
    struct pool *pool = NULL;
    struct estimate e = { 0 };
    struct err err;
    int rc, status;

    (void)argc;
    if (!wire_format_parse(format, &o.format))
        return cli_usage(cli, "--format: there is no %s", format);
    rc = score_prices_open(prices_file, &prices, &err);
    if (rc == ERR_OK) {
        cmd_warn_prices(cli, prices);
        pool = pool_new(cli->threads);
        o.pool = pool;
        o.prices = prices;
        rc = estimate_run(&o, &e, &err);
        cli_progress_end(cli);
    }
    if (rc == ERR_OK && markdown)
        rc = write_markdown(&e, argv[0], &err);
    status = rc < 0 ? cli_fail(cli, &err) : print(cli, &e, argv[0]);
    if (status == EXIT_DONE && e.rejected) {
        cli_warn(cli, "%llu lines were passed over, the first is line %lld: %s",
                 (unsigned long long)e.rejected, (long long)e.first_rejected,
                 e.reject_reason);
        status = EXIT_PARTLY;
    }
    estimate_release(&e);
    score_prices_free(prices);
    pool_free(pool);
    return status;
}

const struct command cmd_estimate = {
    .name = "estimate",
    .summary = "tell from a log what could move to small models",
    .operands = "FILE|-",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .common = CLI_JSON | CLI_QUIET | CLI_PROGRESS | CLI_THREADS | CLI_SEED,
    .complete = COMPLETE_FILE,
    .run = run,
};

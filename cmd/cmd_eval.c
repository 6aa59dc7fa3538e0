/*
 * cmd_eval.c - scores models against the logged LLM and gates them
 *
 * The work is evaluate's, the judgement scoring's, the words report's; here
 * options become a run over tasks, and the verdict an exit code. All forms are
 * made from one result, so they cannot disagree with it.
 */
#include "cmd.h"
#include "device.h"
#include "eval_print.h"
#include "kv_cache.h"
#include "pick_model.h"
#include "price_warning.h"
#include "store_opening.h"

#include "base/io.h"
#include "base/mem.h"
#include "compute/compute.h"
#include "evaluate/evaluate.h"
#include "report/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cli_list tasks;
static const char *model, *adapter, *split = "test", *junit, *markdown, *gold;
static const char *prices, *constrain = "auto", *draft = "auto",
                           *weights = "auto";
static struct ask_options endpoint, judge;
static int64_t judge_items = 50;
static bool judge_gate, no_cache;
static double margin = 3, valid_margin, max_p95, machine_cost = 0.10;
static int64_t limit, batch = EVALUATE_BATCH, show = 3;
static bool no_base, again, calibrate;
static double quality_floor = 3;

static const struct opt options[] = {
    { .letter = 't',
      .name = "task",
      .kind = OPT_LIST,
      .value = &tasks,
      .arg = "TASK",
      .help = "evaluate this task",
      .complete = COMPLETE_TASK },
    { .letter = 'm',
      .name = "model",
      .kind = OPT_STRING,
      .value = &model,
      .arg = "NAME|DIR",
      .help = "the model to judge, not the task's newest",
      .complete = COMPLETE_MODEL },
    { .name = "adapter",
      .kind = OPT_STRING,
      .value = &adapter,
      .arg = "DIR",
      .help = "a PEFT adapter to put over --model",
      .complete = COMPLETE_DIR },
    { .name = "split",
      .kind = OPT_CHOICE,
      .value = &split,
      .arg = "SPLIT",
      .help = "the examples to use; test is sealed, opening it is noted",
      .choices = "validation|test" },
    { .name = "margin",
      .kind = OPT_DOUBLE,
      .value = &margin,
      .arg = "POINTS",
      .help = "how much worse than the LLM a model may be",
      .min = 0,
      .max = 50 },
    { .name = "valid-margin",
      .kind = OPT_DOUBLE,
      .value = &valid_margin,
      .arg = "POINTS",
      .help = "how much rarer valid answers may be; 0: no condition",
      .min = 0,
      .max = 50 },
    { .name = "max-p95",
      .kind = OPT_DOUBLE,
      .value = &max_p95,
      .arg = "MS",
      .help = "95th percentile of the latency, at most; 0: no condition",
      .min = 0,
      .max = 1e7 },
    { .name = "limit",
      .kind = OPT_INT,
      .value = &limit,
      .arg = "N",
      .help = "at most N examples a task; 0: all",
      .min = 0,
      .max = EVALUATE_MAX_ITEMS },
    { .name = "batch",
      .kind = OPT_INT,
      .value = &batch,
      .arg = "N",
      .help = "prompts answered at once",
      .min = 1,
      .max = 1024 },
    { .name = "no-base",
      .kind = OPT_FLAG,
      .value = &no_base,
      .help = "leave the untuned base model out" },
    { .name = "constrain",
      .kind = OPT_CHOICE,
      .value = &constrain,
      .arg = "WHEN",
      .help = "keep answers to the form that the task asks for",
      .choices = "auto|off" },
    WEIGHTS_OPTION(weights),
    { .name = "again",
      .kind = OPT_FLAG,
      .value = &again,
      .help = "evaluate also what has not changed since it was" },
    { .name = "endpoint",
      .kind = OPT_STRING,
      .value = &endpoint.url,
      .arg = "URL",
      .help = "judge a model behind this OpenAI-type endpoint" },
    { .name = "endpoint-model",
      .kind = OPT_STRING,
      .value = &endpoint.model,
      .arg = "NAME",
      .help = "the model that --endpoint is asked for" },
    { .name = "endpoint-key-file",
      .kind = OPT_STRING,
      .value = &endpoint.key_file,
      .arg = "FILE",
      .help = "the key of --endpoint, alone in a file",
      .complete = COMPLETE_FILE },
    { .name = "no-cache",
      .kind = OPT_FLAG,
      .value = &no_cache,
      .help = "ask again what the models have answered before" },
    KV_CACHE_OPTION,
    { .name = "draft",
      .kind = OPT_CHOICE,
      .value = &draft,
      .arg = "WHEN",
      .help = "look tokens up in what was said (default auto)",
      .choices = "auto|off" },
    { .name = "judge",
      .kind = OPT_STRING,
      .value = &judge.url,
      .arg = "URL",
      .help = "let a model behind this endpoint compare the answers" },
    { .name = "judge-model",
      .kind = OPT_STRING,
      .value = &judge.model,
      .arg = "NAME",
      .help = "the model that --judge is asked for" },
    { .name = "judge-key-file",
      .kind = OPT_STRING,
      .value = &judge.key_file,
      .arg = "FILE",
      .help = "the key of --judge, alone in a file",
      .complete = COMPLETE_FILE },
    { .name = "judge-items",
      .kind = OPT_INT,
      .value = &judge_items,
      .arg = "N",
      .help = "examples a task that the judge sees; 0: all",
      .min = 0,
      .max = EVALUATE_MAX_ITEMS },
    { .name = "judge-gate",
      .kind = OPT_FLAG,
      .value = &judge_gate,
      .help = "the judge's opinion is a condition of the gate" },
    { .name = "calibrate",
      .kind = OPT_FLAG,
      .value = &calibrate,
      .help = "learn from validation which answers serve may keep" },
    { .name = "floor",
      .kind = OPT_DOUBLE,
      .value = &quality_floor,
      .arg = "POINTS",
      .help = "with --calibrate: how much worse the mix may be",
      .min = 0,
      .max = 50 },
    { .name = "gold",
      .kind = OPT_STRING,
      .value = &gold,
      .arg = "FILE",
      .help = "right answers for extra columns; the gate never sees them",
      .complete = COMPLETE_FILE },
    { .name = "prices",
      .kind = OPT_STRING,
      .value = &prices,
      .arg = "FILE",
      .help = "prices of hosted models, instead of the shipped ones",
      .complete = COMPLETE_FILE },
    { .name = "machine-cost",
      .kind = OPT_DOUBLE,
      .value = &machine_cost,
      .arg = "DOLLARS",
      .help = "what this machine costs an hour",
      .min = 0,
      .max = 1e6 },
    { .name = "show",
      .kind = OPT_INT,
      .value = &show,
      .arg = "N",
      .help = "disagreements a task to show in Markdown and JSON",
      .min = 0,
      .max = 1000 },
    { .name = "junit",
      .kind = OPT_STRING,
      .value = &junit,
      .arg = "FILE",
      .help = "write the verdicts as JUnit XML",
      .complete = COMPLETE_FILE },
    { .name = "markdown",
      .kind = OPT_STRING,
      .value = &markdown,
      .arg = "FILE",
      .help = "write the report as Markdown",
      .complete = COMPLETE_FILE },
    DEVICE_OPTIONS,
    KV_OPTION,
    OPT_END,
};

/* Everything that one run holds. */
struct run {
    struct cli *cli;
    struct store *store;
    struct score_prices *prices;
    struct compute *compute;
    struct model_prefixes *prefixes;
    int64_t *tasks;
    size_t task_count;
    struct evaluate_result *results;
    size_t count;
    struct report_untested *untested;
    size_t untested_count;
    bool uncalibrated; /* a task could not be */
};

static int tasks_named(struct run *r, struct err *err)
{
    int rc = ERR_OK;

    r->tasks = mem_array(tasks.count + 1, sizeof(*r->tasks));
    for (size_t i = 0; rc == ERR_OK && i < tasks.count; i++) {
        int64_t id = 0;
        bool known = false; /* by its name and by its number, say */

        rc = store_task_find(r->store, tasks.items[i], &id, err);
        for (size_t k = 0; k < r->task_count; k++)
            known = known || r->tasks[k] == id;
        if (!known)
            r->tasks[r->task_count++] = id;
    }
    return rc;
}

/* The tasks asked for; the named model's own; or all that have a model. */
static int tasks_choose(struct run *r, const struct evaluate_model *named,
                        struct err *err)
{
    int rc;

    if (tasks.count > 0)
        return tasks_named(r, err);
    if (model && named->task == 0)
        return err_set(err, ERR_INVALID,
                       "model %s belongs to no task; name one with --task",
                       model);
    if (model) {
        r->tasks = mem_array(1, sizeof(*r->tasks));
        r->tasks[r->task_count++] = named->task;
        return ERR_OK;
    }
    rc = evaluate_tasks(r->store, &r->tasks, &r->task_count, err);
    if (rc == ERR_OK && r->task_count == 0)
        rc = err_set(err, ERR_NOTFOUND,
                     "no task has a tuned model; slmctl finetune makes one");
    return rc;
}

static int result_save(struct run *r, const struct evaluate_result *result,
                       struct err *err)
{
    struct buf detail = { 0 };
    struct json_writer w;
    int rc;

    json_writer_init(&w, &detail, false);
    report_eval_task(&w, NULL, result, margin / 100);
    rc = evaluate_save(r->store, result, buf_slice(&detail), err);
    buf_release(&detail);
    return rc;
}

/* What concerns a task or its model and no other one. */
static bool is_of_a_task(const struct err *err)
{
    return err->code == ERR_NOTFOUND || err->code == ERR_FORMAT ||
           err->code == ERR_UNSUPPORTED || err->code == ERR_INVALID ||
           err->code == ERR_IO || err->code == ERR_LIMIT;
}

/* The verdict stands without it. */
static int task_calibrate(struct run *r, struct evaluate_result *result,
                          const struct evaluate_model *m,
                          const struct evaluate_options *opt, struct err *err)
{
    int rc = ERR_OK;

    if (calibrate)
        rc = evaluate_calibrate(r->store, result->task, m, opt,
                                quality_floor / 100, err);
    if (rc < 0 && is_of_a_task(err)) {
        cli_progress_end(r->cli);
        cli_warn(r->cli, "task %s: not calibrated: %s", result->task_name,
                 err->msg);
        r->uncalibrated = true;
        rc = ERR_OK;
    }
    return rc < 0 || !m->id ? rc
                            : evaluate_calibration_read(
                                  r->store, m->id, &result->calibration, err);
}

static int task_run(struct run *r, int64_t task,
                    const struct evaluate_model *named, struct err *err)
{
    struct evaluate_options opt = {
        .split = split[0] == 't' ? 's' : 'v',
        .limit = (size_t)limit,
        .batch = (size_t)batch,
        .margin = margin / 100,
        .valid_margin = valid_margin / 100,
        .max_p95_ms = max_p95,
        .seed = r->cli->seed,
        .no_base = no_base,
        .constrain = strcmp(constrain, "auto") == 0,
        .gold = gold,
        .prices = r->prices,
        .prices_file = prices,
        .reuse = !again && !no_cache,
        .endpoint = endpoint.url ? &endpoint : NULL,
        .cache = !no_cache,
        .prefixes = r->prefixes,
        .plain = strcmp(draft, "off") == 0,
        .judge = judge.url ? &judge : NULL,
        .judge_items = (size_t)judge_items,
        .judge_gate = judge_gate,
        .machine_dollars_per_hour = machine_cost,
        .compute = r->compute,
        .progress = &r->cli->progress,
    };
    struct evaluate_model latest = { 0 };
    const struct evaluate_model *m = model || endpoint.url ? named : &latest;
    struct evaluate_result *result = &r->results[r->count];
    int rc = pick_kept_of_task(r->store, task, &opt.kept, err);

    opt.kept = pick_kept(weights, opt.kept);
    if (rc == ERR_OK && m == &latest)
        rc = evaluate_model_latest(r->store, task, &latest, err);
    if (rc == ERR_OK)
        rc = evaluate_task(r->store, task, m, &opt, result, err);
    if (rc == ERR_OK) {
        r->count++;
        rc = result->reused ? ERR_OK : result_save(r, result, err);
        if (rc == ERR_OK)
            rc = task_calibrate(r, result, m, &opt, err);
    }
    evaluate_model_release(&latest);
    return rc;
}

/* Of many tasks, one without anything to try its model on is undecided, and
 * one whose model cannot be run is told; neither keeps the others from being
 * judged. */
static void leave_out(struct run *r, int64_t task, const struct err *err)
{
    struct evaluate_result *empty = &r->results[r->count];
    struct report_untested *u = &r->untested[r->untested_count++];

    u->failed = !empty->empty;
    u->task = evaluate_task_name(r->store, task);
    u->why = strncmp(err->msg, "task ", 5) == 0
                 ? mem_strdup(err->msg)
                 : mem_printf("task %s: %s", u->task, err->msg);
    cli_progress_end(r->cli);
    cli_warn(r->cli, "%s", u->why);
    evaluate_result_release(empty);
    *empty = (struct evaluate_result){ 0 };
}

static bool any_failed(const struct run *r)
{
    bool failed = r->uncalibrated;

    for (size_t i = 0; i < r->untested_count; i++)
        failed = failed || r->untested[i].failed;
    return failed;
}

static int64_t newest_call(const struct run *r)
{
    int64_t newest = 0;

    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < r->results[i].count; k++)
            if (r->results[i].items[k].call > newest)
                newest = r->results[i].items[k].call;
    return newest;
}

/* On the CPU from here on, if "auto" took a GPU on which it does not fit. */
static int task_run_where_it_fits(struct run *r, int64_t task,
                                  const struct evaluate_model *named,
                                  struct err *err)
{
    size_t known = r->count;
    int rc = task_run(r, task, named, err);

    if (rc < 0 && r->count == known && device_falls_back(r->compute, err)) {
        evaluate_result_release(&r->results[known]);
        r->results[known] = (struct evaluate_result){ 0 };
        rc = device_fall_back(r->cli, &r->compute, err);
        if (rc == ERR_OK)
            rc = task_run(r, task, named, err);
    }
    return rc < 0 ? device_advise(r->compute, err,
                                  "a smaller --batch, --kv int8, --weights "
                                  "q8_0 or q4_0 take less, --device cpu none")
                  : rc;
}

static int tasks_run(struct run *r, const struct evaluate_model *named,
                     struct err *err)
{
    int rc = device_open(r->cli, NULL, &r->compute, err);

    if (rc == ERR_OK)
        r->prefixes = kv_cache_open(r->cli, r->store);

    r->results = mem_zalloc((r->task_count + 1) * sizeof(*r->results));
    r->untested = mem_zalloc((r->task_count + 1) * sizeof(*r->untested));
    for (size_t i = 0; rc == ERR_OK && i < r->task_count; i++) {
        rc = task_run_where_it_fits(r, r->tasks[i], named, err);
        if (rc < 0 && is_of_a_task(err) && r->task_count > 1) {
            leave_out(r, r->tasks[i], err);
            rc = ERR_OK;
        }
    }
    if (rc == ERR_OK && r->count == 0 && any_failed(r))
        rc = err_set(err, ERR_NOTFOUND, "no task could be judged");
    if (rc == ERR_OK && r->count == 0)
        rc = err_set(err, ERR_NOTFOUND, "no task has examples in the %s split",
                     split);
    cli_progress_end(r->cli);
    if (rc == ERR_OK)
        rc = store_stage_set(r->store, "eval", newest_call(r), NULL, NULL, err);
    return rc;
}

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int file_write(const char *path, const struct report_eval *e,
                      void (*form)(const struct report_eval *, struct buf *),
                      struct err *err)
{
    struct buf b = { 0 };
    int rc;

    if (!path || is_stdout(path))
        return ERR_OK;
    form(e, &b);
    rc = io_write_file(path, b.data, b.len, 0644, err);
    buf_release(&b);
    return rc;
}

static int results_write(struct run *r)
{
    struct report_eval e = { .list = r->results,
                             .count = r->count,
                             .untested = r->untested,
                             .untested_count = r->untested_count,
                             .margin = margin / 100,
                             .machine_dollars_per_hour = machine_cost,
                             .show = (size_t)show };
    static const int codes[] = { [SCORE_PASS] = EXIT_DONE,
                                 [SCORE_FAIL] = EXIT_GATE,
                                 [SCORE_UNDECIDED] = EXIT_UNDECIDED };
    struct buf out = { 0 };
    struct err err;
    int rc;

    if (file_write(junit, &e, report_eval_junit, &err) < 0 ||
        file_write(markdown, &e, report_eval_markdown, &err) < 0)
        return cli_fail(r->cli, &err);
    if (is_stdout(junit))
        report_eval_junit(&e, &out);
    else if (is_stdout(markdown))
        report_eval_markdown(&e, &out);
    else if (r->cli->json)
        report_eval_json(&e, &out);
    else
        eval_print(&e, &out);
    rc = cli_write(r->cli, &out);
    buf_release(&out);
    if (rc == EXIT_DONE)
        rc = codes[report_verdict(&e)];
    return rc == EXIT_DONE && any_failed(r) ? EXIT_PARTLY : rc;
}

static void run_release(struct run *r)
{
    for (size_t i = 0; r->results && i < r->task_count; i++)
        evaluate_result_release(&r->results[i]);
    for (size_t i = 0; i < r->untested_count; i++) {
        free(r->untested[i].task);
        free(r->untested[i].why);
    }
    free(r->untested);
    free(r->results);
    free(r->tasks);
    model_prefixes_close(r->prefixes);
    compute_close(r->compute);
    score_prices_free(r->prices);
    store_close(r->store);
}

/* Before the work is done and the seal opened. A pipe is written to, a file
 * replaced through its directory. */
static int check_report(const char *path, struct err *err)
{
    char *real = path ? realpath(path, NULL) : NULL, *dir;
    const char *at = real ? real : path, *slash;
    struct stat st;
    int rc = ERR_OK;

    if (!path || is_stdout(path))
        return ERR_OK;
    slash = strrchr(at, '/');
    dir = slash ? mem_strndup(at, (size_t)(slash - at) + 1) : mem_strdup(".");
    if (io_is_dir(at))
        rc = err_set(err, ERR_OUTPUT, "write %s: %s", path, strerror(EISDIR));
    else if ((stat(at, &st) < 0 || S_ISREG(st.st_mode)) &&
             access(dir, W_OK) < 0)
        rc = err_set(err, ERR_OUTPUT, "write %s: %s", path, strerror(errno));
    free(dir);
    free(real);
    return rc;
}

/* What the options leave open; NULL: nothing. */
static const char *usage_of_endpoints(void)
{
    if (endpoint.url && !endpoint.model)
        return "--endpoint needs --endpoint-model";
    if (!endpoint.url && (endpoint.model || endpoint.key_file))
        return "--endpoint-model and --endpoint-key-file need --endpoint";
    if (endpoint.url && (model || adapter))
        return "--endpoint answers instead of --model; give one of them";
    if (endpoint.url && tasks.count == 0)
        return "--endpoint needs --task";
    if (endpoint.url && calibrate)
        return "--calibrate is of a model here, not of --endpoint";
    if (judge.url && !judge.model)
        return "--judge needs --judge-model";
    if (!judge.url && (judge.model || judge.key_file || judge_gate))
        return "--judge-model, --judge-key-file and --judge-gate need --judge";
    return NULL;
}

static int named_find(struct run *r, struct evaluate_model *named,
                      struct err *err)
{
    if (endpoint.url)
        named->name = mem_strdup(endpoint.model);
    return model ? evaluate_model_named(r->store, model, adapter, named, err)
                 : ERR_OK;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct run r = { .cli = cli };
    struct evaluate_model named = { 0 };
    struct err err;
    int rc;

    (void)argc;
    (void)argv;
    if (adapter && !model)
        return cli_usage(cli, "--adapter needs --model");
    if (usage_of_endpoints())
        return cli_usage(cli, "%s", usage_of_endpoints());
    if (is_stdout(junit) + is_stdout(markdown) + cli->json > 1)
        return cli_usage(cli, "--json, --junit - and --markdown - all write to "
                              "standard output; choose one");
    rc = check_report(junit, &err);
    if (rc == ERR_OK)
        rc = check_report(markdown, &err);
    if (rc == ERR_OK)
        rc = score_prices_open(prices, &r.prices, &err);
    if (rc == ERR_OK)
        cmd_warn_prices(cli, r.prices);
    if (rc == ERR_OK)
        rc = cmd_store_open(cli, STORE_WRITE, &r.store, &err);
    if (rc == ERR_OK)
        rc = store_lock(r.store, "eval", &err);
    if (rc == ERR_OK)
        rc = named_find(&r, &named, &err);
    if (rc == ERR_OK)
        rc = tasks_choose(&r, &named, &err);
    if (rc == ERR_OK)
        rc = tasks_run(&r, &named, &err);
    rc = rc < 0 ? cli_fail(cli, &err) : results_write(&r);
    evaluate_model_release(&named);
    run_release(&r);
    return rc;
}

const struct command cmd_eval = {
    .name = "eval",
    .summary = "score models against the logged LLM, and gate them",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET | CLI_PROGRESS | CLI_THREADS |
              CLI_SEED,
    .run = run,
};

/*
 * cmd_retrain.c - slmctl retrain: train anew what is due, keep what is better
 *
 * Made for cron and timers: one run at a time, nothing said when nothing is
 * due, and a run that was cut off goes on with the next one.
 */
#include "cmd.h"
#include "retrain_resumes.h"
#include "retrain_steps.h"
#include "store_opening.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct cli_list tasks;
static bool dry_run, force, no_promote;
static int64_t min_new = 200, keep = 5, lock_wait;
static double psi = 0.25, novel = 10, age = 30, agreement = 5, minutes, replay;
static double margin = 3, champion_margin = 1;
static const char *hook, *override_terms;

static const struct opt options[] = {
    { 't', "task", OPT_LIST, &tasks, "TASK", "this task only",
      .complete = COMPLETE_TASK },
    { 'n', "dry-run", OPT_FLAG, &dry_run, NULL,
      "say what is due and why; do nothing" },
    { 0, "force", OPT_FLAG, &force, NULL, "train also what is not due" },
    { 0, "min-new", OPT_INT, &min_new, "N",
      "new examples that make a task due (default 200)", .min = 1, .max = 1e9 },
    { 0, "psi", OPT_DOUBLE, &psi, "X", "drift that makes it due (default 0.25)",
      .min = 0, .max = 1e6 },
    { 0, "novel", OPT_DOUBLE, &novel, "PERCENT",
      "share of new calls like nothing known (default 10)", .min = 0,
      .max = 100 },
    { 0, "age", OPT_DOUBLE, &age, "DAYS",
      "of its newest data set (default 30; 0: never)", .min = 0, .max = 1e5 },
    { 0, "agreement", OPT_DOUBLE, &agreement, "POINTS",
      "fall of routed calls' agreement below the gate (default 5)", .min = 0,
      .max = 100 },
    { 0, "minutes", OPT_DOUBLE, &minutes, "X",
      "train each task for about X minutes (default: as finetune does)",
      .min = 1e-3, .max = 1e6 },
    { 0, "replay", OPT_DOUBLE, &replay, "X",
      "train on what is new and X times as many older examples (default all)",
      .min = 1e-3, .max = 1e6 },
    { 0, "margin", OPT_DOUBLE, &margin, "POINTS",
      "how much worse than the LLM a model may be (default 3)", .min = 0.01,
      .max = 50 },
    { 0, "champion-margin", OPT_DOUBLE, &champion_margin, "POINTS",
      "how much worse than the champion (default 1)", .min = 0.01, .max = 100 },
    { 0, "keep", OPT_INT, &keep, "N",
      "versions of a task that stay (default 5; 0: all)", .min = 0,
      .max = 1e6 },
    { 0, "override-terms", OPT_STRING, &override_terms, "REASON",
      "though terms forbid it; the reason is written down" },
    { 0, "notify", OPT_STRING, &hook, "FILE",
      "a program that is told what was done, as JSON on its input",
      .complete = COMPLETE_FILE },
    { 0, "no-promote", OPT_FLAG, &no_promote, NULL,
      "train and gate, and leave champions as they are" },
    { 0, "lock-wait", OPT_INT, &lock_wait, "S",
      "seconds to wait for another run (default 0)", .min = 0, .max = 1e6 },
    OPT_END,
};

static int read_policy(struct store *s, struct retrain_policy *out,
                       int64_t **ids, struct err *err)
{
    int rc = ERR_OK;

    *ids = mem_array(tasks.count, sizeof(**ids));
    for (size_t i = 0; rc == ERR_OK && i < tasks.count; i++)
        rc = store_task_find(s, tasks.items[i], &(*ids)[i], err);
    *out = (struct retrain_policy){ .min_new = min_new,
                                    .psi = psi,
                                    .novel = novel / 100,
                                    .age_days = age,
                                    .agreement_drop = agreement / 100,
                                    .margin = margin / 100,
                                    .champion_margin = champion_margin / 100,
                                    .minutes = minutes,
                                    .replay = replay,
                                    .keep = keep,
                                    .promote = !no_promote,
                                    .force = force,
                                    .tasks = *ids,
                                    .task_count = tasks.count };
    if (override_terms)
        (void)snprintf(out->override_terms, sizeof(out->override_terms), "%s",
                       override_terms);
    return rc;
}

/* "-" for what is not known. */
static const char *number(char out[32], const char *form, double v)
{
    if (isnan(v))
        return "-";
    if (form[0] == '%')
        (void)snprintf(out, 32, "%.0f %%", v);
    else
        (void)snprintf(out, 32, "%.*f", form[0] - '0', v);
    return out;
}

static void print_due(const struct retrain_due *d, size_t count,
                      struct buf *out)
{
    struct cli_table *t =
        cli_table_new("llrrrrrr", "task", "due", "new", "psi", "by chance",
                      "novel", "days", "agreement", NULL);

    for (size_t i = 0; i < count; i++) {
        char text[6][32];

        (void)snprintf(text[0], 32, "%lld", (long long)d[i].fresh);
        cli_table_row(
            t, d[i].name,
            d[i].why == RETRAIN_BY_none ? "no" : retrain_reason_name(d[i].why),
            text[0], number(text[1], "3", d[i].psi),
            number(text[2], "3", d[i].psi_chance),
            number(text[3], "%", 100 * d[i].novel_share),
            number(text[4], "1", d[i].age_days),
            number(text[5], "3", d[i].agreement), NULL);
    }
    cli_table_print(t, out);
    cli_table_free(t);
}

struct mix {
    double psi, chance;
};

static void write_due(const struct retrain_due *d, size_t count, struct mix mix,
                      const struct retrain_cut *cut, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.retrain-plan/1");
    retrain_resumes_put(cut, &w);
    json_begin_array(&w, "tasks");
    for (size_t i = 0; i < count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "task", d[i].name);
        json_put_bool(&w, "due", d[i].why != RETRAIN_BY_none);
        json_put_string(&w, "why", retrain_reason_name(d[i].why));
        json_put_int(&w, "new", d[i].fresh);
        json_put_double(&w, "psi", d[i].psi);
        json_put_double(&w, "psi_chance", d[i].psi_chance);
        json_put_string(&w, "moved", d[i].moved);
        json_put_double(&w, "novel_share", d[i].novel_share);
        json_put_double(&w, "age_days", d[i].age_days);
        json_put_double(&w, "agreement", d[i].agreement);
        json_put_double(&w, "expected", d[i].expected);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_put_double(&w, "mix_psi", mix.psi);
    json_put_double(&w, "mix_psi_chance", mix.chance);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void print_mix(struct mix mix, struct buf *out)
{
    if (mix.psi > psi && mix.psi > mix.chance)
        buf_printf(out,
                   "\nThe mix of tasks has moved since the last training: psi "
                   "%.3f, by chance %.3f.\n",
                   mix.psi, mix.chance);
}

static int explain(struct cli *cli)
{
    struct retrain_policy p;
    struct retrain_due *due = NULL;
    struct store *s = NULL;
    struct buf out = { 0 };
    struct err err;
    struct mix mix = { 0 };
    struct retrain_cut cut = { 0 };
    int64_t *ids = NULL;
    size_t count = 0;
    int rc = store_open(cli->store, STORE_READ, &s, &err), code;

    if (rc == ERR_OK)
        rc = read_policy(s, &p, &ids, &err);
    if (rc == ERR_OK)
        rc = retrain_due_list(s, &p, clock_wall_us(), &due, &count, &err);
    if (rc == ERR_OK)
        rc = retrain_mix(s, &mix.psi, &mix.chance, &err);
    if (rc == ERR_OK)
        rc = retrain_cut_read(s, &cut, &err);
    if (rc == ERR_OK && cli->json) {
        write_due(due, count, mix, &cut, &out);
    } else if (rc == ERR_OK) {
        retrain_resumes_print(&cut, &out);
        print_due(due, count, &out);
        print_mix(mix, &out);
    }
    code = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &out);
    buf_release(&out);
    retrain_cut_release(&cut);
    free(due);
    free(ids);
    store_close(s);
    return code;
}

/* The step of a run that was killed is told to end as well, and may need a
 * while to write down where it stands. */
#define ORPHAN_S 60

/* A second of waiting, as long as it was allowed. */
static bool wait_more(int64_t *waited, int64_t allowed)
{
    struct timespec second = { 1, 0 };

    if (*waited >= allowed || stop_requested())
        return false;
    ++*waited;
    (void)nanosleep(&second, NULL);
    return true;
}

/* Steps take minutes; cron, which mails every byte, has no terminal. */
static void show_step(struct cli *cli, const struct retrain_work *w)
{
    if (isatty(STDERR_FILENO))
        cli_note(cli, "%s%s%s", retrain_step_name(w->step),
                 w->task ? " of " : "", w->task_name);
}

static int take_steps(struct retrain_steps *r, bool resumed, struct err *err)
{
    int64_t allowed = resumed && lock_wait < ORPHAN_S ? ORPHAN_S : lock_wait;
    struct retrain_work w;
    char why[RETRAIN_WHY];
    int64_t waited = 0;
    int rc;

    while ((rc = retrain_next(r->store, r->run, &w, err)) == ERR_OK) {
        bool ok = false;

        if (stop_requested()) {
            retrain_work_release(&w);
            return err_set(err, ERR_INTERRUPTED, "interrupted");
        }
        show_step(r->cli, &w);
        do
            rc = retrain_step_do(r, &w, &ok, why, err);
        while (rc == ERR_BUSY && wait_more(&waited, allowed));
        if (rc == ERR_OK && !ok)
            cli_warn(r->cli, "%s%s%s failed: %s", retrain_step_name(w.step),
                     w.task ? " of " : "", w.task_name, why);
        if (rc == ERR_OK)
            rc = retrain_done(r->store, r->run, &w, ok, *why ? why : NULL, err);
        retrain_work_release(&w);
        if (rc < 0)
            return rc;
    }
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

struct summary {
    struct cli_table *table;
    size_t tasks, failed, trained;
};

static int sum_up(void *ctx, const struct retrain_told *t, struct err *err)
{
    struct summary *s = ctx;
    char *due = t->moved ? mem_printf("%s: %s", t->due, t->moved)
                         : mem_strdup(t->due ? t->due : "-");

    (void)err;
    s->tasks++;
    s->failed += t->failed;
    s->trained += t->trained;
    cli_table_row(s->table, t->name, due, t->model_name ? t->model_name : "-",
                  t->promoted  ? "promoted"
                  : t->failed  ? "failed"
                  : t->trained ? "kept out"
                               : "nothing new",
                  t->train  ? t->train
                  : t->gate ? t->gate
                            : "",
                  NULL);
    free(due);
    return ERR_OK;
}

/* Nothing due, nothing said. */
static int tell(struct retrain_steps *r)
{
    struct summary sum = { .table =
                               cli_table_new("lllll", "task", "due", "model",
                                             "outcome", "why", NULL) };
    struct buf out = { 0 };
    struct err err;
    int rc = retrain_tell(r->store, r->run, sum_up, &sum, &err), code;

    if (rc == ERR_OK && r->cli->json)
        rc = retrain_steps_write(r, &out, &err);
    else if (rc == ERR_OK && sum.trained + sum.failed > 0 && !r->cli->quiet)
        cli_table_print(sum.table, &out);
    code = rc < 0 ? cli_fail(r->cli, &err) : cli_write(r->cli, &out);
    if (code == EXIT_DONE && sum.failed)
        code = sum.failed == sum.tasks ? EXIT_FAILED : EXIT_PARTLY;
    cli_table_free(sum.table);
    buf_release(&out);
    return code;
}

static int begin(struct retrain_steps *r, bool *resumed, struct err *err)
{
    struct retrain_policy p;
    int64_t *ids = NULL, waited = 0;
    int rc;

    do
        rc = store_lock(r->store, "retrain", err);
    while (rc == ERR_BUSY && wait_more(&waited, lock_wait));
    if (rc == ERR_OK)
        rc = read_policy(r->store, &p, &ids, err);
    if (rc == ERR_OK)
        rc = retrain_begin(r->store, &p, &r->run, resumed, err);
    if (rc == ERR_OK)
        rc = retrain_policy_of(r->store, r->run, &r->policy, err);
    if (rc == ERR_OK && *resumed)
        cli_note(r->cli, "going on with run %lld, which was cut off",
                 (long long)r->run);
    if (rc == ERR_OK && *resumed)
        rc = retrain_resumes_warn(r->cli, r->store, r->run, &p, err);
    free(ids);
    return rc;
}

/* curate or cluster has failed: the warning is there already. */
static bool broke_off(struct store *s, int64_t run)
{
    struct err err;
    struct sql_stmt *q;
    int rc = sql_row_of(store_sql(s),
                        "SELECT 1 FROM retrain_run WHERE id = ? AND outcome "
                        "IS NOT 'done'",
                        run, &q, &err);

    if (rc == 1)
        sql_reset(q);
    return rc == 1;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct retrain_steps r = { .cli = cli, .hook = hook };
    struct err err;
    bool resumed = false;
    int rc, code;

    (void)argc;
    (void)argv;
    if (override_terms &&
        (!override_terms[0] || strlen(override_terms) >= RETRAIN_WHY))
        return cli_usage(cli,
                         "--override-terms: a reason of 1 to %d bytes is "
                         "expected",
                         RETRAIN_WHY - 1);
    if (dry_run)
        return explain(cli);
    rc = cmd_store_open(cli, STORE_WRITE, &r.store, &err);
    if (rc == ERR_OK)
        rc = begin(&r, &resumed, &err);
    if (rc == ERR_OK)
        rc = take_steps(&r, resumed, &err);
    if (rc < 0)
        code = cli_fail(cli, &err);
    else if (broke_off(r.store, r.run))
        code = EXIT_FAILED;
    else
        code = tell(&r);
    store_close(r.store);
    return code;
}

const struct command cmd_retrain = {
    .name = "retrain",
    .summary = "train anew what is due, and promote what is better",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_PRIVATE | CLI_JSON | CLI_QUIET,
    .run = run,
};

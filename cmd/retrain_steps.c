/*
 * retrain_steps.c - a step of a run as a program that is run to its end
 *
 * Each command frees its memory, resumes itself and has its own lock, so a
 * step is the same as if somebody had typed it. A child that is refused a lock
 * has done nothing, and a full disk is nobody's fault: the step is taken again.
 * Every other failure belongs to the step.
 */
#include "retrain_steps.h"

#include "base/child.h"

#include <stdio.h>
#include <string.h>

#define ARGS_MAX 32

struct args {
    const char *v[ARGS_MAX];
    size_t count;
};

static void add(struct args *a, const char *text)
{
    if (a->count + 1 < ARGS_MAX)
        a->v[a->count++] = text;
}

static void add_pair(struct args *a, const char *option, const char *value)
{
    add(a, option);
    add(a, value);
}

static struct args args_of(const struct retrain_steps *r, const char *command)
{
    struct args a = { { "/proc/self/exe", command, "--quiet" }, 3 };

    add_pair(&a, "--store", r->cli->store);
    if (r->cli->key_is_named)
        add_pair(&a, "--key-file", r->cli->key_file);
    return a;
}

/* The last line that it wrote. */
static void last_words(const struct buf *said, int status, char *why)
{
    struct slice text = slice_trim(buf_slice(said)), line = text;

    for (size_t i = text.n; i > 0; i--)
        if (text.p[i - 1] == '\n') {
            line = (struct slice){ text.p + i, text.n - i };
            break;
        }
    if (line.n)
        (void)snprintf(why, RETRAIN_WHY, "%.*s", (int)line.n, line.p);
    else
        (void)snprintf(why, RETRAIN_WHY, "ended with status %d", status);
}

/* accepted: exit statuses that are no failure, ended by 0. */
static int run_child(const struct args *a, const int *accepted, bool *ok,
                     char *why, struct err *err)
{
    struct buf said = { 0 };
    int status = 0, rc = child_run(a->v, NULL, NULL, &said, 0, &status, err);

    if (rc == ERR_OK && status == EXIT_BUSY)
        rc = err_set(err, ERR_BUSY,
                     "another run holds what slmctl %s needs; the run goes on "
                     "with the next slmctl retrain",
                     a->v[1]);
    if (rc == ERR_OK && status == EXIT_OUTPUT) {
        last_words(&said, status, why);
        rc = err_set(err, ERR_OUTPUT,
                     "%s; the run goes on with the next slmctl retrain", why);
    }
    *ok = status == 0;
    for (; accepted && *accepted; accepted++)
        *ok |= status == *accepted;
    if (rc == ERR_OK && !*ok)
        last_words(&said, status, why);
    buf_release(&said);
    return rc;
}

static int curate(const struct retrain_steps *r, bool *ok, char *why,
                  struct err *err)
{
    static const int partly[] = { EXIT_PARTLY, 0 };
    struct args a = args_of(r, "curate");

    if (r->cli->private_file)
        add_pair(&a, "--private-key", r->cli->private_file);
    return run_child(&a, partly, ok, why, err);
}

static int train(const struct retrain_steps *r, const struct retrain_work *w,
                 bool *ok, char *why, struct err *err)
{
    struct args a = args_of(r, "finetune");
    char minutes[32], replay[32];

    (void)snprintf(minutes, sizeof(minutes), "%g", r->policy.minutes);
    (void)snprintf(replay, sizeof(replay), "%g", r->policy.replay);
    add_pair(&a, "--task", w->task_name);
    if (r->policy.replay > 0)
        add_pair(&a, "--replay", replay);
    if (w->base_name)
        add_pair(&a, "--model", w->base_name);
    if (r->policy.minutes > 0)
        add_pair(&a, "--minutes", minutes);
    if (r->policy.override_terms[0])
        add_pair(&a, "--override-terms", r->policy.override_terms);
    return run_child(&a, NULL, ok, why, err);
}

static int evaluate(const struct retrain_steps *r, const struct retrain_work *w,
                    const char *model, bool *ok, char *why, struct err *err)
{
    /* In part: it could not be calibrated. */
    static const int verdicts[] = { EXIT_GATE, EXIT_UNDECIDED, EXIT_PARTLY, 0 };
    struct args a = args_of(r, "eval");
    char margin[32];

    (void)snprintf(margin, sizeof(margin), "%g", 100 * r->policy.margin);
    add_pair(&a, "--task", w->task_name);
    add_pair(&a, "--model", model);
    add_pair(&a, "--split", "test");
    add_pair(&a, "--margin", margin);
    add(&a, "--no-base");
    if (model == w->model_name)
        add(&a, "--calibrate");
    return run_child(&a, verdicts, ok, why, err);
}

/* The champion first: it answers the items that have come since, too. */
static int gate(const struct retrain_steps *r, const struct retrain_work *w,
                bool *ok, char *why, struct err *err)
{
    int rc = ERR_OK;

    *ok = true;
    if (w->champion_name && w->champion != w->model)
        rc = evaluate(r, w, w->champion_name, ok, why, err);
    if (rc == ERR_OK && *ok)
        rc = evaluate(r, w, w->model_name, ok, why, err);
    return rc;
}

static int promote(const struct retrain_steps *r, const struct retrain_work *w,
                   bool *ok, char *why, struct err *err)
{
    struct err said;
    int rc = retrain_promote(r->store, w, &r->policy, &said);

    *ok = rc == ERR_OK;
    if (rc == ERR_INVALID || rc == ERR_NOTFOUND) {
        (void)snprintf(why, RETRAIN_WHY, "%.*s", RETRAIN_WHY - 1, said.msg);
        return ERR_OK;
    }
    return rc < 0 ? err_set(err, said.code, "%s", said.msg) : rc;
}

static int write_task(void *ctx, const struct retrain_told *t, struct err *err)
{
    struct json_writer *w = ctx;

    (void)err;
    json_begin_object(w, NULL);
    json_put_string(w, "task", t->name);
    json_put_string(w, "due", t->due);
    json_put_string(w, "moved", t->moved);
    json_put_bool(w, "trained", t->trained);
    json_put_string(w, "model", t->model_name);
    json_put_bool(w, "failed", t->failed);
    json_put_string(w, "why", t->train ? t->train : t->gate);
    json_put_bool(w, "promoted", t->promoted);
    json_put_int(w, "before", t->before);
    json_put_int(w, "after", t->promoted ? t->model : t->before);
    json_put_string(w, "champion_before", t->before_name);
    json_put_string(w, "champion_after",
                    t->promoted ? t->model_name : t->before_name);
    json_end_object(w);
    return ERR_OK;
}

int retrain_steps_write(const struct retrain_steps *r, struct buf *out,
                        struct err *err)
{
    struct json_writer w;
    int rc;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.retrain/1");
    json_put_int(&w, "run", r->run);
    json_begin_array(&w, "tasks");
    rc = retrain_tell(r->store, r->run, write_task, &w, err);
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
    return rc;
}

static int notify(const struct retrain_steps *r, bool *ok, char *why,
                  struct err *err)
{
    const char *argv[] = { r->hook, NULL };
    struct buf document = { 0 }, said = { 0 };
    struct err told;
    int status = 0, rc;

    *ok = true;
    if (!r->hook)
        return ERR_OK;
    rc = retrain_steps_write(r, &document, err);
    if (rc < 0) {
        buf_release(&document);
        return rc;
    }
    rc = child_run_fed(argv, NULL, buf_slice(&document), NULL, &said,
                       RETRAIN_HOOK_MS, &status, &told);
    *ok = rc == ERR_OK && status == 0;
    if (rc == ERR_OK && status != 0)
        last_words(&said, status, why);
    else if (rc < 0)
        (void)snprintf(why, RETRAIN_WHY, "%.*s", RETRAIN_WHY - 1, told.msg);
    buf_release(&document);
    buf_release(&said);
    return rc == ERR_INTERRUPTED ? err_set(err, rc, "interrupted") : ERR_OK;
}

int retrain_step_do(const struct retrain_steps *r, const struct retrain_work *w,
                    bool *ok, char why[RETRAIN_WHY], struct err *err)
{
    struct args cluster = args_of(r, "cluster");

    why[0] = '\0';
    switch (w->step) {
    case RETRAIN_DO_curate: return curate(r, ok, why, err);
    case RETRAIN_DO_cluster: return run_child(&cluster, NULL, ok, why, err);
    case RETRAIN_DO_train: return train(r, w, ok, why, err);
    case RETRAIN_DO_gate: return gate(r, w, ok, why, err);
    case RETRAIN_DO_promote: return promote(r, w, ok, why, err);
    case RETRAIN_DO_trim:
        *ok = true;
        return retrain_trim(r->store, r->run, r->policy.keep, err);
    case RETRAIN_DO_notify: break;
    }
    return notify(r, ok, why, err);
}

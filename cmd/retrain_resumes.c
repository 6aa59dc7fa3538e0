/*
 * retrain_resumes.c - how a run of retrain that was cut off is told
 *
 * In the words of retrain --dry-run and of status, which agree. A run that
 * somebody is busy with was not cut off.
 */
#include "retrain_resumes.h"

#include "base/clock.h"
#include "base/mem.h"

static bool is_cut_off(const struct retrain_cut *c)
{
    return c->run && !c->running;
}

char *retrain_resumes_cell(const struct retrain_cut *c)
{
    if (!is_cut_off(c))
        return NULL;
    return mem_printf("run %lld, cut off at %s%s%s", (long long)c->run, c->step,
                      c->task ? " of " : "", c->task ? c->task : "");
}

void retrain_resumes_print(const struct retrain_cut *c, struct buf *out)
{
    char when[32];

    if (!is_cut_off(c))
        return;
    buf_printf(out, "Run %lld of %s was cut off at %s%s%s and goes on first, ",
               (long long)c->run, clock_rfc3339(c->started_us, when), c->step,
               c->task ? " of " : "", c->task ? c->task : "");
    buf_str(out, "with the policy and tasks that it began with");
    for (size_t i = 0; i < c->task_count; i++)
        buf_printf(out, "%s%s", i ? ", " : " (", c->tasks[i]);
    buf_str(out, c->task_count ? ").\n\n" : ".\n\n");
}

void retrain_resumes_put(const struct retrain_cut *c, struct json_writer *w)
{
    char when[32];

    if (!is_cut_off(c)) {
        json_put_null(w, "resumes");
        return;
    }
    json_begin_object(w, "resumes");
    json_put_int(w, "run", c->run);
    json_put_string(w, "started", clock_rfc3339(c->started_us, when));
    json_put_string(w, "step", c->step);
    json_put_string(w, "task", c->task);
    json_begin_array(w, "tasks");
    for (size_t i = 0; i < c->task_count; i++)
        json_put_string(w, NULL, c->tasks[i]);
    json_end_array(w);
    json_end_object(w);
}

int retrain_resumes_warn(struct cli *cli, struct store *s, int64_t run,
                         const struct retrain_policy *p, struct err *err)
{
    struct buf differs = { 0 };
    int rc = retrain_policy_differs(s, run, p, &differs, err);

    if (rc == 0 && differs.len)
        cli_warn(cli,
                 "run %lld goes on as it was begun, with other %s than this "
                 "call; call again for what this one asks",
                 (long long)run, differs.data);
    buf_release(&differs);
    return rc;
}

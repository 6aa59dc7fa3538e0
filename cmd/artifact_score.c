/*
 * artifact_score.c - does a model in its new form still do its task?
 *
 * Paired by example, so that what the examples are does not matter, only what
 * became of the answers.
 */
#include "artifact_score.h"

#include "base/mem.h"

#include <stdlib.h>

int artifact_score_open(struct store *s, int64_t task, size_t examples,
                        uint64_t seed, struct artifact_score *out,
                        struct err *err)
{
    size_t n;
    int rc = evaluate_sample_open(s, task, examples, seed, &out->sample, err);

    if (rc < 0)
        return rc;
    n = evaluate_sample_count(out->sample);
    out->before = mem_array(n, sizeof(*out->before));
    out->after = mem_array(n, sizeof(*out->after));
    return ERR_OK;
}

void artifact_score_release(struct artifact_score *a)
{
    evaluate_sample_close(a->sample);
    free(a->before);
    free(a->after);
    *a = (struct artifact_score){ 0 };
}

int artifact_score_before(struct artifact_score *a, struct model *m,
                          const char *dir, struct err *err)
{
    return a->sample ? evaluate_sample_run(a->sample, m, dir, a->before, err)
                     : ERR_OK;
}

int artifact_score_after(struct artifact_score *a, struct model *m,
                         const char *dir, struct err *err)
{
    int rc;

    if (!a->sample)
        return ERR_OK;
    rc = evaluate_sample_run(a->sample, m, dir, a->after, err);
    if (rc == ERR_OK)
        evaluate_drop_sum(a->before, a->after, evaluate_sample_count(a->sample),
                          &a->drop);
    return rc;
}

bool artifact_score_agrees(const struct artifact_score *a)
{
    return evaluate_drop_is_within(&a->drop, a->limit / 100);
}

void artifact_score_print(const struct artifact_score *a, struct buf *out)
{
    if (a->sample)
        buf_printf(out, ", task %s %.1f -> %.1f %% of %zu examples",
                   evaluate_sample_task(a->sample), 100 * a->drop.before,
                   100 * a->drop.after, a->drop.judged);
}

/*
 * evaluate_sample.c - a few validation examples as a measure of a model
 *
 * For two forms of one model: both answer the same examples in the same way,
 * so that their scores differ by what the form costs. No gate, and nothing is
 * written into the store.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLE_BATCH 8 /* few, so that the caches stay small */

struct evaluate_sample {
    struct evaluate_result r;
    struct evaluate_options opt;
};

int evaluate_sample_open(struct store *s, int64_t task, size_t limit,
                         uint64_t seed, struct evaluate_sample **out,
                         struct err *err)
{
    struct evaluate_sample *e = mem_zalloc(sizeof(*e));
    int rc;

    e->opt = (struct evaluate_options){ .split = 'v',
                                        .limit = limit,
                                        .batch = SAMPLE_BATCH,
                                        .seed = seed,
                                        .constrain = true };
    e->r.split = 'v';
    rc = evaluate_task_read(s, task, &e->r, err);
    if (rc == ERR_OK)
        rc = evaluate_items_load(s, &e->opt, &e->r, err);
    if (rc == ERR_OK)
        rc = evaluate_content_learn(s, &e->r, err);
    if (rc < 0)
        evaluate_sample_close(e);
    else
        *out = e;
    return rc;
}

void evaluate_sample_close(struct evaluate_sample *e)
{
    if (!e)
        return;
    evaluate_result_release(&e->r);
    free(e);
}

size_t evaluate_sample_count(const struct evaluate_sample *e)
{
    return e->r.count;
}

const char *evaluate_sample_task(const struct evaluate_sample *e)
{
    return e->r.task_name;
}

int evaluate_sample_run(struct evaluate_sample *e, struct model *m,
                        const char *dir, double *scores, struct err *err)
{
    int rc;

    for (size_t i = 0; i < e->r.count; i++) {
        buf_reset(&e->r.items[i].answers[EVALUATE_TUNED]);
        e->r.items[i].scores[EVALUATE_TUNED].value = (double)NAN;
    }
    e->r.refused = 0;
    rc = evaluate_answers_of(&e->r, m, dir, &e->opt, err);
    for (size_t i = 0; rc == ERR_OK && i < e->r.count; i++)
        scores[i] = e->r.items[i].scores[EVALUATE_TUNED].value;
    return rc;
}

void evaluate_drop_sum(const double *before, const double *after, size_t count,
                       struct evaluate_drop *out)
{
    *out = (struct evaluate_drop){ 0 };
    for (size_t i = 0; i < count; i++) {
        if (isnan(before[i]) || isnan(after[i]))
            continue;
        out->before += before[i];
        out->after += after[i];
        out->judged++;
    }
    if (out->judged > 0) {
        out->before /= (double)out->judged;
        out->after /= (double)out->judged;
    }
}

bool evaluate_drop_is_within(const struct evaluate_drop *d, double limit)
{
    double one = d->judged > 0 ? 1 / (double)d->judged : 0;

    return d->before - d->after <= (limit > one ? limit : one) + 1e-9;
}

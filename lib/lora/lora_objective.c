/*
 * lora_objective.c - what a step minimises: the next token's loss, a
 * teacher's distribution, or preferences
 *
 * The data and the options decide: pairs are preferences; a teacher, or log
 * probabilities in the data, distil. The rest of training does not know.
 */
#include "base/mem.h"
#include "lora/lora_private.h"

#include <stdlib.h>

static bool is_taught(const struct lora_run *r)
{
    return r->opt.teacher || r->train->top > 0;
}

/* The teacher's ids of the tokens that the rows of a batch predict. */
static void gather_top(const struct lora_data *d, const struct model_batch *b,
                       const size_t *tokens, int32_t *ids, float *logp)
{
    for (size_t r = 0; r < b->rows; r++)
        for (size_t i = 0; i < d->top; i++) {
            ids[r * d->top + i] = d->top_ids[tokens[r] * d->top + i];
            logp[r * d->top + i] = d->top_logp[tokens[r] * d->top + i];
        }
}

static int taught_pass(struct lora_run *r, const struct model_batch *b,
                       const size_t *tokens, double scale,
                       struct compute_span loss, struct err *err)
{
    const struct lora_data *d = r->train;
    struct model_teaching t = { .teacher = r->opt.teacher,
                                .temperature = r->opt.temperature,
                                .mix = r->opt.mix > 0 ? r->opt.mix : 0 };
    int32_t *ids = NULL;
    float *logp = NULL;
    int rc;

    if (!t.teacher) {
        ids = mem_array(b->rows * d->top, sizeof(*ids));
        logp = mem_array(b->rows * d->top, sizeof(*logp));
        gather_top(d, b, tokens, ids, logp);
        t.top = d->top;
        t.top_ids = ids;
        t.top_logp = logp;
    }
    rc = model_step_taught_add(r->m, b, &t, scale, loss, err);
    free(ids);
    free(logp);
    return rc;
}

int lora_pass(struct lora_run *r, const struct lora_packing *p, size_t i,
              struct err *err)
{
    const struct model_batch *b = &p->batches[i];
    double scale = 1 / lora_weight(r->train, p);
    struct compute_span sum = compute_at(r->sums, LORA_LOSS);
    size_t count;

    if (r->train->unit > 1)
        return model_step_preference_add(r->m, b, r->opt.beta, scale, sum, err);
    if (is_taught(r))
        return taught_pass(r, b, p->tokens + (b->ids - p->memory) / 3, scale,
                           sum, err);
    return model_step_add(r->m, b, scale, sum, &count, err);
}

double lora_weight(const struct lora_data *d, const struct lora_packing *p)
{
    return (double)(d->unit > 1 ? p->items : p->trained);
}

int lora_validation_loss(struct lora_run *r, double *out, struct err *err)
{
    const struct lora_data *d = r->valid;
    struct lora_packing p;
    struct compute_span sums = { 0 };
    double total[2] = { 0 };
    size_t *items;
    int rc;

    if (d->unit < 2)
        return lora_loss(r->m, d, (size_t)r->opt.pass_tokens, out, err);
    items = mem_array(lora_items(d), sizeof(*items));
    for (size_t i = 0; i < lora_items(d); i++)
        items[i] = i;
    lora_pack(d, items, lora_items(d), (size_t)r->opt.pass_tokens, &p);
    rc = compute_alloc(r->compute, COMPUTE_F64, 2, "losses", &sums, err);
    for (size_t i = 0; rc == 0 && i < p.count; i++)
        rc = model_step_preference_add(r->m, &p.batches[i], r->opt.beta, 0,
                                       sums, err);
    if (rc == 0) {
        r->compute->ops->download(r->compute, total, sums, 2);
        rc = r->compute->ops->sync(r->compute, err);
    }
    *out = total[0] / (double)p.items;
    compute_release(r->compute, &sums);
    lora_packing_release(&p);
    free(items);
    return rc;
}

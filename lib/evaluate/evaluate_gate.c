/*
 * evaluate_gate.c - what the gate is shown
 *
 * An item comes once for each call that it stands for, in one cluster: the log
 * is judged as it was asked. Counted once, what the LLM got wrong would weigh
 * too much, since its right answers to a repeated input are duplicates of each
 * other and its errors are not.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct calls {
    double *score, *reference;
    bool *measured, *valid, *reference_valid;
    uint64_t *cluster;
    size_t count, judged; /* judged: of valid, reference_valid and clusters */
    uint64_t *judged_cluster;
};

static void calls_add(struct calls *c, const struct evaluate_item *it)
{
    const struct score *tuned = &it->scores[EVALUATE_TUNED];
    const struct score *llm = &it->scores[EVALUATE_LLM];

    c->score[c->count] = tuned->value;
    c->reference[c->count] = llm->value;
    c->cluster[c->count] = it->cluster;
    c->measured[c->count++] = it->measured;
    if (isnan(tuned->value) || isnan(llm->value))
        return;
    c->valid[c->judged] = tuned->valid;
    c->reference_valid[c->judged] = llm->valid;
    c->judged_cluster[c->judged++] = it->cluster;
}

static void calls_collect(struct calls *c, const struct evaluate_result *r)
{
    size_t n = 1;

    for (size_t i = 0; i < r->count; i++)
        n += r->items[i].calls;
    c->score = mem_array(n, sizeof(*c->score));
    c->reference = mem_array(n, sizeof(*c->reference));
    c->cluster = mem_array(n, sizeof(*c->cluster));
    c->judged_cluster = mem_array(n, sizeof(*c->judged_cluster));
    c->measured = mem_array(n, sizeof(*c->measured));
    c->valid = mem_array(n, sizeof(*c->valid));
    c->reference_valid = mem_array(n, sizeof(*c->reference_valid));
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < r->items[i].calls; k++)
            calls_add(c, &r->items[i]);
}

static void calls_release(struct calls *c)
{
    free(c->score);
    free(c->reference);
    free(c->cluster);
    free(c->judged_cluster);
    free(c->measured);
    free(c->valid);
    free(c->reference_valid);
}

void evaluate_gate(struct evaluate_result *r,
                   const struct evaluate_options *opt)
{
    struct calls c = { 0 };

    calls_collect(&c, r);
    score_gate_run(
        &(struct score_gate_input){ .score = c.score,
                                    .reference = c.reference,
                                    .cluster = c.cluster,
                                    .count = c.count,
                                    .margin = opt->margin,
                                    .seed = opt->seed,
                                    .measured = c.measured,
                                    .measured_interval = r->self_interval },
        &r->gate);
    score_gate_conditions(
        &(struct score_conditions){
            .valid = c.valid,
            .reference_valid = c.reference_valid,
            .cluster = c.judged_cluster,
            .count = c.judged,
            .valid_margin = opt->valid_margin > 0 ? opt->valid_margin : -1,
            .seed = opt->seed,
            .latency_ms = r->latencies,
            .latency_count = r->latency_count,
            .latency_p95_ms = opt->max_p95_ms },
        &r->gate);
    calls_release(&c);
}

/*
 * eval_print.c - an evaluation for people
 *
 * Two tables and the notes under them; the numbers are report's, so that no
 * form can disagree with another.
 */
#include "eval_print.h"

#include <stdio.h>

/* A cell from what a function appends. */
static const char *rate(struct buf *b, double v, struct score_interval i)
{
    buf_reset(b);
    report_rate(b, v, i);
    return b->data;
}

static const char *number(struct buf *b, double v, int decimals)
{
    buf_reset(b);
    report_number(b, v, decimals);
    return b->data;
}

static void table_scores(const struct report_eval *e, bool of_gold,
                         struct buf *out)
{
    struct cli_table *t =
        cli_table_new("llrrrrrl", "task", "metric", "items", "base", "tuned",
                      "LLM", "difference", of_gold ? "" : "verdict", NULL);
    struct buf b[EVALUATE_WHOS] = { { 0 } }, diff = { 0 };

    for (size_t i = 0; i < e->count; i++) {
        const struct evaluate_result *r = &e->list[i];
        const struct score_gate *g = &r->gate;
        char items[32];

        if (of_gold && r->gold_count == 0)
            continue;
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            const struct evaluate_column *c = &r->columns[k];

            rate(&b[k], of_gold ? c->gold : c->score,
                 of_gold ? c->gold_interval : c->interval);
        }
        buf_reset(&diff);
        if (of_gold)
            buf_printf(&diff, "%+.1f",
                       100 * (r->columns[EVALUATE_TUNED].gold -
                              r->columns[EVALUATE_LLM].gold));
        else
            buf_printf(&diff, "%+.1f [%+.1f, %+.1f]", 100 * g->difference,
                       100 * g->interval.low, 100 * g->interval.high);
        snprintf(items, sizeof(items), "%zu",
                 of_gold ? r->gold_count : r->count);
        cli_table_row(t, r->task_name, score_metric_name(r->kind), items,
                      b[0].data, b[1].data, b[2].data, diff.data,
                      of_gold ? "" : score_verdict_name(g->verdict), NULL);
    }
    cli_table_print(t, out);
    cli_table_free(t);
    for (int k = 0; k < EVALUATE_WHOS; k++)
        buf_release(&b[k]);
    buf_release(&diff);
}

static void table_costs(const struct report_eval *e, struct buf *out)
{
    struct cli_table *t = cli_table_new(
        "llrrrrrrr", "task", "model", "valid %", "unseen %", "loss", "tokens/s",
        "p50 ms", "p95 ms", "$/1000 calls", NULL);
    struct buf b[7] = { { 0 } };

    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            const struct evaluate_column *c = &e->list[i].columns[k];

            if (!c->present)
                continue;
            cli_table_row(t, e->list[i].task_name, c->name,
                          number(&b[0], 100 * c->valid, 1),
                          number(&b[1], 100 * c->unseen, 1),
                          number(&b[2], c->loss, 3),
                          number(&b[3], c->tokens_per_second, 0),
                          number(&b[4], c->latency_p50_ms, 0),
                          number(&b[5], c->latency_p95_ms, 0),
                          number(&b[6], c->dollars, 4), NULL);
        }
    cli_table_print(t, out);
    cli_table_free(t);
    for (size_t i = 0; i < 7; i++)
        buf_release(&b[i]);
}

/* How well the router knows which answers are wrong. */
static void table_calibration(const struct report_eval *e, struct buf *out)
{
    struct cli_table *t = cli_table_new("lrrrrrrrr", "task", "answers", "wrong",
                                        "ECE before", "ECE after", "kept %",
                                        "APGR", "CPT 50 %", "CPT 80 %", NULL);
    struct buf b[6] = { { 0 } };
    bool any = false;

    for (size_t i = 0; i < e->count; i++) {
        const struct evaluate_calibration *c = &e->list[i].calibration;
        char items[32], errors[32];

        if (!c->present)
            continue;
        any = true;
        (void)snprintf(items, sizeof(items), "%zu", c->items);
        (void)snprintf(errors, sizeof(errors), "%.0f", c->errors);
        cli_table_row(
            t, e->list[i].task_name, items, errors,
            number(&b[0], c->ece_before, 3), number(&b[1], c->ece_after, 3),
            number(&b[2], 100 * c->share, 1), number(&b[3], c->apgr, 3),
            number(&b[4], 100 * c->cpt50, 1), number(&b[5], 100 * c->cpt80, 1),
            NULL);
    }
    if (any) {
        buf_str(out, "\nThe router's calibration (of validation answers):\n");
        cli_table_print(t, out);
    }
    cli_table_free(t);
    for (size_t i = 0; i < 6; i++)
        buf_release(&b[i]);
}

void eval_print(const struct report_eval *e, struct buf *out)
{
    bool any_gold = false;

    for (size_t i = 0; i < e->count; i++)
        any_gold = any_gold || e->list[i].gold_count > 0;
    table_scores(e, false, out);
    if (any_gold) {
        buf_str(out, "\nAgainst gold answers (not seen by the gate):\n");
        table_scores(e, true, out);
    }
    buf_char(out, '\n');
    table_costs(e, out);
    table_calibration(e, out);
    buf_char(out, '\n');
    report_eval_notes(e, out);
}

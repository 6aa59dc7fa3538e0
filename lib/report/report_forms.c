/*
 * report_forms.c - an evaluation as Markdown and as JUnit XML
 *
 * JUnit: a failed gate is a failure, an undecided one an error, so that no
 * reader of either counts it as passed.
 */
#include "report/report.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void gate_line(struct buf *out, const struct evaluate_result *r,
                      double margin)
{
    const struct score_gate *g = &r->gate;

    buf_printf(out,
               "%s: difference %+.1f points [%+.1f, %+.1f], margin %g, %zu "
               "calls in %zu conversations; %s",
               score_verdict_name(g->verdict), 100 * g->difference,
               100 * g->interval.low, 100 * g->interval.high, 100 * margin,
               g->count, g->clusters, g->why);
    if (g->verdict == SCORE_UNDECIDED)
        report_need(out, g);
    for (size_t i = 1; i < g->condition_count; i++) {
        buf_str(out, "; ");
        report_condition(out, &g->condition[i]);
    }
}

static void junit_task(struct buf *out, const struct evaluate_result *r,
                       double margin)
{
    struct buf line = { 0 };
    enum score_verdict v = r->gate.verdict;
    const char *tag = v == SCORE_FAIL ? "failure" : "error";

    gate_line(&line, r, margin);
    buf_str(out, "  <testcase classname=\"slmctl.eval\" name=\"");
    report_xml(out, slice_of(r->task_name));
    if (v == SCORE_PASS) {
        buf_str(out, "\">\n    <system-out>");
        report_xml(out, buf_slice(&line));
        buf_str(out, "</system-out>\n  </testcase>\n");
    } else {
        buf_printf(out, "\">\n    <%s type=\"%s\" message=\"", tag,
                   score_verdict_name(v));
        report_xml(out, buf_slice(&line));
        buf_str(out, "\"/>\n  </testcase>\n");
    }
    buf_release(&line);
}

static void junit_untested(struct buf *out, const struct report_untested *u)
{
    buf_str(out, "  <testcase classname=\"slmctl.eval\" name=\"");
    report_xml(out, slice_of(u->task));
    buf_printf(out, "\">\n    <error type=\"%s\" message=\"",
               u->failed ? "failed" : "undecided");
    report_xml(out, slice_of(u->why));
    buf_str(out, "\"/>\n  </testcase>\n");
}

void report_eval_junit(const struct report_eval *e, struct buf *out)
{
    size_t failed = 0, undecided = 0;

    for (size_t i = 0; i < e->count; i++) {
        failed += e->list[i].gate.verdict == SCORE_FAIL;
        undecided += e->list[i].gate.verdict == SCORE_UNDECIDED;
    }
    buf_printf(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite "
               "name=\"slmctl eval\" tests=\"%zu\" failures=\"%zu\" "
               "errors=\"%zu\" skipped=\"0\">\n",
               e->count + e->untested_count, failed,
               undecided + e->untested_count);
    for (size_t i = 0; i < e->count; i++)
        junit_task(out, &e->list[i], e->margin);
    for (size_t i = 0; i < e->untested_count; i++)
        junit_untested(out, &e->untested[i]);
    buf_str(out, "</testsuite>\n");
}

static void cell_rate(struct buf *out, double v, struct score_interval i)
{
    report_rate(out, v, i);
    buf_str(out, " | ");
}

static void cell_number(struct buf *out, double v, int decimals)
{
    report_number(out, v, decimals);
    buf_str(out, " | ");
}

static void markdown_row(struct buf *out, const struct evaluate_result *r)
{
    buf_str(out, "| ");
    report_markdown_cell(out, slice_of(r->task_name), 80);
    buf_printf(out, " | %s | %zu | ", score_metric_name(r->kind), r->count);
    for (int k = 0; k < EVALUATE_WHOS; k++)
        cell_rate(out, r->columns[k].score, r->columns[k].interval);
    cell_rate(out, r->repeated > 0 ? r->self_agreement : (double)NAN,
              r->self_interval);
    buf_printf(out, "%+.1f [%+.1f, %+.1f] | **%s** |\n",
               100 * r->gate.difference, 100 * r->gate.interval.low,
               100 * r->gate.interval.high,
               score_verdict_name(r->gate.verdict));
}

static void markdown_gold(struct buf *out, const struct report_eval *e)
{
    buf_str(out, "\nAgainst gold answers, which the gate does not see:\n\n"
                 "| task | items | base | tuned | LLM |\n"
                 "|---|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < e->count; i++) {
        const struct evaluate_result *r = &e->list[i];

        if (r->gold_count == 0)
            continue;
        buf_str(out, "| ");
        report_markdown_cell(out, slice_of(r->task_name), 80);
        buf_printf(out, " | %zu | ", r->gold_count);
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            report_rate(out, r->columns[k].gold, r->columns[k].gold_interval);
            buf_str(out, k + 1 < EVALUATE_WHOS ? " | " : " |\n");
        }
    }
}

static void markdown_speed(struct buf *out, const struct report_eval *e)
{
    buf_str(out,
            "\n| task | side | valid % | unseen % | loss | tokens/s | p50 ms "
            "| p95 ms | $ / 1,000 calls |\n"
            "|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            const struct evaluate_column *c = &e->list[i].columns[k];

            if (!c->present)
                continue;
            buf_str(out, "| ");
            report_markdown_cell(out, slice_of(e->list[i].task_name), 80);
            buf_str(out, " | ");
            report_markdown_cell(out, slice_of(c->name), 80);
            buf_str(out, " | ");
            cell_number(out, 100 * c->valid, 1);
            cell_number(out, 100 * c->unseen, 1);
            cell_number(out, c->loss, 3);
            cell_number(out, c->tokens_per_second, 0);
            cell_number(out, c->latency_p50_ms, 0);
            cell_number(out, c->latency_p95_ms, 0);
            report_number(out, c->dollars, 4);
            buf_str(out, " |\n");
        }
}

static void markdown_more(struct buf *out, const struct report_eval *e)
{
    buf_str(out, "\n| task | side | names of calls % | arguments % | chrF % | "
                 "length | refused % |\n|---|---|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < EVALUATE_WHOS; k++) {
            const struct evaluate_column *c = &e->list[i].columns[k];

            if (!c->present || isnan(c->refused))
                continue;
            buf_str(out, "| ");
            report_markdown_cell(out, slice_of(e->list[i].task_name), 80);
            buf_str(out, " | ");
            report_markdown_cell(out, slice_of(c->name), 80);
            buf_str(out, " | ");
            cell_number(out, 100 * c->call_names, 1);
            cell_number(out, 100 * c->call_arguments, 1);
            cell_number(out, 100 * c->chrf, 1);
            cell_number(out, c->length_ratio, 2);
            report_number(out, 100 * c->refused, 1);
            buf_str(out, " |\n");
        }
}

static void markdown_answer(struct buf *out, const char *what,
                            struct slice message)
{
    struct buf text = { 0 };

    if (!score_content(message, &text) || text.len == 0)
        buf_add_slice(&text, message); /* a tool call: show it whole */
    buf_printf(out, "  - %s: ", what);
    report_markdown_cell(out, buf_slice(&text), 400);
    buf_char(out, '\n');
    buf_release(&text);
}

static void markdown_disagreements(struct buf *out,
                                   const struct evaluate_result *r, size_t show)
{
    size_t *list = mem_array(show + 1, sizeof(*list));
    size_t n = evaluate_telling(r, list, show);

    if (n > 0) {
        buf_str(out, "\nDisagreements of ");
        report_markdown_cell(out, slice_of(r->task_name), 80);
        buf_str(out, ":\n\n");
    }
    for (size_t i = 0; i < n; i++) {
        const struct evaluate_item *it = &r->items[list[i]];

        buf_printf(out, "- example %lld: %s\n", (long long)it->example,
                   it->scores[EVALUATE_TUNED].reason);
        markdown_answer(
            out, "reference",
            buf_slice(it->reference.len ? &it->reference : &it->logged));
        markdown_answer(out, "answer", buf_slice(&it->answers[EVALUATE_TUNED]));
    }
    free(list);
}

/* The labels that are mistaken for each other most. */
static void markdown_confusion(struct buf *out, const struct evaluate_result *r)
{
    struct score_confusion pairs[REPORT_MISTAKEN];
    struct score_labels *l;
    size_t n;

    if (r->kind != SCORE_LABEL)
        return;
    l = evaluate_labels(r, EVALUATE_TUNED);
    n = score_labels_pairs(l, pairs, REPORT_MISTAKEN);
    if (n > 0) {
        buf_str(out, "\nLabels of ");
        report_markdown_cell(out, slice_of(r->task_name), 80);
        buf_str(out, " that were mistaken:\n\n"
                     "| reference | answer | times |\n|---|---|---:|\n");
    }
    for (size_t i = 0; i < n; i++) {
        buf_str(out, "| ");
        report_markdown_cell(out, pairs[i].reference, 80);
        buf_str(out, " | ");
        report_markdown_cell(out, pairs[i].answer, 80);
        buf_printf(out, " | %zu |\n", pairs[i].count);
    }
    score_labels_free(l);
}

/* The notes as a list, each line escaped. */
static void markdown_notes(struct buf *out, const struct report_eval *e)
{
    struct buf notes = { 0 };
    size_t from = 0;

    report_eval_notes(e, &notes);
    buf_char(out, '\n');
    for (size_t i = 0; i < notes.len; i++) {
        if (notes.data[i] != '\n')
            continue;
        buf_str(out, "- ");
        report_markdown_cell(out, (struct slice){ notes.data + from, i - from },
                             1000);
        buf_char(out, '\n');
        from = i + 1;
    }
    buf_release(&notes);
}

void report_eval_markdown(const struct report_eval *e, struct buf *out)
{
    bool gold = false;

    buf_printf(out, "## slmctl eval: %s\n\n",
               score_verdict_name(report_verdict(e)));
    buf_str(out, "| task | metric | items | base | tuned | LLM | ceiling | "
                 "difference | verdict |\n"
                 "|---|---|---:|---:|---:|---:|---:|---:|---|\n");
    for (size_t i = 0; i < e->count; i++) {
        markdown_row(out, &e->list[i]);
        gold = gold || e->list[i].gold_count > 0;
    }
    if (gold)
        markdown_gold(out, e);
    markdown_speed(out, e);
    markdown_more(out, e);
    for (size_t i = 0; i < e->count; i++) {
        markdown_confusion(out, &e->list[i]);
        markdown_disagreements(out, &e->list[i], e->show);
    }
    markdown_notes(out, e);
}

/*
 * report_eval.c - an evaluation as JSON and as notes
 *
 * The JSON of a task is the full record; the other forms choose from the same
 * numbers.
 */
#include "report/report.h"

#include "base/clock.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum score_verdict report_verdict(const struct report_eval *e)
{
    enum score_verdict worst = SCORE_PASS;

    for (size_t i = 0; i < e->untested_count; i++)
        if (!e->untested[i].failed)
            worst = SCORE_UNDECIDED;
    for (size_t i = 0; i < e->count; i++) {
        enum score_verdict v = e->list[i].gate.verdict;

        if (v == SCORE_FAIL)
            return v;
        if (v == SCORE_UNDECIDED)
            worst = v;
    }
    return worst;
}

static void put_number(struct json_writer *w, const char *key, double v)
{
    if (isnan(v))
        json_put_null(w, key);
    else
        json_put_double(w, key, v);
}

static void put_interval(struct json_writer *w, const char *key,
                         struct score_interval i)
{
    json_begin_array(w, key);
    json_put_double(w, NULL, i.low);
    json_put_double(w, NULL, i.high);
    json_end_array(w);
}

static void put_column(struct json_writer *w, const char *key,
                       const struct evaluate_column *c, size_t gold_count)
{
    if (!c->present) {
        json_put_null(w, key);
        return;
    }
    json_begin_object(w, key);
    json_put_string(w, "name", c->name);
    put_number(w, "score", c->score);
    put_interval(w, "interval", c->interval);
    put_number(w, "macro_f1", c->macro_f1);
    put_number(w, "valid", c->valid);
    put_number(w, "f1", c->f1);
    put_number(w, "rouge_l", c->rouge_l);
    put_number(w, "chrf", c->chrf);
    put_number(w, "length_ratio", c->length_ratio);
    put_number(w, "call_names", c->call_names);
    put_number(w, "call_arguments", c->call_arguments);
    put_number(w, "refused", c->refused);
    put_number(w, "loss", c->loss);
    if (gold_count > 0) {
        put_number(w, "gold", c->gold);
        put_interval(w, "gold_interval", c->gold_interval);
    }
    put_number(w, "score_seen", c->seen);
    json_put_int(w, "items_seen", (int64_t)c->seen_count);
    put_number(w, "score_unseen", c->unseen);
    json_put_int(w, "items_unseen", (int64_t)c->unseen_count);
    put_number(w, "tokens_per_second", c->tokens_per_second);
    put_number(w, "latency_p50_ms", c->latency_p50_ms);
    put_number(w, "latency_p95_ms", c->latency_p95_ms);
    put_number(w, "dollars_per_1000_calls", c->dollars);
    json_end_object(w);
}

static void put_conditions(struct json_writer *w, const struct score_gate *g)
{
    json_begin_array(w, "conditions");
    for (size_t i = 0; i < g->condition_count; i++) {
        const struct score_condition *c = &g->condition[i];

        json_begin_object(w, NULL);
        json_put_string(w, "name", c->name);
        json_put_string(w, "verdict", score_verdict_name(c->verdict));
        json_put_string(w, "why", c->why);
        put_number(w, "value", c->value);
        put_number(w, "limit", c->limit);
        json_begin_array(w, "interval");
        put_number(w, NULL, c->interval.low);
        put_number(w, NULL,
                   isfinite(c->interval.high) ? c->interval.high : (double)NAN);
        json_end_array(w);
        json_put_int(w, "count", (int64_t)c->count);
        if (c->verdict == SCORE_UNDECIDED)
            json_put_int(w, "needed", (int64_t)c->need);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_gate(struct json_writer *w, const struct score_gate *g,
                     double margin)
{
    json_begin_object(w, "gate");
    json_put_string(w, "verdict", score_verdict_name(g->verdict));
    json_put_string(w, "why", g->why);
    json_put_double(w, "margin", margin);
    json_put_double(w, "level", SCORE_LEVEL);
    json_put_int(w, "items", (int64_t)g->count);
    json_put_int(w, "left_out", (int64_t)g->left_out);
    json_put_int(w, "clusters", (int64_t)g->clusters);
    json_put_double(w, "difference", g->difference);
    put_interval(w, "interval", g->interval);
    put_interval(w, "bootstrap", g->bootstrap);
    if (g->binary) {
        put_interval(w, "tango", g->paired);
        put_interval(w, "newcombe", g->newcombe);
    }
    json_put_double(w, "discordant", g->discordant);
    json_put_double(w, "design_effect", g->design_effect);
    if (g->verdict == SCORE_UNDECIDED)
        json_put_int(w, "items_needed", (int64_t)g->need);
    put_conditions(w, g);
    json_end_object(w);
}

static void put_judge(struct json_writer *w, const struct evaluate_judge *j)
{
    json_begin_object(w, "judge");
    json_put_string(w, "model", j->name);
    json_put_bool(w, "gates", j->gates);
    json_put_string(w, "verdict", score_verdict_name(j->gate.verdict));
    json_put_string(w, "why", j->gate.why);
    put_number(w, "win", j->win);
    json_begin_array(w, "win_interval");
    put_number(w, NULL, 0.5 + j->gate.interval.low);
    put_number(w, NULL, 0.5 + j->gate.interval.high);
    json_end_array(w);
    json_put_int(w, "won", (int64_t)j->won);
    json_put_int(w, "lost", (int64_t)j->lost);
    json_put_int(w, "tied", (int64_t)j->tied);
    json_put_int(w, "asked", (int64_t)j->asked);
    json_put_int(w, "orders_disagreed", (int64_t)j->flipped);
    json_put_int(w, "failed", (int64_t)j->failed);
    put_number(w, "first_place_share", j->front);
    json_end_object(w);
}

static void put_reference(struct json_writer *w,
                          const struct evaluate_result *r)
{
    json_begin_object(w, "reference");
    json_put_int(w, "outcomes", (int64_t)r->from_outcomes);
    json_put_int(w, "logged_answers", (int64_t)(r->count - r->from_outcomes));
    json_put_int(w, "repeated_inputs", (int64_t)r->repeated);
    json_put_double(w, "self_agreement", r->self_agreement);
    put_interval(w, "self_interval", r->self_interval);
    json_put_int(w, "retried_inputs", (int64_t)r->retried_inputs);
    if (r->kind == SCORE_SQL)
        json_put_int(w, "compared_as_text", (int64_t)r->by_text);
    json_end_object(w);
}

static void put_reasons(struct json_writer *w, const struct evaluate_result *r)
{
    json_begin_object(w, "reasons");
    for (size_t i = 0; i < r->reason_count; i++)
        json_put_int(w, r->reasons[i].text, (int64_t)r->reasons[i].count);
    json_end_object(w);
}

static void put_price(struct json_writer *w, const struct evaluate_result *r)
{
    if (!r->price) {
        json_put_null(w, "price");
        return;
    }
    json_begin_object(w, "price");
    json_put_string(w, "model", r->price->model);
    json_put_double(w, "input", r->price->input);
    json_put_double(w, "output", r->price->output);
    json_put_string(w, "date", r->price->date);
    json_put_string(w, "kind", r->price->kind);
    json_put_string(w, "source", r->price->source);
    json_end_object(w);
}

void report_eval_task(struct json_writer *w, const char *key,
                      const struct evaluate_result *r, double margin)
{
    json_begin_object(w, key);
    json_put_string(w, "task", r->task_name);
    json_put_string(w, "kind", score_kind_name(r->kind));
    json_put_string(w, "metric", score_metric_name(r->kind));
    json_put_string(w, "split", r->split == 's' ? "test" : "validation");
    json_put_bool(w, "reused", r->reused != 0);
    if (r->weights)
        json_put_string(w, "weights", r->weights);
    json_put_int(w, "items", (int64_t)r->count);
    json_put_int(w, "gold_items", (int64_t)r->gold_count);
    json_put_int(w, "refused", (int64_t)r->refused);
    if (r->asked) {
        json_put_int(w, "failed_requests", (int64_t)r->failed);
        json_put_int(w, "known_answers", (int64_t)r->known);
    }
    json_put_int(w, "constrained", (int64_t)r->constrained);
    json_put_int(w, "rejected", (int64_t)r->rejected);
    json_put_int(w, "unscrubbed", (int64_t)r->unscrubbed);
    json_put_int(w, "trained_on", (int64_t)r->trained_on);
    json_put_int(w, "max_tokens", (int64_t)r->max_tokens);
    if (r->sealed_before >= 0)
        json_put_int(w, "opened_before", r->sealed_before);
    else
        json_put_null(w, "opened_before");
    json_put_int(w, "seen_by", (int64_t)r->seen_by);
    put_reference(w, r);
    for (int k = 0; k < EVALUATE_WHOS; k++)
        put_column(w, evaluate_who_name((enum evaluate_who)k), &r->columns[k],
                   r->gold_count);
    put_reasons(w, r);
    put_price(w, r);
    put_gate(w, &r->gate, margin);
    if (r->judge.present)
        put_judge(w, &r->judge);
    if (r->calibration.present)
        report_calibration(w, "calibration", &r->calibration);
    json_end_object(w);
}

/* With texts of the log, and therefore not in what is stored. */
static void put_disagreements(struct json_writer *w,
                              const struct evaluate_result *r, size_t show)
{
    size_t *list = mem_array(show + 1, sizeof(*list));
    size_t n = evaluate_telling(r, list, show);

    for (size_t i = 0; i < n; i++) {
        const struct evaluate_item *it = &r->items[list[i]];
        const struct buf *answer = &it->answers[EVALUATE_TUNED];

        json_begin_object(w, NULL);
        json_put_string(w, "task", r->task_name);
        json_put_int(w, "example", it->example);
        json_put_double(w, "score", it->scores[EVALUATE_TUNED].value);
        json_put_string(w, "reason", it->scores[EVALUATE_TUNED].reason);
        json_put_slice(
            w, "reference",
            buf_slice(it->reference.len ? &it->reference : &it->logged));
        json_put_slice(w, "answer", buf_slice(answer));
        json_end_object(w);
    }
    free(list);
}

static void put_mistaken(struct json_writer *w, const struct evaluate_result *r)
{
    struct score_confusion pairs[REPORT_MISTAKEN];
    struct score_labels *l;
    size_t n;

    if (r->kind != SCORE_LABEL)
        return;
    l = evaluate_labels(r, EVALUATE_TUNED);
    n = score_labels_pairs(l, pairs, REPORT_MISTAKEN);
    for (size_t i = 0; i < n; i++) {
        json_begin_object(w, NULL);
        json_put_string(w, "task", r->task_name);
        json_put_slice(w, "reference", pairs[i].reference);
        json_put_slice(w, "answer", pairs[i].answer);
        json_put_int(w, "count", (int64_t)pairs[i].count);
        json_end_object(w);
    }
    score_labels_free(l);
}

void report_eval_json(const struct report_eval *e, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.eval/1");
    json_put_string(&w, "verdict", score_verdict_name(report_verdict(e)));
    json_put_double(&w, "machine_dollars_per_hour",
                    e->machine_dollars_per_hour);
    json_begin_array(&w, "tasks");
    for (size_t i = 0; i < e->count; i++)
        report_eval_task(&w, NULL, &e->list[i], e->margin);
    json_end_array(&w);
    json_begin_array(&w, "disagreements");
    for (size_t i = 0; i < e->count; i++)
        put_disagreements(&w, &e->list[i], e->show);
    json_end_array(&w);
    json_begin_array(&w, "mistaken_labels");
    for (size_t i = 0; i < e->count; i++)
        put_mistaken(&w, &e->list[i]);
    json_end_array(&w);
    json_begin_array(&w, "untested");
    for (size_t i = 0; i < e->untested_count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "task", e->untested[i].task);
        json_put_string(&w, "reason", e->untested[i].why);
        json_put_bool(&w, "failed", e->untested[i].failed);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void note_reference(const struct evaluate_result *r, struct buf *out)
{
    size_t logged = r->count - r->from_outcomes - r->rejected - r->unscrubbed;

    if (r->from_outcomes > 0)
        buf_printf(out, "%s: %zu items are compared with their outcome.\n",
                   r->task_name, r->from_outcomes);
    if (r->rejected > 0)
        buf_printf(out,
                   "%s: %zu items are left out, because their outcome calls "
                   "the logged answer bad and names no better one.\n",
                   r->task_name, r->rejected);
    if (r->unscrubbed > 0)
        buf_printf(out,
                   "%s: %zu items are left out, because their outcome came "
                   "after the last slmctl curate, or could not be scrubbed.\n",
                   r->task_name, r->unscrubbed);
    if (logged > 0 && r->repeated > 0)
        buf_printf(out,
                   "%s: %zu items are compared with the logged answer; the "
                   "LLM agrees with itself on %.1f %% of %zu repeated "
                   "inputs.\n",
                   r->task_name, logged, 100 * r->self_agreement, r->repeated);
    else if (logged > 0)
        buf_printf(out,
                   "%s: %zu items are compared with the logged answer; no "
                   "input was repeated, so the LLM's own score is taken as "
                   "100 %%.\n",
                   r->task_name, logged);
    if (r->kind == SCORE_SQL && r->by_text > 0)
        buf_printf(out,
                   "%s: %zu queries could not be executed and were compared "
                   "as text.\n",
                   r->task_name, r->by_text);
}

/* Repeats that are retries are of awkward inputs. */
static void note_retries(const struct evaluate_result *r, struct buf *out)
{
    if (r->repeated > 0 && r->retried_inputs > 0)
        buf_printf(out,
                   "%s: %zu of the repeated inputs came again within a minute "
                   "of one conversation, as retries do; the rest stand on "
                   "their own.\n",
                   r->task_name, r->retried_inputs);
}

static void note_gate(const struct evaluate_result *r, struct buf *out)
{
    const struct score_gate *g = &r->gate;

    if (r->sealed_before > 0)
        buf_printf(out,
                   "%s: the sealed test has been opened %lld time%s before "
                   "for this model; its result is worth less each time.\n",
                   r->task_name, (long long)r->sealed_before,
                   r->sealed_before == 1 ? "" : "s");
    if (r->seen_by > 1)
        buf_printf(out,
                   "%s: %zu models have been tried on this test: each is a "
                   "chance to pass it by luck.\n",
                   r->task_name, r->seen_by);
    if (r->trained_on > 0)
        buf_printf(out,
                   "%s: %zu examples of the %s are left out: the model was "
                   "trained on them before the splits changed.\n",
                   r->task_name, r->trained_on,
                   r->split == 's' ? "test" : "validation");
    if (g->left_out > r->rejected + r->unscrubbed)
        buf_printf(out,
                   "%s: %zu items are undecided and left out on both "
                   "sides.\n",
                   r->task_name, g->left_out - r->rejected - r->unscrubbed);
    if (r->refused > 0)
        buf_printf(out,
                   "%s: %zu items do not fit the model and count as wrong.\n",
                   r->task_name, r->refused);
    if (r->failed > 0)
        buf_printf(out,
                   "%s: %zu requests failed and count as wrong (the first: "
                   "%s).\n",
                   r->task_name, r->failed,
                   r->failed_why ? r->failed_why : "unknown");
    if (r->known > 0)
        buf_printf(out,
                   "%s: %zu answers were not made anew: the same request "
                   "was answered before, here or in an earlier evaluation "
                   "(--no-cache asks again).\n",
                   r->task_name, r->known);
    if (r->weights && strcmp(r->weights, REGISTRY_STORED) != 0)
        buf_printf(out, "%s: the model answered with %s weights.\n",
                   r->task_name, r->weights);
    if (r->constrained > 0)
        buf_printf(out,
                   "%s: %zu answers were kept to the form that the task asks "
                   "for (--constrain).\n",
                   r->task_name, r->constrained);
    if (r->unknown_call)
        buf_printf(out,
                   "%s: how %s template writes tool calls is not known: "
                   "answers to requests with tools were free.\n",
                   r->task_name, r->unknown_call);
}

static void note_verdict(const struct evaluate_result *r, struct buf *out)
{
    const struct score_gate *g = &r->gate;

    for (size_t i = 1; i < g->condition_count; i++) {
        buf_printf(out, "%s: ", r->task_name);
        report_condition(out, &g->condition[i]);
        buf_str(out, ".\n");
    }
    if (g->verdict == SCORE_FAIL && g->deciding > 0)
        buf_printf(out, "%s: fail: %s.\n", r->task_name, g->why);
    if (g->verdict != SCORE_UNDECIDED)
        return;
    buf_printf(out, "%s: undecided: %s", r->task_name, g->why);
    report_need(out, g);
    buf_str(out, ".\n");
}

static void note_judge(const struct evaluate_result *r, struct buf *out)
{
    const struct evaluate_judge *j = &r->judge;

    if (!j->present)
        return;
    buf_printf(out,
               "%s: judge %s: %zu won, %zu lost, %zu tied (%zu of these "
               "because its two orders disagreed); wins count %.1f %% "
               "[%.1f, %.1f]: %s%s.\n",
               r->task_name, j->name, j->won, j->lost, j->tied, j->flipped,
               100 * j->win, 100 * (0.5 + j->gate.interval.low),
               100 * (0.5 + j->gate.interval.high),
               score_verdict_name(j->gate.verdict),
               j->gates ? "" : ", not part of the gate");
    if (j->failed > 0)
        buf_printf(out, "%s: %zu items have no verdict (the first: %s).\n",
                   r->task_name, j->failed, j->why ? j->why : "unknown");
}

static void note_reuse(const struct evaluate_result *r, struct buf *out)
{
    char when[32];

    if (r->reused == 0)
        return;
    buf_printf(out,
               "%s: nothing has changed since the evaluation of %s: it is "
               "shown again (--again makes another).\n",
               r->task_name, clock_rfc3339(r->reused, when));
}

static void note_price(const struct evaluate_result *r, struct buf *out)
{
    if (!r->price) {
        buf_printf(out, "%s: no price known for %s.\n", r->task_name,
                   r->llm ? r->llm : "the logged LLM");
        return;
    }
    buf_printf(out,
               "%s: %s at $%g in, $%g out per million tokens (%s, %s, %s "
               "hand); no cached input assumed.\n",
               r->task_name, r->price->model, r->price->input, r->price->output,
               r->price->date, r->price->source, r->price->kind);
}

void report_eval_notes(const struct report_eval *e, struct buf *out)
{
    buf_printf(out,
               "Intervals: one-sided %g %%; margin %g points; paired by item, "
               "clustered by conversation.\n",
               100 * SCORE_LEVEL, 100 * e->margin);
    for (size_t i = 0; i < e->count; i++) {
        note_reference(&e->list[i], out);
        note_retries(&e->list[i], out);
        note_gate(&e->list[i], out);
        note_verdict(&e->list[i], out);
        note_judge(&e->list[i], out);
        report_calibration_note(&e->list[i], out);
        note_reuse(&e->list[i], out);
        if (i == 0 || e->list[i].price != e->list[i - 1].price)
            note_price(&e->list[i], out);
    }
    for (size_t i = 0; i < e->untested_count; i++)
        buf_printf(out, "%s: %s.\n",
                   e->untested[i].failed ? "not judged" : "undecided",
                   e->untested[i].why);
    buf_printf(out,
               "Local cost: this machine at $%g an hour, busy all the "
               "time.\n",
               e->machine_dollars_per_hour);
}

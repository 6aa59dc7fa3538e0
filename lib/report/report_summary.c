/*
 * report_summary.c - a store's report for a terminal, as Markdown and as JSON
 *
 * The same numbers as on the page. Names come from outside: Markdown and a
 * terminal get them without what would command them.
 */
#include "report/report_state.h"

#include "base/clock.h"
#include "base/mem.h"
#include "page/page.h"

#include <math.h>
#include <stdlib.h>

#define BAR 24

static const char *const notes[STATE_NOTES] = {
    "Dollars are those of the evaluation that stands for a task: the LLM by "
    "its list price, the small model by this machine's hours while it answers.",
    "A month is this log's own rate over 30.44 days; logs of less than a day "
    "tell none.",
    "Calls are those of the log that belong to the task, repeats included; the "
    "router may send some of them to the LLM, which is not taken off.",
    "Tasks move whose champion has passed; where there is none, a candidate's "
    "pass says what could move. What failed, or was not judged, saves nothing.",
    "Training, idle hours of the machine and people's time are not counted.",
};

const char *state_note(size_t i)
{
    return notes[i];
}

void state_amount(struct buf *out, double v)
{
    double whole = round(v);

    if (isnan(v))
        buf_char(out, '-');
    else if (whole >= 1e7)
        buf_printf(out, "%.1f M", whole / 1e6);
    else if (whole >= 1e6)
        buf_printf(out, "%.2f M", whole / 1e6);
    else if (whole >= 1e3)
        buf_printf(out, "%.0f,%03.0f", floor(whole / 1e3), fmod(whole, 1e3));
    else
        buf_printf(out, "%.0f", whole);
}

char *state_share(double v)
{
    return isfinite(v) ? mem_printf("%.1f %%", 100 * v) : mem_strdup("-");
}

char *state_number(double v, int decimals)
{
    return isfinite(v) ? mem_printf("%.*f", decimals, v) : mem_strdup("-");
}

char *state_range(double v, double low, double high)
{
    if (!isfinite(v))
        return mem_strdup("-");
    if (!isfinite(low) || !isfinite(high))
        return mem_printf("%.1f", 100 * v);
    return mem_printf("%.1f [%.1f, %.1f]", 100 * v, 100 * low, 100 * high);
}

char *state_margin(double v)
{
    return isfinite(v) ? mem_printf("%g", round(1e4 * v) / 100)
                       : mem_strdup("-");
}

char *state_copy(const char *s)
{
    return mem_strdup(s && *s ? s : "-");
}

void state_row(struct page_table *t, char **cells, size_t n)
{
    page_table_row(t, (const char *const *)cells);
    for (size_t i = 0; i < n; i++)
        free(cells[i]);
}

static char *verdict_of(const char *verdict, const char *split)
{
    const char *said = *verdict ? verdict : "-";

    return strcmp(split, "test") == 0 ? mem_strdup(said)
                                      : mem_printf("%s (%s)", said, split);
}

char *state_verdict(const struct state_task *t)
{
    if (!t->evaluation)
        return mem_strdup("not judged");
    return verdict_of(t->verdict, t->split);
}

bool state_has_beside(const struct report_state *r)
{
    for (size_t i = 0; i < r->task_count; i++)
        if (r->tasks[i].beside_count)
            return true;
    return false;
}

char *state_beside_verdict(const struct state_beside *b)
{
    return verdict_of(b->verdict, b->split);
}

const char *state_role(const struct state_task *t)
{
    return !t->evaluation ? "-" : t->champion ? "champion" : "candidate";
}

const char *state_beside_role(const struct state_beside *b)
{
    return b->in_store ? "candidate" : "not in the store";
}

void state_plain(struct buf *out, const char *s)
{
    struct slice text = slice_of(s && *s ? s : "-");

    for (size_t i = 0; i < text.n && i < 200;) {
        size_t used;
        int32_t c = utf8_decode(text.p + i, text.n - i, &used);

        if (c < 0x20 || (c >= 0x7F && c < 0xA0) ||
            (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069))
            buf_char(out, '?');
        else
            buf_add(out, text.p + i, used);
        i += used;
    }
}

static void put_moved(const struct report_state *r, const char *what,
                      const struct state_saving *s, struct buf *out)
{
    buf_printf(out, "; %zu %s: %.0f calls (%.1f %%), $%.2f of this log",
               s->tasks, what, s->calls,
               r->calls > 0 ? 100 * s->calls / r->calls : 0, s->dollars);
}

static void put_head(const struct report_state *r, struct buf *out)
{
    char when[32];

    state_amount(out, r->calls);
    buf_str(out, " calls");
    if (isfinite(r->days))
        buf_printf(out, " in %.1f days", r->days);
    buf_printf(out, ", %zu tasks", r->task_count);
    if (r->step_count)
        put_moved(r, "with a champion that passed", &r->passed, out);
    if (r->could.tasks)
        put_moved(r, "could move", &r->could, out);
    if (r->time_us)
        buf_printf(out, "; newest entry %s", clock_rfc3339(r->time_us, when));
    buf_str(out, "\n\n");
}

/* verdict is freed. */
static void put_gate_line(const char *before, const char *role,
                          const char *model, char *verdict,
                          const struct state_beside *b, struct buf *out)
{
    char *difference = state_range(b->difference, b->low, b->high);
    char *margin = state_margin(b->margin);

    buf_printf(out, "  %s%s ", before, role);
    state_plain(out, model);
    buf_printf(out, ", %s: %s points on %.0f items, margin %s\n", verdict,
               difference, b->items, margin);
    free(verdict);
    free(difference);
    free(margin);
}

static void put_task_line(const struct report_state *r,
                          const struct state_task *t, bool ascii,
                          struct buf *out)
{
    double share = r->calls > 0 ? t->calls / r->calls : 0;
    struct buf name = { 0 };

    state_plain(&name, t->name);
    buf_printf(out, "%-32s %5.1f %% ", name.data, 100 * share);
    page_bar(out, share, BAR, ascii);
    buf_char(out, '\n');
    if (t->evaluation)
        put_gate_line("", state_role(t), t->model, state_verdict(t),
                      &(struct state_beside){ .items = t->items,
                                              .difference = t->difference,
                                              .low = t->low,
                                              .high = t->high,
                                              .margin = t->margin },
                      out);
    else
        buf_printf(out, "  %s\n",
                   t->champion ? "its champion was not judged"
                               : "not judged yet");
    for (size_t i = 0; i < t->beside_count; i++) {
        const struct state_beside *b = &t->beside[i];

        put_gate_line("beside: ", state_beside_role(b), b->model,
                      state_beside_verdict(b), b, out);
    }
    buf_release(&name);
}

void report_state_text(const struct report_state *r, bool ascii,
                       struct buf *out)
{
    state_plain(out, r->title);
    buf_str(out, "\n\n");
    put_head(r, out);
    for (size_t i = 0; i < r->task_count; i++)
        put_task_line(r, &r->tasks[i], ascii, out);
    state_text_loop(r, ascii, out);
    if (r->step_count)
        buf_char(out, '\n');
    for (size_t i = 0; r->step_count && i < STATE_NOTES; i++)
        buf_printf(out, "- %s\n", notes[i]);
}

static void put_cell(struct buf *out, const char *text)
{
    buf_str(out, " ");
    report_markdown_cell(out, slice_of(text && *text ? text : "-"), 400);
    buf_str(out, " |");
}

static void put_taken(struct buf *out, char *text)
{
    put_cell(out, text);
    free(text);
}

static void put_markdown_tasks(const struct report_state *r, struct buf *out)
{
    buf_str(out, "## Tasks\n\n| task | kind | calls | share | model | items | "
                 "base | tuned | LLM | difference | margin | verdict | of | "
                 "champion |\n"
                 "|---|---|--:|--:|---|--:|--:|--:|--:|--:|--:|---|---|---|"
                 "\n");
    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *t = &r->tasks[i];

        buf_char(out, '|');
        put_cell(out, t->name);
        put_cell(out, t->kind);
        put_taken(out, state_number(t->calls, 0));
        put_taken(out, state_share(t->calls / r->calls));
        put_cell(out, t->model);
        put_taken(out, state_number(t->evaluation ? t->items : (double)NAN, 0));
        for (int c = 0; c < COLUMNS; c++)
            put_taken(out, state_range(t->column[c].present ? t->column[c].score
                                                            : (double)NAN,
                                       t->column[c].low, t->column[c].high));
        put_taken(out, t->evaluation
                           ? state_range(t->difference, t->low, t->high)
                           : mem_strdup("-"));
        put_taken(out, state_margin(t->evaluation ? t->margin : (double)NAN));
        put_taken(out, state_verdict(t));
        put_cell(out, state_role(t));
        put_cell(out, t->champion);
        buf_char(out, '\n');
    }
}

static void put_markdown_beside(const struct report_state *r, struct buf *out)
{
    if (!state_has_beside(r))
        return;
    buf_str(out, "\n## Judged beside them\n\n| task | model | of | items | "
                 "difference | margin | verdict |\n"
                 "|---|---|---|--:|--:|--:|---|\n");
    for (size_t i = 0; i < r->task_count; i++)
        for (size_t k = 0; k < r->tasks[i].beside_count; k++) {
            const struct state_beside *b = &r->tasks[i].beside[k];

            buf_char(out, '|');
            put_cell(out, r->tasks[i].name);
            put_cell(out, b->model);
            put_cell(out, state_beside_role(b));
            put_taken(out, state_number(b->items, 0));
            put_taken(out, state_range(b->difference, b->low, b->high));
            put_taken(out, state_margin(b->margin));
            put_taken(out, state_beside_verdict(b));
            buf_char(out, '\n');
        }
}

static void put_markdown_samples(const struct report_state *r, struct buf *out)
{
    buf_str(out, "\n## Answers that differ most\n\n| task | score | why | "
                 "answer | logged |\n|---|--:|---|---|---|\n");
    for (size_t i = 0; i < r->task_count; i++)
        for (size_t k = 0; k < r->tasks[i].sample_count; k++) {
            const struct state_sample *x = &r->tasks[i].samples[k];

            buf_char(out, '|');
            put_cell(out, r->tasks[i].name);
            put_taken(out, state_share(x->score));
            put_cell(out, x->outcome);
            put_cell(out, x->answer);
            put_cell(out, x->logged);
            buf_char(out, '\n');
        }
}

void report_state_markdown(const struct report_state *r, struct buf *out)
{
    buf_str(out, "# ");
    report_markdown_cell(out, slice_of(r->title), 400);
    buf_str(out, "\n\n");
    put_head(r, out);
    put_markdown_tasks(r, out);
    put_markdown_beside(r, out);
    if (r->step_count) {
        buf_printf(out,
                   "\n## Cost and quality\n\nMeasured on %.0f items; one task "
                   "after the other moves.\n\n| moved last | calls moved | "
                   "dollars for 1,000 calls | quality |\n|---|--:|--:|--:|\n",
                   r->step_items);
        for (size_t i = 0; i < r->step_count; i++) {
            buf_char(out, '|');
            put_cell(out, r->steps[i].task ? r->steps[i].task : "none yet");
            put_taken(out, state_share(r->steps[i].moved));
            put_taken(out, state_number(r->steps[i].dollars, 4));
            put_taken(out, state_share(r->steps[i].quality));
            buf_char(out, '\n');
        }
        buf_char(out, '\n');
        for (size_t i = 0; i < STATE_NOTES; i++)
            buf_printf(out, "- %s\n", notes[i]);
    }
    state_markdown_loop(r, out);
    if (r->samples)
        put_markdown_samples(r, out);
}

static void put(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
    else
        json_put_null(w, key);
}

static void put_counts(struct json_writer *w, const char *key,
                       const struct state_counts *c)
{
    json_begin_array(w, key);
    for (size_t i = 0; i < c->count; i++) {
        json_begin_object(w, NULL);
        json_put_string(w, "name", c->list[i].name);
        put(w, "calls", c->list[i].calls);
        if (c->list[i].part_count > 0) {
            put(w, "agreement", c->list[i].part);
            put(w, "compared", c->list[i].part_count);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_beside(struct json_writer *w, const struct state_task *t)
{
    json_begin_array(w, "beside");
    for (size_t i = 0; i < t->beside_count; i++) {
        const struct state_beside *b = &t->beside[i];

        json_begin_object(w, NULL);
        json_put_string(w, "model", b->model);
        json_put_bool(w, "in_store", b->in_store);
        json_put_string(w, "verdict", b->verdict);
        json_put_string(w, "split", b->split);
        put(w, "items", b->items);
        put(w, "difference", b->difference);
        put(w, "low", b->low);
        put(w, "high", b->high);
        put(w, "margin", b->margin);
        json_end_object(w);
    }
    json_end_array(w);
}

static void put_evaluation(struct json_writer *w, const struct state_task *t)
{
    static const char *const names[COLUMNS] = { "base", "tuned", "llm" };

    json_put_string(w, "model", t->model);
    json_put_string(w, "of", state_role(t));
    json_put_string(w, "verdict", t->verdict);
    json_put_string(w, "split", t->split);
    json_put_bool(w, "may_move",
                  state_could_move(t) || (t->champion && state_has_passed(t)));
    put(w, "items", t->items);
    put(w, "difference", t->difference);
    put(w, "low", t->low);
    put(w, "high", t->high);
    put(w, "margin", t->margin);
    for (int i = 0; i < COLUMNS; i++) {
        if (!t->column[i].present)
            continue;
        json_begin_object(w, names[i]);
        put(w, "score", t->column[i].score);
        put(w, "dollars_per_1000_calls", t->column[i].dollars);
        put(w, "latency_p50_ms", t->column[i].p50_ms);
        put(w, "latency_p95_ms", t->column[i].p95_ms);
        json_end_object(w);
    }
}

static void put_task(struct json_writer *w, const struct state_task *t)
{
    json_begin_object(w, NULL);
    json_put_string(w, "task", t->name);
    json_put_string(w, "kind", t->kind);
    put(w, "calls", t->calls);
    put(w, "tokens_in", t->tokens_in);
    put(w, "tokens_out", t->tokens_out);
    if (t->champion)
        json_put_string(w, "champion", t->champion);
    if (t->evaluation)
        put_evaluation(w, t);
    put_beside(w, t);
    json_end_object(w);
}

static void put_saving(struct json_writer *w, const char *key,
                       const struct state_saving *s)
{
    json_begin_object(w, key);
    put(w, "tasks", (double)s->tasks);
    put(w, "calls", s->calls);
    put(w, "dollars", s->dollars);
    json_end_object(w);
}

void report_state_json(const struct report_state *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.report/1");
    json_put_string(&w, "title", r->title);
    put(&w, "calls", r->calls);
    put(&w, "days", r->days);
    put_counts(&w, "statuses", &r->statuses);
    put_counts(&w, "dropped", &r->dropped);
    put_counts(&w, "splits", &r->splits);
    json_begin_array(&w, "tasks");
    for (size_t i = 0; i < r->task_count; i++)
        put_task(&w, &r->tasks[i]);
    json_end_array(&w);
    json_begin_array(&w, "cost_quality");
    for (size_t i = 0; i < r->step_count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "moved", r->steps[i].task ? r->steps[i].task : "");
        put(&w, "share", r->steps[i].moved);
        put(&w, "dollars_per_1000_calls", r->steps[i].dollars);
        put(&w, "quality", r->steps[i].quality);
        json_end_object(&w);
    }
    json_end_array(&w);
    put_saving(&w, "saved_if_passed_move", &r->passed);
    put_saving(&w, "saved_if_candidates_move", &r->could);
    put_saving(&w, "saved_if_undecided_move_too", &r->undecided);
    put_saving(&w, "saved_by_routing", &r->here);
    put_counts(&w, "decisions", &r->decisions);
    put_counts(&w, "decision_reasons", &r->reasons);
    state_json_loop(r, &w);
    json_end_object(&w);
    buf_char(out, '\n');
}

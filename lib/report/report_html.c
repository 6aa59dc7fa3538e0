/*
 * report_html.c - a store's report as one HTML page
 *
 * Each chart has its numbers in a table below it. Rows whose numbers are not
 * known, or stand on no items, say "-".
 */
#include "report/report_state.h"

#include "base/clock.h"
#include "base/mem.h"
#include "page/page.h"

#include <math.h>
#include <stdlib.h>

#define FLOWS_MAX 48

static const char *fate(const struct state_task *t)
{
    if (!t->evaluation)
        return t->champion ? "champion, not judged" : "not judged yet";
    if (t->champion)
        return state_has_passed(t) ? "champion that passed"
                                   : "champion that has not passed";
    if (state_could_move(t))
        return "passed: could move";
    if (state_has_passed(t))
        return "passed by a wide margin: stays";
    if (strcmp(t->verdict, "fail") == 0)
        return "failed: stays";
    return "undecided: stays";
}

static void put_moved(const struct report_state *r, const char *what,
                      const struct state_saving *s, struct buf *text)
{
    buf_printf(text, " %s ", what);
    state_amount(text, s->calls);
    buf_printf(text, " calls of this log (%.1f %%), $%.2f of it.",
               r->calls > 0 ? 100 * s->calls / r->calls : 0, s->dollars);
}

static void put_summary(const struct report_state *r, struct buf *out)
{
    struct buf text = { 0 };
    size_t judged = 0;
    char when[32];

    for (size_t i = 0; i < r->task_count; i++)
        judged += r->tasks[i].evaluation != 0;
    state_amount(&text, r->calls);
    buf_str(&text, " calls were logged");
    if (isfinite(r->days))
        buf_printf(&text, " in %.1f days", r->days);
    buf_printf(&text,
               "; %zu recurring tasks were found, %zu have been judged, %zu "
               "have a champion that passed.",
               r->task_count, judged, r->passed.tasks);
    if (r->passed.tasks)
        put_moved(r, "These champions could have answered", &r->passed, &text);
    if (r->could.tasks)
        put_moved(r, "Candidates that passed, once promoted, could answer",
                  &r->could, &text);
    if (r->time_us)
        buf_printf(&text, " The newest entry is of %s.",
                   clock_rfc3339(r->time_us, when));
    page_paragraph(out, text.data);
    buf_release(&text);
    page_paragraph(out, r->samples
                            ? "This page shows texts of logged and generated "
                              "answers: give it only to those who may read "
                              "the log."
                            : "This page holds names and numbers, no text of "
                              "a call.");
}

static double in_tasks(const struct report_state *r)
{
    double sum = 0;

    for (size_t i = 0; i < r->task_count; i++)
        sum += r->tasks[i].calls;
    return sum;
}

static size_t add_drops(const struct report_state *r, struct page_flow *f)
{
    double rest = r->calls - in_tasks(r);
    size_t n = 0;

    for (size_t i = 0; i < r->outside.count && n < 8; i++) {
        const struct state_count *c = &r->outside.list[i];

        f[n++] = (struct page_flow){ "logged", c->name, c->calls };
        rest -= c->calls;
    }
    if (rest >= 1)
        f[n++] = (struct page_flow){ "logged", "others", rest };
    return n;
}

static void put_flow(const struct report_state *r, struct buf *out)
{
    struct page_flow f[FLOWS_MAX];
    size_t n = 0;

    f[n++] = (struct page_flow){ "logged", "in tasks", in_tasks(r) };
    n += add_drops(r, f + n);
    for (size_t i = 0; i < r->task_count && i < 16; i++) {
        const struct state_task *t = &r->tasks[i];

        f[n++] = (struct page_flow){ "in tasks", t->name, t->calls };
        f[n++] = (struct page_flow){ t->name, fate(t), t->calls };
    }
    page_svg_flow(out, "Calls through the steps", f, n);
}

static void put_counts(struct buf *out, const char *caption,
                       const struct state_counts *c, double all)
{
    static const char *const heads[] = { "what", "calls", "share" };
    struct page_table t;

    if (!c->count)
        return;
    page_table_begin(&t, out, caption, "lrr", heads);
    for (size_t i = 0; i < c->count; i++) {
        char *cells[] = { state_copy(c->list[i].name),
                          state_number(c->list[i].calls, 0),
                          state_share(c->list[i].calls / all) };

        state_row(&t, cells, 3);
    }
    page_table_end(&t);
}

static void put_steps(const struct report_state *r, struct buf *out)
{
    page_section(out, "From calls to examples");
    put_flow(r, out);
    put_counts(out, "How the calls ended", &r->statuses, r->calls);
    put_counts(out, "What was dropped, by reason", &r->dropped, r->calls);
    put_counts(out, "What was kept, by split", &r->splits, r->calls);
    page_section_end(out);
}

static void put_tasks(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "task",    "kind",      "calls",
                                         "share",   "tokens in", "tokens out",
                                         "champion" };
    const struct page_axes axes = { .title = "Calls of each task" };
    const char **names = mem_array(r->task_count + 1, sizeof(*names));
    double *calls = mem_array(r->task_count + 1, sizeof(*calls));
    struct page_table t;

    page_section(out, "Tasks");
    for (size_t i = 0; i < r->task_count; i++) {
        names[i] = r->tasks[i].name;
        calls[i] = r->tasks[i].calls;
    }
    page_svg_bars(out, &axes, names, calls, r->task_count);
    page_table_begin(&t, out, "Calls include repeats of the same request",
                     "llrrrrl", heads);
    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *k = &r->tasks[i];
        struct buf in = { 0 }, put = { 0 };

        state_amount(&in, k->tokens_in);
        state_amount(&put, k->tokens_out);
        char *cells[] = {
            state_copy(k->name),       state_copy(k->kind),
            state_number(k->calls, 0), state_share(k->calls / r->calls),
            buf_take(&in, NULL),       buf_take(&put, NULL),
            state_copy(k->champion)
        };
        state_row(&t, cells, 7);
    }
    page_table_end(&t);
    page_section_end(out);
    free(names);
    free(calls);
}

static void put_curves(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "model", "first", "best", "last",
                                         "tokens" };
    const struct page_axes axes = { .title = "Validation loss while training",
                                    .x = "tokens trained on",
                                    .y = "loss" };
    struct page_series *s = mem_zalloc((r->curve_count + 1) * sizeof(*s));
    struct page_table t;

    for (size_t i = 0; i < r->curve_count; i++)
        s[i] = (struct page_series){ .name = r->curves[i].name,
                                     .x = r->curves[i].x,
                                     .y = r->curves[i].y,
                                     .n = r->curves[i].n };
    page_section(out, "Training");
    page_svg_lines(out, &axes, s, r->curve_count);
    page_table_begin(&t, out, "Validation loss of each task's newest model",
                     "lrrrr", heads);
    for (size_t i = 0; i < r->curve_count; i++) {
        const struct state_curve *c = &r->curves[i];
        double best = (double)INFINITY;

        for (size_t k = 0; k < c->n; k++)
            best = fmin(best, c->y[k]);
        char *cells[] = { state_copy(c->name), state_number(c->y[0], 3),
                          state_number(best, 3),
                          state_number(c->y[c->n - 1], 3),
                          state_number(c->x[c->n - 1], 0) };
        state_row(&t, cells, 5);
    }
    page_table_end(&t);
    page_section_end(out);
    free(s);
}

/* The gates' chart: differences with their intervals, in points. */
static void put_gate_chart(const struct report_state *r, struct buf *out)
{
    size_t max = r->task_count + 1, n = 0;
    const char **names = mem_array(max, sizeof(*names));
    char **marks = mem_array(max, sizeof(*marks));
    double *v = mem_array(4 * max, sizeof(*v));
    const struct page_axes axes = {
        .title = "Small model less LLM, with intervals",
        .x = "difference in points; a broken line is the row's margin",
    };

    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *t = &r->tasks[i];

        if (!t->evaluation)
            continue;
        names[n] = t->name;
        marks[n] = state_verdict(t);
        v[n] = 100 * t->difference;
        v[max + n] = 100 * t->low;
        v[2 * max + n] = 100 * t->high;
        v[3 * max + n] = -100 * t->margin;
        n++;
    }
    const struct page_series s = {
        .y = v, .low = v + max, .high = v + 2 * max, .n = n
    };
    page_svg_intervals(out, &axes, names, (const char *const *)marks, &s,
                       v + 3 * max);
    for (size_t i = 0; i < n; i++)
        free(marks[i]);
    free(names);
    free(marks);
    free(v);
}

static char *score_cell(const struct state_column *c)
{
    return c->present ? state_range(c->score, c->low, c->high)
                      : mem_strdup("-");
}

static char *why_cell(const struct state_task *t)
{
    const char *why = t->why ? t->why : "-";

    if (isfinite(t->need) && t->need < SCORE_MAX_NEED)
        return mem_printf("%s; about %.0f items would decide", why, t->need);
    return mem_strdup(why);
}

static void put_scores(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "task",    "model", "of",
                                         "verdict", "items", "difference",
                                         "margin",  "tuned", "LLM",
                                         "base" };
    struct page_table t;

    page_table_begin(&t, out,
                     "Scores in percent, one-sided 95 % limits; paired, by "
                     "conversation",
                     "llllrrrrrr", heads);
    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *k = &r->tasks[i];

        if (!k->evaluation)
            continue;
        char *cells[] = { state_copy(k->name),
                          state_copy(k->model),
                          state_copy(state_role(k)),
                          state_verdict(k),
                          state_number(k->items, 0),
                          state_range(k->difference, k->low, k->high),
                          state_margin(k->margin),
                          score_cell(&k->column[COLUMN_TUNED]),
                          score_cell(&k->column[COLUMN_LLM]),
                          score_cell(&k->column[COLUMN_BASE]) };
        state_row(&t, cells, 10);
    }
    page_table_end(&t);
}

static void put_beside(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "task",    "model", "of",
                                         "verdict", "items", "difference",
                                         "margin" };
    struct page_table t;

    if (!state_has_beside(r))
        return;
    page_table_begin(&t, out,
                     "Judged beside them; none of these changes what a task "
                     "saves",
                     "llllrrr", heads);
    for (size_t i = 0; i < r->task_count; i++)
        for (size_t k = 0; k < r->tasks[i].beside_count; k++) {
            const struct state_beside *b = &r->tasks[i].beside[k];
            char *cells[] = { state_copy(r->tasks[i].name),
                              state_copy(b->model),
                              state_copy(state_beside_role(b)),
                              state_beside_verdict(b),
                              state_number(b->items, 0),
                              state_range(b->difference, b->low, b->high),
                              state_margin(b->margin) };

            state_row(&t, cells, 7);
        }
    page_table_end(&t);
}

static char *condition_cell(const struct state_condition *c)
{
    bool latency = strcmp(c->name, "latency") == 0;
    double scale = latency ? 1 : 100;
    struct buf text = { 0 };

    report_number(&text, scale * c->value, latency ? 0 : 1);
    if (isfinite(c->low) || isfinite(c->high)) {
        buf_str(&text, " [");
        report_number(&text, scale * c->low, latency ? 0 : 1);
        buf_str(&text, ", ");
        report_number(&text, scale * c->high, latency ? 0 : 1);
        buf_char(&text, ']');
    }
    buf_str(&text, latency ? " ms" : " points");
    return buf_take(&text, NULL);
}

static void put_reasons(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "task", "of", "verdict", "measured",
                                         "why" };
    struct page_table t;

    page_table_begin(&t, out,
                     "Why: the primary metric, then what else a gate "
                     "asks for",
                     "lllrl", heads);
    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *k = &r->tasks[i];

        if (!k->evaluation)
            continue;
        char *cells[] = { state_copy(k->name), state_copy(k->metric),
                          state_verdict(k),
                          state_range(k->difference, k->low, k->high),
                          why_cell(k) };
        state_row(&t, cells, 5);
        for (size_t c = 0; c < k->condition_count; c++) {
            const struct state_condition *x = &k->condition[c];
            char *more[] = { state_copy(k->name), state_copy(x->name),
                             state_copy(x->verdict), condition_cell(x),
                             state_copy(x->why) };

            state_row(&t, more, 5);
        }
    }
    page_table_end(&t);
}

static void put_gates(const struct report_state *r, struct buf *out)
{
    page_section(out, "Gates");
    put_gate_chart(r, out);
    put_scores(r, out);
    put_beside(r, out);
    put_reasons(r, out);
    page_section_end(out);
}

static void put_moves(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "moved last", "calls moved",
                                         "dollars for 1,000 calls", "quality" };
    struct page_axes axes = { .title = "Cost and quality, task after task",
                              .x = "dollars for 1,000 calls",
                              .y = "quality",
                              .percent = true };
    double *x = mem_array(r->step_count + 1, sizeof(*x));
    double *y = mem_array(r->step_count + 1, sizeof(*y));
    struct page_table t;

    page_section(out, "Cost and quality");
    page_paragraph(out, "All judged calls go to the LLM on the right; then one "
                        "task after the other moves, the best difference "
                        "first. Quality is the mean score, weighted by calls.");
    for (size_t i = 0; i < r->step_count; i++) {
        x[i] = r->steps[i].dollars;
        y[i] = r->steps[i].quality;
    }
    const struct page_series s = {
        .name = "tasks moved one by one", .x = x, .y = y, .n = r->step_count
    };
    page_svg_lines(out, &axes, &s, 1);
    char *caption = mem_printf("Measured on %.0f items", r->step_items);
    page_table_begin(&t, out, caption, "lrrr", heads);
    free(caption);
    for (size_t i = 0; i < r->step_count; i++) {
        const struct state_step *k = &r->steps[i];
        char *cells[] = { state_copy(k->task ? k->task : "none yet"),
                          state_share(k->moved), state_number(k->dollars, 4),
                          state_share(k->quality) };

        state_row(&t, cells, 4);
    }
    page_table_end(&t);
    page_section_end(out);
    free(x);
    free(y);
}

static void put_saving(struct page_table *t, const struct report_state *r,
                       const char *what, const struct state_saving *s)
{
    double months = r->days / 30.44;
    bool is_month = isfinite(r->days) && r->days >= 1 && s != &r->here;
    char *cells[] = {
        state_copy(what),
        state_number((double)s->tasks, 0),
        state_number(s->calls, 0),
        s == &r->here ? mem_strdup("-") : state_share(s->calls / r->calls),
        state_number(s->dollars, 2),
        state_number(is_month ? s->dollars / months : (double)NAN, 2)
    };

    state_row(t, cells, 6);
}

static struct state_saving saving_sum(const struct state_saving *a,
                                      const struct state_saving *b)
{
    return (struct state_saving){ a->calls + b->calls, a->dollars + b->dollars,
                                  a->tasks + b->tasks };
}

static void put_savings(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "what moves", "tasks",
                                         "calls",      "share",
                                         "dollars",    "dollars a month" };
    const struct state_saving *p = &r->passed, *c = &r->could;
    const struct state_saving *u = &r->undecided;
    const struct state_saving both = saving_sum(p, c);
    const struct state_saving all = saving_sum(&both, u);
    struct page_table t;

    page_section(out, "Savings");
    page_table_begin(
        &t, out,
        "What the calls of this log would have saved, and what routing saved",
        "lrrrrr", heads);
    put_saving(&t, r, "tasks whose champion passed", p);
    if (c->tasks)
        put_saving(&t, r, "and those that could: a candidate passed", &both);
    if (u->tasks)
        put_saving(&t, r, "and those undecided, if they passed", &all);
    if (r->here.tasks)
        put_saving(&t, r, "routed calls that were answered here", &r->here);
    page_table_end(&t);
    buf_str(out, "<ul>\n");
    for (size_t i = 0; i < STATE_NOTES; i++) {
        buf_str(out, "<li>");
        page_text(out, slice_of(state_note(i)));
        buf_str(out, "</li>\n");
    }
    buf_str(out, "</ul>\n");
    page_section_end(out);
}

static void put_samples(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "score", "why", "answer", "logged" };
    struct page_table t;

    page_section(out, "Answers that differ most");
    for (size_t i = 0; i < r->task_count; i++) {
        const struct state_task *k = &r->tasks[i];

        if (!k->sample_count)
            continue;
        page_table_begin(&t, out, k->name, "rlll", heads);
        for (size_t j = 0; j < k->sample_count; j++) {
            const struct state_sample *x = &k->samples[j];
            char *cells[] = { state_share(x->score), state_copy(x->outcome),
                              state_copy(x->answer), state_copy(x->logged) };

            state_row(&t, cells, 4);
        }
        page_table_end(&t);
    }
    page_section_end(out);
}

static bool has_gates(const struct report_state *r)
{
    for (size_t i = 0; i < r->task_count; i++)
        if (r->tasks[i].evaluation || r->tasks[i].beside_count)
            return true;
    return false;
}

void report_state_html(const struct report_state *r, struct buf *out)
{
    page_begin(out, r->title);
    put_summary(r, out);
    if (r->calls > 0)
        put_steps(r, out);
    if (r->task_count)
        put_tasks(r, out);
    if (r->curve_count)
        put_curves(r, out);
    if (has_gates(r))
        put_gates(r, out);
    if (r->step_count) {
        put_moves(r, out);
        put_savings(r, out);
    }
    if (r->router_count)
        state_html_routers(r, out);
    if (r->routed_count)
        state_html_routing(r, out);
    if (r->events.count || r->retrained.count)
        state_html_models(r, out);
    if (r->samples)
        put_samples(r, out);
    page_end(out);
}

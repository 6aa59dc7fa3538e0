/*
 * estimate_print.c - an estimate as text, Markdown and JSON
 *
 * The lines under the table are the same in both texts. What is not known is
 * left out, or null; nothing is shown without what it assumes.
 */
#include "estimate_print.h"

#include "cli/cli.h"
#include "report/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void put(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
    else
        json_put_null(w, key);
}

static void put_range(struct json_writer *w, const char *key, double low,
                      double high)
{
    json_begin_array(w, key);
    put(w, NULL, low);
    put(w, NULL, high);
    json_end_array(w);
}

static void put_share(struct json_writer *w, const char *key,
                      struct score_interval i)
{
    put_range(w, key, i.low, i.high);
}

static void put_task(struct json_writer *w, const struct estimate_task *t)
{
    json_begin_object(w, NULL);
    json_put_string(w, "task", t->name);
    json_put_string(w, "kind", t->kind);
    put(w, "calls", round(t->calls));
    put(w, "inputs", round(t->inputs));
    put(w, "tokens_in", round(t->tokens_in));
    put(w, "tokens_out", round(t->tokens_out));
    put(w, "dollars", t->dollars);
    put(w, "repetitive", t->repetitive);
    put(w, "same", t->same);
    put_share(w, "movable", t->movable);
    json_put_string(w, "why", t->why);
    json_end_object(w);
}

static void put_figures(struct json_writer *w, const struct estimate *e)
{
    put_share(w, "share_calls", e->share_calls);
    put_share(w, "share_tokens", e->share_tokens);
    put_share(w, "share_dollars", e->share_dollars);
    put(w, "dollars_month", e->dollars_month);
    put(w, "machine_dollars_month", e->machine_month);
    put_share(w, "saved_dollars_month", e->saved_month);
    put_range(w, "training_dollars", e->training_dollars[0],
              e->training_dollars[1]);
    put_range(w, "break_even_days", e->break_even_days[0],
              e->break_even_days[1]);
    put(w, "tokens_per_second_mean", e->tokens_s_mean);
    put(w, "tokens_per_second_busiest_hour", e->tokens_s_needed);
    if (e->model) {
        json_put_string(w, "model", e->model);
        put(w, "run_bytes", e->run_bytes);
        put(w, "train_bytes", e->train_bytes);
        put(w, "context", e->context);
    }
}

void estimate_print_json(const struct estimate *e, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.estimate/1");
    json_put_int(&w, "calls", (int64_t)e->calls);
    json_put_int(&w, "failed", (int64_t)e->failed);
    json_put_int(&w, "rejected_lines", (int64_t)e->rejected);
    json_put_int(&w, "calls_without_price", (int64_t)e->unpriced);
    json_put_int(&w, "calls_with_guessed_tokens", (int64_t)e->guessed);
    put(&w, "tokens_in", e->tokens_in);
    put(&w, "tokens_out", e->tokens_out);
    put(&w, "dollars", e->dollars);
    put(&w, "days", e->days);
    put(&w, "sampled", e->sampled);
    json_begin_array(&w, "tasks");
    for (size_t i = 0; i < e->count; i++)
        put_task(&w, &e->tasks[i]);
    json_end_array(&w);
    put(&w, "share_in_no_task", e->untasked);
    put_figures(&w, e);
    json_begin_array(&w, "assumptions");
    for (size_t i = 0; i < e->assumption_count; i++)
        json_put_string(&w, NULL, e->assumptions[i]);
    json_end_array(&w);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void put_amount(struct buf *out, double v)
{
    if (v >= 1e9)
        buf_printf(out, "%.1f G", v / 1e9);
    else if (v >= 1e6)
        buf_printf(out, "%.1f M", v / 1e6);
    else if (v >= 1e4)
        buf_printf(out, "%.0f k", v / 1e3);
    else
        buf_printf(out, "%.0f", v);
}

static void put_dollars(struct buf *out, double v)
{
    buf_printf(out, "%s$%.2f", v < 0 ? "-" : "", fabs(v));
}

static void put_percents(struct buf *out, struct score_interval i)
{
    buf_printf(out, "%.0f to %.0f %%", 100 * i.low, 100 * i.high);
}

static void add_log(const struct estimate *e, const char *path, struct buf *out)
{
    buf_printf(out, "%s: %" PRIu64 " calls", path, e->calls);
    if (e->failed)
        buf_printf(out, " (%" PRIu64 " did not complete)", e->failed);
    if (isfinite(e->days))
        buf_printf(out, " in %.1f days", e->days);
    buf_str(out, ", ");
    put_amount(out, e->tokens_in);
    buf_str(out, " tokens in, ");
    put_amount(out, e->tokens_out);
    buf_str(out, " out");
    if (e->dollars > 0)
        buf_printf(out, ", $%.2f", e->dollars);
    buf_str(out, "\n");
}

static void add_break_even(const struct estimate *e, struct buf *out)
{
    double soon = e->break_even_days[0], late = e->break_even_days[1];

    if (isnan(soon))
        return;
    buf_str(out, "break-even: ");
    if (isinf(soon))
        buf_str(out, "never at this volume: the machine costs more than "
                     "what could move");
    else if (isinf(late))
        buf_printf(out, "after %.1f days at best, never at worst", soon);
    else
        buf_printf(out, "after %.1f to %.1f days", soon, late);
    buf_printf(out, " (training: $%.2f to $%.2f)\n", e->training_dollars[0],
               e->training_dollars[1]);
}

static void add_figures(const struct estimate *e, struct buf *out)
{
    buf_str(out, "could move: ");
    put_percents(out, e->share_calls);
    buf_str(out, " of the calls, ");
    put_percents(out, e->share_tokens);
    buf_str(out, " of the tokens");
    if (e->dollars > 0) {
        buf_str(out, ", ");
        put_percents(out, e->share_dollars);
        buf_str(out, " of the dollars");
    }
    buf_char(out, '\n');
    if (e->dollars > 0)
        buf_printf(out, "in this log that is $%.2f to $%.2f of $%.2f\n",
                   e->share_dollars.low * e->dollars,
                   e->share_dollars.high * e->dollars, e->dollars);
    if (isfinite(e->dollars_month)) {
        buf_printf(out, "a month: $%.2f today; the machine $%.2f; saved ",
                   e->dollars_month, e->machine_month);
        put_dollars(out, e->saved_month.low);
        buf_str(out, " to ");
        put_dollars(out, e->saved_month.high);
        buf_char(out, '\n');
    }
    add_break_even(e, out);
    if (e->model)
        buf_printf(out,
                   "hardware: %.1f GB to run and %.1f GB to train a model "
                   "like %s with %.0f tokens of context\n",
                   e->run_bytes / 1e9, e->train_bytes / 1e9, e->model,
                   e->context);
    if (isfinite(e->tokens_s_needed) && e->tokens_s_needed > 0)
        buf_printf(out,
                   "speed: up to %.3g tokens a second in the busiest hour, "
                   "%.3g on average, prompts included\n",
                   e->tokens_s_needed, e->tokens_s_mean);
}

static void format_row(const struct estimate *e, const struct estimate_task *t,
                       char cell[7][32])
{
    double done = (double)(e->calls - e->failed);
    struct buf b = { 0 };

    buf_printf(&b, "%.0f", t->calls);
    snprintf(cell[0], 32, "%s", b.data);
    snprintf(cell[1], 32, "%.1f %%", done > 0 ? 100 * t->calls / done : 0);
    buf_reset(&b);
    put_amount(&b, t->tokens_in + t->tokens_out);
    snprintf(cell[2], 32, "%s", b.data);
    snprintf(cell[3], 32, "%.2f", t->dollars);
    snprintf(cell[4], 32, "%.0f %%", 100 * t->repetitive);
    if (isnan(t->same))
        snprintf(cell[5], 32, "-");
    else
        snprintf(cell[5], 32, "%.0f %%", 100 * t->same);
    buf_reset(&b);
    put_percents(&b, t->movable);
    snprintf(cell[6], 32, "%s", b.data);
    buf_release(&b);
}

void estimate_print_text(const struct estimate *e, const char *path,
                         struct buf *out)
{
    struct cli_table *t =
        cli_table_new("llrrrrrrrl", "task", "kind", "calls", "share", "tokens",
                      "dollars", "repeated", "same", "could move", "why", NULL);

    add_log(e, path, out);
    buf_char(out, '\n');
    for (size_t i = 0; i < e->count; i++) {
        const struct estimate_task *k = &e->tasks[i];
        char c[7][32];

        format_row(e, k, c);
        cli_table_row(t, k->name, k->kind, c[0], c[1], c[2], c[3], c[4], c[5],
                      c[6], k->why, NULL);
    }
    cli_table_print(t, out);
    cli_table_free(t);
    buf_printf(out, "in no task: %.1f %% of the calls\n\n", 100 * e->untasked);
    add_figures(e, out);
    buf_str(out, "\nThis assumes:\n");
    for (size_t i = 0; i < e->assumption_count; i++)
        buf_printf(out, "- %s\n", e->assumptions[i]);
}

static void add_cells(struct buf *out, struct slice text)
{
    report_markdown_cell(out, text, 4096);
}

/* The lines are the text's own, each escaped, as a list. */
static void add_lines(struct buf *out, const struct buf *text)
{
    struct slice rest = buf_slice(text);

    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;

        buf_str(out, "- ");
        add_cells(out, (struct slice){ rest.p, n });
        buf_char(out, '\n');
        n += end ? 1 : 0;
        rest = (struct slice){ rest.p + n, rest.n - n };
    }
}

void estimate_print_markdown(const struct estimate *e, const char *path,
                             struct buf *out)
{
    struct buf text = { 0 };

    buf_str(out, "# What could move to small models\n\n");
    add_log(e, path, &text);
    add_figures(e, &text);
    add_lines(out, &text);
    buf_str(out, "\n| task | kind | calls | share | tokens | dollars | "
                 "repeated | same | could move | why |\n|---|---|--:|--:|--:"
                 "|--:|--:|--:|--:|---|\n");
    for (size_t i = 0; i < e->count; i++) {
        const struct estimate_task *k = &e->tasks[i];
        char c[7][32];

        format_row(e, k, c);
        buf_str(out, "| ");
        add_cells(out, slice_of(k->name));
        buf_printf(out, " | %s |", k->kind);
        for (int j = 0; j < 7; j++)
            buf_printf(out, " %s |", c[j]);
        buf_printf(out, " %s |\n", k->why);
    }
    buf_printf(out, "\nIn no task: %.1f %% of the calls.\n\n## Assumptions\n\n",
               100 * e->untasked);
    for (size_t i = 0; i < e->assumption_count; i++) {
        buf_str(out, "- ");
        add_cells(out, slice_of(e->assumptions[i]));
        buf_char(out, '\n');
    }
    buf_release(&text);
}

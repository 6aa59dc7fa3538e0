/*
 * report_loop_text.c - what happened after the gates, for a terminal, as
 * Markdown and as JSON
 */
#include "report/report_state.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define BAR 24

void state_text_loop(const struct report_state *r, bool ascii, struct buf *out)
{
    for (size_t i = 0; i < r->routed_count; i++) {
        const struct state_routed *k = &r->routed[i];
        struct buf name = { 0 };

        state_plain(&name, k->task);
        buf_printf(out, "%s%-32s %5.1f %% ",
                   i ? "" : "\nanswered here, of routed calls:\n", name.data,
                   100 * k->slm / k->calls);
        page_bar(out, k->slm / k->calls, BAR, ascii);
        buf_printf(out, "\n  %.0f calls", k->calls);
        if (k->escalated > 0)
            buf_printf(out, ", %.0f escalated", k->escalated);
        if (k->compared > 0)
            buf_printf(out, ", agreement %.1f %% of %.0f", 100 * k->agreement,
                       k->compared);
        buf_char(out, '\n');
        buf_release(&name);
    }
    for (size_t i = 0; i < r->back.count; i++) {
        buf_str(out, i ? "  " : "\nback with the LLM:\n  ");
        state_plain(out, r->back.list[i].text[1]);
        buf_str(out, ": ");
        state_plain(out, r->back.list[i].text[2]);
        buf_printf(out, " (%s)\n", r->back.list[i].text[0]);
    }
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

static void put_markdown_routers(const struct report_state *r, struct buf *out)
{
    buf_str(out,
            "\n## What the router could share out\n\n| task | items | kept "
            "| quality | LLM | AIQ | CPT 50 % | CPT 80 % |\n|---|--:|--:|"
            "--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->router_count; i++) {
        const struct state_router *c = &r->routers[i];

        buf_char(out, '|');
        put_cell(out, c->task);
        put_taken(out, state_number(c->items, 0));
        put_taken(out, state_share(c->share));
        put_taken(out, state_share(c->quality));
        put_taken(out, state_share(c->llm_quality));
        put_taken(out, state_number(c->aiq, 3));
        put_taken(out, state_share(c->cpt50));
        put_taken(out, state_share(c->cpt80));
        buf_char(out, '\n');
    }
}

static void put_markdown_routed(const struct report_state *r, struct buf *out)
{
    buf_str(out, "\n## Routed calls\n\n| task | calls | here | to the LLM | "
                 "escalated | shadow | errors | agreement | compared |\n"
                 "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < r->routed_count; i++) {
        const struct state_routed *k = &r->routed[i];

        buf_char(out, '|');
        put_cell(out, k->task);
        put_taken(out, state_number(k->calls, 0));
        put_taken(out, state_share(k->slm / k->calls));
        put_taken(out, state_number(k->llm, 0));
        put_taken(out, state_number(k->escalated, 0));
        put_taken(out, state_number(k->shadow, 0));
        put_taken(out, state_number(k->errors, 0));
        put_taken(out,
                  state_share(k->compared > 0 ? k->agreement : (double)NAN));
        put_taken(out, state_number(k->compared, 0));
        buf_char(out, '\n');
    }
}

static void put_markdown_lines(const struct state_lines *l, size_t columns,
                               const char *head, struct buf *out)
{
    if (!l->count)
        return;
    buf_printf(out, "\n## %s |\n|", head);
    for (size_t i = 0; i < columns; i++)
        buf_str(out, "---|");
    buf_char(out, '\n');
    for (size_t i = 0; i < l->count; i++) {
        buf_char(out, '|');
        for (size_t k = 0; k < columns; k++)
            put_cell(out, l->list[i].text[k]);
        buf_char(out, '\n');
    }
}

void state_markdown_loop(const struct report_state *r, struct buf *out)
{
    if (r->router_count)
        put_markdown_routers(r, out);
    if (r->routed_count)
        put_markdown_routed(r, out);
    put_markdown_lines(&r->back, 3,
                       "Back with the LLM\n\n| since (UTC) | task | why", out);
    put_markdown_lines(&r->events, STATE_LINE,
                       "Models over time\n\n| time (UTC) | what | task | model "
                       "| before | why",
                       out);
    put_markdown_lines(&r->retrained, STATE_LINE,
                       "Runs of slmctl retrain\n\n| began (UTC) | task | due "
                       "for | outcome | model | why",
                       out);
}

static void put(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
    else
        json_put_null(w, key);
}

static void json_routers(const struct report_state *r, struct json_writer *w)
{
    json_begin_array(w, "calibrations");
    for (size_t i = 0; i < r->router_count; i++) {
        const struct state_router *c = &r->routers[i];

        json_begin_object(w, NULL);
        json_put_string(w, "task", c->task);
        json_put_string(w, "model", c->model);
        json_put_string(w, "costs",
                        c->in_dollars ? "dollars_per_1000_calls" : "llm_share");
        put(w, "items", c->items);
        put(w, "share", c->share);
        put(w, "quality", c->quality);
        put(w, "llm_quality", c->llm_quality);
        put(w, "cost", c->cost);
        put(w, "llm_cost", c->llm_cost);
        put(w, "apgr", c->apgr);
        put(w, "aiq", c->aiq);
        put(w, "cpt50", c->cpt50);
        put(w, "cpt80", c->cpt80);
        put(w, "ece_before", c->ece_before);
        put(w, "ece_after", c->ece_after);
        json_begin_array(w, "curve");
        for (size_t k = 0; k < c->n; k++) {
            json_begin_object(w, NULL);
            put(w, "cost", c->x[k]);
            put(w, "quality", c->y[k]);
            json_end_object(w);
        }
        json_end_array(w);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_routed(const struct report_state *r, struct json_writer *w)
{
    json_begin_array(w, "routed");
    for (size_t i = 0; i < r->routed_count; i++) {
        const struct state_routed *k = &r->routed[i];

        json_begin_object(w, NULL);
        json_put_string(w, "task", k->task);
        put(w, "calls", k->calls);
        put(w, "slm", k->slm);
        put(w, "llm", k->llm);
        put(w, "escalated", k->escalated);
        put(w, "shadow", k->shadow);
        put(w, "forced", k->forced);
        put(w, "errors", k->errors);
        put(w, "agreement", k->agreement);
        put(w, "compared", k->compared);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_lines(const struct state_lines *l, const char *key,
                       const char *const *names, struct json_writer *w)
{
    json_begin_array(w, key);
    for (size_t i = 0; i < l->count; i++) {
        json_begin_object(w, NULL);
        for (size_t k = 0; names[k]; k++)
            json_put_string(w, names[k], l->list[i].text[k]);
        json_end_object(w);
    }
    json_end_array(w);
}

void state_json_loop(const struct report_state *r, struct json_writer *w)
{
    static const char *const events[] = { "time",   "kind",   "task", "model",
                                          "before", "reason", NULL };
    static const char *const back[] = { "since", "task", "reason", NULL };
    static const char *const runs[] = { "began", "task", "due", "outcome",
                                        "model", "why",  NULL };

    json_routers(r, w);
    json_routed(r, w);
    put(w, "slm_p50_ms", r->slm_p50_ms);
    put(w, "slm_p95_ms", r->slm_p95_ms);
    put(w, "llm_p50_ms", r->llm_p50_ms);
    put(w, "llm_p95_ms", r->llm_p95_ms);
    put(w, "decide_p50_us", r->decide_p50_us);
    json_lines(&r->back, "stepped_back", back, w);
    json_lines(&r->events, "events", events, w);
    json_lines(&r->retrained, "retrained", runs, w);
}

/*
 * report_loop_html.c - the page's sections of what happened after the gates
 */
#include "report/report_state.h"

#include "base/mem.h"
#include "page/page.h"

#include <math.h>
#include <stdlib.h>

#define CHARTS 12 /* of calibrations; further ones stand in the table alone */

static void put_router_chart(const struct state_router *c, struct buf *out)
{
    char *title = mem_printf("%s: cost and quality by threshold", c->task);
    const double ends_x[] = { c->n ? c->x[0] : (double)NAN,
                              c->n ? c->x[c->n - 1] : (double)NAN };
    const double ends_y[] = { c->n ? c->y[0] : (double)NAN,
                              c->n ? c->y[c->n - 1] : (double)NAN };
    const struct page_axes axes = {
        .title = title,
        .x = c->in_dollars ? "dollars for 1,000 calls"
                           : "share of calls that go to the LLM",
        .y = "quality",
        .percent = true,
    };
    const struct page_series s[] = {
        { .name = "the least likely right go to the LLM",
          .x = c->x,
          .y = c->y,
          .n = c->n },
        { .name = "calls drawn at random", .x = ends_x, .y = ends_y, .n = 2 },
        { .name = "the threshold that was chosen",
          .x = &c->cost,
          .y = &c->quality,
          .n = 1 },
    };

    if (c->n > 1) {
        page_heading(out, c->task);
        page_svg_lines(out, &axes, s, 3);
    }
    free(title);
}

/* Two that belong together: "66.5 / 68.9". */
static char *pair(double a, double b, double scale, int decimals)
{
    if (!isfinite(a) || !isfinite(b))
        return mem_strdup("-");
    return mem_printf("%.*f / %.*f", decimals, scale * a, decimals, scale * b);
}

static void put_router_table(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = {
        "task",      "items", "kept",          "quality / LLM's, %",
        "$ / LLM's", "AIQ",   "CPT 50 / 80 %", "error of P",
    };
    struct page_table t;

    page_table_begin(
        &t, out,
        "At the chosen thresholds, on validation, each call judged "
        "by what was learnt from others; dollars for 1,000 calls",
        "lrrrrrrr", heads);
    for (size_t i = 0; i < r->router_count; i++) {
        const struct state_router *c = &r->routers[i];
        double dollars = c->in_dollars ? c->cost : (double)NAN;
        char *cells[] = { state_copy(c->task),
                          state_number(c->items, 0),
                          state_share(c->share),
                          pair(c->quality, c->llm_quality, 100, 1),
                          pair(dollars, c->llm_cost, 1, 4),
                          state_number(c->aiq, 3),
                          pair(c->cpt50, c->cpt80, 100, 1),
                          pair(c->ece_before, c->ece_after, 1, 3) };

        state_row(&t, cells, 8);
    }
    page_table_end(&t);
}

void state_html_routers(const struct report_state *r, struct buf *out)
{
    page_section(out, "What the router could share out");
    page_paragraph(
        out,
        "Each curve runs from all calls answered by the small model to all by "
        "the LLM, as the probability of error that is let through falls. AIQ "
        "is the mean quality over that range of costs; CPT is the share of "
        "calls that must go to the LLM for 50 or 80 % of its lead. The error "
        "of P is the expected calibration error of the probabilities, before "
        "and after they were learnt.");
    for (size_t i = 0; i < r->router_count && i < CHARTS; i++)
        put_router_chart(&r->routers[i], out);
    put_router_table(r, out);
    page_section_end(out);
}

/* "93.1 % of 120" */
static char *agreement_cell(double mean, double of)
{
    return of > 0 ? mem_printf("%.1f %% of %.0f", 100 * mean, of)
                  : mem_strdup("-");
}

static void put_routed_table(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = {
        "task",   "calls",  "here",   "to the LLM", "escalated",
        "shadow", "forced", "errors", "agreement",
    };
    struct page_table t;

    page_table_begin(&t, out,
                     "Routed calls of each task; here: answered by a small "
                     "model",
                     "lrrrrrrrr", heads);
    for (size_t i = 0; i < r->routed_count; i++) {
        const struct state_routed *k = &r->routed[i];
        char *cells[] = { state_copy(k->task),
                          state_number(k->calls, 0),
                          state_share(k->slm / k->calls),
                          state_number(k->llm, 0),
                          state_number(k->escalated, 0),
                          state_number(k->shadow, 0),
                          state_number(k->forced, 0),
                          state_number(k->errors, 0),
                          agreement_cell(k->agreement, k->compared) };

        state_row(&t, cells, 9);
    }
    page_table_end(&t);
}

static void put_reasons(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "decision and reason", "calls",
                                         "agreement" };
    struct page_table t;

    page_table_begin(&t, out, "By reason", "lrr", heads);
    for (size_t i = 0; i < r->reasons.count; i++) {
        const struct state_count *k = &r->reasons.list[i];
        char *cells[] = { state_copy(k->name), state_number(k->calls, 0),
                          agreement_cell(k->part, k->part_count) };

        state_row(&t, cells, 3);
    }
    page_table_end(&t);
}

static void put_times(const struct report_state *r, struct buf *out)
{
    struct buf text = { 0 };

    if (isfinite(r->slm_p50_ms))
        buf_printf(&text,
                   "Half of the answers made here took at most %.0f ms, 95 of "
                   "100 at most %.0f ms. ",
                   r->slm_p50_ms, r->slm_p95_ms);
    if (isfinite(r->llm_p50_ms))
        buf_printf(&text, "Of the LLM: %.0f and %.0f ms. ", r->llm_p50_ms,
                   r->llm_p95_ms);
    if (isfinite(r->decide_p50_us))
        buf_printf(&text, "Half of the decisions took at most %.0f us.",
                   r->decide_p50_us);
    if (text.len)
        page_paragraph(out, text.data);
    buf_release(&text);
}

static void put_back(const struct report_state *r, struct buf *out)
{
    static const char *const heads[] = { "since (UTC)", "task", "why" };
    struct page_table t;

    if (!r->back.count)
        return;
    page_table_begin(&t, out, "Tasks that are back with the LLM now", "dll",
                     heads);
    for (size_t i = 0; i < r->back.count; i++)
        page_table_row(&t, (const char *const *)r->back.list[i].text);
    page_table_end(&t);
}

void state_html_routing(const struct report_state *r, struct buf *out)
{
    const struct page_axes axes = { .title = "Share of each task's calls that "
                                             "was answered here",
                                    .x1 = 1,
                                    .percent = true };
    const char *names[STATE_LIST_MAX];
    double share[STATE_LIST_MAX];
    size_t n = 0;

    page_section(out, "Routed calls");
    for (; n < r->routed_count && n < STATE_LIST_MAX; n++) {
        names[n] = r->routed[n].task;
        share[n] = r->routed[n].slm / r->routed[n].calls;
    }
    page_svg_bars(out, &axes, names, share, n);
    put_routed_table(r, out);
    put_times(r, out);
    put_reasons(r, out);
    put_back(r, out);
    page_section_end(out);
}

static void put_lines(const struct state_lines *l, const char *caption,
                      const char *const *heads, struct buf *out)
{
    struct page_table t;

    page_table_begin(&t, out, caption, "dlllll", heads);
    for (size_t i = 0; i < l->count; i++)
        page_table_row(&t, (const char *const *)l->list[i].text);
    page_table_end(&t);
}

void state_html_models(const struct report_state *r, struct buf *out)
{
    static const char *const events[] = { "time (UTC)", "what",   "task",
                                          "model",      "before", "why" };
    static const char *const runs[] = { "began (UTC)", "task",  "due for",
                                        "outcome",     "model", "why" };

    page_section(out, "Models over time");
    if (r->events.count)
        put_lines(&r->events, "Promoted, rolled back, stepped back", events,
                  out);
    if (r->retrained.count)
        put_lines(&r->retrained, "Runs of slmctl retrain", runs, out);
    page_section_end(out);
}

/*
 * report_calibration.c - what the router knows of a model's errors
 *
 * Figures of the validation split, from the calibration's row: they describe
 * how the threshold was chosen, and judge nothing.
 */
#include "report/report.h"

#include "base/clock.h"

#include <math.h>

static void put_figure(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
    else
        json_put_null(w, key);
}

void report_calibration(struct json_writer *w, const char *key,
                        const struct evaluate_calibration *c)
{
    char when[32];

    if (!c->present) {
        json_put_null(w, key);
        return;
    }
    json_begin_object(w, key);
    json_put_string(w, "time", clock_rfc3339(c->time_us, when));
    json_put_int(w, "items", (int64_t)c->items);
    json_put_int(w, "unusable", (int64_t)c->unusable);
    put_figure(w, "errors", c->errors);
    json_put_bool(w, "learnt", c->learnt);
    put_figure(w, "ece_before", c->ece_before);
    put_figure(w, "ece_after", c->ece_after);
    put_figure(w, "ece_chance", c->ece_chance);
    put_figure(w, "brier_before", c->brier_before);
    put_figure(w, "brier_after", c->brier_after);
    put_figure(w, "floor", c->floor);
    put_figure(w, "threshold", c->threshold);
    put_figure(w, "share", c->share);
    put_figure(w, "quality", c->quality);
    put_figure(w, "llm_quality", c->llm_quality);
    json_put_string(w, "costs", c->in_dollars ? "dollars" : "calls");
    put_figure(w, "cost", c->cost);
    put_figure(w, "llm_cost", c->llm_cost);
    put_figure(w, "apgr", c->apgr);
    put_figure(w, "aiq", c->aiq);
    put_figure(w, "cpt50", c->cpt50);
    put_figure(w, "cpt80", c->cpt80);
    json_end_object(w);
}

void report_calibration_note(const struct evaluate_result *r, struct buf *out)
{
    const struct evaluate_calibration *c = &r->calibration;

    if (!c->present)
        return;
    buf_printf(out,
               "%s: calibrated on %zu validation answers, %.0f wrong (%zu more "
               "are never used): ",
               r->task_name, c->items, c->errors, c->unusable);
    if (!c->learnt)
        buf_str(out, "too few to learn which are; ");
    if (c->threshold < 0)
        buf_printf(out,
                   "none can be kept with quality %g points below the LLM's "
                   "at most.\n",
                   100 * c->floor);
    else
        buf_printf(out,
                   "answers with P(wrong) up to %.2f are kept, %.0f %% of "
                   "these, for quality %.1f beside %.1f of the LLM alone.\n",
                   c->threshold, 100 * c->share, 100 * c->quality,
                   100 * c->llm_quality);
}

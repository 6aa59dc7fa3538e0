/*
 * router_calibrate.c - from answers to validation items to a threshold
 *
 * What is said of an item comes from the others (router_cross.c). The threshold
 * is chosen on the same items, by upper limits; how good it is in use, only
 * decisions with an audit say.
 */
#include "router/router_private.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 15
#define GIVE_UP_LEAST 20  /* items that a limit for prompts rests on */
#define GIVE_UP_SHARE 0.9 /* of them that are escalated anyway */

struct ranked {
    double p, cost;
    size_t at;
};

/* Surest first; of equally sure ones those that spare most. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;

    if (p->p != q->p)
        return p->p > q->p ? 1 : -1;
    return p->cost != q->cost ? (p->cost > q->cost ? 1 : -1) : 0;
}

/* The threshold, what it keeps, and the quality and cost that are seen: none
 * is kept, until keeping some costs no more. The limit is that of all that is
 * kept together: those of the steps, added up, would be that of much bad luck
 * at once. is_refuted: only what is shown to be too bad counts. */
static void choose(const struct router_cross *w, const double *p,
                   bool is_refuted, double floor,
                   struct router_calibration *out)
{
    struct ranked *r = mem_array(w->n, sizeof(*r));
    double z = stats_normal_quantile(ROUTER_LEVEL), wrong = 0;
    double rest = out->llm_quality * (double)w->n;
    double least = rest - floor * (double)w->n;
    double quality = rest, cost = out->llm_cost * (double)w->n;

    for (size_t i = 0; i < w->n; i++)
        r[i] = (struct ranked){ p[i], w->item[i].cost_slm - w->item[i].cost_llm,
                                i };
    qsort(r, w->n, sizeof(*r), compare_ranked);
    out->threshold = -1;
    out->quality = out->llm_quality;
    out->cost = out->llm_cost;
    for (size_t i = 0; i < w->n; i++) {
        const struct router_item *t = &w->item[r[i].at];
        struct stats_limits limits;

        wrong += w->y[r[i].at];
        rest -= t->llm;
        quality += t->slm - t->llm;
        cost += r[i].cost;
        if ((i + 1 < w->n && r[i + 1].p <= r[i].p) ||
            cost / (double)w->n > out->cost)
            continue;
        limits = stats_wilson_at(wrong, (double)i + 1, z);
        if (rest + (double)(i + 1) *
                       (1 - (is_refuted ? limits.low : limits.high)) <
            least)
            continue;
        out->threshold = r[i].p;
        out->share = (double)(i + 1) / (double)w->n;
        out->quality = quality / (double)w->n;
        out->cost = cost / (double)w->n;
    }
    free(r);
}

/* The lowest P(wrong) of prompts from which nearly all are escalated after
 * the answer anyway: steps over who is, so that sure cases do not hide the
 * ones below them. */
static double give_up_at(const struct router_cross *w, const double *before,
                         const double *p, double threshold)
{
    struct stats_isotonic f;
    double *gone = mem_array(w->n, sizeof(*gone)), at = 1, n = 0;

    for (size_t i = 0; i < w->n; i++)
        gone[i] = p[i] > threshold;
    stats_isotonic_fit(before, gone, NULL, w->n, &f);
    for (size_t i = f.count; i-- > 0 && f.y[i] >= GIVE_UP_SHARE;) {
        n += f.n[i];
        if (n >= GIVE_UP_LEAST)
            at = f.x[i];
    }
    stats_isotonic_release(&f);
    free(gone);
    return at;
}

/* How good the probabilities are, and what they would be worth. */
static void draw_curve(const struct router_cross *w, const double *p,
                       struct router_calibration *out)
{
    double *v = mem_array(4 * w->n, sizeof(*v));

    for (size_t i = 0; i < w->n; i++) {
        v[i] = w->item[i].slm;
        v[w->n + i] = w->item[i].llm;
        v[2 * w->n + i] = w->item[i].cost_slm;
        v[3 * w->n + i] = w->item[i].cost_llm;
    }
    out->curve = mem_array(w->n + 1, sizeof(*out->curve));
    out->points = stats_curve(p, v, v + w->n, v + 2 * w->n, v + 3 * w->n, w->n,
                              out->curve);
    out->apgr = stats_apgr(out->curve, out->points);
    out->aiq = stats_aiq(out->curve, out->points);
    out->cpt50 = stats_cpt(out->curve, out->points, 0.5);
    out->cpt80 = stats_cpt(out->curve, out->points, 0.8);
    out->ece_after = stats_ece(p, w->y, w->n, BINS);
    out->ece_chance = stats_ece_chance(p, w->n, BINS, 1);
    out->brier_after = stats_brier(p, w->y, w->n);
    free(v);
}

/* The heads and steps that decide from now on: of all items. raw[n] becomes
 * what heads of others said of each. */
static int keep_head(const struct router_cross *w, bool answers, double *raw,
                     double **head, struct stats_isotonic *steps)
{
    int rc = router_cross_single(w, answers, raw);

    if (rc < 0)
        return rc;
    *head = mem_array(router_columns(w->prompts, answers) + 1, sizeof(double));
    stats_isotonic_fit(raw, w->y, NULL, w->n, steps);
    return router_cross_head(w, answers, *head);
}

static int learn(struct router_cross *w, double floor,
                 struct router_calibration *out)
{
    double *raw = mem_zalloc(2 * w->n * sizeof(*raw));
    double *p = raw + w->n;
    int rc = router_cross_nested(w, p);

    if (rc == 0)
        rc = keep_head(w, true, raw, &out->after, &out->error);
    if (rc == 0) {
        choose(w, p, false, floor, out);
        draw_curve(w, p, out);
        out->give_up = 1;
    }
    if (rc == 0 && w->prompts)
        rc = keep_head(w, false, raw, &out->before, &out->error_before);
    if (rc == 0 && w->prompts) {
        for (size_t i = 0; i < w->n; i++)
            raw[i] = stats_isotonic_at(&out->error_before, raw[i]);
        out->give_up = give_up_at(w, raw, p, out->threshold);
    }
    free(raw);
    return rc;
}

/* One probability for all: kept are all calls, or none. Few items prove
 * nothing that the gate has not: only what they refute counts. */
static void take_rate(const struct router_cross *w, double floor,
                      struct router_calibration *out)
{
    double *p = mem_array(w->n, sizeof(*p));

    for (size_t i = 0; i < w->n; i++)
        p[i] = out->rate_limit;
    choose(w, p, true, floor, out);
    draw_curve(w, p, out);
    out->give_up = 1;
    free(p);
}

/* Sums over the items, and how well the model's own log p would do. */
static void describe(struct router_cross *w, struct router_calibration *out)
{
    double *naive = mem_array(w->n, sizeof(*naive));
    double n = (double)w->n;

    w->prompts = w->item[0].vector != NULL;
    for (size_t i = 0; i < w->n; i++) {
        const struct router_item *t = &w->item[i];

        w->y[i] = fmin(1, fmax(0, 1 - t->slm));
        naive[i] = 1 - exp(t->s.mean_logp);
        out->errors += w->y[i];
        out->llm_quality += t->llm;
        out->llm_cost += t->cost_llm;
        w->prompts &= t->vector != NULL;
    }
    out->llm_quality /= n;
    out->llm_cost /= n;
    out->items = w->n;
    out->ece_before = stats_ece(naive, w->y, w->n, BINS);
    out->brier_before = stats_brier(naive, w->y, w->n);
    out->rate_limit = stats_wilson(out->errors, n, ROUTER_LEVEL).high;
    free(naive);
}

static bool is_enough(const struct router_cross *w,
                      const struct router_calibration *c)
{
    double errors = fmin(c->errors, (double)w->n - c->errors);

    return w->n >= ROUTER_CALIBRATE_LEAST &&
           errors >= ROUTER_CALIBRATE_ERRORS && router_cross_is_even(w);
}

int router_calibrate(const struct router_item *items, size_t n, double floor,
                     struct router_calibration *out, struct err *err)
{
    struct router_cross w = { .item = items, .n = n, .err = err };
    struct router_calibration c = { 0 };
    int rc = 0;

    if (n == 0)
        return err_set(err, ERR_INVALID,
                       "calibration: no validation items to learn from");
    c.floor = floor;
    w.y = mem_array(n, sizeof(*w.y));
    w.fold = mem_array(n, sizeof(*w.fold));
    describe(&w, &c);
    router_cross_deal(&w);
    c.learnt = is_enough(&w, &c);
    c.reads_prompts = c.learnt && w.prompts;
    if (c.learnt)
        rc = learn(&w, floor, &c);
    if (rc == ERR_NOTFOUND) { /* folds without errors */
        router_calibration_release(&c);
        c.floor = floor;
        describe(&w, &c);
        rc = 0;
    }
    if (rc == 0 && !c.learnt)
        take_rate(&w, floor, &c);
    free(w.y);
    free(w.fold);
    if (rc == 0)
        *out = c;
    else
        router_calibration_release(&c);
    return rc;
}

/* Null where it is no number. */
static void put_figure(struct json_writer *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_double(w, key, v);
    else
        json_put_null(w, key);
}

#define CURVE_POINTS 41 /* that are written */

static void write_curve(const struct router_calibration *c,
                        struct json_writer *w)
{
    size_t most = c->points < CURVE_POINTS ? c->points : CURVE_POINTS;

    json_begin_array(w, "curve");
    for (size_t i = 0; i < most; i++) {
        size_t at = most > 1 ? i * (c->points - 1) / (most - 1) : 0;

        json_begin_object(w, NULL);
        json_put_double(w, "llm_share", c->curve[at].strong);
        json_put_double(w, "cost", c->curve[at].cost);
        json_put_double(w, "quality", c->curve[at].quality);
        json_end_object(w);
    }
    json_end_array(w);
}

void router_calibration_write(const struct router_calibration *c,
                              struct json_writer *w)
{
    json_put_int(w, "items", (int64_t)c->items);
    put_figure(w, "errors", c->errors);
    json_put_int(w, "unusable", (int64_t)c->unusable);
    put_figure(w, "floor", c->floor);
    if (c->inputs[0])
        json_put_string(w, "inputs", c->inputs);
    if (c->weights[0])
        json_put_string(w, "weights", c->weights);
    json_put_string(w, "costs", c->in_dollars ? "dollars" : "calls");
    json_put_bool(w, "learnt", c->learnt);
    json_put_bool(w, "reads_prompts", c->reads_prompts);
    put_figure(w, "ece_before", c->ece_before);
    put_figure(w, "ece_after", c->ece_after);
    put_figure(w, "ece_chance", c->ece_chance);
    put_figure(w, "brier_before", c->brier_before);
    put_figure(w, "brier_after", c->brier_after);
    put_figure(w, "threshold", c->threshold);
    put_figure(w, "give_up", c->give_up);
    put_figure(w, "share", c->share);
    put_figure(w, "quality", c->quality);
    put_figure(w, "llm_quality", c->llm_quality);
    put_figure(w, "cost", c->cost);
    put_figure(w, "llm_cost", c->llm_cost);
    put_figure(w, "apgr", c->apgr);
    put_figure(w, "aiq", c->aiq);
    put_figure(w, "cpt50", c->cpt50);
    put_figure(w, "cpt80", c->cpt80);
    write_curve(c, w);
}

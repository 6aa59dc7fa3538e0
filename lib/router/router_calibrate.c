/*
 * router_calibrate.c - from answers to validation items to a threshold
 *
 * Items are split in two by cluster, so that an item's probability never rests
 * on its own outcome. The threshold is chosen on the same items, by upper
 * limits; how good it is in use, only decisions with an audit say.
 */
#include "router/router_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_LEVEL 0.9
#define BINS 15
#define GIVE_UP_LEAST 20  /* items that a limit for prompts rests on */
#define GIVE_UP_SHARE 0.9 /* of them that are escalated anyway */

struct work {
    const struct router_item *item;
    size_t n;
    double *y;    /* [n] wrong: 1 - slm */
    bool *second; /* [n] in the second half */
    bool prompts;
    struct err *err;
};

static size_t mark_halves(struct work *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->n; i++) {
        uint64_t c = w->item[i].cluster;

        w->second[i] = hash_stable(&c, sizeof(c), 77) >> 32 & 1;
        count += w->second[i];
    }
    return count;
}

/* The head of the items that `use` says; NULL: all. */
static int fit_some(const struct work *w, bool answers, const bool *use,
                    bool value, double *head)
{
    size_t d = router_columns(w->prompts, answers), m = 0;
    float *x = mem_array(w->n * d, sizeof(*x));
    double *y = mem_array(w->n, sizeof(*y));
    int rc;

    for (size_t i = 0; i < w->n; i++) {
        if (use && use[i] != value)
            continue;
        router_columns_fill(w->prompts ? w->item[i].vector : NULL,
                            answers ? &w->item[i].s : NULL, x + m * d);
        y[m++] = w->y[i];
    }
    rc = router_head_fit(x, y, m, d, head, w->err);
    free(x);
    free(y);
    return rc;
}

static double head_at(const struct work *w, bool answers, const double *head,
                      size_t i)
{
    float x[ROUTER_VECTOR + ROUTER_SIGNALS];

    router_columns_fill(w->prompts ? w->item[i].vector : NULL,
                        answers ? &w->item[i].s : NULL, x);
    return stats_logit_at(head, x, router_columns(w->prompts, answers));
}

/* raw[n]: each item by the head of the other half. */
static int predict_crossed(const struct work *w, bool answers, double *raw)
{
    double *head =
        mem_array(router_columns(w->prompts, answers) + 1, sizeof(*head));
    int rc = 0;

    for (int half = 0; half < 2 && rc == 0; half++) {
        rc = fit_some(w, answers, w->second, half, head);
        for (size_t i = 0; i < w->n && rc == 0; i++)
            if (w->second[i] != half)
                raw[i] = head_at(w, answers, head, i);
    }
    free(head);
    return rc;
}

/* p[n]: each raw value by steps of the other half, and their upper limits. */
static void step_crossed(const struct work *w, const double *raw, double *p,
                         double *upper)
{
    double *weight = mem_array(w->n, sizeof(*weight));

    for (int half = 0; half < 2; half++) {
        struct stats_isotonic f;

        for (size_t i = 0; i < w->n; i++)
            weight[i] = w->second[i] == half;
        stats_isotonic_fit(raw, w->y, weight, w->n, &f);
        for (size_t i = 0; i < w->n; i++) {
            if (w->second[i] == half)
                continue;
            p[i] = stats_isotonic_at(&f, raw[i]);
            if (upper)
                upper[i] = stats_isotonic_upper(&f, raw[i], LIMIT_LEVEL);
        }
        stats_isotonic_release(&f);
    }
    free(weight);
}

struct ranked {
    double p, upper, cost;
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

/* The threshold, what it keeps, and the quality and cost that are seen. */
static void choose(const struct work *w, const double *p, const double *upper,
                   double floor, struct router_calibration *out)
{
    struct ranked *r = mem_array(w->n, sizeof(*r));
    double expected = 0, least = out->llm_quality * (double)w->n;
    double quality = least, cost = out->llm_cost * (double)w->n;

    for (size_t i = 0; i < w->n; i++)
        r[i] = (struct ranked){ p[i], upper[i],
                                w->item[i].cost_slm - w->item[i].cost_llm, i };
    qsort(r, w->n, sizeof(*r), compare_ranked);
    expected = least;
    least -= floor * (double)w->n;
    out->threshold = -1;
    out->quality = out->llm_quality;
    out->cost = out->llm_cost;
    for (size_t i = 0; i < w->n; i++) {
        const struct router_item *t = &w->item[r[i].at];

        expected += 1 - r[i].upper - t->llm;
        quality += t->slm - t->llm;
        cost += r[i].cost;
        if ((i + 1 < w->n && r[i + 1].p <= r[i].p) || expected < least)
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
static double give_up_at(const struct work *w, const double *before,
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

static void draw_curve(const struct work *w, const double *p,
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
    free(v);
}

/* The heads and steps that decide from now on: of all items. */
static int keep_heads(const struct work *w, const double *raw,
                      const double *raw_before, struct router_calibration *out)
{
    int rc;

    out->after =
        mem_array(router_columns(w->prompts, true) + 1, sizeof(double));
    stats_isotonic_fit(raw, w->y, NULL, w->n, &out->error);
    rc = fit_some(w, true, NULL, true, out->after);
    if (rc < 0 || !w->prompts)
        return rc;
    out->before = mem_array(ROUTER_VECTOR + 1, sizeof(double));
    stats_isotonic_fit(raw_before, w->y, NULL, w->n, &out->error_before);
    return fit_some(w, false, NULL, true, out->before);
}

static int learn(struct work *w, double floor, struct router_calibration *out)
{
    double *raw = mem_zalloc(4 * w->n * sizeof(*raw));
    double *before = raw + w->n, *p = raw + 2 * w->n, *upper = raw + 3 * w->n;
    double *p_before = mem_zalloc(w->n * sizeof(*p_before));
    int rc = predict_crossed(w, true, raw);

    if (rc == 0 && w->prompts)
        rc = predict_crossed(w, false, before);
    if (rc == 0)
        rc = keep_heads(w, raw, before, out);
    if (rc == 0) {
        step_crossed(w, raw, p, upper);
        choose(w, p, upper, floor, out);
        out->ece_after = stats_ece(p, w->y, w->n, BINS);
        out->brier_after = stats_brier(p, w->y, w->n);
        draw_curve(w, p, out);
        out->give_up = 1;
    }
    if (rc == 0 && w->prompts) {
        step_crossed(w, before, p_before, NULL);
        out->give_up = give_up_at(w, p_before, p, out->threshold);
    }
    free(raw);
    free(p_before);
    return rc;
}

/* One limit for all: kept are all calls, or none. */
static void take_rate(const struct work *w, double floor,
                      struct router_calibration *out)
{
    double *p = mem_array(w->n, sizeof(*p));

    for (size_t i = 0; i < w->n; i++)
        p[i] = out->rate_limit;
    choose(w, p, p, floor, out);
    out->ece_after = stats_ece(p, w->y, w->n, BINS);
    out->brier_after = stats_brier(p, w->y, w->n);
    draw_curve(w, p, out);
    out->give_up = 1;
    free(p);
}

/* Sums over the items, and how well the model's own log p would do. */
static void describe(struct work *w, struct router_calibration *out)
{
    double *naive = mem_array(w->n, sizeof(*naive));
    double n = (double)w->n;

    w->prompts = w->item[0].vector != NULL;
    for (size_t i = 0; i < w->n; i++) {
        const struct router_item *t = &w->item[i];

        w->y[i] = fmin(1, fmax(0, 1 - t->slm));
        naive[i] = 1 - exp(t->s.mean_logp);
        out->errors += w->y[i];
        out->llm_quality += t->llm / n;
        out->llm_cost += t->cost_llm / n;
        w->prompts &= t->vector != NULL;
    }
    out->items = w->n;
    out->ece_before = stats_ece(naive, w->y, w->n, BINS);
    out->brier_before = stats_brier(naive, w->y, w->n);
    out->rate_limit = stats_wilson(out->errors, n, LIMIT_LEVEL).high;
    free(naive);
}

static bool is_enough(const struct work *w, const struct router_calibration *c,
                      size_t second)
{
    double errors = fmin(c->errors, (double)w->n - c->errors);

    return w->n >= ROUTER_CALIBRATE_LEAST &&
           errors >= ROUTER_CALIBRATE_ERRORS && second * 4 >= w->n &&
           (w->n - second) * 4 >= w->n;
}

int router_calibrate(const struct router_item *items, size_t n, double floor,
                     struct router_calibration *out, struct err *err)
{
    struct work w = { .item = items, .n = n, .err = err };
    struct router_calibration c = { 0 };
    size_t second;
    int rc = 0;

    if (n == 0)
        return err_set(err, ERR_INVALID,
                       "calibration: no validation items to learn from");
    w.y = mem_array(n, sizeof(*w.y));
    w.second = mem_array(n, sizeof(*w.second));
    describe(&w, &c);
    second = mark_halves(&w);
    c.learnt = is_enough(&w, &c, second);
    c.reads_prompts = c.learnt && w.prompts;
    if (c.learnt)
        rc = learn(&w, floor, &c);
    if (rc == ERR_NOTFOUND) { /* a half without errors */
        router_calibration_release(&c);
        describe(&w, &c);
        rc = 0;
    }
    if (rc == 0 && !c.learnt)
        take_rate(&w, floor, &c);
    free(w.y);
    free(w.second);
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
    json_put_bool(w, "learnt", c->learnt);
    json_put_bool(w, "reads_prompts", c->reads_prompts);
    put_figure(w, "ece_before", c->ece_before);
    put_figure(w, "ece_after", c->ece_after);
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

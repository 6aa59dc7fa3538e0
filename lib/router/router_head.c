/*
 * router_head.c - calibrated probabilities of error, and keeping them
 *
 * A head is a logistic regression; what it says goes through isotonic steps.
 * Saved are weights and steps alone: nothing of a text.
 */
#include "router/router_private.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t router_columns(bool prompts, bool answers)
{
    return (prompts ? ROUTER_VECTOR : 0) + (answers ? ROUTER_SIGNALS : 0);
}

void router_columns_fill(const float *vector, const struct stats_signals *s,
                         float *x)
{
    if (vector) {
        memcpy(x, vector, ROUTER_VECTOR * sizeof(*x));
        x += ROUTER_VECTOR;
    }
    if (!s)
        return;
    x[0] = (float)s->mean_logp;
    x[1] = (float)s->min_margin;
    x[2] = (float)s->q10_margin;
    x[3] = (float)s->q25_logp;
    x[4] = logf(1 + (float)s->free_tokens);
}

int router_head_fit(const float *x, const double *y, size_t n, size_t d,
                    double *w, struct err *err)
{
    return stats_logit_fit(x, y, n, d, 2 * (double)d, w, err);
}

/* What the prompt and what the tokens say are believed alike beforehand,
 * however many columns say it: else five signals drown in hundreds of words. */
int router_columns_fit(const float *x, const double *y, size_t n, bool prompts,
                       bool answers, double *w, struct err *err)
{
    size_t d = router_columns(prompts, answers);
    double lambda[ROUTER_VECTOR + ROUTER_SIGNALS];

    for (size_t j = 0; j < d; j++) {
        bool of_prompt = prompts && j < ROUTER_VECTOR;

        lambda[j] = 2 * (double)(of_prompt ? ROUTER_VECTOR : ROUTER_SIGNALS) *
                    (prompts && answers ? 2 : 1);
    }
    return stats_logit_fit_by(x, y, n, d, lambda, w, err);
}

double router_error(const struct router_calibration *c, const float *vector,
                    const struct stats_signals *s)
{
    float x[ROUTER_VECTOR + ROUTER_SIGNALS];

    if (!c->learnt)
        return c->rate_limit;
    router_columns_fill(c->reads_prompts ? vector : NULL, s, x);
    return stats_isotonic_at(
        &c->error,
        stats_logit_at(c->after, x, router_columns(c->reads_prompts, true)));
}

double router_error_before(const struct router_calibration *c,
                           const float *vector)
{
    if (!c->learnt || !c->reads_prompts || !vector)
        return (double)NAN;
    return stats_isotonic_at(&c->error_before,
                             stats_logit_at(c->before, vector, ROUTER_VECTOR));
}

static void put_doubles(struct buf *out, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;

        memcpy(&bits, &v[i], 8);
        bytes_put_u64(out, bits);
    }
}

static void put_steps(struct buf *out, const struct stats_isotonic *f)
{
    struct buf own = { 0 };

    stats_isotonic_save(f, &own);
    bytes_put_u32(out, (uint32_t)own.len);
    buf_add_slice(out, buf_slice(&own));
    buf_release(&own);
}

void router_calibration_save(const struct router_calibration *c,
                             struct buf *out)
{
    bytes_put_u32(out, ROUTER_CALIBRATION_VERSION);
    bytes_put_u32(out, c->learnt);
    bytes_put_u32(out, c->learnt && c->reads_prompts);
    put_doubles(out, &c->rate_limit, 1);
    put_doubles(out, &c->threshold, 1);
    put_doubles(out, &c->give_up, 1);
    if (!c->learnt)
        return;
    put_doubles(out, c->after, router_columns(c->reads_prompts, true) + 1);
    put_steps(out, &c->error);
    if (c->reads_prompts) {
        put_doubles(out, c->before, ROUTER_VECTOR + 1);
        put_steps(out, &c->error_before);
    }
}

static double get_double(struct bytes_reader *r)
{
    uint64_t bits = bytes_u64(r);
    double v;

    memcpy(&v, &bits, 8);
    r->bad |= !isfinite(v);
    return v;
}

static double *get_doubles(struct bytes_reader *r, size_t n)
{
    double *v = mem_array(n, sizeof(*v));

    for (size_t i = 0; i < n; i++)
        v[i] = get_double(r);
    return v;
}

static int get_steps(struct bytes_reader *r, struct stats_isotonic *out,
                     struct err *err)
{
    uint32_t n = bytes_u32(r);
    const char *p = bytes_take(r, n);

    return p ? stats_isotonic_load((struct slice){ p, n }, out, err) : 0;
}

int router_calibration_load(struct slice data, struct router_calibration *out,
                            struct err *err)
{
    struct bytes_reader r = { .rest = data };
    struct router_calibration c = { 0 };
    int rc = 0;

    r.bad |= bytes_u32(&r) != ROUTER_CALIBRATION_VERSION;
    c.learnt = bytes_u32(&r) != 0;
    c.reads_prompts = bytes_u32(&r) != 0;
    c.rate_limit = get_double(&r);
    c.threshold = get_double(&r);
    c.give_up = get_double(&r);
    if (c.learnt) {
        c.after = get_doubles(&r, router_columns(c.reads_prompts, true) + 1);
        rc = get_steps(&r, &c.error, err);
    }
    if (rc == 0 && c.learnt && c.reads_prompts) {
        c.before = get_doubles(&r, ROUTER_VECTOR + 1);
        rc = get_steps(&r, &c.error_before, err);
    }
    if (rc == 0 && (r.bad || r.rest.n))
        rc = err_set(err, ERR_FORMAT,
                     "calibration: damaged or of another version; calibrate "
                     "again (slmctl model promote)");
    if (rc == 0)
        *out = c;
    else
        router_calibration_release(&c);
    return rc;
}

void router_calibration_release(struct router_calibration *c)
{
    free(c->before);
    free(c->after);
    stats_isotonic_release(&c->error_before);
    stats_isotonic_release(&c->error);
    free(c->curve);
    *c = (struct router_calibration){ 0 };
}

/*
 * stats_logit.c - ridge logistic regression, for hundreds of columns
 *
 * Newton's method on standardised columns with halved steps where the loss
 * would rise; the system is solved by Cholesky. The ridge keeps it definite,
 * so separable data end, too.
 */
#include "stats/stats.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ITERATIONS 50
#define ENOUGH 1e-9 /* relative fall of the loss that ends it */

struct fit {
    const double *y;
    double *z; /* [n, d + 1] standardised, the last column 1 */
    double *h; /* [d + 1, d + 1] lower triangle */
    double *g; /* gradient, then step */
    double *p; /* [n] linear predictor */
    double *mean, *scale;
    size_t n, d, m;       /* m = d + 1 */
    const double *lambda; /* [d] */
};

static double logistic(double t)
{
    return t >= 0 ? 1 / (1 + exp(-t)) : exp(t) / (1 + exp(t));
}

/* log(1 + e^t) - y t */
static double loss_of(double t, double y)
{
    return (t > 0 ? t + log1p(exp(-t)) : log1p(exp(t))) - y * t;
}

static void standardise(struct fit *f, const float *x)
{
    for (size_t j = 0; j < f->d; j++) {
        double sum = 0, square = 0;

        for (size_t i = 0; i < f->n; i++)
            sum += (double)x[i * f->d + j];
        f->mean[j] = sum / (double)f->n;
        for (size_t i = 0; i < f->n; i++) {
            double v = (double)x[i * f->d + j] - f->mean[j];
            square += v * v;
        }
        f->scale[j] = sqrt(square / (double)f->n);
        if (!(f->scale[j] > 1e-12 * (1 + fabs(f->mean[j]))))
            f->scale[j] = HUGE_VAL; /* constant: its column becomes 0 */
    }
    for (size_t i = 0; i < f->n; i++) {
        for (size_t j = 0; j < f->d; j++)
            f->z[i * f->m + j] =
                ((double)x[i * f->d + j] - f->mean[j]) / f->scale[j];
        f->z[i * f->m + f->d] = 1;
    }
}

/* Predictors under w, and the penalised loss. */
static double evaluate(struct fit *f, const double *w)
{
    double loss = 0;

    for (size_t i = 0; i < f->n; i++) {
        const double *z = f->z + i * f->m;
        double t = 0;

        for (size_t j = 0; j < f->m; j++)
            t += z[j] * w[j];
        f->p[i] = t;
        loss += loss_of(t, f->y[i]);
    }
    for (size_t j = 0; j < f->d; j++)
        loss += f->lambda[j] / 2 * w[j] * w[j];
    return loss;
}

/* h += the four rows' weighted outer products, lower triangle: four at a time,
 * because h is larger than the cache that is near. */
static void add_rows(struct fit *f, const double *z[4], const double s[4])
{
    for (size_t a = 0; a < f->m; a++) {
        double *row = f->h + a * f->m;
        double c0 = s[0] * z[0][a], c1 = s[1] * z[1][a];
        double c2 = s[2] * z[2][a], c3 = s[3] * z[3][a];

        for (size_t b = 0; b <= a; b++)
            row[b] +=
                c0 * z[0][b] + c1 * z[1][b] + (c2 * z[2][b] + c3 * z[3][b]);
    }
}

static void derivatives(struct fit *f, const double *w)
{
    memset(f->h, 0, f->m * f->m * sizeof(*f->h));
    memset(f->g, 0, f->m * sizeof(*f->g));
    for (size_t i = 0; i < f->n; i += 4) {
        const double *z[4];
        double s[4];

        for (size_t k = 0; k < 4; k++) {
            size_t at = i + k < f->n ? i + k : i;
            double p = logistic(f->p[at]);

            z[k] = f->z + at * f->m;
            s[k] = i + k < f->n ? p * (1 - p) : 0;
            for (size_t j = 0; j < f->m && i + k < f->n; j++)
                f->g[j] += (p - f->y[at]) * z[k][j];
        }
        add_rows(f, z, s);
    }
    for (size_t j = 0; j < f->d; j++) {
        f->h[j * f->m + j] += f->lambda[j];
        f->g[j] += f->lambda[j] * w[j];
    }
    f->h[f->d * f->m + f->d] += 1e-10 * (double)f->n;
}

/* g becomes h^-1 g; h its Cholesky factor. */
static void solve(struct fit *f)
{
    size_t m = f->m;
    double *h = f->h, *g = f->g;

    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = h[i * m + j];

            for (size_t k = 0; k < j; k++)
                sum -= h[i * m + k] * h[j * m + k];
            h[i * m + j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / h[j * m + j];
        }
        for (size_t k = 0; k < i; k++)
            g[i] -= h[i * m + k] * g[k];
        g[i] /= h[i * m + i];
    }
    for (size_t i = m; i-- > 0;) {
        for (size_t k = i + 1; k < m; k++)
            g[i] -= h[k * m + i] * g[k];
        g[i] /= h[i * m + i];
    }
}

static void newton(struct fit *f, double *w)
{
    double *next = mem_array(f->m, sizeof(*next));
    double loss = evaluate(f, w);

    for (unsigned i = 0; i < ITERATIONS; i++) {
        double step = 1, better = HUGE_VAL;

        derivatives(f, w);
        solve(f);
        for (; step > 1e-6; step /= 2) {
            for (size_t j = 0; j < f->m; j++)
                next[j] = w[j] - step * f->g[j];
            better = evaluate(f, next);
            if (better <= loss)
                break;
        }
        if (!(better <= loss))
            break;
        memcpy(w, next, f->m * sizeof(*w));
        if (loss - better <= ENOUGH * (loss + 1e-300))
            break;
        loss = better;
    }
    free(next);
}

static bool has_one_value(const double *y, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (y[i] < y[0] || y[i] > y[0])
            return false;
    return true;
}

int stats_logit_fit(const float *x, const double *y, size_t n, size_t d,
                    double lambda, double *w, struct err *err)
{
    double *all = mem_array(d + 1, sizeof(*all));
    int rc;

    assert(lambda > 0);
    for (size_t j = 0; j < d; j++)
        all[j] = lambda;
    rc = stats_logit_fit_by(x, y, n, d, all, w, err);
    free(all);
    return rc;
}

int stats_logit_fit_by(const float *x, const double *y, size_t n, size_t d,
                       const double *lambda, double *w, struct err *err)
{
    size_t m = d + 1;
    struct fit f = { .y = y, .n = n, .d = d, .m = m, .lambda = lambda };
    double *own;

    assert(d <= STATS_LOGIT_DIMS);
    if (has_one_value(y, n))
        return err_set(err, ERR_NOTFOUND,
                       "calibration: all %zu outcomes are equal", n);
    f.z = mem_array(n * m, sizeof(double));
    f.h = mem_array(m * m, sizeof(double));
    f.g = mem_array(m, sizeof(double));
    f.p = mem_array(n, sizeof(double));
    f.mean = mem_array(m, sizeof(double));
    f.scale = mem_array(m, sizeof(double));
    own = mem_zalloc(m * sizeof(*own));
    standardise(&f, x);
    newton(&f, own);
    w[d] = own[d];
    for (size_t j = 0; j < d; j++) {
        w[j] = own[j] / f.scale[j];
        w[d] -= w[j] * f.mean[j];
    }
    free(f.z);
    free(f.h);
    free(f.g);
    free(f.p);
    free(f.mean);
    free(f.scale);
    free(own);
    return 0;
}

double stats_logit_at(const double *w, const float *x, size_t d)
{
    double t = w[d];

    for (size_t j = 0; j < d; j++)
        t += w[j] * (double)x[j];
    return logistic(t);
}

/*
 * model_sample.c - penalties, temperature, top-k, top-p and min-p on the host
 *
 * The order and the borders are those of transformers, so that settings mean
 * the same here.
 */
#include "model/model_sample.h"

#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    int32_t id;
};

static int better_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->logit > y->logit || x->logit < y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

double model_log_sum(const float *x, size_t n)
{
    float top = x[0];
    double sum = 0;

    assert(n > 0);
    for (size_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)(x[i] - top));
    return log(sum) + (double)top;
}

static double unit(const struct model_sampling *opt, size_t sequence,
                   size_t step)
{
    uint32_t r[4];

    rng_philox(opt->seed, sequence, step, r);
    return ((double)r[0] + 0x1p-32 * (double)r[1]) * 0x1p-32;
}

/* Walk candidates, best first, until the random share of `mass` is used. */
static int32_t draw(const struct candidate *c, size_t n, double top,
                    double temperature, double share)
{
    double at = 0;

    for (size_t i = 0; i < n; i++) {
        at += exp(((double)c[i].logit - top) / temperature);
        if (at > share)
            return c[i].id;
    }
    return c[n - 1].id;
}

void model_penalise(float *logits, size_t n, double penalty, const int32_t *ids,
                    size_t count, uint8_t *seen)
{
    float p = (float)penalty;

    for (size_t i = 0; i < count; i++) {
        size_t id = (size_t)ids[i];

        if (id >= n || seen[id])
            continue;
        seen[id] = 1;
        logits[id] = logits[id] < 0 ? logits[id] * p : logits[id] / p;
    }
}

static int32_t largest(const float *logits, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* How many of n candidates, best first, top-p and min-p leave. */
static size_t cut(const struct candidate *c, size_t n,
                  const struct model_sampling *opt, double *mass)
{
    double top = (double)c[0].logit, kept = 0, least = opt->min_p;
    size_t i = 0;

    for (size_t k = 0; k < n; k++)
        *mass += exp(((double)c[k].logit - top) / opt->temperature);
    if (opt->top_p > 0 && opt->top_p < 1) {
        while (i < n && kept < opt->top_p * *mass)
            kept += exp(((double)c[i++].logit - top) / opt->temperature);
        n = i;
    }
    for (i = 1;
         i < n && exp(((double)c[i].logit - top) / opt->temperature) >= least;)
        i++;
    *mass = 0;
    for (size_t k = 0; k < i; k++)
        *mass += exp(((double)c[k].logit - top) / opt->temperature);
    return i;
}

/* The k best, and those that equal the last of them. */
static size_t likeliest(const struct candidate *c, size_t n, int64_t k)
{
    size_t count = (size_t)k;

    if (k <= 0 || count >= n)
        return n;
    while (count < n && c[count].logit >= c[count - 1].logit)
        count++;
    return count;
}

int32_t model_sample(const float *logits, size_t n,
                     const struct model_sampling *opt, size_t sequence,
                     size_t step)
{
    struct candidate *c;
    size_t count = 0;
    double mass = 0;
    int32_t id;

    if (!(opt->temperature > 0))
        return largest(logits, n);
    c = mem_array(n, sizeof(*c));
    for (size_t i = 0; i < n; i++)
        if (logits[i] > -INFINITY)
            c[count++] = (struct candidate){ logits[i], (int32_t)i };
    assert(count > 0);
    qsort(c, count, sizeof(*c), better_first);
    count = likeliest(c, count, opt->top_k);
    count = cut(c, count, opt, &mass);
    id = draw(c, count, (double)c[0].logit, opt->temperature,
              unit(opt, sequence, step) * mass);
    free(c);
    return id;
}

/* model_sample.c - temperature, top-k and top-p on the host */
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

static double log_sum(const float *x, size_t n)
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

int32_t model_sample(float *logits, size_t vocab,
                     const struct model_sampling *opt, size_t sequence,
                     size_t step, float *logp)
{
    struct candidate *c = mem_array(vocab, sizeof(*c));
    double lse = log_sum(logits, vocab), mass = 0, kept = 0, top;
    size_t n = vocab;
    int32_t id;

    for (size_t i = 0; i < vocab; i++)
        c[i] = (struct candidate){ logits[i], (int32_t)i };
    qsort(c, vocab, sizeof(*c), better_first);
    top = (double)c[0].logit;
    if (opt->top_k > 0 && (size_t)opt->top_k < n)
        n = (size_t)opt->top_k;
    for (size_t i = 0; i < n; i++)
        mass += exp(((double)c[i].logit - top) / opt->temperature);
    if (opt->top_p > 0 && opt->top_p < 1) {
        size_t i = 0;

        while (i < n && kept < opt->top_p * mass)
            kept += exp(((double)c[i++].logit - top) / opt->temperature);
        n = i;
        mass = kept;
    }
    id = draw(c, n, top, opt->temperature, unit(opt, sequence, step) * mass);
    *logp = (float)((double)logits[id] - lse);
    free(c);
    return id;
}

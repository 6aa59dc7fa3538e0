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

double model_sample_unit(const struct model_sampling *opt, size_t sequence,
                         size_t step)
{
    uint32_t r[4];

    rng_philox(opt->seed, sequence, step, r);
    return ((double)r[0] + 0x1p-32 * (double)r[1]) * 0x1p-32;
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

/* Candidates as a heap; those that were asked for stand behind it, the best one
 * last. Few of many are ever asked for. */
struct heap {
    struct candidate *c;
    size_t heaped, all;
};

static void sift(struct heap *h, size_t at)
{
    struct candidate x = h->c[at];

    for (;;) {
        size_t k = 2 * at + 1;

        if (k >= h->heaped)
            break;
        if (k + 1 < h->heaped && better_first(&h->c[k + 1], &h->c[k]) < 0)
            k++;
        if (better_first(&x, &h->c[k]) < 0)
            break;
        h->c[at] = h->c[k];
        at = k;
    }
    h->c[at] = x;
}

/* The i-th best. */
static struct candidate nth(struct heap *h, size_t i)
{
    while (h->all - h->heaped <= i) {
        struct candidate best = h->c[0];

        h->c[0] = h->c[--h->heaped];
        sift(h, 0);
        h->c[h->heaped] = best;
    }
    return h->c[h->all - 1 - i];
}

static double weight(struct candidate c, double top, double temperature)
{
    return exp(((double)c.logit - top) / temperature);
}

/* Walk candidates, best first, until the random share of the mass is used. */
static int32_t draw(struct heap *h, size_t n, double top, double temperature,
                    double share)
{
    double at = 0;

    for (size_t i = 0; i < n; i++) {
        at += weight(nth(h, i), top, temperature);
        if (at > share)
            return nth(h, i).id;
    }
    return nth(h, n - 1).id;
}

/* How many of the n best top-p and min-p leave; *mass is theirs. */
static size_t cut(struct heap *h, size_t n, double top,
                  const struct model_sampling *opt, double *mass)
{
    double t = opt->temperature, kept = 0;
    bool by_p = opt->top_p > 0 && opt->top_p<1, by_min = opt->min_p> 0;
    size_t i = n;

    *mass = 0;
    if (n < h->all)
        for (size_t k = 0; k < n; k++)
            *mass += weight(nth(h, k), top, t);
    else
        for (size_t k = 0; k < h->all; k++)
            *mass += weight(h->c[k], top, t);
    if (by_p)
        for (i = 0; i < n && kept < opt->top_p * *mass; i++)
            kept += weight(nth(h, i), top, t);
    n = i;
    if (by_min)
        for (i = 1; i < n && weight(nth(h, i), top, t) >= opt->min_p;)
            i++;
    if (!by_p && !by_min)
        return n;
    *mass = 0;
    for (size_t k = 0; k < i; k++)
        *mass += weight(nth(h, k), top, t);
    return i;
}

/* The k best, and those that equal the last of them. */
static size_t likeliest(struct heap *h, int64_t k)
{
    size_t count = (size_t)k;

    if (k <= 0 || count >= h->all)
        return h->all;
    while (count < h->all && nth(h, count).logit >= nth(h, count - 1).logit)
        count++;
    return count;
}

int32_t model_sample(const float *logits, size_t n,
                     const struct model_sampling *opt, size_t sequence,
                     size_t step)
{
    struct heap h = { 0 };
    size_t count;
    double mass, top;
    int32_t id;

    if (!(opt->temperature > 0))
        return largest(logits, n);
    h.c = mem_array(n, sizeof(*h.c));
    for (size_t i = 0; i < n; i++)
        if (logits[i] > -INFINITY)
            h.c[h.all++] = (struct candidate){ logits[i], (int32_t)i };
    assert(h.all > 0);
    h.heaped = h.all;
    for (size_t i = h.all / 2; i-- > 0;)
        sift(&h, i);
    top = (double)nth(&h, 0).logit;
    count = likeliest(&h, opt->top_k);
    count = cut(&h, count, top, opt, &mass);
    id = draw(&h, count, top, opt->temperature,
              model_sample_unit(opt, sequence, step) * mass);
    free(h.c);
    return id;
}

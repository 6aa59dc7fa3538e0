/*
 * router_cross.c - what heads say of items that they have not seen
 *
 * Items are dealt to folds by cluster. A head of some folds judges another, and
 * steps are learnt from what such heads say of the rest, so that no item's
 * probability rests on its own outcome. Heads of fewer items differ in how many
 * errors they have seen; that is put right, or what one says could not be read
 * by steps of another's.
 */
#include "router/router_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define FOLDS ROUTER_FOLDS

void router_cross_deal(struct router_cross *x)
{
    for (size_t i = 0; i < x->n; i++) {
        uint64_t c = x->item[i].cluster;

        x->fold[i] =
            (unsigned char)((hash_stable(&c, sizeof(c), 77) >> 32) % FOLDS);
    }
}

/* None holds half of all. */
bool router_cross_is_even(const struct router_cross *x)
{
    size_t of[FOLDS] = { 0 };
    bool even = true;

    for (size_t i = 0; i < x->n; i++)
        of[x->fold[i]]++;
    for (int k = 0; k < FOLDS; k++)
        even = even && of[k] * 2 <= x->n;
    return even;
}

static bool is_in(const struct router_cross *x, size_t i, int j, int k)
{
    return x->fold[i] != j && x->fold[i] != k;
}

/* The head of all folds but j and k (-1: of all). */
static int fit_head(const struct router_cross *x, bool answers, int j, int k,
                    double *head)
{
    size_t d = router_columns(x->prompts, answers), m = 0;
    float *row = mem_array(x->n * d, sizeof(*row));
    double *y = mem_array(x->n, sizeof(*y));
    int rc;

    for (size_t i = 0; i < x->n; i++) {
        if (!is_in(x, i, j, k))
            continue;
        router_columns_fill(x->prompts ? x->item[i].vector : NULL,
                            answers ? &x->item[i].s : NULL, row + m * d);
        y[m++] = x->y[i];
    }
    rc = router_columns_fit(row, y, m, x->prompts, answers, head, x->err);
    free(row);
    free(y);
    return rc;
}

int router_cross_head(const struct router_cross *x, bool answers, double *head)
{
    return fit_head(x, answers, -1, -1, head);
}

/* Log odds of an error among all folds but j and k. */
static double odds_of(const struct router_cross *x, int j, int k)
{
    double sum = 0, n = 0, rate;

    for (size_t i = 0; i < x->n; i++)
        if (is_in(x, i, j, k)) {
            sum += x->y[i];
            n++;
        }
    rate = (sum + 0.5) / (n + 1);
    return log(rate / (1 - rate));
}

static double say(const struct router_cross *x, bool answers,
                  const double *head, size_t i, double shift)
{
    float row[ROUTER_VECTOR + ROUTER_SIGNALS];
    size_t d = router_columns(x->prompts, answers);
    double z;

    router_columns_fill(x->prompts ? x->item[i].vector : NULL,
                        answers ? &x->item[i].s : NULL, row);
    z = head[d] + shift;
    for (size_t c = 0; c < d; c++)
        z += head[c] * (double)row[c];
    return 1 / (1 + exp(-z));
}

int router_cross_single(const struct router_cross *x, bool answers, double *raw)
{
    double *head =
        mem_array(router_columns(x->prompts, answers) + 1, sizeof(*head));
    int rc = 0;

    for (int k = 0; k < FOLDS && rc == 0; k++) {
        double shift = odds_of(x, -1, -1) - odds_of(x, k, k);

        rc = fit_head(x, answers, k, k, head);
        for (size_t i = 0; i < x->n && rc == 0; i++)
            if (x->fold[i] == k)
                raw[i] = say(x, answers, head, i, shift);
    }
    free(head);
    return rc;
}

/* said[k * n + i]: of an item of fold k by a head without it, of others by
 * heads without theirs and k. */
static int say_nested(const struct router_cross *x, double *said)
{
    double *head =
        mem_array(router_columns(x->prompts, true) + 1, sizeof(*head));
    int rc = 0;

    for (int j = 0; j < FOLDS; j++)
        for (int k = j; k < FOLDS && rc == 0; k++) {
            double both = odds_of(x, j, k);
            double to_j = odds_of(x, j, j) - both;
            double to_k = odds_of(x, k, k) - both;

            rc = fit_head(x, true, j, k, head);
            for (size_t i = 0; i < x->n && rc == 0; i++)
                if (x->fold[i] == k)
                    said[(size_t)j * x->n + i] = say(x, true, head, i, to_j);
                else if (x->fold[i] == j)
                    said[(size_t)k * x->n + i] = say(x, true, head, i, to_k);
        }
    free(head);
    return rc;
}

static void step_fold(const struct router_cross *x, const double *said, int k,
                      double *weight, double *p)
{
    struct stats_isotonic f;

    for (size_t i = 0; i < x->n; i++)
        weight[i] = x->fold[i] != k;
    stats_isotonic_fit(said, x->y, weight, x->n, &f);
    for (size_t i = 0; i < x->n; i++)
        if (x->fold[i] == k)
            p[i] = stats_isotonic_at(&f, said[i]);
    stats_isotonic_release(&f);
}

int router_cross_nested(const struct router_cross *x, double *p)
{
    double *said = mem_zalloc(FOLDS * x->n * sizeof(*said));
    double *weight = mem_array(x->n, sizeof(*weight));
    int rc = say_nested(x, said);

    for (int k = 0; k < FOLDS && rc == 0; k++)
        step_fold(x, said + (size_t)k * x->n, k, weight, p);
    free(said);
    free(weight);
    return rc;
}

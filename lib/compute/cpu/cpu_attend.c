/*
 * cpu_attend.c - a block of queries against keys, part by part
 *
 * Online softmax over CPU_KEYS keys at a time, so that scores stay in the
 * first-level cache; strips of rows go no further than their last row sees.
 */
#include "compute/cpu/cpu_attention.h"

#include <math.h>
#include <string.h>

void cpu_attend_memory(struct cpu_attend *t, struct cpu_scratch *scratch)
{
    size_t rows = cpu_attend_rows(t->k);
    float *x =
        cpu_scratch_get(scratch, rows * (CPU_SCORES + 3 * t->dim) * sizeof(*x));

    t->s = x;
    t->q = t->s + rows * CPU_SCORES;
    t->all.o = t->q + rows * t->dim;
    t->part.o = t->all.o + rows * t->dim;
}

void cpu_attend_load(struct cpu_attend *t, const struct cpu_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        size_t at = (p->first + i) / p->group;
        size_t head = (p->first + i) % p->group, row = p->at + i;

        memcpy(t->q + row * t->dim, p->q + at * p->ld + head * t->dim,
               t->dim * sizeof(*t->q));
        t->sees[row] = p->seen + at * p->step;
        t->all.max[row] = -INFINITY;
        t->all.sum[row] = 0;
    }
}

size_t cpu_attend_first(const struct cpu_attend *t)
{
    size_t nr = t->k->nr;

    return t->window && t->sees[0] > t->window
               ? (t->sees[0] - t->window) / nr * nr
               : 0;
}

static void product(const struct cpu_attend *t, struct cpu_block *b,
                    const void *panels, size_t at)
{
    if (t->type == COMPUTE_F32) {
        b->b = (const float *)panels + at;
        t->k->block(b);
    } else {
        t->k->block_thin(
            b, (const char *)panels + at * compute_type_size(t->type), t->type);
    }
}

static void load_factors(struct cpu_attend *t, size_t at, size_t n)
{
    size_t from = t->ring ? at % t->ring : at, nr = t->k->nr;

    for (size_t i = from / nr; i * nr < from + n; i++) {
        const char *x = (const char *)t->keys + i * t->key_stride + nr * t->dim;
        size_t to = (i - from / nr) * nr;

        memcpy(t->factors[0] + to, x, nr * sizeof(float));
        memcpy(t->factors[1] + to, x + nr * sizeof(float), nr * sizeof(float));
    }
}

/* Row i's scores of n keys from `at` on become probabilities but for a factor;
 * what its part has so far shrinks where the maximum rises. off: of the first
 * key in its panel. */
static void row_softmax(struct cpu_attend *t, size_t i, size_t at, size_t n,
                        size_t off)
{
    size_t sees = t->sees[i], first;
    size_t valid = sees <= at ? 0 : sees - at < n ? sees - at : n, skip = 0;
    float *row = t->s + i * CPU_SCORES, *max = &t->part.max[i], old = *max, sum;
    float scale = t->scale;

    if (t->window && sees > t->window && sees - t->window > at) {
        first = sees - t->window - at;
        skip = first < valid ? first : valid;
    }
    memset(row, 0, skip * sizeof(*row));
    memset(row + valid, 0, (n - valid) * sizeof(*row));
    if (valid == skip)
        return;
    n = valid - skip;
    row += skip;
    if (t->type == COMPUTE_I8)
        t->k->times(row, t->factors[0] + off + skip, n);
    if (t->softcap > 0) {
        t->k->softcap(row, row, scale, t->softcap, n);
        scale = 1;
    }
    sum = t->k->softmax_part(row, n, scale, max);
    if (t->type == COMPUTE_I8)
        t->k->times(row, t->factors[1] + off + skip, n);
    if (t->part.sum[i] > 0 && *max > old) {
        float shrink = expf(old - *max);

        t->part.sum[i] *= shrink;
        t->k->scale(t->part.o + i * t->dim, shrink, t->dim);
    }
    t->part.sum[i] += sum;
}

/* Rows i.. of the block; `add` to what the part has. */
static void rows_attend(struct cpu_attend *t, size_t i, size_t m, size_t at,
                        size_t n, bool add)
{
    size_t from = t->ring ? at % t->ring : at, nr = t->k->nr;
    struct cpu_block b = { .m = m,
                           .n = n,
                           .k = t->dim,
                           .a = t->q + i * t->dim,
                           .rs = t->dim,
                           .cs = 1,
                           .panel_stride = t->key_stride,
                           .c = t->s + i * CPU_SCORES,
                           .ldc = CPU_SCORES,
                           .alpha = 1 };

    product(t, &b, t->keys, from / nr * t->key_stride);
    for (size_t r = i; r < i + m; r++)
        row_softmax(t, r, at, n, from % nr);
    b = (struct cpu_block){ .m = m,
                            .n = t->dim,
                            .k = n,
                            .a = t->s + i * CPU_SCORES,
                            .rs = CPU_SCORES,
                            .cs = 1,
                            .panel_stride = t->value_stride,
                            .c = t->part.o + i * t->dim,
                            .ldc = t->dim,
                            .alpha = 1,
                            .add = add };
    product(t, &b, t->values, from * nr);
}

void cpu_attend_part(struct cpu_attend *t, size_t at, size_t end)
{
    bool add = false;

    for (size_t i = 0; i < t->m; i++) {
        t->part.max[i] = -INFINITY;
        t->part.sum[i] = 0;
    }
    for (size_t n; at < end; at += n, add = true) {
        size_t step = t->k->mr, most = cpu_block_keys(t->k);

        n = most - at % most;
        n = end - at < n ? end - at : n;
        if (t->sees[0] >= at + n)
            step = t->m;
        if (t->type == COMPUTE_I8)
            load_factors(t, at, n);
        for (size_t i = 0; i < t->m; i += step) {
            size_t m = t->m - i < step ? t->m - i : step;
            size_t sees = t->sees[i + m - 1];

            if (sees > at)
                rows_attend(t, i, m, at, sees - at < n ? sees - at : n, add);
        }
    }
}

void cpu_attend_join(struct cpu_attend *t, const struct cpu_part *part)
{
    struct cpu_part *all = &t->all;

    for (size_t i = 0; i < t->m; i++) {
        float *o = all->o + i * t->dim, *more = part->o + i * t->dim;
        float up = part->max[i] - all->max[i], factor = 1;

        if (part->sum[i] <= 0)
            continue;
        if (all->sum[i] <= 0) {
            memcpy(o, more, t->dim * sizeof(*o));
            all->max[i] = part->max[i];
            all->sum[i] = part->sum[i];
            continue;
        }
        if (up > 0) {
            t->k->scale(o, expf(-up), t->dim);
            all->sum[i] *= expf(-up);
            all->max[i] = part->max[i];
        } else {
            factor = expf(up);
        }
        t->k->axpy(o, factor, more, t->dim);
        all->sum[i] += factor * part->sum[i];
    }
}

void cpu_attend_all(struct cpu_attend *t)
{
    size_t end = t->sees[t->m - 1], part = cpu_part_keys(t->k);

    for (size_t at = cpu_attend_first(t), next; at < end; at = next) {
        next = at / part * part + part;
        next = next < end ? next : end;
        cpu_attend_part(t, at, next);
        cpu_attend_join(t, &t->part);
    }
}

void cpu_attend_store(const struct cpu_attend *t, size_t i, float *o,
                      float *lse)
{
    memcpy(o, t->all.o + i * t->dim, t->dim * sizeof(*o));
    t->k->scale(o, 1 / t->all.sum[i], t->dim);
    if (lse)
        *lse = t->all.max[i] + logf(t->all.sum[i]);
}

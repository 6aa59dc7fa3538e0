/*
 * model_bank.c - several adapters over one base, each with its own buffers
 *
 * An adapter is read into the model as any other and then taken out of it, so
 * that there is one reader. Its name serves messages alone: what it is, is the
 * hash of the numbers that it computes with.
 */
#include "base/mem.h"
#include "crypto/crypto.h"
#include "model/model_session.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_ROWS 64 /* rows of the unit matrix in one product */

struct model_bank {
    struct model *m;
    struct model_bank_adapter *adapters;
    size_t count;
};

const struct model_bank_adapter *model_bank_at(const struct model_bank *b,
                                               size_t i)
{
    if (!b || i == 0)
        return NULL;
    assert(i <= b->count);
    return &b->adapters[i - 1];
}

size_t model_bank_count(const struct model_bank *b)
{
    return b ? b->count : 0;
}

const unsigned char *model_bank_hash(const struct model_bank *b, size_t i)
{
    return model_bank_at(b, i)->hash;
}

static void hash_span(struct model *m, struct crypto_hasher *h,
                      struct compute_span x, size_t n)
{
    float *host = mem_array(n, sizeof(*host));

    m->compute->ops->download(m->compute, host, x, n);
    crypto_hasher_update(
        h, (struct slice){ (const char *)host, n * sizeof(*host) });
    free(host);
}

/* Of all that makes a difference to what it computes. */
static void hash_adapter(struct model *m, unsigned char out[MODEL_HASH_BYTES])
{
    const struct crypto_key none = { { 0 } };
    struct crypto_hasher h;

    _Static_assert(MODEL_HASH_BYTES == CRYPTO_HASH_BYTES, "one kind of hash");
    crypto_hasher_init(&h, &none);
    for (size_t i = 0; i < m->linear_count; i++) {
        const struct model_linear *l = m->linears[i];
        const uint64_t head[] = { i, l->rank, l->magnitude.buf != NULL };

        if (l->rank == 0)
            continue;
        crypto_hasher_update(
            &h, (struct slice){ (const char *)head, sizeof(head) });
        crypto_hasher_update(
            &h, (struct slice){ (const char *)&l->scale, sizeof(l->scale) });
        hash_span(m, &h, l->a, l->rank * l->k);
        hash_span(m, &h, l->b, l->rank * l->n);
        if (l->magnitude.buf)
            hash_span(m, &h, l->magnitude, l->n);
    }
    crypto_hasher_final(&h, out);
}

/* Adds the squares of rows [rows,n] to sums. */
static void add_squares(struct model *m, struct compute_span y, size_t rows,
                        size_t n, float *host, double *sums)
{
    m->compute->ops->download(m->compute, host, y, rows * n);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            sums[i] += (double)host[r * n + i] * (double)host[r * n + i];
}

/* DoRA's gains. The base is packed by now, so the rows of W + scale B A come
 * as its products with the unit matrix. */
static int find_gain(struct model *m, struct model_linear *l, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    struct compute_span x = { 0 }, low = { 0 }, y = { 0 };
    float *unit = mem_zalloc(UNIT_ROWS * l->k * sizeof(*unit));
    float *host = mem_array(UNIT_ROWS * l->n, sizeof(*host));
    double *sums = mem_zalloc(l->n * sizeof(*sums));
    int rc = compute_alloc(m->compute, COMPUTE_F32, UNIT_ROWS * l->k, "DoRA",
                           &x, err);

    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, UNIT_ROWS * l->rank, "DoRA",
                           &low, err);
    if (rc == 0)
        rc = compute_alloc(m->compute, COMPUTE_F32, UNIT_ROWS * l->n, "DoRA",
                           &y, err);
    for (size_t at = 0; rc == 0 && at < l->k; at += UNIT_ROWS) {
        size_t rows = l->k - at < UNIT_ROWS ? l->k - at : UNIT_ROWS;
        struct compute_linear a = { .y = low,
                                    .x = x,
                                    .w = l->a,
                                    .m = rows,
                                    .n = l->rank,
                                    .k = l->k,
                                    .alpha = l->scale };
        struct compute_linear w = { .y = y,
                                    .x = x,
                                    .w = l->w,
                                    .m = rows,
                                    .n = l->n,
                                    .k = l->k,
                                    .alpha = 1,
                                    .x2 = low,
                                    .w2 = l->b,
                                    .k2 = l->rank };

        memset(unit, 0, rows * l->k * sizeof(*unit));
        for (size_t r = 0; r < rows; r++)
            unit[r * l->k + at + r] = 1;
        ops->upload(m->compute, x, unit, rows * l->k);
        ops->linear(m->compute, &a);
        ops->linear(m->compute, &w);
        add_squares(m, y, rows, l->n, host, sums);
    }
    if (rc == 0) {
        ops->download(m->compute, host, l->magnitude, l->n);
        for (size_t i = 0; i < l->n; i++)
            host[i] = (float)((double)host[i] / sqrt(sums[i]));
        ops->upload(m->compute, l->gain, host, l->n);
    }
    compute_release(m->compute, &x);
    compute_release(m->compute, &low);
    compute_release(m->compute, &y);
    free(sums);
    free(host);
    free(unit);
    return rc;
}

/* Moves what the model holds of one layer into the bank. */
static int take_part(struct model *m, struct model_linear *l,
                     struct model_bank_part *p, struct err *err)
{
    const struct compute_ops *ops = m->compute->ops;
    int rc = 0;

    if (l->rank == 0)
        return 0;
    if (l->magnitude.buf)
        rc = find_gain(m, l, err);
    if (rc == 0)
        rc = ops->freeze(m->compute, l->a, l->rank, l->k, true, err);
    if (rc == 0)
        rc = ops->freeze(m->compute, l->b, l->n, l->rank, true, err);
    if (rc < 0)
        return rc;
    *p = (struct model_bank_part){ .rank = l->rank,
                                   .scale = l->scale,
                                   .a = l->a,
                                   .b = l->b,
                                   .gain = l->gain };
    if (l->rank > m->bank_rank)
        m->bank_rank = l->rank;
    if (l->gain.buf && l->n > m->bank_wide)
        m->bank_wide = l->n;
    l->a = l->b = l->gain = (struct compute_span){ 0 };
    return 0;
}

static int add_adapter(struct model_bank *b, const char *dir, struct err *err)
{
    struct model *m = b->m;
    struct model_bank_adapter *a = &b->adapters[b->count++];
    int rc;

    a->name = mem_strdup(dir);
    a->parts = mem_zalloc((m->linear_count + 1) * sizeof(*a->parts));
    rc = model_peft_load(m, dir, false, err);
    if (rc == 0)
        hash_adapter(m, a->hash);
    for (size_t i = 0; rc == 0 && i < m->linear_count; i++)
        rc = take_part(m, m->linears[i], &a->parts[i], err);
    model_adapter_drop(m);
    return rc;
}

int model_bank_new(struct model *m, const char *const *dirs, size_t count,
                   struct model_bank **out, struct err *err)
{
    struct model_bank *b;
    int rc = crypto_init(err);

    if (rc < 0)
        return rc;
    if (count > MODEL_BANK_ADAPTERS)
        return err_set(err, ERR_LIMIT, "%zu adapters over one base: at most %d",
                       count, MODEL_BANK_ADAPTERS);
    if (m->adapter.count > 0)
        return err_set(err, ERR_INVALID,
                       "the base has an adapter of its own already");
    b = mem_zalloc(sizeof(*b));
    b->m = m;
    b->adapters = mem_zalloc((count + 1) * sizeof(*b->adapters));
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = stop_requested() ? err_set(err, ERR_INTERRUPTED, "interrupted")
                              : add_adapter(b, dirs[i], err);
    if (rc < 0) {
        model_bank_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

void model_bank_free(struct model_bank *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++) {
        for (size_t k = 0; k < b->m->linear_count; k++) {
            struct model_bank_part *p = &b->adapters[i].parts[k];

            compute_release(b->m->compute, &p->a);
            compute_release(b->m->compute, &p->b);
            compute_release(b->m->compute, &p->gain);
        }
        free(b->adapters[i].parts);
        free(b->adapters[i].name);
    }
    free(b->adapters);
    free(b);
}

/*
 * model_encoder.c - rows of tokens to an encoder's states and vectors
 *
 * Forward alone, in f32: each row sees all of its document, norms come after
 * the sums. It is no family of the decoder's: it has no cache, no head and no
 * gradient.
 */
#include "model/model_encoder.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static int ensure_work(struct model_encoder *e, size_t rows, struct err *err)
{
    struct encoder_work *w = &e->work;
    size_t d = rows * (size_t)e->shape.hidden;
    const struct {
        struct compute_span *span;
        enum compute_type type;
        size_t n;
    } list[] = { { &w->x, COMPUTE_ACT, d },
                 { &w->y, COMPUTE_ACT, d },
                 { &w->q, COMPUTE_ACT, d },
                 { &w->k, COMPUTE_ACT, d },
                 { &w->v, COMPUTE_ACT, d },
                 { &w->wide, COMPUTE_ACT, rows * e->ffn },
                 { &w->ids, COMPUTE_I32, rows },
                 { &w->positions, COMPUTE_I32, rows } };
    int rc = 0;

    if (rows <= w->rows)
        return 0;
    model_encoder_release_work(e);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && rc == 0; i++)
        rc = compute_alloc(e->compute, list[i].type, list[i].n, "encoder",
                           list[i].span, err);
    if (rc == 0)
        w->rows = rows;
    else
        model_encoder_release_work(e);
    return rc;
}

static int check_batch(const struct model_encoder *e,
                       const struct model_encoder_batch *b, struct err *err)
{
    assert(b->starts[0] == 0 && (size_t)b->starts[b->docs] == b->rows);
    for (size_t d = 0; d < b->docs; d++) {
        int64_t n = (int64_t)b->starts[d + 1] - b->starts[d];

        if (n < 1 || n > e->shape.context)
            return err_set(err, ERR_LIMIT,
                           "text %zu has %lld tokens; the encoder takes 1 to "
                           "%lld",
                           d, (long long)n, (long long)e->shape.context);
        if (b->seen[d] < 1 || b->seen[d] > n)
            return err_set(err, ERR_INVALID,
                           "text %zu: 1 to all of its tokens must count", d);
    }
    for (size_t i = 0; i < b->rows; i++)
        if (b->ids[i] < 0 || b->ids[i] >= e->shape.vocab)
            return err_set(err, ERR_INVALID,
                           "token id %d is not in the encoder's vocabulary",
                           b->ids[i]);
    return 0;
}

static void run_linear(struct model_encoder *e, const struct encoder_linear *l,
                       struct compute_span y, struct compute_span x,
                       struct compute_span addend, size_t rows)
{
    e->compute->ops->linear(e->compute,
                            &(struct compute_linear){ .y = y,
                                                      .x = x,
                                                      .w = l->w,
                                                      .bias = l->bias,
                                                      .addend = addend,
                                                      .m = rows,
                                                      .n = l->n,
                                                      .k = l->k,
                                                      .alpha = 1 });
}

static void run_norm(struct model_encoder *e, const struct encoder_norm *n,
                     struct compute_span y, struct compute_span x, size_t rows)
{
    e->compute->ops->layernorm(e->compute, y, x, n->w, n->b,
                               (struct compute_span){ 0 }, rows,
                               (size_t)e->shape.hidden, e->eps);
}

static void run_layer(struct model_encoder *e, const struct encoder_layer *l,
                      const struct model_encoder_batch *b)
{
    const struct compute_ops *ops = e->compute->ops;
    struct encoder_work *w = &e->work;
    struct compute_span none = { 0 };
    size_t dim = (size_t)e->shape.hidden / e->heads;

    run_linear(e, &l->q, w->q, w->x, none, b->rows);
    run_linear(e, &l->k, w->k, w->x, none, b->rows);
    run_linear(e, &l->v, w->v, w->x, none, b->rows);
    ops->attention(e->compute,
                   &(struct compute_attention){ .o = w->y,
                                                .q = w->q,
                                                .k = w->k,
                                                .v = w->v,
                                                .starts = b->starts,
                                                .docs = b->docs,
                                                .rows = b->rows,
                                                .heads = e->heads,
                                                .kv_heads = e->heads,
                                                .dim = dim,
                                                .scale = 1 / sqrtf((float)dim),
                                                .seen = b->seen });
    run_linear(e, &l->o, w->q, w->y, w->x, b->rows);
    run_norm(e, &l->attended, w->x, w->q, b->rows);
    run_linear(e, &l->up, w->wide, w->x, none, b->rows);
    ops->activate(e->compute, e->act, w->wide, w->wide, b->rows * e->ffn);
    run_linear(e, &l->down, w->q, w->wide, w->x, b->rows);
    run_norm(e, &l->out, w->x, w->q, b->rows);
}

static void embed(struct model_encoder *e, const struct model_encoder_batch *b)
{
    const struct compute_ops *ops = e->compute->ops;
    size_t d = (size_t)e->shape.hidden;
    int32_t *places = mem_array(b->rows, sizeof(*places));
    struct encoder_work *w = &e->work;

    for (size_t i = 0; i < b->docs; i++)
        for (int32_t r = b->starts[i]; r < b->starts[i + 1]; r++)
            places[r] = r - b->starts[i];
    ops->upload(e->compute, w->ids, b->ids, b->rows);
    ops->upload(e->compute, w->positions, places, b->rows);
    ops->embed(e->compute, w->q, e->words, w->ids, b->rows, d);
    ops->embed(e->compute, w->k, e->places, w->positions, b->rows, d);
    ops->axpy(e->compute, w->q, 1, w->k, b->rows * d);
    run_norm(e, &e->norm, w->x, w->q, b->rows);
    free(places);
}

int model_encoder_states(struct model_encoder *e,
                         const struct model_encoder_batch *b, float *out,
                         struct err *err)
{
    const struct compute_ops *ops = e->compute->ops;
    int rc = check_batch(e, b, err);

    if (rc == 0 && b->rows)
        rc = ensure_work(e, b->rows, err);
    if (rc < 0 || b->rows == 0)
        return rc;
    embed(e, b);
    for (size_t i = 0; i < (size_t)e->shape.layers; i++)
        run_layer(e, &e->layers[i], b);
    ops->download(e->compute, out, e->work.x,
                  b->rows * (size_t)e->shape.hidden);
    return ops->sync(e->compute, err);
}

/* The mean of n rows, scaled to length 1. */
static void mean_row(const float *x, size_t n, size_t d, float *out)
{
    double squares = 0;

    for (size_t i = 0; i < d; i++) {
        double sum = 0;

        for (size_t r = 0; r < n; r++)
            sum += (double)x[r * d + i];
        out[i] = (float)(sum / (double)n);
        squares += (double)out[i] * (double)out[i];
    }
    for (size_t i = 0; i < d && squares > 0; i++)
        out[i] = (float)((double)out[i] / sqrt(squares));
}

int model_encoder_vectors(struct model_encoder *e,
                          const struct model_encoder_batch *b, float *out,
                          struct err *err)
{
    size_t d = (size_t)e->shape.hidden;
    void *states = NULL;
    int rc = mem_try_array(&states, b->rows * d, sizeof(float), "states", err);

    if (rc == 0)
        rc = model_encoder_states(e, b, states, err);
    for (size_t i = 0; rc == 0 && i < b->docs; i++)
        mean_row((float *)states + (size_t)b->starts[i] * d, (size_t)b->seen[i],
                 d, out + i * d);
    free(states);
    return rc;
}

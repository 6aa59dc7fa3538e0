/*
 * bench_steps.c - LoRA and QLoRA training steps and decoding of whole models
 *
 * Shapes of released models with random weights in bf16: one block of random
 * numbers again and again, since only the time counts. A step is forward,
 * backward, clipping and AdamW on 4 documents of 1,024 tokens, the second half
 * of each trained; rank 16 on all linear layers. For QLoRA the matrices of
 * the blocks are in NF4.
 */
#include "bench.h"

#include "base/mem.h"
#include "model/model_private.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCS 4
#define STEPS 5 /* timed; the median counts */
#define STEPS_MOST 64
#define SUMS 2 /* of the gradient's squares, of the losses */
#define PROMPT 16
#define ANSWER 64
#define JOBS 64
#define WARM                                                                   \
    4 /* tokens of an answer before steps are timed: some launch each          \
       * kernel by itself, one is recorded */

struct shape {
    const char *name;
    int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
    bool tied;
};

static const struct shape shapes[] = {
    { "135M", 49152, 576, 1536, 30, 9, 3, 64, true },
    { "1B", 128256, 2048, 8192, 16, 32, 8, 64, true },
    { "8B", 128256, 4096, 14336, 32, 32, 8, 128, false },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static const struct shape tiny = { "tiny", 512, 64, 128, 2, 2, 1, 32, true };

static bool is_done(struct bench *b, int rc)
{
    if (rc < 0)
        (void)printf("FAIL %s\n", b->err.msg);
    return rc == 0;
}

static int new_tensor(struct bench *b, struct model *m, size_t i, bool blocks)
{
    struct model_tensor *t = &m->base.tensors[i];
    size_t n = (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
    enum compute_type type = t->cols ? COMPUTE_BF16 : COMPUTE_F32;
    int rc =
        compute_alloc(b->c, type, n, t->name, m->base.slots[i].value, &b->err);

    if (rc < 0)
        return rc;
    t->value = *m->base.slots[i].value;
    if (t->cols)
        bench_fill(b, t->value, type, n, 0.02f);
    else
        b->c->ops->fill(b->c, t->value, 1, n);
    if (!blocks || !model_is_layer(m, m->base.slots[i].value))
        return 0;
    return b->c->ops->quantise(b->c, t->value, (size_t)t->rows,
                               n / (size_t)t->rows, COMPUTE_NF4, &b->err);
}

static int new_model(struct bench *b, const struct shape *s, bool blocks,
                     struct model **out)
{
    struct model_config config = { .family = "llama",
                                   .vocab = s->vocab,
                                   .hidden = s->hidden,
                                   .ffn = s->ffn,
                                   .layers = s->layers,
                                   .heads = s->heads,
                                   .kv_heads = s->kv_heads,
                                   .head_dim = s->head_dim,
                                   .context = 8192,
                                   .norm_eps = 1e-5,
                                   .rope_theta = 5e5,
                                   .tied = s->tied,
                                   .init_range = 0.02,
                                   .bos = -1 };
    struct model *m = model_shape(&config, b->c);

    *out = m;
    for (size_t i = 0; i < m->base.count; i++) {
        int rc = new_tensor(b, m, i, blocks);

        if (rc < 0)
            return rc;
    }
    model_tie(m);
    return 0;
}

static void make_batch(struct model_batch *b, int32_t *memory, int32_t *starts,
                       size_t rows, int64_t vocab)
{
    int32_t *ids = memory, *labels = ids + rows, *positions = labels + rows;
    size_t length = rows / DOCS;

    for (size_t d = 0; d <= DOCS; d++)
        starts[d] = (int32_t)(d * length);
    for (size_t i = 0; i < rows; i++) {
        ids[i] = (int32_t)((i * 7919 + i / 3) % (size_t)vocab);
        positions[i] = (int32_t)(i % length);
        labels[i] = i % length < length / 2 ? -1 : ids[i];
    }
    *b = (struct model_batch){ ids, labels, positions, rows, starts, DOCS };
}

/* As lib/lora makes it: everything is queued, then two sums come back. */
static int step(struct bench *b, struct model *m, struct model_trained t,
                const struct model_batch *batch, struct compute_adamw *a)
{
    const struct compute_ops *o = b->c->ops;
    double sums[SUMS] = { 0 };
    size_t count;
    int rc;

    o->fill(b->c, t.grads, 0, t.count);
    o->fill(b->c, a->sums, 0, SUMS);
    rc = model_step_add(m, batch, 2.0 / (double)batch->rows,
                        compute_at(a->sums, 1), &count, &b->err);
    if (rc < 0)
        return rc;
    o->accumulate(b->c, a->sums, t.grads, t.count, true);
    a->step++;
    o->adamw(b->c, a);
    o->download(b->c, sums, a->sums, SUMS);
    rc = o->sync(b->c, &b->err);
    if (rc == 0 && !(isfinite(sums[0]) && isfinite(sums[1])))
        rc = err_set(&b->err, ERR_INVALID, "loss %g, squares %g", sums[1],
                     sums[0]);
    return rc;
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static int time_steps(struct bench *b, const struct shape *s, struct model *m,
                      struct model_trained t, bool blocks)
{
    size_t rows = b->tokens ? b->tokens : b->quick ? 128 : 4096;
    size_t steps = b->steps ? b->steps : b->quick ? 1 : STEPS;
    int32_t *memory = mem_array(rows, 3 * sizeof(*memory)), starts[DOCS + 1];
    struct compute_adamw a = { .p = t.values,
                               .g = t.grads,
                               .n = t.count,
                               .lr = 2e-4,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .sum_count = SUMS,
                               .clip = 1 };
    struct model_batch batch;
    double seconds[STEPS_MOST];
    size_t used, peak;
    char shape[64];
    int rc = compute_alloc(b->c, COMPUTE_F32, t.count, "m", &a.m, &b->err);

    steps = steps < STEPS_MOST ? steps : STEPS_MOST;
    if (rc == 0)
        rc = compute_alloc(b->c, COMPUTE_F32, t.count, "v", &a.v, &b->err);
    if (rc == 0)
        rc = compute_alloc(b->c, COMPUTE_F64, SUMS, "sums", &a.sums, &b->err);
    if (rc == 0)
        rc = model_step_reserve(m, rows, DOCS, rows / DOCS, true, &b->err);
    make_batch(&batch, memory, starts, rows, s->vocab);
    if (rc == 0)
        rc = step(b, m, t, &batch, &a); /* warm */
    for (size_t i = 0; rc == 0 && i < steps; i++) {
        double start = bench_now_s();

        rc = step(b, m, t, &batch, &a);
        seconds[i] = bench_now_s() - start;
    }
    b->c->ops->memory(b->c, &used, &peak);
    compute_release(b->c, &a.m);
    compute_release(b->c, &a.v);
    compute_release(b->c, &a.sums);
    free(memory);
    if (rc < 0)
        return rc;
    qsort(seconds, steps, sizeof(double), by_value);
    (void)snprintf(shape, sizeof(shape), "%s r=16 %dx%zu peak %.1f GB", s->name,
                   DOCS, rows / DOCS, (double)peak * 1e-9);
    /* Frozen weights: 4 flops a parameter and token, less the embedding. */
    bench_tokens(
        b, blocks ? "qlora step" : "lora step", shape,
        (double)rows / seconds[steps / 2],
        b->tflops > 0
            ? 4e-12 * (double)rows / seconds[steps / 2] *
                  ((double)model_config_parameters(&m->config) -
                   (s->tied ? 0.5 : 1.5) * (double)(s->vocab * s->hidden)) /
                  b->tflops
            : (double)NAN);
    return 0;
}

static void lora(struct bench *b, const struct shape *s, bool blocks)
{
    struct model_adapter a = { .rank = 16, .scale = 2, .seed = 1 };
    struct model *m = NULL;
    struct model_trained t;
    int rc = new_model(b, s, blocks, &m);

    if (rc == 0)
        rc = model_adapter_new(m, &a, &b->err);
    if (rc == 0)
        rc = model_train_begin(m, true, &t, &b->err);
    if (rc == 0)
        rc = time_steps(b, s, m, t, blocks);
    (void)is_done(b, rc);
    model_free(m);
}

/* Seconds for `count` answers of `tokens` tokens each. */
static int answer(struct bench *b, struct model *m, size_t count, size_t tokens,
                  double *seconds)
{
    static int32_t prompt[JOBS + PROMPT], out[JOBS][ANSWER + 1];
    struct model_sampling opt = { .max_tokens = tokens,
                                  .ignore_eos = true,
                                  .plain = true };
    struct model_job jobs[JOBS] = { { 0 } };
    double start;
    int rc;

    for (size_t i = 0; i < count; i++) {
        prompt[i] = (int32_t)i + 5;
        jobs[i] = (struct model_job){ .prompt = prompt + i / 2,
                                      .prompt_count = PROMPT,
                                      .out = out[i] };
    }
    start = bench_now_s();
    rc = model_generate_batch(m, jobs, count, &opt, NULL, &b->err);
    *seconds = bench_now_s() - start;
    return rc;
}

static int time_decode(struct bench *b, const struct shape *s, struct model *m,
                       const char *path, size_t count)
{
    size_t tokens = b->steps ? b->steps : b->quick ? 4 : ANSWER;
    size_t warm = tokens > 2 * WARM ? WARM : 0;
    double first, all, steps, bytes;
    char shape[64];
    int rc;

    if (b->batch && count != b->batch)
        return 0;
    rc = answer(b, m, count, 2, &first); /* memory */
    tokens = tokens < ANSWER ? tokens : ANSWER;
    if (rc == 0)
        rc = answer(b, m, count, 1 + warm, &first);
    if (rc == 0)
        rc = answer(b, m, count, 1 + tokens, &all);
    if (rc < 0)
        return rc;
    steps = (double)(tokens - warm) / (all - first);
    /* Every weight once a step, but of the embedding (untied) rows only. */
    bytes = 2.0 * ((double)model_config_parameters(&m->config) -
                   (s->tied ? 0 : (double)(s->vocab * s->hidden)));
    (void)snprintf(shape, sizeof(shape), "%s batch %zu", s->name, count);
    bench_tokens(b, path, shape, steps * (double)count,
                 b->gbytes > 0 ? bytes * steps * 1e-9 / b->gbytes
                               : (double)NAN);
    return 0;
}

/* Steps as the device does them, and each kernel launched by itself. */
static void decode(struct bench *b, const struct shape *s)
{
    const size_t counts[] = { 1, b->quick ? 4 : JOBS };
    const struct compute_ops *real = b->c->ops;
    struct compute_ops plain = *real;
    struct model *m = NULL;
    int rc = new_model(b, s, false, &m);

    plain.step_begin = NULL;
    plain.step_end = NULL;
    for (size_t i = 0; rc == 0 && i < m->linear_count; i++)
        rc = model_linear_freeze(m, m->linears[i], true, &b->err);
    if (rc == 0)
        rc = model_linear_freeze(m, &m->head, !s->tied, &b->err);
    for (size_t i = 0; rc == 0 && i < 2 && bench_wants(b, "decode"); i++)
        rc = time_decode(b, s, m, "decode", counts[i]);
    b->c->ops = &plain;
    for (size_t i = 0; rc == 0 && i < 2 && real->step_begin &&
                       bench_wants(b, "decode nograph");
         i++)
        rc = time_decode(b, s, m, "decode nograph", counts[i]);
    b->c->ops = real;
    (void)is_done(b, rc);
    model_free(m);
}

void bench_models(struct bench *b)
{
    for (size_t i = 0; i < SHAPES + 1; i++) {
        const struct shape *s = i < SHAPES ? &shapes[i] : &tiny;

        if (b->quick != (i == SHAPES) ||
            (b->models && fnmatch(b->models, s->name, 0) != 0))
            continue;
        if (bench_wants(b, "lora step"))
            lora(b, s, false);
        if (bench_wants(b, "qlora step") && b->c->ops->quantise)
            lora(b, s, true);
        else if (bench_wants(b, "qlora step"))
            (void)printf("skip: qlora step %s: the device keeps no blocks\n",
                         s->name);
        if (bench_wants(b, "decode") || bench_wants(b, "decode nograph"))
            decode(b, s);
    }
}

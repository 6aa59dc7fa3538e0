/*
 * session_problem.h - what the tests of sessions share: tiny models of each
 * kind of state, adapters of random numbers, sequences that note what they get
 */
#ifndef SESSION_PROBLEM_H
#define SESSION_PROBLEM_H

#include "adapter_files.h"
#include "ok.h"
#include "scratch.h"

#include "base/io.h"
#include "base/mem.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB 61
#define HIDDEN 24
#define FFN 40
#define MOST 40 /* tokens of an answer in these tests */

#define SIZES                                                                  \
    .hidden = HIDDEN, .ffn = FFN, .layers = 2, .heads = 4, .kv_heads = 2,      \
    .head_dim = 6, .context = 512, .norm_eps = 1e-5, .rope_theta = 100,        \
    .init_range = 0.3, .vocab = VOCAB

static const struct model_config kinds[] = {
    { SIZES, .family = "llama" },
    { SIZES, .family = "mistral", .window = 20,
      .layer = { MODEL_LAYER_WINDOW, MODEL_LAYER_WINDOW } },
    { SIZES, .family = "falcon_h1",
      .mamba = { .heads = 20,
                 .head_dim = 3,
                 .groups = 1,
                 .state = 5,
                 .conv = 4,
                 .conv_bias = true,
                 .norm = true,
                 .dt_max = 1e3 } },
};
#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static struct compute *cpu;
static char dir[SCRATCH_MAX];

static inline void setup(void)
{
    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = 2 },
                    &cpu, &err));
    scratch_make(dir);
}

static inline void teardown(void)
{
    compute_close(cpu);
    scratch_remove(dir);
}

/* A random model as inference has it: written, and read with packed weights.
 * What the third is cannot be written as its family's config. */
static inline struct model *base_of(int kind)
{
    char *path = io_path(dir, "base");
    struct model *m;

    OK(model_new(&kinds[kind], cpu, 3, &m, &err));
    if (kind < 2) {
        OK(io_mkdirs(path, 0755, &err));
        OK(model_save(m, path, WEIGHTS_F32, &err));
        model_free(m);
        OK(model_load(path, NULL, cpu, &m, &err));
    }
    free(path);
    return m;
}

static const struct layer layers[] = {
    { "model.layers.0.self_attn.q_proj", 24, HIDDEN },
    { "model.layers.1.self_attn.v_proj", 12, HIDDEN },
    { "model.layers.1.self_attn.o_proj", HIDDEN, 24 },
};
#define LAYERS (sizeof(layers) / sizeof(layers[0]))

/* An adapter below dir; its path is the caller's. */
static inline char *adapter_write(const char *name, uint64_t seed, int rank,
                                  bool dora, float scale, const char *fields)
{
    char *path = io_path(dir, name);

    adapter_files(path, layers, LAYERS, seed, rank, dora, scale, fields);
    return path;
}

/* Adapters a0, a1...: of several ranks, the third with magnitudes. */
static inline struct model_bank *bank_of(struct model *m, size_t count)
{
    struct model_bank *b;
    char *paths[64] = { NULL };

    for (size_t i = 0; i < count; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "a%zu", i);
        paths[i] = adapter_write(name, 100 + i, 1 + (int)(3 * i % 8),
                                 i % 4 == 2, 1.5F, "");
    }
    OK(model_bank_new(m, (const char *const *)paths, count, &b, &err));
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    return b;
}

/* A sequence, and what came of it. */
struct heard {
    int32_t prompt[420], out[MOST];
    size_t prompt_count, most, adapter, count, ends, cached;
    float logits[MOST * VOCAB]; /* of each choice */
    size_t choices;
    enum model_end why;
    struct err err;
    int slot;
};

static inline void hear_logits(void *ctx, const float *logits, int32_t id)
{
    struct heard *h = ctx;

    (void)id;
    memcpy(h->logits + h->choices++ * VOCAB, logits, VOCAB * sizeof(*logits));
}

static inline int hear_token(void *ctx, const struct model_token *t)
{
    struct heard *h = ctx;

    ck_assert_uint_eq(h->ends, 0);
    if (!t->stop)
        h->out[h->count++] = t->id;
    return 0;
}

static inline void hear_end(void *ctx, enum model_end why,
                            const struct err *reason)
{
    struct heard *h = ctx;

    h->ends++;
    h->why = why;
    if (reason)
        h->err = *reason;
}

static inline int begin(struct model_session *s, struct heard *h)
{
    struct model_ask a = { .prompt = h->prompt,
                           .prompt_count = h->prompt_count,
                           .adapter = h->adapter,
                           .sampling = { .max_tokens = h->most,
                                         .ignore_eos = true,
                                         .on_choice = hear_logits,
                                         .choice_ctx = h },
                           .on_token = hear_token,
                           .on_end = hear_end,
                           .ctx = h };

    h->count = h->choices = h->ends = 0;
    return model_session_begin(s, &a, &h->slot, &h->cached, &err);
}

static inline void finish(struct model_session *s)
{
    int rc;

    while ((rc = model_session_step(s, &err)) > 0)
        continue;
    OK(rc);
}

/* The sequence in a session of its own, a row a token. */
static inline void alone(struct model *m, const struct model_bank *b,
                         struct heard *h)
{
    const struct model_session_options o = { .slots = 1,
                                             .bank = b,
                                             .plain = true };
    struct model_session *s;

    OK(model_session_open(m, &o, &s, &err));
    OK(begin(s, h));
    finish(s);
    ck_assert_uint_eq(h->ends, 1);
    model_session_close(s);
}

static inline void same(const struct heard *x, const struct heard *y)
{
    ck_assert_uint_eq(x->count, y->count);
    ck_assert_mem_eq(x->out, y->out, x->count * sizeof(x->out[0]));
    ck_assert_uint_eq(x->choices, y->choices);
    ck_assert_mem_eq(x->logits, y->logits,
                     x->choices * VOCAB * sizeof(x->logits[0]));
}

#endif

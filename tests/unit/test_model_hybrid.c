/* test_model_hybrid.c - mixers that carry a state: documents stay apart,
 * caches and passes cut anywhere change nothing, threads neither */
#include "ok.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB 61
#define ROWS 300 /* several chunks of a recurrence */

#define SIZES                                                                  \
    .vocab = VOCAB, .hidden = 24, .ffn = 40, .layers = 2, .heads = 4,          \
    .kv_heads = 2, .head_dim = 6, .context = 4096, .norm_eps = 1e-5,           \
    .rope_theta = 100, .init_range = 0.3
#define MAMBA(g)                                                               \
    .mamba = { .heads = 20,                                                    \
               .head_dim = 3,                                                  \
               .groups = (g),                                                  \
               .state = 5,                                                     \
               .conv = 4,                                                      \
               .conv_bias = true,                                              \
               .norm = true,                                                   \
               .dt_max = 1e30 }

static const struct model_config families[] = {
    { SIZES, .family = "lfm2", .qk_norm = MODEL_QK_HEAD, .conv = { 3, true },
      .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_ATTENTION } },
    { SIZES, .family = "nemotron_h", .act = MODEL_ACT_RELU2, MAMBA(2),
      .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_MLP } },
    { SIZES, .family = "granitemoehybrid", .residual_scale = 0.7, MAMBA(1),
      .layer = { MODEL_LAYER_RECURRENT,
                 MODEL_LAYER_ATTENTION | MODEL_LAYER_NOPE } },
    { SIZES, .family = "falcon_h1", MAMBA(1) },
    { SIZES, .family = "qwen3_5_text", .norm = MODEL_NORM_RMS_SHIFTED,
      .attn_gate = true, .qk_norm = MODEL_QK_HEAD,
      .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_ATTENTION },
      .delta = { .key_heads = 2,
                 .value_heads = 4,
                 .key_dim = 6,
                 .value_dim = 5,
                 .conv = 4 } },
};
#define FAMILIES ((int)(sizeof(families) / sizeof(families[0])))

static struct compute *device(unsigned threads)
{
    struct compute *c;

    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = threads },
                    &c, &err));
    return c;
}

/* Rows whose documents begin where `starts` says. */
struct packed {
    int32_t ids[ROWS], labels[ROWS], positions[ROWS];
    struct model_batch b;
};

static void packed_init(struct packed *p, const int32_t *starts, size_t docs)
{
    for (size_t d = 0; d < docs; d++)
        for (int32_t r = starts[d]; r < starts[d + 1]; r++) {
            p->ids[r] = (r * 7 + r * r) % VOCAB;
            p->labels[r] = r % 3 ? (p->ids[r] + 5) % VOCAB : -1;
            p->positions[r] = r - starts[d];
        }
    p->b = (struct model_batch){ p->ids,       p->labels,
                                 p->positions, (size_t)starts[docs],
                                 starts,       docs };
}

START_TEST(packed_documents_are_the_same_alone)
{
    static const int32_t starts[] = { 0, 1, 3, 140, 268, ROWS };
    enum { DOCS = 5 };
    struct compute *c = device(2);
    float *all = mem_array(ROWS * VOCAB, sizeof(*all));
    float *alone = mem_array(ROWS * VOCAB, sizeof(*alone));
    struct packed p;
    struct model *m;

    OK(model_new(&families[_i], c, 3, &m, &err));
    packed_init(&p, starts, DOCS);
    OK(model_batch_logits(m, &p.b, all, &err));
    for (size_t d = 0; d < DOCS; d++) {
        size_t at = (size_t)starts[d], n = (size_t)starts[d + 1] - at;

        OK(model_logits(m, p.ids + at, n, alone, &err));
        ck_assert_mem_eq(alone, all + at * VOCAB, n * VOCAB * sizeof(*all));
    }
    free(all);
    free(alone);
    model_free(m);
    compute_close(c);
}
END_TEST

/* Gradients of all weights, for a packed batch. */
static float *gradients(int family, unsigned threads, bool recompute,
                        size_t *count)
{
    static const int32_t starts[] = { 0, 2, 170, ROWS };
    struct compute *c = device(threads);
    struct model_trained t;
    struct packed p;
    struct model *m;
    size_t labelled;
    double nll;
    float *g;

    OK(model_new(&families[family], c, 3, &m, &err));
    OK(model_train_begin(m, false, &t, &err));
    model_recompute(m, recompute);
    packed_init(&p, starts, 3);
    OK(model_step(m, &p.b, 0.01, &nll, &labelled, &err));
    g = mem_array(t.count, sizeof(*g));
    c->ops->download(c, g, t.grads, t.count);
    *count = t.count;
    model_free(m);
    compute_close(c);
    return g;
}

START_TEST(gradients_have_the_same_bits_for_any_threads)
{
    size_t n, k;
    float *one = gradients(_i, 1, false, &n);

    for (unsigned threads = 2; threads <= 3; threads++) {
        float *more = gradients(_i, threads, threads == 3, &k);

        ck_assert_uint_eq(n, k);
        ck_assert_mem_eq(one, more, n * sizeof(*one));
        free(more);
    }
    free(one);
}
END_TEST

/* Greedy tokens of prompts that one pass cannot hold, many at once, are those
 * of each prompt alone and of no cache at all. */
START_TEST(a_cache_cut_by_passes_changes_nothing)
{
    enum { JOBS = 9, PROMPT = 1500, TOKENS = 6 };
    struct model_sampling opt = { .max_tokens = TOKENS, .ignore_eos = true };
    int32_t *ids = mem_array(PROMPT + JOBS + TOKENS, sizeof(*ids));
    float *x = mem_array((PROMPT + TOKENS) * (size_t)VOCAB, sizeof(*x));
    struct model_job jobs[JOBS] = { 0 };
    int32_t out[JOBS][TOKENS], alone[TOKENS];
    struct compute *c = device(2);
    struct model *m;
    size_t n;
    bool finished;

    OK(model_new(&families[_i], c, 3, &m, &err));
    for (int32_t i = 0; i < PROMPT + JOBS; i++)
        ids[i] = (i * 11 + i / 7 * i) % VOCAB;
    for (int i = 0; i < JOBS; i++) {
        jobs[i].prompt = ids + i;
        jobs[i].prompt_count = i == 4 ? PROMPT : 1 + (size_t)i * 33;
        jobs[i].out = out[i];
    }
    OK(model_generate_batch(m, jobs, JOBS, &opt, NULL, &err));
    for (int i = 0; i < JOBS; i++) {
        OK(model_generate(m, jobs[i].prompt, jobs[i].prompt_count, &opt, NULL,
                          NULL, alone, &n, &finished, NULL, &err));
        ck_assert_uint_eq(n, TOKENS);
        ck_assert_mem_eq(alone, out[i], sizeof(alone));
    }
    memmove(ids, ids + 4, PROMPT * sizeof(*ids));
    memcpy(ids + PROMPT, out[4], sizeof(out[4]));
    OK(model_logits(m, ids, PROMPT + TOKENS - 1, x, &err));
    for (size_t i = 0; i < TOKENS; i++) {
        const float *row = x + (PROMPT + i - 1) * VOCAB;

        for (size_t k = 0; k < VOCAB; k++)
            ck_assert_msg(row[k] <= row[out[4][i]] + 1e-5F, "token %zu", i);
    }
    free(ids);
    free(x);
    model_free(m);
    compute_close(c);
}
END_TEST

START_TEST(files_have_the_names_of_the_family)
{
    char dir[] = "/tmp/slmctl-test-hybrid-XXXXXX";
    int32_t ids[] = { 5, 9, 33, 60, 2, 7 };
    float a[6 * VOCAB], b[6 * VOCAB];
    struct compute *c = device(1);
    struct model *m, *n;
    struct weights *w;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    OK(model_new(&families[1], c, 3, &m, &err));
    OK(model_save(m, dir, WEIGHTS_F32, &err));
    OK(weights_open(dir, &w, &err));
    ck_assert_ptr_nonnull(weights_find(w, "backbone.embeddings.weight"));
    ck_assert_ptr_nonnull(weights_find(w, "backbone.layers.0.mixer.A_log"));
    ck_assert_ptr_nonnull(weights_find(w, "lm_head.weight"));
    weights_close(w);
    OK(model_open(dir, c, true, &n, &err));
    OK(model_logits(m, ids, 6, a, &err));
    OK(model_logits(n, ids, 6, b, &err));
    ck_assert_mem_eq(a, b, sizeof(a));
    model_free(m);
    model_free(n);
    compute_close(c);
    for (int i = 0; i < 2; i++) {
        char *path = io_path(dir, i ? "config.json" : "model.safetensors");

        ck_assert_int_eq(remove(path), 0);
        free(path);
    }
    ck_assert_int_eq(remove(dir), 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("model_hybrid");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, packed_documents_are_the_same_alone, 0, FAMILIES);
    tcase_add_loop_test(t, gradients_have_the_same_bits_for_any_threads, 0,
                        FAMILIES);
    tcase_add_loop_test(t, a_cache_cut_by_passes_changes_nothing, 0, FAMILIES);
    tcase_add_test(t, files_have_the_names_of_the_family);
    return suite_run("model_hybrid", t);
}

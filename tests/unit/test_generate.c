/*
 * test_generate.c - choosing tokens: caches, shared prefixes, sampling, forms
 */
#include "ok.h"
#include "scratch.h"
#include "suite.h"

#include "base/mem.h"
#include "constrain/constrain.h"
#include "json/json.h"
#include "model/model.h"
#include "model/model_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VOCAB 61

#define SIZES                                                                  \
    .hidden = 24, .ffn = 40, .layers = 2, .heads = 4, .kv_heads = 2,           \
    .head_dim = 6, .context = 4096, .norm_eps = 1e-5, .rope_theta = 100,       \
    .init_range = 0.3

static const struct model_config families[] = {
    { SIZES, .vocab = VOCAB, .family = "llama" },
    { SIZES, .vocab = VOCAB, .family = "mistral", .window = 20,
      .layer = { MODEL_LAYER_WINDOW, MODEL_LAYER_WINDOW } },
    { SIZES, .vocab = VOCAB, .family = "falcon_h1",
      .mamba = { .heads = 20,
                 .head_dim = 3,
                 .groups = 1,
                 .state = 5,
                 .conv = 4,
                 .conv_bias = true,
                 .norm = true,
                 .dt_max = 1e30 } },
    { SIZES, .vocab = VOCAB, .family = "qwen3_5_text",
      .norm = MODEL_NORM_RMS_SHIFTED, .attn_gate = true,
      .qk_norm = MODEL_QK_HEAD,
      .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_ATTENTION },
      .delta = { .key_heads = 2,
                 .value_heads = 4,
                 .key_dim = 6,
                 .value_dim = 5,
                 .conv = 4 } },
};
#define FAMILIES ((int)(sizeof(families) / sizeof(families[0])))

static struct compute *device(void)
{
    struct compute *c;

    OK(compute_open(&(struct compute_options){ .kernels = getenv("SLMCTL_CPU"),
                                               .threads = 2 },
                    &c, &err));
    return c;
}

/* More prompts than slots, whose first 1,100 tokens are the same (more than a
 * pass holds): as one by one, where nothing is shared. */
START_TEST(a_shared_prefix_changes_no_token)
{
    enum { JOBS = 100, SHARED = 1100, MORE = 9, TOKENS = 5 };
    struct model_sampling opt = { .max_tokens = TOKENS, .ignore_eos = true };
    struct model_job jobs[JOBS] = { 0 };
    int32_t out[JOBS][TOKENS], alone[TOKENS];
    int32_t *ids = mem_array((SHARED + MORE) * (size_t)JOBS, sizeof(*ids));
    struct compute *c = device();
    struct model *m;

    OK(model_new(&families[_i], c, 3, &m, &err));
    for (int i = 0; i < JOBS; i++) {
        int32_t *p = ids + i * (SHARED + MORE);

        for (int k = 0; k < SHARED + MORE; k++)
            p[k] = k < SHARED ? k * 7 % VOCAB : (i * 13 + k) % VOCAB;
        jobs[i].prompt = p;
        jobs[i].prompt_count = SHARED + 1 + (size_t)i % MORE;
        jobs[i].out = out[i];
    }
    OK(model_generate_batch(m, jobs, JOBS, &opt, NULL, &err));
    for (int i = 0; i < JOBS; i += 33) {
        size_t n;
        bool finished;

        OK(model_generate(m, jobs[i].prompt, jobs[i].prompt_count, &opt, NULL,
                          NULL, alone, &n, &finished, NULL, &err));
        ck_assert_uint_eq(n, TOKENS);
        ck_assert_mem_eq(alone, out[i], sizeof(alone));
    }
    free(ids);
    model_free(m);
    compute_close(c);
}
END_TEST

struct seen {
    float *rows;
    size_t count;
};

static void keep_row(void *ctx, const float *logits, int32_t id)
{
    struct seen *s = ctx;

    (void)id;
    memcpy(s->rows + s->count++ * VOCAB, logits, VOCAB * sizeof(*logits));
}

START_TEST(cached_logits_are_those_without_a_cache)
{
    enum { PROMPT = 1500, TOKENS = 40 };
    struct seen seen = { .rows =
                             mem_array((size_t)TOKENS * VOCAB, sizeof(float)) };
    struct model_sampling opt = { .max_tokens = TOKENS,
                                  .ignore_eos = true,
                                  .on_choice = keep_row,
                                  .choice_ctx = &seen };
    float *x = mem_array((PROMPT + TOKENS) * (size_t)VOCAB, sizeof(*x));
    int32_t ids[PROMPT + TOKENS];
    struct compute *c = device();
    struct model *m;
    bool finished;
    size_t n;
    float top = 0;

    OK(model_new(&families[_i], c, 3, &m, &err));
    for (int i = 0; i < PROMPT; i++)
        ids[i] = (i * 11 + i / 7 * i) % VOCAB;
    OK(model_generate(m, ids, PROMPT, &opt, NULL, NULL, ids + PROMPT, &n,
                      &finished, NULL, &err));
    ck_assert_uint_eq(seen.count, TOKENS);
    OK(model_logits(m, ids, PROMPT + TOKENS - 1, x, &err));
    for (size_t i = 0; i < (PROMPT + TOKENS - 1) * (size_t)VOCAB; i++)
        top = fmaxf(top, fabsf(x[i]));
    for (size_t i = 0; i < (size_t)TOKENS * VOCAB; i++)
        ck_assert_msg(fabsf(seen.rows[i] - x[(PROMPT - 1) * VOCAB + i]) <=
                          1e-5F * top,
                      "token %zu", i / VOCAB);
    free(x);
    free(seen.rows);
    model_free(m);
    compute_close(c);
}
END_TEST

/* A tied model whose file has a head, which differs from the embedding or
 * not: as transformers reads it. */
static void open_with_head(const char *dir, struct compute *c, bool differs,
                           const float *logits, bool *tied, bool *same)
{
    static const int32_t ids[] = { 3, 1, 4 };
    float own[3 * VOCAB];
    struct weights *w = NULL;
    struct weights_tensor t[64];
    struct model *m = NULL;
    float *head;
    size_t n;

    OK(weights_open(dir, &w, &err));
    n = weights_count(w);
    ck_assert_uint_lt(n + 1, 64);
    for (size_t i = 0; i < n; i++)
        t[i] = *weights_at(w, i);
    t[n] = *weights_find(w, "model.embed_tokens.weight");
    t[n].name = "lm_head.weight";
    head = mem_array(t[n].bytes, 1);
    memcpy(head, t[n].data, t[n].bytes);
    head[7] += differs ? 1.0F : 0.0F;
    t[n].data = head;
    OK(weights_write_dir(dir, t, n + 1, 0, &err));
    weights_close(w);
    free(head);
    OK(model_open(dir, c, true, &m, &err));
    OK(model_logits(m, ids, 3, own, &err));
    *tied = model_config(m)->tied;
    *same = memcmp(own, logits, sizeof(own)) == 0;
    model_free(m);
}

START_TEST(a_head_of_its_own_is_not_tied)
{
    static const int32_t ids[] = { 3, 1, 4 };
    struct model_config config = families[0];
    char dir[SCRATCH_MAX];
    struct compute *c = device();
    struct model *m = NULL;
    float logits[3 * VOCAB];
    bool tied, same;

    scratch_make(dir);
    config.tied = true;
    OK(model_new(&config, c, 5, &m, &err));
    OK(model_save(m, dir, WEIGHTS_F32, &err));
    OK(model_logits(m, ids, 3, logits, &err));
    model_free(m);
    open_with_head(dir, c, _i == 1, logits, &tied, &same);
    ck_assert(tied == (_i == 0) && same == (_i == 0));
    scratch_remove(dir);
    compute_close(c);
}
END_TEST

/* Which of 5 ids ever come out. */
static unsigned drawn(struct model_sampling opt)
{
    /* probabilities 0.4 0.3 0.2 0.08 0.02 at temperature 1 */
    const float logits[5] = { logf(0.2F), logf(0.4F), logf(0.02F), logf(0.3F),
                              logf(0.08F) };
    unsigned mask = 0;

    for (size_t k = 0; k < 4000; k++)
        mask |= 1u << model_sample(logits, 5, &opt, 0, k);
    return mask;
}

START_TEST(sampling_keeps_what_its_settings_say)
{
    ck_assert_uint_eq(drawn((struct model_sampling){ 0 }), 2);
    ck_assert_uint_eq(drawn((struct model_sampling){ .temperature = 1 }), 31);
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 1, .top_k = 2 }), 10);
    /* 0.4 + 0.3 reaches 0.65, so two are left; 0.75 needs the third. */
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 1, .top_p = 0.65 }), 10);
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 1, .top_p = 0.75 }), 11);
    /* However small, one is left. */
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 1, .top_p = 1e-300 }), 2);
    /* At least 0.45 of the likeliest: 0.18. */
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 1, .min_p = 0.45 }), 11);
    /* At temperature 2 the shares are their square roots: 0.45 of it now
     * leaves 0.02/0.4 -> 0.22 out and 0.08/0.4 -> 0.447 too. */
    ck_assert_uint_eq(
        drawn((struct model_sampling){ .temperature = 2, .min_p = 0.44 }), 27);
}
END_TEST

START_TEST(top_k_keeps_what_equals_its_last)
{
    const float logits[4] = { 1, 2, 1, 0 };
    struct model_sampling opt = { .temperature = 1, .top_k = 2 };
    unsigned mask = 0;

    for (size_t k = 0; k < 200; k++)
        mask |= 1u << model_sample(logits, 4, &opt, 0, k);
    ck_assert_uint_eq(mask, 7);
}
END_TEST

START_TEST(repetition_is_penalised_once_an_id)
{
    float x[4] = { 2, -2, 3, 1 };
    const int32_t ids[] = { 0, 1, 0, 9 };
    uint8_t seen[4] = { 0 };

    model_penalise(x, 4, 2, ids, 4, seen);
    ck_assert_float_eq(x[0], 1);
    ck_assert_float_eq(x[1], -4);
    ck_assert_float_eq(x[2], 3);
    ck_assert_float_eq(x[3], 1);
}
END_TEST

/* A random model can only write what fits, greedy or not, in a batch whose
 * jobs have forms of their own. */
START_TEST(a_random_model_keeps_to_its_form)
{
    enum { JOBS = 12, TOKENS = 200 };
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{"
        "\"city\":{\"type\":\"string\",\"maxLength\":8},"
        "\"n\":{\"type\":\"integer\"},"
        "\"tags\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"b\"]},"
        "\"maxItems\":3}},\"required\":[\"city\",\"n\",\"tags\"]}";
    const struct slice labels[] = { slice_of("red"), slice_of("dark green") };
    struct model_config config = families[0];
    struct model_sampling opt = { .max_tokens = TOKENS,
                                  .temperature = _i ? 1.0 : 0,
                                  .seed = 4 };
    struct model_job jobs[JOBS] = { 0 };
    int32_t out[JOBS][TOKENS], prompt[20] = { 5, 6, 7 };
    struct constrain *forms[2];
    struct constrain_vocab *v;
    struct tokenizer *t;
    struct compute *c = device();
    struct json j = { 0 };
    struct model *m;

    OK(tokenizer_open("tests/reference/tokenizers/qwen2.json", &t, &err));
    OK(constrain_vocab_new(t, &v, &err));
    OK(constrain_schema(v, slice_of(schema), &forms[0], &err));
    OK(constrain_labels(v, labels, 2, &forms[1], &err));
    config.vocab = (int64_t)tokenizer_size(t) + 3; /* padded, as some are */
    config.eos[0] = 2;
    config.eos_count = 1;
    OK(model_new(&config, c, 3, &m, &err));
    for (int i = 0; i < JOBS; i++) {
        jobs[i].prompt = prompt;
        jobs[i].prompt_count = (size_t)i + 1;
        jobs[i].out = out[i];
        jobs[i].form = forms[i % 2];
    }
    OK(model_generate_batch(m, jobs, JOBS, &opt, NULL, &err));
    for (int i = 0; i < JOBS; i++) {
        struct buf text = { 0 };

        ck_assert(jobs[i].finished);
        tokenizer_decode(t, out[i], jobs[i].out_count, true, &text);
        if (i % 2 == 0)
            ck_assert_msg(json_parse(&j, text.data, text.len, &err) == 0 &&
                              json_count(&j, 0) == 3,
                          "%s", text.data);
        else
            ck_assert_msg(slice_eq(buf_slice(&text), labels[0]) ||
                              slice_eq(buf_slice(&text), labels[1]),
                          "%s", text.data);
        buf_release(&text);
    }
    json_release(&j);
    model_free(m);
    constrain_free(forms[0]);
    constrain_free(forms[1]);
    constrain_vocab_free(v);
    tokenizer_free(t);
    compute_close(c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("generate");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_shared_prefix_changes_no_token, 0, FAMILIES);
    tcase_add_loop_test(t, cached_logits_are_those_without_a_cache, 0,
                        FAMILIES);
    tcase_add_loop_test(t, a_head_of_its_own_is_not_tied, 0, 2);
    tcase_add_test(t, sampling_keeps_what_its_settings_say);
    tcase_add_test(t, top_k_keeps_what_equals_its_last);
    tcase_add_test(t, repetition_is_penalised_once_an_id);
    tcase_add_loop_test(t, a_random_model_keeps_to_its_form, 0, 2);
    return suite_run("generate", t);
}

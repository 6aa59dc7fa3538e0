/* test_model_family.c - what holds for every family: its config comes back,
 * its cache changes nothing, its gradients are those of its loss */
#include "model_reference.h"
#include "suite.h"

/* Through a copy of its directory with the older config in place. */
static void check_older_spelling(const char *dir,
                                 const struct model_config *want)
{
    char *path = io_path(dir, "config.v4.json");
    struct model_config c;

    OK(model_config_read(path, &c, &err));
    ck_assert_mem_eq(&c, want, sizeof(c));
    free(path);
}

START_TEST(a_family_is_saved_as_it_was_read)
{
    char copy[] = "/tmp/slmctl-test-model-XXXXXX";
    int32_t ids[] = { 5, 9, 33, 60, 2, 7 };
    float a[6 * 320], b[6 * 320];
    char name[64];
    struct model_config again;
    struct model *m, *n;
    char *dir;

    (void)snprintf(name, sizeof(name), "models/%s", families[_i]);
    dir = fixture(name);
    if (!dir)
        return;
    ck_assert_ptr_nonnull(mkdtemp(copy));
    OK(model_open(dir, cpu, true, &m, &err));
    check_older_spelling(dir, model_config(m));
    OK(model_save(m, copy, WEIGHTS_F32, &err));
    OK(model_config_read(copy, &again, &err));
    ck_assert_mem_eq(&again, model_config(m), sizeof(again));
    OK(model_open(copy, cpu, true, &n, &err));
    OK(model_logits(m, ids, 6, a, &err));
    OK(model_logits(n, ids, 6, b, &err));
    ck_assert_mem_eq(a, b, sizeof(a));
    model_free(m);
    model_free(n);
    remove_model(copy);
    free(dir);
}
END_TEST

/* Over windows and, with longrope, across the original context. */
START_TEST(generation_is_what_no_cache_gives)
{
    enum { COUNT = 40 };
    struct model_sampling opt = { .max_tokens = COUNT, .ignore_eos = true };
    int32_t all[512 + COUNT];
    struct reference ref;
    struct model *m;
    size_t n, got;
    bool finished;
    char name[64];
    char *dir;
    float *x;

    (void)snprintf(name, sizeof(name), "models/%s", families[_i]);
    dir = fixture(name);
    if (!dir)
        return;
    reference_open(&ref, dir);
    OK(model_load(dir, NULL, cpu, &m, &err));
    n = ids_of(&ref, "greedy_prompt", all);
    OK(model_generate(m, all, n, &opt, NULL, NULL, all + n, &got, &finished,
                      NULL, &err));
    ck_assert_uint_eq(got, COUNT);
    x = mem_array((n + COUNT) * 320, sizeof(*x));
    for (size_t i = n; i < n + COUNT; i++) {
        const float *last = x + (i - 1) * 320;
        float top = last[0];

        OK(model_logits(m, all, i, x, &err));
        for (size_t k = 0; k < 320; k++)
            top = last[k] > top ? last[k] : top;
        ck_assert_msg(last[all[i]] >= top - 1e-5F, "token %zu of %s", i, name);
    }
    free(x);
    model_free(m);
    reference_close(&ref);
    free(dir);
}
END_TEST

#define SIZES                                                                  \
    .vocab = 61, .hidden = 24, .ffn = 40, .layers = 2, .heads = 4,             \
    .kv_heads = 2, .head_dim = 6, .context = 128, .norm_eps = 1e-5,            \
    .rope_theta = 100, .init_range = 0.3

/* Options in combinations that no reference has. */
static const struct {
    const char *name;
    struct model_config c;
} mixtures[] = {
    { "gate, head norms, 1 + w, partial turns",
      { SIZES, .family = "qwen3", .attn_gate = true, .qk_norm = MODEL_QK_HEAD,
        .norm = MODEL_NORM_RMS_SHIFTED, .rotary = 4 } },
    { "squared relu, layer norms, biases, head bias, softcaps, scales",
      { SIZES, .family = "phi", .attn_bias = true, .mlp_bias = true,
        .head_bias = true, .norm = MODEL_NORM_LAYER, .act = MODEL_ACT_RELU2,
        .attn_softcap = 2, .logit_softcap = 3, .logit_scale = 0.5,
        .embed_scale = 3, .residual_scale = 0.7 } },
    { "fused, biased, capped, windows, scales",
      { SIZES, .family = "phi3", .attn_bias = true, .mlp_bias = true,
        .tied = true, .act = MODEL_ACT_GELU_TANH, .window = 3,
        .layer = { MODEL_LAYER_WINDOW, MODEL_LAYER_NOPE }, .attn_softcap = 1,
        .rope_local = 10, .q_scale = 0.8, .k_scale = 1.5, .v_scale = 0.6,
        .gate_scale = 1.2, .up_scale = 0.5 } },
    { "norms after the mixers alone, over all heads, scaled branches",
      { SIZES, .family = "olmo2", .qk_norm = MODEL_QK_WHOLE,
        .norm = MODEL_NORM_RMS_SHIFTED, .residual_scale = 1.5,
        .attn_scale = 0.3 } },
    { "short convolutions with biases",
      { SIZES, .family = "lfm2", .embed_scale = 4, .qk_norm = MODEL_QK_HEAD,
        .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_RECURRENT },
        .conv = { 3, true } } },
    { "Mamba with biases and limits, scaled branches",
      { SIZES, .family = "granitemoehybrid", .embed_scale = 4,
        .residual_scale = 0.7,
        .layer = { MODEL_LAYER_RECURRENT,
                   MODEL_LAYER_ATTENTION | MODEL_LAYER_NOPE },
        .mamba = { .heads = 6,
                   .head_dim = 4,
                   .groups = 3,
                   .state = 5,
                   .conv = 4,
                   .conv_bias = true,
                   .proj_bias = true,
                   .out_bias = true,
                   .norm = true,
                   .dt_min = 0.01,
                   .dt_max = 0.5 } } },
    { "Mamba beside attention, scaled, the norm before the gate",
      { SIZES, .family = "falcon_h1", .k_scale = 1.5, .v_scale = 0.6,
        .mamba = { .heads = 4,
                   .head_dim = 6,
                   .groups = 2,
                   .state = 7,
                   .conv = 2,
                   .norm = true,
                   .norm_first = true,
                   .dt_max = 1e30,
                   .in_scale = 0.8,
                   .out_scale = 1.3,
                   .scales = { 1.2, 0.9, 1.4, 0.7, 1.1 } } } },
    { "Mamba beside attention, a gate without a norm",
      { SIZES, .family = "falcon_h1",
        .mamba = { .heads = 4,
                   .head_dim = 6,
                   .groups = 1,
                   .state = 7,
                   .conv = 4,
                   .conv_bias = true,
                   .dt_max = 1e30 } } },
    { "Mamba and a plain MLP",
      { SIZES, .family = "nemotron_h", .act = MODEL_ACT_RELU2,
        .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_MLP },
        .mamba = { .heads = 4,
                   .head_dim = 6,
                   .groups = 2,
                   .state = 7,
                   .conv = 4,
                   .conv_bias = true,
                   .norm = true,
                   .dt_max = 1e30 } } },
    { "delta rule, 1 + w",
      { SIZES, .family = "qwen3_5_text", .embed_scale = 4,
        .norm = MODEL_NORM_RMS_SHIFTED, .attn_gate = true,
        .qk_norm = MODEL_QK_HEAD,
        .layer = { MODEL_LAYER_RECURRENT, MODEL_LAYER_ATTENTION },
        .delta = { .key_heads = 2,
                   .value_heads = 4,
                   .key_dim = 24,
                   .value_dim = 5,
                   .conv = 4 } } },
};
#define MIXTURES ((int)(sizeof(mixtures) / sizeof(mixtures[0])))

static double loss_of(struct model *m, const struct rows *r)
{
    double nll;
    size_t count;

    OK(model_step(m, &r->b, 0, &nll, &count, &err));
    return nll / (double)count;
}

/* The loss's slope along t's gradient, which is `size` long. */
static double slope_along(struct model *m, const struct rows *r,
                          const struct model_tensor *t, size_t count,
                          double size, double step)
{
    float h = (float)(step / size);
    double up, down;

    cpu->ops->axpy(cpu, t->value, h, t->grad, count);
    up = loss_of(m, r);
    cpu->ops->axpy(cpu, t->value, -2 * h, t->grad, count);
    down = loss_of(m, r);
    cpu->ops->axpy(cpu, t->value, h, t->grad, count);
    return (up - down) / (2 * step);
}

/* Along the gradient g of each tensor the loss must rise by |g|: by two steps,
 * so that the loss's curvature falls out. */
static void check_slopes(struct model *m, const struct rows *r, bool adapter,
                         const char *name)
{
    const struct model_tensor *t;
    size_t n = model_tensors(m, adapter, &t);

    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * (size_t)(t[i].cols ? t[i].cols : 1);
        double size = sqrt(cpu->ops->sum_squares(cpu, t[i].grad, count));
        double rise;

        if (size < 1e-4)
            continue;
        rise = (4 * slope_along(m, r, &t[i], count, size, 0.005) -
                slope_along(m, r, &t[i], count, size, 0.01)) /
               3;
        ck_assert_msg(fabs(rise - size) < 5e-3 * size + 3e-4,
                      "%s: %s: %g, not %g", name, t[i].name, size, rise);
    }
}

static void check_mixture(int which, bool adapter)
{
    struct model_adapter a = { .rank = 3, .scale = 0.7 };
    int32_t ids[23], labels[23];
    struct rows r = { 0 };
    struct model_trained t;
    struct model *m;
    double nll;
    size_t count;

    for (int i = 0; i < 23; i++) {
        ids[i] = (i * 7 + i * i) % 61;
        labels[i] = i % 3 ? ids[i] : -100;
    }
    rows_add(&r, ids, labels, 9);
    rows_add(&r, ids + 9, labels + 9, 14);
    OK(model_new(&mixtures[which].c, cpu, 2, &m, &err));
    if (adapter)
        OK(model_adapter_new(m, &a, &err));
    OK(model_train_begin(m, adapter, &t, &err));
    if (adapter) { /* B is zero: move it */
        OK(model_step(m, &r.b, 0.1, &nll, &count, &err));
        cpu->ops->axpy(cpu, t.values, -1, t.grads, t.count);
        cpu->ops->fill(cpu, t.grads, 0, t.count);
    }
    OK(model_step(m, &r.b, 0, &nll, &count, &err));
    OK(model_step(m, &r.b, 1 / (double)count, &nll, &count, &err));
    check_slopes(m, &r, adapter, mixtures[which].name);
    model_free(m);
    rows_release(&r);
}

START_TEST(gradients_are_the_slopes_of_the_loss)
{
    check_mixture(_i, false);
}
END_TEST

START_TEST(adapters_gradients_are_the_slopes_of_the_loss)
{
    check_mixture(_i, true);
}
END_TEST

START_TEST(all_linear_layers_are_adapted_by_their_own_names)
{
    static const char *const names[] = {
        "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        "q_proj,k_proj,v_proj,dense,fc1,fc2",
        "qkv_proj,o_proj,gate_up_proj,down_proj",
        "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        "in_proj,out_proj,w1,w3,w2",
        "in_proj,input_linear,output_linear,q_proj,k_proj,v_proj,o_proj",
        "in_proj,q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        "in_proj,q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        "in_proj,up_proj,down_proj",
        ("in_proj_qkv,in_proj_z,in_proj_b,in_proj_a,out_proj,gate_proj,up_proj,"
         "down_proj,q_proj,k_proj,v_proj,o_proj"),
    };
    struct model_adapter a = { .rank = 2, .scale = 1 };
    struct model *m;
    char *targets;

    OK(model_new(&mixtures[_i].c, cpu, 2, &m, &err));
    OK(model_adapter_new(m, &a, &err));
    targets = model_adapter_targets(m);
    ck_assert_str_eq(targets, names[_i]);
    free(targets);
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("model_family");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_family_is_saved_as_it_was_read, 0, FAMILIES);
    tcase_add_loop_test(t, generation_is_what_no_cache_gives, 0, FAMILIES);
    tcase_add_loop_test(t, gradients_are_the_slopes_of_the_loss, 0, MIXTURES);
    tcase_add_loop_test(t, adapters_gradients_are_the_slopes_of_the_loss, 0,
                        MIXTURES);
    tcase_add_loop_test(t, all_linear_layers_are_adapted_by_their_own_names, 0,
                        MIXTURES);
    return suite_run("model_family", t);
}

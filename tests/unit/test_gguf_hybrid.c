/*
 * test_gguf_hybrid.c - GGUF of families whose layers differ in kind: every
 * tensor and the configuration come back, and what is damaged is refused
 */
#include "scratch.h"
#include "suite.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[SCRATCH_MAX];
static struct err err;

static void make_dir(void)
{
    scratch_make(dir);
}

static void remove_dir(void)
{
    scratch_remove(dir);
}

static float *floats(const struct weights_tensor *t)
{
    float *x = mem_array((size_t)weights_elements(t), sizeof(*x));

    ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
    return x;
}

/* Of the same shape, and of the same values but for the logarithm's rounding.
 */
static void compare_tensor(const struct weights_tensor *a,
                           const struct weights_tensor *b)
{
    float *x = floats(a), *y = floats(b);

    ck_assert_str_eq(a->name, b->name);
    ck_assert_uint_eq(a->dims, b->dims);
    for (unsigned d = 0; d < a->dims; d++)
        ck_assert_int_eq(a->shape[d], b->shape[d]);
    for (int64_t i = 0; i < weights_elements(a); i++)
        ck_assert_msg(fabsf(x[i] - y[i]) <=
                          (strstr(a->name, "A_log") ? 1e-6F : 0),
                      "%s[%lld]: %g, not %g", a->name, (long long)i,
                      (double)y[i], (double)x[i]);
    free(x);
    free(y);
}

/* The model at `model` through a file and back. */
static char *round_trip(const char *model)
{
    struct weights_gguf opt = { .type = WEIGHTS_F32, .threads = 1 };
    char *path = io_path(dir, "out.gguf");
    struct weights *a, *b;

    ck_assert_msg(weights_gguf_write(model, &opt, path, &err) == 0, "%s",
                  err.msg);
    ck_assert_msg(weights_open(model, &a, &err) == 0, "%s", err.msg);
    ck_assert_msg(weights_open(path, &b, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(weights_count(a), weights_count(b));
    for (size_t i = 0; i < weights_count(a); i++)
        compare_tensor(weights_at(a, i), weights_at(b, i));
    weights_close(a);
    weights_close(b);
    return path;
}

static char *config_of(const char *path)
{
    struct buf text = { 0 };
    char *copy;

    ck_assert_msg(weights_part(path, "config.json", 1 << 20, &text, &err) == 0,
                  "%s", err.msg);
    copy = mem_strndup(text.data, text.len);
    buf_release(&text);
    return copy;
}

static void expect_number(const char *config, const char *key, double want)
{
    struct json j = { 0 };
    double got = -1;

    ck_assert_int_eq(json_parse(&j, config, strlen(config), &err), 0);
    (void)json_double(&j, json_get(&j, 0, key), &got);
    ck_assert_msg(got == want, "%s: %g, not %g", key, got, want);
    json_release(&j);
}

START_TEST(fixtures_come_back)
{
    static const struct {
        const char *model, *key;
        double want;
        const char *text;
    } all[] = {
        { "nemotron-h", "mamba_num_heads", 6, "\"M-*M-\"" },
        { "lfm2", "intermediate_size", 100, "\"full_attention\"" },
        { "falcon-h1", "mamba_d_state", 16, "\"mamba_rms_norm\": false" },
    };
    const char *root = getenv("SLMCTL_REFERENCE");

    for (size_t i = 0; root && i < sizeof(all) / sizeof(all[0]); i++) {
        char *model = mem_printf("%s/fixtures/models/%s", root, all[i].model);
        char *path = round_trip(model), *config = config_of(path);

        expect_number(config, all[i].key, all[i].want);
        ck_assert_msg(strstr(config, all[i].text), "%s", config);
        ck_assert_int_eq(remove(path), 0);
        free(config);
        free(path);
        free(model);
    }
    if (!root)
        printf("skip: SLMCTL_REFERENCE is not set\n");
}
END_TEST

struct shape {
    const char *name;
    int64_t n[3];
};

static void write_model(const char *config, const struct shape *shapes,
                        size_t count)
{
    char *path = io_path(dir, "config.json");
    struct weights_tensor t[32];
    static float values[4096];

    for (size_t i = 0; i < 4096; i++)
        values[i] = sinf((float)i);
    for (size_t i = 0; i < count; i++) {
        t[i] = (struct weights_tensor){ .name = shapes[i].name,
                                        .type = WEIGHTS_F32,
                                        .data = values + i };
        while (t[i].dims < 3 && shapes[i].n[t[i].dims]) {
            t[i].shape[t[i].dims] = shapes[i].n[t[i].dims];
            t[i].dims++;
        }
        t[i].bytes = (size_t)weights_elements(&t[i]) * 4;
        ck_assert_uint_le(t[i].bytes / 4 + i, 4096);
    }
    ck_assert_int_eq(io_write_file(path, config, strlen(config), 0644, &err),
                     0);
    ck_assert_int_eq(weights_write_dir(dir, t, count, 0, &err), 0);
    free(path);
}

#define LAYER(i) "model.layers." #i "."
#define MAMBA(i)                                                               \
    { LAYER(i) "mamba.A_log", { 4 } }, { LAYER(i) "mamba.D", { 4 } },          \
        { LAYER(i) "mamba.conv1d.bias", { 48 } },                              \
        { LAYER(i) "mamba.conv1d.weight", { 48, 1, 4 } },                      \
        { LAYER(i) "mamba.dt_bias", { 4 } },                                   \
        { LAYER(i) "mamba.in_proj.weight", { 84, 16 } },                       \
        { LAYER(i) "mamba.norm.weight", { 32 } },                              \
    {                                                                          \
        LAYER(i) "mamba.out_proj.weight",                                      \
        {                                                                      \
            16, 32                                                             \
        }                                                                      \
    }
#define MLP(i)                                                                 \
    { LAYER(i) "shared_mlp.input_linear.weight", { 48, 16 } },                 \
    {                                                                          \
        LAYER(i) "shared_mlp.output_linear.weight",                            \
        {                                                                      \
            16, 24                                                             \
        }                                                                      \
    }
#define ATTENTION(i)                                                           \
    { LAYER(i) "self_attn.q_proj.weight", { 16, 16 } },                        \
        { LAYER(i) "self_attn.k_proj.weight", { 8, 16 } },                     \
        { LAYER(i) "self_attn.v_proj.weight", { 8, 16 } },                     \
    {                                                                          \
        LAYER(i) "self_attn.o_proj.weight",                                    \
        {                                                                      \
            16, 16                                                             \
        }                                                                      \
    }

static const struct shape granite[] = {
    { "model.embed_tokens.weight", { 8, 16 } },
    { "model.norm.weight", { 16 } },
    MAMBA(0),
    MLP(0),
    ATTENTION(1),
    MLP(1),
};
#define GRANITE (sizeof(granite) / sizeof(granite[0]))

#define COMMON                                                                 \
    "\"hidden_size\":16,\"num_attention_heads\":2,\"num_key_value_heads\":1,"  \
    "\"num_hidden_layers\":2,\"vocab_size\":8,\"tie_word_embeddings\":true"
#define GRANITE_CONFIG(more)                                                   \
    "{\"model_type\":\"granitemoehybrid\"," COMMON                             \
    ",\"num_local_experts\":0,\"shared_intermediate_size\":24" more "}"

START_TEST(halves_of_one_tensor_are_joined_again)
{
    char *path, *config;

    write_model(GRANITE_CONFIG(""), granite, GRANITE);
    path = round_trip(dir);
    config = config_of(path);
    expect_number(config, "shared_intermediate_size", 24);
    expect_number(config, "mamba_n_groups", 1);
    expect_number(config, "mamba_d_state", 8);
    ck_assert(strstr(config, "\"nope\""));
    free(config);
    free(path);
}
END_TEST

static void expect_no_place(const char *config, const char *message)
{
    struct weights_gguf opt = { .type = WEIGHTS_F32, .threads = 1 };
    char *path = io_path(dir, "refused.gguf");

    write_model(config, granite, GRANITE);
    ck_assert_int_lt(weights_gguf_write(dir, &opt, path, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
    ck_assert(!io_exists(path));
    free(path);
}

START_TEST(what_llama_cpp_computes_otherwise_is_refused)
{
    expect_no_place(GRANITE_CONFIG(",\"mamba_n_groups\":2"), "mamba_n_groups");
    expect_no_place(GRANITE_CONFIG(",\"time_step_limit\":[0.1,1e30]"),
                    "time_step_limit");
    expect_no_place(GRANITE_CONFIG(",\"hidden_act\":\"gelu\""),
                    "the activation");
}
END_TEST

/* Bytes of the file at `path` in which `from` is replaced once, as long. */
static void damage(const char *path, const char *from, const char *to)
{
    struct buf text = { 0 };
    char *at;

    ck_assert_int_eq(io_read_file(path, 1 << 20, &text, &err), 0);
    at = memmem(text.data, text.len, from, strlen(from));
    ck_assert_ptr_nonnull(at);
    memcpy(at, to, strlen(to));
    ck_assert_int_eq(io_write_file(path, text.data, text.len, 0644, &err), 0);
    buf_release(&text);
}

static void expect_damaged(const char *path, const char *message)
{
    struct weights *w = NULL;

    ck_assert_int_lt(weights_open(path, &w, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
    ck_assert(!strchr(err.msg, 1));
}

/* Such a Granite is one that has no other kind of layer. */
START_TEST(a_hybrid_of_attention_alone_is_no_hybrid)
{
    static const struct shape shapes[] = {
        { "model.embed_tokens.weight", { 8, 16 } },
        { "model.norm.weight", { 16 } },
        ATTENTION(0),
        MLP(0),
    };
    struct weights_gguf opt = { .type = WEIGHTS_F32, .threads = 1 };
    char *path = io_path(dir, "out.gguf"), *config;
    const struct weights_tensor *t;
    struct weights *w;

    write_model(GRANITE_CONFIG(""), shapes, 8);
    ck_assert_int_lt(weights_gguf_write(dir, &opt, path, &err), 0);
    ck_assert_msg(strstr(err.msg, "position_embedding_type"), "%s", err.msg);
    write_model(GRANITE_CONFIG(",\"position_embedding_type\":\"rope\""), shapes,
                8);
    ck_assert_msg(weights_gguf_write(dir, &opt, path, &err) == 0, "%s",
                  err.msg);
    config = config_of(path);
    ck_assert(strstr(config, "\"GraniteForCausalLM\""));
    expect_number(config, "intermediate_size", 24);
    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    t = weights_find(w, LAYER(0) "mlp.up_proj.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(t->shape[0], 24);
    weights_close(w);
    free(config);
    free(path);
}
END_TEST

START_TEST(damaged_files_are_refused)
{
    char *path;

    write_model(GRANITE_CONFIG(""), granite, GRANITE);
    path = round_trip(dir);
    damage(path, "blk.1.ffn_gate.weight", "blk.1.ffn_gave.weight");
    expect_damaged(path, "its first half is missing");
    damage(path, "blk.1.ffn_gave.weight", "blk.1.ffn_gate.weight");
    damage(path, "blk.0.ssm_d", "blk.0.ssm_x");
    damage(path, "blk.0.ssm_a", "blk.0.ssm_d");
    damage(path, "blk.0.ssm_x", "blk.0.ssm_a");
    expect_damaged(path, "a decay is not negative");
    free(path);
}
END_TEST

static const struct shape falcon[] = {
    { "model.embed_tokens.weight", { 8, 16 } },
    { "model.final_layernorm.weight", { 16 } },
    MAMBA(0),
    { "model.layers.0.feed_forward.gate_proj.weight", { 24, 16 } },
    { "model.layers.0.feed_forward.up_proj.weight", { 24, 16 } },
    { "model.layers.0.feed_forward.down_proj.weight", { 16, 24 } },
    { "model.layers.0.pre_ff_layernorm.weight", { 16 } },
    ATTENTION(0),
};
#define FALCON (sizeof(falcon) / sizeof(falcon[0]))

static void expect_factor(const struct weights *a, const struct weights *b,
                          const char *name, const char *other, int64_t row,
                          double factor)
{
    const struct weights_tensor *t = weights_find(a, name);
    float *x = floats(t), *y = floats(weights_find(b, other ? other : name));
    int64_t at = row * t->shape[1] + 3;

    ck_assert_double_eq_tol((double)y[at], factor * (double)x[at], 1e-6);
    free(x);
    free(y);
}

START_TEST(multipliers_go_into_the_weights)
{
    struct weights_gguf opt = { .type = WEIGHTS_F32, .threads = 1 };
    char *path = io_path(dir, "out.gguf"), *config;
    struct weights *a, *b;

    write_model("{\"model_type\":\"falcon_h1\"," COMMON
                ",\"embedding_multiplier\":5,"
                "\"lm_head_multiplier\":0.5,\"key_multiplier\":0.25,"
                "\"attention_in_multiplier\":2,\"mlp_multipliers\":[3,7],"
                "\"mamba_norm_before_gate\":false,\"ssm_in_multiplier\":2,"
                "\"ssm_multipliers\":[1,2,3,4,5]}",
                falcon, FALCON);
    ck_assert_msg(weights_gguf_write(dir, &opt, path, &err) == 0, "%s",
                  err.msg);
    ck_assert_int_eq(weights_open(dir, &a, &err), 0);
    ck_assert_int_eq(weights_open(path, &b, &err), 0);
    expect_factor(a, b, "model.embed_tokens.weight", NULL, 2, 5);
    expect_factor(a, b, "model.embed_tokens.weight", "lm_head.weight", 2, 0.5);
    expect_factor(a, b, LAYER(0) "self_attn.k_proj.weight", NULL, 1, 0.5);
    expect_factor(a, b, LAYER(0) "feed_forward.down_proj.weight", NULL, 1, 7);
    expect_factor(a, b, LAYER(0) "mamba.in_proj.weight", NULL, 31, 2);
    expect_factor(a, b, LAYER(0) "mamba.in_proj.weight", NULL, 32, 4);
    expect_factor(a, b, LAYER(0) "mamba.in_proj.weight", NULL, 71, 6);
    expect_factor(a, b, LAYER(0) "mamba.in_proj.weight", NULL, 72, 8);
    expect_factor(a, b, LAYER(0) "mamba.in_proj.weight", NULL, 83, 10);
    config = config_of(path);
    expect_number(config, "embedding_multiplier", -1);
    ck_assert(strstr(config, "\"tie_word_embeddings\": false"));
    free(config);
    weights_close(a);
    weights_close(b);
    free(path);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("gguf_hybrid");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, fixtures_come_back);
    tcase_add_test(c, halves_of_one_tensor_are_joined_again);
    tcase_add_test(c, what_llama_cpp_computes_otherwise_is_refused);
    tcase_add_test(c, a_hybrid_of_attention_alone_is_no_hybrid);
    tcase_add_test(c, damaged_files_are_refused);
    tcase_add_test(c, multipliers_go_into_the_weights);
    return suite_run("gguf_hybrid", c);
}

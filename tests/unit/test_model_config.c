/* test_model_config.c - config.json: both spellings, limits, refusals */
#include "suite.h"

#include "base/io.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct err err;

#define SHAPE                                                                  \
    "\"vocab_size\":100,\"hidden_size\":24,\"intermediate_size\":40,"          \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,"                       \
    "\"num_key_value_heads\":2,\"eos_token_id\":2"

#define MAMBA                                                                  \
    "{\"model_type\":\"granitemoehybrid\"," SHAPE ",\"mamba_n_heads\":4,"      \
    "\"num_local_experts\":0"

static int read_text(const char *text, struct model_config *c)
{
    char path[] = "/tmp/slmctl-test-config-XXXXXX";
    int fd = mkstemp(path), rc;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(io_write_all(fd, text, strlen(text), &err), 0);
    (void)close(fd);
    rc = model_config_read(path, c, &err);
    (void)unlink(path);
    return rc;
}

START_TEST(both_spellings_give_the_same_model)
{
    struct model_config a, b;

    ck_assert_int_eq(
        read_text("{\"model_type\":\"llama\"," SHAPE ",\"dtype\":\"bfloat16\","
                  "\"rope_parameters\":{\"rope_type\":\"llama3\","
                  "\"rope_theta\":5e5,\"factor\":8,\"low_freq_factor\":1,"
                  "\"high_freq_factor\":4,"
                  "\"original_max_position_embeddings\":64}}",
                  &a),
        0);
    ck_assert_int_eq(
        read_text("{\"architectures\":[\"LlamaForCausalLM\"]," SHAPE ","
                  "\"torch_dtype\":\"bfloat16\",\"rope_theta\":500000.0,"
                  "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
                  "\"low_freq_factor\":1,\"high_freq_factor\":4,"
                  "\"original_max_position_embeddings\":64}}",
                  &b),
        0);
    ck_assert_mem_eq(&a, &b, sizeof(a));
    ck_assert_int_eq(a.rope, MODEL_ROPE_LLAMA3);
    ck_assert_int_eq(a.stored, WEIGHTS_BF16);
    ck_assert_int_eq(a.head_dim, 6);
    ck_assert_int_eq(a.eos[0], 2);
    /* embedding + head, two layers, last norm */
    ck_assert_int_eq(
        model_config_parameters(&a),
        2 * 2400 + 2 * (24 * (24 + 12 + 12 + 24) + 3 * 24 * 40 + 48) + 24);
}
END_TEST

START_TEST(the_older_spelling_goes_first)
{
    static const struct {
        const char *rope;
        double theta;
        int kind;
    } cases[] = {
        { "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500},"
          "\"rope_theta\":20",
          500, MODEL_ROPE_DEFAULT },
        { "\"rope_parameters\":{\"rope_type\":\"default\"},\"rope_theta\":20",
          20, MODEL_ROPE_DEFAULT },
        { "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500},"
          "\"rope_theta\":20,\"rope_scaling\":{\"rope_type\":\"linear\","
          "\"factor\":4}",
          20, MODEL_ROPE_LINEAR },
        { "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500},"
          "\"rope_theta\":20,\"rope_scaling\":{\"rope_type\":\"linear\","
          "\"factor\":4,\"rope_theta\":7}",
          7, MODEL_ROPE_LINEAR },
        { "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500},"
          "\"rope_theta\":20,\"rope_scaling\":null",
          500, MODEL_ROPE_DEFAULT },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct model_config c;
        char text[512];

        (void)snprintf(text, sizeof(text), "{\"model_type\":\"llama\",%s,%s}",
                       SHAPE, cases[i].rope);
        ck_assert_msg(read_text(text, &c) == 0, "%s", err.msg);
        ck_assert_double_eq(c.rope_theta, cases[i].theta);
        ck_assert_int_eq(c.rope, cases[i].kind);
    }
}
END_TEST

static const struct {
    const char *text, *says;
} refused[] = {
    { "{\"architectures\":[\"BloomForCausalLM\"]," SHAPE "}",
      "\"BloomForCausalLM\" is not known; known: LlamaForCausalLM" },
    { "{}", "architecture \"\" is not known" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"rope_parameters\":5}",
      "rope_parameters must be an object" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"rope_scaling\":\"x\"}",
      "rope_scaling must be an object" },
    { "{\"model_type\":\"llama\"," SHAPE
      ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}",
      "needs low_freq_factor, which is missing" },
    { "{\"model_type\":\"llama\"," SHAPE
      ",\"rope_scaling\":{\"rope_type\":\"linear\"}}",
      "needs factor, which is missing" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"tie_word_embeddings\":\"yes\"}",
      "tie_word_embeddings must be true or false" },
    { MAMBA ",\"mamba_d_conv\":17}", "mamba_d_conv must be 1 to 16" },
    { MAMBA ",\"mamba_n_groups\":3}",
      "4 Mamba heads of 12 do not fit 3 groups" },
    { "{\"model_type\":\"falcon_h1\"," SHAPE ",\"mamba_n_heads\":4,"
      "\"attention_bias\":true,\"attention_out_multiplier\":0.5}",
      "attention_bias: what it says is not supported" },
    { "{\"model_type\":\"nemotron_h\"," SHAPE
      ",\"hybrid_override_pattern\":\"M-E*\"}",
      "hybrid_override_pattern: what it says is not supported" },
    { "[]", "not a JSON object" },
    { "{\"model_type\":\"llama\"}", "vocab_size must be 1 to" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"hidden_size\":99999999}",
      "hidden_size must be 1 to" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"num_hidden_layers\":-3}",
      "num_hidden_layers must be 1 to" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"num_key_value_heads\":3}",
      "no multiple" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"head_dim\":7}", "must be even" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"hidden_act\":\"gelu_10\"}",
      "hidden_act" },
    { "{\"architectures\":[\"Qwen3MoeForCausalLM\"],\"num_experts\":8," SHAPE
      "}",
      "not known, and mixtures of experts are not computed; known: Llama" },
    { "{\"architectures\":[\"Gemma3ForConditionalGeneration\"]}",
      "\"Gemma3ForConditionalGeneration\" is not known" },
    { "{\"architectures\":[\"Qwen3_5ForConditionalGeneration\"],"
      "\"text_config\":{\"model_type\":\"qwen3_5_text\"}}",
      "vocab_size must be 1 to" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"rope_scaling\":{\"type\":"
      "\"ntk\",\"factor\":2}}",
      "\"ntk\" is not known" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"rms_norm_eps\":0}",
      "rms_norm_eps must be above 0" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"quantization_config\":{}}",
      "quantization_config: what it says is not supported" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"partial_rotary_factor\":0.5}",
      "partial_rotary_factor: what it says" },
    { "{\"model_type\":\"phi\"," SHAPE ",\"head_dim\":8,"
      "\"qk_layernorm\":true}",
      "qk_layernorm: what it says" },
    { "{\"model_type\":\"phi\"," SHAPE ",\"head_dim\":8,"
      "\"hidden_act\":\"quick_gelu\"}",
      "hidden_act: what it says" },
    { "{\"model_type\":\"gemma2\"," SHAPE
      ",\"use_bidirectional_attention\":true}",
      "use_bidirectional_attention: what it says" },
    { "{\"model_type\":\"qwen2\"," SHAPE
      ",\"layer_types\":[\"full_attention\",\"chunked_attention\"]}",
      "layer_types: what it says" },
    { "{\"model_type\":\"qwen3\"," SHAPE ",\"layer_types\":[]}",
      "layer_types: what it says" },
    { "{\"model_type\":\"qwen2\"," SHAPE ",\"layer_types\":"
      "[\"full_attention\",\"sliding_attention\"]}",
      "layer_types: what it says" },
    { "{\"model_type\":\"smollm3\"," SHAPE ",\"no_rope_layers\":[1]}",
      "no_rope_layers: what it says" },
    { "{\"model_type\":\"phi3\"," SHAPE ",\"rope_scaling\":{\"type\":"
      "\"longrope\",\"short_factor\":[1],\"long_factor\":[1]}}",
      "short_factor must be 3 numbers" },
    { "{\"model_type\":\"granite\"," SHAPE ",\"logits_scaling\":-1}",
      "logits_scaling must be above 0" },
    { "{\"model_type\":\"llama\"," SHAPE ",\"rope_scaling\":{\"type\":"
      "\"yarn\",\"factor\":2,\"original_max_position_embeddings\":0.5}}",
      "original_max_position_embeddings: what it says" },
    { "{\"model_type\":\"gemma3_text\"," SHAPE ",\"sliding_window_pattern\":0}",
      "sliding_window_pattern must be 1 to" },
    { "{\"model_type\":\"smollm3\"," SHAPE ",\"no_rope_layer_interval\":0}",
      "no_rope_layer_interval must be 1 to" },
    { "{\"model_type\":\"qwen3_5_text\"," SHAPE
      ",\"full_attention_interval\":0}",
      "full_attention_interval must be 1 to" },
    { "{\"model_type\":\"granitemoehybrid\"," SHAPE
      ",\"num_local_experts\":0,\"head_dim\":2,\"hidden_size\":1048576,"
      "\"mamba_expand\":1,\"mamba_n_heads\":1048576,"
      "\"mamba_n_groups\":1048576,\"mamba_d_state\":1048576}",
      "too many parameters" },
};

START_TEST(what_is_not_computed_is_refused_by_name)
{
    struct model_config c;

    ck_assert_int_lt(read_text(refused[_i].text, &c), 0);
    ck_assert_msg(strstr(err.msg, refused[_i].says) != NULL, "%s", err.msg);
}
END_TEST

/* A hub's Gemma 3 says no more than this; the whole's word on ties counts. */
START_TEST(the_text_part_of_a_whole_is_read)
{
    struct model_config c, again;
    struct buf text = { 0 };

    ck_assert_int_eq(
        read_text("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],"
                  "\"eos_token_id\":[1,106],\"vision_config\":{},"
                  "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
                  "\"text_config\":{\"hidden_size\":2560,\"dtype\":null,"
                  "\"intermediate_size\":10240,\"model_type\":\"gemma3_text\","
                  "\"num_hidden_layers\":34,\"tie_word_embeddings\":true,"
                  "\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},"
                  "\"sliding_window\":1024}}",
                  &c),
        0);
    ck_assert_str_eq(c.family, "gemma3_text");
    ck_assert_str_eq(c.whole, "Gemma3ForConditionalGeneration");
    ck_assert_str_eq(model_config_module(&c), "model.language_model");
    ck_assert_int_eq(c.vocab, 262208);
    ck_assert_int_eq(c.heads, 8);
    ck_assert_int_eq(c.kv_heads, 4);
    ck_assert_int_eq(c.context, 131072);
    ck_assert_int_eq(c.window, 1024);
    ck_assert_int_eq(c.rope, MODEL_ROPE_LINEAR);
    ck_assert_int_eq(c.stored, WEIGHTS_BF16);
    ck_assert_uint_eq(c.eos_count, 2);
    ck_assert(!c.tied);
    /* It is written as a model of its own. */
    model_config_write(&c, WEIGHTS_BF16, &text);
    buf_char(&text, '\0');
    ck_assert_int_eq(read_text(text.data, &again), 0);
    ck_assert_str_eq(again.family, "gemma3_text");
    ck_assert_str_eq(again.whole, "");
    ck_assert_int_eq(model_config_parameters(&again),
                     model_config_parameters(&c));
    buf_release(&text);
}
END_TEST

START_TEST(a_written_config_reads_the_same)
{
    struct model_config a, b;
    struct buf text = { 0 };

    ck_assert_int_eq(read_text("{\"model_type\":\"llama\"," SHAPE ","
                               "\"eos_token_id\":[2,7],\"bos_token_id\":1,"
                               "\"attention_bias\":true,"
                               "\"torch_dtype\":\"float16\"}",
                               &a),
                     0);
    model_config_write(&a, WEIGHTS_F16, &text);
    ck_assert_int_eq(read_text(text.data, &b), 0);
    ck_assert_mem_eq(&a, &b, sizeof(a));
    buf_release(&text);
}
END_TEST

/* Defaults of the reference's configurations, where the file is silent. */
START_TEST(families_have_their_own_defaults)
{
    struct model_config c;

    ck_assert_int_eq(
        read_text("{\"model_type\":\"gemma3_text\"," SHAPE "}", &c), 0);
    ck_assert(c.tied);
    ck_assert_int_eq(c.head_dim, 256);
    ck_assert_int_eq(c.window, 4096);
    ck_assert_int_eq(c.layer[1], MODEL_LAYER_WINDOW);
    ck_assert_double_eq(c.rope_theta, 1e6);
    ck_assert_double_eq(c.rope_local, 1e4);
    ck_assert_int_eq(read_text("{\"model_type\":\"gemma3_text\"," SHAPE
                               ",\"attn_logit_softcapping\":50,"
                               "\"final_logit_softcapping\":30}",
                               &c),
                     0);
    ck_assert_double_eq(c.attn_softcap, 0); /* the reference never applies it */
    ck_assert_double_eq(c.logit_softcap, 30);
    ck_assert_int_eq(
        read_text("{\"model_type\":\"phi\"," SHAPE ",\"head_dim\":8}", &c), 0);
    ck_assert_int_eq(c.rotary, 4);
}
END_TEST

START_TEST(infinity_is_read_as_python_writes_it)
{
    static const char *const spelled[] = { "Infinity",
                                           "{\"__float__\":\"Infinity\"}",
                                           "1e30" };
    struct model_config c;
    char text[512];

    for (size_t i = 0; i < sizeof(spelled) / sizeof(spelled[0]); i++) {
        (void)snprintf(text, sizeof(text),
                       MAMBA ",\"unused\":\"x\\\"Infinity\","
                             "\"time_step_limit\":[0.5,%s]}",
                       spelled[i]);
        ck_assert_msg(read_text(text, &c) == 0, "%s", err.msg);
        ck_assert(isinf(c.mamba.dt_max));
        ck_assert(fabs(c.mamba.dt_min - 0.5) < 1e-12);
    }
}
END_TEST

START_TEST(layers_are_counted_by_their_list)
{
    struct model_config c;

    ck_assert_int_eq(read_text("{\"model_type\":\"nemotron_h\"," SHAPE
                               ",\"head_dim\":6,"
                               "\"hybrid_override_pattern\":\"M-*M-\"}",
                               &c),
                     0);
    ck_assert_int_eq(c.layers, 5);
    ck_assert_int_eq(c.layer[1] & MODEL_LAYER_KIND, MODEL_LAYER_MLP);
    ck_assert_int_eq(c.layer[3] & MODEL_LAYER_KIND, MODEL_LAYER_RECURRENT);
}
END_TEST

START_TEST(windows_begin_where_the_config_says)
{
    struct model_config c;

    ck_assert_int_eq(read_text("{\"model_type\":\"qwen2\"," SHAPE
                               ",\"use_sliding_window\":true,"
                               "\"sliding_window\":8,\"max_window_layers\":1}",
                               &c),
                     0);
    ck_assert_int_eq(c.layer[0], 0);
    ck_assert_int_eq(c.layer[1], MODEL_LAYER_WINDOW);
    ck_assert_int_eq(read_text("{\"model_type\":\"qwen2\"," SHAPE
                               ",\"sliding_window\":8,\"max_window_layers\":1}",
                               &c),
                     0);
    ck_assert_int_eq(c.layer[1], 0);
    ck_assert_int_eq(read_text("{\"model_type\":\"mistral\"," SHAPE "}", &c),
                     0);
    ck_assert_int_eq(c.window, 4096);
    ck_assert_int_eq(c.layer[0], MODEL_LAYER_WINDOW);
    ck_assert_int_eq(read_text("{\"model_type\":\"mistral\"," SHAPE
                               ",\"sliding_window\":null}",
                               &c),
                     0);
    ck_assert_int_eq(c.layer[0], 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("model_config");

    tcase_add_test(t, both_spellings_give_the_same_model);
    tcase_add_test(t, the_older_spelling_goes_first);
    tcase_add_loop_test(t, what_is_not_computed_is_refused_by_name, 0,
                        sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(t, the_text_part_of_a_whole_is_read);
    tcase_add_test(t, a_written_config_reads_the_same);
    tcase_add_test(t, families_have_their_own_defaults);
    tcase_add_test(t, infinity_is_read_as_python_writes_it);
    tcase_add_test(t, layers_are_counted_by_their_list);
    tcase_add_test(t, windows_begin_where_the_config_says);
    return suite_run("model_config", t);
}

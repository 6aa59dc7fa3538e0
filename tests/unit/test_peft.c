/* test_peft.c - adapters as PEFT spells them: modules saved whole come back
 * and are written again, other spellings of names, what is refused by name */
#include "lora_problem.h"
#include "suite.h"

#define VOCAB 61
#define HIDDEN 24
static const struct model_config tiny = {
    TINY_MODEL,
    .layers = 2,
    .tied = true,
    .init_range = 0.2,
};

static float values[VOCAB * HIDDEN];

/* A q_proj of rank 2 in `prefix`, and the whole tensor named, if any. */
static void write_adapter(const char *prefix, const char *whole,
                          const char *fields)
{
    char a[96], b[96], config[512];
    struct weights_tensor t[3] = {
        { .name = a, .dims = 2, .shape = { 2, HIDDEN } },
        { .name = b, .dims = 2, .shape = { HIDDEN, 2 } },
        { .name = whole, .dims = 2, .shape = { VOCAB, HIDDEN } },
    };
    char *path = io_path(dir, "adapter_model.safetensors");

    for (size_t i = 0; i < VOCAB * HIDDEN; i++)
        values[i] = 0.3f * sinf((float)i);
    (void)snprintf(a, sizeof(a), "%s.layers.1.self_attn.q_proj.lora_A.weight",
                   prefix);
    (void)snprintf(b, sizeof(b), "%s.layers.1.self_attn.q_proj.lora_B.weight",
                   prefix);
    for (size_t i = 0; i < 3; i++) {
        t[i].type = WEIGHTS_F32;
        t[i].data = values;
        t[i].bytes = (size_t)(t[i].shape[0] * t[i].shape[1]) * sizeof(float);
    }
    OK(weights_write(path, t, whole ? 3 : 2, NULL, &err));
    free(path);
    path = io_path(dir, "adapter_config.json");
    (void)snprintf(config, sizeof(config),
                   "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4%s}",
                   fields);
    OK(io_write_file(path, config, strlen(config), 0644, &err));
    free(path);
}

static struct model *base(void)
{
    struct model *m;

    OK(model_new(&tiny, cpu, 5, &m, &err));
    return m;
}

static void logits_of(struct model *m, float out[4 * VOCAB])
{
    const int32_t ids[4] = { 3, 1, 4, 15 };

    OK(model_logits(m, ids, 4, out, &err));
}

/* What PEFT trained whole takes its place, and goes along when the adapter is
 * written again. */
START_TEST(saved_modules_are_kept)
{
    static const char *const wholes[] = {
        "base_model.model.model.embed_tokens.weight",
        "base_model.model.lm_head.weight",
    };
    static const char *const lists[] = {
        ",\"modules_to_save\":[\"embed_tokens\"]",
        ",\"modules_to_save\":[\"lm_head\"]",
    };
    const struct lora_options opt = { .rank = 2, .alpha = 4 };
    float plain[4 * VOCAB], first[4 * VOCAB], again[4 * VOCAB];
    struct model *m = base();
    char *copy = io_path(dir, "copy");

    logits_of(m, plain);
    write_adapter("base_model.model.model", wholes[_i], lists[_i]);
    OK(model_adapter_load(m, dir, &err));
    ck_assert(!model_config(m)->tied);
    logits_of(m, first);
    ck_assert_mem_ne(plain, first, sizeof(plain));
    OK(lora_save_adapter(m, &opt, "base", copy, &err));
    model_free(m);
    m = base();
    OK(model_adapter_load(m, copy, &err));
    logits_of(m, again);
    ck_assert_mem_eq(first, again, sizeof(first));
    OK(model_adapter_merge(m, &err));
    logits_of(m, again);
    for (size_t i = 0; i < 4 * VOCAB; i++)
        ck_assert(fabsf(first[i] - again[i]) < 1e-4f);
    model_free(m);
    free(copy);
}
END_TEST

START_TEST(other_spellings_are_the_same_layers)
{
    static const char *const prefixes[] = {
        "base_model.model.model.language_model",
        "base_model.model.language_model.model",
    };
    float first[4 * VOCAB], again[4 * VOCAB];
    struct model *m = base();

    write_adapter("base_model.model.model", NULL, "");
    OK(model_adapter_load(m, dir, &err));
    logits_of(m, first);
    model_free(m);
    m = base();
    write_adapter(prefixes[_i], NULL, "");
    OK(model_adapter_load(m, dir, &err));
    logits_of(m, again);
    ck_assert_mem_eq(first, again, sizeof(first));
    model_free(m);
}
END_TEST

START_TEST(what_is_not_computed_is_refused_by_name)
{
    static const struct {
        const char *whole, *fields, *word;
    } cases[] = {
        { NULL, ",\"lora_bias\":true", "lora_bias" },
        { NULL, ",\"trainable_token_indices\":[1]", "trainable_token_indices" },
        { NULL, ",\"layer_replication\":[[0,1]]", "layer_replication" },
        { NULL, ",\"target_parameters\":[\"w\"]", "target_parameters" },
        { NULL, ",\"alora_invocation_tokens\":[7]", "alora_invocation" },
        { NULL, ",\"init_lora_weights\":\"pissa_niter_4\"", "pissa_niter_4" },
        { NULL, ",\"bias\":\"all\"", "bias" },
        { "base_model.model.model.embed_tokens.lora_embedding_A", "",
          "embed_tokens.lora_embedding_A\": LoRA on the embedding or the "
          "head" },
        { "base_model.model.lm_head.base_layer.weight", "",
          "LoRA on the embedding or the head is not supported; choose other "
          "target_modules" },
        { "base_model.model.lm_head.weight", "", "lm_head.weight" },
    };
    struct model *m = base();

    write_adapter("base_model.model.model", cases[_i].whole, cases[_i].fields);
    ck_assert_int_eq(model_adapter_load(m, dir, &err), ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.msg, cases[_i].word), "%s", err.msg);
    model_free(m);
}
END_TEST

START_TEST(fields_that_ask_for_nothing_pass)
{
    struct model *m = base();

    write_adapter("base_model.model.model", NULL,
                  ",\"lora_bias\":false,\"trainable_token_indices\":null,"
                  "\"layer_replication\":[],\"loftq_config\":{},"
                  "\"fan_in_fan_out\":true,\"init_lora_weights\":\"gaussian\"");
    OK(model_adapter_load(m, dir, &err));
    model_free(m);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("peft");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, saved_modules_are_kept, 0, 2);
    tcase_add_loop_test(c, other_spellings_are_the_same_layers, 0, 2);
    tcase_add_loop_test(c, what_is_not_computed_is_refused_by_name, 0, 10);
    tcase_add_test(c, fields_that_ask_for_nothing_pass);
    return suite_run("peft", c);
}

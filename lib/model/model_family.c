/*
 * model_family.c - the table of families
 *
 * Facts of the architectures (default values, names, which fields count) are
 * those of transformers' configurations and checkpoints.
 */
#include "model/model_family.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

#define TOLERANCE 1e-4 /* of references */
#define LIMIT 1e9

/* sliding_window: null is none. */
static int64_t window_of(struct config_reader *r, int64_t fallback)
{
    json_ref v = json_get(r->j, 0, "sliding_window");

    if (json_is(r->j, v, JSON_NULL))
        return 0;
    if (!json_present(v))
        return fallback;
    return config_int(r, "sliding_window", 0, MODEL_MAX_CONTEXT);
}

static const struct config_layer_name attention_layers[] = {
    { "full_attention", MODEL_LAYER_ATTENTION },
    { "sliding_attention", MODEL_LAYER_ATTENTION | MODEL_LAYER_WINDOW },
};
#define ATTENTION_LAYERS 2

static void window_everywhere(struct config_reader *r, struct model_config *c,
                              int64_t fallback)
{
    c->window = window_of(r, fallback);
    for (int64_t i = 0; c->window && i < c->layers; i++)
        c->layer[i] |= MODEL_LAYER_WINDOW;
}

static bool any_window(const struct model_config *c)
{
    for (int64_t i = 0; i < c->layers; i++)
        if (c->layer[i] & MODEL_LAYER_WINDOW)
            return true;
    return false;
}

static void read_mistral(struct config_reader *r, struct model_config *c)
{
    c->attn_bias = c->mlp_bias = false;
    window_everywhere(r, c, 4096);
}

static void write_window(const struct model_config *c, struct json_writer *w)
{
    if (any_window(c))
        json_put_int(w, "sliding_window", c->window);
    else
        json_put_null(w, "sliding_window");
}

/* Windows from layer max_window_layers on, if at all. */
static void read_qwen_windows(struct config_reader *r, struct model_config *c)
{
    bool on = config_bool(r, "use_sliding_window", false);
    json_ref first = config_member(r, "max_window_layers");
    int64_t begin = 28;

    c->window = on ? window_of(r, 4096) : 0;
    if (json_present(first) && !json_int(r->j, first, &begin))
        config_refuse(r, "max_window_layers");
    if (!config_layers(r, c, "layer_types", attention_layers, ATTENTION_LAYERS))
        for (int64_t i = begin < 0 ? 0 : begin; c->window && i < c->layers; i++)
            c->layer[i] |= MODEL_LAYER_WINDOW;
    if (any_window(c) && !c->window)
        config_refuse(r, "layer_types");
}

static void write_qwen_windows(const struct model_config *c,
                               struct json_writer *w)
{
    json_put_bool(w, "use_sliding_window", any_window(c));
    write_window(c, w);
    config_write_layers(c, w, "layer_types", attention_layers,
                        ATTENTION_LAYERS);
}

static void read_qwen2(struct config_reader *r, struct model_config *c)
{
    c->attn_bias = c->mlp_bias = false;
    c->qkv_bias = true;
    read_qwen_windows(r, c);
}

static void read_qwen3(struct config_reader *r, struct model_config *c)
{
    c->mlp_bias = false;
    c->qk_norm = MODEL_QK_HEAD;
    read_qwen_windows(r, c);
}

static void read_phi(struct config_reader *r, struct model_config *c)
{
    if (config_bool(r, "qk_layernorm", false))
        config_refuse(r, "qk_layernorm");
    c->attn_bias = c->mlp_bias = c->head_bias = true;
    c->norm = MODEL_NORM_LAYER;
}

static void write_phi(const struct model_config *c, struct json_writer *w)
{
    config_write_partial(c, w);
    json_put_bool(w, "qk_layernorm", false);
}

static void read_phi3(struct config_reader *r, struct model_config *c)
{
    c->attn_bias = c->mlp_bias = false;
    window_everywhere(r, c, 0);
}

static void write_phi3(const struct model_config *c, struct json_writer *w)
{
    config_write_partial(c, w);
    write_window(c, w);
    if (c->rope == MODEL_ROPE_LONGROPE)
        json_put_int(w, "original_max_position_embeddings", c->rope_original);
}

/* null: off */
static double cap_of(struct config_reader *r, const char *name, double fallback)
{
    json_ref v = json_get(r->j, 0, name);

    return json_is(r->j, v, JSON_NULL)
               ? 0
               : (json_present(v) || fallback > 0
                      ? config_double(r, 0, name, fallback, LIMIT)
                      : 0);
}

static void read_gemma(struct config_reader *r, struct model_config *c)
{
    if (config_bool(r, "use_bidirectional_attention", false))
        config_refuse(r, "use_bidirectional_attention");
    c->mlp_bias = false;
    c->norm = MODEL_NORM_RMS_SHIFTED;
    c->embed_scale = sqrt((double)c->hidden);
    c->attn_scale =
        1 / sqrt(config_double(r, 0, "query_pre_attn_scalar", 256, LIMIT));
    c->window = window_of(r, 4096);
}

/* Every n-th layer sees all, if the config has no list. */
static void read_pattern(struct config_reader *r, struct model_config *c,
                         int64_t n)
{
    if (!config_layers(r, c, "layer_types", attention_layers, ATTENTION_LAYERS))
        for (int64_t i = 0; c->window && i < c->layers; i++)
            if ((i + 1) % n != 0)
                c->layer[i] |= MODEL_LAYER_WINDOW;
    if (any_window(c) && !c->window)
        config_refuse(r, "sliding_window");
}

static void read_gemma2(struct config_reader *r, struct model_config *c)
{
    read_gemma(r, c);
    c->attn_softcap = cap_of(r, "attn_logit_softcapping", 50);
    c->logit_softcap = cap_of(r, "final_logit_softcapping", 30);
    read_pattern(r, c, 2);
}

static void read_gemma3(struct config_reader *r, struct model_config *c)
{
    json_ref params = config_member(r, "rope_parameters");
    json_ref local = json_get(r->j, params, "sliding_attention");

    if (json_present(json_get(r->j, local, "rope_type")) &&
        !json_text_is(r->j, json_get(r->j, local, "rope_type"), "default"))
        config_refuse(r, "rope_parameters");
    read_gemma(r, c);
    c->qk_norm = MODEL_QK_HEAD;
    /* attn_logit_softcapping stands in its configurations; nobody applies it.
     */
    c->logit_softcap = cap_of(r, "final_logit_softcapping", 0);
    read_pattern(r, c, config_int(r, "sliding_window_pattern", 6, 1024));
    c->rope_local =
        json_present(local)
            ? config_double(r, local, "rope_theta", 10000, 1e12)
            : config_double(r, 0, "rope_local_base_freq", 10000, 1e12);
    if (!json_present(params) && !json_present(config_member(r, "rope_theta")))
        c->rope_theta = 1e6;
}

static void put_cap(struct json_writer *w, const char *name, double x)
{
    if (x > 0)
        config_put_float(w, name, x);
    else
        json_put_null(w, name);
}

/* A number that went through a root and is whole to newer readers. */
static void put_whole(struct json_writer *w, const char *name, double x)
{
    if (fabs(x - round(x)) < 1e-6)
        json_put_int(w, name, (int64_t)round(x));
    else
        config_put_float(w, name, x);
}

static void write_gemma(const struct model_config *c, struct json_writer *w)
{
    json_put_string(w, "hidden_activation",
                    c->act == MODEL_ACT_GELU ? "gelu" : "gelu_pytorch_tanh");
    put_whole(w, "query_pre_attn_scalar", 1 / (c->attn_scale * c->attn_scale));
    put_cap(w, "attn_logit_softcapping", c->attn_softcap);
    put_cap(w, "final_logit_softcapping", c->logit_softcap);
    json_put_int(w, "sliding_window", c->window ? c->window : 4096);
    config_write_layers(c, w, "layer_types", attention_layers,
                        ATTENTION_LAYERS);
    if (c->rope_local > 0)
        config_put_float(w, "rope_local_base_freq", c->rope_local);
}

static void read_smollm3(struct config_reader *r, struct model_config *c)
{
    json_ref list = config_member(r, "no_rope_layers");
    json_ref e = json_first(r->j, list);
    int64_t interval = config_int(r, "no_rope_layer_interval", 4, 1024), turns;
    bool listed = json_is(r->j, list, JSON_ARRAY);

    if (listed && json_count(r->j, list) != (size_t)c->layers) {
        config_refuse(r, "no_rope_layers");
        return;
    }
    c->window =
        config_bool(r, "use_sliding_window", false) ? window_of(r, 0) : 0;
    for (int64_t i = 0; i < c->layers; i++) {
        turns = (i + 1) % interval != 0;
        if (listed && !json_int(r->j, e, &turns))
            config_refuse(r, "no_rope_layers");
        if (listed)
            e = json_next(r->j, list, e);
        c->layer[i] = turns       ? 0
                      : c->window ? MODEL_LAYER_NOPE | MODEL_LAYER_WINDOW
                                  : MODEL_LAYER_NOPE;
    }
    if (!json_present(config_member(r, "rope_parameters")) &&
        !json_present(config_member(r, "rope_theta")))
        c->rope_theta = 2e6;
    (void)config_layers(r, c, "layer_types", attention_layers,
                        ATTENTION_LAYERS);
    if (any_window(c) && !c->window)
        config_refuse(r, "layer_types");
}

static void write_smollm3(const struct model_config *c, struct json_writer *w)
{
    write_qwen_windows(c, w);
    json_begin_array(w, "no_rope_layers");
    for (int64_t i = 0; i < c->layers; i++)
        json_put_int(w, NULL, !(c->layer[i] & MODEL_LAYER_NOPE));
    json_end_array(w);
}

static void read_granite(struct config_reader *r, struct model_config *c)
{
    c->embed_scale = config_double(r, 0, "embedding_multiplier", 1, LIMIT);
    c->residual_scale = config_double(r, 0, "residual_multiplier", 1, LIMIT);
    c->attn_scale = config_double(r, 0, "attention_multiplier", 1, LIMIT);
    c->logit_scale = 1 / config_double(r, 0, "logits_scaling", 1, LIMIT);
}

static void write_granite(const struct model_config *c, struct json_writer *w)
{
    config_put_float(w, "embedding_multiplier", c->embed_scale);
    config_put_float(w, "residual_multiplier", c->residual_scale);
    config_put_float(w, "attention_multiplier", c->attn_scale);
    config_put_float(w, "logits_scaling", 1 / c->logit_scale);
}

static void read_olmo2(struct config_reader *r, struct model_config *c)
{
    c->mlp_bias = false;
    c->qk_norm = MODEL_QK_WHOLE;
    if (!json_present(config_member(r, "rms_norm_eps")))
        c->norm_eps = 1e-5;
}

#define Q_K_V .q = "q_proj", .k = "k_proj", .v = "v_proj"
#define QK_NORMS .q_norm = "q_norm", .k_norm = "k_norm"
#define SEPARATE                                                               \
    .names = { Q_K_V,           QK_NORMS,                                      \
               .o = "o_proj",   .gate = "gate_proj",                           \
               .up = "up_proj", .down = "down_proj" }
#define ATTENTION                                                              \
    {                                                                          \
        {                                                                      \
            model_attention_new, "self_attn"                                   \
        }                                                                      \
    }
#define MLP                                                                    \
    {                                                                          \
        {                                                                      \
            model_mlp_new, "mlp"                                               \
        }                                                                      \
    }
#define PRE_NORMS                                                              \
    .layers[MODEL_LAYER_ATTENTION] = {                                         \
        { "input_layernorm", NULL, ATTENTION },                                \
        { "post_attention_layernorm", NULL, MLP },                             \
    }
#define FOUR_NORMS                                                             \
    .layers[MODEL_LAYER_ATTENTION] = {                                         \
        { "input_layernorm", "post_attention_layernorm", ATTENTION },          \
        { "pre_feedforward_layernorm", "post_feedforward_layernorm", MLP },    \
    }
#define USUAL .embed = "model.embed_tokens", .norm = "model.norm"

static const struct model_family families[] = {
    { .architecture = "LlamaForCausalLM",
      .type = "llama",
      USUAL,
      SEPARATE,
      PRE_NORMS },
    { .architecture = "MistralForCausalLM",
      .type = "mistral",
      USUAL,
      SEPARATE,
      PRE_NORMS,
      .own_biases = true,
      .read = read_mistral,
      .write = write_window },
    { .architecture = "Qwen2ForCausalLM",
      .type = "qwen2",
      USUAL,
      SEPARATE,
      PRE_NORMS,
      .own_biases = true,
      .read = read_qwen2,
      .write = write_qwen_windows },
    { .architecture = "Qwen3ForCausalLM",
      .type = "qwen3",
      USUAL,
      SEPARATE,
      PRE_NORMS,
      .head_dim = 128,
      .read = read_qwen3,
      .write = write_qwen_windows },
    { .architecture = "PhiForCausalLM",
      .type = "phi",
      .embed = "model.embed_tokens",
      .norm = "model.final_layernorm",
      .names = { Q_K_V, .o = "dense", .up = "fc1", .down = "fc2" },
      .layers[MODEL_LAYER_ATTENTION] = { { "input_layernorm",
                                           NULL,
                                           { { model_attention_new,
                                               "self_attn" },
                                             { model_mlp_new, "mlp" } } } },
      .norm_eps = "layer_norm_eps",
      .default_act = MODEL_ACT_GELU_TANH,
      .rotary_part = 0.5,
      .own_biases = true,
      .read = read_phi,
      .write = write_phi },
    { .architecture = "Phi3ForCausalLM",
      .type = "phi3",
      USUAL,
      .names = { .qkv = "qkv_proj",
                 .o = "o_proj",
                 .gate_up = "gate_up_proj",
                 .down = "down_proj" },
      PRE_NORMS,
      .rotary_part = 1,
      .own_biases = true,
      .read = read_phi3,
      .write = write_phi3 },
    { .architecture = "Gemma2ForCausalLM",
      .type = "gemma2",
      USUAL,
      SEPARATE,
      FOUR_NORMS,
      .act = "hidden_activation",
      .default_act = MODEL_ACT_GELU_TANH,
      .tied = true,
      .head_dim = 256,
      .read = read_gemma2,
      .write = write_gemma },
    { .architecture = "Gemma3ForCausalLM",
      .type = "gemma3_text",
      USUAL,
      SEPARATE,
      FOUR_NORMS,
      .act = "hidden_activation",
      .default_act = MODEL_ACT_GELU_TANH,
      .tied = true,
      .head_dim = 256,
      .read = read_gemma3,
      .write = write_gemma },
    { .architecture = "SmolLM3ForCausalLM",
      .type = "smollm3",
      USUAL,
      SEPARATE,
      PRE_NORMS,
      .tied = true,
      .read = read_smollm3,
      .write = write_smollm3 },
    { .architecture = "GraniteForCausalLM",
      .type = "granite",
      USUAL,
      SEPARATE,
      PRE_NORMS,
      .read = read_granite,
      .write = write_granite },
    { .architecture = "Olmo2ForCausalLM",
      .type = "olmo2",
      USUAL,
      SEPARATE,
      .layers[MODEL_LAYER_ATTENTION] = { { NULL, "post_attention_layernorm",
                                           ATTENTION },
                                         { NULL, "post_feedforward_layernorm",
                                           MLP } },
      .read = read_olmo2 },
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

const struct model_family *model_family_at(size_t i)
{
    return i < FAMILIES ? &families[i] : model_family_hybrid(i - FAMILIES);
}

const struct model_family *model_family_find(const char *type)
{
    const struct model_family *f;

    if (!*type)
        return &families[0];
    for (size_t i = 0; (f = model_family_at(i)); i++)
        if (strcmp(f->type, type) == 0)
            return f;
    return NULL;
}

/* The family's own word in place of "model"; then the text part of a model
 * that sees images too, as transformers 5 and 4 store it. */
char *model_spelled(const struct model_family *f, const char *name, unsigned i)
{
    static const char *const parts[] = { "model.language_model",
                                         "language_model.model" };
    bool inside = strncmp(name, "model.", 6) == 0;

    if (i == 0)
        return mem_strdup(name);
    i -= 1;
    if (inside && f->stored && i-- == 0)
        return mem_printf("%s.%s", f->stored, name + 6);
    if (!inside)
        return i == 0 ? mem_printf("language_model.%s", name) : NULL;
    return i < 2 ? mem_printf("%s.%s", parts[i], name + 6) : NULL;
}

double model_config_tolerance(const struct model_config *c)
{
    const struct model_family *f = model_family_find(c->family);

    return f && f->tolerance > 0 ? f->tolerance : TOLERANCE;
}

/*
 * model_family_hybrid.c - families with other mixers beside attention
 *
 * The same table as model_family.c's, for those whose layers differ in kind.
 */
#include "model/model_family.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 1e9
#define NO_LIMIT 1e30 /* of a time step: as good as infinity */

static const struct config_layer_name delta_layers[] = {
    { "full_attention", MODEL_LAYER_ATTENTION },
    { "linear_attention", MODEL_LAYER_RECURRENT },
};
static const struct config_layer_name conv_layers[] = {
    { "full_attention", MODEL_LAYER_ATTENTION },
    { "conv", MODEL_LAYER_RECURRENT },
};
static const struct config_layer_name granite_layers[] = {
    { "attention", MODEL_LAYER_ATTENTION },
    { "mamba", MODEL_LAYER_RECURRENT },
    { "full_attention", MODEL_LAYER_ATTENTION },
    { "linear_attention", MODEL_LAYER_RECURRENT },
};
static const struct config_layer_name nemotron_layers[] = {
    { "full_attention", MODEL_LAYER_ATTENTION },
    { "linear_attention", MODEL_LAYER_RECURRENT },
    { "mlp", MODEL_LAYER_MLP },
    { "attention", MODEL_LAYER_ATTENTION },
    { "mamba", MODEL_LAYER_RECURRENT },
};

static void read_qwen35(struct config_reader *r, struct model_config *c)
{
    int64_t n = config_int(r, "full_attention_interval", 4, MODEL_MAX_LAYERS);

    c->mlp_bias = false;
    c->attn_gate = true;
    c->qk_norm = MODEL_QK_HEAD;
    c->norm = MODEL_NORM_RMS_SHIFTED;
    c->delta.conv =
        config_int(r, "linear_conv_kernel_dim", 4, COMPUTE_MAX_TAPS);
    c->delta.key_dim = config_int(r, "linear_key_head_dim", 128, 1024);
    c->delta.value_dim = config_int(r, "linear_value_head_dim", 128, 1024);
    c->delta.key_heads = config_int(r, "linear_num_key_heads", 16, 1024);
    c->delta.value_heads = config_int(r, "linear_num_value_heads", 32, 1024);
    if (r->rc == 0 && c->delta.value_heads % c->delta.key_heads != 0)
        config_refuse(r, "linear_num_value_heads");
    if (!config_layers(r, c, "layer_types", delta_layers, 2))
        for (int64_t i = 0; i < c->layers; i++)
            c->layer[i] = (i + 1) % n ? MODEL_LAYER_RECURRENT : 0;
}

static void write_qwen35(const struct model_config *c, struct json_writer *w)
{
    config_write_partial(c, w);
    json_put_int(w, "linear_conv_kernel_dim", c->delta.conv);
    json_put_int(w, "linear_key_head_dim", c->delta.key_dim);
    json_put_int(w, "linear_value_head_dim", c->delta.value_dim);
    json_put_int(w, "linear_num_key_heads", c->delta.key_heads);
    json_put_int(w, "linear_num_value_heads", c->delta.value_heads);
    config_write_layers(c, w, "layer_types", delta_layers, 2);
}

/* The width that the blocks have; as the reference rounds it. */
static void adjust_ffn(struct config_reader *r, struct model_config *c)
{
    int64_t step = config_int(r, "block_multiple_of", 256, MODEL_MAX_DIM);
    double times =
        config_double(r, 0, "block_ffn_dim_multiplier", 1, MODEL_MAX_DIM);

    c->ffn = config_int(r, "block_ff_dim", c->ffn, MODEL_MAX_DIM);
    if (r->rc < 0 || !config_bool(r, "block_auto_adjust_ff_dim", true))
        return;
    c->ffn = (int64_t)(2.0 * (double)c->ffn / 3);
    if (json_is(r->j, json_get(r->j, 0, "block_ffn_dim_multiplier"), JSON_NULL))
        return;
    c->ffn = (int64_t)(times * (double)c->ffn);
    c->ffn = (c->ffn + step - 1) / step * step;
    if (c->ffn < 1 || c->ffn > MODEL_MAX_DIM)
        config_refuse(r, "block_ffn_dim_multiplier");
}

/* Layers named in full_attn_idxs have attention; all, without that list. */
static void read_attention_list(struct config_reader *r, struct model_config *c)
{
    json_ref list = config_member(r, "full_attn_idxs");
    int64_t i;

    if (!json_is(r->j, list, JSON_ARRAY))
        return;
    memset(c->layer, MODEL_LAYER_RECURRENT, (size_t)c->layers);
    for (json_ref e = json_first(r->j, list); e != JSON_NONE;
         e = json_next(r->j, list, e)) {
        if (json_int(r->j, e, &i) && i >= 0 && i < c->layers)
            c->layer[i] = MODEL_LAYER_ATTENTION;
        else
            config_refuse(r, "full_attn_idxs");
    }
}

static void read_lfm2(struct config_reader *r, struct model_config *c)
{
    c->attn_bias = c->mlp_bias = false;
    c->qk_norm = MODEL_QK_HEAD;
    c->tied = config_bool(r, "tie_embedding", c->tied);
    c->conv.length = config_int(r, "conv_L_cache", 3, COMPUTE_MAX_TAPS);
    c->conv.bias = config_bool(r, "conv_bias", false);
    if (!json_present(config_member(r, "rope_parameters")) &&
        !json_present(config_member(r, "rope_theta")))
        c->rope_theta = 1e6;
    adjust_ffn(r, c);
    if (!config_layers(r, c, "layer_types", conv_layers, 2))
        read_attention_list(r, c);
}

static void write_lfm2(const struct model_config *c, struct json_writer *w)
{
    json_put_bool(w, "block_auto_adjust_ff_dim", false);
    json_put_int(w, "conv_L_cache", c->conv.length);
    json_put_bool(w, "conv_bias", c->conv.bias);
    config_write_layers(c, w, "layer_types", conv_layers, 2);
}

/* A number, or infinity as transformers spells it. */
static double limit_of(struct config_reader *r, const char *name, json_ref v,
                       double fallback)
{
    double x = fallback;

    if (json_text_is(r->j, json_get(r->j, v, "__float__"), "Infinity"))
        return (double)INFINITY;
    if ((json_present(v) && !json_double(r->j, v, &x)) || !(x >= 0))
        config_refuse(r, name);
    return x < NO_LIMIT ? x : (double)INFINITY;
}

static void read_limits(struct config_reader *r, struct model_config *c)
{
    json_ref list = config_member(r, "time_step_limit");

    c->mamba.dt_min = limit_of(r, "time_step_limit", json_at(r->j, list, 0), 0);
    c->mamba.dt_max = limit_of(r, "time_step_limit", json_at(r->j, list, 1),
                               (double)INFINITY);
}

static void check_mamba(struct config_reader *r, const struct model_config *c)
{
    if (r->rc == 0 && (c->mamba.heads % c->mamba.groups != 0 ||
                       c->mamba.heads * c->mamba.head_dim > MODEL_MAX_DIM))
        r->rc =
            err_set(r->err, ERR_FORMAT,
                    "%s: %lld Mamba heads of %lld do not fit %lld groups",
                    r->path, (long long)c->mamba.heads,
                    (long long)c->mamba.head_dim, (long long)c->mamba.groups);
}

/* The fields mamba_... of Granite and Falcon. */
static void read_mamba(struct config_reader *r, struct model_config *c)
{
    struct model_mamba_config *m = &c->mamba;
    int64_t expand = config_int(r, "mamba_expand", 2, 64);
    int64_t inner =
        config_int(r, "mamba_d_ssm", expand * c->hidden, MODEL_MAX_DIM);

    m->heads = config_int(r, "mamba_n_heads", 128, MODEL_MAX_DIM);
    m->groups = config_int(r, "mamba_n_groups", 1, MODEL_MAX_DIM);
    m->state = config_int(r, "mamba_d_state", 256, MODEL_MAX_DIM);
    m->conv = config_int(r, "mamba_d_conv", 4, COMPUTE_MAX_TAPS);
    m->conv_bias = config_bool(r, "mamba_conv_bias", true);
    m->proj_bias = m->out_bias = config_bool(r, "mamba_proj_bias", false);
    if (r->rc < 0)
        return;
    m->head_dim = inner / m->heads;
    if (m->head_dim * m->heads != inner)
        config_refuse(r, "mamba_n_heads");
    if (json_is(r->j, config_member(r, "mamba_d_head"), JSON_NUMBER) &&
        config_int(r, "mamba_d_head", 1, MODEL_MAX_DIM) != m->head_dim)
        config_refuse(r, "mamba_d_head");
    read_limits(r, c);
    check_mamba(r, c);
}

static void put_limits(const struct model_config *c, struct json_writer *w)
{
    if (isinf(c->mamba.dt_max) && !(c->mamba.dt_min > 0))
        return; /* the default, which JSON cannot spell */
    json_begin_array(w, "time_step_limit");
    config_put_float(w, NULL, c->mamba.dt_min);
    config_put_float(w, NULL,
                     isinf(c->mamba.dt_max) ? NO_LIMIT : c->mamba.dt_max);
    json_end_array(w);
}

static void write_mamba(const struct model_config *c, struct json_writer *w)
{
    const struct model_mamba_config *m = &c->mamba;

    json_put_int(w, "mamba_n_heads", m->heads);
    json_put_int(w, "mamba_d_head", m->head_dim);
    json_put_int(w, "mamba_n_groups", m->groups);
    json_put_int(w, "mamba_d_state", m->state);
    json_put_int(w, "mamba_d_conv", m->conv);
    json_put_bool(w, "mamba_conv_bias", m->conv_bias);
    json_put_bool(w, "mamba_proj_bias", m->proj_bias);
    put_limits(c, w);
}

static void read_granite_hybrid(struct config_reader *r, struct model_config *c)
{
    json_ref experts = config_member(r, "num_local_experts");
    int64_t n = 8;

    if (json_present(experts) && !json_int(r->j, experts, &n))
        n = -1;
    if (n != 0)
        config_refuse(r, "num_local_experts");
    c->mlp_bias = false;
    c->ffn = config_int(r, "shared_intermediate_size", 1024, MODEL_MAX_DIM);
    c->embed_scale = config_double(r, 0, "embedding_multiplier", 1, LIMIT);
    c->residual_scale = config_double(r, 0, "residual_multiplier", 1, LIMIT);
    c->attn_scale = config_double(r, 0, "attention_multiplier", 1, LIMIT);
    c->logit_scale = 1 / config_double(r, 0, "logits_scaling", 1, LIMIT);
    read_mamba(r, c);
    c->mamba.norm = true;
    if (!config_layers(r, c,
                       json_present(config_member(r, "layer_types"))
                           ? "layer_types"
                           : "layers_block_type",
                       granite_layers, 4))
        memset(c->layer, MODEL_LAYER_RECURRENT, (size_t)c->layers);
    if (!json_text_is(r->j, config_member(r, "position_embedding_type"),
                      "rope"))
        for (int64_t i = 0; i < c->layers; i++)
            c->layer[i] |= MODEL_LAYER_NOPE;
}

static void write_granite_hybrid(const struct model_config *c,
                                 struct json_writer *w)
{
    json_put_int(w, "num_local_experts", 0);
    json_put_int(w, "num_experts_per_tok", 0);
    json_put_int(w, "shared_intermediate_size", c->ffn);
    config_put_float(w, "embedding_multiplier", c->embed_scale);
    config_put_float(w, "residual_multiplier", c->residual_scale);
    config_put_float(w, "attention_multiplier", c->attn_scale);
    config_put_float(w, "logits_scaling", 1 / c->logit_scale);
    json_put_string(w, "position_embedding_type",
                    c->layer[0] & MODEL_LAYER_NOPE ? "nope" : "rope");
    write_mamba(c, w);
    json_put_int(w, "mamba_expand",
                 c->mamba.heads * c->mamba.head_dim / c->hidden);
    config_write_layers(c, w, "layer_types", granite_layers, 4);
}

/* n numbers of a list, 1 where there is none. */
static void read_scales(struct config_reader *r, const char *name, double *out,
                        size_t n)
{
    json_ref list = config_member(r, name), e = json_first(r->j, list);

    for (size_t i = 0; i < n; i++)
        out[i] = 1;
    if (!json_present(list))
        return;
    if (!json_is(r->j, list, JSON_ARRAY) || json_count(r->j, list) != n) {
        config_refuse(r, name);
        return;
    }
    for (size_t i = 0; i < n; i++, e = json_next(r->j, list, e))
        if (!json_double(r->j, e, &out[i]) || !(out[i] > 0))
            config_refuse(r, name);
}

static bool is_scaled(double x)
{
    return x < 1 || x > 1;
}

/* A factor stands elsewhere than in the reference: a bias between the two
 * places would be multiplied, or not be. */
static void refuse_biased(struct config_reader *r, const struct model_config *c)
{
    if (c->attn_bias && (is_scaled(c->q_scale) || is_scaled(c->v_scale)))
        config_refuse(r, "attention_bias");
    if (c->mlp_bias && is_scaled(c->up_scale))
        config_refuse(r, "mlp_bias");
    if (c->mamba.proj_bias && is_scaled(c->mamba.in_scale))
        config_refuse(r, "mamba_proj_bias");
    if (c->mamba.out_bias && is_scaled(c->mamba.out_scale))
        config_refuse(r, "projectors_bias");
}

static void read_falcon_h1(struct config_reader *r, struct model_config *c)
{
    double in = config_double(r, 0, "attention_in_multiplier", 1, LIMIT);
    double mlp[2];

    c->embed_scale = config_double(r, 0, "embedding_multiplier", 1, LIMIT);
    c->logit_scale = config_double(r, 0, "lm_head_multiplier", 1, LIMIT);
    c->q_scale = in;
    c->k_scale = in * config_double(r, 0, "key_multiplier", 1, LIMIT);
    c->v_scale = in * config_double(r, 0, "attention_out_multiplier", 1, LIMIT);
    read_scales(r, "mlp_multipliers", mlp, 2);
    c->gate_scale = mlp[0];
    c->up_scale = mlp[1];
    read_mamba(r, c);
    c->mamba.norm = config_bool(r, "mamba_rms_norm", false);
    c->mamba.norm_first = config_bool(r, "mamba_norm_before_gate", true);
    c->mamba.in_scale = config_double(r, 0, "ssm_in_multiplier", 1, LIMIT);
    c->mamba.out_scale = config_double(r, 0, "ssm_out_multiplier", 1, LIMIT);
    c->mamba.out_bias = config_bool(r, "projectors_bias", false);
    read_scales(r, "ssm_multipliers", c->mamba.scales, 5);
    refuse_biased(r, c);
}

static void write_falcon_h1(const struct model_config *c, struct json_writer *w)
{
    config_put_float(w, "embedding_multiplier", c->embed_scale);
    config_put_float(w, "lm_head_multiplier", c->logit_scale);
    config_put_float(w, "attention_in_multiplier", c->q_scale);
    config_put_float(w, "key_multiplier", c->k_scale / c->q_scale);
    config_put_float(w, "attention_out_multiplier", c->v_scale / c->q_scale);
    json_begin_array(w, "mlp_multipliers");
    config_put_float(w, NULL, c->gate_scale);
    config_put_float(w, NULL, c->up_scale);
    json_end_array(w);
    write_mamba(c, w);
    json_put_bool(w, "projectors_bias", c->mamba.out_bias);
    json_put_int(w, "mamba_d_ssm", c->mamba.heads * c->mamba.head_dim);
    json_put_bool(w, "mamba_rms_norm", c->mamba.norm);
    json_put_bool(w, "mamba_norm_before_gate", c->mamba.norm_first);
    config_put_float(w, "ssm_in_multiplier", c->mamba.in_scale);
    config_put_float(w, "ssm_out_multiplier", c->mamba.out_scale);
    json_begin_array(w, "ssm_multipliers");
    for (size_t i = 0; i < 5; i++)
        config_put_float(w, NULL, c->mamba.scales[i]);
    json_end_array(w);
}

/* M: Mamba, *: attention, -: MLP. */
static void read_pattern(struct config_reader *r, struct model_config *c)
{
    static const char signs[] = "*M-";
    char *text = json_strdup(r->j, config_member(r, "hybrid_override_pattern"));
    size_t n = text ? strlen(text) : 0;

    if (n != (size_t)c->layers)
        config_refuse(r, "hybrid_override_pattern");
    for (size_t i = 0; r->rc == 0 && i < n; i++) {
        const char *at = strchr(signs, text[i]);

        if (at)
            c->layer[i] = (uint8_t)(at - signs);
        else
            config_refuse(r, "hybrid_override_pattern");
    }
    free(text);
}

static void read_nemotron_h(struct config_reader *r, struct model_config *c)
{
    struct model_mamba_config *m = &c->mamba;
    json_ref act = config_member(r, "mamba_hidden_act");

    if (json_present(act) && !json_text_is(r->j, act, "silu"))
        config_refuse(r, "mamba_hidden_act");
    m->heads = config_int(r, "mamba_num_heads", 128, MODEL_MAX_DIM);
    m->head_dim = config_int(r, "mamba_head_dim", 64, MODEL_MAX_DIM);
    m->groups = config_int(r, "n_groups", 8, MODEL_MAX_DIM);
    m->state = config_int(r, "ssm_state_size", 128, MODEL_MAX_DIM);
    m->conv = config_int(r, "conv_kernel", 4, COMPUTE_MAX_TAPS);
    m->conv_bias = config_bool(r, "use_conv_bias", true);
    m->proj_bias = m->out_bias = config_bool(r, "use_bias", false);
    c->attn_bias = false;
    c->tied = false; /* the reference does not tie, whatever the config says */
    m->norm = true;
    /* The reference takes time_step_min for its lower limit, and no other. */
    m->dt_min =
        limit_of(r, "time_step_min", config_member(r, "time_step_min"), 0.001);
    m->dt_max = (double)INFINITY;
    check_mamba(r, c);
    if (!config_layers(r, c, "layers_block_type", nemotron_layers, 5))
        read_pattern(r, c);
    for (int64_t i = 0; i < c->layers; i++)
        c->layer[i] |= MODEL_LAYER_NOPE;
}

static void write_nemotron_h(const struct model_config *c,
                             struct json_writer *w)
{
    const struct model_mamba_config *m = &c->mamba;
    char pattern[MODEL_MAX_LAYERS + 1] = { 0 };

    for (int64_t i = 0; i < c->layers; i++)
        pattern[i] = "*M-"[c->layer[i] & MODEL_LAYER_KIND];
    json_put_string(w, "hybrid_override_pattern", pattern);
    json_put_string(w, "mlp_hidden_act", "relu2");
    json_put_int(w, "mamba_num_heads", m->heads);
    json_put_int(w, "mamba_head_dim", m->head_dim);
    json_put_int(w, "n_groups", m->groups);
    json_put_int(w, "ssm_state_size", m->state);
    json_put_int(w, "conv_kernel", m->conv);
    json_put_bool(w, "use_conv_bias", m->conv_bias);
    json_put_bool(w, "use_bias", m->proj_bias);
    config_put_float(w, "time_step_min", m->dt_min);
}

#define Q_K_V .q = "q_proj", .k = "k_proj", .v = "v_proj"
#define MLP_NAMES .gate = "gate_proj", .up = "up_proj", .down = "down_proj"
#define ATTENTION                                                              \
    {                                                                          \
        {                                                                      \
            model_attention_new, "self_attn"                                   \
        }                                                                      \
    }

static const struct model_family hybrids[] = {
    { .architecture = "Qwen3_5ForCausalLM",
      .type = "qwen3_5_text",
      .embed = "model.embed_tokens",
      .norm = "model.norm",
      .names = { Q_K_V, .o = "o_proj", .q_norm = "q_norm", .k_norm = "k_norm",
                 MLP_NAMES },
      .layers = { [MODEL_LAYER_ATTENTION] = { { "input_layernorm", NULL,
                                                ATTENTION },
                                              { "post_attention_layernorm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "mlp" } } } },
                  [MODEL_LAYER_RECURRENT] = { { "input_layernorm",
                                                NULL,
                                                { { model_delta_new,
                                                    "linear_attn" } } },
                                              { "post_attention_layernorm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "mlp" } } } } },
      .head_dim = 256,
      .rotary_part = 0.25,
      .tolerance = 1e-3, /* its reference's delta rule rounds to f32 */
      .read = read_qwen35,
      .write = write_qwen35 },
    { .architecture = "Lfm2ForCausalLM",
      .type = "lfm2",
      .embed = "model.embed_tokens",
      .norm = "model.embedding_norm",
      .names = { Q_K_V, .o = "out_proj", .q_norm = "q_layernorm",
                 .k_norm = "k_layernorm", .gate = "w1", .up = "w3",
                 .down = "w2" },
      .layers = { [MODEL_LAYER_ATTENTION] = { { "operator_norm", NULL,
                                                ATTENTION },
                                              { "ffn_norm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "feed_forward" } } } },
                  [MODEL_LAYER_RECURRENT] = { { "operator_norm",
                                                NULL,
                                                { { model_conv_new,
                                                    "conv" } } },
                                              { "ffn_norm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "feed_forward" } } } } },
      .norm_eps = "norm_eps",
      .own_biases = true,
      .tied = true,
      .read = read_lfm2,
      .write = write_lfm2 },
    { .architecture = "GraniteMoeHybridForCausalLM",
      .type = "granitemoehybrid",
      .embed = "model.embed_tokens",
      .norm = "model.norm",
      .names = { Q_K_V, .o = "o_proj", .gate_up = "input_linear",
                 .down = "output_linear" },
      .layers = { [MODEL_LAYER_ATTENTION] = { { "input_layernorm", NULL,
                                                ATTENTION },
                                              { "post_attention_layernorm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "shared_mlp" } } } },
                  [MODEL_LAYER_RECURRENT] = { { "input_layernorm",
                                                NULL,
                                                { { model_mamba_new,
                                                    "mamba" } } },
                                              { "post_attention_layernorm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "shared_mlp" } } } } },
      .read = read_granite_hybrid,
      .write = write_granite_hybrid },
    { .architecture = "FalconH1ForCausalLM",
      .type = "falcon_h1",
      .embed = "model.embed_tokens",
      .norm = "model.final_layernorm",
      .names = { Q_K_V, .o = "o_proj", MLP_NAMES },
      .layers = { [MODEL_LAYER_ATTENTION] = { { "input_layernorm",
                                                NULL,
                                                { { model_mamba_new, "mamba" },
                                                  { model_attention_new,
                                                    "self_attn" } } },
                                              { "pre_ff_layernorm",
                                                NULL,
                                                { { model_mlp_new,
                                                    "feed_forward" } } } } },
      .read = read_falcon_h1,
      .write = write_falcon_h1 },
    { .architecture = "NemotronHForCausalLM",
      .type = "nemotron_h",
      .embed = "model.embeddings",
      .norm = "model.norm_f",
      .stored = "backbone",
      .names = { Q_K_V, .o = "o_proj", .up = "up_proj", .down = "down_proj" },
      .layers = { [MODEL_LAYER_ATTENTION] = { { "norm",
                                                NULL,
                                                { { model_attention_new,
                                                    "mixer" } } } },
                  [MODEL_LAYER_RECURRENT] = { { "norm",
                                                NULL,
                                                { { model_mamba_new,
                                                    "mixer" } } } },
                  [MODEL_LAYER_MLP] = { { "norm",
                                          NULL,
                                          { { model_mlp_new, "mixer" } } } } },
      .norm_eps = "layer_norm_epsilon",
      .act = "mlp_hidden_act",
      .default_act = MODEL_ACT_RELU2,
      .head_dim = 128,
      .read = read_nemotron_h,
      .write = write_nemotron_h },
};

const struct model_family *model_family_hybrid(size_t i)
{
    return i < sizeof(hybrids) / sizeof(hybrids[0]) ? &hybrids[i] : NULL;
}

/*
 * gguf_config_hybrid.c - config.json of families whose layers differ in kind
 *
 * A layer's kind follows from the numbers that GGUF has for each: one without
 * keys has no attention, one without width no MLP. Factors of the model are
 * in the weights already, so they are 1 here.
 */
#include "weights/gguf_config.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 4096

/* Whether layer i has any of what the key counts. */
static bool has(const struct config_out *c, const char *key, int64_t i)
{
    const struct gguf_entry *e = gguf_find_own(c->g, key);
    int64_t all = 0;

    if (e && e->array)
        return gguf_number(e, (size_t)i) != 0;
    return gguf_int(e, &all) && all != 0;
}

static bool has_attention(const struct config_out *c, int64_t i)
{
    return has(c, "attention.head_count_kv", i);
}

static int64_t layers_of(const struct config_out *c)
{
    int64_t n = gguf_config_int(c, "block_count");

    return n < 0 ? 0 : n < MAX_LAYERS ? n : MAX_LAYERS;
}

/* Is there a tensor `name` in any layer? */
static bool has_tensor(const struct config_out *c, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < c->f->count; i++) {
        size_t all = strlen(c->f->tensors[i].name);

        if (all > n && strcmp(c->f->tensors[i].name + all - n, name) == 0)
            return true;
    }
    return false;
}

static void put_layers(struct config_out *c, const char *attention,
                       const char *other)
{
    json_begin_array(&c->w, "layer_types");
    for (int64_t i = 0; i < layers_of(c); i++)
        json_put_string(&c->w, NULL, has_attention(c, i) ? attention : other);
    json_end_array(&c->w);
}

static int64_t mamba_heads(const struct config_out *c)
{
    int64_t heads = gguf_config_int(c, "ssm.time_step_rank");

    return heads > 0 ? heads : 1;
}

static void put_mamba(struct config_out *c)
{
    int64_t inner = gguf_config_int(c, "ssm.inner_size");
    int64_t hidden = gguf_config_int(c, "embedding_length");

    json_put_int(&c->w, "mamba_n_heads", mamba_heads(c));
    json_put_int(&c->w, "mamba_d_head", inner / mamba_heads(c));
    json_put_int(&c->w, "mamba_d_ssm", inner);
    json_put_int(&c->w, "mamba_expand", hidden > 0 ? inner / hidden : 0);
    json_put_int(&c->w, "mamba_n_groups",
                 gguf_config_int(c, "ssm.group_count"));
    json_put_int(&c->w, "mamba_d_state", gguf_config_int(c, "ssm.state_size"));
    json_put_int(&c->w, "mamba_d_conv", gguf_config_int(c, "ssm.conv_kernel"));
    json_put_bool(&c->w, "mamba_conv_bias",
                  has_tensor(c, ".mamba.conv1d.bias"));
    json_put_bool(&c->w, "mamba_proj_bias", false);
}

static void put_granite(struct config_out *c)
{
    json_put_int(&c->w, "num_local_experts",
                 gguf_config_int(c, "expert_count"));
    json_put_int(&c->w, "shared_intermediate_size",
                 gguf_config_int(c, "feed_forward_length"));
    json_put_string(
        &c->w, "position_embedding_type",
        gguf_flag(gguf_find_own(c->g, "rope.scaling.finetuned"), true)
            ? "rope"
            : "nope");
    put_mamba(c);
    put_layers(c, "attention", "mamba");
}

static void put_falcon(struct config_out *c)
{
    put_mamba(c);
    json_put_bool(&c->w, "mamba_rms_norm", has_tensor(c, ".mamba.norm.weight"));
    json_put_bool(&c->w, "mamba_norm_before_gate", false);
    json_put_bool(&c->w, "projectors_bias", false);
}

static void put_eps(struct config_out *c, const char *name)
{
    double eps;

    if (gguf_double(gguf_find_own(c->g, "attention.layer_norm_rms_epsilon"),
                    &eps) &&
        isfinite(eps))
        json_put_double(&c->w, name, eps);
}

static void put_lfm2(struct config_out *c)
{
    json_put_bool(&c->w, "block_auto_adjust_ff_dim", false);
    json_put_int(&c->w, "conv_L_cache",
                 gguf_config_int(c, "shortconv.l_cache"));
    json_put_bool(&c->w, "conv_bias", false);
    put_layers(c, "full_attention", "conv");
    put_eps(c, "norm_eps");
}

static void put_nemotron(struct config_out *c)
{
    char pattern[MAX_LAYERS + 1];
    int64_t n = layers_of(c);

    for (int64_t i = 0; i < n; i++)
        pattern[i] = has_attention(c, i)                ? '*'
                     : has(c, "feed_forward_length", i) ? '-'
                                                        : 'M';
    pattern[n] = 0;
    json_put_string(&c->w, "hybrid_override_pattern", pattern);
    json_put_string(&c->w, "mlp_hidden_act", "relu2");
    json_put_int(&c->w, "mamba_num_heads", mamba_heads(c));
    json_put_int(&c->w, "mamba_head_dim",
                 gguf_config_int(c, "ssm.inner_size") / mamba_heads(c));
    json_put_int(&c->w, "n_groups", gguf_config_int(c, "ssm.group_count"));
    json_put_int(&c->w, "ssm_state_size", gguf_config_int(c, "ssm.state_size"));
    json_put_int(&c->w, "conv_kernel", gguf_config_int(c, "ssm.conv_kernel"));
    json_put_bool(&c->w, "use_conv_bias", has_tensor(c, ".mixer.conv1d.bias"));
    json_put_bool(&c->w, "use_bias", false);
    put_eps(c, "layer_norm_epsilon");
}

void gguf_config_hybrid(struct config_out *c)
{
    const char *name = c->g->arch->name;

    if (strcmp(name, "nemotron_h") == 0)
        put_nemotron(c);
    else if (strcmp(name, "granitehybrid") == 0)
        put_granite(c);
    else if (strcmp(name, "lfm2") == 0)
        put_lfm2(c);
    else
        put_falcon(c);
}

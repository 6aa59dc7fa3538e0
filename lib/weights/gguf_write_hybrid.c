/*
 * gguf_write_hybrid.c - metadata of families whose layers differ in kind
 *
 * Kinds and sizes follow from the tensors that a layer has; only what these do
 * not say comes from config.json. What llama.cpp computes otherwise, or has no
 * place for, is refused.
 */
#include "weights/gguf_write_config.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct parts {
    const char *layers;    /* "model.layers" */
    const char *attention; /* "self_attn.q_proj" */
    const char *mixer;     /* "mamba.in_proj" */
    const char *mlp;       /* its rows are the width, twice in Granite's */
    const char *eps;
};

static const struct parts parts_nemotron = { "backbone.layers", "mixer.q_proj",
                                             "mixer.in_proj", "mixer.up_proj",
                                             "layer_norm_epsilon" };
static const struct parts parts_granite = { "model.layers", "self_attn.q_proj",
                                            "mamba.in_proj",
                                            "shared_mlp.input_linear",
                                            "rms_norm_eps" };
static const struct parts parts_falcon = { "model.layers", "self_attn.q_proj",
                                           "mamba.in_proj",
                                           "feed_forward.gate_proj",
                                           "rms_norm_eps" };
static const struct parts parts_lfm2 = { "model.layers", "self_attn.q_proj",
                                         "conv.in_proj", "feed_forward.w1",
                                         "norm_eps" };

static bool is(const struct config_in *c, const char *name)
{
    return strcmp(c->arch->name, name) == 0;
}

static const struct parts *parts_of(const struct config_in *c)
{
    return is(c, "nemotron_h")      ? &parts_nemotron
           : is(c, "granitehybrid") ? &parts_granite
           : is(c, "lfm2")          ? &parts_lfm2
                                    : &parts_falcon;
}

/* NULL if layer i has no such tensor. */
static const struct weights_tensor *tensor(const struct config_in *c, int64_t i,
                                           const char *name)
{
    char *full =
        mem_printf("%s.%lld.%s", parts_of(c)->layers, (long long)i, name);
    const struct weights_tensor *t = weights_find(c->w, full);

    free(full);
    return t;
}

static bool has(const struct config_in *c, int64_t i, const char *module)
{
    char *name = mem_printf("%s.weight", module);
    bool is_there = tensor(c, i, name) != NULL;

    free(name);
    return is_there;
}

/* The first layer's tensor of that name. */
static const struct weights_tensor *first(const struct config_in *c,
                                          const char *name)
{
    const struct weights_tensor *t = NULL;

    for (int64_t i = 0; i < c->layers && !t; i++)
        t = tensor(c, i, name);
    return t;
}

static int64_t extent(const struct weights_tensor *t, unsigned dim)
{
    return t && t->dims > dim ? t->shape[dim] : 0;
}

static int64_t rows_of(const struct config_in *c, const char *module)
{
    char *name = mem_printf("%s.weight", module);
    int64_t rows = extent(first(c, name), 0);

    free(name);
    return rows;
}

static void refuse_tensor(struct config_in *c, const char *name)
{
    if (first(c, name))
        gguf_in_refuse(c, name);
}

/* `value` for layers that have `module`, 0 for others. */
static void put_each(struct config_in *c, const char *key, const char *module,
                     int64_t value)
{
    int32_t *list = mem_array((size_t)c->layers, sizeof(*list));
    char *full = mem_printf("%s.%s", c->arch->name, key);

    for (int64_t i = 0; i < c->layers; i++)
        list[i] = has(c, i, module) ? (int32_t)value : 0;
    gguf_put_ints(c->g, full, list, (size_t)c->layers);
    free(full);
    free(list);
}

static bool is_infinite(const struct config_in *c, json_ref v)
{
    double x = 0;

    return !json_present(v) || (json_double(c->j, v, &x) && x >= 1e30) ||
           json_text_is(c->j, json_get(c->j, v, "__float__"), "Infinity");
}

static void check_limits(struct config_in *c)
{
    json_ref list = gguf_in_member(c, 0, "time_step_limit");
    double least = 0;

    (void)json_double(c->j, json_at(c->j, list, 0), &least);
    if (least > 0 || !is_infinite(c, json_at(c->j, list, 1)))
        gguf_in_refuse(c, "time_step_limit");
}

/* mixer: "mamba" or "mixer". */
static void put_mamba(struct config_in *c, const char *mixer, int64_t groups)
{
    char *out = mem_printf("%s.out_proj.weight", mixer);
    char *conv = mem_printf("%s.conv1d.weight", mixer);
    char *bias = mem_printf("%s.conv1d.bias", mixer);
    char *decay = mem_printf("%s.A_log", mixer);
    int64_t inner = extent(first(c, out), 1),
            channels = extent(first(c, conv), 0);

    if (groups < 1 || inner < 1 || channels <= inner ||
        (channels - inner) % (2 * groups) != 0) {
        gguf_in_refuse(c, "the shape of the Mamba layers");
    } else {
        gguf_in_put_int(c, "ssm.conv_kernel", extent(first(c, conv), 2));
        gguf_in_put_int(c, "ssm.inner_size", inner);
        gguf_in_put_int(c, "ssm.state_size", (channels - inner) / (2 * groups));
        gguf_in_put_int(c, "ssm.time_step_rank", extent(first(c, decay), 0));
        gguf_in_put_int(c, "ssm.group_count", groups);
        c->extra->groups = groups;
        if (!first(c, bias))
            gguf_in_refuse(c, "a convolution without bias");
    }
    free(out);
    free(conv);
    free(bias);
    free(decay);
}

static void check_act(struct config_in *c, const char *name, const char *want)
{
    json_ref act = gguf_in_member(c, 0, name);

    if (json_present(act) && !json_text_is(c->j, act, want))
        gguf_in_refuse(c, "the activation");
}

static void put_granite(struct config_in *c)
{
    bool rope = json_text_is(
        c->j, gguf_in_member(c, 0, "position_embedding_type"), "rope");
    int64_t groups = gguf_in_whole(c, "mamba_n_groups", 1);

    check_act(c, "hidden_act", "silu");
    check_limits(c);
    if (groups != 1) /* llama.cpp norms each group, the reference all */
        gguf_in_refuse(c, "mamba_n_groups");
    if (extent(first(c, "mamba.out_proj.weight"), 1) != 2 * c->hidden)
        gguf_in_refuse(c, "mamba_expand");
    put_mamba(c, "mamba", groups);
    refuse_tensor(c, "mamba.in_proj.bias");
    refuse_tensor(c, "mamba.out_proj.bias");
    gguf_put_bool(c->g, "granitehybrid.rope.scaling.finetuned", rope);
}

static void put_nemotron(struct config_in *c)
{
    check_act(c, "mlp_hidden_act", "relu2");
    check_act(c, "mamba_hidden_act", "silu");
    put_mamba(c, "mixer", gguf_in_whole(c, "n_groups", 8));
    refuse_tensor(c, "mixer.in_proj.bias");
    refuse_tensor(c, "mixer.out_proj.bias");
}

static void put_lfm2(struct config_in *c)
{
    const struct weights_tensor *conv = first(c, "conv.conv.weight");

    if (c->heads * c->head_dim != c->hidden)
        gguf_in_refuse(c, "head_dim");
    gguf_in_put_int(c, "shortconv.l_cache", extent(conv, 2));
    refuse_tensor(c, "conv.in_proj.bias");
    refuse_tensor(c, "conv.out_proj.bias");
}

/* n numbers of a list; 1 where there is none. */
static void read_list(struct config_in *c, const char *name, double *out,
                      size_t n)
{
    json_ref list = gguf_in_member(c, 0, name);

    for (size_t i = 0; i < n; i++) {
        out[i] = 1;
        if (json_present(list) &&
            !json_double(c->j, json_at(c->j, list, i), &out[i]))
            gguf_in_refuse(c, name);
    }
}

static void read_multipliers(struct config_in *c)
{
    struct gguf_multipliers *m = &c->extra->m;
    int64_t inner = extent(first(c, "mamba.out_proj.weight"), 1);
    int64_t states = extent(first(c, "mamba.conv1d.weight"), 0) - inner;

    m->embed = gguf_in_number(c, 0, "embedding_multiplier", 1);
    m->head = gguf_in_number(c, 0, "lm_head_multiplier", 1);
    m->in = gguf_in_number(c, 0, "attention_in_multiplier", 1);
    m->key = gguf_in_number(c, 0, "key_multiplier", 1);
    m->out = gguf_in_number(c, 0, "attention_out_multiplier", 1);
    m->ssm_in = gguf_in_number(c, 0, "ssm_in_multiplier", 1);
    m->ssm_out = gguf_in_number(c, 0, "ssm_out_multiplier", 1);
    read_list(c, "mlp_multipliers", m->mlp, 2);
    read_list(c, "ssm_multipliers", m->ssm, 5);
    m->ssm_rows[0] = m->ssm_rows[1] = (size_t)inner;
    m->ssm_rows[2] = m->ssm_rows[3] = (size_t)(states / 2);
    m->ssm_rows[4] = (size_t)extent(first(c, "mamba.A_log"), 0);
    m->on = m->embed != 1 || m->head != 1 || m->in != 1 || m->key != 1 ||
            m->out != 1 || m->ssm_in != 1 || m->ssm_out != 1 ||
            m->mlp[0] != 1 || m->mlp[1] != 1;
    for (size_t i = 0; i < 5; i++)
        m->on |= m->ssm[i] != 1;
}

static void put_falcon(struct config_in *c)
{
    static const char *const biases[] = {
        "self_attn.q_proj.bias", "self_attn.k_proj.bias",
        "self_attn.v_proj.bias", "self_attn.o_proj.bias",
        "mamba.in_proj.bias",    "mamba.out_proj.bias"
    };
    bool norm_first = true;

    check_act(c, "hidden_act", "silu");
    check_limits(c);
    put_mamba(c, "mamba", gguf_in_whole(c, "mamba_n_groups", 1));
    for (size_t i = 0; i < sizeof(biases) / sizeof(biases[0]); i++)
        refuse_tensor(c, biases[i]);
    (void)json_bool(c->j, gguf_in_member(c, 0, "mamba_norm_before_gate"),
                    &norm_first);
    if (norm_first && first(c, "mamba.norm.weight"))
        gguf_in_refuse(c, "mamba_norm_before_gate");
    read_multipliers(c);
    if (c->extra->m.on && first(c, "feed_forward.gate_proj.bias"))
        gguf_in_refuse(c, "mlp_bias");
}

/* Nemotron-H may leave the number to the kinds, a list or a letter each. */
static int64_t count_layers(const struct config_in *c)
{
    json_ref list = gguf_in_member(c, 0, "layers_block_type");
    char *letters;
    size_t n = json_count(c->j, list);

    if (c->layers > 0 || n > 0)
        return c->layers > 0 ? c->layers : (int64_t)n;
    letters =
        json_strdup(c->j, gguf_in_member(c, 0, "hybrid_override_pattern"));
    n = letters ? strlen(letters) : 0;
    free(letters);
    return (int64_t)n;
}

static void put_sizes(struct config_in *c, const struct parts *p)
{
    int64_t kv = gguf_in_whole(c, "num_key_value_heads", c->heads);
    int64_t width;

    c->layers = c->extra->layers = count_layers(c);
    width = rows_of(c, p->mlp) / (is(c, "granitehybrid") ? 2 : 1);
    c->head_dim = rows_of(c, p->attention) / c->heads;
    if (c->layers < 1 || c->head_dim < 1 || c->head_dim > GGUF_MAX_HEAD ||
        width < 1 || rows_of(c, p->mixer) < 1) {
        gguf_in_refuse(c, "a model without each kind of layer");
        return;
    }
    gguf_in_put_int(c, "context_length",
                    gguf_in_whole(c, "max_position_embeddings", 2048));
    gguf_in_put_int(c, "embedding_length", c->hidden);
    gguf_in_put_int(c, "block_count", c->layers);
    gguf_in_put_int(c, "attention.head_count", c->heads);
    gguf_in_put_int(c, "attention.key_length", c->head_dim);
    gguf_in_put_int(c, "attention.value_length", c->head_dim);
    gguf_in_put_int(c, "vocab_size", gguf_in_whole(c, "vocab_size", 0));
    gguf_in_put_float(c, "attention.layer_norm_rms_epsilon",
                      gguf_in_number(c, 0, p->eps, 1e-5));
    if (is(c, "falcon-h1"))
        gguf_in_put_int(c, "attention.head_count_kv", kv);
    else
        put_each(c, "attention.head_count_kv", p->attention, kv);
    if (is(c, "nemotron_h"))
        put_each(c, "feed_forward_length", p->mlp, width);
    else
        gguf_in_put_int(c, "feed_forward_length", width);
}

void gguf_put_hybrid(struct config_in *c)
{
    put_sizes(c, parts_of(c));
    if (c->rc < 0)
        return;
    if (is(c, "nemotron_h"))
        put_nemotron(c);
    else if (is(c, "granitehybrid"))
        put_granite(c);
    else if (is(c, "lfm2"))
        put_lfm2(c);
    else
        put_falcon(c);
}

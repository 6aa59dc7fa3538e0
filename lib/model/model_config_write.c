/*
 * model_config_write.c - config.json as transformers spells it
 *
 * The older spelling, which old and new versions read alike. What a family has
 * beyond the common fields is written by its entry in model_family.c.
 */
#include "model/model_family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_put_float(struct json_writer *w, const char *name, double x)
{
    char text[40];
    int digits = 15;

    do
        (void)snprintf(text, sizeof(text), "%.*g", digits++, x);
    while (digits <= 17 && fabs(strtod(text, NULL) - x) > 0);
    if (!strpbrk(text, ".e"))
        (void)strcat(text, ".0");
    json_put_raw(w, name, slice_of(text));
}

/* Where it is not what the family does anyway. */
void config_write_partial(const struct model_config *c, struct json_writer *w)
{
    double part = c->rotary ? (double)c->rotary / (double)c->head_dim : 1;

    if (fabs(part - model_family_find(c->family)->rotary_part) > 1e-9)
        config_put_float(w, "partial_rotary_factor", part);
}

void config_write_layers(const struct model_config *c, struct json_writer *w,
                         const char *field,
                         const struct config_layer_name *names, size_t count)
{
    json_begin_array(w, field);
    for (int64_t i = 0; i < c->layers; i++)
        for (size_t k = 0; k < count; k++)
            if (names[k].layer == (c->layer[i] & ~MODEL_LAYER_NOPE)) {
                json_put_string(w, NULL, names[k].name);
                break;
            }
    json_end_array(w);
}

static void write_factors(const char *name, const float *x, int64_t n,
                          struct json_writer *w)
{
    json_begin_array(w, name);
    for (int64_t i = 0; i < n; i++)
        config_put_float(w, NULL, (double)x[i]);
    json_end_array(w);
}

static void write_longrope(const struct model_config *c, struct json_writer *w)
{
    int64_t pairs = (c->rotary ? c->rotary : c->head_dim) / 2;

    json_begin_object(w, "rope_scaling");
    json_put_string(w, "type", "longrope");
    write_factors("short_factor", c->rope_short, pairs, w);
    write_factors("long_factor", c->rope_long, pairs, w);
    /* Old versions refuse a fourth field, so only where it says something. */
    if (fabs(c->rope_attention - config_longrope_attention(c, 0)) > 1e-9)
        config_put_float(w, "attention_factor", c->rope_attention);
    json_end_object(w);
}

static void write_rope(const struct model_config *c, struct json_writer *w)
{
    config_put_float(w, "rope_theta", c->rope_theta);
    if (c->rope == MODEL_ROPE_DEFAULT) {
        json_put_null(w, "rope_scaling");
        return;
    }
    if (c->rope == MODEL_ROPE_LONGROPE) {
        write_longrope(c, w);
        return;
    }
    json_begin_object(w, "rope_scaling");
    json_put_string(w, "rope_type",
                    c->rope == MODEL_ROPE_LINEAR    ? "linear"
                    : c->rope == MODEL_ROPE_DYNAMIC ? "dynamic"
                    : c->rope == MODEL_ROPE_YARN    ? "yarn"
                                                    : "llama3");
    config_put_float(w, "factor", c->rope_factor);
    if (c->rope == MODEL_ROPE_YARN) {
        config_put_float(w, "beta_slow", c->rope_low);
        config_put_float(w, "beta_fast", c->rope_high);
        config_put_float(w, "attention_factor", c->rope_attention);
        if (c->rope_exact)
            json_put_bool(w, "truncate", false);
        json_put_int(w, "original_max_position_embeddings", c->rope_original);
    }
    if (c->rope == MODEL_ROPE_LLAMA3) {
        config_put_float(w, "low_freq_factor", c->rope_low);
        config_put_float(w, "high_freq_factor", c->rope_high);
        json_put_int(w, "original_max_position_embeddings", c->rope_original);
    }
    json_end_object(w);
}

static void write_ids(const struct model_config *c, struct json_writer *w)
{
    if (c->bos >= 0)
        json_put_int(w, "bos_token_id", c->bos);
    if (c->pad >= 0)
        json_put_int(w, "pad_token_id", c->pad);
    if (c->pad == -1)
        json_put_null(w, "pad_token_id");
    if (c->eos_count == 1)
        json_put_int(w, "eos_token_id", c->eos[0]);
    if (c->eos_count <= 1)
        return;
    json_begin_array(w, "eos_token_id");
    for (unsigned i = 0; i < c->eos_count; i++)
        json_put_int(w, NULL, c->eos[i]);
    json_end_array(w);
}

static const char *act_name(enum model_act act)
{
    return act == MODEL_ACT_SILU        ? "silu"
           : act == MODEL_ACT_GELU_TANH ? "gelu_new"
           : act == MODEL_ACT_GELU      ? "gelu"
                                        : "relu2";
}

void model_config_write(const struct model_config *c, enum weights_type dtype,
                        struct buf *out)
{
    const struct model_family *f = model_family_find(c->family);
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "architectures");
    json_put_string(&w, NULL, f->architecture);
    json_end_array(&w);
    json_put_string(&w, "model_type", f->type);
    if (c->attn_bias && !f->own_biases)
        json_put_bool(&w, "attention_bias", true);
    if (c->mlp_bias && !f->own_biases)
        json_put_bool(&w, "mlp_bias", true);
    write_ids(c, &w);
    if (f->head_dim || c->head_dim * c->heads != c->hidden)
        json_put_int(&w, "head_dim", c->head_dim);
    if (!f->act)
        json_put_string(&w, "hidden_act", act_name(c->act));
    json_put_int(&w, "hidden_size", c->hidden);
    config_put_float(&w, "initializer_range", c->init_range);
    json_put_int(&w, "intermediate_size", c->ffn);
    json_put_int(&w, "max_position_embeddings", c->context);
    json_put_int(&w, "num_attention_heads", c->heads);
    json_put_int(&w, "num_hidden_layers", c->layers);
    json_put_int(&w, "num_key_value_heads", c->kv_heads);
    config_put_float(&w, f->norm_eps ? f->norm_eps : "rms_norm_eps",
                     c->norm_eps);
    write_rope(c, &w);
    json_put_bool(&w, "tie_word_embeddings", c->tied);
    json_put_string(&w, "torch_dtype",
                    dtype == WEIGHTS_BF16  ? "bfloat16"
                    : dtype == WEIGHTS_F16 ? "float16"
                                           : "float32");
    json_put_int(&w, "vocab_size", c->vocab);
    if (f->write)
        f->write(c, &w);
    json_end_object(&w);
    buf_char(out, '\n');
}

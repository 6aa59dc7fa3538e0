/*
 * gguf_config.c - the config.json that a GGUF file's metadata amount to
 *
 * The text goes through the same reader as any config.json, so that what a
 * family has and what is refused stands in one place. What GGUF leaves to the
 * software that reads it (Gemma's attention scale, which layers have windows)
 * is as llama.cpp has it.
 */
#include "weights/gguf_config.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest decimal that is this float: 1e-06, not 9.99999997e-07. */
static double short_double(double x)
{
    char text[32];

    for (int digits = 6; digits < 9; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, x);
        if (strtof(text, NULL) == (float)x)
            return strtod(text, NULL);
    }
    return x;
}

static const struct field {
    const char *key, *name;
} fields[] = {
    { "context_length", "max_position_embeddings" },
    { "embedding_length", "hidden_size" },
    { "block_count", "num_hidden_layers" },
    { "feed_forward_length", "intermediate_size" },
    { "attention.head_count", "num_attention_heads" },
    { "attention.head_count_kv", "num_key_value_heads" },
    { "attention.layer_norm_rms_epsilon", "rms_norm_eps" },
    { "attention.layer_norm_epsilon", "layer_norm_eps" },
    { "rope.freq_base", "rope_theta" },
    { "attn_logit_softcapping", "attn_logit_softcapping" },
    { "final_logit_softcapping", "final_logit_softcapping" },
    { "attention.sliding_window", "sliding_window" },
    { "embedding_scale", "embedding_multiplier" },
    { "residual_scale", "residual_multiplier" },
    { "attention.scale", "attention_multiplier" },
    { "logit_scale", "logits_scaling" },
};

/* No layer goes without. */
static bool is_everywhere(const struct gguf_entry *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (gguf_number(e, i) == 0)
            return false;
    return true;
}

static int put_fields(struct config_out *c)
{
    bool hybrid = c->g->arch->quirks & GGUF_HYBRID;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct gguf_entry *e = gguf_find_own(c->g, fields[i].key);
        int64_t whole;
        double x;

        if (!e)
            continue;
        if (gguf_int(e, &whole) || (e->array && (hybrid || is_everywhere(e)) &&
                                    gguf_int_of_layers(e, &whole))) {
            if (whole || strcmp(fields[i].name, "sliding_window") != 0)
                json_put_int(&c->w, fields[i].name, whole);
        } else if (gguf_double(e, &x) && isfinite(x))
            json_put_double(&c->w, fields[i].name, short_double(x));
        else
            return err_set(c->err, ERR_UNSUPPORTED,
                           "key \"%.*s\" is not supported unless it is one "
                           "number for all layers",
                           (int)e->key.n, e->key.p);
    }
    return ERR_OK;
}

const struct weights_tensor *gguf_config_tensor(const struct config_out *c,
                                                const char *name)
{
    for (size_t i = 0; i < c->f->count; i++)
        if (strcmp(c->f->tensors[i].name, name) == 0)
            return &c->f->tensors[i];
    return NULL;
}

static void put_shape(struct config_out *c)
{
    enum gguf_form form;
    char *name =
        gguf_name_to_checkpoint(c->g->arch, "token_embd.weight", &form);
    const struct weights_tensor *embed = gguf_config_tensor(c, name);
    const struct gguf_entry *tokens = gguf_find(c->g, "tokenizer.ggml.tokens");
    int64_t vocab = 0, hidden = 0, heads = 0;

    if (embed && embed->dims == 2)
        vocab = embed->shape[0];
    else if (!gguf_int(gguf_find_own(c->g, "vocab_size"), &vocab) && tokens)
        vocab = (int64_t)tokens->count;
    json_put_int(&c->w, "vocab_size", vocab);
    if (!gguf_int(gguf_find_own(c->g, "attention.key_length"), &c->head_dim) &&
        gguf_int(gguf_find_own(c->g, "embedding_length"), &hidden) &&
        gguf_int(gguf_find_own(c->g, "attention.head_count"), &heads) &&
        heads > 0)
        c->head_dim = hidden / heads;
    json_put_int(&c->w, "head_dim", c->head_dim);
    json_put_bool(&c->w, "tie_word_embeddings",
                  !gguf_config_tensor(c, "lm_head.weight"));
    json_put_bool(
        &c->w, "attention_bias",
        gguf_config_tensor(c, "model.layers.0.self_attn.o_proj.bias") != NULL);
    json_put_bool(&c->w, "mlp_bias",
                  gguf_config_tensor(c, "model.layers.0.mlp.down_proj.bias") !=
                      NULL);
    json_put_string(&c->w, "torch_dtype",
                    embed && embed->type == WEIGHTS_F16    ? "float16"
                    : embed && embed->type == WEIGHTS_BF16 ? "bfloat16"
                                                           : "float32");
    free(name);
}

/* What Llama 3's scaling divides the frequency of pair i by. */
static double llama3_factor(double freq, double factor, double original)
{
    double wave = 2 * acos(-1.0) / freq, smooth;

    if (wave < original / 4)
        return 1;
    if (wave > original)
        return factor;
    smooth = (original / wave - 1) / 3;
    return 1 / ((1 - smooth) / factor + smooth);
}

static bool is_llama3(const float *x, size_t n, double theta, double factor,
                      double original)
{
    for (size_t i = 0; i < n; i++) {
        double freq = pow(theta, -(double)i / (double)n);
        double want = llama3_factor(freq, factor, original);

        if (!(fabs((double)x[i] - want) <= 1e-4 * want))
            return false;
    }
    return true;
}

static void put_llama3(struct config_out *c, double factor, double original)
{
    json_begin_object(&c->w, "rope_scaling");
    json_put_string(&c->w, "rope_type", "llama3");
    json_put_double(&c->w, "factor", factor);
    json_put_double(&c->w, "low_freq_factor", 1);
    json_put_double(&c->w, "high_freq_factor", 4);
    json_put_double(&c->w, "original_max_position_embeddings", original);
    json_end_object(&c->w);
}

/* Any factors, as the one scaling that lists them. */
static void put_listed(struct config_out *c, const float *x, size_t n)
{
    static const char *const names[] = { "short_factor", "long_factor" };
    int64_t context = 2048;

    (void)gguf_int(gguf_find_own(c->g, "context_length"), &context);
    json_begin_object(&c->w, "rope_scaling");
    json_put_string(&c->w, "rope_type", "longrope");
    for (size_t k = 0; k < 2; k++) {
        json_begin_array(&c->w, names[k]);
        for (size_t i = 0; i < n; i++)
            json_put_double(&c->w, NULL, short_double((double)x[i]));
        json_end_array(&c->w);
    }
    json_put_double(&c->w, "attention_factor", 1);
    json_put_int(&c->w, "original_max_position_embeddings", context);
    json_end_object(&c->w);
}

/* Factors of the frequencies say what was scaled, but not by which rule: the
 * one rule that software knows is tried with every likely length, and what it
 * does not give is listed. */
static int put_freqs(struct config_out *c, const struct weights_tensor *t)
{
    size_t n = (size_t)weights_elements(t);
    float x[1024];
    double theta = 10000, top = 0;

    if (t->type != WEIGHTS_F32 || n > 1024 || n < 1)
        return err_set(c->err, ERR_FORMAT,
                       "rope_freqs.weight must hold 1 to 1024 F32 numbers");
    memcpy(x, t->data, n * sizeof(float));
    (void)gguf_double(gguf_find_own(c->g, "rope.freq_base"), &theta);
    for (size_t i = 0; i < n; i++)
        top = fmax(top, (double)x[i]);
    for (double original = 1; original <= 0x1p24; original *= 2)
        if (is_llama3(x, n, theta, top, original)) {
            put_llama3(c, short_double(top), original);
            return ERR_OK;
        }
    put_listed(c, x, n);
    return ERR_OK;
}

static int put_factors(struct config_out *c, const char *name,
                       const struct weights_tensor *t)
{
    size_t n = t ? (size_t)weights_elements(t) : 0;
    float x[1024];

    if (!t || t->type != WEIGHTS_F32 || n > 1024)
        return err_set(c->err, ERR_FORMAT,
                       "rope_factors_long and rope_factors_short must hold up "
                       "to 1024 F32 numbers");
    if (n)
        memcpy(x, t->data, n * sizeof(float));
    json_begin_array(&c->w, name);
    for (size_t i = 0; i < n; i++)
        json_put_double(&c->w, NULL, short_double((double)x[i]));
    json_end_array(&c->w);
    return ERR_OK;
}

static int put_longrope(struct config_out *c)
{
    const struct weights_tensor *s =
        gguf_aside(c->g, "rope_factors_short.weight");
    int64_t original;
    double factor;
    int rc;

    json_begin_object(&c->w, "rope_scaling");
    json_put_string(&c->w, "rope_type", "longrope");
    rc = put_factors(c, "short_factor", s);
    if (rc == ERR_OK)
        rc = put_factors(c, "long_factor",
                         gguf_aside(c->g, "rope_factors_long.weight"));
    if (gguf_double(gguf_find_own(c->g, "rope.scaling.attn_factor"), &factor) &&
        factor > 0)
        json_put_double(&c->w, "attention_factor", short_double(factor));
    json_end_object(&c->w);
    if (gguf_int(gguf_find_own(c->g, "rope.scaling.original_context_length"),
                 &original))
        json_put_int(&c->w, "original_max_position_embeddings", original);
    return rc;
}

static int put_rope(struct config_out *c)
{
    const struct weights_tensor *freqs = gguf_aside(c->g, "rope_freqs.weight");
    struct slice type =
        gguf_string(gguf_find_own(c->g, "rope.scaling.type"), 0);
    int64_t turned;
    double factor = 1;

    if (strcmp(c->g->arch->name, "granite") == 0 &&
        !gguf_flag(gguf_find_own(c->g, "rope.scaling.finetuned"), true))
        return err_set(c->err, ERR_UNSUPPORTED,
                       "rope.scaling.finetuned false, for no positions at all, "
                       "is not supported");
    if (strcmp(c->g->arch->name, "nemotron_h") == 0)
        return ERR_OK; /* whatever is said, it has no positions */
    if (gguf_int(gguf_find_own(c->g, "rope.dimension_count"), &turned) &&
        turned > 0 && c->head_dim > 0 && turned != c->head_dim)
        json_put_double(&c->w, "partial_rotary_factor",
                        (double)turned / (double)c->head_dim);
    if (freqs)
        return put_freqs(c, freqs);
    if (gguf_aside(c->g, "rope_factors_long.weight"))
        return put_longrope(c);
    if (!type.n || slice_is(type, "none"))
        return ERR_OK;
    if (!slice_is(type, "linear"))
        return err_set(c->err, ERR_UNSUPPORTED,
                       "rope.scaling.type \"%.*s\" is not supported; known: "
                       "none linear longrope",
                       (int)type.n, type.p);
    (void)gguf_double(gguf_find_own(c->g, "rope.scaling.factor"), &factor);
    json_begin_object(&c->w, "rope_scaling");
    json_put_string(&c->w, "rope_type", "linear");
    json_put_double(&c->w, "factor", short_double(factor));
    json_end_object(&c->w);
    return ERR_OK;
}

int64_t gguf_config_int(const struct config_out *c, const char *key)
{
    int64_t v = 0;

    (void)gguf_int_of_layers(gguf_find_own(c->g, key), &v);
    return v;
}

/* What the metadata do not say. */
static void put_family(struct config_out *c)
{
    const char *name = c->g->arch->name;
    int64_t pattern = 6;

    if (strncmp(name, "gemma", 5) == 0)
        json_put_int(
            &c->w, "query_pre_attn_scalar",
            gguf_gemma_scale(c->g->arch, gguf_config_int(c, "block_count"),
                             gguf_config_int(c, "embedding_length"),
                             gguf_config_int(c, "attention.head_count"),
                             c->head_dim));
    if (c->g->arch->quirks & GGUF_HYBRID)
        gguf_config_hybrid(c);
    if (strcmp(name, "gemma3") == 0) {
        (void)gguf_int(gguf_find_own(c->g, "attention.sliding_window_pattern"),
                       &pattern);
        json_put_int(&c->w, "sliding_window_pattern", pattern);
        json_put_int(&c->w, "rope_local_base_freq", 10000);
    }
}

static void put_ids(struct config_out *c)
{
    static const char *const keys[] = { "tokenizer.ggml.eos_token_id",
                                        "tokenizer.ggml.eot_token_id",
                                        "tokenizer.ggml.eom_token_id" };
    int64_t id, before = -1;

    if (gguf_int(gguf_find(c->g, "tokenizer.ggml.bos_token_id"), &id))
        json_put_int(&c->w, "bos_token_id", id);
    json_begin_array(&c->w, "eos_token_id");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (gguf_int(gguf_find(c->g, keys[i]), &id) && id != before) {
            json_put_int(&c->w, NULL, id);
            before = id;
        }
    json_end_array(&c->w);
}

int gguf_config(const struct weights_file *f, struct buf *out, struct err *err)
{
    struct config_out c = { .f = f, .g = f->gguf, .err = err };
    struct slice name =
        gguf_string(gguf_find(f->gguf, "general.architecture"), 0);
    int rc;

    if (gguf_is_adapter(f->gguf))
        return err_set(err, ERR_NOTFOUND, "it is an adapter, not a model");
    if (!f->gguf->arch)
        return err_set(err, ERR_UNSUPPORTED,
                       "architecture \"%.*s\" is not supported; known: llama "
                       "qwen2 qwen3 phi2 phi3 gemma2 gemma3 granite olmo2 "
                       "smollm3 nemotron_h granitehybrid lfm2 falcon-h1",
                       (int)name.n, name.p ? name.p : "");
    json_writer_init(&c.w, out, true);
    json_begin_object(&c.w, NULL);
    json_begin_array(&c.w, "architectures");
    json_put_string(&c.w, NULL, f->gguf->arch->architecture);
    json_end_array(&c.w);
    json_put_string(&c.w, "model_type", f->gguf->arch->type);
    put_shape(&c);
    rc = put_fields(&c);
    if (rc == ERR_OK)
        rc = put_rope(&c);
    put_family(&c);
    put_ids(&c);
    json_end_object(&c.w);
    return rc;
}

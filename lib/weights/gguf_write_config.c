/*
 * gguf_write_config.c - a config.json as metadata of GGUF
 *
 * What a config says beyond what the format has a key for, and beyond what
 * the software that reads it assumes of the architecture, is refused by name:
 * an export that answers otherwise than the model is worse than none.
 */
#include "weights/gguf_write_config.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_ref gguf_in_member(const struct config_in *c, json_ref object,
                        const char *name)
{
    json_ref v = json_get(c->j, object, name);

    return json_is(c->j, v, JSON_NULL) ? JSON_NONE : v;
}

double gguf_in_number(const struct config_in *c, json_ref object,
                      const char *name, double fallback)
{
    double x = fallback;

    (void)json_double(c->j, gguf_in_member(c, object, name), &x);
    return x;
}

int64_t gguf_in_whole(const struct config_in *c, const char *name,
                      int64_t fallback)
{
    int64_t x = fallback;

    (void)json_int(c->j, gguf_in_member(c, 0, name), &x);
    return x;
}

void gguf_in_refuse(struct config_in *c, const char *what)
{
    if (c->rc == ERR_OK)
        c->rc = err_set(c->err, ERR_UNSUPPORTED,
                        "%s: GGUF has no place for it, or what reads GGUF "
                        "assumes another value for %s",
                        what, c->arch->name);
}

static char *own(const struct config_in *c, const char *key)
{
    return mem_printf("%s.%s", c->arch->name, key);
}

void gguf_in_put_int(struct config_in *c, const char *key, int64_t v)
{
    char *full = own(c, key);

    if (v < 0 || v > UINT32_MAX)
        gguf_in_refuse(c, key);
    else
        gguf_put_u32(c->g, full, (uint32_t)v);
    free(full);
}

void gguf_in_put_float(struct config_in *c, const char *key, double v)
{
    char *full = own(c, key);

    gguf_put_f32(c->g, full, (float)v);
    free(full);
}

static void put_text(struct config_in *c, const char *key, const char *v)
{
    char *full = own(c, key);

    gguf_put_string(c->g, full, slice_of(v));
    free(full);
}

static bool is_gemma(const struct config_in *c)
{
    return strncmp(c->arch->name, "gemma", 5) == 0;
}

static void put_shape(struct config_in *c)
{
    int64_t kv;

    c->hidden = gguf_in_whole(c, "hidden_size", 0);
    c->heads = gguf_in_whole(c, "num_attention_heads", 0);
    c->layers = gguf_in_whole(c, "num_hidden_layers", 0);
    kv = gguf_in_whole(c, "num_key_value_heads", c->heads);
    if (c->heads < 1 || c->hidden < 1 || kv < 1) {
        gguf_in_refuse(c, "a shape without hidden_size or num_attention_heads");
        return;
    }
    if (c->arch->quirks & GGUF_HYBRID) {
        gguf_put_hybrid(c);
        return;
    }
    c->head_dim = gguf_in_whole(c, "head_dim",
                                strcmp(c->arch->type, "qwen3") == 0 ? 128
                                : is_gemma(c)                       ? 256
                                              : c->hidden / c->heads);
    if (c->head_dim < 1 || c->head_dim > GGUF_MAX_HEAD) {
        gguf_in_refuse(c, "head_dim");
        return;
    }
    gguf_in_put_int(c, "context_length",
                    gguf_in_whole(c, "max_position_embeddings", 2048));
    gguf_in_put_int(c, "embedding_length", c->hidden);
    gguf_in_put_int(c, "block_count", c->layers);
    gguf_in_put_int(c, "feed_forward_length",
                    gguf_in_whole(c,
                                  strcmp(c->arch->type, "granitemoehybrid") == 0
                                      ? "shared_intermediate_size"
                                      : "intermediate_size",
                                  0));
    gguf_in_put_int(c, "attention.head_count", c->heads);
    gguf_in_put_int(c, "attention.head_count_kv", kv);
    gguf_in_put_int(c, "attention.key_length", c->head_dim);
    gguf_in_put_int(c, "attention.value_length", c->head_dim);
    gguf_in_put_int(c, "vocab_size", gguf_in_whole(c, "vocab_size", 0));
    if (strcmp(c->arch->name, "phi2") == 0)
        gguf_in_put_float(c, "attention.layer_norm_epsilon",
                          gguf_in_number(c, 0, "layer_norm_eps", 1e-5));
    else
        gguf_in_put_float(
            c, "attention.layer_norm_rms_epsilon",
            gguf_in_number(c, 0, "rms_norm_eps",
                           strcmp(c->arch->name, "olmo2") == 0 ? 1e-5 : 1e-6));
}

/* What the software that reads GGUF computes without being told. */
static void check_act(struct config_in *c)
{
    json_ref act =
        gguf_in_member(c, 0, is_gemma(c) ? "hidden_activation" : "hidden_act");
    const char *want = is_gemma(c) ? "gelu_pytorch_tanh"
                       : strcmp(c->arch->name, "phi2") == 0 ? "gelu_new"
                                                            : "silu";

    if (json_present(act) && !json_text_is(c->j, act, want))
        gguf_in_refuse(c, "the activation");
}

/* layer_types must have a full layer at each `every`-th place alone; 0: full
 * everywhere. */
static void check_layers(struct config_in *c, int64_t every)
{
    json_ref list = gguf_in_member(c, 0, "layer_types");
    int64_t i = 0;

    for (json_ref e = json_first(c->j, list); e != JSON_NONE;
         e = json_next(c->j, list, e), i++) {
        bool window = json_text_is(c->j, e, "sliding_attention");

        if (window != (every > 0 && (i + 1) % every != 0))
            gguf_in_refuse(c, "layer_types");
    }
}

static void check_window(struct config_in *c)
{
    int64_t context = gguf_in_whole(c, "max_position_embeddings", 2048);
    bool mistral = strcmp(c->arch->type, "mistral") == 0;
    int64_t window = gguf_in_whole(c, "sliding_window", 0);
    bool on = false;

    if (is_gemma(c)) {
        gguf_in_put_int(c, "attention.sliding_window",
                        gguf_in_whole(c, "sliding_window", 4096));
        check_layers(c, strcmp(c->arch->name, "gemma2") == 0 ? 2 : 6);
        return;
    }
    if (strcmp(c->arch->name, "phi3") == 0) {
        if (window)
            gguf_in_put_int(c, "attention.sliding_window", window);
        return;
    }
    check_layers(c, 0);
    if (mistral && window && window < context)
        gguf_in_refuse(c, "sliding_window");
    (void)json_bool(c->j, gguf_in_member(c, 0, "use_sliding_window"), &on);
    if (on)
        gguf_in_refuse(c, "use_sliding_window");
}

static void put_gemma(struct config_in *c)
{
    bool second = strcmp(c->arch->name, "gemma2") == 0;
    double cap = second ? 50 : 0, last = second ? 30 : 0;

    double assumed = (double)gguf_gemma_scale(c->arch, c->layers, c->hidden,
                                              c->heads, c->head_dim);
    double scale = gguf_in_number(c, 0, "query_pre_attn_scalar", 256);

    if (!(scale > 0 && assumed > 0))
        gguf_in_refuse(c, "query_pre_attn_scalar");
    else if (scale != assumed)
        c->extra->query = (float)sqrt(assumed / scale);
    if (json_present(json_get(c->j, 0, "attn_logit_softcapping")))
        cap = gguf_in_number(c, 0, "attn_logit_softcapping", 0);
    if (json_present(json_get(c->j, 0, "final_logit_softcapping")))
        last = gguf_in_number(c, 0, "final_logit_softcapping", 0);
    if (second && (cap == 0 || last == 0))
        gguf_in_refuse(c, "attn_logit_softcapping");
    if (!second && (cap != 0 || last != 0))
        gguf_in_refuse(c, "attn_logit_softcapping");
    if (second) {
        gguf_in_put_float(c, "attn_logit_softcapping", cap);
        gguf_in_put_float(c, "final_logit_softcapping", last);
    }
}

static void put_granite(struct config_in *c)
{
    bool hybrid = strcmp(c->arch->type, "granitemoehybrid") == 0;

    if (hybrid && !(c->arch->quirks & GGUF_HYBRID) &&
        !json_text_is(c->j, gguf_in_member(c, 0, "position_embedding_type"),
                      "rope"))
        gguf_in_refuse(c, "position_embedding_type");
    gguf_in_put_float(c, "embedding_scale",
                      gguf_in_number(c, 0, "embedding_multiplier", 1));
    gguf_in_put_float(c, "residual_scale",
                      gguf_in_number(c, 0, "residual_multiplier", 1));
    gguf_in_put_float(c, "attention.scale",
                      gguf_in_number(c, 0, "attention_multiplier", 1));
    gguf_in_put_float(c, "logit_scale",
                      gguf_in_number(c, 0, "logits_scaling", 1));
}

/* Every fourth layer has no RoPE; that is not in the file. */
static void check_smollm3(struct config_in *c)
{
    json_ref list = gguf_in_member(c, 0, "no_rope_layers");
    int64_t i = 0, turns;

    if (!json_present(list) &&
        gguf_in_whole(c, "no_rope_layer_interval", 4) != 4)
        gguf_in_refuse(c, "no_rope_layer_interval");
    for (json_ref e = json_first(c->j, list); e != JSON_NONE;
         e = json_next(c->j, list, e), i++)
        if (!json_int(c->j, e, &turns) || (turns != 0) != ((i + 1) % 4 != 0))
            gguf_in_refuse(c, "no_rope_layers");
}

static void add_factors(struct config_in *c, const char *name, float *x,
                        size_t n)
{
    struct weights_tensor t = { .name = name,
                                .type = WEIGHTS_F32,
                                .dims = 1,
                                .shape = { (int64_t)n },
                                .data = x,
                                .bytes = n * sizeof(*x) };

    (void)gguf_add(c->g, mem_strdup(name), WEIGHTS_F32, &t);
}

static void put_llama3(struct config_in *c, json_ref rope)
{
    double factor = gguf_in_number(c, rope, "factor", 8);
    double low = gguf_in_number(c, rope, "low_freq_factor", 1);
    double high = gguf_in_number(c, rope, "high_freq_factor", 4);
    double original =
        gguf_in_number(c, rope, "original_max_position_embeddings", 8192);
    size_t n = (size_t)c->turned / 2;

    c->extra->freqs = mem_array(n, sizeof(float));
    for (size_t i = 0; i < n; i++) {
        double wave = 2 * acos(-1.0) * pow(c->theta, (double)i / (double)n);
        double smooth = (original / wave - low) / (high - low);

        smooth = 1 / ((1 - smooth) / factor + smooth);
        c->extra->freqs[i] = (float)(wave < original / high  ? 1
                                     : wave > original / low ? factor
                                                             : smooth);
    }
    add_factors(c, "rope_freqs.weight", c->extra->freqs, n);
}

static float *read_factors(struct config_in *c, json_ref rope, const char *name)
{
    json_ref list = gguf_in_member(c, rope, name);
    size_t n = (size_t)c->turned / 2, i = 0;
    float *x = mem_array(n, sizeof(*x));
    double v;

    for (json_ref e = json_first(c->j, list); e != JSON_NONE && i < n;
         e = json_next(c->j, list, e))
        x[i++] = json_double(c->j, e, &v) ? (float)v : 1;
    if (i != n || json_count(c->j, list) != n)
        gguf_in_refuse(c, name);
    return x;
}

static void put_longrope(struct config_in *c, json_ref rope)
{
    double context = (double)gguf_in_whole(c, "max_position_embeddings", 2048);
    double original = gguf_in_number(
        c, rope, "original_max_position_embeddings",
        (double)gguf_in_whole(c, "original_max_position_embeddings", 4096));
    double scale = gguf_in_number(c, rope, "factor", context / original);

    c->extra->longs = read_factors(c, rope, "long_factor");
    c->extra->shorts = read_factors(c, rope, "short_factor");
    if (c->rc < 0)
        return;
    add_factors(c, "rope_factors_long.weight", c->extra->longs,
                (size_t)c->turned / 2);
    add_factors(c, "rope_factors_short.weight", c->extra->shorts,
                (size_t)c->turned / 2);
    gguf_in_put_int(c, "rope.scaling.original_context_length",
                    (int64_t)original);
    gguf_in_put_float(
        c, "rope.scaling.attn_factor",
        gguf_in_number(c, rope, "attention_factor",
                       scale <= 1 ? 1 : sqrt(1 + log(scale) / log(original))));
}

static void put_rope(struct config_in *c)
{
    json_ref params = gguf_in_member(c, 0, "rope_parameters"), full, type;
    json_ref rope = gguf_in_member(c, 0, "rope_scaling");
    double share, local = gguf_in_number(c, 0, "rope_local_base_freq", 10000);
    bool phi = strcmp(c->arch->name, "phi2") == 0;

    if (json_count(c->j, rope) == 0) /* the older spelling goes first */
        rope = params;
    full = gguf_in_member(c, params, "full_attention");
    if (json_present(full)) {
        local =
            gguf_in_number(c, gguf_in_member(c, params, "sliding_attention"),
                           "rope_theta", 10000);
        rope = full;
    }
    if (strcmp(c->arch->name, "gemma3") == 0 && local != 10000)
        gguf_in_refuse(c, "rope_local_base_freq");
    c->theta = gguf_in_number(
        c, json_present(gguf_in_member(c, rope, "rope_theta")) ? rope : 0,
        "rope_theta",
        strcmp(c->arch->name, "gemma3") == 0    ? 1e6
        : strcmp(c->arch->name, "lfm2") == 0    ? 1e6
        : strcmp(c->arch->name, "smollm3") == 0 ? 2e6
                                                : 10000);
    share = gguf_in_number(
        c, rope, "partial_rotary_factor",
        gguf_in_number(c, 0, "partial_rotary_factor", phi ? 0.5 : 1));
    if (!(share > 0 && share <= 1)) {
        gguf_in_refuse(c, "partial_rotary_factor");
        return;
    }
    c->turned = (int64_t)((double)c->head_dim * share + 1e-9);
    gguf_in_put_float(c, "rope.freq_base", c->theta);
    gguf_in_put_int(c, "rope.dimension_count", c->turned);
    type = gguf_in_member(c, rope, "rope_type");
    if (!json_present(type))
        type = gguf_in_member(c, rope, "type");
    if (!json_present(type) || json_text_is(c->j, type, "default"))
        return;
    if (json_text_is(c->j, type, "linear")) {
        put_text(c, "rope.scaling.type", "linear");
        gguf_in_put_float(c, "rope.scaling.factor",
                          gguf_in_number(c, rope, "factor", 1));
    } else if (json_text_is(c->j, type, "llama3")) {
        put_llama3(c, rope);
    } else if (json_text_is(c->j, type, "longrope") ||
               json_text_is(c->j, type, "su")) {
        put_longrope(c, rope);
    } else {
        gguf_in_refuse(c, "rope_type");
    }
}

int gguf_put_config(struct gguf_build *g, const struct gguf_arch *arch,
                    const struct json *config, const struct weights *w,
                    struct gguf_extra *extra, struct err *err)
{
    struct config_in c = {
        .g = g, .arch = arch, .j = config, .w = w, .extra = extra, .err = err
    };

    put_shape(&c);
    if (c.rc < 0)
        return c.rc;
    if (!(arch->quirks & GGUF_HYBRID)) {
        check_act(&c);
        check_window(&c);
    }
    if (strcmp(arch->name, "nemotron_h") != 0) /* it has no positions */
        put_rope(&c);
    if (is_gemma(&c))
        put_gemma(&c);
    else if (strncmp(arch->name, "granite", 7) == 0)
        put_granite(&c);
    else if (strcmp(arch->name, "smollm3") == 0)
        check_smollm3(&c);
    return c.rc;
}

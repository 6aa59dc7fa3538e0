/*
 * gguf_write_config.c - a config.json as metadata of GGUF
 *
 * What a config says beyond what the format has a key for, and beyond what
 * the software that reads it assumes of the architecture, is refused by name:
 * an export that answers otherwise than the model is worse than none.
 */
#include "weights/gguf_build.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEAD 65536 /* as large as any head can be */

struct config_in {
    struct gguf_build *g;
    const struct gguf_arch *arch;
    const struct json *j;
    struct gguf_extra *extra;
    int64_t head_dim, hidden, heads, layers, turned;
    double theta;
    struct err *err;
    int rc;
};

static json_ref member(const struct config_in *c, json_ref object,
                       const char *name)
{
    json_ref v = json_get(c->j, object, name);

    return json_is(c->j, v, JSON_NULL) ? JSON_NONE : v;
}

static double number(const struct config_in *c, json_ref object,
                     const char *name, double fallback)
{
    double x = fallback;

    (void)json_double(c->j, member(c, object, name), &x);
    return x;
}

static int64_t whole(const struct config_in *c, const char *name,
                     int64_t fallback)
{
    int64_t x = fallback;

    (void)json_int(c->j, member(c, 0, name), &x);
    return x;
}

static void refuse(struct config_in *c, const char *what)
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

static void put_whole(struct config_in *c, const char *key, int64_t v)
{
    char *full = own(c, key);

    if (v < 0 || v > UINT32_MAX)
        refuse(c, key);
    else
        gguf_put_u32(c->g, full, (uint32_t)v);
    free(full);
}

static void put_number(struct config_in *c, const char *key, double v)
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

    c->hidden = whole(c, "hidden_size", 0);
    c->heads = whole(c, "num_attention_heads", 0);
    c->layers = whole(c, "num_hidden_layers", 0);
    kv = whole(c, "num_key_value_heads", c->heads);
    if (c->heads < 1 || c->hidden < 1 || kv < 1) {
        refuse(c, "a shape without hidden_size or num_attention_heads");
        return;
    }
    c->head_dim = whole(c, "head_dim",
                        strcmp(c->arch->type, "qwen3") == 0 ? 128
                        : is_gemma(c)                       ? 256
                                      : c->hidden / c->heads);
    if (c->head_dim < 1 || c->head_dim > MAX_HEAD) {
        refuse(c, "head_dim");
        return;
    }
    put_whole(c, "context_length", whole(c, "max_position_embeddings", 2048));
    put_whole(c, "embedding_length", c->hidden);
    put_whole(c, "block_count", c->layers);
    put_whole(c, "feed_forward_length", whole(c, "intermediate_size", 0));
    put_whole(c, "attention.head_count", c->heads);
    put_whole(c, "attention.head_count_kv", kv);
    put_whole(c, "attention.key_length", c->head_dim);
    put_whole(c, "attention.value_length", c->head_dim);
    put_whole(c, "vocab_size", whole(c, "vocab_size", 0));
    if (strcmp(c->arch->name, "phi2") == 0)
        put_number(c, "attention.layer_norm_epsilon",
                   number(c, 0, "layer_norm_eps", 1e-5));
    else
        put_number(c, "attention.layer_norm_rms_epsilon",
                   number(c, 0, "rms_norm_eps",
                          strcmp(c->arch->name, "olmo2") == 0 ? 1e-5 : 1e-6));
}

/* What the software that reads GGUF computes without being told. */
static void check_act(struct config_in *c)
{
    json_ref act =
        member(c, 0, is_gemma(c) ? "hidden_activation" : "hidden_act");
    const char *want = is_gemma(c) ? "gelu_pytorch_tanh"
                       : strcmp(c->arch->name, "phi2") == 0 ? "gelu_new"
                                                            : "silu";

    if (json_present(act) && !json_text_is(c->j, act, want))
        refuse(c, "the activation");
}

/* layer_types must have a full layer at each `every`-th place alone; 0: full
 * everywhere. */
static void check_layers(struct config_in *c, int64_t every)
{
    json_ref list = member(c, 0, "layer_types");
    int64_t i = 0;

    for (json_ref e = json_first(c->j, list); e != JSON_NONE;
         e = json_next(c->j, list, e), i++) {
        bool window = json_text_is(c->j, e, "sliding_attention");

        if (window != (every > 0 && (i + 1) % every != 0))
            refuse(c, "layer_types");
    }
}

static void check_window(struct config_in *c)
{
    int64_t context = whole(c, "max_position_embeddings", 2048);
    bool mistral = strcmp(c->arch->type, "mistral") == 0;
    int64_t window = whole(c, "sliding_window", 0);
    bool on = false;

    if (is_gemma(c)) {
        put_whole(c, "attention.sliding_window",
                  whole(c, "sliding_window", 4096));
        check_layers(c, strcmp(c->arch->name, "gemma2") == 0 ? 2 : 6);
        return;
    }
    if (strcmp(c->arch->name, "phi3") == 0) {
        if (window)
            put_whole(c, "attention.sliding_window", window);
        return;
    }
    check_layers(c, 0);
    if (mistral && window && window < context)
        refuse(c, "sliding_window");
    (void)json_bool(c->j, member(c, 0, "use_sliding_window"), &on);
    if (on)
        refuse(c, "use_sliding_window");
}

static void put_gemma(struct config_in *c)
{
    bool second = strcmp(c->arch->name, "gemma2") == 0;
    double cap = second ? 50 : 0, last = second ? 30 : 0;

    double assumed = (double)gguf_gemma_scale(c->arch, c->layers, c->hidden,
                                              c->heads, c->head_dim);
    double scale = number(c, 0, "query_pre_attn_scalar", 256);

    if (!(scale > 0 && assumed > 0))
        refuse(c, "query_pre_attn_scalar");
    else if (scale != assumed)
        c->extra->query = (float)sqrt(assumed / scale);
    if (json_present(json_get(c->j, 0, "attn_logit_softcapping")))
        cap = number(c, 0, "attn_logit_softcapping", 0);
    if (json_present(json_get(c->j, 0, "final_logit_softcapping")))
        last = number(c, 0, "final_logit_softcapping", 0);
    if (second && (cap == 0 || last == 0))
        refuse(c, "attn_logit_softcapping");
    if (!second && (cap != 0 || last != 0))
        refuse(c, "attn_logit_softcapping");
    if (second) {
        put_number(c, "attn_logit_softcapping", cap);
        put_number(c, "final_logit_softcapping", last);
    }
}

static void put_granite(struct config_in *c)
{
    put_number(c, "embedding_scale", number(c, 0, "embedding_multiplier", 1));
    put_number(c, "residual_scale", number(c, 0, "residual_multiplier", 1));
    put_number(c, "attention.scale", number(c, 0, "attention_multiplier", 1));
    put_number(c, "logit_scale", number(c, 0, "logits_scaling", 1));
}

/* Every fourth layer has no RoPE; that is not in the file. */
static void check_smollm3(struct config_in *c)
{
    json_ref list = member(c, 0, "no_rope_layers");
    int64_t i = 0, turns;

    if (!json_present(list) && whole(c, "no_rope_layer_interval", 4) != 4)
        refuse(c, "no_rope_layer_interval");
    for (json_ref e = json_first(c->j, list); e != JSON_NONE;
         e = json_next(c->j, list, e), i++)
        if (!json_int(c->j, e, &turns) || (turns != 0) != ((i + 1) % 4 != 0))
            refuse(c, "no_rope_layers");
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
    double factor = number(c, rope, "factor", 8);
    double low = number(c, rope, "low_freq_factor", 1);
    double high = number(c, rope, "high_freq_factor", 4);
    double original = number(c, rope, "original_max_position_embeddings", 8192);
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
    json_ref list = member(c, rope, name);
    size_t n = (size_t)c->turned / 2, i = 0;
    float *x = mem_array(n, sizeof(*x));
    double v;

    for (json_ref e = json_first(c->j, list); e != JSON_NONE && i < n;
         e = json_next(c->j, list, e))
        x[i++] = json_double(c->j, e, &v) ? (float)v : 1;
    if (i != n || json_count(c->j, list) != n)
        refuse(c, name);
    return x;
}

static void put_longrope(struct config_in *c, json_ref rope)
{
    double context = (double)whole(c, "max_position_embeddings", 2048);
    double original =
        number(c, rope, "original_max_position_embeddings",
               (double)whole(c, "original_max_position_embeddings", 4096));
    double scale = number(c, rope, "factor", context / original);

    c->extra->longs = read_factors(c, rope, "long_factor");
    c->extra->shorts = read_factors(c, rope, "short_factor");
    if (c->rc < 0)
        return;
    add_factors(c, "rope_factors_long.weight", c->extra->longs,
                (size_t)c->turned / 2);
    add_factors(c, "rope_factors_short.weight", c->extra->shorts,
                (size_t)c->turned / 2);
    put_whole(c, "rope.scaling.original_context_length", (int64_t)original);
    put_number(c, "rope.scaling.attn_factor",
               number(c, rope, "attention_factor",
                      scale <= 1 ? 1 : sqrt(1 + log(scale) / log(original))));
}

static void put_rope(struct config_in *c)
{
    json_ref params = member(c, 0, "rope_parameters"), full, type;
    json_ref rope =
        json_present(params) ? params : member(c, 0, "rope_scaling");
    double share, local = number(c, 0, "rope_local_base_freq", 10000);
    bool phi = strcmp(c->arch->name, "phi2") == 0;

    full = member(c, params, "full_attention");
    if (json_present(full)) {
        local = number(c, member(c, params, "sliding_attention"), "rope_theta",
                       10000);
        rope = params = full;
    }
    if (strcmp(c->arch->name, "gemma3") == 0 && local != 10000)
        refuse(c, "rope_local_base_freq");
    c->theta = number(c, json_present(params) ? params : 0, "rope_theta",
                      strcmp(c->arch->name, "gemma3") == 0    ? 1e6
                      : strcmp(c->arch->name, "smollm3") == 0 ? 2e6
                                                              : 10000);
    share = number(c, rope, "partial_rotary_factor",
                   number(c, 0, "partial_rotary_factor", phi ? 0.5 : 1));
    if (!(share > 0 && share <= 1)) {
        refuse(c, "partial_rotary_factor");
        return;
    }
    c->turned = (int64_t)((double)c->head_dim * share + 1e-9);
    put_number(c, "rope.freq_base", c->theta);
    put_whole(c, "rope.dimension_count", c->turned);
    type = member(c, rope, "rope_type");
    if (!json_present(type))
        type = member(c, rope, "type");
    if (!json_present(type) || json_text_is(c->j, type, "default"))
        return;
    if (json_text_is(c->j, type, "linear")) {
        put_text(c, "rope.scaling.type", "linear");
        put_number(c, "rope.scaling.factor", number(c, rope, "factor", 1));
    } else if (json_text_is(c->j, type, "llama3")) {
        put_llama3(c, rope);
    } else if (json_text_is(c->j, type, "longrope") ||
               json_text_is(c->j, type, "su")) {
        put_longrope(c, rope);
    } else {
        refuse(c, "rope_type");
    }
}

int gguf_put_config(struct gguf_build *g, const struct gguf_arch *arch,
                    const struct json *config, struct gguf_extra *extra,
                    struct err *err)
{
    struct config_in c = {
        .g = g, .arch = arch, .j = config, .extra = extra, .err = err
    };

    put_shape(&c);
    if (c.rc < 0)
        return c.rc;
    check_act(&c);
    check_window(&c);
    put_rope(&c);
    if (is_gemma(&c))
        put_gemma(&c);
    else if (strcmp(arch->name, "granite") == 0)
        put_granite(&c);
    else if (strcmp(arch->name, "smollm3") == 0)
        check_smollm3(&c);
    return c.rc;
}

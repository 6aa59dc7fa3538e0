/*
 * model_config.c - config.json of a decoder, in both spellings
 *
 * Reads what transformers 4 and 5 write, checks every number against a stated
 * limit and against the others, and refuses an architecture or an option that
 * the engine does not compute rather than computing something near it.
 */
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "model/model_family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)

json_ref config_member(const struct config_reader *r, const char *name)
{
    json_ref v = json_get(r->j, 0, name);

    return json_is(r->j, v, JSON_NULL) ? JSON_NONE : v;
}

int64_t config_int(struct config_reader *r, const char *name, int64_t fallback,
                   int64_t max)
{
    json_ref v = config_member(r, name);
    int64_t x = fallback;

    if (json_present(v) && !json_int(r->j, v, &x))
        x = -1;
    if (x >= 1 && x <= max)
        return x;
    if (r->rc == 0)
        r->rc =
            err_set(r->err, json_present(v) ? ERR_LIMIT : ERR_FORMAT,
                    "%s: %s must be 1 to %lld", r->path, name, (long long)max);
    return 1;
}

double config_double(struct config_reader *r, json_ref object, const char *name,
                     double fallback, double max)
{
    json_ref v = json_get(r->j, object, name);
    double x = fallback;

    if (json_present(v) && !json_is(r->j, v, JSON_NULL) &&
        !json_double(r->j, v, &x))
        x = -1;
    if (x > 0 && x <= max)
        return x;
    if (r->rc == 0)
        r->rc = err_set(r->err, ERR_LIMIT, "%s: %s must be above 0, at most %g",
                        r->path, name, max);
    return 1;
}

bool config_bool(struct config_reader *r, const char *name, bool fallback)
{
    json_ref v = config_member(r, name);
    bool x = fallback;

    if (json_present(v) && !json_bool(r->j, v, &x) && r->rc == 0)
        r->rc = err_set(r->err, ERR_FORMAT, "%s: %s must be true or false",
                        r->path, name);
    return x;
}

void config_refuse(struct config_reader *r, const char *name)
{
    if (r->rc == 0)
        r->rc = err_set(r->err, ERR_UNSUPPORTED,
                        "%s: %s: what it says is not supported", r->path, name);
}

bool config_layers(struct config_reader *r, struct model_config *c,
                   const char *field, const struct config_layer_name *names,
                   size_t count)
{
    json_ref list = config_member(r, field);
    size_t i = 0;

    if (!json_is(r->j, list, JSON_ARRAY))
        return false;
    if (json_count(r->j, list) != (size_t)c->layers)
        config_refuse(r, field);
    for (json_ref e = json_first(r->j, list); r->rc == 0 && e != JSON_NONE;
         e = json_next(r->j, list, e), i++) {
        size_t k = 0;

        while (k < count && !json_text_is(r->j, e, names[k].name))
            k++;
        if (k < count)
            c->layer[i] =
                (uint8_t)((c->layer[i] & MODEL_LAYER_NOPE) | names[k].layer);
        else
            config_refuse(r, field);
    }
    return true;
}

/* By any of the names that their configs have. */
static bool has_experts(const struct config_reader *r)
{
    static const char *const names[] = {
        "num_experts",     "num_local_experts",   "n_routed_experts",
        "moe_num_experts", "num_experts_per_tok", "moe_intermediate_size",
    };
    json_ref text = json_get(r->j, 0, "text_config");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_present(json_get(r->j, 0, names[i])) ||
            json_present(json_get(r->j, text, names[i])))
            return true;
    return false;
}

static int refuse_family(struct config_reader *r, json_ref name)
{
    char *text = json_strdup(r->j, name);
    struct buf known = { 0 };
    const struct model_family *f;
    int rc;

    for (size_t i = 0; (f = model_family_at(i)); i++)
        buf_printf(&known, " %s", f->architecture);
    for (size_t i = 0; model_whole_at(i); i++)
        buf_printf(&known, " %s", model_whole_at(i)->architecture);
    rc = err_set(r->err, ERR_UNSUPPORTED,
                 "%s: architecture \"%s\" is not known%s; known:%s", r->path,
                 text ? text : "",
                 has_experts(r) ? ", and mixtures of experts are not computed"
                                : "",
                 known.data);
    free(text);
    buf_release(&known);
    return rc;
}

static int read_family(struct config_reader *r, const struct model_family **out)
{
    json_ref arch = json_at(r->j, config_member(r, "architectures"), 0);
    json_ref type = config_member(r, "model_type");
    const struct model_family *f;

    for (size_t i = 0; (f = model_family_at(i)); i++)
        if (json_text_is(r->j, arch, f->architecture) ||
            (!json_present(arch) && json_text_is(r->j, type, f->type))) {
            *out = f;
            return 0;
        }
    return refuse_family(r, json_present(arch) ? arch : type);
}

/* -1: no token has this id. */
static int32_t token_id(const struct config_reader *r, json_ref v)
{
    int64_t x;

    return json_int(r->j, v, &x) && x >= 0 && x < MODEL_MAX_VOCAB ? (int32_t)x
                                                                  : -1;
}

static void add_eos(const struct config_reader *r, json_ref v,
                    struct model_config *c)
{
    int32_t id = token_id(r, v);

    if (id >= 0 && c->eos_count < sizeof(c->eos) / sizeof(c->eos[0]))
        c->eos[c->eos_count++] = id;
}

static void read_ids(const struct config_reader *r, struct model_config *c)
{
    json_ref eos = config_member(r, "eos_token_id");

    c->bos = token_id(r, config_member(r, "bos_token_id"));
    c->pad = json_present(json_get(r->j, 0, "pad_token_id"))
                 ? token_id(r, config_member(r, "pad_token_id"))
                 : -2;
    if (!json_is(r->j, eos, JSON_ARRAY)) {
        add_eos(r, eos, c);
        return;
    }
    for (json_ref e = json_first(r->j, eos); e != JSON_NONE;
         e = json_next(r->j, eos, e))
        add_eos(r, e, c);
}

/* n divisors of frequencies. */
static void read_factors(struct config_reader *r, json_ref object,
                         const char *name, float *out, int64_t n)
{
    json_ref list = json_get(r->j, object, name), e = json_first(r->j, list);
    double x;

    if (!json_is(r->j, list, JSON_ARRAY) ||
        json_count(r->j, list) != (size_t)n) {
        if (r->rc == 0)
            r->rc = err_set(r->err, ERR_FORMAT, "%s: %s must be %lld numbers",
                            r->path, name, (long long)n);
        return;
    }
    for (int64_t i = 0; i < n; i++, e = json_next(r->j, list, e)) {
        if (!json_double(r->j, e, &x) || !(x > 0 && x < 1e6))
            config_refuse(r, name);
        out[i] = (float)x;
    }
}

static double optional(struct config_reader *r, json_ref object,
                       const char *name)
{
    json_ref v = json_get(r->j, object, name);

    if (!json_present(v) || json_is(r->j, v, JSON_NULL))
        return 0;
    return config_double(r, object, name, 1, 1e8);
}

double config_longrope_attention(const struct model_config *c, double factor)
{
    if (!(factor > 0))
        factor = (double)c->context / (double)c->rope_original;
    return factor <= 1 ? 1
                       : sqrt(1 + log(factor) / log((double)c->rope_original));
}

/* The context that a scaling begins from: positions, so one at least. */
static int64_t original_context(struct config_reader *r, json_ref rope,
                                double fallback)
{
    static const char name[] = "original_max_position_embeddings";
    double x = config_double(r, rope, name, fallback, 1e8);

    if (x < 1)
        config_refuse(r, name);
    return x < 1 ? 1 : (int64_t)x;
}

static void read_longrope(struct config_reader *r, json_ref rope,
                          struct model_config *c)
{
    int64_t pairs = (c->rotary ? c->rotary : c->head_dim) / 2;
    double original = optional(r, rope, "original_max_position_embeddings");
    double factor = optional(r, rope, "factor");

    c->rope = MODEL_ROPE_LONGROPE;
    read_factors(r, rope, "short_factor", c->rope_short, pairs);
    read_factors(r, rope, "long_factor", c->rope_long, pairs);
    c->rope_original = original > 0
                           ? original_context(r, rope, 1)
                           : config_int(r, "original_max_position_embeddings",
                                        4096, MODEL_MAX_CONTEXT);
    c->rope_attention = optional(r, rope, "attention_factor");
    if (!(c->rope_attention > 0))
        c->rope_attention = config_longrope_attention(c, factor);
}

/* What a kind of RoPE cannot be computed without. */
static void need(struct config_reader *r, json_ref rope, const char *name)
{
    if (!json_present(json_get(r->j, rope, name)) && r->rc == 0)
        r->rc = err_set(r->err, ERR_FORMAT,
                        "%s: its kind of RoPE needs %s, which is missing",
                        r->path, name);
}

static void read_llama3(struct config_reader *r, json_ref rope,
                        struct model_config *c)
{
    need(r, rope, "factor");
    need(r, rope, "low_freq_factor");
    need(r, rope, "high_freq_factor");
    need(r, rope, "original_max_position_embeddings");
    c->rope = MODEL_ROPE_LLAMA3;
    c->rope_factor = config_double(r, rope, "factor", 1, 1e6);
    c->rope_low = config_double(r, rope, "low_freq_factor", 1, 1e6);
    c->rope_high = config_double(r, rope, "high_freq_factor", 4, 1e6);
    c->rope_original = original_context(r, rope, 8192);
}

/* The factor on cos and sin grows with the logarithm of the context's. */
static double yarn_scale(double factor, double times)
{
    return factor <= 1 ? 1 : 0.1 * times * log(factor) + 1;
}

static void read_yarn(struct config_reader *r, json_ref rope,
                      struct model_config *c)
{
    double all = optional(r, rope, "mscale_all_dim");
    double some = optional(r, rope, "mscale");
    bool truncate = true;

    (void)json_bool(r->j, json_get(r->j, rope, "truncate"), &truncate);
    c->rope_exact = !truncate;
    c->rope = MODEL_ROPE_YARN;
    c->rope_original = original_context(r, rope, (double)c->context);
    c->rope_factor = config_double(
        r, rope, "factor", (double)c->context / (double)c->rope_original, 1e6);
    c->rope_low = config_double(r, rope, "beta_slow", 1, 1e6);
    c->rope_high = config_double(r, rope, "beta_fast", 32, 1e6);
    c->rope_attention = optional(r, rope, "attention_factor");
    if (!(c->rope_attention > 0))
        c->rope_attention = some > 0 && all > 0
                                ? yarn_scale(c->rope_factor, some) /
                                      yarn_scale(c->rope_factor, all)
                                : yarn_scale(c->rope_factor, 1);
}

static void refuse_rope(struct config_reader *r, json_ref type)
{
    char *name = json_strdup(r->j, type);

    if (r->rc == 0)
        r->rc = err_set(r->err, ERR_UNSUPPORTED,
                        "%s: rope_type \"%s\" is not known; known: default "
                        "linear dynamic llama3 longrope yarn",
                        r->path, name ? name : "");
    free(name);
}

/* Where both spellings are there, the older one counts, as in transformers.
 * A family with two kinds of attention has its global one under
 * "full_attention". */
static json_ref rope_object(struct config_reader *r)
{
    static const char *const names[] = { "rope_scaling", "rope_parameters" };
    json_ref full =
        json_get(r->j, config_member(r, "rope_parameters"), "full_attention");
    json_ref found = full;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_ref v = config_member(r, names[i]);

        if (json_present(v) && !json_is(r->j, v, JSON_OBJECT) && r->rc == 0)
            r->rc = err_set(r->err, ERR_FORMAT, "%s: %s must be an object",
                            r->path, names[i]);
        if (!json_present(found) && json_count(r->j, v) > 0)
            found = v;
    }
    if (json_present(full) &&
        json_count(r->j, config_member(r, "rope_scaling")) > 0)
        config_refuse(r, "rope_scaling beside rope_parameters");
    return found;
}

static int read_rope(struct config_reader *r, const struct model_family *f,
                     struct model_config *c)
{
    json_ref scaling = rope_object(r), type;
    double part = optional(r, scaling, "partial_rotary_factor");

    if (!(part > 0))
        part = optional(r, 0, "partial_rotary_factor");
    if (!(part > 0))
        part = f->rotary_part;
    if (part > 1 || (part > 0 && part < 1 && !(f->rotary_part > 0)))
        config_refuse(r, "partial_rotary_factor");
    if (part > 0 && part < 1)
        c->rotary = (int64_t)((double)c->head_dim * part);
    if (c->rotary % 2 != 0)
        config_refuse(r, "partial_rotary_factor");
    c->rope_theta = config_double(
        r, json_present(json_get(r->j, scaling, "rope_theta")) ? scaling : 0,
        "rope_theta", 10000, 1e12);
    type = json_get(r->j, scaling, "rope_type");
    if (!json_present(type))
        type = json_get(r->j, scaling, "type");
    if (!json_present(type) || json_text_is(r->j, type, "default"))
        return r->rc;
    if (json_text_is(r->j, type, "linear") ||
        json_text_is(r->j, type, "dynamic")) {
        c->rope = json_text_is(r->j, type, "linear") ? MODEL_ROPE_LINEAR
                                                     : MODEL_ROPE_DYNAMIC;
        need(r, scaling, "factor");
        c->rope_factor = config_double(r, scaling, "factor", 1, 1e6);
    } else if (json_text_is(r->j, type, "llama3")) {
        read_llama3(r, scaling, c);
    } else if (json_text_is(r->j, type, "longrope") ||
               json_text_is(r->j, type, "su")) {
        read_longrope(r, scaling, c);
    } else if (json_text_is(r->j, type, "yarn")) {
        read_yarn(r, scaling, c);
    } else {
        refuse_rope(r, type);
    }
    return r->rc;
}

/* Without num_hidden_layers, or whatever it says, the list of what they are
 * counts. */
static int64_t layer_count(struct config_reader *r)
{
    json_ref list = config_member(r, "layers_block_type");
    char *pattern =
        json_strdup(r->j, config_member(r, "hybrid_override_pattern"));
    size_t n = json_is(r->j, list, JSON_ARRAY) ? json_count(r->j, list)
               : pattern                       ? strlen(pattern)
                                               : 0;

    free(pattern);
    if (n == 0)
        return config_int(r, "num_hidden_layers", 0, MODEL_MAX_LAYERS);
    if (n > MODEL_MAX_LAYERS && r->rc == 0)
        r->rc = err_set(r->err, ERR_LIMIT, "%s: %zu layers, at most %d",
                        r->path, n, MODEL_MAX_LAYERS);
    return (int64_t)n;
}

static int read_sizes(struct config_reader *r, const struct model_family *f,
                      struct model_config *c)
{
    c->vocab = config_int(r, "vocab_size", 0, MODEL_MAX_VOCAB);
    c->hidden = config_int(r, "hidden_size", 0, MODEL_MAX_DIM);
    c->ffn = config_int(r, "intermediate_size", 0, MODEL_MAX_DIM);
    c->layers = layer_count(r);
    c->heads = config_int(r, "num_attention_heads", 0, MODEL_MAX_DIM);
    c->kv_heads = config_int(r, "num_key_value_heads", c->heads, MODEL_MAX_DIM);
    c->context =
        config_int(r, "max_position_embeddings", 2048, MODEL_MAX_CONTEXT);
    if (r->rc < 0)
        return r->rc;
    c->head_dim = config_int(r, "head_dim",
                             f->head_dim ? f->head_dim : c->hidden / c->heads,
                             MODEL_MAX_HEAD_DIM);
    return r->rc;
}

static int check_shape(struct config_reader *r, const struct model_config *c)
{
    if (c->heads % c->kv_heads != 0)
        return err_set(r->err, ERR_FORMAT,
                       "%s: num_attention_heads %lld is no multiple of "
                       "num_key_value_heads %lld",
                       r->path, (long long)c->heads, (long long)c->kv_heads);
    if (c->head_dim % 2 != 0 || c->heads * c->head_dim > MODEL_MAX_DIM)
        return err_set(r->err, ERR_FORMAT,
                       "%s: head_dim %lld must be even, and at most %lld in "
                       "all heads",
                       r->path, (long long)c->head_dim,
                       (long long)MODEL_MAX_DIM);
    if (model_config_parameters(c) > MODEL_MAX_PARAMETERS)
        return err_set(r->err, ERR_LIMIT, "%s: too many parameters", r->path);
    return 0;
}

static void read_act(struct config_reader *r, const struct model_family *f,
                     struct model_config *c)
{
    static const struct {
        const char *name;
        enum model_act act;
    } known[] = {
        { "silu", MODEL_ACT_SILU },
        { "swish", MODEL_ACT_SILU },
        { "gelu_pytorch_tanh", MODEL_ACT_GELU_TANH },
        { "gelu_new", MODEL_ACT_GELU_TANH },
        { "relu2", MODEL_ACT_RELU2 },
        { "gelu", MODEL_ACT_GELU },
    };
    const char *field = f->act ? f->act : "hidden_act";
    json_ref v = config_member(r, field);

    if (!json_present(v)) {
        c->act = f->default_act;
        return;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (json_text_is(r->j, v, known[i].name)) {
            c->act = known[i].act;
            return;
        }
    config_refuse(r, field);
}

static void read_stored(const struct config_reader *r, struct model_config *c)
{
    json_ref dtype = config_member(r, "dtype");
    char *name;

    if (!json_present(dtype))
        dtype = config_member(r, "torch_dtype");
    name = json_strdup(r->j, dtype);
    c->stored = WEIGHTS_F32;
    if (name)
        (void)weights_type_parse(name, &c->stored);
    free(name);
}

/* 4-bit weights of bitsandbytes are read; each says for itself what it is. */
static void check_quantised(struct config_reader *r, struct model_config *c)
{
    json_ref q = config_member(r, "quantization_config");

    if (json_present(q) &&
        (!json_text_is(r->j, json_get(r->j, q, "quant_method"),
                       "bitsandbytes") ||
         !json_text_is(r->j, json_get(r->j, q, "bnb_4bit_quant_type"), "nf4")))
        config_refuse(r, "quantization_config");
    c->nf4 = json_present(q);
}

static int read_config(struct config_reader *r, struct model_config *c)
{
    const struct model_family *f = NULL;
    int rc = read_family(r, &f);

    if (rc == 0)
        rc = read_sizes(r, f, c);
    if (rc < 0)
        return rc;
    (void)snprintf(c->family, sizeof(c->family), "%s", f->type);
    check_quantised(r, c);
    c->tied = config_bool(r, "tie_word_embeddings", f->tied);
    c->attn_bias = config_bool(r, "attention_bias", false);
    c->mlp_bias = config_bool(r, "mlp_bias", false);
    c->norm_eps =
        config_double(r, 0, f->norm_eps ? f->norm_eps : "rms_norm_eps",
                      f->norm_eps ? 1e-5 : 1e-6, 1);
    c->init_range = config_double(r, 0, "initializer_range", 0.02, 10);
    read_act(r, f, c);
    read_stored(r, c);
    read_ids(r, c);
    rc = read_rope(r, f, c);
    if (rc == 0 && f->read)
        f->read(r, c);
    return r->rc < 0 ? r->rc : check_shape(r, c);
}

/* Python writes an infinite number as no JSON reader takes it: the largest
 * power of ten stands for it. */
static void spell_infinity(char *text, size_t n)
{
    static const char word[] = "Infinity", number[] = "1e308   ";
    bool quoted = false;

    for (size_t i = 0; i < n; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && n - i >= sizeof(word) - 1 &&
                 memcmp(text + i, word, sizeof(word) - 1) == 0)
            memcpy(text + i, number, sizeof(word) - 1);
    }
}

const char *model_config_module(const struct model_config *c)
{
    const struct model_whole *w = model_whole_find(c->whole);

    return w ? w->module : "model";
}

/* The text part's config where the whole is one that has any. */
static int read_parsed(struct json *j, const char *path, struct model_config *c,
                       struct err *err)
{
    char *name = json_strdup(j, json_at(j, json_get(j, 0, "architectures"), 0));
    const struct model_whole *whole = name ? model_whole_find(name) : NULL;
    struct config_reader r = { j, path, err, 0 };
    struct json own = { 0 };
    struct buf text = { 0 };
    int rc = 0;

    if (whole && json_is(j, json_get(j, 0, "text_config"), JSON_OBJECT)) {
        model_whole_config(whole, j, &text);
        rc = json_parse(&own, text.data, text.len, err);
        r.j = &own;
        (void)snprintf(c->whole, sizeof(c->whole), "%s", name);
    }
    if (rc == 0)
        rc = read_config(&r, c);
    json_release(&own);
    buf_release(&text);
    free(name);
    return rc;
}

int model_config_read(const char *dir_or_file, struct model_config *out,
                      struct err *err)
{
    bool whole = io_is_dir(dir_or_file) || weights_is_gguf(dir_or_file);
    char *path =
        whole ? io_path(dir_or_file, "config.json") : mem_strdup(dir_or_file);
    struct model_config c = { 0 };
    struct json j = { 0 };
    struct buf text;
    int rc;

    buf_init(&text, CONFIG_MAX_BYTES);
    rc = whole ? weights_part(dir_or_file, "config.json", CONFIG_MAX_BYTES,
                              &text, err)
               : io_read_file(path, CONFIG_MAX_BYTES, &text, err);
    if (rc < 0)
        goto done;
    spell_infinity(text.data, text.len);
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc < 0) {
        rc = err_wrap(err, "%s", path);
        goto done;
    }
    if (!json_is(&j, 0, JSON_OBJECT)) {
        rc = err_set(err, ERR_FORMAT, "%s: not a JSON object", path);
        goto done;
    }
    rc = read_parsed(&j, path, &c, err);
    if (rc == 0)
        *out = c;
done:
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}

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
#include "model/model_private.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX_BYTES ((size_t)4 << 20)

/* architectures[0] and model_type of each family known here. */
static const struct family {
    const char *architecture, *type;
} families[] = {
    { "LlamaForCausalLM", "llama" },
};

struct reader {
    const struct json *j;
    const char *path;
    struct err *err;
    int rc;
};

static json_ref member(const struct reader *r, const char *name)
{
    json_ref v = json_get(r->j, 0, name);

    return json_is(r->j, v, JSON_NULL) ? JSON_NONE : v;
}

static int64_t get_int(struct reader *r, const char *name, int64_t fallback,
                       int64_t max)
{
    json_ref v = member(r, name);
    int64_t x = fallback;

    if (json_present(v) && !json_int(r->j, v, &x))
        x = -1;
    if (r->rc == 0 && (x < 1 || x > max))
        r->rc =
            err_set(r->err, json_present(v) ? ERR_LIMIT : ERR_FORMAT,
                    "%s: %s must be 1 to %lld", r->path, name, (long long)max);
    return x;
}

static double get_double(struct reader *r, json_ref object, const char *name,
                         double fallback, double max)
{
    json_ref v = json_get(r->j, object, name);
    double x = fallback;

    if (json_present(v) && !json_is(r->j, v, JSON_NULL) &&
        !json_double(r->j, v, &x))
        x = -1;
    if (r->rc == 0 && !(x > 0 && x <= max))
        r->rc = err_set(r->err, ERR_LIMIT, "%s: %s must be above 0, at most %g",
                        r->path, name, max);
    return x;
}

static bool get_bool(const struct reader *r, const char *name, bool fallback)
{
    bool x = fallback;

    (void)json_bool(r->j, member(r, name), &x);
    return x;
}

static int read_family(struct reader *r, struct model_config *c)
{
    json_ref arch = json_at(r->j, member(r, "architectures"), 0);
    json_ref type = member(r, "model_type");
    char *name;
    int rc;

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (json_text_is(r->j, arch, families[i].architecture) ||
            (!json_present(arch) &&
             json_text_is(r->j, type, families[i].type))) {
            strcpy(c->family, families[i].type);
            return 0;
        }
    name = json_strdup(r->j, json_present(arch) ? arch : type);
    rc = err_set(r->err, ERR_UNSUPPORTED,
                 "%s: architecture \"%s\" is not known; known: %s", r->path,
                 name ? name : "", families[0].architecture);
    free(name);
    return rc;
}

/* -1: no token has this id. */
static int32_t token_id(const struct reader *r, json_ref v)
{
    int64_t x;

    return json_int(r->j, v, &x) && x >= 0 && x < MODEL_MAX_VOCAB ? (int32_t)x
                                                                  : -1;
}

static void add_eos(const struct reader *r, json_ref v, struct model_config *c)
{
    int32_t id = token_id(r, v);

    if (id >= 0 && c->eos_count < sizeof(c->eos) / sizeof(c->eos[0]))
        c->eos[c->eos_count++] = id;
}

static void read_ids(const struct reader *r, struct model_config *c)
{
    json_ref eos = member(r, "eos_token_id");

    c->bos = token_id(r, member(r, "bos_token_id"));
    if (!json_is(r->j, eos, JSON_ARRAY)) {
        add_eos(r, eos, c);
        return;
    }
    for (json_ref e = json_first(r->j, eos); e != JSON_NONE;
         e = json_next(r->j, eos, e))
        add_eos(r, e, c);
}

static int read_rope(struct reader *r, struct model_config *c)
{
    json_ref params = member(r, "rope_parameters");
    json_ref scaling =
        json_present(params) ? params : member(r, "rope_scaling");
    json_ref type = json_get(r->j, scaling, "rope_type");
    char *name;
    int rc;

    c->rope_theta = get_double(r, json_present(params) ? params : 0,
                               "rope_theta", 10000, 1e12);
    if (!json_present(type))
        type = json_get(r->j, scaling, "type");
    if (!json_present(type) || json_text_is(r->j, type, "default"))
        return r->rc;
    c->rope_factor = get_double(r, scaling, "factor", 1, 1e6);
    if (json_text_is(r->j, type, "linear")) {
        c->rope = MODEL_ROPE_LINEAR;
        return r->rc;
    }
    if (json_text_is(r->j, type, "llama3")) {
        c->rope = MODEL_ROPE_LLAMA3;
        c->rope_low = get_double(r, scaling, "low_freq_factor", 1, 1e6);
        c->rope_high = get_double(r, scaling, "high_freq_factor", 4, 1e6);
        c->rope_original = (int64_t)get_double(
            r, scaling, "original_max_position_embeddings", 8192, 1e8);
        return r->rc;
    }
    name = json_strdup(r->j, type);
    rc = err_set(r->err, ERR_UNSUPPORTED,
                 "%s: rope_type \"%s\" is not known; known: default linear "
                 "llama3",
                 r->path, name ? name : "");
    free(name);
    return rc;
}

static int read_shape(struct reader *r, struct model_config *c)
{
    c->vocab = get_int(r, "vocab_size", 0, MODEL_MAX_VOCAB);
    c->hidden = get_int(r, "hidden_size", 0, MODEL_MAX_DIM);
    c->ffn = get_int(r, "intermediate_size", 0, MODEL_MAX_DIM);
    c->layers = get_int(r, "num_hidden_layers", 0, MODEL_MAX_LAYERS);
    c->heads = get_int(r, "num_attention_heads", 0, MODEL_MAX_DIM);
    c->kv_heads = get_int(r, "num_key_value_heads", c->heads, MODEL_MAX_DIM);
    c->context = get_int(r, "max_position_embeddings", 2048, MODEL_MAX_CONTEXT);
    if (r->rc < 0)
        return r->rc;
    c->head_dim = get_int(r, "head_dim", c->hidden / c->heads, 1024);
    if (r->rc < 0)
        return r->rc;
    if (c->heads % c->kv_heads != 0)
        return err_set(r->err, ERR_INVALID,
                       "%s: num_attention_heads %lld is no multiple of "
                       "num_key_value_heads %lld",
                       r->path, (long long)c->heads, (long long)c->kv_heads);
    if (c->head_dim % 2 != 0 || c->heads * c->head_dim > MODEL_MAX_DIM)
        return err_set(r->err, ERR_INVALID,
                       "%s: head_dim %lld must be even, and at most %lld in "
                       "all heads",
                       r->path, (long long)c->head_dim,
                       (long long)MODEL_MAX_DIM);
    if (model_config_parameters(c) > MODEL_MAX_PARAMETERS)
        return err_set(r->err, ERR_LIMIT, "%s: too many parameters", r->path);
    return 0;
}

static int read_config(struct reader *r, struct model_config *c)
{
    json_ref act = member(r, "hidden_act"), dtype = member(r, "dtype");
    char *name;
    int rc = read_family(r, c);

    if (rc < 0)
        return rc;
    c->tied = get_bool(r, "tie_word_embeddings", false);
    c->attn_bias = get_bool(r, "attention_bias", false);
    c->mlp_bias = get_bool(r, "mlp_bias", false);
    c->norm_eps = get_double(r, 0, "rms_norm_eps", 1e-6, 1);
    c->init_range = get_double(r, 0, "initializer_range", 0.02, 10);
    if (json_present(act) && !json_text_is(r->j, act, "silu"))
        return err_set(r->err, ERR_UNSUPPORTED,
                       "%s: hidden_act other than \"silu\"", r->path);
    if (!json_present(dtype))
        dtype = member(r, "torch_dtype");
    name = json_strdup(r->j, dtype);
    c->stored = WEIGHTS_F32;
    if (name)
        (void)weights_type_parse(name, &c->stored);
    free(name);
    read_ids(r, c);
    rc = read_rope(r, c);
    return rc < 0 ? rc : read_shape(r, c);
}

int model_config_read(const char *dir_or_file, struct model_config *out,
                      struct err *err)
{
    char *path = io_is_dir(dir_or_file) ? io_path(dir_or_file, "config.json")
                                        : mem_strdup(dir_or_file);
    struct model_config c = { 0 };
    struct json j = { 0 };
    struct buf text;
    int rc;

    buf_init(&text, CONFIG_MAX_BYTES);
    rc = io_read_file(path, CONFIG_MAX_BYTES, &text, err);
    if (rc < 0)
        goto done;
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc < 0) {
        rc = err_wrap(err, "%s", path);
        goto done;
    }
    if (!json_is(&j, 0, JSON_OBJECT)) {
        rc = err_set(err, ERR_FORMAT, "%s: not a JSON object", path);
        goto done;
    }
    rc = read_config(&(struct reader){ &j, path, err, 0 }, &c);
    if (rc == 0)
        *out = c;
done:
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}

int64_t model_config_parameters(const struct model_config *c)
{
    int64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    int64_t layer =
        c->hidden * (2 * q + 2 * kv) + 3 * c->hidden * c->ffn + 2 * c->hidden;

    if (c->attn_bias)
        layer += q + 2 * kv + c->hidden;
    if (c->mlp_bias)
        layer += 2 * c->ffn + c->hidden;
    return layer * c->layers + c->hidden +
           c->vocab * c->hidden * (c->tied ? 1 : 2);
}

static void write_rope(const struct model_config *c, struct json_writer *w)
{
    json_put_double(w, "rope_theta", c->rope_theta);
    if (c->rope == MODEL_ROPE_DEFAULT) {
        json_put_null(w, "rope_scaling");
        return;
    }
    json_begin_object(w, "rope_scaling");
    json_put_string(w, "rope_type",
                    c->rope == MODEL_ROPE_LINEAR ? "linear" : "llama3");
    json_put_double(w, "factor", c->rope_factor);
    if (c->rope == MODEL_ROPE_LLAMA3) {
        json_put_double(w, "low_freq_factor", c->rope_low);
        json_put_double(w, "high_freq_factor", c->rope_high);
        json_put_int(w, "original_max_position_embeddings", c->rope_original);
    }
    json_end_object(w);
}

static void write_ids(const struct model_config *c, struct json_writer *w)
{
    if (c->bos >= 0)
        json_put_int(w, "bos_token_id", c->bos);
    if (c->eos_count == 1)
        json_put_int(w, "eos_token_id", c->eos[0]);
    if (c->eos_count <= 1)
        return;
    json_begin_array(w, "eos_token_id");
    for (unsigned i = 0; i < c->eos_count; i++)
        json_put_int(w, NULL, c->eos[i]);
    json_end_array(w);
}

void model_config_write(const struct model_config *c, enum weights_type dtype,
                        struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "architectures");
    json_put_string(&w, NULL, families[0].architecture);
    json_end_array(&w);
    json_put_string(&w, "model_type", c->family);
    json_put_bool(&w, "attention_bias", c->attn_bias);
    json_put_bool(&w, "mlp_bias", c->mlp_bias);
    write_ids(c, &w);
    json_put_int(&w, "head_dim", c->head_dim);
    json_put_string(&w, "hidden_act", "silu");
    json_put_int(&w, "hidden_size", c->hidden);
    json_put_double(&w, "initializer_range", c->init_range);
    json_put_int(&w, "intermediate_size", c->ffn);
    json_put_int(&w, "max_position_embeddings", c->context);
    json_put_int(&w, "num_attention_heads", c->heads);
    json_put_int(&w, "num_hidden_layers", c->layers);
    json_put_int(&w, "num_key_value_heads", c->kv_heads);
    json_put_double(&w, "rms_norm_eps", c->norm_eps);
    write_rope(c, &w);
    json_put_bool(&w, "tie_word_embeddings", c->tied);
    json_put_string(&w, "torch_dtype",
                    dtype == WEIGHTS_BF16  ? "bfloat16"
                    : dtype == WEIGHTS_F16 ? "float16"
                                           : "float32");
    json_put_int(&w, "vocab_size", c->vocab);
    json_end_object(&w);
    buf_char(out, '\n');
}

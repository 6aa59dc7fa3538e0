/*
 * gguf_write.c - a model, or an adapter for one, as a GGUF file
 *
 * Vectors stay F32. Of the K types, which cost most where a weight is used
 * for every token, embedding, head and half of the value and down
 * projections get Q6_K; of Q4_0, embedding and head get Q8_0. A row that is
 * no whole number of blocks goes to Q8_0, else to F16.
 */
#include "weights/gguf_build.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONFIG_MAX ((size_t)4 << 20)

static const struct choice {
    enum weights_type type;
    uint32_t file_type;
} choices[] = {
    { WEIGHTS_F32, 0 },   { WEIGHTS_F16, 1 },  { WEIGHTS_BF16, 32 },
    { WEIGHTS_Q8_0, 7 },  { WEIGHTS_Q4_0, 2 }, { WEIGHTS_Q4_K, 15 },
    { WEIGHTS_Q6_K, 18 },
};
#define CHOICES (sizeof(choices) / sizeof(choices[0]))

bool weights_gguf_type(const char *name, enum weights_type *out)
{
    for (size_t i = 0; i < CHOICES; i++)
        if (strcasecmp(name, weights_type_name(choices[i].type)) == 0) {
            *out = choices[i].type;
            return true;
        }
    return false;
}

struct export
{
    struct gguf_build g;
    struct json config;
    struct buf text;
    struct gguf_extra extra;
    const struct gguf_arch *arch;
    int64_t layers, heads, kv_heads;
};

static void export_release(struct export *x)
{
    gguf_build_release(&x->g);
    json_release(&x->config);
    buf_release(&x->text);
    free(x->extra.freqs);
    free(x->extra.longs);
    free(x->extra.shorts);
}

static int read_config(struct export *x, const char *model, struct err *err)
{
    const struct json *j = &x->config;
    char *type;
    int rc = weights_part(model, "config.json", CONFIG_MAX, &x->text, err);

    if (rc == ERR_OK)
        rc = json_parse(&x->config, x->text.data ? x->text.data : "",
                        x->text.len, err);
    if (rc < 0)
        return rc;
    type = json_strdup(j, json_get(j, 0, "model_type"));
    x->arch = gguf_arch_of_type(type ? type : "");
    if (!x->arch)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "model_type \"%s\" is not supported as GGUF; known: llama "
                     "mistral qwen2 qwen3 phi phi3 gemma2 gemma3_text granite "
                     "olmo2 smollm3",
                     type ? type : "");
    free(type);
    if (!json_int(j, json_get(j, 0, "num_attention_heads"), &x->heads))
        x->heads = 1;
    x->kv_heads = x->heads;
    (void)json_int(j, json_get(j, 0, "num_key_value_heads"), &x->kv_heads);
    (void)json_int(j, json_get(j, 0, "num_hidden_layers"), &x->layers);
    if (rc == ERR_OK && (x->heads < 1 || x->kv_heads < 1))
        rc = err_set(err, ERR_FORMAT,
                     "config.json: num_attention_heads and "
                     "num_key_value_heads must be 1 or more");
    return rc;
}

/* Layers whose value and down projections are worth more bits: the first and
 * last eighth, and every third between. */
static bool is_sensitive(const struct export *x, const char *name)
{
    int64_t layer, eighth = x->layers / 8;

    if (!strstr(name, "attn_v.") && !strstr(name, "ffn_down."))
        return false;
    layer = strtol(name + 4, NULL, 10);
    return layer < eighth || layer >= 7 * x->layers / 8 ||
           (layer - eighth) % 3 == 2;
}

static enum weights_type type_for(const struct export *x,
                                  const struct weights_gguf *opt,
                                  const char *name,
                                  const struct weights_tensor *t)
{
    const struct weights_block *b;
    enum weights_type type = opt->type;
    bool end = strcmp(name, "token_embd.weight") == 0 ||
               strcmp(name, "output.weight") == 0;
    int64_t row = t->dims ? t->shape[t->dims - 1] : 1;

    if (t->dims < 2)
        return WEIGHTS_F32;
    if (!opt->uniform && type == WEIGHTS_Q4_0 && end)
        type = WEIGHTS_Q8_0;
    if (!opt->uniform && type == WEIGHTS_Q4_K && (end || is_sensitive(x, name)))
        type = WEIGHTS_Q6_K;
    b = weights_block_of(type);
    if (b && row % b->elements)
        type = row % 32 ? WEIGHTS_F16 : WEIGHTS_Q8_0;
    return type;
}

/* Rows that are permuted come in pairs for each head. */
static int check_rows(const struct gguf_item *item,
                      const struct weights_tensor *t, struct err *err)
{
    int64_t rows = t->dims ? t->shape[0] : 0;

    if (item->heads && (rows < 1 || rows % (2 * (int64_t)item->heads) != 0))
        return err_set(err, ERR_FORMAT,
                       "tensor \"%.200s\": its rows do not fit the heads",
                       t->name);
    return ERR_OK;
}

/* Gemma 3 norms its queries after the projection. */
static bool scales_query(const struct gguf_arch *a, const char *name)
{
    return strstr(name, strcmp(a->name, "gemma3") == 0 ? ".q_norm.weight"
                                                       : ".q_proj.weight");
}

static int add_tensor(struct export *x, const struct weights_gguf *opt,
                      const struct weights_tensor *t, struct err *err)
{
    char *name = gguf_name_from_checkpoint(x->arch, t->name);
    struct gguf_item *item;
    bool key;

    if (strstr(t->name, "rotary_emb.inv_freq")) {
        free(name);
        return ERR_OK; /* older checkpoints repeat it */
    }
    if (!name)
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has no name for it", t->name);
    item = gguf_add(&x->g, name, type_for(x, opt, name, t), t);
    if (gguf_is_shifted(x->arch, t->name))
        item->shift = 1;
    if (gguf_is_permuted(x->arch, t->name, &key))
        item->heads = (size_t)(key ? x->kv_heads : x->heads);
    if (x->extra.query != 0 && scales_query(x->arch, t->name)) {
        item->factor = x->extra.query;
        item->shift *= x->extra.query;
    }
    return check_rows(item, t, err);
}

static void put_general(struct export *x, const struct weights_gguf *opt)
{
    struct gguf_build *g = &x->g;

    gguf_put_string(g, "general.architecture", slice_of(x->arch->name));
    gguf_put_string(g, "general.type", slice_of("model"));
    if (opt->name)
        gguf_put_string(g, "general.name", slice_of(opt->name));
    for (size_t i = 0; i < CHOICES; i++)
        if (choices[i].type == opt->type)
            gguf_put_u32(g, "general.file_type", choices[i].file_type);
    gguf_put_u32(g, "general.quantization_version", 2);
}

static int add_all(struct export *x, const struct weights *w,
                   const struct weights_gguf *opt, const char *model,
                   struct err *err)
{
    const struct weights_tensor *embed =
        weights_find(w, "model.embed_tokens.weight");
    bool tied = false;
    int rc;

    if (!embed || embed->dims != 2)
        return err_set(err, ERR_FORMAT, "no model.embed_tokens.weight");
    x->g.threads = opt->threads;
    put_general(x, opt);
    rc = gguf_put_config(&x->g, x->arch, &x->config, &x->extra, err);
    if (rc == ERR_OK)
        rc = gguf_put_tokenizer(&x->g, model, &x->config,
                                (size_t)embed->shape[0], err);
    if (!json_bool(&x->config, json_get(&x->config, 0, "tie_word_embeddings"),
                   &tied))
        tied = !weights_find(w, "lm_head.weight");
    for (size_t i = 0; i < weights_count(w) && rc == ERR_OK; i++)
        if (!tied || strcmp(weights_at(w, i)->name, "lm_head.weight") != 0)
            rc = add_tensor(x, opt, weights_at(w, i), err);
    return rc;
}

int weights_gguf_write(const char *model, const struct weights_gguf *opt,
                       const char *path, struct err *err)
{
    struct export x = { 0 };
    struct weights *w = NULL;
    int rc = read_config(&x, model, err);

    if (rc == ERR_OK)
        rc = weights_open(model, &w, err);
    if (rc == ERR_OK)
        rc = add_all(&x, w, opt, model, err);
    if (rc < 0)
        rc = err_wrap(err, "%s", model);
    else
        rc = gguf_build_write(&x.g, path, err);
    weights_close(w);
    export_release(&x);
    return rc;
}

struct lora {
    struct json j;
    struct buf text;
    int64_t rank;
    double alpha;
    bool rslora;
};

static int read_lora(struct lora *l, const char *adapter, struct err *err)
{
    static const char *const off[] = { "use_dora", "lora_bias",
                                       "fan_in_fan_out" };
    bool on;
    int rc =
        weights_part(adapter, "adapter_config.json", CONFIG_MAX, &l->text, err);

    if (rc == ERR_OK)
        rc = json_parse(&l->j, l->text.data ? l->text.data : "", l->text.len,
                        err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (json_bool(&l->j, json_get(&l->j, 0, off[i]), &on) && on)
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: GGUF has no place for it in an adapter; merge "
                           "it into the model",
                           off[i]);
    if (!json_int(&l->j, json_get(&l->j, 0, "r"), &l->rank) ||
        !json_double(&l->j, json_get(&l->j, 0, "lora_alpha"), &l->alpha) ||
        l->rank < 1)
        return err_set(err, ERR_FORMAT,
                       "adapter_config.json: r or lora_alpha is missing");
    (void)json_bool(&l->j, json_get(&l->j, 0, "use_rslora"), &l->rslora);
    return ERR_OK;
}

/* The value of the pattern's key that is the module's name or its end. */
static double pattern_of(const struct lora *l, const char *field,
                         const char *module, double fallback)
{
    json_ref object = json_get(&l->j, 0, field);
    size_t all = strlen(module);
    double out = fallback;

    for (json_ref e = json_first(&l->j, object);
         json_is(&l->j, object, JSON_OBJECT) && e != JSON_NONE;
         e = json_next(&l->j, object, e)) {
        char *key = json_strdup(&l->j, json_key(&l->j, e));
        size_t n = strlen(key);
        bool fits = n <= all && strcmp(module + all - n, key) == 0 &&
                    (n == all || module[all - n - 1] == '.');

        free(key);
        if (fits && json_double(&l->j, e, &out))
            break;
    }
    return out;
}

/* What B is multiplied with, so that the one alpha of the file, over the
 * tensor's rank, gives this module's scale. */
static float factor_of(const struct lora *l, double alpha, const char *module,
                       double rank)
{
    double own = pattern_of(l, "alpha_pattern", module, l->alpha);
    double scale = own / (l->rslora ? sqrt(rank) : rank);
    double factor = scale / (alpha / rank);

    return fabs(factor - 1) < 1e-12 ? 1 : (float)factor;
}

static int add_lora(struct export *x, const struct lora *l, double alpha,
                    const struct weights_tensor *t, struct err *err)
{
    static const char prefix[] = "base_model.model.";
    const char *end = strstr(t->name, ".lora_");
    char *module, *whole, *name = NULL;
    struct gguf_item *item;
    bool b, key;
    int rc;

    if (strncmp(t->name, prefix, sizeof(prefix) - 1) != 0 || !end ||
        t->dims != 2 || t->shape[0] < 1 || t->shape[1] < 1 ||
        (strcmp(end, ".lora_A.weight") != 0 &&
         strcmp(end, ".lora_B.weight") != 0))
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has no place for it in an "
                       "adapter; merge it into the model",
                       t->name);
    b = end[6] == 'B';
    module = mem_strndup(t->name + sizeof(prefix) - 1,
                         (size_t)(end - t->name) - (sizeof(prefix) - 1));
    whole = mem_printf("%s.weight", module);
    name = gguf_name_from_checkpoint(x->arch, whole);
    rc = name ? ERR_OK
              : err_set(err, ERR_UNSUPPORTED,
                        "tensor \"%.200s\": GGUF has no name for it", t->name);
    if (name) {
        item = gguf_add(&x->g, mem_printf("%s.lora_%c", name, b ? 'b' : 'a'),
                        WEIGHTS_F32, t);
        if (b)
            item->factor = factor_of(l, alpha, module, (double)t->shape[1]);
        if (b && gguf_is_permuted(x->arch, whole, &key))
            item->heads = (size_t)(key ? x->kv_heads : x->heads);
        rc = check_rows(item, t, err);
    }
    free(module);
    free(whole);
    free(name);
    return rc;
}

/* What the base's file would refuse, an adapter's for it does too. */
static int check_base(struct export *x, struct err *err)
{
    struct gguf_build scratch = { 0 };
    int rc = gguf_put_config(&scratch, x->arch, &x->config, &x->extra, err);

    gguf_build_release(&scratch);
    if (rc == ERR_OK && x->extra.query != 0 &&
        scales_query(x->arch, ".q_proj.weight"))
        rc = err_set(err, ERR_UNSUPPORTED,
                     "query_pre_attn_scalar: the base's file has queries of "
                     "another size; merge the adapter into the model");
    return rc;
}

int weights_gguf_adapter(const char *adapter, const char *base,
                         const char *path, struct err *err)
{
    struct export x = { 0 };
    struct lora l = { 0 };
    struct weights *w = NULL;
    double alpha;
    int rc = read_config(&x, base, err);

    if (rc == ERR_OK)
        rc = check_base(&x, err);
    if (rc == ERR_OK)
        rc = read_lora(&l, adapter, err);
    if (rc == ERR_OK)
        rc = weights_open(adapter, &w, err);
    if (rc < 0)
        goto done;
    alpha = l.alpha * (l.rslora ? sqrt((double)l.rank) : 1);
    gguf_put_string(&x.g, "general.architecture", slice_of(x.arch->name));
    gguf_put_string(&x.g, "general.type", slice_of("adapter"));
    gguf_put_string(&x.g, "adapter.type", slice_of("lora"));
    gguf_put_f32(&x.g, "adapter.lora.alpha", (float)alpha);
    for (size_t i = 0; i < weights_count(w) && rc == ERR_OK; i++)
        rc = add_lora(&x, &l, alpha, weights_at(w, i), err);
    if (rc == ERR_OK)
        rc = gguf_build_write(&x.g, path, err);
done:
    if (rc < 0)
        rc = err_wrap(err, "%s", adapter);
    weights_close(w);
    json_release(&l.j);
    buf_release(&l.text);
    export_release(&x);
    return rc;
}

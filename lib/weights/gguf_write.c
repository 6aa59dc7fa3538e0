/*
 * gguf_write.c - a model as a GGUF file
 *
 * Vectors stay F32. Of the K types, which cost most where a weight is used
 * for every token, embedding, head and half of the value and down
 * projections get Q6_K; of Q4_0, embedding and head get Q8_0. A row that is
 * no whole number of blocks goes to Q8_0, else to F16.
 */
#include "weights/gguf_write.h"

#include "base/mem.h"

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

void gguf_export_release(struct export *x)
{
    gguf_build_release(&x->g);
    json_release(&x->config);
    buf_release(&x->text);
    free(x->extra.freqs);
    free(x->extra.longs);
    free(x->extra.shorts);
}

int gguf_export_begin(struct export *x, const char *model, struct err *err)
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
                     "olmo2 smollm3 nemotron_h granitemoehybrid lfm2 "
                     "falcon_h1",
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

void gguf_export_name(struct export *x, const struct weights *w)
{
    const struct gguf_arch *other = gguf_arch_of_attention(x->arch);

    for (size_t i = 0; i < weights_count(w); i++)
        if (strstr(weights_at(w, i)->name, ".mamba."))
            return;
    if (other)
        x->arch = other;
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
                                  const char *name, enum gguf_form form,
                                  const struct weights_tensor *t)
{
    const struct weights_block *b;
    enum weights_type type = opt->type;
    bool end = strcmp(name, "token_embd.weight") == 0 ||
               strcmp(name, "output.weight") == 0;
    int64_t row = t->dims ? t->shape[t->dims - 1] : 1;

    if (t->dims < 2 || (form != GGUF_SAME && form != GGUF_FIRST_HALF))
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

int gguf_export_check(const struct gguf_item *item,
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
bool gguf_export_scales(const struct gguf_arch *a, const char *name)
{
    return strstr(name, strcmp(a->name, "gemma3") == 0 ? ".q_norm.weight"
                                                       : ".q_proj.weight");
}

/* Falcon-H1's factors are part of the weights. */
static void multiply(struct gguf_item *item, const struct gguf_multipliers *m,
                     const char *name)
{
    const struct {
        const char *part;
        double by;
    } known[] = {
        { ".embed_tokens.", m->embed },
        { "lm_head.", m->head },
        { ".q_proj.", m->in },
        { ".k_proj.", m->in * m->key },
        { ".v_proj.", m->in },
        { ".o_proj.", m->out },
        { ".gate_proj.", m->mlp[0] },
        { ".down_proj.", m->mlp[1] },
        { ".mamba.out_proj.", m->ssm_out },
        { ".mamba.in_proj.", m->ssm_in },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(name, known[i].part))
            item->factor = (float)known[i].by;
    for (size_t i = 0; i < 5 && strstr(name, ".mamba.in_proj."); i++) {
        item->rows[i] = m->ssm_rows[i];
        item->scales[i] = (float)m->ssm[i];
    }
}

static void apply_form(struct gguf_item *item, enum gguf_form form,
                       int64_t groups)
{
    struct weights_tensor *t = &item->from;

    item->decay = form == GGUF_DECAY;
    if (form == GGUF_CONV && t->dims == 3 && t->shape[1] == 1) {
        t->dims = 2;
        t->shape[1] = t->shape[2];
    }
    if ((form == GGUF_DECAY || form == GGUF_COLUMN) && t->dims == 1) {
        t->dims = 2;
        t->shape[1] = 1;
    }
    if (form == GGUF_GROUPS && t->dims == 1 && groups > 0 &&
        t->shape[0] % groups == 0) {
        t->dims = 2;
        t->shape[1] = t->shape[0] / groups;
        t->shape[0] = groups;
    }
}

/* The rows of one tensor become two; the name is the first one's. */
static int add_halves(struct export *x, const struct weights_gguf *opt,
                      const struct weights_tensor *t, char *name,
                      struct err *err)
{
    const char *rest = strstr(name, ".ffn_gate.");
    struct weights_tensor half = *t;
    char *second;

    if (!rest || t->dims != 2 || t->shape[0] % 2 || t->type > WEIGHTS_BF16) {
        free(name);
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has its halves apart, which "
                       "needs an even number of rows in F32, F16 or BF16",
                       t->name);
    }
    second = mem_printf("%.*s.ffn_up.%s", (int)(rest - name), name, rest + 10);
    half.shape[0] /= 2;
    half.bytes /= 2;
    (void)gguf_add(&x->g, name, type_for(x, opt, name, GGUF_SAME, &half),
                   &half);
    half.data = (const char *)t->data + half.bytes;
    (void)gguf_add(&x->g, second, type_for(x, opt, second, GGUF_SAME, &half),
                   &half);
    return ERR_OK;
}

static int add_tensor(struct export *x, const struct weights_gguf *opt,
                      const struct weights_tensor *t, struct err *err)
{
    enum gguf_form form;
    char *name = gguf_name_from_checkpoint(x->arch, t->name, &form);
    struct gguf_item *item;
    bool key;

    if (strstr(t->name, "rotary_emb.inv_freq")) {
        free(name);
        return ERR_OK; /* older checkpoints repeat it */
    }
    if (!name)
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor \"%.200s\": GGUF has no name for it", t->name);
    if (form == GGUF_FIRST_HALF)
        return add_halves(x, opt, t, name, err);
    item = gguf_add(&x->g, name, type_for(x, opt, name, form, t), t);
    apply_form(item, form, x->extra.groups);
    if (gguf_is_shifted(x->arch, t->name))
        item->shift = 1;
    if (gguf_is_permuted(x->arch, t->name, &key))
        item->heads = (size_t)(key ? x->kv_heads : x->heads);
    if (x->extra.query != 0 && gguf_export_scales(x->arch, t->name)) {
        item->factor = x->extra.query;
        item->shift *= x->extra.query;
    }
    if (x->extra.m.on)
        multiply(item, &x->extra.m, t->name);
    return gguf_export_check(item, t, err);
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

/* A head of its own, whatever the config says; model_load.c has the same. */
static bool is_other_head(const struct weights_tensor *head,
                          const struct weights_tensor *embed)
{
    return head && (head->type != embed->type || head->bytes != embed->bytes ||
                    memcmp(head->data, embed->data, head->bytes) != 0);
}

static int add_all(struct export *x, const struct weights *w,
                   const struct weights_gguf *opt, const char *model,
                   struct err *err)
{
    enum gguf_form form;
    char *name = gguf_name_to_checkpoint(x->arch, "token_embd.weight", &form);
    const struct weights_tensor *embed = weights_find(w, name);
    bool tied = false;
    int rc;

    rc = embed && embed->dims == 2 ? ERR_OK
                                   : err_set(err, ERR_FORMAT, "no %s", name);
    free(name);
    if (rc < 0)
        return rc;
    x->g.threads = opt->threads;
    gguf_export_name(x, w);
    put_general(x, opt);
    rc = gguf_put_config(&x->g, x->arch, &x->config, w, &x->extra, err);
    if (x->extra.layers)
        x->layers = x->extra.layers;
    if (rc == ERR_OK)
        rc = gguf_put_tokenizer(&x->g, model, &x->config,
                                (size_t)embed->shape[0], err);
    if (!json_bool(&x->config, json_get(&x->config, 0, "tie_word_embeddings"),
                   &tied))
        tied = true;
    tied = tied && !is_other_head(weights_find(w, "lm_head.weight"), embed);
    for (size_t i = 0; i < weights_count(w) && rc == ERR_OK; i++)
        if (!tied || strcmp(weights_at(w, i)->name, "lm_head.weight") != 0)
            rc = add_tensor(x, opt, weights_at(w, i), err);
    if (rc == ERR_OK && tied && x->extra.m.embed != x->extra.m.head)
        gguf_add(&x->g, mem_strdup("output.weight"),
                 type_for(x, opt, "output.weight", GGUF_SAME, embed), embed)
            ->factor = (float)x->extra.m.head;
    return rc;
}

int weights_gguf_write(const char *model, const struct weights_gguf *opt,
                       const char *path, struct err *err)
{
    struct export x = { 0 };
    struct weights *w = NULL;
    int rc = gguf_export_begin(&x, model, err);

    if (rc == ERR_OK)
        rc = weights_open(model, &w, err);
    if (rc == ERR_OK)
        rc = add_all(&x, w, opt, model, err);
    if (rc < 0)
        rc = err_wrap(err, "%s", model);
    else
        rc = gguf_build_write(&x.g, path, err);
    weights_close(w);
    gguf_export_release(&x);
    return rc;
}

/*
 * catalog_need.c - parameters, memory, licence terms
 *
 * Sums over shapes, never a share of the parameter count: a KV cache guessed
 * from the parameters alone is up to 18 times off.
 */
#include "catalog/catalog.h"

#include <string.h>

/* What a family adds to the plain Llama block. */
struct family {
    const char *type;
    int matrices;   /* of the feed-forward part: 3 gated, 2 plain */
    int qkv_bias;   /* biases on q, k and v */
    int out_bias;   /* on o and the feed-forward matrices */
    int norms;      /* norm vectors of `hidden` a block */
    int norm_bias;  /* LayerNorm: weight and bias */
    int head_norms; /* q and k norms of head_dim */
    int head_bias;  /* a bias on the output head */
};

static const struct family families[] = {
    { "llama", 3, 0, 0, 2, 0, 0, 0 },       { "smollm3", 3, 0, 0, 2, 0, 0, 0 },
    { "mistral", 3, 0, 0, 2, 0, 0, 0 },     { "qwen2", 3, 1, 0, 2, 0, 0, 0 },
    { "qwen3", 3, 0, 0, 2, 0, 2, 0 },       { "phi", 2, 1, 1, 1, 1, 0, 1 },
    { "phi3", 3, 0, 0, 2, 0, 0, 0 },        { "gemma2", 3, 0, 0, 4, 0, 0, 0 },
    { "gemma3_text", 3, 0, 0, 4, 0, 2, 0 }, { "gemma3", 3, 0, 0, 4, 0, 2, 0 },
    { "granite", 3, 0, 0, 2, 0, 0, 0 },     { "olmo2", 3, 0, 0, 2, 0, 0, 0 },
    { "exaone", 3, 0, 0, 2, 0, 0, 0 },      { "minicpm", 3, 0, 0, 2, 0, 0, 0 },
};

static const struct family *family_of(const struct catalog_model *m)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (strcmp(families[i].type, m->type) == 0)
            return &families[i];
    return NULL;
}

bool catalog_is_sized(const struct catalog_model *m)
{
    return family_of(m) && m->tied >= 0 && m->layers > 0 && m->hidden > 0 &&
           m->heads > 0 && m->kv_heads > 0 && m->head_dim > 0 && m->ffn > 0 &&
           m->vocab > 0;
}

static int64_t block_parameters(const struct catalog_model *m,
                                const struct family *f)
{
    int64_t d = m->hidden, q = m->heads * m->head_dim;
    int64_t kv = m->kv_heads * m->head_dim;
    int64_t n = d * q + 2 * d * kv + q * d + f->matrices * d * m->ffn;

    n += (int64_t)f->norms * d * (1 + f->norm_bias);
    n += f->qkv_bias * (q + 2 * kv);
    n += f->out_bias * (d + m->ffn + d);
    n += (int64_t)f->head_norms * m->head_dim;
    if (strcmp(f->type, "olmo2") == 0) /* norms over the whole q and k */
        n += q + kv;
    return n;
}

int64_t catalog_parameters(const struct catalog_model *m)
{
    const struct family *f = family_of(m);

    if (!catalog_is_sized(m))
        return 0;
    return m->vocab * m->hidden * (m->tied ? 1 : 2) +
           m->layers * block_parameters(m, f) + m->hidden * (1 + f->norm_bias) +
           f->head_bias * m->vocab;
}

int64_t catalog_kv_bytes(const struct catalog_model *m, int64_t tokens,
                         unsigned element_bytes)
{
    int64_t layers = m->attn_layers > 0 ? m->attn_layers : m->layers;
    int64_t full = m->window > 0 ? m->full_layers : layers;
    int64_t seen = m->window > 0 && m->window < tokens ? m->window : tokens;
    int64_t per_token = 2 * m->kv_heads * m->head_dim * (int64_t)element_bytes;

    return per_token * (full * tokens + (layers - full) * seen);
}

/* Of the layers, without norms and biases. */
static int64_t matrix_parameters(const struct catalog_model *m)
{
    int64_t d = m->hidden, q = m->heads * m->head_dim;
    int64_t kv = m->kv_heads * m->head_dim;

    return m->layers *
           (2 * d * q + 2 * d * kv + family_of(m)->matrices * d * m->ffn);
}

/* Weights whose layers have blocks of so many bytes for 32. */
static int64_t block_weights(const struct catalog_model *m, int64_t bytes)
{
    int64_t ends = m->vocab * m->hidden * (m->tied ? 1 : 2);
    int64_t layers = matrix_parameters(m);

    return layers / 32 * bytes + ends / 32 * 34 +
           4 * (catalog_parameters(m) - ends - layers);
}

static int64_t lora_parameters(const struct catalog_model *m, int64_t rank)
{
    int64_t d = m->hidden, q = m->heads * m->head_dim;
    int64_t kv = m->kv_heads * m->head_dim;
    int matrices = family_of(m)->matrices;

    return m->layers * rank *
           ((d + q) + 2 * (d + kv) + (q + d) + matrices * (d + m->ffn));
}

/* Elements kept a token and layer for the backward pass. */
static int64_t kept_elements(const struct catalog_model *m)
{
    return 2 * m->hidden + 2 * m->heads * m->head_dim +
           2 * m->kv_heads * m->head_dim + 2 * m->ffn;
}

bool catalog_need(const struct catalog_model *m, const struct catalog_use *use,
                  struct catalog_need *out)
{
    const int64_t logits_chunk = 256; /* rows of logits held at once */
    int64_t kept = use->activation_bytes ? use->activation_bytes : 4;
    int64_t p = catalog_parameters(m);
    struct catalog_need need = { 0 };

    if (!p)
        return false;
    need.weights = (int64_t)((double)p * use->weight_bytes);
    need.kv = catalog_kv_bytes(m, use->context, use->kv_element_bytes);
    need.activations = 4 * (kept_elements(m) * 256 + m->vocab);
    need.run = need.weights + need.kv + need.activations;
    need.run_q8_0 = block_weights(m, 34) + need.kv + need.activations;
    need.run_q4_0 = block_weights(m, 18) + need.kv + need.activations;
    need.lora_parameters = lora_parameters(m, use->rank);
    need.lora_states = 16 * need.lora_parameters;
    need.train = need.weights + need.lora_states +
                 kept * kept_elements(m) * m->layers * use->batch_tokens +
                 4 * m->vocab * logits_chunk;
    *out = need;
    return true;
}

bool catalog_is_commercial(const struct catalog_model *m)
{
    return strncmp(m->commercial, "yes", 3) == 0;
}

const char *catalog_obligation(const struct catalog_model *m)
{
    static const struct {
        const char *part, *text;
    } terms[] = {
        { "Llama", "name it \"Built with Llama\"; licence asked for above 700M "
                   "monthly users" },
        { "Gemma", "pass on the Gemma terms and their use policy" },
        { "Falcon", "keep to the acceptable-use policy; pass it on" },
        { "LFM", "free below a revenue cap only" },
        { "NVIDIA-Open", "keep the licence text with copies" },
        { "CC-BY-NC", "attribution; no commercial use" },
        { "NC", "no commercial use" },
        { "Research", "research only" },
        { "research", "research only" },
        { "Scientific", "research only" },
        { "Apache", "keep the licence and notices with copies" },
        { "MIT", "keep the licence text with copies" },
    };

    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
        if (strstr(m->licence, terms[i].part))
            return terms[i].text;
    return NULL;
}

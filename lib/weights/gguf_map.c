/*
 * gguf_map.c - architectures and names of GGUF and of checkpoints
 *
 * Two tables: what an architecture is called on both sides, and what its
 * tensors are. Where values differ (rows of q and k in another order, norms
 * with 1 added) a tensor gets a copy with the checkpoint's values when a file
 * is opened; everything else stays mapped.
 */
#include "weights/gguf_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Sets of names. */
enum {
    NAMES_LLAMA = 1,
    NAMES_PHI = 2,
    NAMES_PHI3 = 4,
    NAMES_GEMMA = 8,
    NAMES_OLMO2 = 16,
    NAMES_ALL = 31,
};

/* The first of one name wins when written: mistral is read as llama. */
static const struct gguf_arch archs[] = {
    { "llama", "llama", "LlamaForCausalLM", GGUF_PERMUTED, NAMES_LLAMA },
    { "llama", "mistral", "MistralForCausalLM", GGUF_PERMUTED, NAMES_LLAMA },
    { "qwen2", "qwen2", "Qwen2ForCausalLM", 0, NAMES_LLAMA },
    { "qwen3", "qwen3", "Qwen3ForCausalLM", 0, NAMES_LLAMA },
    { "phi2", "phi", "PhiForCausalLM", 0, NAMES_PHI },
    { "phi3", "phi3", "Phi3ForCausalLM", 0, NAMES_PHI3 },
    { "gemma2", "gemma2", "Gemma2ForCausalLM", GGUF_SHIFTED, NAMES_GEMMA },
    { "gemma3", "gemma3_text", "Gemma3ForCausalLM", GGUF_SHIFTED, NAMES_GEMMA },
    { "granite", "granite", "GraniteForCausalLM", GGUF_PERMUTED, NAMES_LLAMA },
    { "olmo2", "olmo2", "Olmo2ForCausalLM", 0, NAMES_OLMO2 },
    { "smollm3", "smollm3", "SmolLM3ForCausalLM", GGUF_PERMUTED, NAMES_LLAMA },
};
#define ARCHS (sizeof(archs) / sizeof(archs[0]))

static const struct name {
    const char *gguf, *checkpoint;
    unsigned sets;
} top_names[] = {
    { "token_embd", "model.embed_tokens", NAMES_ALL },
    { "output_norm", "model.norm", NAMES_ALL & ~NAMES_PHI },
    { "output_norm", "model.final_layernorm", NAMES_PHI },
    { "output", "lm_head", NAMES_ALL },
}, layer_names[] = {
    { "attn_q", "self_attn.q_proj", NAMES_ALL & ~NAMES_PHI3 },
    { "attn_k", "self_attn.k_proj", NAMES_ALL & ~NAMES_PHI3 },
    { "attn_v", "self_attn.v_proj", NAMES_ALL & ~NAMES_PHI3 },
    { "attn_qkv", "self_attn.qkv_proj", NAMES_PHI3 },
    { "attn_output", "self_attn.o_proj", NAMES_ALL & ~NAMES_PHI },
    { "attn_output", "self_attn.dense", NAMES_PHI },
    { "attn_q_norm", "self_attn.q_norm", NAMES_ALL },
    { "attn_k_norm", "self_attn.k_norm", NAMES_ALL },
    { "attn_norm", "input_layernorm", NAMES_ALL & ~NAMES_OLMO2 },
    { "ffn_norm", "post_attention_layernorm", NAMES_LLAMA | NAMES_PHI3 },
    { "ffn_norm", "pre_feedforward_layernorm", NAMES_GEMMA },
    { "post_attention_norm", "post_attention_layernorm",
      NAMES_GEMMA | NAMES_OLMO2 },
    { "post_ffw_norm", "post_feedforward_layernorm",
      NAMES_GEMMA | NAMES_OLMO2 },
    { "ffn_gate", "mlp.gate_proj", NAMES_ALL & ~(NAMES_PHI | NAMES_PHI3) },
    { "ffn_up", "mlp.up_proj", NAMES_ALL & ~(NAMES_PHI | NAMES_PHI3) },
    { "ffn_up", "mlp.gate_up_proj", NAMES_PHI3 },
    { "ffn_up", "mlp.fc1", NAMES_PHI },
    { "ffn_down", "mlp.down_proj", NAMES_ALL & ~NAMES_PHI },
    { "ffn_down", "mlp.fc2", NAMES_PHI },
};
#define TOP_NAMES (sizeof(top_names) / sizeof(top_names[0]))
#define LAYER_NAMES (sizeof(layer_names) / sizeof(layer_names[0]))

const struct gguf_arch *gguf_arch_find(struct slice name)
{
    for (size_t i = 0; i < ARCHS; i++)
        if (slice_is(name, archs[i].name))
            return &archs[i];
    return NULL;
}

const struct gguf_arch *gguf_arch_of_type(const char *model_type)
{
    for (size_t i = 0; i < ARCHS; i++)
        if (strcmp(model_type, archs[i].type) == 0)
            return &archs[i];
    return NULL;
}

int64_t gguf_gemma_scale(const struct gguf_arch *a, int64_t layers,
                         int64_t hidden, int64_t heads, int64_t head_dim)
{
    int64_t of_27b = strcmp(a->name, "gemma2") == 0 ? 46 : 62;

    return layers == of_27b && heads > 0 ? hidden / heads : head_dim;
}

/* The other name of `name` (n bytes), which stands on the side `from`. */
static const char *other_name(const struct name *list, size_t count,
                              unsigned sets, bool from_gguf, const char *name,
                              size_t n)
{
    for (size_t i = 0; i < count; i++) {
        const char *here = from_gguf ? list[i].gguf : list[i].checkpoint;

        if (list[i].sets & sets && strlen(here) == n &&
            memcmp(here, name, n) == 0)
            return from_gguf ? list[i].checkpoint : list[i].gguf;
    }
    return NULL;
}

/* "PREFIX.N.rest" -> N and rest; false if it is no such name. */
static bool split_layer(const char *name, const char *prefix, unsigned *layer,
                        const char **rest)
{
    size_t n = strlen(prefix), digits;

    if (strncmp(name, prefix, n) != 0)
        return false;
    digits = strspn(name + n, "0123456789");
    if (digits == 0 || digits > 6 || name[n + digits] != '.')
        return false;
    *layer = (unsigned)strtoul(name + n, NULL, 10);
    *rest = name + n + digits + 1;
    return true;
}

static char *translate(const struct gguf_arch *a, const char *name,
                       bool from_gguf)
{
    const char *end = strrchr(name, '.'), *rest, *other;
    unsigned layer;

    if (!end || (strcmp(end, ".weight") != 0 && strcmp(end, ".bias") != 0))
        return NULL;
    if (split_layer(name, from_gguf ? "blk." : "model.layers.", &layer,
                    &rest)) {
        if (rest > end)
            return NULL;
        other = other_name(layer_names, LAYER_NAMES, a->names, from_gguf, rest,
                           (size_t)(end - rest));
        return other ? mem_printf("%s%u.%s%s",
                                  from_gguf ? "model.layers." : "blk.", layer,
                                  other, end)
                     : NULL;
    }
    other = other_name(top_names, TOP_NAMES, a->names, from_gguf, name,
                       (size_t)(end - name));
    return other ? mem_printf("%s%s", other, end) : NULL;
}

char *gguf_name_to_checkpoint(const struct gguf_arch *a, const char *name)
{
    return translate(a, name, true);
}

char *gguf_name_from_checkpoint(const struct gguf_arch *a, const char *name)
{
    return translate(a, name, false);
}

bool gguf_is_permuted(const struct gguf_arch *a, const char *name, bool *key)
{
    *key = strstr(name, ".attn_k.") || strstr(name, ".k_proj.");
    return a->quirks & GGUF_PERMUTED &&
           (*key || strstr(name, ".attn_q.") || strstr(name, ".q_proj."));
}

bool gguf_is_shifted(const struct gguf_arch *a, const char *name)
{
    size_t n = strlen(name);

    return a->quirks & GGUF_SHIFTED && n > 11 &&
           strcmp(name + n - 11, "norm.weight") == 0;
}

/* hd rows a head: row 2 i + j there is row j hd / 2 + i here. */
static void move_rows(const void *from, void *to, size_t rows, size_t bytes,
                      size_t heads, bool to_pairs)
{
    size_t dim = rows / heads;

    for (size_t r = 0; r < rows; r++) {
        size_t i = r % dim / 2, j = r % 2;
        size_t half = r - r % dim + j * (dim / 2) + i;
        size_t source = to_pairs ? half : r, target = to_pairs ? r : half;

        memcpy((char *)to + target * bytes, (const char *)from + source * bytes,
               bytes);
    }
}

void gguf_unpermute(const void *from, void *to, size_t rows, size_t bytes,
                    size_t heads)
{
    move_rows(from, to, rows, bytes, heads, false);
}

void gguf_permute(const void *from, void *to, size_t rows, size_t bytes,
                  size_t heads)
{
    move_rows(from, to, rows, bytes, heads, true);
}

static int own_data(struct gguf *g, size_t bytes, const char *name, void **out,
                    struct err *err)
{
    int rc = mem_try_array(out, bytes, 1, name, err);

    if (rc < 0)
        return rc;
    mem_grow((void **)&g->owned, &g->owned_cap, g->owned_count + 1,
             sizeof(*g->owned));
    g->owned[g->owned_count++] = *out;
    return ERR_OK;
}

static int unpermute(struct gguf *g, struct weights_tensor *t, bool key,
                     struct err *err)
{
    const struct gguf_entry *e = gguf_find_own(g, "attention.head_count_kv");
    int64_t heads;
    void *to;
    int rc;

    if (!key || !e)
        e = gguf_find_own(g, "attention.head_count");
    if (!gguf_int(e, &heads) || heads < 1 || t->dims < 1 || t->shape[0] < 1 ||
        t->shape[0] % (2 * heads) != 0)
        return err_set(err, ERR_FORMAT,
                       "tensor \"%s\": its rows do not fit "
                       "attention.head_count",
                       t->name);
    rc = own_data(g, t->bytes, t->name, &to, err);
    if (rc < 0)
        return rc;
    gguf_unpermute(t->data, to, (size_t)t->shape[0],
                   t->bytes / (size_t)t->shape[0], (size_t)heads);
    t->data = to;
    return ERR_OK;
}

static int unshift(struct gguf *g, struct weights_tensor *t, struct err *err)
{
    size_t n = (size_t)weights_elements(t);
    void *to;
    float *x;
    int rc = own_data(g, n * sizeof(float), t->name, &to, err);

    if (rc == ERR_OK)
        rc = weights_to_f32(t, to, err);
    if (rc < 0)
        return rc;
    x = to;
    for (size_t i = 0; i < n; i++)
        x[i] -= 1;
    t->type = WEIGHTS_F32;
    t->data = to;
    t->bytes = n * sizeof(float);
    return ERR_OK;
}

static int adopt_tensor(struct gguf *g, struct weights_tensor *t,
                        struct err *err)
{
    char *name = gguf_name_to_checkpoint(g->arch, t->name);
    bool key;

    if (!name)
        return ERR_OK;
    free((void *)(uintptr_t)t->name);
    t->name = name;
    if (gguf_is_permuted(g->arch, name, &key))
        return unpermute(g, t, key, err);
    return gguf_is_shifted(g->arch, name) ? unshift(g, t, err) : ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;

    return strcmp(x->name, y->name);
}

bool gguf_is_adapter(const struct gguf *g)
{
    return slice_is(gguf_string(gguf_find(g, "general.type"), 0), "adapter");
}

int gguf_adopt(struct weights_file *f, struct err *err)
{
    struct gguf *g = f->gguf;
    size_t kept = 0;
    int rc = ERR_OK;

    g->arch =
        gguf_arch_find(gguf_string(gguf_find(g, "general.architecture"), 0));
    if (!g->arch || gguf_is_adapter(g))
        return ERR_OK;
    g->aside = mem_array(f->count, sizeof(*g->aside));
    for (size_t i = 0; i < f->count; i++) {
        if (strncmp(f->tensors[i].name, "rope_f", 6) == 0)
            g->aside[g->aside_count++] = f->tensors[i];
        else
            f->tensors[kept++] = f->tensors[i];
    }
    f->count = kept;
    for (size_t i = 0; i < f->count && rc == ERR_OK; i++)
        rc = adopt_tensor(g, &f->tensors[i], err);
    qsort(f->tensors, f->count, sizeof(*f->tensors), by_name);
    return rc;
}

const struct weights_tensor *gguf_aside(const struct gguf *g, const char *name)
{
    for (size_t i = 0; i < g->aside_count; i++)
        if (strcmp(g->aside[i].name, name) == 0)
            return &g->aside[i];
    return NULL;
}

/*
 * gguf_names.c - architectures and names of GGUF and of checkpoints
 *
 * Two tables: what an architecture is called on both sides, and what its
 * tensors are, with the form in which GGUF keeps them. gguf_map.c gives them
 * the checkpoint's values.
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
    NAMES_GRANITE = 32, /* hybrid: Llama's with one tensor for gate and up */
    NAMES_FALCON = 64,
    NAMES_LFM2 = 128,
    NAMES_NEMOTRON = 256,
    NAMES_MAMBA = NAMES_GRANITE | NAMES_FALCON,
    NAMES_ALL = 511,
    NAMES_OWN = NAMES_LFM2 | NAMES_NEMOTRON, /* little like the others' */
};

#define HYBRID GGUF_HYBRID

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
    { "nemotron_h", "nemotron_h", "NemotronHForCausalLM", HYBRID,
      NAMES_NEMOTRON },
    { "granitehybrid", "granitemoehybrid", "GraniteMoeHybridForCausalLM",
      HYBRID | GGUF_PERMUTED, NAMES_GRANITE },
    { "granite", "granitemoehybrid", "GraniteForCausalLM", GGUF_PERMUTED,
      NAMES_GRANITE },
    { "lfm2", "lfm2", "Lfm2ForCausalLM", HYBRID, NAMES_LFM2 },
    { "falcon-h1", "falcon_h1", "FalconH1ForCausalLM", HYBRID, NAMES_FALCON },
};
#define ARCHS (sizeof(archs) / sizeof(archs[0]))

#define WHOLE true /* the names say .weight or .bias themselves, or neither */

static const struct name {
    const char *gguf, *checkpoint;
    unsigned sets;
    enum gguf_form form;
    bool whole;
} top_names[] = {
    { "token_embd", "model.embed_tokens", NAMES_ALL & ~NAMES_NEMOTRON },
    { "token_embd", "backbone.embeddings", NAMES_NEMOTRON },
    { "output_norm", "model.norm",
      NAMES_ALL & ~(NAMES_PHI | NAMES_FALCON | NAMES_OWN) },
    { "output_norm", "model.final_layernorm", NAMES_PHI | NAMES_FALCON },
    { "output_norm", "backbone.norm_f", NAMES_NEMOTRON },
    { "token_embd_norm", "model.embedding_norm", NAMES_LFM2 }, /* as named */
    { "output", "lm_head", NAMES_ALL },
}, layer_names[] = {
    { "attn_q", "self_attn.q_proj", NAMES_ALL & ~(NAMES_PHI3 | NAMES_NEMOTRON) },
    { "attn_k", "self_attn.k_proj", NAMES_ALL & ~(NAMES_PHI3 | NAMES_NEMOTRON) },
    { "attn_v", "self_attn.v_proj", NAMES_ALL & ~(NAMES_PHI3 | NAMES_NEMOTRON) },
    { "attn_qkv", "self_attn.qkv_proj", NAMES_PHI3 },
    { "attn_output", "self_attn.o_proj", NAMES_ALL & ~(NAMES_PHI | NAMES_OWN) },
    { "attn_output", "self_attn.dense", NAMES_PHI },
    { "attn_q_norm", "self_attn.q_norm", NAMES_ALL & ~NAMES_OWN },
    { "attn_k_norm", "self_attn.k_norm", NAMES_ALL & ~NAMES_OWN },
    { "attn_norm", "input_layernorm", NAMES_ALL & ~(NAMES_OLMO2 | NAMES_OWN) },
    { "ffn_norm", "post_attention_layernorm",
      NAMES_LLAMA | NAMES_PHI3 | NAMES_GRANITE },
    { "ffn_norm", "pre_feedforward_layernorm", NAMES_GEMMA },
    { "post_attention_norm", "post_attention_layernorm",
      NAMES_GEMMA | NAMES_OLMO2 },
    { "post_ffw_norm", "post_feedforward_layernorm",
      NAMES_GEMMA | NAMES_OLMO2 },
    { "ffn_gate", "mlp.gate_proj",
      NAMES_LLAMA | NAMES_GEMMA | NAMES_OLMO2 },
    { "ffn_up", "mlp.up_proj", NAMES_LLAMA | NAMES_GEMMA | NAMES_OLMO2 },
    { "ffn_up", "mlp.gate_up_proj", NAMES_PHI3 },
    { "ffn_up", "mlp.fc1", NAMES_PHI },
    { "ffn_down", "mlp.down_proj",
      NAMES_LLAMA | NAMES_GEMMA | NAMES_OLMO2 | NAMES_PHI3 },
    { "ffn_down", "mlp.fc2", NAMES_PHI },
    /* Granite 4 */
    { "ffn_gate", "shared_mlp.input_linear", NAMES_GRANITE, GGUF_FIRST_HALF },
    { "ffn_up", "shared_mlp.input_linear", NAMES_GRANITE, GGUF_SECOND_HALF },
    { "ffn_down", "shared_mlp.output_linear", NAMES_GRANITE },
    /* Falcon-H1 */
    { "ffn_norm", "pre_ff_layernorm.weight", NAMES_FALCON, 0, WHOLE },
    { "ffn_gate", "feed_forward.gate_proj", NAMES_FALCON },
    { "ffn_up", "feed_forward.up_proj", NAMES_FALCON },
    { "ffn_down", "feed_forward.down_proj", NAMES_FALCON },
    /* Mamba-2 */
    { "ssm_in", "mamba.in_proj", NAMES_MAMBA },
    { "ssm_out", "mamba.out_proj", NAMES_MAMBA },
    { "ssm_conv1d.weight", "mamba.conv1d.weight", NAMES_MAMBA, GGUF_CONV,
      WHOLE },
    { "ssm_conv1d.bias", "mamba.conv1d.bias", NAMES_MAMBA, 0, WHOLE },
    { "ssm_dt.bias", "mamba.dt_bias", NAMES_MAMBA, 0, WHOLE },
    { "ssm_a", "mamba.A_log", NAMES_MAMBA, GGUF_DECAY, WHOLE },
    { "ssm_d", "mamba.D", NAMES_MAMBA, GGUF_COLUMN, WHOLE },
    { "ssm_norm.weight", "mamba.norm.weight", NAMES_MAMBA, GGUF_GROUPS, WHOLE },
    { "ssm_in", "mixer.in_proj", NAMES_NEMOTRON },
    { "ssm_out", "mixer.out_proj", NAMES_NEMOTRON },
    { "ssm_conv1d.weight", "mixer.conv1d.weight", NAMES_NEMOTRON, GGUF_CONV,
      WHOLE },
    { "ssm_conv1d.bias", "mixer.conv1d.bias", NAMES_NEMOTRON, 0, WHOLE },
    { "ssm_dt.bias", "mixer.dt_bias", NAMES_NEMOTRON, 0, WHOLE },
    { "ssm_a", "mixer.A_log", NAMES_NEMOTRON, GGUF_DECAY, WHOLE },
    { "ssm_d", "mixer.D", NAMES_NEMOTRON, GGUF_COLUMN, WHOLE },
    { "ssm_norm.weight", "mixer.norm.weight", NAMES_NEMOTRON, GGUF_GROUPS,
      WHOLE },
    /* Nemotron-H */
    { "attn_norm", "norm", NAMES_NEMOTRON },
    { "attn_q", "mixer.q_proj", NAMES_NEMOTRON },
    { "attn_k", "mixer.k_proj", NAMES_NEMOTRON },
    { "attn_v", "mixer.v_proj", NAMES_NEMOTRON },
    { "attn_output", "mixer.o_proj", NAMES_NEMOTRON },
    { "ffn_up", "mixer.up_proj", NAMES_NEMOTRON },
    { "ffn_down", "mixer.down_proj", NAMES_NEMOTRON },
    /* LFM2 */
    { "attn_norm", "operator_norm", NAMES_LFM2 },
    { "ffn_norm", "ffn_norm", NAMES_LFM2 },
    { "attn_output", "self_attn.out_proj", NAMES_LFM2 },
    { "attn_q_norm", "self_attn.q_layernorm", NAMES_LFM2 },
    { "attn_k_norm", "self_attn.k_layernorm", NAMES_LFM2 },
    { "ffn_gate", "feed_forward.w1", NAMES_LFM2 },
    { "ffn_up", "feed_forward.w3", NAMES_LFM2 },
    { "ffn_down", "feed_forward.w2", NAMES_LFM2 },
    { "shortconv.in_proj", "conv.in_proj", NAMES_LFM2 },
    { "shortconv.out_proj", "conv.out_proj", NAMES_LFM2 },
    { "shortconv.conv.weight", "conv.conv.weight", NAMES_LFM2, GGUF_CONV,
      WHOLE },
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

const struct gguf_arch *gguf_arch_of_attention(const struct gguf_arch *a)
{
    for (size_t i = 0; i < ARCHS; i++)
        if (strcmp(a->type, archs[i].type) == 0 &&
            !(archs[i].quirks & GGUF_HYBRID))
            return &archs[i];
    return NULL;
}

/* The entry for `name`, which stands on the side from_gguf; *suffix: what
 * follows its name, ".weight", ".bias" or nothing. */
static const struct name *find_name(const struct name *list, size_t count,
                                    unsigned sets, bool from_gguf,
                                    const char *name, const char **suffix)
{
    const char *end = strrchr(name, '.');
    size_t all = strlen(name), n = end ? (size_t)(end - name) : 0;

    if (end && strcmp(end, ".weight") != 0 && strcmp(end, ".bias") != 0)
        n = 0;
    for (size_t i = 0; i < count; i++) {
        const char *here = from_gguf ? list[i].gguf : list[i].checkpoint;
        size_t want = list[i].whole ? all : n;

        if (list[i].sets & sets && want && strlen(here) == want &&
            memcmp(here, name, want) == 0) {
            *suffix = name + want;
            return &list[i];
        }
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

static const char *layers_of(const struct gguf_arch *a)
{
    return a->names & NAMES_NEMOTRON ? "backbone.layers." : "model.layers.";
}

char *gguf_name_to_checkpoint(const struct gguf_arch *a, const char *name,
                              enum gguf_form *form)
{
    const char *rest, *suffix;
    const struct name *e;
    unsigned layer;

    *form = GGUF_SAME;
    if (!split_layer(name, "blk.", &layer, &rest)) {
        e = find_name(top_names, TOP_NAMES, a->names, true, name, &suffix);
        return e ? mem_printf("%s%s", e->checkpoint, suffix) : NULL;
    }
    e = find_name(layer_names, LAYER_NAMES, a->names, true, rest, &suffix);
    if (!e)
        return NULL;
    *form = e->form;
    return mem_printf("%s%u.%s%s", layers_of(a), layer, e->checkpoint, suffix);
}

char *gguf_name_from_checkpoint(const struct gguf_arch *a, const char *name,
                                enum gguf_form *form)
{
    const char *rest, *suffix;
    const struct name *e;
    unsigned layer;

    *form = GGUF_SAME;
    if (!split_layer(name, layers_of(a), &layer, &rest) &&
        !split_layer(name, "model.layers.", &layer, &rest)) {
        e = find_name(top_names, TOP_NAMES, a->names, false, name, &suffix);
        return e ? mem_printf("%s%s", e->gguf, suffix) : NULL;
    }
    e = find_name(layer_names, LAYER_NAMES, a->names, false, rest, &suffix);
    if (!e)
        return NULL;
    *form = e->form;
    return mem_printf("blk.%u.%s%s", layer, e->gguf, suffix);
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

int64_t gguf_gemma_scale(const struct gguf_arch *a, int64_t layers,
                         int64_t hidden, int64_t heads, int64_t head_dim)
{
    int64_t of_27b = strcmp(a->name, "gemma2") == 0 ? 46 : 62;

    return layers == of_27b && heads > 0 ? hidden / heads : head_dim;
}

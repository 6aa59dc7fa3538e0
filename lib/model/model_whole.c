/*
 * model_whole.c - the text part of a model that sees images, too
 *
 * Such a model's config.json has its decoder's under "text_config" and may
 * leave what the whole's class takes for granted out of it; its files have the
 * decoder beside other weights. The decoder alone is computed, and written
 * again as a model of its own; no image is ever seen here.
 */
#include "base/mem.h"
#include "model/model_family.h"

#include <stdlib.h>
#include <string.h>

static const struct model_whole wholes[] = {
    { "Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM", "model", "" },
    { "Gemma3ForConditionalGeneration", "Gemma3ForCausalLM",
      "model.language_model",
      "\"vocab_size\":262208,\"num_attention_heads\":8,"
      "\"num_key_value_heads\":4,\"head_dim\":256,"
      "\"max_position_embeddings\":131072,\"query_pre_attn_scalar\":256,"
      "\"sliding_window\":4096,\"rms_norm_eps\":1e-6," },
    { "Mistral3ForConditionalGeneration", "MistralForCausalLM",
      "model.language_model",
      "\"vocab_size\":32000,\"num_attention_heads\":32,"
      "\"num_key_value_heads\":8,\"max_position_embeddings\":131072," },
};
#define TIED "tie_word_embeddings" /* the whole's word counts */
#define WHOLES (sizeof(wholes) / sizeof(wholes[0]))

const struct model_whole *model_whole_at(size_t i)
{
    return i < WHOLES ? &wholes[i] : NULL;
}

const struct model_whole *model_whole_find(const char *architecture)
{
    for (size_t i = 0; i < WHOLES; i++)
        if (strcmp(wholes[i].architecture, architecture) == 0)
            return &wholes[i];
    return NULL;
}

static bool has(const struct json *j, json_ref object, const char *key)
{
    json_ref v = json_get(j, object, key);

    return json_present(v) && !json_is(j, v, JSON_NULL);
}

/* The members of `defaults` that text lacks: `"name":value,` one another after.
 */
static void put_defaults(const struct json *j, json_ref text,
                         const char *defaults, struct buf *out)
{
    while (*defaults) {
        size_t n = strcspn(defaults, ",") + 1;
        size_t end = strcspn(defaults + 1, "\"");
        char *key = mem_strndup(defaults + 1, end);

        if (!has(j, text, key))
            buf_add(out, defaults, n);
        free(key);
        defaults += n;
    }
}

void model_whole_config(const struct model_whole *w, const struct json *j,
                        struct buf *out)
{
    static const char *const shared[] = {
        "dtype",        "torch_dtype", "bos_token_id",       "eos_token_id",
        "pad_token_id", TIED,          "quantization_config"
    };
    json_ref text = json_get(j, 0, "text_config");

    buf_printf(out, "{\"architectures\":[\"%s\"],", w->text);
    put_defaults(j, text, w->defaults, out);
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
        if (has(j, 0, shared[i]) &&
            (!has(j, text, shared[i]) || strcmp(shared[i], TIED) == 0)) {
            buf_printf(out, "\"%s\":", shared[i]);
            buf_add_slice(out, json_raw(j, json_get(j, 0, shared[i])));
            buf_char(out, ',');
        }
    for (json_ref e = json_first(j, text); e != JSON_NONE;
         e = json_next(j, text, e)) {
        if (json_text_is(j, json_key(j, e), "architectures") ||
            json_is(j, e, JSON_NULL) ||
            (json_text_is(j, json_key(j, e), TIED) && has(j, 0, TIED)))
            continue;
        buf_add_slice(out, json_raw(j, json_key(j, e)));
        buf_char(out, ':');
        buf_add_slice(out, json_raw(j, e));
        buf_char(out, ',');
    }
    buf_str(out, "\"part\":true}");
}

bool model_whole_beside(const char *tensor)
{
    static const char *const prefixes[] = {
        "vision_tower.", "model.vision_tower.",
        "vision_model.", "multi_modal_projector.",
        "visual.",       "model.visual.",
        "mtp.",          "model.multi_modal_projector.",
    };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(tensor, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

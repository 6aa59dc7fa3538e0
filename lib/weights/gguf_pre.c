/*
 * gguf_pre.c - how byte-level tokenizers of GGUF files split text
 *
 * The files have a name for it ("tokenizer.ggml.pre"), and the software that
 * reads them a list of patterns for each; one that is not here is refused by
 * that name.
 */
#include "weights/gguf_build.h"
#include "weights/gguf_tokenizer.h"

#include <string.h>

#define CL100K(digits)                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits       \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HIGH "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(suffix, digits)                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" HIGH "*" LOW "+" suffix                           \
    "|[^\\r\\n\\p{L}\\p{N}]?" HIGH "+" LOW "*" suffix "|" digits               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define GPT2                                                                   \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"        \
    "|\\s+(?!\\S)|\\s+"
#define ASCII_SIGN "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define SENTENCES                                                              \
    " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}"      \
    "\\x{060C})]+"
#define IDEOGRAPHS                                                             \
    "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

/* Pieces of one pattern are cut further by the next. */
static const char *const falcon[] = { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2,
                                      "[0-9][0-9][0-9]", NULL };
static const char *const plain[] = { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2,
                                     "\\p{N}+", "[0-9][0-9][0-9]", NULL };
static const char *const deepseek_coder[] = { "[\\r\\n]",    "\\s?\\p{L}+",
                                              "\\s?\\p{P}+", IDEOGRAPHS,
                                              "\\p{N}",      NULL };
static const char *const deepseek3[] = {
    "\\p{N}{1,3}",
    "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
    ASCII_SIGN "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
               "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const sentences[] = { SENTENCES, NULL };
static const char *const viking[] = { SENTENCES, "\\p{N}", NULL };
static const char *const bailing[] = {
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    NULL
};
static const char *const seed_coder[] = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    NULL
};

enum {
    DIGITS = 1, /* each apart */
    NFC = 2,
    WHOLE = 4, /* words of the vocabulary are not merged */
    BOS = 8,
};

/* regex NULL: GPT-2's, or the list. */
static const struct gguf_pre pres[] = {
    { "gpt-2", NULL, NULL, 0 },
    { "phi-2", NULL, NULL, 0 },
    { "smollm", NULL, NULL, DIGITS },
    { "starcoder", NULL, NULL, DIGITS },
    { "refact", NULL, NULL, DIGITS },
    { "qwen2", CL100K("\\p{N}"), NULL, NFC },
    { "deepseek-r1-qwen", CL100K("\\p{N}"), NULL, NFC },
    { "llama-bpe", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "llama3", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "dbrx", CL100K("\\p{N}{1,3}"), NULL, 0 },
    { "gpt-4", CL100K("\\p{N}{1,3}"), NULL, 0 },
    { "smaug-bpe", CL100K("\\p{N}{1,3}"), NULL, 0 },
    { "tekken", CASED("", "\\p{N}"), NULL, WHOLE | BOS },
    { "gpt-4o", CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"), NULL,
      0 },
    { "llama4", CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"), NULL,
      0 },
    { "llama-v3", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "falcon3", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "falcon-h1", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "pixtral", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "midm-2.0", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "lfm2", CL100K("\\p{N}{1,3}"), NULL, WHOLE | BOS },
    { "glm4", CL100K("\\p{N}{1,3}"), NULL, 0 },
    { "chatglm-bpe", CL100K("\\p{N}{1,3}"), NULL, 0 },
    { "stablelm2", CL100K("\\p{N}"), NULL, 0 },
    { "hunyuan", CL100K("\\p{N}"), NULL, 0 },
    { "megrez", CL100K("\\p{N}"), NULL, 0 },
    { "grok-2", CL100K("\\p{N}"), NULL, 0 },
    { "jina-es", NULL, NULL, 0 },
    { "jina-de", NULL, NULL, 0 },
    { "jina-v2-es", NULL, NULL, 0 },
    { "jina-v2-de", NULL, NULL, 0 },
    { "gigachat", NULL, NULL, 0 },
    { "a.x-4.0", NULL, NULL, 0 },
    { "mellum", NULL, NULL, 0 },
    { "mpt", NULL, NULL, 0 },
    { "olmo", NULL, NULL, 0 },
    { "jais", NULL, NULL, 0 },
    { "exaone4", NULL, NULL, 0 },
    { "trillion", NULL, NULL, 0 },
    { "granite-docling", NULL, NULL, 0 },
    { "command-r", NULL, NULL, DIGITS },
    { "codeshell", NULL, NULL, DIGITS },
    { "exaone", NULL, NULL, DIGITS },
    { "minerva-7b", NULL, NULL, DIGITS },
    { "default", NULL, plain, 0 },
    { "falcon", NULL, falcon, 0 },
    { "deepseek-coder", NULL, deepseek_coder, 0 },
    { "deepseek-v3", NULL, deepseek3, 0 },
    { "hunyuan-dense", NULL, deepseek3, 0 },
    { "poro-chat", NULL, sentences, 0 },
    { "bloom", NULL, sentences, 0 },
    { "gpt3-finnish", NULL, sentences, 0 },
    { "viking", NULL, viking, 0 },
    { "bailingmoe", NULL, bailing, 0 },
    { "bailingmoe2", NULL, bailing, 0 },
    { "llada-moe", NULL, bailing, 0 },
    { "seed-coder", NULL, seed_coder, 0 },
};
#define PRES (sizeof(pres) / sizeof(pres[0]))

const struct gguf_pre *gguf_pre_find(struct slice name)
{
    for (size_t i = 0; i < PRES; i++)
        if (slice_is(name, pres[i].name))
            return &pres[i];
    return NULL;
}

bool gguf_pre_keeps_words(const struct gguf_pre *pre)
{
    return pre->flags & WHOLE;
}

bool gguf_pre_adds_bos(const struct gguf_pre *pre)
{
    return pre->flags & BOS;
}

const char *gguf_pre_name(struct slice regex, bool digits, bool ignore_merges)
{
    for (int strict = 1; strict >= 0; strict--)
        for (size_t i = 0; i < PRES; i++)
            if (!pres[i].list && slice_eq(regex, slice_of(pres[i].regex)) &&
                !(pres[i].flags & DIGITS) == !digits &&
                (!strict || !(pres[i].flags & WHOLE) == !ignore_merges))
                return pres[i].name;
    return NULL;
}

static void put_split(struct tokenizer_out *t, const char *regex)
{
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", "Split");
    json_begin_object(&t->w, "pattern");
    json_put_string(&t->w, "Regex", regex);
    json_end_object(&t->w);
    json_put_string(&t->w, "behavior", "Isolated");
    json_put_bool(&t->w, "invert", false);
    json_end_object(&t->w);
}

static void put_byte_level(struct tokenizer_out *t, const char *key,
                           bool use_regex)
{
    json_begin_object(&t->w, key);
    json_put_string(&t->w, "type", "ByteLevel");
    json_put_bool(&t->w, "add_prefix_space", false);
    json_put_bool(&t->w, "trim_offsets", true);
    json_put_bool(&t->w, "use_regex", use_regex);
    json_end_object(&t->w);
}

void gguf_put_byte_level(struct tokenizer_out *t)
{
    const char *const *list = t->pre->list;

    if (t->pre->flags & NFC) {
        json_begin_object(&t->w, "normalizer");
        json_put_string(&t->w, "type", "NFC");
        json_end_object(&t->w);
    }
    json_begin_object(&t->w, "pre_tokenizer");
    json_put_string(&t->w, "type", "Sequence");
    json_begin_array(&t->w, "pretokenizers");
    if (t->pre->flags & DIGITS) {
        json_begin_object(&t->w, NULL);
        json_put_string(&t->w, "type", "Digits");
        json_put_bool(&t->w, "individual_digits", true);
        json_end_object(&t->w);
    }
    if (t->pre->regex)
        put_split(t, t->pre->regex);
    for (; list && *list; list++)
        put_split(t, *list);
    put_byte_level(t, NULL, !t->pre->regex && !t->pre->list);
    json_end_array(&t->w);
    json_end_object(&t->w);
    put_byte_level(t, "decoder", true);
}

/*
 * fuzz_adapter.c - adapters of arbitrary bytes, for a small Llama
 *
 * The input is a GGUF file; or an adapter_config.json, a zero byte and an
 * adapter_model.safetensors. What is accepted must compute, and can be written
 * as GGUF or be refused.
 */
#include "compute/compute.h"
#include "memory_file.h"
#include "model/model.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define VOCAB 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\","
    "\"vocab_size\":8,\"hidden_size\":4,\"intermediate_size\":6,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":2,"
    "\"num_key_value_heads\":1,\"max_position_embeddings\":16,"
    "\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\",\"torch_dtype\":\"float32\","
    "\"tie_word_embeddings\":false}";

static struct memory_dir base;

static struct model *small_model(void)
{
    static struct compute *compute;
    static struct model_config config;
    struct model *m;
    struct err err;

    if (!compute) {
        memory_dir_put(&base, "config.json", (const uint8_t *)config_text,
                       sizeof(config_text) - 1);
        if (compute_open(
                &(struct compute_options){ .device = "cpu", .threads = 1 },
                &compute, &err) ||
            model_config_read(base.path, &config, &err))
            abort();
    }
    if (model_new(&config, compute, 1, &m, &err))
        abort();
    return m;
}

/* Every adapted layer is described, and the forward pass ends. */
static void use(struct model *m)
{
    static const int32_t ids[] = { 1, 7, 3 };
    struct model_adapted layer;
    float out[3 * VOCAB];
    struct err err;

    for (size_t i = 0; model_adapter_layer(m, i, &layer); i++)
        if (!layer.name || layer.rank < 1)
            abort();
    if (model_logits(m, ids, 3, out, &err))
        abort();
}

static void read_gguf(const uint8_t *data, size_t size)
{
    struct model *m = small_model();
    struct memory_file f;
    struct err err;

    memory_file_open(&f, data, size);
    if (!model_adapter_load(m, f.path, &err))
        use(m);
    memory_file_close(&f);
    model_free(m);
}

static void read_peft(const uint8_t *data, size_t size)
{
    static struct memory_dir d;
    struct model *m = small_model();
    const uint8_t *rest;
    size_t left, n = memory_cut(data, size, &rest, &left);
    struct err err;

    memory_dir_put(&d, "adapter_config.json", data, n);
    memory_dir_put(&d, "adapter_model.safetensors", rest, left);
    if (!model_adapter_load(m, d.path, &err)) {
        use(m);
        (void)!weights_gguf_adapter(d.path, base.path, "/dev/null", &err);
        (void)!model_adapter_merge(m, &err);
    }
    model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0)
        read_gguf(data, size);
    else
        read_peft(data, size);
    return 0;
}

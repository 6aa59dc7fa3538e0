/* fuzz_gguf.c - GGUF files of arbitrary bytes, and what their metadata give */
#include "memory_file.h"
#include "tokenizer/tokenizer.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENTS_MAX 100000
#define PART_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_values(const struct weights_tensor *t)
{
    int64_t n = weights_elements(t);
    struct err err;
    float *values;

    if (n <= 0 || n > ELEMENTS_MAX)
        return;
    values = malloc((size_t)n * sizeof(*values));
    if (values)
        (void)!weights_to_f32(t, values, &err);
    free(values);
}

static void read_part(const char *path, const char *name)
{
    struct buf text;
    struct err err;

    buf_init(&text, PART_MAX);
    (void)!weights_part(path, name, PART_MAX, &text, &err);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    struct weights *w = NULL;
    struct memory_file f;
    struct err err;

    if (size < 4 || memcmp(data, "GGUF", 4) != 0)
        return 0;
    memory_file_open(&f, data, size);
    if (!weights_open(f.path, &w, &err)) {
        for (size_t i = 0; i < weights_count(w); i++)
            read_values(weights_at(w, i));
        read_part(f.path, "config.json");
        read_part(f.path, "tokenizer_config.json");
        read_part(f.path, "chat_template.jinja");
        (void)!tokenizer_open(f.path, &t, &err);
    }
    tokenizer_free(t);
    weights_close(w);
    memory_file_close(&f);
    return 0;
}

/*
 * fuzz_weights.c - safetensors files of arbitrary bytes
 *
 * An input that begins with { is an index of shards, a zero byte and what the
 * files a.safetensors and b.safetensors hold.
 */
#include "memory_file.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENTS_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte that a tensor claims can be read. */
static void read_tensor(const struct weights_tensor *t)
{
    int64_t n = weights_elements(t);
    unsigned char sum = 0;
    struct err err;
    float *values;

    for (size_t i = 0; i < t->bytes; i++)
        sum ^= ((const unsigned char *)t->data)[i];
    *(volatile unsigned char *)&sum = sum;
    if (n <= 0 || n > ELEMENTS_MAX)
        return;
    values = malloc((size_t)n * sizeof(*values));
    if (values)
        (void)!weights_to_f32(t, values, &err);
    free(values);
}

static void read_all(const char *path)
{
    struct weights *w = NULL;
    struct err err;

    if (!weights_open(path, &w, &err)) {
        for (size_t i = 0; i < weights_count(w); i++)
            read_tensor(weights_at(w, i));
        (void)weights_find(w, "x");
        (void)weights_metadata(w, "format");
    }
    weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_dir d;
    struct memory_file f;
    const uint8_t *rest;
    size_t left, n;

    if (size && data[0] == '{') {
        n = memory_cut(data, size, &rest, &left);
        memory_dir_put(&d, "model.safetensors.index.json", data, n);
        memory_dir_put(&d, "a.safetensors", rest, left);
        memory_dir_put(&d, "b.safetensors", rest, left);
        read_all(d.path);
    } else {
        memory_file_open(&f, data, size);
        read_all(f.path);
        memory_file_close(&f);
    }
    return 0;
}

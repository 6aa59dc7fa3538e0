/*
 * fuzz_model_config.c - config.json of arbitrary bytes
 *
 * Read, or refused; what was read is written and read again as the same. An
 * encoder's has a reader of its own, which ends where weights would be.
 */
#include "compute/compute.h"
#include "memory_file.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_encoder(const uint8_t *data, size_t size)
{
    static struct memory_dir d;
    static struct compute *compute;
    const struct compute_options opt = { .device = "cpu", .threads = 1 };
    struct model_encoder *e;
    struct err err;

    if (!compute && compute_open(&opt, &compute, &err))
        abort();
    memory_dir_put(&d, "config.json", data, size);
    if (model_encoder_is(d.path) &&
        !model_encoder_open(d.path, compute, &e, &err))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config a, b;
    struct memory_file f;
    struct buf text = { .data = NULL };
    struct err err;

    memory_file_open(&f, data, size);
    if (model_config_read(f.path, &a, &err) == 0) {
        struct memory_file again;

        model_config_write(&a, WEIGHTS_F32, &text);
        memory_file_open(&again, (const uint8_t *)text.data, text.len);
        if (model_config_read(again.path, &b, &err) < 0 ||
            model_config_parameters(&a) != model_config_parameters(&b) ||
            a.eos_count != b.eos_count || a.rope != b.rope)
            abort();
        memory_file_close(&again);
        buf_release(&text);
    }
    memory_file_close(&f);
    if (memmem(data, size, "ert", 3))
        read_encoder(data, size);
    return 0;
}

/* fuzz_model_config.c - config.json of arbitrary bytes: read, or refused; what
 * was read is written and read again as the same */
#include "memory_file.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    return 0;
}

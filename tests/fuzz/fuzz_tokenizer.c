/* fuzz_tokenizer.c - tokenizer.json of arbitrary bytes, then its use */
#include "memory_file.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct tokenizer *t, struct slice text)
{
    struct token_list ids = { 0 }, offsets = { 0 };
    struct buf out = { .data = NULL };
    struct err err;

    if (!tokenizer_encode(t, text, TOKENIZER_SPECIAL, &ids, &offsets, &err))
        tokenizer_decode(t, ids.ids, ids.count, false, &out);
    token_list_release(&ids);
    token_list_release(&offsets);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    struct memory_file f;
    struct err err;
    size_t n = size < 256 ? size : 256;

    memory_file_open(&f, data, size);
    if (!tokenizer_open(f.path, &t, &err)) {
        use(t, slice_of(" Hello wörld 123\n\n  <s> don't"));
        use(t, (struct slice){ (const char *)data + size - n, n });
        (void)tokenizer_id(t, "a");
        (void)tokenizer_token(t, 0);
    }
    tokenizer_free(t);
    memory_file_close(&f);
    return 0;
}

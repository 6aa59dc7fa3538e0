/*
 * gguf_specials.c - the special tokens that a chat template reads by name
 *
 * The metadata give ids; tokenizer_config.json, whose place this takes, gives
 * texts.
 */
#include "json/json.h"
#include "weights/gguf_internal.h"

int gguf_tokenizer_config(const struct weights_file *f, struct buf *out,
                          struct err *err)
{
    static const char *const names[][2] = {
        { "bos_token", "tokenizer.ggml.bos_token_id" },
        { "eos_token", "tokenizer.ggml.eos_token_id" },
        { "unk_token", "tokenizer.ggml.unknown_token_id" },
        { "pad_token", "tokenizer.ggml.padding_token_id" },
    };
    const struct gguf_entry *tokens =
        gguf_find(f->gguf, "tokenizer.ggml.tokens");
    struct json_writer w;

    if (!tokens)
        return err_set(err, ERR_NOTFOUND, "no tokenizer in its metadata");
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice text = { 0 };
        int64_t id;

        if (gguf_int(gguf_find(f->gguf, names[i][1]), &id) && id >= 0)
            text = gguf_string(tokens, (size_t)id);
        if (text.n)
            json_put_slice(&w, names[i][0], text);
    }
    json_end_object(&w);
    return ERR_OK;
}

/*
 * fuzz_constrain.c - schemas, expressions and labels of arbitrary bytes
 *
 * The first byte picks the kind. What loads is then walked: every token that a
 * mask allows must lead on, and no other.
 */
#include "constrain/constrain.h"
#include "memory_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte, and a few longer tokens. */
static struct constrain_vocab *vocab_get(void)
{
    static struct constrain_vocab *v;
    struct tokenizer *t = NULL;
    struct buf b = { .data = NULL };
    struct memory_file f;
    struct err err;

    if (v)
        return v;
    buf_str(&b, "{\"decoder\":{\"type\":\"ByteFallback\"},\"model\":{"
                "\"byte_fallback\":true,\"merges\":[],\"vocab\":{");
    for (unsigned i = 0; i < 256; i++)
        buf_printf(&b, "\"<0x%02X>\":%u,", i, i);
    buf_str(&b,
            "\"{\\\"a\":256,\"bill\":257,\"\\\": \":258,\"\xC3\xA9x\":259}}}");
    memory_file_open(&f, (const uint8_t *)b.data, b.len);
    if (tokenizer_open(f.path, &t, &err) || constrain_vocab_new(t, &v, &err))
        abort();
    tokenizer_free(t);
    memory_file_close(&f);
    buf_release(&b);
    return v;
}

static void walk(struct constrain *c)
{
    int64_t state = 0;

    for (unsigned step = 0; step < 12 && state >= 0; step++) {
        const uint64_t *mask = constrain_mask(c, state);
        int64_t next = -1;

        for (size_t i = 0; mask && i < constrain_size(c); i++) {
            int64_t to = constrain_step(c, state, (int32_t)i);

            if ((to >= 0) != (mask[i / 64] >> (i % 64) & 1))
                abort();
            if (to >= 0 && (next < 0 || i % 12 == step))
                next = to;
        }
        if (mask && next < 0 && !constrain_is_end(c, state))
            abort();
        state = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct constrain_vocab *v = vocab_get();
    struct constrain *c = NULL;
    struct slice text;
    struct err err;
    int rc;

    if (!size || size > 4096)
        return 0;
    text = (struct slice){ (const char *)data + 1, size - 1 };
    if (data[0] == 's')
        rc = constrain_schema(v, text, &c, &err);
    else if (data[0] == 'r')
        rc = constrain_regex(v, text, &c, &err);
    else
        rc = constrain_labels(v, &text, 1, &c, &err);
    if (rc == 0)
        walk(c);
    constrain_free(c);
    return 0;
}

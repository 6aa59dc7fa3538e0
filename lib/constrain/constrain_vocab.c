/*
 * constrain_vocab.c - the bytes of all tokens, sorted
 *
 * Sorted, tokens that begin alike stand together: walking them in order with
 * the states of the common beginning at hand visits each distinct beginning
 * once, as a trie would, without one.
 */
#include "constrain/constrain_vocab.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    const struct constrain_token *x = a, *y = b;
    int k = slice_cmp(x->text, y->text);

    return k ? k : x->id < y->id ? -1 : 1;
}

static uint32_t common(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n, i = 0;

    while (i < n && a.p[i] == b.p[i])
        i++;
    return (uint32_t)i;
}

/* Special tokens are few; their texts are appended to *all. */
static void take_special(struct constrain_vocab *v, const struct tokenizer *t,
                         int32_t id, struct buf *all)
{
    const char *text = tokenizer_token(t, id);
    void *specials = v->specials;

    if (!text || !*text || !tokenizer_is_special(t, id))
        return;
    v->specials =
        mem_realloc(specials, v->special_count + 1, sizeof(*v->specials));
    v->specials[v->special_count++] =
        (struct constrain_token){ .text = { NULL, strlen(text) }, .id = id };
    buf_str(all, text);
}

int constrain_vocab_new(const struct tokenizer *t, struct constrain_vocab **out,
                        struct err *err)
{
    struct constrain_vocab *v = mem_zalloc(sizeof(*v));
    size_t n = tokenizer_size(t);
    struct buf all = { 0 }, names = { 0 };

    v->size = n;
    v->tokens = mem_array(n + 1, sizeof(*v->tokens));
    v->by_id = mem_zalloc((n + 1) * sizeof(*v->by_id));
    for (size_t i = 0; i < n; i++) {
        size_t at = all.len;

        if (tokenizer_bytes(t, (int32_t)i, &all) && all.len > at)
            v->tokens[v->count++] =
                (struct constrain_token){ .text = { NULL, all.len - at },
                                          .id = (int32_t)i };
        else
            take_special(v, t, (int32_t)i, &names);
    }
    v->names = buf_take(&names, NULL);
    for (size_t i = 0, at = 0; i < v->special_count;
         at += v->specials[i++].text.n)
        v->specials[i].text.p = v->names + at;
    v->bytes = buf_take(&all, NULL);
    v->lead_space = !tokenizer_keeps_first_space(t);
    for (size_t i = 0, at = 0; i < v->count; at += v->tokens[i++].text.n)
        v->tokens[i].text.p = v->bytes + at;
    if (v->count)
        qsort(v->tokens, v->count, sizeof(*v->tokens), by_text);
    for (size_t i = 0; i < v->count; i++) {
        v->by_id[v->tokens[i].id] = v->tokens[i].text;
        v->tokens[i].common =
            i ? common(v->tokens[i - 1].text, v->tokens[i].text) : 0;
        if (v->tokens[i].text.n > v->longest)
            v->longest = v->tokens[i].text.n;
    }
    if (!v->count) {
        constrain_vocab_free(v);
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer has no tokens with a text");
    }
    *out = v;
    return ERR_OK;
}

void constrain_vocab_free(struct constrain_vocab *v)
{
    if (!v)
        return;
    free(v->tokens);
    free(v->by_id);
    free(v->bytes);
    free(v->specials);
    free(v->names);
    free(v);
}

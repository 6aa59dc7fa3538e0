/*
 * wordpiece.c - the longest known piece first, then the longest that goes on
 *
 * A word that cannot be cut into known pieces, or is longer than the model
 * says, is one unknown token. No piece is longer than the longest token, so
 * the search is linear in the word.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct wordpiece {
    const struct map *vocab; /* borrowed from the tokenizer */
    struct slice prefix;     /* owned; before pieces that go on */
    int32_t unk;
    size_t longest;     /* token, in bytes */
    int64_t characters; /* of a word, at most */
};

int wordpiece_load(struct wordpiece **out, const struct tokenizer *t,
                   const struct json *j, json_ref model, struct err *err)
{
    struct wordpiece *w = mem_zalloc(sizeof(*w));
    struct slice unk = { 0 };
    const uint64_t *id;

    w->vocab = t->vocab;
    w->characters = 100;
    (void)json_int(j, json_get(j, model, "max_input_chars_per_word"),
                   &w->characters);
    for (size_t i = 0; i < t->size; i++)
        if (t->tokens[i].n > w->longest)
            w->longest = t->tokens[i].n;
    if (!tokenizer_string(j, model, "continuing_subword_prefix", &w->prefix))
        w->prefix = (struct slice){ mem_strdup("##"), 2 };
    (void)tokenizer_string(j, model, "unk_token", &unk);
    id = map_get(t->vocab, unk.p ? unk.p : "[UNK]", unk.p ? unk.n : 5);
    free((void *)(uintptr_t)unk.p);
    if (!id) {
        wordpiece_free(w);
        return err_set(err, ERR_FORMAT,
                       "unk_token of the model is not in its vocabulary");
    }
    w->unk = (int32_t)*id;
    *out = w;
    return ERR_OK;
}

void wordpiece_free(struct wordpiece *w)
{
    if (!w)
        return;
    free((void *)(uintptr_t)w->prefix.p);
    free(w);
}

/* The longest piece at byte i; its size, 0 if there is none. */
static size_t longest_at(const struct wordpiece *w, struct slice word, size_t i,
                         struct buf *text, int32_t *id)
{
    size_t n = word.n - i;

    if (n > w->longest)
        n = w->longest;
    buf_reset(text);
    if (i)
        buf_add_slice(text, w->prefix);
    buf_add(text, word.p + i, n);
    for (; n; n--, text->len--) {
        const uint64_t *found;

        if (i + n < word.n && (word.p[i + n] & 0xC0) == 0x80)
            continue;
        found = map_get(w->vocab, text->data, text->len);
        if (found) {
            *id = (int32_t)*found;
            return n;
        }
    }
    return 0;
}

void wordpiece_encode(const struct wordpiece *w, struct slice word,
                      struct piece_list *out)
{
    struct buf text = { 0 };
    size_t start = out->count, n = 0;
    int64_t characters = 0;

    for (size_t i = 0; i < word.n; i++)
        characters += (word.p[i] & 0xC0) != 0x80;
    for (size_t i = 0; i < word.n; i += n) {
        int32_t id = 0;

        n = characters > w->characters ? 0 : longest_at(w, word, i, &text, &id);
        if (!n) {
            out->count = start;
            piece_list_add(out,
                           (struct piece){ w->unk, (uint32_t)word.n, false });
            break;
        }
        piece_list_add(out, (struct piece){ id, (uint32_t)n, false });
    }
    buf_release(&text);
}

/*
 * gguf_pieces.c - tokenizers of GGUF files that are not byte-level
 *
 * SentencePiece's BPE ("llama") has scores: each pair of pieces that makes a
 * piece is a merge, in the order of the result's score. Unigram ("t5") has its
 * normalizer's map in the file. WordPiece ("bert") marks beginnings of words
 * where a checkpoint marks what follows them.
 */
#include "weights/gguf_tokenizer.h"

#include "base/map.h"
#include "base/mem.h"
#include "crypto/crypto.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK "\xE2\x96\x81" /* stands for a space */

static void put_replace(struct tokenizer_out *t, const char *from,
                        const char *to)
{
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", "Replace");
    json_begin_object(&t->w, "pattern");
    json_put_string(&t->w, "String", from);
    json_end_object(&t->w);
    json_put_string(&t->w, "content", to);
    json_end_object(&t->w);
}

static void put_type(struct tokenizer_out *t, const char *type)
{
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", type);
    json_end_object(&t->w);
}

void gguf_put_pieces(struct tokenizer_out *t)
{
    bool prefix =
        gguf_flag(gguf_find(t->g, "tokenizer.ggml.add_space_prefix"), true);

    json_begin_object(&t->w, "normalizer");
    json_put_string(&t->w, "type", "Sequence");
    json_begin_array(&t->w, "normalizers");
    if (prefix) {
        json_begin_object(&t->w, NULL);
        json_put_string(&t->w, "type", "Prepend");
        json_put_string(&t->w, "prepend", BLOCK);
        json_end_object(&t->w);
    }
    put_replace(t, " ", BLOCK);
    json_end_array(&t->w);
    json_end_object(&t->w);
    json_begin_object(&t->w, "decoder");
    json_put_string(&t->w, "type", "Sequence");
    json_begin_array(&t->w, "decoders");
    put_replace(t, BLOCK, " ");
    put_type(t, "ByteFallback");
    put_type(t, "Fuse");
    if (prefix) {
        json_begin_object(&t->w, NULL);
        json_put_string(&t->w, "type", "Strip");
        json_put_string(&t->w, "content", " ");
        json_put_int(&t->w, "start", 1);
        json_put_int(&t->w, "stop", 0);
        json_end_object(&t->w);
    }
    json_end_array(&t->w);
    json_end_object(&t->w);
}

static void put_metaspace(struct tokenizer_out *t, const char *key, bool prefix)
{
    json_begin_object(&t->w, key);
    json_put_string(&t->w, "type", "Metaspace");
    json_put_string(&t->w, "replacement", BLOCK);
    json_put_string(&t->w, "prepend_scheme", prefix ? "always" : "never");
    json_put_bool(&t->w, "split", true);
    json_end_object(&t->w);
}

static void put_charsmap(struct tokenizer_out *t)
{
    const struct gguf_entry *e =
        gguf_find(t->g, "tokenizer.ggml.precompiled_charsmap");
    struct buf text = { 0 };

    if (!e || !e->array || e->count == 0 ||
        (e->type != GGUF_U8 && e->type != GGUF_I8))
        return;
    crypto_base64((struct slice){ e->data, e->count }, &text);
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", "Precompiled");
    json_put_slice(&t->w, "precompiled_charsmap", buf_slice(&text));
    json_end_object(&t->w);
    buf_release(&text);
}

static void put_rule(struct tokenizer_out *t, const char *regex, const char *to)
{
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", "Replace");
    json_begin_object(&t->w, "pattern");
    json_put_string(&t->w, "Regex", regex);
    json_end_object(&t->w);
    json_put_string(&t->w, "content", to);
    json_end_object(&t->w);
}

void gguf_put_unigram(struct tokenizer_out *t)
{
    bool prefix =
        gguf_flag(gguf_find(t->g, "tokenizer.ggml.add_space_prefix"), true);

    json_begin_object(&t->w, "normalizer");
    json_put_string(&t->w, "type", "Sequence");
    json_begin_array(&t->w, "normalizers");
    put_charsmap(t);
    if (gguf_flag(gguf_find(t->g, "tokenizer.ggml.remove_extra_whitespaces"),
                  false)) {
        put_rule(t, "^ +| +$", "");
        put_rule(t, " {2,}", " ");
    }
    json_end_array(&t->w);
    json_end_object(&t->w);
    put_metaspace(t, "pre_tokenizer", prefix);
    put_metaspace(t, "decoder", prefix);
}

/* A number of the format that JSON can say; NaN has none. */
static double finite(double x)
{
    return x >= -DBL_MAX && x <= DBL_MAX ? x : -DBL_MAX;
}

int gguf_put_unigram_model(struct tokenizer_out *t)
{
    int64_t unk = gguf_token_unknown(t);

    json_put_string(&t->w, "type", "Unigram");
    if (unk >= 0)
        json_put_int(&t->w, "unk_id", unk);
    json_put_bool(&t->w, "byte_fallback", gguf_token_has_bytes(t));
    json_begin_array(&t->w, "vocab");
    for (size_t i = 0; i < t->tokens->count; i++) {
        struct slice text = gguf_string(t->tokens, i);

        if (!utf8_valid(text.p, text.n) || memchr(text.p, 0, text.n))
            return err_set(t->err, ERR_FORMAT, "token %zu is no text", i);
        json_begin_array(&t->w, NULL);
        json_put_slice(&t->w, NULL, text);
        json_put_double(&t->w, NULL, finite(gguf_number(t->scores, i)));
        json_end_array(&t->w);
    }
    json_end_array(&t->w);
    return ERR_OK;
}

/* BLOCK before the first piece of a word, "##" before others there; words in
 * brackets are as they are. */
char *gguf_word_piece(struct slice text)
{
    size_t n = sizeof(BLOCK) - 1;

    if (text.n >= n && memcmp(text.p, BLOCK, n) == 0)
        return mem_strndup(text.p + n, text.n - n);
    if (text.n > 1 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        return slice_dup(text);
    return mem_printf("##%.*s", (int)text.n, text.p);
}

/* Is any normal token written with a capital? */
static bool is_cased(const struct tokenizer_out *t)
{
    for (size_t i = 0; i < t->tokens->count; i++) {
        struct slice text = gguf_string(t->tokens, i);

        if (gguf_token_type(t, i) != TOKEN_NORMAL ||
            (text.n && text.p[0] == '['))
            continue;
        for (size_t k = 0; k < text.n; k++)
            if (text.p[k] >= 'A' && text.p[k] <= 'Z')
                return true;
    }
    return false;
}

void gguf_put_words(struct tokenizer_out *t)
{
    json_begin_object(&t->w, "normalizer");
    json_put_string(&t->w, "type", "BertNormalizer");
    json_put_bool(&t->w, "clean_text", true);
    json_put_bool(&t->w, "handle_chinese_chars", true);
    json_put_null(&t->w, "strip_accents");
    json_put_bool(&t->w, "lowercase", !is_cased(t));
    json_end_object(&t->w);
    json_begin_object(&t->w, "pre_tokenizer");
    json_put_string(&t->w, "type", "BertPreTokenizer");
    json_end_object(&t->w);
    json_begin_object(&t->w, "decoder");
    json_put_string(&t->w, "type", "WordPiece");
    json_put_string(&t->w, "prefix", "##");
    json_put_bool(&t->w, "cleanup", true);
    json_end_object(&t->w);
}

struct merge {
    uint32_t id, left, right, cut;
    float score;
};

static int by_score(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

struct merge_list {
    struct merge *items;
    size_t count, cap;
};

#define MAX_SCORE 3e38
#define MAX_PIECE 512 /* bytes; longer ones are no result of merges */

/* Sortable: what is no number comes last. */
static float score_of(const struct tokenizer_out *t, size_t id)
{
    double score = gguf_number(t->scores, id);

    return score >= -MAX_SCORE && score <= MAX_SCORE ? (float)score : -FLT_MAX;
}

static void add_merges(const struct tokenizer_out *t, const struct map *ids,
                       size_t id, struct merge_list *out)
{
    struct slice text = gguf_string(t->tokens, id);

    for (size_t cut = 1; cut < text.n && text.n <= MAX_PIECE; cut++) {
        const uint64_t *left, *right;

        if ((text.p[cut] & 0xC0) == 0x80)
            continue;
        left = map_get(ids, text.p, cut);
        right = left ? map_get(ids, text.p + cut, text.n - cut) : NULL;
        if (!right)
            continue;
        mem_grow((void **)&out->items, &out->cap, out->count + 1,
                 sizeof(*out->items));
        out->items[out->count++] =
            (struct merge){ (uint32_t)id, (uint32_t)*left, (uint32_t)*right,
                            (uint32_t)cut, score_of(t, id) };
    }
}

/* All pairs of pieces that make a piece; special ones are no pieces. */
void gguf_put_piece_merges(struct tokenizer_out *t)
{
    struct map *ids = map_new();
    struct merge_list l = { 0 };

    for (size_t i = 0; i < t->tokens->count; i++) {
        struct slice text = gguf_string(t->tokens, i);

        if (gguf_token_type(t, i) == TOKEN_NORMAL)
            *map_put(ids, text.p, text.n, NULL) = i;
    }
    for (size_t i = 0; i < t->tokens->count; i++)
        if (gguf_token_type(t, i) == TOKEN_NORMAL)
            add_merges(t, ids, i, &l);
    if (l.count)
        qsort(l.items, l.count, sizeof(*l.items), by_score);
    json_begin_array(&t->w, "merges");
    for (size_t i = 0; i < l.count; i++) {
        struct slice text = gguf_string(t->tokens, l.items[i].id);
        size_t cut = l.items[i].cut;

        json_begin_array(&t->w, NULL);
        json_put_slice(&t->w, NULL, (struct slice){ text.p, cut });
        json_put_slice(&t->w, NULL,
                       (struct slice){ text.p + cut, text.n - cut });
        json_end_array(&t->w);
    }
    json_end_array(&t->w);
    free(l.items);
    map_free(ids);
}

/*
 * gguf_tokenizer.c - the tokenizer.json that a GGUF file's metadata amount to
 *
 * Byte-level BPE ("gpt2") has its merges in the file and the name of its
 * splitting pattern; a pattern that is not known is refused by that name.
 * SentencePiece's BPE ("llama") has scores: each pair of pieces that makes a
 * piece is a merge, in the order of the result's score. A file that has the
 * whole text of a tokenizer.json is taken at its word.
 */
#include "weights/gguf_build.h"

#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define CL100K(digits)                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits       \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HIGH "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(suffix, digits)                                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" HIGH "*" LOW "+" suffix                           \
    "|[^\\r\\n\\p{L}\\p{N}]?" HIGH "+" LOW "*" suffix "|" digits               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* regex NULL: GPT-2's. */
static const struct pre {
    const char *name, *regex;
    bool digits, nfc, ignore_merges, bos;
} pres[] = {
    { "gpt-2", NULL, false, false, false, false },
    { "default", NULL, false, false, false, false },
    { "phi-2", NULL, false, false, false, false },
    { "smollm", NULL, true, false, false, false },
    { "starcoder", NULL, true, false, false, false },
    { "refact", NULL, true, false, false, false },
    { "qwen2", CL100K("\\p{N}"), false, true, false, false },
    { "deepseek-r1-qwen", CL100K("\\p{N}"), false, true, false, false },
    { "llama-bpe", CL100K("\\p{N}{1,3}"), false, false, true, true },
    { "llama3", CL100K("\\p{N}{1,3}"), false, false, true, true },
    { "dbrx", CL100K("\\p{N}{1,3}"), false, false, false, false },
    { "gpt-4", CL100K("\\p{N}{1,3}"), false, false, false, false },
    { "smaug-bpe", CL100K("\\p{N}{1,3}"), false, false, false, false },
    { "tekken", CASED("", "\\p{N}"), false, false, true, false },
    { "gpt-4o", CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}"), false,
      false, false, false },
};
#define PRES (sizeof(pres) / sizeof(pres[0]))

const char *gguf_pre_name(struct slice regex, bool digits, bool ignore_merges)
{
    for (int strict = 1; strict >= 0; strict--)
        for (size_t i = 0; i < PRES; i++)
            if (slice_eq(regex, slice_of(pres[i].regex)) &&
                pres[i].digits == digits &&
                (!strict || pres[i].ignore_merges == ignore_merges))
                return pres[i].name;
    return NULL;
}

struct tokenizer_out {
    const struct gguf *g;
    const struct gguf_entry *tokens, *types, *scores, *merges;
    const struct pre *pre; /* NULL: SentencePiece */
    struct json_writer w;
    struct err *err;
};

static int64_t id_of(const struct tokenizer_out *t, const char *key)
{
    char *full = mem_printf("tokenizer.ggml.%s_token_id", key);
    int64_t id;

    if (!gguf_int(gguf_find(t->g, full), &id) || id < 0 ||
        (size_t)id >= t->tokens->count)
        id = -1;
    free(full);
    return id;
}

static int type_of(const struct tokenizer_out *t, size_t id)
{
    double type = t->types ? gguf_number(t->types, id) : TOKEN_NORMAL;

    return type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (int)type
                                                      : TOKEN_UNUSED;
}

static void put_added(struct tokenizer_out *t)
{
    json_begin_array(&t->w, "added_tokens");
    for (size_t i = 0; i < t->tokens->count; i++) {
        int type = type_of(t, i);

        if (type != TOKEN_CONTROL && type != TOKEN_USER &&
            type != TOKEN_UNKNOWN)
            continue;
        json_begin_object(&t->w, NULL);
        json_put_int(&t->w, "id", (int64_t)i);
        json_put_slice(&t->w, "content", gguf_string(t->tokens, i));
        json_put_bool(&t->w, "single_word", false);
        json_put_bool(&t->w, "lstrip", false);
        json_put_bool(&t->w, "rstrip", false);
        json_put_bool(&t->w, "normalized", false);
        json_put_bool(&t->w, "special", type != TOKEN_USER);
        json_end_object(&t->w);
    }
    json_end_array(&t->w);
}

static void put_split(struct tokenizer_out *t, const char *regex)
{
    json_begin_object(&t->w, NULL);
    json_put_string(&t->w, "type", "Split");
    json_begin_object(&t->w, "pattern");
    json_put_string(&t->w, "Regex", regex);
    json_end_object(&t->w);
    json_put_string(&t->w, "behavior", "Isolated");
    json_put_bool(&t->w, "invert", false);
    json_end_object(&t->w);
}

static void put_byte_level(struct tokenizer_out *t, const char *key,
                           bool use_regex)
{
    json_begin_object(&t->w, key);
    json_put_string(&t->w, "type", "ByteLevel");
    json_put_bool(&t->w, "add_prefix_space", false);
    json_put_bool(&t->w, "trim_offsets", true);
    json_put_bool(&t->w, "use_regex", use_regex);
    json_end_object(&t->w);
}

static void put_byte_level_parts(struct tokenizer_out *t)
{
    if (t->pre->nfc) {
        json_begin_object(&t->w, "normalizer");
        json_put_string(&t->w, "type", "NFC");
        json_end_object(&t->w);
    }
    json_begin_object(&t->w, "pre_tokenizer");
    json_put_string(&t->w, "type", "Sequence");
    json_begin_array(&t->w, "pretokenizers");
    if (t->pre->digits) {
        json_begin_object(&t->w, NULL);
        json_put_string(&t->w, "type", "Digits");
        json_put_bool(&t->w, "individual_digits", true);
        json_end_object(&t->w);
    }
    if (t->pre->regex)
        put_split(t, t->pre->regex);
    put_byte_level(t, NULL, !t->pre->regex);
    json_end_array(&t->w);
    json_end_object(&t->w);
    put_byte_level(t, "decoder", true);
}

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

#define BLOCK "\xE2\x96\x81" /* stands for a space */

static void put_pieces_parts(struct tokenizer_out *t, bool prefix)
{
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

/* "single" of a template: what stands around a text. */
static void put_post(struct tokenizer_out *t, bool add_bos, bool add_eos)
{
    int64_t bos = add_bos ? id_of(t, "bos") : -1;
    int64_t eos = add_eos ? id_of(t, "eos") : -1;
    const int64_t ids[] = { bos, eos };

    if (bos < 0 && eos < 0)
        return;
    json_begin_object(&t->w, "post_processor");
    json_put_string(&t->w, "type", "TemplateProcessing");
    json_begin_array(&t->w, "single");
    for (int i = 0; i < 3; i++) {
        int64_t id = i == 0 ? bos : eos;

        if (i != 1 && id < 0)
            continue;
        json_begin_object(&t->w, NULL);
        json_begin_object(&t->w, i == 1 ? "Sequence" : "SpecialToken");
        if (i == 1)
            json_put_string(&t->w, "id", "A");
        else
            json_put_slice(&t->w, "id", gguf_string(t->tokens, (size_t)id));
        json_put_int(&t->w, "type_id", 0);
        json_end_object(&t->w);
        json_end_object(&t->w);
    }
    json_end_array(&t->w);
    json_begin_object(&t->w, "special_tokens");
    for (int i = 0; i < 2; i++) {
        char *name;

        if (ids[i] < 0 || (i == 1 && bos == eos))
            continue;
        name = slice_dup(gguf_string(t->tokens, (size_t)ids[i]));
        json_begin_object(&t->w, name);
        json_put_string(&t->w, "id", name);
        json_begin_array(&t->w, "ids");
        json_put_int(&t->w, NULL, ids[i]);
        json_end_array(&t->w);
        json_end_object(&t->w);
        free(name);
    }
    json_end_object(&t->w);
    json_end_object(&t->w);
}

static int put_vocab(struct tokenizer_out *t)
{
    json_begin_object(&t->w, "vocab");
    for (size_t i = 0; i < t->tokens->count; i++) {
        struct slice text = gguf_string(t->tokens, i);
        char *name;

        if (!utf8_valid(text.p, text.n) || memchr(text.p, 0, text.n))
            return err_set(t->err, ERR_FORMAT, "token %zu is no text", i);
        name = slice_dup(text);
        json_put_int(&t->w, name, (int64_t)i);
        free(name);
    }
    json_end_object(&t->w);
    return ERR_OK;
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
static void put_piece_merges(struct tokenizer_out *t)
{
    struct map *ids = map_new();
    struct merge_list l = { 0 };

    for (size_t i = 0; i < t->tokens->count; i++) {
        struct slice text = gguf_string(t->tokens, i);

        if (type_of(t, i) == TOKEN_NORMAL)
            *map_put(ids, text.p, text.n, NULL) = i;
    }
    for (size_t i = 0; i < t->tokens->count; i++)
        if (type_of(t, i) == TOKEN_NORMAL)
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

static void put_file_merges(struct tokenizer_out *t)
{
    json_begin_array(&t->w, "merges");
    for (size_t i = 0; t->merges && i < t->merges->count; i++)
        json_put_slice(&t->w, NULL, gguf_string(t->merges, i));
    json_end_array(&t->w);
}

static int put_model(struct tokenizer_out *t)
{
    int64_t unk = id_of(t, "unknown");
    int rc;

    json_begin_object(&t->w, "model");
    json_put_string(&t->w, "type", "BPE");
    if (!t->pre) {
        if (unk < 0)
            for (size_t i = 0; i < t->tokens->count && unk < 0; i++)
                if (type_of(t, i) == TOKEN_UNKNOWN)
                    unk = (int64_t)i;
        if (unk >= 0)
            json_put_slice(&t->w, "unk_token",
                           gguf_string(t->tokens, (size_t)unk));
        json_put_bool(&t->w, "fuse_unk", true);
        json_put_bool(&t->w, "byte_fallback", true);
    } else {
        json_put_bool(&t->w, "ignore_merges", t->pre->ignore_merges);
    }
    rc = put_vocab(t);
    if (rc < 0)
        return rc;
    if (t->pre)
        put_file_merges(t);
    else
        put_piece_merges(t);
    json_end_object(&t->w);
    return ERR_OK;
}

static int find_pre(struct tokenizer_out *t)
{
    struct slice name = gguf_string(gguf_find(t->g, "tokenizer.ggml.pre"), 0);

    if (!name.n)
        name = slice_of("default");
    for (size_t i = 0; i < PRES; i++)
        if (slice_is(name, pres[i].name))
            t->pre = &pres[i];
    return t->pre ? ERR_OK
                  : err_set(t->err, ERR_UNSUPPORTED,
                            "tokenizer.ggml.pre \"%.*s\" is not supported",
                            (int)name.n, name.p);
}

static int check_parts(struct tokenizer_out *t)
{
    struct slice model =
        gguf_string(gguf_find(t->g, "tokenizer.ggml.model"), 0);
    int rc = ERR_OK;

    if (!model.n || slice_is(model, "none") || slice_is(model, "no_vocab") ||
        !t->tokens || t->tokens->type != GGUF_STRING)
        return err_set(t->err, ERR_NOTFOUND,
                       "no tokenizer in its metadata (tokenizer.ggml.tokens)");
    if (slice_is(model, "gpt2"))
        rc = find_pre(t);
    else if (!slice_is(model, "llama"))
        return err_set(t->err, ERR_UNSUPPORTED,
                       "tokenizer.ggml.model \"%.*s\" is not supported; "
                       "known: gpt2 llama",
                       (int)model.n, model.p);
    if (rc == ERR_OK && !t->pre && !t->scores)
        rc = err_set(t->err, ERR_FORMAT, "no tokenizer.ggml.scores");
    if (rc == ERR_OK && ((t->types && t->types->count != t->tokens->count) ||
                         (t->scores && t->scores->count != t->tokens->count)))
        rc = err_set(t->err, ERR_FORMAT,
                     "tokenizer.ggml.tokens, scores and token_type differ in "
                     "length");
    return rc;
}

int gguf_tokenizer(const struct weights_file *f, struct buf *out,
                   struct err *err)
{
    const struct gguf *g = f->gguf;
    struct tokenizer_out t = {
        .g = g,
        .tokens = gguf_find(g, "tokenizer.ggml.tokens"),
        .types = gguf_find(g, "tokenizer.ggml.token_type"),
        .scores = gguf_find(g, "tokenizer.ggml.scores"),
        .merges = gguf_find(g, "tokenizer.ggml.merges"),
        .err = err,
    };
    struct slice whole =
        gguf_string(gguf_find(g, "tokenizer.huggingface.json"), 0);
    int rc = whole.n ? ERR_OK : check_parts(&t);

    if (rc < 0)
        return rc;
    if (whole.n) {
        buf_add_slice(out, whole);
        return ERR_OK;
    }
    json_writer_init(&t.w, out, false);
    json_begin_object(&t.w, NULL);
    json_put_string(&t.w, "version", "1.0");
    put_added(&t);
    if (t.pre)
        put_byte_level_parts(&t);
    else
        put_pieces_parts(
            &t,
            gguf_flag(gguf_find(g, "tokenizer.ggml.add_space_prefix"), true));
    put_post(&t,
             gguf_flag(gguf_find(g, "tokenizer.ggml.add_bos_token"),
                       t.pre ? t.pre->bos : true),
             gguf_flag(gguf_find(g, "tokenizer.ggml.add_eos_token"), false));
    rc = put_model(&t);
    json_end_object(&t.w);
    return rc;
}

int gguf_template(const struct weights_file *f, struct buf *out,
                  struct err *err)
{
    struct slice text =
        gguf_string(gguf_find(f->gguf, "tokenizer.chat_template"), 0);

    if (!text.n)
        return err_set(err, ERR_NOTFOUND, "no chat template in its metadata");
    buf_add_slice(out, text);
    return ERR_OK;
}

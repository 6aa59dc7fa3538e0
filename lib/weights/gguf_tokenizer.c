/*
 * gguf_tokenizer.c - the tokenizer.json that a GGUF file's metadata amount to
 *
 * Byte-level BPE ("gpt2") has its merges in the file and the name of its
 * splitting pattern (gguf_pre.c); the others are gguf_pieces.c's. A file that
 * has the whole text of a tokenizer.json is taken at its word.
 */
#include "weights/gguf_tokenizer.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

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

int gguf_token_type(const struct tokenizer_out *t, size_t id)
{
    double type = t->types ? gguf_number(t->types, id) : TOKEN_NORMAL;

    return type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (int)type
                                                      : TOKEN_UNUSED;
}

int64_t gguf_token_unknown(const struct tokenizer_out *t)
{
    int64_t unk = id_of(t, "unknown");

    for (size_t i = 0; i < t->tokens->count && unk < 0; i++)
        if (gguf_token_type(t, i) == TOKEN_UNKNOWN)
            unk = (int64_t)i;
    return unk;
}

bool gguf_token_has_bytes(const struct tokenizer_out *t)
{
    for (size_t i = 0; i < t->tokens->count; i++)
        if (gguf_token_type(t, i) == TOKEN_BYTE)
            return true;
    return false;
}

static void put_added(struct tokenizer_out *t)
{
    json_begin_array(&t->w, "added_tokens");
    for (size_t i = 0; i < t->tokens->count; i++) {
        int type = gguf_token_type(t, i);

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

/* The id of `key`, else of the token that is spelt `text`; -1: neither. */
static int64_t id_or_text(const struct tokenizer_out *t, const char *key,
                          const char *text)
{
    int64_t id = id_of(t, key);

    for (size_t i = 0; i < t->tokens->count && id < 0; i++)
        if (slice_is(gguf_string(t->tokens, i), text))
            id = (int64_t)i;
    return id;
}

/* Ids around a text; -1: none. */
static void ids_around(const struct tokenizer_out *t, int64_t *bos,
                       int64_t *eos)
{
    static const bool before[] = { false, true, false, true };
    bool add_bos =
        gguf_flag(gguf_find(t->g, "tokenizer.ggml.add_bos_token"),
                  t->pre ? gguf_pre_adds_bos(t->pre) : before[t->kind]);
    bool add_eos = gguf_flag(gguf_find(t->g, "tokenizer.ggml.add_eos_token"),
                             t->kind == TOKENIZER_UNIGRAM);

    *bos = add_bos ? id_of(t, "bos") : -1;
    *eos = add_eos ? id_of(t, "eos") : -1;
    if (t->kind != TOKENIZER_WORDS)
        return;
    if (add_bos && *bos < 0)
        *bos = id_or_text(t, "cls", "[CLS]");
    if (gguf_flag(gguf_find(t->g, "tokenizer.ggml.add_sep_token"), true))
        *eos = id_or_text(t, "seperator", "[SEP]"); /* spelt so */
}

/* "single" of a template: what stands around a text. */
static void put_post(struct tokenizer_out *t)
{
    int64_t bos, eos, ids[2];

    ids_around(t, &bos, &eos);
    ids[0] = bos;
    ids[1] = eos;
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
        name = t->kind == TOKENIZER_WORDS ? gguf_word_piece(text)
                                          : slice_dup(text);
        json_put_int(&t->w, name, (int64_t)i);
        free(name);
    }
    json_end_object(&t->w);
    return ERR_OK;
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
    int64_t unk = gguf_token_unknown(t);
    int rc;

    json_begin_object(&t->w, "model");
    if (t->kind == TOKENIZER_UNIGRAM) {
        rc = gguf_put_unigram_model(t);
        json_end_object(&t->w);
        return rc;
    }
    json_put_string(&t->w, "type",
                    t->kind == TOKENIZER_WORDS ? "WordPiece" : "BPE");
    if (unk >= 0 && t->kind != TOKENIZER_BYTES)
        json_put_slice(&t->w, "unk_token", gguf_string(t->tokens, (size_t)unk));
    if (t->kind == TOKENIZER_PIECES) {
        json_put_bool(&t->w, "fuse_unk", true);
        json_put_bool(&t->w, "byte_fallback", true);
    } else if (t->kind == TOKENIZER_BYTES) {
        json_put_bool(&t->w, "ignore_merges", gguf_pre_keeps_words(t->pre));
    } else {
        json_put_string(&t->w, "continuing_subword_prefix", "##");
        json_put_int(&t->w, "max_input_chars_per_word", 100);
    }
    rc = put_vocab(t);
    if (rc < 0)
        return rc;
    if (t->kind == TOKENIZER_BYTES)
        put_file_merges(t);
    else if (t->kind == TOKENIZER_PIECES)
        gguf_put_piece_merges(t);
    json_end_object(&t->w);
    return ERR_OK;
}

static int find_pre(struct tokenizer_out *t)
{
    struct slice name = gguf_string(gguf_find(t->g, "tokenizer.ggml.pre"), 0);

    if (!name.n)
        name = slice_of("default");
    t->pre = gguf_pre_find(name);
    return t->pre ? ERR_OK
                  : err_set(t->err, ERR_UNSUPPORTED,
                            "tokenizer.ggml.pre \"%.*s\" is not supported",
                            (int)name.n, name.p);
}

static int find_kind(struct tokenizer_out *t, struct slice model)
{
    static const char *const names[] = { "gpt2", "llama", "t5", "bert" };

    for (int i = 0; i < 4; i++)
        if (slice_is(model, names[i])) {
            t->kind = (enum tokenizer_kind)i;
            return ERR_OK;
        }
    return err_set(t->err, ERR_UNSUPPORTED,
                   "tokenizer.ggml.model \"%.*s\" is not supported; known: "
                   "gpt2 llama t5 bert",
                   (int)model.n, model.p);
}

static int check_parts(struct tokenizer_out *t)
{
    struct slice model =
        gguf_string(gguf_find(t->g, "tokenizer.ggml.model"), 0);
    bool scored;
    int rc;

    if (!model.n || slice_is(model, "none") || slice_is(model, "no_vocab") ||
        !t->tokens || t->tokens->type != GGUF_STRING)
        return err_set(t->err, ERR_NOTFOUND,
                       "no tokenizer in its metadata (tokenizer.ggml.tokens)");
    rc = find_kind(t, model);
    if (rc == ERR_OK && t->kind == TOKENIZER_BYTES)
        rc = find_pre(t);
    scored = t->kind == TOKENIZER_PIECES || t->kind == TOKENIZER_UNIGRAM;
    if (rc == ERR_OK && scored && !t->scores)
        rc = err_set(t->err, ERR_FORMAT, "no tokenizer.ggml.scores");
    if (rc == ERR_OK && ((t->types && t->types->count != t->tokens->count) ||
                         (t->scores && t->scores->count != t->tokens->count)))
        rc = err_set(t->err, ERR_FORMAT,
                     "tokenizer.ggml.tokens, scores and token_type differ in "
                     "length");
    return rc;
}

static void put_parts(struct tokenizer_out *t)
{
    if (t->kind == TOKENIZER_BYTES)
        gguf_put_byte_level(t);
    else if (t->kind == TOKENIZER_PIECES)
        gguf_put_pieces(t);
    else if (t->kind == TOKENIZER_UNIGRAM)
        gguf_put_unigram(t);
    else
        gguf_put_words(t);
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
    put_parts(&t);
    put_post(&t);
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

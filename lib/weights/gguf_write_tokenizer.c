/*
 * gguf_write_tokenizer.c - a tokenizer.json and a chat template as metadata
 *
 * Byte-level BPE whose splitting has a name in GGUF, and BPE in the manner of
 * SentencePiece, where the order of merges becomes scores. Any other
 * tokenizer is refused, since ids would differ where the file is used.
 */
#include "weights/gguf_build.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT ((size_t)256 << 20)
#define MAX_VOCAB ((size_t)4 << 20)
#define UNSEEN (-1e6F) /* score of a token that no merge makes */

struct vocab_in {
    struct gguf_build *g;
    const struct json *j;
    const char *model; /* directory */
    struct slice *tokens;
    int32_t *types;
    float *scores;
    size_t count;
    struct map *ids;
    struct slice regex; /* of Split, owned */
    bool byte_level, digits, pieces, metaspace, prefix, ignore_merges;
    struct err *err;
};

static int refuse(const struct vocab_in *v, const char *part, json_ref r)
{
    char *type = json_strdup(v->j, json_get(v->j, r, "type"));
    int rc = err_set(v->err, ERR_UNSUPPORTED, "%s %s: GGUF has no place for it",
                     part, type ? type : "without a type");

    free(type);
    return rc;
}

static bool is_type(const struct vocab_in *v, json_ref r, const char *type)
{
    return json_text_is(v->j, json_get(v->j, r, "type"), type);
}

static bool flag(const struct vocab_in *v, json_ref r, const char *key,
                 bool fallback)
{
    bool x = fallback;

    (void)json_bool(v->j, json_get(v->j, r, key), &x);
    return x;
}

static int read_split(struct vocab_in *v, json_ref r)
{
    json_ref regex = json_find(v->j, r, "pattern", "Regex", NULL);
    struct buf text = { 0 };

    /* Spaces are gone by then. */
    if (v->pieces &&
        json_text_is(v->j, json_find(v->j, r, "pattern", "String", NULL), " "))
        return ERR_OK;
    if (!json_text(v->j, regex, &text) || v->regex.p ||
        !json_text_is(v->j, json_get(v->j, r, "behavior"), "Isolated")) {
        bool removed = text.len && flag(v, r, "invert", false) && !v->regex.p;

        if (!removed) {
            buf_release(&text);
            return refuse(v, "pre_tokenizer", r);
        }
    }
    if (slice_is(buf_slice(&text), "\\p{N}")) {
        v->digits = true;
        buf_release(&text);
        return ERR_OK;
    }
    v->regex.p = buf_take(&text, &v->regex.n);
    return ERR_OK;
}

static int read_pre(struct vocab_in *v, json_ref r)
{
    json_ref list = json_get(v->j, r, "pretokenizers");
    int rc = ERR_OK;

    if (json_kind(v->j, r) == JSON_NULL)
        return ERR_OK;
    if (is_type(v, r, "Sequence")) {
        for (json_ref e = json_first(v->j, list); e != JSON_NONE && !rc;
             e = json_next(v->j, list, e))
            rc = read_pre(v, e);
        return rc;
    }
    if (is_type(v, r, "Split"))
        return read_split(v, r);
    if (is_type(v, r, "Digits") && flag(v, r, "individual_digits", false)) {
        v->digits = true;
        return ERR_OK;
    }
    if (is_type(v, r, "ByteLevel") && !flag(v, r, "add_prefix_space", true)) {
        v->byte_level = true;
        return ERR_OK;
    }
    if (is_type(v, r, "Metaspace") && !flag(v, r, "split", true)) {
        v->pieces = v->metaspace = true;
        v->prefix =
            flag(v, r, "add_prefix_space", true) &&
            !json_text_is(v->j, json_get(v->j, r, "prepend_scheme"), "never");
        return ERR_OK;
    }
    return refuse(v, "pre_tokenizer", r);
}

static int read_normalizer(struct vocab_in *v, json_ref r)
{
    json_ref list = json_get(v->j, r, "normalizers");
    int rc = ERR_OK;

    if (json_kind(v->j, r) == JSON_NULL || is_type(v, r, "NFC"))
        return ERR_OK;
    if (is_type(v, r, "Sequence")) {
        for (json_ref e = json_first(v->j, list); e != JSON_NONE && !rc;
             e = json_next(v->j, list, e))
            rc = read_normalizer(v, e);
        return rc;
    }
    if (is_type(v, r, "Prepend")) {
        v->prefix = true;
        return ERR_OK;
    }
    if (is_type(v, r, "Replace") &&
        json_text_is(v->j, json_find(v->j, r, "pattern", "String", NULL),
                     " ")) {
        v->pieces = true;
        return ERR_OK;
    }
    return refuse(v, "normalizer", r);
}

static void set_token(struct vocab_in *v, int64_t id, struct slice text,
                      int type)
{
    char *copy;

    if (id < 0 || (size_t)id >= v->count)
        return;
    copy = slice_dup(text);
    free((void *)(uintptr_t)v->tokens[id].p);
    v->tokens[id] = (struct slice){ copy, text.n };
    v->types[id] = type;
    *map_put(v->ids, text.p ? text.p : "", text.n, NULL) = (uint64_t)id;
}

static bool is_byte(struct slice s)
{
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>';
}

/* One more than the largest id. */
static size_t count_ids(const struct vocab_in *v, json_ref vocab,
                        json_ref added)
{
    int64_t id, top = -1;

    for (json_ref e = json_first(v->j, vocab); e != JSON_NONE;
         e = json_next(v->j, vocab, e))
        if (json_int(v->j, e, &id) && id > top)
            top = id;
    for (json_ref e = json_first(v->j, added); e != JSON_NONE;
         e = json_next(v->j, added, e))
        if (json_int(v->j, json_get(v->j, e, "id"), &id) && id > top)
            top = id;
    return top < 0 ? 0 : (size_t)top + 1;
}

static int read_tokens(struct vocab_in *v, size_t rows)
{
    json_ref vocab = json_find(v->j, 0, "model", "vocab", NULL);
    json_ref added = json_get(v->j, 0, "added_tokens");
    struct buf text = { 0 };
    int64_t id;

    v->count = count_ids(v, vocab, added);
    if (v->count > rows || v->count > MAX_VOCAB)
        return err_set(v->err, ERR_FORMAT,
                       "the tokenizer has %zu ids and the model %zu", v->count,
                       rows);
    v->count = rows;
    v->tokens = mem_zalloc(rows * sizeof(*v->tokens));
    v->types = mem_zalloc(rows * sizeof(*v->types));
    v->scores = mem_zalloc(rows * sizeof(*v->scores));
    for (json_ref e = json_first(v->j, vocab); e != JSON_NONE;
         e = json_next(v->j, vocab, e)) {
        buf_reset(&text);
        (void)json_text(v->j, json_key(v->j, e), &text);
        if (json_int(v->j, e, &id))
            set_token(v, id, buf_slice(&text),
                      !v->byte_level && is_byte(buf_slice(&text))
                          ? TOKEN_BYTE
                          : TOKEN_NORMAL);
    }
    for (json_ref e = json_first(v->j, added); e != JSON_NONE;
         e = json_next(v->j, added, e)) {
        buf_reset(&text);
        (void)json_text(v->j, json_get(v->j, e, "content"), &text);
        if (json_int(v->j, json_get(v->j, e, "id"), &id))
            set_token(v, id, buf_slice(&text),
                      flag(v, e, "special", false) ? TOKEN_CONTROL
                                                   : TOKEN_USER);
    }
    buf_release(&text);
    return ERR_OK;
}

/* Rows of the embedding that no token uses. */
static void pad_tokens(struct vocab_in *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (!v->tokens[i].p) {
            char *name = mem_printf("[PAD%zu]", i);

            v->tokens[i] = (struct slice){ name, strlen(name) };
            v->types[i] = TOKEN_UNUSED;
        }
}

/* "a b" or ["a","b"] as "a b"; *cut: bytes of a. False: neither. */
static bool merge_text(const struct vocab_in *v, json_ref e, struct buf *out,
                       size_t *cut)
{
    const char *space;

    buf_reset(out);
    if (json_is(v->j, e, JSON_ARRAY)) {
        if (!json_text(v->j, json_at(v->j, e, 0), out))
            return false;
        *cut = out->len;
        buf_char(out, ' ');
        return json_text(v->j, json_at(v->j, e, 1), out);
    }
    if (!json_text(v->j, e, out))
        return false;
    space = memchr(out->data, ' ', out->len);
    *cut = space ? (size_t)(space - out->data) : 0;
    return space != NULL;
}

static int put_merges(struct vocab_in *v, json_ref list)
{
    size_t n = json_count(v->j, list), made = 0, cut;
    struct slice *merges = mem_array(n, sizeof(*merges));
    struct buf text = { 0 };
    int rc = ERR_OK;

    for (json_ref e = json_first(v->j, list); e != JSON_NONE && !rc;
         e = json_next(v->j, list, e)) {
        if (merge_text(v, e, &text, &cut))
            merges[made++] =
                (struct slice){ slice_dup(buf_slice(&text)), text.len };
        else
            rc = err_set(v->err, ERR_FORMAT, "a merge has not two parts");
    }
    if (rc == ERR_OK)
        gguf_put_strings(v->g, "tokenizer.ggml.merges", merges, made);
    while (made > 0)
        free((void *)(uintptr_t)merges[--made].p);
    free(merges);
    buf_release(&text);
    return rc;
}

/* A token's score: minus the rank of the first merge that makes it. */
static int put_scores(struct vocab_in *v, json_ref list)
{
    struct buf text = { 0 };
    float rank = 0;
    size_t cut;

    for (size_t i = 0; i < v->count; i++)
        v->scores[i] = v->types[i] == TOKEN_NORMAL ? UNSEEN : 0;
    for (json_ref e = json_first(v->j, list); e != JSON_NONE;
         e = json_next(v->j, list, e)) {
        const uint64_t *id;

        rank -= 1;
        if (!merge_text(v, e, &text, &cut))
            continue;
        memmove(text.data + cut, text.data + cut + 1, text.len - cut - 1);
        id = map_get(v->ids, text.data, text.len - 1);
        if (id && v->scores[*id] <= UNSEEN)
            v->scores[*id] = rank;
    }
    buf_release(&text);
    gguf_put_floats(v->g, "tokenizer.ggml.scores", v->scores, v->count);
    return ERR_OK;
}

static void put_id(struct vocab_in *v, const char *key, int64_t id)
{
    char *full = mem_printf("tokenizer.ggml.%s_token_id", key);

    if (id >= 0 && (size_t)id < v->count)
        gguf_put_u32(v->g, full, (uint32_t)id);
    free(full);
}

/* The special tokens that a post-processor puts around a text; -1: none. */
struct around {
    int64_t before, after;
};

static void put_ids(struct vocab_in *v, const struct json *config,
                    const struct around *around)
{
    json_ref eos = json_get(config, 0, "eos_token_id");
    json_ref unk = json_find(v->j, 0, "model", "unk_token", NULL);
    struct buf text = { 0 };
    const uint64_t *known = NULL;
    int64_t id;

    if (around->before >= 0)
        put_id(v, "bos", around->before);
    else if (json_int(config, json_get(config, 0, "bos_token_id"), &id))
        put_id(v, "bos", id);
    if (around->after >= 0)
        put_id(v, "eos", around->after);
    else if (json_is(config, eos, JSON_ARRAY)) {
        if (json_int(config, json_at(config, eos, 0), &id))
            put_id(v, "eos", id);
        if (json_int(config, json_at(config, eos, 1), &id))
            put_id(v, "eot", id);
    } else if (json_int(config, eos, &id)) {
        put_id(v, "eos", id);
    }
    if (json_int(config, json_get(config, 0, "pad_token_id"), &id))
        put_id(v, "padding", id);
    if (json_text(v->j, unk, &text) && text.len)
        known = map_get(v->ids, text.data, text.len);
    if (known)
        put_id(v, "unknown", (int64_t)*known);
    buf_release(&text);
}

static int64_t special_id(const struct vocab_in *v, json_ref pp, json_ref e)
{
    char *name =
        json_strdup(v->j, json_find(v->j, e, "SpecialToken", "id", NULL));
    json_ref ids =
        name ? json_find(v->j, pp, "special_tokens", name, "ids", NULL)
             : JSON_NONE;
    int64_t id = -1;

    (void)json_int(v->j, json_at(v->j, ids, 0), &id);
    free(name);
    return id;
}

static void read_post(const struct vocab_in *v, json_ref r, struct around *out)
{
    json_ref list = json_get(v->j, r, "processors");
    bool seen = false;

    for (json_ref e = json_first(v->j, list);
         is_type(v, r, "Sequence") && e != JSON_NONE;
         e = json_next(v->j, list, e))
        read_post(v, e, out);
    if (!is_type(v, r, "TemplateProcessing"))
        return;
    list = json_get(v->j, r, "single");
    for (json_ref e = json_first(v->j, list); e != JSON_NONE;
         e = json_next(v->j, list, e)) {
        if (json_present(json_get(v->j, e, "Sequence")))
            seen = true;
        else if (seen)
            out->after = special_id(v, r, e);
        else
            out->before = special_id(v, r, e);
    }
}

/* What GGUF has no flags for: the whole text goes along then. */
static bool needs_text(const struct vocab_in *v)
{
    json_ref added = json_get(v->j, 0, "added_tokens");

    for (json_ref e = json_first(v->j, added); e != JSON_NONE;
         e = json_next(v->j, added, e))
        if (flag(v, e, "lstrip", false) || flag(v, e, "rstrip", false) ||
            flag(v, e, "single_word", false))
            return true;
    /* It puts no space before one; SentencePiece does. */
    return v->metaspace;
}

static int check_kind(struct vocab_in *v)
{
    json_ref model = json_get(v->j, 0, "model");
    int rc;

    if (json_present(json_get(v->j, model, "type")) &&
        !is_type(v, model, "BPE"))
        return refuse(v, "model", model);
    rc = read_normalizer(v, json_get(v->j, 0, "normalizer"));
    if (rc == ERR_OK)
        rc = read_pre(v, json_get(v->j, 0, "pre_tokenizer"));
    if (rc < 0)
        return rc;
    v->ignore_merges = flag(v, model, "ignore_merges", false);
    if (!v->byte_level &&
        (!v->pieces || !flag(v, model, "byte_fallback", false)))
        return err_set(v->err, ERR_UNSUPPORTED,
                       "the tokenizer is neither byte-level BPE nor like "
                       "SentencePiece's: GGUF has no place for it");
    if (v->byte_level && !gguf_pre_name(v->regex, v->digits, v->ignore_merges))
        return err_set(v->err, ERR_UNSUPPORTED,
                       "GGUF has no name for how this tokenizer splits text");
    return ERR_OK;
}

static int put_all(struct vocab_in *v, const struct json *config)
{
    json_ref merges = json_find(v->j, 0, "model", "merges", NULL);
    struct around around = { -1, -1 };
    int rc;

    read_post(v, json_get(v->j, 0, "post_processor"), &around);
    gguf_put_string(v->g, "tokenizer.ggml.model",
                    slice_of(v->byte_level ? "gpt2" : "llama"));
    gguf_put_string(v->g, "tokenizer.ggml.pre",
                    slice_of(v->byte_level ? gguf_pre_name(v->regex, v->digits,
                                                           v->ignore_merges)
                                           : "default"));
    gguf_put_strings(v->g, "tokenizer.ggml.tokens", v->tokens, v->count);
    gguf_put_ints(v->g, "tokenizer.ggml.token_type", v->types, v->count);
    rc = v->byte_level ? put_merges(v, merges) : put_scores(v, merges);
    put_ids(v, config, &around);
    gguf_put_bool(v->g, "tokenizer.ggml.add_bos_token", around.before >= 0);
    gguf_put_bool(v->g, "tokenizer.ggml.add_eos_token", around.after >= 0);
    if (needs_text(v))
        gguf_put_string(v->g, "tokenizer.huggingface.json",
                        (struct slice){ v->j->text, v->j->size });
    if (!v->byte_level)
        gguf_put_bool(v->g, "tokenizer.ggml.add_space_prefix", v->prefix);
    return rc;
}

/* chat_template of tokenizer_config.json; NULL: none. */
static char *config_template(const char *model)
{
    struct buf text = { 0 };
    struct json j = { 0 };
    char *out = NULL;
    struct err err;

    if (weights_part(model, "tokenizer_config.json", MAX_TEXT, &text, &err) ==
            ERR_OK &&
        json_parse(&j, text.data, text.len, &err) == ERR_OK)
        out = json_strdup(&j, json_get(&j, 0, "chat_template"));
    json_release(&j);
    buf_release(&text);
    return out;
}

static void put_template(struct vocab_in *v)
{
    struct buf text = { 0 };
    struct err err;
    char *other;

    if (weights_part(v->model, "chat_template.jinja", MAX_TEXT, &text, &err) ==
        ERR_OK) {
        gguf_put_string(v->g, "tokenizer.chat_template", buf_slice(&text));
    } else {
        other = config_template(v->model);
        if (other)
            gguf_put_string(v->g, "tokenizer.chat_template", slice_of(other));
        free(other);
    }
    buf_release(&text);
}

int gguf_put_tokenizer(struct gguf_build *g, const char *model,
                       const struct json *config, size_t vocab, struct err *err)
{
    struct json j = { 0 };
    struct vocab_in v = { .g = g, .j = &j, .model = model, .err = err };
    struct buf text = { 0 };
    int rc = weights_part(model, "tokenizer.json", MAX_TEXT, &text, err);

    if (rc == ERR_NOTFOUND) {
        buf_release(&text); /* weights alone */
        gguf_put_string(g, "tokenizer.ggml.model", slice_of("none"));
        return ERR_OK;
    }
    v.ids = map_new();
    if (rc == ERR_OK)
        rc = json_parse(&j, text.data, text.len, err);
    if (rc == ERR_OK)
        rc = check_kind(&v);
    if (rc == ERR_OK)
        rc = read_tokens(&v, vocab);
    if (rc == ERR_OK) {
        pad_tokens(&v);
        rc = put_all(&v, config);
    }
    if (rc == ERR_OK)
        put_template(&v);
    for (size_t i = 0; v.tokens && i < v.count; i++)
        free((void *)(uintptr_t)v.tokens[i].p);
    free(v.tokens);
    free(v.types);
    free(v.scores);
    free((void *)(uintptr_t)v.regex.p);
    map_free(v.ids);
    json_release(&j);
    buf_release(&text);
    return rc < 0 ? err_wrap(err, "tokenizer") : rc;
}

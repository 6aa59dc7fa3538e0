/*
 * tokenizer_load.c - a tokenizer.json into its parts
 *
 * The vocabulary goes straight from the JSON's tape into one map; each part
 * loads itself. What a part does not know it refuses by name, since a
 * tokenizer that is nearly right gives silently wrong ids.
 */
#include "tokenizer/tokenizer_internal.h"

#include "base/io.h"
#include "base/mem.h"
#include "weights/weights.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int tokenizer_refuse(const struct json *j, json_ref v, const char *part,
                     struct err *err)
{
    struct buf type = { 0 };
    int rc;

    (void)json_text(j, json_get(j, v, "type"), &type);
    rc = err_set(err, ERR_UNSUPPORTED, "%s %.100s is not supported", part,
                 type.len ? type.data : "without a type");
    buf_release(&type);
    return rc;
}

bool tokenizer_string(const struct json *j, json_ref v, const char *key,
                      struct slice *out)
{
    struct buf text = { 0 };

    if (!json_text(j, json_get(j, v, key), &text)) {
        buf_release(&text);
        return false;
    }
    out->p = buf_take(&text, &out->n);
    return true;
}

bool tokenizer_flag(const struct json *j, json_ref v, const char *key,
                    bool otherwise)
{
    bool value;

    return json_bool(j, json_get(j, v, key), &value) ? value : otherwise;
}

bool tokenizer_type_is(const struct json *j, json_ref v, const char *type)
{
    return json_text_is(j, json_get(j, v, "type"), type);
}

/* Enter text under id in the model's map or that of added tokens; an id or a
 * text that is taken is refused. */
static int enter(struct tokenizer *t, struct map *to, struct slice text,
                 int64_t id, struct err *err)
{
    uint64_t *slot;
    bool added;

    if (id < 0 || (size_t)id >= TOKENIZER_MAX_VOCAB)
        return err_set(err, ERR_LIMIT, "token id %lld is not below %zu",
                       (long long)id, TOKENIZER_MAX_VOCAB);
    if (text.n > TOKENIZER_MAX_TOKEN)
        return err_set(err, ERR_LIMIT, "token %lld is longer than %zu bytes",
                       (long long)id, TOKENIZER_MAX_TOKEN);
    if ((size_t)id >= t->size) {
        size_t cap = t->size;
        void *tokens = t->tokens;

        mem_grow(&tokens, &cap, (size_t)id + 1, sizeof(*t->tokens));
        t->tokens = tokens;
        for (; t->size <= (size_t)id; t->size++)
            t->tokens[t->size] = (struct slice){ 0 };
    }
    slot = map_put(to, text.p ? text.p : "", text.n, &added);
    if (!added || t->tokens[id].p)
        return err_set(err, ERR_FORMAT, "token %lld is listed twice",
                       (long long)id);
    *slot = (uint64_t)id;
    t->tokens[id] = (struct slice){ slice_dup(text), text.n };
    return ERR_OK;
}

/* {"text": id} of BPE and WordPiece, or [["text", score]] of Unigram. */
static int load_vocab(struct tokenizer *t, const struct json *j, json_ref vocab,
                      bool list, struct err *err)
{
    struct buf text = { 0 };
    int64_t id = -1;
    int rc = ERR_OK;

    if (!json_is(j, vocab, list ? JSON_ARRAY : JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "the model has no vocab %s",
                       list ? "list" : "object");
    t->tokens = mem_array(json_count(j, vocab), sizeof(*t->tokens));
    for (json_ref e = json_first(j, vocab); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, vocab, e)) {
        buf_reset(&text);
        id++;
        if (!json_text(j, list ? json_at(j, e, 0) : json_key(j, e), &text))
            rc = err_set(err, ERR_FORMAT, "token %lld has no text",
                         (long long)id);
        else if (list || json_int(j, e, &id))
            rc = enter(t, t->vocab, buf_slice(&text), id, err);
        else
            rc =
                err_set(err, ERR_FORMAT, "id of token \"%.100s\" is no integer",
                        text.data ? text.data : "");
    }
    t->model_count = json_count(j, vocab);
    buf_release(&text);
    return rc;
}

/* The reference ignores the id in the file: a token of the vocabulary keeps
 * its id there, others get the next free one. */
static int64_t id_for_added(const struct tokenizer *t, struct slice content)
{
    const uint64_t *known = map_get(t->vocab, content.p, content.n);
    int64_t next = -1;

    if (known)
        return (int64_t)*known;
    for (size_t i = 0; i < t->added.count; i++)
        if (t->added.tokens[i].id > next)
            next = t->added.tokens[i].id;
    return next >= (int64_t)t->model_count ? next + 1 : (int64_t)t->model_count;
}

static int load_added_token(struct tokenizer *t, const struct json *j,
                            json_ref v, struct err *err)
{
    struct added *a = &t->added;
    struct added_token token = { 0 };
    void *tokens = a->tokens;
    int rc = ERR_OK;

    if (!tokenizer_string(j, v, "content", &token.content))
        return err_set(err, ERR_FORMAT, "an added token has no content");
    token.special = tokenizer_flag(j, v, "special", false);
    token.single_word = tokenizer_flag(j, v, "single_word", false);
    token.lstrip = tokenizer_flag(j, v, "lstrip", false);
    token.rstrip = tokenizer_flag(j, v, "rstrip", false);
    token.normalized = tokenizer_flag(j, v, "normalized", !token.special);
    for (size_t i = 0; i < a->count && token.content.n; i++)
        if (slice_eq(a->tokens[i].content, token.content))
            token.content.n = 0; /* listed before: the first one counts */
    if (!token.content.n) {
        free((void *)(uintptr_t)token.content.p);
        return ERR_OK;
    }
    token.id = (int32_t)id_for_added(t, token.content);
    if (!map_get(t->vocab, token.content.p, token.content.n))
        rc = enter(t, t->extra, token.content, token.id, err);
    mem_grow(&tokens, &a->cap, a->count + 1, sizeof(*a->tokens));
    a->tokens = tokens;
    a->tokens[a->count++] = token;
    return rc;
}

static int load_added(struct tokenizer *t, const struct json *j, json_ref list,
                      struct err *err)
{
    int rc = ERR_OK;

    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = load_added_token(t, j, e, err);
    if (rc < 0)
        return rc;
    rc = added_build(&t->added, &t->norm, err);
    if (rc < 0)
        return rc;
    t->by_id = mem_zalloc((t->size + 1) * sizeof(*t->by_id));
    for (size_t i = 0; i < t->added.count; i++)
        t->by_id[t->added.tokens[i].id] = &t->added.tokens[i];
    return ERR_OK;
}

static int add_template_ids(const struct tokenizer *t, const struct json *j,
                            json_ref ids, struct token_list *out,
                            struct err *err)
{
    for (json_ref e = json_first(j, ids); e != JSON_NONE;
         e = json_next(j, ids, e)) {
        int64_t id;

        if (!json_int(j, e, &id) || id < 0 || (size_t)id >= t->size)
            return err_set(err, ERR_FORMAT,
                           "post_processor TemplateProcessing names an "
                           "unknown id");
        token_list_add(out, (int32_t)id);
    }
    return ERR_OK;
}

/* One entry of "single": the sequence or a special token. */
static int template_entry(struct tokenizer *t, const struct json *j,
                          json_ref pp, json_ref e, bool *seen,
                          struct token_list *before, struct err *err)
{
    json_ref special = json_get(j, e, "SpecialToken"), ids = JSON_NONE;
    char *name;

    if (json_present(json_get(j, e, "Sequence"))) {
        if (*seen)
            return err_set(err, ERR_UNSUPPORTED,
                           "post_processor TemplateProcessing with two "
                           "sequences is not supported");
        *seen = true;
        return ERR_OK;
    }
    name = json_strdup(j, json_get(j, special, "id"));
    if (name)
        ids = json_find(j, pp, "special_tokens", name, "ids", NULL);
    free(name);
    if (!json_is(j, ids, JSON_ARRAY))
        return err_set(err, ERR_FORMAT,
                       "post_processor TemplateProcessing uses a special "
                       "token that it does not define");
    return add_template_ids(t, j, ids, *seen ? &t->after : before, err);
}

static int load_template(struct tokenizer *t, const struct json *j, json_ref v,
                         struct err *err)
{
    json_ref list = json_get(j, v, "single");
    struct token_list before = { 0 };
    bool seen = false;
    int rc = ERR_OK;

    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = template_entry(t, j, v, e, &seen, &before, err);
    if (rc == ERR_OK && !seen)
        rc = err_set(err, ERR_FORMAT,
                     "post_processor TemplateProcessing has no sequence");
    /* A later template wraps an earlier one. */
    for (size_t i = 0; i < t->before.count; i++)
        token_list_add(&before, t->before.ids[i]);
    token_list_release(&t->before);
    t->before = before;
    return rc;
}

/* ["text", id] of a special token. */
static int pair_id(const struct tokenizer *t, const struct json *j, json_ref v,
                   struct token_list *out, struct err *err)
{
    int64_t id;

    if (!json_int(j, json_at(j, v, 1), &id) || id < 0 || (size_t)id >= t->size)
        return err_set(err, ERR_FORMAT,
                       "a post_processor's cls or sep is an unknown id");
    token_list_add(out, (int32_t)id);
    return ERR_OK;
}

/* BertProcessing and RobertaProcessing: cls, the text, sep. */
static int load_pair(struct tokenizer *t, const struct json *j, json_ref v,
                     struct err *err)
{
    struct token_list before = { 0 };
    int rc = pair_id(t, j, json_get(j, v, "cls"), &before, err);

    for (size_t i = 0; i < t->before.count; i++)
        token_list_add(&before, t->before.ids[i]);
    token_list_release(&t->before);
    t->before = before;
    if (rc == ERR_OK)
        rc = pair_id(t, j, json_get(j, v, "sep"), &t->after, err);
    if (tokenizer_type_is(j, v, "RobertaProcessing"))
        t->trim_offsets |= tokenizer_flag(j, v, "trim_offsets", true);
    if (tokenizer_type_is(j, v, "RobertaProcessing"))
        t->trim_first = tokenizer_flag(j, v, "add_prefix_space", true);
    return rc;
}

static int load_post(struct tokenizer *t, const struct json *j, json_ref v,
                     struct err *err)
{
    json_ref list;
    int rc = ERR_OK;

    if (json_kind(j, v) == JSON_NULL)
        return ERR_OK;
    if (tokenizer_type_is(j, v, "TemplateProcessing"))
        return load_template(t, j, v, err);
    if (tokenizer_type_is(j, v, "BertProcessing") ||
        tokenizer_type_is(j, v, "RobertaProcessing"))
        return load_pair(t, j, v, err);
    if (tokenizer_type_is(j, v, "ByteLevel")) {
        t->trim_offsets |= tokenizer_flag(j, v, "trim_offsets", true);
        t->trim_first = tokenizer_flag(j, v, "add_prefix_space", true);
        return ERR_OK;
    }
    if (!tokenizer_type_is(j, v, "Sequence"))
        return tokenizer_refuse(j, v, "post_processor", err);
    list = json_get(j, v, "processors");
    for (json_ref e = json_first(j, list); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, list, e))
        rc = load_post(t, j, e, err);
    return rc;
}

/* Old files do not name their model's type. */
static const char *model_type(const struct json *j, json_ref model)
{
    static const char *const types[] = { "BPE", "Unigram", "WordPiece" };

    for (unsigned i = 0; i < 3; i++)
        if (tokenizer_type_is(j, model, types[i]))
            return types[i];
    if (json_present(json_get(j, model, "type")))
        return NULL;
    if (json_present(json_get(j, model, "merges")))
        return types[0];
    if (json_is(j, json_get(j, model, "vocab"), JSON_ARRAY))
        return types[1];
    return json_present(json_get(j, model, "continuing_subword_prefix"))
               ? types[2]
               : NULL;
}

static int load_model(struct tokenizer *t, const struct json *j, json_ref model,
                      struct err *err)
{
    const char *type = model_type(j, model);
    int rc;

    if (!type && json_present(json_get(j, model, "type")))
        return tokenizer_refuse(j, model, "model", err);
    if (!type)
        return err_set(err, ERR_UNSUPPORTED,
                       "a model without merges, scores or a prefix is not "
                       "supported (only BPE, Unigram and WordPiece)");
    if (t->pretok.byte_level && strcmp(type, "BPE") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "pre_tokenizer ByteLevel before model %s is not "
                       "supported",
                       type);
    rc = load_vocab(t, j, json_get(j, model, "vocab"), *type == 'U', err);
    if (rc < 0)
        return rc;
    if (*type == 'B')
        return bpe_load(&t->bpe, t, j, model, err);
    if (*type == 'U')
        return unigram_load(&t->unigram, t, j, model, err);
    return wordpiece_load(&t->wordpiece, t, j, model, err);
}

static int load_parts(struct tokenizer *t, const struct json *j,
                      struct err *err)
{
    json_ref model = json_get(j, 0, "model");
    int rc;

    if (!json_is(j, model, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "no model object");
    rc = norm_load(&t->norm, j, json_get(j, 0, "normalizer"), err);
    if (rc == ERR_OK)
        rc = pretok_load(&t->pretok, j, json_get(j, 0, "pre_tokenizer"), err);
    if (rc == ERR_OK)
        rc = decoder_load(&t->decoder, j, json_get(j, 0, "decoder"), err);
    if (rc == ERR_OK)
        rc = load_model(t, j, model, err);
    if (rc == ERR_OK)
        rc = load_added(t, j, json_get(j, 0, "added_tokens"), err);
    if (rc == ERR_OK)
        rc = load_post(t, j, json_get(j, 0, "post_processor"), err);
    return rc;
}

int tokenizer_open(const char *path, struct tokenizer **out, struct err *err)
{
    bool whole = io_is_dir(path) || weights_is_gguf(path);
    char *file = whole ? io_path(path, "tokenizer.json") : mem_strdup(path);
    struct tokenizer *t = mem_zalloc(sizeof(*t));
    struct json j = { 0 };
    struct buf text;
    int rc;

    buf_init(&text, 0);
    t->vocab = map_new();
    t->extra = map_new();
    t->classes = unicode_map_get();
    t->bytes = mem_alloc(sizeof(*t->bytes));
    atomic_init(t->bytes, NULL);
    t->idle = idle_memory_new();
    rc = whole
             ? weights_part(path, "tokenizer.json", JSON_MAX_BYTES, &text, err)
             : io_read_file(file, JSON_MAX_BYTES, &text, err);
    if (rc < 0)
        goto done;
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc == ERR_OK)
        rc = load_parts(t, &j, err);
    if (rc < 0)
        rc = err_wrap(err, "%s", file);
done:
    json_release(&j);
    buf_release(&text);
    free(file);
    if (rc < 0)
        tokenizer_free(t);
    else
        *out = t;
    return rc;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    norm_release(&t->norm);
    pretok_release(&t->pretok);
    added_release(&t->added);
    decoder_release(&t->decoder);
    bpe_free(t->bpe);
    unigram_free(t->unigram);
    wordpiece_free(t->wordpiece);
    map_free(t->vocab);
    map_free(t->extra);
    for (size_t i = 0; i < t->size; i++)
        free((void *)(uintptr_t)t->tokens[i].p);
    free(t->tokens);
    free(t->by_id);
    token_list_release(&t->before);
    token_list_release(&t->after);
    decode_table_free(atomic_load(t->bytes));
    free(t->bytes);
    idle_memory_free(t->idle);
    free(t);
}

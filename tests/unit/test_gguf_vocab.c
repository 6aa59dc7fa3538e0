/*
 * test_gguf_vocab.c - tokenizers inside GGUF files: WordPiece with the goldens
 * of the tokenizer.json it was made from, Unigram, lists of splitting patterns
 */
#include "scratch.h"
#include "suite.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/reference/tokenizers/bert"
#define BLOCK "\xE2\x96\x81"

static char dir[SCRATCH_MAX];
static struct err err;

static void make_dir(void)
{
    scratch_make(dir);
}

static void remove_dir(void)
{
    scratch_remove(dir);
}

/* Metadata being written: count is put in front at the end. */
static struct buf body;
static uint64_t keys;

static void put_text(const char *s)
{
    bytes_put_u64(&body, strlen(s));
    buf_str(&body, s);
}

static void put_key(const char *key, uint32_t type)
{
    put_text(key);
    bytes_put_u32(&body, type);
    keys++;
}

static void put_string(const char *key, const char *value)
{
    put_key(key, 8);
    put_text(value);
}

static void put_id(const char *key, uint32_t id)
{
    put_key(key, 4);
    bytes_put_u32(&body, id);
}

static void put_flag(const char *key, bool on)
{
    put_key(key, 7);
    buf_char(&body, (char)on);
}

static void put_array(const char *key, uint32_t type, uint64_t n)
{
    put_key(key, 9);
    bytes_put_u32(&body, type);
    bytes_put_u64(&body, n);
}

static void put_strings(const char *key, const char *const *s, size_t n)
{
    put_array(key, 8, n);
    for (size_t i = 0; i < n; i++)
        put_text(s[i]);
}

static char *save(void)
{
    char *path = io_path(dir, "vocab.gguf");
    struct buf all = { 0 };

    buf_str(&all, "GGUF");
    bytes_put_u32(&all, 3);
    bytes_put_u64(&all, 0);
    bytes_put_u64(&all, keys);
    buf_add(&all, body.data, body.len);
    while (all.len % 32)
        buf_char(&all, 0);
    ck_assert_int_eq(io_write_file(path, all.data, all.len, 0644, &err), 0);
    buf_release(&all);
    buf_release(&body);
    keys = 0;
    return path;
}

static struct tokenizer *open_saved(void)
{
    struct tokenizer *t = NULL;
    char *path = save();

    ck_assert_msg(tokenizer_open(path, &t, &err) == 0, "%s", err.msg);
    free(path);
    return t;
}

static void expect_ids(const struct tokenizer *t, const char *text,
                       unsigned flags, const int32_t *want, size_t n)
{
    struct token_list ids = { 0 };

    ck_assert_int_eq(
        tokenizer_encode(t, slice_of(text), flags, &ids, NULL, &err), 0);
    ck_assert_msg(ids.count == n, "%s: %zu ids", text, ids.count);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(ids.ids[i] == want[i], "%s: id %zu is %d, not %d", text,
                      i, ids.ids[i], want[i]);
    token_list_release(&ids);
}

static void load(const char *path, struct buf *text, struct json *j)
{
    ck_assert_msg(io_read_file(path, 1 << 22, text, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(json_parse(j, text->data, text->len, &err), 0);
}

/* The vocabulary as llama.cpp's converter spells it. */
static char *phantom(const char *word)
{
    size_t n = strlen(word);

    if (n > 1 && word[0] == '[' && word[n - 1] == ']')
        return mem_strdup(word);
    return strncmp(word, "##", 2) == 0 ? mem_strdup(word + 2)
                                       : mem_printf(BLOCK "%s", word);
}

static void put_words(const struct json *j)
{
    json_ref vocab = json_find(j, 0, "model", "vocab", NULL);
    json_ref added = json_get(j, 0, "added_tokens");
    size_t n = json_count(j, vocab);
    char **words = mem_zalloc(n * sizeof(*words));
    int32_t *types = mem_zalloc(n * sizeof(*types));
    int64_t id = -1;

    for (json_ref e = json_first(j, vocab); e != JSON_NONE;
         e = json_next(j, vocab, e)) {
        char *word = json_strdup(j, json_key(j, e));

        ck_assert(json_int(j, e, &id) && id >= 0 && (size_t)id < n);
        words[id] = phantom(word);
        types[id] = 1;
        free(word);
    }
    for (json_ref e = json_first(j, added); e != JSON_NONE;
         e = json_next(j, added, e)) {
        ck_assert(json_int(j, json_get(j, e, "id"), &id));
        types[id] = 3;
    }
    put_strings("tokenizer.ggml.tokens", (const char *const *)words, n);
    put_array("tokenizer.ggml.token_type", 5, n);
    for (size_t i = 0; i < n; i++)
        bytes_put_u32(&body, (uint32_t)types[i]);
    for (size_t i = 0; i < n; i++)
        free(words[i]);
    free(words);
    free(types);
}

static bool golden_holds(const struct tokenizer *t, const struct json *j,
                         const char *member, unsigned flags)
{
    json_ref list = json_get(j, 0, member);
    struct token_list ids = { 0 };
    struct buf text = { 0 };
    int64_t want = -1;
    bool same;

    (void)json_text(j, json_get(j, 0, "text"), &text);
    ck_assert_int_eq(
        tokenizer_encode(t, buf_slice(&text), flags, &ids, NULL, &err), 0);
    same = ids.count == json_count(j, list);
    for (size_t i = 0; same && i < ids.count; i++)
        same = json_int(j, json_at(j, list, i), &want) && want == ids.ids[i];
    token_list_release(&ids);
    buf_release(&text);
    return same;
}

START_TEST(word_piece_gives_its_goldens)
{
    struct buf text = { 0 }, golden = { 0 };
    struct json j = { 0 };
    struct tokenizer *t;
    unsigned lines = 0, bad = 0;

    load(GOLDEN ".json", &text, &j);
    put_string("tokenizer.ggml.model", "bert");
    put_words(&j);
    put_id("tokenizer.ggml.unknown_token_id", 1);
    put_id("tokenizer.ggml.cls_token_id", 2);
    put_id("tokenizer.ggml.seperator_token_id", 3);
    json_release(&j);
    t = open_saved();
    ck_assert_int_eq(
        io_read_file(GOLDEN ".golden.jsonl", 1 << 22, &golden, &err), 0);
    for (const char *p = golden.data, *end; *p; p = end + 1, lines++) {
        end = strchr(p, '\n');
        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        bad += !golden_holds(t, &j, "ids", 0) ||
               !golden_holds(t, &j, "ids_special", TOKENIZER_SPECIAL);
        json_release(&j);
    }
    ck_assert_uint_ge(lines, 50);
    ck_assert_uint_eq(bad, 0);
    tokenizer_free(t);
    buf_release(&text);
    buf_release(&golden);
}
END_TEST

static const char *const pieces[] = { "<pad>",   "</s>",     "<unk>", BLOCK,
                                      BLOCK "a", BLOCK "ab", "a",     "b",
                                      "bb",      "<0x0A>" };
static const float scores[] = { 0, 0, 0, -2, -3, -6, -4, -3, -5, -9 };
static const uint32_t kinds[] = { 3, 3, 2, 1, 1, 1, 1, 1, 1, 6 };

static void put_pieces(const char *model)
{
    put_string("tokenizer.ggml.model", model);
    put_strings("tokenizer.ggml.tokens", pieces, 10);
    put_array("tokenizer.ggml.scores", 6, 10);
    bytes_put_floats(&body, scores, 10);
    put_array("tokenizer.ggml.token_type", 5, 10);
    for (size_t i = 0; i < 10; i++)
        bytes_put_u32(&body, kinds[i]);
    put_id("tokenizer.ggml.eos_token_id", 1);
}

/* "_ab" at -6 against "_a" and "b" at -6: the best sum decides. */
START_TEST(unigram_takes_the_best_sum)
{
    const int32_t one[] = { 4, 8 }, ended[] = { 4, 4, 1 }, spaces[] = { 4, 4 };
    struct tokenizer *t;

    put_pieces("t5");
    put_flag("tokenizer.ggml.add_space_prefix", true);
    put_flag("tokenizer.ggml.remove_extra_whitespaces", true);
    t = open_saved();
    expect_ids(t, "abb", 0, one, 2);
    expect_ids(t, "  a   a ", 0, spaces, 2);
    expect_ids(t, "a a", TOKENIZER_SPECIAL, ended, 3);
    tokenizer_free(t);
}
END_TEST

static const char *const bytes[] = { "1", "2", "3", "4", "12", "123", "1234" };
static const char *const merges[] = { "1 2", "12 3", "123 4" };

static struct tokenizer *open_bytes(const char *pre)
{
    put_string("tokenizer.ggml.model", "gpt2");
    put_string("tokenizer.ggml.pre", pre);
    put_strings("tokenizer.ggml.tokens", bytes, 7);
    put_strings("tokenizer.ggml.merges", merges, 3);
    return open_saved();
}

START_TEST(lists_of_patterns_cut_one_after_the_other)
{
    const int32_t whole[] = { 6 }, three[] = { 5, 3 };
    const int32_t each[] = { 0, 1, 2, 3 };
    const struct {
        const char *pre;
        const int32_t *want;
        size_t n;
    } all[] = { { "gpt-2", whole, 1 },       { "falcon", three, 2 },
                { "default", three, 2 },     { "deepseek-coder", each, 4 },
                { "deepseek-v3", three, 2 }, { "starcoder", each, 4 },
                { "bloom", whole, 1 },       { "viking", each, 4 },
                { "lfm2", three, 2 } };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct tokenizer *t = open_bytes(all[i].pre);

        expect_ids(t, "1234", 0, all[i].want, all[i].n);
        tokenizer_free(t);
    }
}
END_TEST

static void expect_refused(const char *message)
{
    struct tokenizer *t = NULL;
    char *path = save();

    ck_assert_int_lt(tokenizer_open(path, &t, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
    free(path);
}

START_TEST(what_is_not_known_is_refused_by_name)
{
    put_pieces("rwkv");
    expect_refused("tokenizer.ggml.model \"rwkv\" is not supported; known: "
                   "gpt2 llama t5 bert");
    put_string("tokenizer.ggml.model", "gpt2");
    put_string("tokenizer.ggml.pre", "kimi-k2");
    put_strings("tokenizer.ggml.tokens", bytes, 7);
    expect_refused("tokenizer.ggml.pre \"kimi-k2\" is not supported");
    put_string("tokenizer.ggml.model", "none");
    expect_refused("no tokenizer in its metadata");
    put_string("tokenizer.ggml.model", "t5");
    put_strings("tokenizer.ggml.tokens", pieces, 10);
    expect_refused("no tokenizer.ggml.scores");
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("gguf_vocab");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, word_piece_gives_its_goldens);
    tcase_add_test(c, unigram_takes_the_best_sum);
    tcase_add_test(c, lists_of_patterns_cut_one_after_the_other);
    tcase_add_test(c, what_is_not_known_is_refused_by_name);
    return suite_run("gguf_vocab", c);
}

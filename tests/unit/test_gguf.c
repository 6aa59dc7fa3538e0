/*
 * test_gguf.c - GGUF files: what is read, what is refused and how, what is
 * written. Malformed files are built here, one rule broken in each.
 */
#include "scratch.h"
#include "suite.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[SCRATCH_MAX];

static void make_dir(void)
{
    scratch_make(dir);
}

static void remove_dir(void)
{
    scratch_remove(dir);
}

static void put_text(struct buf *b, const char *s)
{
    bytes_put_u64(b, strlen(s));
    buf_str(b, s);
}

static void put_head(struct buf *b, uint32_t version, uint64_t tensors,
                     uint64_t keys)
{
    buf_str(b, "GGUF");
    bytes_put_u32(b, version);
    bytes_put_u64(b, tensors);
    bytes_put_u64(b, keys);
}

static void put_u32(struct buf *b, const char *key, uint32_t v)
{
    put_text(b, key);
    bytes_put_u32(b, 4);
    bytes_put_u32(b, v);
}

/* A tensor of one dimension, or two if rows. */
static void put_info(struct buf *b, const char *name, uint64_t row,
                     uint64_t rows, uint32_t type, uint64_t offset)
{
    put_text(b, name);
    bytes_put_u32(b, rows ? 2 : 1);
    bytes_put_u64(b, row);
    if (rows)
        bytes_put_u64(b, rows);
    bytes_put_u32(b, type);
    bytes_put_u64(b, offset);
}

static void put_data(struct buf *b, size_t n)
{
    while (b->len % 32)
        buf_char(b, 0);
    for (size_t i = 0; i < n; i++)
        buf_char(b, (char)i);
}

static char *save(const char *name, const struct buf *b)
{
    char *path = io_path(dir, name);
    struct err err;

    ck_assert_int_eq(io_write_file(path, b->data, b->len, 0644, &err), 0);
    return path;
}

/* Takes b's bytes. */
static void expect_refused(struct buf *b, const char *message)
{
    char *path = save("bad.gguf", b);
    struct weights *w = NULL;
    struct err err = { 0 };

    ck_assert_msg(weights_open(path, &w, &err) < 0, "wanted \"%s\"", message);
    ck_assert_ptr_null(w);
    ck_assert_msg(strstr(err.msg, "bad.gguf"), "%s", err.msg);
    ck_assert_msg(strstr(err.msg, message), "wanted \"%s\", got \"%s\"",
                  message, err.msg);
    ck_assert_ptr_null(strchr(err.msg, '\n'));
    free(path);
    buf_release(b);
}

START_TEST(malformed_headers_are_refused)
{
    struct buf b = { 0 };

    buf_str(&b, "GGUF");
    expect_refused(&b, "the file ends in the header");
    put_head(&b, 1, 0, 0);
    expect_refused(&b, "GGUF version 1 is not supported");
    put_head(&b, 0x03000000, 0, 0);
    expect_refused(&b, "little-endian");
    put_head(&b, 3, 0, UINT64_MAX);
    expect_refused(&b, "metadata keys, at most 65536");
    put_head(&b, 3, 0, 65536);
    expect_refused(&b, "the file ends in the metadata");
    put_head(&b, 3, UINT64_MAX, 0);
    expect_refused(&b, "tensors, at most 1048576");
    put_head(&b, 3, 1000000, 0);
    expect_refused(&b, "the file ends in the tensor infos");
}
END_TEST

START_TEST(malformed_metadata_are_refused)
{
    struct buf b = { 0 };

    put_head(&b, 3, 0, 1);
    bytes_put_u64(&b, UINT64_MAX);
    put_data(&b, 64);
    expect_refused(&b, "byte 24: a key of 18446744073709551615 bytes");
    put_head(&b, 3, 0, 1);
    put_text(&b, "");
    put_data(&b, 64);
    expect_refused(&b, "the key is no text");
    put_head(&b, 3, 0, 1);
    put_text(&b, "k\xFF");
    put_data(&b, 64);
    expect_refused(&b, "the key is no text");
    put_head(&b, 3, 0, 1);
    put_text(&b, "key");
    bytes_put_u32(&b, 13);
    put_data(&b, 64);
    expect_refused(&b, "key \"key\": unknown type 13");
    put_head(&b, 3, 0, 1);
    put_text(&b, "key");
    bytes_put_u32(&b, 9);
    bytes_put_u32(&b, 9);
    put_data(&b, 64);
    expect_refused(&b, "an array of arrays is not supported");
    put_head(&b, 3, 0, 1);
    put_text(&b, "key");
    bytes_put_u32(&b, 9);
    bytes_put_u32(&b, 4);
    bytes_put_u64(&b, (uint64_t)1 << 40);
    expect_refused(&b, "elements, at most 67108864");
    put_head(&b, 3, 0, 1);
    put_text(&b, "key");
    bytes_put_u32(&b, 9);
    bytes_put_u32(&b, 8);
    bytes_put_u64(&b, 1000);
    expect_refused(&b, "the file ends in an array of strings");
    put_head(&b, 3, 0, 1);
    put_text(&b, "key");
    bytes_put_u32(&b, 4);
    expect_refused(&b, "the file ends in");
    put_head(&b, 3, 0, 2);
    put_u32(&b, "key", 1);
    put_u32(&b, "key", 1);
    expect_refused(&b, "key \"key\" appears twice");
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t wrong[] = { 0, 33, 1u << 20 };

        put_head(&b, 3, 0, 1);
        put_u32(&b, "general.alignment", wrong[i]);
        expect_refused(&b, "general.alignment must be a power of two");
    }
}
END_TEST

/* One tensor "t" of this kind over 64 bytes of data. */
static void one_tensor(struct buf *b, uint64_t row, uint64_t rows,
                       uint32_t type, uint64_t offset)
{
    put_head(b, 3, 1, 0);
    put_info(b, "t", row, rows, type, offset);
    put_data(b, 64);
}

START_TEST(malformed_tensors_are_refused)
{
    struct buf b = { 0 };
    char name[66] = { 0 };

    one_tensor(&b, 16, 0, 99, 0);
    expect_refused(&b, "tensor \"t\": type 99 is not supported");
    one_tensor(&b, 17, 0, 0, 0);
    expect_refused(&b, "tensor \"t\": its data lie outside the file");
    one_tensor(&b, 8, 0, 0, 8);
    expect_refused(&b, "tensor \"t\": its offset is not aligned");
    one_tensor(&b, 8, 0, 0, (uint64_t)1 << 62);
    expect_refused(&b, "its data lie outside the file");
    one_tensor(&b, 33, 0, 8, 0);
    expect_refused(&b, "a row is no whole number of blocks");
    one_tensor(&b, (uint64_t)1 << 40, (uint64_t)1 << 40, 0, 0);
    expect_refused(&b, "its shape overflows");
    one_tensor(&b, UINT64_MAX, 0, 0, 0);
    expect_refused(&b, "a dimension is above 2^63 - 1");
    put_head(&b, 3, 1, 0);
    put_text(&b, "t");
    bytes_put_u32(&b, 5);
    put_data(&b, 64);
    expect_refused(&b, "more than 4 dimensions");
    put_head(&b, 3, 1, 0);
    memset(name, 'n', 65);
    put_info(&b, name, 1, 0, 0, 0);
    put_data(&b, 64);
    expect_refused(&b, "a tensor's name of 65 bytes, at most 64");
    put_head(&b, 3, 2, 0);
    put_info(&b, "t", 8, 0, 0, 0);
    put_info(&b, "t", 8, 0, 0, 32);
    put_data(&b, 64);
    expect_refused(&b, "tensor \"t\": appears twice");
    put_head(&b, 3, 2, 0);
    put_info(&b, "a", 16, 0, 0, 0);
    put_info(&b, "b", 8, 0, 0, 32);
    put_data(&b, 64);
    expect_refused(&b, "overlaps another tensor");
}
END_TEST

START_TEST(rows_that_do_not_fit_the_heads_are_refused)
{
    struct buf b = { 0 };

    put_head(&b, 3, 1, 2);
    put_text(&b, "general.architecture");
    bytes_put_u32(&b, 8);
    put_text(&b, "llama");
    put_u32(&b, "llama.attention.head_count", 3);
    put_info(&b, "blk.0.attn_q.weight", 4, 4, 0, 0);
    put_data(&b, 64);
    expect_refused(&b, "its rows do not fit attention.head_count");
}
END_TEST

START_TEST(every_prefix_of_a_file_is_refused)
{
    struct buf b = { 0 };
    size_t whole;
    struct err err;

    put_head(&b, 3, 2, 2);
    put_text(&b, "list");
    bytes_put_u32(&b, 9);
    bytes_put_u32(&b, 8);
    bytes_put_u64(&b, 2);
    put_text(&b, "one");
    put_text(&b, "two");
    put_u32(&b, "general.alignment", 32);
    put_info(&b, "a", 32, 1, 8, 0);
    put_info(&b, "b", 8, 0, 0, 64);
    put_data(&b, 96);
    whole = b.len;
    for (size_t n = 4; n <= whole; n++) {
        struct buf part = { 0 };
        struct weights *w = NULL;
        char *path;
        int rc;

        buf_add(&part, b.data, n);
        path = save("part.gguf", &part);
        rc = weights_open(path, &w, &err);
        ck_assert_msg((rc == 0) == (n == whole), "%zu of %zu: %s", n, whole,
                      err.msg);
        weights_close(w);
        buf_release(&part);
        free(path);
    }
    buf_release(&b);
}
END_TEST

#define CONFIG                                                                 \
    "{\"model_type\":\"%s\",\"hidden_size\":32,\"num_attention_heads\":2,"     \
    "\"num_key_value_heads\":1,\"num_hidden_layers\":1,\"vocab_size\":4,"      \
    "\"intermediate_size\":64,\"tie_word_embeddings\":true%s}"

static void write_config(const char *type, const char *more)
{
    char *path = io_path(dir, "config.json"), *text;
    struct err err;

    text = mem_printf(CONFIG, type, more);
    ck_assert_int_eq(io_write_file(path, text, strlen(text), 0644, &err), 0);
    free(text);
    free(path);
}

static float values[64 * 32];

static void write_weights(void)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
    } shapes[] = {
        { "model.embed_tokens.weight", 4, 32 },
        { "model.layers.0.self_attn.q_proj.weight", 32, 32 },
        { "model.layers.0.self_attn.k_proj.weight", 16, 32 },
        { "model.layers.0.mlp.down_proj.weight", 32, 64 },
        { "model.layers.0.input_layernorm.weight", 32, 0 },
    };
    struct weights_tensor t[5];
    struct err err;

    for (size_t i = 0; i < 64 * 32; i++)
        values[i] = sinf((float)i);
    for (size_t i = 0; i < 5; i++) {
        int64_t cols = shapes[i].cols ? shapes[i].cols : 1;

        t[i] = (struct weights_tensor){ .name = shapes[i].name,
                                        .type = WEIGHTS_F32,
                                        .dims = shapes[i].cols ? 2 : 1,
                                        .shape = { shapes[i].rows, cols },
                                        .data = values };
        t[i].bytes = (size_t)(shapes[i].rows * cols) * 4;
    }
    ck_assert_int_eq(weights_write_dir(dir, t, 5, 0, &err), 0);
}

static char *write_gguf(enum weights_type type)
{
    struct weights_gguf opt = { .type = type, .name = "test" };
    char *path = io_path(dir, "out.gguf");
    struct err err;

    ck_assert_msg(weights_gguf_write(dir, &opt, path, &err) == 0, "%s",
                  err.msg);
    return path;
}

static void compare_values(const char *path, double most)
{
    struct weights *w;
    struct err err;

    ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(weights_count(w), 5);
    for (size_t i = 0; i < 5; i++) {
        const struct weights_tensor *t = weights_at(w, i);
        size_t n = (size_t)weights_elements(t);
        float *x = mem_array(n, sizeof(*x));

        ck_assert(strncmp(t->name, "model.", 6) == 0);
        ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
        for (size_t k = 0; k < n; k++)
            ck_assert_msg(fabs((double)x[k] - (double)values[k]) <= most,
                          "%s %zu: %g", t->name, k, (double)x[k]);
        free(x);
    }
    weights_close(w);
}

START_TEST(written_files_read_back_with_the_checkpoints_names_and_rows)
{
    static const struct {
        enum weights_type type;
        double most;
    } cases[] = { { WEIGHTS_F32, 0 },     { WEIGHTS_F16, 1e-3 },
                  { WEIGHTS_BF16, 5e-3 }, { WEIGHTS_Q8_0, 6e-3 },
                  { WEIGHTS_Q4_0, 0.15 }, { WEIGHTS_Q6_K, 0.03 } };

    write_config("llama", "");
    write_weights();
    for (size_t i = 0; i < 6; i++) {
        char *path = write_gguf(cases[i].type);

        compare_values(path, cases[i].most);
        free(path);
    }
}
END_TEST

START_TEST(shifted_norms_come_back)
{
    char *path;

    write_config("gemma2", ",\"head_dim\":16,\"query_pre_attn_scalar\":16");
    write_weights();
    path = write_gguf(WEIGHTS_F32);
    compare_values(path, 1e-6);
    free(path);
}
END_TEST

static void config_number(const char *path, const char *key, double want)
{
    struct buf text = { 0 };
    struct json j = { 0 };
    struct err err;
    double got;

    ck_assert_msg(weights_part(path, "config.json", 1 << 20, &text, &err) == 0,
                  "%s", err.msg);
    ck_assert_int_eq(json_parse(&j, text.data, text.len, &err), 0);
    ck_assert_msg(json_double(&j, json_get(&j, 0, key), &got), "%s", key);
    ck_assert_double_eq(got, want);
    json_release(&j);
    buf_release(&text);
}

START_TEST(metadata_come_back_as_a_config)
{
    char *path;

    write_config("llama", ",\"rms_norm_eps\":1e-5,\"rope_theta\":500000,"
                          "\"bos_token_id\":1,\"eos_token_id\":[2,3]");
    write_weights();
    path = write_gguf(WEIGHTS_F32);
    config_number(path, "hidden_size", 32);
    config_number(path, "head_dim", 16);
    config_number(path, "num_key_value_heads", 1);
    config_number(path, "rms_norm_eps", 1e-5);
    config_number(path, "rope_theta", 500000);
    config_number(path, "vocab_size", 4);
    free(path);
}
END_TEST

static bool scaling_is(const char *path, const char *type)
{
    struct buf text = { 0 };
    struct json j = { 0 };
    struct err err;
    bool is;

    ck_assert_msg(weights_part(path, "config.json", 1 << 20, &text, &err) == 0,
                  "%s", err.msg);
    ck_assert_int_eq(json_parse(&j, text.data, text.len, &err), 0);
    is = json_text_is(
        &j, json_get(&j, json_get(&j, 0, "rope_scaling"), "rope_type"), type);
    json_release(&j);
    buf_release(&text);
    return is;
}

/* The rule by its factors where software knows it, else the factors. */
START_TEST(factors_of_frequencies_come_back)
{
    static const char spelled[] =
        ",\"rope_theta\":500000,\"rope_scaling\":{\"rope_type\":\"llama3\","
        "\"factor\":8,\"low_freq_factor\":%s,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":%s}";
    static const struct {
        const char *low, *original, *type;
    } cases[] = { { "1", "16", "llama3" },
                  { "1", "8192", "llama3" },
                  { "1", "100", "longrope" },
                  { "1.5", "64", "longrope" } };

    write_weights();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *more = mem_printf(spelled, cases[i].low, cases[i].original);
        char *path;

        write_config("llama", more);
        path = write_gguf(WEIGHTS_F32);
        ck_assert_msg(scaling_is(path, cases[i].type), "%s", more);
        free(path);
        free(more);
    }
}
END_TEST

static void expect_head(const float *data, bool there)
{
    struct weights_tensor t[2] = {
        { .name = "model.embed_tokens.weight", .data = values },
        { .name = "lm_head.weight", .data = data },
    };
    struct weights *w;
    struct err err;
    char *path;

    for (size_t i = 0; i < 2; i++) {
        t[i].type = WEIGHTS_F32;
        t[i].dims = 2;
        t[i].shape[0] = 4;
        t[i].shape[1] = 32;
        t[i].bytes = (size_t)4 * 32 * 4;
    }
    ck_assert_int_eq(weights_write_dir(dir, t, 2, 0, &err), 0);
    path = write_gguf(WEIGHTS_F32);
    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    ck_assert((weights_find(w, "lm_head.weight") != NULL) == there);
    weights_close(w);
    free(path);
}

START_TEST(a_head_of_its_own_is_written_though_the_config_ties_it)
{
    write_config("llama", "");
    write_weights();
    expect_head(values, false);
    expect_head(values + 32, true);
}
END_TEST

static void expect_no_place(const char *type, const char *more,
                            const char *message)
{
    struct weights_gguf opt = { .type = WEIGHTS_F32 };
    char *path = io_path(dir, "refused.gguf");
    struct err err;

    write_config(type, more);
    ck_assert_int_lt(weights_gguf_write(dir, &opt, path, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "wanted \"%s\", got \"%s\"",
                  message, err.msg);
    ck_assert(!io_exists(path));
    free(path);
}

START_TEST(what_gguf_cannot_say_is_refused)
{
    write_weights();
    expect_no_place("bloom", "", "model_type \"bloom\" is not supported");
    expect_no_place("llama", ",\"hidden_act\":\"gelu\"", "the activation");
    expect_no_place("llama", ",\"rope_scaling\":{\"type\":\"yarn\"}",
                    "rope_type");
    expect_no_place("mistral", ",\"sliding_window\":16", "sliding_window");
    expect_no_place("qwen2", ",\"use_sliding_window\":true",
                    "use_sliding_window");
    expect_no_place("gemma2", ",\"head_dim\":16,\"query_pre_attn_scalar\":0",
                    "query_pre_attn_scalar");
    expect_no_place("smollm3", ",\"no_rope_layers\":[0]", "no_rope_layers");
}
END_TEST

/* No key says what queries are divided by: llama.cpp divides by 4 here. */
START_TEST(an_attention_scale_of_its_own_goes_into_the_queries)
{
    const struct weights_tensor *t;
    struct weights *w;
    struct err err;
    float x[32 * 32];
    char *path;

    write_config("gemma2", ",\"head_dim\":16,\"query_pre_attn_scalar\":4,"
                           "\"hidden_activation\":\"gelu_pytorch_tanh\"");
    write_weights();
    path = write_gguf(WEIGHTS_F32);
    config_number(path, "query_pre_attn_scalar", 16);
    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    t = weights_find(w, "model.layers.0.self_attn.q_proj.weight");
    ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
    for (size_t i = 0; i < 32 * 32; i++)
        ck_assert_float_eq(x[i], 2 * values[i]);
    t = weights_find(w, "model.layers.0.self_attn.k_proj.weight");
    ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
    ck_assert_float_eq(x[5], values[5]);
    weights_close(w);
    free(path);
}
END_TEST

static char *save_layers(uint32_t second)
{
    struct buf b = { 0 };
    char *path;

    put_head(&b, 3, 0, 6);
    put_text(&b, "general.architecture");
    bytes_put_u32(&b, 8);
    put_text(&b, "phi3");
    put_u32(&b, "phi3.block_count", 2);
    put_u32(&b, "phi3.embedding_length", 32);
    put_u32(&b, "phi3.attention.head_count", 4);
    put_u32(&b, "phi3.attention.sliding_window", 0);
    put_text(&b, "phi3.attention.head_count_kv");
    bytes_put_u32(&b, 9);
    bytes_put_u32(&b, 4);
    bytes_put_u64(&b, 2);
    bytes_put_u32(&b, 2);
    bytes_put_u32(&b, second);
    put_data(&b, 0);
    path = save("layers.gguf", &b);
    buf_release(&b);
    return path;
}

/* llama.cpp's converter writes one number a layer, and 0 for no window. */
START_TEST(numbers_of_layers_are_one_where_they_agree)
{
    char *path = save_layers(2);
    struct buf text = { 0 };
    struct err err;

    config_number(path, "num_key_value_heads", 2);
    ck_assert_int_eq(weights_part(path, "config.json", 1 << 20, &text, &err),
                     0);
    ck_assert_ptr_null(memmem(text.data, text.len, "sliding_window",
                              strlen("sliding_window")));
    free(path);
    path = save_layers(0);
    ck_assert_int_eq(weights_part(path, "config.json", 1 << 20, &text, &err),
                     ERR_UNSUPPORTED);
    ck_assert(strstr(err.msg, "head_count_kv"));
    buf_release(&text);
    free(path);
}
END_TEST

START_TEST(shards_are_written_with_an_index_and_replace_each_other)
{
    char *single = io_path(dir, "model.safetensors");
    char *index = io_path(dir, "model.safetensors.index.json");
    char before[WEIGHTS_HASH_TEXT], after[WEIGHTS_HASH_TEXT];
    const struct weights_tensor *t;
    struct weights *w, *again;
    struct err err;

    write_weights();
    ck_assert_int_eq(weights_open(single, &w, &err), 0);
    ck_assert_int_eq(weights_hash(w, before, &err), 0);
    t = weights_at(w, 0);
    ck_assert_msg(weights_write_dir(dir, t, 5, 5000, &err) == 0, "%s", err.msg);
    ck_assert(io_exists(index));
    ck_assert(!io_exists(single));
    ck_assert_msg(weights_open(dir, &again, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(weights_hash(again, after, &err), 0);
    ck_assert_str_eq(before, after);
    weights_close(again);
    ck_assert_int_eq(weights_write_dir(dir, t, 5, 0, &err), 0);
    ck_assert(io_exists(single));
    ck_assert(!io_exists(index));
    weights_close(w);
    free(single);
    free(index);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("gguf");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, malformed_headers_are_refused);
    tcase_add_test(c, malformed_metadata_are_refused);
    tcase_add_test(c, malformed_tensors_are_refused);
    tcase_add_test(c, rows_that_do_not_fit_the_heads_are_refused);
    tcase_add_test(c, every_prefix_of_a_file_is_refused);
    tcase_add_test(c,
                   written_files_read_back_with_the_checkpoints_names_and_rows);
    tcase_add_test(c, shifted_norms_come_back);
    tcase_add_test(c, metadata_come_back_as_a_config);
    tcase_add_test(c, factors_of_frequencies_come_back);
    tcase_add_test(c, a_head_of_its_own_is_written_though_the_config_ties_it);
    tcase_add_test(c, what_gguf_cannot_say_is_refused);
    tcase_add_test(c, numbers_of_layers_are_one_where_they_agree);
    tcase_add_test(c, an_attention_scale_of_its_own_goes_into_the_queries);
    tcase_add_test(c, shards_are_written_with_an_index_and_replace_each_other);
    return suite_run("gguf", c);
}

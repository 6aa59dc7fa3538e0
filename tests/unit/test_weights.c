/*
 * test_weights.c - safetensors: what is read, what is refused and how, what
 * is written. Malformed files are built here, one rule broken in each.
 */
#include "scratch.h"
#include "suite.h"

#include "base/half.h"
#include "base/io.h"
#include "base/mem.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[SCRATCH_MAX];

static void make_dir(void)
{
    scratch_make(dir);
}

static void remove_dir(void)
{
    scratch_remove(dir);
}

static char *in_dir(const char *name)
{
    return io_path(dir, name);
}

/* A file of the given header and n data bytes 0, 1, 2... */
static char *put_file(const char *name, const char *header, size_t n)
{
    char *path = in_dir(name);
    struct buf b = { 0 };
    uint64_t length = strlen(header);
    struct err err = { 0 };

    buf_add(&b, &length, 8);
    buf_str(&b, header);
    for (size_t i = 0; i < n; i++)
        buf_char(&b, (char)i);
    ck_assert_int_eq(io_write_file(path, b.data, b.len, 0644, &err), 0);
    buf_release(&b);
    return path;
}

static void expect_refused(const char *header, size_t n, const char *message)
{
    char *path = put_file("bad.safetensors", header, n);
    struct weights *w = NULL;
    struct err err = { 0 };

    ck_assert_int_lt(weights_open(path, &w, &err), 0);
    ck_assert_ptr_null(w);
    ck_assert_msg(strstr(err.msg, "bad.safetensors"), "%s", err.msg);
    ck_assert_msg(strstr(err.msg, message), "wanted \"%s\", got \"%s\"",
                  message, err.msg);
    free(path);
}

#define ONE(body) "{\"a\":{" body "}}"
#define F32_2 "\"dtype\":\"F32\",\"shape\":[2],"

START_TEST(malformed_files_are_refused_by_name)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *message;
    } bad[] = {
        { "", 0, "does not begin with {" },
        { " {}", 0, "does not begin with {" },
        { "{", 0, "header: byte" },
        { "{}x", 0, "header: byte" },
        { "{}", 4, "4 bytes after the last tensor" },
        { "{\"a\":1}", 0, "needs dtype, shape and data_offsets" },
        { ONE("\"dtype\":\"F32\",\"shape\":[1]"), 0, "needs dtype" },
        { ONE(F32_2 "\"data_offsets\":[0,8],\"x\":1"), 8, "nothing else" },
        { ONE(F32_2 "\"shape\":[2],\"data_offsets\":[0,8]"), 8, "once each" },
        { ONE("\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]"), 8,
          "unknown dtype" },
        { ONE("\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]"), 8,
          "unknown dtype" },
        { ONE("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8,
          "no shape" },
        { ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8,
          "whole numbers" },
        { ONE("\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]"), 8,
          "whole numbers" },
        { ONE("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8,
          "whole numbers" },
        { ONE(F32_2 "\"data_offsets\":[0,8.0]"), 8, "two whole numbers" },
        { ONE("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],"
              "\"data_offsets\":[0,8]"),
          8, "more than 8 dimensions" },
        { ONE("\"dtype\":\"F32\",\"shape\":[4611686018427387904,8],"
              "\"data_offsets\":[0,8]"),
          8, "overflows" },
        { ONE("\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]"), 1,
          "do not give its byte count" },
        { ONE(F32_2 "\"data_offsets\":[0,4]"), 4, "byte count" },
        { ONE(F32_2 "\"data_offsets\":[0,8]"), 7, "outside the file" },
        { ONE(F32_2 "\"data_offsets\":[8,0]"), 8, "outside the file" },
        { ONE(F32_2 "\"data_offsets\":[-8,0]"), 8, "outside the file" },
        { ONE(F32_2 "\"data_offsets\":[0]"), 8, "two whole numbers" },
        { ONE(F32_2 "\"data_offsets\":[0,\"8\"]"), 8, "two whole numbers" },
        { ONE(F32_2 "\"data_offsets\":[4,12]"), 12, "unused bytes" },
        { ONE(F32_2 "\"data_offsets\":[0,8]"), 9, "belong to none" },
        { "{\"a\":{" F32_2 "\"data_offsets\":[0,8]},\"b\":{" F32_2
          "\"data_offsets\":[4,12]}}",
          12, "overlaps" },
        { "{\"a\":{" F32_2 "\"data_offsets\":[0,8]},\"a\":{" F32_2
          "\"data_offsets\":[8,16]}}",
          16, "appears twice" },
        { "{\"a\\u0000b\":{" F32_2 "\"data_offsets\":[0,8]}}", 8,
          "holds a NUL" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "object of strings" },
        { "{\"__metadata__\":[]}", 0, "object of strings" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "object of strings" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_refused(bad[i].header, bad[i].bytes, bad[i].message);
}
END_TEST

static void expect_bytes_refused(const void *p, size_t n, const char *message)
{
    char *path = in_dir("raw.safetensors");
    struct weights *w = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(io_write_file(path, p, n, 0644, &err), 0);
    ck_assert_int_lt(weights_open(path, &w, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
    free(path);
}

START_TEST(length_field_is_checked)
{
    expect_bytes_refused("", 0, "too few");
    expect_bytes_refused("1234567", 7, "too few");
    expect_bytes_refused("\x05\0\0\0\0\0\0\0{}", 10, "cut off");
    expect_bytes_refused("\x01\xE1\xF5\x05\0\0\0\0{}", 10, "at most 100000000");
    expect_bytes_refused("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "at most");
}
END_TEST

START_TEST(empty_scalar_and_zero_sized_tensors_are_read)
{
    struct weights *w = NULL;
    struct err err = { 0 };
    char *path = put_file(
        "ok.safetensors",
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"a\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
        "\"c\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[4,6]}}   ",
        6);

    ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(weights_count(w), 3);
    ck_assert_str_eq(weights_at(w, 0)->name, "a");
    ck_assert_int_eq(weights_elements(weights_at(w, 0)), 0);
    ck_assert_int_eq(weights_elements(weights_find(w, "b")), 1);
    ck_assert_int_eq(((const char *)weights_find(w, "c")->data)[1], 5);
    ck_assert_str_eq(weights_metadata(w, "format"), "pt");
    ck_assert_ptr_null(weights_find(w, "d"));
    weights_close(w);
    free(path);
}
END_TEST

static void put_text(const char *name, const char *text)
{
    char *path = in_dir(name);
    struct err err = { 0 };

    ck_assert_int_eq(io_write_file(path, text, strlen(text), 0644, &err), 0);
    free(path);
}

static void expect_index_refused(const char *text, const char *message)
{
    struct weights *w = NULL;
    struct err err = { 0 };

    put_text("model.safetensors.index.json", text);
    ck_assert_int_lt(weights_open(dir, &w, &err), 0);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
}

START_TEST(shards_are_joined_and_their_index_checked)
{
    char hash[WEIGHTS_HASH_TEXT], again[WEIGHTS_HASH_TEXT], *single;
    struct weights *w = NULL;
    struct err err = { 0 };

    free(put_file("s1.safetensors",
                  "{\"y\":{\"dtype\":\"U8\",\"shape\":[1],"
                  "\"data_offsets\":[0,1]}}",
                  1));
    free(put_file("s2.safetensors",
                  "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],"
                  "\"data_offsets\":[0,2]}}",
                  2));
    expect_index_refused("[]", "no weight_map");
    expect_index_refused("{\"weight_map\":{\"x\":1}}", "is no string");
    expect_index_refused("{\"weight_map\":{\"x\":\"../s2.safetensors\"}}",
                         "beside its index");
    expect_index_refused("{\"weight_map\":{\"x\":\"s1.safetensors\"}}",
                         "\"x\" is not in its shard");
    expect_index_refused("{\"weight_map\":{\"x\":\"no.safetensors\"}}",
                         "No such file");
    expect_index_refused("{\"weight_map\":{\"x\":\"s2.safetensors\","
                         "\"x\":\"s2.safetensors\"}}",
                         "listed twice");
    put_text("model.safetensors.index.json",
             "{\"metadata\":{\"total_size\":3},\"weight_map\":"
             "{\"y\":\"s1.safetensors\",\"x\":\"s2.safetensors\"}}");
    ck_assert_msg(weights_open(dir, &w, &err) == 0, "%s", err.msg);
    ck_assert_uint_eq(weights_count(w), 2);
    ck_assert_str_eq(weights_at(w, 0)->name, "x");
    ck_assert_uint_eq(weights_find(w, "x")->bytes, 2);
    ck_assert_int_eq(weights_hash(w, hash, &err), 0);
    weights_close(w);
    single = put_file("one.safetensors",
                      "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],"
                      "\"data_offsets\":[1,3]},"
                      "\"y\":{\"dtype\":\"U8\",\"shape\":[1],"
                      "\"data_offsets\":[0,1]}}",
                      3);
    ck_assert_int_eq(weights_open(single, &w, &err), 0);
    ck_assert_int_eq(weights_hash(w, again, &err), 0);
    ck_assert_str_ne(hash, again); /* x holds 1 2 here, 0 1 there */
    weights_close(w);
    free(single);
}
END_TEST

START_TEST(a_directory_without_weights_is_named)
{
    struct weights *w = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(weights_open(dir, &w, &err), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
}
END_TEST

START_TEST(written_files_have_the_reference_order_and_read_back)
{
    float f[3] = { 1, 2, 3 };
    uint16_t h[2] = { 0x3F80, 0x4000 };
    int64_t n[1] = { -5 };
    struct weights_tensor t[] = {
        { "z", WEIGHTS_BF16, 1, { 2 }, h, 4 },
        { "b", WEIGHTS_F32, 1, { 3 }, f, 12 },
        { "a\"q", WEIGHTS_F32, 2, { 1, 1 }, f, 4 },
        { "n", WEIGHTS_I64, 0, { 0 }, n, 8 },
    };
    const char *const meta[] = { "format", "pt", NULL };
    static const char want[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"a\\\"q\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":"
        "[8,12]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]},"
        "\"z\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]}}";
    char *path = in_dir("out.safetensors");
    struct err err = { 0 };
    struct weights *w = NULL;
    struct buf b = { 0 };
    float back[2];

    ck_assert_msg(weights_write(path, t, 4, meta, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(io_read_file(path, 4096, &b, &err), 0);
    ck_assert_int_eq(memcmp(b.data + 8, want, strlen(want)), 0);
    ck_assert_uint_eq((unsigned char)b.data[0] % 8, 0);
    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    ck_assert_int_eq(weights_to_f32(weights_find(w, "z"), back, &err), 0);
    ck_assert_float_eq(back[0], 1);
    ck_assert_float_eq(back[1], 2);
    ck_assert_int_eq(weights_to_f32(weights_find(w, "n"), back, &err),
                     ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.msg, "\"n\" is I64"));
    t[1].name = "z";
    t[1].type = WEIGHTS_BF16;
    t[1].bytes = 6;
    ck_assert_int_eq(weights_write(path, t, 2, NULL, &err), ERR_INVALID);
    weights_close(w);
    buf_release(&b);
    free(path);
}
END_TEST

START_TEST(what_is_forgotten_is_read_again)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[40000],"
                                 "\"data_offsets\":[0,40000]},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_"
                                 "offsets\":[40000,40005]}}";
    char *path = put_file("two.safetensors", header, 40005);
    unsigned char own[8192] = "not of the file";
    struct weights_tensor elsewhere = { .data = own, .bytes = sizeof(own) };
    const struct weights_tensor *a, *b;
    struct weights *w = NULL;
    struct err err = { 0 };

    ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
    a = weights_find(w, "a");
    b = weights_find(w, "b");
    weights_forget(w, a);
    weights_forget(w, b);
    weights_forget(w, &elsewhere);
    for (size_t i = 0; i < 40000; i++)
        ck_assert_uint_eq(((const unsigned char *)a->data)[i], i & 255);
    ck_assert_uint_eq(((const unsigned char *)b->data)[0], 40000 & 255);
    ck_assert_str_eq((const char *)own, "not of the file");
    weights_close(w);
    free(path);
}
END_TEST

START_TEST(every_half_widens_and_rounds_back)
{
    for (unsigned i = 0; i < 65536; i++) {
        float x = half_value((uint16_t)i);

        if (isnan(x))
            ck_assert(isnan(half_value(half_bits(x))));
        else
            ck_assert_uint_eq(half_bits(x), i);
    }
}
END_TEST

START_TEST(rounding_is_to_nearest_even)
{
    ck_assert_uint_eq(half_bits(1.0f + 0x1p-11f), 0x3C00);
    ck_assert_uint_eq(half_bits(1.0f + 0x1.8p-10f), 0x3C02);
    ck_assert_uint_eq(half_bits(65519.0f), 0x7BFF);
    ck_assert_uint_eq(half_bits(65520.0f), 0x7C00);
    ck_assert_uint_eq(half_bits(0x1p-25f), 0);
    ck_assert_uint_eq(half_bits(-0x1.8p-25f), 0x8001);
    ck_assert_uint_eq(weights_bf16_from_f32(1.0f + 0x1p-8f), 0x3F80);
    ck_assert_uint_eq(weights_bf16_from_f32(1.0f + 0x1.8p-7f), 0x3F82);
    ck_assert_uint_eq(weights_bf16_from_f32(INFINITY), 0x7F80);
    ck_assert_uint_eq(weights_bf16_from_f32(NAN) & 0x7FC0, 0x7FC0);
    ck_assert_uint_eq(weights_bf16_from_f32(3.4e38f), 0x7F80);
}
END_TEST

START_TEST(type_names_of_both_spellings)
{
    enum weights_type t;

    ck_assert(weights_type_parse("BF16", &t) && t == WEIGHTS_BF16);
    ck_assert(weights_type_parse("float16", &t) && t == WEIGHTS_F16);
    ck_assert(!weights_type_parse("F8_E4M3", &t) && t == WEIGHTS_OTHER);
    ck_assert_str_eq(weights_type_name(WEIGHTS_I8), "I8");
    ck_assert_uint_eq(weights_type_size(WEIGHTS_F64), 8);
    ck_assert_uint_eq(weights_type_size(WEIGHTS_OTHER), 0);
}
END_TEST

static void check_reference(const char *root, const char *name)
{
    char *path = mem_printf("%s/fixtures/%s", root, name);
    struct err err = { 0 };
    struct weights *w = NULL;
    float *x;

    ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
    ck_assert_uint_gt(weights_count(w), 0);
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct weights_tensor *t = weights_at(w, i);

        x = mem_array((size_t)weights_elements(t), sizeof(float));
        ck_assert_msg(weights_to_f32(t, x, &err) == 0, "%s", err.msg);
        for (int64_t k = 0; k < weights_elements(t); k++)
            ck_assert(isfinite(x[k]));
        free(x);
    }
    weights_close(w);
    free(path);
}

START_TEST(reference_models_are_read)
{
    const char *root = getenv("SLMCTL_REFERENCE");

    if (!root) {
        printf("skip: reference models: SLMCTL_REFERENCE is not set\n");
        return;
    }
    check_reference(root, "stories260k");
    check_reference(root, "formats/llama-bf16-sharded");
    check_reference(root, "formats/qwen2-f16");
    check_reference(root, "models/llama/adapter");
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("weights");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, malformed_files_are_refused_by_name);
    tcase_add_test(c, length_field_is_checked);
    tcase_add_test(c, empty_scalar_and_zero_sized_tensors_are_read);
    tcase_add_test(c, shards_are_joined_and_their_index_checked);
    tcase_add_test(c, a_directory_without_weights_is_named);
    tcase_add_test(c, written_files_have_the_reference_order_and_read_back);
    tcase_add_test(c, what_is_forgotten_is_read_again);
    tcase_add_test(c, every_half_widens_and_rounds_back);
    tcase_add_test(c, rounding_is_to_nearest_even);
    tcase_add_test(c, type_names_of_both_spellings);
    tcase_add_test(c, reference_models_are_read);
    return suite_run("weights", c);
}

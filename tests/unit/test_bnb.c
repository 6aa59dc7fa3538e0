/*
 * test_bnb.c - 4-bit tensors of bitsandbytes: parts that belong together
 * become one, and parts that do not are refused by the tensor's name
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "weights/weights.h"

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

/* 16 x 8 = 128 elements in two blocks. */
struct parts {
    const char *state, *state_name;
    int64_t packed, scales, codes;
    enum weights_type scale_type;
    bool nested, without_values;
    int64_t nested_scales;
};

static struct weights_tensor tensor(const char *name, enum weights_type type,
                                    int64_t n, const void *data)
{
    struct weights_tensor t = { .name = name, .type = type, .dims = 1 };

    t.shape[0] = n;
    t.data = data;
    t.bytes = (size_t)n * weights_type_size(type);
    return t;
}

static char *save(const struct parts *p)
{
    static unsigned char bytes[64];
    static float floats[256];
    char *path = io_path(dir, "four.safetensors");
    struct weights_tensor t[8];
    struct err err;
    size_t n = 0;

    for (unsigned i = 0; i < 64; i++)
        bytes[i] = (unsigned char)(i * 37);
    for (unsigned i = 0; i < 256; i++)
        floats[i] = (float)i / 256;
    memcpy(floats, weights_nf4_code, sizeof(weights_nf4_code));
    if (!p->without_values)
        t[n++] = tensor("w", WEIGHTS_U8, p->packed, bytes);
    t[n++] = tensor("w.absmax", p->scale_type, p->scales,
                    p->scale_type == WEIGHTS_U8 ? (void *)bytes : floats);
    t[n++] = tensor("w.quant_map", WEIGHTS_F32, p->codes, floats);
    t[n++] =
        tensor(p->state_name, WEIGHTS_U8, (int64_t)strlen(p->state), p->state);
    t[n++] = tensor("other", WEIGHTS_F32, 2, floats);
    if (p->nested) {
        t[n++] =
            tensor("w.nested_absmax", WEIGHTS_F32, p->nested_scales, floats);
        t[n++] = tensor("w.nested_quant_map", WEIGHTS_F32, 256, floats);
    }
    ck_assert_int_eq(weights_write(path, t, n, NULL, &err), 0);
    return path;
}

#define STATE(type, rest)                                                      \
    "{\"quant_type\":\"" type "\",\"dtype\":\"float32\",\"shape\":[16,8]" rest \
    "}"
#define NAME "w.quant_state.bitsandbytes__nf4"
#define GOOD STATE("nf4", ",\"blocksize\":64")
#define NESTED                                                                 \
    STATE("nf4", ",\"blocksize\":64,\"nested_blocksize\":256,"                 \
                 "\"nested_offset\":0.5")

START_TEST(parts_become_one_tensor)
{
    struct parts p = { GOOD, NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 };

    for (unsigned twice = 0; twice < 2; twice++) {
        const struct weights_tensor *t;
        struct weights *w;
        struct err err;
        float x[128];
        char *path = save(&p);

        ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
        ck_assert_uint_eq(weights_count(w), 2);
        t = weights_find(w, "w");
        ck_assert_int_eq(t->type, WEIGHTS_NF4);
        ck_assert_uint_eq(t->dims, 2);
        ck_assert_int_eq(t->shape[0], 16);
        ck_assert_int_eq(t->shape[1], 8);
        ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
        /* Byte 1 is 37: codes 2 and 5; the first scale is -1, or -1 * -1 + .5.
         */
        ck_assert_float_eq(x[2], weights_nf4_code[2] * (twice ? 1.5F : -1));
        ck_assert_float_eq(x[3], weights_nf4_code[5] * (twice ? 1.5F : -1));
        weights_close(w);
        free(path);
        p = (struct parts){
            NESTED, NAME, 64, 2, 16, WEIGHTS_U8, true, false, 1
        };
    }
}
END_TEST

START_TEST(parts_that_do_not_fit_are_refused)
{
    static const struct {
        struct parts p;
        const char *message;
    } bad[] = {
        { { "{", NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 },
          "quant_state.bitsandbytes__nf4\": byte" },
        { { "[]", NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 },
          "its quant_type is not supported; known: nf4" },
        { { STATE("fp4", ""), NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 },
          "its quant_type is not supported; known: nf4" },
        { { "{\"quant_type\":\"nf4\",\"dtype\":\"int8\"}", NAME, 64, 2, 16,
            WEIGHTS_F32, false, false, 0 },
          "must be float32, float16 or bfloat16" },
        { { "{\"quant_type\":\"nf4\",\"dtype\":\"float32\"}", NAME, 64, 2, 16,
            WEIGHTS_F32, false, false, 0 },
          "its quant_state has no shape" },
        { { "{\"quant_type\":\"nf4\",\"dtype\":\"float32\",\"shape\":["
            "4294967296"
            ",4294967296]}",
            NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 },
          "is no shape" },
        { { GOOD, NAME, 63, 2, 16, WEIGHTS_F32, false, false, 0 },
          "its shape does not fit its bytes" },
        { { STATE("nf4", ",\"blocksize\":48"), NAME, 64, 2, 16, WEIGHTS_F32,
            false, false, 0 },
          "its blocksize must be a power of two" },
        { { GOOD, NAME, 64, 1, 16, WEIGHTS_F32, false, false, 0 },
          "its absmax or quant_map is missing or of another size" },
        { { GOOD, NAME, 64, 2, 15, WEIGHTS_F32, false, false, 0 },
          "its absmax or quant_map is missing or of another size" },
        { { NESTED, NAME, 64, 2, 16, WEIGHTS_F32, true, false, 1 },
          "its absmax or quant_map is missing or of another size" },
        { { NESTED, NAME, 64, 2, 16, WEIGHTS_U8, false, false, 0 },
          "its nested_absmax or nested_quant_map is missing" },
        { { GOOD, NAME, 64, 2, 16, WEIGHTS_F32, false, true, 0 },
          "has a quant_state and no values" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *path = save(&bad[i].p);
        struct weights *w = NULL;
        struct err err;

        ck_assert_msg(weights_open(path, &w, &err) < 0, "case %zu", i);
        ck_assert_msg(strstr(err.msg, bad[i].message),
                      "case %zu: wanted \"%s\", got \"%s\"", i, bad[i].message,
                      err.msg);
        ck_assert_ptr_nonnull(strstr(err.msg, "tensor \"w"));
        free(path);
    }
}
END_TEST

/* A hash says what a model is: scales are part of it. */
START_TEST(scales_count_in_the_hash)
{
    struct parts p = { GOOD, NAME, 64, 2, 16, WEIGHTS_F32, false, false, 0 };
    char one[WEIGHTS_HASH_TEXT], two[WEIGHTS_HASH_TEXT];
    struct weights *w;
    struct err err;
    char *path = save(&p);

    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    ck_assert_int_eq(weights_hash(w, one, &err), 0);
    weights_close(w);
    free(path);
    p = (struct parts){ NESTED, NAME, 64, 2, 16, WEIGHTS_U8, true, false, 1 };
    path = save(&p);
    ck_assert_int_eq(weights_open(path, &w, &err), 0);
    ck_assert_int_eq(weights_hash(w, two, &err), 0);
    weights_close(w);
    free(path);
    ck_assert_str_ne(one, two);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("bnb");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, parts_become_one_tensor);
    tcase_add_test(c, parts_that_do_not_fit_are_refused);
    tcase_add_test(c, scales_count_in_the_hash);
    return suite_run("bnb", c);
}

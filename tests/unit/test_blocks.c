/*
 * test_blocks.c - block types against the reference's values
 *
 * Values to the bit; our own quantisation by its squared error, which is no
 * larger than the reference's where that quantises too.
 */
#include "suite.h"

#include "base/mem.h"
#include "weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum weights_type written[] = { WEIGHTS_F32,  WEIGHTS_F16,
                                             WEIGHTS_BF16, WEIGHTS_Q8_0,
                                             WEIGHTS_Q4_0, WEIGHTS_Q4_K,
                                             WEIGHTS_Q6_K };

static struct weights *reference(const char *file)
{
    const char *root = getenv("SLMCTL_REFERENCE");
    struct weights *w = NULL;
    struct err err;
    char *path;

    if (!root) {
        printf("skip: SLMCTL_REFERENCE is not set\n");
        return NULL;
    }
    path = mem_printf("%s/fixtures/formats/%s", root, file);
    ck_assert_msg(weights_open(path, &w, &err) == 0, "%s", err.msg);
    free(path);
    return w;
}

static const struct weights_tensor *part(const struct weights *w,
                                         const char *name, const char *suffix)
{
    char *full = mem_printf("%s.%s", name, suffix);
    const struct weights_tensor *t = weights_find(w, full);

    free(full);
    return t;
}

static float *floats(const struct weights_tensor *t)
{
    float *x = mem_array((size_t)weights_elements(t), sizeof(*x));
    struct err err;

    ck_assert_int_eq(weights_to_f32(t, x, &err), 0);
    return x;
}

static double squared_error(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* x as type and back. */
static double own_error(enum weights_type type, const float *x, size_t n)
{
    struct weights_tensor t = { .name = "own", .type = type, .dims = 1 };
    struct buf packed = { 0 };
    float *back;
    struct err err;
    double e;

    ck_assert_msg(weights_quantise(type, x, n, &packed, &err) == 0, "%s",
                  err.msg);
    t.shape[0] = (int64_t)n;
    t.data = packed.data;
    t.bytes = packed.len;
    back = floats(&t);
    e = squared_error(x, back, n);
    free(back);
    buf_release(&packed);
    return e;
}

static void compare_type(const struct weights *w, enum weights_type type)
{
    const char *name = weights_type_name(type);
    const struct weights_tensor *blocks = part(w, name, "blocks");
    const struct weights_tensor *values = part(w, name, "values");
    struct weights_tensor t;
    size_t n;
    float *got, *want, *x;

    ck_assert_ptr_nonnull(blocks);
    want = floats(part(w, name, "dequantised"));
    t = *part(w, name, "dequantised");
    n = (size_t)weights_elements(&t);
    t.type = type;
    t.data = blocks->data;
    t.bytes = blocks->bytes;
    got = floats(&t);
    ck_assert_msg(memcmp(got, want, n * sizeof(*got)) == 0, "%s", name);
    printf("blocks %s: %zu values equal to the bit", name, n);
    if (values) {
        x = floats(values);
        for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
            if (written[i] == type) {
                double own = own_error(type, x, n);
                double theirs = squared_error(x, want, n);

                printf("; squared error %.6g, the reference's %.6g", own,
                       theirs);
                ck_assert_msg(own <= theirs, "%s: %g > %g", name, own, theirs);
            }
        free(x);
    }
    printf("\n");
    free(got);
    free(want);
}

START_TEST(blocks_are_the_references_to_the_bit)
{
    struct weights *w = reference("gguf/blocks.safetensors");

    if (!w)
        return;
    compare_type(w, WEIGHTS_F16);
    compare_type(w, WEIGHTS_BF16);
    for (enum weights_type t = WEIGHTS_Q4_0; t <= WEIGHTS_IQ4_XS; t++)
        compare_type(w, t);
    weights_close(w);
}
END_TEST

static void read_nf4(const struct weights *w, const char *name, bool twice,
                     struct weights_nf4 *q)
{
    *q = (struct weights_nf4){ .block = 64, .type = WEIGHTS_F32 };
    memcpy(q->code, weights_find(w, "code")->data, sizeof(q->code));
    if (!twice) {
        q->scales = part(w, name, "absmax")->data;
        return;
    }
    q->nested_block = 256;
    q->scales = part(w, name, "absmax_u8")->data;
    q->nested = part(w, name, "nested_absmax")->data;
    memcpy(&q->offset, part(w, name, "offset")->data, 4);
    memcpy(q->nested_code, part(w, name, "nested_quant_map")->data,
           sizeof(q->nested_code));
}

/* Our own packing is the reference's where that is single. */
static void pack_nf4(const struct weights *w, const char *name, const float *x,
                     size_t n)
{
    const struct weights_tensor *packed = part(w, name, "packed");
    unsigned char *own = mem_alloc(packed->bytes);
    float *scales = mem_array((n + 63) / 64, sizeof(*scales));

    weights_nf4_quantise(x, n, 64, own, scales);
    ck_assert_mem_eq(scales, part(w, name, "absmax")->data, (n + 63) / 64 * 4);
    ck_assert_mem_eq(own, packed->data, packed->bytes);
    free(own);
    free(scales);
}

START_TEST(nf4_is_the_references_to_the_bit)
{
    static const char *const names[] = { "a.single", "a.double", "b.single",
                                         "b.double", "c.single", "c.double" };
    struct weights *w = reference("nf4/nf4.safetensors");

    for (size_t i = 0; w && i < 6; i++) {
        struct weights_tensor t = *part(w, names[i], "dequantised");
        float *want = floats(&t), *x = floats(part(w, names[i], "weight"));
        size_t n = (size_t)weights_elements(&t);
        struct weights_nf4 q;
        float *got;

        read_nf4(w, names[i], i % 2 == 1, &q);
        t.type = WEIGHTS_NF4;
        t.nf4 = &q;
        t.data = part(w, names[i], "packed")->data;
        t.bytes = part(w, names[i], "packed")->bytes;
        got = floats(&t);
        ck_assert_mem_eq(got, want, n * sizeof(*got));
        if (i % 2 == 0)
            pack_nf4(w, names[i], x, n);
        printf("blocks NF4 %s: %zu values equal to the bit%s\n", names[i], n,
               i % 2 == 0 ? ", and so is what is packed here" : "");
        free(got);
        free(want);
        free(x);
    }
    weights_close(w);
}
END_TEST

/* Relative error that a type of that many bits can have on smooth values. */
START_TEST(quantising_keeps_what_the_bits_allow)
{
    static const double most[] = { 0, 1e-3, 8e-3, 1e-2, 0.15, 0.12, 0.03 };
    float x[512];
    double power = 0;

    for (unsigned i = 0; i < 512; i++) {
        x[i] = sinf((float)i * 0.37F) * (1 + cosf((float)i * 0.011F));
        power += (double)x[i] * (double)x[i];
    }
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        double e = sqrt(own_error(written[i], x, 512) / power);

        ck_assert_msg(e <= most[i], "%s: %g", weights_type_name(written[i]), e);
    }
}
END_TEST

START_TEST(quantising_constant_and_extreme_blocks)
{
    float x[256];

    for (unsigned k = 0; k < 4; k++) {
        for (unsigned i = 0; i < 256; i++)
            x[i] = k == 0 ? 0 : k == 1 ? -3.5F : k == 2 ? 1e-30F : 2.25F;
        for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
            ck_assert_double_le(own_error(written[i], x, 256), 0.3);
    }
}
END_TEST

START_TEST(quantising_refuses_what_it_cannot_write)
{
    struct buf out = { 0 };
    struct err err;
    float x[256] = { 0 };

    ck_assert_int_eq(weights_quantise(WEIGHTS_Q2_K, x, 256, &out, &err),
                     ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.msg, "Q2_K cannot be written"));
    ck_assert_int_eq(weights_quantise(WEIGHTS_Q4_K, x, 100, &out, &err),
                     ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.msg, "no whole Q4_K blocks of 256"));
    buf_release(&out);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("blocks");

    tcase_add_test(c, blocks_are_the_references_to_the_bit);
    tcase_add_test(c, nf4_is_the_references_to_the_bit);
    tcase_add_test(c, quantising_keeps_what_the_bits_allow);
    tcase_add_test(c, quantising_constant_and_extreme_blocks);
    tcase_add_test(c, quantising_refuses_what_it_cannot_write);
    return suite_run("blocks", c);
}

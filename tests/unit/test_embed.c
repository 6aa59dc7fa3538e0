/* test_embed.c - nearness of texts, saved models, smoothing */
#include "suite.h"

#include "embed/embed.h"

#include "base/mem.h"
#include "base/rng.h"
#include "linalg/linalg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 300

static const char *const topics[3][8] = {
    { "card", "payment", "refund", "bank", "account", "fee", "charge", "cash" },
    { "flight", "airport", "luggage", "seat", "boarding", "pilot", "ticket",
      "gate" },
    { "oven", "flour", "sugar", "recipe", "butter", "bake", "dough", "cake" },
};
static char text[TEXTS][120];
static struct slice slices[TEXTS];

static void make_texts(void)
{
    struct rng r;

    rng_init(&r, 2);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t n = 0;
        for (size_t w = 0; w < 6; w++)
            n += (size_t)snprintf(text[i] + n, sizeof(text[i]) - n, "%s the ",
                                  topics[i % 3][rng_below(&r, 8)]);
        slices[i] = slice_of(text[i]);
    }
}

static struct embed *fitted(struct pool *pool, size_t word_min)
{
    struct embed_options o = {
        .char_dims = 16, .word_dims = 12, .word_min = word_min, .seed = 1
    };
    struct embed *e = NULL;
    struct err err = { 0 };

    make_texts();
    ck_assert_int_eq(embed_fit(pool, slices, TEXTS, &o, NULL, &e, &err), 0);
    return e;
}

/* Mean cosine of pairs of one topic less that of pairs of two topics. */
static double separation(const float *x, size_t d)
{
    double sum[2] = { 0 }, count[2] = { 0 };

    for (size_t i = 0; i < TEXTS; i++)
        for (size_t j = 0; j < i; j++) {
            size_t same = i % 3 == j % 3;
            sum[same] += (double)linalg_dot(x + i * d, x + j * d, d);
            count[same]++;
        }
    return sum[1] / count[1] - sum[0] / count[0];
}

START_TEST(texts_of_one_topic_lie_together)
{
    struct embed *e = fitted(NULL, 1);
    size_t d = embed_dims(e);
    float *x = mem_array(TEXTS * d, sizeof(*x));

    ck_assert_uint_eq(d, 28);
    embed_texts(e, NULL, slices, TEXTS, x);
    ck_assert_double_gt(separation(x, d), 0.4);
    embed_smooth(NULL, TEXTS, d, 10, x);
    ck_assert_double_gt(separation(x, d), 0.7);
    for (size_t i = 0; i < TEXTS; i++)
        ck_assert_double_eq_tol((double)linalg_dot(x + i * d, x + i * d, d), 1,
                                1e-5);
    free(x);
    embed_free(e);
}
END_TEST

START_TEST(few_texts_leave_the_words_out)
{
    struct embed *e = fitted(NULL, 0);

    ck_assert_uint_eq(embed_dims(e), 16);
    embed_free(e);
}
END_TEST

START_TEST(unknown_and_empty_texts_are_zero)
{
    struct embed *e = fitted(NULL, 1);
    float x[28];

    embed_text(e, slice_of(""), x);
    ck_assert_double_eq((double)linalg_dot(x, x, 28), 0);
    embed_free(e);
    struct embed_options o = { 0 };
    ck_assert_int_eq(embed_fit(NULL, NULL, 0, &o, NULL, &e, NULL), 0);
    embed_text(e, slice_of("anything"), x);
    ck_assert_double_eq((double)x[0], 0);
    embed_free(e);
}
END_TEST

START_TEST(a_loaded_model_gives_the_same_bits)
{
    struct embed *a = fitted(NULL, 1), *b = NULL;
    struct buf bytes = { 0 };
    float x[28], y[28];

    embed_save(a, &bytes);
    ck_assert_int_eq(embed_load(buf_slice(&bytes), &b, NULL), 0);
    for (size_t i = 0; i < TEXTS; i++) {
        embed_text(a, slices[i], x);
        embed_text(b, slices[i], y);
        ck_assert_mem_eq(x, y, sizeof(x));
    }
    embed_free(b);
    for (size_t cut = 0; cut < bytes.len; cut += bytes.len / 97 + 1) {
        struct slice part = { bytes.data, cut };
        ck_assert_int_eq(embed_load(part, &b, NULL), ERR_FORMAT);
    }
    embed_free(a);
    buf_release(&bytes);
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    float *x[3];

    for (unsigned t = 0; t < 3; t++) {
        struct pool *pool = pool_new(t + 1);
        struct embed *e = fitted(pool, 1);
        x[t] = mem_array(TEXTS * 28, sizeof(float));
        embed_texts(e, pool, slices, TEXTS, x[t]);
        embed_smooth(pool, TEXTS, 28, 5, x[t]);
        embed_free(e);
        pool_free(pool);
    }
    ck_assert_mem_eq(x[1], x[0], TEXTS * 28 * sizeof(float));
    ck_assert_mem_eq(x[2], x[0], TEXTS * 28 * sizeof(float));
    for (unsigned t = 0; t < 3; t++)
        free(x[t]);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("embed");

    tcase_add_test(c, texts_of_one_topic_lie_together);
    tcase_add_test(c, few_texts_leave_the_words_out);
    tcase_add_test(c, unknown_and_empty_texts_are_zero);
    tcase_add_test(c, a_loaded_model_gives_the_same_bits);
    tcase_add_test(c, threads_do_not_change_a_bit);
    tcase_set_timeout(c, 120);
    return suite_run("embed", c);
}

/* test_encoder.c - BERT encoders: reference values, batches, refusals */
#include "encoder_files.h"
#include "suite.h"

#define TOLERANCE 1e-4
static void expect_refusal(const char *dir, const char *word)
{
    struct model_encoder *e = NULL;

    ck_assert_msg(model_encoder_open(dir, cpu, &e, &err) < 0, "%s", word);
    ck_assert_msg(strstr(err.msg, word) != NULL, "%s: %s", word, err.msg);
}

START_TEST(values_are_the_reference_s)
{
    char *dir = fixture("formats/bert-embed"), *file;
    const struct weights_tensor *ids, *mask;
    struct model_encoder *e = NULL;
    struct weights *w = NULL;
    int32_t starts[4] = { 0, 20, 40, 60 }, seen[3] = { 0 };
    struct model_encoder_batch b = {
        .rows = 60, .starts = starts, .seen = seen, .docs = 3
    };
    float states[60 * 48], vectors[3 * 48];

    if (!dir)
        return;
    file = io_path(dir, "expected.safetensors");
    OK(weights_open(file, &w, &err));
    OK(model_encoder_open(dir, cpu, &e, &err));
    ck_assert(model_encoder_is(dir));
    ids = weights_find(w, "input_ids");
    mask = weights_find(w, "attention_mask");
    ck_assert_uint_eq(ids->bytes, 60 * sizeof(int32_t));
    for (size_t i = 0; i < 60; i++)
        seen[i / 20] += ((const int32_t *)mask->data)[i];
    b.ids = ids->data;
    OK(model_encoder_states(e, &b, states, &err));
    OK(model_encoder_vectors(e, &b, vectors, &err));
    check_close("bert", states, w, "last_hidden_state", TOLERANCE);
    check_close("bert", vectors, w, "embedding", TOLERANCE);
    model_encoder_free(e);
    weights_close(w);
    free(file);
    free(dir);
}
END_TEST

/* Beside others, padded or not: the same vector, of length 1; and the file
 * may call the encoder "bert". */
START_TEST(vector_of_a_text_is_its_own)
{
    static const int32_t ids[] = { 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 0, 0 };
    static const int32_t starts[] = { 0, 7, 9, 14 }, seen[] = { 7, 2, 3 };
    static const int32_t one[] = { 0, 3 }, all[] = { 3 };
    struct model_encoder *e = NULL;
    char dir[] = "/tmp/slmctl-test-encoder-XXXXXX";
    float together[3 * HIDDEN], alone[HIDDEN];
    double length = 0;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_encoder(dir, BERT CONFIG "}", TENSORS, "bert.");
    OK(model_encoder_open(dir, cpu, &e, &err));
    ck_assert_int_eq(model_encoder_shape(e)->hidden, HIDDEN);
    OK(model_encoder_vectors(
        e, &(struct model_encoder_batch){ ids, 14, starts, seen, 3 }, together,
        &err));
    OK(model_encoder_vectors(
        e, &(struct model_encoder_batch){ ids + 9, 3, one, all, 1 }, alone,
        &err));
    ck_assert(difference(together + 2 * HIDDEN, alone, HIDDEN) < 1e-6);
    ck_assert(difference(together + HIDDEN, alone, HIDDEN) > 1e-2);
    for (size_t i = 0; i < HIDDEN; i++)
        length += (double)alone[i] * (double)alone[i];
    ck_assert(fabs(length - 1) < 1e-5);
    model_encoder_free(e);
    remove_model(dir);
}
END_TEST

/* A later token changes an earlier one's state. */
START_TEST(rows_see_what_follows)
{
    static const int32_t a[] = { 3, 4, 5 }, b[] = { 3, 4, 6 };
    static const int32_t starts[] = { 0, 3 }, all[] = { 3 }, two[] = { 2 };
    struct model_encoder *e = NULL;
    char dir[] = "/tmp/slmctl-test-encoder-XXXXXX";
    float x[3 * HIDDEN], y[3 * HIDDEN];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_encoder(dir, BERT CONFIG "}", TENSORS, "");
    OK(model_encoder_open(dir, cpu, &e, &err));
    OK(model_encoder_states(
        e, &(struct model_encoder_batch){ a, 3, starts, all, 1 }, x, &err));
    OK(model_encoder_states(
        e, &(struct model_encoder_batch){ b, 3, starts, all, 1 }, y, &err));
    ck_assert(difference(x, y, HIDDEN) > 1e-3);
    OK(model_encoder_states(
        e, &(struct model_encoder_batch){ a, 3, starts, two, 1 }, x, &err));
    OK(model_encoder_states(
        e, &(struct model_encoder_batch){ b, 3, starts, two, 1 }, y, &err));
    ck_assert(difference(x, y, 2 * HIDDEN) < 1e-6);
    model_encoder_free(e);
    remove_model(dir);
}
END_TEST

START_TEST(batches_that_do_not_fit_are_refused)
{
    static const int32_t ids[CONTEXT + 1] = { 0 }, high[] = { VOCAB };
    static const int32_t starts[] = { 0, CONTEXT + 1 }, seen[] = { 1 };
    static const int32_t one[] = { 0, 1 }, none[] = { 0 };
    struct model_encoder *e = NULL;
    char dir[] = "/tmp/slmctl-test-encoder-XXXXXX";
    float x[(CONTEXT + 1) * HIDDEN];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_encoder(dir, BERT CONFIG "}", TENSORS, "");
    OK(model_encoder_open(dir, cpu, &e, &err));
    ck_assert_int_eq(
        model_encoder_states(
            e,
            &(struct model_encoder_batch){ ids, CONTEXT + 1, starts, seen, 1 },
            x, &err),
        ERR_LIMIT);
    ck_assert_int_eq(
        model_encoder_states(
            e, &(struct model_encoder_batch){ high, 1, one, seen, 1 }, x, &err),
        ERR_INVALID);
    ck_assert_int_eq(
        model_encoder_states(
            e, &(struct model_encoder_batch){ ids, 1, one, none, 1 }, x, &err),
        ERR_INVALID);
    model_encoder_free(e);
    remove_model(dir);
}
END_TEST

static const struct {
    const char *config, *word;
    size_t tensors;
} refused[] = {
    { "{\"architectures\":[\"RobertaModel\"]," CONFIG "}", "known: BertModel",
      TENSORS },
    { BERT CONFIG ",\"position_embedding_type\":\"relative_key\"}",
      "position_embedding_type", TENSORS },
    { BERT CONFIG ",\"hidden_act\":\"relu\"}", "hidden_act", TENSORS },
    { BERT CONFIG ",\"is_decoder\":true}", "is_decoder", TENSORS },
    { BERT CONFIG ",\"add_cross_attention\":true}", "add_cross_attention",
      TENSORS },
    { BERT CONFIG ",\"num_attention_heads\":3}", "num_attention_heads",
      TENSORS },
    { BERT "\"vocab_size\":20}", "hidden_size", TENSORS },
    { BERT CONFIG "}", "output.LayerNorm.bias is missing", TENSORS - 2 },
    { BERT CONFIG "}", "1 tensors are not what", TENSORS + 1 },
};

START_TEST(what_is_not_understood_is_refused_by_name)
{
    char dir[] = "/tmp/slmctl-test-encoder-XXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_encoder(dir, refused[_i].config, refused[_i].tensors, "");
    expect_refusal(dir, refused[_i].word);
    remove_model(dir);
}
END_TEST

START_TEST(pooling_other_than_the_mean_is_refused)
{
    static const char *const text =
        "{\"word_embedding_dimension\":8,\"pooling_mode_cls_token\":true,"
        "\"pooling_mode_mean_tokens\":false}";
    char dir[] = "/tmp/slmctl-test-encoder-XXXXXX", *pool, *file;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    pool = io_path(dir, "1_Pooling");
    file = io_path(pool, "config.json");
    write_encoder(dir, BERT CONFIG "}", TENSORS, "");
    OK(io_mkdirs(pool, 0700, &err));
    OK(io_write_file(file, text, strlen(text), 0600, &err));
    expect_refusal(dir, "pooling_mode_cls_token");
    remove_model(pool);
    remove_model(dir);
    free(file);
    free(pool);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("encoder");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, values_are_the_reference_s);
    tcase_add_test(t, vector_of_a_text_is_its_own);
    tcase_add_test(t, rows_see_what_follows);
    tcase_add_test(t, batches_that_do_not_fit_are_refused);
    tcase_add_loop_test(t, what_is_not_understood_is_refused_by_name, 0,
                        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(t, pooling_other_than_the_mean_is_refused);
    return suite_run("encoder", t);
}

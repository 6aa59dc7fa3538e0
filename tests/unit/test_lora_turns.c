/* test_lora_turns.c - which tokens of a training conversation are trained */
#include "lora/lora_private.h"
#include "tokenizer/tokenizer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct tokenizer *make_tokenizer(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    struct tokenizer_train_options opt = { 300, specials, 0 };
    struct slice text = slice_of("user assistant user assistant system");
    char path[] = "/tmp/test_lora_turns.XXXXXX";
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    ck_assert_msg(tokenizer_train(&text, 1, &opt, path, &err) == 0, "%s",
                  err.msg);
    ck_assert_msg(tokenizer_open(path, &t, &err) == 0, "%s", err.msg);
    (void)unlink(path);
    return t;
}

/* The text that the mask leaves of a rendered conversation. */
static int trained_text(const char *messages, const char *rendered,
                        struct buf *out)
{
    struct tokenizer *t = make_tokenizer();
    struct token_list ids = { 0 };
    struct json j = { 0 };
    struct err err;
    unsigned char mask[512];
    int rc;

    ck_assert_int_eq(json_parse(&j, messages, strlen(messages), &err), 0);
    ck_assert_int_eq(
        tokenizer_encode(t, slice_of(rendered), 0, &ids, NULL, &err), 0);
    ck_assert_uint_le(ids.count, sizeof mask);
    rc = lora_turns_mask(t, &ids, &j, json_get(&j, 0, "messages"), mask, &err);
    for (size_t i = 0; rc == 0 && i < ids.count; i++)
        if (mask[i])
            tokenizer_decode(t, &ids.ids[i], 1, false, out);
    token_list_release(&ids);
    json_release(&j);
    tokenizer_free(t);
    return rc;
}

static const char rendered[] =
    "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\nA b<|im_end|>\n"
    "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\nC<|im_end|>";

START_TEST(every_turn_of_the_assistant_is_trained_with_its_end)
{
    struct buf out = { 0 };

    ck_assert_int_eq(
        trained_text("{\"messages\":[{\"role\":\"user\"},"
                     "{\"role\":\"assistant\"},{\"role\":\"user\"},"
                     "{\"role\":\"assistant\"}]}",
                     rendered, &out),
        0);
    ck_assert_str_eq(out.data, "A b<|im_end|>C<|im_end|>");
    buf_release(&out);
}
END_TEST

START_TEST(a_turn_of_weight_zero_stays_context)
{
    struct buf out = { 0 };

    ck_assert_int_eq(trained_text("{\"messages\":[{\"role\":\"user\"},"
                                  "{\"role\":\"assistant\",\"weight\":0},"
                                  "{\"role\":\"user\"},"
                                  "{\"role\":\"assistant\",\"weight\":1}]}",
                                  rendered, &out),
                     0);
    ck_assert_str_eq(out.data, "C<|im_end|>");
    buf_release(&out);
}
END_TEST

START_TEST(a_count_of_turns_that_differs_is_refused)
{
    struct buf out = { 0 };

    ck_assert_int_eq(trained_text("{\"messages\":[{\"role\":\"assistant\"}]}",
                                  rendered, &out),
                     ERR_UNSUPPORTED);
    ck_assert_int_eq(trained_text("{\"messages\":[{\"role\":\"assistant\"}]}",
                                  "nothing", &out),
                     ERR_UNSUPPORTED);
    buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lora_turns");
    TCase *c = tcase_create("mask");

    tcase_add_test(c, every_turn_of_the_assistant_is_trained_with_its_end);
    tcase_add_test(c, a_turn_of_weight_zero_stays_context);
    tcase_add_test(c, a_count_of_turns_that_differs_is_refused);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}

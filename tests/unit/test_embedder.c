/* test_embedder.c - an encoder with its tokenizer: vectors, cuts, refusals */
#include "encoder_files.h"
#include "suite.h"

#define TOKENIZER                                                              \
    "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":{\"type\":"       \
    "\"BertNormalizer\",\"lowercase\":true},\"pre_tokenizer\":{\"type\":"      \
    "\"BertPreTokenizer\"},%s\"model\":{\"type\":\"WordPiece\","               \
    "\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"vocab\":"  \
    "{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3%s}}}"
#define AROUND                                                                 \
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],"   \
    "\"cls\":[\"[CLS]\",2]},"

static char dir[] = "/tmp/slmctl-test-embedder-XXXXXX";

static void put(const char *name, const char *text)
{
    char *file = io_path(dir, name);

    OK(io_write_file(file, text, strlen(text), 0600, &err));
    free(file);
}

/* Words a, b, ... from id 4. */
static void put_tokenizer(size_t words, const char *around)
{
    struct buf vocabulary = { 0 };
    char *text;

    for (size_t i = 0; i < words; i++)
        buf_printf(&vocabulary, ",\"%c%s\":%zu", (int)('a' + i % 26),
                   i < 26 ? "" : "z", i + 4);
    buf_char(&vocabulary, 0);
    text = mem_printf(TOKENIZER, around, vocabulary.data);
    put("tokenizer.json", text);
    free(text);
    buf_release(&vocabulary);
}

static void setup_files(void)
{
    setup();
    (void)snprintf(dir, sizeof(dir), "/tmp/slmctl-test-embedder-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_encoder(dir, BERT CONFIG "}", TENSORS, "");
    put_tokenizer(16, AROUND);
}

static void teardown_files(void)
{
    static const char *const files[] = { "tokenizer.json", "modules.json",
                                         "sentence_bert_config.json",
                                         "config_sentence_transformers.json" };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char *file = io_path(dir, files[i]);

        (void)remove(file);
        free(file);
    }
    remove_model(dir);
    teardown();
}

static struct model_embedder *open_it(void)
{
    struct model_embedder *e = NULL;

    OK(model_embedder_open(dir, cpu, &e, &err));
    return e;
}

static void vectors(struct model_embedder *e, const char *const *text, size_t n,
                    float *x)
{
    struct slice s[8];
    struct pool *pool = pool_new(2);

    for (size_t i = 0; i < n; i++)
        s[i] = slice_of(text[i]);
    OK(model_embedder_texts(e, pool, s, n, x, &err));
    pool_free(pool);
}

START_TEST(texts_become_the_vectors_of_their_ids)
{
    static const char *const text[] = { "A c, b", "", "p a" };
    static const int32_t ids[] = { 2, 4, 6, 1, 5, 3, 2, 3, 2, 19, 4, 3 };
    static const int32_t starts[] = { 0, 6, 8, 12 }, seen[] = { 6, 2, 4 };
    struct model_embedder *e = open_it();
    struct model_encoder *plain = NULL;
    float got[3 * HIDDEN], want[3 * HIDDEN], alone[HIDDEN];

    ck_assert_uint_eq(model_embedder_shape(e)->dims, HIDDEN);
    ck_assert_uint_eq(model_embedder_shape(e)->limit, CONTEXT);
    vectors(e, text, 3, got);
    OK(model_encoder_open(dir, cpu, &plain, &err));
    OK(model_encoder_vectors(
        plain, &(struct model_encoder_batch){ ids, 12, starts, seen, 3 }, want,
        &err));
    ck_assert_mem_eq(got, want, sizeof(got));
    vectors(e, text + 2, 1, alone); /* beside others or not: the same bits */
    ck_assert_mem_eq(alone, got + 2 * HIDDEN, sizeof(alone));
    model_encoder_free(plain);
    model_embedder_free(e);
}
END_TEST

/* Eight tokens between two: of ten, the first three and the last three. */
START_TEST(a_long_text_keeps_both_ends)
{
    static const char *const text[] = { "a b c d e f g h i j", "a b c h i j" };
    struct model_embedder *e;
    float x[2 * HIDDEN];

    put("sentence_bert_config.json", "{\"max_seq_length\":8}");
    e = open_it();
    ck_assert_uint_eq(model_embedder_shape(e)->limit, 8);
    vectors(e, text, 2, x);
    ck_assert_mem_eq(x, x + HIDDEN, HIDDEN * sizeof(*x));
    model_embedder_free(e);
}
END_TEST

static void expect(const char *word)
{
    struct model_embedder *e = NULL;

    ck_assert_msg(model_embedder_open(dir, cpu, &e, &err) < 0, "%s", word);
    ck_assert_msg(strstr(err.msg, word) != NULL, "%s: %s", word, err.msg);
}

START_TEST(a_tokenizer_of_another_model_is_refused)
{
    char *file = io_path(dir, "tokenizer.json");

    put_tokenizer(17, AROUND);
    expect("another model: it has 21 ids");
    put_tokenizer(16, "");
    expect("puts 0 tokens around");
    (void)remove(file);
    expect("tokenizer.json");
    free(file);
}
END_TEST

static const struct {
    const char *file, *text, *word;
} refused[] = {
    { "modules.json",
      "[{\"type\":\"sentence_transformers.models.Transformer\"},"
      "{\"type\":\"sentence_transformers.models.Dense\"}]",
      "the module Dense" },
    { "modules.json", "[{}]", "the module ?" },
    { "config_sentence_transformers.json",
      "{\"default_prompt_name\":\"query\"}", "default_prompt_name" },
    { "sentence_bert_config.json", "{\"do_lower_case\":true}",
      "do_lower_case" },
    { "sentence_bert_config.json", "{\"max_seq_length\":3}", "too short" },
    { "sentence_bert_config.json", "{\"max_seq_length\":", "_config.json" },
    { "config.json", "{\"model_type\":\"llama\"}", "known: BertModel" },
};

START_TEST(what_would_change_vectors_is_refused_by_name)
{
    put(refused[_i].file, refused[_i].text);
    expect(refused[_i].word);
}
END_TEST

START_TEST(what_sentence_transformers_does_as_well_is_taken)
{
    put("modules.json", "[{\"type\":\"sentence_transformers.models.Transformer"
                        "\"},{\"type\":\"sentence_transformers.models.Pooling"
                        "\"},{\"type\":\"sentence_transformers.models."
                        "Normalize\"}]");
    put("config_sentence_transformers.json",
        "{\"prompts\":{},\"default_prompt_name\":null}");
    put("sentence_bert_config.json",
        "{\"max_seq_length\":null,\"do_lower_case\":false}");
    model_embedder_free(open_it());
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("embedder");

    tcase_add_checked_fixture(t, setup_files, teardown_files);
    tcase_add_test(t, texts_become_the_vectors_of_their_ids);
    tcase_add_test(t, a_long_text_keeps_both_ends);
    tcase_add_test(t, a_tokenizer_of_another_model_is_refused);
    tcase_add_loop_test(t, what_would_change_vectors_is_refused_by_name, 0,
                        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(t, what_sentence_transformers_does_as_well_is_taken);
    return suite_run("embedder", t);
}

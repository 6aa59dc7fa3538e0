/*
 * test_tokenizer.c - ids, offsets and decodings equal to the reference's
 *
 * Each NAME.json has NAME.golden.jsonl (texts) and NAME.decode.jsonl (ids that
 * no text gives): a part of them in tests/reference/tokenizers, made by the
 * script beside it, and all in the reference directory.
 */
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct buf read_all(const char *path)
{
    struct buf b;
    struct err err = { 0 };

    buf_init(&b, 0);
    ck_assert_msg(io_read_file(path, JSON_MAX_BYTES, &b, &err) == 0, "%s",
                  err.msg);
    return b;
}

static struct slice take_line(struct slice *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct slice line = { rest->p, end ? (size_t)(end - rest->p) : rest->n };

    rest->p += line.n + (end != NULL);
    rest->n -= line.n + (end != NULL);
    return line;
}

static bool ids_equal(const struct json *j, json_ref array,
                      const struct token_list *got)
{
    size_t i = 0;

    if (json_count(j, array) != got->count)
        return false;
    for (json_ref e = json_first(j, array); e != JSON_NONE;
         e = json_next(j, array, e), i++) {
        int64_t id;

        if (!json_int(j, e, &id) || id != got->ids[i])
            return false;
    }
    return true;
}

/* Byte offsets to code points. */
static void in_characters(struct slice text, struct token_list *offsets)
{
    for (size_t i = 0; i < offsets->count; i++) {
        int32_t n = 0;

        for (int32_t k = 0; k < offsets->ids[i]; k++)
            n += (text.p[k] & 0xC0) != 0x80;
        offsets->ids[i] = n;
    }
}

/* [[b,e],...] of the golden line. */
static bool offsets_equal(const struct json *j, json_ref array,
                          const struct token_list *got)
{
    size_t i = 0;

    for (json_ref e = json_first(j, array); e != JSON_NONE;
         e = json_next(j, array, e), i++) {
        int64_t b, end;

        if (2 * i + 1 >= got->count || !json_int(j, json_at(j, e, 0), &b) ||
            !json_int(j, json_at(j, e, 1), &end) || b != got->ids[2 * i] ||
            end != got->ids[2 * i + 1])
            return false;
    }
    return 2 * i == got->count;
}

static bool decodes_to(const struct tokenizer *t, const struct token_list *ids,
                       bool skip, const struct json *j, json_ref want)
{
    struct tokenizer_stream *s = tokenizer_stream_new(t, skip);
    struct buf got = { 0 }, text = { 0 }, stream = { 0 };
    bool ok;

    tokenizer_decode(t, ids->ids, ids->count, skip, &got);
    (void)json_text(j, want, &text);
    ok = slice_eq(buf_slice(&got), buf_slice(&text));
    for (size_t i = 0; i < ids->count; i++) {
        size_t before = stream.len;

        tokenizer_stream_add(s, ids->ids[i], &stream);
        ck_assert(stream.len == before ||
                  utf8_valid(stream.data + before, stream.len - before));
    }
    tokenizer_stream_end(s, &stream);
    ck_assert(!stream.len || utf8_valid(stream.data, stream.len));
    tokenizer_stream_free(s);
    buf_release(&got);
    buf_release(&text);
    buf_release(&stream);
    return ok;
}

/* One golden line; names what differs, NULL if nothing. */
static const char *differs(const struct tokenizer *t, const struct json *j)
{
    struct token_list ids = { 0 }, special = { 0 }, offsets = { 0 };
    const char *bad = NULL;
    struct buf text = { 0 };
    struct err err = { 0 };

    ck_assert(json_text(j, json_get(j, 0, "text"), &text));
    ck_assert_int_eq(
        tokenizer_encode(t, buf_slice(&text), 0, &ids, &offsets, &err), 0);
    ck_assert_int_eq(tokenizer_encode(t, buf_slice(&text), TOKENIZER_SPECIAL,
                                      &special, NULL, &err),
                     0);
    in_characters(buf_slice(&text), &offsets);
    if (!ids_equal(j, json_get(j, 0, "ids"), &ids))
        bad = "ids";
    else if (!ids_equal(j, json_get(j, 0, "ids_special"), &special))
        bad = "ids_special";
    else if (json_present(json_get(j, 0, "offsets")) &&
             !offsets_equal(j, json_get(j, 0, "offsets"), &offsets))
        bad = "offsets";
    else if (!decodes_to(t, &special, false, j, json_get(j, 0, "decoded")))
        bad = "decoded";
    else if (!decodes_to(t, &special, true, j,
                         json_get(j, 0, "decoded_skip_special")))
        bad = "decoded_skip_special";
    token_list_release(&ids);
    token_list_release(&special);
    token_list_release(&offsets);
    buf_release(&text);
    return bad;
}

static const char *decode_differs(const struct tokenizer *t,
                                  const struct json *j)
{
    json_ref list = json_get(j, 0, "ids");
    struct token_list ids = { 0 };
    const char *bad = NULL;

    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e)) {
        int64_t id;

        ck_assert(json_int(j, e, &id));
        token_list_add(&ids, (int32_t)id);
    }
    if (!decodes_to(t, &ids, false, j, json_get(j, 0, "decoded")))
        bad = "decoded";
    else if (!decodes_to(t, &ids, true, j,
                         json_get(j, 0, "decoded_skip_special")))
        bad = "decoded_skip_special";
    token_list_release(&ids);
    return bad;
}

/* Lines that differ in a file of goldens. */
static unsigned count_bad(const struct tokenizer *t, const char *path,
                          const char *(*check)(const struct tokenizer *,
                                               const struct json *))
{
    struct buf file = read_all(path);
    struct slice rest = buf_slice(&file);
    struct json j = { 0 };
    struct err err = { 0 };
    unsigned bad = 0, n = 0;

    while (rest.n) {
        struct slice line = take_line(&rest);
        const char *what;

        n++;
        ck_assert_int_eq(json_parse(&j, line.p, line.n, &err), 0);
        what = check(t, &j);
        if (what && bad++ < 3)
            fprintf(stderr, "%s:%u: %s differ: %.*s\n", path, n, what,
                    (int)(line.n < 300 ? line.n : 300), line.p);
    }
    json_release(&j);
    buf_release(&file);
    ck_assert_uint_gt(n, 0);
    return bad;
}

static unsigned check_goldens(const char *dir, const char *name)
{
    char *json = mem_printf("%s/%s.json", dir, name);
    char *golden = mem_printf("%s/%s.golden.jsonl", dir, name);
    char *decode = mem_printf("%s/%s.decode.jsonl", dir, name);
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    unsigned bad;

    ck_assert_msg(tokenizer_open(json, &t, &err) == 0, "%s", err.msg);
    bad = count_bad(t, golden, differs);
    if (io_exists(decode))
        bad += count_bad(t, decode, decode_differs);
    tokenizer_free(t);
    free(json);
    free(golden);
    free(decode);
    return bad;
}

/* But for U+180E, a space to PCRE2, and characters of Unicode 16. */
static const char *common_differs(const struct tokenizer *t,
                                  const struct json *j)
{
    static const char *const others[] = { "\xE1\xA0\x8E", "\xE1\xB2\x89",
                                          "\xE1\xB2\x8A", "\xF0\x90\xB5\x80",
                                          "\xE0\xA2\x97" };
    struct buf text = { 0 };
    bool common = true;

    ck_assert(json_text(j, json_get(j, 0, "text"), &text));
    buf_char(&text, '\0');
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        common = common && !strstr(text.data, others[i]);
    buf_release(&text);
    return common ? differs(t, j) : NULL;
}

/* The splits of NAME.json with their patterns in a group, which no matcher
 * written by hand knows; the texts must come out as they do by hand. */
static unsigned check_by_regex(const char *dir, const char *name)
{
    static const char key[] = "\"Regex\":";
    char path[] = "/tmp/test_tokenizer.XXXXXX";
    char *from = mem_printf("%s/%s.json", dir, name);
    char *golden = mem_printf("%s/%s.golden.jsonl", dir, name);
    struct buf in = read_all(from), out = { 0 };
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int fd = mkstemp(path);
    char *at, *text, *end;
    unsigned bad;

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    buf_char(&in, '\0');
    for (at = in.data; (text = strstr(at, key)); at = end) {
        text = strchr(text + sizeof(key) - 1, '"') + 1;
        for (end = text; *end != '"'; end++)
            end += *end == '\\';
        buf_add(&out, at, (size_t)(text - at));
        buf_printf(&out, "(?:%.*s)", (int)(end - text), text);
    }
    ck_assert_ptr_ne(at, in.data);
    buf_str(&out, at);
    ck_assert_int_eq(io_write_file(path, out.data, out.len, 0600, &err), 0);
    ck_assert_msg(tokenizer_open(path, &t, &err) == 0, "%s", err.msg);
    bad = count_bad(t, golden, common_differs);
    (void)unlink(path);
    tokenizer_free(t);
    buf_release(&in);
    buf_release(&out);
    free(from);
    free(golden);
    return bad;
}

START_TEST(unknown_split_patterns_cut_as_the_known_ones)
{
    static const char *const names[] = { "llama3", "tekken", "gpt4o", "qwen2" };
    const char *root = getenv("SLMCTL_REFERENCE");
    unsigned bad = check_by_regex("tests/reference/tokenizers", "qwen2");

    for (size_t i = 0; root && i < sizeof(names) / sizeof(names[0]); i++) {
        char *dir = mem_printf("%s/fixtures/tokenizers", root);

        bad += check_by_regex(dir, names[i]);
        free(dir);
    }
    ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(reference_goldens_are_equal)
{
    static const char *const names[] = { "gpt2",
                                         "smollm2",
                                         "llama2",
                                         "phi3",
                                         "llama3",
                                         "tekken",
                                         "gpt4o",
                                         "phi4",
                                         "codegen",
                                         "mistral-first",
                                         "metaspace-always",
                                         "metaspace-never",
                                         "qwen2",
                                         "gemma",
                                         "added-flags",
                                         "bert",
                                         "t5-unigram",
                                         "xlmr-unigram" };
    const char *root = getenv("SLMCTL_REFERENCE");
    unsigned bad = 0;
    char *dir;

    if (!root) {
        printf("skip: reference tokenizers: SLMCTL_REFERENCE is not set\n");
        return;
    }
    dir = mem_printf("%s/fixtures/tokenizers", root);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        bad += check_goldens(dir, names[i]);
    free(dir);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(shipped_goldens_are_equal)
{
    static const char *const names[] = {
        "gpt2",         "smollm2",        "llama2",       "qwen2",
        "bert",         "t5-unigram",     "xlmr-unigram", "parts-normalizers",
        "parts-cuts",   "parts-patterns", "parts-bytes",  "parts-added",
        "parts-emptied"
    };
    unsigned bad = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        bad += check_goldens("tests/reference/tokenizers", names[i]);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

/* Write text as a tokenizer.json and expect its refusal. */
static void expect_refused(const char *text, const char *reason)
{
    char path[] = "/tmp/test_tokenizer.XXXXXX";
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    ck_assert_int_eq(io_write_file(path, text, strlen(text), 0600, &err), 0);
    ck_assert_msg(tokenizer_open(path, &t, &err) < 0, "%s", text);
    ck_assert_msg(strstr(err.msg, reason) && strstr(err.msg, path),
                  "wanted \"%s\", got \"%s\"", reason, err.msg);
    (void)unlink(path);
}

#define MODEL(body) "{\"model\":{\"type\":\"BPE\"," body "}}"
#define OK_MODEL "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}"

#define SPLIT(regex, behavior)                                                 \
    "{" OK_MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":"         \
    "{\"Regex\":\"" regex "\"},\"behavior\":\"" behavior "\"}}"

START_TEST(what_is_unknown_is_refused_by_name)
{
    static const char *const bad[][2] = {
        { "", "byte 0" },
        { "[]", "no model object" },
        { "{\"model\":{\"type\":\"WordLevel\"}}",
          "model WordLevel is not supported" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", "no vocab list" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}",
          "token 0 has no score" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[1,2]]}}",
          "token 0 has no text" },
        { "{\"model\":{\"vocab\":[[\"a\",0]]}}", "without unk_id" },
        { "{\"model\":{\"vocab\":[[\"a\",0]],\"unk_id\":1}}", "unk_id 1 of" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}",
          "unk_token of the model" },
        { "{\"model\":{\"vocab\":{}}}", "without merges" },
        { MODEL("\"merges\":[]"), "no vocab object" },
        { MODEL("\"vocab\":{},\"merges\":1"), "no merges" },
        { MODEL("\"vocab\":{\"a\":\"0\"},\"merges\":[]"), "no integer" },
        { MODEL("\"vocab\":{\"a\":-1},\"merges\":[]"), "token id -1" },
        { MODEL("\"vocab\":{\"a\":9999999},\"merges\":[]"),
          "token id 9999999 is not below" },
        { MODEL("\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]"), "listed twice" },
        { MODEL("\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]"), "listed twice" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a b\"]"),
          "merge 0: its right part is not in" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a a\"]"),
          "the result is not in" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a\"]"), "two parts" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]"), "two parts" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]"), "two parts" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1"),
          "dropout" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[],"
                "\"end_of_word_suffix\":\"</w>\""),
          "end_of_word_suffix" },
        { MODEL("\"vocab\":{\"a\":0},\"merges\":[],"
                "\"unk_token\":\"?\""),
          "unk_token" },
        { "{" OK_MODEL ",\"normalizer\":{\"type\":\"Rot13\"}}",
          "normalizer Rot13 is not supported" },
        { "{" OK_MODEL ",\"normalizer\":{\"type\":\"Precompiled\","
          "\"precompiled_charsmap\":\"!\"}}",
          "no base64" },
        { "{" OK_MODEL ",\"normalizer\":{\"type\":\"Precompiled\","
          "\"precompiled_charsmap\":\"/////w==\"}}",
          "damaged" },
        { "{" OK_MODEL ",\"normalizer\":{\"type\":\"Replace\","
          "\"pattern\":{\"Regex\":\"x{1,3}+\"},\"content\":\"\"}}",
          "a repeated repetition in it" },
        { "{" OK_MODEL ",\"decoder\":{\"type\":\"Replace\","
          "\"pattern\":{\"Regex\":\"[a\\\\W]\"},\"content\":\"\"}}",
          "an escape in it" },
        { "{" OK_MODEL ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}",
          "pre_tokenizer UnicodeScripts is not supported" },
        { SPLIT("a+", "Mixed"), "behavior is not supported" },
        { SPLIT("a{1,3}+", "Isolated"), "a repeated repetition in it" },
        { SPLIT("(?m:a.b)", "Isolated"), "a flag in it" },
        { SPLIT("[a&&[b]]", "Isolated"), "a set of sets in it" },
        { SPLIT("(a", "Isolated"), "pattern, byte" },
        { "{" OK_MODEL ",\"decoder\":{\"type\":\"CTC\"}}",
          "decoder CTC is not supported" },
        { "{" OK_MODEL ",\"post_processor\":{\"type\":\"Roberta\"}}",
          "post_processor Roberta is not supported" },
        { "{" OK_MODEL ",\"post_processor\":{\"type\":"
          "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
          "\"<s>\"}}]}}",
          "does not define" },
        { "{" OK_MODEL ",\"added_tokens\":[{\"id\":1}]}", "no content" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_refused(bad[i][0], bad[i][1]);
}
END_TEST

static struct tokenizer *open_json(const char *text)
{
    char path[] = "/tmp/test_tokenizer.XXXXXX";
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    ck_assert_int_eq(io_write_file(path, text, strlen(text), 0600, &err), 0);
    ck_assert_msg(tokenizer_open(path, &t, &err) == 0, "%s", err.msg);
    (void)unlink(path);
    return t;
}

/* Broke as a read beyond the table of classes. */
#define PAIRS                                                                  \
    "\"model\":{\"vocab\":{\"a\":0,\"1\":1,\"aa\":2,\"11\":3,\"a1\":4,\"1a\":" \
    "5},"                                                                      \
    "\"merges\":[\"a a\",\"1 1\",\"a 1\",\"1 a\"]}"

/* A list of ids as digits. */
static void expect_ids(const char *pattern, const char *behavior, bool invert,
                       const char *want)
{
    char *text =
        mem_printf("{" PAIRS ",\"pre_tokenizer\":{\"type\":\"Split\","
                   "\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"%s\","
                   "\"invert\":%s}}",
                   pattern, behavior, invert ? "true" : "false");
    struct tokenizer *t = open_json(text);
    struct token_list ids = { 0 };
    struct err err = { 0 };
    char got[32] = "";

    ck_assert_int_eq(
        tokenizer_encode(t, (struct slice){ "a11a", 4 }, 0, &ids, NULL, &err),
        0);
    for (size_t i = 0; i < ids.count; i++)
        got[i] = (char)('0' + ids.ids[i]);
    ck_assert_msg(strcmp(got, want) == 0, "%s %s: %s, not %s", pattern,
                  behavior, got, want);
    token_list_release(&ids);
    tokenizer_free(t);
    free(text);
}

START_TEST(unknown_split_patterns_keep_their_behavior)
{
    expect_ids("\\\\d", "Isolated", false, "0110");
    expect_ids("\\\\d", "Contiguous", false, "030");
    expect_ids("\\\\d", "MergedWithPrevious", false, "410");
    expect_ids("\\\\d", "MergedWithNext", false, "015");
    expect_ids("\\\\d", "Removed", false, "00");
    expect_ids("\\\\d", "Removed", true, "11");
    expect_ids("(?=1)", "Isolated", false, "015");
    expect_ids("(?<=a)1", "Isolated", false, "015");
    expect_ids("x|^a", "Isolated", false, "030");
}
END_TEST

START_TEST(a_split_pattern_that_gives_up_fails_the_encode)
{
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct tokenizer *t = open_json(SPLIT("(?:a+)+[bd]", "Isolated"));
    struct token_list ids = { 0 };
    struct err err = { 0 };

    ck_assert_int_eq(tokenizer_encode(t,
                                      (struct slice){ text, sizeof(text) - 1 },
                                      0, &ids, NULL, &err),
                     ERR_LIMIT);
    ck_assert_uint_eq(ids.count, 0);
    token_list_release(&ids);
    tokenizer_free(t);
}
END_TEST

START_TEST(offsets_of_invalid_utf8_are_trimmed)
{
    struct tokenizer *t = open_json(
        "{\"model\":{\"vocab\":{\"a\":0,\"\xC3\xAF\":1,\"\xC2\xBF\":2,"
        "\"\xC2\xBD\":3},\"merges\":[]},"
        "\"pre_tokenizer\":{\"type\":\"ByteLevel\"},"
        "\"post_processor\":{\"type\":\"ByteLevel\","
        "\"trim_offsets\":true}}");
    struct token_list ids = { 0 }, offsets = { 0 };
    struct err err = { 0 };

    ck_assert_int_eq(
        tokenizer_encode(t, slice_of("a\xFF"), 0, &ids, &offsets, &err), 0);
    ck_assert_uint_eq(ids.count, 4);
    ck_assert_int_eq(offsets.ids[2], 1);
    ck_assert_int_eq(offsets.ids[3], 2);
    token_list_release(&ids);
    token_list_release(&offsets);
    tokenizer_free(t);
}
END_TEST

/* Broke as a merge of two bytes without an id into whatever had id 0. */
START_TEST(unknown_bytes_side_by_side_do_not_merge)
{
    struct tokenizer *t = open_json(
        "{\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<unk>\":3},"
        "\"unk_token\":\"<unk>\",\"merges\":[\"a b\"]},"
        "\"pre_tokenizer\":{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false}}");
    static const int32_t want[] = { 3, 3, 2, 3, 3 };
    struct token_list ids = { 0 };
    struct err err = { 0 };

    ck_assert_int_eq(
        tokenizer_encode(t, slice_of("xyabzx"), 0, &ids, NULL, &err), 0);
    ck_assert_uint_eq(ids.count, 5);
    ck_assert_mem_eq(ids.ids, want, sizeof(want));
    token_list_release(&ids);
    tokenizer_free(t);
}
END_TEST

/* Broke as arithmetic on a NULL pointer. */
START_TEST(a_word_of_unknown_characters_vanishes)
{
    struct tokenizer *t = open_json("{" OK_MODEL "}");
    struct token_list ids = { 0 };
    struct err err = { 0 };

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            tokenizer_encode(t, slice_of("xyz"), 0, &ids, NULL, &err), 0);
    ck_assert_uint_eq(ids.count, 0);
    tokenizer_free(t);
}
END_TEST

/* Train on text, open the result. */
static struct tokenizer *trained(const char *text, size_t vocab)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    struct tokenizer_train_options opt = { vocab, specials, 0 };
    struct slice texts[] = { slice_of(text), slice_of("") };
    char path[] = "/tmp/test_tokenizer.XXXXXX";
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    ck_assert_msg(tokenizer_train(texts, 2, &opt, path, &err) == 0, "%s",
                  err.msg);
    ck_assert_msg(tokenizer_open(path, &t, &err) == 0, "%s", err.msg);
    (void)unlink(path);
    return t;
}

START_TEST(training_merges_the_most_frequent_pair_first)
{
    /* "ab" 5 times, "abc" 3 of them; then everything once. */
    struct tokenizer *t = trained("abc abc abc ab ab xyz", 400);

    ck_assert_str_eq(tokenizer_token(t, 0), "<|im_start|>");
    ck_assert_str_eq(tokenizer_token(t, 2 + 'a'), "a");
    ck_assert_str_eq(tokenizer_token(t, 258), "ab");
    /* " ab" (4) before "abc" (3) */
    ck_assert_str_eq(tokenizer_token(t, 259), "\xC4\xA0"
                                              "ab");
    ck_assert_str_eq(tokenizer_token(t, 260), "\xC4\xA0"
                                              "abc");
    ck_assert_uint_eq(tokenizer_size(t), 261); /* the rest occurs once */
    tokenizer_free(t);
}
END_TEST

START_TEST(training_keeps_specials_and_digits_apart)
{
    struct tokenizer *t = trained("<|im_start|>77777<|im_end|>"
                                  "<|im_start|>77777<|im_end|>",
                                  300);
    struct token_list ids = { 0 };
    struct buf text = { 0 };
    struct err err = { 0 };

    ck_assert_uint_eq(tokenizer_size(t), 258);
    ck_assert_int_eq(tokenizer_encode(t, slice_of("<|im_start|>7 <|im_end"), 0,
                                      &ids, NULL, &err),
                     0);
    ck_assert_int_eq(ids.ids[0], 0);
    ck_assert_uint_eq(ids.count, 11);
    tokenizer_decode(t, ids.ids, ids.count, true, &text);
    ck_assert_str_eq(text.data, "7 <|im_end");
    ids.count = 0;
    ck_assert_int_eq(tokenizer_encode(t, slice_of("<|im_start|>"),
                                      TOKENIZER_NO_ADDED, &ids, NULL, &err),
                     0);
    ck_assert_uint_eq(ids.count, 12);
    ck_assert(tokenizer_is_special(t, 1));
    ck_assert(!tokenizer_is_special(t, 2));
    ck_assert(!tokenizer_is_special(t, -1));
    ck_assert_int_eq(tokenizer_id(t, "<|im_end|>"), 1);
    ck_assert_int_eq(tokenizer_id(t, "nothing"), -1);
    token_list_release(&ids);
    buf_release(&text);
    tokenizer_free(t);
}
END_TEST

START_TEST(overlapping_pairs_are_counted_right)
{
    struct tokenizer *t = trained("aaaaaaa aaaaaaa aaaaaaa", 261);
    struct token_list ids = { 0 };
    struct buf text = { 0 };
    struct err err = { 0 };

    ck_assert_str_eq(tokenizer_token(t, 258), "aa");
    ck_assert_str_eq(tokenizer_token(t, 259), "aaaa");
    ck_assert_int_eq(
        tokenizer_encode(t, slice_of("aaaaaaa"), 0, &ids, NULL, &err), 0);
    tokenizer_decode(t, ids.ids, ids.count, false, &text);
    ck_assert_str_eq(text.data, "aaaaaaa");
    token_list_release(&ids);
    buf_release(&text);
    tokenizer_free(t);
}
END_TEST

START_TEST(impossible_training_is_refused)
{
    static const char *const twice[] = { "<s>", "<s>", NULL };
    static const char *const byte[] = { "a", NULL };
    struct tokenizer_train_options opt = { 257, twice, 0 };
    struct err err = { 0 };

    ck_assert_int_eq(tokenizer_train(NULL, 0, &opt, "/tmp/no", &err),
                     ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "between 258"));
    opt.vocab = 300;
    ck_assert_int_eq(tokenizer_train(NULL, 0, &opt, "/tmp/no", &err),
                     ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "given twice"));
    opt.specials = byte;
    ck_assert_int_eq(tokenizer_train(NULL, 0, &opt, "/tmp/no", &err),
                     ERR_INVALID);
}
END_TEST

START_TEST(invalid_utf8_is_read_as_replacement_characters)
{
    struct tokenizer *t = trained("x", 258);
    struct token_list ids = { 0 }, offsets = { 0 };
    struct buf text = { 0 };
    struct err err = { 0 };

    ck_assert_int_eq(tokenizer_encode(t,
                                      (struct slice){ "a\xFF"
                                                      "b",
                                                      3 },
                                      0, &ids, &offsets, &err),
                     0);
    tokenizer_decode(t, ids.ids, ids.count, false, &text);
    ck_assert_str_eq(text.data, "a\xEF\xBF\xBD"
                                "b");
    ck_assert_uint_eq(offsets.count, 2 * ids.count);
    ck_assert_int_eq(offsets.ids[2], 1);
    ck_assert_int_eq(offsets.ids[3], 2);
    token_list_release(&ids);
    token_list_release(&offsets);
    buf_release(&text);
    tokenizer_free(t);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("tokenizer");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, reference_goldens_are_equal);
    tcase_add_test(c, unknown_split_patterns_keep_their_behavior);
    tcase_add_test(c, a_split_pattern_that_gives_up_fails_the_encode);
    tcase_add_test(c, unknown_split_patterns_cut_as_the_known_ones);
    tcase_add_test(c, shipped_goldens_are_equal);
    tcase_add_test(c, what_is_unknown_is_refused_by_name);
    tcase_add_test(c, offsets_of_invalid_utf8_are_trimmed);
    tcase_add_test(c, a_word_of_unknown_characters_vanishes);
    tcase_add_test(c, unknown_bytes_side_by_side_do_not_merge);
    tcase_add_test(c, training_merges_the_most_frequent_pair_first);
    tcase_add_test(c, training_keeps_specials_and_digits_apart);
    tcase_add_test(c, overlapping_pairs_are_counted_right);
    tcase_add_test(c, impossible_training_is_refused);
    tcase_add_test(c, invalid_utf8_is_read_as_replacement_characters);
    return suite_run("tokenizer", c);
}

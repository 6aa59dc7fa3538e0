/*
 * test_template.c - prompts and answers equal to what jinja2 renders, refusals,
 * parsing back, the prefix rule
 *
 * Goldens: tests/reference/chatml.golden.jsonl, made by chatml_golden.py there.
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/reference/chatml.golden.jsonl"

static char dir[SCRATCH_MAX];

static void make_dir(void)
{
    scratch_make(dir);
}

static void remove_dir(void)
{
    scratch_remove(dir);
}

static void put_file(const char *name, const char *p, size_t n)
{
    char *path = io_path(dir, name);
    struct err err = { 0 };

    ck_assert_int_eq(io_write_file(path, p, n, 0644, &err), 0);
    free(path);
}

/* The template whose Jinja text this is. */
static struct template *open_text(const char *source)
{
    struct template *t = NULL;
    struct err err = { 0 };

    put_file("chat_template.jinja", source, strlen(source));
    ck_assert_msg(template_open(dir, &t, &err) == 0, "%s", err.msg);
    return t;
}

static void check_line(const struct template *t, const struct json *j)
{
    struct buf got = { 0 }, want = { 0 };
    struct err err = { 0 };

    ck_assert_msg(
        template_prompt(t, j, json_get(j, 0, "request"), &got, &err) == 0, "%s",
        err.msg);
    ck_assert(json_text(j, json_get(j, 0, "prompt"), &want));
    ck_assert_msg(slice_eq(buf_slice(&got), buf_slice(&want)),
                  "wanted\n%s\ngot\n%s", want.data, got.data);
    buf_reset(&got);
    buf_reset(&want);
    ck_assert_msg(template_answer(t, j, json_get(j, 0, "request"), j,
                                  json_get(j, 0, "message"), &got, &err) == 0,
                  "%s", err.msg);
    ck_assert(json_text(j, json_get(j, 0, "answer"), &want));
    ck_assert_msg(slice_eq(buf_slice(&got), buf_slice(&want)),
                  "wanted\n%s\ngot\n%s", want.data, got.data);
    buf_release(&got);
    buf_release(&want);
}

/* Parsing a rendered answer and rendering it again gives the same text. */
static void check_round_trip(const struct template *t, const struct json *j)
{
    struct buf text = { 0 }, message = { 0 }, again = { 0 };
    struct err err = { 0 };
    struct json m = { 0 };
    bool malformed = true;

    ck_assert_int_eq(template_answer(t, j, json_get(j, 0, "request"), j,
                                     json_get(j, 0, "message"), &text, &err),
                     0);
    text.len -= strlen(template_stop(t));
    ck_assert_int_eq(
        template_parse(t, buf_slice(&text), &message, &malformed, &err), 0);
    ck_assert(!malformed);
    ck_assert_int_eq(json_parse(&m, message.data, message.len, &err), 0);
    ck_assert_int_eq(
        template_answer(t, j, json_get(j, 0, "request"), &m, 0, &again, &err),
        0);
    text.len += strlen(template_stop(t));
    ck_assert(slice_eq(buf_slice(&text), buf_slice(&again)));
    json_release(&m);
    buf_release(&text);
    buf_release(&message);
    buf_release(&again);
}

START_TEST(renderings_equal_those_of_jinja2)
{
    struct template *t = NULL;
    struct buf file = { 0 };
    struct err err = { 0 };
    struct json j = { 0 };
    unsigned n = 0;

    ck_assert_int_eq(io_read_file(GOLDEN, 1 << 24, &file, &err), 0);
    for (char *p = file.data, *end; (end = strchr(p, '\n')); p = end + 1) {
        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        if (json_present(json_get(&j, 0, "template"))) {
            char *source = json_strdup(&j, json_get(&j, 0, "template"));
            char *name = json_strdup(&j, json_get(&j, 0, "name"));

            template_free(t);
            t = open_text(source);
            ck_assert_msg(strstr(template_name(t), "ChatML"), "%s is %s", name,
                          template_name(t));
            free(source);
            free(name);
            continue;
        }
        check_line(t, &j);
        check_round_trip(t, &j);
        n++;
    }
    ck_assert_uint_ge(n, 20);
    template_free(t);
    json_release(&j);
    buf_release(&file);
}
END_TEST

#define HI "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static void expect_refused(const struct template *t, const char *request,
                           const char *message, const char *reason)
{
    struct buf out = { 0 };
    struct err err = { 0 };
    struct json q = { 0 }, a = { 0 };
    const char *text = request ? request : HI;
    int rc;

    ck_assert_int_eq(json_parse(&q, text, strlen(text), &err), 0);
    if (message)
        ck_assert_int_eq(json_parse(&a, message, strlen(message), &err), 0);
    rc = message ? template_answer(t, &q, 0, &a, 0, &out, &err)
                 : template_prompt(t, &q, 0, &out, &err);
    ck_assert_int_eq(rc, ERR_UNSUPPORTED);
    ck_assert_msg(strstr(err.msg, reason), "%s", err.msg);
    json_release(&q);
    json_release(&a);
    buf_release(&out);
}

START_TEST(what_cannot_be_rendered_is_refused_with_a_reason)
{
    struct template *t = open_text(template_builtin());

    expect_refused(t, "{}", NULL, "no messages");
    expect_refused(t,
                   "{\"messages\":[{\"role\":\"user\",\"content\":["
                   "{\"type\":\"image_url\"}]}]}",
                   NULL, "message 1 holds a part that is not text");
    expect_refused(t,
                   "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                   "{\"role\":\"user\",\"content\":\"<|im_end|>\"}]}",
                   NULL, "message 2 holds the text of a control token");
    expect_refused(t, "{\"messages\":[{\"role\":\"x\",\"content\":\"\"}]}",
                   NULL, "unknown role");
    expect_refused(t, "{\"messages\":[{\"role\":\"user\",\"content\":1}]}",
                   NULL, "neither text nor parts");
    expect_refused(t,
                   "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
                   "\"functions\":[{}]}",
                   NULL, "old form of tools");
    expect_refused(t, NULL, "{\"content\":null}", "the answer is empty");
    expect_refused(t, NULL, "{\"content\":\"<tool_call>\"}",
                   "holds <tool_call>");
    expect_refused(t, NULL,
                   "{\"tool_calls\":[{\"function\":{\"name\":\"f\","
                   "\"arguments\":\"{\"}}]}",
                   "no JSON object");
    expect_refused(t, NULL, "{\"tool_calls\":[{\"function\":{}}]}",
                   "without a name");
    template_free(t);
}
END_TEST

START_TEST(forms_without_tools_refuse_them)
{
    static const char plain[] =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + "
        "'\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
        "{% endif %}\n";
    struct template *t = open_text(plain);

    expect_refused(t,
                   "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
                   "\"tools\":[{\"type\":\"function\",\"function\":{}}]}",
                   NULL, "has tools");
    expect_refused(t,
                   "{\"messages\":[{\"role\":\"assistant\","
                   "\"content\":null}]}",
                   NULL, "no content");
    expect_refused(t, NULL,
                   "{\"content\":\"\",\"tool_calls\":[{\"function\":{"
                   "\"name\":\"f\",\"arguments\":\"{}\"}}]}",
                   "cannot show");
    template_free(t);
}
END_TEST

START_TEST(broken_calls_are_malformed_and_keep_their_text)
{
    static const char *const broken[] = {
        "<tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\"}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": \"{}\"}\n</tool_call>",
        "<tool_call>\n{\"name\": \"\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call> x",
        "<tool_call>\n[]\n</tool_call>",
    };
    struct template *t = open_text(template_builtin());

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct buf out = { 0 };
        struct err err = { 0 };
        struct json j = { 0 };
        bool malformed = false;

        ck_assert_int_eq(
            template_parse(t, slice_of(broken[i]), &out, &malformed, &err), 0);
        ck_assert_msg(malformed, "%s", broken[i]);
        ck_assert_int_eq(json_parse(&j, out.data, out.len, &err), 0);
        ck_assert(json_text_is(&j, json_get(&j, 0, "content"), broken[i]));
        ck_assert(!json_present(json_get(&j, 0, "tool_calls")));
        json_release(&j);
        buf_release(&out);
    }
    template_free(t);
}
END_TEST

START_TEST(calls_are_parsed_in_order_with_their_text)
{
    struct template *t = open_text(template_builtin());
    struct buf out = { 0 };
    struct err err = { 0 };
    bool malformed = true;

    ck_assert_int_eq(
        template_parse(t,
                       slice_of("ok\n<tool_call>\n{\"name\": \"f\", "
                                "\"arguments\": {\"a\": 1}}\n</tool_call>\n"
                                "<tool_call>{\"arguments\":{},\"name\":\"g\"}"
                                "</tool_call>\n"),
                       &out, &malformed, &err),
        0);
    ck_assert(!malformed);
    ck_assert_str_eq(
        out.data,
        "{\"role\":\"assistant\",\"content\":\"ok\",\"tool_calls\":["
        "{\"id\":\"call_0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\": 1}\"}},"
        "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"g\","
        "\"arguments\":\"{}\"}}]}");
    buf_release(&out);
    template_free(t);
}
END_TEST

static struct tokenizer *make_tokenizer(const char *const *specials)
{
    struct tokenizer_train_options opt = { 300, specials, 0 };
    struct slice text = slice_of("\n\n\n\n system user assistant\n\n");
    struct tokenizer *t = NULL;
    char *path = io_path(dir, "tokenizer.json");
    struct err err = { 0 };

    ck_assert_msg(tokenizer_train(&text, 1, &opt, path, &err) == 0, "%s",
                  err.msg);
    ck_assert_int_eq(tokenizer_open(dir, &t, &err), 0);
    free(path);
    return t;
}

/* Encode one user message and an answer; the reason of refusal or NULL. */
static char *encode(const struct template *t, const struct tokenizer *tok,
                    const char *answer, struct template_example *out)
{
    static const char request[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    char *message = mem_printf("{\"content\":\"%s\"}", answer);
    struct json q = { 0 }, a = { 0 };
    struct err err = { 0 };
    char *reason = NULL;

    ck_assert_int_eq(json_parse(&q, request, strlen(request), &err), 0);
    ck_assert_int_eq(json_parse(&a, message, strlen(message), &err), 0);
    if (template_encode(t, tok, &q, 0, &a, 0, out, &err) < 0)
        reason = mem_strdup(err.msg);
    json_release(&q);
    json_release(&a);
    free(message);
    return reason;
}

START_TEST(examples_train_the_answer_and_its_end_alone)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    struct template *t = open_text(template_builtin());
    struct tokenizer *tok = make_tokenizer(specials);
    struct template_example e = { 0 };
    struct buf text = { 0 };

    ck_assert_ptr_null(encode(t, tok, "yes", &e));
    tokenizer_decode(tok, e.ids.ids + e.answer_at, e.ids.count - e.answer_at,
                     false, &text);
    ck_assert_str_eq(text.data, "yes<|im_end|>");
    token_list_release(&e.ids);
    buf_release(&text);
    tokenizer_free(tok);
    template_free(t);
}
END_TEST

/* Such a template shows no thoughts, and asks for one. */
START_TEST(a_thought_that_the_prompt_opens_is_part_of_the_answer)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    static const char *const cases[][2] = {
        { "yes", "</think>\n\nyes<|im_end|>" },
        { "hm, well\\n</think>\\n\\nyes",
          "hm, well\n</think>\n\nyes<|im_end|>" },
        { "<think>\\nhm\\n</think>\\nyes", "hm\n</think>\n\nyes<|im_end|>" },
        { "yes\",\"reasoning_content\":\"so", "so\n</think>\n\nyes<|im_end|>" },
    };
    struct template *t = open_text(
        "{% for m in messages %}<|im_start|>{{ m.role + '\n' +"
        " m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
        "{% endif %}");
    struct tokenizer *tok = make_tokenizer(specials);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct template_example e = { 0 };
        struct buf text = { 0 };

        ck_assert_ptr_null(encode(t, tok, cases[i][0], &e));
        tokenizer_decode(tok, e.ids.ids + e.answer_at,
                         e.ids.count - e.answer_at, false, &text);
        ck_assert_str_eq(text.data, cases[i][1]);
        token_list_release(&e.ids);
        buf_release(&text);
    }
    tokenizer_free(tok);
    template_free(t);
}
END_TEST

START_TEST(answers_that_change_their_prompt_are_refused)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    static const char *const none[] = { "<s>", NULL };
    struct template *t = open_text(template_builtin());
    struct tokenizer *tok = make_tokenizer(specials);
    struct template_example e = { 0 };
    char *reason = encode(t, tok, "\\n\\n\\nyes", &e);

    /* The newline that ends the prompt merges with those of the answer. */
    ck_assert_ptr_nonnull(reason);
    ck_assert_ptr_nonnull(strstr(reason, "changes how its prompt"));
    free(reason);
    tokenizer_free(tok);
    tok = make_tokenizer(none);
    reason = encode(t, tok, "yes", &e);
    ck_assert_ptr_nonnull(reason);
    ck_assert_ptr_nonnull(strstr(reason, "no token <|im_end|>"));
    free(reason);
    tokenizer_free(tok);
    template_free(t);
}
END_TEST

static void expect_unopened(int code, const char *message)
{
    struct template *t = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(template_open(dir, &t, &err), code);
    ck_assert_msg(strstr(err.msg, message), "%s", err.msg);
}

START_TEST(directories_without_a_template_or_with_a_broken_one_are_refused)
{
    static const char none[] = "{\"eos_token\":\"x\"}";
    static const char list[] = "{\"chat_template\":[{\"name\":\"default\","
                               "\"template\":\"{{ 1 + }}\"}]}";

    expect_unopened(ERR_NOTFOUND, "no chat template");
    put_file("tokenizer_config.json", none, strlen(none));
    expect_unopened(ERR_NOTFOUND, "no chat template");
    put_file("tokenizer_config.json", list, strlen(list));
    expect_unopened(ERR_FORMAT, "the chat template: line 1: unexpected");
    put_file("chat_template.jinja", "{% if %}", 8);
    expect_unopened(ERR_FORMAT, "chat_template.jinja");
}
END_TEST

/* Found by fuzzing: each of the probes ran to the limit again. */
START_TEST(a_template_that_reaches_a_limit_is_not_probed_again)
{
    static const char endless[] =
        "{% for a in range(99999) %}{% for b in range(99999) %}"
        "{% endfor %}{% endfor %}";

    put_file("chat_template.jinja", endless, strlen(endless));
    expect_unopened(ERR_LIMIT, "more than a rendering may");
}
END_TEST

#define CALL_REQUEST                                                           \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"}],\"tools\":[" \
    "{\"type\":\"function\",\"function\":{\"name\":\"get\",\"description\":"   \
    "\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{"     \
    "\"type\":\"string\"}}}}}]}"
/* What a model's own template makes of a call is read back as that call. */
static void check_call(const struct template *t, const char *name)
{
    static const char answer[] =
        "{\"content\":null,\"tool_calls\":[{\"id\":\"call_x\",\"type\":"
        "\"function\",\"function\":{\"name\":\"get\",\"arguments\":"
        "\"{\\\"city\\\":\\\"Ulm\\\"}\"}}]}";
    struct buf text = { 0 }, message = { 0 }, arguments = { 0 };
    struct json q = { 0 }, a = { 0 }, m = { 0 };
    struct err err = { 0 };
    bool malformed = true;
    json_ref call;

    ck_assert_int_eq(json_parse(&q, CALL_REQUEST, strlen(CALL_REQUEST), &err),
                     0);
    ck_assert_int_eq(json_parse(&a, answer, strlen(answer), &err), 0);
    ck_assert_msg(template_answer(t, &q, 0, &a, 0, &text, &err) == 0, "%s: %s",
                  name, err.msg);
    text.len -= strlen(template_stop(t));
    ck_assert_int_eq(
        template_parse(t, buf_slice(&text), &message, &malformed, &err), 0);
    ck_assert_int_eq(json_parse(&m, message.data, message.len, &err), 0);
    call =
        json_get(&m, json_at(&m, json_get(&m, 0, "tool_calls"), 0), "function");
    ck_assert_msg(!malformed &&
                      json_text_is(&m, json_get(&m, call, "name"), "get"),
                  "%s: %s", name, message.data);
    ck_assert(json_text(&m, json_get(&m, call, "arguments"), &arguments));
    ck_assert_msg(strstr(arguments.data, "\"Ulm\""), "%s: %s", name,
                  arguments.data);
    json_release(&q);
    json_release(&a);
    json_release(&m);
    buf_release(&text);
    buf_release(&message);
    buf_release(&arguments);
}

START_TEST(calls_are_read_back_in_each_family)
{
    static const char *const names[][3] = {
        { "data", "Qwen-Qwen2.5-7B-Instruct", "<|im_end|>" },
        { "data", "meta-llama-Llama-3.2-3B-Instruct", "<|eot_id|>" },
        { "fixtures", "Qwen-Qwen3-0.6B", "<|im_end|>" },
        { "fixtures", "mistralai-Mistral-Nemo-Instruct-2407", "</s>" },
        { "data", "NVIDIA-Nemotron-Nano-v2", "<SPECIAL_12>" },
    };
    const char *root = getenv("SLMCTL_REFERENCE");

    if (!root) {
        printf("skip: families' calls: SLMCTL_REFERENCE is not set\n");
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = mem_printf("%s/%s/chat-templates/%s.jinja", root,
                                names[i][0], names[i][1]);
        char *config = mem_printf("{\"bos_token\":\"<s>\",\"eos_token\":"
                                  "\"%s\"}",
                                  names[i][2]);
        struct buf source = { 0 };
        struct err err = { 0 };
        struct template *t;

        put_file("tokenizer_config.json", config, strlen(config));
        ck_assert_int_eq(io_read_file(path, 1 << 20, &source, &err), 0);
        t = open_text(source.data);
        ck_assert_str_eq(template_stop(t), names[i][2]);
        ck_assert_msg(template_knows_calls(t), "%s", names[i][1]);
        check_call(t, names[i][1]);
        template_free(t);
        buf_release(&source);
        free(config);
        free(path);
    }
}
END_TEST

/* A template that only names what its family writes; then what is read. */
static void expect_parsed(const char *source, const char *text,
                          const char *want)
{
    struct template *t = open_text(source);
    struct buf out = { 0 };
    struct err err = { 0 };
    bool malformed = true;

    ck_assert_int_eq(template_parse(t, slice_of(text), &out, &malformed, &err),
                     0);
    ck_assert_msg(strstr(out.data, want), "%s gives %s", text, out.data);
    buf_release(&out);
    template_free(t);
}

#define SHOWS "{{ messages[0].tool_calls }}{{ tools }}"

START_TEST(families_write_calls_in_their_own_ways)
{
    static const char f[] = "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"";

    expect_parsed("[TOOL_CALLS]" SHOWS,
                  "[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{\"a\":1},"
                  "\"id\":\"000000000\"}]",
                  f);
    expect_parsed("<|tool_call|><|/tool_call|>" SHOWS,
                  "<|tool_call|>[{\"name\":\"f\",\"arguments\":{\"a\":1}}]"
                  "<|/tool_call|>",
                  f);
    expect_parsed("<|tool_call|>" SHOWS,
                  "<|tool_call|>[{\"name\":\"f\",\"arguments\":{\"a\":1}}]", f);
    expect_parsed("<TOOLCALL>" SHOWS,
                  "<TOOLCALL>[{\"name\":\"f\",\"arguments\":{\"a\":1}}]"
                  "</TOOLCALL>",
                  f);
    expect_parsed("{# \"parameters\": #}" SHOWS,
                  "{\"name\": \"f\", \"parameters\": {\"a\":1}}", f);
    expect_parsed(
        "<｜tool▁calls▁begin｜>" SHOWS,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n"
        "```json\n{\"a\":1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        f);
    expect_parsed("[TOOL_CALLS]" SHOWS, "[TOOL_CALLS]{}",
                  "\"content\":\"[TOOL_CALLS]{}\"");
}
END_TEST

START_TEST(thinking_is_split_off)
{
    expect_parsed("<think>{{ messages }}", "<think>\nhm\n</think>\n\nyes",
                  "\"content\":\"yes\",\"reasoning_content\":\"hm\"");
    expect_parsed("<think>{{ messages }}", "hm</think>yes",
                  "\"content\":\"yes\",\"reasoning_content\":\"hm\"");
    expect_parsed("{{ messages }}", "<think>hm</think>yes",
                  "\"content\":\"<think>hm</think>yes\"");
}
END_TEST

/* Of several named templates the one for tools is taken when there are any,
 * and special tokens are texts or objects. */
START_TEST(the_template_for_tools_and_the_tokens_are_the_models)
{
    static const char config[] =
        "{\"bos_token\":{\"content\":\"<b>\"},\"eos_token\":\"</s>\","
        "\"chat_template\":[{\"name\":\"default\",\"template\":"
        "\"{{ bos_token }}plain\"},{\"name\":\"tool_use\",\"template\":"
        "\"{{ bos_token }}{{ tools[0].function.name }}\"}]}";
    struct template *t = NULL;
    struct json j = { 0 };
    struct err err = { 0 };
    struct buf out = { 0 };

    put_file("tokenizer_config.json", config, strlen(config));
    ck_assert_msg(template_open(dir, &t, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(json_parse(&j, HI, strlen(HI), &err), 0);
    ck_assert_int_eq(template_prompt(t, &j, 0, &out, &err), 0);
    ck_assert_str_eq(out.data, "<b>plain");
    buf_reset(&out);
    ck_assert_int_eq(json_parse(&j, CALL_REQUEST, strlen(CALL_REQUEST), &err),
                     0);
    ck_assert_int_eq(template_prompt(t, &j, 0, &out, &err), 0);
    ck_assert_str_eq(out.data, "<b>get");
    buf_release(&out);
    json_release(&j);
    template_free(t);
}
END_TEST

/* A directory as the hub has them: messages and tools to text and ids. */
static void check_complete(const char *model)
{
    char *path = io_path(model, "expected.json");
    struct template *t = NULL;
    struct tokenizer *tok = NULL;
    struct buf file = { 0 };
    struct json j = { 0 };
    struct err err = { 0 };
    json_ref cases;

    ck_assert_int_eq(io_read_file(path, 1 << 24, &file, &err), 0);
    ck_assert_int_eq(json_parse(&j, file.data, file.len, &err), 0);
    ck_assert_msg(template_open(model, &t, &err) == 0, "%s", err.msg);
    ck_assert_msg(tokenizer_open(model, &tok, &err) == 0, "%s", err.msg);
    cases = json_get(&j, 0, "cases");
    ck_assert_uint_ge(json_count(&j, cases), 4);
    for (json_ref e = json_first(&j, cases); e != JSON_NONE;
         e = json_next(&j, cases, e)) {
        json_ref want = json_get(&j, e, "prompt_ids");
        struct token_list ids = { 0 };
        struct buf text = { 0 };

        ck_assert_msg(template_prompt(t, &j, e, &text, &err) == 0, "%s",
                      err.msg);
        ck_assert_msg(
            json_text_is(&j, json_get(&j, e, "prompt_text"), text.data), "%s",
            text.data);
        ck_assert_int_eq(
            tokenizer_encode(tok, buf_slice(&text), 0, &ids, NULL, &err), 0);
        ck_assert_uint_eq(ids.count, json_count(&j, want));
        for (size_t i = 0; i < ids.count; i++) {
            int64_t id = -1;

            ck_assert(json_int(&j, json_at(&j, want, i), &id));
            ck_assert_int_eq(ids.ids[i], id);
        }
        token_list_release(&ids);
        buf_release(&text);
    }
    template_free(t);
    tokenizer_free(tok);
    json_release(&j);
    buf_release(&file);
    free(path);
}

START_TEST(complete_models_get_the_references_prompts_and_ids)
{
    static const char *const names[] = { "qwen2-chatml", "smollm2-chatml" };
    const char *root = getenv("SLMCTL_REFERENCE");

    if (!root) {
        printf("skip: complete models: SLMCTL_REFERENCE is not set\n");
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        char *model = mem_printf("%s/fixtures/complete/%s", root, names[i]);

        check_complete(model);
        free(model);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("template");

    tcase_add_checked_fixture(c, make_dir, remove_dir);
    tcase_add_test(c, renderings_equal_those_of_jinja2);
    tcase_add_test(c, what_cannot_be_rendered_is_refused_with_a_reason);
    tcase_add_test(c, forms_without_tools_refuse_them);
    tcase_add_test(c, broken_calls_are_malformed_and_keep_their_text);
    tcase_add_test(c, calls_are_parsed_in_order_with_their_text);
    tcase_add_test(c, examples_train_the_answer_and_its_end_alone);
    tcase_add_test(c, a_thought_that_the_prompt_opens_is_part_of_the_answer);
    tcase_add_test(c, answers_that_change_their_prompt_are_refused);
    tcase_add_test(
        c, directories_without_a_template_or_with_a_broken_one_are_refused);
    tcase_add_test(c, a_template_that_reaches_a_limit_is_not_probed_again);
    tcase_add_test(c, calls_are_read_back_in_each_family);
    tcase_add_test(c, families_write_calls_in_their_own_ways);
    tcase_add_test(c, thinking_is_split_off);
    tcase_add_test(c, the_template_for_tools_and_the_tokens_are_the_models);
    tcase_add_test(c, complete_models_get_the_references_prompts_and_ids);
    return suite_run("template", c);
}

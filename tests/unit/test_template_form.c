/*
 * test_template_form.c - what a form allows, parsing reads; what a template
 * renders, its form allows
 *
 * Templates of each family in small; answers are drawn at random from the
 * masks, as a model without any sense would choose them. Marks are special
 * tokens of the tokenizer, or plain text for it.
 */
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[SCRATCH_MAX];
static struct tokenizer *tokenizer;
static struct constrain_vocab *vocab;
static struct err err;
static uint64_t seed;

#define OK(call) ck_assert_msg((call) == ERR_OK, "%s", err.msg)

static unsigned draw(unsigned n)
{
    uint32_t r[4];

    rng_philox(11, 0, seed++, r);
    return r[0] % n;
}

static void put_file(const char *name, const char *text)
{
    char *path = io_path(dir, name);

    OK(io_write_file(path, text, strlen(text), 0644, &err));
    free(path);
}

/* special: the families' marks are special tokens. */
static void open_tokenizer(bool special)
{
    static const char *const marks[] = { "<|end|>",
                                         "<tool_call>",
                                         "</tool_call>",
                                         "[TOOL_CALLS]",
                                         "<TOOLCALL>",
                                         "</TOOLCALL>",
                                         "<|tool_call|>",
                                         "<|/tool_call|>",
                                         "<|python_tag|>",
                                         "<｜tool▁calls▁begin｜>",
                                         "<｜tool▁calls▁end｜>",
                                         "<｜tool▁call▁begin｜>",
                                         "<｜tool▁call▁end｜>",
                                         "<｜tool▁sep｜>",
                                         "<think>",
                                         "</think>",
                                         NULL };
    static const char *const plain[] = { "<|end|>", NULL };
    static const char *const texts[] = {
        "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Ulm\", "
        "\"days\": 3}}",
        "the weather in the city, the days of the call: true, false, null",
    };
    struct slice s[2] = { slice_of(texts[0]), slice_of(texts[1]) };
    struct tokenizer_train_options opt = { .vocab = 320,
                                           .specials =
                                               special ? marks : plain };
    char *path = io_path(dir, "tokenizer.json");

    OK(tokenizer_train(s, 2, &opt, path, &err));
    OK(tokenizer_open(path, &tokenizer, &err));
    OK(constrain_vocab_new(tokenizer, &vocab, &err));
    free(path);
}

static void make(void)
{
    scratch_make(dir);
    put_file("tokenizer_config.json", "{\"eos_token\":\"<|end|>\"}");
}

static void drop(void)
{
    constrain_vocab_free(vocab);
    tokenizer_free(tokenizer);
    vocab = NULL;
    tokenizer = NULL;
    scratch_remove(dir);
}

/* messages, each with its calls as CALLS writes them. */
#define TEMPLATE(calls)                                                        \
    "{% if tools %}{{ tools | tojson }}{% endif %}"                            \
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"                   \
    "{% if m.tool_calls %}" calls "{% endif %}<|end|>\n{% endfor %}"           \
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
#define EACH(before, args, after)                                              \
    "{% for c in m.tool_calls %}" before                                       \
    "{\"name\": {{ c.function.name | tojson }}, \"" args                       \
    "\": {{ c.function.arguments | tojson }}" after "{% endfor %}"
#define COMMA "}{% if not loop.last %}, {% endif %}"

static const char *const templates[] = {
    TEMPLATE(EACH("\n<tool_call>\n", "arguments", "}\n</tool_call>")),
    TEMPLATE("<TOOLCALL>[" EACH("", "arguments", COMMA) "]</TOOLCALL>"),
    TEMPLATE(
        "[TOOL_CALLS][" EACH("", "arguments",
                             ", \"id\": \"{{ c.id }}\"}{% if not loop.last %}, "
                             "{% endif %}") "]") "{# length != 9 #}",
    TEMPLATE("<|tool_call|>[" EACH("", "arguments", COMMA) "]<|/tool_call|>"),
    TEMPLATE("<|tool_call|>[" EACH("", "arguments", COMMA) "]"),
    TEMPLATE(
        "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}"
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ c.function.name }}\n"
        "```json\n{{ c.function.arguments | tojson }}\n```"
        "<｜tool▁call▁end｜>{% if not loop.last %}\n{% endif %}{% endfor %}"
        "<｜tool▁calls▁end｜>"),
    TEMPLATE("{\"name\": {{ m.tool_calls[0].function.name | tojson }}, "
             "\"parameters\": {{ m.tool_calls[0].function.arguments | "
             "tojson }}}"),
};
#define FAMILIES ((int)(sizeof(templates) / sizeof(templates[0])))

static struct template *open_template(const char *source)
{
    struct template *t = NULL;

    put_file("chat_template.jinja", source);
    OK(template_open(dir, &t, &err));
    return t;
}

#define TOOLS                                                                  \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_"          \
    "weather\","                                                               \
    "\"description\":\"d\",\"parameters\":{\"type\":\"object\","               \
    "\"properties\":{"                                                         \
    "\"city\":{\"type\":\"string\",\"not\":{\"const\":\"Y\"}},\"days\":{"      \
    "\"type\":"                                                                \
    "\"integer\",\"minimum\":1}},\"required\":[\"city\"]}}},{\"type\":"        \
    "\"function\",\"function\":{\"name\":\"stop\",\"description\":\"d\"}}]"
#define REQUEST(more)                                                          \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"}]," TOOLS more \
    "}"

static struct constrain *open_form(const struct template *t,
                                   const char *request,
                                   const struct template_content *content)
{
    struct constrain *form = NULL;
    struct json j = { 0 };

    OK(json_parse(&j, request, strlen(request), &err));
    OK(template_form(t, vocab, &j, 0, content, &form, &err));
    json_release(&j);
    return form;
}

static int32_t pick(struct constrain *c, int64_t state)
{
    const uint64_t *mask = constrain_mask(c, state);
    int32_t chosen = -1;
    unsigned n = 0;

    ck_assert_ptr_nonnull(mask);
    for (size_t i = 0; i < constrain_size(c); i++) {
        bool special = tokenizer_is_special(tokenizer, (int32_t)i);

        if (!(mask[i / 64] >> (i % 64) & 1))
            continue;
        /* Marks and structure before text, so that calls come about. */
        n += special ? 200 : 1;
        if (draw(n) < (special ? 200u : 1u))
            chosen = (int32_t)i;
    }
    return chosen;
}

/* An answer at random; false: it did not end. */
static bool write_answer(const struct template *t, struct constrain *c,
                         const char *lead, struct buf *out)
{
    struct token_list ids = { 0 };
    int64_t state = 0;
    bool ended = false;

    OK(tokenizer_encode(tokenizer, slice_of(lead), 0, &ids, NULL, &err));
    for (size_t i = 0; i < ids.count; i++)
        state = constrain_step(c, state, ids.ids[i]);
    ck_assert_int_ge(state, 0);
    while (ids.count < 600 && !ended) {
        int32_t id = pick(c, state);

        if (id < 0 || (constrain_is_end(c, state) && draw(3) == 0)) {
            ck_assert(constrain_is_end(c, state));
            ended = true;
            break;
        }
        token_list_add(&ids, id);
        state = constrain_step(c, state, id);
        ck_assert_int_ge(state, 0);
    }
    template_answer_text(t, tokenizer, ids.ids, ids.count, out);
    token_list_release(&ids);
    return ended;
}

/* Calls of the offered tools whose arguments fit. */
static void check_calls(const struct json *m, const char *text)
{
    json_ref calls = json_get(m, 0, "tool_calls");

    for (json_ref e = json_first(m, calls); e != JSON_NONE;
         e = json_next(m, calls, e)) {
        json_ref f = json_get(m, e, "function"), city, days;
        struct buf arguments = { 0 };
        struct json a = { 0 };
        int64_t n;

        ck_assert(json_text(m, json_get(m, f, "arguments"), &arguments));
        OK(json_parse(&a, arguments.data, arguments.len, &err));
        city = json_get(&a, 0, "city");
        days = json_get(&a, 0, "days");
        if (json_text_is(m, json_get(m, f, "name"), "stop"))
            ck_assert_msg(json_count(&a, 0) == 0, "%s", text);
        else
            ck_assert_msg(
                json_text_is(m, json_get(m, f, "name"), "get_weather") &&
                    json_is(&a, city, JSON_STRING) &&
                    (!json_present(days) || json_int(&a, days, &n)) &&
                    json_count(&a, 0) == (json_present(days) ? 2 : 1),
                "%s", text);
        json_release(&a);
        buf_release(&arguments);
    }
}

/* How many calls the text is read to have. */
static size_t check_answer(const struct template *t, const struct buf *text)
{
    struct buf message = { 0 };
    struct json m = { 0 };
    bool malformed = true;
    size_t n;

    OK(template_parse(t, buf_slice(text), &message, &malformed, &err));
    ck_assert_msg(!malformed, "%s", text->data);
    OK(json_parse(&m, message.data, message.len, &err));
    n = json_count(&m, json_get(&m, 0, "tool_calls"));
    check_calls(&m, text->data);
    json_release(&m);
    buf_release(&message);
    return n;
}

static const char *const leads[] = {
    "\n<tool_call>\n{\"name\": \"",
    "<TOOLCALL>[",
    "[TOOL_CALLS]",
    "<|tool_call|>",
    "<|tool_call|>",
    "<｜tool▁calls▁begin｜>",
    "{\"name\": \"",
};

static void walk_family(int i)
{
    static const struct template_content any = { 0 };
    struct template *t = open_template(templates[i]);
    struct constrain *form = open_form(t, REQUEST(""), &any);
    size_t calls = 0, ended = 0;

    ck_assert(template_knows_calls(t));
    ck_assert_ptr_nonnull(form);
    for (unsigned k = 0; k < 60; k++) {
        struct buf text = { 0 };

        if (write_answer(t, form, k % 3 ? leads[i] : "", &text)) {
            calls += check_answer(t, &text);
            ended++;
        }
        buf_release(&text);
    }
    ck_assert_uint_ge(ended, 40);
    ck_assert_uint_ge(calls, 20);
    constrain_free(form);
    template_free(t);
}

START_TEST(whatever_fits_the_form_is_read_as_text_or_fitting_calls)
{
    open_tokenizer(_i >= FAMILIES);
    walk_family(_i % FAMILIES);
}
END_TEST

static bool takes(struct constrain *form, const char *text)
{
    struct token_list ids = { 0 };
    int64_t state = 0;

    OK(tokenizer_encode(tokenizer, slice_of(text), 0, &ids, NULL, &err));
    for (size_t i = 0; i < ids.count && state >= 0; i++)
        state = constrain_step(form, state, ids.ids[i]);
    token_list_release(&ids);
    return constrain_is_end(form, state);
}

static void check_rendered(const struct template *t, struct constrain *form,
                           const char *answer, bool fits)
{
    struct json q = { 0 }, a = { 0 };
    struct buf text = { 0 };

    OK(json_parse(&q, REQUEST(""), strlen(REQUEST("")), &err));
    OK(json_parse(&a, answer, strlen(answer), &err));
    OK(template_answer(t, &q, 0, &a, 0, &text, &err));
    text.len -= strlen(template_stop(t));
    text.data[text.len] = '\0';
    ck_assert_msg(takes(form, text.data) == fits, "%s", text.data);
    json_release(&q);
    json_release(&a);
    buf_release(&text);
}

#define CALL(name, arguments)                                                  \
    "{\"id\":\"call00001\",\"type\":\"function\",\"function\":{\"name\":"      \
    "\"" name "\",\"arguments\":\"" arguments "\"}}"
#define ANSWER(calls) "{\"content\":\"\",\"tool_calls\":[" calls "]}"

START_TEST(what_a_template_renders_fits_its_form)
{
    static const struct template_content any = { 0 };
    struct template *t = open_template(templates[_i % FAMILIES]);
    struct constrain *form;

    open_tokenizer(_i >= FAMILIES);
    form = open_form(t, REQUEST(""), &any);
    check_rendered(
        t, form,
        ANSWER(CALL("get_weather", "{\\\"city\\\": \\\"\xC3\x9Clm\\\", "
                                   "\\\"days\\\": 2}")),
        true);
    check_rendered(t, form, ANSWER(CALL("stop", "{}")), true);
    /* One call an answer there; a tag that is a special token is no text. */
    if (_i < FAMILIES - 1)
        check_rendered(
            t, form,
            ANSWER(CALL("stop", "{}") "," CALL(
                "get_weather", "{\\\"city\\\": \\\"</tool_call>\\\"}")),
            true);
    check_rendered(t, form, ANSWER(CALL("go", "{}")), false);
    check_rendered(t, form, ANSWER(CALL("stop", "{\\\"a\\\": 1}")), false);
    check_rendered(t, form, ANSWER(CALL("get_weather", "{\\\"days\\\": 1}")),
                   false);
    check_rendered(t, form, "{\"content\":\"It rains <tool\"}", true);
    constrain_free(form);
    template_free(t);
}
END_TEST

#define STOP                                                                   \
    "<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>"
#define RAIN                                                                   \
    "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"\"}}"      \
    "</tool_call>"

static void expect(const struct template *t, const char *request,
                   const struct template_content *content, const char *text,
                   bool fits)
{
    struct constrain *form = open_form(t, request, content);

    ck_assert_ptr_nonnull(form);
    ck_assert_msg(takes(form, text) == fits, "%s after %s", text, request);
    constrain_free(form);
}

START_TEST(a_request_says_which_calls_it_takes)
{
    static const struct template_content any = { 0 };
    static const char must[] = REQUEST(",\"tool_choice\":\"required\"");
    static const char one[] = REQUEST(",\"parallel_tool_calls\":false");
    static const char rain[] =
        REQUEST(",\"tool_choice\":{\"type\":\"function\",\"function\":{"
                "\"name\":\"get_weather\"}}");
    struct template *t = open_template(templates[0]);

    open_tokenizer(true);
    expect(t, REQUEST(""), &any, "hm\n" STOP RAIN, true);
    expect(t, REQUEST(""), &any, "hm", true);
    expect(t, must, &any, STOP RAIN, true);
    expect(t, must, &any, "hm\n" STOP, false);
    expect(t, must, &any, "hm", false);
    expect(t, one, &any, STOP, true);
    expect(t, one, &any, STOP RAIN, false);
    expect(t, rain, &any, RAIN, true);
    expect(t, rain, &any, STOP, false);
    ck_assert_ptr_null(
        open_form(t, REQUEST(",\"tool_choice\":\"none\""), &any));
    template_free(t);
}
END_TEST

START_TEST(text_beside_calls_keeps_to_its_own_form)
{
    const struct slice list[] = { slice_of("yes"), slice_of("no") };
    const struct template_content labels = { .labels = list, .label_count = 2 };
    const struct template_content json = { .json_depth = 3 };
    const struct template_content schema = {
        .schema = slice_of("{\"type\":\"object\",\"properties\":{\"a\":{"
                           "\"type\":\"integer\",\"multipleOf\":2}}}")
    };
    const struct template_content object = { .json_depth = 3, .object = true };
    struct template *t = open_template(templates[0]);

    open_tokenizer(false);
    expect(t, "{\"messages\":[]}", &object, "{\"a\":[1]}", true);
    expect(t, "{\"messages\":[]}", &object, "[1]", false);
    expect(t, REQUEST(""), &labels, "yes", true);
    expect(t, REQUEST(""), &labels, "maybe", false);
    expect(t, REQUEST(""), &labels, STOP, true);
    expect(t, REQUEST(""), &schema, "{\"a\": 2}", true);
    expect(t, REQUEST(""), &schema, "{\"b\": 2}", false);
    expect(t, REQUEST(""), &schema, RAIN, true);
    expect(t, "{\"messages\":[]}", &json, "[{\"a\":[1]},\"\"]", true);
    expect(t, "{\"messages\":[]}", &json, "[{\"a\":[[1]]}]", false);
    expect(t, "{\"messages\":[]}", &json, "[1,]", false);
    expect(t, "{\"messages\":[]}", &json, "[]", true);
    expect(t, "{\"messages\":[]}", &json, STOP, false);
    template_free(t);
}
END_TEST

START_TEST(thinking_comes_before_what_must_fit)
{
    const struct slice list[] = { slice_of("yes") };
    const struct template_content labels = { .labels = list, .label_count = 1 };
    static const char request[] = "{\"messages\":[]}";
    struct template *t = open_template("<think>{{ messages }}");

    open_tokenizer(true);
    expect(t, request, &labels, "<think>hm, no</think>\n\nyes", true);
    expect(t, request, &labels, "yes", true);
    expect(t, request, &labels, "hm</think>yes", false);
    expect(t, request, &labels, "<think>hm</think>no", false);
    template_free(t);
    t = open_template("{{ messages }}{% if add_generation_prompt %}<think>\n"
                      "{% endif %}");
    expect(t, request, &labels, "hm</think>yes", true);
    template_free(t);
}
END_TEST

#define WHOLE "<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>"

/* What of a text that was cut is no call. */
START_TEST(a_call_that_was_begun_is_no_text)
{
    static const struct {
        int family;
        const char *text, *left;
    } cases[] = {
        { 0, "so <tool_", "so" },
        { 0, " <tool_call>\n{\"na", "" },
        { 0, "a\n" WHOLE "\n<tool_call>{", "a" },
        { 0, "a\n" WHOLE, "a\n" WHOLE },
        { 0, "a b", "a b" },
        { 0, "", "" },
        { 0, "\n", "" },
        { 2, "[TOOL", "" },
        { 6, "{\"na", "" },
        { 6, "{\"name\": \"f\", \"par", "" },
        { 6, "{\"b\": 1", "{\"b\": 1" },
        { -1, "<tool_", "<tool_" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct template *t =
            open_template(cases[i].family < 0 ? "{{ messages }}"
                                              : templates[cases[i].family]);
        size_t n = template_uncalled(t, slice_of(cases[i].text));

        ck_assert_msg(n == strlen(cases[i].left), "%s: %zu", cases[i].text, n);
        template_free(t);
    }
}
END_TEST

/* The same tags with something else between them. */
START_TEST(calls_that_are_not_read_back_are_not_known)
{
    static const struct template_content any = { 0 };
    struct template *t = open_template(
        TEMPLATE("{% for c in m.tool_calls %}<tool_call>\n<function="
                 "{{ c.function.name }}>\n</function>\n</tool_call>{% endfor "
                 "%}"));

    open_tokenizer(false);
    ck_assert(!template_knows_calls(t));
    ck_assert_ptr_null(open_form(t, REQUEST(""), &any));
    template_free(t);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("template_form");

    tcase_add_checked_fixture(t, make, drop);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t,
                        whatever_fits_the_form_is_read_as_text_or_fitting_calls,
                        0, 2 * FAMILIES);
    tcase_add_loop_test(t, what_a_template_renders_fits_its_form, 0,
                        2 * FAMILIES);
    tcase_add_test(t, a_request_says_which_calls_it_takes);
    tcase_add_test(t, text_beside_calls_keeps_to_its_own_form);
    tcase_add_test(t, thinking_comes_before_what_must_fit);
    tcase_add_test(t, a_call_that_was_begun_is_no_text);
    tcase_add_test(t, calls_that_are_not_read_back_are_not_known);
    return suite_run("template_form", t);
}

/*
 * test_template_mask.c - which part of a conversation is trained
 *
 * Goldens: $SLMCTL_REFERENCE/fixtures/chat-masks.golden.jsonl: spans of
 * generation blocks, masks over two tokenizers, turns by prefix rendering or
 * the reason to refuse them.
 */
#include "golden_time.h"
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "base/mem.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;

static char *read_text(const char *path)
{
    struct buf b = { 0 };
    struct err err = { 0 };

    ck_assert_msg(io_read_file(path, 1 << 26, &b, &err) == 0, "%s", err.msg);
    return buf_take(&b, NULL);
}

static struct jinja *open_named(const char *name)
{
    static const char *const dirs[] = { "fixtures/chat-templates",
                                        "data/chat-templates" };
    struct jinja *t = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < 2 && !t; i++) {
        char *path = mem_printf("%s/%s/%s", root, dirs[i], name), *source;

        if (io_exists(path)) {
            source = read_text(path);
            ck_assert_int_eq(jinja_parse(slice_of(source), &t, &err), 0);
            free(source);
        }
        free(path);
    }
    ck_assert_ptr_nonnull(t);
    return t;
}

static bool is_span(const struct json *j, json_ref span,
                    const struct template_turn *t)
{
    int64_t begin = -1, end = -1;

    (void)json_int(j, json_at(j, span, 0), &begin);
    (void)json_int(j, json_at(j, span, 1), &end);
    return (size_t)begin == t->begin && (size_t)end == t->end && !t->refused;
}

static bool turn_agrees(const struct json *j, json_ref want,
                        const struct template_turn *got)
{
    int64_t message = -1;

    (void)json_int(j, json_get(j, want, "message"), &message);
    if ((size_t)message != got->message)
        return false;
    if (json_is(j, json_get(j, want, "refuse"), JSON_TRUE))
        return got->refused &&
               json_text_is(j, json_get(j, want, "reason"), got->refused);
    return is_span(j, json_get(j, want, "span_bytes"), got);
}

static bool ids_agree(const struct json *j, json_ref want,
                      const struct token_list *got)
{
    size_t n = 0;
    int64_t v;

    for (json_ref e = json_first(j, want); e != JSON_NONE;
         e = json_next(j, want, e), n++)
        if (!json_int(j, e, &v) || n >= got->count || got->ids[n] != v)
            return false;
    return n == got->count;
}

static bool mask_agrees(const struct json *j, json_ref want,
                        const struct template_turns *t)
{
    struct token_list ids = { 0 }, mask = { 0 };
    char *name = json_strdup(j, json_get(j, want, "tokenizer"));
    char *path = mem_printf("%s/fixtures/tokenizers/%s", root, name);
    struct tokenizer *tok = NULL;
    struct err err = { 0 };
    bool same;

    ck_assert_msg(tokenizer_open(path, &tok, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(template_mask_tokens(tok, buf_slice(&t->rendered.text),
                                          t->v, t->count, &ids, &mask, &err),
                     0);
    same = ids_agree(j, json_get(j, want, "ids"), &ids) &&
           ids_agree(j, json_get(j, want, "mask"), &mask);
    token_list_release(&ids);
    token_list_release(&mask);
    tokenizer_free(tok);
    free(path);
    free(name);
    return same;
}

static bool turns_agree(const struct json *j, const struct template_turns *t)
{
    json_ref spans = json_get(j, 0, "spans_bytes");
    json_ref turns = json_get(j, 0, "turns"), masks = json_get(j, 0, "masks");
    bool generation = json_text_is(j, json_get(j, 0, "method"), "generation");
    json_ref list = generation ? spans : turns;
    size_t n = 0;

    if (generation != t->generation || json_count(j, list) != t->count)
        return false;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e), n++)
        if (!(generation ? is_span(j, e, &t->v[n])
                         : turn_agrees(j, e, &t->v[n])))
            return false;
    for (json_ref e = json_first(j, masks); e != JSON_NONE;
         e = json_next(j, masks, e))
        if (!mask_agrees(j, e, t))
            return false;
    return true;
}

static void check_line(const struct json *j)
{
    char *name = json_strdup(j, json_get(j, 0, "template"));
    char *of = json_strdup(j, json_get(j, 0, "case"));
    struct template_turns turns = { 0 };
    struct jinja *t = open_named(name);
    struct buf text = { 0 };
    struct err err = { 0 };
    struct tm now;
    int rc;

    golden_time(j, &now);
    rc = template_turns(t, j, json_get(j, 0, "context"), &now, &turns, &err);
    if (!json_text(j, json_get(j, 0, "text"), &text)) {
        ck_assert_msg(rc < 0, "%s %s is not refused", name, of);
    } else {
        ck_assert_msg(rc == 0, "%s %s: %s", name, of, err.msg);
        ck_assert(slice_eq(buf_slice(&text), buf_slice(&turns.rendered.text)));
        ck_assert_msg(turns_agree(j, &turns), "%s %s differs", name, of);
    }
    template_turns_release(&turns);
    buf_release(&text);
    jinja_free(t);
    free(name);
    free(of);
}

START_TEST(reference_masks_are_equal_or_refused)
{
    char *path, *file, *p, *end;
    struct json j = { 0 };
    struct err err = { 0 };
    size_t n = 0, refused = 0;

    root = getenv("SLMCTL_REFERENCE");
    if (!root) {
        printf("skip: reference masks: SLMCTL_REFERENCE is not set\n");
        return;
    }
    path = mem_printf("%s/fixtures/chat-masks.golden.jsonl", root);
    file = read_text(path);
    for (p = file; (end = strchr(p, '\n')); p = end + 1, n++) {
        ck_assert_int_eq(json_parse(&j, p, (size_t)(end - p), &err), 0);
        check_line(&j);
        refused += !json_present(json_get(&j, 0, "text"));
    }
    printf("masks %zu / %zu as the golden says: %zu equal, %zu refused\n", n, n,
           n - refused, refused);
    ck_assert_uint_ge(n, 250);
    json_release(&j);
    free(file);
    free(path);
}
END_TEST

#define TALK                                                                   \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"          \
    "\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"r\"},"  \
    "{\"role\":\"assistant\",\"content\":\"b\"}]}"

static void turns_of(const char *source, struct template_turns *out)
{
    struct jinja *t = NULL;
    struct json j = { 0 };
    struct err err = { 0 };

    ck_assert_msg(jinja_parse(slice_of(source), &t, &err) == 0, "%s", err.msg);
    ck_assert_int_eq(json_parse(&j, TALK, strlen(TALK), &err), 0);
    ck_assert_msg(template_turns(t, &j, 0, NULL, out, &err) == 0, "%s",
                  err.msg);
    json_release(&j);
    jinja_free(t);
}

/* The second answer's place depends on nothing before it. */
START_TEST(turns_are_what_a_prompt_does_not_hold)
{
    static const char source[] =
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}";
    struct template_turns t = { 0 };

    turns_of(source, &t);
    ck_assert_str_eq(t.rendered.text.data,
                     "<user>q</s><assistant>a</s><user>r</s><assistant>b</s>");
    ck_assert_uint_eq(t.count, 2);
    ck_assert(!t.generation && !t.v[0].refused && !t.v[1].refused);
    ck_assert_uint_eq(t.v[0].begin, 22);
    ck_assert_uint_eq(t.v[0].end, 27);
    ck_assert_uint_eq(t.v[1].message, 3);
    ck_assert_uint_eq(t.v[1].end, t.rendered.text.len);
    template_turns_release(&t);
}
END_TEST

START_TEST(turns_that_later_ones_change_are_refused)
{
    static const char source[] =
        "{% for m in messages %}<{{ m.role }}>"
        "{% if not loop.last or m.role == 'user' %}{{ m.content }}"
        "{% else %}<think></think>{{ m.content }}{% endif %}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}";
    struct template_turns t = { 0 };

    turns_of(source, &t);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_str_eq(t.v[0].refused,
                     "the turn is not a prefix of the conversation");
    ck_assert_ptr_null(t.v[1].refused);
    template_turns_release(&t);
}
END_TEST

START_TEST(turns_without_their_prompt_are_refused)
{
    static const char source[] =
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant><think>{% endif %}";
    struct template_turns t = { 0 };

    turns_of(source, &t);
    ck_assert_uint_eq(t.count, 2);
    ck_assert_str_eq(t.v[1].refused, "the prompt is not a prefix of the turn");
    template_turns_release(&t);
}
END_TEST

static char scratch[SCRATCH_MAX];

static void make_dir(void)
{
    scratch_make(scratch);
}

static void remove_dir(void)
{
    scratch_remove(scratch);
}

static struct template *open_source(const char *source)
{
    char *path = io_path(scratch, "chat_template.jinja");
    struct template *t = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(io_write_file(path, source, strlen(source), 0644, &err),
                     0);
    ck_assert_msg(template_open(scratch, &t, &err) == 0, "%s", err.msg);
    free(path);
    return t;
}

static struct tokenizer *open_tokenizer(void)
{
    static const char *const specials[] = { "<|im_start|>", "<|im_end|>",
                                            NULL };
    struct tokenizer_train_options opt = { 300, specials, 0 };
    struct slice text = slice_of("user assistant user assistant system");
    char *path = io_path(scratch, "tokenizer.json");
    struct tokenizer *t = NULL;
    struct err err = { 0 };

    ck_assert_int_eq(tokenizer_train(&text, 1, &opt, path, &err), 0);
    ck_assert_int_eq(tokenizer_open(path, &t, &err), 0);
    free(path);
    return t;
}

/* The text that is trained of a training file's conversation; NULL and the
 * reason in *err if it is refused. */
static char *trained_text(const char *source, const char *request,
                          const char *line, struct err *err)
{
    struct template *t = open_source(source);
    struct tokenizer *tok = open_tokenizer();
    struct token_list ids = { 0 }, mask = { 0 };
    struct json q = { 0 }, j = { 0 };
    struct buf out = { 0 };
    json_ref messages;
    int rc;

    ck_assert_int_eq(json_parse(&q, request, strlen(request), err), 0);
    ck_assert_int_eq(json_parse(&j, line, strlen(line), err), 0);
    messages = json_get(&j, 0, "messages");
    rc = template_encode_turns(
        t, tok, &q, 0, &j, json_at(&j, messages, json_count(&j, messages) - 1),
        messages, &ids, &mask, err);
    for (size_t i = 0; rc == 0 && i < ids.count; i++)
        if (mask.ids[i])
            tokenizer_decode(tok, &ids.ids[i], 1, false, &out);
    token_list_release(&ids);
    token_list_release(&mask);
    json_release(&q);
    json_release(&j);
    tokenizer_free(tok);
    template_free(t);
    if (rc == 0)
        return buf_take(&out, NULL);
    buf_release(&out);
    return NULL;
}

#define ONE "{\"role\":\"user\",\"content\":\"one\"},"
#define FIRST "{\"role\":\"assistant\",\"content\":\"A b\""
#define TWO "{\"role\":\"user\",\"content\":\"two\"}"
#define LAST ",{\"role\":\"assistant\",\"content\":\"C\"}"
#define REQUEST "{\"messages\":[" ONE FIRST "}," TWO "]}"

START_TEST(every_turn_of_the_assistant_is_trained_with_its_end)
{
    struct err err = { 0 };
    char *text =
        trained_text(template_builtin(), REQUEST,
                     "{\"messages\":[" ONE FIRST "}," TWO LAST "]}", &err);

    ck_assert_msg(text != NULL, "%s", err.msg);
    ck_assert_str_eq(text, "A b<|im_end|>C<|im_end|>");
    free(text);
}
END_TEST

#define FRAME                                                                  \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"                        \
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content + '' }}"       \
    "<|im_end|>\n{% endgeneration %}{% else %}{{ m.content }}<|im_end|>\n"     \
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>"        \
    "assistant\n{% else %}{% generation %}user{% endgeneration %}{% endif %}"

/* As phi-3.5's training template has them: the end of the text is a block. */
START_TEST(blocks_side_by_side_are_one_answer)
{
    struct err err = { 0 };
    char *text = trained_text(
        FRAME, REQUEST, "{\"messages\":[" ONE FIRST "}," TWO LAST "]}", &err);

    ck_assert_msg(text, "%s", err.msg);
    ck_assert_str_eq(text, "A b<|im_end|>\nC<|im_end|>\nuser");
    free(text);
}
END_TEST

/* The reference trains the end of an empty answer, and renders no content
 * that is null. */
START_TEST(messages_of_files_reach_the_template_as_they_are)
{
    static const char asked[] = "{\"messages\":[" TWO "]}";
    struct err err = { 0 };
    char *text = trained_text(FRAME, asked,
                              "{\"messages\":[" TWO
                              ",{\"role\":\"assistant\",\"content\":\"\"}]}",
                              &err);

    ck_assert_msg(text, "%s", err.msg);
    ck_assert_str_eq(text, "<|im_end|>\nuser");
    free(text);
    text = trained_text(FRAME, asked,
                        "{\"messages\":[" TWO
                        ",{\"role\":\"assistant\",\"content\":null}]}",
                        &err);
    ck_assert_ptr_null(text);
    ck_assert_ptr_nonnull(strstr(err.msg, "message 2 has no content"));
}
END_TEST

START_TEST(a_turn_of_weight_zero_stays_context)
{
    struct err err = { 0 };
    char *text = trained_text(
        template_builtin(), REQUEST,
        "{\"messages\":[" ONE FIRST ",\"weight\":0}," TWO LAST "]}", &err);

    ck_assert_msg(text != NULL, "%s", err.msg);
    ck_assert_str_eq(text, "C<|im_end|>");
    free(text);
}
END_TEST

START_TEST(a_count_of_turns_that_differs_is_refused)
{
    struct err err = { 0 };

    ck_assert_ptr_null(trained_text(template_builtin(), REQUEST,
                                    "{\"messages\":[" ONE TWO LAST "]}", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "more turns"));
}
END_TEST

/* As Qwen3 does: thinking is taken out of earlier answers. */
START_TEST(conversations_whose_turns_change_are_refused)
{
    static const char source[] =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if loop.last and m.role == 'assistant' %}thought {% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    struct err err = { 0 };

    ck_assert_ptr_null(trained_text(
        source, REQUEST, "{\"messages\":[" ONE FIRST "}," TWO LAST "]}", &err));
    ck_assert_ptr_nonnull(strstr(err.msg, "not a prefix"));
}
END_TEST

int main(void)
{
    TCase *c = suite_case("template_mask", make_dir, remove_dir);

    tcase_add_test(c, reference_masks_are_equal_or_refused);
    tcase_add_test(c, turns_are_what_a_prompt_does_not_hold);
    tcase_add_test(c, turns_that_later_ones_change_are_refused);
    tcase_add_test(c, turns_without_their_prompt_are_refused);
    tcase_add_test(c, every_turn_of_the_assistant_is_trained_with_its_end);
    tcase_add_test(c, blocks_side_by_side_are_one_answer);
    tcase_add_test(c, messages_of_files_reach_the_template_as_they_are);
    tcase_add_test(c, a_turn_of_weight_zero_stays_context);
    tcase_add_test(c, a_count_of_turns_that_differs_is_refused);
    tcase_add_test(c, conversations_whose_turns_change_are_refused);
    return suite_run("template_mask", c);
}

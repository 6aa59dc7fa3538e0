/*
 * template.c - which template a model has, and encoding an example with it
 *
 * chat_template.jinja beats tokenizer_config.json, as in the reference. A
 * template is recognised by its whole text: one that is merely alike would
 * train on prompts that no server sends.
 */
#include "template/template.h"

#include "base/io.h"
#include "base/mem.h"
#include "template/template_internal.h"
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEMPLATE ((size_t)1 << 20)
#define MAX_CONFIG ((size_t)16 << 20)

/* A guess for the message only. */
static const char *family_of(const char *text)
{
    static const struct {
        const char *mark, *name;
    } marks[] = {
        { "<|start_header_id|>", "Llama 3's" },
        { "<start_of_turn>", "Gemma's" },
        { "[INST]", "Mistral's or Llama 2's" },
        { "named SmolLM", "a variant of SmolLM's" },
        { "created by Alibaba Cloud", "Qwen2's" },
        { "<think>", "a reasoning model's" },
        { "<|assistant|>", "Phi-3's or Zephyr's" },
        { "<|im_start|>", "a variant of ChatML" },
        { "<|start_of_role|>", "Granite's" },
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (strstr(text, marks[i].mark))
            return marks[i].name;
    return "of an unknown family";
}

static int recognise(const char *text, const char *path, struct template **out,
                     struct err *err)
{
    struct slice s = slice_trim(slice_of(text));

    for (unsigned i = 0; i < chatml_form_count; i++) {
        if (slice_eq(s, slice_trim(slice_of(chatml_forms[i].source)))) {
            *out = mem_zalloc(sizeof(**out));
            (*out)->form = &chatml_forms[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: this chat template (%s, it seems) is not supported; "
                   "known are ChatML as slmctl writes it, plain ChatML and "
                   "SmolLM2's",
                   path, family_of(text));
}

/* chat_template of tokenizer_config.json: a string, or a list of named ones
 * of which "default" counts. */
static char *config_template(const struct json *j)
{
    json_ref v = json_get(j, 0, "chat_template");

    if (!json_is(j, v, JSON_ARRAY))
        return json_strdup(j, v);
    for (json_ref e = json_first(j, v); e != JSON_NONE; e = json_next(j, v, e))
        if (json_text_is(j, json_get(j, e, "name"), "default"))
            return json_strdup(j, json_get(j, e, "template"));
    return NULL;
}

static int open_config(const char *path, struct template **out, struct err *err)
{
    struct json j = { 0 };
    struct buf text;
    char *source = NULL;
    int rc;

    buf_init(&text, 0);
    rc = io_read_file(path, MAX_CONFIG, &text, err);
    if (rc < 0)
        goto done;
    rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc < 0) {
        rc = err_wrap(err, "%s", path);
        goto done;
    }
    source = config_template(&j);
    rc = source
             ? recognise(source, path, out, err)
             : err_set(err, ERR_NOTFOUND, "%s: no chat_template in it", path);
done:
    free(source);
    json_release(&j);
    buf_release(&text);
    return rc;
}

static int open_jinja(const char *path, struct template **out, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, 0);
    rc = io_read_file(path, MAX_TEMPLATE, &text, err);
    if (rc == ERR_OK)
        rc = recognise(text.data ? text.data : "", path, out, err);
    buf_release(&text);
    return rc;
}

static int open_gguf(const char *path, struct template **out, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, 0);
    rc = weights_part(path, "chat_template.jinja", MAX_TEMPLATE, &text, err);
    if (rc == ERR_OK)
        rc = recognise(text.data, path, out, err);
    buf_release(&text);
    return rc;
}

int template_open(const char *model_dir, struct template **out, struct err *err)
{
    char *jinja = io_path(model_dir, "chat_template.jinja");
    char *config = io_path(model_dir, "tokenizer_config.json");
    char *gguf = weights_model_path(model_dir);
    int rc;

    if (weights_is_gguf(gguf))
        rc = open_gguf(gguf, out, err);
    else if (io_exists(jinja))
        rc = open_jinja(jinja, out, err);
    else if (io_exists(config))
        rc = open_config(config, out, err);
    else
        rc = err_set(err, ERR_NOTFOUND,
                     "%s: no chat template (neither chat_template.jinja nor "
                     "tokenizer_config.json)",
                     model_dir);
    free(gguf);
    free(jinja);
    free(config);
    return rc;
}

void template_free(struct template *t)
{
    free(t);
}

const char *template_name(const struct template *t)
{
    return t->form->name;
}

const char *template_stop(const struct template *t)
{
    (void)t;
    return CHATML_END;
}

/* The ids of prompt + answer must begin with those of the prompt alone, since
 * that is what generation starts from. */
static int check_prefix(const struct tokenizer *tok,
                        const struct token_list *prompt,
                        const struct token_list *whole, struct err *err)
{
    for (size_t i = 0; i < prompt->count; i++)
        if (i >= whole->count || whole->ids[i] != prompt->ids[i])
            return err_set(err, ERR_UNSUPPORTED,
                           "the answer changes how its prompt is tokenized");
    if (whole->count <= prompt->count + 1)
        return err_set(err, ERR_UNSUPPORTED, "the answer is empty");
    if (whole->ids[whole->count - 1] != tokenizer_id(tok, CHATML_END))
        return err_set(err, ERR_UNSUPPORTED,
                       "the tokenizer has no token " CHATML_END);
    return ERR_OK;
}

int template_encode(const struct template *t, const struct tokenizer *tok,
                    const struct json *req, json_ref request,
                    const struct json *res, json_ref message,
                    struct template_example *out, struct err *err)
{
    struct token_list prompt = { 0 }, whole = { 0 };
    struct buf text = { 0 };
    int rc = template_prompt(t, req, request, &text, err);

    if (rc == ERR_OK)
        rc = tokenizer_encode(tok, buf_slice(&text), 0, &prompt, NULL, err);
    if (rc == ERR_OK)
        rc = template_answer(t, res, message, &text, err);
    if (rc == ERR_OK)
        rc = tokenizer_encode(tok, buf_slice(&text), 0, &whole, NULL, err);
    if (rc == ERR_OK)
        rc = check_prefix(tok, &prompt, &whole, err);
    if (rc == ERR_OK)
        *out = (struct template_example){ whole, prompt.count };
    else
        token_list_release(&whole);
    token_list_release(&prompt);
    buf_release(&text);
    return rc;
}

/*
 * template.h - from a logged chat request to the model's prompt, and the mask
 *
 * The unit of training is one logged call: its answer is trained, all before
 * it is context. Training, evaluation and generation take the same path: the
 * request becomes the context that transformers' apply_chat_template would
 * build, and the model's own template renders it.
 *
 * Where a template wants objects, arguments of tool calls are objects; parts
 * of text are passed on or joined by newlines, as the template reads them.
 * Refused, with a reason that names the message: parts of other types, unknown
 * roles, tools or calls that the template cannot show, and text that holds
 * tokens of the frame. response_format and tool_choice are not shown: they are
 * constant for a task, and no server hands them to a template.
 * May use: base json tokenizer weights constrain jinja.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "constrain/constrain.h"
#include "jinja/jinja.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"

struct template;

/* From a model directory (chat_template.jinja or tokenizer_config.json's
 * chat_template); a directory without a template has none: ERR_NOTFOUND. */
MUST_CHECK int template_open(const char *model_dir, struct template **out,
                             struct err *err);
void template_free(struct template *t);

/* "slmctl's ChatML", "Llama 3's"...: for messages. */
const char *template_name(const struct template *t);
/* The Jinja text of slmctl's own ChatML, for chat_template.jinja beside models
 * that are made here: other software then renders what template_prompt does. */
const char *template_builtin(void);

/* Prompt text for an OpenAI chat request (messages, tools, response_format):
 * everything up to where the assistant's answer begins. */
MUST_CHECK int template_prompt(const struct template *t, const struct json *j,
                               json_ref request, struct buf *out,
                               struct err *err);
/* What the answer (an OpenAI message object) adds to the prompt, up to and
 * with the token that ends the turn. */
MUST_CHECK int template_answer(const struct template *t, const struct json *req,
                               json_ref request, const struct json *res,
                               json_ref message, struct buf *out,
                               struct err *err);
/* Both append, and only where they succeed; a refusal is ERR_UNSUPPORTED, a
 * template that raises or fails ERR_FORMAT. */
/* The reverse: generated text (without the end token) to an OpenAI assistant
 * message, JSON appended to *out: tool calls parsed out of it where the text
 * holds well-formed ones; *malformed is set where it tried and failed. */
MUST_CHECK int template_parse(const struct template *t, struct slice text,
                              struct buf *message_json, bool *malformed,
                              struct err *err);
/* Bytes of a text that was cut short before a call that it had begun, in full
 * or with the first letters of what opens one; all of it where there is none,
 * or where the calls are whole. */
size_t template_uncalled(const struct template *t, struct slice text);
/* An answer's ids as that text: special tokens are left out, but for those
 * that tool calls and thinking are written with. Appends. */
void template_answer_text(const struct template *t, const struct tokenizer *tok,
                          const int32_t *ids, size_t n, struct buf *out);

/* How tool calls are written is known. */
bool template_knows_calls(const struct template *t);
/* Its answers may begin with thoughts, which template_parse tells apart. */
bool template_thinks(const struct template *t);
/* What an answer's text is, its calls apart: one of the labels, JSON that fits
 * the schema (see constrain_put_schema), any JSON document of this depth, or,
 * where all are zero, any text. */
struct template_content {
    const struct slice *labels;
    size_t label_count;
    struct slice schema;
    unsigned json_depth;
    bool object; /* the document is one, and no array */
    /* What the schema says and cannot be kept to is refused, as in
     * constrain_schema; so it is of tools that must be called, or that say
     * strict. */
    bool strict;
};
/* The answers to a request that template_parse takes for such a text or, where
 * it offers tools, for calls of them (as many as tool_choice and
 * parallel_tool_calls say) whose arguments fit: with what the template writes
 * before, between and after. *out: NULL where nothing is known that an answer
 * must be, as for tools whose calls nobody knows how to write. ERR_LIMIT: the
 * form is too large. */
MUST_CHECK int template_form(const struct template *t,
                             const struct constrain_vocab *v,
                             const struct json *req, json_ref request,
                             const struct template_content *content,
                             struct constrain **out, struct err *err);

/* Text of the token that ends an assistant turn ("<|im_end|>"), "" where the
 * template ends it with none. */
const char *template_stop(const struct template *t);

/* As transformers' apply_chat_template: null members of messages are dropped,
 * reasoning or thinking is copied to reasoning_content, tools, documents and
 * add_generation_prompt are there. continued: JSON_NONE or false; true or the
 * name of a text member: the text ends within the last message. Appends to
 * out->text. */
MUST_CHECK int template_apply(const struct jinja *t, const struct json *j,
                              json_ref context, json_ref continued,
                              const struct tm *now, struct jinja_output *out,
                              struct err *err);

/* template_apply with a model's template and tokens: the context's go first,
 * and the template for tools is taken where the context has any. */
MUST_CHECK int template_apply_model(const struct template *t,
                                    const struct json *j, json_ref context,
                                    json_ref continued, const struct tm *now,
                                    struct jinja_output *out, struct err *err);

/* The turns of the assistant in a rendering: {% generation %} blocks where the
 * template has any, else by rendering prefixes. Bytes of the text. */
struct template_turn {
    size_t message; /* its index; of a generation block: 0 */
    size_t begin, end;
    const char *refused; /* NULL, or why begin and end mean nothing */
};
struct template_turns {
    struct jinja_output rendered;
    struct template_turn *v;
    size_t count, cap;
    bool generation;
};
MUST_CHECK int template_turns(const struct jinja *t, const struct json *j,
                              json_ref context, const struct tm *now,
                              struct template_turns *out, struct err *err);
void template_turns_release(struct template_turns *t);
/* ids of the text, and 1 for each that has a byte in a turn, else 0. */
MUST_CHECK int template_mask_tokens(const struct tokenizer *tok,
                                    struct slice text,
                                    const struct template_turn *turns,
                                    size_t count, struct token_list *ids,
                                    struct token_list *mask, struct err *err);

/* ids of prompt and answer, and where the answer begins. Checked: encoding
 * prompt + answer must begin with the prompt's ids (else ERR_UNSUPPORTED with
 * the reason; count it, never guess), and the answer is not empty. */
struct template_example {
    struct token_list ids;
    size_t answer_at; /* ids[answer_at..] are trained */
};
MUST_CHECK int template_encode(const struct template *t,
                               const struct tokenizer *tok,
                               const struct json *req, json_ref request,
                               const struct json *res, json_ref message,
                               struct template_example *out, struct err *err);

/* For training files, not for logged calls: there one answer is the lesson,
 * here each turn of the assistant is, unless its message says "weight": 0, as
 * in OpenAI's fine-tuning files. messages: all of them, in res, the last one
 * being message. mask has a 1 for each id that is trained. */
MUST_CHECK int template_encode_turns(const struct template *t,
                                     const struct tokenizer *tok,
                                     const struct json *req, json_ref request,
                                     const struct json *res, json_ref message,
                                     json_ref messages, struct token_list *ids,
                                     struct token_list *mask, struct err *err);

#endif

/*
 * template.h - from a logged chat request to the model's prompt, and the mask
 *
 * The unit of training is one logged call: its answer is trained, all before
 * it is context. Used for training, generation and serving alike. So far the
 * one built-in renderer is ChatML; a model whose chat_template is another is
 * refused by name.
 *
 * ChatML: turns <|im_start|>ROLE, newline, TEXT<|im_end|>, newline. Tools stand
 * at the end of the system turn (which is made if there is none): "# Tools",
 * then each function object as canonical JSON on a line. A call is a line
 * <tool_call>, a line {"name": ..., "arguments": ...}, a line </tool_call>; a
 * result is a turn of role tool; developer is system. Text parts are joined by
 * newlines; parts of other types are refused, and so is text that holds
 * <|im_start|> or <|im_end|>. response_format and tool_choice are not shown:
 * they are constant for a task, and no server hands them to a template.
 * Forms without a place for tools (plain, SmolLM2's) refuse them.
 * May use: base json tokenizer.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "json/json.h"
#include "tokenizer/tokenizer.h"

struct template;

/* From a model directory (chat_template.jinja or tokenizer_config.json's
 * chat_template); a directory without a template has none: ERR_NOTFOUND. */
MUST_CHECK int template_open(const char *model_dir, struct template **out,
                             struct err *err);
void template_free(struct template *t);

/* "slmctl's ChatML", "SmolLM2's ChatML"... */
const char *template_name(const struct template *t);
/* The Jinja text of slmctl's own ChatML, for chat_template.jinja beside models
 * that are made here: other software then renders what template_prompt does. */
const char *template_builtin(void);

/* Prompt text for an OpenAI chat request (messages, tools, response_format):
 * everything up to where the assistant's answer begins. */
MUST_CHECK int template_prompt(const struct template *t, const struct json *j,
                               json_ref request, struct buf *out,
                               struct err *err);
/* The assistant message (content and tool_calls of an OpenAI message object)
 * as the text that the model must produce, end-of-turn token included. */
MUST_CHECK int template_answer(const struct template *t, const struct json *j,
                               json_ref message, struct buf *out,
                               struct err *err);
/* Both append; on failure (ERR_UNSUPPORTED with a reason that names the
 * message) what was appended is of no use. */
/* The reverse: generated text (without the end token) to an OpenAI assistant
 * message, JSON appended to *out: tool calls parsed out of it where the text
 * holds well-formed ones; *malformed is set where it tried and failed. */
MUST_CHECK int template_parse(const struct template *t, struct slice text,
                              struct buf *message_json, bool *malformed,
                              struct err *err);
/* Text of the token that ends an assistant turn ("<|im_end|>"). */
const char *template_stop(const struct template *t);

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

#endif

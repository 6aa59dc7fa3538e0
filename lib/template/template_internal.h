/* template_internal.h - a model's template, and what was found out about it */
#ifndef TEMPLATE_INTERNAL_H
#define TEMPLATE_INTERNAL_H

#include "template/template.h"

/* How a family writes tool calls. */
struct template_family {
    const char *name; /* "Llama 3.1's", for messages */
    const char *mark; /* in the source of its templates */
    const char *open; /* before the calls, or before each; NULL: JSON alone */
    const char *close;
    const char *arguments; /* the key of the arguments */
    enum { CALLS_EACH, CALLS_LIST, CALLS_BARE, CALLS_FENCED } form;
};

/* What both reading calls and keeping to them need. Fenced calls are FENCE_CALL
 * "function" FENCE_SEP NAME FENCE_OPEN arguments FENCE_CLOSE FENCE_END. */
#define BAR "\357\275\234" /* DeepSeek's bar and blank */
#define LOW "\342\226\201"
#define FENCE_CALL "<" BAR "tool" LOW "call" LOW "begin" BAR ">"
#define FENCE_SEP "<" BAR "tool" LOW "sep" BAR ">"
#define FENCE_OPEN "\n```json\n"
#define FENCE_CLOSE "```"
#define FENCE_END "<" BAR "tool" LOW "call" LOW "end" BAR ">"
#define BARE_OPEN "{\"name\"" /* a bare call begins so */
#define BARE_TAG "<|python_tag|>"
#define THINK_OPEN "<think>"
#define THINK_CLOSE "</think>"

struct template
{
    struct jinja *chat, *tool_use;        /* tool_use: NULL if there is none */
    const struct template_family *family; /* NULL: writes no calls */
    const char *name;
    char *stop;    /* "" if the template ends no turn with a token */
    char *trailer; /* what always follows the stop token */
    char *members; /* "bos_token":"<s>",... for the context */
    char *eos;
    char **controls; /* tokens of the frame, which no text may hold */
    size_t control_count;
    bool takes_parts;    /* content may be a list of parts */
    bool text_arguments; /* arguments of calls are JSON in a string */
    bool shows_tools, shows_calls, shows_developer, short_ids;
    bool thinks, prompt_thinks; /* <think> is written, and in the prompt */
    bool unbounded;             /* a probe reached a limit of rendering */
    bool reads_calls; /* what it makes of a call is read back as that call */
};

const struct template_family *template_family_find(const char *source);

/* The request's messages and the rest as the JSON context of a prompt. plain:
 * messages come as their file has them: no text in place of a content that is
 * null, ids that are not what the template insists on, answers that say
 * nothing. */
MUST_CHECK int template_context(const struct template *t,
                                const struct json *req, json_ref request,
                                bool plain, struct buf *out, struct err *err);
/* That context, which is *context, with its answer instead of the beginning of
 * one. */
MUST_CHECK int template_context_answer(const struct template *t,
                                       const struct json *res, json_ref message,
                                       bool plain, struct buf *context,
                                       struct err *err);
/* 1 for each token that has a byte in a turn that is not refused, else 0. */
void template_mask_add(const struct token_list *offsets,
                       const struct template_turn *turns, size_t count,
                       struct token_list *mask);
/* A context, rendered; appends to out->text. */
MUST_CHECK int template_render(const struct template *t, struct slice context,
                               bool has_tools, struct jinja_output *out,
                               struct err *err);
bool template_reads_calls(const struct template *t);
bool template_request_has_tools(const struct json *req, json_ref request);

#endif

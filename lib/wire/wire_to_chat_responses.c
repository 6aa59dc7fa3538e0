/*
 * wire_to_chat_responses.c - requests and answers of OpenAI's Responses as
 * chat: each item becomes a message, of messages before the request only their
 * id is kept
 */
#include "wire/wire_to_chat.h"

static void responses_item(struct chat *c, json_ref item)
{
    json_ref role = json_get(c->j, item, "role");

    if (chat_type_is(c, item, "function_call")) {
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "role", "assistant");
        json_put_null(&c->w, "content");
        json_begin_array(&c->w, "tool_calls");
        chat_call(c, chat_inner(c, item, "call_id"),
                  chat_inner(c, item, "name"),
                  json_get(c->j, item, "arguments"));
        json_end_array(&c->w);
        json_end_object(&c->w);
    } else if (chat_type_is(c, item, "function_call_output")) {
        chat_tool_result(c, chat_inner(c, item, "call_id"),
                         json_get(c->j, item, "output"));
    } else if (json_is(c->j, role, JSON_STRING)) {
        char *name = json_strdup(c->j, role);

        chat_texts(c, name, json_get(c->j, item, "content"));
        free(name);
    }
}

void chat_responses_request(struct chat *c, json_ref o)
{
    json_ref input = json_get(c->j, o, "input");
    json_ref tools = json_get(c->j, o, "tools");

    chat_request_begin(c, o);
    chat_system(c, json_get(c->j, o, "instructions"));
    if (json_is(c->j, input, JSON_STRING))
        chat_texts(c, "user", input);
    for (json_ref v = json_is(c->j, input, JSON_ARRAY) ? json_first(c->j, input)
                                                       : JSON_NONE;
         v != JSON_NONE; v = json_next(c->j, input, v))
        responses_item(c, v);
    json_end_array(&c->w);
    chat_tools(c, tools, "parameters", "function");
    chat_limits(c, o, "max_output_tokens", "top_p", NULL);
    /* The messages before these are not here: nobody may train on them. */
    chat_member(c, "previous_response_id", o, "previous_response_id");
    json_end_object(&c->w);
}

static const char *responses_finish(const struct chat *c, json_ref o,
                                    bool calls)
{
    json_ref why = json_find(c->j, o, "incomplete_details", "reason", NULL);

    if (json_text_is(c->j, why, "max_output_tokens"))
        return "length";
    if (json_text_is(c->j, why, "content_filter"))
        return "content_filter";
    if (json_text_is(c->j, json_get(c->j, o, "status"), "completed"))
        return calls ? "tool_calls" : "stop";
    return NULL;
}

static void add_refusals(const struct chat *c, json_ref content,
                         struct buf *out)
{
    for (json_ref p = json_first(c->j, content); p != JSON_NONE;
         p = json_next(c->j, content, p))
        buf_add_slice(out, chat_inner(c, p, "refusal"));
}

/* A summary where the thoughts themselves are not told. */
static void add_thoughts(struct chat *c, json_ref item, struct buf *out)
{
    json_ref content = json_get(c->j, item, "content");

    chat_text_parts(c,
                    json_count(c->j, content) ? content
                                              : json_get(c->j, item, "summary"),
                    out);
}

void chat_responses_answer(struct chat *c, json_ref o)
{
    struct chat_said said = { .text = { .data = NULL } };
    json_ref list = json_get(c->j, o, "output");
    json_ref usage = json_get(c->j, o, "usage");

    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v))
        if (chat_type_is(c, v, "message")) {
            chat_text_parts(c, json_get(c->j, v, "content"), &said.text);
            add_refusals(c, json_get(c->j, v, "content"), &said.refusal);
        } else if (chat_type_is(c, v, "reasoning"))
            add_thoughts(c, v, &said.thoughts);
        else if (chat_type_is(c, v, "function_call"))
            chat_add_call(c, &said.calls, chat_inner(c, v, "call_id"),
                          chat_inner(c, v, "name"),
                          json_get(c->j, v, "arguments"));
    chat_answer_begin(c, json_get(c->j, o, "id"), json_get(c->j, o, "model"));
    chat_choice(c, 0, &said, responses_finish(c, o, said.calls.len > 0));
    chat_answer_end(c, chat_count(c, usage, "input_tokens"),
                    chat_count(c, usage, "output_tokens"),
                    chat_count(c, json_get(c->j, usage, "input_tokens_details"),
                               "cached_tokens"),
                    chat_count(c,
                               json_get(c->j, usage, "output_tokens_details"),
                               "reasoning_tokens"));
}

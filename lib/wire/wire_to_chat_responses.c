/*
 * wire_to_chat_responses.c - requests and answers of OpenAI's Responses as
 * chat: each item becomes a message, but the calls of an assistant go with what
 * it said; of messages before the request only their id is kept
 */
#include "wire/wire_to_chat.h"

static bool is_call(const struct chat *c, json_ref item)
{
    return chat_type_is(c, item, "function_call") ||
           chat_type_is(c, item, "custom_tool_call");
}

/* The input of a custom tool is a text, whatever it holds. */
static void add_call(struct chat *c, json_ref item, struct buf *calls)
{
    json_ref input = json_get(c->j, item, "input");

    chat_add_call(
        c, calls, chat_inner(c, item, "call_id"), chat_inner(c, item, "name"),
        json_present(input) ? input : json_get(c->j, item, "arguments"));
}

/* What an assistant said last: a text, and the calls behind it, are one
 * message. */
static void end_said(struct chat *c, struct chat_said *said, bool *has_said)
{
    if (*has_said) {
        json_begin_object(&c->w, NULL);
        json_put_string(&c->w, "role", "assistant");
        chat_put_content(c, &said->text, said->calls.len > 0);
        chat_put_calls(c, &said->calls);
        json_end_object(&c->w);
    }
    *has_said = false;
    buf_reset(&said->text);
    buf_reset(&said->calls);
}

static void responses_item(struct chat *c, json_ref item,
                           struct chat_said *said, bool *has_said)
{
    json_ref role = json_get(c->j, item, "role");
    json_ref content = json_get(c->j, item, "content");

    if (is_call(c, item)) {
        add_call(c, item, &said->calls);
        *has_said = true;
    } else if (json_text_is(c->j, role, "assistant")) {
        end_said(c, said, has_said);
        chat_text_parts(c, content, &said->text);
        *has_said = true;
    } else if (chat_type_is(c, item, "function_call_output") ||
               chat_type_is(c, item, "custom_tool_call_output")) {
        end_said(c, said, has_said);
        chat_tool_result(c, chat_inner(c, item, "call_id"),
                         json_get(c->j, item, "output"));
    } else if (json_is(c->j, role, JSON_STRING)) {
        char *name = json_strdup(c->j, role);

        end_said(c, said, has_said);
        chat_texts(c, name, content);
        free(name);
    }
}

static void responses_items(struct chat *c, json_ref list)
{
    struct chat_said said = { .text = { .data = NULL } };
    bool has_said = false;

    for (json_ref v = json_first(c->j, list); v != JSON_NONE;
         v = json_next(c->j, list, v))
        responses_item(c, v, &said, &has_said);
    end_said(c, &said, &has_said);
    buf_release(&said.text);
    buf_release(&said.calls);
}

void chat_responses_request(struct chat *c, json_ref o)
{
    json_ref input = json_get(c->j, o, "input");
    json_ref tools = json_get(c->j, o, "tools");

    chat_request_begin(c, o);
    chat_system(c, json_get(c->j, o, "instructions"));
    if (json_is(c->j, input, JSON_STRING))
        chat_texts(c, "user", input);
    if (json_is(c->j, input, JSON_ARRAY))
        responses_items(c, input);
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
        else if (is_call(c, v))
            add_call(c, v, &said.calls);
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

/*
 * wire_to_chat_anthropic.c - requests and answers of Anthropic's Messages as
 * chat
 *
 * A message's blocks become one message, but each result of a tool one of its
 * own, before the rest.
 */
#include "wire/wire_to_chat.h"

static void anthropic_assistant(struct chat *c, json_ref content)
{
    struct buf text = { .data = NULL };
    bool calls = false;

    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "assistant");
    if (json_is(c->j, content, JSON_STRING))
        buf_add_slice(&text, wire_inner(c->j, content));
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b)) {
        calls |= chat_type_is(c, b, "tool_use");
        if (chat_type_is(c, b, "text"))
            buf_add_slice(&text, chat_inner(c, b, "text"));
    }
    chat_put_content(c, &text, calls);
    if (calls)
        json_begin_array(&c->w, "tool_calls");
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (chat_type_is(c, b, "tool_use"))
            chat_call(c, chat_inner(c, b, "id"), chat_inner(c, b, "name"),
                      json_get(c->j, b, "input"));
    if (calls)
        json_end_array(&c->w);
    json_end_object(&c->w);
    buf_release(&text);
}

/* Results of tools first: they answer the message before. */
static void anthropic_user(struct chat *c, json_ref content)
{
    size_t parts = 0, media = 0;

    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (chat_type_is(c, b, "tool_result"))
            chat_tool_result(c, chat_inner(c, b, "tool_use_id"),
                             json_get(c->j, b, "content"));
        else
            parts++, media += !chat_type_is(c, b, "text");
    if (!parts)
        return;
    if (!media) {
        chat_texts(c, "user", content);
        return;
    }
    json_begin_object(&c->w, NULL);
    json_put_string(&c->w, "role", "user");
    json_begin_array(&c->w, "content");
    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (chat_type_is(c, b, "text"))
            chat_put_text_part(c, chat_inner(c, b, "text"));
        else if (!chat_type_is(c, b, "tool_result"))
            chat_put_media(c);
    json_end_array(&c->w);
    json_end_object(&c->w);
}

static void anthropic_message(struct chat *c, json_ref m)
{
    json_ref content = json_get(c->j, m, "content");

    if (json_text_is(c->j, json_get(c->j, m, "role"), "assistant")) {
        anthropic_assistant(c, content);
    } else if (json_is(c->j, content, JSON_STRING)) {
        chat_texts(c, "user", content);
    } else {
        anthropic_user(c, content);
    }
}

void chat_anthropic_request(struct chat *c, json_ref o)
{
    json_ref list = json_get(c->j, o, "messages");
    json_ref tools = json_get(c->j, o, "tools");

    chat_request_begin(c, o);
    chat_system(c, json_get(c->j, o, "system"));
    for (json_ref m = json_first(c->j, list); m != JSON_NONE;
         m = json_next(c->j, list, m))
        anthropic_message(c, m);
    json_end_array(&c->w);
    chat_tools(c, tools, "input_schema", NULL);
    chat_limits(c, o, "max_tokens", "top_p", "stop_sequences");
    json_end_object(&c->w);
}

void chat_anthropic_answer(struct chat *c, json_ref o)
{
    static const char *const finishes[][2] = {
        { "max_tokens", "length" },
        { "model_context_window_exceeded", "length" },
        { "tool_use", "tool_calls" },
        { "refusal", "content_filter" },
        { NULL, NULL },
    };
    struct chat_said said = { .text = { .data = NULL } };
    json_ref content = json_get(c->j, o, "content");
    json_ref usage = json_get(c->j, o, "usage");
    int64_t cached = chat_count(c, usage, "cache_read_input_tokens");
    int64_t made = chat_count(c, usage, "cache_creation_input_tokens");

    for (json_ref b = json_first(c->j, content); b != JSON_NONE;
         b = json_next(c->j, content, b))
        if (chat_type_is(c, b, "text"))
            buf_add_slice(&said.text, chat_inner(c, b, "text"));
        else if (chat_type_is(c, b, "thinking"))
            buf_add_slice(&said.thoughts, chat_inner(c, b, "thinking"));
        else if (chat_type_is(c, b, "tool_use"))
            chat_add_call(c, &said.calls, chat_inner(c, b, "id"),
                          chat_inner(c, b, "name"), json_get(c->j, b, "input"));
    chat_answer_begin(c, json_get(c->j, o, "id"), json_get(c->j, o, "model"));
    chat_choice(c, 0, &said,
                chat_finish(c, json_get(c->j, o, "stop_reason"), finishes));
    chat_answer_end(
        c,
        chat_plus(chat_plus(chat_count(c, usage, "input_tokens"), cached),
                  made),
        chat_count(c, usage, "output_tokens"), cached, -1);
}
